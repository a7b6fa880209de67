"""Worlds and rivals of bench_recipe. A world is drawn from a seed: features, labels and, where they
are known, true probabilities."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch import NeuralNetClassifier
import torch

from sktrain import AdaptiveLabeler, BarFeatures, SlidingWindow, with_history
from sktrain.datasets import load_nasdaq, load_sp500, load_us_stocks, make_market

STEPS = 10  # of the features that rivals see
HORIZON = 3  # bars that labels of real markets look ahead
#: name: pattern, signal, horizon. Signals of the last four leave the best rival below .8 of the
# possible gain.
PLANTED = {
    "nothing": ("linear", 0.0, 3),
    "linear .2": ("linear", 0.2, 3),
    "linear .4": ("linear", 0.4, 3),
    "linear .6": ("linear", 0.6, 3),
    "regime": ("regime", 0.4, 1),
    "pattern": ("pattern", 0.4, 1),
    "memory": ("memory", 0.5, 1),
    "cross": ("cross", 0.3, 1),
}
_BARS = {"S&P 500": load_sp500, "NASDAQ": load_nasdaq, "US panel": load_us_stocks}
_LABELS = {
    "sigma": {"base_threshold": 0.5, "scaling": "sigma"},
    "1 %": {
        "base_threshold": 0.01,
        "use_volatility_adjustment": False,
        "use_risk_adjustment": False,
    },
}
REAL = {f"{bars}, {labels}": (bars, labels) for bars in _BARS for labels in _LABELS}


@dataclass(frozen=True)
class World:
    """Rows in order of time; ``truth`` is None where nobody knows it."""

    X: pd.DataFrame
    y: pd.Series
    truth: pd.DataFrame | None


def make_world(name, seed, *, n_bars=4000, n_symbols=1):
    """Features of bars with their history, labels that say when they are known, true probabilities.

    A real market is the same for every seed. In ``"cross"`` the features of the leader, the first
    symbol, are columns of every other symbol, and the leader has no rows.
    """
    if name in REAL:
        bars, labels = REAL[name]
        bars, y = AdaptiveLabeler(horizon=HORIZON, **_LABELS[labels]).fit_resample(_BARS[bars]())
        return World(BarFeatures().fit_transform(bars), y, None)
    pattern, signal, horizon = PLANTED[name]
    n_symbols = max(n_symbols, 2) if pattern == "cross" else n_symbols
    market = make_market(
        n_bars, n_symbols, pattern=pattern, signal=signal, horizon=horizon, random_state=seed
    )
    X = BarFeatures().fit_transform(market.bars)
    return (
        World(X, market.y, market.probabilities) if pattern != "cross" else _with_leader(X, market)
    )


def _with_leader(X, market):
    first = X.index[0][0]
    follow = X.drop(index=first, level=0)
    lead = (
        X.loc[first]
        .add_prefix("leader_")
        .reindex(follow.index.get_level_values(1))
        .set_axis(follow.index)
    )
    both, y, truth = (
        pd.concat([follow, lead], axis=1),
        market.y.drop(index=first, level=0),
        market.probabilities.drop(index=first, level=0),
    )
    if both.index.get_level_values(0).nunique() == 1:
        both, y, truth = (part.droplevel(0) for part in (both, y, truth))
    y.attrs.update(market.y.attrs)
    return World(with_history(both), y, truth)


class PlainLSTM(torch.nn.Module):
    """One layer and its last state."""

    def __init__(self, n_features, hidden=32, n_classes=3):
        super().__init__()
        self.lstm = torch.nn.LSTM(n_features, hidden, batch_first=True)
        self.out = torch.nn.Linear(hidden, n_classes)

    def forward(self, X):
        return self.out(self.lstm(X)[0][:, -1])


def steps_of(X):
    """Flat windows as (row, step, feature), for skorch."""
    return np.asarray(X, dtype=np.float32).reshape(len(X), STEPS, -1)


def flat(*steps):
    """A pipeline on windows of features."""
    return Pipeline([("window", SlidingWindow(STEPS, flatten=True)), *steps])


def scaled(*steps):
    """The same with missing values filled and every feature standardized."""
    fill = SimpleImputer(keep_empty_features=True)
    return flat(("impute", fill), ("scale", StandardScaler()), *steps)


LOOKBACKS = [1, 3, STEPS]


def prior(n_features):
    return make_pipeline(DummyClassifier(strategy="prior")), None, None


def ridge_logistic(n_features):
    space = {"model__C": (1e-6, 1.0, "log"), "window__lookback": LOOKBACKS}
    first = {"model__C": 1e-2, "window__lookback": 1}
    return scaled(("model", LogisticRegression(max_iter=500))), space, first


def _boosting(model, iterations, leaves, rows):
    """A boosted model by the names of its parameters."""
    names = [f"model__{name}" for name in ("learning_rate", iterations, leaves, rows)]
    ranges = (0.02, 0.2, "log"), (20, 120, "log"), (3, 31, "log"), (10, 100, "log")
    space = {**dict(zip(names, ranges)), "window__lookback": LOOKBACKS}
    first = {**dict(zip(names, (0.05, 60, 8, 40))), "window__lookback": 3}
    return flat(("model", model)), space, first


def histogram_boosting(n_features):
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=0)
    return _boosting(model, "max_iter", "max_leaf_nodes", "min_samples_leaf")


def lightgbm(n_features):
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(
        random_state=0, n_jobs=1, verbose=-1, deterministic=True, force_row_wise=True
    )
    return _boosting(model, "n_estimators", "num_leaves", "min_child_samples")


def plain_lstm(n_features):
    torch.manual_seed(0)
    lstm = NeuralNetClassifier(
        PlainLSTM, module__n_features=n_features, criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam, batch_size=128, train_split=None, verbose=0,
        iterator_train__shuffle=True,
    )
    space = {
        "model__lr": (3e-4, 1e-2, "log"),
        "model__max_epochs": (3, 30, "log"),
        "model__module__hidden": [8, 16, 32],
    }
    first = {"model__lr": 1e-3, "model__max_epochs": 10, "model__module__hidden": 16}
    return scaled(("fold", FunctionTransformer(steps_of)), ("model", lstm)), space, first


#: From the number of features to an unfitted pipeline, the space it is tuned over and where its
# search begins; cheap ones first.
RIVALS = {
    "prior": prior,
    "ridge logistic": ridge_logistic,
    "HistGradientBoosting": histogram_boosting,
    "LightGBM": lightgbm,
    "plain LSTM": plain_lstm,
}

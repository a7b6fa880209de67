"""Worlds and rivals of bench_recipe: a seed enters, features, labels and, where they are known,
true probabilities leave."""

from dataclasses import dataclass
import importlib.util

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
        bars, y = AdaptiveLabeler(horizon=3, **_LABELS[labels]).fit_resample(_BARS[bars]())
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


def rivals(n_features):
    """Unfitted pipelines on features, the spaces they are tuned over and where a search begins, by
    name."""

    def flat(*steps):
        return Pipeline([("window", SlidingWindow(STEPS, flatten=True)), *steps])

    scaled = [("impute", SimpleImputer(keep_empty_features=True)), ("scale", StandardScaler())]
    torch.manual_seed(0)
    lstm = NeuralNetClassifier(
        PlainLSTM, module__n_features=n_features, criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam, batch_size=128, train_split=None, verbose=0,
        iterator_train__shuffle=True,
    )
    found = {
        "prior": (make_pipeline(DummyClassifier(strategy="prior")), None, None),
        "ridge logistic": (
            flat(*scaled, ("model", LogisticRegression(max_iter=500))),
            {"model__C": (1e-6, 1.0, "log"), "window__lookback": [1, 3, STEPS]},
            {"model__C": 1e-2, "window__lookback": 1},
        ),
        "HistGradientBoosting": (
            flat(("model", HistGradientBoostingClassifier(early_stopping=False, random_state=0))),
            {
                "model__learning_rate": (0.02, 0.2, "log"),
                "model__max_iter": (20, 120, "log"),
                "model__max_leaf_nodes": (3, 31, "log"),
                "model__min_samples_leaf": (10, 100, "log"),
                "window__lookback": [1, 3, STEPS],
            },
            {
                "model__learning_rate": 0.05,
                "model__max_iter": 60,
                "model__max_leaf_nodes": 8,
                "model__min_samples_leaf": 40,
                "window__lookback": 3,
            },
        ),
        "plain LSTM": (
            flat(*scaled, ("fold", FunctionTransformer(steps_of)), ("model", lstm)),
            {
                "model__lr": (3e-4, 1e-2, "log"),
                "model__max_epochs": (3, 30, "log"),
                "model__module__hidden": [8, 16, 32],
            },
            {"model__lr": 1e-3, "model__max_epochs": 10, "model__module__hidden": 16},
        ),
    }
    if importlib.util.find_spec("lightgbm"):
        from lightgbm import LGBMClassifier

        model = LGBMClassifier(
            random_state=0, n_jobs=1, verbose=-1, deterministic=True, force_row_wise=True
        )
        found["LightGBM"] = (
            flat(("model", model)),
            {
                "model__learning_rate": (0.02, 0.2, "log"),
                "model__n_estimators": (20, 120, "log"),
                "model__num_leaves": (3, 31, "log"),
                "model__min_child_samples": (10, 100, "log"),
                "window__lookback": [1, 3, STEPS],
            },
            {
                "model__learning_rate": 0.05,
                "model__n_estimators": 60,
                "model__num_leaves": 8,
                "model__min_child_samples": 40,
                "window__lookback": 3,
            },
        )
    return found

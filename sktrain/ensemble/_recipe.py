"""The recipe: an unfitted pool of models on bars, which won on planted markets."""

import numpy as np
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from .._typing import Span, Transformer
from ..features import BarFeatures, SlidingWindow
from ._pooled import PooledClassifier

__all__ = ["make_recipe"]

# Inverse strengths of the ridge, a factor of ten apart (a judgment). The best one depends on
# signal and size: the pool chooses.
_RIDGE = {"weak": 0.1, "middle": 0.01, "strong": 0.001}
#: What a bar says by itself, and in units of the volatility and volume around it.
_CANDLE = (
    "return_1",
    "gap",
    "body_share",
    "close_location",
    "range_volatility_5",
    "volume_zscore_5",
)
#: The same, and what the last five bars say together.
_SHORT = (
    "return_1",
    "gap",
    "body_share",
    "close_location",
    "momentum_5",
    "volatility_5",
    "range_volatility_5",
    "atr_5",
    "rsi_5",
    "band_5",
    "volume_zscore_5",
)
_FEW, _SEVERAL = 3, 10  # bars whose features trees see, those of single candles: judgments

# Chosen on development seeds 0 and 1 of bench_recipe: smaller steps and trees than scikit-learn's
# defaults, which learn noise where a label is mostly noise.
_TREES = {"learning_rate": 0.05, "max_iter": 60, "max_leaf_nodes": 8, "min_samples_leaf": 40}
_FEWER = {"learning_rate": 0.1, "max_iter": 30, "max_leaf_nodes": 8, "min_samples_leaf": 40}


def make_recipe(
    features: Transformer | None = None,
    *,
    lookback: int = 30,
    valid_fraction: float = 0.2,
    horizon: Span | None = None,
    n_jobs: int | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> PooledClassifier:
    """A pool of linear models, boosted trees and nets on bars, unfitted.

    Every member is a pipeline from bars to probabilities, because each looks back differently:

    - ``linear_weak``, ``linear_middle``, ``linear_strong``: ridge logistic regressions of three
      strengths on the features of the last bar;
    - ``boosting``: histogram boosting on those of the last three bars;
    - ``candles``: histogram boosting on what each of the last ten bars says by itself;
    - ``mlp``: a multilayer perceptron on the features of the last bar;
    - ``mlp_window``: another on those of the last ``lookback`` bars that look back five bars at
      most.

    ``benchmarks/bench_recipe.py`` measures them. A GRU on the same windows was measured too: on the
    development markets it was behind the others in each market and took ten times as long.

    Parameters
    ----------
    features : transformer, optional
        From ``X`` to features, cloned for every member; default ``BarFeatures()``.
        ``"passthrough"`` where ``X`` holds features already. Features must have the names of
        ``BarFeatures`` that ``candles`` and ``mlp_window`` see; else drop those.
    lookback : int, default=30
        Bars that ``mlp_window`` looks back on.
    valid_fraction : float, default=0.2
        Share of the times that the weights are learned on.
    horizon : int, Timedelta or str, optional
        What a label looks ahead, for labels that do not say so themselves.
    n_jobs : int, optional
        Members fitted at the same time.
    random_state : int, RandomState or None, default=None
        Seeds every member.

    Returns
    -------
    PooledClassifier
        Seven members, unfitted.

    Examples
    --------
    >>> from sktrain import make_recipe
    >>> recipe = make_recipe(lookback=20, random_state=0)
    >>> [name for name, _ in recipe.estimators]
    ['linear_weak', 'linear_middle', 'linear_strong', 'boosting', 'candles', 'mlp', 'mlp_window']
    >>> recipe.set_params(mlp_window="drop").named_estimators["mlp"][-1]
    MLPNetClassifier(lookback=1)
    """
    from ..nets import MLPNetClassifier

    features = BarFeatures() if features is None else features

    def member(steps, *last):
        window = SlidingWindow(lookback=steps, flatten=True)
        first = features if isinstance(features, str) else clone(features)
        return Pipeline([("features", first), ("window", window), *last])

    def trees(**params):
        return ("trees", HistGradientBoostingClassifier(early_stopping=False, **params))

    def net(steps):
        return ("net", MLPNetClassifier(horizon=horizon, lookback=steps))

    members = [
        (f"linear_{name}", member(1, *_linear(strength))) for name, strength in _RIDGE.items()
    ]
    members += [
        ("boosting", member(_FEW, trees(**_TREES))),
        ("candles", member(_SEVERAL, _columns(_CANDLE, _SEVERAL), trees(**_FEWER))),
        ("mlp", member(1, net(1))),
        ("mlp_window", member(lookback, _columns(_SHORT, lookback), net(lookback))),
    ]
    return PooledClassifier(
        members,
        valid_fraction=valid_fraction,
        horizon=horizon,
        n_jobs=n_jobs,
        random_state=random_state,
    )


def _linear(strength):
    fill = SimpleImputer(keep_empty_features=True)
    model = LogisticRegression(C=strength, max_iter=500)
    return ("impute", fill), ("scale", StandardScaler()), ("linear", model)


def _columns(names, steps):
    """Some features of every bar of flat windows."""
    columns = [f"{name}_t-{lag}" for lag in reversed(range(steps)) for name in names]
    return ("columns", ColumnTransformer([("keep", "passthrough", columns)]))

"""The recipe: an unfitted pool of models on bars, which won on planted markets."""

from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from .._typing import RandomState, Span, Transformer
from .._validation import check_count
from ..exceptions import SktrainError
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
_SEVERAL = 10  # bars whose candles and returns trees see
_APART = 5  # bars from one momentum_5 that trees see to the next, so that they do not overlap
#: Features, or products of them, that a sparse model keeps.
_KEPT, _KEPT_OF_MANY = 3, 5

# Chosen on development seeds of bench_recipe: with one block weights follow chance, and nothing can
# be calibrated.
_BLOCKS = 3

# Chosen on development seeds of bench_recipe: smaller steps and trees than scikit-learn's defaults,
# which learn noise where a label is mostly noise.
_TREES = {"learning_rate": 0.1, "max_iter": 30, "max_leaf_nodes": 8, "min_samples_leaf": 40}


def make_recipe(
    features: Transformer | None = None,
    *,
    lookback: int = 30,
    valid_fraction: float = 0.2,
    horizon: Span | None = None,
    n_jobs: int | None = None,
    random_state: RandomState = None,
) -> PooledClassifier:
    """A pool of linear models, boosted trees and nets on bars, unfitted.

    Every member is a pipeline from bars to probabilities, because each looks back differently:

    - ``linear_weak``, ``linear_middle``, ``linear_strong``: ridge logistic regressions of three
      strengths on the features of the last bar;
    - ``sparse``: an unpenalised one on the three of these that separate the classes best one by
      one (analysis of variance), ``sparse_window``: on the five best of the last ``lookback`` bars
      among those that look back five bars at most, ``interactions``: on the five best of these of
      the last bar, their squares and their products two by two;
    - ``candles``: histogram boosting on what each of the last ten bars says by itself,
      ``returns``: on their returns, ``weeks``: on the returns of each five bars of the last
      ``lookback``;
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
        ``BarFeatures`` that ``sparse_window``, ``interactions``, ``candles``, ``returns``,
        ``weeks`` and ``mlp_window`` see; else drop those.
    lookback : int, default=30
        Bars that ``sparse_window``, ``weeks`` and ``mlp_window`` look back on.
    valid_fraction : float, default=0.2
        Share of the times of each of the three blocks that the weights and the calibration are
        learned on.
    horizon : int, Timedelta or str, optional
        What a label looks ahead, for labels that do not say so themselves.
    n_jobs : int, optional
        Members fitted at the same time.
    random_state : int, RandomState or None, default=None
        Seeds every member.

    Returns
    -------
    PooledClassifier
        Eleven members, unfitted.

    Examples
    --------
    >>> from sktrain import make_recipe
    >>> recipe = make_recipe(lookback=20, random_state=0)
    >>> [name for name, _ in recipe.estimators][3:]
    ['sparse', 'sparse_window', 'interactions', 'candles', 'returns', 'weeks', 'mlp', 'mlp_window']
    >>> recipe.set_params(mlp_window="drop").named_estimators["mlp"][-1].criterion.__name__
    'CrossEntropyLoss'
    """
    from torch.nn import CrossEntropyLoss

    from ..nets import MLPNetClassifier

    check_count("lookback", lookback)
    features = BarFeatures() if features is None else features
    if features != "passthrough" if isinstance(features, str) else not hasattr(features, "fit"):
        raise SktrainError(
            f"features must be a transformer, 'passthrough' or None, got {features!r}."
        )

    def member(steps, *last):
        window = SlidingWindow(lookback=steps, flatten=True)
        first = features if isinstance(features, str) else clone(features)
        return Pipeline([("features", first), ("window", window), *last])

    def trees(names, lags):
        model = HistGradientBoostingClassifier(early_stopping=False, **_TREES)
        return member(max(lags) + 1, _columns(names, lags), ("trees", model))

    def net(steps):
        # on development seeds a little better than focal loss, see docs/ensemble.md
        one = MLPNetClassifier(horizon=horizon, lookback=steps, criterion=CrossEntropyLoss)
        return ("net", one)

    every = range(lookback)
    members = [
        (f"linear_{name}", member(1, *_linear(strength))) for name, strength in _RIDGE.items()
    ]
    members += [
        ("sparse", member(1, *_sparse(_KEPT))),
        ("sparse_window", member(lookback, _columns(_SHORT, every), *_sparse(_KEPT_OF_MANY))),
        ("interactions", member(1, _columns(_SHORT, [0]), *_interactions())),
        ("candles", trees(_CANDLE, range(_SEVERAL))),
        ("returns", trees(["return_1"], range(_SEVERAL))),
        ("weeks", trees(["momentum_5"], every[::_APART])),
        ("mlp", member(1, net(1))),
        ("mlp_window", member(lookback, _columns(_SHORT, every), net(lookback))),
    ]
    return PooledClassifier(
        members,
        valid_fraction=valid_fraction,
        horizon=horizon,
        n_blocks=_BLOCKS,
        calibration="isotonic",
        n_jobs=n_jobs,
        random_state=random_state,
    )


def _scaled():
    return ("impute", SimpleImputer(keep_empty_features=True)), ("scale", StandardScaler())


def _linear(strength):
    return *_scaled(), ("linear", LogisticRegression(C=strength, max_iter=500))


def _sparse(n_kept):
    """The features that separate the classes best one by one, and a model that is penalised little
    for so few."""
    return (
        *_scaled(),
        ("vary", VarianceThreshold()),
        ("select", SelectKBest(f_classif, k=n_kept)),
        ("linear", LogisticRegression(max_iter=500)),
    )


def _interactions():
    """The same of features, their squares and their products."""
    products = ("products", PolynomialFeatures(2, include_bias=False))
    fill, scale = _scaled()
    return fill, ("standard", scale[1]), products, *_sparse(_KEPT_OF_MANY)[1:]


def _columns(names, lags):
    """Some features of some bars of flat windows, the oldest first."""
    columns = [f"{name}_t-{lag}" for lag in reversed(lags) for name in names]
    return ("columns", ColumnTransformer([("keep", "passthrough", columns)]))

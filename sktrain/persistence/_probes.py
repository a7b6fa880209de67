"""At most eight rows, and their predictions, that a model is tried on when its file is opened.

Rows are found where an estimator says what it takes: the bars that it remembers of training (moved
to where they would follow), windows of known size, or a table of known width. They are the same for
equal estimators.
"""

import math
from typing import Any
import warnings

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import FeatureUnion, Pipeline

from . import _nets
from ._walk import reached

__all__ = ["last_step", "predict", "remembered", "replayable", "same", "tried"]

_ROWS = 8  # probed, a judgment: enough to notice another answer, and small in the file
# of probe rows that are replayed, judgments: opening stays below a second
_MOST_ROWS, _MOST_VALUES = 4096, 2**20
_LONGEST = 10_000  # steps, windows and sizes of an estimator that is replayed, a judgment
_OURS = {
    "BarFeatures", "CompressedClassifier", "DriftDetector", "DriftGuard", "LastStep",
    "OptunaSearchCV",
    "PooledClassifier", "QuantizedClassifier", "RegimeDetector", "ResampledClassifier",
    "SlidingWindow", "GRUClassifier", "LSTMClassifier", "MLPNetClassifier", "TCNClassifier",
    "TransformerClassifier",
}  # fmt: skip
_THEIRS = {  # of scikit-learn: arithmetic on the given rows, memory in proportion
    "AdaBoostClassifier", "BaggingClassifier", "BernoulliNB", "CalibratedClassifierCV",
    "_CalibratedClassifier", "DecisionTreeClassifier", "DecisionTreeRegressor", "DummyClassifier",
    "DummyRegressor", "ElasticNet", "ExtraTreeClassifier", "ExtraTreesClassifier",
    "FrozenEstimator", "GaussianNB", "GradientBoostingClassifier",
    "HistGradientBoostingClassifier", "IsotonicRegression", "KNeighborsClassifier",
    "LabelEncoder", "Lasso", "LinearDiscriminantAnalysis", "LinearRegression", "LinearSVC",
    "LogisticRegression", "LogisticRegressionCV", "MLPClassifier", "MaxAbsScaler", "MinMaxScaler",
    "MissingIndicator", "Normalizer", "OneVsOneClassifier", "OneVsRestClassifier", "PCA",
    "PassiveAggressiveClassifier", "Perceptron", "Pipeline", "PowerTransformer",
    "QuadraticDiscriminantAnalysis", "QuantileTransformer", "RandomForestClassifier", "Ridge",
    "RidgeClassifier", "RobustScaler", "SGDClassifier", "SVC", "NuSVC", "SelectKBest",
    "SelectPercentile", "SelectFromModel", "SimpleImputer", "StackingClassifier",
    "StandardScaler", "TunedThresholdClassifierCV", "FixedThresholdClassifier",
    "VarianceThreshold", "VotingClassifier", "GridSearchCV", "RandomizedSearchCV",
    "_SigmoidCalibration", "LabelBinarizer", "_BinMapper",
}  # fmt: skip


def replayable(estimator, rows):
    """Why ``rows`` are not to be predicted by an estimator from an untrusted file; None if
    they are.

    Only what is known to work on the rows alone, within bounds, is replayed: no parts that read
    files, start processes, match expressions or make folders.
    """
    size = np.size(rows) if not isinstance(rows, (list, dict)) else math.inf
    if len(rows) > _MOST_ROWS or size > _MOST_VALUES:
        return f"there are too many of them ({len(rows)})"
    for part in _estimators(estimator):
        kind, package = type(part).__name__, type(part).__module__.partition(".")[0]
        if kind not in {"sktrain": _OURS, "sklearn": _THEIRS, "imblearn": _THEIRS}.get(package, ()):
            return f"{kind} is not replayed"
        for name, value in vars(part).items() if package == "sktrain" else ():
            sizes = name == "lookback_" or not name.endswith("_") and name not in _ANY_SIZE
            if sizes and any(_is_long(one) for one in _items(value)):
                return f"{kind} has {name}={value!r}"
        parameters = part.get_params(deep=False) if "iterator_valid" in vars(part) else {}
        for name, value in parameters.items():
            own = name == _ITERATOR and not isinstance(value, type)  # a partial, with parameters
            if own or name.startswith(f"{_ITERATOR}__"):
                return f"{kind} has {name}={value!r}"
    return None


_ITERATOR = "iterator_valid"  # hands out the rows to predict: processes, and how they wait
_ANY_SIZE = ("random_state", "n_trials", "max_epochs", "window")
_ACTING = {  # what predicts of those that also hold recipes
    "CompressedClassifier": ("model_",),
    "DriftGuard": ("estimator_",),
    "GridSearchCV": ("best_estimator_",),
    "OptunaSearchCV": ("best_estimator_",),
    "RandomizedSearchCV": ("best_estimator_",),
    "ResampledClassifier": ("estimator_",),
    **dict.fromkeys((name.rpartition(".")[2] for name in _nets.CLASSES), ("members_",)),
}


def _items(value):
    return value if isinstance(value, (list, tuple)) else (value,)


def _is_long(value):
    return isinstance(value, (int, float, np.number)) and bool(np.abs(value) > _LONGEST)


def _estimators(root):
    """Every estimator that may take part in a prediction of ``root``; mere recipes are not fitted
    and do not."""
    return (one for one in reached(root, _acting) if hasattr(one, "get_params"))


def _acting(value):
    """What of an object predicts; what is no estimator may hold some."""
    own, names = vars(value), _ACTING.get(type(value).__name__)
    names = own if names is None else names
    return [own.get(name) for name in names if not _is_recipe(value, name)]


def _is_recipe(owner, name):
    """Whether an attribute is a parameter that fitting clones: prediction uses what was fitted from
    it."""
    if isinstance(owner, (Pipeline, FeatureUnion)) or type(owner).__name__ == "FrozenEstimator":
        return False
    return not name.endswith("_") and hasattr(owner, f"{name.rstrip('_')}_")


# of a probability, between machines (float32 sums in another order); of larger numbers, relative
_TOLERANCE = 1e-5


def _found(estimator):
    """Rows of each kind that ``estimator`` may be able to predict, the likeliest first; none when
    it does not say what it takes."""
    bars, parts = remembered(estimator), _input_parts(estimator)
    if bars is not None:
        yield bars
        return
    for part in parts:
        sizes: list[Any] = [getattr(part, name, None) for name in ("lookback_", "step_features_")]
        if None not in sizes:
            windows = np.random.default_rng(0).normal(size=(_ROWS, *sizes)).astype(np.float32)
            windows[1, 0, 0] = np.nan
            yield windows
            break
    # beside estimators that take tables, nets were given tables too
    widths = [getattr(one, "n_features_in_", None) for one in (estimator, *parts)]
    width = next((one for one in widths if one is not None), None)
    if width is not None:
        names = getattr(estimator, "feature_names_in_", None)
        table = np.random.default_rng(0).normal(size=(_ROWS, width))
        yield table if names is None else pd.DataFrame(table, columns=list(names))


def remembered(estimator):
    """The last bars that the first steps remember of training, at the times that follow, or None: a
    DataFrame of the types seen then."""
    tails = [rows for rows in map(_following, _input_parts(estimator)) if rows is not None]
    return max(tails, key=lambda rows: rows.shape[1]) if tails else None


def tried(estimator):
    """Rows found and what is predicted for them, as a dict; None where there are none, or they
    cannot be predicted."""
    for rows in _found(estimator):
        try:
            expected = predict(estimator, rows)
        except Exception:  # the rows were a guess: text may be wanted, or no negative numbers
            continue
        words = expected.dtype.kind == "O" and all(isinstance(one, str) for one in expected.ravel())
        if expected.shape[:1] == (len(rows),) and (expected.dtype.kind in "biufUSmM" or words):
            return {"X": rows, "expected": expected}
    return None


def _input_parts(estimator):
    """The parts that see rows first."""
    if estimator is None or isinstance(estimator, str):  # a step that lets rows pass
        return []
    inner = _wrapped(estimator)
    if inner is not None:
        return _input_parts(inner)
    if hasattr(estimator, "steps"):
        return next((parts for _, step in estimator.steps if (parts := _input_parts(step))), [])
    if hasattr(estimator, "transformer_list"):
        return [one for _, part in estimator.transformer_list for one in _input_parts(part)]
    if hasattr(estimator, "named_estimators_"):
        return _input_parts(estimator.estimators_[0])
    return [estimator]


def last_step(estimator):
    """The part of a pipeline, wrapped or not, that answers."""
    inner = _wrapped(estimator)
    if inner is None and hasattr(estimator, "steps"):
        inner = estimator.steps[-1][1]
    return estimator if inner is None else last_step(inner)


def _wrapped(estimator):
    """The fitted estimator inside one that only hands rows on."""
    if type(estimator).__name__ == "FrozenEstimator":
        return estimator.estimator
    return (
        getattr(estimator, "model_", None)
        if type(estimator).__name__ == "CompressedClassifier"
        else None
    )


def _following(part):
    """The last bars of training that ``fit`` remembered, once more, at the times that follow; None
    when it remembers none."""
    tail = getattr(part, "tail_", None)
    if not isinstance(tail, pd.DataFrame) or not tail.shape[1]:
        return None
    panel = isinstance(tail.index, pd.MultiIndex)
    if panel:
        tail = tail[tail.index.get_level_values(0) == tail.index[-1][0]]
    tail = tail.iloc[: max(part.lookback_, 2)]  # later ones are known, but were not trained on
    times = tail.index.get_level_values(-1)
    if not isinstance(times, pd.DatetimeIndex) or len(times) < 2:
        return None
    rows, step = tail.iloc[-_ROWS:].copy(), pd.Series(times).diff().median()
    later = pd.DatetimeIndex(
        [times[-1] + step * count for count in range(1, len(rows) + 1)], name=times.name
    )
    rows.index = (
        pd.MultiIndex.from_arrays([rows.index.get_level_values(0), later], names=rows.index.names)
        if panel
        else later
    )
    names = getattr(part, "feature_names_in_", ())
    unnamed = (
        not all(isinstance(name, str) for name in rows.columns) and len(names) == rows.shape[1]
    )
    return rows.set_axis(list(names), axis=1) if unnamed else rows


def predict(estimator, rows):
    """Probabilities; labels or transformed rows where there are none; in this process and
    thread."""
    with warnings.catch_warnings(), joblib.parallel_config(backend="sequential"):
        warnings.simplefilter("ignore")  # probe rows start cold on purpose
        method = (
            "predict_proba"
            if hasattr(estimator, "predict_proba")
            else "predict"
            if hasattr(estimator, "predict")
            else "transform"
        )
        return np.asarray(getattr(estimator, method)(rows))


def same(got, expected):
    """Whether two predictions agree."""
    if got.shape != expected.shape:
        return False
    if expected.dtype.kind not in "fiu":
        return np.array_equal(got, expected)
    return np.allclose(got, expected, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)

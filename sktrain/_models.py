"""What models that hold other models share: their parts, what they take over from these, the
labels they are given, and what these are called."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from ._typing import Classifier, Span
from ._validation import MarkedLabels
from .exceptions import SktrainError

__all__ = [
    "CLASS_NAMES",
    "all_class_probabilities",
    "class_labels",
    "class_name",
    "horizon_inside",
    "last_step",
    "take_input_names",
    "tell_horizon",
    "voters",
]

_FITTED = ("best_estimator_", "estimator_")
CLASS_NAMES = {0: "sell", 1: "hold", 2: "buy"}


def last_step(model: Any) -> Any:
    """The last step of a pipeline, through pipelines inside it; of anything else the model itself.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> last_step(make_pipeline("passthrough", make_pipeline(SVC())))
    SVC()
    """
    while isinstance(model, Pipeline):  # imblearn's is one too
        model = model.steps[-1][1]
    return model


def voters(model: Any, name: str = "net") -> dict[str, Any]:
    """By name what every member of a fitted vote ends in; of another model what it ends in itself
    under ``name``. Searches, guards and the like end in what they fitted."""
    last = _fitted_inside(model)
    members = getattr(last, "named_estimators_", None) or {name: last}
    return {key: _fitted_inside(one) for key, one in members.items()}


def _fitted_inside(model):
    """What a fitted model ends in, through pipelines and what holds one fitted model."""
    while True:
        # a frozen estimator lets rows through to the fitted one
        own = ("estimator",) if isinstance(model, FrozenEstimator) else _FITTED
        held = next((name for name in own if hasattr(model, name)), None)
        inner = last_step(model if held is None else getattr(model, held))
        if inner is model:
            return model
        model = inner


def horizon_inside(*models: Any) -> Span | None:
    """What the parts of models were told of how far labels look ahead; the farthest of several
    numbers of bars; None where nothing was said, or bars here and lengths of time there.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sktrain import MLPNetClassifier
    >>> horizon_inside(make_pipeline(MLPNetClassifier(horizon=3)), LogisticRegression())
    3
    """
    said = [
        value
        for model in models
        for name, value in model.get_params(deep=True).items()
        if name.rpartition("__")[2] == "horizon" and value is not None
    ]
    if said and all(isinstance(one, Integral) for one in said):
        return max(said)
    return said[0] if said and all(one == said[0] for one in said) else None


def tell_horizon(model: Any, horizon: Span | None) -> Any:
    """``model`` with ``horizon`` in every part that asks for one and was told none; changed in
    place.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sktrain import MLPNetClassifier
    >>> tell_horizon(make_pipeline(MLPNetClassifier()), 3)[-1].horizon
    3
    """
    if horizon is not None:
        told = model.get_params(deep=True).items()
        untold = (name for name, value in told if value is None)
        asked = [name for name in untold if name.rpartition("__")[2] == "horizon"]
        model.set_params(**dict.fromkeys(asked, horizon))
    return model


def all_class_probabilities(
    estimator: Classifier, X: ArrayLike, classes: np.ndarray
) -> np.ndarray:
    """``predict_proba`` with one column for each of ``classes``.

    Parameters
    ----------
    estimator : classifier
        Fitted, with ``predict_proba``; it may have seen fewer classes.
    X : array-like of length n
        Rows as the estimator takes them.
    classes : ndarray of shape (n_classes,)
        Sorted labels.

    Returns
    -------
    ndarray of shape (n, n_classes)
        Zero for a class the estimator never saw.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sktrain.evaluation import all_class_probabilities
    >>> model = DummyClassifier().fit([[0], [0]], [0, 2])  # has never seen class 1
    >>> all_class_probabilities(model, [[0]], [0, 1, 2])
    array([[0.5, 0. , 0.5]])
    """
    proba = np.asarray(estimator.predict_proba(X), dtype=np.float64)
    out = np.zeros((len(proba), len(classes)))
    out[:, np.searchsorted(classes, estimator.classes_)] = proba
    return out


def take_input_names(model: Any, fitted: list) -> None:
    """Let ``model`` say of its features what the first of its fitted parts says that does."""
    for name in ("n_features_in_", "feature_names_in_"):
        vars(model).pop(name, None)
        told = next((one for one in fitted if hasattr(one, name)), None)
        if told is not None:
            setattr(model, name, getattr(told, name))


def class_labels(y: Any, name: str) -> pd.Series | np.ndarray:
    """Labels as a vector, which keeps what they carry where they are a Series or resampled."""
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    as_they_are = isinstance(y, (pd.Series, MarkedLabels))
    vector = y if as_they_are else np.asarray(y)
    if vector.ndim == 2 and vector.shape[1] > 1:
        raise SktrainError("Multilabel and multioutput targets are not supported.")
    vector = y if as_they_are else column_or_1d(vector, warn=True)
    check_classification_targets(vector)
    return vector


def class_name(value: object) -> str:
    """What a label is called; the label itself where it is none of ours.

    Parameters
    ----------
    value : object
        A label.

    Returns
    -------
    str

    Examples
    --------
    >>> class_name(2), class_name("up")
    ('buy', 'up')
    """
    return CLASS_NAMES.get(value, str(value))  # type: ignore[call-overload]  # of any label

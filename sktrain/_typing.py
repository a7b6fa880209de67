"""Types of parameters that several packages share: names for signatures, read by type checkers.

pandas, scikit-learn and skorch tell type checkers nothing, so what they define counts as ``Any``.
A union with one of their classes would accept everything; therefore a pandas Timedelta stands here
as the :class:`datetime.timedelta` it is, and an estimator as what is asked of it.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "Classifier",
    "CrossValidator",
    "Estimator",
    "EstimatorT",
    "LabelSource",
    "Labeler",
    "FloatLike",
    "RandomState",
    "RowsT",
    "Sampler",
    "Scoring",
    "Span",
    "Splitter",
    "Step",
    "StopSignal",
    "Transformer",
]


#: What numpy computes is a number too, though its means and deviations are no ``float`` by type.
FloatLike = float | np.floating | np.integer

#: Rows that are given back.
RowsT = TypeVar("RowsT", bound=ArrayLike)


class _Offset(Protocol):
    """A pandas offset, such as ``pd.offsets.Day(5)``."""

    n: int

    @property
    def freqstr(self) -> str: ...


#: A number of bars, or a fixed length of time.
Span = int | str | timedelta | np.timedelta64 | _Offset

#: What seeds random numbers; None draws anew.
RandomState = int | np.random.RandomState | None


class Estimator(Protocol):
    """Something with ``fit`` and ``get_params``: a scikit-learn estimator, a net, a pipeline."""

    def fit(self, X: Any, y: Any, /) -> Any: ...

    def get_params(self, deep: bool = ...) -> dict: ...

    def set_params(self, **params: Any) -> Any: ...


#: An estimator that is given back.
EstimatorT = TypeVar("EstimatorT", bound=Estimator)


class Classifier(Estimator, Protocol):
    """A fitted estimator that tells probabilities of classes."""

    @property
    def classes_(self) -> Any: ...

    def predict(self, X: Any, /) -> Any: ...

    def predict_proba(self, X: Any, /) -> Any: ...


class Transformer(Protocol):
    """Something with ``fit`` and ``transform``."""

    def fit(self, X: Any, y: Any = ..., /) -> Any: ...

    def transform(self, X: Any, /) -> Any: ...


class Sampler(Protocol):
    """Something with ``fit_resample(X, y)``, such as imbalanced-learn's samplers."""

    def fit_resample(self, X: Any, y: Any, /) -> Any: ...


class LabelSource(Protocol):
    """Something with ``fit_resample(bars)``, which returns the labelled rows and their labels."""

    def fit_resample(self, X: Any, /) -> Any: ...


class Labeler(LabelSource, Protocol):
    """Something that labels bars: the labelers of :mod:`sktrain.labels`."""

    def fit(self, X: Any, /) -> Any: ...

    def transform(self, X: Any, /) -> Any: ...


#: What turns rows into features, labels or predictions: an estimator, or a function of rows.
Step = Transformer | Labeler | Estimator | Callable[..., Any]


class Splitter(Protocol):
    """Something that yields (train, test) row numbers from ``split``: any cross-validator."""

    def split(self, X: Any, y: Any = ..., groups: Any = ...) -> Iterable[tuple[Any, Any]]: ...


#: Folds: a splitter, their number, or the (train, test) row numbers themselves.
CrossValidator = int | Splitter | Iterable[tuple[ArrayLike, ArrayLike]]

class _HasIsSet(Protocol):
    """Such as :class:`threading.Event`."""

    def is_set(self) -> bool: ...


#: Says whether to stop.
StopSignal = Callable[[], bool] | _HasIsSet

#: One score, several, or None for the estimator's own.
Scoring = (
    str
    | Callable[..., float | Mapping[str, float]]
    | list[str]
    | tuple[str, ...]
    | dict[str, str | Callable[..., float]]
    | None
)

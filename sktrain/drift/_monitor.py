"""Drift checks over history: one report per check, each from rows that were known by then."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.utils import _safe_indexing

from .._typing import Transformer
from .._validation import OHLCV, check_count
from ..exceptions import NotEnoughDataError, SktrainError
from ._detector import DriftDetector
from ._frames import read_sample

__all__ = ["drift_history", "monitor"]


def _as_features(X, features):
    """Bars become features, because prices wander and say nothing; anything else stays."""
    if features is None:
        return X
    if features == "auto":
        names = {str(name).lower() for name in getattr(X, "columns", ())}
        if not set(OHLCV) <= names:
            return X
        from ..features import BarFeatures

        features = BarFeatures()
    return features.fit_transform(X) if hasattr(features, "fit_transform") else features(X)


def monitor(
    X: ArrayLike,
    *,
    every: int,
    window: int,
    reference: int | None = None,
    detector: DriftDetector | None = None,
    features: Literal["auto"] | Transformer | Callable[..., Any] | None = "auto",
) -> Iterator:
    """Check a rolling window of history for drift.

    Parameters
    ----------
    X : DataFrame or array-like, shape (n, n_features)
        Features, or bars (then ``BarFeatures`` of them are checked), in order of time.
    every : int
        Unique times between two looks.
    window : int
        Unique times per look.
    reference : int, optional
        How many unique times at the start are the reference; default ``4 * window`` for a detector
        that is not fitted. A fitted detector keeps its own reference and looks at all of ``X``.
    detector : DriftDetector, optional
        Default ``DriftDetector()``; it is left untouched.
    features : "auto", None, a transformer or a callable, default="auto"
        What turns ``X`` into the columns to check. It should be causal. ``"auto"`` computes
        ``BarFeatures`` when X holds bars; None takes X as it is.

    Returns
    -------
    iterator of DriftReport
        One per look, oldest first; ``report.end`` is the last time it saw. Checked lazily.

    Raises
    ------
    NotEnoughDataError
        When not even one window fits behind the reference.

    Notes
    -----
    Every look spends ``alpha`` anew. To be wrong about once in twenty *histories*, divide ``alpha``
    by the number of looks.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import monitor
    >>> x = np.random.default_rng(0).normal(size=(1000, 2))
    >>> x[700:] += 1
    >>> [report.drift_detected for report in monitor(x, every=100, window=100, reference=400)]
    [False, False, False, True, True, True]
    """
    every, window = check_count("every", every), check_count("window", window)
    detector = DriftDetector() if detector is None else detector
    if not isinstance(detector, DriftDetector):
        raise SktrainError(f"detector must be a DriftDetector, got {type(detector).__name__}.")
    fitted = hasattr(detector, "reference_")
    rows = _as_features(X, features)
    sample = read_sample(rows)
    if reference is None:
        first = 0 if fitted else 4 * window
    else:
        first = check_count("reference", reference)
    if first + window > sample.n_times:
        raise NotEnoughDataError(
            f"monitor needs {first + window} unique times (reference {first}, window {window}), X "
            f"has {sample.n_times}."
        )
    if first:
        detector = DriftDetector(**detector.get_params()).fit(_take(rows, sample, 0, first))
    return _looks(rows, sample, detector, range(first + window, sample.n_times + 1, every), window)


def _looks(rows, sample, detector, ends, window):
    for end in ends:
        yield detector.check(_take(rows, sample, end - window, end))


def _take(rows, sample, low, high):
    """The rows of a range of unique times."""
    chosen = sample.rows((low, high))
    return _safe_indexing(
        rows, np.arange(chosen.start, chosen.stop) if isinstance(chosen, slice) else chosen
    )


def drift_history(reports: Iterable, value: str = "psi") -> pd.DataFrame:
    """One column of the reports' ``per_feature`` over time: what a heat map draws.

    Parameters
    ----------
    reports : iterable of DriftReport
        As :func:`monitor` gives them.
    value : str, default="psi"
        A column of ``per_feature``.

    Returns
    -------
    DataFrame
        One row per report (indexed by its end, or its number), one column per feature.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain.drift import drift_history, monitor
    >>> x = np.random.default_rng(0).normal(size=(600, 2))
    >>> drift_history(monitor(x, every=100, window=100, reference=300), "ks").shape
    (3, 2)
    """
    reports = list(reports)
    ends = [number if report.end is None else report.end for number, report in enumerate(reports)]
    table = pd.DataFrame(
        [report.per_feature[value] for report in reports], index=pd.Index(ends, name="end")
    )
    table.columns.name = "feature"
    return table

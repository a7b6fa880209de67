"""Label spans of rows: rows, labels and what is known of their horizon enter; the closed span of every label leaves.

A horizon counts bars of the row's own symbol, those the rows remember included; past the last known bar it counts unique times.
"""

import warnings

import numpy as np
import pandas as pd

from .._history import get_history
from .._spans import Spans
from ..exceptions import InvalidSplitError, NotEnoughDataError, UnknownHorizonWarning
from ._numbers import check_count
from ._times import time_axis

__all__ = ["label_horizon", "label_spans", "labelled_mask"]


def label_horizon(y, horizon=None):
    """The number of bars labels look ahead: ``horizon`` if given, else what the labeler wrote on ``y``, else None."""
    if horizon is None:
        horizon = getattr(y, "attrs", {}).get("label_horizon")
    return None if horizon is None else check_count("horizon", horizon, minimum=0)


def labelled_mask(y, n):
    """Which of n rows carry a label: not NaN, None, NaT or pd.NA."""
    if y is None:
        return np.ones(n, dtype=bool)
    if len(y) != n:
        raise InvalidSplitError(f"X has {n} rows but y has {len(y)}.")
    if isinstance(y, np.ndarray) and y.dtype.kind in "iub":
        return np.ones(n, dtype=bool)
    missing = np.asarray(pd.isna(y))
    return ~(missing.any(axis=1) if missing.ndim == 2 else missing)


def _check_same_index(X, y, name="y"):
    one, other = getattr(X, "index", None), getattr(y, "index", None)
    if isinstance(one, pd.Index) and isinstance(other, pd.Index) and one is not other and len(one) == len(other) and not one.equals(other):
        row = next(row for row, (mine, theirs) in enumerate(zip(one, other)) if mine != theirs)
        raise InvalidSplitError(
            f"X and {name} have different indexes: row {row} is {one[row]} in X and {other[row]} in {name}. Align {name} with {name}.loc[X.index]."
        )


def _ends_from_times(axis, ends, n):
    if len(ends) != n:
        raise InvalidSplitError(f"label_end_times has {len(ends)} values for {n} rows. Align it with label_end_times.loc[X.index].")
    if axis.index is None:
        values = np.asarray(ends)
        if values.dtype.kind not in "iu":
            raise InvalidSplitError(f"label_end_times of rows without times must be integer row positions, got dtype {values.dtype}.")
        return values.astype(np.int64)
    if isinstance(ends, pd.Series) and isinstance(ends.index, (pd.DatetimeIndex, pd.MultiIndex)):
        _check_same_index(axis, ends, "label_end_times")
    stamps = pd.Index(ends)
    if not isinstance(stamps, pd.DatetimeIndex):
        if stamps.dtype != object or not stamps.isna().all():
            raise InvalidSplitError(f"label_end_times must hold timestamps, got {stamps.dtype}. Convert with pd.to_datetime.")
        stamps = pd.DatetimeIndex(stamps)
    zone = (axis.index.levels[1] if isinstance(axis.index, pd.MultiIndex) else axis.index).tz
    if (stamps.tz is None) != (zone is None):
        raise InvalidSplitError(f"label_end_times have time zone {stamps.tz}, the rows have {zone}. Localise one of them.")
    missing = np.asarray(stamps.isna())
    return np.where(missing, axis.times, stamps.as_unit("ns").asi8)


def _ends_from_horizon(X, axis, horizon):
    """Time of the bar ``horizon`` bars ahead of each row, counted in the row's own symbol; past the known bars, in unique times."""
    if horizon == 0:
        return axis.times
    history = get_history(X)
    positions = None if history is None or axis.index is None else history.locate(axis.index)
    known = axis if positions is None else time_axis(history.frame)
    times, symbols = known.times, known.symbols
    order = None
    if positions is None:
        keys = (times,) if symbols is None else (times, symbols)
        is_sorted = symbols is None and bool((times[1:] > times[:-1]).all())
        order = None if is_sorted else np.lexsort(keys)
    t = times if order is None else times[order]
    s = None if symbols is None else (symbols if order is None else symbols[order])
    end = _ahead(t, s, horizon)
    if order is not None:
        unsorted = np.empty_like(end)
        unsorted[order] = end
        end = unsorted
    return end if positions is None else end[positions]


def _ahead(times, symbols, horizon):
    n = len(times)
    target = np.arange(n) + horizon
    if symbols is None:
        last = np.full(n, n - 1)
        unique = times
    else:
        breaks = np.flatnonzero(symbols[1:] != symbols[:-1])
        ends = np.append(breaks, n - 1)
        last = np.repeat(ends, np.diff(np.concatenate([[-1], ends])))
        unique = np.unique(times)
    end = times[np.minimum(target, last)]
    beyond = target > last
    if beyond.any():  # the bars that decided these labels are not here: count them on the common axis, then past its end
        place = np.searchsorted(unique, end[beyond]) + (target - last)[beyond]
        spill = np.maximum(place - (len(unique) - 1), 0)
        end[beyond] = unique[np.minimum(place, len(unique) - 1)] + spill
    return end


def label_spans(X, y=None, *, horizon=None, label_end_times=None, caller="split"):
    """The closed time span of every row's label, and the times of all rows.

    The span is learned, in this order, from ``label_end_times``, ``horizon``, ``y.attrs["label_horizon"]``; without any of
    them an ``UnknownHorizonWarning`` is given and a label is taken to be known at once.

    Parameters
    ----------
    X : DataFrame or array-like of length n
        The rows. A history handle on ``X`` lets a horizon be counted in bars that are no rows of ``X``.
    y : array-like of length n, optional
        Labels; only their attrs and index are read.
    horizon : int, optional
        Bars of the row's own symbol between decision and outcome.
    label_end_times : array-like of length n, optional
        Time at which each label was known; NaT where there is no label.
    caller : str
        Name for the warning.

    Returns
    -------
    spans : Spans
    axis : TimeAxis
    """
    axis = time_axis(X)
    n = len(axis.times)
    if not n:
        raise NotEnoughDataError("X has no rows.")
    _check_same_index(X, y)
    if label_end_times is not None:
        return Spans.from_times(axis.times, _ends_from_times(axis, label_end_times, n)), axis
    bars = label_horizon(y, horizon)
    if bars is None:
        warnings.warn(
            f"{caller} does not know how far the labels look ahead, so it purges nothing. Pass horizon=..., label_end_times=..., or labels from a sktrain labeler.",
            UnknownHorizonWarning,
            stacklevel=3,
        )
        bars = 0
    spans = Spans.from_times(axis.times, _ends_from_horizon(X, axis, bars))
    if bars >= len(spans.axis) and bars > 0:
        raise NotEnoughDataError(f"horizon={bars} is longer than the data: {len(spans.axis)} unique times.")
    return spans, axis

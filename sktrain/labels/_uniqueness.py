"""Weights of overlapping labels (López de Prado 2018, ch. 4).

Spans are closed ranges of bars, ``[start, end]``. Labels that share bars share information; a
label's uniqueness is the mean, over its bars, of one over the number of labels alive there. The
results go into ``fit(..., sample_weight=...)``.
"""

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.utils import check_random_state

from .._spans import concurrency
from .._typing import RandomState
from .._validation import check_count, check_number, label_spans, label_times_of, time_axis
from ..exceptions import SktrainError

__all__ = ["average_uniqueness", "sequential_bootstrap", "time_decay_weights"]

_MOST_BARS = 2**28  # eight years of one-second bars, day and night; counting them takes 2 GiB


@overload
def average_uniqueness(
    starts: pd.Series, ends: None = None, *, bars_index: pd.Index | None = None
) -> pd.Series: ...


@overload
def average_uniqueness(
    starts: ArrayLike, ends: ArrayLike | None = None, *, bars_index: pd.Index | None = None
) -> np.ndarray: ...


def average_uniqueness(
    starts: ArrayLike, ends: ArrayLike | None = None, *, bars_index: pd.Index | None = None
) -> np.ndarray | pd.Series:
    """Mean uniqueness of each label over its life.

    Parameters
    ----------
    starts : array-like of int, shape (n,), or Series of timestamps
        First bar of each label. Or, without ``ends``: labels that carry when they are known, or end
        times indexed by start times, as ``label_end_times`` gives them, by time or by (symbol,
        time); labels of different symbols do not overlap.
    ends : array-like of int, shape (n,), optional
        Last bar of each label, included.
    bars_index : Index, optional
        Times of all bars (or their (symbol, time) pairs), for a Series of times; default all times
        in the Series, starts and ends.

    Returns
    -------
    ndarray of float, shape (n,), or Series indexed like ``starts``
        In (0, 1]: usable as ``sample_weight``. NaN where an end time is NaT.

    Raises
    ------
    SktrainError
        When a span ends before it starts, has no whole bar numbers, or its times are no bars.

    Examples
    --------
    >>> from sktrain import average_uniqueness
    >>> average_uniqueness([0, 2, 4], [2, 3, 5])
    array([0.83333333, 0.75      , 1.        ])
    """
    first, last, index = _ranges(starts, ends, bars_index)
    known = last >= 0
    weights = np.full(len(first), np.nan)
    if known.any():
        n_bars = int(last.max()) + 1
        share = 1.0 / np.maximum(concurrency(first[known], last[known], n_bars), 1)
        weights[known] = _range_means(share, first[known], last[known])
    return weights if index is None else pd.Series(weights, index=index, name="average_uniqueness")


def _range_means(values, first, last):
    """Mean of ``values[first:last + 1]`` of every range."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    return (total[last + 1] - total[first]) / (last - first + 1)


def _ranges(starts, ends, bars_index):
    """Closed ranges of bar positions (-1 where the end is unknown), and the index of the result."""
    if ends is None:
        if not isinstance(starts, pd.Series):
            raise SktrainError(
                "Without ends, starts must be labels or a Series of end times indexed by start "
                f"times, got {type(starts).__name__}."
            )
        if label_times_of(starts) is not None and not pd.api.types.is_datetime64_any_dtype(starts):
            starts = _ends_of_labels(starts)
        return *_ranges_of_times(starts, bars_index), starts.index
    if bars_index is not None:
        raise SktrainError(
            "bars_index belongs to a Series of end times; spans given as starts and ends are bar "
            "positions already."
        )
    first, last = _whole("starts", starts), _whole("ends", ends)
    if first.shape != last.shape:
        raise SktrainError(
            f"starts and ends must be of equal length, got {len(first)} and {len(last)}."
        )
    _refuse_backwards(first, last)
    if len(first) and first.min() < 0:
        raise SktrainError(
            f"starts: label {int(np.argmin(first))} begins at bar {first.min()}, before the first "
            "bar (0)."
        )
    if last.max() >= _MOST_BARS:
        raise SktrainError(
            f"ends: label {int(np.argmax(last))} ends at bar {last.max():,}, which is no position "
            "of a bar. Positions count bars from 0; pass times as a Series with bars_index."
        )
    return first, last, None


def _ends_of_labels(y):
    """When each of the labels is known, NaT where a row has none."""
    spans, axis = label_spans(y, y, caller="average_uniqueness")
    zone = (axis.index.levels[1] if isinstance(axis.index, pd.MultiIndex) else axis.index).tz
    ends = pd.DatetimeIndex(spans.end, tz=None if zone is None else "UTC")
    return pd.Series(ends if zone is None else ends.tz_convert(zone), index=y.index).where(
        y.notna()
    )


def _whole(name, values):
    array = np.asarray(values)
    if array.ndim != 1:
        raise SktrainError(f"{name} must be 1-D, got shape {array.shape}.")
    if not array.size:
        raise SktrainError(f"{name} is empty: there is no label.")
    if array.dtype.kind not in "iu":
        raise SktrainError(f"{name} must be whole bar positions, got dtype {array.dtype}.")
    return array.astype(np.int64)


def _refuse_backwards(first, last):
    wrong = last < first
    if wrong.any():
        label = int(np.argmax(wrong))
        raise SktrainError(
            f"Label {label} ends before it starts: bars {first[label]} to {last[label]} "
            f"({int(wrong.sum())} such labels)."
        )


def _ranges_of_times(ends, bars_index):
    if not len(ends):
        raise SktrainError("The Series of end times is empty: there is no label.")
    bars = (
        ends.index.union(_end_keys(ends.index, ends).dropna()) if bars_index is None else bars_index
    )
    bars = pd.Index(bars).unique().sort_values()
    first, last = bars.get_indexer(ends.index), np.full(len(ends), -1)
    known = ends.notna().to_numpy()
    last[known] = bars.get_indexer(_end_keys(ends.index[known], ends[known]))
    for what, missing in (("starts", first < 0), ("ends", known & (last < 0))):
        if missing.any():
            label = int(np.argmax(missing))
            raise SktrainError(
                f"Label {label} ({ends.index[label]} to {ends.iloc[label]}) {what} at a time that "
                "is no bar of bars_index."
            )
    _refuse_backwards(first[known], last[known])
    return first.astype(np.int64), last.astype(np.int64)


def _end_keys(index, ends):
    """The end of each label as an element of the bars' index."""
    if isinstance(index, pd.MultiIndex):
        return pd.MultiIndex.from_arrays(
            [index.get_level_values(0), pd.DatetimeIndex(ends)], names=index.names
        )
    return pd.DatetimeIndex(ends)


def sequential_bootstrap(
    starts: ArrayLike,
    ends: ArrayLike | None = None,
    *,
    n_samples: int | None = None,
    bars_index: pd.Index | None = None,
    random_state: RandomState = None,
) -> np.ndarray:
    """Draw labels with replacement, those least like the drawn ones more often.

    Each draw takes label i with a probability proportional to the mean, over its bars, of 1 / (1 +
    c), c being how many labels already drawn are alive at a bar (Lopez de Prado 2018, ch. 4.5).

    Parameters
    ----------
    starts, ends, bars_index
        Label spans, as for ``average_uniqueness``.
    n_samples : int, optional
        Draws; default as many as there are labels.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Returns
    -------
    ndarray of intp, shape (n_samples,)
        Positions of the labels drawn, in the order they were drawn.

    Raises
    ------
    SktrainError
        As for ``average_uniqueness``, and when an end time is unknown.

    Examples
    --------
    >>> from sktrain import sequential_bootstrap
    >>> sequential_bootstrap([0, 2, 4], [2, 3, 5], random_state=0)
    array([1, 2, 1])
    """
    first, last, _ = _ranges(starts, ends, bars_index)
    if (last < 0).any():
        raise SktrainError(
            f"Label {int(np.argmax(last < 0))} has no end time. Drop labels whose outcome is "
            "unknown."
        )
    draws = len(first) if n_samples is None else check_count("n_samples", n_samples)
    rng = check_random_state(random_state)
    drawn = np.empty(draws, dtype=np.intp)
    first, last, lengths = _stretches(first, last)
    share = np.ones(len(lengths))  # 1 / (1 + labels drawn and alive)
    for draw, chance in enumerate(rng.random_sample(draws)):
        drawn[draw] = _draw(draw_probabilities(share, first, last, lengths), chance)
        alive = slice(first[drawn[draw]], last[drawn[draw]] + 1)
        share[alive] = share[alive] / (1 + share[alive])  # 1 / (1 + c) becomes 1 / (2 + c)
    return drawn


def _stretches(first, last):
    """Bars between two events (a label begins or ends) are alike: ranges of stretches, and the bars
    in each stretch."""
    events = np.unique(np.concatenate([first, last + 1]))
    return np.searchsorted(events, first), np.searchsorted(events, last + 1) - 1, np.diff(events)


def draw_probabilities(share, first, last, lengths):
    """Chance of each label to be drawn next, given 1 / (1 + labels drawn and alive) per stretch of
    bars."""
    worth = _range_means(share * lengths, first, last) / _range_means(lengths, first, last)
    return worth / worth.sum()


def _draw(probabilities, chance):
    return min(
        int(np.searchsorted(np.cumsum(probabilities), chance, side="right")), len(probabilities) - 1
    )


def _ages(values, labels):
    """Uniqueness of all labels up to and including those of the label's own time."""
    timed = (pd.DatetimeIndex, pd.MultiIndex, pd.PeriodIndex)
    if not isinstance(getattr(labels, "index", None), timed):
        return np.cumsum(values)
    times, codes = np.unique(time_axis(labels).times, return_inverse=True)
    codes = codes.reshape(-1)
    return np.cumsum(np.bincount(codes, weights=values, minlength=len(times)))[codes]


@overload
def time_decay_weights(
    uniqueness: np.ndarray | Sequence[float], *, oldest: float = 0.5
) -> np.ndarray: ...


@overload
def time_decay_weights(uniqueness: pd.Series, *, oldest: float = 0.5) -> pd.Series: ...


def time_decay_weights(uniqueness: ArrayLike, *, oldest: float = 0.5) -> np.ndarray | pd.Series:
    """Weights that fall linearly with age, age counted in cumulative uniqueness (Lopez de Prado
    2018, ch. 4.7).

    Parameters
    ----------
    uniqueness : array-like of float, shape (n,)
        Average uniqueness of each label; or ones, to count age in labels. A Series indexed by time
        or (symbol, time) comes in any order, and labels of one time have one age; anything else is
        oldest first.
    oldest : float in (-1, 1], default=0.5
        Weight that the line reaches at age zero of the data, the newest label having 1. 1 is no
        decay; 0 falls to nothing at the oldest; a negative number lets the oldest share of -oldest
        labels weigh nothing.

    Returns
    -------
    ndarray of float, shape (n,), or Series indexed like ``uniqueness``
        In [0, 1], never falling in time; multiply it with the uniqueness for a ``sample_weight``.

    Raises
    ------
    SktrainError
        When ``oldest`` is out of range, or uniqueness is not positive and finite.

    Examples
    --------
    >>> from sktrain import time_decay_weights
    >>> time_decay_weights([1, 1, 1, 1], oldest=0.0)
    array([0.25, 0.5 , 0.75, 1.  ])
    """
    values = np.asarray(uniqueness, dtype=np.float64)
    check_number("oldest", oldest, -1, 1, closed="right")
    if values.ndim != 1 or not values.size:
        raise SktrainError(
            f"uniqueness must be 1-D and hold at least one label, got shape {values.shape}."
        )
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise SktrainError(
            f"uniqueness must be positive, got {values[np.argmax(bad)]} for label "
            f"{int(np.argmax(bad))}."
        )
    age = _ages(values, uniqueness)
    total = values.sum()
    slope = (1 - oldest) / total if oldest >= 0 else 1 / ((1 + oldest) * total)
    weights = np.clip(1 + slope * (age - total), 0, 1)
    return (
        pd.Series(weights, index=uniqueness.index, name="time_decay")
        if isinstance(uniqueness, pd.Series)
        else weights
    )

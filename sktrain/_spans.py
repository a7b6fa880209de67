"""The kernel for label spans: overlap, purge, embargo, concurrency. Everybody asks it; nobody rewrites it.

What enters: for every row the time it was decided (``start``) and the time its label was known (``end``), as int64 on one
common axis, and ``axis``, the sorted unique times of all rows. What leaves: boolean masks over the rows. Spans are closed at
both ends, ``[start, end]``: two spans that touch in a single instant overlap. An embargo is counted in whole unique times.
"""

from dataclasses import dataclass

import numpy as np

from .exceptions import SktrainError

__all__ = ["Cut", "Spans", "concurrency", "cut_blocks", "overlaps"]


@dataclass(frozen=True)
class Spans:
    """Label spans of n rows on one time axis.

    Attributes
    ----------
    start, end : ndarray of int64, shape (n,)
        Closed span of each row: decided at ``start``, known at ``end >= start``.
    axis : ndarray of int64, shape (n_times,)
        Sorted unique times of all rows, labelled or not.
    codes : ndarray of intp, shape (n,)
        Position of ``start`` in ``axis``.
    """

    start: np.ndarray
    end: np.ndarray
    axis: np.ndarray
    codes: np.ndarray

    @classmethod
    def from_times(cls, start, end):
        """Build spans from int64 times; the axis is the sorted unique starts."""
        start = np.asarray(start, dtype=np.int64)
        end = np.asarray(end, dtype=np.int64)
        if start.shape != end.shape or start.ndim != 1:
            raise SktrainError(f"starts and ends must be 1-D and of equal length, got shapes {start.shape} and {end.shape}.")
        backwards = np.flatnonzero(end < start)
        if backwards.size:
            raise SktrainError(
                f"label end times: row {backwards[0]} ends before it starts ({backwards.size} such rows). "
                "A label cannot be known before it is decided."
            )
        if start.size and (start[1:] > start[:-1]).all():
            return cls(start, end, start, np.arange(start.size))
        axis, codes = np.unique(start, return_inverse=True)
        return cls(start, end, axis, codes.reshape(-1))


@dataclass(frozen=True)
class Cut:
    """Three disjoint masks over the rows, whose union is the candidate mask that was given."""

    train: np.ndarray
    purged: np.ndarray
    embargoed: np.ndarray


def overlaps(start, end, low, high):
    """Which closed spans ``[start, end]`` share at least one instant with ``[low, high]``.

    Examples
    --------
    >>> import numpy as np
    >>> overlaps(np.array([0, 3]), np.array([2, 5]), 2, 2)
    array([ True, False])
    """
    return (start <= high) & (end >= low)


def cut_blocks(spans, blocks, candidate, known=None, *, embargo=0):
    """Which candidate rows may train when the rows of ``blocks`` are tested.

    A row before a block stays when its label is known strictly before the block's first time, and at least ``embargo`` whole
    unique times before it. A row after a block stays when it starts strictly after the block's latest label was known, and
    at least ``embargo`` whole unique times after that (Lopez de Prado 2018, ch. 7).

    Parameters
    ----------
    spans : Spans
        Spans of all n rows.
    blocks : sequence of (int, int)
        Closed ranges ``(first, last)`` of positions in ``spans.axis`` that are tested.
    candidate : ndarray of bool, shape (n,)
        Rows to choose from. Rows inside a block are never chosen.
    known : ndarray of bool, shape (n,), optional
        Rows with a label; only those have an outcome that can reach past a block. Default all.
    embargo : int, default=0
        Whole unique times between training labels and tested rows.

    Returns
    -------
    Cut
        Masks ``train``, ``purged`` (overlap) and ``embargoed`` (no overlap, but too near).
    """
    axis = spans.axis
    inside = np.zeros(len(spans.start), dtype=bool)
    clash = np.zeros_like(inside)
    near = np.zeros_like(inside)
    for first, last in blocks:
        within = (spans.codes >= first) & (spans.codes <= last)
        inside |= within
        before = spans.codes < first
        clash |= before & (spans.end >= axis[first])
        if embargo:
            near |= before & (spans.end > axis[first - embargo]) if first >= embargo else before
        tested = within if known is None else within & known
        latest = spans.end[tested].max() if tested.any() else axis[last]
        after = spans.codes > last
        clash |= after & (spans.start <= latest)
        near |= after & (spans.codes < np.searchsorted(axis, latest, side="left") + embargo)
    free = candidate & ~inside
    purged = free & clash
    embargoed = free & near & ~clash
    return Cut(free & ~purged & ~embargoed, purged, embargoed)


def concurrency(first, last, n_bars):
    """How many labels are alive at each bar.

    Parameters
    ----------
    first, last : ndarray of int, shape (n_labels,)
        Closed ranges of bar positions, ``0 <= first <= last < n_bars``.
    n_bars : int
        Number of bars.

    Returns
    -------
    ndarray of int64, shape (n_bars,)

    Examples
    --------
    >>> concurrency([0, 2, 4], [2, 3, 5], 6)
    array([1, 1, 2, 1, 1, 1])
    """
    change = np.bincount(first, minlength=n_bars + 1) - np.bincount(np.asarray(last) + 1, minlength=n_bars + 1)
    return np.cumsum(change)[:n_bars]

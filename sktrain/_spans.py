"""The kernel for label spans: overlap, purge, embargo, concurrency. All other modules
use it; none computes these again.

A row's span runs from the time it was decided (``start``) to the time its label was known
(``end``), as int64 on one common axis; ``axis`` has the sorted unique times of all rows. Results
are boolean masks over the rows. Spans are closed at both ends, ``[start, end]``: two spans that
touch in a single instant overlap. An embargo of k leaves exactly k unique times between the end of
a label and a row on the other side of the cut; an embargo in time leaves more than that time.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from .exceptions import InvalidSplitError, SktrainError

__all__ = [
    "Cut", "Spans", "clear_of", "concurrency", "cut_blocks", "places_before",
    "sorted_unique",
]  # fmt: skip


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
    source : str or None
        Where the ends were learned; None when nothing told them.
    """

    start: np.ndarray
    end: np.ndarray
    axis: np.ndarray
    codes: np.ndarray
    source: str | None = None

    @classmethod
    def from_times(cls, start, end, *, source=None):
        """Build spans from int64 times; the axis is the sorted unique starts.

        Raises
        ------
        SktrainError
            When the shapes differ, or a span ends before it starts.
        """
        start = np.asarray(start, dtype=np.int64)
        end = np.asarray(end, dtype=np.int64)
        if start.shape != end.shape or start.ndim != 1:
            raise SktrainError(
                f"starts and ends must be 1-D and of equal length, got shapes {start.shape} and "
                f"{end.shape}."
            )
        backwards = np.flatnonzero(end < start)
        if backwards.size:
            raise SktrainError(
                f"label end times: row {backwards[0]} ends before it starts ({backwards.size} "
                "such rows). A label cannot be known before it is decided."
            )
        if start.size and (start[1:] > start[:-1]).all():
            return cls(start, end, start, np.arange(start.size), source)
        axis, codes = np.unique(start, return_inverse=True)
        return cls(start, end, axis, codes.reshape(-1), source)

    @cached_property
    def order(self):
        """Permutation that sorts the rows by time, or None when they are in order."""
        return (
            None
            if (self.codes[1:] >= self.codes[:-1]).all()
            else np.argsort(self.codes, kind="stable")
        )

    def in_order(self, values):
        """``values`` (one per row) in order of time."""
        return values if self.order is None else values[self.order]

    def in_rows(self, values):
        """``values`` (in order of time) put back into the order of the rows."""
        if self.order is None:
            return values
        out = np.empty_like(values)
        out[self.order] = values
        return out

    @cached_property
    def _sorted(self):
        return self.in_order(self.codes), self.in_order(self.end)

    def within(self, first, last):
        """Rows decided at the positions ``first`` to ``last`` of the axis, both included.

        Returns
        -------
        ndarray of intp
            Row numbers, ascending.
        """
        codes, _ = self._sorted
        low, high = np.searchsorted(codes, [first, last + 1])
        return np.arange(low, high) if self.order is None else np.sort(self.order[low:high])


@dataclass(frozen=True)
class Cut:
    """Three disjoint masks over the rows; together they are the candidates that stand outside every
    block.

    Attributes
    ----------
    train : ndarray of bool, shape (n,)
        Rows that may train.
    purged : ndarray of bool, shape (n,)
        Rows whose label span overlaps a tested one.
    embargoed : ndarray of bool, shape (n,)
        Rows without overlap, but nearer than the embargo.
    """

    train: np.ndarray
    purged: np.ndarray
    embargoed: np.ndarray


def sorted_unique(times):
    """The distinct times in order; by sorting, which numpy's hash table needs many times as long
    for on times in order.

    Examples
    --------
    >>> sorted_unique(np.array([3, 1, 3]))
    array([1, 3])
    """
    ordered = np.sort(times)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def cut_blocks(spans, blocks, candidate, known=None, *, embargo=0):
    """Which candidate rows may train when the rows of ``blocks`` are tested.

    A row before a block stays when its label is known strictly before the first tested time, with
    the embargo between them. A row after a block stays when it starts strictly after the block's
    latest label was known, with the embargo between them (Lopez de Prado 2018, ch. 7).

    Parameters
    ----------
    spans : Spans
        Spans of all n rows.
    blocks : sequence of (int, int)
        Closed ranges ``(first, last)`` of positions in ``spans.axis`` that are tested.
    candidate : ndarray of bool, shape (n,)
        Rows to choose from. Rows inside a block are never chosen.
    known : ndarray of bool, shape (n,), optional
        Rows with a label; only those are tested, and only their outcomes reach past a block.
        Default all.
    embargo : int or Timedelta, default=0
        Unique times left out between labels and rows on the other side, or the time that must have
        passed and more.

    Returns
    -------
    Cut
        Masks ``train``, ``purged`` (overlap) and ``embargoed`` (no overlap, but too near).

    Raises
    ------
    InvalidSplitError
        When the embargo is negative.

    Examples
    --------
    >>> import numpy as np
    >>> days = np.arange(10)
    >>> spans = Spans.from_times(days, days + 2)
    >>> np.flatnonzero(cut_blocks(spans, [(0, 4)], np.ones(10, bool)).train)
    array([7, 8, 9])
    """
    _check_embargo(embargo)
    codes, ends = spans._sorted
    free = spans.in_order(candidate).copy()
    labelled = None if known is None else spans.in_order(known)
    clash, near = np.zeros_like(free), np.zeros_like(free)
    for first, last in blocks:
        low, high = np.searchsorted(codes, [first, last + 1])
        free[low:high] = False
        tested = slice(low, high) if labelled is None else low + np.flatnonzero(labelled[low:high])
        if not len(codes[tested]):  # nothing is tested here, so nothing can leak
            continue
        _reject_before(spans.axis, ends[:low], codes[tested][0], embargo, clash[:low], near[:low])
        latest = ends[tested].max()
        over, soon = np.searchsorted(
            codes, [clear_of(spans.axis, latest), clear_of(spans.axis, latest, embargo)]
        )
        clash[high:over] = True
        near[high:soon] = True
    purged = free & clash
    embargoed = free & near & ~clash
    return Cut(*(spans.in_rows(mask) for mask in (free & ~(clash | near), purged, embargoed)))


def places_before(spans, block, low, high, known, *, embargo=0):
    """Which rows before a block may train: :func:`cut_blocks` at the cost of the rows between.

    Parameters
    ----------
    spans : Spans
    block : (int, int)
        Closed range of positions in ``spans.axis`` that are tested.
    low, high : int
        Rows at ``low <= position < high`` to choose from; ``high`` is at most the block's first.
    known : ndarray of bool, shape (n,)
        Rows with a label, in order of time.
    embargo : int or Timedelta, default=0

    Returns
    -------
    ndarray of intp
        Places in order of time, ascending.

    Examples
    --------
    >>> import numpy as np
    >>> days = np.arange(10)
    >>> spans = Spans.from_times(days, days + 2)
    >>> places_before(spans, (6, 9), 1, 6, np.ones(10, bool))
    array([1, 2, 3])
    """
    _check_embargo(embargo)
    codes, ends = spans._sorted
    begin, stop, first, last = np.searchsorted(codes, [low, high, block[0], block[1] + 1])
    clash, near = np.zeros((2, stop - begin), dtype=bool)
    tested = np.flatnonzero(known[first:last])
    if len(tested):
        at = codes[first + tested[0]]
        _reject_before(spans.axis, ends[begin:stop], at, embargo, clash, near)
    return begin + np.flatnonzero(known[begin:stop] & ~(clash | near))


def _check_embargo(embargo):
    if embargo < (pd.Timedelta(0) if isinstance(embargo, pd.Timedelta) else 0):
        raise InvalidSplitError(f"embargo must be 0 or more, got {embargo}.")


def clear_of(axis, end, embargo=0):
    """The first position of the axis that is clear of labels known at ``end``.

    Parameters
    ----------
    axis : ndarray of int64
        Sorted unique times.
    end : int or ndarray of int64
        When labels were known.
    embargo : int or Timedelta, default=0
        Unique times left out after ``end``, or the time by which ``end`` must have passed.

    Returns
    -------
    int or ndarray of intp
        ``len(axis)`` or more where no row is clear.

    Examples
    --------
    >>> clear_of(np.arange(10), 3), clear_of(np.arange(10), 3, embargo=2)
    (np.int64(4), np.int64(6))
    """
    if isinstance(embargo, pd.Timedelta):
        return np.searchsorted(axis, end + embargo.as_unit("ns").value, side="right")
    return np.searchsorted(axis, end, side="right") + embargo


def _reject_before(axis, ends, first, embargo, clash, near):
    """Mark rows before a block whose outcome reaches the first tested position, or comes too
    near."""
    clash |= ends >= axis[first]
    if isinstance(embargo, pd.Timedelta):
        near |= ends >= axis[first] - embargo.as_unit("ns").value
    elif embargo > first:
        near[:] = True
    elif embargo:  # as ``clear_of(axis, ends, embargo) > first``, without a search per row
        near |= ends >= axis[first - embargo]


def concurrency(first, last, n_bars):
    """How many labels are alive at each bar.

    Parameters
    ----------
    first, last : array-like of int, shape (n_labels,)
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
    change = np.bincount(first, minlength=n_bars + 1) - np.bincount(
        np.asarray(last) + 1, minlength=n_bars + 1
    )
    return np.cumsum(change)[:n_bars]

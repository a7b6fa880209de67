"""The mark that says which rows a resampler made, from which rows, and which they stand for.

It lies on the labels and rows that a resampler returns. Whoever holds rows back asks it: a row that
was made from training rows is no evidence, and a row that was made from tested rows is no training
row. It also tells the time of rows without index: of the row that each of them stands for.
"""

from dataclasses import dataclass
from typing import Any
import warnings

import numpy as np
import pandas as pd

from .._history import Handle, locate_rows
from ..exceptions import ResamplingWarning

__all__ = [
    "MarkedLabels", "Resampled", "attrs_of_taken", "mark_synthetic", "resampled_rows",
    "synthetic_rows",
]  # fmt: skip

_KEY = "synthetic"
_TIMED = (pd.DatetimeIndex, pd.MultiIndex, pd.PeriodIndex)


@dataclass(frozen=True)
class Resampled:
    """What a mark says about n rows.

    Attributes
    ----------
    synthetic : ndarray of bool, shape (n,)
        Rows that were made.
    parents : ndarray of intp, shape (n, 2), or None
        The two rows that each row was made from, itself where it is real; -1 where that row is not
        here. None where it is not known.
    origin : ndarray of intp, shape (n,), or None
        The row before resampling that each row stands for; None where it is not known.
    """

    synthetic: np.ndarray
    parents: np.ndarray | None = None
    origin: np.ndarray | None = None

    def without_orphans(self, train: np.ndarray) -> np.ndarray:
        """Rows of a mask that are real, or whose parents are both in it."""
        if self.parents is None:
            return train & ~self.synthetic
        return train & ((self.parents >= 0) & train[self.parents]).all(axis=1)


class Synthetic(Handle):
    """A handle that holds, for every row of a resampled table, its parents and the row it stands
    for.

    Attributes
    ----------
    parents : ndarray of intp, shape (n, 2)
    origin : ndarray of intp, shape (n,)
    distinct : bool
        Whether every row before resampling had an index of its own.
    index : pandas.Index or None
        Of the resampled rows, where they are indexed by time and ``distinct``.
    """

    __slots__ = ("distinct", "index", "origin", "parents")

    def __init__(self, parents, origin, distinct, uid=None, index=None):
        super().__init__(uid)
        self.parents, self.origin, self.distinct, self.index = parents, origin, distinct, index

    def __reduce__(self):
        return Synthetic, (self.parents, self.origin, self.distinct, self._uid, self.index)

    @property
    def mask(self):
        """Which rows were made."""
        return self.parents[:, 0] != np.arange(len(self.parents))

    def take(self, places: np.ndarray) -> "Synthetic":
        """The handle of some of the rows; parents that are not among them are -1."""
        at = self._at(places)
        index = None if self.index is None else self.index[places]
        return Synthetic(at.parents, at.origin, self.distinct, index=index)

    def of(self, rows: Any) -> Resampled | None:
        """What is known of rows that carry this handle: the resampled rows or some of them, or None
        where that cannot be told."""
        n, index = rows.shape[0], getattr(rows, "index", None)
        if isinstance(index, _TIMED):
            if n == len(self.origin) and (
                not self.distinct or np.array_equal(index.duplicated(), self.mask)
            ):
                return self._at(np.arange(n))
            return None if self.index is None else self._of_times(index)
        if index is None:
            return self._at(np.arange(n)) if n == len(self.origin) else None
        numbers = index.to_numpy()
        known = numbers.dtype.kind in "iu" and index.is_unique
        if not known or ((numbers < 0) | (numbers >= len(self.origin))).any():
            return None
        return self._at(numbers)

    def _of_times(self, index):
        """As :meth:`of`, for rows that share their times with those made from them."""
        known, first = np.unique(self.origin, return_index=True)
        found = locate_rows(self.index[first], index)
        if not len(index) or (found < 0).any():
            return None
        origin = known[found]
        places = self._slice(origin)
        return self._in_order(origin) if places is None else self._at(places)

    def _slice(self, origin):
        """Places of rows that are a slice with any step; None where they are no slice."""
        n, last = len(origin), len(self.origin)
        if n < 2:
            return None
        begin, then = (np.flatnonzero(self.origin == one) for one in origin[:2])
        step = (then[None, :] - begin[:, None]).ravel()
        begin = np.repeat(begin, len(then))
        end = begin + step * (n - 1)
        fits = (step != 0) & (end >= 0) & (end < last)
        fits[fits] = self.origin[end[fits]] == origin[-1]
        begin, step = begin[fits], step[fits]
        nearest = np.argsort(np.abs(step), kind="stable")
        for a, by in zip(begin[nearest], step[nearest]):
            places = a + by * np.arange(n)
            if np.array_equal(self.origin[places], origin):
                return places
        return None

    def _in_order(self, origin):
        """What is known of rows in the order in which they were (folds, masks): of the rows of one
        time, the first is the real one, as in the folds of sktrain's splitters. Where some of them
        are not here, those that were made have no known parents."""
        order, own = (np.argsort(one, kind="stable") for one in (origin, self.origin))
        wanted, has = origin[order], self.origin[own]
        nth = np.arange(len(order)) - np.searchsorted(wanted, wanted)
        begin, end = (np.searchsorted(has, wanted, side) for side in ("left", "right"))
        if (begin + nth >= end).any():
            return None
        places = np.empty_like(order)
        places[order] = own[begin + nth]
        if (np.diff(places) <= 0).any():
            return None
        here = np.searchsorted(wanted, origin, "right") - np.searchsorted(wanted, origin)
        there = np.searchsorted(has, origin, "right") - np.searchsorted(has, origin)
        found = self._at(places)
        found.parents[found.synthetic & (here < there)] = -1
        return found

    def _at(self, places):
        here = np.full(len(self.origin), -1)
        here[places] = np.arange(len(places))
        parents = self.parents[places]
        here = np.where(parents < 0, -1, here[parents])
        return Resampled(self.mask[places], here, self.origin[places])


class MarkedLabels(np.ndarray):
    """Labels as an array that carries attrs, as a Series does: rows that are taken from it (folds)
    keep the mark, what is computed from it is a plain array.

    Examples
    --------
    >>> parents = np.array([[0, 0], [1, 1], [0, 1]])
    >>> labels = mark_synthetic(np.array([1, 1, 1]), parents, origin=np.array([0, 1, 0]))
    >>> resampled_rows(labels[1:]).synthetic, type(labels == 1).__name__
    (array([False,  True]), 'ndarray')
    """

    attrs: dict

    def __array_finalize__(self, obj):
        self.attrs = {}

    def __array_wrap__(self, array, context=None, return_scalar=False):
        return array[()] if return_scalar else np.asarray(array)

    def __getitem__(self, key):
        taken = np.asarray(self)[key]
        if np.ndim(taken) != 1 or _KEY not in self.attrs:
            return taken
        return _marked(taken, attrs_of_taken(self.attrs, key, len(self)))

    def __repr__(self):
        return repr(np.asarray(self))

    def with_values(self, values: np.ndarray) -> "MarkedLabels":
        """Other labels of the same rows."""
        return _marked(values, self.attrs)

    def __reduce__(self):
        return _marked, (np.asarray(self), self.attrs)


def _marked(labels, attrs):
    out = np.asarray(labels).view(MarkedLabels)
    out.attrs = attrs
    return out


def mark_synthetic(
    rows: Any, parents: np.ndarray, origin: np.ndarray, *, distinct: bool = True
) -> Any:
    """Resampled rows or labels that say which of them were made.

    Parameters
    ----------
    rows : Series, DataFrame, WindowedArray or ndarray of length n
        Marked in place where it carries attrs.
    parents : ndarray of int, shape (n, 2)
        Places among the n rows of the two that each was made from; a real row is its own parent.
    origin : ndarray of int, shape (n,)
        The row before resampling that each stands for.
    distinct : bool, default=True
        Whether every row before resampling had an index of its own.

    Returns
    -------
    object
        ``rows``; vectors of labels as :class:`MarkedLabels`, and lists as they are.
    """
    if isinstance(rows, np.ndarray):
        rows = _marked(rows, {}) if rows.ndim == 1 else rows
    if hasattr(rows, "attrs"):
        index = getattr(rows, "index", None)
        timed = index if distinct and isinstance(index, _TIMED) else None
        rows.attrs[_KEY] = Synthetic(
            np.asarray(parents), np.asarray(origin), distinct, index=timed
        )
    return rows


def attrs_of_taken(attrs: dict, places: Any, n: int) -> dict:
    """The attrs of the rows at ``places`` of n rows that have ``attrs``: a mark follows them.

    Parameters
    ----------
    attrs : dict
    places : slice, mask or array of int
    n : int

    Returns
    -------
    dict
    """
    mark = attrs.get(_KEY)
    if not isinstance(mark, Synthetic) or len(mark.origin) != n:
        return attrs
    return {**attrs, _KEY: mark.take(np.arange(n)[places])}


def resampled_rows(X: Any, y: Any = None) -> Resampled | None:
    """What the mark on ``X``, or on ``y``, says of their rows; None where neither carries one.

    Warns
    -----
    ResamplingWarning
        There is a mark, but rows were taken from the table in a way that hides which.
    """
    carries = False
    for rows in (X, y):
        handle = getattr(rows, "attrs", {}).get(_KEY)
        if isinstance(handle, Synthetic):
            found = handle.of(rows)
            if found is not None:
                return found
            carries = True
    if carries:
        warnings.warn(
            "Some of these rows were made by a resampler, and which of them can no longer be told: "
            "they may be tested beside the rows they were made from. Resample inside the folds "
            "(imblearn's Pipeline, ResampledClassifier).",
            ResamplingWarning,
            stacklevel=4,
        )
    return None


def synthetic_rows(X: Any, y: Any = None) -> np.ndarray:
    """Which rows a resampler marked as synthetic, on ``X`` or on ``y``."""
    found = resampled_rows(X, y)
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    return np.zeros(n, dtype=bool) if found is None else found.synthetic

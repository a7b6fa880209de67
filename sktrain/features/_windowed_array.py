"""The lazy window view: nothing is copied before it is asked for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike
import pandas as pd

from .._history import attrs_around
from .._validation import attrs_of_taken

__all__ = ["WindowedArray"]


class WindowedArray:
    """An array of shape (n, lookback, n_features) whose windows all point into one 2-D base array.

    scikit-learn indexes, splits and counts it like an ndarray; slicing rows gives another view on
    the same base. Materialise it with ``np.asarray(windows)``, or a batch with :meth:`gather`.

    Parameters
    ----------
    base : ndarray of float, shape (n_base, n_features)
        Rows in order of time, instruments one after the other.
    ends : ndarray of int, shape (n,)
        Place in ``base`` of the last row of each window.
    firsts : ndarray of int, shape (n,)
        Place of the first row that may belong to the window (the start of its instrument); earlier
        steps are NaN.
    lookback : int
        Rows per window.
    index : pandas.Index of length n, optional
        The rows' own index, so that splitters and nets know their times.
    columns : sequence of str, optional
        Names of the features.
    attrs : dict, optional
        What the rows carry, as ``DataFrame.attrs``; slices keep it.

    Attributes
    ----------
    shape, ndim, dtype, size
        As of an ndarray.

    Examples
    --------
    >>> import numpy as np
    >>> windows = WindowedArray(np.arange(4.0)[:, None], np.arange(4), np.zeros(4, int), 2)
    >>> windows.gather()[:, :, 0]
    array([[nan,  0.],
           [ 0.,  1.],
           [ 1.,  2.],
           [ 2.,  3.]])
    >>> windows[[3, 1]]
    WindowedArray(shape=(2, 2, 1), dtype=float64)
    """

    __slots__ = ("attrs", "base", "columns", "ends", "firsts", "index", "lookback")
    ndim = 3

    def __init__(
        self,
        base: np.ndarray,
        ends: np.ndarray,
        firsts: np.ndarray,
        lookback: int,
        *,
        index: pd.Index | None = None,
        columns: Sequence[str] | None = None,
        attrs: dict | None = None,
    ) -> None:
        self.attrs = {} if attrs is None else dict(attrs)
        self.base = base
        self.ends = np.asarray(ends, dtype=np.intp)
        self.firsts = np.asarray(firsts, dtype=np.intp)
        self.lookback = int(lookback)
        self.index = index
        self.columns = None if columns is None else tuple(columns)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, steps and features: tuple of three int."""
        return len(self.ends), self.lookback, self.base.shape[1]

    @property
    def size(self) -> int:
        """Values in all windows, repeated ones counted: int."""
        return len(self.ends) * self.lookback * self.base.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """Type of the values, that of ``base``: numpy dtype."""
        return self.base.dtype

    def __len__(self):
        return len(self.ends)

    def __repr__(self):
        return f"WindowedArray(shape={self.shape}, dtype={self.dtype})"

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        """Rows by slice, positions or mask give a view, one integer a (lookback, n_features) array;
        more axes give an array."""
        if isinstance(key, tuple):
            rest = tuple(key[1:])
            if key and key[0] is Ellipsis:
                return np.asarray(self)[key]
            if any(
                part is not Ellipsis and not (isinstance(part, slice) and part == slice(None))
                for part in rest
            ):
                taken = self[key[0]]
                return (
                    taken[rest]
                    if isinstance(taken, np.ndarray)
                    else taken.gather()[(slice(None), *rest)]
                )
            key = key[0] if key else slice(None)
        if key is Ellipsis:
            return self
        ends = self.ends[key]
        if ends.ndim == 0:
            return self.gather(np.array([key], dtype=np.intp))[0]
        if ends.ndim != 1:
            raise IndexError(
                "Rows of a WindowedArray are chosen by one axis, got positions of shape "
                f"{np.shape(key)}."
            )
        index = (
            None
            if self.index is None
            else self.index[np.asarray(key) if isinstance(key, list) else key]
        )
        return WindowedArray(
            self.base,
            ends,
            self.firsts[key],
            self.lookback, index=index, columns=self.columns,
            attrs=attrs_of_taken(self.attrs, key, len(self)),
        )

    def gather(
        self, rows: np.ndarray | slice | None = None, dtype: DTypeLike | None = None
    ) -> np.ndarray:
        """Copy the windows of ``rows``.

        Parameters
        ----------
        rows : array of int, slice or mask, optional
            Rows of this view, in any order; default all.
        dtype : dtype, optional
            Of the result; default the base's.

        Returns
        -------
        ndarray, shape (len(rows), lookback, n_features)
            Steps before the first known row are NaN.
        """
        ends = self.ends if rows is None else self.ends[rows]
        firsts = self.firsts if rows is None else self.firsts[rows]
        places = ends[:, None] + np.arange(1 - self.lookback, 1)
        short = np.flatnonzero(places[:, 0] < firsts) if len(ends) else np.empty(0, np.intp)
        unknown = places[short] < firsts[short, None]
        places[short] = np.maximum(places[short], firsts[short, None])
        out = np.take(self.base, places, axis=0)
        if dtype is not None:
            out = out.astype(dtype, copy=False)
        if len(short):
            part = out[short]
            part[unknown] = np.nan
            out[short] = part
        return out

    def astype(self, dtype: DTypeLike, copy: bool = True) -> "WindowedArray":
        """The same view on a base of another floating dtype.

        Parameters
        ----------
        dtype : numpy dtype
            Floating type.
        copy : bool, default=True
            Whether to copy ``base`` where it has that type already.

        Returns
        -------
        WindowedArray
            With the same rows, index, columns and attrs.
        """
        base = self.base.astype(dtype, copy=copy)
        return WindowedArray(
            base, self.ends, self.firsts, self.lookback, index=self.index, columns=self.columns,
            attrs=self.attrs,
        )

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError(
                "A WindowedArray has no array to share: np.asarray(windows) must copy every window."
            )
        return self.gather(dtype=dtype)

    def __reduce__(self):
        """Pickle only the stretch of the base that the windows reach."""
        low = high = 0
        if len(self.ends):
            low = int(np.maximum(self.ends - self.lookback + 1, self.firsts).min())
            high = int(self.ends.max()) + 1
        base = self.base[low:high]
        if base.size < self.base.size:
            base = base.copy()
        state = (
            base,
            self.ends - low,
            np.maximum(self.firsts - low, 0),
            self.lookback, self.index, self.columns, attrs_around(self.attrs, self.index),
        )
        return _rebuild, state


def _rebuild(base, ends, firsts, lookback, index, columns, attrs=None):
    return WindowedArray(base, ends, firsts, lookback, index=index, columns=columns, attrs=attrs)

"""Input validation: a DataFrame, an array or a panel as columns in order of time.

A :class:`Sample` has the columns, unchanged, and says which rows share a time. For arrays, and
frames whose index holds no times, the order of the rows is the order of time.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from .._validation import refuse_infinite_column, time_axis
from ..exceptions import InvalidBarsError, SktrainError

__all__ = ["Sample", "as_before", "read_sample"]

_KEPT_TIMES = 8_192  # times from which dependence is learned, a judgment
_BLOCKS = 8  # stretches they are taken in when there are more, a judgment
_KEPT_ROWS = 200_000  # rows of a panel from which dependence is learned, a judgment


@dataclass(frozen=True)
class Sample:
    """Columns in order of time.

    Attributes
    ----------
    names : list of str
    columns : list of ndarray
        Float arrays (NaN is missing), or object arrays of categories.
    missing : list of (bool ndarray or None)
        For categories, where they are missing; None for numeric columns.
    resolutions : list of float
        Of the storage of numbers, relative to the value (``eps`` of float64 for integers); 0 for
        categories.
    extremes : ndarray (n_columns, 2)
        Smallest and largest number of every column as it was read; NaN for categories.
    n_rows, n_times : int
    order : ndarray of intp or None
        Rows in order of time; None when they already are.
    first_rows : ndarray of intp or None
        Where each time starts in that order; None when every row is a time of its own.
    start, end : object
        First and last time, None without times.
    """

    names: list
    columns: list
    missing: list
    resolutions: list
    extremes: np.ndarray
    n_rows: int
    n_times: int
    order: np.ndarray | None
    first_rows: np.ndarray | None
    start: object
    end: object

    def take(self, kept):
        """The rows where ``kept`` is True."""
        order = np.arange(self.n_rows) if self.order is None else self.order
        stays = kept[order]
        renumbered = (np.cumsum(kept) - 1)[order[stays]]
        heads, n_times = None, int(kept.sum())
        if self.first_rows is not None:
            time = np.repeat(
                np.arange(self.n_times), np.diff(np.append(self.first_rows, self.n_rows))
            )[stays]
            heads = np.flatnonzero(np.diff(time, prepend=-1))
            n_times = len(heads)
        return replace(
            self,
            columns=[values[kept] for values in self.columns],
            missing=[None if absent is None else absent[kept] for absent in self.missing],
            n_rows=int(kept.sum()),
            n_times=n_times,
            order=None if self.order is None else renumbered,
            first_rows=heads,
        )

    def stretches(self):
        """Ranges of consecutive times from which dependence is learned: all of them, or eight when
        there are many."""
        limit = (
            _KEPT_TIMES
            if self.first_rows is None
            else int(np.clip(_KEPT_ROWS * self.n_times // self.n_rows, 512, _KEPT_TIMES))
        )
        if self.n_times <= limit:
            return [(0, self.n_times)]
        length = limit // _BLOCKS
        starts = np.linspace(0, self.n_times - length, _BLOCKS).astype(np.intp)
        return [(int(start), int(start) + length) for start in starts]

    def rows(self, stretch):
        """Row numbers (a slice where possible) of a range of times."""
        low, high = stretch
        if self.first_rows is not None:
            low, high = (
                int(self.first_rows[low]),
                int(self.first_rows[high]) if high < self.n_times else self.n_rows,
            )
        return slice(low, high) if self.order is None else self.order[low:high]

    def heads(self, stretch):
        """Where each time starts among ``rows(stretch)``; None when every row is a time of its
        own."""
        if self.first_rows is None:
            return None
        low, high = stretch
        return self.first_rows[low:high] - self.first_rows[low]


_DOUBLE = float(np.finfo(np.float64).eps)


def _object_column(values, name):
    """Floats when every value is a number or a truth value; categories when they are strings or a
    mix with them."""
    missing = np.asarray(pd.isna(values))
    kinds = {type(value) for value in values[~missing]}
    odd = [
        kind
        for kind in kinds
        if not issubclass(kind, (str, bytes, bool, np.bool_, int, float, np.number))
    ]
    if any(issubclass(kind, complex) for kind in kinds):
        raise SktrainError(f"Complex data not supported: column {name!r}.")
    if odd:
        raise TypeError(
            f"Column {name!r}: argument must be a string or a number, got values of type "
            f"{odd[0].__name__}."
        )
    if any(issubclass(kind, (str, bytes)) for kind in kinds):
        return values, missing, 0.0
    eps = max(
        (_resolution(np.dtype(kind)) for kind in kinds if issubclass(kind, np.floating)),
        default=_DOUBLE,
    )
    return np.where(missing, np.nan, values).astype(np.float64), None, eps


def _resolution(dtype):
    return max(float(np.finfo(dtype).eps), _DOUBLE) if dtype.kind == "f" else _DOUBLE


def _read_column(values, name):
    """Float values, None and their resolution; or categories, where they are missing, and 0."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "c":
        raise SktrainError(f"Complex data not supported: column {name!r}.")
    if isinstance(dtype, np.dtype) and dtype.kind in "fiu":
        return (
            (values.to_numpy() if hasattr(values, "to_numpy") else values),
            None,
            _resolution(dtype),
        )
    if isinstance(dtype, np.dtype) and dtype.kind == "b":
        return np.asarray(values, dtype=np.float64), None, _DOUBLE
    if isinstance(dtype, pd.CategoricalDtype) or (
        isinstance(dtype, np.dtype) and dtype.kind in "US"
    ):
        values = np.asarray(values, dtype=object)
        return values, np.asarray(pd.isna(values)), 0.0
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        stored = np.dtype(getattr(dtype, "numpy_dtype", np.float64))
        return values.to_numpy(dtype=np.float64, na_value=np.nan), None, _resolution(stored)
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        raise SktrainError(
            f"Column {name!r} holds {dtype}, which drifts by nature. Put times into the index, or "
            "turn them into features."
        )
    return _object_column(np.asarray(values, dtype=object), name)


def _extremes(values):
    """Smallest and largest number of every column of an array, NaN left out; NaN where there is
    none."""
    if not len(values):
        return np.full((values.shape[1], 2), np.nan)
    with np.errstate(invalid="ignore"):
        return np.stack(
            [np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)], axis=1
        ).astype(np.float64)


def _time_order(X):
    """Rows in order of time, where each time starts, and the first and last time."""
    index: Any = getattr(X, "index", None)
    timed = isinstance(index, pd.DatetimeIndex) or (
        isinstance(index, pd.MultiIndex) and index.nlevels == 2
    )
    if not timed or (
        isinstance(index, pd.MultiIndex) and not isinstance(index.levels[1], pd.DatetimeIndex)
    ):
        return None, None, len(X), None, None
    times = time_axis(X).times
    stamps = index if isinstance(index, pd.DatetimeIndex) else index.get_level_values(1)
    steps = np.diff(times)
    order = None
    if (steps < 0).any():
        order = np.argsort(times, kind="stable")
        steps = np.diff(times[order])
    first, last = (0, len(X) - 1) if order is None else (order[0], order[-1])
    if len(X) == 0:
        return order, None, 0, None, None
    if (steps > 0).all():
        return order, None, len(X), stamps[first], stamps[last]
    heads = np.concatenate([[0], np.flatnonzero(steps) + 1])
    return order, heads, len(heads), stamps[first], stamps[last]


def read_sample(X):
    """Read rows for a drift check.

    Parameters
    ----------
    X : DataFrame, Series or array-like, shape (n_rows, n_features)
        Numbers (NaN is missing), strings, categories or booleans.

    Returns
    -------
    Sample

    Raises
    ------
    SktrainError
        For infinities (column and row are named), times as values, and anything that is not
        two-dimensional.
    """
    if sparse.issparse(X):
        raise TypeError("Sparse data was passed, but dense data is required. Use X.toarray().")
    if isinstance(X, pd.Series):
        X = X.to_frame(X.name if X.name is not None else "x0")
    if not isinstance(X, pd.DataFrame):
        X = np.asarray(X)
        if X.ndim != 2:
            raise SktrainError(
                f"Expected 2D array, got {X.ndim}D array instead: shape {X.shape}. "
                "Reshape your data: drift is checked on rows of features, so check windows before "
                "they are cut."
            )
    if X.shape[1] == 0:
        raise SktrainError(f"0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    frame = isinstance(X, pd.DataFrame)
    names = [str(name) for name in X.columns] if frame else [f"x{i}" for i in range(X.shape[1])]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise InvalidBarsError(f"Column {double!r} stands more than once. Keep one of them.")
    known = _extremes(X) if not frame and X.dtype.kind in "fiu" else None
    columns, missing, resolutions, extremes = [], [], [], np.full((len(names), 2), np.nan)
    for i, name in enumerate(names):
        values, absent, eps = _read_column(X.iloc[:, i] if frame else X[:, i], name)
        if absent is None:
            extremes[i] = _extremes(values[:, None])[0] if known is None else known[i]
            if np.isinf(extremes[i]).any():
                refuse_infinite_column(values, name, X.index if frame else None)
        columns.append(values)
        missing.append(absent)
        resolutions.append(eps)
    order, heads, n_times, start, end = _time_order(X)
    return Sample(
        names, columns, missing, resolutions, extremes, len(X), n_times, order, heads, start, end
    )


def as_before(sample, kinds):
    """The sample with its columns read as they were before: one without any value is of no kind of
    its own.

    Parameters
    ----------
    sample : Sample
    kinds : list of {"numeric", "categorical", None}
        Of the columns then; None for one that held nothing.

    Raises
    ------
    SktrainError
        For a column of the other kind.
    """
    columns, missing = list(sample.columns), list(sample.missing)
    for i, (name, kind) in enumerate(zip(sample.names, kinds)):
        now = "numeric" if missing[i] is None else "categorical"
        if kind is None or kind == now:
            continue
        if not pd.isna(columns[i]).all():
            raise SktrainError(
                f"Column {name!r} was {kind} in fit and is {now} now. Convert one of them."
            )
        nothing = np.full(sample.n_rows, np.nan)
        columns[i], missing[i] = (
            (nothing, None)
            if kind == "numeric"
            else (nothing.astype(object), np.ones(sample.n_rows, dtype=bool))
        )
    return replace(sample, columns=columns, missing=missing)

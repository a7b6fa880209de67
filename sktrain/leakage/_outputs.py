"""Outputs of a model beside its rows: times, columns and cells that can be compared."""

from dataclasses import dataclass
from typing import Any
import warnings

import numpy as np
import pandas as pd

from ._perturbation import row_times

__all__ = ["Output", "UnusableOutputError", "differ", "index_of", "moved_cells"]

_SCALE_ROWS = 256  # rows that tell a column's size, a judgment: a median needs few
# Least relative change that counts, by bytes of a float: half its digits, so that another order
# of summation (an error of some hundred units in the last place) stays below.
_TOLERANCE = {2: 2e-2, 4: 1e-4, 8: 1e-7}


class UnusableOutputError(Exception):
    """The output of a model cannot be set beside its input rows; ``code`` is that of the
    finding."""

    def __init__(self, message, code="could_not_run"):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Output:
    """An output set beside its rows: the time of every row and a way to take rows as a 2-D
    array."""

    times: np.ndarray
    columns: list
    values: Any
    by_index: bool
    horizon: int | None

    @classmethod
    def of(cls, out, X):
        attrs = getattr(out, "attrs", {})
        horizon = attrs.get("label_horizon") if isinstance(out, (pd.Series, pd.DataFrame)) else None
        if isinstance(out, pd.Series):
            out = out.to_frame("output" if out.name is None else out.name)
        if isinstance(out, tuple) or not hasattr(out, "__len__") or isinstance(out, str):
            raise UnusableOutputError(f"the output is a {type(out).__name__}, not one row per row")
        if isinstance(out, list):
            out = np.asarray(out)
        n = out.shape[0]
        if n != len(X):
            if not isinstance(
                getattr(out, "index", None), (pd.DatetimeIndex, pd.MultiIndex)
            ) or not isinstance(out, pd.DataFrame):
                raise UnusableOutputError(
                    f"the output has {n} rows for {len(X)} rows of input and no index to set it "
                    "beside them",
                    "rows_dropped",
                )
            return cls(row_times(out), list(out.columns), out, True, horizon)
        if isinstance(out, pd.DataFrame):
            own = out.index
            moved = (
                isinstance(own, pd.DatetimeIndex)
                and index_of(X) is not None
                and not own.equals(X.index)
            )
            return cls(
                row_times(out) if moved else row_times(X),
                list(out.columns),
                out,
                bool(moved),
                horizon,
            )
        width = int(np.prod(out.shape[1:])) if len(out.shape) > 1 else 1
        return cls(row_times(X), list(range(width)), out, False, horizon)

    def matrix(self, positions):
        """The rows as one 2-D array of plain numbers; None when some column holds anything else."""
        if isinstance(self.values, pd.DataFrame):
            kinds = {
                dtype.str[1:] if isinstance(dtype, np.dtype) else "O"
                for dtype in self.values.dtypes
            }
            plain = kinds == {"f4"} or kinds <= {"f8", "i8", "i4", "i2", "i1"}
            return self.values.iloc[positions].to_numpy() if plain and kinds else None
        taken = self.values[positions]
        taken = taken.toarray() if hasattr(taken, "toarray") else np.asarray(taken)
        return taken.reshape(len(positions), -1) if taken.dtype.kind in "fiu" else None

    def rows(self, positions):
        """The rows by column."""
        if isinstance(self.values, pd.DataFrame):
            taken = self.values.iloc[positions]
            return {name: _cells(taken.iloc[:, place]) for place, name in enumerate(self.columns)}
        taken = self.values[positions]
        taken = taken.toarray() if hasattr(taken, "toarray") else np.asarray(taken)
        taken = taken.reshape(len(positions), -1)
        return {name: taken[:, name] for name in range(taken.shape[1])}


def index_of(rows):
    """The index of pandas rows; a list has a method of that name."""
    index = getattr(rows, "index", None)
    return index if isinstance(index, pd.Index) else None


def _cells(column):
    """Cells of one column that compare well: codes would hide a change of categories."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(object).to_numpy()
    if pd.api.types.is_extension_array_dtype(column.dtype) and pd.api.types.is_numeric_dtype(
        column.dtype
    ):
        return column.to_numpy(np.float64, na_value=np.nan)
    return column.to_numpy()


def differ(one, other):
    """Which cells of two columns, or of two tables of numbers, differ by more than rounding;
    missing equals missing."""
    if one.dtype.kind in "fiub" and other.dtype.kind in "fiub":
        return _numbers_differ(one, other)
    a, b = one.astype(object), other.astype(object)
    return np.fromiter(
        (not (x is y or (pd.isna(x) and pd.isna(y)) or _equal(x, y)) for x, y in zip(a, b)),
        bool,
        len(a),
    )


def _numbers_differ(one, other):
    size = min(part.dtype.itemsize if part.dtype.kind == "f" else 8 for part in (one, other))
    with np.errstate(invalid="ignore"):
        odd = np.nonzero(~((one == other) | ((one != one) & (other != other))))
    moved = np.zeros(one.shape, dtype=bool)
    if not len(odd[0]):
        return moved
    a, b = one[odd].astype(np.float64), other[odd].astype(np.float64)
    scale = _scale(one)
    size_of_cell = np.maximum(np.abs(a), scale[odd[1]] if one.ndim == 2 else scale)
    with np.errstate(invalid="ignore"):
        far = np.abs(a - b) > _TOLERANCE.get(size, 1e-7) * size_of_cell + 1e-300
    moved[odd] = far | ~(np.isfinite(a) & np.isfinite(b))
    return moved


def _scale(values):
    """Median size of each column's finite values, over evenly spaced rows."""
    sample = values[:: max(len(values) // _SCALE_ROWS, 1)].astype(np.float64)
    sizes = np.abs(np.where(np.isfinite(sample), sample, np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without finite values has size 0
        return np.nan_to_num(np.nanmedian(sizes, axis=0))


def moved_cells(clean, dirty, rows, there, *, may_lack=False):
    """Cells that differ, shape (rows, columns).

    With ``may_lack`` a label may be unknown when rows after its end are missing: that is caution.
    """
    one, other = clean.matrix(rows), dirty.matrix(there)
    if one is not None and other is not None:
        lacks = np.isnan(other.astype(np.float64)) if may_lack else False
        return differ(one, other) & ~np.asarray(lacks)
    one, other = clean.rows(rows), dirty.rows(there)
    moved = [
        differ(a, b) & ~(pd.isna(b.astype(object)) if may_lack else False)
        for a, b in zip(one.values(), other.values())
    ]
    return np.column_stack(moved)


def _equal(x, y):
    same = x == y
    return bool(np.all(same))

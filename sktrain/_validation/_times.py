"""When each row was decided: int64 nanoseconds and symbol codes."""

from dataclasses import dataclass
from datetime import date
import re
import warnings

import numpy as np
import pandas as pd

from ..exceptions import DataQualityWarning, InvalidBarsError
from ._synthetic import resampled_rows

__all__ = [
    "WHERE_SAMPLED",
    "TimeAxis",
    "check_order",
    "first_difference",
    "refuse_timeless",
    "refuse_untold_times",
    "row_name",
    "time_axis",
    "to_timestamps",
    "warn_of_repeated_times",
]


# What to do about metadata of the rows before a sampler that adds some.
WHERE_SAMPLED = (
    "Behind a sampler that adds rows, metadata of a Pipeline stays behind: use "
    "ResampledClassifier(estimator, WindowSMOTE()), where it follows the rows, or keep times in "
    "the index of X and y, which WindowSMOTE keeps."
)


@dataclass(frozen=True)
class TimeAxis:
    """When each of n rows was decided.

    Attributes
    ----------
    times : ndarray of int64, shape (n,)
        Nanoseconds since 1970 (UTC); the row number where the rows carry no time.
    symbols : ndarray of intp, shape (n,) or None
        Code of each row's instrument; None for a single instrument.
    index : pandas.Index or None
        The index the times came from; None where the rows carry no time.
    """

    times: np.ndarray
    symbols: np.ndarray | None
    index: pd.Index | None


def _nanoseconds(index, what):
    if index.hasnans:
        raise InvalidBarsError(
            f"{what}: row {int(np.flatnonzero(index.isna())[0])} has no time (NaT). Drop or "
            "repair it."
        )
    try:
        return index.as_unit("ns").asi8
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        raise InvalidBarsError(
            f"{what}: times reach from {index.min()} to {index.max()}. Epoch numbers read in the "
            "wrong unit? Convert with pd.to_datetime(values, unit='s') or the unit they are in."
        ) from error


def time_axis(X, y=None, *, times=None):
    """Read when each row of ``X`` was decided, and for which instrument.

    Parameters
    ----------
    X : DataFrame, Series, WindowedArray or array-like of length n
        A ``DatetimeIndex``, or a ``MultiIndex`` named (symbol, time), is read from ``X.index``.
    y : Series of length n, optional
        Where ``X`` carries no times, the index of ``y`` tells them.
    times : DatetimeIndex, or MultiIndex (symbol, time), of length n, optional
        When the rows are, for rows whose index was taken away. Where nothing tells, row order is
        the order of time; of resampled rows, that of the rows they stand for.

    Returns
    -------
    TimeAxis

    Raises
    ------
    InvalidBarsError
        When an index or ``times`` holds no times, or ``times`` contradicts the index of ``X``.
    """
    own = _timed(getattr(X, "index", None))
    if own is None and y is not None and len(y) == _length(X):
        own = _timed(getattr(y, "index", None))
    if times is not None:
        given = _given_times(times, _length(X))
        if own is not None and not _same_rows(own, given):
            row = first_difference(own, given)
            raise InvalidBarsError(
                f"times: row {row} is {given[row]}, but the index of the rows says {own[row]}. "
                "Pass one of them."
            )
        own = given
    if own is not None:
        return _axis_of(own)
    made = resampled_rows(X, y)
    told = None if made is None else made.origin
    rows = np.arange(_length(X)) if told is None else told
    return TimeAxis(rows.astype(np.int64), None, None)


def _length(X):
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _same_rows(one, other):
    return one is other or (len(one) == len(other) and one.equals(other))


def first_difference(one, other):
    """The first position at which two indexes of one length differ."""
    return next((row for row, (mine, theirs) in enumerate(zip(one, other)) if mine != theirs), 0)


def _timed(index):
    """The index when it holds times (periods and Arrow timestamps converted), None when it holds
    none."""
    if isinstance(index, pd.PeriodIndex):
        return to_timestamps(index, stacklevel=5)
    if isinstance(index, (pd.MultiIndex, pd.DatetimeIndex)):
        return index
    if isinstance(index, pd.Index) and len(index):
        if pd.api.types.is_datetime64_any_dtype(index.dtype):  # Arrow's
            return pd.DatetimeIndex(index)
        if could_be_time(index[0]):
            refuse_timeless(index)
    return None


def _axis_of(index):
    if isinstance(index, pd.DatetimeIndex):
        return TimeAxis(_nanoseconds(index, "index"), None, index)
    if index.nlevels != 2:
        raise InvalidBarsError(
            f"A panel needs an index of two levels (symbol, time), got {index.nlevels} levels "
            f"named {list(index.names)}."
        )
    times = index.levels[1]
    if not isinstance(times, pd.DatetimeIndex):
        swapped = isinstance(index.levels[0], pd.DatetimeIndex)
        fix = (
            "Put the symbol first with swaplevel()."
            if swapped
            else "Convert it with pd.to_datetime."
        )
        raise InvalidBarsError(
            f"The second index level of a panel must hold timestamps, got {times.dtype}. {fix}"
        )
    for level, what in enumerate(("symbol (NaN)", "time (NaT)")):
        if len(index) and (index.codes[level] < 0).any():
            raise InvalidBarsError(
                f"index: row {int(np.argmin(index.codes[level]))} has no {what}. Drop or repair it."
            )
    stamps = _nanoseconds(times, "index")
    return TimeAxis(
        stamps[index.codes[1]] if len(index) else np.empty(0, np.int64),
        np.asarray(index.codes[0], dtype=np.intp),
        index,
    )


def _given_times(times, n):
    """``times`` as an index of n rows."""
    if isinstance(times, pd.PeriodIndex):
        times = to_timestamps(times, stacklevel=6)
    if isinstance(times, pd.Series):
        times = times.array
    if not isinstance(times, (pd.DatetimeIndex, pd.MultiIndex)):
        values = np.asarray(times)
        if values.dtype == object and len(values) and isinstance(values[0], tuple):
            times = pd.MultiIndex.from_tuples(values)
        elif values.dtype.kind == "M" or (
            values.dtype == object and len(values) and isinstance(values[0], pd.Timestamp)
        ):
            times = pd.DatetimeIndex(times)
        else:
            raise InvalidBarsError(
                "times must be a DatetimeIndex or a MultiIndex (symbol, time), such as X.index; "
                f"got {type(times).__name__} of {values.dtype}."
            )
    if len(times) != n:
        raise InvalidBarsError(
            f"times has {len(times)} values for {n} rows. Pass the times of the same rows, such as "
            f"X.index.{' ' + WHERE_SAMPLED if len(times) < n else ''}"
        )
    return times


def to_timestamps(index, stacklevel):
    warnings.warn(
        "A PeriodIndex was converted to the start of each period; pass timestamps to be exact.",
        DataQualityWarning,
        stacklevel=stacklevel,
    )
    return index.to_timestamp()


# A day, month or year, a separator, and two more of them; or eight digits; or a month's name
# between numbers.
_DATE_TEXT = re.compile(
    r"\s*(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|(19|20)\d{6}(\D|$)"
    r"|\d{1,4}[-\s][A-Za-z]{3,9}[-\s,]+\d{2,4})"
)


def could_be_time(value):
    """Whether a label of an index that holds no timestamps reads like one: then the row order must
    not pass for time."""
    return isinstance(value, date) or (
        isinstance(value, str) and _DATE_TEXT.match(value) is not None
    )


def refuse_untold_times(X, caller):
    """Refuse a table without a time index that could say when its rows are: row order must not pass
    for time.

    Raises
    ------
    InvalidBarsError
        Showing the ``set_index`` that tells the times.
    """
    index = getattr(X, "index", None)
    if (
        isinstance(index, pd.Index)
        and index.dtype.kind in "iuf"
        and not isinstance(index, pd.RangeIndex)
    ):
        if not index.is_monotonic_increasing or index.has_duplicates:
            raise InvalidBarsError(
                f"{caller}: the index of X is {index.dtype} and not increasing ({index[0]}, "
                f"{index[1]}, …), so row order is not time. "
                "Set times with X.set_index(pd.to_datetime(...)), pass times=..., or "
                "X.reset_index(drop=True) if rows are in order of time."
            )
        if _EPOCHS[0] <= index[0] and index[-1] < _EPOCHS[1]:
            raise InvalidBarsError(
                f"{caller}: the index of X holds integers such as {index[0]}, which read like "
                "epoch numbers or dates. "
                "Convert it: X.set_index(pd.to_datetime(X.index, unit='s')), or the unit or "
                "format it is in."
            )
    column = _column_of_times(X)
    if column is None:
        return
    symbol = _column_of_symbols(X, column)
    told = (
        f"X.set_index({column!r})" if symbol is None else f"X.set_index([{symbol!r}, {column!r}])"
    )
    if hasattr(X, "get_column"):  # polars
        told = told.replace("X.", "X.to_pandas().")
    raise InvalidBarsError(
        f"{caller}: X has no time index, but its column {column!r} holds times: row order must "
        f"not pass for time. Use {told}{_convert(X, column)}, or pass times=..."
    )


# dates such as 20240102 and seconds since 1970 are larger (from April 1970 on), nanoseconds
# smaller (to 2096)
_EPOCHS = (10**7, 4 * 10**18)
_TIME_NAMES = {
    "time",
    "date",
    "datetime",
    "timestamp",
    "day",
    "trade_date",
    "open_time",
    "日期",
    "时间",
}
_SYMBOL_NAMES = {
    "symbol",
    "ticker",
    "code",
    "name",
    "asset",
    "instrument",
    "ts_code",
    "stock",
    "代码",
}


def _columns(X):
    """(name, dtype, first value) of the columns of a pandas or polars table; nothing for arrays."""
    names = getattr(X, "columns", None)
    if names is None or not hasattr(X, "dtypes") or not len(X):
        return
    polars = hasattr(X, "get_column")
    for place, name in enumerate(names):
        column = X.get_column(name) if polars else X.iloc[:, place]
        yield name, column.dtype, column


def _is_time(name, dtype, column):
    if hasattr(dtype, "is_temporal"):  # polars
        if dtype.is_temporal():
            return True
    elif pd.api.types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return True
    elif getattr(dtype, "kind", "") in "iu":
        return str(name).lower() in _TIME_NAMES and _EPOCHS[0] <= int(column.iloc[0]) < _EPOCHS[1]
    elif getattr(dtype, "kind", "") in "fbcm":
        return False
    first = next((value for value in column[:_FIRST] if value is not None and value == value), None)
    return could_be_time(first)


_FIRST = 100  # values that are looked at before a column of text counts as empty, a judgment


def _column_of_times(X):
    return next(
        (name for name, dtype, column in _columns(X) if _is_time(name, dtype, column)), None
    )


def _column_of_symbols(X, time):
    """A column that could name the instrument of each row: by its name, else the only text that
    repeats."""
    names = [name for name, _, _ in _columns(X) if name != time]
    named = next((name for name in names if str(name).lower() in _SYMBOL_NAMES), None)
    if named is not None:
        return named
    texts = [
        name
        for name, dtype, column in _columns(X)
        if name != time and not _is_number(dtype) and column[:_FIRST].is_unique is False
    ]
    return texts[0] if len(texts) == 1 else None


def _is_number(dtype):
    return getattr(dtype, "kind", "O") in "iufbcmM" or (
        hasattr(dtype, "is_numeric") and dtype.is_numeric()
    )


def _convert(X, column):
    dtype = X.get_column(column).dtype if hasattr(X, "get_column") else X[column].dtype
    temporal = (
        hasattr(dtype, "is_temporal")
        and dtype.is_temporal()
        or pd.api.types.is_datetime64_any_dtype(dtype)
    )
    return "" if temporal else f" after converting it with pd.to_datetime(X[{column!r}])"


def warn_of_repeated_times(axis, X, caller):
    """Say so when times repeat unevenly without symbols: then a count of unique times is not every
    symbol's count of bars."""
    _, rows = np.unique(axis.times, return_counts=True)
    if rows.min() == rows.max():
        return
    symbol = _column_of_symbols(X, None) if isinstance(X, pd.DataFrame) else None
    told = (
        f"X.set_index({'<symbol column>' if symbol is None else repr(symbol)}, "
        "append=True).swaplevel()"
    )
    warnings.warn(
        f"{caller}: times repeat ({rows.min()} to {rows.max()} rows each) and no symbol tells "
        "rows apart, so a horizon counts unique times, "
        f"which is too short for a symbol that trades rarely. Tell symbols with {told}.",
        DataQualityWarning,
        stacklevel=5,
    )


def refuse_timeless(index):
    """Explain an index that holds no timestamps."""
    kinds = sorted({type(value).__name__ for value in index[:1000]})
    zones = {str(value.tzinfo) for value in index[:1000] if hasattr(value, "tzinfo")}
    if len(zones) > 1:
        raise InvalidBarsError(
            f"The index mixes time zones ({', '.join(sorted(zones))}). Convert all times to one "
            "zone with pd.to_datetime(index, utc=True)."
        )
    raise InvalidBarsError(
        f"Rows need a DatetimeIndex, or a MultiIndex (symbol, time); got {type(index).__name__} "
        f"of {index.dtype} (values of type {', '.join(kinds)}). "
        "Use read_bars, or set the index with df.set_index(pd.to_datetime(df['date']))."
    )


def row_name(index, position):
    return f"row {position} ({index[position]})"


def _several_instruments(times):
    """What in times without symbols suggests several instruments, one below the other or side by
    side; "" for nothing."""
    distinct, counts = np.unique(times, return_counts=True)
    repeated = int((counts > 1).sum())
    if repeated > 1 and repeated * 2 > len(distinct):
        return f"{repeated:,} of {len(distinct):,} times stand more than once"
    back = np.flatnonzero(np.diff(times) < 0) + 1
    if len(back) and repeated > 1 and len(back) * 2 < repeated:
        return f"times start again in row {back[0]}, with {repeated:,} of them repeated"
    return ""


def _check_together(symbols, index):
    """Refuse a panel in which other rows stand between those of one symbol."""
    changes = np.flatnonzero(symbols[1:] != symbols[:-1]) + 1
    heads = symbols[np.concatenate([[0], changes])]
    if len(np.unique(heads)) < len(heads):
        seen, again = np.unique(heads, return_counts=True)
        name = index.levels[0][seen[again > 1][0]]
        raise InvalidBarsError(
            f"The rows of symbol {name!r} are not together. Sort the panel with bars.sort_index()."
        )


def _disorder(axis, step, row):
    """What is wrong with the time of a row, and what to do about it, in words."""
    alone = axis.symbols is None
    place = f"Times must increase strictly: {row_name(axis.index, row)}"
    several = _several_instruments(axis.times) if alone else ""
    if several:
        return (
            f"{place} does not, and {several}: these seem to be bars of several instruments. Tell "
            "them apart with df.set_index(['symbol', 'time']); sorting, or dropping repeated "
            "times, would mix them."
        )
    what, fix = "is earlier than the row before it", "Sort with bars.sort_index()"
    if step[row - 1] == 0:
        what = "repeats the time before it"
        fix = "Drop duplicates with bars[~bars.index.duplicated()]"
    if alone and not (step < 0).all():
        fix += (
            " if all rows are of one instrument, else tell them apart with "
            "df.set_index(['symbol', 'time'])"
        )
    return f"{place} {what}. {fix}."


def check_order(axis):
    times, symbols, index = axis.times, axis.symbols, axis.index
    step = np.diff(times)
    bad = step <= 0
    if symbols is not None:
        bad &= symbols[1:] == symbols[:-1]
        _check_together(symbols, index)
    if bad.any():
        raise InvalidBarsError(_disorder(axis, step, int(np.argmax(bad)) + 1))
    if len(times) > 1 and times.max() < pd.Timestamp("1971-01-01").value and times.min() >= 0:
        raise InvalidBarsError(
            f"All times lie in 1970 ({index[0]} … {index[-1]}): epoch numbers read in the wrong "
            "unit. Convert with pd.to_datetime(values, unit='s')."
        )

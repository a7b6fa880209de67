"""When each row was decided: rows with an index enter, int64 nanoseconds and symbol codes leave, or an error that names the row."""

from dataclasses import dataclass
from datetime import date
import warnings

import numpy as np
import pandas as pd

from ..exceptions import DataQualityWarning, InvalidBarsError

__all__ = ["TimeAxis", "check_order", "refuse_timeless", "row_name", "time_axis", "to_timestamps"]


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
        raise InvalidBarsError(f"{what}: row {int(np.flatnonzero(index.isna())[0])} has no time (NaT). Drop or repair it.")
    try:
        return index.as_unit("ns").asi8
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        raise InvalidBarsError(
            f"{what}: times reach from {index.min()} to {index.max()}. Epoch numbers read in the wrong unit? "
            "Convert with pd.to_datetime(values, unit='s') or the unit they are in."
        ) from error


def time_axis(X):
    """Read when each row of ``X`` was decided, and for which instrument.

    Parameters
    ----------
    X : DataFrame, Series, WindowedArray or array-like of length n
        A ``DatetimeIndex``, or a ``MultiIndex`` named (symbol, time), is read from ``X.index``. Anything else has no times:
        the row order is the order of time.

    Returns
    -------
    TimeAxis
    """
    index = getattr(X, "index", None)
    if isinstance(index, pd.PeriodIndex):
        index = to_timestamps(index, stacklevel=4)
    if isinstance(index, pd.MultiIndex):
        if index.nlevels != 2:
            raise InvalidBarsError(f"A panel needs an index of two levels (symbol, time), got {index.nlevels} levels named {list(index.names)}.")
        times = index.levels[1]
        if not isinstance(times, pd.DatetimeIndex):
            swapped = isinstance(index.levels[0], pd.DatetimeIndex)
            fix = "Put the symbol first with swaplevel()." if swapped else "Convert it with pd.to_datetime."
            raise InvalidBarsError(f"The second index level of a panel must hold timestamps, got {times.dtype}. {fix}")
        for level, what in enumerate(("symbol (NaN)", "time (NaT)")):
            if len(index) and (index.codes[level] < 0).any():
                raise InvalidBarsError(f"index: row {int(np.argmin(index.codes[level]))} has no {what}. Drop or repair it.")
        stamps = _nanoseconds(times, "index")
        return TimeAxis(stamps[index.codes[1]] if len(index) else np.empty(0, np.int64), np.asarray(index.codes[0], dtype=np.intp), index)
    if isinstance(index, pd.DatetimeIndex):
        return TimeAxis(_nanoseconds(index, "index"), None, index)
    if isinstance(index, pd.Index) and len(index) and _could_be_time(index[0]):
        refuse_timeless(index)
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    return TimeAxis(np.arange(n, dtype=np.int64), None, None)


def to_timestamps(index, stacklevel):
    warnings.warn("A PeriodIndex was converted to the start of each period; pass timestamps to be exact.", DataQualityWarning, stacklevel=stacklevel)
    return index.to_timestamp()


def _could_be_time(value):
    """Whether a label of an index that holds no timestamps reads like one: then the row order must not pass for time."""
    if isinstance(value, date):
        return True
    return isinstance(value, str) and pd.notna(pd.to_datetime(value, errors="coerce", format="ISO8601"))


def refuse_timeless(index):
    """Explain an index that holds no timestamps."""
    kinds = sorted({type(value).__name__ for value in index[:1000]})
    zones = {str(value.tzinfo) for value in index[:1000] if hasattr(value, "tzinfo")}
    if len(zones) > 1:
        raise InvalidBarsError(f"The index mixes time zones ({', '.join(sorted(zones))}). Convert all times to one zone with pd.to_datetime(index, utc=True).")
    raise InvalidBarsError(
        f"Rows need a DatetimeIndex, or a MultiIndex (symbol, time); got {type(index).__name__} of {index.dtype} (values of type {', '.join(kinds)}). "
        "Use read_bars, or set the index with df.set_index(pd.to_datetime(df['date']))."
    )


def row_name(index, position):
    return f"row {position} ({index[position]})"


def check_order(axis):
    times, symbols, index = axis.times, axis.symbols, axis.index
    step = np.diff(times)
    bad = step <= 0
    if symbols is not None:
        bad &= symbols[1:] == symbols[:-1]
        changes = np.flatnonzero(symbols[1:] != symbols[:-1]) + 1
        heads = symbols[np.concatenate([[0], changes])]
        if len(np.unique(heads)) < len(heads):
            seen, again = np.unique(heads, return_counts=True)
            name = index.levels[0][seen[again > 1][0]]
            raise InvalidBarsError(f"The rows of symbol {name!r} are not together. Sort the panel with bars.sort_index().")
    if bad.any():
        row = int(np.argmax(bad)) + 1
        what = "repeats the time before it" if step[row - 1] == 0 else "is earlier than the row before it"
        fix = "Drop duplicates with bars[~bars.index.duplicated()]" if step[row - 1] == 0 else "Sort with bars.sort_index()"
        raise InvalidBarsError(f"Times must increase strictly: {row_name(index, row)} {what}. {fix}.")
    if len(times) > 1 and times.max() < pd.Timestamp("1971-01-01").value and times.min() >= 0:
        raise InvalidBarsError(
            f"All times lie in 1970 ({index[0]} … {index[-1]}): epoch numbers read in the wrong unit. "
            "Convert with pd.to_datetime(values, unit='s')."
        )

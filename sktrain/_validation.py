"""Checks at the door: bars, times, counts, and the span of every label.

What enters is what a user has in hand; what leaves is normalised (lower-case columns, int64 nanoseconds, spans) or an error
that names the first bad row or the parameter. Nothing here changes its input.
"""

from dataclasses import dataclass
import math
from numbers import Integral, Real
import warnings

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval

from ._history import get_history
from ._spans import Spans
from .exceptions import (
    DataQualityWarning,
    InvalidBarsError,
    InvalidSplitError,
    NotEnoughDataError,
    SktrainError,
    UnknownHorizonWarning,
)

__all__ = ["OHLCV", "Count", "Number", "TimeAxis", "check_bars", "check_count", "label_horizon", "label_spans", "labelled_mask", "time_axis"]

OHLCV = ("open", "high", "low", "close", "volume")
_PRICES = OHLCV[:4]
_ROUNDING = 1e-6  # published prices are rounded: open and close may leave [low, high] by this relative amount
_LARGEST = 1e100  # squares of larger prices overflow
_JUMP = 0.5  # a larger one-bar move smells of an unadjusted split


class Count(Interval):
    """A whole number within bounds for ``_parameter_constraints``; True and 3.0 are refused."""

    def __init__(self, left=1, right=None):
        super().__init__(Integral, left, right, closed="left" if right is None else "both")

    def is_satisfied_by(self, val):
        return not isinstance(val, (bool, np.bool_)) and super().is_satisfied_by(val)


class Number(Interval):
    """A finite real number within bounds for ``_parameter_constraints``; booleans and NaN are refused."""

    def __init__(self, left=None, right=None, *, closed="both"):
        super().__init__(Real, left, right, closed=closed)

    def is_satisfied_by(self, val):
        if isinstance(val, (bool, np.bool_)) or not isinstance(val, Real) or not math.isfinite(val):
            return False
        return super().is_satisfied_by(val)


def check_count(name, value, *, minimum=1):
    """Return ``value`` as an int, or refuse what is not a whole number >= ``minimum``.

    Examples
    --------
    >>> check_count("horizon", 3)
    3
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral) or value < minimum:
        raise SktrainError(f"{name} must be an integer >= {minimum}, got {value!r}.")
    return int(value)


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
        warnings.warn("A PeriodIndex was converted to the start of each period; pass timestamps to be exact.", DataQualityWarning, stacklevel=3)
        index = index.to_timestamp()
    if isinstance(index, pd.MultiIndex):
        if index.nlevels != 2:
            raise InvalidBarsError(f"A panel needs an index of two levels (symbol, time), got {index.nlevels} levels named {list(index.names)}.")
        times = index.levels[1]
        if not isinstance(times, pd.DatetimeIndex):
            raise InvalidBarsError(f"The second index level of a panel must hold timestamps, got {times.dtype}. Convert it with pd.to_datetime.")
        if len(index) and ((index.codes[1] < 0).any()):
            raise InvalidBarsError(f"index: row {int(np.argmin(index.codes[1]))} has no time (NaT). Drop or repair it.")
        stamps = _nanoseconds(times, "index")
        return TimeAxis(stamps[index.codes[1]] if len(index) else np.empty(0, np.int64), np.asarray(index.codes[0], dtype=np.intp), index)
    if isinstance(index, pd.DatetimeIndex):
        return TimeAxis(_nanoseconds(index, "index"), None, index)
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    return TimeAxis(np.arange(n, dtype=np.int64), None, None)


def _refuse_mixed_types(index):
    """Explain an index that holds no timestamps."""
    kinds = sorted({type(value).__name__ for value in index[:1000]})
    zones = {str(value.tzinfo) for value in index[:1000] if hasattr(value, "tzinfo")}
    if len(zones) > 1:
        raise InvalidBarsError(f"The index mixes time zones ({', '.join(sorted(zones))}). Convert all times to one zone with pd.to_datetime(index, utc=True).")
    raise InvalidBarsError(
        f"Bars need a DatetimeIndex, or a MultiIndex (symbol, time); got {type(index).__name__} of {index.dtype} (values of type {', '.join(kinds)}). "
        "Use read_bars, or set the index with df.set_index(pd.to_datetime(df['date']))."
    )


def _row_name(index, position):
    return f"row {position} ({index[position]})"


def _check_order(axis):
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
        raise InvalidBarsError(f"Times must increase strictly: {_row_name(index, row)} {what}. {fix}.")
    if len(times) > 1 and times.max() < pd.Timestamp("1971-01-01").value and times.min() >= 0:
        raise InvalidBarsError(
            f"All times lie in 1970 ({index[0]} … {index[-1]}): epoch numbers read in the wrong unit. "
            "Convert with pd.to_datetime(values, unit='s')."
        )


def _normalise_columns(bars, required):
    if not all(isinstance(name, str) for name in bars.columns):
        raise InvalidBarsError(f"Column names must be strings, got {list(bars.columns)[:8]!r}.")
    lower = {name: name.lower() for name in bars.columns if name.lower() in OHLCV}
    names = [lower.get(name, name) for name in bars.columns]
    double = {name for name in names if names.count(name) > 1}
    if double:
        raise InvalidBarsError(f"Column {sorted(double)[0]!r} stands more than once in {list(bars.columns)!r}. Keep one of them.")
    missing = [name for name in required if name not in names]
    if missing:
        raise InvalidBarsError(f"Bars lack the column{'s' * (len(missing) > 1)} {', '.join(missing)}; found {list(bars.columns)!r}.")
    return bars if names == list(bars.columns) else bars.set_axis(names, axis=1)


def _check_numbers(bars, name, index):
    column = bars[name]
    dtype = column.dtype
    if not (pd.api.types.is_integer_dtype(dtype) or pd.api.types.is_float_dtype(dtype)) or dtype == np.float16:
        raise InvalidBarsError(f"Column {name!r} has dtype {dtype}, expected float64 or integers. Convert it with pd.to_numeric.")
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise InvalidBarsError(f"Column {name!r} is {values[row]} in {_row_name(index, row)} ({int(bad.sum())} such rows). Drop or repair them.")
    limit = values <= 0 if name in _PRICES else values < 0
    if limit.any():
        row = int(np.argmax(limit))
        need = "positive" if name in _PRICES else "zero or more"
        raise InvalidBarsError(f"Column {name!r} must be {need}, got {values[row]} in {_row_name(index, row)} ({int(limit.sum())} such rows).")
    if values.max() > _LARGEST:
        row = int(np.argmax(values))
        raise InvalidBarsError(f"Column {name!r} is {values[row]:g} in {_row_name(index, row)}, larger than any price or volume (limit {_LARGEST:g}).")
    return values


def _check_range(values, index):
    high, low = values["high"], values["low"]
    if (high < low).any():
        row = int(np.argmax(high < low))
        raise InvalidBarsError(f"high < low in {_row_name(index, row)}: high {high[row]:g}, low {low[row]:g} ({int((high < low).sum())} such rows).")
    for name in ("open", "close"):
        if name in values:
            outside = (values[name] > high * (1 + _ROUNDING)) | (values[name] < low * (1 - _ROUNDING))
            if outside.any():
                row = int(np.argmax(outside))
                raise InvalidBarsError(
                    f"{name} lies outside [low, high] in {_row_name(index, row)}: {name} {values[name][row]:g}, "
                    f"low {low[row]:g}, high {high[row]:g} ({int(outside.sum())} such rows)."
                )


def _warn_suspicious(values, axis):
    close = values.get("close")
    if close is None or len(close) < 2:
        return
    jump = np.abs(close[1:] / close[:-1] - 1) > _JUMP
    if axis.symbols is not None:
        jump &= axis.symbols[1:] == axis.symbols[:-1]
    if jump.any():
        row = int(np.argmax(jump)) + 1
        warnings.warn(
            f"close moves by {close[row] / close[row - 1] - 1:+.0%} in {_row_name(axis.index, row)} ({int(jump.sum())} jumps over 50 %). Unadjusted split?",
            DataQualityWarning,
            stacklevel=4,
        )
    if len(close) > 20 and (close == close[0]).all():
        warnings.warn(f"close is {close[0]:g} in all {len(close)} rows. A stale feed?", DataQualityWarning, stacklevel=4)


def check_bars(bars, *, required=OHLCV, warn=True):
    """Check market bars and return them with lower-case column names.

    Parameters
    ----------
    bars : DataFrame
        ``open high low close volume`` in any letter case, other columns pass through. Index: a strictly increasing
        ``DatetimeIndex`` (one instrument) or a ``MultiIndex`` (symbol, time), increasing within each symbol.
    required : tuple of str, default=("open", "high", "low", "close", "volume")
        Columns that must be there; of the five, only those present are checked.
    warn : bool, default=True
        Whether legal but suspicious bars (a jump over 50 %, a constant price) give a ``DataQualityWarning``.

    Returns
    -------
    DataFrame
        The same rows; the same object when nothing had to be renamed. Attrs are kept.

    Raises
    ------
    InvalidBarsError
        Naming the first bad row, or the column.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain._validation import check_bars
    >>> day = pd.DataFrame({"Open": [9.0], "High": [11.0], "Low": [8.0], "Close": [10.0], "Volume": [5]}, pd.to_datetime(["2020-01-02"]))
    >>> list(check_bars(day).columns)
    ['open', 'high', 'low', 'close', 'volume']
    """
    if not isinstance(bars, pd.DataFrame):
        raise InvalidBarsError(f"Bars must be a pandas DataFrame with columns {', '.join(required)}, got {type(bars).__name__}.")
    if not len(bars):
        raise InvalidBarsError("Bars are empty: no rows.")
    if not isinstance(bars.index, (pd.DatetimeIndex, pd.MultiIndex, pd.PeriodIndex)):
        _refuse_mixed_types(bars.index)
    bars = _normalise_columns(bars, required)
    axis = time_axis(bars)
    _check_order(axis)
    values = {name: _check_numbers(bars, name, axis.index) for name in OHLCV if name in bars.columns}
    if "high" in values and "low" in values:
        _check_range(values, axis.index)
    if warn:
        _warn_suspicious(values, axis)
    return bars


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


def _check_same_index(X, y):
    one, other = getattr(X, "index", None), getattr(y, "index", None)
    if isinstance(one, pd.Index) and isinstance(other, pd.Index) and one is not other and len(one) == len(other) and not one.equals(other):
        row = int(np.argmax(np.asarray(one != other)))
        raise InvalidSplitError(f"X and y have different indexes: row {row} is {one[row]} in X and {other[row]} in y. Align y with y.loc[X.index].")


def _ends_from_times(axis, ends, n):
    if len(ends) != n:
        raise InvalidSplitError(f"label_end_times has {len(ends)} values for {n} rows.")
    if axis.index is None:
        values = np.asarray(ends)
        if values.dtype.kind not in "iu":
            raise InvalidSplitError(f"label_end_times of rows without times must be integer row positions, got dtype {values.dtype}.")
        return values.astype(np.int64)
    stamps = pd.DatetimeIndex(ends)
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

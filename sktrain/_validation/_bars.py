"""Validation of market bars; an error names the first bad row.

Nothing here changes its input, and no time is assumed but strict order within each symbol.
"""

import warnings

import numpy as np
import pandas as pd

from ..exceptions import DataQualityWarning, InvalidBarsError, ResamplingWarning
from ._synthetic import synthetic_rows
from ._times import check_order, refuse_timeless, row_name, time_axis, to_timestamps

__all__ = ["OHLCV", "check_bars"]

OHLCV = ("open", "high", "low", "close", "volume")
_PRICES = OHLCV[:4]
# relative distance by which open and close may leave [low, high]: a published price of six digits
# is rounded by so much
_ROUNDING = 1e-6
_LARGEST = 1e100  # sums of squares of smaller prices are finite in float64
# a judgment: a larger one-bar move suggests an unadjusted split, which halves a price at least
_JUMP = 0.5
_STANDSTILL = 20  # a judgment: so many equal closes in a row suggest a stale feed


def _normalise_columns(bars, required):
    if not all(isinstance(name, str) for name in bars.columns):
        raise InvalidBarsError(f"Column names must be strings, got {list(bars.columns)[:8]!r}.")
    lower = {name: name.lower() for name in bars.columns if name.lower() in OHLCV}
    names = [lower.get(name, name) for name in bars.columns]
    double = {name for name in names if names.count(name) > 1}
    if double:
        raise InvalidBarsError(
            f"Column {sorted(double)[0]!r} stands more than once in {list(bars.columns)!r}. Keep "
            "one of them."
        )
    missing = [name for name in required if name not in names]
    if missing:
        raise InvalidBarsError(
            f"Bars lack the column{'s' * (len(missing) > 1)} {', '.join(missing)}; found "
            f"{list(bars.columns)!r}."
        )
    return bars if names == list(bars.columns) else bars.set_axis(names, axis=1)


def _check_numbers(bars, name, index):
    column = bars[name]
    dtype = column.dtype
    numeric = pd.api.types.is_signed_integer_dtype(dtype) or pd.api.types.is_float_dtype(dtype)
    # unsigned differences wrap round, half precision loses cents
    if not numeric or dtype == np.float16:
        raise InvalidBarsError(
            f"Column {name!r} has dtype {dtype}, expected float64 or signed integers. Convert it "
            "with pd.to_numeric(...).astype(float)."
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    least, most = values.min(), values.max()  # NaN if there is one
    if (least > 0 if name in _PRICES else least >= 0) and most <= _LARGEST:
        return values
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise InvalidBarsError(
            f"Column {name!r} is {values[row]} in {row_name(index, row)} ({int(bad.sum())} such "
            "rows). Drop or repair them."
        )
    limit = values <= 0 if name in _PRICES else values < 0
    if limit.any():
        row = int(np.argmax(limit))
        need = "positive" if name in _PRICES else "zero or more"
        raise InvalidBarsError(
            f"Column {name!r} must be {need}, got {values[row]} in {row_name(index, row)} "
            f"({int(limit.sum())} such rows)."
        )
    if values.max() > _LARGEST:
        row = int(np.argmax(values))
        raise InvalidBarsError(
            f"Column {name!r} is {values[row]:g} in {row_name(index, row)}, larger than any price "
            f"or volume (limit {_LARGEST:g})."
        )
    return values


def _check_range(values, index):
    high, low = values["high"], values["low"]
    inner = [values[name] for name in ("open", "close") if name in values]
    if inner and all((low <= one).all() and (one <= high).all() for one in inner):
        return  # nothing to find, not even after rounding
    if (high < low).any():
        row = int(np.argmax(high < low))
        raise InvalidBarsError(
            f"high < low in {row_name(index, row)}: high {high[row]:g}, low {low[row]:g} "
            f"({int((high < low).sum())} such rows)."
        )
    for name in ("open", "close"):
        if name in values:
            outside = (values[name] > high * (1 + _ROUNDING)) | (
                values[name] < low * (1 - _ROUNDING)
            )
            if outside.any():
                row = int(np.argmax(outside))
                raise InvalidBarsError(
                    f"{name} lies outside [low, high] in {row_name(index, row)}: {name} "
                    f"{values[name][row]:g}, "
                    f"low {low[row]:g}, high {high[row]:g} ({int(outside.sum())} such rows)."
                )


def _warn_suspicious(values, axis):
    def warn(message):
        warnings.warn(message, DataQualityWarning, stacklevel=4)

    n = len(axis.times)
    same_symbol = (
        np.ones(max(n - 1, 0), dtype=bool)
        if axis.symbols is None
        else axis.symbols[1:] == axis.symbols[:-1]
    )
    if n > _STANDSTILL:
        for name, column in values.items():
            if (column == column[0]).all():
                warn(f"Column {name!r} is {column[0]:g} in all {n} rows.")
        _warn_uneven_spacing(np.diff(axis.times)[same_symbol], warn)
    close = values.get("close")
    if close is None or n < 2:
        return
    jump = (np.abs(close[1:] / close[:-1] - 1) > _JUMP) & same_symbol
    if jump.any():
        row = int(np.argmax(jump)) + 1
        moved = f"{close[row] / close[row - 1] - 1:+.0%} in {row_name(axis.index, row)}"
        warn(
            f"close moves by {moved} ({int(jump.sum())} jumps over {_JUMP:.0%}). Unadjusted split?"
        )
    begin, length = _longest_run((close[1:] == close[:-1]) & same_symbol)
    if length >= _STANDSTILL:
        warn(
            f"close stands still at {close[begin]:g} for {length + 1} bars from "
            f"{row_name(axis.index, begin)}. A stale feed?"
        )


def _longest_run(flags):
    """Start and length of the longest stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    if not len(edges):
        return 0, 0
    lengths = edges[1::2] - edges[::2]
    return int(edges[2 * np.argmax(lengths)]), int(lengths.max())


def _warn_uneven_spacing(steps, warn):
    """Say so when the usual spacing of bars changes along the frame (weekends and holidays do not
    change the median)."""
    usable = len(steps) // _STANDSTILL * _STANDSTILL
    if usable < 2 * _STANDSTILL:
        return
    usual = np.median(steps[:usable].reshape(-1, _STANDSTILL), axis=1)
    # a judgment: another interval is at least twice as long; months differ by a tenth
    if usual.max() > 1.9 * usual.min():
        shortest, longest = pd.Timedelta(int(usual.min())), pd.Timedelta(int(usual.max()))
        warn(
            f"Bars of mixed frequency: the usual gap between bars is {shortest} in one part and "
            f"{longest} in another."
        )


def _refuse_made(bars, index):
    """Refuse rows that a resampler made: they stand at the times of others, with nothing of their
    own before them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResamplingWarning)  # then the times that repeat are told
        made = synthetic_rows(bars)
    if made.any():
        row = int(np.argmax(made))
        raise InvalidBarsError(
            f"Row {row} ({index[row]}) was made by a resampler from other rows and is no bar: no "
            "bars came before it. Resample after the features: make_pipeline(BarFeatures(), ..., "
            "ResampledClassifier(model))."
        )


def check_bars(bars, *, required=OHLCV, warn=True):
    """Check market bars and return them with lower-case column names.

    Parameters
    ----------
    bars : DataFrame
        ``open high low close volume`` in any letter case, other columns pass through. Index: a
        strictly increasing ``DatetimeIndex`` (one instrument) or a ``MultiIndex`` (symbol, time),
        increasing within each symbol.
    required : tuple of str, default=("open", "high", "low", "close", "volume")
        Columns that must be there; of the five, only those present are checked.
    warn : bool, default=True
        Whether legal but suspicious bars give a ``DataQualityWarning``: a jump over 50 %, twenty
        equal closes in a row, a constant column, a change of frequency.

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
    >>> day = pd.DataFrame(
    ...     {"Open": [9.0], "High": [11.0], "Low": [8.0], "Close": [10.0], "Volume": [5]},
    ...     pd.to_datetime(["2020-01-02"]),
    ... )
    >>> list(check_bars(day).columns)
    ['open', 'high', 'low', 'close', 'volume']
    """
    if not isinstance(bars, pd.DataFrame):
        kind = type(bars)
        told = (
            f"a {kind.__module__.partition('.')[0]} DataFrame. Use bars.to_pandas(), then "
            "set_index with its column of times"
            if hasattr(bars, "to_pandas")
            else kind.__name__
        )
        raise InvalidBarsError(
            f"Bars must be a pandas DataFrame with columns {', '.join(required)}, got {told}."
        )
    if not len(bars):
        raise InvalidBarsError("Bars are empty: no rows.")
    if not isinstance(bars.index, (pd.DatetimeIndex, pd.MultiIndex, pd.PeriodIndex)):
        refuse_timeless(bars.index)
    bars = _normalise_columns(bars, required)
    if isinstance(bars.index, pd.PeriodIndex):
        bars = bars.set_axis(to_timestamps(bars.index, stacklevel=4))
    axis = time_axis(bars)
    _refuse_made(bars, axis.index)
    check_order(axis)
    values = {
        name: _check_numbers(bars, name, axis.index) for name in OHLCV if name in bars.columns
    }
    if "high" in values and "low" in values:
        _check_range(values, axis.index)
    if warn:
        _warn_suspicious(values, axis)
    return bars

"""A column of times as found in files enters, a DatetimeIndex in nanoseconds leaves, or an error that names file and row."""

import warnings

import numpy as np
import pandas as pd

from ..exceptions import DataQualityWarning, InvalidBarsError

__all__ = ["parse_times"]

_UNITS = ("s", "ms", "us", "ns")
_EARLIEST, _LATEST = 315_532_800, 4_102_444_800  # 1980 and 2100 in seconds: epoch numbers outside are in no unit


def parse_times(column, path):
    """Read times from strings, timestamps, ``YYYYMMDD`` numbers or epoch numbers.

    Parameters
    ----------
    column : Series
        As read from the file.
    path : path-like
        For messages.

    Returns
    -------
    DatetimeIndex
        In nanoseconds; local times with changing offsets become UTC.
    """
    if column.isna().any():
        raise InvalidBarsError(f"{path}: row {int(np.argmax(column.isna()))} has no time.")
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        stamps = _from_numbers(column, path)
    elif isinstance(column.dtype, pd.PeriodDtype):
        stamps = pd.DatetimeIndex(column.dt.to_timestamp())
    elif pd.api.types.is_datetime64_any_dtype(column.dtype):
        stamps = pd.DatetimeIndex(column)
    else:
        stamps = _from_text(column.astype(str), path)
    try:
        return stamps.as_unit("ns")
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        raise InvalidBarsError(f"{path}: times reach from {stamps.min()} to {stamps.max()}, beyond what nanoseconds hold.") from error


def _from_numbers(column, path):
    values = column.to_numpy(dtype=np.float64)
    if (values == np.round(values)).all() and ((values >= 19_000_101) & (values <= 21_001_231)).all():
        days = pd.to_datetime(pd.Series(values.astype(np.int64).astype(str)), format="%Y%m%d", errors="coerce")
        if days.notna().all():
            return pd.DatetimeIndex(days)
    for power, unit in enumerate(_UNITS):
        scale = 1000.0**power
        if ((values >= _EARLIEST * scale) & (values <= _LATEST * scale)).all():
            whole = pd.api.types.is_integer_dtype(column.dtype)
            exact = column.to_numpy(dtype=np.int64) if whole else np.round(values * (1_000_000 / scale)).astype(np.int64)
            return pd.DatetimeIndex(pd.to_datetime(exact, unit=unit if whole else "us"))
    row = int(np.argmin(np.abs(np.log10(np.maximum(np.abs(values), 1)) - np.log10(np.maximum(np.abs(np.median(values)), 1))) < 1))
    raise InvalidBarsError(
        f"{path}: times are numbers from {values.min():g} to {values.max():g}, which are no seconds, milli-, micro- or nanoseconds since 1970 "
        f"between 1980 and 2100, nor days as YYYYMMDD (look at row {row}: {values[row]:g})."
    )


def _from_text(text, path):
    month_first = _parse(text, dayfirst=False)
    if not isinstance(month_first, Exception) and month_first.is_monotonic_increasing:
        return month_first
    day_first = _parse(text, dayfirst=True) if text.str.match(r"\s*\d{1,2}[./-]\d{1,2}[./-]\d{2,4}").all() else month_first
    if not isinstance(day_first, Exception) and (isinstance(month_first, Exception) or day_first.is_monotonic_increasing):
        return day_first
    if not isinstance(month_first, Exception):
        return month_first
    one_by_one = pd.to_datetime(text, errors="coerce", utc=True, format="mixed")
    row = int(np.argmax(one_by_one.isna())) if one_by_one.isna().any() else 0
    raise InvalidBarsError(f"{path}: row {row} holds {text.iloc[row]!r}, which is no time that can be read.") from month_first


def _parse(text, *, dayfirst):
    """A DatetimeIndex, or the error that reading gave."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pandas tells which of the two orders it took
            return pd.DatetimeIndex(pd.to_datetime(text, dayfirst=dayfirst))
    except ValueError as error:
        if "mixed timezones" not in str(error).lower():
            return error
    warnings.warn("Times with changing UTC offsets were converted to UTC.", DataQualityWarning, stacklevel=7)
    return pd.DatetimeIndex(pd.to_datetime(text, utc=True))

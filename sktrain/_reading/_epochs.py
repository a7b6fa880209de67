"""Times written as numbers: days without marks, epoch numbers, Excel's serial days."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ._cells import SERIALS
from ._days import day_order
from ._protocol import UnreadableError, option

__all__ = ["from_digits", "from_numbers", "nanoseconds", "readings", "strptime"]

# rows converted at once, 1 MiB of float64: a whole column of Python strings outweighs the frame
_SLICE = 1 << 17
_UNITS = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9))  # units in a second
_EARLIEST, _LATEST = 315_532_800, 4_102_444_800  # 1980 and 2100 in seconds
_DAY_SECONDS = 86_400  # seconds
# Excel counts days from here: 1900-01-01 is its day 1, and it knows a 29 February of 1900
_EXCEL_ZERO = pd.Timestamp("1899-12-30")
# Formats of so many digits, the surest first
_FORMATS = {
    6: ("%Y%m", "%y%m%d", "%d%m%y"),
    8: ("%Y%m%d", "%d%m%Y", "%m%d%Y"),
    12: ("%Y%m%d%H%M", "%y%m%d%H%M%S"),
    14: ("%Y%m%d%H%M%S",),
    17: ("%Y%m%d%H%M%S%f",),
}
_YEAR_FIRST = r"(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])"
_ROC = r"1\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # 1130226 is 2024-02-26 in Taiwan


def strptime(text: pd.Series, form: str, *, coerce: bool = False) -> pd.DatetimeIndex | int:
    """The times of a text in one format, slice by slice, or the row that is not in it."""
    out = np.empty(len(text), dtype="datetime64[ns]")
    errors = "coerce" if coerce else "raise"
    for start in range(0, len(text), _SLICE):
        piece = text.iloc[start : start + _SLICE]
        try:
            values = pd.DatetimeIndex(pd.to_datetime(piece, format=form, errors=errors))
        except (ValueError, OverflowError):
            return start + _first_fault(piece, form)
        values = values.tz_localize(None) if values.tz is not None else values
        out[start : start + len(piece)] = nanoseconds(values).to_numpy()
    return pd.DatetimeIndex(out)


def _first_fault(piece: pd.Series, form: str) -> int:
    """The row of a text that is not in a format."""
    try:
        one = pd.to_datetime(piece, format=form, errors="coerce")
    except ValueError:  # some with an offset, others without
        return 0
    return int(np.argmax(one.isna())) if one.isna().any() else 0


def nanoseconds(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The same times in nanoseconds, or a refusal where they do not fit."""
    try:
        return index.as_unit("ns")
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        raise UnreadableError(
            f"times reach from {index.min()} to {index.max()}, beyond what nanoseconds hold "
            "(1678 to 2262). Is it another calendar? Convert the times first."
        ) from error


def readings(
    text: pd.Series, forms: Sequence[str], *, coerce: bool = False
) -> tuple[dict[str, pd.DatetimeIndex], list[int]]:
    """The times of a text in each format that it is in, and the first wrong row of every other.

    Raises
    ------
    UnreadableError
        When every time lies beyond what nanoseconds hold in the only formats that fit.
    """
    fits, wrong, beyond = {}, [], None
    for form in forms:
        try:
            found = strptime(text, form, coerce=coerce)
        except UnreadableError as error:  # 20010103 is no 20 January of the year 103
            beyond = error
            continue
        if isinstance(found, int):
            wrong.append(found)
        else:
            fits[form] = found
    if beyond is not None and not fits:
        raise beyond
    return fits, wrong


def from_digits(
    text: pd.Series, groups: np.ndarray | None, dayfirst: bool | None
) -> tuple[pd.DatetimeIndex, list[str]]:
    """``20240102``, ``240102``, ``202401020930`` and the like; else epoch numbers."""
    length = text.str.len()
    width = int(length.iloc[0])
    if (length == width).all():
        if width in _FORMATS and text.str.match(_YEAR_FIRST).all():
            found = strptime(text, _FORMATS[width][0])
            if not isinstance(found, int) and width != 6:
                return found, []
        if width == 7 and text.str.fullmatch(_ROC).all():
            years = (text.str.slice(0, 3).astype("int64") + 1911).astype("str")
            found = strptime(years + text.str.slice(3), "%Y%m%d")
            if not isinstance(found, int):
                return found, ["years of the Republic of China"]
        if width in (6, 8):
            ordered = _ordered_digits(text, _FORMATS[width], groups, dayfirst)
            if ordered is not None:
                return ordered
    return from_numbers(pd.to_numeric(text, errors="coerce"))


def _ordered_digits(
    text: pd.Series, forms: tuple[str, ...], groups: np.ndarray | None, dayfirst: bool | None
) -> tuple[pd.DatetimeIndex, list[str]] | None:
    """Days of six or eight digits in the order that the rows speak for; None where they fit
    none.
    """
    if dayfirst is not None:
        forms = tuple(form for form in forms if form.startswith("%d") == dayfirst)
    fits, _ = readings(text, forms)
    known = {form: found for form, found in fits.items() if found.min().year >= 1900}
    if not known:
        return None
    form, _ = day_order(known, text, groups, dayfirst)
    names = {"%Y%m": "", "%Y%m%d": "", "%y%m%d": "YYMMDD", "%d%m%y": "DDMMYY"}
    name = names.get(form, form.replace("%", "").upper())
    return known[form], [f"dates read as {name}"] if name else []


def from_numbers(column: pd.Series) -> tuple[pd.DatetimeIndex, list[str]]:
    """Epoch numbers as UTC, days as ``20240102`` and Excel's serial days without zone."""
    values = column.to_numpy(dtype=np.float64)
    low, high = values.min(), values.max()
    whole = bool((values == np.round(values)).all())
    if whole and low >= 19_000_101 and high <= 21_001_231:
        days = pd.Series(values.astype(np.int64).astype(str))
        found = strptime(days, "%Y%m%d")
        if not isinstance(found, int):
            return found, []
    if low >= SERIALS[0] and high < SERIALS[1]:
        seconds = np.round(values * _DAY_SECONDS).astype(np.int64)  # a serial day holds no more
        index = nanoseconds(pd.DatetimeIndex(_EXCEL_ZERO + pd.to_timedelta(seconds, unit="s")))
        return index, ["times are Excel's serial days"]
    for unit, scale in _UNITS:
        if low >= _EARLIEST * scale and high <= _LATEST * scale:
            return _since_1970(column, values, whole, unit, scale)
    raise _refused(values)


def _since_1970(
    column: pd.Series, values: np.ndarray, whole: bool, unit: str, scale: float
) -> tuple[pd.DatetimeIndex, list[str]]:
    if whole:
        index = pd.DatetimeIndex(pd.to_datetime(column.to_numpy(dtype=np.int64), unit=unit))
    else:
        micro = np.round(values * (1e6 / scale)).astype(np.int64)
        index = pd.DatetimeIndex(pd.to_datetime(micro, unit="us"))
    return nanoseconds(index).tz_localize("UTC"), [f"times are epoch numbers ({unit})"]


def _refused(values: np.ndarray) -> UnreadableError:
    steps = np.diff(values)
    if len(values) and abs(values[0]) <= 1 and (steps == 1).all():
        return UnreadableError(
            "has no column of times: what stands in their place are row numbers. Add the column of "
            f"times to the file, or name it with {option('columns', {'time': 'NAME'})}."
        )
    usual = np.log10(max(abs(np.median(values)), 1))
    odd = np.abs(np.log10(np.maximum(np.abs(values), 1)) - usual) >= 1
    row = int(np.argmax(odd))
    return UnreadableError(
        f"times are numbers from {values.min():.15g} to {values.max():.15g}, which are neither "
        "seconds, milli-, micro- or nanoseconds since 1970 between 1980 and 2100, nor days as "
        f"YYYYMMDD, nor Excel's serial days; look at {{row {row}}}: {values[row]:.15g}."
    )

"""A column of times as a file writes them enters; one decision for the whole column; a DatetimeIndex leaves.

Day order comes from the evidence of all rows: dots, a number above 12, the order of rows, regular spacing, weekends. What stays
open is refused. Stamps with an offset are instants (UTC) unless all of them are a local midnight: then they are dates.
"""

from dataclasses import dataclass, field
import re
from typing import Any

import numpy as np
import pandas as pd

from ._cells import MISSING
from ._months import english_months
from ._protocol import UnreadableError, clipped, option

__all__ = ["Times", "joined_clock", "parse_times"]

_SLICE = (
    1 << 17
)  # rows converted at once: Python strings of a whole column would outweigh the frame
_UNITS = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9))
_EARLIEST, _LATEST = 315_532_800, 4_102_444_800  # 1980 and 2100 in seconds
_OFFSET = re.compile(r"(?:(?<=[\d\s])|(?<=[\d\s](?:GMT|UTC)))([+-]\d{2}:?(?:\d{2})?|Z|z)$")
_UTC_WORD = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)
_ZONE_NAME = re.compile(r" ([A-Z][A-Za-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?)$")
_CTIME = r"^[^\W\d]{3} ([^\W\d]{3}) +(\d{1,2}) (\d{2}:\d{2}:\d{2})( [+-]\d{4})? (\d{4})$"
_ISO = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?$")
_DAY = 86_400 * 10**9  # nanoseconds


@dataclass
class Times:
    """Times of a column.

    Attributes
    ----------
    index : DatetimeIndex
        In nanoseconds; naive, or UTC.
    zone : str or None
        The clock the stamps were written on, where the column or the caller says.
    notes : list of str
    local : DatetimeIndex
        The same stamps on the clock they were written on, naive.
    """

    index: pd.DatetimeIndex
    zone: str | None = None
    notes: list[str] = field(default_factory=list)
    local: pd.DatetimeIndex | None = None


class _BadTimeError(Exception):
    """The place of the first cell that is no time."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def parse_times(
    column: pd.Series,
    *,
    groups: np.ndarray | None = None,
    dayfirst: bool | None = None,
    timezone: str | None = None,
    utc: bool = False,
    coerce: bool = False,
    kept_zone: bool = False,
) -> Times:
    """Read a whole column of times.

    Parameters
    ----------
    column : Series
        Text, numbers or timestamps.
    groups : ndarray of int, optional
        Instrument of each row: the order of rows and their spacing count within one.
    dayfirst : bool, optional
        What ``03/04`` means; None finds out, or refuses.
    timezone : str, optional
        Zone of stamps that carry none; stamps that carry one are seen in it.
    utc : bool, default=False
        Whether the name of the column says that the clock is UTC.
    coerce : bool, default=False
        NaT for what is no time, instead of an error.
    kept_zone : bool, default=False
        Whether stamps that carry a zone stay instants even when all are a local midnight; ``local`` tells their clock.

    Raises
    ------
    UnreadableError
        Naming the row as ``{row N}``, which the reader turns into the line.
    """
    found = _iso(column) if not dayfirst else None
    empty = np.zeros(len(column), dtype=bool) if found is not None else _missing(column)
    if empty.all():
        raise UnreadableError("the column of times is empty.")
    if empty.any() and not coerce:
        raise UnreadableError(f"{{row {int(np.argmax(empty))}}} has no time.")
    try:
        if empty.any():
            column, groups = column[~empty], None if groups is None else groups[~empty]
        times = (
            _clocked(Times(found), utc)
            if found is not None
            else _read(column, groups, dayfirst, utc, coerce)
        )
    except _BadTimeError as bad:
        row = int(np.flatnonzero(~empty)[bad.row])
        raise UnreadableError(
            f"{{row {row}}} holds {clipped(column.iloc[bad.row])}, which is no time that can be read."
        ) from None
    times.local = times.index.tz_localize(None) if times.local is None else times.local
    if not kept_zone and (timezone is not None or times.index.tz is not None):
        times = _settled(times, timezone, groups)
    if empty.any():
        times.index, times.local = (_spread(index, ~empty) for index in (times.index, times.local))
    return times


def _spread(index: pd.DatetimeIndex, there: np.ndarray) -> pd.DatetimeIndex:
    """The times in their rows, NaT in the others."""
    values = np.full(len(there), pd.NaT.value, dtype=np.int64)
    values[there] = index.asi8
    out = pd.DatetimeIndex(values.view("datetime64[ns]"))
    return out if index.tz is None else out.tz_localize("UTC").tz_convert(index.tz)


def joined_clock(day: pd.Series, clock: pd.Series) -> pd.Series:
    """Day and time of day, apart in the file, as one text: ``93000``, ``0935``, ``0`` and ``9:30`` are times of day."""
    clock = clock.astype("str").str.strip().str.replace(r"\.0+$", "", regex=True)
    if clock.str.fullmatch(r"\d{1,6}").all():
        wide = 4 if clock.str.len().max() <= 4 and (clock.str.len() > 1).any() else 6
        clock = clock.str.zfill(wide)
        parts = [clock.str.slice(i, i + 2) for i in range(0, wide, 2)]
        clock = parts[0].str.cat(parts[1:], sep=":")
    day = day.astype("str").str.strip().str.replace(r"[ T]00:00(:00)?(\.0+)?$", "", regex=True)
    return day.str.cat(clock, sep=" ")


def _iso(column: pd.Series) -> pd.DatetimeIndex | None:
    """The usual case, a year in front and no offset, without a look at every text; None where it is not the case."""
    if (
        not pd.api.types.is_string_dtype(column.dtype)
        or not len(column)
        or not _ISO.match(str(column.iloc[0]))
    ):
        return None
    found = _cast(column)
    if found is None:
        found = _converted(column, "ISO8601")
    return None if isinstance(found, int) or found.hasnans else found


def _cast(column: pd.Series) -> pd.DatetimeIndex | None:
    """Times as Arrow reads them, several times as fast; None where it is not installed or finds another form."""
    try:
        import pyarrow as pa
    except ImportError:
        return None
    try:
        values = pa.array(column, type=pa.large_string()).cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        return None
    return pd.DatetimeIndex(values.to_numpy(zero_copy_only=False))


def _missing(column: pd.Series) -> np.ndarray:
    missing = column.isna().to_numpy()
    if pd.api.types.is_string_dtype(column.dtype) or column.dtype == object:
        missing = missing | column.isin(MISSING).to_numpy()
    return missing


def _read(column: pd.Series, groups, dayfirst, utc: bool, coerce: bool) -> Times:
    dtype = column.dtype
    if isinstance(dtype, pd.PeriodDtype):
        return Times(_nanoseconds(pd.DatetimeIndex(column.dt.to_timestamp())))
    if pd.api.types.is_datetime64_any_dtype(dtype):
        index = _nanoseconds(pd.DatetimeIndex(column))
        if index.tz is None:
            return _clocked(Times(index), utc)
        return Times(index.tz_convert("UTC"), str(index.tz), local=index.tz_localize(None))
    if pd.api.types.is_object_dtype(dtype):
        stamps = column.map(
            lambda value: isinstance(value, (pd.Timestamp, np.datetime64)) or hasattr(value, "year")
        )
        if stamps.all():
            column = column.map(lambda value: pd.Timestamp(value).isoformat())
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        return _from_numbers(column)
    text = column.astype("str").str.strip()
    if text.iloc[0][:1].isdigit() and text.str.fullmatch(r"\d+(?:\.0*)?(?:[eE]\+?\d+)?").all():
        return _from_digits(text.str.replace(r"\.0*$", "", regex=True))
    return _from_text(text, groups, dayfirst, utc, coerce)


def _nanoseconds(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    try:
        return index.as_unit("ns")
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        raise UnreadableError(
            f"times reach from {index.min()} to {index.max()}, beyond what nanoseconds hold."
        ) from error


def _from_digits(text: pd.Series) -> Times:
    """``20240102``, ``202401020930``, ``20240102093000`` and with milliseconds; else epoch numbers."""
    length = text.str.len()
    width = int(length.iloc[0])
    formats = {6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%f"}
    if (
        (length == width).all()
        and width in formats
        and text.str.match(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])").all()
    ):
        found = _converted(text, formats[width])
        if not isinstance(found, int):
            return Times(found)
    values = pd.to_numeric(text, errors="coerce")
    return _from_numbers(values)


def _from_numbers(column: pd.Series) -> Times:
    values = column.to_numpy(dtype=np.float64)
    whole = bool((values == np.round(values)).all())
    if whole and values.min() >= 19_000_101 and values.max() <= 21_001_231:
        days = pd.to_datetime(
            pd.Series(values.astype(np.int64).astype(str)), format="%Y%m%d", errors="coerce"
        )
        if days.notna().all():
            return Times(_nanoseconds(pd.DatetimeIndex(days)))
    for unit, scale in _UNITS:
        if values.min() >= _EARLIEST * scale and values.max() <= _LATEST * scale:
            if whole:
                index = pd.DatetimeIndex(pd.to_datetime(column.to_numpy(dtype=np.int64), unit=unit))
            else:
                index = pd.DatetimeIndex(
                    pd.to_datetime(np.round(values * (1e6 / scale)).astype(np.int64), unit="us")
                )
            return Times(
                _nanoseconds(index).tz_localize("UTC"),
                "UTC",
                notes=[f"times are epoch numbers ({unit})"],
            )
    _refuse_numbers(values)
    raise AssertionError  # the line above raises


def _refuse_numbers(values: np.ndarray) -> None:
    steps = np.diff(values)
    if len(values) and abs(values[0]) <= 1 and (steps == 1).all():
        raise UnreadableError(
            "has no column of times: what stands in their place are row numbers. Add the column of times to the file, "
            f"or name it with {option('columns', {'time': 'NAME'})}."
        )
    usual = np.log10(max(abs(np.median(values)), 1))
    odd = np.abs(np.log10(np.maximum(np.abs(values), 1)) - usual) >= 1
    row = int(np.argmax(odd))
    raise UnreadableError(
        f"times are numbers from {values.min():.15g} to {values.max():.15g}, which are neither seconds, milli-, micro- or nanoseconds "
        f"since 1970 between 1980 and 2100, nor days as YYYYMMDD; look at {{row {row}}}: {values[row]:.15g}."
    )


def _converted(
    text: pd.Series, form: str, *, utc: bool = False, coerce: bool = False
) -> pd.DatetimeIndex | int:
    """The times of a text in one format, slice by slice, or the row that is not in it."""
    out = np.empty(len(text), dtype="datetime64[ns]")
    for start in range(0, len(text), _SLICE):
        piece = text.iloc[start : start + _SLICE]
        try:
            found = pd.to_datetime(
                piece, format=form, utc=utc or None, errors="coerce" if coerce else "raise"
            )
        except (ValueError, OverflowError):
            one = pd.to_datetime(piece, format=form, utc=utc or None, errors="coerce")
            return start + int(np.argmax(one.isna())) if one.isna().any() else start
        values = pd.DatetimeIndex(found)
        out[start : start + len(piece)] = _nanoseconds(
            values.tz_localize(None) if values.tz is not None else values
        ).to_numpy()
    index = pd.DatetimeIndex(out)
    return index.tz_localize("UTC") if utc else index


def _from_text(text: pd.Series, groups, dayfirst, utc: bool, coerce: bool) -> Times:
    first = text.iloc[0]
    if re.match(r"\d{4}-\d{2}-\d{2}[T ].*[+-]\d{2}:\d{2}$", first) and not dayfirst:
        offsets = text.str.slice(-6)
        if pd.Series(offsets.unique()).str.fullmatch(r"[+-]\d{2}:\d{2}").all():
            found = _converted(text.str.slice(0, -6), "ISO8601")
            if not isinstance(found, int):
                return _with_offsets(found, offsets, [])
    text = _latin(text)
    if _ZONE_NAME.search(text.iloc[0]):
        return _with_zone_names(text, groups, dayfirst, coerce)
    text, zoned = _offsets(text)
    if zoned.any() and not zoned.all():
        row = int(np.argmin(zoned)) if zoned[0] else int(np.argmax(zoned))
        raise UnreadableError(
            f"{{row {row}}} holds {clipped(text.iloc[row])}: some times carry an offset, others none. Give all of them one, or none."
        )
    local = text.str.replace(_OFFSET, "", regex=True).str.strip() if zoned.any() else text
    index, forms, notes = _local(local, groups, dayfirst, coerce)
    if not zoned.any():
        return _clocked(Times(index, notes=notes), utc)
    offsets = text.str.extract(_OFFSET)[0]
    return _with_offsets(index, offsets, notes)


def _with_zone_names(text: pd.Series, groups, dayfirst, coerce: bool) -> Times:
    """Stamps that end in the name of their zone, as Interactive Brokers writes them: ``US/Eastern``."""
    names = text.str.extract(_ZONE_NAME)[0]
    zone = names.iloc[0]
    other = (names != zone).to_numpy()
    if other.any():
        row = int(np.argmax(other))
        raise UnreadableError(
            f"{{row {row}}} holds {clipped(text.iloc[row])}, the first row a time in {zone}. Give all times one zone."
        )
    local, _, notes = _local(text.str.replace(_ZONE_NAME, "", regex=True), groups, dayfirst, coerce)
    try:
        return Times(_localised(local, zone, groups), zone, notes=notes, local=local)
    except (KeyError, OSError) as error:
        raise UnreadableError(
            f"{{row 0}} holds {clipped(text.iloc[0])}, but {zone} is no time zone."
        ) from error


def _clocked(times: Times, utc: bool) -> Times:
    """Stamps of a column that is named after UTC."""
    if utc and not _midnights(times.index):
        times.index, times.zone = times.index.tz_localize("UTC"), "UTC"
    return times


def _latin(text: pd.Series) -> pd.Series:
    """Marks of other languages, weekday names and blanks brought into one form."""
    sample = "".join(text.iloc[:: max(len(text) // 50, 1)])
    if re.search(r"[年월年月日일时時分초秒]", sample):
        text = text.str.replace(r"\s*[年년月월]\s*", "-", regex=True).str.replace(
            r"\s*[日일]\s*", " ", regex=True
        )
        text = text.str.replace(r"\s*[时時시点點]\s*", ":", regex=True).str.replace(
            r"\s*[分분]\s*", ":", regex=True
        )
        text = text.str.replace(r"[秒초]", "", regex=True).str.replace(r"[:\s-]+$", "", regex=True)
    if re.search(r"\d\s*[-/.]\s+\d", sample):
        text = text.str.replace(r"(\d)\s*([-/.])\s+(?=\d)", r"\1\2", regex=True)
    if re.search(r"[^\W\d]{3}", sample):
        text = text.str.replace(_CTIME, r"\2 \1 \5 \3\4", regex=True)  # Mon Jan 05 09:30:00 2024
        text = english_months(text)
    text = text.str.replace(
        r"^(?!\w+\. \d{1,2},? \d{4})[^\W\d]{2,10}[,.]+\s*(?=\d|[^\W\d]{3})", "", regex=True
    )  # Mon, 05 Jan 2024, but not Jan. 5, 2024
    text = text.str.replace(
        r"^(?:mon|tue|wed|thu|fri|sat|sun)[^\W\d]*\s+", "", regex=True, case=False
    )
    text = text.str.replace(
        r"[,\s]+(?:[一二三四五六日]|周.|星期.|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*)$",
        "",
        regex=True,
        case=False,
    )
    return text.str.replace(r"\s+", " ", regex=True).str.strip()


def _offsets(text: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """Texts with their offset at the end as ``+HH:MM`` or ``Z``, and which carry one."""
    text = text.str.replace(r"\s*(?:GMT|UTC)\s*(?=[+-]\d)", "", regex=True)
    text = text.str.replace(_UTC_WORD, "Z", regex=True)
    text = text.str.replace(r" (?=[+-]\d{2}:?\d{2}$)", "", regex=True)
    clock = text.str.contains(
        r":\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?(?:\d{2})?)$", regex=True
    ).to_numpy()
    return text, clock | text.str.contains(r"\dZ$", regex=True).to_numpy()


def _with_offsets(local: pd.DatetimeIndex, offsets: pd.Series, notes: list[str]) -> Times:
    names = list(pd.unique(offsets))
    spans = {name: _span(name) for name in names}
    zone = (
        "UTC" if set(spans.values()) == {0} else "/".join(_shown(spans[name]) for name in names[:3])
    )
    if len(names) > 3:
        zone += "/…"
    shift = offsets.map(spans).to_numpy(dtype=np.int64)
    instants = local.asi8 - np.where(local.isna(), 0, shift)
    index = pd.DatetimeIndex(instants.view("datetime64[ns]")).tz_localize("UTC")
    return Times(index, zone, notes=notes, local=local)


def _span(offset: str) -> int:
    if offset in "Zz":
        return 0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return (-1 if offset[0] == "-" else 1) * seconds * 10**9


def _shown(span: int) -> str:
    minutes = abs(span) // (60 * 10**9)
    return f"{'-' if span < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _settled(times: Times, timezone: Any, groups) -> Times:
    """One clock: dates at a local midnight stay dates, everything else becomes UTC."""
    index = times.index
    try:
        if index.tz is None:
            if _midnights(index):
                pd.DatetimeIndex(["2000-01-01"]).tz_localize(timezone)  # an unknown zone shows now
                note = f"session dates in {timezone}"
                return Times(index, timezone, notes=[*times.notes, note], local=index)
            zoned = _localised(index, timezone, groups)
            return Times(zoned, timezone, notes=times.notes, local=index)
        seen = times.local if timezone is None else index.tz_convert(timezone).tz_localize(None)
    except (KeyError, OSError, TypeError) as error:
        raise UnreadableError(
            f"{option('timezone', timezone)} is no time zone. Write it like {option('timezone', 'America/New_York')}."
        ) from error
    zone = timezone or times.zone
    epoch = any("epoch" in note for note in times.notes) and timezone is None
    if not epoch and _midnights(seen):
        return Times(
            seen, zone, notes=[*times.notes, f"session dates at midnight {zone}"], local=seen
        )
    return Times(index, zone, notes=times.notes, local=seen)


def _localised(index: pd.DatetimeIndex, timezone: str, groups) -> pd.DatetimeIndex:
    """Wall-clock stamps as instants: of a repeated hour the first row is its first pass, a lone one its second."""
    frame = pd.DataFrame({"group": 0 if groups is None else groups, "time": index})
    first = ~frame.duplicated() & frame.duplicated(keep=False)
    if not index.is_monotonic_increasing and len(index) > 1 and index[0] > index[-1]:
        first = frame.duplicated() & frame.duplicated(keep=False)  # newest first
    try:
        return index.tz_localize(timezone, ambiguous=first.to_numpy()).tz_convert("UTC")
    except ValueError as error:
        raise UnreadableError(
            f"{error}: no such time on the clock of {option('timezone', timezone)}, which changes then. Name another zone."
        ) from error


def _midnights(index: pd.DatetimeIndex) -> bool:
    values = index.asi8
    if index.hasnans:
        values = values[values != pd.NaT.value]
    return not (values[:100] % _DAY).any() and not (values % _DAY).any()


def _local(
    text: pd.Series, groups, dayfirst, coerce: bool
) -> tuple[pd.DatetimeIndex, str, list[str]]:
    """Times without offsets, in the one format that the column has."""
    from ._days import day_order, formats_of

    forms = formats_of(text, dayfirst)
    worst: list[int] = []
    fits: dict[str, pd.DatetimeIndex] = {}
    for form in forms:
        found = _converted(text, form, coerce=coerce)
        if isinstance(found, int):
            worst.append(found)
        else:
            fits[form] = found
    if coerce and len(fits) > 1:
        most = max(index.notna().sum() for index in fits.values())
        fits = {form: index for form, index in fits.items() if index.notna().sum() == most}
    if not fits:
        raise _BadTimeError(max(worst, default=0))
    form, notes = day_order(fits, text, groups, dayfirst)
    return fits[form], form, notes

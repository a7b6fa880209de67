"""A column of times as a DatetimeIndex; one decision for the whole column.

Day order comes from the evidence of all rows: dots, a number above 12, the order of rows, regular
spacing, weekends. What stays open is refused. Stamps with an offset are instants (UTC) unless all
of them are a local midnight: then they are dates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
import re
from typing import Any

import numpy as np
import pandas as pd

from ._cells import MISSING
from ._days import day_order, formats_of
from ._epochs import from_digits, from_numbers, nanoseconds, readings, strptime
from ._protocol import UnreadableError, clipped, option
from ._stamps import taken_apart
from ._zones import localised, shifts

__all__ = ["Times", "joined_clock", "joined_days", "parse_times"]

_ISO = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?$")
# Years in front or at the end, marks between numbers, a plain clock: read as they stand
_PLAIN = (
    r"(?:(?:1[5-9]|20)\d{2}|\d{1,2})[-/.]\d{1,2}[-/.](?:(?:1[5-9]|20)\d{2}|\d{1,2})"
    r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?"
)
_ZONED_ISO = (
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2}|[+-]\d{2})"
)
_OTHER_YEAR = re.compile(
    r"\s*1[34]\d{2}(?:([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?!\d)"
    r"|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\.0)?$)"
)
_PERIOD = re.compile(r"(?i)\d{4}[- ]?[WMQ]\d{1,2}$")
_LOOKED_AT = 200  # cells that tell the calendar, a judgment
_OFFSET = r"(?:Z|[+-]\d{2}(?::?\d{2})?)$"
_AGO = r"(?i)\bago\b|\b(?:yesterday|today|vor|gestern|il y a|hace)\b|[前昨今]"
_HOURS = 24  # of a day: 24 is its end
_SHORTEST_STAMP = 11  # characters: a day has 10 at most
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
    days : ndarray of bool or None
        Rows in which a day stands without a time of day, where the column is text.
    zoned : ndarray of bool or None
        Rows that carry a zone, where some do and others do not.
    """

    index: pd.DatetimeIndex
    zone: str | None = None
    notes: list[str] = field(default_factory=list)
    local: pd.DatetimeIndex | None = None
    days: np.ndarray | None = None
    zoned: np.ndarray | None = None


@dataclass
class _Asked:
    """What the caller says about a column."""

    groups: np.ndarray | None
    dayfirst: bool | None
    timezone: str | None
    said: str | None
    coerce: bool
    late: bool


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
    said: str | None = None,
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
    said : str, optional
        The zone that the name of the column gives, such as ``"UTC"``.
    coerce : bool, default=False
        NaT for what is no time, instead of an error.
    kept_zone : bool, default=False
        Whether stamps that carry a zone stay instants even when all are a local midnight; ``local``
        tells their clock.

    Raises
    ------
    UnreadableError
        Naming the row as ``{row N}``, which the reader turns into the line.
    """
    _refuse_other_calendars(column)
    found = _iso(column) if not dayfirst else None
    empty = np.zeros(len(column), dtype=bool) if found is not None else _missing(column)
    if empty.all():
        raise UnreadableError("the column of times is empty.")
    if empty.any() and not coerce:
        raise UnreadableError(f"{{row {int(np.argmax(empty))}}} has no time. {_mend()}")
    try:
        if empty.any():
            column, groups = column[~empty], None if groups is None else groups[~empty]
        times = (
            _clocked(Times(found, days=_short(column) if kept_zone else None), said, groups)
            if found is not None
            else _read(column, _Asked(groups, dayfirst, timezone, said, coerce, kept_zone))
        )
    except _BadTimeError as bad:
        row = int(np.flatnonzero(~empty)[bad.row])
        cell = str(column.iloc[bad.row])
        why = "is no time that can be read"
        if re.search(_AGO, cell):
            why = "is relative to a moment that the file does not name"
        raise UnreadableError(
            f"{{row {row}}} holds {clipped(cell)}, which {why}. {_mend()}"
        ) from None
    times.local = times.index.tz_localize(None) if times.local is None else times.local
    if not kept_zone and (timezone is not None or times.index.tz is not None):
        times = _settled(times, timezone, groups)
    if empty.any():
        times.index, times.local = (_spread(index, ~empty) for index in (times.index, times.local))
        times.days, times.zoned = (_whole(one, ~empty) for one in (times.days, times.zoned))
    return times


def _refuse_other_calendars(column: pd.Series) -> None:
    """Years from 1300 to 1499 are those of the Persian or the Islamic calendar."""
    cells = column.head(_LOOKED_AT).dropna().astype("str")
    cells = cells[~cells.isin(MISSING)]
    if not len(cells) or not _OTHER_YEAR.match(first := str(cells.iloc[0])):
        return
    if cells.str.match(_OTHER_YEAR).all():
        raise UnreadableError(
            f"dates such as {clipped(first.strip())} have years of the Persian (Jalali) or the "
            "Islamic (Hijri) calendar. Convert them to dates such as 2024-02-26 first."
        )


def _whole(mask: np.ndarray | None, there: np.ndarray) -> np.ndarray | None:
    """A mask of the rows that are there as one of all rows."""
    if mask is None:
        return None
    out = np.zeros(len(there), dtype=bool)
    out[there] = mask
    return out


def _mend() -> str:
    return f"Repair it, or leave such rows out with {option('bad_rows', 'drop')}."


def _spread(index: pd.DatetimeIndex, there: np.ndarray) -> pd.DatetimeIndex:
    """The times in their rows, NaT in the others."""
    values = np.full(len(there), pd.NaT.value, dtype=np.int64)
    values[there] = index.asi8
    out = pd.DatetimeIndex(values.view("datetime64[ns]"))
    return out if index.tz is None else out.tz_localize("UTC").tz_convert(index.tz)


def joined_clock(day: pd.Series, clock: pd.Series) -> pd.Series:
    """Day and time of day, apart in the file, as one text.

    ``93000``, ``0935``, ``0`` and ``9:30`` are times of day; a column of 0 to 24 holds hours.
    """
    clock = clock.astype("str").str.strip().str.replace(r"\.0+$", "", regex=True)
    if clock.str.fullmatch(r"\d{1,2}").all() and pd.to_numeric(clock).max() <= _HOURS:
        clock = clock.str.zfill(2) + ":00"  # hours: as HHMM they would not reach an hour
    elif clock.str.fullmatch(r"\d{1,6}").all():
        wide = 4 if clock.str.len().max() <= 4 and (clock.str.len() > 1).any() else 6
        clock = clock.str.zfill(wide)
        parts = [clock.str.slice(i, i + 2) for i in range(0, wide, 2)]
        clock = parts[0].str.cat(parts[1:], sep=":")
    day = day.astype("str").str.strip().str.replace(r"[ T]00:00(:00)?(\.0+)?$", "", regex=True)
    return day.str.cat(clock, sep=" ")


def joined_days(parts: Sequence[pd.Series]) -> pd.Series:
    """Year, month and day, and hour and minute where they are given, as one text."""
    texts = [one.astype("str").str.strip().str.replace(r"\.0+$", "", regex=True) for one in parts]
    day = texts[0].str.cat([one.str.zfill(2) for one in texts[1:3]], sep="-")
    if len(texts) == 3:
        return day
    clock = [one.str.zfill(2) for one in texts[3:]]
    minute = clock[1] if len(clock) > 1 else "00"
    return day + " " + clock[0] + ":" + minute


def _iso(column: pd.Series) -> pd.DatetimeIndex | None:
    """The usual case, a year in front and no offset, without a look at every text; None where it is
    not the case.
    """
    if (
        not pd.api.types.is_string_dtype(column.dtype)
        or not len(column)
        or not isinstance(column.iloc[0], str)
        or not _ISO.match(str(column.iloc[0]))
    ):
        return None
    found = _cast(column)
    if found is None:
        found = strptime(column, "ISO8601")
    return None if isinstance(found, int) or found.hasnans else found


def _cast(column: pd.Series) -> pd.DatetimeIndex | None:
    """Times as Arrow reads them, several times as fast; None where it is not installed or finds
    another form.
    """
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


def _read(column: pd.Series, asked: _Asked) -> Times:
    dtype = column.dtype
    if isinstance(dtype, pd.PeriodDtype):
        return Times(nanoseconds(pd.DatetimeIndex(column.dt.to_timestamp())))
    if pd.api.types.is_datetime64_any_dtype(dtype):
        index = nanoseconds(pd.DatetimeIndex(column))
        if index.tz is None:
            return _clocked(Times(index), asked.said, asked.groups)
        return Times(index.tz_convert("UTC"), str(index.tz), local=index.tz_localize(None))
    if pd.api.types.is_object_dtype(dtype):
        column = _as_texts(column)
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        return _numbered(*from_numbers(column))
    text = column.astype("str").str.strip()
    if text.iloc[0][:1].isdigit() and text.str.fullmatch(r"\d+(?:\.\d*)?(?:[eE]\+?\d+)?").all():
        digits = text.str.replace(r"\.0*$", "", regex=True)
        if digits.str.fullmatch(r"\d+").all():
            return _numbered(*from_digits(digits, asked.groups, asked.dayfirst))
        return _numbered(*from_numbers(pd.to_numeric(text, errors="coerce")))
    return _from_text(text, asked)


def _numbered(index: pd.DatetimeIndex, notes: list[str]) -> Times:
    return Times(index, None if index.tz is None else "UTC", notes=notes)


def _as_texts(column: pd.Series) -> pd.Series:
    """Dates and stamps among objects as texts."""
    stamped = column.map(
        lambda one: isinstance(one, (pd.Timestamp, np.datetime64)) or hasattr(one, "year")
    )
    return column.map(lambda one: pd.Timestamp(one).isoformat()) if stamped.all() else column


def _from_text(text: pd.Series, asked: _Asked) -> Times:
    if _PERIOD.match(text.iloc[0]):
        periods = _periods(text)
        if periods is not None:
            return periods
    if text.str.fullmatch(_ZONED_ISO).all() and not asked.dayfirst:
        found = strptime(text.str.replace(_OFFSET, "", regex=True), "ISO8601")
        if not isinstance(found, int):
            zones = text.str.slice(-6)
            if not zones.str.match(r"[+-]").all():
                zones = text.str.extract(rf"({_OFFSET})")[0]
            return _zoned(found, zones, text, asked, [])
    if text.str.fullmatch(_PLAIN).all():
        try:
            index, notes = _in_one_format(text, text, None, asked)
        except _BadTimeError:
            pass  # clocks of several forms
        else:
            times = Times(index, notes=notes, days=_short(text))
            return _clocked(times, asked.said, asked.groups)
    return _from_pieces(text, asked)


def _periods(text: pd.Series) -> Times | None:
    """Weeks, months and quarters such as 2024-W05, 2024M01 and 2024Q1, at their first day."""
    parts = text.str.extract(r"(?i)^(\d{4})[- ]?([WMQ])(\d{1,2})$")
    kinds = parts[1].str.upper().unique()
    if parts[0].isna().any() or len(kinds) != 1:
        return None
    if kinds[0] == "W":  # ISO 8601: weeks begin on Monday
        found = strptime(parts[0] + "-" + parts[2].str.zfill(2) + "-1", "%G-%V-%u")
    else:
        size = 3 if kinds[0] == "Q" else 1
        month = ((parts[2].astype("int64") - 1) * size + 1).astype("str")
        found = strptime(parts[0] + "-" + month, "%Y-%m")
    if isinstance(found, int):
        raise _BadTimeError(found)
    what = {"W": "weeks", "M": "months", "Q": "quarters"}[kinds[0]]
    return Times(found, notes=[f"{what} are stamped at their first day"], days=_short(text))


def _short(text: pd.Series) -> np.ndarray:
    """Rows too short for a time of day beside the day."""
    return (text.str.len() < _SHORTEST_STAMP).to_numpy()


def _from_pieces(text: pd.Series, asked: _Asked) -> Times:
    """Stamps in prose, with clocks and zones of any spelling."""
    parts = taken_apart(text)
    daily = parts.day != ""
    if not daily.any() and parts.timed.all() and not re.search(_AGO, text.iloc[0]):
        role = "available_at" if asked.late else "date"
        raise UnreadableError(
            f"times such as {clipped(text.iloc[0])} have no day. Name the column of days with "
            f"{option('columns', {role: 'NAME'})}."
        )
    index, notes = _in_one_format(_one_spelling(parts.day), text, parts.clock, asked)
    times = Times(index, notes=notes, days=~parts.timed)
    named = (parts.zone != "").to_numpy() & parts.timed  # a day has no zone
    if not named.any():
        return _clocked(times, asked.said, asked.groups)
    if (parts.timed & ~named).any() and asked.timezone is None:
        row = int(np.argmin(named)) if named[0] else int(np.argmax(named))
        raise UnreadableError(
            f"{{row {row}}} holds {clipped(text.iloc[row])}: some times carry a zone, others none. "
            f"Say whose clock the others are on, as in {option('timezone', 'America/New_York')}."
        )
    zone = parts.zone.where(named, "")
    if asked.timezone is None and not named.all():
        zone = zone.where(named, zone[named].iloc[0])  # a day in the zone of the other rows
    out = _zoned(index, zone, text, asked, notes)
    out.days, out.zoned = times.days, named
    return out


def _one_spelling(day: pd.Series) -> pd.Series:
    """Days of which some are written like 2024-03-04 and the rest with the month's name, as feeds
    of several sources mix them, all in the former way: neither leaves anything open.
    """
    distinct = day.drop_duplicates()
    worded = distinct.str.contains(r"[^\W\d_]", regex=True)
    plain = distinct.str.fullmatch(r"(19|20)\d{2}-\d{2}-\d{2}")
    if not worded.any() or not plain.any() or not (worded | plain).all():
        return day
    names = distinct[worded]
    fits, _ = readings(names, formats_of(names.iloc[0], None))
    if len(fits) != 1:
        return day
    (found,) = fits.values()
    return day.replace(dict(zip(names, found.strftime("%Y-%m-%d"))))


def _zoned(
    local: pd.DatetimeIndex, zones: pd.Series, text: pd.Series, asked: _Asked, notes: list[str]
) -> Times:
    index, zone, more = shifts(local, zones, text, asked.timezone, asked.groups, late=asked.late)
    return Times(index, zone, notes=[*notes, *more], local=local)


def _clocked(times: Times, said: str | None, groups: np.ndarray | None) -> Times:
    """Stamps of a column that is named after a zone."""
    if said is not None and not _midnights(times.index):
        times.local = times.index
        times.index, times.zone = localised(times.index, said, groups), said
    return times


def _settled(times: Times, timezone: Any, groups) -> Times:
    """One clock: dates at a local midnight stay dates, everything else becomes UTC."""
    index = times.index
    try:
        if index.tz is None:
            if _midnights(index):
                pd.DatetimeIndex(["2000-01-01"]).tz_localize(timezone)  # an unknown zone shows now
                note = f"session dates in {timezone}"
                return Times(index, timezone, notes=[*times.notes, note], local=index)
            zoned = localised(index, timezone, groups)
            return Times(zoned, timezone, notes=times.notes, local=index)
        seen = times.local if timezone is None else index.tz_convert(timezone).tz_localize(None)
    except (KeyError, OSError, TypeError) as error:
        raise UnreadableError(
            f"{option('timezone', timezone)} is no time zone. Write it like "
            f"{option('timezone', 'America/New_York')}."
        ) from error
    zone = timezone or times.zone
    if _midnights(seen):
        return Times(
            seen, zone, notes=[*times.notes, f"session dates at midnight {zone}"], local=seen
        )
    return Times(index, zone, notes=times.notes, local=seen)


def _midnights(index: pd.DatetimeIndex) -> bool:
    values = index.asi8
    if index.hasnans:
        values = values[values != pd.NaT.value]
    return not (values[:100] % _DAY).any() and not (values % _DAY).any()


def _in_one_format(
    day: pd.Series, text: pd.Series, clock: np.ndarray | None, asked: _Asked
) -> tuple[pd.DatetimeIndex, list[str]]:
    """Times without zones, whose days are in one format; ``clock`` is what to add to each."""
    codes, distinct = np.arange(len(day)), day
    if clock is not None:
        codes, names = pd.factorize(day)
        distinct = pd.Series(names)
    readable = distinct.str.contains(r"\d", regex=True)
    if not readable.any():
        raise _BadTimeError(0)
    forms = formats_of(distinct[readable].iloc[0], asked.dayfirst)
    fits, wrong_days = readings(distinct, forms, coerce=asked.coerce)
    if clock is not None:
        fits = {form: found.take(codes) for form, found in fits.items()}
    if clock is not None and not asked.coerce:
        wrong = (clock < 0) | (day == "").to_numpy()
        if wrong.any():
            raise _BadTimeError(int(np.argmax(wrong)))
    if asked.coerce and len(fits) > 1:
        most = max(index.notna().sum() for index in fits.values())
        fits = {form: index for form, index in fits.items() if index.notna().sum() == most}
    if not fits:
        raise _BadTimeError(max((int(np.argmax(codes == row)) for row in wrong_days), default=0))
    if clock is not None:
        spans = pd.to_timedelta(np.where(clock < 0, np.iinfo(np.int64).min, clock), unit="ns")
        fits = {form: index + spans for form, index in fits.items()}
    form, notes = day_order(fits, text, asked.groups, asked.dayfirst)
    return fits[form], notes

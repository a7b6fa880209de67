"""Time zones: times as written and names of zones, as instants in UTC."""

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from ._protocol import UnreadableError, clipped, option

__all__ = ["AMBIGUOUS", "ZONE_WORDS", "localised", "shifts", "zone_of_name"]

# Minutes east of Greenwich (RFC 2822, section 4.3, and the abbreviations of the tz database)
_FIXED = {
    "UTC": 0, "GMT": 0, "UT": 0, "Z": 0, "z": 0, "WET": 0, "EST": -300, "EDT": -240, "CDT": -300,
    "MST": -420, "MDT": -360, "PST": -480, "PDT": -420, "CET": 60, "CEST": 120, "MEZ": 60,
    "MESZ": 120, "WEST": 60, "BST": 60, "EET": 120, "EEST": 180, "MSK": 180, "МСК": 180,
    "IST": 330, "WIB": 420, "SGT": 480, "HKT": 480, "JST": 540, "KST": 540, "AEST": 600,
    "AEDT": 660, "AWST": 480, "NZST": 720, "NZDT": 780, "BRT": -180,
}  # fmt: skip
# Names that a clock keeps through summer and winter
_PLACES = {
    "ET": "America/New_York", "CT": "America/Chicago", "MT": "America/Denver",
    "PT": "America/Los_Angeles",
}  # fmt: skip
# What two parts of the world call by one name: nobody but the caller can say which
AMBIGUOUS = {"CST": ("America/Chicago", "Asia/Shanghai")}
ZONE_WORDS = frozenset({*_FIXED, *_PLACES, *AMBIGUOUS})
_MINUTE = 60 * 10**9  # nanoseconds


def zone_of_name(words: set[str]) -> str | None:
    """The zone that the words of a column's name give, such as ``utc`` or ``et``."""
    if words & {"utc", "gmt"}:
        return "UTC"
    upper = [word.upper() for word in words if word.upper() in _PLACES]
    return _PLACES[upper[0]] if len(upper) == 1 else None


def localised(
    index: pd.DatetimeIndex, timezone: str, groups: np.ndarray | None, *, late: bool = False
) -> pd.DatetimeIndex:
    """Wall-clock stamps as instants.

    Parameters
    ----------
    index : DatetimeIndex
    timezone : str
    groups : ndarray or None
        Instrument of each row.
    late : bool, default=False
        Whether a repeated hour is its second pass and a skipped one the moment after: never
        earlier than it can have been. Else of a repeated hour the first row is its first pass, a
        lone one its second.
    """
    if late:
        second = np.zeros(len(index), dtype=bool)
        zoned = index.tz_localize(timezone, ambiguous=second, nonexistent="shift_forward")
        return zoned.tz_convert("UTC")
    frame = pd.DataFrame({"group": 0 if groups is None else groups, "time": index})
    first = ~frame.duplicated() & frame.duplicated(keep=False)
    if not index.is_monotonic_increasing and len(index) > 1 and index[0] > index[-1]:
        first = frame.duplicated() & frame.duplicated(keep=False)  # newest first
    try:
        return index.tz_localize(timezone, ambiguous=first.to_numpy()).tz_convert("UTC")
    except ValueError as error:
        raise UnreadableError(
            f"{str(error).partition('. Try')[0]}: no such time on the clock of "
            f"{option('timezone', timezone)}, which changes then. Name another zone."
        ) from error


def shifts(
    local: pd.DatetimeIndex,
    zones: pd.Series,
    text: pd.Series,
    timezone: str | None,
    groups: np.ndarray | None,
    *,
    late: bool,
) -> tuple[pd.DatetimeIndex, str, list[str]]:
    """Instants of stamps of which each names its zone; the zone in one word, and what to say.

    Parameters
    ----------
    local : DatetimeIndex
        As written, naive.
    zones : Series of str
        Offsets such as ``+05:30``, abbreviations and names of zones; "" for the caller's.
    text : Series
        The cells, for messages.
    timezone : str or None
        What the caller says: for "" and for abbreviations that mean several zones.
    groups : ndarray or None
        Instrument of each row.
    late : bool
        As in :func:`localised`; else the rows of a file may name one place only.
    """
    codes, names = pd.factorize(zones)
    places = [code for code, name in enumerate(names) if "/" in name]
    if len(places) > 1 and not late:
        row = int(np.argmax(codes == places[1]))
        raise UnreadableError(
            f"{{row {row}}} holds {clipped(text.iloc[row])}, the rows above a time in "
            f"{names[places[0]]}. Give all times one zone."
        )
    instants, notes, spans = local.asi8.copy(), [], {}
    for code, name in enumerate(names):
        own = codes == code
        zone = _zone(str(name), timezone, text, own)
        if isinstance(zone, int):
            instants[own] -= np.where(local[own].isna(), 0, zone)
            spans[name] = _shown(zone)
        else:
            part = None if groups is None else groups[own]
            instants[own] = localised(local[own], zone, part, late=late).asi8
            spans[name] = zone
        if str(name) in (ZONE_WORDS - {"UTC", "GMT", "UT", "Z", "z"}):
            notes.append(f"{name} = {spans[name]}")
    index = pd.DatetimeIndex(instants.view("datetime64[ns]")).tz_localize("UTC")
    shown = list(dict.fromkeys(spans.values()))
    return index, "/".join(shown[:3]) + ("/…" if len(shown) > 3 else ""), notes


def _zone(name: str, timezone: str | None, text: pd.Series, own: np.ndarray) -> int | str:
    """Nanoseconds east of Greenwich, or the name of a zone whose clock changes."""
    if name == "" or (name in AMBIGUOUS and timezone is not None):
        return str(timezone)
    if name in AMBIGUOUS:
        row = int(np.argmax(own))
        one, other = AMBIGUOUS[name]
        raise UnreadableError(
            f"{{row {row}}} holds {clipped(text.iloc[row])}: {name} may be {one} or {other}. "
            f"Say which with {option('timezone', one)}."
        )
    if name in _FIXED:
        return _FIXED[name] * _MINUTE
    if name in _PLACES:
        return _PLACES[name]
    if name[0] in "+-":
        digits = name[1:].replace(":", "")
        digits = digits.zfill(2).ljust(4, "0") if len(digits) < 3 else digits.zfill(4)
        minutes = int(digits[:2]) * 60 + int(digits[2:])
        return (-1 if name[0] == "-" else 1) * minutes * _MINUTE
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        row = int(np.argmax(own))
        raise UnreadableError(
            f"{{row {row}}} holds {clipped(text.iloc[row])}, but {name} is no time zone."
        ) from error
    return name


def _shown(span: int) -> str:
    minutes = abs(span) // _MINUTE
    sign = "-" if span < 0 else "+"
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}" if span else "UTC"

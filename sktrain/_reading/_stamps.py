"""Stamps in the spellings of newspapers, services and exchanges enter; their day, time of day and zone leave, apart.

A stamp is taken apart by what its pieces are, not by where they stand: the clock is what has a
colon (or an hour's mark), the zone stands behind it, and of the rest every word that is no month
says nothing about when.
"""

from dataclasses import dataclass
import re

import numpy as np
import pandas as pd

from ._months import MONTHS, english_months
from ._zones import ZONE_WORDS

__all__ = ["Stamps", "taken_apart"]

_BEFORE_NOON = "上午|凌晨|早上|清晨|午前|오전"
_AFTER_NOON = "下午|午後|午后|오후|晚上(?!\\s*12)"
# Words that say which half of the day or how long ago: never dropped, so that what is not understood is refused
_TELLING = (
    "noon|midnight|morning|afternoon|evening|night|ago|yesterday|today|tomorrow|mañana|tarde|noche|manhã|noite|"
    "abends|nachmittags|vormittags|gestern|heute|hier|vor|[^\\W\\d]*[午晚夜早晨前昨今]"
)
_CLOCK = re.compile(
    r"(?<![\d:])(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,:](\d{1,9})\d*)?)?\s?([ap]m)?(?![\d:])"
)
_AT = "\x00"  # stands where the clock stood
_ZONE = re.compile(
    rf"{_AT}\s*\(?(?:GMT|UTC|UT|Z)\s?([+-]\d{{1,2}}(?::?\d{{2}})?)(?![\d./-])"
    rf"|{_AT}([+-]\d{{2}}(?::?\d{{2}})?)(?![\d./-])"
    rf"|(?:{_AT}|\s|\()({'|'.join(sorted(ZONE_WORDS, key=len, reverse=True))})(?![^\W\d])"
    rf"|(?:^|{_AT}|[\s(])([A-Z][A-Za-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?)"
)
_ERAS = {"民國": 1911, "民国": 1911, "令和": 2018, "平成": 1988, "昭和": 1925}
_MONTH = "|".join(MONTHS)
_MINUTE = 60 * 10**9


@dataclass
class Stamps:
    """The pieces of a column of stamps.

    Attributes
    ----------
    day : Series of str
        Such as ``2024-02-26``, ``26.02.2024`` or ``26 Feb 2024``; "" where there is none.
    clock : ndarray of int64
        Nanoseconds since midnight; -1 where what looks like a clock is none.
    timed : ndarray of bool
        Where a time of day was written.
    zone : Series of str
        As written; "" where there is none.
    """

    day: pd.Series
    clock: np.ndarray
    timed: np.ndarray
    zone: pd.Series


def taken_apart(text: pd.Series) -> Stamps:
    """Take every stamp of a column apart.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain._reading._stamps import taken_apart
    >>> parts = taken_apart(pd.Series(["7:51  PM ET Fri, 17 July 2020", "2024年2月26日 下午3时05分"]))
    >>> parts.day.tolist(), parts.zone.tolist(), (parts.clock // 60_000_000_000).tolist()
    (['17 Jul 2020', '2024-2-26'], ['ET', ''], [1191, 905])
    """
    text = _colons(text.str.normalize("NFKC"))
    found = text.str.extract(_CLOCK)
    timed = found[0].notna().to_numpy()
    text = text.str.replace(_CLOCK, f" {_AT} ", n=1, regex=True)
    text = text.str.replace(rf"{_AT}\s+", _AT, regex=True)
    zones = text.str.extract(_ZONE)
    zone = zones[0]
    for column in range(1, 4):
        zone = zone.fillna(zones[column])
    text = text.str.replace(_ZONE, " ", n=1, regex=True).str.replace(_AT, " ", regex=False)
    return Stamps(_days(text), _nanoseconds(found), timed, zone.fillna(""))


def _colons(text: pd.Series) -> pd.Series:
    """Clocks of every spelling as ``H:MM``, ``H:MM:SS`` and the like with ``am`` or ``pm`` behind."""
    steps = [
        (r"\((?!(?:[A-Z]{1,5}|(?:GMT|UTC)[+-][\d:]+)\))[^()]*\)", " "),  # (Coordinated … Time)
        (r"\bEastern(?: (?:Standard|Daylight))?(?: Time)?\b", "ET"),
        (r"(\d{1,2})\s?[時时시点點]\s?(\d{1,2})\s?[分분]?(?:\s?(\d{1,2})\s?[秒초])?", _joined),
        (rf"({_BEFORE_NOON})\s*(\d[\d:.]*)", r"\2 am"),
        (rf"({_AFTER_NOON})\s*(\d[\d:.]*)", r"\2 pm"),
        (r"(?<=\d)\s?(?:ÖÖ|π\.?μ\.?)", " am"),
        (r"(?<=\d)\s?(?:ÖS|μ\.?μ\.?)", " pm"),
        (r"(?<=\d)[\s-]*([AaPp])\.?\s?[Mm]\b\.?", lambda hit: f" {hit[1].lower()}m"),
        (r"(?<!\d)(\d{1,2})\s?[hH]\s?([0-5]\d)(?!\d)(?:\s?(?:min|mn|m)\b\.?)?", r"\1:\2"),
        (r"(?<!\d)(\d{1,2})\.([0-5]\d)(?:\.([0-5]\d))?(?=\s?[ap]m\b)", _joined),
        (r"(?<=\d{4} )(\d{1,2})\.([0-5]\d)(?:\.([0-5]\d))?(?![\d.])", _joined),
        (r"(?i)(?<=\bkl |\bum )(\d{1,2})\.([0-5]\d)(?!\d)", r"\1:\2"),
        (r"(?i)(?<=\bkl\. |\bore |\bklo )(\d{1,2})\.([0-5]\d)(?!\d)", r"\1:\2"),
        (r"(?<![\d:.])(\d{1,2}) ([ap]m)\b", r"\1:00 \2"),
        (r"(?<!\d)(\d{8})[T _:.-]?(\d{2})(\d{2})(\d{2})?(?=\D|$)", _compact),
        (r"(?<=\d{4})[T:](?=\d{1,2}:\d{2})", " "),  # 26/Feb/2024:09:35:00, 26FEB2024:09:35:00
        (r"(?<=\d)T(?=\d)", " "),
    ]
    for pattern, new in steps:
        text = text.str.replace(pattern, new, regex=True)
    return text


def _joined(hit: re.Match[str]) -> str:
    return ":".join(part for part in hit.groups() if part)


def _compact(hit: re.Match[str]) -> str:
    return f"{hit[1]} {':'.join(part for part in hit.groups()[1:] if part)}"


def _nanoseconds(found: pd.DataFrame) -> np.ndarray:
    """Time of day from hour, minute, second, fraction and half of the day."""
    hour, minute, second = (
        pd.to_numeric(found[i]).fillna(0).to_numpy(dtype=np.int64) for i in range(3)
    )
    fraction = found[3].fillna("").str.ljust(9, "0").astype("int64").to_numpy()
    half = found[4].fillna("").to_numpy(dtype=object)
    pm, am = half == "pm", half == "am"
    wrong = (minute > 59) | (second > 60) | (hour > 24) | ((hour == 24) & (minute + second > 0))
    wrong |= am & (hour > 12)
    hour = np.where(pm & (hour < 12), hour + 12, np.where(am & (hour == 12), 0, hour))
    out = (hour * 60 + minute) * _MINUTE + second * 10**9 + fraction
    return np.where(wrong, -1, out)


def _days(text: pd.Series) -> pd.Series:
    """What is left when clock and zone are gone, as one of the usual spellings of a day."""
    text = text.str.replace(rf"({'|'.join(_ERAS)})\s?(\d{{1,3}}|元)", _of_era, regex=True)
    text = text.str.replace(r"(?<!\d)(1\d{2})(?=\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d)", _roc, regex=True)
    text = text.str.replace(r"(?<!\d)(1\d{2})(?=(?:0[1-9]|1[0-2])[0-3]\d(?!\d))", _roc, regex=True)
    text = text.str.replace(r"(?<!\d)(2[45]\d{2})(?!\d)", _buddhist, regex=True)
    text = text.str.replace(r"(\d)\s?[年년]\s?(\d{1,2})\s?[月월](?:\s?(\d{1,2})\s?[日일号號]?)?", _dashed, regex=True)
    text = english_months(text)
    steps = [
        (rf"(?i)\b({_MONTH})\b(?=.*(?<![^\W\d])(?:{_MONTH})(?![^\W\d]))", " "),  # mar 5 mar 2024
        (r"(?<=\d)(?:st|nd|rd|th|er|ère|º|ª|°)(?![^\W\d])", ""),
        (rf"(?i)(?<!\d)(\d{{1,2}})(?:[-/. ,]|\bde\b|\bof\b)*({_MONTH})(?:[-/. ,']|\bde\b|\bdel\b)*(\d{{4}}|\d{{2}})(?!\d)", r"\1 \2 \3"),
        (rf"(?i)(?<![^\W\d])({_MONTH})[-/. ,]*(\d{{1,2}})[-/. ,']+(\d{{4}}|\d{{2}})(?!\d)", r"\2 \1 \3"),
        (rf"(?i)(?<!\d)(\d{{4}})[-/. ,]*({_MONTH})[-/. ,]*(\d{{1,2}})(?!\d)", r"\3 \2 \1"),
        (rf"(?i)(?<![^\W\d])(?!(?:{_MONTH}|{_TELLING})(?![^\W\d]))[^\W\d]+", " "),  # words that are no month
        (r"(\d)\s*([-/.])\s*(?=\d)", r"\1\2"),
        (r"[^\d\w]+$|^[^\d\w]+|[,|•·–—:;()\[\]]+", " "),
        (r"\s+", " "),
        (r"^[\s./-]+|[\s./-]+$", ""),
    ]
    for pattern, new in steps:
        text = text.str.replace(pattern, new, regex=True)
    return text


def _of_era(hit: re.Match[str]) -> str:
    return str(_ERAS[hit[1]] + (1 if hit[2] == "元" else int(hit[2])))


def _roc(hit: re.Match[str]) -> str:
    return str(int(hit[1]) + 1911)  # years of the Republic of China, as Taiwan's exchange writes


def _buddhist(hit: re.Match[str]) -> str:
    return str(int(hit[1]) - 543)  # as Thailand writes years


def _dashed(hit: re.Match[str]) -> str:
    return "-".join(part for part in hit.groups() if part) + " "

"""Time stamps in the spellings of newspapers, services and exchanges.

A stamp is taken apart by what its pieces are, not by where they stand: the clock is what has a
colon (or an hour's mark), the zone stands behind it, and of the rest every word that is no month
says nothing about when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import re
from typing import Any

import numpy as np
import pandas as pd

from ._months import MONTHS, english_months
from ._zones import ZONE_WORDS

__all__ = ["Stamps", "taken_apart"]

_BEFORE_NOON = "上午|凌晨|早上|清晨|午前|오전"
_AFTER_NOON = "下午|午後|午后|오후|晚上(?!\\s*12)"
# Words that say which half of the day or how long ago: never dropped, so that what is not
# understood is refused
_TELLING = (
    "noon|midnight|morning|afternoon|evening|night|ago|yesterday|today|tomorrow|"
    "mañana|tarde|noche|manhã|noite|"
    "abends|nachmittags|vormittags|gestern|heute|hier|vor|[^\\W\\d]*[午晚夜早晨前昨今]"
)
_CLOCK = r"(?<![\d:])(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,:](\d{1,9})\d*)?)?(?![\d:])"
_HAS_CLOCK = r"(?<![\d:])\d{1,2}:\d{1,2}(?!\d)"
_AT, _HALF = (
    "\x02",
    "\x01",
)  # where clock and half of the day stood; not NUL: pandas 2 ends text there
_BEHIND = rf"(?:(?<={_AT})|(?<={_HALF}[ap]m))"
_ZONE = re.compile(
    rf"{_BEHIND}\(?(?:GMT|UTC|UT|Z)\s?([+-]\d{{1,2}}(?::?\d{{2}})?)(?![\d./-])"
    rf"|{_BEHIND}([+-]\d{{2}}(?::?\d{{2}})?)(?![\d./-])"
    rf"|(?:(?<={_AT})|(?<={_HALF}[ap]m)|\s"
    rf"|\()({'|'.join(sorted(ZONE_WORDS, key=len, reverse=True))})(?![^\W\d])"
    rf"|(?:^|(?<={_AT})|(?<={_HALF}[ap]m)"
    rf"|[\s(])([A-Z][A-Za-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?)"
)
_ROC_YEAR = r"1\d{2}[-/.]\d{1,2}[-/.]\d{1,2}(?!\d)"
# the year before the first of each era
_ERAS = {"民國": 1911, "民国": 1911, "令和": 2018, "平成": 1988, "昭和": 1925}
_MONTH = "|".join(MONTHS)
_HOUR = "[時时시点點]"
_MINUTE = 60 * 10**9  # nanoseconds


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
    if not "".join(text).isascii():
        text = text.str.normalize("NFKC")
    if not text.str.contains(_HAS_CLOCK, regex=True).all():
        text = _colons(text)
    found = text.str.extract(rf"^(.*?){_CLOCK}(.*)$")
    timed = found[1].notna().to_numpy()
    rest = text.where(~timed, found[0] + _AT + found[5])
    codes, distinct = pd.factorize(rest)  # few: days and zones, without their clocks
    rest = _stepped(pd.Series(distinct, dtype="str"), _AROUND)
    zones = rest.str.extract(_ZONE)
    zone = zones[0].fillna(zones[1]).fillna(zones[2]).fillna(zones[3]).fillna("")
    rest = rest.str.replace(_ZONE, " ", n=1, regex=True)
    half = rest.str.extract(rf"{_HALF}([ap])m")[0].fillna("").to_numpy(dtype=object)
    rest = rest.str.replace(rf"{_AT}|{_HALF}[ap]m", " ", regex=True)
    clock = _nanoseconds(found, half[codes])
    return Stamps(_spread(_days(rest), codes), clock, timed, _spread(zone, codes))


def _spread(distinct: pd.Series, codes: np.ndarray) -> pd.Series:
    return distinct.take(codes).reset_index(drop=True)


# What stands around a clock, as a mark of its half of the day and the shortest name of its zone
_AROUND = [
    ("(", r"\((?!(?:[A-Z]{1,5}|(?:GMT|UTC)[+-][\d:]+)\))[^()]*\)", " "),  # (Coordinated … Time)
    ("E", r"(?<!/)\bEastern(?: (?:Standard|Daylight))?(?: Time)?\b", "ET"),
    ("午오凌早清", rf"(?:{_BEFORE_NOON})\s*{_AT}", f"{_AT}{_HALF}am "),
    ("午오晚", rf"(?:{_AFTER_NOON})\s*{_AT}", f"{_AT}{_HALF}pm "),
    ("Öπ", rf"{_AT}\s?(?:ÖÖ|π\.?μ\.?)", f"{_AT}{_HALF}am "),
    ("Öμ", rf"{_AT}\s?(?:ÖS|μ\.?μ\.?)", f"{_AT}{_HALF}pm "),
    ("Aa", rf"{_AT}[\s-]*[Aa]\.?\s?[Mm]\b\.?", f"{_AT}{_HALF}am "),
    ("Pp", rf"{_AT}[\s-]*[Pp]\.?\s?[Mm]\b\.?", f"{_AT}{_HALF}pm "),
    (_AT, rf"({_AT}(?:{_HALF}[ap]m)?)\s+", r"\1"),
]


def _colons(text: pd.Series) -> pd.Series:
    """Clocks of every spelling as ``H:MM`` or ``H:MM:SS``."""
    half = r"\s?[AaPp]\.?\s?[Mm]\b"
    steps = [
        (
            "時时시点點",
            rf"(\d{{1,2}})\s?{_HOUR}\s?(\d{{1,2}})\s?[分분]?(?:\s?(\d{{1,2}})\s?[秒초])?",
            _joined,
        ),
        ("hH", r"(?<!\d)(\d{1,2})\s?[hH]\s?([0-5]\d)(?!\d)(?:\s?(?:min|mn|m)\b\.?)?", r"\1:\2"),
        ("AaPp", rf"(?<!\d)(\d{{1,2}})\.([0-5]\d)(?:\.([0-5]\d))?(?={half})", _joined),
        (" ", r"(?<=\d{4} )(\d{1,2})\.([0-5]\d)(?:\.([0-5]\d))?(?![\d.])", _joined),
        ("kKuU", r"(?i)(?<=\bkl |\bum )(\d{1,2})\.([0-5]\d)(?!\d)", r"\1:\2"),
        ("kKoO", r"(?i)(?<=\bkl\. |\bore |\bklo )(\d{1,2})\.([0-5]\d)(?!\d)", r"\1:\2"),
        ("AaPp", rf"(?<![\d:.])(\d{{1,2}})(?=-?{half})", r"\1:00"),
        ("T _:.-", r"(?<!\d)(\d{8})[T _:.-]?(\d{2})(\d{2})(\d{2})?(?=\D|$)", _compact),
        ("T:", r"(?<=\d{4})[T:](?=\d{1,2}:\d{2})", " "),  # 26/Feb/2024:09:35:00
    ]
    return _stepped(text, steps)


def _stepped(text: pd.Series, steps: Sequence[tuple[str, str, Any]]) -> pd.Series:
    """The text after the replacements that have one of their characters in the column."""
    there = set("".join(text))
    for marks, pattern, new in steps:
        if there.intersection(marks):
            text = text.str.replace(pattern, new, regex=True)
    return text


def _joined(hit: re.Match[str]) -> str:
    return ":".join(part for part in hit.groups() if part)


def _compact(hit: re.Match[str]) -> str:
    return f"{hit[1]} {':'.join(part for part in hit.groups()[1:] if part)}"


def _nanoseconds(found: pd.DataFrame, half: np.ndarray) -> np.ndarray:
    """Time of day from hour, minute, second, fraction and half of the day."""
    hour, minute, second = (
        pd.to_numeric(found[i]).fillna(0).to_numpy(dtype=np.int64) for i in range(1, 4)
    )
    fraction = found[4].fillna("").str.ljust(9, "0").astype("int64").to_numpy()
    pm, am = half == "p", half == "a"
    wrong = (minute > 59) | (second > 60) | (hour > 24) | ((hour == 24) & (minute + second > 0))
    wrong |= am & (hour > 12)
    hour = np.where(pm & (hour < 12), hour + 12, np.where(am & (hour == 12), 0, hour))
    out = (hour * 60 + minute) * _MINUTE + second * 10**9 + fraction
    return np.where(wrong, -1, out)


def _days(text: pd.Series) -> pd.Series:
    """What is left when clock and zone are gone, as one of the usual spellings of a day."""
    others = [
        ("民令平昭", rf"({'|'.join(_ERAS)})\s?(\d{{1,3}}|元)", _of_era),
        ("1", r"(?<!\d)(1\d{2})(?=\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d)", _roc),
        ("1", r"(?<!\d)(1\d{2})(?=(?:0[1-9]|1[0-2])[0-3]\d(?!\d))", _roc),
        ("2", r"(?<!\d)(2[45]\d{2})(?!\d)", _buddhist),
        ("年년", r"(\d)\s?[年년]\s?(\d{1,2})\s?[月월](?:\s?(\d{1,2})\s?[日일号號]?)?", _dashed),
    ]
    if text.str.match(_ROC_YEAR).any():  # before its year 100 Taiwan's exchange writes two digits
        text = text.str.replace(r"^(\d{2})(?=[-/.]\d{1,2}[-/.]\d{1,2}(?!\d))", _roc, regex=True)
    text = _stepped(text, others)
    if text.str.contains(r"[^\W\d]", regex=True).any():
        text = _worded(english_months(text))
    tidied = [
        ("-/.", r"(\d)\s*([-/.])\s*(?=\d)", r"\1\2"),
        (",|•·–—:;()[]-/. ", r"[^\d\w]+$|^[^\d\w]+|[,|•·–—:;()\[\]]+", " "),
        (" ", r"\s+", " "),
        (" ./-", r"^[\s./-]+|[\s./-]+$", ""),
    ]
    return _stepped(text, tidied)


def _worded(text: pd.Series) -> pd.Series:
    """Days with months in letters as ``26 Feb 2024``, and without the words that are no months."""
    mark = r"(?:[-/. ,]|\bde\b|\bof\b)*"
    year = r"(?:[-/. ,']|\bde\b|\bdel\b)*(\d{4}|\d{2})(?!\d)"
    other = rf"(?<![^\W\d])(?!(?:{_MONTH}|{_TELLING})(?![^\W\d]))[^\W\d]+"
    steps = [
        (rf"\b({_MONTH})\b(?=.*(?<![^\W\d])(?:{_MONTH})(?![^\W\d]))", " "),  # mar 5 mar 2024
        (r"(?<=\d)(?:st|nd|rd|th|er|ère|º|ª|°)(?![^\W\d])", ""),
        (rf"(?<!\d)(\d{{1,2}}){mark}({_MONTH}){year}", r"\1 \2 \3"),
        (
            rf"(?<![^\W\d])({_MONTH})[-/. ,]*(\d{{1,2}})[-/. ,']+(\d{{4}}|\d{{2}})(?!\d)",
            r"\2 \1 \3",
        ),
        (rf"(?<!\d)(\d{{4}})[-/. ,]*({_MONTH})[-/. ,]*(\d{{1,2}})(?!\d)", r"\3 \2 \1"),
        (other, " "),
    ]
    for pattern, new in steps:
        text = text.str.replace(pattern, new, regex=True, case=False)
    return text


def _of_era(hit: re.Match[str]) -> str:
    return str(_ERAS[hit[1]] + (1 if hit[2] == "元" else int(hit[2])))


def _roc(hit: re.Match[str]) -> str:
    return str(int(hit[1]) + 1911)  # years of the Republic of China, as Taiwan's exchange writes


def _buddhist(hit: re.Match[str]) -> str:
    return str(int(hit[1]) - 543)  # as Thailand writes years


def _dashed(hit: re.Match[str]) -> str:
    return "-".join(part for part in hit.groups() if part) + " "

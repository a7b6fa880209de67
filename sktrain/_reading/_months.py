"""Dates with the month as a word, in the languages of the exchanges, enter; the same dates with English abbreviations leave."""

import re
import unicodedata

import pandas as pd

__all__ = ["english_months"]

_ENGLISH = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAMES = (
    "january february march april may june july august september october november december",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "jänner feber mrz april mai juni juli august september oktober november dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "januari februari mrt april maj juni juli augusti september oktober november december",
    "januar februar mars april maj juni juli august september oktober november desember",
    "январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь",
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
)
_WORD = re.compile(r"(?<![^\W\d])([^\W\d]{3,12})\.?(?![^\W\d])")
_SHORTEST = 3  # letters: below, languages contradict one another


def _plain(word: str) -> str:
    """Lower case, without accents."""
    parts = unicodedata.normalize("NFKD", word.lower())
    return "".join(one for one in parts if not unicodedata.combining(one))


def _beginnings() -> dict[str, str]:
    """English abbreviations by every beginning of a name that belongs to one month in all languages."""
    months: dict[str, set[str]] = {}
    for names in _NAMES:
        for name, english in zip(map(_plain, names.split()), _ENGLISH, strict=True):
            for end in range(_SHORTEST, len(name) + 1):
                months.setdefault(name[:end], set()).add(english)
    return {start: found.pop() for start, found in months.items() if len(found) == 1}


_MONTHS = _beginnings()
_READ_AS_THEY_ARE = {*_NAMES[0].split(), *(name.lower() for name in _ENGLISH)}


def english_months(text: pd.Series) -> pd.Series:
    """Dates such as ``15. Mai 2023``, ``3 févr. 2023`` and ``1 de agosto de 2023`` as ``15 May 2023``.

    A column that is written in English already, and words that are no months, stay as they are.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain._reading._months import english_months
    >>> english_months(pd.Series(["15. Mai 2023", "3 févr. 2023", "1 de agosto de 2023"])).tolist()
    ['15 May 2023', '3 Feb 2023', '1 Aug 2023']
    """
    found = text.str.findall(_WORD)
    words = {word for row in found.array if isinstance(row, list) for word in row}
    months = {word: _MONTHS[_plain(word)] for word in words if _plain(word) in _MONTHS}
    if {_plain(word) for word in months} <= _READ_AS_THEY_ARE:
        return text
    text = text.str.replace(_WORD, lambda hit: months.get(hit[1], hit[0]), regex=True)
    month = "|".join(_ENGLISH)
    text = text.str.replace(rf"(\d)\.?\s+(?:de\s+)?({month})\b", r"\1 \2", regex=True, case=False)
    return text.str.replace(rf"\b({month})\.?\s+de\s+(?=\d)", r"\1 ", regex=True, case=False)

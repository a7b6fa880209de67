"""The kind of a cell: "empty", "number", "time" or "text"."""

from collections.abc import Sequence
import re

__all__ = ["MISSING", "SERIALS", "cell_kind", "is_missing", "time_shape"]

# How files write "no value"; symbols are never compared with these
MISSING = (
    "", "NA", "N/A", "n/a", "na", "<NA>", "#N/A", "NaN", "nan", "NAN", "NULL", "Null", "null",
    "None", "none", "NaT", "-", "--", "---", "—", "–", "#DIV/0!", "\\N", ".",
)
_EMPTY = frozenset(MISSING)
_GROUPED = re.compile(r"\d{1,3}(?:([.,'’\s])\d{3})+(?:\D\d*)?$")
_NUMBER = re.compile(
    r"[\s(]*[-+−]?\s*[$€£¥₹₩₽]?\s*[-+−]?(?:\d[\d.,'’\s\u00a0\u202f]*|[.,]\d+)(?:[eE][-+]?\d+)?"
    r"\s*(?:[KMBTkmbt%万亿億千]|Mio\.?|Mrd\.?|Tsd\.?)?\s*[$€£¥₹₩₽]?[\s)]*"
)
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s*[AaPp]\.?[Mm]\.?)?"
_TIME = re.compile(
    r"(?:\D{2,24}[,.:]?\s+)?(?:"
    r"\d{4}\s?[-/.年년]\s?\d{1,2}(?:\s?[-/.月월]\s?\d{1,2}\s?[日일]?)?(?:\D.*)?"
    r"|\d{1,2}[-/.]\s?\d{1,2}[-/.]\s?\d{2,4}(?:\D.*)?"
    r"|\d{1,2}(?:st|nd|rd|th|er)?[-/. ]*(?:de |of )?[^\W\d]{3,12}\.?[-/., ']*(?:de "
    r"|del )?\d{2,4}(?:\D.*)?"
    r"|[^\W\d]{3,9}\.?[- ]\d{1,2}(?:st|nd|rd|th)?(?:,? |-)(?:\d{4}|\d{2})(?:\D.*)?"
    r"|\d{4}[-. ]+[^\W\d]{3,12}\.?[- ]\d{1,2}(?:\D.*)?"
    r"|(?:民[國国]|令和|平成|昭和)\s?(?:\d{1,3}|元)\D.*|1\d{2}[-/.年]\d{1,2}[-/.月]\d{1,2}日?(?:\D.*)?"
    r"|\d{4}[- ]?(?:W(?:0[1-9]|[1-4]\d|5[0-3])|Q[1-4]|M(?:0[1-9]|1[0-2]))"
    r"|\d{8}[ T_-]\d{1,2}:?\d{2}(?::?\d{2})?(?:\D.*)?"
    r"|[^\W\d]{3,4},? [^\W\d]{3} {1,2}\d{1,2} \d{2}:\d{2}:\d{2}(?: \S+)? \d{4}"
    r"|" + _CLOCK + r"\D+\d{1,4}[-/. ]\s?(?:\d{1,2}|[^\W\d]{3,12})\.?[-/., ]+\d{2,4}(?:\D.*)?"
    r"|" + _CLOCK + r")",
    re.IGNORECASE,
)
_ONLY_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?|\d{1,6}")
# A time of day: with a mark, or as digits behind a day (a year may stand there too: Jul 05 2016)
_INSIDE = re.compile(
    r"(?:^|\D)\d{1,2}(?::|時|시|时|点|h)\s?\d{2}|\d{8}[T ]\d{4,6}(?!\d)"
    r"|(?<=\d)[T ](?:\d{6}|(?!19|20)\d{4})(?!\d)"
)
_EPOCHS = ((9, 10), (12, 13), (15, 16), (18, 19))  # digits of s, ms, us, ns from 1980 to 2100
SERIALS = (29_221, 73_051)  # Excel's days from 1980-01-01 to 2100-01-01
_MMDD, _DDMM = r"(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", r"(0[1-9]|[12]\d|3[01])(0[1-9]|1[0-2])"
_DAYS_IN_DIGITS = (
    rf"\d{{2}}{_MMDD}", rf"{_DDMM}\d{{2}}", rf"{_DDMM}(19|20)\d{{2}}", rf"{_MMDD}(19|20)\d{{2}}",
    rf"1\d{{2}}{_MMDD}",
)  # fmt: skip


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value."""
    return cell.strip() in _EMPTY


def cell_kind(cell: str) -> str:
    """Classify one cell.

    Examples
    --------
    >>> from sktrain._reading._cells import cell_kind
    >>> [cell_kind(c) for c in ("1.234,50", "06.06.2023", "12.345.678", "$171.58M", "AAPL", "-")]
    ['number', 'time', 'number', 'number', 'text', 'empty']
    """
    cell = cell.strip()
    if cell in _EMPTY:
        return "empty"
    if cell[0] == cell[-1] == '"' and len(cell) > 2:
        cell = cell[1:-1].strip()
    if (
        not _GROUPED.fullmatch(cell)
        and _TIME.fullmatch(cell)
        and not re.fullmatch(r"\d{4}\.\d{1,2}", cell)
    ):
        return "time"
    return "number" if _NUMBER.fullmatch(cell) else "text"


def time_shape(cells: Sequence[str]) -> str:
    """What a column may be in time, from its first cells.

    Returns
    -------
    {"day", "moment", "clock", "serial", "digits", ""}
        "serial" for numbers that may be Excel's serial days, "digits" for others that are no time
        by themselves.

    Examples
    --------
    >>> from sktrain._reading import time_shape
    >>> [
    ...     time_shape([cell])
    ...     for cell in ("2024-02-26", "2024-02-26 09:30", "09:30", "1708939800", "12")
    ... ]
    ['day', 'moment', 'clock', 'moment', 'digits']
    """
    cells = [re.sub(r"\.0+$", "", cell.strip()) for cell in cells if cell.strip()]
    if not cells:
        return ""
    digits = [cell for cell in cells if re.fullmatch(r"\d+(\.\d+)?", cell)]
    if 2 * len(digits) > len(cells):
        return _shape_of_digits(digits)
    timed = [cell for cell in cells if cell_kind(cell) == "time"]
    if 2 * len(timed) <= len(cells):
        return ""
    if all(_ONLY_CLOCK.fullmatch(cell) for cell in timed):
        return "clock"
    moments = (_INSIDE.search(cell) and not re.search(r"[T ]00:00(:00)?", cell) for cell in timed)
    return "moment" if any(moments) else "day"


def _shape_of_digits(digits: Sequence[str]) -> str:
    widths = {len(cell.partition(".")[0]) for cell in digits}
    dated = all(re.match(r"(18|19|20)\d{2}(0[1-9]|1[0-2])", cell) for cell in digits)
    if dated and (widths <= {6} or widths <= {8}):
        return "day"
    if dated and len(widths) == 1 and widths <= {12, 14, 17}:
        return "moment"
    if any(all(re.fullmatch(form, cell) for cell in digits) for form in _DAYS_IN_DIGITS):
        return "day"
    if all(SERIALS[0] <= float(cell) < SERIALS[1] for cell in digits):
        return "serial"
    return "moment" if any(widths <= set(lengths) for lengths in _EPOCHS) else "digits"

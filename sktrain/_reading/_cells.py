"""What a cell looks like: text enters, one of "empty", "number", "time", "text" leaves."""

import re

__all__ = ["MISSING", "cell_kind", "is_missing"]

# How files write "no value"; symbols are never compared with these
MISSING = (
    "", "NA", "N/A", "n/a", "na", "<NA>", "#N/A", "NaN", "nan", "NAN", "NULL", "Null", "null", "None", "none", "NaT",
    "-", "--", "---", "—", "–", "#DIV/0!", "\\N", ".",
)  # fmt: skip
_EMPTY = frozenset(MISSING)
_GROUPED = re.compile(r"\d{1,3}(?:([.,'’\s])\d{3})+(?:\D\d*)?$")
_NUMBER = re.compile(
    r"[\s(]*[-+−]?\s*[$€£¥₹₩₽]?\s*[-+−]?(?:\d[\d.,'’\s\u00a0\u202f]*|[.,]\d+)(?:[eE][-+]?\d+)?"
    r"\s*(?:[KMBTkmbt%万亿億千]|Mio\.?|Mrd\.?|Tsd\.?)?\s*[$€£¥₹₩₽]?[\s)]*"
)
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s*[AaPp]\.?[Mm]\.?)?"
_TIME = re.compile(
    r"(?:\D{2,12}[,.]?\s+)?(?:"
    r"\d{4}\s?[-/.年년]\s?\d{1,2}(?:\s?[-/.月월]\s?\d{1,2}\s?[日일]?)?(?:\D.*)?"
    r"|\d{1,2}[-/.]\s?\d{1,2}[-/.]\s?\d{2,4}(?:\D.*)?"
    r"|\d{1,2}[-/. ]+(?:de )?[^\W\d]{3,10}\.?[-/., ]+(?:de )?\d{2,4}(?:\D.*)?"
    r"|[^\W\d]{3,9}\.? \d{1,2},? \d{4}(?:\D.*)?"
    r"|\d{8}[ T_]\d{1,2}:?\d{2}(?::?\d{2})?(?:\D.*)?"
    r"|[^\W\d]{3} [^\W\d]{3} {1,2}\d{1,2} \d{2}:\d{2}:\d{2}(?: [-+]\d{4})? \d{4}"
    r"|" + _CLOCK + r")",
    re.IGNORECASE,
)


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

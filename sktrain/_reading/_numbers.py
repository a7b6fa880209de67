"""Numbers as files write them; one decision per file says what dot and comma mean."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ._cells import MISSING
from ._protocol import UnreadableError, clipped, option

__all__ = ["bad_numbers", "to_numbers"]

_SCALES = {
    "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12, "万": 1e4, "亿": 1e8, "億": 1e8, "千": 1e3,
    "mio": 1e6, "mrd": 1e9, "tsd": 1e3, "%": 1.0,
}  # fmt: skip
_SUFFIX = r"(?i)^(.*?)\s*(mio|mrd|tsd|[kmbt万亿億千%])\.?$"
# Blanks and apostrophes between digits set three apart: 100'12 is no number but 32nds of a bond
_GROUPING = r"(?<=\d)['’\s\u00a0\u202f](?=\d{3}(?!\d))"
_UNITS = (
    r"[A-Z]{0,2}[$€£¥₹₩₽₺₴₫฿]|(?<![A-Za-z])(?:USDT?|EUR|GB[PpX]|CHF|JPY|CN[YH]|RMB|KRW|INR|RUB|BRL"
    r"|SEK|NOK|DKK"
    r"|PLN|CZK|HUF|TRY|HKD|TWD|SGD|AUD|CAD|NZD|ZAR|MXN|THB|IDR|VND|BTC|ETH|Rs\.?|kr\.?|TL|Stk\.?)"
    r"(?![A-Za-z])|zł|Kč|руб\.?|[元手股円株원주]"
)
_GROUP = r"^[-+]?[1-9]\d{0,2},\d{3}$"  # thousands, or three decimals
_DOTTED = r"^[-+]?[1-9]\d{0,2}\.\d{3}$"
# cells, and their share of either form, that tell thousands by dots: judgments
_ENOUGH, _MIXED = 20, 0.2
_PLAIN = r"^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$"


def to_numbers(
    columns: Mapping[str, pd.Series],
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    whole: frozenset = frozenset(),
    sure: bool = True,
) -> dict[str, pd.Series]:
    """Convert the numeric columns of a file together.

    Parameters
    ----------
    columns : mapping of str to Series
        Text, or numbers, which stay as they are.
    delimiter : str, optional
        What divides cells: between semicolons dots in what is counted are thousands.
    decimal : {".", ","}, optional
        What the caller says divides the decimals.
    whole : frozenset of str
        Columns that count something: what divides their digits are thousands, where nothing else
        decides.
    sure : bool, default=True
        Whether numbers such as ``1,234`` that nothing decides are refused; else they are thousands.

    Returns
    -------
    dict of str to Series
        float64 or int64; NaN where a cell is missing or no number.
    """
    texts = {name: _cleaned(column) for name, column in columns.items() if not _is_number(column)}
    rough = {
        name: text for name, text in texts.items() if not text.str.match(_PLAIN, na=True).all()
    }
    sign = decimal or "."
    if decimal is None and rough:
        sign = _decimal_sign(texts) or _undecided(texts, columns, whole, sure)
    elif decimal is None and sure:
        sign = _dots(texts, delimiter, whole)
    done = {}
    for name, column in columns.items():
        done[name] = _as_plain(_parsed(texts[name], sign) if name in texts else column)
    return done


def bad_numbers(before: pd.Series, after: pd.Series) -> np.ndarray:
    """Rows whose cell says something that is no number."""
    if _is_number(before):
        return np.zeros(len(before), dtype=bool)
    text = before.astype("str").str.strip()
    said = before.notna() & ~text.isin(MISSING)
    return (after.isna() & said).to_numpy()


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(
        column.dtype
    )


def _as_plain(column: pd.Series) -> pd.Series:
    """NumPy's int64 or float64, whatever extension or width the column came in."""
    dtype = column.dtype
    if dtype in (np.float64, np.int64):
        return column
    whole = pd.api.types.is_integer_dtype(dtype) and not column.isna().any()
    return column.astype("int64" if whole and column.max() < 2**63 else "float64")


def _cleaned(column: pd.Series) -> pd.Series:
    """Text without blanks, currency signs and the like; missing where the cell says so."""
    text = column.astype("str").str.strip()
    text = text.mask(text.isin(MISSING))
    if text.str.match(_PLAIN, na=True).all():
        return text
    text = text.str.replace(_GROUPING, "", regex=True).str.replace(_UNITS, "", regex=True)
    text = text.str.replace(r"^[\s\u00a0\u202f]+|[\s\u00a0\u202f]+$", "", regex=True)
    text = text.str.replace(
        r"^([-+−(])[\s\u00a0\u202f]+|[\s\u00a0\u202f]+(?=\D+$)", r"\1", regex=True
    )
    text = text.str.replace("，", ",", regex=False).str.replace("−", "-", regex=False)
    return text.str.replace(r"^\((.*)\)$", r"-\1", regex=True)


def _decimal_sign(texts: Mapping[str, pd.Series]) -> str | None:
    """What divides the decimals, from all numbers of the file; None where nothing says so.

    A contradiction is refused.
    """
    body = pd.concat([text.dropna() for text in texts.values()], ignore_index=True)
    body = pd.Series(pd.unique(body), dtype="str").str.replace(r"[^\d.,]", "", regex=True)
    comma_last = body.str.contains(r"\..*,\d*$") | body.str.contains(r"^\d+(?:\.\d{3}){2,}$")
    dot_last = body.str.contains(r",.*\.\d*$") | body.str.contains(r"^\d+(?:,\d{3}){2,}$")
    comma = comma_last | body.str.contains(r"^(?:0*|\d{4,}|\d+),\d*$") & ~body.str.contains(_GROUP)
    dot = dot_last | body.str.contains(r"^\d*\.\d*$") & ~body.str.contains(_DOTTED)
    if comma.any() and dot.any():
        one, other = body[comma].iloc[0], body[dot].iloc[0]
        raise UnreadableError(
            f"has numbers with a decimal comma ({clipped(one)}) and with a decimal dot "
            f"({clipped(other)}): bring them into one form."
        )
    if comma.any() or dot.any():
        return "," if comma.any() else "."
    return None if body.str.contains(",", regex=False).any() else "."


def _undecided(
    texts: Mapping[str, pd.Series],
    columns: Mapping[str, pd.Series],
    whole: frozenset,
    sure: bool,
) -> str:
    """What ``1,234`` means where no number of the file says it: from how the others are written."""
    counts = [texts[name] for name in texts if name in whole]
    if any(text.str.contains(_GROUP, na=False).any() for text in counts):
        return "."
    dotted = any(text.str.contains(_DOTTED, na=False).any() for text in counts)
    if dotted or any(_grouped_otherwise(columns[name]) for name in texts):
        return ","
    comma = {name: text.str.contains(_GROUP, na=False) for name, text in texts.items()}
    mixed = any(  # 12 among 1,234 has no decimals to show
        hits.any() and texts[name].str.contains(r"^[-+]?\d{1,3}$", na=False).any()
        for name, hits in comma.items()
    )
    numbers = [columns[name] for name in columns if name not in texts]
    large = any(text.str.contains(r"^[-+]?\d{4,}$", na=False).any() for text in texts.values())
    large |= any(pd.api.types.is_integer_dtype(one.dtype) and one.max() >= 1000 for one in numbers)
    if (mixed and not large) or not sure:
        return "."
    one = next(texts[name][hits].iloc[0] for name, hits in comma.items() if hits.any())
    raise UnreadableError(
        f"has numbers such as {clipped(one)}, which may be {one.replace(',', '')} or "
        f"{one.replace(',', '.')}, and nothing in the file decides. Say "
        f"{option('decimal', '.')} or {option('decimal', ',')}."
    )


def _grouped_otherwise(column: pd.Series) -> bool:
    """Whether thousands are set apart by blanks or apostrophes."""
    marks = r"\d[\s\u00a0\u202f'’]\d{3}(?!\d)"
    return bool(column.astype("str").str.contains(marks, regex=True, na=False).any())


def _dots(texts: Mapping[str, pd.Series], delimiter: str | None, whole: frozenset) -> str:
    """What dots are in numbers without a comma: decimals, unless what is counted has them too."""
    dotted = {name: text.str.contains(_DOTTED, na=False) for name, text in texts.items()}
    counts = [name for name in texts if name in whole and dotted[name].any()]
    mixed = [name for name, hits in dotted.items() if hits.any() and _mixed(texts[name], hits)]
    if not (counts or mixed) or any(
        texts[name].str.contains(r"[.eE]", na=False).sum() > hits.sum()
        for name, hits in dotted.items()
    ):
        return "."
    if delimiter == ";" and counts:
        return ","
    name = (counts or mixed)[0]
    one = texts[name][dotted[name]].iloc[0]
    raise UnreadableError(
        f"has numbers such as {clipped(one)}, which may be {one.replace('.', '')} or {one}, and "
        f"nothing in the file decides. Say {option('decimal', ',')} or {option('decimal', '.')}."
    )


def _mixed(text: pd.Series, dotted: pd.Series) -> bool:
    """Whether numbers such as 1.234 stand among whole ones below 1000: thousands, most likely."""
    cells, share = text.dropna(), dotted.sum() / max(text.notna().sum(), 1)
    plain = cells.str.fullmatch(r"[-+]?\d{1,3}(?:\.\d{3})?").all()
    return bool(len(cells) >= _ENOUGH and plain and _MIXED < share < 1 - _MIXED)


def _parsed(text: pd.Series, sign: str) -> pd.Series:
    if text.str.match(_PLAIN, na=True).all() and sign == ".":
        return _to_numeric(text)
    parts = text.str.extract(_SUFFIX)
    scaled = parts[1].notna()
    scale = parts[1].str.lower().map(_SCALES).astype("float64").fillna(1.0)
    body = parts[0].where(scaled, text)
    other = "." if sign == "," else ","
    body = body.str.replace(other, "", regex=False).str.replace(sign, ".", regex=False)
    values = _to_numeric(body)
    if not (scale != 1.0).any():
        return values
    out = values.astype("float64") * scale
    whole = np.rint(out)
    return out.where((out - whole).abs() > 1e-9 * out.abs(), whole)


def _to_numeric(text: pd.Series) -> pd.Series:
    """Floats, or integers where every cell is one; NaN for what is no number (words like "inf"
    included).
    """
    strict = text.where(text.str.match(_PLAIN, na=False))
    return pd.to_numeric(strict.astype(object).where(strict.notna(), np.nan), errors="coerce")

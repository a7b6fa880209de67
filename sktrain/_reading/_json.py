"""JSON documents that hold one table, however wrapped.

Known shapes: records, lists of lists, columns, rows by time, JSON lines, pandas' orients, and all
of them inside the envelopes that services send (one of them per symbol gives a column ``symbol``).
Of several tables in a document the one whose names the reader knows is meant, then the largest.
"""

from collections.abc import Callable, Iterable
import json
import re

import pandas as pd

from ._cells import cell_kind
from ._names import tell_no_symbols
from ._protocol import UnreadableError, clipped

__all__ = ["frame_from_json", "frame_from_records"]

# levels of envelopes around a table: deeper than any of tests/bar_layouts.py, a judgment
_DEEPEST = 8
_WIDEST = 200  # fields of a record, a judgment: bars have a dozen
_FLAT = 4  # levels of records inside a row, a judgment
_FIRST = 200  # rows that tell what a column holds, a judgment
_TAIL = 40  # characters of an end that a message shows
_SYMBOL_KEYS = ("ticker", "symbol", "instrument", "code", "pair", "asset", "address", "mint")
# One value in a record of its own, as document stores and feeds write it
_VALUES = ("$date", "$numberLong", "$numberInt", "$numberDouble", "$oid", "#text", "_text", "$t")
_INNER = ("_source", "data", "node", "attributes", "content")  # the row inside a row
_TICKER = re.compile(r"[A-Z0-9][A-Z0-9.:^=/_-]*")  # no word such as "latest"
_NO_TABLE = (0, 0)  # what a place without a table scores
_CELLS = 5  # of a row without names: a time and four prices
_NAMELESS = 3  # roles that such rows are worth: more than an envelope, less than names
_WHOLE = 4  # roles that make a table of bars: no need to look further down

Known = Callable[[Iterable[str]], int]


def frame_from_json(
    text: str, known: Known, *, tickers: bool = False
) -> tuple[pd.DataFrame, bool]:
    """The table in a JSON document, and whether its columns have names.

    Parameters
    ----------
    text : str
    known : callable
        How many roles the names of columns play.
    tickers : bool, default=False
        Whether only keys that look like tickers tell tables apart by symbol (stories stand under
        words such as ``latest``).

    Raises
    ------
    UnreadableError
        When the text is no JSON, or holds no table.
    """
    try:
        return frame_from_records(_parsed(text), known, tickers=tickers)
    except RecursionError as error:
        raise UnreadableError("is JSON nested too deeply to be a table.") from error
    except LookupError:
        raise UnreadableError(
            f"is JSON without a table of rows: {clipped(text.strip())}."
        ) from None


def frame_from_records(
    document: object, known: Known, *, tickers: bool = False
) -> tuple[pd.DataFrame, bool]:
    """The table in nested lists and dicts, and whether its columns have names.

    Raises
    ------
    LookupError
        When there is none.
    """
    found = _Finder(known, tickers).table(document, 0)
    if found is None or not len(found):
        raise LookupError
    named = not all(isinstance(name, int) for name in found.columns)
    return found, named


def _parsed(text: str):
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UnreadableError("is JSON nested too deeply to be a table.") from error
    except ValueError as error:
        lines = [line for line in text.split("\n") if line.strip()]  # U+2028 stands inside texts
        if len(lines) > 1 and lines[0].strip()[-1:] in "}]":
            return _lines(text)
        raise UnreadableError(_damaged(text, error)) from error


def _damaged(text: str, error: ValueError) -> str:
    """What is wrong with a text that is no JSON."""
    end = getattr(error, "pos", 0)
    if "Unterminated string" in str(error) or not text[end:].strip():
        return (
            "is JSON that is cut off: it ends with "
            f"{clipped(text.strip()[-_TAIL:])} before its brackets close. Download it again."
        )
    return f"cannot be read as JSON: {error}."


def _lines(text: str) -> list:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            last = not "".join(text.split("\n")[number:]).strip()
            damage = _damaged(line, error) if last and isinstance(error, ValueError) else ""
            if damage.startswith("is JSON that is cut off"):
                raise UnreadableError(f"line {number}, the last, {damage}") from error
            raise UnreadableError(f"line {number} cannot be read as JSON: {error}.") from error
        if type(rows[-1]) is not type(rows[0]) or not isinstance(rows[-1], (dict, list)):
            raise UnreadableError(
                f"line {number} holds {clipped(line.strip())}, the first line another kind of row."
            )
    return rows


class _Finder:
    """Looks for the table of a document.

    Parameters
    ----------
    known : callable
        How many roles the names of columns play.
    tickers : bool
        Whether only keys that look like tickers are symbols.
    """

    def __init__(self, known: Known, tickers: bool) -> None:
        self._known, self._tickers = known, tickers

    def table(self, node, depth: int) -> pd.DataFrame | None:
        """The best table at or below a node."""
        if depth > _DEEPEST:
            return None
        if isinstance(node, list):
            return self._from_list(node, depth)
        if isinstance(node, dict):
            return self._from_dict(node, depth)
        return None

    def _worth(self, table: pd.DataFrame | None) -> tuple[int, int]:
        """Roles first, then rows."""
        if table is None:
            return _NO_TABLE
        if all(isinstance(name, int) for name in table.columns):
            return (_NAMELESS if table.shape[1] >= _CELLS else 0), len(table)
        return self._known([str(name) for name in table.columns]), len(table)

    def _from_list(self, node: list, depth: int) -> pd.DataFrame | None:
        if not node:
            return None
        if all(isinstance(row, dict) for row in node):
            rows = self._plainly_named(pd.DataFrame([_flat(row) for row in node], dtype=object))
            nested = _with_records(rows)
            own = self._worth(rows.drop(columns=nested))
            if own[0] > 1 and not nested:
                return rows
            below = self._below(node, depth)
            if own[0] > 1 and _dated(rows.drop(columns=nested)) and not _dated(below):
                return rows  # what stands below are parts of the rows, such as tags
            if self._worth(below)[0] > own[0] or (nested and self._worth(below) > own):
                return below
            scalar = any(_is_scalar(value) for value in node[0].values())
            return rows if scalar or below is None else below
        if all(isinstance(row, list) for row in node):
            width = max(map(len, node))
            if width > 1 and all(len(row) == width and all(map(_is_scalar, row)) for row in node):
                return _from_rows(node)
        if all(isinstance(row, str) for row in node):
            return _from_texts(node)
        return self._below(node, depth)

    def _plainly_named(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fields of an inner record such as ``bar.open`` under their own names, where that tells
        more.
        """
        names = [str(name) for name in rows.columns]
        outer = {name.rpartition(".")[0] for name in names} - {""}
        best, most, twice = names, self._known(names), False
        for prefix in sorted(outer):
            plain = [
                name.removeprefix(f"{prefix}.") if name.rpartition(".")[0] == prefix else name
                for name in names
            ]
            count = self._known(plain)
            if count > most and len(set(plain)) == len(plain):
                best, most, twice = plain, count, False
            elif count == most and best is not names:
                twice = True
        return rows if twice or best is names else rows.set_axis(best, axis=1)

    def _below(self, node: list, depth: int) -> pd.DataFrame | None:
        """The tables of the items, one below the other where they are pages of one."""
        found = [self.table(one, depth + 1) for one in node]
        tables = [table for table in found if table is not None]
        if not tables:
            return None
        best = max(tables, key=self._worth)
        pages = [table for table in tables if set(table.columns) & set(best.columns)]
        if len(pages) == len(tables) > 1 and (_has_names(best) or _alike(tables)):
            return pd.concat(tables, ignore_index=True)
        return best

    def _from_dict(self, node: dict, depth: int) -> pd.DataFrame | None:
        shapes = (shape(node) for shape in (_split, self._keyed_rows, _columns))
        own = next((table for table in shapes if table is not None), None)
        if own is not None and self._worth(own)[0] >= _WHOLE:
            return own
        below = self._inside(node, depth)
        return below if own is None or self._worth(below)[0] > self._worth(own)[0] else own

    def _inside(self, node: dict, depth: int) -> pd.DataFrame | None:
        """The table of the fields of an envelope."""
        found = {key: self.table(value, depth + 1) for key, value in node.items()}
        tables = {key: table for key, table in found.items() if table is not None}
        if not tables:
            return None
        if len(tables) > 1:
            return self._of_symbols(tables)
        (table,) = tables.values()
        named = next((node[key] for key in _SYMBOL_KEYS if isinstance(node.get(key), str)), None)
        if named and not _has_names(table):
            return _labelled(table, named) if table.shape[1] >= _CELLS else table
        if named and not {"symbol", "ticker"} & set(table.columns):
            table = table.assign(symbol=named)
        return table

    def _of_symbols(self, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
        """Tables of one kind by symbol; of unlike tables, those that are like the best.

        Some may lack columns that play no role, such as indicators that need more rows.
        """
        best = max(tables.values(), key=self._worth)
        roles = self._worth(best)[0]
        tables = {key: table for key, table in tables.items() if self._worth(table)[0] == roles}
        common = set.intersection(*(set(table.columns) for table in tables.values()))
        nameless = all(isinstance(name, int) for name in best.columns)
        alike = all(common == set(table.columns) for table in tables.values())
        if nameless:
            alike &= _alike(tables.values())
        else:
            alike |= self._known(map(str, common)) == self._known(map(str, best.columns)) > 1
        if not alike or len(tables) == 1:
            return best
        if _pages_by_time(tables):
            return pd.concat(tables.values(), ignore_index=True)
        if not self._tickers and tell_no_symbols(tables):
            raise UnreadableError(
                f"holds {len(tables)} tables under {', '.join(map(clipped, tables))}, which are no "
                "symbols: save the one you want in a file of its own."
            )
        if nameless:
            return _labelled_behind(tables, best)
        worded = self._tickers and not all(map(_TICKER.fullmatch, tables))
        if {"symbol", "ticker"} & common or worded:
            return pd.concat(tables.values(), ignore_index=True)
        labelled = [table.assign(symbol=key) for key, table in tables.items()]
        return pd.concat(labelled, ignore_index=True)

    def _keyed_rows(self, node: dict) -> pd.DataFrame | None:
        """Records by time or by identifier, or columns of values by row (pandas' default)."""
        if not node or not all(isinstance(value, dict) and value for value in node.values()):
            return None
        if len(node) < len(next(iter(node.values()))) > _WIDEST and self._known(node) < 2:
            return None  # more columns than rows: no records
        first = next(iter(node.values()))
        by_row = all(value.keys() == first.keys() for value in node.values())
        cells = [one for value in node.values() for one in value.values()]
        by_row &= not any(isinstance(one, dict) for one in cells)
        if by_row and (len(node) > 3 or self._known(node) > 1) and self._known(first) < 2:
            columns = {name: list(value.values()) for name, value in node.items()}
            table = pd.DataFrame(columns, dtype=object)
            table.insert(0, "", pd.Series(list(first), dtype=object))
            return table
        rows = pd.DataFrame([_flat(value) for value in node.values()], dtype=object)
        scalar = all(map(_is_scalar, cells))
        timed = scalar and all(cell_kind(key) in ("time", "number") for key in node)
        if timed or self._known(map(str, rows.columns)) > 1:
            if timed:
                rows.insert(0, "", pd.Series(list(node), dtype=object))
            return rows
        return None


def _has_names(table: pd.DataFrame) -> bool:
    return not all(isinstance(name, int) for name in table.columns)


def _alike(tables: Iterable[pd.DataFrame]) -> bool:
    """Whether rows without names are pages of one table: as wide as each other.

    Raises
    ------
    UnreadableError
        When they are not, and more than one of them may be bars: none is read in place of all.
    """
    tables = list(tables)
    widths = {table.shape[1] for table in tables if not _has_names(table)}
    if len({width for width in widths if width >= _CELLS}) > 1:
        raise UnreadableError(
            f"holds rows without names of {' and of '.join(map(str, sorted(widths)))} cells: save "
            "those of one kind in a file of their own."
        )
    return len(widths) == 1 and not any(map(_has_names, tables))


def _pages_by_time(tables: dict[str, pd.DataFrame]) -> bool:
    """Whether keys such as ``2024`` or ``2024-03`` are the years or months of their rows."""
    return all(
        cell_kind(key) in ("number", "time")
        and any(
            all(str(cell).startswith(key) for cell in table[name].head(_FIRST)) for name in table
        )
        for key, table in tables.items()
    )


def _labelled_behind(tables: dict[str, pd.DataFrame], best: pd.DataFrame) -> pd.DataFrame:
    """Rows without names under several symbols, each with its symbol as the last cell."""
    width = best.shape[1]
    if width < _CELLS or any(cell_kind(key) != "text" for key in tables):
        return best
    behind = [_labelled(table, key) for key, table in tables.items()]
    return pd.concat(behind, ignore_index=True)


def _labelled(table: pd.DataFrame, symbol: str) -> pd.DataFrame:
    """Rows without names with their symbol as the last cell."""
    label = pd.Series(symbol, index=table.index, name=table.shape[1], dtype=object)
    return pd.concat([table, label], axis=1)


def _from_rows(node: list) -> pd.DataFrame:
    """Lists of cells, of which the first may hold names."""
    head = node[0]
    if len(node) > 1 and all(isinstance(x, str) and cell_kind(x) == "text" for x in head):
        return pd.DataFrame(node[1:], columns=head, dtype=object)
    return pd.DataFrame(node, dtype=object)


def _from_texts(node: list[str]) -> pd.DataFrame | None:
    """Rows as texts with commas between their cells, as some services write candles."""
    rows = [row.split(",") for row in node]
    width = len(rows[0])
    if width < _CELLS or any(len(row) != width for row in rows):
        return None
    bars = rows[1:] if len(rows) > 1 else rows  # below names, perhaps
    if any(cell_kind(cell) != "number" for row in bars for cell in row[1:_CELLS]):
        return None
    return _from_rows(rows)


def _with_records(rows: pd.DataFrame) -> list:
    """Columns whose first cells are lists of records: tables of their own inside the rows."""
    return [name for name, column in rows.head(_FIRST).items() if any(map(_has_records, column))]


def _has_records(value) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _dated(table: pd.DataFrame | None) -> bool:
    """Whether a column of texts holds times."""
    if table is None:
        return False
    first = table.head(_FIRST)
    return any(all(isinstance(x, str) and cell_kind(x) == "time" for x in first[n]) for n in first)


def _is_scalar(value) -> bool:
    return not isinstance(value, (list, dict))


def _flat(row: dict, depth: int = 0) -> dict:
    """A record with its inner records' fields under ``outer.inner``."""
    inner = [row[key] for key in _INNER if isinstance(row.get(key), dict)]
    if len(inner) == 1 and len(inner[0]) > 1:
        row = {**{key: one for key, one in row.items() if one is not inner[0]}, **inner[0]}
    out = {}
    prices = [
        key
        for key, value in row.items()
        if isinstance(value, dict) and {"o", "h", "l", "c"} <= set(value)
    ]
    for key, value in row.items():
        value = _value(value)
        if prices == [key]:
            out.update(value)
        elif isinstance(value, dict) and depth < _FLAT:
            below = _flat(value, depth + 1)
            out.update({f"{key}.{name}": one for name, one in below.items()})
        else:
            out[key] = value
    return out


def _value(value):
    """The one value of a record such as ``{"$date": …}``."""
    while isinstance(value, dict) and len(value) == 1:
        (key,) = value
        if key not in _VALUES:
            break
        value = value[key]
    return value


def _split(node: dict) -> pd.DataFrame | None:
    """pandas' orient="split" and "table", and Nasdaq Data Link's column_names beside data."""
    data = node.get("data")
    names = node.get("columns") or node.get("column_names") or node.get("fields")
    if (
        not isinstance(data, list)
        or not data
        or not isinstance(names, list)
        or not isinstance(data[0], list)
    ):
        return None
    names = [one.get("name") if isinstance(one, dict) else one for one in names]
    if any(not isinstance(row, list) or len(row) != len(names) for row in data):
        return None
    table = pd.DataFrame(data, columns=names, dtype=object)
    index = node.get("index")
    if isinstance(index, list) and len(index) == len(table):
        table.insert(0, "", pd.Series(index, dtype=object))
    return table


def _columns(node: dict) -> pd.DataFrame | None:
    """Lists of equal length by name, also further below (as in Yahoo's chart)."""
    found: dict[str, list] = {}
    _collect(node, found, 0)
    lengths = [len(values) for values in found.values()]
    if len(lengths) < 2:
        return None
    usual = max(set(lengths), key=lambda n: (lengths.count(n), n))
    kept = {
        name: pd.Series(values, dtype=object)
        for name, values in found.items()
        if len(values) == usual
    }
    return pd.DataFrame(kept) if len(kept) > 3 else None


def _collect(node: dict, found: dict[str, list], depth: int) -> None:
    for key, value in node.items():
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            value = value[0]
        if isinstance(value, dict) and depth < _DEEPEST:
            _collect(value, found, depth + 1)
        elif isinstance(value, list) and value and all(map(_is_scalar, value)):
            found.setdefault(key, value)

"""JSON to rows: any document that holds one table, however wrapped, enters; a frame of its cells leaves.

Known shapes: records, lists of lists, columns, rows by time, JSON lines, pandas' orients, and all of them inside the envelopes
that services send (one of them per symbol gives a column ``symbol``).
"""

import json

import pandas as pd

from ._cells import cell_kind
from ._protocol import UnreadableError, clipped

__all__ = ["frame_from_json"]

_DEEPEST = 8  # levels of envelopes around a table
_SYMBOL_KEYS = ("ticker", "symbol", "instrument", "code", "pair")


def frame_from_json(text: str) -> tuple[pd.DataFrame, bool]:
    """The table in a JSON document, and whether its columns have names.

    Raises
    ------
    UnreadableError
        When the text is no JSON, or holds no table.
    """
    document = _parsed(text)
    try:
        found = _table(document, 0)
    except RecursionError as error:
        raise UnreadableError("is JSON nested too deeply to be a table.") from error
    if found is None or not len(found):
        raise UnreadableError(f"is JSON without a table of rows: {clipped(text.strip())}.")
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
        raise UnreadableError(f"cannot be read as JSON: {error}.") from error


def _lines(text: str) -> list:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise UnreadableError(f"line {number} cannot be read as JSON: {error}.") from error
        if type(rows[-1]) is not type(rows[0]) or not isinstance(rows[-1], (dict, list)):
            raise UnreadableError(
                f"line {number} holds {clipped(line.strip())}, the first line another kind of row."
            )
    return rows


def _table(node, depth: int) -> pd.DataFrame | None:
    """The largest table at or below a node."""
    if depth > _DEEPEST:
        return None
    if isinstance(node, list):
        return _from_list(node, depth)
    if isinstance(node, dict):
        return _from_dict(node, depth)
    return None


def _from_list(node: list, depth: int) -> pd.DataFrame | None:
    if not node:
        return None
    if all(isinstance(row, dict) for row in node) and (
        any(_is_scalar(value) for value in node[0].values()) or depth > 2
    ):
        return pd.DataFrame([_flat(row) for row in node], dtype=object)
    if all(isinstance(row, list) for row in node):
        width = max(map(len, node))
        if width > 1 and all(len(row) == width and all(map(_is_scalar, row)) for row in node):
            head = node[0]
            if len(node) > 1 and all(isinstance(x, str) and cell_kind(x) == "text" for x in head):
                return pd.DataFrame(node[1:], columns=head, dtype=object)
            return pd.DataFrame(node, dtype=object)
    tables = [table for one in node[:50] if (table := _table(one, depth + 1)) is not None]
    return max(tables, key=len) if tables else None


def _from_dict(node: dict, depth: int) -> pd.DataFrame | None:
    for shape in (_split, _columns, _keyed_rows):
        table = shape(node)
        if table is not None:
            return table
    tables = {
        key: table for key, value in node.items() if (table := _table(value, depth + 1)) is not None
    }
    if not tables:
        return None
    if len(tables) > 1:
        return _of_symbols(tables)
    (table,) = tables.values()
    named = next((node[key] for key in _SYMBOL_KEYS if isinstance(node.get(key), str)), None)
    if (
        named
        and not {"symbol", "ticker"} & set(table.columns)
        and not all(isinstance(name, int) for name in table.columns)
    ):
        table = table.assign(symbol=named)
    return table


def _of_symbols(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of one shape by symbol; of unlike tables, the largest."""
    shapes = {tuple(table.columns) for table in tables.values()}
    if len(shapes) == 1 and not all(isinstance(name, int) for name in next(iter(shapes))):
        return pd.concat(
            [table.assign(symbol=key) for key, table in tables.items()], ignore_index=True
        )
    return max(tables.values(), key=len)


def _is_scalar(value) -> bool:
    return not isinstance(value, (list, dict))


def _flat(row: dict) -> dict:
    """A record with its inner records' fields under ``outer.inner``."""
    out = {}
    prices = [
        key
        for key, value in row.items()
        if isinstance(value, dict) and {"o", "h", "l", "c"} <= set(value)
    ]
    for key, value in row.items():
        if prices == [key]:
            out.update(value)
        elif isinstance(value, dict):
            out.update({f"{key}.{inner}": one for inner, one in value.items() if _is_scalar(one)})
        else:
            out[key] = value
    return out


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


def _keyed_rows(node: dict) -> pd.DataFrame | None:
    """Records by time (Alpha Vantage, orient="index"), or columns of values by row (pandas' default)."""
    if len(node) < 1 or not all(isinstance(value, dict) and value for value in node.values()):
        return None
    if not all(_is_scalar(one) for value in node.values() for one in value.values()):
        return None
    timed = all(cell_kind(key) in ("time", "number") for key in node)
    if timed:
        table = pd.DataFrame(list(node.values()), dtype=object)
        table.insert(0, "", pd.Series(list(node), dtype=object))
        return table
    first = next(iter(node.values()))
    if len(node) > 3 and all(value.keys() == first.keys() for value in node.values()):
        table = pd.DataFrame(
            {name: list(value.values()) for name, value in node.items()}, dtype=object
        )
        table.insert(0, "", pd.Series(list(first), dtype=object))
        return table
    return None

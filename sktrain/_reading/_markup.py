"""Tables inside marked-up text: rows of web pages, and XML as nested records.

No entity is expanded and nothing is fetched; the depth of nesting is bounded.
"""

from collections.abc import Callable
import csv
from html.parser import HTMLParser
import io
from typing import Any
from xml.parsers import expat

from ._protocol import UnreadableError

__all__ = ["page_as_csv", "records_of_xml"]

# elements inside one another, a judgment: far above real pages, below Python's stack of 1,000
# frames
_DEEPEST = 60
_NAMED = 2  # names that make a table of a page one of rows, a judgment: one name is met by chance
_NAMES_WITHIN = 5  # rows in which they stand, a judgment: titles and units take one or two


class _Page(HTMLParser):
    """Collects the tables of a page, row by row."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[list[str]]] = []
        self._open: list[list[list[str]]] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
            self._open.append(self.tables[-1])
        elif tag == "tr" and self._open:
            self._ended()
            self._open[-1].append([])
        elif tag in ("td", "th") and self._open:
            self._ended()
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self._ended()
        if tag == "table" and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def _ended(self) -> None:
        if self._cell is not None and self._open:
            if not self._open[-1]:
                self._open[-1].append([])
            self._open[-1][-1].append(" ".join("".join(self._cell).split()))
        self._cell = None


def page_as_csv(page: str, known: Callable[[str], bool]) -> str | None:
    """The table of a web page with the most names of roles, as CSV; None where none has any.

    Examples
    --------
    >>> from sktrain._reading._markup import page_as_csv
    >>> row = "<tr><td>2024-01-02</td><td>10.5</td></tr>"
    >>> page = f"<table><tr><th>Date</th><th>Close</th></tr>{row}</table>"
    >>> page_as_csv(page, lambda name: name in ("Date", "Close"))
    'Date,Close\\n2024-01-02,10.5\\n'
    """
    parser = _Page()
    parser.feed(page)
    parser.close()

    def worth(table: list[list[str]]) -> int:
        return max((sum(map(known, row)) for row in table[:_NAMES_WITHIN]), default=0)

    best = max(parser.tables, key=worth, default=[])
    if worth(best) < _NAMED or len(best) < 2:
        return None
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(row for row in best if row)
    return out.getvalue()


def records_of_xml(data: bytes) -> dict[str, Any]:
    """An XML document as records: attributes and children by name, repeated children as lists.

    An element with text and no children is its text.

    Examples
    --------
    >>> from sktrain._reading._markup import records_of_xml
    >>> records_of_xml(b"<rows><row day='1'><c>2</c></row><row day='2'><c>3</c></row></rows>")
    {'rows': {'row': [{'day': '1', 'c': '2'}, {'day': '2', 'c': '3'}]}}
    """
    root: dict[str, Any] = {}
    stack: list[tuple[dict[str, Any], list[str]]] = [(root, [])]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > _DEEPEST:
            raise UnreadableError("is XML nested too deeply to be a table.")
        stack.append(({_local(key): value for key, value in attributes.items()}, []))

    def end(name: str) -> None:
        fields, pieces = stack.pop()
        text = "".join(pieces).strip()
        children = any(isinstance(value, dict | list) for value in fields.values())
        _put(stack[-1][0], _local(name), text if text and not children else fields or None)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = lambda text: stack[-1][1].append(text)
    parser.EntityDeclHandler = _refuse_entities
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise UnreadableError(f"is XML that cannot be read ({error}).") from error
    return root


def _local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition(" ")[2]


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    if name not in fields:
        fields[name] = value
    elif isinstance(fields[name], list):
        fields[name].append(value)
    else:
        fields[name] = [fields[name], value]


def _refuse_entities(*_: object) -> None:
    raise UnreadableError("is XML that defines entities of its own, which are not expanded.")

"""A table of rows, names, cells and lines from a file in any container."""

import csv
import io
from pathlib import Path
import re
from typing import IO, Any, cast
import warnings

import numpy as np
import pandas as pd

from .._optional import require
from ._block import Layout, checked_names, find_layout, lines_of, split_rows
from ._cells import MISSING, cell_kind
from ._json import frame_from_json, frame_from_records
from ._markup import page_as_csv, records_of_xml
from ._names import RoleTable
from ._protocol import UnreadableError, clipped
from ._source import Source, open_source_bytes, refused_page, settle_encoding

__all__ = ["Table", "open_table"]

# bytes of the first and last lines, a judgment: hundreds of lines, and a dozen
_HEAD, _TAIL = 1 << 18, 1 << 14
_NAMED_PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst", ".tar")  # pandas goes by the name
_SHEET_NAMES = 3  # names of roles that tell the sheet of data from one about it, a judgment
_SAMPLE = 200  # rows that names and roles are found from, a judgment


class Table:
    """Rows of a file, opened but not yet read.

    Attributes
    ----------
    headers : list of list of str
        Rows of names; none when the first line is data.
    sample : list of list of str
        First rows as text.
    width : int
        Columns.
    delimiter : str or None
    decimal : str or None
        What divides decimals, where the caller says so.
    notes : list of str
        What was decided so far.
    typed : bool
        Whether the cells come with types (Parquet and the like), not as text.
    """

    def __init__(
        self, headers, sample, width: int, notes: list[str], delimiter=None, typed: bool = False
    ) -> None:
        self.headers, self.sample, self.width = headers, sample, width
        self.notes, self.delimiter, self.typed = notes, delimiter, typed
        self.decimal: str | None = None
        self._kinds: list[str] | None = None

    def kinds(self) -> list[str]:
        """What the columns usually hold in the sample."""
        if self._kinds is None:
            self._kinds = self._kinds_found()
        return self._kinds

    def _kinds_found(self) -> list[str]:
        out = []
        for place in range(self.width):
            found = [cell_kind(row[place]) for row in self.sample if place < len(row)]
            found = [kind for kind in found if kind != "empty"]
            out.append(max(set(found), key=found.count) if found else "empty")
        return out

    def load(
        self,
        texts: set[int],
        *,
        words: frozenset[int] = frozenset(),
        stamps: int | None = None,
        drop: bool = False,
    ) -> pd.DataFrame:
        """Read the rows.

        Parameters
        ----------
        texts : set of int
            Columns that stay text, cell by cell.
        words : set of int
            Columns in which no cell means "no value" by its word; what they hold is left to be
            found.
        stamps : int, optional
            A column of times with the year in front, which are read as such where all its cells are
            of that form.
        drop : bool, default=False
            Whether lines with too many cells are left out, and counted.
        """
        raise AssertionError  # every container has its own

    def place(self, row: int) -> str:
        """How a message names a row."""
        return f"row {row + 1}"


class _FrameTable(Table):
    def __init__(self, frame: pd.DataFrame, named: bool, notes: list[str]) -> None:
        levels = range(frame.columns.nlevels)
        headers = (
            [[str(name) for name in frame.columns.get_level_values(level)] for level in levels]
            if named
            else []
        )
        first = frame.head(_SAMPLE)
        sample = [
            ["" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell) for cell in row]
            for row in first.to_numpy(dtype=object)
        ]
        super().__init__(headers, sample, frame.shape[1], notes, typed=True)
        self._frame = frame.set_axis(range(frame.shape[1]), axis=1)

    def load(
        self,
        texts: set[int],
        *,
        words: frozenset[int] = frozenset(),
        stamps: int | None = None,
        drop: bool = False,
    ) -> pd.DataFrame:
        frame = self._frame
        frame.attrs = {}
        objects = [place for place in texts if pd.api.types.is_numeric_dtype(frame[place].dtype)]
        return frame.astype(dict.fromkeys(objects, object)) if objects else frame


class _TextTable(Table):
    def __init__(
        self, source: Source, layout: Layout, start: int, stop: int, encoding_notes: list[str]
    ) -> None:
        super().__init__(
            layout.headers,
            layout.sample,
            layout.width,
            [*encoding_notes, *layout.notes],
            layout.delimiter,
        )
        self._source, self._span, self._skip = source, (start, stop), layout.skip
        self._kept: np.ndarray | None = None  # rows left when repeated headers are out
        first = source.read(start, _TAIL).decode("utf-8", "replace")
        self._padded = self.delimiter is not None and f"{self.delimiter} " in first

    def load(
        self,
        texts: set[int],
        *,
        words: frozenset[int] = frozenset(),
        stamps: int | None = None,
        drop: bool = False,
    ) -> pd.DataFrame:
        whole = self._whole()
        told = texts | words
        one = whole is not None and self._header_line()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                frame = pd.read_csv(
                    whole or self._source.part(*self._span),
                    encoding="utf-8",
                    skiprows=self._skip if whole and not one else 0,
                    sep=r"\s+" if self.delimiter is None else self.delimiter,
                    header=0 if one else None,
                    names=range(self.width),
                    dtype=dict.fromkeys(texts, "str"),
                    parse_dates=False if stamps is None else [stamps],
                    keep_default_na=False,
                    na_values={p: MISSING for p in range(self.width) if p not in told},
                    skipinitialspace=self._padded,
                    on_bad_lines="warn" if drop else "error",
                )
            except pd.errors.EmptyDataError:
                raise UnreadableError("holds no rows.") from None
            except (pd.errors.ParserError, ValueError) as error:
                raise UnreadableError(self._explained(str(error))) from error
        skipped = sum(str(one.message).count("Skipping line") for one in said)
        if skipped:
            self.notes.append(f"{skipped} lines with too many cells left out")
        if not isinstance(frame.index, pd.RangeIndex):
            raise UnreadableError(
                f"{self.place(0)} has more cells than the {self.width} that most rows have."
            )
        return self._without_names(frame)

    def _without_names(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows without those that repeat the header, as files put together by hand have
        them.
        """
        names = self.headers[-1] if self.headers else []
        words = [place for place, name in enumerate(names) if name]
        if not words or not all(pd.api.types.is_string_dtype(frame[p].dtype) for p in words):
            return frame
        again = (frame[words[0]] == names[words[0]]).to_numpy()
        for place in words[1:]:
            if not again.any():
                return frame
            again = again & (frame[place] == names[place]).to_numpy()
        if not again.any():
            return frame
        count = int(again.sum())
        self.notes.append(f"{count} repeated header line{'s' * (count > 1)} left out")
        self._kept = np.flatnonzero(~again)
        return frame[~again].reset_index(drop=True)

    def _header_line(self) -> bool:
        """Whether one line with as many cells as the rows stands above them: pandas passes it
        faster than ``skiprows``.
        """
        if not (self._skip == 1 == len(self.headers)):
            return False
        line = self._source.read(0, _TAIL).decode("utf-8", "replace").splitlines()[:1]
        return [len(cells) for cells in csv.reader(line, delimiter=self.delimiter)] == [self.width]

    def _whole(self) -> Path | None:
        """The file itself, which pandas reads fastest, where the block reaches to its end."""
        plain = (
            self._source.data is None
            and self._span[1] == self._source.size
            and self.delimiter is not None
        )
        return (
            self._source.path
            if plain and not str(self._source.path).endswith(_NAMED_PACKED)
            else None
        )

    def _explained(self, error: str) -> str:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error)
        if found:
            line = int(found[2]) + (0 if self._whole() else self._skip)
            return (
                f"line {line} has {found[3]} cells, the other rows {found[1]}: repair the line, "
                f"or drop it with {_drop()}."
            )
        return f"cannot be read as a table: {error.strip()}"

    def place(self, row: int) -> str:
        """The line of a row, counted as an editor counts."""
        row = row if self._kept is None else int(self._kept[row])
        with io.TextIOWrapper(
            cast("IO[bytes]", self._source.part(*self._span)),
            encoding="utf-8",
            errors="replace",
            newline="",
        ) as lines:
            if self.delimiter is None:
                rows = (n for n, line in enumerate(lines, 1) if line.strip())
                return (
                    "line "
                    f"{self._skip + next((n for i, n in enumerate(rows) if i == row), row + 1)}"
                )
            reader = csv.reader(lines, delimiter=self.delimiter)
            count = -1
            begin = 0
            for cells in reader:
                count += bool(cells)
                if count == row:
                    return f"line {self._skip + begin + 1}"
                begin = reader.line_num
        return f"row {row + 1}"


def _drop() -> str:
    from ._protocol import option

    return option("bad_rows", "drop")


def open_table(
    path: Path,
    roles: RoleTable,
    *,
    encoding: str | None = None,
    caller: str,
    named: bool = False,
    names: list[str] | None = None,
) -> Table:
    """Open a file of rows.

    Parameters
    ----------
    path : Path
    roles : RoleTable
        Names that headers are known by.
    encoding : str, optional
        Of text; found out by default.
    caller : str
        The public name that reads, for messages about libraries.
    named : bool, default=False
        Whether rows are told from headers by the names of roles only (texts look like names).
    names : list of str, optional
        The names of all columns, in place of the file's own.

    Raises
    ------
    UnreadableError
        Saying what the file is instead.
    """
    source = open_source_bytes(path)
    if source.kind in ("parquet", "feather", "hdf5"):
        return _renamed(_container(source, caller), True, names)
    if source.kind == "xlsx":
        return _from_text(_sheet(source, roles, caller), roles, "utf-8", named, names)
    if source.kind == "page":
        return _from_text(_of_page(source, roles, encoding), roles, "utf-8", named, names)
    if source.kind == "xml":
        try:
            found = frame_from_records(records_of_xml(source.read()), roles.named)
        except LookupError:
            raise UnreadableError(
                "is an XML document without a table of rows: export the table as CSV."
            ) from None
        return _renamed(*found, names)
    if source.kind == "json":
        source, _, start = settle_encoding(source, encoding, roles.count)
        text = source.read(start).decode("utf-8", "replace")
        return _renamed(*frame_from_json(text, roles.named, tickers=named), names)
    return _from_text(source, roles, encoding, named, names)


def _of_page(source: Source, roles: RoleTable, encoding: str | None) -> Source:
    """The table of a web page as text."""
    page, _, start = settle_encoding(source, encoding, roles.count)
    text = page_as_csv(page.read(start).decode("utf-8", "replace"), roles.knows)
    if text is None:
        raise refused_page(source.read(0, _HEAD))
    out = Source(None, text.encode("utf-8"), source.name)
    out.notes = [*source.notes, "table of a web page"]
    return out


def _renamed(frame: pd.DataFrame, named: bool, names: list[str] | None) -> Table:
    """The table of a frame, under the caller's names where there are any."""
    if names is None:
        return _FrameTable(frame, named, [])
    return _FrameTable(frame.set_axis(checked_names(names, frame.shape[1]), axis=1), True, [])


def _from_text(
    source: Source,
    roles: RoleTable,
    encoding: str | None,
    named: bool,
    names: list[str] | None,
) -> Table:
    source, found, start = settle_encoding(source, encoding, roles.count)
    head = source.read(start, _HEAD)
    lines = lines_of(head.decode("utf-8", "replace"))
    if len(head) == _HEAD and len(lines) > 1:
        lines.pop()  # cut in the middle
    tail_bytes = b"" if named else source.read(max(start, source.size - _TAIL))
    tail = re.split(rb"(?<=\n)|(?<=\r)(?!\n)", tail_bytes)
    tail = [line for line in tail if line][(1 if source.size - start > _TAIL else 0) :]
    last = [line.decode("utf-8", "replace") for line in tail]
    layout = find_layout(lines, last, roles.knows, named=named, names=names)
    if not layout.sample:
        raise UnreadableError(_no_rows(lines, layout.delimiter, roles))
    begin = start + sum(len(line.encode("utf-8")) for line in lines[: layout.skip])
    stop = source.size - sum(len(line) for line in tail[len(tail) - layout.footer :])
    known = found in ("utf-8", "ascii", "utf-8-sig")
    notes = [*source.notes, *([] if known else [f"encoding {found}"])]
    return _TextTable(source, layout, begin, max(stop, begin), notes)


def _no_rows(lines: list[str], delimiter: str | None, roles: RoleTable) -> str:
    """What to say of a text without rows of data: names only, or words only."""
    below = [cells for cells, _ in split_rows(lines, delimiter)][1:]
    words = [cells for cells in below if any(cells[1:]) and not any(map(roles.knows, cells))]
    if not words:
        return "holds no rows below its header."
    return (
        f"holds words only, in rows such as {clipped(', '.join(words[0]))}: bars need a column of "
        "times and four of prices."
    )


def _container(source: Source, caller: str) -> pd.DataFrame:
    """Frames of Parquet, Feather and HDF5; an index comes along as the first columns."""
    if source.kind == "hdf5":
        from ._hdf5 import frame_from_hdf5

        frame = frame_from_hdf5(source, caller)
    else:
        require("pyarrow", extra="parquet", caller=caller)
        read = pd.read_parquet if source.kind == "parquet" else pd.read_feather
        try:
            frame = read(source.path if source.data is None else io.BytesIO(source.data))
        except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
            raise UnreadableError(
                f"is no {source.kind.title()} file that can be read ({error})."
            ) from error
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None:
        unnamed = frame.index.name is None and not isinstance(frame.index, pd.MultiIndex)
        frame = frame.rename_axis(index="") if unnamed and frame.columns.nlevels == 1 else frame
        frame = frame.reset_index()
    if not len(frame):
        raise UnreadableError("holds no rows.")
    return frame


def _sheet(source: Source, roles: RoleTable, caller: str) -> Source:
    """The one sheet of a workbook with a table, or with the names of a table, as text."""
    require("openpyxl", extra="excel", caller=caller)
    try:
        sheets = pd.read_excel(
            source.path if source.data is None else io.BytesIO(source.data),
            sheet_name=None,
            header=None,
            dtype=object,
            engine="openpyxl",
        )
    except Exception as error:  # openpyxl lets whatever the damage causes through
        raise UnreadableError(f"is no Excel workbook that can be read ({error}).") from error
    full = {name: _sheet_text(sheet) for name, sheet in sheets.items() if min(sheet.shape) > 1}
    named = {name: text for name, text in full.items() if roles.count(text) >= _SHEET_NAMES}
    chosen = named if len(named) == 1 else full
    if len(chosen) != 1:
        shown = ", ".join(map(repr, chosen))
        raise UnreadableError(
            f"is a workbook with {len(chosen)} sheets that hold tables ({shown}), not one. Save "
            "the one you want as CSV."
            if chosen
            else "is a workbook without a table."
        )
    ((name, text),) = chosen.items()
    out = Source(None, text.encode("utf-8"), source.name)
    out.notes = [*source.notes, *([f"sheet {name}"] if len(full) > 1 else [])]
    return out


def _sheet_text(sheet: pd.DataFrame) -> str:
    """The cells of a sheet as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in sheet.itertuples(index=False):
        writer.writerow(["" if pd.isna(cell) else _cell_text(cell) for cell in row])
    return buffer.getvalue()


def _cell_text(cell: Any) -> object:
    stamped = hasattr(cell, "hour") and hasattr(cell, "year")
    return cell.isoformat(sep=" ") if stamped else cell

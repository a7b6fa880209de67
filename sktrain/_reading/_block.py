"""Where the rows of a text begin and end, what divides their cells, and what stands above them.

Banner, header rows and footer are found from the usual number of cells and from what the columns
usually hold. Nothing is converted here: every cell is as the file has it until its column has a
role.
"""

from collections import Counter
from collections.abc import Callable, Sequence
import csv
from dataclasses import dataclass, field
import re

from ._cells import cell_kind, is_missing
from ._protocol import UnreadableError, clipped, option

__all__ = ["Layout", "checked_names", "find_layout", "lines_of", "split_rows"]

_DELIMITERS = (",", ";", "\t", "|", None)  # None: blanks
_BY_COLONS = 4  # names that a header needs for colons to divide: times have colons too
# Judgments, in numbers of rows and shares of them: every layout of tests/bar_layouts.py is read
# with them.
_LOOKED_AT = 200  # lines from the beginning
_NAMES_WITHIN = 20  # rows in which names are looked for
_EVEN, _EVENNESS = 0.5, 0.2  # share of rows of the usual width: with names, and without
_TORN = 0.8  # what rows lose whose cells begin or end within quotes
_FOOTER = 30  # lines from the end
# What sums and means below the rows are called
_SUMS = re.compile(
    r"(?i)(?:grand |sub)?(?:totals?|sums?|averages?|avg|means?|median|max(?:imum)?|min(?:imum)?"
    r"|std|count"
    r"|highest|lowest|summe|gesamt|durchschnitt|mittelwert|moyenne|somme|promedio|media|suma|totale"
    r"|média|soma|gemiddelde|totaal|razem|średnia|итого|среднее|合计|总计|平均|合計|小计)\b\W*$"
)
_WORDS = re.compile(r"[^\W\d]{2,}")
_BREAK = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")


@dataclass
class Layout:
    """Where a block of cells stands in a text.

    Attributes
    ----------
    delimiter : str or None
        None for blanks.
    width : int
        Cells in a row.
    headers : list of list of str
        The rows above the block, as wide as it; none when the first line is data.
    sample : list of list of str
        First rows of the block.
    skip : int
        Physical lines above the first row of data.
    footer : int
        Physical lines below the last row of data.
    kinds : list of str
        What each column usually holds.
    notes : list of str
    """

    delimiter: str | None
    width: int
    headers: list[list[str]]
    sample: list[list[str]]
    skip: int
    kinds: list[str]
    footer: int = 0
    notes: list[str] = field(default_factory=list)


def lines_of(text: str) -> list[str]:
    """Physical lines with their ends: only newline and carriage return divide lines."""
    return [line for line in _BREAK.split(text) if line]


def find_layout(
    head: list[str],
    tail: Sequence[str],
    known: Callable[[str], bool],
    *,
    named: bool = False,
    names: list[str] | None = None,
) -> Layout:
    """Find the block of cells in a text.

    Parameters
    ----------
    head, tail : list of str
        First lines and last lines, with their ends; ``tail`` is empty where no footer is looked
        for.
    known : callable
        Whether a cell is the name of a role.
    named : bool, default=False
        Whether the first row of names begins the block (rows of texts, which look like names
        themselves).
    names : list of str, optional
        The names of all columns, in place of the file's header.
    """
    rows, delimiter = _divide(head[:_LOOKED_AT], known, named)
    width = _usual_width([cells for cells, _ in rows])
    full = [(cells, line) for cells, line in rows if len(cells) == width]
    later = full[len(full) // 2 :] if len(full) > 1 else full
    kinds = [_usual_kind([cells[j] for cells, _ in later]) for j in range(width)]
    first = _first_named(rows, known, kinds) if named else _first_data(rows, kinds, known)
    wider = _wider_later(rows, first, kinds, delimiter, tail) if not names else width
    if wider > width:  # the first rows have no cells for the last names, later ones have
        width, kinds = wider, [*kinds, *["empty"] * (wider - width)]
        rows = [
            (cells + [""] * (width - len(cells)) if i >= first else cells, line)
            for i, (cells, line) in enumerate(rows)
        ]
    headers = [] if names else _headers(rows, first, width, known, kinds)
    sample = [cells for cells, _ in rows[first:] if len(cells) == width]
    layout = Layout(delimiter, width, headers, sample, _skipped(rows, first), kinds)
    if names:
        layout.headers = [checked_names(names, width)]
    wider = len(rows[first - 1][0]) - width if headers and first else 0
    if wider > 0 and any(rows[first - 1][0][width:]):
        layout.notes.append(f"no cells for the last {wider} names of the header")
    above = 0 if names else first - len(headers)
    if above:
        layout.notes.append(f"{above} line{'s' * (above > 1)} above the header left out")
    if tail:
        layout.footer, said = _footer_lines(tail, delimiter, width, kinds)
        if said:
            layout.notes.append(f"{said} footer line{'s' * (said > 1)} left out")
    return layout


def _wider_later(
    rows: list, first: int, kinds: list[str], delimiter: str | None, tail: Sequence[str]
) -> int:
    """The width of the header, where the last lines or rows below are as wide as it and others
    shorter.
    """
    wanted = len(rows[first - 1][0]) if first else 0
    later = [cells for cells, _ in [*rows[first:], *split_rows(tail, delimiter)]]
    full = any(len(c) == wanted and all(c) and cell_kind(c[0]) == kinds[0] for c in later)
    return wanted if wanted > len(kinds) and full else len(kinds)


def checked_names(names: list[str], width: int) -> list[str]:
    """The caller's names of all columns, or a refusal where they are not as many."""
    if len(names) != width:
        raise UnreadableError(
            f"{option('columns', names)} names {len(names)} columns, but the rows have {width} "
            "cells."
        )
    return list(names)


def split_rows(lines: Sequence[str], delimiter: str | None) -> list[tuple[list[str], int]]:
    """(stripped cells, lines read so far) of every row that is not blank."""
    if delimiter is None:
        return [(line.split(), n) for n, line in enumerate(lines, 1) if line.strip()]
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows: list[tuple[list[str], int]] = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if any(cells):
                rows.append((cells, reader.line_num))
    except csv.Error:  # a cell longer than the reader takes: what came before is sample enough
        pass
    return rows


def _divide(
    lines: Sequence[str], known: Callable[[str], bool], named: bool
) -> tuple[list[tuple[list[str], int]], str | None]:
    """The rows as the delimiter divides them that gives the most names, then the most even rows.

    In files of texts (``named``) blanks divide nothing.
    """
    best: tuple[int, float, list, str | None] = (0, 0.0, [], None)
    for delimiter in (*_DELIMITERS[: len(_DELIMITERS) - named], ":"):
        rows = split_rows(lines, delimiter)
        width = _usual_width([cells for cells, _ in rows])
        if width < 2:
            continue
        full = [cells for cells, _ in rows if len(cells) == width]
        foreign = set(",;\t|" if delimiter is None else ";\t|") - {delimiter}
        cells = [cell for row in full for cell in row]
        clean = sum(not (set(cell) & foreign) for cell in cells) / len(cells)
        even = len(full) / len(rows)
        torn = sum(any('"' in cell for cell in row) for row in full) / len(full)  # within quotes
        score = even * clean * (0.5 if delimiter is None else 1.0) * (1 - _TORN * torn)
        heads = [row for row, _ in rows[:_NAMES_WITHIN] if abs(len(row) - width) <= 1]
        names = max((sum(map(known, row)) for row in heads), default=0)
        names = names if names > 1 and even > _EVEN else 0
        if delimiter == ":" and names < _BY_COLONS:
            continue
        if (names, score) > (best[0], best[1] + 1e-9):
            best = (names, score, rows, delimiter)
    if named and not best[2]:
        raise UnreadableError(
            "has one column only (its first line is "
            f"{clipped(lines[0].strip() if lines else '')}); articles need a title and a time."
        )
    if not best[2] or (best[0] == 0 and best[1] < _EVENNESS):
        raise UnreadableError(
            f"is no table: its first line {clipped(lines[0].strip() if lines else '')} and those "
            "below it are not divided into the same number of cells by , ; tab | or blanks."
        )
    return best[2], best[3]


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    if not rows:
        return 0
    counts = Counter(len(row) for row in rows)
    return max(counts, key=lambda width: (counts[width], width))


def _usual_kind(cells: Sequence[str]) -> str:
    counts = Counter(cell_kind(cell) for cell in cells)
    filled = {kind: n for kind, n in counts.items() if kind != "empty"}
    return max(filled, key=lambda kind: filled[kind]) if filled else "empty"


def _is_data(cells: Sequence[str], kinds: Sequence[str]) -> bool:
    """Whether a row holds what the columns hold: times where times stand, numbers or nothing where
    numbers stand.
    """
    if len(cells) != len(kinds):
        return False
    found = [cell_kind(cell) for cell in cells]
    times = [kind for kind, usual in zip(found, kinds) if usual == "time"]
    numbers = [kind for kind, usual in zip(found, kinds) if usual == "number"]
    if any(kind != "time" for kind in times):
        return False
    right = sum(kind in ("number", "empty") for kind in numbers)
    return 2 * right >= len(numbers) and bool(times or "number" in numbers)


def _first_data(rows: list, kinds: Sequence[str], known: Callable[[str], bool]) -> int:
    """Place of the first row of data: right below the names, even when a cell of it is broken, else
    the first that looks so.
    """
    names = None
    for place, (cells, _) in enumerate(rows):
        if _is_data(cells, kinds) and _has_number(cells, kinds, known, blank="number" not in kinds):
            break
        if sum(map(known, cells)) > 1:
            names = place
    else:
        place = len(rows)
    if names is None:
        return place
    first = names + 1
    while first < place and not _has_number(rows[first][0], kinds, known):
        first += 1
    return first


def _has_number(
    cells: Sequence[str],
    kinds: Sequence[str],
    known: Callable[[str], bool],
    *,
    blank: bool = False,
) -> bool:
    """Whether a row has a number where numbers stand (``blank``: or none stands), and no
    symbols.
    """
    numbers = blank or any(
        usual == "number" and cell_kind(cell) == "number" for cell, usual in zip(cells, kinds)
    )
    return numbers and not _only_symbols(cells, kinds, known)


def _only_symbols(cells: Sequence[str], kinds: Sequence[str], known: Callable[[str], bool]) -> bool:
    """A header row such as ``Ticker,600519,600519``: a name stands where times or numbers do."""
    return kinds[0] in ("time", "number") and cell_kind(cells[0]) == "text" and known(cells[0])


def _first_named(rows: list, known: Callable[[str], bool], kinds: Sequence[str]) -> int:
    """Place below the first row with names of roles, or with words where the column holds times or
    numbers.
    """
    for place, (cells, _) in enumerate(rows[:5]):
        if sum(map(known, cells)) >= min(2, len(cells)):
            return place + 1
    first = [cell_kind(cell) for cell in rows[0][0]] if rows else []
    wordy = any(
        (kind == "text" and usual in ("time", "number")) or (kind == "empty" and usual == "time")
        for kind, usual in zip(first, kinds)
    )
    unnamed = first[:1] == ["empty"] and kinds[:1] == ["number"]  # row numbers without a name
    wordy |= unnamed and any(map(known, rows[0][0]))
    return int(wordy and len(first) == len(kinds) and len(rows) > 1)


def _headers(
    rows: list, first: int, width: int, known: Callable[[str], bool], kinds: list[str]
) -> list[list[str]]:
    """The one, two or three rows of names right above the data."""
    found: list[list[str]] = []
    below = 0
    for cells, line in reversed(rows[max(first - 3, 0) : first]):
        if below and below - line > 1:
            break  # a blank line: what stands above it is a banner
        below = line
        filled = [cell for cell in cells if cell]
        lone = len(filled) == 1 and bool(cells[0]) and known(cells[0]) and len(cells) > 1
        if len(filled) < 2 and not lone:
            break
        padded = _fitted(cells, width, line, kinds, bool(found) or lone, timed=known(cells[0]))
        if padded is None:
            break
        found.insert(0, padded)
    tops = (
        i
        for i, cells in enumerate(found)
        if sum(map(known, cells)) > 1 or _repeats(cells) or known(cells[0])
    )
    return found[next(tops, len(found) - 1) :] if found else []


def _repeats(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return len(set(filled)) < len(filled)


def _fitted(
    cells: list[str], width: int, line: int, kinds: list[str], lenient: bool, timed: bool
) -> list[str] | None:
    """A row of names as wide as the rows, or a refusal: one name too few would shift every column
    behind it.
    """
    # Rows that begin with their time and are shorter have no cells for the last names
    unfilled = kinds[:1] == ["time"] and timed
    while len(cells) > width and (unfilled or not cells[-1]):
        cells = cells[:-1]
    short = width - len(cells)
    if short > 0 and (all(kind == "empty" for kind in kinds[len(cells) :]) or lenient):
        return cells + [""] * short
    if short == 0:
        return list(cells)
    if lenient:
        return None
    raise UnreadableError(
        f"line {line}: the header has {len(cells)} names ({clipped(', '.join(cells))}), the rows "
        f"below have {width} cells: nobody can say which name is missing. Complete the header, or "
        f"name all {width} columns in order, as in {option('columns', _completed(cells, kinds))}."
    )


def _completed(cells: list[str], kinds: list[str]) -> list[str]:
    """The names of a header with what is wanting; where the first column of times has none, a
    time.
    """
    wanting = len(kinds) - len(cells)
    first = kinds[:1] == ["time"] and all(kind != "time" for kind in kinds[1:]) and wanting == 1
    unnamed = first and not any(
        re.search(r"(?i)date|time|day|datum|日期|时间", cell) for cell in cells
    )
    return ["time", *cells] if unnamed else [*cells, *(["NAME"] * max(wanting, 0))]


def _skipped(rows: list, first: int) -> int:
    return rows[first - 1][1] if first else 0


def _footer_lines(
    tail: Sequence[str], delimiter: str | None, width: int, kinds: Sequence[str]
) -> tuple[int, int]:
    """Lines at the end without a number where numbers stand, and how many of them are not blank."""
    count = filled = 0
    for line in reversed(tail[-_FOOTER:]):
        cells = next(iter(split_rows([line], delimiter)), ([], 0))[0]
        if len(cells) == 1 < width and len(_WORDS.findall(cells[0])) > 1:
            cells = [""]  # a sentence, whatever date it holds
            filled += 1
        cells = cells + [""] * (width - len(cells))
        numbers = [cell for cell, kind in zip(cells, kinds) if kind == "number"]
        dated = any(cell_kind(cell) == "time" for cell, kind in zip(cells, kinds) if kind == "time")
        undated = _undated(cells, kinds)  # a sum or a mean below the rows
        blank = all(is_missing(cell) for cell in cells) or undated
        if not blank and (dated or any(cell_kind(cell) == "number" for cell in numbers)):
            break
        count += 1
        filled += not blank or undated
    return count, filled


def _undated(cells: Sequence[str], kinds: Sequence[str]) -> bool:
    """Whether words stand where the first column of times has times, such as ``Average``."""
    place = kinds.index("time") if "time" in kinds else -1
    return place >= 0 and bool(_SUMS.match(cells[place]))

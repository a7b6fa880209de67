"""Python source of a script or a notebook, with the cell and line of every line of it.

Magics, shell lines and cells in other languages are blanked, so that line numbers stay true.
Nothing is run or imported.
"""

import ast
from dataclasses import dataclass
import json
from pathlib import Path
import re
import stat
import tokenize

from ...exceptions import SktrainError

__all__ = ["Source", "read_source"]

_FOREIGN = re.compile(
    r"\s*%%(?!time\b|timeit\b|capture\b|prun\b|memit\b|px\b|python3?\b)\w+"
)  # a cell in another language
_MAGIC = re.compile(r"^\s*[%!?]|^\s*\w[\w.]*\?{1,2}\s*$")
_ASSIGNED = re.compile(r"^(\s*[\w, ]+=\s*)[%!](.*)$")
_TIMED = re.compile(r"^(\s*)%(time|timeit|prun|memit)\s+(?:-\w+\s*\d*\s+)*(?=\S)")


@dataclass(frozen=True)
class Source:
    """Python of a whole file.

    Attributes
    ----------
    tree : ast.Module
    places : list of (cell, line)
        For every line of the tree from line 1 on; the cell is None in scripts.
    name : str
    """

    tree: ast.Module
    places: list
    name: str

    def where(self, line: int) -> dict:
        """The place of a line as findings name it."""
        cell, own = self.places[min(max(line, 1), len(self.places)) - 1]
        return {"file": self.name, "cell": cell, "line": own}


def read_source(path) -> Source:
    """Read and parse a file.

    Parameters
    ----------
    path : str or path-like
        ``*.ipynb`` is a notebook, anything else a script.

    Returns
    -------
    Source

    Raises
    ------
    SktrainError
        When the file cannot be read, is no notebook, is no Python, or holds no code.
    """
    path = Path(path)
    if not stat.S_ISREG(path.stat().st_mode):
        raise SktrainError(f"{path} is no regular file; give a notebook or a script.")
    texts = _notebook(path) if path.suffix == ".ipynb" else [(None, _script(path))]
    lines, places = [], []
    for cell, text in texts:
        own = _plain(text, notebook=cell is not None)
        _parse("\n".join(own), path, cell)
        lines += own
        places += [(cell, number) for number in range(1, len(own) + 1)]
    tree = _parse("\n".join(lines), path, None)
    if not tree.body:
        raise SktrainError(f"{path} holds no Python code; there is nothing to read.")
    return Source(tree, places, str(path))


def _script(path):
    try:
        with tokenize.open(path) as file:  # honours the coding line
            return file.read()
    except (SyntaxError, UnicodeDecodeError) as error:
        raise SktrainError(f"{path} is no Python source: {error}.") from error


def _notebook(path):
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        cells = document["cells"] if "cells" in document else document["worksheets"][0]["cells"]
        cells = [cell for cell in cells if cell["cell_type"] == "code"]
        found = []
        for number, cell in enumerate(cells, 1):
            text = cell.get("source", cell.get("input", ""))
            found.append((number, text if isinstance(text, str) else "".join(text)))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise SktrainError(f"{path} is no notebook: {type(error).__name__} at {error}.") from error
    language = document.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    if language != "python":
        raise SktrainError(f"{path} is a notebook in {language!r}; only Python can be read.")
    return found


def _plain(text, *, notebook):
    """The lines with everything that is not Python blanked."""
    lines = text.splitlines() or [""]
    if not notebook:
        return lines
    first = next((line for line in lines if line.strip()), "")
    if _FOREIGN.match(first):
        return [""] * len(lines)
    return [_line(line) for line in _joined(lines)]


def _joined(lines):
    """Shell lines that go on with a backslash take their following lines along."""
    running = False
    for line in lines:
        shell = running or bool(re.match(r"^\s*[%!]", line)) and not _TIMED.match(line)
        running = shell and line.rstrip().endswith("\\")
        yield "!" + line if shell and not re.match(r"^\s*[%!]", line) else line


def _line(line):
    indent = line[: len(line) - len(line.lstrip())]
    timed = _TIMED.match(line)
    if timed:
        return timed.group(1) + line[timed.end() :]
    if line.lstrip().startswith("%%"):
        return ""
    if _MAGIC.match(line) and not line.lstrip().startswith("%="):
        return indent + "pass" if indent else ""
    assigned = _ASSIGNED.match(line)
    return f"{assigned.group(1)}None" if assigned else line


def _parse(text, path, cell):
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        place = [str(path)] + [f"cell {cell}"] * (cell is not None)
        place += [f"line {line}"] * (line is not None)
        deep = isinstance(error, (RecursionError, MemoryError))  # how ast says that it gives up
        said = "it nests too deeply" if deep else getattr(error, "msg", error)
        raise SktrainError(
            f"{', '.join(place)}: {said}. It is no Python that can be read."
        ) from error

"""The field's own terms, and where each number comes from."""

import ast
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).parents[1]
WORDS = re.compile(  # metaphors, each of which has a standard term
    r"\b(doors?|doorways?|corridors?|guilt|guilty|lotter(?:y|ies)|poison\w*|strangers?|rooms?"
    r"|the house|ground floor|what enters|what leaves)\b|_(?:door|guilt|lottery|poison|room)s?\b",
    re.IGNORECASE,
)
SOURCES = sorted((ROOT / "sktrain").rglob("*.py"))
PROSE = [
    *SOURCES,
    *(one for folder in ("tests", "benchmarks") for one in sorted((ROOT / folder).rglob("*.py"))),
    *(one for folder in ("docs", "examples") for one in sorted((ROOT / folder).glob("*.*"))),
    *sorted(ROOT.glob("*.md")),
]
# Numbers that decide nothing: codes of classes, what a metric can be, types by their size.
PLAIN = {"CLASS_NAMES", "CONSTRAINTS", "_NULLABLE", "_PRICES"}


@pytest.mark.parametrize("path", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_standard_terms(path):
    if path.suffix in (".py", ".md", ".rst") and path != Path(__file__):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = WORDS.search(line)
            assert found is None, f"{path}:{number}: {found[0]!r} has a standard term"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_constants_say_where_they_come_from(path):
    text = path.read_text(encoding="utf-8")
    lines, body = text.splitlines(), ast.parse(text).body
    told = False  # by the comment above the constants that stand together
    for node, after in zip(body, [*body[1:], None]):
        first = node.lineno - 1
        above = lines[first - 1].strip() if first else ""
        told = above.startswith("#") or (told and bool(above))
        names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        constant = isinstance(node, ast.Assign | ast.AnnAssign) and any(
            re.fullmatch(r"_?[A-Z][A-Z0-9_]*", name) for name in names
        )
        if constant and node.value is not None and _holds_number(node.value):
            inside = any("#" in line for line in lines[first : node.end_lineno])
            below = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            assert inside or below or told or names & PLAIN, (
                f"{path}:{node.lineno}: say where this number comes from, or that it is a judgment"
            )


def _holds_number(value):
    return any(
        isinstance(one, ast.Constant) and type(one.value) in (int, float) for one in ast.walk(value)
    )

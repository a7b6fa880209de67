"""The field's own terms, and where each number comes from."""

import ast
from pathlib import Path
import re

ROOT = Path(__file__).parents[1]
WORDS = re.compile(  # metaphors, each of which has a standard term
    r"\b(doors?|doorways?|corridors?|guilt|guilty|lotter(?:y|ies)|poison\w*|strangers?|rooms?"
    r"|the house|ground floor|what enters|what leaves)\b"
    r"|_(?:door|guilty?|lottery|poison|room)s?(?![a-z])",
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


def test_standard_terms():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {hit[0]!r}"
        for path in PROSE
        if path.suffix in (".py", ".md", ".rst") and path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (hit := WORDS.search(line))
    ]
    assert not found, "say it in a standard term: " + "; ".join(found)


def test_pages_have_lines_of_100_columns():
    """Tables apart, whose rows cannot be broken; the pages of docs/ in .rst are generated."""
    long = [
        f"{path.relative_to(ROOT)}:{number}: {len(line)}"
        for path in PROSE
        if path.suffix == ".md"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 100 and not line.startswith("|")
    ]
    assert not long, "break these lines: " + "; ".join(long)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_constants_say_where_they_come_from():
    bare = [f"{path.relative_to(ROOT)}:{at}" for path in SOURCES for at in _without_a_word(path)]
    assert not bare, "say where the number comes from, or that it is a judgment: " + ", ".join(bare)


def _without_a_word(path):
    """Lines of the module's constants that hold a number and have no comment or docstring."""
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
            if not (inside or below or told or names & PLAIN):
                yield node.lineno


def _holds_number(value):
    return any(
        isinstance(one, ast.Constant) and type(one.value) in (int, float) for one in ast.walk(value)
    )

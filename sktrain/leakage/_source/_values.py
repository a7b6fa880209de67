"""What the static audit knows about a value: where it came from, which rows it holds, and which
knowledge of the future."""

import ast
from dataclasses import dataclass, field, replace
import re
from typing import Any

__all__ = ["MOST_ITEMS", "Mark", "Value", "constant", "every_turn", "joined", "line_of", "names_in"]

# of a list that is followed item by item, a judgment; rows of features are given as fewer
MOST_ITEMS = 200
# characters and items of a constant, a judgment; names of columns are far shorter
_MOST_WEIGHT = 10_000
# below int64's largest, 9.2e18; larger numbers are costly to compute with, and no count
_MOST_NUMBER = 10**18


@dataclass(frozen=True)
class Mark:
    """Something a value carries from a line on.

    Attributes
    ----------
    code : str
        ``future centred backfill forward_join whole resampled shuffled``.
    line : int
    ahead : int or str or None
        Bars ahead, as a number or as the expression in the source.
    """

    code: str
    line: int
    ahead: Any = None


@dataclass
class Value:
    """An abstract value; unknown unless something is known.

    Attributes
    ----------
    kind : str
        ``data frame groupby window stat columns list dict splitter model search scaler function
        class module part index unknown``.
    const : object
        Wrapped as a one-tuple when known.
    origins : frozenset
        Sources of the rows.
    marks : frozenset of Mark
    part : str or None
        Which rows: None means all of them.
    columns : dict
        Of frames: the columns assigned so far.
    bases : dict
        Of frames: other columns there may be, as {root: names dropped}.
    ident : tuple or None
        Of columns: (root, name).
    basis : frozenset or None
        Columns that decide the value in the same row; None when others do.
    """

    kind: str = "unknown"
    const: tuple = ()
    origins: frozenset = frozenset()
    marks: frozenset = frozenset()
    part: str | None = None
    columns: dict = field(default_factory=dict)
    bases: dict = field(default_factory=dict)
    ident: tuple | None = None
    basis: frozenset | None = frozenset()
    held: frozenset = frozenset()
    items: list | None = None
    name: str = ""
    line: int = 0
    args: dict = field(default_factory=dict)
    fitted: Any = None
    tuned: Any = None
    stopped: Any = None
    loops: frozenset = frozenset()
    reverse: bool = False
    node: Any = None
    scope: Any = None

    def but(self, **changes) -> "Value":
        """A copy with changes."""
        return replace(self, **changes)

    def marked(self, mark) -> "Value":
        """The value and its columns with one more mark."""
        columns = {
            name: column.but(marks=column.marks | {mark}) for name, column in self.columns.items()
        }
        return self.but(marks=self.marks | {mark}, columns=columns)

    @property
    def known(self) -> bool:
        return bool(self.const)

    def column(self, name) -> "Value":
        """One column of a frame."""
        if name in self.columns:
            own = self.columns[name]
            return own.but(
                part=self.part or own.part,
                marks=own.marks | self.marks,
                origins=own.origins | self.origins,
                reverse=self.reverse,
            )
        root = next(iter(self.bases), None)
        ident = None if root is None else (root, name)
        basis = frozenset() if ident is None else frozenset([ident])
        return Value(
            "data",
            origins=self.origins,
            marks=self.marks,
            part=self.part,
            ident=ident,
            basis=basis,
            reverse=self.reverse,
            loops=self.loops,
        )

    def select(self, names) -> "Value":
        """A frame of some columns."""
        return self.but(
            columns={name: self.column(name) for name in names},
            bases={},
            marks=frozenset(),
            ident=None,
        )

    def without(self, names) -> "Value":
        """A frame that lacks some columns."""
        names = frozenset(names_in(names))
        kept = {name: value for name, value in self.columns.items() if name not in names}
        return self.but(
            columns=kept, bases={root: gone | names for root, gone in self.bases.items()}
        )

    def all_marks(self) -> frozenset:
        """Marks of the value and of all its columns and items."""
        return frozenset().union(*(one.marks for one in self._within()))

    def _within(self):
        """The value, its columns and items, and theirs; once each, however often they are
        shared."""
        seen, waiting = {id(self)}, [self]
        while waiting:
            value = waiting.pop()
            yield value
            for one in [*value.columns.values(), *(value.items or [])]:
                if id(one) not in seen:
                    seen.add(id(one))
                    waiting.append(one)

    def holds(self, ident) -> bool:
        """Whether a column is among the values."""
        if ident is None:
            return False
        root, name = ident
        return any(
            ident == one.ident
            or ident in one.held
            or (root in one.bases and name not in one.bases[root] and name not in one.columns)
            for one in self._within()
        )


def every_turn(value, names) -> Value:
    """What a list collects in a loop: windows ``a[i - 60:i]`` of all turns are the rows of ``a``,
    no part of them."""
    if not value.part or not names:
        return value
    turning = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
    kept = [
        one
        for one in value.part.split("/")
        if one.startswith(("name:", "mask:", "rows:", "some:")) or not turning.search(one)
    ]
    return value.but(part="/".join(kept) or None)


def names_in(const) -> list:
    """Names in a constant: of one column, of several, or of groups of them."""
    if isinstance(const, (list, tuple, set, frozenset)):
        return [name for one in const for name in names_in(one)]
    return [const]


def constant(const) -> Value:
    """A known constant; unknown when it is so large that working with it would take long."""
    return Value("const", const=(const,)) if _weight(const) <= _MOST_WEIGHT else Value()


def _weight(const):
    if isinstance(const, (str, bytes)):
        return len(const)
    if isinstance(const, int) and abs(const) > _MOST_NUMBER:
        return _MOST_WEIGHT + 1
    # made of constants that were weighed before
    if isinstance(const, (list, tuple, set, frozenset)):
        return 1 + sum(map(_weight, const))
    return 1


def joined(*values, kind="data") -> Value:
    """What is known of something made from several values."""
    values = tuple(value for value in values if value is not None)
    part = next((value.part for value in values if value.part), None)
    bases = (
        None
        if any(value.basis is None for value in values)
        else frozenset().union(*(value.basis for value in values))
    )
    held = frozenset().union(*(value.held | ({value.ident} - {None}) for value in values))
    held |= frozenset(one.ident for value in values for one in value.columns.values() if one.ident)
    return Value(
        kind,
        origins=frozenset().union(*(value.origins for value in values)),
        marks=frozenset().union(*(value.all_marks() for value in values)),
        part=part,
        basis=bases,
        held=held,
        tuned=next((value.tuned for value in values if value.tuned is not None), None),
        loops=frozenset().union(*(value.loops for value in values)),
    )


def line_of(node) -> int:
    """Where the called name stands: in a chain of methods not where the chain begins."""
    func = getattr(node, "func", None)
    last = func.end_lineno if isinstance(func, ast.Attribute) else None
    return node.lineno if last is None else last

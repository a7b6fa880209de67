"""Abstract values of methods of frames, series and arrays."""

import ast
from typing import Any

from ._frames import DATA
from ._known import ELEMENTWISE, KEEPS, PREDICTS, STATISTICS, TIME_METHODS, WINDOWS
from ._values import MOST_ITEMS, Mark, Value, constant, every_turn, joined, line_of, names_in

__all__ = ["call_method", "merged"]

_FILLS_BACK = ("bfill", "backfill")


def call_method(walk, node, owner, name):
    """``owner.name(...)``."""
    positional, keywords = walk.arguments(node)
    if owner.kind in ("model", "search", "scaler", "sampler", "benign", "splitter") or name in (
        "fit",
        "fit_resample",
        *PREDICTS,
    ):
        return walk.events.method(walk, node, owner, name, positional, keywords)
    if owner.kind in ("list", "dict", "set"):
        return _container_method(walk, node, owner, name, positional)
    if owner.kind == "function":
        return joined(*positional, *keywords.values())
    if owner.kind == "columns":
        return _columns_method(owner, name, positional)
    if owner.known and isinstance(owner.const[0], str):
        return _text_method(owner, name, positional)
    result = _data_method(walk, node, owner, name, positional, keywords)
    inplace = keywords.get("inplace")
    if inplace is not None and inplace.known and inplace.const[0] is True:
        walk.rebind(node.func.value, result)
        return Value()
    if name in ("pop", "insert"):
        return _in_place(walk, node, owner, name, positional)
    return result


def _in_place(walk, node, owner, name, positional):
    key = positional[0] if positional else Value()
    if name == "pop" and key.known:
        walk.rebind(node.func.value, owner.without(key.const[0]))
        return owner.column(names_in(key.const[0])[0]) if names_in(key.const[0]) else Value()
    if name == "insert" and len(positional) == 3 and positional[1].known:
        for name in names_in(positional[1].const[0]):
            walk.assign_column(node.func.value, owner, name, positional[2])
    return Value()


def _container_method(walk, node, owner, name, positional):
    if name in ("append", "add", "extend") and positional:
        more = positional[0].items if name == "extend" and positional[0].items else [positional[0]]
        more = [every_turn(one, walk.turning) for one in more]
        items = [*(owner.items or []), *more]
        before: Any = owner.const[0] if owner.known else None if owner.items else ()
        known = before is not None and all(one.known for one in more)
        const = constant([*before, *(one.const[0] for one in more)]).const if known else ()
        together = joined(owner, *more)
        walk.rebind(
            node.func.value, together.but(kind=owner.kind, items=items[-MOST_ITEMS:], const=const)
        )
    if name == "remove" and positional and positional[0].known and owner.known:
        gone = positional[0].const[0]
        kept = [one for one in owner.items or [] if not (one.known and one.const[0] == gone)]
        walk.rebind(
            node.func.value,
            owner.but(items=kept, const=([one for one in owner.const[0] if one != gone],)),
        )
    if name == "items" and owner.kind == "dict":
        return Value(
            "list",
            items=[
                Value("tuple", items=[Value("const", const=(key,)), one])
                for key, one in owner.columns.items()
            ],
            loops=owner.loops,
        )
    if name in ("values", "keys", "copy", "get"):
        return (
            owner
            if name == "copy"
            else joined(*(owner.items or [])).but(kind="list", items=owner.items)
            if name == "values"
            else Value()
        )
    return Value()


def _columns_method(owner, name, positional):
    gone = positional[0].const[0] if positional and positional[0].known else None
    if name in ("drop", "difference", "remove") and gone is not None:
        return owner.but(scope=owner.scope.without(gone))
    return owner


def _text_method(owner, name, positional):
    text = owner.const[0]
    known = [one.const[0] for one in positional if one.known]
    wide = name == "format" and ":" in text  # a width may ask for any number of blanks
    if len(known) == len(positional) and not wide and name in (
        "startswith",
        "endswith",
        "lower",
        "upper",
        "strip",
        "format",
        "replace",
        "split",
    ):
        try:
            return constant(getattr(text, name)(*known))
        except (TypeError, ValueError, IndexError, KeyError):
            return Value()
    return Value()


def _data_method(walk, node, owner, name, positional, keywords):
    if name in TIME_METHODS:
        walk.events.timed(owner)
    if name in ("set_index", "sort_values", "sort", "groupby"):
        for key in _keys(positional, keywords):
            walk.time_column(key, owner)
    first = positional[0] if positional else keywords.get("periods", Value("const", const=(1,)))
    if name in ("shift", "pct_change", "diff") and owner.kind in DATA:
        return _shifted(walk, node, owner, name, first)
    if name in WINDOWS and owner.kind in DATA:
        return _window(node, owner, name, first, keywords)
    if owner.kind == "window":
        return owner.but(kind="data", basis=None, ident=None, columns={})
    for read in (_filled_method, _whole_method, _column_method, _row_method):
        found = read(walk, node, owner, name, positional, keywords)
        if found is not None:
            return found
    return _other(walk, owner, name, positional, keywords)


def _filled_method(walk, node, owner, name, positional, keywords):
    """Gaps filled from later rows."""
    method = keywords.get("method", Value())
    if name in _FILLS_BACK or (
        name in ("fillna", "reindex", "reindex_like", "asfreq")
        and _says(method, (*_FILLS_BACK, "nearest"))
    ):
        walk.events.timed(owner)
        return owner.marked(Mark("backfill", line_of(node)))
    if name == "interpolate" and not _says(method, ("pad", "ffill")):
        return owner.marked(Mark("backfill", line_of(node))) if owner.kind in DATA else owner
    return None


def _whole_method(walk, node, owner, name, positional, keywords):
    """What is made of all rows together: statistics, groups, functions, ranks, samples."""
    if name in STATISTICS and owner.kind in DATA:
        return _statistic(node, owner, name, keywords)
    if name == "groupby":
        by = node.args[0] if node.args else node
        return owner.but(kind="groupby", args={"by": ast.unparse(by)})
    if name == "resample":
        return owner.but(kind="groupby", args={"by": "date"})
    if name in ("transform", "apply", "pipe", "agg", "aggregate", "map", "applymap"):
        return _applied(walk, node, owner, name, positional, keywords)
    alone = owner.part is None and not _across(keywords)
    if name == "rank" and owner.kind in ("data", "frame") and alone:
        return walk.events.whole(owner, line_of(node), "ranks")
    if name == "sample" and owner.kind in DATA:
        return walk.events.sampled(owner, node, positional, keywords)
    return None


def _column_method(walk, node, owner, name, positional, keywords):
    """Columns added, chosen, joined, dropped or named anew."""
    first = positional[0] if positional else Value()
    if name in ("assign", "with_columns"):
        named = {one.name: one for one in positional if one.name and one.kind == "data"}
        return _assigned(walk, owner, named | keywords)
    if name == "alias" and first.known:  # the name of a column in polars
        return owner.but(kind="data", name=first.const[0])
    if name == "select" and owner.kind == "frame" and _keys([*positional], {}):
        return owner.select([key for one in positional for key in _keys([one], {})])
    if name in ("join", "merge", "combine_first"):
        return merged(owner, first)
    if name == "drop":
        return _dropped(walk, node, owner, positional, keywords)
    if name == "filter" and owner.kind == "frame":
        names = keywords.get("items", first)
        if names.known and isinstance(names.const[0], list):
            return owner.select(names.const[0])
        return _filtered(owner, keywords)
    if name == "rename" and owner.kind == "frame":
        return _renamed(owner, keywords.get("columns", first))
    return None


def _row_method(walk, node, owner, name, positional, keywords):
    """Rows put in another order, cut off, or indexed anew."""
    if name == "sort_index" and _says(keywords.get("ascending", Value()), (False,)):
        return owner.but(reverse=not owner.reverse)
    if name in ("head", "tail", "truncate", "query", "last", "first"):
        if not _is_split(node):
            return owner
        return owner.but(part=owner.part or f"{name}({', '.join(map(ast.unparse, node.args))})")
    return owner if name in ("set_index", "reset_index") else None


def _keys(positional, keywords):
    """Names of the columns that ``sort_values``, ``set_index`` or ``groupby`` are asked for."""
    given = [*positional[:1], *(keywords[one] for one in ("by", "keys") if one in keywords)]
    found = [one.const[0] for one in given if one.known]
    return names_in(found)


def _is_split(node):
    return bool(node.args or node.keywords) and not all(
        isinstance(arg, ast.Constant) and isinstance(arg.value, int) and arg.value < 50
        for arg in node.args
    )


def _other(walk, owner, name, positional, keywords):
    """Methods that keep a frame, or make one value of everything."""
    stats = [
        one
        for one in [*positional, *keywords.values()]
        if one.kind in ("stat", "list") and one.part is None and one.origins & owner.origins
    ]
    others = [one for one in [*positional, *keywords.values()] if one.kind in ("data", "frame")]
    out = owner
    if owner.kind == "groupby":
        whole = owner.part is None and name in ("cumcount", "ngroup", "size")
        return owner.but(
            kind="data" if owner.columns == {} or whole else "frame", ident=None, basis=None
        )
    if owner.kind == "data":
        together = joined(owner, *others)
        exact = name in ELEMENTWISE or name in KEEPS
        out = together.but(
            ident=owner.ident
            if name in ("copy", "astype", "to_numpy", "ravel", "squeeze", "dropna", "reshape")
            else None,
            reverse=owner.reverse,
            basis=together.basis if exact else None,
        )
    elif owner.kind == "frame" and others:
        out = owner.but(marks=owner.marks | frozenset().union(*(one.all_marks() for one in others)))
    if stats and name in (
        "sub",
        "div",
        "add",
        "mul",
        "truediv",
        "fillna",
        "clip",
        "subtract",
        "divide",
    ):
        names = [one.name for one in stats if one.kind == "stat"]
        if names:
            return walk.events.whole(out, stats[0].line or 0, names[0])
    if owner.kind in ("data", "frame", "unknown", "stat"):
        return out
    return joined(owner, *positional, *keywords.values())


def _says(value, options):
    return value.known and value.const[0] in options


def _across(keywords):
    """Whether something is taken within rows, not along time."""
    return _says(keywords.get("axis", Value()), (1, "columns"))


def _shifted(walk, node, owner, name, by):
    """Move in time: marks of the future that a later shift makes up for are dropped."""
    ahead = _ahead(by)
    if owner.reverse and ahead is None:
        ahead = by.const[0] if by.known else ast.unparse(node)
    back = (
        None
        if ahead is not None
        else by.const[0]
        if by.known
        else by.name or (ast.unparse(node.args[0]) if node.args else None)
    )

    def moved(one):
        marks = one.marks if ahead is None else one.marks | {Mark("future", line_of(node), ahead)}
        if back is not None and name == "shift":
            marks = frozenset(mark for mark in marks if not _made_up(mark, back))
        keep = one.basis if name != "shift" else None
        return one.but(
            marks=marks,
            columns={key: moved(column) for key, column in one.columns.items()},
            ident=None,
            basis=None if ahead is not None else keep and None,
        )

    kind = (
        "data"
        if owner.kind == "groupby" and not owner.columns
        else "frame"
        if owner.kind == "groupby"
        else owner.kind
    )
    return moved(owner).but(kind="data" if kind in ("unknown", "stat") else kind)


def _ahead(by):
    """Bars ahead of a shift, None when it looks back."""
    if by.known and isinstance(by.const[0], (int, float)):
        return -by.const[0] if by.const[0] < 0 else None
    return by.name if by.kind == "negative" else None


def _made_up(mark, back):
    if mark.code not in ("future", "centred"):
        return False
    if isinstance(mark.ahead, (int, float)) and isinstance(back, (int, float)):
        return back >= mark.ahead
    return mark.ahead is not None and mark.ahead == back


def _window(node, owner, name, first, keywords):
    marks = owner.marks
    if name == "rolling" and _says(keywords.get("center", Value()), (True,)):
        size = first.const[0] if first.known and isinstance(first.const[0], int) else None
        marks = marks | {Mark("centred", line_of(node), None if size is None else size // 2)}
    size = keywords.get("window", first)
    if owner.reverse:
        marks = marks | {
            Mark(
                "future",
                line_of(node),
                size.const[0] if size.known and isinstance(size.const[0], int) else None,
            )
        }
    return owner.but(
        kind="window", marks=owner.all_marks() | marks, basis=None, ident=None, columns={}, bases={}
    )


def _statistic(node, owner, name, keywords):
    if _across(keywords) or any(
        isinstance(arg, ast.Constant) and arg.value == 1
        for arg in node.args
        if name not in ("quantile", "percentile")
    ):
        return joined(owner).but(kind="data")
    if owner.kind == "groupby":
        return joined(owner).but(kind="data", basis=None)
    return Value(
        "stat",
        origins=owner.origins,
        part=owner.part,
        name=name,
        line=line_of(node),
        basis=None,
        tuned=owner.tuned,
        loops=owner.loops,
    )


def _applied(walk, node, owner, name, positional, keywords):
    function = positional[0] if positional else Value()
    inner = (
        owner.but(kind="frame" if owner.columns or owner.bases else "data")
        if owner.kind == "groupby"
        else owner
    )
    if function.kind == "function":
        one = (
            inner if name in ("pipe", "transform", "apply") or owner.kind == "groupby" else Value()
        )
        rows = _across(keywords)  # row by row: each call sees one row
        return (
            walk.follow(function, [Value() if rows else one, *positional[1:]], {})
            if not rows
            else joined(owner, walk.follow(function, [Value()], {}))
        )
    by_time = owner.kind == "groupby" and any(
        word in owner.args.get("by", "").lower()
        for word in ("date", "time", "level=1", "day", "month")
    )
    if (
        owner.kind == "groupby"
        and _says(function, tuple(STATISTICS))
        and name == "transform"
        and not by_time
        and owner.part is None
    ):
        return walk.events.whole(
            inner.but(kind="data", basis=None, ident=None), line_of(node), function.const[0]
        )
    return joined(inner, *positional).but(kind=inner.kind, columns=inner.columns, bases=inner.bases)


def _assigned(walk, owner, keywords):
    out = owner if owner.kind == "frame" else owner.but(kind="frame")
    for name, value in keywords.items():
        if value.kind == "function":
            value = walk.follow(value, [out], {})
        root = next(iter(out.bases), ("made", name))
        column = value.but(
            kind="data",
            ident=(root, name),
            basis=frozenset([(root, name)]),
            columns={},
            bases={},
            part=None,
        )
        walk.events.assigned(name, column)
        out = out.but(columns={**out.columns, name: column})
    return out


def merged(*frames):
    """Frames side by side."""
    out = joined(*frames).but(
        kind="frame",
        marks=frozenset().union(*(one.marks for one in frames if one.kind == "frame")),
        held=frozenset(),
    )
    columns, bases = dict[str, Any](), dict[str, frozenset]()
    for place, one in enumerate(frames):
        bases |= one.bases
        columns |= {
            name: column.but(marks=column.marks | one.marks) for name, column in one.columns.items()
        }
        if one.kind == "data":
            columns[one.ident[1] if one.ident else f"\0{place}"] = one
    return out.but(columns=columns, bases=bases)


def _dropped(walk, node, owner, positional, keywords):
    gone = keywords.get("columns", keywords.get("labels", positional[0] if positional else Value()))
    by_rows = "index" in keywords or (
        "columns" not in keywords
        and not _across(keywords)
        and not any(_says(one, (1,)) for one in positional[1:])
    )
    if by_rows:
        return owner.but(part=owner.part or f"drop:{ast.unparse(node)}")
    if owner.kind != "frame":
        return owner
    if gone.known:
        return owner.without(gone.const[0])
    if gone.items:
        return owner.without([one.const[0] for one in gone.items if one.known])
    return owner.but(columns={}, bases={})


def _filtered(owner, keywords):
    """``df.filter(like=...)``: columns that do not match are gone; what is not listed is
    unknown."""
    like = keywords.get("like", keywords.get("regex", Value()))
    word = like.const[0] if like.known and isinstance(like.const[0], str) else None
    kept = (
        {}
        if word is None
        else {
            name: column
            for name, column in owner.columns.items()
            if isinstance(name, str) and word.strip("^$") in name
        }
    )
    return owner.but(columns=kept, bases={})


def _renamed(owner, names):
    if names.kind != "dict" or not names.columns:
        return owner
    known = {name: value.const[0] for name, value in names.columns.items() if value.known}
    new = {name: to for name, to in known.items() if isinstance(to, str)}
    columns = {
        new.get(name, name): owner.column(name)
        for name in [*owner.columns, *(old for old in new if old not in owner.columns)]
    }
    return owner.without(list(new)).but(columns=columns)

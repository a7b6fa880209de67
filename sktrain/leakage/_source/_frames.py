"""Abstract values of attributes and subscripts of frames, series and arrays."""

import ast

from ._values import Mark, Value, line_of

__all__ = ["DATA", "FEW_ROWS", "attribute", "chosen_columns", "item"]

# a judgment: a slice that leaves out fewer rows off an end is a warm-up or an embargo, no split
FEW_ROWS = 50
DATA = ("data", "frame", "unknown", "stat", "window", "groupby", "tuple", "list")


def attribute(walk, node, owner):
    """``owner.name`` that is not called."""
    name = node.attr
    if owner.kind == "search" and name in ("best_estimator_", "best_params_", "best_score_"):
        if name == "best_score_" and owner.fitted is not None:
            walk.events.reported(owner, line_of(node))
        kind = "model" if name == "best_estimator_" else "dict"
        return Value(kind, name=name, tuned=owner.fitted, fitted=owner.fitted, line=line_of(node))
    if owner.kind in ("model", "search", "scaler", "sampler", "benign"):
        return owner.but(kind="model") if name.endswith("_") else Value()
    if name == "columns" and owner.kind == "frame":
        return Value("columns", scope=owner, origins=owner.origins)
    if name in ("loc", "iloc", "values", "at", "iat", "T", "str", "dt", "cat", "array", "flat"):
        return owner
    if name in ("index", "shape", "size", "dtypes", "dtype", "ndim", "empty"):
        return Value("unknown", origins=owner.origins, basis=None, loops=owner.loops)
    if owner.kind == "frame":
        walk.time_column(name, owner)
        return owner.column(name)
    return owner.but(ident=None) if owner.origins else Value(loops=owner.loops)


def item(walk, node, owner):
    """``owner[...]``."""
    key = node.slice
    if owner.kind in ("list", "tuple", "dict"):
        return _of_container(walk, owner, key)
    if owner.kind == "columns":
        return _of_columns(owner, key)
    indexer = node.value.attr if isinstance(node.value, ast.Attribute) else ""
    if isinstance(key, ast.Tuple) and key.elts:
        rows = _rows(walk, owner, key.elts[0], indexer)
        return (
            _columns(walk, rows, key.elts[1], indexer)
            if len(key.elts) == 2 and rows.kind == "frame"
            else rows
        )
    if isinstance(key, ast.Slice) or indexer in ("loc", "iloc"):
        return _rows(walk, owner, key, indexer)
    value = walk.value(key)
    if value.kind == "index":
        return _indexed(owner, value) if owner.kind in DATA else owner
    names = _names(value)
    if names is not None and owner.kind in ("frame", "groupby", "unknown"):
        return _named(
            walk, owner, names, one=isinstance(value.const[0] if value.known else None, str)
        )
    if value.kind == "columns":
        return owner.but(columns=_restricted(owner, value), bases=value.scope.bases)
    if value.origins or isinstance(key, (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp)):
        return _masked(walk, owner, key, value)
    if value.known and isinstance(value.const[0], int):
        return owner.but(kind="data" if owner.kind == "frame" else owner.kind, ident=None)
    return _loosely(owner, key)


def _of_container(walk, owner, key):
    value = walk.value(key)
    if (
        value.known
        and isinstance(value.const[0], int)
        and owner.items
        and abs(value.const[0]) < len(owner.items)
    ):
        return owner.items[value.const[0]]
    if value.known and isinstance(value.const[0], str) and value.const[0] in owner.columns:
        return owner.columns[value.const[0]]
    if isinstance(key, ast.Slice) and owner.known:
        bounds = [None if part is None else walk.value(part) for part in (key.lower, key.upper)]
        if all(bound is None or bound.known for bound in bounds):
            low, high = (None if bound is None else bound.const[0] for bound in bounds)
            return owner.but(items=(owner.items or [])[low:high], const=(owner.const[0][low:high],))
    return (
        owner.but(kind="data", const=(), items=None) if owner.origins else Value(loops=owner.loops)
    )


def _of_columns(owner, key):
    """``df.columns[:-1]`` leaves out the column assigned last."""
    frame = owner.scope
    if (
        isinstance(key, ast.Slice)
        and key.upper is not None
        and ast.unparse(key.upper) == "-1"
        and frame.columns
    ):
        return owner.but(scope=frame.without([list(frame.columns)[-1]]))
    if isinstance(key, ast.UnaryOp) and frame.columns and ast.unparse(key) == "-1":
        return Value("const", const=(list(frame.columns)[-1],))
    return owner


def _names(value):
    if value.known and isinstance(value.const[0], str):
        return [value.const[0]]
    if (
        value.known
        and isinstance(value.const[0], (list, tuple))
        and all(isinstance(one, str) for one in value.const[0])
    ):
        return list(value.const[0])
    if (
        value.kind == "list"
        and value.items
        and any(one.known or one.kind == "columns" for one in value.items)
    ):
        return value.items
    return None


def _named(walk, owner, names, *, one):
    plain = [name.const[0] if isinstance(name, Value) and name.known else name for name in names]
    for name in plain:
        walk.time_column(name, owner)
    if owner.kind == "unknown":
        return owner.but(ident=None)
    if one:
        found = owner.column(plain[0])
        return found.but(kind="groupby", args=owner.args) if owner.kind == "groupby" else found
    wide = [name for name in plain if isinstance(name, Value) and name.kind == "columns"]
    out = owner.select([name for name in plain if isinstance(name, str)])
    for columns in wide:
        out = out.but(
            columns={**_restricted(owner, columns), **out.columns}, bases=columns.scope.bases
        )
    return out


def _restricted(owner, columns):
    return {name: owner.column(name) for name in columns.scope.columns}


def chosen_columns(walk, generator, source):
    """``[c for c in df.columns if ...]``: columns whose condition is known to fail are left out,
    and so are unknown outcomes."""
    frame = source.scope
    named = {
        node.value
        for test in generator.ifs
        for node in ast.walk(test)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for test in generator.ifs:  # names in lists the condition asks for
        for node in ast.walk(test):
            if isinstance(node, ast.Name) and node.id != generator.target.id:
                const = walk.env.get(node.id, Value())
                named |= (
                    set(map(str, const.const[0]))
                    if const.known and isinstance(const.const[0], (list, tuple, set))
                    else set()
                )
    gone = set()
    outer, walk.env = walk.env, dict(walk.env)
    for name in set(frame.columns) | named:
        walk.env[generator.target.id] = Value("const", const=(name,))
        found = [walk.value(test) for test in generator.ifs]
        if not all(one.known and one.const[0] for one in found):
            gone.add(name)
    walk.env[generator.target.id] = Value("const", const=("\0any",))
    positive = generator.ifs and not all(
        one.known and one.const[0] for one in map(walk.value, generator.ifs)
    )
    walk.env = outer
    rest = frame.without(gone)
    return source.but(scope=rest.but(bases={}) if positive else rest)


# -- rows ------------------------------------------------------------------------------------------


def _rows(walk, owner, key, indexer):
    if isinstance(key, ast.Slice):
        return _slice(walk, owner, key)
    value = walk.value(key)
    if value.kind == "index":
        return _indexed(owner, value)
    if isinstance(key, (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp)) or value.origins:
        return _masked(walk, owner, key, value)
    if value.known and isinstance(value.const[0], str) and indexer == "loc":
        return owner.but(part=owner.part or f"rows:{value.const[0]}")
    if value.known:
        return owner.but(kind="stat") if owner.kind == "data" else owner
    return _loosely(owner, key)


def _indexed(owner, index):
    """Rows by an index that is known: folds, ``slice(a, b)``."""
    return owner if index.part is None else owner.but(part=index.part)


def _loosely(owner, key):
    """Some rows, by something unknown: a part with the name of what chose it."""
    part = owner.part or f"some:{ast.unparse(key)}"
    return owner.but(part=part) if owner.kind in DATA else owner


def _slice(walk, owner, key):
    if owner.kind not in DATA:
        return owner
    low, high, step = (
        None if part is None else walk.value(part) for part in (key.lower, key.upper, key.step)
    )
    if step is not None and step.known and step.const[0] == -1:
        return owner.but(reverse=not owner.reverse)
    bounds = [bound for bound in (low, high) if bound is not None]
    if not bounds or all(
        bound.known and isinstance(bound.const[0], int) and abs(bound.const[0]) < FEW_ROWS
        for bound in bounds
    ):
        return owner
    ends = ("" if end is None else ast.unparse(end) for end in (key.lower, key.upper))
    text = ":".join(ends)
    return owner.but(part=f"{owner.part}/{text}" if owner.part else text)


def _masked(walk, owner, key, value):
    if owner.kind not in DATA:
        return owner
    shuffled = (
        {Mark("shuffled", mark.line) for mark in value.all_marks() if mark.code == "random"}
        if owner.part is None
        else set()
    )
    part = owner.part or "mask:" + ast.unparse(key).replace("~", "not ")
    return owner.but(part=part, marks=owner.marks | shuffled)


def _columns(walk, owner, key, indexer):
    if isinstance(key, ast.Slice):
        if key.upper is not None and ast.unparse(key.upper) == "-1" and key.lower is None:
            last = list(owner.columns)[-1:]
            return owner.without(last).but(bases={} if not last else owner.bases)
        return owner
    value = walk.value(key)
    if value.known and value.const[0] == -1:
        last = list(owner.columns)[-1:]
        return (
            owner.column(last[0])
            if last
            else Value("data", origins=owner.origins, part=owner.part, basis=None)
        )
    if value.known and isinstance(value.const[0], int):
        return Value("data", origins=owner.origins, part=owner.part, marks=owner.marks, basis=None)
    names = _names(value)
    if names is not None:
        return _named(walk, owner, names, one=value.known and isinstance(value.const[0], str))
    if value.kind == "columns":
        return owner.but(columns=_restricted(owner, value), bases=value.scope.bases)
    return owner.but(columns={}, bases={})

"""Abstract values of expressions. Calls are left to the interpreter."""

import ast
from typing import Any

from . import _frames as frames
from ._known import TRAIN_NAMES
from ._parts import InterpreterParts
from ._values import MOST_ITEMS, Value, constant, every_turn, joined

__all__ = ["Expressions", "item_of"]

_MODULES = {
    "np",
    "pd",
    "numpy",
    "pandas",
    "torch",
    "scipy",
    "sklearn",
    "plt",
    "xr",
    "pl",
}  # what star imports and hidden cells bring


class Expressions(InterpreterParts):
    """Mixin of ``Interpreter``."""

    def value(self, node):
        self.steps += 1
        handler = getattr(self, "of_" + type(node).__name__, None)
        if handler is not None:
            return handler(node)
        children = [
            self.value(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
        ]
        return joined(*children) if children else Value()

    def of_Constant(self, node):
        return constant(node.value)

    def of_Name(self, node):
        found = self.env.get(node.id)
        if found is not None:
            return found
        if node.id in _MODULES:
            return Value("module", name=node.id)
        if TRAIN_NAMES.search(node.id):
            return self.named(node.id, Value("unknown", name=node.id))
        return Value("unknown", name=node.id)

    def of_NamedExpr(self, node):
        value = self.value(node.value)
        self.assign(node.target, value)
        return value

    def of_JoinedStr(self, node):
        parts = [
            self.value(part.value) if isinstance(part, ast.FormattedValue) else self.value(part)
            for part in node.values
        ]
        if all(part.known for part in parts):
            return constant("".join(str(part.const[0]) for part in parts))
        return Value("const", const=(ast.unparse(node),))

    def of_Tuple(self, node):
        return self._sequence(node, "tuple")

    def of_List(self, node):
        return self._sequence(node, "list")

    def of_Set(self, node):
        return self._sequence(node, "set")

    def _sequence(self, node, kind):
        items = list[Value]()
        for one in node.elts:
            value = self.value(one.value if isinstance(one, ast.Starred) else one)
            items += (value.items or [value]) if isinstance(one, ast.Starred) else [value]
        known = items and all(item.known for item in items)
        if len(items) > max(MOST_ITEMS, len(node.elts)):  # stars that double and double
            items, known = items[-MOST_ITEMS:], False
        several = tuple if kind == "tuple" else list
        const = constant(several(item.const[0] for item in items)).const if known else ()
        return joined(*items).but(kind=kind, items=items, const=const)

    def of_Dict(self, node):
        columns, items = {}, []
        for key, one in zip(node.keys, node.values):
            value = self.value(one)
            items.append(value)
            name = self.value(key) if key is not None else Value()
            if name.known and isinstance(name.const[0], str):
                columns[name.const[0]] = value
            elif key is None and value.kind == "dict":
                columns.update(value.columns)
        return joined(*items).but(kind="dict", columns=columns, items=items)

    def of_Lambda(self, node):
        return Value("function", node=node, scope=self.env)

    def of_IfExp(self, node):
        self.value(node.test)
        return joined(self.value(node.body), self.value(node.orelse))

    def of_Compare(self, node):
        parts = [self.value(node.left), *map(self.value, node.comparators)]
        if all(part.known for part in parts) and len(parts) == 2:
            return _compared(node.ops[0], *(part.const[0] for part in parts))
        return joined(*parts)

    def of_BoolOp(self, node):
        parts = [self.value(one) for one in node.values]
        if all(part.known for part in parts):
            consts = [bool(part.const[0]) for part in parts]
            return Value(
                "const", const=(all(consts) if isinstance(node.op, ast.And) else any(consts),)
            )
        return joined(*parts)

    def of_UnaryOp(self, node):
        value = self.value(node.operand)
        if value.known and isinstance(value.const[0], (int, float)):
            number = value.const[0]
            result = (
                -number
                if isinstance(node.op, ast.USub)
                else (not number)
                if isinstance(node.op, ast.Not)
                else number
            )
            return value.but(const=(result,))
        if isinstance(node.op, ast.USub):
            return value.but(
                const=(),
                kind=value.kind if value.origins else "negative",
                name=ast.unparse(node.operand),
            )
        return value

    def of_BinOp(self, node):
        return self.binary(node, self.value(node.left), self.value(node.right))

    def binary(self, node, left, right):
        if left.known and right.known:
            found = _arithmetic(node.op, left.const[0], right.const[0])
            if found is not None:
                return constant(found).but(loops=left.loops | right.loops)
        if (
            isinstance(node.op, ast.Add)
            and left.kind in ("list", "columns")
            and right.kind in ("list", "columns")
        ):
            items = [*(left.items or []), *(right.items or [])]
            return joined(left, right).but(kind="list", items=items[-MOST_ITEMS:])
        if isinstance(node.op, ast.Mult):
            self.events.multiplied((left, node.left), (right, node.right))
        result = joined(left, right)
        for one in (left, right):
            if one.kind == "negative" and not result.origins:
                return Value("negative", name=ast.unparse(node), loops=result.loops)
        if isinstance(node.op, ast.BitOr):
            return result.but(kind="data")
        for stat, data in ((left, right), (right, left)):
            if (
                stat.kind == "stat"
                and stat.part is None
                and data.kind in ("data", "frame")
                and stat.origins & data.origins
            ):
                result = self.events.whole(result, node.lineno, stat.name)
        for one in (left, right):  # arithmetic keeps a frame a frame
            if one.kind == "frame":
                columns = {
                    name: column.but(marks=column.marks | result.marks)
                    for name, column in one.columns.items()
                }
                return one.but(columns=columns, marks=result.marks, part=result.part)
        return (
            result
            if {left.kind, right.kind} & {"data", "window", "index"} or result.origins
            else result.but(kind="stat" if "stat" in (left.kind, right.kind) else "unknown")
        )

    def of_Attribute(self, node):
        owner = self.value(node.value)
        if owner.kind == "instance":
            return owner.scope.get(node.attr) or self.method(owner, node.attr)
        if owner.kind in ("module", "library"):
            return Value("library", name=node.attr)
        return frames.attribute(self, node, owner)

    def method(self, owner, name):
        node = self.env.get(owner.name)
        for item in getattr(getattr(node, "node", None), "body", []):
            if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and item.name == name:
                return Value("function", node=item, scope=self.env, args={"self": owner})
        return Value()

    def of_Subscript(self, node):
        return frames.item(self, node, self.value(node.value))

    def of_ListComp(self, node):
        return self._comprehension(node, node.elt, "list")

    def of_SetComp(self, node):
        return self._comprehension(node, node.elt, "set")

    def of_GeneratorExp(self, node):
        return self._comprehension(node, node.elt, "list")

    def of_DictComp(self, node):
        found = self._comprehension(node, node.value, "dict", node.key)
        return found

    def _comprehension(self, node, element, kind, key=None):
        first = node.generators[0]
        source = self.value(first.iter)
        if (
            source.kind == "columns"
            and isinstance(first.target, ast.Name)
            and isinstance(element, ast.Name)
        ):
            return frames.chosen_columns(self, first, source)
        outer, self.env = self.env, dict(self.env)
        items, keys = [], []

        def body(rest=tuple(node.generators[1:])):
            if not all(
                _maybe(self.value(test))
                for test in node.generators[len(node.generators) - len(rest) - 1].ifs
            ):
                return
            if rest:
                self.loop(node, rest[0].target, rest[0].iter, lambda: body(rest[1:]))
                return
            if key is not None:
                keys.append(self.value(key))
            items.append(every_turn(self.value(element), self.turning))

        self.loop(node, first.target, first.iter, body)
        self.env = outer
        if kind == "dict":
            columns = {name.const[0]: value for name, value in zip(keys, items) if name.known}
            return joined(*items).but(kind="dict", columns=columns, items=items)
        const = (
            ([item.const[0] for item in items],)
            if items and all(item.known for item in items) and source.known
            else ()
        )
        return joined(*items).but(kind="list", items=items, const=const)

    def of_Await(self, node):
        return self.value(node.value)


def item_of(values):
    """What an item of an unknown iterable is."""
    if values.kind == "folds":
        pair = [
            Value("index", part=f"{values.line}:{side}", origins=values.origins)
            for side in ("train", "test")
        ]
        return Value("tuple", items=pair)
    if values.kind in ("enumerate", "folds_numbered"):
        return Value("tuple", items=[Value(), item_of(values.args["of"])])
    if values.kind == "zip":
        return Value("tuple", items=[item_of(one) for one in values.items])
    if values.kind == "columns":
        return Value("unknown")
    if values.kind in ("list", "tuple") and values.items:
        return joined(*values.items)
    return (
        values.but(kind="data", columns={}, bases={}, const=(), items=None)
        if values.origins
        else Value(loops=values.loops)
    )


def _maybe(value):
    return not value.known or bool(value.const[0])


def _arithmetic(op, left, right):
    plain: Any = (int, float, str, list, tuple)
    if not isinstance(left, plain) or not isinstance(right, plain):
        return None
    try:
        if isinstance(op, ast.Add):
            return left + right
        if isinstance(op, ast.Sub):
            return left - right
        if (
            isinstance(op, ast.Mult)
            and not isinstance(left, (str, list, tuple))
            and not isinstance(right, (str, list, tuple))
        ):
            return left * right
        if isinstance(op, ast.FloorDiv):
            return left // right
        if isinstance(op, ast.Div):
            return left / right
    except (TypeError, ZeroDivisionError, OverflowError):
        return None
    return None


def _compared(op, left, right):
    try:
        found = {
            ast.Eq: lambda: left == right,
            ast.NotEq: lambda: left != right,
            ast.In: lambda: left in right,
            ast.NotIn: lambda: left not in right,
            ast.Lt: lambda: left < right,
            ast.Gt: lambda: left > right,
            ast.LtE: lambda: left <= right,
            ast.GtE: lambda: left >= right,
        }.get(type(op))
        return Value() if found is None else Value("const", const=(bool(found()),))
    except TypeError:
        return Value()

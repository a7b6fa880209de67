"""Walks a program in order with abstract values, and notes leaks.

Functions of the file are followed where they are called, once more on their own when nobody calls
them; loops over constants are unrolled. What is unknown is taken to be honest: only what is
recognised is said.
"""

import ast

from ._events import Events
from ._expressions import Expressions, item_of
from ._known import BENIGN, LOADERS, SAMPLERS, SEARCHES, TIME_COLUMNS, TRAIN_NAMES, TRANSFORMERS
from ._methods import call_method
from ._values import MOST_ITEMS, Value, joined, names_in

__all__ = ["Interpreter"]

_MOST_TURNS = 20  # of a loop over constants, a judgment
_MOST_CALLS = 12  # depth of followed calls, a judgment
_MOST_STEPS = 60_000  # expressions looked at, a judgment of speed; beyond, loops run once


class Interpreter(Expressions):
    """One file. ``events`` holds what was found."""

    def __init__(self, tree):
        self.events = Events(tree)
        self.depth, self.steps = 0, 0
        self.turning = []  # names that change from turn to turn of the loops around
        self.called = set()
        self.returned = []
        self.env = {}
        self.tree = tree

    def run(self):
        """Walk the file, then the functions nobody called; the events."""
        self.block(self.tree.body)
        for node in ast.walk(self.tree):
            if (
                isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                and node not in self.called
            ):
                self.follow(Value("function", node=node, scope=self.env), [], {}, alone=True)
        return self.events

    # -- statements --------------------------------------------------------------------------------

    def block(self, body):
        for statement in body:
            self.statement(statement)

    def statement(self, node):
        handler = getattr(self, "do_" + type(node).__name__, None)
        if handler is not None:
            handler(node)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child)
        for name in ("body", "handlers", "orelse", "finalbody"):
            for child in getattr(node, name, []):
                self.block(child.body) if isinstance(child, ast.ExceptHandler) else self.statement(
                    child
                )

    def do_FunctionDef(self, node):
        self.env[node.name] = Value("function", node=node, scope=self.env, name=node.name)

    do_AsyncFunctionDef = do_FunctionDef

    def do_ClassDef(self, node):
        own = dict[str, Value]()
        outer, self.env = self.env, {**self.env}
        self.block(node.body)
        methods = [
            item for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        self.env = outer
        self.env[node.name] = Value("class", node=node, name=node.name)
        instance = Value("instance", scope=own, name=node.name)
        for method in sorted(methods, key=lambda item: item.name != "__init__"):
            self.follow(Value("function", node=method, scope=self.env), [instance], {}, alone=True)

    def do_Import(self, node):
        for alias in node.names:
            self.env[(alias.asname or alias.name).split(".")[0]] = Value(
                "module", name=alias.name.split(".")[-1]
            )

    def do_ImportFrom(self, node):
        for alias in node.names:
            self.env[alias.asname or alias.name] = Value("library", name=alias.name)

    def do_Return(self, node):
        if node.value is not None:
            self.returned[-1].append(self.value(node.value))

    def do_Assign(self, node):
        value = self.value(node.value)
        for target in node.targets:
            self.assign(target, value)

    def do_AnnAssign(self, node):
        if node.value is not None:
            self.assign(node.target, self.value(node.value))

    def do_AugAssign(self, node):
        before, more = self.value(node.target), self.value(node.value)
        combined = ast.BinOp(node.target, node.op, node.value)
        ast.copy_location(combined, node)
        result = self.binary(combined, before, more)
        if before.kind == "list":
            result = Value(
                "list",
                items=[*(before.items or []), *(more.items or [more])][-MOST_ITEMS:],
                origins=before.origins | more.origins,
            )
        self.assign(node.target, result)

    def do_Delete(self, node):
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                frame, key = self.value(target.value), self.value(target.slice)
                if key.known:
                    self.rebind(target.value, frame.without([key.const[0]]))

    def do_If(self, node):
        self.value(node.test)
        before = dict(self.env)
        self.block(node.body)
        first = dict(self.env)
        self.env.clear()
        self.env.update(before)
        self.block(node.orelse)
        for name, value in first.items():
            other = self.env.get(name)
            if other is None or (other is not value and before.get(name) is other):
                self.env[name] = value
            elif other is not value and other.kind == value.kind == "frame":
                self.env[name] = other.but(
                    columns={**other.columns, **value.columns}, marks=other.marks | value.marks
                )

    def do_For(self, node):
        self.loop(node, node.target, node.iter, lambda: self.block(node.body))
        self.block(node.orelse)

    do_AsyncFor = do_For

    def do_While(self, node):
        self.value(node.test)
        self.block(node.body)

    def do_With(self, node):
        for item in node.items:
            value = self.value(item.context_expr)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value)
        self.block(node.body)

    do_AsyncWith = do_With

    def loop(self, node, target, iterable, body):
        """Turns over constants, else one turn with what every item has in common."""
        values = self.value(iterable)
        turns = values.items if values.kind in ("list", "tuple", "set") and values.items else None
        if (
            turns is None
            and values.known
            and isinstance(values.const[0], (str, tuple, list, range))
        ):
            turns = [Value("const", const=(item,)) for item in list(values.const[0])[:_MOST_TURNS]]
        folds = values.kind in ("folds", "folds_numbered") or (
            values.kind == "zip" and any(one.kind == "folds" for one in values.items)
        )
        chosen = frozenset() if folds else frozenset([self.events.loop(node)])
        if self.steps > _MOST_STEPS and turns:
            turns = turns[:1]
        self.events.active |= chosen
        outer = self.turning
        self.turning = outer + [one.id for one in ast.walk(target) if isinstance(one, ast.Name)]
        for item in (turns or [item_of(values)])[:_MOST_TURNS]:
            self.assign(target, item if folds else _in_loop(item, chosen))
            body()
        self.turning = outer
        self.events.active -= chosen

    # -- names -------------------------------------------------------------------------------------

    def assign(self, target, value):
        if isinstance(target, ast.Name):
            self.env[target.id] = self.named(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            known = (
                value.kind in ("tuple", "list")
                and value.items is not None
                and len(value.items) == len(target.elts)
            )
            parts = (
                value.items
                if known
                else [item_of(value) if value.kind not in ("frame", "data") else value]
                * len(target.elts)
            )
            for place, one in zip(target.elts, parts):
                self.assign(place.value if isinstance(place, ast.Starred) else place, one)
        elif isinstance(target, ast.Subscript):
            self.assign_item(target, value)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value)
            if owner.kind == "instance":
                owner.scope[target.attr] = self.named(target.attr, value)
            elif owner.kind == "frame":
                self.assign_column(target.value, owner, target.attr, value)

    def named(self, name, value):
        """Names say which rows a value holds where nothing else does."""
        if TRAIN_NAMES.search(name) and value.part is not None:
            self.events.divided(value)
        if (
            TRAIN_NAMES.search(name)
            and value.part is None
            and value.kind in ("data", "frame", "unknown")
            and not _predicted(value)
        ):
            value = value.but(part=f"name:{name.lower().replace('x_', '').replace('y_', '')}")
        return value

    def assign_item(self, target, value):
        container = target.value
        if isinstance(container, ast.Attribute) and container.attr in ("loc", "iloc", "at"):
            frame = self.value(container.value)
            names = target.slice.elts[1:] if isinstance(target.slice, ast.Tuple) else []
            for name in self._names(names[0]) if names else []:
                before = frame.column(name) if name in frame.columns else None
                self.assign_column(
                    container.value, frame, name, value if before is None else _over(before, value)
                )
                frame = self.value(container.value)
            return
        frame = self.value(container)
        if frame.kind in ("dict", "list"):
            frame.items.append(value) if frame.items is not None else None
            key = self.value(target.slice)
            if frame.kind == "dict" and key.known and isinstance(key.const[0], str):
                frame.columns[key.const[0]] = value
            return
        if frame.kind == "unknown":
            frame = Value(
                "frame",
                bases={("name", ast.unparse(container)): frozenset()},
                origins=frame.origins,
                loops=frame.loops,
            )
        for name in self._names(target.slice):
            self.assign_column(container, frame, name, value)
            frame = self.value(container)

    def _names(self, node):
        key = self.value(node)
        if key.known:
            return names_in(key.const[0])
        if key.items:
            return [name for one in key.items if one.known for name in names_in(one.const[0])]
        return [("unknown", ast.unparse(node))]

    def assign_column(self, node, frame, name, value):
        self.time_column(name, frame)
        root = next(iter(frame.bases), ("made", ast.unparse(node)))
        column = value.but(
            kind="data",
            ident=(root, name),
            basis=frozenset([(root, name)]),
            columns={},
            bases={},
            part=None,
        )
        if value.kind == "frame":
            column = column.but(marks=value.all_marks())
        self.events.assigned(name, column)
        frame = frame if frame.kind == "frame" else frame.but(kind="frame")
        origins = (
            frame.origins | value.origins if value.kind in ("data", "frame") else frame.origins
        )
        self.rebind(node, frame.but(columns={**frame.columns, name: column}, origins=origins))

    def rebind(self, node, value):
        """What a name, or an attribute of self, stands for from now on."""
        if isinstance(node, ast.Name):
            self.env[node.id] = value
        elif isinstance(node, ast.Attribute):
            owner = self.value(node.value)
            if owner.kind == "instance":
                owner.scope[node.attr] = value

    def time_column(self, name, frame):
        if isinstance(name, str) and name.lower().replace("_", " ") in {
            one.replace("_", " ") for one in TIME_COLUMNS
        }:
            self.events.timed(frame)

    # -- calls -------------------------------------------------------------------------------------

    def of_Call(self, node):
        if isinstance(node.func, ast.Attribute):
            owner = self.value(node.func.value)
            if owner.kind == "instance":
                function = owner.scope.get(node.func.attr) or self.method(owner, node.func.attr)
                return self.call(node, function, node.func.attr)
            if owner.kind not in ("module", "library", "class"):
                return call_method(self, node, owner, node.func.attr)
            return self.call(
                node, Value("library", name=node.func.attr, args={"owner": owner}), node.func.attr
            )
        function = self.value(node.func)
        return self.call(node, function, function.name or getattr(node.func, "id", ""))

    def arguments(self, node):
        """Positional values and keyword values of a call."""
        positional = list[Value]()
        for one in node.args:
            value = self.value(one.value if isinstance(one, ast.Starred) else one)
            positional += (value.items or [value]) if isinstance(one, ast.Starred) else [value]
        keywords = {}
        for one in node.keywords:
            value = self.value(one.value)
            if one.arg is None:
                keywords.update(value.columns)
                keywords["**"] = value
            else:
                keywords[one.arg] = value
        return positional, keywords

    def call(self, node, function, name):
        positional, keywords = self.arguments(node)
        if function.kind == "function":
            own = [function.args["self"]] if "self" in function.args else []
            return self.follow(function, [*own, *positional], keywords)
        if function.kind == "class":
            instance = Value("instance", scope={}, name=function.name)
            init = self.method(instance, "__init__")
            if init.kind == "function":
                self.follow(init, [instance, *positional], keywords)
            return instance.but(args=keywords)
        return self.events.call(self, node, name, positional, keywords, function)

    def follow(self, function, positional, keywords, *, alone=False):
        """The value a function of the file returns."""
        node = function.node
        self.called.add(node)
        if self.depth >= _MOST_CALLS or (self.steps > _MOST_STEPS and self.depth > 2):
            return joined(*positional, *keywords.values())
        outer, self.env = self.env, dict(function.scope or {})
        self.env |= self._bound(node, positional, keywords, alone)
        self.depth += 1
        self.returned.append([])
        if isinstance(node, ast.Lambda):
            self.returned[-1].append(self.value(node.body))
        else:
            self.block(node.body)
        self.depth -= 1
        results, self.env = self.returned.pop(), outer
        if len(results) == 1:
            return results[0]
        return (
            next(
                (one for one in reversed(results) if one.kind in ("frame", "tuple")),
                joined(*results),
            )
            if results
            else Value()
        )

    def _bound(self, node, positional, keywords, alone):
        """By name what the parameters of a function are in one call of it."""
        takes = node.args
        names = [arg.arg for arg in [*takes.posonlyargs, *takes.args, *takes.kwonlyargs]]
        bound = dict(zip(names, positional))
        bound |= {name: value for name, value in keywords.items() if name in names}
        defaults = dict(zip(reversed([arg.arg for arg in takes.args]), reversed(takes.defaults)))
        defaults |= {arg.arg: one for arg, one in zip(takes.kwonlyargs, takes.kw_defaults) if one}
        for name in names:
            if name not in bound:
                bound[name] = (
                    self.value(defaults[name])
                    if name in defaults
                    else self.parameter(node, name, alone)
                )
        return bound

    def parameter(self, node, name, alone):
        if name == "trial":
            loop = self.events.loop(node)
            self.events.active.add(loop)
            return Value("unknown", loops=frozenset([loop]), name=name)
        if not alone:
            return Value()
        root = ("parameter", getattr(node, "name", "lambda"), name)
        value = Value("frame", origins=frozenset([root]), bases={root: frozenset()})
        return self.named(name, value)

    def made(self, name, node, positional, keywords):
        """An object of a class of some library."""
        every = [*positional, *keywords.values()]
        kind = (
            "search"
            if name in SEARCHES
            else "scaler"
            if name in TRANSFORMERS
            else "sampler"
            if SAMPLERS.match(name)
            else "model"
        )
        tuned = next((one.tuned for one in every if one.tuned is not None), None)
        loops = frozenset().union(*(one.loops for one in every))
        if name in BENIGN:
            kind = "benign"
        if name == "Pipeline":
            kind = _pipeline(positional[0].items or [] if positional else [])
        return Value(
            kind,
            name=name,
            args=keywords,
            items=positional,
            tuned=tuned,
            loops=loops,
            line=node.lineno,
        )

    def loaded(self, node, name, positional, keywords):
        """Rows from outside."""
        root = ("loaded", node.lineno, node.col_offset)
        frame = Value("frame", origins=frozenset([root]), bases={root: frozenset()})
        if name in LOADERS:
            self.events.timed(frame)
        return frame


def _pipeline(steps):
    """A pipeline that ends in a scaler is one."""
    last = steps[-1] if steps else Value()
    last = last.items[-1] if last.kind == "tuple" and last.items else last
    return "scaler" if last.kind == "scaler" else "model"


def _in_loop(value, chosen):
    return value.but(loops=value.loops | chosen)


def _predicted(value):
    return value.kind == "model"


def _over(before, value):
    return joined(before, value).but(ident=before.ident)

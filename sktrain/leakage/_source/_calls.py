"""Abstract values of calls to functions of libraries; leaks are noted on the way."""

import ast
import re
from typing import Any

from ._frames import FEW_ROWS
from ._known import (
    ACAUSAL,
    CROSS_VALIDATION,
    ELEMENTWISE,
    LOADERS,
    METRICS,
    RANDOM_FOLDS,
    RANDOM_NUMBERS,
    SAME,
    SCALED,
    STATISTICS,
    TIME_FILES,
    UNORDERED_FOLDS,
)
from ._methods import merged
from ._parts import EventParts
from ._values import Mark, Value, joined, line_of
from ._watched import watched

__all__ = ["Calls"]

_SPLITTER = re.compile(
    r"(Fold|Splitter|Split|WalkForward\w*|Purged\w*|LeaveOneOut|LeavePOut|LeaveOneGroupOut)$"
    r"|^EnhancedWalkForwardCV$|^CombinatorialPurgedCV$"
)
_READERS = re.compile(
    r"^(read_\w+|load\w*|fetch\w*|loadtxt|genfromtxt|download|get_\w*(data|bars|prices|klines"
    r"|history)\w*)$"
)



# classes that hold rows and learn nothing
_HOLDERS = {
    "DataFrame", "Series", "Index", "Tensor", "TensorDataset", "DataLoader", "DMatrix",
    "QuantileDMatrix", "Pool", "Dataset",
}


class Calls(EventParts):
    """Mixin of ``Events``: what a call of a library function means."""

    def call(self, walk, node, name, positional, keywords, function):
        """The value of ``name(...)``."""
        handler = getattr(self, "call_" + name, None)
        if handler is not None:
            return handler(walk, node, positional, keywords)
        every = [*positional, *keywords.values()]
        if name in CROSS_VALIDATION:
            return self._cross_validated(node, name, positional, keywords)
        if name in METRICS:
            return self._metric(node, every)
        if name in LOADERS or _READERS.match(name):
            return self._loaded(walk, node, name, positional, keywords, function)
        if name in RANDOM_FOLDS | UNORDERED_FOLDS or (
            _SPLITTER.search(name) and name[:1].isupper()
        ):
            return Value(
                "splitter", name=name, args=keywords, line=line_of(node), loops=joined(*every).loops
            )
        if name in ACAUSAL:
            together = joined(*positional)
            return together.but(marks=together.marks | {Mark("centred", line_of(node))}, basis=None)
        if name in SCALED and positional and not self._across(keywords):
            whole = self.whole(positional[0], line_of(node), name)
            return whole if whole.kind in ("frame", "data") else whole.but(kind="data")
        if (
            name in STATISTICS
            and positional
            and positional[0].kind in ("data", "frame", "window", "list", "unknown")
        ):
            return self._statistic(walk, node, name, positional, keywords)
        if name in RANDOM_NUMBERS:
            return self.random(
                [one for one in every if one.kind in ("data", "unknown", "index", "frame")], node
            )
        if name in SAME:
            return self._same(positional)
        if name[:1].isupper() and name not in _HOLDERS:
            return walk.made(name, node, positional, keywords)
        return self._other(walk, name, positional, keywords)

    @staticmethod
    def _across(keywords):
        axis = keywords.get("axis", Value())
        return axis.known and axis.const[0] in (1, "columns", -1)

    def _other(self, walk, name, positional, keywords):
        for one in [*positional, *keywords.values()]:
            if one.kind == "function":
                walk.follow(one, [], {}, alone=True)
        first = next((one for one in positional if one.kind == "frame"), None)
        if first is not None and name not in (
            "len",
            "print",
            "display",
            "type",
            "isinstance",
            "id",
            "hash",
        ):
            return first.but(ident=None)
        together = joined(*positional, *keywords.values())
        if name == "len":
            return Value("unknown", origins=together.origins, loops=together.loops)
        exact = name in ELEMENTWISE
        kind = "data" if together.origins else "unknown"
        keeps = name in (
            "array",
            "asarray",
            "Series",
            "ravel",
            "squeeze",
            "tensor",
            "from_numpy",
            "to_numeric",
        )
        ident = positional[0].ident if keeps and positional else None
        return together.but(kind=kind, basis=together.basis if exact else None, ident=ident)

    @staticmethod
    def _same(positional):
        if positional and positional[0].kind in (
            "list",
            "tuple",
            "columns",
            "frame",
            "data",
            "model",
            "search",
            "scaler",
            "dict",
        ):
            return positional[0]
        return joined(*positional)

    def _statistic(self, walk, node, name, positional, keywords):
        rows = positional[0]
        key = keywords.get("key")
        if key is not None and key.kind == "function":  # max(grid, key=lambda c: score of c)
            loop = self.loop(key.node)
            self.active.add(loop)
            walk.follow(key, [Value(loops=frozenset([loop]))], {})
            return Value(loops=frozenset())
        if rows.kind in ("window", "list", "unknown") or self._across(keywords) or not rows.origins:
            return joined(*positional)
        return Value(
            "stat",
            origins=rows.origins,
            part=rows.part,
            name=name,
            line=line_of(node),
            basis=None,
            loops=rows.loops,
        )

    # -- data in -----------------------------------------------------------------------------------

    def _loaded(self, walk, node, name, positional, keywords, function):
        frame = walk.loaded(node, name, positional, keywords)
        owner = function.args.get("owner")
        texts = [
            one.const[0]
            for one in [*positional, *keywords.values()]
            if one.known and isinstance(one.const[0], str)
        ]
        files = any(TIME_FILES.search(text.rpartition("/")[2].lower()) for text in texts)
        dates = keywords.get("parse_dates")
        index = keywords.get("index_col")
        dated = (
            index is not None
            and index.known
            and isinstance(index.const[0], str)
            and re.search("date|time", index.const[0], re.I)
        )
        parsed = dates is not None and not (dates.known and dates.const[0] is False)
        market = name == "download" or "klines" in name or "ohlcv" in name
        if (
            files
            or dated
            or parsed
            or (market and (owner is None or owner.name not in ("nltk", "gdown")))
        ):
            self.timed(frame)
        tuples = keywords.get("return_X_y")
        if tuples is not None and tuples.known and tuples.const[0]:
            data = Value("data", origins=frame.origins, basis=None)
            return Value("tuple", items=[data, data.but(ident=None)])
        return frame

    def call_to_datetime(self, walk, node, positional, keywords):
        for one in positional:
            self.timed(one)
        return joined(*positional)

    def call_DataFrame(self, walk, node, positional, keywords):
        data = positional[0] if positional else keywords.get("data", Value())
        extra = joined(keywords["index"]) if "index" in keywords else Value()
        root = ("made", node.lineno, node.col_offset)
        if data.kind in ("unknown", "list", "data") and not data.origins | extra.origins:
            data = data.but(origins=frozenset([root]))
        names = keywords.get("columns", Value())
        known = names.known and isinstance(names.const[0], (list, tuple))
        for one in names.const[0] if known else ():
            walk.time_column(one, data)
        if data.kind == "frame":
            return data
        origins = data.origins | extra.origins
        if data.kind == "dict":
            columns = {
                name: value.but(
                    kind="data", ident=value.ident or (root, name), columns={}, bases={}
                )
                for name, value in data.columns.items()
            }
            for name, column in columns.items():
                self.assigned(name, column)
            return Value("frame", columns=columns, origins=origins)
        if known and data.origins:
            columns = {
                one: data.but(kind="data", ident=(root, one))
                for one in names.const[0]
                if isinstance(one, str)
            }
            return Value(
                "frame", columns=columns, origins=origins, part=data.part, held=data.held
            )
        bases: dict[Any, frozenset] = {root: frozenset()} if data.origins else {}
        return data.but(
            kind="frame", columns={}, bases=bases, origins=origins, ident=None, items=None
        )

    def call_concat(self, walk, node, positional, keywords):
        given = positional[0] if positional else keywords.get("objs", Value())
        parts = given.items or [given]
        if self._across(keywords) and all(one.kind in ("frame", "data") for one in parts):
            names = list(given.columns) if given.kind == "dict" else []
            if names:
                root = ("made", node.lineno, node.col_offset)
                return joined(*parts).but(
                    kind="frame",
                    columns={
                        name: one.but(ident=(root, name)) for name, one in given.columns.items()
                    },
                    held=frozenset(),
                )
            return merged(*parts)
        frames = [one for one in parts if one.kind == "frame"]
        if frames:
            columns = {
                name: joined(*(one.column(name) for one in frames)).but(ident=one.ident)
                for one in frames
                for name, one in one.columns.items()
            }
            parts_seen = {one.part for one in frames}
            part = frames[0].part if len(parts_seen) == 1 else None
            return joined(*parts).but(
                kind="frame",
                marks=frozenset().union(*(one.marks for one in frames)),
                columns=columns,
                bases={root: gone for one in frames for root, gone in one.bases.items()},
                part=part,
                held=frozenset(),
            )
        out = joined(*parts)
        return out if len({one.part for one in parts}) == 1 else out.but(part=None)

    def call_merge(self, walk, node, positional, keywords):
        return merged(*positional[:2]) if len(positional) > 1 else joined(*positional)

    def call_merge_asof(self, walk, node, positional, keywords):
        left = positional[0] if positional else keywords.get("left", Value())
        right = positional[1] if len(positional) > 1 else keywords.get("right", Value())
        self.timed(left)
        self.timed(right)
        direction = keywords.get("direction", Value())
        if direction.known and direction.const[0] in ("forward", "nearest"):
            mark = Mark("forward_join", line_of(node))
            columns = {
                name: column.but(marks=column.marks | {mark})
                for name, column in right.columns.items()
            }
            out = merged(left, right.but(columns=columns, kind="frame"))
            self.assigned("joined", Value("data", marks=frozenset([mark])))
            return out.but(marks=out.marks | {mark}) if right.bases or not right.columns else out
        return merged(left, right)

    # -- rows and splits ---------------------------------------------------------------------------

    def call_train_test_split(self, walk, node, positional, keywords):
        shuffle = keywords.get("shuffle")
        ordered = shuffle is not None and shuffle.known and shuffle.const[0] in (False, None)
        arrays = [one for one in positional if one.kind != "const"]
        if not ordered:
            self.note(
                "random_split", line_of(node), frozenset().union(*(one.origins for one in arrays))
            )
        if len(arrays) > 1:
            self.fitted_on(arrays[0], arrays[1], line_of(node), divided=True)
        else:
            self.fits = self.fits or False
            for mark in arrays[0].all_marks() if arrays else ():
                if mark.code == "resampled":
                    self.note("resampled_before_split", mark.line)
        parts = [
            one.but(part=f"{one.part or ''}{line_of(node)}:{side}")
            for one in arrays
            for side in ("train", "test")
        ]
        return Value("tuple", items=parts)

    def call_random_split(self, walk, node, positional, keywords):
        rows = positional[0] if positional else Value()
        self.note("random_split", line_of(node), rows.origins)
        self.fits = True
        return Value(
            "list",
            items=[rows.but(part=f"{line_of(node)}:{side}") for side in ("train", "test", "val")][
                : len(positional[1].items or [1, 2]) if len(positional) > 1 else 2
            ],
        )

    def call_shuffle(self, walk, node, positional, keywords):
        mark = Mark("shuffled", line_of(node))
        return _together(
            [
                one.but(marks=one.marks | {mark}) if one.part is None and one.origins else one
                for one in positional
            ]
        )

    def call_resample(self, walk, node, positional, keywords):
        mark = Mark("resampled", line_of(node))
        replace = keywords.get("replace")
        whole = replace is not None and replace.known and replace.const[0] is False
        return _together(positional if whole else [one.marked(mark) for one in positional])

    def call_roll(self, walk, node, positional, keywords):
        by = positional[1] if len(positional) > 1 else keywords.get("shift", Value())
        ahead = (
            -by.const[0]
            if by.known and isinstance(by.const[0], int) and by.const[0] < 0
            else by.name
            if by.kind == "negative"
            else None
        )
        rows = joined(*positional[:1]).but(basis=None)
        return (
            rows
            if ahead is None
            else rows.but(marks=rows.marks | {Mark("future", line_of(node), ahead)})
        )

    def call_flip(self, walk, node, positional, keywords):
        rows = positional[0] if positional else Value()
        return rows.but(reverse=not rows.reverse)

    def call_early_stopping(self, walk, node, positional, keywords):
        return Value(name="early_stopping")

    def call_train(self, walk, node, positional, keywords):
        """``xgboost.train`` and ``lightgbm.train``: the model of a call with parameters and
        rows."""
        X = next(
            (keywords[one] for one in ("dtrain", "train_set") if one in keywords),
            positional[1] if len(positional) > 1 else Value(),
        )
        if X.origins or X.columns or X.all_marks():
            self.fitted_on(X, None, line_of(node))
        loops = joined(*positional).loops
        stopped = watched(Value(), keywords)
        return Value("model", fitted=X, loops=loops, stopped=stopped, line=line_of(node))

    # -- scores ------------------------------------------------------------------------------------

    def _cross_validated(self, node, name, positional, keywords):
        model = positional[0] if positional else keywords.get("estimator", Value())
        X = positional[1] if len(positional) > 1 else keywords.get("X", Value())
        y = positional[2] if len(positional) > 2 else keywords.get("y")
        self.fitted_on(X, y, line_of(node), divided=True)
        self.folds(keywords.get("cv"), X, line_of(node))
        self.scored(model, X, line_of(node), refits=True)
        if name == "cross_val_predict":
            return Value("data", origins=X.origins, part=X.part, basis=None, loops=model.loops)
        return Value("unknown", loops=model.loops)

    def _metric(self, node, values):
        for one in values:
            if "by" in one.args and "of" in one.args:
                self.scored(one.args["by"], one.args["of"], line_of(node))
                break
        return Value("unknown", loops=joined(*values).loops)

    # -- Python ------------------------------------------------------------------------------------

    def call_range(self, walk, node, positional, keywords):
        if positional and all(one.known and isinstance(one.const[0], int) for one in positional):
            bounds = [one.const[0] for one in positional]
            valid = len(bounds) < 3 or len(bounds) == 3 and bounds[2] != 0
            numbers = range(*bounds) if valid else ()
            if 0 < len(numbers) <= 60:
                return Value(
                    "list",
                    items=[Value("const", const=(one,)) for one in numbers],
                    const=(list(numbers),),
                )
        return Value(loops=joined(*positional).loops)

    def call_enumerate(self, walk, node, positional, keywords):
        rows = positional[0] if positional else Value()
        if rows.kind == "list" and rows.items:
            return Value(
                "list",
                items=[
                    Value("tuple", items=[Value("const", const=(k,)), one])
                    for k, one in enumerate(rows.items)
                ],
            )
        return (
            Value("enumerate", args={"of": rows})
            if rows.kind != "folds"
            else Value("folds_numbered", args={"of": rows})
        )

    def call_zip(self, walk, node, positional, keywords):
        if positional and all(one.kind in ("list", "tuple") and one.items for one in positional):
            return Value(
                "list",
                items=[
                    Value("tuple", items=list(pair))
                    for pair in zip(*(one.items for one in positional))
                ],
            )
        return Value("zip", items=positional)

    def call_make_pipeline(self, walk, node, positional, keywords):
        made = walk.made("Pipeline", node, [Value("list", items=positional)], keywords)
        return made.but(
            tuned=next((one.tuned for one in positional if one.tuned is not None), None),
            loops=joined(*positional).loops,
        )

    call_make_imb_pipeline = call_make_pipeline

    def call_slice(self, walk, node, positional, keywords):
        bounds = [one for one in positional[:2] if not (one.known and one.const[0] is None)]
        few = all(
            one.known and isinstance(one.const[0], int) and abs(one.const[0]) < FEW_ROWS
            for one in bounds
        )
        text = ":".join(ast.unparse(one) for one in node.args[:2])
        return Value("index", part=None if few else text, origins=joined(*positional).origins)

    def call_getattr(self, walk, node, positional, keywords):
        return Value()

    def call_print(self, walk, node, positional, keywords):
        return Value()


def _together(parts):
    """What a function answers that takes one thing or several."""
    return Value("tuple", items=parts) if len(parts) > 1 else (parts or [Value()])[0]

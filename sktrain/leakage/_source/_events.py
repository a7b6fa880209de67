"""Where a program fits, splits and scores: leaks are noted."""

import ast
from dataclasses import dataclass
import re

from ._calls import Calls
from ._known import BENIGN, PREDICTS, RANDOM_FOLDS, UNORDERED_FOLDS
from ._uses import only_drawn
from ._values import Mark, Value, joined, line_of
from ._watched import watched

__all__ = ["Events", "Note"]

_FEATURE_MARKS = {
    "future": "shift_ahead",
    "centred": "centred_window",
    "backfill": "backfill",
    "forward_join": "forward_join",
}
_LABELS = re.compile(
    r"(^y_|^y$|target|label|fut|fwd|forward|next|outcome|pnl|p_l|profit|strategy|exit|lead|ahead"
    r"|tomorrow|response)",
    re.I,
)
_RETURNS = re.compile(
    r"(^|[^a-z])(log_?)?(ret|rets|returns?|pct|diff|pct_change|r)([^a-z]|$)", re.I
)
_LEARNERS = re.compile(r"scal|norm|pca|imput|select|encod|transf|reduc", re.I)
_FITS = {"fit", "fit_predict", "fit_transform", "partial_fit"}
_DRAWS = {
    "choice", "integers", "permutation", "rand", "randint", "random", "shuffle", "uniform",
}
_OPTIMIZERS = {"optimize", "fmin", "minimize", "gp_minimize", "max", "min", "sorted"}
_EXTREMES = {"max", "min", "argmax", "argmin", "idxmax", "idxmin", "nlargest"}


@dataclass(frozen=True)
class Note:
    """A leak at a line; with ``origins``, only if their rows turn out to be in order of time."""

    code: str
    line: int
    origins: frozenset | None = None


class Events(Calls):
    """What one file does."""

    def __init__(self, tree):
        self.tree = tree
        self.by_hand = _calls(tree, {"backward", "GradientTape", "value_and_grad"})
        self.notes = []
        self.time_origins = set()
        self.loops, self.active = {}, set()
        self.fits = False
        self.columns = []
        self.selections, self.finals, self.seen_again, self.reports = [], [], [], []

    # -- what values are ---------------------------------------------------------------------------

    def note(self, code, line, origins=None):
        self.notes.append(Note(code, line, origins))

    def timed(self, value):
        """The rows of a value are in order of time."""
        self.time_origins |= value.origins

    def loop(self, node):
        self.loops[id(node)] = node
        return id(node)

    def assigned(self, name, column):
        self.columns.append((name, column))

    def whole(self, value, line, what):
        """A value computed with statistics of all its rows."""
        if value.part is not None:
            return value
        return value.marked(Mark("whole", line)).but(basis=None)

    def sampled(self, owner, node, positional, keywords):
        """``df.sample``: rows drawn at random, with copies when drawn with replacement."""
        if "replace" in keywords and keywords["replace"].known and keywords["replace"].const[0]:
            return owner.but(marks=owner.marks | {Mark("resampled", line_of(node))})
        whole = owner.part is None and ("frac" in keywords)
        return owner.but(
            marks=owner.marks | {Mark("shuffled", line_of(node))} if whole else owner.marks
        )

    # -- fits --------------------------------------------------------------------------------------

    def fitted_on(self, X, y, line, *, divided=False):
        """Features and labels meet an estimator; ``divided`` when it splits them itself."""
        self.fits = True
        for mark in X.all_marks():
            if mark.code in _FEATURE_MARKS:
                self.note(_FEATURE_MARKS[mark.code], mark.line)
            elif mark.code == "shuffled":
                self.note("random_split", mark.line, X.origins)
            elif mark.code == "resampled" and divided:
                self.note("resampled_before_split", mark.line)
            elif mark.code == "whole" and (divided or X.part is not None):
                self.note("fitted_before_split", mark.line)
        if y is None or not X.origins and not X.columns:
            return
        decided = (
            y.basis
            and all(X.holds(one) for one in y.basis)
            and not any(mark.code == "future" for mark in y.all_marks())
        )
        if X.holds(y.ident) or (decided and y.ident is None):
            self.note("target_in_features", line)

    def divided(self, value):
        """Rows are named training or test rows; nets trained by hand have no other sign of it."""
        if self.by_hand:
            for mark in value.all_marks():
                if mark.code == "whole":
                    self.note("fitted_before_split", mark.line)

    def multiplied(self, left, right):
        """A position times a return: what the position knows of later rows is traded on."""
        for (side, node), (_, other) in ((left, right), (right, left)):
            marks = [mark for mark in side.marks if mark.code in _FEATURE_MARKS]
            text = ast.unparse(node) if marks else ""
            outcome = _RETURNS.search(text) or _LABELS.search(text)
            if marks and not outcome and _RETURNS.search(ast.unparse(other)):
                for mark in marks:
                    self.note(_FEATURE_MARKS[mark.code], mark.line)

    def folds(self, cv, X, line):
        """A way to make folds, applied to rows."""
        if cv is None or (cv.known and (cv.const[0] is None or isinstance(cv.const[0], int))):
            self.note("unordered_folds", line, X.origins)
        elif cv.kind == "splitter":
            shuffled = cv.args.get("shuffle", Value())
            if cv.name in RANDOM_FOLDS or (shuffled.known and shuffled.const[0] is True):
                self.note("random_split", cv.line, X.origins)
            elif cv.name in UNORDERED_FOLDS:
                self.note("unordered_folds", cv.line, X.origins)

    def method(self, walk, node, owner, name, positional, keywords):
        """A method of an estimator, a splitter or something unknown."""
        X = positional[0] if positional else keywords.get("X", keywords.get("x", Value()))
        y = positional[1] if len(positional) > 1 else keywords.get("y")
        kind = owner.kind
        if kind == "unknown" and _LEARNERS.search(ast.unparse(node.func.value)):
            kind = "scaler"
        if name == "set_params" and keywords:
            return self._set_params(walk, node, owner, keywords)
        if name in ("split", "three_way") and kind in ("splitter", "unknown", "model"):
            return self._split(owner, X, y, node)
        if name == "fit_resample":
            return _resampled(kind, X, y, node)
        if name in _FITS:
            if kind in ("scaler", "benign"):
                benign = kind == "benign" or owner.name in BENIGN
                return self._learned(walk, node, owner, X, name, benign=benign)
            return self._trained(walk, node, owner, X, y, name, keywords)
        if name == "transform":
            return self._transformed(owner, X, node) if kind == "scaler" else _plain(X)
        if name in PREDICTS:
            told = {"by": owner, "of": X}
            return Value(
                "data", origins=X.origins, part=X.part, args=told, basis=None, loops=owner.loops
            )
        if name in ("score", "evaluate"):
            self.scored(owner, X, line_of(node))
        if kind in ("unknown", "model") and name in _DRAWS:
            return self.random(positional, node)
        for one in positional:
            if one.kind == "function":
                walk.follow(one, [], {}, alone=True)
        return joined(owner, *positional) if name not in ("get_params", "summary") else Value()

    def _set_params(self, walk, node, owner, keywords):
        loops = owner.loops.union(*(one.loops for one in keywords.values()))
        tuned = next((one.tuned for one in keywords.values() if one.tuned is not None), owner.tuned)
        owner = owner.but(loops=loops, tuned=tuned)
        walk.rebind(node.func.value, owner)
        return owner

    def random(self, positional, node):
        """Random numbers; they shuffle rows where they index them."""
        rows = joined(*positional) if positional else Value()
        return rows.but(
            kind="data",
            marks=rows.marks | {Mark("random", line_of(node))},
            origins=rows.origins | {("random", line_of(node))},
        )

    def _split(self, owner, X, y, node):
        if owner.kind == "splitter" and owner.name != "TemporalSplitter":
            self.folds(owner, X, line_of(node))
        if X.origins or X.columns:
            self.fitted_on(X, y, line_of(node), divided=True)
        return Value("folds", origins=X.origins, line=line_of(node))

    def _learned(self, walk, node, owner, X, name, *, benign):
        after = owner.but(fitted=X, line=line_of(node))
        walk.rebind(node.func.value, after)
        if name == "fit":
            return after
        return _plain(X) if benign else self.whole(_plain(X), line_of(node), owner.name)

    def _transformed(self, owner, X, node):
        seen = owner.fitted
        if seen is None or seen.part is not None or not (seen.origins & X.origins):
            return _plain(X)
        return _plain(X).marked(Mark("whole", owner.line or line_of(node)))

    def _trained(self, walk, node, owner, X, y, name, keywords):
        search = owner.kind == "search"
        if X.origins or X.columns or X.all_marks():
            self.fitted_on(X, y, line_of(node), divided=search)
        if search:
            given = owner.args.get("cv")
            if given is not None or owner.name != "OptunaSearchCV":
                self.folds(given, X, line_of(node))
        after = owner.but(
            fitted=X, tuned=X if search else owner.tuned, stopped=watched(owner, keywords)
        )
        if owner.kind == "unknown":
            after = after.but(kind="model")
        walk.rebind(node.func.value, after)
        return after if name == "fit" else joined(X)

    # -- scores ------------------------------------------------------------------------------------

    def reported(self, search, line):
        self.reports.append((search.fitted, line))

    def scored(self, model, X, line, *, refits=False):
        """A model is scored on rows; with ``refits`` it is trained anew in folds of them."""
        tuned = model.tuned if model.kind != "search" or not refits else None
        if tuned is not None and _overlap(tuned, X):
            if tuned.part is None:
                self.note("tuned_on_scored_rows", line)
            else:
                self.seen_again.append((line, X))
            return
        if not refits and model.fitted is not None and _overlap(model.fitted, X):
            if model.fitted.part is None and X.part is not None:
                self.note("trained_on_scored_rows", line)
            else:
                self.seen_again.append((line, X))
            return
        if not refits and model.stopped is not None and _overlap(model.stopped, X):
            self.selections.append((None, X, line))
            return
        loops = model.loops & self.active
        if loops:
            self.selections.append((loops, X, line))
        else:
            self.finals.append((line, X))

    def findings(self):
        """Notes that hold, once each, in order of lines."""
        held = [
            note for note in self.notes if note.origins is None or note.origins & self.time_origins
        ]
        if not self.finals and not self.selections:
            held += [Note("scored_on_training_rows", line) for line, X in self.seen_again]
            held += [
                Note("tuned_on_scored_rows", line) for X, line in self.reports if X.part is None
            ]
        held += self._chosen()
        if not self.fits:
            held += self._columns_without_fit()
        return sorted({(note.line, note.code) for note in held})

    def _chosen(self):
        """Choices made by a score, with no score on other rows after them."""
        for loops, X, line in self.selections:
            honest = any(
                (at > line or loops is None) and not _overlap(X, rows) for at, rows in self.finals
            )
            if honest:
                continue
            if loops is None or any(self._chooses(self.loops[one]) for one in loops):
                yield Note("tuned_on_scored_rows", line)

    def _chooses(self, node):
        """Whether the turns of a loop, or the calls of a function, are compared with each other."""
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            return _calls(self.tree, _OPTIMIZERS)
        if any(isinstance(one, ast.If) and _orders(one.test) for one in ast.walk(node)):
            return True
        kept = {*_filled_in(node), *self._made_by(node)}
        for call in ast.walk(self.tree):
            if isinstance(call, ast.Call) and _called(call) in _EXTREMES:
                inside = {name.id for name in ast.walk(call) if isinstance(name, ast.Name)}
                if inside & kept or any(part is node for part in ast.walk(call)):
                    return True
        return False

    def _made_by(self, node):
        """Names of what is assigned from a comprehension."""
        made = [
            target
            for one in ast.walk(self.tree)
            if isinstance(one, ast.Assign) and any(part is node for part in ast.walk(one.value))
            for target in one.targets
        ]
        return {
            name.id for target in made for name in ast.walk(target) if isinstance(name, ast.Name)
        }

    def _columns_without_fit(self):
        drawn = only_drawn(self.tree)
        for name, column in self.columns:
            if isinstance(name, str) and not _LABELS.search(name) and name not in drawn:
                for mark in column.all_marks():
                    if mark.code in _FEATURE_MARKS:
                        yield Note(_FEATURE_MARKS[mark.code], mark.line)


def _overlap(seen, X):
    if seen.part is not None:
        same = seen.part == X.part or (X.part or "").startswith(seen.part + "/")
        return same and (bool(seen.origins & X.origins) or not (seen.origins or X.origins))
    return bool(seen.origins & X.origins)


def _resampled(kind, X, y, node):
    if y is None or kind == "benign":
        return Value("tuple", items=[X, joined(X).but(basis=None, ident=None)])
    return Value("tuple", items=[X.marked(Mark("resampled", line_of(node))), y])


def _plain(X):
    return X if X.kind in ("frame", "data") else X.but(kind="data")


def _called(call):
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _filled_in(loop):
    """Names that a loop assigns, calls a method of, or writes an item of."""
    for one in ast.walk(loop):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            yield one.id
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute):
            if isinstance(one.func.value, ast.Name):
                yield one.func.value.id
        elif isinstance(one, ast.Subscript) and isinstance(one.value, ast.Name):
            yield one.value.id


def _orders(test):
    """Whether a condition compares by size."""
    sizes = (ast.Gt, ast.Lt, ast.GtE, ast.LtE)
    compared = [part for part in ast.walk(test) if isinstance(part, ast.Compare)]
    return any(isinstance(part.ops[0], sizes) for part in compared)


def _calls(tree, names):
    return any(isinstance(node, ast.Call) and _called(node) in names for node in ast.walk(tree))

"""Code of an estimator that is not from a library, read for calls that split at random."""

import ast
import inspect as source
import sys
import textwrap
from typing import Any

from ._flaws import flaw
from ._report import INCONCLUSIVE

__all__ = ["reads_random"]

_MOST_SOURCES = 50  # classes and functions read for one object, a judgment
_LIBRARIES = (
    "sklearn", "imblearn", "skorch", "sktrain", "optuna", "torch", "numpy", "scipy", "pandas",
    "lightgbm", "xgboost",
)
_RANDOM_CALLS = (
    "train_test_split", "ShuffleSplit", "StratifiedShuffleSplit", "RepeatedKFold",
    "RepeatedStratifiedKFold", "random_split",
)
_FOLD_CALLS = (
    "KFold", "StratifiedKFold", "cross_val_predict", "cross_val_score", "cross_validate",
    "LeaveOneOut",
)


def _tree(code):
    try:
        return ast.parse(textwrap.dedent(source.getsource(code)))
    # built at run time, or compiled: there is nothing to read
    except (OSError, TypeError, SyntaxError, IndentationError):
        return None


def _own_code(owner):
    """The source trees of an object's own classes and of the functions of their modules that they
    call, breadth first."""
    waiting: list[Any] = [
        cls
        for cls in type(owner).__mro__
        if cls.__module__.partition(".")[0] not in (*_LIBRARIES, "builtins")
    ]
    seen = set[int]()
    while waiting and len(seen) < _MOST_SOURCES:
        code = waiting.pop(0)
        tree = None if code in seen else _tree(code)
        seen.add(code)
        if tree is None:
            continue
        yield tree
        scope = getattr(code, "__globals__", None) or vars(
            sys.modules.get(code.__module__, object())
        )
        for node in ast.walk(tree):
            called = scope.get(node.id) if isinstance(node, ast.Name) else None
            if source.isfunction(called) and called.__module__.partition(".")[0] not in _LIBRARIES:
                waiting.append(called)


def reads_random(path, owner, params, n_rows):
    """Own code that calls a random split in its methods, or in functions they call."""
    if type(owner).__module__.partition(".")[0] in _LIBRARIES:
        return
    for tree in _own_code(owner):
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            keywords = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
            ordered = name == "train_test_split" and keywords.get("shuffle") is False
            if (name in _RANDOM_CALLS and not ordered) or name in _FOLD_CALLS:
                message = (
                    f"{type(owner).__name__} calls {name} on its training rows: neighbours with "
                    "overlapping labels stand on both sides."
                )
                yield flaw(
                    path, owner, "", "inner_split", message,
                    "split in order, purged: TemporalSplitter(horizon=...)", line=call.lineno,
                )
                return
            if name in ("permutation", "shuffle"):
                message = (
                    f"{type(owner).__name__} shuffles rows ({name}); whether it validates on them "
                    "could not be told."
                )
                yield flaw(
                    path, owner, "", "unknown_split", message, "split in order, purged",
                    severity="warning", status=INCONCLUSIVE, line=call.lineno,
                )
                return

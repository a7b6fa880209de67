"""Leaks in the parameters of an estimator; nothing is fitted.

Every parameter is walked, through pipelines, lists of estimators, searches and their grids, and nets. An inner splitter is judged
by experiment on made-up rows. Code that is not from scikit-learn is read for calls that split at random.
"""

import ast
from dataclasses import dataclass
import inspect as source
import sys
import textwrap

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from ._experiments import quiet
from ._report import FAIL, INCONCLUSIVE, PASS, Finding, LeakageReport
from ._samplers import samplers_before_nets
from ._splits import check_split

__all__ = ["Flaw", "find_flaws", "inspect_estimator", "inner_cv_errors", "nodes"]

_HGB_AUTO = 10_000  # scikit-learn switches early_stopping="auto" on above so many rows
_BOUND_ROWS = 100
_MOST_SOURCES = 50  # classes and functions read for one object
_LIBRARIES = ("sklearn", "imblearn", "skorch", "sktrain", "optuna", "torch", "numpy", "scipy", "pandas", "lightgbm", "xgboost")
_STRIPS = (  # hand the splitter a bare array, so that it sees neither times nor symbols; tests/leakage holds this to scikit-learn
    "RFECV", "SequentialFeatureSelector", "LogisticRegressionCV", "RidgeClassifierCV", "LassoCV", "ElasticNetCV", "LassoLarsCV",
    "LarsCV", "OrthogonalMatchingPursuitCV", "MultiTaskLassoCV", "MultiTaskElasticNetCV",
)  # fmt: skip
_ARRAYS = (*_STRIPS, "StackingClassifier", "StackingRegressor", "ValidSplit")
_PARTITION = ("StackingClassifier", "StackingRegressor", "TargetEncoder", "ClassifierChain", "RegressorChain")
_RANDOM_CALLS = ("train_test_split", "ShuffleSplit", "StratifiedShuffleSplit", "RepeatedKFold", "RepeatedStratifiedKFold", "random_split")
_FOLD_CALLS = ("KFold", "StratifiedKFold", "cross_val_predict", "cross_val_score", "cross_validate", "LeaveOneOut")
_WALK = "EnhancedWalkForwardCV(n_splits=5, horizon=...)"


@dataclass(frozen=True)
class Flaw:
    """A finding together with the object that carries it, so that it can be repaired."""

    finding: Finding
    owner: object
    parameter: str
    kind: str


def nodes(estimator):
    """Every estimator-like object inside an estimator, as (path, object); the path is what ``set_params`` would take."""
    seen, found = set(), []

    def visit(path, item, depth):
        if depth > 8 or id(item) in seen or item is None or isinstance(item, (str, bytes, int, float, bool, np.ndarray, pd.DataFrame, pd.Series)):
            return
        if isinstance(item, dict):
            for key, value in item.items():
                visit([*path, str(key)], value, depth + 1)
        elif isinstance(item, (list, tuple)):
            if len(item) <= 200:
                for place, value in enumerate(item):
                    named = isinstance(value, (list, tuple)) and len(value) > 1 and isinstance(value[0], str)
                    visit([*path, value[0]] if named else [*path, str(place)], value[1] if named else value, depth + 1)
        elif hasattr(item, "get_params") and not isinstance(item, type):
            seen.add(id(item))
            found.append((path, item))
            for name, value in item.get_params(deep=False).items():
                visit(path if name in ("steps", "transformers", "estimators", "transformer_list") else [*path, name], value, depth + 1)
        elif type(item).__name__ == "ValidSplit":
            seen.add(id(item))
            found.append((path, item))

    visit([], estimator, 0)
    return found


def _place(path, owner, parameter):
    full = "__".join([*path, parameter] if parameter else path)
    return {"step": path[0] if path else type(owner).__name__, "parameter": full, "estimator": type(owner).__name__}


def _fix(path, owner, parameter, value):
    name = "__".join([*path, parameter])
    return f"estimator.set_params({name}={value})"


def _error(path, owner, parameter, code, message, fix, *, kind=None, severity="error", status=None, **evidence):
    finding = Finding(code, severity, message, _place(path, owner, parameter), evidence, fix, status)
    return Flaw(finding, owner, parameter, kind or code)


def _early_stopping(path, owner, params, n_rows):
    if "early_stopping" in params:
        value = params["early_stopping"]
        if isinstance(value, (bool, np.bool_, str)) and value and params.get("validation_fraction", 0.1) is not None:
            quiet = value == "auto" and n_rows is not None and n_rows <= _HGB_AUTO
            when = f"on {n_rows} rows it stays off, above {_HGB_AUTO} it switches on" if quiet else "neighbours with overlapping labels stand on both sides"
            yield _error(
                path, owner, "early_stopping", "random_early_stopping",
                f"{type(owner).__name__} stops early on a random part of the training rows; {when}.",
                _fix(path, owner, "early_stopping", False), severity="warning" if quiet else "error", early_stopping=value,
            )  # fmt: skip
    elif params.get("n_iter_no_change") is not None and "validation_fraction" in params:
        yield _error(
            path, owner, "n_iter_no_change", "random_early_stopping",
            f"{type(owner).__name__} stops early on a random part of the training rows.",
            _fix(path, owner, "n_iter_no_change", None), n_iter_no_change=params["n_iter_no_change"],
        )  # fmt: skip


def _out_of_bag(path, owner, params, n_rows):
    if params.get("oob_score"):
        yield _error(
            path, owner, "oob_score", "oob_score",
            f"{type(owner).__name__} scores itself on out-of-bag rows, whose neighbours are in the bag: with overlapping labels that reads far too high.",
            _fix(path, owner, "oob_score", False),
        )  # fmt: skip


def _train_split(path, owner, params, n_rows):
    if "train_split" not in params:
        return
    value = params["train_split"]
    if value is None or (isinstance(value, str) and value == "last") or type(value).__name__ == "ValidSplit":
        return  # a ValidSplit is a node of its own
    if type(value).__module__.startswith("sktrain"):
        return
    inner = getattr(value, "func", value)
    if getattr(inner, "__name__", "") == "_make_split":  # skorch's predefined_split: a data set bound from outside
        message = "The net validates on rows bound from outside: nothing tells whether they are later and unseen."
        yield _error(path, owner, "train_split", "bound_data", message, _fix(path, owner, "train_split", None), severity="warning", status=INCONCLUSIVE)
        return
    message = f"The validation split {value!r} of the net cannot be judged."
    yield _error(path, owner, "train_split", "unknown_split", message, _fix(path, owner, "train_split", None), severity="warning", status=INCONCLUSIVE)


def _frozen(path, owner, params, n_rows):
    if type(owner).__name__ == "FrozenEstimator":
        message = "A frozen estimator is not refitted in the folds: it leaks if it was fitted on any of their rows."
        yield _error(path, owner, "estimator", "prefitted", message, "put the unfitted estimator into the pipeline", severity="error", status=INCONCLUSIVE)


def _bound(path, owner, params, n_rows):
    for name, value in params.items():
        if name in ("cv", "steps") or not isinstance(value, (pd.DataFrame, pd.Series, np.ndarray)):
            continue
        if len(np.shape(value)) and len(value) >= _BOUND_ROWS:
            yield _error(
                path, owner, name, "bound_data", f"{len(value)} rows are bound in the constructor: every fold sees all of them.",
                "pass the data as columns of X", severity="warning", status=INCONCLUSIVE, rows=len(value),
            )  # fmt: skip


def _named_holdout(path, owner, params, n_rows):
    for name in ("validation_split", "validation_size", "val_size", "val_fraction", "holdout", "holdout_fraction"):
        value = params.get(name)
        if isinstance(value, (int, float)) and value and not type(owner).__module__.startswith("sktrain"):
            message = f"{type(owner).__name__} holds out {value} of its training rows; whether in order and purged is not known."
            yield _error(path, owner, name, "unknown_split", message, "", severity="warning", status=INCONCLUSIVE)


def inner_cv_errors(cv, owner="", horizon=None):
    """Judge an inner splitter by the folds it makes of 3000 daily rows. Returns (worst severity or None, sentence)."""
    n = 3000
    labels = (np.arange(n) // 7) % 2
    X = pd.DataFrame({"x": np.sin(np.arange(n) * 1.7)}, pd.date_range("2010-01-01", periods=n))
    y = pd.Series(labels, X.index)
    ends = None
    if horizon is not None:
        ends = X.index[np.minimum(np.arange(n) + horizon, n - 1)]
        y.attrs["label_horizon"] = horizon
    rows, targets = (X.to_numpy(), labels) if owner in _ARRAYS else (X, y)
    try:
        with quiet():
            folds = list(cv.split(rows, targets))
    except Exception as error:  # reported as a splitter that could not be judged
        return "unknown", f"it could not be tried on made-up rows ({type(error).__name__}: {error})"
    report = check_split(folds, X, y, ends, horizon=None if horizon is not None else getattr(cv, "horizon", None))
    errors = [f for f in report.findings if f.severity == "error"]
    ordering = [f for f in errors if f.code in ("order", "shared_rows", "repeated_rows", "empty_fold")]
    if ordering:
        return "error", ordering[0].message
    if errors:
        return "error" if horizon else "warning", errors[0].message
    if horizon is None and getattr(cv, "horizon", 0) == 0 and not hasattr(cv, "embargo_bars"):
        return "warning", "it keeps the order but purges no overlapping labels"
    return None, ""


def _inner_cv(path, owner, params, horizon=None, panel=False):
    if "cv" not in params and type(owner).__name__ != "ValidSplit":
        return
    kind = type(owner).__name__
    value = owner.cv if kind == "ValidSplit" else params["cv"]
    if kind.endswith("Chain") and value is None:
        return  # a chain without cv uses the true labels
    code = "shuffled_encoder" if kind == "TargetEncoder" else "skorch_valid_split" if kind == "ValidSplit" else "inner_cv"
    parameter = "" if kind == "ValidSplit" else "cv"
    good = "CombinatorialPurgedCV(n_blocks=5, n_test_blocks=1, horizon=...)" if kind in _PARTITION else _WALK
    fix = _fix(path[:-1] if kind == "ValidSplit" else path, owner, "train_split" if kind == "ValidSplit" else "cv", "..." if kind == "ValidSplit" else good)
    if kind == "ValidSplit":
        fix = fix.replace("...", "ValidSplit(TemporalSplitter(0.85, 0.15, 0, horizon=...))")
    if value == "prefit" if isinstance(value, str) else False:
        message = f"{kind} uses estimators fitted before: they leak if they saw rows of these folds."
        yield _error(path, owner, parameter, "prefitted", message, fix, severity="error", status=INCONCLUSIVE)
    elif value is None or isinstance(value, (int, float, np.integer)):
        yield _error(path, owner, parameter, code, _default_cv_message(kind, value), fix, cv=value)
    elif not hasattr(value, "split"):
        message = f"{kind} holds index pairs bound in its constructor: they belong to other rows in every outer fold."
        yield _error(path, owner, parameter, "bound_folds", message, fix, kind="inner_cv")
    else:
        severity, why = inner_cv_errors(value, kind, horizon)
        if severity is not None:
            status = INCONCLUSIVE if severity == "unknown" else None
            text = f"The inner cv of {kind}, {value!r}: {why}"
            yield _error(path, owner, parameter, code, text, fix, severity="warning" if severity == "unknown" else severity, status=status)
        if kind in _STRIPS and severity != "error":
            yield _stripped(path, owner, value, panel)


def _stripped(path, owner, cv, panel):
    """A splitter that is handed bare rows: right for one instrument in order with a horizon of its own, else it cannot purge."""
    kind = type(owner).__name__
    message = f"{kind} hands {type(cv).__name__} an array without times: the order of rows is taken for the order of time"
    if panel:
        message += ", and rows of several symbols at one time are torn apart."
        fix = "choose within GridSearchCV or OptunaSearchCV over the pipeline: they hand X itself to the splitter"
        return _error(path, owner, "cv", "index_stripped", message, fix, severity="warning", status=INCONCLUSIVE)
    if getattr(cv, "horizon", None) is None and hasattr(cv, "embargo_bars"):
        message += ", and the labels' horizon is lost."
        fix = _fix(path, owner, "cv__horizon", "...")
        return _error(path, owner, "cv", "index_stripped", message, fix, severity="warning", status=INCONCLUSIVE)
    return _error(path, owner, "cv", "index_stripped", message + ".", "give rows of one instrument in order of time", severity="warning", status=PASS)


def _default_cv_message(kind, value):
    if kind == "TargetEncoder":
        return "TargetEncoder encodes training rows by folds that are shuffled: each row's code holds the labels of its neighbours."
    if kind == "ValidSplit":
        return "skorch's validation split takes folds without regard to time: it validates on the oldest rows, or on random ones."
    if value is None:
        how = "leave-one-out" if kind.startswith("Ridge") else "5 unpurged folds"
        return f"{kind} chooses by its default cv, {how}: it trains on rows later than those it scores, and on overlapping labels."
    if isinstance(value, float):
        return f"{kind} chooses on a random {value:.0%} of its rows."
    return f"{kind} chooses by {value} unpurged folds: it trains on rows later than those it scores, and on overlapping labels."


def _resampled(path, owner, params, n_rows):
    """A sampler before a step that validates inside: the made-up rows stand on both sides of the inner cut."""
    steps = [step for step in params.get("steps") or [] if isinstance(step, (list, tuple)) and len(step) == 2]
    for place, (name, step) in enumerate(steps):
        if not hasattr(step, "fit_resample") or type(step).__module__.startswith("sktrain.labels"):
            continue
        for _, later in steps[place + 1 :]:
            inside = [item for _, item in nodes(later) if _validates_inside(item)]
            if inside:
                yield _error(
                    path, owner, name, "resampling_before_cv",
                    f"{type(step).__name__} makes rows before {type(inside[0]).__name__} splits them: copies stand on both sides of the inner cut.",
                    f"put the sampler inside: {type(inside[0]).__name__}(imblearn.pipeline.make_pipeline({type(step).__name__}(), model))",
                )  # fmt: skip
                break


def _validates_inside(item):
    params = item.get_params(deep=False) if hasattr(item, "get_params") else {}
    if type(item).__name__.endswith("Chain") and params.get("cv") is None:
        return False
    return "cv" in params or bool(params.get("oob_score")) or params.get("early_stopping") is True or hasattr(params.get("train_split"), "cv")


def _grid(path, owner, params, n_rows):
    """Values a search may set: a grid that switches a random inner split on is a leak as well."""
    for name in ("param_grid", "param_distributions"):
        spaces = params.get(name)
        for space in spaces if isinstance(spaces, (list, tuple)) else [spaces]:
            if not isinstance(space, dict):
                continue
            for key, values in space.items():
                last = str(key).split("__")[-1]
                options = list(values) if isinstance(values, (list, tuple, np.ndarray)) else []
                bad = [v for v in options if not hasattr(v, "split") and _bad_value(last, v)]
                if bad:
                    yield _error(path, owner, name, "inner_split_in_grid", f"The search tries {key}={bad[0]!r}, a random inner split.", f"drop {bad[0]!r} from {key}", kind="grid", key=key)


def _bad_value(name, value):
    if name in ("early_stopping", "oob_score"):
        return bool(value)
    return name == "cv" and (value is None or isinstance(value, (int, float)))


def _tree(code):
    try:
        return ast.parse(textwrap.dedent(source.getsource(code)))
    except (OSError, TypeError, SyntaxError, IndentationError):  # built at run time, or compiled: there is nothing to read
        return None


def _own_code(owner):
    """The source trees of an object's own classes and of the functions of their modules that they call, breadth first."""
    waiting = [cls for cls in type(owner).__mro__ if cls.__module__.partition(".")[0] not in (*_LIBRARIES, "builtins")]
    seen = set()
    while waiting and len(seen) < _MOST_SOURCES:
        code = waiting.pop(0)
        tree = None if code in seen else _tree(code)
        seen.add(code)
        if tree is None:
            continue
        yield tree
        scope = getattr(code, "__globals__", None) or vars(sys.modules.get(code.__module__, object()))
        for node in ast.walk(tree):
            called = scope.get(node.id) if isinstance(node, ast.Name) else None
            if source.isfunction(called) and called.__module__.partition(".")[0] not in _LIBRARIES:
                waiting.append(called)


def _reads_random(path, owner, params, n_rows):
    """Own code that calls a random split in its methods, or in functions they call."""
    if type(owner).__module__.partition(".")[0] in _LIBRARIES:
        return
    for tree in _own_code(owner):
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            keywords = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
            ordered = name == "train_test_split" and keywords.get("shuffle") is False
            if (name in _RANDOM_CALLS and not ordered) or name in _FOLD_CALLS:
                message = f"{type(owner).__name__} calls {name} on its training rows: neighbours with overlapping labels stand on both sides."
                yield _error(path, owner, "", "inner_split", message, "split in order, purged: TemporalSplitter(horizon=...)", line=call.lineno)
                return
            if name in ("permutation", "shuffle"):
                message = f"{type(owner).__name__} shuffles rows ({name}); whether it validates on them could not be told."
                yield _error(path, owner, "", "unknown_split", message, "split in order, purged", severity="warning", status=INCONCLUSIVE, line=call.lineno)
                return


def sampled_validation(path, owner, params, n_rows):
    """Samplers before a net: see ``_samplers``."""
    for name, sampler, place, net, why in samplers_before_nets(params):
        yield _error(
            [*path, *place], net, "train_split", "resampled_validation",
            f"{type(net).__name__} validates on the last rows it is given, and {type(sampler).__name__} {why}.",
            f"{name}=WindowSMOTE(random_state=0)  # made-up rows stand at the time of their later parent", sampler=name,
        )  # fmt: skip


_RULES = (_early_stopping, _out_of_bag, _train_split, _frozen, _bound, _named_holdout, _resampled, sampled_validation, _grid, _reads_random)


def find_flaws(estimator, *, n_rows=None, horizon=None, panel=False):
    """All flaws of an estimator, in the order of its steps."""
    flaws = []
    for path, owner in nodes(estimator):
        params = owner.get_params(deep=False) if hasattr(owner, "get_params") else {}
        for rule in _RULES:
            flaws += rule(path, owner, params, n_rows)
        flaws += _inner_cv(path, owner, params, horizon, panel)
    return flaws


def inspect_estimator(estimator, *, n_rows=None, horizon=None, panel=False):
    """See ``LeakageValidator.inspect``."""
    if isinstance(estimator, type):
        raise TypeError(f"inspect needs an estimator, got the class {estimator.__name__}: pass {estimator.__name__}().")
    if not hasattr(estimator, "get_params") and not isinstance(estimator, BaseEstimator):
        finding = Finding("not_an_estimator", "error", f"{type(estimator).__name__} has no get_params: its parameters cannot be walked.", status=INCONCLUSIVE)
        return LeakageReport([finding], {"inner splits": INCONCLUSIVE})
    findings = [flaw.finding for flaw in find_flaws(estimator, n_rows=n_rows, horizon=horizon, panel=panel)]
    failed = any(finding.status == FAIL for finding in findings)
    open_question = any(finding.status == INCONCLUSIVE for finding in findings)
    return LeakageReport(findings, {"inner splits": FAIL if failed else INCONCLUSIVE if open_question else PASS})

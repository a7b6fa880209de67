"""Leaks in the parameters of an estimator; nothing is fitted.

Every parameter is walked, through pipelines, lists of estimators, searches and their grids, and
nets. An inner splitter is assessed by experiment on made-up rows (``_inner_cv``), code that is not
from a library is read for calls that split at random (``_own_code``).
"""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import has_fit_parameter

from ._flaws import flaw, nodes, set_to
from ._inner_cv import inner_cv
from ._own_code import reads_random
from ._report import FAIL, INCONCLUSIVE, PASS, Finding, LeakageReport
from ._samplers import samplers_before_nets, validates_last

__all__ = ["find_flaws", "inspect_estimator"]

# scikit-learn switches early_stopping="auto" on above so many rows (its documentation)
_HGB_AUTO = 10_000
# a judgment: shorter arrays are parameters, such as class weights or edges of bins
_BOUND_ROWS = 100


def _early_stopping(path, owner, params, n_rows):
    if "early_stopping" in params:
        value = params["early_stopping"]
        if (
            isinstance(value, (bool, np.bool_, str))
            and value
            and params.get("validation_fraction", 0.1) is not None
        ):
            quiet = value == "auto" and n_rows is not None and n_rows <= _HGB_AUTO
            when = (
                f"on {n_rows} rows it stays off, above {_HGB_AUTO} it switches on"
                if quiet
                else "neighbours with overlapping labels stand on both sides"
            )
            yield flaw(
                path, owner, "early_stopping", "random_early_stopping",
                f"{type(owner).__name__} stops early on a random part of the training rows; "
                f"{when}.",
                set_to(path, owner, "early_stopping", False),
                severity="warning" if quiet else "error",
                early_stopping=value,
            )
    elif params.get("n_iter_no_change") is not None and "validation_fraction" in params:
        yield flaw(
            path, owner, "n_iter_no_change", "random_early_stopping",
            f"{type(owner).__name__} stops early on a random part of the training rows.",
            set_to(path, owner, "n_iter_no_change", None),
            n_iter_no_change=params["n_iter_no_change"],
        )


def _out_of_bag(path, owner, params, n_rows):
    if params.get("oob_score"):
        yield flaw(
            path, owner, "oob_score", "oob_score",
            f"{type(owner).__name__} scores itself on out-of-bag rows, whose neighbours are in "
            "the bag: with overlapping labels that reads far too high.",
            set_to(path, owner, "oob_score", False),
        )


def _train_split(path, owner, params, n_rows):
    if "train_split" not in params:
        return
    value = params["train_split"]
    if (
        value is None
        or (isinstance(value, str) and value == "last")
        or type(value).__name__ == "ValidSplit"
    ):
        return  # a ValidSplit is a node of its own
    if type(value).__module__.startswith("sktrain"):
        return
    inner = getattr(value, "func", value)
    # skorch's predefined_split: a data set bound from outside
    if getattr(inner, "__name__", "") == "_make_split":
        message = (
            "The net validates on rows bound from outside: nothing tells whether they are later "
            "and unseen."
        )
        yield flaw(
            path, owner, "train_split", "bound_data", message,
            set_to(path, owner, "train_split", None),
            severity="warning",
            status=INCONCLUSIVE,
        )
        return
    message = f"The validation split {value!r} of the net cannot be assessed."
    yield flaw(
        path, owner, "train_split", "unknown_split", message,
        set_to(path, owner, "train_split", None),
        severity="warning",
        status=INCONCLUSIVE,
    )


def _frozen(path, owner, params, n_rows):
    if type(owner).__name__ == "FrozenEstimator":
        message = (
            "A frozen estimator is not refitted in the folds: it leaks if it was fitted on any of "
            "their rows."
        )
        yield flaw(
            path, owner, "estimator", "prefitted", message,
            "put the unfitted estimator into the pipeline", severity="error", status=INCONCLUSIVE,
        )


def _bound(path, owner, params, n_rows):
    for name, value in params.items():
        if name in ("cv", "steps") or not isinstance(value, (pd.DataFrame, pd.Series, np.ndarray)):
            continue
        if len(np.shape(value)) and len(value) >= _BOUND_ROWS:
            yield flaw(
                path, owner, name, "bound_data",
                f"{len(value)} rows are bound in the constructor: every fold sees all of them.",
                "pass the data as columns of X", severity="warning", status=INCONCLUSIVE,
                rows=len(value),
            )


def _named_holdout(path, owner, params, n_rows):
    for name in (
        "validation_split", "validation_size", "val_size", "val_fraction", "holdout",
        "holdout_fraction",
    ):
        value = params.get(name)
        if (
            isinstance(value, (int, float))
            and value
            and not type(owner).__module__.startswith("sktrain")
        ):
            message = (
                f"{type(owner).__name__} holds out {value} of its training rows; whether in order "
                "and purged is not known."
            )
            yield flaw(
                path, owner, name, "unknown_split", message, "", severity="warning",
                status=INCONCLUSIVE,
            )


def _resampled(path, owner, params, n_rows):
    """A sampler before a step that validates inside: the made-up rows stand on both sides of the
    inner cut."""
    steps = [
        step
        for step in params.get("steps") or []
        if isinstance(step, (list, tuple)) and len(step) == 2
    ]
    for place, (name, step) in enumerate(steps):
        if not hasattr(step, "fit_resample") or type(step).__module__.startswith("sktrain.labels"):
            continue
        for _, later in steps[place + 1 :]:
            inside = [item for _, item in nodes(later) if _validates_inside(item)]
            if inside:
                sampler, splitter = type(step).__name__, type(inside[0]).__name__
                yield flaw(
                    path, owner, name, "resampling_before_cv",
                    f"{sampler} makes rows before {splitter} splits them: copies stand on both "
                    "sides of the inner cut.",
                    f"put the sampler inside: {splitter}(imblearn.pipeline.make_pipeline("
                    f"{sampler}(), model))",
                )
                break


def _drawn(path, owner, params, n_rows):
    """A bag around what validates inside: drawn rows stand in no order and several times. Where
    the estimator takes weights, scikit-learn's bags draw weights instead and the order stays."""
    bagged = params.get("estimator")
    if "max_samples" not in params or not hasattr(bagged, "get_params"):
        return
    sampled = not type(owner).__module__.startswith("sklearn.")  # imbalanced-learn's, by class
    if not sampled and has_fit_parameter(bagged, "sample_weight"):
        return
    bag, fix = type(owner).__name__, ""
    for inner, item in nodes(bagged):
        if validates_last(item) and not sampled:  # a net sees rows that stand class by class
            why = "validates on the last of them, which it trains on as well"
            fix = f"make_pipeline(..., {bag}({type(item).__name__}(...)))  # draws weights then"
        elif _validates_inside(item):
            why = "divides them anew, so copies stand on both sides"
        else:
            continue
        yield flaw(
            [*path, "estimator", *inner], item, "train_split" if fix else "cv",
            "bagged_validation",
            f"{bag} draws rows in any order and several times, and {type(item).__name__} inside "
            f"{why}.",
            fix,
        )  # fmt: skip


def _validates_inside(item):
    params = item.get_params(deep=False) if hasattr(item, "get_params") else {}
    if type(item).__name__.endswith("Chain") and params.get("cv") is None:
        return False
    return (
        "cv" in params
        or bool(params.get("oob_score"))
        or params.get("early_stopping") is True
        or hasattr(params.get("train_split"), "cv")
    )


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
                    yield flaw(
                        path, owner, name, "inner_split_in_grid",
                        f"The search tries {key}={bad[0]!r}, a random inner split.",
                        f"drop {bad[0]!r} from {key}", kind="grid", key=key,
                    )


def _bad_value(name, value):
    if name in ("early_stopping", "oob_score"):
        return bool(value)
    return name == "cv" and (value is None or isinstance(value, (int, float)))


def sampled_validation(path, owner, params, n_rows):
    """Samplers before a net: see ``_samplers``."""
    for name, sampler, place, net, why in samplers_before_nets(params):
        yield flaw(
            [*path, *place],
            net, "train_split", "resampled_validation",
            f"{type(net).__name__} validates on the last rows it is given, and "
            f"{type(sampler).__name__} {why}.",
            f"{name}=WindowSMOTE(random_state=0)  # made-up rows stand at the time of their later "
            "parent",
            sampler=name,
        )


_RULES = (
    _early_stopping, _out_of_bag, _train_split, _frozen, _bound, _named_holdout, _resampled,
    _drawn, sampled_validation, _grid, reads_random,
)


def find_flaws(estimator, *, n_rows=None, horizon=None, panel=False):
    """All flaws of an estimator, in the order of its steps."""
    flaws = []
    for path, owner in nodes(estimator):
        params = owner.get_params(deep=False) if hasattr(owner, "get_params") else {}
        for rule in _RULES:
            flaws += rule(path, owner, params, n_rows)
        flaws += inner_cv(path, owner, params, horizon, panel)
    return flaws


def inspect_estimator(estimator, *, n_rows=None, horizon=None, panel=False):
    """See ``LeakageValidator.inspect``."""
    if isinstance(estimator, type):
        raise TypeError(
            f"inspect needs an estimator, got the class {estimator.__name__}: pass "
            f"{estimator.__name__}()."
        )
    if not hasattr(estimator, "get_params") and not isinstance(estimator, BaseEstimator):
        finding = Finding(
            "not_an_estimator", "error",
            f"{type(estimator).__name__} has no get_params: its parameters cannot be walked.",
            status=INCONCLUSIVE,
        )
        return LeakageReport([finding], {"inner splits": INCONCLUSIVE})
    findings = [
        flaw.finding for flaw in find_flaws(estimator, n_rows=n_rows, horizon=horizon, panel=panel)
    ]
    failed = any(finding.status == FAIL for finding in findings)
    open_question = any(finding.status == INCONCLUSIVE for finding in findings)
    return LeakageReport(
        findings, {"inner splits": FAIL if failed else INCONCLUSIVE if open_question else PASS}
    )

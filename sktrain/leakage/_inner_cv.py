"""Splitters inside of estimators, each assessed by the folds it makes of made-up rows."""

import numpy as np
import pandas as pd

from ._experiments import quiet
from ._flaws import flaw, set_to
from ._report import INCONCLUSIVE, PASS
from ._splits import check_split

__all__ = ["PARTITIONED", "STRIPPED", "inner_cv", "inner_cv_errors"]

# hand the splitter a bare array, so that it sees neither times nor symbols; tests/leakage holds
# this to scikit-learn
STRIPPED = (
    "RFECV", "SequentialFeatureSelector", "LogisticRegressionCV", "RidgeClassifierCV", "LassoCV",
    "ElasticNetCV", "LassoLarsCV", "LarsCV", "OrthogonalMatchingPursuitCV", "MultiTaskLassoCV",
    "MultiTaskElasticNetCV",
)
_ARRAYS = (*STRIPPED, "StackingClassifier", "StackingRegressor", "ValidSplit")
PARTITIONED = (
    "StackingClassifier", "StackingRegressor", "TargetEncoder", "ClassifierChain", "RegressorChain",
)
WALK_FORWARD = "EnhancedWalkForwardCV(n_splits=5, horizon=...)"


def inner_cv_errors(cv, owner="", horizon=None):
    """Assess an inner splitter by the folds it makes of 3000 daily rows. Returns (worst severity or
    None, sentence)."""
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
    except Exception as error:  # reported as a splitter that could not be assessed
        return "unknown", f"it could not be tried on made-up rows ({type(error).__name__}: {error})"
    report = check_split(
        folds, X, y, ends, horizon=None if horizon is not None else getattr(cv, "horizon", None)
    )
    errors = [f for f in report.findings if f.severity == "error"]
    ordering = [
        f for f in errors if f.code in ("order", "shared_rows", "repeated_rows", "empty_fold")
    ]
    if ordering:
        return "error", ordering[0].message
    if errors:
        return "error" if horizon else "warning", errors[0].message
    if horizon is None and getattr(cv, "horizon", 0) == 0 and not hasattr(cv, "embargo_bars"):
        return "warning", "it keeps the order but purges no overlapping labels"
    return None, ""


def _repaired(path, owner):
    """The parameter that holds the inner folds, its code, and the line that mends it."""
    kind = type(owner).__name__
    if kind == "ValidSplit":
        whole = "ValidSplit(TemporalSplitter(0.85, 0.15, 0, horizon=...))"
        return "", "skorch_valid_split", set_to(path[:-1], owner, "train_split", whole)
    good = (
        "CombinatorialPurgedCV(n_blocks=5, n_test_blocks=1, horizon=...)"
        if kind in PARTITIONED
        else WALK_FORWARD
    )
    code = "shuffled_encoder" if kind == "TargetEncoder" else "inner_cv"
    return "cv", code, set_to(path, owner, "cv", good)


def inner_cv(path, owner, params, horizon=None, panel=False):
    kind = type(owner).__name__
    if "cv" not in params and kind != "ValidSplit":
        return
    value = owner.cv if kind == "ValidSplit" else params["cv"]
    if kind.endswith("Chain") and value is None:
        return  # a chain without cv uses the true labels
    parameter, code, fix = _repaired(path, owner)
    if isinstance(value, str) and value == "prefit":
        message = (
            f"{kind} uses estimators fitted before: they leak if they saw rows of these folds."
        )
        yield flaw(
            path, owner, parameter, "prefitted", message, fix, severity="error", status=INCONCLUSIVE
        )
    elif value is None or isinstance(value, (int, float, np.integer)):
        yield flaw(path, owner, parameter, code, _default_cv_message(kind, value), fix, cv=value)
    elif not hasattr(value, "split"):
        message = (
            f"{kind} holds index pairs bound in its constructor: they belong to other rows in "
            "every outer fold."
        )
        yield flaw(path, owner, parameter, "bound_folds", message, fix, kind="inner_cv")
    else:
        severity, why = inner_cv_errors(value, kind, horizon)
        if severity is not None:
            status = INCONCLUSIVE if severity == "unknown" else None
            text = f"The inner cv of {kind}, {value!r}: {why}"
            yield flaw(
                path, owner, parameter, code, text, fix,
                severity="warning" if severity == "unknown" else severity,
                status=status,
            )
        if kind in STRIPPED and severity != "error":
            yield _stripped(path, owner, value, panel)


def _stripped(path, owner, cv, panel):
    """A splitter that is handed bare rows: right for one instrument in order with a horizon of its
    own, else it cannot purge."""
    kind = type(owner).__name__
    message = (
        f"{kind} hands {type(cv).__name__} an array without times: the order of rows is taken for "
        "the order of time"
    )
    if panel:
        message += ", and rows of several symbols at one time are torn apart."
        fix = (
            "choose within GridSearchCV or OptunaSearchCV over the pipeline: they hand X itself "
            "to the splitter"
        )
        return flaw(
            path, owner, "cv", "index_stripped", message, fix, severity="warning",
            status=INCONCLUSIVE,
        )
    if getattr(cv, "horizon", None) is None and hasattr(cv, "embargo_bars"):
        message += ", and the labels' horizon is lost."
        fix = set_to(path, owner, "cv__horizon", "...")
        return flaw(
            path, owner, "cv", "index_stripped", message, fix, severity="warning",
            status=INCONCLUSIVE,
        )
    return flaw(
        path, owner, "cv", "index_stripped",
        message + ".",
        "give rows of one instrument in order of time",
        severity="warning",
        status=PASS,
    )


def _default_cv_message(kind, value):
    if kind == "TargetEncoder":
        return (
            "TargetEncoder encodes training rows by folds that are shuffled: each row's code "
            "holds the labels of its neighbours."
        )
    if kind == "ValidSplit":
        return (
            "skorch's validation split takes folds without regard to time: it validates on the "
            "oldest rows, or on random ones."
        )
    if value is None:
        how = "leave-one-out" if kind.startswith("Ridge") else "5 unpurged folds"
        return (
            f"{kind} chooses by its default cv, {how}: it trains on rows later than those it "
            "scores, and on overlapping labels."
        )
    if isinstance(value, float):
        return f"{kind} chooses on a random {value:.0%} of its rows."
    return (
        f"{kind} chooses by {value} unpurged folds: it trains on rows later than those it scores, "
        "and on overlapping labels."
    )

"""Does a value depend on what came later, or on how much came before? A transformer and bars enter; findings leave.

By experiment: see ``_experiments``. Nothing is read from the source of the transformer.
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from .._history import get_history
from ._experiments import Experiment, Output, UnusableOutputError, apply, differ, fitted, quiet
from ._poison import block, poisonable, row_times, take
from ._report import FAIL, INCONCLUSIVE, NOT_CHECKED, PASS, Finding, LeakageReport

__all__ = ["check_causality", "check_warmup", "cannot", "reason"]

_FEWEST = 30  # unique times below which no cut leaves enough on both sides
_LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
_NAMES = {"noise": "other values", "noise_down": "other values", "shuffle": "another order", "truncation": "no rows", "noise after gaps": "other values"}


def cannot(check, code, message, *, where=None, fix="", severity="error"):
    """A report of a check that could not be made."""
    status = INCONCLUSIVE if code != "not_checked" else NOT_CHECKED
    return LeakageReport([Finding(code, severity, message, where or {}, {}, fix, status)], {check: status})


def reason(error):
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _name(model):
    if hasattr(model, "fit") or hasattr(model, "transform"):
        return type(model).__name__
    return getattr(model, "__name__", type(model).__name__)


def _refuse(model, X, check):
    """A report when the experiment makes no sense, else None."""
    if isinstance(model, type):
        return cannot(check, "not_checked", f"{model.__name__} is a class: pass an instance, {model.__name__}().")
    if not (callable(model) or any(hasattr(model, name) for name in ("transform", "predict", "predict_proba"))):
        return cannot(check, "not_checked", f"{_name(model)} has neither transform nor predict, and cannot be called.")
    if not poisonable(X):
        return cannot(check, "not_checked", f"Rows of type {type(X).__name__} cannot be poisoned: pass a DataFrame, an array or a list.")
    times = len(np.unique(row_times(X)))
    if times < _FEWEST:
        return cannot(check, "not_checked", f"{times} unique times are too few to cut: {_FEWEST} are needed.")
    return None


def _transforming_part(model):
    """A pipeline without the classifier that ends it; anything else as it is."""
    if isinstance(model, Pipeline) and not hasattr(model.steps[-1][1], "transform") and model.steps[-1][1] != "passthrough":
        return model[:-1] if len(model.steps) > 1 else model
    return model


def check_causality(model, X, y=None, *, horizon=None, where=None, most_times=3000, seed=0):
    """See ``LeakageValidator.check_causality``."""
    refused = _refuse(model, X, "causality")
    if refused is not None:
        return refused
    findings = []
    if y is None and _transforming_part(model) is not model:
        model = _transforming_part(model)
        findings.append(Finding("final_step", "info", "Without y only the transforming steps were checked.", {}, {}, "pass y to check the predictions too"))
    experiment = Experiment(model, X, y, horizon=horizon, most_times=most_times, seed=seed)
    try:
        change, runs = experiment.first_change()
    except UnusableOutputError as error:
        code = "rows_dropped" if "rows for" in str(error) else "unstable_output" if "differ" in str(error) else "could_not_run"
        report = cannot("causality", code, f"{_name(model)}: {' '.join(str(error).split())[:300]}", where={"step": _name(model), **(where or {})}, fix=_FIXES[code])
        return LeakageReport([*findings, *report.findings], report.checks)
    except Exception as error:  # any failure of the user's code is reported, none is a pass
        report = cannot("causality", "could_not_run", f"{_name(model)} could not be run: {reason(error)}", where={"step": _name(model), **(where or {})})
        return LeakageReport([*findings, *report.findings], report.checks)
    findings += _closure(model)
    if change is None:
        return LeakageReport(findings, {"causality": PASS if runs else INCONCLUSIVE})
    findings.append(_look_ahead(model, experiment, change, where))
    return LeakageReport(findings, {"causality": FAIL})


_FIXES = {
    "rows_dropped": "return one row per input row, with NaN where a value is unknown",
    "unstable_output": "set random_state",
    "could_not_run": "",
}


def _guilty_step(model, experiment, change):
    """The first step of a pipeline whose output already moves."""
    if not isinstance(model, Pipeline):
        return None
    for last in range(1, len(model.steps)):
        part = Experiment(model[:last], experiment.X, experiment.y, seed=experiment.seed)
        try:
            if hasattr(part.model, "transform") and part.first_change()[0] is not None:
                return model.steps[last - 1][0]
        except UnusableOutputError:
            return None
    return model.steps[-1][0]


def _look_ahead(model, experiment, change, where):
    step = _guilty_step(model, experiment, change)
    place = {"step": step or _name(model), **(where or {})}
    place.update({"column": change.column, "row": change.row})
    if change.time is not None:
        place["time"] = str(change.time)
    if change.premature:
        message = f"Labels whose outcome lies after the last bar are given as {change.now!r} instead of unknown."
        return Finding("premature_label", "error", message, place, {"rows": change.n_rows, "label": change.now}, "labels.iloc[-horizon:] = np.nan")
    inputs = experiment.guilty(change)
    place["input"] = ", ".join(map(str, inputs)) if inputs else None
    labeler = experiment.is_labeler or bool(experiment.ends is not None and (experiment.ends > experiment.times).any())
    evidence = {
        "experiment": change.kind,
        "bars_ahead": change.bars_ahead,
        "rows_changed": change.n_rows,
        "columns_changed": len(change.columns),
        "before": change.was,
        "after": change.now,
    }
    if labeler:
        message = f"Labels change when bars after their declared end change: they look further ahead than they say (horizon {experiment.horizon})."
        return Finding("label_horizon", "error", message, place, evidence, 'labels.attrs["label_horizon"] = ...  # the bars really used')
    message = (
        f"Column {change.column!r} at row {change.row} changes when the future is given {_NAMES.get(change.kind, change.kind)}: "
        f"it looks at least {max(change.bars_ahead, 1)} bar(s) ahead."
    )
    return Finding("look_ahead", "error", message, place, evidence, _paste(change))


def _paste(change):
    if change.bars_ahead > 200:
        return "learn statistics in fit, from the training rows only, not in transform"
    return f"shift the column so that it uses past bars only: .shift({max(change.bars_ahead, 1)})"


def _closure(model):
    """Frames a function carries in its closure cannot be poisoned: say so."""
    function = getattr(model, "func", model)
    cells = getattr(function, "__closure__", None) or ()
    bound = [cell.cell_contents for cell in cells if isinstance(getattr(cell, "cell_contents", None), (pd.DataFrame, pd.Series))]
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    scope = getattr(function, "__globals__", {})
    bound += [scope[name] for name in names if isinstance(scope.get(name), (pd.DataFrame, pd.Series))]
    if bound:
        yield Finding(
            "bound_data", "warning", f"{_name(model)} reads {len(bound)} frame(s) from outside its arguments; their future was not destroyed.",
            {"step": _name(model)}, {"frames": len(bound)}, "pass the data as columns of the bars", INCONCLUSIVE,
        )  # fmt: skip


# -- warm-up ------------------------------------------------------------------------------------------------------------------


def check_warmup(model, X, y=None, *, seed=0):
    """See ``LeakageValidator.check_warmup``."""
    refused = _refuse(model, X, "warmup")
    if refused is not None:
        return refused
    model = _transforming_part(model)
    X, _ = block(X, 4000)
    if get_history(X) is not None:  # the whole point is to see what happens without it
        X = X.copy(deep=False)
        X.attrs = {key: value for key, value in X.attrs.items() if key != "history"}
    try:
        lengths, gaps, columns = _memory(model, X, y, seed)
    except (UnusableOutputError, IndexError) as error:
        return cannot("warmup", "could_not_run", f"{_name(model)}: {error}")
    except Exception as error:  # any failure of the user's code is reported, none is a pass
        return cannot("warmup", "could_not_run", f"{_name(model)} could not be run: {reason(error)}")
    finding = _judge_memory(model, lengths, gaps, columns)
    findings = [] if finding is None else [finding]
    return LeakageReport(findings, {"warmup": FAIL if finding is not None and finding.severity == "error" else PASS})


def _memory(model, X, y, seed):
    """For growing lengths of history, how far the last row is from the one with all of it (nan where it is missing)."""
    times = row_times(X)
    unique = np.unique(times)
    n = len(unique)
    ends = [unique[n - 1], unique[int(0.93 * n)], unique[int(0.86 * n)]]
    declared = getattr(model, "lookback_", None)
    gaps, columns = {}, {}
    with quiet(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        past = np.flatnonzero(times <= unique[n // 2])
        learned = fitted(model, take(X, past), None if y is None else take(y, past))
        if hasattr(learned, "tail_"):
            learned.tail_ = None  # the tail remembered in fit is history too
        declared = getattr(learned, "lookback_", declared)
        lengths = sorted({length for length in _LENGTHS if length <= 0.7 * n} | ({declared} if isinstance(declared, int) and declared < 0.8 * n else set()))
        for end in ends:
            upto = take(X, np.flatnonzero(times <= end))
            whole = _last(learned, upto)
            own = unique[unique <= end]
            for length in lengths:
                part = take(upto, np.flatnonzero(row_times(upto) >= own[-length]))
                _compare(gaps, columns, length, whole, _last(learned, part))
    return lengths, gaps, columns


def _last(model, X):
    output = Output.of(apply(model, X), X)
    return output.rows(np.array([len(output.times) - 1]))


def _compare(gaps, columns, length, whole, part):
    for name, value in whole.items():
        other = part.get(name, np.array([np.nan]))
        if pd.isna(other.astype(object)).all():
            continue  # missing: the warm-up is declared
        if differ(value, other).any():
            gap = np.inf
            if value.dtype.kind in "fiu" and other.dtype.kind in "fiu":
                gap = float(abs(value[0] - other[0]) / max(abs(float(value[0])), 1e-12))
            if gap > gaps.get(length, 0.0):
                gaps[length], columns[length] = gap, name


def _judge_memory(model, lengths, gaps, columns):
    if not gaps:
        return None
    declared = getattr(model, "lookback_", None)
    needed = max(gaps)
    longest = lengths[-1]
    wrong = [gaps[length] for length in lengths if length in gaps and np.isfinite(gaps[length])]
    fading = len(wrong) >= 3 and wrong[-1] < 1e-2 * wrong[0]
    evidence = {"differs_at_bars": needed, "relative_difference": gaps[needed], "longest_tried": longest, "declared_lookback": declared}
    place = {"step": _name(model), "column": columns[needed]}
    fix = "use a rolling window of fixed length, with NaN until it is full: .rolling(20).mean()"
    if needed == longest or fading or (isinstance(declared, int) and needed >= declared):
        what = "keeps changing however much history is given" if needed == longest else "fades but never forgets" if fading else f"needs more than {declared} bars"
        return Finding("infinite_memory", "error", f"Column {columns[needed]!r} {what}: live values differ from historical ones.", place, evidence, fix)
    message = f"Column {columns[needed]!r} has other values, not missing ones, when fewer than about {needed} bars are given."
    return Finding("warmup_not_missing", "warning", message, place, evidence, "leave the first rows missing: drop min_periods=1")

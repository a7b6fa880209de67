"""Does a value depend on what came later?

By experiment: see ``_experiments``. Nothing is read from the source of the transformer.
"""

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ._budget import BUDGETS, note
from ._experiments import Experiment
from ._failures import cannot, guarded
from ._outputs import UnusableOutputError
from ._perturbation import perturbable, row_times
from ._report import FAIL, INCONCLUSIVE, PASS, Finding, LeakageReport

__all__ = ["check_causality", "column_name", "name_of", "refuse", "transforming_part"]

_FEWEST = 30  # unique times below which no cut leaves enough on both sides, a judgment
_NAMES = {
    "noise": "other values",
    "noise_down": "other values",
    "shuffle": "another order",
    "truncation": "no rows",
    "noise after gaps": "other values",
}


def column_name(model, column, width):
    """The name of an output column; arrays have none of their own, but the fitted model may know
    it."""
    if not isinstance(column, int) or not hasattr(model, "get_feature_names_out"):
        return column
    try:
        names = model.get_feature_names_out()
    # scikit-learn's ways to say that a step has no names
    except (ValueError, AttributeError, TypeError):
        return column
    return str(names[column]) if len(names) == width else column


def name_of(model):
    if hasattr(model, "fit") or hasattr(model, "transform"):
        return type(model).__name__
    return getattr(model, "__name__", type(model).__name__)


def refuse(model, X, check):
    """A report when the experiment makes no sense, else None."""
    if isinstance(model, type):
        return cannot(
            check,
            "not_checked",
            f"{model.__name__} is a class: pass an instance, {model.__name__}().",
        )
    if not (
        callable(model)
        or any(hasattr(model, name) for name in ("transform", "predict", "predict_proba"))
    ):
        return cannot(
            check,
            "not_checked",
            f"{name_of(model)} has neither transform nor predict, and cannot be called.",
        )
    if not perturbable(X):
        return cannot(
            check,
            "not_checked",
            f"Rows of type {type(X).__name__} cannot be perturbed: pass a DataFrame, an array or a "
            "list.",
        )
    times = len(np.unique(row_times(X)))
    if times < _FEWEST:
        return cannot(
            check, "not_checked", f"{times} unique times are too few to cut: {_FEWEST} are needed."
        )
    return None


def transforming_part(model):
    """A pipeline without the classifier that ends it; anything else as it is."""
    last = model.steps[-1][1] if isinstance(model, Pipeline) else None
    if last not in (None, "passthrough") and (
        hasattr(last, "predict") or not hasattr(last, "transform")
    ):
        return model[:-1] if len(model.steps) > 1 else model
    return model


def check_causality(
    model, X, y=None, *, horizon=None, where=None, most_times=3000, seed=0,
    budget=BUDGETS["standard"],
):
    """See ``LeakageValidator.check_causality``."""
    refused = refuse(model, X, "causality")
    if refused is not None:
        return refused
    findings = []
    if y is None and transforming_part(model) is not model:
        model = transforming_part(model)
        findings.append(
            Finding(
                "final_step",
                "info",
                "Without y only the transforming steps were checked.",
                {},
                {},
                "pass y to check the predictions too",
            )
        )
    place = {"step": name_of(model), **(where or {})}

    def experiments():
        experiment = Experiment(
            model, X, y, horizon=horizon, most_times=most_times, seed=seed, budget=budget
        )
        change = experiment.first_change()
        note("experiments", experiment.tried)
        note("refused", len(experiment.refused))
        findings.extend(_closure(model))
        if change is None:
            return LeakageReport([], {"causality": PASS})
        return LeakageReport([_look_ahead(model, experiment, change, where)], {"causality": FAIL})

    report = guarded(
        "causality", experiments, f"{name_of(model)} could not be held to causality", where=place
    )
    return LeakageReport([*findings, *report.findings], report.checks)


def _culprit_step(model, experiment):
    """The first step of a pipeline whose output already moves."""
    if not isinstance(model, Pipeline):
        return None
    for last in range(1, len(model.steps)):
        part = Experiment(
            model[:last], experiment.X, experiment.y, seed=experiment.seed, budget=experiment.budget
        )
        try:
            if hasattr(part.model, "transform") and part.first_change() is not None:
                return model.steps[last - 1][0]
        except UnusableOutputError:
            return None
    return model.steps[-1][0]


def _look_ahead(model, experiment, change, where):
    step = _culprit_step(model, experiment)
    place = {"step": step or name_of(model), **(where or {})}
    column = experiment.name_of_column(change.column, column_name)
    place.update({"column": column, "row": change.row})
    if change.time is not None:
        place["time"] = str(change.time)
    if change.premature:
        message = (
            f"Labels whose outcome lies after the last bar are given as {change.now!r} instead of "
            "unknown."
        )
        return Finding(
            "premature_label", "error", message, place,
            {"rows": change.n_rows, "label": change.now},
            "labels.iloc[-horizon:] = np.nan",
        )
    inputs = experiment.culprit_columns(change)
    place["input"] = ", ".join(map(str, inputs)) if inputs else None
    labeler = experiment.is_labeler or bool(
        experiment.ends is not None and (experiment.ends > experiment.times).any()
    )
    evidence = {
        "experiment": change.kind,
        "bars_ahead": change.bars_ahead,
        "rows_changed": change.n_rows,
        "columns_changed": len(change.columns),
        "before": change.was,
        "after": change.now,
    }
    if labeler:
        message = (
            "Labels change when bars after their declared end change: they look further ahead "
            f"than they say (horizon {experiment.horizon})."
        )
        return Finding(
            "label_horizon", "error", message, place, evidence,
            'labels.attrs["label_horizon"] = ...  # the bars really used',
        )
    message = (
        f"Column {column!r} at row {change.row} changes when the future is given "
        f"{_NAMES.get(change.kind, change.kind)}: "
        f"it looks at least {max(change.bars_ahead, 1)} bar(s) ahead."
    )
    return Finding("look_ahead", "error", message, place, evidence, _paste(change))


def _paste(change):
    if change.bars_ahead > 200:  # a judgment: no shift, but figures of the whole sample
        return "learn statistics in fit, from the training rows only, not in transform"
    return f"shift the column so that it uses past bars only: .shift({max(change.bars_ahead, 1)})"


def _closure(model):
    """Frames a function carries in its closure cannot be perturbed: say so."""
    function = getattr(model, "func", model)
    cells = getattr(function, "__closure__", None) or ()
    bound = [
        cell.cell_contents
        for cell in cells
        if isinstance(getattr(cell, "cell_contents", None), (pd.DataFrame, pd.Series))
    ]
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    scope = getattr(function, "__globals__", {})
    bound += [
        scope[name] for name in names if isinstance(scope.get(name), (pd.DataFrame, pd.Series))
    ]
    if bound:
        yield Finding(
            "bound_data",
            "warning",
            f"{name_of(model)} reads {len(bound)} frame(s) from outside its arguments; their "
            "future was not destroyed.",
            {"step": name_of(model)},
            {"frames": len(bound)},
            "pass the data as columns of the bars",
            INCONCLUSIVE,
        )

"""What a run says of itself: findings of the stages enter, plain values for ``result.json`` and ``evidence.json`` leave."""

import numpy as np

from ..evaluation import METRICS
from . import _evidence
from ._run_folder import plain
from ._tasks import walk_forward_cv

__all__ = ["evidence", "fold_rows", "hyperparameters", "metrics_summary", "training_figures", "verdict"]


def training_figures(curves):
    """Epochs and the best losses over the nets; a figure that does not exist is None."""

    def best(name, choose):
        values = [row[name] for rows in curves.values() for row in rows if row.get(name) is not None and np.isfinite(row[name])]
        return choose(values) if values else None

    return {
        "epochs_completed": max((len(rows) for rows in curves.values()), default=0),
        "best_train_loss": best("train_loss", min),
        "best_val_loss": best("valid_loss", min),
        "best_val_accuracy": best("valid_acc", max),
    }


def verdict(found):
    """One honest sentence on the walk-forward folds and the test block."""
    scores = found["test"]["scores"]
    test = f"On the untouched test block {scores['model']['balanced_accuracy']:.3f}, logistic regression {scores['logistic']['balanced_accuracy']:.3f}."
    return test if found["folds"] is None else f"{found['folds'].verdict()} {test}"


def fold_rows(folds):
    """One mapping per fold: the table's row and ``"score"``, the model's balanced accuracy."""
    if folds is None:
        return []
    rows = plain(folds.table)
    return [{"score": row["model_balanced_accuracy"], **row} for row in rows]


def hyperparameters(run):
    """What the nets were trained with."""
    plan = run.plan
    values = {
        "epochs": plan.epochs,
        "batch_size": plan.batch_size if run.config.batch_size is None else run.config.batch_size,
        "learning_rate": plan.learning_rate,
        "horizon": plan.horizon,
        "models": list(run.config.models),
        "lookback": run.config.lookback,
        "dropout": run.config.dropout_rate,
        "weight_decay": run.config.weight_decay,
    }
    return plain({**values, "searched": dict(plan.params)})


def metrics_summary(found, curves, reasons):
    """Means and intervals over the folds, scores of the test block, and per net where training ended."""
    folds = found["folds"]
    summary = {"walk_forward": {}, "test": found["test"]["scores"], "nets": {}}
    if folds is not None:
        for name in folds.names:
            row = {metric: float(np.mean(folds.scores(metric, name))) for metric in METRICS}
            bounds = folds.interval(name=name) if len(folds.n_test) > 1 else None
            row["balanced_accuracy_low"] = bounds.low if bounds else None
            row["balanced_accuracy_high"] = bounds.high if bounds else None
            summary["walk_forward"][name] = row
    for name, rows in curves.items():
        summary["nets"][name] = {"stop_reason": reasons[name], **training_figures({name: rows})}
    return plain(summary)


def evidence(run, found, curves, reasons):
    """Numbers behind the report's pictures."""
    test = found["test"]
    searched = found["search"]
    X, y = run.rows("train", "val")
    return {
        "data": _evidence.describe_data(run.source, run.task),
        "blocks": _evidence.blocks_of(run.task.bars, *run.blocks),
        "folds": _evidence.fold_evidence(walk_forward_cv(run.config), X, y) if found["folds"] is not None else None,
        "curves": curves,
        "stop_reasons": reasons,
        "test": _evidence.test_evidence(test["y"], test["probabilities"], test["classes"]),
        "drift_threshold": run.config.drift_psi_threshold,
        "search": None if searched is None else _search(searched),
        "origin": _evidence.origin(run.source.bars, run.reporter.seconds),
    }


def _search(searched):
    from ..plotting import SearchDisplay

    display = SearchDisplay.from_estimator(searched)
    return {
        "scores": display.scores,
        "states": display.states,
        "luck": display.luck,
        "best_params": searched.best_params_,
        "overfit": searched.overfit_report_.summary(),
    }

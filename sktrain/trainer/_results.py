"""What a run says of itself: findings of the stages become plain values for ``result.json`` and
``evidence.json``."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime

import numpy as np

from .._devices import describe_device
from .._io import to_plain
from ..evaluation import METRICS
from . import _evidence
from ._models import checkpoints_activations
from ._pool import weights_of
from ._run_folder import DRIFT, FILES, MODEL, REPORT, TRAINED, hash_of
from ._tasks import class_balance, walk_forward_cv
from ._verdicts import verdict

__all__ = ["Record", "list_files", "record", "searched", "training_figures"]


@dataclass
class Record:
    """The result of a run and the numbers behind its report's pictures."""

    result: dict
    evidence: dict


def record(run, found, status):
    """Put together what a run tells.

    Parameters
    ----------
    run : Run
    found : dict
        Findings of the stages.
    status : {"success", "stopped", "interrupted"}

    Returns
    -------
    Record
    """
    training, test = found["training"], found["test"]
    curves, reasons = _evidence.learning_curves(training["nets"], training["before"])
    whole = training["whole"]
    said = {
        name: training[name] for name in ("mode", "reason", "from", "updates") if name in training
    }
    result = {
        "status": status,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "training_time_seconds": None,
        **training_figures(curves),
        "model_path": str(run.folder / MODEL) if whole else None,
        "run_folder": str(run.folder),
        "verdict": verdict(found, bool(found["nested"]), run.config.labels_scaling),
        "warnings": list(run.warnings),
        "leakage_validation": found["leakage"],
        "walk_forward_results": fold_rows(found["folds"]),
        "nested": nested(found),
        "ablation": found["ablation"],
        "hyperparameters": hyperparameters(run, training),
        "decided": decided(run, training["nets"]),
        "pool": weights_of(training["model"]) if whole else None,
        "metrics_summary": metrics_summary(found, curves, reasons),
        "test_scores": test["scores"]["model"] if test else {},
        "profit": _without_curves(test["profit"]) if test else {},
        "drift": found["drift"],
        "compression": found["compression"],
        "incremental": said,
        "interval": run.source.interval,
        "crosses_session": run.task.labeler.crosses_session,
        "class_balance": class_balance(run.task.y),
        "data": _evidence.describe_data(run.source, run.task),
        "missing_stocks": run.source.missing,
        "trained_until": training["until"],
        "search": None
        if found["search"] is None
        else searched(found["search"], run.config.models[0]),
        "device": describe_device(run.config.device),
        "config": run.config.to_dict(),
    }
    work = found["work"]
    for key, name in (
        ("model_sha256", MODEL),
        ("trained_sha256", TRAINED),
        ("drift_sha256", DRIFT),
    ):
        result[key] = hash_of(work / name) if (work / name).is_file() else None
    return Record(to_plain(result), evidence(run, found, curves, reasons) if whole else {})


def list_files(run, result, work):
    """Name the files of the run in its result, which vouches for them."""
    present = [name for name in FILES if (work / name).is_file()]
    result["files"] = sorted({*present, "result.json"})
    result["report_path"] = str(run.folder / REPORT) if REPORT in present else None


def training_figures(curves):
    """Epochs and the best losses over the nets; a figure that does not exist is None."""

    def best(name, choose):
        values = [
            row[name]
            for rows in curves.values()
            for row in rows
            if row.get(name) is not None and np.isfinite(row[name])
        ]
        return choose(values) if values else None

    return {
        "epochs_completed": max((len(rows) for rows in curves.values()), default=0),
        "best_train_loss": best("train_loss", min),
        "best_val_loss": best("valid_loss", min),
        "best_val_accuracy": best("valid_acc", max),
    }


def fold_rows(folds):
    """One mapping per fold: the table's row and ``"score"``, the model's balanced accuracy."""
    if folds is None:
        return []
    return [{"score": row["model_balanced_accuracy"], **row} for row in to_plain(folds.table)]


def nested(found):
    """Scores of folds in whose training rows alone the hyperparameters were searched; None without
    a search."""
    if not found["nested"] or found["folds"] is None:
        return None
    scores = found["folds"].scores("balanced_accuracy")
    bounds = found["folds"].interval() if len(scores) > 1 else None
    return {
        "scores": scores,
        "mean": float(np.mean(scores)),
        "low": bounds.low if bounds else None,
        "high": bounds.high if bounds else None,
        "params": [one["params"] for one in found["nested"]],
        "inner_scores": [one["score"] for one in found["nested"]],
        "how": "every fold searched its hyperparameters on its own training rows",
    }


def hyperparameters(run, training):
    """What the nets were trained with, read from the nets themselves."""
    nets = training["nets"]
    net = next(iter(nets.values()))
    has = net.get_params(deep=True)
    return {
        "models": list(nets),
        "epochs": net.update_epochs if training["mode"] == "continued" else net.max_epochs,
        "batch_size": net.batch_size,
        "learning_rate": net.lr,
        "horizon": run.plan.horizon,
        "lookback": run.config.lookback,
        "hidden_size": has["module__hidden_size"],
        "n_layers": run.config.n_layers,
        "dropout": has["module__dropout"],
        "weight_decay": has["callbacks__weight_decay__base"],
        "weight_decay_max": has["callbacks__weight_decay__max"],
        "focal_loss_gamma": has["criterion__gamma"],
        "focal_loss_alpha": has["criterion__alpha"],
        "gradient_checkpointing": net.gradient_checkpointing,
        "label_scaling": run.config.labels_scaling,
        "base_label_threshold": run.config.labels_threshold,
        "searched": dict(run.plan.params),
        "searched_on": run.config.models[0] if run.plan.params else None,
        "given": list(run.given),
    }


def decided(run, nets):
    """What the switches that act only where it pays came to, and why; by sizes, never by a watch.

    Parameters
    ----------
    run : Run
    nets : dict
        Fitted nets by name.

    Returns
    -------
    dict
        ``mixed_precision`` per net and ``gradient_checkpointing``, in words.
    """
    batch = next(iter(nets.values())).batch_size
    recomputed, why = checkpoints_activations(run.config, batch)
    return {
        "mixed_precision": {
            name: f"{net.precision_}: {net.precision_reason_}"
            for name, net in nets.items()
            if hasattr(net, "precision_reason_")  # not where an older version trained it last
        },
        "gradient_checkpointing": f"{'on' if recomputed else 'off'}: {why}",
    }


def metrics_summary(found, curves, reasons):
    """Means and intervals over the folds, scores of the test block, and per net where training
    ended."""
    folds = found["folds"]
    summary: dict[str, dict] = {
        "walk_forward": {},
        "test": found["test"]["scores"] if found["test"] else {},
        "nets": {},
    }
    if folds is not None:
        for name in folds.names:
            row: dict[str, float | None] = {
                metric: float(np.mean(folds.scores(metric, name))) for metric in METRICS
            }
            bounds = folds.interval(name=name) if len(folds.n_test) > 1 else None
            row["balanced_accuracy_low"] = bounds.low if bounds else None
            row["balanced_accuracy_high"] = bounds.high if bounds else None
            summary["walk_forward"][name] = row
    for name, rows in curves.items():
        summary["nets"][name] = {"stop_reason": reasons[name], **training_figures({name: rows})}
    return summary


def evidence(run, found, curves, reasons):
    """Numbers behind the report's pictures."""
    test = found["test"]
    folded = None
    if found["folds"] is not None:
        folded = _evidence.fold_evidence(walk_forward_cv(run.config), *run.rows("train", "val"))
    return {
        "blocks": _evidence.blocks_of(run.task.bars, *run.blocks),
        "folds": folded,
        "curves": curves,
        "stop_reasons": reasons,
        "test": _evidence.evidence_of_test(test["y"], test["probabilities"], test["classes"]),
        "profit": test["profit"],
        "drift_threshold": run.config.drift_psi_threshold,
        "origin": _evidence.origin(run.source.bars, run.reporter.seconds),
    }


def _without_curves(earned):
    return {
        name: {key: value for key, value in part.items() if key != "equity"}
        if isinstance(part, dict)
        else part
        for name, part in earned.items()
        if name != "times"
    }


def searched(search, name):
    """What a search of the net ``name`` found, and what its best score is worth, in plain
    values."""
    from ..plotting import SearchDisplay

    display = SearchDisplay.from_estimator(search)
    report = search.overfit_report_
    return {
        "model": name,
        "scores": display.scores,
        "states": display.states,
        "luck": display.luck,
        "best_score": float(search.best_score_),
        "best_params": search.best_params_,
        "overfit": {field.name: getattr(report, field.name) for field in fields(report)},
    }

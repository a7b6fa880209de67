"""The stages of a run, in order: each takes the run, asks one package to do its work, and returns
what was found."""

from dataclasses import replace

import numpy as np

from ..evaluation import all_class_probabilities, baselines, classification_scores, fold_scores
from ..exceptions import MissingDependencyError, NotEnoughDataError
from . import _incremental
from ._models import build_model, feature_steps, nets_of
from ._run_folder import DRIFT, MODEL, TRAINED
from ._tasks import walk_forward_cv
from ._verdicts import profit

__all__ = [
    "audit",
    "compress",
    "drift",
    "fit",
    "report",
    "save",
    "score_test",
    "search",
    "walk_forward",
]


def audit(run):
    """Audit the splits and the run's own model, with few epochs, on the rows before the test
    block."""
    from ..leakage import LeakageValidator

    X, y = run.rows("train", "val")
    model = build_model(run.config, replace(run.plan, checkpoints=None, watch=None))
    with run.reporter.stage("leakage audit"):
        validator = LeakageValidator(
            random_state=run.config.training_seed, verbose=0, budget="quick"
        )
        found = validator.audit(model, X, y, walk_forward_cv(run.config, coverage=False))
    if run.stopped():  # half-trained fits are no evidence
        return {}
    if not found.passed:
        run.warn(found.summary())
    return found.to_dict()


def search(run):
    """Search the first net's parameters on the rows before the test block; the plan takes what was
    found."""
    from ._search import StopAsked, found_params, run_search, trials_file

    X, y = run.rows("train", "val")
    first, *others = run.config.models
    with run.reporter.stage(f"search, {run.config.hpo_n_trials} trials of {first}"):
        try:
            found = run_search(
                run.config,
                run.plan,
                X,
                y,
                given=run.given,
                storage=trials_file(run, run.config),
            )
        except StopAsked:
            return None
    if run.stopped():
        return None
    run.plan = replace(run.plan, params=found_params(found, run.given))
    if others:
        run.warn(
            f"The search measured {first}; {', '.join(others)} "
            f"{'were' if len(others) > 1 else 'was'} trained with the values found for it."
        )
    return found


def fit(run, work, earlier):
    """Train on train with early stopping on val; or go on from an earlier model when drift allows.

    Returns
    -------
    dict
        ``mode``, ``reason``, ``nets`` by name, ``before`` (epochs behind each), ``whole`` (whether
        every net is trained).
    """
    decision = {"mode": "fresh", "reason": "a new model was asked for"}
    if earlier is not None:
        decision = _incremental.may_continue(run, earlier)
    X, y = run.rows("train", "val")
    before = {}
    with run.reporter.stage(f"training {', '.join(run.config.models)}"):
        if decision["mode"] == "continued":
            run.model, before = _incremental.continue_training(run, earlier)
        else:
            run.model = build_model(run.config, run.plan).fit(X, y)
    nets = nets_of(run.model, run.config.models)
    epochs = {name: len(net.history_ or ()) - before.get(name, 0) for name, net in nets.items()}
    whole = any(epochs.values()) if before else all(epochs.values())
    if decision["mode"] == "continued":
        decision["updates"] = _incremental.what_was_accepted(nets)
        decision["reason"] += f"; {_incremental.scaling_in_words(run.config, epochs)}"
    if whole:
        _save(run.model, work / TRAINED)
    until = X.index.get_level_values(-1).max()
    return {
        **decision,
        "model": run.model,
        "nets": nets,
        "before": before,
        "epochs": epochs,
        "whole": whole,
        "until": until,
    }


def _save(model, path, **facts):
    from ..persistence import save as save_model

    save_model(model, path, probe=None, **facts)


def walk_forward(run):
    """A real fit and score per fold on the rows before the test block, beside baselines; searched
    anew in every fold where asked."""
    from ._search import fold_model

    config = run.config
    X, y = run.rows("train", "val")
    rivals = baselines(feature_steps(config, run.plan)[0][1])
    estimators = {"model": fold_model(run, config), **rivals}
    with run.reporter.stage("walk-forward", total=config.wf_folds) as advance:
        try:
            folds = fold_scores(
                estimators,
                X,
                y,
                walk_forward_cv(config),
                on_fold=lambda number, row: advance(),
                stop=run.stopped,
                inspect=_found_in_fold,
            )
        except NotEnoughDataError:
            if run.stopped():
                return None, []
            raise
    return folds, [one for one in folds.inspected if one]


def _found_in_fold(model):
    """What the search inside a fold found; nothing without a search."""
    return getattr(model, "found_", None)


def drift(run, work, training):
    """Keep the features of the rows the model was trained on as reference, and compare the test
    block with it."""
    from ..drift import DriftDetector

    config = run.config
    with run.reporter.stage("drift"):
        features = run.model[0]
        detector = DriftDetector(
            psi_threshold=config.drift_psi_threshold,
            mean_shift_threshold=config.drift_mean_shift_threshold,
            on_drift="ignore",
        )
        seen = run.rows("train")[0]
        if training["mode"] == "continued":  # the rows of the runs before count too
            bars = run.source.bars
            seen = bars[bars.index.get_level_values(-1) <= seen.index.get_level_values(-1).max()]
        detector.fit(_without_attrs(features.transform(seen)))
        found = detector.check(_without_attrs(features.transform(run.rows("test")[0])))
        _save(detector, work / DRIFT)
    return found.to_dict()


def _without_attrs(frame):
    frame = frame.copy(deep=False)
    frame.attrs = {}
    return frame.dropna() if frame.isna().to_numpy().any() else frame


def compress(run):
    """Prune and quantize as the config says; measured on the validation block."""
    config = run.config
    if not (config.prune_after_training or config.quantize_model):
        return {}
    from ..compression import compress_model

    X, y = run.rows("val")
    with run.reporter.stage("compression"):
        run.model, found = compress_model(
            run.model,
            sparsity=config.pruning_sparsity if config.prune_after_training else 0.0,
            bits=config.quantization_bits if config.quantize_model else None,
            X=X,
            y=y,
            calibration=run.rows("train")[0],
        )
    return found


def score_test(run):
    """Score the model that is saved, and the baselines, on the untouched block."""
    X, y = run.rows("test")
    train_X, train_y = run.rows("train", "val")
    classes = np.unique(run.task.y)
    with run.reporter.stage("test block"):
        shared = feature_steps(run.config, run.plan)[0][1]
        rivals = {name: one.fit(train_X, train_y) for name, one in baselines(shared).items()}
        probabilities = {
            name: all_class_probabilities(one, X, classes)
            for name, one in {"model": run.model, **rivals}.items()
        }
    scores = {
        name: classification_scores(y, values, classes) for name, values in probabilities.items()
    }
    trials = run.config.hpo_n_trials if run.config.use_hpo else 1
    earned = profit(probabilities["model"], classes, X, n_trials=trials)
    return {
        "scores": scores,
        "probabilities": probabilities,
        "y": np.asarray(y),
        "classes": classes,
        "profit": earned,
    }


def save(run, work):
    """Write the model, whole or not at all; what only training on needs stands in ``TRAINED``."""
    from ..persistence import save as save_model

    with run.reporter.stage("saving"):
        save_model(
            run.model,
            work / MODEL,
            probe=_probe(run),
            data=run.rows("train")[0],
            label_horizon=run.plan.horizon,
            replay_rows=False,
        )


def _probe(run):
    """The newest rows; none for a model that reads news, which rows in a file do not carry."""
    return None if run.config.use_pretrained_embeddings else run.rows("test")[0].iloc[-8:]


def report(run, work):
    """Write the HTML report where matplotlib is installed; its absence is said."""
    from .report import write_report

    with run.reporter.stage("report"):
        try:
            write_report(work)
        except MissingDependencyError as error:
            run.reporter.note(f"no report: {error}")

"""The stages of a run, in order: each takes the run, asks one room to do its work, and returns what was found."""

from contextlib import contextmanager
from dataclasses import replace
import shutil
import signal
import threading

import joblib
import numpy as np

from .._io import atomic_write
from ..evaluation import all_class_probabilities, baselines, classification_scores, fold_scores
from ..exceptions import NotEnoughDataError, PersistenceError
from ._models import audit_pipeline, build_model, build_search, feature_steps, nets_of
from ._run_folder import DRIFT, MODEL, TRAINED
from ._tasks import divide, walk_forward_cv

__all__ = ["audit", "clear", "compress", "drift", "fit", "interrupts", "report", "save", "score_test", "search", "walk_forward"]


@contextmanager
def interrupts(run):
    """The first Ctrl-C asks the run to stop and keep what was trained; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number, frame):
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True
        run.reporter.note("interrupted: keeping what was trained (Ctrl-C again ends at once)")

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def clear(folder):
    """Remove the checkpoints of an earlier run."""
    shutil.rmtree(folder, ignore_errors=True)


def audit(run):
    """Audit the splits and the steps every net shares, on the rows before the test block."""
    from ..leakage import LeakageValidator

    X, y = run.rows("train", "val")
    with run.reporter.stage("leakage audit"):
        found = LeakageValidator().audit(audit_pipeline(run.config), X, y, walk_forward_cv(run.config, coverage=False))
    if not found.passed:
        run.reporter.note(found.summary())
    return found.to_dict()


def search(run):
    """Search the net's parameters on the rows before the test block; the plan takes what was found."""
    X, y = run.rows("train", "val")
    with run.reporter.stage("hyperparameter search"):
        plan = run.plan
        found = build_search(
            run.config,
            epochs=plan.epochs,
            batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
            horizon=plan.horizon,
            stop=plan.stop,
            refit=False,
            progress=bool(run.reporter.verbose),
        ).fit(X, y)
    best = {name.rpartition("net__")[2]: value for name, value in found.best_params_.items()}
    run.plan = replace(run.plan, params=tuple(best.items()))
    return found


def fit(run, incremental):
    """Train on train with early stopping on val; or continue an earlier model when drift allows."""
    decision = {"mode": "fresh", "reason": "a new model was asked for"}
    if incremental:
        state = _previous(run)
        decision = _may_continue(run, state)
    X, y = run.rows("train", "val")
    with run.reporter.stage(f"training {', '.join(run.config.models)}"):
        if decision["mode"] == "continued":
            run.model = _continue(state["model"], X, y, run.config.skip_scaler_fit)
        else:
            run.model = build_model(run.config, run.plan).fit(X, y)
    nets = nets_of(run.model)
    if len(nets) == 1:
        nets = {run.config.models[0]: next(iter(nets.values()))}
    last = X.index.get_level_values(-1).max()
    joblib_bytes(run.folder / TRAINED, {"model": run.model, "last": last})
    return {**decision, "nets": nets}


def _previous(run):
    file = run.folder / TRAINED
    if not file.is_file():
        raise PersistenceError(f"incremental=True, but {str(run.folder)!r} holds no earlier model. Train once without it first.")
    state = joblib.load(file)  # written by this run's own folder
    times = run.task.bars.index.get_level_values(-1)
    fresh = np.flatnonzero(times > state["last"])
    if not len(fresh):
        raise NotEnoughDataError(f"incremental=True, but no labelled bar comes after {state['last']}, the last the model was trained on.")
    run.task = replace(run.task, bars=run.task.bars.iloc[fresh], y=run.task.y.iloc[fresh])
    return state


def _may_continue(run, state):
    """Check the new rows for drift against what the model was trained on."""
    file = run.folder / DRIFT
    if run.config.use_drift_detection and file.is_file():
        kept = joblib.load(file)
        found = kept["detector"].check(kept["features"].transform(run.task.bars))
        if found["drift_detected"]:
            from ._tasks import label_bars

            run.task = label_bars(run.source.bars, run.config, run.plan.horizon)
            run.blocks = divide(run.task, run.config)
            return {"mode": "retrained", "reason": f"the new bars drifted: {found['recommendation']}"}
        reason = f"{len(run.task.bars)} new rows without drift"
    else:
        reason = f"{len(run.task.bars)} new rows; drift was not checked"
    run.blocks = divide(run.task, run.config)
    kept = "kept" if run.config.skip_scaler_fit else "fitted anew"
    return {"mode": "continued", "reason": f"{reason}; scaling {kept}", "from": str(state["last"])}


def _continue(model, X, y, skip_scaler_fit):
    windows = model[:-1].transform(X)
    for net in nets_of(model).values():
        if skip_scaler_fit:
            net.partial_fit(windows, y)
        else:
            net.set_params(warm_start=True).fit(windows, y)
    return model


def walk_forward(run):
    """A real fit and score per fold on the rows before the test block, beside baselines."""
    config = run.config
    X, y = run.rows("train", "val")
    estimators = {"model": build_model(config, replace(run.plan, checkpoints=None)), **baselines(feature_steps(config)[0][1])}
    cv = walk_forward_cv(config)
    with run.reporter.stage("walk-forward", total=config.wf_folds) as advance:
        try:
            return fold_scores(estimators, X, y, cv, on_fold=lambda number, row: advance(), stop=run.stopped)
        except NotEnoughDataError:
            if run.stopped():
                return None
            raise


def drift(run):
    """Keep the training rows' features as reference, and compare the test block with it."""
    from ..drift import DriftDetector

    config = run.config
    with run.reporter.stage("drift"):
        features = run.model[0]
        detector = DriftDetector(
            psi_threshold=config.drift_psi_threshold, mean_shift_threshold=config.drift_mean_shift_threshold, on_drift="ignore"
        )
        detector.fit(_without_attrs(features.transform(run.rows("train")[0])))
        found = detector.check(_without_attrs(features.transform(run.rows("test")[0])))
        joblib_bytes(run.folder / DRIFT, {"detector": detector, "features": features})
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
        rivals = {name: one.fit(train_X, train_y) for name, one in baselines(feature_steps(run.config)[0][1]).items()}
        probabilities = {name: all_class_probabilities(one, X, classes) for name, one in {"model": run.model, **rivals}.items()}
    scores = {name: classification_scores(y, values, classes) for name, values in probabilities.items()}
    return {"scores": scores, "probabilities": probabilities, "y": np.asarray(y), "classes": classes}


def save(run):
    """Write the model, whole or not at all."""
    from ..persistence import save as save_model

    path = run.folder / MODEL
    with run.reporter.stage("saving"):
        save_model(run.model, path, probe=_probe(run), data=run.rows("train")[0], label_horizon=run.plan.horizon)
    return path


def _probe(run):
    """The newest rows; none for a model that reads news, which rows in a file do not carry."""
    return None if run.config.use_pretrained_embeddings else run.rows("test")[0].iloc[-8:]


def report(run):
    """Write the HTML report where matplotlib is installed; its absence is said."""
    from ..exceptions import MissingDependencyError
    from .report import write_report

    with run.reporter.stage("report"):
        try:
            write_report(run.folder)
        except MissingDependencyError as error:
            run.reporter.note(f"no report: {error}")


def joblib_bytes(path, value):
    """Dump with joblib, atomically."""
    from io import BytesIO

    buffer = BytesIO()
    joblib.dump(value, buffer, compress=3)
    atomic_write(path, buffer.getvalue())


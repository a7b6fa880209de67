"""The run: bars and a config enter, a saved model and a record of what was measured leave. It composes the rooms, nothing else.

Time runs one way through a run: walk-forward folds, the fit and its early stopping see only rows before the test block, which is
purged, embargoed and scored once, at the end.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
import time

from .._validation import Number, check_count
from ..exceptions import SktrainError
from ..reproducibility import DeterministicTrainingConfig
from . import _evidence, _results, _stages
from ._config import EnhancedTrainingConfig
from ._models import FitPlan, with_config_news
from ._progress import Reporter
from ._run_folder import MODEL, find_model, prepare_folder, write_json
from ._sources import open_source
from ._tasks import class_balance, divide, label_bars, walk_forward_cv

__all__ = ["EnhancedTrainer"]


@dataclass
class Run:
    """What one call of ``train`` knows; stages read it and fill it."""

    config: EnhancedTrainingConfig
    folder: Path
    plan: FitPlan
    reporter: Reporter
    source: object = None
    task: object = None
    blocks: tuple = ()
    model: object = None
    asked: object = None
    interrupted: bool = False

    def stopped(self):
        """Whether the caller asked to stop, or pressed Ctrl-C."""
        return self.interrupted or (self.asked is not None and self.asked())

    def rows(self, *blocks):
        """Bars and labels of some of the blocks ("train", "val", "test"), in order of time."""
        from numpy import concatenate, sort

        chosen = sort(concatenate([self.blocks[("train", "val", "test").index(name)] for name in blocks]))
        return self.task.bars.iloc[chosen], self.task.y.iloc[chosen]


class EnhancedTrainer:
    """Train, validate, compress and save classifiers on market bars, one call.

    Parameters
    ----------
    config : EnhancedTrainingConfig, optional
        Every switch; the original's defaults when omitted.
    model_dir : path, default="runs/latest"
        Folder for the model, the result, the report and the checkpoints.
    data : path, DataFrame, dict of DataFrame or callable, optional
        Source of bars: a file, a folder with one file per symbol, bars, frames by symbol, or a function
        ``(symbol, interval) -> DataFrame``. The bundled bars by default.

    Attributes
    ----------
    model_ : Pipeline
        The fitted model of the last ``train``, on raw bars.
    result_ : dict
        What the last ``train`` returned.

    Examples
    --------
    >>> from sktrain import EnhancedTrainer, EnhancedTrainingConfig
    >>> from sktrain.datasets import load_sp500
    >>> config = EnhancedTrainingConfig(
    ...     models=["mlp"], label_scaling="sigma", base_label_threshold=0.5, use_walk_forward=False, leakage_audit=False, lookback=5
    ... )
    >>> trainer = EnhancedTrainer(config, model_dir=getfixture("tmp_path"), data=load_sp500().iloc[:900])
    >>> result = trainer.train(epochs=2)
    >>> result["status"], sorted(result["class_balance"])
    ('completed', ['buy', 'hold', 'sell'])
    """

    def __init__(self, config=None, model_dir=None, data=None):
        self.config = EnhancedTrainingConfig() if config is None else config
        self.model_dir = Path("runs/latest") if model_dir is None else Path(model_dir)
        self.data = data
        self._skip_scaler_fit = False

    def train(
        self,
        stocks=None,
        epochs=100,
        batch_size=32,
        learning_rate=1e-3,
        interval="1d",
        horizon=3,
        stop_flag=None,
        *,
        incremental=False,
        resume=False,
        verbose=0,
    ):
        """Run every stage the config asks for.

        Parameters
        ----------
        stocks : sequence of str, optional
            Symbols; all that the source has by default.
        epochs : int, default=100
            Most epochs per fit.
        batch_size : int, default=32
            Rows per gradient step; ``config.batch_size`` wins when set.
        learning_rate : float, default=1e-3
        interval : str, default="1d"
            Spacing of the bars.
        horizon : int, default=3
            Bars a label looks ahead.
        stop_flag : callable, event or None
            A callable that returns a bool, or an object with ``is_set``: asked after every batch. Training then ends, and what
            was trained is scored, saved and returned with status ``"stopped"``.
        incremental : bool, default=False
            Continue the model in ``model_dir`` on the bars after those it saw, when drift allows; else retrain and say why.
        resume : bool, default=False
            Take up a run of the same data and settings that was killed, from its checkpoints.
        verbose : int, default=0
            1 shows progress on stderr.

        Returns
        -------
        dict
            ``status`` ("completed", "stopped", "interrupted"), ``training_time_seconds``, ``epochs_completed``,
            ``best_train_loss``, ``best_val_loss``, ``best_val_accuracy``, ``model_path``, ``leakage_validation``,
            ``walk_forward_results``, ``hyperparameters``, ``metrics_summary``, ``test_scores``, ``drift``, ``compression``,
            ``class_balance``, ``missing_stocks``, ``incremental``, ``verdict``, ``config``. Written to ``result.json`` too.

        Raises
        ------
        SktrainError, InvalidParameterError
            Bad arguments, config or bars, before any training.
        PersistenceError
            When ``model_dir`` cannot be written, before any training.
        """
        start = time.perf_counter()
        run = self._prepare(epochs, batch_size, learning_rate, horizon, stop_flag, resume, verbose)
        with self._determinism(run.config):
            run.source = open_source(self.data, stocks, interval)
            for name, reason in run.source.missing.items():
                run.reporter.note(f"{name} left out: {reason}")
            run.source = replace(run.source, bars=with_config_news(run.source.bars, run.config))
            run.task = label_bars(run.source.bars, run.config, horizon)
            run.blocks = divide(run.task, run.config)
            if run.config.use_walk_forward and not incremental:
                walk_forward_cv(run.config).split(*run.rows("train", "val"))  # folds that cannot be filled are refused before training
            with _stages.interrupts(run):
                found = self._stages(run, incremental)
        return self._finish(run, found, time.perf_counter() - start)

    def _prepare(self, epochs, batch_size, learning_rate, horizon, stop_flag, resume, verbose):
        if not isinstance(self.config, EnhancedTrainingConfig):
            raise SktrainError(f"config must be an EnhancedTrainingConfig, got {type(self.config).__name__}.")
        self.config.validate()
        config = replace(self.config, skip_scaler_fit=self.config.skip_scaler_fit or bool(self._skip_scaler_fit))
        if not Number(0, closed="neither").is_satisfied_by(learning_rate):
            raise SktrainError(f"learning_rate must be a positive number, got {learning_rate!r}.")
        folder = prepare_folder(self.model_dir)
        checkpoints = folder / "checkpoints"
        if not resume and checkpoints.exists():
            _stages.clear(checkpoints)
        plan = FitPlan(
            epochs=check_count("epochs", epochs),
            batch_size=check_count("batch_size", batch_size),
            learning_rate=float(learning_rate),
            horizon=check_count("horizon", horizon),
            valid_fraction=config.val_ratio / (config.train_ratio + config.val_ratio),
            stop=_as_question(stop_flag),
            checkpoints=checkpoints,
        )
        run = Run(config, folder, plan, Reporter(verbose), asked=plan.stop)
        run.plan = replace(plan, stop=run.stopped)
        return run

    def _stages(self, run, incremental):
        """The stages in their order; each says what it found."""
        config = run.config
        found = {"leakage": _stages.audit(run) if config.leakage_audit else {}}
        found["search"] = _stages.search(run) if config.use_hpo and not run.stopped() else None
        found["training"] = _stages.fit(run, incremental)
        found["folds"] = _stages.walk_forward(run) if config.use_walk_forward and not run.stopped() else None
        found["drift"] = _stages.drift(run) if config.use_drift_detection else {}
        found["compression"] = _stages.compress(run)
        found["test"] = _stages.score_test(run)
        found["path"] = _stages.save(run)
        return found

    def _finish(self, run, found, seconds):
        nets = found["training"].pop("nets")
        curves, reasons = _evidence.learning_curves(nets)
        status = "interrupted" if run.interrupted else "stopped" if run.stopped() else "completed"
        result = {
            "status": status,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "training_time_seconds": seconds,
            **_results.training_figures(curves),
            "model_path": str(found["path"]),
            "verdict": _results.verdict(found),
            "leakage_validation": found["leakage"],
            "walk_forward_results": _results.fold_rows(found["folds"]),
            "hyperparameters": _results.hyperparameters(run),
            "metrics_summary": _results.metrics_summary(found, curves, reasons),
            "test_scores": found["test"]["scores"]["model"],
            "drift": found["drift"],
            "compression": found["compression"],
            "incremental": found["training"],
            "class_balance": class_balance(run.task.y),
            "missing_stocks": run.source.missing,
            "config": run.config.to_dict(),
        }
        write_json(run.folder / "evidence.json", _results.evidence(run, found, curves, reasons))
        write_json(run.folder / "result.json", result)
        self.model_, self.result_ = run.model, result
        _stages.report(run)
        if status == "completed":
            _stages.clear(run.plan.checkpoints)
        return result

    @staticmethod
    def _determinism(config):
        if not config.deterministic_training:
            return nullcontext()
        return DeterministicTrainingConfig(enabled=True, seed=config.training_seed, num_threads=1)

    @staticmethod
    def load(path):
        """Open a saved model: a run folder or a model file. ``predict(bars)`` and ``predict_proba(bars)`` take raw bars."""
        from ..persistence import load

        return load(find_model(path))

    def __repr__(self):
        return f"EnhancedTrainer(model_dir={str(self.model_dir / MODEL)!r}, models={list(self.config.models)})"


def _as_question(stop_flag):
    """A function without arguments that says whether to stop, from whatever the caller gave."""
    if stop_flag is None:
        return None
    if callable(getattr(stop_flag, "is_set", None)):
        return lambda: bool(stop_flag.is_set())
    if callable(stop_flag):
        return lambda: bool(stop_flag())
    raise SktrainError(f"stop_flag must be a callable or an object with is_set(), such as threading.Event; got {type(stop_flag).__name__}.")

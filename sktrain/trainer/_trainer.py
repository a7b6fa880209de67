"""The run: from bars and a config to a saved model and a record of what was measured.

Time runs one way through a run: walk-forward folds, the fit and its early stopping see only rows
before the test block, which is purged, embargoed and scored once, at the end.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
import os
from pathlib import Path
import shutil
import time
from typing import Any

import pandas as pd

from .._devices import check_device
from .._typing import StopSignal
from .._validation import check_count, check_number
from ..exceptions import SktrainError
from ..reproducibility import DeterministicTrainingConfig
from . import _incremental, _results, _stages, _started
from ._ablation import ablate
from ._checks import check_features, check_folds
from ._config import DEFAULTS, EnhancedTrainingConfig
from ._models import FitPlan, with_config_news
from ._plan import tell_plan
from ._progress import Reporter, default_verbosity
from ._run import Run, interrupts
from ._run_folder import CHECKPOINTS, MODEL, commit, find_model, locked, prepare_next, write_json
from ._search import given_parameters
from ._sources import open_source
from ._spacing import is_intraday
from ._tasks import divide, label_bars
from ._verdicts import one_sided_labels
from ._workers import one_thread, workers

__all__ = ["EnhancedTrainer"]


class EnhancedTrainer:
    """Train, validate, compress and save classifiers on market bars, one call.

    Parameters
    ----------
    config : EnhancedTrainingConfig, optional
        Every switch; its defaults when omitted.
    model_dir : path, optional
        Folder for the model, the result, the report and the checkpoints; default ``runs/latest``.
    data : path, DataFrame, dict of DataFrame or callable, optional
        Source of bars: a file, a folder with one file per symbol, bars, frames by symbol, or a
        function ``(symbol, interval) -> DataFrame``. The bundled bars by default.

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
    ...     models=["mlp"], use_walk_forward=False, leakage_audit=False, lookback=5
    ... )
    >>> folder = getfixture("tmp_path")
    >>> trainer = EnhancedTrainer(config, model_dir=folder, data=load_sp500().iloc[:900])
    >>> result = trainer.train(epochs=2)
    >>> result["status"], sorted(result["class_balance"])
    ('success', ['buy', 'hold', 'sell'])
    """

    def __init__(
        self,
        config: EnhancedTrainingConfig | None = None,
        model_dir: str | os.PathLike | None = None,
        data: str | os.PathLike | pd.DataFrame | dict | Callable | None = None,
    ) -> None:
        self.config = EnhancedTrainingConfig() if config is None else config
        self.model_dir = Path("runs/latest") if model_dir is None else Path(model_dir)
        self.data = data
        self._skip_scaler_fit = False

    def train(
        self,
        stocks: Sequence[str] | None = None,
        epochs: int = DEFAULTS["epochs"],
        batch_size: int | None = None,
        learning_rate: float | None = None,
        interval: str | None = None,
        horizon: int = DEFAULTS["horizon"],
        stop_flag: StopSignal | None = None,
        *,
        incremental: bool = False,
        resume: bool = False,
        verbose: int | None = None,
    ) -> dict:
        """Run every stage the config asks for.

        Parameters
        ----------
        stocks : sequence of str, optional
            Symbols; all that the source has by default.
        epochs : int, default=100
            Most epochs per fit.
        batch_size : int, optional
            Rows per step; 128 by default. ``config.batch_size`` comes first. A size that is given
            is kept out of a search.
        learning_rate : float, optional
            0.001 by default. A rate that is given is kept out of a search.
        interval : str, optional
            Spacing the bars must have, such as ``"1d"`` or ``"5m"``; their own by default. Nothing
            is resampled.
        horizon : int, default=3
            Bars a label looks ahead.
        stop_flag : callable or object with ``is_set()``, optional
            Asked after every batch; when true, training ends, and what was trained is scored and
            saved.
        incremental : bool, default=False
            Go on from the model in ``model_dir`` on the bars after those it saw, with the
            arguments of this call, when these have not drifted; else train anew on all of them and
            say why. Arguments that would make it another model are refused.
        resume : bool, default=False
            Take up a run with the same arguments that was killed; its result is that of an
            uninterrupted run.
        verbose : int, optional
            0 quiet, 1 a line per stage on stderr and a moving bar on a terminal; by default 1
            where stderr is a terminal.

        Returns
        -------
        dict
            ``status`` ("success", "stopped" by the flag, "interrupted" by Ctrl-C),
            ``training_time_seconds``, ``epochs_completed``, ``best_train_loss``,
            ``best_val_loss``, ``best_val_accuracy``, ``model_path`` (None when no net was
            trained), ``leakage_validation``, ``walk_forward_results`` (one mapping per fold),
            ``hyperparameters`` (those the nets were trained with), ``decided`` (what
            ``use_mixed_precision`` and ``use_gradient_checkpointing`` came to, and why), ``pool``
            (weights of the members where they were learned), ``metrics_summary``, ``test_scores``,
            ``drift``, ``compression``, ``incremental``, ``nested`` (scores and
            parameters per fold of a search inside each fold, or None), ``ablation`` (a mapping per
            switch, or None), ``interval``, ``profit``, ``class_balance``, ``missing_stocks``,
            ``warnings``, ``verdict``, ``device`` (where the nets were trained), ``config``.

        Raises
        ------
        SktrainError
            Before any training, for arguments, bars or a folder that cannot be used.
        """
        start = time.perf_counter()
        config, plan = self._checked(epochs, batch_size, learning_rate, horizon)
        given = (
            given_parameters(config, batch_size=batch_size, learning_rate=learning_rate)
            if config.use_hpo
            else ()
        )
        asked = _as_question(stop_flag)
        reporter = Reporter(default_verbosity() if verbose is None else verbose)
        with locked(self.model_dir) as folder, self._determinism(config):
            run = Run(config, folder, plan, reporter, given, asked=asked)
            with interrupts(run):
                earlier = self._open(run, stocks, interval, incremental)
                self._settle(run, resume)
                with one_thread():
                    found = self._stages(run, prepare_next(folder), earlier)
                result = self._finish(run, found, start)
        return result

    def _checked(self, epochs, batch_size, learning_rate, horizon):
        """The config and the plan, or what is wrong with them."""
        if not isinstance(self.config, EnhancedTrainingConfig):
            raise SktrainError(
                f"config must be an EnhancedTrainingConfig, got {type(self.config).__name__}."
            )
        self.config.validate()
        check_device(self.config.device)
        config = replace(
            self.config, skip_scaler_fit=self.config.skip_scaler_fit or bool(self._skip_scaler_fit)
        )
        rate = DEFAULTS["learning_rate"] if learning_rate is None else learning_rate
        plan = FitPlan(
            epochs=check_count("epochs", epochs),
            batch_size=check_count(
                "batch_size", DEFAULTS["batch_size"] if batch_size is None else batch_size
            ),
            learning_rate=check_number("learning_rate", rate, 0, closed="neither"),
            horizon=check_count("horizon", horizon),
            valid_fraction=config.val_ratio / (config.train_ratio + config.val_ratio),
        )
        return config, plan

    def _open(self, run, stocks, interval, incremental):
        """Bars, labels, blocks, the earlier model: everything that can be refused is refused here,
        before any training."""
        config = run.config
        run.source = open_source(self.data, stocks, interval)
        for name, reason in run.source.missing.items():
            run.reporter.note(f"{name} left out: {reason}")
        run.source = replace(run.source, bars=with_config_news(run.source.bars, config))
        run.task = label_bars(run.source.bars, config, run.plan.horizon)
        run.blocks = divide(run.task, config)
        run.plan = replace(
            run.plan,
            intraday=is_intraday(run.source.bars),
            crosses_session=run.task.labeler.crosses_session,
        )
        check_features(run)
        if not incremental:
            check_folds(run)
        if incremental:
            earlier = _incremental.open_earlier(run.folder, config, run.plan.horizon)
            _incremental.new_rows(run, earlier)
            return earlier
        if config.skip_scaler_fit:
            run.plan = replace(run.plan, scaling=_incremental.kept_scaling(run.folder, config))
        return None

    def _settle(self, run, resume):
        """Make the checkpoints those of this run, and say what is about to happen."""
        _started.begin(run, resume=resume)
        run.plan = replace(
            run.plan,
            stop=run.stopped,
            watch=run.reporter.show,
            checkpoints=run.folder / CHECKPOINTS,
        )
        tell_plan(run)
        trouble = one_sided_labels(run.task, run.config)
        if trouble:
            run.warn(trouble)

    def _stages(self, run, work, earlier):
        """The stages in their order; each says what it found."""
        config = run.config
        found = {
            "work": work,
            "folds": None,
            "nested": [],
            "ablation": None,
            "drift": {},
            "compression": {},
            "test": None,
        }
        told = run.folder / CHECKPOINTS / "stop"
        with workers(config, told, run.stopped, run.reporter.show):  # the rest has no use for them
            self._fits(run, found, earlier)
        if not found["training"]["whole"]:
            return found
        found["drift"] = (
            _stages.drift(run, work, found["training"]) if config.use_drift_detection else {}
        )
        found["compression"] = _stages.compress(run)
        found["test"] = _stages.score_test(run)
        _stages.save(run, work)
        return found

    def _fits(self, run, found, earlier):
        """The stages that fit models."""
        config = run.config
        found["leakage"] = _stages.audit(run) if config.leakage_audit and not run.stopped() else {}
        found["search"] = _stages.search(run) if config.use_hpo and not run.stopped() else None
        found["training"] = _stages.fit(run, found["work"], earlier)
        if not found["training"]["whole"]:
            return
        if config.use_walk_forward and found["training"]["mode"] == "continued":
            also = " and no ablation" if config.ablation else ""
            run.warn(
                f"A model that was trained on has no walk-forward folds{also}: they would score "
                "another one, trained anew."
            )
        elif config.use_walk_forward and not run.stopped():
            found["folds"], found["nested"] = _stages.walk_forward(run)
            if config.ablation and found["folds"] is not None and not run.stopped():
                found["ablation"] = ablate(run, found["folds"])

    def _finish(self, run, found, start):
        """Write the run's files, all or none, and return its result."""
        work, status = found["work"], run.status
        record = _results.record(run, found, status)
        if found["training"]["whole"]:
            write_json(
                work / "evidence.json",
                {**record.evidence, "model_sha256": record.result["model_sha256"]},
            )
            self._write(run, record.result, work, start)
            _stages.report(run, work)
            self._write(run, record.result, work, start)
            commit(run.folder)
            if status == "success":
                shutil.rmtree(run.folder / CHECKPOINTS, ignore_errors=True)
            self.model_ = run.model
        else:
            record.result["training_time_seconds"] = time.perf_counter() - start
        self.result_ = record.result
        return record.result

    @staticmethod
    def _write(run, result, work, start):
        result["training_time_seconds"] = time.perf_counter() - start
        _results.list_files(run, result, work)
        write_json(work / "result.json", result)

    @staticmethod
    def _determinism(config):
        if not config.deterministic_training:
            return nullcontext()
        return DeterministicTrainingConfig(enabled=True, seed=config.training_seed, num_threads=1)

    @staticmethod
    def load(path: str | os.PathLike) -> Any:
        """Open a saved model.

        Parameters
        ----------
        path : path
            A run folder or a model file.

        Returns
        -------
        estimator
            Fitted; ``predict(bars)`` and ``predict_proba(bars)`` take raw bars.
        """
        from ..persistence import load

        return load(find_model(path))

    def __repr__(self):
        file, nets = str(self.model_dir / MODEL), list(self.config.models)
        return f"EnhancedTrainer(model_dir={file!r}, models={nets})"


def _as_question(stop_flag):
    """A function without arguments that says whether to stop, from whatever the caller gave."""
    if stop_flag is None:
        return None
    if callable(getattr(stop_flag, "is_set", None)):
        return lambda: bool(stop_flag.is_set())
    if callable(stop_flag):
        return lambda: bool(stop_flag())
    raise SktrainError(
        "stop_flag must be a callable or an object with is_set(), such as threading.Event; got "
        f"{type(stop_flag).__name__}."
    )

"""The search of a run, and the model whose hyperparameters are searched inside every fold it is
fitted on.

A score of the searching model on a later fold is nested: its hyperparameters were chosen on the
rows before that fold alone.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from skorch.callbacks import Callback

from .._io import sha256
from .._models import last_step
from ..exceptions import SktrainError
from ._config import DEFAULTS, EnhancedTrainingConfig
from ._models import FitPlan, build_model
from ._run_folder import CHECKPOINTS
from ._tasks import walk_forward_cv
from ._workers import asked_to_stop, tell_parent

__all__ = [
    "SearchedModel",
    "build_search",
    "fold_model",
    "found_params",
    "given_parameters",
    "inner_cv",
    "run_search",
    "search_plan",
    "trials_file",
]

_DECAY = (1e-5, 1e-3)  # of the original
#: A trial whose lowest validation loss so far is above the median of the complete trials at the
#: same epoch of the same fold is given up: from as many complete trials on as there are in the
#: first batch, and from the fourth epoch on, before which small learning rates all look bad. On a
#: market of 900 bars, 16 trials took a third less time.
_COMPLETE, _EPOCHS = 4, 4
_NAMES = {  # of the space, of the nets
    "learning_rate": "lr",
    "weight_decay": "callbacks__weight_decay__base",
    "dropout": "module__dropout",
    "batch_size": "batch_size",
}


class StopAsked(KeyboardInterrupt):
    """The run was asked to stop inside a trial: trials in flight are lost, finished ones count."""


class _LeaveTrial(Callback):
    """Leaves a trial at once when the run is asked to stop: a half-trained net is no
    measurement."""

    passing_ = ("stop",)

    def __init__(self, stop=None):
        self.stop = stop

    def __sklearn_clone__(self):
        return _LeaveTrial(self.stop)

    def __deepcopy__(self, memo):
        return _LeaveTrial(self.stop)

    def __getstate__(self):
        return {"stop": None}

    def on_batch_end(self, net, training=None, **kwargs):
        if training and asked_to_stop(self.stop):
            raise StopAsked


class _Count:
    """Tells somebody how many trials are done."""

    def __init__(self, tell, most):
        self.tell, self.most = tell, most

    def __call__(self, study, trial):
        self.tell(f"trial {trial.number + 1} of {self.most}")


def run_search(config, plan, X, y, *, given=(), storage=None):
    """Search on these rows, in ``config.n_jobs`` processes; the trials are the same for any number.

    Parameters
    ----------
    config : EnhancedTrainingConfig
    plan : FitPlan
    X, y : rows and labels
    given : sequence of str
        Parameters left as they are.
    storage : path, optional
        SQLite file a killed search resumes from.

    Returns
    -------
    OptunaSearchCV
        Fitted.

    Raises
    ------
    StopAsked
        When ``plan.stop`` says so.
    """
    search = build_search(config, plan, given=given, storage=storage)
    if plan.watch is not None:
        search.callbacks = [_Count(plan.watch, config.hpo_n_trials)]
    try:
        return search.fit(X, y)
    except KeyboardInterrupt as error:  # before any trial was finished
        if asked_to_stop(plan.stop):
            raise StopAsked from error
        raise


def given_parameters(config, *, batch_size=None, learning_rate=None):
    """What the caller gave a value of their own, and a search therefore leaves alone.

    Parameters
    ----------
    config : EnhancedTrainingConfig
    batch_size, learning_rate : int, float or None
        As ``train`` got them; None was not given.

    Returns
    -------
    tuple of str
        Of "learning_rate", "weight_decay", "dropout" and "batch_size".
    """
    plain = EnhancedTrainingConfig
    given = {
        "learning_rate": learning_rate is not None,
        "weight_decay": config.weight_decay != plain.weight_decay,
        "dropout": config.dropout_rate != plain.dropout_rate,
        "batch_size": batch_size is not None or config.batch_size is not None,
    }
    return tuple(name for name, chosen in given.items() if chosen)


def build_search(config, plan, *, given=(), n_folds=3, storage=None, timeout=None, progress=False):
    """A search over the first net of ``config.models``.

    Learning rate 1e-5..1e-2, weight decay 1e-5..1e-3, dropout 0.1..0.5 and batch size 16..128,
    without those that were given.

    Parameters
    ----------
    config : EnhancedTrainingConfig
    plan : FitPlan
    given : sequence of str
        Parameters left as they are.
    n_folds : int, default=3
        Inner walk-forward folds.
    storage : path, optional
        SQLite file a killed search resumes from.
    timeout : float, optional
        Seconds after which no trial starts.
    progress : bool, default=False

    Returns
    -------
    OptunaSearchCV
        Unfitted, without a final fit.
    """
    from optuna.pruners import MedianPruner

    from ..search import HyperparameterSearchSpace, OptunaSearchCV

    if set(_NAMES) <= set(given):
        raise SktrainError(
            "use_hpo=True searches learning rate, weight decay, dropout and batch size, but all of "
            "them were given. Leave one of them out, or set use_hpo=False."
        )
    space = HyperparameterSearchSpace(hidden_dim=None, num_layers=None, **dict.fromkeys(given))
    alone = replace(config, pooling="mean")
    estimator = build_model(alone, _trial_plan(plan, given), config.models[:1])
    last_step(estimator).set_params(callbacks=[("stop", _LeaveTrial(plan.stop))])
    return OptunaSearchCV(
        estimator,
        space.to_distributions("net__net" if config.use_smote else "net"),
        n_trials=config.hpo_n_trials,
        n_jobs=config.n_jobs,
        timeout=timeout,
        storage=storage,
        scoring="balanced_accuracy" if config.hpo_direction == "maximize" else "neg_log_loss",
        cv=inner_cv(config, n_folds),
        epoch_pruner=MedianPruner(n_startup_trials=_COMPLETE, n_warmup_steps=_EPOCHS),
        refit=False,
        random_state=config.training_seed,
        error_score=float("nan"),
        progress_bar=progress,
    )


def inner_cv(config, n_folds=3):
    """Walk-forward folds a search scores its trials on.

    The first fold of the walk-forward validation may train on no more than
    ``wf_min_samples_per_fold`` times, and the search inside it has only those to divide: its own
    folds may be half as long.
    """
    least = max(1, config.wf_min_samples_per_fold // 2)
    return walk_forward_cv(config, n_splits=n_folds, coverage=False, min_samples=least)


def _trial_plan(plan, given):
    """Trials are watched by nobody; their weight decay ends where no base of the range lies above
    it."""
    params = () if "weight_decay" in given else (("callbacks__weight_decay__max", 10 * _DECAY[1]),)
    return replace(plan, params=params, checkpoints=None, watch=None, stop=None)


def found_params(found, given):
    """Net parameters by name, as the best trial had them."""
    best = {name.rpartition("net__")[2]: value for name, value in found.best_params_.items()}
    if "weight_decay" not in given:
        best["callbacks__weight_decay__max"] = 10 * _DECAY[1]
    return tuple(best.items())


def fold_model(run, config: EnhancedTrainingConfig):
    """What a walk-forward fold fits: the model of ``config``, searched on the fold's own rows where
    it asks for a search.

    Parameters
    ----------
    run : Run
    config : EnhancedTrainingConfig
        The run's, or the run's without one of its switches.

    Returns
    -------
    Pipeline or SearchedModel
        Unfitted.
    """
    plan = replace(run.plan, checkpoint_every=2**31, params=())
    given = tuple(name for name in _NAMES if name in {*run.given, *given_parameters(config)})
    if not config.use_hpo or len(given) == len(_NAMES):  # nothing is left to search
        return build_model(config, plan)
    return SearchedModel(config, plan, given, trials_file(run, config))


def trials_file(run, config: EnhancedTrainingConfig):
    """Where the trials of a run outlive its process; those without one of its switches stand apart,
    as they tell of another model."""
    folder = run.folder / CHECKPOINTS
    folder.mkdir(exist_ok=True)
    if config == run.config:
        return folder / "search.db"
    return folder / f"search-{sha256(config.to_json().encode())[:12]}.db"


def search_plan(config, **arguments):
    """The plan of a search outside of a run, with the defaults of ``train``."""
    values: dict[str, Any] = {
        name: arguments.get(name) if arguments.get(name) is not None else value
        for name, value in DEFAULTS.items()
    }
    return FitPlan(
        **values, valid_fraction=config.val_ratio / (config.train_ratio + config.val_ratio)
    )


class SearchedModel(ClassifierMixin, BaseEstimator):
    """A model that searches its hyperparameters on the rows it is fitted on, then trains with what
    it found.

    Parameters
    ----------
    config : EnhancedTrainingConfig
    plan : FitPlan
    given : sequence of str
        Parameters the search leaves alone.
    storage : path or None
        Where trials outlive the process.

    Attributes
    ----------
    model_ : Pipeline
        Fitted with what was found.
    found_ : dict
        ``params`` and inner ``score``; empty when the run was asked to stop before.
    """

    def __init__(self, config, plan, given=(), storage=None):
        self.config = config
        self.plan = plan
        self.given = given
        self.storage = storage

    def __sklearn_clone__(self):
        return SearchedModel(self.config, self.plan, self.given, self.storage)

    def __getstate__(self):
        """Another process asks nobody: it looks for the file that tells it to stop."""
        plan = replace(self.plan, stop=asked_to_stop, watch=tell_parent)
        return {**super().__getstate__(), "plan": plan}

    def fit(self, X, y):
        """Search, then train on all rows given."""
        plan, self.found_ = self.plan, {}
        try:
            found = run_search(self.config, plan, X, y, given=self.given, storage=self.storage)
            plan = replace(plan, params=found_params(found, self.given))
            self.found_ = {"params": dict(plan.params), "score": float(found.best_score_)}
        except StopAsked:
            pass  # the fold is left out: the run was asked to stop
        self.model_ = build_model(self.config, plan).fit(X, y)
        self.classes_ = np.asarray(self.model_.classes_)
        return self

    def predict_proba(self, X):
        """Class probabilities, shape (n, n_classes)."""
        return self.model_.predict_proba(X)

    def predict(self, X):
        """Classes, shape (n,)."""
        return self.model_.predict(X)

"""Bayesian search over a plain function; no data, no folds."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import optuna
from sklearn.utils import check_random_state

from .._typing import RandomState
from .._validation import check_count
from ..exceptions import SktrainError
from ._spaces import HyperparameterSearchSpace, Space
from ._study import default_sampler, quiet_optuna

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

__all__ = ["BayesianHyperparameterOptimizer"]


class TrialParams(dict):
    """The parameters of one trial; attributes such as ``report`` and ``suggest_float`` are those of
    the Optuna trial."""

    def __init__(self, params, trial):
        super().__init__(params)
        self.trial = trial

    def __getattr__(self, name):
        if name.startswith("__") or name == "trial":
            raise AttributeError(name)
        return getattr(self.trial, name)


class BayesianHyperparameterOptimizer:
    """Find the parameters that make ``objective`` best, by Optuna's TPE.

    Parameters
    ----------
    search_space : HyperparameterSearchSpace, dict or callable, optional
        Default: ``HyperparameterSearchSpace()``. A dict takes every spelling of
        ``OptunaSearchCV``'s ``param_distributions``; a callable ``trial -> params`` suggests its
        own.
    n_trials : int, default=30
        Evaluations of the objective.
    timeout : float, optional
        Seconds after which no new trial starts.
    sampler, pruner : optuna sampler and pruner, optional
        Default: seeded TPE; no pruning.
    random_state : int or RandomState, optional
        Seeds the default sampler.

    Attributes
    ----------
    study_ : optuna.Study
        All trials, for Optuna's plots and tables.
    best_params_ : dict
    best_value_ : float

    Examples
    --------
    >>> from sktrain.search import BayesianHyperparameterOptimizer
    >>> optimizer = BayesianHyperparameterOptimizer({"x": (-1.0, 1.0)}, n_trials=15, random_state=0)
    >>> best = optimizer.optimize(lambda params: (params["x"] - 0.5) ** 2, direction="minimize")
    >>> abs(best["x"] - 0.5) < 0.3
    True
    """

    def __init__(
        self,
        search_space: HyperparameterSearchSpace | dict | Callable[..., Any] | None = None,
        n_trials: int = 30,
        *,
        timeout: float | None = None,
        sampler: "BaseSampler | None" = None,
        pruner: "BasePruner | None" = None,
        random_state: RandomState = None,
    ) -> None:
        self.search_space = search_space
        self.n_trials = n_trials
        self.timeout = timeout
        self.sampler = sampler
        self.pruner = pruner
        self.random_state = random_state

    def optimize(
        self, objective: Callable, direction: Literal["maximize", "minimize"] = "maximize"
    ) -> dict:
        """Evaluate ``objective`` and return the best parameters.

        Parameters
        ----------
        objective : callable
            ``objective(params) -> float``. ``params`` is a dict; it also answers as the Optuna
            trial (``params.report``).
        direction : {"maximize", "minimize"}, default="maximize"

        Returns
        -------
        dict
            The best parameters.

        Raises
        ------
        SktrainError
            For an unknown direction, n_trials below 1, an empty or senseless space, and when no
            trial gave a finite number.
        """
        if direction not in ("maximize", "minimize"):
            raise SktrainError(f"direction must be 'maximize' or 'minimize', got {direction!r}.")
        n_trials = check_count("n_trials", self.n_trials)
        if not callable(objective):
            raise SktrainError(
                f"objective must be a function of the parameters, got {objective!r}."
            )
        spec = HyperparameterSearchSpace() if self.search_space is None else self.search_space
        space = Space(spec.distributions() if isinstance(spec, HyperparameterSearchSpace) else spec)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        found = {}

        def run(trial):
            found[trial.number] = space.params(trial)
            return objective(TrialParams(found[trial.number], trial))

        with quiet_optuna():
            sampler = default_sampler(seed) if self.sampler is None else self.sampler
            pruner = optuna.pruners.NopPruner() if self.pruner is None else self.pruner
            self.study_ = optuna.create_study(direction=direction, sampler=sampler, pruner=pruner)
            self.study_.optimize(run, n_trials=n_trials, timeout=self.timeout)
        if not any(trial.state.name == "COMPLETE" for trial in self.study_.trials):
            raise SktrainError(
                f"None of {len(self.study_.trials)} trials gave a finite number; the objective "
                "returned NaN or was pruned each time."
            )
        self.best_value_ = self.study_.best_value
        self.best_params_ = found[self.study_.best_trial.number]
        return dict(self.best_params_)

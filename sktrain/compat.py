"""Names of the original trainer's modules, for code written against them.

Each only adapts: clipping and weight decay are those of the nets' callbacks, sampler and search
space those of :class:`~sktrain.search.OptunaSearchCV`. New code uses these instead.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.utils import check_random_state

from ._typing import RandomState
from ._validation import check_count
from .exceptions import SktrainError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    import torch

    from .search import HyperparameterSearchSpace

__all__ = ["BayesianHyperparameterOptimizer", "GradientRegularizer", "WeightDecayScheduler"]


class GradientRegularizer:
    """Clips gradients in a plain PyTorch loop, between ``backward()`` and ``step()``.

    Parameters
    ----------
    clip_value : float or None, default=1.0
        Largest absolute value of any one component; applied after the norm.
    max_norm : float or None, default=5.0
        Largest Euclidean norm of all gradients together.

    Examples
    --------
    >>> import torch
    >>> from sktrain import GradientRegularizer
    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> GradientRegularizer(max_norm=1.0).clip_gradients([weight])
    5.0
    >>> [round(g, 4) for g in weight.grad.tolist()]
    [0.6, 0.8]
    """

    def __init__(self, clip_value: float | None = 1.0, max_norm: float | None = 5.0) -> None:
        from .nets import check_limit

        check_limit("clip_value", clip_value)
        check_limit("max_norm", max_norm)
        self.clip_value, self.max_norm = clip_value, max_norm

    def clip_gradients(
        self, model: "torch.nn.Module | Iterable[torch.nn.Parameter]"
    ) -> float:
        """Clip the gradients of a module, or of an iterable of parameters, in place.

        Parameters
        ----------
        model : torch.nn.Module or iterable of Parameter
            Whose ``grad`` to clip.

        Returns
        -------
        float
            Total norm before clipping. When it is not finite, the gradients are left as they are.
        """
        from .nets import clip_gradients

        parameters = model.parameters() if hasattr(model, "parameters") else model
        return clip_gradients(parameters, self.clip_value, self.max_norm)


class WeightDecayScheduler:
    """Weight decay that grows over training.

    Parameters
    ----------
    base_weight_decay, max_weight_decay : float, default=1e-4, 1e-3
        Decay at epoch 0 and at the end.
    schedule : {"cosine", "linear"}, default="cosine"
        By half a cosine, slowly at both ends, or evenly.

    Examples
    --------
    >>> from sktrain import WeightDecayScheduler
    >>> decay = WeightDecayScheduler(
    ...     base_weight_decay=1e-4, max_weight_decay=1e-3, schedule="cosine"
    ... )
    >>> [round(decay.get_weight_decay(epoch, total_epochs=100), 6) for epoch in (0, 50, 100)]
    [0.0001, 0.00055, 0.001]
    """

    def __init__(
        self,
        base_weight_decay: float = 1e-4,
        max_weight_decay: float = 1e-3,
        schedule: Literal["cosine", "linear"] = "cosine",
    ) -> None:
        from .nets import check_weight_decay

        check_weight_decay(
            schedule, base_weight_decay=base_weight_decay, max_weight_decay=max_weight_decay
        )
        self.base_weight_decay, self.max_weight_decay = base_weight_decay, max_weight_decay
        self.schedule = schedule

    def get_weight_decay(self, epoch: int, total_epochs: int = 100) -> float:
        """Weight decay at an epoch.

        Parameters
        ----------
        epoch : int
            Counted from 0.
        total_epochs : int, default=100
            Epoch at which ``max_weight_decay`` is reached.

        Returns
        -------
        float
            Between ``base_weight_decay`` and ``max_weight_decay``.
        """
        from .nets import weight_decay_at

        return weight_decay_at(
            epoch, total_epochs, self.base_weight_decay, self.max_weight_decay, self.schedule
        )


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
    >>> from sktrain import BayesianHyperparameterOptimizer
    >>> optimizer = BayesianHyperparameterOptimizer({"x": (-1.0, 1.0)}, n_trials=15, random_state=0)
    >>> best = optimizer.optimize(lambda params: (params["x"] - 0.5) ** 2, direction="minimize")
    >>> abs(best["x"] - 0.5) < 0.3
    True
    """

    def __init__(
        self,
        search_space: "HyperparameterSearchSpace | dict | Callable[..., Any] | None" = None,
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
            Whether larger or smaller values are better.

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
        import optuna

        from .search import HyperparameterSearchSpace, Space, default_sampler, quiet_optuna

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

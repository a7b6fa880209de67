"""When to give a trial up, from its scores on the first folds and those of earlier trials.

Folds come in the order of time, and every trial sees the same folds, so trials are compared fold by
fold: what made a fold hard made it hard for all of them.
"""

import numpy as np
import optuna
from optuna.pruners import BasePruner, NopPruner, WilcoxonPruner
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import t as student

from .._models import last_step
from .._validation import check_count, check_number
from ..exceptions import SktrainError

__all__ = ["FoldPruner", "choose_pruner", "has_net", "reported", "watch_epochs"]


class FoldPruner(WilcoxonPruner):
    """Wilcoxon's test against the best trial, and where folds are too few for ranks to speak, a
    bound on what can be made up.

    Wilcoxon's signed-rank test needs four folds before any p-value falls below 0.1, so on five
    folds it saves little. The bound applies from the first fold: from the complete trials, how much
    does the difference of two trials vary from fold to fold? Given that spread, and the trial's lag
    behind the best trial so far, the chance that its remaining folds lift its mean above the best
    is that of a Student t variable; below ``catch_up`` the trial is given up. A trial near the best
    is never near that bound, one at chance level is past it at once.

    Parameters
    ----------
    p_threshold : float, default=0.1
        For Wilcoxon's test.
    catch_up : float, default=0.05
        Chance of overtaking the best trial below which a trial is given up.
    n_warmup_trials : int, default=4
        Complete trials needed before the bound applies.

    Notes
    -----
    With k of K folds run, lag S (the sum of the best trial's lead) and fold spread s with v degrees
    of freedom, the r = K - k remaining differences sum to -rS/k ± s sqrt(r + r²/k), and must exceed
    S: t = S sqrt(1 + r/k) / (s sqrt(r)).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import TimeSeriesSplit
    >>> from sktrain import OptunaSearchCV
    >>> from sktrain.search import FoldPruner
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> search = OptunaSearchCV(
    ...     LogisticRegression(), {"C": (1e-6, 10.0, "log")}, n_trials=12, cv=TimeSeriesSplit(5),
    ...     pruner=FoldPruner(catch_up=0.1), random_state=0,
    ... ).fit(X, X[:, 0] > 0)
    >>> pruned = np.isnan(search.cv_results_["split4_test_score"])  # given up before the last fold
    >>> bool(pruned.any())
    True
    """

    def __init__(
        self, *, p_threshold: float = 0.1, catch_up: float = 0.05, n_warmup_trials: int = 4
    ) -> None:
        check_number("p_threshold", p_threshold, 0, 1)
        check_number("catch_up", catch_up, 0, 1)
        check_count("n_warmup_trials", n_warmup_trials, minimum=0)
        super().__init__(p_threshold=p_threshold)
        self._catch_up, self._n_warmup_trials = catch_up, n_warmup_trials

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether ``trial`` is to be given up.

        Parameters
        ----------
        study : optuna.Study
            With the trials so far.
        trial : optuna.trial.FrozenTrial
            With the scores of its folds so far.

        Returns
        -------
        bool
            True to give it up.
        """
        own = np.array(
            [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
        )
        if not len(own) or not np.isfinite(own).all():
            return False
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not complete:
            return False
        if super().prune(study, trial):
            return True
        return len(complete) >= self._n_warmup_trials and self._cannot_catch_up(own, complete)

    def _cannot_catch_up(self, own, complete):
        scores = np.array(
            [list(dict(sorted(past.intermediate_values.items())).values()) for past in complete]
        )
        best = scores[int(np.argmax([past.value for past in complete]))]
        n_folds, k = len(best), len(own)
        lag = float((best[:k] - own).sum())
        if k >= n_folds or lag <= 0:
            return False
        others = scores[~(scores == best).all(axis=1)]
        freedom = len(others) * (n_folds - 1)
        if not freedom:
            return False
        lead = best - others
        spread = np.sqrt(((lead - lead.mean(axis=1, keepdims=True)) ** 2).sum() / freedom)
        left = n_folds - k
        if spread == 0:
            return True
        return bool(
            student.sf(lag * np.sqrt(1 + left / k) / (spread * np.sqrt(left)), freedom)
            < self._catch_up
        )


def choose_pruner(pruner, n_folds):
    """The pruner a search uses; None means :class:`FoldPruner` from three folds on, False means
    none."""
    if pruner is None:
        return FoldPruner() if n_folds >= 3 else NopPruner()
    if pruner is False:
        return NopPruner()
    if not isinstance(pruner, BasePruner):
        raise SktrainError(f"pruner must be None, False or an Optuna pruner, got {pruner!r}.")
    if n_folds < 2 and not isinstance(pruner, NopPruner):
        raise SktrainError(
            f"pruner={type(pruner).__name__}() compares trials between folds, but cv has "
            f"{n_folds} fold. Use pruner=False, or a cv with more folds."
        )
    return pruner


def reported(pruner, scores):
    """What the pruner is told after the last of ``scores``: the fold's score for a paired test,
    else the running mean."""
    if isinstance(pruner, WilcoxonPruner) or (
        isinstance(pruner, optuna.pruners.PatientPruner)
        and isinstance(pruner._wrapped_pruner, WilcoxonPruner)
    ):
        return float(scores[-1])
    return float(np.mean(scores))


def _net_of(estimator):
    """The net at the end of ``estimator``, or None."""
    last = last_step(estimator)
    return last if hasattr(last, "initialize_callbacks") else None


def has_net(estimator):
    """Whether epochs of ``estimator`` can be watched: it is a skorch net, or a pipeline that ends
    in one."""
    return _net_of(estimator) is not None


def watch_epochs(estimator, pruner, past):
    """Let ``pruner`` see the validation loss after every epoch of the net in ``estimator``.

    Parameters
    ----------
    estimator : a net or a pipeline that ends in one
        Gets one more callback.
    pruner : optuna.pruners.BasePruner
    past : list of lists of float
        Loss per epoch of earlier complete trials on the same fold.

    Returns
    -------
    list of float
        Fills with the loss per epoch while the net is fitted; ``optuna.TrialPruned`` ends a fit
        without hope.
    """
    from skorch.callbacks import Callback

    study = optuna.create_study(direction="minimize", pruner=pruner)
    for curve in past:
        study.add_trial(
            optuna.trial.create_trial(value=curve[-1], intermediate_values=dict(enumerate(curve)))
        )
    trial, losses = study.ask(), []

    class EpochPruning(Callback):
        def on_epoch_end(self, net, **kwargs):
            row = net.history[-1]
            losses.append(float(row["valid_loss"] if "valid_loss" in row else row["train_loss"]))
            trial.report(losses[-1], len(losses) - 1)
            if np.isfinite(losses[-1]) and trial.should_prune():
                raise optuna.TrialPruned(f"given up after epoch {len(losses)}")

    net = _net_of(estimator)
    net.set_params(callbacks=[*(net.callbacks or []), ("epoch_pruning", EpochPruning())])
    return losses

"""OptunaSearchCV: the search, its trials, and what the best of them is worth.

Folds are taken in the order the splitter gives them, which for sktrain's splitters is the order of
time.
"""

from collections.abc import Callable, Sequence
import copy
from os import PathLike
import time
from typing import Any, Literal, Self
import warnings

import numpy as np
from numpy.typing import ArrayLike
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from sklearn.base import _fit_context, clone, is_classifier
from sklearn.model_selection import check_cv, cross_validate
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing, check_random_state, get_tags, indexable
from sklearn.utils._metadata_requests import _routing_enabled
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import _check_method_params, check_is_fitted

from .._routing import told_to_folds
from .._typing import CrossValidator, Estimator, RandomState, Scoring
from .._validation import Count, Number, check_beside, labelled_mask, renamed
from ..exceptions import SktrainError
from ..reproducibility import rng_scope, seed_parts
from ._evaluate import FoldRunner, TrialRunner
from ._fingerprint import fingerprint, fingerprint_data
from ._loop import SearchLoop, nothing_finite, tell_failures
from ._overfit import check_folds, fold_baseline, overfit_report
from ._progress import FitTasks, SearchProgress
from ._pruning import choose_pruner, has_net
from ._results import padded, with_trials
from ._spaces import OTHER_NAMES, HyperparameterSearchSpace, Space
from ._storage import MemoryLedger, StorageLedger, study_name
from ._study import Suggester, default_sampler, quiet_optuna, seed_of

__all__ = ["OptunaSearchCV"]


class OptunaSearchCV(BaseSearchCV):
    """Bayesian search over parameters that prunes, resumes, and says what its best score is worth.

    A drop-in for ``GridSearchCV``: the same attributes, methods and ``cv_results_`` columns. Trials
    are suggested by Optuna in batches of four whatever ``n_jobs`` is, what is random in a fit is
    seeded by (seed, trial, fold) and a fit runs on one thread, so the same search gives the same
    trials on one core, on many, on a cluster, and after any number of kills.

    Parameters
    ----------
    estimator : estimator
        Cloned for every fit.
    param_distributions : dict, list of dict, HyperparameterSearchSpace or callable
        Per parameter an Optuna distribution, ``(low, high)``, ``(low, high, "log")``, a list of
        choices, a ``range``, or a frozen scipy distribution; bounds included, whole numbers when
        both ends are whole. Of a list of dicts each trial takes one. Or a function ``trial ->
        {parameter: value}``.
    n_trials : int or None, default=30
        Trials in all, resumed ones included. None: until ``timeout``.
    timeout : float, optional
        Seconds after which no new trial starts; at least one is finished.
    sampler : optuna.samplers.BaseSampler, optional
        Default: multivariate TPE that opens with eight evenly spread trials. It is copied and
        reseeded for every trial.
    pruner : optuna.pruners.BasePruner, False or None, default=None
        Gives trials up on the scores of their first folds. None: Wilcoxon's test and a bound on
        what can still be made up (:class:`FoldPruner`) with three folds or more. False: every trial
        runs every fold. Paired pruners (Wilcoxon) see the score of each fold, others the running
        mean.
    storage : str, path or optuna storage, optional
        Where trials outlive the process: a path means SQLite, ``"dialect://..."`` a database. A
        killed search goes on where it was; those who fit the same one share its trials. Finished
        ones never run again, those in flight do: elsewhere after 120 s without a sign of life.
    study_name : str, optional
        Default: derived from the data, so outer folds of a nested search never meet. Inside
        ``cross_validate`` leave it None.
    scoring : str, callable, list, tuple, dict or None
        As in ``GridSearchCV``. With several scores the search follows ``refit``'s, else the first.
    n_jobs : int, optional
        Folds fitted at the same time, through joblib: any backend of ``joblib.parallel_config``,
        Dask included.
    refit : bool, str or callable, default=True
        Whether to fit the best parameters on all rows; a string or callable as in ``GridSearchCV``.
    cv : int, splitter or iterable, optional
        Folds in order of time are what pruning and the report expect; see
        ``EnhancedWalkForwardCV``.
    error_score : "raise" or number, default=nan
        Score shown for a fold that failed. A trial with such a fold has state "failed", ranks last
        and never wins, whatever the number. "raise" passes the first error on.
    return_train_score : bool, default=False
        Whether ``cv_results_`` has the scores on the training rows.
    random_state : int or RandomState, optional
        Seeds the sampler, and in every fit, the final one included, each ``random_state`` left None
        inside the estimator and the global generators of python, numpy and torch, by (seed, trial,
        fold). A part with an int of its own keeps it: it draws the same numbers in every fit. None:
        drawn anew, or read from the stored study.
    callbacks : sequence of callables, default=()
        Each is called as ``callback(study, trial)`` after every trial; ``study.stop()`` ends the
        search after its batch. scikit-learn's own callbacks (1.9) are given to ``set_callbacks``,
        of this search or of what stands around it.
    verbose : int, default=0
        1 prints a line per trial, more is passed on to scikit-learn.
    progress_bar : bool, default=False
        A bar with the best score so far.
    pre_dispatch : int or str, default="2*n_jobs"
        Folds handed to joblib ahead of their turn.
    epoch_pruner : optuna.pruners.BasePruner, optional
        For a net, or a pipeline that ends in one: gives a fit up on its validation loss per epoch,
        compared with earlier complete trials on the same fold (``optuna.pruners.MedianPruner()``).
        The trial is then pruned.
    enqueue : list of dict, True or None, default=None
        Parameters of the first trials, for a search that starts from what is known to work; what a
        dict leaves out is sampled. True tries the estimator's own values. They count among
        ``n_trials``.

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        Columns of ``GridSearchCV`` and ``state`` ("complete", "pruned", "failed"), ``duration``
        (seconds of fitting and scoring), ``pruned_fold`` (last fold a pruned trial ran, -1 when it
        was given up inside the first; masked for other trials). A pruned trial has NaN in the folds
        it did not run, a NaN mean and the last rank.
    best_estimator_, best_params_, best_score_, best_index_, scorer_, n_splits_, refit_time_,
    multimetric_ :
        As in ``GridSearchCV``.
    overfit_report_ : OverfitReport
        What the best score is worth.
    study_ : optuna.Study
        All trials in order, in memory, for ``optuna.visualization``.

    Notes
    -----
    Ctrl-C keeps the finished trials and refits the best of them.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.datasets import make_classification
    >>> from sktrain import OptunaSearchCV
    >>> X, y = make_classification(random_state=0)
    >>> search = OptunaSearchCV(
    ...     LogisticRegression(), {"C": (1e-3, 1e3, "log")}, n_trials=8, random_state=0
    ... ).fit(X, y)
    >>> len(search.cv_results_["params"]), search.overfit_report_.verdict
    (8, 'edge')
    """

    _parameter_constraints: dict = {
        **BaseSearchCV._parameter_constraints,
        "param_distributions": [dict, list, tuple, callable, HyperparameterSearchSpace],
        "n_trials": [Count(1), None],
        "timeout": [Number(0, closed="neither"), None],
        "sampler": [BaseSampler, None],
        "pruner": [HasMethods("prune"), None, "boolean"],
        "storage": [object],
        "study_name": [str, None],
        "random_state": ["random_state"],
        "callbacks": [list, tuple],
        "enqueue": [list, tuple, "boolean", None],
        "progress_bar": ["boolean"],
        "epoch_pruner": [HasMethods("prune"), None],
    }

    @renamed(**OTHER_NAMES)
    def __init__(
        self,
        estimator: Estimator,
        param_distributions: dict | list[dict] | HyperparameterSearchSpace | Callable[..., Any],
        *,
        n_trials: int | None = 30,
        timeout: float | None = None,
        sampler: BaseSampler | None = None,
        pruner: BasePruner | Literal[False] | None = None,
        storage: str | PathLike | BaseStorage | None = None,
        study_name: str | None = None,
        scoring: Scoring = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable = True,
        cv: CrossValidator | None = None,
        error_score: float | Literal["raise"] = np.nan,
        return_train_score: bool = False,
        random_state: RandomState = None,
        callbacks: Sequence[Callable[..., Any]] = (),
        verbose: int = 0,
        progress_bar: bool = False,
        pre_dispatch: int | str = "2*n_jobs",
        epoch_pruner: BasePruner | None = None,
        enqueue: list | None = None,
    ) -> None:
        super().__init__(
            estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_distributions = param_distributions
        self.n_trials = n_trials
        self.timeout = timeout
        self.sampler = sampler
        self.pruner = pruner
        self.storage = storage
        self.study_name = study_name
        self.random_state = random_state
        self.callbacks = callbacks
        self.progress_bar = progress_bar
        self.epoch_pruner = epoch_pruner
        self.enqueue = enqueue

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags = copy.deepcopy(get_tags(self.estimator).target_tags)
        return tags

    # the estimator is validated when it is fitted
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Self:
        """Search, then fit the best parameters on all rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows in order of time.
        y : array-like of shape (n_samples,), optional
            Labels or targets.
        **params : dict
            Metadata for the estimator's ``fit``, the scorer and the splitter (``sample_weight``,
            ``groups``, ``label_end_times``, ``times``), routed as in scikit-learn's searches. While
            metadata routing is off, ``label_end_times`` and ``times`` reach a splitter that takes
            them, and the estimator if it does.

        Returns
        -------
        self
            The fitted search.

        Raises
        ------
        SktrainError
            Before any trial, for what cannot be searched: no budget, a senseless range, an unknown
            parameter, a storage that cannot be written, a fold without a class that the scorer
            needs; after the search, when no trial gave a finite score.
        StudyMismatchError
            When the stored study belongs to other data, folds, estimator or space.
        """
        scorers, _ = self._get_scorers()
        self._check_settings()
        space = Space(self.param_distributions, self.estimator)
        if y is None and get_tags(self).target_tags.required:
            raise SktrainError(
                f"{type(self).__name__} of {type(self.estimator).__name__} requires y to be "
                "passed, but the target y is None."
            )
        X, y = indexable(X, y)
        check_beside(X, params, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        tasks = FitTasks(self, X, y, params)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = [tuple(split) for split in cv.split(X, y, **routed.splitter.split)]
        if not splits:
            raise SktrainError(f"cv={self.cv!r} gave no folds.")
        self.n_splits_ = len(splits)
        options = {
            "scorer": scorers,
            "fit_params": routed.estimator.fit,
            "score_params": routed.scorer.score,
            # the user's own is written in at the end
            "error_score": "raise" if self.error_score == "raise" else np.nan,
            "return_train_score": self.return_train_score,
            "return_n_test_samples": True,
            "return_times": True,
            "verbose": max(0, self.verbose - 1),
        }
        baseline = fold_baseline(self.estimator, X, y, splits, options)
        check_folds(self, X, y, splits, baseline, options)
        with quiet_optuna():
            records, seed, runner = self._search(space, X, y, params, cv, splits, options, tasks)
        if all(record.value is None for record in records):
            nothing_finite(records, runner)
        tell_failures(records, self.error_score)
        self._collect(records)
        self.scorer_ = getattr(scorers, "_scorers", scorers) if self.multimetric_ else scorers
        if self.refit:
            rows = _labelled(X, y, routed.estimator.fit, splits)
            self._refit(*rows, [seed, self._slots[self.best_index_], self.n_splits_], tasks)
        self.overfit_report_ = overfit_report(records, self._metric, baseline, splits)
        tasks.end()
        return self

    def nested_estimate(
        self, X: ArrayLike, y: ArrayLike | None = None, *, cv: CrossValidator | None = None,
        **params: Any,
    ) -> np.ndarray:
        """Score the whole search on outer folds it never saw, and add that to ``overfit_report_``.

        Parameters
        ----------
        X, y : array-like of length n, array-like of shape (n,)
            As in :meth:`fit`.
        cv : int, splitter or iterable, optional
            Outer folds; default the search's own ``cv``.
        **params : dict
            Metadata, routed as by ``cross_validate``.

        Returns
        -------
        ndarray of shape (n_outer_folds,)
            Outer test scores.
        """
        check_is_fitted(self)
        scoring = (
            self.scoring
            if self.scoring is None or isinstance(self.scoring, str)
            else self.score.__func__
        )
        # each outer fold is a study of its own, named by its rows
        search = clone(self).set_params(study_name=None)
        outer = check_cv(self.cv if cv is None else cv, y, classifier=is_classifier(self.estimator))
        if not _routing_enabled():
            told = told_to_folds(self.estimator, outer, params)[1]
            outer = list(outer.split(X, y, params.get("groups"), **told)) if told else outer
        outer = cross_validate(
            search, X, y, cv=outer, scoring=scoring, params=params, error_score="raise"
        )
        self.overfit_report_ = self.overfit_report_.with_nested(outer["test_score"])
        return outer["test_score"]

    def _get_routed_params_for_fit(self, params):
        """As scikit-learn's; while routing is off, folds are told of the ends of labels as well."""
        routed = super()._get_routed_params_for_fit(params)
        if not _routing_enabled():
            routed.estimator.fit, told = told_to_folds(
                self.estimator, self.cv, routed.estimator.fit
            )
            routed.splitter.split.update(told)
        return routed

    def _check_settings(self):
        if self.n_trials is None and self.timeout is None:
            raise SktrainError(
                "n_trials=None and timeout=None: the search would never end. Give one of them."
            )
        if self.pruner is True:
            raise SktrainError(
                "pruner=True is not a pruner: use None for the default, False for none, or an "
                "Optuna pruner."
            )
        named = isinstance(self.refit, str) and (
            self.scoring is None or isinstance(self.scoring, str)
        )
        if named and self.refit not in ("score", self.scoring):
            raise SktrainError(
                f"refit={self.refit!r} names no scorer; there is one, "
                f"{self.scoring or 'score'!r}. Use refit=True."
            )
        if self.epoch_pruner is not None and not has_net(self.estimator):
            raise SktrainError(
                f"epoch_pruner watches the epochs of a net, but {type(self.estimator).__name__} "
                "is none and does not end in one."
            )
        bad = [callback for callback in self.callbacks if not callable(callback)]
        if bad:
            raise SktrainError(f"callbacks must be functions of (study, trial), got {bad[0]!r}.")

    def _metric(self, scores):
        """The score that is searched for, of one fold."""
        if not isinstance(scores, dict):
            return scores
        return (
            scores[self.refit]
            if isinstance(self.refit, str) and self.refit in scores
            else next(iter(scores.values()))
        )

    def _search(self, space, X, y, params, cv, splits, options, tasks):
        """Run the trials; returns the finished ones in order, the seed, and what ran them."""
        sampler = default_sampler() if self.sampler is None else copy.deepcopy(self.sampler)
        pruner = copy.deepcopy(choose_pruner(self.pruner, len(splits)))
        seed = (
            seed_of(sampler)
            if self.random_state is None
            else int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        )
        opening = space.opening(self.enqueue, self.estimator)
        bound = {
            "splits": splits, "cv": cv, "estimator": self.estimator, "space": space,
            "opening": opening, "scoring": self.scoring, "sampler": sampler, "pruner": pruner,
        }
        ledger, name, seed = self._ledger(seed, X, y, params, bound)
        try:
            suggester = Suggester(
                space, sampler=sampler, pruner=pruner, seed=seed, name=name, opening=opening
            )
            self.study_ = suggester.study
            runner = FoldRunner(
                self.estimator, X, y, splits, seed=seed, n_jobs=self.n_jobs,
                pre_dispatch=self.pre_dispatch, options=options, epoch_pruner=self.epoch_pruner,
                tasks=tasks,
            )
            with (
                runner,
                SearchProgress(
                    self.n_trials, bar=self.progress_bar, verbose=self.verbose
                ) as progress,
                tasks.search(self),
            ):
                loop = SearchLoop(
                    self, suggester, ledger, TrialRunner(runner, suggester, self._metric), progress
                )
                return loop.run(), seed, runner
        finally:
            ledger.close()

    def _ledger(self, seed, X, y, params, bound):
        """Where trials are kept, bound to ``bound``; the study's name and seed: a file's own."""
        if self.storage is None:
            return MemoryLedger(), self.study_name or "sktrain", seed
        data = fingerprint_data(X, y, params)
        name = study_name(self.study_name, data)
        ledger = StorageLedger(
            self.storage, name, space=bound["space"], n_folds=len(bound["splits"]),
            fixed_seed=self.random_state is not None,
            seed=seed, describe=lambda seed: fingerprint(data=data, seed=seed, **bound),
        )
        return ledger, name, ledger.seed

    def _collect(self, records):
        """Make ``cv_results_`` and choose the best trial."""
        self._slots = [record.slot for record in records]
        outs, self.multimetric_ = padded(
            records, self.n_splits_, scoring=self.scoring, error_score=self.error_score
        )
        metric = "score"
        if self.multimetric_:
            self._check_refit_for_multimetric(outs[0]["test_scores"])
            metric = self.refit
        with warnings.catch_warnings():
            if any(record.state == "pruned" for record in records):
                warnings.filterwarnings("ignore", "One or more of the", UserWarning)
            results = self._format_results(
                [record.params for record in records], self.n_splits_, outs
            )
        self.cv_results_ = with_trials(results, records)
        if self.refit or not self.multimetric_:
            self._choose(metric)

    def _choose(self, metric):
        results = self.cv_results_
        self.best_index_ = self._select_best_index(self.refit, metric, results)
        if results["state"][self.best_index_] != "complete":
            raise SktrainError(
                f"refit chose trial {self.best_index_}, which is "
                f"{results['state'][self.best_index_]} and has no mean score. "
                "Let it skip NaN, as np.nanargmax does."
            )
        if not callable(self.refit):
            self.best_score_ = results[f"mean_test_{metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _refit(self, X, y, fit_params, key, tasks):
        """Fit the best parameters on all rows, seeded like a fold; rows without a label that stand
        in no fold are left out."""
        seeded = seed_parts(
            clone(self.estimator).set_params(**clone(self.best_params_, safe=False)), key
        )
        self.best_estimator_ = seeded
        start = time.time()
        with rng_scope(key), tasks.refit(seeded):
            if y is not None:
                seeded.fit(X, y, **fit_params)
            else:
                seeded.fit(X, **fit_params)
        self.refit_time_ = time.time() - start
        if hasattr(seeded, "feature_names_in_"):
            self.feature_names_in_ = seeded.feature_names_in_


def _labelled(X, y, fit_params, splits) -> tuple[Any, Any, Any]:
    """The rows of the final fit: those with a label, and those without one that stand in a fold."""
    mask = labelled_mask(y, len(y)) if y is not None else np.array([True])
    if mask.all():
        return X, y, fit_params
    for train, test in splits:
        mask[train] = mask[test] = True
    rows = np.flatnonzero(mask)
    return (
        _safe_indexing(X, rows),
        _safe_indexing(y, rows),
        _check_method_params(X, fit_params, indices=rows),
    )

"""Runs trials: scikit-learn's fold results, the same ones whatever runs them.

What is random in a fit is seeded by (seed, slot, fold), and it runs on one thread, in this process,
in loky workers and on a Dask cluster alike, so a result never depends on who computed it. A worker
that dies takes only its own fold with it.
"""

from contextlib import nullcontext
import copy
import os

from joblib import Parallel, delayed, effective_n_jobs
from joblib.externals.loky.process_executor import BrokenProcessPool
import numpy as np
from optuna import TrialPruned
from optuna.pruners import NopPruner, WilcoxonPruner
from sklearn.base import clone
from sklearn.model_selection._validation import _fit_and_score

from ..reproducibility import rng_scope, seed_parts, single_thread
from ._pruning import reported, watch_epochs
from ._study import quiet_optuna

__all__ = ["DEAD", "FoldRunner", "TrialRunner", "cause_of"]

DEAD = "The worker process died while it fitted this fold: killed by a signal or out of memory."


def _run_fold(estimator, X, y, params, key, home, options, epochs=None):
    """Fit and score one fold, here or in a worker; ``epochs`` is (pruner, past loss curves) where
    epochs are watched."""
    with single_thread() if os.getpid() != home else nullcontext(), rng_scope(key):
        estimator = seed_parts(clone(estimator).set_params(**clone(params, safe=False)), key)
        if epochs is None:
            return _fit_and_score(estimator, X, y, parameters=None, **options)
        with quiet_optuna():
            losses = watch_epochs(estimator, *epochs)
            try:
                result = _fit_and_score(estimator, X, y, parameters=None, **options)
            except TrialPruned as pruned:
                result = failed_fold(options, f"TrialPruned: {pruned}", len(options["test"]))
        given_up = (
            result["fit_error"] is not None
            and "TrialPruned: " in result["fit_error"].strip().splitlines()[-1]
        )
        return {**result, "losses": losses, "given_up": given_up}


class FoldRunner:
    """Fits and scores batches of (record, fold) jobs through joblib.

    Parameters
    ----------
    estimator : estimator
    X, y : the training data
    splits : list of (train, test) index arrays
    seed : int
    n_jobs : int or None
    pre_dispatch : int or str
    options : dict
        Passed to scikit-learn's fold function.
    epoch_pruner : optuna.pruners.BasePruner, optional
        Watches the epochs of a net.
    tasks : FitTasks, optional
        Tells scikit-learn's callbacks of every fold.
    """

    def __init__(
        self, estimator, X, y, splits, *, seed, n_jobs, pre_dispatch, options, epoch_pruner=None,
        tasks=None,
    ):
        self.estimator, self.X, self.y, self.splits, self.seed = estimator, X, y, splits, seed
        self.options, self.epoch_pruner = options, epoch_pruner
        self.curves: list[list[float]] = [[] for _ in splits]
        self.workers = effective_n_jobs(n_jobs)
        self._tasks = tasks
        self._pre_dispatch = pre_dispatch
        self._parallel = Parallel(n_jobs=n_jobs, pre_dispatch=pre_dispatch)
        self._n_jobs = n_jobs

    def __enter__(self):
        self._threads = single_thread()
        self._threads.__enter__()
        self._parallel.__enter__()
        return self

    def __exit__(self, *error):
        try:
            self._parallel.__exit__(*error)
        finally:
            self._threads.__exit__(*error)

    def repeat(self, record, fold):
        """Run one fold here and let its error through."""
        scorer = self.options["scorer"]
        if hasattr(scorer, "_raise_exc"):  # several scorers decide for themselves
            scorer = copy.copy(scorer)
            scorer._raise_exc = True
        function, arguments, named = self._job(record, fold, error_score="raise", scorer=scorer)
        return function(*arguments, **named)

    def _job(self, record, fold, **changed):
        train, test = self.splits[fold]
        options = {
            **self.options,
            **changed,
            "train": train,
            "test": test,
            "split_progress": (fold, len(self.splits)),
        }
        if self._tasks is not None:
            options.update(self._tasks.of_fold(record.slot * len(self.splits) + fold))
        key = [self.seed, record.slot, fold]
        epochs = None if self.epoch_pruner is None else (self.epoch_pruner, self.curves[fold])
        return delayed(_run_fold)(
            self.estimator, self.X, self.y, record.params, key, os.getpid(), options, epochs
        )

    def learn(self, record):
        """Remember the loss curves of a complete trial for the trials of later batches."""
        if self.epoch_pruner is not None and record.state == "complete":
            for curves, fold in zip(self.curves, record.folds):
                curves.append(fold["losses"])

    def run(self, jobs):
        """Results of ``jobs``, a list of (record, fold), in the same order."""
        try:
            return self._parallel(self._job(*job) for job in jobs)
        # a worker died: run the folds one by one, so that only its own trial is lost
        except BrokenProcessPool:
            self._parallel.__exit__(None, None, None)
            results = self._run_one_by_one(jobs)
            self._parallel = Parallel(n_jobs=self._n_jobs, pre_dispatch=self._pre_dispatch)
            self._parallel.__enter__()
            return results

    def _run_one_by_one(self, jobs):
        results, dead = [], set()
        for record, fold in jobs:
            try:
                if record.slot not in dead:
                    results += Parallel(n_jobs=2, backend="loky")([self._job(record, fold)])
                    continue
            except BrokenProcessPool:
                if self.options["error_score"] == "raise":
                    raise
                dead.add(record.slot)  # it would kill a worker in every fold
            results.append(failed_fold(self.options, DEAD, len(self.splits[fold][1])))
        return results


def cause_of(fit_error):
    """The sentence that ends a traceback: kind of error, without its module, and message."""
    last = fit_error.rpartition("Traceback (most recent call last):")[2].strip("\n")
    told = [line for line in last.splitlines() if line and not line.startswith("  ")] or [last]
    kind, colon, message = told[0].strip().partition(": ")
    return f"{kind.rpartition('.')[2]}{colon}{message}" if colon else kind


def failed_fold(options, reason, n_test):
    """What scikit-learn would report for a fit that raised."""
    scorer, score = options["scorer"], options["error_score"]
    names = getattr(scorer, "_scorers", None)
    scores = dict.fromkeys(names, score) if isinstance(names, dict) else score
    result = {
        "fit_error": reason,
        "test_scores": scores,
        "n_test_samples": n_test,
        "fit_time": 0.0,
        "score_time": 0.0,
    }
    return {**result, "train_scores": scores} if options["return_train_score"] else result


class TrialRunner:
    """Takes trials through their folds in the order of time and gives the hopeless ones up on the
    way.

    Folds are run in rounds, one fold of every live trial at a time; the pruner decides between
    rounds and sees nothing but finished batches and the trial itself, so its verdict does not
    depend on who runs what.

    Parameters
    ----------
    folds : FoldRunner
    suggester : Suggester
    metric : callable
        ``metric(test_scores) -> float``, the score that is searched for.
    """

    def __init__(self, folds, suggester, metric):
        self.folds, self.suggester, self.metric = folds, suggester, metric
        self.pruner = suggester.study.pruner
        self.n_folds = len(folds.splits)

    def _in_one_go(self):
        """Whether no trial of this batch can be given up: nobody prunes, or there is nothing to
        compare with yet."""
        if isinstance(self.pruner, NopPruner):
            return True
        return isinstance(self.pruner, WilcoxonPruner) and not self.suggester.any_complete()

    def run(self, records):
        """Fill in folds, reports, state, value and duration of ``records``."""
        rounds = (
            [range(self.n_folds)] if self._in_one_go() else [[fold] for fold in range(self.n_folds)]
        )
        live = list(records)
        for folds in rounds:
            results = iter(self.folds.run([(record, fold) for record in live for fold in folds]))
            for record in live:
                for _ in folds:
                    self._add(record, _plain(next(results)))
            live = [record for record in live if self._goes_on(record)]
        for record in records:
            record.duration = sum(fold["fit_time"] + fold["score_time"] for fold in record.folds)

    def _add(self, record, result):
        if record.finished:  # given up in an earlier fold of the same round
            return
        if result.get("given_up"):
            record.state = "pruned"
            return
        record.folds.append(result)
        record.reports.append(reported(self.pruner, self._scores(record)))

    def _scores(self, record):
        return [self.metric(fold["test_scores"]) for fold in record.folds]

    def _goes_on(self, record):
        if record.finished:
            return False
        scores = self._scores(record)
        # NaN where a fit or a scorer failed, whatever error_score says
        if not np.isfinite(scores).all():
            record.state = "failed"
        elif len(scores) == self.n_folds:
            record.state, record.value = "complete", float(np.mean(scores))
        elif self.suggester.hopeless(record, self.n_folds):
            record.state = "pruned"
        return not record.finished


def _plain(result):
    """A fold's result in numbers that any storage keeps."""
    scores = {key: _floats(result[key]) for key in ("test_scores", "train_scores") if key in result}
    return {
        **result,
        **scores,
        "fit_time": float(result["fit_time"]),
        "score_time": float(result["score_time"]),
    }


def _floats(scores):
    return (
        {name: float(score) for name, score in scores.items()}
        if isinstance(scores, dict)
        else float(scores)
    )

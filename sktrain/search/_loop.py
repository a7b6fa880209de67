"""Batches of trials until the budget is spent: slots are asked, run, kept and learned from, in
their order."""

import time
import warnings

import numpy as np
from sklearn.model_selection._validation import _warn_or_raise_about_fit_failures

from ..exceptions import SktrainError, SktrainWarning
from ._evaluate import DEAD, cause_of
from ._spaces import check_params
from ._study import BATCH, Record

__all__ = ["SearchLoop", "nothing_finite", "tell_failures"]

_CAUSES = 3  # distinct causes of failed fits that an error tells: a judgment


class SearchLoop:
    """Batches of slots until the budget is spent."""

    def __init__(self, search, suggester, ledger, runner, progress):
        self.search, self.suggester, self.ledger, self.runner, self.progress = (
            search, suggester, ledger, runner, progress,
        )
        self.deadline = None if search.timeout is None else time.monotonic() + search.timeout
        # small bites: others, or the clock, get a turn between them
        eager = ledger.shared or self.deadline is not None
        self.limit = runner.folds.workers if eager else BATCH
        self.interrupted = False

    def _time_is_up(self, finished):
        return self.interrupted or (
            finished and self.deadline is not None and time.monotonic() > self.deadline
        )

    def run(self):
        """All finished trials, in the order of their slots."""
        stored = self.ledger.finished()
        wanted = self.search.n_trials
        records = list[Record]()
        start = 0
        while not self._time_is_up(records) and not self.suggester.stopped:
            stop = (
                start + BATCH
                if wanted is None
                else min(start + BATCH, max([wanted - 1, *stored]) + 1)
            )
            if start >= stop:
                break
            batch = [self._next(slot, stored) for slot in range(start, stop)]
            done = self._finish(batch, have_some=bool(records))
            records += done
            start = stop
        if self.interrupted:
            if not records:
                raise KeyboardInterrupt
            warnings.warn(
                f"The search was interrupted: {len(records)} trials are finished and count, the "
                "others are lost.",
                SktrainWarning,
            )
        return records

    def _next(self, slot, stored):
        if slot in stored:
            self.suggester.recall(stored[slot])
            return stored[slot]
        record = self.suggester.ask(slot)
        if slot == 0 or self.suggester.space.function:
            check_params(self.search.estimator, record.params)
        return record

    def _finish(self, batch, have_some):
        """Evaluate a batch, learn from it in order, and return its finished trials."""
        for record in batch:
            if record.finished:
                self.progress.add(record, resumed=True)
        try:
            self._evaluate(batch, have_some)
        except KeyboardInterrupt:
            self.interrupted = True
        done = []
        for record in batch:
            if not record.finished:
                self.ledger.release(record)
                self.suggester.drop(record)
                continue
            done.append(record)
            self.runner.folds.learn(record)
            frozen = self.suggester.tell(record)
            for callback in self.search.callbacks:
                callback(self.suggester.study, frozen)
        return done

    def _evaluate(self, batch, have_some):
        pause = 0.05
        while not all(record.finished for record in batch) and not self._time_is_up(
            have_some or any(record.finished for record in batch)
        ):
            mine = self.ledger.claim(
                [record for record in batch if not record.finished], self.limit
            )
            try:
                self.runner.run(mine)
            except BaseException:
                for record in mine:
                    self.ledger.release(record)
                raise
            for record in mine:
                self.ledger.write(record)
                self.progress.add(record)
            if not mine:  # others are at it
                time.sleep(pause)
                pause = min(2 * pause, 1.0)
                self._fetch(batch)

    def _fetch(self, batch):
        """Take over what other workers finished."""
        stored = self.ledger.finished()
        for position, record in enumerate(batch):
            if not record.finished and record.slot in stored:
                batch[position] = stored[record.slot]
                self.progress.add(batch[position])


def tell_failures(records, error_score):
    """Warn of fits that failed as scikit-learn does."""
    _warn_or_raise_about_fit_failures(
        [fold for record in records for fold in record.folds], error_score
    )


def nothing_finite(records, runner):
    """Raise the error that says why no trial has a mean score, on top of what the first fold that
    failed raises, which is repeated for it."""
    n_fits = sum(len(record.folds) for record in records)
    failed = [
        (record, fold, result["fit_error"])
        for record in records
        for fold, result in enumerate(record.folds)
        if result["fit_error"] is not None
    ]
    message = f"None of {len(records)} trials gave a finite score on every fold"
    if not failed:
        first, scores = records[0], [fold["test_scores"] for fold in records[0].folds]
        cause = _raised_by(runner, first, _undefined(scores))
        why = (
            "Does the scorer fit the data?"
            if cause is None
            else f"Scoring raised {type(cause).__name__}: {cause}"
        )
        raise SktrainError(
            f"{message}, so there is no best one. Fold scores of trial {first.slot}, "
            f"{first.params}: {scores}. {why}"
        ) from cause
    all_of_them = f". All the {n_fits} fits failed: your model is misconfigured."
    share = all_of_them if len(failed) == n_fits else f": {len(failed)} of {n_fits} fits failed."
    told = f"{message}{share} {_causes(failed)}"
    cause = _raised_by(runner, *failed[0])
    raise (_OfWrongType if isinstance(cause, TypeError) else SktrainError)(told) from cause


class _OfWrongType(SktrainError, TypeError):
    """What the fits refuse by its type is a TypeError, as of scikit-learn's estimators."""


def _causes(failed):
    """The distinct causes of failed fits, each with the number of fits and the first of them."""
    told: dict = {}
    for record, fold, error in failed:
        told.setdefault(cause_of(error), []).append((record, fold))
    lines = []
    for cause, fits in list(told.items())[:_CAUSES]:
        record, fold = fits[0]
        lines.append(
            f"{len(fits)} fit{'s' if len(fits) > 1 else ''} failed with the following error, the "
            f"first in fold {fold} of trial {record.slot}, {record.params}: {cause}"
        )
    more = len(told) - len(lines)
    return "\n".join([*lines, *([f"And {more} other causes."] if more else [])])


def _undefined(scores):
    """The first fold without a finite score; the last where every one has one."""
    values = [list(one.values()) if isinstance(one, dict) else one for one in scores]
    finite = [bool(np.isfinite(value).all()) for value in values]
    return finite.index(False) if False in finite else len(finite) - 1


def _raised_by(runner, record, fold, error=None):
    """The error of a failed fold, from fitting it again; None where that would end this process, or
    where it does not fail again."""
    if error == DEAD:
        return None
    try:
        runner.repeat(record, fold)
    except Exception as again:
        return again
    return None

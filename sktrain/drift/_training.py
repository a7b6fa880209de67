"""Trains and updates an estimator step by step, and remembers the rows it was trained on, newest
last.

How a fitted pipeline learns from one more block without refitting its scaler, and what is
forgotten, block by block, beyond a limit.
"""

from inspect import signature

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from .._digest import digest_of
from ..exceptions import SktrainError

__all__ = [
    "Memory",
    "can_update",
    "features_of",
    "follow_parameters",
    "join",
    "parameter_digests",
    "stack",
    "start",
    "update",
    "watched",
]


def _last(estimator):
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def can_update(estimator):
    """Whether the estimator, or the last step of the pipeline, has ``partial_fit``."""
    return hasattr(_last(estimator), "partial_fit")


def _used_steps(estimator):
    return [step for _, step in estimator.steps[:-1] if step is not None and step != "passthrough"]


def _partial(estimator, X, y, classes):
    if "classes" in signature(estimator.partial_fit).parameters:
        estimator.partial_fit(X, y, classes=classes)
    else:
        estimator.partial_fit(X, y)


def update(estimator, X, y, classes, *, skip_scaler_fit, kept=None):
    """Let a fitted estimator learn from one more block.

    Of a Pipeline only the last step learns; transformers that have ``partial_fit`` learn too unless
    ``skip_scaler_fit``. Samplers (``fit_resample``) resample the block. ``kept`` says which rows
    are learned from: the others are transformed with them, so that features and windows see the
    block whole, and are then dropped.
    """
    rows = None if kept is None or kept.all() else np.flatnonzero(kept)
    if not isinstance(estimator, Pipeline):
        _partial(estimator, *_chosen(X, y, rows), classes)
        return
    for step in _used_steps(estimator):
        if hasattr(step, "fit_resample"):
            (X, y), rows = step.fit_resample(*_chosen(X, y, rows)), None
            continue
        if not skip_scaler_fit and hasattr(step, "partial_fit"):
            step.partial_fit(*_chosen(X, y, rows))
        X = step.transform(X)
    _partial(estimator.steps[-1][1], *_chosen(X, y, rows), classes)


def _chosen(X, y, rows):
    return (X, y) if rows is None else (_safe_indexing(X, rows), _safe_indexing(y, rows))


def parameter_digests(estimator):
    """What every parameter of an estimator is, its inner estimators' too; those themselves are left
    out."""
    params = estimator.get_params(deep=True)
    return {
        name: digest_of(value)
        for name, value in params.items()
        if not hasattr(value, "get_params") and not _holds_estimators(value)
    }


def _holds_estimators(value):
    return isinstance(value, list) and any(
        isinstance(item, tuple) and hasattr(item[-1], "get_params") for item in value
    )


def follow_parameters(fitted, estimator, before):
    """Give a fitted copy the parameters of ``estimator`` that were set since ``before`` (see
    :func:`parameter_digests`).

    Raises
    ------
    SktrainError
        When steps were added, dropped or replaced: there is nothing to update then.
    """
    now = parameter_digests(estimator)
    if set(now) != set(before):
        odd = sorted(set(now) ^ set(before))[:3]
        raise SktrainError(
            f"The estimator was changed since it was fitted ({', '.join(odd)} came or went). Call fit to train it anew."
        )
    params = estimator.get_params(deep=True)
    changed = {name: clone(params[name], safe=False) for name in now if now[name] != before[name]}
    return fitted.set_params(**changed) if changed else fitted


def start(estimator, X, y, classes):
    """A clone trained from scratch; ``classes`` beyond those of ``y`` are announced through
    ``partial_fit``."""
    fresh = clone(estimator)
    if classes is None or set(classes) == set(y):
        return fresh.fit(X, y)
    if not isinstance(fresh, Pipeline):
        _partial(fresh, X, y, classes)
        return fresh
    for position, (name, step) in enumerate(fresh.steps[:-1]):
        if step is None or step == "passthrough":
            continue
        if hasattr(step, "fit_resample"):
            X, y = step.fit_resample(X, y)
            continue
        X = step.fit(X, y).transform(X)
        fresh.steps[position] = (name, step)
    _partial(fresh.steps[-1][1], X, y, classes)
    return fresh


def features_of(estimator, X):
    """What to watch for drift: the last table of numbers before the final step; of windows, their
    newest step."""
    return watched(estimator, X)[0]


def watched(estimator, X):
    """The table to watch for drift, and the windows that the final step sees (None when it sees a
    table)."""
    seen, windows = newest_step(X), X if getattr(X, "ndim", 2) == 3 else None
    if isinstance(estimator, Pipeline):
        for step in _used_steps(estimator):
            if hasattr(step, "fit_resample"):
                continue
            X = step.transform(X)
            if getattr(X, "ndim", 2) != 2:
                windows = X if getattr(X, "ndim", 2) == 3 else None
                break
            seen, windows = X, None
    return seen.toarray() if hasattr(seen, "toarray") else seen, windows


def join(parts):
    """Put blocks of rows behind one another; frames stay frames."""
    parts = [part for part in parts if part is not None and len(part)]
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, (pd.DataFrame, pd.Series)) for part in parts):
        return pd.concat(parts)
    return np.concatenate([np.asarray(part) for part in parts])


def newest_step(X):
    """Rows of two dimensions: of windows, the newest step (the steps before it are the newest of
    earlier rows)."""
    if getattr(X, "ndim", 2) == 3:
        return np.asarray(X[np.arange(len(X))])[:, -1, :]
    return X


def stack(codes_and_probabilities):
    """Outcomes and predictions of several blocks."""
    return [np.concatenate(parts) for parts in zip(*codes_and_probabilities)]


class Memory:
    """Blocks of (X, y), newest last, of at most ``limit`` rows altogether.

    The newest block is always kept whole; of the oldest one, the newest rows that still fit.
    """

    def __init__(self, limit, blocks=()):
        self.limit = limit
        self.blocks = list(blocks)

    def __len__(self):
        return sum(len(y) for _, y in self.blocks)

    def add(self, X, y):
        """Remember a block and forget what no longer fits."""
        self.blocks.append((X, y))
        while len(self) > self.limit and len(self.blocks) > 1:
            spare = len(self) - self.limit
            oldest, outcome = self.blocks.pop(0)
            if len(outcome) > spare:
                rows = np.arange(spare, len(outcome))
                self.blocks.insert(0, (_safe_indexing(oldest, rows), _safe_indexing(outcome, rows)))

    def last(self, n):
        """The newest n rows (X, y), or all there are."""
        X, y = self.all()
        rows = np.arange(max(len(y) - n, 0), len(y))
        return (X, y) if len(rows) == len(y) else (_safe_indexing(X, rows), _safe_indexing(y, rows))

    def all(self):
        """All rows (X, y)."""
        return join([X for X, _ in self.blocks]), join([y for _, y in self.blocks])

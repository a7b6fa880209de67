"""Trains and updates an estimator step by step, and remembers the rows it was trained on, newest last.

How a fitted pipeline learns from one more block without refitting its scaler, and what is forgotten, block by block, beyond a limit.
"""

from inspect import signature

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from .._routing import metadata_rows
from ..exceptions import SktrainError

__all__ = ["Memory", "can_update", "features_of", "join", "stack", "start", "update"]


def _last(estimator):
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def can_update(estimator):
    """Whether the estimator, or the last step of the pipeline, has ``partial_fit``."""
    return hasattr(_last(estimator), "partial_fit")


def _used_steps(estimator):
    return [step for _, step in estimator.steps[:-1] if step is not None and step != "passthrough"]


def _partial(estimator, X, y, classes, params):
    if "classes" in signature(estimator.partial_fit).parameters:
        estimator.partial_fit(X, y, classes=classes, **params)
    else:
        estimator.partial_fit(X, y, **params)


def last_step_params(estimator, params):
    """Metadata addressed to the last step of a Pipeline, under the names that step knows."""
    if not isinstance(estimator, Pipeline):
        return params
    *others, last = (f"{name}__" for name, _ in estimator.steps)
    astray = [name for name in params if name.startswith(tuple(others))]
    if astray:
        raise SktrainError(f"{astray[0]} is for a step that partial_fit does not train: only the last step learns.")
    return {name.removeprefix(last): value for name, value in params.items()}


def _refuse_resampled(step, params):
    if params:
        raise SktrainError(f"{type(step).__name__} changes the number of rows, so {sorted(params)} cannot follow them into partial_fit.")


def update(estimator, X, y, classes, params=None, *, skip_scaler_fit):
    """Let a fitted estimator learn from one more block.

    Of a Pipeline only the last step learns; transformers that have ``partial_fit`` learn too unless ``skip_scaler_fit``.
    Samplers (``fit_resample``) resample the block. ``params`` is metadata of ``partial_fit``, for the last step.
    """
    params = last_step_params(estimator, params or {})
    if not isinstance(estimator, Pipeline):
        _partial(estimator, X, y, classes, params)
        return
    for step in _used_steps(estimator):
        if hasattr(step, "fit_resample"):
            _refuse_resampled(step, params)
            X, y = step.fit_resample(X, y)
            continue
        if not skip_scaler_fit and hasattr(step, "partial_fit"):
            step.partial_fit(X, y)
        X = step.transform(X)
    _partial(estimator.steps[-1][1], X, y, classes, params)


def start(estimator, X, y, classes, params=None):
    """A clone trained from scratch; ``classes`` beyond those of ``y`` are announced through ``partial_fit``.

    ``params`` is metadata of ``fit``.
    """
    fresh, params = clone(estimator), params or {}
    if classes is None or set(classes) == set(y):
        return fresh.fit(X, y, **params)
    params = last_step_params(fresh, params)
    if not isinstance(fresh, Pipeline):
        _partial(fresh, X, y, classes, params)
        return fresh
    for position, (name, step) in enumerate(fresh.steps[:-1]):
        if step is None or step == "passthrough":
            continue
        if hasattr(step, "fit_resample"):
            _refuse_resampled(step, params)
            X, y = step.fit_resample(X, y)
            continue
        X = step.fit(X, y).transform(X)
        fresh.steps[position] = (name, step)
    _partial(fresh.steps[-1][1], X, y, classes, params)
    return fresh


def features_of(estimator, X):
    """What to watch for drift: the last table of numbers before the final step; of windows, their newest step."""
    seen = newest_step(X)
    if isinstance(estimator, Pipeline):
        for step in _used_steps(estimator):
            if hasattr(step, "fit_resample"):
                continue
            X = step.transform(X)
            if getattr(X, "ndim", 2) != 2:
                break
            seen = X
    return seen.toarray() if hasattr(seen, "toarray") else seen


def join(parts):
    """Put blocks of rows behind one another; frames stay frames."""
    parts = [part for part in parts if part is not None and len(part)]
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, (pd.DataFrame, pd.Series)) for part in parts):
        return pd.concat(parts)
    return np.concatenate([np.asarray(part) for part in parts])


def newest_step(X):
    """Rows of two dimensions: of windows, the newest step (the steps before it are the newest of earlier rows)."""
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

    def __init__(self, limit):
        self.limit = limit
        self.blocks = []
        self.metadata = []  # per block: name -> one value per row

    def __len__(self):
        return sum(len(y) for _, y in self.blocks)

    def copy(self):
        """Another memory of the same blocks."""
        other = Memory(self.limit)
        other.blocks, other.metadata = list(self.blocks), list(self.metadata)
        return other

    def __setstate__(self, state):
        vars(self).update(state)
        vars(self).setdefault("metadata", [{} for _ in self.blocks])

    def add(self, X, y, metadata=None):
        """Remember a block, with its metadata, and forget what no longer fits."""
        self.blocks.append((X, y))
        self.metadata.append(metadata or {})
        while len(self) > self.limit and len(self.blocks) > 1:
            spare = len(self) - self.limit
            (oldest, outcome), told = self.blocks.pop(0), self.metadata.pop(0)
            if len(outcome) > spare:
                rows = np.arange(spare, len(outcome))
                self.blocks.insert(0, (_safe_indexing(oldest, rows), _safe_indexing(outcome, rows)))
                self.metadata.insert(0, metadata_rows(told, rows, len(outcome)))

    def last(self, n):
        """The newest n rows (X, y), or all there are."""
        X, y = self.all()
        rows = np.arange(max(len(y) - n, 0), len(y))
        return (X, y) if len(rows) == len(y) else (_safe_indexing(X, rows), _safe_indexing(y, rows))

    def all(self):
        """All rows (X, y)."""
        return join([X for X, _ in self.blocks]), join([y for _, y in self.blocks])

    def told(self, n):
        """Metadata of the newest n rows; only what every block was told of."""
        names = set.intersection(*(set(told) for told in self.metadata)) if self.metadata else set()
        whole = {name: _joined([told[name] for told in self.metadata]) for name in sorted(names)}
        return metadata_rows(whole, np.arange(max(len(self) - n, 0), len(self)), len(self))


def _joined(parts):
    """Metadata of several blocks behind one another; series and indexes stay what they are."""
    if all(isinstance(part, pd.Series) for part in parts):
        return pd.concat(parts)
    if all(isinstance(part, pd.Index) for part in parts):
        return parts[0].append(list(parts[1:]))
    return np.concatenate([np.asarray(part) for part in parts])

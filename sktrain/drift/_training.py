"""Trains and updates an estimator step by step, and remembers the rows it was trained on, newest
last.

How a fitted pipeline learns from one more block without refitting its scaler, and what is
forgotten, block by block, beyond a limit.
"""

from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from .._digest import digest_of
from .._routing import metadata_rows
from .._validation import label_horizon, said_horizon
from ..exceptions import SktrainError

__all__ = [
    "Memory",
    "can_update",
    "features_of",
    "follow_parameters",
    "join",
    "last_step",
    "parameter_digests",
    "stack",
    "start",
    "update",
    "watched",
]


def last_step(estimator):
    """What learns on an update: the estimator, of a Pipeline its last step."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def can_update(estimator):
    """Whether the estimator, or the last step of the pipeline, has ``partial_fit``."""
    return hasattr(last_step(estimator), "partial_fit")


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
        raise SktrainError(
            f"{astray[0]} is for a step that partial_fit does not train: only the last step learns."
        )
    return {name.removeprefix(last): value for name, value in params.items()}


def _refuse_resampled(step, params):
    if params:
        raise SktrainError(
            f"{type(step).__name__} changes the number of rows, so {sorted(params)} cannot follow "
            "them into partial_fit."
        )


def update(estimator, X, y, classes, params=None, *, skip_scaler_fit, kept=None):
    """Let a fitted estimator learn from one more block.

    Of a Pipeline only the last step learns; transformers that have ``partial_fit`` learn too unless
    ``skip_scaler_fit``. Samplers (``fit_resample``) resample the block. ``params`` is metadata of
    ``partial_fit``, for the last step. ``kept`` says which rows are learned from: the others are
    transformed with them, so that features and windows see the block whole, and are then dropped.
    """
    params = last_step_params(estimator, params or {})
    if kept is None or kept.all():
        rows = None
    else:
        rows = np.flatnonzero(kept)
        params = metadata_rows(params, rows, len(y))
    for step in _used_steps(estimator) if isinstance(estimator, Pipeline) else ():
        if hasattr(step, "fit_resample"):
            _refuse_resampled(step, params)
            (X, y), rows = step.fit_resample(*_chosen(X, y, rows)), None
            continue
        if not skip_scaler_fit and hasattr(step, "partial_fit"):
            step.partial_fit(*_chosen(X, y, rows))
        X = step.transform(X)
    _partial(last_step(estimator), *_chosen(X, y, rows), classes, params)


def _chosen(X, y, rows) -> tuple[Any, Any]:
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
            f"The estimator was changed since it was fitted ({', '.join(odd)} came or went). Call "
            "fit to train it anew."
        )
    params = estimator.get_params(deep=True)
    changed = {name: clone(params[name], safe=False) for name in now if now[name] != before[name]}
    return fitted.set_params(**changed) if changed else fitted


def start(estimator, X, y, classes, params=None):
    """A clone trained from scratch; ``classes`` beyond those of ``y`` are announced through
    ``partial_fit``.

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
    """Blocks of (X, y) and their metadata, newest last, of at most ``limit`` rows altogether.

    The newest block is always kept whole; of the oldest one, the newest rows that still fit.

    Parameters
    ----------
    limit : int
    blocks : iterable of (X, y)
    metadata : iterable of dict
        Per block: name to one value per row.
    """

    def __init__(self, limit, blocks=(), metadata=()):
        self.limit = limit
        self.blocks = list(blocks)
        self.metadata = list(metadata)

    def __len__(self):
        return sum(len(y) for _, y in self.blocks)

    def __setstate__(self, state):
        vars(self).update(state)
        vars(self).setdefault("metadata", [{} for _ in self.blocks])

    def state(self):
        """What a file keeps: lazy windows as the rows they stand on, and how far labels look ahead
        (files of ours keep no attrs)."""
        return {
            **vars(self),
            "blocks": [(_packed(X), y) for X, y in self.blocks],
            "horizons": [said_horizon(X, y) for X, y in self.blocks],
        }

    @classmethod
    def of(cls, state):
        """A memory from its :meth:`state`."""
        blocks = [(_unpacked(X), y) for X, y in state["blocks"]]
        for (_, y), horizon in zip(blocks, state.get("horizons", ())):
            if horizon is not None and isinstance(y, pd.Series) and label_horizon(y) is None:
                y.attrs["label_horizon"] = horizon
        return cls(state["limit"], blocks, state.get("metadata", [{} for _ in blocks]))

    def add(self, X, y, metadata=None):
        """Remember a block, with its metadata, and forget what no longer fits."""
        self.blocks.append((X, y))
        self.metadata.append(metadata or {})
        while len(self) > self.limit and len(self.blocks) > 1:
            spare = len(self) - self.limit
            (oldest, outcome), told = self.blocks.pop(0), self.metadata.pop(0)
            if len(outcome) > spare:
                rows = np.arange(spare, len(outcome))
                self.blocks.insert(0, _chosen(oldest, outcome, rows))
                self.metadata.insert(0, metadata_rows(told, rows, len(outcome)))

    def with_block(self, X, y, metadata, kept, limit):
        """Another memory of the same blocks and the ``kept`` rows of one more."""
        other = Memory(limit, self.blocks, self.metadata)
        if not kept.all():
            rows = np.flatnonzero(kept)
            metadata = metadata_rows(metadata, rows, len(y))
            X, y = _chosen(X, y, rows)
        other.add(X, y, metadata)
        return other

    def last(self, n):
        """The newest n rows (X, y), or all there are."""
        X, y = self.all()
        rows = np.arange(max(len(y) - n, 0), len(y))
        return _chosen(X, y, None if len(rows) == len(y) else rows)

    def all(self) -> tuple[Any, Any]:
        """All rows (X, y)."""
        return join([X for X, _ in self.blocks]), join([y for _, y in self.blocks])

    def told(self, n):
        """Metadata of the newest n rows; only what every block was told of."""
        known = [set(told) for told in self.metadata]
        names = set.intersection(*known) if known else set()
        whole = {name: _joined([told[name] for told in self.metadata]) for name in sorted(names)}
        return metadata_rows(whole, np.arange(max(len(self) - n, 0), len(self)), len(self))


def _joined(parts):
    """Metadata of several blocks behind one another; series and indexes stay what they are."""
    if all(isinstance(part, pd.Series) for part in parts):
        return pd.concat(parts)
    if all(isinstance(part, pd.Index) for part in parts):
        return parts[0].append(list(parts[1:]))
    return np.concatenate([np.asarray(part) for part in parts])


_WINDOWS = ("base", "ends", "firsts", "lookback", "index", "columns")


def _packed(X):
    """Lazy windows as a dict of the rows that they need and no others; anything else as it is."""
    if not all(hasattr(X, name) for name in _WINDOWS):
        return X
    starts = np.maximum(X.ends - X.lookback + 1, X.firsts)
    n = len(X.base)
    begun = np.bincount(starts, minlength=n + 1) - np.bincount(X.ends + 1, minlength=n + 1)
    used = np.cumsum(begun)[:n] > 0
    place = np.cumsum(used) - 1
    parts = (X.base[used], place[X.ends], place[starts], X.lookback, X.index, X.columns)
    return dict(zip(_WINDOWS, parts))


def _unpacked(X):
    if not isinstance(X, dict):
        return X
    from ..features import WindowedArray

    return WindowedArray(**X)

"""Trains and updates an estimator step by step: how a fitted pipeline learns from one more block without refitting its scaler."""

from inspect import signature

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ._memory import newest_step

__all__ = ["can_update", "features_of", "start", "update"]


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


def update(estimator, X, y, classes, *, skip_scaler_fit):
    """Let a fitted estimator learn from one more block.

    Of a Pipeline only the last step learns; transformers that have ``partial_fit`` learn too unless ``skip_scaler_fit``.
    Samplers (``fit_resample``) resample the block.
    """
    if not isinstance(estimator, Pipeline):
        _partial(estimator, X, y, classes)
        return
    for step in _used_steps(estimator):
        if hasattr(step, "fit_resample"):
            X, y = step.fit_resample(X, y)
            continue
        if not skip_scaler_fit and hasattr(step, "partial_fit"):
            step.partial_fit(X, y)
        X = step.transform(X)
    _partial(estimator.steps[-1][1], X, y, classes)


def start(estimator, X, y, classes):
    """A clone trained from scratch; ``classes`` beyond those of ``y`` are announced through ``partial_fit``."""
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

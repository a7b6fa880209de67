"""An ordered, purged split in the place of every random one inside an estimator.

Where no parameter takes a splitter (early stopping of scikit-learn's boosting, out-of-bag scores)
the inner validation is switched off. The given estimator is never touched.
"""

import copy

from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from ..exceptions import LeakageError
from ..splits import CombinatorialPurgedCV, TemporalSplitter
from ._inner_cv import PARTITIONED, inner_cv_errors
from ._inspect import find_flaws, inspect_estimator
from ._report import FAIL

__all__ = ["repair"]

# a judgment: a repair may show a further flaw inside, and estimators are nested a few levels
_ROUNDS = 12


def repair(estimator, cv, *, horizon=None):
    """See ``LeakageValidator.repair``."""
    splitter = _copy(cv, horizon)
    if not hasattr(splitter, "split"):
        raise TypeError(f"repair needs a splitter for cv, got {cv!r}.")
    severity, why = inner_cv_errors(splitter, horizon=horizon)
    if severity == "error":
        raise LeakageError(
            f"repair was given a cv that leaks itself: {why} Use EnhancedWalkForwardCV or "
            "CombinatorialPurgedCV."
        )
    fixed = clone(estimator)
    for _ in range(_ROUNDS):
        flaws = [
            flaw for flaw in find_flaws(fixed, horizon=horizon) if flaw.finding.severity == "error"
        ]
        if not flaws:
            return fixed
        before = [flaw.finding for flaw in flaws]
        for flaw in flaws:
            fixed = _mend(fixed, flaw, splitter, horizon)
        if before == [
            f.finding for f in find_flaws(fixed, horizon=horizon) if f.finding.severity == "error"
        ]:
            break
    report = inspect_estimator(fixed, horizon=horizon)
    if report.status == FAIL or report.errors:
        raise LeakageError("No parameter can repair this:\n" + report.summary())
    return fixed


def _copy(cv, horizon):
    cv = clone(cv) if isinstance(cv, BaseEstimator) else copy.deepcopy(cv)
    if horizon is not None and getattr(cv, "horizon", 0) is None:
        cv.set_params(horizon=horizon)
    return cv


def _partition(cv, horizon):
    """A purged splitter that tests every row once, as cross-fitting needs."""
    own = getattr(cv, "horizon", None)
    blocks = getattr(cv, "n_splits", getattr(cv, "n_blocks", 5))
    return CombinatorialPurgedCV(
        n_blocks=blocks if isinstance(blocks, int) and blocks > 1 else 5,
        n_test_blocks=1,
        horizon=horizon if own is None else own,
        embargo_bars=getattr(cv, "embargo_bars", 0),
    )


def _mend(root, flaw, splitter, horizon):
    owner, kind = flaw.owner, flaw.kind
    if kind == "random_early_stopping":
        owner.set_params(**{flaw.parameter: False if flaw.parameter == "early_stopping" else None})
    elif kind == "oob_score":
        owner.set_params(oob_score=False)
    elif kind in ("inner_cv", "shuffled_encoder") or (
        kind == "prefitted" and flaw.parameter == "cv"
    ):
        owner.set_params(cv=_inner(owner, splitter, horizon))
    elif kind == "skorch_valid_split":
        owner.cv = TemporalSplitter(
            0.85,
            0.15,
            0.0,
            embargo_bars=getattr(splitter, "embargo_bars", 0),
            horizon=_known(splitter, horizon),
        )
        owner.stratified, owner.random_state = False, None
    elif kind == "prefitted":
        return _thaw(root, owner)
    elif kind == "grid":
        _drop_from_grid(owner, flaw)
    elif kind in ("resampled_validation", "bagged_validation"):
        if "train_split" in owner.get_params(deep=False):
            owner.set_params(train_split=None)
    elif kind == "resampling_before_cv":
        return _sampler_inside(root, owner)
    return root


def _known(splitter, horizon):
    return horizon if horizon is not None else getattr(splitter, "horizon", None)


def _inner(owner, splitter, horizon):
    crossfit = type(owner).__name__ in PARTITIONED or getattr(owner, "ensemble", True) is False
    return _partition(splitter, horizon) if crossfit else copy.deepcopy(splitter)


def _thaw(root, frozen):
    """The same estimator with a frozen part replaced by its unfitted self."""
    fresh = clone(type(frozen.estimator)(**frozen.estimator.get_params(deep=False)))
    if root is frozen:
        return fresh
    for name, value in root.get_params(deep=True).items():
        if value is frozen:
            return root.set_params(**{name: fresh})
    return root


def _drop_from_grid(owner, flaw):
    key, name = flaw.finding.evidence["key"], flaw.parameter
    spaces = copy.deepcopy(getattr(owner, name))
    for space in spaces if isinstance(spaces, (list, tuple)) else [spaces]:
        if key in space:
            last = str(key).split("__")[-1]
            kept = (
                [v for v in space[key] if not (v is None or isinstance(v, (int, float)))]
                if last == "cv"
                else [v for v in space[key] if not v]
            )
            if kept:
                space[key] = kept
            else:
                del space[key]
    owner.set_params(**{name: spaces})


def _sampler_inside(root, pipeline):
    """Move everything from the sampler on into the estimator that validates inside."""
    steps = list(pipeline.steps)
    first = next(place for place, (_, step) in enumerate(steps) if hasattr(step, "fit_resample"))
    last_name, last = steps[-1]
    if "estimator" not in last.get_params(deep=False):
        raise LeakageError(
            f"No parameter can repair this: {type(last).__name__} has no estimator to put the "
            "sampler into."
        )
    inner = type(pipeline)([*steps[first:-1], ("model", last.estimator)])
    outer = {
        name: _renamed(getattr(last, name))
        for name in ("param_grid", "param_distributions")
        if hasattr(last, name)
    }
    last.set_params(estimator=inner, **outer)
    moved = Pipeline([*steps[:first], (last_name, last)]) if first else last
    if root is pipeline:
        return moved
    for name, value in root.get_params(deep=True).items():
        if value is pipeline:
            return root.set_params(**{name: moved})
    return root


def _renamed(spaces):
    if isinstance(spaces, dict):
        return {f"model__{key}": value for key, value in spaces.items()}
    if callable(spaces):
        return lambda trial: {f"model__{key}": value for key, value in spaces(trial).items()}
    return [_renamed(space) for space in spaces]


"""Metadata on its way through a meta-estimator: what its method was given, as arguments of the
method it wraps.

With scikit-learn's metadata routing on, the wrapped estimator gets what it requests; off, it gets
what its signature names, of a Pipeline the last step, and metadata that nobody takes is refused.
"""

from collections.abc import Iterable, Iterator
from inspect import Parameter, signature
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._metadata_requests import _routing_enabled
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.validation import _check_method_params

from .exceptions import InvalidSplitError, SktrainError

__all__ = ["folds_of", "metadata_rows", "routed_params", "told_to_folds"]


def routed_params(
    owner: object,
    estimator: object,
    method: str,
    given: dict,
    *,
    callee: str | None = None,
    part: str = "estimator",
    offered: tuple[str, ...] = (),
) -> dict:
    """Arguments for a method of the wrapped estimator.

    Parameters
    ----------
    owner : estimator
        The meta-estimator.
    estimator : estimator
        What it wraps.
    method : str
        The method of ``owner`` that was called.
    given : dict
        Metadata it was called with; None counts as not given.
    callee : str, optional
        The method of ``estimator`` that is called; default ``method``.
    part : str, default="estimator"
        What ``get_metadata_routing`` of the owner calls ``estimator``.
    offered : tuple of str
        Metadata that the owner uses itself: the estimator gets it where it takes it.

    Returns
    -------
    dict

    Raises
    ------
    SktrainError
        With routing off, for metadata that the estimator does not take.
    UnsetMetadataPassedError
        With routing on, for metadata that nobody requests.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return {}
    callee = callee or method
    if _routing_enabled():
        return dict(process_routing(owner, method, **given)[part].get(callee, {}))
    return _by_signature(estimator, callee, given, offered)


def told_to_folds(estimator: object, cv: object, given: dict) -> tuple[dict, dict]:
    """Where label times that a search was given go while metadata routing is off.

    scikit-learn then hands all metadata but ``groups`` to the estimator, so folds would not be
    purged of labels whose ends the caller has told.

    Parameters
    ----------
    estimator : estimator
        What is searched.
    cv : splitter
    given : dict
        Metadata of the search's ``fit``.

    Returns
    -------
    fit, split : dict
        Arguments of the estimator's ``fit``, and what the splitter gets besides ``groups``.
    """
    taken = signature(cv.split).parameters if hasattr(cv, "split") else {}
    told = {name: given[name] for name in _LABEL_TIMES if given.get(name) is not None}
    split = {name: value for name, value in told.items() if name in taken}
    fit = {name: value for name, value in given.items() if name not in split}
    for name, value in split.items():
        try:
            fit.update(_by_signature(estimator, "fit", {name: value}, ()))
        except SktrainError:  # the folds have use for it, the estimator has none
            continue
    return fit, split


def folds_of(cv: Any, X: Any, y: Any = None, **told: Any) -> Iterator:
    """What ``cv.split`` yields, called with those of ``groups``, ``label_end_times`` and so on
    that are told; pairs of positions that are folds already as they are.

    Raises
    ------
    InvalidSplitError
        For what is neither; for metadata beside folds that were cut already.
    """
    told = {name: value for name, value in told.items() if value is not None}
    if hasattr(cv, "split") and not isinstance(cv, str):
        return iter(cv.split(X, y, **told))
    if isinstance(cv, Integral):
        raise InvalidSplitError(
            f"cv={cv!r} would shuffle or ignore time; pass a splitter such as "
            f"EnhancedWalkForwardCV(n_splits={cv})."
        )
    if isinstance(cv, str) or not isinstance(cv, Iterable):
        raise InvalidSplitError(
            "cv must be a splitter with a split method or an iterable of (train, test) positions, "
            f"got {cv!r}."
        )
    if told:
        raise InvalidSplitError(
            f"{', '.join(told)} cannot reach folds that were cut already; pass the splitter itself "
            "as cv."
        )
    return iter(cv)


_LABEL_TIMES = ("label_end_times", "times")


def _by_signature(estimator, method, given, offered):
    steps = dict(getattr(estimator, "steps", None) or ())
    addressed = {name: value for name, value in given.items() if name.partition("__")[0] in steps}
    plain = {name: value for name, value in given.items() if name not in addressed}
    if steps:
        last = list(steps)[-1]
        inner = _by_signature(steps[last], method, plain, offered)
        return {**addressed, **{f"{last}__{name}": value for name, value in inner.items()}}
    taken = signature(getattr(estimator, method)).parameters
    plain = {name: value for name, value in plain.items() if name in taken or name not in offered}
    if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in taken.values()):
        for name in plain:
            if name not in taken:
                raise SktrainError(f"{type(estimator).__name__} takes no {name} in {method}.")
    return plain


def metadata_rows(params: dict, rows: np.ndarray, n: int) -> dict:
    """What belongs to ``rows`` of metadata of n rows; what is not one value per row stays whole."""
    like = np.empty((n, 0))
    return {
        name: value[rows]
        if isinstance(value, pd.Index)
        else _check_method_params(like, {name: value}, indices=rows)[name]
        for name, value in params.items()
    }

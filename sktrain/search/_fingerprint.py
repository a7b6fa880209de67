"""What a stored study is bound to: data, splits, estimator, space and settings, as digests.

Equal inputs give equal fingerprints in every process; two fingerprints can be compared part by
part, so that a refusal says what changed.
"""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from .._digest import digest_of, library_version
from .._history import get_history

__all__ = ["changes", "digest", "fingerprint", "fingerprint_data", "plain_name", "readable"]


def digest(*things: object) -> str:
    """Twelve hex digits of what ``things`` are."""
    return digest_of(*things)[:12]


def hash_data(data: object) -> str:
    """Digest of a frame, series, array, sparse matrix or any other container of rows, the rows it
    remembers included."""
    history = get_history(data) if isinstance(data, (pd.DataFrame, pd.Series)) else None
    return digest(data) if history is None else digest(data, history.frame)


def readable(value: object) -> str:
    """Text that is equal for equal parameter values, in every process; functions and objects count
    with what they do."""
    if isinstance(value, BaseEstimator):
        inner = {
            name: readable(part) for name, part in sorted(value.get_params(deep=False).items())
        }
        given = ", ".join(f"{name}={part}" for name, part in inner.items())
        return f"{_class_text(type(value))}({given})"
    if isinstance(value, (pd.DataFrame, pd.Series, np.ndarray)):
        return f"{type(value).__name__} of shape {value.shape} {hash_data(value)}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(readable, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {readable(part)}" for name, part in value.items()) + "}"
    if isinstance(value, (str, int, float, bool, type(None))):
        return repr(value)
    if isinstance(value, type):
        return _class_text(value)
    return f"{plain_name(value)} {digest(value)}"


def plain_name(value: object) -> str:
    """What an object is called, without its place in memory."""
    text = " ".join(repr(value).split())
    return (
        text if " at 0x" not in text else getattr(value, "__qualname__", type(value).__qualname__)
    )


def _class_text(cls):
    """A class by its name, one of the user's own also by the code of its methods; counters kept on
    a class do not enter."""
    if library_version(cls.__module__):
        return f"{cls.__module__}.{cls.__qualname__}"
    own = [kind for kind in cls.__mro__ if not library_version(kind.__module__)]
    code = [
        (name, part.__code__, part.__defaults__)
        for kind in own
        for name, part in vars(kind).items()
        if hasattr(part, "__code__")
    ]
    return f"{cls.__module__}.{cls.__qualname__} {digest(code)}"


def describe_estimator(estimator):
    """Text per parameter, the estimator's class under the empty name."""
    return {
        "": _class_text(type(estimator)),
        **{
            name: readable(value)
            for name, value in sorted(estimator.get_params(deep=False).items())
        },
    }


def fingerprint_data(X, y, metadata):
    """Shape and digests of the rows, the labels and what is routed with them."""
    rows = getattr(X, "shape", None) or (len(X),)
    parts = {
        "X": f"{type(X).__name__} of shape {tuple(rows)}, content {hash_data(X)}",
        "y": "None" if y is None else hash_data(y),
    }
    return {
        **parts,
        **{
            name: _readable_data(value)
            for name, value in sorted(metadata.items())
            if value is not None
        },
    }


def _readable_data(value):
    return (
        hash_data(value)
        if hasattr(value, "__len__") and not isinstance(value, str)
        else readable(value)
    )


def fingerprint(*, data, splits, cv, estimator, space, opening, scoring, seed, sampler, pruner):
    """All a study is bound to, as nested text: part -> name -> value."""
    folds = digest(*(np.asarray(rows) for split in splits for rows in split))
    return {
        "data": data,
        "cv": {"splitter": readable(cv), "folds": f"{len(splits)} folds {folds}"},
        "estimator": describe_estimator(estimator),
        "param_distributions": space.describe(),
        **({"enqueue": {"": readable(opening)}} if opening else {}),
        "scoring": {"": readable(scoring)},
        "random_state": {"": repr(seed)},
        "sampler": {"": type(sampler).__name__},
        "pruner": {"": type(pruner).__name__},
    }


def changes(stored, current):
    """One sentence per difference of two fingerprints."""
    lines = []
    for part in {**stored, **current}:
        before, after = stored.get(part, {}), current.get(part, {})
        for name in {**before, **after}:
            if before.get(name) != after.get(name):
                where = part if not name else f"{part} {name!r}"
                lines.append(
                    f"{where} was {_short(before.get(name, 'absent'))}, is "
                    f"{_short(after.get(name, 'absent'))}"
                )
    return lines


def _short(text):
    return text if len(text) <= 160 else text[:159] + "…"

"""What a stored study is bound to: data, splits, estimator, space and settings enter, readable text and digests leave.

Equal inputs give equal fingerprints in every process; two fingerprints can be compared part by part, so that a refusal says what
changed.
"""

import hashlib

from joblib import hash as joblib_hash
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from .._history import get_history

__all__ = ["changes", "digest", "fingerprint", "fingerprint_data", "readable"]


def digest(*parts):
    """Twelve hex digits of the text of ``parts``."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:12]


def _frame_digest(frame):
    columns = [(str(name), str(frame[name].dtype)) for name in frame.columns] if frame.columns.is_unique else list(map(str, frame.columns))
    rows = pd.util.hash_pandas_object(frame, index=True).to_numpy()
    return digest(columns, hashlib.sha256(rows.tobytes()).hexdigest())


def hash_data(data):
    """Digest of a frame, series, array, sparse matrix or any other container of rows."""
    if isinstance(data, pd.Series):
        data = data.to_frame()
    if isinstance(data, pd.DataFrame):
        history = get_history(data)
        bare = data.copy(deep=False)
        bare.attrs = {}
        own = _frame_digest(bare)
        return own if history is None else digest(own, _frame_digest(history.frame))
    if isinstance(data, np.ndarray) and data.dtype != object:
        content = np.ascontiguousarray(data)
        return digest(content.shape, content.dtype.str, hashlib.sha256(content.view(np.uint8).reshape(-1).data).hexdigest())
    return digest(joblib_hash(data))


def readable(value):
    """Text that is equal for equal parameter values, in every process."""
    if isinstance(value, BaseEstimator):
        inner = {name: readable(part) for name, part in sorted(value.get_params(deep=False).items())}
        return f"{type(value).__name__}({', '.join(f'{name}={part}' for name, part in inner.items())})"
    if isinstance(value, (pd.DataFrame, pd.Series, np.ndarray)):
        return f"{type(value).__name__} of shape {value.shape} {hash_data(value)}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(readable, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {readable(part)}" for name, part in value.items()) + "}"
    if isinstance(value, (str, int, float, bool, type(None))):
        return repr(value)
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    text = repr(value)
    return text if " at 0x" not in text else f"{type(value).__qualname__} {_state_digest(value)}"


def _state_digest(value):
    try:
        return digest(joblib_hash(value))
    except (TypeError, ValueError, AttributeError, ImportError, OSError):  # what cannot be pickled is known by its class alone
        return ""


def describe_estimator(estimator):
    """Text per parameter, the estimator's class under the empty name."""
    kind = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    return {"": kind, **{name: readable(value) for name, value in sorted(estimator.get_params(deep=False).items())}}


def fingerprint_data(X, y, metadata):
    """Shape and digests of the rows, the labels and what is routed with them."""
    rows = getattr(X, "shape", None) or (len(X),)
    parts = {"X": f"{type(X).__name__} of shape {tuple(rows)}, content {hash_data(X)}", "y": "None" if y is None else hash_data(y)}
    return {**parts, **{name: _readable_data(value) for name, value in sorted(metadata.items()) if value is not None}}


def _readable_data(value):
    return hash_data(value) if hasattr(value, "__len__") and not isinstance(value, str) else readable(value)


def fingerprint(*, data, splits, cv, estimator, space, opening, scoring, seed, sampler, pruner):
    """All a study is bound to, as nested text: part -> name -> value."""
    folds = digest(*(hash_data(np.asarray(rows)) for split in splits for rows in split))
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
                lines.append(f"{where} was {_short(before.get(name, 'absent'))}, is {_short(after.get(name, 'absent'))}")
    return lines


def _short(text, width=160):
    return text if len(text) <= width else text[: width - 1] + "…"

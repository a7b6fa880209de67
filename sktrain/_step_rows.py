"""Rows of steps as networks take them: checks that training, and serving without torch, share."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from .exceptions import SktrainError

__all__ = [
    "is_windows", "read_array", "read_windows", "refuse_infinite", "refuse_other_names",
    "refuse_width",
]

_FLOATS = (np.float32, np.float64)
_LARGEST = float(np.finfo(np.float32).max)


def is_windows(X: Any) -> bool:
    """Whether ``X`` is a lazy view of windows over steps, such as a ``WindowedArray``."""
    return all(hasattr(X, name) for name in ("base", "ends", "firsts", "lookback"))


def read_windows(X: Any) -> tuple[np.ndarray, int, list | None]:
    """The steps that lazy windows see, checked; where they begin in the base; their names."""
    if not len(X):
        raise SktrainError("X has no rows.")
    names = None if X.columns is None else list(X.columns)
    ends = np.asarray(X.ends)
    low = max(int(np.maximum(ends - X.lookback + 1, np.asarray(X.firsts)).min()), 0)
    base = np.asarray(X.base[low : int(ends.max()) + 1])
    refuse_infinite(base, names, "step")
    return base, low, names


def read_array(X: Any) -> np.ndarray:
    """A dense array of shape (n, steps, features), checked."""
    # the check costs as much as a small network's answer
    if type(X) is not np.ndarray or X.dtype not in _FLOATS or not X.size:
        X = check_array(
            X, allow_nd=True, dtype=list(_FLOATS), ensure_all_finite=False, input_name="X"
        )
    n, steps, features = X.shape
    if not steps or not features:
        raise SktrainError(
            f"X has shape {X.shape}: every row needs at least one step and one feature."
        )
    refuse_infinite(X.reshape(n * steps, features), None, f"step (rows have {steps} steps)")
    return X


def refuse_infinite(values: np.ndarray, names: list | None, what: str) -> None:
    """Refuse what float32 cannot hold in a table whose rows are called ``what``; NaN is missing."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum(dtype=np.float64)) and (
            values.dtype == np.float32 or np.abs(values).max(initial=0) <= _LARGEST
        ):
            return
        bad = np.isinf(values) | (np.abs(values) > _LARGEST)
    if not bad.any():
        return
    column = int(np.argmax(bad.any(axis=0)))
    row = int(np.argmax(bad[:, column]))
    name = repr(names[column]) if names is not None and len(names) == values.shape[1] else column
    kind = (
        "infinity"
        if np.isinf(values[row, column])
        else f"a value too large for float32 ({values[row, column]:g})"
    )
    raise SktrainError(
        f"X contains {kind} in column {name}, {what} {row} ({int(bad.sum())} such values). "
        "NaN is accepted as missing; repair or replace it."
    )


def refuse_width(owner: Any, got: int, expected: int) -> None:
    """Refuse rows of another number of features, in scikit-learn's words."""
    if got != expected:
        raise ValueError(
            f"X has {got} features, but {type(owner).__name__} is expecting {expected} features "
            "as input."
        )


def refuse_other_names(fitted: Any, names: list | None) -> None:
    """Refuse columns called otherwise than in ``fit``, where both are known by name."""
    if fitted is None or names is None or len(fitted) != len(names) or list(fitted) == names:
        return
    if all(isinstance(name, str) for name in names):
        wrong = next(i for i, (a, b) in enumerate(zip(fitted, names)) if a != b)
        raise SktrainError(
            "The feature names should match those that were passed during fit: column "
            f"{wrong} is {names[wrong]!r}, expected {fitted[wrong]!r}."
        )

"""Rows in every form the nets take, as checked batches of float32 windows, without torch.

A row is a window of steps that ends at its decision time; missing steps are NaN.
"""

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from ..exceptions import SktrainError

__all__ = ["batches"]

_FLOATS = (np.float32, np.float64)
_LARGEST = float(np.finfo(np.float32).max)


def batches(estimator, X, size):
    """Check ``X`` against what ``estimator`` was fitted on; a list of functions would copy it all
    at once, so batches are yielded."""
    if all(hasattr(X, name) for name in ("base", "ends", "firsts", "lookback")):
        return _windows(estimator, X, size)
    if hasattr(X, "detach"):
        X = X.detach().cpu().numpy()
    values = _array(estimator, X) if getattr(X, "ndim", 2) == 3 else _table(estimator, X)
    return (
        values[start : start + size].astype(np.float32, copy=False)
        for start in range(0, len(values), size)
    )


def _windows(estimator, X, size):
    names = None if X.columns is None else list(X.columns)
    if not len(X):
        raise SktrainError("X has no rows.")
    low = max(int(np.maximum(X.ends - X.lookback + 1, X.firsts).min()), 0)
    base = np.asarray(X.base[low : int(X.ends.max()) + 1])
    _refuse_infinite(base, names, "step")
    _check_sizes(estimator, X.lookback, base.shape[1])
    fitted = getattr(estimator, "feature_names_in_", None)
    if (
        names is not None
        and fitted is not None
        and all(isinstance(name, str) for name in names)
        and list(fitted) != names
    ):
        wrong = next(i for i, (a, b) in enumerate(zip(fitted, names)) if a != b)
        raise SktrainError(
            f"The feature names should match those that were passed during fit: column {wrong} is "
            f"{names[wrong]!r}, expected {fitted[wrong]!r}."
        )
    return (
        X.gather(slice(start, start + size), dtype=np.float32) for start in range(0, len(X), size)
    )


def _array(estimator, X):
    # the check costs as much as a small network's answer
    if type(X) is not np.ndarray or X.dtype not in _FLOATS or not X.size:
        X = check_array(
            X, allow_nd=True, dtype=list(_FLOATS), ensure_all_finite=False, input_name="X"
        )
    _check_sizes(estimator, *X.shape[1:])
    _refuse_infinite(X.reshape(-1, X.shape[2]), None, f"step (rows have {X.shape[1]} steps)")
    return X


def _table(estimator, X):
    names = list(X.columns) if hasattr(X, "columns") else None
    steps, features = estimator.lookback_, estimator.step_features_
    # fitted on windows, asked about flattened ones
    if estimator.n_features_in_ == features and steps > 1:
        X = check_array(X, dtype=[np.float32, np.float64], ensure_all_finite=False, input_name="X")
        if X.shape[1] != steps * features:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting "
                f"{steps * features} features as input."
            )
    else:
        X = validate_data(
            estimator, X, reset=False, dtype=[np.float32, np.float64], ensure_all_finite=False
        )
    _refuse_infinite(X, names, "row")
    return X.reshape(len(X), steps, features)


def _check_sizes(estimator, steps, features):
    if features != estimator.step_features_:
        raise ValueError(
            f"X has {features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.step_features_} features as input."
        )
    if steps != estimator.lookback_:
        raise SktrainError(
            f"X has {steps} steps per row, but {type(estimator).__name__} was fitted on "
            f"{estimator.lookback_}."
        )


def _refuse_infinite(values, names, what):
    with np.errstate(over="ignore", invalid="ignore"):
        clean = np.isfinite(values.sum(dtype=np.float64)) and (
            values.dtype == np.float32 or np.abs(values).max(initial=0) <= _LARGEST
        )
        if clean:
            return
        bad = np.isinf(values) | (np.abs(values) > _LARGEST)
    if not bad.any():
        return
    column = int(np.argmax(bad.any(axis=0)))
    row = int(np.argmax(bad[:, column]))
    name = repr(names[column]) if names is not None and len(names) == values.shape[1] else column
    raise SktrainError(
        f"X contains infinity, or a value too large for float32, in column {name}, {what} {row} "
        f"({values[row, column]:g}; {int(bad.sum())} such "
        "values). NaN is accepted as missing; repair or replace it."
    )

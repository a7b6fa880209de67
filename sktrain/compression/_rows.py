"""Rows in every form the nets take, as checked batches of float32 windows, without torch.

A row is a window of steps that ends at its decision time; missing steps are NaN.
"""

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from .._step_rows import (
    is_windows,
    read_array,
    read_windows,
    refuse_infinite,
    refuse_other_names,
    refuse_width,
)
from ..exceptions import SktrainError

__all__ = ["batches"]


def batches(estimator, X, size):
    """Check ``X`` against what ``estimator`` was fitted on; a list of functions would copy it all
    at once, so batches are yielded."""
    if is_windows(X):
        return _windows(estimator, X, size)
    if hasattr(X, "detach"):
        X = X.detach().cpu().numpy()
    values = _array(estimator, X) if getattr(X, "ndim", 2) == 3 else _table(estimator, X)
    return (
        values[start : start + size].astype(np.float32, copy=False)
        for start in range(0, len(values), size)
    )


def _windows(estimator, X, size):
    base, _, names = read_windows(X)
    _check_sizes(estimator, X.lookback, base.shape[1])
    refuse_other_names(getattr(estimator, "feature_names_in_", None), names)
    return (
        X.gather(slice(start, start + size), dtype=np.float32) for start in range(0, len(X), size)
    )


def _array(estimator, X):
    X = read_array(X)
    _check_sizes(estimator, *X.shape[1:])
    return X


def _table(estimator, X):
    names = list(X.columns) if hasattr(X, "columns") else None
    steps, features = estimator.lookback_, estimator.step_features_
    # fitted on windows, asked about flattened ones
    if estimator.n_features_in_ == features and steps > 1:
        X = check_array(X, dtype=[np.float32, np.float64], ensure_all_finite=False, input_name="X")
        refuse_width(estimator, X.shape[1], steps * features)
    else:
        X = validate_data(
            estimator, X, reset=False, dtype=[np.float32, np.float64], ensure_all_finite=False
        )
    refuse_infinite(X, names, "row")
    return X.reshape(len(X), steps, features)


def _check_sizes(estimator, steps, features):
    refuse_width(estimator, features, estimator.step_features_)
    if steps != estimator.lookback_:
        raise SktrainError(
            f"X has {steps} steps per row, but {type(estimator).__name__} was fitted on "
            f"{estimator.lookback_}."
        )

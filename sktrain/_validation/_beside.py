"""What is given beside the rows, one value for each: in the order of the rows, or refused."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import _check_sample_weight, _num_samples

from ._ends import check_same_index

__all__ = ["check_beside", "row_weights"]


def check_beside(X: Any, given: Mapping[str, Any], y: Any = None, *, rows: str = "X") -> None:
    """Refuse columns and tables that stand beside the rows in another order.

    scikit-learn reads what is given beside the rows by position, so a Series in another order would
    be taken for other rows' values in silence. A Series without times (numbered from 0) has no
    order of its own.

    Parameters
    ----------
    X : DataFrame or array-like of length n
        The rows; where they have no index, that of ``y`` counts.
    given : mapping of str to object
        Parameters by name; only Series and DataFrames of n rows are looked at.
    y : array-like of length n, optional
        Labels of the rows.
    rows : str, default="X"
        What the message calls ``X``.

    Raises
    ------
    InvalidSplitError
        Naming the parameter and the first row that differs.

    Examples
    --------
    >>> days = pd.date_range("2024-01-01", periods=2)
    >>> X, weights = pd.DataFrame({"a": [1, 2]}, days), pd.Series([3.0, 4.0], days)
    >>> check_beside(X, {"sample_weight": weights})
    >>> check_beside(X, {"sample_weight": weights[::-1]})
    Traceback (most recent call last):
    ...
    sktrain.exceptions.InvalidSplitError: X and sample_weight have different indexes: ...
    """
    index = getattr(X, "index", None)
    if not isinstance(index, pd.Index):  # a list has a method of this name
        index = getattr(y, "index", None)
    for name, values in given.items():
        own = values.index if isinstance(values, (pd.Series, pd.DataFrame)) else None
        if own is not None and not isinstance(own, pd.RangeIndex):
            check_same_index(index, own, name, rows)


def row_weights(
    sample_weight: Any, X: Any, y: Any = None, *, ensure_non_negative: bool = False
) -> np.ndarray:
    """Weights of the rows of ``X``, checked.

    Parameters
    ----------
    sample_weight : array-like of shape (n,), or a number
    X, y : rows and labels of length n
    ensure_non_negative : bool, default=False

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    ValueError
        Weights of other rows, in another order, not finite, or all zero.

    Examples
    --------
    >>> row_weights([1, 3], [[0.0], [1.0]])
    array([1., 3.])
    """
    check_beside(X, {"sample_weight": sample_weight}, y)
    n = _num_samples(X if y is None else y)
    return np.require(
        _check_sample_weight(
            sample_weight,
            np.empty((n, 1)),
            dtype=np.float64,
            ensure_non_negative=ensure_non_negative,
        ),
        requirements="W",  # a copy of a Series, which pandas protects from writing
    )

"""Validation of whole and real numbers, as parameters and as features."""

from decimal import Decimal
import math
from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval

from ..exceptions import SktrainError

__all__ = ["Count", "Number", "check_count", "check_generator", "real_numbers", "refuse_no_numbers"]


class Count(Interval):
    """A whole number within bounds for ``_parameter_constraints``; True and 3.0 are refused."""

    def __init__(self, left=1, right=None):
        super().__init__(Integral, left, right, closed="left" if right is None else "both")

    def is_satisfied_by(self, val):
        return not isinstance(val, (bool, np.bool_)) and super().is_satisfied_by(val)


class Number(Interval):
    """A finite real number within bounds for ``_parameter_constraints``; booleans and NaN are
    refused."""

    def __init__(self, left=None, right=None, *, closed="both"):
        super().__init__(Real, left, right, closed=closed)

    def is_satisfied_by(self, val):
        if isinstance(val, (bool, np.bool_)) or not isinstance(val, Real) or not math.isfinite(val):
            return False
        return super().is_satisfied_by(val)


def check_count(name, value, *, minimum=1):
    """Return ``value`` as an int, or refuse what is not a whole number >= ``minimum``.

    Examples
    --------
    >>> check_count("horizon", 3)
    3
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral) or value < minimum:
        raise SktrainError(f"{name} must be an integer >= {minimum}, got {value!r}.")
    return int(value)


def check_generator(random_state):
    """A NumPy generator for ``random_state``, or a refusal of what seeds none.

    Examples
    --------
    >>> check_generator(0).integers(10, size=3).tolist()
    [8, 6, 5]
    """
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise SktrainError(
            "random_state must be None, an integer >= 0 or a generator of NumPy, got "
            f"{random_state!r}."
        ) from error


def real_numbers(name, values):
    """``values`` as an array of float64, or a refusal of complex numbers, times and what is no
    number.

    Examples
    --------
    >>> real_numbers("returns", [0.5, 1])
    array([0.5, 1. ])
    """
    array = np.asarray(values)
    if array.dtype.kind in "cmM":
        raise SktrainError(f"{name} must be real numbers, got {array.dtype}.")
    try:
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise SktrainError(f"{name} must be real numbers: {error}.") from error


def refuse_no_numbers(X):
    """Refuse features that would become numbers without a word, or not at all: times, decimals.

    Raises
    ------
    SktrainError
        Naming the column.
    """
    if isinstance(X, pd.DataFrame):
        for place, (name, dtype) in enumerate(X.dtypes.items()):
            kind = getattr(dtype, "kind", "")
            decimal = kind == "O" and len(X) and isinstance(X.iloc[0, place], Decimal)
            if kind in ("m", "M") or decimal:
                raise SktrainError(
                    f"X has no numbers in column {name!r} ({dtype}). Turn it into floats first."
                )
        return
    values = np.asarray(X) if isinstance(X, (list, tuple, pd.Series)) else X
    kind = getattr(getattr(values, "dtype", None), "kind", None)
    if kind in ("m", "M"):
        raise SktrainError(
            f"X holds times ({values.dtype}), not numbers. Turn them into floats first."
        )
    if kind == "O" and values.size and isinstance(values.flat[0], Decimal):
        raise SktrainError(
            "X holds decimals (decimal.Decimal), not numbers. Turn them into floats first."
        )

"""Validation of whole and real numbers, as parameters and as features."""

from decimal import Decimal
import math
from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval

from ..exceptions import SktrainError

__all__ = [
    "Count", "Number", "check_count", "check_flag", "check_generator", "check_number",
    "real_numbers", "refuse_infinite_column", "refuse_no_numbers",
]


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
        if isinstance(val, (bool, np.bool_)) or not isinstance(val, Real):
            return False
        try:
            number = float(val)  # fractions break scikit-learn's comparison
        except OverflowError:  # an integer beyond the floats
            return False
        return math.isfinite(number) and super().is_satisfied_by(number)


def check_count(name, value, *, minimum=1, optional=False):
    """Return ``value`` as an int, or refuse what is not a whole number >= ``minimum``; None is
    taken where the parameter is ``optional``.

    Examples
    --------
    >>> check_count("horizon", 3)
    3
    """
    if optional and value is None:
        return None
    if not Count(minimum).is_satisfied_by(value):
        also = " or None" if optional else ""
        raise SktrainError(f"{name} must be an integer >= {minimum}{also}, got {value!r}.")
    return int(value)


def check_number(name, value, low=None, high=None, *, closed="both", optional=False):
    """Return ``value`` as a float, or refuse what is not a finite number within the bounds.

    Parameters
    ----------
    name : str
        Of the parameter, for the message.
    value : object
    low, high : float, optional
        Bounds.
    closed : {"both", "left", "right", "neither"}, default="both"
        Which of the bounds belong to the range.
    optional : bool, default=False
        Whether None is taken as well.

    Examples
    --------
    >>> check_number("dropout", 0.5, 0, 1, closed="left")
    0.5
    >>> check_number("dropout", 1, 0, 1, closed="left")
    Traceback (most recent call last):
    sktrain.exceptions.SktrainError: dropout must be a number in [0, 1), got 1.
    """
    if optional and value is None:
        return None
    if Number(low, high, closed=closed).is_satisfied_by(value):
        return float(value)
    left, right = closed in ("both", "left"), closed in ("both", "right")
    what = "a finite number"
    if low is not None and high is not None:
        what = f"a number in {'[' if left else '('}{low}, {high}{']' if right else ')'}"
    elif low is not None:
        what = f"a number {'>=' if left else '>'} {low}"
    also = " or None" if optional else ""
    raise SktrainError(f"{name} must be {what}{also}, got {value!r}.")


def check_flag(name, value):
    """Return ``value`` as a bool, or refuse what is neither True nor False.

    Examples
    --------
    >>> check_flag("shuffle", False)
    False
    """
    if not isinstance(value, (bool, np.bool_)):
        raise SktrainError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


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


def _refuse_words(name, column):
    values = column.astype(object).to_numpy()
    words = (row for row, value in enumerate(values) if isinstance(value, str))
    for row in words:
        try:
            float(values[row])
        except ValueError:
            raise SktrainError(
                f"X has no number in column {name!r}, row {row}: {values[row]!r}. Turn the column "
                "into numbers first, as OneHotEncoder does, or leave it out."
            ) from None


def refuse_infinite_column(values, name, index=None):
    """Refuse a column that holds infinities; NaN is missing.

    Raises
    ------
    SktrainError
        Naming the first such row, by its label too where there is an ``index``.
    """
    infinite = np.isinf(values)
    if not infinite.any():
        return
    row = int(np.argmax(infinite))
    label = "" if index is None else f" ({index[row]})"
    raise SktrainError(
        f"X contains infinity: column {name!r} is {values[row]} in row {row}{label} "
        f"({int(infinite.sum())} such rows). Repair it, or mark it missing with NaN."
    )


def refuse_no_numbers(X):
    """Refuse features that would become numbers without a word, or not at all: times, decimals,
    words.

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
            if not pd.api.types.is_numeric_dtype(dtype):
                _refuse_words(name, X.iloc[:, place])
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

"""Spans of bars or of time as parameters: a whole number of bars, or a fixed length of time."""

from datetime import timedelta
import re

import numpy as np
import pandas as pd

from ..exceptions import SktrainError
from ._numbers import Count, check_count

__all__ = ["BarsOrTime", "as_span", "is_duration", "shown_span"]

_WORDS = re.compile(r"[A-Za-z]")


def is_duration(value: object) -> bool:
    """Whether ``value`` is meant as a length of time: a Timedelta of any library, an offset, or
    text such as ``"5D"``."""
    return isinstance(value, (str, timedelta, np.timedelta64, pd.offsets.BaseOffset))


def _to_timedelta(name, value):
    if isinstance(value, str) and not _WORDS.search(value):
        raise SktrainError(
            f"{name}={value!r} has no unit. Pass a number of bars, or a length of time such as "
            "'5D' or '4h'."
        )
    if isinstance(value, pd.offsets.Day):  # 24 hours here, whatever the calendar of the rows
        return pd.Timedelta(days=value.n)
    try:
        length = pd.Timedelta(value)
    except (ValueError, TypeError) as error:
        raise SktrainError(
            f"{name}={value!r} is no fixed length of time. Pass a Timedelta or text such as '5D' "
            "or '4h'; months and business days differ in length, so count bars for them."
        ) from error
    if pd.isna(length):
        raise SktrainError(f"{name}={value!r} is no length of time.")
    return length


def as_span(name: str, value: object, *, minimum: int = 1) -> int | pd.Timedelta:
    """Return ``value`` as a number of bars or a Timedelta.

    Parameters
    ----------
    name : str
        Of the parameter, for the message.
    value : int, Timedelta, timedelta, timedelta64, offset or str
        Bars, or a fixed length of time.
    minimum : int, default=1
        Least number of bars; a length of time is always positive.

    Returns
    -------
    int or Timedelta

    Raises
    ------
    SktrainError
        When it is neither, or too short.

    Examples
    --------
    >>> as_span("horizon", 3), as_span("horizon", "5D")
    (3, Timedelta('5 days 00:00:00'))
    """
    if not is_duration(value):
        return check_count(name, value, minimum=minimum)
    length = _to_timedelta(name, value)
    if length <= pd.Timedelta(0):
        raise SktrainError(f"{name} must be longer than no time, got {value!r}.")
    return length


def shown_span(span: int | pd.Timedelta) -> int | str:
    """A span as JSON can hold it: the number of bars, or text that :func:`as_span` reads back."""
    return str(span) if isinstance(span, pd.Timedelta) else int(span)


class BarsOrTime(Count):
    """A number of bars, or a positive fixed length of time, for ``_parameter_constraints``."""

    def is_satisfied_by(self, val: object) -> bool:
        if not is_duration(val):
            return super().is_satisfied_by(val)
        try:
            as_span("length", val)
        except SktrainError:
            return False
        return True

    def __str__(self) -> str:
        return f"{super().__str__()} counting bars, or a positive length of time such as '5D'"

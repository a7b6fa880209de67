"""Figures of any kind as the values that JSON knows."""

from collections.abc import Callable, Mapping
from datetime import datetime
import math
import os
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["to_plain"]


def to_plain(value: Any, not_finite: Callable[[float], Any] = lambda number: None) -> Any:
    """Turn NumPy, pandas, times, paths and results into what JSON knows.

    NaN and infinity become ``not_finite(number)``, and what is none of these its text.

    Examples
    --------
    >>> to_plain({1: np.float64(0.5), "at": pd.Timestamp("2020-01-02"), "none": [np.nan]})
    {'1': 0.5, 'at': '2020-01-02T00:00:00', 'none': [None]}
    >>> to_plain([np.inf], not_finite=str)
    ['inf']
    """
    inside = lambda item: to_plain(item, not_finite)  # noqa: E731
    if isinstance(value, Mapping):
        return {str(key): inside(item) for key, item in value.items()}
    if isinstance(value, pd.DataFrame):
        return [inside(row) for row in value.reset_index().to_dict("records")]
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray, pd.Series, pd.Index)):
        return [inside(item) for item in (value.tolist() if hasattr(value, "tolist") else value)]
    if isinstance(value, np.generic):
        return inside(value.item())
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else not_finite(value)
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    if isinstance(value, (pd.Timestamp, pd.Timedelta, datetime)):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "to_dict"):
        return inside(value.to_dict())
    if hasattr(value, "__dataclass_fields__"):
        return {name: inside(getattr(value, name)) for name in value.__dataclass_fields__}
    return str(value)

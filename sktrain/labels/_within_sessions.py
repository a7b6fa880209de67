"""Volatility inside of trading sessions."""

import numpy as np
import pandas as pd

from .._history import segment_starts
from ..exceptions import SktrainError

__all__ = ["within_sessions"]

_BY_RETURNS = (
    "close",
    "ewma",
)  # volatilities that read returns from bar to bar; the others look inside of bars


def within_sessions(name, estimator, bars, lookback, opens) -> np.ndarray:
    """A volatility that leaves the returns between sessions out; the first bar of a session keeps
    that of the bar before it."""
    if name == "yang_zhang":
        raise SktrainError(
            "volatility='yang_zhang' measures the returns between sessions. With "
            "crosses_session=False use 'rogers_satchell'."
        )
    if name not in _BY_RETURNS:
        return estimator(bars, lookback)
    first = np.zeros(len(bars), dtype=bool)
    first[segment_starts(bars.index)] = True
    inside = ~opens | first
    close = bars["close"].to_numpy(dtype=np.float64)
    growth = np.ones(len(close))
    growth[1:] = close[1:] / close[:-1]
    growth[first] = 1.0
    joined = pd.DataFrame(
        {"close": np.exp(np.cumsum(np.log(growth[inside])))}, index=bars.index[inside]
    )
    return estimator(joined, lookback)[np.cumsum(inside) - 1]

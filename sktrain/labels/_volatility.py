"""Causal volatility per bar: bars enter, one standard deviation of a bar's return leaves per row, from that row and those before it.

Every estimator has a finite memory of ``lookback`` bars and never crosses from one symbol to the next; rows without enough
past are NaN. Units: standard deviation of the return over one bar.
"""

import numpy as np
import pandas as pd

from ._base import shifted_back

__all__ = ["close_to_close"]


def _simple_returns(bars):
    close = bars["close"].to_numpy(dtype=np.float64)
    return close / shifted_back(close, bars.index) - 1


def close_to_close(bars, lookback):
    """Standard deviation (ddof 1) of the last ``lookback`` simple returns."""
    return pd.Series(_simple_returns(bars)).rolling(lookback).std().to_numpy()

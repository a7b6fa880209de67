"""Causal volatility: the standard deviation of a bar's return, from that row and those before.

Every estimator has a finite memory of ``lookback`` returns or bars and never crosses from one
symbol to the next; rows without enough past are NaN. Units: standard deviation of the return over
one bar. Range estimators read logarithms of prices.
"""

import numpy as np

from .._history import segment_starts
from .._rolling import rolling_mean, rolling_std

__all__ = [
    "ESTIMATORS", "close_to_close", "ewma", "garman_klass", "parkinson", "rogers_satchell",
    "yang_zhang",
]


def shifted_back(values, index):
    """The value one bar earlier, NaN in the first row of each symbol."""
    earlier = np.empty(len(values))
    earlier[1:] = values[:-1]
    earlier[segment_starts(index)] = np.nan
    return earlier


def _log(bars, name):
    return np.log(bars[name].to_numpy(dtype=np.float64))


def _simple_returns(bars):
    close = bars["close"].to_numpy(dtype=np.float64)
    return close / shifted_back(close, bars.index) - 1


def _mean(variance, index, lookback):
    """Mean over the last ``lookback`` bars of the own symbol."""
    mean = rolling_mean(variance, lookback)
    starts = segment_starts(index)
    age = np.arange(len(index)) - np.repeat(starts, np.diff(np.append(starts, len(index))))
    mean[age < lookback - 1] = np.nan
    return np.maximum(mean, 0)  # Rogers and Satchell's terms may cancel to an ulp below zero


def close_to_close(bars, lookback):
    """Standard deviation (ddof 1) of the last ``lookback`` simple returns."""
    return rolling_std(_simple_returns(bars), lookback)


def ewma(bars, lookback):
    """Root of the exponentially weighted mean of the last ``lookback`` squared returns.

    Weights decay by (lookback - 1) / (lookback + 1) per bar, the centre of mass of a plain mean
    over ``lookback`` bars (RiskMetrics 1996); they stop after ``lookback`` returns and sum to 1, so
    the memory is finite.
    """
    squared = _simple_returns(bars) ** 2
    weights = ((lookback - 1) / (lookback + 1)) ** np.arange(lookback)
    out = np.full(len(squared), np.nan)
    if len(squared) >= lookback:
        out[lookback - 1 :] = np.convolve(squared, weights / weights.sum(), mode="valid")
    return np.sqrt(out)


def parkinson(bars, lookback):
    """Parkinson (1980): mean of ln(H/L)^2 / (4 ln 2)."""
    variance = (_log(bars, "high") - _log(bars, "low")) ** 2 / (4 * np.log(2))
    return np.sqrt(_mean(variance, bars.index, lookback))


def garman_klass(bars, lookback):
    """Garman and Klass (1980): mean of ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2."""
    height, body = _log(bars, "high") - _log(bars, "low"), _log(bars, "close") - _log(bars, "open")
    return np.sqrt(_mean(height**2 / 2 - (2 * np.log(2) - 1) * body**2, bars.index, lookback))


def _rogers_satchell_variance(bars):
    o, h, low, c = (_log(bars, name) for name in ("open", "high", "low", "close"))
    return (h - c) * (h - o) + (low - c) * (low - o)


def rogers_satchell(bars, lookback):
    """Rogers and Satchell (1991): mean of ln(H/C) ln(H/O) + ln(L/C) ln(L/O); drift does not bias
    it."""
    return np.sqrt(_mean(_rogers_satchell_variance(bars), bars.index, lookback))


def yang_zhang(bars, lookback):
    """Yang and Zhang (2000): overnight variance + k · open-to-close variance + (1 - k) ·
    Rogers-Satchell.

    k = 0.34 / (1.34 + (n + 1) / (n - 1)) over n = ``lookback`` bars; the overnight return is open /
    previous close.
    """
    k = 0.34 / (1.34 + (lookback + 1) / (lookback - 1))
    overnight = (
        rolling_std(_log(bars, "open") - shifted_back(_log(bars, "close"), bars.index), lookback)
        ** 2
    )
    session = rolling_std(_log(bars, "close") - _log(bars, "open"), lookback) ** 2
    inside = _mean(_rogers_satchell_variance(bars), bars.index, lookback)
    return np.sqrt(overnight + k * session + (1 - k) * inside)


ESTIMATORS = {
    "close": close_to_close,
    "ewma": ewma,
    "garman_klass": garman_klass,
    "parkinson": parkinson,
    "rogers_satchell": rogers_satchell,
    "yang_zhang": yang_zhang,
}

"""What the next bar of a planted market depends on: returns and forecasts from shocks.

Arrays hold one row per symbol and one column per bar. Given everything up to bar t, the return
``z[t+1]``, measured in its bar's own volatility, is Gaussian about ``mean[t]`` with the standard
deviation ``spread``. Each law leaves z symmetric about 0 with variance 1, so its terciles are known
and the three labels are equally likely.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["PATTERNS", "TERCILE", "Law", "lead_of"]

TERCILE = 0.4307272992954576  # upper tercile of the standard normal, scipy.stats.norm.ppf(2 / 3)
_MAJORITY = 5  # moves that vote in "pattern", a judgment
# bars back that decide in "memory": beyond features of ten bars, within a lookback of 20
_NEAREST, _FARTHEST = 15, 20


@dataclass(frozen=True)
class Law:
    """Returns of every symbol, and their distribution given the past.

    Attributes
    ----------
    z : ndarray of shape (n_symbols, n)
        Log returns in volatilities of their bar.
    mean : ndarray of shape (n_symbols, n)
        Best forecast, at bar t, of what decides the label of row t.
    spread : float or ndarray of shape (n_symbols, 1)
        Standard deviation about it.
    cut : float
        Upper tercile of what decides the label.
    """

    z: np.ndarray
    mean: np.ndarray
    spread: float | np.ndarray
    cut: float


def lead_of(pattern):
    """Bars before the first row that decide its label, beside its own."""
    return {"pattern": _MAJORITY - 1, "memory": _FARTHEST}.get(pattern, 0)


def _linear(shocks, start, states, signal, rho):
    """An AR(1) of coefficient ``rho``; a label's sum and its best forecast correlate ``signal``."""
    z = _autoregression(shocks, start, rho)
    return Law(z, signal * z, np.sqrt(1 - signal**2), TERCILE)


def _autoregression(shocks, start, rho):
    from scipy.signal import lfilter

    z, _ = lfilter([np.sqrt(1 - rho**2)], [1.0, -rho], shocks, zi=rho * start[:, None])
    return z


def _regime(shocks, start, states, signal, rho):
    """``z[t+1] = k[t] signal z[t] + noise``; k[t] is 1 in calm and -1 in turbulent bars.

    With K[t] the product of k up to t - 1, ``K z`` is an AR(1) driven by ``K`` times the shocks.
    """
    k = np.where(states == 0, 1.0, -1.0)
    product = np.cumprod(np.concatenate([np.ones_like(k[:, :1]), k[:, :-1]], axis=1), axis=1)
    z = product * _autoregression(product * shocks, start, signal)
    return Law(z, k * signal * z, np.sqrt(1 - signal**2), TERCILE)


def _pattern(shocks, start, states, signal, rho):
    """``z[t+1] = signal v[t] + noise``; v[t] is 1 where most of the last five moves fell, else -1.

    The directions of the last five moves are one of 32 states, and a bar's shock says where each of
    them leads. The states themselves follow by composing these steps pairwise (the prefix sums of
    Hillis & Steele 1986), without a loop over bars.
    """
    spread, n_states = np.sqrt(1 - signal**2), 2**_MAJORITY
    moves = np.arange(n_states)
    ups = (moves[:, None] >> np.arange(_MAJORITY) & 1).sum(axis=1)
    vote = np.where(ups > _MAJORITY // 2, -1, 1)
    noise = spread * shocks[:, _MAJORITY:]
    rises = signal * vote + noise[:, :, None] > 0
    step = ((moves << 1) % n_states + rises).astype(np.uint8)
    shift = 1
    while shift < step.shape[1]:
        step[:, shift:] = np.take_along_axis(step[:, shift:], step[:, :-shift], axis=2)
        shift *= 2
    first = (shocks[:, :_MAJORITY] > 0) @ (1 << np.arange(_MAJORITY)[::-1])
    later = np.take_along_axis(step, first[:, None, None], axis=2)[:, :, 0]
    state = np.concatenate([first[:, None], later], axis=1)
    mean = np.zeros_like(shocks)
    mean[:, _MAJORITY - 1 :] = signal * vote[state]
    z = shocks.copy()
    z[:, _MAJORITY:] = mean[:, _MAJORITY - 1 : -1] + noise
    return Law(z, mean, spread, _mixture_tercile(signal))


def _memory(shocks, start, states, signal, rho):
    """``z[t+1] = signal v[t] + noise``; v[t] is 1 where z[t-20] + ... + z[t-15] <= 0, else -1.

    A bar depends on nothing nearer than 16 bars before it, so that many are drawn at a time.
    """
    spread, at_once = np.sqrt(1 - signal**2), _NEAREST + 1
    width = _FARTHEST - _NEAREST + 1
    z, mean = shocks.copy(), np.zeros_like(shocks)
    for first in range(_FARTHEST + 1, z.shape[1], at_once):
        last = min(first + at_once, z.shape[1])
        past = z[:, first - _FARTHEST - 1 : last - _NEAREST - 1]
        sums = np.lib.stride_tricks.sliding_window_view(past, width, axis=1).sum(axis=2)
        mean[:, first - 1 : last - 1] = np.where(sums > 0, -signal, signal)
        z[:, first:last] = mean[:, first - 1 : last - 1] + spread * shocks[:, first:last]
    return Law(z, mean, spread, _mixture_tercile(signal))


def _cross(shocks, start, states, signal, rho):
    """``z[t+1] = signal * (z of the first symbol)[t] + noise``; nothing moves the first symbol."""
    spread = np.full((len(shocks), 1), np.sqrt(1 - signal**2))
    spread[0] = 1.0
    mean = np.repeat(signal * shocks[:1], len(shocks), axis=0)
    mean[0] = 0.0
    z = spread * shocks
    z[:, 1:] += mean[:, :-1]
    return Law(z, mean, spread, TERCILE)


def _mixture_tercile(signal):
    """Upper tercile of ``signal v + sqrt(1 - signal^2) e``, v a fair sign and e standard normal."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    spread = np.sqrt(1 - signal**2)

    def too_many(cut):
        return (ndtr((signal - cut) / spread) + ndtr((-signal - cut) / spread)) / 2 - 1 / 3

    return brentq(too_many, 0.0, 2.0, xtol=1e-15)


PATTERNS = {
    "linear": _linear,
    "regime": _regime,
    "pattern": _pattern,
    "memory": _memory,
    "cross": _cross,
}
"""By name: a function of shocks of shape (n_symbols, n), a standard normal per symbol, volatility
states, the signal and the coefficient of the AR(1); it returns a :class:`Law`."""

"""The columns of ``BarFeatures``, computed from prices and volume.

Rows are worked on in pieces that stay in the processor's cache, several pieces at a time. What a
row gives depends on its own window alone, so neither the pieces nor the number of threads change a
bit of it.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

from .._rolling import PIECE, join_moments, join_sums, over_windows

__all__ = ["BAR", "WINDOWED", "bar_columns"]

BAR = ("return_1", "gap", "body_share", "close_location")
WINDOWED = ("momentum", "volatility", "range_volatility", "atr", "rsi", "band", "volume_zscore")
# what is smaller next to its scale is rounding (some thousand units in float64's last place), not
# a move
_ROUNDING = 1e-12
# the squared log range of a Brownian motion is 4 log 2 times its variance (Parkinson 1980)
_PARKINSON = 4 * np.log(2)


def bar_columns(out, place, prices, windows, starts):
    """Fill the rows of ``out`` that do not concern the calendar.

    Parameters
    ----------
    out : ndarray of shape (n_features, n_rows)
        float64 or float32; computed in float64 either way.
    place : dict
        Row of ``out`` per name of a feature.
    prices : tuple of five ndarrays of float64, shape (n_rows,)
        open, high, low, close, volume.
    windows : increasing sequence of int
    starts : ndarray of int
        Where a new instrument begins.
    """
    n, size = out.shape[1], max(PIECE, 4 * windows[-1])

    def fill(first):
        last = min(first + size, n)
        halo = windows[-1]  # a window of steps needs one close more than the window of levels
        piece = _Piece(prices, starts, first, last, halo)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for name, column in piece.columns(windows):
                out[place[name], first:last] = column

    firsts = range(0, n, size)
    threads = min(_openmp_effective_n_threads(), len(firsts))
    if threads <= 1:
        for first in firsts:
            fill(first)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, firsts))


class _Piece:
    """Rows ``first`` to ``last`` and the ``halo`` rows before them that their windows reach."""

    def __init__(self, prices, starts, first, last, halo):
        self._rows = last - first
        self._halo = halo
        begin = first - halo
        low, high = np.searchsorted(starts, (begin, last))
        self._starts = starts[low:high] - begin
        self._prices = [_padded(column, begin, last) for column in prices]

    def columns(self, windows):
        """Yield (name, values of the rows ``first`` to ``last``)."""
        o, h, l, c, v = self._prices  # noqa: E741
        before = np.empty_like(c)
        before[1:] = c[:-1]
        before[0] = before[self._starts] = np.nan
        sums = np.empty((6, len(c)))
        step, square, spread, true_range, rise, size = sums
        np.log(np.divide(c, before, out=step), out=step)
        np.log(np.divide(h, l, out=spread), out=spread)
        yield from self._bar(before, step, spread)
        np.multiply(step, step, out=square)
        np.multiply(spread, spread, out=spread)
        np.maximum(h, before, out=true_range)
        true_range -= np.minimum(l, before)
        true_range /= before
        np.maximum(step, 0.0, out=rise)
        np.abs(step, out=size)
        levels = np.stack([step, c, v])
        moments = over_windows((levels, np.broadcast_to(0.0, levels.shape)), windows, join_moments)
        shorter = None
        for (w, (total,)), (_, parts) in zip(over_windows((sums,), windows, join_sums), moments):
            total = total[:, -self._rows :]
            means, squares = (part[:, -self._rows :] for part in parts)
            cold = self._cold(w)
            if len(cold):  # windows of levels that reach into the instrument before
                total[2, cold] = means[1:, cold] = np.nan
            yield from _sums(w, total)
            deviations = np.sqrt(squares / (w - 1))
            yield f"volatility_{w}", deviations[0]
            band = ratio(c[self._halo :] - means[1], deviations[1], means[1])
            band /= 2
            yield f"band_{w}", band
            yield f"volume_zscore_{w}", ratio(v[self._halo :] - means[2], deviations[2], means[2])
            log_mean = np.log(means[1])
            if shorter is not None:
                yield f"ma_ratio_{shorter[0]}_{w}", shorter[1] - log_mean
            shorter = w, log_mean

    def _bar(self, before, step, spread):
        own = slice(self._halo, None)
        o, h, l, c, _ = (column[own] for column in self._prices)  # noqa: E741
        yield "return_1", step[own]
        yield "gap", np.log(o / before[own])
        yield "body_share", np.clip(ratio(np.log(c / o), spread[own]), -1, 1)
        yield "close_location", np.clip(ratio((c - l) - (h - c), h - l, c), -1, 1)

    def _cold(self, window):
        """Rows that have fewer than ``window`` rows of their own instrument."""
        if not len(self._starts):
            return self._starts
        rows = (self._starts[:, None] + np.arange(window - 1)).ravel() - self._halo
        return rows[(rows >= 0) & (rows < self._rows)]


def _sums(w, total):
    step, square, range_square, true_range, rise, size = total
    yield f"momentum_{w}", ratio(step, np.sqrt(w * square))
    yield f"range_volatility_{w}", np.sqrt(range_square / w / _PARKINSON)
    yield f"atr_{w}", true_range / w
    yield f"rsi_{w}", ratio(rise, size, neutral=0.5)


def _padded(column, begin, last):
    """``column[begin:last]`` with NaN where ``begin`` lies before the first row."""
    if begin >= 0:
        return column[begin:last]
    out = np.empty(last - begin)
    out[:-begin] = np.nan
    out[-begin:] = column[:last]
    return out


def ratio(top, bottom, scale=1.0, neutral=0.0):
    """``top / bottom``; ``neutral`` where the denominator is rounding next to ``scale``, NaN where
    it is not known yet."""
    out = top / bottom
    np.copyto(out, neutral, where=bottom <= _ROUNDING * scale)
    return out

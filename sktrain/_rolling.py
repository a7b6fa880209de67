"""Rolling sums, moments and slopes: an array in order of time enters, one number per row leaves, from that row's window only.

Running totals carry rounding errors from the far past into every later row. Here a window of w values is put together from blocks of
1, 2, 4, ... values by one fixed tree: the result depends on nothing outside the window, to the last bit, and costs about
2 log2(w) passes over the array. The first ``w - 1`` rows are NaN.
"""

import numpy as np

__all__ = ["lag", "rolling_mean", "rolling_moments", "rolling_slope", "rolling_std", "rolling_sum"]


def lag(x, k):
    """``x`` moved k rows later, NaN at the front.

    Examples
    --------
    >>> lag(np.array([1.0, 2.0, 3.0]), 1)
    array([nan,  1.,  2.])
    """
    out = np.full(len(x), np.nan)
    if k < len(x):
        out[k:] = x[: len(x) - k] if k else x
    return out


_PIECE = 16_384  # rows whose few working arrays of float64 stay in a cache of 1 MiB


def _fold(block, window, join):
    """Put the window together from blocks of 1, 2, 4, ... rows; ``join(late, n_late, early, n_early)``.

    Long arrays are worked on in pieces: what a row gives depends on its window alone, so the pieces fit exactly.
    """
    n = len(block[0])
    if n <= 2 * _PIECE or window > _PIECE // 4:
        return _fold_piece(block, window, join)
    out = tuple(np.empty(n) for _ in block)
    for start in range(0, n, _PIECE):
        first = max(0, start - window + 1)
        piece = _fold_piece(tuple(part[first : start + _PIECE] for part in block), window, join)
        for whole, part in zip(out, piece):
            whole[start : start + _PIECE] = part[start - first :]
    return out


def _fold_piece(block, window, join):
    total, covered, size = None, 0, 1
    while True:
        if window & size:
            moved = tuple(lag(part, covered) for part in block) if covered else block
            total = moved if total is None else join(total, covered, moved, size)
            covered += size
        if covered == window:
            return total
        block = join(block, size, tuple(lag(part, size) for part in block), size)
        size *= 2


def rolling_sum(x, window):
    """Sum of the last ``window`` values.

    Examples
    --------
    >>> rolling_sum(np.array([1.0, 2.0, 3.0, 4.0]), 3)
    array([nan, nan,  6.,  9.])
    """
    return _fold((np.asarray(x, dtype=np.float64),), window, lambda late, _n, early, _m: (late[0] + early[0],))[0]


def rolling_mean(x, window):
    """Mean of the last ``window`` values."""
    return rolling_sum(x, window) / window


def _join_moments(late, n_late, early, n_early):
    delta = early[0] - late[0]
    n = n_late + n_early
    return late[0] + delta * (n_early / n), late[1] + early[1] + delta * delta * (n_late * n_early / n)


def rolling_moments(x, window):
    """Mean of the last ``window`` values and the sum of their squared deviations from it.

    Blocks are joined by the update of Chan, Golub and LeVeque (1983), which does not cancel; equal values give exactly 0.
    """
    x = np.asarray(x, dtype=np.float64)
    return _fold((x, np.zeros_like(x)), window, _join_moments)


def rolling_std(x, window):
    """Sample standard deviation (n - 1) of the last ``window`` values.

    Examples
    --------
    >>> rolling_std(np.array([1.0, 2.0, 4.0]), 2).round(4)
    array([   nan, 0.7071, 1.4142])
    """
    return np.sqrt(rolling_moments(x, window)[1] / (window - 1))


def rolling_slope(steps, window):
    """Least-squares slope per row of the last ``window`` levels, given their steps ``level[t] - level[t-1]``.

    In closed form the slope is a weighted sum of the ``window - 1`` steps with the weights ``6 k (w - k) / (w (w^2 - 1))``, so it
    does not see the size of the levels.

    Examples
    --------
    >>> rolling_slope(np.array([np.nan, 2.0, 2.0, 2.0]), 3)
    array([nan, nan,  2.,  2.])
    """
    steps = np.asarray(steps, dtype=np.float64)
    out = np.full(len(steps), np.nan)
    if len(steps) < window:
        return out
    k = np.arange(1, window)
    weights = 6.0 * k * (window - k) / (window * (window**2 - 1.0))
    out[window - 1 :] = np.correlate(steps[1:], weights, mode="valid")
    return out

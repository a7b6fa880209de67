"""Rolling sums, moments and slopes, from each row's window only.

Running totals carry rounding errors from the far past into every later row. Here a window of w
values is put together from blocks of 1, 2, 4, ... values by one fixed tree: the result depends on
nothing outside the window, to the last bit, and costs about 2 log2(w) passes over the array.
Several windows share their blocks. The first ``w - 1`` rows are NaN.
"""

import numpy as np

__all__ = [
    "PIECE", "join_moments", "join_sums", "lag", "over_windows", "rolling_mean", "rolling_moments",
    "rolling_slope", "rolling_std", "rolling_sum",
]


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


PIECE = 16_384  # rows, 128 KiB a column: a few working arrays of float64 stay in a cache of 1 MiB


def over_windows(block, windows, join):
    """Put windows of several lengths together from the same blocks of 1, 2, 4, ... rows.

    Parameters
    ----------
    block : tuple of ndarray, time along the last axis
        What a window of one row gives.
    windows : increasing sequence of int >= 1
    join : callable
        ``join(late, n_late, early, n_early)``: two neighbouring stretches of rows into one.

    Yields
    ------
    window : int
    parts : tuple of ndarray
        For every row from ``window - 1`` on; empty where there are fewer rows than that.
    """
    blocks, size, n = {1: block}, 1, block[0].shape[-1]
    for window in windows:
        while 2 * size <= window:
            blocks[2 * size] = join(
                _from(blocks[size], size), size, _first(blocks[size], n - 2 * size + 1), size
            )
            size *= 2
        total, covered = None, 0
        for bit in range(window.bit_length()):
            step = window & (1 << bit)
            if step and total is None:
                total = blocks[step]
            elif step:
                early = _first(blocks[step], n - covered - step + 1)
                total = join(_from(total, step), covered, early, step)
            covered += step
        yield window, total


def _from(parts, start):
    return tuple(part[..., start:] for part in parts)


def _first(parts, count):
    return tuple(part[..., : max(0, count)] for part in parts)


def _fold(block, window, join):
    """``over_windows`` for one window, NaN in front.

    Long arrays are worked on in pieces: what a row gives depends on its window alone, so the pieces
    fit exactly.
    """
    n = len(block[0])
    out = tuple(np.full(n, np.nan) for _ in block)
    size = max(PIECE, 4 * window)
    for start in range(window - 1, n, size):
        parts = tuple(part[start - window + 1 : start + size] for part in block)
        ((_, piece),) = over_windows(parts, (window,), join)
        for whole, part in zip(out, piece):
            whole[start : start + size] = part
    return out


def join_sums(late, _n_late, early, _n_early):
    """The sum of two stretches, for :func:`over_windows`."""
    return (late[0] + early[0],)


def join_moments(late, n_late, early, n_early):
    """Mean and sum of squared deviations of two stretches, for :func:`over_windows`.

    The update of Chan, Golub and LeVeque (1983), which does not cancel; equal values give exactly
    0.
    """
    n = n_late + n_early
    delta = early[0] - late[0]
    mean = delta * (n_early / n)
    mean += late[0]
    squares = late[1] + early[1]
    delta *= delta
    delta *= n_late * n_early / n
    squares += delta
    return mean, squares


def rolling_sum(x, window):
    """Sum of the last ``window`` values.

    Examples
    --------
    >>> rolling_sum(np.array([1.0, 2.0, 3.0, 4.0]), 3)
    array([nan, nan,  6.,  9.])
    """
    return _fold((np.asarray(x, dtype=np.float64),), window, join_sums)[0]


def rolling_mean(x, window):
    """Mean of the last ``window`` values."""
    return rolling_sum(x, window) / window


def rolling_moments(x, window):
    """Mean of the last ``window`` values and the sum of their squared deviations from it."""
    x = np.asarray(x, dtype=np.float64)
    return _fold((x, np.broadcast_to(0.0, x.shape)), window, join_moments)


def rolling_std(x, window):
    """Sample standard deviation (n - 1) of the last ``window`` values.

    Examples
    --------
    >>> rolling_std(np.array([1.0, 2.0, 4.0]), 2).round(4)
    array([   nan, 0.7071, 1.4142])
    """
    return np.sqrt(rolling_moments(x, window)[1] / (window - 1))


def rolling_slope(steps, window):
    """Least-squares slope per row of the last ``window`` levels, given their steps ``level[t] -
    level[t-1]``.

    In closed form the slope is a weighted sum of the ``window - 1`` steps with the weights ``6 k (w
    - k) / (w (w^2 - 1))``, so it does not see the size of the levels.

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

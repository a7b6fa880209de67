"""The first bar that reaches a barrier, on arrays in order of time.

Short searches compare whole runs of rows with the bars ahead, one step at a time, in pieces that
stay in the processor's cache. Rows still undecided after some steps leap: over maxima and minima of
2^k bars, the longest quiet stretch is found in log2(holding) comparisons, however long the holding.
"""

import numpy as np

__all__ = ["first_touch"]

_CHUNK = 32_768  # rows whose working arrays stay in the cache: 256 KiB each of float64
# bars watched one by one before the undecided rows leap, a judgment of speed: the labels are the
# same
_STEPS = 28
_FEW = 8  # below one undecided row in so many leaping is cheaper at once, a judgment of speed


def first_touch(high, low, upper, lower, known, holding):
    """The first of the next ``holding`` bars that reaches a barrier, for every known row.

    Parameters
    ----------
    high, low : ndarray of float64, shape (n,)
        Bars; those of one symbol stand together.
    upper, lower : ndarray of float64, shape (n,)
        Barriers of each row.
    known : ndarray of bool, shape (n,)
        Rows with ``holding`` bars of their own symbol after them.
    holding : int
        Bars that are watched.

    Returns
    -------
    end : ndarray of intp, shape (n,)
        The bar that touched, else the last one watched; the row itself where it is not known.
    touch : ndarray of int8, shape (n,)
        1 upper, -1 lower, 2 both in one bar, 0 neither.

    Examples
    --------
    >>> close = np.array([100.0, 101, 103, 102, 98])
    >>> first_touch(
    ...     close, close, close * 1.03, close * 0.98, np.array([True, True, False, False, False]), 3
    ... )
    (array([2, 4, 2, 3, 4]), array([ 1, -1,  0,  0,  0], dtype=int8))
    """
    n = len(high)
    end, touch = np.arange(n), np.zeros(n, dtype=np.int8)
    for begin in range(0, n - holding, _CHUNK):
        rows = slice(begin, min(begin + _CHUNK, n - holding))
        alive = known[rows].copy()
        barriers = upper[rows], lower[rows]
        watched = _step(
            high[begin:],
            low[begin:],
            *barriers,
            alive,
            end[rows],
            touch[rows],
            min(holding, _STEPS),
        )
        if holding > watched and alive.any():
            _leap(
                high[begin:],
                low[begin:],
                *barriers,
                np.flatnonzero(alive),
                end[rows],
                touch[rows],
                watched,
                holding,
            )
    return end, touch


def _step(high, low, upper, lower, alive, end, touch, steps):
    """Watch up to ``steps`` bars, one at a time, for a run of rows, and say how many were watched.

    ``alive`` (rows that are still undecided), ``end`` and ``touch`` are updated in place.
    """
    size, asked = len(alive), alive.copy()
    waited = np.zeros(size, dtype=np.uint8)
    above, below, up, down = np.zeros((4, size), dtype=bool)
    for step in range(1, steps + 1):
        np.greater_equal(high[step : step + size], upper, out=above)
        np.less_equal(low[step : step + size], lower, out=below)
        above &= alive
        below &= alive
        up |= above
        down |= below
        above |= below
        np.greater(alive, above, out=alive)  # alive and not touched
        waited += alive.view(np.uint8)
        if np.count_nonzero(alive) * _FEW < size:
            break
    np.add(end, np.minimum(waited + 1, step), out=end, where=asked)
    np.subtract(up.view(np.int8), down.view(np.int8), out=touch)
    touch[up & down] = 2
    return step


def _leap(high, low, upper, lower, rows, end, touch, watched, holding):
    """Find the first touching bar of ``rows`` that ``watched`` bars left undecided, by doubling."""
    stop = int(rows[-1]) + holding + 1
    tops, floors, width = [high[:stop]], [low[:stop]], 1
    while 2 * width <= holding - watched:
        tops.append(np.maximum(tops[-1][:-width], tops[-1][width:]))
        floors.append(np.minimum(floors[-1][:-width], floors[-1][width:]))
        width *= 2
    up, down, last = upper[rows], lower[rows], rows + holding
    bar = rows + (watched + 1)
    for top, floor in zip(reversed(tops), reversed(floors)):
        quiet = bar + (width - 1) <= last
        quiet &= top.take(bar, mode="clip") < up
        quiet &= floor.take(bar, mode="clip") > down
        bar += np.where(quiet, width, 0)
        width //= 2
    touched = bar <= last
    bar = np.minimum(bar, last)
    end[rows] += bar - rows - watched
    above, below = (high[bar] >= up) & touched, (low[bar] <= down) & touched
    touch[rows] = np.where(above & below, 2, above.astype(np.int8) - below.astype(np.int8))

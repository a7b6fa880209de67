"""Copies of a market without signal: valid bars whose directions cannot be predicted.

A bar is taken apart in logarithms, relative to the close before it (gap) and to its own open (high,
low, close), so that bars can change places or be mirrored and a price path rebuilt from them. All
instruments of a panel are treated alike at the same time: what moves together still does. The
result is history of a market that never was: nothing in it may meet the original's rows.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from .._history import segment_starts, with_history
from .._validation import check_bars, check_count, check_generator, time_axis
from ..exceptions import NotEnoughDataError, SktrainError

__all__ = ["METHODS", "null_market"]

METHODS = ("block", "sign", "phase")
_PRICES = ("open", "high", "low", "close")
_WIDEST = 225.0  # log prices beyond this are no prices: check_bars stops at 1e100, log 230
_SHARED = 0.9  # share of the times that must be able to change places, a judgment


def null_market(
    bars: pd.DataFrame,
    method: Literal["block", "sign", "phase"] = "block",
    *,
    block_length: int = 20,
    random_state: int | np.random.Generator | np.random.SeedSequence | None = None,
) -> pd.DataFrame:
    """Draw one copy of ``bars`` in which nothing foretells the direction of the next ones.

    Parameters
    ----------
    bars : DataFrame of bars
        One instrument or a panel indexed by (symbol, time).
    method : {"block", "sign", "phase"}, default="block"
        What the copy keeps, and so what a score is held against:

        - ``"block"``: the bars within each block of ``block_length`` are shuffled. Keeps every bar,
          the path from block to block, and with it slow trends, swings as long as a block, and the
          slow rise and fall of volatility; destroys the order within a block: momentum, reversal
          and patterns of a few bars. Exact for bars that are exchangeable within blocks.
        - ``"sign"``: a coin is thrown for every time, and where it falls, the bar is mirrored about
          the mean log return. Keeps sizes, ranges and volumes in place, volatility to the day;
          destroys direction. Exact for symmetric returns.
        - ``"phase"``: bars change places such that the returns keep their autocorrelations, by
          random Fourier phases (amplitude-adjusted: Theiler et al. 1992, "Testing for nonlinearity
          in time series", Physica D 58). Keeps *linear* momentum and reversal: a score above these
          copies is more than that. Destroys the clustering of volatility. The instruments of a
          panel share phases (Prichard & Theiler 1994) and need the same times.

    block_length : int, default=20
        Bars in a block, at least 2; for ``"block"`` only. Several times the labels' horizon, or the
        copies keep the outcomes.
    random_state : int, Generator, SeedSequence or None, default=None
        Seed of the draw.

    Returns
    -------
    DataFrame
        Same index, columns and first close; valid bars with a history handle of their own. Other
        columns move with their bar where bars change places.

    Raises
    ------
    InvalidBarsError
        When ``bars`` are not valid.
    NotEnoughDataError
        With fewer bars than two blocks (four bars for the other methods).
    SktrainError
        When a panel's instruments share too few times to change places together, or moves are so
        large that the copy would leave the range of numbers.

    Examples
    --------
    >>> from sktrain.datasets import load_sp500
    >>> from sktrain.evaluation import null_market
    >>> copy = null_market(load_sp500(), "sign", random_state=0)
    >>> copy.shape, copy.attrs["history"]
    ((5031, 5), History(5031 rows))
    """
    if method not in METHODS:
        raise SktrainError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")
    length = check_count("block_length", block_length, minimum=2)
    checked = check_bars(bars, warn=False)
    rng = check_generator(random_state)
    market = _Market.read(checked)
    market.check_length(2 * length if method == "block" else 4)
    if method == "sign":
        out = _mirrored(checked, market, rng)
    else:
        source = (
            _block_order(market, length, rng) if method == "block" else _phase_order(market, rng)
        )
        out = checked.take(source).set_axis(checked.index)
        out = _rebuild(out, market, market.shape.take(source, axis=1))
    out.attrs = {key: value for key, value in checked.attrs.items() if key != "history"}
    return with_history(out)


@dataclass(frozen=True)
class _Market:
    """Bars taken apart.

    Attributes
    ----------
    shape : ndarray of shape (4, n)
        Log gap to the close before (0 in an instrument's first bar), then log high, low and close
        relative to the open.
    starts : ndarray of intp
        First row of each instrument; those bars are the anchors of the paths and stay.
    first_close : ndarray of float
        Log close of the anchors.
    codes : ndarray of intp, shape (n,)
        Position of each row's time among the sorted unique times.
    """

    shape: np.ndarray
    starts: np.ndarray
    first_close: np.ndarray
    codes: np.ndarray

    @classmethod
    def read(cls, bars):
        opened, high, low, close = (
            np.log(bars[name].to_numpy(dtype=np.float64)) for name in _PRICES
        )
        starts = segment_starts(bars.index)
        gap = np.zeros_like(close)
        gap[1:] = opened[1:] - close[:-1]
        gap[starts] = 0.0
        _, codes = np.unique(time_axis(bars).times, return_inverse=True)
        return cls(
            np.stack([gap, high - opened, low - opened, close - opened]),
            starts,
            close[starts],
            codes,
        )

    @property
    def returns(self):
        """Log return of each bar over the close before; of an anchor, over its own open."""
        return self.shape[0] + self.shape[3]

    @property
    def symbols(self):
        """Number of each row's instrument."""
        number = np.zeros(len(self.codes), dtype=np.intp)
        number[self.starts[1:]] = 1
        return np.cumsum(number)

    def check_length(self, needed):
        sizes = np.diff(np.append(self.starts, len(self.codes)))
        if sizes.max() < needed:
            raise NotEnoughDataError(
                f"A null copy needs at least {needed} bars of an instrument, got {sizes.max()}."
            )


def _rebuild(frame, market, shape):
    """Put the price columns of ``frame`` on the path that ``shape`` describes, from the same first
    close."""
    steps = shape[0] + shape[3]
    path = np.cumsum(steps)
    symbols = market.symbols
    close = path + (market.first_close - path[market.starts])[symbols]
    opened = close - shape[3]
    if np.abs(close).max() > _WIDEST:
        raise SktrainError(
            f"The copy's prices would reach exp({close[np.abs(close).argmax()]:.0f}): the bars "
            f"move too much for a walk of {len(close)} of them."
        )
    columns = {
        "open": opened,
        "high": np.maximum(opened + shape[1], np.maximum(opened, close)),  # against rounding only
        "low": np.minimum(opened + shape[2], np.minimum(opened, close)),
        "close": close,
    }
    return frame.assign(**{name: np.exp(values) for name, values in columns.items()})


def _mirrored(frame, market, rng):
    mirrored = rng.integers(0, 2, market.codes.max() + 1).astype(bool)[market.codes]
    mirrored[market.starts] = False
    returns, symbols = market.returns.copy(), market.symbols
    returns[market.starts] = 0.0
    counted = np.bincount(symbols) - 1
    mean = np.bincount(symbols, returns) / np.maximum(counted, 1)
    gap, high, low, close = market.shape
    flipped = np.stack([2 * mean[symbols] - gap, -low, -high, -close])
    return _rebuild(frame, market, np.where(mirrored, flipped, market.shape))


def _block_order(market, length, rng):
    """Source row of every row. Times at which the same instruments trade change places with each
    other."""
    patterns = _patterns(market)
    source = np.arange(len(patterns))
    movable = 0
    for pattern in np.unique(patterns[patterns >= 0]):
        times = np.flatnonzero(patterns == pattern)
        source[times] = times[_shuffle_blocks(len(times), length, rng)]
        movable += len(times) if len(times) > 1 else 0
    if movable < _SHARED * (patterns >= 0).sum():
        raise SktrainError(
            f"The instruments of the panel share too few times: only {movable} of {len(patterns)} "
            "times can change places without tearing "
            "the cross-section. Calibrate one instrument at a time, or use method='sign'."
        )
    symbols = market.symbols
    # increasing, because every instrument's rows are in order of time
    key = symbols * np.int64(len(patterns)) + market.codes
    order = np.argsort(key, kind="stable")
    wanted = symbols * np.int64(len(patterns)) + source[market.codes]
    return order[np.searchsorted(key[order], wanted)]


def _shuffle_blocks(n, length, rng):
    """An order of n bars, random within each block; what is left over joins the last block."""
    blocks = np.minimum(np.arange(n) // length, max(n // length - 1, 0))
    return np.lexsort((rng.random(n), blocks))


def _patterns(market):
    """Which instruments trade at each time, as a number; -1 where one of them has its first bar,
    which must stay."""
    symbols, n_times = market.symbols, market.codes.max() + 1
    if symbols[-1] == 0:
        pattern = np.zeros(n_times, dtype=np.int64)
    else:
        # a set of instruments is the sum of its marks
        marks = np.random.default_rng(0).integers(1, 2**62, symbols[-1] + 1, dtype=np.uint64)
        total = np.zeros(n_times, dtype=np.uint64)
        np.add.at(total, market.codes, marks[symbols])
        pattern = np.unique(total, return_inverse=True)[1].astype(np.int64)
    pattern[market.codes[market.starts]] = -1
    return pattern


def _phase_order(market, rng):
    sizes = np.diff(np.append(market.starts, len(market.codes)))
    same = (
        np.unique(sizes).size == 1
        and (market.codes.reshape(len(sizes), -1) == market.codes[: sizes[0]]).all()
    )
    if not same:
        raise SktrainError(
            "method='phase' needs all instruments of a panel at the same times. Use 'block' or "
            "'sign', or calibrate one instrument at a time."
        )
    n = sizes[0] - 1
    phases = np.exp(2j * np.pi * rng.random(n // 2 + 1))
    phases[0] = 1.0
    if n % 2 == 0:
        phases[-1] = rng.choice([-1.0, 1.0])
    source = np.arange(len(market.codes))
    scores = stats.norm.ppf((np.arange(n) + 0.5) / n)
    for start in market.starts:
        # rows by size of return
        rows = start + 1 + np.argsort(market.returns[start + 1 : start + sizes[0]], kind="stable")
        gaussian = np.empty(n)
        gaussian[rows - start - 1] = scores
        surrogate = np.fft.irfft(np.fft.rfft(gaussian) * phases, n)
        source[start + 1 + np.argsort(surrogate, kind="stable")] = rows
    return source

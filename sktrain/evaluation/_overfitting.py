"""Probability of backtest overfitting, and how many trials were really independent.

Both read a matrix of returns (or scores), one row per period in order of time and one column per
configuration that was tried. Every configuration must cover the same periods.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_count, real_numbers
from ..exceptions import InvalidSplitError, NotEnoughDataError, SktrainError

__all__ = [
    "BacktestOverfitting",
    "effective_number_of_trials",
    "probability_of_backtest_overfitting",
]

_CARRIES, _FITS_NOISE = 0.2, 0.45  # judgments of words: without skill the probability is 1/2
_CHUNK = 1 << 21  # numbers held per block of combinations: 16 MB of float64
_MOST_BLOCKS = 22  # 705,432 combinations: minutes, a judgment; Bailey et al. (2017) use 16


@dataclass(frozen=True, eq=False, repr=False)
class BacktestOverfitting(float):
    """The probability of backtest overfitting, a float, with what it was counted from.

    Attributes
    ----------
    pbo : float
        Share of combinations in which the best configuration of one half ranks below the median in
        the other; one that is the median itself counts half. 0 means that selection carries over,
        about .5 that it is blind, 1 that it picks the losers.
    logits : ndarray of shape (n_combinations,)
        log(ω / (1 − ω)) of the relative rank ω of the chosen configuration out of sample.
    performance : ndarray of shape (n_combinations, 2)
        Metric of the chosen configuration in and out of sample.
    slope : float
        Least-squares slope of the second on the first; NaN when the first never varies.
    probability_of_loss : float
        Share of combinations in which the chosen configuration's metric is negative out of sample.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain.evaluation import probability_of_backtest_overfitting
    >>> returns = np.random.default_rng(0).normal(size=(240, 5))
    >>> returns[:, 0] += 0.5  # one configuration is better than the others
    >>> found = probability_of_backtest_overfitting(returns, n_blocks=8)
    >>> float(found), found.probability_of_loss, found.performance.shape
    (0.0, 0.0, (70, 2))
    """

    pbo: float
    logits: np.ndarray
    performance: np.ndarray
    slope: float
    probability_of_loss: float

    def __new__(cls, pbo, *fields, **named):
        return float.__new__(cls, pbo)

    def summary(self) -> str:
        """Three numbers and how to read them, in one paragraph.

        Returns
        -------
        str
            One paragraph.
        """
        reading = (
            "selection carries over"
            if self.pbo < _CARRIES
            else "selection is doubtful"
            if self.pbo < _FITS_NOISE
            else "selection fits noise"
        )
        return (
            f"Probability of backtest overfitting {self.pbo:.3f} over {len(self.logits)} "
            f"combinations ({reading}); "
            f"out-of-sample on in-sample slope {self.slope:.3g}; probability of loss "
            f"{self.probability_of_loss:.3f}"
        )

    def __repr__(self):
        return f"BacktestOverfitting({self.pbo:.6g}, {len(self.logits)} combinations)"


def probability_of_backtest_overfitting(
    returns: ArrayLike,
    n_blocks: int = 16,
    *,
    metric: Literal["sharpe", "mean"] | Callable[..., float] = "sharpe",
) -> BacktestOverfitting:
    """Probability that the configuration chosen in sample ranks below the median out of sample
    (CSCV).

    The periods are cut into ``n_blocks`` adjacent blocks; each choice of half of them is once the
    sample in which the best configuration is chosen, the other half tests it. Bailey, Borwein,
    López de Prado & Zhu (2017), "The Probability of Backtest Overfitting", Journal of Computational
    Finance. Cost: C(n_blocks, n_blocks/2) · n_configurations.

    The paper integrates the logits of ranks up to 0 as if these were continuous. Of an odd number
    of configurations, or of tied ones, the chosen one may be the median itself (logit 0); it counts
    half, so that a blind choice gives one half whatever the number of configurations. Without it
    noise gives (N − 1) / 2N, with all of it (N + 1) / 2N: .43 and .57 of 7 configurations.
    ``logits`` has what is needed for either.

    Parameters
    ----------
    returns : array-like of shape (n_periods, n_configurations)
        Finite returns per period, at least two configurations.
    n_blocks : int, default=16
        Even, at most 22; blocks differ by at most one period in length.
    metric : {"sharpe", "mean"} or callable, default="sharpe"
        What is maximised. A callable takes a slice of shape (n, n_configurations) and returns one
        number per configuration. A slice without variation has Sharpe ratio 0.

    Returns
    -------
    BacktestOverfitting
        A float with ``logits``, ``performance``, ``slope`` and ``probability_of_loss``.

    Raises
    ------
    InvalidSplitError
        When ``n_blocks`` is odd or too large.
    NotEnoughDataError
        With fewer than two configurations or fewer periods than blocks.
    SktrainError
        When a number is not finite, or a configuration never varies (``metric="sharpe"``).

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain.evaluation import probability_of_backtest_overfitting
    >>> noise = np.random.default_rng(0).normal(size=(240, 10))
    >>> float(probability_of_backtest_overfitting(noise - noise.mean(axis=0), n_blocks=8))
    1.0
    """
    values = _matrix(returns, "configuration")
    if (values == values[:, :1]).all():
        raise SktrainError(
            f"All {values.shape[1]} configurations have the same returns: nothing was chosen among "
            "them, so nothing can be overfitted. Give each configuration its own column."
        )
    blocks = _block_bounds(len(values), n_blocks)
    half = len(blocks) // 2
    measure = _scorer(values, blocks, metric)
    chosen = combinations(range(len(blocks)), half)
    parts = []
    while rows := list(islice(chosen, max(1, _CHUNK // values.shape[1]))):
        outside = np.zeros((len(rows), len(blocks)), dtype=bool)
        outside[np.arange(len(rows))[:, None], rows] = True
        parts.append(_score_halves(measure(~outside), measure(outside)))
    logits, performance = (np.concatenate(part) for part in zip(*parts))
    inside, outside = performance.T
    spread = inside.var()
    slope = (
        float(np.mean((inside - inside.mean()) * (outside - outside.mean())) / spread)
        if spread > 0
        else float("nan")
    )
    return BacktestOverfitting(
        _share_below_median(logits),
        logits,
        performance,
        slope,
        float(np.mean(outside < 0)),
    )


def _share_below_median(logits):
    """The share of negative logits; the median, whose rank (N + 1) / 2 has logit 0 to the bit,
    counts half."""
    return float((np.mean(logits < 0) + np.mean(logits <= 0)) / 2)


def effective_number_of_trials(
    trials: ArrayLike, *, method: Literal["spectrum", "average", "autocorrelation"] | None = None
) -> float:
    """How many independent trials a set of correlated ones amounts to.

    Parameters
    ----------
    trials : array-like of shape (n_periods, n_trials) or (n_trials,)
        Returns (or fold scores) of every trial over the same periods; or only one score per trial,
        in the order they were run.
    method : {"spectrum", "average", "autocorrelation"}, optional
        - ``"spectrum"`` (default for a matrix): M² / Σ ρᵢⱼ², the participation ratio of the
          eigenvalues of the correlation matrix, with each squared correlation freed of its
          small-sample excess 1/(T − 1): K groups of identical trials count K, independent trials
          count M even over few periods.
        - ``"average"``: ρ̄ + (1 − ρ̄) M with the mean correlation, Bailey & López de Prado (2014),
          appendix; it overstates trials that come in groups.
        - ``"autocorrelation"`` (default for a series): M / (1 + 2 Σ ρₖ) up to the first
          autocorrelation that is not positive (Geyer 1992), for samplers that draw each trial near
          the last.

    Returns
    -------
    float
        Between 1 and the number of trials, not rounded. Trials that never vary count as one
        together.

    Raises
    ------
    NotEnoughDataError
        With no trial, or fewer than 3 periods in a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain.evaluation import effective_number_of_trials
    >>> two = np.random.default_rng(0).normal(size=(2000, 2))
    >>> round(effective_number_of_trials(np.repeat(two, 5, axis=1)), 2)
    2.0
    """
    values = np.asarray(trials, dtype=np.float64)
    if values.ndim == 1:
        if method not in (None, "autocorrelation"):
            raise SktrainError(
                f"method={method!r} needs a matrix of shape (n_periods, n_trials), got one score "
                "per trial."
            )
        return _by_autocorrelation(values)
    if method not in (None, "spectrum", "average"):
        raise SktrainError(f"method must be 'spectrum' or 'average' for a matrix, got {method!r}.")
    values = _matrix(values, "trial", fewest=1)
    if len(values) < 3:
        raise NotEnoughDataError(
            f"Correlations between trials need at least 3 periods, got {len(values)}."
        )
    varying = np.ptp(values, axis=0) > 0
    constant = int(not varying.all())
    count = int(varying.sum())
    if count < 2:
        return float(max(1, count + constant))
    centred = values[:, varying] - values[:, varying].mean(axis=0)
    unit = centred / np.sqrt(np.einsum("ij,ij->j", centred, centred))
    effective = _participation(unit) if method in (None, "spectrum") else _by_average(unit)
    return float(np.clip(effective, 1.0, count)) + constant


def _participation(unit):
    periods, count = unit.shape
    gram = unit @ unit.T if periods < count else unit.T @ unit  # either has the same sum of squares
    shared = (float(np.einsum("ij,ij->", gram, gram)) - count) / (count * (count - 1))
    excess = 1 / (periods - 1)
    shared = np.clip((shared - excess) / (1 - excess), 0.0, 1.0)
    return count / (1 + (count - 1) * shared)


def _by_average(unit):
    count = unit.shape[1]
    total = unit.sum(axis=1)
    mean = np.clip((float(total @ total) - count) / (count * (count - 1)), 0.0, 1.0)
    return mean + (1 - mean) * count


def _by_autocorrelation(scores):
    count = scores.size
    if not count:
        raise NotEnoughDataError("effective_number_of_trials needs at least one trial, got none.")
    _refuse_missing(scores[:, None], "trial")
    if count < 3:
        return float(count)
    if np.ptp(scores) == 0:
        return 1.0
    centred = scores - scores.mean()
    size = 1 << (2 * count - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    correlation = np.fft.irfft(power, size)[:count] / float(centred @ centred)
    stop = np.flatnonzero(correlation[1:] <= 0)
    last = int(stop[0]) + 1 if stop.size else count
    return float(np.clip(count / (1 + 2 * correlation[1:last].sum()), 1.0, count))


def _matrix(returns, what, fewest=2):
    values = real_numbers("returns", returns)
    if values.ndim != 2:
        raise SktrainError(
            f"Expected a matrix with one row per period and one column per {what}, got "
            f"{values.ndim} dimension(s)."
        )
    if values.shape[1] < fewest:
        raise NotEnoughDataError(
            f"Need at least {fewest} {what}s (columns), got {values.shape[1]}."
        )
    _refuse_missing(values, what)
    return values


def _refuse_missing(values, what):
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise SktrainError(
            f"{what} {column} is {values[row, column]} in row {row} ({int(bad.sum())} such "
            f"values). Leave out {what}s that were not run to the end."
        )


def _block_bounds(n_periods, n_blocks):
    count = check_count("n_blocks", n_blocks, minimum=2)
    if count % 2:
        raise InvalidSplitError(
            "n_blocks must be even, so that half of the blocks can test the other half; got "
            f"{count}."
        )
    if count > _MOST_BLOCKS:
        raise InvalidSplitError(
            f"n_blocks={count} means {comb(count, count // 2):,} combinations; at most "
            f"{_MOST_BLOCKS} blocks are allowed."
        )
    needed = max(count, 4)
    if n_periods < needed:
        raise NotEnoughDataError(
            f"n_blocks={count} needs at least {needed} periods, got {n_periods}."
        )
    edges = np.concatenate(
        [[0], np.cumsum([n_periods // count + (i < n_periods % count) for i in range(count)])]
    )
    return list(zip(edges[:-1], edges[1:]))


def _scorer(values, blocks, metric):
    """A function from chosen blocks, bool of shape (n, n_blocks), to the metric, shape (n,
    n_configurations)."""
    if metric == "mean" or metric == "sharpe":
        return _MomentScorer(values, blocks, deviation=metric == "sharpe")
    if not callable(metric):
        raise SktrainError(f"metric must be 'sharpe', 'mean' or a callable, got {metric!r}.")
    lengths = [stop - start for start, stop in blocks]

    def measure(chosen):
        scores = [
            np.asarray(metric(values[np.repeat(row, lengths)]), dtype=np.float64) for row in chosen
        ]
        for score in scores:
            if score.shape != (values.shape[1],) or not np.isfinite(score).all():
                raise SktrainError(
                    f"metric must return one finite number for each of {values.shape[1]} "
                    f"configurations, got {score!r}."
                )
        return np.stack(scores)

    return measure


class _MomentScorer:
    """Means, or Sharpe ratios, of any union of blocks from the blocks' sums alone."""

    def __init__(self, values, blocks, *, deviation):
        self.deviation = deviation
        self.mean = values.mean(axis=0)
        self.scale = values.std(axis=0)
        if deviation and (np.ptp(values, axis=0) == 0).any():
            column = int(np.argmax(np.ptp(values, axis=0) == 0))
            raise SktrainError(
                f"configuration {column} has constant returns ({values[0, column]:g}): its Sharpe "
                "ratio is undefined. Leave it out."
            )
        centred = values - self.mean
        self.length = np.array([stop - start for start, stop in blocks], dtype=np.float64)
        self.sums = np.stack([centred[start:stop].sum(axis=0) for start, stop in blocks])
        self.squares = np.stack([(centred[start:stop] ** 2).sum(axis=0) for start, stop in blocks])
        self.low = np.stack([values[start:stop].min(axis=0) for start, stop in blocks])
        self.high = np.stack([values[start:stop].max(axis=0) for start, stop in blocks])
        self.may_be_flat = np.flatnonzero(((self.low == self.high).sum(axis=0)) >= len(blocks) // 2)

    def __call__(self, chosen):
        weights = chosen.astype(np.float64)
        rows = (weights @ self.length)[:, None]
        shift = weights @ self.sums / rows
        mean = self.mean + shift
        if not self.deviation:
            return mean
        variance = np.maximum(weights @ self.squares - rows * shift**2, 0.0) / (rows - 1)
        score = np.divide(mean, np.sqrt(variance), out=np.zeros_like(mean), where=variance > 0)
        # a slice without variation leaves rounding errors, not zero
        for column in self.may_be_flat:
            low = np.where(chosen, self.low[:, column], np.inf).min(axis=1)
            high = np.where(chosen, self.high[:, column], -np.inf).max(axis=1)
            score[low == high, column] = 0.0
        return score


def _score_halves(inside, outside):
    """Logit of the winner's relative rank outside, average ranks for ties, and its metric in both
    halves."""
    rows = np.arange(len(inside))
    best = inside.argmax(axis=1)
    value = outside[rows, best]
    below = (outside < value[:, None]).sum(axis=1)
    equal = (outside == value[:, None]).sum(axis=1)
    relative = (below + (equal + 1) / 2) / (outside.shape[1] + 1)
    return np.log(relative / (1 - relative)), np.column_stack([inside[rows, best], value])

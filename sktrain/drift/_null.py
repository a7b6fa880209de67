"""How surprising is a difference of two means, when rows depend on the rows before them?

One p-value per series, from the second moments of two samples in order of time. Nothing is
resampled: the long-run variance of a series decides how much its mean may wander, so the cost is
linear and the answer has no seed. The moments are all that is ever needed of a sample's order, so a
reference keeps them and not its rows.

Two models of the dependence are fitted to both samples pooled, each centred on its own mean, and
the more doubtful one wins:

- AR(1), bias-corrected (Kendall 1954), with the exact variance of a finite mean and Student's t on
  the degrees of freedom that make up for not knowing phi: ``n_eff / 2``, from the delta method on
  ``log(lrv)``, ``lrv = s2 / (1 - phi)**2``;
- a heterogeneous autoregression (Corsi 2009): the last row, the mean of the last 6, of the last
  36, ... rows. It sees the slow, faint memory that an AR(1) overlooks (volatility clusters, noise
  on top of a slow signal).

Taking the larger variance costs a little power without dependence and holds the level with it;
benchmarks/bench_drift_level.py measures both.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.special import rel_entr, stdtr
from scipy.stats import false_discovery_control, hypergeom

__all__ = [
    "Gram",
    "Moments",
    "benjamini_hochberg",
    "centred_moments",
    "count_p_values",
    "effective_rows",
    "horizons",
    "mean_p_values",
    "moments",
    "remembered_horizons",
    "share_p_values",
]

# ratio of successive horizons of the heterogeneous autoregression, a judgment; Corsi (2009): 1, 5
# and 22 days
_STEP = 6
# so many independent stretches of a horizon: a variance of 30 is known to 26 %, √(2 / 29)
_ROWS_PER_LAG = 30
_LONGEST = 216  # rows, 6 ** 3: a longer horizon costs more doubt than it removes


@dataclass(frozen=True)
class Gram:
    """Sums of products of a series with means of its own past, for m series at once.

    With ``P_k`` the mean of the last ``spans[k]`` rows before row t, the entries are products of
    ``x_t - P_0``, ``P_0 - P_1``, ..., ``P_last``: differences keep their digits where a smooth
    series would lose those of its levels, so single precision is enough to remember them.

    Attributes
    ----------
    rows : int
        Rows summed over: those with all of the longest span before them.
    sums : ndarray (m, (s + 1) * (s + 2) / 2)
        Upper triangle of the symmetric matrix of ``s`` spans.
    """

    rows: int
    sums: np.ndarray

    @property
    def n_spans(self):
        return int(np.sqrt(2 * self.sums.shape[1] + 0.25) - 1.5 + 1e-9)

    def matrix(self, n_spans):
        """The matrices (m, n_spans + 1, n_spans + 1), of the shortest spans only."""
        size = self.n_spans + 1
        full = np.empty((len(self.sums), size, size))
        above = np.triu_indices(size)
        full[:, above[0], above[1]] = full[:, above[1], above[0]] = self.sums
        heads = np.arange(n_spans + 1)  # the last mean is the sum of all differences from it on
        return np.add.reduceat(np.add.reduceat(full, heads, axis=1), heads, axis=2)

    def at(self, rows):
        """Those of some of the series."""
        return Gram(self.rows, self.sums[rows])


def _gram(blocks, spans):
    """The :class:`Gram` of blocks (n_times_in_block, m) of consecutive rows."""
    reach, size, m = spans[-1], len(spans) + 1, blocks[0].shape[1]
    sums, rows = np.zeros((m, size * (size + 1) // 2)), 0
    for block in blocks:
        if len(block) <= reach:
            continue
        rows += len(block) - reach
        total = np.concatenate([np.zeros((1, m)), np.cumsum(block, axis=0)])
        means = [block[reach - 1 : -1]]
        means += [(total[reach:-1] - total[reach - span : -1 - span]) / span for span in spans[1:]]
        parts = [
            block[reach:] - means[0],
            *(one - other for one, other in pairwise(means)),
            means[-1],
        ]
        for place, (i, j) in enumerate(zip(*np.triu_indices(size))):
            sums[:, place] += np.einsum("tm,tm->m", parts[i], parts[j])
    return Gram(rows, sums)


@dataclass(frozen=True)
class Moments:
    """What is remembered of the dependence of m centred series of one sample, instead of their
    rows.

    Attributes
    ----------
    n_times : int
        Times in the whole sample.
    n : int
        Times the moments were taken from; fewer when the sample is large.
    squares : ndarray (m,)
        Sums of squares.
    short : Gram or None
        For the AR(1): of the row before. None when ``long`` has to do for both.
    long : Gram
        For the heterogeneous autoregression: of the longest spans the sample can speak of.
    """

    n_times: int
    n: int
    squares: np.ndarray
    short: Gram | None
    long: Gram

    @property
    def first(self):
        """The Gram for the AR(1)."""
        return self.long if self.short is None else self.short

    def at(self, rows):
        """Those of some of the series."""
        short = None if self.short is None else self.short.at(rows)
        return replace(self, squares=self.squares[rows], short=short, long=self.long.at(rows))

    def compact(self):
        """The same with one Gram for both models: less to remember, for a few rows less."""
        return replace(self, n=self.long.rows, short=None) if self.long.rows else self

    def scaled(self, factors):
        """The same for series whose squares are ``factors`` (m,) times as large."""

        def scale(gram):
            return replace(gram, sums=gram.sums * factors[:, None])

        short = None if self.short is None else scale(self.short)
        return replace(self, squares=self.squares * factors, short=short, long=scale(self.long))

    @classmethod
    def join(cls, parts):
        """The moments of several sets of series of one sample, in single precision: what a
        reference remembers."""
        first = parts[0]
        squares, long = (
            _stacked([part.squares for part in parts]),
            _stacked([part.long.sums for part in parts]),
        )
        short = (
            first.short
            if first.short is None
            else replace(first.short, sums=_stacked([part.short.sums for part in parts]))
        )
        return replace(first, squares=squares, short=short, long=replace(first.long, sums=long))

    def silent(self, m):
        """Of m series that never move, in the same sample."""

        def still(gram):
            return replace(gram, sums=np.zeros((m, gram.sums.shape[1])))

        short = None if self.short is None else still(self.short)
        return replace(self, squares=np.zeros(m), short=short, long=still(self.long))


def _stacked(arrays):
    return np.concatenate(arrays).astype(np.float32)


def moments(blocks, n_times, spans):
    """The :class:`Moments` of a sample.

    Parameters
    ----------
    blocks : list of ndarray, each (n_times_in_block, m)
        Stretches of consecutive times, centred on the mean of the whole sample.
    n_times : int
        Times in the whole sample.
    spans : list of int
        See :func:`horizons`.
    """
    squares = sum((block**2).sum(axis=0) for block in blocks)
    return Moments(
        n_times,
        sum(len(block) for block in blocks),
        squares,
        _gram(blocks, [1]),
        _gram(blocks, spans),
    )


def centred_moments(reference, new):
    """Moments of two whole samples (n, m), each centred on its own mean."""
    spans = horizons(len(reference) + len(new))
    return [
        moments([values - values.mean(axis=0)], len(values), spans) for values in (reference, new)
    ]


def horizons(n):
    """Spans of the heterogeneous autoregression that n rows can speak of."""
    spans = [1]
    while spans[-1] * _STEP <= min(n // _ROWS_PER_LAG, _LONGEST):
        spans.append(spans[-1] * _STEP)
    return spans


def remembered_horizons(n):
    """Spans a reference of n rows remembers: those that count beside as many new rows.

    Beside more new rows than that, longer spans are learned from the new rows alone.
    """
    return horizons(2 * n)


def _finite_mean_factor(phi, n):
    """Variance of the mean of n rows of an AR(1), over its limit ``lrv / n``."""
    return 1 - 2 * phi * (1 - phi**n) / (n * (1 - phi**2))


def _variance_of_difference(lrv, phi, first, second):
    return lrv * (
        _finite_mean_factor(phi, first) / first + _finite_mean_factor(phi, second) / second
    )


def _unbias(total, samples, n):
    """Undo the downward bias of the summed autoregressive coefficients that centring each sample
    causes (Kendall 1954)."""
    return np.clip((total + samples / n) / max(1 - 3 * samples / n, 0.1), 0.0, 1 - 2 / max(n, 4))


def _regress(matrix):
    """Sum of the coefficients on the past, its variance per unit of innovation, and what is left
    unexplained."""
    past, moment = matrix[:, 1:, 1:], matrix[:, 1:, 0]
    size = past.shape[1]
    scale = np.sqrt(np.einsum("mii->mi", past))
    scale = np.where(scale > 0, scale, 1.0)  # a series that never moves
    inverse = np.linalg.inv(past / (scale[:, :, None] * scale[:, None, :]) + 1e-10 * np.eye(size))
    inverse /= scale[:, :, None] * scale[:, None, :]
    weights = np.einsum("mij,mj->mi", inverse, moment)
    left = np.maximum(matrix[:, 0, 0] - (weights * moment).sum(axis=1), 0)
    return np.where(past[:, -1, -1] > 0, 1 + weights[:, -1], 0.0), inverse[:, -1, -1], left


def _autoregression(samples):
    """Long-run variance, phi and degrees of freedom of an AR(1) with common phi in all samples."""
    n = sum(sample.n for sample in samples)
    total, _, left = _regress(sum(sample.first.matrix(1) for sample in samples))
    phi = _unbias(total, len(samples), n)
    innovation = left / max(sum(sample.first.rows for sample in samples) - len(samples), 1)
    freedom = 2 / (4 * (1 + phi) / ((1 - phi) * n) + 2 / n)
    return innovation / (1 - phi) ** 2, phi, freedom


def effective_rows(sample):
    """How many independent rows a sample is worth, by the AR(1) alone."""
    lrv, _, _ = _autoregression([sample])
    spread = sample.squares / max(sample.n, 1)
    return sample.n_times * np.divide(spread, lrv, out=np.ones_like(lrv), where=lrv > 0)


def _heterogeneous(samples):
    """The same for the heterogeneous autoregression; None when the samples are too short for it."""
    n = sum(sample.n for sample in samples)
    size = len(horizons(n))
    usable = [sample.long for sample in samples if sample.long.n_spans >= size and sample.long.rows]
    rows = sum(gram.rows for gram in usable)
    if size == 1 or rows < _ROWS_PER_LAG * size:
        return None
    total, doubt, left = _regress(sum(gram.matrix(size) for gram in usable))
    innovation = left / (rows - size - len(samples))
    phi = _unbias(total, len(samples), n)
    freedom = 2 / (4 * doubt * innovation / (1 - phi) ** 2 + 2 / n)
    return innovation / (1 - phi) ** 2, phi, freedom


def _two_sided(difference, variance, freedom):
    """p-value of Student's t; a difference without any variance is certain, no difference is
    none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(difference == 0, 0.0, np.abs(difference) / np.sqrt(variance))
    return np.minimum(2 * stdtr(freedom, -t), 1.0)


def mean_p_values(difference, reference, new, *, location=None):
    """p-values of differences between two means of dependent rows.

    Parameters
    ----------
    difference : ndarray (m,)
        Mean of the new sample minus mean of the reference, on all rows.
    reference, new : Moments
        Of the centred series of the two samples.
    location : bool ndarray (m,), optional
        Series for which the variance of the more doubtful model meets the degrees of freedom of the
        AR(1): more power for series that are themselves close to autoregressive. The others take
        the larger of the two p-values.

    Returns
    -------
    p_values : ndarray (m,)
    effective : ndarray (m,)
        How many independent rows the new sample is worth.
    """
    samples = [reference, new]
    lengths = reference.n_times, new.n_times
    lrv, phi, freedom = _autoregression(samples)
    variance = _variance_of_difference(lrv, phi, *lengths)
    p_values = _two_sided(difference, variance, freedom)
    longer = _heterogeneous(samples)
    if longer is not None:
        other = _variance_of_difference(longer[0], longer[1], *lengths)
        careful = np.maximum(p_values, _two_sided(difference, other, longer[2]))
        direct = _two_sided(difference, np.maximum(variance, other), freedom)
        p_values = careful if location is None else np.where(location, direct, careful)
        variance, lrv = np.maximum(variance, other), np.maximum(lrv, longer[0])
    spread = (reference.squares + new.squares) / sum(sample.n for sample in samples)
    effective = new.n_times * np.divide(spread, lrv, out=np.ones_like(spread), where=lrv > 0)
    return p_values, np.clip(effective, 1.0, new.n_times)


def count_p_values(hits_reference, n_reference, hits_new, n_new):
    """Two-sided p-values of Fisher's exact test, for counts too small for a normal approximation.

    Examples
    --------
    >>> import numpy as np
    >>> count_p_values(np.array([0]), 1000, np.array([1]), 250).round(3)
    array([0.4])
    """
    total, hits = n_reference + n_new, hits_reference + hits_new
    low = hypergeom.cdf(hits_new, total, hits, n_new)
    high = hypergeom.sf(hits_new - 1, total, hits, n_new)
    return np.minimum(2 * np.minimum(low, high), 1.0)


def share_p_values(hits_reference, n_reference, hits_new, n_new, reference, new):
    """p-values of differences between two shares of dependent rows.

    The signed root of the likelihood ratio takes the place of the difference, so that a share that
    vanished is as surprising as it should be; never less than Fisher's exact p-value for
    independent rows.

    Parameters
    ----------
    hits_reference, hits_new : int ndarray (m,)
    n_reference, n_new : int
    reference, new : Moments
        Of the centred indicators.

    Returns
    -------
    p_values, effective : ndarray (m,)
    """
    first, second = hits_reference / n_reference, hits_new / n_new
    pooled = (hits_reference + hits_new) / (n_reference + n_new)
    ratio = 2 * (n_reference * kl_bernoulli(first, pooled) + n_new * kl_bernoulli(second, pooled))
    wald = (second - first) ** 2 / np.maximum(
        pooled * (1 - pooled) * (1 / n_reference + 1 / n_new), np.finfo(float).tiny
    )
    stretch = np.sqrt(np.divide(ratio, wald, out=np.ones_like(ratio), where=wald > 0))
    p_values, effective = mean_p_values(
        (second - first) * stretch, reference, new, location=np.ones(len(first), dtype=bool)
    )
    return np.maximum(
        p_values, count_p_values(hits_reference, n_reference, hits_new, n_new)
    ), effective


def kl_bernoulli(p, q):
    """Kullback-Leibler divergence of two shares, in nats."""
    return rel_entr(p, q) + rel_entr(1 - p, 1 - q)


def benjamini_hochberg(p_values):
    """Adjusted p-values: the smallest false discovery rate at which each is declared (Benjamini &
    Hochberg 1995).

    NaN stays NaN and counts for nothing.

    Examples
    --------
    >>> import numpy as np
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, np.nan]))
    array([0.03, 0.04, 0.04,  nan])
    """
    p_values = np.asarray(p_values, dtype=float)
    adjusted = np.full(p_values.shape, np.nan)
    known = ~np.isnan(p_values)
    if known.any():
        adjusted[known] = false_discovery_control(p_values[known])
    return adjusted

"""How surprising is a difference of two means, when rows depend on the rows before them?

What enters are two samples of centred series in order of time; what leaves is one p-value per series. Nothing is resampled: the
long-run variance of a series decides how much its mean may wander, so the cost is linear and the answer has no seed.

Two models of the dependence are fitted to both samples pooled, each centred on its own mean, and the more doubtful one wins:

- AR(1), bias-corrected (Kendall 1954), with the exact variance of a finite mean and Student's t on the degrees of freedom that
  make up for not knowing phi: ``n_eff / 2``, from the delta method on ``log(lrv)``, ``lrv = s2 / (1 - phi)**2``;
- a heterogeneous autoregression (Corsi 2009): the last row, the mean of the last 6, of the last 36, ... rows. It sees the slow,
  faint memory that an AR(1) overlooks (volatility clusters, noise on top of a slow signal).

Taking the larger variance costs a little power without dependence and holds the level with it; benchmarks/bench_drift_level.py
measures both.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import rel_entr, stdtr
from scipy.stats import hypergeom

__all__ = ["Series", "benjamini_hochberg", "count_p_values", "mean_p_values", "share_p_values"]

_STEP = 6  # ratio of successive horizons of the heterogeneous autoregression
_ROWS_PER_LAG = 30
_LONGEST = 216  # rows; a longer horizon costs more doubt than it removes


@dataclass(frozen=True)
class Series:
    """One sample of m series: centred values for the dependence, and how long the whole sample is.

    Attributes
    ----------
    blocks : list of ndarray, each (n_times_in_block, m)
        Stretches of consecutive times, centred on the mean of the whole sample.
    n_times : int
        Times in the whole sample; more than in the blocks when the sample is large.
    """

    blocks: list
    n_times: int


def _finite_mean_factor(phi, n):
    """Variance of the mean of n rows of an AR(1), over its limit ``lrv / n``."""
    return 1 - 2 * phi * (1 - phi**n) / (n * (1 - phi**2))


def _variance_of_difference(lrv, phi, first, second):
    return lrv * (_finite_mean_factor(phi, first) / first + _finite_mean_factor(phi, second) / second)


def _unbias(total, samples, n):
    """Undo the downward bias of the summed autoregressive coefficients that centring each sample causes (Kendall 1954)."""
    return np.clip((total + samples / n) / max(1 - 3 * samples / n, 0.1), 0.0, 1 - 2 / max(n, 4))


def _autoregression(blocks, samples):
    """Long-run variance, phi and degrees of freedom of an AR(1) with common phi in all blocks."""
    n = sum(len(block) for block in blocks)
    past = sum((block[:-1] ** 2).sum(axis=0) for block in blocks)
    cross = sum(np.einsum("tm,tm->m", block[1:], block[:-1]) for block in blocks)
    now = sum((block[1:] ** 2).sum(axis=0) for block in blocks)
    raw = np.divide(cross, past, out=np.zeros_like(cross), where=past > 0)
    phi = _unbias(raw, samples, n)
    pairs = max(n - len(blocks) - samples, 1)
    innovation = np.maximum(now - raw * cross, 0) / pairs
    freedom = 2 / (4 * (1 + phi) / ((1 - phi) * n) + 2 / n)
    return innovation / (1 - phi) ** 2, phi, freedom


def _horizons(n):
    spans = [1]
    while spans[-1] * _STEP <= min(n // _ROWS_PER_LAG, _LONGEST):
        spans.append(spans[-1] * _STEP)
    return spans


def _heterogeneous(blocks, samples):
    """The same for the heterogeneous autoregression; None when the blocks are too short for it."""
    n = sum(len(block) for block in blocks)
    spans = _horizons(n)
    reach, m = spans[-1], blocks[0].shape[1]
    usable = [block for block in blocks if len(block) > reach]
    rows = sum(len(block) - reach for block in usable)
    if len(spans) == 1 or rows < _ROWS_PER_LAG * len(spans):
        return None
    gram, moment, energy = np.zeros((m, len(spans), len(spans))), np.zeros((m, len(spans))), np.zeros(m)
    for block in usable:
        total = np.concatenate([np.zeros((1, m)), np.cumsum(block, axis=0)])
        past = [(total[reach:-1] - total[reach - span : -1 - span]) / span for span in spans]
        now = block[reach:]
        for i, one in enumerate(past):
            moment[:, i] += np.einsum("tm,tm->m", one, now)
            for j in range(i + 1):
                gram[:, i, j] += np.einsum("tm,tm->m", one, past[j])
        energy += (now**2).sum(axis=0)
    for i in range(len(spans)):
        gram[:, :i, i] = gram[:, i, :i]
    return _solve_heterogeneous(gram, moment, energy, rows, samples, n)


def _solve_heterogeneous(gram, moment, energy, rows, samples, n):
    size = gram.shape[1]
    scale = np.trace(gram, axis1=1, axis2=2)[:, None, None]
    scale = np.where(scale > 0, scale, 1.0)  # a series that never moves
    inverse = np.linalg.inv(gram / scale + 1e-10 * np.eye(size)) / scale
    weights = np.einsum("mij,mj->mi", inverse, moment)
    innovation = np.maximum(energy - (weights * moment).sum(axis=1), 0) / (rows - size - samples)
    phi = _unbias(weights.sum(axis=1), samples, n)
    doubt = inverse.sum(axis=(1, 2)) * innovation
    freedom = 2 / (4 * doubt / (1 - phi) ** 2 + 2 / n)
    return innovation / (1 - phi) ** 2, phi, freedom


def _two_sided(difference, variance, freedom):
    """p-value of Student's t; a difference without any variance is certain, no difference is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(difference == 0, 0.0, np.abs(difference) / np.sqrt(variance))
    return np.minimum(2 * stdtr(freedom, -t), 1.0)


def mean_p_values(difference, reference, new, *, location=None):
    """p-values of differences between two means of dependent rows.

    Parameters
    ----------
    difference : ndarray (m,)
        Mean of the new sample minus mean of the reference, on all rows.
    reference, new : Series
        The centred series of the two samples.
    location : bool ndarray (m,), optional
        Series for which the variance of the more doubtful model meets the degrees of freedom of the AR(1): more power for
        series that are themselves close to autoregressive. The others take the larger of the two p-values.

    Returns
    -------
    p_values : ndarray (m,)
    effective : ndarray (m,)
        How many independent rows the new sample is worth.
    """
    blocks = [block for block in (*reference.blocks, *new.blocks) if len(block)]
    lengths = reference.n_times, new.n_times
    lrv, phi, freedom = _autoregression(blocks, 2)
    variance = _variance_of_difference(lrv, phi, *lengths)
    p_values = _two_sided(difference, variance, freedom)
    longer = _heterogeneous(blocks, 2)
    if longer is not None:
        other = _variance_of_difference(longer[0], longer[1], *lengths)
        careful = np.maximum(p_values, _two_sided(difference, other, longer[2]))
        direct = _two_sided(difference, np.maximum(variance, other), freedom)
        p_values = careful if location is None else np.where(location, direct, careful)
        variance, lrv = np.maximum(variance, other), np.maximum(lrv, longer[0])
    n = sum(len(block) for block in blocks)
    spread = sum((block**2).sum(axis=0) for block in blocks) / n
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

    The signed root of the likelihood ratio takes the place of the difference, so that a share that vanished is as surprising
    as it should be; never less than Fisher's exact p-value for independent rows.

    Parameters
    ----------
    hits_reference, hits_new : int ndarray (m,)
    n_reference, n_new : int
    reference, new : Series
        Centred indicators.

    Returns
    -------
    p_values, effective : ndarray (m,)
    """
    first, second = hits_reference / n_reference, hits_new / n_new
    pooled = (hits_reference + hits_new) / (n_reference + n_new)
    ratio = 2 * (n_reference * kl_bernoulli(first, pooled) + n_new * kl_bernoulli(second, pooled))
    wald = (second - first) ** 2 / np.maximum(pooled * (1 - pooled) * (1 / n_reference + 1 / n_new), np.finfo(float).tiny)
    stretch = np.sqrt(np.divide(ratio, wald, out=np.ones_like(ratio), where=wald > 0))
    p_values, effective = mean_p_values((second - first) * stretch, reference, new, location=np.ones(len(first), dtype=bool))
    return np.maximum(p_values, count_p_values(hits_reference, n_reference, hits_new, n_new)), effective


def kl_bernoulli(p, q):
    """Kullback-Leibler divergence of two shares, in nats."""
    return rel_entr(p, q) + rel_entr(1 - p, 1 - q)


def benjamini_hochberg(p_values):
    """Adjusted p-values: the smallest false discovery rate at which each is declared (Benjamini & Hochberg 1995).

    NaN stays NaN and counts for nothing.

    Examples
    --------
    >>> import numpy as np
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, np.nan]))
    array([0.03, 0.04, 0.04,  nan])
    """
    p_values = np.asarray(p_values, dtype=float)
    adjusted = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    scaled = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted

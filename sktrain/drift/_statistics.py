"""Effect sizes: how far apart two samples of one column are, whatever the order of their rows.

Time plays no part here.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from ..exceptions import SktrainError

__all__ = [
    "distances",
    "mean_and_std",
    "middle_ranks",
    "population_stability_index",
    "smooth_components",
    "smoothed_shares",
    "sorted_values",
    "thinned",
]

# New values beyond this many are compared by as many quantiles: a rank is off by at most 1 /
# 40,000.
_EXACT = 20_000


def smoothed_shares(counts):
    """Shares of the bins with half a row added to each, so that no bin is empty (Jeffreys'
    prior)."""
    counts = np.asarray(counts, dtype=float)
    return (counts + 0.5) / (counts.sum() + 0.5 * len(counts))


def population_stability_index(reference: ArrayLike, new: ArrayLike) -> float:
    """Population stability index of two sets of shares, ``sum((q - p) * log(q / p))``.

    Parameters
    ----------
    reference, new : array-like (n_bins,)
        Positive shares, each summing to 1.

    Returns
    -------
    float
        0 for equal shares. It is the symmetrised Kullback-Leibler divergence (Jeffreys 1946).
        Without drift its mean is about ``(n_bins - 1) * (1 / n_reference + 1 / n_new)``, more for
        autocorrelated rows.

    Examples
    --------
    >>> round(population_stability_index([.25, .25, .25, .25], [.4, .3, .2, .1]), 6)
    0.228217
    """
    p, q = np.asarray(reference, dtype=float), np.asarray(new, dtype=float)
    if p.shape != q.shape or (p <= 0).any() or (q <= 0).any():
        raise SktrainError(
            f"shares must be positive and of equal number, got {p.tolist()} and {q.tolist()}."
        )
    return float(((q - p) * np.log(q / p)).sum())


def middle_ranks(ordered, values):
    """Share of ``ordered`` below each value, ties counted half: the mid-distribution function."""
    if not len(ordered):
        return np.full(len(values), 0.5)
    return (
        np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    ) / (2 * len(ordered))


def smooth_components(u):
    """What of a distribution may move, as functions of ranks in (0, 1), one column each: location,
    spread, asymmetry, tails.

    Normal scores and their squares (van der Waerden 1952, Klotz 1962: no power lost on normal
    data), then the third and fourth Legendre polynomials of Neyman's smooth test (1937).
    """
    z = ndtri(u)
    v = 2 * u - 1
    s = v * v
    return np.stack([z, z * z, (5 * s - 3) * v, (35 * s - 30) * s], axis=-1)


def thinned(ordered):
    """Sorted values, or 20,000 evenly spaced ones of them."""
    n = len(ordered)
    return (
        ordered
        if n <= _EXACT
        else ordered[((np.arange(_EXACT) + 0.5) * n / _EXACT).astype(np.intp)]
    )


def mean_and_std(ordered, tolerance=0.0):
    """Mean and standard deviation of sorted values; exactly 0 spread for values that are equal
    within ``tolerance``."""
    if ordered[-1] - ordered[0] <= tolerance:
        return float(ordered[len(ordered) // 2]), 0.0
    with np.errstate(over="ignore"):
        return float(ordered.mean()), float(ordered.std())


def sorted_values(values):
    """The values in order, as float64, without NaN."""
    ordered = np.array(values, dtype=np.float64)
    ordered.sort()  # NaN goes last
    return (
        ordered[: np.searchsorted(ordered, np.nan)]
        if len(ordered) and np.isnan(ordered[-1])
        else ordered
    )


def distances(reference, ordered):
    """Kolmogorov-Smirnov and Wasserstein distance of sorted values from a remembered distribution.

    Parameters
    ----------
    reference : NumericReference
    ordered : ndarray
        Without NaN.

    Returns
    -------
    kolmogorov_smirnov, wasserstein : float
        The second in the units of the values. Exact where the reference remembers every value, else
        to the few rows that stand between two of the values it remembers.
    """
    if not len(reference.knots) or not len(ordered):
        return np.nan, np.nan
    ordered = thinned(ordered)
    points = np.sort(np.concatenate([reference.knots, ordered]))
    gaps = [
        np.abs(
            reference.shares(points, side) - np.searchsorted(ordered, points, side) / len(ordered)
        )
        for side in ("left", "right")
    ]
    area = ((gaps[1][:-1] + gaps[0][1:]) / 2 * np.diff(points)).sum()
    return float(max(gaps[0].max(), gaps[1].max())), float(area)

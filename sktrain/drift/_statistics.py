"""Effect sizes: how far apart two samples of one column are, whatever the order of their rows.

What enters are values (or their sorted quantiles); what leaves are bins, shares and numbers. Time plays no part here.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from ..exceptions import SktrainError

__all__ = [
    "CategoricalReference",
    "NumericReference",
    "mean_and_std",
    "middle_ranks",
    "population_stability_index",
    "smooth_components",
    "smoothed_shares",
    "sorted_values",
    "thinned",
]

_EXACT = 20_000  # up to this many values the reference is kept exactly, beyond it as as many quantiles
_LISTED = 50  # categories with a bin of their own; rarer ones share one


def smoothed_shares(counts):
    """Shares of the bins with half a row added to each, so that no bin is empty (Jeffreys' prior)."""
    counts = np.asarray(counts, dtype=float)
    return (counts + 0.5) / (counts.sum() + 0.5 * len(counts))


def population_stability_index(reference, new):
    """Population stability index of two sets of shares, ``sum((q - p) * log(q / p))``.

    Parameters
    ----------
    reference, new : array-like (n_bins,)
        Positive shares, each summing to 1.

    Returns
    -------
    float
        0 for equal shares. It is the symmetrised Kullback-Leibler divergence (Jeffreys 1946). Without drift its mean is
        about ``(n_bins - 1) * (1 / n_reference + 1 / n_new)``, more for autocorrelated rows.

    Examples
    --------
    >>> round(population_stability_index([.25, .25, .25, .25], [.4, .3, .2, .1]), 6)
    0.228217
    """
    p, q = np.asarray(reference, dtype=float), np.asarray(new, dtype=float)
    if p.shape != q.shape or (p <= 0).any() or (q <= 0).any():
        raise SktrainError(f"shares must be positive and of equal number, got {p.tolist()} and {q.tolist()}.")
    return float(((q - p) * np.log(q / p)).sum())


def middle_ranks(ordered, values):
    """Share of ``ordered`` below each value, ties counted half: the mid-distribution function."""
    if not len(ordered):
        return np.full(len(values), 0.5)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * len(ordered))


def smooth_components(u):
    """What of a distribution may move, as functions of ranks in (0, 1), one column each: location, spread, asymmetry, tails.

    Normal scores and their squares (van der Waerden 1952, Klotz 1962: no power lost on normal data), then the third and fourth
    Legendre polynomials of Neyman's smooth test (1937).
    """
    z = ndtri(u)
    v = 2 * u - 1
    s = v * v
    return np.stack([z, z * z, (5 * s - 3) * v, (35 * s - 30) * s], axis=-1)


@dataclass(frozen=True)
class NumericReference:
    """What is remembered of one numeric column.

    Attributes
    ----------
    ordered : ndarray
        Its values in order, without NaN; quantiles of them when there are more than 20,000.
    n_rows, n_missing : int
    mean, std : float
        NaN when all values are missing.
    edges : ndarray
        Inner edges of the bins, closed on the right; the outer bins are open.
    counts : ndarray
        Rows per bin; the last is the bin of NaN.
    """

    ordered: np.ndarray
    n_rows: int
    n_missing: int
    mean: float
    std: float
    edges: np.ndarray
    counts: np.ndarray

    kind = "numeric"

    @classmethod
    def learn(cls, values, n_bins):
        """Bins are quantiles of ``values``; a value that fills several of them gets a bin of its own."""
        ordered = sorted_values(values)
        n = len(ordered)
        if not n:
            return cls(ordered, len(values), len(values), np.nan, np.nan, ordered, np.array([0, len(values)]))
        edges = _edges(ordered, n_bins)
        missing = len(values) - n
        counts = _bin_counts(ordered, edges, missing)
        mean, std = mean_and_std(ordered)
        return cls(thinned(ordered).copy(), len(values), missing, mean, std, edges, counts)

    def bin_counts(self, ordered, n_missing):
        """Rows per bin of sorted values."""
        return _bin_counts(ordered, self.edges, n_missing)

    def bin_names(self):
        low = ["-inf", *(f"{edge:.4g}" for edge in self.edges)]
        high = [*(f"{edge:.4g}" for edge in self.edges), "inf"]
        return [*(f"({a}, {b}]" for a, b in zip(low, high)), "missing"]

    @property
    def is_constant(self):
        return not self.std > 0


def thinned(ordered):
    """Sorted values, or 20,000 evenly spaced ones of them."""
    n = len(ordered)
    return ordered if n <= _EXACT else ordered[((np.arange(_EXACT) + 0.5) * n / _EXACT).astype(np.intp)]


def mean_and_std(ordered):
    """Mean and standard deviation of sorted values; exactly 0 spread for a constant, whatever the rounding."""
    if ordered[0] == ordered[-1]:
        return float(ordered[0]), 0.0
    with np.errstate(over="ignore"):
        return float(ordered.mean()), float(ordered.std())


def sorted_values(values):
    """The values in order, as float64, without NaN."""
    ordered = np.array(values, dtype=np.float64)
    ordered.sort()  # NaN goes last
    return ordered[: np.searchsorted(ordered, np.nan)] if len(ordered) and np.isnan(ordered[-1]) else ordered


def _edges(ordered, n_bins):
    positions = (np.arange(1, n_bins) * len(ordered) / n_bins).astype(np.intp)
    quantiles = np.unique(ordered[np.maximum(positions - 1, 0)])
    left = np.searchsorted(ordered, quantiles, "left")
    right = np.searchsorted(ordered, quantiles, "right")
    atoms = quantiles[(right - left) * n_bins >= len(ordered)]  # values heavier than a bin: cut just below them too
    return np.unique(np.concatenate([quantiles, np.nextafter(atoms, -np.inf)]))


def _bin_counts(ordered, edges, missing):
    cuts = np.searchsorted(ordered, edges, "right")
    return np.append(np.diff(np.concatenate([[0], cuts, [len(ordered)]])), missing)


@dataclass(frozen=True)
class CategoricalReference:
    """What is remembered of one column of categories: up to 50 of them, the rest in one bin, one for the missing.

    Attributes
    ----------
    categories : tuple
        The most frequent values.
    counts : ndarray
        Rows per category, then of all other values, then missing.
    """

    categories: tuple
    counts: np.ndarray
    n_rows: int
    n_missing: int
    codes: dict = field(repr=False)

    kind = "categorical"
    edges = np.empty(0)
    mean = std = np.nan

    @classmethod
    def learn(cls, values, missing):
        present = values[~missing]
        names, counts = np.unique(present.astype(str), return_counts=True)
        top = np.sort(np.argsort(-counts, kind="stable")[:_LISTED])
        listed = tuple(names[top].tolist())
        tally = np.concatenate([counts[top], [len(present) - counts[top].sum(), missing.sum()]]).astype(np.int64)
        return cls(listed, tally, len(values), int(missing.sum()), {name: i for i, name in enumerate(listed)})

    def encode(self, values, missing):
        """The bin of every value."""
        names, inverse = np.unique(np.where(missing, "", values).astype(str), return_inverse=True)
        table = np.array([self.codes.get(name, len(self.categories)) for name in names.tolist()], dtype=np.intp)
        return np.where(missing, len(self.categories) + 1, table[inverse.reshape(-1)])

    def bin_names(self):
        return [*self.categories, "other", "missing"]

    @property
    def is_constant(self):
        return int((self.counts > 0).sum()) <= 1

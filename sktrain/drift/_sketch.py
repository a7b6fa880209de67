"""What is remembered of the values of one column, in a few hundred bytes whatever the rows: numbers
by quantiles, categories by counts.

Two values are the same when they differ by no more than the coarser of the two storages can tell,
so a column that comes back as float32 is the column it was.
"""

from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from ._statistics import mean_and_std, sorted_values

__all__ = ["CategoricalReference", "NumericReference"]

_DISTINCT = 32  # values, a judgment: up to so many are all remembered, each with its count
# Else so many quantiles, 0.03 of the rows apart in the middle and 0.4 standard deviations in the
# tails, of which values that hold more than 1 / 24 of the rows keep their count: 64 numbers in all,
# 768 bytes of the 2.6 KB that 100 KiB leave to each of 38 columns.
_QUANTILES = 41
_HEAVY = 24
# places for the rows between two quantiles when a mean over the reference is taken, a judgment
_PER_CELL = 4
# The sum of n numbers depends on their order by up to (n - 1) eps times the sum of their sizes
# (Higham 2002, section 4.2):
_ROUNDINGS = 4  # values that differ by the rounding of so many operations are one value, a judgment
_STORAGES = (np.float16, np.float32)
_DOUBLE = float(np.finfo(np.float64).eps)

# A category has a bin of its own when it fills at least 1 / 50 of the rows, so there are at most
# 50;
# choosing the most frequent of many rare ones would take chance for a share (and drift ever since).
_LISTED = 50
# Rarer categories that are recognised, 4 KB of hashes; when there are more, those of the smallest
# hashes: a choice that is blind to counts.
_KNOWN = 1024


def _stored(values, eps):
    """What a storage of resolution ``eps`` makes of the values."""
    for storage in _STORAGES:
        limit = np.finfo(storage)
        if eps >= float(limit.eps):
            return (
                np.clip(values, float(limit.min), float(limit.max))
                .astype(storage)
                .astype(np.float64)
            )
    return values


@dataclass(frozen=True)
class NumericReference:
    """What is remembered of one numeric column.

    Attributes
    ----------
    knots : ndarray
        Values in order: all that there are, twice each, when they are few; else quantiles, and
        twice those with many rows.
    ranks : ndarray of int
        Twice the middle rank of each; of the two knots of one value, twice the number of rows below
        it and up to it.
    n_rows, n_missing : int
    mean, std : float
        NaN when all values are missing; ``std`` is 0 when they are equal within the storage's
        resolution.
    edges : ndarray
        Inner edges of the bins; the outer bins are open.
    below : bool ndarray
        Whether a bin ends just below its edge; else with it.
    counts : ndarray
        Rows per bin; the last is the bin of NaN.
    eps : float
        Resolution of the storage, relative to the value.
    """

    knots: np.ndarray
    ranks: np.ndarray
    n_rows: int
    n_missing: int
    mean: float
    std: float
    edges: np.ndarray
    below: np.ndarray
    counts: np.ndarray
    eps: float = _DOUBLE

    kind = "numeric"

    @classmethod
    def learn(cls, values, n_bins, eps=_DOUBLE, ordered=None):
        """Bins are quantiles of ``values``; a value that fills one of them gets a bin of its
        own."""
        ordered = sorted_values(values) if ordered is None else ordered
        n, missing = len(ordered), len(values) - len(ordered)
        if not n:
            return cls.nothing(missing)
        mean, std = mean_and_std(ordered, _ROUNDINGS * eps * np.abs(ordered[[0, -1]]).max())
        ordered = _merged(ordered, _ROUNDINGS * eps, std)
        edges, below = _edges(ordered, n_bins)
        counts = np.append(np.diff(_cuts(ordered, edges, below)), missing)
        return cls(*_quantiles(ordered), len(values), missing, mean, std, edges, below, counts, eps)

    @classmethod
    def nothing(cls, n_rows):
        """A column without any value."""
        none, whole = np.empty(0), np.empty(0, dtype=np.int64)
        return cls(
            none,
            whole,
            n_rows,
            n_rows,
            np.nan,
            np.nan,
            none,
            none.astype(bool),
            np.array([0, n_rows]),
        )

    @property
    def n_present(self):
        return self.n_rows - self.n_missing

    @property
    def is_constant(self):
        return not self.std > 0

    def at(self, eps):
        """This column as a storage of resolution ``eps`` would have held it; itself when its own is
        as coarse."""
        if eps <= self.eps or not self.n_present:
            return self
        edges, below = _ordered_edges(_stored(self.edges, eps), self.below)
        places, weights = self.places()
        mean = self.mean + float(weights @ (_stored(places, eps) - places))
        knots = _stored(self.knots, eps)
        rounded = replace(self, knots=knots, mean=mean, edges=edges, below=below, eps=eps)
        if np.array_equal(np.diff(edges) > 0, np.diff(self.edges) > 0):
            return rounded
        # So coarse that bins fell together:
        upto = np.where(below, rounded.shares(edges, "left"), rounded.shares(edges, "right"))
        cuts = np.rint(np.concatenate([[0], upto, [1]]) * self.n_present).astype(np.int64)
        return replace(rounded, counts=np.append(np.diff(cuts), self.n_missing))

    def snap(self, values):
        """Values in any order as this column would have held them; those that equal one it counted
        become it."""
        values = _stored(values, self.eps)
        atoms, reach = self._atoms()
        if not len(atoms):
            return values
        above = np.clip(np.searchsorted(atoms, values), 1, max(len(atoms) - 1, 1))
        nearest = np.where(
            np.abs(values - atoms[above - 1]) <= reach[above - 1],
            above - 1,
            np.minimum(above, len(atoms) - 1),
        )
        return np.where(np.abs(values - atoms[nearest]) <= reach[nearest], atoms[nearest], values)

    def snap_ordered(self, ordered):
        """The same of sorted values without NaN."""
        ordered = _stored(ordered, self.eps)
        atoms, reach = self._atoms()
        first, last = (
            np.searchsorted(ordered, atoms - reach, "left"),
            np.searchsorted(ordered, atoms + reach, "right"),
        )
        changed = [
            place
            for place in np.flatnonzero(last > first)
            if (ordered[[first[place], last[place] - 1]] != atoms[place]).any()
        ]
        if changed:
            ordered = ordered.copy()
            for place in changed:
                ordered[first[place] : last[place]] = atoms[place]
        return ordered

    def _atoms(self):
        """Values whose count is remembered, and how far from them a value still is one of them."""
        values, counts = np.unique(self.knots, return_counts=True)
        half = np.diff(values, prepend=-np.inf, append=np.inf) / 2
        reach = _ROUNDINGS * self.eps * np.maximum(np.abs(values), self.std)
        reach = np.minimum(reach, np.minimum(half[:-1], half[1:]))
        return values[counts > 1], reach[counts > 1]

    def shares(self, values, side):
        """Share of the rows below each value (``side="left"``) or up to it (``"right"``); between
        two knots, on a line."""
        place = np.searchsorted(self.knots, values, side)
        low, high = np.maximum(place - 1, 0), np.minimum(place, len(self.knots) - 1)
        start, width = self.knots[low], self.knots[high] - self.knots[low]
        part = np.divide(values - start, width, out=np.zeros(len(values)), where=width > 0)
        twice = self.ranks[low] + part * (self.ranks[high] - self.ranks[low])
        if side == "left":
            twice = np.where(values == self.knots[high], self.ranks[high], twice)
        twice = np.where(
            values < self.knots[0], 0, np.where(values > self.knots[-1], 2 * self.n_present, twice)
        )
        return twice / (2 * self.n_present)

    def middle_ranks(self, values):
        """Share of the rows below each value, ties counted half."""
        return (self.shares(values, "left") + self.shares(values, "right")) / 2

    def places(self):
        """Values that stand for all rows, and the share of the rows behind each: for means over the
        reference."""
        steps = (np.arange(_PER_CELL) + 0.5) / _PER_CELL
        inside = (self.knots[:-1, None] + np.diff(self.knots)[:, None] * steps).ravel()
        weights = np.repeat(np.diff(self.ranks) / _PER_CELL, _PER_CELL)
        values = np.concatenate([self.knots[:1], inside, self.knots[-1:]])
        weights = np.concatenate([self.ranks[:1], weights, [2 * self.n_present - self.ranks[-1]]])
        held = weights > 0
        return values[held], weights[held] / (2 * self.n_present)

    def bin_counts(self, ordered, n_missing):
        """Rows per bin of sorted values."""
        return np.append(np.diff(_cuts(ordered, self.edges, self.below)), n_missing)

    def bin_names(self):
        """Intervals, with a bracket where the edge is inside."""
        ends = ["-inf", *(f"{edge:.4g}" for edge in self.edges), "inf"]
        opens = ["(", *("[" if below else "(" for below in self.below)]
        closes = [*(")" if below else "]" for below in self.below), "]"]
        return [
            *(f"{o}{a}, {b}{c}" for o, a, b, c in zip(opens, ends, ends[1:], closes)),
            "missing",
        ]


def _merged(ordered, relative, std):
    """Sorted values, with those that differ by rounding made equal (each run to its first)."""
    close = np.diff(ordered) <= relative * np.maximum(np.abs(ordered[:-1]), std)
    if not (close & (np.diff(ordered) > 0)).any():
        return ordered
    starts = np.flatnonzero(np.concatenate([[True], ~close]))
    return np.repeat(ordered[starts], np.diff(np.append(starts, len(ordered))))


def _quantiles(ordered) -> tuple[np.ndarray, np.ndarray]:
    """The knots of sorted values and twice their ranks."""
    n = len(ordered)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(ordered) > 0]))
    if len(starts) <= _DISTINCT:
        ends = np.append(starts[1:], n)
        return np.repeat(ordered[starts], 2), 2 * np.stack([starts, ends], axis=1).ravel().astype(
            np.int64
        )
    z = np.linspace(ndtri(0.5 / n), -ndtri(0.5 / n), 40 * _QUANTILES)
    density = 0.6 * ndtr(z) + 0.4 * (z - z[0]) / (
        z[-1] - z[0]
    )  # even in ranks, and even in normal scores for the tails
    wanted = ndtr(np.interp(np.linspace(density[0], density[-1], _QUANTILES), density, z))
    values = np.unique(
        ordered[np.unique(np.clip(np.rint(wanted * n - 0.5), 0, n - 1).astype(np.intp))]
    )
    first, last = (
        np.searchsorted(ordered, values, "left"),
        np.searchsorted(ordered, values, "right"),
    )
    heavy = (last - first) * _HEAVY > n
    ranks = np.stack([np.where(heavy, 2 * first, first + last), 2 * last], axis=1)
    kept = np.stack([np.ones(len(values), dtype=bool), heavy], axis=1).ravel()
    return np.repeat(values, 2)[kept], ranks.ravel()[kept].astype(np.int64)


def _ordered_edges(edges, below):
    """Edges in order, each once: just below a value before with it."""
    order = np.lexsort((~below, edges))
    edges, below = edges[order], below[order]
    new = np.ones(len(edges), dtype=bool)
    new[1:] = (np.diff(edges) > 0) | (below[1:] != below[:-1])
    return edges[new], below[new]


def _edges(ordered, n_bins):
    positions = (np.arange(1, n_bins) * len(ordered) / n_bins).astype(np.intp)
    quantiles = np.unique(ordered[np.maximum(positions - 1, 0)])
    rows = np.searchsorted(ordered, quantiles, "right") - np.searchsorted(
        ordered, quantiles, "left"
    )
    atoms = quantiles[
        rows * n_bins >= len(ordered)
    ]  # values heavier than a bin: cut just below them too
    return _ordered_edges(
        np.concatenate([atoms, quantiles]), np.arange(len(atoms) + len(quantiles)) < len(atoms)
    )


def _cuts(ordered, edges, below):
    cuts = np.where(
        below, np.searchsorted(ordered, edges, "left"), np.searchsorted(ordered, edges, "right")
    )
    return np.concatenate([[0], cuts, [len(ordered)]])


def _named(values):
    """Names of the different values, in order, and which of them each row has."""
    codes, found = pd.factorize(values)
    names, inverse = np.unique(
        np.array([_name(value) for value in found.tolist()], dtype=str), return_inverse=True
    )
    return names.tolist(), inverse.reshape(-1)[codes]


def _name(value):
    """The name of a category; that of a number does not depend on how it is stored."""
    whole = isinstance(value, (float, np.floating)) and value.is_integer()
    return str(int(value)) if whole else str(value)


def _hashes(names):
    """32 bits of every name, the same in every process."""
    return np.array(
        [
            int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "little")
            for name in names
        ],
        dtype=np.uint32,
    )


@dataclass(frozen=True)
class CategoricalReference:
    """What is remembered of one column of categories.

    Bins are the categories that fill at least 2 % of the rows; the known rarer ones together; those
    never seen; and the missing. A value that stands in one row only counts as never seen, for the
    others had not seen it: the share of such rows is what new values are expected to be (Good
    1953).

    Attributes
    ----------
    categories : tuple of str
        Those with a bin of their own.
    known : uint32 ndarray
        Hashes of rarer ones, in order.
    limit : int
        Largest hash that is looked up; a rare category with a larger one counts as known.
    counts : ndarray
        Rows per category, then of rarer, of unseen and of missing ones.
    """

    categories: tuple
    known: np.ndarray
    limit: int
    counts: np.ndarray
    n_rows: int
    n_missing: int

    kind = "categorical"
    edges = np.empty(0)
    mean = std = np.nan

    @classmethod
    def learn(cls, values, missing):
        """The column, and the bin of every row."""
        names, which = _named(values[~missing])
        counts = np.bincount(which, minlength=len(names))
        listed = counts * _LISTED >= max(counts.sum(), 1)
        hashes = _hashes(names)
        looked_up = ~listed
        limit = 2**32 - 1
        if looked_up.sum() > _KNOWN:
            limit = int(np.partition(hashes[looked_up], _KNOWN - 1)[_KNOWN - 1])
            looked_up &= hashes <= limit
        rare = int(listed.sum())
        bins = np.where(looked_up & (counts == 1), rare + 1, rare)
        bins[listed] = np.arange(rare)
        codes = np.full(len(values), rare + 2)
        codes[~missing] = bins[which]
        listed_names = tuple(name for name, own in zip(names, listed) if own)
        tally = np.bincount(codes, minlength=rare + 3)
        return cls(
            listed_names, np.sort(hashes[looked_up]), limit, tally, len(values), int(missing.sum())
        ), codes

    @classmethod
    def nothing(cls, n_rows):
        """A column without any value."""
        return cls(
            (), np.empty(0, dtype=np.uint32), 2**32 - 1, np.array([0, 0, n_rows]), n_rows, n_rows
        )

    def encode(self, values, missing):
        """The bin of every value."""
        names, which = _named(values[~missing])
        place = {name: i for i, name in enumerate(self.categories)}
        rare = len(self.categories)
        hashes = _hashes(names)
        bins = np.where((hashes <= self.limit) & ~np.isin(hashes, self.known), rare + 1, rare)
        for i, name in enumerate(names):
            bins[i] = place.get(name, bins[i])
        codes = np.full(len(values), rare + 2)
        codes[~missing] = bins[which]
        return codes

    def bin_names(self):
        return [*self.categories, "other", "never seen", "missing"]

    @property
    def is_constant(self):
        return int((self.counts > 0).sum()) <= 1

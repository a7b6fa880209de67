"""Finds look-ahead in a few rows: many single times are destroyed in one run, far enough apart that
no honest memory joins them.

A value that uses the past only moves at the destroyed time and within the transformer's memory
after it. Memory is measured first. With ``d`` times from one destroyed time to the next, ``d`` runs
destroy every time once; a value that moves where no destroyed time lies within its memory is
suspected, and held to an experiment in which only later times are destroyed.
"""

from functools import partial

import numpy as np

from ._outputs import moved_cells
from ._perturbation import perturb

__all__ = ["sweep"]

# unique times of look-ahead that one run can tell from memory of the perturbed time before, a
# judgment
_AHEAD = 10
_CONFIRMATIONS = 3  # draws of other values for a suspected row, a judgment
# share of the rows beyond which memory counts as endless: fewer than 4 times could be perturbed
# at once
_MOST_MEMORY = 1 / 4


def sweep(experiment):
    """The first confirmed change, or None; ``experiment`` counts what was tried."""
    clean = experiment.attempt(lambda: experiment.apply_only(experiment.X))
    if clean is None:
        return None
    n, runs = len(experiment.unique), experiment.budget.sweeps
    rng = np.random.default_rng(experiment.seed)
    scan = None if clean.by_index else _Scan(experiment, clean)
    if scan is not None:
        for place in (0.3, 0.5, 0.7):
            change = scan.destroy(np.array([int(place * n)]))
            if change is not None:
                return change
    if (
        scan is None or scan.memory > _MOST_MEMORY * n
    ):  # rows of another number, or memory without end: one cut at a time
        places = rng.permutation(np.arange(int(0.3 * n), n - 1))[:runs]
        return experiment.after(experiment.unique[places])
    spacing = scan.memory + scan.reach + _AHEAD + 1
    for offset in rng.permutation(spacing)[:runs]:
        change = scan.destroy(np.arange(offset, n, spacing))
        if change is not None:
            return change
    return None


class _Scan:
    """Clean output, the time until which each row may know, and the memory seen so far (in unique
    times)."""

    def __init__(self, experiment, clean):
        self.experiment, self.clean = experiment, clean
        self.own = np.searchsorted(experiment.unique, clean.times)
        known = experiment.known_by(clean)
        self.known = np.searchsorted(experiment.unique, known, side="right") - 1
        bounded = (
            self.known[known <= experiment.unique[-1]] - self.own[known <= experiment.unique[-1]]
        )
        self.reach = int(bounded.max(initial=0))
        self.memory = 0

    def destroy(self, places):
        """Destroy the times at these places and look at every row."""
        experiment = self.experiment
        rng = np.random.default_rng([experiment.seed, int(places[0])])
        at = experiment.unique[places]
        dirty = experiment.attempt(
            lambda: experiment.apply_only(perturb(experiment.X, None, "noise", rng, at=at))
        )
        if dirty is None or len(dirty.times) != len(self.clean.times) or dirty.by_index:
            return None
        rows = np.arange(len(self.own))
        moved = np.flatnonzero(moved_cells(self.clean, dirty, rows, rows).any(axis=1))
        before = (
            np.searchsorted(places, self.known[moved], side="right") - 1
        )  # the last destroyed time the row may know
        lag = self.own[moved] - places[before]
        if len(places) == 1:
            self.memory = max(self.memory, int(lag[before >= 0].max(initial=0)))
        odd = moved[(before < 0) | (lag > self.memory)]
        return self._confirm(odd, at, lag[before >= 0]) if len(odd) else None

    def _confirm(self, odd, at, lags):
        """Whether the first suspected row moves when only times after it are destroyed; else memory
        is longer than was seen."""
        row = odd[0]
        cut = self.experiment.unique[self.known[row]]
        later = at[at > cut]
        for draw in range(_CONFIRMATIONS if len(later) else 0):
            kind = ("noise", "noise_down", "noise")[draw]
            chosen = None if draw == 2 else later
            change = self.experiment.attempt(
                partial(self.experiment.late_change, self.clean, cut, kind, chosen)
            )
            if change is not None:
                return change
        self.memory = max(self.memory, int(lags.max(initial=0)))
        return None

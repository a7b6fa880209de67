"""How many experiments an audit makes: fixed numbers, independent of any clock.

The numbers follow from what must be found. With ``sweeps`` of the ``d`` runs that would destroy
every time once, a peek on ``k`` rows stays unseen with probability ``(1 - sweeps / d) ** k``: at
the standard 48 runs and BarFeatures' d = 71, 7 rows (1 % of 700) are missed once in 2,000 cases.
Rotations and folds set the noise of the rotated labels, which ``check_shuffled_labels`` states.
"""

from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass

__all__ = ["BUDGETS", "Budget", "counted", "note"]


@dataclass(frozen=True)
class Budget:
    """Fixed numbers of experiments.

    Attributes
    ----------
    cuts : int
        Cuts at which a transformer is fitted anew and its future destroyed in four ways.
    sweeps : int
        Runs in which many single times are destroyed at once, or further cuts where memory has no
        end.
    rotations, folds : int
        Rotations of the labels, and folds scored for each.
    times : int
        Most unique times one fit of the whole estimator sees.
    epochs, trials : int
        Epochs a net and trials a search may use in one such fit.
    """

    cuts: int
    sweeps: int
    rotations: int
    folds: int
    times: int = 1200
    epochs: int = 2
    trials: int = 2

    def to_dict(self) -> dict:
        """The numbers by name."""
        return asdict(self)


# judgments of cost, each level about four times the one before; the standard one is derived above
BUDGETS = {
    "quick": Budget(cuts=2, sweeps=12, rotations=2, folds=2, times=800),
    "standard": Budget(cuts=4, sweeps=48, rotations=3, folds=3),
    "thorough": Budget(cuts=6, sweeps=200, rotations=5, folds=5, times=2400, epochs=5, trials=4),
}

_COUNTS: ContextVar[Counter | None] = ContextVar("counts", default=None)


@contextmanager
def counted():
    """Count the fits and experiments made inside; gives the counter."""
    counts = Counter(fits=0, experiments=0, refused=0)
    token = _COUNTS.set(counts)
    try:
        yield counts
    finally:
        _COUNTS.reset(token)


def note(what: str, number: int = 1) -> None:
    """So many more of something."""
    counts = _COUNTS.get()
    if counts is not None:
        counts[what] += number

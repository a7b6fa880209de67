"""Recalibration of a pool by monotone curves, cross-fitted over blocks of time."""

from typing import NamedTuple

import numpy as np
from sklearn.isotonic import IsotonicRegression

from ._weights import pool_weights

__all__ = ["HeldBack", "apply_curves", "learn_curves"]


class HeldBack(NamedTuple):
    """What was said of rows that nobody had seen."""

    proba: np.ndarray  # (n, n_classes), or of several models (n, n_models, n_classes)
    came: np.ndarray  # (n,), codes of the classes
    weight: np.ndarray  # (n,)
    n_rows: float  # independent rows that they are worth


def learn_curves(blocks: list[HeldBack]) -> tuple[list, float]:
    """A monotone curve per class, and how far it is to be followed.

    The curves are isotonic regressions of "this class came" on its probability (Zadrozny & Elkan
    2002). Their share in the mixture with the probabilities as they are is the one with the least
    log loss where each block is judged by curves of the others, moved towards 0 by what chance
    gains: the weight of a pool of two (:func:`pool_weights`) whose prior is to change nothing.

    Parameters
    ----------
    blocks : list of HeldBack
        Two or more, each with a row of positive weight.

    Returns
    -------
    list of (ndarray, ndarray)
        Probabilities and what they become, both ascending, by class.
    float
        Share of the curves, in [0, 1].

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> def block():
    ...     p = rng.choice([0.3, 0.7], 400)        # said; twice as far from a half is true
    ...     came = (rng.random(400) < 2 * p - 0.5).astype(int)
    ...     return HeldBack(np.column_stack([1 - p, p]), came, np.ones(400), 400.0)
    >>> curves, share = learn_curves([block(), block()])
    >>> apply_curves(np.array([[0.7, 0.3]]), curves, share).round(1).tolist(), share > 0.9
    ([[0.9, 0.1]], True)
    """
    said = []
    for place, block in enumerate(blocks):
        others = _curves([one for other, one in enumerate(blocks) if other != place])
        rows = np.arange(len(block.came))
        both = apply_curves(block.proba, others, 1.0), block.proba
        said.append(np.column_stack([proba[rows, block.came] for proba in both]))
    weight, n_rows = np.concatenate([one.weight for one in blocks]), sum(b.n_rows for b in blocks)
    share = pool_weights(np.concatenate(said), weight, n_rows)[0]
    return _curves(blocks), float(share)


def apply_curves(proba: np.ndarray, curves: list, share: float) -> np.ndarray:
    """Probabilities moved by ``share`` of the way to what the curves say, rows summing to 1."""
    if share == 0:
        return proba
    moved = np.column_stack([np.interp(p, *curve) for p, curve in zip(proba.T, curves)])
    return (1 - share) * proba + share * moved / moved.sum(axis=1, keepdims=True)


def _curves(blocks):
    """Curves of all blocks together; one row of each class more (Laplace) keeps them above 0."""
    proba, came, weight, sizes = (np.concatenate([np.atleast_1d(part) for part in parts])
                                  for parts in zip(*blocks))  # fmt: skip
    least = 1 / (sizes.sum() + 1)
    curves = []
    for code, said in enumerate(proba.T):
        fit = IsotonicRegression().fit(said, came == code, sample_weight=weight)
        curves.append((fit.X_thresholds_, fit.y_thresholds_ + least))
    return curves

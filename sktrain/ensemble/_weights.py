"""Weights of a linear opinion pool, from predictions of held-back rows."""

import numpy as np

__all__ = ["pool_weights"]

_EXACT = 1e-3  # nats, over all rows, by which the likelihood may still fall short of its maximum
# a judgment: beyond it the rows cannot tell the weights apart, and any are as likely
_MOST_STEPS = 20_000
_CHANCE = 0.25
"""Nats that the rows gain by chance where there is nothing to gain: half the mean of the likelihood
ratio, which is 0 or, as often, chi-squared with one degree of freedom, for the prior lies at the
edge of the simplex (Chernoff 1954)."""


def pool_weights(said: np.ndarray, weight: np.ndarray, n_rows: float) -> np.ndarray:
    """Weights of the mixture of members, the last of which is the prior.

    The log loss of ``said @ w`` is convex in w. Its minimum on the simplex is found by
    expectation-maximisation (Dempster, Laird & Rubin 1977), each step of which multiplies a weight
    by the mean of the member's share in what the pool said. It is reached when no member's mean
    share exceeds 1: the largest one bounds what is still to be gained (Lindsay 1983).

    The minimum is then moved towards the prior by D / (G + D): G is what it gains on the prior in
    nats over all rows, D a quarter of a nat, which chance gains. Where the rows cannot tell the
    members from the prior, the prior has the word.

    Parameters
    ----------
    said : ndarray of shape (n, n_members)
        Probability that each member gave to the class that came; the last column is the prior's
        and is positive.
    weight : ndarray of shape (n,)
        Of the rows.
    n_rows : float
        Independent rows that they are worth.

    Returns
    -------
    ndarray of shape (n_members,)
        Not negative, summing to 1.

    Examples
    --------
    >>> said = np.array([[0.9, 0.5]] * 90 + [[0.1, 0.5]] * 10)
    >>> pool_weights(said, np.ones(100), 100.0).round(2).tolist()
    [0.99, 0.01]
    """
    weight, n_members = weight / weight.sum(), said.shape[1]
    best = np.full(n_members, 1 / n_members)
    for _ in range(_MOST_STEPS):
        share = weight @ (said / (said @ best)[:, None])
        if n_rows * (share.max() - 1) < _EXACT:
            break
        best = best * share
    gain = n_rows * max(float(weight @ np.log(said @ best / said[:, -1])), 0.0)
    prior = np.eye(n_members)[-1]
    weights = prior + gain / (gain + _CHANCE) * (best - prior)
    return weights / weights.sum()

"""Whether the correlations of the columns changed, pair by pair: of normal scores of ranks, so
marginals play no part.

Of a reference, a correlation and the dependence of its influence are kept per pair.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from ._null import Moments, mean_p_values, moments

__all__ = ["CORRELATED", "WANDERING", "Correlation", "Pairs", "compare_correlations"]

# columns whose correlations are compared: 2,016 pairs, a judgment; beyond, 64 evenly spaced ones
CORRELATED = 64
_PAIRS_AT_ONCE = 64  # a judgment: small in memory
# Columns worth fewer independent rows than this behave like random walks: they have no correlation.
WANDERING = 8.0


@dataclass(frozen=True)
class Correlation:
    """How alike two correlation matrices are.

    Attributes
    ----------
    similarity : float
        1 - (largest change of any pair) / 2: 1 for equal matrices, 0 when a perfect correlation
        turned round.
    p_value : float
        Of the most surprising pair, times the number of pairs.
    pair : tuple of str
        The pair that changed most.
    reference, new : float
        Its correlation before and now.
    """

    similarity: float = np.nan
    p_value: float = np.nan
    pair: tuple = ()
    reference: float = np.nan
    new: float = np.nan


def _scores(stretches, positions):
    """Normal scores of the ranks within one sample, standardised; None for a column that does not
    vary."""
    scores = []
    for position in positions:
        values = np.concatenate([part.values[position] for part in stretches])
        absent = np.isnan(values)
        score = np.zeros(len(values))
        if not absent.all():
            score[~absent] = ndtri(rankdata(values[~absent]) / (1 + (~absent).sum()))
            score -= score.mean()
            score[absent] = 0.0
        std = score.std() if len(score) else 0.0
        scores.append(score / std if std > 1e-12 else None)
    return scores


def _pair_moments(stretches, scores, pairs, r, spans):
    """Of the influence of every time on the correlations ``r`` of some pairs of score columns."""
    sizes = np.cumsum([len(part.values[0]) for part in stretches])[:-1]
    n_times = sum(part.n_times for part in stretches)
    parts = []
    for start in range(0, len(r), _PAIRS_AT_ONCE):
        chunk = slice(start, start + _PAIRS_AT_ONCE)
        one, other = scores[:, pairs[0][chunk]], scores[:, pairs[1][chunk]]
        influence = (one * other - 0.5 * r[chunk] * (one * one + other * other)) * (
            n_times / len(scores)
        )
        blocks = [part.by_time(piece) for part, piece in zip(stretches, np.split(influence, sizes))]
        parts.append(moments(blocks, n_times, spans).compact())
    return Moments.join(parts)


@dataclass(frozen=True)
class Pairs:
    """What is remembered of the correlations of a reference.

    Attributes
    ----------
    columns : int ndarray (c,)
        Positions of the columns compared.
    correlations : float32 ndarray (c * (c - 1) / 2,)
        Row by row of the upper triangle.
    moments : Moments or None
        Of their influences; None with fewer than two columns.
    """

    columns: np.ndarray
    correlations: np.ndarray
    moments: object

    @classmethod
    def learn(cls, stretches, positions, spans):
        """Of numeric columns; those that never vary are left out."""
        if len(positions) > CORRELATED:
            positions = [
                positions[i] for i in np.linspace(0, len(positions) - 1, CORRELATED).astype(int)
            ]
        scores = _scores(stretches, positions)
        alive = [i for i, score in enumerate(scores) if score is not None]
        columns = np.array([positions[i] for i in alive], dtype=np.int64)
        if len(alive) < 2:
            return cls(columns, np.empty(0, dtype=np.float32), None)
        matrix = np.column_stack([scores[i] for i in alive])
        pairs, r = _correlations(matrix)
        return cls(columns, r.astype(np.float32), _pair_moments(stretches, matrix, pairs, r, spans))


def _correlations(scores):
    pairs = np.triu_indices(scores.shape[1], 1)
    return pairs, (scores.T @ scores / len(scores))[pairs]


def compare_correlations(reference, new, effective, *, judged):
    """Compare the correlations of numeric columns, pair by pair.

    Parameters
    ----------
    reference : Reference
    new : Series
    effective : ndarray
        How many independent rows each column of the new sample is worth.
    judged : bool
        Whether to ask for a p-value.
    """
    known, n_times = reference.pairs, sum(part.n_times for part in new.stretches)
    worth = np.nan_to_num(effective, nan=np.inf) * (1 + reference.components.n / max(n_times, 1))
    scores = _scores(new.stretches, known.columns)
    alive = np.array(
        [
            score is not None and worth[place] >= WANDERING
            for score, place in zip(scores, known.columns)
        ],
        dtype=bool,
    )
    if alive.sum() < 2:
        return Correlation()
    rows, columns = np.triu_indices(len(alive), 1)
    both = alive[rows] & alive[columns]
    matrix = np.column_stack([score for score, used in zip(scores, alive) if used])
    pairs, after = _correlations(matrix)
    before = known.correlations[both].astype(float)
    worst = int(np.argmax(np.abs(after - before)))
    p_value = np.nan
    if judged:
        recent = _pair_moments(new.stretches, matrix, pairs, after, new.spans)
        p_values, _ = mean_p_values(after - before, known.moments.at(both), recent)
        p_value = min(float(p_values.min()) * len(p_values), 1.0)
    names = tuple(reference.names[known.columns[side[both][worst]]] for side in (rows, columns))
    similarity = float(1 - abs(after[worst] - before[worst]) / 2)
    return Correlation(similarity, p_value, names, float(before[worst]), float(after[worst]))

"""Sets a new sample against what was remembered of the reference: effects on all rows, evidence in the light of their dependence.

What enters is a :class:`Reference` and a :class:`Sample`; what leaves is a table with one row per column, and a comparison of
their correlations. Panels are judged time by time: the rows of one time are summed before anything is called surprising, so
symbols that move together are not counted as independent.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from ._null import Series, mean_p_values, share_p_values
from ._statistics import (
    CategoricalReference,
    NumericReference,
    mean_and_std,
    middle_ranks,
    population_stability_index,
    smooth_components,
    smoothed_shares,
    sorted_values,
    thinned,
)

__all__ = ["Correlation", "Reference", "compare_columns", "compare_correlations"]

_CORRELATED = 64  # columns whose correlations are compared; beyond, 64 evenly spaced ones
_PAIRS_AT_ONCE = 64
_CAUSES = ("location", "location", "spread", "asymmetry", "tails")
_SHARE = np.array([0.1, 0.6, 0.15, 0.15])  # of the distribution's error, per component; the mean has a test of its own
_WANDERING = 8.0  # columns worth fewer independent rows than this behave like random walks, which have no correlation


@dataclass(frozen=True)
class Stretch:
    """Consecutive rows in order of time: values per column, and where each time starts (None: every row)."""

    values: list
    heads: np.ndarray | None

    @property
    def n_times(self):
        return len(self.values[0]) if self.heads is None else len(self.heads)

    def by_time(self, deviations):
        return deviations if self.heads is None else np.add.reduceat(deviations, self.heads, axis=0)


@dataclass(frozen=True)
class Reference:
    """What a detector remembers: a summary per column, and the stretches of rows that show their dependence."""

    names: list
    columns: list
    stretches: list
    n_rows: int
    n_times: int
    start: object
    end: object

    @classmethod
    def learn(cls, sample, n_bins):
        columns = [
            NumericReference.learn(values, n_bins) if missing is None else CategoricalReference.learn(values, missing)
            for values, missing in zip(sample.columns, sample.missing)
        ]
        kept = keep(sample, columns)
        return cls(sample.names, columns, kept, sample.n_rows, sample.n_times, sample.start, sample.end)


def keep(sample, columns):
    """Copies of the rows from which dependence is learned; categories as the codes of their bins."""
    stretches = []
    for stretch in sample.stretches():
        rows = sample.rows(stretch)
        values = [
            np.array(values[rows], dtype=np.float64) if absent is None else column.encode(values[rows], absent[rows])
            for values, absent, column in zip(sample.columns, sample.missing, columns)
        ]
        stretches.append(Stretch(values, sample.heads(stretch)))
    return stretches


def _series(stretches, make, n_times):
    """Centred series per time; ``make`` turns one stretch into deviations per row, already scaled to one time."""
    return Series([part.by_time(make(part)) for part in stretches], n_times)


@dataclass(frozen=True)
class _Numbers:
    """One numeric column of one sample: its ordered values (or quantiles of them), and how many rows it stands for."""

    ordered: np.ndarray
    n_rows: int
    n_missing: int
    mean: float
    n_times: int
    stretches: list

    @property
    def n_present(self):
        return self.n_rows - self.n_missing


def _rank_function(first, second):
    """Middle ranks in both samples pooled, each with the weight of its rows."""
    total = first.n_present + second.n_present

    def ranks(values):
        return (first.n_present * middle_ranks(first.ordered, values) + second.n_present * middle_ranks(second.ordered, values)) / total

    return ranks


def _components(sample, column, ranks):
    """Means of the five components of a sample, and its centred series."""
    means = np.append(sample.mean, smooth_components(ranks(sample.ordered)).mean(axis=0))
    per_time = sample.n_present / sample.n_times

    def deviations(part):
        values = part.values[column]
        absent = np.isnan(values)
        own = np.column_stack([values, smooth_components(ranks(values))]) - means
        own[absent] = 0.0
        return own / per_time

    return means, _series(sample.stretches, deviations, sample.n_times)


def _missing_p_value(first, second, column):
    """Whether values are missing more or less often than before."""
    if not first.n_missing and not second.n_missing:
        return np.nan
    shares = [sample.n_missing / sample.n_rows for sample in (first, second)]
    series = []
    for sample, share in zip((first, second), shares):
        per_time = sample.n_rows / sample.n_times

        def deviations(part, share=share, per_time=per_time):
            return (np.isnan(part.values[column])[:, None] - share) / per_time

        series.append(_series(sample.stretches, deviations, sample.n_times))
    counts = (np.array([count]) for count in (first.n_missing, first.n_rows, second.n_missing, second.n_rows))
    return float(share_p_values(*counts, *series)[0][0])


def _numeric_evidence(first, second, column):
    """p-values of the mean and of the distribution, the strongest cause, and the effective number of rows."""
    p_missing = _missing_p_value(first, second, column)
    if not first.n_present or not second.n_present:
        return {"p_mean": np.nan, "p_distribution": p_missing, "cause": "missing", "n_effective": np.nan}
    ranks = _rank_function(first, second)
    before, old = _components(first, column, ranks)
    after, recent = _components(second, column, ranks)
    p_values, effective = mean_p_values(after - before, old, recent, location=np.array([True, True, False, False, False]))
    p_distribution = min((p_values[1:] / _SHARE).min(), 1.0)
    cause = _CAUSES[int(np.argmin(p_values))]
    if not np.isnan(p_missing):
        cause = "missing" if p_missing < p_values.min() else cause
        p_distribution = min(2 * p_distribution, 2 * p_missing, 1.0)
    return {"p_mean": p_values[0], "p_distribution": p_distribution, "cause": cause, "n_effective": effective[0]}


def _distances(reference, ordered):
    """Kolmogorov-Smirnov distance, and Wasserstein's in reference standard deviations."""
    if not len(reference.ordered) or not len(ordered):
        return np.nan, np.nan
    points = np.sort(np.concatenate([reference.ordered, ordered]))
    old = np.searchsorted(reference.ordered, points, "right") / len(reference.ordered)
    gap = np.abs(old - np.searchsorted(ordered, points, "right") / len(ordered))
    area = float((gap[:-1] * np.diff(points)).sum())
    return float(gap.max()), _in_units(area, reference.std)


def _in_units(value, std):
    """``value`` in reference standard deviations; any change of a constant is infinitely many."""
    if std > 0:
        return value / std
    return np.nan if np.isnan(value) else (0.0 if value == 0 else np.inf)


def _compare_numeric(old, reference, values, kept, position, n_times, judged):
    ordered = sorted_values(values)
    missing = len(values) - len(ordered)
    mean, std = mean_and_std(ordered) if len(ordered) else (np.nan, np.nan)
    ks, wasserstein = _distances(old, ordered)
    counts = old.bin_counts(ordered, missing)
    row = {
        "mean_shift": _in_units(abs(mean - old.mean), old.std),
        "spread": std / old.std if old.std > 0 else (np.nan if np.isnan(std) else (1.0 if std == 0 else np.inf)),
        "ks": ks,
        "wasserstein": wasserstein,
        "mean_reference": old.mean,
        "mean_new": mean,
        "missing_new": missing / max(len(values), 1),
    }
    if judged:
        first = _Numbers(old.ordered, old.n_rows, old.n_missing, old.mean, reference.n_times, reference.stretches)
        second = _Numbers(thinned(ordered), len(values), missing, mean, n_times, kept)
        row.update(_numeric_evidence(first, second, position))
    return row, counts


def _categorical_evidence(old, counts, reference, kept, position, n_times):
    seen = np.flatnonzero((old.counts > 0) | (counts > 0))
    sizes, series = (old.counts.sum(), counts.sum()), []
    for tally, stretches, times in ((old.counts, reference.stretches, reference.n_times), (counts, kept, n_times)):
        share, per_time = tally[seen] / tally.sum(), tally.sum() / times

        def deviations(part, share=share, per_time=per_time):
            return ((part.values[position][:, None] == seen) - share) / per_time

        series.append(_series(stretches, deviations, times))
    p_values, effective = share_p_values(old.counts[seen], sizes[0], counts[seen], sizes[1], *series)
    p_value = min(p_values.min() * max(len(seen) - 1, 1), 1.0)
    name = old.bin_names()[seen[int(np.argmin(p_values))]]
    return {"p_distribution": p_value, "cause": f"share of {name!r}", "n_effective": effective.min()}


def _compare_categorical(old, reference, values, missing, kept, position, n_times, judged):
    codes = old.encode(values, missing)
    counts = np.bincount(codes, minlength=len(old.counts))
    row = {"missing_new": float(missing.mean()) if len(values) else 0.0}
    if judged:
        row.update(_categorical_evidence(old, counts, reference, kept, position, n_times))
    return row, counts


_COLUMNS = ("psi", "mean_shift", "spread", "ks", "wasserstein", "p_mean", "p_distribution", "n_effective", "mean_reference", "mean_new")


def compare_columns(reference, sample, kept, *, judged):
    """One row per column: effects, p-values where ``judged``, and the counts per bin.

    Returns
    -------
    table : DataFrame indexed by column
    histograms : dict of dict
        Per column ``bins`` (names), ``edges`` (inner, numeric), ``reference`` and ``new`` (smoothed shares per bin).
    """
    rows, histograms = [], {}
    for position, (name, old, values, missing) in enumerate(zip(sample.names, reference.columns, sample.columns, sample.missing)):
        if missing is None:
            row, counts = _compare_numeric(old, reference, values, kept, position, sample.n_times, judged)
        else:
            row, counts = _compare_categorical(old, reference, values, missing, kept, position, sample.n_times, judged)
        used = (old.counts + counts) > 0
        shares = smoothed_shares(old.counts[used]), smoothed_shares(counts[used])
        row["psi"] = population_stability_index(*shares) if sample.n_rows else np.nan
        row["kind"] = "constant" if old.is_constant else old.kind
        row["missing_reference"] = old.n_missing / old.n_rows
        bins = [bin_name for bin_name, there in zip(old.bin_names(), used) if there]
        histograms[name] = {"bins": bins, "edges": old.edges, "reference": shares[0], "new": shares[1]}
        rows.append(row)
    table = pd.DataFrame(rows, index=pd.Index(sample.names, name="feature"))
    for column in _COLUMNS:
        table[column] = table[column].astype(float) if column in table else np.nan
    if "cause" not in table:
        table["cause"] = None
    return table, histograms


@dataclass(frozen=True)
class Correlation:
    """How alike two correlation matrices are.

    Attributes
    ----------
    similarity : float
        1 - (largest change of any pair) / 2: 1 for equal matrices, 0 when a perfect correlation turned round.
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
    """Normal scores of the ranks within one sample, standardised; None for a column that does not vary."""
    scores = []
    for position in positions:
        values = np.concatenate([part.values[position] for part in stretches])
        absent = np.isnan(values)
        score = np.zeros(len(values))
        if not absent.all():
            score[~absent] = ndtri(rankdata(values[~absent]) / (1 + (~absent).sum()))
            score -= score.mean()
            score[absent] = 0.0
        std = score.std()
        scores.append(score / std if std > 1e-12 else None)
    return scores


def _pair_series(stretches, one, other, r):
    """The influence of every time on the correlations of some pairs."""
    sizes = np.cumsum([len(part.values[0]) for part in stretches])[:-1]
    n_times = sum(part.n_times for part in stretches)
    per_time = len(one) / n_times
    influence = (one * other - 0.5 * r * (one * one + other * other)) / per_time
    return Series([part.by_time(piece) for part, piece in zip(stretches, np.split(influence, sizes))], n_times)


def compare_correlations(reference, kept, effective, *, judged):
    """Compare the correlations (of normal scores of ranks, so marginals play no part) of numeric columns, pair by pair.

    ``effective`` says how many independent rows each column of the new sample is worth.
    """
    n_new = sum(part.n_times for part in kept)
    wanders = np.nan_to_num(effective, nan=np.inf) * (1 + sum(part.n_times for part in reference.stretches) / max(n_new, 1)) < _WANDERING
    numeric = [i for i, column in enumerate(reference.columns) if column.kind == "numeric" and not wanders[i]]
    if len(numeric) > _CORRELATED:
        numeric = [numeric[i] for i in np.linspace(0, len(numeric) - 1, _CORRELATED).astype(int)]
    old, new = _scores(reference.stretches, numeric), _scores(kept, numeric)
    alive = [i for i in range(len(numeric)) if old[i] is not None and new[i] is not None]
    if len(alive) < 2:
        return Correlation()
    old, new = np.column_stack([old[i] for i in alive]), np.column_stack([new[i] for i in alive])
    matrices = [scores.T @ scores / len(scores) for scores in (old, new)]
    rows, columns = np.triu_indices(len(alive), 1)
    before, after = matrices[0][rows, columns], matrices[1][rows, columns]
    worst = int(np.argmax(np.abs(after - before)))
    pair = tuple(reference.names[numeric[alive[i]]] for i in (rows[worst], columns[worst]))
    p_value = _least_p_value(reference.stretches, kept, old, new, before, after, rows, columns) if judged else np.nan
    similarity = float(1 - abs(after[worst] - before[worst]) / 2)
    return Correlation(similarity, p_value, pair, float(before[worst]), float(after[worst]))


def _least_p_value(old_stretches, new_stretches, old, new, before, after, rows, columns):
    least = 1.0
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        first = _pair_series(old_stretches, old[:, rows[part]], old[:, columns[part]], before[part])
        second = _pair_series(new_stretches, new[:, rows[part]], new[:, columns[part]], after[part])
        p_values, _ = mean_p_values(after[part] - before[part], first, second)
        least = min(least, float(p_values.min()))
    return min(least * len(rows), 1.0)

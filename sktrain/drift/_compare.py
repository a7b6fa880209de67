"""Sets a new sample against what was remembered of the reference: effects on all rows, evidence in
the light of their dependence.

The result is a table with one row per column, and a comparison of their correlations.
Panels are judged time by time: the rows of one time
are summed before anything is called surprising, so symbols that move together are not counted as
independent.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ._correlations import Correlation, compare_correlations
from ._null import horizons, mean_p_values, share_p_values
from ._reference import Series, components_of, indicators_of, keep
from ._sketch import NumericReference
from ._statistics import (
    distances,
    mean_and_std,
    middle_ranks,
    population_stability_index,
    smooth_components,
    smoothed_shares,
    sorted_values,
    thinned,
)

__all__ = ["Correlation", "compare_columns", "compare_correlations", "keep"]

_CAUSES = ("location", "location", "spread", "asymmetry", "tails")
# of the distribution's error per component, a judgment: spread is what moves; the mean has a test
# of its own
_SHARE = np.array([0.1, 0.6, 0.15, 0.15])


def gather(reference, sample, columns):
    """The :class:`Series` of a sample; ``columns`` are the reference's, as the new storage would
    have held them."""
    stretches = keep(sample, columns)
    n = reference.components.n + sum(part.n_times for part in stretches)
    return Series(stretches, sample.n_times, horizons(n))


@dataclass(frozen=True)
class _Column:
    """One numeric column of the new rows."""

    ordered: np.ndarray
    n_rows: int
    mean: float
    std: float

    @property
    def n_present(self):
        return len(self.ordered)

    @property
    def n_missing(self):
        return self.n_rows - len(self.ordered)


def _rank_function(old, column):
    """Middle ranks in both samples pooled, each with the weight of its rows."""
    total, ordered = old.n_present + column.n_present, thinned(column.ordered)

    def ranks(values):
        pooled = (
            old.n_present * old.middle_ranks(values)
            + column.n_present * middle_ranks(ordered, values)
        ) / total
        return np.clip(
            pooled, 0.5 / total, 1 - 0.5 / total
        )  # the extremes of a long sample are not among its quantiles

    return ranks


def _missing_p_value(old, column, reference, new, position):
    """Whether values are missing more or less often than before."""
    if not old.n_missing and not column.n_missing:
        return np.nan
    was, all_old, now, all_now = (
        np.array([count]) for count in (old.n_missing, old.n_rows, column.n_missing, column.n_rows)
    )
    share, per_time = np.array([column.n_missing / column.n_rows]), column.n_rows / new.n_times
    recent = new.moments(
        lambda part: indicators_of(part, np.isnan(part.values[position])[:, None], share, per_time)
    )
    absence = reference.absence(position)
    return float(share_p_values(was, all_old, now, all_now, absence, recent)[0][0])


def _remembered(old, ranks, dependence):
    """Means of the reference's components under the pooled ranks, and their moments.

    What was remembered are the moments under the reference's own ranks. Where new rows have moved
    away, the pooled ranks of the old ones spread less or more: each component's moments follow its
    variance.
    """
    places, weights = old.places()
    pooled, own = smooth_components(ranks(places)), smooth_components(old.middle_ranks(places))
    means = weights @ pooled
    spread = weights @ (pooled - means) ** 2
    before = weights @ (own - weights @ own) ** 2
    factors = np.divide(spread, before, out=np.ones_like(spread), where=before > 0)
    return np.append(old.mean, means), dependence.scaled(np.append(1.0, factors))


def _numeric_evidence(old, column, reference, new, position):
    """p-values of the mean and of the distribution, the strongest cause, and the effective number
    of rows."""
    p_missing = _missing_p_value(old, column, reference, new, position)
    if not old.n_present or not column.n_present:
        return {
            "p_mean": np.nan,
            "p_distribution": p_missing,
            "cause": "missing",
            "n_effective": np.nan,
        }
    ranks = _rank_function(old, column)
    before, dependence = _remembered(old, ranks, reference.dependence(position))
    after = np.append(column.mean, smooth_components(ranks(thinned(column.ordered))).mean(axis=0))
    per_time = column.n_present / new.n_times
    recent = new.moments(
        lambda part: components_of(part, part.values[position], ranks, after, per_time)
    )
    location = np.array([True, True, False, False, False])
    p_values, effective = mean_p_values(after - before, dependence, recent, location=location)
    p_distribution = min((p_values[1:] / _SHARE).min(), 1.0)
    cause = _CAUSES[int(np.argmin(p_values))]
    if not np.isnan(p_missing):
        cause = "missing" if p_missing < p_values.min() else cause
        p_distribution = min(2 * p_distribution, 2 * p_missing, 1.0)
    return {
        "p_mean": p_values[0],
        "p_distribution": p_distribution,
        "cause": cause,
        "n_effective": effective[0],
    }


def _in_units(value, std):
    """``value`` in reference standard deviations; any change of a constant is infinitely many."""
    if std > 0:
        return value / std
    return np.nan if np.isnan(value) else (0.0 if value == 0 else np.inf)


def _compare_numeric(old, values, reference, new, position, *, judged):
    ordered = old.snap_ordered(sorted_values(values))
    column = _Column(
        ordered, len(values), *(mean_and_std(ordered) if len(ordered) else (np.nan, np.nan))
    )
    ks, wasserstein = distances(old, ordered)
    row = {
        "mean_shift": _in_units(abs(column.mean - old.mean), old.std),
        "spread": column.std / old.std
        if old.std > 0
        else (np.nan if np.isnan(column.std) else (1.0 if column.std == 0 else np.inf)),
        "ks": ks,
        "wasserstein": _in_units(wasserstein, old.std),
        "mean_reference": old.mean,
        "mean_new": column.mean,
        "missing_new": column.n_missing / max(len(values), 1),
    }
    if judged:
        row.update(_numeric_evidence(old, column, reference, new, position))
    return row, old.bin_counts(ordered, column.n_missing)


def _categorical_evidence(old, counts, reference, new, position):
    """p-values of the bins; rarer categories together follow from the others, and from the choice
    of which are rare."""
    seen = np.flatnonzero((old.counts > 0) | (counts > 0))
    tested = seen[seen != len(old.categories)] if len(seen) > 1 else seen
    share, per_time = counts[tested] / counts.sum(), counts.sum() / new.n_times
    recent = new.moments(
        lambda part: indicators_of(part, part.values[position][:, None] == tested, share, per_time)
    )
    p_values, effective = share_p_values(
        old.counts[tested],
        old.counts.sum(),
        counts[tested],
        counts.sum(),
        reference.dependence(position, tested),
        recent,
    )
    p_value = min(p_values.min() * max(len(seen) - 1, 1), 1.0)
    name = old.bin_names()[tested[int(np.argmin(p_values))]]
    return {
        "p_distribution": p_value,
        "cause": f"share of {name!r}",
        "n_effective": effective.min(),
    }


def _compare_categorical(old, values, missing, reference, new, position, *, judged):
    counts = np.bincount(old.encode(values, missing), minlength=len(old.counts))
    row = {"missing_new": float(missing.mean()) if len(values) else 0.0}
    if judged:
        row.update(_categorical_evidence(old, counts, reference, new, position))
    return row, counts


_COLUMNS = (
    "psi",
    "mean_shift",
    "spread",
    "ks",
    "wasserstein",
    "p_mean",
    "p_distribution",
    "n_effective",
    "mean_reference",
    "mean_new",
)


def compare_columns(reference, sample, columns, new, *, judged):
    """One row per column: effects, p-values where ``judged``, and the counts per bin.

    Returns
    -------
    table : DataFrame indexed by column
    histograms : dict of dict
        Per column ``bins`` (names), ``edges`` (inner, numeric), ``reference`` and ``new`` (smoothed
        shares per bin).
    """
    rows, histograms = [], {}
    for position, (name, old, values, missing) in enumerate(
        zip(sample.names, columns, sample.columns, sample.missing)
    ):
        if isinstance(old, NumericReference):
            row, counts = _compare_numeric(old, values, reference, new, position, judged=judged)
        else:
            row, counts = _compare_categorical(
                old, values, missing, reference, new, position, judged=judged
            )
        used = (old.counts + counts) > 0
        shares = smoothed_shares(old.counts[used]), smoothed_shares(counts[used])
        row["psi"] = population_stability_index(*shares) if sample.n_rows else np.nan
        row["kind"] = "constant" if old.is_constant else old.kind
        row["missing_reference"] = old.n_missing / old.n_rows
        bins = [bin_name for bin_name, there in zip(old.bin_names(), used) if there]
        histograms[name] = {
            "bins": bins,
            "edges": old.edges,
            "reference": shares[0],
            "new": shares[1],
        }
        rows.append(row)
    table = pd.DataFrame(rows, index=pd.Index(sample.names, name="feature"))
    for column in _COLUMNS:
        table[column] = table[column].astype(float) if column in table else np.nan
    if "cause" not in table:
        table["cause"] = None
    return table, histograms

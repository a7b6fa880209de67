"""Columns whose statistics were learned from all rows: no honest column shows them so exactly.

A mean of exactly 0 over training *and* test rows, ranks evenly spaced, bins equally filled.
"""

import numpy as np
from scipy import stats

from ._report import Finding

__all__ = ["CHANCE", "FEWEST_ROWS", "all_rows_statistics"]

CHANCE = 1e-9  # of a figure without a leak: one false alarm in a million audits of 1,000 columns
FEWEST_ROWS = 40  # below it ranks and moments of all rows are met by chance: a judgment
_EXACT = 1e-7  # relative: half the digits of float64, so that sums in another order are equal
_BOUNDS = ("minimum and maximum of a fitted range", "largest absolute value 1")


def _too_even(share):
    """Whether shares in [0, 1] are spread far more evenly than chance allows (the lower tail of
    Kolmogorov's statistic)."""
    n = len(share)
    ordered = np.sort(share)
    gap = max((np.arange(1, n + 1) / n - ordered).max(), (ordered - np.arange(n) / n).max())
    return bool(stats.kstwobign.cdf(np.sqrt(n) * gap) < CHANCE)


def _round(v, tolerance):
    """Which round statistics a sample has: what a scaler fitted on exactly these rows leaves
    behind."""
    found = []
    mean, spread = v.mean(), v.std()
    size = max(spread, 1e-12)
    if abs(mean) < tolerance * size and min(abs(spread - 1), abs(v.std(ddof=1) - 1)) < tolerance:
        found.append("mean 0 and standard deviation 1")
    low, high = v.min(), v.max()
    lone = (v == low).sum() == 1 and (v == high).sum() == 1
    if lone and abs(high - 1) < tolerance and (abs(low) < tolerance or abs(low + 1) < tolerance):
        found.append(_BOUNDS[0])
    elif (
        (np.abs(v) == np.abs(v).max()).sum() == 1
        and abs(np.abs(v).max() - 1) < tolerance
        and len(np.unique(v)) > 0.5 * len(v)  # a judgment: codes and signs repeat
    ):
        found.append(_BOUNDS[1])
    quarter = np.percentile(v, [25, 50, 75])
    if abs(quarter[1]) < tolerance * size and abs(quarter[2] - quarter[0] - 1) < tolerance:
        found.append("median 0 and interquartile range 1")
    if abs(np.linalg.norm(v) - 1) < tolerance:
        found.append("length 1")
    if (
        len(v) > 200  # a judgment: Kolmogorov's law is that of many rows
        and not _monotone(v)
        and high > low
        and (_too_even((v - low) / (high - low)) or _too_even(stats.norm.cdf(v)))
    ):
        found.append("evenly spaced ranks")
    if abs(mean) < tolerance * size and abs(np.corrcoef(v, np.arange(len(v)))[0, 1]) < tolerance:
        found.append("no trend at all")
    return found


def _monotone(v):
    return bool((np.diff(v) >= 0).all() or (np.diff(v) <= 0).all())


def _filled(v):
    """The value that stands for missing ones, when it is the mean or the median of all others."""
    values, counts = np.unique(v, return_counts=True)
    # judgments: a column of many values, of which one repeats three times or more
    if len(values) < 0.2 * len(v) or counts.max() < 3 or (counts > 2).sum() != 1:
        return None
    fill = values[counts.argmax()]
    others = v[v != fill]
    for name, figure in (("mean", others.mean()), ("median", np.median(others))):
        if abs(fill - figure) < 1e-9 * max(others.std(), 1e-12):
            return name
    return None


def _equal_bins(v):
    counts = np.unique(v, return_counts=True)[1]
    # a judgment: quantile bins are 3 to 50, and of fewer than 20 rows they are equal by chance
    return (
        3 <= len(counts) <= 50 and len(v) >= 20 * len(counts) and counts.max() - counts.min() <= 1
    )


def _uneven_bins(v):
    """Whether counts are as uneven as those of a part of the rows; a calendar's are even in any
    part."""
    counts = np.unique(v, return_counts=True)[1]
    return stats.chisquare(counts).pvalue < 0.01  # the customary stricter level


def all_rows_statistics(whole, train_rows, names):
    """Findings on columns whose statistics are round over all rows but not over the training rows
    alone."""
    findings: list[Finding] = []
    approximate, bounded, screened = [], [], 0
    if len(train_rows) >= 0.99 * len(whole) or len(train_rows) < FEWEST_ROWS:
        return findings
    for name, column in zip(names, whole.T):
        there = np.isfinite(column)
        v, t = column[there], column[train_rows][there[train_rows]]
        if len(v) < FEWEST_ROWS or len(t) < FEWEST_ROWS or v.std() == 0 or t.std() == 0:
            continue
        signs = _signs(v, t)
        screened += 1
        if signs and signs[0] in _BOUNDS:
            bounded.append(_fitted_on_all(name, signs[0], v, t))
        elif signs:
            findings.append(_fitted_on_all(name, signs[0], v, t))
        elif len(np.unique(v[:500])) > 0.5 * len(v[:500]):
            approximate.append(len(v) * v.mean() ** 2 + 2 * len(v) * (v.std() - 1) ** 2)
    # a scaler bounds all columns; an oscillator may touch its bound once by itself
    if bounded and 2 * len(bounded) >= screened:
        findings += bounded
    if not findings and len(approximate) >= 4:
        chance = stats.chi2.cdf(sum(approximate), 2 * len(approximate))
        if chance < CHANCE:
            findings.append(
                Finding(
                    "fitted_on_all_rows",
                    "error",
                    f"{len(approximate)} columns have mean 0 and standard deviation 1 over all "
                    "rows, far closer than chance allows.",
                    {"column": str(list(names))},
                    {"probability_by_chance": chance},
                    _PIPELINE,
                )
            )
    return findings


def _signs(v, t):
    if len(np.unique(v)) <= 50:
        return ["equal counts per bin"] if _equal_bins(v) and _uneven_bins(t) else []
    fill = _filled(v)
    if fill is not None and _filled(t) is None:
        return [f"missing values filled with the {fill}"]
    tolerance = 1e-4 if v.dtype == np.float32 else _EXACT
    own = _round(t, tolerance)
    return [sign for sign in _round(v, tolerance) if sign not in own]


_PIPELINE = "make_pipeline(StandardScaler(), model)  # fit it inside the folds"


def _fitted_on_all(name, sign, v, t):
    evidence = {
        "all_rows_mean": v.mean(),
        "train_mean": t.mean(),
        "all_rows_std": v.std(),
        "train_std": t.std(),
    }
    message = (
        f"Column {name!r} shows {sign} over training and test rows together, not over training "
        "rows alone: it was fitted on all rows."
    )
    return Finding("fitted_on_all_rows", "error", message, {"column": name}, evidence, _PIPELINE)

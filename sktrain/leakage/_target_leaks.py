"""Columns that know the label, or bars to come: by how well they rank it, and by when they stop to.

A relation to the labels that vanishes one lag earlier, or that follows the labels' own sampling
noise, is not one that was known in time. Rows are in order of time.
"""

import numpy as np
import pandas as pd
from scipy import stats

from ._fitted_on_all import CHANCE, FEWEST_ROWS
from ._report import Finding, Severity

__all__ = ["future_of_bars", "strength", "target_leaks"]

# Areas under the ROC curve, read by the correlation r of normal values that gives them for a
# label of the top third (tests/leakage/test_leakage_features.py integrates them): .62 is r = .26,
# .90 is r = .82, .97 is r = .95. By Grinold's law (Grinold and Kahn, Active Portfolio Management,
# ch. 6) a column of correlation r that is bet on n times a year has a Sharpe ratio of r √n: with
# 50 five-bar labels a year 1.8, 5.8 and 6.7. Nothing causal is known to reach 5, so above .90 a
# column that also fades within one label fails, above .97 any does; .62, which honest columns may
# reach, only warns.
_SURE, _FIRM, _STRONG = 0.97, 0.90, 0.62
# a judgment: a leak keeps less than this share of its area one label earlier; a slow honest
# column keeps most
_COLLAPSE = 0.5
# Partial R² of the next ten bars' returns: .3 is a correlation of .55, a Sharpe ratio of 8.7 when
# bet on daily. That of their sizes: good causal forecasts explain about half of realised variance
# (Andersen and Bollerslev 1998), all of it already known to the past moves that are partialled
# out; .6 on top of them is more than there is to forecast.
_DIRECTION, _MOVES = 0.3, 0.6
# A column excludes labels when two cells that together would hold so many independent rows by
# chance are empty: a probability of e^-25 = 1e-11 without a relation, and refilled to a quarter
# one label later, as no slow honest column does.
_EXPECTED, _REFILLED, _EMPTY, _COMMON = 25.0, 0.25, 0.002, 0.05
_AHEAD, _PAST = 10, 20  # bars whose returns may explain a column, a judgment
_MOST_ROWS = 20_000  # a judgment of speed: an area of 20,000 rows is known to .004


def strength(values, labels):
    """How well a column alone ranks the labels: the best one-against-rest area under the ROC curve,
    0.5 to 1."""
    keep = np.isfinite(values)
    values, labels = values[keep], labels[keep]
    levels, counts = np.unique(labels, return_counts=True)
    if len(levels) < 2 or len(values) < FEWEST_ROWS:
        return 0.5
    ranks = stats.rankdata(values)
    best = 0.5
    for level, count in zip(levels, counts):
        if count < 10 or len(values) - count < 10:  # a judgment: areas of so few rows are luck
            continue
        u = ranks[labels == level].sum() - count * (count + 1) / 2
        area = u / (count * (len(values) - count))
        best = max(best, area, 1 - area)
    return float(best)


def _codes(y):
    """Labels as small integers; numbers of many values by their thirds."""
    values = pd.Series(np.asarray(y))
    if values.nunique() > 20 and pd.api.types.is_numeric_dtype(values):
        return pd.qcut(values, 3, labels=False, duplicates="drop").to_numpy()
    return pd.factorize(values, sort=True)[0]


def target_leaks(table, names, y, *, reach=1, ordered=True):
    """Findings on columns that know the labels.

    Parameters
    ----------
    table : ndarray, shape (n, d)
        Columns in order of time.
    y : array-like, shape (n,)
    reach : int
        Bars until a label is known.
    ordered : bool
        Whether rows are one instrument in order of time; only then lags mean something.
    """
    y = np.asarray(y)
    keep = ~pd.isna(y)
    table, codes = table[keep][:_MOST_ROWS], _codes(y[keep])[:_MOST_ROWS]
    findings = []
    for name, column in zip(names, table.T):
        finding = _copy_of_label(name, column, codes, reach) if ordered else None
        finding = finding or (_excludes(name, column, codes, reach) if ordered else None)
        finding = (
            finding
            or _encoded(name, column, codes)
            or _too_good(name, column, codes, reach, ordered)
        )
        if finding is not None:
            findings.append(finding)
    return findings


def _lagged(column, codes, lag):
    """Column at t beside the label of t - lag."""
    if lag == 0:
        return column, codes
    return (column[lag:], codes[:-lag]) if lag > 0 else (column[:lag], codes[-lag:])


def _copy_of_label(name, column, codes, reach):
    seen = column[np.isfinite(column)]
    values = np.unique(seen[:2000])
    if not 2 <= len(values) <= len(np.unique(codes)) + 1:
        return None
    for lag in range(-max(reach, 5), reach):
        a, b = _lagged(column, codes, lag)
        keep = np.isfinite(a)
        if keep.sum() < FEWEST_ROWS:
            continue
        table = pd.crosstab(a[keep], b[keep]).to_numpy()
        if (
            min(table.shape) >= 2
            and table.max(axis=1).sum() >= 0.999 * table.sum()
            and len(set(table.argmax(axis=1))) == table.shape[0]
        ):
            when = (
                "itself"
                if lag == 0
                else f"of {lag} bars ago, not yet known"
                if lag > 0
                else f"{-lag} bars ahead"
            )
            return Finding(
                "target_leak",
                "error",
                f"Column {name!r} is the label {when}.",
                {"column": name},
                {"lag": lag, "label_known_after_bars": reach},
                f"X = X.drop(columns={name!r})  # or shift it by {reach} bars",
            )
    return None


def _excludes(name, column, codes, reach):
    """Whether two values of a column rule out one label each without exception, as the sign of the
    outcome does."""
    values, counts = np.unique(column[np.isfinite(column)], return_counts=True)
    if not 2 <= len(values) <= 20:  # a judgment: more values are no groups
        return None
    values = values[counts >= _COMMON * counts.sum()]
    levels = [level for level in np.unique(codes) if (codes == level).mean() >= _COMMON]
    if len(values) < 2 or len(levels) < 2:
        return None

    def table(lag):
        a, b = _lagged(column, codes, lag)
        return np.array(
            [[((a == value) & (b == level)).sum() for level in levels] for value in values],
            dtype=float,
        )

    now, later = table(0), table(-reach)
    expected = now.sum(axis=1, keepdims=True) * now.sum(axis=0) / now.sum()
    empty = (now <= _EMPTY * expected) & (later >= _REFILLED * expected)
    for a, p in np.argwhere(empty):
        for b, q in np.argwhere(empty):
            enough = expected[a, p] + expected[b, q] >= _EXPECTED * reach
            if (
                a < b
                and p != q
                and enough
                and now[a, q] > expected[a, q]
                and now[b, p] > expected[b, p]
            ):
                return Finding(
                    "target_leak",
                    "error",
                    f"Column {name!r} tells the outcome's direction: at {values[a]:g} and at "
                    f"{values[b]:g} one label each never comes, and one label later it does.",
                    {"column": name},
                    {
                        "expected_by_chance": float(expected[a, p] + expected[b, q]),
                        "probability_by_chance": float(
                            np.exp(-(expected[a, p] + expected[b, q]) / reach)
                        ),
                    },
                    f"X = X.drop(columns={name!r})  # or shift it by {reach} bars",
                )
    return None


def _too_good(name, column, codes, reach, ordered):
    now = strength(column, codes)
    if now < _STRONG:
        return None
    evidence = {"auc_alone": now}
    place, fix = (
        {"column": name},
        f"X[{name!r}] = X[{name!r}].shift({reach})  # use only what was known",
    )
    if not ordered:
        if now < _SURE:
            return None
        return Finding(
            "target_leak", "warning",
            f"Column {name!r} alone ranks the labels with an area of {now:.3f}.", place, evidence,
            fix,
        )
    # what it said one label earlier about this label
    earlier = strength(*_lagged(column, codes, -reach))
    # how well it knows outcomes already public
    past = max(strength(*_lagged(column, codes, lag)) for lag in {reach, reach + 1})
    evidence |= {
        "auc_one_label_earlier": earlier,
        "auc_on_known_labels": past,
        "label_known_after_bars": reach,
    }
    fades = earlier - 0.5 < _COLLAPSE * (now - 0.5)
    ahead = now - 0.5 > 2 * (past - 0.5)
    if now >= _SURE or (fades and ahead):
        severity: Severity = "error" if now >= _FIRM else "warning"
        message = (
            f"Column {name!r} alone ranks the labels with an area of {now:.3f}; one label earlier "
            f"it has {earlier:.3f}: too good for what was known."
        )
        return Finding("target_leak", severity, message, place, evidence, fix)
    return None


def _encoded(name, column, codes):
    """Whether a column of repeated values follows the labels closer than their own sampling noise
    allows (a lower-tail chi-square)."""
    keep = np.isfinite(column)
    values, place, counts = np.unique(column[keep], return_inverse=True, return_counts=True)
    often = counts[place] >= 3
    keep[np.flatnonzero(keep)[~often]] = False
    values, place, counts = np.unique(column[keep], return_inverse=True, return_counts=True)
    # four numbers are fitted below: 8 degrees of freedom at least, and three rows a group
    if len(values) < 12 or len(values) > keep.sum() / 3:
        return None
    for level in np.unique(codes):
        hit = (codes[keep] == level).astype(float)
        p = hit.mean()
        if not 0.02 < p < 0.98:  # a judgment: counts of rarer labels are not normal
            continue
        means = np.bincount(place, hit) / counts
        design = np.column_stack([np.ones(len(values)), values, 1 / counts, values / counts])
        weight = np.sqrt(counts)
        fit = np.linalg.lstsq(design * weight[:, None], means * weight, rcond=None)[0]
        said = design @ fit
        inner = np.clip(said, 0.02, 0.98)
        chi2 = float((counts * (means - said) ** 2 / (inner * (1 - inner))).sum())
        chance = stats.chi2.cdf(chi2, len(values) - 4)
        if chance < CHANCE:
            return Finding(
                "target_encoded_on_all_rows",
                "error",
                f"Column {name!r} follows the mean label of its groups closer than chance allows: "
                "it was encoded with these labels.",
                {"column": name},
                {
                    "groups": len(values),
                    "chi2": chi2,
                    "degrees": len(values) - 4,
                    "probability_by_chance": chance,
                },
                "make_pipeline(TargetEncoder(cv=CombinatorialPurgedCV(5, 1)), model)  # fit it "
                "inside the folds",
            )
    return None


def future_of_bars(table, names, close):
    """Columns explained by returns that come later: the partial R² of future returns beyond past
    ones."""
    returns = np.diff(np.log(close), prepend=np.log(close[0]))
    n = len(returns)
    # up to 2 * (_AHEAD + _PAST) slopes are fitted: three rows for each, a judgment
    if n < 6 * (_AHEAD + _PAST) or not np.isfinite(returns).all():
        return []
    rows = np.arange(_PAST, n - _AHEAD)[-_MOST_ROWS // 4 :]
    lag = np.column_stack([returns[rows - k] for k in range(_PAST)])
    lead = np.column_stack([returns[rows + k] for k in range(1, _AHEAD + 1)])
    known = np.column_stack([np.ones(len(rows)), lag, np.abs(lag)])
    direction, everything = (
        np.column_stack([known, lead]),
        np.column_stack([known, lead, np.abs(lead)]),
    )
    findings = []
    for name, column in zip(names, table.T):
        target = column[rows]
        keep = np.isfinite(target)
        if keep.sum() < 6 * (_AHEAD + _PAST) or target[keep].std() == 0:
            continue
        if (
            target[keep].min() > 0
            and abs(np.corrcoef(target[keep], close[rows][keep])[0, 1]) > 0.95
        ):  # a judgment: the column is a price level
            target = np.log(np.where(keep, target, 1.0) / close[rows])
        gain = _partial(known[keep], direction[keep], target[keep])
        # volatility clusters, so future moves explain honest volatility a little
        if gain <= _DIRECTION:
            gain = _partial(known[keep], everything[keep], target[keep])
            gain = gain if gain > _MOVES else 0.0
        if gain:
            message = (
                f"Column {name!r} is explained by returns that come later (partial R² "
                f"{gain:.2f}): it looks ahead."
            )
            findings.append(
                Finding(
                    "look_ahead_column",
                    "error",
                    message,
                    {"column": name},
                    {"partial_r2": gain, "bars_tried": _AHEAD},
                    "compute it inside the pipeline from past bars only",
                )
            )
    return findings


def _partial(known, everything, target):
    def residual(design):
        fit = np.linalg.lstsq(design, target, rcond=None)[0]
        return float(((target - design @ fit) ** 2).sum() / max(len(target) - design.shape[1], 1))

    base = residual(known)
    if base <= 1e-12 * max(target.var(), 1e-300):
        return 0.0  # the past explains it all
    return 1 - residual(everything) / base

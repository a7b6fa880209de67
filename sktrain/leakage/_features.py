"""Columns that know too much: screening of features, with or without labels.

What was computed outside a pipeline cannot be run again, so columns are screened by figures no honest column shows: a mean of
exactly 0 over training *and* test rows, a relation to the labels that vanishes one lag earlier, values that follow the labels'
own sampling noise. Rows are in order of time.
"""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from .._validation import horizon_in_bars
from ._report import FAIL, INCONCLUSIVE, NOT_CHECKED, PASS, Finding, LeakageReport
from ._rows import check_rows, numeric_table, synthetic_rows

__all__ = ["all_rows_statistics", "check_feature_leakage", "strength", "target_leaks"]

_EXACT = 1e-7
_FEWEST = 40
# Areas under the ROC curve, judged by the correlation r of normal values that gives them for a label of the top third
# (tests/leakage/test_leakage_features.py integrates them): .62 is r = .26, .90 is r = .82, .97 is r = .95. By Grinold's law
# (Grinold and Kahn, Active Portfolio Management, ch. 6) a column of correlation r that is bet on n times a year has a Sharpe ratio
# of r √n: with 50 five-bar labels a year 1.8, 5.8 and 6.7. Nothing causal is known to reach 5, so above .90 a column that also
# fades within one label fails, above .97 any does; .62, which honest columns may reach, only warns.
_SURE, _FIRM, _STRONG = 0.97, 0.90, 0.62
_COLLAPSE = 0.5  # a leak keeps less than this share of its area one label earlier; a slow honest column keeps most
# Partial R² of the next ten bars' returns: .3 is a correlation of .55, a Sharpe ratio of 8.7 when bet on daily. That of their sizes:
# good causal forecasts explain about half of realised variance (Andersen and Bollerslev 1998), all of it already known to the past
# moves that are partialled out; .6 on top of them is more than there is to forecast.
_DIRECTION, _MOVES = 0.3, 0.6
# A column excludes labels when two cells that together would hold so many independent rows by chance are empty: a probability of
# e^-25 = 1e-11 without a relation, and refilled to a quarter one label later, as no slow honest column does.
_EXPECTED, _REFILLED, _EMPTY, _COMMON = 25.0, 0.25, 0.002, 0.05
_MOST_ROWS = 20_000
_BOUNDS = ("minimum and maximum of a fitted range", "largest absolute value 1")


# -- statistics of all rows ---------------------------------------------------------------------------------------------------


def _too_even(share):
    """Whether shares in [0, 1] are spread far more evenly than chance allows (the lower tail of Kolmogorov's statistic)."""
    n = len(share)
    ordered = np.sort(share)
    gap = max((np.arange(1, n + 1) / n - ordered).max(), (ordered - np.arange(n) / n).max())
    return bool(stats.kstwobign.cdf(np.sqrt(n) * gap) < 1e-9)


def _round(v, tolerance):
    """Which round statistics a sample has: what a scaler fitted on exactly these rows leaves behind."""
    found = []
    mean, spread = v.mean(), v.std()
    size = max(spread, 1e-12)
    if abs(mean) < tolerance * size and min(abs(spread - 1), abs(v.std(ddof=1) - 1)) < tolerance:
        found.append("mean 0 and standard deviation 1")
    low, high = v.min(), v.max()
    lone = (v == low).sum() == 1 and (v == high).sum() == 1
    if lone and abs(high - 1) < tolerance and (abs(low) < tolerance or abs(low + 1) < tolerance):
        found.append(_BOUNDS[0])
    elif (np.abs(v) == np.abs(v).max()).sum() == 1 and abs(np.abs(v).max() - 1) < tolerance and len(np.unique(v)) > 0.5 * len(v):
        found.append(_BOUNDS[1])
    quarter = np.percentile(v, [25, 50, 75])
    if abs(quarter[1]) < tolerance * size and abs(quarter[2] - quarter[0] - 1) < tolerance:
        found.append("median 0 and interquartile range 1")
    if abs(np.linalg.norm(v) - 1) < tolerance:
        found.append("length 1")
    if len(v) > 200 and not _monotone(v) and high > low and (_too_even((v - low) / (high - low)) or _too_even(stats.norm.cdf(v))):
        found.append("evenly spaced ranks")
    if abs(mean) < tolerance * size and abs(np.corrcoef(v, np.arange(len(v)))[0, 1]) < tolerance:
        found.append("no trend at all")
    return found


def _monotone(v):
    return bool((np.diff(v) >= 0).all() or (np.diff(v) <= 0).all())


def _filled(v):
    """The value that stands for missing ones, when it is the mean or the median of all others."""
    values, counts = np.unique(v, return_counts=True)
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
    return 3 <= len(counts) <= 50 and len(v) >= 20 * len(counts) and counts.max() - counts.min() <= 1


def _uneven_bins(v):
    """Whether counts are as uneven as those of a part of the rows; a calendar's are even in any part."""
    counts = np.unique(v, return_counts=True)[1]
    return stats.chisquare(counts).pvalue < 0.01


def all_rows_statistics(whole, train_rows, names):
    """Findings on columns whose statistics are round over all rows but not over the training rows alone."""
    findings, approximate, bounded, screened = [], [], [], 0
    if len(train_rows) >= 0.99 * len(whole) or len(train_rows) < _FEWEST:
        return findings
    for name, column in zip(names, whole.T):
        there = np.isfinite(column)
        v, t = column[there], column[train_rows][there[train_rows]]
        if len(v) < _FEWEST or len(t) < _FEWEST or v.std() == 0 or t.std() == 0:
            continue
        signs = _signs(v, t)
        screened += 1
        if signs and signs[0] in _BOUNDS:
            bounded.append(_fitted_on_all(name, signs[0], v, t))
        elif signs:
            findings.append(_fitted_on_all(name, signs[0], v, t))
        elif len(np.unique(v[:500])) > 0.5 * len(v[:500]):
            approximate.append(len(v) * v.mean() ** 2 + 2 * len(v) * (v.std() - 1) ** 2)
    if bounded and 2 * len(bounded) >= screened:  # a scaler bounds all columns; an oscillator may touch its bound once by itself
        findings += bounded
    if not findings and len(approximate) >= 4:
        chance = stats.chi2.cdf(sum(approximate), 2 * len(approximate))
        if chance < 1e-9:
            findings.append(
                Finding(
                    "fitted_on_all_rows", "error", f"{len(approximate)} columns have mean 0 and standard deviation 1 over all rows, far closer than chance allows.",
                    {"column": str(list(names))}, {"probability_by_chance": chance}, _PIPELINE,
                )  # fmt: skip
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
    evidence = {"all_rows_mean": v.mean(), "train_mean": t.mean(), "all_rows_std": v.std(), "train_std": t.std()}
    message = f"Column {name!r} shows {sign} over training and test rows together, not over training rows alone: it was fitted on all rows."
    return Finding("fitted_on_all_rows", "error", message, {"column": name}, evidence, _PIPELINE)


# -- relation to the labels ---------------------------------------------------------------------------------------------------


def strength(values, labels):
    """How well a column alone ranks the labels: the best one-against-rest area under the ROC curve, 0.5 to 1."""
    keep = np.isfinite(values)
    values, labels = values[keep], labels[keep]
    levels, counts = np.unique(labels, return_counts=True)
    if len(levels) < 2 or len(values) < _FEWEST:
        return 0.5
    ranks = stats.rankdata(values)
    best = 0.5
    for level, count in zip(levels, counts):
        if count < 10 or len(values) - count < 10:
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
        finding = finding or _encoded(name, column, codes) or _too_good(name, column, codes, reach, ordered)
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
        if keep.sum() < _FEWEST:
            continue
        table = pd.crosstab(a[keep], b[keep]).to_numpy()
        if min(table.shape) >= 2 and table.max(axis=1).sum() >= 0.999 * table.sum() and len(set(table.argmax(axis=1))) == table.shape[0]:
            when = "itself" if lag == 0 else f"of {lag} bars ago, not yet known" if lag > 0 else f"{-lag} bars ahead"
            return Finding(
                "target_leak", "error", f"Column {name!r} is the label {when}.",
                {"column": name}, {"lag": lag, "label_known_after_bars": reach}, f"X = X.drop(columns={name!r})  # or shift it by {reach} bars",
            )  # fmt: skip
    return None


def _excludes(name, column, codes, reach):
    """Whether two values of a column rule out one label each without exception, as the sign of the outcome does."""
    values, counts = np.unique(column[np.isfinite(column)], return_counts=True)
    if not 2 <= len(values) <= 20:
        return None
    values = values[counts >= _COMMON * counts.sum()]
    levels = [level for level in np.unique(codes) if (codes == level).mean() >= _COMMON]
    if len(values) < 2 or len(levels) < 2:
        return None

    def table(lag):
        a, b = _lagged(column, codes, lag)
        return np.array([[((a == value) & (b == level)).sum() for level in levels] for value in values], dtype=float)

    now, later = table(0), table(-reach)
    expected = now.sum(axis=1, keepdims=True) * now.sum(axis=0) / now.sum()
    empty = (now <= _EMPTY * expected) & (later >= _REFILLED * expected)
    for a, p in np.argwhere(empty):
        for b, q in np.argwhere(empty):
            enough = expected[a, p] + expected[b, q] >= _EXPECTED * reach
            if a < b and p != q and enough and now[a, q] > expected[a, q] and now[b, p] > expected[b, p]:
                return Finding(
                    "target_leak", "error",
                    f"Column {name!r} tells the outcome's direction: at {values[a]:g} and at {values[b]:g} one label each never comes, and one label later it does.",
                    {"column": name}, {"expected_by_chance": float(expected[a, p] + expected[b, q]), "probability_by_chance": float(np.exp(-(expected[a, p] + expected[b, q]) / reach))},
                    f"X = X.drop(columns={name!r})  # or shift it by {reach} bars",
                )  # fmt: skip
    return None


def _too_good(name, column, codes, reach, ordered):
    now = strength(column, codes)
    if now < _STRONG:
        return None
    evidence = {"auc_alone": now}
    place, fix = {"column": name}, f"X[{name!r}] = X[{name!r}].shift({reach})  # use only what was known"
    if not ordered:
        if now < _SURE:
            return None
        return Finding("target_leak", "warning", f"Column {name!r} alone ranks the labels with an area of {now:.3f}.", place, evidence, fix)
    earlier = strength(*_lagged(column, codes, -reach))  # what it said one label earlier about this label
    past = max(strength(*_lagged(column, codes, lag)) for lag in {reach, reach + 1})  # how well it knows outcomes already public
    evidence |= {"auc_one_label_earlier": earlier, "auc_on_known_labels": past, "label_known_after_bars": reach}
    fades = earlier - 0.5 < _COLLAPSE * (now - 0.5)
    ahead = now - 0.5 > 2 * (past - 0.5)
    if now >= _SURE or (fades and ahead):
        severity = "error" if now >= _FIRM else "warning"
        message = f"Column {name!r} alone ranks the labels with an area of {now:.3f}; one label earlier it has {earlier:.3f}: too good for what was known."
        return Finding("target_leak", severity, message, place, evidence, fix)
    return None


def _encoded(name, column, codes):
    """Whether a column of repeated values follows the labels closer than their own sampling noise allows (a lower-tail chi-square)."""
    keep = np.isfinite(column)
    values, place, counts = np.unique(column[keep], return_inverse=True, return_counts=True)
    often = counts[place] >= 3
    keep[np.flatnonzero(keep)[~often]] = False
    values, place, counts = np.unique(column[keep], return_inverse=True, return_counts=True)
    if len(values) < 12 or len(values) > keep.sum() / 3:
        return None
    for level in np.unique(codes):
        hit = (codes[keep] == level).astype(float)
        p = hit.mean()
        if not 0.02 < p < 0.98:
            continue
        means = np.bincount(place, hit) / counts
        design = np.column_stack([np.ones(len(values)), values, 1 / counts, values / counts])
        weight = np.sqrt(counts)
        fit = np.linalg.lstsq(design * weight[:, None], means * weight, rcond=None)[0]
        said = design @ fit
        inner = np.clip(said, 0.02, 0.98)
        chi2 = float((counts * (means - said) ** 2 / (inner * (1 - inner))).sum())
        chance = stats.chi2.cdf(chi2, len(values) - 4)
        if chance < 1e-9:
            return Finding(
                "target_encoded_on_all_rows", "error", f"Column {name!r} follows the mean label of its groups closer than chance allows: it was encoded with these labels.",
                {"column": name}, {"groups": len(values), "chi2": chi2, "degrees": len(values) - 4, "probability_by_chance": chance},
                "make_pipeline(TargetEncoder(cv=CombinatorialPurgedCV(5, 1)), model)  # fit it inside the folds",
            )  # fmt: skip
    return None


def future_of_bars(table, names, close, *, ahead=10, past=20):
    """Columns explained by returns that come later: the partial R² of future returns beyond past ones."""
    returns = np.diff(np.log(close), prepend=np.log(close[0]))
    n = len(returns)
    if n < 6 * (ahead + past) or not np.isfinite(returns).all():
        return []
    rows = np.arange(past, n - ahead)[-_MOST_ROWS // 4 :]
    lag = np.column_stack([returns[rows - k] for k in range(past)])
    lead = np.column_stack([returns[rows + k] for k in range(1, ahead + 1)])
    known = np.column_stack([np.ones(len(rows)), lag, np.abs(lag)])
    direction, everything = np.column_stack([known, lead]), np.column_stack([known, lead, np.abs(lead)])
    findings = []
    for name, column in zip(names, table.T):
        target = column[rows]
        keep = np.isfinite(target)
        if keep.sum() < 6 * (ahead + past) or target[keep].std() == 0:
            continue
        if target[keep].min() > 0 and abs(np.corrcoef(target[keep], close[rows][keep])[0, 1]) > 0.95:
            target = np.log(np.where(keep, target, 1.0) / close[rows])
        gain = _partial(known[keep], direction[keep], target[keep])
        if gain <= _DIRECTION:  # volatility clusters, so future moves explain honest volatility a little
            gain = _partial(known[keep], everything[keep], target[keep])
            gain = gain if gain > _MOVES else 0.0
        if gain:
            message = f"Column {name!r} is explained by returns that come later (partial R² {gain:.2f}): it looks ahead."
            findings.append(Finding("look_ahead_column", "error", message, {"column": name}, {"partial_r2": gain, "bars_tried": ahead}, "compute it inside the pipeline from past bars only"))
    return findings


def _partial(known, everything, target):
    def residual(design):
        fit = np.linalg.lstsq(design, target, rcond=None)[0]
        return float(((target - design @ fit) ** 2).sum() / max(len(target) - design.shape[1], 1))

    base = residual(known)
    if base <= 1e-12 * max(target.var(), 1e-300):
        return 0.0  # the past explains it all
    return 1 - residual(everything) / base


# -- train against validation -------------------------------------------------------------------------------------------------


def _as_frame(X, what):
    if isinstance(X, pd.DataFrame):
        return X
    values = np.asarray(X)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise ValueError(f"{what} must be 2-D, got {values.ndim} dimensions.")
    return pd.DataFrame(values)


def _separable(train, val):
    """How well rows of the two sets can be told apart, and by which column."""
    rng = np.random.default_rng(0)
    a = train[rng.choice(len(train), min(len(train), 2000), replace=False)]
    b = val[rng.choice(len(val), min(len(val), 2000), replace=False)]
    both = np.nan_to_num(np.vstack([a, b]))
    which = np.r_[np.zeros(len(a)), np.ones(len(b))]
    alone = [strength(both[:, j], which) for j in range(both.shape[1])]
    model = make_pipeline(QuantileTransformer(n_quantiles=50, output_distribution="normal"), LogisticRegression(max_iter=300))
    area = roc_auc_score(which, cross_val_predict(model, both, which, cv=4, method="predict_proba")[:, 1])
    return max(area, max(alone)), int(np.argmax(alone)), max(alone)


def _ordering(train, val):
    if not (isinstance(train.index, (pd.DatetimeIndex, pd.MultiIndex)) and isinstance(val.index, type(train.index))):
        return
    both = train.index.intersection(val.index)
    if len(both):
        yield Finding("shared_rows", "error", f"{len(both)} rows stand in train and in val.", {"time": str(both[0])}, {"rows": len(both)}, "val = val.drop(train.index, errors='ignore')")
        return
    first, last = val.index.get_level_values(-1).min(), train.index.get_level_values(-1).max()
    if last > first:
        late = int((train.index.get_level_values(-1) > first).sum())
        yield Finding("order", "error", f"{late} training rows are later than the first validation row.", {"time": str(first)}, {"rows": late}, "train = train[train.index < val.index.min()]")
    elif last == first:
        yield Finding("shared_time", "error", "Train and val share a time: other symbols tell the answer.", {"time": str(first)}, {}, "train = train[train.index.get_level_values(-1) < val.index.get_level_values(-1).min()]")


def _copies(train, val):
    both = pd.concat([train, val], ignore_index=True)
    n = len(train)
    found, status = check_rows(both, None, lambda: [(np.arange(n), np.arange(n, len(both)))])
    return found, status


def check_feature_leakage(train, val, y_train=None, y_val=None):
    """See ``LeakageValidator.check_feature_leakage``."""
    train, val = _as_frame(train, "train"), _as_frame(val, "val")
    if list(train.columns) != list(val.columns):
        odd = sorted(map(str, set(train.columns) ^ set(val.columns)))
        raise ValueError(f"train and val have different columns: {', '.join(odd[:5]) or 'another order'}.")
    for what, rows, y in (("train", train, y_train), ("val", val, y_val)):
        if y is not None and len(y) != len(rows):
            raise ValueError(f"{what} has {len(rows)} rows but y_{what} has {len(y)}.")
    if not len(train) or not len(val):
        return LeakageReport([Finding("empty", "error", "train or val has no rows.", status=NOT_CHECKED)], {"features": NOT_CHECKED})
    findings = list(_ordering(train, val))
    copies, duplicate_status = _copies(train, val)
    findings += copies
    whole, names = numeric_table(pd.concat([train, val]))
    checks = {"order": FAIL if any(f.code in ("order", "shared_rows", "shared_time") for f in findings) else PASS, "duplicates": duplicate_status}
    if not names:
        findings.append(Finding("no_numbers", "warning", "No numeric columns: statistics were not checked.", status=NOT_CHECKED))
        return LeakageReport(findings, {**checks, "statistics": NOT_CHECKED})
    fitted = all_rows_statistics(whole, np.arange(len(train)), names)
    findings += fitted + synthetic_rows(pd.concat([train, val]))
    enough = len(train) >= _FEWEST and len(whole) > len(train)
    checks["statistics"] = FAIL if fitted else PASS if enough else INCONCLUSIVE
    if not enough:
        findings.append(Finding("too_few_rows", "warning", f"{len(train)} training rows are too few for statistics: {_FEWEST} are needed.", status=INCONCLUSIVE))
    if y_train is not None:
        y = np.asarray(y_train) if y_val is None else np.concatenate([np.asarray(y_train), np.asarray(y_val)])
        reach = max(horizon_in_bars(y_train) or 1, 1)
        leaks = target_leaks(whole[: len(y)], names, y, reach=reach, ordered=not isinstance(train.index, pd.MultiIndex))
        findings += leaks
        checks["target"] = FAIL if any(f.severity == "error" for f in leaks) else PASS
    if enough and len(val) >= 20:
        findings += _adversarial(whole, len(train), names)
        checks["adversarial"] = PASS
    return LeakageReport(findings, checks)


def _adversarial(whole, n_train, names):
    area, place, alone = _separable(whole[:n_train], whole[n_train:])
    evidence = {"auc": area, "auc_of_column": alone}
    if area > 0.9:
        message = f"Train and validation rows can be told apart (area {area:.2f}), best by {names[place]!r}: the column drifts, or it counts rows."
        yield Finding("separable", "info", message, {"column": names[place]}, evidence, f"X = X.drop(columns={names[place]!r})  # or use its changes")

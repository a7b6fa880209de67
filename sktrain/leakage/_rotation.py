"""Labels rotated in time: whether the folds give them away.

A rotation keeps the labels' overlap and cuts their tie to the rows. What is then still predicted
came through the folds.
"""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import is_classifier
from sklearn.metrics import balanced_accuracy_score

from .._validation import horizon_in_bars
from ._behaviour import brief, most_times
from ._budget import BUDGETS
from ._experiments import fitted, quiet
from ._failures import cannot, guarded
from ._perturbation import row_times, take
from ._report import FAIL, PASS, Finding, LeakageReport
from ._splits import index_pairs

__all__ = ["check_shuffled_labels"]

_CHECK = "rotated labels"
_SIGMAS = 5.0  # one-sided error 3e-7 for one audit
# least gain over chance worth calling a leak, a judgment: below it, what is left of a slow trend
# after rotation may stand
_EFFECT = 0.1
# a judgment: every rotation must show this share of the mean gain, for one lucky rotation is no
# leak
_SHARE = 0.4


def _rotated(X, y, shift, reach):
    """Labels moved around the end, per symbol; they keep their reach and lose what was written of
    their own times."""
    values = np.asarray(y).copy()
    index = getattr(X, "index", None)
    groups = [np.arange(len(values))]
    if isinstance(index, pd.MultiIndex):
        codes = np.asarray(index.codes[0])
        groups = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    for rows in groups:
        values[rows] = np.roll(values[rows], max(1, int(shift * len(rows))))
    out = pd.Series(values, index if isinstance(index, pd.Index) else None)
    out.attrs = {} if reach is None else {"label_horizon": int(reach)}
    return out


def check_shuffled_labels(
    estimator,
    X,
    y,
    cv,
    label_end_times=None,
    *,
    folds=None,
    reach=None,
    seed=0,
    budget=BUDGETS["standard"],
):
    """See ``LeakageValidator.check_shuffled_labels``; ``folds`` are the index pairs when they were
    made already."""
    where = {"parameter": "cv"}
    if not hasattr(estimator, "predict"):
        return cannot(
            _CHECK,
            "not_checked",
            f"{type(estimator).__name__} predicts nothing.",
            where=where,
            severity="info",
        )
    if reach is None:
        reach = horizon_in_bars(y)

    def experiments():
        with quiet(seed):
            pairs = index_pairs(cv, X, y, None, label_end_times) if folds is None else folds
            return _conclude(
                *_gains(
                    estimator,
                    X,
                    y,
                    _chosen(X, list(pairs), budget.folds, most_times(estimator, budget)),
                    reach,
                    budget,
                ),
                reach,
            )

    return guarded(_CHECK, experiments, "Rotated labels could not be scored", where=where)


def _chosen(X, pairs, n_folds, most):
    """Evenly chosen folds, each within a block of unique times around the place where train and
    test stand closest."""
    places = np.unique(np.linspace(0, len(pairs) - 1, min(n_folds, len(pairs))).round().astype(int))
    codes = np.unique(row_times(X), return_inverse=True)[1]
    chosen = [tuple(map(np.asarray, pairs[place])) for place in places]
    return [_near(codes, train, test, most) for train, test in chosen]


def _near(codes, train, test, most):
    n = int(codes.max()) + 1
    if n <= most or not len(train) or not len(test):
        return train, test
    seen, tested = np.unique(codes[train]), np.unique(codes[test])
    after = np.clip(np.searchsorted(seen, tested), 0, len(seen) - 1)
    distance = np.minimum(
        np.abs(seen[after] - tested), np.abs(tested - seen[np.maximum(after - 1, 0)])
    )
    low = int(np.clip(tested[distance.argmin()] - most // 2, 0, n - most))
    return train[(codes[train] >= low) & (codes[train] < low + most)], test[
        (codes[test] >= low) & (codes[test] < low + most)
    ]


def _gains(estimator, X, y, folds, reach, budget) -> tuple[list, int, float, float]:
    """What is predicted above chance under each rotation, rows tested, the noise were they
    independent, and the highest gain."""
    classifies = is_classifier(estimator)
    gains = []
    for shift in np.linspace(0.35, 0.65, budget.rotations):
        rotated = _rotated(X, y, shift, reach)
        told, said = [], []
        for train, test in folds:
            said.append(_said(estimator, X, rotated, train, test, classifies, budget))
            told.append(np.asarray(take(rotated, test)))
        truth = np.concatenate(told)
        gains.append(_above_chance(truth, np.concatenate(said), classifies))
    if not classifies:
        return (
            gains,
            len(truth),
            1 / np.sqrt(len(truth)),
            1.0,
        )  # a rank correlation of independent values
    counts = np.unique(truth, return_counts=True)[
        1
    ]  # a mean of recalls, each of variance 1/4 at most over its class's rows
    return gains, len(truth), 0.5 * np.sqrt((1 / counts).sum()) / len(counts), 1 - 1 / len(counts)


def _said(estimator, X, rotated, train, test, classifies, budget):
    """Predictions of one fold; rows of a single class teach nothing but that class."""
    labels = take(rotated, train)
    known = np.unique(np.asarray(labels))
    if classifies and len(known) == 1:
        return np.full(len(test), known[0])
    return np.asarray(
        fitted(brief(estimator, budget), take(X, train), labels).predict(take(X, test))
    )


def _above_chance(truth, said, classifies):
    if classifies:
        return float(balanced_accuracy_score(truth, said) - 1 / len(np.unique(truth)))
    constant = len(np.unique(said)) < 2 or len(np.unique(truth)) < 2
    return 0.0 if constant else float(stats.spearmanr(truth, said).statistic)


def _conclude(gains, n_tested, spread, best, reach):
    gain = float(np.mean(gains))
    noise = spread * np.sqrt(max(int(reach or 0), 0) + 1)  # overlapping labels count once
    bound = max(_EFFECT, _SIGMAS * noise / np.sqrt(len(gains)))
    evidence = {
        "gain_above_chance": gain,
        "noise": noise,
        "bound": bound,
        "rotations": len(gains),
        "tested": n_tested,
    }
    if bound >= best:
        message = (
            f"{n_tested} tested rows are too few to tell rotated labels from chance: not even a "
            "perfect prediction would stand out."
        )
        report = cannot(
            _CHECK,
            "too_few_rows",
            message,
            where={"parameter": "cv"},
            fix="test more rows",
            severity="warning",
        )
        return report
    if gain > bound and min(gains) > _SHARE * gain:
        message = (
            f"Labels rotated in time are still predicted {gain:.2f} above chance: tested labels "
            "reach the model through the folds."
        )
        finding = Finding(
            "shuffled_labels",
            "error",
            message,
            {"parameter": "cv"},
            evidence,
            "cv = EnhancedWalkForwardCV(horizon=...)",
        )
        return LeakageReport([finding], {_CHECK: FAIL})
    return LeakageReport([], {_CHECK: PASS})

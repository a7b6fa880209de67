"""What the best score of a search is worth, from the fold-by-trial matrix of scores.

The best of many trials is a case of multiple testing: its score is too good by an amount that can
be computed. Folds must be ordered and purged for any of this to mean something: a leak passes every
test here.
"""

from dataclasses import dataclass, replace
from typing import Literal
import warnings

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from scipy.stats import t as student
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer
from sklearn.model_selection._validation import _fit_and_score

from .._statistics import expected_maximum, fold_mean_error
from ..evaluation import effective_number_of_trials, probability_of_backtest_overfitting
from ..exceptions import SktrainError
from ..reproducibility import rng_scope
from ._evaluate import cause_of

__all__ = ["OverfitReport", "check_folds", "fold_baseline", "assess", "overfit_report"]

_LEVEL = 0.05  # of the p-value of the best score over the baseline: the customary one
# a judgment: "has an edge" needs the chosen parameters to lose to the baseline in less than 1 of
# 5 halves
_LOSS = 0.2
_BLOCKS = 16  # Bailey et al. (2017), "The probability of backtest overfitting": 12,870 combinations


@dataclass(frozen=True)
class OverfitReport:
    """What the best of many trials is worth.

    Attributes
    ----------
    n_trials, n_complete : int
        Trials of the search, and those that ran every fold.
    n_effective : float
        Independent trials that the correlated ones amount to; see
        :func:`sktrain.evaluation.effective_number_of_trials`.
    n_folds : int
        Folds of the search.
    best_score : float
        Mean test score of the best trial.
    baseline_score : float
        The same score, on the same folds, of a model that ignores the features (class frequencies,
        or the mean); NaN when the scorer cannot score one.
    expected_luck : float
        Best score expected from ``n_effective`` trials without any edge over the baseline.
    deflated_score : float
        ``best_score`` less what luck is expected to add.
    p_value : float
        Chance that trials without an edge give a best one this far above the baseline.
    pbo : float
        Probability of backtest overfitting over the folds: how often the trial that is best on half
        of them is below the median on the other half, at the median counting half (0 good, 0.5
        blind). Near-equal good trials are blind choices too. NaN below 4 folds or 2 complete
        trials.
    loss_probability : float
        How often the trial that is best on half of the folds is no better than the baseline on the
        other half; NaN as above.
    nested_scores : tuple of float or None
        Outer scores of a nested search, when asked for with ``nested_estimate``.
    verdict : {"edge", "no edge", "cannot tell"}
        "edge" only when the p-value is below 0.05 and the lead carries over between folds (loss
        probability below 0.2, where known).
        "cannot tell" without a baseline or with fewer than three folds.
    reason : str
        Why the verdict is "cannot tell", else empty.

    Notes
    -----
    The lead over the baseline in each of K folds has standard deviation s; the mean of K leads has
    variance s² (1/K + n_test/n_train), because folds share training rows (Nadeau & Bengio 2003). s
    is that of the best trial, or the median of all trials where that is larger. One trial's p-value
    is Student's with K - 1 degrees of freedom; that of the best of N independent ones is 1 - (1 -
    p)^N. The expected maximum follows Bailey & López de Prado (2014), with Student's quantiles. Few
    folds give few degrees of freedom: the test would rather miss an edge than see one in noise.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import TimeSeriesSplit
    >>> from sktrain import OptunaSearchCV
    >>> rng = np.random.default_rng(0)
    >>> X, noise = rng.normal(size=(300, 2)), rng.integers(0, 2, size=300)
    >>> search = OptunaSearchCV(
    ...     LogisticRegression(), {"C": (1e-3, 10.0, "log")}, n_trials=4, cv=TimeSeriesSplit(5),
    ...     random_state=0,
    ... ).fit(X, noise)
    >>> search.overfit_report_.verdict, search.overfit_report_.n_folds
    ('no edge', 5)
    """

    n_trials: int
    n_complete: int
    n_effective: float
    n_folds: int
    best_score: float
    baseline_score: float
    expected_luck: float
    deflated_score: float
    p_value: float
    pbo: float
    loss_probability: float
    verdict: Literal["edge", "no edge", "cannot tell"]
    nested_scores: tuple | None = None
    reason: str = ""

    @property
    def has_edge(self) -> bool:
        """Whether the verdict is "edge"."""
        return self.verdict == "edge"

    def with_nested(self, scores: ArrayLike) -> "OverfitReport":
        """The report with the outer scores of a nested search.

        Parameters
        ----------
        scores : array-like of shape (n_outer_folds,)
            Outer test scores.

        Returns
        -------
        OverfitReport
            A copy with ``nested_scores``.
        """
        return replace(self, nested_scores=tuple(np.asarray(scores, dtype=float).tolist()))

    def summary(self) -> str:
        """The report as text, numbers first.

        Returns
        -------
        str
            Several lines.
        """
        lines = [
            (
                f"best of {self.n_trials} trials        {self.best_score:.4f} ({self.n_complete} "
                f"complete, {self.n_folds} folds)"
            ),
            f"a model without features  {self.baseline_score:.4f}",
            (f"expected from luck alone  {self.expected_luck:.4f} (best of {self.n_effective:.1f} "
            "independent trials)"),
            f"deflated best score       {self.deflated_score:.4f}",
            f"p-value                   {self.p_value:.3f}",
            f"PBO, loss probability     {self.pbo:.2f}, {self.loss_probability:.2f}",
        ]
        if self.nested_scores is not None:
            lines.append(
                f"nested estimate           {np.mean(self.nested_scores):.4f} over "
                f"{len(self.nested_scores)} outer folds"
            )
        return "\n".join(
            [
                *lines,
                f"verdict                   {self.verdict}"
                + (f" ({self.reason})" if self.reason else ""),
            ]
        )


def assess(scores, baseline, test_share, *, n_trials=None):
    """Assess a matrix of fold scores.

    Parameters
    ----------
    scores : array-like of shape (n_folds, n_complete)
        Test scores of the complete trials, larger is better.
    baseline : array-like of shape (n_folds,) or None
        Scores of a model without features on the same folds.
    test_share : float
        Mean number of test rows over mean number of training rows.
    n_trials : int, optional
        All trials, pruned ones included; default ``n_complete``.

    Returns
    -------
    OverfitReport

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain.search._overfit import assess
    >>> noise = np.random.default_rng(0).normal(0.5, 0.02, (5, 20))
    >>> assess(noise, np.full(5, 0.5), 0.25).verdict
    'no edge'
    """
    scores = np.asarray(scores, dtype=np.float64)
    n_folds, n_complete = scores.shape
    best = scores[:, int(scores.mean(axis=0).argmax())]
    effective = _effective(scores)
    counts = (
        n_complete if n_trials is None else n_trials,
        n_complete,
        effective,
        n_folds,
        float(best.mean()),
    )
    if baseline is None or not np.isfinite(baseline).all() or n_folds < 3:
        return _undecided(counts, scores, baseline)
    leads = scores - np.asarray(baseline)[:, None]
    lead = best - np.asarray(baseline)
    spread = max(lead.std(ddof=1), float(np.median(leads.std(axis=0, ddof=1))))
    error = fold_mean_error(spread, n_folds, test_share)
    lift = error * expected_maximum(effective, n_folds - 1)
    p_value = _best_of(lead.mean(), error, n_folds - 1, effective)
    pbo, loss = _halves(leads)
    edge = p_value < _LEVEL and not loss >= _LOSS
    mean = float(np.mean(baseline))
    return OverfitReport(
        *counts,
        mean,
        mean + lift,
        counts[-1] - lift,
        p_value,
        pbo,
        loss,
        "edge" if edge else "no edge",
    )


def _undecided(counts: tuple[int, int, float, int, float], scores, baseline):
    """The report where folds are too few, or nothing was scored to compare with."""
    n_folds = len(scores)
    reason = "no model without features could be scored"
    if n_folds < 3:
        reason = f"{n_folds} fold{'s' * (n_folds > 1)}: three are needed to know how scores vary"
    return OverfitReport(
        *counts,
        float(np.mean(baseline)) if baseline is not None else np.nan,
        np.nan,
        np.nan,
        np.nan,
        _halves(scores)[0],
        np.nan,
        "cannot tell",
        reason=reason,
    )


def _best_of(lead, error, freedom, n_trials):
    if error == 0:
        return 0.0 if lead > 0 else 1.0
    one = student.sf(lead / error, freedom)
    return float(-np.expm1(n_trials * np.log1p(-min(one, 1 - 1e-16))))


def _effective(scores):
    if len(scores) < 3:
        return float(scores.shape[1])
    return float(effective_number_of_trials(scores))


def _halves(leads):
    """PBO and loss probability with folds as blocks; the first fold stands out where their number
    is odd, as halves must match.

    More than 16 folds are joined, neighbours first, into 16 blocks, the number Bailey et al. (2017)
    use: 12,870 halves.
    """
    even = leads[len(leads) % 2 :] if len(leads) <= _BLOCKS else leads
    # nothing was chosen among equals
    if len(even) < 4 or leads.shape[1] < 2 or (even == even[:, :1]).all():
        return float("nan"), float("nan")
    found = probability_of_backtest_overfitting(
        even, n_blocks=min(len(even), _BLOCKS), metric="mean"
    )
    return float(found), float(np.mean(found.performance[:, 1] <= 0))


def fold_baseline(estimator, X, y, splits, options):
    """Fold results of a model that ignores the features; None when there is no such model."""
    if y is None or not (is_classifier(estimator) or is_regressor(estimator)):
        return None
    dummy = DummyClassifier(strategy="prior") if is_classifier(estimator) else DummyRegressor()
    weight = {
        name: value for name, value in options["fit_params"].items() if name == "sample_weight"
    }
    quiet = {
        **options,
        "fit_params": weight,
        "verbose": 0,
        "error_score": np.nan,
        "return_train_score": False,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            _fit_and_score(dummy, X, y, train=train, test=test, parameters=None, **quiet)
            for train, test in splits
        ]


def check_folds(search, X, y, splits, baseline, options):
    """Refuse folds that lack a class without which every trial would fail there, before any trial
    is spent.

    Whether the scorer bears the lack is asked of the scorer itself, on the model without features;
    whether the estimator bears a single class is asked of the estimator.

    Raises
    ------
    SktrainError
        Naming fold and class.
    """
    if baseline is None or not is_classifier(search.estimator) or np.ndim(y) != 1:
        return
    codes, classes = pd.factorize(np.asarray(y), sort=False)
    # a function may only fit the real estimator
    known = isinstance(options["scorer"], (_BaseScorer, _MultimetricScorer))
    for fold, ((train, test), result) in enumerate(zip(splits, baseline)):
        counts = [
            np.bincount(codes[rows][codes[rows] >= 0], minlength=len(classes))
            for rows in (train, test)
        ]
        missing = [
            (part, classes[count == 0])
            for part, count in zip(("training", "test"), counts)
            if (count == 0).any()
        ]
        if missing and known and not np.isfinite(search._metric(result["test_scores"])):
            part, names = missing[0]
            raise SktrainError(
                f"Fold {fold} of cv has no {part} row of class {_plain(names[0])!r}, and "
                f"scoring={search.scoring!r} cannot score such a fold, so every "
                "trial would fail. Use fewer or longer folds, or a scorer that needs no "
                "probabilities, such as 'balanced_accuracy'."
            )
        if np.count_nonzero(counts[0]) == 1:
            _check_one_class(
                search.estimator, X, y, fold, (train, test), classes[counts[0] > 0][0], options
            )


def _plain(label):
    """A label as Python shows it."""
    return label.item() if isinstance(label, np.generic) else label


def _check_one_class(estimator, X, y, fold, split, name, options):
    train, test = split
    with warnings.catch_warnings(), rng_scope(0):
        warnings.simplefilter("ignore")
        quiet = {**options, "verbose": 0, "error_score": np.nan}
        failed = _fit_and_score(
            clone(estimator), X, y, train=train, test=test, parameters=None, **quiet
        )["fit_error"]
    if failed is not None:
        where = "y has" if pd.Series(y).nunique() < 2 else f"Fold {fold} of cv trains on"
        fix = "Give labels of two classes." if where == "y has" else "Use fewer or longer folds."
        raise SktrainError(
            f"{where} the one class {_plain(name)!r} ({len(train)} rows), and "
            f"{type(estimator).__name__} cannot: {cause_of(failed)} {fix}"
        )


def overfit_report(records, metric, baseline, splits):
    """The report of a finished search; what cannot be said is said in its ``reason``, never by an
    error.

    Parameters
    ----------
    records : list of Record
        All trials, at least one complete.
    metric : callable
        ``metric(test_scores) -> float``, the score that was searched for.
    baseline : list of dict or None
        From :func:`fold_baseline`.
    splits : list of (train, test)

    Returns
    -------
    OverfitReport
    """
    complete = [record for record in records if record.state == "complete"]
    scores = np.array(
        [[metric(fold["test_scores"]) for fold in record.folds] for record in complete]
    ).T
    known = None
    if baseline is not None and all(fold["fit_error"] is None for fold in baseline):
        known = np.array([metric(fold["test_scores"]) for fold in baseline])
    share = np.mean([len(test) for _, test in splits]) / np.mean(
        [len(train) for train, _ in splits]
    )
    return assess(scores, known, float(share), n_trials=len(records))

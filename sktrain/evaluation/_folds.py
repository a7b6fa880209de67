"""A real fit and score per fold, beside baselines.

Nothing is assumed about time here: the splitter decides what may train. Probabilities are compared
over all classes of ``y``; a class that a training fold never saw has probability zero, clipped to
1e-15 in the log loss.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
import time
from typing import Literal
import warnings

from joblib import effective_n_jobs
import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed

from .._models import all_class_probabilities
from .._routing import folds_of
from .._typing import CrossValidator, Estimator, Transformer
from .._validation import check_beside, labelled_mask
from ..exceptions import NotEnoughDataError
from ._intervals import MeanInterval, corrected_mean_interval

__all__ = [
    "METRICS", "FoldScores", "all_class_probabilities", "baselines", "classification_scores",
    "fold_scores",
]

Metric = Literal["accuracy", "balanced_accuracy", "log_loss"]
METRICS: tuple[Metric, ...] = ("accuracy", "balanced_accuracy", "log_loss")
# what each metric can be
_RANGES = {"accuracy": (0.0, 1.0), "balanced_accuracy": (0.0, 1.0), "log_loss": (0.0, np.inf)}


@dataclass(frozen=True)
class FoldScores:
    """What every estimator scored in every fold.

    Attributes
    ----------
    table : DataFrame
        One row per fold: the splitter's own summary (dates, sizes, purged, embargoed, regimes)
        where it gives one, then one column ``<estimator>_<metric>`` per estimator and metric.
    n_train, n_test : ndarray of int, shape (n_folds,)
        Rows used.
    names : tuple of str
        The estimators, the first is the one in question.
    seconds : ndarray of float, shape (n_folds,)
        Time to fit and score all estimators of a fold.
    inspected : tuple of length n_folds
        What ``inspect`` found in each fold, if it was given.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import TimeSeriesSplit
    >>> from sktrain.evaluation import baselines, fold_scores
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> models = baselines()
    >>> scores = fold_scores(
    ...     {"logistic": models["logistic"], "majority": models["majority"]},
    ...     X, (X[:, 0] > 0).astype(int), TimeSeriesSplit(3),
    ... )
    >>> scores.n_train.tolist(), scores.n_test.tolist()
    ([75, 150, 225], [75, 75, 75])
    >>> scores.table["majority_balanced_accuracy"].tolist()
    [0.5, 0.5, 0.5]
    """

    table: pd.DataFrame
    n_train: np.ndarray
    n_test: np.ndarray
    names: tuple
    seconds: np.ndarray = field(repr=False)
    inspected: tuple = field(default=(), repr=False)

    def scores(
        self,
        metric: Metric = "balanced_accuracy",
        name: str | None = None,
    ) -> np.ndarray:
        """Scores per fold of one estimator.

        Parameters
        ----------
        metric : {"accuracy", "balanced_accuracy", "log_loss"}, default="balanced_accuracy"
            Log loss is in nats.
        name : str, optional
            One of ``names``; default the first.

        Returns
        -------
        ndarray of shape (n_folds,)
            Score of each fold, in order of time.
        """
        return self.table[f"{name or self.names[0]}_{metric}"].to_numpy()

    def interval(
        self,
        metric: Metric = "balanced_accuracy",
        name: str | None = None,
        *,
        confidence: float = 0.95,
    ) -> MeanInterval:
        """Mean over folds and its corrected confidence interval (Nadeau and Bengio 2003).

        Parameters
        ----------
        metric : {"accuracy", "balanced_accuracy", "log_loss"}, default="balanced_accuracy"
            Log loss is in nats.
        name : str, optional
            One of ``names``; default the first.
        confidence : float, default=0.95
            Two-sided, in (0, 1).

        Returns
        -------
        MeanInterval
            Cut to the range of the metric.
        """
        found = corrected_mean_interval(
            self.scores(metric, name),
            n_train=self.n_train,
            n_test=self.n_test,
            confidence=confidence,
        )
        return _within(found, *_RANGES[metric])

    def difference(
        self,
        other: str,
        metric: Metric = "balanced_accuracy",
        *,
        confidence: float = 0.95,
    ) -> MeanInterval:
        """Interval of the mean fold-wise difference between the first estimator and ``other``.

        Parameters
        ----------
        other : str
            One of ``names``, to compare the first with.
        metric : {"accuracy", "balanced_accuracy", "log_loss"}, default="balanced_accuracy"
            Log loss is in nats.
        confidence : float, default=0.95
            Two-sided, in (0, 1).

        Returns
        -------
        MeanInterval
            Of the score of the first less that of ``other``.
        """
        gap = self.scores(metric) - self.scores(metric, other)
        found = corrected_mean_interval(
            gap, n_train=self.n_train, n_test=self.n_test, confidence=confidence
        )
        low, high = _RANGES[metric]
        return _within(found, low - high, high - low)

    def verdict(
        self, metric: Metric = "balanced_accuracy"
    ) -> str:
        """Whether the first estimator beats the best of the others, in one sentence.

        The interval of the fold-wise difference decides; when it holds 0, nothing was shown.

        Parameters
        ----------
        metric : {"accuracy", "balanced_accuracy", "log_loss"}, default="balanced_accuracy"
            Log loss is in nats.

        Returns
        -------
        str
            One sentence.
        """
        own = self.interval(metric)
        said = (
            f"Walk-forward {metric.replace('_', ' ')} {own.mean:.3f} [{own.low:.3f}, "
            f"{own.high:.3f}] over {len(self.n_test)} folds"
        )
        if len(self.names) == 1:
            return f"{said}."
        rival = max(
            self.names[1:],
            key=lambda name: (
                np.mean(self.scores(metric, name)) * (-1 if metric == "log_loss" else 1)
            ),
        )
        gap = self.difference(rival, metric)
        against = (
            f"{said}, {gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] against the {rival} "
            "baseline"
        )
        better, worse = (
            (gap.high < 0, gap.low > 0) if metric == "log_loss" else (gap.low > 0, gap.high < 0)
        )
        if better:
            return f"{against}: better than the baseline."
        return f"{against}: {'worse than the baseline' if worse else 'no edge shown'}."

    def summary(self) -> str:
        """Mean of each metric over the folds, with the interval of the balanced accuracy.

        Returns
        -------
        str
            One line per estimator.
        """
        lines = []
        for name in self.names:
            means = ", ".join(
                f"{metric.replace('_', ' ')} {np.nanmean(self.scores(metric, name)):.3f}"
                for metric in METRICS
            )
            bounds = self.interval(name=name)
            lines.append(
                f"{name}: {means}; balanced accuracy 95 % interval [{bounds.low:.3f}, "
                f"{bounds.high:.3f}]"
            )
        return "\n".join(lines)


def _within(found, low, high):
    """The interval without the values that no mean can take: it holds the true mean exactly as
    often."""
    return replace(found, low=max(found.low, low), high=min(found.high, high))


def classification_scores(y_true: ArrayLike, probabilities: ArrayLike, classes: ArrayLike) -> dict:
    """Accuracy, balanced accuracy and log loss of predicted probabilities.

    Parameters
    ----------
    y_true : array of shape (n,)
        True labels.
    probabilities : array of shape (n, n_classes)
        Predicted probabilities, columns in the order of ``classes``.
    classes : array of shape (n_classes,)
        Sorted; the class of each column.

    Returns
    -------
    dict
        ``accuracy``; ``balanced_accuracy``, the mean recall of the classes present in ``y_true``;
        ``log_loss`` in nats.

    Examples
    --------
    >>> classification_scores([0, 1], [[0.8, 0.2], [0.4, 0.6]], [0, 1])["accuracy"]
    1.0
    """
    classes, y_true = np.asarray(classes), np.asarray(y_true)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    predicted = classes[probabilities.argmax(axis=1)]
    safe = np.clip(probabilities, 1e-15, None)
    return {
        "accuracy": float(accuracy_score(y_true, predicted)),
        "balanced_accuracy": balanced_accuracy(y_true, predicted),
        "log_loss": float(log_loss(y_true, safe / safe.sum(axis=1, keepdims=True), labels=classes)),
    }


def balanced_accuracy(y_true, y_pred):
    """Mean recall of the classes present in ``y_true``: scikit-learn's warns of others that were
    predicted."""
    _, codes = np.unique(y_true, return_inverse=True)
    hits = np.asarray(y_true) == np.asarray(y_pred)
    return float(np.mean(np.bincount(codes, weights=hits) / np.bincount(codes)))


def baselines(features: Transformer | None = None) -> dict:
    """What any model has to beat: the majority class, and a logistic regression.

    Parameters
    ----------
    features : transformer, optional
        Turns rows into features before the logistic regression; cloned.

    Returns
    -------
    dict of str to classifier
        ``"majority"`` (class frequencies) and ``"logistic"``, both unfitted.

    Examples
    --------
    >>> from sktrain import BarFeatures
    >>> from sktrain.evaluation import baselines
    >>> list(baselines(BarFeatures()))
    ['majority', 'logistic']
    """
    # here, not above: workers that score the folds of other models import none of it
    from sklearn.dummy import DummyClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    steps = [
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(max_iter=1000),
    ]
    return {
        "majority": DummyClassifier(strategy="prior"),
        "logistic": make_pipeline(*([clone(features)] if features is not None else []), *steps),
    }


def fold_scores(
    estimators: dict[str, Estimator] | Estimator,
    X: ArrayLike,
    y: ArrayLike,
    cv: CrossValidator,
    *,
    groups: ArrayLike | None = None,
    label_end_times: ArrayLike | None = None,
    n_jobs: int | None = None,
    on_fold: Callable | None = None,
    stop: Callable | None = None,
    inspect: Callable | None = None,
) -> FoldScores:
    """Fit and score every estimator in every fold.

    Parameters
    ----------
    estimators : dict of str to classifier, or classifier
        Each is cloned per fold. The first is the one in question; the others are what it is
        compared with.
    X : DataFrame, array or WindowedArray of n rows
        In any order; the splitter says what is trained and tested.
    y : array-like of shape (n,)
        Integer or string classes; rows with a missing label are in no fold.
    cv : splitter, or iterable of (train, test) positions
        The folds; a ``summary`` method adds its columns to the table.
    groups, label_end_times : array-like of shape (n,), optional
        Handed to ``cv.split``.
    n_jobs : int, optional
        Folds fitted at once, through joblib (so its Dask backend works); the same scores for any
        value. With several, the largest begin first.
    on_fold : callable, optional
        Called as ``on_fold(number, row)`` after each fold; in order with one process.
    stop : callable, optional
        Asked after each fold; once it says True, that fold is left out (it may be half trained) and
        no other is begun.
    inspect : callable, optional
        Called as ``inspect(estimator)`` with the fitted first estimator of each fold, where it was
        fitted; what it returns is kept in ``inspected``.

    Returns
    -------
    FoldScores
        Scores per fold, with intervals and a verdict.

    Raises
    ------
    NotEnoughDataError
        When the splitter yields no fold, or fewer than two were scored before ``stop``.

    Examples
    --------
    >>> from sktrain import AdaptiveLabeler, BarFeatures, EnhancedWalkForwardCV
    >>> from sktrain.datasets import load_sp500
    >>> from sktrain.evaluation import baselines, fold_scores
    >>> bars, y = AdaptiveLabeler(base_threshold=0.5, scaling="sigma").fit_resample(
    ...     load_sp500().iloc[:800]
    ... )
    >>> result = fold_scores(
    ...     baselines(BarFeatures()),
    ...     bars,
    ...     y,
    ...     EnhancedWalkForwardCV(n_splits=3, ensure_regime_coverage=False),
    ... )
    >>> result.table.shape[0], result.names
    (3, ('majority', 'logistic'))
    """
    if not isinstance(estimators, dict):
        estimators = {"model": estimators}
    check_beside(X, {"groups": groups}, y)
    told = {"groups": groups, "label_end_times": label_end_times}
    folds = list(folds_of(cv, X, y, **told))
    if not folds:
        raise NotEnoughDataError("cv yields no fold.")
    found = _scored(estimators, X, y, folds, n_jobs, on_fold, stop, inspect)
    kept = sorted(found)
    rows, times, inspected = zip(*(found[number] for number in kept))
    table = pd.DataFrame(rows, index=pd.Index(kept, name="fold"))
    described = _describe(cv, X, y, told)
    if described is not None and len(described) == len(folds):
        table = pd.concat([described.iloc[kept].set_axis(table.index), table], axis=1)
    sizes = np.array([[len(part) for part in folds[number]] for number in kept])
    seen = inspected if inspect is not None else ()
    return FoldScores(table, sizes[:, 0], sizes[:, 1], tuple(estimators), np.array(times), seen)


def _scored(estimators, X, y, folds, n_jobs, on_fold, stop, inspect):
    """Row, seconds and what was inspected of every fold that was scored before a stop."""
    classes = np.unique(np.asarray(y)[labelled_mask(y, len(y))])
    order = list(range(len(folds)))
    if effective_n_jobs(n_jobs) > 1:  # processes are idle for the shortest time at the end
        order.sort(key=lambda number: -len(folds[number][0]))
    jobs = (
        delayed(_score_fold)(estimators, X, y, *folds[number], classes, inspect)
        for number in order
    )
    found = {}
    for number, one in zip(order, Parallel(n_jobs=n_jobs, return_as="generator")(jobs)):
        if stop is not None and stop():
            break
        found[number] = one
        if on_fold is not None:
            on_fold(number, one[0])
    if len(found) < min(2, len(folds)):
        raise NotEnoughDataError(
            f"Only {len(found)} of {len(folds)} folds were scored before the stop."
        )
    return found


def _describe(cv, X, y, told):
    if not hasattr(cv, "summary"):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # split has said them already
        return cv.summary(X, y, **{name: one for name, one in told.items() if one is not None})


def fit_fold(estimator, X, y, train, **params):
    """A clone fitted on the rows ``train``."""
    return clone(estimator).fit(_safe_indexing(X, train), _safe_indexing(y, train), **params)


def _score_fold(estimators, X, y, train, test, classes, inspect=None):
    start = time.perf_counter()
    test_X, test_y = _safe_indexing(X, test), np.asarray(_safe_indexing(y, test))
    row, inspected = {}, None
    for place, (name, estimator) in enumerate(estimators.items()):
        fitted = fit_fold(estimator, X, y, train)
        said = all_class_probabilities(fitted, test_X, classes)
        scores = classification_scores(test_y, said, classes)
        row.update({f"{name}_{metric}": value for metric, value in scores.items()})
        if inspect is not None and place == 0:
            inspected = inspect(fitted)
    return row, time.perf_counter() - start, inspected

"""Predictions that no fold trained on, and how good they are regime by regime.

The splitter decides what may train: it is given the label end times, nothing here purges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.metrics import accuracy_score
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, _num_samples

from .._routing import folds_of
from .._typing import CrossValidator, Estimator
from .._validation import check_beside, check_count, labelled_mask
from ..exceptions import InvalidSplitError, NotEnoughDataError, SktrainError
from ._folds import all_class_probabilities, balanced_accuracy, fit_fold

__all__ = ["OutOfFoldPredictions", "RegimeScores", "per_regime_scores", "walk_forward_predict"]


@dataclass(frozen=True, eq=False)
class OutOfFoldPredictions:
    """Class probabilities of rows that were tested; unpacks as ``probabilities, mask``.

    Attributes
    ----------
    probabilities : ndarray of shape (n, n_classes)
        NaN in rows that no fold tested; the mean where several folds did.
    mask : ndarray of bool, shape (n,)
        Rows that were tested.
    classes : ndarray of shape (n_classes,)
        Sorted labels; the class of each column.
    n_tests : ndarray of int, shape (n,)
        Folds that tested each row.
    index : Index or None
        Index of X, where it has one.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import TimeSeriesSplit
    >>> from sktrain.evaluation import walk_forward_predict
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> found = walk_forward_predict(LogisticRegression(), X, X[:, 0] > 0, TimeSeriesSplit(3))
    >>> probabilities, mask = found
    >>> probabilities.shape, int(mask.sum()), found.classes.tolist()
    ((60, 2), 45, [False, True])
    """

    probabilities: np.ndarray
    mask: np.ndarray
    classes: np.ndarray
    n_tests: np.ndarray
    index: pd.Index | None = None

    def __iter__(self):
        return iter((self.probabilities, self.mask))

    def predict(self) -> np.ndarray:
        """The most probable class of every tested row.

        Returns
        -------
        ndarray of shape (mask.sum(),)
            Labels, in row order.
        """
        return self.classes[self.probabilities[self.mask].argmax(axis=1)]

    def frame(self) -> pd.DataFrame:
        """The probabilities as a DataFrame.

        Returns
        -------
        DataFrame of shape (n, n_classes)
            Indexed like X, one column per class, NaN where not tested.
        """
        return pd.DataFrame(self.probabilities, self.index, self.classes)

    def summary(self) -> str:
        """How many rows were tested, and the classes.

        Returns
        -------
        str
            One line.
        """
        return (
            f"{int(self.mask.sum())} of {len(self.mask)} rows predicted out of fold; classes "
            f"{', '.join(map(str, self.classes))}"
        )


def walk_forward_predict(
    estimator: Estimator,
    X: ArrayLike,
    y: ArrayLike,
    cv: CrossValidator,
    *,
    groups: ArrayLike | None = None,
    label_end_times: ArrayLike | None = None,
    params: dict | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> OutOfFoldPredictions:
    """Fit a clone in every fold and predict the rows it is tested on.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
        Cloned for every fold.
    X : DataFrame, array or WindowedArray of n rows
        As the estimator takes them.
    y : array-like of shape (n,)
        Labels; a missing label is fine in rows that are in no training fold.
    cv : splitter, or iterable of (train, test) positions
        The folds.
    groups, label_end_times : array-like of shape (n,), optional
        Handed to ``cv.split``, so that labels which end inside a test fold are purged.
    params : dict, optional
        Parameters of ``fit``; array-likes of length n (such as ``sample_weight``) are cut to the
        training rows.
    n_jobs : int, optional
        Folds fitted at once, through joblib; the same result for any value.
    verbose : int, default=0
        0 is silent; 1 shows progress.

    Returns
    -------
    OutOfFoldPredictions
        ``probabilities, mask = walk_forward_predict(...)`` works too.

    Raises
    ------
    NotEnoughDataError
        When the splitter yields no fold.
    InvalidSplitError
        When ``label_end_times`` is given and the splitter cannot take it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import TimeSeriesSplit
    >>> from sktrain.evaluation import walk_forward_predict
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> y = (X[:, 0] > 0).astype(int)
    >>> walk_forward_predict(LogisticRegression(), X, y, TimeSeriesSplit(3)).summary()
    '45 of 60 rows predicted out of fold; classes 0, 1'
    """
    n = _num_samples(X)
    if y is None or _num_samples(y) != n:
        held = "none" if y is None else _num_samples(y)
        raise InvalidSplitError(f"X has {n} rows but y has {held}.")
    if not hasattr(estimator, "predict_proba"):
        raise SktrainError(
            f"{type(estimator).__name__} has no predict_proba; wrap it in CalibratedClassifierCV "
            "or choose a classifier that has."
        )
    check_beside(X, {"groups": groups, **(params or {})}, y)
    folds = splits_of(cv, X, y, groups=groups, label_end_times=label_end_times)
    classes = np.unique(np.asarray(y)[labelled_mask(y, n)])
    jobs = (
        delayed(_predict_fold)(estimator, X, y, train, test, params, classes)
        for train, test in folds
    )
    total, count = np.zeros((n, len(classes))), np.zeros(n, dtype=np.intp)
    parallel = Parallel(
        n_jobs=n_jobs, verbose=10 * bool(check_count("verbose", verbose, minimum=0))
    )
    for (_, test), part in zip(folds, parallel(jobs)):
        total[test] += part
        count[test] += 1
    mask = count > 0
    total[mask] /= count[mask, None]
    total[~mask] = np.nan
    index = getattr(X, "index", None)
    return OutOfFoldPredictions(
        total, mask, classes, count, index if isinstance(index, pd.Index) else None
    )


def splits_of(cv, X, y, *, groups=None, label_end_times=None):
    """The folds of ``cv`` as a list of position pairs; label end times reach it or are refused,
    never dropped."""
    if getattr(cv, "shuffle", False) or "Shuffle" in type(cv).__name__:
        raise InvalidSplitError(
            f"cv={cv!r} shuffles rows: it would train on the future of what it predicts. Pass "
            "a splitter that keeps time, such as EnhancedWalkForwardCV()."
        )
    if label_end_times is not None and hasattr(cv, "split") and not takes_end_times(cv):
        raise InvalidSplitError(
            f"{type(cv).__name__}.split takes no label_end_times: labels that end in a "
            "test fold would leak. Use a sktrain splitter."
        )
    folds = list(folds_of(cv, X, y, groups=groups, label_end_times=label_end_times))
    if not folds:
        raise NotEnoughDataError("cv yields no fold.")
    return [(np.asarray(train), np.asarray(test)) for train, test in folds]


def takes_end_times(cv):
    """Whether ``cv.split`` has a parameter ``label_end_times``."""
    from inspect import signature

    return "label_end_times" in signature(cv.split).parameters


def _predict_fold(estimator, X, y, train, test, params, classes):
    fit_params = _check_method_params(X, params=params or {}, indices=train)
    fitted = fit_fold(estimator, X, y, train, **fit_params)
    return all_class_probabilities(fitted, _safe_indexing(X, test), classes)


@dataclass(frozen=True, eq=False)
class RegimeScores:
    """A score for each regime.

    Attributes
    ----------
    table : DataFrame
        Indexed by regime, most frequent first: ``n_rows``, ``share`` of the scored rows, ``score``,
        ``majority`` (share of the most frequent class: what a constant answer gets right).
    overall : float
        The same metric over all scored rows.
    metric : str
        Name of the metric.

    Examples
    --------
    >>> from sktrain.evaluation import per_regime_scores
    >>> found = per_regime_scores([0, 1, 0, 1], [0, 1, 1, 1], ["bull", "bull", "bear", "bear"])
    >>> found.overall, float(found.table.loc["bear", "score"])
    (0.75, 0.5)
    """

    table: pd.DataFrame
    overall: float
    metric: str

    def summary(self) -> str:
        """The overall score and that of each regime.

        Returns
        -------
        str
            One line per regime.
        """
        rows = [
            f"{name}: {row.score:.3f} ({int(row.n_rows)} rows, majority {row.majority:.3f})"
            for name, row in self.table.iterrows()
        ]
        return "\n".join([f"{self.metric} {self.overall:.3f} overall", *rows])


_METRICS = {"balanced_accuracy": balanced_accuracy, "accuracy": accuracy_score}


def per_regime_scores(
    y: ArrayLike,
    predictions: OutOfFoldPredictions | ArrayLike,
    regimes: ArrayLike,
    *,
    metric: Literal["balanced_accuracy", "accuracy"] | Callable[..., float] = "balanced_accuracy",
) -> RegimeScores:
    """Score predictions within each market regime.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels; rows without one are left out.
    predictions : array-like of shape (n,) or OutOfFoldPredictions
        Predicted labels, missing where there is none; rows that were not tested are left out.
    regimes : array-like of shape (n,), or DataFrame of one column
        Regime of each row, as from ``RegimeDetector().fit_transform(bars)``. Rows without one are
        scored as ``"unknown"``.
    metric : {"balanced_accuracy", "accuracy"} or callable, default="balanced_accuracy"
        A callable takes (y_true, y_pred). Balanced accuracy is the mean recall of the classes that
        occur in the regime.

    Returns
    -------
    RegimeScores
        Table of scores, with the overall score.

    Raises
    ------
    SktrainError
        When lengths differ or the metric is unknown.

    Examples
    --------
    >>> from sktrain.evaluation import per_regime_scores
    >>> found = per_regime_scores([0, 1, 0, 1], [0, 1, 1, 1], ["bull", "bull", "bear", "bear"])
    >>> found.table["score"].to_dict()
    {'bull': 1.0, 'bear': 0.5}
    """
    truth, n = np.asarray(y), _num_samples(y)
    guess, scored = _labels(predictions, n)
    names = _regime_names(regimes, n)
    told = predictions.frame() if isinstance(predictions, OutOfFoldPredictions) else predictions
    check_beside(y, {"predictions": told, "regimes": regimes}, told, rows="y")
    scored = scored & labelled_mask(y, n)
    if not scored.any():
        raise NotEnoughDataError("No row has both a label and a prediction.")
    score = _METRICS.get(metric) if isinstance(metric, str) else metric
    if not callable(score):
        raise SktrainError(
            f"metric must be one of {', '.join(_METRICS)} or a callable, got {metric!r}."
        )
    rows = {}
    for name in pd.unique(names[scored]):
        here = scored & (names == name)
        _, counts = np.unique(truth[here], return_counts=True)
        rows[name] = (
            int(here.sum()),
            here.sum() / scored.sum(),
            float(score(truth[here], guess[here])),
            counts.max() / here.sum(),
        )
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["n_rows", "share", "score", "majority"]
    )
    table.index.name = "regime"
    overall = float(score(truth[scored], guess[scored]))
    return RegimeScores(
        table.sort_values("n_rows", ascending=False, kind="stable"),
        overall,
        metric if isinstance(metric, str) else metric.__name__,
    )


def _labels(predictions, n):
    if isinstance(predictions, OutOfFoldPredictions):
        guess = np.empty(len(predictions.mask), dtype=predictions.classes.dtype)
        guess[predictions.mask] = predictions.predict()
        scored = predictions.mask
    else:
        guess = np.asarray(predictions)
        scored = ~np.asarray(pd.isna(guess))
    if guess.shape != (n,):
        raise SktrainError(
            f"predictions must hold one label for each of {n} rows, got shape {guess.shape}."
        )
    return guess, scored


def _regime_names(regimes, n):
    if isinstance(regimes, pd.DataFrame):
        if regimes.shape[1] != 1:
            raise SktrainError(f"regimes must be one column, got {list(regimes.columns)!r}.")
        regimes = regimes.iloc[:, 0]
    if len(regimes) != n:
        raise SktrainError(f"regimes has {len(regimes)} values for {n} rows.")
    names = pd.Series(np.asarray(regimes, dtype=object))
    return names.map(
        lambda name: "unknown" if pd.isna(name) else str(getattr(name, "value", name))
    ).to_numpy()

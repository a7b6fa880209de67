"""How sure a mean of fold scores is, and how many discoveries are false.

Folds are taken to share training rows, as the folds of a walk-forward do: their scores are
correlated, and the plain t interval is too short.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .._statistics import fold_mean_error
from .._validation import check_flag, check_number
from ..exceptions import NotEnoughDataError, SktrainError

__all__ = ["MeanInterval", "corrected_mean_interval", "false_discovery_rate"]


@dataclass(frozen=True)
class MeanInterval:
    """A mean of fold scores and the interval that holds its true value with the stated confidence.

    Attributes
    ----------
    mean, low, high : float
        In the unit of the scores.
    standard_error : float
        Corrected for the rows that folds share.
    confidence : float
        Two-sided.
    n_folds : int
        Scores it was computed from.

    Examples
    --------
    >>> from sktrain.evaluation import corrected_mean_interval
    >>> found = corrected_mean_interval([0.40, 0.44, 0.36, 0.40], n_train=800, n_test=200)
    >>> low, high = found
    >>> print(f"{found.mean:.2f} in [{low:.2f}, {high:.2f}]")
    0.40 in [0.33, 0.47]
    """

    mean: float
    low: float
    high: float
    standard_error: float
    confidence: float
    n_folds: int

    def __contains__(self, value):
        return self.low <= value <= self.high

    def __iter__(self):
        return iter((self.low, self.high))

    def summary(self) -> str:
        """The interval in one line.

        Returns
        -------
        str
            One line: mean, interval, folds.
        """
        return (
            f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}] at {self.confidence:.0%}, "
            f"{self.n_folds} folds"
        )


def corrected_mean_interval(
    scores: ArrayLike, n_train: ArrayLike, n_test: ArrayLike, *, confidence: float = 0.95
) -> MeanInterval:
    """Interval for the mean of fold scores by the corrected resampled t statistic.

    The variance of the mean is taken as (1/k + n_test/n_train) s², not s²/k, because folds share
    training rows; k − 1 degrees of freedom. Nadeau & Bengio (2003), "Inference for the
    Generalization Error", Machine Learning 52.

    Parameters
    ----------
    scores : array-like of shape (k,)
        One finite score per fold, at least two.
    n_train, n_test : int or array-like of shape (k,)
        Training and test rows of each fold. Where they differ (an expanding window), the mean of
        the ratios is used.
    confidence : float, default=0.95
        Two-sided, strictly between 0 and 1.

    Returns
    -------
    MeanInterval
        ``mean``, ``low``, ``high``; unpacks as ``low, high``.

    Raises
    ------
    NotEnoughDataError
        With fewer than two scores.

    Examples
    --------
    >>> from sktrain.evaluation import corrected_mean_interval
    >>> corrected_mean_interval([0.40, 0.44, 0.36, 0.40], n_train=800, n_test=200).summary()
    '0.4 [0.3265, 0.4735] at 95%, 4 folds'
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size < 2:
        raise NotEnoughDataError(
            "An interval for the mean needs one score from each of at least 2 folds, got shape "
            f"{values.shape}."
        )
    if not np.isfinite(values).all():
        fold = int(np.argmin(np.isfinite(values)))
        raise SktrainError(
            f"scores: fold {fold} is {values[fold]}. A fold that failed has no place in a mean."
        )
    level = check_number("confidence", confidence, 0, 1, closed="neither")
    ratio = float(
        np.mean(_sizes("n_test", n_test, values.size) / _sizes("n_train", n_train, values.size))
    )
    error = fold_mean_error(values.std(ddof=1), values.size, ratio)
    reach = float(stats.t.ppf(0.5 + level / 2, values.size - 1)) * error
    mean = float(values.mean())
    return MeanInterval(mean, mean - reach, mean + reach, error, level, values.size)


def _sizes(name, rows, folds):
    values = np.asarray(rows)
    if (
        values.dtype.kind not in "iu"
        or values.ndim > 1
        or values.size not in (1, folds)
        or (values < 1).any()
    ):
        raise SktrainError(
            f"{name} must be one number of rows, or one for each of {folds} folds, all at least "
            f"1; got {rows!r}."
        )
    return np.broadcast_to(values.astype(np.float64), folds)


def false_discovery_rate(p_values: ArrayLike, *, dependent: bool = False) -> np.ndarray:
    """Adjusted p-values, for a bounded share of false discoveries.

    Declaring those up to q keeps the expected share of false discoveries at q:
    Benjamini & Hochberg (1995); with ``dependent=True``, Benjamini & Yekutieli (2001), for any
    dependence. BH holds for independent and positively dependent tests, such as several pipelines
    on one market.

    Parameters
    ----------
    p_values : array-like of shape (n,)
        One per hypothesis that was tested, also the disappointing ones.
    dependent : bool, default=False
        Whether to guard against arbitrary dependence.

    Returns
    -------
    ndarray of shape (n,)
        Adjusted p-values in the order given, at most 1.

    Examples
    --------
    >>> from sktrain.evaluation import false_discovery_rate
    >>> false_discovery_rate([0.01, 0.04, 0.03, 0.5]).round(4)
    array([0.04  , 0.0533, 0.0533, 0.5   ])
    """
    check_flag("dependent", dependent)
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not values.size or not ((values >= 0) & (values <= 1)).all():
        raise SktrainError(
            f"p_values must be one number in [0, 1] per hypothesis, got {p_values!r}."
        )
    return stats.false_discovery_control(values, method="by" if dependent else "bh")

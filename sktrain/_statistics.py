"""Statistics that several modules use: the error of a mean over folds, the best of several
draws."""

import numpy as np
from scipy import stats

__all__ = ["expected_maximum", "fold_mean_error"]


def fold_mean_error(spread: float, n_folds: int, test_share: float) -> float:
    """Standard error of a mean of scores whose folds share training rows.

    spread · √(1/n + n_test/n_train), Nadeau & Bengio (2003), "Inference for the Generalization
    Error".

    Parameters
    ----------
    spread : float
        Standard deviation of the scores, with n − 1.
    n_folds : int
        Folds.
    test_share : float
        Test rows over training rows of a fold, in the mean.

    Returns
    -------
    float
        In the unit of the scores.

    Examples
    --------
    >>> round(fold_mean_error(0.02, 5, 0.25), 4)
    0.0134
    """
    return float(spread * np.sqrt(1 / n_folds + test_share))


def expected_maximum(n: float, freedom: float = np.inf) -> float:
    """Expected maximum of ``n`` independent standard normal or Student t variables; 0 for one.

    (1 − γ) F⁻¹(1 − 1/n) + γ F⁻¹(1 − 1/(n e)) with Euler's γ; Bailey & López de Prado (2014), "The
    Deflated Sharpe Ratio", appendix A.1.

    Parameters
    ----------
    n : float
        How many, at least 1; effective numbers need not be whole.
    freedom : float, default=inf
        Degrees of freedom; infinite for normal variables.

    Returns
    -------
    float
        In standard deviations.

    Examples
    --------
    >>> round(expected_maximum(100), 3)
    2.531
    """
    if n <= 1:
        return 0.0
    quantile = stats.norm.isf if np.isinf(freedom) else stats.t(freedom).isf
    # isf of 1/n is precise where the quantile of 1 - 1/n would round
    low, high = quantile(1 / n), quantile(1 / (n * np.e))
    return float((1 - np.euler_gamma) * low + np.euler_gamma * high)

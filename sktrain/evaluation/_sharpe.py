"""Sharpe ratios with their unit: probabilistic, deflated, minimum track record.

All formulas work on Sharpe ratios *per observation* and on kurtosis that is *not* excess (a normal
distribution has 3).
"""

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from scipy import stats

from .._statistics import expected_maximum
from .._typing import FloatLike
from .._validation import check_count, check_number, real_numbers
from ..exceptions import NotEnoughDataError, SktrainError

__all__ = [
    "SharpeRatio",
    "deflated_sharpe_ratio",
    "expected_maximum_sharpe",
    "minimum_track_record_length",
    "probabilistic_sharpe_ratio",
    "sharpe_ratio",
]

# a judgment: no track record is 20 standard errors from zero; a number that claims so was
# annualised
_ABSURD_T = 20.0
_YEAR = pd.Timedelta(days=365.25)  # the Julian year


@dataclass(frozen=True, eq=False, repr=False)
class SharpeRatio(float):
    """A Sharpe ratio that knows its unit. It is a float, so it can be compared and printed like
    one.

    Attributes
    ----------
    value : float
        The ratio, in the unit that ``periods_per_year`` states.
    periods_per_year : float or None
        None for a ratio per observation; else the ratio is annual, at this many observations a
        year.
    n_obs : int
        Observations it was computed from.
    skew, kurtosis : float
        Bias-corrected sample moments of the returns; the kurtosis of a normal distribution is 3.
        NaN below 4 observations.

    Examples
    --------
    >>> from sktrain.evaluation import sharpe_ratio
    >>> ratio = sharpe_ratio([0.01, -0.005, 0.02, 0.0], periods_per_year=252)
    >>> ratio > 1, ratio.n_obs, ratio.periods_per_year
    (True, 4, 252.0)
    """

    value: float
    periods_per_year: float | None
    n_obs: int
    skew: float
    kurtosis: float

    def __new__(cls, value, *fields, **named):
        return float.__new__(cls, value)

    @property
    def per_observation(self) -> "SharpeRatio":
        """The same ratio per observation, a ``SharpeRatio``."""
        if self.periods_per_year is None:
            return self
        return SharpeRatio(
            self.value / math.sqrt(self.periods_per_year),
            None, self.n_obs, self.skew, self.kurtosis,
        )

    def annualised(self, periods_per_year: float) -> "SharpeRatio":
        """The same ratio per year, by the square root of time (independent observations).

        Parameters
        ----------
        periods_per_year : float
            Observations a year, such as 252 for daily bars.

        Returns
        -------
        SharpeRatio
            The annual ratio.
        """
        periods = check_number("periods_per_year", periods_per_year, 0, closed="neither")
        base = self.per_observation
        return SharpeRatio(
            base.value * math.sqrt(periods), periods, self.n_obs, self.skew, self.kurtosis
        )

    def summary(self) -> str:
        """The ratio, its unit, and what it was computed from.

        Returns
        -------
        str
            One line.
        """
        unit = (
            "per observation"
            if self.periods_per_year is None
            else f"a year ({self.periods_per_year:g} observations)"
        )
        return (
            f"Sharpe ratio {self.value:.4g} {unit}, from {self.n_obs} observations; skew "
            f"{self.skew:.3g}, kurtosis {self.kurtosis:.3g}"
        )

    def __repr__(self):
        unit = (
            "per observation"
            if self.periods_per_year is None
            else f"annual, {self.periods_per_year:g} a year"
        )
        return f"SharpeRatio({self.value:.6g}, {unit})"


def sharpe_ratio(
    returns: ArrayLike,
    *,
    periods_per_year: float | None = None,
    risk_free: float = 0.0,
    ddof: int = 1,
) -> SharpeRatio:
    """Mean return over its standard deviation, with its unit.

    Parameters
    ----------
    returns : array-like of shape (n_obs,)
        Simple returns, one per observation, finite. A Series with a ``DatetimeIndex`` is held
        against ``periods_per_year``.
    periods_per_year : float, optional
        Observations in a year: the result is annual. None: the result is per observation.
    risk_free : float, default=0.0
        Riskless return *per observation*.
    ddof : int, default=1
        Delta degrees of freedom of the standard deviation.

    Returns
    -------
    SharpeRatio
        A float that knows its unit.

    Raises
    ------
    NotEnoughDataError
        With fewer than two returns.
    SktrainError
        When returns are constant or not finite, when ``periods_per_year`` contradicts the times of
        the returns by more than a factor of two, or when ``risk_free`` is larger than the returns'
        standard deviation (a rate per year).

    Examples
    --------
    >>> from sktrain.evaluation import sharpe_ratio
    >>> daily = sharpe_ratio([0.01, -0.005, 0.02, 0.0])
    >>> daily
    SharpeRatio(0.563735, per observation)
    >>> daily.annualised(252)
    SharpeRatio(8.94901, annual, 252 a year)
    """
    values = _returns(returns)
    rate = check_number("risk_free", risk_free)
    if check_count("ddof", ddof, minimum=0) >= len(values):
        raise SktrainError(f"ddof={ddof} must be less than the number of returns, {len(values)}.")
    deviation = float(values.std(ddof=ddof))
    if abs(rate) > deviation:
        raise SktrainError(
            f"risk_free={rate:g} is larger than the standard deviation of the returns "
            f"({deviation:g}): it looks like a rate per year. "
            "Pass the riskless return per observation, such as annual / periods_per_year."
        )
    ratio = (float(values.mean()) - rate) / deviation
    skew, kurtosis = math.nan, math.nan
    if values.size > 3:
        skew, kurtosis = (
            float(stats.skew(values, bias=False)),
            float(stats.kurtosis(values, fisher=False, bias=False)),
        )
    plain = SharpeRatio(ratio, None, values.size, skew, kurtosis)
    if periods_per_year is None:
        return plain
    annual = plain.annualised(periods_per_year)
    _check_periods(getattr(returns, "index", None), annual.periods_per_year)
    return annual


def probabilistic_sharpe_ratio(
    sharpe: FloatLike, n_obs: int, *, benchmark: FloatLike = 0.0, skew: FloatLike = 0.0,
    kurtosis: FloatLike = 3.0,
) -> float:
    """Probability that the true Sharpe ratio exceeds ``benchmark``.

    Φ((SR − SR*) √(n − 1) / √(1 − γ₃ SR + (γ₄ − 1)/4 · SR²)), Bailey & López de Prado (2012), "The
    Sharpe Ratio Efficient Frontier".

    Parameters
    ----------
    sharpe : float or SharpeRatio
        Observed ratio per observation.
    n_obs : int
        Observations behind it, at least 2.
    benchmark : float or SharpeRatio, default=0.0
        Ratio to beat, per observation.
    skew, kurtosis : float, default=0.0 and 3.0
        Moments of the returns; kurtosis is not excess.

    Returns
    -------
    float
        Probability in [0, 1].

    Raises
    ------
    SktrainError
        When a ratio is annual: a ``SharpeRatio`` that says so, or a number that per observation
        would lie more than 20 standard errors from zero. Also for moments no distribution has.

    Examples
    --------
    >>> from sktrain.evaluation import probabilistic_sharpe_ratio
    >>> round(probabilistic_sharpe_ratio(0.458, 24), 4)
    0.9817
    >>> round(probabilistic_sharpe_ratio(0.458, 24, skew=-2.448, kurtosis=10.164), 4)
    0.9134
    """
    n = _n_obs(n_obs)
    observed, target = _ratio("sharpe", sharpe, n), _ratio("benchmark", benchmark, n)
    spread = _spread(observed, skew, kurtosis)
    return float(stats.norm.cdf((observed - target) * math.sqrt(n - 1) / spread))


def expected_maximum_sharpe(n_trials: FloatLike, trials_variance: FloatLike) -> float:
    """The Sharpe ratio that the best of ``n_trials`` worthless trials is expected to show.

    √V · ((1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e))) with Euler's γ; Bailey & López de Prado (2014),
    "The Deflated Sharpe Ratio". Zero for one trial.

    Parameters
    ----------
    n_trials : float
        Independent trials, at least 1; see :func:`effective_number_of_trials`.
    trials_variance : float
        Variance of the trials' Sharpe ratios, in the unit the answer is wanted in, squared.

    Returns
    -------
    float
        In the unit of the square root of ``trials_variance``.

    Examples
    --------
    >>> from sktrain.evaluation import expected_maximum_sharpe
    >>> round(expected_maximum_sharpe(100, 0.5 / 250), 4)
    0.1132
    """
    count = check_number("n_trials", n_trials, 1)
    variance = check_number("trials_variance", trials_variance, 0)
    return math.sqrt(variance) * max(0.0, expected_maximum(count))


def deflated_sharpe_ratio(
    sharpe: FloatLike,
    n_obs: int,
    *,
    n_trials: FloatLike,
    trials_variance: FloatLike,
    skew: FloatLike = 0.0,
    kurtosis: FloatLike = 3.0,
) -> float:
    """Probability that the best of ``n_trials`` trials is better than the best of worthless ones.

    The probabilistic Sharpe ratio against :func:`expected_maximum_sharpe`; Bailey & López de Prado
    (2014).

    Parameters
    ----------
    sharpe : float or SharpeRatio
        Ratio of the chosen trial, per observation.
    n_obs : int
        Observations behind it.
    n_trials : float
        Independent trials it was chosen from; see :func:`effective_number_of_trials`.
    trials_variance : float
        Variance over the trials of their Sharpe ratios *per observation*: an annual variance
        divided by the observations a year.
    skew, kurtosis : float, default=0.0 and 3.0
        Moments of the chosen trial's returns; kurtosis is not excess.

    Returns
    -------
    float
        Probability in [0, 1].

    Raises
    ------
    SktrainError
        For units that do not fit together, see :func:`probabilistic_sharpe_ratio`.

    Examples
    --------
    >>> from sktrain.evaluation import deflated_sharpe_ratio
    >>> trials = {"n_trials": 100, "trials_variance": 0.5 / 250}
    >>> round(deflated_sharpe_ratio(2.5 / 250**0.5, 1250, **trials, skew=-3, kurtosis=10), 4)
    0.9004
    """
    n = _n_obs(n_obs)
    luck = expected_maximum_sharpe(n_trials, trials_variance)
    deviation = math.sqrt(trials_variance)
    # .5 a bar would be a Sharpe ratio of 8 a year of days
    if deviation >= 0.5 and deviation * math.sqrt(n) > _ABSURD_T:
        raise SktrainError(
            f"trials_variance={trials_variance:g} means Sharpe ratios that scatter by "
            f"{deviation:.3g} per observation over {n} observations: "
            "it looks annual. Divide it by the number of observations in a year."
        )
    target = SharpeRatio(luck, None, n, math.nan, math.nan)
    return probabilistic_sharpe_ratio(sharpe, n, benchmark=target, skew=skew, kurtosis=kurtosis)


def minimum_track_record_length(
    sharpe: FloatLike,
    *,
    benchmark: FloatLike = 0.0,
    skew: FloatLike = 0.0,
    kurtosis: FloatLike = 3.0,
    confidence: float = 0.95,
) -> float:
    """Observations needed before the probabilistic Sharpe ratio against ``benchmark`` reaches
    ``confidence``.

    1 + (1 − γ₃ SR + (γ₄ − 1)/4 · SR²) (Φ⁻¹(confidence) / (SR − SR*))², Bailey & López de Prado
    (2012). Not rounded: divide by the observations in a year for years; round up for a count.

    Parameters
    ----------
    sharpe, benchmark : float or SharpeRatio
        Observed ratio and the one to beat, per observation.
    skew, kurtosis : float, default=0.0 and 3.0
        Moments of the returns; kurtosis is not excess.
    confidence : float, default=0.95
        Strictly between 0 and 1. Up to one half, two observations (the least the statistic needs)
        are enough.

    Returns
    -------
    float
        Infinite when ``sharpe`` does not exceed ``benchmark``.

    Examples
    --------
    >>> from sktrain.evaluation import minimum_track_record_length
    >>> months = minimum_track_record_length(2 / 12**0.5, benchmark=1 / 12**0.5)
    >>> round(months / 12, 2)  # years of monthly returns
    3.24
    """
    observed, target = _ratio("sharpe", sharpe), _ratio("benchmark", benchmark)
    level = check_number("confidence", confidence, 0, 1, closed="neither")
    spread = _spread(observed, skew, kurtosis)
    if observed <= target:
        return math.inf
    quantile = float(stats.norm.ppf(level))
    if quantile <= 0:
        return 2.0
    return 1.0 + (spread * quantile / (observed - target)) ** 2


def _returns(returns):
    values = real_numbers("returns", returns)
    if values.ndim != 1:
        raise SktrainError(f"returns must be one series, got an array of shape {values.shape}.")
    if values.size < 2:
        raise NotEnoughDataError(f"A Sharpe ratio needs at least 2 returns, got {values.size}.")
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise SktrainError(
            f"returns: row {row} is {values[row]} ({int(bad.sum())} such rows). Drop or repair "
            "them."
        )
    if np.ptp(values) == 0:
        raise SktrainError(
            f"returns are constant ({values[0]:g} in all {values.size} rows): their Sharpe ratio "
            "is undefined."
        )
    return values


def _check_periods(index, periods):
    if not isinstance(index, pd.DatetimeIndex) or len(index) < 3:
        return
    years = (index.max() - index.min()) / _YEAR
    found = (len(index) - 1) / years if years > 0 else math.inf
    # a judgment: weekends, holidays and short sessions change the count by less than two
    if not 0.5 <= periods / found <= 2:
        raise SktrainError(
            f"periods_per_year={periods:g} contradicts the times of the returns: {len(index)} "
            f"from {index.min()} to {index.max()}, "
            f"about {found:.4g} a year. Pass that number, or aggregate the returns first."
        )


def _n_obs(n_obs):
    count = check_count("n_obs", n_obs, minimum=0)
    if count < 2:
        raise NotEnoughDataError(f"The statistic needs at least 2 observations, got n_obs={count}.")
    return count


def _ratio(name, value, n_obs=None):
    """A Sharpe ratio per observation as a float; an annual one is refused, whether it says so or is
    absurd otherwise."""
    if isinstance(value, SharpeRatio):
        if value.periods_per_year is not None:
            raise SktrainError(
                f"{name} is annual ({value.periods_per_year:g} observations a year), expected per "
                f"observation. Pass {name}.per_observation."
            )
        return check_number(name, value.value)
    number = check_number(name, value)
    if n_obs is not None and abs(number) >= 1 and abs(number) * math.sqrt(n_obs) > _ABSURD_T:
        raise SktrainError(
            f"{name}={number:g} per observation over {n_obs} observations would be "
            f"{abs(number) * math.sqrt(n_obs):.0f} standard errors "
            "from zero: it looks annual. Divide it by the square root of the observations in a "
            "year; if it really is per observation, pass the SharpeRatio that sharpe_ratio returns."
        )
    return number


def _spread(ratio, skew, kurtosis):
    third, fourth = check_number("skew", skew), check_number("kurtosis", kurtosis)
    if fourth < 1:
        raise SktrainError(
            f"kurtosis must be at least 1 (a normal distribution has 3), got {kurtosis!r}. Add 3 "
            "to an excess kurtosis."
        )
    square = 1 - third * ratio + (fourth - 1) / 4 * ratio**2
    if square <= 0:
        raise SktrainError(
            f"No distribution has skew {third:g} with kurtosis {fourth:g}: the variance of the "
            f"Sharpe ratio would be {square:.3g}."
        )
    return math.sqrt(square)

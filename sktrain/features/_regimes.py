"""One market regime per row, from the volatility and trend of the last ``lookback`` bars."""

from enum import StrEnum
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from .._causal import CausalTransformer
from .._history import segment_starts
from .._rolling import lag, rolling_slope, rolling_std
from .._validation import Count, Number
from ..exceptions import NotEnoughDataError

__all__ = ["MarketRegime", "RegimeDetector"]

_HIGH = 0.8  # "auto", a judgment: the share of fit rows that is not called high volatility
_TREND = 0.5  # "auto", a judgment: the share of fit rows whose trend is too weak to be called one


class MarketRegime(StrEnum):
    """What the market was doing; each member equals its value, so ``"bull" ==
    MarketRegime.BULL``.

    Examples
    --------
    >>> from sktrain import MarketRegime
    >>> [str(regime) for regime in MarketRegime]
    ['bull', 'bear', 'sideways', 'high_volatility', 'low_volatility']
    """

    BULL = "bull"
    BEAR = "bear"
    SIDEWAYS = "sideways"
    HIGH_VOLATILITY = "high_volatility"
    LOW_VOLATILITY = "low_volatility"


_ORDER = list(MarketRegime)
_CODE = {regime: code for code, regime in enumerate(_ORDER)}


class RegimeDetector(CausalTransformer):
    """Name the regime of every bar from past volatility and trend.

    Volatility is the sample standard deviation of the last ``lookback`` simple returns, trend the
    least-squares slope of the last ``lookback`` log closes times ``lookback - 1``. Volatility wins:
    above its threshold a row is ``high_volatility``, below half of it ``low_volatility``; else a
    trend beyond its threshold is ``bull`` or ``bear``, and what remains ``sideways``.

    Parameters
    ----------
    lookback : int >= 2, default=60
        Returns (and log closes) looked at.
    volatility_threshold : float or "auto", default=0.02
        Standard deviation of returns per bar. ``"auto"``: the 80 % quantile over the rows of
        ``fit``.
    trend_threshold : float or "auto", default=0.05
        Fitted change of log price over ``lookback`` closes. ``"auto"``: the median absolute trend
        over the rows of ``fit``.

    Attributes
    ----------
    volatility_threshold_, trend_threshold_ : float
        The thresholds in use.
    lookback_ : int
        Bars a regime looks back on, its own included: ``lookback + 1``.

    Examples
    --------
    >>> from sktrain import RegimeDetector
    >>> from sktrain.datasets import load_sp500
    >>> bars = load_sp500()
    >>> RegimeDetector().fit_transform(bars).tail(2)["regime"].tolist()
    ['bear', 'bear']
    >>> detector = RegimeDetector(volatility_threshold="auto", trend_threshold="auto")
    >>> detector.fit_transform(bars)["regime"].nunique()
    5
    """

    _required = ("close",)
    _parameter_constraints: dict = {
        "lookback": [Count(2)],
        "volatility_threshold": [Number(0, None, closed="left"), StrOptions({"auto"})],
        "trend_threshold": [Number(0, None, closed="left"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        lookback: int = 60,
        volatility_threshold: float | Literal["auto"] = 0.02,
        trend_threshold: float | Literal["auto"] = 0.05,
    ) -> None:
        self.lookback = lookback
        self.volatility_threshold = volatility_threshold
        self.trend_threshold = trend_threshold

    def detect_regime(self, bars: pd.DataFrame) -> list:
        """The regime of every bar as a list; needs no ``fit``.

        Parameters
        ----------
        bars : DataFrame of bars
            An unfitted detector learns ``"auto"`` thresholds from these bars.

        Returns
        -------
        list of MarketRegime
            ``SIDEWAYS`` where the past is too short.
        """
        fitted = self if hasattr(self, "lookback_") else clone(self).fit(bars)
        codes = fitted.transform(bars)["regime"].cat.codes.to_numpy()
        names = np.array(_ORDER, dtype=object)
        return names[np.where(codes < 0, _CODE[MarketRegime.SIDEWAYS], codes)].tolist()

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """The one column, ``"regime"``.

        Parameters
        ----------
        input_features : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        ndarray of str
            Names, in the order of the columns.
        """
        check_is_fitted(self)
        return np.asarray(["regime"], dtype=object)

    def _lookback(self):
        return int(self.lookback) + 1

    def _state(self):
        return self.volatility_threshold_, self.trend_threshold_

    def _measure(self, bars):
        close = bars["close"].to_numpy(dtype=np.float64)
        before = lag(close, 1)
        # windows that reach into the instrument before hold one of these
        before[segment_starts(bars.index)] = np.nan
        ratio = close / before
        trend = rolling_slope(np.log(ratio), self.lookback) * (self.lookback - 1)
        return pd.DataFrame(
            {"volatility": rolling_std(ratio - 1, self.lookback), "trend": trend}, bars.index
        )

    def _learn(self, bars, rows):
        self.volatility_threshold_: Any = self.volatility_threshold
        self.trend_threshold_: Any = self.trend_threshold
        if "auto" not in (self.volatility_threshold, self.trend_threshold):
            return
        measured = self._measure(bars).iloc[np.unique(rows)].dropna()
        if not len(measured):
            raise NotEnoughDataError(
                f"Thresholds 'auto' need more than lookback={self.lookback} bars of history, got "
                f"{len(bars)}."
            )
        if self.volatility_threshold == "auto":
            self.volatility_threshold_ = float(measured["volatility"].quantile(_HIGH))
        if self.trend_threshold == "auto":
            self.trend_threshold_ = float(measured["trend"].abs().quantile(_TREND))

    def _compute(self, bars):
        measured = self._measure(bars)
        volatility, trend = measured["volatility"].to_numpy(), measured["trend"].to_numpy()
        choices = [
            (np.isnan(volatility), -1),
            (volatility > self.volatility_threshold_, _CODE[MarketRegime.HIGH_VOLATILITY]),
            (volatility < self.volatility_threshold_ / 2, _CODE[MarketRegime.LOW_VOLATILITY]),
            (trend > self.trend_threshold_, _CODE[MarketRegime.BULL]),
            (trend < -self.trend_threshold_, _CODE[MarketRegime.BEAR]),
        ]
        codes = np.select(
            [when for when, _ in choices],
            [code for _, code in choices],
            _CODE[MarketRegime.SIDEWAYS],
        )
        values = pd.Categorical.from_codes(codes, categories=[regime.value for regime in _ORDER])
        return pd.DataFrame({"regime": values}, index=bars.index)

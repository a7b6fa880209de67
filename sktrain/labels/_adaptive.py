"""Labels by the future return, against a threshold that follows volatility.

The label of a row looks ``horizon`` bars ahead, among the rows given; its threshold looks
``volatility_lookback`` returns back, in the history that the rows carry. Nothing else is read.
"""

from datetime import timedelta
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import StrOptions

from .._typing import Span
from .._validation import BarsOrTime, Count, Number, as_span
from ._base import BarLabeler

__all__ = ["AdaptiveLabeler"]


class AdaptiveLabeler(BarLabeler):
    r"""Sell, hold or buy: is the simple return over the next bars beyond a threshold?

    With r = close[t + horizon] / close[t] - 1, a row is 2 (buy) when r > threshold, 0 (sell) when r
    < -threshold, else 1 (hold). With σ the standard deviation (ddof 1) of the last
    ``volatility_lookback`` simple returns, per bar,

    * ``scaling="affine"``: threshold = base · (1 + 10 σ) · 1 / (1 + 5 σ), either factor only when
      its flag is set;
    * ``scaling="sigma"``: threshold = base · σ · √horizon, base counted in standard deviations and
      the horizon in bars; the flags mean nothing.

    Parameters
    ----------
    horizon : int, Timedelta or str, default=3
        Bars the label looks ahead; or a length of time such as ``"5D"``, which ends at the last bar
        within it. Bars whose horizon reaches past the last bar of their symbol have no label, nor
        have bars with none within a length of time.
    base_threshold : float, default=0.03
        A return for ``"affine"``, a number of standard deviations for ``"sigma"``.
    volatility_lookback : int, default=20
        Returns behind σ, those of the history that rows carry (``with_history``) included; rows
        with fewer have no label when σ is used.
    use_volatility_adjustment : bool, default=True
        Raise the threshold with volatility: the factor 1 + 10 σ.
    use_risk_adjustment : bool, default=True
        Lower it with risk: the factor 1 / (1 + 5 σ). With both flags off the threshold is
        ``base_threshold``.
    scaling : {"affine", "sigma"}, default="affine"
        Which of the two formulas.
    crosses_session : bool, default=True
        Whether labels and σ may reach from one trading session of intraday bars into the next. With
        False the last ``horizon`` bars of a session have no label, and σ leaves the returns between
        sessions out.
    session : Timedelta or str, default="4h"
        The shortest pause that ends a session; read only when ``crosses_session`` is False.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain import AdaptiveLabeler
    >>> close = pd.Series([100.0, 102, 110, 103, 90], pd.date_range("2024-01-01", periods=5))
    >>> bars = pd.DataFrame({name: close for name in ("open", "high", "low", "close")})
    >>> bars["volume"] = 1
    >>> fixed = AdaptiveLabeler(
    ...     horizon=1, use_volatility_adjustment=False, use_risk_adjustment=False
    ... )
    >>> fixed.transform(bars).tolist()
    [1.0, 2.0, 0.0, 0.0, nan]
    """

    _required = ("close",)
    _parameter_constraints = {
        "horizon": [BarsOrTime(1)],
        "base_threshold": [Number(0, closed="neither")],
        "volatility_lookback": [Count(2)],
        "use_volatility_adjustment": ["boolean"],
        "use_risk_adjustment": ["boolean"],
        "scaling": [StrOptions({"affine", "sigma"})],
        "crosses_session": ["boolean"],
        "session": [str, pd.Timedelta],
    }

    def __init__(
        self,
        horizon: Span = 3,
        base_threshold: float = 0.03,
        volatility_lookback: int = 20,
        use_volatility_adjustment: bool = True,
        use_risk_adjustment: bool = True,
        scaling: Literal["affine", "sigma"] = "affine",
        crosses_session: bool = True,
        session: str | timedelta = "4h",
    ) -> None:
        self.horizon = horizon
        self.base_threshold = base_threshold
        self.volatility_lookback = volatility_lookback
        self.use_volatility_adjustment = use_volatility_adjustment
        self.use_risk_adjustment = use_risk_adjustment
        self.scaling = scaling
        self.crosses_session = crosses_session
        self.session = session

    def create_labels(self, df: pd.DataFrame, horizon: Span | None = None) -> pd.Series:
        """Label every row, looking ``horizon`` bars ahead; see ``transform``.

        Parameters
        ----------
        df : DataFrame of bars, shape (n, >= 1)
            With ``close``, indexed by time or (symbol, time).
        horizon : int or duration, optional
            Bars to look ahead; default as constructed.

        Returns
        -------
        Series of float64, shape (n,)
            0 sell, 1 hold, 2 buy; NaN where the outcome is unknown.
        """
        if horizon is None:
            return self.transform(df)
        span = as_span("horizon", horizon)
        return type(self)(**{**self.get_params(deep=False), "horizon": span}).transform(df)

    def thresholds(self, X: pd.DataFrame) -> pd.Series:
        """The return each row's outcome is held against.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 1)
            With ``close``, indexed by time or (symbol, time).

        Returns
        -------
        Series of float64, shape (n,)
            Simple return over ``horizon`` bars; NaN while σ is unknown and used.
        """
        self._validate_params()
        bars = self._check(X, self._reach)
        end, _ = self._ahead(bars.index)
        return pd.Series(self._widths(bars, end), index=bars.index, name="threshold")

    @property
    def _reach(self):
        return as_span("horizon", self.horizon)

    @property
    def _looks_back(self):
        adjusted = self.use_volatility_adjustment or self.use_risk_adjustment
        return self.scaling == "sigma" or adjusted

    def _widths(self, bars, end):
        base = float(self.base_threshold)
        if self.scaling == "sigma":
            ahead = (
                end - np.arange(len(bars)) if isinstance(self._reach, pd.Timedelta) else self._reach
            )
            return base * np.sqrt(ahead) * self._volatility("close", bars)
        if not self._looks_back:
            return np.full(len(bars), base)
        sigma = self._volatility("close", bars)
        width = (
            base * (1 + 10 * sigma) if self.use_volatility_adjustment else np.full(len(bars), base)
        )
        return width / (1 + 5 * sigma) if self.use_risk_adjustment else width

    def _label(self, bars):
        close = bars["close"].to_numpy(dtype=np.float64)
        end, known = self._ahead(bars.index)
        width = self._widths(bars, end)
        ahead = np.where(known, close[end] / close - 1, np.nan)
        codes = 1.0 + (ahead > width) - (ahead < -width)
        codes[np.isnan(ahead) | np.isnan(width)] = np.nan
        return codes, end

"""Triple-barrier labels: what the path touches first, and the bar that decided.

A row is decided at its close; the bars after it are watched, high and low, up to ``max_holding`` of
them. Barriers are a fixed share of the close, or multiples of a volatility known at that close. The
last ``max_holding`` bars of each symbol have no label even where a barrier was touched in time:
keeping only those would choose rows by their outcome.
"""

from datetime import timedelta
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.utils._param_validation import StrOptions

from .._typing import Span
from .._validation import BarsOrTime, Count, Number, as_span
from ..exceptions import InvalidBarsError
from ._base import BarLabeler
from ._touch import first_touch
from ._volatility import ESTIMATORS

__all__ = ["TripleBarrierLabeler"]

# a published price equal to its barrier up to some thousand units in float64's last place touches
# it
_ROUNDING = 1e-12


class TripleBarrierLabeler(BarLabeler):
    """Profit, stop or time: which barrier does the path touch first (Lopez de Prado 2018, ch. 3)?

    From the close c of a row the bars after it are watched. The first bar whose high reaches
    c · (1 + up) or whose low reaches c · (1 - down) decides: 2 (buy) for the profit barrier, 0
    (sell) for the stop. If none does within ``max_holding`` bars, the last of them decides by
    ``timeout``.

    Parameters
    ----------
    take_profit, stop_loss : float, default=0.03, 0.03
        Widths: shares of the close, or numbers of standard deviations when ``volatility`` is set.
        None removes the barrier.
    max_holding : int, Timedelta or str, default=10
        Bars that are watched, or the time such as ``"5D"`` that the last of them lies within. Bars
        whose holding period reaches past the last bar of their symbol have no label.
    volatility : str, optional
        "close", "ewma", "garman_klass", "parkinson", "rogers_satchell" or "yang_zhang": causal
        volatility per bar that widths are multiples of; default: widths are fixed.
    volatility_lookback : int, default=20
        Bars behind the volatility, those of the history that rows carry (``with_history``)
        included; rows with fewer have no label when it is used.
    tie : {"stop", "drop", "nearest_open"}, default="stop"
        What a bar that touches both barriers means: the stop came first (the cautious reading), the
        row has no label, or the barrier nearer to the bar's open came first.
    timeout : {"sign", "hold"}, default="sign"
        Label when time runs out: the sign of the return to the last bar, or hold.
    crosses_session : bool, default=True
        Whether the holding period and the volatility may reach from one trading session of intraday
        bars into the next. With False bars whose holding period leaves the session have no label,
        and the volatility leaves the returns between sessions out.
    session : Timedelta or str, default="4h"
        The shortest pause that ends a session; read only when ``crosses_session`` is False.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain import TripleBarrierLabeler
    >>> close = pd.Series(
    ...     [100.0, 101, 103, 102, 98, 97, 99, 104], pd.date_range("2024-01-01", periods=8)
    ... )
    >>> bars = pd.DataFrame({name: close for name in ("open", "high", "low", "close")})
    >>> labeler = TripleBarrierLabeler(take_profit=0.03, stop_loss=0.02, max_holding=3)
    >>> labeler.transform(bars).tolist()
    [2.0, 0.0, 0.0, 0.0, 2.0, nan, nan, nan]
    """

    _required = ("open", "high", "low", "close")
    _parameter_constraints = {
        "take_profit": [Number(0, closed="neither"), None],
        "stop_loss": [Number(0, closed="neither"), None],
        "max_holding": [BarsOrTime(1)],
        "volatility": [StrOptions(set(ESTIMATORS)), None],
        "volatility_lookback": [Count(2)],
        "tie": [StrOptions({"stop", "drop", "nearest_open"})],
        "timeout": [StrOptions({"sign", "hold"})],
        "crosses_session": ["boolean"],
        "session": [str, pd.Timedelta],
    }

    def __init__(
        self,
        take_profit: float = 0.03,
        stop_loss: float = 0.03,
        max_holding: Span = 10,
        volatility: str | None = None,
        tie: Literal["stop", "drop", "nearest_open"] = "stop",
        timeout: Literal["sign", "hold"] = "sign",
        volatility_lookback: int = 20,
        crosses_session: bool = True,
        session: str | timedelta = "4h",
    ) -> None:
        self.take_profit = take_profit
        self.stop_loss = stop_loss
        self.max_holding = max_holding
        self.volatility = volatility
        self.tie = tie
        self.timeout = timeout
        self.volatility_lookback = volatility_lookback
        self.crosses_session = crosses_session
        self.session = session

    def fit(self, X: pd.DataFrame, y: object = None, side: ArrayLike | None = None) -> Self:
        """Check parameters and bars, and learn how often a bar touched both barriers.

        Parameters
        ----------
        X : DataFrame of bars
            With ``open high low close``, indexed by time or (symbol, time).
        y : object, optional
            Ignored; present for scikit-learn's interface.
        side : array-like of shape (n,), optional
            As for ``transform``.

        Returns
        -------
        self
            With ``ambiguous_share_``.
        """
        self.ambiguous_share_ = self.ambiguous_share(X, side=side)
        return self

    def transform(self, X: pd.DataFrame, side: ArrayLike | None = None) -> pd.Series:
        """Label every row.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 4)
            Indexed by time, or by (symbol, time) with the rows of a symbol together and in order.
        side : array-like of shape (n,), optional
            The side a primary model took: 1 long, -1 short, 0 or NaN none. Then labels are
            meta-labels (Lopez de Prado 2018, ch. 3.6): 1 when the trade on that side earned, 0 when
            not, NaN without a trade. For a short trade the profit barrier lies below.

        Returns
        -------
        Series of float64, shape (n,)
            Named ``"label"``: 0 sell, 1 hold, 2 buy (meta-labels: 0, 1), NaN where unknown; its
            attrs tell when each label is known, ``attrs["label_horizon"]`` is ``max_holding``.

        Raises
        ------
        InvalidBarsError
            When the bars are no bars, or ``side`` does not fit them.
        NotEnoughDataError
            When no symbol has more than ``max_holding`` bars.
        """
        return self._outcome(X, side=side)[0]

    def fit_resample(
        self, X: pd.DataFrame, y: object = None, side: ArrayLike | None = None
    ) -> tuple:
        """The rows whose outcome is known, and their labels.

        Parameters
        ----------
        X : DataFrame of bars
            With ``open high low close``, indexed by time or (symbol, time).
        y : object, optional
            Ignored; present for scikit-learn's interface.
        side : array-like of shape (n,), optional
            As for ``transform``.

        Returns
        -------
        X : DataFrame
            Labelled rows, which remember all rows of the bars given.
        y : Series of int64
            Named ``"label"``, indexed like X; its attrs tell when each label is known.
        """
        self.fit(X, side=side)
        return self._keep_known(X, *self._outcome(X, side=side))

    def label_end_times(self, X: pd.DataFrame, side: ArrayLike | None = None) -> pd.Series:
        """When each label was known: the time of the bar that decided it.

        Parameters
        ----------
        X : DataFrame of bars
            With ``open high low close``, indexed by time or (symbol, time).
        side : array-like of shape (n,), optional
            As for ``transform``.

        Returns
        -------
        Series of timestamps, shape (n,)
            NaT where the outcome is unknown.
        """
        label, end = self._outcome(X, side=side)
        return self._times_of(X, label, end)

    def create_labels(self, df: pd.DataFrame, horizon: Span | None = None) -> pd.Series:
        """Label every row, holding at most ``horizon`` bars; see ``transform``.

        Parameters
        ----------
        df : DataFrame of bars, shape (n, >= 1)
            With ``open high low close``, indexed by time or (symbol, time).
        horizon : int or duration, optional
            Longest holding period; default ``max_holding``.

        Returns
        -------
        Series of float64, shape (n,)
            0 sell, 1 hold, 2 buy; NaN where the outcome is unknown.
        """
        holding = self.max_holding if horizon is None else as_span("horizon", horizon)
        return type(self)(**{**self.get_params(deep=False), "max_holding": holding}).transform(df)

    def ambiguous_share(self, X: pd.DataFrame, side: ArrayLike | None = None) -> float:
        """Share of the rows with a full holding period that a bar touching both barriers decided.

        Parameters
        ----------
        X : DataFrame of bars
            With ``open high low close``, indexed by time or (symbol, time).
        side : array-like of shape (n,), optional
            As for ``transform``.

        Returns
        -------
        float
            In [0, 1]. The larger it is, the more the labels owe to ``tie``: shorten bars or widen
            barriers.
        """
        self._validate_params()
        bars = self._check(X, self._reach)
        _, _, ambiguous, known = self._walk(bars, side)
        return float(ambiguous[known].mean()) if known.any() else 0.0

    def barriers(self, X: pd.DataFrame, side: ArrayLike | None = None) -> pd.DataFrame:
        """The two prices that are watched for.

        Parameters
        ----------
        X : DataFrame of bars
            With ``open high low close``, indexed by time or (symbol, time).
        side : array-like of shape (n,), optional
            As for ``transform``.

        Returns
        -------
        DataFrame with columns ``upper`` and ``lower``
            Infinite and zero for a barrier that is switched off; NaN while the volatility is
            unknown.
        """
        self._validate_params()
        bars = self._check(X, self._reach)
        upper, lower = self._prices(bars, _sides(side, bars))
        return pd.DataFrame({"upper": upper, "lower": lower}, index=bars.index)

    @property
    def _reach(self):
        return as_span("max_holding", self.max_holding)

    @property
    def _looks_back(self):
        return self.volatility is not None

    def _prices(self, bars, side):
        close = bars["close"].to_numpy(dtype=np.float64)
        unit = 1.0 if self.volatility is None else self._volatility(self.volatility, bars)
        up: Any = np.inf if self.take_profit is None else self.take_profit * unit
        down: Any = np.inf if self.stop_loss is None else self.stop_loss * unit
        if side is not None:
            up, down = np.where(side < 0, down, up), np.where(side < 0, up, down)
        return close * (1 + up), close * np.maximum(1 - down, 0)

    def _walk(self, bars, side):
        """Touch (+1 upper, -1 lower, 0 neither), the deciding row, ambiguity, and which rows have a
        full holding period."""
        side = _sides(side, bars)
        upper, lower = self._prices(bars, side)
        final, known = self._ahead(bars.index)
        known &= ~(np.isnan(upper) | np.isnan(lower))
        if side is not None:
            known &= side != 0
        high, low = (bars[name].to_numpy(dtype=np.float64) for name in ("high", "low"))
        barriers = upper * (1 - _ROUNDING), lower * (1 + _ROUNDING)
        if isinstance(self._reach, pd.Timedelta):
            first, touch = _touch_within(high, low, *barriers, known, final)
        else:
            first, touch = first_touch(high, low, *barriers, known, self._reach)
        both = touch == 2
        if both.any():
            self._settle(bars, side, upper, lower, first, touch, both)
        return touch, first, both, known

    def _settle(self, bars, side, upper, lower, first, touch, both):
        """Decide, in place, the rows that a bar touching both barriers ended."""
        rows = np.flatnonzero(both)
        if self.tie == "nearest_open":
            opened = bars["open"].to_numpy(dtype=np.float64)[first[rows]]
            touch[rows] = np.where(
                np.abs(upper[rows] - opened) < np.abs(opened - lower[rows]), 1, -1
            )
        else:  # the stop lies below, for a short trade above
            touch[rows] = -1 if side is None else np.where(side[rows] < 0, 1, -1)

    def _label(self, bars, side=None):
        touch, end, both, known = self._walk(bars, side)
        late = known & (touch == 0)
        direction = touch.astype(np.float64)
        if self.timeout == "sign":
            close = bars["close"].to_numpy(dtype=np.float64)
            direction[late] = np.sign(close[end[late]] - close[late])
        if side is None:
            codes = direction + 1
        else:
            codes = (direction * np.sign(_sides(side, bars)) > 0).astype(np.float64)
        codes[~known] = np.nan
        if self.tie == "drop":
            codes[both] = np.nan
        return codes, end


def _touch_within(high, low, upper, lower, known, final):
    """As ``first_touch``, watching each row's bars up to its own last one, ``final``."""
    rows = np.arange(len(high))
    longest = int(np.max(np.where(known, final - rows, 0), initial=1))
    quiet = np.full(longest, np.nan)  # bars past the end that touch nothing
    padded = np.full(longest, False)
    first, touch = first_touch(
        np.concatenate([high, quiet]),
        np.concatenate([low, quiet]),
        np.concatenate([upper, quiet]),
        np.concatenate([lower, quiet]),
        np.concatenate([known, padded]),
        longest,
    )
    first, touch = first[: len(high)], touch[: len(high)]
    late = known & (first > final)
    touch[late] = 0
    return np.where(known, np.minimum(first, final), first), touch


def _sides(side, bars):
    """The side of every row as floats, 0 for none; None when no side is given."""
    if side is None:
        return None
    if (
        isinstance(side, pd.Series)
        and isinstance(side.index, type(bars.index))
        and not side.index.equals(bars.index)
    ):
        raise InvalidBarsError(
            "side and the bars have different indexes. Align side with side.reindex(bars.index)."
        )
    values = pd.to_numeric(pd.Series(np.asarray(side)), errors="coerce").to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    if values.shape != (len(bars),):
        raise InvalidBarsError(f"side has {len(values)} values for {len(bars)} bars.")
    values = np.nan_to_num(values)
    wrong = ~np.isin(values, (-1, 0, 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidBarsError(
            f"side must be 1 (long), -1 (short), 0 or NaN (none), got {values[row]:g} in row {row}."
        )
    return values

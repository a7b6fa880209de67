"""About forty scale-free features of bars, each from the last ``max(windows) + 1`` bars only."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from .._history import segment_starts
from .._validation import OHLCV, check_count
from ..exceptions import SktrainError
from ._bar_columns import BAR, WINDOWED, bar_columns
from ._causal import CausalTransformer

__all__ = ["BarFeatures"]

_CALENDAR = ("weekday", "year_sin", "year_cos")
_DAY = ("day_sin", "day_cos")


class BarFeatures(CausalTransformer):
    """Scale-free features of market bars with an exactly finite memory.

    Per bar:

    - ``return_1`` log(close / previous close); ``gap`` log(open / previous close);
    - ``body_share`` log(close / open) / log(high / low), ``close_location`` (2 close - high - low)
      / (high - low), both in [-1, 1].

    Per window w, over the last w bars:

    - ``momentum_w`` sum of log returns / sqrt(w * sum of their squares), in [-1, 1]: the move
      against what its steps add up to;
    - ``volatility_w`` sample standard deviation of log returns; ``range_volatility_w`` after
      Parkinson (1980), sqrt(mean(log(high / low)^2) / (4 log 2));
    - ``atr_w`` mean of true range / previous close (Wilder 1978, plain mean);
    - ``rsi_w`` share of gains in all moves, in [0, 1] (Cutler's RSI: plain sums instead of Wilder's
      endless smoothing);
    - ``band_w`` (close - mean close) / (2 standard deviations, n - 1), the position in Bollinger's
      band;
    - ``volume_zscore_w`` (volume - mean volume) / standard deviation (n - 1);
    - ``ma_ratio_v_w`` log(mean close over v / mean close over w) for neighbouring windows v < w.

    Calendar, by the bar's own clock: ``weekday`` (Monday -1 to Sunday 1), ``year_sin``,
    ``year_cos``, and ``day_sin``, ``day_cos`` when asked for.

    A ratio whose denominator is 0 or mere rounding (a flat window, no volume) takes its neutral
    value: 0, or 0.5 for ``rsi``.

    Parameters
    ----------
    windows : sequence of int >= 2, default=(5, 10, 20, 60)
        Window lengths in bars, increasing.
    calendar : bool or "intraday", default=True
        Whether to add the calendar; ``"intraday"`` also adds the time of day.
    dtype : {"float64", "float32"}, default="float64"
        Of the features. They are computed in float64 either way; float32 rounds each of them once,
        to 7 digits, and halves the memory of everything behind.

    Attributes
    ----------
    lookback_ : int
        Bars a value looks back on, its own included: ``max(windows) + 1``.
    feature_names_in_, n_features_in_
        The columns of ``X`` seen in ``fit``.

    See Also
    --------
    SlidingWindow : Stacks the last rows of features for sequence models.

    Notes
    -----
    No recursive indicator (exponential averages, Wilder smoothing) is offered: its value depends on
    how much history is given, so it differs live and in history. Missing values stand only in the
    first ``lookback_ - 1`` rows of a history.

    Examples
    --------
    >>> from sktrain import BarFeatures
    >>> from sktrain.datasets import load_sp500
    >>> bars = load_sp500()
    >>> features = BarFeatures().fit_transform(bars)
    >>> features.shape
    (5031, 38)
    >>> BarFeatures().fit(bars).transform(bars.iloc[-1:]).equals(features.iloc[-1:])
    True
    """

    _parameter_constraints: dict = {
        "windows": ["array-like"],
        "calendar": ["boolean", StrOptions({"intraday"})],
        "dtype": [StrOptions({"float64", "float32"})],
    }

    def __init__(
        self,
        windows: Sequence[int] = (5, 10, 20, 60),
        *,
        calendar: bool | Literal["intraday"] = True,
        dtype: Literal["float64", "float32"] = "float64",
    ) -> None:
        self.windows = windows
        self.calendar = calendar
        self.dtype = dtype

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the features, in order.

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
        return np.asarray(self._names(), dtype=object)

    def _names(self):
        windows = list(self.windows)
        names = [*BAR, *(f"{family}_{w}" for family in WINDOWED for w in windows)]
        names += [f"ma_ratio_{v}_{w}" for v, w in zip(windows, windows[1:])]
        if self.calendar:
            names += [*_CALENDAR, *(_DAY if self.calendar == "intraday" else ())]
        return names

    def _lookback(self):
        windows = [check_count("windows: every window", w, minimum=2) for w in self.windows]
        if not windows or any(v >= w for v, w in zip(windows, windows[1:])):
            raise SktrainError(f"windows must be increasing integers >= 2, got {self.windows!r}.")
        return max(windows) + 1

    def _compute(self, bars):
        names = self._names()
        out = np.empty((len(names), len(bars)), dtype=self.dtype)
        place = {name: i for i, name in enumerate(names)}
        prices = tuple(bars[name].to_numpy(dtype=np.float64) for name in OHLCV)
        bar_columns(out, place, prices, [int(w) for w in self.windows], segment_starts(bars.index))
        if self.calendar:
            for name, column in _calendar(bars.index, self.calendar == "intraday"):
                out[place[name]] = column
        # a column is one piece of memory
        return pd.DataFrame(out.T, index=bars.index, columns=names, copy=False)


def _calendar(index, intraday):
    """Yield every feature of the calendar as (name, array); a panel's times are looked at once."""
    rows = None
    if isinstance(index, pd.MultiIndex) and len(index.levels[-1]) <= len(index):
        index, rows = index.levels[-1], index.codes[-1]
    for name, column in _of_times(index.get_level_values(-1), intraday):
        yield name, column if rows is None else column[rows]


def _of_times(times, intraday):
    day = np.asarray(times.day_of_year) - 1
    year = 2 * np.pi * np.arange(366) / 365.25
    yield "weekday", (np.arange(7) / 3.0 - 1.0)[np.asarray(times.day_of_week)]
    yield "year_sin", np.sin(year)[day]
    yield "year_cos", np.cos(year)[day]
    if intraday:
        day = 2 * np.pi * np.asarray((times - times.normalize()) / pd.Timedelta(days=1))
        yield "day_sin", np.sin(day)
        yield "day_cos", np.cos(day)

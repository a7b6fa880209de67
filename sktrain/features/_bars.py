"""Bars enter, about forty scale-free features leave; each value is computed from the last ``max(windows) + 1`` bars and nothing else."""

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from .._causal import CausalTransformer
from .._rolling import lag, rolling_mean, rolling_moments, rolling_std, rolling_sum
from .._validation import OHLCV, check_count
from ..exceptions import SktrainError

__all__ = ["BarFeatures"]

_BAR = ("return_1", "gap", "body_share", "close_location")
_WINDOWED = ("momentum", "volatility", "range_volatility", "atr", "rsi", "band", "volume_zscore")
_CALENDAR = ("weekday", "year_sin", "year_cos")
_DAY = ("day_sin", "day_cos")
_ROUNDING = 1e-12  # what is smaller next to its scale is rounding, not a move


class BarFeatures(CausalTransformer):
    """Scale-free features of market bars with an exactly finite memory.

    Per bar:

    - ``return_1`` log(close / previous close); ``gap`` log(open / previous close);
    - ``body_share`` log(close / open) / log(high / low), ``close_location`` (2 close - high - low) / (high - low), both in [-1, 1].

    Per window w, over the last w bars:

    - ``momentum_w`` sum of log returns / sqrt(w * sum of their squares), in [-1, 1]: the move against what its steps add up to;
    - ``volatility_w`` sample standard deviation of log returns; ``range_volatility_w`` after Parkinson (1980),
      sqrt(mean(log(high / low)^2) / (4 log 2));
    - ``atr_w`` mean of true range / previous close (Wilder 1978, plain mean);
    - ``rsi_w`` share of gains in all moves, in [0, 1] (Cutler's RSI: plain sums instead of Wilder's endless smoothing);
    - ``band_w`` (close - mean close) / (2 standard deviations, n - 1), the position in Bollinger's band;
    - ``volume_zscore_w`` (volume - mean volume) / standard deviation (n - 1);
    - ``ma_ratio_v_w`` log(mean close over v / mean close over w) for neighbouring windows v < w.

    Calendar, by the bar's own clock: ``weekday`` (Monday -1 to Sunday 1), ``year_sin``, ``year_cos``, and ``day_sin``, ``day_cos`` when asked for.

    A ratio whose denominator is 0 or mere rounding (a flat window, no volume) takes its neutral value: 0, or 0.5 for ``rsi``.

    Parameters
    ----------
    windows : sequence of int >= 2, default=(5, 10, 20, 60)
        Window lengths in bars, increasing.
    calendar : bool or "intraday", default=True
        Whether to add the calendar; ``"intraday"`` also adds the time of day.

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
    No recursive indicator (exponential averages, Wilder smoothing) is offered: its value depends on how much history is given, so
    it differs live and in history. Missing values stand only in the first ``lookback_ - 1`` rows of a history.

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

    _parameter_constraints: dict = {"windows": ["array-like"], "calendar": ["boolean", StrOptions({"intraday"})]}

    def __init__(self, windows=(5, 10, 20, 60), *, calendar=True):
        self.windows = windows
        self.calendar = calendar

    def get_feature_names_out(self, input_features=None):
        """Names of the features, in order.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        return np.asarray(self._names(), dtype=object)

    def _names(self):
        windows = list(self.windows)
        names = [*_BAR, *(f"{family}_{w}" for family in _WINDOWED for w in windows)]
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
        values = np.empty((len(bars), len(names)))
        place = {name: i for i, name in enumerate(names)}
        for name, column in _columns(bars, [int(w) for w in self.windows], self.calendar):
            values[:, place[name]] = column
        return pd.DataFrame(values, index=bars.index, columns=names)


def _ratio(top, bottom, scale=1.0, neutral=0.0):
    """``top / bottom``; ``neutral`` where the denominator is rounding next to ``scale``, NaN where it is not known yet."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom <= _ROUNDING * scale, neutral, top / bottom)


def _zscore(x, window):
    mean, deviation = rolling_moments(x, window)
    return _ratio(x - mean, np.sqrt(deviation / (window - 1)), mean), mean


def _columns(bars, windows, calendar):
    """Yield every feature as (name, array)."""
    o, h, l, c, v = (bars[name].to_numpy(dtype=np.float64) for name in OHLCV)  # noqa: E741
    before = lag(c, 1)
    step, spread = np.log(c / before), np.log(h / l)
    yield "return_1", step
    yield "gap", np.log(o / before)
    yield "body_share", np.clip(_ratio(np.log(c / o), spread), -1, 1)
    yield "close_location", np.clip(_ratio((c - l) - (h - c), h - l, c), -1, 1)
    true_range = (np.maximum(h, before) - np.minimum(l, before)) / before
    size, rise, square, range_square = np.abs(step), np.maximum(step, 0.0), step * step, spread * spread
    log_mean = None
    for previous, w in zip([None, *windows], windows):
        yield f"momentum_{w}", _ratio(rolling_sum(step, w), np.sqrt(w * rolling_sum(square, w)))
        yield f"volatility_{w}", rolling_std(step, w)
        yield f"range_volatility_{w}", np.sqrt(rolling_mean(range_square, w) / (4 * np.log(2)))
        yield f"atr_{w}", rolling_mean(true_range, w)
        yield f"rsi_{w}", _ratio(rolling_sum(rise, w), rolling_sum(size, w), neutral=0.5)
        band, mean = _zscore(c, w)
        yield f"band_{w}", band / 2
        log_mean, shorter = np.log(mean), log_mean
        if shorter is not None:
            yield f"ma_ratio_{previous}_{w}", shorter - log_mean
        yield f"volume_zscore_{w}", _zscore(v, w)[0]
    if calendar:
        yield from _calendar(bars.index.get_level_values(-1), calendar == "intraday")


def _calendar(times, intraday):
    yield "weekday", np.asarray(times.day_of_week) / 3.0 - 1.0
    year = 2 * np.pi * (np.asarray(times.day_of_year) - 1) / 365.25
    yield "year_sin", np.sin(year)
    yield "year_cos", np.cos(year)
    if intraday:
        day = 2 * np.pi * np.asarray((times - times.normalize()) / pd.Timedelta(days=1))
        yield "day_sin", np.sin(day)
        yield "day_cos", np.cos(day)

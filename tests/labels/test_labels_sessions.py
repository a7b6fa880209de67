"""Labels that stay inside trading sessions, against a loop over the sessions."""

import numpy as np
import pandas as pd
import pytest

from sktrain import AdaptiveLabeler, TripleBarrierLabeler
from sktrain.exceptions import SktrainError


def minute_bars(days=6, seed=0, night=0.05):
    """Bars of a market with a lunch break and large moves over night."""
    rng = np.random.default_rng(seed)
    stamps = []
    for day in pd.bdate_range("2024-03-04", periods=days):
        stamps += [
            day + pd.Timedelta(minutes=m) for m in [*range(571, 571 + 40), *range(781, 781 + 40)]
        ]
    returns = rng.normal(0, 1e-3, len(stamps))
    returns[::80] += rng.choice([-night, night], days)
    close = 100 * np.exp(np.cumsum(returns))
    spread = np.abs(rng.normal(0, 5e-4, len(close)))
    bars = pd.DataFrame(
        {
            "open": close,
            "high": close * (1 + spread),
            "low": close * (1 - spread),
            "close": close,
            "volume": 1.0,
        },
        index=pd.DatetimeIndex(stamps, name="time"),
    )
    return bars


@pytest.mark.parametrize("lookback", [5, 20])
def test_adaptive_labels_equal_a_loop_over_sessions(lookback):
    bars, horizon = minute_bars(), 3
    labeler = AdaptiveLabeler(horizon, 0.5, lookback, scaling="sigma", crosses_session=False)
    close, day = bars["close"].to_numpy(), bars.index.date
    inner, sigma = [], np.full(len(close), np.nan)
    for t in range(len(close)):
        if t and day[t] == day[t - 1]:
            inner.append(close[t] / close[t - 1] - 1)
        if len(inner) >= lookback:
            sigma[t] = np.std(inner[-lookback:], ddof=1)
    expected = np.full(len(close), np.nan)
    for t in range(len(close) - horizon):
        if day[t + horizon] == day[t] and not np.isnan(sigma[t]):
            move, width = close[t + horizon] / close[t] - 1, 0.5 * sigma[t] * np.sqrt(horizon)
            expected[t] = 1 + (move > width) - (move < -width)
    np.testing.assert_array_equal(labeler.transform(bars), expected)


def test_the_night_no_longer_decides():
    bars = minute_bars(30)
    last = np.flatnonzero(np.append(bars.index.date[1:] != bars.index.date[:-1], True))
    late = (last[:-1, None] - np.arange(3)).ravel()
    across = AdaptiveLabeler(3, 0.5, scaling="sigma").transform(bars)
    assert (across.iloc[late] != 1).mean() > 0.9
    inside = AdaptiveLabeler(3, 0.5, scaling="sigma", crosses_session=False)
    assert inside.transform(bars).iloc[late].isna().all()
    early = (last[:-1, None] + np.arange(1, 20)).ravel()
    assert (across.iloc[early] == 1).mean() > 0.7
    assert (inside.transform(bars).iloc[early] == 1).mean() < 0.6


def test_no_label_ends_in_another_session():
    bars = minute_bars()
    for labeler in (
        AdaptiveLabeler(5, 0.5, scaling="sigma", crosses_session=False),
        TripleBarrierLabeler(2.0, 2.0, 5, volatility="close", crosses_session=False),
    ):
        ends = labeler.label_end_times(bars).dropna()
        assert len(ends) > 300
        assert (ends.dt.date.to_numpy() == ends.index.date).all()


def test_a_panel_is_labelled_like_its_symbols():
    one, two = minute_bars(seed=1), minute_bars(seed=2)
    panel = pd.concat({"A": one, "B": two}, names=["symbol", "time"])
    labeler = AdaptiveLabeler(3, 0.5, scaling="sigma", crosses_session=False)
    found = labeler.transform(panel)
    for name, bars in (("A", one), ("B", two)):
        np.testing.assert_array_equal(found.xs(name), labeler.transform(bars))


def test_a_shorter_pause_makes_the_lunch_break_a_border():
    bars = minute_bars()
    whole = (
        AdaptiveLabeler(3, 0.5, 5, scaling="sigma", crosses_session=False)
        .transform(bars)
        .isna()
        .sum()
    )
    halves = (
        AdaptiveLabeler(3, 0.5, 5, scaling="sigma", crosses_session=False, session="1h")
        .transform(bars)
        .isna()
        .sum()
    )
    assert halves - whole == pytest.approx(6 * 3, abs=1)


def test_what_has_no_sessions_is_refused():
    daily = pd.DataFrame({"close": np.linspace(1, 2, 60)}, pd.date_range("2024-01-01", periods=60))
    with pytest.raises(SktrainError, match=r"crosses_session=False is for intraday bars"):
        AdaptiveLabeler(crosses_session=False).transform(daily)
    with pytest.raises(SktrainError, match="session='lunch'"):
        AdaptiveLabeler(crosses_session=False, session="lunch").transform(minute_bars())
    with pytest.raises(SktrainError, match="rogers_satchell"):
        TripleBarrierLabeler(volatility="yang_zhang", crosses_session=False).transform(
            minute_bars()
        )


def test_daily_and_crossing_labels_are_as_they_were():
    bars = minute_bars()
    np.testing.assert_array_equal(
        AdaptiveLabeler(crosses_session=True).transform(bars), AdaptiveLabeler().transform(bars)
    )

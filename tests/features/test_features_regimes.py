"""Regimes against a per-row loop; thresholds, warm-up, coverage of the bundled data."""

from helpers import bare
import numpy as np
import pandas as pd
import pytest

from sktrain import MarketRegime, RegimeDetector
from sktrain.datasets import load_nasdaq, load_sp500, load_us_stocks
from sktrain.exceptions import NotEnoughDataError


def by_loop(close, lookback, volatility_threshold, trend_threshold):
    out = []
    for t in range(len(close)):
        if t < lookback:
            out.append(None)
            continue
        window = close[t - lookback : t + 1]
        volatility = np.std(window[1:] / window[:-1] - 1, ddof=1)
        trend = np.polyfit(np.arange(lookback), np.log(window[1:]), 1)[0] * (lookback - 1)
        if volatility > volatility_threshold:
            out.append("high_volatility")
        elif volatility < volatility_threshold / 2:
            out.append("low_volatility")
        elif trend > trend_threshold:
            out.append("bull")
        elif trend < -trend_threshold:
            out.append("bear")
        else:
            out.append("sideways")
    return out


@pytest.mark.parametrize("parameters", [(60, 0.02, 0.05), (20, 0.012, 0.03), (2, 0.01, 0.001)])
def test_against_a_loop(parameters):
    bars = load_sp500().iloc[:900]
    column = RegimeDetector(*parameters).fit_transform(bare(bars))["regime"]
    expected = by_loop(bars["close"].to_numpy(), *parameters)
    assert [None if pd.isna(value) else value for value in column] == expected


def test_the_column_is_categorical_and_missing_in_warm_up():
    column = RegimeDetector().fit_transform(load_sp500())
    assert list(column.columns) == ["regime"]
    assert list(column["regime"].cat.categories) == [
        "bull", "bear", "sideways", "high_volatility", "low_volatility",
    ]
    assert column["regime"].isna().to_numpy().nonzero()[0].tolist() == list(range(60))


def test_detect_regime_needs_no_fit_and_is_sideways_in_warm_up():
    bars = load_sp500()
    detector = RegimeDetector()
    regimes = detector.detect_regime(bars)
    assert not hasattr(detector, "lookback_")
    assert all(isinstance(regime, MarketRegime) for regime in regimes)
    assert regimes[:60] == [MarketRegime.SIDEWAYS] * 60
    column = RegimeDetector().fit_transform(bars)["regime"]
    assert regimes[60:] == column.iloc[60:].tolist()
    assert RegimeDetector("oops") is not None  # refused in fit, not in the constructor
    fitted = RegimeDetector(60, "auto", "auto").fit(bars.iloc[:1000])
    assert (
        fitted.detect_regime(bars.iloc[1000:])
        == fitted.transform(bars.iloc[1000:])["regime"].tolist()
    )


def test_members_equal_their_values():
    assert MarketRegime.BULL == "bull"
    assert isinstance(MarketRegime.BULL, str)
    assert [regime.value for regime in MarketRegime] == [
        "bull", "bear", "sideways", "high_volatility", "low_volatility",
    ]
    assert MarketRegime("bear") is MarketRegime.BEAR


@pytest.mark.parametrize("load", [load_sp500, load_nasdaq, load_us_stocks])
def test_auto_finds_at_least_three_regimes(load):
    shares = (
        RegimeDetector(60, "auto", "auto")
        .fit_transform(load())["regime"]
        .value_counts(normalize=True)
    )
    assert (shares > 0.02).sum() >= 3
    half = (
        RegimeDetector(60, "auto", 0.05)
        .fit_transform(load())["regime"]
        .value_counts(normalize=True)
    )
    assert (half > 0.02).sum() >= 3


def test_auto_is_the_quantile_it_says():
    bars = bare(load_sp500())
    detector = RegimeDetector(30, "auto", "auto").fit(bars)
    volatility = bars["close"].pct_change().rolling(30).std()
    assert detector.volatility_threshold_ == pytest.approx(volatility.quantile(0.8), rel=1e-9)
    logs = np.log(bars["close"].to_numpy())
    trends = (
        np.polyfit(np.arange(30), np.lib.stride_tricks.sliding_window_view(logs, 30)[1:].T, 1)[0]
        * 29
    )
    assert detector.trend_threshold_ == pytest.approx(np.median(np.abs(trends)), rel=1e-9)


def test_prices_times_1000_change_no_regime():
    bars = bare(load_us_stocks())
    scaled = bars.copy()
    scaled[["open", "high", "low", "close"]] *= 1000
    for detector in (RegimeDetector(), RegimeDetector(20, 0.02, 0.01)):
        pd.testing.assert_frame_equal(detector.fit_transform(bars), detector.fit_transform(scaled))
    one, other = (
        RegimeDetector(60, "auto", "auto").fit_transform(frame)["regime"]
        for frame in (bars, scaled)
    )
    # the quantile row itself may tie
    assert (one.astype(object).fillna("") == other.astype(object).fillna("")).mean() > 0.9995


def test_close_alone_is_enough():
    bars = load_sp500()
    np.testing.assert_array_equal(
        RegimeDetector().fit_transform(bare(bars[["close"]]))["regime"].cat.codes,
        RegimeDetector().fit_transform(bars)["regime"].cat.codes,
    )


def test_a_constant_price_is_quiet():
    bars = pd.DataFrame({"close": np.full(100, 5.0)}, pd.date_range("2020", periods=100))
    assert set(RegimeDetector().fit_transform(bars)["regime"].dropna()) == {"low_volatility"}
    assert set(RegimeDetector(60, "auto", "auto").fit_transform(bars)["regime"].dropna()) == {
        "sideways"
    }


def test_auto_without_enough_bars():
    with pytest.raises(NotEnoughDataError, match="lookback=60"):
        RegimeDetector(60, "auto").fit(bare(load_sp500()).iloc[:60])


@pytest.mark.parametrize(
    "parameters",
    [
        {"lookback": 1},
        {"lookback": True},
        {"lookback": 3.0},
        {"volatility_threshold": -1},
        {"volatility_threshold": "high"},
        {"trend_threshold": np.nan},
    ],
)
def test_bad_parameters_are_named(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        RegimeDetector(**parameters).fit(load_sp500())

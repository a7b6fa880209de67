"""Triple barriers against a loop over rows and bars, numbers worked by hand, and volatilities
against the papers' formulas."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest

from sktrain import TripleBarrierLabeler
from sktrain.exceptions import InvalidBarsError, NotEnoughDataError
from sktrain.labels._volatility import ESTIMATORS


def frame(rows, start="2024-01-01"):
    bars = pd.DataFrame(
        rows,
        columns=["open", "high", "low", "close"],
        index=pd.date_range(start, periods=len(rows)),
        dtype=float,
    )
    return bars.assign(volume=1.0)


def flat(closes):
    return frame([[c] * 4 for c in closes])


@st.composite
def markets(draw, least=8, most=60):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(least, most))
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    opened = close * np.exp(rng.normal(0, 0.01, n))
    spread = rng.exponential(0.01, (2, n))
    high, low = (
        np.maximum(opened, close) * (1 + spread[0]),
        np.minimum(opened, close) * (1 - spread[1]),
    )
    return frame(np.column_stack([opened, high, low, close]))


def loop(bars, up, down, holding, tie, timeout, side=None):
    """Labels and end bars, one row and one bar at a time. ``up`` and ``down`` hold one width per
    row."""
    o, h, low, c = (bars[name].tolist() for name in ("open", "high", "low", "close"))
    labels, ends, ambiguous = [], [], []
    for t in range(len(c)):
        s = 1 if side is None else side[t]
        label, end, double = np.nan, None, False
        if t + holding < len(c) and not np.isnan(up[t]) and s != 0:
            upper, lower = (
                (c[t] * (1 + up[t]), c[t] * (1 - down[t]))
                if s > 0
                else (c[t] * (1 + down[t]), c[t] * (1 - up[t]))
            )
            end, label = t + holding, None
            for k in range(t + 1, t + holding + 1):
                above, below = h[k] >= upper, low[k] <= lower
                if above and below:
                    double = True
                    above = {
                        "stop": s < 0,
                        "drop": False,
                        "nearest_open": abs(upper - o[k]) < abs(o[k] - lower),
                    }[tie]
                    below = not above
                if above or below:
                    label, end = (1 if above else -1), k
                    break
            if label is None:
                label = np.sign(c[end] - c[t]) if timeout == "sign" else 0
            label = label + 1 if side is None else float(label * s > 0)
            if double and tie == "drop":
                label, end = np.nan, None
        labels.append(label)
        ends.append(end)
        ambiguous.append(double)
    return labels, ends, ambiguous


def check(labeler, bars, expected, side=None):
    labels, ends, ambiguous = expected
    np.testing.assert_array_equal(labeler.transform(bars, side=side), labels)
    found = labeler.label_end_times(bars, side=side)
    assert found.isna().tolist() == [end is None for end in ends]
    assert [bars.index[end] for end in ends if end is not None] == found.dropna().tolist()


def test_the_example_by_hand():
    """Closes 100 101 103 102 98 97 99 104, +3 % / -2 % / 3 bars: +1 -1 -1 -1 +1, known at bars 2 4
    4 4 7 (reference values)."""
    bars = flat([100, 101, 103, 102, 98, 97, 99, 104])
    labeler = TripleBarrierLabeler(take_profit=0.03, stop_loss=0.02, max_holding=3)
    X, y = labeler.fit_resample(bars)
    assert y.tolist() == [2, 0, 0, 0, 2]
    assert y.attrs["label_horizon"] == 3
    assert y.dtype == np.int64
    assert X.index.equals(bars.index[:5])
    assert labeler.label_end_times(bars).dropna().tolist() == bars.index[[2, 4, 4, 4, 7]].tolist()
    assert labeler.ambiguous_share_ == 0


@settings(max_examples=150, deadline=None)
@given(
    markets(),
    st.floats(0.002, 0.08),
    st.floats(0.002, 0.08),
    st.integers(1, 30),
    st.sampled_from(["stop", "drop", "nearest_open"]),
    st.sampled_from(["sign", "hold"]),
    st.booleans(),
)
def test_fixed_barriers_against_a_loop(bars, up, down, holding, tie, timeout, meta):
    side = np.random.default_rng(len(bars)).integers(-1, 2, len(bars)) if meta else None
    labeler = TripleBarrierLabeler(up, down, holding, tie=tie, timeout=timeout)
    if holding >= len(bars):
        with pytest.raises(NotEnoughDataError):
            labeler.transform(bars, side=side)
        return
    widths = np.full(len(bars), up), np.full(len(bars), down)
    expected = loop(bars, *widths, holding, tie, timeout, side)
    check(labeler, bars, expected, side)
    full = [t for t in range(len(bars) - holding) if side is None or side[t] != 0]
    share = np.mean([expected[2][t] for t in full]) if full else 0
    assert labeler.ambiguous_share(bars, side=side) == pytest.approx(share)


@settings(max_examples=40, deadline=None)
@given(markets(least=30), st.sampled_from(sorted(ESTIMATORS)), st.integers(1, 20))
def test_barriers_in_volatility_against_a_loop(bars, name, holding):
    sigma = slow_volatility(bars, name, 6)
    labeler = TripleBarrierLabeler(1.5, 1.0, holding, volatility=name, volatility_lookback=6)
    check(labeler, bars, loop(bars, 1.5 * sigma, sigma, holding, "stop", "sign"))


def slow_volatility(bars, name, n):
    """Each estimator from its formula, one row at a time."""
    o, h, low, c = (bars[column].to_numpy() for column in ("open", "high", "low", "close"))
    out = np.full(len(c), np.nan)
    for t in range(len(c)):
        window = range(t - n + 1, t + 1)
        needs_previous = name in ("close", "ewma", "yang_zhang")
        if t - n + 1 < (1 if needs_previous else 0):
            continue
        simple = [c[i] / c[i - 1] - 1 for i in window]
        rs = [
            np.log(h[i] / c[i]) * np.log(h[i] / o[i])
            + np.log(low[i] / c[i]) * np.log(low[i] / o[i])
            for i in window
        ]
        if name == "close":
            variance = np.var(simple, ddof=1)
        elif name == "ewma":
            weights = np.array([((n - 1) / (n + 1)) ** (t - i) for i in window])
            variance = np.sum(weights * np.square(simple)) / weights.sum()
        elif name == "parkinson":
            variance = np.mean([np.log(h[i] / low[i]) ** 2 for i in window]) / (4 * np.log(2))
        elif name == "garman_klass":
            variance = np.mean(
                [
                    np.log(h[i] / low[i]) ** 2 / 2 - (2 * np.log(2) - 1) * np.log(c[i] / o[i]) ** 2
                    for i in window
                ]
            )
        elif name == "rogers_satchell":
            variance = np.mean(rs)
        else:
            k = 0.34 / (1.34 + (n + 1) / (n - 1))
            night = np.var([np.log(o[i] / c[i - 1]) for i in window], ddof=1)
            variance = (
                night
                + k * np.var([np.log(c[i] / o[i]) for i in window], ddof=1)
                + (1 - k) * np.mean(rs)
            )
        out[t] = np.sqrt(variance)
    return out


@settings(max_examples=30, deadline=None)
@given(markets(least=20), st.sampled_from(sorted(ESTIMATORS)), st.integers(2, 12))
def test_volatility_against_the_formulas(bars, name, lookback):
    np.testing.assert_allclose(
        ESTIMATORS[name](bars, lookback),
        slow_volatility(bars, name, lookback),
        rtol=1e-7,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "name, variance",
    [("parkinson", 0.00171681), ("garman_klass", 0.00204249), ("rogers_satchell", 0.00194362)],
)
def test_range_variance_of_one_bar(name, variance):
    """O=100 H=105 L=98 C=103 (reference values); two such bars have the same mean."""
    bars = frame([[100, 105, 98, 103]] * 2)
    assert ESTIMATORS[name](bars, 2)[-1] ** 2 == pytest.approx(variance, abs=5e-9)


@pytest.mark.parametrize("n, k", [(10, 0.132697), (20, 0.139044), (30, 0.141139)])
def test_weight_of_yang_and_zhang(n, k):
    """Bars with open = high on half the days: only the session's variance is left, times k."""
    up = 0.01 * np.tile([1, -1], n)
    closes = 100 * np.exp(up)
    rows = [[100, max(100, c), min(100, c), c] for c in closes]
    bars = frame(rows)
    night = np.log(100 / np.roll(closes, 1)[1:])
    # each bar runs straight: no Rogers-Satchell variance
    expected = np.var(night[-n:], ddof=1) + k * np.var(up[-n:], ddof=1)
    assert ESTIMATORS["yang_zhang"](bars, n)[-1] ** 2 == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("volatility", [None, *sorted(ESTIMATORS)])
def test_a_panel_is_labelled_symbol_by_symbol(us_stocks, volatility):
    labeler = TripleBarrierLabeler(
        *(0.03, 0.02) if volatility is None else (2, 1.5), 15, volatility
    )
    together, ends = labeler.transform(us_stocks), labeler.label_end_times(us_stocks)
    for symbol, own in us_stocks.groupby(level=0):
        own = own.droplevel(0)
        np.testing.assert_array_equal(together[symbol], labeler.transform(own))
        pd.testing.assert_series_equal(ends[symbol], labeler.label_end_times(own), check_freq=False)
        assert together[symbol].iloc[-15:].isna().all()


def test_rows_are_not_chosen_by_their_outcome():
    """The barrier is touched at once, but the last rows stay unknown: their slower neighbours could
    not be known either."""
    label = TripleBarrierLabeler(0.01, 0.01, 4).transform(flat(100 * 1.05 ** np.arange(10)))
    assert label.tolist()[:6] == [2] * 6
    assert label.iloc[6:].isna().all()


def test_a_perturbed_future_reaches_back_exactly_the_holding(sp500):
    bars, cut = sp500.iloc[:400], 300
    perturbed = bars.copy()
    perturbed.iloc[cut:] *= 3.0
    for volatility in (None, "yang_zhang"):
        labeler = TripleBarrierLabeler(8.0 if volatility else 0.05, None, 6, volatility)
        clean, changed = labeler.transform(bars), labeler.transform(perturbed)
        pd.testing.assert_series_equal(clean.iloc[: cut - 6], changed.iloc[: cut - 6])
        assert (changed.iloc[cut - 6 : cut] == 2).all()


@pytest.mark.parametrize("volatility", [None, *sorted(ESTIMATORS)])
def test_prices_times_1000_change_no_label(sp500, volatility):
    scaled = sp500.assign(**{name: sp500[name] * 1000 for name in ("open", "high", "low", "close")})
    labeler = TripleBarrierLabeler(*(0.03, 0.03) if volatility is None else (2, 2), 10, volatility)
    pd.testing.assert_series_equal(labeler.transform(sp500), labeler.transform(scaled))


def test_what_a_bar_that_touches_both_means():
    bars = frame([[100, 100, 100, 100], [101, 104, 97, 100], [100, 100, 100, 100]])
    by = {
        tie: TripleBarrierLabeler(0.03, 0.02, 1, tie=tie)
        for tie in ("stop", "drop", "nearest_open")
    }
    assert by["stop"].transform(bars).iloc[0] == 0
    assert np.isnan(by["drop"].transform(bars).iloc[0])
    assert pd.isna(by["drop"].label_end_times(bars).iloc[0])
    assert by["nearest_open"].transform(bars).iloc[0] == 2  # 103 is nearer to 101 than 98
    assert by["stop"].fit(bars).ambiguous_share_ == 0.5
    short = [-1, 1, 1]
    # for a short trade the stop lies above; it still loses
    assert by["stop"].transform(bars, side=short).iloc[0] == 0


def test_meta_labels_by_hand():
    bars = flat([100, 101, 103, 102, 98, 97, 99, 104])
    labeler = TripleBarrierLabeler(0.03, 0.02, 3)
    assert labeler.transform(bars, side=np.ones(8)).tolist()[:5] == [1, 0, 0, 0, 1]
    short = labeler.transform(bars, side=-np.ones(8))
    # short from 100: profit at 97, stop at 102: bar 2 stops; from 101: 97.97 or 103.02: 102 at bar
    # 3, 98 at bar 4: time, it earned;
    # from 103: 99.91 at bar 4; from 102: 98.94 at bar 4; from 98: 95.06 or 99.96: bar 7 stops
    assert short.tolist()[:5] == [0, 1, 1, 1, 0]
    some = labeler.transform(bars, side=[1, 0, np.nan, -1, 1, 1, 1, 1])
    np.testing.assert_array_equal(some, [1, np.nan, np.nan, 1, 1, np.nan, np.nan, np.nan])


def test_a_barrier_can_be_switched_off():
    bars = flat([100, 150, 90, 101, 100])
    assert TripleBarrierLabeler(None, 0.05, 3).transform(bars).iloc[0] == 0
    assert TripleBarrierLabeler(0.6, None, 3).transform(bars).iloc[0] == 2  # time: 101 > 100
    assert TripleBarrierLabeler(None, None, 3, timeout="hold").transform(bars).iloc[0] == 1
    assert TripleBarrierLabeler(None, None, 3).barriers(bars).iloc[0].tolist() == [np.inf, 0]


def test_defaults_work_on_bundled_bars(sp500, us_stocks):
    for bars in (sp500, us_stocks):
        labeler = TripleBarrierLabeler()
        X, y = labeler.fit_resample(bars)
        assert set(y) >= {0, 2}
        assert len(X) > 0.95 * len(bars)
        assert 0 <= labeler.ambiguous_share_ < 0.05
        assert (labeler.create_labels(bars, horizon=3).dropna().index.size) > len(y)


def test_long_holdings_leap(sp500):
    """Beyond a dozen bars undecided rows are found by doubling; compare with a loop on real
    bars."""
    bars = sp500.iloc[:700]
    for holding in (12, 13, 14, 29, 100):
        widths = np.full(len(bars), 0.08), np.full(len(bars), 0.06)
        check(
            TripleBarrierLabeler(0.08, 0.06, holding),
            bars,
            loop(bars, *widths, holding, "stop", "sign"),
        )


@pytest.mark.parametrize(
    "params, name",
    [
        ({"take_profit": -0.01}, "take_profit"),
        ({"take_profit": 0}, "take_profit"),
        ({"stop_loss": np.nan}, "stop_loss"),
        ({"stop_loss": True}, "stop_loss"),
        ({"max_holding": 0}, "max_holding"),
        ({"max_holding": 3.0}, "max_holding"),
        ({"max_holding": True}, "max_holding"),
        ({"volatility": "vix"}, "volatility"),
        ({"tie": "profit"}, "tie"),
        ({"timeout": "never"}, "timeout"),
        ({"volatility_lookback": 1}, "volatility_lookback"),
    ],
)
def test_parameters_are_checked(params, name):
    with pytest.raises(ValueError, match=name):
        TripleBarrierLabeler(**params).transform(flat([100.0] * 20))


@pytest.mark.parametrize(
    "side, message",
    [
        ([1, 1], "side has 2 values for 20 bars"),
        ([2] * 20, "got 2 in row 0"),
        (pd.Series([1] * 20, pd.date_range("1999", periods=20)), "different indexes"),
    ],
)
def test_sides_are_checked(side, message):
    with pytest.raises(InvalidBarsError, match=message):
        TripleBarrierLabeler().transform(flat([100.0] * 20), side=side)

"""The planted label has the Bayes accuracy it claims, can be found from past bars, and is gone at
signal 0."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import BarFeatures
from sktrain._history import get_history
from sktrain._validation import check_bars
from sktrain.datasets import make_market


def recovered_z(bars):
    """A bar's return in volatilities, read from the candle alone."""
    share = np.log(bars["close"] / bars["open"]) / np.log(bars["high"] / bars["low"])
    return 1.5 * share / (1 - share.abs())


def test_shape_and_contents():
    market = make_market(300, horizon=4, random_state=0)
    assert set(market) == {
        "bars", "y", "probabilities", "bayes_accuracy", "majority_accuracy", "regimes",
    }
    assert market.bars.shape == (300, 5)
    assert check_bars(market.bars) is market.bars
    assert market.y.index.equals(market.bars.index)
    assert market.regimes.index.equals(market.bars.index)
    assert market.y.dtype == np.int64
    assert market.y.attrs == {"label_horizon": 4}
    assert market.y[:100].attrs == {"label_horizon": 4}
    assert set(market.y) == {0, 1, 2}
    assert len(get_history(market.bars).frame) == 304
    np.testing.assert_allclose(market.probabilities.sum(axis=1), 1)


def test_panel():
    market = make_market(120, 12, horizon=3, random_state=0)
    assert market.bars.index.names == ["symbol", "time"]
    assert market.bars.groupby(level="symbol").size().tolist() == [120] * 12
    assert market.bars.index.is_monotonic_increasing
    assert check_bars(market.bars, warn=False) is market.bars
    returns = market.bars["close"].unstack("symbol").pct_change().corr().to_numpy()
    assert np.abs(returns[~np.eye(12, dtype=bool)]).max() < 0.5  # independent


@pytest.mark.parametrize("horizon", [1, 5])
def test_labels_are_terciles_of_the_coming_bars(horizon):
    """By a loop over the history the handle holds, from candles alone."""
    market = make_market(400, signal=0.6, horizon=horizon, random_state=1)
    z = recovered_z(get_history(market.bars).frame).to_numpy()
    rho = np.corrcoef(z[1:], z[:-1])[0, 1]
    sums = np.array([z[t + 1 : t + 1 + horizon].sum() for t in range(400)])
    order = [sums[market.y.to_numpy() == k] for k in range(3)]
    assert order[0].max() < order[1].min()
    assert order[1].max() < order[2].min()
    assert rho == pytest.approx({1: 0.6, 5: 0.8}[horizon], abs=0.12)


@pytest.mark.parametrize("signal", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_the_claimed_probabilities_are_true(signal, horizon):
    """Calibrated in bins, and equal to the integral over the forecast's distribution."""
    market = make_market(60_000, signal=signal, horizon=horizon, random_state=3)
    for k in range(3):
        p, hit = market.probabilities[k], market.y == k
        for low, high in ((0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 1)):
            inside = (p >= low) & (p < high)
            if inside.sum() > 3000:
                assert hit[inside].mean() == pytest.approx(p[inside].mean(), abs=0.05)
    x = np.linspace(-6, 6, 4001)
    q, spread = norm.ppf(2 / 3), np.sqrt(1 - signal**2)
    low, high = norm.cdf((-q - signal * x) / spread), norm.sf((q - signal * x) / spread)
    exact = np.trapezoid(np.maximum(np.maximum(low, high), 1 - low - high) * norm.pdf(x), x)
    assert market.bayes_accuracy == pytest.approx(exact, abs=0.015)
    assert (market.probabilities.idxmax(axis=1) == market.y).mean() == pytest.approx(
        market.bayes_accuracy, abs=0.025
    )


def test_no_better_forecast_than_the_claimed_one_from_more_past():
    """Adding older candles to the claimed probabilities does not help a classifier."""
    market = make_market(20_000, signal=0.6, horizon=3, random_state=4)
    z = recovered_z(market.bars)
    past = np.column_stack([z.shift(k).fillna(0) for k in range(6)])
    half = 10_000
    model = LogisticRegression().fit(past[:half], market.y[:half])
    theirs = log_loss(market.y[half:], model.predict_proba(past[half:]))
    assert log_loss(market.y[half:], market.probabilities[half:]) < theirs + 0.002


def test_nothing_to_find_without_signal():
    market = make_market(6000, signal=0, horizon=5, random_state=5)
    assert market.bayes_accuracy == pytest.approx(1 / 3, abs=1e-9)
    assert market.majority_accuracy == pytest.approx(market.bayes_accuracy, abs=1e-12)
    model = make_pipeline(
        BarFeatures((5, 20)), SimpleImputer(), StandardScaler(), LogisticRegression(C=0.01)
    )
    model.fit(market.bars[:2990], market.y[:2990])
    assert model.score(market.bars[3000:], market.y[3000:]) == pytest.approx(1 / 3, abs=0.06)


@pytest.mark.parametrize(
    ("signal", "horizon", "regimes"),
    [(0.5, 1, True), (0.8, 1, True), (0.8, 5, True), (0.9, 1, False)],
)
def test_bar_features_recover_the_signal(signal, horizon, regimes):
    """At least 90 % of the way from majority to Bayes, from past bars alone."""
    n = 16_000
    market = make_market(n, signal=signal, horizon=horizon, regimes=regimes, random_state=6)
    half = n // 2
    model = make_pipeline(
        BarFeatures((5, 20)),
        SimpleImputer(),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=1000),
    )
    model.fit(market.bars[: half - horizon], market.y[: half - horizon])
    score = model.score(market.bars[half:], market.y[half:])
    best = market.probabilities[half:].max(axis=1).mean()
    assert (score - market.majority_accuracy) / (best - market.majority_accuracy) >= 0.9


def test_regimes():
    market = make_market(20_000, signal=0.3, random_state=7)
    returns = np.log(market.bars["close"]).diff()
    spread = returns.groupby(market.regimes).std()
    assert set(spread.index) == {"calm", "normal", "turbulent"}
    assert spread["turbulent"] > 1.8 * spread["normal"] > 3 * spread["calm"]
    assert set(make_market(50, regimes=False, random_state=0).regimes) == {"normal"}
    stays = (market.regimes != market.regimes.shift()).sum()
    assert 20_000 / stays == pytest.approx(150, rel=0.35)


def test_one_seed_one_market():
    one, same, other = (make_market(200, 2, random_state=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one.bars, same.bars)
    pd.testing.assert_series_equal(one.y, same.y)
    assert not one.bars["close"].equals(other.bars["close"])
    state = np.random.RandomState(0)
    pd.testing.assert_frame_equal(make_market(200, 2, random_state=state).bars, one.bars)


def test_tiny_and_long_markets():
    assert make_market(1, horizon=1, random_state=0).y.shape == (1,)
    assert (
        check_bars(make_market(60_000, signal=0.97, horizon=20, random_state=0).bars, warn=False)
        is not None
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_bars": 0},
        {"n_bars": 10.0},
        {"n_bars": True},
        {"n_symbols": 0},
        {"signal": 1.0},
        {"signal": -0.1},
        {"signal": "x"},
        {"signal": np.nan},
        {"horizon": 0},
        {"horizon": 1.5},
        {"regimes": None},
        {"random_state": "seed"},
    ],
)
def test_bad_parameters(parameters):
    name = next(iter(parameters))
    with pytest.raises(ValueError, match="seed" if name == "random_state" else name):
        make_market(**parameters)


PATTERNS = ("regime", "pattern", "memory", "cross")


def planted(pattern, n_bars=40_000, **changes):
    return make_market(
        n_bars, 2 if pattern == "cross" else 1, pattern=pattern, random_state=8, **changes
    )


def past_z(market):
    """z of every bar the history knows, by symbol, and where the rows stand among them."""
    frame = get_history(market.bars).frame
    z = recovered_z(frame)
    by_symbol = z.unstack("symbol") if z.index.nlevels == 2 else z.to_frame("S0")
    return by_symbol, by_symbol.index.searchsorted(
        market.bars.index.get_level_values(-1).unique()[0]
    )


def sign_by_loop(pattern, z, states, t):
    """What decides the bar after t, by the definition, of variance 1."""
    if pattern == "regime":
        return z[t] if states[t] == "calm" else -z[t]
    if pattern == "pattern":
        return -1.0 if sum(z[t - j] > 0 for j in range(5)) >= 3 else 1.0
    return -1.0 if sum(z[t - j] for j in range(15, 21)) > 0 else 1.0


@pytest.mark.parametrize("pattern", ["regime", "pattern", "memory"])
def test_the_next_bar_follows_the_law_it_was_planted_with(pattern):
    """From candles alone: what is left of the next return is noise of the stated spread, and the
    stated probabilities follow."""
    market = planted(pattern, 3000, signal=0.6)
    by_symbol, first = past_z(market)
    z, states = by_symbol["S0"].to_numpy(), dict(enumerate(market.regimes, start=first))
    decided = np.array([sign_by_loop(pattern, z, states, t) for t in range(first, first + 3000)])
    left = (z[first + 1 : first + 3001] - 0.6 * decided) / 0.8
    assert abs(left.mean()) < 0.06
    assert left.std() == pytest.approx(1, abs=0.05)
    assert abs(np.corrcoef(left, decided)[0, 1]) < 0.06
    high = market.probabilities[2].to_numpy()
    assert len(np.unique(high.round(9))) == 2 or pattern == "regime"
    order = np.argsort(decided, kind="stable")
    # a higher forecast makes the highest class more likely
    assert (np.diff(high[order]) > -1e-9).all()
    sums = z[first + 1 : first + 3001]
    parts = [sums[market.y.to_numpy() == k] for k in range(3)]
    assert parts[0].max() < parts[1].min() < parts[1].max() < parts[2].min()


def test_the_leader_moves_the_others():
    market = make_market(4000, 3, pattern="cross", signal=0.6, random_state=9)
    by_symbol, first = past_z(market)
    assert first == 0
    z = by_symbol.to_numpy()
    assert [round(np.corrcoef(z[:-1, 0], z[1:, i])[0, 1], 1) for i in range(3)] == [0.0, 0.6, 0.6]
    np.testing.assert_allclose(market.probabilities.loc["S0"], 1 / 3)
    one, two = (market.probabilities.loc[name].to_numpy() for name in ("S1", "S2"))
    np.testing.assert_array_equal(one, two)
    expected = norm.sf((norm.ppf(2 / 3) - 0.6 * z[:4000, 0]) / 0.8)
    np.testing.assert_allclose(one[:, 2], expected, atol=1e-9)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("signal", [0.3, 0.8])
def test_every_pattern_keeps_its_probabilities(pattern, signal):
    """Calibrated in bins of probability, its expected log loss the entropy, its classes equally
    likely."""
    market = planted(pattern, signal=signal)
    p, y = market.probabilities.to_numpy(), market.y.to_numpy()
    hit = y[:, None] == np.arange(3)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    for k in range(3):
        for low in np.arange(0, 1, 0.1):
            inside = (p[:, k] >= low) & (p[:, k] < low + 0.1)
            if inside.sum() > 500:
                error = np.sqrt(0.25 / inside.sum())
                assert abs(hit[inside, k].mean() - p[inside, k].mean()) < 4 * error
    surprise = -np.log(p[np.arange(len(p)), y])
    entropy = -(p * np.log(p)).sum(axis=1)
    gap = surprise - entropy
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))
    assert np.abs(hit.mean(axis=0) - 1 / 3).max() < 0.02
    assert market.bayes_accuracy > market.majority_accuracy + 0.02


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_pattern_without_signal(pattern):
    market = planted(pattern, signal=0)
    np.testing.assert_allclose(market.probabilities, 1 / 3)
    by_symbol, first = past_z(market)
    after = by_symbol.iloc[:, -1].to_numpy()
    lags = [*range(1, 22)]
    found = [np.corrcoef(after[lag:], by_symbol.iloc[:, 0].to_numpy()[:-lag])[0, 1] for lag in lags]
    assert np.abs(found).max() < 4.5 / np.sqrt(len(after))


def test_linear_models_do_not_see_the_regime():
    market = planted("regime", signal=0.6)
    z = recovered_z(market.bars).to_numpy()
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 0.1
    assert set(market.regimes) == {"calm", "turbulent"}


@pytest.mark.parametrize(
    ("pattern", "lead"), [("pattern", 4), ("memory", 20), ("regime", 0), ("linear", 0)]
)
def test_the_history_knows_the_bars_that_decide_the_first_rows(pattern, lead):
    market = make_market(50, pattern=pattern, random_state=0)
    assert market.bars.shape == (50, 5)
    assert len(get_history(market.bars).frame) == lead + 50 + 1
    assert past_z(market)[1] == lead


@pytest.mark.parametrize("pattern", PATTERNS)
def test_one_seed_one_market_of_every_pattern(pattern):
    one, same, other = (
        make_market(60, 2, pattern=pattern, random_state=seed) for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(one.bars, same.bars)
    pd.testing.assert_frame_equal(one.probabilities, same.probabilities)
    assert not one.bars["close"].equals(other.bars["close"])
    assert one.bars.index.names == ["symbol", "time"]
    assert make_market(1, 2, pattern=pattern, random_state=0).y.shape == (2,)


def test_linear_is_the_market_it_always_was():
    """Digest of the bars that earlier versions drew from these arguments."""
    market = make_market(500, 3, horizon=5, signal=0.8, random_state=0)
    rows = pd.util.hash_pandas_object(market.bars).to_numpy()
    assert int(np.bitwise_xor.reduce(rows)) == 8224049423941060067
    pd.testing.assert_frame_equal(
        make_market(500, 3, horizon=5, signal=0.8, pattern="linear", random_state=0).bars,
        market.bars,
    )


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"pattern": "seasonal"}, r"pattern must be one of \['linear', 'regime'"),
        ({"pattern": 3}, "pattern must be one of"),
        ({"pattern": "memory", "horizon": 2}, "horizon must be 1, got 2"),
        ({"pattern": "regime", "regimes": False}, "regimes must be True"),
        ({"pattern": "cross"}, "n_symbols must be 2 or more, got 1"),
    ],
)
def test_patterns_that_cannot_be_drawn_say_why(parameters, words):
    with pytest.raises(ValueError, match=words):
        make_market(20, **parameters)

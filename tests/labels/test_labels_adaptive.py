"""Adaptive labels against a loop over rows, and what a labeler promises to splitters."""

import pickle
import warnings

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sktrain import AdaptiveLabeler, EnhancedWalkForwardCV, TripleBarrierLabeler
from sktrain.exceptions import InvalidBarsError, NotEnoughDataError, SktrainError


def make_bars(close, *, start="2020-01-01"):
    close = np.asarray(close, dtype=float)
    index = pd.date_range(start, periods=len(close))
    return pd.DataFrame(
        {"open": close, "high": close, "low": close, "close": close, "volume": 1}, index=index
    )


def random_bars(n, seed):
    return make_bars(100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, n))))


def loop_labels(bars, horizon, base, lookback, volatility, risk, scaling):
    """The formulas of the docstring, one row at a time."""
    close, out = bars["close"].tolist(), []
    returns = [None] + [close[i] / close[i - 1] - 1 for i in range(1, len(close))]
    for t in range(len(close)):
        sigma = np.std(returns[t - lookback + 1 : t + 1], ddof=1) if t >= lookback else np.nan
        if scaling == "sigma":
            threshold = base * sigma * np.sqrt(horizon)
        else:
            threshold = (
                base * (1 + 10 * sigma if volatility else 1) / (1 + 5 * sigma if risk else 1)
            )
        if t + horizon >= len(close) or np.isnan(threshold):
            out.append(np.nan)
            continue
        outcome = close[t + horizon] / close[t] - 1
        out.append(2 if outcome > threshold else 0 if outcome < -threshold else 1)
    return out


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.integers(2, 12),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["affine", "sigma"]),
)
def test_labels_against_a_loop(seed, horizon, lookback, volatility, risk, scaling):
    bars, base = random_bars(40, seed), 0.5 if scaling == "sigma" else 0.02
    labeler = AdaptiveLabeler(horizon, base, lookback, volatility, risk, scaling)
    np.testing.assert_array_equal(
        labeler.transform(bars),
        loop_labels(bars, horizon, base, lookback, volatility, risk, scaling),
    )


def test_a_panel_is_labelled_symbol_by_symbol(us_stocks):
    labeler = AdaptiveLabeler(horizon=5, base_threshold=0.5, scaling="sigma")
    together = labeler.transform(us_stocks)
    ends = labeler.label_end_times(us_stocks)
    for symbol, own in us_stocks.groupby(level=0):
        own = own.droplevel(0)
        np.testing.assert_array_equal(together[symbol], labeler.transform(own))
        assert together[symbol].iloc[-5:].isna().all()
        assert together[symbol].iloc[20:-5].notna().all()
        pd.testing.assert_series_equal(ends[symbol], labeler.label_end_times(own), check_freq=False)


def test_threshold_by_hand():
    """Base 0.03, sigma 0.02: adjusted 0.036, penalty 1 / 1.1 (reference values)."""
    # twenty of these have a standard deviation of 0.02
    jump = 0.02 * np.sqrt(19 / 20) * np.tile([1, -1], 15)
    bars = make_bars(100 * np.cumprod(1 + np.concatenate([[0], jump])))
    both = AdaptiveLabeler().thresholds(bars)
    assert both.iloc[:20].isna().all()
    np.testing.assert_allclose(both.iloc[20:], 0.0327273, atol=5e-8)
    np.testing.assert_allclose(
        AdaptiveLabeler(use_risk_adjustment=False).thresholds(bars).iloc[20:], 0.036
    )
    np.testing.assert_allclose(
        AdaptiveLabeler(use_volatility_adjustment=False).thresholds(bars).iloc[20:], 0.03 / 1.1
    )
    np.testing.assert_allclose(
        AdaptiveLabeler(base_threshold=0.5, scaling="sigma", horizon=4).thresholds(bars).iloc[20:],
        0.02,
    )
    fixed = AdaptiveLabeler(use_volatility_adjustment=False, use_risk_adjustment=False)
    assert (fixed.thresholds(bars) == 0.03).all()
    assert fixed.transform(bars).iloc[:-3].notna().all()


def test_the_last_bars_are_unknown_never_hold(sp500):
    for horizon in (1, 3, 20):
        label = AdaptiveLabeler(horizon=horizon).transform(sp500)
        assert label.iloc[-horizon:].isna().all()
        assert label.iloc[20:-horizon].notna().all()


def test_prices_times_1000_change_no_label(sp500):
    scaled = sp500.assign(**{name: sp500[name] * 1000 for name in ("open", "high", "low", "close")})
    for scaling, base in (("affine", 0.03), ("sigma", 0.5)):
        labeler = AdaptiveLabeler(base_threshold=base, scaling=scaling)
        pd.testing.assert_series_equal(labeler.transform(sp500), labeler.transform(scaled))


def test_a_perturbed_future_reaches_back_exactly_the_horizon(sp500):
    bars, cut = sp500.iloc[:400], 300
    perturbed = bars.copy()
    perturbed.iloc[cut:] *= 3.0
    for labeler in (AdaptiveLabeler(4), AdaptiveLabeler(4, 0.5, scaling="sigma")):
        clean, changed = labeler.transform(bars), labeler.transform(perturbed)
        pd.testing.assert_series_equal(clean.iloc[: cut - 4], changed.iloc[: cut - 4])
        # prices trebled: all four look over the cut
        assert (changed.iloc[cut - 4 : cut] == 2).all()
        pd.testing.assert_series_equal(
            labeler.thresholds(bars).iloc[:cut], labeler.thresholds(perturbed).iloc[:cut]
        )


def test_a_slice_is_labelled_from_its_own_outcomes_and_its_whole_past(sp500):
    """The handle knows what came later, and a labeler must not; what came before was known."""
    part = sp500.iloc[100:200]
    label = AdaptiveLabeler(3).transform(part)
    assert label.iloc[-3:].isna().all()
    expected = AdaptiveLabeler(3).transform(sp500).iloc[100:197]
    assert expected.notna().all()
    pd.testing.assert_series_equal(label.iloc[:-3], expected, check_exact=True)


def test_fit_resample_gives_labelled_rows_that_remember(sp500):
    labeler = AdaptiveLabeler(horizon=3)
    X, y = labeler.fit_resample(sp500)
    label = labeler.transform(sp500)
    assert X.index.equals(y.index)
    assert y.dtype == np.int64
    assert y.name == "label"
    assert set(y) <= {0, 1, 2}
    assert y.attrs["label_horizon"] == label.attrs["label_horizon"] == 3
    assert len(y) == label.notna().sum()
    pd.testing.assert_frame_equal(pd.DataFrame(X), sp500.loc[X.index], check_freq=False)
    assert len(X.attrs["history"].frame) == len(sp500)
    assert y.iloc[10:20].attrs["label_horizon"] == 3


def test_bars_without_a_history_get_one():
    bars = random_bars(50, 0)
    X, _ = AdaptiveLabeler(3).fit_resample(bars)
    assert len(X.attrs["history"].frame) == 50
    assert "history" not in bars.attrs


def test_upper_case_columns_stay_as_they_are():
    bars = random_bars(50, 0).rename(columns=str.title)
    X, _ = AdaptiveLabeler(3).fit_resample(bars)
    assert list(X.columns) == ["Open", "High", "Low", "Close", "Volume"]


def test_end_times_are_those_of_the_bar_that_decided():
    bars = random_bars(30, 1)
    labeler = AdaptiveLabeler(horizon=4, volatility_lookback=5)
    ends, label = labeler.label_end_times(bars), labeler.transform(bars)
    assert (ends.isna() == label.isna()).all()
    known = np.flatnonzero(label.notna())
    assert (ends.iloc[known] == bars.index[known + 4]).all()


def test_horizon_and_end_times_purge_alike(us_stocks):
    labeler = AdaptiveLabeler(horizon=5)
    X, y = labeler.fit_resample(us_stocks)
    cv = EnhancedWalkForwardCV(4, ensure_regime_coverage=False)
    ends = labeler.label_end_times(us_stocks)[X.index]
    for (a, b), (c, d) in zip(
        cv.split(X, y),
        cv.split(X, pd.Series(y.to_numpy(), y.index), label_end_times=ends),
        strict=True,
    ):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)


def test_create_labels_takes_its_own_horizon(sp500):
    labeler = AdaptiveLabeler(horizon=3)
    pd.testing.assert_series_equal(
        labeler.create_labels(sp500, horizon=7), AdaptiveLabeler(horizon=7).transform(sp500)
    )
    pd.testing.assert_series_equal(labeler.create_labels(sp500), labeler.transform(sp500))
    assert labeler.create_labels(sp500, 7).attrs["label_horizon"] == 7
    assert labeler.horizon == 3


def test_it_is_a_scikit_learn_object(sp500):
    labeler = AdaptiveLabeler(horizon=5)
    assert clone(labeler).get_params() == labeler.get_params()
    assert pickle.loads(pickle.dumps(labeler)).horizon == 5
    assert labeler.fit(sp500) is labeler
    assert "horizon=5" in repr(labeler)


def test_no_class_is_forgotten_by_daily_index_bars(sp500):
    """The affine 3 % threshold calls nine of ten days hold; thresholds in sigmas do not."""
    _, affine = AdaptiveLabeler().fit_resample(sp500)
    _, sigma = AdaptiveLabeler(base_threshold=0.5, scaling="sigma").fit_resample(sp500)
    assert (affine == 1).mean() > 0.85
    assert sigma.value_counts(normalize=True).min() > 0.25


@pytest.mark.parametrize(
    "labeler",
    [
        AdaptiveLabeler(),
        AdaptiveLabeler(scaling="sigma"),
        TripleBarrierLabeler(),
        TripleBarrierLabeler(volatility="close"),
    ],
)
def test_volatility_looks_back_on_twenty_returns_by_default(labeler):
    """Twenty simple returns need 21 closes; widths that are fixed need none."""
    known = np.flatnonzero(labeler.transform(random_bars(60, 0)).notna())
    fixed = isinstance(labeler, TripleBarrierLabeler) and labeler.volatility is None
    ahead = {AdaptiveLabeler: 3, TripleBarrierLabeler: 10}[type(labeler)]
    assert (known[0], known[-1]) == (0 if fixed else 20, 59 - ahead)


@pytest.mark.parametrize("name", ["horizon", "volatility_lookback"])
@pytest.mark.parametrize("value", [0, -1, 3.0, True, None, "3", np.nan])
def test_counts_are_counts(name, value):
    with pytest.raises(ValueError, match=name):
        AdaptiveLabeler(**{name: value}).transform(random_bars(40, 0))


@pytest.mark.parametrize(
    "params",
    [
        {"base_threshold": 0},
        {"base_threshold": np.inf},
        {"base_threshold": True},
        {"scaling": "log"},
        {"use_risk_adjustment": "yes"},
    ],
)
def test_other_parameters_are_checked(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        AdaptiveLabeler(**params).fit(random_bars(40, 0))


@pytest.mark.parametrize(
    "bars, error, message",
    [
        (random_bars(3, 0), NotEnoughDataError, "at least 4 are needed"),
        (random_bars(10, 0), NotEnoughDataError, "none of the 10 bars"),
        (random_bars(40, 0).iloc[::-1], InvalidBarsError, "row 1"),
        (random_bars(40, 0).drop(columns="close"), InvalidBarsError, "lack the column close"),
        (random_bars(40, 0).to_numpy(), InvalidBarsError, "DataFrame"),
        (random_bars(0, 0), InvalidBarsError, "empty"),
    ],
)
def test_bars_are_checked(bars, error, message):
    with pytest.raises(error, match=message):
        AdaptiveLabeler(3).fit_resample(bars)


@pytest.mark.parametrize("horizon", [0, True, 2.0, -3])
def test_create_labels_checks_its_horizon(horizon):
    with pytest.raises(SktrainError, match="horizon must be an integer >= 1"):
        AdaptiveLabeler().create_labels(random_bars(40, 0), horizon=horizon)


def test_no_warning_in_the_normal_case(sp500):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AdaptiveLabeler().fit_resample(sp500)

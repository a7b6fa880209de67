"""The rolling kernels against pandas, a loop and np.polyfit; exact finite memory to the last
bit."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest

from sktrain._rolling import (
    PIECE,
    join_sums,
    lag,
    over_windows,
    rolling_mean,
    rolling_moments,
    rolling_slope,
    rolling_std,
    rolling_sum,
)


@settings(max_examples=60, deadline=None)
@given(
    window=st.integers(1, 70),
    n=st.integers(1, 150),
    seed=st.integers(0, 99),
    shift=st.sampled_from([0.0, 5.0, 1e6]),
)
def test_against_a_loop(window, n, seed, shift):
    x = np.random.default_rng(seed).normal(size=n) + shift
    total, (mean, deviation) = rolling_sum(x, window), rolling_moments(x, window)
    for t in range(n):
        part = x[t - window + 1 : t + 1] if t >= window - 1 else None
        if part is None:
            assert np.isnan(total[t])
            assert np.isnan(mean[t])
            assert np.isnan(deviation[t])
            continue
        assert total[t] == pytest.approx(part.sum(), rel=1e-12, abs=1e-12)
        assert mean[t] == pytest.approx(part.mean(), rel=1e-13, abs=1e-13)
        assert deviation[t] == pytest.approx(((part - part.mean()) ** 2).sum(), rel=1e-8, abs=1e-12)


def test_std_against_pandas():
    x = np.random.default_rng(0).normal(size=500)
    for window in (2, 5, 60):
        np.testing.assert_allclose(
            rolling_std(x, window), pd.Series(x).rolling(window).std(), rtol=1e-9
        )
        np.testing.assert_allclose(
            rolling_mean(x, window), pd.Series(x).rolling(window).mean(), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("window", [2, 3, 10, 60])
def test_slope_against_polyfit(window):
    levels = np.cumsum(np.random.default_rng(1).normal(size=200))
    slope = rolling_slope(np.diff(levels, prepend=np.nan), window)
    for t in range(len(levels)):
        if t < window - 1:
            assert np.isnan(slope[t])
        else:
            assert slope[t] == pytest.approx(
                np.polyfit(np.arange(window), levels[t - window + 1 : t + 1], 1)[0],
                rel=1e-9,
                abs=1e-12,
            )


@pytest.mark.parametrize(
    "kernel", [rolling_sum, rolling_std, lambda x, w: rolling_slope(np.diff(x, prepend=np.nan), w)]
)
def test_nothing_outside_the_window_is_felt(kernel):
    """A huge value in the past leaves no trace: running totals would lose all digits here."""
    x = np.random.default_rng(2).normal(size=300)
    wild = x.copy()
    wild[:100] = 1e18
    for window in (2, 7, 60):
        np.testing.assert_array_equal(kernel(wild, window)[200:], kernel(x, window)[200:])
        np.testing.assert_array_equal(
            kernel(x[150:], window)[window:], kernel(x, window)[150 + window :]
        )


def test_equal_values_have_no_spread():
    for value in (0.1, 1e9 / 3, 7.0):
        assert (rolling_std(np.full(100, value), 30)[29:] == 0).all()


def test_short_arrays_are_all_unknown():
    assert np.isnan(rolling_sum([1.0, 2.0], 3)).all()
    assert np.isnan(rolling_slope(np.array([np.nan, 1.0]), 3)).all()
    assert np.isnan(lag(np.array([1.0]), 5)).all()


@settings(max_examples=40, deadline=None)
@given(
    windows=st.sets(st.integers(1, 70), min_size=1, max_size=5).map(sorted), n=st.integers(1, 150)
)
def test_shared_blocks_give_what_each_window_gives(windows, n):
    """To the last bit, two arrays at once."""
    x = np.random.default_rng(n).normal(size=(2, n))
    found = dict(over_windows((x,), windows, join_sums))
    assert list(found) == windows
    for window, (total,) in found.items():
        for row in range(2):
            np.testing.assert_array_equal(total[row], rolling_sum(x[row], window)[window - 1 :])


def test_long_arrays_fit_their_pieces():
    x = np.random.default_rng(0).normal(size=2 * PIECE + 30)
    for window in (1, 2, 60, PIECE):
        whole = rolling_sum(x, window)
        assert np.isnan(whole[: window - 1]).all()
        for start in (0, PIECE - window, PIECE + 5):
            np.testing.assert_array_equal(
                rolling_sum(x[start:], window)[window - 1 :], whole[start + window - 1 :]
            )

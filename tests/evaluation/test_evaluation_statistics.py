"""Sharpe statistics against published numbers, a peer library, and units that must not be mixed."""

import copy
import math
import pickle

import numpy as np
import pandas as pd
import purgedcv
import pytest
from scipy import stats

from sktrain.evaluation import (
    SharpeRatio,
    corrected_mean_interval,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    false_discovery_rate,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
)
from sktrain.exceptions import NotEnoughDataError, SktrainError

DAILY = 2.5 / math.sqrt(250)


@pytest.mark.parametrize(
    ("n_trials", "moments", "expected"),
    [
        (100, {"skew": -3, "kurtosis": 10}, 0.9004),
        (46, {"skew": -3, "kurtosis": 10}, 0.9505),
        (88, {}, 0.9505),
    ],
)
def test_deflated_sharpe_published(n_trials, moments, expected):
    # the example of Bailey & Lopez de Prado (2014) states annual figures; the statistic wants them
    # per observation:
    # SR / sqrt(250), variance / 250
    got = deflated_sharpe_ratio(
        DAILY, 1250, n_trials=n_trials, trials_variance=0.5 / 250, **moments
    )
    assert got == pytest.approx(expected, abs=5e-5)


def test_expected_maximum_published():
    assert expected_maximum_sharpe(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
    # the same in annual units
    assert expected_maximum_sharpe(100, 0.5) == pytest.approx(0.1132 * math.sqrt(250), abs=1e-3)


@pytest.mark.parametrize(
    ("moments", "expected"), [({}, 0.9817), ({"skew": -2.448, "kurtosis": 10.164}, 0.9134)]
)
def test_probabilistic_sharpe_published(moments, expected):
    assert probabilistic_sharpe_ratio(0.458, 24, **moments) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("periods", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_minimum_track_record_published(periods, years):
    root = math.sqrt(periods)
    assert minimum_track_record_length(2 / root, benchmark=1 / root) / periods == pytest.approx(
        years, abs=5e-3
    )


def test_expected_maximum_against_simulation():
    rng = np.random.default_rng(0)
    for n_trials in (5, 20, 100):
        simulated = rng.normal(size=(20_000, n_trials)).max(axis=1).mean()
        assert expected_maximum_sharpe(n_trials, 1.0) == pytest.approx(simulated, rel=0.03)


def test_probabilistic_sharpe_is_calibrated():
    rng = np.random.default_rng(1)
    returns = rng.normal(0.05, 1, size=(4000, 250))
    ratios = returns.mean(axis=1) / returns.std(axis=1)
    values = [probabilistic_sharpe_ratio(ratio, 250, benchmark=0.05) for ratio in ratios]
    assert stats.kstest(values, "uniform").pvalue > 0.001


def test_track_record_inverts_the_probability():
    n = minimum_track_record_length(0.1, benchmark=0.02, skew=-1, kurtosis=6, confidence=0.9)
    below, above = (
        probabilistic_sharpe_ratio(0.1, k, benchmark=0.02, skew=-1, kurtosis=6)
        for k in (math.floor(n), math.ceil(n))
    )
    assert below < 0.9 <= above


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_purgedcv(seed):
    rng = np.random.default_rng(seed)
    returns = rng.standard_t(5, size=rng.integers(30, 600)) * 0.01 + rng.normal(scale=0.001)
    ratio = sharpe_ratio(returns, ddof=0)  # theirs divides by n, ours by n - 1 unless asked
    moments = {"skew": ratio.skew, "kurtosis": ratio.kurtosis}
    benchmark, variance, trials = (
        rng.normal(scale=0.05),
        rng.uniform(0, 0.01),
        int(rng.integers(1, 200)),
    )
    ours = probabilistic_sharpe_ratio(ratio, ratio.n_obs, benchmark=benchmark, **moments)
    assert ours == pytest.approx(purgedcv.probabilistic_sharpe_ratio(returns, benchmark), abs=1e-9)
    ours = deflated_sharpe_ratio(
        ratio, ratio.n_obs, n_trials=trials, trials_variance=variance, **moments
    )
    assert ours == pytest.approx(
        purgedcv.deflated_sharpe_ratio(returns, trials, variance), abs=1e-9
    )
    assert ours == pytest.approx(
        purgedcv.deflated_sharpe_ratio(returns, trials, variance * 252, bars_per_year=252), abs=1e-9
    )
    ours = minimum_track_record_length(ratio, benchmark=benchmark, confidence=0.97, **moments)
    theirs = purgedcv.min_track_record_length(
        float(ratio), benchmark, 0.03, ratio.skew, ratio.kurtosis
    )
    # theirs rounds up, ours does not
    assert math.ceil(ours - 1e-9) == theirs if math.isfinite(theirs) else ours == theirs


def test_sharpe_ratio_by_hand():
    ratio = sharpe_ratio([0.01, -0.005, 0.02, 0.0])
    assert ratio == pytest.approx(0.00625 / np.std([0.01, -0.005, 0.02, 0.0], ddof=1))
    assert ratio.annualised(252) == pytest.approx(ratio * math.sqrt(252))
    assert sharpe_ratio([0.01, -0.005, 0.02, 0.0], periods_per_year=252) == ratio.annualised(252)
    assert ratio.annualised(252).per_observation == pytest.approx(ratio)
    assert ratio.annualised(252).annualised(12) == pytest.approx(ratio * math.sqrt(12))
    assert "per observation" in ratio.summary()
    assert "252 observations" in ratio.annualised(252).summary()


def test_results_are_values():
    ratio = sharpe_ratio([0.01, -0.005, 0.02, 0.0], periods_per_year=12)
    for twin in (pickle.loads(pickle.dumps(ratio)), copy.deepcopy(ratio)):
        assert twin == ratio
        assert (twin.periods_per_year, twin.n_obs) == (12, 4)
    with pytest.raises(AttributeError):
        ratio.value = 3.0


def test_annual_and_per_observation_are_not_mixed():
    annual = sharpe_ratio(np.random.default_rng(0).normal(0.1, 1, 500), periods_per_year=252)
    with pytest.raises(SktrainError, match="per_observation"):
        probabilistic_sharpe_ratio(annual, 500)
    with pytest.raises(SktrainError, match="benchmark is annual"):
        probabilistic_sharpe_ratio(0.1, 500, benchmark=annual)
    with pytest.raises(SktrainError, match="sharpe is annual"):
        minimum_track_record_length(annual)
    with pytest.raises(SktrainError, match="looks annual"):
        probabilistic_sharpe_ratio(2.5, 1250)
    with pytest.raises(SktrainError, match="looks annual"):
        deflated_sharpe_ratio(2.5, 1250, n_trials=100, trials_variance=0.5 / 250)
    with pytest.raises(SktrainError, match="trials_variance.*looks annual"):
        deflated_sharpe_ratio(DAILY, 1250, n_trials=100, trials_variance=0.5)
    stated = SharpeRatio(2.5, None, 1250, 0.0, 3.0)  # whoever says so is believed
    assert probabilistic_sharpe_ratio(stated, 1250) == 1.0


def test_periods_against_the_times_of_the_returns():
    days = pd.Series(
        np.random.default_rng(0).normal(size=500) * 0.01, pd.bdate_range("2020", periods=500)
    )
    assert sharpe_ratio(days, periods_per_year=252).periods_per_year == 252
    for wrong in (12, 52, 252 * 78):
        with pytest.raises(SktrainError, match="contradicts the times"):
            sharpe_ratio(days, periods_per_year=wrong)
    with pytest.raises(SktrainError, match="risk_free.*per year"):
        sharpe_ratio(days, risk_free=0.04)


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        ([0.01], "at least 2"),
        ([], "at least 2"),
        ([0.01] * 5, "constant"),
        ([0.0] * 5, "constant"),
        ([0.01, np.nan, 0.02], "row 1"),
        ([0.01, 0.02, np.inf], "row 2"),
        ([[0.01, 0.02]], "one series"),
    ],
)
def test_refused_returns(returns, message):
    with pytest.raises(SktrainError, match=message):
        sharpe_ratio(returns)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probabilistic_sharpe_ratio(0.1, 1), "n_obs=1"),
        (lambda: probabilistic_sharpe_ratio(0.1, 10.0), "n_obs must be an integer"),
        (lambda: probabilistic_sharpe_ratio(0.1, True), "n_obs must be an integer"),
        (lambda: probabilistic_sharpe_ratio(math.nan, 10), "sharpe must be a finite number"),
        (lambda: probabilistic_sharpe_ratio(0.1, 10, kurtosis=0.0), "excess"),
        (lambda: probabilistic_sharpe_ratio(0.5, 10, skew=9.0, kurtosis=1.0), "No distribution"),
        (lambda: deflated_sharpe_ratio(0.1, 10, n_trials=0, trials_variance=0.1), "n_trials"),
        (
            lambda: deflated_sharpe_ratio(0.1, 10, n_trials=5, trials_variance=-0.1),
            "trials_variance",
        ),
        (lambda: minimum_track_record_length(0.1, confidence=1.0), "confidence"),
        (lambda: sharpe_ratio([0.1, 0.2], periods_per_year=0), "periods_per_year"),
        (lambda: sharpe_ratio([0.1, 0.2], periods_per_year=True), "periods_per_year"),
        (lambda: corrected_mean_interval([0.5], 10, 10), "at least 2 folds"),
        (lambda: corrected_mean_interval([0.5, np.nan], 10, 10), "fold 1"),
        (lambda: corrected_mean_interval([0.5, 0.6], 0, 10), "n_train"),
        (lambda: corrected_mean_interval([0.5, 0.6], [10, 10, 10], 10), "n_train"),
        (lambda: corrected_mean_interval([0.5, 0.6], 10, 10, confidence=95), "confidence"),
        (lambda: false_discovery_rate([0.5, 1.5]), "p_values"),
    ],
)
def test_refused_arguments(call, message):
    with pytest.raises(SktrainError, match=message):
        call()


def test_too_few_is_its_own_error():
    with pytest.raises(NotEnoughDataError):
        sharpe_ratio([0.1])


def test_track_record_bounds():
    assert minimum_track_record_length(0.1, benchmark=0.1) == math.inf
    assert minimum_track_record_length(0.1, confidence=0.4) == 2.0
    assert purgedcv.min_track_record_length(0.1, 0.0, 0.6, 0.0, 3.0) == 2.0


def test_corrected_interval_by_hand():
    scores = [0.40, 0.44, 0.36, 0.40]
    interval = corrected_mean_interval(scores, n_train=800, n_test=200)
    error = math.sqrt((1 / 4 + 200 / 800) * np.var(scores, ddof=1))
    assert interval.standard_error == pytest.approx(error)
    assert tuple(interval) == pytest.approx(
        (0.4 - 3.182446 * error, 0.4 + 3.182446 * error), abs=1e-6
    )
    assert 0.4 in interval
    assert 0.5 not in interval
    growing = corrected_mean_interval(scores, n_train=[100, 200, 300, 400], n_test=100)
    assert growing.standard_error == pytest.approx(
        math.sqrt((1 / 4 + np.mean([1, 1 / 2, 1 / 3, 1 / 4])) * np.var(scores, ddof=1))
    )


def test_false_discovery_by_hand():
    # sorted .01 .03 .04 .5 times 4/rank: .04 .06 .0533 .5, then the running minimum from the right
    assert false_discovery_rate([0.01, 0.04, 0.03, 0.5]) == pytest.approx(
        [0.04, 0.16 / 3, 0.16 / 3, 0.5]
    )
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    assert false_discovery_rate([0.01, 0.04, 0.03, 0.5], dependent=True) == pytest.approx(
        np.minimum(1, harmonic * np.array([0.04, 0.16 / 3, 0.16 / 3, 0.5]))
    )


def test_false_discovery_is_controlled():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        p = np.concatenate([rng.uniform(size=80), stats.norm.sf(rng.normal(3, 1, 20))])
        found = false_discovery_rate(p) <= 0.2
        shares.append(found[:80].sum() / max(1, found.sum()))
    assert np.mean(shares) < 0.18  # 0.2 times the share of true nulls, .8, plus noise

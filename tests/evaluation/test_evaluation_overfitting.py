"""Probability of backtest overfitting against a loop over combinations and a peer; effective trials
against constructions."""

from itertools import combinations
import pickle

import numpy as np
import purgedcv
import pytest
from scipy import stats

from sktrain.evaluation import effective_number_of_trials, probability_of_backtest_overfitting
from sktrain.exceptions import InvalidSplitError, NotEnoughDataError, SktrainError


def slow_logits(returns, n_blocks):
    """CSCV as the paper tells it, one combination and one configuration at a time."""
    parts = np.array_split(np.arange(len(returns)), n_blocks)
    logits = []
    for outside in combinations(range(n_blocks), n_blocks // 2):
        out = np.concatenate([parts[i] for i in outside])
        into = np.setdiff1d(np.arange(len(returns)), out)
        chosen = np.argmax([column[into].mean() / column[into].std(ddof=1) for column in returns.T])
        ranks = stats.rankdata(
            [column[out].mean() / column[out].std(ddof=1) for column in returns.T]
        )
        omega = ranks[chosen] / (returns.shape[1] + 1)
        logits.append(np.log(omega / (1 - omega)))
    return np.array(logits)


@pytest.mark.parametrize("seed", range(8))
def test_against_loop_and_purgedcv(seed):
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.01, size=(int(rng.integers(50, 260)), int(rng.integers(2, 12))))
    ours = probability_of_backtest_overfitting(returns, n_blocks=8)
    assert ours.logits == pytest.approx(slow_logits(returns, 8), abs=1e-9)
    # theirs has one row per configuration
    theirs = purgedcv.probability_of_backtest_overfitting(returns.T, 8)
    at_median = np.mean(np.asarray(theirs.logits) == 0)  # theirs does not count it, ours half
    assert ours == pytest.approx(theirs.pbo + at_median / 2, abs=1e-9)
    assert at_median == 0 or returns.shape[1] % 2
    assert ours.logits == pytest.approx(theirs.logits, abs=1e-9)
    assert ours.performance == pytest.approx(theirs.is_oos_performance, abs=1e-9)
    assert ours.slope == pytest.approx(theirs.slope, abs=1e-9)


def test_slices_without_variation_and_ties_agree_with_purgedcv():
    rng = np.random.default_rng(0)
    returns = rng.normal(0, 0.01, size=(80, 5))
    returns[:50, 1] = 0.0123  # silent in most of the blocks
    returns[:, 3] = returns[:, 2]
    returns[30:, 4] = 0.0
    ours, theirs = (
        probability_of_backtest_overfitting(returns, 8),
        purgedcv.probability_of_backtest_overfitting(returns.T, 8),
    )
    assert ours.logits == pytest.approx(theirs.logits, abs=1e-9)
    assert ours.performance == pytest.approx(theirs.is_oos_performance, abs=1e-9)


@pytest.mark.parametrize("n_configurations", [3, 7, 10])
def test_noise_is_one_half_on_average(n_configurations):
    rng = np.random.default_rng(0)
    values = [
        float(probability_of_backtest_overfitting(rng.normal(size=(160, n_configurations)), 8))
        for _ in range(400)
    ]
    assert np.mean(values) == pytest.approx(0.5, abs=4 * np.std(values) / 20)


def test_a_real_edge_is_near_zero():
    rng = np.random.default_rng(0)
    returns = rng.normal(size=(1000, 20))
    returns[:, 7] += 0.25
    assert probability_of_backtest_overfitting(returns) < 0.01


@pytest.mark.parametrize(
    ("rows", "metric"), [(240, "sharpe"), (1000, "sharpe"), (240, "mean"), (243, "mean")]
)
def test_demeaned_columns_are_exactly_one(rows, metric):
    returns = np.random.default_rng(0).normal(size=(rows, 20))
    assert (
        probability_of_backtest_overfitting(returns - returns.mean(axis=0), 8, metric=metric) == 1.0
    )


def test_demeaned_pairs_need_the_mean():
    # a winner by the mean is always the loser outside; by the Sharpe ratio, two columns can part in
    # their deviations
    rng = np.random.default_rng(0)
    for _ in range(20):
        pair = rng.normal(size=(64, 2))
        assert (
            probability_of_backtest_overfitting(pair - pair.mean(axis=0), 8, metric="mean") == 1.0
        )


def test_callable_metric_equals_the_built_in():
    returns = np.random.default_rng(0).normal(size=(60, 4))
    sharpe = probability_of_backtest_overfitting(
        returns, 6, metric=lambda part: part.mean(axis=0) / part.std(axis=0, ddof=1)
    )
    assert sharpe.logits == pytest.approx(probability_of_backtest_overfitting(returns, 6).logits)
    with pytest.raises(SktrainError, match="one finite number"):
        probability_of_backtest_overfitting(returns, 6, metric=np.mean)


def test_result_is_a_float_that_knows_more():
    result = probability_of_backtest_overfitting(np.random.default_rng(0).normal(size=(60, 4)), 6)
    assert result == result.pbo == np.mean(result.logits < 0)  # an even number, no ties
    assert result.logits.shape == (20,)
    assert "20 combinations" in result.summary()
    twin = pickle.loads(pickle.dumps(result))
    assert twin == result
    assert (twin.logits == result.logits).all()


@pytest.mark.parametrize(
    ("shape", "n_blocks", "error", "message"),
    [
        ((60, 4), 7, InvalidSplitError, "even"),
        ((60, 4), 24, InvalidSplitError, "combinations"),
        ((60, 4), 0, SktrainError, "n_blocks"),
        ((60, 4), True, SktrainError, "n_blocks"),
        ((60, 1), 6, NotEnoughDataError, "at least 2"),
        ((5, 4), 6, NotEnoughDataError, "at least 6 periods"),
        ((60,), 6, SktrainError, "matrix"),
    ],
)
def test_refused_shapes(shape, n_blocks, error, message):
    with pytest.raises(error, match=message):
        probability_of_backtest_overfitting(np.random.default_rng(0).normal(size=shape), n_blocks)


def test_refused_values():
    returns = np.random.default_rng(0).normal(size=(60, 4))
    returns[7, 2] = np.nan
    with pytest.raises(SktrainError, match="configuration 2 is nan in row 7"):
        probability_of_backtest_overfitting(returns, 6)
    returns[:, 2] = 0.01
    with pytest.raises(SktrainError, match="configuration 2 has constant returns"):
        probability_of_backtest_overfitting(returns, 6)
    assert probability_of_backtest_overfitting(returns, 6, metric="mean") >= 0
    with pytest.raises(SktrainError, match="metric"):
        probability_of_backtest_overfitting(returns, 6, metric="sortino")


def test_effective_trials_of_constructions():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(4000, 3))
    assert effective_number_of_trials(np.repeat(base, 4, axis=1)) == pytest.approx(3, abs=0.02)
    assert effective_number_of_trials(base) == pytest.approx(3, abs=0.02)
    assert effective_number_of_trials(np.repeat(base[:, :1], 9, axis=1)) == pytest.approx(1)
    rho = 0.5
    shared = np.sqrt(rho) * rng.normal(size=(200_000, 1)) + np.sqrt(1 - rho) * rng.normal(
        size=(200_000, 10)
    )
    assert effective_number_of_trials(shared) == pytest.approx(100 / (10 + 90 * rho**2), rel=0.03)
    assert effective_number_of_trials(shared, method="average") == pytest.approx(
        rho + (1 - rho) * 10, rel=0.03
    )


def test_effective_trials_are_not_capped_by_few_periods():
    rng = np.random.default_rng(0)
    few = [effective_number_of_trials(rng.normal(size=(6, 40))) for _ in range(200)]
    assert np.mean(few) > 33  # plain eigenvalues would say at most 5
    wide, tall = rng.normal(size=(30, 30)), rng.normal(size=(30, 29))
    correlation = np.corrcoef(tall.T)
    squares = (correlation**2).sum() - 29
    shared = (squares / (29 * 28) - 1 / 29) / (1 - 1 / 29)
    assert effective_number_of_trials(tall) == pytest.approx(
        np.clip(29 / (1 + 28 * max(shared, 0)), 1, 29)
    )
    assert effective_number_of_trials(wide) <= 30


@pytest.mark.parametrize("seed", range(5))
def test_effective_trials_of_a_series_agree_with_purgedcv(seed):
    rng = np.random.default_rng(seed)
    for scores in (
        rng.normal(size=300),
        np.cumsum(rng.normal(size=300)),
        rng.normal(size=3),
        np.ones(5),
    ):
        ours = effective_number_of_trials(scores)
        assert round(ours) == purgedcv.effective_n_trials(scores)  # theirs rounds to whole trials


def test_effective_trials_at_the_edges():
    rng = np.random.default_rng(0)
    with_constants = np.column_stack([rng.normal(size=(500, 2)), np.full((500, 3), 0.3)])
    assert effective_number_of_trials(with_constants) == pytest.approx(3, abs=0.05)
    assert effective_number_of_trials(np.ones((10, 4))) == 1.0
    assert effective_number_of_trials(rng.normal(size=(10, 1))) == 1.0
    with pytest.raises(NotEnoughDataError, match="at least 3 periods"):
        effective_number_of_trials(rng.normal(size=(2, 4)))
    with pytest.raises(NotEnoughDataError, match="at least one trial"):
        effective_number_of_trials([])
    with pytest.raises(SktrainError, match="trial 1 is nan"):
        effective_number_of_trials([[1, np.nan], [2, 3], [3, 4]])
    with pytest.raises(SktrainError, match="method"):
        effective_number_of_trials(rng.normal(size=(10, 4)), method="autocorrelation")
    with pytest.raises(SktrainError, match="matrix"):
        effective_number_of_trials([0.1, 0.2, 0.4], method="spectrum")

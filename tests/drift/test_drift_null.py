"""The null of each statistic holds its level on rows that depend on each other."""

from helpers import autoregressive
import numpy as np
import pytest
from scipy.stats import false_discovery_control, fisher_exact

from sktrain.drift._null import (
    Moments,
    _autoregression,
    _finite_mean_factor,
    _heterogeneous,
    benjamini_hochberg,
    centred_moments,
    count_p_values,
    horizons,
    mean_p_values,
    moments,
    share_p_values,
)


def p_values(old, new, **options):
    return mean_p_values(new.mean(axis=0) - old.mean(axis=0), *centred_moments(old, new), **options)


def of_blocks(*blocks):
    n = sum(len(block) for block in blocks)
    return [moments(list(blocks), n, horizons(n))]


@pytest.mark.parametrize(
    "n, spans", [(50, [1]), (300, [1, 6]), (1500, [1, 6, 36]), (7000, [1, 6, 36, 216])]
)
def test_moments_hold_the_regressions_of_a_plain_least_squares(n, spans):
    """Both models from the remembered sums against lstsq on the rows, and shorter spans from longer
    ones."""
    x = autoregressive(np.random.default_rng(0), 0.7, n, 2)
    (held,) = of_blocks(x)
    assert horizons(n) == spans
    for size in range(1, len(spans) + 1):
        reach = spans[-1]
        past = np.stack(
            [[x[t - span : t].mean(axis=0) for t in range(reach, n)] for span in spans[:size]]
        )
        for series in range(2):
            now, own = x[reach:, series], past[:, :, series].T
            weights = np.linalg.lstsq(own, now, rcond=None)[0]
            matrix = held.long.matrix(size)[series]
            ours = np.linalg.solve(matrix[1:, 1:], matrix[1:, 0])
            assert 1 + ours[-1] == pytest.approx(weights.sum(), abs=1e-8)
            left = matrix[0, 0] - matrix[0, 1:] @ ours
            assert left == pytest.approx(((now - own @ weights) ** 2).sum(), rel=1e-8)


def test_single_precision_is_enough_for_a_series_as_smooth_as_prices():
    x = np.cumsum(np.cumsum(np.random.default_rng(0).standard_normal((8000, 3)), axis=0), axis=0)
    x -= x.mean(axis=0)
    exact = of_blocks(x)
    rounded = [Moments.join(exact)]
    for model in (_autoregression, _heterogeneous):
        for a, b in zip(model(exact), model(rounded)):
            np.testing.assert_allclose(a, b, rtol=1e-3)


def test_a_short_reference_leaves_long_memory_to_the_many_new_rows():
    rng = np.random.default_rng(0)
    old, new = (
        autoregressive(rng, 0.5, 60, 1),
        np.sqrt(0.3) * autoregressive(rng, 0.98, 20_000, 1) + rng.standard_normal((20_000, 1)),
    )
    first = moments([old - old.mean(axis=0)], 60, horizons(120))
    second = moments([new - new.mean(axis=0)], 20_000, horizons(20_060))
    assert first.long.n_spans < second.long.n_spans
    alone = _heterogeneous([second])
    np.testing.assert_allclose(_heterogeneous([first, second])[0], alone[0], rtol=0.05)


@pytest.mark.parametrize("phi, n", [(0.0, 5), (0.5, 10), (0.9, 50), (0.98, 200)])
def test_variance_of_a_finite_mean_by_double_sum(phi, n):
    lags = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    exact = (phi**lags).sum() / n**2  # unit variance
    assert _finite_mean_factor(phi, n) * (1 + phi) / (1 - phi) / n == pytest.approx(exact)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_both_models_find_the_long_run_variance(phi):
    x = autoregressive(np.random.default_rng(0), phi, 60_000, 12)
    truth = (1 + phi) / (1 - phi)
    for model in (_autoregression, _heterogeneous):
        lrv, _, freedom = model(of_blocks(x - x.mean(axis=0)))
        assert lrv.mean() == pytest.approx(truth, rel=0.1)
        assert (freedom > 100).all()


def test_the_longer_model_sees_a_faint_slow_memory_that_ar1_overlooks():
    rng = np.random.default_rng(0)
    slow = autoregressive(rng, 0.95, 100_000, 3)
    x = np.sqrt(0.3) * slow + np.sqrt(0.7) * rng.standard_normal((100_000, 3))
    truth = 0.3 * 1.95 / 0.05 + 0.7
    assert (_autoregression(of_blocks(x))[0] < 0.4 * truth).all()
    np.testing.assert_allclose(_heterogeneous(of_blocks(x))[0], truth, rtol=0.2)


@pytest.mark.parametrize("phi, bound", [(0.0, 0.062), (0.5, 0.062), (0.9, 0.065), (0.98, 0.065)])
def test_level_of_one_mean(phi, bound):
    rng = np.random.default_rng(0)
    x = autoregressive(rng, phi, 1250, 3000)
    for location in (None, np.ones(3000, dtype=bool)):
        p, _ = p_values(x[:1000], x[1000:], location=location)
        assert (p < 0.05).mean() <= bound
        assert (p < 0.005).mean() <= 0.012


def test_power_of_one_mean():
    rng = np.random.default_rng(0)
    x = autoregressive(rng, 0.9, 1250, 1000)
    x[1000:] += 1.5
    p, _ = p_values(x[:1000], x[1000:], location=np.ones(1000, dtype=bool))
    assert (p < 0.05).mean() > 0.97


def test_effective_rows_of_an_autoregression():
    x = autoregressive(np.random.default_rng(0), 0.8, 50_000, 5)
    _, effective = p_values(x[:40_000], x[40_000:])
    np.testing.assert_allclose(effective, 10_000 / 9, rtol=0.15)


@pytest.mark.parametrize("n", [50, 1000])
def test_no_difference_is_certain_and_any_difference_of_constants_is_too(n):
    same, other = np.zeros((n, 1)), np.ones((n, 1))
    assert p_values(same, same)[0][0] == 1.0
    assert p_values(same, other)[0][0] == 0.0


def test_blocks_do_not_touch():
    """Splitting a sample into two blocks loses one pair of neighbours, not more."""
    x = autoregressive(np.random.default_rng(0), 0.7, 4000, 2)
    x -= x.mean(axis=0)
    whole, halves = _autoregression(of_blocks(x)), _autoregression(of_blocks(x[:2000], x[2000:]))
    np.testing.assert_allclose(whole[1], halves[1], rtol=1e-2)


@pytest.mark.parametrize(
    "table", [(0, 1000, 1, 250), (250, 1000, 40, 250), (3, 60, 9, 40), (0, 50, 0, 50)]
)
def test_counts_are_fishers(table):
    a, n, b, m = table
    ours = count_p_values(np.array([a]), n, np.array([b]), m)[0]
    less = fisher_exact([[b, m - b], [a, n - a]], alternative="less").pvalue
    greater = fisher_exact([[b, m - b], [a, n - a]], alternative="greater").pvalue
    assert ours == pytest.approx(min(1, 2 * min(less, greater)))


def test_a_vanished_share_is_more_surprising_than_its_difference():
    rng = np.random.default_rng(0)
    old, new = (rng.random((1000, 1)) < 0.05).astype(float), np.zeros((250, 1))
    by_share = share_p_values(
        old.sum(axis=0).astype(int), 1000, np.zeros(1, int), 250, *centred_moments(old, new)
    )[0][0]
    assert by_share < p_values(old, new)[0][0]
    assert by_share >= count_p_values(old.sum(axis=0).astype(int), 1000, np.zeros(1, int), 250)[0]


def test_benjamini_hochberg_is_scipys_and_skips_nan():
    p = np.random.default_rng(0).random(20) ** 2
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))
    holes = benjamini_hochberg(np.insert(p, 3, np.nan))
    assert np.isnan(holes[3])
    np.testing.assert_allclose(np.delete(holes, 3), false_discovery_control(p))

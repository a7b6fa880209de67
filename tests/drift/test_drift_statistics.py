"""Each statistic against a definition written out."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from sktrain import DriftDetector
from sktrain.drift import population_stability_index
from sktrain.drift._sketch import NumericReference
from sktrain.drift._statistics import middle_ranks, smoothed_shares, sorted_values
from sktrain.exceptions import SktrainError


def test_psi_of_the_reference_page():
    assert population_stability_index([0.25] * 4, [0.4, 0.3, 0.2, 0.1]) == pytest.approx(
        0.228217, abs=1e-6
    )


def test_psi_through_the_detector_converges_to_the_formula():
    reference = np.repeat([0.0, 1.0, 2.0, 3.0], 25_000)
    new = np.repeat([0.0, 1.0, 2.0, 3.0], [40_000, 30_000, 20_000, 10_000])
    rng = np.random.default_rng(0)
    report = (
        DriftDetector()
        .fit(rng.permutation(reference)[:, None])
        .check(rng.permutation(new)[:, None])
    )
    assert report["psi"] == pytest.approx(0.228217, abs=1e-4)


def test_psi_without_drift_has_the_published_mean_and_tail():
    rng = np.random.default_rng(0)
    values = []
    for _ in range(400):
        column = NumericReference.learn(rng.normal(size=500), 10)
        counts = column.bin_counts(np.sort(rng.normal(size=500)), 0)
        values.append(
            population_stability_index(
                smoothed_shares(column.counts[:-1]), smoothed_shares(counts[:-1])
            )
        )
    assert np.mean(values) == pytest.approx(0.036, abs=0.003)
    assert np.quantile(values, 0.95) == pytest.approx(0.069, abs=0.008)


@pytest.mark.parametrize("p, q", [([0.5, 0.5], [1.0, 0.0]), ([1.0], [0.5, 0.5])])
def test_psi_refuses_empty_or_unequal_bins(p, q):
    with pytest.raises(SktrainError, match="shares must be positive"):
        population_stability_index(p, q)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 7.0, np.nan]), min_size=1, max_size=60),
    st.integers(2, 12),
)
def test_bins_hold_every_row_once_and_agree_with_a_loop(values, n_bins):
    values = np.array(values)
    column = NumericReference.learn(values, n_bins)
    assert column.counts.sum() == len(values)
    expected = np.zeros(len(column.edges) + 2, dtype=int)
    for value in values:
        if np.isnan(value):
            expected[-1] += 1
        else:
            expected[
                sum(
                    value >= edge if below else value > edge
                    for edge, below in zip(column.edges, column.below)
                )
            ] += 1
    assert column.counts.tolist() == expected.tolist()
    assert len(column.bin_names()) == len(column.counts)


def test_a_heavy_value_has_a_bin_of_its_own():
    values = np.concatenate([np.zeros(500), np.linspace(-1, 1, 500)])
    column = NumericReference.learn(values, 10)
    below, inside, above = np.array([-1e-9]), np.array([0.0]), np.array([1e-9])
    assert (
        len({int(np.argmax(column.bin_counts(value, 0))) for value in (below, inside, above)}) == 3
    )
    assert "[0, 0]" in column.bin_names()


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=40),
    st.lists(st.integers(-6, 6), min_size=1, max_size=10),
)
def test_middle_ranks_are_the_mean_of_below_and_not_above(ordered, values):
    expected = [np.mean([(x < v) + 0.5 * (x == v) for x in ordered]) for v in values]
    np.testing.assert_allclose(
        middle_ranks(np.sort(np.array(ordered, float)), np.array(values, float)), expected
    )


@pytest.mark.parametrize(
    "draw, exact",
    [(lambda rng, n: rng.integers(0, 30, n) / 7, True), (lambda rng, n: rng.normal(size=n), False)],
)
def test_distances_are_scipys(draw, exact):
    """Exact for columns of a few values; else to the rows between two remembered quantiles: 3 % of
    them, half of it at most."""
    rng = np.random.default_rng(1)
    old, new = draw(rng, 300), 0.3 + 1.5 * draw(rng, 200)
    row = DriftDetector().fit(old[:, None]).check(new[:, None]).per_feature.iloc[0]
    assert row["ks"] == pytest.approx(ks_2samp(old, new).statistic, abs=1e-12 if exact else 0.015)
    assert row["wasserstein"] == pytest.approx(
        wasserstein_distance(old, new) / old.std(), rel=1e-9, abs=0 if exact else 0.01
    )
    assert row["mean_shift"] == pytest.approx(abs(new.mean() - old.mean()) / old.std())
    assert row["spread"] == pytest.approx(new.std() / old.std())


def test_sorted_values_drop_nan_and_leave_the_input():
    values = np.array([2.0, np.nan, 1.0])
    assert sorted_values(values).tolist() == [1.0, 2.0]
    assert values[0] == 2.0


def test_a_long_reference_is_remembered_by_quantiles():
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=200_000), rng.normal(0.1, 1, size=5_000)
    row = DriftDetector().fit(old[:, None]).check(new[:, None]).per_feature.iloc[0]
    assert row["ks"] == pytest.approx(ks_2samp(old, new).statistic, abs=2e-3)
    assert row["wasserstein"] == pytest.approx(wasserstein_distance(old, new) / old.std(), abs=2e-3)

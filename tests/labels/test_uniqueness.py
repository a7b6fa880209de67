"""Uniqueness, sequential bootstrap and time decay against loops over bars and numbers worked by
hand."""

from fractions import Fraction

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest

from sktrain import AdaptiveLabeler, average_uniqueness, sequential_bootstrap, time_decay_weights
from sktrain.exceptions import SktrainError
from sktrain.labels._uniqueness import _stretches, draw_probabilities

spans = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 8)), min_size=1, max_size=25).map(
    lambda pairs: (np.array([s for s, _ in pairs]), np.array([s + length for s, length in pairs]))
)


def uniqueness_loop(starts, ends, drawn):
    """Mean over each label's bars of 1 / (labels of ``drawn`` alive, itself included), in exact
    fractions."""
    out = []
    for start, end in zip(starts, ends):
        alive = [
            1 + sum(1 for j in drawn if starts[j] <= bar <= ends[j])
            for bar in range(start, end + 1)
        ]
        out.append(sum(Fraction(1, count) for count in alive) / len(alive))
    return out


def test_uniqueness_by_hand():
    np.testing.assert_allclose(average_uniqueness([0, 2, 4], [2, 3, 5]), [5 / 6, 3 / 4, 1])


@settings(max_examples=100, deadline=None)
@given(spans)
def test_uniqueness_against_a_loop(span):
    starts, ends = span
    everyone = range(len(starts))
    expected = [uniqueness_loop([s], [e], []) for s, e in zip(starts, ends)]
    for i in everyone:
        alive = [
            sum(1 for j in everyone if starts[j] <= bar <= ends[j])
            for bar in range(starts[i], ends[i] + 1)
        ]
        expected[i] = float(sum(Fraction(1, count) for count in alive) / len(alive))
    np.testing.assert_allclose(average_uniqueness(starts, ends), expected, rtol=1e-12)


def test_end_times_give_the_same_as_positions():
    bars = pd.date_range("2024", periods=6)
    ends = pd.Series(bars[[2, 3, 5]], index=bars[[0, 2, 4]])
    found = average_uniqueness(ends, bars_index=bars)
    pd.testing.assert_series_equal(
        found, pd.Series([5 / 6, 3 / 4, 1], index=ends.index, name="average_uniqueness")
    )
    assert average_uniqueness(ends.iloc[::-1], bars_index=bars).tolist() == found.tolist()[::-1]


def test_bars_nobody_starts_at_count_when_told():
    bars = pd.date_range("2024", periods=5)
    ends = pd.Series(bars[[3, 4]], index=bars[[0, 3]])
    np.testing.assert_allclose(
        average_uniqueness(ends, bars_index=bars), [(1 + 1 + 1 + 0.5) / 4, (0.5 + 1) / 2]
    )


def test_labels_of_different_symbols_do_not_overlap(us_stocks):
    labeler = AdaptiveLabeler(horizon=4)
    X, y = labeler.fit_resample(us_stocks)
    ends = labeler.label_end_times(us_stocks)
    weights = average_uniqueness(ends, bars_index=us_stocks.index)
    assert weights.index.equals(us_stocks.index)
    assert weights[X.index].notna().all()
    assert (weights.isna() == ends.isna()).all()
    for symbol, own in us_stocks.groupby(level=0):
        alone = average_uniqueness(labeler.label_end_times(own), bars_index=own.index)
        np.testing.assert_allclose(weights[symbol].to_numpy(), alone.to_numpy(), rtol=1e-9)
        middle = weights[symbol].iloc[40:-40]
        np.testing.assert_allclose(middle, 1 / 5)  # each label shares every bar with four others


def test_draw_probabilities_by_hand():
    first, last, lengths = _stretches(np.array([0, 2, 4]), np.array([2, 3, 5]))
    drawn_second = np.array([1, 1 / 2, 1 / 2, 1])
    np.testing.assert_allclose(
        draw_probabilities(drawn_second, first, last, lengths), [5 / 14, 3 / 14, 6 / 14]
    )
    and_third = np.array([1, 1 / 2, 1 / 2, 1 / 2])
    np.testing.assert_allclose(
        draw_probabilities(and_third, first, last, lengths), [5 / 11, 3 / 11, 3 / 11]
    )


@settings(max_examples=60, deadline=None)
@given(spans, st.integers(0, 2**31))
def test_bootstrap_draws_what_the_slow_one_draws(span, seed):
    starts, ends = span
    chances = np.random.RandomState(seed).random_sample(6)
    drawn = []
    for chance in chances:
        worth = uniqueness_loop(starts, ends, drawn)
        reached = np.cumsum([float(value / sum(worth)) for value in worth])
        drawn.append(
            next(
                label
                for label, total in enumerate(reached)
                if chance < total or label == len(worth) - 1
            )
        )
    assert sequential_bootstrap(starts, ends, n_samples=6, random_state=seed).tolist() == drawn


def test_bootstrap_is_more_unique_than_chance():
    """The experiment of Lopez de Prado (2018, ch. 4.5.4): median uniqueness about 0.6 drawn
    plainly, about 0.7 in sequence."""
    rng = np.random.default_rng(0)
    ours, plain = [], []
    for seed in range(400):
        starts = rng.integers(0, 100, 10)
        ends = starts + rng.integers(1, 5, 10)
        for sample, pile in (
            (sequential_bootstrap(starts, ends, random_state=seed), ours),
            (rng.integers(0, 10, 10), plain),
        ):
            pile.append(average_uniqueness(starts[sample], ends[sample]).mean())
    assert np.median(plain) == pytest.approx(0.6, abs=0.03)
    assert np.median(ours) == pytest.approx(0.7, abs=0.03)


def test_bootstrap_repeats_with_its_seed_and_leaves_the_global_one():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    one, two = (
        sequential_bootstrap([0, 1, 5], [4, 4, 9], n_samples=50, random_state=3) for _ in range(2)
    )
    assert one.tolist() == two.tolist()
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize(
    "oldest, expected",
    [
        (1.0, [1, 1, 1, 1]),
        (0.0, [0.25, 0.5, 0.75, 1]),
        (0.5, [0.625, 0.75, 0.875, 1]),
        (-0.5, [0, 0, 0.5, 1]),
    ],
)
def test_time_decay_by_hand(oldest, expected):
    np.testing.assert_allclose(time_decay_weights([1, 1, 1, 1], oldest=oldest), expected)


@pytest.mark.parametrize("bad", [-1.0, 0.0, np.inf, -np.inf, np.nan])
def test_time_decay_refuses_a_uniqueness_that_no_label_has(bad):
    with pytest.raises(ValueError, match="must be positive, got .* for label 1"):
        time_decay_weights([1.0, bad, 0.5])


def test_time_decay_counts_age_in_uniqueness():
    weights = time_decay_weights(pd.Series([0.5, 0.5, 1.0], index=list("abc")), oldest=0)
    assert weights.to_dict() == {"a": 0.25, "b": 0.5, "c": 1.0}


def test_time_decays_in_time_not_in_rows():
    days = pd.date_range("2024-01-01", periods=4)
    panel = pd.MultiIndex.from_product([["A", "B"], days], names=["symbol", "time"])
    weights = time_decay_weights(pd.Series(1.0, panel), oldest=0)
    for symbol in "AB":  # rows of a panel stand symbol after symbol, and are as old as their day
        assert weights[symbol].tolist() == [0.25, 0.5, 0.75, 1.0]
    share = pd.Series([0.5, 0.25, 1.0, 0.75], days)
    shuffled = time_decay_weights(share.iloc[[2, 0, 3, 1]])
    np.testing.assert_allclose(shuffled.loc[days], time_decay_weights(share.to_numpy()))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: average_uniqueness([3], [2]), "Label 0 ends before it starts"),
        (lambda: average_uniqueness([0, 1], [2]), "equal length"),
        (lambda: average_uniqueness([0.5], [2]), "whole bar positions"),
        (lambda: average_uniqueness([-1], [2]), "before the first bar"),
        (lambda: average_uniqueness([], []), "empty"),
        (lambda: average_uniqueness([1, 2]), "Series of end times"),
        (
            lambda: average_uniqueness(
                pd.Series(pd.to_datetime(["2024-01-01"]), pd.to_datetime(["2024-01-02"]))
            ),
            "ends before it starts",
        ),
        (
            lambda: average_uniqueness(
                pd.Series(pd.to_datetime(["2024-01-03"]), pd.to_datetime(["2024-01-02"])),
                bars_index=pd.to_datetime(["2024-01-02"]),
            ),
            "no bar of bars_index",
        ),
        (lambda: sequential_bootstrap([0], [1], n_samples=0), "n_samples must be an integer >= 1"),
        (lambda: sequential_bootstrap([0], [1], n_samples=True), "n_samples"),
        (
            lambda: sequential_bootstrap(pd.Series([pd.NaT], pd.to_datetime(["2024-01-02"]))),
            "no end time",
        ),
        (lambda: time_decay_weights([1, 1], oldest=-1), "oldest"),
        (lambda: time_decay_weights([1, 1], oldest=1.1), "oldest"),
        (lambda: time_decay_weights([1, 1], oldest=True), "oldest"),
        (lambda: time_decay_weights([1, np.nan]), "positive, got nan for label 1"),
        (lambda: time_decay_weights([]), "at least one label"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(SktrainError, match=message):
        call()

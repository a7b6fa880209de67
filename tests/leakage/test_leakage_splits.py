"""Facts about folds against a pairwise loop, and folds nobody should accept."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, TimeSeriesSplit

from sktrain import EnhancedWalkForwardCV, LeakageValidator
from sktrain._spans import Spans
from sktrain.exceptions import InvalidSplitError
from sktrain.leakage._folds import FoldChecker

V = LeakageValidator()
FAR = np.iinfo(np.int64).max


def slow_facts(start, end, train, test):
    """The same facts, pair by pair."""
    axis = np.unique(start)
    known = {row: int(np.sum(axis <= end[row])) - 1 for row in range(len(start))}
    code = {row: int(np.searchsorted(axis, start[row])) for row in range(len(start))}
    overlap = [r for r in train if any(start[r] <= end[t] and end[r] >= start[t] for t in test)]
    after = [r for r in train if any(start[r] > start[t] for t in test)]
    before = [code[t] - known[r] for r in train for t in test if start[t] >= start[r]]
    # a later training row is held against the latest end of all tests decided before it
    later = [code[r] - max(known[t] for t in test if start[t] <= start[r]) for r in after]
    return len(overlap), min(overlap, default=-1), len(after), before, later


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_facts_equal_a_pairwise_loop(data):
    n = data.draw(st.integers(2, 25))
    start = np.array(data.draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)))
    end = start + np.array(data.draw(st.lists(st.integers(0, 6), min_size=n, max_size=n)))
    side = np.array(data.draw(st.lists(st.sampled_from([0, 1, 2]), min_size=n, max_size=n)))
    train, test = np.flatnonzero(side == 1), np.flatnonzero(side == 2)
    fact = FoldChecker(Spans.from_times(start, end)).facts(train, test)
    overlapping, first, after, before, later = slow_facts(start, end, train, test)
    assert (fact.overlapping, fact.first_overlap, fact.after) == (overlapping, first, after)
    assert fact.shared_times == sum(start[row] in start[test] for row in train)
    assert fact.distance_after == min(later, default=FAR)
    nearest = {}
    for row in train:
        following = [start[t] for t in test if start[t] >= start[row]]
        if following:
            axis = np.unique(start)
            nearest[row] = int(
                np.searchsorted(axis, min(following)) - (np.sum(axis <= end[row]) - 1)
            )
    assert fact.distance_before == min(nearest.values(), default=FAR)
    assert not before or fact.distance_before <= min(before)


def frame(n=200):
    return pd.DataFrame(
        np.random.default_rng(0).normal(size=(n, 3)), pd.date_range("2020", periods=n)
    )


def test_order_of_rows_does_not_matter():
    X = frame()
    ends = X.index[np.minimum(np.arange(200) + 4, 199)]
    mixed = np.random.default_rng(1).permutation(200)
    pairs = [(np.arange(100), np.arange(102, 150))]
    place = np.argsort(mixed)
    moved = [(place[a], place[b]) for a, b in pairs]
    one = V.check_split(pairs, X, label_end_times=ends)
    two = V.check_split(moved, X.iloc[mixed], label_end_times=ends[mixed])
    assert one.codes("error") == two.codes("error") == ["overlap"]
    assert one.errors[0].evidence["rows"] == two.errors[0].evidence["rows"] == 2


def test_unknown_horizon_is_no_pass():
    report = V.check_split(TimeSeriesSplit(3), frame(), np.zeros(200))
    assert report.status == "INCONCLUSIVE"
    assert report["checks"]["overlap"] == "NOT_CHECKED"
    assert "unknown_horizon" in report.codes()


def test_dose_response_of_a_gap():
    """Overlap vanishes exactly when the gap reaches the horizon."""
    rows = [
        sum(
            f.evidence["rows"]
            for f in LeakageValidator(horizon=6)
            .check_split(TimeSeriesSplit(4, gap=gap), frame())
            .errors
        )
        for gap in range(9)
    ]
    assert rows == [24, 20, 16, 12, 8, 4, 0, 0, 0]


def test_embargo_that_was_asked_for():
    cv = TimeSeriesSplit(4, gap=6)
    # 6 left out, 2 of them by the labels
    assert LeakageValidator(horizon=2, embargo_bars=4).check_split(cv, frame()).passed
    assert LeakageValidator(horizon=2, embargo_bars=5).check_split(cv, frame()).codes("error") == [
        "embargo"
    ]


@pytest.mark.parametrize(
    ("cv", "said"),
    [
        ([(np.arange(10), np.arange(500, 510))], "is no row of X"),
        ([(np.arange(10), np.array([-1]))], "is no row of X"),
        ([(np.array([0.5]), np.arange(3))], "row positions"),
        ([np.arange(3)], "not a pair"),
        ("nonsense", "splitter"),
    ],
)
def test_broken_folds_are_refused(cv, said):
    with pytest.raises(InvalidSplitError, match=said):
        V.check_split(cv, frame())


def test_lengths_must_agree():
    with pytest.raises(InvalidSplitError, match="200 rows but y has 3"):
        V.check_split(KFold(3), frame(), [0, 1, 2])


def test_no_folds_and_empty_folds():
    report = V.check_split([], frame())
    assert report.status == "NOT_CHECKED"
    assert not report.passed
    report = LeakageValidator(horizon=0).check_split(
        [(np.arange(5), np.array([], dtype=int))], frame()
    )
    assert report.status == "INCONCLUSIVE"
    assert report.codes("error") == ["empty_fold"]


def test_masks_and_generators_are_folds_too():
    mask = np.arange(200) < 100
    report = LeakageValidator(horizon=3).check_split(((mask, ~mask) for _ in range(1)), frame())
    assert report.codes("error") == ["overlap"]


def test_horizon_of_the_splitter_is_used_and_said():
    report = V.check_split(
        EnhancedWalkForwardCV(3, horizon=5, min_samples_per_fold=10, ensure_regime_coverage=False),
        frame(),
    )
    assert report.status == "PASS"
    assert "horizon_from_splitter" in report.codes("info")

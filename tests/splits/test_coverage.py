"""Moved boundaries against an enumeration of all boundaries."""

from itertools import product

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest

from sktrain.exceptions import NotEnoughDataError
from sktrain.splits import CombinatorialPurgedCV, EnhancedWalkForwardCV


def scores(train_and_test, groups, known_regimes, size):
    """(unseen, missing, deviation), straight from the rows of each fold."""
    unseen = missing = deviation = 0
    for train, test in train_and_test:
        tested = {groups[i] for i in test} & known_regimes
        trained = {groups[i] for i in train}
        unseen += len(tested - trained)
        missing += len(known_regimes - tested)
        deviation += abs(len(test) - size)
    return unseen, missing, deviation


def all_foldings(n, k, horizon, embargo, least, window, limit):
    """Every way to place the inner boundaries, each as (train, test) rows built one row at a
    time."""
    size = n // (k + 1)
    first = n - k * size
    if window == "rolling" and limit is None:
        limit = 1 + max(i for i in range(first) if i + horizon < first - embargo)
    for inner in product(range(first + 1, n), repeat=k - 1):
        edges = [first, *inner, n]
        sizes = np.diff(edges)
        if (
            (sizes < size - size // 2).any()
            or (sizes > size + size // 2).any()
            or (sizes < least).any()
        ):
            continue
        folds = []
        for low, high in zip(edges[:-1], edges[1:]):
            train = [i for i in range(low) if i + horizon < low - embargo]
            if limit is not None and train:
                train = [i for i in train if i > train[-1] - limit]
            folds.append((train, list(range(low, high))))
        if all(len(train) >= least for train, _ in folds):
            yield folds


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=24, max_size=40),
    st.integers(2, 3),
    st.integers(0, 2),
    st.integers(0, 3),
    st.sampled_from([("expanding", None), ("rolling", None), ("expanding", 4)]),
)
def test_moved_boundaries_are_the_best_of_all(groups, k, horizon, embargo, mode):
    window, limit = mode
    n, least = len(groups), 1
    groups = ["up", "up", "down", None][0:0] + [["up", "down", "calm", None][g] for g in groups]
    known = set(groups) - {None}
    cv = EnhancedWalkForwardCV(
        k, window=window, max_train_size=limit, min_samples_per_fold=least, horizon=horizon,
        embargo_bars=embargo,
    )
    folds = list(cv.split(np.zeros((n, 1)), groups=groups))
    best = min(
        scores(folding, groups, known, n // (k + 1))
        for folding in all_foldings(n, k, horizon, embargo, least, window, limit)
    )
    assert scores(folds, groups, known, n // (k + 1)) == best


def test_the_summary_counts_regimes_as_a_loop_does():
    X = pd.DataFrame({"a": np.arange(200.0)}, pd.date_range("2020", periods=200))
    groups = np.array(["usual"] * 200, dtype=object)
    groups[3] = groups[60::25] = "rare"
    groups[170:] = "late"
    cv = EnhancedWalkForwardCV(4, horizon=0, min_samples_per_fold=20, ensure_regime_coverage=False)
    table = cv.summary(X, groups=groups)
    pairs = cv.split(X)
    seen = []
    for (_, row), (train, test) in zip(table.iterrows(), pairs, strict=True):
        inside, before = set(groups[test]), set(groups[train])
        assert row["unseen_regimes"] == len(inside - before)
        assert row["missing_regimes"] == len(set(groups) - inside)
        assert row["train_rows_rare"] == (groups[train] == "rare").sum()
        seen.append((len(inside - before), (groups[train] == "rare").sum()))
    assert {unseen for unseen, _ in seen} == {0, 1}
    assert min(rare for _, rare in seen) == 1


def test_folds_without_training_rows_say_how_many_times_there_are():
    X = np.zeros((12, 1))
    with pytest.raises(NotEnoughDataError, match=r"12 unique times in 4 blocks"):
        list(CombinatorialPurgedCV(n_blocks=4, n_test_blocks=2, horizon=11).split(X))

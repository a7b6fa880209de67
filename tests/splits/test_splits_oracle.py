"""Every splitter against an O(n^2) oracle that looks at pairs of rows, one by one."""

from itertools import combinations
import warnings

from hypothesis import assume, given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import TimeSeriesSplit

from sktrain import with_label_times
from sktrain._validation import label_spans
from sktrain.exceptions import DataQualityWarning, NotEnoughDataError
from sktrain.splits import CombinatorialPurgedCV, EnhancedWalkForwardCV, TemporalSplitter

DAY = pd.Timedelta("1D")


@st.composite
def markets(draw):
    """A shuffled, uneven panel (or one instrument), labels with gaps, and spans of any length."""
    n_times = draw(st.integers(14, 30))
    symbols = draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    days = pd.Timestamp("2020-01-01") + DAY * np.cumsum(rng.integers(1, 4, n_times))
    rows = [
        (s, t) for s in range(symbols) for t in range(n_times) if symbols == 1 or rng.random() < 0.7
    ]
    rows += [(0, t) for t in range(n_times) if not any(r[1] == t for r in rows)]
    reach = rng.integers(0, 6, len(rows))
    if draw(st.booleans()):
        order = rng.permutation(len(rows))
        rows, reach = [rows[i] for i in order], reach[order]
    times = days[[t for _, t in rows]]
    index = (
        times
        if symbols == 1
        else pd.MultiIndex.from_arrays(
            [[f"S{s}" for s, _ in rows], times], names=["symbol", "time"]
        )
    )
    # a label may be known between two bars
    hours = pd.to_timedelta(rng.integers(0, 24, len(rows)), unit="h")
    ends = pd.Series(times + DAY * reach + hours * draw(st.integers(0, 1)), index=index)
    y = pd.Series(
        np.where(rng.random(len(rows)) < 0.1, np.nan, rng.integers(0, 3, len(rows))), index=index
    )
    assume(y.notna().sum() > 5)
    return pd.DataFrame({"x": np.arange(len(rows))}, index=index), y, ends


def oracle_train(X, y, ends, test, embargo, may_train):
    """Rows that may train, from the sentences of the contract; ``test`` is a list of tested blocks
    of rows."""
    times = X.index.get_level_values(-1)
    axis = sorted(set(times))
    keep = []
    for i in range(len(X)):
        if not may_train(times[i]) or np.isnan(y.iloc[i]):
            continue
        ok = True
        for block in test:
            if not block:
                continue
            first, latest = min(times[j] for j in block), max(ends.iloc[j] for j in block)
            if i in block:
                ok = False
            elif times[i] < first:
                ok &= ends.iloc[i] < first
                if embargo:
                    ok &= sum(1 for t in axis if ends.iloc[i] < t < first) >= embargo
            else:
                ok &= times[i] > latest
                if embargo:
                    ok &= sum(1 for t in axis if latest < t < times[i]) >= embargo
        if ok:
            keep.append(i)
    return keep


def rows_at(X, y, positions):
    times = X.index.get_level_values(-1)
    axis = sorted(set(times))
    wanted = {axis[p] for p in positions}
    return [i for i in range(len(X)) if times[i] in wanted and not np.isnan(y.iloc[i])]


def check_general(X, y, train, test, ends):
    """What must hold whatever the splitter: no shared time, no missing label, no pair of
    overlapping spans."""
    times = X.index.get_level_values(-1)
    assert not set(times[train]) & set(times[test])
    assert y.iloc[train].notna().all()
    assert y.iloc[test].notna().all()
    for i in train:
        for j in test:
            assert ends.iloc[i] < times[j] or ends.iloc[j] < times[i]


@settings(max_examples=120, deadline=None)
@given(
    markets(), st.integers(1, 3), st.integers(0, 3), st.sampled_from([None, 3, 5]), st.booleans()
)
def test_walk_forward(market, k, embargo, limit, rolling):
    X, y, ends = market
    times = X.index.get_level_values(-1)
    cv = EnhancedWalkForwardCV(
        k,
        embargo_bars=embargo,
        max_train_size=limit,
        window="rolling" if rolling else "expanding",
        min_samples_per_fold=1,
        ensure_regime_coverage=False,
    )
    try:
        folds = list(cv.split(X, y, label_end_times=ends))
    except NotEnoughDataError:
        return
    axis = sorted(set(times))
    n = axis.index(max(times[y.notna()])) + 1
    size = n // (k + 1)
    for fold, (train, test) in enumerate(folds):
        first = n - (k - fold) * size
        assert test.tolist() == rows_at(X, y, range(first, first + size))
        expected = oracle_train(
            X, y, ends, [test.tolist()], embargo, lambda t, first=first: t < axis[first]
        )
        last = max(axis.index(times[i]) for i in expected)
        if fold == 0 and rolling and limit is None:
            limit = last + 1
        expected = [i for i in expected if limit is None or axis.index(times[i]) > last - limit]
        assert train.tolist() == expected
        check_general(X, y, train, test, ends)


@settings(max_examples=80, deadline=None)
@given(markets(), st.sampled_from([(2, 1), (4, 1), (4, 2), (5, 3)]), st.integers(0, 3))
def test_combinatorial(market, blocks, embargo):
    X, y, ends = market
    times = X.index.get_level_values(-1)
    n_blocks, chosen = blocks
    try:
        folds = list(
            CombinatorialPurgedCV(n_blocks, chosen, embargo_bars=embargo).split(
                X, y, label_end_times=ends
            )
        )
    except NotEnoughDataError:
        return
    axis = sorted(set(times))
    n = axis.index(max(times[y.notna()])) + 1
    parts = np.array_split(np.arange(n), n_blocks)
    for (train, test), combination in zip(
        folds, combinations(range(n_blocks), chosen), strict=True
    ):
        tested = [rows_at(X, y, parts[b]) for b in combination]
        assert test.tolist() == sorted(sum(tested, []))
        inside = {axis[p] for b in combination for p in parts[b]}
        assert train.tolist() == oracle_train(
            X, y, ends, tested, embargo, lambda t, inside=inside: t not in inside
        )
        check_general(X, y, train, test, ends)


@settings(max_examples=80, deadline=None)
@given(markets(), st.integers(0, 2))
def test_temporal(market, embargo):
    X, y, ends = market
    times = X.index.get_level_values(-1)
    splitter = TemporalSplitter(0.5, 0.25, 0.25, embargo_bars=embargo)
    try:
        train, val, test = splitter.three_way(X, y, label_end_times=ends)
    except NotEnoughDataError:
        return
    axis = sorted(set(times))
    first_val, first_test = len(axis) // 2, len(axis) * 3 // 4
    assert test.tolist() == rows_at(X, y, range(first_test, len(axis)))
    assert val.tolist() == oracle_train(
        X, y, ends, [test.tolist()], embargo, lambda t: axis[first_val] <= t < axis[first_test]
    )
    assert train.tolist() == oracle_train(
        X, y, ends, [val.tolist()], embargo, lambda t: t < axis[first_val]
    )
    for one, other in ((train, val), (val, test), (train, test)):
        check_general(X, y, one, other, ends)
    ((tv, te),) = TemporalSplitter(0.5, 0.25, 0.25, embargo_bars=embargo, evaluate="test").split(
        X, y, label_end_times=ends
    )
    assert te.tolist() == test.tolist()
    assert tv.tolist() == oracle_train(
        X, y, ends, [test.tolist()], embargo, lambda t: t < axis[first_test]
    )


@settings(max_examples=60, deadline=None)
@given(markets(), st.integers(0, 4), st.randoms(use_true_random=False))
def test_shuffled_rows_make_the_same_folds(market, horizon, random):
    X, y, _ = market
    order = list(range(len(X)))
    random.shuffle(order)
    cv = EnhancedWalkForwardCV(
        2, horizon=horizon, embargo_bars=1, min_samples_per_fold=1, ensure_regime_coverage=False
    )
    try:
        plain = list(cv.split(X, y))
    except NotEnoughDataError:
        with pytest.raises(NotEnoughDataError):
            cv.split(X.iloc[order], y.iloc[order])
        return
    for (train, test), (train2, test2) in zip(
        plain, cv.split(X.iloc[order], y.iloc[order]), strict=True
    ):
        assert sorted(np.array(order)[train2]) == train.tolist()
        assert sorted(np.array(order)[test2]) == test.tolist()


@settings(max_examples=60, deadline=None)
@given(markets(), st.integers(0, 4))
def test_a_horizon_counts_bars_of_the_own_symbol(market, horizon):
    """The same folds as from end times that a loop reads off each symbol's own bars."""
    X, _, _ = market
    times = X.index.get_level_values(-1)
    symbols = (
        X.index.get_level_values(0) if isinstance(X.index, pd.MultiIndex) else np.zeros(len(X))
    )
    ends, y = [], []
    for i in range(len(X)):
        own = sorted(times[j] for j in range(len(X)) if symbols[j] == symbols[i])
        place = own.index(times[i]) + horizon
        ends.append(own[place] if place < len(own) else pd.NaT)
        y.append(1.0 if place < len(own) else np.nan)
    y = pd.Series(y, index=X.index)
    kwargs = {"embargo_bars": 1, "min_samples_per_fold": 1, "ensure_regime_coverage": False}
    for cv, told in (
        (EnhancedWalkForwardCV(2, **kwargs), EnhancedWalkForwardCV(2, horizon=horizon, **kwargs)),
        (
            CombinatorialPurgedCV(4, 2, embargo_bars=1),
            CombinatorialPurgedCV(4, 2, embargo_bars=1, horizon=horizon),
        ),
    ):
        try:
            expected = list(cv.split(X, y, label_end_times=ends))
        except NotEnoughDataError:
            continue
        labelled = y.copy()
        labelled.attrs["label_horizon"] = horizon
        for found in (told.split(X, y), cv.split(X, labelled)):
            for (train, test), (train2, test2) in zip(expected, found, strict=True):
                np.testing.assert_array_equal(train, train2)
                np.testing.assert_array_equal(test, test2)


def test_purging_by_hand():
    """Ten daily events of two days in two folds (reference values): closed spans {7,8,9} and
    {0,1,2}, one bar {6..9} and {0..3}."""
    X = np.zeros((10, 1))
    for horizon, expected in ((2, [[7, 8, 9], [0, 1, 2]]), (1, [[6, 7, 8, 9], [0, 1, 2, 3]])):
        folds = CombinatorialPurgedCV(2, 1, horizon=horizon, embargo_bars=0).split(X)
        assert [train.tolist() for train, _ in folds] == expected


def test_ten_day_labels_leave_no_overlap():
    index = pd.date_range("2020", periods=100)
    X = pd.DataFrame({"x": range(100)}, index=index)
    for train, test in CombinatorialPurgedCV(4, 1, horizon=10, embargo_bars=0).split(X):
        assert not any(abs(i - j) <= 10 for i in train for j in test)


def test_the_embargo_by_hand():
    X = np.zeros((60, 1))
    ((train, test),) = TemporalSplitter(0.5, 0.5, 0, embargo_bars=10, horizon=3).split(X)
    assert (train[-1], test[0]) == (16, 30)  # row 16 is known at 19; 20 to 29 are left out
    train, test = next(iter(CombinatorialPurgedCV(3, 1, embargo_bars=5, horizon=2).split(X)))
    assert (test[-1], train[0]) == (19, 27)  # row 19 is known at 21; 22 to 26 are left out


@pytest.mark.parametrize("gap", [0, 1, 4])
def test_the_embargo_equals_the_gap_of_a_peer(gap):
    X = np.zeros((120, 1))
    theirs = TimeSeriesSplit(3, gap=gap).split(X)
    ours = EnhancedWalkForwardCV(
        3, horizon=0, embargo_bars=gap, min_samples_per_fold=1, ensure_regime_coverage=False
    ).split(X)
    for (train, test), (train2, test2) in zip(theirs, ours, strict=True):
        np.testing.assert_array_equal(train, train2)
        np.testing.assert_array_equal(test, test2)


@st.composite
def kinds_of_rows(draw):
    """(X, symbol and time of every row): one instrument, panels, repeated days; bars missing,
    symbols delisted, rows shuffled."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["one", "panel", "uneven panel", "repeated days"]))
    n_times = draw(st.integers(8, 20))
    days = pd.Timestamp("2021-03-01") + DAY * np.cumsum(rng.integers(1, 4, n_times))
    symbols = 1 if kind == "one" else draw(st.integers(2, 4))
    pairs = []
    for symbol in range(symbols):
        last = (
            n_times
            if kind in ("one", "panel", "repeated days") or rng.random() < 0.5
            else int(rng.integers(3, n_times))
        )
        kept = [t for t in range(last) if kind != "uneven panel" or rng.random() < 0.7]
        pairs += [(symbol, days[t]) for t in kept]
    if not pairs:
        pairs = [(0, day) for day in days]
    if draw(st.booleans()):
        pairs = [pairs[i] for i in rng.permutation(len(pairs))]
    times = pd.DatetimeIndex([t for _, t in pairs])
    named = kind in ("panel", "uneven panel")
    index = (
        pd.MultiIndex.from_arrays([[f"S{s}" for s, _ in pairs], times], names=["symbol", "time"])
        if named
        else times
    )
    own = [s if named else 0 for s, _ in pairs]
    return pd.DataFrame({"x": np.arange(len(pairs))}, index=index), own, times


@settings(max_examples=150, deadline=None)
@given(kinds_of_rows(), st.integers(1, 5), st.booleans())
def test_the_end_of_every_label_by_a_loop(rows, horizon, in_days):
    """A horizon counts the own symbol's bars (unique times where nothing names symbols), a length
    of time ends at its last bar."""
    X, own, times = rows
    span = f"{horizon}D" if in_days else horizon
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        try:
            found = label_spans(X, horizon=span)[0].end
        except NotEnoughDataError:
            assert horizon >= len(set(times))
            return
    for row in range(len(X)):
        bars = sorted({t for t, s in zip(times, own) if s == own[row]})
        if in_days:
            until = times[row] + horizon * DAY
            expected = (
                until
                if bars[-1] < until and max(t for t in bars if t <= until) == bars[-1]
                else max(t for t in bars if t <= until)
            )
            assert pd.Timestamp(found[row]) == expected
            continue
        place = bars.index(times[row]) + horizon
        if place < len(bars):
            assert pd.Timestamp(found[row]) == bars[place]
        # the deciding bars are not here: at least as many unique times later as bars are missing
        else:
            later = [t for t in sorted(set(times)) if t > bars[-1]][: place - len(bars) + 1]
            assert pd.Timestamp(found[row]) >= (later[-1] if later else bars[-1])


@settings(max_examples=80, deadline=None)
@given(kinds_of_rows(), st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_a_handle_gives_the_folds_of_its_end_times(rows, seed, embargo):
    """y with a handle, y and end times, and stripped rows with routed times and end times: the same
    folds of all three splitters."""
    X, _, times = rows
    if X.index.has_duplicates:
        return
    rng = np.random.default_rng(seed)
    ends = pd.Series(times + DAY * rng.integers(0, 9, len(X)), index=X.index)
    y = pd.Series(rng.integers(0, 3, len(X)), X.index)
    told = with_label_times(y, end_times=ends)
    options = {"embargo_bars": embargo, "min_samples_per_fold": 1, "ensure_regime_coverage": False}
    for cv in (
        EnhancedWalkForwardCV(2, **options),
        CombinatorialPurgedCV(4, 2, embargo_bars=embargo),
        TemporalSplitter(0.5, 0.5, 0, embargo_bars=embargo),
    ):
        try:
            expected = [(a.tolist(), b.tolist()) for a, b in cv.split(X, y, label_end_times=ends)]
        except NotEnoughDataError:
            continue
        assert [(a.tolist(), b.tolist()) for a, b in cv.split(X, told)] == expected
        bare = cv.split(X.to_numpy(), y.to_numpy(), times=X.index, label_end_times=ends)
        assert [(a.tolist(), b.tolist()) for a, b in bare] == expected
        coded = (told == 2).map({True: "up", False: "other"})
        assert [(a.tolist(), b.tolist()) for a, b in cv.split(X, coded)] == expected


@pytest.mark.parametrize("reach", [0, 63, 64, 700])
def test_windows_of_a_fixed_size_are_found_behind_labels_of_any_length(reach):
    n, size, limit = 3000, 100, 50
    cv = EnhancedWalkForwardCV(
        20, horizon=reach, embargo_bars=0, test_size=size, max_train_size=limit,
        min_samples_per_fold=10, window="rolling", ensure_regime_coverage=False,
    )  # fmt: skip
    folds = list(cv.split(np.zeros((n, 1)), np.arange(n) % 2))
    assert len(folds) == 20
    for fold, (train, test) in enumerate(folds):
        first = n - (20 - fold) * size
        assert test.tolist() == list(range(first, first + size))
        last = first - reach - 1  # its label is known at first - 1
        assert train.tolist() == list(range(last - limit + 1, last + 1))

"""Moved boundaries against an enumeration, where rows lack labels, folds have a least size,
training windows a limit and boundaries move in steps of several times."""

from itertools import product

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest

from sktrain.exceptions import InvalidSplitError, NotEnoughDataError
from sktrain.splits import CombinatorialPurgedCV, EnhancedWalkForwardCV, TemporalSplitter, _coverage
from sktrain.splits._base import read_rows

NAMES = ["up", "down", "calm", None]


def cost(edges, size, groups, labelled, horizon, embargo, limit):
    """(unseen, missing, deviation) of all folds, one row at a time."""
    known = {group for group in groups if group is not None}
    unseen = missing = deviation = 0
    for low, high in zip(edges[:-1], edges[1:]):
        test = [i for i in range(low, high) if labelled[i]]
        train = [i for i in range(low) if labelled[i] and i + horizon < test[0] - embargo]
        if limit is not None and train:
            train = [i for i in train if i > train[-1] - limit]
        tested = {groups[i] for i in test} & known
        unseen += len(tested - {groups[i] for i in train})
        missing += len(known - tested)
        deviation += abs(high - low - size)
    return unseen, missing, deviation


@st.composite
def tasks(draw):
    n, k = draw(st.integers(20, 44)), draw(st.integers(2, 4))
    few = st.lists(st.sampled_from(range(4)), min_size=n, max_size=n)
    rare = st.lists(st.sampled_from([0] * 9 + [1, 2, 3]), min_size=n, max_size=n)
    groups = [NAMES[code] for code in draw(few | rare)]
    labelled = draw(st.lists(st.sampled_from([True, True, True, False]), min_size=n, max_size=n))
    labelled[0] = labelled[-1] = True
    options = {
        "horizon": draw(st.integers(0, 2)),
        "embargo": draw(st.integers(0, 3)),
        "limit": draw(st.sampled_from([None, None, 3, 9])),
        "minimum": draw(st.integers(1, 4)),
    }
    return n, k, groups, labelled, options, draw(st.sampled_from([10**6, 60, 25]))


@settings(max_examples=150, deadline=None)
@given(tasks())
def test_the_search_finds_the_best_boundaries_of_all(task):
    n, k, groups, labelled, options, work = task
    if not any(groups):
        return
    horizon, embargo, limit, minimum = options.values()
    y = np.where(labelled, 1.0, np.nan)
    rows = read_rows(np.zeros((n, 1)), y, horizon, {}, "the test")
    size = n // (k + 1)
    equal = n - size * np.arange(k, -1, -1)
    counts = np.cumsum([0, *labelled])
    if (np.diff(counts[equal]) < minimum).any():  # the splitter refuses equal folds like these
        return
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_coverage, "_WORK", work)
        search = _coverage._Search(
            rows, _coverage._number(groups), equal, embargo, limit, minimum
        )
    step, reach = search.stride, search.reach
    assert step * reach <= size // 2
    found = search.solve().tolist()
    tried = []
    for moves in product(range(-reach * (k - 1), reach * (k - 1) + 1), repeat=k - 1):
        edges = [equal[0], *(equal[1:-1] + step * np.array(moves, dtype=int)), equal[-1]]
        widths = np.diff(edges)
        if (abs(widths - size) > step * reach).any() or (np.diff(counts[edges]) < minimum).any():
            continue
        tried.append(cost(edges, size, groups, labelled, horizon, embargo, limit))
    widths = np.diff(found)
    assert (abs(widths - size) <= step * reach).all()
    assert (np.diff(counts[found]) >= minimum).all()
    assert cost(found, size, groups, labelled, horizon, embargo, limit) == min(tried)


@pytest.mark.parametrize(
    ("work", "stride", "reach"), [(10**6, 1, 10), (160, 1, 10), (159, 2, 5), (80, 2, 5), (40, 4, 2)]
)
def test_boundaries_move_in_steps_where_much_is_to_search(monkeypatch, work, stride, reach):
    """Four folds of 20: an inner boundary may move over two of them; 40 x (3 regimes + 1) = 160."""
    monkeypatch.setattr(_coverage, "_WORK", work)
    rows = read_rows(np.zeros((100, 1)), None, 0, {}, "the test")
    regimes = _coverage._number(np.resize(["a", "b", "c"], 100))
    search = _coverage._Search(rows, regimes, np.arange(20, 101, 20), 0, None, 1)
    assert (search.stride, search.reach) == (stride, reach)


@pytest.mark.parametrize("limit", ["4D", "11D", "30D"])
def test_a_window_of_days_forgets_regimes_as_a_loop_does(limit):
    """A rare regime that only old rows hold: moved boundaries are the best of all, by days."""
    n, k, horizon = 48, 3, 1
    days = pd.date_range("2021", periods=n).delete([10, 11, 30]).append(
        pd.date_range("2021-03-01", periods=3)
    )
    groups = np.array(["usual"] * n, dtype=object)
    groups[[4, 20, 33, 46]] = "rare"
    X = pd.DataFrame({"a": np.zeros(n)}, days)
    cv = EnhancedWalkForwardCV(
        k, horizon=horizon, max_train_size=limit, min_samples_per_fold=1, embargo_bars=0
    )
    folds = list(cv.split(X, groups=groups))
    size, length = n // (k + 1), pd.Timedelta(limit)

    def total(edges):
        unseen = missing = deviation = 0
        for low, high in zip(edges[:-1], edges[1:]):
            train = [i for i in range(low) if i + horizon < low]
            train = [i for i in train if days[i] > days[train[-1]] - length]
            tested = set(groups[low:high])
            unseen += len(tested - set(groups[train]))
            missing += 2 - len(tested)
            deviation += abs(high - low - size)
        return unseen, missing, deviation

    first = n - k * size
    every = [[first, a, b, n] for a in range(first + 1, n) for b in range(a + 1, n)]
    every = [one for one in every if (abs(np.diff(one) - size) <= size // 2).all()]
    got = [int(folds[0][1][0]), *(int(test[-1]) + 1 for _, test in folds)]
    assert total(got) == min(map(total, every))


@pytest.mark.parametrize("cv", [EnhancedWalkForwardCV, CombinatorialPurgedCV, TemporalSplitter])
def test_splitters_ask_for_times_and_take_no_embargo_at_all(cv):
    taken = cv().get_metadata_routing().consumes("split", ["label_end_times", "times", "other"])
    assert taken == {"label_end_times", "times"}
    X = pd.DataFrame({"a": np.zeros(1300)}, pd.date_range("2021", periods=1300))
    groups = np.resize(["up", "down"], 1300) if cv is EnhancedWalkForwardCV else None
    sizes = [
        sum(len(train) for train, _ in cv(horizon=0, **embargo).split(X, groups=groups))
        for embargo in ({"embargo": 0}, {"embargo_bars": 0}, {"embargo": 9}, {"embargo_bars": 9})
    ]
    assert sizes[0] == sizes[1] > sizes[2] == sizes[3]


@pytest.mark.parametrize("n", [19, 20, 21])
def test_folds_of_a_given_size_leave_rows_to_train_on(n):
    """Four folds of five tested times take twenty; a twenty-first is the one to train on."""
    cv = EnhancedWalkForwardCV(
        4, test_size=5, horizon=0, min_samples_per_fold=1, ensure_regime_coverage=False,
        embargo_bars=0,
    )  # fmt: skip
    if n == 21:
        folds = list(cv.split(np.zeros((n, 1))))
        assert [len(train) for train, _ in folds] == [1, 6, 11, 16]
    else:
        with pytest.raises(NotEnoughDataError, match="leaves nothing to train on.* need 21 unique"):
            list(cv.split(np.zeros((n, 1))))


def test_predictions_of_combinations_are_held_to_their_rows():
    X = np.zeros((12, 1))
    cv = CombinatorialPurgedCV(n_blocks=4, n_test_blocks=2, horizon=0, embargo_bars=0)
    good = [np.zeros(6) for _ in range(6)]
    assert cv.path_predictions(good, X).shape == (3, 12)
    for wrong, said in (
        (good[:-1], "got 5 for 6"),
        ([*good, good[0]], "got 7 for 6"),
        ([np.zeros(5), *good[1:]], r"fold 0 .* 6 rows"),
        ([*good[:5], np.zeros(7)], r"fold 5 .* 6 rows"),
        ([*good[:5], np.float64(0)], "fold 5"),
        ([*good[:5], np.zeros((6, 2))], "fold 5"),
    ):
        with pytest.raises(InvalidSplitError, match=said):
            cv.path_predictions(wrong, X)


def test_what_is_needed_is_enough_and_what_is_said_is_right():
    """The numbers of the messages: with as many times as they ask for, the call succeeds."""
    days = pd.date_range("2021", periods=400)
    cv = EnhancedWalkForwardCV(10, test_size="5D", horizon=0, ensure_regime_coverage=False)
    with pytest.raises(NotEnoughDataError, match="10 folds need as many unique times, got 10"):
        list(cv.split(pd.DataFrame({"a": np.zeros(10)}, days[:10])))
    split = TemporalSplitter(0.5, 0.3, 0.2, horizon=3, embargo_bars=2)
    with pytest.raises(NotEnoughDataError, match=r"About 30 unique times") as said:
        list(split.split(np.zeros((8, 1))))
    assert "8 unique times leave nothing" in str(said.value)  # (3 + 2 + 1) / .2 = 30
    assert len(list(split.split(np.zeros((30, 1))))) == 1


def test_an_embargo_of_time_counts_the_times_it_covers():
    """Those at most so long before the last time with a label."""
    days = pd.date_range("2021", periods=20)
    for embargo, n_times in (("0D", 0), ("2D", 2), ("2.5D", 2), ("5D", 5), ("100D", 20)):
        rows = read_rows(pd.DataFrame({"a": np.zeros(20)}, days), None, 0, {}, "the test")
        counted = rows.times_within(pd.Timedelta(embargo))
        last = days[-1] - pd.Timedelta(embargo)
        assert counted == sum(day >= last for day in days)
        assert abs(counted - n_times) <= 1
    y = pd.Series(np.ones(20), days)
    y.iloc[-4:] = np.nan
    rows = read_rows(pd.DataFrame({"a": np.zeros(20)}, days), y, 0, {}, "the test")
    assert rows.times_within(pd.Timedelta("2D")) == 3  # of the sixteen with a label


REFUSED = {  # what is asked for, and every number that the answer must tell
    "blocks": (CombinatorialPurgedCV(4, 2, horizon=0), 3, r"n_blocks=4 .* 4 unique .*, got 3\."),
    "combinations": (CombinatorialPurgedCV(40, 20), 50, r"give 137,846,528,820 folds, more than"),
    "test blocks": (CombinatorialPurgedCV(4, 4), 50, r"below n_blocks, got 4 of 4"),
    "folds": (EnhancedWalkForwardCV(9, horizon=0), 9, r"9 folds need more than 9 .*, got 9 up to"),
    "a test size below the least": (
        EnhancedWalkForwardCV(2, test_size=5, min_samples_per_fold=6),
        50,
        r"test_size=5 is below min_samples_per_fold=6",
    ),
    "a window below the least": (
        EnhancedWalkForwardCV(2, max_train_size=5, min_samples_per_fold=6),
        50,
        r"max_train_size=5 is below min_samples_per_fold=6",
    ),
    "small folds": (
        EnhancedWalkForwardCV(4, min_samples_per_fold=7, horizon=0, embargo_bars=0),
        30,
        r"holds 6 labelled .*fold=7\. 4 folds need 35 unique times, got 30 up to",
    ),
    "small training": (
        EnhancedWalkForwardCV(4, min_samples_per_fold=6, horizon=3, embargo_bars=2),
        30,
        r"Fold 0 trains on 1 labelled .*fold=6\. 4 folds need 39 unique times, got 30 up to",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_tell_the_right_numbers(name):
    cv, n, said = REFUSED[name]
    with pytest.raises((InvalidSplitError, NotEnoughDataError), match=said):
        list(cv.split(np.zeros((n, 1))))


def test_the_number_of_times_that_folds_need_is_the_least():
    """Of 39, four folds of 7 leave 11 before them: 6 train, 3 look ahead and 2 are embargoed."""
    options = {"min_samples_per_fold": 6, "horizon": 3, "embargo_bars": 2}
    cv = EnhancedWalkForwardCV(4, ensure_regime_coverage=False, **options)
    sizes = [len(train) for train, _ in cv.split(np.zeros((39, 1)))]
    assert sizes == [6, 13, 20, 27]
    with pytest.raises(NotEnoughDataError, match="need 39 unique times, got 38"):
        list(cv.split(np.zeros((38, 1))))

"""Windows against a loop; the lazy view behaves like an array for scikit-learn and copies nothing
early."""

import copy
import pickle
import warnings

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import TimeSeriesSplit, cross_validate, train_test_split
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from sktrain import BarFeatures, SlidingWindow, WindowedArray, with_history
from sktrain.datasets import load_sp500, load_us_stocks
from sktrain.exceptions import ColdStartWarning, InvalidBarsError


def by_loop(values, lookback, firsts=None):
    out = np.full((len(values), lookback, values.shape[1]), np.nan)
    for t in range(len(values)):
        for back in range(lookback):
            place = t - back
            if place >= (0 if firsts is None else firsts[t]):
                out[t, lookback - 1 - back] = values[place]
    return out


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 40),
    lookback=st.integers(1, 12),
    cut=st.integers(0, 40),
    seed=st.integers(0, 9),
)
def test_against_a_loop(n, lookback, cut, seed):
    values = np.random.default_rng(seed).normal(size=(n, 3))
    np.testing.assert_array_equal(
        np.asarray(SlidingWindow(lookback).fit_transform(values)), by_loop(values, lookback)
    )
    cut = min(cut, n)
    firsts = np.where(np.arange(n) < cut, 0, cut)
    windows = WindowedArray(values, np.arange(n), firsts, lookback)
    np.testing.assert_array_equal(windows.gather(), by_loop(values, lookback, firsts))


def test_panel_windows_never_cross_symbols():
    panel = load_us_stocks().iloc[:, :4]
    panel = panel.groupby(level="symbol").head(20)
    panel.attrs = {}
    starts = np.repeat(np.arange(0, 100, 20), 20)
    np.testing.assert_array_equal(
        np.asarray(SlidingWindow(6).fit_transform(panel)), by_loop(panel.to_numpy(), 6, starts)
    )


def make(n=50, lookback=4):
    values = np.random.default_rng(0).normal(size=(n, 3))
    frame = pd.DataFrame(values, pd.date_range("2020", periods=n), columns=list("abc"))
    return SlidingWindow(lookback).fit_transform(frame), by_loop(values, lookback)


KEYS = [
    slice(5, 9),
    slice(None, None, -2),
    [3, 1, 1],
    np.array([7, -1]),
    np.arange(50) % 3 == 0,
    (slice(2, 4), Ellipsis),
    (np.array([4, 9]), slice(None), slice(None)),
    Ellipsis,
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_choosing_rows_gives_a_view_like_numpy(key):
    windows, truth = make()
    taken = windows[key]
    assert isinstance(taken, WindowedArray)
    assert taken.base is windows.base
    np.testing.assert_array_equal(np.asarray(taken), truth[key])
    rows = key[0] if isinstance(key, tuple) else key
    assert taken.index.equals(windows.index if rows is Ellipsis else windows.index[rows])


@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        np.int64(4),
        (slice(None), -1),
        (Ellipsis, 0),
        ([1, 2], slice(1, 3), 0),
        (5, 2),
        (slice(0, 9), [0, 1]),
    ],
    ids=repr,
)
def test_choosing_steps_or_features_gives_an_array(key):
    windows, truth = make()
    taken = windows[key]
    assert isinstance(taken, np.ndarray)
    np.testing.assert_array_equal(taken, truth[key])


def test_out_of_range():
    windows, _ = make()
    with pytest.raises(IndexError):
        windows[50]
    with pytest.raises(IndexError):
        windows[np.array([[1]])]


def test_it_looks_like_an_array():
    windows, truth = make()
    assert (windows.shape, windows.ndim, windows.dtype, windows.size, len(windows)) == (
        truth.shape, 3, truth.dtype, truth.size, 50,
    )
    assert _num_samples(windows) == 50
    np.testing.assert_array_equal(np.stack(list(windows)), truth)
    np.testing.assert_array_equal(np.nan_to_num(windows), np.nan_to_num(truth))
    assert np.asarray(windows, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="must copy"):
        np.asarray(windows, copy=False)
    assert windows.astype(np.float32).gather().dtype == np.float32
    rows = np.array([9, 2, 2])
    np.testing.assert_array_equal(
        windows.gather(rows, dtype=np.float32), truth[rows].astype(np.float32)
    )
    assert windows.gather(np.array([], dtype=int)).shape == (0, 4, 3)
    assert windows.columns == ("a", "b", "c")
    np.testing.assert_array_equal(np.asarray(copy.deepcopy(windows)), truth)


def test_sklearn_indexes_it():
    windows, truth = make()
    assert isinstance(_safe_indexing(windows, np.array([1, 4])), WindowedArray)
    train, test = train_test_split(windows, shuffle=False, test_size=10)
    assert train.base is windows.base
    np.testing.assert_array_equal(np.asarray(test), truth[40:])
    y = np.arange(50) % 2
    assert (
        len(
            cross_validate(
                DummyClassifier(), windows, y, cv=TimeSeriesSplit(3), error_score="raise"
            )["test_score"]
        )
        == 3
    )


def test_pickles_hold_only_the_rows_in_reach():
    windows, truth = make(5000, 10)
    part = windows[[4000, 4010, 4005]]
    data = pickle.dumps(part)
    assert len(data) < 3000
    np.testing.assert_array_equal(np.asarray(pickle.loads(data)), truth[[4000, 4010, 4005]])
    early = pickle.loads(pickle.dumps(windows[:12]))
    np.testing.assert_array_equal(np.asarray(early), truth[:12])
    assert len(pickle.loads(pickle.dumps(windows[:0]))) == 0


def test_folds_share_one_base():
    features = BarFeatures((3, 7)).fit_transform(load_sp500())
    one = SlidingWindow(5).fit(features.iloc[:100]).transform(features.iloc[:100])
    other = SlidingWindow(9).fit(features.iloc[50:]).transform(features.iloc[2000:2010])
    assert one.base is other.base


def test_flatten_is_step_major():
    values = np.arange(6.0).reshape(3, 2)
    flat = SlidingWindow(2, flatten=True).fit_transform(values)
    np.testing.assert_array_equal(flat, [[np.nan, np.nan, 0, 1], [0, 1, 2, 3], [2, 3, 4, 5]])
    frame = pd.DataFrame(values, pd.date_range("2020", periods=3), columns=["a", "b"])
    window = SlidingWindow(2, flatten=True)
    flat = window.fit_transform(frame)
    assert (
        list(flat.columns)
        == list(window.get_feature_names_out())
        == ["a_t-1", "b_t-1", "a_t-0", "b_t-0"]
    )
    assert flat.index.equals(frame.index)


def test_arrays_start_cold_with_a_warning_unless_they_are_those_of_fit():
    values = np.random.default_rng(0).normal(size=(30, 2))
    fitted = SlidingWindow(3).fit(values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.transform(values)
        SlidingWindow(1).fit(values).transform(values[5:])
    with pytest.warns(ColdStartWarning):
        assert np.isnan(fitted.transform(values[5:])[0]).sum() == 4


def test_dtype_and_integers():
    assert SlidingWindow(2).fit_transform(np.ones((4, 1), np.float32)).dtype == np.float32
    assert SlidingWindow(2).fit_transform(pd.DataFrame({"a": [1, 2, 3]})).dtype == np.float64
    nullable = pd.DataFrame(
        {"a": pd.array([1.5, None, 2.5], dtype="Float64")}, pd.date_range("2020", periods=3)
    )
    np.testing.assert_array_equal(
        np.asarray(SlidingWindow(1).fit_transform(nullable))[:, 0, 0], [1.5, np.nan, 2.5]
    )


@pytest.mark.parametrize(
    ("X", "says"),
    [
        (pd.DataFrame({"a": ["bull", "bear"]}), "column 'a'"),
        (pd.DataFrame({"a": [1.0, np.inf]}), "infinity: column 'a' is inf in row 1"),
        (np.array([[1.0], [np.inf]]), "infinity"),
        (np.ones(4), "2D"),
        (np.ones((2, 2, 2)), "dim 3"),
        (np.empty((0, 2)), "0 sample"),
    ],
)
def test_bad_input(X, says):
    with pytest.raises(ValueError, match=says):
        SlidingWindow(2).fit(X)


def test_bad_input_in_transform():
    frame = pd.DataFrame({"a": np.arange(9.0), "b": 1.0}, pd.date_range("2020", periods=9))
    fitted = SlidingWindow(2).fit(frame)
    with pytest.raises(ValueError, match="feature"):
        fitted.transform(frame[["a"]])
    with pytest.raises(ValueError, match="feature names"):
        fitted.transform(frame[["b", "a"]])
    with pytest.raises(InvalidBarsError, match="row 1"):
        fitted.transform(frame.iloc[::-1])
    with pytest.raises(ValueError, match="features"):
        SlidingWindow(2).fit(np.ones((5, 2))).transform(np.ones((5, 3)))


@pytest.mark.parametrize("lookback", [0, -1, True, 2.0, None])
def test_bad_lookback(lookback):
    with pytest.raises(ValueError, match="lookback"):
        SlidingWindow(lookback).fit(np.ones((3, 1)))


def test_clone_and_set_output():
    window = clone(SlidingWindow(7, flatten=True)).set_output(transform="pandas")
    assert window.get_params() == {
        "lookback": 7,
        "flatten": True,
        "crosses_session": True,
        "session": "4h",
    }


# ---------------------------------------------------------------- sessions


def minutes(days=4, seed=0):
    """Rows on the minutes of days with a lunch break, and a day that is missing."""
    stamps = []
    for day in pd.bdate_range("2024-03-04", periods=days).delete(1):
        stamps += [day + pd.Timedelta(minutes=m) for m in [*range(571, 581), *range(781, 789)]]
    values = np.random.default_rng(seed).normal(size=(len(stamps), 2))
    return pd.DataFrame(values, pd.DatetimeIndex(stamps), columns=list("ab"))


def by_day(frame, lookback):
    """The answer by a loop over days."""
    parts = [by_loop(part.to_numpy(), lookback) for _, part in frame.groupby(frame.index.date)]
    return np.concatenate(parts)


@pytest.mark.parametrize("lookback", [1, 3, 18, 40])
def test_windows_stay_inside_sessions(lookback):
    frame = minutes()
    inside = SlidingWindow(lookback, crosses_session=False)
    np.testing.assert_array_equal(np.asarray(inside.fit_transform(frame)), by_day(frame, lookback))
    np.testing.assert_array_equal(
        np.asarray(inside.fit_transform(with_history(frame))), by_day(frame, lookback)
    )
    crossing = np.asarray(SlidingWindow(lookback).fit_transform(frame))
    np.testing.assert_array_equal(crossing, by_loop(frame.to_numpy(), lookback))


def test_the_lunch_break_can_end_a_session():
    frame = minutes()
    halves = np.asarray(SlidingWindow(5, crosses_session=False, session="1h").fit_transform(frame))
    assert np.isnan(halves[10, :4]).all()
    assert not np.isnan(halves[10, 4]).any()
    assert not np.isnan(SlidingWindow(5, crosses_session=False).fit_transform(frame)[10]).any()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_sessions_of_slices_equal_those_of_the_whole(data):
    one, two = minutes(4, 1), minutes(3, 2)
    panel = pd.concat({"A": one, "B": two}, names=["symbol", "time"])
    truth = np.concatenate([by_day(one, 6), by_day(two, 6)])
    rows = data.draw(st.lists(st.integers(0, len(panel) - 1), min_size=1, unique=True))
    known = with_history(panel)
    window = SlidingWindow(6, crosses_session=False).fit(known)
    np.testing.assert_array_equal(np.asarray(window.transform(known.iloc[rows])), truth[rows])


@pytest.mark.parametrize("cut", [7, 17, 18, 19, 30, 36])
def test_live_rows_equal_historical_ones_without_a_handle(cut):
    frame = minutes()
    window = SlidingWindow(6, crosses_session=False).fit(frame.iloc[:cut])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # at a session's first bar nothing is missed
        one = window.transform(frame.iloc[cut : cut + 1])
        rest = window.transform(frame.iloc[cut:])
    truth = by_day(frame, 6)
    np.testing.assert_array_equal(np.asarray(one), truth[cut : cut + 1])
    np.testing.assert_array_equal(np.asarray(rest), truth[cut:])


def test_rows_missing_within_a_session_still_warn():
    frame = minutes()
    window = SlidingWindow(6, crosses_session=False).fit(frame.iloc[:5])
    with pytest.warns(ColdStartWarning):
        window.transform(frame.iloc[9:12])


def test_one_live_row_of_each_symbol_is_no_daily_frame():
    frame = minutes()
    panel = pd.concat(dict.fromkeys("ABCD", frame), names=["symbol", "time"])
    window = SlidingWindow(3, crosses_session=False).fit(panel)
    later = panel.groupby(level="symbol").tail(1)
    later = later.set_axis(
        pd.MultiIndex.from_product(
            [list("ABCD"), [frame.index[-1] + pd.Timedelta("1D")]], names=["symbol", "time"]
        )
    )
    assert np.isnan(np.asarray(window.transform(later))[:, :2]).all()


def test_sessions_travel_with_pickles_and_clones():
    frame = minutes()
    window = clone(SlidingWindow(5, crosses_session=False)).fit(frame)
    again = pickle.loads(pickle.dumps(window.transform(frame)[20:30]))
    np.testing.assert_array_equal(np.asarray(again), by_day(frame, 5)[20:30])


@pytest.mark.parametrize(
    ("X", "session", "says"),
    [
        (np.ones((9, 2)), "4h", "crosses_session=False needs rows indexed by time"),
        (
            pd.DataFrame({"a": np.ones(9)}, pd.date_range("2024", periods=9)),
            "4h",
            "is for intraday bars",
        ),
        (minutes(), "lunch", "session='lunch' is no time span"),
        (minutes(), 4, "session"),
    ],
)
def test_sessions_that_cannot_be(X, session, says):
    with pytest.raises(ValueError, match=says):
        SlidingWindow(2, crosses_session=False, session=session).fit(X)

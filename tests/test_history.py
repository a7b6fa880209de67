"""Rows remember their history: slices equal the whole, future rows are never used, stale handles
are refused."""

import copy
import gc
import pickle
import subprocess
import sys
import warnings

from helpers import bare
from hypothesis import given, settings, strategies as st
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import (
    BarFeatures,
    CombinatorialPurgedCV,
    EnhancedWalkForwardCV,
    RegimeDetector,
    SlidingWindow,
    TemporalSplitter,
    with_history,
)
from sktrain._history import (
    History,
    _results,
    get_history,
    locate_rows,
    prepend_tail,
    recall,
    remember_tail,
    segment_starts,
    usual_pauses,
)
from sktrain._validation import label_spans
from sktrain.datasets import load_sp500, load_us_stocks, make_market
from sktrain.exceptions import (
    ColdStartWarning,
    DataQualityWarning,
    InvalidBarsError,
    StaleHistoryWarning,
)


def small_panel(lengths=(90, 40, 70), seed=0):
    """An uneven panel: instruments start and end at different times."""
    bars = make_market(100, len(lengths), random_state=seed).bars
    kept = np.concatenate(
        [np.arange(100) >= 100 - n if i % 2 else np.arange(100) < n for i, n in enumerate(lengths)]
    )
    return with_history(bare(bars[kept]))


TRANSFORMERS = [
    BarFeatures((3, 7)),
    RegimeDetector(5, "auto", "auto"),
    make_pipeline(BarFeatures((3, 7)), SlidingWindow(4, flatten=True)),
]


# ---------------------------------------------------------------- slices equal the whole


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("panel", [False, True])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_slice_in_any_order_equals_the_whole(transformer, panel, data):
    bars = small_panel() if panel else make_market(120, random_state=1).bars
    fitted = clone(transformer).fit(bars)
    whole = fitted.transform(bars)
    rows = np.array(data.draw(st.lists(st.integers(0, len(bars) - 1), min_size=1, max_size=60)))
    pd.testing.assert_frame_equal(
        fitted.transform(bars.iloc[rows]), whole.iloc[rows], check_exact=True
    )


@pytest.mark.parametrize("panel", [False, True])
def test_a_handle_gives_what_a_plain_frame_gives(panel):
    bars = small_panel() if panel else make_market(120, random_state=1).bars
    for transformer in TRANSFORMERS:
        with_handle = clone(transformer).fit(bars).transform(bars)
        without = clone(transformer).fit(bare(bars)).transform(bare(bars))
        pd.testing.assert_frame_equal(with_handle, without, check_exact=True)


def test_each_symbol_of_a_panel_equals_the_symbol_alone():
    panel = small_panel()
    features = BarFeatures((3, 7)).fit_transform(panel)
    windows = SlidingWindow(4).fit_transform(features)
    for symbol, alone in panel.groupby(level="symbol"):
        alone = bare(alone.droplevel("symbol"))
        single = BarFeatures((3, 7)).fit_transform(alone)
        own = panel.index.get_level_values("symbol") == symbol
        np.testing.assert_array_equal(features[own], single)
        np.testing.assert_array_equal(
            np.asarray(windows[own]), np.asarray(SlidingWindow(4).fit_transform(single))
        )


class Witness(ClassifierMixin, BaseEstimator):
    """Compares every row it is shown with the same row of the whole history."""

    def __init__(self, truth=None):
        self.truth = truth

    def fit(self, X, y):
        self.compare(X)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        self.compare(X)
        return np.full(len(X), self.classes_[0])

    def compare(self, X):
        index = X.index
        places = self.truth.index.get_indexer(index)
        assert (places >= 0).all()
        np.testing.assert_array_equal(
            np.asarray(X).reshape(len(index), -1), self.truth.iloc[places]
        )


SPLITTERS = [
    TemporalSplitter(embargo_bars=2),
    EnhancedWalkForwardCV(3, min_samples_per_fold=10, embargo_bars=2, ensure_regime_coverage=False),
    EnhancedWalkForwardCV(
        3, window="rolling", min_samples_per_fold=10, embargo_bars=2, ensure_regime_coverage=False
    ),
    CombinatorialPurgedCV(5, 2, embargo_bars=2),
    KFold(4, shuffle=True, random_state=0),
]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("panel", [False, True])
def test_inside_every_fold_of_every_splitter(panel, n_jobs):
    if n_jobs > 1:  # workers cannot import this file
        pytest.importorskip("cloudpickle").register_pickle_by_value(sys.modules[__name__])
    market = make_market(150, 3 if panel else 1, horizon=3, random_state=2)
    truth = {}
    for lazy in (False, True):
        steps = [("features", BarFeatures((3, 7))), ("window", SlidingWindow(4, flatten=not lazy))]
        whole = Pipeline(steps).fit_transform(market.bars)
        truth[lazy] = pd.DataFrame(
            np.asarray(whole).reshape(len(whole), -1), index=market.bars.index
        )
        model = Pipeline([*steps, ("witness", Witness(truth[lazy]))])
        for cv in SPLITTERS:
            cross_validate(model, market.bars, market.y, cv=cv, n_jobs=n_jobs, error_score="raise")


def test_nested_search_sees_the_same_features():
    market = make_market(150, horizon=2, random_state=3)
    steps = [("features", BarFeatures((3, 7))), ("regimes", "passthrough")]
    truth = BarFeatures((3, 7)).fit_transform(market.bars)
    model = Pipeline([*steps, ("witness", Witness(bare(truth)))])
    inner = EnhancedWalkForwardCV(
        2, min_samples_per_fold=10, embargo_bars=1, ensure_regime_coverage=False
    )
    search = GridSearchCV(model, {"features__calendar": [True]}, cv=inner, error_score="raise")
    cross_validate(search, market.bars, market.y, cv=inner, error_score="raise")


# ---------------------------------------------------------------- future rows are never used


def perturb(frame, cut, kind, seed=0):
    """The frame with every row from ``cut`` on replaced by nonsense, handle included."""
    frame = bare(frame)
    late = frame.index.get_level_values(-1) >= cut
    rng = np.random.default_rng(seed)
    if kind == "noise":
        frame.loc[late, ["open", "high", "low", "close"]] *= np.exp(
            rng.normal(0, 2, size=(int(late.sum()), 1))
        )
        frame.loc[late, "volume"] = rng.integers(0, 10**9, int(late.sum()))
    elif kind == "missing":
        frame = frame.astype(float)
        frame.loc[late, "close"] = np.nan
    else:
        frame = frame[~late]
    return with_history(frame)


@pytest.mark.parametrize("kind", ["noise", "missing", "truncated"])
@pytest.mark.parametrize("panel", [False, True])
@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=lambda t: type(t).__name__)
def test_a_poisoned_future_leaves_the_past_unchanged(transformer, panel, kind):
    bars = small_panel() if panel else make_market(120, random_state=1).bars
    times = bars.index.get_level_values(-1)
    for cut in np.unique(times)[[30, 60, 95]]:
        past = times < cut
        fitted = clone(transformer).fit(bars[past])
        perturbed = perturb(bars, cut, kind)
        early = perturbed.index.get_level_values(-1) < cut
        clean = fitted.transform(bars[past])
        pd.testing.assert_frame_equal(fitted.transform(perturbed[early]), clean, check_exact=True)
        if kind == "noise":
            pd.testing.assert_frame_equal(
                fitted.transform(perturbed)[early], clean, check_exact=True
            )
        # what fit learned from the past does not move either
        again = clone(transformer).fit(perturbed[early])
        pd.testing.assert_frame_equal(again.transform(bars[past]), clean, check_exact=True)


def test_auto_thresholds_learn_from_the_rows_of_fit_only_with_their_history_as_context():
    bars = load_sp500()
    rows = np.arange(2000, 2500)
    learned = RegimeDetector(60, "auto", "auto").fit(bars.iloc[rows])
    context = bare(bars).iloc[: rows[-1] + 1]
    volatility = context["close"].pct_change().rolling(60).std().iloc[rows]
    assert learned.volatility_threshold_ == pytest.approx(volatility.quantile(0.8), rel=1e-9)
    shuffled = RegimeDetector(60, "auto", "auto").fit(
        bars.iloc[np.random.default_rng(0).permutation(rows)]
    )
    assert shuffled.volatility_threshold_ == learned.volatility_threshold_


def test_finite_memory_the_last_lookback_bars_give_the_same_last_row():
    bars = bare(load_sp500())
    for transformer in (BarFeatures(), RegimeDetector(60, 0.012, 0.03)):
        whole = transformer.fit(bars).transform(bars)
        for end in (61, 100, 2345, len(bars)):
            short = clone(transformer).fit_transform(
                bars.iloc[max(0, end - transformer.lookback_) : end]
            )
            pd.testing.assert_frame_equal(
                short.iloc[-1:], whole.iloc[end - 1 : end], check_exact=True
            )
            assert short.iloc[-1].notna().all()


# ---------------------------------------------------------------- the handle itself


def test_the_handle_survives_what_pandas_does_to_attrs():
    bars = load_sp500()
    handle = get_history(bars)
    for derived in (
        bars.iloc[5:9],
        bars.copy(),
        copy.deepcopy(bars),
        bars[bars["close"] > 1300],
        pickle.loads(pickle.dumps(bars)),
    ):
        assert get_history(derived) == handle
    assert copy.deepcopy(handle) is handle
    assert dict(handle) == {}
    assert handle != History(bars)
    assert handle.frame.attrs == {}


def test_parquet_round_trip(tmp_path):
    bars = load_sp500()
    bars.to_parquet(tmp_path / "bars.parquet")
    back = pd.read_parquet(tmp_path / "bars.parquet")
    pd.testing.assert_frame_equal(back, bars)
    assert get_history(back) is None


def test_history_frame_is_the_state_when_it_was_taken():
    frame = with_history(pd.DataFrame({"x": np.arange(5.0)}, pd.date_range("2020", periods=5)))
    frame.loc[frame.index[2], "x"] = 99.0
    assert get_history(frame).frame["x"].tolist() == [0, 1, 2, 3, 4]


def test_unsorted_rows_are_sorted_in_the_handle_only():
    index = pd.date_range("2020", periods=5)[[3, 1, 0, 4, 2]]
    frame = with_history(pd.DataFrame({"x": np.arange(5.0)}, index))
    assert frame["x"].tolist() == [0, 1, 2, 3, 4]
    assert get_history(frame).frame.index.is_monotonic_increasing
    assert recall(frame).rows.tolist() == [3, 1, 0, 4, 2]


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame({"x": [1]}), "indexed by time"),
        (np.zeros((3, 2)), "ndarray"),
        (pd.DataFrame({"x": [1, 2]}, pd.to_datetime(["2020-01-01"] * 2)), "row 1 .* stands twice"),
    ],
)
def test_with_history_refuses(frame, says):
    with pytest.raises(InvalidBarsError, match=says):
        with_history(frame)


def test_other_units_of_time_are_the_same_times():
    bars = load_sp500()
    coarse = bars.iloc[100:200]
    coarse.index = coarse.index.as_unit("s")
    fitted = BarFeatures((3, 7)).fit(bars)
    np.testing.assert_array_equal(fitted.transform(coarse), fitted.transform(bars.iloc[100:200]))


@pytest.mark.parametrize("change", ["value", "rename", "zone", "shift"])
def test_a_stale_handle_is_ignored_with_a_warning(change):
    bars = load_sp500().iloc[:300]
    fitted = BarFeatures((3, 7)).fit(bars)
    if change == "value":
        stale = bars * 2.0
    elif change == "rename":
        stale = bars.rename(columns={"open": "Close", "close": "Open"}).rename(columns=str.lower)
        stale["high"] = stale[["open", "close", "high"]].max(axis=1)
    elif change == "zone":
        stale = bars.tz_localize("UTC")
    else:
        stale = bars.set_axis(bars.index + pd.Timedelta(days=20_000))
    with pytest.warns(StaleHistoryWarning, match="with_history"):
        out = fitted.transform(stale)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColdStartWarning)
        pd.testing.assert_frame_equal(out, fitted.transform(bare(stale)), check_exact=True)


def test_an_added_column_is_stale_for_windows_only():
    bars = load_sp500().iloc[:300]
    fitted = BarFeatures((3, 7)).fit(bars)
    more = bars.assign(news=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.transform(more)
    with pytest.warns(StaleHistoryWarning, match="'news'"):
        SlidingWindow(3).fit(more)


def test_results_are_computed_once_and_the_cache_is_bounded(monkeypatch):
    calls = []
    frame = with_history(
        pd.DataFrame({"x": np.arange(1000.0)}, pd.date_range("2020", periods=1000))
    )
    handle = get_history(frame.iloc[5:10])
    for _ in range(3):
        get_history(frame).cached("a", lambda f: calls.append(1) or f)
        pickle.loads(pickle.dumps(handle)).cached("a", lambda f: calls.append(1) or f)
    assert len(calls) == 1
    monkeypatch.setattr(_results, "_KEPT_BYTES", 20_000)
    for i in range(6):
        handle.cached(("b", i), lambda f: np.zeros(1000))
    assert sum(weight for _, weight in _results._results.values()) <= 20_000
    assert (handle._uid, ("b", 5)) in _results._results
    monkeypatch.setattr(_results, "_KEPT_RESULTS", 2)
    handle.cached("c", lambda f: 1)
    assert len(_results._results) == 2


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_rows_are_found_in_a_panel_as_pandas_finds_them(data):
    """By one sorted key where levels are shared and in order, by a hash table else."""
    panel = small_panel().index
    rows = data.draw(st.lists(st.integers(0, len(panel) - 1), max_size=30))
    wanted = panel[np.array(rows, dtype=int)]
    assert locate_rows(panel, wanted).tolist() == rows
    other = wanted.remove_unused_levels() if data.draw(st.booleans()) else wanted.append(panel[:0])
    assert locate_rows(panel, other).tolist() == rows
    half = panel[
        data.draw(st.sampled_from([slice(None, None, 2), slice(60, None), slice(None, None, -1)]))
    ]
    np.testing.assert_array_equal(locate_rows(half, wanted), half.get_indexer(wanted))


def test_results_are_gone_with_their_frame():
    """Twelve frames made, used and deleted leave nothing; a frame that lives keeps what it has."""
    kept = make_market(300, random_state=1).bars
    BarFeatures((3,)).fit_transform(kept)
    gc.collect()  # what other tests left
    before = list(_results._results), dict(_results._handles)
    for seed in range(12):
        bars = make_market(300, random_state=seed).bars
        make_pipeline(BarFeatures((3,)), SlidingWindow(4)).fit_transform(bars)
        assert len(_results._results) > len(before[0])
        del bars
        gc.collect()
        assert (list(_results._results), dict(_results._handles)) == before
    assert any(uid == kept.attrs["history"].uid for uid, _ in _results._results)


@pytest.mark.parametrize(
    "load", [load_sp500, lambda: make_market(60_000, random_state=0).bars, load_us_stocks]
)
@pytest.mark.parametrize("rows", [slice(3000, 3100), slice(0, 100), slice(-100, None)])
def test_a_slice_travels_with_what_it_needs(load, rows):
    bars = load()
    part = bars.iloc[rows]
    data = pickle.dumps(part)
    assert len(data) <= 50 * 1024
    back = pickle.loads(data)
    pd.testing.assert_frame_equal(back, part, check_exact=True)
    for transformer in (
        BarFeatures(),
        BarFeatures((2, 256)),
        RegimeDetector(),
        RegimeDetector(trend_threshold="auto"),
    ):
        expected = clone(transformer).fit(part).transform(part)
        pd.testing.assert_frame_equal(
            clone(transformer).fit(back).transform(back), expected, check_exact=True
        )
    model = make_pipeline(BarFeatures(), SlidingWindow(60)).fit(bars)
    np.testing.assert_array_equal(
        np.asarray(model.transform(back)), np.asarray(model.transform(part))
    )


def test_scattered_rows_travel_with_what_each_needs():
    bars = make_market(20_000, random_state=3).bars
    rows = np.random.default_rng(0).permutation(np.r_[50:60, 9000:9030, 9400:9410, 19_990:20_000])
    part = bars.iloc[rows]
    back = pickle.loads(pickle.dumps(part))
    assert len(back.attrs["history"].frame) < 2600
    features = BarFeatures()
    pd.testing.assert_frame_equal(
        features.fit_transform(back), features.fit_transform(part), check_exact=True
    )
    # cut from the same history, and not the same
    other = pickle.loads(pickle.dumps(bars.iloc[9000:9030]))
    assert other.attrs["history"] != back.attrs["history"]
    whole = pickle.loads(pickle.dumps(bars.iloc[100:]))
    assert whole.attrs["history"] == bars.attrs["history"]


def test_what_looks_further_back_than_what_travelled_is_refused():
    bars = make_market(20_000, random_state=3).bars
    back = pickle.loads(pickle.dumps(bars.iloc[9000:9100]))
    with pytest.raises(
        InvalidBarsError, match="BarFeatures looks back 301 rows.* with 256 rows.*lookback=301"
    ):
        BarFeatures((300,)).fit(back)
    chain = make_pipeline(BarFeatures((57,)), SlidingWindow(200))  # 57 of steps, and the 199 before
    expected = np.asarray(chain.fit_transform(bars.iloc[9000:9100]))
    np.testing.assert_array_equal(np.asarray(chain.fit_transform(back)), expected)
    with pytest.raises(InvalidBarsError, match="SlidingWindow looks back 201 rows.* with 199 rows"):
        make_pipeline(BarFeatures((57,)), SlidingWindow(201)).fit(back)
    wide = with_history(bars, lookback=400).iloc[9000:9100]
    expected = BarFeatures((300,)).fit_transform(wide)
    back = pickle.loads(pickle.dumps(wide))
    pd.testing.assert_frame_equal(
        BarFeatures((300,)).fit_transform(back), expected, check_exact=True
    )
    for wrong in (0, True, 2.5, None):
        with pytest.raises(InvalidBarsError, match="lookback"):
            with_history(bars, lookback=wrong)


@pytest.mark.parametrize("horizon", [90, pd.Timedelta("200h")])
def test_label_times_of_a_slice_that_travelled(horizon):
    bars = bare(make_market(20_000, random_state=3).bars)
    bars = with_history(bars.set_axis(pd.date_range("2020", periods=len(bars), freq="h")))
    part = bars.iloc[9000:9100]
    back = pickle.loads(pickle.dumps(part))
    expected, _ = label_spans(part, np.zeros(100), horizon=horizon)
    found, _ = label_spans(back, np.zeros(100), horizon=horizon)
    np.testing.assert_array_equal(found.end, expected.end)
    with pytest.raises(ValueError, match="looks further ahead than the 256 bars"):
        label_spans(back, np.zeros(100), horizon="400h")


def test_a_fresh_process_computes_the_same(tmp_path):
    bars = load_sp500()
    part = bars.iloc[3000:3100]
    joblib.dump(part, tmp_path / "part.joblib")
    script = (
        "import sys, joblib; from sktrain import BarFeatures; "
        "print(joblib.hash(BarFeatures().fit_transform(joblib.load(sys.argv[1])).to_numpy()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "part.joblib"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == joblib.hash(BarFeatures().fit_transform(part).to_numpy())


def test_the_next_task_of_a_worker_finds_the_history_it_has():
    data = pickle.dumps(make_market(300, random_state=4).bars)  # the sender's handle is gone
    gc.collect()
    first = pickle.loads(data).attrs["history"]
    computed = []
    first.cached("a", lambda frame: computed.append(1))
    del first
    gc.collect()
    pickle.loads(data).attrs["history"].cached("a", lambda frame: computed.append(1))
    assert computed == [1]


def test_features_of_a_history_are_computed_once_over_all_folds(monkeypatch):
    market = make_market(200, random_state=5)
    calls = []
    original = BarFeatures._compute
    monkeypatch.setattr(
        BarFeatures, "_compute", lambda self, bars: calls.append(len(bars)) or original(self, bars)
    )
    model = make_pipeline(
        BarFeatures((3, 7)),
        SlidingWindow(4, flatten=True),
        StandardScaler(),
        Witness(pd.DataFrame()),
    )
    monkeypatch.setattr(Witness, "compare", lambda self, X: None)
    cross_validate(model, market.bars, market.y, cv=KFold(5), error_score="raise")
    assert calls == [201]


def test_fitted_transformers_stay_small_and_carry_no_handle():
    bars = load_sp500()
    for transformer in (BarFeatures(), RegimeDetector(), SlidingWindow(60)):
        X = bars if not isinstance(transformer, SlidingWindow) else bars.astype(float)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StaleHistoryWarning)
            fitted = transformer.fit(X)
        data = pickle.dumps(fitted)
        assert len(data) < 20_000
        assert b"History" not in data
        pickle.loads(data).transform(X.iloc[-5:])


# ---------------------------------------------------------------- the remembered tail


@pytest.mark.parametrize("panel", [False, True])
def test_fresh_bars_continue_from_the_tail(panel):
    bars = load_us_stocks() if panel else load_sp500()
    fresh = bars.index.get_level_values(-1) >= "2012-11-01"
    for transformer in (
        BarFeatures(),
        RegimeDetector(),
        make_pipeline(BarFeatures((5, 20)), SlidingWindow(7, flatten=True)),
    ):
        fitted = clone(transformer).fit(bars[~fresh])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            live = fitted.transform(bare(bars[fresh]))
        pd.testing.assert_frame_equal(live, fitted.transform(bars)[fresh], check_exact=True)


def test_rows_a_labeler_dropped_are_still_context():
    bars = load_sp500()
    labelled = bars.iloc[:-5]  # as fit_resample leaves them
    fitted = BarFeatures().fit(labelled)
    fresh = (
        bare(bars)
        .set_axis(bars.index + (bars.index[-1] - bars.index[0]) + pd.Timedelta(days=1))
        .iloc[:3]
    )
    expected = BarFeatures().fit_transform(pd.concat([bare(bars), fresh])).iloc[-3:]
    pd.testing.assert_frame_equal(fitted.transform(fresh), expected, check_exact=True)


def test_a_gap_starts_cold():
    bars = bare(load_sp500())
    fitted = BarFeatures((3, 7)).fit(bars.iloc[:1000])
    with pytest.warns(ColdStartWarning, match="knows no rows before 2003"):
        late = fitted.transform(bars.iloc[1100:1200])
    assert late["return_1"].isna().sum() == 1
    pd.testing.assert_frame_equal(late, BarFeatures((3, 7)).fit_transform(bars.iloc[1100:1200]))


def test_a_new_symbol_starts_cold_and_is_named():
    panel = bare(small_panel())
    symbols = panel.index.get_level_values("symbol")
    fitted = BarFeatures((3, 7)).fit(panel[symbols != "S2"])
    with pytest.warns(ColdStartWarning, match="S2"):
        fitted.transform(panel)


def test_the_rows_of_fit_need_no_past():
    bars = bare(load_sp500())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BarFeatures((3, 7)).fit(bars).transform(bars)
        BarFeatures((3, 7)).fit(bars).transform(bars.iloc[:10])


def test_prepend_tail_by_hand():
    days = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-05", "2024-01-11", "2024-01-12"])
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0, 5.0]}, days)
    tail, first = remember_tail(frame.iloc[:3], 2)
    assert tail["x"].tolist() == [2.0, 3.0]
    assert first == {None: days[0]}
    context = prepend_tail(frame.iloc[3:], tail)  # spacing 3 days, gap 6: just near enough
    assert context.frame["x"].tolist() == [2, 3, 4, 5]
    assert context.rows.tolist() == [2, 3]
    with pytest.warns(ColdStartWarning):
        assert prepend_tail(frame.iloc[4:], tail).frame["x"].tolist() == [5.0]


def test_tail_of_uneven_panel_keeps_symbols_apart():
    index = pd.MultiIndex.from_tuples(
        [(s, pd.Timestamp(2024, 1, d)) for s, n in (("B", 4), ("A", 2)) for d in range(1, n + 1)],
        names=["symbol", "time"],
    )
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4, 10, 20]}, index)
    tail, first = remember_tail(frame, 3)
    assert tail["x"].tolist() == [2, 3, 4, 10, 20]
    fresh = pd.DataFrame(
        {"x": [5.0, 30.0]},
        pd.MultiIndex.from_tuples(
            [("B", pd.Timestamp(2024, 1, 5)), ("A", pd.Timestamp(2024, 1, 3))]
        ),
    )
    context = prepend_tail(fresh, tail)
    assert context.frame["x"].iloc[context.rows].tolist() == [5.0, 30.0]
    starts = segment_starts(context.frame.index)
    assert [
        context.frame["x"].iloc[low:high].tolist() for low, high in zip(starts, [*starts[1:], None])
    ] in (
        [[2, 3, 4, 5], [10, 20, 30]],
        [[10, 20, 30], [2, 3, 4, 5]],
    )


# ---------------------------------------------------------------- input validation


def test_bad_bars_are_refused_and_state_is_untouched():
    bars = bare(load_sp500())
    fitted = BarFeatures((3, 7)).fit(bars)
    before = pickle.dumps(fitted)
    bad = bars.copy()
    bad.iloc[7, 3] = np.nan
    for X in (bars.iloc[::-1], bars.drop(columns="volume"), bars.iloc[:0], bars.to_numpy(), bad):
        with pytest.raises(InvalidBarsError):
            fitted.transform(X)
        with pytest.raises(InvalidBarsError):
            BarFeatures().fit(X)
    handled = load_sp500()
    for X in (handled.drop(columns="volume"), handled.iloc[:0]):
        with pytest.raises(InvalidBarsError):
            fitted.transform(X)
    assert pickle.dumps(fitted) == before


def test_letter_case_does_not_matter():
    bars = with_history(bare(load_sp500()).rename(columns=str.title))
    fitted = BarFeatures((3, 7)).fit(bars)
    assert list(fitted.feature_names_in_) == ["Open", "High", "Low", "Close", "Volume"]
    np.testing.assert_array_equal(
        fitted.transform(bars.iloc[50:60]),
        BarFeatures((3, 7)).fit_transform(load_sp500()).iloc[50:60],
    )


def test_set_output_keeps_the_history():
    bars = load_sp500()
    fitted = BarFeatures((3, 7)).set_output(transform="pandas").fit(bars)
    out = fitted.transform(bars.iloc[50:60])
    assert list(out.columns) == list(fitted.get_feature_names_out())
    np.testing.assert_array_equal(
        np.asarray(SlidingWindow(3).fit_transform(out)[0]), fitted.transform(bars).iloc[48:51]
    )


def test_periods_become_timestamps_with_a_warning():
    bars = bare(load_sp500())
    periods = bars.set_axis(bars.index.to_period("D"))
    with pytest.warns(DataQualityWarning, match="PeriodIndex"):
        out = BarFeatures((3, 7)).fit_transform(periods)
    pd.testing.assert_frame_equal(
        out, BarFeatures((3, 7)).fit_transform(bars), check_freq=False, check_index_type=False
    )


def test_time_zones_and_minutes():
    bars = make_market(300, random_state=0).bars
    # clocks change
    zoned = with_history(
        bare(bars).set_axis(
            pd.date_range("2024-03-30", periods=300, freq="15min", tz="Europe/Berlin")
        )
    )
    fitted = BarFeatures((3, 7), calendar="intraday").fit(zoned)
    whole = fitted.transform(zoned)
    pd.testing.assert_frame_equal(
        fitted.transform(zoned.iloc[[90, 200, 150]]), whole.iloc[[90, 200, 150]], check_exact=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        live = clone(fitted).fit(bare(zoned.iloc[:200])).transform(bare(zoned.iloc[200:]))
    pd.testing.assert_frame_equal(live, whole.iloc[200:], check_exact=True, check_freq=False)


def test_a_bootstrap_of_rows_keeps_its_context():
    market = make_market(200, random_state=9)
    rows = np.random.default_rng(0).integers(0, 200, 200)
    drawn = BarFeatures((3, 7)).fit(market.bars.iloc[rows]).transform(market.bars.iloc[rows])
    np.testing.assert_array_equal(drawn, BarFeatures((3, 7)).fit_transform(market.bars).iloc[rows])


def test_the_first_bar_of_a_session_follows_the_last_one():
    """The tail of minute bars lies inside one session; nights and weekends of the month before are
    usual, longer pauses are not."""
    days = pd.bdate_range("2024-03-04", periods=10)  # the last one is a Friday
    times = pd.DatetimeIndex(
        np.concatenate(
            [pd.date_range(day + pd.Timedelta("9h31min"), periods=120, freq="1min") for day in days]
        )
    )
    rng = np.random.default_rng(0)
    close = 100 * np.exp(rng.normal(0, 1e-3, len(times)).cumsum())
    bars = pd.DataFrame(
        {
            "open": close,
            "high": close * 1.001,
            "low": close * 0.999,
            "close": close,
            "volume": rng.uniform(1, 9, len(times)),
        },
        times,
    )
    model = BarFeatures().fit(bars)
    longest = pd.Timedelta("1D") * 3 - pd.Timedelta("119min")  # Friday's last bar to Monday's first
    assert model.pauses_ == {None: longest.value}
    monday = bars.iloc[:1].set_axis([pd.Timestamp("2024-03-18 09:31")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        live = model.transform(monday)
    whole = BarFeatures().fit_transform(pd.concat([bars, monday])).iloc[-1:]
    pd.testing.assert_frame_equal(live, whole, check_exact=True)
    with pytest.warns(ColdStartWarning):
        model.transform(monday.set_axis([pd.Timestamp("2024-03-29 09:31")]))


def test_usual_pauses_are_those_of_the_month_before_the_last_row_of_fit():
    days = pd.to_datetime(
        ["2024-01-01", "2024-01-15", "2024-03-01", "2024-03-02", "2024-03-05", "2024-03-20"]
    )
    frame = pd.DataFrame({"x": 1.0}, days)
    day = pd.Timedelta("1D").value
    assert usual_pauses(frame) == {None: 15 * day}
    assert usual_pauses(frame, np.arange(5)) == {None: 3 * day}
    panel = pd.concat({"A": frame.iloc[:2], "B": frame.iloc[2:4], "C": frame.iloc[:1]})
    assert usual_pauses(panel) == {"A": 14 * day, "B": day, "C": 0}


def test_rows_that_lost_their_symbol_are_told_how_to_keep_it(us_stocks):
    panel = with_history(us_stocks.iloc[:50])
    symbol = panel.index[0][0]
    with pytest.warns(StaleHistoryWarning, match=r"lost their symbol.+X\.loc\[\['A'\]\]"):
        assert recall(panel.loc[symbol]) is None
    assert recall(panel.loc[[symbol]]) is not None

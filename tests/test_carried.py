"""Rows that travel to another process take along what they need of their handles, and no more."""

import pickle

from helpers import bare
import numpy as np
import pandas as pd
import pytest

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    EnhancedWalkForwardCV,
    SlidingWindow,
    TripleBarrierLabeler,
    with_history,
    with_label_times,
)
from sktrain._validation import label_spans
from sktrain._validation._label_times import label_times_of
from sktrain.datasets import load_sp500, make_market
from sktrain.exceptions import InvalidSplitError

LABELER = AdaptiveLabeler(horizon=5, base_threshold=0.5, scaling="sigma")


@pytest.fixture(scope="module")
def panel():
    return LABELER.fit_resample(make_market(2000, 30, random_state=0).bars)


def sent(*things):
    return pickle.loads(pickle.dumps(things))


def same_spans(rows, y, other_rows, other_y):
    mine, theirs = label_spans(rows, y)[0], label_spans(other_rows, other_y)[0]
    np.testing.assert_array_equal(mine.end, theirs.end)
    np.testing.assert_array_equal(mine.start, theirs.start)


PLACES = {
    "within a symbol": slice(5000, 5100),
    "first": slice(0, 100),
    "last": slice(-100, None),
    "end of one and start of the next": slice(3925, 4025),
}


@pytest.mark.parametrize("rows", PLACES.values(), ids=PLACES)
def test_a_hundred_rows_of_a_panel_weigh_less_than_50_kib(panel, rows):
    X, y = (part.iloc[rows] for part in panel)
    assert len(pickle.dumps(X)) <= 50 * 1024
    assert len(pickle.dumps((X, y))) <= 50 * 1024
    assert len(pickle.dumps(y)) <= 8 * 1024
    X_back, y_back = sent(X, y)
    pd.testing.assert_frame_equal(X_back, X, check_exact=True)
    pd.testing.assert_series_equal(y_back, y)
    pd.testing.assert_frame_equal(
        BarFeatures().fit_transform(X_back), BarFeatures().fit_transform(X), check_exact=True
    )
    same_spans(X_back, y_back, X, y)
    same_spans(X_back, y_back.to_numpy(), X, y)


def test_a_hundred_labelled_bars_of_one_instrument_grew_no_larger():
    X, _ = LABELER.fit_resample(load_sp500())
    assert len(pickle.dumps(X.iloc[-100:])) <= 27.6 * 1024


@pytest.mark.parametrize("symbols", [["S07"], ["S03", "S21"], slice(None)], ids=str)
def test_the_rows_of_some_symbols_know_what_they_knew(panel, symbols):
    times = panel[1].index.levels[1][900:960]
    X, y = (part.loc[(symbols, times), :] for part in (panel[0], panel[1].to_frame()))
    y = y["label"]
    X_back, y_back = sent(X, y)
    assert len(label_times_of(y_back).index) == len(y) < len(label_times_of(y).index)
    expected = np.asarray(SlidingWindow(30).fit_transform(BarFeatures().fit_transform(X)))
    found = np.asarray(SlidingWindow(30).fit_transform(BarFeatures().fit_transform(X_back)))
    np.testing.assert_array_equal(found, expected)
    same_spans(X_back, y_back, X, y)
    cv = EnhancedWalkForwardCV(
        2, min_samples_per_fold=5, embargo_bars=0, ensure_regime_coverage=False
    )
    for mine, theirs in zip(cv.split(X_back, y_back), cv.split(X, y), strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_array_equal(mine[1], theirs[1])


def test_rows_of_a_panel_by_time_alone_know_what_they_knew(panel):
    _, y = panel
    one = y.loc["S05"].iloc[700:800]  # pandas drops the symbol, the handle is that of all
    assert not isinstance(one.index, pd.MultiIndex)
    (back,) = sent(one)
    same_spans(back, back, one, one)
    assert len(label_times_of(back).index) == 30 * 100
    every = y.reset_index("symbol", drop=True).sort_index(kind="stable").iloc[3000:3300]
    (back,) = sent(every)
    same_spans(back, back, every, every)


def test_windows_leave_the_label_times_of_other_rows_behind(panel):
    windows = SlidingWindow(10).fit_transform(BarFeatures((5,)).fit_transform(panel[0]))
    part, y = windows[5000:5100], panel[1].iloc[5000:5100].to_numpy()
    (back,) = sent(part)
    np.testing.assert_array_equal(np.asarray(back), np.asarray(part))
    same_spans(back, y, part, y)
    assert len(label_times_of(back).index) == 100


def test_columns_of_news_travel_with_the_rows_around_them():
    bars = bare(make_market(1500, 4, random_state=3).bars)
    rng = np.random.default_rng(0)
    for name in ("news_count", "news_0", "news_1"):
        bars[name] = rng.normal(size=len(bars))
    X, _ = LABELER.fit_resample(with_history(bars))
    part = X.iloc[2500:2600]
    (back,) = sent(part)
    # 8 columns instead of 5, whose 100 rows may weigh 50 KiB
    assert len(pickle.dumps(part)) <= 50 * 1024 * 8 / 5
    columns = ["news_count", "news_0", "news_1"]
    pd.testing.assert_frame_equal(back[columns], part[columns], check_exact=True)
    expected = SlidingWindow(20).fit_transform(part[columns].pipe(_with_history_of, part))
    found = SlidingWindow(20).fit_transform(back[columns].pipe(_with_history_of, back))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    pd.testing.assert_frame_equal(
        BarFeatures().fit_transform(back), BarFeatures().fit_transform(part), check_exact=True
    )


def _with_history_of(columns, rows):
    columns.attrs = dict(rows.attrs)
    return columns


@pytest.mark.parametrize("labeler", [LABELER, TripleBarrierLabeler(max_holding=5)], ids=type)
def test_labels_that_no_longer_follow_are_refused_after_the_journey(labeler):
    _, y = labeler.fit_resample(make_market(3000, random_state=1).bars)
    (back,) = sent(y.iloc[1000:1300])
    label_spans(back, back == 2)  # a recoding follows
    for wrong in (back.shift(3, fill_value=1), back.sample(frac=1, random_state=0)):
        wrong = pd.Series(wrong.to_numpy(), back.index)
        wrong.attrs = back.attrs
        with pytest.raises(InvalidSplitError, match="stale"):
            label_spans(wrong, wrong)


@pytest.mark.parametrize("n", [15, 100])
def test_few_targets_of_a_regression_are_still_targets_of_a_regression(n):
    bars = bare(make_market(2000, random_state=1).bars)
    target = bars["close"].pct_change(3).shift(-3).dropna()
    target = with_label_times(target, end_times=bars.index[3:])
    part = target.iloc[500 : 500 + n]
    (back,) = sent(part)
    handle = label_times_of(back)
    assert (len(handle.index), len(handle.labels), handle.is_continuous) == (n, n, True)
    same_spans(back, back, part, part)
    classes = (back > back.median()).astype(int)
    label_spans(classes, classes)
    shuffled = pd.Series(np.random.default_rng(0).permutation(back), back.index)
    shuffled.attrs = back.attrs
    if n > 20:  # so few values may always be classes
        with pytest.raises(InvalidSplitError, match="stale"):
            label_spans(shuffled, shuffled)


def test_rows_whose_times_were_taken_away_keep_the_whole_handle(panel):
    y = panel[1].reset_index(drop=True).iloc[:50]
    (back,) = sent(y)
    assert len(label_times_of(back).index) == len(panel[1])


def test_what_was_cut_is_cut_again(panel):
    (once,) = sent(panel[1].iloc[5000:5100])
    (twice,) = sent(once.iloc[10:20])
    assert len(label_times_of(twice).index) == 10
    same_spans(twice, twice, once.iloc[10:20], once.iloc[10:20])

"""A slice of bars is labelled as the whole is: its volatility is that of the history it carries."""

import pickle
import warnings

from helpers import bare
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from sktrain import AdaptiveLabeler, TripleBarrierLabeler, with_history
from sktrain.datasets import load_sp500, make_market
from sktrain.exceptions import InvalidBarsError, StaleHistoryWarning

LABELERS = [
    AdaptiveLabeler(horizon=4, base_threshold=0.01),
    AdaptiveLabeler(horizon=4, base_threshold=0.5, scaling="sigma"),
    AdaptiveLabeler(horizon="6D", base_threshold=0.5, scaling="sigma", volatility_lookback=7),
    *(
        TripleBarrierLabeler(1.0, 1.0, max_holding=5, volatility=name)
        for name in ("close", "ewma", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang")
    ),
]
SINGLE = make_market(500, random_state=3).bars
PANEL = make_market(200, 4, random_state=3).bars


def label_and_end(labeler, bars):
    return labeler.transform(bars), labeler.label_end_times(bars)


@pytest.mark.parametrize("labeler", LABELERS, ids=str)
@pytest.mark.parametrize("bars", [SINGLE, PANEL], ids=["one", "panel"])
@pytest.mark.parametrize("travels", [False, True])
def test_labels_of_a_slice_are_those_of_the_whole(labeler, bars, travels):
    whole, ends = label_and_end(labeler, bars)
    times = bars.index.get_level_values(-1)
    first, last = times[60], times[150]
    rows = (times >= first) & (times <= last)
    part = bars[rows]
    if travels:
        part = pickle.loads(pickle.dumps(part))
    found, found_ends = label_and_end(labeler, part)
    inside = (ends[rows] <= last).to_numpy() & whole[rows].notna().to_numpy()
    reach = 6 if labeler.get_params().get("horizon") == "6D" else 5
    assert inside.sum() >= rows.sum() - reach * (4 if bars is PANEL else 1)
    # a touch in time tells nothing of rows whose holding period passes the end of the slice
    known = found.notna().to_numpy()
    assert not (known & ~inside).any()
    assert known.sum() >= rows.sum() - reach * (4 if bars is PANEL else 1)
    pd.testing.assert_series_equal(found[known], whole[rows][known], check_exact=True)
    pd.testing.assert_series_equal(found_ends[known], ends[rows][known])
    if isinstance(labeler, AdaptiveLabeler):
        widths = labeler.thresholds(part)
        expected = labeler.thresholds(bars)[rows]
        both = known if labeler.horizon == "6D" else slice(None)
        pd.testing.assert_series_equal(widths[both], expected[both], check_exact=True)


@pytest.mark.parametrize("labeler", LABELERS, ids=str)
def test_a_slice_looks_at_no_row_after_its_last(labeler):
    """Later rows of the history are replaced by others: nothing moves."""
    changed = bare(SINGLE)
    changed.iloc[300:, :4] *= 3.0
    part, other = SINGLE.iloc[100:300], with_history(changed).iloc[100:300]
    pd.testing.assert_series_equal(labeler.transform(part), labeler.transform(other))
    assert labeler.transform(part).iloc[-1:].isna().all()


def test_rows_around_a_gap_have_the_volatility_of_their_own_past():
    labeler = AdaptiveLabeler(horizon=1, base_threshold=0.5, scaling="sigma")
    rows = np.r_[50:100, 300:350]
    widths = labeler.thresholds(SINGLE.iloc[rows])
    pd.testing.assert_series_equal(widths, labeler.thresholds(SINGLE).iloc[rows], check_exact=True)


def test_bars_without_history_know_the_rows_given():
    part = bare(SINGLE).iloc[100:300]
    labels = AdaptiveLabeler(horizon=4).transform(part)
    assert np.flatnonzero(labels.notna())[0] == 20


def test_sessions_are_those_of_the_whole():
    bars = bare(make_market(900, random_state=1).bars)
    days = pd.date_range("2024-01-01", periods=150, freq="D")
    times = (days.to_numpy()[:, None] + np.arange(6) * np.timedelta64(1, "h")).ravel()
    bars = with_history(bars.iloc[:900].set_axis(pd.DatetimeIndex(times)))
    labeler = AdaptiveLabeler(
        horizon=2, base_threshold=0.5, scaling="sigma", crosses_session=False
    )
    whole = labeler.transform(bars)
    pd.testing.assert_series_equal(
        labeler.transform(bars.iloc[303:603]).iloc[:-3], whole.iloc[303:600], check_exact=True
    )


def test_a_history_that_disagrees_is_told_and_left():
    part = SINGLE.iloc[100:300] * 1.0
    part.loc[part.index[5], ["high", "close"]] *= 1.5
    labeler = AdaptiveLabeler(horizon=4)
    with pytest.warns(StaleHistoryWarning, match="AdaptiveLabeler"):
        labels = labeler.transform(part)
    pd.testing.assert_series_equal(labels, labeler.transform(bare(part)), check_exact=True)
    fixed = AdaptiveLabeler(
        horizon=4, use_volatility_adjustment=False, use_risk_adjustment=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fixed.transform(part)  # looks back on nothing


def test_what_did_not_travel_is_refused():
    labeler = AdaptiveLabeler(volatility_lookback=300)
    bars = make_market(3000, random_state=3).bars
    labeler.transform(bars.iloc[1000:1400])
    with pytest.raises(InvalidBarsError, match="AdaptiveLabeler looks back 301 rows.*lookback=301"):
        labeler.transform(pickle.loads(pickle.dumps(bars.iloc[1000:1100])))


def test_names_in_capitals_and_bad_bars_elsewhere():
    bars = bare(load_sp500().iloc[:400])
    expected = AdaptiveLabeler().transform(bars)
    titled = with_history(bars.rename(columns=str.title)).iloc[100:300]
    found = AdaptiveLabeler().transform(titled)
    pd.testing.assert_series_equal(found.iloc[:-3], expected.iloc[100:297], check_exact=True)
    bars.iloc[5, bars.columns.get_loc("close")] = np.nan
    part = with_history(bars).iloc[100:300]
    pd.testing.assert_series_equal(
        AdaptiveLabeler().transform(part), AdaptiveLabeler().transform(bare(part))
    )


def test_a_labeling_step_of_a_pipeline_keeps_the_first_rows_of_a_rolling_fold():
    from imblearn.pipeline import Pipeline

    steps = [("label", AdaptiveLabeler(horizon=4).as_sampler()), ("model", DummyClassifier())]
    model = Pipeline(steps).fit(SINGLE.iloc[100:200])
    assert model[-1].class_prior_.sum() == pytest.approx(1)
    rows, _ = AdaptiveLabeler(horizon=4).fit_resample(SINGLE.iloc[100:200])
    assert len(rows) == 96

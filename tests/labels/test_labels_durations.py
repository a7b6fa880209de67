"""A label told by a length of time is the label told by bars, where bars are evenly spaced;
elsewhere, a loop."""

import numpy as np
import pandas as pd
import pytest

from sktrain import AdaptiveLabeler, TripleBarrierLabeler
from sktrain._validation import label_spans
from sktrain.datasets import make_market
from sktrain.labels import LabelSampler
from sktrain.labels._base import look_ahead

DAILY = make_market(300, random_state=0).bars.set_axis(pd.date_range("2020", periods=300))
LABELERS = [
    (AdaptiveLabeler, "horizon", {"scaling": "sigma", "base_threshold": 0.5}),
    (AdaptiveLabeler, "horizon", {"use_volatility_adjustment": True}),
    (TripleBarrierLabeler, "max_holding", {}),
    (TripleBarrierLabeler, "max_holding", {"timeout": "sign"}),
]


def panel():
    return pd.concat({"a": DAILY, "b": DAILY.iloc[40:] * 1.5}, names=["symbol", "time"])


@pytest.mark.parametrize("bars", [DAILY, panel()], ids=["one", "panel"])
@pytest.mark.parametrize("cls, name, params", LABELERS)
def test_days_are_bars_of_days(bars, cls, name, params):
    rows, y = cls(**{name: 3}, **params).fit_resample(bars)
    late, z = cls(**{name: "3D"}, **params).fit_resample(bars)
    pd.testing.assert_frame_equal(rows, late)
    pd.testing.assert_series_equal(y, z)
    assert 0 < len(y) < len(bars)
    ends = [label_spans(X, labels, caller="test")[0].end for X, labels in ((rows, y), (late, z))]
    np.testing.assert_array_equal(*ends)


def test_a_span_of_time_against_a_loop():
    rng = np.random.default_rng(0)
    times = {key: np.sort(rng.choice(400, 60, replace=False)) for key in "ab"}
    index = pd.MultiIndex.from_tuples(
        [
            (key, pd.Timestamp("2020") + pd.Timedelta(hours=int(one)))
            for key in times
            for one in times[key]
        ],
        names=["symbol", "time"],
    )
    for hours in (1, 7, 30, 200, 500):
        end, known = look_ahead(index, pd.Timedelta(hours=hours))
        for row, (key, moment) in enumerate(index):
            own = [k for k, (one, _) in enumerate(index) if one == key]
            until = moment + pd.Timedelta(hours=hours)
            assert end[row] == max(k for k in own if index[k][1] <= until)
            assert known[row] == (until <= index[own[-1]][1] and end[row] > row)


def test_what_a_labeler_is_without_being_told():
    assert TripleBarrierLabeler().max_holding == 10
    assert not LabelSampler(TripleBarrierLabeler()).__sklearn_tags__().input_tags.two_d_array

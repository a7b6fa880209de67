"""How far a label may look: told by the longest run of bars, whichever symbol has it; thresholds
that follow a length of time; barriers that many bars leave undecided."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sktrain import AdaptiveLabeler, TripleBarrierLabeler
from sktrain.datasets import make_market
from sktrain.exceptions import NotEnoughDataError


def panel(*lengths):
    """Symbols of so many daily bars each."""
    bars = make_market(max(lengths), random_state=0).bars
    bars.index = pd.date_range("2001-01-01", periods=len(bars))
    names = [f"S{place}" for place in range(len(lengths))]
    parts = [bars.iloc[:length] for length in lengths]
    return pd.concat(parts, keys=names, names=["symbol", "time"])


@pytest.mark.parametrize("lengths", [(30, 50, 40), (50, 30), (30, 50)])
def test_the_longest_run_of_bars_decides_whether_labels_can_look_ahead(lengths):
    bars, longest = panel(*lengths), 50
    for labeler in (AdaptiveLabeler, lambda reach: TripleBarrierLabeler(max_holding=reach)):
        with pytest.raises(NotEnoughDataError, match="run of bars has 50 rows: at least 51"):
            labeler(longest).fit(bars)
        labeler(longest - 1).fit(bars)
        with pytest.raises(NotEnoughDataError, match="looks 50 days.* covers 49 days"):
            labeler("50D").fit(bars)
        labeler("49D").fit(bars)


def test_a_threshold_of_a_length_of_time_grows_with_the_bars_within_it():
    """Bars of weekdays: five days ahead are three to five of them, by a loop."""
    bars = make_market(60, random_state=1).bars
    bars.index = pd.bdate_range("2001-01-01", periods=60)
    labeler = AdaptiveLabeler("5D", base_threshold=1.0, scaling="sigma", volatility_lookback=5)
    returns = bars["close"].pct_change()
    expected = []
    for place, time in enumerate(bars.index):
        ahead = sum(time < other <= time + pd.Timedelta("5D") for other in bars.index)
        expected.append(returns.iloc[place - 4 : place + 1].std() * np.sqrt(ahead))
    got = labeler.thresholds(bars).to_numpy()
    np.testing.assert_allclose(got[5:-5], expected[5:-5], rtol=1e-12)


def test_many_quiet_bars_then_a_touch_says_nothing_to_the_user():
    close = pd.Series(100.0, pd.date_range("2001-01-01", periods=200))
    bars = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close))
    bars.iloc[150:, 1] = 110.0  # the first bar that touches, for every row before it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = TripleBarrierLabeler(max_holding=120).transform(bars)
    assert labels.iloc[30:80].tolist() == [2.0] * 50
    assert labels.iloc[:30].tolist() == [1.0] * 30

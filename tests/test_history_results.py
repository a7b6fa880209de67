"""Results computed on a history go when the last frame that knows it is gone."""

import gc
import pickle

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    EnhancedWalkForwardCV,
    RegimeDetector,
    SlidingWindow,
    with_history,
)
from sktrain._history import _results
from sktrain.datasets import make_market


def features(bars):
    return BarFeatures().fit_transform(bars)


def windows(bars):
    return make_pipeline(BarFeatures(), SlidingWindow(lookback=10)).fit_transform(bars)


def slices(bars):
    bars = with_history(bars)
    return BarFeatures().fit(bars.iloc[:700]).transform(bars.iloc[700:])


def regimes(bars):
    return RegimeDetector().fit_transform(bars)


def folds(bars):
    bars, y = AdaptiveLabeler(horizon=3).fit_resample(bars)
    return list(EnhancedWalkForwardCV(n_splits=2).split(bars, y))


def journeys(bars):
    """Slices near and far apart, there and back: neighbours travel along, or the whole history."""
    bars = with_history(bars)
    parts = [bars.iloc[100:150], bars.iloc[::9], bars.iloc[-900:]]
    return [BarFeatures(windows=(5,)).fit_transform(pickle.loads(pickle.dumps(x))) for x in parts]


@pytest.mark.parametrize("work", [features, windows, slices, regimes, folds, journeys])
def test_nothing_is_kept_of_frames_that_are_gone(work):
    gc.collect()
    before = len(_results._results), sum(_results._handles.values())
    for seed in range(3):
        bars = make_market(1500, 2, random_state=seed).bars
        bars.attrs = {}
        work(bars)
    del bars
    gc.collect()
    after = len(_results._results), sum(_results._handles.values())
    assert after <= before


def test_what_is_kept_while_a_frame_lives_is_bounded_and_counted():
    bars = with_history(make_market(1500, 2, random_state=0).bars)
    history = bars.attrs["history"]
    made = history.cached("big", lambda frame: np.zeros(1000))
    assert history.cached("big", lambda frame: pytest.fail("worked out twice")) is made
    weights = [size for (uid, _), (_, size) in _results._results.items() if uid == history.uid]
    assert weights == [8000]
    for place in range(100):
        history.cached(place, lambda frame: 0)
    assert len(_results._results) <= 64
    assert history.cached("big", lambda frame: 1) == 1  # the oldest has gone

"""Bars without trade have no label; what is no suspension keeps its label."""

import numpy as np
import pytest

from sktrain import AdaptiveLabeler, TripleBarrierLabeler
from sktrain.datasets import make_market


def suspended(bars, rows):
    """The same bars, standing still without volume on ``rows``."""
    out = bars.copy()
    out.attrs = {}
    for name in ("open", "high", "low"):
        out.iloc[rows, out.columns.get_loc(name)] = out["close"].iloc[rows].to_numpy()
    out.iloc[rows, out.columns.get_loc("volume")] = 0
    return out


@pytest.mark.parametrize("labeler", [AdaptiveLabeler(), TripleBarrierLabeler()])
@pytest.mark.parametrize("n_symbols", [1, 2])
def test_suspended_bars_are_not_labelled(labeler, n_symbols):
    rows = [150, 151, 200]
    bars = suspended(make_market(300, n_symbols, random_state=0).bars, rows)
    label = labeler.fit_transform(bars)
    assert label.iloc[rows].isna().all()
    others = np.setdiff1d(np.arange(140, 210), rows)
    assert label.iloc[others].notna().all()
    kept, y = labeler.fit_resample(bars)
    assert not kept.index.isin(bars.index[rows]).any()
    assert y.index.equals(kept.index)


@pytest.mark.parametrize("volume", [0, 5])
def test_limit_days_and_markets_without_volume_are_labelled(volume):
    bars = suspended(make_market(300, random_state=0).bars, [150])
    if volume:
        bars.iloc[150, bars.columns.get_loc("volume")] = volume
    else:
        bars["volume"] = 0
    assert AdaptiveLabeler().fit_transform(bars).iloc[150] >= 0

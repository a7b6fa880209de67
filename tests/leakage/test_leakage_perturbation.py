"""Changed bars: what one column alone may become while the bar stays one that could have been."""

import numpy as np
import pandas as pd
import pytest

from sktrain.datasets import make_market
from sktrain.leakage._perturbation import perturb


@pytest.mark.parametrize("lacking", [[], ["high", "low"]])
@pytest.mark.parametrize("kind", ["noise", "noise_down"])
@pytest.mark.parametrize("only", ["open", "high", "low", "close", "volume"])
def test_one_column_alone_moves_after_the_cut_and_bars_stay_valid(only, kind, lacking):
    bars = make_market(n_bars=80, random_state=0).bars.drop(columns=lacking)
    if only in lacking:
        pytest.skip("the column is left out")
    cut = bars.index.get_level_values(-1).unique().as_unit("ns").asi8[50]
    changed = perturb(bars, cut, kind, np.random.default_rng(0), only=only)
    assert changed.columns.equals(bars.columns)
    moved = changed[only].to_numpy() != bars[only].to_numpy()
    later = bars.index.get_level_values(-1).as_unit("ns").asi8 > cut
    np.testing.assert_array_equal(moved, later)
    others = [name for name in bars if name != only]
    pd.testing.assert_frame_equal(changed[others], bars[others])
    if not lacking:
        low, high = changed["low"], changed["high"]
        assert (low <= changed[["open", "close"]].min(axis=1)).all()
        assert (high >= changed[["open", "close"]].max(axis=1)).all()

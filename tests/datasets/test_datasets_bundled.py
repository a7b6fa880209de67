"""The bundled bars are what their attribution says, checked, and carry their history."""

import pandas as pd
import pytest

from sktrain._history import get_history
from sktrain._validation import check_bars
from sktrain.datasets import load_nasdaq, load_sp500, load_us_stocks


@pytest.mark.parametrize("load", [load_sp500, load_nasdaq])
def test_indices(load):
    bars = load()
    assert bars.shape == (5031, 5)
    assert list(bars.columns) == ["open", "high", "low", "close", "volume"]
    assert bars.index.name == "time"
    assert (bars.index[0], bars.index[-1]) == (
        pd.Timestamp("1999-01-04"),
        pd.Timestamp("2018-12-31"),
    )
    assert check_bars(bars) is bars
    assert get_history(bars.iloc[3:5]).frame.shape == (5031, 5)


def test_known_closes():
    assert load_sp500()["close"].iloc[0] == 1228.099976
    assert load_nasdaq()["close"].iloc[-1] == 6635.279785


def test_the_panel_is_uneven():
    bars = load_us_stocks()
    sizes = bars.groupby(level="symbol").size().to_dict()
    assert sizes == {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}
    assert bars.index.names == ["symbol", "time"]
    assert get_history(bars) is not None


def test_choosing_symbols():
    some = load_us_stocks(["MSFT", "FB", "MSFT"])
    assert some.index.get_level_values("symbol").unique().tolist() == ["MSFT", "FB"]
    assert len(get_history(some).frame) == len(some) == 3466
    assert len(load_us_stocks("FB")) == 196
    for wrong in (["AAPL", "XYZ"], []):
        with pytest.raises(ValueError, match="choose from AAPL"):
            load_us_stocks(wrong)


def test_two_calls_share_nothing():
    one, other = load_sp500(), load_sp500()
    one.iloc[0, 0] = 1e6
    assert other.iloc[0, 0] != 1e6
    assert get_history(one) != get_history(other)

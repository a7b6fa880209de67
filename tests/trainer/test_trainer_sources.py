"""Sources of bars: files, frames, dicts, callables; what is missing is named."""

import pandas as pd
import pytest

from sktrain._history import get_history
from sktrain.exceptions import SktrainError
from sktrain.trainer._sources import open_source


def test_bundled_bars_by_default(sp500):
    source = open_source()
    pd.testing.assert_frame_equal(source.bars, sp500)
    assert source.missing == {}
    assert get_history(source.bars) is not None


def test_missing_symbols_are_named_and_the_rest_is_used():
    source = open_source(stocks=["AAPL", "NOPE", "IBM"])
    assert sorted(source.bars.index.unique(0)) == ["AAPL", "IBM"]
    assert list(source.missing) == ["NOPE"]
    assert "MSFT" in source.missing["NOPE"]


def test_a_history_of_chosen_symbols_holds_only_them():
    source = open_source(stocks=["IBM"])
    assert set(get_history(source.bars).frame.index.unique(0)) == {"IBM"}


def test_nothing_found_is_an_error():
    with pytest.raises(SktrainError, match="NOPE.*AAPL"):
        open_source(stocks=["NOPE"])


def test_dicts_and_callables_give_the_same_panel(us_stocks):
    frames = {name: us_stocks.xs(name, level=0) for name in ("AAPL", "IBM")}
    calls = []

    def online(symbol, interval):
        calls.append((symbol, interval))
        if symbol == "GONE":
            raise LookupError("no such symbol")
        return frames.get(symbol, pd.DataFrame())

    from_dict = open_source(frames)
    from_call = open_source(online, ["AAPL", "IBM", "GONE", "EMPTY"], "1d")
    pd.testing.assert_frame_equal(from_dict.bars, from_call.bars)
    assert calls[0] == ("AAPL", "1d")
    assert "no such symbol" in from_call.missing["GONE"]
    assert "no rows" in from_call.missing["EMPTY"]
    with pytest.raises(SktrainError, match="stocks must name"):
        open_source(online)


def test_bad_bars_of_one_symbol_say_whose_they_are(us_stocks):
    good = us_stocks.xs("IBM", level=0)
    bad = good.copy()
    bad.iloc[3, bad.columns.get_loc("close")] = -1.0
    with pytest.raises(SktrainError, match="bars of B.*close.*row 3"):
        open_source({"A": good, "B": bad})


def test_mixed_intervals_are_refused(us_stocks):
    daily = us_stocks.xs("IBM", level=0)
    with pytest.raises(SktrainError, match="mix intervals"):
        open_source({"daily": daily, "weekly": daily.iloc[::5]})


@pytest.mark.parametrize("stocks", [[], [1], ""])
def test_bad_symbols(stocks):
    with pytest.raises(SktrainError, match="stocks must be"):
        open_source(None, stocks)


def test_unusable_data_says_what_is_expected():
    with pytest.raises(SktrainError, match="path, a DataFrame, a dict"):
        open_source(3)
    with pytest.raises(SktrainError, match="empty dict"):
        open_source({})

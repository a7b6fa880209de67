"""read_bars: every dialect of the same bars gives the same frame; what is no file of bars is
refused with its name."""

import gzip

import numpy as np
import pandas as pd
import pytest

from sktrain._history import get_history
from sktrain.datasets import load_sp500, load_us_stocks, read_bars
from sktrain.exceptions import DataQualityWarning, InvalidBarsError


@pytest.fixture
def bars():
    return load_sp500().iloc[:40]


def written(bars, path, **options):
    bars.to_csv(path, **options)
    return path


def same(one, other):
    pd.testing.assert_frame_equal(one, other, check_freq=False)
    assert len(get_history(one).frame) == len(one)


def test_plain_round_trips(bars, tmp_path):
    same(read_bars(written(bars, tmp_path / "a.csv")), bars)
    same(read_bars(str(written(bars, tmp_path / "a.csv.gz"))), bars)
    same(read_bars(written(bars, tmp_path / "a.tsv", sep="\t")), bars)
    same(read_bars(written(bars, tmp_path / "b.csv", sep=";")), bars)
    bars.to_parquet(tmp_path / "a.parquet")
    same(read_bars(tmp_path / "a.parquet"), bars)
    bars.reset_index().to_parquet(tmp_path / "b.parquet", index=False)
    same(read_bars(tmp_path / "b.parquet"), bars)


@pytest.mark.parametrize(
    "name", ["Date", "DATETIME", "timestamp", "Time", " date ", "index", "<DATE>"]
)
def test_names_of_the_time_column(bars, tmp_path, name):
    renamed = bars.rename(columns=str.upper).rename_axis(name)
    same(read_bars(written(renamed, tmp_path / "a.csv")), bars)


def test_an_unnamed_first_column_is_the_time(bars, tmp_path):
    same(read_bars(written(bars.rename_axis(None), tmp_path / "a.csv")), bars)


def test_a_row_number_beside_the_date_is_dropped(bars, tmp_path):
    same(read_bars(written(bars.reset_index(), tmp_path / "a.csv")), bars)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_epoch_numbers(bars, tmp_path, unit):
    numbers = bars.set_axis(bars.index.as_unit(unit).asi8, axis=0).rename_axis("timestamp")
    same(read_bars(written(numbers, tmp_path / "a.csv")), bars)  # midnights: days
    hours = bars.set_axis(
        pd.date_range(
            "2024-03-01 05:00", periods=len(bars), freq="h", tz="UTC", name="time", unit="ns"
        )
    )
    numbers = hours.set_axis(hours.index.as_unit(unit).asi8, axis=0).rename_axis("timestamp")
    same(read_bars(written(numbers, tmp_path / "b.csv")), hours)


def test_days_as_numbers_day_first_and_apart(bars, tmp_path):
    same(read_bars(written(bars, tmp_path / "a.csv", date_format="%Y%m%d")), bars)
    same(read_bars(written(bars, tmp_path / "b.csv", date_format="%d/%m/%Y")), bars)
    same(read_bars(written(bars, tmp_path / "c.csv", date_format="%m/%d/%Y")), bars)
    hours = bars.set_axis(pd.date_range("2024-03-01", periods=40, freq="h", name="time", unit="ns"))
    apart = hours.reset_index()
    apart.insert(0, "<DATE>", apart["time"].dt.strftime("%Y.%m.%d"))
    apart["<TIME>"] = apart.pop("time").dt.strftime("%H:%M:%S")
    apart.to_csv(tmp_path / "d.csv", index=False)
    same(read_bars(tmp_path / "d.csv"), hours)


def test_offsets_become_utc(bars, tmp_path):
    eastern = bars.set_axis(
        pd.date_range("2024-03-08 10:00", periods=40, freq="D", tz="America/New_York", name="time")
    )
    out = read_bars(written(eastern, tmp_path / "a.csv"))
    assert (out.index == eastern.index).all()
    assert str(out.index.tz) == "UTC"
    assert out.attrs["reading"]["written_in"] == "-05:00/-04:00"


def test_newest_first_is_turned_round(bars, tmp_path):
    same(read_bars(written(bars.iloc[::-1], tmp_path / "a.csv")), bars)


def test_adjusted_close_scales_the_prices_and_says_so(bars, tmp_path):
    factor = np.where(np.arange(40) < 20, 0.5, 1.0)
    with pytest.warns(DataQualityWarning, match="20 of 40 rows"):
        out = read_bars(
            written(bars.assign(**{"Adj Close": bars["close"] * factor}), tmp_path / "a.csv")
        )
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(out[name], bars[name] * factor, rtol=1e-12)
    assert out["volume"].equals(bars["volume"])
    assert out.attrs["adjusted"] is True
    assert "adj close" not in out
    same(read_bars(written(bars.assign(adj_close=bars["close"]), tmp_path / "b.csv")), bars)


def test_panels(tmp_path):
    panel = load_us_stocks().groupby(level="symbol").tail(30)
    expected = panel
    same(
        read_bars(
            written(
                panel.reset_index().rename(columns={"symbol": "Ticker"}),
                tmp_path / "a.csv",
                index=False,
            )
        ),
        expected,
    )
    by_time = panel.reset_index().sort_values(["time", "symbol"], kind="stable")
    same(read_bars(written(by_time, tmp_path / "b.csv", index=False)), expected)
    same(read_bars(written(by_time.iloc[::-1], tmp_path / "c.csv", index=False)), expected)
    panel.to_parquet(tmp_path / "d.parquet")
    same(read_bars(tmp_path / "d.parquet"), expected)
    folder = tmp_path / "folder"
    folder.mkdir()
    for symbol, part in panel.groupby(level="symbol"):
        written(part.droplevel("symbol").rename(columns=str.title), folder / f"{symbol}.csv.gz")
    (folder / "README.md").write_text("no bars")
    same(read_bars(folder), expected)


def test_other_columns_pass_through(bars, tmp_path):
    out = read_bars(written(bars.assign(News=1.5), tmp_path / "a.csv"))
    assert list(out.columns) == ["open", "high", "low", "close", "volume", "news"]


def test_a_missing_file_is_both_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.csv"):
        read_bars(tmp_path / "nothing.csv")
    with pytest.raises(InvalidBarsError, match="nothing.csv"):
        read_bars(tmp_path / "nothing.csv")


GARBAGE = {
    "binary.csv": bytes(range(256)) * 8,
    "empty.csv": b"",
    "words.csv": b"hello\nthis is a letter\n",
    "header.csv": b"time,open,high,low,close,volume\n",
    "page.csv": b"<!DOCTYPE html><html><body><p>404, not found; sorry</p></body></html>\n",
    "broken.csv.gz": b"\x1f\x8b\x08broken",
    "half.csv.gz": gzip.compress(b"time,open\n" * 5000)[:40],
    "no.parquet": b"PAR1 not really",
    "picture.png": b"\x89PNG",
    "notime.csv": b"open,high,low,close,volume\n1,2,1,2,5\n",
    "noprice.csv": b"time,open,high,low,volume\n2024-01-01,1,2,1,5\n",
    "text.csv": b"time,open,high,low,close,volume\n2024-01-01,1,2,1,abc,5\n",
    "when.csv": b"time,open,high,low,close,volume\n2024-01-01,1,2,1,1,5\nyesterday,1,2,1,1,5\n",
    "epoch.csv": b"time,open,high,low,close,volume\n12,1,2,1,1,5\n13,1,2,1,1,5\n",
    "mixed.csv": b"time,open,high,low,close,volume\n1704067200,1,2,1,1,5\n1704153600000,1,2,1,1,5\n",
    "never.csv": b"time,open,high,low,close,volume\n,1,2,1,1,5\n2024-01-01,1,2,1,1,5\n",
    "twice.csv": b"time,open,high,low,close,volume\n2024-01-01,1,2,1,1,5\n2024-01-01,1,2,1,1,5\n",
    "crossed.csv": b"time,open,high,low,close,volume\n2024-01-01,1,1,2,1,5\n",
    "double.csv": b"time,open,high,low,close,Close,volume\n2024-01-01,1,2,1,1,1,5\n",
    "adjusted.csv": b"time,open,high,low,close,volume,adj close\n2024-01-01,1,2,1,1,5,0\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_file_of_bars_is_refused_by_name(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(GARBAGE[name])
    with pytest.raises(InvalidBarsError, match=name.replace(".", r"\.")):
        read_bars(file)


def test_folders_that_hold_no_bars(tmp_path, bars):
    with pytest.raises(InvalidBarsError, match="no bars in this folder"):
        read_bars(tmp_path)
    written(bars, tmp_path / "A.csv")
    (tmp_path / "B.csv").write_text("time,open\n2024-01-01,nothing\n")
    with pytest.warns(DataQualityWarning, match=r"1 of 2 files left out. B\.csv"):
        out = read_bars(tmp_path)
    assert out.index.unique("symbol").tolist() == ["A"]
    assert list(out.attrs["reading"]["left_out"]) == ["B"]
    (tmp_path / "A.csv").unlink()
    with pytest.raises(InvalidBarsError, match=r"none of 1 files could be read. B\.csv"):
        read_bars(tmp_path)
    written(bars, tmp_path / "A.csv")
    written(bars.set_axis(bars.index.tz_localize("UTC") + pd.Timedelta("9h")), tmp_path / "B.csv")
    with pytest.raises(InvalidBarsError, match="time zones"):
        read_bars(tmp_path)
    (tmp_path / "B.csv").unlink()
    bars.to_parquet(tmp_path / "A.parquet")
    with pytest.raises(InvalidBarsError, match="two files for symbol 'A'"):
        read_bars(tmp_path)


def test_the_first_bad_row_is_named(tmp_path):
    (tmp_path / "a.csv").write_text(
        "time,open,high,low,close,volume\n2024-01-01,1,2,1,1,5\n2024-01-02,1,2,1,,5\n"
    )
    with pytest.raises(
        InvalidBarsError, match=r"a\.csv: line 3 \(2024-01-02\): Column 'close' is nan"
    ):
        read_bars(tmp_path / "a.csv")

"""read_bars: what decides, what is refused and in which words, and what the options do."""

from functools import partial
import json
import os

from helpers import quietly
import numpy as np
import pandas as pd
import pytest

from sktrain._validation import check_bars
from sktrain.datasets import read_bars
from sktrain.exceptions import InvalidBarsError

quiet = partial(quietly, read_bars)

HEADER = "time,open,high,low,close,volume\n"


def write(tmp_path, text, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(times, price=10.0, volume=100):
    return HEADER + "".join(
        f"{t},{price + i % 5},{price + 2 + i % 5},{price - 1 + i % 5},{price + 1 + i % 5},{volume + i}\n"
        for i, t in enumerate(times)
    )


DATES = {
    "months, day first": [f"01/{m:02d}/{y}" for y in range(2005, 2010) for m in range(1, 13)],
    "months, month first": [f"{m:02d}/01/{y}" for y in range(2005, 2010) for m in range(1, 13)],
    "five minutes of early March": [
        f"{k:02d}/03/2024 {9 + m // 12:02d}:{m % 12 * 5:02d}"
        for k in (1, 4, 5, 6, 7, 8, 11, 12)
        for m in range(78)
    ],
    "days of early March": [f"{k:02d}/03/2024" for k in (1, 4, 5, 6, 7, 8, 11, 12)],
    "newest first": [f"{k:02d}/03/2024" for k in (12, 11, 8, 7, 6, 5, 4, 1)],
    "month first, days of early March": [f"03/{k:02d}/2024" for k in (1, 4, 5, 6, 7, 8, 11, 12)],
    "dots": ["02.03.2024", "05.04.2024", "07.08.2024"],
    "a day above twelve": ["01/02/2024", "02/02/2024", "13/02/2024"],
    "a month above twelve": ["02/01/2024", "02/02/2024", "02/13/2024"],
    "two digits": ["29/02/24", "01/03/24", "04/03/24"],
}
READ = {
    "months, day first": "2005-02-01",
    "months, month first": "2005-02-01",
    "five minutes of early March": "2024-03-01 09:05",
    "days of early March": "2024-03-04",
    "newest first": "2024-03-04",
    "month first, days of early March": "2024-03-04",
    "dots": "2024-04-05",
    "a day above twelve": "2024-02-02",
    "a month above twelve": "2024-02-02",
    "two digits": "2024-03-01",
}


@pytest.mark.parametrize("name", DATES)
def test_day_order_comes_from_the_whole_column(name, tmp_path):
    out = quiet(write(tmp_path, rows(DATES[name])))
    assert out.index[1] == pd.Timestamp(READ[name])
    assert len(out) == len(DATES[name])


def test_what_no_row_decides_is_refused_and_dayfirst_decides(tmp_path):
    path = write(tmp_path, rows([f"01/{m:02d}/2024" for m in range(1, 13)]))
    with pytest.raises(
        InvalidBarsError,
        match=r"'01/01/2024' may be day first or month first.*dayfirst=True or dayfirst=False",
    ):
        read_bars(path)
    assert quiet(path, dayfirst=True).index[1] == pd.Timestamp("2024-02-01")
    assert quiet(path, dayfirst=False).index[1] == pd.Timestamp("2024-01-02")
    with pytest.raises(InvalidBarsError, match="line 2 holds '13/02/2024'"):
        read_bars(write(tmp_path, rows(["13/02/2024", "14/02/2024"])), dayfirst=False)


def test_every_day_of_a_year_survives_both_orders(tmp_path):
    days = pd.date_range("2024-01-01", periods=366)
    for form in (
        "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%y", "%d.%m.%Y", "%Y年%m月%d日", "%d %B %Y", "%b %d, %Y",
    ):
        text = (
            rows(days.strftime(form))
            if "," not in form
            else rows([f'"{t}"' for t in days.strftime(form)])
        )
        assert quiet(write(tmp_path, text)).index.equals(days.as_unit("ns").rename("time")), form


def test_a_header_of_another_width_is_refused(tmp_path):
    text = "date,open,high,low,close,volume\n" + "2024-01-02,10,12,9,11,10.5,100\n" * 3
    with pytest.raises(InvalidBarsError, match="line 1: the header has 6 names .* 7 cells"):
        read_bars(write(tmp_path, text))


def test_volumes_are_chosen_by_what_varies_and_by_what_they_count(tmp_path):
    times = pd.date_range("2024-01-01", periods=30)
    lines = [f"{t},10,12,9,11,{100 + i},0,{(100 + i) * 11}" for i, t in enumerate(times)]
    path = write(tmp_path, "time,open,high,low,close,tickvol,vol,volume quote\n" + "\n".join(lines))
    out = quiet(path)
    assert out["volume"].tolist() == [100 + i for i in range(30)]
    assert "volume = tickvol" in str(out.attrs["reading"])
    lines = [f"{t},10,12,9,11,{(100 + i) * 11},{100 + i}" for i, t in enumerate(times)]
    out = quiet(
        write(tmp_path, "time,open,high,low,close,Volume USDT,Volume ADA\n" + "\n".join(lines))
    )
    assert out["volume"].tolist() == [100 + i for i in range(30)]


def test_a_flag_named_adjusted_scales_nothing(tmp_path):
    times = pd.date_range("2024-01-01", periods=30)
    text = "time,open,high,low,close,volume,adjusted\n" + "".join(
        f"{t},10,12,9,11,{5 + i},{i % 2}\n" for i, t in enumerate(times)
    )
    out = quiet(write(tmp_path, text))
    assert (out["close"] == 11).all()
    assert "adjusted" not in out.attrs


def test_adjusting_can_be_declined(tmp_path):
    text = (
        "time,open,high,low,close,volume,adj "
        "close\n2024-01-01,10,12,9,11,5,5.5\n2024-01-02,10,12,9,11,5,5.5\n"
    )
    assert quiet(write(tmp_path, text))["high"].tolist() == [6, 6]
    assert quiet(write(tmp_path, text), columns={"adjusted": None})["high"].tolist() == [12, 12]


def test_one_file_per_month_is_one_instrument(tmp_path):
    for month in (1, 2, 3):
        times = pd.date_range(f"2024-{month:02d}-01", periods=48, freq="h")
        write(tmp_path, rows(times), f"BTCUSDT-1h-2024-{month:02d}.csv")
    out = quiet(tmp_path)
    assert isinstance(out.index, pd.DatetimeIndex)
    assert len(out) == 144
    assert out.index.is_monotonic_increasing
    assert out.attrs["reading"]["symbol"] == "BTCUSDT-1h"


def test_one_file_per_symbol_is_a_panel_though_times_are_disjoint(tmp_path):
    write(tmp_path, rows(pd.date_range("2020-01-01", periods=5)), "AAA.csv")
    write(tmp_path, rows(pd.date_range("2021-01-01", periods=5)), "BBB.csv")
    assert quiet(tmp_path).index.unique("symbol").tolist() == ["AAA", "BBB"]


def test_cross_sections_by_day_become_a_panel(tmp_path):
    for day in ("2024-01-02", "2024-01-03", "2024-01-04"):
        text = "".join(
            f"{code},{day},10,12,9,11,{5 + i}\n" for i, code in enumerate(("000001", "600519"))
        )
        write(tmp_path, "code,date,open,high,low,close,volume\n" + text, f"{day}.csv")
    out = quiet(tmp_path)
    assert out.index.unique("symbol").tolist() == ["000001", "600519"]
    assert len(out) == 6


def test_several_instruments_without_a_symbol_are_refused(tmp_path):
    times = list(pd.date_range("2024-01-01", periods=20))
    text = rows(times) + rows(times, price=50).removeprefix(HEADER)
    with pytest.raises(
        InvalidBarsError,
        match=r"different prices \(20 such rows\): several instruments.*columns=\{'symbol': 'NAME'\}",
    ):
        read_bars(write(tmp_path, text))


def test_a_loose_column_of_names_tells_instruments_apart(tmp_path):
    times = pd.date_range("2024-01-01", periods=9)
    text = "date,open,high,low,close,volume,Name\n" + "".join(
        f"{t:%Y-%m-%d},10,12,9,11,{5 + i},{'ABC'[i % 3]}\n" for i, t in enumerate(times)
    )
    assert quiet(write(tmp_path, text)).index.unique("symbol").tolist() == ["A", "B", "C"]


def test_local_midnights_are_dates_and_offsets_inside_a_day_are_instants(tmp_path):
    days = pd.date_range("2024-03-01", periods=20, tz="America/New_York")
    out = quiet(write(tmp_path, rows(days)))
    assert out.index.equals(days.tz_localize(None).as_unit("ns").rename("time"))
    assert out.attrs["reading"]["written_in"] == "-05:00/-04:00"
    hours = pd.date_range("2024-03-09 22:30", periods=20, freq="h", tz="America/New_York")
    out = quiet(write(tmp_path, rows(hours)))
    assert out.index.equals(hours.tz_convert("UTC").as_unit("ns").rename("time"))
    alpaca = pd.date_range("2024-03-01", periods=20, tz="America/New_York").tz_convert("UTC")
    assert str(quiet(write(tmp_path, rows(alpaca))).index.tz) == "UTC"
    assert quiet(write(tmp_path, rows(alpaca)), timezone="America/New_York").index[
        0
    ] == pd.Timestamp("2024-03-01")


def test_a_clock_set_back_needs_its_zone(tmp_path):
    hours = pd.date_range("2023-11-04 20:00", periods=12, freq="h", tz="America/New_York")
    path = write(tmp_path, rows(hours.tz_localize(None)))
    with pytest.raises(
        InvalidBarsError,
        match=r"line 7 and line 8 are both stamped.*daylight saving.*timezone='America/New_York'",
    ):
        read_bars(path)
    assert quiet(path, timezone="America/New_York").index.equals(
        hours.tz_convert("UTC").as_unit("ns").rename("time")
    )
    with pytest.raises(InvalidBarsError, match="no time zone"):
        read_bars(path, timezone="Mars/Olympus")


def test_stamps_of_the_opening_move_to_the_close(tmp_path):
    hours = pd.date_range("2024-01-05 20:00", periods=5, freq="h").append(
        pd.date_range("2024-01-08 01:00", periods=5, freq="h")
    )
    path = write(tmp_path, rows(hours))
    assert quiet(path, stamps="open").index.equals(
        (hours + pd.Timedelta("1h")).as_unit("ns").rename("time")
    )
    months = pd.date_range("2023-01-01", periods=9, freq="MS")
    assert quiet(write(tmp_path, rows(months)), stamps="open").index[0] == pd.Timestamp(
        "2023-02-01"
    )


def test_a_last_bar_that_was_still_forming(tmp_path):
    hours = [
        *pd.date_range("2024-01-05 10:00", periods=9, freq="h"),
        pd.Timestamp("2024-01-05 18:37"),
    ]
    path = write(tmp_path, rows(hours))
    assert "off the usual spacing" in str(quiet(path).attrs["reading"])
    out = quiet(path, incomplete_last="drop")
    assert len(out) == 9
    assert out.attrs["reading"]["dropped"] == {"incomplete last bars": 1}
    assert len(quiet(write(tmp_path, rows(hours[:-1])), incomplete_last="drop")) == 9


def test_symbol_names_the_instrument(tmp_path):
    path = write(tmp_path, rows(pd.date_range("2024-01-01", periods=5)))
    assert quiet(path, symbol="000001").index.unique("symbol").tolist() == ["000001"]
    text = "code,date,open,high,low,close,volume\nA,2024-01-02,10,12,9,11,5\nB,2024-01-02,10,12,9,11,5\n"
    with pytest.raises(InvalidBarsError, match="symbol='X' is for files without symbols"):
        read_bars(write(tmp_path, text), symbol="X")


SUSPENDED = [
    ("2024-01-02", "10,12,9,11,100"),
    ("2024-01-03", "11,11,11,11,0"),
    ("2024-01-04", "11,11,11,11,"),
    ("2024-01-05", ",,,,"),
    ("2024-01-08", "0,0,0,11,0"),
    ("2024-01-09", "12.1,12.1,12.1,12.1,900"),
    ("2024-01-10", "12,13,11,12,100"),
]


def test_suspended_days_are_counted_and_can_be_dropped(tmp_path):
    good = [pair for pair in SUSPENDED if pair[0] not in ("2024-01-05", "2024-01-08")]
    out = quiet(write(tmp_path, HEADER + "".join(f"{t},{cells}\n" for t, cells in good)))
    assert out.attrs["reading"]["suspended"] == 2  # not the limit-up day, which traded
    path = write(tmp_path, HEADER + "".join(f"{t},{cells}\n" for t, cells in SUSPENDED))
    with pytest.raises(
        InvalidBarsError,
        match=r"line 5 \(2024-01-05\): open, high, low and close are empty.*bad_rows='drop'",
    ):
        read_bars(path)
    out = quiet(path, bad_rows="drop")
    assert out.index.strftime("%d").tolist() == ["02", "09", "10"]
    assert out.attrs["reading"]["dropped"] == {
        "empty rows": 1,
        "suspended days with prices of zero": 1,
        "suspended days": 2,
    }


def test_markets_without_volume_are_not_suspended(tmp_path):
    text = HEADER + "".join(f"2024-01-{d:02d},1.1,1.1,1.1,1.1,0\n" for d in range(2, 9))
    assert quiet(write(tmp_path, text)).attrs["reading"]["suspended"] == 0
    out = quiet(write(tmp_path, text.replace(",0\n", "\n").replace(",volume", "")))
    assert (out["volume"] == 0).all()
    assert "no volume in the file: 0" in str(out.attrs["reading"])


def test_negative_prices_name_back_adjusted_ones(tmp_path):
    text = HEADER + "2004-01-05,-0.5,-0.4,-0.6,-0.5,100\n2024-01-05,10,12,9,11,100\n"
    with pytest.raises(InvalidBarsError, match=r"line 2 \(2004-01-05\).*back-adjusted \(后复权\)"):
        read_bars(write(tmp_path, text))


def test_dropped_rows_are_counted_by_cause(tmp_path):
    lines = [
        "2024-01-02,10,12,9,11,5", "2024-01-03,10,9,12,11,5", "soon,10,12,9,11,5",
        "2024-01-05,10,12,abc,11,5", "2024-01-05,10,12,9,11,5,7", "2024-01-08,10,12,9,11,5",
        "2024-01-08,10,12,9,11,5",
    ]
    out = quiet(write(tmp_path, HEADER + "\n".join(lines)), bad_rows="drop")
    assert out.index.strftime("%d").tolist() == ["02", "08"]
    assert sum(out.attrs["reading"]["dropped"].values()) == 4
    assert "1 lines with too many cells left out" in str(out.attrs["reading"])


def test_the_line_of_a_fault_is_the_editors(tmp_path):
    text = (
        "Title\n\n"
        + HEADER
        + "2024-01-02,10,12,9,11,5\n\n2024-01-03,10,9,12,11,5\n2024-01-04,10,12,9,11,5\n"
    )
    with pytest.raises(InvalidBarsError, match="line 6 "):
        read_bars(write(tmp_path, text))
    with pytest.raises(InvalidBarsError, match="line 4 has 7 cells, the other rows 6"):
        read_bars(write(tmp_path, rows(["2024-01-02", "2024-01-03"]) + "2024-01-04,1,2,3,4,5,6\n"))


def test_contradicting_decimal_signs_are_refused(tmp_path):
    text = (
        HEADER.replace(",", ";")
        + "2024-01-02;10,5;12,5;9,5;11,5;5\n2024-01-03;10.5;12.5;9.5;11.5;5\n"
    )
    with pytest.raises(
        InvalidBarsError, match=r"decimal comma \('10,5'\) and with a decimal dot \('10.5'\)"
    ):
        read_bars(write(tmp_path, text))


def test_suffixes_of_volumes(tmp_path):
    times = [f"2024-01-0{d}" for d in range(2, 6)]
    text = HEADER + "".join(
        f"{t},10,12,9,11,{v}\n" for t, v in zip(times, ("1.2M", "950K", "3万", "-"))
    )
    assert quiet(write(tmp_path, text))["volume"].tolist() == [1_200_000, 950_000, 30_000, 0]


@pytest.mark.parametrize("name", ["unknown", "time"])
def test_columns_that_are_not_there(name, tmp_path):
    path = write(tmp_path, rows(["2024-01-02"]))
    with pytest.raises(
        InvalidBarsError,
        match="the roles are" if name == "unknown" else "'x' is not there; the columns are 'time'",
    ):
        read_bars(path, columns={name: "x"})


@pytest.mark.parametrize(
    "options",
    [
        {"bad_rows": "x"},
        {"incomplete_last": 1},
        {"stamps": "mid"},
        {"dayfirst": "yes"},
        {"timezone": 3},
        {"columns": ["time"]},
        {"encoding": 3},
    ],
)
def test_options_out_of_range(options, tmp_path):
    with pytest.raises(InvalidBarsError, match=next(iter(options))):
        read_bars(write(tmp_path, rows(["2024-01-02"])), **options)


NOT_BARS = {
    "lfs.csv": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n",
        "Git LFS pointer",
    ),
    "page.csv": (
        b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>",
        "is a web page.*404 Not Found",
    ),
    "blank.csv": (b"\n \n", "nothing but blanks"),
    "none.csv": (b"", r"empty \(0 bytes\)"),
    "fork.csv": (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "resource fork"),
    "half.csv.gz": (b"\x1f\x8b\x08\x00half", "damaged"),
    "deep.json": (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    "error.json": (b'{"error": "limit reached"}', "without a table.*limit reached"),
    "cut.json": (b'[{"time": 1, "open": 2', "cut off"),
    "old.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 100, "save it as .xlsx"),
    "data.sqlite": (b"SQLite format 3\x00" + b"\x00" * 100, "SQLite"),
}


@pytest.mark.parametrize("name", NOT_BARS)
def test_what_is_no_data_is_named_in_one_line(name, tmp_path):
    data, said = NOT_BARS[name]
    with pytest.raises(InvalidBarsError, match=said) as refusal:
        read_bars(write(tmp_path, data, name))
    assert name in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_pipes_are_refused_without_a_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InvalidBarsError, match="no regular file"):
        read_bars(tmp_path / "pipe.csv")


def test_a_zip_of_several_files_names_them(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.csv", "x")
        archive.writestr("two.csv", "x")
    with pytest.raises(InvalidBarsError, match=r"zip archive of 2 files \(one.csv, two.csv\)"):
        read_bars(tmp_path / "a.zip")


def test_the_protocol_survives_pandas_and_json(tmp_path):
    out = quiet(write(tmp_path, rows(pd.date_range("2024-01-01", periods=5))))
    reading = out.iloc[1:].attrs["reading"]
    assert reading["rows"] == 5
    assert str(reading) == "5 bars, 2024-01-01 … 2024-01-05, daily"
    assert json.loads(json.dumps(reading))["columns"]["close"] == "close"


def test_text_of_other_columns_is_kept(tmp_path):
    text = "time,open,high,low,close,volume,note,rate\n2024-01-02,1,2,1,2,5,up,0.5\n2024-01-03,1,2,1,2,5,NA,\n"
    out = quiet(write(tmp_path, text))
    assert out["note"].tolist() == ["up", "NA"]
    assert np.isnan(out["rate"].iloc[1])


def test_no_advice_makes_one_company_of_several():
    times = pd.bdate_range("2024-01-01", periods=40)
    one = pd.DataFrame(
        {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 7}, index=times
    )
    below = pd.concat([one, one * 3])  # one below the other, and side by side
    for several in (below, below.sort_index(), pd.concat([one, one.iloc[5:15] * 3])):
        with pytest.raises(
            InvalidBarsError, match=r"several instruments.*set_index\(\['symbol', 'time'\]\)"
        ) as said:
            check_bars(several)
        assert "bars.sort_index()" not in str(said.value)
    with pytest.raises(InvalidBarsError, match=r"Sort with bars.sort_index\(\)\.$"):
        check_bars(one[::-1])
    with pytest.raises(InvalidBarsError, match="of one instrument, else .*set_index"):
        check_bars(pd.concat([one, (one * 3).set_axis(times - pd.Timedelta(days=400))]))
    with pytest.raises(
        InvalidBarsError, match="Drop duplicates with .* if all rows are of one instrument"
    ):
        check_bars(pd.concat([one.iloc[:3], one.iloc[2:]]))

"""Kinds of files that people have, each in a layout of its own: read right, or refused in words
that help."""

import io
import json
import tarfile
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest

from sktrain.datasets import read_bars
from sktrain.exceptions import DataQualityWarning, InvalidBarsError

DAYS = pd.bdate_range("2023-03-01", periods=60)
HOURS = pd.date_range("2024-05-06", periods=60, freq="h")
NAMES = ["date", "open", "high", "low", "close", "volume"]


def drawn(seed=3):
    rng = np.random.default_rng(seed)
    close = np.round(80 * np.exp(np.cumsum(rng.normal(0, 0.01, 60))), 2)
    opened = np.round(np.r_[80, close[:-1]] * np.exp(rng.normal(0, 0.001, 60)), 2)
    high = np.round(np.maximum(opened, close) * 1.004, 2)
    low = np.round(np.minimum(opened, close) * 0.996, 2)
    return np.column_stack([opened, high, low, close]), rng.integers(1000, 900_000, 60)


PRICE, VOLUME = drawn()
ROWS = [[*map(float, price), int(volume)] for price, volume in zip(PRICE, VOLUME)]


def dated(times=DAYS, form="%Y-%m-%d"):
    return [[time.strftime(form), *row] for time, row in zip(times, ROWS)]


def lines(rows, names=NAMES, sep=","):
    return (
        "\n".join(sep.join(map(str, row)) for row in ([names] if names else []) + list(rows)) + "\n"
    )


def read(tmp_path, content, name="bars.csv", times=DAYS, volume=VOLUME, **options):
    """Write, read and compare with what was drawn."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bars = read_bars(path, **options)
    assert bars.index.equals(pd.DatetimeIndex(times, name="time").as_unit("ns")), bars.index[:2]
    np.testing.assert_allclose(bars[["open", "high", "low", "close"]], PRICE, rtol=1e-9)
    np.testing.assert_allclose(bars["volume"], volume, rtol=1e-9)
    return bars


def refused(tmp_path, content, match, name="bars.csv", **options):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InvalidBarsError, match=match) as caught:
        read_bars(path, **options)
    assert "\n" not in str(caught.value)


# JSON ------------------------------------------------------------------------------------------


def seconds(times=HOURS):
    return [int(time.timestamp()) for time in times]


def test_an_envelope_with_scalars_beside_the_list(tmp_path):
    rows = [
        dict(zip(["timestamp", *NAMES[1:]], map(str, row))) for row in zip(seconds(), *zip(*ROWS))
    ]
    content = json.dumps({"data": {"pair": "ETH/USD", "ohlc": rows}})
    bars = read(tmp_path, content, "a.json", HOURS.tz_localize("UTC"))
    assert bars.attrs["reading"]["symbol"] == "ETH/USD"


def test_columns_and_data_beside_their_description(tmp_path):
    content = {"metadata": {"open": {"type": "double"}}, "columns": NAMES, "data": dated()}
    read(tmp_path, json.dumps({"candles": content}), "a.json")


def test_fields_of_an_inner_record_in_every_line(tmp_path):
    rows = [{"meta": {"src": "x"}, "bar": dict(zip(NAMES, row))} for row in dated()]
    read(tmp_path, "\n".join(map(json.dumps, rows)), "a.jsonl")


def test_letters_in_two_cases_are_two_names(tmp_path):
    candles = [
        {
            "e": "kline",
            "k": {
                "t": 1000 * s,
                "T": 1000 * s + 1,
                "f": 7,
                "L": 9,
                **dict(zip("ohlcv", row)),
                "V": 1,
            },
        }
        for s, row in zip(seconds(), ROWS)
    ]
    read(tmp_path, "\n".join(map(json.dumps, candles)), "a.jsonl", HOURS.tz_localize("UTC"))


def test_the_time_of_a_bar_and_not_that_of_its_last_trade(tmp_path):
    rows = [
        {"timestamp": 1000 * s + 899_123, "candle_date_time_utc": f"{t:%Y-%m-%dT%H:%M:%S}",
         "candle_date_time_kst": f"{t + pd.Timedelta(hours=9):%Y-%m-%dT%H:%M:%S}",
         "opening_price": row[0], "high_price": row[1], "low_price": row[2], "trade_price": row[3],
         "candle_acc_trade_volume": row[4]}
        for s, t, row in zip(seconds(), HOURS, ROWS)
    ]  # fmt: skip
    read(tmp_path, json.dumps(rows), "a.json", HOURS.tz_localize("UTC"))


def test_epoch_numbers_under_an_unknown_name(tmp_path):
    columns = {"ticks": [1000 * s for s in seconds()], "cost": (VOLUME * 2.5).tolist()}
    columns |= {name: list(column) for name, column in zip(NAMES[1:], zip(*ROWS))}
    content = json.dumps({"result": columns, "testnet": False})
    read(tmp_path, content, "a.json", HOURS.tz_localize("UTC"))


def test_rows_as_texts_with_commas(tmp_path):
    rows = [",".join(map(str, [r[0], r[1], r[4], r[2], r[3], r[5]])) for r in dated()]
    read(tmp_path, json.dumps({"data": {"name": "x", "klines": rows}}), "a.json")


def test_json_that_is_cut_off_is_called_so(tmp_path):
    content = json.dumps([dict(zip(NAMES, row)) for row in dated()])
    for end in (len(content) // 2, content.index("}") + 1):
        refused(tmp_path, content[:end], "cut off: it ends with", "a.json")


@pytest.mark.parametrize("container", ["csv", "json", "parquet", "iso"])
def test_days_at_midnight_utc_are_dates_in_every_container(tmp_path, container):
    days = [1000 * s for s in seconds(DAYS)]
    rows = [[day, *row] for day, row in zip(days, ROWS)]
    if container == "parquet":
        frame = pd.DataFrame(ROWS, columns=NAMES[1:], index=DAYS.tz_localize("UTC").rename("date"))
        frame.to_parquet(tmp_path / "made.parquet")
        content = (tmp_path / "made.parquet").read_bytes()
    elif container == "iso":
        content = lines([[f"{day:%Y-%m-%d}T00:00:00Z", *row] for day, row in zip(DAYS, ROWS)])
    else:
        content = lines(rows) if container == "csv" else json.dumps(rows)
    bars = read(tmp_path, content, f"bars.{container}")
    assert "session dates at midnight UTC" in str(bars.attrs["reading"])


# Columns ---------------------------------------------------------------------------------------

SIDES = [
    "date",
    "BidOpen",
    "BidHigh",
    "BidLow",
    "BidClose",
    "AskOpen",
    "AskHigh",
    "AskLow",
    "AskClose",
    "TickQty",
]


def test_bid_and_ask_side_by_side_are_refused_until_one_is_chosen(tmp_path):
    rows = [[day, *row[:4], *(x + 0.5 for x in row[:4]), row[4]] for day, *row in dated()]
    refused(
        tmp_path,
        lines(rows, SIDES),
        "bid .'BidOpen', .*ask .'AskOpen', .*columns={'open': 'BidOpen'",
    )
    bars = read(tmp_path, lines(rows, SIDES), columns={"open": "BidOpen"})
    assert "bid prices" in str(bars.attrs["reading"])
    ask = read_bars(tmp_path / "bars.csv", columns={"close": "AskClose"})
    np.testing.assert_allclose(ask["low"], PRICE[:, 2] + 0.5)


@pytest.mark.parametrize("side", ["Bid", "Ask", "mid."])
def test_one_side_alone_is_read_and_said(tmp_path, side):
    names = ["date", *(side + name for name in ("Open", "High", "Low", "Close")), "volume"]
    bars = read(tmp_path, lines(dated(), names))
    assert f"{side.strip('.').lower()} prices" in str(bars.attrs["reading"])


def test_a_column_of_words_that_tells_repeated_times_apart(tmp_path):
    rows = [[*row, "Big 500"] for row in dated()] + [[*row, "Small 90"] for row in dated()]
    (tmp_path / "bars.csv").write_text(lines(rows, [*NAMES, "Index"]))
    bars = read_bars(tmp_path / "bars.csv")
    assert list(bars.index.unique("symbol")) == ["Big 500", "Small 90"]
    assert "symbol = Index" in str(bars.attrs["reading"])


def test_other_columns_that_tell_times_apart_are_named(tmp_path):
    two = [
        [*row[:4], row[4] + shift, row[5], w]
        for w, shift in (("EQ", 0), ("BE", 0.01))
        for row in dated()
    ]
    refused(
        tmp_path,
        lines(two, [*NAMES, "Board"]),
        "'Board' tells them apart .*'EQ', 'BE'.*columns={'symbol': 'Board'}",
    )
    lengths = [[*row[:6], {"EQ": "1d", "BE": "1h"}[row[6]]] for row in two]
    refused(
        tmp_path,
        lines(lengths, [*NAMES, "interval"]),
        "several lengths .'interval' holds '1d', '1h'",
    )


def test_all_names_in_order_in_place_of_the_header(tmp_path):
    short = lines(dated(), NAMES[1:])
    refused(tmp_path, short, "columns=\\['time', 'open', 'high', 'low', 'close', 'volume'\\]")
    names = ["time", *NAMES[1:]]
    read(tmp_path, short, columns=names)
    read(tmp_path, lines(dated(), None), columns=names)
    read(tmp_path, json.dumps(dated()), "a.json", columns=names)
    refused(tmp_path, short, "names 5 columns, but the rows have 6 cells", columns=names[:5])
    refused(tmp_path, short, "list the names of all columns", columns=[1, 2])


def test_volumes_in_units_of_the_coin_in_money_and_as_a_mean(tmp_path):
    mean = np.round(PRICE[:, 1:3].mean(axis=1), 4)
    dollars = VOLUME * mean
    rows = [[s, *row, a, m] for s, row, a, m in zip(seconds(), ROWS, VOLUME * 0.01, dollars)]
    utc = HOURS.tz_localize("UTC")
    read(tmp_path, json.dumps(rows), "contracts.json", utc)
    rows = [
        [s, *row[:4], m if row[4] > 200_000 else 0, row[4] + 0.5, 9 + row[4] % 31]
        for s, row, m in zip(seconds(), ROWS, mean)
    ]
    read(tmp_path, json.dumps(rows), "mean.json", utc, VOLUME + 0.5)
    names = ["startedAt", *NAMES[1:5], "usdVolume", "baseTokenVolume"]
    rows = [
        [t, *row[:4], d, row[4]]
        for (t, *row), d in zip(dated(HOURS, "%Y-%m-%dT%H:%M:%SZ"), dollars)
    ]
    read(tmp_path, lines(rows, names), "named.csv", utc)


def test_headers_in_more_languages(tmp_path):
    for names in (
        "दिनांक,खुला,उच्च,निम्न,बंद,मात्रा", "Дата,Відкриття,Максимум,Мінімум,Закриття,Обсяг",
        "Datum,Openen,Hoogste,Laagste,Slot,Volume",
        "Datum,Öppningskurs,Högstkurs,Lägstkurs,Stängningskurs,Total volym",
        "日期,開市,最高,最低,收市,成交量",
    ):  # fmt: skip
        read(tmp_path, lines(dated(), names.split(",")))


def test_days_and_times_of_day_under_danish_and_turkish_names(tmp_path):
    for day, clock in (("Dato", "Tid"), ("Tarih", "Saat"), ("Datum", "Tijd")):
        rows = [[f"{t:%Y-%m-%d}", f"{t:%H:%M}", *row] for t, row in zip(HOURS, ROWS)]
        read(tmp_path, lines(rows, [day, clock, *NAMES[1:]]), times=HOURS)


@pytest.mark.parametrize("form", ["%b %d, %Y", "%a, %d %b %Y", "%d %B %Y", "%b %d %Y"])
def test_days_in_words_beside_times_of_day(tmp_path, form):
    rows = [[f'"{t.strftime(form)}"', f"{t:%H:%M:%S}", *row] for t, row in zip(HOURS, ROWS)]
    read(tmp_path, lines(rows, ["Date", "Time", *NAMES[1:]]), times=HOURS)


# Numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sep", [",", ";"])
def test_three_digits_behind_a_comma_are_not_guessed(tmp_path, sep):
    thousandth = [
        [day, *(f'"{x / 10:.3f}"'.replace(".", ",") for x in row[:4]), 100 + i]
        for i, (day, *row) in enumerate(dated())
    ]
    text = lines(thousandth, sep=sep)
    refused(
        tmp_path, text, "may be \\d+ or [\\d.]+, and nothing in the file decides. Say decimal='.'"
    )
    for sign, scale in ((".", 1000), (",", 1)):
        bars = read_bars(tmp_path / "bars.csv", decimal=sign)
        np.testing.assert_allclose(bars["close"], np.round(PRICE[:, 3] / 10, 3) * scale)


def test_how_the_volume_is_grouped_tells_what_a_comma_is(tmp_path):
    for mark in ("\u00a0", ".", "'"):
        rows = [
            [
                day,
                *(f"{x / 10:.3f}".replace(".", ",") for x in row[:4]),
                f"{row[4]:,}".replace(",", mark),
            ]
            for day, *row in dated()
        ]
        (tmp_path / "bars.csv").write_text(lines(rows, sep="\t"))
        bars = read_bars(tmp_path / "bars.csv")
        np.testing.assert_allclose(bars["close"], np.round(PRICE[:, 3] / 10, 3))
        assert bars["volume"].tolist() == VOLUME.tolist()
    rows = [[day, *(f"{1000 * x:,.0f}" for x in row[:4]), f"{row[4]:,}"] for day, *row in dated()]
    (tmp_path / "bars.csv").write_text(lines(rows, sep="\t"))
    np.testing.assert_allclose(read_bars(tmp_path / "bars.csv")["close"], PRICE[:, 3] * 1000)


# Times -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", ["1402-01-05", "1402/01/05", "14020105", "1445/02/05"])
def test_years_of_other_calendars_are_named(tmp_path, day):
    rows = [[day, *row] for row in ROWS]
    refused(tmp_path, lines(rows), "Persian .Jalali. or the Islamic .Hijri. calendar")


def test_weeks_months_and_quarters(tmp_path):
    weeks = pd.date_range("2023-01-02", periods=60, freq="7D")
    rows = [[f"{t:%G-W%V}", *row] for t, row in zip(weeks, ROWS)]
    bars = read(tmp_path, lines(rows, ["Week", *NAMES[1:]]), times=weeks)
    assert "weeks are stamped at their first day" in str(bars.attrs["reading"])
    months = pd.date_range("2015-01-01", periods=60, freq="MS")
    for form in ("%YM%m", "%Y-%m", "%b %y"):
        rows = [[t.strftime(form), *row] for t, row in zip(months, ROWS)]
        bars = read(tmp_path, lines(rows, ["Month", *NAMES[1:]]), times=months)
        assert "months are stamped at their first day" in str(bars.attrs["reading"])
    quarters = pd.date_range("2005-01-01", periods=60, freq="QS")
    rows = [[f"{t.year}Q{t.quarter}", *row] for t, row in zip(quarters, ROWS)]
    read(tmp_path, lines(rows), times=quarters)


def test_a_name_of_a_zone_behind_every_stamp(tmp_path):
    rows = dated(HOURS, "%Y%m%d %H:%M:%S US/Eastern")
    read(tmp_path, lines(rows), times=HOURS.tz_localize("US/Eastern").tz_convert("UTC"))


def test_rows_in_no_order_without_a_header(tmp_path):
    order = np.random.default_rng(0).permutation(60)
    turned = [[day, row[3], row[1], row[2], row[0], row[4]] for day, *row in dated()]
    read(tmp_path, lines([turned[i] for i in order], None))


# Containers and what is no bar -------------------------------------------------------------------


def test_markup(tmp_path):
    page = pd.DataFrame(dated(), columns=NAMES).to_html(index=False)
    assert "web page" in str(read(tmp_path, page, "bars.xls").attrs["reading"])
    rows = "".join(
        "<row " + " ".join(f'{n}="{x}"' for n, x in zip(NAMES, row)) + "/>" for row in dated()
    )
    read(
        tmp_path,
        f"<?xml version='1.0'?><doc><data id='c'><rows>{rows}</rows></data></doc>",
        "a.xml",
    )
    refused(
        tmp_path, "<?xml version='1.0'?><a><b>1</b></a>", "XML document without a table", "b.xml"
    )
    refused(tmp_path, "<?xml version='1.0'?><a><b>", "XML that cannot be read", "c.xml")
    bomb = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'bbbb'>]><a>&b;</a>"
    refused(tmp_path, bomb, "defines entities", "d.xml")
    refused(tmp_path, "<?xml version='1.0'?>" + "<a>" * 5000, "nested too deeply", "e.xml")
    refused(
        tmp_path,
        "<html><table><tr><td>Not found</td></tr></table></html>",
        "is a web page",
        "f.csv",
    )


def test_an_archive_of_the_data_and_what_is_written_about_it(tmp_path):
    def packed(**members):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in members.items():
                archive.writestr(name.replace("_dot_", "."), text)
        return buffer.getvalue()

    bars = read(tmp_path, packed(README_dot_txt="About.\n", ko_dot_csv=lines(dated())), "a.zip")
    assert "ko.csv of the archive" in str(bars.attrs["reading"])
    report = packed(DAT_dot_csv=lines(dated()), DAT_dot_txt="Status report\nGaps: 3\n")
    read(tmp_path, report, "b.zip")
    two = packed(ko_dot_csv=lines(dated()), pep_dot_csv=lines(dated()))
    refused(tmp_path, two, "2 files .ko.csv, pep.csv.*pass the folder", "c.zip")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("ko.csv")
        info.size = len(lines(dated()))
        archive.addfile(info, io.BytesIO(lines(dated()).encode()))
    refused(tmp_path, buffer.getvalue(), "is a tar archive", "d.tar.gz")


def test_the_sheet_of_data_among_others(tmp_path):
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "made.xlsx") as book:
        pd.DataFrame(dated(), columns=NAMES).to_excel(book, sheet_name="Prices", index=False)
        pd.DataFrame({"about": ["x", "y"], "who": ["me", "you"]}).to_excel(book, sheet_name="Info")
    bars = read(tmp_path, (tmp_path / "made.xlsx").read_bytes(), "bars.xlsx")
    assert "sheet Prices" in str(bars.attrs["reading"])


def test_sums_sentences_and_headers_among_the_rows(tmp_path):
    text = lines(dated())
    footer = text + '\n,,,,,\nAverage,1,2,1,1,5\n"Data as of 05/01/2023. No warranty, no advice."\n'
    assert "2 footer lines" in str(read(tmp_path, footer).attrs["reading"])
    again = text.splitlines()
    again[20:20] = [again[0]]
    again[40] = again[40].replace(str(ROWS[38][3]), "x", 1)
    bars = "\n".join(again)
    refused(tmp_path, bars, "line 41 .*'x', which is no number")
    again[40] = text.splitlines()[39]
    assert "1 repeated header line" in str(read(tmp_path, "\n".join(again)).attrs["reading"])
    wide = lines([[*row, ""] for row in dated()], [*NAMES, "split", "change", "percent"])
    assert "last 2 names" in str(read(tmp_path, wide).attrs["reading"])
    banner = "VIX from 1/2/2004 to now ,,,,,\n" + lines(
        dated(), ["Date", *(f"VIX {n}" for n in NAMES[1:])]
    )
    read(tmp_path, banner)


NO_BARS = {
    "option chain": (
        ["contract", "strike", "expiry", "last", "bid", "ask", "volume"],
        2,
        "option chain",
    ),
    "order book": (
        ["time", "bid_price_1", "bid_size_1", "ask_price_1", "ask_size_1"],
        1,
        "order book",
    ),
    "trades": (["time", "price", "size", "side"], 1, "single trades"),
    "transactions": (
        ["date", "Action", "Symbol", "Quantity", "Price ($)", "Commission ($)"],
        1,
        "transactions",
    ),
    "one value": (["date", "DEXUSEU"], 1, "one number a row .'DEXUSEU'"),
    "no open": (["date", "high", "low", "close"], 1, "columns={'open': 'NAME'}"),
}


@pytest.mark.parametrize("kind", NO_BARS)
def test_what_holds_no_bars_is_named(tmp_path, kind):
    names, _, match = NO_BARS[kind]
    rows = [
        [f"{day:%Y-%m-%d}", *np.round(50 + np.arange(len(names) - 1) + i / 7, 2)]
        for i, day in enumerate(DAYS)
    ]
    refused(tmp_path, lines(rows, names), match)


def test_other_formats_are_named(tmp_path):
    refused(tmp_path, "\\begin{tabular}{lr}\nDate & Open \\\\\n", "LaTeX", "a.tex")
    refused(tmp_path, b"r\x02\x01\x00" + b"\x00" * 90, "Stata", "a.dta")
    across = lines(
        [[n, *col] for n, col in zip(NAMES[1:], zip(*ROWS))],
        ["field", *(f"{d:%Y-%m-%d}" for d in DAYS)],
    )
    refused(tmp_path, across, "transpose")


def test_blanks_and_apostrophes_set_three_digits_apart_or_are_no_number(tmp_path):
    bond = [
        [day, *(f"{int(x)}'{int(x % 1 * 32):02d}" for x in row[:4]), row[4]]
        for day, *row in dated()
    ]
    refused(tmp_path, lines(bond), "which is no number")
    swiss = [
        [day, *(f"{x * 1000:,.2f}".replace(",", "'") for x in row[:4]), row[4]]
        for day, *row in dated()
    ]
    (tmp_path / "bars.csv").write_text(lines(swiss))
    np.testing.assert_allclose(read_bars(tmp_path / "bars.csv")["open"], PRICE[:, 0] * 1000)
    units = [[day, *(f"{x} kr" for x in row[:4]), f"{row[4]} Stk."] for day, *row in dated()]
    read(tmp_path, lines(units))


def test_an_amount_in_coins_and_not_the_volume_in_money(tmp_path):
    rows = [[day, *row[:4], row[4], round(row[4] * row[3], 2)] for day, *row in dated()]
    read(tmp_path, lines(rows, [*NAMES[:5], "amount", "vol"]))


def test_few_rows_that_look_turned_are_refused(tmp_path):
    turned = [[day, row[3], row[1], row[2], row[0], row[4]] for day, *row in dated()[:8]]
    refused(tmp_path, lines(turned, None), "columns 1 and 4 .* may be close and open")


def test_json_tables_by_symbol_may_lack_columns_that_play_no_role(tmp_path):
    rows = [
        {"timestamp": 1654871640000 + 60_000 * i, "open": 10.0, "high": 11, "low": 9, "close": 10.5}
        for i in range(40)
    ]
    path = tmp_path / "candles.json"
    given = {"ADA/USD": [{**row, "atr": 0.5} for row in rows], "SGB/USD": rows[:8]}
    path.write_text(json.dumps(given))
    bars = read_bars(path)
    assert bars.index.get_level_values(0).value_counts().to_dict() == {"ADA/USD": 40, "SGB/USD": 8}


def test_two_letters_name_a_price(tmp_path):
    path = tmp_path / "bars.csv"
    days = pd.date_range("2021-11-01", periods=30).strftime("%Y-%m-%d")
    path.write_text("time,op,hi,lo,cl\n" + "".join(f"{day},5,7,4,6\n" for day in days))
    assert read_bars(path).iloc[0].tolist()[:4] == [5, 7, 4, 6]


def test_json_tables_beside_others_and_rows_without_names_by_symbol(tmp_path):
    path = tmp_path / "answer.json"
    rows = [[stamp, *row] for stamp, row in zip(seconds(), ROWS)]
    named = [dict(zip(["time", *NAMES[1:]], row)) for row in rows]
    beside = [{"price": 3, "size": 2}, {"price": 4, "size": 2}]
    documents = [
        {"XAUUSD": named, "XAGUSD": named[:9], "book": beside},
        {"error": [], "result": {"XAUUSD": rows, "XAGUSD": rows[:9], "last": seconds()[-1]}},
    ]
    for document in documents:
        path.write_text(json.dumps(document))
        bars = read_bars(path)
        counts = bars.index.get_level_values(0).value_counts().to_dict()
        assert counts == {"XAUUSD": 60, "XAGUSD": 9}
        np.testing.assert_allclose(bars.loc["XAGUSD"]["close"], PRICE[:9, 3])


def test_a_sheet_of_thousands_of_columns(tmp_path):
    rows = [[*row, *[""] * 3000] for row in dated()]
    read(tmp_path, lines(rows, [*NAMES, *[""] * 2000, *(f"other {i}" for i in range(1000))]))


def test_colons_divide_where_the_names_say_so(tmp_path):
    read(tmp_path, lines(dated(), sep=":"), volume=VOLUME)
    clocks = [[f"{time:%d.%m.%Y %H:%M:%S}", *row] for time, row in zip(HOURS, ROWS)]
    read(tmp_path, lines(clocks, sep=" | "), times=HOURS)


def test_years_of_taiwan_before_and_after_their_hundredth(tmp_path):
    days = pd.bdate_range("2010-11-22", periods=60)  # the year 100 begins within
    rows = [
        [f"{time.year - 1911:02d}/{time:%m/%d}", row[4], round(row[4] * row[3]), *row[:4], 7 + i % 5]
        for i, (time, row) in enumerate(zip(days, ROWS))
    ]
    bars = read(tmp_path, lines(rows, None), times=days)
    assert "roles from the contents" in str(bars.attrs["reading"])
    read(tmp_path, lines(rows, ["date", "qty", "money", *NAMES[1:5], "deals"]), times=days)


def test_shares_and_money_in_front_of_prices_that_stand_still(tmp_path):
    flat = [[f"{day:%Y-%m-%d}", n, n * 90, 90, 90, 90, 90] for day, n in zip(DAYS, VOLUME)]
    path = tmp_path / "still.csv"
    path.write_text(lines(flat, None))
    with pytest.warns(DataQualityWarning, match="stands still"):
        bars = read_bars(path)
    assert (bars[["open", "high", "low", "close"]] == 90).all(axis=None)
    np.testing.assert_array_equal(bars["volume"], VOLUME)


def test_days_without_trade_as_zeros_below_no_header(tmp_path):
    rows = dated()
    rows[7][1:] = [0, 0, 0, 0, 0]
    refused(tmp_path, lines(rows, None), "line 8 .*prices are 0 and nothing was traded")


def test_names_of_the_exchanges_of_brazil_and_taiwan(tmp_path):
    rows = [
        [day, "ABCD3", *row[:3], round((row[1] + row[2]) / 2, 2), row[3], 9, row[4], row[4] * 2]
        for day, *row in dated()
    ]
    prices = ["pre_abe", "pre_max", "pre_min", "pre_med", "pre_ult"]
    read(tmp_path, lines(rows, ["dia", "cod_neg", *prices, "tot_neg", "qua_tot", "vol_tot"]))
    rows = [[day, row[4], row[4] * 80, *row[:4], 40 + i] for i, (day, *row) in enumerate(dated())]
    names = ["Date", "Capacity", "Turnover", "Open", "High", "Low", "Close", "Transaction"]
    read(tmp_path, lines(rows, names))


def test_prices_under_unknown_names_are_not_taken_for_closes_of_symbols(tmp_path):
    rows = [[day, *row[:4], "kept"] for day, *row in dated()]
    refused(tmp_path, lines(rows, ["date", "one", "two", "three", "four", "note"]), "Name them with")
    rows = [[day, *row[:3]] for day, *row in dated()]
    refused(tmp_path, lines(rows, ["date", "AAA", "BBB", "CCC"]), "one number a symbol")


def test_times_of_day_under_names_of_other_languages_and_under_none(tmp_path):
    minutes = pd.date_range("2024-05-06 21:00", periods=60, freq="7min")
    for name in ("Czas", "Horário", "klockslag", "moment of the bar"):
        rows = [[f"{t:%Y-%m-%d}", f"{t:%H:%M:%S}", *row] for t, row in zip(minutes, ROWS)]
        text = lines(rows, ["date", name, *NAMES[1:]])
        read(tmp_path, text, times=minutes)
        newest = lines(rows[::-1], ["date", name, *NAMES[1:]])
        read(tmp_path, newest, times=minutes)
    one = lines([["2024-05-06", "09:18", 4, 5, 3, 4.5, 10]], ["Data", "Czas", *NAMES[1:]])
    (tmp_path / "one.csv").write_text(one)
    assert read_bars(tmp_path / "one.csv").index[0] == pd.Timestamp("2024-05-06 09:18")


def test_a_clock_that_does_not_run_through_the_day_is_no_time_of_the_bar(tmp_path):
    seen = [f"15:0{i * 7 % 10}:{i:02}" for i in range(60)]
    names = ["symbol", "date", *NAMES[1:], "ticktime"]
    rows = [
        [symbol, day, *row, clock]
        for (day, *row), clock in zip(dated(), seen)
        for symbol in ("AAA", "BBB")
    ]
    (tmp_path / "panel.csv").write_text(lines(rows, names))
    bars = read_bars(tmp_path / "panel.csv")
    assert bars.loc["BBB"].index.equals(pd.DatetimeIndex(DAYS, name="time").as_unit("ns"))


def test_bars_that_say_from_and_to_in_seconds(tmp_path):
    ticks = pd.date_range("2024-07-23 14:51:23", periods=60, freq="13s", tz="UTC")
    rows = [[i, t, t + 13, *row] for i, (t, row) in enumerate(zip(seconds(ticks), ROWS))]
    bars = read(tmp_path, lines(rows, ["id", "from", "to", *NAMES[1:]]), times=ticks)
    assert "opening (from)" in str(bars.attrs["reading"])


def test_every_price_that_one_column_can_be_is_named(tmp_path):
    names = ["date", "open", "top", "bottom", "close", "volume"]
    refused(tmp_path, lines(dated(), names), "'high': 'top', 'low': 'bottom'")
    rows = [[f"{day}", "alpha", "beta"] for day in ("x", "y", "z")]
    refused(tmp_path, lines(rows, ["code", "name", "sector"]), "holds words only.*'x, alpha, beta'")
    refused(tmp_path, lines([], NAMES), "no rows below")


def test_closes_of_symbols_of_which_some_begin_later(tmp_path):
    rows = [[i, day, *row[:3], ""] for i, (day, *row) in enumerate(dated())]
    names = ["", "date", "AAA", "BBB", "CCC", "LATE"]
    refused(tmp_path, lines(rows, names), "one number a symbol")


def test_pages_of_candles_inside_lines_with_a_symbol(tmp_path):
    pages = [
        {"asset": "XYZ", "fetched_at": "2024-08-01T00:00:00Z", "count": 30, "candles": page}
        for page in (
            [dict(zip(NAMES, row)) for row in dated()[:30]],
            [dict(zip(NAMES, row)) for row in dated()[30:]],
        )
    ]
    bars = read(tmp_path, "\n".join(map(json.dumps, pages)), name="pages.jsonl")
    assert "symbol XYZ" in str(bars.attrs["reading"])


def test_pages_of_rows_without_names_are_all_read(tmp_path):
    rows = [[int(t.timestamp()), *row] for t, row in zip(HOURS, ROWS)]
    pools = [{"address": name, "http": 200, "ohlcv": rows} for name in ("AbC1", "DeF2", "12e4")]
    (tmp_path / "pools.jsonl").write_text("\n".join(map(json.dumps, pools)))
    bars = read_bars(tmp_path / "pools.jsonl")
    assert list(bars.index.unique("symbol")) == ["12e4", "AbC1", "DeF2"]
    np.testing.assert_allclose(bars.loc["DeF2", "close"], PRICE[:, 3])
    pages = [{"cursor": str(i), "ohlcv": rows[i : i + 20]} for i in (0, 20, 40)]
    lined = "\n".join(map(json.dumps, pages))
    read(tmp_path, lined, name="pages.jsonl", times=HOURS.tz_localize("UTC"))


def test_a_price_whose_name_is_off_by_a_letter(tmp_path):
    bars = read(tmp_path, lines(dated(), ["date", "open", "hight", "low", "close", "volume"]))
    assert "high = hight" in str(bars.attrs["reading"])
    prior = [[day, o, h, lo, 1.5 * c, v] for day, o, h, lo, c, v in dated()]
    refused(tmp_path, lines(prior, ["date", "open", "high", "low", "pclose", "volume"]), "for close")


def test_periods_that_begin_and_end(tmp_path):
    begin = [f"{t:%FT%T}.0000000Z" for t in HOURS]
    end = [f"{t:%FT%T}.0000000Z" for t in HOURS + pd.Timedelta("1h")]
    first = [f"{t:%FT%T}.1830660Z" for t in HOURS]
    rows = [[b, e, f, *row] for b, e, f, row in zip(begin, end, first, ROWS)]
    names = ["time_period_start", "time_period_end", "time_open"]
    prices = ["price_open", "price_high", "price_low", "price_close", "volume_traded"]
    bars = read(tmp_path, lines(rows, names + prices), times=HOURS.tz_localize("UTC"))
    assert "opening (time_period_start)" in str(bars.attrs["reading"])


# Several tables, and rows with fewer cells than names ---------------------------------------------


RECORDS = [dict(zip(NAMES, row)) for row in dated()]
MILLIS = [[int(t.timestamp()) * 1000, *row] for t, row in zip(DAYS, ROWS)]


@pytest.mark.parametrize(
    "keys", [("daily", "weekly"), ("1h", "1d"), ("D1", "W1"), ("train", "test"), ("bid", "ask")]
)
def test_spans_and_parts_of_a_data_set_are_no_symbols(tmp_path, keys):
    tables = dict(zip(keys, (RECORDS, RECORDS[::5])))
    refused(tmp_path, json.dumps(tables), f"'{keys[0]}'.* which are no symbols", "bars.json")
    refused(tmp_path, json.dumps({"data": {"ACME": tables}}), "no symbols", "bars.json")
    (tmp_path / "bars.json").unlink()
    for key in keys:
        (tmp_path / f"acme_{key}.csv").write_text(lines(dated()))
    with pytest.raises(ValueError, match="which are no symbols: pass the one"):
        read_bars(tmp_path)


def test_symbols_that_look_like_spans_beside_others(tmp_path):
    (tmp_path / "bars.json").write_text(json.dumps({"DAY": RECORDS, "ACME": RECORDS}))
    bars = read_bars(tmp_path / "bars.json")
    assert sorted(set(bars.index.get_level_values(0))) == ["ACME", "DAY"]
    for name in ("btc_1h.csv", "eth_1h.csv"):
        (tmp_path / name).write_text(lines(dated()))
    (tmp_path / "bars.json").unlink()
    assert set(read_bars(tmp_path).index.get_level_values(0)) == {"btc_1h", "eth_1h"}


def test_years_and_months_as_keys_are_pages_of_one_instrument(tmp_path):
    months: dict = {}
    for record in RECORDS:
        months.setdefault(record["date"][:7], []).append(record)
    assert len(months) == 3
    read(tmp_path, json.dumps(months), "bars.json")


def test_pages_without_names_of_unlike_width_are_not_read_in_part(tmp_path):
    wide = [[*row, row[0] + 86_399_999, 7.5] for row in MILLIS]
    for pages in ([MILLIS[:30], wide[30:]], {"a": {"data": MILLIS[:30]}, "b": {"data": wide[30:]}}):
        refused(tmp_path, json.dumps(pages), "of 6 and of 8 cells", "bars.json")
    read(tmp_path, json.dumps([MILLIS[:30], [], MILLIS[30:]]), "bars.json")


@pytest.mark.parametrize("short", [40, 59])
def test_first_rows_without_a_cell_for_the_volume(tmp_path, short):
    rows = [row[: 5 + (i >= short)] for i, row in enumerate(dated())]
    read(tmp_path, lines(rows), volume=np.where(np.arange(60) >= short, VOLUME, 0))


def test_a_column_named_as_the_symbol_is_its_close(tmp_path):
    columns = {"Date": DAYS.strftime("%Y-%m-%d")}
    for symbol, scale in (("ACME", 1), ("BOLT", 2)):
        for name, place in ((symbol, 3), (f"{symbol}_Open", 0), (f"{symbol}_High", 1)):
            columns[name] = PRICE[:, place] * scale
        columns[f"{symbol}_Low"] = PRICE[:, 2] * scale
    (tmp_path / "bars.csv").write_text(pd.DataFrame(columns).to_csv(index=False))
    bars = read_bars(tmp_path / "bars.csv")
    for symbol, scale in (("ACME", 1), ("BOLT", 2)):
        np.testing.assert_allclose(bars.loc[symbol, ["open", "high", "low", "close"]], PRICE * scale)


def test_of_two_nameless_counts_the_larger_is_the_quantity(tmp_path):
    rng = np.random.default_rng(5)
    ticks = rng.integers(500, 90_000, 60)
    lots = np.rint(ticks * rng.uniform(2.4, 2.9, 60)).astype(int)
    rows = [[t.strftime("%Y.%m.%d"), *p, a, b] for t, p, a, b in zip(DAYS, PRICE, ticks, lots)]
    bars = read(tmp_path, lines(rows, names=None), volume=lots)
    assert "volume = column 7" in str(bars.attrs["reading"])
    interest = rng.integers(200_000, 210_000, 60)  # a level of its own: nothing tells the two apart
    other = [[*row[:6], n] for row, n in zip(rows, interest)]
    refused(tmp_path, lines(other, names=None), "columns 6, 7 may be the volume")
    money = [[*row[:6], round(row[5] * row[4] * 50)] for row in rows]  # contracts of 50
    refused(tmp_path, lines(money, names=None), "columns 6, 7 may be the volume")


def test_years_of_two_digits_that_may_be_those_of_taiwan(tmp_path):
    days = pd.bdate_range("2003-03-03", periods=60)  # 1992 has other weekdays
    taiwan = [[f"{t.year - 1911}/{t:%m/%d}", *row] for t, row in zip(days, ROWS)]
    refused(tmp_path, lines(taiwan), "'92/03/03' lie on weekends.*four digits")
    days = pd.bdate_range("1990-03-01", periods=60)
    read(tmp_path, lines(dated(days, "%y/%m/%d")), times=days)

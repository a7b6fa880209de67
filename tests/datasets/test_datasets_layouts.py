"""read_bars: the layouts of many sources, written here with drawn values, all give the bars that
went in."""

import bz2
import gzip
import io
import json
import lzma
import re
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest

from sktrain.datasets import read_bars
from sktrain.exceptions import DataQualityWarning, InvalidBarsError

NAMES = ["open", "high", "low", "close", "volume"]


def drawn(times, seed=0, level=100.0, digits=2):
    """Bars with prices of ``digits`` decimals, opening near the close before."""
    rng = np.random.default_rng(seed)
    n = len(times)
    close = level * np.exp(np.cumsum(rng.normal(0, 0.004, n)))
    opened = np.concatenate([[level], close[:-1]]) * np.exp(rng.normal(0, 0.0005, n))
    high = np.maximum(opened, close) * (1 + rng.uniform(0.0005, 0.004, n))
    low = np.minimum(opened, close) * (1 - rng.uniform(0.0005, 0.004, n))
    values = np.round(np.column_stack([opened, high, low, close]), digits)
    frame = pd.DataFrame(
        values, columns=NAMES[:4], index=pd.DatetimeIndex(times, name="time").as_unit("ns")
    )
    frame["volume"] = rng.integers(1_000, 5_000_000, n)
    return frame


DAYS = drawn(pd.bdate_range("2023-01-02", periods=60))
HOURS = drawn(pd.date_range("2023-05-01", periods=150, freq="h"), seed=1, level=1.1, digits=5)
MINUTES = drawn(pd.date_range("2023-03-06 09:31", periods=100, freq="min"), seed=2)


def table(bars, names, times, *, sep=",", order=NAMES, header=True, extra=(), end="", begin=""):
    """Text of bars: ``names`` of the time and of the columns in ``order``, ``times`` as text."""
    names = re.split(r"[,;\t]", names) if isinstance(names, str) else names
    out = bars[list(order)].copy()
    for place, (_, value) in enumerate(extra):
        out.insert(len(out.columns), f"extra {place}", value)
    lines = []
    if header:
        lines.append(sep.join([*names, *(name for name, _ in extra)]))
    for when, row in zip(times, out.itertuples(index=False)):
        lines.append(sep.join([str(when), *(str(cell) for cell in row)]))
    return begin + "\n".join(lines) + "\n" + end


def stamps(bars, form):
    return bars.index.strftime(form)


def check(path, expected, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        out = read_bars(path, **options)
    assert list(out.columns[:5]) == NAMES
    assert len(out) == len(expected), out.attrs["reading"]
    assert out.index.equals(expected.index), (out.index[:3], expected.index[:3])
    np.testing.assert_allclose(
        out[NAMES].to_numpy(dtype=float), expected[NAMES].to_numpy(dtype=float), rtol=1e-9
    )
    assert out.attrs["reading"]["rows"] == len(out)
    json.dumps(dict(out.attrs["reading"]))
    return out


def utc(bars):
    return bars.set_axis(bars.index.tz_localize("UTC"))


def code_column(name, value):
    return ((name, value),)


TUSHARE = "trade_date,open,high,low,close,vol"
CHINESE = ["日期", "开盘", "最高", "最低", "收盘", "成交量"]
LAYOUTS = {
    "tushare": (
        DAYS,
        lambda b: table(
            b, TUSHARE, stamps(b, "%Y%m%d"), extra=(("ts_code", "000001.SZ"), ("amount", 12.5))
        ),
    ),
    "tushare newest first": (DAYS, lambda b: table(b[::-1], TUSHARE, stamps(b[::-1], "%Y%m%d"))),
    "tushare minutes": (
        MINUTES,
        lambda b: table(
            b, ["trade_time", "open", "high", "low", "close", "vol"], stamps(b, "%Y-%m-%d %H:%M:%S")
        ),
    ),
    "akshare": (
        DAYS,
        lambda b: table(
            b, CHINESE, stamps(b, "%Y-%m-%d"), extra=(("股票代码", "000001"), ("换手率", 1.2))
        ),
    ),
    "akshare futures": (
        DAYS,
        lambda b: table(
            b,
            "日期,开盘价,最高价,最低价,收盘价,成交量",
            stamps(b, "%Y-%m-%d"),
            extra=(("持仓量", 100),),
        ),
    ),
    "akshare minutes": (
        MINUTES,
        lambda b: table(b, ["时间", *CHINESE[1:]], stamps(b, "%Y-%m-%d %H:%M:%S")),
    ),
    "sina": (MINUTES, lambda b: table(b, ["day", *NAMES], stamps(b, "%Y-%m-%d %H:%M:%S"))),
    "eastmoney app": (
        DAYS,
        lambda b: table(
            b,
            "时间,开盘,最高,最低,收盘,总手",
            stamps(b, "%Y/%m/%d"),
            sep="\t",
            extra=(("金额", "1.2亿"), ("涨幅", "0.13%")),
        ),
    ),
    "baostock": (
        DAYS,
        lambda b: table(
            b,
            ["date", *NAMES],
            stamps(b, "%Y-%m-%d"),
            extra=(("code", "sh.600000"), ("tradestatus", 1), ("isST", 0)),
        ),
    ),
    "baostock minutes": (
        MINUTES,
        lambda b: table(
            b.assign(date=b.index.strftime("%Y-%m-%d")),
            ["time", "date", *NAMES],
            stamps(b, "%Y%m%d%H%M%S000"),
            order=["date", *NAMES],
        ),
    ),
    "tongdaxin minutes": (
        MINUTES,
        lambda b: table(
            b.assign(clock=b.index.strftime("%H%M")),
            ["日期", "时间", *CHINESE[1:]],
            stamps(b, "%Y/%m/%d"),
            sep="\t",
            order=["clock", *NAMES],
            begin="000001 平安银行 1分钟线 前复权\n",
            end="#数据来源:通达信\n",
        ),
    ),
    "wind": (
        DAYS,
        lambda b: table(
            b,
            "日期,开盘价(元),最高价(元),最低价(元),收盘价(元),成交量(股)",
            stamps(b, "%Y-%m-%d"),
            extra=(("代码", "600000.SH"), ("简称", "浦发银行")),
            end="\n数据来源：Wind\n",
        ),
    ),
    "wind database": (
        DAYS,
        lambda b: table(
            b,
            "TRADE_DT,S_DQ_OPEN,S_DQ_HIGH,S_DQ_LOW,S_DQ_CLOSE,S_DQ_VOLUME",
            stamps(b, "%Y%m%d"),
            extra=(("S_INFO_WINDCODE", "600000.SH"),),
        ),
    ),
    "csmar": (
        DAYS,
        lambda b: table(
            b,
            "Trddt,Opnprc,Hiprc,Loprc,Clsprc,Dnshrtrd",
            stamps(b, "%Y-%m-%d"),
            extra=(("Stkcd", "000001"),),
        ),
    ),
    "joinquant": (
        DAYS,
        lambda b: table(b, ["", *NAMES], stamps(b, "%Y-%m-%d"), extra=(("money", 1.0),)),
    ),
    "weekday in the date": (
        DAYS,
        lambda b: table(
            b,
            ["时间", *CHINESE[1:]],
            [
                '"' + t + "," + "一二三四五六日"[d] + '"'
                for t, d in zip(stamps(b, "%Y-%m-%d"), b.index.day_of_week)
            ],
        ),
    ),
    "chinese dates": (
        DAYS,
        lambda b: table(
            b,
            ["日期", "开盘", "高", "低", "收盘", "交易量"],
            [f"{t.year}年{t.month}月{t.day}日" for t in b.index],
        ),
    ),
    "stooq": (DAYS, lambda b: table(b, "Date,Open,High,Low,Close,Volume", stamps(b, "%Y-%m-%d"))),
    "stooq polish": (
        DAYS,
        lambda b: table(
            b, "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen", stamps(b, "%Y-%m-%d")
        ),
    ),
    "stooq bulk": (
        DAYS,
        lambda b: table(
            b.assign(per="D", clock="000000"),
            "<DATE>,<PER>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
            stamps(b, "%Y%m%d"),
            order=["per", "clock", *NAMES],
            extra=(("<TICKER>", "AAPL.US"), ("<OPENINT>", 0)),
        ),
    ),
    "alpha vantage intraday": (
        MINUTES,
        lambda b: table(b[::-1], ["timestamp", *NAMES], stamps(b[::-1], "%Y-%m-%d %H:%M:%S")),
    ),
    "polygon flat file": (
        utc(MINUTES),
        lambda b: table(
            b.assign(t=b.index.asi8),
            ["ticker", "volume", "open", "close", "high", "low", "window_start", "transactions"],
            ["AAPL"] * len(b),
            order=["volume", "open", "close", "high", "low", "t", "volume"],
        ),
    ),
    "nasdaq": (
        DAYS,
        lambda b: table(
            b.assign(**{n: "$" + b[n].astype(str) for n in NAMES[:4]})[::-1],
            "Date,Close/Last,Volume,Open,High,Low",
            stamps(b[::-1], "%m/%d/%Y"),
            order=["close", "volume", "open", "high", "low"],
        ),
    ),
    "barchart": (
        DAYS,
        lambda b: table(
            b[::-1],
            "Time,Open,High,Low,Latest,Volume",
            stamps(b[::-1], "%m/%d/%y"),
            extra=(("%Change", "+0.13%"),),
            end='"Downloaded from Barchart.com as of 05-01-2023"\n',
        ),
    ),
    "nse": (
        DAYS,
        lambda b: table(
            b.assign(series="EQ"),
            "Date ,series ,OPEN ,HIGH ,LOW ,close ,VOLUME ,PREV. CLOSE ,ltp ,vwap ,52W H ",
            stamps(b, "%d-%b-%Y"),
            order=["series", *NAMES, "open", "close", "close", "high"],
        ),
    ),
    "bhavcopy": (
        DAYS,
        lambda b: table(
            b.assign(s="EQ"),
            "TIMESTAMP,SERIES,OPEN,HIGH,LOW,CLOSE,TOTTRDQTY,LAST,PREVCLOSE",
            stamps(b, "%d-%b-%Y"),
            order=["s", *NAMES, "close", "open"],
            extra=(("SYMBOL", "TCS"),),
        ),
    ),
    "bse": (
        DAYS,
        lambda b: table(
            b,
            "Date,Open Price,High Price,Low Price,Close Price,No.of Shares",
            stamps(b, "%d-%B-%Y"),
        ),
    ),
    "finam": (
        HOURS,
        lambda b: table(
            b.assign(p=60, clock=b.index.strftime("%H%M%S")),
            "<DATE>;<TIME>;<PER>;<OPEN>;<HIGH>;<LOW>;<CLOSE>;<VOL>",
            stamps(b, "%Y%m%d"),
            sep=";",
            order=["clock", "p", *NAMES],
        ),
    ),
    "finam day first": (
        HOURS,
        lambda b: table(
            b.assign(clock=b.index.strftime("%H:%M")),
            "<DATE>;<TIME>;<OPEN>;<HIGH>;<LOW>;<CLOSE>;<VOL>",
            stamps(b, "%d/%m/%y"),
            sep=";",
            order=["clock", *NAMES],
        ),
    ),
    "dukascopy": (
        utc(HOURS),
        lambda b: table(
            b,
            ["Gmt time", "Open", "High", "Low", "Close", "Volume"],
            [t + ".000" for t in stamps(b, "%d.%m.%Y %H:%M:%S")],
        ),
    ),
    "dukascopy local": (
        utc(HOURS),
        lambda b: table(
            b,
            ["Local time", "Open", "High", "Low", "Close", "Volume"],
            [
                t + ".000 GMT+0200"
                for t in stamps(b.set_axis(b.index + pd.Timedelta("2h")), "%d.%m.%Y %H:%M:%S")
            ],
        ),
    ),
    "jforex": (
        utc(HOURS),
        lambda b: table(
            b,
            ["Time (UTC)", "Open", "High", "Low", "Close", "Volume"],
            stamps(b, "%Y.%m.%d %H:%M:%S"),
        ),
    ),
    "histdata": (
        MINUTES,
        lambda b: table(b, [], stamps(b, "%Y%m%d %H%M%S"), sep=";", header=False),
    ),
    "histdata metatrader": (
        MINUTES,
        lambda b: table(
            b.assign(clock=b.index.strftime("%H:%M")),
            [],
            stamps(b, "%Y.%m.%d"),
            order=["clock", *NAMES],
            header=False,
        ),
    ),
    "metatrader 4": (
        HOURS,
        lambda b: table(
            b.assign(clock=b.index.strftime("%H:%M")),
            [],
            stamps(b, "%Y.%m.%d"),
            order=["clock", *NAMES],
            header=False,
        ),
    ),
    "metatrader 5": (
        HOURS,
        lambda b: table(
            b.assign(clock=b.index.strftime("%H:%M:%S")),
            "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
            stamps(b, "%Y.%m.%d"),
            sep="\t",
            order=["clock", *NAMES],
            extra=(("", 0), ("", 7)),
        ),
    ),
    "metatrader 5 days": (
        DAYS,
        lambda b: table(
            b,
            "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
            stamps(b, "%Y.%m.%d"),
            sep="\t",
            extra=(("", 0), ("", 7)),
        ),
    ),
    "ninjatrader days": (DAYS, lambda b: table(b, [], stamps(b, "%Y%m%d"), sep=";", header=False)),
    "tradingview": (
        utc(HOURS),
        lambda b: table(
            b,
            ["time", "open", "high", "low", "close", "Volume"],
            b.index.asi8 // 10**9,
            extra=(("Volume MA", ""),),
        ),
    ),
    "tradingview iso": (
        utc(HOURS),
        lambda b: table(
            b,
            ["time", "open", "high", "low", "close", "Volume"],
            [t.isoformat() for t in b.index.tz_convert("America/New_York")],
        ),
    ),
    "binance": (
        utc(HOURS),
        lambda b: table(
            b,
            [],
            b.index.asi8 // 10**6,
            header=False,
            extra=(("", 1637971259999), ("", 1.5), ("", 79), ("", 3.5), ("", 0.5), ("", 0)),
        ),
    ),
    "binance microseconds": (
        utc(HOURS),
        lambda b: table(
            b,
            [],
            b.index.asi8 // 10**3,
            header=False,
            extra=(("", 1637971259999999), ("", 1.5), ("", 79), ("", 3.5), ("", 0.5), ("", 0)),
        ),
    ),
    "cryptodatadownload": (
        HOURS,
        lambda b: table(
            b.assign(s="BTC/USD"),
            "Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USD",
            stamps(b, "%Y-%m-%d %I-%p"),
            order=["s", *NAMES, "close"],
            begin="https://www.CryptoDataDownload.com\n",
        ),
    ),
    "kraken": (
        utc(HOURS),
        lambda b: table(
            b.assign(volume=b["volume"] + 0.125, n=np.arange(len(b)) % 17),
            [],
            b.index.asi8 // 10**9,
            order=[*NAMES, "n"],
            header=False,
        ),
    ),
    "investing german": (
        DAYS,
        lambda b: table(
            german(b)[::-1],
            ["Datum", "Zuletzt", "Eröffn.", "Hoch", "Tief", "Vol."],
            quoted(stamps(b[::-1], "%d.%m.%Y")),
            order=["close", "open", "high", "low", "volume"],
            extra=(("+/- %", '"0,13%"'),),
        ),
    ),
    "investing french": (
        DAYS,
        lambda b: table(
            german(b)[::-1],
            ["Date", "Dernier", "Ouv.", "Plus Haut", "Plus Bas", "Vol."],
            quoted(stamps(b[::-1], "%d/%m/%Y")),
            order=["close", "open", "high", "low", "volume"],
        ),
    ),
    "investing spanish": (
        DAYS,
        lambda b: table(
            german(b)[::-1],
            ["Fecha", "Último", "Apertura", "Máximo", "Mínimo", "Vol."],
            quoted(stamps(b[::-1], "%d.%m.%Y")),
            order=["close", "open", "high", "low", "volume"],
        ),
    ),
    "investing italian": (
        DAYS,
        lambda b: table(
            german(b)[::-1],
            ["Data", "Ultimo", "Apertura", "Massimo", "Minimo", "Vol."],
            quoted(stamps(b[::-1], "%d.%m.%Y")),
            order=["close", "open", "high", "low", "volume"],
        ),
    ),
    "investing portuguese": (
        DAYS,
        lambda b: table(
            german(b)[::-1],
            ["Data", "Último", "Abertura", "Máxima", "Mínima", "Vol."],
            quoted(stamps(b[::-1], "%d.%m.%Y")),
            order=["close", "open", "high", "low", "volume"],
        ),
    ),
    "investing japanese": (
        DAYS,
        lambda b: table(
            b,
            ["日付け", "終値", "始値", "高値", "安値", "出来高"],
            [f"{t.year}年{t.month:02d}月{t.day:02d}日" for t in b.index],
            order=["close", "open", "high", "low", "volume"],
        ),
    ),
    "investing korean": (
        DAYS,
        lambda b: table(
            b,
            ["날짜", "종가", "시가", "고가", "저가", "거래량"],
            quoted(stamps(b, "%Y- %m- %d")),
            order=["close", "open", "high", "low", "volume"],
        ),
    ),
    "investing russian": (
        DAYS,
        lambda b: table(
            german(b),
            ["Дата", "Цена", "Откр.", "Макс.", "Мин.", "Объём"],
            quoted(stamps(b, "%d.%m.%Y")),
            order=["close", "open", "high", "low", "volume"],
        ),
    ),
    "investing english": (
        DAYS,
        lambda b: table(
            b,
            ["Date", "Price", "Open", "High", "Low", "Vol."],
            quoted(stamps(b, "%b %d, %Y")),
            order=["close", "open", "high", "low", "volume"],
        ),
    ),
    "ariva": (
        DAYS,
        lambda b: table(
            german(b, quote=False),
            "Datum;Erster;Hoch;Tief;Schlusskurs;Stuecke;Volumen",
            stamps(b, "%Y-%m-%d"),
            sep=";",
            order=[*NAMES, "close"],
        ),
    ),
    "quantmod": (
        DAYS,
        lambda b: table(
            b, ['""', *(f'"AAPL.{n.title()}"' for n in NAMES)], stamps(b, '"%Y-%m-%d"')
        ),
    ),
    "flattened tuples": (
        DAYS,
        lambda b: table(
            b, ["Date", *(f"\"('{n.title()}', 'SPY')\"" for n in NAMES)], stamps(b, "%Y-%m-%d")
        ),
    ),
    "blanks": (
        HOURS,
        lambda b: table(b, ["date", "time", *NAMES], stamps(b, "%Y-%m-%d %H:%M"), sep=" "),
    ),
    "old mac": (
        DAYS,
        lambda b: table(b, ["Date", *NAMES], stamps(b, "%Y-%m-%d")).replace("\n", "\r"),
    ),
    "windows": (
        DAYS,
        lambda b: table(b, ["Date", *NAMES], stamps(b, "%Y-%m-%d")).replace("\n", "\r\n"),
    ),
    "trailing delimiter": (
        DAYS,
        lambda b: table(b, ["Date", *NAMES], stamps(b, "%Y-%m-%d"), extra=(("", ""),)),
    ),
    "am and pm": (HOURS, lambda b: table(b, ["Date", *NAMES], stamps(b, "%m/%d/%Y %I:%M %p"))),
    "utc word": (
        utc(HOURS),
        lambda b: table(b, ["timestamp", *NAMES], stamps(b, "%Y-%m-%d %H:%M:%S UTC")),
    ),
    "repeated blank lines": (
        DAYS,
        lambda b: table(b, ["Date", *NAMES], stamps(b, "%Y-%m-%d")).replace("\n", "\n\n"),
    ),
}


def german(bars, quote=True):
    """Numbers with decimal comma and thousands dot, in quotes where the comma divides cells too."""
    mark = '"' if quote else ""
    out = bars.copy().astype(object)
    for name in NAMES[:4]:
        out[name] = [
            f"{mark}{value:,.2f}{mark}".translate(str.maketrans(",.", ".,")) for value in bars[name]
        ]
    out["volume"] = [f"{mark}{value:,d}{mark}".replace(",", ".") for value in bars["volume"]]
    return out


def quoted(texts):
    return [f'"{text}"' for text in texts]


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_the_sources(name, tmp_path):
    bars, write = LAYOUTS[name]
    text = write(bars)
    expected = bars
    if name == "kraken":
        expected = bars.assign(volume=bars["volume"] + 0.125)
    (tmp_path / "file.csv").write_bytes(text.encode("utf-8"))
    check(tmp_path / "file.csv", expected)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        (e, n)
        for e in ("gb18030", "utf-16", "utf-16-le", "utf-8-sig")
        for n in ("akshare", "tongdaxin minutes")
    ]
    + [(e, "investing german") for e in ("cp1252", "utf-16")]
    + [
        ("cp1251", "investing russian"),
        ("cp932", "investing japanese"),
        ("euc_kr", "investing korean"),
    ],
)
def test_encodings_are_found(encoding, name, tmp_path):
    bars, write = LAYOUTS[name]
    (tmp_path / "file.csv").write_bytes(write(bars).encode(encoding))
    check(tmp_path / "file.csv", bars)
    if not encoding.startswith("utf-16"):
        check(tmp_path / "file.csv", bars, encoding=encoding)


PLAIN = table(DAYS, ["Date", *NAMES], stamps(DAYS, "%Y-%m-%d")).encode()


def zipped(data, *names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(PLAIN),
        bz2.compress(PLAIN),
        lzma.compress(PLAIN),
        zipped(PLAIN, "a.csv"),
        zipped(PLAIN, "a.csv", "__MACOSX/._a.csv"),
    ],
)
def test_packed_files_are_opened_whatever_their_name(data, tmp_path):
    (tmp_path / "file.dat").write_bytes(data)
    check(tmp_path / "file.dat", DAYS)


def records(bars, time, names="ohlcv"):
    return [
        dict(zip(["t", *names], [time(t), *map(float, row)]))
        for t, row in zip(bars.index, bars.to_numpy())
    ]


def seconds(t):
    return int(t.timestamp())


JSONS = {
    "polygon": (
        utc(HOURS),
        lambda b: {
            "ticker": "AAPL",
            "resultsCount": 5,
            "results": records(b, lambda t: seconds(t) * 1000),
            "status": "OK",
        },
    ),
    "alpaca": (
        utc(HOURS),
        lambda b: {
            "bars": records(b, lambda t: t.isoformat().replace("+00:00", "Z")),
            "symbol": "AAPL",
            "next_page_token": None,
        },
    ),
    "finnhub": (
        utc(HOURS),
        lambda b: {
            **{k: b[n].tolist() for k, n in zip("ohlcv", NAMES)},
            "s": "ok",
            "t": [seconds(t) for t in b.index],
        },
    ),
    "yahoo chart": (
        utc(HOURS),
        lambda b: {
            "chart": {
                "result": [
                    {
                        "meta": {"symbol": "X"},
                        "timestamp": [seconds(t) for t in b.index],
                        "indicators": {"quote": [{n: b[n].tolist() for n in NAMES}]},
                    }
                ],
                "error": None,
            }
        },
    ),
    "alpha vantage": (
        DAYS,
        lambda b: {
            "Meta Data": {"1. Information": "Daily", "2. Symbol": "X"},
            "Time Series (Daily)": {
                f"{t:%Y-%m-%d}": {f"{i}. {n}": str(r[n]) for i, n in enumerate(NAMES, 1)}
                for t, r in b[::-1].iterrows()
            },
        },
    ),
    "ccxt": (
        utc(HOURS),
        lambda b: [[seconds(t) * 1000, *map(float, row)] for t, row in zip(b.index, b.to_numpy())],
    ),
    "tiingo": (
        DAYS,
        lambda b: [{"date": f"{t:%Y-%m-%d}T00:00:00.000Z", **dict(r)} for t, r in b.iterrows()],
    ),
    "split": (DAYS, lambda b: json.loads(b.to_json(orient="split", date_format="iso"))),
    "index": (DAYS, lambda b: json.loads(b.to_json(orient="index", date_format="iso"))),
    "columns": (DAYS, lambda b: json.loads(b.to_json(date_format="iso"))),
    "table": (DAYS, lambda b: json.loads(b.to_json(orient="table"))),
    "oanda": (
        utc(HOURS),
        lambda b: {
            "instrument": "EUR_USD",
            "candles": [
                {
                    "complete": True,
                    "volume": int(r["volume"]),
                    "time": t.isoformat().replace("+00:00", ".000000000Z"),
                    "mid": {n[0]: str(r[n]) for n in NAMES[:4]},
                }
                for t, r in b.iterrows()
            ],
        },
    ),
    "iex": (
        MINUTES,
        lambda b: [
            {"date": f"{t:%Y-%m-%d}", "minute": f"{t:%H:%M}", **{n: float(r[n]) for n in NAMES}}
            for t, r in b.iterrows()
        ],
    ),
    "rows with a header": (
        DAYS,
        lambda b: [
            ["date", *NAMES],
            *([f"{t:%Y-%m-%d}", *map(float, r)] for t, r in zip(b.index, b.to_numpy())),
        ],
    ),
    "kraken": (
        utc(HOURS),
        lambda b: {
            "error": [],
            "result": {
                "XXBTZUSD": [
                    [seconds(t), *map(str, r[:4]), str(r[0]), str(r[4] + 0.5), 7 + i % 3]
                    for i, (t, r) in enumerate(zip(b.index, b.to_numpy()))
                ],
                "last": 1,
            },
        },
    ),
}


@pytest.mark.parametrize("name", JSONS)
def test_json_in_many_shapes(name, tmp_path):
    bars, write = JSONS[name]
    (tmp_path / "file.json").write_text(json.dumps(write(bars)))
    check(
        tmp_path / "file.json",
        bars.assign(volume=bars["volume"] + 0.5) if name == "kraken" else bars,
    )


def test_json_lines_and_symbols(tmp_path):
    lines = [
        json.dumps({"date": f"{t:%Y-%m-%d}", **{n: float(r[n]) for n in NAMES}})
        for t, r in DAYS.iterrows()
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    check(tmp_path / "a.jsonl", DAYS)
    both = {
        "bars": {
            "000001": records(HOURS, lambda t: t.isoformat() + "Z"),
            "AAPL": records(HOURS, lambda t: t.isoformat() + "Z"),
        }
    }
    (tmp_path / "b.json").write_text(json.dumps(both))
    out = read_bars(tmp_path / "b.json")
    assert out.index.unique("symbol").tolist() == ["000001", "AAPL"]
    assert len(out) == 2 * len(HOURS)


def test_containers(tmp_path):
    pytest.importorskip("pyarrow")
    hours = utc(HOURS).reset_index()
    hours.rename(columns={"time": "date"}).to_feather(tmp_path / "a.feather")
    check(tmp_path / "a.feather", utc(HOURS))
    new_york = DAYS.set_axis(DAYS.index.tz_localize("America/New_York").rename("Date"))
    new_york.to_parquet(tmp_path / "b.parquet")
    out = check(tmp_path / "b.parquet", DAYS)
    assert out.attrs["reading"]["written_in"] == "America/New_York"
    new_york.to_csv(tmp_path / "b.csv")
    check(tmp_path / "b.csv", DAYS)
    east = DAYS.set_axis(DAYS.index.tz_localize("Asia/Shanghai").rename("Date"))
    east.to_csv(tmp_path / "c.csv")
    check(tmp_path / "c.csv", DAYS)


def test_excel(tmp_path):
    pytest.importorskip("openpyxl")
    DAYS.rename_axis("Date").to_excel(tmp_path / "a.xlsx")
    check(tmp_path / "a.xlsx", DAYS)
    with pd.ExcelWriter(tmp_path / "b.xlsx") as writer:
        german(DAYS, quote=False).rename_axis("Datum").rename(
            columns={
                "open": "Eröffnung",
                "high": "Hoch",
                "low": "Tief",
                "close": "Schluss",
                "volume": "Volumen",
            }
        ).to_excel(writer, startrow=2)
        pd.DataFrame({"note": ["from the bank"]}).to_excel(writer, sheet_name="notes", index=False)
    check(tmp_path / "b.xlsx", DAYS)


def panel_of(*symbols):
    return pd.concat(
        {s: drawn(DAYS.index, seed=i) for i, s in enumerate(symbols)}, names=["symbol", "time"]
    )


def test_wide_files(tmp_path):
    panel = panel_of("000001", "600519").sort_index()
    wide = panel.unstack("symbol")
    wide.columns = pd.MultiIndex.from_tuples(
        [(f.title(), s) for f, s in wide.columns], names=["Price", "Ticker"]
    )
    wide.rename_axis("Date").to_csv(tmp_path / "fields.csv")
    check(tmp_path / "fields.csv", panel)
    wide.swaplevel(axis=1).sort_index(axis=1).rename_axis("Date").to_csv(tmp_path / "tickers.csv")
    check(tmp_path / "tickers.csv", panel)
    flat = wide.set_axis([f"{f}_{s}" for f, s in wide.columns], axis=1)
    flat.rename_axis("Date").to_csv(tmp_path / "flat.csv")
    check(tmp_path / "flat.csv", panel)
    named = wide.set_axis([f"{s}.{f}" for f, s in wide.columns], axis=1)
    named.rename_axis("Date").to_csv(tmp_path / "named.csv")
    check(tmp_path / "named.csv", panel)
    wide.to_parquet(tmp_path / "wide.parquet")
    check(tmp_path / "wide.parquet", panel)


def test_symbols_stay_text(tmp_path):
    names = ["0005", "000001", "1E5", "5", "NA", "NULL", "TRUE"]
    panel = panel_of(*names)
    panel.reset_index().rename(columns={"symbol": "code"}).to_csv(tmp_path / "a.csv", index=False)
    out = check(tmp_path / "a.csv", panel.sort_index())
    assert out.index.unique("symbol").tolist() == sorted(names)


MONTHS = {
    "german": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "german short": "Jan Feb Mrz Apr Mai Jun Jul Aug Sep Okt Nov Dez",
    "austrian": "Jänner Feber März April Mai Juni Juli August September Oktober November Dezember",
    "french": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "french short": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    "spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "spanish short": "ene feb mar abr may jun jul ago sep oct nov dic",
    "italian short": "gen feb mar apr mag giu lug ago set ott nov dic",
    "portuguese short": "jan fev mar abr mai jun jul ago set out nov dez",
    "dutch short": "jan feb mrt apr mei jun jul aug sep okt nov dec",
    "russian": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "english short with Sept": "Jan. Feb. Mar. Apr. May June July Aug. Sept. Oct. Nov. Dec.",
}
YEAR = drawn(pd.bdate_range("2022-01-10", periods=250), seed=5)


@pytest.mark.parametrize("names", MONTHS)
@pytest.mark.parametrize(
    "form", ["{d} {m} {y}", "{d:02d}-{m}-{y}", "{m} {d}, {y}", "{d} de {m} de {y}", "{d}. {m} {y}"]
)
def test_months_as_words(form, names, tmp_path):
    words = MONTHS[names].split()
    if "-" in form:
        words = [word.strip(".") for word in words]
    times = [form.format(d=t.day, m=words[t.month - 1], y=t.year) for t in YEAR.index]
    path = tmp_path / "year.csv"
    path.write_text(table(YEAR, NAMES_OF_COLUMNS, times, sep=";"), encoding="utf-8")
    check(path, YEAR)


NAMES_OF_COLUMNS = "Date,Open,High,Low,Close,Volume"


def test_a_word_that_is_no_month_is_shown(tmp_path):
    path = tmp_path / "year.csv"
    path.write_text(
        table(DAYS, NAMES_OF_COLUMNS, [f"{t.day} Brumaire {t.year}" for t in DAYS.index])
    )
    with pytest.raises(InvalidBarsError, match="line 2 holds '2 Brumaire 2023'"):
        read_bars(path)


def test_zone_names_behind_the_times(tmp_path):
    path = tmp_path / "zones.csv"
    local = [f"{t:%Y%m%d %H:%M:%S} Europe/Berlin" for t in MINUTES.index]
    path.write_text(table(MINUTES, NAMES_OF_COLUMNS, local))
    out = check(
        path, MINUTES.set_axis(MINUTES.index.tz_localize("Europe/Berlin").tz_convert("UTC"))
    )
    assert out.attrs["reading"]["written_in"] == "Europe/Berlin"
    path.write_text(
        table(DAYS, NAMES_OF_COLUMNS, [f"{t:%Y-%m-%d 00:00:00} Asia/Tokyo" for t in DAYS.index])
    )
    check(path, DAYS)  # session dates
    local[7] = local[7].replace("Europe/Berlin", "Europe/London")
    path.write_text(table(MINUTES, NAMES_OF_COLUMNS, local))
    with pytest.raises(InvalidBarsError, match="line 9 .*Europe/London.* zone"):
        read_bars(path)
    path.write_text(
        table(MINUTES, NAMES_OF_COLUMNS, [one.replace("Berlin", "Atlantis") for one in local])
    )
    with pytest.raises(InvalidBarsError, match="Atlantis"):
        read_bars(path)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(
    "order",
    [["low", "high", "open", "close", "volume"], ["close", "high", "low", "open", "volume"]],
)
def test_without_header_open_and_close_are_told_by_the_direction_of_time(
    order, newest_first, tmp_path
):
    bars = HOURS[::-1] if newest_first else HOURS
    rows = [
        [int(t.timestamp()), *row] for t, row in zip(bars.index, bars[order].to_numpy().tolist())
    ]
    path = tmp_path / "candles.json"
    path.write_text(json.dumps(rows))
    check(path, utc(HOURS))
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    check(path, utc(HOURS))


@pytest.mark.parametrize(
    ("names", "form"),
    [
        ("<DTYYYYMMDD>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", "%Y%m%d"),
        ("date,ouv,haut,bas,clot,vol", "%d/%m/%Y 00:00"),
        ("date,OPENPRC,ASKHI,BIDLO,PRC,VOL", "%Y%m%d"),
        ("tradeDate,openPrice,highPrice,lowPrice,closePrice,tradeVolume", "%Y-%m-%d"),
    ],
)
def test_more_names(names, form, tmp_path):
    path = tmp_path / "names.csv"
    path.write_text(table(DAYS, names, stamps(DAYS, form)))
    check(path, DAYS)


@pytest.mark.parametrize(
    ("one", "other"), [("Up", "Down"), ("UpVolume", "DownVolume"), ("buy_volume", "sell_volume")]
)
def test_a_volume_in_two_halves(one, other, tmp_path):
    path = tmp_path / "halves.txt"
    half = (MINUTES["volume"] // 3).to_numpy()
    names = f"Date,Open,High,Low,Close,{one}"
    path.write_text(
        table(
            MINUTES.assign(volume=half),
            names,
            MINUTES.index,
            extra=[(other, MINUTES["volume"] - half)],
        )
    )
    assert f"volume = {one} + {other}" in str(check(path, MINUTES).attrs["reading"])
    whole = [(other, MINUTES["volume"] - half), ("Volume", MINUTES["volume"])]
    path.write_text(table(MINUTES.assign(volume=half), names, MINUTES.index, extra=whole))
    check(path, MINUTES)


def test_money_beside_the_volume_without_header(tmp_path):
    path = tmp_path / "candles.json"
    bars = MINUTES.assign(volume=MINUTES["volume"] / 1000)
    money = bars["volume"] * (bars["high"] + bars["low"]) / 2
    rows = [
        [int(t.timestamp()), *row, m]
        for t, row, m in zip(bars.index, bars[NAMES].to_numpy().tolist(), money)
    ]
    path.write_text(json.dumps(rows[::-1]))
    check(path, utc(bars))
    path.write_text(json.dumps([[*row[:5], row[6], row[5]] for row in rows]))
    check(path, utc(bars))


def test_a_mark_behind_the_last_name_or_behind_every_row(tmp_path):
    path = tmp_path / "marks.txt"
    names, *rows = table(DAYS, NAMES_OF_COLUMNS, DAYS.index, sep="\t").splitlines()
    for header, end in ((f"{names}\t", ""), (names, "\t"), (f"{names}\t", "\t")):
        path.write_text("\n".join([header.replace(",", "\t"), *(row + end for row in rows)]) + "\n")
        check(path, DAYS)

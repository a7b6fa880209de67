"""Random files of bars of which the right reading is known: every way of writing is drawn apart
from the others."""

import bz2
import gzip
import io
import json
import lzma
import zipfile

import numpy as np
import pandas as pd

PRICES = ("open", "high", "low", "close")
HEADERS = (
    ("Date", "Open", "High", "Low", "Close", "Volume"),
    ("time", "open", "high", "low", "close", "volume"),
    ("<DTYYYYMMDD>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>"),
    ("t", "o", "h", "l", "c", "v"),
    ("日期", "开盘", "最高", "最低", "收盘", "成交量"),
    ("日付", "始値", "高値", "安値", "終値", "出来高"),
    ("날짜", "시가", "고가", "저가", "종가", "거래량"),
    ("Datum", "Eröffnung", "Hoch", "Tief", "Schluss", "Stück"),
    ("Fecha", "Apertura", "Máximo", "Mínimo", "Cierre", "Volumen"),
    ("Data", "Abertura", "Máxima", "Mínima", "Último", "Vol."),
    ("Дата", "Откр.", "Макс.", "Мин.", "Цена", "Объём"),
    ("Tarih", "Açılış", "Yüksek", "Düşük", "Şimdi", "Hac."),
    ("Datum", "Öppningskurs", "Högstkurs", "Lägstkurs", "Stängningskurs", "Total volym"),
    ("Date", "Ouv.", "Plus Haut", "Plus Bas", "Dernier", "Vol."),
    ("trade_date", "open_price", "high_price", "low_price", "close_price", "qty"),
    ("Timestamp (UTC)", "Open ($)", "High ($)", "Low ($)", "Last ($)", "Total Volume"),
)
ORDERS = ("ohlcv", "ochlv", "lhocv", "chlov", "ohlc", "vclho", "hlocv", "vohlc")
DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y",
    "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%m/%d/%y", "%d/%m/%y", "%Y年%m月%d日", "%a, %d %b %Y",
    "epoch s", "epoch ms", "epoch us", "excel", "iso Z", "iso +00:00",
)  # fmt: skip
CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p", "%H%M%S", "%H%M")


def truth(rng):
    """Bars at random times: a random walk of a random size, as published with few decimals."""
    calendar = rng.choice(["B", "D", "W-FRI", "MS", "h", "15min", "session"])
    n = int(rng.integers(12, 260))
    start = pd.Timestamp("1998-01-05") + pd.Timedelta(int(rng.integers(0, 9400)), "D")
    left = {"MS": 12, "W-FRI": 52}.get(str(calendar), 200) * (2025 - start.year)
    n = max(12, min(n, left))  # no bars of the future
    if calendar == "session":
        days = pd.bdate_range(start, periods=n // 13 + 1)
        times = pd.DatetimeIndex(
            [d + pd.Timedelta(570 + 30 * i, "min") for d in days for i in range(13)]
        )[:n]
    else:
        times = pd.date_range(start, periods=n, freq=calendar)
    scale = 10 ** rng.uniform(-2, 4.3)
    places = max(0, int(4 - np.floor(np.log10(scale)))) if rng.random() < 0.8 else 2
    places = max(places, 2 - int(np.floor(np.log10(scale))))
    step = rng.choice([0.001, 0.01, 0.03])
    close = scale * np.exp(np.cumsum(rng.normal(0, step, n)))
    open_ = np.r_[close[0], close[:-1]] * np.exp(rng.normal(0, step / 5, n))
    top, bottom = np.maximum(open_, close), np.minimum(open_, close)
    high = top * np.exp(np.abs(rng.normal(0, step / 2, n)))
    low = bottom * np.exp(-np.abs(rng.normal(0, step / 2, n)))
    frame = pd.DataFrame({"open": open_, "high": high, "low": low, "close": close}).round(places)
    frame["volume"] = rng.integers(1, 10 ** int(rng.integers(2, 9)), n)
    frame.index = times.as_unit("ns")
    return frame, places


def number(value, places, form):
    """A number as a file of one form writes it."""
    text = f"{value:,.{places}f}"
    marks = {
        "plain": ("", "."), "comma": ("", ","), "us": (",", "."), "de": (".", ","),
        "fr": ("\u00a0", ","), "narrow": ("\u202f", ","), "swiss": ("'", "."),
    }[form]  # fmt: skip
    return text.replace(",", "T").replace(".", marks[1]).replace("T", marks[0])


def stamps(index, form, clock):
    """Times as a file of one form writes them; with a clock where they are inside the day."""
    inside = bool((index != index.normalize()).any())
    seconds = index.asi8 // 10**9
    if form.startswith("epoch"):
        return [str(s * {"s": 1, "ms": 10**3, "us": 10**6}[form[6:]]) for s in seconds]
    if form == "excel":
        days = [float(s) / 86_400 + 25_569 for s in seconds]
        return [repr(day) if inside else str(int(day)) for day in days]
    if form.startswith("iso"):
        return [one.strftime("%Y-%m-%dT%H:%M:%S") + form[4:] for one in index]
    form = f"{form} {clock}" if inside else form
    return [one.strftime(form) for one in index]


def draw(seed):
    """A file: its name, its bytes, the bars that it holds, and how it was written."""
    rng = np.random.default_rng(seed)
    frame, places = truth(rng)
    names = HEADERS[rng.integers(len(HEADERS))]
    order = ORDERS[rng.integers(len(ORDERS))] if rng.random() < 0.6 else "ohlcv"
    form = DATES[rng.integers(len(DATES))] if rng.random() < 0.7 else "%Y-%m-%d"
    clock = CLOCKS[rng.integers(4)]
    inside = bool((frame.index != frame.index.normalize()).any())
    apart = inside and form[0] == "%" and rng.random() < 0.4
    letters = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
    roles = [letters[letter] for letter in order]
    spelled = dict(zip(("time", *PRICES, "volume"), names))
    style = rng.choice(["plain", "plain", "plain", "comma", "us", "de", "fr", "narrow", "swiss"])
    container = rng.choice(["csv"] * 6 + ["records", "lists", "lines", "xlsx", "parquet", "split"])
    if "volume" not in roles:
        frame["volume"] = 0
    columns = {"time": stamps(frame.index, form, clock)}
    if apart:
        days = stamps(frame.index.normalize(), form, "")
        clock = CLOCKS[rng.integers(6)]
        clocks = [one.strftime(clock) for one in frame.index]
        columns = {"date": days, "clock": clocks}
    for role in roles:
        columns[role] = frame[role].tolist()
    rows = rng.permutation(len(frame)) if rng.random() < 0.05 else np.arange(len(frame))
    rows = rows[::-1] if rng.random() < 0.3 else rows
    columns = {name: [column[i] for i in rows] for name, column in columns.items()}
    heads = {**spelled, "date": "Date", "clock": "Time"}
    titles = [heads[name] for name in columns]
    told = {
        "order": order, "form": form, "clock": clock, "style": str(style), "apart": apart,
        "container": str(container), "names": names[0],
    }  # fmt: skip
    if container == "csv":
        name, data = as_text(rng, columns, titles, places, str(style), told)
    else:
        name, data = contained(rng, columns, titles, str(container), frame, rows, form)
    return name, data, frame, told


def as_text(rng, columns, titles, places, style, told):
    """Delimited text in some encoding, packed or not."""
    delimiter = rng.choice([",", ",", ";", "\t", "|"])
    headed = rng.random() < 0.75
    decimals = {"volume": 0}
    cells = [
        [number(value, decimals.get(name, places), style) for value in column]
        if name in (*PRICES, "volume")
        else column
        for name, column in columns.items()
    ]
    if rng.random() < 0.2:
        titles, cells = (
            [*titles, "Change"],
            [*cells, [number(x, 2, style) + "%" for x in rng.normal(0, 1, len(cells[0]))]],
        )
    lines = [titles] if headed else []
    lines += [list(row) for row in zip(*cells)]
    quoted = rng.random() < 0.3

    def written(cell):
        return f'"{cell}"' if quoted or delimiter in cell else cell

    body = [delimiter.join(map(written, row)) for row in lines]
    if headed and rng.random() < 0.15:
        body = ["Some exchange's daily file", "", *body]
    if rng.random() < 0.1:
        body += ["", "Downloaded from the exchange"]
    text = rng.choice(["\n", "\r\n"]).join(body) + "\n"
    told.update(delimiter=str(delimiter), headed=bool(headed), quoted=bool(quoted))
    encoding = rng.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"])
    data = text.encode(encoding)
    packed = rng.choice(["", "", "", "", "gz", "bz2", "xz", "zip"])
    told.update(encoding=str(encoding), packed=str(packed))
    if packed == "gz":
        data = gzip.compress(data)
    elif packed == "bz2":
        data = bz2.compress(data)
    elif packed == "xz":
        data = lzma.compress(data)
    elif packed == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("bars.csv", data)
        data = buffer.getvalue()
    return "bars.csv" + (f".{packed}" if packed else ""), data


def contained(rng, columns, titles, container, frame, rows, form):
    """Records, lists, columns or a typed table."""
    numeric = form.startswith("epoch")
    first = next(iter(columns))
    values = [[int(x) for x in c] if numeric and n == first else c for n, c in columns.items()]
    if container == "records":
        text = json.dumps([dict(zip(titles, row)) for row in zip(*values)])
    elif container == "lists":
        text = json.dumps([list(row) for row in zip(*values)])
    elif container == "lines":
        text = "\n".join(json.dumps(dict(zip(titles, row))) for row in zip(*values))
    elif container == "split":
        text = json.dumps({"columns": titles, "data": [list(row) for row in zip(*values)]})
    else:
        table = pd.DataFrame(dict(zip(titles, values)))
        if rng.random() < 0.5 and first == "time":
            table[titles[0]] = frame.index[rows]
        buffer = io.BytesIO()
        if container == "xlsx":
            table.to_excel(buffer, index=False)
        else:
            table.to_parquet(buffer)
        return f"bars.{container}", buffer.getvalue()
    return "bars.json", text.encode()


def differs(bars, frame):
    """What is wrong with a reading, or ""."""
    if isinstance(bars.index, pd.MultiIndex):
        return f"symbols {list(bars.index.unique(0))[:3]}"
    if len(bars) != len(frame):
        return f"{len(bars)} rows for {len(frame)}"
    index = bars.index if bars.index.tz is None else bars.index.tz_localize(None)
    gap = np.abs(index.asi8 - frame.index.asi8)
    if gap.max() > 10**6:  # Excel's serial days hold no nanoseconds
        row = int(gap.argmax())
        return f"time {index[row]} for {frame.index[row]}"
    for name in (*PRICES, "volume"):
        if not np.allclose(bars[name], frame[name], rtol=1e-9):
            return f"{name} {bars[name].iloc[0]} for {frame[name].iloc[0]}"
    return ""

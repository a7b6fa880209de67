"""read_bars: calendars, clocks, numbers and names of many countries; every answer is known
before."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from sktrain.datasets import read_bars
from sktrain.exceptions import DataQualityWarning, InvalidBarsError

NAMES = ["Date", "Open", "High", "Low", "Close", "Volume"]
DAYS = pd.bdate_range("2024-01-02", periods=60)
MONTHS = pd.date_range("2019-01-01", periods=60, freq="MS")
STAMPS = pd.DatetimeIndex(
    [d + pd.Timedelta(minutes=570 + 5 * k) for d in DAYS[:2] for k in range(30)]
)


def drawn(seed=5):
    rng = np.random.default_rng(seed)
    close = np.round(1200 * np.exp(np.cumsum(rng.normal(0, 0.01, 60))), 2)
    opened = np.round(np.r_[1200, close[:-1]] * np.exp(rng.normal(0, 0.001, 60)), 2)
    high = np.round(np.maximum(opened, close) * (1 + rng.uniform(0.001, 0.01, 60)), 2)
    low = np.round(np.minimum(opened, close) * (1 - rng.uniform(0.001, 0.01, 60)), 2)
    return opened, high, low, close, rng.integers(10_000, 9_000_000, 60)


VALUES = drawn()


def table(times, names=NAMES, sep=",", price=str, volume=str, more=None, **options):
    cells = [list(times), *([price(x) for x in column] for column in VALUES[:4])]
    columns = dict(zip(names, [*cells, [volume(x) for x in VALUES[4]]])) | (more or {})
    return pd.DataFrame(columns).to_csv(index=False, sep=sep, **options)


def check(tmp_path, text, times, name="bars.csv", encoding="utf-8", volume=VALUES[4], **options):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        bars = read_bars(path, **options)
    assert bars.index.equals(pd.DatetimeIndex(times, name="time").as_unit("ns")), bars.index[:2]
    expected = np.column_stack([*VALUES[:4], volume]).astype(float)
    np.testing.assert_allclose(bars.iloc[:, :5].to_numpy(dtype=float), expected)
    return bars


def comma(x):
    return f"{x:,.2f}".translate(str.maketrans(",.", ".,"))


DATES = {
    "Taiwan": [f"{t.year - 1911}/{t:%m/%d}" for t in DAYS],
    "Taiwan, in words": [f"民國{t.year - 1911}年{t.month}月{t.day}日" for t in DAYS],
    "Taiwan, in digits": [f"{t.year - 1911}{t:%m%d}" for t in DAYS],
    "Thailand": [f"{t:%d/%m}/{t.year + 543}" for t in DAYS],
    "Japan's eras": [f"令和{t.year - 2018}年{t.month}月{t.day}日" for t in DAYS],
    "Japan's weekdays": [
        f"{t.year}/{t.month}/{t.day}({'月火水木金土日'[t.weekday()]})" for t in DAYS
    ],
    "Excel's serial days": [(t - pd.Timestamp("1899-12-30")).days for t in DAYS],
    "YYMMDD": DAYS.strftime("%y%m%d"),
    "DDMMYY": DAYS.strftime("%d%m%y"),
    "DDMMYYYY": DAYS.strftime("%d%m%Y"),
    "SAS": DAYS.strftime("%d%b%Y").str.upper(),
    "weekdays": DAYS.strftime("%a %d %b %Y"),
    "blanks behind marks": DAYS.strftime("%Y. %m. %d."),
    "Polish": [f"{t.day} {['sty', 'lut', 'mar', 'kwi'][t.month - 1]} {t.year}" for t in DAYS],
    "Polish, bent": [
        f"{t.day} {['stycznia', 'lutego', 'marca'][t.month - 1]} {t.year} r." for t in DAYS
    ],
    "Turkish": [f"{t.day} {['Oca', 'Şub', 'Mar'][t.month - 1]} {t.year}" for t in DAYS],
    "Czech": [f"{t.day}. {['ledna', 'února', 'března'][t.month - 1]} {t.year}" for t in DAYS],
    "Hungarian": [
        f"{t.year}. {['január', 'február', 'március'][t.month - 1]} {t.day}." for t in DAYS
    ],
    "Finnish": [
        f"{t.day}. {['tammikuuta', 'helmikuuta', 'maaliskuuta'][t.month - 1]} {t.year}"
        for t in DAYS
    ],
}


@pytest.mark.parametrize("name", DATES)
def test_dates_of_many_calendars(name, tmp_path):
    check(tmp_path, table(DATES[name]), DAYS)


def test_every_month_of_every_language_is_one_month():
    from sktrain._reading._months import _NAMES, MONTHS, english_months

    for names in _NAMES:
        words = names.split()
        found = english_months(pd.Series([f"5 {word} 2024" for word in words]))
        assert found.tolist() == [f"5 {month} 2024" for month in MONTHS], names


@pytest.mark.parametrize("form", ["%b %Y", "%b-%y", "%Y-%m", "%m/%Y", "%Y%m", "%Y-%b", "%B %Y"])
def test_months(form, tmp_path):
    check(tmp_path, table(MONTHS.strftime(form)), MONTHS)


MOMENTS = {
    "%y%m%d": "apart", "%d%m%y": "apart", "%d%b%Y:%H:%M:%S": "", "%Y-%m-%dT%H:%M": "",
    "%Y-%m-%d %H:%M:%S,000": "", "%Y-%m-%d %H:%M:%S.%f000": "", "%Y-%m-%dT%H:%M:%S.%f000Z": "UTC",
    "%Y%m%dT%H%M%SZ": "UTC", "%Y-%m-%d %H:%M:%S Z": "UTC", "%Y-%m-%d %H:%M:%S+00": "UTC",
    "%Y-%m-%d %H:%M:%S EST": "Etc/GMT+5", "%I:%M %p %d.%m.%Y": "", "%Y/%m/%d %H時%M分": "",
}  # fmt: skip


@pytest.mark.parametrize("form", MOMENTS)
def test_moments(form, tmp_path):
    apart = MOMENTS[form] == "apart"
    more = {"Time": STAMPS.strftime("%H%M%S")} if apart else {}
    times = STAMPS if MOMENTS[form] in ("", "apart") else STAMPS.tz_localize(MOMENTS[form])
    times = times if times.tz is None else times.tz_convert("UTC")
    check(tmp_path, table(STAMPS.strftime(form), more=more), times)


def test_clocks_of_two_forms_in_one_column(tmp_path):
    forms = ["%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"]
    check(tmp_path, table([t.strftime(forms[i % 2]) for i, t in enumerate(STAMPS)]), STAMPS)


def test_serial_days_with_times(tmp_path):
    serial = (STAMPS - pd.Timestamp("1899-12-30")) / pd.Timedelta("1D")
    bars = check(tmp_path, table(serial), STAMPS)
    assert "Excel's serial days" in str(bars.attrs["reading"])


def test_the_name_of_the_time_tells_its_zone(tmp_path):
    east = STAMPS.tz_localize("America/New_York").tz_convert("UTC")
    check(tmp_path, table(STAMPS.strftime("%Y-%m-%d %H:%M"), ["Time (ET)", *NAMES[1:]]), east)


def test_zones_are_looked_for_in_every_row(tmp_path):
    times = [f"{t:%Y-%m-%d %H:%M:%S}" + (" UTC" if i > 50 else "") for i, t in enumerate(STAMPS)]
    with pytest.raises(InvalidBarsError, match="line 53 holds .*UTC.*: some times carry a zone"):
        check(tmp_path, table(times), STAMPS)


@pytest.mark.parametrize(
    ("names", "sep"),
    [
        ("Tarih Açılış Yüksek Düşük Kapanış Hacim", ","),
        ("Datum Otevření Maximum Minimum Závěr Objem", ";"),
        ("Datum Öppen Högst Lägst Senast Volym", ";"),
        ("Päivämäärä Avaus Ylin Alin Päätös Vaihto", ";"),
        ("Dato Åpning Høy Lav Siste Volum", ";"),
        ("Dato Åbning Høj Lav Luk Volumen", ";"),
        ("Dátum Nyitó Maximum Minimum Záró Forgalom", ";"),
        ("Ngày Mở_cửa Cao_nhất Thấp_nhất Đóng_cửa Khối_lượng", ","),
        ("Tanggal Pembukaan Tertinggi Terendah Penutupan Volume", ","),
        ("날짜 오픈 고가 저가 종가 거래량", ","),
        ("日期 開盤價 最高價 最低價 收盤價 成交股數", ","),
        ("日付 始値 高値 安値 終値 出来高", ","),
        ("Дата Відкриття Макс. Мін. Закриття Обсяг", ","),
        ("datadate prcod prchd prcld prccd cshtrd", ","),
        ("Ημερομηνία Άνοιγμα Υψηλό Χαμηλό Κλείσιμο Όγκος", ","),
        ("Trading_Day Opening_Value Highest_Value Lowest_Value Closing_Value Traded_Volume", ","),
        (
            (
                "Index_Date Open_Index_Value High_Index_Value Low_Index_Value Closing_Index_Value "
                "Volume"
            ),
            ",",
        ),
        ("Tarih Açılış_Fiyatı En_Yüksek En_Düşük Kapanış_Fiyatı Toplam_İşlem_Hacmi", ";"),
        ("Fecha Precio_de_apertura Precio_máximo Precio_mínimo Precio_de_cierre Volumen", ","),
    ],
)
def test_names_in_many_languages(names, sep, tmp_path):
    columns = [name.replace("_", " ") for name in names.split()]
    if "Мін." in columns:
        columns[3] = "Мин."
    decimal = (lambda x: f"{x:.2f}".replace(".", ",")) if sep == ";" else str
    check(tmp_path, table(DAYS.strftime("%Y-%m-%d"), columns, sep, decimal), DAYS)


@pytest.mark.parametrize("mark", ["'", "’", " ", "\u00a0", "\u202f", "\u2009"])
def test_marks_of_thousands(mark, tmp_path):
    def grouped(x):
        return f"{x:,.2f}".replace(",", mark).replace(".", ",")

    def whole(x):
        return f"{x:,}".replace(",", mark)

    check(tmp_path, table(DAYS.strftime("%d.%m.%Y"), sep=";", price=grouped, volume=whole), DAYS)


def test_lakhs(tmp_path):
    def lakhs(x):
        return (
            f"{x // 100_000},{x % 100_000 // 1000:02d},{x % 1000:03d}" if x >= 100_000 else f"{x:,}"
        )

    check(tmp_path, table(DAYS.strftime("%d-%B-%Y"), volume=lakhs, quoting=1), DAYS)


def test_the_months_file_of_an_exchange_with_banner_and_footer(tmp_path):
    names = ["日期", "開盤價", "最高價", "最低價", "收盤價", "成交股數"]
    body = table(
        DATES["Taiwan"], names, price=lambda x: f"{x:,.2f}", volume=lambda x: f"{x:,}", quoting=1
    )
    text = '"113年01月 9999 某公司 各日成交資訊"\n' + body.replace("\n", ",\n") + '"說明:"\n"單位:元、股"\n'
    check(tmp_path, text, DAYS, encoding="big5")


def test_a_banner_above_a_blank_line_is_no_header(tmp_path):
    banner = "Security,ACME US Equity,,,,\nPeriod,D,,,,\n,,,,,\n"
    bars = check(tmp_path, banner + table(DAYS.strftime("%Y-%m-%d")), DAYS)
    assert bars.attrs["reading"]["symbol"] is None
    assert bars.attrs["reading"]["columns"]["time"] == "Date"


def test_symbols_in_a_column_of_one_letter(tmp_path):
    rows = [
        {
            "T": "b",
            "S": symbol,
            "o": o,
            "h": h,
            "l": low,
            "c": c,
            "v": int(v),
            "t": f"{t:%Y-%m-%dT%H:%M:%SZ}",
        }
        for t, o, h, low, c, v in zip(STAMPS, *VALUES)
        for symbol in ("ACME", "BOLT")
    ]
    path = tmp_path / "stream.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    bars = read_bars(path)
    assert list(bars.index.unique("symbol")) == ["ACME", "BOLT"]
    assert bars.loc["BOLT"].index.equals(STAMPS.tz_localize("UTC").as_unit("ns").rename("time"))
    np.testing.assert_allclose(bars.loc["BOLT"]["close"], VALUES[3])


def test_a_volume_that_is_not_known_is_not_passed_over_in_silence(tmp_path):
    text = table(DAYS.strftime("%Y-%m-%d"), [*NAMES[:5], "Zorp"])
    bars = check(tmp_path, text, DAYS)  # the one column that counts something
    assert "volume = zorp" in str(bars.attrs["reading"])
    zeros = read_bars(tmp_path / "bars.csv", columns={"volume": ""})
    assert not zeros["volume"].any()
    assert "no volume in the file: 0 (not used: zorp)" in str(zeros.attrs["reading"])


def test_two_columns_that_may_be_the_volume_are_refused(tmp_path):
    rows = table(DAYS.strftime("%Y-%m-%d"), [*NAMES[:5], "Zorp"]).splitlines()
    text = "\n".join(f"{row},{'Blip' if not i else i * 7919 % 1009}" for i, row in enumerate(rows))
    (tmp_path / "bars.csv").write_text(text)
    with pytest.raises(
        InvalidBarsError, match="'Zorp', 'Blip' may be it.*columns={'volume': 'Zorp'}"
    ):
        read_bars(tmp_path / "bars.csv")


def test_dates_of_a_calendar_that_is_not_known_are_refused(tmp_path):
    with pytest.raises(InvalidBarsError, match="1402.*Jalali"):
        check(
            tmp_path, table([f"1402/{10 + i // 29:02d}/{i % 29 + 1:02d}" for i in range(60)]), DAYS
        )


@pytest.mark.parametrize("year", [1999, 2001, 2005, 2012, 2013, 2024])
@pytest.mark.parametrize("form", ["%Y%m%d", "%d%m%Y"])
def test_eight_digits_beside_a_time_in_any_year(tmp_path, year, form):
    """20010103 is no 20 January of the year 103, which nanoseconds do not hold."""
    times = pd.date_range(f"{year}-01-13", periods=60, freq="8h")
    text = table(times.strftime(form), more={"Time": times.strftime("%H:%M")})
    check(tmp_path, text, times)


def test_a_day_and_the_number_of_an_hour(tmp_path):
    times = pd.date_range("2024-01-02", periods=60, freq="h")
    text = table(times.strftime("%Y-%m-%d"), more={"Hour": times.hour})
    check(tmp_path, text, times)


def test_dates_as_objects_of_a_container(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(dict(zip(NAMES, [DAYS.date, *VALUES])))
    frame.to_parquet(tmp_path / "bars.parquet")
    bars = read_bars(tmp_path / "bars.parquet")
    assert bars.index.equals(pd.DatetimeIndex(DAYS, name="time").as_unit("ns"))


@pytest.mark.parametrize(("head", "said"), [
    (b"\x80\x04\x95" + b"x" * 40, "pickle of Python"), (b"\x93NUMPY\x01\x00", "array of NumPy"),
    (b"a" * 257 + b"ustar" + b"\0" * 300, "tar archive"),
])  # fmt: skip
def test_what_else_is_no_table(head, said, tmp_path):
    (tmp_path / "bars.csv").write_bytes(head)
    with pytest.raises(InvalidBarsError, match=said):
        read_bars(tmp_path / "bars.csv")


@pytest.mark.parametrize(
    "names", [("Year", "Month", "Day"), ("yyyy", "mm", "dd"), ("Jahr", "Monat", "Tag")]
)
def test_year_month_and_day_in_three_columns(names, tmp_path):
    days = dict(zip(names, [DAYS.year, DAYS.month, DAYS.day]))
    frame = pd.DataFrame(days | dict(zip(NAMES[1:], VALUES)))
    check(tmp_path, frame.to_csv(index=False), DAYS)


def test_hours_and_minutes_in_columns_too(tmp_path):
    parts = {
        "year": STAMPS.year,
        "month": STAMPS.month,
        "day": STAMPS.day,
        "hour": STAMPS.hour,
        "minute": STAMPS.minute,
    }
    check(tmp_path, pd.DataFrame(parts | dict(zip(NAMES[1:], VALUES))).to_csv(index=False), STAMPS)


@pytest.mark.parametrize("name", ["updated", "created_at", "Expiry"])
def test_when_a_row_was_written_is_not_when_its_bar_was(name, tmp_path):
    written = pd.date_range("2024-06-01 03:07", periods=60, freq="61s").strftime(
        "%Y-%m-%d %H:%M:%S"
    )
    text = table(DAYS.strftime("%b %d, %y"), ["label", *NAMES[1:]], more={name: written})
    check(tmp_path, text, DAYS)


def test_spacings_in_words(tmp_path):
    times = pd.date_range("2024-01-02 09:30", periods=60, freq="10min")
    bars = check(tmp_path, table(times.strftime("%Y-%m-%d %H:%M")), times)
    assert "every 10 minutes" in str(bars.attrs["reading"])


def test_dropping_is_not_offered_where_nothing_would_be_left(tmp_path):
    frame = pd.DataFrame(dict(zip(NAMES, [DAYS, *VALUES])))
    frame[NAMES[1:5]] -= 1e6
    with pytest.raises(InvalidBarsError, match="below zero.*60 such rows.*Repair the rows.$"):
        check(tmp_path, frame.to_csv(index=False), DAYS)

"""read_news: layouts of services, day order, days known at their end, and refusals with their
remedy."""

from functools import partial
import json

from helpers import quietly
import pandas as pd
import pytest

from sktrain.exceptions import SktrainError
from sktrain.news import read_news

quiet = partial(quietly, read_news)

TIMES = pd.date_range("2024-02-26 09:30", periods=12, freq="31h")


def write(tmp_path, text, name="news.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def records(title="title", time="published_at", form="%Y-%m-%dT%H:%M:%SZ", **more):
    return [
        {title: f"Item {i}, with a comma", time: t.strftime(form), **more}
        for i, t in enumerate(TIMES)
    ]


LAYOUTS = {
    "newsapi": {
        "status": "ok",
        "articles": [
            {"source": {"name": "x"}, **row}
            for row in records(time="publishedAt", description="d", content="c")
        ],
    },
    "finnhub": [
        {
            "datetime": int(t.timestamp()),
            "headline": f"Item {i}, with a comma",
            "related": "AAPL",
            "summary": "d",
        }
        for i, t in enumerate(TIMES)
    ],
    "polygon": {
        "results": records(time="published_utc", tickers=["AAPL", "MSFT"], description="d"),
        "count": 12,
        "next_url": "x",
    },
    "alpaca": {
        "news": records(title="headline", time="created_at", symbols=["AAPL"], summary="d"),
        "next_page_token": None,
    },
    "alpha vantage": {
        "items": "12",
        "feed": records(time="time_published", form="%Y%m%dT%H%M%S", summary="d"),
    },
    "marketaux": {
        "meta": {"found": 1},
        "data": records(time="published_at", form="%Y-%m-%dT%H:%M:%S.000000Z", description="d"),
    },
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_json_of_services(name, tmp_path):
    found = quiet(write(tmp_path, json.dumps(LAYOUTS[name]), "news.json"))
    zone = None if name == "alpha vantage" else "UTC"
    assert [one.available_at for one in found] == list(TIMES.tz_localize(zone))
    assert found[0].title == "Item 0, with a comma"
    assert found[0].body == "d"
    if name in ("polygon", "finnhub", "alpaca"):
        assert found[0].symbols[0] == "AAPL"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_chinese_tables(encoding, tmp_path):
    text = "代码,新闻标题,新闻内容,发布时间\n" + "".join(
        f"000001,利润上涨{i},正文,{t:%Y-%m-%d %H:%M:%S}\n" for i, t in enumerate(TIMES)
    )
    found = quiet(write(tmp_path, text, encoding=encoding))
    assert [one.available_at for one in found] == list(TIMES)
    assert found[3].symbols == ("000001",)
    assert found[3].title == "利润上涨3"
    assert found.reading["columns"]["title"] == "新闻标题"


def test_day_first_is_decided_for_the_file(tmp_path):
    days = pd.date_range("2024-01-01 12:00", periods=366)
    text = "title,available_at\n" + "".join(f"{t:%Y-%m-%d},{t:%d/%m/%Y %H:%M}\n" for t in days)
    found = quiet(write(tmp_path, text))
    assert [one.available_at for one in found] == list(days)
    text = "title,available_at\n" + "".join(f"x{m},01/{m:02d}/2024 09:00\n" for m in range(1, 13))
    with pytest.raises(SktrainError, match="dayfirst=True or dayfirst=False"):
        read_news(write(tmp_path, text))
    assert quiet(write(tmp_path, text), dayfirst=True)[1].available_at == pd.Timestamp(
        "2024-02-01 09:00"
    )


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%Y-%m-%d 00:00:00", "%d.%m.%Y", "%Y%m%d", "%b %d, %Y"]
)
def test_days_are_known_at_their_end(form, tmp_path):
    days = pd.date_range("2024-03-01", periods=20)
    text = "headline,date\n" + "".join(f"x{i},\"{t.strftime(form)}\"\n" for i, t in enumerate(days))
    found = quiet(write(tmp_path, text))
    assert [one.available_at for one in found] == list(
        days + pd.Timedelta("1D") - pd.Timedelta(1, "ns")
    )
    assert found[0].published_at is None
    assert "known at the end of the day" in str(found.reading)
    zoned = quiet(write(tmp_path, text), timezone="America/New_York")
    assert zoned[0].available_at.tz_convert("UTC") == pd.Timestamp(
        "2024-03-02 05:00Z"
    ) - pd.Timedelta(1, "ns")


def test_a_day_among_moments_is_known_at_its_end(tmp_path):
    text = "title,available_at\na,2024-03-01 10:15\nb,2024-03-02\nc,2024-03-03 11:20\n"
    found = quiet(write(tmp_path, text))
    assert found[1].available_at == pd.Timestamp("2024-03-03") - pd.Timedelta(1, "ns")
    assert found[0].available_at == pd.Timestamp("2024-03-01 10:15")


def test_the_bar_before_an_event_does_not_know_it(tmp_path):
    from sktrain.news import NewsAligner

    found = quiet(write(tmp_path, "headline,date\nevent at 15:00,2024-03-04\n"))
    bars = pd.DataFrame(
        {"close": 1.0},
        pd.DatetimeIndex(["2024-03-04 09:30", "2024-03-04 16:00", "2024-03-05 09:30"], name="time"),
    )
    vectors = pd.DataFrame([[1.0]]).to_numpy()
    table = NewsAligner().fit(found, vectors).transform(bars)
    assert table["n_articles"].tolist() == [0, 0, 1]


def test_columns_name_what_names_do_not(tmp_path):
    path = write(tmp_path, "what,when\nProfit,2024-03-01 10:00\n")
    with pytest.raises(
        SktrainError,
        match=r"no column for title and available_at; the columns are 'what', 'when'.*columns=\{'title': 'NAME'",
    ):
        read_news(path)
    found = read_news(path, columns={"title": "what", "available_at": "when"})
    assert found[0].title == "Profit"
    with pytest.raises(SktrainError, match="the roles are title"):
        read_news(path, columns={"headline": "what"})


def test_rows_that_are_no_articles(tmp_path):
    text = "title,available_at\na,2024-03-01 10:00\nb,soon\nc,2024-03-02 10:00\n"
    with pytest.raises(SktrainError, match="line 3 holds 'soon'"):
        read_news(write(tmp_path, text))
    found = quiet(write(tmp_path, text), bad_rows="drop")
    assert [one.title for one in found] == ["a", "c"]
    assert found.reading["dropped"] == {"rows without a time or a title": 1}


def test_a_line_separator_inside_a_headline_is_no_line(tmp_path):
    lines = [
        json.dumps(
            {"title": f"first\u2028second {i}", "available_at": "2024-03-01T10:00Z"},
            ensure_ascii=False,
        )
        for i in range(3)
    ]
    found = quiet(write(tmp_path, "\n".join(lines), "news.jsonl"))
    assert found[0].title == "first\u2028second 0"
    assert len(found) == 3


def test_a_symbol_for_a_file_without(tmp_path):
    found = quiet(write(tmp_path, "headline,time\nx,2024-03-01 10:00\n"), symbol="000001")
    assert found[0].symbols == ("000001",)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"<html><body>denied</body></html>", "web page"),
        (b'{"message": "key"}', "without a table"),
        (b"\x1f\x8b\x08", "damaged"),
    ],
)
def test_what_is_no_news_is_named(data, said, tmp_path):
    path = tmp_path / "news.json"
    path.write_bytes(data)
    with pytest.raises(SktrainError, match=f"news.json.*{said}"):
        read_news(path)


def test_symbols_inside_records(tmp_path):
    marks = [
        {"ticker": "AAPL", "relevance_score": "0.9"},
        {"ticker": "MSFT", "relevance_score": "0.1"},
    ]
    rows = [{**row, "ticker_sentiment": marks} for row in records()]
    articles = quiet(write(tmp_path, json.dumps({"feed": rows}), "a.json"))
    assert {one.symbols for one in articles} == {("AAPL", "MSFT")}
    frame = pd.DataFrame(rows)  # the records as text, as to_csv writes them
    articles = quiet(write(tmp_path, frame.to_csv(index=False)))
    assert {one.symbols for one in articles} == {("AAPL", "MSFT")}
    rows = [
        {**row, "entities": [{"symbol": "BMW.DE", "name": "BMW"}, {"name": "no symbol"}]}
        for row in records()
    ]
    articles = quiet(write(tmp_path, json.dumps(rows), "b.json"))
    assert {one.symbols for one in articles} == {("BMW.DE",)}


@pytest.mark.parametrize("form", ["%a %b %d %H:%M:%S +0000 %Y", "%Y%m%d %H:%M:%S Etc/UTC"])
def test_moments_that_carry_their_zone_in_odd_places(form, tmp_path):
    articles = quiet(write(tmp_path, pd.DataFrame(records(form=form)).to_csv(index=False)))
    assert [one.available_at for one in articles] == list(TIMES.tz_localize("UTC"))


def test_days_and_times_of_day_apart(tmp_path):
    frame = pd.DataFrame(
        {
            "标题": [f"新闻 {i}" for i in range(12)],
            "日期": TIMES.strftime("%Y-%m-%d"),
            "发布时间": TIMES.strftime("%H:%M:%S"),
        }
    )
    articles = quiet(write(tmp_path, frame.to_csv(index=False)))
    assert [one.available_at for one in articles] == list(TIMES)
    assert "times = 日期 + 发布时间" in str(articles.reading)
    german = frame.set_axis(["Schlagzeile", "Datum", "Uhrzeit"], axis=1)
    german["Datum"] = TIMES.strftime("%d.%m.%Y")
    assert [
        one.available_at for one in quiet(write(tmp_path, german.to_csv(index=False, sep=";")))
    ] == list(TIMES)
    with pytest.raises(SktrainError, match="have no day, and no other column has one"):
        quiet(write(tmp_path, frame.drop(columns="日期").to_csv(index=False)))


@pytest.mark.parametrize(
    "name",
    [
        "publishedAt", "published_at", "publishedat", "seendate", "webPublicationDate",
        "providerPublishTime",
    ],
)
def test_one_name_in_many_spellings(name, tmp_path):
    assert len(quiet(write(tmp_path, json.dumps(records(time=name)), "news.json"))) == 12


@pytest.mark.parametrize("name", ["crawlDate", "crawled_at", "scraped_at"])
def test_the_time_of_collection_is_when_an_article_was_there(name, tmp_path):
    rows = [
        {**row, name: f"{t + pd.Timedelta(minutes=3):%Y-%m-%dT%H:%M:%SZ}"}
        for row, t in zip(records(), TIMES)
    ]
    articles = quiet(write(tmp_path, json.dumps(rows), "news.json"))
    assert [one.available_at for one in articles] == list(
        (TIMES + pd.Timedelta(minutes=3)).tz_localize("UTC")
    )

"""read_news on the spellings of times, names and wrappings that files of news have; every answer is
known before."""

from functools import partial
import json

from helpers import quietly
import pandas as pd
import pytest

from sktrain.exceptions import DataQualityWarning, SktrainError
from sktrain.news import read_news

quiet = partial(quietly, read_news)

T = pd.date_range("2024-02-26 09:35", periods=14, freq="31h17min")
UTC, EAST = T.tz_localize("UTC"), T.tz_localize("America/New_York").tz_convert("UTC")
EST, INDIA = (
    T.tz_localize("Etc/GMT+5").tz_convert("UTC"),
    T.tz_localize("Asia/Kolkata").tz_convert("UTC"),
)
DAYS = T.normalize() + pd.Timedelta("1D") - pd.Timedelta(1, "ns")
LATER = "2024-08-01T08:00:00Z"
TITLES = [f"Item {i}: profit up, says board; more | later" for i in range(len(T))]


def read(tmp_path, text, name="news.csv", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return quiet(path, **options)


def table(columns, sep=","):
    return pd.DataFrame(columns).to_csv(index=False, sep=sep)


def stamps(form, times=T):
    return [t.strftime(form) for t in times]


def worded(names, form):
    months = names.split()
    return [form.format(d=t.day, m=months[t.month - 1], y=t.year, t=t) for t in T]


def check(articles, times, symbols=None, titles=None):
    assert [one.available_at for one in articles] == list(times)
    assert [one.title for one in articles] == (TITLES if titles is None else titles)
    assert symbols is None or {one.symbols for one in articles} == {symbols}


ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
SPELLINGS = {
    "clock, zone, weekday, day": (stamps("%-I:%M  %p ET %a, %d %B %Y"), EAST),
    "standard time": (stamps("%b %d, %Y %I:%M %p EST"), EST),
    "summer and standard time": (
        [
            t.tz_convert("America/New_York").strftime("%a, %d %b %Y %H:%M:%S ")
            + ("EDT" if t.tz_convert("America/New_York").dst() else "EST")
            for t in EAST
        ],
        EAST,
    ),
    "dotted month": (stamps("%b. %d, %Y, %-I:%M %p ET"), EAST),
    "RFC 2822": (stamps("%a, %d %b %Y %H:%M:%S +0000"), UTC),
    "RFC 2822 with GMT": (stamps("%a, %d %b %Y %H:%M:%S GMT"), UTC),
    "India": (stamps("%B %d, %Y / %I:%M %p IST"), INDIA),
    "a label": (stamps("Updated: %d %b %Y, %I:%M %p IST"), INDIA),
    "zone in brackets": (stamps("%Y-%m-%d %H:%M:%S (UTC)"), UTC),
    "JavaScript": (stamps("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"), UTC),
    "Java": (stamps("%a %b %d %H:%M:%S UTC %Y"), UTC),
    "at": (stamps("%B %d, %Y at %I:%M %p"), T),
    "ordinals": (
        [
            t.strftime("%B ") + f"{t.day}{ORDINALS.get(t.day, 'th')}" + t.strftime(", %Y %H:%M")
            for t in T
        ],
        T,
    ),
    "a bar between": (stamps("%d %b %Y | %H:%M"), T),
    "a dash between": (stamps("%b %d, %Y - %H:%M"), T),
    "clock first": (stamps("%H:%M, %d %b %Y"), T),
    "dotted clock": (stamps("%d %b, %Y, %I.%M %p"), T),
    "weekday inside": (stamps("%Y-%m-%d %A %H:%M"), T),
    "Chinese half days": (
        [
            t.strftime("%Y/%m/%d ") + ("上午" if t.hour < 12 else "下午") + t.strftime("%I:%M")
            for t in T
        ],
        T,
    ),
    "Korean half days": (
        [
            t.strftime("%Y.%m.%d. ") + ("오전" if t.hour < 12 else "오후") + t.strftime(" %-I:%M")
            for t in T
        ],
        T,
    ),
    "Japanese": (stamps("%Y年%m月%d日 %H時%M分"), T),
    "Taiwan": ([f"民國{t.year - 1911}年{t.month}月{t.day}日 {t:%H:%M}" for t in T], T),
    "German": (worded("Januar Februar März April", "{d}. {m} {y}, {t:%H:%M} Uhr"), T),
    "French": (worded("janvier février mars avril", "{d} {m} {y} à {t:%H}h{t:%M}"), T),
    "Spanish": (worded("enero febrero marzo abril", "{d} de {m} de {y} {t:%H:%M}"), T),
    "Portuguese": (stamps("%d/%m/%Y às %H:%M"), T),
    "Italian": (worded("gennaio febbraio marzo aprile", "{d} {m} {y} ore {t:%H:%M}"), T),
    "Russian": (worded("января февраля марта апреля", "{d} {m} {y}, {t:%H:%M}"), T),
    "Polish": (worded("stycznia lutego marca kwietnia", "{d} {m} {y} {t:%H:%M}"), T),
    "Turkish": (worded("Ocak Şubat Mart Nisan", "{d} {m} {y} {t:%H:%M}"), T),
    "Czech": (worded("ledna února března dubna", "{d}. {m} {y} {t:%H:%M}"), T),
    "Dutch": (worded("jan. feb. mrt. apr.", "{d} {m} {y} {t:%H:%M}"), T),
    "days with dashes": (stamps("%b-%d-%y"), DAYS),
    "serial days": ([(t - pd.Timestamp("1899-12-30")) / pd.Timedelta("1D") for t in T], T),
    "some fractions": (
        [f"{t:%Y-%m-%dT%H:%M:%S}{'.000' if i % 2 else ''}Z" for i, t in enumerate(T)],
        UTC,
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_times_as_newspapers_and_services_write_them(name, tmp_path):
    written, times = SPELLINGS[name]
    check(read(tmp_path, table({"title": TITLES, "published": written})), times)


def test_a_zone_with_two_meanings_is_asked_for(tmp_path):
    text = table({"title": TITLES, "date": stamps("%a %b %d %H:%M:%S CST %Y")})
    with pytest.raises(
        SktrainError, match="CST may be America/Chicago or Asia/Shanghai.*timezone="
    ):
        read(tmp_path, text)
    check(
        read(tmp_path, text, timezone="Asia/Shanghai"),
        T.tz_localize("Asia/Shanghai").tz_convert("UTC"),
    )


def test_some_times_with_a_zone_and_others_without(tmp_path):
    mixed = [f"{t:%Y-%m-%d %H:%M:%S}" + ("-05:00" if i % 2 else "") for i, t in enumerate(T)]
    text = table({"title": TITLES, "date": mixed})
    with pytest.raises(SktrainError, match="some times carry a zone, others none.*timezone="):
        read(tmp_path, text)
    times = [(EST if i % 2 else UTC)[i] for i in range(len(T))]
    found = read(tmp_path, text, timezone="UTC")
    assert [one.available_at for one in found] == sorted(times)


@pytest.mark.parametrize(
    "written", ["3 hours ago", "yesterday 10:15", "昨天 10:15", "Feb 26", "2 Feb 2024 evening"]
)
def test_times_that_do_not_say_when_are_refused(written, tmp_path):
    with pytest.raises(SktrainError, match="line 2 holds|no day or no year"):
        read(tmp_path, table({"title": TITLES, "date": [written] * len(T)}))


def test_the_name_of_a_column_tells_the_zone(tmp_path):
    check(read(tmp_path, table({"Date (ET)": stamps("%Y-%m-%d %H:%M"), "Headline": TITLES})), EAST)
    check(
        read(tmp_path, table({"TIMESTAMP_UTC": stamps("%Y-%m-%d %H:%M"), "HEADLINE": TITLES})), UTC
    )


@pytest.mark.parametrize(
    ("title", "time"),
    [
        ("標題", "發布時間"),
        ("タイトル", "公開日時"),
        ("제목", "작성일"),
        ("Überschrift", "Veröffentlichungsdatum"),
        ("Titre", "Date de publication"),
        ("titular", "fecha"),
        ("manchete", "data"),
        ("Titolo", "Data"),
        ("Заголовок", "Дата публикации"),
        ("Tytuł", "Data publikacji"),
        ("Başlık", "Tarih"),
        ("Titulek", "Datum"),
        ("Rubrik", "Publicerad"),
        ("Kop", "Datum"),
        ("judul", "tanggal"),
        ("News Headline", "Publication Date and Time"),
        ("article_headline", "article_published_at"),
        ("story_title", "story_date"),
        ("head", "dt"),
        ("NEWSSUB", "NEWS_DT"),
        ("title", "filed_at"),
        ("title", "showTime"),
        ("headline", "published_on"),
    ],
)
def test_names_in_many_languages(title, time, tmp_path):
    check(
        read(tmp_path, table({time: stamps("%Y-%m-%d %H:%M"), title: TITLES, "url": "x"}, sep=";")),
        T,
    )


@pytest.mark.parametrize(
    ("written", "symbols"),
    [
        ("AAPL MSFT", ("AAPL", "MSFT")),
        ("AAPL|MSFT", ("AAPL", "MSFT")),
        ("{AAPL,MSFT}", ("AAPL", "MSFT")),
        ("$AAPL, $MSFT", ("AAPL", "MSFT")),
        ("[AAPL, MSFT]", ("AAPL", "MSFT")),
        ("['AAPL' 'MSFT']", ("AAPL", "MSFT")),
        ("NYSE:IBM", ("NYSE:IBM",)),
        ("000001", ("000001",)),
        ("[]", ()),
    ],
)
def test_lists_of_symbols(written, symbols, tmp_path):
    check(
        read(
            tmp_path, table({"title": TITLES, "date": stamps("%Y-%m-%d %H:%M"), "tickers": written})
        ),
        T,
        symbols,
    )
    one = table({"title": TITLES, "date": stamps("%Y-%m-%d %H:%M"), "ticker": "BRK B"})
    check(read(tmp_path, one), T, ("BRK B",))  # a class of shares, not two symbols


def rows(title="title", time="published_at", form="%Y-%m-%dT%H:%M:%SZ", **more):
    return [{title: one, time: t.strftime(form), **more} for one, t in zip(TITLES, T)]


WRAPPED = {
    "a row in its content": [
        {"id": "x", "content": {"id": "x", "provider": {"name": "r"}, **row}}
        for row in rows(time="pubDate")
    ],
    "a listing": {
        "kind": "L",
        "data": {
            "after": None,
            "children": [
                {
                    "kind": "t3",
                    "data": {"title": one, "created_utc": t.timestamp(), "media": {"a": {"b": 1}}},
                }
                for one, t in zip(TITLES, UTC)
            ],
        },
    },
    "hits": {"hits": {"total": 14, "hits": [{"_index": "n", "_source": row} for row in rows()]}},
    "attributes": {
        "data": [
            {"id": "1", "attributes": row, "links": {"self": "x"}} for row in rows(time="publishOn")
        ]
    },
    "dates in records": [
        {"_id": {"$oid": "x"}, "title": one, "published": {"$date": f"{t:%Y-%m-%dT%H:%M:%SZ}"}}
        for one, t in zip(TITLES, T)
    ],
    "records by identifier": {f"a{i}f-{i}": row for i, row in enumerate(rows(source="x"))},
    "pages": [{"status": "ok", "articles": rows()[:7]}, {"status": "ok", "articles": rows()[7:]}],
    "columns": {
        "title": {str(i): one for i, one in enumerate(TITLES)},
        "date": {str(i): f"{t:%Y-%m-%dT%H:%M:%SZ}" for i, t in enumerate(T)},
    },
    "companies with more records than articles": {
        "data": rows(entities=[{"symbol": "IBM", "name": "I"}] * 9)
    },
    "a title in a record": {
        "items": [
            {"title": {"rendered": row["title"]}, "date_gmt": row["published_at"]} for row in rows()
        ]
    },
    "a title of the source": rows(source={"title": "Wire", "path": None}, title="headline"),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappings_of_json(name, tmp_path):
    check(read(tmp_path, json.dumps(WRAPPED[name]), "news.json"), UTC)


def test_pages_as_lines(tmp_path):
    check(
        read(tmp_path, "\n".join(json.dumps(page) for page in WRAPPED["pages"]), "news.jsonl"), UTC
    )


def test_names_of_stocks_in_records(tmp_path):
    found = read(
        tmp_path, json.dumps(rows(stocks=[{"name": "AAPL"}, {"name": "MSFT"}])), "news.json"
    )
    check(found, UTC, ("AAPL", "MSFT"))


def test_the_only_text_is_the_title(tmp_path):
    text = table(
        {"tweet_id": range(14), "post_date": stamps("%Y-%m-%d %H:%M"), "body": TITLES, "likes": 2}
    )
    check(read(tmp_path, text), T)


def test_files_without_names(tmp_path):
    body = "A much longer text that goes on and on for many words; " * 5
    lines = table({"a": stamps("%Y-%m-%d %H:%M:%S"), "b": "IBM", "c": TITLES, "d": body}).split(
        "\n", 1
    )[1]
    found = read(tmp_path, lines)
    check(found, T, ("IBM",))
    assert found[0].body == body
    assert "no header" in str(found.reading)
    twice = table({"a": stamps("%Y-%m-%d"), "b": stamps("%Y-%m-%d"), "c": TITLES}).split("\n", 1)[1]
    with pytest.raises(SktrainError, match="no column for title and available_at.*no header"):
        read(tmp_path, twice)


def test_two_titles_that_differ(tmp_path):
    lines = "".join(f'{t:%Y-%m-%d %H:%M},"{one}","other {one}"\n' for one, t in zip(TITLES, T))
    with pytest.raises(
        SktrainError, match=r"'title' stands more than once.*columns=\{'title': 2\}"
    ):
        read(tmp_path, "date,title,title\n" + lines)
    check(read(tmp_path, "date,title,title\n" + lines, columns={"title": 2}), T)


def test_marks_in_texts_divide_nothing(tmp_path):
    html = '<p>Hello &amp; <a href="x">bye</a>; a|b; c|d</p>'
    check(
        read(
            tmp_path,
            table({"title": TITLES, "content": html, "published": stamps("%Y-%m-%d %H:%M")}),
        ),
        T,
    )
    check(
        read(
            tmp_path,
            table(
                {"title": TITLES, "published": stamps("%Y-%m-%d %H:%M"), "ticker": "IBM"}, sep="\t"
            ),
            "n.tsv",
        ),
        T,
        ("IBM",),
    )


def test_empty_rows_are_counted_and_lines_stay_true(tmp_path):
    frame = pd.DataFrame({"title": TITLES, "date": stamps("%Y-%m-%d %H:%M")})
    frame.loc[2] = [None, None]
    found = read(tmp_path, frame.to_csv(index=False))
    assert found.reading["dropped"] == {"empty rows": 1}
    assert len(found) == len(T) - 1
    frame.loc[5, "date"] = "soon"
    with pytest.raises(SktrainError, match="line 7 holds 'soon'.*bad_rows='drop'"):
        read(tmp_path, frame.to_csv(index=False))


def test_frames_written_with_their_index(tmp_path):
    frame = pd.DataFrame({"title": TITLES, "tickers": [["AAPL", "MSFT"]] * len(T)}, index=T)
    frame.drop(columns="tickers").to_csv(tmp_path / "news.csv")
    check(quiet(tmp_path / "news.csv"), T)
    frame.rename_axis("date").reset_index().to_json(tmp_path / "news.json", date_format="iso")
    check(quiet(tmp_path / "news.json"), T, ("AAPL", "MSFT"))


def test_one_column_is_no_news(tmp_path):
    with pytest.raises(SktrainError, match="has one column only.*need a title and a time"):
        read(
            tmp_path,
            "\n".join(
                [
                    "headline",
                    *(one.replace(",", "").replace(";", "").replace("|", "") for one in TITLES),
                ]
            ),
        )


def test_one_midnight_among_moments_is_a_moment(tmp_path):
    times = UTC.insert(7, pd.Timestamp("2024-03-07", tz="UTC"))[:14]
    text = table(
        {"title": TITLES, "date": [t.strftime("%a, %d %b %Y %H:%M:%S +0000") for t in times]}
    )
    assert [one.available_at for one in read(tmp_path, text)] == sorted(times)


def test_the_only_column_of_times_and_the_only_one_of_sentences(tmp_path):
    text = table(
        {
            "headline": TITLES,
            "event_day_of_record": stamps("%Y-%m-%d %H:%M"),
            "updated": "2025-01-01 10:00",
            "score": 1,
        }
    )
    check(read(tmp_path, text), T)
    text = table(
        {"source": "Wire", "what they said": TITLES, "date": stamps("%Y-%m-%d %H:%M"), "score": 1}
    )
    check(read(tmp_path, text), T)


def test_days_in_three_columns(tmp_path):
    check(
        read(tmp_path, table({"Year": T.year, "Month": T.month, "Day": T.day, "headline": TITLES})),
        DAYS,
    )


STAMPS = pd.date_range("2024-02-01 09:00", periods=12, freq="137min", tz="UTC")


def test_rss_and_atom_feeds(tmp_path):
    items = "".join(
        f"<item><title>Profit of {i} &amp; more</title><description>Body {i}</description>"
        f"<pubDate>{t:%a, %d %b %Y %H:%M:%S} GMT</pubDate><guid "
        f"isPermaLink='false'>{i}</guid></item>"
        for i, t in enumerate(STAMPS)
    )
    rss = (
        "<?xml version='1.0'?><rss "
        f"version='2.0'><channel><title>Feed</title>{items}</channel></rss>"
    )
    entries = "".join(
        f"<entry><title type='html'>Profit of {i} &amp; more</title><id>{i}</id>"
        f"<published>{t:%Y-%m-%dT%H:%M:%SZ}</published><summary>Body {i}</summary></entry>"
        for i, t in enumerate(STAMPS)
    )
    atom = f"<feed xmlns='http://www.w3.org/2005/Atom'><title>Feed</title>{entries}</feed>"
    for name, text in (("feed.xml", rss), ("feed.atom", atom)):
        (tmp_path / name).write_text(text)
        with pytest.warns(DataQualityWarning, match="published_at is taken"):
            articles = read_news(tmp_path / name)
        assert [one.available_at for one in articles] == list(STAMPS)
        assert articles[3].title == "Profit of 3 & more"
        assert articles[3].body == "Body 3"


def test_all_names_in_order_and_other_calendars(tmp_path):
    rows = "\n".join(f"{t:%Y-%m-%d %H:%M},Profit of {i} rises again" for i, t in enumerate(STAMPS))
    (tmp_path / "a.csv").write_text(rows)
    articles = read_news(tmp_path / "a.csv", columns=["available_at", "title"])
    assert articles[0].available_at == STAMPS[0].tz_localize(None)
    (tmp_path / "b.csv").write_text("date,title\n1402-11-05,Profit rises again\n")
    with pytest.raises(SktrainError, match="Jalali"):
        read_news(tmp_path / "b.csv")


def test_lists_of_stories_under_several_keys_are_one_list(tmp_path):
    stories = [{"title": f"Item {i}", "published_at": f"{t:%FT%TZ}"} for i, t in enumerate(STAMPS)]
    tags = [{"tag": "gold", "count": 3}]
    document = {"urgent": [], "latest": stories[:3], "older": stories[2:], "trending": tags}
    articles = read(tmp_path, json.dumps(document), name="feed.json")
    assert [one.title for one in articles] == [one["title"] for one in stories]
    assert {one.symbols for one in articles} == {()}
    by_ticker = {"AAA": stories[:3], "BRK.B": stories[3:]}
    articles = read(tmp_path, json.dumps(by_ticker), name="feed.json")
    assert [one.symbols for one in articles][2:4] == [("AAA",), ("BRK.B",)]


@pytest.mark.parametrize("name", ["asset", "coin", "Security"])
def test_names_of_the_instrument(tmp_path, name):
    check(read(tmp_path, table({"date": T, "title": TITLES, name: "GLD"})), T, ("GLD",))


def test_a_zone_in_one_of_two_columns_of_times(tmp_path):
    columns = {"title": TITLES, "published": T.strftime("%FT%TZ"), "scraped_at": T}
    with pytest.raises(SktrainError, match="'scraped_at' have no zone.*timezone='UTC'.*'published'"):
        read(tmp_path, table(columns))
    check(read(tmp_path, table(columns), timezone="UTC"), UTC)
    check(read(tmp_path, table(columns), columns={"available_at": "published"}), UTC)


def test_headlines_that_are_all_empty(tmp_path):
    columns = {"headline": [""] * 14, "summary": [""] * 14, "created_at": T}
    with pytest.raises(SktrainError, match="no column for title"):
        read(tmp_path, table(columns))


def test_articles_inside_the_lines_of_queries(tmp_path):
    def query(asset, some):
        stories = [
            {"headline": title, "timestamp": f"{t:%F %T}+00:00", "content": "Text.", "score": 0.5}
            for title, t in some
        ]
        return {"query": asset.lower(), "asset": asset, "fetched_at": LATER, "articles": stories}

    pairs = list(zip(TITLES, T))
    found = read(
        tmp_path,
        "\n".join(map(json.dumps, [query("AAA", pairs[:6]), query("BBB", pairs[6:])])),
        name="queries.jsonl",
    )
    check(found[:6], UTC[:6], ("AAA",), titles=TITLES[:6])
    check(found[6:], UTC[6:], ("BBB",), titles=TITLES[6:])


def test_a_list_is_no_title(tmp_path):
    rows = [{"title": ["a", "b"], "published": f"{t:%FT%TZ}"} for t in T]
    with pytest.raises(SktrainError, match=r"row 1 holds .* in the column 'title', which is no"):
        read(tmp_path, json.dumps(rows), name="news.json")


def test_what_an_archive_collected_later_knows_is_said(tmp_path):
    columns = {"title": TITLES, "published": T.strftime("%FT%TZ"), "fetched_at": LATER}
    found = read(tmp_path, table(columns))
    assert {one.available_at for one in found} == {pd.Timestamp(LATER)}
    said = "known from fetched_at on, half of them over 148 days after published"
    assert said in str(found.reading)
    soon = columns | {"fetched_at": (T + pd.Timedelta("3min")).strftime("%FT%TZ")}
    reading = str(read(tmp_path, table(soon)).reading)
    assert "known from fetched_at on" in reading
    assert "half of them" not in reading


def test_feeds_of_two_spellings_in_one_column(tmp_path):
    mixed = [f"{t:%FT%TZ}" if i % 3 else f"{t:%a, %d %b %Y %T} GMT" for i, t in enumerate(T)]
    check(read(tmp_path, table({"title": TITLES, "pubDate": mixed})), UTC)
    half = [f"{t:%F %T}" if i % 3 else f"{t:%a, %d %b %Y %T} GMT" for i, t in enumerate(T)]
    with pytest.raises(SktrainError, match="some times carry a zone, others none"):
        read(tmp_path, table({"title": TITLES, "pubDate": half}))
    wild = [f"{t:%d/%m/%Y %T}" if i % 3 else f"{t:%d %b %Y %T}" for i, t in enumerate(T)]
    with pytest.raises(SktrainError, match="is no time that can be read"):
        read(tmp_path, table({"title": TITLES, "pubDate": wild}))


def test_headlines_without_times_name_their_columns(tmp_path):
    with pytest.raises(SktrainError, match="no column for available_at; the columns are '', 'lab"):
        read(tmp_path, pd.DataFrame({"label": "good", "headline": TITLES}).to_csv())


def test_texts_with_commas_beside_the_stories_are_no_table(tmp_path):
    stories = [{"title": a, "published_at": f"{t:%FT%TZ}"} for a, t in zip(TITLES, T)]
    log = ["schedule: not found, tried 1, 2, 3, 4, 5, 6 and 7"]
    document = {"_log": log, "topics": [{"name": "market", "items": stories}]}
    check(read(tmp_path, json.dumps(document), name="page.json"), UTC)


def test_records_inside_posts_are_parts_of_them(tmp_path):
    tags = [{"title": "T", "symbol": "ACME", "url": "u", "text": "$ACME", "name": "n"}] * 5
    posts = [
        {"id": i, "body": title, "created_at": t.strftime("%Y-%m-%dT%H:%M:%SZ"), "entities": tags}
        for i, (title, t) in enumerate(zip(TITLES, T))
    ]
    articles = read(tmp_path, "\n".join(map(json.dumps, posts)), "posts.jsonl")
    assert [a.title for a in articles] == TITLES
    assert [a.available_at for a in articles] == list(UTC)

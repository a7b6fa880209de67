"""NewsArticle and read_news: what is accepted, what is refused and in which words."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from sktrain import NewsArticle
from sktrain.exceptions import DataQualityWarning, SktrainError
from sktrain.news import read_news
from sktrain.news._articles import as_articles, collect_texts


def test_an_article_is_frozen_hashable_and_normalised():
    article = NewsArticle(
        "T", "2024-01-02", body="B", published_at="2024-01-01", symbols=["A", "B"], language="en"
    )
    assert article.available_at == pd.Timestamp("2024-01-02")
    assert article.symbols == ("A", "B")
    assert article.text == "T\nB"
    assert NewsArticle("T", "2024-01-02").text == "T"
    assert NewsArticle("", "2024-01-02", body="B").text == "B"
    assert hash(article) == hash(dataclasses.replace(article))
    with pytest.raises(dataclasses.FrozenInstanceError):
        article.title = "other"


@pytest.mark.parametrize("arguments, message", [
    ((None, "2024-01-01"), "title of an article must be a string, got None"),
    ((b"x", "2024-01-01"), "title of an article"),
    (("x", None), "has no available_at"),
    (("x", pd.NaT), "has no available_at"),
    (("x", "soon"), "no readable time: 'soon'"),
    (("x", 20240101), "must be a timestamp"),
    (("x", "NaT"), "has no available_at"),
    (("x", "9999-01-01"), "no readable time"),
])
def test_bad_articles_are_refused(arguments, message):
    with pytest.raises(SktrainError, match=message):
        NewsArticle(*arguments)


def test_times_must_agree():
    with pytest.raises(SktrainError, match="before it was published at 2024-01-02"):
        NewsArticle("x", "2024-01-01", published_at="2024-01-02")
    with pytest.raises(SktrainError, match="mix naive and zone-aware"):
        NewsArticle("x", "2024-01-02", published_at="2024-01-01 00:00Z")
    same = NewsArticle("x", "2024-01-01 00:00Z", published_at="2024-01-01 01:00+01:00")
    assert same.published_at == same.available_at


@pytest.mark.parametrize("symbols", [[1], [None], [""], 5, b"A"])
def test_symbols_are_strings(symbols):
    with pytest.raises(SktrainError, match="symbols"):
        NewsArticle("x", "2024-01-01", symbols=symbols)


def test_tables_become_articles():
    table = pd.DataFrame(
        {
            "title": ["a", "b"],
            "available_at": ["2024-01-01", pd.Timestamp("2024-01-02")],
            "symbols": ["A; B", None],
            "body": [None, "x"],
        }
    )
    one, two = as_articles(table)
    assert one.symbols == ("A", "B")
    assert (two.symbols, two.body) == ((), "x")
    with pytest.raises(SktrainError, match="available_at missing"):
        as_articles(table[["title"]])
    with pytest.raises(SktrainError, match="row 1.*no readable"):
        as_articles(table.assign(available_at=["2024-01-01", "?"]))


@pytest.fixture
def rows():
    return [
        {
            "title": "Später",
            "available_at": "2024-01-02T09:00:00Z",
            "symbols": "A;B",
            "language": "de",
        },
        {
            "title": "利润上涨",
            "available_at": "2024-01-01T09:00:00Z",
            "symbols": "",
            "language": "zh",
        },
    ]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
def test_files_are_read_in_order(rows, kind, tmp_path):
    path = tmp_path / f"news.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif kind == "parquet":
        pytest.importorskip("pyarrow")
        pd.DataFrame(rows).to_parquet(path)
    else:
        pd.DataFrame(rows).to_csv(path, index=False)
    first, second = read_news(path)
    assert (first.title, first.symbols, first.language) == ("利润上涨", (), "zh")
    assert (second.title, second.symbols) == ("Später", ("A", "B"))
    assert second.available_at == pd.Timestamp("2024-01-02 09:00Z")


def test_files_with_faults(tmp_path, rows):
    with pytest.raises(SktrainError, match="no news file"):
        read_news(tmp_path / "none.csv")
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{not json\n")
    with pytest.raises(SktrainError, match="cannot be read"):
        read_news(bad)
    late = tmp_path / "late.csv"
    late.write_text("title,published_at\nx,2024-01-01\n")
    with pytest.warns(DataQualityWarning, match="published_at is taken"):
        assert read_news(late)[0].available_at == pd.Timestamp("2024-01-02") - pd.Timedelta(1, "ns")
    twice = tmp_path / "twice.csv"
    pd.DataFrame(rows + rows[:1]).to_csv(twice, index=False)
    with pytest.warns(DataQualityWarning, match="1 articles stand more than once"):
        assert len(read_news(twice)) == 2


def test_a_zone_for_naive_files(tmp_path):
    path = tmp_path / "news.csv"
    path.write_text(
        "title,available_at\nx,2024-07-01 10:00\ny,2024-07-01 15:00Z\nempty body,2024-11-03 01:30\n"
    )
    times = [article.available_at for article in read_news(path, timezone="America/New_York")]
    assert times[:2] == [pd.Timestamp("2024-07-01 14:00Z"), pd.Timestamp("2024-07-01 15:00Z")]
    assert times[2] == pd.Timestamp("2024-11-03 06:30Z")  # the second pass of the repeated hour
    with pytest.raises(SktrainError, match="Mars"):
        read_news(path, timezone="Mars/Olympus")


def test_texts_in_all_their_forms():
    texts = ["a", "b"]
    article = NewsArticle("a", "2024-01-01")
    for X in (
        texts,
        tuple(texts),
        np.array(texts),
        np.array(texts, dtype=object).reshape(-1, 1),
        pd.Series(texts),
        pd.DataFrame({"t": texts}),
    ):
        assert collect_texts(X) == texts
    assert collect_texts([article, "b"]) == texts
    assert collect_texts(pd.DataFrame({"title": ["a"], "available_at": ["2024-01-01"]})) == ["a"]
    assert collect_texts([None, np.nan, pd.NA, ""]) == [""] * 4
    assert collect_texts(["\ud83d\ude00", "x\ud800y"]) == ["😀", "x\ufffdy"]


@pytest.mark.parametrize("X, message", [
    ("one text", "single str"),
    (b"bytes", "single bytes"),
    (5, "single int"),
    ([1], "Text 0 is int"),
    (["a", b"b"], "Text 1 is bytes"),
    (np.zeros((2, 2)), "shape"),
    (pd.DataFrame({"a": ["x"], "b": ["y"]}), "one column, got 2"),
])
def test_other_things_are_refused(X, message):
    with pytest.raises(SktrainError, match=message):
        collect_texts(X)

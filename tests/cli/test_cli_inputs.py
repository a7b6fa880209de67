"""Flags of the readers on the command line, and ``sktrain show``."""

import json

import pandas as pd
import pytest

from sktrain.cli import main
from sktrain.cli._parser import build_parser
from sktrain.datasets import load_sp500
from sktrain.trainer._sources import open_source

HEADER = "time,open,high,low,close,volume\n"


def hourly(days=4):
    times = pd.date_range("2024-03-04", periods=24 * days, freq="h")
    return HEADER + "".join(
        f"{t},{10 + i % 7},{20 + i % 7},{5 + i % 3},{11 + i % 7},{100 + i}\n"
        for i, t in enumerate(times)
    )


@pytest.mark.parametrize(
    "command", ["train", "predict model", "audit", "drift model", "search", "show"]
)
def test_every_command_that_reads_bars_takes_the_same_flags(command):
    words = (
        command.split()
        + ([] if command == "show" else ["--data"])
        + ["bars.csv", "--timezone", "UTC", "--no-dayfirst", "--encoding", "gb18030"]
    )
    words += [
        "--symbol", "A", "--bad-rows", "drop", "--incomplete-last", "drop", "--stamps", "open",
        "--columns", "time=t", "--columns", "open=o", "close=c",
    ]
    args = build_parser().parse_args(words)
    assert args.columns == ["time=t", "open=o", "close=c"]
    assert (args.timezone, args.dayfirst, args.encoding, args.symbol) == (
        "UTC", False, "gb18030", "A",
    )
    assert (args.bad_rows, args.incomplete_last, args.stamps) == ("drop", "drop", "open")


@pytest.mark.parametrize("command", ["train", "predict model", "show bars.csv"])
def test_every_command_that_reads_news_takes_the_same_flags(command):
    words = [
        "--news-columns", "title=h", "--news-timezone", "UTC", "--news-dayfirst", "--news-encoding",
        "utf-8", "--news-symbol", "A", "--news-bad-rows", "drop",
    ]
    args = build_parser().parse_args(command.split() + words)
    assert args.news_columns == ["title=h"]
    assert (args.news_timezone, args.news_dayfirst, args.news_encoding) == ("UTC", True, "utf-8")


def test_show_tells_what_was_understood(tmp_path, capsys):
    file = tmp_path / "bars.csv"
    file.write_text(
        "交易日,开,高,低,收,总手\n"
        + "".join(f"2024-03-0{d},10,12,9,11,{d}\n" for d in range(4, 9)),
        encoding="gb18030",
    )
    assert main(["show", str(file)]) == 0
    out = capsys.readouterr().out
    assert "5 bars, 2024-03-04 … 2024-03-08, daily; encoding gb18030" in out
    assert "volume = 总手" in out
    assert main(["show", str(file), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["reading"]["rows"] == 5
    assert [row["volume"] for row in document["last"]] == [6, 7, 8]


def test_show_knows_news_by_content_and_prints_doubts(tmp_path, capsys):
    file = tmp_path / "news.csv"
    file.write_text("headline,date\nProfit doubles,2024-03-01\n")
    assert main(["show", str(file)]) == 0
    out = capsys.readouterr().out
    assert "1 articles, 2024-03-01" in out
    assert "known at the end of the day" in out
    assert "suspicious: news.csv has no column available_at" in out


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        (HEADER.replace("close", "x") + "2024-01-01,1,2,1,1,5\n", [], "--columns close=x"),
        (HEADER + "01/02/2024,1,2,1,1,5\n02/02/2024,1,2,1,1,5\n", [], "--dayfirst"),
        (HEADER + "2024-01-01,1,2,1,,5\n2024-01-02,1,2,1,1,5\n", [], "line 2 (2024-01-01)"),
        (HEADER + "2024-01-01,1,2,1,1,5\n", ["--columns", "price=x"], "the roles are time"),
        (HEADER + "2024-01-01,1,2,1,1,5\n", ["--columns", "price"], "--columns needs ROLE=NAME"),
        (
            HEADER + "2024-01-01 10:00,1,2,1,1,5\n",
            ["--timezone", "Mars"],
            "--timezone Mars is no time zone",
        ),
    ],
)
def test_refusals_speak_in_flags_on_one_line(text, flags, said, tmp_path, capsys):
    file = tmp_path / "bars.csv"
    file.write_text(text)
    assert main(["show", str(file), *flags]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_flags_without_their_file_are_refused(capsys):
    assert main(["train", "--dayfirst"]) == 2
    assert "--dayfirst says how a file of bars is read; it needs --data" in capsys.readouterr().err


def test_clocks_that_cannot_be_compared_are_refused(tmp_path, capsys):
    (tmp_path / "bars.csv").write_text(hourly())
    (tmp_path / "zoned.csv").write_text(hourly().replace(":00:00,", ":00:00+00:00,"))
    (tmp_path / "naive.csv").write_text("title,available_at\nx,2024-03-04 10:30\n")
    (tmp_path / "aware.csv").write_text("title,available_at\nx,2024-03-04 10:30Z\n")
    call = ["train", "--out", str(tmp_path / "run"), "--embedding-model", str(tmp_path)]
    assert (
        main([*call, "--data", str(tmp_path / "zoned.csv"), "--news", str(tmp_path / "naive.csv")])
        == 2
    )
    assert "--news-timezone" in capsys.readouterr().err
    assert (
        main([*call, "--data", str(tmp_path / "bars.csv"), "--news", str(tmp_path / "aware.csv")])
        == 2
    )
    assert "--timezone" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_a_missing_stock(tmp_path):
    load_sp500().iloc[:40].to_csv(tmp_path / "GOOD.csv")
    (tmp_path / "BAD.csv").write_text("")
    with pytest.warns(UserWarning, match="1 of 2 files left out"):
        source = open_source(tmp_path)
    assert source.bars.index.unique("symbol").tolist() == ["GOOD"]
    assert "is empty" in source.missing["BAD"]
    assert source.name == str(tmp_path)


def test_show_prints_no_control_characters(tmp_path, capsys):
    file = tmp_path / "news.csv"
    file.write_text(
        "headline,date,ticker\nProfit \x1b[31mdoubles\x1b]0;owned\x07,2024-03-01T10:00Z,A\x1b[2J\n"
    )
    assert main(["show", str(file)]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\x07" not in said.out + said.err
    assert "\\x1b[31mdoubles" in said.out
    assert main(["show", str(file), "--json"]) == 0
    assert "\x1b" not in capsys.readouterr().out

"""NewsAligner against a loop over bars and articles, hand-worked numbers and perturbed futures."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest

from sktrain import NewsAligner, NewsArticle, with_history
from sktrain.exceptions import ColdStartWarning, DataQualityWarning, InvalidBarsError, SktrainError

NOW = pd.Timedelta(0)


def bars_of(times):
    return pd.DataFrame({"close": 1.0}, pd.DatetimeIndex(times))


def loop(
    times, articles, vectors, *, lag=NOW, lookback=1, half_life=None, bars_half_life=None,
    how="mean",
):
    """One bar after another, one article after another: the definition, as slowly as it can be
    said."""
    rows, counts = [], []
    for i, t in enumerate(times):
        since = times[i - lookback] if i >= lookback else pd.Timestamp.min
        seen = [
            (a.available_at + lag, v)
            for a, v in zip(articles, vectors)
            if since <= a.available_at + lag < t
        ]
        weights = []
        for when, _ in seen:
            first = next(k for k, other in enumerate(times) if other > when)
            age = (
                (i - first) / bars_half_life
                if bars_half_life
                else (t - when) / half_life
                if half_life
                else 0.0
            )
            if how == "attention" and not (half_life or bars_half_life):
                age = (t - when) / (t - times[i - 1]) if i else 0.0
            weights.append(0.5**age)
        counts.append(len(seen))
        if not seen:
            rows.append(np.zeros(vectors.shape[1]))
        elif how == "last":
            k = max(range(len(seen)), key=lambda k: (seen[k][0], k))
            rows.append(weights[k] * seen[k][1])
        else:
            total = sum(weights) if how == "attention" else max(1.0, sum(weights))
            rows.append(sum(w * v for w, (_, v) in zip(weights, seen)) / total)
    return np.array(rows), np.array(counts)


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    offsets=st.lists(st.integers(-20, 200), max_size=15),
    lag=st.sampled_from([0, 7]),
    how=st.sampled_from(["mean", "last", "attention"]),
    lookback=st.sampled_from([None, 1, 3]),
    half_life=st.sampled_from([None, "6h", 2.0]),
)
@pytest.mark.filterwarnings("ignore::sktrain.exceptions.ColdStartWarning")
def test_equals_the_loop(gaps, offsets, lag, how, lookback, half_life):
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(gaps), unit="h")
    articles = [
        NewsArticle(f"{i}", pd.Timestamp("2024-01-01") + pd.Timedelta(hours=h))
        for i, h in enumerate(offsets)
    ]
    vectors = np.random.default_rng(0).normal(size=(len(offsets), 2))
    if lookback is None and half_life == "6h":
        lookback = 1000  # ten half-lives of time: 60 hours
        articles = [a for a in articles if a.available_at >= times[0] - pd.Timedelta("40h")]
    out = (
        NewsAligner(f"{lag}h", half_life, lookback, how)
        .fit(articles, vectors[: len(articles)])
        .transform(bars_of(times))
    )
    depth = lookback or (20 if half_life == 2.0 else 1)
    rows, counts = loop(
        times,
        articles,
        vectors,
        lag=pd.Timedelta(hours=lag),
        lookback=depth,
        half_life=pd.Timedelta("6h") if half_life == "6h" else None,
        bars_half_life=half_life if half_life == 2.0 else None,
        how=how,
    )
    assert out["n_articles"].tolist() == counts.tolist()
    np.testing.assert_allclose(out.iloc[:, :-1], rows, atol=1e-12)


def test_an_article_on_the_stroke_belongs_to_the_next_bar():
    times = pd.date_range("2024-01-01", periods=4)
    news = [
        NewsArticle("stroke", times[1]),
        NewsArticle("a nanosecond before", times[2] - pd.Timedelta(1, "ns")),
    ]
    out = NewsAligner().fit(news, np.array([[2.0], [4.0]])).transform(bars_of(times))
    assert out["news_0"].tolist() == [0, 0, 3.0, 0]
    assert out["n_articles"].tolist() == [0, 0, 2, 0]


def test_lag_moves_an_article_to_a_later_bar():
    news = [NewsArticle("late", "2024-01-01 23:59")]
    out = (
        NewsAligner(lag="1min")
        .fit(news, [[1.0]])
        .transform(bars_of(pd.date_range("2024-01-01", periods=4)))
    )
    assert out["n_articles"].tolist() == [0, 0, 1, 0]


def test_half_life_halves_and_then_forgets():
    times = pd.date_range("2024-01-01", periods=6)
    out = (
        NewsAligner(half_life="1D", lookback=3)
        .fit([NewsArticle("x", times[0])], [[8.0]])
        .transform(bars_of(times))
    )
    assert out["news_0"].tolist() == [0, 4.0, 2.0, 1.0, 0, 0]
    in_bars = (
        NewsAligner(half_life=1, lookback=3)
        .fit([NewsArticle("x", times[0])], [[8.0]])
        .transform(bars_of(times))
    )
    assert in_bars["news_0"].tolist() == [0, 8.0, 4.0, 2.0, 0, 0]


def test_time_half_life_without_lookback_forgets_after_ten():
    times = pd.date_range("2024-01-01", periods=14)
    out = (
        NewsAligner(half_life="1D")
        .fit([NewsArticle("x", times[0])], [[1.0]])
        .transform(bars_of(times))
    )
    assert out["n_articles"].tolist() == [0] + [1] * 10 + [0] * 3


def panel(symbols, n=4):
    index = pd.MultiIndex.from_product(
        [symbols, pd.date_range("2024-01-01", periods=n)], names=["symbol", "time"]
    )
    return pd.DataFrame({"close": 1.0}, index)


def test_panels_route_by_symbol():
    bars = panel(["A", "B", "C"])
    day = "2024-01-02 09:00"
    news = [
        NewsArticle("a", day, symbols="A"),
        NewsArticle("ab", day, symbols=("A", "B")),
        NewsArticle("all", day),
        NewsArticle("b2", "2024-01-02 10:00", symbols="B"),
    ]
    vectors = np.array([[1.0], [10.0], [100.0], [7.0]])
    out = NewsAligner().fit(news, vectors).transform(bars)
    assert out["n_articles"].unstack("symbol").iloc[2].tolist() == [3, 3, 1]
    assert out["news_0"].unstack("symbol").iloc[2].tolist() == [37.0, 39.0, 100.0]
    assert out["n_articles"].sum() == 7
    last = NewsAligner(aggregation="last").fit(news, vectors).transform(bars)
    assert last["news_0"].unstack("symbol").iloc[2].tolist() == [100.0, 7.0, 100.0]
    shuffled = bars.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        NewsAligner().fit(news, vectors).transform(shuffled), out.loc[shuffled.index]
    )


def test_a_panel_equals_its_instruments_one_by_one():
    rng = np.random.default_rng(3)
    bars = panel(["A", "B"], n=30)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 30 * 24, 80), unit="h")
    who = rng.integers(0, 3, 80)
    news = [NewsArticle("x", t, symbols=("A", "B", ())[w]) for t, w in zip(when, who)]
    vectors = rng.normal(size=(80, 3))
    for options in ({}, {"half_life": 2.0}, {"aggregation": "attention", "lookback": 4}):
        whole = NewsAligner(**options).fit(news, vectors).transform(bars)
        for code, symbol in enumerate("AB"):
            mine = np.flatnonzero((who == code) | (who == 2))
            alone = (
                NewsAligner(**options)
                .fit([news[i] for i in mine], vectors[mine])
                .transform(bars.loc[symbol])
            )
            np.testing.assert_allclose(whole.loc[symbol], alone, atol=1e-12)


def test_symbol_of_a_single_instrument():
    news = [
        NewsArticle("a", "2024-01-01 09:00", symbols="A"),
        NewsArticle("b", "2024-01-01 09:00", symbols="B"),
        NewsArticle("all", "2024-01-01 09:00"),
    ]
    bars = bars_of(pd.date_range("2024-01-01", periods=2))
    assert NewsAligner().fit(news).transform(bars)["n_articles"].tolist() == [0, 3]
    assert NewsAligner(symbol="A").fit(news).transform(bars)["n_articles"].tolist() == [0, 2]


def test_unknown_symbols_are_left_out_and_said():
    news = [NewsArticle("z", "2024-01-01 09:00", symbols="aapl")]
    with pytest.warns(DataQualityWarning, match="'aapl'"):
        out = NewsAligner().fit(news, [[1.0]]).transform(panel(["AAPL"]))
    assert not out.to_numpy().any()


def test_a_slice_that_remembers_equals_the_whole():
    rng = np.random.default_rng(1)
    times = pd.date_range("2024-01-01", periods=200, freq="h")
    news = [
        NewsArticle("x", times[0] + pd.Timedelta(minutes=int(m)))
        for m in rng.integers(-3000, 12000, 300)
    ]
    bars = with_history(bars_of(times))
    for options in (
        {},
        {"half_life": 3.0},
        {"half_life": "2h", "lookback": 5},
        {"aggregation": "attention", "lookback": 3},
    ):
        aligner = NewsAligner(**options).fit(news, rng.normal(size=(300, 4)))
        whole = aligner.transform(bars)
        for rows in (slice(50, 90), [7, 3, 120], [199]):
            pd.testing.assert_frame_equal(aligner.transform(bars.iloc[rows]), whole.iloc[rows])


@settings(max_examples=40, deadline=None)
@given(
    cut=st.integers(1, 39),
    seed=st.integers(0, 1000),
    how=st.sampled_from(["mean", "last", "attention"]),
    half_life=st.sampled_from([None, "3h", 4.0]),
)
@pytest.mark.filterwarnings("ignore::sktrain.exceptions.ColdStartWarning")
def test_rows_do_not_move_when_the_future_is_poisoned(cut, seed, how, half_life):
    rng = np.random.default_rng(seed)
    times = pd.date_range("2024-01-01", periods=40, freq="h")
    minutes = rng.integers(-60, 2400, 60)
    news = [NewsArticle("x", times[0] + pd.Timedelta(minutes=int(m))) for m in minutes]
    vectors = rng.normal(size=(60, 2))
    clean = (
        NewsAligner(half_life=half_life, aggregation=how)
        .fit(news, vectors)
        .transform(bars_of(times))
    )
    past = [i for i, article in enumerate(news) if article.available_at < times[cut]]
    later = [
        NewsArticle("after the cut", times[cut] + pd.Timedelta(minutes=int(m)))
        for m in rng.integers(0, 600, 30)
    ]
    aligner = NewsAligner(half_life=half_life, aggregation=how)
    aligner.fit([news[i] for i in past] + later, np.vstack([vectors[past], np.full((30, 2), 1e6)]))
    dirty = aligner.transform(
        bars_of(
            [
                *times[: cut + 1],
                *(
                    times[cut]
                    + pd.to_timedelta(np.sort(rng.choice(5000, 20, replace=False)) + 1, unit="min")
                ),
            ]
        )
    )
    np.testing.assert_allclose(dirty.iloc[: cut + 1], clean.iloc[: cut + 1], atol=1e-12)


def test_zones_and_session_close():
    daily = bars_of(pd.date_range("2024-03-08", periods=4))  # clocks change on the 10th in New York
    news = [
        NewsArticle("in", "2024-03-11 19:59Z"),
        NewsArticle("out", "2024-03-11 20:00Z"),
        NewsArticle("winter", "2024-03-08 20:59Z"),
    ]
    aligner = NewsAligner(timezone="America/New_York", session_close="16:00").fit(news)
    assert aligner.transform(daily)["n_articles"].tolist() == [1, 0, 0, 1]
    local = daily.tz_localize("America/New_York")
    assert NewsAligner(session_close="16:00").fit(news).transform(local)["n_articles"].tolist() == [
        1, 0, 0, 1,
    ]
    with pytest.raises(SktrainError, match="stamped with their date"):
        NewsAligner(session_close="16:00").fit(news).transform(local.shift(freq="9h"))
    with pytest.raises(SktrainError, match="zone-aware, the bars' are naive.*timezone="):
        NewsAligner().fit(news).transform(daily)
    with pytest.raises(SktrainError, match="Mars"):
        NewsAligner(timezone="Mars/Olympus").fit(news)


def test_a_doubtful_hour_never_helps_a_bar():
    """01:30 happens twice when clocks go back: articles are taken at the second pass, bars at the
    first."""
    bars = bars_of(["2024-11-03 01:00", "2024-11-03 01:30", "2024-11-03 03:00"])
    news = [NewsArticle("x", "2024-11-03 01:15")]
    out = NewsAligner(timezone="America/New_York").fit(news).transform(bars)
    assert out["n_articles"].tolist() == [0, 0, 1]


def test_cold_slices_say_so():
    times = pd.date_range("2024-01-01", periods=10)
    news = [NewsArticle("old", "2023-06-01"), NewsArticle("x", "2024-01-05 12:00")]
    with pytest.warns(ColdStartWarning, match="2023-06-01"):
        out = NewsAligner().fit(news).transform(bars_of(times))
    assert out["n_articles"].iloc[0] == 1


@pytest.mark.parametrize("bad, message", [
    ({"lag": "-1h"}, "negative"),
    ({"lag": "soon"}, "time span"),
    ({"half_life": "0s"}, "longer than nothing"),
    ({"half_life": -1.0}, "half_life"),
    ({"lookback": 0}, "lookback"),
    ({"lookback": True}, "lookback"),
    ({"aggregation": "sum"}, "aggregation"),
    ({"session_close": "25:00"}, "time of day"),
])
def test_parameters_are_refused(bad, message):
    news = [NewsArticle("x", "2024-01-01")]
    with pytest.raises(ValueError, match=message):
        NewsAligner(**bad).fit(news, [[1.0]]).transform(bars_of(["2024-01-02"]))


def test_inputs_are_refused():
    news = [NewsArticle("x", "2024-01-01"), NewsArticle("y", "2024-01-02")]
    with pytest.raises(SktrainError, match="each of the 2 articles"):
        NewsAligner().fit(news, [[1.0]])
    with pytest.raises(SktrainError, match="row 1 is not finite"):
        NewsAligner().fit(news, [[1.0], [np.nan]])
    with pytest.raises(SktrainError, match="mix zone-aware and naive"):
        NewsAligner().fit([news[0], NewsArticle("z", "2024-01-02 00:00Z")])
    with pytest.raises(SktrainError, match="item 0 is str"):
        NewsAligner().fit(["x"])
    with pytest.raises(InvalidBarsError, match="index of times"):
        NewsAligner().fit(news).transform(pd.DataFrame({"close": [1.0]}))
    with pytest.raises(InvalidBarsError, match="stands twice"):
        NewsAligner().fit(news).transform(bars_of(["2024-01-02", "2024-01-02"]))


def test_no_articles_and_dtypes():
    times = pd.date_range("2024-01-01", periods=3)
    out = NewsAligner().fit([], np.empty((0, 2), dtype=np.float32)).transform(bars_of(times))
    assert out.shape == (3, 3)
    assert not out.to_numpy().any()
    assert (out.dtypes == np.float32).all()
    frame = pd.DataFrame({"tone": [1.0]})
    named = NewsAligner().fit([NewsArticle("x", times[0])], frame)
    assert named.get_feature_names_out().tolist() == ["tone", "n_articles"]
    assert named.transform(bars_of(times))["tone"].tolist() == [0, 1.0, 0]

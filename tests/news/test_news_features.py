"""NewsFeatures in pipelines on bars: equal to encoder and aligner by hand, causal, exact inside
folds, and worth something."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from sktrain import (
    BarFeatures,
    EnhancedWalkForwardCV,
    LeakageValidator,
    NewsAligner,
    NewsArticle,
    PretrainedNewsEncoder,
    SlidingWindow,
    with_history,
)
from sktrain.datasets import load_headlines, make_market, make_news
from sktrain.exceptions import ColdStartWarning, SktrainError
from sktrain.news import NewsFeatures, with_news


@pytest.fixture(scope="module")
def market():
    return make_market(400, signal=0.0, random_state=0)


@pytest.fixture(scope="module")
def news(market):
    return make_news(market, signal=0.9, random_state=0).articles


@pytest.fixture(scope="module")
def bars(market, news):
    return with_news(market.bars, news)


def test_headlines_are_whole():
    table = load_headlines()
    assert table.groupby(["tone", "language"]).size().to_dict() == {
        (t, la): n for t in ("bad", "good", "neutral") for la, n in (("en", 30), ("zh", 20))
    }
    assert table["headline"].str.contains("{name}", regex=False).all()
    assert table["headline"].is_unique


def test_make_news_plants_what_it_says(market):
    made = make_news(market, signal=0.6, coverage=0.8, random_state=1)
    articles = made.articles
    times = market.bars.index
    # the first bar at or after it
    at = np.searchsorted(times, articles["available_at"], side="left")
    assert (times[at] > articles["available_at"]).all()
    assert (articles["published_at"] > times[at - 1]).all()
    assert (articles["published_at"] <= articles["available_at"]).all()
    assert articles["available_at"].is_monotonic_increasing
    right = (made.tones.to_numpy() == np.asarray(market.y)[at]).mean()
    assert abs(right - (0.6 + 0.4 / 3)) < 0.08
    assert abs(len(articles) / len(times) - 0.8) < 0.08
    assert made.news_accuracy == pytest.approx(0.8 * (0.6 + 0.4 / 3) + 0.2 / 3)
    silent = make_news(market, signal=0.0, random_state=1)
    at = np.searchsorted(times, silent.articles["available_at"], side="left")
    assert abs((silent.tones.to_numpy() == np.asarray(market.y)[at]).mean() - 1 / 3) < 0.08
    pd.testing.assert_frame_equal(
        make_news(market, random_state=3).articles, make_news(market, random_state=3).articles
    )
    for bad in ({"signal": 1.5}, {"coverage": -0.1}, {"languages": ("fr",)}, {"languages": ()}):
        with pytest.raises(SktrainError, match=next(iter(bad))):
            make_news(market, **bad)
    panel = make_news(make_market(50, n_symbols=2, random_state=0), random_state=0)
    assert set(panel.articles["symbols"]) == {"S0", "S1"}
    assert set(make_news(market, languages="zh", random_state=0).articles["language"]) == {"zh"}


def test_equals_encoder_and_aligner_by_hand(bars, news, bert):
    encoder = PretrainedNewsEncoder(bert, embed_dim=None, max_length=64)
    out = NewsFeatures(encoder).fit(bars).transform(bars)
    articles = bars.attrs["news"].articles
    vectors = encoder.fit_transform(list(articles))
    expected = NewsAligner().fit(list(articles), vectors).transform(bars)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    assert out.columns.tolist() == expected.columns.tolist()
    assert NewsFeatures(encoder).fit(bars).get_feature_names_out().tolist() == out.columns.tolist()


def test_beside_bar_features_and_before_windows(bars):
    features = NewsFeatures(TfidfVectorizer(max_features=5), features=BarFeatures())
    out = features.fit_transform(bars)
    pd.testing.assert_frame_equal(
        out.iloc[:, :-6], BarFeatures().fit_transform(bars), check_like=False
    )
    assert out.columns.tolist() == features.get_feature_names_out().tolist()
    windows = make_pipeline(clone(features), SlidingWindow(5)).fit(bars.iloc[:300])
    inside = np.asarray(windows.transform(bars.iloc[350:360]))
    values = windows[0].transform(bars).to_numpy()
    np.testing.assert_allclose(inside[0], values[346:351], atol=1e-6)


@pytest.mark.parametrize(
    "aligner", [None, NewsAligner(half_life=2.0), NewsAligner(aggregation="attention", lookback=3)]
)
def test_a_fold_equals_the_whole(bars, aligner):
    fitted = NewsFeatures(TfidfVectorizer(max_features=5), aligner).fit(bars.iloc[:300])
    whole = fitted.transform(bars)
    pd.testing.assert_frame_equal(fitted.transform(bars.iloc[310:330]), whole.iloc[310:330])
    pd.testing.assert_frame_equal(
        pickle.loads(pickle.dumps(fitted)).transform(bars.iloc[[320, 5]]), whole.iloc[[320, 5]]
    )


def test_fresh_bars_continue_where_fit_ended(bars, news, market):
    fitted = NewsFeatures(
        TfidfVectorizer(max_features=5), NewsAligner(half_life=2.0, lookback=4)
    ).fit(bars.iloc[:300])
    whole = fitted.transform(bars)
    fresh = pd.DataFrame(
        market.bars.iloc[300:310].to_numpy(), market.bars.index[300:310], market.bars.columns
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = fitted.transform(with_news(fresh, news))
    pd.testing.assert_frame_equal(out, whole.iloc[300:310], check_freq=False)
    with pytest.warns(ColdStartWarning):
        fitted.transform(
            with_news(fresh.iloc[5:].set_axis(fresh.index[5:] + pd.Timedelta("400D")), news)
        )


def test_the_encoder_learns_only_from_what_was_known(bars):
    fitted = NewsFeatures(TfidfVectorizer()).fit(bars.iloc[:100])
    end = bars.index[99]
    known = [article.text for article in bars.attrs["news"].articles if article.available_at < end]
    assert fitted.encoder_.vocabulary_ == TfidfVectorizer().fit(known).vocabulary_


def test_no_value_moves_when_the_future_does(bars, bert):
    model = NewsFeatures(
        PretrainedNewsEncoder(bert, embed_dim=3, max_length=64), NewsAligner(half_life="1D")
    )
    assert LeakageValidator().check_causality(model, bars)["passed"]
    fitted = model.fit(bars.iloc[:200])
    clean = fitted.transform(bars)
    kept = [
        article for article in bars.attrs["news"].articles if article.available_at < bars.index[250]
    ]
    late = [
        NewsArticle("bank falls " * 9, bars.index[250] + pd.Timedelta(hours=h)) for h in range(50)
    ]
    dirty = fitted.transform(with_news(bars, kept + late))
    pd.testing.assert_frame_equal(dirty.iloc[:251], clean.iloc[:251])
    assert not np.allclose(dirty.iloc[251:], clean.iloc[251:])
    refit = clone(model).fit(with_news(bars, kept + late).iloc[:200])
    np.testing.assert_array_equal(refit.encoder_.components_, fitted.encoder_.components_)


@pytest.mark.filterwarnings("ignore::sktrain.exceptions.StaleHistoryWarning")
def test_panels(bert):
    market = make_market(60, n_symbols=2, random_state=0)
    bars = with_news(market.bars, make_news(market, random_state=0).articles)
    out = NewsFeatures(PretrainedNewsEncoder(bert, embed_dim=2, max_length=64)).fit_transform(bars)
    for symbol in ("S0", "S1"):
        own = [a for a in bars.attrs["news"].articles if a.symbols == (symbol,)]
        expected = NewsAligner().fit(own).transform(market.bars.loc[symbol])["n_articles"]
        assert out.loc[symbol, "n_articles"].tolist() == expected.tolist()


def test_news_carries_signal_through_walk_forward(market, bars):
    y = market.y
    cv = EnhancedWalkForwardCV(3, min_samples_per_fold=50, ensure_regime_coverage=False)
    model = make_pipeline(NewsFeatures(TfidfVectorizer()), LogisticRegression(max_iter=500))
    told = cross_val_score(model, bars, y, cv=cv, scoring="balanced_accuracy").mean()
    silent = with_news(market.bars, make_news(market, signal=0.0, random_state=0).articles)
    untold = cross_val_score(model, silent, y, cv=cv, scoring="balanced_accuracy").mean()
    assert told > 0.5
    assert untold < 0.42


def test_handles_survive_what_pandas_does(bars, tmp_path):
    assert bars.iloc[5:10].attrs["news"] is bars.attrs["news"]
    assert pickle.loads(pickle.dumps(bars)).attrs["news"] == bars.attrs["news"]
    assert with_history(bars).attrs["news"] is bars.attrs["news"]
    assert repr(bars.attrs["news"]).endswith("articles)")


def test_the_share_of_bars_a_model_may_know(bars):
    encoder = PretrainedNewsEncoder(knowledge_cutoff=bars.index[100])
    assert NewsFeatures(encoder).knowledge_overlap(bars) == 100 / 400
    assert np.isnan(NewsFeatures(TfidfVectorizer()).knowledge_overlap(bars))


def test_refusals(market, bars):
    with pytest.raises(SktrainError, match="carry no news"):
        NewsFeatures(TfidfVectorizer()).fit(market.bars)
    with pytest.raises(SktrainError, match="fine-tune on labelled texts first"):
        NewsFeatures(PretrainedNewsEncoder(freeze_encoder=False)).fit(bars)
    with pytest.raises(ValueError, match="encoder"):
        NewsFeatures("bert").fit(bars)
    with pytest.raises(SktrainError, match="DataFrame indexed by time"):
        with_news([1, 2], [])


def test_headlines_need_a_market_with_labels():
    with pytest.raises(SktrainError, match="market must be what make_market gives"):
        make_news(make_market(60, random_state=0).bars)

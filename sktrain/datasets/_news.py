"""Synthetic news with a planted relation to a market.

Every article becomes available between two bars, and its tone tells, with a known reliability, the
label of the later bar: an outcome that no bar shows yet. At ``signal=0`` tones are drawn without
looking at the labels.
"""

from collections.abc import Sequence
from importlib.resources import as_file, files

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_random_state

from .._history import segment_starts
from .._typing import RandomState
from .._validation import check_number
from ..exceptions import SktrainError
from ._market import make_market

__all__ = ["load_headlines", "make_news"]

_TONES = ("bad", "neutral", "good")  # as the labels 0, 1, 2
_NAMES = {
    "en": (
        "Alder Works", "Borealis Foods", "Corvid Motors", "Dunmore Steel", "Ember Energy",
        "Fathom Shipping", "Gable Homes", "Harrow Bank",
    ),
    "zh": (
        "青松科技", "北辰食品", "长河汽车", "鼎新钢铁", "东曜能源", "远帆航运", "安居地产", "恒信银行",
    ),
}


def load_headlines() -> pd.DataFrame:
    """The bundled headlines: 90 in English and 60 in Chinese, a third of each good, neutral and bad
    news.

    Returns
    -------
    DataFrame, shape (150, 3)
        ``tone`` ("bad", "neutral", "good"), ``language`` ("en", "zh") and ``headline``, with
        ``{name}`` where a company's name goes.

    Notes
    -----
    Written for this project; the companies are invented.

    Examples
    --------
    >>> from sktrain.datasets import load_headlines
    >>> load_headlines().shape
    (150, 3)
    """
    with as_file(files("sktrain.datasets") / "data" / "headlines.csv") as path:
        return pd.read_csv(path, dtype=str, encoding="utf-8")


def make_news(
    market: Bunch | None = None,
    *,
    signal: float = 0.8,
    coverage: float = 0.9,
    languages: Sequence[str] = ("en", "zh"),
    random_state: RandomState = None,
) -> Bunch:
    """Write headlines for a market, some of which know what will happen.

    Before each bar, with probability ``coverage``, one article about its instrument becomes
    available. With probability ``signal`` its tone is that of the bar's label (bad 0, neutral 1,
    good 2), else it is drawn at random: with equally likely labels, the tone is right with
    probability ``signal + (1 - signal) / 3``.

    Parameters
    ----------
    market : Bunch, optional
        From ``make_market``; default ``make_market(random_state=random_state)``.
    signal : float in [0, 1], default=0.8
        How often an article knows the label; 0 leaves nothing to find.
    coverage : float in [0, 1], default=0.9
        Share of bars with an article.
    languages : sequence of {"en", "zh"}, default=("en", "zh")
        Languages of the headlines, equally often.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    Bunch
        ``articles`` : DataFrame in order of availability: ``title``, ``available_at``,
        ``published_at`` (some minutes before; never earlier than the bar before), ``symbols``
        (text; empty for a market of one instrument) and ``language``. ``NewsAligner``,
        ``with_news`` and the encoder take it as it is. ``tones`` : Series of int in {0, 1, 2}, the
        tone of each article. ``news_accuracy`` : float, expected accuracy of the best classifier
        that reads nothing but the news. ``market`` : Bunch, the market.

    Raises
    ------
    SktrainError
        When a parameter is out of range or a language is unknown.

    Examples
    --------
    >>> from sktrain.datasets import make_market, make_news
    >>> news = make_news(make_market(500, random_state=0), random_state=0)
    >>> list(news.articles.columns)
    ['title', 'available_at', 'published_at', 'symbols', 'language']
    >>> round(news.news_accuracy, 3)
    0.813
    """
    languages = _check(signal, coverage, languages)
    rng = check_random_state(random_state)
    market = make_market(random_state=rng) if market is None else market
    if not (hasattr(market, "bars") and hasattr(market, "y")):
        raise SktrainError(
            f"market must be what make_market gives, with bars and their labels y; got a "
            f"{type(market).__name__}. Headlines are planted from the labels."
        )
    rows = _covered(market.bars.index, coverage, rng)
    tones = np.where(
        rng.uniform(size=len(rows)) < signal,
        np.asarray(market.y)[rows],
        rng.randint(3, size=len(rows)),
    )
    articles = _articles(market.bars.index, rows, tones, languages, rng)
    order = np.argsort(articles["available_at"].to_numpy(), kind="stable")
    right = signal + (1 - signal) / 3
    return Bunch(
        articles=articles.iloc[order].reset_index(drop=True),
        tones=pd.Series(tones[order].astype(np.int64), name="tone"),
        news_accuracy=coverage * right + (1 - coverage) / 3,
        market=market,
    )


def _check(signal, coverage, languages):
    check_number("signal", signal, 0, 1)
    check_number("coverage", coverage, 0, 1)
    languages = (languages,) if isinstance(languages, str) else tuple(languages)
    unknown = [language for language in languages if language not in _NAMES]
    if unknown or not languages:
        raise SktrainError(f"languages must be some of {', '.join(_NAMES)}, got {languages!r}.")
    return languages


def _covered(index, coverage, rng):
    """Positions of the rows that get an article; the first bar of an instrument has none before it
    to be later than."""
    allowed = np.ones(len(index), dtype=bool)
    allowed[segment_starts(index)] = False
    return np.flatnonzero(allowed & (rng.uniform(size=len(index)) < coverage))


def _articles(index, rows, tones, languages, rng):
    times = pd.DatetimeIndex(index.get_level_values(-1)).as_unit("ns")
    before, until = times.asi8[rows - 1], times.asi8[rows]
    available = before + ((until - before) * rng.uniform(0.05, 0.95, size=len(rows))).astype(
        np.int64
    )
    published = before + ((available - before) * rng.uniform(0.5, 1.0, size=len(rows))).astype(
        np.int64
    )
    spoken = np.array(languages, dtype=object)[rng.randint(len(languages), size=len(rows))]
    panel = isinstance(index, pd.MultiIndex)
    stamps = [
        pd.DatetimeIndex(values, tz="UTC" if times.tz is not None else None)
        for values in (available, published)
    ]
    return pd.DataFrame(
        {
            "title": _titles(tones, spoken, rng),
            "available_at": stamps[0],
            "published_at": stamps[1],
            "symbols": [str(symbol) for symbol in index.get_level_values(0)[rows]] if panel else "",
            "language": spoken,
        }
    )


def _titles(tones, spoken, rng):
    """A headline of the right tone and language for each article, with a company's name in it."""
    table = load_headlines()
    titles = np.empty(len(tones), dtype=object)
    for code, tone in enumerate(_TONES):
        for language in _NAMES:
            own = np.flatnonzero((tones == code) & (spoken == language))
            texts = table.loc[
                (table["tone"] == tone) & (table["language"] == language), "headline"
            ].to_numpy()
            names = np.array(_NAMES[language], dtype=object)
            picked = zip(
                texts[rng.randint(len(texts), size=len(own))],
                names[rng.randint(len(names), size=len(own))],
            )
            titles[own] = [text.format(name=name) for text, name in picked]
    return titles

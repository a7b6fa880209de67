"""What an article is: a title, and the moment from which it could be read.

One article, a list of them or a table is checked: texts are strings, every article carries the time
at which it was *available*, which is never before it was published. Only availability decides what
a bar may know.
"""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from ..exceptions import SktrainError

__all__ = ["ArticleTimes", "NewsArticle", "article_times", "as_articles", "collect_texts"]


@dataclass(frozen=True)
class NewsArticle:
    """One article, and the moment from which a reader could have acted on it.

    Parameters
    ----------
    title : str
        The headline. May be empty: such an article counts as an article and gives a zero vector.
    available_at : Timestamp, datetime or str
        When it reached you: the only time that joins it to bars. For a feed, the time of receipt;
        for an archive, the time of publication plus what the archive needed.
    body : str, default=""
        The text below the headline.
    published_at : Timestamp, datetime or str, optional
        When it was written, according to its source. With a time zone exactly when ``available_at``
        has one.
    symbols : str or iterable of str, default=()
        Instruments it is about; none means all of them.
    language : str, optional
        Such as ``"en"`` or ``"zh"``; kept, not interpreted.

    Attributes
    ----------
    text : str
        Title and body, what an encoder reads.

    Raises
    ------
    SktrainError
        When a text is not a string, a time is missing or unreadable, the two times mix naive and
        aware, or the article is said to be available before it was published.

    Examples
    --------
    >>> from sktrain import NewsArticle
    >>> NewsArticle("Profit doubles", "2024-03-01 14:30", symbols="AAPL").symbols
    ('AAPL',)
    """

    title: str
    available_at: pd.Timestamp
    _: KW_ONLY
    body: str = ""
    published_at: pd.Timestamp | None = None
    symbols: tuple[str, ...] = ()
    language: str | None = None

    def __post_init__(self):
        for name in ("title", "body"):
            if not isinstance(getattr(self, name), str):
                raise SktrainError(
                    f"{name} of an article must be a string, got {getattr(self, name)!r}."
                )
        if self.language is not None and not isinstance(self.language, str):
            raise SktrainError(
                f"language of an article must be a string or None, got {self.language!r}."
            )
        object.__setattr__(
            self, "available_at", _timestamp("available_at", self.available_at, self.title)
        )
        object.__setattr__(self, "symbols", _symbols(self.symbols))
        if not _missing(self.published_at):
            object.__setattr__(
                self, "published_at", _timestamp("published_at", self.published_at, self.title)
            )
            self._check_order()
        else:
            object.__setattr__(self, "published_at", None)

    def _check_order(self):
        assert self.published_at is not None  # else there is no order to check
        if (self.published_at.tzinfo is None) != (self.available_at.tzinfo is None):
            raise SktrainError(
                f"Article {_short(self.title)}: published_at ({self.published_at}) and "
                f"available_at ({self.available_at}) mix naive "
                "and zone-aware times. Give both a time zone, or neither."
            )
        if self.available_at < self.published_at:
            raise SktrainError(
                f"Article {_short(self.title)} is available at {self.available_at}, before it was "
                f"published at {self.published_at}. "
                "Nobody can read it then: correct one of the times."
            )

    @property
    def text(self) -> str:
        """Title and body in one string; either alone where the other is empty."""
        return f"{self.title}\n{self.body}" if self.title and self.body else self.title or self.body


def _short(text):
    return repr(text if len(text) <= 40 else text[:39] + "…")


def _missing(value):
    return (
        value is None
        or value is pd.NaT
        or value is pd.NA
        or (isinstance(value, float) and np.isnan(value))
    )


def _timestamp(name, value, title):
    if _missing(value):
        raise SktrainError(
            f"Article {_short(title)} has no {name}. Without it nobody can say which bars may "
            "know it."
        )
    if not isinstance(value, (str, date, datetime, np.datetime64)):
        raise SktrainError(
            f"{name} of article {_short(title)} must be a timestamp or its text, got {value!r}. "
            "Convert numbers with pd.to_datetime."
        )
    try:
        stamp = pd.Timestamp(value)
        stamp.as_unit("ns")
    except ValueError as error:  # unreadable, or outside the years that nanoseconds reach
        raise SktrainError(
            f"{name} of article {_short(title)} is no readable time: {value!r}."
        ) from error
    if stamp is pd.NaT:
        raise SktrainError(
            f"Article {_short(title)} has no {name}. Without it nobody can say which bars may "
            "know it."
        )
    return stamp


def _symbols(value):
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        raise SktrainError(f"symbols of an article must be strings, got {value!r}.")
    symbols = tuple(value)
    for symbol in symbols:
        if not isinstance(symbol, str) or not symbol:
            raise SktrainError(f"symbols of an article must be non-empty strings, got {symbol!r}.")
    return symbols


def as_articles(articles):
    """Take articles as a list of :class:`NewsArticle`, or as a table with at least ``title`` and
    ``available_at``.

    Parameters
    ----------
    articles : iterable of NewsArticle, or DataFrame
        In any order. A table may also have ``body``, ``published_at``, ``symbols`` (lists, or text
        such as ``"AAPL;MSFT"``) and ``language``; other columns are ignored.

    Returns
    -------
    list of NewsArticle
        In the given order.
    """
    if isinstance(articles, pd.DataFrame):
        return _from_table(articles)
    if isinstance(articles, (str, bytes, Mapping, NewsArticle)) or not isinstance(
        articles, Iterable
    ):
        raise SktrainError(
            f"articles must be a list of NewsArticle or a DataFrame, got {type(articles).__name__}."
        )
    articles = list(articles)
    for row, article in enumerate(articles):
        if not isinstance(article, NewsArticle):
            raise SktrainError(
                f"articles: item {row} is {type(article).__name__} ({article!r:.60}), expected a "
                "NewsArticle."
            )
    return articles


def _from_table(table):
    missing = [name for name in ("title", "available_at") if name not in table.columns]
    if missing:
        raise SktrainError(
            f"A table of articles needs the columns title and available_at; {', '.join(missing)} "
            f"missing, found {list(table.columns)!r}."
        )
    names = [
        name
        for name in ("title", "available_at", "body", "published_at", "symbols", "language")
        if name in table.columns
    ]
    articles = []
    for row, values in enumerate(zip(*(table[name].tolist() for name in names))):
        fields = dict(zip(names, values))
        fields["symbols"] = _split_symbols(fields.get("symbols"))
        for name in ("title", "body"):
            if _missing(fields.get(name)):
                fields[name] = ""
        if _missing(fields.get("language")):
            fields["language"] = None
        try:
            articles.append(NewsArticle(fields.pop("title"), fields.pop("available_at"), **fields))
        except SktrainError as error:
            raise SktrainError(f"articles: row {row}: {error}") from error
    return articles


def _split_symbols(value):
    if isinstance(value, str):
        return tuple(part.strip() for part in value.replace(",", ";").split(";") if part.strip())
    return () if _missing(value) else value


@dataclass(frozen=True)
class ArticleTimes:
    """When n articles were available.

    Attributes
    ----------
    times : ndarray of int64, shape (n,)
        Nanoseconds since 1970: UTC when ``aware``, else on the clock of whoever wrote them.
    aware : bool or None
        Whether the times carry a zone; None without articles.
    """

    times: np.ndarray
    aware: bool | None


def article_times(articles):
    """Read the times of availability, refusing a mix of naive and aware ones."""
    aware = np.array([article.available_at.tzinfo is not None for article in articles], dtype=bool)
    if aware.any() and not aware.all():
        one, other = articles[int(np.argmax(aware))], articles[int(np.argmin(aware))]
        raise SktrainError(
            f"Articles mix zone-aware and naive times: {_short(one.title)} at {one.available_at}, "
            f"{_short(other.title)} at {other.available_at}. Give all of them a time zone, or none."
        )
    times = np.array(
        [article.available_at.as_unit("ns").value for article in articles], dtype=np.int64
    )
    return ArticleTimes(times, bool(aware[0]) if len(aware) else None)


def collect_texts(X):
    """Take texts in any of the accepted forms as a list of clean strings; what is missing becomes
    ``""``.

    Lone surrogates, which no tokenizer accepts, become the replacement character.
    """
    if isinstance(X, pd.DataFrame):
        if {"title", "available_at"} <= set(X.columns):
            return [_clean(article.text, row) for row, article in enumerate(as_articles(X))]
        if X.shape[1] != 1:
            raise SktrainError(
                f"Texts must be one column, got {X.shape[1]}: {list(X.columns)!r}. Select one, or "
                "use a ColumnTransformer."
            )
        X = X.iloc[:, 0]
    if isinstance(X, np.ndarray):
        if X.ndim > 2 or (X.ndim == 2 and X.shape[1] != 1) or X.ndim == 0:
            raise SktrainError(f"Texts must be one column, got an array of shape {X.shape}.")
        X = X.reshape(-1)
    if isinstance(X, (str, bytes, Mapping, NewsArticle)) or not isinstance(X, Iterable):
        raise SktrainError(
            f"Texts must be a list, Series or column of strings, got a single {type(X).__name__}. "
            "Put it in a list."
        )
    return [_clean(text, row) for row, text in enumerate(X)]


def _clean(text, row):
    if isinstance(text, NewsArticle):
        text = text.text
    if isinstance(text, str):
        text = str(text)  # numpy's strings too
        return (
            text
            if text.isascii()
            else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if _missing(text):
        return ""
    raise SktrainError(
        f"Text {row} is {type(text).__name__} ({text!r:.60}), expected a string or a NewsArticle. "
        "Convert it with str() if it is a text."
    )

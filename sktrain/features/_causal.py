"""Base of transformers that look back: each row is computed from the past only.

A subclass says how to compute the rows of instruments that stand together, each in order of time,
and how many rows a value looks back on (``lookback_``). This base finds the context of any slice of
rows, computes a whole history once, and hands on a history of its own output.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._history import (
    lazy_copy,
    prepend_tail,
    recall,
    remember_tail,
    segment_starts,
    usual_pauses,
)
from .._validation import LABEL_TIMES, OHLCV, check_bars
from ..exceptions import InvalidBarsError

__all__ = ["CausalTransformer"]


class CausalTransformer(TransformerMixin, BaseEstimator):
    """Template: ``fit`` learns and remembers a tail, ``transform`` computes with context.

    Subclasses give ``_compute(bars)`` (a DataFrame of the same index, a pure function of the bars,
    the parameters and the learned state; instruments stand together and must not see each other:
    :func:`segment_starts`), ``_lookback()``, ``get_feature_names_out``, and where needed
    ``_learn(bars, rows)`` (``bars`` with context, the places of the rows of ``fit`` among them:
    learn from those only) and ``_state()`` (what was learned, hashable).
    """

    _required: tuple[str, ...] = OHLCV

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # bars carry time in their index
        tags.requires_fit = True
        return tags

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Check the bars, learn what is to learn, and remember the last rows.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 5)
            ``open high low close volume`` indexed by time or (symbol, time).
        y : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        self
            The fitted transformer.
        """
        self._validate_params()
        lookback = self._lookback()
        bars, rows, _, _ = self._context(X)
        self._learn(bars, rows)
        self.lookback_ = lookback
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        self.tail_, self.first_seen_ = remember_tail(bars, lookback, rows=rows)
        self.pauses_ = usual_pauses(bars, rows)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute one row of values for every row of ``X``, from that row and the ``lookback_ - 1``
        rows before it.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 5)
            Rows in any order when they carry a history (see ``with_history``); else in order of
            time.

        Returns
        -------
        DataFrame, shape (n, n_features_out)
            Indexed like ``X``; missing where the past is too short.
        """
        check_is_fitted(self)
        bars, rows, history, fresh = self._context(X)
        kept = {key: X.attrs[key] for key in (LABEL_TIMES,) if key in X.attrs}
        if history is not None:
            whole = history.cached(
                self._key(), lambda frame: history.over(self._compute(bars), self.lookback_)
            )
            return _take(whole.frame, rows, {"history": whole, **kept})
        if fresh:
            context = prepend_tail(
                bars,
                self.tail_,
                caller=type(self).__name__,
                first_seen=self.first_seen_,
                usual=getattr(self, "pauses_", None),  # models of before 0.2 have none
            )
            bars, rows = context.frame, context.rows
        return _take(self._compute(bars), rows, kept)

    def _context(self, X):
        """Checked bars to compute on, the places of X's rows among them, the handle whose frame
        they are, and whether nothing is remembered."""
        reads = (
            [name for name in X.columns if isinstance(name, str) and name.lower() in OHLCV]
            if isinstance(X, pd.DataFrame)
            else []
        )
        complete = (
            len(X) and {name.lower() for name in reads}.issuperset(self._required)
            if reads
            else False
        )
        back = {"caller": type(self).__name__, "lookback": self._lookback()}
        context = recall(X, columns=reads, **back) if complete else None
        if context is None:
            return self._check(X), np.arange(len(X)), None, True
        try:
            bars = context.history.cached(("bars", self._required), self._check)
        # a bad row concerns only the rows after it: look no further than asked
        except InvalidBarsError:
            frame, rows = _until_asked(context.frame, context.rows)
            return self._check(frame), rows, None, False
        return bars, context.rows, context.history, False

    def _check(self, X):
        """The checked columns that are read, under their lower-case names."""
        # tells that periods become timestamps
        bars = check_bars(X, required=self._required, warn=False)
        bars = bars.to_timestamp() if isinstance(bars.index, pd.PeriodIndex) else bars
        bars = bars[list(self._required)]
        bars.attrs = {}
        return bars

    def _key(self):
        return (
            type(self).__module__,
            type(self).__qualname__,
            repr(sorted(self.get_params().items())),
            self._state(),
        )

    def _state(self):
        return ()

    def _learn(self, bars, rows):
        """Nothing to learn by default."""

    def _lookback(self):
        raise TypeError(f"{type(self).__name__} must define _lookback().")

    def _compute(self, bars):
        raise TypeError(f"{type(self).__name__} must define _compute(bars).")


def _until_asked(frame, rows):
    """The rows of each instrument up to the last one asked for, and where the rows stand among
    them."""
    starts = segment_starts(frame.index)
    owner = np.searchsorted(starts, np.arange(len(frame)), side="right") - 1
    last = np.full(len(starts), -1)
    np.maximum.at(last, owner[rows], rows)
    kept = np.arange(len(frame)) <= last[owner]
    return frame[kept], (np.cumsum(kept) - 1)[rows]


def _take(frame, rows, attrs):
    whole = len(rows) == len(frame) and bool((rows == np.arange(len(frame))).all())
    out = lazy_copy(frame) if whole else frame.iloc[rows]
    out.attrs = attrs
    return out

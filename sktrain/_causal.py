"""The base of transformers that look back: rows of bars enter, one row of values per row leaves, computed from the past only.

A subclass says how to compute the rows of *one* instrument in order of time, and how many rows a value looks back on
(``lookback_``). This base finds the context of any slice of rows, computes a whole history once, keeps instruments apart, and
hands on a history of its own output.
"""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ._history import History, prepend_tail, recall, remember_tail, segment_starts
from ._validation import OHLCV, check_bars

__all__ = ["CausalTransformer"]


class CausalTransformer(TransformerMixin, BaseEstimator):
    """Template: ``fit`` learns and remembers a tail, ``transform`` computes with context.

    Subclasses give ``_compute(bars)`` (a DataFrame of the same index, for one instrument, a pure function of the bars, the
    parameters and the learned state), ``_lookback()``, ``get_feature_names_out``, and where needed ``_learn(bars)`` and
    ``_state()`` (what was learned, hashable).
    """

    _required = OHLCV

    def fit(self, X, y=None):
        """Check the bars, learn what is to learn, and remember the last rows.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 5)
            ``open high low close volume`` indexed by time or (symbol, time).
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        context = recall(X, columns=self._reads(X), caller=type(self).__name__)
        bars = self._check(X) if context is None else self._check(context.frame, rows=context.rows)
        self.feature_names_in_ = np.asarray(bars.columns, dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        self.lookback_ = self._lookback()
        self._learn(bars)
        source = bars if context is None else self._check(X, ordered=False)
        self.tail_, self.first_seen_ = remember_tail(source, self.lookback_, columns=list(bars.columns))
        return self

    def transform(self, X):
        """Compute one row of values for every row of ``X``, from that row and the ``lookback_ - 1`` rows before it.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 5)
            Rows in any order when they carry a history (see ``with_history``); else in order of time.

        Returns
        -------
        DataFrame, shape (n, n_features_out)
            Indexed like ``X``; missing where the past is too short.
        """
        check_is_fitted(self)
        context = recall(X, columns=self._reads(X), caller=type(self).__name__)
        if context is not None:
            whole = context.history.cached(self._key(), lambda frame: History(self._compute_all(self._check(frame))))
            return _take(whole.frame, context.rows, {"history": whole})
        context = prepend_tail(self._check(X), self.tail_, caller=type(self).__name__, first_seen=self.first_seen_)
        return _take(self._compute_all(context.frame), context.rows, {})

    def _reads(self, X):
        """The columns of ``X`` that decide the output, by their own names."""
        if not isinstance(X, pd.DataFrame):
            return ()
        return [name for name in X.columns if isinstance(name, str) and name.lower() in OHLCV]

    def _check(self, X, *, rows=None, ordered=True):
        """Lower-case, checked columns that are read, nothing else; ``rows`` restricts what is returned."""
        if not ordered:  # rows of a history that was checked: only the names need normalising
            return X[self._reads(X)].rename(columns=str.lower)[[c for c in OHLCV if c in map(str.lower, self._reads(X))]]
        bars = check_bars(X, required=self._required, warn=False)
        bars = bars[[name for name in OHLCV if name in bars.columns]]
        return bars if rows is None else bars.iloc[rows]

    def _compute_all(self, bars):
        starts = segment_starts(bars.index)
        if len(starts) == 1:
            return self._compute(bars)
        ends = np.append(starts[1:], len(bars))
        return pd.concat([self._compute(bars.iloc[low:high]) for low, high in zip(starts, ends)])

    def _key(self):
        return type(self).__qualname__, repr(sorted(self.get_params().items())), self._state()

    def _state(self):
        return ()

    def _learn(self, bars):
        """Nothing to learn by default."""

    def _lookback(self):
        raise TypeError(f"{type(self).__name__} must define _lookback().")

    def _compute(self, bars):
        raise TypeError(f"{type(self).__name__} must define _compute(bars).")


def _take(frame, rows, attrs):
    whole = len(rows) == len(frame) and bool((rows == np.arange(len(frame))).all())
    out = frame.copy(deep=False) if whole else frame.iloc[rows]
    out.attrs = attrs
    return out

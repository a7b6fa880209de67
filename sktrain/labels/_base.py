"""What every labeler shares: checked bars enter; codes, the rows that have one, and the time each was known leave.

A subclass says, for the bars of one or more instruments standing in order of symbol and time, what each row's outcome is and
which bar decided it. Only the rows given are read, past and future: a label is the one thing that may look ahead.
"""

from abc import abstractmethod

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from .._history import get_history, segment_starts, with_history
from .._validation import OHLCV, check_bars
from ..exceptions import NotEnoughDataError

__all__ = ["BarLabeler", "last_rows", "shifted_back"]


def last_rows(index):
    """Position of the last row of each row's symbol."""
    starts = segment_starts(index)
    ends = np.append(starts[1:], len(index)) - 1
    return np.repeat(ends, np.diff(np.append(starts, len(index))))


def shifted_back(values, index):
    """The value one bar earlier, NaN in the first row of each symbol."""
    earlier = np.empty(len(values))
    earlier[1:] = values[:-1]
    earlier[segment_starts(index)] = np.nan
    return earlier


class BarLabeler(BaseEstimator):
    """Template of a labeler; a subclass gives ``_label(bars, ...)`` and ``_reach``, the bars a label may look ahead."""

    _required = OHLCV

    def fit(self, X, y=None):
        """Check parameters and bars; nothing is learned.

        Parameters
        ----------
        X : DataFrame of bars
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        self._check(X, self._reach)
        return self

    def transform(self, X):
        """Label every row.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 1)
            Indexed by time, or by (symbol, time) with the rows of a symbol together and in order.

        Returns
        -------
        Series of float64, shape (n,)
            Named ``"label"``: 0 sell, 1 hold, 2 buy, NaN where the outcome is unknown. Its ``attrs["label_horizon"]`` tells
            splitters how many bars a label looks ahead.

        Raises
        ------
        InvalidBarsError
            When the bars are no bars; the message names the first bad row.
        NotEnoughDataError
            When no symbol has a single bar more than a label looks ahead.
        """
        return self._outcome(X)[0]

    def fit_resample(self, X, y=None):
        """The rows whose outcome is known, and their labels.

        Parameters
        ----------
        X : DataFrame of bars
        y : ignored

        Returns
        -------
        X : DataFrame
            Labelled rows, which remember all rows of the bars given (see ``with_history``).
        y : Series of int64
            Named ``"label"``, indexed like X, with ``attrs["label_horizon"]``.

        Raises
        ------
        NotEnoughDataError
            When no row has a known outcome.
        """
        return self._keep_known(X, self._outcome(X)[0])

    def label_end_times(self, X):
        """When each label was known: the time of the last bar it used.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 1)

        Returns
        -------
        Series of timestamps, shape (n,)
            NaT where the outcome is unknown. Splitters take it as ``label_end_times``.
        """
        label, end = self._outcome(X)
        return self._times_of(X, label, end)

    def _outcome(self, X, **given):
        self._validate_params()
        bars = self._check(X, self._reach)
        codes, end = self._label(bars, **given)
        return self._series(codes, bars.index, self._reach), end

    def _series(self, codes, index, reach):
        label = pd.Series(codes, index=index, name="label", dtype=np.float64)
        label.attrs["label_horizon"] = int(reach)
        return label

    def _keep_known(self, X, label):
        known = label.notna().to_numpy()
        if not known.any():
            raise NotEnoughDataError(f"{type(self).__name__}: none of the {len(X)} bars has a known outcome. Pass more bars, or look ahead and back less.")
        remembering = X if get_history(X) is not None else with_history(X)
        return remembering[known], label[known].astype(np.int64)

    def _times_of(self, X, label, end):
        times = X.index.get_level_values(-1)
        times = times.to_timestamp() if isinstance(times, pd.PeriodIndex) else times
        return pd.Series(times[end], index=X.index, name="label_end_time").where(label.notna().to_numpy())

    def _check(self, X, reach):
        bars = check_bars(X, required=self._required, warn=False)
        longest = int(np.diff(np.append(segment_starts(bars.index), len(bars))).max())
        if longest <= reach:
            raise NotEnoughDataError(
                f"{type(self).__name__} looks {reach} bars ahead, but the longest run of bars has {longest} rows: at least {reach + 1} are needed."
            )
        return bars

    @property
    @abstractmethod
    def _reach(self):
        """Bars a label may look ahead."""

    @abstractmethod
    def _label(self, bars, **given):
        """Codes (NaN where unknown) and the position of the bar that decided each row."""

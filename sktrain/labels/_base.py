"""What every labeler shares: checks, labels, and the time each was known.

A subclass says, for the bars of one or more instruments standing in order of symbol and time, what
each row's outcome is and which bar decided it. A label is the one thing that may look ahead, and it
looks at no later row than those given; the volatility behind it, known at the decision, is that of
the history that rows carry.
"""

from abc import abstractmethod
from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import TransformerTags

from .._history import get_history, recall, segment_starts, with_history
from .._validation import (
    LABEL_TIMES,
    OHLCV,
    check_bars,
    session_starts,
    shown_span,
    time_axis,
    to_timestamps,
    write_label_times,
)
from ..exceptions import InvalidBarsError, NotEnoughDataError
from ._sampler import LabelSampler
from ._volatility import ESTIMATORS
from ._within_sessions import within_sessions

__all__ = ["BarLabeler", "last_rows", "look_ahead"]


def last_rows(index):
    """Position of the last row of each row's symbol."""
    starts = segment_starts(index)
    ends = np.append(starts[1:], len(index)) - 1
    return np.repeat(ends, np.diff(np.append(starts, len(index))))


def last_of_session(opens):
    """Position of the last row of each row's session, given which rows open one."""
    starts = np.flatnonzero(opens)
    ends = np.append(starts[1:], len(opens)) - 1
    return np.repeat(ends, np.diff(np.append(starts, len(opens))))


def without_trade(bars):
    """Bars on which nobody could buy or sell: volume 0 and one price, where the instrument has
    volume elsewhere.

    A day at its limit traded; an instrument without any volume (an index, a currency) tells
    nothing.
    """
    if not set(OHLCV) <= set(bars.columns):
        return np.zeros(len(bars), dtype=bool)
    volume, first = bars["volume"].to_numpy(), bars["open"].to_numpy()
    idle = volume == 0
    for name in ("high", "low", "close"):
        idle = idle & (bars[name].to_numpy() == first)
    if not idle.any():
        return idle
    starts = segment_starts(bars.index)
    traded = np.logical_or.reduceat(volume > 0, starts)
    return idle & np.repeat(traded, np.diff(np.append(starts, len(bars))))


def look_ahead(index, span, last=None):
    """The last bar of the own symbol within ``span`` of each bar, and where all of them are known.

    Parameters
    ----------
    index : Index of n bars, symbols together and in order of time
    span : int or Timedelta
        Bars, or time.
    last : ndarray of intp, shape (n,), optional
        Place no row looks beyond; default the last row of its symbol.

    Returns
    -------
    end : ndarray of intp, shape (n,)
        Place of the last bar within the span; the last bar known where it is not known whole.
    known : ndarray of bool, shape (n,)
        The span has passed by the symbol's last bar, and holds at least one bar.
    """
    rows, last = np.arange(len(index)), last_rows(index) if last is None else last
    if not isinstance(span, pd.Timedelta):
        return np.minimum(rows + span, last), rows + span <= last
    times = time_axis(pd.Series(0, index)).times
    unique, codes = np.unique(times, return_inverse=True)
    until = times + span.as_unit("ns").value
    latest = np.searchsorted(unique, until, side="right") - 1
    end = np.searchsorted(last * len(unique) + codes, last * len(unique) + latest, side="right") - 1
    return end, (until <= times[last]) & (end > rows)


class BarLabeler(BaseEstimator):
    """Template of a labeler; a subclass gives ``_label(bars, ...)``, ``_reach``, the bars a
    label may look ahead, and ``_looks_back``."""

    _required: tuple[str, ...] = OHLCV

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:
        """Check parameters and bars; nothing is learned.

        Parameters
        ----------
        X : DataFrame of bars
            With ``close`` (triple barriers: ``open high low close``), by time or (symbol, time).
        y : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        self
            The labeler.
        """
        self._validate_params()
        self._check(X, self._reach)
        return self

    def transform(self, X: pd.DataFrame) -> pd.Series:
        """Label every row.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 1)
            Indexed by time, or by (symbol, time) with the rows of a symbol together and in order.

        Returns
        -------
        Series of float64, shape (n,)
            Named ``"label"``: 0 sell, 1 hold, 2 buy, NaN where the outcome is unknown. Its attrs
            tell splitters, nets and the auditor when each label is known;
            ``attrs["label_horizon"]`` is what a label looks ahead at most.

        Raises
        ------
        InvalidBarsError
            When the bars are no bars; the message names the first bad row.
        NotEnoughDataError
            When no symbol has a single bar more than a label looks ahead.
        """
        return self._outcome(X)[0]

    def fit_transform(self, X: pd.DataFrame, y: object = None) -> pd.Series:
        """Label every row: ``fit(X).transform(X)``.

        Labels are returned, not rows: a step of a pipeline is :meth:`as_sampler`.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 1)
            With ``close`` (triple barriers: ``open high low close``), by time or (symbol, time).
        y : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        Series of float64, shape (n,)
            0 sell, 1 hold, 2 buy; NaN where the outcome is unknown.
        """
        return self.fit(X).transform(X)

    def as_sampler(self) -> LabelSampler:
        """The labeler as a step of ``imblearn.pipeline.Pipeline``, which takes no step that is
        transformer and sampler in one.

        Returns
        -------
        LabelSampler
            Labels the bars in ``fit``; in ``predict`` every row passes.
        """
        return LabelSampler(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags = TransformerTags()
        tags.input_tags.two_d_array = False  # bars, not any table
        tags.requires_fit = False
        return tags

    def fit_resample(self, X: pd.DataFrame, y: object = None) -> tuple:
        """The rows whose outcome is known, and their labels.

        Parameters
        ----------
        X : DataFrame of bars
            With ``close`` (triple barriers: ``open high low close``), by time or (symbol, time).
        y : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        X : DataFrame
            Labelled rows, which remember all rows of the bars given (see ``with_history``) and when
            their labels are known.
        y : Series of int64
            Named ``"label"``, indexed like X; its attrs tell when each label is known, as in
            ``transform``.

        Raises
        ------
        NotEnoughDataError
            When no row has a known outcome.
        """
        return self._keep_known(X, *self._outcome(X))

    def label_end_times(self, X: pd.DataFrame) -> pd.Series:
        """When each label was known: the time of the last bar it used.

        Parameters
        ----------
        X : DataFrame of bars, shape (n, >= 1)
            With ``close`` (triple barriers: ``open high low close``), by time or (symbol, time).

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
        codes = np.where(without_trade(bars), np.nan, codes)
        return self._series(codes, end, bars.index, self._reach), end

    def _series(self, codes, end, index, reach):
        """Labels that carry when each of them is known."""
        label = pd.Series(codes, index=index, name="label", dtype=np.float64)
        times = time_axis(label).times
        write_label_times(label, np.where(np.isnan(codes), times, times[end]), shown_span(reach))
        return label

    def _keep_known(self, X, label, end):
        known = label.notna().to_numpy()
        if not known.any():
            raise NotEnoughDataError(
                f"{type(self).__name__}: none of the {len(X)} bars has a known outcome. Pass more "
                "bars, or look ahead and back less."
            )
        if isinstance(X.index, pd.PeriodIndex):
            X = X.set_axis(label.index)
        rows = (X if get_history(X) is not None else with_history(X))[known]
        y = label[known].astype(np.int64)
        y.index = rows.index
        write_label_times(y, time_axis(label).times[end[known]], label.attrs["label_horizon"])
        rows.attrs[LABEL_TIMES] = y.attrs[LABEL_TIMES]
        return rows, y

    def _times_of(self, X, label, end):
        times = X.index.get_level_values(-1)
        times = to_timestamps(times, stacklevel=5) if isinstance(times, pd.PeriodIndex) else times
        return pd.Series(times[end], index=label.index, name="label_end_time").where(
            label.notna().to_numpy()
        )

    def _check(self, X, reach):
        """The checked bars, with a handle on the checked bars of their history."""
        bars = check_bars(X, required=self._required, warn=False)
        past = self._past(X)
        if get_history(bars) is not past:
            bars = bars.copy(deep=False)
            bars.attrs = {} if past is None else {"history": past}
        starts = segment_starts(bars.index)
        ends = np.append(starts[1:], len(bars))
        if isinstance(reach, pd.Timedelta):
            times = time_axis(bars).times
            longest = pd.Timedelta(int((times[ends - 1] - times[starts]).max()))
            if longest < reach:
                raise NotEnoughDataError(
                    f"{type(self).__name__} looks {reach} ahead, but the longest run of bars "
                    f"covers {longest}."
                )
            return bars
        longest = int((ends - starts).max())
        if longest <= reach:
            raise NotEnoughDataError(
                f"{type(self).__name__} looks {reach} bars ahead, but the longest run of bars has "
                f"{longest} rows: at least {reach + 1} are needed."
            )
        return bars

    def _ahead(self, index):
        """``look_ahead`` of this labeler, inside of sessions where it crosses none."""
        last = (
            None if self.crosses_session else last_of_session(session_starts(index, self.session))
        )
        return look_ahead(index, self._reach, last)

    def _past(self, X):
        """A handle on what volatility reads of the history of ``X``, checked; None without one."""
        history = get_history(X)
        if not self._looks_back or history is None or len(history.frame) <= len(X):
            return None
        reads = [name for name in X.columns if name.lower() in self._required]
        # one close more than returns; inside of sessions, whose first returns are left out, as many
        # again: more than two sessions of one bar in a row leave volatility unknown
        lookback = self.volatility_lookback * (1 if self.crosses_session else 2) + 1
        caller = type(self).__name__
        context = recall(X, columns=reads, caller=caller, lookback=lookback)
        if context is None:
            return None
        try:
            return context.history.cached(
                ("bars of labels", self._required),
                lambda frame: context.history.over(self._read(frame)),
            )
        except InvalidBarsError:  # bars outside of those given are no reason to refuse these
            return None

    def _read(self, frame):
        return check_bars(frame, required=self._required, warn=False)[list(self._required)]

    def _volatility(self, name, bars):
        """A volatility by name, of the history where bars carry one."""
        history = get_history(bars)
        if history is None:
            return self._volatility_of(name, bars)
        session = None if self.crosses_session else self.session
        return history.cached(
            ("volatility", name, self.volatility_lookback, session),
            lambda frame: self._volatility_of(name, frame),
        )[history.locate(bars.index)]

    def _volatility_of(self, name, bars):
        """A volatility by name, inside of sessions where this labeler crosses none."""
        estimator = ESTIMATORS[name]
        if self.crosses_session:
            return estimator(bars, self.volatility_lookback)
        opens = session_starts(bars.index, self.session)
        return within_sessions(name, estimator, bars, self.volatility_lookback, opens)

    @property
    @abstractmethod
    def _reach(self):
        """Bars, or the time, a label may look ahead."""

    @property
    @abstractmethod
    def _looks_back(self):
        """Whether labels depend on volatility."""

    @abstractmethod
    def _label(self, bars, *args, **given):
        """Codes (NaN where unknown) and the position of the bar that decided each row."""

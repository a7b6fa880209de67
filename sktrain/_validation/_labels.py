"""Label spans of rows: the one function that turns rows, labels and what a caller was given into
the closed span of every label.

Sources, in order: ``label_end_times`` given for the call, the handle that y carries (else the one
that X carries), ``horizon``, ``y.attrs["label_horizon"]``. No source may say less than y does: that
is an error which names both. A horizon in bars counts bars of the row's own symbol, those the rows
remember included; past the last known bar it counts unique times, and where times repeat without
symbols it counts unique times throughout.
"""

import warnings

import numpy as np
import pandas as pd

from .._history import get_history
from .._spans import Spans, sorted_unique
from ..exceptions import InvalidSplitError, NotEnoughDataError, UnknownHorizonWarning
from ._durations import as_span, shown_span
from ._ends import check_same_index, ends_from_times
from ._label_times import carried, label_times_of, refuse_stale
from ._synthetic import resampled_rows
from ._times import TimeAxis, refuse_untold_times, time_axis, warn_of_repeated_times

__all__ = ["horizon_in_bars", "label_horizon", "label_spans", "labelled_mask", "said_horizon"]


def label_horizon(y, horizon=None):
    """What labels look ahead: ``horizon`` if given, else what the labeler wrote on ``y``, else
    None.

    Returns
    -------
    int, Timedelta or None
    """
    if horizon is not None:
        return as_span("horizon", horizon, minimum=0)
    told = getattr(y, "attrs", {}).get("label_horizon")
    return None if told is None else as_span('y.attrs["label_horizon"]', told, minimum=0)


def said_horizon(X, y, horizon=None) -> int | str | None:
    """What labels are said to look ahead, by the caller, y or X, in a form that JSON holds; None
    when nobody says it."""
    span = label_horizon(y, horizon)
    handle = label_times_of(X) if span is None else None
    return handle.horizon if handle is not None else None if span is None else shown_span(span)


def horizon_in_bars(y, horizon=None):
    """As :func:`label_horizon`, a length of time counted in the unique times of ``y`` (those of its
    labels where it carries them).

    Returns
    -------
    int or None
    """
    span = label_horizon(y, horizon)
    if not isinstance(span, pd.Timedelta):
        return span
    handle = label_times_of(y)
    rows = y if handle is None else pd.Series(0, handle.index)
    axis = time_axis(rows)
    end = _ends_from_horizon(rows, axis, span) if handle is None else handle.end
    unique, codes = np.unique(axis.times, return_inverse=True)
    return int((np.searchsorted(unique, end, side="right") - 1 - codes.reshape(-1)).max())


def labelled_mask(y, n):
    """Which of n rows carry a label: not NaN, None, NaT or pd.NA."""
    if y is None:
        return np.ones(n, dtype=bool)
    if len(y) != n:
        raise InvalidSplitError(f"X has {n} rows but y has {len(y)}.")
    if isinstance(y, np.ndarray) and y.dtype.kind in "iub":
        return np.ones(n, dtype=bool)
    missing = np.asarray(pd.isna(y))
    return ~(missing.any(axis=1) if missing.ndim == 2 else missing)


def _ends_from_horizon(X, axis, horizon):
    """Time of the last bar within ``horizon`` of each row, counted in the row's own symbol."""
    if isinstance(horizon, pd.Timedelta):
        if axis.index is None:
            raise InvalidSplitError(
                f"horizon={str(horizon)!r} is a length of time, but the rows carry no times. "
                "Count bars, or pass times=..."
            )
    elif horizon == 0:
        return axis.times
    history = get_history(X)
    positions = None if history is None or axis.index is None else history.locate(axis.index)
    if positions is not None and history.lookback is not None and isinstance(horizon, pd.Timedelta):
        _refuse_cut(history, positions, horizon)
    known = axis if positions is None else time_axis(history.frame)
    times, symbols = known.times, known.symbols
    order = None
    if positions is None:
        keys = (times,) if symbols is None else (times, symbols)
        is_sorted = symbols is None and bool((times[1:] > times[:-1]).all())
        order = None if is_sorted else np.lexsort(keys)
    t = times if order is None else times[order]
    s = None if symbols is None else (symbols if order is None else symbols[order])
    end = _of_bars(t, s, horizon)
    if order is not None:
        unsorted = np.empty_like(end)
        unsorted[order] = end
        end = unsorted
    return end if positions is None else end[positions]


def _refuse_cut(history, positions, horizon):
    """A history that was cut to travel holds so many bars after each row; never fewer than a
    horizon in bars can ask for."""
    ahead, times = history.lookback, time_axis(history.frame).times
    here = positions[positions + ahead < len(times)]
    span = times[here + ahead] - times[here]  # negative into the next symbol
    if ((span >= 0) & (span < horizon.as_unit("ns").value)).any():
        raise InvalidSplitError(
            f"horizon={str(horizon)!r} looks further ahead than the {ahead} bars that came along "
            "with these rows from another "
            "process or a file. Before slicing, call with_history(frame, lookback=...) with more "
            "of them, or send the whole frame."
        )


def _of_bars(times, symbols, horizon):
    """The last bar within ``horizon`` of each bar, bars sorted by (symbol, time); a bar that stands
    several times counts once."""
    again = times[1:] == times[:-1]
    if symbols is not None:
        again &= symbols[1:] == symbols[:-1]
    if again.any():
        first = np.append(True, ~again)
        return _of_bars(times[first], None if symbols is None else symbols[first], horizon)[
            np.cumsum(first) - 1
        ]
    if isinstance(horizon, pd.Timedelta):
        return _within(times, symbols, horizon.as_unit("ns").value)
    return _ahead(times, symbols, horizon)


def _ahead(times, symbols, horizon):
    """The time ``horizon`` bars ahead of each bar."""
    n = len(times)
    target = np.arange(n) + horizon
    if symbols is None:
        last = np.full(n, n - 1)
        unique = times
    else:
        breaks = np.flatnonzero(symbols[1:] != symbols[:-1])
        ends = np.append(breaks, n - 1)
        last = np.repeat(ends, np.diff(np.concatenate([[-1], ends])))
        unique = sorted_unique(times)
    end = times[np.minimum(target, last)]
    beyond = target > last
    # the bars that decided these labels are not here: count them on the common axis, then past its
    # end
    if beyond.any():
        place = np.searchsorted(unique, end[beyond]) + (target - last)[beyond]
        spill = np.maximum(place - (len(unique) - 1), 0)
        end[beyond] = unique[np.minimum(place, len(unique) - 1)] + spill
    return end


def _within(times, symbols, span):
    """The last bar of the own symbol no later than ``span`` after each bar; past the last bar, that
    time itself."""
    unique, codes = np.unique(times, return_inverse=True)
    until = np.searchsorted(unique, times + span, side="right") - 1
    group = (
        np.zeros(len(times), dtype=np.int64)
        if symbols is None
        else np.cumsum(np.diff(symbols, prepend=symbols[:1]) != 0)
    )
    key = group * len(unique) + codes.reshape(-1)
    place = np.searchsorted(key, group * len(unique) + until, side="right") - 1
    last = np.append(group[1:] != group[:-1], True)
    open_ended = last[place] & (times[place] < times + span)
    return np.where(open_ended, times + span, times[place])


def label_spans(
    X,
    y=None,
    *,
    horizon=None,
    label_end_times=None,
    times=None,
    caller="split",
    strict=True,
    warn=True,
):
    """The closed time span of every row's label, and the times of all rows.

    Parameters
    ----------
    X : DataFrame or array-like of length n
        The rows. A history handle on ``X`` lets a horizon be counted in bars that are no rows of
        ``X``.
    y : array-like of length n, optional
        Labels; a handle or ``attrs["label_horizon"]`` on them says how far they look ahead.
    horizon : int, Timedelta or str, optional
        Bars of the row's own symbol between decision and outcome, or the time between them.
    label_end_times : array-like of length n, optional
        Time at which each label was known; NaT where there is no label.
    times : DatetimeIndex or MultiIndex of length n, optional
        When the rows are, where their index was taken away.
    caller : str
        Name for the warning and the errors.
    strict : bool, default=True
        Refuse a table that could say when its rows are and does not; else its row order is the
        order of time.
    warn : bool, default=True
        Whether an unknown horizon gives the warning.

    Returns
    -------
    spans : Spans
        ``spans.source`` says where they were learned: ``"label_end_times"``, ``"y"``, ``"X"``,
        ``"horizon"``, ``"label_horizon"``, or None with an ``UnknownHorizonWarning``: a label is
        then taken to be known at once.
    axis : TimeAxis

    Raises
    ------
    InvalidSplitError
        When sources contradict each other, or labels are stale.
    """
    axis = time_axis(X, y, times=times)
    n = len(axis.times)
    if not n:
        raise NotEnoughDataError("X has no rows.")
    check_same_index(getattr(X, "index", None), getattr(y, "index", None))
    if axis.index is None and strict:
        refuse_untold_times(X, caller)
    if strict and isinstance(axis.index, pd.DatetimeIndex) and axis.index.has_duplicates:
        made = resampled_rows(X, y)
        if made is None or axis.index[~made.synthetic].has_duplicates:
            warn_of_repeated_times(axis, X, caller)
    end, source = _Sources(X, y, axis, horizon, caller).resolve(label_end_times, warn)
    spans = Spans.from_times(axis.times, end, source=source)
    return spans, axis


class _Sources:
    """What y, X and the caller say about the ends of the labels of one set of rows."""

    def __init__(self, X, y, axis: TimeAxis, horizon, caller):
        self.X, self.y, self.axis, self.caller = X, y, axis, caller
        self.given = None if horizon is None else as_span("horizon", horizon, minimum=0)
        self.told = label_horizon(y)
        self.carried = carried(axis, label_times_of(y), y)
        self.stale = None if self.carried is None else self.carried.stale_row(y)
        self.owner = "y"
        if self.carried is None and self.told is None:
            found = carried(axis, label_times_of(X), y)
            fits = found is not None and (
                self.given is None if y is None else found.stale_row(y) is None
            )
            # what X was written for; other labels than those, or folds asked for without labels,
            # are told by the caller
            if fits:
                self.carried, self.owner = found, "X"
        if self.carried is not None and self.told is None:
            self.told = as_span("horizon", self.carried.handle.horizon, minimum=0)

    def resolve(self, label_end_times, warn):
        """The end of every label, and where it was learned."""
        if label_end_times is not None:
            end = ends_from_times(self.axis, label_end_times, len(self.axis.times))
            if self.carried is not None and self.stale is None and self.owner == "y":
                self._refuse_less(end, "label_end_times")
            return end, "label_end_times"
        if self.stale is not None and not self._says_more():
            refuse_stale(self.caller, self.stale[0], self.axis.index, *self.stale[1:])
        if self.carried is not None and self.stale is None:
            return self._from_handle(), self.owner
        if self.given is not None:
            self._refuse_shorter()
            return self._counted(self.given), "horizon"
        if self.told is not None:
            return self._counted(self.told), "label_horizon"
        if warn:
            warnings.warn(
                f"{self.caller} does not know how far the labels look ahead, so it purges nothing. "
                "Pass horizon=..., label_end_times=..., or labels from a sktrain labeler. In "
                "cross_val_score and searches, label_end_times reach the folds as params={...} "
                "after "
                "sklearn.set_config(enable_metadata_routing=True); on labels they need no routing: "
                "with_label_times(y, end_times=...).",
                UnknownHorizonWarning,
                stacklevel=4,
            )
        return self.axis.times, None

    def _says_more(self):
        """Whether the horizon of this call is longer than what stale labels said of themselves
        before they were changed."""
        return (
            self.given is not None
            and type(self.given) is type(self.told)
            and self.given > self.told
        )

    def _from_handle(self):
        held = self.carried
        assert held is not None  # asked only where there is a handle
        end = held.end
        if not held.all_known:
            end = np.where(held.known, end, self._counted(self.told))
        more = [
            span
            for span in (self.given, label_horizon(self.y))
            if span is not None and span != self.told
        ]
        if self.given is not None:
            self._refuse_shorter()
        written = as_span("horizon", held.handle.horizon, minimum=0)
        for span in more or ([self.told] if self.told != written else []):
            longer = self._counted(span)
            if span is self.given and type(span) is not type(self.told):
                self._refuse_less(longer, f"horizon={self._shown(span)}")
            end = np.maximum(end, longer)
        return end

    def _refuse_shorter(self):
        assert self.given is not None
        if self.told is not None and type(self.given) is type(self.told) and self.given < self.told:
            raise InvalidSplitError(
                f"{self.caller}: horizon={self._shown(self.given)} is shorter than what "
                f"{self.owner} says, {self._shown(self.told)}: it would purge "
                "too little. Leave horizon out; or, if these labels look ahead less, say so with "
                "with_label_times(y, end_times=...)."
            )

    @staticmethod
    def _shown(span):
        return repr(str(span)) if isinstance(span, pd.Timedelta) else f"{span} bars"

    def _refuse_less(self, end, name):
        held, index = self.carried, self.axis.index
        assert held is not None
        assert index is not None  # a handle knows rows by their index
        less = held.known & (end < held.end) & labelled_mask(self.y, len(end))
        if less.any():
            row = int(np.argmax(less))
            when, known = (pd.Timestamp(int(values[row])) for values in (end, held.end))
            raise InvalidSplitError(
                f"{self.caller}: {name} ends the label of row {row} ({index[row]}) at "
                f"{when}, but {self.owner} knows it only at {known} "
                f"({int(less.sum())} such rows): it would purge too little. Leave it out, or "
                "write the right times on y with with_label_times."
            )

    def _counted(self, span):
        if not isinstance(span, pd.Timedelta) and span > 0:
            n_times = len(sorted_unique(self.axis.times))
            if span >= n_times:
                raise NotEnoughDataError(
                    f"horizon={span} is longer than the data: {n_times} unique times."
                )
        return _ends_from_horizon(self.X, self.axis, span)

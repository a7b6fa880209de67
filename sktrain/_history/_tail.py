"""What ``fit`` remembers of its last rows, for fresh rows that carry no history.

``remember_tail``, called by ``fit``, keeps the last rows per instrument; ``prepend_tail`` puts them
before rows that follow directly, and warns where nothing is known to stand before.
"""

import warnings

import numpy as np
import pandas as pd

from ..exceptions import ColdStartWarning
from ._handle import Context, lazy_copy, segment_starts

__all__ = ["prepend_tail", "remember_tail", "usual_pauses"]


def prepend_tail(X, tail=None, *, caller="transform", first_seen=None, pause=None, usual=None):
    """Put what ``fit`` remembered before rows that carry no history.

    ``tail`` (from :func:`remember_tail`) stands before ``X`` when X follows it directly: the gap is
    at most twice the largest spacing within the tail, or twice a usual pause, per symbol. Else rows
    start cold, with a ``ColdStartWarning``.

    Parameters
    ----------
    X : DataFrame
        Rows sorted by time within each symbol, symbols together.
    tail : DataFrame, optional
        What the caller remembered in ``fit``; the same columns as ``X``.
    caller : str
        Name for the warning.
    first_seen : dict, optional
        First time of each symbol's rows in ``fit``: rows that start there have nothing before them
        to miss.
    pause : Timedelta, optional
        For a caller that never looks behind a pause this long: rows that come after one have
        nothing before them to miss.
    usual : dict, optional
        Longest usual pause of each symbol in nanoseconds, from :func:`usual_pauses`: the tail of
        intraday rows lies inside one session, and the first row of the next one follows it all the
        same.

    Returns
    -------
    Context
    """
    own = lazy_copy(X)
    own.attrs = {}
    before = _before(own, tail, caller, first_seen or {}, pause, usual or {})
    if before is None:
        return Context(own, np.arange(len(own)), None)
    frame = pd.concat([before[list(own.columns)], own])
    if isinstance(frame.index, pd.MultiIndex):
        # each symbol's tail, then its rows
        order = np.argsort(np.asarray(frame.index.codes[0]), kind="stable")
        rows = np.empty(len(order), dtype=np.intp)
        rows[order] = np.arange(len(order))
        return Context(frame.iloc[order], rows[len(before) :], None)
    return Context(frame, np.arange(len(before), len(frame)), None)


def _before(X, tail, caller, first_seen, pause, usual):
    """The part of ``tail`` that ends directly before ``X``, per symbol; None when there is none."""
    parts, cold = [], []
    panel = isinstance(X.index, pd.MultiIndex)
    usable = (
        tail is not None
        and isinstance(tail.index, pd.MultiIndex) == panel
        and set(tail.columns) == set(X.columns)
    )
    tails = _by_symbol(tail) if usable else {}
    for start in segment_starts(X.index):
        symbol = X.index[start][0] if panel else None
        first = X.index[start][1] if panel else X.index[start]
        part = tails.get(symbol)
        kept = None if part is None else _directly_before(part, first, usual.get(symbol, 0))
        if kept is not None:
            parts.append(kept)
        elif first_seen.get(symbol) != first and not _after_pause(part, first, pause):
            cold.append(symbol)
    if cold:
        who = f" for {', '.join(map(str, cold[:5]))}" if panel else ""
        warnings.warn(
            f"{caller} knows no rows before {X.index[0]}{who}: values that look further back are "
            "missing. Pass more past rows, or a frame from with_history.",
            ColdStartWarning,
            stacklevel=5,
        )
    return pd.concat(parts) if parts else None


def _by_symbol(tail):
    if not isinstance(tail.index, pd.MultiIndex):
        return {None: tail}
    starts = segment_starts(tail.index)
    ends = np.append(starts[1:], len(tail))
    return {tail.index[low][0]: tail.iloc[low:high] for low, high in zip(starts, ends)}


def _directly_before(part, first, usual):
    times = part.index.get_level_values(-1)
    if (times.tz is None) != (first.tzinfo is None):
        return None
    past = times < first
    if past.sum() < 2:
        return None
    kept, known = part[past], times[past]
    spacing = max((known[1:] - known[:-1]).max(), pd.Timedelta(usual, "ns"))
    return kept if first - known[-1] <= 2 * spacing else None


def _after_pause(part, first, pause):
    """Whether the last remembered row before ``first`` lies at least ``pause`` back."""
    if part is None or pause is None:
        return False
    times = part.index.get_level_values(-1)
    if (times.tz is None) != (first.tzinfo is None):
        return False
    past = times[times < first]
    return len(past) > 0 and first - past[-1] >= pause


def remember_tail(X, lookback, *, rows=None):
    """What ``fit`` keeps so that fresh rows without a handle have context.

    Per symbol the last ``lookback`` rows up to the last row of ``fit``, and up to ``lookback`` rows
    after it where they are known (rows a labeler dropped because their outcome is unknown). A later
    row is only ever used for rows after it.

    Parameters
    ----------
    X : DataFrame
        Rows sorted by time within each symbol, symbols together: the rows of ``fit``, or the
        history they stand in.
    lookback : int
        Rows a value may look back on.
    rows : ndarray of int, optional
        Places of the rows of ``fit`` in ``X``; default all.

    Returns
    -------
    tail : DataFrame without attrs
    first_seen : dict
        First time per symbol (under None for one instrument).
    """
    rows = np.arange(len(X)) if rows is None else np.asarray(rows)
    kept = max(lookback, 2)  # two rows tell the usual spacing
    starts = segment_starts(X.index)
    ends = np.append(starts[1:], len(X))
    owner = np.searchsorted(starts, rows, side="right") - 1
    first, last = np.full(len(starts), len(X)), np.full(len(starts), -1)
    np.minimum.at(first, owner, rows)
    np.maximum.at(last, owner, rows)
    panel = isinstance(X.index, pd.MultiIndex)
    pieces, first_seen = [], {}
    for segment in np.flatnonzero(last >= 0):
        pieces.append(
            np.arange(
                max(last[segment] + 1 - kept, starts[segment]),
                min(last[segment] + 1 + lookback, ends[segment]),
            )
        )
        label = X.index[int(first[segment])]
        first_seen[label[0] if panel else None] = label[1] if panel else label
    tail = X.iloc[np.concatenate(pieces)].copy()
    tail.attrs = {}
    if panel:
        tail.index = tail.index.remove_unused_levels()
    return tail, first_seen


# A month holds weekends and most holidays; a longer look back would call a closed exchange usual
# for ever.
_USUAL = pd.Timedelta(days=31)


def usual_pauses(X, rows=None):
    """The longest step between rows of each symbol within the month before the last row of ``fit``.

    Parameters
    ----------
    X : DataFrame
        Rows sorted by time within each symbol, symbols together.
    rows : ndarray of int, optional
        Places of the rows of ``fit`` in ``X``; default all.

    Returns
    -------
    dict
        Nanoseconds by symbol (under None for one instrument).
    """
    rows = np.arange(len(X)) if rows is None else np.asarray(rows)
    times = pd.DatetimeIndex(X.index.get_level_values(-1)).as_unit("ns").asi8
    starts = segment_starts(X.index)
    last = np.full(len(starts), -1)
    np.maximum.at(last, np.searchsorted(starts, rows, side="right") - 1, rows)
    starts, ends = starts[last >= 0], last[last >= 0]
    steps = np.diff(times, append=times[-1:])  # from each row to the next
    sizes = ends - starts + 1
    segment = np.repeat(np.arange(len(starts)), sizes)
    places = np.arange(len(segment)) + np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
    # inside the month, and a row of fit after it
    counted = (times[places] >= times[ends[segment]] - _USUAL.value) & (places < ends[segment])
    longest = np.zeros(len(starts), dtype=np.int64)
    np.maximum.at(longest, segment[counted], steps[places[counted]])
    if not isinstance(X.index, pd.MultiIndex):
        return {None: int(longest[0])} if len(longest) else {}
    return dict(zip(X.index[starts].get_level_values(0), longest.tolist()))

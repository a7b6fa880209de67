"""The handle that lets a slice of rows remember what came before.

What enters is a full frame of rows, sorted by symbol and time; what leaves is the same frame with a light handle in
``attrs["history"]``. pandas copies attrs through slicing, so a fold of rows still knows the rows before it. A causal
transformer asks :func:`recall` (the handle) or :func:`prepend_tail` (what ``fit`` remembered) for the frame to compute on and the
places of its own rows in it; it may use rows up to the one being computed, never a later one.
"""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from uuid import uuid4
import warnings

import numpy as np
import pandas as pd

from .exceptions import ColdStartWarning, InvalidBarsError, StaleHistoryWarning

__all__ = [
    "Context",
    "Handle",
    "History",
    "get_history",
    "locate_rows",
    "prepend_tail",
    "recall",
    "remember_tail",
    "segment_starts",
    "usual_pauses",
    "with_history",
]

_KEPT_RESULTS = 64  # results cached in this process, over all handles
_KEPT_BYTES = 2**30  # and the memory they may hold together; the newest is always kept
_ROWS_AT_ONCE = 16_384  # rows compared in one go
_results: OrderedDict = OrderedDict()  # (uid, key) -> (result, bytes); shared by all copies of a handle in this process, oldest use first
_results_lock = Lock()


def lazy_copy(frame):
    """A copy whose changes stay its own: lazily where pandas copies on write (3.0), else at once."""
    return frame.copy(deep=pd.__version__ < "3")


class Handle(dict):
    """An empty dict with a name: pandas may copy it, compare it and write it as JSON at no cost.

    Copies of a handle are the handle itself, and one that travelled to another process equals the one that stayed.
    """

    __slots__ = ("_uid",)

    def __init__(self, uid=None):
        super().__init__()
        self._uid = uid or uuid4().hex

    @property
    def uid(self):
        """The name: equal for all copies of one handle."""
        return self._uid

    def __eq__(self, other):
        return type(other) is type(self) and self._uid == other._uid

    def __ne__(self, other):
        return not self == other

    def __hash__(self):  # type: ignore[override]
        return hash(self._uid)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


class History(Handle):
    """A handle that carries a frame.

    Attributes
    ----------
    frame : DataFrame
        All rows known to the handle, sorted by (symbol, time), without attrs.
    """

    __slots__ = ("_frame",)

    def __init__(self, frame, uid=None):
        super().__init__(uid)
        if uid is None:  # a new handle owns its frame: no attrs, so no circle back to itself
            frame = lazy_copy(frame)
            frame.attrs = {}
        self._frame = frame

    @property
    def frame(self):
        return self._frame

    def __reduce__(self):
        return History, (self._frame, self._uid)

    def __repr__(self):
        return f"History({len(self._frame)} rows)"

    def cached(self, key, compute):
        """``compute(frame)``, remembered under ``key`` for every copy of this handle in this process.

        Parameters
        ----------
        key : hashable
            Everything the result depends on besides the frame: who computes, parameters, learned state.
        compute : callable
            Pure function of the frame; its result is shared, so nobody may change it.

        Returns
        -------
        object
            A History, DataFrame or ndarray weighs what it holds; the least recently used results are dropped first.
        """
        key = (self._uid, key)
        with _results_lock:
            if key in _results:
                _results.move_to_end(key)
                return _results[key][0]
        result = compute(self._frame)  # outside the lock: it may be slow, and it may ask for another result
        with _results_lock:
            _results[key] = result, _weight(result)
            _results.move_to_end(key)
            held = sum(weight for _, weight in _results.values())
            while len(_results) > 1 and (len(_results) > _KEPT_RESULTS or held > _KEPT_BYTES):
                held -= _results.popitem(last=False)[1][1]
        return result

    def locate(self, index):
        """Positions of ``index`` in the frame, or None when a row is not there."""
        positions = locate_rows(self._frame.index, index)
        return None if (positions < 0).any() else positions


def locate_rows(own, index):
    """Positions of the rows of ``index`` in ``own``, whose rows stand once; -1 where a row is not there.

    Parameters
    ----------
    own, index : pandas.Index
        Times, or (symbol, time) pairs.

    Returns
    -------
    ndarray of intp, shape (len(index),)
    """
    if index is own or (len(index) == len(own) and index.equals(own)):
        return np.arange(len(own))
    if type(index) is not type(own) or getattr(index, "tz", None) != getattr(own, "tz", None) or not len(own):
        return np.full(len(index), -1)
    if isinstance(own, pd.DatetimeIndex) and own.is_monotonic_increasing:  # a search needs no hash table
        if index.hasnans:
            return np.full(len(index), -1)
        positions = np.minimum(own.searchsorted(index), len(own) - 1)
        return np.where(np.asarray(own[positions] == index), positions, -1)
    return own.get_indexer(index)


def _weight(result):
    frame = result.frame if isinstance(result, History) else result
    if isinstance(frame, pd.DataFrame):
        return int(frame.memory_usage(index=False).sum())
    return int(getattr(result, "nbytes", 0))


def get_history(X):
    """The handle that ``X`` carries, or None."""
    handle = getattr(X, "attrs", {}).get("history")
    return handle if isinstance(handle, History) else None


def with_history(frame):
    """Return ``frame`` with a handle on all its rows, so that any later slice of it remembers what came before.

    Parameters
    ----------
    frame : DataFrame
        Rows indexed by a ``DatetimeIndex``, or by a ``MultiIndex`` (symbol, time); every row stands once.

    Returns
    -------
    DataFrame
        A shallow copy. Transformers that look back (``BarFeatures``, ``SlidingWindow``, ``RegimeDetector``) compute any
        slice of it exactly as they would the whole.

    Raises
    ------
    InvalidBarsError
        When the index holds no times, or a row stands twice.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain import with_history
    >>> frame = with_history(pd.DataFrame({"x": range(5)}, pd.date_range("2020", periods=5)))
    >>> frame.iloc[3:].attrs["history"]
    History(5 rows)
    """
    if not isinstance(frame, pd.DataFrame) or not isinstance(frame.index, (pd.DatetimeIndex, pd.MultiIndex)):
        raise InvalidBarsError(f"with_history needs a DataFrame indexed by time, or by (symbol, time); got {type(frame).__name__}.")
    if frame.index.has_duplicates:
        row = int(np.argmax(frame.index.duplicated()))
        raise InvalidBarsError(f"with_history needs every row once: row {row} ({frame.index[row]}) stands twice.")
    out = lazy_copy(frame)
    out.attrs = {key: value for key, value in frame.attrs.items() if key != "history"}
    whole = out if out.index.is_monotonic_increasing else _sorted(out)
    out.attrs["history"] = History(whole)
    return out


def _sorted(frame):
    if isinstance(frame.index, pd.MultiIndex) and _segments_sorted(frame.index):
        return frame
    return frame.sort_index()


def _segments_sorted(index):
    """Whether each symbol's rows stand together and in order of time, whatever the order of the symbols."""
    codes, times = np.asarray(index.codes[0]), index.levels[1].asi8[index.codes[1]] if isinstance(index.levels[1], pd.DatetimeIndex) else None
    if times is None:
        return False
    same = codes[1:] == codes[:-1]
    return bool((times[1:] > times[:-1])[same].all()) and len(np.unique(codes)) == int((~same).sum()) + 1


def segment_starts(index):
    """Positions where a new symbol begins in a frame whose symbols stand together; ``[0]`` for one instrument.

    Examples
    --------
    >>> import pandas as pd
    >>> segment_starts(pd.MultiIndex.from_tuples([("A", 1), ("A", 2), ("B", 1)]))
    array([0, 2])
    """
    if not isinstance(index, pd.MultiIndex):
        return np.zeros(1, dtype=np.intp)
    codes = np.asarray(index.codes[0])
    return np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1]).astype(np.intp)


@dataclass(frozen=True)
class Context:
    """The rows to compute on, and where the caller's rows stand among them.

    Attributes
    ----------
    frame : DataFrame
        Sorted by (symbol, time); symbols stand together.
    rows : ndarray of intp
        Positions in ``frame`` of the caller's rows, in the caller's order.
    history : History or None
        The handle ``frame`` comes from; results on the whole of it may be cached there.
    """

    frame: pd.DataFrame
    rows: np.ndarray
    history: History | None


def _same_block(X, frame, positions):
    """Whether frames of one dtype hold the same values; compared many columns at a time, few rows at a time."""
    dtypes = set(X.dtypes) | set(frame.dtypes)
    if len(dtypes) != 1 or next(iter(dtypes)) not in (np.dtype(np.float64), np.dtype(np.float32)):
        return False
    mine, theirs = X.to_numpy(), frame.to_numpy()
    for low in range(0, len(positions), _ROWS_AT_ONCE):
        part = slice(low, low + _ROWS_AT_ONCE)
        if not np.array_equal(mine[part], theirs[positions[part]], equal_nan=True):
            return False
    return True


def _agrees(X, history, positions, columns):
    frame = history.frame
    if positions is None:
        return "rows that it does not hold"
    if list(columns) == list(X.columns) == list(frame.columns) and _same_block(X, frame, positions):
        return None
    for name in columns:
        if name not in frame.columns:
            return f"a column {name!r} that it does not hold"
        mine, theirs = X[name].to_numpy(), frame[name].to_numpy()
        theirs = theirs if len(positions) == len(theirs) and X.index is frame.index else theirs[positions]
        if mine is theirs:
            continue
        equal = mine == theirs
        if equal is False or not np.all(equal | (pd.isna(mine) & pd.isna(theirs))):
            return f"other values in column {name!r}"
    return None


def recall(X, *, columns=None, caller="transform"):
    """Find the rows of ``X`` in the history they carry.

    Parameters
    ----------
    X : DataFrame
        Rows in any order, indexed by time or (symbol, time).
    columns : sequence of str, optional
        Columns of ``X`` the caller reads; default all of them.
    caller : str
        Name for the warning.

    Returns
    -------
    Context or None
        None without a handle, and when the handle disagrees with the rows that carry it (a ``StaleHistoryWarning``).
    """
    history = get_history(X)
    if history is None:
        return None
    positions = history.locate(X.index)
    clash = _agrees(X, history, positions, X.columns if columns is None else columns)
    if clash is None:
        return Context(history.frame, positions, history)
    warnings.warn(
        f"{caller} ignored the remembered history: the rows have {clash}. Renew it with with_history(df) after changing rows or columns.",
        StaleHistoryWarning,
        stacklevel=4,
    )
    return None


def prepend_tail(X, tail=None, *, caller="transform", first_seen=None, pause=None, usual=None):
    """Put what ``fit`` remembered before rows that carry no history.

    ``tail`` (from :func:`remember_tail`) stands before ``X`` when X follows it directly: the gap is at most twice the largest
    spacing within the tail, or twice a usual pause, per symbol. Else rows start cold, with a ``ColdStartWarning``.

    Parameters
    ----------
    X : DataFrame
        Rows sorted by time within each symbol, symbols together.
    tail : DataFrame, optional
        What the caller remembered in ``fit``; the same columns as ``X``.
    caller : str
        Name for the warning.
    first_seen : dict, optional
        First time of each symbol's rows in ``fit``: rows that start there have nothing before them to miss.
    pause : Timedelta, optional
        For a caller that never looks behind a pause this long: rows that come after one have nothing before them to miss.
    usual : dict, optional
        Longest usual pause of each symbol in nanoseconds, from :func:`usual_pauses`: the tail of intraday rows lies inside one
        session, and the first row of the next one follows it all the same.

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
        order = np.argsort(np.asarray(frame.index.codes[0]), kind="stable")  # each symbol's tail, then its rows
        rows = np.empty(len(order), dtype=np.intp)
        rows[order] = np.arange(len(order))
        return Context(frame.iloc[order], rows[len(before) :], None)
    return Context(frame, np.arange(len(before), len(frame)), None)


def _before(X, tail, caller, first_seen, pause, usual):
    """The part of ``tail`` that ends directly before ``X``, per symbol; None when there is none."""
    parts, cold = [], []
    panel = isinstance(X.index, pd.MultiIndex)
    usable = tail is not None and isinstance(tail.index, pd.MultiIndex) == panel and set(tail.columns) == set(X.columns)
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
            f"{caller} knows no rows before {X.index[0]}{who}: values that look further back are missing. "
            "Pass more past rows, or a frame from with_history.",
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

    Per symbol the last ``lookback`` rows up to the last row of ``fit``, and up to ``lookback`` rows after it where they are
    known (rows a labeler dropped because their outcome is unknown). A later row is only ever used for rows after it.

    Parameters
    ----------
    X : DataFrame
        Rows sorted by time within each symbol, symbols together: the rows of ``fit``, or the history they stand in.
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
        pieces.append(np.arange(max(last[segment] + 1 - kept, starts[segment]), min(last[segment] + 1 + lookback, ends[segment])))
        label = X.index[int(first[segment])]
        first_seen[label[0] if panel else None] = label[1] if panel else label
    tail = X.iloc[np.concatenate(pieces)].copy()
    tail.attrs = {}
    if panel:
        tail.index = tail.index.remove_unused_levels()
    return tail, first_seen


#: A month holds weekends and most holidays; a longer look back would call a closed exchange usual for ever.
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
    panel, pauses = isinstance(X.index, pd.MultiIndex), {}
    for start, end in zip(starts[last >= 0], last[last >= 0]):
        month = np.searchsorted(times[start : end + 1], times[end] - _USUAL.value) + start
        steps = np.diff(times[month : end + 1])
        pauses[X.index[start][0] if panel else None] = int(steps.max(initial=0))
    return pauses

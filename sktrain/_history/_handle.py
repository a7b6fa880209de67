"""The handle that lets a slice of rows remember what came before.

A full frame of rows, sorted by symbol and time, gets a light handle in ``attrs["history"]``. pandas
copies attrs through slicing, so a fold of rows still knows the rows before it. A causal transformer
asks :func:`recall` for the frame to compute on and the places of its own rows in it; it may use
rows up to the one being computed, never a later one. Rows without a handle: see ``_tail``.

To another process, or into a file, a slice takes along the rows around it, not the whole history.
"""

from dataclasses import dataclass
from numbers import Integral
import warnings
from weakref import WeakValueDictionary

import numpy as np
import pandas as pd

from .._io import sha256
from ..exceptions import InvalidBarsError, StaleHistoryWarning
from ._carried import Handle
from ._results import compute_once, hold

__all__ = [
    "Context", "History", "get_history", "lazy_copy", "locate_rows", "recall", "segment_starts",
    "with_history",
]

# rows that travel on either side of a slice: four times the longest default window, and less than
# 10 KiB of bars
_REACH = 256
_ROWS_AT_ONCE = 16_384  # rows compared in one go: 128 KiB a column, a judgment
_alive: WeakValueDictionary = WeakValueDictionary()  # handle per uid
# the handle that came last from another process: a worker's next task brings it again
_last: list = []


def lazy_copy(frame):
    """A copy whose changes stay its own: lazily where pandas copies on write (3.0), else at
    once."""
    return frame.copy(deep=pd.__version__ < "3")


class History(Handle):
    """A handle that carries a frame.

    Attributes
    ----------
    frame : DataFrame
        All rows known to the handle, sorted by (symbol, time), without attrs.
    lookback : int or None
        Rows that stand before and after those it was cut out for; None when it was not cut.
    reach : int
        Rows that a slice takes along on either side, at least.
    """

    __slots__ = ("__weakref__", "_frame", "_lookback", "_reach")

    def __init__(self, frame, uid=None, *, reach=_REACH, lookback=None):
        super().__init__(uid)
        self._reach, self._lookback = reach, lookback
        if uid is None:  # a new handle owns its frame: no attrs, so no circle back to itself
            frame = lazy_copy(frame)
            frame.attrs = {}
        self._frame = frame
        _alive[self._uid] = self
        hold(self, self._uid)

    @property
    def frame(self):
        return self._frame

    @property
    def lookback(self):
        return self._lookback

    @property
    def reach(self):
        return self._reach

    def __reduce__(self):
        return _arrived, (self._frame, self._uid, self._reach, self._lookback)

    def __repr__(self):
        return f"History({len(self._frame)} rows)"

    def cached(self, key, compute):
        """``compute(frame)``, remembered under ``key`` for every copy of this handle in this
        process.

        Parameters
        ----------
        key : hashable
            Everything the result depends on besides the frame: who computes, parameters, learned
            state.
        compute : callable
            Pure function of the frame; its result is shared, so nobody may change it.

        Returns
        -------
        object
            A History, DataFrame or ndarray weighs what it holds; the least recently used results
            are dropped first.
        """
        return compute_once(self._uid, key, lambda: compute(self._frame))

    def over(self, frame, lookback=1):
        """A handle on ``frame``, whose rows were made from as many rows of this one, ``lookback``
        each."""
        known = None if self._lookback is None else max(self._lookback - (lookback - 1), 0)
        return History(frame, reach=self._reach, lookback=known)

    def require(self, lookback, caller):
        """Refuse to compute what looks back further than the rows that travelled along."""
        if self._lookback is None or (lookback is not None and lookback - 1 <= self._lookback):
            return
        far, more = (
            ("without limit", "")
            if lookback is None
            else (
                f"{lookback} rows",
                f"Before slicing, call with_history(frame, lookback={lookback}), or send",
            )
        )
        raise InvalidBarsError(
            f"{caller} looks back {far}, but these rows came from another process or a file with "
            f"{self._lookback} rows of their past. {more or 'Send'} the whole frame."
        )

    def around(self, index):
        """The handle that rows take along on a journey: cut out where they are few, itself else."""
        reach = max(self._reach, len(index))
        most = len(index) + 2 * reach
        if self._lookback is not None or 2 * most > len(self._frame):
            return self
        positions = self.locate(index)
        if positions is None:
            return self
        key = "around", _digest(positions)
        part = self.cached(key, lambda frame: self._cut(positions, reach))
        return self if part is None else part

    def _cut(self, positions, reach):
        """A handle on the rows around some; None (never itself, which it would keep) for most
        rows."""
        starts = segment_starts(self._frame.index)
        ends = np.append(starts[1:], len(self._frame))
        positions = np.unique(positions)
        own = np.searchsorted(starts, positions, side="right") - 1
        change = np.zeros(len(self._frame) + 1, dtype=np.intp)
        np.add.at(change, np.maximum(positions - reach, starts[own]), 1)
        np.add.at(change, np.minimum(positions + reach + 1, ends[own]), -1)
        kept = np.flatnonzero(np.cumsum(change[:-1]))
        if len(kept) > len(self._frame) // 2:
            return None
        frame = self._frame.iloc[kept]
        if isinstance(frame.index, pd.MultiIndex):
            frame.index = frame.index.remove_unused_levels()
        return History(
            frame, f"{self._uid}/{_digest(positions)}", reach=self._reach, lookback=reach
        )

    def locate(self, index):
        """Positions of ``index`` in the frame, or None when a row is not there."""
        positions = locate_rows(self._frame.index, index)
        return None if (positions < 0).any() else positions


def _digest(positions):
    return sha256(np.ascontiguousarray(positions).tobytes())[:16]


def _arrived(frame, uid, reach, lookback):
    """A handle out of a pickle; the one that is here already, if there is one."""
    here = _alive.get(uid)
    if here is not None:
        return here
    _last[:] = [History(frame, uid, reach=reach, lookback=lookback)]
    return _last[0]


def locate_rows(own, index):
    """Positions of the rows of ``index`` in ``own``, whose rows stand once; -1 where a row is not
    there.

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
    if (
        type(index) is not type(own)
        or getattr(index, "tz", None) != getattr(own, "tz", None)
        or not len(own)
    ):
        return np.full(len(index), -1)
    # a search needs no hash table
    if isinstance(own, pd.DatetimeIndex) and own.is_monotonic_increasing:
        if index.hasnans:
            return np.full(len(index), -1)
        return _search(own, index)
    keys = (
        _keys(own, index)
        if isinstance(own, pd.MultiIndex) and own.nlevels == index.nlevels == 2
        else None
    )
    return own.get_indexer(index) if keys is None else _search(*keys)


def _search(own, wanted):
    """Places of ``wanted`` in increasing ``own``, -1 where they are not there."""
    positions = np.minimum(own.searchsorted(wanted), len(own) - 1)
    return np.where(np.asarray(own[positions] == wanted), positions, -1)


def _keys(own, index):
    """One number per row of two indexes with the same levels, increasing in ``own``; None where
    that cannot be said."""
    if not all(
        mine is theirs or mine.equals(theirs) for mine, theirs in zip(own.levels, index.levels)
    ):
        return None
    width = len(own.levels[1])
    keys = [np.asarray(one.codes[0], dtype=np.int64) * width + one.codes[1] for one in (own, index)]
    missing = any(bool((np.asarray(code) < 0).any()) for one in (own, index) for code in one.codes)
    return None if missing or not bool((keys[0][1:] > keys[0][:-1]).all()) else keys


def get_history(X):
    """The handle that ``X`` carries, or None."""
    handle = getattr(X, "attrs", {}).get("history")
    return handle if isinstance(handle, History) else None


def with_history(frame: pd.DataFrame, lookback: int = _REACH) -> pd.DataFrame:
    """Return ``frame`` with a handle on all its rows, so that any later slice of it remembers what
    came before.

    Parameters
    ----------
    frame : DataFrame
        Rows indexed by a ``DatetimeIndex``, or by a ``MultiIndex`` (symbol, time); every row stands
        once.
    lookback : int, default=256
        Rows before and after it that a slice takes along into another process or a file, or as many
        as it has itself if that is more. What looks back further than that refuses to compute
        there; within this process a slice knows every row.

    Returns
    -------
    DataFrame
        A shallow copy. Transformers that look back (``BarFeatures``, ``SlidingWindow``,
        ``RegimeDetector``) compute any slice of it exactly as they would the whole.

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
    if not isinstance(frame, pd.DataFrame) or not isinstance(
        frame.index, (pd.DatetimeIndex, pd.MultiIndex)
    ):
        raise InvalidBarsError(
            "with_history needs a DataFrame indexed by time, or by (symbol, time); got "
            f"{type(frame).__name__}."
        )
    if isinstance(lookback, bool) or not isinstance(lookback, Integral) or lookback < 1:
        raise InvalidBarsError(f"lookback must be an integer >= 1, got {lookback!r}.")
    if frame.index.has_duplicates:
        row = int(np.argmax(frame.index.duplicated()))
        raise InvalidBarsError(
            f"with_history needs every row once: row {row} ({frame.index[row]}) stands twice."
        )
    out = lazy_copy(frame)
    out.attrs = {key: value for key, value in frame.attrs.items() if key != "history"}
    whole = out if out.index.is_monotonic_increasing else _sorted(out)
    out.attrs["history"] = History(whole, reach=lookback)
    return out


def _sorted(frame):
    if isinstance(frame.index, pd.MultiIndex) and _segments_sorted(frame.index):
        return frame
    return frame.sort_index()


def _segments_sorted(index):
    """Whether each symbol's rows stand together and in order of time, whatever the order of the
    symbols."""
    codes, times = (
        np.asarray(index.codes[0]),
        index.levels[1].asi8[index.codes[1]]
        if isinstance(index.levels[1], pd.DatetimeIndex)
        else None,
    )
    if times is None:
        return False
    same = codes[1:] == codes[:-1]
    return (
        bool((times[1:] > times[:-1])[same].all())
        and len(np.unique(codes)) == int((~same).sum()) + 1
    )


def segment_starts(index):
    """Positions where a new symbol begins in a frame whose symbols stand together; ``[0]`` for one
    instrument.

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
    """Whether frames of one dtype hold the same values; compared in the order in which they lie in
    memory, piece by piece."""
    dtypes = set(X.dtypes) | set(frame.dtypes)
    if len(dtypes) != 1 or next(iter(dtypes)) not in (np.dtype(np.float64), np.dtype(np.float32)):
        return False
    mine, theirs = X.to_numpy(), frame.to_numpy()
    by_column = theirs.flags.f_contiguous and not theirs.flags.c_contiguous
    pairs = (
        [(mine[:, j], theirs[:, j]) for j in range(mine.shape[1])]
        if by_column
        else [(mine, theirs)]
    )
    rows = _run_of(positions)
    for one, other in pairs:
        for low in range(0, len(positions), _ROWS_AT_ONCE):
            part = slice(low, low + _ROWS_AT_ONCE)
            if not np.array_equal(
                one[part], other[rows][part] if rows else other[positions[part]], equal_nan=True
            ):
                return False
    return True


def _run_of(positions):
    """The slice that ``positions`` are, or None."""
    first, count = (int(positions[0]), len(positions)) if len(positions) else (0, 0)
    if count and positions[-1] - first == count - 1 and bool((np.diff(positions) == 1).all()):
        return slice(first, first + count)
    return None


def _agrees(X, history, positions, columns):
    frame = history.frame
    if positions is None:
        return "rows that it does not hold"
    if list(columns) == list(X.columns) == list(frame.columns) and _same_block(X, frame, positions):
        return None
    rows = _run_of(positions) or positions
    for name in columns:
        if name not in frame.columns:
            return f"a column {name!r} that it does not hold"
        mine, theirs = X[name].to_numpy(), frame[name].to_numpy()
        theirs = (
            theirs if len(positions) == len(theirs) and X.index is frame.index else theirs[rows]
        )
        if mine is theirs:
            continue
        equal = mine == theirs
        if equal is False or not np.all(equal | (pd.isna(mine) & pd.isna(theirs))):
            return f"other values in column {name!r}"
    return None


def recall(X, *, columns=None, caller="transform", lookback=1):
    """Find the rows of ``X`` in the history they carry.

    Parameters
    ----------
    X : DataFrame
        Rows in any order, indexed by time or (symbol, time).
    columns : sequence of str, optional
        Columns of ``X`` the caller reads; default all of them.
    caller : str
        Name for the warning.
    lookback : int or None, default=1
        Rows a value looks back on, its own included; None for no limit.

    Returns
    -------
    Context or None
        None without a handle, and when the handle disagrees with the rows that carry it (a
        ``StaleHistoryWarning``).
    """
    history = get_history(X)
    if history is None:
        return None
    positions = history.locate(X.index)
    clash = _agrees(X, history, positions, X.columns if columns is None else columns)
    if clash is None:
        history.require(lookback, caller)
        return Context(history.frame, positions, history)
    panel, own = (isinstance(one, pd.MultiIndex) for one in (history.frame.index, X.index))
    why = (
        "the rows have lost their symbol. Keep it in the index, as X.loc[['A']] does where "
        "X.loc['A'] does not"
        if panel and not own
        else f"the rows have {clash}. Renew it with with_history(df) after changing rows or columns"
    )
    warnings.warn(
        f"{caller} ignored the remembered history: {why}.",
        StaleHistoryWarning,
        stacklevel=4,
    )
    return None

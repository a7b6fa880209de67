"""The handle that carries when each label is known, and whether the labels that carry it are still
those it was written for.

Labelers write it on y and on the rows they return; pandas hands it on through slices and folds. It
holds one row per label: the row's index, the end of its label and the label itself. Labels that no
longer follow from those it holds (a shift, a shuffle) are stale: the ends it knows are not theirs.
"""

from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any
import zlib

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd

from .._history import Handle, lazy_copy, locate_rows
from .._spans import Spans
from ..exceptions import InvalidSplitError, SktrainError
from ._ends import ends_from_times
from ._stale import FEW, first_stale, label_columns
from ._times import time_axis

__all__ = [
    "KEY",
    "Carried",
    "LabelTimes",
    "carried",
    "keep_label_times",
    "label_times_of",
    "refuse_stale",
    "with_label_times",
    "write_label_times",
]

KEY = "label_times"
_FASTEST = 1  # zlib's level: end times are nearly constant steps, which any level packs


class LabelTimes(Handle):
    """A handle that carries the end time of every label.

    Attributes
    ----------
    index : DatetimeIndex, or MultiIndex (symbol, time), of length n
        Rows, each once.
    end : ndarray of int64, shape (n,)
        Nanoseconds since 1970 (UTC) at which each label is known; the row's own time where there is
        no label.
    codes : ndarray of int, shape (n,)
        Number of each row's label in ``labels``; -1 where there is none.
    labels : ndarray
        The distinct labels.
    horizon : int or str
        What labels look ahead at most: bars of the row's own symbol, or a length of time.
    is_continuous : bool
        Whether most labels stand once, as targets of a regression do: then any values are a
        function of them.
    """

    __slots__ = (
        "_codes", "_end", "_index", "_labels", "_packed", "_range", "horizon", "is_continuous",
    )

    def __init__(self, index, end, codes, labels, horizon, uid=None, is_continuous=None):
        super().__init__(uid)
        self._index, self._end, self._codes, self._labels = index, end, codes, labels
        self._packed = self._range = None
        self.horizon = horizon
        if is_continuous is None:
            is_continuous = len(labels) > max(FEW, len(index) // 2)
        self.is_continuous = is_continuous

    @property
    def index(self):
        return self._index

    @property
    def end(self):
        return self._end

    @property
    def codes(self):
        return self._codes

    @property
    def labels(self):
        return self._labels

    def __eq__(self, other):
        """Handles of one horizon count as equal, so that pandas keeps attrs when labels of several
        symbols are concatenated."""
        return type(other) is LabelTimes and self.horizon == other.horizon

    def __hash__(self):  # type: ignore[override]  # dict says None: a handle is never changed
        return hash(str(self.horizon))

    def __repr__(self):
        return f"LabelTimes({len(self._index)} labels, horizon {self.horizon})"

    def __reduce__(self):
        if self._packed is None:
            self._packed = (
                _pack_index(self._index),
                _pack(self._end - _own_times(self._index)),
                _pack(self._codes),
            )
        told = self._labels, self.horizon, self._uid, self.is_continuous
        return _unpack, (*self._packed, *told)

    def around(self, index: pd.Index) -> "LabelTimes":
        """The handle of the rows of ``index`` alone; itself where they are most rows or none."""
        if 2 * len(index) > len(self._index):
            return self
        if isinstance(self._index, pd.MultiIndex) and isinstance(index, pd.DatetimeIndex):
            kept = np.flatnonzero(np.isin(_own_times(self._index), _own_times(index)))
        else:
            places = self.find(index)
            kept = np.unique(places[places >= 0])
        if not 0 < len(kept) <= len(self._index) // 2:
            return self
        rows, codes, labels = self._index[kept], self._codes[kept], self._labels
        if isinstance(rows, pd.MultiIndex):
            rows = rows.remove_unused_levels()
        if len(labels) > FEW:
            codes, labels = _met(codes, labels)
        return LabelTimes(
            rows, self._end[kept], codes, labels, self.horizon, self._uid, self.is_continuous
        )

    def find(self, index: pd.Index) -> np.ndarray:
        """Places of the rows of ``index`` among the rows known here, -1 where a row is not
        known."""
        return locate_rows(self._index, index)

    def find_in_symbols(self, times: np.ndarray) -> np.ndarray:
        """For distinct times without symbols: where they stand among the rows of every symbol that
        holds all of them.

        Returns
        -------
        ndarray of intp, shape (n_symbols, len(times))
        """
        order = np.argsort(times, kind="stable")
        own = _own_times(self._index)
        place = np.minimum(np.searchsorted(times[order], own), len(times) - 1)
        rows = np.flatnonzero(times[order][place] == own)
        symbols = self._index.codes[0][rows]
        holds_all = np.bincount(symbols, minlength=len(self._index.levels[0])) == len(times)
        rows, symbols = rows[holds_all[symbols]], symbols[holds_all[symbols]]
        return rows[np.lexsort((order[place[rows]], symbols))].reshape(-1, len(times))

    def latest_ends(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For times without symbols: the latest end of any symbol's label there, and which times
        are known at all."""
        if self._range is None:
            own = _own_times(self._index)
            order = np.argsort(own, kind="stable")
            first = np.flatnonzero(np.diff(own[order], prepend=own[order][:1] - 1))
            self._range = own[order][first], np.maximum.reduceat(self._end[order], first)
        known, ends = self._range
        place = np.minimum(np.searchsorted(known, times), len(known) - 1)
        return ends[place], known[place] == times


def _own_times(index):
    times = (
        index.levels[1].as_unit("ns").asi8[index.codes[1]]
        if isinstance(index, pd.MultiIndex)
        else index.as_unit("ns").asi8
    )
    return np.asarray(times)


def _pack(values):
    """An integer array as compressed differences."""
    return str(values.dtype), zlib.compress(
        np.diff(values, prepend=values.dtype.type(0)).tobytes(), _FASTEST
    )


def _unpacked(packed):
    dtype, data = packed
    steps = np.frombuffer(zlib.decompress(data), dtype=dtype)
    return np.cumsum(steps, dtype=dtype)


def _pack_index(index):
    if isinstance(index, pd.MultiIndex):
        return (
            index.levels[0],
            index.levels[1],
            tuple(_pack(np.asarray(codes)) for codes in index.codes),
            tuple(index.names),
        )
    return str(index.dtype), _pack(index.asi8), index.name


def _unpack_index(packed):
    if len(packed) == 4:
        symbols, times, codes, names = packed
        return pd.MultiIndex(
            [symbols, times],
            [_unpacked(part) for part in codes],
            names=names,
            verify_integrity=False,
        )
    dtype, values, name = packed
    unit = dtype.split("[")[1].split(",")[0].rstrip("]")
    stamps = pd.DatetimeIndex(_unpacked(values).view(f"M8[{unit}]"), name=name)
    return (
        stamps.tz_localize("UTC").tz_convert(dtype.split(", ")[1].rstrip("]"))
        if "," in dtype
        else stamps
    )


def _unpack(index, ahead, codes, labels, horizon, uid, is_continuous=None):
    rows = _unpack_index(index)
    end = _own_times(rows) + _unpacked(ahead)
    return LabelTimes(rows, end, _unpacked(codes), labels, horizon, uid, is_continuous)


def _met(codes, labels):
    """Codes among the labels that they name alone, in the same order."""
    named, codes_of_named = np.unique(codes, return_inverse=True)
    without = named < 0
    small = np.min_scalar_type(-max(len(named), 1))
    return (codes_of_named - without.sum()).astype(small), labels[named[~without]]


def label_times_of(rows: object) -> LabelTimes | None:
    """The handle that labels or rows carry, or None."""
    handle = getattr(rows, "attrs", {}).get(KEY)
    return handle if isinstance(handle, LabelTimes) else None


def write_label_times(y: pd.Series, end: np.ndarray, horizon: int | str) -> None:
    """Put a new handle on ``y``, in place; ``end`` in nanoseconds since 1970 (UTC), one per row."""
    codes, labels = pd.factorize(y, sort=True)
    small = codes.astype(np.min_scalar_type(-max(len(labels), 1)))
    y.attrs[KEY] = LabelTimes(
        y.index, np.asarray(end, dtype=np.int64), small, np.asarray(labels), horizon
    )
    y.attrs["label_horizon"] = horizon


def keep_label_times(new: pd.Series, old) -> pd.Series:
    """Give ``new`` the label times of ``old`` whatever its values, in place: for experiments that
    change labels on purpose."""
    new.attrs = dict(getattr(old, "attrs", {}))
    handle = label_times_of(old)
    if handle is not None:
        none = np.full(len(handle.index), -1, dtype=np.int8)
        new.attrs[KEY] = LabelTimes(
            handle.index, handle.end, none, handle.labels[:0], handle.horizon
        )
    return new


@dataclass(frozen=True)
class Carried:
    """What a handle says about n rows.

    Attributes
    ----------
    end : ndarray of int64, shape (n,)
        End of each label; meaningless where ``known`` is False.
    known : ndarray of bool, shape (n,)
        Rows that the handle holds.
    places : ndarray of intp, shape (n,), or None
        Place of each row in the handle; None where rows carry no symbol, so that several labels
        share a time.
    handle : LabelTimes
    """

    end: np.ndarray
    known: np.ndarray
    places: np.ndarray | None
    handle: LabelTimes

    @cached_property
    def all_known(self) -> bool:
        return bool(self.known.all())

    def stale_row(self, y) -> tuple | None:
        """The first row whose label does not follow from the handle's: (row, its label, the
        handle's); None when all do."""
        if self.places is None or y is None:
            return None
        found = [
            first_stale(values, self.known, self.places, self.handle) for values in label_columns(y)
        ]
        return min((stale for stale in found if stale is not None), default=None, key=itemgetter(0))


def carried(axis, handle: LabelTimes | None, y=None) -> Carried | None:
    """What ``handle`` knows of the rows of ``axis``, whose labels are ``y``; None when it knows
    none of them.

    Rows without symbols that a handle of a panel knows may be those of one symbol (``y.loc["A"]``):
    then their times stand once, and what it knows of them is what it knows of the symbols whose
    labels they may be.
    """
    if handle is None or axis.index is None or not len(handle.index) or not len(axis.index):
        return None
    panel, flat = isinstance(handle.index, pd.MultiIndex), not isinstance(axis.index, pd.MultiIndex)
    if panel and flat:
        places: Any = [] if axis.index.has_duplicates else handle.find_in_symbols(axis.times)
        if len(places):
            return _of_one_symbol(handle, places, y)
        end, known = handle.latest_ends(axis.times)
        return Carried(end, known, None, handle) if known.any() else None
    places = handle.find(axis.index)
    known = places >= 0
    return Carried(handle.end[places], known, places, handle) if known.any() else None


def _of_one_symbol(handle, places, y):
    """What a handle knows of rows that stand at ``places[k]`` of it if they are those of its k-th
    symbol."""
    known = np.ones(places.shape[1], dtype=bool)
    columns = [] if y is None else label_columns(y)
    follow = [
        mine
        for mine in places
        if all(first_stale(values, known, mine, handle) is None for values in columns)
    ]
    end = handle.end[np.array(follow) if follow else places].max(axis=0)
    return Carried(end, known, follow[0] if follow else places[0], handle)


def with_label_times(
    y: ArrayLike, *, end_times: ArrayLike | None = None, like: pd.Series | None = None
) -> pd.Series:
    """Write on labels when each of them is known.

    Parameters
    ----------
    y : Series of shape (n,), or array-like with ``like``
        Labels indexed by time or by (symbol, time), every row once.
    end_times : array-like of timestamps, shape (n,), optional
        Time of the last bar each label used; NaT where there is no label. A Series must have the
        index of ``y``.
    like : Series, optional
        Labels that carry their times already: every row of ``y`` is known when the same row of
        ``like`` is.

    Returns
    -------
    Series
        A copy of ``y`` whose ``attrs`` tell splitters, nets, resamplers and the auditor when labels
        are known; ``attrs["label_horizon"]`` is the longest span in bars.

    Raises
    ------
    SktrainError
        When not exactly one of ``end_times`` and ``like`` is given, rows do not fit, or a label
        ends before it starts.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain import with_label_times
    >>> days = pd.date_range("2024-01-01", periods=5)
    >>> y = pd.Series([0, 1, 1, 0, 1], days)
    >>> with_label_times(y, end_times=days.shift(2)).attrs
    {'label_times': LabelTimes(5 labels, horizon 2), 'label_horizon': 2}
    """
    if (end_times is None) == (like is None):
        raise SktrainError(
            "with_label_times needs one of end_times=... and like=..., and not both."
        )
    if like is not None:
        return _like(y, like)
    series: Any = _series(y)
    axis = time_axis(series)
    if axis.index is None or axis.index.has_duplicates:
        what = (
            "no times"
            if axis.index is None
            else f"row {int(np.argmax(axis.index.duplicated()))} twice"
        )
        raise SktrainError(
            "with_label_times needs a Series indexed by time, or by (symbol, time), every row "
            f"once; y has {what}."
        )
    end = ends_from_times(axis, end_times, len(series))
    spans = Spans.from_times(axis.times, end)
    out = series.set_axis(axis.index) if axis.index is not series.index else lazy_copy(series)
    out.attrs = {key: value for key, value in series.attrs.items() if key != KEY}
    write_label_times(
        out, end, int((np.searchsorted(spans.axis, end, side="right") - 1 - spans.codes).max())
    )
    return out


def _series(y):
    if not isinstance(y, pd.Series):
        raise SktrainError(
            "with_label_times needs a Series indexed by time, or by (symbol, time); got "
            f"{type(y).__name__}."
        )
    return y


def _like(y, like):
    handle = label_times_of(like)
    if handle is None:
        raise SktrainError(
            "like carries no label times. Pass labels from a sktrain labeler, or end_times=..."
        )
    if not isinstance(y, pd.Series):
        if len(y) != len(like):
            raise SktrainError(
                f"y has {len(y)} values and no index, like has {len(like)} rows. Pass a Series "
                "indexed like it."
            )
        y = pd.Series(y, index=like.index, name=like.name)
    if not len(y):
        raise SktrainError("y has no rows.")
    known = carried(time_axis(y), handle)
    if known is None or known.places is None or not known.all_known:
        row = 0 if known is None else int(np.argmin(known.known))
        raise SktrainError(
            f"row {row} of y ({y.index[row]}) is no row of like. Pass labels of the same rows, or "
            "end_times=..."
        )
    out = lazy_copy(y)
    out.attrs = {key: value for key, value in y.attrs.items() if key != KEY}
    write_label_times(out, known.end, handle.horizon)
    return out


def refuse_stale(caller: str, row: int, index: pd.Index, value, label):
    """Raise the error that explains stale labels."""
    value, label = (
        item.item() if isinstance(item, np.generic) else item for item in (value, label)
    )
    if not isinstance(index, pd.MultiIndex) and index.has_duplicates:
        raise InvalidSplitError(
            f"{caller}: y is stale: row {row} ({index[row]}) has {value!r} where the labels whose "
            f"times it carries have {label!r}, and times "
            "repeat. If the labels of several symbols were put together, tell them apart, in X "
            "too: "
            "pd.concat({'A': y_a, 'B': y_b}, names=['symbol', 'time']). Else say when they are "
            "known: label_end_times=... in this call."
        )
    raise InvalidSplitError(
        f"{caller}: y is stale: row {row} ({index[row]}) has {value!r} where the labels whose "
        f"times it carries have {label!r}. Values were "
        "shifted, shuffled or made anew after labelling (a recoding such as y == 2 keeps its "
        "times). Say when these labels are known: y = with_label_times(y, end_times=...), or "
        "label_end_times=... in this call."
    )

"""What every splitter shares: times, label spans, purging and embargo.

A plan names, for each fold, the unique times that are tested and the unique times that may train;
it is complete and checked before the first fold is handed out. Rows are cut between unique times,
never inside one; rows without a label are in no fold.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
import warnings

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator

from .._spans import Spans, cut_blocks, places_before
from .._validation import (
    BarsOrTime,
    Resampled,
    TimeAxis,
    as_span,
    label_spans,
    labelled_mask,
    renamed,
    resampled_rows,
)
from ..exceptions import InvalidSplitError, NotEnoughDataError

__all__ = [
    "OTHER_CALLS", "OTHER_NAMES", "Fold", "Plan", "Rows", "SpanSplitter", "fold_facts", "read_rows",
]

_MOST_CLASSES = 20  # more distinct labels than this are no class balance, a judgment

# the original's, scikit-learn's, skfolio's, purgedcv's and mlfinlab's names for what is here
_LABEL_END_TIMES = "give split the times at which labels were known, as label_end_times"
OTHER_NAMES = {
    "gap": "labels are purged by their horizon, and embargo_bars is the gap beside that",
    "purged_size": "it is called horizon",
    "purge": "it is called horizon",
    "purge_horizon": "it is called horizon",
    "embargo_size": "it is called embargo_bars",
    "embargo_observations": "it is called embargo_bars",
    "embargo_fraction": "embargo_bars counts unique times, or is a time such as '5D'",
    "pct_embargo": "embargo_bars counts unique times, or is a time such as '5D'",
    "prediction_times": "give them to split, as times",
    "evaluation_times": _LABEL_END_TIMES,
    "samples_info_sets": _LABEL_END_TIMES,
    "t1": _LABEL_END_TIMES,
}
OTHER_CALLS = {
    "df": "the rows come first, as X",
    "horizon": "tell it to the constructor. Three blocks come from TemporalSplitter.three_way, "
    "frames of bars from EnhancedWalkForwardCV.generate_folds",
    "feature_lookback": "rows carry the history that features look back on, so none is cut off",
    "t1": "it is called label_end_times",
}


@dataclass(frozen=True)
class Rows:
    """What a splitter needs to know about the rows.

    Attributes
    ----------
    spans : Spans
        Label span of every row.
    axis : TimeAxis
        Time and symbol of every row.
    known : ndarray of bool, shape (n,)
        Rows with a label.
    resampled : Resampled or None
        Which rows a resampler made: they are never tested, and train where both their parents do.
    """

    spans: Spans
    axis: TimeAxis
    known: np.ndarray
    resampled: Resampled | None = None

    @cached_property
    def tested(self):
        """Rows that may be tested."""
        return self.known if self.resampled is None else self.known & ~self.resampled.synthetic

    @cached_property
    def known_in_order(self):
        """Rows with a label, in order of time."""
        return self.spans.in_order(self.known)

    @cached_property
    def all_tested(self):
        """Whether every row may be tested."""
        return bool(self.tested.all())

    @cached_property
    def last(self):
        """Position on the axis of the last time that has a label."""
        return int(self.spans.codes[self.known].max())

    @cached_property
    def labels_until(self):
        """How many of the first k unique times have a label, for k = 0 .. n_times."""
        has = np.zeros(len(self.spans.axis), dtype=np.int64)
        has[self.spans.codes[self.known]] = 1
        return np.concatenate([[0], np.cumsum(has)])

    @property
    def reach(self):
        """Unique times the longest label looks ahead."""
        codes, end = self.spans.codes[self.known], self.spans.end[self.known]
        return int((np.searchsorted(self.spans.axis, end) - codes).max())

    def times_within(self, embargo):
        """Unique times that an embargo leaves out before the last labelled one."""
        if not isinstance(embargo, pd.Timedelta):
            return embargo
        axis = self.spans.axis[: self.last + 1]
        return int(len(axis) - np.searchsorted(axis, axis[-1] - embargo.as_unit("ns").value))

    def timestamp(self, position):
        """The time at a position of the axis as the user wrote it; the row number where rows carry
        no time."""
        value = self.spans.axis[position]
        if self.axis.index is None:
            return int(value)
        level = (
            self.axis.index.levels[1]
            if isinstance(self.axis.index, pd.MultiIndex)
            else self.axis.index
        )
        return (
            pd.Timestamp(value, unit="ns", tz="UTC").tz_convert(level.tz)
            if level.tz is not None
            else pd.Timestamp(value, unit="ns")
        )


@dataclass(frozen=True)
class Fold:
    """Positions on the axis: what is tested, and from where to where a row may train.

    Attributes
    ----------
    blocks : tuple of (int, int)
        Closed ranges of positions that are tested.
    low, high : int
        Training rows stand at ``low <= position < high``, before purge and embargo; ``high=None``
        means no limit.
    """

    blocks: tuple
    low: int = 0
    high: int | None = None

    @property
    def trains_before(self):
        """Whether all that trains stands before the one block that is tested."""
        return len(self.blocks) == 1 and self.high is not None and self.high <= self.blocks[0][0]


@dataclass(frozen=True)
class Plan:
    """Checked folds over rows; iterating gives ``(train, test)`` row numbers."""

    rows: Rows
    folds: tuple
    embargo: int | pd.Timedelta

    def cut(self, fold):
        """The kernel's masks for one fold."""
        codes = self.rows.spans.codes
        candidate = self.rows.known
        if fold.high is not None:
            candidate = candidate & (codes < fold.high)
        if fold.low:
            candidate = candidate & (codes >= fold.low)
        cut = cut_blocks(
            self.rows.spans, fold.blocks, candidate, self.rows.tested, embargo=self.embargo
        )
        if self.rows.resampled is None or fold.trains_before:
            return cut  # before a block, a made row is known no earlier than its parents
        train = self.rows.resampled.without_orphans(cut.train)
        return replace(cut, train=train, purged=cut.purged | (cut.train & ~train))

    def test(self, fold):
        """Row numbers that are tested, ascending."""
        parts = [self.rows.spans.within(*block) for block in fold.blocks]
        inside = parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))
        return inside if self.rows.all_tested else inside[self.rows.tested[inside]]

    def train(self, fold):
        """Row numbers that train, ascending."""
        if not fold.trains_before:
            return np.flatnonzero(self.cut(fold).train)
        places, order = self._places(fold, fold.low), self.rows.spans.order
        return places if order is None else np.sort(order[places])

    def training_times(self, fold):
        """Positions on the axis of the unique times that train, ascending; of folds before a
        block."""
        codes, _ = self.rows.spans._sorted
        codes = codes[self._places(fold, fold.low)]
        return codes[np.append(True, codes[1:] != codes[:-1])] if len(codes) else codes

    def last_training_time(self, fold):
        """Position of the last time that trains before a block, or None; looks back as far as need
        be."""
        codes, _ = self.rows.spans._sorted
        back = 64
        while True:
            low = max(fold.high - back, fold.low)
            places = self._places(fold, low)
            if len(places):
                return int(codes[places[-1]])
            if low == fold.low:
                return None
            back *= 4

    def _places(self, fold, low):
        (block,), rows = fold.blocks, self.rows
        known, embargo = rows.known_in_order, self.embargo
        return places_before(rows.spans, block, low, fold.high, known, embargo=embargo)

    def __iter__(self):
        return ((self.train(fold), self.test(fold)) for fold in self.folds)


def read_rows(X, y, horizon, given, caller):
    """Times, label spans and labelled rows of ``X``, checked.

    Parameters
    ----------
    X, y : rows and labels
    horizon : int, Timedelta, str or None
        The splitter's own.
    given : dict
        ``label_end_times`` and ``times`` of the call.
    caller : str

    Raises
    ------
    NotEnoughDataError
        When no row has a label.
    """
    spans, axis = label_spans(X, y, horizon=horizon, caller=caller, **given)
    known = labelled_mask(y, len(spans.start))
    if not known.any():
        raise NotEnoughDataError(f"{caller}: none of the {len(known)} rows has a label.")
    return Rows(spans, axis, known, resampled_rows(X, y))


class SpanSplitter(BaseEstimator, BaseCrossValidator):
    """Template of a splitter that purges by label spans: a subclass says which unique times are
    tested, in ``_plan``."""

    __metadata_request__split = {"label_end_times": True, "times": True}

    _span_constraints = {
        "horizon": [BarsOrTime(0), None],
        "embargo_bars": [BarsOrTime(0)],
        "embargo": [BarsOrTime(0), None],
    }

    @renamed(**OTHER_CALLS)
    def split(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        label_end_times: ArrayLike | None = None,
        times: pd.Index | None = None,
    ) -> Iterator:
        """Row numbers of every fold.

        Everything is checked in this call, before the first fold is asked for.

        Parameters
        ----------
        X : DataFrame or array-like of length n
            Indexed by time or (symbol, time), rows in any order; else the row order is the order of
            time.
        y : array-like of length n, optional
            Labels; rows where it is NaN are in no fold. Labels of a sktrain labeler tell when each
            of them is known. Rows that a sktrain resampler made are never tested, and train only
            where both of their parents do.
        groups : array-like of length n, optional
            Ignored, with a warning, unless the splitter says otherwise.
        label_end_times : array-like of length n, optional
            Time at which each label was known (row numbers where rows carry no time); goes before
            any horizon.
        times : DatetimeIndex or MultiIndex (symbol, time) of length n, optional
            When the rows are, where an estimator took the index of ``X`` away.

        Returns
        -------
        iterator of (train, test)
            Ascending row numbers, ndarrays of intp.

        Raises
        ------
        InvalidSplitError
            When rows, labels and times do not fit together, or the splitter's horizon is shorter
            than what ``y`` says.
        NotEnoughDataError
            When a fold cannot be filled; the message says how much is needed.
        """
        if groups is not None and (ignored := self._groups_ignored()):
            warnings.warn(
                f"The groups parameter is ignored by {ignored}", UserWarning, stacklevel=2
            )
        return iter(self._plan(X, y, groups, {"label_end_times": label_end_times, "times": times}))

    @renamed(**OTHER_CALLS)
    def get_n_splits(
        self,
        X: object = None,
        y: object = None,
        groups: object = None,
        label_end_times: object = None,
        times: object = None,
    ) -> int:
        """Number of folds, which the parameters alone decide.

        Parameters
        ----------
        X, y, groups, label_end_times, times : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        int
            Folds.
        """
        return self._n_folds()

    def _groups_ignored(self):
        """Who ignores ``groups``, in words; empty where they are used."""
        return type(self).__name__

    @renamed(**OTHER_CALLS)
    def summary(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        label_end_times: ArrayLike | None = None,
        times: ArrayLike | None = None,
    ) -> pd.DataFrame:
        """What each fold holds.

        Parameters
        ----------
        X, y, groups, label_end_times, times
            As for ``split``.

        Returns
        -------
        DataFrame, one row per fold
            ``train_start``, ``train_end``, ``test_start``, ``test_end`` (times of the first and
            last row), ``train_size``, ``test_size``, ``purged``, ``embargoed`` (rows),
            ``train_times``, ``test_times`` (unique times), and for up to 20 classes
            ``train_share_<class>`` and ``test_share_<class>``.
        """
        plan = self._plan(X, y, groups, {"label_end_times": label_end_times, "times": times})
        return pd.DataFrame(
            [fold_facts(plan, fold, y) for fold in plan.folds],
            index=pd.RangeIndex(len(plan.folds), name="fold"),
        )

    @property
    def _embargo(self):
        """What is left out after labels: unique times, or a Timedelta."""
        if self.embargo is None:
            return as_span("embargo_bars", self.embargo_bars, minimum=0)
        if self.embargo_bars != _DEFAULT_EMBARGO and self.embargo != self.embargo_bars:
            raise InvalidSplitError(
                f"embargo={self.embargo!r} and embargo_bars={self.embargo_bars!r} are two names "
                "of one parameter: give one."
            )
        return as_span("embargo", self.embargo, minimum=0)

    def _read(self, X, y, given):
        """Checked rows; lengths of time need rows that carry times."""
        rows = read_rows(X, y, self.horizon, given, type(self).__name__)
        for name in ("embargo_bars", "embargo", "test_size", "max_train_size"):
            value = getattr(self, name, None)
            if (
                rows.axis.index is None
                and value is not None
                and isinstance(as_span(name, value, minimum=0), pd.Timedelta)
            ):
                raise InvalidSplitError(
                    f"{name}={value!r} is a length of time, but the rows carry no times. Count "
                    "bars, give X a DatetimeIndex, or pass times=..."
                )
        return rows

    @abstractmethod
    def _plan(self, X, y, groups, given):
        """Return a checked :class:`Plan`."""


_DEFAULT_EMBARGO = 10  # of the constructors: another value is the user's own


def fold_facts(plan, fold, y):
    """One row of ``summary``."""
    codes = plan.rows.spans.codes
    cut, test = plan.cut(fold), plan.test(fold)
    train = np.flatnonzero(cut.train)
    facts = {}
    for name, rows in (("train", train), ("test", test)):
        facts[f"{name}_start"] = plan.rows.timestamp(codes[rows].min())
        facts[f"{name}_end"] = plan.rows.timestamp(codes[rows].max())
    facts |= {"train_size": len(train), "test_size": len(test)}
    facts |= {
        "train_times": len(np.unique(codes[train])),
        "test_times": len(np.unique(codes[test])),
    }
    facts |= {"purged": int(cut.purged.sum()), "embargoed": int(cut.embargoed.sum())}
    return facts | _class_shares(y, plan.rows.known, train, test)


def _class_shares(y, known, train, test):
    if y is None or np.ndim(y) != 1:
        return {}
    values = np.asarray(y)
    classes, codes = np.unique(values[known], return_inverse=True)
    if len(classes) > _MOST_CLASSES:
        return {}
    of_row = np.full(len(values), -1)
    of_row[known] = codes
    shares: dict[str, float] = {}
    for name, rows in (("train", train), ("test", test)):
        counts = np.bincount(of_row[rows], minlength=len(classes)) / len(rows)
        shares |= {f"{name}_share_{_plain(label)}": share for label, share in zip(classes, counts)}
    return shares


def _plain(label):
    return int(label) if isinstance(label, float) and label.is_integer() else label

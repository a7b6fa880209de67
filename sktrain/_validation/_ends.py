"""Given end times of labels, checked against the rows they belong to."""

import numpy as np
import pandas as pd

from ..exceptions import InvalidSplitError
from ._times import WHERE_SAMPLED, first_difference, to_timestamps

__all__ = ["check_same_index", "ends_from_times"]

# later ends (after 2116) mean "for ever": they would overflow with an embargo
_LAST = np.iinfo(np.int64).max // 2


def check_same_index(one, other, name="y", rows="X"):
    """Refuse rows and labels of different indexes.

    Numbers of rows in ``one`` (a step put the index aside, perhaps before folds were cut) cannot
    contradict times in ``other``, so they pass when they stand in the same order.
    """
    if (
        not (isinstance(one, pd.Index) and isinstance(other, pd.Index))
        or one is other
        or len(one) != len(other)
    ):
        return
    one, other = (
        index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
        for index in (one, other)
    )
    if one.equals(other) or _counts_rows(one, other):
        return
    row = first_difference(one, other)
    if _timed(one) == _timed(other):
        fix = f"Align {name} with {name}.loc[{rows}.index]."
        if name == "y" and one.isin(other).all():
            fix += (
                " Labels shuffled on purpose, as by permutation_test_score, make no test where "
                "labels overlap in time: see null_calibration."
            )
    else:
        lost, kept = (rows, name) if _timed(other) else (name, rows)
        fix = (
            f"{lost} has lost its times. If its rows stand in the order of {kept}, give them back "
            f"with {lost}.set_axis({kept}.index)."
        )
    raise InvalidSplitError(
        f"{rows} and {name} have different indexes: row {row} is {one[row]} in {rows} and "
        f"{other[row]} in {name}. {fix}"
    )


def _timed(index):
    return isinstance(index, (pd.DatetimeIndex, pd.MultiIndex))


def _counts_rows(one, other):
    """Whether ``one`` holds numbers of rows in the order of the times in ``other``."""
    if not _timed(other) or one.dtype.kind not in "iu" or isinstance(one, pd.MultiIndex):
        return False
    if one.is_monotonic_increasing and one.is_unique:
        return True
    in_order = isinstance(other, pd.DatetimeIndex) and one.is_unique and not other.hasnans
    return in_order and bool((np.argsort(one) == np.argsort(other, kind="stable")).all())


def _zone(index):
    return (index.levels[1] if isinstance(index, pd.MultiIndex) else index).tz


def ends_from_times(axis, ends, n):
    """Given end times of n rows as nanoseconds (row numbers where rows carry no time); the row's
    own time where missing."""
    if len(ends) != n:
        raise InvalidSplitError(
            f"label_end_times has {len(ends)} values for {n} rows. "
            + (WHERE_SAMPLED if len(ends) < n else "Align it with label_end_times.loc[X.index].")
        )
    if axis.index is None:
        values = np.asarray(ends)
        if values.dtype.kind not in "iu":
            raise InvalidSplitError(
                "label_end_times of rows without times must be integer row positions, got dtype "
                f"{values.dtype}. Or say when the rows are: times=..."
            )
        return values.astype(np.int64)
    if isinstance(ends, pd.Series) and isinstance(
        ends.index, (pd.DatetimeIndex, pd.MultiIndex, pd.PeriodIndex)
    ):
        check_same_index(axis.index, ends.index, "label_end_times")
    stamps = pd.Index(ends)
    if isinstance(stamps, pd.PeriodIndex):
        stamps = to_timestamps(stamps, stacklevel=5)
    if not isinstance(stamps, pd.DatetimeIndex):
        if stamps.dtype != object or not stamps.isna().all():
            raise InvalidSplitError(
                f"label_end_times must hold timestamps, got {stamps.dtype}. Convert with "
                "pd.to_datetime."
            )
        stamps = pd.DatetimeIndex(stamps)
    if (stamps.tz is None) != (_zone(axis.index) is None):
        raise InvalidSplitError(
            f"label_end_times have time zone {stamps.tz}, the rows have {_zone(axis.index)}. "
            "Localise one of them."
        )
    missing = np.asarray(stamps.isna())
    try:
        values = stamps.as_unit("ns").asi8
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        row = int(np.argmax(stamps == stamps.max()))
        raise InvalidSplitError(
            f"label_end_times: row {row} ends at {stamps[row]}, later than nanoseconds can count "
            "(2262). Use NaT where there is no label."
        ) from error
    return np.where(
        missing, axis.times, np.minimum(values, max(_LAST, int(axis.times.max(initial=0))))
    )

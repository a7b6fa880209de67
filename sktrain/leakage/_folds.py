"""Facts about folds: counts of what crosses from training to test rows.

The kernel under ``testing.check_splitter`` and ``LeakageValidator.check_split``: it states facts
and decides nothing. A span is closed, ``[decided, known]``; a distance is counted in unique times,
so neighbours are 1 apart. Everything is O(rows) per fold.
"""

from dataclasses import dataclass

import numpy as np

from .._spans import Spans

__all__ = ["FoldFacts", "FoldChecker", "as_positions"]

_NEVER = np.iinfo(np.int64).min
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True)
class FoldFacts:
    """What one fold does; rows are positions in X, -1 where there is none.

    Attributes
    ----------
    n_train, n_test : int
    shared_rows, shared_times, overlapping, after : int
        Training rows that are test rows, stand at a tested time, whose label span meets a tested
        one, that come later than some test row.
    first_shared_row, first_shared_time, first_overlap, first_after : int
        The first such row.
    distance_before, distance_after : int
        Least distance in unique times from a training label to the next test row, and from a test
        label to the next training row; 0 or less means overlap, a huge number that there is none.
    repeated : int
        Rows that stand more than once in train or in test.
    all_after : bool
        Every training row is later than every test row.
    unlabelled : int
        Rows without a label in train or test.
    """

    n_train: int
    n_test: int
    shared_rows: int
    first_shared_row: int
    shared_times: int
    first_shared_time: int
    overlapping: int
    first_overlap: int
    after: int
    first_after: int
    distance_before: int
    distance_after: int
    repeated: int
    all_after: bool
    unlabelled: int


def as_positions(indices, n, what):
    """Integer positions of a fold; a boolean mask of length n is accepted.

    Raises
    ------
    ValueError
        When something is no row of X.
    """
    values = np.asarray(indices)
    if values.dtype == bool:
        if len(values) != n:
            raise ValueError(f"the {what} mask has length {len(values)} for {n} rows")
        return np.flatnonzero(values)
    if values.size == 0:
        return np.empty(0, dtype=np.intp)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ValueError(
            f"{what} indices must be a 1-D array of row positions, got dtype {values.dtype} and "
            f"{values.ndim} dimensions"
        )
    if values.min() < 0 or values.max() >= n:
        raise ValueError(
            f"{what} index {int(values.max() if values.max() >= n else values.min())} is no row "
            f"of X, which has {n}"
        )
    return values


def _first(rows, mask):
    hits = rows[mask]
    return int(hits.min()) if hits.size else -1


class FoldChecker:
    """Prepared once for the rows of X, then asked about every fold.

    Parameters
    ----------
    spans : Spans
        Label spans of all rows.
    labelled : ndarray of bool, shape (n,), optional
        Rows with a label.
    """

    def __init__(self, spans: Spans, labelled=None):
        self.spans = spans
        self.labelled = labelled
        self.n = len(spans.start)
        instant = spans.end is spans.start or bool((spans.end == spans.start).all())
        # last time <= end
        self.known_at = (
            spans.codes if instant else np.searchsorted(spans.axis, spans.end, side="right") - 1
        )

    def facts(self, train, test):
        """The facts of one fold, given as integer positions."""
        spans, axis = self.spans, self.spans.axis
        in_test = np.zeros(self.n, dtype=bool)
        in_test[test] = True
        seen = np.zeros(self.n, dtype=bool)
        seen[train] = True
        repeated = len(train) + len(test) - int(seen.sum()) - int(in_test.sum())
        start, codes = spans.start[train], spans.codes[train]
        tested = np.zeros(len(axis), dtype=bool)
        tested[spans.codes[test]] = True
        shared, same_time = in_test[train], tested[codes]
        reach = self._reach(test)  # latest end of a test label decided at or before each time
        overlap = reach[self.known_at[train]] >= start
        first_test = spans.start[test].min() if len(test) else _FAR
        after = start > first_test
        return FoldFacts(
            n_train=len(train),
            n_test=len(test),
            shared_rows=int(shared.sum()),
            first_shared_row=_first(train, shared),
            shared_times=int(same_time.sum()),
            first_shared_time=_first(train, same_time),
            overlapping=int(overlap.sum()),
            first_overlap=_first(train, overlap),
            after=int(after.sum()),
            first_after=_first(train, after),
            distance_before=self._distance_before(train, tested),
            distance_after=self._distance_after(codes[after], reach),
            repeated=repeated,
            all_after=bool(len(train) and len(test) and start.min() > spans.start[test].max()),
            unlabelled=0
            if self.labelled is None
            else int((~self.labelled[train]).sum() + (~self.labelled[test]).sum()),
        )

    def _reach(self, test):
        reach = np.full(len(self.spans.axis), _NEVER)
        codes, ends = self.spans.codes[test], self.spans.end[test]
        if len(codes) > 1 and (codes[1:] > codes[:-1]).all():
            reach[codes] = ends
        else:
            np.maximum.at(reach, codes, ends)
        return np.maximum.accumulate(reach)

    def _distance_before(self, train, tested):
        """Least distance from the end of a training label to the next tested time."""
        n = len(tested)
        following = np.where(tested, np.arange(n), 2 * n + 2)
        # next tested time at or after each time
        following = np.minimum.accumulate(following[::-1])[::-1]
        known = self.known_at[train]
        distance = following[self.spans.codes[train]] - known
        return int(distance.min()) if len(distance) and distance.min() <= n else _FAR

    def _distance_after(self, codes, reach):
        """Least distance from the end of the test labels before it to a later training row."""
        if not len(codes):
            return _FAR
        known = np.searchsorted(self.spans.axis, reach[codes], side="right") - 1
        return int((codes - known).min())

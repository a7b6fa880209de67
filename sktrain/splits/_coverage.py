"""Regime coverage: fold edges moved so that what is tested was trained, missing least.

Boundaries are chosen by dynamic programming, last fold first. What a fold costs depends only on
where it starts and ends: the regimes it tests grow with its end, what was trained before it depends
on its start. The search is exact up to some ten thousand positions; beyond, boundaries move in
equal steps around their equal places, so equal folds always compete.
"""

from dataclasses import dataclass
import warnings

import numpy as np
import pandas as pd
from sklearn.base import clone

from .._history import get_history
from .._spans import clear_of, sorted_unique
from .._validation import OHLCV
from ..exceptions import InvalidSplitError, RegimeCoverageWarning

__all__ = ["Regimes", "check_groups", "cover", "find_regimes", "regime_facts"]

# (position, regime) pairs per boundary that are searched one by one, a judgment of speed
_WORK = 400_000
_MOST_REGIMES = 1000  # a judgment: more values are a measurement, not regimes
_NEVER = np.iinfo(np.int64).max // 4  # a sum of four stays within int64


@dataclass(frozen=True)
class Regimes:
    """The regime of every row.

    Attributes
    ----------
    codes : ndarray of intp, shape (n,)
        Number of the row's regime, -1 where it is not known.
    names : list
        Label of each number.
    """

    codes: np.ndarray
    names: list


def find_regimes(X, groups, detector, caller):
    """Regimes from ``groups``, else detected from the bar columns of ``X``, else None with a
    warning in ``caller``'s name."""
    if groups is not None:
        regimes = _number(groups)
        if len(regimes.names) > _MOST_REGIMES:
            raise InvalidSplitError(
                f"groups are read as market regimes, but hold {len(regimes.names):,} different "
                f"values (at most {_MOST_REGIMES})."
            )
        return regimes
    names = {name.lower() for name in getattr(X, "columns", ()) if isinstance(name, str)}
    timed = isinstance(getattr(X, "index", None), (pd.DatetimeIndex, pd.MultiIndex))
    if isinstance(X, pd.DataFrame) and timed and names.issuperset(OHLCV):
        return _number(_detect(X, detector))
    if caller is not None:
        warnings.warn(
            f"{caller} knows no regimes, so it keeps equal folds: X has no bar columns "
            f"({', '.join(OHLCV)}) with times. "
            "Pass groups=regimes, or set ensure_regime_coverage=False.",
            RegimeCoverageWarning,
            stacklevel=6,
        )
    return None


def check_groups(groups, axis):
    """Refuse groups of the wrong length, and warn of groups that look like symbols.

    A market's regime changes for all symbols; groups that change less than once per symbol name
    something else.
    """
    if groups is None:
        return
    n = len(axis.times)
    if len(groups) != n:
        raise InvalidSplitError(f"groups has {len(groups)} values for {n} rows.")
    if axis.symbols is None or len(np.unique(axis.symbols)) < 2:
        return
    order = np.lexsort((axis.times, axis.symbols))
    codes, symbols = _number(groups).codes[order], axis.symbols[order]
    changes = int(((codes[1:] != codes[:-1]) & (symbols[1:] == symbols[:-1])).sum())
    if len(np.unique(codes)) > 1 and changes < len(np.unique(symbols)):
        warnings.warn(
            f"groups change {changes} times within {len(np.unique(symbols))} symbols, as if they "
            "named the symbols, but they are read as market "
            "regimes. Folds are cut in time for all symbols at once: leave groups out, or pass "
            "the regime of each row.",
            RegimeCoverageWarning,
            stacklevel=5,
        )


def _number(labels):
    if isinstance(labels, pd.DataFrame) and labels.shape[1] == 1:  # as RegimeDetector gives them
        labels = labels.iloc[:, 0]
    values = labels if isinstance(labels, pd.Series) else np.asarray(labels, dtype=object)
    if values.ndim != 1:
        raise InvalidSplitError(
            f"groups must be one regime for each row, got shape {values.shape}."
        )
    codes, names = pd.factorize(values, sort=True)
    return Regimes(np.asarray(codes), list(names))


def _detect(X, detector):
    if detector is None:
        from ..features import RegimeDetector

        detector = RegimeDetector()
    order = None
    if get_history(X) is None and not X.index.is_monotonic_increasing:
        order = X.index.argsort()
        X = X.iloc[order]
    found = clone(detector).fit(X).transform(X)
    column = np.asarray(
        found.iloc[:, 0] if isinstance(found, pd.DataFrame) else found, dtype=object
    ).reshape(len(X))
    if order is None:
        return column
    back = np.empty_like(column)
    back[order] = column
    return back


def regime_facts(plan, fold, regimes):
    """Columns of ``summary`` about the regimes of one fold."""
    if regimes is None:
        return {}
    counts = {}
    for part, rows in (("train", np.flatnonzero(plan.cut(fold).train)), ("test", plan.test(fold))):
        codes = regimes.codes[rows]
        counts[part] = np.bincount(codes[codes >= 0], minlength=len(regimes.names))
    facts = {
        f"{part}_rows_{name}": int(count)
        for part in counts
        for name, count in zip(regimes.names, counts[part])
    }
    facts["unseen_regimes"] = int(((counts["test"] > 0) & (counts["train"] == 0)).sum())
    facts["missing_regimes"] = int((counts["test"] == 0).sum())
    return facts


def cover(rows, regimes, edges, *, embargo, limit, minimum):
    """Move the inner edges of test folds.

    Parameters
    ----------
    rows : Rows
    regimes : Regimes
    edges : ndarray of int, shape (n_splits + 1,)
        Equal folds: where each begins on the axis, and where the last one ends.
    embargo, limit : int or Timedelta
        As ``embargo_bars`` and the longest training window (or None) of the splitter.
    minimum : int
        As its ``min_samples_per_fold``.

    Returns
    -------
    ndarray of int, shape (n_splits + 1,)
        First and last edge unchanged; every fold within half and one and a half of the equal size.
    """
    if not len(regimes.names):
        return edges
    search = _Search(rows, regimes, edges, embargo, limit, minimum)
    return search.solve()


class _Search:
    """Dynamic programming over steps: edge i stands at ``edges[i] + stride * step``."""

    def __init__(self, rows, regimes, edges, embargo, limit, minimum):
        self.rows, self.edges, self.limit, self.minimum = rows, edges, limit, minimum
        self.size = int(edges[1] - edges[0])
        self.folds = len(edges) - 1
        self.codes, self.n_regimes = regimes.codes, len(regimes.names)
        widest = max(1, self.folds // 2) * self.size
        self.stride = max(1, -(-widest * (self.n_regimes + 1) // _WORK))
        self.reach = (self.size // 2) // self.stride  # steps a fold may shrink or grow
        # a missing regime outweighs any deviation, an unseen one any missing
        self.missing = self.folds * self.size + 1
        self.unseen = self.missing * (self.folds * self.n_regimes + 1)
        self._index(embargo)

    def _index(self, embargo):
        """Per regime: where it is tested (sorted positions), and from which position on which of
        its rows may train."""
        spans, known = self.rows.spans, self.rows.known
        ready = clear_of(spans.axis, spans.end, embargo)
        self.tested, self.trained = [], []
        for regime in [*range(self.n_regimes), None]:
            mine = known if regime is None else known & (self.codes == regime)
            self.tested.append(sorted_unique(spans.codes[mine]))
            order = np.argsort(ready[mine], kind="stable")
            self.trained.append(
                (ready[mine][order], np.maximum.accumulate(spans.codes[mine][order]))
            )

    def steps(self, edge):
        """First and last step of an edge that leaves rows for the folds on both sides."""
        if edge in (0, self.folds):
            return 0, 0
        width = self.reach * min(edge, self.folds - edge)
        return -width, width

    def solve(self):
        best = [None] * self.folds + [np.zeros(1, dtype=np.int64)]
        for fold in range(self.folds - 1, -1, -1):
            best[fold] = self._cost_to_go(fold, best[fold + 1])
        steps = [0]
        for fold in range(self.folds):
            steps.append(self._next_step(fold, steps[-1], best[fold + 1]))
        return self.edges + self.stride * np.array(steps)

    def _facts(self, fold, steps):
        """For each start: regimes not trained before it, and the first step of its end at which
        each regime is tested."""
        start = self.edges[fold] + self.stride * steps
        first = _next(self.tested[-1], start)
        last_all = _last_ready(self.trained[-1], first)
        low = self._window_start(last_all)
        fresh = np.array([_last_ready(trained, first) < low for trained in self.trained[:-1]])
        seen = np.array([_next(tested, start) for tested in self.tested[:-1]])
        enough = np.searchsorted(
            self.rows.labels_until, self.rows.labels_until[start] + self.minimum
        )
        base = self.edges[fold + 1]
        return (
            fresh,
            np.where(seen == _NEVER, _NEVER, (seen - base) // self.stride + 1),
            -((base - enough) // self.stride),
        )

    def _window_start(self, last):
        """First position of training windows that end at the positions ``last``."""
        if self.limit is None:
            return 0
        if isinstance(self.limit, pd.Timedelta):
            axis = self.rows.spans.axis
            return np.searchsorted(
                axis, axis[np.maximum(last, 0)] - self.limit.as_unit("ns").value, side="right"
            )
        return np.maximum(last - self.limit + 1, 0)

    def _cost_to_go(self, fold, after):
        steps = np.arange(self.steps(fold)[0], self.steps(fold)[1] + 1)
        low, high = self.steps(fold + 1)
        fresh, turns, enough = self._facts(fold, steps)
        order = np.argsort(turns, axis=0)
        turns, fresh = np.take_along_axis(turns, order, 0), np.take_along_axis(fresh, order, 0)
        ends = np.arange(low, high + 1)
        longer, shorter = (
            _RangeMinimum(after + self.stride * ends),
            _RangeMinimum(after - self.stride * ends),
        )
        begin = np.maximum(np.maximum(steps - self.reach, low), enough)
        stop = np.minimum(steps + self.reach, high) + 1
        total = np.full(len(steps), _NEVER)
        price = np.full(len(steps), self.missing * self.n_regimes)
        for segment in range(self.n_regimes + 1):  # ends between two turns test the same regimes
            left = begin if segment == 0 else np.maximum(begin, turns[segment - 1])
            right = stop if segment == self.n_regimes else np.minimum(stop, turns[segment])
            if segment:
                price = price - self.missing + np.where(fresh[segment - 1], self.unseen, 0)
            above = longer.query(np.maximum(left, steps) - low, right - low) - self.stride * steps
            below = (
                shorter.query(left - low, np.minimum(right, steps + 1) - low) + self.stride * steps
            )
            total = np.minimum(total, price + np.minimum(above, below))
        return np.minimum(total, _NEVER)

    def _next_step(self, fold, step, after):
        """The best end of a fold that starts at ``step``."""
        low, high = self.steps(fold + 1)
        ends = np.arange(low, high + 1)
        fresh, turns, enough = self._facts(fold, np.array([step]))
        tested = ends[:, None] >= turns[:, 0]
        cost = self.missing * (self.n_regimes - tested.sum(1)) + self.unseen * (
            tested & fresh[:, 0]
        ).sum(1)
        cost = cost + self.stride * np.abs(ends - step) + after
        cost[(np.abs(ends - step) > self.reach) | (ends < enough[0])] = _NEVER
        return int(ends[np.argmin(cost)])


def _next(positions, start):
    """The first of ``positions`` that is not before each start."""
    place = np.searchsorted(positions, start)
    return (
        np.where(place < len(positions), positions[np.minimum(place, len(positions) - 1)], _NEVER)
        if len(positions)
        else np.full(len(start), _NEVER)
    )


def _last_ready(trained, first):
    """The latest row that may train before each first tested position; -1 for none."""
    ready, latest = trained
    place = np.searchsorted(ready, first, side="right")
    return (
        np.where(place > 0, latest[np.maximum(place - 1, 0)], -1)
        if len(ready)
        else np.full(len(first), -1)
    )


class _RangeMinimum:
    """Minimum of ``values[low:high]`` for many ranges at once (a sparse table)."""

    def __init__(self, values):
        self.table = [values]
        while 2 ** len(self.table) <= len(values):
            half = 2 ** (len(self.table) - 1)
            self.table.append(np.minimum(self.table[-1][:-half], self.table[-1][half:]))
        self.offsets = np.cumsum([0] + [len(row) for row in self.table])
        self.flat = np.concatenate(self.table)

    def query(self, low, high):
        length = high - low
        filled = length > 0
        level = np.zeros(len(length), dtype=np.intp)
        level[filled] = np.log2(length[filled]).astype(np.intp)
        start = self.offsets[level]
        left = np.where(filled, low, 0)
        right = np.where(filled, high - 2**level, 0)
        return np.where(
            filled, np.minimum(self.flat[start + left], self.flat[start + right]), _NEVER
        )

"""Holds a function of rows to causality by experiment: a transformer and rows enter; the changes it shows leave.

The model is fitted on the rows up to a cut and applied to the true rows and to rows whose future was destroyed. What it says
about rows up to the cut must not move. Labels are held to the time their outcome was known instead.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from time import process_time
import warnings

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from .._validation import label_spans
from ._poison import KINDS, block, poison, put_gaps, row_times, take

__all__ = ["Change", "Experiment", "Output", "UnusableOutputError", "apply", "fitted", "quiet"]

_TOLERANCE = {2: 2e-2, 4: 1e-4, 8: 1e-7}  # by bytes of a float
_WIDE = 400  # rows compared when a row is wide
_SECONDS = 0.8  # of processor time spent on further cuts
_FEWEST_CUTS = 12  # of them, however slow


class UnusableOutputError(Exception):
    """The output of a model cannot be set beside its input rows."""


@dataclass(frozen=True)
class Change:
    """A past output that moved when only the future did.

    Attributes
    ----------
    column : hashable
        The output column.
    row : int
        Position in X of the first row that changed.
    time : object
        Its index value; None without times.
    kind : str
        What was done to the future.
    cut : int
        Time of the last row left untouched, as in ``row_times``.
    bars_ahead : int
        Unique times from the first changed row to the first destroyed one: how far it looks at least.
    n_rows : int
        Rows that changed.
    columns : tuple
        All output columns that changed.
    was, now : object
        The output of that row before and after.
    premature : bool
        For labels: known although its outcome lies after the last row given.
    """

    column: object
    row: int
    time: object
    kind: str
    cut: int
    bars_ahead: int
    n_rows: int
    columns: tuple
    was: object
    now: object
    premature: bool = False


@contextmanager
def quiet(seed=0):
    """No warnings, a fixed global random state; the caller's is restored."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def fitted(model, X, y=None):
    """A clone, seeded, single-process, fitted on X; plain functions need no fit."""
    if not hasattr(model, "fit"):
        return model
    model = clone(model) if isinstance(model, BaseEstimator) or hasattr(model, "get_params") else model
    if hasattr(model, "get_params"):
        params = model.get_params(deep=True)
        model.set_params(**{name: 0 for name, value in params.items() if name.split("__")[-1] == "random_state" and value is None})
    return model.fit(X) if y is None else model.fit(X, y)


def apply(model, X):
    """What a model says about rows: transform, else probabilities, else predictions; a plain function is called."""
    for name in ("transform", "predict_proba", "decision_function", "predict"):
        method = getattr(model, name, None)
        if method is not None:
            return method(X)
    if callable(model):
        return model(X)
    raise UnusableOutputError(f"{type(model).__name__} has no transform and no predict")


@dataclass(frozen=True)
class Output:
    """An output set beside its rows: the time of every row and a way to take rows as a 2-D array."""

    times: np.ndarray
    columns: list
    values: object
    by_index: bool
    horizon: int | None

    @classmethod
    def of(cls, out, X):
        attrs = getattr(out, "attrs", {})
        horizon = attrs.get("label_horizon") if isinstance(out, (pd.Series, pd.DataFrame)) else None
        if isinstance(out, pd.Series):
            out = out.to_frame("output" if out.name is None else out.name)
        if isinstance(out, tuple) or not hasattr(out, "__len__") or isinstance(out, str):
            raise UnusableOutputError(f"the output is a {type(out).__name__}, not one row per row")
        if isinstance(out, list):
            out = np.asarray(out)
        n = out.shape[0]
        if n != len(X):
            if not isinstance(getattr(out, "index", None), (pd.DatetimeIndex, pd.MultiIndex)) or not isinstance(out, pd.DataFrame):
                raise UnusableOutputError(f"the output has {n} rows for {len(X)} rows of input and no index to set it beside them")
            return cls(row_times(out), list(out.columns), out, True, horizon)
        if isinstance(out, pd.DataFrame):
            own = out.index
            moved = isinstance(own, pd.DatetimeIndex) and _index(X) is not None and not own.equals(X.index)
            return cls(row_times(out) if moved else row_times(X), list(out.columns), out, bool(moved), horizon)
        width = int(np.prod(out.shape[1:])) if len(out.shape) > 1 else 1
        return cls(row_times(X), list(range(width)), out, False, horizon)

    def rows(self, positions):
        """The rows as a 2-D array, and how precisely each column is known."""
        if isinstance(self.values, pd.DataFrame):
            taken = self.values.iloc[positions]
            return {name: _cells(taken.iloc[:, place]) for place, name in enumerate(self.columns)}
        taken = self.values[positions]
        taken = taken.toarray() if hasattr(taken, "toarray") else np.asarray(taken)
        taken = taken.reshape(len(positions), -1)
        return {name: taken[:, name] for name in range(taken.shape[1])}


def _index(rows):
    """The index of pandas rows; a list has a method of that name."""
    index = getattr(rows, "index", None)
    return index if isinstance(index, pd.Index) else None


def _cells(column):
    """Cells of one column that compare well: codes would hide a change of categories."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(object).to_numpy()
    if pd.api.types.is_extension_array_dtype(column.dtype) and pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(np.float64, na_value=np.nan)
    return column.to_numpy()


def differ(one, other):
    """Which cells of two columns differ by more than rounding; missing equals missing."""
    if one.dtype.kind in "fiub" and other.dtype.kind in "fiub":
        size = min(one.dtype.itemsize if one.dtype.kind == "f" else 8, other.dtype.itemsize if other.dtype.kind == "f" else 8)
        tolerance = _TOLERANCE.get(size, 1e-7)
        a, b = one.astype(np.float64), other.astype(np.float64)
        lost = np.isnan(a) != np.isnan(b)
        finite = np.abs(a[np.isfinite(a)])
        scale = np.median(finite) if len(finite) else 0.0
        with np.errstate(invalid="ignore"):
            moved = np.abs(a - b) > tolerance * np.maximum(np.abs(a), scale) + 1e-300
            infinite = (np.isinf(a) | np.isinf(b)) & (a != b) & ~(np.isnan(a) | np.isnan(b))
        return lost | (moved & np.isfinite(a) & np.isfinite(b)) | infinite
    a, b = one.astype(object), other.astype(object)
    return np.fromiter((not (x is y or (pd.isna(x) and pd.isna(y)) or _equal(x, y)) for x, y in zip(a, b)), bool, len(a))


def _equal(x, y):
    same = x == y
    return bool(np.all(same))


class Experiment:
    """One model on one set of rows.

    Parameters
    ----------
    model : transformer, labeler, pipeline, classifier or function of rows
    X : rows, see ``_poison.poisonable``
    y : labels for ``fit``, optional
    horizon : int, optional
        Bars the output may look ahead; labelers say it themselves.
    most_times : int, default=3000
        Only the last so many unique times are used.
    seed : int
    """

    def __init__(self, model, X, y=None, *, horizon=None, most_times=3000, seed=0):
        self.model, self.horizon, self.seed = model, horizon, seed
        self.X, rows = block(X, most_times)
        self.y = None if y is None else take(y, rows)
        self.offset = int(rows[0]) if len(rows) else 0
        self.times = row_times(self.X)
        self.unique = np.unique(self.times)
        self.ends = None
        self._late = None

    def cuts(self):
        """The main cuts, at uneven places so that no calendar hides behind them."""
        n = len(self.unique)
        places = {int(n * share) + shift for share, shift in ((0.45, 0), (0.62, 1), (0.78, 2), (0.9, 3))}
        return [self.unique[min(place, n - 2)] for place in sorted(places)]

    def more_cuts(self, rng):
        """Early cuts, inside warm-ups, then many others."""
        n = len(self.unique)
        early = [place for place in (4, 9, 17, 30, 61) if place < 0.4 * n]
        late = rng.permutation(np.arange(int(0.3 * n), n - 1))[:60]
        return self.unique[np.concatenate([early, late]).astype(int)]

    def run(self, fit_at, cut, kind, *, only=None, source=None):
        """Fit on the rows up to ``fit_at`` and apply, with the future after ``cut`` destroyed (or not, with ``kind`` None)."""
        X = self.X if source is None else source
        rng = np.random.default_rng([self.seed, int(cut) % (2**32)])
        X = X if kind is None else poison(X, cut, kind, rng, only=only)
        with quiet(self.seed):
            past = np.flatnonzero(row_times(X) <= fit_at)
            labelled = np.flatnonzero(self.times <= fit_at)  # the same rows: X may have been cut off
            model = fitted(self._bound(cut, kind, rng), take(X, past), None if self.y is None else take(self.y, labelled))
            return Output.of(apply(model, X), X), X

    def _bound(self, cut, kind, rng):
        """The model with frames it was given in its constructor poisoned alike."""
        if kind is None or not isinstance(self.model, BaseEstimator):
            return self.model
        bound = {
            name: value
            for name, value in self.model.get_params(deep=True).items()
            if isinstance(value, (pd.DataFrame, pd.Series)) and isinstance(value.index, (pd.DatetimeIndex, pd.MultiIndex)) and len(value)
        }
        if not bound:
            return self.model
        return clone(self.model).set_params(**{name: poison(value, cut, kind, rng) for name, value in bound.items()})

    def known_by(self, output):
        """When each output row may be known: its own time, or the end of its label."""
        if self.ends is None:
            self.ends = self._label_ends(output)
        return self.ends if len(self.ends) == len(output.times) and not output.by_index else output.times

    @property
    def is_labeler(self):
        return self.horizon is not None or hasattr(self.model, "label_end_times")

    def _label_ends(self, output):
        with quiet():
            if hasattr(self.model, "label_end_times"):
                ends = pd.DatetimeIndex(fitted(self.model, self.X, self.y).label_end_times(self.X))
                return np.where(ends.isna(), np.iinfo(np.int64).max, ends.as_unit("ns").asi8)
            bars = self.horizon if self.horizon is not None else output.horizon
            if bars is None:
                return self.times
            self.horizon = int(bars)
            return label_spans(self.X, horizon=self.horizon)[0].end

    def changes(self, clean, dirty, cut, kind):
        """Compare two outputs on the rows that may be known at the cut."""
        if clean.by_index != dirty.by_index or clean.columns != dirty.columns:
            if clean.columns != dirty.columns and len(clean.columns) != len(dirty.columns):
                return Change(None, self.offset, None, kind, cut, 0, 0, (), len(clean.columns), len(dirty.columns))
            if clean.by_index != dirty.by_index:
                raise UnusableOutputError("the output stands beside the rows in one run and not in the other")
        known = self.known_by(clean)
        rows = np.flatnonzero(known <= cut)
        if len(clean.columns) > 300 and len(rows) > _WIDE:
            rows = np.union1d(rows[-_WIDE // 2 :], rows[:: max(len(rows) // (_WIDE // 2), 1)])
        there = self._partner(clean, dirty, rows, cut)
        if clean.by_index and len(there) != len(rows):
            return self._change(clean, dirty, np.ones((len(rows), 1), bool), rows, None, [clean.columns[0]], cut, kind)
        moved = self._moved(clean, dirty, rows, there, may_lack=kind == "truncation" and bool((known > clean.times).any()))
        if moved.any():
            return self._change(clean, dirty, moved, rows, there, clean.columns, cut, kind)
        return self._premature(clean, dirty, known, cut, kind)

    def _partner(self, clean, dirty, rows, cut):
        """Positions in the second output of rows of the first."""
        if clean.by_index:
            return np.flatnonzero(dirty.times <= cut)
        if len(dirty.times) == len(clean.times):
            return rows
        kept = np.flatnonzero(clean.times <= cut)  # truncated
        return np.searchsorted(kept, rows)

    @staticmethod
    def _moved(clean, dirty, rows, there, *, may_lack=False):
        """Cells that differ; with ``may_lack`` a label may be unknown when rows after its end are missing: that is caution."""
        one, other = clean.rows(rows), dirty.rows(there)
        moved = [differ(a, b) & ~(pd.isna(b.astype(object)) if may_lack else False) for a, b in zip(one.values(), other.values())]
        return np.column_stack(moved)

    def _change(self, clean, dirty, moved, rows, there, names, cut, kind):
        row, column = divmod(int(np.argmax(moved)), moved.shape[1])
        position = rows[row] if len(rows) else 0
        columns = tuple(name for name, hit in zip(names, moved.any(axis=0)) if hit)
        cell = None if there is None else (clean.rows(rows[[row]])[names[column]][0], dirty.rows(there[[row]])[names[column]][0])
        was, now = cell or (None, None)
        time = clean.times[position] if len(clean.times) else cut
        ahead = int(np.searchsorted(self.unique, cut, "right") - np.searchsorted(self.unique, time, "right")) + 1
        own = not clean.by_index
        index = _index(self.X if own else clean.values)
        label = index[position] if index is not None and len(index) > position else None
        return Change(names[column], int(position) + (self.offset if own else 0), label, kind, int(cut), ahead, int(moved.any(axis=1).sum()), columns, was, now)

    def _premature(self, clean, dirty, known, cut, kind):
        """For labels: rows whose outcome lies after the last row given must be unknown."""
        if kind != "truncation" or clean.by_index or (known <= clean.times).all():
            return None
        kept = np.flatnonzero(clean.times <= cut)
        late = np.flatnonzero(known[kept] > cut)
        if not len(late):
            return None
        cells = dirty.rows(late)
        name = next(iter(cells))
        wrong = ~pd.isna(cells[name].astype(object))
        if not wrong.any():
            return None
        row = int(kept[late[np.argmax(wrong)]])
        index = _index(self.X)
        time = None if index is None else index[row]
        value = cells[name][np.argmax(wrong)]
        return Change(name, row + self.offset, time, kind, int(cut), 0, int(wrong.sum()), (name,), np.nan, value, premature=True)

    def first_change(self):
        """Run until something moves; None when nothing did. Returns (Change or None, number of runs)."""
        runs = 0
        failure = None
        cleared = False
        for cut in self.cuts():
            try:
                clean, _ = self.run(cut, cut, None)
                again, _ = self.run(cut, cut, None)
            except UnusableOutputError:
                raise
            except Exception as error:  # reported below when no cut works
                failure = error
                continue
            everything = self.unique[-1]
            if self.changes(clean, again, everything, "again") is not None and not clean.by_index:
                raise UnusableOutputError("two runs on the same rows differ: set random_state")
            cleared = True
            for kind in KINDS:
                runs += 1
                change = self.changes(clean, self.run(cut, cut, kind)[0], cut, kind)
                if change is not None:
                    return change, runs
        if not cleared:
            raise UnusableOutputError(f"{type(failure).__name__}: {failure}") from failure
        change, runs = self._with_gaps(runs)
        if change is not None:
            return change, runs
        change, extra = self._further()
        return change, runs + extra

    def _further(self):
        """Transform-only experiments at many cuts while time allows."""
        start, runs = process_time(), 0
        rng = np.random.default_rng(self.seed)
        clean = self._apply_only(self.X)
        for cut in self.more_cuts(rng):
            try:
                output = self._apply_only(poison(self.X, cut, "noise", rng))
            except ValueError:  # a transform that needs more rows than the poison leaves usable
                continue
            runs += 1
            change = self.changes(clean, output, cut, "noise")
            if change is not None or (process_time() - start > _SECONDS and runs >= _FEWEST_CUTS):
                return change, runs
        return None, runs

    def _with_gaps(self, runs):
        cut = self.cuts()[1]
        gapped = put_gaps(self.X, cut)
        if gapped is None or self.is_labeler:
            return None, runs
        try:
            clean, _ = self.run(cut, cut, None, source=gapped)
            dirty, _ = self.run(cut, cut, "noise", source=gapped)
        except Exception:  # rows with gaps are refused: nothing to look at
            return None, runs
        return self.changes(clean, dirty, cut, "noise after gaps"), runs + 1

    def guilty(self, change, most=40):
        """Input columns whose future alone moves the changed output."""
        if isinstance(self.X, pd.DataFrame):
            names = list(self.X.columns)
        elif isinstance(self.X, np.ndarray) and self.X.ndim == 2:
            names = list(range(self.X.shape[1]))
        else:
            return []
        kind = change.kind if change.kind in ("noise", "noise_down", "shuffle") else "noise"
        found = [name for name in names[:most] if self._moves(change, kind, name, fit=False)]
        if not found and change.cut in self.cuts():  # the future came in through fit
            found = [name for name in names[:most] if self._moves(change, kind, name, fit=True)]
        return found

    def _moves(self, change, kind, name, *, fit):
        rng = np.random.default_rng(self.seed)
        try:
            if fit:
                clean, dirty = self.run(change.cut, change.cut, None)[0], self.run(change.cut, change.cut, kind, only=name)[0]
            else:
                clean, dirty = self._apply_only(self.X), self._apply_only(poison(self.X, change.cut, kind, rng, only=name))
            moved = self.changes(clean, dirty, change.cut, kind)
        except (UnusableOutputError, ValueError, TypeError):
            return False
        return moved is not None and (change.column in moved.columns or not moved.columns)

    def _apply_only(self, X):
        with quiet(self.seed):
            return Output.of(apply(self._late_fit(), X), X)

    def _late_fit(self):
        if self._late is None:
            past = np.flatnonzero(self.times <= self.cuts()[-1])
            self._late = fitted(self.model, take(self.X, past), None if self.y is None else take(self.y, past))
        return self._late


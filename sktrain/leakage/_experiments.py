"""Whether a function of rows is causal, by experiment.

The model is fitted on the rows up to a cut and applied to the true rows and to rows whose future
was destroyed. What it says about rows up to the cut must not move. Labels are held to the time
their outcome was known instead.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
import warnings

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from .._validation import label_spans
from ._budget import BUDGETS, note
from ._outputs import Output, UnusableOutputError, index_of, moved_cells
from ._perturbation import KINDS, block, perturb, put_gaps, row_times, take, without_past
from ._sweep import sweep

__all__ = ["Change", "Experiment", "apply", "fitted", "quiet"]

_WIDE = 400  # rows compared when a row is wide, a judgment of speed


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
        Unique times from the first changed row to the first destroyed one: how far it looks at
        least.
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
    model = (
        clone(model) if isinstance(model, BaseEstimator) or hasattr(model, "get_params") else model
    )
    if hasattr(model, "get_params"):
        params = model.get_params(deep=True)
        model.set_params(
            **{
                name: 0
                for name, value in params.items()
                if name.split("__")[-1] == "random_state" and value is None
            }
        )
    note("fits")
    return model.fit(X) if y is None else model.fit(X, y)


def apply(model, X):
    """What a model says about rows: transform, else probabilities, else predictions; a plain
    function is called."""
    for name in ("transform", "predict_proba", "decision_function", "predict"):
        method = getattr(model, name, None)
        if method is not None:
            said = method(X)
            several = (
                name == "predict_proba"
                and isinstance(said, list)
                and all(np.ndim(one) == 2 for one in said)
            )
            return np.hstack(said) if several else said  # one table of probabilities per output
    if callable(model):
        return model(X)
    raise UnusableOutputError(f"{type(model).__name__} has no transform and no predict")


class Experiment:
    """One model on one set of rows.

    Parameters
    ----------
    model : transformer, labeler, pipeline, classifier or function of rows
    X : rows, see ``_perturbation.perturbable``
    y : labels for ``fit``, optional
    horizon : int, optional
        Bars the output may look ahead; labelers say it themselves.
    most_times : int, default=3000
        Only the last so many unique times are used.
    seed : int
    budget : Budget, default the standard one
        How many cuts and sweeps are made.

    Attributes
    ----------
    tried : int
        Experiments begun.
    refused : list of Exception
        Those in which the model refused its rows: experiments that say nothing.
    """

    def __init__(
        self, model, X, y=None, *, horizon=None, most_times=3000, seed=0, budget=BUDGETS["standard"]
    ):
        self.model, self.horizon, self.seed, self.budget = model, horizon, seed, budget
        self.X, rows = block(X, most_times)
        self.y = None if y is None else take(y, rows)
        self.offset = int(rows[0]) if len(rows) else 0
        self.times = row_times(self.X)
        self.unique = np.unique(self.times)
        self.ends = None
        self.tried, self.refused = 0, []
        self._late = None

    def cuts(self):
        """The main cuts, at uneven places so that no calendar hides behind them."""
        n = len(self.unique)
        shares = ((0.62, 1), (0.9, 3), (0.45, 0), (0.78, 2), (0.54, 4), (0.7, 5))
        places = {int(n * share) + shift for share, shift in shares[: self.budget.cuts]}
        return [self.unique[min(place, n - 2)] for place in sorted(places)]

    def early_cuts(self):
        """Cuts inside warm-ups of usual windows, 5 to 62 rows: a judgment."""
        return [
            self.unique[place] for place in (4, 9, 17, 30, 61) if place < 0.4 * len(self.unique)
        ]

    def run(self, fit_at, cut, kind, *, only=None, source=None):
        """Fit on the rows up to ``fit_at`` and apply, with the future after ``cut`` destroyed (or
        not, with ``kind`` None)."""
        X = self.X if source is None else source
        rng = np.random.default_rng([self.seed, int(cut) % (2**32)])
        X = X if kind is None else perturb(X, cut, kind, rng, only=only)
        with quiet(self.seed):
            past = np.flatnonzero(row_times(X) <= fit_at)
            # the same rows: X may have been cut off
            labelled = np.flatnonzero(self.times <= fit_at)
            model = fitted(
                self._bound(cut, kind, rng),
                take(X, past),
                None if self.y is None else take(self.y, labelled),
            )
            return Output.of(apply(model, X), X), X

    def _bound(self, cut, kind, rng):
        """The model with frames it was given in its constructor perturbed alike."""
        if kind is None or not isinstance(self.model, BaseEstimator):
            return self.model
        bound = {
            name: value
            for name, value in self.model.get_params(deep=True).items()
            if isinstance(value, (pd.DataFrame, pd.Series))
            and isinstance(value.index, (pd.DatetimeIndex, pd.MultiIndex))
            and len(value)
        }
        if not bound:
            return self.model
        return clone(self.model).set_params(
            **{name: perturb(value, cut, kind, rng) for name, value in bound.items()}
        )

    def known_by(self, output):
        """When each output row may be known: its own time, or the end of its label."""
        if self.ends is None:
            self.ends = self._label_ends(output)
        return (
            self.ends
            if len(self.ends) == len(output.times) and not output.by_index
            else output.times
        )

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
            self.horizon = bars
            return label_spans(self.X, horizon=self.horizon)[0].end

    def changes(self, clean, dirty, cut, kind):
        """Compare two outputs on the rows that may be known at the cut."""
        if clean.by_index != dirty.by_index or clean.columns != dirty.columns:
            if clean.columns != dirty.columns and len(clean.columns) != len(dirty.columns):
                return Change(
                    None, self.offset, None, kind, cut, 0, 0,
                    (),
                    len(clean.columns),
                    len(dirty.columns),
                )
            if clean.by_index != dirty.by_index:
                raise UnusableOutputError(
                    "the output stands beside the rows in one run and not in the other"
                )
        known = self.known_by(clean)
        rows = np.flatnonzero(known <= cut)
        if len(clean.columns) > 300 and len(rows) > _WIDE:
            rows = np.union1d(rows[-_WIDE // 2 :], rows[:: max(len(rows) // (_WIDE // 2), 1)])
        there = self._partner(clean, dirty, rows, cut)
        if clean.by_index and len(there) != len(rows):
            return self._change(
                clean,
                dirty,
                np.ones((len(rows), 1), bool),
                rows,
                None,
                [clean.columns[0]],
                cut,
                kind,
            )
        moved = moved_cells(
            clean, dirty, rows, there,
            may_lack=kind == "truncation" and bool((known > clean.times).any()),
        )
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

    def _change(self, clean, dirty, moved, rows, there, names, cut, kind):
        row, column = divmod(int(np.argmax(moved)), moved.shape[1])
        position = rows[row] if len(rows) else 0
        columns = tuple(name for name, hit in zip(names, moved.any(axis=0)) if hit)
        cell = (
            None
            if there is None
            else (
                clean.rows(rows[[row]])[names[column]][0],
                dirty.rows(there[[row]])[names[column]][0],
            )
        )
        was, now = cell or (None, None)
        time = clean.times[position] if len(clean.times) else cut
        ahead = (
            int(
                np.searchsorted(self.unique, cut, "right")
                - np.searchsorted(self.unique, time, "right")
            )
            + 1
        )
        own = not clean.by_index
        index = index_of(self.X if own else clean.values)
        label = index[position] if index is not None and len(index) > position else None
        return Change(
            names[column],
            int(position) + (self.offset if own else 0),
            label,
            kind,
            int(cut),
            ahead,
            int(moved.any(axis=1).sum()),
            columns,
            was,
            now,
        )

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
        index = index_of(self.X)
        time = None if index is None else index[row]
        value = cells[name][np.argmax(wrong)]
        return Change(
            name,
            row + self.offset,
            time,
            kind,
            int(cut),
            0,
            int(wrong.sum()),
            (name,),
            np.nan,
            value,
            premature=True,
        )

    def first_change(self):
        """Run until something moves.

        Returns
        -------
        Change or None
            None when nothing moved in any experiment.

        Raises
        ------
        UnusableOutputError
            When outputs cannot be set beside their rows, or the model refuses more than half of the
            experiments.
        """
        for stage in (self._at_cuts, self._with_gaps, self._in_warmup, self._sweep):
            change = stage()
            if change is not None:
                return change
        if 2 * len(self.refused) > self.tried:
            failure = self.refused[-1]
            raise UnusableOutputError(f"{type(failure).__name__}: {failure}") from failure
        return None

    def attempt(self, run):
        """What one experiment gives, or None when the model refuses its rows: that is counted."""
        self.tried += 1
        try:
            return run()
        except UnusableOutputError:
            raise
        # the user's code may fail in any way on rows it was not made for
        except Exception as error:
            self.refused.append(error)
            return None

    def _at_cuts(self):
        for cut in self.cuts():
            clean = self.attempt(partial(self._steady, cut))
            for kind in KINDS if clean is not None else ():
                change = self.attempt(partial(self._changed_after, clean, cut, kind))
                if change is not None:
                    return change
        return None

    def _changed_after(self, clean, cut, kind):
        return self.changes(clean, self.run(cut, cut, kind)[0], cut, kind)

    def _steady(self, cut):
        clean, again = self.run(cut, cut, None)[0], self.run(cut, cut, None)[0]
        if not clean.by_index and self.changes(clean, again, self.unique[-1], "again") is not None:
            raise UnusableOutputError(
                "two runs on the same rows differ: set random_state", "unstable_output"
            )
        return clean

    def _with_gaps(self):
        cut = self.cuts()[min(1, self.budget.cuts - 1)]
        gapped = put_gaps(self.X, cut)
        if gapped is None or self.is_labeler:
            return None
        return self.attempt(lambda: self._gap_change(gapped, cut))

    def _gap_change(self, gapped, cut):
        clean = self.run(cut, cut, None, source=gapped)[0]
        return self.changes(
            clean, self.run(cut, cut, "noise", source=gapped)[0], cut, "noise after gaps"
        )

    def _in_warmup(self):
        return self.after(self.early_cuts(), source=without_past(self.X))

    def after(self, cuts, *, source=None):
        """Transform-only experiments at some cuts."""
        X = self.X if source is None else source
        clean = self.attempt(lambda: self.apply_only(X))
        for cut in cuts if clean is not None else ():
            run = partial(self.late_change, clean, cut, "noise", source=X)
            change = self.attempt(run)
            if change is not None:
                return change
        return None

    def late_change(self, clean, cut, kind, at=None, *, source=None):
        X = self.X if source is None else source
        rng = np.random.default_rng([self.seed, int(cut) % (2**32)])
        return self.changes(clean, self.apply_only(perturb(X, cut, kind, rng, at=at)), cut, kind)

    def _sweep(self):
        """Single times perturbed, many in one run: see ``_sweep``."""
        return sweep(self)

    def culprit_columns(self, change, most=40):
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
        def run():
            if fit:
                clean, dirty = (
                    self.run(change.cut, change.cut, None)[0],
                    self.run(change.cut, change.cut, kind, only=name)[0],
                )
            else:
                rng = np.random.default_rng(self.seed)
                clean, dirty = (
                    self.apply_only(self.X),
                    self.apply_only(perturb(self.X, change.cut, kind, rng, only=name)),
                )
            return self.changes(clean, dirty, change.cut, kind)

        try:
            moved = self.attempt(run)
        except UnusableOutputError:  # one column alone may make rows the model drops
            return False
        return moved is not None and (change.column in moved.columns or not moved.columns)

    def apply_only(self, X):
        with quiet(self.seed):
            return Output.of(apply(self._late_fit(), X), X)

    def name_of_column(self, column, namer):
        """The name of an output column, asked of the model fitted late."""
        width = (
            self.attempt(lambda: len(self.apply_only(self.X).columns))
            if isinstance(column, int)
            else 0
        )
        return namer(self._late, column, width) if width else column

    def _late_fit(self):
        if self._late is None:
            past = np.flatnonzero(self.times <= self.cuts()[-1])
            self._late = fitted(
                self.model, take(self.X, past), None if self.y is None else take(self.y, past)
            )
        return self._late


"""Does a value depend on how much history came before it?

Ever less history is given before the same last row. A value that keeps moving has a memory without
end and differs live and in history; one that has another value, not a missing one, in its warm-up
says more than it can know. An imputer that fills a warm-up its features left missing is told apart.
"""

from dataclasses import dataclass, field
from functools import partial
import warnings

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from .._history import get_history, with_history
from ._causality import column_name, name_of, refuse, transforming_part
from ._experiments import apply, fitted, quiet
from ._failures import guarded
from ._flaws import nodes
from ._outputs import Output, differ
from ._perturbation import block, row_times, take
from ._report import FAIL, PASS, Finding, LeakageReport

__all__ = ["check_warmup"]

# powers of two and half of the steps between them: a lookback is found within a factor of 1.5
_LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
_TIMED = (pd.DatetimeIndex, pd.MultiIndex)
_MOST_TIMES = 4000  # a judgment of speed: more than twice the longest length


@dataclass
class _Memory:
    """What happened at each length of history: the largest relative gap and its column, and whether
    values were missing."""

    lengths: list = field(default_factory=list)
    gaps: dict = field(default_factory=dict)
    columns: dict = field(default_factory=dict)
    missing: set = field(default_factory=set)
    declared: object = None

    def compare(self, length, whole, part, name):
        for place, (column, value) in enumerate(whole.items()):
            other = part.get(column, np.array([np.nan]))
            if pd.isna(other.astype(object)).all():
                if not pd.isna(value.astype(object)).all():
                    self.missing.add(length)
                continue  # the warm-up is declared
            if differ(value, other).any():
                gap = np.inf
                if value.dtype.kind in "fiu" and other.dtype.kind in "fiu":
                    gap = float(abs(value[0] - other[0]) / max(abs(float(value[0])), 1e-12))
                if gap > self.gaps.get(length, 0.0):
                    self.gaps[length], self.columns[length] = (
                        gap,
                        name(column if isinstance(column, str) else place),
                    )


def check_warmup(model, X, y=None, *, seed=0):
    """See ``LeakageValidator.check_warmup``."""
    refused = refuse(model, X, "warmup")
    if refused is not None:
        return refused
    model = transforming_part(model)
    X, _ = block(X, _MOST_TIMES)
    where = {"step": name_of(model)}
    return guarded(
        "warmup",
        lambda: _report(model, X, y, seed),
        f"{name_of(model)} could not be given less history",
        where=where,
    )


def _report(model, X, y, seed):
    memory = _memory(model, X, y, seed)
    if not memory.gaps:
        return LeakageReport([], {"warmup": PASS})
    finding = _filled(model, memory, X, y, seed) or _conclude(model, memory)
    return LeakageReport([finding], {"warmup": FAIL if finding.severity == "error" else PASS})


def _memory(model, X, y, seed):
    """For growing lengths of history, how far the last row is from the one with all of it."""
    times = row_times(X)
    unique = np.unique(times)
    n = len(unique)
    with quiet(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        past = np.flatnonzero(times <= unique[n // 2])
        learned = fitted(model, take(X, past), None if y is None else take(y, past))
        for _, part in nodes(learned):  # the tail remembered in fit is history too
            if hasattr(part, "tail_"):
                part.tail_ = None
        X = _forgetting(X)
        declared = getattr(learned, "lookback_", getattr(model, "lookback_", None))
        own = {declared} if isinstance(declared, int) and declared < 0.8 * n else set()
        memory = _Memory(
            sorted({length for length in _LENGTHS if length <= 0.7 * n} | own), declared=declared
        )
        for end in (unique[n - 1], unique[int(0.93 * n)], unique[int(0.86 * n)]):
            upto = take(X, np.flatnonzero(times <= end))
            whole, axis = _last(learned, upto), unique[unique <= end]
            for length in memory.lengths:
                part = take(upto, np.flatnonzero(row_times(upto) >= axis[-length]))
                memory.compare(
                    length,
                    whole,
                    _last_or_missing(learned, part),
                    partial(column_name, learned, width=len(whole)),
                )
    return memory


def _forgetting(X):
    """X without a handle."""
    if get_history(X) is None:
        return X
    out = X.copy(deep=False)
    out.attrs = {key: value for key, value in X.attrs.items() if key != "history"}
    return out


def _last(model, X):
    """The output of the last row. A model that refuses rows of a warm-up is given this row alone,
    with the others as its history."""
    try:
        output = Output.of(apply(model, X), X)
    except ValueError:
        if not (isinstance(X, pd.DataFrame) and isinstance(X.index, _TIMED)):
            raise
        alone = with_history(X, lookback=len(X)).iloc[-1:]
        output = Output.of(apply(model, alone), alone)
    return output.rows(np.array([len(output.times) - 1]))


def _last_or_missing(model, X):
    """The output of the last row; no column where the model refuses so little history."""
    try:
        return _last(model, X)
    except ValueError:
        return {}


def _filled(model, memory, X, y, seed):
    """A note when a later step fills what the features left missing in their warm-up; None when the
    features are at fault."""
    if not isinstance(model, Pipeline):
        return None
    before = None
    for last in range(1, len(model.steps) + 1):
        own = _memory(model[:last], X, y, seed) if last < len(model.steps) else memory
        if own.gaps:
            break
        before = own
    if before is None or not set(own.gaps) <= before.missing:
        return None
    step, needed = model.steps[last - 1][0], max(own.gaps)
    column = own.columns[needed]
    message = (
        f"Column {column!r} is missing when only {needed} bars are given, and step {step!r} fills "
        "it: the first rows hold a stand-in."
    )
    where = {"step": step, "column": column}
    fix = f"give more than {needed} bars before the first row you predict"
    return Finding(
        "warmup_filled",
        "info",
        message,
        where,
        {"filled_at_bars": needed, "longest_tried": own.lengths[-1]},
        fix,
    )


def _conclude(model, memory):
    gaps, columns, lengths = memory.gaps, memory.columns, memory.lengths
    needed, longest, declared = max(gaps), lengths[-1], memory.declared
    wrong = [gaps[length] for length in lengths if length in gaps and np.isfinite(gaps[length])]
    # a judgment: an exponential mean fades by a factor of a hundred over the lengths tried
    fading = len(wrong) >= 3 and wrong[-1] < 1e-2 * wrong[0]
    evidence = {
        "differs_at_bars": needed,
        "relative_difference": gaps[needed],
        "longest_tried": longest,
        "declared_lookback": declared,
    }
    place = {"step": name_of(model), "column": columns[needed]}
    fix = "use a rolling window of fixed length, with NaN until it is full: .rolling(20).mean()"
    if needed == longest or fading or (isinstance(declared, int) and needed >= declared):
        what = (
            "keeps changing however much history is given"
            if needed == longest
            else "fades but never forgets"
            if fading
            else f"needs more than {declared} bars"
        )
        return Finding(
            "infinite_memory",
            "error",
            f"Column {columns[needed]!r} {what}: live values differ from historical ones.",
            place,
            evidence,
            fix,
        )
    message = (
        f"Column {columns[needed]!r} has other values, not missing ones, when fewer than about "
        f"{needed} bars are given."
    )
    return Finding(
        "warmup_not_missing",
        "warning",
        message,
        place,
        evidence,
        "leave the first rows missing: drop min_periods=1",
    )

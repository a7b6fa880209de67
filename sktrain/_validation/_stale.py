"""Whether labels still follow from the values that a handle was written for.

A recoding, a slice or a mask to one value follows; a shift, a shuffle or labels made anew do not.
"""

import numpy as np
import pandas as pd

__all__ = ["FEW", "first_stale", "label_columns"]

# classes at most, a judgment; more labels, most of them met once, are targets of a regression
FEW = 20


def label_columns(y):
    """The labels of ``y``, one array for each output."""
    values = np.asarray(y)
    columns = [] if values.ndim not in (1, 2) else [values] if values.ndim == 1 else list(values.T)
    return [] if values.dtype.kind == "c" else columns


def first_stale(values, known, places, handle):
    """Labels follow when each distinct label of the handle became one value, or that value and one
    common mask value."""
    codes = handle.codes[places].astype(np.intp)
    new, distinct = _numbered(values)
    usable = known & (codes >= 0) & (new >= 0)
    if not usable.any():
        return None
    compared = (codes, new) if usable.all() else (codes[usable], new[usable])
    if handle.is_continuous:
        if _follow_in_order(*compared):
            return None
    elif (met := _Met(*compared, len(distinct))).follow():
        return None
    same = handle.is_continuous or np.isin(distinct, handle.labels).all()
    if same:  # the same labels at other rows
        wrong = usable & (distinct.astype(object)[new] != handle.labels.astype(object)[codes])
    else:
        wrong = usable & (new != met.most_frequent(len(handle.labels))[codes])
    row = int(np.argmax(wrong))
    return row, distinct[new[row]], handle.labels[codes[row]]


def _follow_in_order(codes, new):
    """Whether values follow from labels that stand (nearly) once each, so that any values would be
    a function of them.

    Then an order is asked for: the same values, or a monotone function of them, or few classes cut
    at thresholds, two to a class at most; rows of one fixed value, a mask, may stand anywhere,
    where other values remain to be compared.
    """
    counts = np.bincount(new)
    masked = new == counts.argmax()
    compared = np.count_nonzero(counts) > 2 and _in_order(codes[~masked], new[~masked])
    return compared or _in_order(codes, new)


def _in_order(codes, new):
    order = np.lexsort((new, codes))
    steps = np.diff(new[order])
    within = np.diff(codes[order]) == 0
    if (within & (steps != 0)).any():  # one label, two values
        return False
    n_values = len(np.unique(new))
    few = n_values <= FEW and np.count_nonzero(steps) <= 2 * (n_values - 1)
    return bool(few or (steps >= 0).all() or (steps <= 0).all())


class _Met:
    """Which new values each old label became, as pairs: old label ``old[k]`` became new value
    ``new[k]`` in ``counts[k]`` rows."""

    def __init__(self, codes, new, n_new):
        pairs = codes * n_new + new
        size = (int(codes.max()) + 1) * n_new
        if size <= 4 * len(codes) + 1000:  # a table is cheaper than a sort
            table = np.bincount(pairs, minlength=size)
            met = np.flatnonzero(table)
            self.counts = table[met]
        else:
            met, self.counts = np.unique(pairs, return_counts=True)
        self.old, self.new = met // n_new, met % n_new

    def most_frequent(self, n_old):
        """The new value that each old label became most often; -1 for labels not met."""
        order = np.argsort(self.counts, kind="stable")
        most = np.full(n_old, -1)
        most[self.old[order]] = self.new[order]
        return most

    def follow(self):
        """Whether new values are a function of old labels, or of them and of a mask that turns rows
        into one fixed value.

        A mask is believed when it shows what chance would not: some old label always became the
        fixed value (hold in meta-labels), or the labels that were masked in part still differ
        elsewhere.
        """
        became = np.bincount(self.old)  # how many values each label became
        if became.max() <= 1:
            return True
        if became.max() > 2:
            return False
        several = became[self.old] > 1
        n_several = np.count_nonzero(became > 1)
        times = np.bincount(self.new[several])
        for fixed in np.flatnonzero(times == n_several):
            always_fixed = (~several & (self.new == fixed)).any()
            elsewhere = np.unique(self.new[several & (self.new != fixed)])
            if always_fixed or len(elsewhere) == n_several:
                return True
        return False


def _numbered(values):
    """Number of every value among the distinct ones, in order; -1 where a value is missing."""
    if values.dtype.kind in "iub" and len(values):
        low, high = int(values.min()), int(values.max())
        if high - low < 1000:
            return values.astype(np.intp) - low, np.arange(low, high + 1)
    try:
        codes, distinct = pd.factorize(values, sort=True)
    except TypeError:  # values of several kinds have no order
        codes, distinct = pd.factorize(values)
    return codes, np.asarray(distinct)

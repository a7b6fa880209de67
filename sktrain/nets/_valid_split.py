"""Training rows enter with their times, two groups of row numbers leave: what to train on and the last block to validate on.

The block is the last share of unique *times*, so in a panel no moment is cut; rows whose label is known only inside the block are
purged. Where that would leave too little, there is no validation, and the caller is told why.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._spans import Spans, cut_blocks
from .._validation import label_horizon, label_spans, time_axis

__all__ = ["ValidationBlock", "last_block"]

_FEWEST = 20  # rows a validation loss needs before it is worth stopping by
_KEPT = 0.5  # share of the rows that must remain to train on


@dataclass(frozen=True)
class ValidationBlock:
    """Row numbers to train on and to validate on (None: no validation, ``reason`` says why)."""

    train: np.ndarray
    valid: np.ndarray | None
    n_purged: int = 0
    reason: str | None = None

    def summary(self):
        """One line."""
        if self.valid is None:
            return f"{len(self.train)} training rows, no validation: {self.reason}"
        return f"{len(self.train)} training rows, {self.n_purged} purged, {len(self.valid)} validation rows"


def last_block(X, y, codes, *, fraction, horizon=None, label_end_times=None):
    """Cut the last ``fraction`` of unique times off the rows, and purge what overlaps it.

    Parameters
    ----------
    X, y : the caller's data
        Only the index of X and the attrs and index of y are read. Without times, row order is time.
    codes : ndarray of int, shape (n,)
        Class of each row; every class must remain in training.
    fraction : float
        Share of unique times to validate on.
    horizon : int, optional
        Bars a label looks ahead; default what the labeler wrote on y.
    label_end_times : array-like of shape (n,), optional
        Times at which the labels were known.

    Returns
    -------
    ValidationBlock
    """
    n = len(codes)
    everything = np.arange(n)
    if fraction * n < _FEWEST:
        return ValidationBlock(everything, None, reason=f"{fraction:.0%} of {n} rows are fewer than {_FEWEST}")
    spans = _spans(X, y, horizon, label_end_times)
    n_times = len(spans.axis)
    first = n_times - max(1, round(fraction * n_times))
    if first < 1:
        return ValidationBlock(everything, None, reason="all rows share one time")
    cut = cut_blocks(spans, [(first, n_times - 1)], np.ones(n, dtype=bool))
    valid = np.flatnonzero(spans.codes >= first)
    train = np.flatnonzero(cut.train)
    if len(train) < _KEPT * n or len(valid) < _FEWEST:
        return ValidationBlock(everything, None, reason=f"purging would leave {len(train)} of {n} rows to train on")
    if len(np.unique(codes[train])) < len(np.unique(codes)):
        return ValidationBlock(everything, None, reason="a class stands in the last block only")
    return ValidationBlock(train, valid, int(cut.purged.sum()))


def _spans(X, y, horizon, label_end_times):
    timed = isinstance(getattr(X, "index", None), (pd.DatetimeIndex, pd.MultiIndex, pd.PeriodIndex))
    if label_end_times is None and label_horizon(y, horizon) is None and not timed:  # bare arrays promise nothing about time
        times = time_axis(np.empty((len(y), 0))).times
        return Spans.from_times(times, times)
    return label_spans(X, y, horizon=horizon, label_end_times=label_end_times, caller="fit")[0]

"""The last block of times, held back for validation."""

from dataclasses import dataclass, replace
import warnings

import numpy as np
from sklearn.utils import _safe_indexing

from ._routing import metadata_rows
from ._spans import cut_blocks
from ._validation import label_spans, resampled_rows, said_horizon
from .exceptions import ResamplingWarning, UnknownHorizonWarning

__all__ = ["FEWEST", "ValidationBlock", "last_block", "last_blocks"]

# rows of a validation loss worth stopping by: its standard error is .22 of their spread, 1 / √20
FEWEST = 20
_KEPT = 0.5  # share of the rows that must remain to train on, a judgment


@dataclass(frozen=True)
class ValidationBlock:
    """Row numbers to train on and to validate on (None: no validation, ``reason`` says why)."""

    train: np.ndarray
    valid: np.ndarray | None
    n_purged: int = 0
    reason: str | None = None
    share: float = 1.0  # independent rows per validation row: overlapping labels repeat themselves
    horizon: int | str | None = (
        None  # what labels were said to look ahead: bars, or a length of time
    )

    def summary(self):
        """One line."""
        if self.valid is None:
            return f"{len(self.train)} training rows, no validation: {self.reason}"
        parts = (len(self.train), self.n_purged, len(self.valid))
        return "{} training rows, {} purged, {} validation rows".format(*parts)


def last_block(
    X,
    y,
    codes,
    *,
    fraction,
    horizon=None,
    label_end_times=None,
    times=None,
    caller="fit",
    stacklevel=6,
):
    """Cut the last ``fraction`` of unique times off the rows, and purge what overlaps it.

    Rows that a resampler marked as synthetic never stand in the validation block.

    Parameters
    ----------
    X, y : the caller's data
        Only index and attrs are read. Without times, row order is time.
    codes : ndarray of int, shape (n,)
        Class of each row; every class must remain in training.
    fraction : float
        Share of unique times to validate on.
    horizon : int, Timedelta or str, optional
        What a label looks ahead; default what y says, else what X says.
    label_end_times : array-like of shape (n,), optional
        Times at which the labels were known.
    times : DatetimeIndex or MultiIndex of length n, optional
        When the rows are, where their index was taken away.
    caller : str
        Name for the warnings.
    stacklevel : int
        Of the warnings.

    Returns
    -------
    ValidationBlock

    Warns
    -----
    UnknownHorizonWarning
        Nothing tells how far labels look ahead, so nothing was purged.
    ResamplingWarning
        The last rows stand class by class, as over-samplers append them: they are not validated on.
    """
    n = len(codes)
    everything = np.arange(n)
    told = said_horizon(X, y, horizon)
    if fraction * n < FEWEST:
        reason = f"{fraction:.0%} of {n} rows are fewer than {FEWEST}"
        return ValidationBlock(everything, None, reason=reason, horizon=told)
    known = {"horizon": horizon, "label_end_times": label_end_times, "times": times}
    spans, axis = label_spans(X, y, **known, caller=caller, strict=False, warn=False)
    n_times = len(spans.axis)
    first = n_times - max(1, round(fraction * n_times))
    if first < 1:
        return ValidationBlock(everything, None, reason="all rows share one time", horizon=told)
    cut = cut_blocks(spans, [(first, n_times - 1)], np.ones(n, dtype=bool))
    made = resampled_rows(X, y)
    real = True if made is None else ~made.synthetic
    valid = np.flatnonzero((spans.codes >= first) & real)
    train = np.flatnonzero(cut.train)
    appended = axis.index is None and made is None and _stand_class_by_class(codes, valid)
    reason = _unfit(codes, train, valid, appended)
    if appended:
        message = (
            f"{caller} validates on nothing: the rows carry no times and the last {len(valid)} of "
            "them stand class by class, as over-samplers append synthetic rows. Resample with "
            "WindowSMOTE, ResampledClassifier or apply_smote, or give rows in order of time."
        )
        warnings.warn(message, ResamplingWarning, stacklevel=stacklevel)
    elif reason is None and spans.source is None:
        message = (
            f"{caller} does not know how far the labels look ahead, so the {len(valid)} rows it "
            "validates on are not purged. Pass labels of a sktrain labeler or label_end_times=..., "
            f"or set the horizon of {caller} (0 for labels known at once)."
        )
        warnings.warn(message, UnknownHorizonWarning, stacklevel=stacklevel)
    if reason is not None:
        return ValidationBlock(everything, None, reason=reason, horizon=told)
    lengths = np.searchsorted(spans.axis, spans.end[valid], "right") - 1 - spans.codes[valid]
    share = 1 / max(1.0, float(np.median(lengths)))
    return ValidationBlock(train, valid, int(cut.purged.sum()), share=share, horizon=told)


def last_blocks(X, y, codes, n_blocks, *, fraction, label_end_times=None, times=None, **how):
    """Several blocks of times, the last one first: each is the last of the rows that the one after
    it trains on, as long as that, in a walk forward.

    Parameters are those of :func:`last_block`. There are fewer than ``n_blocks`` where the rows do
    not allow more, and always one.
    """
    known = {"label_end_times": label_end_times, "times": times}
    blocks = [last_block(X, y, codes, fraction=fraction, **known, **how)]
    n = len(codes)
    for place in range(1, n_blocks):
        if blocks[-1].valid is None:
            break
        rows = blocks[-1].train
        with warnings.catch_warnings():  # said of the last block already
            warnings.simplefilter("ignore", ResamplingWarning)
            warnings.simplefilter("ignore", UnknownHorizonWarning)
            block = last_block(
                _safe_indexing(X, rows), _safe_indexing(y, rows), codes[rows],
                fraction=fraction / (1 - place * fraction), **metadata_rows(known, rows, n), **how,
            )  # fmt: skip
        if block.valid is None:
            break
        blocks.append(replace(block, train=rows[block.train], valid=rows[block.valid]))
    return blocks


def _unfit(codes, train, valid, appended):
    """Why rows cannot be divided like this, or None."""
    if len(train) < _KEPT * len(codes) or len(valid) < FEWEST:
        return f"purging would leave {len(train)} of {len(codes)} rows to train on"
    if len(np.unique(codes[train])) < len(np.unique(codes)):
        return "a class stands in the last block only"
    if appended:
        return "the last rows stand class by class, as resampled rows do"
    return "the last block holds a single class" if len(np.unique(codes[valid])) < 2 else None


# rows of one class in a row before they can be told from chance: 2**-7 for two classes
_SHORTEST = 8
_LONGER = 2  # times the longest run before them, a judgment


def _stand_class_by_class(codes, valid):
    """Whether the last rows form at most one run per class, or end in runs far longer than
    before."""
    last = codes[valid]
    if np.count_nonzero(np.diff(last)) + 1 == len(np.unique(last)):
        return True
    edges = np.flatnonzero(np.diff(codes)) + 1
    lengths = np.diff(np.concatenate([[0], edges, [len(codes)]]))
    _, counts = np.unique(codes, return_counts=True)
    longer = 1 if counts.min() == counts.max() else _LONGER  # equal classes are a sampler's mark
    for appended in range(1, len(counts)):  # the largest class gets no rows
        tail, before = lengths[-appended:], lengths[:-appended]
        if tail.max() >= _SHORTEST and tail.max() > longer * before.max(initial=0):
            return True
    return False

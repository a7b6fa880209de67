"""Perturbation of the future: rows after a cut replaced, shuffled or removed.

The history handle is perturbed alike, so nothing can read the true future there. Perturbed bars
stay valid bars (low <= open, close <= high, prices positive), values keep their dtype, and rows up
to the cut are untouched to the bit.
"""

import numpy as np
import pandas as pd

from .._history import get_history
from .._validation import OHLCV, time_axis

__all__ = [
    "KINDS", "block", "perturb", "perturbable", "put_gaps", "row_times", "take", "without_past",
]

KINDS = ("noise", "noise_down", "shuffle", "truncation")


def perturbable(X):
    """Whether rows of this type can be replaced: frames, series, arrays and plain lists."""
    return isinstance(X, (pd.DataFrame, pd.Series, list, tuple)) or (
        isinstance(X, np.ndarray) and X.ndim >= 1
    )


def row_times(X):
    """When each row of X was decided, as int64; its position where rows carry no time."""
    if isinstance(getattr(X, "index", None), (pd.DatetimeIndex, pd.MultiIndex, pd.PeriodIndex)):
        return time_axis(X).times
    return np.arange(len(X), dtype=np.int64)


def take(X, rows):
    """Rows of anything, by position; attrs stay."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if isinstance(X, (list, tuple)):
        return [X[row] for row in np.arange(len(X))[rows]]
    return X[rows]


def block(X, most):
    """The last ``most`` unique times of X, and where these rows stand in X.

    A handle is cut to these rows and as many times before them, so that experiments stay cheap and
    features are known from the first row on, as they are in a fold.
    """
    times = row_times(X)
    unique = np.unique(times)
    if len(unique) <= most:
        return X, np.arange(len(times))
    rows = np.flatnonzero(times >= unique[-most])
    history = get_history(X)
    before = 0 if history is None else max(most, history.reach)
    return _remembering(take(X, rows), unique[-most], before), rows


def without_past(X):
    """X whose handle, if it has one, begins at X's own first time: rows that start cold."""
    return _remembering(X, row_times(X).min(), 0)


def _remembering(X, first, before):
    """X with its handle, if it has one, cut ``before`` unique times ahead of the time ``first``."""
    history = get_history(X)
    if history is None:
        return X
    times = time_axis(history.frame).times
    past = np.unique(times[times < first])
    kept = times >= (first if not before or not len(past) else past[-before:][0])
    if kept.all():
        return X
    out = X.copy(deep=False)
    out.attrs = {**X.attrs, "history": history.over(history.frame[kept])}
    return out


def perturb(X, cut, kind, rng, *, only=None, at=None):
    """Replace what happens after ``cut``, or at chosen times.

    Parameters
    ----------
    X : DataFrame, Series, ndarray or list
        Rows; times as in :func:`row_times`.
    cut : int
        Rows with a later time are the future; not read when ``at`` is given.
    kind : {"noise", "noise_down", "shuffle", "truncation"}
        Other values above or below what was seen, the same rows in another order, or no rows.
    rng : Generator
    only : column name, optional
        Perturb one column of a DataFrame, or one column number of a 2-D array.
    at : ndarray of int, optional
        The times to perturb, instead of all after ``cut``; not for truncation.

    Returns
    -------
    Same type as ``X``
    """
    times = row_times(X)
    if kind == "truncation":
        return _truncate(X, times, cut)

    def hit(times):
        return np.flatnonzero(times > cut if at is None else np.isin(times, at))

    if isinstance(X, pd.DataFrame):
        return _perturb_with_history(X, hit, kind, rng, only)
    future = hit(times)
    if isinstance(X, pd.Series):
        out = X.copy()
        out.iloc[future] = _column(X, future, kind, rng)
        return out
    if isinstance(X, np.ndarray):
        return _array(X, future, kind, rng, only)
    out = list(X)
    for row, other in zip(
        future,
        rng.permutation(len(out))[: len(future)] if kind != "shuffle" else rng.permutation(future),
    ):
        out[row] = X[other]
    return out


def _truncate(X, times, cut):
    out = take(X, np.flatnonzero(times <= cut))
    history = get_history(X)
    if history is not None:
        out = out.copy(deep=False)
        out.attrs = {
            **X.attrs,
            "history": history.over(history.frame[time_axis(history.frame).times <= cut]),
        }
    return out


def _perturb_with_history(X, hit, kind, rng, only):
    history = get_history(X)
    places = None if history is None else history.locate(X.index)
    if places is None:
        out = _frame(X, hit(row_times(X)), kind, rng, only)
        out.attrs = {key: value for key, value in X.attrs.items() if key != "history"}
        return out
    frame = _frame(history.frame, hit(time_axis(history.frame).times), kind, rng, only)
    own = [name for name in X.columns if name not in frame.columns]
    out = _frame(X, hit(row_times(X)), kind, rng, only) if own else X.copy()
    for name in X.columns:
        if name in frame.columns:
            out[name] = frame[name].to_numpy()[places]
    out.attrs = {**X.attrs, "history": history.over(frame)}
    return out


def _frame(X, future, kind, rng, only):
    out = X.copy()
    out.attrs = {}
    if not len(future):
        return out
    if kind == "shuffle":
        order = rng.permutation(future)
        for name in X.columns if only is None else [only]:
            out[name] = _replaced(X[name], future, X[name].iloc[order])
        return out
    lower = {str(name).lower(): name for name in X.columns}
    bars = {name: lower[name] for name in OHLCV if name in lower}
    drawn = (
        _bars(X, bars, future, kind, rng, only)
        if {"close"} <= set(bars) and _numeric(X, bars)
        else {}
    )
    for name in X.columns:
        if only is None or name == only:
            values = drawn[name] if name in drawn else _column(X[name], future, kind, rng)
            out[name] = _replaced(X[name], future, values)
    return out


def _numeric(X, bars):
    return all(pd.api.types.is_numeric_dtype(X[name].dtype) for name in bars.values())


def _replaced(column, rows, values):
    out = column.copy()
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "i":
        values = np.maximum(np.asarray(values, dtype=np.float64), 1).astype(column.dtype)
    out.iloc[rows] = np.asarray(values) if not hasattr(values, "array") else values.array
    return out


def _bars(X, bars, rows, kind, rng, only):
    """Valid but different bars; one column alone moves only as far as the others allow."""
    past = {name: X[own].iloc[rows].to_numpy(np.float64) for name, own in bars.items()}
    n = len(rows)
    sign = -1.0 if kind == "noise_down" else 1.0
    level = np.exp(sign * rng.uniform(0.5, 2.0, n))
    new = {name: past[name] * level for name in past if name != "volume"}
    if only is None:
        if "high" in new and "low" in new:
            top = np.maximum.reduce([new[name] for name in new])
            bottom = np.minimum.reduce([new[name] for name in new])
            new["high"], new["low"] = (
                top * rng.uniform(1.0, 1.1, n),
                bottom * rng.uniform(0.9, 1.0, n),
            )
            for name in {"open", "close"} & set(new):
                new[name] = new["low"] + rng.uniform(0, 1, n) * (new["high"] - new["low"])
    else:
        new = {name: past[name].copy() for name in new}
        said = next((key for key, own in bars.items() if own == only), None)
        if said in ("open", "close") and {"high", "low"} <= set(past):
            new[said] = past["low"] + rng.uniform(0, 1, n) * (past["high"] - past["low"])
        elif said == "high":
            new[said] = past[said] * rng.uniform(1.05, 2.0, n)
        elif said == "low":
            new[said] = past[said] * rng.uniform(0.5, 0.95, n)
        elif said in ("open", "close"):
            new[said] = past[said] * level
    if "volume" in past:
        new["volume"] = (past["volume"] + 1.0) * np.exp(sign * rng.uniform(0.5, 3.0, n))
    return {bars[name]: values for name, values in new.items()}


def _column(column, rows, kind, rng):
    """Other values of the same kind for some rows of a column."""
    dtype = column.dtype
    if kind == "shuffle" or pd.api.types.is_bool_dtype(dtype) or not (
        pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_datetime64_any_dtype(dtype)
    ):
        pool = rows if kind == "shuffle" else np.arange(len(column))
        return column.iloc[rng.permutation(pool)[: len(rows)]]
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return column.iloc[rows] + pd.to_timedelta(rng.integers(1, 1000, len(rows)), unit="D")
    return _numbers(column.to_numpy(np.float64, na_value=np.nan), rows, kind, rng)


def _numbers(values, rows, kind, rng):
    """Numbers far above, or far below, what was seen; positive columns stay positive, missing
    values stay missing."""
    seen = values[np.isfinite(values)]
    sign = -1.0 if kind == "noise_down" else 1.0
    if not len(seen):
        return values[rows]
    if seen.min() > 0:
        drawn = values[rows] * np.exp(sign * rng.uniform(0.5, 3.0, len(rows)))
    else:
        spread = seen.std() or max(abs(seen[0]), 1.0)
        drawn = seen.mean() + sign * spread * rng.uniform(1.0, 10.0, len(rows))
    return np.where(np.isnan(values[rows]), np.nan, drawn)


def _array(X, rows, kind, rng, only):
    out = X.copy()
    if kind == "shuffle" or X.dtype.kind not in "fiu":
        source = (
            rng.permutation(rows) if kind == "shuffle" else rng.permutation(len(X))[: len(rows)]
        )
        if only is None:
            out[rows] = X[source]
        else:
            out[rows, only] = X[source, only]
        return out
    if X.ndim == 1:
        out[rows] = _numbers(X.astype(np.float64), rows, kind, rng).astype(X.dtype)
        return out
    flat = X.reshape(len(X), -1)
    new = out.reshape(len(X), -1)
    for column in range(flat.shape[1]) if only is None else [only]:
        new[rows, column] = _numbers(flat[:, column].astype(np.float64), rows, kind, rng).astype(
            X.dtype
        )
    return new.reshape(X.shape)


def put_gaps(X, cut, every=7, last=5):
    """Take values away before the cut (the last ``last`` rows, and one row in ``every``), so that
    filling from later rows shows."""
    times = row_times(X)
    if not isinstance(X, pd.DataFrame):
        return None
    past = np.flatnonzero(times <= cut)
    rows = np.union1d(past[-last:], past[3::every])
    numeric = [name for name in X.columns if pd.api.types.is_float_dtype(X[name].dtype)]
    if not numeric or len(past) < 3 * last:
        return None
    out = X.copy()
    # the handle has no gaps
    out.attrs = {key: value for key, value in X.attrs.items() if key != "history"}
    for name in numeric:
        out[name] = X[name].where(~np.isin(np.arange(len(X)), rows))
    return out

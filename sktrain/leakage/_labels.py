"""Labels that cannot be known, or look further ahead than they say.

Labels are in order of time. An unknown label is NaN; it may stand in the warm-up and in the last
``horizon`` rows only. Where bars are at hand, the true reach of the labels is measured: a label
moves with every return it was computed from.
"""

import numpy as np
import pandas as pd

from .._validation import check_count, horizon_in_bars
from ._report import FAIL, NOT_CHECKED, PASS, Finding, LeakageReport
from ._rows import row_where

__all__ = ["check_label_leakage", "label_reach"]

# of a correlation without dependence, 1 / √n each: 2e-9 a lag, so that thousands of lags give no
# false alarm
_SIGMAS = 6.0
_FARTHEST = 30  # bars ahead that are looked at, a judgment
_SHARE = 0.4  # of the dependence inside the declared horizon, a judgment


def _series(labels):
    if isinstance(labels, pd.DataFrame):
        if labels.shape[1] != 1:
            raise ValueError(f"labels must be one column, got {labels.shape[1]}.")
        labels = labels.iloc[:, 0]
    series = labels if isinstance(labels, pd.Series) else pd.Series(np.asarray(labels).ravel())
    if not len(series):
        raise ValueError("labels are empty.")
    return series


def _segments(series):
    """Positions of each symbol's rows, in order."""
    if not isinstance(series.index, pd.MultiIndex):
        return [np.arange(len(series))]
    codes = np.asarray(series.index.codes[0])
    return [np.flatnonzero(codes == code) for code in np.unique(codes)]


def check_label_leakage(labels, warmup_length=0, *, horizon=None, bars=None):
    """See ``LeakageValidator.check_label_leakage``."""
    series = _series(labels)
    warmup = check_count("warmup_length", warmup_length, minimum=0)
    horizon = horizon_in_bars(labels, horizon)
    findings, checks = [], {}
    unknown = np.asarray(series.isna())
    if np.issubdtype(series.dtype, np.floating) and np.isinf(series.to_numpy()).any():
        row = int(np.argmax(np.isinf(series.to_numpy())))
        findings.append(
            Finding(
                "infinite_label",
                "error",
                f"Label {row} is infinite.",
                row_where(series, row),
                {},
                "labels = labels.replace([np.inf, -np.inf], np.nan)",
            )
        )
    for rows in _segments(series):
        findings += _unknown(series, rows, unknown[rows], warmup, horizon)
    failed = {finding.code for finding in findings if finding.severity == "error"}
    checks["unknown labels"] = (
        FAIL if failed & {"unknown_label", "known_tail", "infinite_label"} else PASS
    )
    if horizon is None:
        checks["last rows"] = NOT_CHECKED
        findings.append(
            Finding(
                "unknown_horizon",
                "warning",
                "Nothing says how far the labels look ahead: whether the last ones can be known "
                "was not checked.",
                {"parameter": "horizon"},
                {},
                'labels.attrs["label_horizon"] = 3',
                NOT_CHECKED,
            )
        )
    if bars is not None:
        reach, status = label_reach(bars, series, horizon)
        findings += reach
        checks["reach"] = status
    return LeakageReport(findings, checks)


def _unknown(series, rows, unknown, warmup, horizon):
    """Unknown labels in the middle, known ones at the end or in the warm-up."""
    n, tail = len(rows), horizon or 0
    if horizon is not None:
        end = n - tail
    else:  # the end of the labels is where the last unknown run begins
        known = np.flatnonzero(~unknown)
        end = known[-1] + 1 if len(known) else 0
    hole = np.flatnonzero(unknown[warmup:end]) + warmup
    if len(hole):
        yield Finding(
            "unknown_label",
            "error",
            f"{len(hole)} labels are unknown outside the warm-up ({warmup} rows) and the last "
            f"{tail} rows: dropping them selects rows by their outcome.",
            row_where(series, rows[hole[0]]),
            {"rows": len(hole)},
            "labels are NaN only where the outcome is not known yet",
        )
    if unknown.all():
        yield Finding(
            "unknown_label",
            "error",
            "No label is known.",
            {},
            {"rows": n},
            "give more bars than warm-up and horizon together",
        )
        return
    if tail and n > tail:
        yield from _early(series, rows, tail, unknown)
    if warmup and n > warmup and not unknown[:warmup].any():
        yield Finding(
            "known_warmup",
            "info",
            f"All labels of the warm-up ({warmup} rows) are known.",
            row_where(series, rows[0]),
            {"rows": warmup},
        )


def _early(series, rows, tail, unknown):
    """Labels at the end that are known before their horizon ends."""
    late = unknown[-tail:]
    if not late.any():
        yield from _known_tail(series, rows, tail, had_unknown=unknown.any())
    elif not late.all():
        early = int((~late).sum())
        yield Finding(
            "early_label",
            "warning",
            f"{early} of the last {tail} labels are known before their horizon ends: right for "
            "barriers, wrong for end-point labels.",
            row_where(series, rows[-tail:][~late][0]),
            {"rows": early},
            "labels.iloc[-horizon:] = np.nan",
        )


def _known_tail(series, rows, tail, *, had_unknown):
    values = series.iloc[rows[-tail:]]
    one = values.nunique() == 1
    most = series.iloc[rows].mode().iloc[0]
    if had_unknown or (one and tail > 1 and (values.iloc[0] == most or values.iloc[0] == 1)):
        yield Finding(
            "known_tail",
            "error",
            f"The last {tail} labels are given ({values.iloc[-1]!r}) although their outcome lies "
            "after the last row.",
            row_where(series, rows[-tail]),
            {"rows": tail, "label": values.iloc[-1]},
            f"labels.iloc[-{tail}:] = np.nan",
        )
    else:
        yield Finding(
            "known_tail",
            "info",
            f"The last {tail} labels are known: right when rows of unknown outcome were dropped.",
            row_where(series, rows[-tail]),
            {"rows": tail},
            f"labels.iloc[-{tail}:] = np.nan  # if they were not",
        )


def label_reach(bars, labels, horizon=None, ends=None):
    """How many bars ahead labels move with returns, against what they declare. Returns (findings,
    status)."""
    close = (
        next((bars[name] for name in bars.columns if str(name).lower() == "close"), None)
        if isinstance(bars, pd.DataFrame)
        else None
    )
    if close is None or len(close) < 200 or isinstance(bars.index, pd.MultiIndex):
        return [], NOT_CHECKED
    y = (
        labels.reindex(close.index)
        if isinstance(labels, pd.Series) and len(labels) != len(close)
        else pd.Series(np.asarray(labels), close.index)
    )
    values = (
        pd.to_numeric(y, errors="coerce").to_numpy(np.float64)
        if pd.api.types.is_numeric_dtype(y)
        else pd.Series(pd.factorize(y, sort=True)[0]).replace(-1, np.nan).to_numpy(np.float64)
    )
    n = len(values)
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 100:  # the noise of a correlation, six sigmas, would be above .6
        return [], NOT_CHECKED
    step = np.diff(np.log(close.to_numpy(np.float64)), prepend=np.nan)
    step[0] = 0.0
    spread = pd.Series(step).rolling(50, min_periods=5).std().bfill().to_numpy()
    step = np.clip(step / np.where(spread > 0, spread, 1.0), -4, 4)
    end = np.arange(n) + (horizon or 0) if ends is None else ends
    centred = values - values[known].mean()
    inside = _relation(centred, step, known, np.arange(n), range(1, max(horizon or 1, 1) + 1))
    own = _without_inside(centred, step, known, end) if horizon else centred
    beyond = _relation(own, step, known, end, range(1, _FARTHEST + 1))
    return _conclude_reach(inside, beyond, horizon, len(known))


def _without_inside(y, step, known, end):
    """What is left of the labels when the returns they declare, and the newest known ones, are
    taken out: momentum is no leak."""
    path = np.cumsum(step)
    last, first = np.minimum(end[known], len(step) - 1), known
    columns = [
        np.ones(len(known)),
        path[last] - path[first],
        step[first],
        step[np.maximum(first - 1, 0)],
    ]
    columns += [np.where(last - k > first, step[np.maximum(last - k, 0)], 0.0) for k in range(4)]
    columns += [
        np.where(first + k <= last, step[np.minimum(first + k, len(step) - 1)], 0.0)
        for k in range(1, 4)
    ]
    design = np.column_stack(columns)
    out = np.full(len(y), np.nan)
    out[known] = y[known] - design @ np.linalg.lstsq(design, y[known], rcond=None)[0]
    return out


def _relation(y, step, known, origin, lags):
    """Correlation of labels with the return ``lag`` bars after ``origin``."""
    found = []
    for lag in lags:
        place = origin[known] + lag
        keep = place < len(step)
        a, b = y[known][keep], step[place[keep]]
        found.append(
            float(np.corrcoef(a, b)[0, 1])
            if keep.sum() > 50 and a.std() > 0 and b.std() > 0
            else 0.0
        )
    return np.asarray(found)


def _conclude_reach(inside, beyond, horizon, n):
    noise = _SIGMAS / np.sqrt(n)
    peak = np.abs(inside).max() if horizon else np.abs(beyond).max()
    far = np.flatnonzero((np.abs(beyond) > noise) & (np.abs(beyond) > _SHARE * peak))
    if not len(far):
        return [], PASS
    reach = (horizon or 0) + int(far.max()) + 1
    evidence = {
        "declared_bars": horizon,
        "measured_bars": reach,
        "correlation": float(beyond[far[0]]),
        "noise_level": noise,
    }
    if horizon is None:
        message = (
            f"The labels move with returns up to about {reach} bars ahead, but nothing declares a "
            "horizon."
        )
        return [
            Finding(
                "measured_horizon",
                "warning",
                message,
                {"parameter": "label_horizon"},
                evidence,
                f'y.attrs["label_horizon"] = {reach}',
            )
        ], PASS
    message = (
        f"The labels move with returns up to about {reach} bars ahead, further than the {horizon} "
        "they declare: the purge is too short."
    )
    return [
        Finding(
            "label_horizon",
            "error",
            message,
            {"parameter": "label_horizon"},
            evidence,
            f'y.attrs["label_horizon"] = {reach}',
        )
    ], FAIL

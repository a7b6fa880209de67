"""Features that were computed outside of a pipeline: training against validation rows.

What was computed outside cannot be run again, so columns are screened by figures no honest column
shows (``_fitted_on_all``, ``_target_leaks``), and the two sets are compared.
"""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from .._validation import horizon_in_bars
from ..exceptions import SktrainError
from ._fitted_on_all import FEWEST_ROWS, all_rows_statistics
from ._report import FAIL, INCONCLUSIVE, NOT_CHECKED, PASS, Finding, LeakageReport
from ._rows import check_rows, numeric_table, synthetic_rows
from ._target_leaks import strength, target_leaks

__all__ = ["check_feature_leakage"]


def _as_frame(X, what):
    if isinstance(X, pd.DataFrame):
        return X
    values = np.asarray(X)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise SktrainError(f"{what} must be 2-D, got {values.ndim} dimensions.")
    return pd.DataFrame(values)


def _separable(train, val):
    """How well rows of the two sets can be told apart, and by which column."""
    rng = np.random.default_rng(0)
    a = train[rng.choice(len(train), min(len(train), 2000), replace=False)]
    b = val[rng.choice(len(val), min(len(val), 2000), replace=False)]
    both = np.nan_to_num(np.vstack([a, b]))
    which = np.r_[np.zeros(len(a)), np.ones(len(b))]
    alone = [strength(both[:, j], which) for j in range(both.shape[1])]
    model = make_pipeline(
        QuantileTransformer(n_quantiles=50, output_distribution="normal"),
        LogisticRegression(max_iter=300),
    )
    area = roc_auc_score(
        which, cross_val_predict(model, both, which, cv=4, method="predict_proba")[:, 1]
    )
    return max(area, max(alone)), int(np.argmax(alone)), max(alone)


def _ordering(train, val):
    if not (
        isinstance(train.index, (pd.DatetimeIndex, pd.MultiIndex))
        and isinstance(val.index, type(train.index))
    ):
        return
    both = train.index.intersection(val.index)
    if len(both):
        yield Finding(
            "shared_rows",
            "error",
            f"{len(both)} rows stand in train and in val.",
            {"time": str(both[0])},
            {"rows": len(both)},
            "val = val.drop(train.index, errors='ignore')",
        )
        return
    first, last = val.index.get_level_values(-1).min(), train.index.get_level_values(-1).max()
    if last > first:
        late = int((train.index.get_level_values(-1) > first).sum())
        yield Finding(
            "order",
            "error",
            f"{late} training rows are later than the first validation row.",
            {"time": str(first)},
            {"rows": late},
            "train = train[train.index < val.index.min()]",
        )
    elif last == first:
        yield Finding(
            "shared_time",
            "error",
            "Train and val share a time: other symbols tell the answer.",
            {"time": str(first)},
            {},
            "train = train[train.index.get_level_values(-1) < "
            "val.index.get_level_values(-1).min()]",
        )


def _copies(train, val):
    both = pd.concat([train, val], ignore_index=True)
    n = len(train)
    found, status = check_rows(both, None, lambda: [(np.arange(n), np.arange(n, len(both)))])
    return found, status


def _checked_pair(train, val, y_train, y_val):
    """The two sets as frames of the same columns."""
    train, val = _as_frame(train, "train"), _as_frame(val, "val")
    if list(train.columns) != list(val.columns):
        odd = sorted(map(str, set(train.columns) ^ set(val.columns)))
        raise SktrainError(
            f"train and val have different columns: {', '.join(odd[:5]) or 'another order'}."
        )
    for what, rows, y in (("train", train, y_train), ("val", val, y_val)):
        if y is not None and len(y) != len(rows):
            raise SktrainError(f"{what} has {len(rows)} rows but y_{what} has {len(y)}.")
    return train, val


def check_feature_leakage(train, val, y_train=None, y_val=None):
    """See ``LeakageValidator.check_feature_leakage``."""
    train, val = _checked_pair(train, val, y_train, y_val)
    if not len(train) or not len(val):
        return LeakageReport(
            [Finding("empty", "error", "train or val has no rows.", status=NOT_CHECKED)],
            {"features": NOT_CHECKED},
        )
    order = list(_ordering(train, val))
    copies, duplicate_status = _copies(train, val)
    findings = [*order, *copies]
    checks = {"order": FAIL if order else PASS, "duplicates": duplicate_status}
    whole, names = numeric_table(pd.concat([train, val]))
    if not names:
        findings.append(
            Finding(
                "no_numbers", "warning", "No numeric columns: statistics were not checked.",
                status=NOT_CHECKED,
            )
        )
        return LeakageReport(findings, {**checks, "statistics": NOT_CHECKED})
    enough = len(train) >= FEWEST_ROWS and len(whole) > len(train)
    found, checks["statistics"] = _statistics(train, val, whole, names, enough)
    findings += found
    if y_train is not None:
        leaks = _leaks_of_target(train, whole, names, y_train, y_val)
        findings += leaks
        checks["target"] = FAIL if any(f.severity == "error" for f in leaks) else PASS
    if enough and len(val) >= 20:
        findings += _adversarial(whole, len(train), names)
        checks["adversarial"] = PASS
    return LeakageReport(findings, checks)


def _statistics(train, val, whole, names, enough):
    """Columns that only statistics of both sets together explain. Returns (findings, status)."""
    fitted = all_rows_statistics(whole, np.arange(len(train)), names)
    findings = [*fitted, *synthetic_rows(pd.concat([train, val]))]
    if enough:
        return findings, FAIL if fitted else PASS
    findings.append(
        Finding(
            "too_few_rows", "warning",
            f"{len(train)} training rows are too few for statistics: {FEWEST_ROWS} are needed.",
            status=INCONCLUSIVE,
        )
    )
    return findings, FAIL if fitted else INCONCLUSIVE


def _leaks_of_target(train, whole, names, y_train, y_val):
    y = np.concatenate([np.asarray(part) for part in (y_train, y_val) if part is not None])
    return target_leaks(
        whole[: len(y)],
        names,
        y,
        reach=max(horizon_in_bars(y_train) or 1, 1),
        ordered=not isinstance(train.index, pd.MultiIndex),
    )


def _adversarial(whole, n_train, names):
    area, place, alone = _separable(whole[:n_train], whole[n_train:])
    evidence = {"auc": area, "auc_of_column": alone}
    if area > 0.9:  # a judgment, and a note only
        message = (
            f"Train and validation rows can be told apart (area {area:.2f}), best by "
            f"{names[place]!r}: the column drifts, or it counts rows."
        )
        yield Finding(
            "separable",
            "info",
            message,
            {"column": names[place]},
            evidence,
            f"X = X.drop(columns={names[place]!r})  # or use its changes",
        )

"""One audit: the checks are made in turn, each with what earlier ones found out."""

import warnings

import numpy as np
import pandas as pd
from sklearn.base import clone

from .._history import get_history
from .._progress import ProgressStream, follow
from .._validation import labelled_mask
from ._behaviour import audit_predictions, audit_steps
from ._budget import BUDGETS
from ._failures import guarded, reason
from ._fitted_on_all import all_rows_statistics
from ._inspect import inspect_estimator
from ._labels import label_reach
from ._perturbation import take
from ._report import FAIL, INCONCLUSIVE, NOT_CHECKED, PASS, Finding, LeakageReport, merge
from ._rotation import check_shuffled_labels
from ._rows import known_to_pretrained, numeric_table, synthetic_rows
from ._splits import index_pairs, known_spans
from ._target_leaks import future_of_bars, target_leaks
from ._tuning import check_tuning

__all__ = ["Audit"]


class Audit:
    """One audit: what was given, and the answers later steps need from earlier ones."""

    def __init__(
        self, validator, estimator, X, y, cv, label_end_times, reach, source, outputs=None
    ):
        self.validator, self.estimator = validator, estimator
        self.X, self.y, self.cv, self.ends = X, y, cv, label_end_times
        self.reach, self.source = reach, source
        self.outputs = outputs  # all columns of y where there are several
        self.train_rows: list[np.ndarray] | None = None
        self.test_rows: list[np.ndarray] | None = None
        self.clonable = True

    def run(self):
        """Every check in turn; each may use what an earlier one found out."""
        steps = {
            "folds": self.folds,
            "inner splits": self.inner,
            "rows and columns": self.columns,
            "labels": self.labels,
            "causality of steps": self.steps,
            "predictions": self.predictions,
            "rotated labels": self.rotated,
            "tuning": self.tuning,
        }
        watched = bool(self.validator.verbose) and ProgressStream("stderr").isatty()
        parts = follow(
            steps.items(),
            lambda part: f"audit: {part[0]}",
            len(steps),
            shown=watched,
            stream="stderr",
        )
        return merge(*[step() for _, step in parts])

    def folds(self):
        return guarded(
            "folds",
            self._folds,
            "The folds could not be made",
            where={"parameter": "cv"},
            code="invalid_split",
        )

    def _folds(self):
        report = self.validator.check_split(self.cv, self.X, self.y, self.ends)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pairs = [
                (np.asarray(train), np.asarray(test))
                for train, test in index_pairs(self.cv, self.X, self.y, None, self.ends)
            ]
        self.train_rows, self.test_rows = [train for train, _ in pairs], [test for _, test in pairs]
        return report

    def inner(self):
        most = max((len(train) for train in self.train_rows or []), default=None)
        if not hasattr(self.estimator, "get_params") or isinstance(self.estimator, type):
            finding = Finding(
                "not_an_estimator",
                "error",
                f"{self.estimator!r} is not an estimator: nothing could be inspected.",
                status=INCONCLUSIVE,
            )
            return LeakageReport([finding], {"inner splits": INCONCLUSIVE})
        panel = isinstance(getattr(self.X, "index", None), pd.MultiIndex)
        inspected = inspect_estimator(self.estimator, n_rows=most, horizon=self.reach, panel=panel)
        known = known_to_pretrained(self.estimator, self.X, self.test_rows)
        return merge(inspected, LeakageReport(known, {})) if known else inspected

    def columns(self):
        table, names = numeric_table(self.X)
        if not names:
            return LeakageReport(
                [],
                {
                    "columns": NOT_CHECKED
                    if isinstance(self.X, (pd.DataFrame, np.ndarray))
                    else PASS
                },
            )
        findings = [] if _is_bars(self.X) else synthetic_rows(self.X, self.y)
        train = self.train_rows[0] if self.train_rows else np.arange(int(0.6 * len(table)))
        findings += all_rows_statistics(table, train, names)
        if not findings:
            findings += self._statistics_of_history(train, names)
        panel = isinstance(getattr(self.X, "index", None), pd.MultiIndex)
        timed = isinstance(getattr(self.X, "index", None), pd.DatetimeIndex)
        for y in [self.y] if self.outputs is None else np.asarray(self.outputs).T:
            findings += target_leaks(
                table, names, y, reach=max(self.reach or 1, 1), ordered=timed and not panel
            )
        close = self._close()
        own = [
            place
            for place, name in enumerate(names)
            if str(name).lower() not in ("open", "high", "low", "close", "volume")
        ]
        if close is not None and own:
            findings += future_of_bars(table[:, own], [names[place] for place in own], close)
        return LeakageReport(
            findings, {"columns": FAIL if any(f.severity == "error" for f in findings) else PASS}
        )

    def _statistics_of_history(self, train, names):
        """Rows a labeler dropped are missing from X but not from its handle."""
        history = get_history(self.X)
        if (
            history is None
            or len(history.frame) == len(self.X)
            or list(history.frame.columns) != list(self.X.columns)
        ):
            return []
        places = history.locate(self.X.index[train])
        return (
            []
            if places is None
            else all_rows_statistics(numeric_table(history.frame)[0], places, names)
        )

    def _close(self):
        if (
            not isinstance(self.X, pd.DataFrame)
            or isinstance(self.X.index, pd.MultiIndex)
            or not self.X.index.is_monotonic_increasing
        ):
            return None
        name = next((name for name in self.X.columns if str(name).lower() == "close"), None)
        if name is None or not pd.api.types.is_numeric_dtype(self.X[name]):
            return None
        close = self.X[name].to_numpy(np.float64)
        return close if np.isfinite(close).all() and (close > 0).all() else None

    def labels(self):
        known = labelled_mask(self.y, len(self.y))
        if self.outputs is not None:
            message = f"y has {np.shape(self.outputs)[1]} outputs: the labels were not audited."
            finding = Finding(
                "multi_output",
                "info",
                message,
                {"parameter": "y"},
                {},
                "audit one output at a time",
                INCONCLUSIVE,
            )
            return LeakageReport([finding], {"labels": INCONCLUSIVE})
        findings, checks = [], {}
        if not known.all():
            rows = np.flatnonzero(~known)
            findings.append(
                Finding(
                    "unknown_label",
                    "info",
                    f"{len(rows)} rows have no label; folds must leave them out.",
                    {"row": int(rows[0])},
                    {"rows": len(rows)},
                )
            )
        if self._close() is not None and known.sum() > 200:
            spans = known_spans(self.X, self.y, self.ends, self.cv, self.validator.horizon)[0]
            ends = np.searchsorted(spans.axis, spans.end, side="right") - 1 if self.source else None
            found, status = label_reach(
                self.X, pd.Series(np.asarray(self.y), self.X.index), self.reach, ends
            )
            findings += found
            checks["reach of labels"] = status
        return LeakageReport(findings, checks)

    def steps(self):
        try:
            clone(self.estimator)
        except Exception as error:  # reported, not a pass
            message = f"The estimator cannot be cloned, so no fold can refit it: {reason(error)}"
            finding = Finding(
                "not_clonable",
                "error",
                message,
                {"step": type(self.estimator).__name__},
                status=INCONCLUSIVE,
            )
            self.clonable = False
            return LeakageReport([finding], {"causality": INCONCLUSIVE})
        validator = self.validator
        return audit_steps(
            self.estimator,
            *self._labelled(),
            most_times=validator.max_times,
            seed=validator.random_state,
            budget=BUDGETS[validator.budget],
        )

    def predictions(self):
        if not self.clonable:
            return LeakageReport([], {"predictions": NOT_CHECKED})
        return audit_predictions(
            self.estimator,
            *self._labelled(),
            seed=self.validator.random_state,
            budget=BUDGETS[self.validator.budget],
        )

    def rotated(self):
        if (
            not self.clonable
            or self.train_rows is None
            or self.outputs is not None
            or not hasattr(self.estimator, "predict")
        ):
            return LeakageReport(
                [], {"rotated labels": NOT_CHECKED} if hasattr(self.estimator, "predict") else {}
            )
        validator = self.validator
        return check_shuffled_labels(
            self.estimator,
            self.X,
            self.y,
            self.cv,
            folds=self._known_folds(),
            reach=self.reach,
            seed=validator.random_state,
            budget=BUDGETS[validator.budget],
        )

    def _known_folds(self):
        assert self.train_rows is not None  # asked only where there are folds
        assert self.test_rows is not None
        known = labelled_mask(self.y, len(self.y))
        return [
            (train[known[train]], test[known[test]])
            for train, test in zip(self.train_rows, self.test_rows)
        ]

    def tuning(self):
        if self.train_rows is None or self.outputs is not None:
            return LeakageReport([], {})
        validator = self.validator
        return check_tuning(
            self.estimator,
            self.X,
            self.y,
            self._known_folds(),
            seed=validator.random_state,
            budget=BUDGETS[validator.budget],
        )

    def _labelled(self):
        known = np.flatnonzero(labelled_mask(self.y, len(self.y)))
        y = self.y if self.outputs is None else self.outputs
        if len(known) == len(y):
            return self.X, y
        return take(self.X, known), take(y, known)


def _is_bars(X):
    return isinstance(X, pd.DataFrame) and {"open", "high", "low", "close"} <= {
        str(name).lower() for name in X.columns
    }

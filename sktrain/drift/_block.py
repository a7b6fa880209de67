"""One block of labelled rows in a guard: the rows, and what its checks found."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ._report import DriftReport

__all__ = ["LOG", "Block", "as_rows"]

LOG = [
    "n_rows",
    "start",
    "end",
    "decision",
    "covariate",
    "concept",
    "n_trained",
    "n_outliers",
    "reason",
]


def as_rows(values):
    """Lists and the like as arrays; frames, arrays and windows as they are; None stays, for the
    estimator to refuse."""
    held = values is None or (hasattr(values, "shape") and hasattr(values, "__len__"))
    return values if held else np.asarray(values)


@dataclass
class Block:
    """One block on its way: rows, labels, metadata of ``fit`` and of ``partial_fit``, findings."""

    X: Any
    y: Any
    told: dict
    extra: dict = field(default_factory=dict)
    covariate: DriftReport | None = None
    concept: DriftReport | None = None
    kept: np.ndarray | None = None
    answers: tuple | None = None

    @property
    def _reports(self):
        return [report for report in (self.covariate, self.concept) if report is not None]

    @property
    def drift(self):
        """Why it drifted; empty when it did not."""
        told = [report.reason for report in self._reports if report.recommendation == "retrain"]
        return "; ".join(told)

    @property
    def calm(self):
        """What the check says that has most to say when nothing drifted."""
        return self._reports[0 if self.n_outliers else -1].reason

    @property
    def statuses(self):
        reports = (self.covariate, self.concept)
        return ["NOT_CHECKED" if report is None else report.status for report in reports]

    @property
    def n_outliers(self):
        return 0 if self.kept is None else int((~self.kept).sum())

    def entry(self, decision, n_trained, reason):
        """The line of the log that says what became of it."""
        index: Any = getattr(self.X, "index", None)
        timed = isinstance(index, (pd.DatetimeIndex, pd.MultiIndex))
        times = index.get_level_values(-1) if timed else None
        span = (None, None) if times is None else (times.min(), times.max())
        n = len(self.y)
        values = (n, *span, decision, *self.statuses, n_trained, self.n_outliers, reason)
        return dict(zip(LOG, values))

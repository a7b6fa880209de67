"""What a block of labelled rows is compared with before a guarded model learns from it."""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from ..exceptions import SktrainError
from ._detector import DriftDetector
from ._outliers import windows_far_outside
from ._performance import check_performance
from ._training import Memory, features_of, join, stack, watched


class BlockChecks:
    """The checks of :class:`DriftGuard`: features, labels and losses of a block."""

    # of the guard
    check_rows: int | None
    detector: DriftDetector | None
    watch_performance: bool
    window: int
    estimator_: Any
    detector_: DriftDetector
    classes_: np.ndarray
    memory_: Memory
    unseen_: list[tuple[np.ndarray, np.ndarray]]

    def _check_rows(self):
        return self.detector_.min_samples if self.check_rows is None else self.check_rows

    def _fresh_detector(self):
        return DriftDetector(alpha=0.01) if self.detector is None else clone(self.detector)

    def _reference_of(self, estimator, memory):
        return self._fresh_detector().fit(features_of(estimator, memory.all()[0]))

    def _detector_now(self):
        """The detector as its parameters are now, for they may have been set since the last
        block."""
        if self._fresh_detector().get_params() == self.detector_.get_params():
            return self.detector_
        return self._reference_of(self.estimator_, self.memory_)

    def _check_block(self, X, y):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: a block "
                "is learned when its labels are known."
            )
        if len(y) == 0 or len(y) != X.shape[0]:
            raise SktrainError(
                f"A block needs as many labels as rows, and at least one; got {len(y)} labels for "
                f"X of shape {np.shape(X)}."
            )
        new = sorted(set(np.asarray(y).tolist()) - set(np.asarray(self.classes_).tolist()), key=str)
        if new:
            raise SktrainError(
                f"The block holds classes {new} that the model does not know "
                f"({list(self.classes_)}). Fit anew."
            )
        self.estimator_.predict(
            _safe_indexing(X, np.arange(1))
        )  # refuses other columns before anything is touched

    def _covariate(self, X):
        """Compare the block, joined by its predecessors when it is small, with the rows before; and
        say which rows to keep."""
        detector, needed = self._detector_now(), self._check_rows()
        recent, windows = watched(self.estimator_, X)
        n = len(recent)
        if n < needed < len(self.memory_):
            rows = features_of(self.estimator_, join([self.memory_.all()[0], X]))
            cut = len(rows) - needed
            before, recent = (
                _safe_indexing(rows, part) for part in (np.arange(cut), np.arange(cut, len(rows)))
            )
            detector = self._fresh_detector().fit(before)
        report = detector.check(recent)
        places = report.outlier_rows - (len(recent) - n)
        kept = np.ones(n, dtype=bool)
        kept[places[places >= 0]] = False
        if windows is not None:
            far = windows_far_outside(detector.reference_.tails, windows)
            kept &= ~far | (
                report.drift_detected and 2 * far.sum() > n
            )  # of most rows, that is drift
        return report, kept

    def _predictions(self, block):
        if not self.watch_performance:
            return None
        ask = "predict_proba" if hasattr(self.estimator_, "predict_proba") else "predict"
        predicted = np.asarray(getattr(self.estimator_, ask)(block.X))
        return np.asarray(block.y)[block.kept], predicted[block.kept]

    def _trim(self, answers):
        while len(answers) > 1 and sum(len(y) for y, _ in answers[1:]) >= self.window:
            answers = answers[1:]
        return answers

    def _concept(self, answers):
        """Compare the losses on the newest unseen rows with those on unseen rows before."""
        if answers is None or not self.unseen_:
            return None
        y, predicted = stack([*self.unseen_, answers])
        n = max(len(answers[0]), self._check_rows())
        if len(y) <= n:
            return None
        return check_performance(
            self.detector_, y[:-n], predicted[:-n], y[-n:], predicted[-n:], classes=self.classes_
        )

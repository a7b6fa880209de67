"""Drift: whether new rows still look like the old ones, and training that depends on the answer."""

from ._detector import DriftDetector
from ._guard import DriftGuard
from ._monitor import drift_history, monitor
from ._performance import check_performance, check_predictions
from ._report import DriftReport
from ._statistics import population_stability_index

__all__ = [
    "DriftDetector",
    "DriftGuard",
    "DriftReport",
    "check_performance",
    "check_predictions",
    "drift_history",
    "monitor",
    "population_stability_index",
]

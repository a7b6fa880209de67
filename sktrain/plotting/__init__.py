"""Displays of what was measured; matplotlib is imported only inside ``.plot``."""

from ._market import LabelDisplay, RegimeDisplay, WalkForwardDisplay
from ._models import CompressionDisplay, DriftDisplay, LearningCurveDisplay, SearchDisplay

__all__ = [
    "CompressionDisplay",
    "DriftDisplay",
    "LabelDisplay",
    "LearningCurveDisplay",
    "RegimeDisplay",
    "SearchDisplay",
    "WalkForwardDisplay",
]

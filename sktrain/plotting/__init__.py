"""Displays of what was measured; matplotlib is imported only inside ``.plot``."""

from ._canvas import PALETTE as PALETTE, spans_of as spans_of
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

"""From bars to features, windows and regimes, each row computed from its own past only."""

from ._bars import BarFeatures
from ._regimes import MarketRegime, RegimeDetector
from ._windows import SlidingWindow, WindowedArray

__all__ = ["BarFeatures", "MarketRegime", "RegimeDetector", "SlidingWindow", "WindowedArray"]

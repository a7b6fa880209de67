"""Checks at the door: bars, times, counts, and the span of every label.

What enters is what a user has in hand; what leaves is normalised (lower-case columns, int64 nanoseconds, spans) or an error
that names the first bad row or the parameter. Nothing here changes its input.
"""

from ._bars import OHLCV, check_bars
from ._labels import label_horizon, label_spans, labelled_mask
from ._numbers import Count, Number, check_count
from ._times import TimeAxis, check_order, time_axis

__all__ = [
    "OHLCV",
    "Count",
    "Number",
    "TimeAxis",
    "check_bars",
    "check_count",
    "check_order",
    "label_horizon",
    "label_spans",
    "labelled_mask",
    "time_axis",
]

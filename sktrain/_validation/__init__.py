"""Input validation: bars, times, counts, and the span of every label.

Accepted input is returned normalised (lower-case columns, int64 nanoseconds, spans); an error names
the first bad row or the parameter. Nothing here changes its input.
"""

from ._bars import OHLCV, check_bars
from ._beside import check_beside, row_weights
from ._durations import BarsOrTime, as_span, shown_span
from ._label_times import (
    KEY as LABEL_TIMES,
    keep_label_times,
    label_times_of,
    with_label_times,
    write_label_times,
)
from ._labels import horizon_in_bars, label_horizon, label_spans, labelled_mask, said_horizon
from ._numbers import (
    Count,
    Number,
    check_count,
    check_flag,
    check_generator,
    check_number,
    real_numbers,
    refuse_infinite_column,
    refuse_no_numbers,
)
from ._renamed import renamed
from ._sessions import SESSION, check_pause, session_starts
from ._synthetic import (
    MarkedLabels,
    Resampled,
    attrs_of_taken,
    mark_synthetic,
    resampled_rows,
    synthetic_rows,
)
from ._times import TimeAxis, check_order, time_axis, to_timestamps

__all__ = [
    "LABEL_TIMES",
    "OHLCV",
    "SESSION",
    "BarsOrTime",
    "Count",
    "MarkedLabels",
    "Number",
    "Resampled",
    "TimeAxis",
    "as_span",
    "attrs_of_taken",
    "check_bars",
    "check_beside",
    "check_count",
    "check_flag",
    "check_generator",
    "check_number",
    "check_order",
    "check_pause",
    "horizon_in_bars",
    "keep_label_times",
    "label_horizon",
    "label_spans",
    "label_times_of",
    "labelled_mask",
    "mark_synthetic",
    "real_numbers",
    "refuse_infinite_column",
    "refuse_no_numbers",
    "renamed",
    "resampled_rows",
    "row_weights",
    "said_horizon",
    "session_starts",
    "shown_span",
    "synthetic_rows",
    "time_axis",
    "to_timestamps",
    "with_label_times",
    "write_label_times",
]

"""What came before rows: the handle that lets a slice remember it, the tail that ``fit`` remembers,
and results computed once on a whole history.
"""

from ._carried import Handle, attrs_around
from ._handle import (
    Context,
    History,
    get_history,
    lazy_copy,
    locate_rows,
    recall,
    segment_starts,
    with_history,
)
from ._tail import prepend_tail, remember_tail, usual_pauses

__all__ = [
    "Context",
    "Handle",
    "History",
    "attrs_around",
    "get_history",
    "lazy_copy",
    "locate_rows",
    "prepend_tail",
    "recall",
    "remember_tail",
    "segment_starts",
    "usual_pauses",
    "with_history",
]

"""Trading sessions of intraday bars, read from the pauses between their stamps. Labels,
volatilities and windows ask here."""

import numpy as np
import pandas as pd

from .._history import segment_starts
from ..exceptions import SktrainError
from ._times import time_axis

__all__ = ["SESSION", "check_pause", "session_starts"]

#: Longer than every lunch break of the large exchanges (90 minutes at most), shorter than every
# night.
SESSION = "4h"


def check_pause(session: object) -> pd.Timedelta:
    """The shortest pause that ends a session."""
    try:
        pause = pd.Timedelta(session)
    except (TypeError, ValueError):
        pause = pd.NaT
    if not pause > pd.Timedelta(0):
        raise SktrainError(
            f"session={session!r} is no time span; write the shortest pause that ends a session, "
            "like '4h'."
        )
    return pause


def session_starts(index: pd.Index, session: object = SESSION, *, check: bool = True) -> np.ndarray:
    """Which bars open a session: the first of each symbol, and those after a pause of at least
    ``session``.

    Parameters
    ----------
    index : Index of n bars, symbols together and in order of time
    session : Timedelta or str, default="4h"
        The shortest pause that ends a session.
    check : bool, default=True
        Whether to refuse bars that have no sessions: those where most steps from bar to bar are
        such pauses. A few live rows tell nothing about it; ask where the history is.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    SktrainError
        ``session`` is no time span, or these bars are not intraday.

    Examples
    --------
    >>> stamps = ["2024-03-04 11:29", "2024-03-04 13:00", "2024-03-04 14:59", "2024-03-05 09:30"]
    >>> session_starts(pd.DatetimeIndex(stamps)).tolist()
    [True, False, False, True]
    """
    pause = check_pause(session)
    times = time_axis(pd.Series(0, index)).times
    opens = np.zeros(len(times), dtype=bool)
    opens[1:] = np.diff(times) >= pause.as_unit("ns").value
    first = segment_starts(index)
    opens[first] = False
    steps = len(times) - len(first)
    # a session has several bars; daily bars have none
    if check and steps > 1 and opens.sum() > steps / 2:
        raise SktrainError(
            f"crosses_session=False is for intraday bars: with session={session!r}, "
            f"{int(opens.sum()) + len(first)} of {len(times)} bars "
            "would be the first of a session. Leave crosses_session at True for these bars."
        )
    opens[first] = True
    return opens

"""Trading sessions of intraday bars, read from the pauses between their stamps: where one ends, and volatility inside of them."""

import numpy as np
import pandas as pd

from .._history import segment_starts
from .._validation import time_axis
from ..exceptions import SktrainError

__all__ = ["check_pause", "session_starts", "within_sessions"]

_BY_RETURNS = (
    "close",
    "ewma",
)  # volatilities that read returns from bar to bar; the others look inside of bars


def check_pause(session) -> pd.Timedelta:
    """The shortest pause that ends a session."""
    try:
        pause = pd.Timedelta(session)
    except ValueError:
        pause = pd.NaT
    if not pause > pd.Timedelta(0):
        raise SktrainError(
            f"session={session!r} is no time span; write the shortest pause that ends a session, like '4h'."
        )
    return pause


def session_starts(index, session="4h") -> np.ndarray:
    """Which bars open a session: the first of each symbol, and those after a pause of at least ``session``.

    Parameters
    ----------
    index : Index of n bars, symbols together and in order of time
    session : Timedelta or str, default="4h"
        Longer than every lunch break of the large exchanges (90 minutes at most), shorter than every night.

    Returns
    -------
    ndarray of bool, shape (n,)

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
    opens[segment_starts(index)] = True
    if len(times) > 2 and opens.mean() > 0.5:  # a session has several bars; daily bars have none
        raise SktrainError(
            f"crosses_session=False is for intraday bars: with session={session!r}, {int(opens.sum())} of {len(times)} bars would be "
            "the first of a session. Leave crosses_session at True for these bars."
        )
    return opens


def within_sessions(name, estimator, bars, lookback, opens) -> np.ndarray:
    """A volatility that leaves the returns between sessions out; the first bar of a session keeps that of the bar before it."""
    if name == "yang_zhang":
        raise SktrainError(
            "volatility='yang_zhang' measures the returns between sessions. With crosses_session=False use 'rogers_satchell'."
        )
    if name not in _BY_RETURNS:
        return estimator(bars, lookback)
    first = np.zeros(len(bars), dtype=bool)
    first[segment_starts(bars.index)] = True
    inside = ~opens | first
    close = bars["close"].to_numpy(dtype=np.float64)
    growth = np.ones(len(close))
    growth[1:] = close[1:] / close[:-1]
    growth[first] = 1.0
    joined = pd.DataFrame(
        {"close": np.exp(np.cumsum(np.log(growth[inside])))}, index=bars.index[inside]
    )
    return estimator(joined, lookback)[np.cumsum(inside) - 1]

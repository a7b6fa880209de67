"""One clock for articles and bars, with or without a time zone.

Where a stamp could mean two moments, articles get the later and bars the earlier one: a doubt never
lets a bar know more.
"""

import re

import numpy as np
import pandas as pd

from ..exceptions import SktrainError

__all__ = ["Clock", "duration"]

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")


def duration(name, value):
    """A time span as int64 nanoseconds."""
    try:
        span = pd.Timedelta(value)
    except ValueError as error:
        raise SktrainError(
            f"{name}={value!r} is no time span; write it like '30min', '2h' or '1D'."
        ) from error
    if span is pd.NaT:
        raise SktrainError(
            f"{name}={value!r} is no time span; write it like '30min', '2h' or '1D'."
        )
    return span.as_unit("ns").value


class Clock:
    """Reads stamps of articles and of bars.

    Parameters
    ----------
    timezone : str or None
        Zone of stamps that carry none; None leaves them naive.
    session_close : str or None
        Time of day at which daily bars, stamped with their date, are decided; None takes the stamp
        itself.
    """

    def __init__(self, timezone=None, session_close=None):
        self._zone = timezone
        self._close = None if session_close is None else _time_of_day(session_close)
        if timezone is not None:
            # an unknown zone shows now
            self._localised(pd.DatetimeIndex(["2000-01-01"]), later=True)

    def of_articles(self, times, aware):
        """(nanoseconds, whether they are UTC) of article times; ``aware`` None when there are
        none."""
        if aware is False and self._zone is not None:
            return self._localised(pd.DatetimeIndex(times), later=True), True
        return times, aware

    def of_bars(self, stamps, zone):
        """(nanoseconds, whether they are UTC) of the decision times of bars stamped at ``stamps``
        nanoseconds in ``zone``."""
        if zone is not None and self._close is None:
            return stamps, True
        local = pd.DatetimeIndex(stamps)
        if zone is not None:
            local = local.tz_localize("UTC").tz_convert(self._zone or zone).tz_localize(None)
        if self._close is not None:
            local = _dates(local) + self._close
        where = self._zone or zone
        return (
            (local.as_unit("ns").asi8, False)
            if where is None
            else (self._localised(local, later=False, zone=where), True)
        )

    def _localised(self, naive, *, later, zone=None):
        zone = zone or self._zone
        try:
            known = naive.tz_localize(
                zone,
                ambiguous=np.full(len(naive), not later),
                nonexistent="shift_forward" if later else "shift_backward",
            )
        except (ValueError, KeyError, OSError) as error:
            raise SktrainError(
                f"timezone={zone!r} cannot be used: {error}. Write it like 'America/New_York'."
            ) from error
        return known.as_unit("ns").asi8


def _time_of_day(text):
    found = _TIME_OF_DAY.fullmatch(text)
    if not found:
        raise SktrainError(f"session_close={text!r} is no time of day; write it like '16:00'.")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return pd.Timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _dates(local):
    late = local != local.normalize()
    if late.any():
        row = int(np.argmax(late))
        raise SktrainError(
            "session_close is for daily bars stamped with their date, but one is stamped "
            f"{local[row]}. Leave it None for these bars."
        )
    return local

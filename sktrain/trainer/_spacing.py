"""How bars are spaced in time, and whether that is the interval that was asked for. Nothing is
resampled."""

import re

import numpy as np
import pandas as pd

from ..exceptions import InvalidBarsError, SktrainError

__all__ = ["check_interval", "is_intraday", "name_of", "refuse_mixed_spacing", "spacing_of"]

_DAY = pd.Timedelta("1D")
_UNITS = {  # the usual names of data vendors; "m" is a minute, "mo" a month
    "s": pd.Timedelta("1s"),
    "m": pd.Timedelta("1min"),
    "min": pd.Timedelta("1min"),
    "h": pd.Timedelta("1h"),
    "d": _DAY,
    "w": 7 * _DAY,
    "wk": 7 * _DAY,
    "mo": pd.Timedelta(days=30.4375),  # 365.25 / 12
}
#: between a month of 28 days and one of 31, and far below the factor 2 between neighbouring usual
#: intervals
_TOLERANCE = 1.5


def spacing_of(bars):
    """The usual time between two bars of one instrument: the median, a Timedelta; None for fewer
    than 3 bars."""
    steps = _steps(bars)
    return pd.Timedelta(int(np.median(steps)), "ns") if len(steps) > 1 else None


def _steps(bars):
    times = bars.index.get_level_values(-1).as_unit("ns").asi8
    steps = np.diff(times)
    if isinstance(bars.index, pd.MultiIndex):
        codes = bars.index.codes[0]
        steps = steps[codes[1:] == codes[:-1]]
    return steps


def is_intraday(bars):
    """Whether a day holds several bars of one instrument."""
    spacing = spacing_of(bars)
    return spacing is not None and spacing < _DAY


def name_of(spacing):
    """The shortest usual name of a spacing, such as "1d" or "5m".

    Examples
    --------
    >>> name_of(pd.Timedelta("5min")), name_of(pd.Timedelta("31D")), name_of(pd.Timedelta("90min"))
    ('5m', '1mo', '90m')
    """
    if spacing is None:
        return None
    if abs(spacing / _UNITS["mo"] - 1) < 0.1:
        return "1mo"
    for unit in ("wk", "d", "h", "m", "s"):
        count = spacing / _UNITS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return str(spacing)


def check_interval(bars, interval):
    """Hold the bars' spacing against the interval asked for.

    Parameters
    ----------
    bars : DataFrame of bars
    interval : str or None
        Such as ``"1d"``, ``"5m"``, ``"1h"``, ``"1wk"``, ``"1mo"``; None takes the bars' own.

    Returns
    -------
    str or None
        The name of the spacing found.

    Raises
    ------
    SktrainError
        An interval that is none, or bars of another spacing.
    """
    spacing = spacing_of(bars)
    if interval is not None and spacing is not None:
        wanted = _parse(interval)
        if not 1 / _TOLERANCE < spacing / wanted < _TOLERANCE:
            raise SktrainError(
                f"interval={interval!r} was asked for, but the bars are {name_of(spacing)} apart. "
                "Nothing is resampled: give bars of "
                f"that interval, or interval={name_of(spacing)!r}, or leave interval out."
            )
    elif interval is not None:
        _parse(interval)
    return name_of(spacing)


def _parse(interval):
    found = (
        re.fullmatch(r"(\d+)\s*([a-z]+)", interval.strip().lower())
        if isinstance(interval, str)
        else None
    )
    if not found or found[2] not in _UNITS or not int(found[1]):
        raise SktrainError(
            f"interval={interval!r} is none; write it like '1d', '5m', '1h', '1wk' or '1mo'."
        )
    return int(found[1]) * _UNITS[found[2]]


def refuse_mixed_spacing(bars):
    """Refuse a panel whose symbols have bars of different intervals."""
    if not isinstance(bars.index, pd.MultiIndex):
        return
    spacing: dict[str, pd.Timedelta] = {}
    for name, part in bars.groupby(level=0, sort=False):
        times = part.index.get_level_values(1)
        if len(times) > 2:
            spacing[name] = pd.Timedelta(np.median(np.diff(times.as_unit("ns").asi8)), "ns")
    if spacing and max(spacing.values()) >= 2 * min(spacing.values()):
        slow, fast = (end(spacing, key=spacing.__getitem__) for end in (max, min))
        raise InvalidBarsError(
            f"The bars mix intervals: {slow} has one every {name_of(spacing[slow])}, {fast} "
            f"one every {name_of(spacing[fast])}. Train on one interval."
        )

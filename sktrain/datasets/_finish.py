"""Stage five of reading bars: the frame with its index and its protocol."""

from pathlib import Path
import warnings

import numpy as np
import pandas as pd

from .._reading import Reading, UnreadableError, option
from ..exceptions import DataQualityWarning
from ._options import Options
from ._rows import Rows, usual_step

__all__ = ["finished"]

_SPACINGS = {3600: "hourly", 86_400: "daily", 604_800: "weekly"}  # seconds


def finished(rows: Rows, reading: Reading, options: Options, path: Path) -> pd.DataFrame:
    """Stage five: the frame with its index, its protocol, and the warnings that go with it."""
    symbols = rows.symbols
    instrument = options.symbol or rows.instrument
    if options.symbol is not None and symbols is not None:
        raise UnreadableError(
            f"{option('symbol', options.symbol)} is for files without symbols, but this one names "
            f"{', '.join(pd.unique(symbols)[:3])}, …."
        )
    if options.symbol is not None:
        symbols = np.full(len(rows.times), options.symbol, dtype=object)
    bars = rows.frame
    if symbols is None:
        bars.index = rows.times.rename("time")
    else:
        codes, names = pd.factorize(symbols, sort=True)
        index = [pd.Index(names, dtype="str").take(codes), rows.times]
        bars.index = pd.MultiIndex.from_arrays(index, names=["symbol", "time"])
    bars.attrs = {"reading": _protocol(rows, symbols, instrument, reading, path)}
    if rows.changed:
        bars.attrs["adjusted"] = True
        warnings.warn(
            f"{path}: open, high, low and close were scaled by adjusted close / close in "
            f"{rows.changed} of {len(bars)} rows; volume is as published.",
            DataQualityWarning,
            stacklevel=3,
        )
    return bars


def _protocol(
    rows: Rows, symbols: np.ndarray | None, instrument: str | None, reading: Reading, path: Path
) -> Reading:
    times = rows.times
    codes = None if symbols is None else pd.factorize(symbols)[0]
    usual = usual_step(times, codes) // 10**9
    days = bool(times[:100].is_normalized and times.is_normalized)
    first, last = times.min(), times.max()
    form = "%Y-%m-%d" if days or last - first > pd.Timedelta(days=1) else "%Y-%m-%d %H:%M"
    first_text, last_text = first.strftime(form), last.strftime(form)
    count = 1 if symbols is None else len(pd.unique(symbols))
    notes = [
        *reading["notes"],
        *([f"symbol {instrument}"] if instrument and symbols is None else []),
    ]
    return Reading(
        reading,
        source=str(path),
        what="bars" if count == 1 else f"bars of {count:,} symbols",
        rows=len(times),
        first=first_text,
        last=last_text,
        spacing=_spacing(usual),
        zone="UTC" if times.tz is not None else None if days else "no zone",
        written_in=rows.zone,
        symbol=instrument,
        notes=notes,
        dropped={**reading.get("dropped", {}), **rows.dropped},
        suspended=rows.suspended,
    )


def _every(seconds: int) -> str:
    """Such as ``every 10 minutes``."""
    sizes = ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
    size, name = next((size, name) for size, name in sizes if seconds % size == 0)
    return f"every {seconds // size} {name}" if seconds > size else f"every {name[:-1]}"


def _spacing(seconds: int) -> str | None:
    if not seconds:
        return None
    named = _SPACINGS.get(seconds)
    if not named and seconds > 3600 and seconds % 60:  # stamps at odd seconds
        near = next(
            (name for size, name in _SPACINGS.items() if abs(seconds / size - 1) < 0.1), None
        )
        return near or f"about {_every(round(seconds / 3600) * 3600)}"
    if named or seconds < 28 * 86400:
        return named or _every(seconds)
    return "monthly" if seconds < 45 * 86400 else "quarterly" if seconds < 100 * 86400 else "yearly"

"""Sources of bars: whatever names one, read as checked bars with their history.

A source is a path (file or folder), a DataFrame, a dict of frames, a callable ``(symbol, interval)
-> DataFrame`` or None (the bundled data). Symbols that a source does not have are reported, not
hidden.
"""

from collections.abc import Mapping
from dataclasses import dataclass
import os

import pandas as pd

from .._history import get_history, with_history
from .._validation import check_bars
from ..exceptions import InvalidBarsError, SktrainError
from ._spacing import check_interval, refuse_mixed_spacing

__all__ = ["BUNDLED", "Source", "open_source"]

BUNDLED = {
    "sp500": "the bundled S&P 500",
    "nasdaq": "the bundled NASDAQ Composite",
    "us_stocks": "the bundled US stocks",
}


@dataclass(frozen=True)
class Source:
    """Bars ready for training, and what was asked for but is not there.

    Attributes
    ----------
    bars : DataFrame
        Checked bars with a history handle: one instrument, or a (symbol, time) panel.
    missing : dict
        Reason by symbol, for symbols that were asked for and could not be had.
    name : str
        What the bars are, for reports.
    interval : str or None
        Their spacing, such as ``"1d"``.
    """

    bars: pd.DataFrame
    missing: dict
    name: str
    interval: str | None = None


def open_source(data=None, stocks=None, interval=None):
    """Read bars for ``stocks`` from ``data``.

    Parameters
    ----------
    data : None, name, path, DataFrame, dict of DataFrame or callable, default=None
        None means the bundled data: the S&P 500 without ``stocks``, the bundled US stocks with
        them; so do the names ``"sp500"``, ``"nasdaq"`` and ``"us_stocks"``. A callable is called
        as ``data(symbol, interval)``, which is how an online source plugs in.
    stocks : sequence of str or str, optional
        Symbols to use; all that the source has by default (a callable needs them).
    interval : str, optional
        Spacing the bars must have, such as ``"1d"`` or ``"5m"``; their own by default. A callable
        is asked for ``"1d"`` by default.

    Returns
    -------
    Source

    Raises
    ------
    SktrainError
        When nothing that was asked for can be had; the message names what there is.

    Examples
    --------
    >>> from sktrain.trainer._sources import open_source
    >>> source = open_source(stocks=["AAPL", "NOPE"])
    >>> sorted(source.bars.index.unique("symbol")), list(source.missing)
    (['AAPL'], ['NOPE'])
    """
    stocks = _symbols(stocks)
    bundled = data is None or (
        isinstance(data, str) and data in BUNDLED and not os.path.exists(data)
    )
    if bundled:
        data, name = _bundled(data or ("sp500" if stocks is None else "us_stocks"))
        if stocks is not None and not isinstance(data.index, pd.MultiIndex):
            raise SktrainError(
                f"stocks={stocks} were asked for, but {name} is one instrument without symbols. "
                "Leave stocks out, or take the bundled 'us_stocks'."
            )
    elif isinstance(data, (str, os.PathLike)):
        from ..datasets import read_bars

        data, name = read_bars(data), os.fspath(data)
    else:
        name = getattr(data, "__name__", type(data).__name__)
    missing = {}
    if isinstance(data, pd.DataFrame):
        reading = data.attrs.get("reading", {})
        name, missing = reading.get("source", name), dict(reading.get("left_out", {}))
        bars = _choose(data, stocks, missing)
    elif isinstance(data, Mapping):
        bars = _join(_from_mapping(data, stocks, missing))
    elif callable(data):
        bars = _join(_from_callable(data, stocks, interval or "1d", missing))
    else:
        raise SktrainError(
            "data must be a path, a DataFrame, a dict of DataFrames or a callable (symbol, "
            f"interval) -> DataFrame, got {type(data).__name__}."
        )
    bars = check_bars(bars, warn=not bundled)
    refuse_mixed_spacing(bars)
    found = check_interval(bars, interval)
    return Source(
        bars if get_history(bars) is not None else with_history(bars), missing, name, found
    )


def _symbols(stocks):
    if stocks is None:
        return None
    stocks = [stocks] if isinstance(stocks, str) else list(stocks)
    if not stocks or not all(isinstance(name, str) and name for name in stocks):
        raise SktrainError(f"stocks must be a list of symbols, got {stocks!r}.")
    return list(dict.fromkeys(stocks))


def _bundled(name):
    from .. import datasets

    return getattr(datasets, f"load_{name}")(), BUNDLED[name]


def _choose(bars, stocks, missing):
    if stocks is None:
        return bars
    if not isinstance(bars.index, pd.MultiIndex):
        if len(stocks) == 1:
            return bars
        raise SktrainError(
            f"stocks={stocks} were asked for, but data holds one instrument without a symbol level."
        )
    present = list(bars.index.unique(0))
    kept = [name for name in stocks if name in present]
    missing.update(
        {
            name: f"not among {', '.join(map(str, present))}"
            for name in stocks
            if name not in present
        }
    )
    if not kept:
        raise SktrainError(
            f"None of the stocks {', '.join(stocks)} is in the data, which has "
            f"{', '.join(map(str, present))}."
        )
    return (
        bars
        if len(kept) == len(present)
        else with_history(bars[bars.index.get_level_values(0).isin(kept)])
    )


def _from_mapping(frames, stocks, missing):
    if not frames:
        raise SktrainError("data is an empty dict: no frames.")
    wanted = list(frames) if stocks is None else stocks
    missing.update(
        {name: f"not among {', '.join(map(str, frames))}" for name in wanted if name not in frames}
    )
    return {name: frames[name] for name in wanted if name in frames} or _nothing(wanted, missing)


def _from_callable(source, stocks, interval, missing):
    if stocks is None:
        raise SktrainError("data is a callable, so stocks must name the symbols to ask it for.")
    frames = {}
    for name in stocks:
        try:
            frame = source(name, interval)
        except (
            OSError,
            LookupError,
            ValueError,
        ) as error:  # an online source that has no such symbol, or no connection
            missing[name] = f"{type(error).__name__}: {error}"
            continue
        if frame is None or not len(frame):
            missing[name] = "the source returned no rows"
        else:
            frames[name] = frame
    return frames or _nothing(stocks, missing)


def _nothing(wanted, missing):
    reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
    raise SktrainError(f"None of the stocks {', '.join(map(str, wanted))} could be had. {reasons}.")


def _join(frames):
    checked = {}
    for name, frame in frames.items():
        try:
            checked[name] = check_bars(frame, warn=False)
        except InvalidBarsError as error:
            raise InvalidBarsError(f"bars of {name}: {error}") from error
        checked[name].attrs = {}
    panel = pd.concat(checked, names=["symbol", "time"])
    return with_history(panel)

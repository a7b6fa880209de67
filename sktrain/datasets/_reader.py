"""Files of bars enter, one checked frame with its history leaves; every row is taken to be known at the time it is stamped with."""

from pathlib import Path
import warnings

import numpy as np
import pandas as pd

from .._history import with_history
from .._optional import require
from .._validation import OHLCV, check_bars
from ..exceptions import DataQualityWarning, InvalidBarsError
from ._times import parse_times

__all__ = ["read_bars"]

_TIME = ("time", "date", "datetime", "timestamp", "date/time", "datetime_utc", "open time", "open_time", "opentime", "day", "index", "")
_SYMBOL = ("symbol", "ticker", "instrument", "asset", "stock")
_ADJUSTED = ("adj close", "adj_close", "adjclose", "adj. close", "adjusted close", "adjusted_close", "adjusted")
_VOLUME = ("vol", "vol.", "tick volume", "tick_volume", "tickvol")
_TEXT = (".csv", ".csv.gz", ".txt", ".txt.gz", ".tsv", ".tsv.gz")
_PARQUET = (".parquet", ".pq")


class _MissingFileError(InvalidBarsError, FileNotFoundError):
    """There is nothing at the path."""


def read_bars(path):
    """Read market bars from a CSV or Parquet file, or from a folder with one file per symbol.

    Letter case, common names of the time column (``Date``, ``datetime``, ``Timestamp``, ...) and of the volume, separators
    ``, ; tab |``, and epoch numbers are understood. An adjusted close scales open, high, low and close by ``adjusted / close``, with a
    ``DataQualityWarning`` that says so. Files that run from new to old are turned round.

    Parameters
    ----------
    path : str or path-like
        ``.csv``, ``.txt``, ``.tsv`` (also ``.gz``), ``.parquet``, ``.pq``, or a folder of such files, each named after its symbol. A file
        with a column ``symbol`` or ``ticker`` that holds more than one name is a panel.

    Returns
    -------
    DataFrame
        ``open high low close volume`` and any other columns, indexed by ``time``, or by ``(symbol, time)`` for a panel, with a history handle.

    Raises
    ------
    InvalidBarsError
        Naming the file and what is wrong in it; for a missing file it is a ``FileNotFoundError`` too.
    MissingDependencyError
        When a Parquet file is asked for and pyarrow is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sktrain.datasets import read_bars
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = pathlib.Path(folder.name, "ACME.csv")
    >>> _ = file.write_text("Date,Open,High,Low,Close,Volume\\n2024-01-02,10,11,9,10.5,100\\n2024-01-03,10.5,12,10,11,90\\n")
    >>> read_bars(file)["close"].tolist()
    [10.5, 11.0]
    >>> read_bars(folder.name).index.names
    FrozenList(['symbol', 'time'])
    >>> folder.cleanup()
    """
    path = Path(path)
    if not path.exists():
        raise _MissingFileError(f"read_bars found nothing at {str(path)!r}.")
    bars = _read_folder(path) if path.is_dir() else _read_file(path)
    try:
        return with_history(check_bars(bars))
    except InvalidBarsError as error:
        raise InvalidBarsError(f"{path}: {error}") from error


def _suffix(path):
    name = path.name.lower()
    return next((ending for ending in (*_TEXT, *_PARQUET) if name.endswith(ending)), None)


def _read_folder(path):
    found = sorted(file for file in path.iterdir() if file.is_file() and _suffix(file))
    if not found:
        raise InvalidBarsError(f"{path}: no bars in this folder; expected files ending in {', '.join((*_TEXT[:2], *_PARQUET[:1]))}, one per symbol.")
    parts = {}
    for file in found:
        symbol = file.name[: -len(_suffix(file))]
        if symbol in parts:
            raise InvalidBarsError(f"{path}: two files for symbol {symbol!r}. Keep one of them.")
        bars = _read_file(file)
        if isinstance(bars.index, pd.MultiIndex):
            raise InvalidBarsError(f"{file}: holds several symbols, but a folder needs one file per symbol. Read it alone.")
        try:
            parts[symbol] = check_bars(bars, warn=False)
        except InvalidBarsError as error:
            raise InvalidBarsError(f"{file}: {error}") from error
    zones = {str(part.index.tz) for part in parts.values()}
    if len(zones) > 1:
        raise InvalidBarsError(f"{path}: files in different time zones ({', '.join(sorted(zones))}). Store all times in one zone.")
    bars = pd.concat(parts, names=["symbol", "time"], join="inner", sort=False)
    if any(part.attrs.get("adjusted") for part in parts.values()):
        bars.attrs = {"adjusted": True}
    return bars


def _read_file(path):
    ending = _suffix(path)
    if ending in _PARQUET:
        table = _read_parquet(path)
    elif ending in _TEXT:
        table = _read_text(path)
    else:
        raise InvalidBarsError(f"{path}: expected a file ending in {', '.join((*_TEXT, *_PARQUET))}, or a folder of such files.")
    if not len(table):
        raise InvalidBarsError(f"{path}: holds no rows.")
    return _to_bars(table, path)


def _read_text(path):
    try:
        head = pd.read_csv(path, sep="\x01", nrows=1, header=None, dtype=str, engine="python", quoting=3).iat[0, 0]
        separator = max(",;\t|", key=str(head).count)
        table = pd.read_csv(path, sep=separator, skipinitialspace=True, index_col=False)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError, OSError, EOFError, ValueError) as error:
        raise InvalidBarsError(f"{path}: is no CSV file that can be read ({error}).") from error
    if len(table.columns) < 2:
        raise InvalidBarsError(f"{path}: is no CSV file of bars: the first line {str(head)[:60]!r} names no columns separated by , ; tab or |.")
    return table


def _read_parquet(path):
    require("pyarrow", extra="parquet", caller="read_bars")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise InvalidBarsError(f"{path}: is no Parquet file that can be read ({error}).") from error
    table.attrs = {}
    return table if isinstance(table.index, pd.RangeIndex) else table.reset_index()


def _to_bars(table, path):
    table = _rename(table, path)
    if "time" not in table.columns:
        raise InvalidBarsError(f"{path}: no column holds times; found {list(table.columns)!r}. Name it 'time' or 'date'.")
    times = parse_times(table.pop("time"), path)
    symbols = table.pop("symbol") if "symbol" in table.columns else None
    if symbols is not None and symbols.isna().any():
        raise InvalidBarsError(f"{path}: row {int(np.argmax(symbols.isna()))} has no symbol.")
    table = _adjust(table, path)
    first = [name for name in OHLCV if name in table.columns]
    table = table[first + [name for name in table.columns if name not in first]]
    attrs = table.attrs
    if symbols is None or symbols.nunique() == 1:
        bars = table.set_axis(times.rename("time"), axis=0)
        bars = bars.iloc[::-1] if len(bars) > 1 and bool((np.diff(times.asi8) < 0).all()) else bars
    else:
        bars = _panel(table, symbols, times)
    bars.attrs = attrs
    return bars


def _panel(table, symbols, times):
    codes, names = pd.factorize(symbols.astype(str), sort=True)
    order = np.argsort(codes, kind="stable")
    codes, stamps = codes[order], times.asi8[order]
    same = codes[1:] == codes[:-1]
    if same.any() and bool((np.diff(stamps)[same] < 0).all()):  # from new to old
        order = order[::-1][np.argsort(codes[::-1], kind="stable")]
    index = pd.MultiIndex.from_arrays([names[codes], times[order]], names=["symbol", "time"])
    return table.iloc[order].set_axis(index, axis=0)


def _rename(table, path):
    """Column names in lower case; synonyms under the names used here."""
    names = [str(name).strip().strip("<>").strip().lower() for name in table.columns]
    names = ["" if name.startswith("unnamed:") else name for name in names]
    if "date" in names and "time" in names:  # day and time of day apart
        day, clock = names.index("date"), names.index("time")
        table = table.copy()
        table.isetitem(clock, table.iloc[:, day].astype(str) + " " + table.iloc[:, clock].astype(str))
        names[day] = "__day__"
    new = list(names)
    for target, synonyms in (("time", _TIME), ("symbol", _SYMBOL), ("adjusted close", _ADJUSTED), ("volume", ("volume", *_VOLUME))):
        match = next((name for name in synonyms if name in names), None)
        if match is not None:
            new[names.index(match)] = target
    kept = [i for i, name in enumerate(new) if name not in ("", "__day__")]
    new = [new[i] for i in kept]
    double = sorted({name for name in new if new.count(name) > 1})
    if double:
        raise InvalidBarsError(f"{path}: column {double[0]!r} stands more than once in {list(table.columns)!r}. Keep one of them.")
    return table.iloc[:, kept].set_axis(new, axis=1)


def _adjust(table, path):
    """Scale prices by adjusted close / close, and say so."""
    if "adjusted close" not in table.columns:
        return table
    adjusted = table.pop("adjusted close")
    if "close" not in table.columns:
        table["close"] = adjusted
        return table
    if not (pd.api.types.is_numeric_dtype(adjusted) and pd.api.types.is_numeric_dtype(table["close"])):
        raise InvalidBarsError(f"{path}: close and adjusted close must hold numbers, got {table['close'].dtype} and {adjusted.dtype}.")
    factor = adjusted / table["close"]
    if not np.isfinite(factor).all() or (factor <= 0).any():
        row = int(np.argmax(~(np.isfinite(factor) & (factor > 0))))
        raise InvalidBarsError(f"{path}: adjusted close / close is {factor.iloc[row]} in row {row}. Repair the row, or drop the adjusted close.")
    changed = int((np.abs(factor - 1) > 1e-9).sum())
    if not changed:
        return table
    for name in OHLCV[:4]:
        if name in table.columns:
            table[name] = adjusted if name == "close" else table[name] * factor
    table.attrs = {"adjusted": True}
    warnings.warn(
        f"{path}: open, high, low and close were scaled by adjusted close / close in {changed} of {len(table)} rows; volume is as published.",
        DataQualityWarning,
        stacklevel=5,
    )
    return table

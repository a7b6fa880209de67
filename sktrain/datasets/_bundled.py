"""The bundled daily bars, checked; a row is known at the close of its day."""

from collections.abc import Sequence
from importlib.resources import as_file, files

import pandas as pd

from .._history import with_history
from .._validation import check_bars
from ..exceptions import SktrainError

__all__ = ["load_nasdaq", "load_sp500", "load_us_stocks"]


def load_sp500() -> pd.DataFrame:
    """Daily bars of the S&P 500 index, 1999-01-04 to 2018-12-31.

    Returns
    -------
    DataFrame, shape (5031, 5)
        ``open high low close volume`` (index points, shares), indexed by ``time``, with a history
        handle.

    Notes
    -----
    As distributed with the `arch` package (NCSA licence).

    Examples
    --------
    >>> from sktrain.datasets import load_sp500
    >>> load_sp500().shape
    (5031, 5)
    """
    return _load_one("sp500.csv.gz")


def load_nasdaq() -> pd.DataFrame:
    """Daily bars of the NASDAQ Composite index, 1999-01-04 to 2018-12-31.

    Returns
    -------
    DataFrame, shape (5031, 5)
        ``open high low close volume`` (index points, shares), indexed by ``time``, with a history
        handle.

    Notes
    -----
    As distributed with the `arch` package (NCSA licence).

    Examples
    --------
    >>> from sktrain.datasets import load_nasdaq
    >>> float(load_nasdaq()["close"].iloc[0])
    2208.050049
    """
    return _load_one("nasdaq.csv.gz")


def load_us_stocks(symbols: Sequence[str] | None = None) -> pd.DataFrame:
    """Daily bars of AAPL, FB, GOOG, IBM and MSFT, 2000-03-01 to 2013-03-01, adjusted for splits and
    dividends.

    An uneven panel: GOOG starts in 2004, FB in 2012.

    Parameters
    ----------
    symbols : sequence of str, optional
        The stocks wanted, in that order; default all five.

    Returns
    -------
    DataFrame, shape (12154, 5)
        ``open high low close volume`` (dollars, shares), indexed by ``(symbol, time)``, with a
        history handle.

    Raises
    ------
    SktrainError
        When a symbol is not among the five.

    Notes
    -----
    As distributed with `bokeh-sampledata` (BSD-3).

    Examples
    --------
    >>> from sktrain.datasets import load_us_stocks
    >>> load_us_stocks(["IBM", "FB"]).groupby(level="symbol", sort=False).size().to_dict()
    {'IBM': 3270, 'FB': 196}
    """
    bars = _read("us_stocks.csv.gz").set_index(["symbol", "time"])
    if symbols is not None:
        wanted = [symbols] if isinstance(symbols, str) else list(symbols)
        known = bars.index.get_level_values("symbol").unique()
        missing = [symbol for symbol in wanted if symbol not in known]
        if missing or not wanted:
            raise SktrainError(f"symbols={symbols!r}: choose from {', '.join(known)}.")
        bars = pd.concat(
            [
                bars[bars.index.get_level_values("symbol") == symbol]
                for symbol in dict.fromkeys(wanted)
            ]
        )
        bars.index = bars.index.remove_unused_levels()
    return with_history(check_bars(bars, warn=False))


def _load_one(name):
    return with_history(check_bars(_read(name).set_index("time"), warn=False))


def _read(name):
    with as_file(files("sktrain.datasets") / "data" / name) as path:
        table = pd.read_csv(path)
    table["time"] = pd.to_datetime(table["time"], format="%Y-%m-%d").dt.as_unit("ns")
    return table

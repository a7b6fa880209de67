"""Rows of a file that are bars, in order; what was left out is counted."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .._reading import UnreadableError, bad_numbers, clipped, option, plain_name
from ._roles import PRICES

__all__ = [
    "Rows",
    "adjusted",
    "in_order",
    "no_trade",
    "screened",
    "shifted_to_close",
    "usual_step",
    "without_incomplete",
]

# Words in the names of columns that hold instruments, and of those that hold lengths of bars
_GROUPS = frozenset(
    ["index", "indices", "series", "group", "fund", "etf", "commodity", "metal", "product", "label",
     "underlying", "future", "country", "region", "item", "key", "id", "exchange", "bank", "firm"]
)  # fmt: skip
_LENGTHS = frozenset(
    ["interval", "timeframe", "frame", "resolution", "granularity", "period", "freq", "frequency",
     "bar", "length", "tf", "per"]
)  # fmt: skip
# relative distance by which open and close may leave [low, high]: a published price of six digits
# is rounded by so much
_ROUNDING = 1e-6
_MINUTE = 60 * 10**9  # nanoseconds
_DAY = 1440 * _MINUTE


@dataclass
class Rows:
    """Bars on their way.

    Attributes
    ----------
    frame : DataFrame
        open, high, low, close, volume, and other columns; a plain index.
    times : DatetimeIndex
    symbols : ndarray of str or None
    place : callable
        How a message names a row of the file.
    dropped : dict
        Rows left out by cause.
    notes : list of str
    spelled : dict of str to str
        The file's spelling of the names of other columns.
    """

    frame: pd.DataFrame
    times: pd.DatetimeIndex
    symbols: np.ndarray | None
    place: Callable[[int], str]
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    suspended: int = 0
    changed: int = 0
    zone: str | None = None
    instrument: str | None = None
    volume: int | None = None
    spelled: dict[str, str] = field(default_factory=dict)

    def keep(self, mask: np.ndarray) -> None:
        """Keep the rows of a mask."""
        self.frame = self.frame[mask].reset_index(drop=True)
        self.times = self.times[mask]
        self.symbols = None if self.symbols is None else self.symbols[mask]


def screened(rows: Rows, texts: dict[str, pd.Series], *, drop: bool) -> None:
    """Find the rows that are no bars; refuse the first, or leave all of them out.

    Parameters
    ----------
    rows : Rows
        Changed in place.
    texts : dict of str to Series
        The cells of the columns as the file has them.
    drop : bool
        Whether such rows are left out.
    """
    if not texts and _all_bars(rows):
        return
    bad = np.zeros(len(rows.frame), dtype=bool)
    for cause, mask, fault in _faults(rows, texts):
        new = mask & ~bad
        if not new.any():
            continue
        if not drop:
            row = int(np.argmax(new))
            count = f" ({int(new.sum())} such rows)" if new.sum() > 1 else ""
            when = (
                ""
                if rows.times[row] is pd.NaT
                else f" ({str(rows.times[row]).removesuffix(' 00:00:00')})"
            )
            raise UnreadableError(
                f"{rows.place(row)}{when}: {fault(row)}{count}. Repair the rows{_or_drop(new)}."
            )
        rows.dropped[cause] = int(new.sum())
        bad |= new
    if bad.all():
        raise UnreadableError(
            f"no row is left: {', '.join(f'{n} {cause}' for cause, n in rows.dropped.items())}."
        )
    if bad.any():
        rows.keep(~bad)


def _or_drop(bad: np.ndarray) -> str:
    """The offer to leave rows out, unless none would be left."""
    return "" if bad.all() else f", or leave them out with {option('bad_rows', 'drop')}"


def _all_bars(rows: Rows) -> bool:
    """Whether there is nothing to find, in few looks."""
    price = [rows.frame[name].to_numpy(dtype=np.float64) for name in PRICES]
    volume = rows.frame["volume"].to_numpy(dtype=np.float64)
    open_, high, low, close = price
    if not (low.min() > 0 and volume.min() >= 0 and (high >= low).all()):  # NaN is no bar either
        return False
    top, bottom = high * (1 + _ROUNDING), low * (1 - _ROUNDING)
    inside = all((one <= top).all() and (one >= bottom).all() for one in (open_, close))
    return inside and not rows.times.hasnans


def _faults(rows: Rows, texts: dict[str, pd.Series]):
    """(cause, rows, what to say about one) of every way a row can be no bar."""
    frame = rows.frame
    price = {name: frame[name].to_numpy(dtype=np.float64) for name in PRICES}
    volume = frame["volume"].to_numpy(dtype=np.float64)
    missing = np.isnan(np.column_stack(list(price.values())))
    yield "rows without a time", rows.times.isna(), lambda row: "there is no time that can be read"
    for name in (*PRICES, "volume"):
        if name in texts:
            wrong = bad_numbers(texts[name], frame[name])
            yield (
                "rows with words for numbers",
                wrong,
                lambda row, name=name: (
                    f"{name} is {clipped(texts[name].iloc[row])}, which is no number"
                ),
            )
    yield (
        "empty rows",
        missing.all(axis=1),
        lambda row: "open, high, low and close are empty, as on days without trade",
    )
    for name in PRICES:
        hole = np.isnan(price[name])
        yield (
            "rows without a price",
            hole,
            lambda row, name=name: f"Column {name!r} is nan: the cell is empty",
        )
    zero = np.minimum.reduce(list(price.values())) == 0
    yield (
        "suspended days with prices of zero",
        zero & ~(volume > 0),
        lambda row: "prices are 0 and nothing was traded, as on suspended days",
    )
    for name in PRICES:
        yield (
            "rows with prices of zero or less",
            price[name] <= 0,
            lambda row, name=name: _not_positive(name, price[name][row]),
        )
    high, low = price["high"], price["low"]
    yield (
        "rows with high below low",
        high < low,
        lambda row: f"high {high[row]:g} is below low {low[row]:g}",
    )
    for name in ("open", "close"):
        outside = (price[name] > high * (1 + _ROUNDING)) | (price[name] < low * (1 - _ROUNDING))
        yield (
            "rows with open or close outside low and high",
            outside,
            lambda row, name=name: (
                f"{name} {price[name][row]:g} lies outside low {low[row]:g} and high {high[row]:g}"
            ),
        )
    yield "rows with a negative volume", volume < 0, lambda row: f"volume is {volume[row]:g}"


def _not_positive(name: str, value: float) -> str:
    if value < 0:
        return (
            f"{name} is {value:g}, and prices below zero give no returns. If they are "
            "forward-adjusted (前复权), use back-adjusted (后复权) or unadjusted ones"
        )
    return f"{name} is {value:g}, no price"


def no_trade(rows: Rows, *, drop: bool) -> None:
    """Count the rows of suspended instruments: no volume and one price, in a file that has volume
    elsewhere.

    An empty volume becomes 0. A day at its limit trades, and markets without volumes are not
    suspended.
    """
    frame = rows.frame
    volume = frame["volume"].to_numpy(dtype=np.float64)
    empty = np.isnan(volume)
    if empty.any():
        frame["volume"] = np.where(empty, 0.0, volume)
        rows.notes.append(f"{int(empty.sum())} empty volumes read as 0")
        volume = frame["volume"].to_numpy()
    idle = volume == 0
    if not idle.any() or idle.all():
        return
    open_ = frame["open"].to_numpy()
    for name in ("high", "low", "close"):
        idle = idle & (frame[name].to_numpy() == open_)
    if rows.symbols is not None:
        codes = pd.factorize(rows.symbols)[0]
        traded = np.bincount(codes, weights=volume > 0) > 0
        idle &= traded[codes]
    rows.suspended = int(idle.sum())
    if drop and rows.suspended:
        rows.dropped["suspended days"] = rows.suspended
        rows.keep(~idle)
        rows.suspended = 0
    elif rows.suspended:
        rows.notes.append(f"{rows.suspended} bars without trade (volume 0, one price)")


def adjusted(rows: Rows) -> None:
    """Scale prices by adjusted close / close."""
    frame = rows.frame
    after = frame.pop("adjusted")
    factor = (after / frame["close"]).to_numpy(dtype=np.float64)
    wrong = ~(np.isfinite(factor) & (factor > 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UnreadableError(
            f"{rows.place(row)}: adjusted close / close is {factor[row]:g}. Repair the row, or "
            f"leave the prices as published with {option('columns', {'adjusted': ''})}."
        )
    rows.changed = int((np.abs(factor - 1) > 1e-9).sum())
    if rows.changed:
        for name in PRICES:
            frame[name] = (
                after.to_numpy(dtype=np.float64) if name == "close" else frame[name] * factor
            )
        rows.notes.append(f"prices scaled by adjusted close / close in {rows.changed} rows")


def in_order(rows: Rows, *, drop: bool) -> None:
    """Bring the rows into the order of (symbol, time); a time that stands twice is refused."""
    if rows.symbols is None and bool((np.diff(rows.times.asi8) > 0).all()):
        return
    codes = np.zeros(len(rows.times), dtype=np.int64)
    if rows.symbols is not None:
        codes, _ = pd.factorize(rows.symbols, sort=True)
    stamps = rows.times.asi8
    step, same = np.diff(stamps), codes[1:] == codes[:-1]
    if not bool(((codes[1:] > codes[:-1]) | (same & (step > 0))).all()):
        order = np.lexsort((stamps, codes))
        twice = np.flatnonzero((np.diff(stamps[order]) == 0) & (np.diff(codes[order]) == 0))
        if len(twice) and rows.symbols is None and _named_by_words(rows):
            in_order(rows, drop=drop)
            return
        if len(twice):
            order = _without_repeats(rows, order, twice, drop)
        downward = bool(((step < 0) | ~same).all())
        if rows.symbols is None and not downward:
            rows.notes.append("rows sorted by time")
        rows.frame = rows.frame.iloc[order].reset_index(drop=True)
        rows.times = rows.times[order]
        rows.symbols = None if rows.symbols is None else rows.symbols[order]


def _named_by_words(rows: Rows) -> bool:
    """Take the one column of words that tells repeated times apart for the symbols, if its name
    fits.
    """
    found = _telling_apart(rows) if rows.instrument is None else []
    if found and pd.api.types.is_numeric_dtype(rows.frame[found[0]].dtype):
        return False  # codes may have lost their zeros: the caller names the column
    if len(found) != 1 or not set(plain_name(found[0]).split()) & _GROUPS:
        return False
    rows.symbols = rows.frame.pop(found[0]).astype("str").to_numpy(dtype=object)
    rows.notes.append(f"symbol = {rows.spelled.get(found[0], found[0])}")
    return True


def _telling_apart(rows: Rows) -> list[str]:
    """Columns of words in which no time stands twice for one word (and symbol)."""
    keys = {"time": rows.times}
    if rows.symbols is not None:
        keys["symbol"] = rows.symbols
    found = []
    for name in rows.frame.columns.difference([*PRICES, "volume"], sort=False):
        column = rows.frame[name]
        if pd.api.types.is_float_dtype(column.dtype) or column.isna().any():
            continue
        try:
            many = column.nunique()
        except TypeError:  # lists
            continue
        if (
            1 < many <= len(column) // 2
            and not pd.DataFrame({**keys, "word": column}).duplicated().any()
        ):
            found.append(name)
    return found


def _several(rows: Rows) -> str:
    """What rows of one time may be, and how to tell them apart."""
    found = _telling_apart(rows)
    if not found:
        return (
            "several instruments in one file, or bars of several lengths. Name the column that "
            f"tells them apart with {option('columns', {'symbol': 'NAME'})}."
        )
    shown = rows.spelled.get(found[0], found[0])
    words = ", ".join(map(clipped, pd.unique(rows.frame[found[0]].astype("str"))[:3]))
    if set(plain_name(found[0]).split()) & _LENGTHS:
        return (
            f"bars of several lengths ({clipped(shown)} holds {words}). Keep the rows of one of "
            "them."
        )
    call = option("columns", {"symbol": shown})
    return f"{clipped(shown)} tells them apart ({words}): if these are instruments, say {call}."


def _without_repeats(rows: Rows, order: np.ndarray, twice: np.ndarray, drop: bool) -> np.ndarray:
    """The order without exact repetitions, where they may be dropped; other rows of one time are
    refused.
    """
    first, second = order[twice], order[twice + 1]
    numbers = rows.frame[[*PRICES, "volume"]].to_numpy(dtype=np.float64)
    equal = (numbers[first] == numbers[second]).all(axis=1)
    row, again = sorted((int(first[np.argmin(equal)]), int(second[np.argmin(equal)])))
    where = f"{rows.place(row)} and {rows.place(again)} are both stamped {rows.times[row]}"
    if equal.all():
        if drop:
            rows.dropped["repeated rows"] = len(twice)
            return np.delete(order, twice + 1)
        raise UnreadableError(
            f"{where}, and hold the same bar ({len(twice)} such rows). Leave repetitions out with "
            f"{option('bad_rows', 'drop')}."
        )
    repeated = rows.times[second]
    night = repeated[(repeated.hour <= 3) & (repeated != repeated.normalize())]
    if (
        rows.symbols is None
        and rows.times.tz is None
        and len(night)
        and len(twice) <= 120
        and len(set(repeated.normalize())) <= 1 + len(twice) // 2
    ):
        raise UnreadableError(
            f"{where}: the clock was set back there (daylight saving), so a time stands twice. Say "
            f"whose clock it is, as in {option('timezone', 'America/New_York')}."
        )
    if rows.symbols is None:
        raise UnreadableError(
            f"{where}, with different prices ({len(twice)} such rows): {_several(rows)}"
        )
    mend = _several(rows) if _telling_apart(rows) else "Remove one of them."
    raise UnreadableError(
        f"{where} for {rows.symbols[row]!r}, with different prices ({len(twice)} such rows). {mend}"
    )


def usual_step(times: pd.DatetimeIndex, codes: np.ndarray | None) -> int:
    """The most frequent gap between bars of one instrument, in nanoseconds; 0 for single bars."""
    step = np.diff(times.asi8)
    if codes is not None:
        step = step[codes[1:] == codes[:-1]]
    step = step[step > 0]
    if not len(step):
        return 0
    if len(step) > 10_000:
        step = step[:: len(step) // 10_000]
    values, counts = np.unique(step, return_counts=True)
    return int(values[np.argmax(counts)])


def without_incomplete(rows: Rows, *, drop: bool) -> None:
    """Look whether the last bar of an instrument is off the usual spacing: one that was still
    forming.
    """
    codes = None if rows.symbols is None else pd.factorize(rows.symbols)[0]
    usual = usual_step(rows.times, codes)
    if not usual or len(rows.times) < 3:
        return
    last = np.array([len(rows.times) - 1])
    if codes is not None:
        last = np.append(np.flatnonzero(codes[1:] != codes[:-1]), last)
        last = last[(last > 0) & (codes[last] == codes[last - 1])]
    times, before = rows.times[last], rows.times[last - 1]
    if usual >= 28 * _DAY:  # months: the same day, or the last one
        odd = (times.day != before.day) & ~times.is_month_end
    else:
        odd = (times.asi8 - before.asi8) % usual != 0
    off = np.zeros(len(rows.times), dtype=bool)
    off[last[odd]] = True
    if off.any() and drop:
        rows.dropped["incomplete last bars"] = int(off.sum())
        rows.keep(~off)
    elif off.any():
        rows.notes.append(
            f"the last bar ({rows.times[int(np.argmax(off))]}) is off the usual spacing: still "
            "forming?"
        )


def shifted_to_close(rows: Rows) -> None:
    """Move stamps of the opening to the close, by the usual spacing."""
    codes = None if rows.symbols is None else pd.factorize(rows.symbols)[0]
    usual = usual_step(rows.times, codes)
    if not usual:
        raise UnreadableError(
            f"{option('stamps', 'open')} needs at least two bars of an instrument, to know how "
            "long a bar is."
        )
    months = round(usual / (30.44 * _DAY)) if usual >= 28 * _DAY else 0
    rows.times = rows.times + (
        pd.DateOffset(months=months) if months else pd.Timedelta(usual, "ns")
    )
    rows.notes.append("stamps moved from the opening to the close")

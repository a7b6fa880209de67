"""Roles of columns without names, where the numbers prove them.

High is the largest and low the smallest of four prices in every row; the volume is no price and not
negative. Where more than one reading is left the file is refused, with what its columns seem to be.
"""

from itertools import pairwise
import re

import numpy as np
import pandas as pd

from .._reading import (
    Table,
    UnreadableError,
    clipped,
    joined_clock,
    option,
    parse_times,
    time_shape,
    to_numbers,
)
from ._roles import PRICES

__all__ = ["roles_by_content"]

_DIGITS = re.compile(r"([01]\d|2[0-3])[0-5]\d([0-5]\d)?")
_ROUNDING = 1e-6  # relative: a published price of six digits is rounded by so much
# rows from which gaps speak against the usual order: a true open gaps less than two bars move
_SURE_ROWS = 20
_LOTS = (1, 100)  # shares in what the volume counts: China's exchanges count hands of 100
_WIDEST = 2.0  # highest to lowest price: no market doubles in every other bar
_FEW = 5  # rows from which gaps speak at all, a judgment
# share of bars whose open is nearer to the close before, a judgment held by tests/bar_layouts.py
_NEARER = 0.75
# columns of a kline: open time, OHLC, volume, close time, quote volume, trades, two of takers,
# unused
_BINANCE = 12
# judgments: steps so alike in size and direction are those of one price; volumes move tens of
# times as far
_ALIKE, _TOGETHER = (3.0, 0.9)
# share of the variance of its steps that two counts of the same trades have in common, a judgment
_SHARED = 0.5


def roles_by_content(table: Table, given: dict[str, int], roles):
    """Fill ``roles`` of a file whose first line is data."""
    shapes = [time_shape([row[place] for row in table.sample]) for place in range(table.width)]
    kinds = table.kinds()
    roles.notes.append("no header: roles from the contents")
    roles.time = _time(table, shapes, given)
    values = _numbers(
        table, [p for p in range(table.width) if kinds[p] == "number" and p not in roles.time]
    )
    start, order = _prices(values, table, _in_time(table, roles.time))
    roles.fields = {role: start + order.index(role) for role in PRICES}
    texts = [p for p in range(table.width) if kinds[p] == "text"]
    roles.symbol = given.get("symbol", texts[0] if texts else None)
    roles.volumes = [given["volume"]] if "volume" in given else _volume(values, roles.fields, table)
    if roles.volumes and len(values) > len(PRICES) + 1 and "volume" not in given:
        roles.notes.append(f"volume = {roles.names[roles.volumes[0]]}")
    return roles


def _time(table: Table, shapes: list[str], given: dict[str, int]) -> tuple[int, ...]:
    if "time" in given or "date" in given:
        return tuple(given[role] for role in ("date", "time") if role in given)
    for place, (one, other) in enumerate(pairwise(shapes)):
        if one == "day" and (other == "clock" or _clocks(table, place + 1)):
            return place, place + 1
    for place, shape in enumerate(shapes[:4]):
        if shape in ("day", "moment"):
            return (place,)
    raise UnreadableError(
        f"has neither a header nor a column of times. Add a header, or name the columns: {_call()}."
    )


def _clocks(table: Table, place: int) -> bool:
    """Whether a column holds times of day as ``093000`` or ``0930``."""
    cells = [row[place] for row in table.sample]
    return len({len(cell) for cell in cells}) == 1 and all(map(_DIGITS.fullmatch, cells))


def _call() -> str:
    return option("columns", {"time": 1, "open": 2, "high": 3, "low": 4, "close": 5, "volume": 6})


def _numbers(table: Table, places: list[int]) -> dict[int, np.ndarray]:
    texts = {
        str(place): pd.Series([row[place] for row in table.sample], dtype="str") for place in places
    }
    done = to_numbers(texts, delimiter=table.delimiter, decimal=table.decimal, sure=False)
    return {int(name): column.to_numpy(dtype=np.float64) for name, column in done.items()}


def _prices(
    values: dict[int, np.ndarray], table: Table, order: np.ndarray | None
) -> tuple[int, list[str]]:
    """Where four prices stand side by side, and their order."""
    for start in sorted(values):
        four = [values[start + i] for i in range(4) if start + i in values]
        if len(four) < 4:
            continue
        block = np.column_stack(four)
        block = block if order is None or len(order) != len(block) else block[order]
        block = block[np.isfinite(block).all(axis=1) & (block != 0).any(axis=1)]  # 0: no trade
        if not len(block) or (block <= 0).any():
            continue
        if np.median(block.max(axis=1) / block.min(axis=1)) > _WIDEST:
            continue  # shares and money beside prices
        top = [i for i in range(4) if (block[:, i] >= block.max(axis=1) * (1 - _ROUNDING)).all()]
        bottom = [i for i in range(4) if (block[:, i] <= block.min(axis=1) * (1 + _ROUNDING)).all()]
        if not top or not bottom:
            continue
        if 1 in top and 2 in bottom:
            turned = order is not None and _first_is_open(block, 0, 3) is False
            if turned is False and order is not None and _doubtful(block):
                raise _seems(
                    table, "columns 1 and 4 of the four prices may be close and open"
                )
            return start, ["close", "high", "low", "open"] if turned else list(PRICES)
        if len(top) == len(bottom) == 1:
            return start, _by_continuity(block, top[0], bottom[0], order is not None, table)
    raise _seems(table, "no four columns side by side are open, high, low and close")


def _in_time(table: Table, time: tuple[int, ...]) -> np.ndarray | None:
    """The order of the first rows in time; None where it is not sure."""
    day, *clock = (pd.Series([row[place] for row in table.sample]) for place in time)
    try:
        times = parse_times(joined_clock(day, clock[0]) if clock else day).index
    except UnreadableError:
        return None
    return np.argsort(times.asi8, kind="stable") if times.is_unique else None


def _first_is_open(block: np.ndarray, one: int, other: int) -> bool | None:
    """Whether ``one`` is the open and ``other`` the close, or the other way round; None if unsure.

    An open is near the close before it: the mean gap is at most half that of the other reading, in
    three of four of the bars in which they differ.
    """
    forward = np.abs(block[1:, one] - block[:-1, other])
    backward = np.abs(block[1:, other] - block[:-1, one])
    told = forward != backward
    if told.sum() < _SURE_ROWS / 2:
        return None
    nearer = (forward < backward)[told].mean()
    if forward.mean() < 0.5 * backward.mean() and nearer >= _NEARER:
        return True
    if backward.mean() < 0.5 * forward.mean() and 1 - nearer >= _NEARER:
        return False
    return None


def _doubtful(block: np.ndarray) -> bool:
    """Whether few rows in the usual order look as if close and open were exchanged."""
    forward = np.abs(block[1:, 0] - block[:-1, 3])
    backward = np.abs(block[1:, 3] - block[:-1, 0])
    return bool(len(block) >= _FEW and backward.mean() < 0.5 * forward.mean())


def _by_continuity(block: np.ndarray, top: int, bottom: int, sure: bool, table: Table) -> list[str]:
    """The order of four prices of which high and low do not stand in their usual place."""
    one, other = (i for i in range(4) if i not in (top, bottom))
    first = _first_is_open(block, one, other) if sure else None
    if first is None:
        raise _seems(
            table,
            f"columns {one + 1} and {other + 1} of the four prices may be open and close, or close "
            f"and open",
        )
    order = [""] * 4
    order[top], order[bottom] = "high", "low"
    order[one], order[other] = ("open", "close") if first else ("close", "open")
    return order


def _volume(values: dict[int, np.ndarray], fields: dict[str, int], table: Table) -> list[int]:
    last, first = max(fields.values()), min(fields.values())
    after = [place for place in values if place > last]
    if len(values) + 1 == _BINANCE == table.width and after:
        return [after[0]]
    close = values[fields["close"]]
    low, high = values[fields["low"]], values[fields["high"]]
    proven = _times_price(values, [p for p in values if not first <= p <= last], low, high)
    if len(proven) == 1:
        return proven
    usable = [p for p in after if _may_count(values[p], low, high)]
    usable = usable or [  # in front of the prices, but no row numbers
        p
        for p in values
        if p < first and _may_count(values[p], low, high) and not (np.diff(values[p]) == 1).all()
    ]
    free = [p for p in usable if not _follows(values[p], close)]
    if len(free) < len(usable):
        raise _seems(
            table,
            "a column follows the price: an adjusted close, perhaps, which would change the prices",
        )
    varied = [p for p in free if np.nanmax(values[p]) > np.nanmin(values[p])] or free[:1]
    money = [
        p
        for p in varied
        if any(_in_money(values[p], values[q], low, high) for q in varied if q != p)
    ]
    if len(money) == 1:  # the same trades, counted in money
        varied = [p for p in varied if p not in money]
    varied = [  # the same trades in other units, such as contracts and coins: the first
        p
        for i, p in enumerate(varied)
        if not any(_proportional(values[p], values[q]) for q in varied[:i])
    ]
    if len(varied) == 2:
        broken = [p for p in varied if (values[p] != np.round(values[p])).any()]
        varied = (
            broken if len(broken) == 1 else varied
        )  # quantities have fractions, numbers of trades have none
    if len(varied) == 2:
        varied = [p for p in varied if not _trades_of(values, p, varied, close)] or varied
    if len(varied) > 1:
        raise _seems(
            table, f"columns {', '.join(str(p + 1) for p in varied)} may be the volume"
        )
    return varied


def _trades_of(
    values: dict[int, np.ndarray], place: int, both: list[int], close: np.ndarray
) -> bool:
    """Whether a column is the number of the trades (or ticks) that the other counts by quantity.

    Both rise and fall together, and as every trade is of one unit at least the quantity is never
    the smaller one. What is the other times a price is money, which the price would explain.
    """
    trades, quantity = values[place], values[sum(both) - place]
    if not ((quantity >= trades) & (trades >= 0)).all() or (trades != np.round(trades)).any():
        return False
    good = (trades > 0) & (close > 0)
    if good.sum() < _SURE_ROWS:
        return False
    fewer, more = np.log(trades[good]), np.log(quantity[good])
    shared = np.corrcoef(np.diff(fewer), np.diff(more))[0, 1]
    size = more - fewer
    return bool(shared > _SHARED**0.5 and size.std() < (size - np.log(close[good])).std())


def _may_count(column: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether a column can be a volume: never negative, and no average price."""
    slack = 1e-3 * (high - low) + _ROUNDING * high
    inside = (column >= low - slack) & (column <= high + slack)
    traded = column != 0  # an average of no trades is written as 0
    return not (traded.any() and inside[traded].all()) and not (np.nan_to_num(column) < 0).any()


def _proportional(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two columns differ by a constant factor."""
    there = (one > 0) & (other > 0)
    if not there.any() or ((one > 0) != (other > 0)).any():
        return False
    ratio = one[there] / other[there]
    return bool(np.ptp(ratio) < 1e-3 * ratio.mean() or np.array_equal(one, other, equal_nan=True))


def _in_money(amount: np.ndarray, volume: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether one column is the other times a price between low and high, in every bar that
    traded.
    """
    traded = volume > 0
    if not traded.any():
        return False
    price = amount[traded] / volume[traded]
    slack = 1e-3  # both are published rounded
    return not amount[~traded].any() and any(
        (
            (price >= lot * low[traded] * (1 - slack)) & (price <= lot * high[traded] * (1 + slack))
        ).all()
        for lot in _LOTS
    )


def _times_price(
    values: dict[int, np.ndarray], others: list[int], low: np.ndarray, high: np.ndarray
) -> list[int]:
    """Columns that times a price of the bar are another one: what was traded, and its money."""
    counts = [p for p in others if _may_count(values[p], low, high)]
    return [
        p
        for p in counts
        if np.nanmax(values[p]) > np.nanmin(values[p])
        and any(_in_money(values[q], values[p], low, high) for q in counts if q != p)
    ]


def _follows(column: np.ndarray, close: np.ndarray) -> bool:
    """Whether a column moves with the price, step by step and as far."""
    good = (column > 0) & (close > 0)
    if good.mean() < 0.9 or good.sum() < 3:
        return False
    own, price = np.diff(np.log(column[good])), np.diff(np.log(close[good]))
    if not own.std() or not price.std():
        return bool(np.allclose(own, price))
    near = 1 / _ALIKE < own.std() / price.std() < _ALIKE
    return bool(near and np.corrcoef(own, price)[0, 1] > _TOGETHER)


def _seems(table: Table, why: str) -> UnreadableError:
    first = ", ".join(f"{i} = {clipped(cell)}" for i, cell in enumerate(table.sample[0], 1))
    return UnreadableError(
        f"has no header (its first line is data: {first}), and {why}. Add a header, or name the "
        f"columns by number: {_call()}."
    )

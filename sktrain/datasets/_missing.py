"""What to say of a file in which columns for bars are wanting: what it seems to be, and what mends
it.
"""

from difflib import SequenceMatcher

import numpy as np
import pandas as pd

from .._reading import (
    MissingRolesError,
    Table,
    UnreadableError,
    clipped,
    option,
    plain_name,
    time_shape,
    to_numbers,
)
from ._roles import PRICES

__all__ = ["ACROSS", "refuse_missing", "set_misspelt", "transposed"]

ACROSS = "Its dates stand across, as names of columns: transpose it, so that each row is a bar."
_DATES = 2  # names that are dates: one is met by chance
_NEAR = 0.85  # likeness of "hight" and "high" is 0.89, of "pivot" and "open" 0.22
_SHOWN = 12  # names of columns that a message repeats: two lines
_TRADE = ("price", "last", "p", "trade price", "deal price", "fill price", "value", "close", "ltp")
_SIZES = frozenset(
    ["size", "qty", "quantity", "q", "amount", "side", "trade id", "tradeid", "trade", "lots",
     "is buyer maker", "isbuyermaker", "m", "direction", "shares", "condition", "conditions"]
)  # fmt: skip


def refuse_missing(roles, table: Table) -> None:
    """Refuse a file without open, high, low or close, saying what it seems to hold.

    Raises
    ------
    MissingRolesError
        When a price has no column.
    """
    missing = [role for role in PRICES if role not in roles.fields]
    if roles.wide or not missing:
        return
    kinds = table.kinds()
    free = [p for p in range(table.width) if p not in roles.used() and roles.names[p]]
    numeric = [place for place in free if kinds[place] == "number"]
    unused = [roles.names[place] for place in free]
    listed = f"; not used: {', '.join(map(clipped, unused[:_SHOWN]))}" if unused else ""
    known = ", ".join(
        f"{role} = {clipped(roles.names[place])}" for role, place in roles.fields.items()
    )
    hint = _kind_of_file([plain_name(name) for name in roles.names], missing)
    if hint is None and len(missing) > 2:
        hint = _few_prices(roles, table, numeric)
    if hint is None:
        named = {role: _fitting(role, roles, table, numeric) for role in missing}
        sure = {role: name for role, name in named.items() if name is not None}
        hint = f"Name them with {option('columns', sure or {missing[0]: 'NAME'})}."
    raise MissingRolesError(
        f"no column for {', '.join(missing)}{f' (found {known})' if known else ''}{listed}. {hint}",
        len(missing),
    )


def set_misspelt(roles, table: Table, barred: set[str]) -> None:
    """Give the one price that is wanting the column whose name differs by a letter from its own and
    whose numbers can be it.
    """
    missing = [role for role in PRICES if role not in roles.fields]
    if roles.wide or len(missing) != 1 or missing[0] in barred:
        return
    ((role,), kinds) = missing, table.kinds()
    near = [
        place
        for place, name in enumerate(roles.names)
        if place not in roles.used()
        and kinds[place] == "number"
        and SequenceMatcher(None, plain_name(name), role).ratio() > _NEAR
    ]
    if len(near) == 1 and _may_be(role, near[0], roles.fields, table):
        roles.fields[role] = near[0]
        roles.notes.append(f"{role} = {roles.names[near[0]]}")


def _fitting(role: str, roles, table: Table, numeric: list[int]) -> str | None:
    """The name of the one column whose numbers can be the price that is wanting."""
    fits = [place for place in numeric if _may_be(role, place, roles.fields, table)]
    return roles.names[fits[0]] if len(fits) == 1 else None


def _kind_of_file(names: list[str], missing: list[str]) -> str | None:
    """What a file is that holds no bars, from the names of its columns."""
    words = {word for name in names for word in name.split()}
    joined = {name.replace(" ", "") for name in names}
    if "strike" in words or "strikeprice" in joined:
        return (
            "It seems to hold an option chain, contracts by strike: bars are one instrument over "
            "time."
        )
    sides = {side for side in ("bid", "ask") if any(name.startswith(side) for name in joined)}
    if "offer" in words or any(name.startswith("offer") for name in joined):
        sides.add("ask")
    if len(sides) == 2 and len(missing) > 2:
        return (
            "It seems to hold quotes or an order book: make bars of them first, for example with "
            "pandas' resample(...).ohlc() on their middle."
        )
    action = {"action", "transaction", "commission", "fees", "order", "buy", "sell", "pnl"}
    if len(missing) > 2 and len(words & action) > 1:
        return "It seems to hold an account's transactions, no market's bars."
    if len(missing) > 2 and words & set(_TRADE) and (set(names) | joined) & _SIZES:
        return (
            "It seems to hold single trades, one price a row: make bars of them first, for example "
            "with pandas' resample(...).ohlc()."
        )
    return None


def _few_prices(roles, table: Table, numeric: list[int]) -> str | None:
    """What a table with at most one price a row may be."""
    if "close" in roles.fields and not numeric:
        return "It holds closes only; bars need open, high, low and close."
    if transposed(roles.names):
        return ACROSS
    free = [p for p in range(table.width) if p not in roles.used() and roles.names[p]]
    filled = [place for place in free if table.kinds()[place] != "empty"]
    if not roles.fields and len(numeric) > 1 and len(numeric) == len(filled):
        return (
            "It seems to hold one number a symbol, such as closes; bars need open, high, low and "
            "close of every symbol."
        )
    if len(numeric) == 1 and not roles.fields:
        return (
            f"It holds one number a row ({clipped(roles.names[numeric[0]])}); bars need open, "
            "high, low and close."
        )
    return None


def transposed(names: list[str]) -> bool:
    """Whether names of columns are dates."""
    return sum(time_shape([name]) in ("day", "moment") for name in names) > _DATES


def _may_be(role: str, place: int, fields: dict[str, int], table: Table) -> bool:
    """Whether a column's numbers can be the price that is wanting, beside those that are there."""
    wanted = {**{name: fields[name] for name in PRICES if name in fields}, role: place}
    texts = {
        name: pd.Series([row[p] if p < len(row) else "" for row in table.sample], dtype="str")
        for name, p in wanted.items()
    }
    try:
        found = to_numbers(texts, delimiter=table.delimiter, decimal=table.decimal, sure=False)
    except UnreadableError:
        return False
    price = {name: column.to_numpy(dtype=np.float64) for name, column in found.items()}
    own, others = price.pop(role), np.column_stack(list(price.values())) if len(price) > 1 else None
    if others is None or not np.isfinite(own).all():
        return False
    low, high = others.min(axis=1), others.max(axis=1)
    if role == "high":
        return bool((own >= high).all() and (own < 2 * high).all())
    if role == "low":
        return bool((own <= low).all() and (own > low / 2).all())
    return bool(((own >= low) & (own <= high)).all())

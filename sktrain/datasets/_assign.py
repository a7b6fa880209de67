"""Roles of the columns of a file of bars: names first, then contents; what stays open is refused
with the candidates shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
import re
from typing import NoReturn

import numpy as np
import pandas as pd

from .._reading import (
    Table,
    UnreadableError,
    clipped,
    given_columns,
    option,
    parse_times,
    parts_of_days,
    plain_name,
    tells_of_rows,
    time_shape,
    zone_of_name,
)
from ._headerless import roles_by_content
from ._missing import ACROSS, refuse_missing, set_misspelt, transposed
from ._roles import BARS, OPENING_STAMPS, PRICES
from ._sides import SIDES, one_side

__all__ = ["Roles", "assign_roles"]

_GIVEN = ("time", "date", "symbol", *PRICES, "volume", "adjusted")  # what columns= may name
_FIELDS = (*PRICES, "adjusted", "volume")
_HALVES = (
    ("up", "down"),
    ("up volume", "down volume"),
    ("buy volume", "sell volume"),
    ("bid volume", "ask volume"),
)
_FLAGS = {"", "0", "1", "0.0", "1.0", "true", "false", "yes", "no", "y", "n"}
_OTHER_VOLUME = re.compile(
    r"^(vol|volume) (?!ma\b|sma|ema|avg|average|weight|change|ratio|osc|delta|pct)\S+$"
    r"|^(?!(avg|average|mean|median|rel|relative|change|delta|prev|previous)\b)\S+( \S+)? (vol"
    r"|volume)$"
)
_SHOWN = 12  # names of columns that a message repeats: two lines
_MINUTE = 60 * 10**9  # nanoseconds


@dataclass
class Roles:
    """Which column plays which role, by position.

    Attributes
    ----------
    names : list of str
        The columns as the file names them.
    time : tuple of int
        One column, the day and the time of day, or year, month and day (hour, minute).
    fields : dict of str to int
        open, high, low, close, and adjusted where there is one.
    volumes : list of int
        Candidates for the volume, the surest first.
    summed : bool
        Whether the volume is the sum of the two in ``volumes``, such as TradeStation's Up and Down.
    no_volume : bool
        Whether the caller says that no column is the volume.
    symbol : int or None
    wide : dict of str to dict
        Fields by symbol where every symbol has columns of its own.
    instrument : str or None
        The symbol that a header names.
    zone : str or None
        The zone that the name of the time says.
    opening : bool
        Whether the name of the time says that it is the bar's opening.
    notes : list of str
    """

    names: list[str]
    time: tuple[int, ...] = ()
    fields: dict[str, int] = field(default_factory=dict)
    volumes: list[int] = field(default_factory=list)
    summed: bool = False
    no_volume: bool = False
    symbol: int | None = None
    wide: dict[str, dict[str, int]] = field(default_factory=dict)
    instrument: str | None = None
    zone: str | None = None
    opening: bool = False
    notes: list[str] = field(default_factory=list)

    def used(self) -> set[int]:
        """Positions that play a role."""
        wide = {place for fields in self.wide.values() for place in fields.values()}
        symbol = set() if self.symbol is None else {self.symbol}
        return {*self.time, *self.fields.values(), *self.volumes, *wide} | symbol


def assign_roles(table: Table, columns: Mapping[str, object] | None) -> Roles:
    """Give every role its column.

    Parameters
    ----------
    table : Table
    columns : mapping of role to name, optional
        What the user says; None or "" for a role that no column plays.

    Raises
    ------
    UnreadableError
        When a role stays without a column, or with too many.
    """
    own = table.headers[0] if len(table.headers) == 1 else _named_columns(table)[0]
    given, barred = given_columns(columns, _GIVEN, own, table)
    if not table.headers and not {"open", "high", "low", "close"} <= set(given):
        roles = roles_by_content(
            table, given, Roles([f"column {i + 1}" for i in range(table.width)])
        )
        return roles
    names, symbols = _named_columns(table)
    roles = Roles(names)
    free = [place for place in range(table.width) if place not in given.values()]
    _set_time(roles, table, given, free)
    _set_symbol(roles, table, given, barred, free)
    if symbols is not None:
        _set_wide(roles, names, symbols)
    if not roles.wide:
        _set_fields(roles, table, given, barred, free)
        set_misspelt(roles, table, barred)
    refuse_missing(roles, table)
    return roles


def _named_columns(table: Table) -> tuple[list[str], list[str] | None]:
    """One name for each column, and its symbol where a second row of names gives one."""
    if not table.headers:
        return [f"column {place + 1}" for place in range(table.width)], None
    if len(table.headers) == 1:
        names = table.headers[0]
        if _fields_in(names) < 4:
            apart = [_apart(name) for name in names]
            apart = _closes_beside(apart, names)
            if len({field for _, field in apart if field}) >= 4:
                return [field or name for (_, field), name in zip(apart, names)], [
                    symbol for symbol, _ in apart
                ]
        return list(names), None
    rows = table.headers
    best = max(range(len(rows)), key=lambda i: _fields_in(rows[i]))
    names = list(rows[best])
    kinds = table.kinds()
    for place in range(table.width):
        timed = next(
            (row[place] for row in rows if BARS.candidates("time", [row[place]]) and row[place]),
            None,
        )
        if kinds[place] in ("time", "number") and timed and place == 0:
            names[place] = timed
        elif kinds[place] == "time":
            names[place] = names[place] if BARS.candidates("time", [names[place]]) else "time"
    others = [
        row for i, row in enumerate(rows) if i != best and sum(bool(cell) for cell in row[1:]) > 0
    ]
    return names, _symbol_row(others[0], names) if others else None


def _symbol_row(row: list[str], names: list[str]) -> list[str] | None:
    """The symbol of each column, blanks filled from the left; None for a row of units."""
    filled, last = [], ""
    for cell, name in zip(row, names):
        last = cell or last
        filled.append(last if _field_of(name) else "")
    symbols = {symbol for symbol in filled if symbol}
    repeated = len(names) != len(set(names))
    return filled if repeated or len(symbols) == 1 else None


def _field_of(name: str) -> str | None:
    return next((role for role in _FIELDS if BARS.candidates(role, [name])), None)


def _fields_in(names: list[str]) -> int:
    return len({role for name in names if (role := _field_of(name)) in PRICES})


def _apart(name: str) -> tuple[str, str | None]:
    """Symbol and field of a name such as ``AAPL.Open``, ``Close_MSFT`` or ``('Close', 'AAPL')``."""
    text = re.sub(r"^\(?['\"]?|['\"]?\)?$", "", name.strip())
    for mark in re.finditer(r"['\"]?\s*[._,\-: ]\s*['\"]?", text):
        left, right = text[: mark.start()], text[mark.end() :]
        for symbol, part in ((left, right), (right, left)):
            role = _field_of(part) if len(part) > 1 else None
            if role and symbol and symbol.lower() not in SIDES:
                return symbol, role
    return "", None


def _closes_beside(
    apart: list[tuple[str, str | None]], names: list[str]
) -> list[tuple[str, str | None]]:
    """A column named as a symbol whose open, high and low have columns of their own is its
    close.
    """
    fields: dict[str, set] = {}
    for symbol, role in apart:
        fields.setdefault(symbol, set()).add(role)
    bare = {s for s, own in fields.items() if {"open", "high", "low"} <= own and "close" not in own}
    return [
        (name, "close") if name in bare and role is None else (symbol, role)
        for (symbol, role), name in zip(apart, names)
    ]


def _set_time(roles: Roles, table: Table, given: dict[str, int], free: list[int]) -> None:
    if "time" in given or "date" in given:
        roles.time = tuple(given[role] for role in ("date", "time") if role in given)
    else:
        parts = [place for place in parts_of_days(roles.names) if place in free]
        roles.time = tuple(parts) if len(parts) > 2 else _found_time(roles.names, table, free)
    name = roles.names[roles.time[-1]]
    roles.zone = zone_of_name(set(plain_name(name, units=True).split()))
    roles.opening = plain_name(name) in OPENING_STAMPS


def _found_time(names: list[str], table: Table, free: list[int]) -> tuple[int, ...]:
    shape = {
        place: time_shape([row[place] for row in table.sample if place < len(row)])
        for place in free
    }
    left = set(free)
    ranked = [place for place in BARS.candidates("time", names) if place in left]
    full = [place for place in ranked if shape[place] in ("day", "moment")]
    days = [p for p in BARS.candidates("date", names) if p in left and shape[p] == "day"]
    clocks = [
        p
        for p in BARS.candidates("clock", names)
        if p in left and p not in days and shape[p] in ("clock", "digits", "serial")
    ]
    moments = [place for place in full if shape[place] == "moment"]
    if days and clocks and not moments:
        return days[0], clocks[0]
    if full:
        distinct = {place: len({row[place] for row in table.sample}) for place in full}
        most = max(distinct.values())
        full = [place for place in full if distinct[place] == most]
        if len(full) > 1:  # a bar's time lies on a whole minute, that of its last trade does not
            full = [place for place in full if _whole_minutes(table, place) is not False] or full
        clock = None if moments else _clock_beside(full[0], names, table, shape)
        return (full[0],) if clock is None else (full[0], clock)
    timed = [
        place
        for place in free
        if shape[place] in ("day", "moment") and table.kinds()[place] == "time"
    ]
    dated = [place for place in timed if not tells_of_rows(names[place])]
    timed = dated if len(dated) == 1 else timed
    if len(timed) == 1:
        return (timed[0],)
    if ranked and any(shape[place] == "clock" for place in ranked):
        return (
            next(place for place in ranked if shape[place] == "clock"),
        )  # refused later, in its own words
    named = [place for place in ranked if plain_name(names[place]) not in ("", "index", "level 0")]
    if named and not timed:
        return (named[0],)
    counted = [p for p in free if shape[p] == "moment" and _whole_minutes(table, p)]
    if len(counted) == 1 and not timed:  # epoch numbers under another name
        return (counted[0],)
    numbered = any(shape[place] == "digits" for place in ranked)
    return _refuse_time(names, timed, numbered)


def _refuse_time(names: list[str], timed: list[int], numbered: bool) -> NoReturn:
    """Several columns hold times, or none."""
    shown = ", ".join(clipped(names[p]) for p in (timed or range(min(len(names), _SHOWN))))
    if timed:
        raise UnreadableError(
            f"several columns hold times ({shown}). Say which with "
            f"{option('columns', {'time': names[timed[0]]})}."
        )
    if transposed(names):
        raise UnreadableError(f"has no column of times: {ACROSS}")
    why = "what stands in their place are row numbers" if numbered else f"its columns are {shown}"
    raise UnreadableError(
        f"has no column of times: {why}. Add one, or name it with "
        f"{option('columns', {'time': 'NAME'})}."
    )


def _clock_beside(
    day: int, names: list[str], table: Table, shape: Mapping[int, str]
) -> int | None:
    """The one column of times of day, under a name not known here, that runs one way through the
    rows of every day.
    """
    rows = [row for row in table.sample if len(row) == table.width]
    runs = [(row, after) for row, after in pairwise(rows) if row[day] == after[day]]
    found = []
    for place, kind in shape.items():
        if kind != "clock" or tells_of_rows(names[place]) or not runs:
            continue
        clocks = [one[place] for pair in runs for one in pair]
        clocks = [f"{clock}:00" if clock.count(":") == 1 else clock for clock in clocks]
        passed = pd.to_timedelta(clocks, errors="coerce")
        steps = np.sign(passed.asi8[1::2] - passed.asi8[::2])
        if not passed.isna().any() and steps[0] and (steps == steps[0]).all():
            found.append(place)
    return found[0] if len(found) == 1 else None


def _whole_minutes(table: Table, place: int) -> bool | None:
    """Whether the times of a column, which are not all one, lie on whole minutes; None if
    unread.
    """
    cells = pd.Series([row[place] for row in table.sample if place < len(row)])
    try:
        times = parse_times(cells).index
    except UnreadableError:
        return None
    return not (times.asi8 % _MINUTE).any() and times.nunique() > 1


def _set_symbol(
    roles: Roles, table: Table, given: dict[str, int], barred: set[str], free: list[int]
) -> None:
    if "symbol" in given:
        roles.symbol = given["symbol"]
    elif "symbol" not in barred:
        free = [place for place in free if place not in roles.time]
        surest = [
            place
            for place in BARS.candidates("symbol", roles.names)
            if place in free
            and _filled(table, place)
            and _may_name(table, place, roles.names[place])
        ]
        loose = [
            p
            for p in BARS.candidates("loose symbol", roles.names)
            if p in free and table.kinds()[p] == "text"
        ]
        roles.symbol = next(iter(surest or loose), None)


def _may_name(table: Table, place: int, name: str) -> bool:
    """Whether a column of one letter, such as ``S`` in a stream of bars, holds words."""
    return len(plain_name(name)) > 1 or table.kinds()[place] == "text"


def _filled(table: Table, place: int) -> bool:
    return any(row[place] for row in table.sample if place < len(row))


def _set_wide(roles: Roles, names: list[str], symbols: list[str]) -> None:
    wide: dict[str, dict[str, int]] = {}
    for place, (name, symbol) in enumerate(zip(names, symbols)):
        role = name if name in _FIELDS else _field_of(name)
        if symbol and role and place not in roles.time:
            wide.setdefault(symbol, {}).setdefault(role, place)
    whole = {symbol: fields for symbol, fields in wide.items() if set(PRICES) <= set(fields)}
    if len(whole) == 1:
        ((roles.instrument, fields),) = whole.items()
        roles.volumes = [fields.pop("volume")] if "volume" in fields else []
        roles.fields = fields
    roles.wide = whole if len(whole) > 1 else {}
    if set(wide) - set(whole) and whole:
        roles.notes.append(
            f"{', '.join(sorted(set(wide) - set(whole)))} without open, high, low and close left "
            f"out"
        )


def _set_fields(
    roles: Roles, table: Table, given: dict[str, int], barred: set[str], free: list[int]
) -> None:
    if roles.instrument:
        return
    taken = {*roles.time} | ({roles.symbol} if roles.symbol is not None else set())
    names, side = one_side(roles.names, given)
    if side is not None:
        roles.notes.append(f"{side} prices")
    for role in (*PRICES, "adjusted"):
        if role in given:
            roles.fields[role] = given[role]
        elif role not in barred:
            found = [
                place
                for place in BARS.candidates(role, names)
                if place in free and place not in taken
            ]
            if role == "adjusted":
                found = [place for place in found if not _is_flag(table, place, roles.names[place])]
            if found:
                _refuse_twins(role, found, names)
                roles.fields[role] = found[0]
                taken.add(found[0])
    if "volume" in given:
        roles.volumes = [given["volume"]]
    elif "volume" in barred:
        roles.no_volume = True
    else:
        left = [place for place in free if place not in taken]
        roles.volumes = [place for place in BARS.candidates("volume", roles.names) if place in left]
        more = [
            p
            for p in left
            if p not in roles.volumes
            and table.kinds()[p] == "number"
            and _OTHER_VOLUME.match(plain_name(roles.names[p], units=True))
        ]
        halves = _halves(roles.names, left)
        if halves and set(roles.volumes + more) <= set(halves):
            roles.volumes, roles.summed, more = halves, True, []
        roles.volumes += more  # of two, one may be the other in money


def _halves(names: list[str], left: list[int]) -> list[int]:
    """Two columns that make up the volume together: on rising and falling prices, or bought and
    sold.
    """
    plain = {plain_name(names[place]): place for place in reversed(left)}
    found = (
        [plain[one], plain[other]] for one, other in _HALVES if one in plain and other in plain
    )
    return next(found, [])


def _is_flag(table: Table, place: int, name: str) -> bool:
    """Whether a column says yes or no: a row was adjusted, not what its price would be."""
    if plain_name(name) != "adjusted":
        return False
    return all(row[place].lower() in _FLAGS for row in table.sample if place < len(row))


def _refuse_twins(role: str, found: list[int], names: list[str]) -> None:
    """Two columns of one name leave open which is meant."""
    wanted = plain_name(names[found[0]], units=True)
    twins = [place for place in found if plain_name(names[place], units=True) == wanted]
    if len(wanted) == 1:  # l and L are two names
        twins = [place for place in twins if names[place].strip() == names[found[0]].strip()]
    if len(twins) > 1:
        raise UnreadableError(
            f"column {clipped(names[twins[1]])} stands more than once: "
            f"{', '.join(map(clipped, names))}. Say which by its number, as in "
            f"{option('columns', {role: twins[0] + 1})}."
        )

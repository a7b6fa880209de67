"""Bars of bid and ask prices: one side is meant, and where a file holds both the caller says
which.
"""

from collections.abc import Mapping

from .._reading import UnreadableError, clipped, option, plain_name
from ._roles import BARS, PRICES

__all__ = ["SIDES", "one_side"]

SIDES = ("mid", "bid", "ask")


def one_side(names: list[str], given: Mapping[str, int]) -> tuple[list[str], str | None]:
    """The names of columns without the side of the market, and that side.

    Parameters
    ----------
    names : list of str
    given : mapping of role to position
        What the caller says; a price of one side means that side.

    Returns
    -------
    list of str, str or None
        Names of the other side are empty.

    Raises
    ------
    UnreadableError
        When both bid and ask have open, high, low and close, and nothing says which is meant.
    """
    found = {side: _prices_of(side, names) for side in SIDES}
    whole = [side for side in SIDES if set(found[side]) == set(PRICES)]
    plain = {
        role for role in PRICES for place in BARS.candidates(role, names) if not _side(names[place])
    }
    if not whole or plain == set(PRICES) or set(PRICES) <= set(given):
        return names, None
    told = [side for side in whole if set(found[side].values()) & set(given.values())]
    if len(told) != 1:
        told = whole if len(whole) == 1 or whole[0] == "mid" else []
    if not told:
        raise _both(found, names)
    side = told[0]
    out = list(names)
    for other in whole:
        for place in found[other].values():
            out[place] = ""
    for role, place in found[side].items():
        out[place] = role
    return out, side


def _side(name: str) -> str | None:
    """The side that a name of a column says, such as ``BidOpen`` or ``ask_c``."""
    plain = plain_name(name)
    return next((s for s in SIDES if plain.startswith(s) or plain.endswith(s)), None)


def _prices_of(side: str, names: list[str]) -> dict[str, int]:
    """Positions of open, high, low and close of one side."""
    found: dict[str, int] = {}
    for place, name in enumerate(names):
        if _side(name) != side:
            continue
        rest = plain_name(name).removeprefix(side).removesuffix(side).strip()
        role = (
            next((role for role in PRICES if BARS.candidates(role, [rest])), None) if rest else None
        )
        if role:
            found.setdefault(role, place)
    return found


def _both(found: Mapping[str, Mapping[str, int]], names: list[str]) -> UnreadableError:
    shown = " and ".join(
        f"{side} ({', '.join(clipped(names[found[side][role]]) for role in PRICES)})"
        for side in ("bid", "ask")
    )
    call = {role: names[found["bid"][role]] for role in PRICES}
    return UnreadableError(
        f"holds the prices of both sides, {shown}: say which the bars are, as in "
        f"{option('columns', call)}."
    )

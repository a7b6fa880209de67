"""Validation of a reader's options, and the columns that they name."""

from collections.abc import Collection, Hashable, Mapping

import pandas as pd

from ..exceptions import SktrainError
from ._names import plain_name
from ._protocol import UnreadableError, clipped, option
from ._table import Table

__all__ = ["all_names", "check_options", "given_columns"]

_TEXTS = ("timezone", "encoding", "symbol")


def check_options(
    told: Mapping[str, object],
    choices: Mapping[str, tuple[str | None, ...]],
    error: type[SktrainError],
) -> None:
    """Refuse options of a wrong kind.

    Parameters
    ----------
    told : mapping of str to object
        ``columns``, ``timezone``, ``dayfirst``, ``encoding``, ``symbol`` and those of ``choices``.
    choices : mapping of str to tuple of str
        The values of options that have few.
    error : type of exception
        What to raise.
    """
    for name, allowed in choices.items():
        if not _among(told[name], allowed):
            listed = ", ".join(map(repr, allowed))
            raise error(f"{name} must be one of {listed}, got {told[name]!r}.")
    if not _among(told["dayfirst"], (None, True, False)):
        raise error(f"dayfirst must be True, False or None, got {told['dayfirst']!r}.")
    for name in _TEXTS:
        if not isinstance(told[name], str | None):
            raise error(f"{name} must be a string or None, got {told[name]!r}.")
    _check_columns(told["columns"], error)
    zone = told["timezone"]
    if zone is not None:
        try:
            pd.Timestamp("2000-01-01").tz_localize(str(zone))
        except (KeyError, ValueError, OSError, TypeError) as fault:
            raise error(
                f"{option('timezone', zone)} is no time zone. Write it like "
                f"{option('timezone', 'America/New_York')}."
            ) from fault


def _among(value: object, allowed: tuple[object, ...]) -> bool:
    """Whether ``value`` is one of ``allowed``; an array, which has no one truth, is not."""
    return isinstance(value, Hashable) and value in allowed


def _check_columns(columns: object, error: type[SktrainError]) -> None:
    if columns is None or isinstance(columns, Mapping):
        return
    if isinstance(columns, list | tuple) and columns and all(isinstance(n, str) for n in columns):
        return
    raise error(
        "columns must map roles to names of columns, or list the names of all columns in order, "
        f"got {columns!r}."
    )


def all_names(columns: object) -> list[str] | None:
    """The names of all columns, where the caller lists them in place of the file's header."""
    return list(columns) if isinstance(columns, list | tuple) else None


def given_columns(
    columns: object, roles: Collection[str], names: list[str], table: Table
) -> tuple[dict[str, int], set[str]]:
    """Positions of the columns that the user names, and the roles that none shall play.

    Parameters
    ----------
    columns : mapping of str to str, or None
        Role to the name of a column, or its number from 1; no name where none shall play the role.
    roles : collection of str
        The roles there are.
    names : list of str
        Of the columns of ``table``.
    table : Table
        What was read.
    """
    if not isinstance(columns, Mapping | None):
        raise UnreadableError(
            f"columns must map roles to names of columns, got {type(columns).__name__}."
        )
    found: dict[str, int] = {}
    barred = set()
    for role, name in (columns or {}).items():
        if role not in roles:
            raise UnreadableError(
                f"columns names the role {clipped(role)}; the roles are {', '.join(roles)}."
            )
        if name is None or name == "":
            barred.add(role)
        else:
            found[role] = _position(name, names, table)
    return found, barred


def _position(name: object, names: list[str], table: Table) -> int:
    wanted = plain_name(name, units=True)
    exact = [i for i, one in enumerate(names) if one.strip() == str(name).strip()]
    alike = exact or [i for i, one in enumerate(names) if plain_name(one, units=True) == wanted]
    if len(alike) == 1:
        return alike[0]
    if not alike and str(name).isdigit() and 1 <= int(str(name)) <= table.width:
        return int(str(name)) - 1
    what = "stands more than once" if alike else "is not there"
    shown = (
        ", ".join(map(clipped, names))
        if table.headers
        else f"numbers 1 to {table.width} (there is no header)"
    )
    raise UnreadableError(f"the column {clipped(name)} {what}; the columns are {shown}.")

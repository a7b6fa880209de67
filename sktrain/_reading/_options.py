"""Validation of a reader's options, before a file is opened."""

from collections.abc import Hashable, Mapping

import pandas as pd

from ..exceptions import SktrainError
from ._protocol import option

__all__ = ["all_names", "check_options"]

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

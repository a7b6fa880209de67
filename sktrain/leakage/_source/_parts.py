"""What the mixins of the reader of sources find on the whole, declared for type checkers: nothing
is set here."""

from collections.abc import Callable
from typing import Any

from ._values import Value

__all__ = ["EventParts", "InterpreterParts"]


class EventParts:
    """What ``Calls`` uses of ``Events``."""

    active: set[int]
    fits: bool
    note: Callable[..., None]
    timed: Callable[[Value], None]
    loop: Callable[[Any], int]
    assigned: Callable[[str, Value], None]
    whole: Callable[[Value, int, str], Value]
    random: Callable[..., Value]
    fitted_on: Callable[..., None]
    folds: Callable[..., None]
    scored: Callable[..., None]


class InterpreterParts:
    """What ``Expressions`` uses of ``Interpreter``."""

    env: dict[str, Value]
    steps: int
    events: Any
    turning: list
    named: Callable[..., Value]
    assign: Callable[..., None]
    loop: Callable[..., None]

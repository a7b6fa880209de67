"""Every object inside a model, once each, however they hold each other."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["reached"]

_ATOMS = (str, bytes, int, float, type, type(None))


def reached(root: Any, inside: Callable[[Any], Iterable]) -> Iterator[Any]:
    """Objects with attributes that ``root`` is or holds, in containers of any depth.

    Parameters
    ----------
    root : object
    inside : callable
        ``inside(value) -> values`` says what of an object is looked at further, after it was
        yielded.
    """
    seen, waiting = set(), [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, _ATOMS):
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting.extend(value)
        elif isinstance(value, np.ndarray):
            waiting.extend(value.ravel().tolist() if value.dtype.kind == "O" else ())
        elif hasattr(value, "__dict__"):
            yield value
            waiting.extend(inside(value))

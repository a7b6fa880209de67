"""Arguments that a method does not have, and what to write instead."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

__all__ = ["renamed"]

_Method = TypeVar("_Method", bound=Callable)


def renamed(**advice: str) -> Callable[[_Method], _Method]:
    """Decorate a method so that arguments it has under another name are answered with that name.

    Parameters
    ----------
    **advice : str
        What to write instead of each argument, as the end of a sentence.

    Examples
    --------
    >>> class Search:
    ...     @renamed(n_iter="it is called n_trials")
    ...     def run(self, n_trials=30):
    ...         return n_trials
    >>> Search().run(n_iter=5)
    Traceback (most recent call last):
    TypeError: Search.run takes no n_iter: it is called n_trials.
    """

    def decorate(method):
        called = "" if method.__name__ == "__init__" else f".{method.__name__}"

        @wraps(method)
        def checked(self, *args, **given):
            told = [f"takes no {name}: {advice[name]}" for name in given if name in advice]
            if told:
                raise TypeError(f"{type(self).__name__}{called} {'; and '.join(told)}.")
            return method(self, *args, **given)

        return checked

    return decorate

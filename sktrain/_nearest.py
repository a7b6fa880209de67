"""The name that somebody may have meant."""

from collections.abc import Iterable
import difflib
import os
from pathlib import Path

__all__ = ["BUNDLED", "bundled_named", "did_you_mean"]

BUNDLED = ("sp500", "nasdaq", "us_stocks")


def bundled_named(path: str | os.PathLike) -> str | None:
    """The bundled bars that a path names, or nearly names; None where it is the path of a file.

    Examples
    --------
    >>> bundled_named("sp50"), bundled_named("sp500.csv"), bundled_named("my/sp500")
    ('sp500', None, None)
    """
    name = os.fspath(path)
    if Path(name).name != name or Path(name).suffix:
        return None
    near = difflib.get_close_matches(name, BUNDLED, n=1)
    return near[0] if near else None


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A sentence, with a space before it, that names the nearest of the known names; nothing where
    none is near.

    Examples
    --------
    >>> did_you_mean("gruu", ["lstm", "gru"]), did_you_mean("svm", ["lstm", "gru"])
    (" Did you mean 'gru'?", '')
    """
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""

"""What a reader understood: one line for people and one record."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
import json

from ..exceptions import SktrainError

__all__ = ["MissingRolesError", "Reading", "UnreadableError", "clipped", "option", "spoken"]

_FORM: ContextVar[dict | None] = ContextVar("form", default=None)
_SHOWN = 60  # characters of a cell that a message repeats


class UnreadableError(SktrainError):
    """A file that is not read, in words that name line, cell and remedy; the reader adds the
    path.
    """


class MissingRolesError(UnreadableError):
    """A file in which columns are wanting.

    Attributes
    ----------
    count : int
        How many.
    """

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


class Reading(dict):
    """The protocol of a reading: plain values by name, and one line as text.

    A dict of JSON values, so that pandas carries, compares and stores it like any other attribute.
    ``rows``, ``first``, ``last`` and ``spacing`` describe the result, ``zone`` its clock,
    ``columns`` which column of the file plays which role, ``notes`` what was decided, ``dropped``
    the rows left out by cause.
    """

    def __copy__(self) -> "Reading":
        return self

    def __deepcopy__(self, memo: dict) -> "Reading":
        return self

    def __str__(self) -> str:
        head = f"{self['rows']:,} {self.get('what', 'bars')}"
        span = f"{self['first']} … {self['last']}" if self["rows"] else ""
        parts = [head, span, self.get("spacing") or "", self.get("zone") or ""]
        dropped = [f"{count:,} {cause}" for cause, count in self.get("dropped", {}).items()]
        notes = [*self.get("notes", []), *([f"left out: {', '.join(dropped)}"] if dropped else [])]
        line = ", ".join(part for part in parts if part)
        return "; ".join([line, *notes])


@contextmanager
def spoken(names: dict[str, str]) -> Iterator[None]:
    """Inside the block, messages write options under the names that the caller has for them.

    Parameters
    ----------
    names : dict of str to str
        For each keyword a flag, such as ``--news-timezone``, or another keyword.
    """
    token = _FORM.set(names)
    try:
        yield
    finally:
        _FORM.reset(token)


def option(name: str, value: object = None) -> str:
    """An option with its value as the caller would write it: a keyword in Python, a flag on the
    command line.
    """
    names = _FORM.get()
    flag = name if names is None else names.get(name, f"--{name.replace('_', '-')}")
    if not flag.startswith("--"):
        return f"{flag}={value!r}" if value is not None else f"{flag}="
    if isinstance(value, dict):
        pairs = (f"{role}={_shell(str(column))}" for role, column in value.items())
        return f"{flag} {' '.join(pairs)}"
    if isinstance(value, list):
        return f"{flag} {' '.join(map(_shell, map(str, value)))}"
    if value is True or value is None:
        return flag
    return f"--no-{flag[2:]}" if value is False else f"{flag} {_shell(str(value))}"


def _shell(text: str) -> str:
    return (
        json.dumps(text, ensure_ascii=False)
        if not text or set(text) & set(" <>()&;|'\"$*")
        else text
    )


def clipped(text: object) -> str:
    """A cell or line as a message shows it: the user's own characters, shortened, on one line."""
    shown = repr(str(text)[:_SHOWN])
    return shown[:-1] + "…" + shown[-1] if len(str(text)) > _SHOWN else shown

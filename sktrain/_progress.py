"""Progress on a terminal: a stream that never breaks the work, and the one bar that all
modules show."""

from collections.abc import Callable, Iterable, Iterator
import sys
from typing import IO, Any, TypeVar, cast

__all__ = ["ProgressStream", "follow", "progress_bar", "progress_console"]

_Part = TypeVar("_Part")


class ProgressStream:
    """Standard output or error as a stream for progress: when its reader goes or its disk is full,
    what is written is dropped and the work goes on.

    Parameters
    ----------
    name : {"stdout", "stderr"}
        Looked up in :mod:`sys` at every write, so that redirections hold.

    Examples
    --------
    >>> ProgressStream("stdout").write("epoch 1")
    epoch 1
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(getattr(sys, self.name), attribute)

    def write(self, text: str) -> None:
        """Write ``text``, or drop it."""
        self._try("write", text)

    def flush(self) -> None:
        """Flush what was written, or drop it."""
        self._try("flush")

    def isatty(self) -> bool:
        """Whether a terminal shows the stream."""
        return bool(self._try("isatty"))

    def _try(self, method, *arguments):
        try:
            return getattr(getattr(sys, self.name), method)(*arguments)
        except (OSError, ValueError, AttributeError):  # gone, closed, None
            return None


def progress_console(name: str = "stdout", **options: Any) -> Any:
    """A ``rich.console.Console`` for progress over a :class:`ProgressStream`.

    rich itself ends the process when a reader has gone.

    Parameters
    ----------
    name : {"stdout", "stderr"}, default="stdout"
    **options
        Of the console.

    Examples
    --------
    >>> progress_console(quiet=True).print("epoch 1")
    """
    from rich.console import Console

    return Console(file=cast(IO[str], ProgressStream(name)), **options)


def progress_bar(*columns: Any, stream: str = "stdout", **options: Any) -> Any:
    """A ``rich.progress.Progress``: what is done, a bar, m of n, the time that is left.

    Parameters
    ----------
    *columns : rich.progress.ProgressColumn
        Shown behind.
    stream : {"stdout", "stderr"}, default="stdout"
    **options
        Of ``Progress``.

    Examples
    --------
    >>> progress_bar(disable=True).add_task("epochs", total=3)
    0
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    first = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*first, *columns, console=progress_console(stream), **options)


def follow(
    parts: Iterable[_Part],
    title: str | Callable[[_Part], str],
    total: int,
    *,
    shown: bool = True,
    size: Callable[[_Part], int] = lambda part: 1,
    stream: str = "stdout",
) -> Iterator[_Part]:
    """The parts one by one, with a bar that goes on when the work on each is done.

    Parameters
    ----------
    parts : iterable
    title : str or callable
        Before the bar; what a callable says of the part at work.
    total : int
        Sum of the sizes of all parts.
    shown : bool, default=True
        Without it there is no bar.
    size : callable, optional
        Of a part; default 1.
    stream : {"stdout", "stderr"}, default="stdout"

    Yields
    ------
    object
        Each part.

    Examples
    --------
    >>> list(follow("ab", "letters", 2, shown=False))
    ['a', 'b']
    """
    if not shown:
        yield from parts
        return
    with progress_bar(stream=stream, transient=True) as bar:
        task = bar.add_task(title if isinstance(title, str) else "", total=total)
        for part in parts:
            if not isinstance(title, str):
                bar.update(task, description=title(part))
            yield part
            bar.advance(task, size(part))

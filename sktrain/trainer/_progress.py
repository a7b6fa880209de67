"""What a run tells while it works: stages and epochs enter, a progress display on stderr leaves, or nothing when quiet."""

from contextlib import contextmanager
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["Reporter"]


class Reporter:
    """Progress of the stages of a run.

    Parameters
    ----------
    verbose : int, default=0
        0 shows nothing; 1 shows a line per stage on stderr, with a moving bar where stderr is a terminal.
    """

    def __init__(self, verbose=0):
        self.verbose = verbose
        self.seconds = {}
        self._console = Console(stderr=True, quiet=not verbose)
        self._progress = None

    def note(self, text):
        """Say one line."""
        self._console.print(text, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, name, total=None):
        """Show and time one stage; yields a function that advances its bar by one step."""
        start = time.perf_counter()
        with self._bar() as progress:
            task = progress.add_task(name, total=total)

            def advance(text=None):
                progress.update(task, advance=1, description=name if text is None else f"{name}: {text}")

            yield advance
        self.seconds[name] = time.perf_counter() - start
        if not self._console.is_terminal:
            self.note(f"{name}: {self.seconds[name]:.1f} s")

    def _bar(self):
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, console=self._console, disable=not (self.verbose and self._console.is_terminal))

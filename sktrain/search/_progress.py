"""Says how a search goes: finished trials enter, a bar or a line per trial leaves; silent unless asked."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["SearchProgress"]


class SearchProgress:
    """A bar with the best score so far (``bar``) and a line per trial (``verbose``).

    Parameters
    ----------
    total : int or None
        Trials to come, None when only time limits the search.
    bar : bool
    verbose : int
    """

    def __init__(self, total, *, bar, verbose):
        self.best, self.total, self.verbose = None, total, verbose
        self.console = Console()
        columns = (TextColumn("search"), BarColumn(), MofNCompleteColumn(), TextColumn("best {task.fields[best]}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=self.console) if bar else None

    def __enter__(self):
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task("search", total=self.total, best="-")
        return self

    def __exit__(self, *error):
        if self._bar:
            self._bar.stop()

    def add(self, record, *, resumed=False):
        """Count a finished trial."""
        if record.value is not None and (self.best is None or record.value > self.best):
            self.best = record.value
        shown = "-" if self.best is None else f"{self.best:.4f}"
        if self._bar:
            self._bar.update(self._task, advance=1, best=shown)
        if self.verbose and not resumed:
            score = "" if record.value is None else f" {record.value:.4f}"
            self.console.print(f"trial {record.slot}: {record.state}{score} in {record.duration:.1f} s, best {shown}  {record.params}", highlight=False)

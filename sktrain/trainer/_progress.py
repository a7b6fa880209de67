"""What a run tells while it works: one line per stage on stderr, and a moving bar of epochs and
folds on a terminal."""

from collections.abc import Callable
from contextlib import contextmanager
import time

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from skorch.callbacks import Callback

from .._progress import ProgressStream, progress_console
from ._workers import asked_to_stop, tell_parent

__all__ = ["EpochWatch", "Reporter", "RunStop", "default_verbosity"]


def default_verbosity():
    """1 where somebody watches the terminal, else 0."""
    return int(ProgressStream("stderr").isatty())


class EpochWatch(Callback):
    """Tells somebody of every epoch; clones and copies share who that is, a pickle leaves it
    behind.

    Parameters
    ----------
    tell : callable or None
        Called as ``tell(text)`` after every epoch; in another process its parent is told.
    name : str
        Of the net.
    """

    passing_ = ("tell", "name")

    def __init__(self, tell=None, name=""):
        self.tell = tell
        self.name = name

    def __sklearn_clone__(self):
        return EpochWatch(self.tell, self.name)

    def __deepcopy__(self, memo):
        return EpochWatch(self.tell, self.name)

    def __getstate__(self):
        return {"tell": None, "name": self.name}

    def on_epoch_end(self, net, **kwargs):
        row = net.history_[-1]
        losses = " ".join(
            f"{short} {row[key]:.3f}"
            for short, key in (("loss", "train_loss"), ("val", "valid_loss"))
            if key in row
        )
        text = f"{self.name} epoch {len(net.history_)} of at most {net.max_epochs}, {losses}"
        (tell_parent if self.tell is None else self.tell)(text)


class RunStop(Callback):
    """Ends a training after the current batch when the run is asked to stop, in a worker too.

    Parameters
    ----------
    stop : callable or None
        Says whether to stop; clones and copies share it, a pickle leaves it behind.
    """

    passing_ = ("stop",)

    def __init__(self, stop: Callable | None = None) -> None:
        self.stop = stop

    def __sklearn_clone__(self):
        return RunStop(self.stop)

    def __deepcopy__(self, memo):
        return RunStop(self.stop)

    def __getstate__(self):
        return {"stop": None}

    def on_batch_end(self, net, training=None, **kwargs):
        if training and asked_to_stop(self.stop):
            net.request_stop("stop_flag")


class Reporter:
    """Progress of the stages of a run.

    Parameters
    ----------
    verbose : int, default=0
        0 shows nothing; 1 shows a line per stage on stderr, with a moving bar where stderr is a
        terminal.
    """

    def __init__(self, verbose=0):
        self.verbose = verbose
        self.seconds = {}
        self._console = progress_console("stderr", quiet=not verbose, highlight=False)
        self._bar, self._task, self._name = None, None, ""

    def note(self, text):
        """Say one line; nothing in it is markup."""
        self._console.print(escape(text), soft_wrap=not self._console.is_terminal)

    def show(self, text: str) -> None:
        """Show how far the stage is, where its bar moves."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self._name}: {text}")

    @contextmanager
    def stage(self, name, total=None):
        """Show and time one stage; yields a function that advances its bar by one step."""
        start = time.perf_counter()
        one_line = Column(no_wrap=True, overflow="ellipsis")
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, table_column=one_line),
            *(() if total is None else (BarColumn(20), MofNCompleteColumn())),
        )
        shown = Progress(
            *columns,
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not (self.verbose and self._console.is_terminal),
        )
        with shown:
            self._bar, self._name, self._task = shown, name, shown.add_task(name, total=total)
            yield lambda: shown.update(self._task, advance=1)
            self._bar = None
        self.seconds[name] = time.perf_counter() - start
        self.note(f"{name}: {self.seconds[name]:.1f} s")

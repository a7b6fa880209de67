"""What one call of ``train`` knows: stages read it and fill it."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
import signal
import threading
from typing import Any

from numpy import concatenate, sort

from ._config import EnhancedTrainingConfig
from ._models import FitPlan
from ._progress import Reporter

__all__ = ["Run", "interrupts"]


@dataclass
class Run:
    """The state of a run.

    Attributes
    ----------
    config : EnhancedTrainingConfig
    folder : Path
        Where the run's files will stand.
    plan : FitPlan
    reporter : Reporter
    given : tuple of str
        Hyperparameters the caller gave, which a search leaves alone.
    source, task, blocks, model : filled by the stages
    warnings : list of str
        What the result must tell beside its figures.
    asked : callable or None
        Says whether the caller wants the run to stop.
    interrupted : bool
        Whether Ctrl-C was pressed.
    """

    config: EnhancedTrainingConfig
    folder: Path
    plan: FitPlan
    reporter: Reporter
    given: tuple = ()
    source: Any = None
    task: Any = None
    blocks: tuple = ()
    model: Any = None
    warnings: list = field(default_factory=list)
    asked: Callable[[], bool] | None = None
    interrupted: bool = False

    def stopped(self):
        """Whether the caller asked to stop, or pressed Ctrl-C."""
        return self.interrupted or (self.asked is not None and self.asked())

    @property
    def status(self):
        """ "success", "stopped" (by the flag) or "interrupted" (Ctrl-C)."""
        return "interrupted" if self.interrupted else "stopped" if self.stopped() else "success"

    def rows(self, *blocks):
        """Bars and labels of some of the blocks ("train", "val", "test"), in order of time."""
        chosen = sort(
            concatenate([self.blocks[("train", "val", "test").index(name)] for name in blocks])
        )
        return self.task.bars.iloc[chosen], self.task.y.iloc[chosen]

    def warn(self, text):
        """Say something that the result keeps."""
        self.warnings.append(text)
        self.reporter.note(text)


@contextmanager
def interrupts(run):
    """The first Ctrl-C asks the run to stop and keep what was trained; a second one ends it at
    once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number, frame):
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True
        run.reporter.note("interrupted: keeping what was trained (Ctrl-C again ends at once)")

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

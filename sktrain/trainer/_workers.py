"""Processes in which a run fits nets, folds and trials at the same time, with the same results as
in one.

On Linux they are forked: they share what this process has imported and hold some 100 MiB of their
own, where a process begun anew imports torch for 350 MiB and four seconds. Forking beside threads
is what torch's own ``DataLoader`` does there; a forked process runs on one thread, touches neither
terminal nor card, and ends with the process it was forked from. Elsewhere, or where nets train on a
card, joblib's loky begins them anew. A training that is itself in a worker has one process, unless
it is given a number.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager
import ctypes
import gc
import multiprocessing
import os
from pathlib import Path
import signal
import sys
import threading
from typing import Any
import warnings

from joblib import cpu_count, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import (
    FallbackToBackend,
    LokyBackend,
    ParallelBackendBase,
    SequentialBackend,
)

from .._devices import find_device
from ..exceptions import SktrainError
from ..reproducibility import single_thread
from ._config import EnhancedTrainingConfig

__all__ = ["TRIALS", "asked_to_stop", "one_thread", "processes", "tell_parent", "workers"]

TRIALS = 4  # in one batch of OptunaSearchCV (search._study.BATCH)
# seconds between two questions whether to stop, while workers are at work: a judgment
_ASKED_EVERY = 0.2
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_file: str | None = None  # in a worker: the file that tells it to stop
_queue: Any = None  # in a forked worker: where it tells how far it is


def asked_to_stop(stop: Callable | None = None) -> bool:
    """Whether ``stop`` says so, or this is a worker of a run that was asked to stop."""
    if stop is not None and stop():
        return True
    return _file is not None and os.path.exists(_file)


def tell_parent(text: str) -> None:
    """In a forked worker, say how far it is; nothing elsewhere."""
    if _queue is not None:
        _queue.put(text)


def processes(config: EnhancedTrainingConfig) -> int:
    """How many fits run at the same time."""
    on_card = find_device(config.device).type != "cpu"
    return min(_asked_for(config.n_jobs, on_card), _at_once(config))


def one_thread() -> AbstractContextManager[None]:
    """While inside, torch computes on one thread, here and in the workers: results do not depend on
    their number."""
    from .. import nets  # noqa: F401  # torch is here before its threads are limited

    return single_thread()


@contextmanager
def workers(
    config: EnhancedTrainingConfig,
    file: Path,
    stop: Callable | None,
    show: Callable | None = None,
) -> Iterator[None]:
    """While inside, every joblib call shares one set of processes.

    Parameters
    ----------
    config : EnhancedTrainingConfig
        Its ``n_jobs`` processes, but no more than it has fits that do not wait for each other.
    file : path
        Made once ``stop`` says True; workers look for it.
    stop : callable or None
        Asked whether to stop.
    show : callable or None
        Called as ``show(text)`` when a forked worker tells how far it is.

    Raises
    ------
    SktrainError
        When a worker died.
    """
    count = processes(config)
    with ExitStack() as stack:
        if count > 1:
            stack.enter_context(_asking(stop, file))
            forks = sys.platform == "linux" and find_device(config.device).type == "cpu"
            backend = _Forked(count, str(file), show) if forks else _Begun(count, str(file))
            stack.callback(backend.close)
            stack.enter_context(parallel_config(backend=backend, n_jobs=count))
        try:
            yield
        except TerminatedWorkerError as error:
            raise SktrainError(
                "A worker process died: killed by a signal, or out of memory. resume=True goes on "
                f"from what was done; n_jobs=1 needs less memory than n_jobs={config.n_jobs}."
            ) from error


def _at_once(config):
    """The most fits that do not wait for each other: nets, folds, the trials of a batch."""
    folds = config.wf_folds if config.use_walk_forward else 1
    return max(len(config.models), folds, TRIALS if config.use_hpo else 1)


def _asked_for(n_jobs, on_card):
    """Processes that ``n_jobs`` means; "all" are as many as there are cores, or cards."""
    if n_jobs is None or n_jobs > 0:
        return n_jobs or 1
    if multiprocessing.current_process().name != "MainProcess":
        return 1
    if on_card:
        import torch

        return max(torch.cuda.device_count() + 1 + n_jobs, 1)
    return max(cpu_count() + 1 + n_jobs, 1)


@contextmanager
def _asking(stop, file):
    """Ask ``stop`` again and again, and make ``file`` once it says True."""
    file.unlink(missing_ok=True)
    if stop is None:
        yield
        return
    done = threading.Event()

    def ask():
        while not done.wait(_ASKED_EVERY):
            if stop():
                file.touch()
                return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()
        file.unlink(missing_ok=True)


class _Told:
    """A job that knows in its process which file tells it to stop."""

    def __init__(self, job, file):
        self.job, self.file = job, file

    def __call__(self):
        global _file
        _file = self.file
        return self.job()


class _Begun(LokyBackend):
    """joblib's own workers."""

    def __init__(self, most, file):
        super().__init__(inner_max_num_threads=1)
        self.most, self.file = most, file

    def effective_n_jobs(self, n_jobs):
        return min(super().effective_n_jobs(n_jobs), self.most)

    def get_nested_backend(self):
        return SequentialBackend(nesting_level=1), None

    def submit(self, func, callback=None):
        return super().submit(_Told(func, self.file), callback)

    def close(self) -> None:
        """Nothing: joblib keeps them for the next call."""


class _Forked(ParallelBackendBase):
    """Forked workers, which live from their first job to the end of the run."""

    supports_retrieve_callback = True

    def __init__(self, most: int, file: str, show: Callable | None) -> None:
        super().__init__(nesting_level=0)
        self.most, self.file, self.show = most, file, show
        self._context = multiprocessing.get_context("fork")
        self._pool: ProcessPoolExecutor | None = None
        self._queue: Any = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        return min(_asked_for(n_jobs, on_card=False), self.most)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **kwargs: Any) -> int:
        self.parallel = parallel
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        return count

    def get_nested_backend(self):
        return SequentialBackend(nesting_level=1), None

    def submit(self, func: Callable, callback: Callable | None = None) -> Future:
        if self._pool is None:
            self._queue = self._context.SimpleQueue() if self.show is not None else None
            self._pool = ProcessPoolExecutor(
                self.most,
                mp_context=self._context,
                initializer=_begin,
                initargs=(os.getpid(), self._queue),
            )
        with warnings.catch_warnings():  # the first job forks; why that may be: see the module
            warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
            first = not self._pool._processes
            job = self._pool.submit(_Told(func, self.file))
        if first and self._queue is not None:  # after the fork: a thread is not in the child
            threading.Thread(target=_listen, args=(self._queue, self.show), daemon=True).start()
        if callback is not None:
            job.add_done_callback(callback)
        return job

    def retrieve_result_callback(self, out: Future) -> Any:
        try:
            return out.result()
        except BrokenProcessPool as error:
            raise TerminatedWorkerError(str(error)) from error

    def abort_everything(self, ensure_ready: bool = True) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, whatever they do."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        alive = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for one in alive:
            one.terminate()
        for one in alive:
            one.join()
        if self._queue is not None:
            self._queue.put(None)


def _listen(queue, show):
    """Pass on what workers tell, until None."""
    while (text := queue.get()) is not None:
        show(text)


def _begin(parent, queue):
    """In a new worker: Ctrl-C is left to the parent, with which it dies. One thread is
    inherited."""
    gc.freeze()  # what was inherited stays shared: the collector would write to every object
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be told
        os._exit(1)
    global _queue
    _queue = queue

"""Which random numbers a fit draws, and what else decides whether two runs agree.

Within a seeded scope python, numpy and torch draw from one seed; after it every global is what it
was. Nothing here looks at data or time.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
import os
import random
import sys
import threading
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import validate_parameter_constraints
from threadpoolctl import threadpool_limits

from ._typing import EstimatorT
from ._validation import Count

__all__ = [
    "DeterministicTrainingConfig",
    "alone",
    "draw_seed",
    "rng_scope",
    "seed_parts",
    "single_thread",
    "unmoved_generators",
]

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
# of seeds for random_state=None, while a DeterministicTrainingConfig is in force
_streams: list[Any] = []
_training = threading.RLock()


def _unlock_in_child():
    global _training
    _training = threading.RLock()  # the thread that held it is not in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_in_child)


def alone() -> AbstractContextManager:
    """A lock for what trains by the global generators of python, numpy and torch.

    A process has one of each, so trainings in its threads (joblib's threading backend, Dask's
    threaded workers) take turns; then each draws what its seed says. What holds the lock must not
    wait for threads that want it.

    Returns
    -------
    context manager
        Reentrant; to be held while training.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain.reproducibility import alone
    >>> with alone():  # no other training of this process draws in between
    ...     np.random.seed(0)
    ...     first = np.random.random()
    >>> round(first, 3)
    0.549
    """
    return _training


def draw_seed(
    random_state: int | np.random.RandomState | np.random.Generator | None, *path: Any
) -> int:
    """One 63-bit seed from ``random_state`` and a path of counters (a trial, a fold, the number of
    a ``partial_fit``).

    Parameters
    ----------
    random_state : None, int or numpy RandomState or Generator
        None draws from the operating system, or, while a :class:`DeterministicTrainingConfig` is
        enabled, one seed after the other from its ``seed``; an int is used as it is, a generator is
        advanced.
    *path : int
        Streams with different paths are independent.

    Returns
    -------
    int
        Seed in [0, 2**63).

    Examples
    --------
    >>> draw_seed(0, 1) == draw_seed(0, 1), draw_seed(0, 1) == draw_seed(0, 2)
    (True, False)
    """
    if random_state is None:
        entropy = (
            int(_streams[-1].integers(0, 2**63 - 1))
            if _streams
            else np.random.SeedSequence().entropy
        )
    elif isinstance(random_state, np.random.RandomState):
        entropy = int(random_state.randint(0, 2**31 - 1))
    elif isinstance(random_state, np.random.Generator):
        entropy = int(random_state.integers(0, 2**31 - 1))
    else:
        entropy = int(random_state)
    return int(
        np.random.SeedSequence([entropy, *path]).generate_state(1, np.uint64)[0] >> np.uint64(1)
    )


def seed_parts(estimator: EstimatorT, key: int | Sequence[int]) -> EstimatorT:
    """Give every ``random_state`` that is None, of an estimator or of a part of it, a seed of its
    own; what the user fixed stays.

    Parameters
    ----------
    estimator : estimator
        Changed in place.
    key : int or sequence of int
        Equal keys give equal seeds.

    Returns
    -------
    estimator
        The same object.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> first, second = (seed_parts(DecisionTreeClassifier(), [0, 1]) for _ in range(2))
    >>> first.random_state == second.random_state
    True
    """
    params = estimator.get_params(deep=True)
    unseeded = sorted(
        name
        for name, value in params.items()
        if name.split("__")[-1] == "random_state" and value is None
    )
    if unseeded:
        seeds = np.random.SeedSequence(key).generate_state(len(unseeded))
        estimator.set_params(
            **{name: int(seed % np.iinfo(np.int32).max) for name, seed in zip(unseeded, seeds)}
        )
    return estimator


def _loaded_torch():
    """torch where it is loaded: a process that has not imported it draws nothing from it."""
    return sys.modules.get("torch")


def _seed_everything(seed):
    if not isinstance(seed, int):
        seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    random.seed(seed)
    # libraries called inside may draw from the global generator
    np.random.seed(seed % 2**32)  # noqa: NPY002
    if torch := _loaded_torch():
        torch.manual_seed(seed)


def rng_states():
    """The states of the global generators of python, numpy and, where it is loaded, torch, every
    CUDA device in use included."""
    states = {"python": random.getstate(), "numpy": np.random.get_state()}  # noqa: NPY002
    if torch := _loaded_torch():
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        states.update(torch=torch.get_rng_state(), cuda=cuda)
    return states


def set_rng_states(states):
    """Put back what :func:`rng_states` read."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    if "torch" not in states:
        return
    import torch

    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


@contextmanager
def unmoved_generators() -> Iterator[None]:
    """Put the global generators of python, numpy and, where it is loaded, torch back at the end.

    They are read and put back while no training of another thread draws from them.

    Examples
    --------
    >>> import random
    >>> before = random.getstate()
    >>> with unmoved_generators():
    ...     _ = random.random()
    >>> random.getstate() == before
    True
    """
    with alone():
        states = rng_states()
    try:
        yield
    finally:
        with alone():
            set_rng_states(states)


@contextmanager
def rng_scope(seed: int | Sequence[int]) -> Iterator[None]:
    """Seed python, numpy and torch (where it is loaded), and put their global states back at the
    end, whatever happens inside.

    Parameters
    ----------
    seed : int or sequence of int
        Seed of the three generators.

    Examples
    --------
    >>> import random
    >>> before = random.getstate()
    >>> with rng_scope(0):
    ...     _ = random.random()
    >>> random.getstate() == before
    True
    """
    with unmoved_generators():
        with alone():
            _seed_everything(seed)
        yield


@contextmanager
def single_thread() -> Iterator[None]:
    """BLAS, OpenMP and torch on one thread; what was set before comes back.

    Sums over threads are added in another order for another number of them: on one thread, a result
    does not depend on how many cores there are.

    Examples
    --------
    >>> from threadpoolctl import threadpool_info
    >>> with single_thread():
    ...     {pool["num_threads"] for pool in threadpool_info()} <= {1}
    True
    """
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else None
    with threadpool_limits(limits=1):
        if torch and before != 1:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch and before != 1:
                torch.set_num_threads(before)


class DeterministicTrainingConfig(BaseEstimator):
    """Global switches that make two trainings on one machine class agree bit for bit.

    The nets need none of this on a CPU: ``random_state`` alone makes a fit repeatable, whatever the
    caller's generators. Nets with ``random_state=None`` are repeatable while it is enabled: the
    n-th of them gets the n-th seed drawn from ``seed``. This is for them, for your own training
    loop, and for CUDA, where some kernels add in a different order in each run. It reaches the
    threads of this process, not other processes.

    Parameters
    ----------
    enabled : bool, default=False
        Seed python, numpy and torch, and ask torch for deterministic kernels (an operation that has
        none raises an error).
    seed : int, default=42
        Seed of all generators, used when enabled.
    benchmark : bool, default=True
        Let cuDNN time its kernels and keep the fastest; which one wins may differ between runs, so
        it is off when enabled.
    num_threads : int, optional
        Threads of torch's operators. Sums over threads are added in another order for another
        number of them.

    Examples
    --------
    >>> import torch
    >>> from sktrain import DeterministicTrainingConfig
    >>> with DeterministicTrainingConfig(enabled=True, seed=1):
    ...     first = torch.rand(1)
    >>> with DeterministicTrainingConfig(enabled=True, seed=1):
    ...     bool(first == torch.rand(1))
    True
    """

    _parameter_constraints = {
        "enabled": ["boolean"],
        "seed": [Count(0, 2**32 - 1)],
        "benchmark": ["boolean"],
        "num_threads": [Count(1), None],
    }

    def __init__(
        self,
        enabled: bool = False,
        seed: int = 42,
        benchmark: bool = True,
        num_threads: int | None = None,
    ) -> None:
        self.enabled = enabled
        self.seed = seed
        self.benchmark = benchmark
        self.num_threads = num_threads

    def apply(self) -> Self:
        """Set the switches for the rest of the process, or until the ``with`` block that surrounds
        the call ends.

        Returns
        -------
        self
            The configuration.
        """
        import torch

        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        if self.num_threads is not None:
            torch.set_num_threads(self.num_threads)
        torch.backends.cudnn.benchmark = bool(self.benchmark and not self.enabled)
        if self.enabled:
            os.environ.setdefault(_CUBLAS, ":4096:8")
            torch.backends.cudnn.deterministic = True
            torch.use_deterministic_algorithms(True)
            _seed_everything(self.seed)
            _streams.append(np.random.default_rng(self.seed))
        else:
            _streams.clear()
        return self

    def __enter__(self):
        saved = _globals()
        stack = self.__dict__.setdefault("_saved_", [])
        stack.append(saved)
        try:
            return self.apply()
        except BaseException:
            stack.pop()
            raise

    def __exit__(self, *exception):
        _restore(self._saved_.pop())
        if not self._saved_:
            del self._saved_


def _globals():
    import torch

    return {
        "threads": torch.get_num_threads(),
        "benchmark": torch.backends.cudnn.benchmark,
        "cudnn": torch.backends.cudnn.deterministic,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "workspace": os.environ.get(_CUBLAS),
        "rng": rng_states(),
        "streams": list(_streams),
    }


def _restore(saved):
    import torch

    torch.set_num_threads(saved["threads"])
    torch.backends.cudnn.benchmark = saved["benchmark"]
    torch.backends.cudnn.deterministic = saved["cudnn"]
    torch.use_deterministic_algorithms(saved["deterministic"], warn_only=saved["warn_only"])
    if saved["workspace"] is None:
        os.environ.pop(_CUBLAS, None)
    else:
        os.environ[_CUBLAS] = saved["workspace"]
    set_rng_states(saved["rng"])
    _streams[:] = saved["streams"]

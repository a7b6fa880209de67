"""The device that ``device=`` names, for every module that computes with torch.

Worker processes on a machine with several cards are spread over them: where the name leaves the
card open ("auto", "cuda"), the k-th worker takes card k modulo their number.
"""

import multiprocessing
import os
import re
import sys
from typing import Any

from .exceptions import SktrainError

__all__ = [
    "check_device", "check_device_name", "describe_device", "find_device", "has_float64", "is_card",
    "worker_index",
]  # fmt: skip

_KNOWN = re.compile(r"auto|cpu|cuda(:\d+)?")  # torch need not be asked for these
_CARDS = {"cuda"}
_FLOAT64 = {"cpu", "cuda"}


def find_device(device: Any) -> Any:
    """The device of torch that ``device`` names; it need not be here.

    Parameters
    ----------
    device : str or torch.device
        "auto" is a CUDA card where there is one, else the CPU. In a worker process on a machine
        with several cards, "auto" and "cuda" are the card of this worker.

    Returns
    -------
    torch.device
        The device.

    Raises
    ------
    SktrainError
        When torch knows no such device.
    """
    import torch

    if isinstance(device, str) and device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise SktrainError(
            f"device must be 'auto' or a device of torch such as 'cpu' or 'cuda', got {device!r}."
        ) from None
    if found.type == "cuda" and found.index is None:
        worker, cards = worker_index(), torch.cuda.device_count()
        if worker is not None and cards > 1:
            return torch.device("cuda", worker % cards)
    return found


def check_device(device: Any) -> None:
    """Refuse a device that torch does not know or this machine does not have."""
    import torch

    found = find_device(device)
    if found.type == "cuda" and not torch.cuda.is_available():
        raise SktrainError(
            f"device={device!r}, but torch sees no CUDA device here. Use device='cpu'."
        )
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        there = ", ".join(f"'cuda:{k}'" for k in range(torch.cuda.device_count()))
        raise SktrainError(f"device={device!r} is not there: this machine has {there}.")
    if found.type != "cpu":
        try:
            torch.zeros(1, device=found)
        except (RuntimeError, AssertionError):
            raise SktrainError(
                f"device={device!r} is not there: torch cannot put a tensor on it. "
                "Use device='cpu'."
            ) from None


def check_device_name(device: Any) -> None:
    """Refuse what no machine has; whether this one has it shows when it is used."""
    if not (isinstance(device, str) and _KNOWN.fullmatch(device)):
        find_device(device)


def is_card(device: Any) -> bool:
    """Whether a device of torch keeps rows in its own memory and replays recorded steps."""
    return device.type in _CARDS


def has_float64(device: Any) -> bool:
    """Whether a device of torch is known to compute in float64; Apple's ``mps`` does not."""
    return device.type in _FLOAT64


def describe_device(device: Any) -> str:
    """The device in words, such as "cpu" or "cuda:0, NVIDIA H100 80GB HBM3"."""
    import torch

    found = find_device(device)
    if found.type != "cuda":
        return str(found)
    index = torch.cuda.current_device() if found.index is None else found.index
    return f"cuda:{index}, {torch.cuda.get_device_name(index)}"


def worker_index() -> int | None:
    """Which of the worker processes of this machine this one is, counted from 0.

    Returns
    -------
    int or None
        For a Dask worker its rank by address among those of its machine; for a process of joblib or
        multiprocessing its number, in the order they were started. None outside of workers.
    """
    ranked = _rank_in_dask()
    if ranked is not None:
        return ranked
    # started by multiprocessing or joblib's loky, whose processes are numbered from 1
    number = getattr(multiprocessing.current_process(), "_identity", ())
    return number[-1] - 1 if number else None


_ranks: dict[int, int] = {}  # by process: a worker keeps its card


def _rank_in_dask():
    """Rank of this Dask worker on its machine, by address; None outside of a worker's task."""
    if "distributed.worker" not in sys.modules:
        return None
    from distributed import get_client, get_worker

    if os.getpid() not in _ranks:
        try:
            mine = get_worker().address
        except ValueError:
            return None
        host = mine.rpartition(":")[0]
        known = get_client().scheduler_info(n_workers=-1)["workers"]
        beside = {one for one in known if one.rpartition(":")[0] == host}
        _ranks[os.getpid()] = sorted({mine, *beside}).index(mine)
    return _ranks[os.getpid()]

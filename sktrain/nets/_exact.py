"""Settings of cuDNN and cuBLAS while a net is at work on a card.

They belong to the process, not to a thread: the first that needs them sets them, the last puts back
what the caller had.
"""

from collections.abc import Callable, Iterator
import contextlib
from threading import Lock
from typing import Any

import torch

from .._devices import is_card

__all__ = ["exact_on"]

_lock = Lock()
_inside: list[Callable[[], None]] = []
"""Gives the caller's settings back: the same for everyone inside, once for each."""


def exact_on(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Context: cuDNN deterministic, nothing in TF32, as the caller had it afterwards.

    On one H100 the TCN trained in float32 differed between runs without the first, and LSTM, GRU
    and TCN from the CPU by 1e-4 without the second (1e-6 with it), for 1.1 to 1.5 times the time.
    """
    if not is_card(device):
        return contextlib.nullcontext()
    return _exact()


@contextlib.contextmanager
def _exact() -> Iterator[None]:
    with _lock:
        _inside.append(_inside[0] if _inside else _set())
    try:
        yield
    finally:
        with _lock:
            give_back = _inside.pop()
            if not _inside:
                give_back()


def _set() -> Callable[[], None]:
    """Set what :func:`exact_on` says; the call that gives back what was there."""
    cudnn: Any = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    precision = _no_tf32()

    def give_back():
        precision()
        cudnn.deterministic, cudnn.benchmark = before

    return give_back


def _no_tf32() -> Callable[[], None]:
    """No operation in TF32; the call that gives back what was there.

    torch says it twice: by ``allow_tf32``, which refuses to be read where the other was used, and
    (from 2.9 on) by ``fp32_precision`` of each operation, which follows that of cuDNN unless it was
    set itself. While a net is at work, both say the same, so that code inside may ask either.
    """
    cudnn: Any = torch.backends.cudnn
    products: Any = torch.backends.cuda.matmul
    allowed = [part for part in (cudnn, products) if _allows(part)]
    named = _precision_of_products() if products in allowed else None
    fixed = _fixed_by_name(cudnn, products)
    for part in allowed:
        part.allow_tf32 = False
    for part, _ in fixed:
        part.fp32_precision = "ieee"

    def give_back():
        for part in allowed:
            part.allow_tf32 = True
        if named == "medium":  # which also allows TF32
            torch.set_float32_matmul_precision(named)
        for part, value in reversed(fixed):
            part.fp32_precision = value

    return give_back


def _allows(part) -> bool:
    """Whether it says by ``allow_tf32`` that it uses TF32."""
    try:
        return bool(part.allow_tf32)
    except RuntimeError:  # set by name, which says it all
        return False


def _precision_of_products() -> str | None:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


def _fixed_by_name(cudnn, products) -> list[tuple[Any, str]]:
    """The settings by name to change, the one that the others follow first, each with what it is to
    be given back: "none" where it follows."""
    if getattr(products, "fp32_precision", None) is None:
        return []
    whole, above = cudnn.fp32_precision, torch.backends.fp32_precision  # type: ignore[attr-defined]
    parts = (products, cudnn.conv, cudnn.rnn)
    before = [part.fp32_precision for part in parts]
    cudnn.fp32_precision = "ieee"
    found = [(cudnn, "none" if whole == above else whole)]
    for part, value in zip(parts, before, strict=True):
        own = part.fp32_precision == "tf32"
        if own or value == whole == "tf32":
            found.append((part, "tf32" if own else "none"))
    return found

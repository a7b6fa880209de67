"""The device that a net trains and predicts on.

A fitted net follows its ``device``. On a card, convolutions and recurrent layers of cuDNN are kept
deterministic and in full float32 while the net is at work.
"""

import contextlib
from typing import Any

import torch

from ..exceptions import SktrainError

__all__ = ["Placed", "check_device", "exact_on", "resolve_device"]


def resolve_device(device: Any) -> torch.device:
    """The device of torch that ``device`` names; "auto" is the first CUDA card, else the CPU."""
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except (RuntimeError, TypeError):
        raise SktrainError(
            f"device must be 'auto' or a device of torch such as 'cpu' or 'cuda', got {device!r}."
        ) from None


def check_device(device: object) -> None:
    """Refuse a device that torch does not know or this machine does not have."""
    found = resolve_device(device)
    if found.type == "cuda" and not torch.cuda.is_available():
        raise SktrainError(f"device={device!r}, but torch sees no CUDA device here. Use device='cpu'.")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        there = ", ".join(f"'cuda:{k}'" for k in range(torch.cuda.device_count()))
        raise SktrainError(f"device={device!r} is not there: this machine has {there}.")
    if found.type != "cpu":
        try:
            torch.zeros(1, device=found)
        except (RuntimeError, AssertionError):
            raise SktrainError(
                f"device={device!r} is not there: torch cannot put a tensor on it. Use device='cpu'."
            ) from None


def exact_on(device: torch.device):
    """Context: cuDNN deterministic, nothing in TF32, as the caller had it afterwards.

    On one H100 the TCN trained in float32 differed between runs without the first, and LSTM, GRU
    and TCN from the CPU by 1e-4 without the second (1e-6 with it), for 1.1 to 1.5 times the time.
    """
    if device.type != "cuda":
        return contextlib.nullcontext()
    return _exact()


@contextlib.contextmanager
def _exact():
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    allowed = products.allow_tf32
    if allowed:
        products.allow_tf32 = False
    try:
        with cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False):
            yield
    finally:
        if allowed:
            products.allow_tf32 = True


class Placed:
    """Mixin: a net on its device."""

    device: Any
    module_: Any

    def _place(self) -> torch.device:
        """Move the trained network to where ``device`` says, if it is elsewhere."""
        wanted = resolve_device(self.device)
        if not _same(self.module_.standardize.mean.device, wanted):
            check_device(self.device)
            self.module_.to(wanted)
        return wanted

    @contextlib.contextmanager
    def _on_device(self):
        """skorch knows no "auto": while it is at work, ``device`` is the one that was found."""
        asked, found = self.device, resolve_device(self.device)
        if isinstance(asked, str) and asked == "auto":
            self.device = str(found)
        try:
            with exact_on(found):
                yield
        finally:
            self.device = asked

    def load_params(self, *args: Any, **kwargs: Any) -> Any:
        """Load parameters from files, on the device in use.

        Parameters
        ----------
        *args, **kwargs : object
            As of skorch's ``load_params``.

        Returns
        -------
        object
            As of skorch's ``load_params``.
        """
        with self._on_device():
            return super().load_params(*args, **kwargs)

    def __setstate__(self, state):
        asked = state.get("device")
        auto = isinstance(asked, str) and asked == "auto"
        super().__setstate__({**state, "device": str(resolve_device(asked))} if auto else state)
        if auto:
            self.device = asked


def _same(one: torch.device, other: torch.device) -> bool:
    return one.type == other.type and (other.index is None or one.index == other.index)

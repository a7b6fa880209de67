"""The device that a net trains and predicts on.

A fitted net follows its ``device``. On a card, convolutions and recurrent layers of cuDNN are kept
deterministic and in full float32 while the net is at work.
"""

import contextlib
from typing import Any

import torch

from .._devices import check_device, find_device
from ._parts import NetParts

__all__ = ["Placed", "exact_on"]


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


class Placed(NetParts):
    """Mixin: a net on its device."""

    def _place(self) -> torch.device:
        """Move the trained network to where ``device`` says, if it is elsewhere."""
        wanted = find_device(self.device)
        if not _same(self.module_.standardize.mean.device, wanted):
            check_device(self.device)
            self.module_.to(wanted)
        return wanted

    @contextlib.contextmanager
    def _on_device(self):
        """skorch knows no "auto" and no cards of workers: while it is at work, ``device`` is the
        one that was found."""
        asked, found = self.device, find_device(self.device)
        if isinstance(asked, str) and asked in ("auto", "cuda"):
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
            return super().load_params(*args, **kwargs)  # type: ignore[misc]  # of skorch

    def __setstate__(self, state):
        asked = state.get("device")
        auto = isinstance(asked, str) and asked == "auto"
        placed = {**state, "device": str(find_device(asked))} if auto else state
        super().__setstate__(placed)  # type: ignore[misc]  # of skorch
        if auto:
            self.device = asked


def _same(one: torch.device, other: torch.device) -> bool:
    return one.type == other.type and (other.index is None or one.index == other.index)

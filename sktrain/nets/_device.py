"""The device that a net trains and predicts on.

A fitted net follows its ``device``.
"""

import contextlib
import io
import pickle
from typing import Any

import torch

from .._devices import check_device, find_device
from ._exact import exact_on
from ._parts import NetParts

__all__ = ["Placed"]


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

    def __getstate__(self):
        state = vars(self).copy()
        placed = {
            name: state.pop(name)
            for name in vars(self)
            if name.startswith(tuple(self.cuda_dependent_attributes_))
        }
        file = io.BytesIO()
        _Pickler(file).dump(placed)
        return {**state, "__cuda_dependent_attributes__": file.getvalue()}  # as skorch reads it

    def __setstate__(self, state):
        asked = state.get("device")
        auto = isinstance(asked, str) and asked == "auto"
        placed = {**state, "device": str(find_device(asked))} if auto else state
        super().__setstate__(placed)  # type: ignore[misc]  # of skorch
        if auto:
            self.device = asked


class _Pickler(pickle.Pickler):
    """Writes of every tensor its own numbers alone.

    A tensor is written with the whole of the memory it is a view of: the four weights of a
    recurrent layer, which lie in one piece on a card, would be written four times.
    """

    def reducer_override(self, value: Any) -> Any:
        """A view of more numbers than its own is written as a copy of it."""
        if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.layout != torch.strided:
            return NotImplemented
        if value.untyped_storage().nbytes() <= value.numel() * value.element_size():
            return NotImplemented
        own = value.detach().clone()
        if isinstance(value, torch.nn.Parameter):
            own = torch.nn.Parameter(own, value.requires_grad)
        return own.__reduce_ex__(pickle.DEFAULT_PROTOCOL)


def _same(one: torch.device, other: torch.device) -> bool:
    return one.type == other.type and (other.index is None or one.index == other.index)

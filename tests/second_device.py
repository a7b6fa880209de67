"""A second device made of CPU memory, for tests without a card.

Its name is ``meta:0`` (plain ``meta``, which holds shapes alone, stays torch's own). Tensors there
hold numbers; an operation that mixes them with tensors of the CPU is refused as a card refuses it,
what is read from there is counted, and float64 can be refused, as Apple's ``mps`` does.
"""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from unittest import mock

import torch
from torch.optim import optimizer
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from sktrain import _devices
from sktrain.nets import _captured, _inference

DEVICE = torch.device("meta", 0)
torch.serialization.register_package(  # stored numbers are the CPU's
    100, lambda storage: None, lambda storage, place: storage if place == str(DEVICE) else None
)
_ACROSS = {"copy_", "to", "_to_copy", "_local_scalar_dense"}  # may see two devices
_INDEXED = {"index", "index_put_", "index_put", "_index_put_impl_"}  # by numbers of the CPU


class There(torch.Tensor):
    """A tensor of the second device; ``inner`` holds its numbers."""

    @staticmethod
    def __new__(cls, inner):
        sizes = {"strides": inner.stride(), "storage_offset": inner.storage_offset()}
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, dtype=inner.dtype, device=DEVICE, **sizes
        )
        made.inner = inner
        return made

    def data_ptr(self):
        return self.inner.data_ptr()

    def __reduce_ex__(self, protocol):
        return There, (self.inner,)

    def __repr__(self, **kwargs):
        return f"There({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _SECOND.call(func, args, kwargs or {})


class _Second(TorchDispatchMode):
    """Runs what concerns the second device on the CPU."""

    def __init__(self):
        super().__init__()
        self.reads, self.float64 = 0, True

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.call(func, args, kwargs or {})

    def call(self, func, args, kwargs):
        name, found, places = func.overloadpacket.__name__, [], []

        def inner(value):
            if isinstance(value, torch.Tensor):
                found.append(value)
            elif isinstance(value, torch.device):
                places.append(value)
                return torch.device("cpu") if value == DEVICE else value
            return value.inner if isinstance(value, There) else value

        given, named = tree_map(inner, args), tree_map(inner, kwargs)
        here = [one for one in found if isinstance(one, There)]
        if here and name not in _ACROSS:
            others = [one for one in found if not isinstance(one, There) and one.ndim]
            if others and not (name in _INDEXED and isinstance(args[0], There)):
                raise RuntimeError(f"{name}: tensors of meta:0 and of the CPU in one operation")
        stays = places[0] == DEVICE if places else bool(here)
        if name == "copy_":
            stays = isinstance(args[0], There)
        if name == "to" and len(args) > 1 and isinstance(args[1], torch.Tensor):
            stays = isinstance(args[1], There)
        self.reads += bool(here and (not stays or name == "_local_scalar_dense"))
        self._needs_no_float64(stays, found)
        out, known = func(*given, **named), {id(one.inner): one for one in here}
        if name == "copy_":
            return args[0]
        if not stays:
            return out.clone() if id(out) in known else out
        return tree_map(lambda value: self._wrapped(value, known), out)

    def _needs_no_float64(self, stays, found):
        if stays and not self.float64 and any(one.dtype == torch.float64 for one in found):
            raise TypeError("meta:0 has no float64, as mps")

    def _wrapped(self, value, known):
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in known:
            return known[id(value)]
        self._needs_no_float64(True, [value])
        return There(value)


_SECOND = _Second()


def _without_gradients(module):
    return torch.no_grad()


@contextmanager
def second_device(float64=True):
    """While this is open, ``meta:0`` holds numbers; gives an object with ``reads``, how many times
    something was copied from there."""
    _SECOND.reads, _SECOND.float64 = 0, float64
    kinds = [*_foreach_utils._get_fused_kernels_supported_devices(), DEVICE.type]
    with (
        mock.patch.object(optimizer, "_get_fused_kernels_supported_devices", return_value=kinds),
        # views of tensors made of others are no views to torch's inference mode
        mock.patch.object(_inference, "_no_gradients", side_effect=_without_gradients),
        _SECOND,
    ):
        yield _SECOND


def as_a_card(monkeypatch):
    """``meta:0`` is a card to sktrain: rows live there, the recorded step runs again in place of a
    CUDA graph. Gives the list of recordings made."""
    made = []

    def recorded(step):
        made.append(step)
        return SimpleNamespace(replay=step)

    monkeypatch.setattr(_devices, "_CARDS", {"cuda", DEVICE.type})
    monkeypatch.setattr(_devices, "_FLOAT64", {"cpu", "cuda", DEVICE.type})
    monkeypatch.setattr(_captured, "_aside", lambda device: nullcontext())
    monkeypatch.setattr(_captured, "_recorded", recorded)
    memory = SimpleNamespace(total_memory=2**33)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    return made

"""The captured step: what a card does in one step is recorded once and then replayed.

A small network keeps a card busy for less time than Python needs to ask for it. A CUDA graph asks
once. It replays the step of :mod:`._steps` on batches of full size; the first one, which makes the
optimizer's state, and a last shorter one run plain. Dropout is drawn anew at each replay, from the
generator of the card. Whatever a step reads stands in tensors; where one of them moved, or a number
that stands in none has changed, the step is recorded again.

The rest of the nets does not know of it: :func:`steps_for` says how a training runs, and why.
"""

from contextlib import contextmanager
from typing import Any

from skorch.callbacks import EpochScoring, LRScheduler
import torch

from .._devices import is_card
from ..reproducibility import rng_states, set_rng_states
from ._amp import MixedPrecision
from ._batches import BatchLoader, WindowRows
from ._callbacks import GradientClip
from ._modules import EnhancedDropout
from ._steps import Steps

__all__ = ["CapturedSteps", "steps_for"]

_PAYS = 20
"""Full batches of a training, from which on its steps are captured. To warm up and record takes as
long as three steps, and to build the graph as long as a few more."""
_OWN = ("torch.", "sktrain.")


def steps_for(net, loader):
    """How ``net`` trains on ``loader``: its epochs on the card, None for batch by batch, and
    ``training_path_``."""
    why = _why_batch_by_batch(net, loader)
    if why is not None:
        return None, f"plain: {why}"
    why = _why_not_captured(net, loader)
    if why is not None:
        return Steps(net, loader), f"plain: {why}"
    return CapturedSteps(net, loader), "captured"


def _why_batch_by_batch(net, loader):
    if not is_card(net._device):
        return f"the step is captured on CUDA devices, this is {net._device.type}"
    if not isinstance(loader, BatchLoader) or loader.num_workers:
        return "iterator_train brings batches of its own"
    if not isinstance(loader.dataset, WindowRows) or not is_card(loader.dataset.device):
        return "the rows do not fit on the card"
    if net.full_batch_:
        return "few rows are trained in full batches of float64"
    if type(net).train_step is not MixedPrecision.train_step:
        return f"{type(net).__name__} has a train_step of its own"
    for hook in ("on_batch_begin", "on_batch_end"):
        for callback in net._heard(hook):
            if _follows_training(callback):
                return f"{type(callback).__name__} follows every batch"
    for callback in net._heard("on_grad_computed"):
        if type(callback) is not GradientClip:
            return f"{type(callback).__name__} acts on gradients"
    if not all(group.get("fused") for group in net.optimizer_.param_groups):
        return f"{type(net.optimizer_).__name__} is not fused, so it cannot skip a step unread"
    return None


def _follows_training(callback):
    """Whether a callback with a hook for batches does something at those of training."""
    if type(callback) is LRScheduler:
        return callback.step_every == "batch"
    return not (type(callback) is EpochScoring and not callback.on_train)


def _why_not_captured(net, loader):
    if net.gradient_checkpointing:
        return "gradient_checkpointing=True"
    if net.compile:
        return "compile=True"
    for part in (*net.module_.modules(), net.criterion_, net.optimizer_):
        if not type(part).__module__.startswith(_OWN):
            return f"{type(part).__name__} is code that may decide anew in every step"
    steps = net._n_epochs * (loader.batches.n_rows // loader.batch_size)
    if steps < _PAYS:
        return f"{steps} full batches are fewer than the {_PAYS} for which a capture pays"
    return None


class CapturedSteps(Steps):
    """Steps that are recorded once and replayed."""

    def __init__(self, net, loader):
        super().__init__(net, loader)
        self.graph: Any = None
        self.key: Any = None
        self.dropouts = [one for one in net.module_.modules() if isinstance(one, EnhancedDropout)]
        for layer in self.dropouts:
            layer._hold(self.rows.device)

    def epoch(self):
        if self.graph is not None and self._key() != self.key:
            self.graph = None
        return super().epoch()

    def advance(self):
        if self.graph is None and not self.net.optimizer_.state:  # made by the first step
            self.step(self.size)
            return
        if self.graph is None:
            self._capture()
        self.graph.replay()

    def _capture(self):
        scaler = self.net._scaler
        if scaler is not None:
            scaler.scale(torch.zeros(1, device=self.rows.device))  # makes its tensors
        with _unchanged(self._state()), _aside(self.rows.device):
            for _ in range(2):
                self._to_start()
                self.step(self.size)
        self.graph, self.key = _recorded(lambda: self.step(self.size)), self._key()

    def _state(self):
        """Everything that a step writes."""
        net, scaler = self.net, self.net._scaler
        of_optimizer = (value for one in net.optimizer_.state.values() for value in one.values())
        parts = [
            *(weight for _, weight in net._named),
            *net.module_.buffers(),
            *net.criterion_.buffers(),
            *(value for value in of_optimizer if isinstance(value, torch.Tensor)),
            *(() if scaler is None else (scaler._scale, scaler._growth_tracker)),
        ]
        return [*parts, self.at, self.number, self.losses, self.seen]

    def _key(self):
        """What a recorded step took for granted."""
        return (
            [value.data_ptr() for value in self._state()],
            [weight.requires_grad for _, weight in self.net._named],
            [layer.current_p > 0 for layer in self.dropouts],
            [(clip.clip_value, clip.max_norm) for clip in self.clips],
            self.rates.fixed(),
        )


@contextmanager
def _unchanged(tensors):
    """Tensors and generators are put back at the end."""
    kept, states = [value.detach().clone() for value in tensors], rng_states()
    yield
    with torch.no_grad():
        for value, before in zip(tensors, kept, strict=True):
            value.copy_(before)
    set_rng_states(states)


@contextmanager
def _aside(device):
    """On another stream, as torch asks of what runs before a capture."""
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


def _recorded(step):
    """A CUDA graph of ``step``, which does not run now. Other threads may use the card
    meanwhile."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        step()
    return graph

"""The five networks, plain torch modules on windows (n, steps, features).

They know no time but the order of steps. A step may see itself and the steps before it.

Every network standardizes its own input with buffers (missing values become the mean), so an
exported network is complete.
"""

from collections.abc import Callable
import math
from typing import Literal, Self

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .._validation import Count, check_count, check_number
from ..exceptions import SktrainError
from ._gru import GRU

__all__ = [
    "EnhancedDropout", "GRUModule", "LSTMModule", "MLPModule", "Standardize", "Standardized",
    "TCNModule", "TransformerModule", "schedule_fraction",
]


def schedule_fraction(schedule, epoch, total_epochs):
    """How far a schedule has gone at ``epoch`` of ``total_epochs``: 0 at epoch 0, 1 at the end,
    linear or half a cosine between."""
    if schedule not in ("linear", "cosine"):
        raise SktrainError(f"schedule must be 'linear' or 'cosine', got {schedule!r}.")
    if total_epochs <= 0:
        return 1.0
    t = min(max(epoch / total_epochs, 0.0), 1.0)
    return t if schedule == "linear" else (1 - math.cos(math.pi * t)) / 2


class EnhancedDropout(nn.Module):
    """Dropout whose rate falls from ``p`` to ``min_p`` over training.

    Parameters
    ----------
    p : float, default=0.3
        Rate at epoch 0, in [0, 1).
    schedule : {"linear", "cosine"}, default="linear"
        The way down.
    min_p : float, default=0.1
        Rate at the end; a rate that starts below it stays where it is.

    Examples
    --------
    >>> from sktrain import EnhancedDropout
    >>> dropout = EnhancedDropout(p=0.3, schedule="linear", min_p=0.1)
    >>> dropout.set_epoch(50, total_epochs=100).current_p
    0.2
    """

    _kept = None

    @property
    def current_p(self) -> float:
        """The rate of the epoch."""
        return self._rate

    @current_p.setter
    def current_p(self, rate):
        self._rate, self._drops = rate, rate > 0
        if self._kept is not None:
            self._kept.fill_(1 - rate)

    def __init__(
        self, p: float = 0.3, schedule: Literal["linear", "cosine"] = "linear", min_p: float = 0.1
    ) -> None:
        super().__init__()
        for name, value in (("p", p), ("min_p", min_p)):
            check_number(f"dropout {name}", value, 0, 1, closed="left")
        schedule_fraction(schedule, 0, 1)
        self.p, self.schedule, self.min_p = float(p), schedule, float(min_p)
        self.current_p = self.p

    def set_epoch(self, epoch: int, total_epochs: int = 100) -> Self:
        """Set the rate for an epoch.

        Parameters
        ----------
        epoch : int
            Counted from 0.
        total_epochs : int, default=100
            Epoch at which ``min_p`` is reached.

        Returns
        -------
        self
            The layer.
        """
        low = min(self.p, self.min_p)
        gone = schedule_fraction(self.schedule, epoch, total_epochs)
        self.current_p = round(self.p + (low - self.p) * gone, 12)
        return self

    def _hold(self, device):
        """Read the rate from a tensor on ``device``, or (None) no longer: in compiled and captured
        steps a number stays what it was."""
        self._kept = None if device is None else torch.tensor(1 - self.current_p, device=device)

    def forward(self, X):
        if self._kept is not None and self.training and self._drops:
            kept = torch.rand(X.shape, device=X.device) < self._kept
            return X * (kept / self._kept).to(X.dtype)
        if not self.training or not self._drops:
            return X
        if X.device.type != "cpu":
            return F.dropout(X, self._rate, True)
        return X * _drawn(X.shape, 1 - self._rate).to(X.dtype)

    def extra_repr(self):
        return f"p={self.p}, schedule={self.schedule!r}, min_p={self.min_p}"


def _drawn(shape, kept):
    """Zeros, and at a share ``kept`` of the places its inverse: float32 on the CPU.

    One draw of 64 bits serves four places, which takes a third of the time of uniform numbers (and
    torch's own dropout draws one Bernoulli number after the other). The share is a multiple of
    2^-16, and the mean of what is drawn is 1.
    """
    n_values, levels = math.prod(shape), 2**16
    some = min(max(round(kept * levels), 1), levels)
    bits = torch.empty(-(-n_values // 4), dtype=torch.int64).random_(-(2**63), None)
    ranks = bits.view(torch.int16)[:n_values].view(shape).to(torch.float32)  # -2^15 .. 2^15 - 1
    return ranks.add_(some - levels // 2 + 1).clamp_(0, 1).mul_(levels / some)


class Standardize(nn.Module):
    """(x - mean) * scale per feature; missing values become the mean."""

    def __init__(self, n_features):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def forward(self, X):
        Z = (X - self.mean) * self.scale
        return torch.where(torch.isnan(Z), torch.zeros_like(Z), Z)


class Standardized(nn.Module):
    """A network of the user's own behind our standardization; rows of one step reach it as (n,
    features), others with their steps."""

    def __init__(self, network, n_features):
        super().__init__()
        self.network = network
        self.standardize = Standardize(n_features)
        self.gradient_checkpointing = False

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:  # what the network itself offers
            return getattr(super().__getattr__("network"), name)

    def named_parameters(self, *args, **kwargs):
        """Those of the network under their own names, for freezing and parameter groups by
        pattern."""
        return self.network.named_parameters(*args, **kwargs)

    def logits(self, Z):
        """Class scores of standardized rows."""
        return self.network(Z.squeeze(1) if Z.shape[1] == 1 else Z)

    def forward(self, X):
        return self.logits(self.standardize(X))


class _Network(nn.Module):
    """What the five share: standardize, encode, drop, read off class scores."""

    _build: Callable[[int, float], None]
    encode: Callable[[torch.Tensor], torch.Tensor]  # what the head reads

    bfloat16_from = 1.0  # hidden size from which a CPU that multiplies bfloat16 trains faster in it

    def __init__(self, n_features, n_steps, n_classes, hidden_size, n_layers, dropout):
        super().__init__()
        for name, value in (("hidden_size", hidden_size), ("n_layers", n_layers)):
            check_count(f"module__{name}", value)
        check_number("module__dropout", dropout, 0, 1, closed="left")
        self.n_features, self.n_steps, self.hidden_size = n_features, n_steps, hidden_size
        self.gradient_checkpointing = False
        self.standardize = Standardize(n_features)
        self._build(n_layers, dropout)
        self.dropout = EnhancedDropout(dropout)
        self.head = nn.Linear(hidden_size, n_classes)

    def forward(self, X):
        """Class scores (n, n_classes) of windows (n, steps, features); NaN means missing."""
        return self.logits(self.standardize(X))

    def logits(self, Z):
        """Class scores of windows that are standardized already."""
        return self.head(self.dropout(self.encode(Z)))

    @property
    def gains_by_bfloat16(self):
        """Whether a CPU that multiplies bfloat16 trains this network faster in it than in float32.

        By seconds per epoch at batches of 256 and 512 on one Xeon with AMX, hidden sizes 16 to
        1,024: below, conversions cost more than the products gain.
        """
        return self.hidden_size >= self.bfloat16_from

    def run(self, layer, *inputs):
        """``layer(*inputs)``, forgetting what is inside until the backward pass when asked to save
        memory."""
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(layer, *inputs, use_reentrant=False)
        return layer(*inputs)


class MLPModule(_Network):
    """Fully connected layers over all steps at once."""

    bfloat16_from = 256

    def __init__(self, n_features, n_steps, n_classes, hidden_size=64, n_layers=2, dropout=0.3):
        super().__init__(n_features, n_steps, n_classes, hidden_size, n_layers, dropout)

    def _build(self, n_layers, dropout):
        sizes = [self.n_features * self.n_steps] + [self.hidden_size] * n_layers
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.drops = nn.ModuleList(EnhancedDropout(dropout) for _ in range(n_layers - 1))

    def encode(self, Z):
        Z = Z.flatten(1)
        for i, layer in enumerate(self.layers):
            Z = torch.relu(self.run(layer, Z))
            if i < len(self.drops):
                Z = self.drops[i](Z)
        return Z


class _Recurrent(_Network):
    cell: type[nn.GRU] | type[nn.LSTM]

    def __init__(self, n_features, n_steps, n_classes, hidden_size=32, n_layers=1, dropout=0.1):
        super().__init__(n_features, n_steps, n_classes, hidden_size, n_layers, dropout)

    def _build(self, n_layers, dropout):
        sizes = [self.n_features] + [self.hidden_size] * n_layers
        self.layers = nn.ModuleList(
            self.cell(a, b, batch_first=True) for a, b in zip(sizes, sizes[1:])
        )
        self.drops = nn.ModuleList(EnhancedDropout(dropout) for _ in range(n_layers - 1))
        for layer in self.layers:
            _start(layer)

    def encode(self, Z):
        if (
            Z.device.type == "cpu"
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") is torch.float16
        ):
            # torch has no recurrent float16 kernels for CPUs
            with torch.autocast("cpu", enabled=False):
                return self.encode(Z.float())
        for i, layer in enumerate(self.layers):
            Z, last = self.run(layer, Z)
            if i < len(self.drops):
                Z = self.drops[i](Z)
        return last[0][0] if isinstance(last, tuple) else last[0]  # an LSTM's is (state, cell)


@torch.no_grad()
def _start(layer):
    """Weights that carry a state over many steps from the first epoch on; torch's own leave some
    seeds on a plateau.

    Keras's choice: orthogonal recurrence (Saxe, McClelland & Ganguli 2014) and inputs after Glorot
    & Bengio (2010), each over all gates together, biases 0, and 1 for the forget gate of an LSTM
    (Jozefowicz, Zaremba & Sutskever 2015).
    """
    nn.init.orthogonal_(layer.weight_hh_l0)
    nn.init.xavier_uniform_(layer.weight_ih_l0)
    bias = layer.bias_ih_l0.zero_()
    layer.bias_hh_l0.zero_()
    if isinstance(layer, nn.LSTM):  # gates i, f, g, o
        bias[layer.hidden_size : 2 * layer.hidden_size] = 1.0


class GRUModule(_Recurrent):
    """Stacked gated recurrent units; the state after the last step is read off (Cho et al.
    2014)."""

    cell = GRU
    bfloat16_from = math.inf  # the recurrence works in float32


class LSTMModule(_Recurrent):
    """Stacked long short-term memory; the state after the last step is read off (Hochreiter &
    Schmidhuber 1997)."""

    cell = nn.LSTM


class _TCNBlock(nn.Module):
    """Two causal convolutions of neighbours and a residual connection; every second step of what
    comes out is kept."""

    def __init__(self, inputs, outputs, kernel_size, dropout):
        super().__init__()
        self.first = nn.Conv1d(inputs, outputs, kernel_size)
        self.second = nn.Conv1d(outputs, outputs, kernel_size, stride=2)
        self.drop = EnhancedDropout(dropout)
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, X, kept):
        """The last step and those at distances of 2 before it, ``kept`` in all; no other step is
        worked out."""
        size = self.first.kernel_size[0]
        inner = min(X.shape[2], 2 * (kept - 1) + size)
        Z = self.drop(torch.relu(_convolved(self.first, _newest(X, inner + size - 1))))
        skip = _convolved(self.skip, X[:, :, X.shape[2] - 1 - 2 * (kept - 1) :: 2])
        return torch.relu(_convolved(self.second, _newest(Z, 2 * (kept - 1) + size)) + skip)


def _convolved(layer, X):
    """``layer(X)``; where a card needs its gradients, as one matrix product: cuDNN's deterministic
    gradients of a convolution take three times as long (H100, 4,096 x 60 x 16: 11.7 and 4.2 ms)."""
    if not (X.is_cuda and torch.is_grad_enabled() and isinstance(layer, nn.Conv1d)):
        return layer(X)
    return _by_product(layer, X)


def _by_product(layer, X):
    seen = X.unfold(2, layer.kernel_size[0], layer.stride[0]).transpose(1, 2).flatten(2)
    return F.linear(seen, layer.weight.flatten(1), layer.bias).transpose(1, 2)


def _newest(X, steps):
    """The last ``steps`` steps; what lies before the first is zero."""
    return F.pad(X, (steps - X.shape[2], 0))  # a negative padding cuts


class TCNModule(_Network):
    """Causal dilated convolutions with residual connections (Bai, Kolter & Koltun 2018).

    Block i dilates by 2^i, so ``n_layers`` blocks see ``1 + 2 (kernel_size - 1) (2^n_layers - 1)``
    steps back: 61 at the defaults. Only the last step is read off, and block i needs every 2^i-th
    step before it alone: halving the steps after each block leaves convolutions of neighbours, the
    same numbers at half of the work.
    """

    bfloat16_from = 32

    def __init__(
        self, n_features, n_steps, n_classes, hidden_size=32, n_layers=4, dropout=0.1, kernel_size=3
    ):
        check_count("module__kernel_size", kernel_size, minimum=2)
        self.kernel_size = kernel_size
        super().__init__(n_features, n_steps, n_classes, hidden_size, n_layers, dropout)

    def _build(self, n_layers, dropout):
        sizes = [self.n_features] + [self.hidden_size] * n_layers
        self.blocks = nn.ModuleList(
            _TCNBlock(a, b, self.kernel_size, dropout) for a, b in zip(sizes, sizes[1:])
        )

    def encode(self, Z):
        Z = Z.transpose(1, 2)
        for later, block in zip(reversed(range(len(self.blocks))), self.blocks):
            needed = 1 + 2 * (self.kernel_size - 1) * (2**later - 1)  # by the blocks after this one
            Z = self.run(block, Z, min((Z.shape[2] + 1) // 2, needed))
        return Z[:, :, -1]


class _Block(nn.Module):
    """Pre-norm attention over earlier steps, then two linear layers (Xiong et al. 2020)."""

    def __init__(self, size, n_heads, dropout):
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.key_value, self.project = (
            nn.Linear(size, size),
            nn.Linear(size, 2 * size),
            nn.Linear(size, size),
        )
        self.widen, self.narrow = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        self.drop = EnhancedDropout(dropout)

    def _heads(self, X):
        return X.unflatten(2, (self.n_heads, -1)).transpose(1, 2)

    def forward(self, X, last_only=False):
        Z = self.norm_attention(X)
        if last_only:  # nothing reads the other steps of the last block; the last step may see all
            X = X[:, -1:]
        query = self.query(Z[:, -1:] if last_only else Z)
        key, value = self.key_value(Z).chunk(2, dim=2)
        query, key, value = (self._heads(one) for one in (query, key, value))
        seen = _attention(query, key, value, is_causal=not last_only)
        X = X + self.drop(self.project(seen.transpose(1, 2).flatten(2)))
        return X + self.drop(self.narrow(F.gelu(self.widen(self.norm_mlp(X)))))


def _attention(query, key, value, is_causal):
    """Scaled products; on CPUs in float32 under autocast, for torch's backward pass is slow there.

    In bfloat16 it takes five times as long as in float32 (torch 2.13, heads of 16 to 64), more than
    all that bfloat16 gains elsewhere.
    """
    if query.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            query, key, value = query.float(), key.float(), value.float()
            return F.scaled_dot_product_attention(query, key, value, is_causal=is_causal)
    return F.scaled_dot_product_attention(query, key, value, is_causal=is_causal)


class TransformerModule(_Network):
    """Pre-norm transformer encoder with a causal mask; the last step is read off (Vaswani et al.
    2017).

    ``positions`` is ``"learned"`` or ``"sinusoidal"``; ``hidden_size`` must be a multiple of
    ``n_heads``.
    """

    bfloat16_from = 64

    def __init__(
        self, n_features, n_steps, n_classes, hidden_size=32, n_layers=2, dropout=0.1, n_heads=4,
        positions="learned",
    ):
        if not Count(1).is_satisfied_by(n_heads) or hidden_size % n_heads:
            raise SktrainError(
                f"module__hidden_size must be a multiple of module__n_heads, got {hidden_size!r} "
                f"and {n_heads!r}."
            )
        if positions not in ("learned", "sinusoidal"):
            raise SktrainError(
                f"module__positions must be 'learned' or 'sinusoidal', got {positions!r}."
            )
        self.n_heads, self.kind = n_heads, positions
        super().__init__(n_features, n_steps, n_classes, hidden_size, n_layers, dropout)

    def _build(self, n_layers, dropout):
        self.embed = nn.Linear(self.n_features, self.hidden_size)
        if self.kind == "learned":
            self.positions = nn.Parameter(torch.randn(self.n_steps, self.hidden_size) * 0.02)
        else:
            self.register_buffer("positions", _sinusoids(self.n_steps, self.hidden_size))
        self.drop_input = EnhancedDropout(dropout)
        self.blocks = nn.ModuleList(
            _Block(self.hidden_size, self.n_heads, dropout) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(self.hidden_size)

    def encode(self, Z):
        Z = self.drop_input(self.embed(Z) + self.positions)
        for block in self.blocks[:-1]:
            Z = self.run(block, Z)
        Z = self.run(self.blocks[-1], Z, True)
        return self.norm(Z[:, -1])


def _sinusoids(n_steps, size):
    """Positions of Vaswani et al. 2017, section 3.5."""
    rate = torch.exp(torch.arange(0, size, 2) * (-math.log(10_000.0) / size))
    angle = torch.arange(n_steps).unsqueeze(1) * rate
    table = torch.zeros(n_steps, size)
    table[:, 0::2], table[:, 1::2] = torch.sin(angle), torch.cos(angle[:, : size // 2])
    return table

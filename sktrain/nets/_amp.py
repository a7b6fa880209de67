"""One optimizer step on one batch, in single or mixed precision.

The order is fixed: autocast forward, scaled backward, unscale, clip (callbacks), step, update of
the scale. A step whose gradients are not finite is skipped and counted; a loss that is not finite
ends training.
"""

import contextlib
import functools
import math
from typing import Any

import torch

from ..exceptions import TrainingDivergedError
from ._batches import apart
from ._callbacks import total_norm
from ._modules import MLPModule
from ._parts import NetParts

__all__ = ["MixedPrecision", "choose_precision", "work_of"]

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@functools.cache
def _native_bfloat16():
    """Whether this CPU multiplies bfloat16 in hardware."""
    capabilities = getattr(torch.backends.cpu, "get_cpu_capability", lambda: "")()
    try:
        with open("/proc/cpuinfo") as file:
            flags = file.read()
    except OSError:
        return False
    return "AVX512" in capabilities and ("avx512_bf16" in flags or "amx_bf16" in flags)


_PAYS = 2e9
"""Multiplications of one forward pass from which bfloat16 pays on a card. On one H100, captured
steps of 20 sizes of four nets (32 to 4,096 units, batches of 512 and 4,096): 1.27 to 8.5 times as
fast in all 13 sizes above, .93 to 1.8 times in the 7 below (``benchmarks/check_cuda.py``)."""

_LARGE = 256  # rows of a batch from which bfloat16 pays on a CPU (``bench_mixed_precision``)


def work_of(module, lookback, batch_size):
    """Multiplications of a forward pass on one batch, had every matrix to do with every step."""
    steps = 1 if isinstance(module, MLPModule) else lookback  # which sees all steps at once
    return batch_size * steps * sum(one.numel() for one in module.parameters() if one.ndim > 1)


def choose_precision(mixed_precision, device, batch_size, work=0, gains=True):
    """The autocast dtype, or None for float32; and why.

    ``True`` is bfloat16, save on a CUDA device without it (float16). ``"auto"`` goes by the size of
    the work: on CUDA it is the same where a step is at least ``_PAYS`` multiplications. On a CPU it
    is bfloat16 only where the hardware multiplies it and batch and network are large enough to
    gain by it (``gains``; the networks say from which size).
    """
    if mixed_precision is False:
        return None, "mixed_precision=False"
    if isinstance(mixed_precision, str) and mixed_precision in _DTYPES:
        return _DTYPES[mixed_precision], f"mixed_precision={mixed_precision!r}"
    cuda = torch.device(device).type == "cuda"
    half = torch.float16 if cuda and not torch.cuda.is_bf16_supported() else torch.bfloat16
    if mixed_precision != "auto":
        return half, "mixed_precision=True"
    pays, why = _where_it_pays(cuda, batch_size, work, gains)
    return half if pays else None, why


def _where_it_pays(cuda, batch_size, work, gains):
    """Whether half precision is worth it, by a rule on sizes, and in words."""
    if cuda:
        pays = work >= _PAYS
        side = "not below" if pays else "below"
        return pays, f"a batch is {work:.2g} products, {side} {_PAYS:.2g}"
    if batch_size < _LARGE:
        return False, f"batches of {batch_size} rows are below {_LARGE}"
    if not gains:
        return False, "a network of this kind and size does not gain by it"
    if not _native_bfloat16():
        return False, "this processor does not multiply bfloat16"
    return True, f"batches have {_LARGE} rows or more, the network gains by it"


class MixedPrecision(NetParts):
    """Mixin of the nets: autocast, gradient scaling, skipped steps."""

    def _start_precision(self, exact, n_rows):
        """Choose the precision of this training; ``exact`` is float64 throughout."""
        batch = n_rows if self.batch_size == -1 else min(self.batch_size, n_rows)
        work = work_of(self.module_, self.lookback_, batch)
        gains = getattr(self.module_, "gains_by_bfloat16", True)
        given = self.mixed_precision, self.device, batch, work, gains
        dtype, reason = (
            (None, "few rows, all in one batch") if exact else choose_precision(*given)
        )
        self.precision_reason_ = reason
        self.precision_ = (
            "float64"
            if exact
            else ("float32" if dtype is None else str(dtype).removeprefix("torch."))
        )
        self.n_skipped_steps_ = 0
        device = torch.device(self.device).type
        self._autocast = (
            contextlib.nullcontext
            if dtype is None
            else functools.partial(torch.autocast, device, dtype=dtype)
        )
        self._scaler = torch.amp.GradScaler(device) if dtype is torch.float16 else None

    def _end_precision(self):
        for name in ("_autocast", "_scaler"):
            vars(self).pop(name, None)

    def train_step(self, batch: tuple, **fit_params: Any) -> dict:
        """Forward, backward, callbacks and the optimizer's step on one batch.

        Parameters
        ----------
        batch : tuple of (inputs, codes)
            One batch of the training iterator; weighted rows come as a dict with ``X`` and
            ``sample_weight``.
        **fit_params : dict
            Ignored; skorch passes them.

        Returns
        -------
        dict
            ``loss`` and ``y_pred`` (class scores), as skorch's.
        """
        Xi, yi = batch
        Xi, weight = apart(Xi)
        optimizer, scaler = self.optimizer_, self._scaler
        for _, parameter in self._named:
            parameter.grad = None
        logits = self._class_scores(self._to_device(Xi))
        loss = self._loss(
            logits, self._to_device(yi), None if weight is None else self._to_device(weight)
        )
        if scaler is None:
            loss.backward()
        else:
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
        self.grad_norm_ = None
        if self._hears("on_grad_computed"):
            self.notify(
                "on_grad_computed", named_parameters=self._named, batch=batch, training=True
            )
        self._apply_step(loss)
        return {"loss": loss.detach(), "y_pred": logits.detach()}

    def _class_scores(self, X):
        """Of standardized windows on the device, in float32 or better."""
        with self._autocast():
            logits = self._logits(X)
        return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits

    def _apply_step(self, loss):
        norm = self.grad_norm_
        if norm is None:
            norm = total_norm([p.grad for _, p in self._named if p.grad is not None])
        if math.isfinite(norm):
            self.optimizer_.step() if self._scaler is None else self._scaler.step(self.optimizer_)
        else:
            self._check_loss(float(loss.detach()), self.batch_)
            self.n_skipped_steps_ += 1
        if self._scaler is not None:
            self._scaler.update()

    def _check_loss(self, loss, batch):
        if math.isfinite(loss):
            return
        lr = self.optimizer_.param_groups[0]["lr"]
        epoch, batch = self.epoch_ + 1, batch + 1
        raise TrainingDivergedError(
            f"The training loss became {loss} in epoch {epoch}, batch {batch}, at lr={lr:g}. "
            "Lower lr, or clip gradients (callbacks__clip__max_norm).",
            epoch, batch, lr,
        )  # fmt: skip

    def _to_device(self, tensor):
        if tensor.device == self._device:
            return tensor
        return tensor.to(self._device, non_blocking=True)

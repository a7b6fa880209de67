"""The steps of one epoch on a card, in tensors alone: nothing is read before the epoch has ended.

Rows lie on the card; row numbers, losses and norms stand in tensors that stay where they are. So a
step is the same work on the same memory every time, which :mod:`._captured` records and replays.
The order of the rows is drawn on the CPU: a card sees the batches a CPU sees.
"""

from contextlib import contextmanager
from typing import Any

import torch

from .._optimizers import class_of
from ._batches import apart
from ._callbacks import clip_unread, norm_of

__all__ = ["Rates", "Steps"]


class Rates:
    """Learning rates and decoupled weight decays of an optimizer, as tensors that callbacks change
    from outside.

    Only ``AdamW`` decays apart from its gradients: it multiplies weights by 1 - lr * decay
    (Loshchilov & Hutter 2019), which is done here. Other optimizers keep their number.
    """

    def __init__(self, optimizer, device):
        self.optimizer = optimizer
        self.decoupled = class_of(optimizer) is torch.optim.AdamW
        self.lr = [torch.zeros((), device=device) for _ in optimizer.param_groups]
        self.keep = [torch.ones((), device=device) for _ in optimizer.param_groups]
        self.told: Any = None

    def follow(self):
        """Take over what callbacks have set."""
        groups = self.optimizer.param_groups
        told = [(float(group["lr"]), float(group.get("weight_decay", 0.0))) for group in groups]
        if told != self.told:
            for (lr, decay), rate, keep in zip(told, self.lr, self.keep, strict=True):
                rate.fill_(lr)
                keep.fill_(1.0 - lr * decay)
            self.told = told

    def fixed(self):
        """Settings of the groups that stand in no tensor here; where they change, a recorded step
        is no longer true."""
        out = ("params", "lr", "initial_lr", "weight_decay" if self.decoupled else "")
        return [
            {key: value for key, value in group.items() if key not in out}
            | {"decays": bool(group.get("weight_decay"))}
            for group in self.optimizer.param_groups
        ]

    def step(self, skip):
        """One step of the optimizer, or none where ``skip`` is 1."""
        with self._in_groups():
            self.optimizer.found_inf = skip
            try:
                self._decay(skip)
                self.optimizer.step()
            finally:
                del self.optimizer.found_inf

    @torch.no_grad()
    def _decay(self, skip):
        for (_, decay), group, keep in zip(self.told, self.optimizer.param_groups, self.keep):
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if self.decoupled and decay and weights:
                torch._foreach_mul_(weights, torch.where(skip > 0, 1.0, keep))

    @contextmanager
    def _in_groups(self):
        groups = self.optimizer.param_groups
        before = [dict(group) for group in groups]
        for group, lr in zip(groups, self.lr, strict=True):
            group["lr"] = lr
            if self.decoupled:
                group["weight_decay"] = 0.0
            if "capturable" in group:
                group["capturable"] = lr.device.type == "cuda" and _recording()
        try:
            yield
        finally:
            for group, kept in zip(groups, before, strict=True):
                group.update(kept)


def _recording():
    return torch.cuda.is_current_stream_capturing()


class Steps:
    """Epochs over rows of one device.

    Parameters
    ----------
    net : net in training
    loader : BatchLoader
        Over the training rows, on the device.
    """

    def __init__(self, net, loader):
        self.net, self.loader, self.rows = net, loader, loader.dataset
        device, n_rows = self.rows.device, loader.batches.n_rows
        self.size = min(loader.batch_size, n_rows)
        self.clips = net._heard("on_grad_computed")
        self.rates = Rates(net.optimizer_, device)
        self.order = torch.zeros(n_rows, dtype=torch.int64, device=device)
        self.at = torch.arange(self.size, device=device)  # of the batch, in the order
        self.number = torch.zeros(1, dtype=torch.int64, device=device)
        self.losses = torch.zeros(-(-n_rows // self.size), device=device)
        self.seen = torch.zeros(1 + len(self.clips), device=device)  # steps skipped, largest norms

    def epoch(self):
        """Train one pass; the losses and sizes of its batches."""
        order = self.loader.batches.order()
        full, rest = divmod(len(order), self.size)
        self._start(order)
        for _ in range(full):
            self.advance()
        if rest and not self.loader.batches.drop_last:
            self.step(rest)
        return self._read([self.size] * full + [rest] * bool(rest))

    def advance(self):
        """One batch of full size."""
        self.step(self.size)

    def _start(self, order):
        self.rates.follow()
        self.order[: len(order)].copy_(order)
        self.seen.zero_()
        self._to_start()

    def _to_start(self):
        torch.arange(self.size, out=self.at)
        self.number.zero_()

    def _read(self, sizes):
        """The one look at the card in an epoch."""
        sizes = sizes[: len(self.loader)]
        found = torch.cat([self.seen, self.losses[: len(sizes)]]).cpu().double().tolist()
        self.net.n_skipped_steps_ += int(found[0])
        losses = found[1 + len(self.clips) :]
        for clip, largest in zip(self.clips, found[1:]):
            clip.largest_ = largest
        self.net.batch_ = len(sizes) - 1
        return losses, sizes

    def step(self, size):
        """Forward, backward, clipping and the optimizer's step on the next ``size`` rows."""
        X, y = self.rows[self.order.index_select(0, self.at[:size])]
        X, weight = apart(X)
        loss = self._backward(X, y, weight)
        norm = self._clip()
        skip = (~torch.isfinite(norm)).float()
        self.rates.step(skip)
        if self.net._scaler is not None:
            self.net._scaler.update()
        self.losses.index_copy_(0, self.number, loss.detach().float().view(1))
        self.seen[:1].add_(skip)
        self.number.add_(1)
        self.at.add_(self.size)

    def _backward(self, X, y, weight):
        net, scaler = self.net, self.net._scaler
        for _, parameter in net._named:
            parameter.grad = None
        loss = net._loss(net._class_scores(X), y, weight)
        if scaler is None:
            loss.backward()
        else:
            scaler.scale(loss).backward()
            scaler.unscale_(net.optimizer_)
        return loss

    def _clip(self):
        """Clip as the callbacks say; the norm before."""
        gradients = [weight.grad for _, weight in self.net._named if weight.grad is not None]
        norm = norm_of(gradients)
        for i, clip in enumerate(self.clips):
            norm = norm_of(gradients) if i else norm
            largest = self.seen[i + 1]
            largest.copy_(torch.fmax(largest, norm))
            clip_unread(gradients, norm, clip.clip_value, clip.max_norm)
        return norm

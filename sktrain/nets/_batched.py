"""Members of the fully connected net, trained as one program.

Weights of all members stand in one tensor (members, weights); a layer is one batched product, and
clipping and the optimizer's step are a few operations on that tensor, whatever the number of
members. Each member's own network holds views of its row, so its callbacks, its validation and its
early stopping are those of a net alone. What the program does not know is trained one by one.
"""

from contextlib import ExitStack
import copy
from dataclasses import replace
import time
from typing import Any

import numpy as np
import torch

from .._optimizers import make_optimizer
from ..exceptions import TrainingDivergedError
from ..reproducibility import alone, draw_seed, rng_scope
from ._batches import BatchLoader, WindowRows, apart, on_device
from ._callbacks import DropoutSchedule, GradientClip, WeightDecaySchedule
from ._early_stopping import EnhancedEarlyStopping
from ._losses import FocalLoss
from ._modules import MLPModule

__all__ = ["fit_together"]

_KNOWN = {GradientClip, DropoutSchedule, WeightDecaySchedule, EnhancedEarlyStopping}
_WIDEST = 512
"""Rows of a batch up to which the program is used on a CPU: one core gains 3 times at 64 and 1.1 at
512 (benchmarks/bench_members.py); beyond, its tensors leave the caches."""

_MANY = 16
"""Members from which the program is used on a card. On an H200 it takes 2.9 s + .035 s a member at
batch 64 (1.7 s + .086 s at 512) where each captured step alone takes .26 s (.24 s): even at 12."""


class _Unknown(Exception):
    """Something that only the ordinary training can do."""


def fit_together(nets, X, y, known):
    """Fit unfitted nets that differ by ``random_state`` alone.

    Parameters
    ----------
    nets : list of net
        Their ``random_state`` are ints.
    X, y, known : as ``fit`` takes them
        ``known`` holds its keywords.

    Returns
    -------
    (list of net, KeyboardInterrupt or None), or None
        The nets that were trained. None where the program does not know how; the nets are of no
        use then.
    """
    if len(nets) < 2 or not _could(nets[0]):
        return None
    known = dict(known)
    weight, X_val, y_val = (known.pop(name) for name in ("sample_weight", "X_val", "y_val"))
    job = nets[0]._training_job(X, y, weight, known, X_val, y_val, again=False)
    with ExitStack() as during:
        during.enter_context(alone())
        for net in nets:
            during.enter_context(net._on_device())
        try:
            return _run(nets, job)
        except _Unknown:
            return None


def _could(net):
    """Whether the parameters ask for nothing the program does not do."""
    called = net._named_callbacks().items()
    used = [one for name, one in called if getattr(net, f"callbacks__{name}", one) is not None]
    return (
        type(net)._network is MLPModule
        and net.module is None
        and net.criterion is FocalLoss
        and net.optimizer is torch.optim.AdamW
        and not net.compile
        and not net.gradient_checkpointing
        and not callable(net.train_split)
        and {type(one) for one in used} <= _KNOWN
        and net.iterator_train is net.iterator_valid is BatchLoader
        and not {name for name in net._components if name.startswith(("optimizer__", "iterator_"))}
    )


def _run(nets, job):
    seeds = [draw_seed(net.random_state, 0) for net in nets]
    jobs = [replace(job) for _ in nets]
    for net, seed, own in zip(nets, seeds, jobs):
        with rng_scope(seed):
            net.n_fits_ = 0
            net._begin(own, again=False)
        if net.full_batch_ or net.precision_ != "float32" or not _pays(net, len(nets)):
            raise _Unknown
        own.train, own.valid = jobs[0].train, jobs[0].valid  # scaled alike
    with rng_scope(seeds[0]):
        interrupted = _epochs(nets, jobs[0], seeds)
    done = [one for one in zip(nets, seeds, jobs) if one[0].history_]
    if not done:
        raise interrupted
    for net, seed, own in done:
        net._end(own)
        net._calibrate(own)
        net._remember(own.seen, np.random.default_rng(seed), again=False)
        net._tidy()
    return [net for net, _, _ in done], interrupted


def _pays(net, n_members):
    """Whether one program is faster than the nets one after another."""
    if net._device.type == "cpu":
        return 0 < net.batch_size <= _WIDEST
    return n_members >= _MANY


def _epochs(nets, job, seeds):
    """All epochs; returns the Ctrl-C that ended them, if one did."""
    train, held = on_device(nets[0]._device, job.train, job.valid)
    told = {"dataset_train": train, "dataset_valid": held}
    loaders, valid = {}, None if held is None else nets[0].get_iterator(held)
    for net, seed in zip(nets, seeds):
        net._generator, net._batch_hooks = torch.Generator().manual_seed(seed), False
        loaders[net] = net._training_iterator(train, net._generator)
        net.notify("on_train_begin", X=job.train, y=job.train.y)
    program = _Program(nets, train)
    try:
        for epoch in range(nets[0].max_epochs):
            if not program.nets:
                break
            began = time.perf_counter()
            for net in program.nets:
                net.epoch_ = epoch
                net._one_batch()
                net.notify("on_epoch_begin", **told)
                net._set_training(True)
            losses, sizes = program.epoch([loaders[net].batches for net in program.nets])
            each = (time.perf_counter() - began) / len(program.nets)
            for net, of_net in zip(list(program.nets), losses):
                _after(net, epoch, of_net, sizes, valid, each, told)
                if net.stop_reason_:
                    program.leave(net)
    except KeyboardInterrupt as error:
        for net in list(program.nets):
            net._drop_unfinished_epoch()
            net.request_stop("interrupted")
            program.leave(net)
        return error
    except TrainingDivergedError:
        raise _Unknown from None
    for net in list(program.nets):
        net.stop_reason_ = "max_epochs"
        program.leave(net)
    return None


def _after(net, epoch, losses, sizes, valid, seconds, told):
    """What the loop of one net does at the end of an epoch."""
    began = time.perf_counter()
    net._record("train", losses, sizes)
    if valid is not None:
        net._watch(valid)
    net._record_best()
    net.history_.record("dur", seconds + time.perf_counter() - began)
    net.notify("on_epoch_end", **told)
    net.n_epochs_ = epoch + 1


class _Program:
    """Weights, optimizer and steps of the members still in training.

    Parameters
    ----------
    nets : list of net
        In training.
    rows : WindowRows
        Scaled.
    """

    def __init__(self, nets, rows):
        self.nets, self.rows, self.device = list(nets), rows, nets[0]._device
        if not isinstance(rows, WindowRows):
            raise _Unknown
        shapes = [weight.shape for _, weight in nets[0]._named]
        self.shapes, self.sizes = shapes, [shape.numel() for shape in shapes]
        self.criterion = copy.deepcopy(nets[0].criterion_)
        self.criterion.reduction = "none"
        self.n_rows = len(rows) if nets[0].batch_size == -1 else nets[0].batch_size
        flat = [torch.cat([weight.data.flatten() for _, weight in net._named]) for net in nets]
        self._hold(torch.stack(flat))

    def _hold(self, flat, state=None):
        """Take weights, and the optimizer's state if there is one; members look at them."""
        self.flat = torch.nn.Parameter(flat)
        group = self.nets[0].optimizer_.param_groups[0] if self.nets else {"lr": 1.0}
        options: dict[str, Any] = {
            name: group[name] for name in ("lr", "betas", "eps") if name in group
        }
        options.update(weight_decay=0.0, fused=True)
        self.optimizer = make_optimizer(torch.optim.AdamW, [self.flat], **options)
        if state:
            self.optimizer.state[self.flat] = state
        for net, row in zip(self.nets, self.flat.data):
            for (_, weight), part, shape in zip(net._named, row.split(self.sizes), self.shapes):
                weight.data = part.view(shape)

    def leave(self, net):
        """A member goes, with weights and optimizer of its own."""
        k, state = self.nets.index(net), self.optimizer.state.get(self.flat)
        for i, (_, weight) in enumerate(net._named):
            weight.data = weight.data.clone()
            if state:
                own = {
                    name: value[k].split(self.sizes)[i].view(self.shapes[i]).clone()
                    for name, value in state.items()
                    if value.ndim
                }
                net.optimizer_.state[weight] = {"step": state["step"].clone(), **own}
        self.nets.remove(net)
        rest = [i for i in range(len(self.flat)) if i != k]
        if state:
            state = {name: value[rest] if value.ndim else value for name, value in state.items()}
        self._hold(self.flat.data[rest], state)

    def epoch(self, orders):
        """One pass of each; losses by member and batch, and sizes of the batches."""
        order = torch.stack([torch.cat(list(batches)) for batches in orders])
        self._decays()
        self.clip = {type(one): one for _, one in self.nets[0].callbacks_}.get(GradientClip)
        self.largest = [0.0] * len(self.nets)
        losses, sizes = [], []
        for some in order.to(self.rows.ends.device).split(self.n_rows, dim=1):
            losses.append(self._step(some))
            sizes.append(some.shape[1])
        for net, largest in zip(self.nets, self.largest):
            for _, callback in net.callbacks_:
                if type(callback) is GradientClip:
                    callback.largest_ = largest
        return torch.stack(losses, dim=1).cpu().double().tolist(), sizes

    def _decays(self):
        """What decoupled weight decay leaves of each weight in a step (Loshchilov & Hutter
        2019)."""
        groups = self.nets[0].optimizer_.param_groups
        lost = {id(w): one["lr"] * one["weight_decay"] for one in groups for w in one["params"]}
        parts = [
            torch.full((size,), 1.0 - lost[id(weight)], device=self.device)
            for (_, weight), size in zip(self.nets[0]._named, self.sizes)
        ]
        self.keep = torch.cat(parts)

    def _step(self, some):
        """One step of every member on its own rows ``some`` (members, batch); their losses."""
        X, y = self.rows[some.flatten()]
        X, weight = apart(X)
        scores = self._scores(X.to(self.device).view(*some.shape, -1))
        losses = self.criterion(scores.flatten(0, 1), y.to(self.device)).view(some.shape)
        if weight is None:
            losses = losses.mean(1)
        else:
            weight = weight.to(self.device).view(some.shape)
            total = weight.sum(1).clamp_min(torch.finfo(losses.dtype).tiny)
            losses = (losses * weight).sum(1) / total
        self.flat.grad = None
        losses.sum().backward()
        self._clip()
        with torch.no_grad():
            self.flat.mul_(self.keep)
        self.optimizer.step()
        return losses.detach()

    def _scores(self, Z):
        """Class scores (members, batch, classes) of rows (members, batch, inputs)."""
        module, parts = self.nets[0].module_, self.flat.split(self.sizes, dim=1)
        drops = [*module.drops, module.dropout]
        layers = list(zip(parts[::2], parts[1::2], self.shapes[::2]))
        for place, (weight, bias, shape) in enumerate(layers):
            weight = weight.view(-1, *shape).transpose(1, 2)
            Z = torch.baddbmm(bias.unsqueeze(1), Z, weight)
            if place < len(layers) - 1:
                Z = drops[place](torch.relu(Z))
        return Z

    def _clip(self):
        """Each member's gradients by its own norm, as :class:`GradientClip` does."""
        grad = self.flat.grad
        assert grad is not None  # of the backward pass just before
        norm = torch.linalg.vector_norm(grad, dim=1)
        norms = norm.tolist()
        if not np.isfinite(norms).all():
            raise _Unknown  # skipping one member's step, or ending its training, is done alone
        self.largest = [max(pair) for pair in zip(self.largest, norms)]
        if self.clip is None:
            return
        limit, value, most = self.clip.max_norm, self.clip.clip_value, max(norms)
        if limit is not None and most > limit:
            grad.mul_((limit / (norm + 1e-6)).clamp_(max=1.0).unsqueeze(1))
        if value is not None and (most if limit is None else min(most, limit)) > value:
            grad.clamp_(-value, value)

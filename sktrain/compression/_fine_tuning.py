"""Gradual pruning of a fitted model, with training towards its own former answers.

Labels play no part. A net was trained as long as its validation rows allowed; to train on with
labels would be to memorise them, and where there is little signal it changes its mind on many
rows. What pruning takes away is its own answers, so these are the target. Only rows that are given
are used: whoever holds rows back leaves them out.
"""

import copy

import numpy as np
import torch

from .._progress import follow
from ..exceptions import TrainingDivergedError
from ..nets import make_optimizer
from ..reproducibility import draw_seed, rng_scope
from ._calibration import windows_of
from ._places import nets_with_rows
from ._pruner import bake, cubic_sparsity, prune_weights, rows_seen

__all__ = ["fine_tune"]

# of the learning rate the net was trained with, judgments; where whole units went there is more
# to learn
_SLOWER = {False: 0.03, True: 0.1}
_ROWS = 128  # a step, the nets' usual batch: a judgment


def fine_tune(
    model, X, *, target, epochs, scope="global", sensitivity=0.1, structured=False,
    sample_weight=None,
):
    """Prune the nets of a fitted model (in place) to ``target``, training ``epochs`` on what they
    answered before.

    Sparsity follows the cubic schedule over the first half of the epochs, then the weights that are
    left settle. Whole units go at once.

    Returns
    -------
    float
        Share of the matrix weights that are gone.

    Raises
    ------
    SktrainError
        A meta-estimator inside which rows cannot be followed to the nets.
    TrainingDivergedError
        The loss became NaN or infinite.
    """
    gone = total = 0
    for net, rows in nets_with_rows(model, X):
        teacher, n_weights = copy.deepcopy(net.module_), _count(net.module_)
        if structured:
            from ._structured import narrow

            narrow(net, target)
        with rng_scope(draw_seed(net.random_state, getattr(net, "n_fits_", 0), 1)):
            _Imitation(net, teacher, rows, sample_weight, _SLOWER[structured]).run(
                0.0 if structured else target, epochs, scope, sensitivity
            )
        total += n_weights
        gone += n_weights - sum(int((weight != 0).sum()) for weight in bake(net.module_).values())
    return gone / total


def _count(network):
    return sum(weight.numel() for weight in bake(network).values())


class _Imitation:
    """One net that learns to answer as another network did."""

    def __init__(self, net, teacher, X, weight, slower):
        self.net, self.student, self.rate = net, net.module_, slower * net.lr
        self.rows, self.X, self.weight = net.read_rows(X, reset=False), X, weight
        counts = (
            torch.ones(len(self.rows))
            if weight is None
            else torch.tensor(np.asarray(weight, dtype=np.float32))
        )
        self.counts = (counts / counts.mean()).to(_device_of(net))
        with torch.no_grad():
            self.expected = torch.cat(
                [
                    teacher.eval()(self._windows(some))
                    for some in torch.arange(len(self.rows)).split(_ROWS)
                ]
            )
        self.weights = bake(self.student)
        self.masks = [weight != 0 for weight in self.weights.values()]

    def _windows(self, some):
        return self.rows.gather(some).to(_device_of(self.net))

    def run(self, target, epochs, scope, sensitivity):
        """Train; sparsity rises until half of the epochs are over."""
        self._still()
        optimizer = make_optimizer(torch.optim.Adam, self.student.parameters(), lr=self.rate)
        n_steps = epochs * -(-len(self.rows) // _ROWS)
        slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        initial, rising = self._sparsity(), (epochs + 1) // 2
        title, shown = f"Fine-tuning {type(self.net).__name__}", bool(self.net.verbose)
        for epoch in follow(range(epochs), title, epochs, shown=shown):
            if target > initial and epoch < rising:
                seen = rows_seen(self.student, windows_of(self.net, self.X, self.weight))
                self.masks = prune_weights(
                    self.weights,
                    cubic_sparsity((epoch + 1) / rising, target, initial),
                    scope,
                    sensitivity,
                    *seen,
                )
            self._epoch(optimizer, slower, epoch)
        self.student.eval()

    def _still(self):
        """No dropout; recurrent layers of CUDA learn in training mode only."""
        for part in self.student.modules():
            part.train(isinstance(part, torch.nn.RNNBase))

    def _sparsity(self):
        return sum(int((w == 0).sum()) for w in self.weights.values()) / max(
            1, sum(w.numel() for w in self.weights.values())
        )

    def _epoch(self, optimizer, slower, epoch):
        self._still()
        total = 0.0
        for some in torch.randperm(len(self.rows)).split(_ROWS):
            apart = self.student(self._windows(some)) - self.expected[some]
            # what all scores share changes no probability
            apart = (apart - apart.mean(1, keepdim=True)).square().sum(1)
            loss = (apart * self.counts[some]).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            slower.step()
            self._apply_masks()
            total += float(loss.detach()) * len(some)
        if not total < float("inf"):
            rate = optimizer.param_groups[0]["lr"]
            raise TrainingDivergedError(
                f"Fine-tuning diverged in epoch {epoch + 1}: lower lr={self.net.lr} of the net.",
                epoch + 1,
                lr=rate,
            )

    def _apply_masks(self):
        for weight, keep in zip(self.weights.values(), self.masks):
            weight.data.masked_fill_(~keep, 0.0)


def _device_of(net):
    return next(net.module_.parameters()).device

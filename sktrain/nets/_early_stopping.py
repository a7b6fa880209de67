"""When to stop, from the losses of past epochs on validation rows, never on a test fold."""

import math

from skorch.callbacks import Callback
import torch

from .._validation import check_count, check_flag, check_number
from ..exceptions import SktrainError
from ._callbacks import monitored

__all__ = ["EnhancedEarlyStopping"]


class EnhancedEarlyStopping(Callback):
    """Ends training when it no longer pays, and gives back the weights of the best epoch.

    Parameters
    ----------
    patience : int, default=15
        Epochs without improvement of what is monitored before stopping ("patience").
    min_epochs : int, default=20
        Epochs trained at least, save for divergence.
    max_epochs : int, default=500
        The net's ``max_epochs`` may not exceed it.
    min_delta : float, default=1e-4
        Relative improvement that counts.
    cooldown : int, default=0
        Epochs after a drop of the learning rate in which patience does not run.
    divergence_factor : float or None, default=5.0
        Stop when the loss exceeds both this multiple of its best and the loss of the first epoch,
        or is not finite ("diverged").
    overfit_gap : float or None, default=1.0
        Stop when the validation loss exceeds the training loss by more than this share ...
    overfit_patience : int, default=10
        ... for so many epochs in a row, none of which was the best ("overfit").
    monitor : str, default="auto"
        A column of the history: ``"valid_loss"`` when there is validation, else ``"train_loss"``.
        Losses should fall, ``valid_acc`` rise, the score of a skorch scoring callback go where its
        ``lower_is_better`` says.
    restore_best : bool, default=True
        Give back the weights of the best epoch; without validation only when training diverged.

    Attributes
    ----------
    best_epoch_ : int
        Counted from 1.
    best_loss_ : float
        What was monitored, at the best epoch; None before there was one.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import EnhancedEarlyStopping, MLPNetClassifier
    >>> rng = np.random.default_rng(0)
    >>> X, noise = rng.normal(size=(300, 3)), rng.integers(0, 2, size=300)
    >>> net = MLPNetClassifier(
    ...     max_epochs=100, horizon=0, random_state=0,
    ...     callbacks__early_stopping=EnhancedEarlyStopping(patience=3, min_epochs=5),
    ... ).fit(X, noise)  # nothing to find
    >>> net.stop_reason_, len(net.history)
    ('patience', 5)
    """

    def __init__(
        self,
        patience: int = 15,
        min_epochs: int = 20,
        max_epochs: int = 500,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        divergence_factor: float | None = 5.0,
        overfit_gap: float | None = 1.0,
        overfit_patience: int = 10,
        monitor: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self.patience = patience
        self.min_epochs = min_epochs
        self.max_epochs = max_epochs
        self.min_delta = min_delta
        self.cooldown = cooldown
        self.divergence_factor = divergence_factor
        self.overfit_gap = overfit_gap
        self.overfit_patience = overfit_patience
        self.monitor = monitor
        self.restore_best = restore_best

    def _check(self, net):
        for name, least in (
            ("patience", 1),
            ("min_epochs", 0),
            ("max_epochs", 1),
            ("cooldown", 0),
            ("overfit_patience", 1),
        ):
            check_count(f"callbacks__early_stopping__{name}", getattr(self, name), minimum=least)
        check_number("callbacks__early_stopping__min_delta", self.min_delta, 0)
        check_flag("callbacks__early_stopping__restore_best", self.restore_best)
        for name, least in (("divergence_factor", 1), ("overfit_gap", 0)):
            called = f"callbacks__early_stopping__{name}"
            check_number(called, getattr(self, name), least, optional=True)
        if self.min_epochs > self.max_epochs:
            raise SktrainError(
                f"callbacks__early_stopping: min_epochs={self.min_epochs} exceeds "
                f"max_epochs={self.max_epochs}."
            )
        if net.max_epochs > self.max_epochs:
            raise SktrainError(
                f"max_epochs={net.max_epochs} exceeds "
                f"callbacks__early_stopping__max_epochs={self.max_epochs}. Lower the first or "
                "raise the second."
            )

    def on_train_begin(self, net, **kwargs):
        self._check(net)
        self.best_loss_, self.best_epoch_, self.best_weights_ = None, 0, None
        self.waited_, self.overfit_, self.resting_, self.lr_ = 0, 0, 0, None
        self.first_, self.lowest_ = None, math.inf

    def on_epoch_end(self, net, **kwargs):
        row, epoch = net.history[-1], net.epoch_ + 1
        value, lower = monitored(net, self.monitor)
        better = self._improves(value, lower)
        row["best"] = better
        self._notice_drop(net.optimizer_.param_groups[0]["lr"])
        if better:
            self.best_loss_, self.best_epoch_, self.waited_ = value, epoch, 0
            if self.restore_best:
                self.best_weights_ = {
                    name: value.detach().clone() for name, value in net.module_.state_dict().items()
                }
        elif self.resting_:
            self.resting_ -= 1
        else:
            self.waited_ += 1
        reason = self._reason(row, epoch, better)
        if reason:
            net.request_stop(reason)

    def _improves(self, value, lower):
        if not math.isfinite(value):
            return False
        if self.best_loss_ is None:
            return True
        step = self.min_delta * abs(self.best_loss_)
        return bool(value < self.best_loss_ - step if lower else value > self.best_loss_ + step)

    def _notice_drop(self, lr):
        """Patience starts again after a drop of the learning rate, and rests for ``cooldown``
        epochs."""
        if self.lr_ is not None and lr < self.lr_ and self.cooldown:
            self.resting_, self.waited_ = self.cooldown, 0
        self.lr_ = lr

    def _reason(self, row, epoch, better):
        if self._diverged(row.get("valid_loss", row["train_loss"])):
            return "diverged"
        if epoch < self.min_epochs:
            return None
        if self.overfit_gap is not None and "valid_loss" in row:
            apart = row["valid_loss"] > (1 + self.overfit_gap) * max(row["train_loss"], 1e-8)
            self.overfit_ = self.overfit_ + 1 if apart and not better else 0
            if self.overfit_ >= self.overfit_patience:
                return "overfit"
        return "patience" if self.waited_ >= self.patience else None

    def _diverged(self, loss):
        """Whether the loss is a multiple of its best and above where it began: a tiny loss may
        wobble by any factor."""
        if self.divergence_factor is None:
            return False
        if not math.isfinite(loss):
            return True
        self.first_ = loss if self.first_ is None else self.first_
        self.lowest_ = min(self.lowest_, loss)
        return loss > self.divergence_factor * self.lowest_ and loss > self.first_

    def on_train_end(self, net, **kwargs):
        watched = len(net.history) and "valid_loss" in net.history[-1]
        if self.best_weights_ is not None and (watched or net.stop_reason_ == "diverged"):
            with torch.no_grad():
                net.module_.load_state_dict(self.best_weights_)
        self.best_weights_ = None

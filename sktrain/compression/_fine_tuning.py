"""A fitted model and its training rows enter, the model pruned step by step while it trains on leaves.

Sparsity follows the cubic schedule over the first half of the epochs; then the rest of the weights settle. Only rows that are given
are trained on: whoever holds rows back leaves them out.
"""

from contextlib import contextmanager
import copy

from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback

from ..exceptions import SktrainError
from ._places import is_net
from ._pruner import bake, cubic_sparsity, masks

__all__ = ["GradualPruning", "fine_tune"]


class GradualPruning(Callback):
    """Skorch callback that prunes while training.

    Parameters
    ----------
    target : float
        Sparsity at the end.
    epochs : int
        Epochs of training; the target is reached at half of them.
    scope, sensitivity
        As of :class:`ModelPruner`.
    """

    def __init__(self, target, epochs, scope="global", sensitivity=0.1):
        self.target = target
        self.epochs = epochs
        self.scope = scope
        self.sensitivity = sensitivity

    def on_train_begin(self, net, **kwargs):
        self.weights_ = list(bake(net.module_).values())
        self.initial_ = sum(int((w == 0).sum()) for w in self.weights_) / sum(w.numel() for w in self.weights_)
        self.epoch_ = 0

    def on_epoch_begin(self, net, **kwargs):
        self.epoch_ += 1
        progress = self.epoch_ / max(1, (self.epochs + 1) // 2)
        now = cubic_sparsity(progress, self.target, min(self.initial_, self.target))
        self.masks_ = masks(self.weights_, now, self.scope, self.sensitivity)
        self._apply()

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self._apply()

    def _apply(self):
        for weight, keep in zip(self.weights_, self.masks_):
            weight.data.masked_fill_(~keep, 0.0)


def fine_tune(model, X, y, *, target, epochs, sample_weight=None, **options):
    """Prune the nets of a fitted model (in place) to ``target`` while they train ``epochs`` more.

    Raises
    ------
    SktrainError
        A meta-estimator inside which rows cannot be followed to the nets.
    """
    if is_net(model):
        with _pruning(model, GradualPruning(target, epochs, **options), epochs):
            model.partial_fit(X, y, sample_weight=sample_weight)
    elif isinstance(model, Pipeline):
        for _, step in model.steps[:-1]:
            if hasattr(step, "fit_resample"):
                X, y = copy.deepcopy(step).fit_resample(X, y)
                sample_weight = None
            elif hasattr(step, "transform"):
                X = step.transform(X)
        fine_tune(model.steps[-1][1], X, y, target=target, epochs=epochs, sample_weight=sample_weight, **options)
    elif isinstance(model, VotingClassifier):
        codes = model.le_.transform(y)
        for one in model.estimators_:
            fine_tune(one, X, codes, target=target, epochs=epochs, sample_weight=sample_weight, **options)
    else:
        raise SktrainError(f"Nets inside a {type(model).__name__} cannot be fine-tuned; use fine_tune_epochs=0, or a net, Pipeline or VotingClassifier.")


@contextmanager
def _pruning(net, callback, epochs):
    """For a while, train with one more callback and without early stopping, which would bring back unpruned weights."""
    changed = {"max_epochs": epochs, "callbacks__early_stopping": None}
    if net.callbacks != "disable":
        changed["callbacks"] = [*(net.callbacks or []), ("pruning", callback)]
    else:
        raise SktrainError("Fine-tuning prunes by a callback, but the net has callbacks='disable'.")
    before = {name: vars(net)[name] for name in changed if name in vars(net)}
    vars(net).update(changed)
    try:
        yield
    finally:
        for name in changed:
            vars(net).pop(name)
        vars(net).update(before)
        net.callbacks_ = [(name, one) for name, one in getattr(net, "callbacks_", []) if one is not callback]

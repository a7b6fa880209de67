"""What happens around the steps of training: clipping, schedules, stopping on request. Each acts on
the net; none sees data.

Order within a step: gradients are unscaled, then ``clip`` acts (skorch's ``on_grad_computed``),
then the optimizer steps. Schedules run from epoch 0 to the last epoch inclusive.
"""

import math
from typing import Literal

from skorch.callbacks import Callback
import torch

from .._progress import progress_bar
from .._typing import StopSignal
from .._validation import check_count, check_number
from ..exceptions import SktrainError
from ._modules import EnhancedDropout, schedule_fraction

__all__ = [
    "DropoutSchedule",
    "GradientClip",
    "ProgressBar",
    "ReduceOnPlateau",
    "StopFlag",
    "WeightDecaySchedule",
]


def __getattr__(name):
    if name == "WeightDecayScheduler":  # nets that earlier versions pickled name it here
        import sktrain

        return sktrain.WeightDecayScheduler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def check_limit(name, value):
    """Refuse a bound of gradients that is not a number > 0 or None."""
    check_number(name, value, 0, closed="neither", optional=True)


def norm_of(gradients):
    """Euclidean norm of all gradients together, a tensor; 20 µs a step less than
    ``torch.nn.utils.get_total_norm``."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def total_norm(gradients):
    """The same as a float."""
    return float(norm_of(gradients)) if gradients else 0.0


def clip_unread(gradients, norm, clip_value, max_norm):
    """What :func:`clip_gradients` does, by tensors alone: a card need not wait for ``norm``.

    Where ``norm`` is not finite the gradients become so too; that step is skipped."""
    if max_norm is not None:
        torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))
    if clip_value is not None and (max_norm is None or clip_value < max_norm):
        torch._foreach_clamp_min_(gradients, -clip_value)
        torch._foreach_clamp_max_(gradients, clip_value)


def clip_gradients(parameters, clip_value, max_norm):
    """Scale to ``max_norm``, then limit each component, as torch does both; returns the norm
    before."""
    parameters = [p for p in parameters if p.grad is not None]
    norm = total_norm([p.grad for p in parameters])
    if not math.isfinite(norm):
        return norm
    if max_norm is not None and norm > max_norm:
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, torch.tensor(norm))
    largest = norm if max_norm is None else min(norm, max_norm)
    if clip_value is not None and largest > clip_value:  # no component exceeds the norm
        torch.nn.utils.clip_grad_value_(parameters, clip_value)
    return norm


class GradientClip(Callback):
    """Clips the gradients of every step, after they are unscaled and before the optimizer uses
    them.

    Parameters
    ----------
    clip_value : float or None, default=1.0
        Bound of each gradient entry; None does not clip entries.
    max_norm : float or None, default=5.0
        Largest Euclidean norm of all gradients together, scaled down to before entries are clipped.
        The largest norm of an epoch stands in the history under ``grad_norm``.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import MLPNetClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> net = MLPNetClassifier(
    ...     max_epochs=3, horizon=0, random_state=0, callbacks__clip__max_norm=0.01
    ... ).fit(X, X[:, 0] > 0)
    >>> [norm > 0.01 for norm in net.history[:, "grad_norm"]]  # as they were, all were clipped
    [True, True, True]
    """

    def __init__(self, clip_value: float | None = 1.0, max_norm: float | None = 5.0) -> None:
        self.clip_value = clip_value
        self.max_norm = max_norm

    def on_train_begin(self, net, **kwargs):
        check_limit("callbacks__clip__clip_value", self.clip_value)
        check_limit("callbacks__clip__max_norm", self.max_norm)

    def on_epoch_begin(self, net, **kwargs):
        self.largest_ = 0.0

    def on_grad_computed(self, net, named_parameters, **kwargs):
        """Clip; returns the norm before clipping, which the net reads too."""
        norm = clip_gradients((p for _, p in named_parameters), self.clip_value, self.max_norm)
        net.grad_norm_ = norm
        self.largest_ = max(self.largest_, norm)
        return norm

    def on_epoch_end(self, net, **kwargs):
        net.history.record("grad_norm", self.largest_)


class DropoutSchedule(Callback):
    """Lowers the rate of every :class:`EnhancedDropout` of the net from its own ``p`` to ``min_p``
    over ``max_epochs``.

    Parameters
    ----------
    schedule : {"linear", "cosine"}, default="linear"
        Evenly, or by half a cosine: slowly at both ends.
    min_p : float, default=0.1
        A layer that starts below it stays where it is.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import EnhancedDropout, MLPNetClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> net = MLPNetClassifier(
    ...     max_epochs=3, horizon=0, random_state=0, module__dropout=0.3,
    ...     callbacks__dropout__min_p=0.05,
    ... ).fit(X, X[:, 0] > 0)
    >>> layers = [one for one in net.module_.modules() if isinstance(one, EnhancedDropout)]
    >>> [(one.p, one.current_p) for one in layers]  # at the first epoch, and now
    [(0.3, 0.05), (0.3, 0.05)]
    """

    passing_ = ("layers_",)  # no part of the state of training

    def __init__(
        self, schedule: Literal["linear", "cosine"] = "linear", min_p: float = 0.1
    ) -> None:
        self.schedule = schedule
        self.min_p = min_p

    def on_train_begin(self, net, **kwargs):
        EnhancedDropout(0.0, self.schedule, self.min_p)  # refuses what no layer would take
        self.layers_ = [
            layer for layer in net.module_.modules() if isinstance(layer, EnhancedDropout)
        ]
        for layer in self.layers_:
            layer.schedule, layer.min_p = self.schedule, float(self.min_p)

    def on_epoch_begin(self, net, **kwargs):
        for layer in self.layers_:
            layer.set_epoch(net.epoch_, total_epochs=net.max_epochs - 1)

    def on_train_end(self, net, **kwargs):
        self.layers_ = []


def check_weight_decay(schedule, **decays):
    """Refuse a schedule that is unknown, and decays that are no numbers >= 0."""
    for name, value in decays.items():
        check_number(name, value, 0)
    schedule_fraction(schedule, 0, 1)


def weight_decay_at(epoch, total_epochs, base, largest, schedule):
    """Weight decay at an epoch on its way from ``base`` to ``largest``."""
    return base + (largest - base) * schedule_fraction(schedule, epoch, total_epochs)


class WeightDecaySchedule(Callback):
    """Raises the decoupled weight decay from ``base`` to ``max`` over ``max_epochs``; biases and
    norm weights never decay.

    Stands aside when ``optimizer__weight_decay`` is set.

    Parameters
    ----------
    base, max : float, default=1e-4, 1e-3
        Decay at the first epoch and at ``max_epochs``.
    schedule : {"cosine", "linear"}, default="cosine"
        By half a cosine, slowly at both ends, or evenly.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import MLPNetClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> net = MLPNetClassifier(
    ...     max_epochs=3, horizon=0, random_state=0, callbacks__weight_decay__max=0.01
    ... ).fit(X, X[:, 0] > 0)
    >>> [group["weight_decay"] for group in net.optimizer_.param_groups]  # weights, then biases
    [0.01, 0.0]
    """

    passing_ = ("scheduler_",)  # pickles of earlier versions hold one

    def __init__(
        self,
        base: float = 1e-4,
        max: float = 1e-3,
        schedule: Literal["cosine", "linear"] = "cosine",
    ) -> None:
        self.base = base
        self.max = max
        self.schedule = schedule

    def on_train_begin(self, net, **kwargs):
        own = {"base": self.base, "max": self.max}
        named = {f"callbacks__weight_decay__{name}": value for name, value in own.items()}
        check_weight_decay(self.schedule, **named)

    def on_epoch_begin(self, net, **kwargs):
        if hasattr(net, "optimizer__weight_decay"):
            return
        decay = weight_decay_at(
            net.epoch_, net.max_epochs - 1, self.base, self.max, self.schedule
        )
        for group in net.optimizer_.param_groups:
            if group.get("decays"):
                group["weight_decay"] = decay


class ReduceOnPlateau(Callback):
    """Lowers the learning rate when what is monitored no longer improves, as torch's
    ``ReduceLROnPlateau`` does.

    Parameters
    ----------
    factor : float, default=0.5
        What the rate is multiplied by, in (0, 1).
    patience : int, default=5
        Epochs without improvement before that.
    min_lr : float, default=1e-6
        Lower bound of the rate.
    monitor : str, default="auto"
        As in :class:`EnhancedEarlyStopping`, which also says in which direction a column improves.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import MLPNetClassifier, ReduceOnPlateau
    >>> rng = np.random.default_rng(0)
    >>> X, noise = rng.normal(size=(300, 3)), rng.integers(0, 2, size=300)
    >>> net = MLPNetClassifier(
    ...     max_epochs=12, horizon=0, lr=1e-3, random_state=0,
    ...     callbacks=[("plateau", ReduceOnPlateau(factor=0.1, patience=5))],
    ... ).fit(X, noise)  # nothing to find: the validation loss rises from the first epoch on
    >>> print(f"{net.optimizer_.param_groups[0]['lr']:.0e}")
    1e-05
    """

    passing_ = ("scheduler_",)  # a resumed training makes it anew and goes on from its state

    def __init__(
        self, factor: float = 0.5, patience: int = 5, min_lr: float = 1e-6, monitor: str = "auto"
    ) -> None:
        self.factor = factor
        self.patience = patience
        self.min_lr = min_lr
        self.monitor = monitor

    def on_train_begin(self, net, **kwargs):
        check_number("factor", self.factor, 0, 1, closed="neither")
        check_count("patience", self.patience)
        check_number("min_lr", self.min_lr, 0)
        self.scheduler_ = self.state_ = None

    def on_epoch_end(self, net, **kwargs):
        value, lower = monitored(net, self.monitor)
        if self.scheduler_ is None:
            self.scheduler_ = torch.optim.lr_scheduler.ReduceLROnPlateau(
                net.optimizer_,
                "min" if lower else "max",
                self.factor,
                self.patience - 1,
                threshold=0.0,
                min_lr=self.min_lr,
            )
        if self.state_ is not None:
            self.scheduler_.load_state_dict(self.state_)
        self.scheduler_.step(value)
        self.state_ = self.scheduler_.state_dict()

    def on_train_end(self, net, **kwargs):
        self.scheduler_ = None


def monitored(net, name):
    """The newest value of a history column and whether lower is better; "auto" prefers the
    validation loss."""
    row = net.history[-1]
    if name == "auto":
        name = "valid_loss" if "valid_loss" in row else "train_loss"
    if name not in row:
        raise SktrainError(
            f"monitor={name!r} is not in the history; it has "
            f"{sorted(key for key in row if key != 'batches')}."
        )
    return row[name], _lower_is_better(net, name)


def _lower_is_better(net, name):
    if name.endswith("_loss"):
        return True
    if name == "valid_acc":
        return False
    for _, callback in net.callbacks_:
        if (
            getattr(callback, "name_", None) == name
            and getattr(callback, "lower_is_better", None) is not None
        ):
            return callback.lower_is_better
    raise SktrainError(
        f"monitor={name!r}: nothing says whether it should fall or rise. Record it by a scoring "
        "callback with lower_is_better."
    )


class StopFlag(Callback):
    """Ends training after the current batch when somebody raises a flag; the net stays usable,
    ``stop_reason_`` is "stop_flag".

    Parameters
    ----------
    flag : object with ``is_set()`` (such as ``threading.Event``), or callable without arguments
        Clones and copies of the callback share it; a pickle leaves it behind.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import MLPNetClassifier, StopFlag
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> stop = StopFlag(lambda: True)  # or a threading.Event, set from elsewhere
    >>> net = MLPNetClassifier(horizon=0, random_state=0, callbacks=[("stop", stop)])
    >>> net.fit(X, X[:, 0] > 0).stop_reason_
    'stop_flag'
    """

    passing_ = ("flag",)

    def __init__(self, flag: StopSignal | None = None) -> None:
        self.flag = flag

    def __sklearn_clone__(self):
        return StopFlag(self.flag)

    def __deepcopy__(self, memo):
        return StopFlag(self.flag)

    def __getstate__(self):
        return {"flag": None}

    def on_train_begin(self, net, **kwargs):
        if self.flag is not None and not callable(self.flag) and not hasattr(self.flag, "is_set"):
            raise SktrainError(f"flag must have is_set() or be callable, got {self.flag!r}.")

    def on_batch_end(self, net, training=None, **kwargs):
        if (
            training
            and self.flag is not None
            and (self.flag.is_set() if hasattr(self.flag, "is_set") else self.flag())
        ):
            net.request_stop("stop_flag")


class ProgressBar(Callback):
    """A rich progress bar over the epochs, with the losses; shown when the net is verbose.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import MLPNetClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> net = MLPNetClassifier(max_epochs=3, horizon=0, random_state=0, verbose=1)
    >>> net = net.fit(X, X[:, 0] > 0)
    MLPNetClassifier ...
    >>> "progress" in dict(net.callbacks_)
    True
    """

    passing_ = ("bar_", "task_")

    def on_train_begin(self, net, **kwargs):
        from rich.progress import TextColumn

        self.bar_ = progress_bar(TextColumn("{task.fields[losses]}"))
        self.task_ = self.bar_.add_task(type(net).__name__, total=net.max_epochs, losses="")
        self.bar_.start()

    def on_epoch_end(self, net, **kwargs):
        row = net.history[-1]
        losses = "  ".join(
            f"{name} {row[name]:.4f}"
            for name in ("train_loss", "valid_loss", "valid_acc")
            if name in row
        )
        self.bar_.update(self.task_, advance=1, losses=losses)

    def close(self) -> None:
        """Leave the terminal alone, also when training failed."""
        if vars(self).get("bar_") is not None:
            self.bar_.stop()
            self.bar_ = None

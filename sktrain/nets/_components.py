"""Validation of the components a user chose.

Asked before anything of the net changes, and once more when network and loss are made, with two
rows of zeros.
"""

from contextlib import contextmanager
from fnmatch import fnmatch
from inspect import Parameter, signature
import warnings

from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, InputShapeSetter
import torch
from torch import nn

from .._devices import check_device, find_device
from .._validation import check_count
from ..exceptions import SktrainError
from ._optimizers import make_optimizer

__all__ = [
    "check_components", "check_criterion", "check_module", "check_order", "check_patterns",
    "names_of", "scores_for", "told_by_name",
]  # fmt: skip

_NUMBERS = (
    nn.BCELoss, nn.BCEWithLogitsLoss, nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss,
    nn.KLDivLoss, nn.PoissonNLLLoss, nn.GaussianNLLLoss, nn.MultiLabelMarginLoss,
    nn.MultiLabelSoftMarginLoss, nn.SoftMarginLoss, nn.CTCLoss,
)
_HOOKS = ("initialize", *(name for name in vars(Callback) if name.startswith("on_")))
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_SIZES = ("n_features", "n_steps", "n_classes")  # what a module is told of the rows
_REORDERING = ("shuffle", "sampler", "batch_sampler", "drop_last")
UNCALLED = (
    "check_data", "evaluation_step", "get_dataset", "get_loss", "get_split_datasets",
    "get_train_step_accumulator", "infer", "run_single_epoch", "train_step_single",
)
"""Methods of skorch's net that the training loop here does not call; overriding them is refused,
not ignored."""


def names_of(component):
    """Parameter names of a class or callable; None when it takes any, or cannot be asked."""
    if not callable(component):
        return None
    parameters = signature(component).parameters.values()
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return None
    return {p.name: p.default for p in parameters if p.kind is not Parameter.VAR_POSITIONAL}


def check_components(net):
    """Refuse components that cannot work, by name."""
    check_device(net.device)
    if find_device(net.device).type == "meta":
        raise SktrainError(f"device={net.device!r} holds no numbers. Use device='cpu'.")
    _check_criterion(net.criterion)
    _check_optimizer(net.optimizer)
    if net.module is not None and not callable(net.module):
        raise SktrainError(f"module must be a torch Module, its class or None, got {net.module!r}.")
    _check_parameters(net)
    for name in ("iterator_train", "iterator_valid"):
        if not callable(getattr(net, name)):
            raise SktrainError(
                f"{name} must be a class like torch's DataLoader, got {getattr(net, name)!r}."
            )
        workers = net._get_params_for(name).get("num_workers", 0)
        check_count(f"{name}__num_workers", workers, minimum=0)
    check_order(net._get_params_for("iterator_valid"))
    _check_callbacks(net.callbacks, [name for name, _ in net.get_default_callbacks()])
    for name, value in net._get_params_for("callbacks").items():
        if "__" not in name and value is not None and not _is_callback(value):
            raise SktrainError(f"callbacks__{name} must be a callback or None, got {value!r}.")
    for name in UNCALLED:
        if getattr(type(net), name) is not getattr(NeuralNetClassifier, name):
            raise SktrainError(
                f"{type(net).__name__} overrides {name}, which sktrain's nets never call; see "
                "docs/nets.md for what they do."
            )


def _check_criterion(criterion):
    if isinstance(criterion, str) or not callable(criterion):
        raise SktrainError(
            f"criterion must be a loss of torch, its class or an instance, got {criterion!r}."
        )
    kind = type(criterion) if isinstance(criterion, nn.Module) else criterion
    if isinstance(kind, type) and issubclass(kind, _NUMBERS):
        raise SktrainError(
            f"criterion={kind.__name__} compares numbers with numbers; a net gives one score per "
            "class and its targets are class codes. Use FocalLoss, CrossEntropyLoss or NLLLoss."
        )


def _check_optimizer(optimizer):
    if not callable(optimizer) or isinstance(optimizer, torch.optim.Optimizer):
        raise SktrainError(f"optimizer must be a class of torch.optim, got {optimizer!r}.")
    step = getattr(optimizer, "step", None)
    closure = None if step is None else signature(step).parameters.get("closure")
    if closure is not None and closure.default is Parameter.empty:
        raise SktrainError(
            f"optimizer={optimizer.__name__} evaluates the loss several times a step, which a net "
            "that clips, counts and schedules single steps does not offer. Use AdamW, Adam or SGD."
        )


def check_order(params):
    """Refuse what would change the order or number of predicted rows."""
    for name in _REORDERING:
        if params.get(name):
            raise SktrainError(
                f"iterator_valid__{name}={params[name]!r} would change the order or number of "
                f"predicted rows. Leave it out; rows are shuffled by iterator_train__{name}."
            )


def _check_callbacks(callbacks, taken):
    if callbacks is None or callbacks == "disable":
        return
    if not isinstance(callbacks, (list, tuple)):
        raise SktrainError(
            f"callbacks must be a list of callbacks or (name, callback) pairs, got {callbacks!r}."
        )
    taken = set(taken)
    for item in callbacks:
        named = isinstance(item, (list, tuple)) and len(item) == 2 and isinstance(item[0], str)
        callback = item[1] if named else item
        if not _is_callback(callback) and not (named and callback is None):
            told = "is neither a skorch callback nor a (name, callback) pair"
            if isinstance(callback, type) and issubclass(callback, Callback):
                told = f"is a class that needs arguments; give {callback.__name__}(...)"
            raise SktrainError(f"callbacks: {item!r} {told}.")
        if named and item[0] in taken:
            raise SktrainError(
                f"callbacks: the name {item[0]!r} is taken; a callback of the net by that name is "
                f"replaced by callbacks__{item[0]}=... Give this one another name."
            )
        taken |= {item[0]} if named else set()
        if isinstance(callback, InputShapeSetter):
            raise SktrainError(
                "callbacks: InputShapeSetter sets sizes that these nets take from the rows. Leave "
                "it out; a module of your own is called with n_features, n_steps and n_classes."
            )


def _is_callback(value):
    """Whether it has the hooks; a class has them too, and must then need no arguments."""
    needs = signature(value).parameters.values() if isinstance(value, type) else ()
    return all(hasattr(value, hook) for hook in _HOOKS) and not any(
        one.default is Parameter.empty and one.kind not in _VARIADIC for one in needs
    )


@contextmanager
def told_by_name(net, prefix):
    """What a component says against its parameters, with their names."""
    try:
        yield
    except SktrainError:
        raise
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        component = getattr(net, prefix)
        name = getattr(component, "__name__", component)
        given = ", ".join(f"{prefix}__{k}={v!r}" for k, v in net._get_params_for(prefix).items())
        raise SktrainError(
            f"{prefix}={name} does not take {given or 'its defaults'}: {error}"
        ) from error


def _check_parameters(net):
    """Make torch's own loss and an optimizer once, and let torch's own step, on a parameter of no
    consequence; of others ask whether they can be called."""
    params = dict(net._get_params_for("optimizer"))
    groups = params.pop("param_groups", ())
    if isinstance(net.optimizer, type) and issubclass(net.optimizer, torch.optim.Optimizer):
        if "lr" in (names_of(net.optimizer) or {}):
            params.setdefault("lr", net.lr)
        with told_by_name(net, "optimizer"):
            weight = nn.Parameter(torch.zeros(1))
            weight.grad = torch.zeros(1)
            optimizer = make_optimizer(net.optimizer, [weight], **params)
            if net.optimizer.__module__.startswith("torch."):  # a step of the user's may do more
                optimizer.step()
    if isinstance(net.criterion, type) and net.criterion.__module__.startswith("torch."):
        with told_by_name(net, "criterion"):
            net.criterion(**net._get_params_for("criterion"))
    for prefix in ("criterion", "module"):
        _check_call(net, prefix)
    pairs = isinstance(groups, (list, tuple)) and all(
        isinstance(one, (list, tuple)) and len(one) == 2 and isinstance(one[1], dict)
        for one in groups
    )
    if not pairs:
        raise SktrainError(
            "optimizer__param_groups must be a list of (pattern, dict of settings), got "
            f"{groups!r}."
        )


def _check_call(net, prefix):
    """Whether a class, or a function that makes a component, takes the parameters it will get."""
    component, params = getattr(net, prefix), net._get_params_for(prefix)
    if component is None or (isinstance(component, nn.Module) and not params):
        return
    component = type(component) if isinstance(component, nn.Module) else component
    takes = names_of(component)
    sizes = _SIZES if prefix == "module" else ()
    told = {name: None for name in sizes if takes is None or name in takes}
    with told_by_name(net, prefix):
        signature(component).bind(**{**told, **params})


def check_patterns(groups, names):
    """Warn of parameter groups that hold no parameter: skorch ignores them."""
    for pattern, _ in groups:
        if not any(fnmatch(name, pattern) for name in names):
            warnings.warn(
                f"optimizer__param_groups: {pattern!r} matches no parameter of the network, so its "
                f"settings do nothing; there are {', '.join(names)}.",
                stacklevel=8,
            )


def scores_for(criterion, logits):
    """What a loss wants of the class scores: ``NLLLoss`` log-probabilities, all others the scores
    themselves."""
    return torch.log_softmax(logits, 1) if isinstance(criterion, nn.NLLLoss) else logits


@torch.no_grad()
def check_module(net):
    """Send two rows of zeros through a network that is not this library's own."""
    n_classes, rows = len(net.classes_), torch.zeros(2, net.lookback_, net.step_features_)
    kind = next((parameter.dtype for parameter in net.module_.parameters()), rows.dtype)
    try:
        shape = tuple(net.module_.eval()(rows.to(kind)).shape)
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        sizes = f"{net.lookback_} steps and {net.step_features_} features"
        raise SktrainError(f"module does not take rows of {sizes}: {error}") from error
    if shape != (2, n_classes):
        raise SktrainError(
            f"module gives scores of shape {shape} for 2 rows and {n_classes} classes; it must be "
            f"(2, {n_classes})."
        )


@torch.no_grad()
def check_criterion(net):
    """Ask a loss that is not this library's own for the loss of a few rows: one more than there are
    classes, so that codes do not pass for scores."""
    criterion, n_classes = net.criterion_, len(net.classes_)
    if type(criterion).__module__.startswith("sktrain."):
        return
    codes = torch.arange(n_classes + 1, device=net._device) % n_classes
    scores = scores_for(criterion, torch.zeros(len(codes), n_classes, device=net._device))
    try:
        size = torch.as_tensor(criterion(scores, codes)).numel()
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        name = getattr(type(criterion), "__name__", criterion)
        raise SktrainError(
            f"criterion={name} does not take scores (n, {n_classes}) with class codes (n,): {error}"
        ) from error
    if size != 1:
        raise SktrainError(
            f"criterion gives {size} numbers for a batch of {len(codes)} rows; it must give one "
            "(reduction='mean' or 'sum')."
        )

"""Nets as plain values: parameters, what was learned, weights and optimizer as arrays; no pickle.

Whatever of a net's parameters, callbacks and learned attributes are plain values is kept; what is
not (a callback that belongs to a folder or a thread, a function as validation split) is left out by
name.
"""

import math
from typing import Any

import numpy as np

from .._posterior import Posterior
from .._validation import Count
from ..exceptions import CorruptFileError, PersistenceError
from ._checks import check_parallel

__all__ = ["CLASSES", "rebuild", "state_of"]

CLASSES = {
    f"sktrain.nets.{name}": ("sktrain.nets", name)
    for name in (
        "GRUClassifier",
        "LSTMClassifier",
        "MLPNetClassifier",
        "TCNClassifier",
        "TransformerClassifier",
    )
}
_MADE = {  # attributes of a fitted net that are made anew, or told in another way
    "callbacks_",
    "criterion_",
    "epoch_",
    "history_",
    "init_context_",
    "members_",
    "initialized_",
    "module_",
    "optimizer_",
    "posterior_",
    "virtual_params_",
}
_POSITIONS = "validation_"  # positions in the training rows, which are not kept either
_OF_THE_MACHINE = ("StopFlag", "TrainingCheckpoint")  # a thread's flag, a folder
_SLACK = 2**16  # values that a network may hold beside its weights: positions, masks; a judgment


def state_of(net, where, encoder):
    """Parameters, learned values, history, weights and, if ``encoder`` asks, the optimizer."""
    params = {
        key: value
        for key, value in net.get_params(deep=False).items()
        if key != "device"  # where to compute is no property of the model
    }
    if params.get("module") is not None:
        raise PersistenceError(
            f"{where} has a network of its own (module={params['module']!r}), which a .sktrain "
            "file cannot rebuild. Use joblib.dump."
        )
    state = {"params": _kept_params(params, where, encoder), "fitted": net.__sklearn_is_fitted__()}
    if state["fitted"] and "members_" in vars(net):
        state["learned"] = _learned(net, where, encoder)
        state["history"] = [_plain_row(row) for row in net.history_ or []]
        state["members"] = list(net.members_)
    elif state["fitted"]:
        _check_module(net, where)
        state["learned"] = _learned(net, where, encoder)
        if "posterior_" in vars(net):
            state["posterior"] = dict(vars(net.posterior_))
        state["history"] = [_plain_row(row) for row in net.history_ or []]
        state["weights"] = _arrays(net.module_.state_dict())
        state["callbacks"] = _fitted_callbacks(net, encoder)
        state.update(_training_state(net, where, encoder))
    return state


def _kept_params(params, where, encoder):
    """Parameters that a file can hold; the others are named as left out."""
    gone = set()
    if isinstance(params.get("callbacks"), (list, tuple)):
        listed = [_named(item) for item in params["callbacks"]]
        gone = {name for name, one in listed if not _portable(one, encoder)}
        kept = [item for item, (name, _) in zip(params["callbacks"], listed) if name not in gone]
        params = {**params, "callbacks": kept or None}
    out = {}
    for key, value in params.items():
        prefix, _, rest = key.partition("__")
        own = prefix == "callbacks" and rest
        if own and rest.partition("__")[0] in gone:
            continue
        if (own or key == "train_split") and not _portable(value, encoder):
            gone.add(rest or key)
            continue
        out[key] = value
    encoder.left += [
        f"{where}.{'' if name in params else 'callbacks__'}{name}" for name in sorted(gone)
    ]
    return out


def _named(item):
    """(name, callback) of an item of ``callbacks``, as skorch names it."""
    if isinstance(item, (tuple, list)):
        return item
    return getattr(item, "__name__", type(item).__name__), item


def _portable(value, encoder):
    return type(value).__name__ not in _OF_THE_MACHINE and encoder.holds(value)


def _learned(net, where, encoder):
    found = {
        name: value
        for name, value in vars(net).items()
        if name.endswith("_") and not name.startswith("_") and name not in _MADE
    }
    out = {}
    for name, value in found.items():
        unasked = name == "replay_" and not encoder.replay_rows
        if name != _POSITIONS and not unasked and encoder.holds(value):
            out[name] = value
    encoder.left += [f"{where}.{name}" for name in {*found, _POSITIONS} - out.keys()]
    return out


def _plain_row(row):
    return {key: value for key, value in row.items() if key != "batches"}


def _fitted_callbacks(net, encoder):
    return [[name, one] for name, one in vars(net).get("callbacks_", []) if _portable(one, encoder)]


def _training_state(net, where, encoder):
    """The loss's own state and, when it was asked for, the optimizer's."""
    state, criterion = {}, vars(net).get("criterion_")
    if hasattr(criterion, "state_dict"):
        state["criterion"] = _arrays(criterion.state_dict())
    if encoder.optimizer and "optimizer_" in vars(net):
        state["optimizer"] = net.optimizer_.state_dict()
    else:
        encoder.left.append(f"{where}.optimizer_")
    return state


def _check_module(net, where):
    """Refuse a network that its parameters would not rebuild."""
    import torch
    from torch.nn.utils import parametrize, prune

    if prune.is_pruned(net.module_) or parametrize.is_parametrized(net.module_):
        raise PersistenceError(
            f"{where} has live pruning masks or parametrizations, which a .sktrain file cannot "
            "hold. Make them permanent first: torch.nn.utils.prune.remove, "
            "parametrize.remove_parametrizations, or prune with sktrain.ModelPruner, which leaves "
            "none."
        )
    with torch.device("meta"):
        fresh = net._component("module")(**net.get_params_for("module"))
    if _shapes(fresh) != _shapes(net.module_):
        raise PersistenceError(
            f"{where} has a network that differs from the one its parameters make, so a .sktrain "
            "file cannot rebuild it. Use joblib.dump."
        )


def _shapes(module):
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def _arrays(tensors):
    return {name: value.detach().cpu().numpy() for name, value in tensors.items()}


def rebuild(cls, state):
    """A net that predicts, and trains on, as the saved one did."""
    params, fitted = state["params"], state["fitted"]
    if params.get("module") is not None or "device" in params:  # no file that was saved has them
        raise CorruptFileError("a net tells a network or a device of its own.")
    check_parallel(params)
    net = cls(**params)
    if not fitted:
        return net
    learned = {key: value for key, value in state["learned"].items() if key not in _MADE}
    if not all(isinstance(key, str) and key.endswith("_") and key[0] != "_" for key in learned):
        raise CorruptFileError("a net's learned attributes have names that none has.")
    vars(net).update(learned)
    if "members" in state:
        _take_members(net, state["members"])
    else:
        _take_weights(net, state)
    net.initialize_history()
    for row in state["history"]:
        net.history_.new_epoch()
        for key, value in row.items():
            net.history_.record(key, value)
    if "callbacks" in state:
        vars(net)["callbacks_"] = [(name, one) for name, one in state["callbacks"]]
    net.initialized_ = True
    if "optimizer" in state:
        net.initialize_optimizer()
        net.optimizer_.load_state_dict(state["optimizer"])
    return net


def _take_members(net, members):
    """Fitted nets of the same kind and sizes, which answer together."""
    alike = ("lookback_", "step_features_", "classes_inferred_")
    if not (isinstance(members, list) and len(members) > 0):
        raise CorruptFileError("a net of several members has none.")
    several = len({id(one) for one in members})  # one of few bytes may stand in it many times
    if several < len(members) or not Count(several).is_satisfied_by(net.n_members):
        raise CorruptFileError(f"a net of {net.n_members!r} members holds {several}, or one twice.")
    whole: Any = vars(net)
    for one in members:
        own: Any = vars(one) if type(one) is type(net) else {}
        if "module_" not in own:
            raise CorruptFileError(f"a member of a {type(net).__name__} is no such net.")
        if any(not np.array_equal(own.get(key), whole.get(key)) for key in alike):
            raise CorruptFileError("members of a net take different rows or know other classes.")
    net.members_ = members


def _take_weights(net, state):
    """Network and loss."""
    if "posterior" in state:  # earlier files hold none: their nets go on saying what they said
        net.posterior_ = Posterior(**state["posterior"])
    _make_network(net, state["weights"])
    if "criterion" in state:
        net._initialize_criterion()
        _put_loss(net.criterion_, state["criterion"])


def _make_network(net, weights):
    """Make the network without initial weights, and let it have those of the file.

    On torch's device without memory, so that one whose weights the file does not have costs none.
    """
    import torch

    _check_sizes(net, weights)
    with torch.device("meta"):
        net.initialize_module()
    module = net.module_
    _check_shapes(module, weights)
    double = any(np.asarray(value).dtype == np.float64 for value in weights.values())
    kinds = {
        name: torch.float64 if double and value.is_floating_point() else value.dtype
        for name, value in module.state_dict().items()
    }
    values = {
        name: torch.tensor(np.asarray(value), dtype=kinds[name]) for name, value in weights.items()
    }
    module.load_state_dict(values, strict=True, assign=True)
    module.eval()


def _check_sizes(net, weights):
    """Refuse sizes that the weights do not have, before a network of such sizes is made."""
    total = sum(np.asarray(value).size for value in weights.values()) + _SLACK
    for name, value in net.get_params_for("module").items():
        if isinstance(value, float) and not math.isfinite(value):
            raise CorruptFileError(f"a net has {name}={value!r}.")
        limit = len(weights) if name == "n_layers" else total
        if isinstance(value, (int, np.integer)) and not 0 <= value <= limit:
            raise CorruptFileError(f"a net has {name}={value!r}, which its weights do not have.")


def _check_shapes(module, weights):
    """Refuse weights that are not those of the network, by name and shape."""
    told = {name: np.asarray(value).shape for name, value in weights.items()}
    if _shapes(module) != told:
        raise CorruptFileError("a net's weights do not fit its parameters.")


def _put(module, arrays):
    """Load a module's state; what came in double precision makes it so."""
    import torch

    values = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    if any(value.dtype == torch.float64 for value in values.values()):
        module.double()
    module.load_state_dict(values, strict=True)


def _put_loss(loss, arrays):
    """Load the state of a loss; weights of classes are learned from rows, so a new loss has
    none."""
    import torch

    buffers = dict(loss.named_buffers())
    for name, value in arrays.items():
        if name in loss._buffers and (
            buffers.get(name) is None or buffers[name].shape != value.shape
        ):
            loss._buffers[name] = torch.from_numpy(np.array(value))
    _put(loss, arrays)

"""A trained network enters, a narrower one leaves: whole hidden units are taken out, so that dense arithmetic gets faster too.

Each layer keeps the same number of units, those with the largest weights around them; steps and their time are untouched.
"""

import numpy as np

from ..exceptions import SktrainError
from ._places import is_net, nets_in

__all__ = ["narrow"]


def narrow(model, target):
    """Take hidden units out of every network of ``model`` until about ``target`` of its matrix weights are gone.

    Returns
    -------
    float
        Share of the matrix weights that are gone.

    Raises
    ------
    SktrainError
        A network whose units are tied together across layers, as those of residual networks are.
    """
    from ..nets import _modules as nets

    if not is_net(model) and hasattr(model, "parameters"):
        raise SktrainError("structured=True makes a new, narrower network, so it takes fitted nets, pipelines and ensembles, not bare Modules.")
    fitted = nets_in(model)
    for net in fitted:
        if type(net.module_) not in (nets.MLPModule, nets.GRUModule, nets.LSTMModule):
            raise SktrainError(f"structured=True works for MLP, GRU and LSTM nets; units of a {type(net.module_).__name__} are tied across layers.")
    before = after = 0
    for net in fitted:
        before += _count(net.module_)
        _replace(net, target)
        after += _count(net.module_)
    return 1 - after / before


def _count(module):
    return sum(weight.numel() for weight in module.parameters() if weight.ndim > 1)


def _replace(net, target):
    old = net.module_
    width = _width(old, target)
    if width == old.hidden_size:
        return
    new = _resized(old, width)
    new.load_state_dict(_sliced(old, width))
    new.gradient_checkpointing = old.gradient_checkpointing
    net.module_ = new.to(next(old.parameters()).device).eval()
    vars(net)["module__hidden_size"] = width  # what the network is now; set_params would declare the net unfitted
    net.initialize_optimizer()  # its moments belonged to the old weights


def _resized(module, width):
    return type(module)(module.n_features, module.n_steps, module.head.out_features, width, len(module.layers), module.dropout.p)


def _width(module, target):
    """Units per layer that come closest to the target."""
    wanted, low, high = (1 - target) * _count(module), 1, module.hidden_size
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if _count(_resized(module, middle)) < wanted else (low, middle)
    return min((max(low - 1, 1), low), key=lambda width: abs(_count(_resized(module, width)) - wanted))


def _sliced(module, width):
    """The state of the narrower network."""
    state = {name: value.clone() for name, value in module.state_dict().items()}
    kept = None  # units of the layer before
    for i in range(len(module.layers)):
        names = [name for name in state if name.startswith(f"layers.{i}.")]
        following = [name for name in state if name.startswith((f"layers.{i + 1}.weight_ih", f"layers.{i + 1}.weight")) and "_hh" not in name]
        units = _strongest([state[name] for name in names], [state[name] for name in following or ["head.weight"]], module.hidden_size, width)
        for name in names:
            state[name] = _rows_of_units(state[name], units, module.hidden_size)
            if state[name].ndim > 1:
                columns = units if "_hh" in name else kept
                state[name] = state[name] if columns is None else state[name][:, columns]
        kept = units
    state["head.weight"] = state["head.weight"][:, kept]
    return state


def _strongest(incoming, outgoing, size, width):
    """Units with the largest norm of weights in and out, in order."""
    energy = sum((weight.double() ** 2).reshape(-1, size, *weight.shape[1:]).transpose(0, 1).flatten(1).sum(1) for weight in incoming)
    energy = energy + sum((weight.double() ** 2).sum(0) for weight in outgoing)
    return np.sort(np.argsort(-energy.cpu().numpy(), kind="stable")[:width])


def _rows_of_units(weight, units, size):
    """Rows of some units in each block of gates."""
    return weight.reshape(-1, size, *weight.shape[1:])[:, units].flatten(0, 1)

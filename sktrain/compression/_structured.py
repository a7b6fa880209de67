"""Structured pruning: whole hidden units are removed, so that dense arithmetic is faster too.

A plan says for each layer which sets of units its rows and columns belong to; a unit stays or goes
wherever it is used, and those with the largest weights around them stay. Steps and their time are
untouched.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import accumulate
import math
from typing import Any

import torch

from ..exceptions import SktrainError
from ..reproducibility import rng_scope
from ._places import is_net, nets_in

__all__ = ["narrow"]


def narrow(model, target):
    """Take hidden units out of every network of ``model`` until about ``target`` of its matrix
    weights are gone.

    Returns
    -------
    float
        Share of the matrix weights that are gone.

    Raises
    ------
    SktrainError
        A network that is not one of sktrain's five.
    """
    if not is_net(model) and hasattr(model, "parameters"):
        raise SktrainError(
            "structured=True makes a new, narrower network, so it takes fitted nets, pipelines "
            "and ensembles, not bare Modules."
        )
    fitted = nets_in(model)
    for net in fitted:
        if type(net.module_) not in _plans():
            # a network of the user's own stands behind a standardization
            own = getattr(net.module_, "network", net.module_)
            raise SktrainError(
                "structured=True must know how units are wired: it takes sktrain's own networks, "
                f"not {type(own).__name__}. structured=False takes any."
            )
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
    plan, state = _plans()[type(old)](old), _state(old)
    width = _width(old, plan, state, target)
    if width == old.hidden_size:
        return
    with rng_scope(0):  # weights are drawn, and overwritten
        new = _resized(old, width).to(next(old.parameters()))
    new.load_state_dict(_narrowed(old, plan, state, width))
    new.gradient_checkpointing = old.gradient_checkpointing
    for name, layer in new.named_modules():
        if hasattr(layer, "current_p"):
            layer.current_p = old.get_submodule(name).current_p
    net.module_ = new.eval()
    # what the network is now; set_params would declare the net unfitted
    net.module__hidden_size = width
    if "optimizer_" in vars(net):  # a net from a file has none
        net.initialize_optimizer()  # its moments belonged to the old weights


def _resized(module, width):
    from .. import nets

    n_layers, options = len(module.layers if hasattr(module, "layers") else module.blocks), {}
    if isinstance(module, nets.TCNModule):
        options = {"kernel_size": module.kernel_size}
    elif isinstance(module, nets.TransformerModule):
        options = {"n_heads": module.n_heads, "positions": module.kind}
    sizes = module.n_features, module.n_steps, module.head.out_features, width, n_layers
    return type(module)(*sizes, module.dropout.p, **options)


@dataclass(frozen=True)
class Units:
    """A set of units: ``times`` as many as the network is wide, in ``groups`` that keep the same
    number each."""

    name: str
    times: int = 1
    groups: int = 1


#: The sets of units along the rows and along the columns, by layer or parameter.
_Plan = dict[str, tuple[tuple[Units, ...], tuple[Units, ...]]]

_STREAM = Units("stream")  # channels that every block of a residual network reads and adds to


def _plans():
    """For each class of network what makes its plan: by layer or parameter, the sets of units along
    its rows and its columns."""
    from .. import nets

    stacked = dict.fromkeys((nets.GRUModule, nets.LSTMModule), _recurrent)
    return {
        nets.MLPModule: _mlp,
        nets.TCNModule: _tcn,
        nets.TransformerModule: _transformer,
        **stacked,
    }


def _mlp(module):
    plan: _Plan = {}
    before: tuple[Units, ...] = ()
    for i in range(len(module.layers)):
        own = (Units(f"layer {i}"),)
        plan[f"layers.{i}"] = own, before
        before = own
    return {**plan, "head": ((), before)}


def _recurrent(module):
    plan: _Plan = {}
    before: tuple[Units, ...] = ()
    for i, layer in enumerate(module.layers):
        own = (Units(f"layer {i}"),)
        gates = own * (layer.weight_hh_l0.shape[0] // layer.hidden_size)
        plan[f"layers.{i}.weight_ih_l0"] = gates, before
        plan[f"layers.{i}.weight_hh_l0"] = gates, own
        plan[f"layers.{i}.bias_ih_l0"] = plan[f"layers.{i}.bias_hh_l0"] = gates, ()
        before = own
    return {**plan, "head": ((), before)}


def _tcn(module):
    stream: tuple[Units, ...] = (_STREAM,)
    before: tuple[Units, ...] = ()
    plan: _Plan = {"blocks.0.skip": (stream, ()), "head": ((), stream)}
    for i in range(len(module.blocks)):
        inner = (Units(f"block {i}"),)
        plan[f"blocks.{i}.first"] = inner, before
        plan[f"blocks.{i}.second"] = stream, inner
        before = stream
    return plan


def _transformer(module):
    stream = (_STREAM,)
    plan = {
        "embed": (stream, ()),
        "positions": ((), stream),
        "norm": (stream, ()),
        "head": ((), stream),
    }
    for i in range(len(module.blocks)):
        compared, mixed = (
            Units(f"{what} {i}", groups=module.n_heads) for what in ("query and key", "value")
        )
        wide = (Units(f"wide {i}", times=2),)
        plan[f"blocks.{i}.norm_attention"] = plan[f"blocks.{i}.norm_mlp"] = stream, ()
        plan[f"blocks.{i}.query"] = (compared,), stream
        plan[f"blocks.{i}.key_value"] = (compared, mixed), stream
        plan[f"blocks.{i}.project"] = stream, (mixed,)
        plan[f"blocks.{i}.widen"] = wide, stream
        plan[f"blocks.{i}.narrow"] = stream, wide
    return plan


def _state(module):
    """Parameters and buffers. Where a TCN's first block adds its input as it is, a narrower one
    must pick channels of it."""
    state = {name: value.clone() for name, value in module.state_dict().items()}
    if "blocks.0.first.weight" in state and "blocks.0.skip.weight" not in state:
        state["blocks.0.skip.weight"] = (
            torch.eye(module.n_features).to(state["head.weight"]).unsqueeze(2)
        )
        state["blocks.0.skip.bias"] = torch.zeros_like(state["blocks.0.first.bias"])
    return state


def _axes(plan, state):
    """Name, axis and sets of units of everything that has units."""
    for name, value in state.items():
        for axis, sets in enumerate(plan.get(name) or plan.get(name.rpartition(".")[0]) or ()):
            if sets and axis < value.ndim:
                yield name, axis, sets


def _width(module, plan, state, target):
    """The width, of those the network can have, whose number of weights comes closest to the
    target."""
    buffers, shrinking = (
        dict(module.named_buffers()),
        Counter(name for name, _, _ in _axes(plan, state)),
    )
    matrices = {
        name: value.numel()
        for name, value in state.items()
        if value.ndim > 1 and name not in buffers
    }
    counts = {module.hidden_size: _count(module)}
    for width in _narrower(module):
        counts[width] = sum(
            size * (width / module.hidden_size) ** shrinking[name]
            for name, size in matrices.items()
        )
    wanted = (1 - target) * _count(module)
    return min(counts, key=lambda width: abs(counts[width] - wanted))


def _narrower(module):
    """Widths below the present one."""
    step, names, impossible = getattr(module, "n_heads", 1), module.state_dict(), set()
    if "norm.weight" in names:
        impossible.add(1)  # a norm leaves nothing of a single channel
    if "blocks.0.skip.weight" in names:
        # a TCN as wide as its input has no weights in its first skip
        impossible.add(module.n_features)
    return [width for width in range(step, module.hidden_size, step) if width not in impossible]


def _narrowed(module, plan, state, width):
    """The state of the narrower network."""
    kept = _strongest(module, plan, state, width)
    if _STREAM in kept and "embed.weight" in state:
        _compensate(state, kept[_STREAM], width / module.hidden_size)
    for name, axis, sets in list(_axes(plan, state)):
        sizes = [units.times * module.hidden_size for units in sets]
        places = [kept[units] + start for units, start in zip(sets, accumulate(sizes, initial=0))]
        kept_places = torch.cat(places).to(state[name].device)
        state[name] = state[name].index_select(axis, kept_places)
    return state


def _strongest(module, plan, state, width):
    """Places of the units of each set that have the most energy in the matrices around them, the
    same number in every group."""
    energy: defaultdict[Units, Any] = defaultdict(float)
    for name, axis, sets in _axes(plan, state):
        if state[name].ndim > 1:
            along = _energy(name, state[name]).movedim(axis, 0).flatten(1).sum(1)
            for units, part in zip(
                sets, along.split([units.times * module.hidden_size for units in sets])
            ):
                energy[units] = energy[units] + part
    kept = {}
    for units, values in energy.items():
        values = values.reshape(units.groups, -1)
        best = values.argsort(dim=1, descending=True, stable=True)[
            :, : units.times * width // units.groups
        ]
        starts = torch.arange(units.groups, device=best.device).unsqueeze(1) * values.shape[1]
        kept[units] = (best + starts).flatten().sort().values
    return kept


def _compensate(state, kept, share):
    """Attention divides by the root of its dimensions, a norm by the root mean square of its
    channels; fewer must change neither."""
    writers = ("embed.weight", "project.weight", "narrow.weight")
    written = [
        _energy(name, value).sum(1) for name, value in state.items() if name.endswith(writers)
    ]
    size = sum(written) + _energy("positions", state["positions"]).sum(0)
    gain = math.sqrt(size[kept].mean() / size.mean()) if size.any() else 1.0
    for name, value in state.items():
        if ".query." in name:
            value *= math.sqrt(share)
        elif "norm" in name and name.endswith("weight"):
            value *= gain


def _energy(name, value):
    value = value.cpu().double()
    if name == "positions":  # what is the same at every step is a bias, and a step sees one row
        value = (value - value.mean(0)) / math.sqrt(len(value))
    return value.pow(2)

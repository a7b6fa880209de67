"""Products of whole numbers in a graph with eight-bit weights: activations are rounded row by row.

Every row of a layer's inputs (a step, a window) gets a scale of its own, its largest number; states
of recurrent layers lie in [-1, 1] and need none, which takes a quarter of the operators out of a
step. Sums of products of whole numbers are exact in any order, so what is worked out for a row
depends on no other row of the call, to the last bit, nor on how many there are. Rows know time only
by the order of their steps.

Activations get seven bits, [-63, 63], stored as unsigned numbers around 64: processors without VNNI
add pairs of products in 16 bits (``vpmaddubsw``), and 2 * 127 * 127 is the largest pair that
fits. With eight bits a model would answer otherwise there than here.
"""

from math import prod
from typing import Any

import numpy as np

from .._optional import require
from ..exceptions import SktrainError

__all__ = ["round_activations"]

# activations have 7 bits about a middle: sums of two products of 8-bit CPU kernels stay in 16
# bits, 2 · 127 · 127 < 2**15
_LARGEST, _ZERO = 63, 64
_FEWEST = 64  # inputs and outputs of a product that is worth rounding them
_INT32_MAX = 2**31 - 1  # sums of products of codes may not pass it
# a row of zeros is divided by this, far below any row that says something
_TINY = np.float32(1e-30)
_MOST_STEPS = 256  # a judgment: a recurrent layer becomes about 25 operators a step
_GATES = {"GRU": 3, "LSTM": 4}  # by the ONNX operators


def round_activations(model, codes, n_steps, name="The network"):
    """Replace products with eight-bit weights in ``model`` (in place) by products of whole numbers.

    Linear, convolutional (along steps) and recurrent layers of at least 64 inputs and outputs; what
    is smaller keeps floats.

    Parameters
    ----------
    model : ModelProto
        As :func:`~sktrain.compression._quantizer.quantize_graph` leaves it, one scale per channel.
    codes : dict of str to int8 ndarray
        The weights.
    n_steps : int
        Steps of a row.
    name : str
        Of the network, for messages.

    Raises
    ------
    SktrainError
        A network without such a layer; a recurrent one with windows of more than 256 steps.
    """
    writer = _Writer(model, codes, n_steps, name)
    for node in list(model.graph.node):
        if not _WRITERS.get(node.op_type, _as_it_is)(writer, node):
            writer.nodes.append(node)
    if not writer.n_products:
        raise SktrainError(
            f"activations='int8' rounds what reaches layers of at least {_FEWEST} inputs and "
            f"outputs, and {name} has none. Use activations=None."
        )
    writer.finish()


def _as_it_is(writer, node):
    return False


class _Writer:
    """Collects the new nodes and constants of a graph."""

    def __init__(self, model, codes, n_steps, name):
        self.helper = require("onnx.helper", extra="deploy", caller="ModelQuantizer")
        self.numpy_helper = require("onnx.numpy_helper", extra="deploy", caller="ModelQuantizer")
        self.model, self.codes, self.n_steps, self.name = model, codes, n_steps, name
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes, self.n_products, self.prepared = [], 0, {}

    def __call__(self, op, *inputs, outputs=1, called=None, **attributes):
        made = [called] if called else [f"int_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(self.helper.make_node(op, list(inputs), made, **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, name, value):
        """Add an array; its name."""
        if name not in self.constants:
            self.constants[name] = self.numpy_helper.from_array(np.asarray(value), name)
        return name

    def axes(self, *which):
        return self.constant("int_axes." + ".".join(map(str, which)), np.array(which, np.int64))

    def value(self, name):
        """A constant of the graph as an array."""
        return self.numpy_helper.to_array(self.constants[name])

    def is_worth_it(self, name, n_inputs, n_outputs):
        """Whether a weight has eight bits, one scale per output, and is large enough."""
        whole = self.constants.get(f"{name}.scale")
        fits = min(n_inputs, n_outputs) >= _FEWEST and n_inputs * 127 * 127 < _INT32_MAX
        return (
            f"{name}.int8" in self.codes
            and whole is not None
            and prod(whole.dims) == n_outputs
            and fits
        )

    def product(self, X, weight, turn=None, bias=None, bounded=False):
        """``X @ weight + bias`` by whole numbers; ``turn`` makes the table (inputs, outputs), and
        what is ``bounded`` lies in [-1, 1]."""
        self.n_products += 1
        table, scale = self._prepared(weight, turn)
        size = None
        if not bounded:
            largest = self("ReduceMax", self("Abs", X), self.axes(-1), keepdims=1)
            size = self("Max", largest, self.constant("int_tiny", _TINY))
            X = self("Div", X, size)
        step = self.constant("int_step", np.float32(1 / _LARGEST))
        zero = self.constant("int_zero", np.uint8(_ZERO))
        whole = self("MatMulInteger", self("QuantizeLinear", X, step, zero), table, zero)
        result = self("Mul", self("Cast", whole, to=1), scale)
        result = result if bounded else self("Mul", result, size)
        return result if bias is None else self("Add", result, bias)

    def _prepared(self, weight, turn):
        """A table of weights, and what one of the products is worth for each output."""
        if weight not in self.prepared:
            table = f"{weight}.int8" if turn is None else turn(self, f"{weight}.int8")
            scale = self.value(f"{weight}.scale").reshape(1, -1) / np.float32(_LARGEST)
            self.prepared[weight] = table, self.constant(f"{weight}.outputs", scale)
        return self.prepared[weight]

    def finish(self):
        """Put what is needed into the graph."""
        graph, kept = self.model.graph, []
        needed = {one.name for one in graph.output}
        for node in reversed(self.nodes):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(node.input)
        del graph.node[:], graph.initializer[:]
        graph.node.extend(reversed(kept))
        graph.initializer.extend(one for name, one in self.constants.items() if name in needed)


def _attributes(writer, node):
    return {one.name: writer.helper.get_attribute_value(one) for one in node.attribute}


def _turned(writer, table):
    return writer("Transpose", table, perm=[1, 0])


def _unpacked(writer, table):
    """Without the axis of directions that recurrent layers have."""
    return _turned(writer, writer("Squeeze", table, writer.axes(0)))


def _flattened(writer, table):
    """(outputs, channels, 1, size) as a table of patches: size by size, channel by channel."""
    moved = writer("Transpose", table, perm=[3, 2, 1, 0])
    n_outputs = writer.codes[table].shape[0]
    shape = writer.constant(f"int_table.{n_outputs}", np.array([-1, n_outputs], np.int64))
    return writer("Reshape", moved, shape)


def _dense(writer, node):
    """``Gemm`` or ``MatMul`` with a constant matrix; whether it was written."""
    X, weight, *bias = node.input
    if f"{weight}.int8" not in writer.codes or writer.codes[f"{weight}.int8"].ndim != 2:
        return False
    options = _attributes(writer, node)
    plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    turned = bool(options.get("transB", 0))
    shape = writer.codes[f"{weight}.int8"].shape
    n_inputs, n_outputs = shape[::-1] if turned else shape
    if any(options.get(name, usual) != usual for name, usual in plain.items()):
        return False
    if not writer.is_worth_it(weight, n_inputs, n_outputs):
        return False
    result = writer.product(X, weight, _turned if turned else None, bias[0] if bias else None)
    writer("Identity", result, called=node.output[0])
    return True


def _convolution(writer, node):
    """A convolution along the last axis of (1, channels, rows, steps); whether it was written."""
    X, weight, *bias = node.input
    table = writer.codes.get(f"{weight}.int8")
    options: dict[str, Any] = {
        "group": 1, "pads": [0] * 4, "strides": [1, 1], "dilations": [1, 1],
        **_attributes(writer, node),
    }
    if table is None or table.ndim != 4 or table.shape[2] != 1 or options["group"] != 1:
        return False
    n_outputs, n_channels, _, size = table.shape
    above, before, below, after = options["pads"]
    down, stride = options["strides"]
    known = set(options) <= {"group", "pads", "strides", "dilations", "kernel_shape"}
    if above or below or after or down != 1 or list(options["dilations"]) != [1, 1] or not known:
        return False
    if not writer.is_worth_it(weight, n_channels * size, n_outputs):
        return False
    patches = _patches(writer, X, before, size, stride)
    found = writer.product(patches, weight, _flattened, bias[0] if bias else None)
    writer("Transpose", found, perm=[0, 3, 1, 2], called=node.output[0])
    return True


def _patches(writer, X, before, size, stride):
    """What each place of a convolution multiplies: (1, rows, places, size * channels)."""
    X = writer("Transpose", X, perm=[0, 2, 3, 1])
    if before:
        first = writer("Slice", X, writer.axes(0), writer.axes(1), writer.axes(2))
        zeros = writer("Sub", first, first)
        X = writer("Concat", *[zeros] * before, X, axis=2)
    if size == 1 and stride == 1:
        return X
    ends = [place - size + 1 or np.iinfo(np.int64).max for place in range(size)]
    bounds = [(writer.axes(place), writer.axes(end)) for place, end in enumerate(ends)]
    by = writer.axes(2), writer.axes(stride)
    return writer("Concat", *(writer("Slice", X, *pair, *by) for pair in bounds), axis=3)


def _recurrent(writer, node):
    """A layer of one direction that starts from zeros, step by step; whether it was written."""
    kind, options = node.op_type, _attributes(writer, node)
    X, inputs, states = node.input[:3]
    bias, rest = "".join(node.input[3:4]), node.input[4:]
    size = options.get("hidden_size", 0)
    plain = set(options) <= {"hidden_size", "linear_before_reset"} and not any(rest) and bias
    if not plain or not writer.is_worth_it(states, size, _GATES[kind] * size):
        return False
    if kind == "GRU" and not options.get("linear_before_reset"):
        return False
    if writer.n_steps > _MOST_STEPS:
        raise SktrainError(
            f"activations='int8' takes windows of up to {_MOST_STEPS} steps in recurrent layers, "
            f"got {writer.n_steps} in {writer.name}. Use activations=None or a smaller lookback."
        )
    own, fed_back = np.split(writer.value(bias).reshape(-1).copy(), 2)
    outside = 2 * size if kind == "GRU" else 4 * size  # a GRU resets the rest first
    own[:outside] += fed_back[:outside]
    every = _projected(writer, X, inputs, _GATES[kind] * size)
    every = writer("Add", every, writer.constant(f"{states}.own", own))
    back = writer.constant(f"{states}.back", fed_back[-size:])  # a GRU's, inside its reset
    found = {"GRU": _gru, "LSTM": _lstm}[kind](writer, every, states, back, size)
    tall = [writer("Unsqueeze", one, writer.axes(0)) for one in found]
    writer("Concat", *tall, called=node.output[0], axis=0)
    for name in node.output[1:2]:
        writer("Identity", found[-1], called=name)
    return True


def _projected(writer, X, weight, n_gates):
    """What the inputs of all steps add to every gate: (steps, rows, gates)."""
    n_inputs = writer.codes[f"{weight}.int8"].shape[-1] if f"{weight}.int8" in writer.codes else 0
    if writer.is_worth_it(weight, n_inputs, n_gates):
        return writer.product(X, weight, _unpacked)
    return writer("MatMul", X, _unpacked(writer, weight))


def _by_step(writer, every):
    """(steps, rows, gates) as one (1, rows, gates) per step: no axis has to be taken off."""
    steps = writer.n_steps
    return (
        writer("Split", every, outputs=steps, axis=0, num_outputs=steps) if steps > 1 else [every]
    )


def _gru(writer, every, weight, back, size):
    """States (1, rows, size) after each step; gates z, r, h."""
    parts = writer.constant(f"int_gates.{2 * size}", np.array([2 * size, size], np.int64))
    all_gates, all_new = writer("Split", every, parts, outputs=2, axis=2)
    state, found = None, []
    for gates, new in zip(_by_step(writer, all_gates), _by_step(writer, all_new)):
        old = back
        if state is not None:
            fed = writer.product(state, weight, _unpacked, bounded=True)
            more, old = writer("Split", fed, parts, outputs=2, axis=2)
            gates, old = writer("Add", gates, more), writer("Add", old, back)
        keep, reset = writer("Split", writer("Sigmoid", gates), outputs=2, axis=2, num_outputs=2)
        new = writer("Tanh", writer("Add", new, writer("Mul", reset, old)))
        # (1 - z) new + z state = new + z (state - new)
        gap = writer("Neg", new) if state is None else writer("Sub", state, new)
        state = writer("Add", new, writer("Mul", keep, gap))
        found.append(state)
    return found


def _lstm(writer, every, weight, back, size):
    """States (1, rows, size) after each step; gates i, o, f, c."""
    parts = writer.constant(f"int_gates.{3 * size}", np.array([3 * size, size], np.int64))
    state = cell = None
    found = []
    for step in _by_step(writer, every):
        if state is not None:
            step = writer("Add", step, writer.product(state, weight, _unpacked, bounded=True))
        gates, new = writer("Split", step, parts, outputs=2, axis=2)
        take, give, keep = writer(
            "Split", writer("Sigmoid", gates), outputs=3, axis=2, num_outputs=3
        )
        new = writer("Mul", take, writer("Tanh", new))
        cell = new if cell is None else writer("Add", writer("Mul", keep, cell), new)
        state = writer("Mul", give, writer("Tanh", cell))
        found.append(state)
    return found


_WRITERS = {
    "Conv": _convolution, "GRU": _recurrent, "LSTM": _recurrent, "Gemm": _dense, "MatMul": _dense
}  # fmt: skip

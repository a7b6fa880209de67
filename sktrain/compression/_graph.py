"""An ONNX graph of floats from a trained network: windows in, class scores out, any batch size.

The five networks are written out operator by operator, which takes milliseconds; any other network
goes through torch's exporter. The order of steps inside a window is all there is of time. What a
pipeline does before its network (features, windows) is not exported.
"""

import math

import numpy as np

from .._optional import require
from ..exceptions import SktrainError

__all__ = ["INPUT", "PROBABILITIES", "SCORES", "Graph", "float_graph"]

INPUT, SCORES, PROBABILITIES = "X", "scores", "probabilities"
_OPSET, _IR = 20, 10  # operators of ONNX 1.15, file format of ONNX 1.16 (ONNX's table of versions)


class Graph:
    """Collects nodes and weights; calling it with an operator's name adds a node and returns the
    name of what it yields."""

    def __init__(self, n_steps):
        self.helper = require("onnx.helper", extra="deploy", caller="ONNX export")
        self.nodes, self.weights, self.n_steps = [], {}, n_steps

    def __call__(self, op, *inputs, outputs=1, **attributes):
        names = [f"{op.lower()}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(self.helper.make_node(op, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def weight(self, name, value):
        """Add a constant; its name."""
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        value = np.asarray(value)
        self.weights[name] = (
            np.ascontiguousarray(value, dtype=np.float32)
            if value.dtype.kind == "f"
            else value.astype(np.int64)
        )
        return name

    def dense(self, X, name, layer):
        """``X @ weight.T + bias`` for two axes."""
        return self(
            "Gemm",
            X,
            self.weight(f"{name}.weight", layer.weight),
            self.weight(f"{name}.bias", layer.bias),
            transB=1,
        )

    def reshape(self, X, *shape):
        """The same numbers in another shape; -1 is what is left."""
        return self(
            "Reshape", X, self.weight("shape." + ".".join(map(str, shape)), np.array(shape))
        )

    def model(self, n_features, n_outputs, output, output_name=SCORES):
        """The finished ``ModelProto``; the batch is free."""
        helper, numpy_helper = (
            self.helper,
            require("onnx.numpy_helper", extra="deploy", caller="ONNX export"),
        )
        self.nodes.append(helper.make_node("Identity", [output], [output_name]))
        graph = helper.make_graph(
            self.nodes,
            "sktrain",
            [helper.make_tensor_value_info(INPUT, 1, ["batch", self.n_steps, n_features])],
            [helper.make_tensor_value_info(output_name, 1, ["batch", n_outputs])],
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR,
            producer_name="sktrain",
        )


def float_graph(module, shape):
    """The graph of ``module``.

    Parameters
    ----------
    module : torch.nn.Module
        Windows in, class scores out.
    shape : tuple of int
        (steps, features) of a window.

    Returns
    -------
    onnx.ModelProto
        Input ``X``, output ``scores``.

    Raises
    ------
    SktrainError
        A layer that cannot be exported; it is named.
    """
    write = _writers().get(type(module))
    if write is None:
        return _traced(module, shape)
    graph = Graph(shape[0])
    return graph.model(shape[1], module.head.out_features, scores(graph, module))


def scores(graph, module):
    """Add one of the five networks to a graph; the name of its class scores."""
    encoded = _writers()[type(module)](graph, module, _standardized(graph, module.standardize))
    return graph.dense(encoded, "head", module.head)


def _writers():
    from .. import nets

    recurrent = {nets.GRUModule: _recurrent, nets.LSTMModule: _recurrent}
    return {
        nets.MLPModule: _mlp,
        nets.TCNModule: _tcn,
        nets.TransformerModule: _transformer,
        **recurrent,
    }


def _standardized(graph, layer):
    centred = graph("Sub", INPUT, graph.weight("standardize.mean", layer.mean))
    scaled = graph("Mul", centred, graph.weight("standardize.scale", layer.scale))
    return graph("Where", graph("IsNaN", scaled), graph.weight("zero", np.float32(0)), scaled)


def _mlp(graph, module, X):
    X = graph("Flatten", X, axis=1)
    for i, layer in enumerate(module.layers):
        X = graph("Relu", graph.dense(X, f"layers.{i}", layer))
    return X


_GATES = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}  # torch: r z n, i f g o; ONNX: z r h, i o f c


def _recurrent(graph, module, X):
    X, last = graph("Transpose", X, perm=[1, 0, 2]), None
    for i, layer in enumerate(module.layers):
        kind = type(layer).__name__
        options = {"linear_before_reset": 1} if kind == "GRU" else {}
        weights = [graph.weight(f"layers.{i}.{name}", value) for name, value in _gates(layer, kind)]
        every, last = graph(kind, X, *weights, outputs=2, hidden_size=layer.hidden_size, **options)
        X = graph("Squeeze", every, graph.weight("one", np.array([1])))
    return graph("Squeeze", last, graph.weight("none", np.array([0])))


def _gates(layer, kind):
    """Weights in ONNX's order of gates, with the leading axis for the direction."""

    def ordered(name):
        parts = np.split(getattr(layer, f"{name}_l0").detach().cpu().numpy(), len(_GATES[kind]))
        return np.concatenate([parts[gate] for gate in _GATES[kind]])[None]

    yield "weight_ih_l0", ordered("weight_ih")
    yield "weight_hh_l0", ordered("weight_hh")
    yield "bias", np.concatenate([ordered("bias_ih"), ordered("bias_hh")], axis=1)


def _tcn(graph, module, X):
    """Only the last step is read off, so only what it depends on is worked out.

    Block i looks back in strides of 2^i, so it needs every 2^i-th step before the last alone.
    Halving the steps after each block leaves convolutions of neighbours. Rows are a second axis of
    one image, so that a convolution is one product for all of them.
    """
    n_blocks, size = len(module.blocks), module.kernel_size
    steps = min(graph.n_steps, _span(size, n_blocks))
    X = graph("Transpose", _thinned(graph, X, graph.n_steps, steps, axis=1), perm=[2, 0, 1])
    X = graph("Unsqueeze", X, graph.weight("none", np.array([0])))  # (1, channels, rows, steps)
    for i, block in enumerate(module.blocks):
        outer = min((steps + 1) // 2, _span(size, n_blocks - i - 1))
        inner = min(steps, 2 * (outer - 1) + size)
        first = graph("Relu", _conv(graph, X, f"blocks.{i}.first", block.first, steps, inner))
        second = _conv(graph, first, f"blocks.{i}.second", block.second, inner, outer, stride=2)
        skip = _thinned(graph, X, steps, outer, stride=2)
        if hasattr(block.skip, "weight"):
            skip = _conv(graph, skip, f"blocks.{i}.skip", block.skip, outer, outer)
        X, steps = graph("Relu", graph("Add", second, skip)), outer
    return graph(
        "Transpose", graph("Squeeze", X, graph.weight("around", np.array([0, 3]))), perm=[1, 0]
    )


def _span(size, n_blocks):
    """Steps that the last one depends on through some blocks, in strides of the first of them."""
    return 1 + 2 * (size - 1) * (2**n_blocks - 1)


def _thinned(graph, X, steps, kept, stride=1, axis=3):
    """The last step and others before it at a distance of ``stride``, ``kept`` in all."""
    if kept == steps:
        return X
    bounds = {"from": steps - 1 - stride * (kept - 1), "to": steps, "axis": axis, "by": stride}
    return graph(
        "Slice",
        X,
        *(graph.weight(f"{name}.{value}", np.array([value])) for name, value in bounds.items()),
    )


def _conv(graph, X, name, layer, steps, kept, stride=1):
    """A convolution of neighbouring steps; what lies before the first is zero."""
    weight, bias = (
        graph.weight(f"{name}.weight", layer.weight.unsqueeze(2)),
        graph.weight(f"{name}.bias", layer.bias),
    )
    size = layer.kernel_size[0]
    before = stride * (kept - 1) + size - steps
    return graph(
        "Conv", X, weight, bias, pads=[0, before, 0, 0], strides=[1, stride], kernel_shape=[1, size]
    )


def _transformer(graph, module, X):
    """Rows and steps share one axis wherever they need not be told apart: products with their bias
    are one operator there."""
    n_steps, size = module.n_steps, module.hidden_size
    X = graph.reshape(
        graph.dense(graph.reshape(X, -1, module.n_features), "embed", module.embed),
        -1,
        n_steps,
        size,
    )
    X = graph.reshape(graph("Add", X, graph.weight("positions", module.positions)), -1, size)
    for i, block in enumerate(module.blocks):
        X = _attention_block(
            graph, X, f"blocks.{i}", block, n_steps, last_only=i + 1 == len(module.blocks)
        )
    return _norm(graph, X, "norm", module.norm)


def _norm(graph, X, name, layer):
    return graph(
        "LayerNormalization",
        X,
        graph.weight(f"{name}.weight", layer.weight),
        graph.weight(f"{name}.bias", layer.bias),
        axis=-1,
        epsilon=layer.eps,
    )


def _attention_block(graph, X, name, block, n_steps, last_only):
    width, n_heads = block.query.in_features, block.n_heads
    size = width // n_heads

    def heads(values, n_steps, perm):
        return graph("Transpose", graph.reshape(values, -1, n_steps, n_heads, size), perm=perm)

    Z = _norm(graph, X, f"{name}.norm_attention", block.norm_attention)
    seen = Z
    if last_only:
        at = graph.weight("last_step", np.array(-1))
        X, seen = (
            graph("Gather", graph.reshape(one, -1, n_steps, width), at, axis=1) for one in (X, Z)
        )
    query = heads(
        graph.dense(seen, f"{name}.query", block.query), 1 if last_only else n_steps, [0, 2, 1, 3]
    )
    key, value = graph(
        "Split",
        graph.dense(Z, f"{name}.key_value", block.key_value),
        outputs=2,
        axis=1,
        num_outputs=2,
    )
    found = graph("MatMul", query, heads(key, n_steps, [0, 2, 3, 1]))
    found = graph("Mul", found, graph.weight("temperature", np.float32(1 / math.sqrt(size))))
    if not last_only:
        later = np.triu(np.full((n_steps, n_steps), -np.inf, dtype=np.float32), 1)
        found = graph("Add", found, graph.weight("later", later))
    mixed = graph("MatMul", graph("Softmax", found, axis=-1), heads(value, n_steps, [0, 2, 1, 3]))
    mixed = graph.reshape(graph("Transpose", mixed, perm=[0, 2, 1, 3]), -1, width)
    X = graph("Add", X, graph.dense(mixed, f"{name}.project", block.project))
    wide = graph(
        "Gelu",
        graph.dense(
            _norm(graph, X, f"{name}.norm_mlp", block.norm_mlp), f"{name}.widen", block.widen
        ),
    )
    return graph("Add", X, graph.dense(wide, f"{name}.narrow", block.narrow))


def _traced(module, shape):
    """The graph of a network of the user's own, by torch's exporter, on the CPU."""
    import copy
    import logging
    import warnings

    import torch

    require("onnxscript", extra="deploy", caller="ONNX export")
    example = (torch.zeros(2, *shape),)
    logger = logging.getLogger("torch.onnx")
    if next(module.parameters()).device.type != "cpu":
        module = copy.deepcopy(module).cpu()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                example,
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[SCORES],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
    except Exception as error:
        named = ", ".join(
            sorted({type(part).__name__ for part in module.modules() if not list(part.children())})
        )
        raise SktrainError(
            f"{type(module).__name__} cannot be exported to ONNX (its layers: {named}): "
            f"{_reason(error)}"
        ) from error
    finally:
        logger.setLevel(level)
    assert program is not None  # of dynamo=True
    return program.model_proto


def _reason(error):
    lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__

"""A trained network enters, an ONNX graph of floats leaves: windows (batch, steps, features) in, class scores out, any batch size.

The five networks are written out operator by operator, which takes milliseconds; any other network goes through torch's exporter. The
order of steps inside a window is all there is of time.
"""

import math

import numpy as np

from .._optional import require
from ..exceptions import SktrainError

__all__ = ["INPUT", "SCORES", "Graph", "float_graph"]

INPUT, SCORES = "X", "scores"
_OPSET, _IR = 20, 10


class Graph:
    """Collects nodes and weights; calling it with an operator's name adds a node and returns the name of what it yields."""

    def __init__(self, prefix=""):
        self.helper = require("onnx.helper", extra="deploy", caller="ONNX export")
        self.nodes, self.weights, self.prefix = [], {}, prefix

    def __call__(self, op, *inputs, outputs=1, **attributes):
        names = [f"{self.prefix}{op.lower()}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(self.helper.make_node(op, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def weight(self, name, value):
        """Add a constant; its name."""
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        value = np.asarray(value)
        name = self.prefix + name
        self.weights[name] = np.ascontiguousarray(value, dtype=np.float32) if value.dtype.kind == "f" else value.astype(np.int64)
        return name

    def linear(self, X, name, layer):
        """``X @ weight.T + bias`` over the last axis of any number of axes."""
        return self("Add", self("MatMul", X, self.weight(f"{name}.weight", layer.weight.T)), self.weight(f"{name}.bias", layer.bias))

    def dense(self, X, name, layer):
        """The same for two axes."""
        return self("Gemm", X, self.weight(f"{name}.weight", layer.weight), self.weight(f"{name}.bias", layer.bias), transB=1)

    def model(self, n_steps, n_features, n_outputs, output, output_name=SCORES):
        """The finished ``ModelProto``; the batch is free."""
        helper, numpy_helper = self.helper, require("onnx.numpy_helper", extra="deploy", caller="ONNX export")
        self.nodes.append(helper.make_node("Identity", [output], [output_name]))
        graph = helper.make_graph(
            self.nodes,
            "sktrain",
            [helper.make_tensor_value_info(INPUT, 1, ["batch", n_steps, n_features])],
            [helper.make_tensor_value_info(output_name, 1, ["batch", n_outputs])],
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="sktrain")


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
    graph = Graph()
    return graph.model(*shape, module.head.out_features, scores(graph, module))


def scores(graph, module):
    """Add one of the five networks to a graph; the name of its class scores."""
    encoded = _writers()[type(module)](graph, module, _standardized(graph, module.standardize))
    return graph.dense(encoded, "head", module.head)


def _writers():
    from ..nets import _modules as nets

    recurrent = {nets.GRUModule: _recurrent, nets.LSTMModule: _recurrent}
    return {nets.MLPModule: _mlp, nets.TCNModule: _tcn, nets.TransformerModule: _transformer, **recurrent}


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

    yield "input", ordered("weight_ih")
    yield "recurrent", ordered("weight_hh")
    yield "bias", np.concatenate([ordered("bias_ih"), ordered("bias_hh")], axis=1)


def _tcn(graph, module, X):
    X = graph("Transpose", X, perm=[0, 2, 1])
    for i, block in enumerate(module.blocks):
        first = graph("Relu", _conv(graph, X, f"blocks.{i}.first", block.first))
        second = _conv(graph, first, f"blocks.{i}.second", block.second)
        skip = _conv(graph, X, f"blocks.{i}.skip", block.skip) if hasattr(block.skip, "weight") else X
        X = graph("Relu", graph("Add", second, skip))
    return graph("Gather", X, graph.weight("last", np.array(-1)), axis=2)


def _conv(graph, X, name, layer):
    weight, bias = graph.weight(f"{name}.weight", layer.weight), graph.weight(f"{name}.bias", layer.bias)
    return graph("Conv", X, weight, bias, pads=[getattr(layer, "reach", 0), 0], dilations=list(layer.dilation), kernel_shape=list(layer.kernel_size))


def _transformer(graph, module, X):
    X = graph("Add", graph.linear(X, "embed", module.embed), graph.weight("positions", module.positions))
    for i, block in enumerate(module.blocks):
        X = _attention_block(graph, X, f"blocks.{i}", block, module.n_steps, last_only=i + 1 == len(module.blocks))
    return graph("Squeeze", _norm(graph, X, "norm", module.norm), graph.weight("one", np.array([1])))


def _norm(graph, X, name, layer):
    return graph(
        "LayerNormalization", X, graph.weight(f"{name}.weight", layer.weight), graph.weight(f"{name}.bias", layer.bias), axis=-1, epsilon=layer.eps
    )


def _attention_block(graph, X, name, block, n_steps, last_only):
    size = block.query.in_features // block.n_heads
    shape = graph.weight("heads", np.array([0, -1, block.n_heads, size]))

    def heads(values, perm):
        return graph("Transpose", graph("Reshape", values, shape), perm=perm)

    Z = _norm(graph, X, f"{name}.norm_attention", block.norm_attention)
    seen = Z
    if last_only:
        at = graph.weight("last_step", np.array([-1]))
        X, seen = graph("Gather", X, at, axis=1), graph("Gather", Z, at, axis=1)
    query = heads(graph.linear(seen, f"{name}.query", block.query), [0, 2, 1, 3])
    key, value = graph("Split", graph.linear(Z, f"{name}.key_value", block.key_value), outputs=2, axis=2, num_outputs=2)
    found = graph("MatMul", query, heads(key, [0, 2, 3, 1]))
    found = graph("Mul", found, graph.weight("temperature", np.float32(1 / math.sqrt(size))))
    if not last_only:
        later = np.triu(np.full((n_steps, n_steps), -np.inf, dtype=np.float32), 1)
        found = graph("Add", found, graph.weight("later", later))
    mixed = graph("MatMul", graph("Softmax", found, axis=-1), heads(value, [0, 2, 1, 3]))
    mixed = graph("Reshape", graph("Transpose", mixed, perm=[0, 2, 1, 3]), graph.weight("joined", np.array([0, -1, block.n_heads * size])))
    X = graph("Add", X, graph.linear(mixed, f"{name}.project", block.project))
    wide = graph("Gelu", graph.linear(_norm(graph, X, f"{name}.norm_mlp", block.norm_mlp), f"{name}.widen", block.widen))
    return graph("Add", X, graph.linear(wide, f"{name}.narrow", block.narrow))


def _traced(module, shape):
    """The graph of a network of the user's own, by torch's exporter."""
    import logging
    import warnings

    import torch

    require("onnxscript", extra="deploy", caller="ONNX export")
    example = (torch.zeros(2, *shape),)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(), example, dynamo=True, verbose=False, input_names=[INPUT], output_names=[SCORES],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
    except Exception as error:
        named = ", ".join(sorted({type(part).__name__ for part in module.modules() if not list(part.children())}))
        raise SktrainError(
            f"{type(module).__name__} cannot be exported to ONNX (its layers: {named}): {_reason(error)}"
        ) from error
    finally:
        logger.setLevel(level)
    return program.model_proto


def _reason(error):
    lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__

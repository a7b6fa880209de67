"""A trained network enters, an ONNX graph of floats leaves: windows (batch, steps, features) in, class scores out, any batch size.

The five networks are written out operator by operator, which takes milliseconds; any other network goes through torch's exporter. The
order of steps inside a window is all there is of time. What a pipeline does before its network (features, windows) is not exported.
"""

import math

import numpy as np
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline

from .._io import atomic_write
from .._optional import require
from ..exceptions import PersistenceError, SktrainError
from ._places import is_net, nets_in
from ._quantized import QuantizedClassifier

__all__ = ["INPUT", "SCORES", "Graph", "export_onnx", "float_graph"]

INPUT, SCORES, PROBABILITIES = "X", "scores", "probabilities"
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


def export_onnx(model, path):
    """Write the networks of a fitted model as one ONNX file.

    Parameters
    ----------
    model : net, QuantizedClassifier, Pipeline ending in one, or soft VotingClassifier of them
        Fitted. Steps of a pipeline before its net are not part of the file.
    path : path
        Written whole or not at all.

    Returns
    -------
    pathlib.Path
        The file: input ``X``, float32 of shape (batch, steps, features), NaN is missing; output ``probabilities``, float32 of shape
        (batch, n_classes), columns as in ``classes_``, which the metadata entry ``classes`` lists.

    Raises
    ------
    SktrainError
        A model without nets, or with a part or layer that cannot be exported (named).
    NotFittedError
        A net that was not fitted.
    PersistenceError
        The file cannot be written; an old one stays as it was.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import GRUClassifier, export_onnx
    >>> X = np.random.default_rng(0).normal(size=(60, 5, 2))
    >>> net = GRUClassifier(max_epochs=1, random_state=0).fit(X, X[:, -1, 0] > 0)
    >>> export_onnx(net, getfixture("tmp_path") / "net.onnx").name
    'net.onnx'
    """
    onnx = require("onnx", extra="deploy", caller="export_onnx")
    members = list(_members(model, 1.0))
    made = _joined(onnx, [(_scores(one), weight) for one, weight in members])
    onnx.helper.set_model_props(made, {"classes": ",".join(map(str, np.asarray(model.classes_).tolist()))})
    onnx.checker.check_model(made)
    try:
        return atomic_write(path, made.SerializeToString())
    except OSError as error:
        raise PersistenceError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error


def _members(model, weight):
    """Networks and the share of each in the vote."""
    if isinstance(model, Pipeline):
        yield from _members(model.steps[-1][1], weight)
    elif isinstance(model, VotingClassifier):
        if model.voting != "soft":
            raise SktrainError(f"Only soft votes can be exported: voting={model.voting!r}.")
        if not hasattr(model, "estimators_"):
            nets_in(model)  # names what is not fitted
        shares = np.ones(len(model.estimators_)) if model.weights is None else np.asarray(model._weights_not_none, dtype=float)
        for one, share in zip(model.estimators_, shares / shares.sum()):
            yield from _members(one, weight * share)
    elif isinstance(model, QuantizedClassifier) or is_net(model):
        if is_net(model):
            nets_in(model)
        yield model, weight
    elif hasattr(model, "model_"):
        yield from _members(model.model_, weight)
    else:
        raise SktrainError(f"{type(model).__name__} cannot be exported: only nets, pipelines that end in them and soft votes of them can.")


def _scores(model):
    if isinstance(model, QuantizedClassifier):
        return require("onnx", extra="deploy", caller="export_onnx").load_from_string(model.to_onnx())
    return float_graph(model.module_, (model.lookback_, model.step_features_))


def _joined(onnx, members):
    """One graph of several: a softmax over each one's scores, then their weighted mean."""
    helper, first = onnx.helper, members[0][0]
    nodes, weights, shares = [], [], []
    for place, (model, share) in enumerate(members):
        if _opset(model) != _opset(first):
            raise SktrainError(f"The members were exported for different versions of ONNX ({_opset(first)} and {_opset(model)}).")
        model = onnx.compose.add_prefix(model, f"m{place}_", rename_inputs=False)
        nodes.extend(model.graph.node)
        weights.extend(model.graph.initializer)
        nodes.append(helper.make_node("Softmax", [model.graph.output[0].name], [f"p{place}"], axis=-1))
        weights.append(onnx.numpy_helper.from_array(np.float32(share), f"w{place}"))
        nodes.append(helper.make_node("Mul", [f"p{place}", f"w{place}"], [f"s{place}"]))
        shares.append(f"s{place}")
    nodes.append(helper.make_node("Sum", shares, [PROBABILITIES]))
    size = first.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    graph = helper.make_graph(nodes, "sktrain", [first.graph.input[0]], [helper.make_tensor_value_info(PROBABILITIES, 1, ["batch", size])], weights)
    assert graph.input[0].name == INPUT
    return helper.make_model(graph, opset_imports=first.opset_import, ir_version=first.ir_version, producer_name="sktrain")


def _opset(model):
    return next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))

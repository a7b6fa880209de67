"""How class scores become probabilities (:class:`sktrain._posterior.Posterior`), written into an
ONNX graph.

The graph's scores become logarithms of the posterior, so that a plain softmax of them, in any
runtime, gives the probabilities.
"""

import numpy as np

from .._optional import require

__all__ = ["add_posterior"]

_RAW = "raw_scores"
_TINY = np.float32(1e-30)  # above float32's least normal number, 1.2e-38: its logarithm is finite
# below it float32 loses log(1 - m); the series to m³ is off by less than m⁴ / 20 = 3e-7
_SERIES = np.float32(0.05)


def add_posterior(model, posterior, output):
    """Make the scores of a graph (in place) logarithms of probabilities, up to a constant of each
    row.

    Parameters
    ----------
    model : ModelProto
    posterior : Posterior or None
        None leaves the scores as they are.
    output : str
        Name of the scores.

    Returns
    -------
    ModelProto
        ``model``.
    """
    if posterior is None or (not posterior.gamma and posterior.prior is None):
        return model
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = _RAW if name == output else name
    n_classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    write = _Writer(model.graph)
    scores = write("LogSoftmax", _RAW, axis=-1)
    if posterior.gamma:
        scores = _inverted(write, scores, np.float32(posterior.gamma), n_classes)
    if posterior.prior is not None:
        scores = write("Mul", scores, np.float32(1 / posterior.temperature))
        scores = write(
            "Add", scores, (posterior.prior_weight * np.log(posterior.prior)).astype(np.float32)
        )
    write("Identity", scores, to=output)
    return model


def _inverted(write, log_v, gamma, n_classes):
    """log v - γ log(1 - v) - log(1 + γ r), r = -v log v / (1 - v); 1 - v is the sum of the other
    classes, not a difference."""
    v = write("Exp", log_v)
    miss = write("Max", write("MatMul", v, (1 - np.eye(n_classes)).astype(np.float32)), _TINY)
    direct = write("Neg", write("Div", write("Mul", v, log_v), miss))
    tail = write("Add", write("Mul", miss, np.float32(1 / 12)), np.float32(1 / 6))
    tail = write("Add", write("Mul", miss, tail), np.float32(1 / 2))
    near_one = write("Sub", np.float32(1), write("Mul", miss, tail))  # -(1 - m) log(1 - m) / m
    r = write("Where", write("Less", miss, _SERIES), near_one, direct)
    left = write("Sub", log_v, write("Mul", write("Log", miss), gamma))
    return write("Sub", left, write("Log", write("Add", write("Mul", r, gamma), np.float32(1))))


class _Writer:
    """Adds a node to a graph and returns the name of what it yields; arrays become constants."""

    def __init__(self, graph):
        self.graph = graph
        self.helper = require("onnx.helper", extra="deploy", caller="ONNX export")
        self.numpy_helper = require("onnx.numpy_helper", extra="deploy", caller="ONNX export")

    def __call__(self, op, *inputs, to=None, **attributes):
        name = to or f"posterior.{len(self.graph.node)}"
        names = [
            one if isinstance(one, str) else self._constant(f"{name}.{k}", one)
            for k, one in enumerate(inputs)
        ]
        self.graph.node.append(self.helper.make_node(op, names, [name], **attributes))
        return name

    def _constant(self, name, value):
        self.graph.initializer.append(self.numpy_helper.from_array(np.asarray(value), name))
        return name

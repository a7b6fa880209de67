"""A fitted model enters, the same model with eight-bit weights leaves; what it knew of time stays as it was.

One scale per output channel, the largest weight of the channel mapped to 127; activations stay floats, so no row can change another
row's prediction. A weight that is zero stays zero.
"""

from io import BytesIO
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Options

from .._io import atomic_write
from .._optional import require
from .._validation import Count
from ..exceptions import PersistenceError, SktrainError
from ._graph import INPUT, float_graph
from ._places import copy_with, is_net, nets_in
from ._quantized import QuantizedClassifier

__all__ = ["ModelQuantizer"]

_SMALLEST = 64  # weights an array needs to be worth eight bits and scales
_CHANNEL = {"Conv": 0, "GRU": 1, "LSTM": 1, "RNN": 1}
_TOLERANCE = 1e-3


class ModelQuantizer(BaseEstimator):
    """Weight-only quantization to eight bits, one scale per output channel.

    Parameters
    ----------
    bits : int, default=8
        Bits per weight. Only 8 is offered: below, probabilities move by more than a serving model may.
    n_threads : int, default=1
        Threads of one prediction of the quantized model.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import MLPNetClassifier, ModelQuantizer
    >>> X = np.random.default_rng(0).normal(size=(60, 4))
    >>> net = MLPNetClassifier(max_epochs=2, random_state=0).fit(X, X[:, 0] > 0)
    >>> ModelQuantizer(bits=8).quantize_model(net).predict(X[:2]).shape
    (2,)
    """

    _parameter_constraints = {"bits": [Options(int, {8})], "n_threads": [Count(1)]}

    def __init__(self, bits=8, *, n_threads=1):
        self.bits = bits
        self.n_threads = n_threads

    def quantize_model(self, model, *, example=None):
        """Quantize every net of a fitted model.

        Parameters
        ----------
        model : net, Pipeline, ensemble or torch Module
            Fitted. It is not changed; parts that hold no net are shared with the result.
        example : array of shape (n, steps, features), optional
            Rows of the right shape; needed for a bare Module that is not one of sktrain's.

        Returns
        -------
        fitted classifier
            A :class:`~sktrain.compression.QuantizedClassifier`, or a copy of the pipeline or ensemble with one in place of each net.
            It predicts through ONNX Runtime, pickles small, and needs no torch.

        Raises
        ------
        SktrainError
            Bits that are not supported, a layer that cannot be exported (named), a model without a net.
        NotFittedError
            A model that was not fitted.
        """
        self._check()
        if _is_module(model):
            return self._quantized(model.eval(), _module_shape(model, example), None)
        if isinstance(model, QuantizedClassifier):
            raise SktrainError("The model is quantized already.")
        nets_in(model)
        return copy_with(model, self._quantized_net)

    def save_quantized(self, model, path):
        """Write a model, quantized first if it is not yet, whole or not at all.

        Parameters
        ----------
        model : as in :meth:`quantize_model`, or what it returned
        path : path
            A name ending in ``.onnx`` gets the bare network as an ONNX file with eight-bit weights, for other runtimes; any other name
            the fitted model as a joblib file. ``sktrain.save`` writes the file that opens safely.

        Returns
        -------
        pathlib.Path
        """
        try:
            found = nets_in(model) if not isinstance(model, QuantizedClassifier) and not _is_module(model) else []
        except SktrainError:
            found = []  # quantized already
        if found or _is_module(model):
            model = self.quantize_model(model)
        if Path(path).suffix == ".onnx":
            if not isinstance(model, QuantizedClassifier):
                raise SktrainError(f"An .onnx file holds one network; {type(model).__name__} is more than that. Save a net, or use export_onnx.")
            content = model.to_onnx()
        else:
            buffer = BytesIO()
            joblib.dump(model, buffer)
            content = buffer.getvalue()
        try:
            return atomic_write(path, content)
        except OSError as error:
            raise PersistenceError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error

    def _check(self):
        if self.bits != 8 or isinstance(self.bits, bool) or not isinstance(self.bits, (int, np.integer)):
            raise SktrainError(f"bits must be 8, got {self.bits!r}: with fewer bits probabilities move by more than a serving model may.")
        self._validate_params()

    def _quantized_net(self, net):
        if not net.__sklearn_is_fitted__():
            return QuantizedClassifier(self.n_threads)  # the template an ensemble was fitted from
        learned = {name: getattr(net, name) for name in ("classes_", "lookback_", "n_features_in_", "step_features_", "feature_names_in_") if hasattr(net, name)}
        learned["network_"] = type(net).__name__
        return self._quantized(net.module_, (net.lookback_, net.step_features_), learned)

    def _quantized(self, module, shape, learned):
        model = float_graph(module, shape)
        check_graph(model, module, shape)
        if learned is None:
            n_classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
            sizes = {"lookback_": shape[0], "step_features_": shape[1], "n_features_in_": shape[1]}
            learned = {"classes_": np.arange(n_classes), **sizes, "network_": type(module).__name__}
        codes = quantize_graph(model)
        return QuantizedClassifier._from_parts(model.SerializeToString(), codes, learned, self.n_threads)


def _is_module(value):
    import sys

    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module) and not is_net(value)


def _module_shape(module, example):
    if example is not None:
        shape = np.shape(example)
        if len(shape) != 3:
            raise SktrainError(f"example must have shape (n, steps, features), got {shape}.")
        return shape[1:]
    if hasattr(module, "n_steps") and hasattr(module, "n_features"):
        return module.n_steps, module.n_features
    raise SktrainError(f"{type(module).__name__} does not say what it takes: give example=, an array of shape (n, steps, features).")


def check_graph(model, module, shape):
    """Hold a graph to the network it was made from."""
    import torch

    runtime = require("onnxruntime", extra="deploy", caller="ModelQuantizer")
    X = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    dtype = next(module.parameters()).dtype
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(X).to(dtype)).double().cpu().numpy()
    got = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {INPUT: X})[0]
    off = np.abs(got - expected).max() / (1 + np.abs(expected).max())
    if not off < _TOLERANCE:
        raise SktrainError(f"{type(module).__name__} cannot be exported: its ONNX graph gives scores that differ by {off:.2g}.")


def quantize_graph(model):
    """Replace float weights of ``model`` (in place) by eight-bit ones and a scale per channel.

    They become floats again by a cast and a product, which every runtime works out once when it opens the graph. ``DequantizeLinear``
    would not do: ONNX Runtime fuses it with products by default, which then round the activations too.

    Returns
    -------
    dict of str to int8 ndarray
        The weights, which the graph names but no longer holds.
    """
    from onnx import helper, numpy_helper

    graph, codes, kept, nodes = model.graph, {}, [], []
    channels = _channels(graph)
    for tensor in graph.initializer:
        value = numpy_helper.to_array(tensor) if tensor.data_type == 1 else None
        axis = channels.get(tensor.name, 0)
        if not _worth_it(value, axis):
            kept.append(tensor)
            continue
        codes[f"{tensor.name}.int8"], scale = quantize_array(value, axis)
        shape = [-1 if k == axis else 1 for k in range(value.ndim)]
        kept.append(numpy_helper.from_array(scale.reshape(shape), f"{tensor.name}.scale"))
        nodes.append(helper.make_node("Cast", [f"{tensor.name}.int8"], [f"{tensor.name}.codes"], to=1))
        nodes.append(helper.make_node("Mul", [f"{tensor.name}.codes", f"{tensor.name}.scale"], [tensor.name]))
    rest = list(graph.node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend([*nodes, *rest])
    graph.initializer.extend(kept)
    return codes


def _worth_it(value, axis):
    """Whether an array has channels of many weights each; biases of recurrent layers, one long row, have not."""
    return value is not None and value.ndim >= 2 and value.size >= _SMALLEST and value.shape[axis] > 1 and bool(np.isfinite(value).all())


def _channels(graph):
    """Axis of the output channels of each weight, by the operator that reads it."""
    found = {}
    for node in graph.node:
        names = list(node.input)
        if node.op_type == "Gemm":
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            found[names[1]] = 0 if transposed else 1
        elif node.op_type == "MatMul":
            found[names[1]] = -1
        elif node.op_type in _CHANNEL:
            found.update(dict.fromkeys(names[1:3], _CHANNEL[node.op_type]))
    ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    return {name: axis % ranks[name] for name, axis in found.items() if name in ranks and ranks[name] >= 2}


def quantize_array(value, axis):
    """Symmetric eight-bit codes and float32 scales along ``axis``: value ≈ codes · scale.

    Examples
    --------
    >>> import numpy as np
    >>> codes, scale = quantize_array(np.array([[1.0, -0.5], [0.0, 0.02]], dtype=np.float32), 0)
    >>> codes.tolist()
    [[127, -64], [0, 127]]
    """
    others = tuple(k for k in range(value.ndim) if k != axis)
    largest = np.abs(value).max(axis=others, keepdims=True)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    codes = np.clip(np.rint(value / scale), -127, 127).astype(np.int8)
    return codes, scale.reshape(-1)

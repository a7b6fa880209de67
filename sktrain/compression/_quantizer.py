"""Quantization of a fitted model to weights of eight or four bits.

At eight bits one scale per output channel, the largest weight of the channel mapped to 127; at four
one per 64 weights of a channel, the largest mapped to 7. Activations stay floats, or are rounded by
scales of each row, so no row can change another row's prediction. A weight that is zero stays zero.
"""

from io import BytesIO
import math
import os
from pathlib import Path
from typing import Any, Literal

import joblib
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Options, StrOptions

from .._io import atomic_write
from .._optional import require
from .._posterior import Posterior
from .._typing import Classifier
from .._validation import Count
from ..exceptions import PersistenceError, SktrainError
from ._export import vote_of
from ._graph import INPUT, SCORES, float_graph
from ._integer import round_activations
from ._places import copy_with, is_net, members_of, nets_in, nets_with_rows
from ._posterior import add_posterior
from ._quantized import QuantizedClassifier

__all__ = ["ModelQuantizer"]

# weights an array needs to be worth eight bits and scales, a judgment: a scale is 4 bytes
_SMALLEST = 64
# the axis of the outputs in each operator's weights (ONNX)
_CHANNEL = {"Conv": 0, "GRU": 1, "LSTM": 1, "RNN": 1}
# weights of a channel that share a scale at four bits: half a bit more each for a float32
_GROUP = 64
_LARGEST = {8: 127, 4: 7}  # codes of each number of bits: symmetric, 2 ** (bits - 1) - 1
# of the scores, a judgment: above float32's sums in another order, below a wrong operator
_TOLERANCE = 1e-3


class ModelQuantizer(BaseEstimator):
    """Quantization of weights to eight or four bits and, where asked, of activations to eight.

    Parameters
    ----------
    bits : {8, 4}, default=8
        Bits per weight. 8: one scale per output channel. 4: one per 64 weights of a channel; half
        the file, and ten times the error, so give rows to round by (``X`` of
        :meth:`quantize_model`).
    activations : {None, "int8"}, default=None
        None: what layers receive stays float32. "int8": layers of at least 64 inputs and outputs
        multiply whole numbers, which is several times faster; needs ``bits=8``. Each row has
        scales of its own (states of GRUs and LSTMs lie in [-1, 1] and need none) and sums of whole
        numbers are exact, so a row's probabilities are the same to the last bit in any company.
        They use seven of the eight bits, which no processor's arithmetic overflows; probabilities
        move by about twice as much as with None.
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

    _parameter_constraints = {
        "bits": [Options(int, set(_LARGEST))],
        "activations": [StrOptions({"int8"}), None],
        "n_threads": [Count(1)],
    }

    def __init__(
        self, bits: int = 8, *, activations: Literal["int8"] | None = None, n_threads: int = 1
    ) -> None:
        self.bits = bits
        self.activations = activations
        self.n_threads = n_threads

    def quantize_model(
        self,
        model: Any,
        X: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        example: ArrayLike | None = None,
    ) -> Classifier:
        """Quantize every net of a fitted model.

        Parameters
        ----------
        model : net, Pipeline, ensemble or torch Module
            Fitted. It is not changed; parts that hold no net are shared with the result.
        X : as the model takes it, optional
            Rows to keep the answers on, without labels: training rows, some hundred or more, up to
            4,096 of which are looked at. What rounding one weight costs a layer's outputs on them,
            the layer's other weights make up for (Frantar et al. 2023). Without rows, every weight
            is rounded to the nearest.
        sample_weight : array-like of shape (n,), optional
            How much each row of ``X`` counts.
        example : array of shape (n, steps, features), optional
            Rows of the right shape; needed for a bare Module that is not one of sktrain's, unless
            ``X`` is given.

        Returns
        -------
        fitted classifier
            A :class:`~sktrain.compression.QuantizedClassifier`, or a copy of the pipeline or
            ensemble with one in place of each net. It predicts through ONNX Runtime, pickles small,
            and needs no torch.

        Raises
        ------
        SktrainError
            Bits that are not supported, a layer that cannot be exported (named), a model without a
            net, rows that cannot be followed to the nets; ``activations="int8"`` with four bits,
            for a network all of whose layers are small, or for a recurrent one on windows of more
            than 256 steps.
        NotFittedError
            A model that was not fitted.
        """
        self._check()
        if _is_module(model):
            shape = _module_shape(model, X if example is None else example)
            return self._quantized(
                model.eval(), shape, None, _moments(model, model, X, sample_weight)
            )
        if isinstance(model, QuantizedClassifier):
            raise SktrainError("The model is quantized already.")
        nets_in(model)
        rows = {} if X is None else {id(net): seen for net, seen in nets_with_rows(model, X)}
        return copy_with(
            model,
            lambda net: self._quantized_net(net, rows.get(id(net)), sample_weight),
            lambda net: self._quantized_members(net, rows, sample_weight),
        )

    def save_quantized(
        self,
        model: Any,
        path: str | os.PathLike,
        X: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Path:
        """Write a model, quantized first if it is not yet, whole or not at all.

        Parameters
        ----------
        model : estimator, as in :meth:`quantize_model`, or what it returned
            The model to write.
        path : path
            A name ending in ``.onnx`` gets the bare network as an ONNX file, a byte per weight, for
            other runtimes; any other name the fitted model as a joblib file. ``sktrain.save``
            writes the file that opens safely.
        X, sample_weight : array-like, optional, as in :meth:`quantize_model`
            Calibration rows and their weights.

        Returns
        -------
        pathlib.Path
            The file written.
        """
        try:
            found = (
                nets_in(model)
                if not isinstance(model, QuantizedClassifier) and not _is_module(model)
                else []
            )
        except SktrainError:
            found = []  # quantized already
        if found or _is_module(model):
            model = self.quantize_model(model, X, sample_weight=sample_weight)
        if Path(path).suffix == ".onnx":
            if not isinstance(model, QuantizedClassifier):
                raise SktrainError(
                    f"An .onnx file holds one network; {type(model).__name__} is more than that. "
                    "Save a net, or use export_onnx."
                )
            content = model.to_onnx()
        else:
            buffer = BytesIO()
            joblib.dump(model, buffer)
            content = buffer.getvalue()
        try:
            return atomic_write(path, content)
        except OSError as error:
            raise PersistenceError(
                f"{str(path)!r} cannot be written: {error.strerror or error}."
            ) from error

    def _check(self):
        """Refuse parameters that are wrong or do not go together."""
        if (
            isinstance(self.bits, bool)
            or not isinstance(self.bits, (int, np.integer))
            or self.bits not in _LARGEST
        ):
            raise SktrainError(f"bits must be 8 or 4, got {self.bits!r}.")
        self._validate_params()
        if self.activations == "int8" and self.bits != 8:
            raise SktrainError(
                f"activations='int8' needs weights with one scale per channel: bits=8, got "
                f"bits={self.bits}."
            )

    def _quantized_net(self, net, X, sample_weight):
        if not net.__sklearn_is_fitted__():
            return QuantizedClassifier(self.n_threads)  # the template an ensemble was fitted from
        moments = _moments(net, net.module_, X, sample_weight)
        shape = net.lookback_, net.step_features_
        return self._quantized(net.module_, shape, _learned(net), moments)

    def _quantized_members(self, net, rows, sample_weight):
        """Members in one graph, whose scores are the logarithm of their mean posterior."""
        shape, graphs, moments = (net.lookback_, net.step_features_), [], {}
        for k, one in enumerate(members_of(net)):
            graph = float_graph(one.module_, shape)
            check_graph(graph, one.module_, shape)
            graphs.append(add_posterior(graph, getattr(one, "posterior_", None), SCORES))
            found = _moments(one, one.module_, rows.get(id(one)), sample_weight)
            moments.update({f"m{k}_{name}": value for name, value in found.items()})
        learned = {**_learned(net), "posterior_": Posterior()}
        return self._packed(vote_of(graphs), shape, learned, moments)

    def _quantized(self, module, shape, learned, moments):
        model = float_graph(module, shape)
        check_graph(model, module, shape)
        if learned is None:
            n_classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
            sizes = {"lookback_": shape[0], "step_features_": shape[1], "n_features_in_": shape[1]}
            learned = {"classes_": np.arange(n_classes), **sizes, "network_": type(module).__name__}
        return self._packed(model, shape, learned, moments)

    def _packed(self, model, shape, learned, moments):
        codes = quantize_graph(model, int(self.bits), moments)
        if self.activations == "int8":
            round_activations(model, codes, shape[0], learned["network_"])
            learned = {**learned, "activations_": "int8"}
        return QuantizedClassifier._from_parts(
            model.SerializeToString(), codes, learned, self.n_threads
        )


def _learned(net):
    names = (
        "classes_",
        "lookback_",
        "n_features_in_",
        "step_features_",
        "feature_names_in_",
        "posterior_",
    )
    found = {name: getattr(net, name) for name in names if hasattr(net, name)}
    return {**found, "network_": type(net).__name__}


def _moments(owner, module, X, sample_weight):
    """What reaches each weight on rows ``X``; weights keep their names in the graph."""
    if X is None:
        return {}
    from ._calibration import layer_inputs, windows_of

    return layer_inputs(module, windows_of(owner, X, sample_weight))


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
    raise SktrainError(
        f"{type(module).__name__} does not say what it takes: give example=, an array of shape "
        "(n, steps, features)."
    )


def check_graph(model, module, shape):
    """Hold a graph to the network it was made from."""
    import torch

    runtime = require("onnxruntime", extra="deploy", caller="ModelQuantizer")
    X = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    rows = torch.from_numpy(X).to(next(module.parameters()))  # where the network is
    with torch.no_grad():
        expected = module.eval()(rows).cpu().double().numpy()
    got = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    ).run(None, {INPUT: X})[0]
    off = np.abs(got - expected).max() / (1 + np.abs(expected).max())
    if not off < _TOLERANCE:
        raise SktrainError(
            f"{type(module).__name__} cannot be exported: its ONNX graph gives scores that differ "
            f"by {off:.2g}."
        )


def quantize_graph(model, bits=8, moments=None):
    """Replace float weights of ``model`` (in place) by whole numbers and scales.

    They become floats again by a cast and a product, which every runtime works out once when it
    opens the graph. ``DequantizeLinear`` would not do: ONNX Runtime fuses it with products by
    default, which then round the activations too.

    Parameters
    ----------
    model : ModelProto
    bits : {8, 4}
        Of the weights that layers multiply by; other arrays keep eight.
    moments : dict of str to Tensor, optional
        Second moments of what reaches a weight, by its name.

    Returns
    -------
    dict of str to int8 ndarray
        The weights, which the graph names but no longer holds.
    """
    from onnx import numpy_helper

    graph, codes, kept, nodes = model.graph, {}, [], []
    channels, moments = _channels(graph), moments or {}
    for tensor in graph.initializer:
        value = numpy_helper.to_array(tensor) if tensor.data_type == 1 else None
        axis = channels.get(tensor.name, 0)
        if not _worth_it(value, axis):
            kept.append(tensor)
            continue
        bits_here = bits if tensor.name in channels else 8
        codes[f"{tensor.name}.int8"], scale = quantize_array(
            value, axis, bits_here, moments.get(tensor.name)
        )
        kept += [
            numpy_helper.from_array(array, name)
            for name, array in _constants(tensor.name, value, axis, scale)
        ]
        nodes += _back_to_floats(tensor.name, value, axis, scale)
    rest = list(graph.node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend([*nodes, *rest])
    graph.initializer.extend(kept)
    return codes


def _constants(name, value, axis, scale):
    """Scales as the graph keeps them, and how they are spread over the weights."""
    if scale.shape[1] == 1:
        yield f"{name}.scale", scale.reshape([-1 if k == axis else 1 for k in range(value.ndim)])
        return
    moved = np.moveaxis(value, axis, 0).shape
    yield f"{name}.scale", scale
    yield f"{name}.group", np.arange(math.prod(moved[1:]), dtype=np.int64) // _GROUP
    yield f"{name}.moved", np.array(moved, dtype=np.int64)


def _back_to_floats(name, value, axis, scale):
    """Nodes that multiply whole numbers by their scales."""
    from onnx import helper

    spread = f"{name}.scale"
    if scale.shape[1] > 1:
        order = list(range(1, value.ndim))
        order.insert(axis, 0)
        yield helper.make_node("Gather", [spread, f"{name}.group"], [f"{name}.wide"], axis=1)
        yield helper.make_node("Reshape", [f"{name}.wide", f"{name}.moved"], [f"{name}.shaped"])
        spread = f"{name}.spread"
        yield helper.make_node("Transpose", [f"{name}.shaped"], [spread], perm=order)
    yield helper.make_node("Cast", [f"{name}.int8"], [f"{name}.codes"], to=1)
    yield helper.make_node("Mul", [f"{name}.codes", spread], [name])


def _worth_it(value, axis):
    """Whether an array has channels of many weights each; biases of recurrent layers, one long row,
    have not."""
    return (
        value is not None
        and value.ndim >= 2
        and value.size >= _SMALLEST
        and value.shape[axis] > 1
        and bool(np.isfinite(value).all())
    )


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
    return {
        name: axis % ranks[name]
        for name, axis in found.items()
        if name in ranks and ranks[name] >= 2
    }


def quantize_array(value, axis, bits=8, moments=None):
    """Symmetric whole numbers and float32 scales along ``axis``: value ≈ codes · scale.

    Returns
    -------
    codes : int8 ndarray, as ``value``
    scale : float32 ndarray of shape (channels, groups)

    Examples
    --------
    >>> import numpy as np
    >>> codes, scale = quantize_array(np.array([[1.0, -0.5], [0.0, 0.02]], dtype=np.float32), 0)
    >>> codes.tolist()
    [[127, -64], [0, 127]]
    """
    moved = np.moveaxis(value, axis, 0)
    rows = moved.reshape(len(moved), -1)
    group = rows.shape[1] if bits == 8 else _GROUP
    if moments is not None and moments.shape == (rows.shape[1], rows.shape[1]):
        from ._calibration import round_rows

        codes, scale = round_rows(rows, _LARGEST[bits], group, moments)
    else:
        codes, scale = _nearest(rows, _LARGEST[bits], group)
    return np.moveaxis(codes.reshape(moved.shape), 0, axis), scale


def _nearest(rows, largest, group):
    """Every weight rounded by itself."""
    starts = np.arange(0, rows.shape[1], group)
    sizes = np.maximum.reduceat(np.abs(rows), starts, axis=1)
    scale = np.where(sizes > 0, sizes / largest, 1).astype(np.float32)
    codes = np.rint(rows / np.repeat(scale, np.diff(np.append(starts, rows.shape[1])), axis=1))
    return np.clip(codes, -largest, largest).astype(np.int8), scale

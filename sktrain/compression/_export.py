"""One ONNX file of a whole model: a net, a pipeline's last step, or a vote of nets."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline

from .._io import atomic_write
from .._optional import require
from ..ensemble import PooledClassifier
from ..exceptions import PersistenceError, SktrainError
from ._graph import INPUT, PROBABILITIES, SCORES, float_graph
from ._places import is_net, members_of, nets_in
from ._posterior import add_posterior
from ._quantized import QuantizedClassifier

__all__ = ["export_onnx", "joined", "vote_of"]


def export_onnx(model: Any, path: str | os.PathLike) -> Path:
    """Write the networks of a fitted model as one ONNX file.

    Parameters
    ----------
    model : net, QuantizedClassifier, Pipeline or ensemble
        Fitted; a pipeline ends in a net, a soft ``VotingClassifier`` or ``PooledClassifier`` is of
        nets. Steps of a pipeline before its net are not part of the file.
    path : path
        Written whole or not at all.

    Returns
    -------
    pathlib.Path
        The file: input ``X``, float32 of shape (batch, steps, features), NaN is missing; output
        ``probabilities``, float32 of shape (batch, n_classes), columns as in ``classes_``, which
        the metadata entry ``classes`` lists.

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
    nets = [(_scores(one), weight) for one, weight in members if not isinstance(one, np.ndarray)]
    constants = [weight * one for one, weight in members if isinstance(one, np.ndarray)]
    made = joined(onnx, nets, constants)
    onnx.helper.set_model_props(
        made, {"classes": ",".join(map(str, np.asarray(model.classes_).tolist()))}
    )
    onnx.checker.check_model(made)
    try:
        return atomic_write(path, made.SerializeToString())
    except OSError as error:
        raise PersistenceError(
            f"{str(path)!r} cannot be written: {error.strerror or error}."
        ) from error


def _members(model, weight):
    """Networks, or constant probabilities, and the share of each in the vote."""
    if isinstance(model, Pipeline):
        yield from _members(model.steps[-1][1], weight)
    elif isinstance(model, PooledClassifier):
        if not hasattr(model, "estimators_"):
            nets_in(model)  # names what is not fitted
        if getattr(model, "calibration_share_", 0.0) > 0:
            raise SktrainError(
                "A PooledClassifier with calibration='isotonic' cannot be exported: its curves are "
                "no part of the graph. Fit it with calibration=None."
            )
        for one, share in zip(model.estimators_, model.weights_):
            yield from _members(one, weight * share)
        yield model.prior_, weight * model.weights_[-1]
    elif isinstance(model, VotingClassifier):
        if model.voting != "soft":
            raise SktrainError(f"Only soft votes can be exported: voting={model.voting!r}.")
        if not hasattr(model, "estimators_"):
            nets_in(model)  # names what is not fitted
        shares = (
            np.ones(len(model.estimators_))
            if model.weights is None
            else np.asarray(model._weights_not_none, dtype=float)
        )
        for one, share in zip(model.estimators_, shares / shares.sum()):
            yield from _members(one, weight * share)
    elif members_of(model):
        for one in members_of(model):
            yield one, weight / len(members_of(model))
    elif isinstance(model, QuantizedClassifier) or is_net(model):
        if is_net(model):
            nets_in(model)
        yield model, weight
    elif hasattr(model, "model_"):
        yield from _members(model.model_, weight)
    else:
        raise SktrainError(
            f"{type(model).__name__} cannot be exported: only nets, pipelines that end in them, "
            "soft votes and pools of them can."
        )


def _scores(model):
    if isinstance(model, QuantizedClassifier):
        return require("onnx", extra="deploy", caller="export_onnx").load_from_string(
            model.to_onnx()
        )
    graph = float_graph(model.module_, (model.lookback_, model.step_features_))
    return add_posterior(graph, getattr(model, "posterior_", None), SCORES)


def vote_of(graphs):
    """One graph of the members of a net: its scores are the logarithm of their mean posterior.

    Parameters
    ----------
    graphs : list of ModelProto
        Of each member; a softmax of its scores is its posterior.

    Returns
    -------
    ModelProto
        Names of member k begin with ``mk_``.
    """
    onnx = require("onnx", extra="deploy", caller="ONNX export")
    made = joined(onnx, [(graph, 1 / len(graphs)) for graph in graphs])
    least = onnx.numpy_helper.from_array(np.float32(1e-30), "least")
    made.graph.initializer.append(least)
    nodes = [
        onnx.helper.make_node("Max", [PROBABILITIES, "least"], ["above_zero"]),
        onnx.helper.make_node("Log", ["above_zero"], [SCORES]),
    ]
    made.graph.node.extend(nodes)
    made.graph.output[0].name = SCORES
    return made


def joined(onnx, members, constants=()):
    """One graph of several: a softmax over each one's scores, then their weighted mean, with the
    constants."""
    helper, first = onnx.helper, members[0][0]
    nodes, weights, shares = [], [], []
    for place, (model, share) in enumerate(members):
        if _opset(model) != _opset(first):
            raise SktrainError(
                f"The members were exported for different versions of ONNX ({_opset(first)} and "
                f"{_opset(model)})."
            )
        model = onnx.compose.add_prefix(model, f"m{place}_", rename_inputs=False)
        nodes.extend(model.graph.node)
        weights.extend(model.graph.initializer)
        nodes.append(
            helper.make_node("Softmax", [model.graph.output[0].name], [f"p{place}"], axis=-1)
        )
        weights.append(onnx.numpy_helper.from_array(np.float32(share), f"w{place}"))
        nodes.append(helper.make_node("Mul", [f"p{place}", f"w{place}"], [f"s{place}"]))
        shares.append(f"s{place}")
    if constants:
        constant = np.asarray(np.sum(constants, axis=0, dtype=np.float64), dtype=np.float32)[None]
        weights.append(onnx.numpy_helper.from_array(constant, "prior"))
        shares.append("prior")
    nodes.append(helper.make_node("Sum", shares, [PROBABILITIES]))
    size = first.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    graph = helper.make_graph(
        nodes,
        "sktrain",
        [first.graph.input[0]],
        [helper.make_tensor_value_info(PROBABILITIES, 1, ["batch", size])],
        weights,
    )
    assert graph.input[0].name == INPUT
    return helper.make_model(
        graph, opset_imports=first.opset_import, ir_version=first.ir_version,
        producer_name="sktrain",
    )


def _opset(model):
    return next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))

"""Graphs written by hand against the networks they were made from, over lengths and sizes, and how
little of a TCN they work out."""

import numpy as np
import pytest
import torch

from sktrain.compression._graph import INPUT, float_graph
from sktrain.compression._quantizer import check_graph
from sktrain.nets._modules import GRUModule, LSTMModule, MLPModule, TCNModule, TransformerModule

onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
N_FEATURES = 5


def made(cls, n_steps, *sizes, **options):
    """A network with larger weights than at its start, so that far steps matter."""
    torch.manual_seed(n_steps)
    module = cls(N_FEATURES, n_steps, 3, *sizes, 0.1, **options).eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(2)
        module.standardize.mean.uniform_(-1, 1)
        module.standardize.scale.uniform_(0.5, 2)
    return module


def compared(module, n_steps, n_rows=4):
    """Scores of the graph and of the network; some values are missing."""
    X = np.random.default_rng(0).normal(size=(n_rows, n_steps, N_FEATURES)).astype(np.float32)
    X[::2, 0, 1] = np.nan
    graph = float_graph(module, (n_steps, N_FEATURES))
    onnx.checker.check_model(graph)
    got = runtime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    ).run(None, {INPUT: X})[0]
    with torch.no_grad():
        return got, module(torch.from_numpy(X)).numpy()


@pytest.mark.parametrize("n_steps", [1, 2, 5, 12, 20, 61])
@pytest.mark.parametrize("kernel_size", [2, 3, 4])
@pytest.mark.parametrize("n_layers", [1, 2, 3, 4, 5])
def test_a_tcn_of_few_steps_is_the_whole_one(n_steps, kernel_size, n_layers):
    for width in (8, N_FEATURES):  # with and without weights in the first skip
        module = made(TCNModule, n_steps, width, n_layers, kernel_size=kernel_size)
        check_graph(float_graph(module, (n_steps, N_FEATURES)), module, (n_steps, N_FEATURES))
        got, expected = compared(module, n_steps)
        np.testing.assert_allclose(got, expected, atol=2e-5 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("cls", [MLPModule, GRUModule, LSTMModule, TransformerModule])
@pytest.mark.parametrize("n_steps", [1, 2, 20])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_the_other_networks(cls, n_steps, n_layers):
    for n_rows in (1, 7):
        got, expected = compared(made(cls, n_steps, 8, n_layers), n_steps, n_rows)
        np.testing.assert_allclose(got, expected, atol=2e-5 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("cls", [GRUModule, TCNModule])
def test_a_network_for_any_length_can_be_exported_for_another(cls):
    module = made(cls, 6, 8, 3)
    got, expected = compared(module, 30)
    np.testing.assert_allclose(got, expected, atol=2e-5 * (1 + np.abs(expected).max()))


def steps_needed(n_steps, kernel_size, n_layers):
    """Steps that each convolution must give so that the last one comes out, followed back tap by
    tap: (first, second) by block."""
    found, wanted = [], {n_steps - 1}
    for i in reversed(range(n_layers)):
        inner = {step - tap * 2**i for step in wanted for tap in range(kernel_size)} & set(
            range(n_steps)
        )
        found.insert(0, (len(inner), len(wanted)))
        wanted = wanted | {step - tap * 2**i for step in inner for tap in range(kernel_size)} & set(
            range(n_steps)
        )
    return found


@pytest.mark.parametrize(
    "n_steps, kernel_size, n_layers",
    [(20, 3, 4), (61, 3, 4), (60, 2, 3), (64, 4, 1), (7, 5, 2), (1, 3, 3)],
)
def test_no_step_is_worked_out_that_the_last_does_not_need(n_steps, kernel_size, n_layers):
    graph = float_graph(
        made(TCNModule, n_steps, 8, n_layers, kernel_size=kernel_size), (n_steps, N_FEATURES)
    )
    shapes = {
        value.name: value.type.tensor_type.shape.dim
        for value in onnx.shape_inference.infer_shapes(graph).graph.value_info
    }
    for i, needed in enumerate(steps_needed(n_steps, kernel_size, n_layers)):
        convolutions = [
            node
            for node in graph.graph.node
            if node.input[1:2] in ([f"blocks.{i}.first.weight"], [f"blocks.{i}.second.weight"])
        ]
        assert tuple(shapes[node.output[0]][-1].dim_value for node in convolutions) == needed
        assert {a.i for node in convolutions for a in node.attribute if a.name == "dilations"} <= {
            1
        }


def test_weights_keep_their_names_and_the_order_of_their_numbers():
    """Calibration finds what reaches a weight by its name and the order of its flattened rows."""
    for module in (made(TCNModule, 12, 8, 2), made(TransformerModule, 12, 8, 2)):
        held = {
            tensor.name: onnx.numpy_helper.to_array(tensor)
            for tensor in float_graph(module, (12, N_FEATURES)).graph.initializer
        }
        for name, weight in module.named_parameters():
            rows = (
                weight.detach().flatten(1).numpy() if weight.ndim > 1 else weight.detach().numpy()
            )
            np.testing.assert_array_equal(held[name].reshape(rows.shape), rows)
    names = {
        tensor.name
        for tensor in float_graph(made(GRUModule, 3, 8, 1), (3, N_FEATURES)).graph.initializer
    }
    assert {"layers.0.weight_ih_l0", "layers.0.weight_hh_l0"} <= names

"""Graphs made to grow: every array that a graph works out is counted before anything is worked
out."""

import subprocess
import sys
import zlib

import numpy as np
import pytest

from sktrain import GRUClassifier, ModelQuantizer, TransformerClassifier, load, save
from sktrain.compression._quantized import QuantizedClassifier, pack
from sktrain.compression._wire import activations, read_graph
from sktrain.exceptions import CorruptFileError, PersistenceError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

X = np.random.default_rng(0).normal(size=(60, 4, 3)).astype("f4")
Y = (X[:, -1, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def small():
    net = GRUClassifier(max_epochs=1, random_state=0, module__hidden_size=8, module__n_layers=1)
    return ModelQuantizer().quantize_model(net.fit(X, Y))


def graph_of(nodes, weights=()):
    made = helper.make_graph(
        [*nodes, helper.make_node("Identity", ["X"], ["scores"])],
        "hostile",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["batch", 4, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in weights],
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(made, opset_imports=opset, ir_version=10).SerializeToString()


def outer(size):
    """A column times a row."""
    ones = np.ones(size, dtype="f4")
    weights = [("column", ones[:, None]), ("row", ones[None])]
    return graph_of([helper.make_node("Mul", ["column", "row"], ["square"])], weights)


def image(size):
    """A convolution whose neighbours take far more than its input and output."""
    pixels = np.ones((1, 1, 2 * size, 2 * size), dtype="f4")
    node = helper.make_node("Conv", ["pixels", "kernel"], ["sums"])
    return graph_of([node], [("pixels", pixels), ("kernel", pixels[..., :size, :size])])


def recurrent():
    """A recurrent layer that gives only its last state."""
    weights = [("W", np.ones((1, 15, 3), "f4")), ("R", np.ones((1, 15, 5), "f4"))]
    node = helper.make_node("GRU", ["X", "W", "R"], ["", "last"], hidden_size=5)
    return graph_of([node], weights)


def depends_on_values():
    return graph_of([helper.make_node("NonZero", ["X"], ["places"])])


def foreign():
    node = helper.make_node("Gelu", ["X"], ["y"], domain="com.microsoft")
    return graph_of([node])


def state_of(small, graph):
    return {**small.__getstate__(), "graph": zlib.compress(graph, 9), "weights": {}}


def test_an_outer_product_is_counted():
    square = 4 * 1000**2
    assert activations(read_graph(outer(1000)), (4, 3), {}) == square + 4 * 4 * 3  # and the scores


def test_a_convolution_counts_its_neighbours():
    steps = 51**2
    assert activations(read_graph(image(50)), (4, 3), {}) == 4 * steps + 4 * 50**2 * steps + 48


def test_a_recurrent_layer_counts_its_gates(small):
    state = small.__getstate__()
    sizes = {name: packed["shape"] for name, packed in state["weights"].items()}
    graph = read_graph(zlib.decompress(state["graph"]))
    once, longer = (activations(graph, (steps, 3), sizes) for steps in (4, 40))
    standardized = 4 * 3 + 3  # four results and their transposition, of three features
    assert longer - once == 36 * 4 * (standardized + 8 * 8 + 8)  # gates and states, their output


def test_what_is_the_same_for_every_row_is_left_out_of_a_row():
    assert activations(read_graph(outer(1000)), (4, 3), {}, of_row=True) == 4 * 4 * 3  # the scores


def test_what_follows_from_a_row_is_part_of_it():
    chain = [
        helper.make_node("Mul", ["column", "column"], ["square"]),
        helper.make_node("MatMul", ["X", "square"], ["wide"]),  # four steps of six
        helper.make_node("Relu", ["wide"], ["kept"]),
    ]
    graph = read_graph(graph_of(chain, [("column", np.ones((3, 6), "f4"))]))
    of_row = activations(graph, (4, 3), {}, of_row=True)
    assert of_row == 4 * (2 * 4 * 6) + 4 * 4 * 3
    assert activations(graph, (4, 3), {}) == of_row + 4 * 3 * 6


@pytest.mark.parametrize("make", [depends_on_values, recurrent], ids=lambda make: make.__name__)
def test_what_cannot_be_counted_is_refused(make):
    with pytest.raises(CorruptFileError, match="quantized model"):
        activations(read_graph(make()), (4, 3), {})


@pytest.mark.parametrize("op", ["Einsum", "Attention", "ConvTranspose", "Loop", "Expand"])
def test_operators_that_grow_inside_are_refused(op):
    with pytest.raises(CorruptFileError, match=op):
        read_graph(graph_of([helper.make_node(op, ["X"], ["y"])]))


def elsewhere(place):
    """Weights that lie in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    return tensor


def inner():
    nodes = [helper.make_node("Identity", ["X"], ["y"])]
    return helper.make_graph(nodes, "inner", [], [])


def sparse(size):
    """One number in an array of ``size``."""
    value = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    place = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    return helper.make_sparse_tensor(value, place, [size])


CONTROL = {
    "Loop": ("Loop", {"body": inner()}),
    "If": ("If", {"then_branch": inner(), "else_branch": inner()}),
    "Scan": ("Scan", {"body": inner(), "num_scan_inputs": 1}),
    "graphs inside": ("Relu", {"body": inner()}),
    "another file": ("Constant", {"value": elsewhere("secret.bin")}),
    "sparse": ("Constant", {"sparse_value": sparse(10**12)}),
}


@pytest.mark.parametrize("name", CONTROL)
def test_constants_and_control_flow_are_refused_by_name_and_unread(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(12))
    op, given = CONTROL[name]
    nodes = [helper.make_node(op, ["X"], ["y"], **given)]
    with pytest.raises(CorruptFileError, match=name):
        read_graph(graph_of(nodes))
    (tmp_path / "m.onnx").write_bytes(graph_of(nodes))
    with pytest.raises(PersistenceError, match=r"'m\.onnx' is not a file that sktrain\.save wrote"):
        load("m.onnx")


def test_weights_without_a_name_are_no_error_of_python():
    model = onnx.load_from_string(graph_of([]))
    model.graph.initializer.add(data_type=TensorProto.FLOAT, dims=[1], float_data=[1.0])
    assert activations(read_graph(model.SerializeToString()), (4, 3), {}) == 4 * 4 * 3  # the scores


def test_operators_of_another_domain_are_refused():
    with pytest.raises(CorruptFileError, match="domain"):
        read_graph(foreign())


@pytest.mark.parametrize("shape", [(0, 3), (-1, 3), (True, 3), (2.0, 3), (4, 2**40), ("4", 3)])
def test_windows_of_no_size_are_refused(small, shape):
    state = {**small.__getstate__(), "lookback_": shape[0], "step_features_": shape[1]}
    with pytest.raises(CorruptFileError, match="windows"):
        QuantizedClassifier._inflates(state)


CHILD = """
import resource, sys
import sktrain, onnxruntime, sktrain.compression
from sktrain.exceptions import CorruptFileError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
for path in sys.argv[1:]:
    try:
        sktrain.load(path)
        print("opened")
    except CorruptFileError as error:
        print("refused", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limits")
def test_a_small_file_whose_graph_grows_is_refused_before_it_does(small, tmp_path):
    paths = []
    for name, graph in (("outer", outer(40_000)), ("image", image(400))):
        state = state_of(small, graph)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(QuantizedClassifier, "__getstate__", lambda self, state=state: state)
            patch.setattr(QuantizedClassifier, "_inflates", staticmethod(lambda state: 0))
            paths.append(save(small, tmp_path / f"{name}.sktrain", probe=None))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, *map(str, paths)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["refused", "refused"], (done.stdout, done.stderr)
    assert max(int(line[1]) for line in lines) < 64, lines


def test_a_good_net_opens_with_the_bytes_of_one_row(tmp_path):
    net = TransformerClassifier(max_epochs=1, random_state=0).fit(X, Y)
    made = ModelQuantizer().quantize_model(net)
    opened = load(save(made, tmp_path / "m.sktrain"))
    np.testing.assert_array_equal(opened.predict_proba(X), made.predict_proba(X))


def test_eight_bit_weights_take_part_by_their_shapes_alone(small):
    state = small.__getstate__()
    sizes = {name: packed["shape"] for name, packed in state["weights"].items()}
    grown = {name: [4 * one for one in shape] for name, shape in sizes.items()}
    graph = read_graph(zlib.decompress(state["graph"]))
    assert activations(graph, (4, 3), sizes) < 2**20
    with pytest.raises(CorruptFileError, match="cannot open"):  # shapes that do not fit each other
        activations(graph, (4, 3), grown)
    assert pack(np.zeros((2, 3), "i1"))["shape"] == [2, 3]

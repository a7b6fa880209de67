"""Rounded activations against loops of whole numbers by hand, rows that never touch each other, and
files, wrappers and refusals of such models."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
import torch

from sktrain import (
    CompressedClassifier,
    GRUClassifier,
    LSTMClassifier,
    MLPNetClassifier,
    ModelQuantizer,
    TCNClassifier,
    load,
    save,
)
from sktrain.compression import compress_model
from sktrain.exceptions import SktrainError


@pytest.fixture(scope="module")
def whole(smooth_nets):
    """The five nets with rounded activations."""
    quantizer = ModelQuantizer(activations="int8")
    return {kind: quantizer.quantize_model(net) for kind, net in smooth_nets.items()}


def by_whole_numbers(X, weight, largest=None):
    """``X @ weight.T`` in int64, row by row: weights of 8 bits a channel, activations of 7 between
    the largest of a row, or the ``largest`` that is given, and its opposite."""
    result = np.empty((len(X), len(weight)))
    for j, channel in enumerate(weight):
        scale = np.float32(np.abs(channel).max() / np.float32(127))
        codes = np.rint(channel / scale).astype(np.int64)
        for i, row in enumerate(X.astype(np.float32)):
            top = np.abs(row).max() if largest is None else largest
            step = top * np.float32(1 / 63) or np.float32(1)
            rounded = np.rint(row / step).astype(np.int64)
            result[i, j] = float(rounded @ codes) * float(scale) * float(step)
    return result


def cells_by_hand(layer, X):
    """States of a recurrent layer after every step, from its equations."""
    part = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    size, lstm = layer.hidden_size, type(layer).__name__ == "LSTM"
    state = cell = np.zeros((len(X), size))
    found = []
    for step in range(X.shape[1]):
        small = X.shape[2] < 64  # what is small keeps floats, with weights of eight bits
        fed = eight_bits(part["weight_ih_l0"]) if small else part["weight_ih_l0"]
        fed = X[:, step] @ fed.T if small else by_whole_numbers(X[:, step], fed)
        fed = fed + part["bias_ih_l0"]
        back = by_whole_numbers(state, part["weight_hh_l0"], 1.0) + part["bias_hh_l0"]
        if lstm:
            take, keep, new, give = np.split(fed + back, 4, axis=1)
            cell = logistic(keep) * cell + logistic(take) * np.tanh(new)
            state = logistic(give) * np.tanh(cell)
        else:
            (r, z, new), (r_back, z_back, old) = (np.split(one, 3, axis=1) for one in (fed, back))
            new, z = np.tanh(new + logistic(r + r_back) * old), logistic(z + z_back)
            state = (1 - z) * new + z * state
        found.append(state)
    return np.stack(found, 1)


def eight_bits(weight):
    scale = np.abs(weight).max(1, keepdims=True) / 127
    return np.rint(weight / scale) * scale


def logistic(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("name", ["GRUClassifier", "LSTMClassifier"])
def test_recurrent_layers_are_their_equations_in_whole_numbers(
    name, smooth_nets, whole, smooth_windows
):
    X, net = smooth_windows[0][300:312], smooth_nets[name]
    module = copy.deepcopy(net.module_).cpu()
    standardize = module.standardize
    states = (X - standardize.mean.numpy()) * standardize.scale.numpy()
    for layer in module.layers:
        states = cells_by_hand(layer, states)
    head = module.head
    scores = states[:, -1] @ eight_bits(head.weight.detach().numpy()).T + head.bias.detach().numpy()
    expected = net.posterior_.probabilities(scores)
    got = whole[name].predict_proba(X)
    # float32 against float64: now and then a number is rounded to its other neighbour
    assert np.abs(got - expected).mean() < 1e-5
    assert np.abs(got - expected).max() < 5e-4
    floats = ModelQuantizer().quantize_model(net).predict_proba(X)
    assert np.abs(got - floats).mean() > 3 * np.abs(got - expected).mean()


def test_dense_layers_are_whole_numbers_too(smooth_nets, whole, smooth_windows):
    X, net = smooth_windows[0][300:320, :, :], smooth_nets["MLPNetClassifier"]
    standardize = net.module_.standardize
    Z = (X - standardize.mean.numpy()) * standardize.scale.numpy()
    first, second = (
        (layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in net.module_.layers
    )
    Z = Z.reshape(len(X), -1)
    assert Z.shape[1] < 64  # 48 inputs: floats
    Z = np.maximum(Z @ eight_bits(first[0]).T + first[1], 0)
    Z = np.maximum(by_whole_numbers(Z, second[0]) + second[1], 0)
    head = net.module_.head
    scores = Z @ eight_bits(head.weight.detach().numpy()).T + head.bias.detach().numpy()
    expected = net.posterior_.probabilities(scores)
    got = whole["MLPNetClassifier"].predict_proba(X)
    assert np.abs(got - expected).mean() < 1e-5
    assert np.abs(got - expected).max() < 5e-4


def test_little_changes(kind, smooth_nets, whole, smooth_windows):
    X = smooth_windows[0][300:]
    before, after = smooth_nets[kind].predict_proba(X), whole[kind].predict_proba(X)
    assert 0 < np.abs(before - after).max() < 0.05
    assert (before.argmax(1) == after.argmax(1)).mean() >= 0.99
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-12)


def test_no_row_changes_another_by_a_single_bit(kind, whole, smooth_windows):
    X, model = smooth_windows[0][:300], whole[kind]
    together = model.predict_proba(X)
    for size in (1, 7, 64):
        parts = [model.predict_proba(X[i : i + size]) for i in range(0, 70, size)]
        found = np.concatenate(parts)
        assert np.array_equal(found, together[: len(found)])
    loud = X.copy()
    loud[3] *= 1000
    others = np.arange(len(X)) != 3
    assert np.array_equal(model.predict_proba(loud)[others], together[others])


def test_rows_of_zeros_and_missing_values_have_answers(kind, whole, smooth_nets, smooth_windows):
    X = smooth_windows[0][:20].copy()
    X[0] = smooth_nets[kind].module_.standardize.mean.numpy()  # zeros, once standardized
    X[1] = np.nan
    X[2:, 3, 1] = np.nan
    got, expected = whole[kind].predict_proba(X), smooth_nets[kind].predict_proba(X)
    assert np.abs(got - expected).max() < 0.05


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_windows_of_any_length(kind, steps, smooth_windows):
    rows = smooth_windows[0][:, :1].reshape(-1, 4)
    X = np.lib.stride_tricks.sliding_window_view(rows, steps, axis=0).transpose(0, 2, 1)[:300]
    import sktrain

    sizes = {"module__hidden_size": 64, "module__n_layers": 2}
    net = getattr(sktrain, kind)(max_epochs=1, horizon=0, random_state=0, **sizes)
    net.fit(X, np.arange(len(X)) % 2)
    got = ModelQuantizer(activations="int8").quantize_model(net).predict_proba(X)
    assert np.abs(got - net.predict_proba(X)).max() < 0.03


def test_products_stay_whole_numbers_in_the_open_graph(kind, whole, tmp_path):
    runtime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "open.onnx")
    options.log_severity_level = 3
    runtime.InferenceSession(whole[kind].to_onnx(), options, providers=["CPUExecutionProvider"])
    opened = onnx.load(tmp_path / "open.onnx").graph
    used = {node.op_type for node in opened.node}
    assert used & {"MatMulInteger", "MatMulIntegerToFloat"}
    assert not used & {"GRU", "LSTM", "DynamicQuantizeLinear", "DynamicQuantizeMatMul"}
    floats = [
        one
        for one in opened.initializer
        if one.data_type == 1 and np.prod(list(one.dims)) > 64 * 64
    ]
    assert floats == []  # every large matrix is whole numbers: a quarter of the memory


def test_files_copies_and_the_exported_graph_answer_the_same(kind, whole, smooth_windows, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    X, model = smooth_windows[0][:100], whole[kind]
    expected = model.predict_proba(X)
    again = load(save(model, tmp_path / "model.sktrain"))
    assert again.activations_ == "int8"
    for one in (again, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(one.predict_proba(X), expected)
    session = runtime.InferenceSession(model.to_onnx(), providers=["CPUExecutionProvider"])
    scores = session.run(None, {"X": X.astype(np.float32)})[0]
    shares = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(shares / shares.sum(1, keepdims=True), expected, atol=1e-5)


def test_models_with_float_activations_do_not_say_otherwise(quantized):
    assert not hasattr(quantized["GRUClassifier"], "activations_")
    assert b"activations_" not in pickle.dumps(quantized["GRUClassifier"])


def test_the_wrapper_and_the_report_take_it_on(smooth_windows, tmp_path):
    X, y = smooth_windows
    net = MLPNetClassifier(max_epochs=3, horizon=0, module__hidden_size=64)
    model = CompressedClassifier(net, 0.3, activations="int8", random_state=0, horizon=0).fit(X, y)
    assert model.model_.activations_ == model.report_.activations == "int8"
    assert "8-bit weights, int8 activations" in model.report_.summary()
    assert clone(model).activations == "int8"
    again = load(save(model, tmp_path / "model.sktrain"))
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    held = clone(model).set_params(max_score_drop=0.0, sparsity=0.98, scoring="neg_log_loss")
    with pytest.warns(match="instead"):
        held.fit(X, y)
    assert held.bits_ in (8, None)
    assert hasattr(held.model_, "activations_") is (held.bits_ == 8)
    small, report = compress_model(model_of(net, X, y), activations="int8", X=X, y=y, sparsity=0)
    assert small.activations_ == report["activations"] == "int8"
    assert report["agreement"] > 0.99


def model_of(net, X, y):
    return clone(net).set_params(random_state=0).fit(X, y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"activations": "int4"}, "activations"),
        ({"activations": True}, "activations"),
        ({"activations": "int8", "bits": 4}, "bits=8, got bits=4"),
    ],
)
def test_what_does_not_go_together_is_refused(params, message, smooth_nets, smooth_windows):
    net = smooth_nets["MLPNetClassifier"]
    with pytest.raises(ValueError, match=message):
        ModelQuantizer(**params).quantize_model(net)
    with pytest.raises(ValueError, match=message):
        CompressedClassifier(MLPNetClassifier(), **params).fit(*smooth_windows)
    with pytest.raises(ValueError, match="bits=8, got bits=None"):
        CompressedClassifier(bits=None, activations="int8").fit(*smooth_windows)


def test_networks_that_would_gain_nothing_or_grow_without_end_are_refused(windows):
    X, y = windows[0][:60], np.arange(60) % 2
    settings = {"max_epochs": 1, "horizon": 0, "random_state": 0}
    small = GRUClassifier(**settings, module__hidden_size=16).fit(X, y)
    with pytest.raises(
        SktrainError, match="at least 64 inputs and outputs, and GRUClassifier has none"
    ):
        ModelQuantizer(activations="int8").quantize_model(small)
    long = np.random.default_rng(0).normal(size=(60, 257, 1))
    for Net in (GRUClassifier, LSTMClassifier):
        net = Net(**settings, module__hidden_size=64).fit(long, y)
        with pytest.raises(SktrainError, match="256 steps in recurrent layers, got 257"):
            ModelQuantizer(activations="int8").quantize_model(net)
    wide = TCNClassifier(**settings, module__hidden_size=64).fit(long, y)
    ModelQuantizer(activations="int8").quantize_model(wide).predict(long)


def test_a_network_of_the_users_own(smooth_windows):
    torch.manual_seed(0)
    layers = [torch.nn.Flatten(), torch.nn.Linear(48, 80), torch.nn.Tanh(), torch.nn.Linear(80, 64)]
    module = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(64, 3)).eval()
    X = smooth_windows[0][:50].astype(np.float32)
    model = ModelQuantizer(activations="int8").quantize_model(module, example=X)
    with torch.no_grad():
        expected = torch.softmax(module(torch.from_numpy(X)), 1).numpy()
    assert 0 < np.abs(model.predict_proba(X) - expected).max() < 0.02

"""Eight-bit nets against weights rounded in a loop, row independence, files without floats, and a
process without torch."""

import copy
import os
import pickle
import subprocess
import sys
import zlib

from hypothesis import given, settings, strategies as st
from imblearn.pipeline import Pipeline as ImblearnPipeline
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
import torch

from sktrain import (
    GRUClassifier,
    MLPNetClassifier,
    ModelPruner,
    ModelQuantizer,
    SlidingWindow,
    WindowSMOTE,
    export_onnx,
)
from sktrain.compression import QuantizedClassifier
from sktrain.compression._quantized import pack, unpack
from sktrain.exceptions import CorruptFileError, PersistenceError, SktrainError
from sktrain.features import WindowedArray

NO_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "skorch", "onnx", "onnxscript"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import joblib, numpy as np
model, X = joblib.load(sys.argv[1]), np.load(sys.argv[2])
np.save(sys.argv[3], model.predict_proba(X))
print(model.predict(X[:1])[0], sorted({"torch", "skorch", "onnx"} & set(sys.modules)))
"""


def rounded(net):
    """A copy of the net whose matrices were rounded in a plain loop, channel by channel."""
    net = copy.deepcopy(net)
    with torch.no_grad():
        for name, weight in net.module_.named_parameters():
            if weight.ndim < 2 or weight.numel() < 64:
                continue
            for channel in weight.view(weight.shape[0], -1) if "positions" not in name else weight:
                scale = float(channel.abs().max()) / 127
                if scale:
                    channel.copy_(torch.round(channel / scale).clamp(-127, 127) * scale)
    return net


def rounded_in_groups(net):
    """The same at four bits: matrices of layers in groups of 64 inputs, everything else as at
    eight."""
    other = rounded(net)
    with torch.no_grad():
        for (name, weight), (_, old) in zip(
            other.module_.named_parameters(), net.module_.named_parameters()
        ):
            if weight.ndim < 2 or weight.numel() < 64 or "positions" in name:
                continue
            for channel, source in zip(
                weight.view(weight.shape[0], -1), old.reshape(weight.shape[0], -1)
            ):
                for start in range(0, len(channel), 64):
                    part = source[start : start + 64]
                    scale = float(part.abs().max()) / 7
                    channel[start : start + 64].copy_(
                        torch.round(part / scale).clamp(-7, 7) * scale
                    )
    return other


def test_four_bits_are_weights_rounded_in_groups_by_hand(kind, nets, windows):
    X = windows[0][300:]
    small = ModelQuantizer(4).quantize_model(nets[kind])
    np.testing.assert_allclose(
        small.predict_proba(X), rounded_in_groups(nets[kind]).predict_proba(X), atol=2e-5
    )
    loud = X.copy()
    loud[3] *= 1000
    others = np.arange(len(X)) != 3
    np.testing.assert_allclose(
        small.predict_proba(loud)[others], small.predict_proba(X)[others], atol=1e-6, rtol=0
    )
    assert np.array_equal(
        pickle.loads(pickle.dumps(small)).predict_proba(X), small.predict_proba(X)
    )


def test_four_bits_halve_the_file(windows):
    X, y = windows
    net = GRUClassifier(max_epochs=1, random_state=0, module__hidden_size=128).fit(X[:300], y[:300])
    sizes = {bits: len(pickle.dumps(ModelQuantizer(bits).quantize_model(net))) for bits in (4, 8)}
    assert sizes[4] < 0.6 * sizes[8]


@pytest.mark.parametrize("bits", [4, 8])
def test_rows_to_round_by_bring_answers_closer(bits, kind, smooth_trios, smooth_windows):
    X, apart = smooth_windows[0], []
    for nets in smooth_trios:
        expected = nets[kind].predict_proba(X[300:])
        rounded = (
            ModelQuantizer(bits).quantize_model(nets[kind], rows) for rows in (X[:300], None)
        )
        apart.append([np.abs(one.predict_proba(X[300:]) - expected).mean() for one in rounded])
    seeing, blind = np.mean(apart, axis=0)
    assert seeing < 0.8 * blind


def test_probabilities_are_those_of_weights_rounded_by_hand(kind, nets, quantized, windows):
    X = windows[0][300:]
    np.testing.assert_allclose(
        quantized[kind].predict_proba(X), rounded(nets[kind]).predict_proba(X), atol=2e-5
    )


def test_little_changes_and_labels_come_back(kind, nets, quantized, windows):
    X = windows[0][300:]
    before, after = nets[kind].predict_proba(X), quantized[kind].predict_proba(X)
    assert 0 < np.abs(before - after).max() < 0.05
    assert (nets[kind].predict(X) == quantized[kind].predict(X)).mean() > 0.98
    assert quantized[kind].classes_.tolist() == ["down", "flat", "up"]
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-12)


def test_no_row_changes_another(kind, quantized, windows):
    X, model = windows[0][:512], quantized[kind]
    whole = model.predict_proba(X)
    for size in (1, 7, 256):
        parts = np.concatenate([model.predict_proba(X[i : i + size]) for i in range(0, 260, size)])
        np.testing.assert_allclose(parts, whole[: len(parts)], atol=1e-6, rtol=0)
    loud = X.copy()
    loud[3] *= 1000
    others = np.arange(512) != 3
    np.testing.assert_allclose(model.predict_proba(loud)[others], whole[others], atol=1e-6, rtol=0)


def test_rows_at_once_change_nothing(kind, quantized, windows):
    X, model = windows[0][:300], copy.deepcopy(quantized[kind])
    expected = model.predict_proba(X)
    for rows in (1, 8, 33, 256):
        model._rows = rows
        np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("hidden", "steps", "expected"),
    # a recurrent layer works with eight arrays of its output besides it: 8 MiB hold
    # 2**23 / (9 * 4 * steps * hidden) rows, and a few less for what stands around the layer
    [(8, 4, range(256, 257)), (64, 50, range(62, 73)), (256, 128, range(16, 17))],
)
def test_as_many_rows_at_once_as_fit_into_memory(hidden, steps, expected):
    X = np.random.default_rng(0).normal(size=(40, steps, 2))
    net = GRUClassifier(
        max_epochs=1, random_state=0, train_split=None, module__hidden_size=hidden
    ).fit(X, np.arange(40) % 2)
    assert ModelQuantizer().quantize_model(net)._rows in expected


def test_repeated_predictions_are_identical(kind, quantized, windows):
    X = windows[0]
    first = quantized[kind].predict_proba(X)
    for model in (
        quantized[kind],
        copy.deepcopy(quantized[kind]),
        pickle.loads(pickle.dumps(quantized[kind])),
    ):
        assert np.array_equal(model.predict_proba(X), first)


def test_missing_values_are_the_mean_as_in_the_net(kind, nets, quantized, windows):
    X = windows[0][:40].copy()
    X[::3, 2, 1] = np.nan
    X[5] = np.nan
    np.testing.assert_allclose(
        quantized[kind].predict_proba(X), rounded(nets[kind]).predict_proba(X), atol=2e-5
    )


def test_rows_in_every_form_give_the_same(kind, quantized, windows):
    model = quantized[kind]
    base = np.random.default_rng(1).normal(size=(60, 4))
    lazy = WindowedArray(base, np.arange(60), np.zeros(60, int), 12)
    dense = np.asarray(lazy)
    expected = model.predict_proba(dense)
    for rows in (lazy, dense.astype(np.float32), dense.reshape(60, -1), torch.from_numpy(dense)):
        np.testing.assert_allclose(model.predict_proba(rows), expected, atol=1e-6)
    np.testing.assert_array_equal(model.predict_proba(lazy[[50, 3]]), expected[[50, 3]])


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_become_floats_once(bits, kind, nets, tmp_path):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model = ModelQuantizer(bits).quantize_model(nets[kind]).to_onnx()
    stored = onnx.load_from_string(model)
    assert {"Cast", "Mul"} <= {node.op_type for node in stored.graph.node}
    assert sum(t.data_type == onnx.TensorProto.INT8 for t in stored.graph.initializer) > 2
    large = [
        t
        for t in stored.graph.initializer
        if t.data_type == onnx.TensorProto.FLOAT and np.prod(list(t.dims), dtype=int) >= 1000
    ]
    assert large == []
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "open.onnx")
    options.log_severity_level = 3
    runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    opened = onnx.load(tmp_path / "open.onnx").graph
    assert onnx.TensorProto.INT8 not in {t.data_type for t in opened.initializer}
    assert not {node.op_type for node in opened.node} & {
        "Cast", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulNBits", "MatMulInteger",
    }


def test_the_pickle_holds_no_float_copy_and_is_small(kind, nets, quantized):
    weights = [w.detach().numpy() for w in nets[kind].module_.parameters() if w.numel() >= 500]
    data = pickle.dumps(quantized[kind])
    for weight in weights:
        assert weight.tobytes()[:256] not in data
    floats = sum(w.numel() * 4 for w in nets[kind].module_.parameters())
    assert len(data) < 0.26 * floats + 12_000  # the graph itself has a size of its own


def test_pruned_weights_stay_zero_and_pack_smaller(nets, quantized, windows):
    net = copy.deepcopy(nets["LSTMClassifier"])
    reached = ModelPruner(0.8).prune_model(net)
    small = ModelQuantizer().quantize_model(net)
    assert small.n_zeros_ / small.n_weights_ >= reached - 0.02
    assert len(pickle.dumps(small)) < 0.6 * len(pickle.dumps(quantized["LSTMClassifier"]))
    np.testing.assert_allclose(
        small.predict_proba(windows[0]), rounded(net).predict_proba(windows[0]), atol=2e-5
    )


@given(st.lists(st.integers(-127, 127), max_size=300), st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_packing_loses_nothing(values, share):
    codes = np.array(values, dtype=np.int8)
    codes[np.random.default_rng(len(values)).random(len(codes)) < share] = 0
    packed = pack(codes.reshape(1, -1))
    np.testing.assert_array_equal(unpack(packed), codes.reshape(1, -1))


def test_damaged_weights_are_refused():
    packed = pack(np.arange(100, dtype=np.int8))
    for broken in (
        {**packed, "shape": [101]},
        {**packed, "shape": [-1]},
        {**packed, "shape": [2**40]},
        {**packed, "values": packed["values"][:-1]},
    ):
        with pytest.raises(CorruptFileError):
            unpack(broken)
    with pytest.raises(CorruptFileError, match="graph"):
        QuantizedClassifier().__setstate__({"n_threads": 1, "graph": b"nonsense", "weights": {}})
    with pytest.raises(CorruptFileError, match="ONNX Runtime"):
        QuantizedClassifier().__setstate__(
            {"n_threads": 1, "graph": zlib.compress(b"nonsense"), "weights": {}}
        )


@pytest.fixture(scope="module")
def pipeline():
    """A fitted pipeline of a voting ensemble, one member behind a sampler, on a frame."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        rng.normal(size=(260, 3)), columns=list("abc"), index=pd.date_range("2020", periods=260)
    )
    y = np.where(X["a"] > 0, 1, -1)
    smote = ImblearnPipeline(
        [
            ("smote", WindowSMOTE(random_state=0)),
            ("net", MLPNetClassifier(max_epochs=2, random_state=0)),
        ]
    )
    members = [
        ("gru", GRUClassifier(max_epochs=2, random_state=0, module__hidden_size=16)),
        ("mlp", smote),
    ]
    model = Pipeline(
        [
            ("window", SlidingWindow(lookback=5)),
            ("net", VotingClassifier(members, voting="soft", weights=[2, 1])),
        ]
    )
    return model.fit(X, y), X


def test_a_pipeline_keeps_its_other_steps_and_the_original(pipeline):
    model, X = pipeline
    before = model.predict_proba(X)
    small = ModelQuantizer().quantize_model(model)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert small[0] is model[0]
    assert np.abs(small.predict_proba(X) - before).max() < 0.02
    assert set(small.predict(X)) == {-1, 1}
    assert "sktrain.nets" not in str(pickle.dumps(small))


def test_without_torch_it_opens_and_predicts(pipeline, quantized, windows, tmp_path):
    model, X = pipeline
    small = ModelQuantizer().quantize_model(model)
    rows = X.to_numpy()
    for name, one, data in (
        ("pipeline", small, rows),
        ("gru", quantized["GRUClassifier"], windows[0]),
    ):
        joblib.dump(one, tmp_path / f"{name}.joblib")
        np.save(tmp_path / "X.npy", data)
        files = [str(tmp_path / f"{name}.joblib"), str(tmp_path / "X.npy"), str(tmp_path / "p.npy")]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", NO_TORCH, *files], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[1:] == ["[]"]
        np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), one.predict_proba(data))


def test_what_cannot_be_quantized_is_refused(nets, quantized, windows):
    net = nets["GRUClassifier"]
    for bits in (3, 16, 0, True, 8.0, "8", None):
        with pytest.raises(ValueError, match="bits must be 8 or 4"):
            ModelQuantizer(bits=bits).quantize_model(net)
    with pytest.raises(NotFittedError, match="GRUClassifier"):
        ModelQuantizer().quantize_model(clone(net))
    with pytest.raises(NotFittedError, match="GRUClassifier"):
        ModelQuantizer().quantize_model(make_pipeline(StandardScaler(), clone(net)))
    with pytest.raises(SktrainError, match="no neural net"):
        ModelQuantizer().quantize_model(LogisticRegression().fit([[0], [1]], [0, 1]))
    with pytest.raises(SktrainError, match="quantized already"):
        ModelQuantizer().quantize_model(quantized["GRUClassifier"])
    with pytest.raises(ValueError, match="n_threads"):
        ModelQuantizer(n_threads=0).quantize_model(net)


def test_rows_that_do_not_fit_are_refused_by_column(quantized, windows):
    model, X = quantized["TCNClassifier"], windows[0][:5]
    bad = X.copy()
    bad[2, 3, 1] = np.inf
    with pytest.raises(SktrainError, match="column 1"):
        model.predict(bad)
    with pytest.raises(ValueError, match="3 features, but QuantizedClassifier is expecting 4"):
        model.predict(X[:, :, :3])
    with pytest.raises(SktrainError, match="11 steps"):
        model.predict(X[:, 1:])
    with pytest.raises(ValueError, match="47 features"):
        model.predict(X.reshape(5, -1)[:, 1:])
    named = MLPNetClassifier(max_epochs=1, random_state=0).fit(
        pd.DataFrame(X[:, 0], columns=list("abcd")), [0, 1, 0, 1, 0]
    )
    small = ModelQuantizer().quantize_model(named)
    with pytest.raises(ValueError, match="feature names should match"):
        small.predict(pd.DataFrame(X[:, 0], columns=list("abdc")))
    with pytest.raises(SktrainError, match="column 'b'"):
        small.predict(pd.DataFrame(X[:, 0], columns=list("abcd")).assign(b=1e300))


def test_a_quantized_net_cannot_be_trained_and_clones_unfitted(quantized, windows):
    model = quantized["MLPNetClassifier"]
    with pytest.raises(SktrainError, match="cannot be trained"):
        model.fit(*windows)
    with pytest.raises(NotFittedError):
        clone(model).predict(windows[0])
    twice = copy.deepcopy(model).set_params(n_threads=2)
    np.testing.assert_allclose(
        twice.predict_proba(windows[0]), model.predict_proba(windows[0]), atol=1e-6
    )
    with pytest.raises(ValueError, match="n_threads"):
        twice.set_params(n_threads=0)


def test_a_bare_module_becomes_a_classifier(nets, quantized, windows):
    module = nets["GRUClassifier"].module_
    model = ModelQuantizer().quantize_model(module)
    twin = copy.deepcopy(quantized["GRUClassifier"])
    del twin.posterior_  # nobody knows what a bare network was trained with
    np.testing.assert_array_equal(model.predict_proba(windows[0]), twin.predict_proba(windows[0]))
    assert model.classes_.tolist() == [0, 1, 2]
    with pytest.raises(SktrainError, match="example"):
        ModelQuantizer().quantize_model(torch.nn.Linear(3, 2))


class Own(torch.nn.Module):
    """A network of the user's own."""

    def __init__(self, n_features, n_steps, n_classes):
        super().__init__()
        from sktrain.nets._modules import Standardize

        self.standardize, self.mix = (
            Standardize(n_features),
            torch.nn.Linear(n_features * n_steps, 40),
        )
        self.head = torch.nn.Linear(40, n_classes)

    def logits(self, Z):
        return self.head(torch.tanh(self.mix(Z.flatten(1))))

    def forward(self, X):
        return self.logits(self.standardize(X))


class Odd(Own):
    """One with a step that ONNX does not have."""

    def logits(self, Z):
        values = torch.linalg.eigvals(self.mix(Z.flatten(1))[:, :36].reshape(-1, 6, 6)).real
        return self.head(torch.cat([values] * 7, 1)[:, :40])


def test_a_network_of_ones_own_goes_through_torch_and_an_impossible_one_is_named(windows):
    X, y = windows
    net = MLPNetClassifier(module=Own, max_epochs=2, random_state=0).fit(X[:300], y[:300])
    small = ModelQuantizer().quantize_model(net)
    np.testing.assert_allclose(small.predict_proba(X), rounded(net).predict_proba(X), atol=2e-5)
    np.testing.assert_allclose(small.predict_proba(X[:1]), small.predict_proba(X)[:1], atol=1e-6)
    with pytest.raises(SktrainError, match="Odd cannot be exported"):
        ModelQuantizer().quantize_model(Odd(4, 12, 3), example=X[:2])


def test_saved_quantized_files(nets, quantized, windows, tmp_path):
    X = windows[0]
    expected = quantized["TCNClassifier"].predict_proba(X)
    path = ModelQuantizer().save_quantized(nets["TCNClassifier"], tmp_path / "m.joblib")
    np.testing.assert_array_equal(joblib.load(path).predict_proba(X), expected)
    path = ModelQuantizer().save_quantized(quantized["TCNClassifier"], tmp_path / "m.onnx")
    runtime = pytest.importorskip("onnxruntime")
    scores = runtime.InferenceSession(str(path)).run(None, {"X": X.astype(np.float32)})[0]
    np.testing.assert_allclose(
        torch.softmax(torch.from_numpy(scores), 1).numpy(), expected, atol=1e-5
    )
    with pytest.raises(PersistenceError, match="cannot be written"):
        ModelQuantizer().save_quantized(quantized["TCNClassifier"], tmp_path / "none" / "m.onnx")
    path = ModelQuantizer(4).save_quantized(nets["TCNClassifier"], tmp_path / "m.joblib", X[:300])
    seeing = ModelQuantizer(4).quantize_model(nets["TCNClassifier"], X[:300])
    np.testing.assert_array_equal(joblib.load(path).predict_proba(X), seeing.predict_proba(X))
    assert sorted(os.listdir(tmp_path)) == ["m.joblib", "m.onnx"]


def test_export_gives_the_probabilities_of_nets_and_votes(
    kind, nets, quantized, pipeline, windows, tmp_path
):
    runtime = pytest.importorskip("onnxruntime")
    X = windows[0].astype(np.float32)

    def run(path, rows):
        return runtime.InferenceSession(str(path)).run(["probabilities"], {"X": rows})[0]

    np.testing.assert_allclose(
        run(export_onnx(nets[kind], tmp_path / "a.onnx"), X), nets[kind].predict_proba(X), atol=1e-5
    )
    np.testing.assert_allclose(
        run(export_onnx(quantized[kind], tmp_path / "b.onnx"), X[:1]),
        quantized[kind].predict_proba(X[:1]),
        atol=1e-5,
    )
    if kind == "MLPNetClassifier":
        model, frame = pipeline
        rows = np.asarray(model[0].transform(frame)).astype(np.float32)
        for one in (model, ModelQuantizer().quantize_model(model)):
            np.testing.assert_allclose(
                run(export_onnx(one, tmp_path / "v.onnx"), rows),
                one.predict_proba(frame),
                atol=1e-5,
            )
        with pytest.raises(SktrainError, match="LogisticRegression cannot be exported"):
            export_onnx(LogisticRegression().fit([[0], [1]], [0, 1]), tmp_path / "c.onnx")
        with pytest.raises(NotFittedError):
            export_onnx(clone(nets[kind]), tmp_path / "c.onnx")
        with pytest.raises(PersistenceError, match="cannot be written"):
            export_onnx(nets[kind], tmp_path / "none" / "c.onnx")

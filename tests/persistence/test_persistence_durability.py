"""A model file survives what happens while it is written: kills, full disks, folders that vanish.
Quantized models included."""

import copy
from functools import partial
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
from persistence.make_golden import rows
import pytest

from sktrain import GRUClassifier, MLPNetClassifier, ModelPruner, ModelQuantizer, load, save
from sktrain.compression import QuantizedClassifier
from sktrain.exceptions import CorruptFileError, PersistenceError
from sktrain.persistence._encoder import Encoder

SAVE_FOR_EVER = """
import sys, joblib
from sktrain import save
models = [joblib.load(path) for path in sys.argv[2:]]
for model in models:  # once through, so that everything is imported
    save(model, sys.argv[1])
print("ready", flush=True)
while True:
    for model in models:
        save(model, sys.argv[1])
"""
SAVE_ON_A_FULL_DISK = """
import resource, signal, sys, joblib
from sktrain import save
from sktrain.exceptions import PersistenceError
model = joblib.load(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    save(model, sys.argv[1])
except PersistenceError as error:
    print("refused:", error)
"""


@pytest.fixture(scope="module")
def net():
    X, y = rows()
    return GRUClassifier(max_epochs=2, lookback=2, random_state=0, horizon=0).fit(X, y)


@pytest.fixture(scope="module")
def small(net):
    return ModelQuantizer().quantize_model(net)


def test_a_quantized_net_opens_exactly(small, tmp_path):
    X, _ = rows()
    opened = load(save(small, tmp_path / "m.sktrain", probe=X[:8]))
    assert isinstance(opened, QuantizedClassifier)
    np.testing.assert_array_equal(opened.predict_proba(X), small.predict_proba(X))
    assert opened.n_weights_ == small.n_weights_
    assert opened.get_params() == small.get_params()
    assert (
        save(opened, tmp_path / "n.sktrain", probe=X[:8]).read_bytes()
        == (tmp_path / "m.sktrain").read_bytes()
    )


def test_pruned_and_quantized_files_shrink(net, small, tmp_path):
    pruned = copy.deepcopy(net)
    ModelPruner(0.8).prune_model(pruned)
    sizes = {}
    for name, model in (
        ("float", net),
        ("pruned", pruned),
        ("int8", small),
        ("both", ModelQuantizer().quantize_model(pruned)),
    ):
        encoder = Encoder()
        encoder.encode(model)
        sizes[name] = sum(map(len, encoder.members.values()))
    assert sizes["pruned"] < 0.7 * sizes["float"]
    assert sizes["int8"] < 0.6 * sizes["float"]
    assert sizes["both"] < sizes["int8"]


def test_hostile_quantized_state_is_refused(small, tmp_path):
    for change in (
        {"graph": b"\x80\x04cos\nsystem\n"},
        {"graph": 7},
        {"weights": {}},
        {"weights": {"a": {"shape": [2**40], "mask": b"", "values": b""}}},
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                QuantizedClassifier, "__getstate__", partial(dict, small.__getstate__(), **change)
            )
            patch.setattr(QuantizedClassifier, "_inflates", staticmethod(lambda state: 0))
            path = save(small, tmp_path / "h.sktrain")
        with pytest.raises(CorruptFileError):
            load(path)


def test_a_number_of_threads_that_is_none_is_refused_when_saved(small, tmp_path, monkeypatch):
    state = partial(dict, small.__getstate__(), n_threads="all")
    monkeypatch.setattr(QuantizedClassifier, "__getstate__", state)
    with pytest.raises(PersistenceError, match="n_threads='all'"):
        save(small, tmp_path / "h.sktrain")


def test_a_graph_that_points_to_other_files_is_refused(small, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    import zlib

    monkeypatch.chdir(tmp_path)
    for place in ("secret.bin", "../secret.bin", "/etc/hostname"):
        model = onnx.load_from_string(zlib.decompress(small.__getstate__()["graph"]))
        tensor = model.graph.initializer[0]
        size = 4 * int(np.prod(list(tensor.dims)))
        (tmp_path / "secret.bin").write_bytes(b"\0" * size)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", place), ("offset", "0"), ("length", str(size))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        state = {**small.__getstate__(), "graph": zlib.compress(model.SerializeToString())}
        with pytest.raises(CorruptFileError, match="cannot open"):
            QuantizedClassifier().__setstate__(state)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")
def test_a_full_disk_leaves_the_old_file(net, small, tmp_path):
    import joblib

    X, _ = rows()
    path = save(small, tmp_path / "m.sktrain", probe=X[:4])
    before = path.read_bytes()
    joblib.dump(net, tmp_path / "net.joblib")
    done = subprocess.run(
        [sys.executable, "-c", SAVE_ON_A_FULL_DISK, str(path), str(tmp_path / "net.joblib")],
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("refused:"), done.stderr
    assert "cannot be written" in done.stdout
    assert path.read_bytes() == before
    load(path)
    assert sorted(os.listdir(tmp_path)) == ["m.sktrain", "net.joblib"]


def test_a_read_only_folder_and_a_folder_that_is_gone_are_named(small, tmp_path):
    with pytest.raises(PersistenceError, match="none"):
        save(small, tmp_path / "none" / "m.sktrain")
    (tmp_path / "file").write_text("x")
    with pytest.raises(PersistenceError, match="cannot be written"):
        save(small, tmp_path / "file" / "m.sktrain")
    (tmp_path / "m.sktrain").mkdir()
    with pytest.raises(PersistenceError, match="cannot be written"):
        save(small, tmp_path / "m.sktrain")
    assert sorted(os.listdir(tmp_path)) == ["file", "m.sktrain"]


def kills(models, tmp_path, n):
    """Kill a process that saves all the time, ``n`` times, and open what is there after each."""
    import joblib

    X, _ = rows()
    path, sources = tmp_path / "m.sktrain", []
    for k, model in enumerate(models):
        sources.append(str(tmp_path / f"{k}.joblib"))
        joblib.dump(model, sources[-1])
    began = time.perf_counter()
    for model in models:
        save(model, path)
    cycle = time.perf_counter() - began
    allowed = [model.predict_proba(X) for model in models]
    rng, met = random.Random(0), set()
    for _ in range(n):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOR_EVER, str(path), *sources],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 3 * cycle))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        got = load(path).predict_proba(X)
        met.add(next(k for k, p in enumerate(allowed) if np.array_equal(p, got)))
    save(models[0], path)
    # of the dead, for an hour
    kept = [name for name in os.listdir(tmp_path) if not name.endswith(".tmp")]
    assert sorted(kept) == sorted(["m.sktrain", *(os.path.basename(s) for s in sources)])
    return met


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_kills_while_saving_leave_a_whole_file(small, tmp_path):
    kills(
        [
            small,
            ModelQuantizer().quantize_model(
                MLPNetClassifier(max_epochs=1, random_state=0, horizon=0).fit(*rows())
            ),
        ],
        tmp_path,
        3,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_twenty_kills_while_saving_leave_a_whole_file(small, tmp_path):
    other = ModelQuantizer().quantize_model(
        MLPNetClassifier(max_epochs=1, random_state=0, horizon=0).fit(*rows())
    )
    # both models were met, so saves were really going on
    assert len(kills([small, other], tmp_path, 20)) == 2

"""Where a net works: what names no device of this machine is refused, what names one is
followed."""

import multiprocessing
import os
from pathlib import Path
import pickle
import subprocess
import sys
import tempfile
import time

from joblib import Parallel, delayed
import numpy as np
import on_device
import pytest
from sklearn.base import clone
import torch

import sktrain
from sktrain import GRUClassifier, MLPNetClassifier
from sktrain._devices import check_device, find_device, worker_index
from sktrain.exceptions import SktrainError
from sktrain.nets import _amp, _modules
from sktrain.nets._amp import choose_precision, work_of
from sktrain.nets._exact import exact_on

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3, 2)).astype(np.float32)
Y = (X[:, -1, 0] > 0).astype(int)
no_card = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")


@no_card
def test_auto_is_the_cpu_where_there_is_no_card(tmp_path):
    plain = MLPNetClassifier(max_epochs=3, random_state=0, horizon=0).fit(X, Y)
    auto = MLPNetClassifier(max_epochs=3, random_state=0, horizon=0, device="auto").fit(X, Y)
    expected = plain.predict_proba(X)
    sktrain.save(auto, tmp_path / "net.sktrain")
    auto.save_params(f_params=tmp_path / "weights.pt")
    auto.load_params(f_params=tmp_path / "weights.pt")
    for net in (auto, pickle.loads(pickle.dumps(auto)), sktrain.load(tmp_path / "net.sktrain")):
        np.testing.assert_array_equal(net.predict_proba(X), expected)
    assert auto.device == clone(auto).device == pickle.loads(pickle.dumps(auto)).device == "auto"
    np.testing.assert_array_equal(
        auto.partial_fit(X, Y).predict_proba(X), plain.partial_fit(X, Y).predict_proba(X)
    )


def test_a_failed_fit_leaves_auto_as_it_was():
    net = MLPNetClassifier(max_epochs=3, lr=1e30, device="auto", horizon=0, mixed_precision=False)
    with pytest.raises(SktrainError):
        net.fit(X * 1e15, Y + np.nan)
    assert net.device == "auto"


def test_auto_is_the_card_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert find_device("auto") == torch.device("cuda")
    assert find_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(
        SktrainError, match="'cuda:7' is not there: this machine has 'cuda:0', 'cuda:1'"
    ):
        check_device("cuda:7")


@no_card
@pytest.mark.parametrize("device", ["cuda", "gpu", None])
def test_a_fitted_net_sent_to_no_device_says_so_and_comes_back(device):
    net = GRUClassifier(max_epochs=1, random_state=0, horizon=0).fit(X, Y)
    expected = net.predict_proba(X)
    net.set_params(device=device)
    for call in (net.predict, net.predict_proba, lambda rows: net.partial_fit(rows, Y)):
        with pytest.raises(SktrainError, match="device"):
            call(X)
    np.testing.assert_array_equal(net.set_params(device="cpu").predict_proba(X), expected)


def test_a_fitted_net_follows_its_device():
    """"meta", which every torch has, stands for the card: it holds shapes, no values."""
    net = MLPNetClassifier(max_epochs=1, random_state=0, horizon=0).fit(X, Y)
    net.set_params(device="meta")
    scores = next(net.forward_iter(X, training=True, device="meta"))
    assert scores.device.type == "meta"
    assert {weight.device.type for weight in net.module_.parameters()} == {"meta"}


def test_weights_in_one_piece_of_memory_are_written_once():
    """So lie the weights of recurrent layers on a card."""
    X = np.random.default_rng(0).normal(size=(80, 5, 3)).astype(np.float32)
    net = GRUClassifier(horizon=0, max_epochs=1, random_state=0).fit(X, X[:, -1, 0] > 0)
    expected, plain = net.predict_proba(X), len(pickle.dumps(net))
    weights = list(net.module_.parameters())
    for weight, part in zip(weights, torch.cat([w.data.ravel() for w in weights]).split(
        [weight.numel() for weight in weights]
    )):  # fmt: skip
        weight.data = part.view(weight.shape)
    assert len(pickle.dumps(weights)) > 6 * sum(weight.nbytes for weight in weights)
    assert len(pickle.dumps(net)) == plain
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    trained = {id(one) for group in again.optimizer_.param_groups for one in group["params"]}
    assert trained == {id(one) for one in again.module_.parameters()}
    one, other = (model.partial_fit(X, X[:, -1, 0] > 0).predict_proba(X) for model in (net, again))
    np.testing.assert_array_equal(one, other)


def test_auto_precision_on_a_card_goes_by_the_size_of_the_work(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert choose_precision("auto", "cuda", 4096)[0] is None
    for Net, steps, batch, wanted in (
        (sktrain.MLPNetClassifier, 60, 4096, None),
        (sktrain.TransformerClassifier, 60, 512, None),
        (sktrain.TransformerClassifier, 60, 4096, torch.bfloat16),
        (sktrain.TCNClassifier, 60, 4096, torch.bfloat16),
    ):
        work = work_of(Net._network(16, steps, 3), steps, batch)
        assert choose_precision("auto", "cuda", batch, work)[0] is wanted
    gru = sktrain.GRUClassifier._network(16, 60, 3)
    assert work_of(gru, 60, 10) == 10 * 60 * (3 * 32 * (16 + 32) + 3 * 32)
    assert choose_precision("float16", "cuda", 64)[0] is torch.float16


@pytest.mark.parametrize(
    ("name", "size", "batch", "expected"),
    [
        ("MLP", 64, 512, None),
        ("MLP", 256, 512, torch.bfloat16),
        ("MLP", 256, 64, None),
        ("LSTM", 16, 256, torch.bfloat16),
        ("GRU", 512, 512, None),
        ("TCN", 16, 512, None),
        ("Transformer", 64, 256, torch.bfloat16),
    ],
)
def test_auto_precision_on_a_cpu_asks_the_network(name, size, batch, expected, monkeypatch):
    module = getattr(_modules, f"{name}Module")(3, 4, 2, hidden_size=size)
    for native in (True, False):
        monkeypatch.setattr(_amp, "_native_bfloat16", lambda native=native: native)
        found, _ = choose_precision("auto", "cpu", batch, 0, module.gains_by_bfloat16)
        assert found is (expected if native else None)
    assert choose_precision("bfloat16", "cpu", batch, 0, False)[0] is torch.bfloat16


def test_a_net_says_why_its_precision(monkeypatch):
    monkeypatch.setattr(_amp, "_native_bfloat16", lambda: True)
    X = torch.randn(600, 3, generator=torch.Generator().manual_seed(0)).numpy()
    options = {"max_epochs": 1, "horizon": 0, "train_split": None, "random_state": 0}
    for given, precision, reason in (
        ({"batch_size": 64}, "float32", "batches of 64 rows are below 256"),
        ({"batch_size": 256}, "float32", "a network of this kind and size does not gain by it"),
        ({"mixed_precision": False}, "float32", "mixed_precision=False"),
        ({"mixed_precision": True}, "bfloat16", "mixed_precision=True"),
    ):
        net = sktrain.MLPNetClassifier(**options, **given).fit(X, X[:, 0] > 0)
        assert (net.precision_, net.precision_reason_) == (precision, reason)
    monkeypatch.setattr(_amp, "_native_bfloat16", lambda: False)
    assert choose_precision("auto", "cpu", 256, 0, True) == (
        None, "this processor does not multiply bfloat16",
    )  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert choose_precision("auto", "cuda", 64, 3e9) == (
        torch.float16, "a batch is 3e+09 products, not below 2e+09",
    )  # fmt: skip


WAYS = """
import os, sys
import torch
from sktrain.nets._exact import exact_on

backends = torch.backends


def told(what):
    try:
        return what()
    except RuntimeError:  # both ways to say it were used
        return "mixed"


def state():
    parts = (
        backends, backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul,
        backends.mkldnn.matmul,
    )
    flags = backends.cudnn.deterministic, backends.cudnn.benchmark
    legacy = [told(lambda part=part: part.allow_tf32) for part in (backends.cudnn, parts[4])]
    named = [part.fp32_precision for part in parts]
    return *named, told(torch.get_float32_matmul_precision), *flags, *legacy


for way in sys.argv[1:]:
    if os.fork():
        assert os.wait()[1] == 0, way
        continue
    exec(way)
    before = state()
    with exact_on(torch.device("cuda")):
        with exact_on(torch.device("cuda")):
            pass
        inside = state()
    assert "tf32" not in inside[1:5] and inside[7:9] == (True, False), inside
    assert state() == before, (before, state())
    os._exit(0)
"""


def test_tf32_is_off_and_given_back_however_it_was_said():
    """By ``allow_tf32``, by name for one operation or all, or both: each way in a process of its
    own, for torch remembers which was used."""
    ways = (
        "", "backends.fp32_precision = 'tf32'", "backends.cudnn.fp32_precision = 'tf32'",
        "backends.cuda.matmul.fp32_precision = 'tf32'",
        "backends.cudnn.conv.fp32_precision = 'ieee'",
        "backends.cuda.matmul.allow_tf32 = True", "backends.cudnn.allow_tf32 = False",
        "torch.set_float32_matmul_precision('high')",
        "torch.set_float32_matmul_precision('medium')",
        "backends.fp32_precision = 'tf32'; backends.cudnn.rnn.fp32_precision = 'ieee'",
        "backends.cudnn.benchmark = True",
    )  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-c", WAYS, *ways]
    found = subprocess.run(command, capture_output=True, text=True)
    assert not found.returncode, found.stderr[-2000:]


def test_the_last_of_several_threads_gives_the_flags_back():
    before = torch.backends.cudnn.deterministic
    first, second = exact_on(torch.device("cuda")), exact_on(torch.device("cuda"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.backends.cudnn.deterministic
    second.__exit__(None, None, None)
    assert torch.backends.cudnn.deterministic == before


def test_flags_of_cudnn_are_given_back():
    def flags():
        return torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32

    before = flags()
    with exact_on(torch.device("cuda")):
        assert flags() == (True, False)
    assert flags() == before
    with exact_on(torch.device("cpu")):
        assert flags() == before


def cards(monkeypatch, count, identity=()):
    """As if this process saw ``count`` cards and were a worker with this identity."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(multiprocessing.current_process(), "_identity", identity)


def test_workers_are_spread_over_the_cards_of_their_machine(monkeypatch):
    found = []
    for number in range(1, 6):  # joblib and multiprocessing count from 1
        cards(monkeypatch, 2, (number,))
        found.append(str(find_device("auto")))
    assert found == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]
    assert str(find_device("cuda")) == "cuda:0"
    cards(monkeypatch, 2, (7, 2))  # a worker of a worker
    assert str(find_device("cuda")) == "cuda:1"
    assert str(find_device("cuda:0")) == "cuda:0"  # said which: no choice is left
    assert str(find_device("cpu")) == "cpu"
    cards(monkeypatch, 1, (2,))
    assert str(find_device("auto")) == "cuda"
    cards(monkeypatch, 2)  # no worker
    assert str(find_device("auto")) == "cuda"
    cards(monkeypatch, 0, (2,))
    assert str(find_device("auto")) == "cpu"


def test_a_net_trains_on_the_card_of_its_worker(monkeypatch):
    cards(monkeypatch, 4, (3,))
    net = MLPNetClassifier(device="cuda")
    with net._on_device():
        assert net.device == "cuda:2"
    assert net.device == "cuda"


def test_workers_of_joblib_have_numbers_of_their_own():
    """Two tasks that wait for each other are in two workers."""
    with tempfile.TemporaryDirectory() as folder:
        found = Parallel(2)(delayed(_meet)(folder, k) for k in range(2))
    assert len({worker % 2 for worker in found}) == 2
    assert worker_index() is None


def _meet(folder, k):
    """Wait until both tasks have begun, so that each has a worker to itself."""
    Path(folder, str(k)).touch()
    until = time.monotonic() + 30
    while len(os.listdir(folder)) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    return worker_index()


def test_every_exception_of_a_run_on_another_device_names_a_test():
    sources = [path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py")]
    for name in on_device.EXCEPTIONS:
        wanted = f"def {name.split('::')[-1]}"
        assert any(wanted in source for source in sources), name


@pytest.mark.slow
def test_workers_of_dask_are_ranked_on_their_machine():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as some,
        distributed.Client(some) as client,
    ):
        by_worker = client.scheduler_info(n_workers=-1)["workers"]
        tasks = {one: client.submit(worker_index, workers=[one], pure=False) for one in by_worker}
        found = {one: task.result() for one, task in tasks.items()}
    assert [found[one] for one in sorted(found)] == [0, 1, 2]

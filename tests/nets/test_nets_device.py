"""Where a net works: what names no device of this machine is refused, what names one is followed."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
import torch

import sktrain
from sktrain import GRUClassifier, MLPNetClassifier
from sktrain.exceptions import SktrainError
from sktrain.nets import _amp, _modules
from sktrain.nets._amp import choose_precision
from sktrain.nets._device import check_device, exact_on, resolve_device

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
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(SktrainError, match="'cuda:7' is not there: this machine has 'cuda:0', 'cuda:1'"):
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


def test_auto_precision_is_float32_on_a_card():
    assert choose_precision("auto", "cuda", 4096) is None
    assert choose_precision("float16", "cuda", 64) is torch.float16


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
        found = choose_precision("auto", "cpu", batch, module.gains_by_bfloat16)
        assert found is (expected if native else None)
    assert choose_precision("bfloat16", "cpu", batch, False) is torch.bfloat16


def test_flags_of_cudnn_are_given_back():
    def flags():
        return torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32

    before = flags()
    with exact_on(torch.device("cuda")):
        assert flags() == (True, False)
    assert flags() == before
    with exact_on(torch.device("cpu")):
        assert flags() == before

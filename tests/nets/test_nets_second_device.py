"""Nets on a device that is not the CPU: what belongs together is on one device, float64 stays on
the CPU where the device has none, and nothing is read step by step."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
from optuna.distributions import FloatDistribution
import pytest
from second_device import There, as_a_card, second_device
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback
import torch

import sktrain
from sktrain import (
    CompressedClassifier,
    EnhancedWalkForwardCV,
    GRUClassifier,
    MLPNetClassifier,
    ModelPruner,
    ModelQuantizer,
    OptunaSearchCV,
    PooledClassifier,
    SlidingWindow,
    TransformerClassifier,
)
from sktrain.nets import _batches, _components

NETS = (
    "MLPNetClassifier", "GRUClassifier", "LSTMClassifier", "TCNClassifier", "TransformerClassifier",
)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(330, 5, 3)).astype(np.float32)
Y = (X[:, -1, 0] + 0.3 * RNG.normal(size=330) > 0).astype(int)
OPTIONS = {
    "max_epochs": 3, "batch_size": 64, "lr": 0.01, "horizon": 0, "random_state": 0,
    "mixed_precision": False, "module__dropout": 0.0, "device": "cpu",
}  # fmt: skip
THERE = {**OPTIONS, "device": "meta:0"}
NEAR = 2e-5
SOME = [  # the three others take as long again
    pytest.param(name, marks=() if name in NETS[:2] else pytest.mark.slow) for name in NETS
]


@pytest.fixture(autouse=True)
def allowed(monkeypatch):
    """The device is no longer refused as one that holds no numbers."""
    monkeypatch.setattr(_components, "find_device", lambda device: torch.device("cpu"))


def is_there(net):
    kinds = {type(value) is There for value in net.module_.state_dict().values()}
    return kinds.pop() if len(kinds) == 1 else None


@pytest.mark.parametrize("name", SOME)
def test_a_net_trains_there_and_follows_its_device_both_ways(name):
    Net = getattr(sktrain, name)
    here = Net(**OPTIONS).fit(X, Y)
    with second_device():
        net = Net(**THERE).fit(X, Y)
        assert is_there(net)
        assert net.history[-1, "train_loss"] == pytest.approx(
            here.history[-1, "train_loss"], rel=1e-4
        )
        found = net.predict_proba(X)
        np.testing.assert_allclose(found, here.predict_proba(X), atol=1e-3)
        for device, moved in (("cpu", False), ("meta:0", True)):
            net.set_params(device=device)
            np.testing.assert_allclose(net.predict_proba(X), found, atol=NEAR)
            assert is_there(net) is moved


@pytest.fixture(scope="module", params=[MLPNetClassifier, GRUClassifier])
def here(request):
    """A net that was trained on the CPU."""
    return request.param(**OPTIONS).fit(X, Y)


def test_what_is_made_of_a_net_there_is_what_is_made_of_it_here(here, tmp_path):
    quantized = ModelQuantizer().quantize_model(here, X[:100])
    pruned = copy.deepcopy(here)
    ModelPruner().prune_model(pruned, 0.5, X[:100])
    with second_device():
        there = copy.deepcopy(here).set_params(device="meta:0")
        there.predict(X[:1])
        assert is_there(there)
        found = ModelQuantizer().quantize_model(there, X[:100])
        np.testing.assert_allclose(found.predict_proba(X), quantized.predict_proba(X), atol=NEAR)
        smaller = pickle.loads(pickle.dumps(here)).set_params(device="meta:0")
        smaller.predict(X[:1])
        ModelPruner().prune_model(smaller, 0.5, X[:100])
        assert is_there(smaller)
        np.testing.assert_allclose(smaller.predict_proba(X), pruned.predict_proba(X), atol=NEAR)
        sktrain.export_onnx(there, tmp_path / "net.onnx")
        sktrain.save(there, tmp_path / "net.sktrain", probe=X[:5])
        opened = sktrain.load(tmp_path / "net.sktrain")
        assert is_there(opened) is False
        np.testing.assert_allclose(opened.predict_proba(X), here.predict_proba(X), atol=NEAR)
        opened.set_params(device="meta:0").partial_fit(X, Y)
        assert is_there(opened)
        assert opened.update_ is not None


@pytest.mark.filterwarnings("ignore:SlidingWindow knows no rows")
def test_a_net_there_inside_what_may_hold_it():
    with second_device():
        net = MLPNetClassifier(**{**THERE, "horizon": 1})
        flat = X[:, -1]
        piped = make_pipeline(SlidingWindow(lookback=2), net)
        few = {"min_samples_per_fold": 90, "ensure_regime_coverage": False}
        cv = EnhancedWalkForwardCV(n_splits=2, horizon=1, **few)
        assert np.isfinite(cross_val_score(piped, flat, Y, cv=cv, error_score="raise")).all()
        space = {"lr": FloatDistribution(1e-3, 1e-2)}
        search = OptunaSearchCV(net, space, n_trials=2, cv=cv, random_state=0).fit(X, Y)
        assert is_there(search.best_estimator_)
        small = CompressedClassifier(clone(net)).fit(X, Y)
        assert small.score(X, Y) > 0.6
        members = [("net", clone(net)), ("line", LogisticRegression())]
        pool = PooledClassifier(members, horizon=1).fit(flat, Y)
        assert pool.score(flat, Y) > 0.6
        several = clone(net).set_params(n_members=2).fit(X, Y)
        assert {is_there(one) for one in several.members_} == {True}
        several.partial_fit(X, Y).set_params(device="cpu").predict_proba(X)
        assert {is_there(one) for one in several.members_} == {False}


@pytest.mark.parametrize("net", [MLPNetClassifier, GRUClassifier])
def test_a_device_without_float64_never_meets_it(net, tmp_path):
    """As ``mps``: rows that float32 cannot hold are answered on the CPU."""
    here = net(**OPTIONS, criterion__alpha="balanced").fit(X, Y)
    far = X[:20].copy()
    far[3, -1, 0] = 1e7
    with second_device(float64=False):
        there = net(**THERE, criterion__alpha="balanced").fit(X, Y)
        np.testing.assert_allclose(there.predict_proba(far), here.predict_proba(far), atol=1e-3)
        few = net(**THERE).fit(X[:60], Y[:60], sample_weight=np.linspace(0.5, 1, 60))
        assert few.precision_ == "float32"
        there.partial_fit(X, Y)
        assert ModelQuantizer().quantize_model(there, X[:100]).predict(X).shape == (330,)
        ModelPruner().prune_model(there, 0.5, X[:100])
        assert np.isfinite(there.predict_proba(X)).all()
        exact = net(**OPTIONS).fit(X[:60], Y[:60])
        assert exact.precision_ == "float64"
        found = exact.predict_proba(X)
        np.testing.assert_array_equal(exact.set_params(device="meta:0").predict_proba(X), found)


@pytest.mark.parametrize("float64", [True, False])
def test_narrower_networks_stay_there(float64):
    here = TransformerClassifier(**{**OPTIONS, "max_epochs": 1}).fit(X, Y)
    narrow = ModelPruner(structured=True)
    with second_device(float64):
        there = copy.deepcopy(here).set_params(device="meta:0")
        there.predict(X[:1])
        narrow.prune_model(there, 0.5)
        assert is_there(there)
        found = there.predict_proba(X)
    narrow.prune_model(here, 0.5)
    np.testing.assert_allclose(found, here.predict_proba(X), atol=NEAR)


@pytest.mark.parametrize("name", SOME)
def test_rows_live_there_and_nothing_is_read_step_by_step(name, monkeypatch):
    """Twice as many steps read the device as often, and learn what the CPU learns."""
    Net, made = getattr(sktrain, name), as_a_card(monkeypatch)
    reads = []
    for batch_size in (20, 10):
        options = {"batch_size": batch_size, "max_epochs": 5, "train_split": None}
        with second_device() as there:
            net = Net(**{**THERE, **options}).fit(X[:85], Y[:85])
            reads.append(there.reads)
        assert net.training_path_ == "captured"
    assert len(made) == 2
    assert reads[0] == reads[1]
    monkeypatch.undo()
    plain = Net(**{**OPTIONS, **options}).fit(X[:85], Y[:85])
    learned = [[row["train_loss"] for row in one.history_] for one in (net, plain)]
    np.testing.assert_allclose(*learned, rtol=1e-4)


def test_rows_that_do_not_fit_stay_here(monkeypatch):
    made = as_a_card(monkeypatch)
    little = SimpleNamespace(total_memory=1000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: little)
    monkeypatch.setattr(_batches, "_pinned", lambda batch: batch)  # which asks for a card
    with second_device():
        net = MLPNetClassifier(**THERE).fit(X, Y)
        assert net.training_path_ == "plain: the rows do not fit on the card"
        assert is_there(net)
    here = MLPNetClassifier(**OPTIONS).fit(X, Y)
    found = net.set_params(device="cpu").predict_proba(X)
    np.testing.assert_allclose(found, here.predict_proba(X), atol=1e-3)
    assert not made


def test_a_card_is_exact_while_a_net_is_at_work(monkeypatch):
    """In training, validation and prediction; afterwards, also after an error, as it was."""
    as_a_card(monkeypatch)
    cudnn, seen = torch.backends.cudnn, []
    before = cudnn.deterministic, cudnn.allow_tf32
    assert before == (False, True)

    def look(*args):
        seen.append((cudnn.deterministic, cudnn.allow_tf32, len(seen)))

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            look()
            if net.epoch_ == 2:
                raise RuntimeError("stop")

    with second_device():
        net = MLPNetClassifier(**THERE).fit(X, Y)
        net.module_.head.register_forward_hook(look)
        net.predict(X[:3])
        assert (cudnn.deterministic, cudnn.allow_tf32) == before
        with pytest.raises(RuntimeError, match="stop"):
            MLPNetClassifier(**THERE, callbacks=[Look()]).fit(X, Y)
    assert len(seen) == 4
    assert {one[:2] for one in seen} == {(True, False)}
    assert (cudnn.deterministic, cudnn.allow_tf32) == before


def test_what_mixes_two_devices_is_refused():
    """The device of these tests can fail them."""
    with second_device() as there, torch.no_grad():
        values = torch.ones(3, device="meta:0")
        with pytest.raises(RuntimeError, match="two|one operation"):
            values + torch.ones(3)
        assert float((values + 2.0).sum()) == 9.0
        assert there.reads == 1
    with second_device(float64=False), pytest.raises(TypeError, match="float64"):
        torch.ones(3).to("meta:0").double()

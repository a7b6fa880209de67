"""Steps that read nothing, and the captured step: on a CPU the recorded step runs again in place of
a CUDA graph; the rest is the code a card runs, warming up included. Marked ``cuda``: the graph."""

from contextlib import nullcontext
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from skorch.callbacks import BatchScoring, Callback, LRScheduler
import torch

import sktrain
from sktrain import FocalLoss, GRUClassifier, MLPNetClassifier, StopFlag, TrainingCheckpoint
from sktrain.exceptions import TrainingDivergedError
from sktrain.nets import _captured
from sktrain.nets._callbacks import GradientClip, clip_gradients, clip_unread, norm_of
from sktrain.nets._modules import _by_product

NETS = (
    "MLPNetClassifier", "GRUClassifier", "LSTMClassifier", "TCNClassifier", "TransformerClassifier",
)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(330, 5, 3)).astype(np.float32)
Y = np.digitize(X[:, -1, 0], [-0.5, 0.5])
SMALL = {
    "max_epochs": 6, "batch_size": 64, "lr": 0.01, "horizon": 0, "random_state": 0,
    "mixed_precision": False, "device": "cpu",
}  # fmt: skip
STILL = {**SMALL, "module__dropout": 0.0}


@pytest.fixture
def captured(monkeypatch):
    """The captured step on the CPU; the list of recordings made."""
    made = []

    def recorded(step):
        made.append(step)
        return SimpleNamespace(replay=step)

    monkeypatch.setattr(_captured, "is_card", lambda device: True)
    monkeypatch.setattr(_captured, "_aside", lambda device: nullcontext())
    monkeypatch.setattr(_captured, "_recorded", recorded)
    return made


def weights(net):
    return torch.cat([value.detach().cpu().double().ravel() for value in net.module_.parameters()])


def losses(net):
    return [row["train_loss"] for row in net.history_]


@pytest.mark.parametrize("name", NETS)
def test_the_captured_step_is_the_plain_step(name, captured, monkeypatch):
    Net = getattr(sktrain, name)
    replayed = Net(**STILL).fit(X, Y)
    assert replayed.training_path_ == "captured"
    assert len(captured) == 1
    monkeypatch.undo()
    plain = Net(**STILL).fit(X, Y)
    assert plain.training_path_ == "plain: the step is captured on CUDA devices, this is cpu"
    np.testing.assert_allclose(losses(replayed), losses(plain), rtol=1e-5)
    np.testing.assert_allclose(replayed.predict_proba(X), plain.predict_proba(X), atol=2e-5)
    assert replayed.history[-1, "grad_norm"] == pytest.approx(
        plain.history[-1, "grad_norm"], rel=1e-3
    )


@pytest.mark.parametrize(
    "options",
    [
        {"class_sampling": "weighted"},
        {"criterion": torch.nn.CrossEntropyLoss},
        {"criterion__alpha": "balanced", "iterator_train__drop_last": True},
        {"callbacks__clip__max_norm": 0.1, "callbacks__clip__clip_value": 0.01},
        {"callbacks__clip": None, "train_split": None},
        {"optimizer__weight_decay": 0.1, "callbacks__clip__max_norm": None},
        {"optimizer": torch.optim.Adam, "optimizer__weight_decay": 0.01},
        {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "optimizer__dampening": 0.5},
        {
            "callbacks": [
                ("lr", LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5))
            ]
        },
        {"optimizer__param_groups": [("head*", {"lr": 0.1})]},
        {"mixed_precision": "bfloat16"},
    ],
    ids=lambda options: ", ".join(options),
)
def test_every_setting_means_the_same(options, captured, monkeypatch):
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(Y))
    replayed = MLPNetClassifier(**{**STILL, **options}).fit(X, Y, sample_weight=weight)
    assert replayed.training_path_ == "captured"
    monkeypatch.undo()
    plain = MLPNetClassifier(**{**STILL, **options}).fit(X, Y, sample_weight=weight)
    near = 1e-2 if "mixed_precision" in options else 5e-5
    np.testing.assert_allclose(losses(replayed), losses(plain), rtol=near)
    np.testing.assert_allclose(weights(replayed), weights(plain), atol=near)


def test_steps_whose_gradients_are_not_finite_are_skipped_and_counted(captured):
    class Spoiled(FocalLoss):
        """Finite, but the slope of a root at zero times zero is not a number."""

        def forward(self, logits, target, sample_weight=None):
            nothing = (logits - logits.detach()).abs().sqrt().sum()
            return super().forward(logits, target, sample_weight) + nothing

    Spoiled.__module__ = "sktrain.tests"
    net = MLPNetClassifier(**{**SMALL, "criterion": Spoiled, "train_split": None}).fit(X, Y)
    assert net.training_path_ == "captured"
    assert net.n_skipped_steps_ == 6 * 6
    assert torch.isfinite(weights(net)).all()


def test_warming_up_leaves_no_trace(captured, monkeypatch):
    """With dropout: the generators too are as they were, so the same numbers are drawn."""
    first = MLPNetClassifier(**SMALL).fit(X, Y)
    monkeypatch.setattr(_captured.CapturedSteps, "_capture", lambda steps: steps._without())
    monkeypatch.setattr(
        _captured.CapturedSteps, "_without",
        lambda steps: vars(steps).update(
            graph=SimpleNamespace(replay=lambda: steps.step(steps.size)), key=steps._key()
        ),
        raising=False,
    )  # fmt: skip
    second = MLPNetClassifier(**SMALL).fit(X, Y)
    assert torch.equal(weights(first), weights(second))


@pytest.mark.parametrize("precision", [False, "float16"])
def test_a_killed_training_goes_on_bit_for_bit(precision, captured, tmp_path):
    class Die(Callback):
        passing_ = ("armed",)

        def on_epoch_end(self, net, **kwargs):
            if net.epoch_ == 2 and self.armed:
                raise RuntimeError("killed")

    def fit(folder, armed):
        die = Die()
        die.armed = armed
        callbacks = [("checkpoint", TrainingCheckpoint(tmp_path / folder)), ("die", die)]
        options = {**SMALL, "mixed_precision": precision, "callbacks": callbacks}
        return MLPNetClassifier(**options).fit(X, Y)

    with pytest.raises(RuntimeError):
        fit("a", True)
    resumed, whole = fit("a", False), fit("b", False)
    assert dict(resumed.callbacks_)["checkpoint"].resumed_epochs_ == 2
    assert torch.equal(weights(resumed), weights(whole))


def test_rates_are_read_from_tensors_and_other_changes_recorded_again(captured):
    class Change(Callback):
        def on_epoch_begin(self, net, **kwargs):
            group = net.optimizer_.param_groups[0]
            group["lr"] = 0.01 / (1 + net.epoch_)
            if net.epoch_ == 3:
                group["eps"] = 1e-4
            if net.epoch_ == 4:
                net.module_.head.weight.requires_grad_(False)

    net = MLPNetClassifier(**SMALL, callbacks=[Change()]).fit(X, Y)
    assert net.training_path_ == "captured"
    assert len(captured) == 3  # dropout, weight decay and lr change every epoch
    group = net.optimizer_.param_groups[0]
    assert isinstance(group["lr"], float)
    assert group["weight_decay"] > 0
    assert not group["capturable"]


def test_one_full_batch_an_epoch_warms_up_on_that_batch(captured):
    """A card would read beyond the order of the rows; the order is as long as the rows."""
    options = {**SMALL, "batch_size": 200, "max_epochs": 24, "train_split": None}
    net = MLPNetClassifier(**options).fit(X[:250], Y[:250])
    assert net.training_path_ == "captured"


def test_divergence_names_the_batch(captured):
    net = MLPNetClassifier(**{**SMALL, "lr": 1e30, "train_split": None})
    with pytest.raises(TrainingDivergedError, match="epoch 1, batch 2"):
        net.fit(X, Y)


class Follower(Callback):
    def on_batch_end(self, net, **kwargs):
        pass


class Own(torch.nn.Module):
    def __init__(self, n_features, n_steps, n_classes):
        super().__init__()
        self.inner = torch.nn.Linear(n_features * n_steps, n_classes)

    def forward(self, X):
        return self.inner(X.flatten(1))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"callbacks": [Follower()]}, "Follower follows every batch"),
        ({"optimizer": torch.optim.RMSprop}, "RMSprop is not fused"),
        ({"gradient_checkpointing": True}, "gradient_checkpointing=True"),
        ({"module": Own}, "Own is code that may decide anew in every step"),
        ({"max_epochs": 2}, "8 full batches are fewer than the 20"),
        ({"iterator_train": torch.utils.data.DataLoader}, "batches of its own"),
        ({"batch_size": 1000, "train_split": None}, "0 full batches are fewer"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_captured_runs_plain_and_says_why(options, reason, captured):
    net = MLPNetClassifier(**{k: v for k, v in SMALL.items() if k != "module__dropout"} | options)
    net.fit(X, Y)
    assert net.training_path_.startswith("plain: ")
    assert reason in net.training_path_
    assert not captured


FLAG = StopFlag(threading.Event())


class OwnLoss(torch.nn.CrossEntropyLoss):
    pass


class OwnStep(MLPNetClassifier):
    def train_step(self, batch, **fit_params):
        return super().train_step(batch, **fit_params)


@pytest.mark.parametrize(
    ("net", "options", "rows", "reason"),
    [
        (MLPNetClassifier, {"callbacks": [("flag", FLAG)]}, 330, "StopFlag follows"),
        (MLPNetClassifier, {"callbacks": [("acc", BatchScoring("accuracy"))]}, 330, "BatchScoring"),
        (MLPNetClassifier, {"criterion": OwnLoss}, 330, "OwnLoss is code that may decide anew"),
        (OwnStep, {}, 330, "OwnStep has a train_step of its own"),
        (MLPNetClassifier, {"compile": True}, 330, "compile=True"),
        (MLPNetClassifier, {"batch_size": 128}, 100, "few rows are trained in full batches"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_reason_of_the_guide(net, options, rows, reason, captured, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    trained = net(**{**SMALL, **options}).fit(X[:rows], Y[:rows])
    assert trained.training_path_.startswith("plain: ")
    assert reason in trained.training_path_
    assert not captured


def test_clipping_unread_is_clipping():
    for scale in (0.01, 1.0, 100.0):
        for limits in ((1.0, 5.0), (None, 2.0), (0.5, None), (3.0, 1.0)):
            given = [torch.randn(4, 3) * scale, torch.randn(7) * scale]
            ours, theirs = (
                [torch.nn.Parameter(torch.zeros_like(g)) for g in given] for _ in range(2)
            )
            for weight, other, gradient in zip(ours, theirs, given, strict=True):
                weight.grad, other.grad = gradient.clone(), gradient.clone()
            norm = clip_gradients(theirs, *limits)
            gradients = [weight.grad for weight in ours]
            clip_unread(gradients, norm_of(gradients), *limits)
            assert norm == pytest.approx(float(norm_of(given)))
            for weight, other in zip(ours, theirs, strict=True):
                torch.testing.assert_close(weight.grad, other.grad)


def test_rates_of_dropout_live_in_tensors_while_they_are_held():
    layer = sktrain.EnhancedDropout(p=0.5, min_p=0.0).train()
    layer._hold("cpu")
    ones = torch.ones(20_000)
    for epoch, rate in ((0, 0.5), (50, 0.25), (100, 0.0)):
        out = layer.set_epoch(epoch, total_epochs=100)(ones)
        assert float((out == 0).double().mean()) == pytest.approx(rate, abs=0.02)
        assert float(out.max()) == pytest.approx(1 / (1 - rate))
    layer.set_epoch(0)._hold(None)
    assert "_kept" not in layer.state_dict()
    assert layer._kept is None


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (1, 1), (2, 2)])
def test_a_convolution_by_a_product_is_the_convolution(size, stride):
    layer = torch.nn.Conv1d(4, 5, size, stride=stride).double()
    ours, theirs = (torch.randn(6, 4, 11, dtype=torch.float64).requires_grad_() for _ in range(2))
    theirs.data.copy_(ours.data)
    found, expected = _by_product(layer, ours), layer(theirs)
    torch.testing.assert_close(found, expected)
    for out in (found, expected):
        out.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_compiling_once_serves_every_epoch(monkeypatch):
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    torch._dynamo.reset()
    net = MLPNetClassifier(**SMALL, compile=True, compile__backend=backend, train_split=None)
    net.fit(X, Y)
    assert len(compiled) <= 2  # one size of batch, then any


@pytest.mark.cuda
@pytest.mark.parametrize("name", NETS)
def test_a_card_replays_what_it_would_do(name):
    Net, card = getattr(sktrain, name), {**STILL, "device": "cuda"}
    replayed, again = Net(**card).fit(X, Y), Net(**card).fit(X, Y)
    plain = Net(**card, callbacks=[Follower()]).fit(X, Y)
    assert replayed.training_path_ == "captured"
    assert torch.equal(weights(replayed), weights(again))
    np.testing.assert_allclose(losses(replayed), losses(plain), rtol=1e-5)
    np.testing.assert_allclose(losses(replayed), losses(Net(**STILL).fit(X, Y)), rtol=1e-3)


@pytest.mark.cuda
@pytest.mark.parametrize("precision", [False, "bfloat16", "float16"])
@pytest.mark.parametrize("net", [MLPNetClassifier, GRUClassifier])
def test_dropout_on_a_card_is_new_in_every_step_and_the_same_for_a_seed(net, precision):
    options = {**SMALL, "device": "cuda", "mixed_precision": precision, "lr": 1e-8}
    one, two = (net(**options, module__dropout=0.5).fit(X, Y) for _ in range(2))
    assert one.training_path_ == "captured"
    assert torch.equal(weights(one), weights(two))
    batches = [row["train_loss"] for row in one.history_]
    assert len(set(batches)) == len(batches)  # weights hardly move: only dropout and order do


@pytest.mark.cuda
def test_training_on_a_card_leaves_the_callers_generators_and_flags():
    torch.cuda.manual_seed(3)
    before, flag = torch.cuda.get_rng_state(), torch.backends.cudnn.allow_tf32
    MLPNetClassifier(**{**SMALL, "device": "cuda"}).fit(X, Y)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert torch.backends.cudnn.allow_tf32 == flag
    assert not torch.backends.cudnn.deterministic


def test_clips_of_a_subclass_are_called(captured):
    class Mine(GradientClip):
        called = 0

        def on_grad_computed(self, net, named_parameters, **kwargs):
            Mine.called += 1
            return super().on_grad_computed(net, named_parameters, **kwargs)

    net = MLPNetClassifier(**SMALL, callbacks=[("mine", Mine())]).fit(X, Y)
    assert Mine.called
    assert "Mine acts on gradients" in net.training_path_

"""Nets of several members: each is the net trained alone with its seed, and they answer as one."""

import pickle

from joblib import dump, load as load_pickle
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
import torch

import sktrain
from sktrain import (
    CompressedClassifier,
    DeterministicTrainingConfig,
    EnhancedWalkForwardCV,
    LeakageValidator,
    ModelPruner,
    ModelQuantizer,
    StopFlag,
    TrainingCheckpoint,
    export_onnx,
)
from sktrain.exceptions import CorruptFileError, SktrainError, TrainingDivergedError
from sktrain.nets import _batched, _members
from sktrain.persistence._nets import rebuild

NETS = ["MLPNetClassifier", "GRUClassifier", "LSTMClassifier", "TCNClassifier"]
NETS += ["TransformerClassifier"]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 3, 4)).astype(np.float32)
X[::9, 1, 2] = np.nan
Y = np.array(["down", "flat", "up"])[
    (X[:, -1, 0] + RNG.normal(size=400) > 0).astype(int) + (X[:, -1, 1] > 1)
]
FAST = {"max_epochs": 4, "batch_size": 64, "horizon": 0, "random_state": 3, "lr": 5e-3}


def make(name="MLPNetClassifier", n_members=3, **options):
    options = {**FAST, "n_members": n_members, "module__dropout": 0.0, **options}
    return getattr(sktrain, name)(mixed_precision=False, **options)


def alone(net, k, **fit):
    """The k-th member trained as a net of its own."""
    seed = net.members_[k].random_state
    return clone(net).set_params(n_members=1, random_state=seed).fit(X, Y, **fit)


def alike(one, other, atol):
    assert len(one.history_) == len(other.history_)
    for name in ("train_loss", "valid_loss", "valid_acc", "grad_norm"):
        rows = [[row[name] for row in net.history_ if name in row] for net in (one, other)]
        np.testing.assert_allclose(*rows, atol=1e-4)
    assert one.stop_reason_ == other.stop_reason_
    assert one.posterior_.temperature == pytest.approx(other.posterior_.temperature, rel=1e-2)
    np.testing.assert_array_equal(one.replay_["key"], other.replay_["key"])
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=atol)


@pytest.fixture(scope="module")
def fitted():
    return make().fit(X, Y)


@pytest.mark.parametrize("name", NETS)
def test_a_member_is_the_net_trained_alone_with_its_seed(name):
    net = make(name, 2).fit(X, Y)
    for k in range(2):
        alike(net.members_[k], alone(net, k), 1e-5)
    each = [member.predict_proba(X) for member in net.members_]
    np.testing.assert_allclose(net.predict_proba(X), np.mean(each, axis=0), atol=1e-12)
    assert (net.predict(X) == net.classes_[np.mean(each, axis=0).argmax(1)]).all()
    assert np.abs(each[0] - each[1]).max() > 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {"train_split": None},
        {"class_sampling": "weighted", "criterion__alpha": "balanced"},
        {"callbacks__clip__max_norm": 0.02, "callbacks__clip__clip_value": 0.003},
        {"callbacks__clip": None, "callbacks__weight_decay__max": 0.3},
        {"callbacks__weight_decay": None, "optimizer__weight_decay": 0.1, "module__n_layers": 3},
        {"standardize": False, "calibration": None, "lookback": 3},
        {"max_epochs": 30, "lr": 0.05, "callbacks__early_stopping__patience": 1,
         "callbacks__early_stopping__min_epochs": 1},
    ],
    ids=lambda options: next(iter(options)),
)  # fmt: skip
def test_members_trained_as_one_program_are_those_trained_alone(options):
    weight = RNG.random(len(Y))
    net = make(**options).fit(X, Y, sample_weight=weight)
    for k in range(3):
        alike(net.members_[k], alone(net, k, sample_weight=weight), 1e-5)
    if "max_epochs" in options:  # each stopped when it would have alone
        assert len({len(member.history_) for member in net.members_}) > 1


def test_the_program_is_used_where_it_can_be(monkeypatch):
    used = []
    run = _batched._run
    monkeypatch.setattr(_batched, "_run", lambda *a: used.append(1) or run(*a))
    make().fit(X, Y)
    assert used == [1]
    for options in (
        {"callbacks": [StopFlag(lambda: False)]},
        {"criterion": torch.nn.CrossEntropyLoss},
        {"optimizer": torch.optim.SGD},
        {"gradient_checkpointing": True},
    ):
        make(n_members=2, max_epochs=1, **options).fit(X, Y)
    assert used == [1]


def test_dropout_differs_between_members_and_repeats_by_seed():
    one, two = (make(module__dropout=0.5).fit(X, Y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    other = make(module__dropout=0.5, random_state=4).fit(X, Y).predict_proba(X)
    assert np.abs(one - other).max() > 1e-3


def test_optimizer_and_weights_are_the_members_own(fitted):
    for member in fitted.members_:
        for weight in member.module_.parameters():
            assert weight.untyped_storage().nbytes() == weight.numel() * 4  # no view of others'
            assert member.optimizer_.state[weight]["exp_avg"].shape == weight.shape
    single = alone(fitted, 1)
    for mine, its in zip(fitted.members_[1].module_.parameters(), single.module_.parameters()):
        state, other = fitted.members_[1].optimizer_.state[mine], single.optimizer_.state[its]
        assert state["step"] == other["step"]
        torch.testing.assert_close(state["exp_avg_sq"], other["exp_avg_sq"], rtol=0, atol=1e-6)


def test_seeds_follow_from_random_state():
    few, many = make(n_members=2), make(n_members=8)
    assert few._seeds() == many._seeds()[:2]
    assert len(set(many._seeds())) == 8
    with DeterministicTrainingConfig(enabled=True, seed=1):
        one = make(random_state=None).fit(X, Y).predict_proba(X)
    with DeterministicTrainingConfig(enabled=True, seed=1):
        two = make(random_state=None).fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(one, two)
    drawn = make(random_state=np.random.RandomState(0)).fit(X, Y)
    assert len({member.random_state for member in drawn.members_}) == 3


@pytest.mark.parametrize("name", ["MLPNetClassifier", "GRUClassifier"])
def test_partial_fit_updates_each_member(name):
    net = make(name, 2)
    net.partial_fit(X[:200], Y[:200], classes=["down", "flat", "up"])
    singles = [
        clone(net).set_params(n_members=1, random_state=one.random_state) for one in net.members_
    ]
    before = net.members_[0].predict_proba(X)
    net.partial_fit(X[200:], Y[200:])
    for one, member in zip(singles, net.members_):
        one.partial_fit(X[:200], Y[:200], classes=["down", "flat", "up"])
        one.partial_fit(X[200:], Y[200:])
        assert member.update_.accepted == one.update_.accepted
        np.testing.assert_allclose(member.predict_proba(X), one.predict_proba(X), atol=1e-5)
    assert any(member.update_.accepted for member in net.members_)
    assert np.abs(net.members_[0].predict_proba(X) - before).max() >= 0
    with pytest.raises(SktrainError, match="n_members was changed"):
        net.set_params(n_members=3).partial_fit(X, Y)


def test_a_failed_call_leaves_all_members_as_they_were(fitted, monkeypatch):
    net = pickle.loads(pickle.dumps(fitted))
    before = net.predict_proba(X)
    with pytest.raises(SktrainError, match="infinity"):
        net.fit(np.where(X > 1, np.inf, X), Y)
    calls, real = [], type(net)._train

    def second_fails(self, *args, **kwargs):
        calls.append(self)
        if len(calls) == 2:
            raise TrainingDivergedError("no", 1)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(type(net), "_train", second_fails)
    with pytest.raises(TrainingDivergedError):
        net.partial_fit(X, Y)
    assert len(calls) == 2
    np.testing.assert_array_equal(net.predict_proba(X), before)


def test_what_the_program_cannot_do_is_trained_one_by_one(monkeypatch):
    """Gradients that are not finite: a step is skipped, or the training ends, as alone."""

    def not_finite(self):
        raise _batched._Unknown

    net = make().fit(X, Y)
    monkeypatch.setattr(_batched._Program, "_clip", not_finite)
    again = make().fit(X, Y)
    for one, other in zip(again.members_, net.members_):
        alike(one, other, 1e-5)
    with pytest.raises(TrainingDivergedError):
        make(lr=1e30, max_epochs=3, callbacks__clip=None).fit(X, Y)


def test_ctrl_c_keeps_what_was_trained(monkeypatch):
    real, seen = _batched._after, []

    def interrupted(net, epoch, *rest):
        seen.append(epoch)
        if epoch == 2:
            raise KeyboardInterrupt
        return real(net, epoch, *rest)

    monkeypatch.setattr(_batched, "_after", interrupted)
    net = make()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y)
    assert [len(member.history_) for member in net.members_] == [2, 2, 2]
    assert {member.stop_reason_ for member in net.members_} == {"interrupted"}
    assert net.predict_proba(X).shape == (400, 3)


def test_a_stop_flag_ends_the_training_of_the_rest():
    asked = []

    def flag():  # a member asks 24 times in four epochs: raised in the second epoch of the second
        asked.append(1)
        return len(asked) > 24 + 8

    net = make("GRUClassifier", callbacks=[("stop", StopFlag(flag))]).fit(X, Y)
    assert [member.random_state for member in net.members_] == net._seeds()[:2]
    assert [len(member.history_) for member in net.members_] == [4, 1]
    assert net.predict_proba(X).shape == (400, 3)


def test_checkpoints_of_members_do_not_meet(tmp_path):
    options = {"callbacks": [("checkpoint", TrainingCheckpoint(tmp_path))]}
    net = make(**options).fit(X, Y)
    again = make(**options).fit(X, Y)
    for one, other in zip(net.members_, again.members_):
        assert dict(other.callbacks_)["checkpoint"].resumed_epochs_ == FAST["max_epochs"]
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    assert len(list(tmp_path.iterdir())) == 3


def test_parameters_pass_on(fitted):
    net = pickle.loads(pickle.dumps(fitted)).set_params(replay_rows=0, lr=0.5)
    assert all("replay_" not in vars(one) and one.lr == 0.5 for one in net.members_)
    params = clone(net).get_params()
    assert (params["n_members"], params["lr"], params["replay_rows"]) == (3, 0.5, 0)
    assert "n_members=3" in repr(net)
    net.set_params(n_members=2)
    with pytest.raises(NotFittedError, match="n_members was changed"):
        net.predict(X)
    net.fit(X, Y)
    assert len(net.members_) == 2
    net.set_params(n_members=1).fit(X, Y)
    assert not hasattr(net, "members_")
    assert net.module_ is not None
    for wrong in (0, -1, 1.5, "2", None):
        with pytest.raises(ValueError, match="n_members"):
            make(n_members=wrong).fit(X, Y)


def test_warm_start_goes_on_with_each():
    net = make(warm_start=True, n_members=2).fit(X, Y)
    before = [len(member.history_) for member in net.members_]
    net.fit(X, Y)
    assert [len(one.history_) for one in net.members_] == [2 * n for n in before]


def test_history_holds_means_and_plots(fitted):
    rows = fitted.history_
    expected = [np.mean([m.history_[k]["valid_loss"] for m in fitted.members_]) for k in range(4)]
    np.testing.assert_allclose([row["valid_loss"] for row in rows], expected)
    assert [row["members"] for row in rows] == [3] * 4
    curves = sktrain.LearningCurveDisplay.from_estimator(fitted).curves["net"]
    assert len(curves) == 4


@pytest.mark.parametrize("name", ["MLPNetClassifier", "TCNClassifier"])
def test_saved_quantized_pruned_and_exported_as_one(name, tmp_path):
    net = make(name).fit(X, Y)
    expected = net.predict_proba(X)
    dump(net, tmp_path / "net.joblib")
    sktrain.save(net, tmp_path / "net.sktrain", probe=X[:20])
    sktrain.save(net, tmp_path / "whole.sktrain", optimizer=True)
    opened = [load_pickle(tmp_path / "net.joblib"), sktrain.load(tmp_path / "net.sktrain")]
    opened.append(sktrain.load(tmp_path / "whole.sktrain"))
    for one in opened:
        np.testing.assert_allclose(one.predict_proba(X), expected, atol=1e-12)
        assert [m.random_state for m in one.members_] == [m.random_state for m in net.members_]
        assert len(one.history_) == len(net.history_)
        one.partial_fit(X, Y)

    small = ModelQuantizer().quantize_model(net, X)
    assert type(small).__name__ == "QuantizedClassifier"
    np.testing.assert_allclose(small.predict_proba(X), expected, atol=0.02)
    sktrain.save(small, tmp_path / "small.sktrain")
    again = sktrain.load(tmp_path / "small.sktrain")
    np.testing.assert_array_equal(again.predict_proba(X), small.predict_proba(X))

    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(export_onnx(net, tmp_path / "net.onnx"))
    np.testing.assert_allclose(session.run(None, {"X": X})[0], expected, atol=2e-5)

    pruned = pickle.loads(pickle.dumps(net))
    assert ModelPruner(0.5).prune_model(pruned, X=X) == pytest.approx(0.5, abs=0.02)
    assert np.abs(pruned.predict_proba(X) - expected).max() < 0.3
    np.testing.assert_array_equal(net.predict_proba(X), expected)
    ModelPruner(0.4, structured=True).prune_model(pruned)
    assert pruned.predict_proba(X).shape == expected.shape
    sktrain.save(pruned, tmp_path / "pruned.sktrain")


def test_a_file_with_other_members_is_refused(fitted):
    gru = make("GRUClassifier", 2, max_epochs=1).fit(X, Y)
    two = make(n_members=2, max_epochs=1).fit(X, Y == "up")
    learned = {name: vars(fitted)[name] for name in ("lookback_", "step_features_")}
    params = fitted.get_params(deep=False)
    del params["device"]  # a file holds none
    state = {"params": params, "fitted": True, "history": []}
    state["learned"] = {**learned, "classes_inferred_": fitted.classes_}
    good = rebuild(type(fitted), {**state, "members": fitted.members_})
    np.testing.assert_array_equal(good.predict_proba(X), fitted.predict_proba(X))
    unfitted = clone(fitted.members_[0])
    for members in ([], {}, [5], [unfitted], [fitted], gru.members_, two.members_):
        with pytest.raises(CorruptFileError, match="member"):
            rebuild(type(fitted), {**state, "members": members})


def test_what_belongs_to_one_network_is_asked_of_a_member(fitted, tmp_path):
    with pytest.raises(AttributeError, match=r"3 members.*members_\[0\].module_"):
        fitted.module_  # noqa: B018 - that it has none is what is looked at
    with pytest.raises(AttributeError, match="net.module_"):
        fitted.save_params(f_params=tmp_path / "weights.pt")
    assert not hasattr(fitted, "update_")


def test_a_quantized_vote_is_the_mean_of_its_members(fitted):
    """At eight bits of the members themselves: the graph averages posteriors, nothing else."""
    each = [ModelQuantizer().quantize_model(one).predict_proba(X) for one in fitted.members_]
    found = ModelQuantizer().quantize_model(fitted).predict_proba(X)
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-5)
    whole = ModelQuantizer(activations="int8").quantize_model(fitted, X)
    np.testing.assert_allclose(whole.predict_proba(X), found, atol=0.05)
    assert whole.activations_ == "int8"


def test_members_inside_everything_that_may_hold_them():
    flat, codes = np.nan_to_num(X[:, -1]), (Y == "up").astype(int)
    net = make(n_members=2, max_epochs=2)
    model = make_pipeline(StandardScaler(), net)
    cv = EnhancedWalkForwardCV(n_splits=2, ensure_regime_coverage=False)
    one = cross_val_score(model, flat, codes, cv=cv, error_score="raise")
    assert np.isfinite(one).all()
    found = CompressedClassifier(net, sparsity=0.3, fine_tune_epochs=1).fit(flat, codes)
    assert found.predict_proba(flat).shape == (400, 2)
    report = LeakageValidator(budget="quick", verbose=0).audit(model, flat, codes, cv)
    assert report.status in ("PASS", "INCONCLUSIVE")


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["MLPNetClassifier", "GRUClassifier"])
def test_members_on_a_card(name, tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA here")
    net = make(name, 2, device="cuda").fit(X, Y)
    for k in range(2):
        alike(net.members_[k], alone(net, k), 1e-4)
    here = net.predict_proba(X)
    opened = sktrain.load(sktrain.save(net, tmp_path / "net.sktrain"))
    np.testing.assert_allclose(opened.predict_proba(X), here, atol=1e-4)
    small = ModelQuantizer().quantize_model(net, X)
    np.testing.assert_allclose(small.predict_proba(X), here, atol=0.02)
    np.testing.assert_allclose(net.set_params(device="cpu").predict_proba(X), here, atol=1e-4)
    net.partial_fit(X, Y)
    assert {str(one.module_.head.weight.device) for one in net.members_} == {"cpu"}


def test_the_order_of_scores_and_shapes(fitted):
    scores = fitted.forward(X)
    np.testing.assert_allclose(torch.softmax(scores, 1).numpy(), fitted.predict_proba(X), atol=1e-6)
    one = np.vstack([fitted.predict_proba(X[k : k + 1]) for k in range(5)])
    np.testing.assert_allclose(one, fitted.predict_proba(X)[:5], atol=1e-6)
    with pytest.raises(SktrainError, match="members_"):
        list(fitted.forward_iter(X, training=True))
    assert _members._together([m.history_ for m in fitted.members_])[0]["epoch"] == 1

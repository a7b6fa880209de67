"""Training that goes on: updates are judged, rows are replayed, failures leave nothing behind,
parameters set since count."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from skorch.callbacks import Callback
import torch

import sktrain
from sktrain import GRUClassifier, MLPNetClassifier, SlidingWindow
from sktrain.exceptions import TrainingDivergedError
from sktrain.nets._updates import _mean, _verdict
from sktrain.persistence import read_manifest

TINY = {"max_epochs": 4, "random_state": 0, "module__hidden_size": 8}


def draw(n, seed=0, feature=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    return X, np.where(X[:, feature] + rng.normal(size=n) > 0, "up", "down")


@pytest.fixture
def net():
    return MLPNetClassifier(**TINY).fit(*draw(400))


def snapshot(net):
    weights = {name: value.clone() for name, value in net.module_.state_dict().items()}
    return (
        weights,
        copy.deepcopy(net.optimizer_.state_dict()),
        [dict(row) for row in net.history_],
        sorted(vars(net)),
    )


def unchanged(net, before):
    weights, optimizer, history, names = before
    assert all(
        torch.equal(value, weights[name]) for name, value in net.module_.state_dict().items()
    )
    state = net.optimizer_.state_dict()["state"]
    assert all(
        torch.equal(torch.as_tensor(state[i][k]), torch.as_tensor(v))
        for i, row in optimizer["state"].items()
        for k, v in row.items()
    )
    assert list(net.history_) == history
    assert sorted(vars(net)) == names


# -- judging


def test_an_update_that_loses_is_refused_and_leaves_the_net_as_it_was():
    net = MLPNetClassifier(**TINY, lr=0.03).fit(*draw(400))
    before = snapshot(net)
    X, y = draw(400, 1)
    y[:280] = np.where(y[:280] == "up", "down", "up")  # and the newest rows, held back, are right
    net.set_params(lr=0.1, batch_size=32).partial_fit(X, y)
    assert not net.update_.accepted
    assert net.update_.change > net.update_.standard_error
    assert "rose" in net.update_.summary()
    before[3].append("update_")
    unchanged(net, (*before[:3], sorted(before[3])))
    net.set_params(lr=0.03).partial_fit(*draw(400, 2, feature=1))
    assert net.update_.accepted
    assert len(net.history_) == len(before[2]) + 5


def test_the_report_counts_the_rows(net):
    net.partial_fit(*draw(100, 1))
    report = net.update_
    assert (report.n_new, report.n_replayed, report.n_held_back, report.n_old) == (70, 70, 30, 80)
    assert net.validation_.valid.tolist() == list(range(70, 100))
    net.partial_fit(*draw(30, 2))
    assert (net.update_.n_new, net.update_.n_held_back, net.update_.change) == (30, 0, None)
    assert "too small" in net.validation_.reason
    net.set_params(replay_rows=0).partial_fit(*draw(30, 3))
    assert (net.update_.n_replayed, net.update_.n_old, net.update_.accepted) == (0, 0, True)
    assert "replay_" not in vars(net)


def test_the_change_is_the_loss_after_less_the_loss_before(net):
    X, y = draw(100, 1)
    present = pickle.loads(pickle.dumps(net))
    net.partial_fit(X, y)
    codes = torch.from_numpy(np.searchsorted(net.classes_, y[70:]))
    rows = torch.from_numpy(X[70:, None]).float()
    losses = [float(one.criterion_(one.module_(rows), codes).detach()) for one in (net, present)]
    assert net.update_.accepted
    assert losses[0] - losses[1] == pytest.approx(net.update_.change, abs=1e-6)


def test_mean_and_error_by_hand():
    assert _mean(np.array([1.0, 3.0]), None, 1) == pytest.approx((2.0, np.sqrt(2) / 2))
    assert _mean(np.array([1.0, 3.0]), None, 0.25)[1] == pytest.approx(np.sqrt(2))
    assert _mean(np.array([1.0, 3.0]), [3, 1], 1)[0] == 1.5
    assert _mean(None, None, 1) == (None, None)


@pytest.mark.parametrize(
    "change, error, old, accepted",
    [
        (-2, 1, 9, True),
        (2, 1, -9, False),
        (0.5, 1, -0.1, True),
        (-0.5, 1, 0.1, False),
        (None, None, 0.1, False),
        (None, None, None, True),
    ],
)
def test_verdicts(change, error, old, accepted):
    assert _verdict(change, error, old)[0] is accepted


# -- remembering


def windows_of(kept):
    return kept["steps"][kept["windows"]]


@pytest.mark.parametrize("lazy", [True, False])
def test_steps_of_windows_that_overlap_are_stored_once(lazy):
    """500 windows of 20 over 300 bars hold 10,000 steps, of which at most 300 differ."""
    X, y = draw(300)
    windows = SlidingWindow(lookback=20).fit_transform(X)
    if not lazy:
        windows = np.asarray(windows)
    net = GRUClassifier(max_epochs=1, random_state=0, horizon=0, replay_rows=300).fit(windows, y)
    kept = net.replay_
    assert len(kept["steps"]) <= 301
    assert kept["windows"].shape == (300, 20)
    np.testing.assert_array_equal(windows_of(kept), np.asarray(windows, dtype=np.float32))
    net.partial_fit(windows[-100:], y[-100:])
    assert net.update_.n_replayed == 70
    assert len(net.replay_["steps"]) <= 301


def test_rows_kept_are_rows_seen_as_given():
    X, y = draw(200)
    X[3, 1] = np.nan
    net = MLPNetClassifier(**TINY, replay_rows=1000).fit(X, y)
    kept = net.replay_
    assert {name: (value.shape, value.dtype.name) for name, value in kept.items()} == {
        "steps": ((200, 5), "float32"),
        "windows": ((200, 1), "uint8"),
        "y": ((200,), "int64"),
        "weight": ((200,), "float32"),
        "key": ((200,), "float64"),
    }
    np.testing.assert_array_equal(kept["steps"][kept["windows"][:, 0]], X.astype(np.float32))
    np.testing.assert_array_equal(net.classes_[kept["y"]], y)


def test_every_row_seen_is_kept_equally_often():
    """Three calls of 60, 30 and 30 rows into 20 places: each row with probability 1/6, whenever it
    came."""
    kept = np.zeros(120)
    X, y = draw(120)
    X[:, 4] = np.arange(120)
    rows = MLPNetClassifier(max_epochs=1, random_state=0, replay_rows=20).fit(X, y)
    for seed in range(600):
        rng = np.random.default_rng(seed)
        for i, part in enumerate((slice(0, 60), slice(60, 90), slice(90, 120))):
            read = rows.read_rows(X[part], reset=False).with_targets(
                torch.zeros(part.stop - part.start, dtype=torch.int64)
            )
            rows._remember(read, rng, again=i > 0)
        kept[windows_of(rows.replay_)[:, 0, 4].astype(int)] += 1
    error = np.sqrt(600 / 6 * 5 / 6)
    assert abs(kept - 100).max() < 4 * error
    assert abs(kept[90:].mean() - 100) < 4 * error / np.sqrt(30)


def test_what_is_kept_travels_in_files(net, tmp_path):
    sktrain.save(net, tmp_path / "net.sktrain")
    loaded = sktrain.load(tmp_path / "net.sktrain")
    for name, value in net.replay_.items():
        np.testing.assert_array_equal(loaded.replay_[name], value)
    np.testing.assert_array_equal(loaded.class_count_, net.class_count_)
    loaded.partial_fit(*draw(100, 1))
    assert loaded.update_.n_replayed == 70
    assert pickle.loads(pickle.dumps(net)).replay_.keys() == net.replay_.keys()


def test_fewer_rows_are_kept_at_once_and_none_travel_in_a_file(net, tmp_path):
    before = {name: values.copy() for name, values in net.replay_.items()}
    net.set_params(replay_rows=50)
    best = np.sort(np.argsort(before["key"])[:50])
    for name in ("y", "weight", "key"):
        np.testing.assert_array_equal(net.replay_[name], before[name][best])
    np.testing.assert_array_equal(windows_of(net.replay_), windows_of(before)[best])
    assert len(net.replay_["steps"]) <= net.replay_["windows"].size
    for k in range(2):
        (tmp_path / f"{k}").mkdir()
    sktrain.save(net, tmp_path / "0" / "net.sktrain")
    sktrain.save(net.set_params(replay_rows=0), tmp_path / "1" / "net.sktrain")
    assert "replay_" not in vars(net)
    assert "replay_" not in vars(sktrain.load(tmp_path / "1" / "net.sktrain"))
    assert "replay_" not in vars(pickle.loads(pickle.dumps(net)))
    sizes = [(tmp_path / f"{k}" / "net.sktrain").stat().st_size for k in range(2)]
    per_row = 4 * net.lookback_ * net.step_features_ + 8 + 4 + 8
    assert 0 < sizes[0] - sizes[1] < 50 * per_row + 2500


def test_a_file_for_predicting_alone_holds_no_training_rows(net, tmp_path):
    whole, small = tmp_path / "whole.sktrain", tmp_path / "small.sktrain"
    sktrain.save(net, whole)
    sktrain.save(net, small, replay_rows=False)
    assert "model.replay_" in read_manifest(small)["left_out"]
    assert "model.replay_" not in read_manifest(whole)["left_out"]
    assert whole.stat().st_size - small.stat().st_size > net.replay_["steps"].nbytes
    loaded, (X, y) = sktrain.load(small), draw(100, 1)
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))
    loaded.partial_fit(X, y)
    assert loaded.update_.n_replayed == 0
    assert len(loaded.replay_["y"]) == 100


def test_updates_repeat(net):
    one, two = pickle.loads(pickle.dumps(net)), net
    for block in (1, 2):
        one.partial_fit(*draw(100, block))
        two.partial_fit(*draw(100, block))
    np.testing.assert_array_equal(one.predict_proba(draw(50)[0]), two.predict_proba(draw(50)[0]))


# -- class weights


def test_balanced_weights_follow_running_counts():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 3)), np.repeat([0, 1, 2], 200)
    net = MLPNetClassifier(**TINY, criterion__alpha="balanced", train_split=None).fit(X, y)
    assert net.criterion_.class_weight.tolist() == [1, 1, 1]
    net.partial_fit(X[:100], np.r_[np.zeros(40), np.ones(60)].astype(int))  # no row of class 2
    assert net.class_count_.tolist() == [240, 260, 200]
    np.testing.assert_allclose(
        net.criterion_.class_weight, 700 / (3 * np.array([240, 260, 200])), rtol=1e-6
    )
    net.partial_fit(X[:100], np.r_[2, np.zeros(30), np.ones(69)].astype(int))
    np.testing.assert_allclose(
        net.criterion_.class_weight, 800 / (3 * np.array([270, 329, 201])), rtol=1e-6
    )
    first = MLPNetClassifier(**TINY, criterion__alpha="balanced").partial_fit(
        X[:50], y[:50], classes=[0, 1, 2]
    )
    assert first.criterion_.class_weight.tolist() == [1, 1, 1]


# -- failures


class Fail(Callback):
    def __init__(self, error, epoch=1, method="on_epoch_end"):
        self.error, self.epoch, self.method = error, epoch, method

    def on_epoch_begin(self, net, **kwargs):
        self.act(net, "on_epoch_begin")

    def on_epoch_end(self, net, **kwargs):
        self.act(net, "on_epoch_end")

    def act(self, net, method):
        if (net.epoch_, method) == (self.epoch, self.method):
            raise self.error


@pytest.mark.parametrize("way", ["fit", "warm", "partial_fit"])
def test_a_failure_leaves_the_net_as_it_was(net, way):
    net.set_params(callbacks=[Fail(OSError("disk full"))], warm_start=way == "warm")
    before = snapshot(net)
    with pytest.raises(OSError, match="disk full"):
        (net.partial_fit if way == "partial_fit" else net.fit)(*draw(100, 1))
    unchanged(net, before)
    net.set_params(callbacks=None).partial_fit(*draw(100, 1))


def test_a_first_fit_that_fails_leaves_nothing():
    net = MLPNetClassifier(**TINY, callbacks=[Fail(OSError("disk full"))])
    before = sorted(vars(net))
    with pytest.raises(OSError):
        net.fit(*draw(100))
    assert sorted(vars(net)) == before
    with pytest.raises(NotFittedError):
        net.predict(draw(3)[0])


class Spoil(Callback):
    """A network that breaks in one epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if net.epoch_ == self.epoch:
            with torch.no_grad():
                next(net.module_.parameters()).fill_(float("nan"))


@pytest.mark.parametrize("split", ["last", None])
def test_a_first_fit_that_diverges_late_keeps_its_best_weights(split):
    params = {**TINY, "max_epochs": 9, "train_split": split}
    net = MLPNetClassifier(**params, callbacks=[Spoil(5)])
    with pytest.warns(ConvergenceWarning, match="became nan in epoch 6"):
        net.fit(*draw(400))
    assert (net.stop_reason_, net.n_epochs_, len(net.history_)) == ("diverged", 5, 5)
    alike = MLPNetClassifier(
        **{**params, "max_epochs": 5}, callbacks__dropout=None, callbacks__weight_decay=None
    )
    assert np.isfinite(net.predict_proba(draw(50)[0])).all()
    assert net.score(*draw(400)) > alike.fit(*draw(400)).score(*draw(400)) - 0.1
    with pytest.raises(TrainingDivergedError):
        MLPNetClassifier(**params, callbacks=[Spoil(0)]).fit(*draw(400))


def test_a_block_that_diverges_leaves_the_net_as_it_was(net):
    net.set_params(callbacks=[Spoil(2)])
    before = snapshot(net)
    with pytest.raises(TrainingDivergedError):
        net.partial_fit(*draw(100, 1))
    unchanged(net, before)


def test_ctrl_c(net):
    before = snapshot(net)
    net.set_params(callbacks=[Fail(KeyboardInterrupt(), epoch=0, method="on_epoch_begin")])
    for train in (net.fit, net.partial_fit):
        with pytest.raises(KeyboardInterrupt):
            train(*draw(400, 1))
        unchanged(net, before)
    net.set_params(callbacks=[Fail(KeyboardInterrupt(), epoch=2, method="on_epoch_begin")])
    with pytest.raises(KeyboardInterrupt):
        net.fit(*draw(400, 1))
    assert (net.stop_reason_, net.n_epochs_, len(net.history_)) == ("interrupted", 2, 2)
    losses = net.history[:, "valid_loss"]
    best = MLPNetClassifier(**{**TINY, "max_epochs": int(np.argmin(losses)) + 1})
    assert min(losses) == pytest.approx(net.history[int(np.argmin(losses)), "valid_loss"])
    assert best.max_epochs <= 2
    with pytest.raises(KeyboardInterrupt):
        net.partial_fit(*draw(100, 2))
    assert net.update_.n_new == 70


# -- parameters set since


def test_a_changed_loss_or_optimizer_counts(net):
    net.set_params(criterion__gamma=0.0, optimizer__weight_decay=0.5).partial_fit(*draw(100, 1))
    assert net.criterion_.gamma == 0
    assert {group["weight_decay"] for group in net.optimizer_.param_groups} == {0.5, 0.0}


@pytest.mark.parametrize("way", ["partial_fit", "warm"])
def test_another_optimizer_counts(net, way):
    kept = snapshot(net)[0]
    net.set_params(
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.5,
        lr=1e-9,
        criterion=torch.nn.CrossEntropyLoss,
        warm_start=True,
    )
    (net.partial_fit if way == "partial_fit" else net.fit)(*draw(100, 1, feature=1))
    # the weights went on, they were not drawn anew
    for name, value in net.module_.state_dict().items():
        torch.testing.assert_close(value, kept[name], rtol=0, atol=1e-5)
    if way == "warm" or net.update_.accepted:
        assert type(net.optimizer_).__name__ == "SGD"
        assert net.optimizer_.param_groups[0]["momentum"] == 0.5
        assert type(net.criterion_).__name__ == "CrossEntropyLoss"


def test_an_unchanged_recipe_keeps_the_optimizer_going(net):
    steps = [int(row["step"]) for row in net.optimizer_.state_dict()["state"].values()]
    net.set_params(lr=1e-2, warm_start=True, max_epochs=1, train_split=None).fit(*draw(128, 1))
    after = [int(row["step"]) for row in net.optimizer_.state_dict()["state"].values()]
    assert after == [step + 1 for step in steps]
    assert {group["lr"] for group in net.optimizer_.param_groups} == {1e-2}


def test_parameter_groups_keep_their_rates():
    groups = [("none*", {"lr": 9.0}), ("head*", {"lr": 1e-5})]
    net = MLPNetClassifier(**TINY, optimizer__param_groups=groups)
    with pytest.warns(UserWarning, match="'none.' matches no parameter of the network.*head.bias"):
        net.fit(*draw(300))
    rates = [group["lr"] for group in net.optimizer_.param_groups]
    assert rates == [1e-5, 1e-3]
    net.partial_fit(*draw(100, 1))
    assert [group["lr"] for group in net.optimizer_.param_groups] == rates


@pytest.mark.parametrize(
    "changed", [{"module__hidden_size": 4}, {"standardize": False}, {"lookback": 5}]
)
def test_a_changed_network_is_refused(net, changed):
    net.set_params(**changed)
    with pytest.raises(
        ValueError, match=f"{next(iter(changed))} was changed after fit.*Call fit again"
    ):
        net.partial_fit(*draw(100, 1))


# -- whether it pays


@pytest.mark.slow
def test_updates_do_not_lose_on_stationary_blocks_and_gain_after_a_change():
    """30 seeds; the interval is of a paired mean (Student's t, 95 %)."""
    from scipy import stats

    changes = {0: [], 1: []}
    for seed in range(30):
        fitted = pickle.dumps(
            MLPNetClassifier(random_state=seed, max_epochs=40, horizon=0).fit(
                *draw(600, [seed, 0])
            )
        )
        for feature, found in changes.items():
            net, test = pickle.loads(fitted), draw(2000, [seed, 9], feature)
            before = net.score(*test)
            for block in range(1, 5):
                net.partial_fit(*draw(100, [seed, block], feature))
            found.append(net.score(*test) - before)
    half = stats.t.ppf(0.975, 29) / np.sqrt(30)
    still, changed = (np.array(found) for found in changes.values())
    # a loss would lie below with its whole interval
    assert still.mean() + half * still.std(ddof=1) > 0
    assert still.mean() > -0.003
    assert changed.mean() - half * changed.std(ddof=1) > 0.03

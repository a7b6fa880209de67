"""The nets as a user meets them: inputs, labels, independence of rows, seeds, validation, stopping,
precision, bad input."""

import copy
import pickle
import random
import threading

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback, EpochScoring
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
import torch

from sktrain import (
    BarFeatures,
    GRUClassifier,
    LSTMClassifier,
    MLPNetClassifier,
    SlidingWindow,
    TCNClassifier,
    TransformerClassifier,
)
from sktrain.datasets import make_market
from sktrain.exceptions import TrainingDivergedError, UnknownHorizonWarning
from sktrain.nets import ReduceOnPlateau, StopFlag

ALL = [GRUClassifier, LSTMClassifier, MLPNetClassifier, TCNClassifier, TransformerClassifier]
TINY = {"max_epochs": 2, "random_state": 0, "module__hidden_size": 8}


@pytest.fixture(scope="module")
def cube():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 6, 3)).astype(np.float32)
    return X, np.where(X[:, 2, 0] + X[:, 5, 1] > 0, "up", "down")


@pytest.fixture(scope="module")
def fitted(cube):
    return {net: net(**TINY).fit(*cube) for net in ALL}


@pytest.mark.parametrize("net", ALL)
def test_rows_are_independent(net, fitted, cube):
    X, _ = cube
    model = fitted[net]
    whole = model.predict_proba(X)
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-12)
    for size in (1, 7, 256):
        parts = np.concatenate(
            [model.predict_proba(X[i : i + size]) for i in range(0, 64 if size < 7 else 256, size)]
        )
        np.testing.assert_allclose(parts, whole[: len(parts)], atol=1e-6)
    loud = X.copy()
    loud[13] *= 1000
    others = np.arange(len(X)) != 13
    np.testing.assert_array_equal(model.predict_proba(loud)[others], whole[others])
    many = np.concatenate([X] * 12)
    np.testing.assert_allclose(model.predict_proba(many)[:400], whole, atol=1e-6)


@pytest.mark.parametrize("net", ALL)
def test_a_step_of_the_future_is_never_seen(net, fitted, cube):
    """Encoders read the last step; with one step less, all but the fully connected net still see
    the same past."""
    X, _ = cube
    module = copy.deepcopy(fitted[net].module_).cpu()
    if net in (GRUClassifier, LSTMClassifier, TCNClassifier):
        front = torch.from_numpy(
            np.concatenate([X[:4], 100 * np.ones((4, 2, 3), np.float32)], axis=1)
        )
        both = front, torch.cat([front[:, :6], front[:, 6:] * 0], 1)
        if hasattr(module, "layers"):
            perturbed, clean = (module.layers[0](z)[0][:, :6] for z in both)
        else:  # of the steps 1, 3, 5 and 7 the first three
            perturbed, clean = (module.blocks[0](z.transpose(1, 2), 4)[:, :, :3] for z in both)
        torch.testing.assert_close(perturbed.detach(), clean.detach())
    if net is TransformerClassifier:
        Z = torch.randn(2, 6, 8)
        Z2 = Z.clone()
        Z2[:, 4:] = 50
        torch.testing.assert_close(module.blocks[0](Z)[:, :4], module.blocks[0](Z2)[:, :4])
        torch.testing.assert_close(
            module.blocks[0](Z)[:, -1:], module.blocks[0](Z, True), rtol=1e-4, atol=1e-5
        )


def test_every_form_of_input_is_the_same_rows():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        rng.normal(size=(300, 4)), pd.date_range("2020", periods=300), columns=list("abcd")
    )
    frame.iloc[5:9, 1] = np.nan
    windows = SlidingWindow(lookback=7).fit_transform(frame)
    y = pd.Series(rng.integers(-1, 2, 300), frame.index)
    y.attrs["label_horizon"] = 2
    flat = pd.DataFrame(windows.gather().reshape(300, -1), index=frame.index)
    lazy = GRUClassifier(**TINY).fit(windows, y)
    dense = GRUClassifier(**TINY, horizon=2).fit(windows.gather(), y.to_numpy())
    table = GRUClassifier(**TINY, lookback=7).fit(flat, y)
    expected = lazy.predict_proba(windows)
    for model, form in (
        (dense, windows.gather()),
        (table, flat),
        (lazy, windows.gather()),
        (lazy, flat.to_numpy()),
        (dense, windows),
    ):
        np.testing.assert_allclose(model.predict_proba(form), expected, atol=1e-6)
    assert (lazy.n_features_in_, dense.n_features_in_, table.n_features_in_) == (4, 4, 28)
    assert list(lazy.feature_names_in_) == list("abcd")
    some = rng.permutation(300)[:50]
    np.testing.assert_allclose(lazy.predict_proba(windows[some]), expected[some], atol=1e-9)


def test_standardization_is_learned_on_the_training_rows_alone(cube):
    X, y = cube
    net = MLPNetClassifier(**TINY).fit(X, y)
    train = X[net.validation_.train].reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(net.module_.standardize.mean, train.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(net.module_.standardize.scale, 1 / train.std(axis=0), rtol=1e-5)
    perturbed = X.copy()
    perturbed[net.validation_.valid] += 1000
    again = MLPNetClassifier(**TINY).fit(perturbed, y)
    torch.testing.assert_close(
        again.module_.standardize.mean, net.module_.standardize.mean, rtol=0, atol=0
    )


@pytest.mark.parametrize(
    "labels", [[-1, 0, 1], ["buy", "hold", "sell"], [1, 2, 9], [False, True], [0.0, 1.0]]
)
def test_labels_of_any_kind(labels, cube):
    X, _ = cube
    y = np.array(labels)[np.random.default_rng(0).integers(0, len(labels), len(X))]
    net = MLPNetClassifier(**TINY).fit(X, y)
    np.testing.assert_array_equal(net.classes_, np.unique(y))
    assert net.predict(X).dtype == y.dtype
    np.testing.assert_array_equal(net.predict(X), net.classes_[net.predict_proba(X).argmax(axis=1)])


def test_the_caller_generators_stay_where_they_are(cube):
    def states():
        legacy = np.random.get_state()[1].tolist()  # noqa: NPY002
        return random.getstate(), legacy, torch.get_rng_state().tolist()

    before = states()
    GRUClassifier(max_epochs=1).fit(*cube).predict(cube[0])
    with pytest.raises(ValueError, match="infinity"):
        GRUClassifier(max_epochs=1).fit(np.full((50, 2), np.inf), np.arange(50) % 2)
    assert states() == before


@pytest.mark.parametrize("net", ALL)
def test_one_seed_one_result(net, fitted, cube):
    again = clone(fitted[net]).fit(*cube)
    torch.rand(3)
    for a, b in zip(again.module_.state_dict().values(), fitted[net].module_.state_dict().values()):
        assert torch.equal(a, b)
    other = clone(fitted[net]).set_params(random_state=1).fit(*cube)
    assert not np.array_equal(other.predict_proba(cube[0]), again.predict_proba(cube[0]))


def test_grid_search_with_two_processes_equals_one(cube):
    X, y = cube
    grid = {"module__hidden_size": [4, 8], "lr": [1e-3, 1e-2]}
    one, two = (
        GridSearchCV(MLPNetClassifier(**TINY), grid, cv=2, n_jobs=n).fit(X, y) for n in (1, 2)
    )
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_pickles_copy_everything_and_nothing_of_training(cube, fitted):
    for model in fitted.values():
        np.testing.assert_array_equal(
            pickle.loads(pickle.dumps(model)).predict_proba(cube[0]), model.predict_proba(cube[0])
        )
        assert not [name for name in vars(model) if name.startswith("_") and name != "_components"]


# -- parameters


NAMES = [
    "lr", "max_epochs", "batch_size", "module__hidden_size", "module__dropout", "criterion__gamma",
    "callbacks__clip__max_norm",
]


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 50) | st.floats(0.1, 0.9)))
def test_parameters_round_trip(params):
    net = clone(GRUClassifier().set_params(**params))
    assert {name: net.get_params()[name] for name in params} == params
    assert GRUClassifier(**params).get_params() .keys() == net.get_params().keys()


def test_a_redefined_network_is_no_longer_fitted(cube):
    X, y = cube
    net = MLPNetClassifier(**TINY).fit(X, y)
    before = net.predict_proba(X)
    np.testing.assert_array_equal(
        net.set_params(lr=0.5, max_epochs=7, module__hidden_size=8).predict_proba(X), before
    )
    net.set_params(module__hidden_size=4)
    with pytest.raises(NotFittedError, match="module__hidden_size was changed after fit"):
        net.predict(X)
    assert net.fit(X, y).module_.hidden_size == 4


def test_unknown_parameters_name_the_nearest(cube):
    with pytest.raises(ValueError, match="module__hiden_size.*Did you mean module__hidden_size"):
        GRUClassifier().set_params(module__hiden_size=3)
    with pytest.raises(ValueError, match="max_epoch.*max_epochs"):
        GRUClassifier(max_epoch=3).fit(*cube)
    with pytest.raises(
        ValueError, match="its callbacks are clip, dropout, weight_decay, early_stopping"
    ):
        GRUClassifier().set_params(callbacks__clipp__max_norm=3)
    net = GRUClassifier(lr=0.5)
    with pytest.raises(ValueError):
        net.set_params(lr=0.1, criterion__gama=3)
    assert net.get_params(deep=False)["lr"] == 0.5


def test_callbacks_are_reached_by_name(cube):
    net = MLPNetClassifier(
        **TINY, callbacks__clip=None, callbacks__early_stopping__patience=3,
        callbacks__dropout__schedule="cosine",
    ).fit(*cube)
    names = dict(net.callbacks_)
    assert set(names) == {"dropout", "weight_decay", "early_stopping"}
    assert names["early_stopping"].patience == 3
    assert net.module_.dropout.schedule == "cosine"


def test_a_callback_that_is_off_may_have_parameters(cube):
    net = MLPNetClassifier(
        **TINY, callbacks__early_stopping__patience=3, callbacks__early_stopping=None
    ).fit(*cube)
    assert "early_stopping" not in dict(net.callbacks_)


def test_a_slimmed_net_trains_on(cube):
    net = MLPNetClassifier(**TINY).fit(*cube)
    for name in ("optimizer_", "criterion_"):
        vars(net).pop(name)
    before = net.predict_proba(cube[0])
    assert not np.array_equal(net.partial_fit(*cube).predict_proba(cube[0]), before)


# -- validation


def panel(n_times=60, symbols="ABC"):
    index = pd.MultiIndex.from_product(
        [list(symbols), pd.date_range("2020", periods=n_times)], names=["symbol", "time"]
    )
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(len(index), 3)), index, columns=list("xyz"))
    y = pd.Series(rng.integers(0, 2, len(index)), index)
    y.attrs["label_horizon"] = 4
    return X, y


def test_validation_is_the_last_block_of_times_purged():
    X, y = panel()
    shuffled = np.random.default_rng(3).permutation(len(X))
    net = MLPNetClassifier(**TINY).fit(X.iloc[shuffled], y.iloc[shuffled])
    times = X.index.get_level_values(1)[shuffled]
    first = pd.Timestamp("2020-01-01") + pd.Timedelta(days=51)
    assert (times[net.validation_.valid] >= first).all()
    assert len(net.validation_.valid) == 3 * 9
    assert (times[net.validation_.train] < first - pd.Timedelta(days=4)).all()
    assert len(net.validation_.train) == 3 * 47
    assert net.validation_.n_purged == 3 * 4
    assert "12 purged" in net.validation_.summary()


def test_an_unknown_horizon_is_said():
    X, y = panel()
    with pytest.warns(UnknownHorizonWarning):
        MLPNetClassifier(**TINY).fit(X, y.to_numpy())
    MLPNetClassifier(**TINY, horizon=4).fit(X, y.to_numpy())


def test_other_ways_to_validate(cube):
    X, y = cube
    held = MLPNetClassifier(**TINY).fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert len(held.validation_.valid) == 100
    alike = MLPNetClassifier(**TINY, train_split=predefined_split(Dataset(X[300:], y[300:]))).fit(
        X[:300], y[:300]
    )
    np.testing.assert_allclose(
        alike.history[:, "valid_loss"], held.history[:, "valid_loss"], rtol=1e-6
    )
    folds = MLPNetClassifier(**TINY, train_split=ValidSplit(4)).fit(X, y)
    assert len(folds.validation_.valid) == 100
    none = MLPNetClassifier(**TINY, train_split=None).fit(X, y)
    assert "valid_loss" not in none.history[-1]
    few = MLPNetClassifier(**TINY).fit(X[:100], y[:100])
    assert few.validation_.valid is None
    assert "fewer than 20" in few.validation_.reason
    with pytest.raises(ValueError, match="X_val and y_val belong together"):
        MLPNetClassifier(**TINY).fit(X, y, X_val=X)


def test_skorch_callbacks_see_what_they_expect(cube):
    X, y = cube
    seen = []

    class Watch(Callback):
        def on_batch_end(self, net, batch=None, training=None, loss=None, y_pred=None, **kwargs):
            seen.append((training, len(batch[1]), tuple(y_pred.shape)))

    score = EpochScoring("accuracy", name="scored", lower_is_better=False)
    net = MLPNetClassifier(max_epochs=2, random_state=0, callbacks=[Watch(), ("score", score)]).fit(
        X, y
    )
    np.testing.assert_allclose(net.history[:, "scored"], net.history[:, "valid_acc"])
    assert seen[0] == (True, 128, (128, 2))
    assert seen[-1] == (False, 60, (60, 2))


# -- training on


def test_partial_fit_and_warm_start(cube):
    X, y = cube
    net = MLPNetClassifier(max_epochs=1, random_state=0)
    with pytest.raises(ValueError, match="at least 2 classes"):
        net.partial_fit(X[y == "up"], y[y == "up"])
    net.partial_fit(X[y == "up"], y[y == "up"], classes=["up", "down"])
    first = net.predict_proba(X)
    net.partial_fit(X, y)
    assert len(net.history) == 1 + 5
    assert not np.array_equal(first, net.predict_proba(X))
    with pytest.raises(ValueError, match="'side'.*not among the classes"):
        net.partial_fit(X[:2], ["up", "side"])
    with pytest.raises(ValueError, match="expecting 3 features"):
        net.partial_fit(X[:, :, :2], y)
    warm = MLPNetClassifier(max_epochs=2, random_state=0, warm_start=True).fit(X, y)
    loss = warm.history[-1, "train_loss"]
    assert warm.fit(X, y).history[-1, "train_loss"] < loss
    assert clone(warm).fit(X, y).history[-1, "train_loss"] == loss


def test_weights_count_as_repetitions(cube):
    X, y = cube[0][:40], cube[1][:40]
    w = np.random.default_rng(0).integers(0, 4, 40)
    weighted = GRUClassifier(**TINY).fit(X, y, sample_weight=w).predict_proba(X)
    repeated = GRUClassifier(**TINY).fit(X.repeat(w, axis=0), y.repeat(w)).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-6)
    ones = MLPNetClassifier(**TINY).fit(*cube, sample_weight=np.ones(400)).predict_proba(X)
    np.testing.assert_allclose(
        ones, MLPNetClassifier(**TINY).fit(*cube).predict_proba(X), atol=1e-4
    )


def test_class_sampling_balances(cube):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1000, 2)), (rng.random(1000) < 0.05).astype(int)
    plain, fair = (
        MLPNetClassifier(max_epochs=15, random_state=0, class_sampling=s, criterion__gamma=0.0)
        .fit(X, y)
        .predict_proba(X)[:, 1]
        .mean()
        for s in (None, "weighted")
    )
    assert plain < 0.15 < 0.35 < fair


def test_worker_processes_change_nothing(cube):
    X, y = cube
    alone = MLPNetClassifier(**TINY, train_split=None).fit(X, y)
    helped = MLPNetClassifier(**TINY, train_split=None, iterator_train__num_workers=1).fit(X, y)
    np.testing.assert_array_equal(alone.predict_proba(X), helped.predict_proba(X))


# -- stopping


def test_early_stopping_gives_back_the_best_weights(cube):
    X, _ = cube
    y = np.random.default_rng(5).integers(0, 2, len(X))
    net = MLPNetClassifier(
        random_state=0, lr=0.01, max_epochs=100, callbacks__early_stopping__min_epochs=1,
        callbacks__early_stopping__patience=4,
    ).fit(X, y)
    stopping = dict(net.callbacks_)["early_stopping"]
    assert net.stop_reason_ in ("patience", "overfit")
    assert net.n_epochs_ == len(net.history) < 100
    losses = net.history[:, "valid_loss"]
    assert min(losses) >= stopping.best_loss_ * (1 - 1e-4)
    rows = net.validation_.valid
    p = torch.softmax(net.forward(X[rows]), 1).numpy()[
        np.arange(len(rows)), np.searchsorted(net.classes_, y[rows])
    ]
    assert (-0.25 * (1 - p) ** 2 * np.log(p)).mean() == pytest.approx(stopping.best_loss_, rel=1e-4)


@pytest.mark.parametrize(
    "rows, params, reason",
    [
        ([(1, 1)] * 9, {"patience": 3, "min_epochs": 1}, ("patience", 4)),
        ([(1, 1)] * 9, {"patience": 3, "min_epochs": 6}, ("patience", 6)),
        ([(1, 1), (1, 9)], {"divergence_factor": 5.0}, ("diverged", 2)),
        (
            [(1, 1), (0.4, 1.1), (0.3, 1.1), (0.2, 1.1)],
            {"min_epochs": 1, "overfit_patience": 2},
            ("overfit", 3),
        ),
        ([(1 / n, 1 / n) for n in range(1, 9)], {"patience": 2, "min_epochs": 1}, (None, 8)),
    ],
)
def test_reasons_to_stop(rows, params, reason):
    from types import SimpleNamespace

    from skorch.history import History

    from sktrain import EnhancedEarlyStopping

    net = SimpleNamespace(
        history=History(), max_epochs=100, stop_reason_=None, module_=torch.nn.Linear(1, 1)
    )
    net.optimizer_ = SimpleNamespace(param_groups=[{"lr": 1.0}])
    net.request_stop = lambda why: setattr(net, "stop_reason_", why)
    stopping = EnhancedEarlyStopping(**params)
    stopping.on_train_begin(net)
    for epoch, (train, valid) in enumerate(rows):
        net.epoch_ = epoch
        net.history.new_epoch()
        net.history.record("train_loss", train)
        net.history.record("valid_loss", valid)
        stopping.on_epoch_end(net)
        if net.stop_reason_:
            break
    assert (net.stop_reason_, epoch + 1) == reason


def test_a_flag_ends_training_after_the_batch(cube):
    flag = threading.Event()

    class Raise(Callback):
        def on_batch_end(self, net, training=None, **kwargs):
            if training and net.epoch_ == 1:
                flag.set()

    net = clone(
        GRUClassifier(
            **{**TINY, "max_epochs": 9}, callbacks=[("raise", Raise()), ("stop", StopFlag(flag))]
        )
    ).fit(*cube)
    assert (net.stop_reason_, net.n_epochs_) == ("stop_flag", 1)
    assert np.isfinite(net.predict_proba(cube[0])).all()


def test_ctrl_c_is_passed_on_and_keeps_what_was_trained(cube):
    class Interrupt(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if net.epoch_ == 2:
                raise KeyboardInterrupt

    net = MLPNetClassifier(random_state=0, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        net.fit(*cube)
    assert net.stop_reason_ == "interrupted"
    assert net.n_epochs_ == 2
    assert np.isfinite(net.predict_proba(cube[0])).all()


def test_a_loss_that_explodes_is_an_error(cube):
    net = MLPNetClassifier(random_state=0, lr=1e30, train_split=None)
    with pytest.raises(TrainingDivergedError, match="epoch .*, batch .*, at lr=1e") as caught:
        net.fit(*cube)
    assert caught.value.lr == 1e30
    assert caught.value.epoch >= 1
    with pytest.raises(NotFittedError):
        net.predict(cube[0])


def test_learning_rate_falls_on_a_plateau(cube):
    X, _ = cube
    y = np.random.default_rng(5).integers(0, 2, len(X))
    net = MLPNetClassifier(
        random_state=0, lr=0.05, max_epochs=25, callbacks=[("plateau", ReduceOnPlateau(patience=2))]
    ).fit(X, y)
    assert net.optimizer_.param_groups[0]["lr"] < 0.05


# -- precision and memory


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_clips_unscaled_gradients(precision, cube):
    norms = {}
    for mode in (False, precision):
        net = LSTMClassifier(
            max_epochs=1, random_state=0, batch_size=400, train_split=None, mixed_precision=mode,
            callbacks__clip__max_norm=1e-3,
        ).fit(*cube)
        norms[mode] = net.history[-1, "grad_norm"]
        assert net.precision_ == ("float32" if mode is False else precision)
        assert all(p.dtype == torch.float32 for p in net.module_.parameters())
    # a norm taken before unscaling is 65,536 times larger
    assert norms[precision] == pytest.approx(norms[False], rel=0.1)


def test_steps_with_broken_gradients_are_left_out_and_counted(cube):
    class Break(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            if net.batch_ == 0:
                named_parameters[0][1].grad.fill_(float("nan"))

    net = MLPNetClassifier(
        max_epochs=3, random_state=0, train_split=None, callbacks=[Break()], callbacks__clip=None
    ).fit(*cube)
    assert net.n_skipped_steps_ == 3
    assert np.isfinite(net.predict_proba(cube[0])).all()


@pytest.mark.parametrize("net", ALL)
def test_gradient_checkpointing_changes_no_weight(net, cube):
    params = {**TINY, "module__n_layers": 2, "module__dropout": 0.2}
    plain = net(**params).fit(*cube)
    saved = net(**params, gradient_checkpointing=True).fit(*cube)
    for a, b in zip(plain.module_.state_dict().values(), saved.module_.state_dict().values()):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


# -- bad input


def table(n=40, f=3):
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(n, f)), columns=list("abcdef")[:f]), np.arange(n) % 2


def spoil(value, row=3, column="b"):
    X, y = table()
    X.loc[row, column] = value
    return X, y


@pytest.mark.parametrize(
    "params, data, words",
    [
        ({}, lambda: spoil(np.inf), "infinity in column 'b', row 3"),
        ({}, lambda: spoil(1e300), "too large for float32.*column 'b'"),
        ({}, lambda: (table()[0].assign(b=np.nan), table()[1]), "Column 'b' was never observed"),
        ({}, lambda: (table()[0], np.zeros(40)), "at least 2 classes"),
        ({}, lambda: (table()[0], np.r_[np.nan, np.zeros(39)]), "NaN in row 0"),
        ({}, lambda: (table()[0], np.linspace(0, 1, 40)), "Unknown label type"),
        ({}, lambda: (table()[0], np.arange(39) % 2), "inconsistent numbers"),
        ({"lookback": 2}, table, "lookback=2 does not divide the 3 columns"),
        (
            {"lookback": 4},
            lambda: (np.zeros((40, 5, 2)), table()[1]),
            "5 steps per row, but lookback=4",
        ),
        ({"lookback": 0}, table, "lookback"),
        ({"lr": 0}, table, "'lr' parameter"),
        ({"lr": float("nan")}, table, "'lr' parameter"),
        ({"max_epochs": 0}, table, "'max_epochs' parameter"),
        ({"max_epochs": True}, table, "'max_epochs' parameter"),
        (
            {"max_epochs": 501},
            table,
            "max_epochs=501 exceeds callbacks__early_stopping__max_epochs=500",
        ),
        ({"batch_size": 0}, table, "'batch_size' parameter"),
        (
            {"batch_size": 64, "iterator_train__drop_last": True},
            table,
            "40 rows are fewer than batch_size=64",
        ),
        ({"valid_fraction": 1.0}, table, "'valid_fraction' parameter"),
        (
            {"class_sampling": "even"},
            table,
            "class_sampling must be one of None, 'weighted', got 'even'",
        ),
        ({"mixed_precision": "half"}, table, "mixed_precision must be one of"),
        ({"train_split": "first"}, table, "train_split must be"),
        ({"module__dropout": 1.0}, table, r"module__dropout must be a number in \[0, 1\), got 1.0"),
        (
            {"module__hidden_size": 2.0},
            table,
            "module__hidden_size must be an integer >= 1, got 2.0",
        ),
        ({"module__n_layers": 0}, table, "module__n_layers"),
        ({"criterion__gamma": -1.0}, table, "gamma must be a number >= 0, got -1.0"),
        ({"criterion__alpha": [0.1, 0.2, 0.7]}, table, "alpha has 3 values for 2 classes"),
        (
            {"callbacks__dropout__schedule": "step"},
            table,
            "schedule must be 'linear' or 'cosine', got 'step'",
        ),
        ({"callbacks__clip__max_norm": -1}, table, "max_norm"),
        ({"callbacks__early_stopping__patience": 0}, table, "callbacks__early_stopping__patience"),
    ],
)
def test_bad_input_is_refused_before_training(params, data, words):
    net = MLPNetClassifier(**params)
    with pytest.raises(ValueError, match=words):
        net.fit(*data())
    with pytest.raises(NotFittedError):
        net.predict(table()[0])


def test_bad_input_leaves_a_fitted_net_as_it_was():
    X, y = table()
    net = MLPNetClassifier(max_epochs=2, random_state=0).fit(X, y)
    before = net.predict_proba(X)
    for bad in (spoil(np.inf), (X, np.zeros(40)), (X.iloc[:, :2], y[:39])):
        with pytest.raises(ValueError):
            net.fit(*bad)
    np.testing.assert_array_equal(net.predict_proba(X), before)
    with pytest.raises(ValueError, match="2 features"):
        net.predict(X.to_numpy()[:, :2])
    with pytest.raises(ValueError, match="feature names"):  # sklearn names them
        net.predict(X[["b", "a", "c"]])


@pytest.mark.slow
@pytest.mark.parametrize("net", ALL)
def test_learns_a_rule_that_needs_memory(net):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 12, 3)).astype(np.float32)
    y = np.where(X[:, 3, 1] > 0, "up", "down")  # nine steps back
    nets = [net(random_state=seed, lr=3e-3, max_epochs=40) for seed in range(3)]
    scores = [one.fit(X[:2000], y[:2000]).score(X[2000:], y[2000:]) for one in nets]
    assert np.mean(scores) > 0.95
    assert min(scores) > 0.94


@pytest.mark.slow
@pytest.mark.parametrize("net", ALL)
def test_recovers_the_planted_signal_of_a_market(net):
    market = make_market(12_000, signal=0.5, random_state=0)
    bars, y = market.bars[market.y.notna()], market.y[market.y.notna()]
    model = Pipeline(
        [
            ("features", BarFeatures()),
            ("window", SlidingWindow(lookback=3)),
            ("net", net(random_state=0, max_epochs=40)),
        ]
    )
    model.fit(bars[:8000], y[:8000])
    accuracy = (model.predict(bars[8000:]) == y[8000:]).mean()
    assert accuracy - market.majority_accuracy >= 0.9 * (
        market.bayes_accuracy - market.majority_accuracy
    )


@pytest.mark.slow
def test_soft_vote_of_the_four(cube):
    X, y = cube
    nets = [
        (net.__name__, net(max_epochs=3, random_state=0))
        for net in ALL
        if net is not MLPNetClassifier
    ]
    vote = VotingClassifier(nets, voting="soft").fit(X, y)
    mean = np.mean([net.predict_proba(X) for net in vote.estimators_], axis=0)
    np.testing.assert_allclose(vote.predict_proba(X), mean)

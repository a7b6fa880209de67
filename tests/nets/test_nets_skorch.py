"""skorch's own tools inside the nets: callbacks, loaders, losses, modules; and what is refused by
name."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score, make_scorer, roc_auc_score
from skorch import NeuralNetClassifier
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    InputShapeSetter,
    LRScheduler,
    ParamMapper,
    Unfreezer,
)
from skorch.dataset import Dataset
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from sktrain import EnhancedEarlyStopping, GRUClassifier, MLPNetClassifier
from sktrain.nets import ReduceOnPlateau

TINY = {"max_epochs": 3, "random_state": 0, "module__hidden_size": 8}
ROWS = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
CODES = (ROWS[:, 0] + 0.5 * ROWS[:, 1] > 0).astype(int)
LABELS = {
    "codes": CODES,
    "ints": np.where(CODES, 1, -1),
    "words": np.where(CODES, "up", "down"),
    "swapped": np.where(CODES, "a", "b"),
}


def fit(y=CODES, *callbacks, **params):
    named = [(f"cb{i}", callback) for i, callback in enumerate(callbacks)]
    return MLPNetClassifier(**{**TINY, **params}, callbacks=named).fit(ROWS, y)


# -- scores


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("cached", [True, False])
def test_scores_on_validation_rows_are_those_of_predict(labels, cached):
    y = LABELS[labels]
    positive = np.unique(y)[0]
    scorers = {
        "auc": "roc_auc",
        "f1": make_scorer(f1_score, pos_label=positive),
        "hits": lambda net, X, y: float(np.mean(net.predict(X) == y)),
        "log": "neg_log_loss",
    }
    class Last(Callback):  # the weights of the last epoch, before the best ones come back
        def on_train_end(self, net, **kwargs):
            X, y = ROWS[net.validation_.valid], net.y_[net.validation_.valid]
            values = net.predict(X), net.predict_proba(X)[:, 1]
            net.found_ = (
                f1_score(y, values[0], pos_label=positive),
                roc_auc_score(y, values[1]),
                np.mean(values[0] == y),
            )

    net = MLPNetClassifier(
        **TINY,
        callbacks=[
            *(
                (n, EpochScoring(s, lower_is_better=False, name=n, use_caching=cached))
                for n, s in scorers.items()
            ),
            ("last", Last()),
        ],
        callbacks__early_stopping=None,
    )
    net.y_ = y
    net.fit(ROWS, y)
    last = net.history[-1]
    np.testing.assert_allclose([last["f1"], last["auc"], last["hits"]], net.found_, rtol=1e-6)
    assert net.history[:, "hits"] == pytest.approx(net.history[:, "valid_acc"])
    assert {"auc_best", "f1_best"} <= last.keys()
    assert last["log"] < 0


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("on_train", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_scores_of_batches_and_of_training_rows(labels, cached, on_train, weighted):
    y = LABELS[labels]
    callbacks = [
        (
            name,
            kind(
                "accuracy", lower_is_better=False, name=name, on_train=on_train, use_caching=cached
            ),
        )
        for name, kind in (("whole", EpochScoring), ("by_batch", BatchScoring))
    ]
    net = MLPNetClassifier(
        **TINY, callbacks=callbacks, module__dropout=0.0, lr=1e-9, calibration=None
    )
    net.fit(ROWS, y, sample_weight=np.ones(len(y)) if weighted else None)
    part = net.validation_.train if on_train else net.validation_.valid
    expected = np.mean(net.predict(ROWS[part]) == y[part])
    last = net.history[-1]
    assert last["whole"] == pytest.approx(expected)
    assert last["by_batch"] == pytest.approx(expected)


def test_batches_are_in_the_history_when_a_batch_ends():
    seen = []

    class Reads(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            row = net.history[-1, "batches", -1]
            seen.append((training, row["train_loss" if training else "valid_loss"]))

    net = fit(CODES, Reads(), batch_size=64)
    n_batches = -(-len(net.validation_.train) // 64)
    assert [training for training, _ in seen[: n_batches + 1]] == [True] * n_batches + [False]
    sizes = [64] * (n_batches - 1) + [len(net.validation_.train) % 64]
    assert np.average([loss for _, loss in seen[:n_batches]], weights=sizes) == pytest.approx(
        net.history[0, "train_loss"], rel=1e-6
    )


def test_best_columns():
    net = fit(max_epochs=9, lr=0.05)
    for name, better in (("train_loss", min), ("valid_loss", min), ("valid_acc", max)):
        values = net.history[:, name]
        assert net.history[:, f"{name}_best"] == [
            i == 0 or better(values[: i + 1]) == v != better(values[:i])
            for i, v in enumerate(values)
        ]


def test_checkpoint_with_its_defaults(tmp_path):
    keep = Checkpoint(dirname=tmp_path)
    net = fit(CODES, keep, max_epochs=6, callbacks__early_stopping=None, lr=0.05)
    assert {path.name for path in tmp_path.iterdir()} == {
        "params.pt", "optimizer.pt", "criterion.pt", "history.json",
    }
    best = int(np.argmin(net.history[:, "valid_loss"])) + 1
    net.load_params(checkpoint=keep)
    again = Checkpoint(dirname=tmp_path / "again", load_best=True)
    alike = fit(CODES, again, max_epochs=6, callbacks__early_stopping=None, lr=0.05)
    # weights alone: the calibration of `net` is that of its last epoch
    np.testing.assert_array_equal(net.forward(ROWS).numpy(), alike.forward(ROWS).numpy())
    assert net.history[best - 1, "valid_loss_best"]


def test_learning_rates_by_batch_and_by_set_params():
    net = fit(
        CODES,
        LRScheduler("StepLR", step_size=1, gamma=0.5, step_every="batch"),
        batch_size=100,
        lr=1.0,
        train_split=None,
    )
    assert net.optimizer_.param_groups[0]["lr"] == 0.5**9  # three batches in three epochs
    fit(CODES, LRScheduler("ReduceLROnPlateau", monitor="train_loss", step_every="batch"))

    class Schedule(Callback):
        def on_epoch_begin(self, net, **kwargs):
            net.set_params(lr=0.1 / 2**net.epoch_)

        def on_epoch_end(self, net, **kwargs):
            net.history.record("used", net.optimizer_.param_groups[0]["lr"])

    assert fit(CODES, Schedule()).history[:, "used"] == [0.1, 0.05, 0.025]


def test_skorch_stops_clips_and_freezes():
    stopped = fit(CODES, EarlyStopping(patience=2, threshold=10.0), max_epochs=50)
    assert (stopped.stop_reason_, stopped.n_epochs_) == ("patience", 3)
    clipped = fit(
        CODES,
        GradientNormClipping(1e-12),
        callbacks__clip=None, callbacks__weight_decay=None, optimizer=torch.optim.SGD,
        train_split=None,
    )
    first = MLPNetClassifier(
        **{**TINY, "lr": 1e-30},
        callbacks__weight_decay=None,
        optimizer=torch.optim.SGD,
        train_split=None,
    ).fit(ROWS, CODES)
    for a, b in zip(clipped.module_.parameters(), first.module_.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    frozen = fit(CODES, Freezer("head*"), train_split=None, lr=0.1)
    start = dict(first.module_.named_parameters())
    for name, value in frozen.module_.named_parameters():
        assert torch.equal(value, start[name]) == name.startswith("head")


def test_a_layer_that_thaws_is_trained_by_its_newest_gradient_alone():
    """Gradients of a layer frozen at first must not pile up once it trains: its norm then stays
    that of one batch."""
    norms = []

    class Norms(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            norms.append(
                sum(
                    float(p.grad.norm())
                    for name, p in named_parameters
                    if name.startswith("head") and p.grad is not None
                )
            )

    fit(
        CODES,
        Freezer("head*"),
        Unfreezer("head*", at=3),
        Norms(),
        max_epochs=8,
        lr=1e-9,
        train_split=None,
        batch_size=300,
        module__dropout=0.0,
    )
    assert norms[:2] == [0, 0]
    np.testing.assert_allclose(norms[2:], norms[2], rtol=1e-3)
    assert norms[2] > 0
    fit(CODES, ParamMapper("head*", fn=lambda p: nn.init.zeros_(p), at=1))


# -- monitors


def test_an_accuracy_is_best_where_it_is_highest():
    stopping = EnhancedEarlyStopping(monitor="valid_acc", patience=4, min_epochs=1)
    net = MLPNetClassifier(
        random_state=0, max_epochs=40, lr=1e-2, callbacks__early_stopping=stopping
    ).fit(ROWS, CODES)
    accuracy = net.history[:, "valid_acc"]
    best = dict(net.callbacks_)["early_stopping"]
    assert accuracy[best.best_epoch_ - 1] >= max(accuracy) * (1 - 1e-3)
    assert (
        net.score(ROWS[net.validation_.valid], CODES[net.validation_.valid])
        == accuracy[best.best_epoch_ - 1]
    )


@pytest.mark.parametrize("lower, expected", [(True, 1), (False, 4)])
def test_the_direction_of_a_score_is_its_callbacks(lower, expected):
    grows = EpochScoring(lambda net, X, y: float(net.epoch_), name="grows", lower_is_better=lower)
    net = fit(CODES, grows, max_epochs=4, callbacks__early_stopping__monitor="grows")
    assert dict(net.callbacks_)["early_stopping"].best_epoch_ == expected
    rates = fit(
        CODES, grows, ReduceOnPlateau(patience=1, monitor="grows"), max_epochs=4, lr=1.0
    ).optimizer_.param_groups[0]["lr"]
    assert rates == (0.5**3 if lower else 1.0)


def test_a_column_without_direction_is_refused():
    with pytest.raises(
        ValueError, match="monitor='grad_norm': nothing says whether it should fall or rise"
    ):
        fit(callbacks__early_stopping__monitor="grad_norm")


def test_a_tiny_loss_that_wobbles_is_no_divergence():
    stopping = EnhancedEarlyStopping()
    stopping.first_, stopping.lowest_ = 0.7, 0.00027
    assert not stopping._diverged(0.0014)
    assert stopping._diverged(0.71)
    assert stopping._diverged(float("nan"))


# -- loaders, modules, losses


def test_torch_data_loader_trains_alike():
    nets = [
        MLPNetClassifier(
            max_epochs=20, lr=0.01, random_state=0, iterator_train=kind, iterator_valid=kind
        ).fit(ROWS, CODES)
        for kind in (DataLoader, MLPNetClassifier().iterator_train)
    ]
    assert nets[0].score(ROWS, CODES) == pytest.approx(nets[1].score(ROWS, CODES), abs=0.05)
    np.testing.assert_allclose(
        nets[0].predict_proba(ROWS[:20]), nets[0].predict_proba(ROWS)[:20], atol=1e-9
    )
    params = {**TINY, "train_split": None, "iterator_train__shuffle": False}
    one, two = (
        MLPNetClassifier(**params, **more).fit(ROWS, CODES, sample_weight=np.ones(300))
        for more in ({}, {"iterator_train": DataLoader})
    )
    np.testing.assert_array_equal(one.predict_proba(ROWS), two.predict_proba(ROWS))
    MLPNetClassifier(
        **TINY, iterator_train=DataLoader, class_sampling="weighted", iterator_train__num_workers=1
    ).fit(ROWS, CODES)


class Own(nn.Module):
    """A network that knows its sizes and nothing of sktrain."""

    def __init__(self, hidden=6):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def forward(self, X):
        assert X.ndim == 2
        return self.body(X)


def test_modules_of_the_users_own():
    torch.manual_seed(0)
    instance = Own(7)
    before = {name: value.clone() for name, value in instance.state_dict().items()}
    for module, hidden in (
        (Own, 6),
        (instance, 7),
        (nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 2)), 9),
    ):
        net = MLPNetClassifier(module, max_epochs=40, lr=0.05, random_state=0).fit(
            ROWS * 100 + 7, CODES
        )
        assert net.score(ROWS * 100 + 7, CODES) > 0.95
        assert any(len(weight) == hidden for weight in net.module_.parameters())
        np.testing.assert_array_equal(
            pickle.loads(pickle.dumps(net)).predict(ROWS), net.predict(ROWS)
        )
        np.testing.assert_array_equal(
            clone(net).fit(ROWS * 100 + 7, CODES).predict_proba(ROWS), net.predict_proba(ROWS)
        )
    assert all(torch.equal(value, before[name]) for name, value in instance.state_dict().items())
    wide = MLPNetClassifier(Own, module__hidden=11, max_epochs=1).fit(ROWS, CODES)
    assert wide.module_.body[0].out_features == 11
    ours = type(MLPNetClassifier(**TINY).fit(ROWS, CODES).module_)(5, 1, 2, hidden_size=9)
    assert MLPNetClassifier(ours, max_epochs=1).fit(ROWS, CODES).module_.hidden_size == 9
    wide.partial_fit(ROWS[:100], CODES[:100])


def test_nll_equals_cross_entropy():
    nll, cross = (fit(criterion=loss) for loss in (nn.NLLLoss, nn.CrossEntropyLoss))
    np.testing.assert_allclose(
        nll.history[:, "valid_loss"], cross.history[:, "valid_loss"], rtol=1e-6
    )
    np.testing.assert_allclose(nll.predict_proba(ROWS), cross.predict_proba(ROWS), rtol=1e-5)
    weighted = MLPNetClassifier(**TINY, criterion=nn.NLLLoss).fit(
        ROWS, CODES, sample_weight=np.full(300, 2.0)
    )
    np.testing.assert_allclose(
        weighted.history[:, "valid_loss"], cross.history[:, "valid_loss"], rtol=1e-4
    )


def test_datasets_of_torch():
    tensors = TensorDataset(torch.from_numpy(ROWS), torch.from_numpy(CODES))
    expected = fit().predict_proba(ROWS)
    for data in (tensors, Dataset(ROWS, CODES), Subset(tensors, range(300))):
        net = MLPNetClassifier(**TINY).fit(data)
        np.testing.assert_array_equal(net.predict_proba(data), expected)

    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, i):
            return ROWS[0], 1

    for call in (MLPNetClassifier().fit, net.predict, net.partial_fit):
        told = "X is a Items, a torch Dataset that hands out single items. Give X and y as arrays"
        with pytest.raises(ValueError, match=told):
            call(Items())


# -- refusals


class GetsLoss(MLPNetClassifier):
    def get_loss(self, *args, **kwargs):
        return 0.0


class Sums(nn.Module):
    def forward(self, X):
        return X.sum(1)


@pytest.mark.parametrize(
    "params, words",
    [
        (
            {"device": "cuda"},
            "device='cuda', but torch sees no CUDA device here. Use device='cpu'.",
        ),
        (
            {"device": "gpu"},
            "device must be 'auto' or a device of torch such as 'cpu' or 'cuda', got 'gpu'",
        ),
        ({"device": None}, "device must be 'auto' or a device of torch.*got None"),
        ({"criterion": None}, "criterion must be a loss of torch.*got None"),
        ({"criterion": nn.MSELoss}, "criterion=MSELoss compares numbers with numbers"),
        ({"criterion": nn.BCEWithLogitsLoss()}, "criterion=BCEWithLogitsLoss compares numbers"),
        ({"criterion": nn.TripletMarginLoss}, "criterion=TripletMarginLoss does not take scores"),
        (
            {"criterion": nn.CrossEntropyLoss, "criterion__reduction": "none"},
            "criterion gives 3 numbers for a batch of 3 rows",
        ),
        ({"criterion": nn.HingeEmbeddingLoss}, "criterion=HingeEmbeddingLoss does not take scores"),
        (
            {"criterion": nn.functional.cross_entropy},
            "criterion=cross_entropy does not take its defaults: missing a required argument",
        ),
        (
            {"optimizer": torch.optim.SparseAdam},
            "optimizer=SparseAdam does not take its defaults: SparseAdam does not support dense",
        ),
        (
            {"callbacks": [EpochScoring]},
            r"callbacks: .*EpochScoring'> is a class that needs arguments; give EpochScoring\(",
        ),
        ({"callbacks__clip": EpochScoring}, "callbacks__clip must be a callback or None"),
        ({"module": nn.Linear}, "module=Linear does not take its defaults: missing a required"),
        ({"module": lambda: 5}, "must make a torch Module; it made 5"),
        ({"device": "meta"}, "device='meta' holds no numbers. Use device='cpu'"),
        ({"optimizer": None}, "optimizer must be a class of torch.optim, got None"),
        (
            {"optimizer": torch.optim.LBFGS},
            "optimizer=LBFGS evaluates the loss several times a step.*Use AdamW",
        ),
        ({"callbacks": [5]}, "callbacks: 5 is neither a skorch callback nor a"),
        ({"callbacks": [("clip", Freezer("x"))]}, "callbacks: the name 'clip' is taken; .*another"),
        ({"callbacks": [("a", None), ("a", None)]}, "callbacks: the name 'a' is taken"),
        ({"callbacks": 5}, "callbacks must be a list of callbacks.*got 5"),
        ({"callbacks": [("a", "b")]}, r"callbacks: \('a', 'b'\) is neither"),
        (
            {"iterator_train": "x"},
            "iterator_train must be a class like torch's DataLoader, got 'x'",
        ),
        ({"iterator_valid": None}, "iterator_valid must be a class"),
        (
            {"iterator_valid__shuffle": True},
            "iterator_valid__shuffle=True would change the order or number of predicted rows",
        ),
        ({"iterator_valid__drop_last": True}, "iterator_valid__drop_last"),
        ({"module": 5}, "module must be a torch Module, its class or None, got 5"),
        ({"optimizer__betas": 3}, "optimizer=AdamW does not take optimizer__betas=3: 'int' object"),
        ({"optimizer__lr": "x"}, "optimizer=AdamW does not take optimizer__lr='x'"),
        (
            {"optimizer__param_groups": 5},
            "param_groups must be a list of .pattern, dict of settings",
        ),
        (
            {"criterion": nn.CrossEntropyLoss, "criterion__weight": [1, 2]},
            r"criterion=CrossEntropyLoss does not take criterion__weight=\[1, 2\]: cannot assign",
        ),
        (
            {"callbacks": [InputShapeSetter()]},
            "InputShapeSetter sets sizes that these nets take from",
        ),
        ({"callbacks__dropout": 5}, "callbacks__dropout must be a callback or None, got 5"),
        ({"iterator_train__batch_size": "x"}, "batch_size must be an integer >= 1, got 'x'"),
        ({"iterator_train__sampler": 5}, "sampler must be an iterable of row numbers"),
        ({"iterator_train__num_workers": -1}, "num_workers must be an integer >= 0, got -1"),
        (
            {"iterator_train": DataLoader, "iterator_train__num_workers": -1},
            "iterator_train__num_workers must be an integer >= 0, got -1",
        ),
        ({"module": nn.Linear(4, 2)}, "module does not take rows of 1 steps and 5 features"),
        (
            {"module": nn.Linear(5, 3)},
            r"module gives scores of shape \(2, 3\) for 2 rows and 2 classes",
        ),
        ({"module": Sums()}, r"module gives scores of shape \(2,\)"),
    ],
)
def test_components_that_cannot_work_are_refused_by_name(params, words):
    if params.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is CUDA here")
    net = MLPNetClassifier(**params)
    before = sorted(vars(net))
    with pytest.raises(ValueError, match=words):
        net.fit(ROWS, CODES)
    assert sorted(vars(net)) == before
    repr(net)
    fitted = MLPNetClassifier(**TINY).fit(ROWS, CODES)
    expected = fitted.predict_proba(ROWS)
    if "module" not in params:
        with pytest.raises(ValueError, match=words):
            fitted.set_params(**params).partial_fit(ROWS[:100], CODES[:100])
        if not {"device", "iterator_valid"} & {name.split("__")[0] for name in params}:
            np.testing.assert_array_equal(fitted.predict_proba(ROWS), expected)


def test_predictions_keep_the_order_of_rows():
    net = GRUClassifier(**TINY).fit(ROWS, CODES).set_params(iterator_valid__shuffle=True)
    with pytest.raises(ValueError, match="iterator_valid__shuffle=True"):
        net.predict_proba(ROWS)


def test_asking_before_fit():
    for ask in ("forward", "predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(MLPNetClassifier(), ask)(ROWS)


def test_an_override_that_would_never_be_called_is_refused():
    with pytest.raises(
        ValueError, match="GetsLoss overrides get_loss, which sktrain's nets never call"
    ):
        GetsLoss().fit(ROWS, CODES)


def test_a_network_is_not_exchanged_under_way():
    class Swap(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.set_params(module__hidden_size=3)

    with pytest.raises(ValueError, match="module__hidden_size cannot change while the net trains"):
        fit(CODES, Swap())


def test_what_skorch_users_may_no_longer_override_is_listed():
    from pathlib import Path

    import sktrain
    from sktrain.nets._components import UNCALLED

    theirs = {
        name
        for kind in NeuralNetClassifier.__mro__
        if kind.__module__.startswith("skorch")
        for name in vars(kind)
    }
    mine = {
        name
        for kind in MLPNetClassifier.__mro__
        if kind.__module__.startswith("sktrain")
        for name in vars(kind)
    }
    generated = {"__module__", "__doc__", "__dict__", "__weakref__", "set_score_request"}
    overrides = (mine & theirs) - generated
    page = Path(sktrain.__file__).parents[1] / "docs" / "nets.md"
    listed = {
        word
        for line in page.read_text()
        .split("## Differences from skorch")[1]
        .split("\n## ")[0]
        .splitlines()
        if line.startswith("|")
        for word in line.split("`")[1::2]
    }
    assert overrides | set(UNCALLED) <= listed
    assert len(overrides) < 37


def test_a_hook_put_on_one_callback_alone_is_called():
    callback, epochs = Callback(), []
    callback.on_epoch_end = lambda net, **kwargs: epochs.append(len(net.history))
    fit(CODES, callback)
    assert epochs == [1, 2, 3]

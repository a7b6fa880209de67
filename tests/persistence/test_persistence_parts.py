"""Nets' state, horizons and probe rows, each asked alone: what is kept, found and refused."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
import torch

from sktrain import DriftGuard, MLPNetClassifier, SlidingWindow, StopFlag
from sktrain.exceptions import CorruptFileError, PersistenceError
from sktrain.persistence import _facts, _nets, _probes
from sktrain.persistence._encoder import Encoder

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)
SMALL = {"max_epochs": 1, "random_state": 0, "horizon": 0, "module__hidden_size": 4}


@pytest.fixture(scope="module")
def net():
    return MLPNetClassifier(**SMALL).fit(X, Y)


# Nets


def state(net, encoder=None):
    return _nets.state_of(net, "model", encoder or Encoder())


def test_a_net_is_its_parameters_and_what_it_learned(net):
    encoder = Encoder()
    told = state(net, encoder)
    assert told["fitted"] is True
    assert "device" not in told["params"]
    assert "validation_" not in told["learned"]
    assert {"n_features_in_", "classes_inferred_", "lookback_"} <= set(told["learned"])
    assert set(told["weights"]) == set(net.module_.state_dict())
    assert [row["epoch"] for row in told["history"]] == [1]
    assert not any("batches" in row for row in told["history"])
    assert "optimizer" not in told
    assert sorted(encoder.left) == ["model.optimizer_", "model.validation_"]
    kept = state(net, Encoder(optimizer=True))["optimizer"]
    assert kept.keys() == net.optimizer_.state_dict().keys()
    unfitted = state(MLPNetClassifier(**SMALL))
    assert unfitted.keys() == {"params", "fitted"}
    assert unfitted["fitted"] is False


def test_where_a_net_lives_is_noticed(net):
    for device, away in (("cpu", False), ("cuda", True), ("cuda:1", True), ("mps", True)):
        encoder, one = Encoder(), copy.copy(net)
        assert encoder.elsewhere is False
        one.device = device
        encoder.encode([MLPNetClassifier(), one, LogisticRegression()])
        assert encoder.elsewhere is away


def test_a_network_of_its_own_is_refused():
    with pytest.raises(PersistenceError, match="network of its own"):
        state(MLPNetClassifier(module=torch.nn.Linear))


def test_a_net_is_rebuilt_without_its_first_weights(net):
    told = state(net)
    opened = _nets.rebuild(MLPNetClassifier, told)
    np.testing.assert_array_equal(opened.predict_proba(X), net.predict_proba(X))
    assert opened.initialized_
    assert not opened.module_.training
    assert len(opened.history_) == 1
    for change, said in (
        ({"learned": {**told["learned"], "_private_": 1}}, "names that none has"),
        ({"learned": {**told["learned"], "fit": 1}}, "names that none has"),
        ({"learned": {**told["learned"], 3: 1}}, "names that none has"),
        ({"weights": dict(list(told["weights"].items())[1:])}, "do not fit"),
        ({"members": []}, "has none"),
        ({"members": "ab"}, "has none"),
        ({"members": [net, net]}, "one twice"),
    ):
        with pytest.raises(CorruptFileError, match=said):
            _nets.rebuild(MLPNetClassifier, {**told, **change})
    alone = _nets.rebuild(MLPNetClassifier, {**told, "members": [net]})
    np.testing.assert_allclose(alone.predict_proba(X), net.predict_proba(X), atol=1e-6)
    other = {**told["learned"], "module_": "another"}  # made anew, whatever a file says
    assert _nets.rebuild(MLPNetClassifier, {**told, "learned": other}).module_ != "another"


def test_members_of_a_net_take_the_same_rows(net):
    told, other = state(net), copy.deepcopy(net)
    told["params"] = {**told["params"], "n_members": 2}
    opened = _nets.rebuild(MLPNetClassifier, {**told, "members": [net, other]})
    np.testing.assert_allclose(opened.predict_proba(X), net.predict_proba(X), atol=1e-6)
    for name, value in (
        ("lookback_", 99), ("step_features_", 99), ("classes_inferred_", np.array([0, 5])),
    ):  # fmt: skip
        other = copy.deepcopy(net)
        setattr(other, name, value)
        with pytest.raises(CorruptFileError, match="different rows"):
            _nets.rebuild(MLPNetClassifier, {**told, "members": [net, other]})
    for foreign in (MLPNetClassifier(**SMALL), LogisticRegression(), object()):
        with pytest.raises(CorruptFileError, match="no such net"):
            _nets.rebuild(MLPNetClassifier, {**told, "members": [net, foreign]})
    three = [net, copy.deepcopy(net), copy.deepcopy(net)]
    with pytest.raises(CorruptFileError, match="holds 3"):
        _nets.rebuild(MLPNetClassifier, {**told, "members": three})


def test_sizes_of_a_net_are_those_its_weights_can_have():
    def check(**sizes):
        made = SimpleNamespace(get_params_for=lambda prefix: sizes)
        _nets._check_sizes(made, {"a": np.zeros((2, 3)), "b": np.zeros(4)})

    check(hidden_size=65_536 + 10, n_layers=2, dropout=0.0, bias=True, word="x")
    check(hidden_size=0, n_layers=0)
    for sizes in (
        {"hidden_size": 65_536 + 11}, {"hidden_size": -1}, {"n_layers": 3}, {"n_layers": -1},
        {"dropout": math.nan}, {"dropout": math.inf},
    ):  # fmt: skip
        with pytest.raises(CorruptFileError, match="a net has"):
            check(**sizes)


def test_double_precision_is_kept(net):
    double = copy.deepcopy(net)
    double.module_.double()
    opened = _nets.rebuild(MLPNetClassifier, state(double))
    kinds = {name: value.dtype for name, value in opened.module_.state_dict().items()}
    assert kinds == {name: value.dtype for name, value in double.module_.state_dict().items()}
    single = _nets.rebuild(MLPNetClassifier, state(net))
    assert next(single.module_.parameters()).dtype == torch.float32


def test_weights_of_classes_come_back_with_the_loss():
    from sktrain import FocalLoss

    told = {"class_weight": np.array([0.5, 2.0], dtype="f4")}
    loss = FocalLoss(alpha="balanced")
    _nets._put_loss(loss, told)
    assert loss.class_weight.tolist() == [0.5, 2.0]
    _nets._put_loss(loss, {"class_weight": np.array([1.0, 2.0, 3.0])})
    assert loss.class_weight.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(RuntimeError, match="Unexpected"):
        _nets._put_loss(loss, {**told, "other": np.ones(1)})


def test_callbacks_of_a_machine_or_that_no_file_can_hold_are_left_out():
    encoder = Encoder()
    assert _nets._portable(0.5, encoder)
    assert not _nets._portable(object(), encoder)
    assert not _nets._portable(StopFlag(None), encoder)
    callbacks = [("mine", object()), ("stop", StopFlag(None)), ("kept", None)]
    params = {"callbacks": callbacks, "callbacks__mine__x": 1, "callbacks__kept": 2, "lr": 3}
    params |= {"callbacks__other": object(), "train_split": object()}
    kept = _nets._kept_params(params, "model", encoder)
    assert kept == {"callbacks": [("kept", None)], "callbacks__kept": 2, "lr": 3}
    assert encoder.left == [
        "model.callbacks__mine", "model.callbacks__other", "model.callbacks__stop",
        "model.train_split",
    ]  # fmt: skip
    assert _nets._kept_params({"callbacks": [StopFlag(None)]}, "m", Encoder()) == {
        "callbacks": None
    }


# Horizons


def test_a_horizon_is_found_wherever_it_was_told():
    told = MLPNetClassifier(horizon=4)
    bare = LogisticRegression()
    searched = GridSearchCV(bare, {})
    searched.best_estimator_ = told
    grown = SimpleNamespace(estimators_=[bare, told], estimators=None)
    for model, expected in (
        (told, 4),
        (SimpleNamespace(horizon=0), 0),
        (SimpleNamespace(horizon=pd.Timedelta("2h")), "0 days 02:00:00"),
        (SimpleNamespace(label_horizon_=7), 7),
        (SimpleNamespace(label_horizon_=7, estimator=told), 7),
        (Pipeline([("a", told), ("b", bare)]), None),
        (Pipeline([("a", bare), ("b", told)]), 4),
        (Pipeline([("a", "passthrough"), ("b", "passthrough")]), None),
        (searched, 4),
        (grown, 4),
        (SimpleNamespace(estimator_=told, estimator=MLPNetClassifier(horizon=9)), 4),
        (VotingClassifier([("a", "drop"), ("b", told)]), 4),
        (SimpleNamespace(estimators=[None, ("b", None)]), None),
    ):
        found = _facts.horizon_of(model)
        if isinstance(expected, str):
            assert pd.Timedelta(found) == pd.Timedelta(expected)
        else:
            assert found == expected


def test_types_are_of_the_first_rows_that_have_any():
    frame = pd.DataFrame({"a": [1.0], 2: [1]})
    assert _facts.dtypes_of(None, frame, X) == {"a": "float64", "2": "int64"}
    assert _facts.dtypes_of(X, frame) == "float64"
    assert _facts.dtypes_of([[1]], frame["a"]) == "float64"
    assert _facts.dtypes_of(None, [1]) is None


# Probe rows


def test_few_rows_of_bounded_estimators_are_replayed(monkeypatch):
    model = LogisticRegression().fit(X, Y)
    assert _probes.replayable(model, np.zeros((4096, 3))) is None
    assert "too many" in _probes.replayable(model, np.zeros((4097, 1)))
    assert _probes.replayable(model, np.zeros((1024, 1024))) is None
    assert "too many" in _probes.replayable(model, np.zeros((1024, 1025)))
    assert "too many" in _probes.replayable(model, [[1.0]])
    scaled = Pipeline([("scale", FunctionTransformer()), ("line", model)])
    assert _probes.replayable(scaled, X) == "FunctionTransformer is not replayed"


@pytest.mark.parametrize("size", [10_001, -10_001, 1e300, [1, 10_001]])
def test_estimators_of_great_sizes_are_not_replayed(net, size):
    for model, name in ((SlidingWindow(), "lookback"), (net, "lookback_"), (net, "lookback")):
        model = copy.deepcopy(model)
        setattr(model, name, size)
        assert f"{name}={size!r}" in _probes.replayable(model, X)


@pytest.mark.parametrize("size", [10_000, -10_000, [1, 10_000], "20_000", None])
def test_estimators_of_allowed_sizes_are_replayed(net, size):
    window = SlidingWindow()
    window.lookback = size
    assert _probes.replayable(window, X) is None
    seeded = copy.deepcopy(net)
    seeded.random_state, seeded.max_epochs, seeded.n_rows_ = 2**40, 10**6, 10**9
    assert _probes.replayable(seeded, X) is None


def test_recipes_that_do_not_predict_do_not_count():
    reader = FunctionTransformer()
    guard = DriftGuard(reader)
    guard.estimator_ = LogisticRegression().fit(X, Y)
    assert _probes.replayable(guard, X) is None
    guard.estimator_ = make_pipeline(FunctionTransformer(), LogisticRegression())
    assert "FunctionTransformer" in _probes.replayable(guard, X)
    voted = VotingClassifier([("a", LogisticRegression())]).fit(X, Y)
    voted.estimators = [("a", reader)]
    assert _probes.replayable(voted, X) is None
    frozen = FrozenEstimator(reader)
    frozen.estimator_ = None
    assert "FunctionTransformer" in _probes.replayable(frozen, X)


def test_a_parameter_is_a_recipe_where_something_was_fitted_from_it():
    fitted = {"estimator": 1, "estimator_": 2, "estimators": 3, "estimators_": 4, "base": 5}
    for name in ("Alpha", "Voting"):
        owner = type(name, (), fitted)()
        assert _probes._is_recipe(owner, "estimator")
        assert _probes._is_recipe(owner, "estimators")
        for acting in ("estimator_", "estimators_", "base"):
            assert not _probes._is_recipe(owner, acting)
    frozen = type("FrozenEstimator", (), fitted)()
    for owner in (frozen, Pipeline([]), FeatureUnion([])):
        vars(owner).update(fitted)
        assert not _probes._is_recipe(owner, "estimator")


def test_predictions_are_alike_within_a_hundred_thousandth():
    one = np.array([0.0, 0.5, 1000.0])
    assert _probes.same(one, one + [0.9e-5, 1.4e-5, 0.9e-2])
    for off in ([1.1e-5, 0, 0], [0, 1.6e-5, 0], [0, 0, 1.1e-2]):
        assert not _probes.same(one + off, one)
    assert _probes.same(np.array([np.nan]), np.array([np.nan]))
    assert not _probes.same(one[:2], one)
    assert not _probes.same(one[None], one)
    assert _probes.same(np.array(["a", "b"]), np.array(["a", "b"]))
    assert not _probes.same(np.array(["a", "b"]), np.array(["a", "c"]))


def test_probabilities_come_before_labels_and_labels_before_transformed_rows():
    line = LinearRegression().fit(X, Y)
    model = LogisticRegression().fit(X, Y)
    scale = StandardScaler().fit(X)
    np.testing.assert_array_equal(_probes.predict(model, X), model.predict_proba(X))
    np.testing.assert_array_equal(_probes.predict(line, X), line.predict(X))
    np.testing.assert_array_equal(_probes.predict(scale, X), scale.transform(X))


def remembering(tail, lookback=100, **others):
    return SimpleNamespace(tail_=tail, lookback_=lookback, **others)


def test_bars_of_training_are_probed_at_the_times_that_follow():
    times = pd.date_range("2020-01-01", periods=20, freq="h", name="time")
    bars = pd.DataFrame({"a": np.arange(20.0), "b": 1.0}, times)
    rows = _probes.remembered(remembering(bars))
    assert rows["a"].tolist() == list(range(12, 20))
    assert list(rows.index) == list(pd.date_range("2020-01-01 20:00", periods=8, freq="h"))
    assert rows.index.name == "time"
    early = _probes.remembered(remembering(bars, lookback=10))  # later bars were not trained on
    assert early["a"].tolist() == list(range(2, 10))
    assert early.index[0] == times[10]
    two = _probes.remembered(remembering(bars, lookback=1))
    assert two["a"].tolist() == [0, 1]
    panel = pd.concat({"A": bars + 100, "B": bars}, names=["symbol", "time"])
    found = _probes.remembered(remembering(panel))
    assert found["a"].tolist() == list(range(12, 20))
    assert found.index.names == ["symbol", "time"]
    assert set(found.index.get_level_values(0)) == {"B"}
    assert list(found.index.get_level_values(1)) == list(rows.index)
    for nothing in (
        None, bars.to_numpy(), bars[[]], bars.iloc[:1], bars.reset_index(drop=True),
    ):  # fmt: skip
        assert _probes.remembered(remembering(nothing)) is None


def test_bars_get_the_names_that_fit_saw():
    times = pd.date_range("2020-01-01", periods=9)
    unnamed = pd.DataFrame(np.ones((9, 2)), times)
    found = _probes.remembered(remembering(unnamed, feature_names_in_=np.array(["x", "y"])))
    assert list(found.columns) == ["x", "y"]
    for names in ((), np.array(["x"])):
        kept = _probes.remembered(remembering(unnamed, feature_names_in_=names))
        assert list(kept.columns) == [0, 1]
    named = unnamed.set_axis(["p", "q"], axis=1)
    kept = _probes.remembered(remembering(named, feature_names_in_=np.array(["x", "y"])))
    assert list(kept.columns) == ["p", "q"]
    wide, narrow = remembering(named), remembering(named[["p"]])
    for parts in ([wide, narrow], [narrow, wide]):
        union = SimpleNamespace(transformer_list=[(str(k), part) for k, part in enumerate(parts)])
        assert list(_probes.remembered(union).columns) == ["p", "q"]


def test_rows_are_tried_of_the_width_that_was_seen():
    forest = RandomForestClassifier(2, random_state=0).fit(X, np.where(Y, "a", "b"))
    found = _probes.tried(forest)
    assert found["X"].shape == (8, 3)
    np.testing.assert_array_equal(found["expected"], forest.predict_proba(found["X"]))
    again = _probes.tried(forest)
    np.testing.assert_array_equal(again["X"], found["X"])

    class Says:
        n_features_in_ = 2

        def __init__(self, answer):
            self.answer = answer

        def predict(self, rows):
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    for good in (["a"] * 8, [True] * 8, [1] * 8, [[0.5, 0.5]] * 8):
        assert _probes.tried(Says(np.array(good))) is not None
    assert _probes.tried(Says(np.array(["a"] * 8, dtype=object))) is not None
    for bad in (np.array(["a", 1] * 4, dtype=object), np.ones(7), np.array(1.0), ValueError("x")):
        assert _probes.tried(Says(bad)) is None
    assert _probes.tried(object()) is None


def test_a_compressed_classifier_alone_is_asked_as_its_model():
    for name, inner in (("CompressedClassifier", 1), ("Bagging", None), ("Voting", None)):
        assert _probes._wrapped(type(name, (), {"model_": 1})()) == inner
    assert _probes._wrapped(type("CompressedClassifier", (), {})()) is None


def test_the_step_that_answers_and_the_steps_that_rows_enter():
    first, last = StandardScaler().fit(X), LogisticRegression()
    pipe = Pipeline([("none", "passthrough"), ("first", first), ("last", last)])
    nested = Pipeline([("inner", pipe), ("more", FrozenEstimator(Pipeline([("last", last)])))])
    assert _probes.last_step(pipe) is last
    assert _probes.last_step(nested) is last
    assert _probes.last_step(last) is last
    assert _probes._input_parts(nested) == [first]
    assert _probes._input_parts(FeatureUnion([("a", pipe), ("b", last)])) == [first, last]
    assert _probes._input_parts(None) == _probes._input_parts("drop") == []
    assert _probes._input_parts(Pipeline([("none", "passthrough")])) == []

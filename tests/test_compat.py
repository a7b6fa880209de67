"""The original's names: those that adapt, those renamed, and files that name old homes."""

from inspect import signature
import pickle

import numpy as np
import pytest

import sktrain
from sktrain import (
    CombinatorialPurgedCV,
    EnhancedWalkForwardCV,
    MLPNetClassifier,
    OptunaSearchCV,
    TemporalSplitter,
    WeightDecayScheduler,
    compat,
)
from sktrain.datasets import load_sp500
from sktrain.exceptions import SktrainError


def test_the_adapting_names_come_from_the_top():
    assert [getattr(sktrain, name) for name in compat.__all__] == [
        getattr(compat, name) for name in compat.__all__
    ]


def test_a_renamed_class_is_told():
    with pytest.raises(ImportError, match="it is called EnhancedWalkForwardCV"):
        from sktrain import EnhancedWalkForwardValidator  # noqa: F401
    with pytest.raises(AttributeError, match="it is called EnhancedWalkForwardCV"):
        sktrain.EnhancedWalkForwardValidator  # noqa: B018
    assert not hasattr(sktrain, "EnhancedWalkForwardValidator")


@pytest.mark.parametrize(
    "make, name, said",
    [
        (EnhancedWalkForwardCV, "n_folds", "n_splits"),
        (EnhancedWalkForwardCV, "gap", "horizon.*embargo_bars"),
        (EnhancedWalkForwardCV, "train_size", "max_train_size"),
        (EnhancedWalkForwardCV, "samples_info_sets", "label_end_times"),
        (TemporalSplitter, "n_splits", "EnhancedWalkForwardCV"),
        (TemporalSplitter, "test_size", "test_ratio"),
        (CombinatorialPurgedCV, "n_folds", "n_blocks"),
        (CombinatorialPurgedCV, "n_test_folds", "n_test_blocks"),
        (CombinatorialPurgedCV, "purged_size", "horizon"),
        (CombinatorialPurgedCV, "embargo_size", "embargo_bars"),
        (OptunaSearchCV, "n_iter", "n_trials"),
        (OptunaSearchCV, "param_grid", "param_distributions"),
    ],
)
def test_a_renamed_parameter_is_told(make, name, said):
    with pytest.raises(TypeError, match=f"^{make.__name__} takes no {name}: .*{said}"):
        make(**{name: 3})
    assert name not in signature(make).parameters


@pytest.mark.parametrize("method", ["split", "summary", "get_n_splits", "three_way", "paths"])
@pytest.mark.parametrize(
    "cv", [EnhancedWalkForwardCV(), TemporalSplitter(), CombinatorialPurgedCV()], ids=repr
)
def test_the_arguments_of_the_originals_split_are_told(cv, method):
    if not hasattr(cv, method):
        return
    said = f"{type(cv).__name__}.{method} takes no horizon: .*constructor.*three_way.*folds; and "
    with pytest.raises(TypeError, match=said + "takes no feature_lookback: .*history"):
        getattr(cv, method)(load_sp500().iloc[:400], horizon=3, feature_lookback=60)
    with pytest.raises(TypeError, match="takes no df: the rows come first, as X"):
        getattr(cv, method)(df=load_sp500().iloc[:400])


def test_arguments_of_folds_of_frames_are_told():
    cv, bars = EnhancedWalkForwardCV(), load_sp500().iloc[:400]
    with pytest.raises(TypeError, match="generate_folds takes no n_folds: .*constructor n_splits"):
        cv.generate_folds(bars, n_folds=3)
    with pytest.raises(TypeError, match="generate_folds takes no df: .*bars"):
        cv.generate_folds(df=bars, horizon=3)


def test_a_net_pickled_with_a_scheduler_at_its_old_place_opens(monkeypatch):
    X = np.random.default_rng(0).normal(size=(60, 3))
    net = MLPNetClassifier(max_epochs=1, train_split=None).fit(X, X[:, 0] > 0)
    decay = dict(net.callbacks_)["weight_decay"]
    decay.scheduler_ = WeightDecayScheduler()
    monkeypatch.setattr(WeightDecayScheduler, "__module__", "sktrain.nets._callbacks")
    old = pickle.dumps(net)
    assert b"sktrain.compat" not in old
    opened = pickle.loads(old)
    np.testing.assert_array_equal(opened.predict_proba(X), net.predict_proba(X))
    assert type(dict(opened.callbacks_)["weight_decay"].scheduler_) is WeightDecayScheduler


def test_decay_in_a_net_is_that_of_the_scheduler():
    X = np.random.default_rng(0).normal(size=(60, 3))
    seen = []

    class Watch(sktrain.WeightDecaySchedule):
        def on_epoch_begin(self, net, **kwargs):
            super().on_epoch_begin(net, **kwargs)
            seen.append(max(group["weight_decay"] for group in net.optimizer_.param_groups))

    net = MLPNetClassifier(max_epochs=4, train_split=None, callbacks__weight_decay=Watch())
    net.fit(X, X[:, 0] > 0)
    decay = WeightDecayScheduler()
    assert seen == [decay.get_weight_decay(epoch, total_epochs=3) for epoch in range(4)]


@pytest.mark.parametrize("name", ["base", "max"])
def test_a_decay_that_makes_no_sense_is_named_as_it_was_given(name):
    net = MLPNetClassifier(**{f"callbacks__weight_decay__{name}": -1.0})
    with pytest.raises(SktrainError, match=f"callbacks__weight_decay__{name} must be"):
        net.fit(np.zeros((8, 2)), [0, 1] * 4)

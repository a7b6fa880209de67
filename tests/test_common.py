"""scikit-learn's own checks over every public estimator, discovered; one table of exceptions, each with its reason."""

from inspect import isclass, signature

import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.utils.estimator_checks import (
    check_parameters_default_constructible,
    estimator_checks_generator,
    parametrize_with_checks,
)

import sktrain

ESTIMATORS = {
    name: thing
    for name, thing in ((name, getattr(sktrain, name)) for name in sktrain.__all__)
    if isclass(thing) and issubclass(thing, BaseEstimator)
}

# What cannot be made without arguments, or trains long with its defaults.
INSTANCES = {
    "CompressedClassifier": lambda cls: cls(sktrain.MLPNetClassifier(max_epochs=15, lr=0.02, random_state=0)),
    "DriftGuard": lambda cls: cls(SGDClassifier(loss="log_loss", random_state=0)),
    "OptunaSearchCV": lambda cls: cls(LogisticRegression(), {"C": (0.1, 10.0, "log")}, n_trials=2, random_state=0, cv=3),
    "GRUClassifier": lambda cls: cls(max_epochs=40, lr=0.02, random_state=0),
    "LSTMClassifier": lambda cls: cls(max_epochs=40, lr=0.02, random_state=0),
    "MLPNetClassifier": lambda cls: cls(max_epochs=40, lr=0.02, random_state=0),
    "SlidingWindow": lambda cls: cls(flatten=True),  # lazy windows are no array of any array-API namespace
    "TCNClassifier": lambda cls: cls(max_epochs=40, lr=0.02, random_state=0),
    "TransformerClassifier": lambda cls: cls(max_epochs=40, lr=0.02, random_state=0),
}

# At most two a class. A check listed here must fail: an exception that is no longer needed is an error.
EXCEPTIONS = {
    "SlidingWindow": {
        "check_methods_subset_invariance": "a row's window holds the rows before it, so a subset of rows is another past",
        "check_methods_sample_order_invariance": "the order of rows is time",
    },
}

# Estimators whose input is no table, so that scikit-learn's data checks do not apply; their own tests hold them.
NOT_TABLES = {
    "AdaptiveLabeler": "takes bars",
    "BarFeatures": "takes bars",
    "CombinatorialPurgedCV": "a splitter: nothing is fitted",
    "EnhancedWalkForwardCV": "a splitter: nothing is fitted",
    "DeterministicTrainingConfig": "holds switches: nothing is fitted",
    "LeakageValidator": "audits other estimators",
    "ModelPruner": "takes fitted models",
    "ModelQuantizer": "takes fitted models",
    "NewsAligner": "takes articles and bars",
    "NewsFeatures": "takes bars that carry news",
    "PretrainedNewsEncoder": "takes texts",
    "RegimeDetector": "takes bars",
    "TemporalSplitter": "a splitter: nothing is fitted",
    "TripleBarrierLabeler": "takes bars",
    "WindowSMOTE": "a sampler of windows: rows leave with labels, nothing is transformed",
}


def instance(name):
    cls = ESTIMATORS[name]
    return INSTANCES.get(name, lambda cls: cls())(cls)


TABLES = [name for name in ESTIMATORS if name not in NOT_TABLES]


def _expected(estimator):
    return EXCEPTIONS.get(type(estimator).__name__, {})


ALSO = [sktrain.OptunaSearchCV(Ridge(), {"alpha": (0.1, 10.0, "log")}, n_trials=2, random_state=0, cv=3)]  # a search takes after what it tunes


@parametrize_with_checks([*(instance(name) for name in TABLES), *ALSO], expected_failed_checks=_expected)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_enough_was_discovered():
    assert len(ESTIMATORS) >= 20
    assert {"GRUClassifier", "OptunaSearchCV", "DriftGuard", "SlidingWindow", "CompressedClassifier"} <= set(TABLES)
    assert sum(1 for name in TABLES for _ in estimator_checks_generator(instance(name))) > 300


def test_the_table_of_exceptions_is_small_and_current():
    assert set(EXCEPTIONS) | set(NOT_TABLES) | set(INSTANCES) <= set(ESTIMATORS)
    assert all(len(checks) <= 2 for checks in EXCEPTIONS.values())


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_parameters_round_trip(name):
    estimator = instance(name)
    params = estimator.get_params(deep=False)
    again = type(estimator)(**params)
    assert repr(again) == repr(estimator)
    copy = clone(estimator)
    assert {key: repr(value) for key, value in copy.get_params(deep=False).items()} == {key: repr(value) for key, value in params.items()}
    assert copy.set_params(**params) is copy


@pytest.mark.parametrize("name", sorted(NOT_TABLES))
def test_the_rest_keep_scikit_learns_constructor_rules(name):
    if all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in signature(ESTIMATORS[name]).parameters.values()):
        check_parameters_default_constructible(name, ESTIMATORS[name]())

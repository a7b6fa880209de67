"""scikit-learn's and imbalanced-learn's own checks over every public estimator, discovered; one
table of exceptions, each with its reason."""

from functools import partial
from inspect import signature

from helpers import public_estimators
from imblearn.utils.estimator_checks import estimator_checks_generator as sampler_checks_generator
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_parameters_default_constructible,
    estimator_checks_generator,
    parametrize_with_checks,
)

import sktrain

ESTIMATORS = public_estimators()

# What cannot be made without arguments, or trains long with its defaults.
INSTANCES = {
    "CompressedClassifier": lambda cls: cls(
        sktrain.MLPNetClassifier(max_epochs=15, lr=0.02, random_state=0)
    ),
    "DriftGuard": lambda cls: cls(GaussianNB()),  # weights of it are exact: so must be the guard's
    "OptunaSearchCV": lambda cls: cls(
        LogisticRegression(), {"C": (0.1, 10.0, "log")}, n_trials=2, random_state=0, cv=3
    ),
    "GRUClassifier": lambda cls: cls(max_epochs=40, lr=0.02, random_state=0),
    "LabelSampler": lambda cls: cls(sktrain.AdaptiveLabeler()),
    "LSTMClassifier": lambda cls: cls(max_epochs=40, lr=0.02, random_state=0),
    "MLPNetClassifier": lambda cls: cls(max_epochs=40, lr=0.02, random_state=0),
    "PooledClassifier": lambda cls: cls(
        [("linear", LogisticRegression()), ("bayes", GaussianNB())]
    ),
    "ResampledClassifier": lambda cls: cls(LogisticRegression(), random_state=0),
    # lazy windows are no array of any array-API namespace
    "SlidingWindow": lambda cls: cls(flatten=True),
    "TCNClassifier": lambda cls: cls(max_epochs=40, lr=0.02, random_state=0),
    "TransformerClassifier": lambda cls: cls(max_epochs=40, lr=0.02, random_state=0),
}

# At most two a class. A check listed here must fail: an exception that is no longer needed is an
# error.
EXCEPTIONS = {
    "SlidingWindow": {
        "check_methods_subset_invariance": "a row's window holds the rows before it, so a subset of rows is another past",
        "check_methods_sample_order_invariance": "the order of rows is time",
    },
    "ResampledClassifier": {
        "check_sample_weight_equivalence_on_dense_data": "a repeated row counts twice among the classes and neighbours, a weight does not",
    },
}

# What no table can be given to although its tags do not say so: nothing of these is fitted.
# Estimators of bars, news or texts say it.
NOT_TABLES = {
    "CombinatorialPurgedCV": "a splitter",
    "DeterministicTrainingConfig": "holds switches",
    "EnhancedWalkForwardCV": "a splitter",
    "LeakageValidator": "audits other estimators",
    "ModelPruner": "takes fitted models",
    "ModelQuantizer": "takes fitted models",
    "QuantizedClassifier": "a fitted model, made by ModelQuantizer",
    "TemporalSplitter": "a splitter",
    "UnavailableEstimator": "what is left of an estimator that cannot be opened",
}


def instance(name):
    cls = ESTIMATORS[name]
    return INSTANCES.get(name, lambda cls: cls())(cls)


def takes_tables(name):
    return name not in NOT_TABLES and get_tags(instance(name)).input_tags.two_d_array


TABLES = [name for name in ESTIMATORS if takes_tables(name)]
SAMPLERS = [
    name
    for name in TABLES
    if hasattr(instance(name), "fit_resample") or name == "ResampledClassifier"
]


def _expected(estimator):
    return EXCEPTIONS.get(type(estimator).__name__, {})


ALSO = [
    # a search takes after what it tunes
    sktrain.OptunaSearchCV(
        Ridge(), {"alpha": (0.1, 10.0, "log")}, n_trials=2, random_state=0, cv=3
    ),
    sktrain.MLPNetClassifier(n_members=2, max_epochs=40, lr=0.02, random_state=0),
]


@parametrize_with_checks(
    [*(instance(name) for name in TABLES), *ALSO], expected_failed_checks=_expected
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def _name_of(check):
    return check.func.__name__ if isinstance(check, partial) else check.__name__


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(
            estimator,
            check,
            id=f"{name}-{_name_of(check)}",
            marks=[pytest.mark.xfail(reason=EXCEPTIONS[name][_name_of(check)])]
            if _name_of(check) in EXCEPTIONS.get(name, {})
            else [],
        )
        for name in SAMPLERS
        for estimator, check in sampler_checks_generator(
            instance(name).set_params(random_state=0), legacy=True
        )
    ],
)
def test_imbalanced_learn_checks(estimator, check):
    check(estimator)


def test_enough_was_discovered():
    assert len(ESTIMATORS) >= 28
    assert {
        "GRUClassifier", "OptunaSearchCV", "DriftGuard", "SlidingWindow", "CompressedClassifier",
        "WindowSMOTE", "ResampledClassifier", "PooledClassifier",
    } <= set(TABLES)
    assert sum(1 for name in TABLES for _ in estimator_checks_generator(instance(name))) > 300
    assert SAMPLERS == ["ResampledClassifier", "WindowSMOTE"]
    assert sum(1 for _ in sampler_checks_generator(instance("WindowSMOTE"), legacy=True)) >= 15


def test_the_tables_of_exceptions_are_small_and_current():
    assert set(EXCEPTIONS) | set(NOT_TABLES) | set(INSTANCES) <= set(ESTIMATORS)
    assert all(len(checks) <= 2 for checks in EXCEPTIONS.values())
    named = {
        _name_of(check)
        for name in TABLES
        for _, check in estimator_checks_generator(instance(name))
    }
    named |= {
        _name_of(check)
        for name in SAMPLERS
        for _, check in sampler_checks_generator(instance(name), legacy=True)
    }
    assert {check for checks in EXCEPTIONS.values() for check in checks} <= named
    for name in NOT_TABLES:  # nothing stands here that could say it itself
        assert not hasattr(ESTIMATORS[name], "transform")


LABELERS = ["AdaptiveLabeler", "TripleBarrierLabeler"]


@pytest.mark.parametrize(
    "name",
    [
        "BarFeatures", "LabelSampler", "NewsAligner", "NewsFeatures", "PretrainedNewsEncoder",
        "RegimeDetector", *LABELERS,
    ],
)
def test_estimators_of_bars_and_news_say_that_they_take_no_table(name):
    tags = get_tags(instance(name))
    assert not tags.input_tags.two_d_array
    assert (tags.transformer_tags is not None) == (name != "LabelSampler")


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_parameters_round_trip(name):
    estimator = instance(name)
    params = estimator.get_params(deep=False)
    again = type(estimator)(**params)
    assert repr(again) == repr(estimator)
    copy = clone(estimator)
    assert {key: repr(value) for key, value in copy.get_params(deep=False).items()} == {
        key: repr(value) for key, value in params.items()
    }
    assert copy.set_params(**params) is copy


@pytest.mark.parametrize("name", sorted(set(ESTIMATORS) - set(TABLES)))
def test_the_rest_keep_scikit_learns_constructor_rules(name):
    if all(
        p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in signature(ESTIMATORS[name]).parameters.values()
    ):
        check_parameters_default_constructible(name, ESTIMATORS[name]())

"""Bad inputs over the public API: each is refused in one sentence that names what is wrong, and
changes nothing."""

from datetime import timedelta
from decimal import Decimal
from functools import lru_cache, partial
from inspect import Parameter, signature

from helpers import public_estimators
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold
from sklearn.utils._param_validation import make_constraint
import torch

import sktrain
from sktrain import (
    EnhancedTrainingConfig,
    EnhancedWalkForwardCV,
    FocalLoss,
    MLPNetClassifier,
    average_uniqueness,
    null_market,
    read_bars,
    walk_forward_predict,
)
from sktrain._validation import Count, Number
from sktrain.ensemble import make_recipe
from sktrain.evaluation import (
    false_discovery_rate,
    probability_of_backtest_overfitting,
    sharpe_ratio,
    to_positions,
)
from sktrain.search import FoldPruner
from sktrain.testing import make_bars

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = (X[:, 0] > 0).astype(int)
NET = {"max_epochs": 1, "random_state": 0, "horizon": 0}
DECIMALS = np.array([[Decimal("1.5"), Decimal(2)]] * 200, dtype=object)
DURATIONS = pd.DataFrame({"a": [timedelta(days=1)] * 200, "b": 1.0})
NOISE = RNG.normal(size=(120, 4))

CALLS = {
    "loss of other lengths": (lambda: FocalLoss()(torch.zeros(3, 2), torch.tensor([0, 1])), "3, 2"),
    "loss of scalars": (lambda: FocalLoss()(torch.zeros(3), torch.tensor([0, 1, 0])), "n_classes"),
    "ddof": (lambda: sharpe_ratio(RNG.normal(size=50), ddof=400), "ddof=400"),
    "seed of a null market": (lambda: null_market(make_bars(90), random_state="x"), "got 'x'"),
    "seed of bars": (lambda: make_bars(9, random_state=-1), "random_state must be None, an"),
    "array for a sign": (lambda: read_bars("no.csv", decimal=np.zeros(3)), "decimal must be one"),
    "array for a truth": (lambda: read_bars("no.csv", dayfirst=np.zeros(3)), "dayfirst must be"),
    "complex returns": (lambda: sharpe_ratio(NOISE[:, 0] + 1j), "complex"),
    "complex configurations": (lambda: probability_of_backtest_overfitting(NOISE + 1j), "complex"),
    "identical configurations": (
        lambda: probability_of_backtest_overfitting(np.tile(NOISE[:, :1], 5)),
        "same returns",
    ),
    "shuffled folds": (
        lambda: walk_forward_predict(LogisticRegression(), X, Y, cv=KFold(5, shuffle=True)),
        "shuffles",
    ),
    "shuffled strata": (
        lambda: walk_forward_predict(
            LogisticRegression(), X, Y, cv=StratifiedKFold(5, shuffle=True)
        ),
        "shuffles",
    ),
    "random folds": (
        lambda: walk_forward_predict(LogisticRegression(), X, Y, cv=ShuffleSplit(5)),
        "shuffles",
    ),
    "labels that are times": (
        lambda: MLPNetClassifier(**NET).fit(X, pd.date_range("2020", periods=200)),
        "times",
    ),
    "labels that are durations": (
        lambda: MLPNetClassifier(**NET).fit(X, pd.timedelta_range("1D", periods=200)),
        "times",
    ),
    "decimals": (lambda: MLPNetClassifier(**NET).fit(DECIMALS, Y), "decimal"),
    "decimals in a frame": (
        lambda: MLPNetClassifier(**NET).fit(pd.DataFrame(DECIMALS, columns=["a", "b"]), Y),
        "'a'",
    ),
    "durations": (lambda: MLPNetClassifier(**NET).fit(DURATIONS, Y), "'a'"),
    "durations in an array": (
        lambda: MLPNetClassifier(**NET).fit(np.full((200, 2), np.timedelta64(1, "D")), Y),
        "times",
    ),
    "complex rows": (lambda: MLPNetClassifier(**NET).fit(X + 1j, Y), "[Cc]omplex"),
    "a seed beyond NumPy's": (lambda: EnhancedTrainingConfig(training_seed=2**70), "training_seed"),
    "a thousand million folds": (
        lambda: list(
            EnhancedWalkForwardCV(n_splits=10**9, horizon=0, ensure_regime_coverage=False).split(X)
        ),
        "n_splits",
    ),
    "bars beyond any": (lambda: average_uniqueness([0], [2**40]), "position"),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_was_accepted_wrongly_is_refused(name):
    call, words = CALLS[name]
    with pytest.raises((ValueError, TypeError), match=words):
        call()


NEEDED = {
    "estimator": LogisticRegression(),
    "estimators": [("linear", LogisticRegression())],
    "param_distributions": {"C": (0.1, 1.0)},
}
ODD = [
    float("nan"), float("inf"), -float("inf"), True, "1", [1], None, 1j, Decimal(1), -1, 0, 2.5,
    "nonsense", b"x", {"a": 1}, object(), len, np.zeros(3),
]  # fmt: skip


def bad_values():
    """(estimator, parameter, value) for every parameter of the public API and every odd value that
    its constraint does not allow."""
    found = []
    for cls in public_estimators().values():
        for parameter in signature(cls).parameters:
            allowed = getattr(cls, "_parameter_constraints", {}).get(parameter)
            if not isinstance(allowed, list):  # "no_validation", or none
                continue
            checks = [make_constraint(one) for one in allowed]
            found += [
                (cls, parameter, value)
                for value in ODD
                if not any(one.is_satisfied_by(value) for one in checks)
            ]
    return found


@lru_cache
def bars():
    return sktrain.datasets.make_market(300, random_state=0).bars


def exercised(model):
    """Call what checks parameters: fit, split, or the check itself."""
    if hasattr(model, "split"):
        return list(model.split(X, Y))
    if hasattr(model, "_validate_params"):
        model._validate_params()
    if hasattr(model, "fit"):
        of_bars = type(model).__module__.startswith(("sktrain.features", "sktrain.labels"))
        return model.fit(bars() if of_bars else X, Y)
    return model


def wrongly_accepted(cases):
    """Those of (call, name of a parameter, value) that are not refused by that name."""
    accepted = []
    for call, name, value in cases:
        try:
            call(value)
        except (ValueError, TypeError) as error:
            if name not in str(error):
                accepted.append((name, value, f"not named: {error}"))
        else:
            accepted.append((name, value, "accepted"))
    return accepted


def test_what_a_constraint_does_not_allow_is_refused_everywhere():
    """More than 3,000 pairs of a parameter and a value, found by introspection."""
    cases = []
    for cls, name, value in bad_values():
        needed = [one for one in signature(cls).parameters.values() if one.name in NEEDED]
        given = {one.name: NEEDED[one.name] for one in needed if one.default is Parameter.empty}
        made = partial(lambda c, g, n, v: exercised(c(**{**g, n: v})), cls, given, name)
        cases.append((made, name, value))
    assert len(cases) > 3000
    assert not (found := wrongly_accepted(cases)), found[:20]


def trained(name, value):
    return MLPNetClassifier(**{**NET, name: value}).fit(X[:60], Y[:60])


UNSAID = {  # of a net, without a constraint: the callbacks' and the loss's, by introspection below
    "calibration", "class_sampling", "criterion", "device", "iterator_train", "iterator_valid",
    "mixed_precision", "module", "optimizer", "verbose", "iterator_train__num_workers",
    "iterator_valid__num_workers",
}  # fmt: skip
NO_SCALARS = [object(), "nonsense", 1j, float("nan"), -7, b"x", {"a": 1}]


def test_parameters_of_the_parts_of_a_net_are_refused_too():
    parts = {
        name
        for name in MLPNetClassifier().get_params()
        if name.count("__") == (2 if name.startswith("callbacks__") else 1)
    }
    assert len(parts) > 20
    cases = [
        (partial(trained, name), name.rpartition("__")[2], value)
        for name in sorted(parts | UNSAID)
        for value in NO_SCALARS
        if not (name == "callbacks__early_stopping__monitor" and isinstance(value, dict))
    ]
    assert not (found := wrongly_accepted(cases)), found[:20]


def test_every_field_of_a_training_is_checked():
    takes_text = {"embedding_model", "news", "timezone", "news_timezone"}
    cases = [
        (partial(lambda n, v: EnhancedTrainingConfig(**{n: v}), name), name, value)
        for name in signature(EnhancedTrainingConfig).parameters
        for value in NO_SCALARS
        if not (name in takes_text and isinstance(value, str)) and (name, value) != ("n_jobs", -7)
    ]
    assert len(cases) > 400
    assert not (found := wrongly_accepted(cases)), found[:20]


FUNCTIONS = {  # a good call, and what else it takes
    "dependent": lambda value: false_discovery_rate([0.1, 0.2], dependent=value),
    "sides": lambda value: to_positions([[0.1, 0.2, 0.7]], sides=value),
    "lookback": lambda value: make_recipe(lookback=value),
    "features": lambda value: make_recipe(features=value),
    "generator": lambda value: sktrain.ClassWeightedSampler(Y, generator=value),
    "sampling_strategy": lambda value: sktrain.apply_smote(X, Y, sampling_strategy=value),
    "p_threshold": lambda value: FoldPruner(p_threshold=value),
    "catch_up": lambda value: FoldPruner(catch_up=value),
    "n_warmup_trials": lambda value: FoldPruner(n_warmup_trials=value),
    "gamma": lambda value: FocalLoss(gamma=value),
    "beta": lambda value: FocalLoss(beta=value),
    "alpha": lambda value: FocalLoss(alpha=value),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_of_functions_are_refused_by_name(name):
    values = [v for v in NO_SCALARS if (name, v) not in (("sampling_strategy", {"a": 1}),)]
    found = wrongly_accepted([(FUNCTIONS[name], name, value) for value in values])
    assert not [one for one in found if one[1] != "nonsense" or one[2] == "accepted"], found


def test_nan_is_no_number():
    assert not any(
        kind(0).is_satisfied_by(value)
        for kind in (Count, Number)
        for value in (float("nan"), np.nan, np.float32("nan"))
    )


ROWS = {
    "no rows": (X[:0], Y[:0]),
    "no columns": (X[:, :0], Y),
    "other lengths": (X, Y[:-1]),
    "one class": (X, np.zeros(200, dtype=int)),
    "words": (np.full((200, 2), "up"), Y),
    "infinity": (np.where(X > 2, np.inf, X), Y),
    "labels missing": (X, np.where(Y, 1.0, np.nan)),
    "ragged": ([[1.0], [1.0, 2.0]] * 100, Y),
    "one dimension": (X[:, 0], Y),
    "four dimensions": (X.reshape(50, 4, 3, 1), Y[:50]),
    "continuous labels": (X, X[:, 1]),
    "no labels": (X, None),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("cls", ["MLPNetClassifier", "GRUClassifier", "CompressedClassifier"])
def test_rows_that_cannot_be_learned_are_refused(cls, name):
    model = getattr(sktrain, cls)
    model = model(MLPNetClassifier(**NET)) if cls == "CompressedClassifier" else model(**NET)
    with pytest.raises((ValueError, TypeError)):
        model.fit(*ROWS[name])
    with pytest.raises((AttributeError, ValueError)):
        model.predict(X)


def test_good_rows_are_accepted():
    """The tests above can fail: the same calls with good rows pass."""
    assert FocalLoss()(torch.zeros(3, 2), torch.tensor([0, 1, 0])) > 0
    assert walk_forward_predict(LogisticRegression(), X, Y, cv=KFold(5)).mask.all()
    assert MLPNetClassifier(**NET).fit(pd.DataFrame(X).astype(object), Y).predict(X).shape == (200,)
    assert 0 <= probability_of_backtest_overfitting(NOISE) <= 1
    assert average_uniqueness([0], [2**20])[0] == 1
    assert RandomForestClassifier(1).fit(X, Y) is not None

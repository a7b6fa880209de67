"""Bad inputs over the public API: each is refused in one sentence that names what is wrong, and
changes nothing."""

from datetime import timedelta
from decimal import Decimal
from inspect import Parameter, signature

from helpers import public_estimators
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold
import torch

import sktrain
from sktrain import (
    EnhancedTrainingConfig,
    EnhancedWalkForwardCV,
    FocalLoss,
    MLPNetClassifier,
    average_uniqueness,
    walk_forward_predict,
)
from sktrain._validation import Count, Number
from sktrain.evaluation import probability_of_backtest_overfitting, sharpe_ratio

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
NUMBERS = [float("nan"), float("inf"), -float("inf"), True, "1", [1], None, 1j, Decimal(1), np.nan]


def constraints(cls):
    """(parameter, what it may be) of those that only take numbers."""
    for name, allowed in getattr(cls, "_parameter_constraints", {}).items():
        if isinstance(allowed, list) and any(isinstance(one, (Count, Number)) for one in allowed):
            yield name, allowed


def bad_values():
    """(estimator, parameter, value) for every number of the public API that a constraint
    describes."""
    from sklearn.utils._param_validation import make_constraint

    found = []
    for name, cls in public_estimators().items():
        for parameter, allowed in constraints(cls):
            checks = [make_constraint(one) for one in allowed]
            found += [
                (name, parameter, value)
                for value in NUMBERS
                if not any(one.is_satisfied_by(value) for one in checks)
            ]
    return found


def exercised(model):
    """Call what checks parameters: fit, split, or the check itself."""
    bars = (
        sktrain.datasets.make_market(300, random_state=0).bars
        if hasattr(sktrain, "datasets")
        else None
    )
    if hasattr(model, "split"):
        return list(model.split(X, Y))
    if hasattr(model, "_validate_params"):
        model._validate_params()
    if hasattr(model, "fit"):
        return model.fit(
            bars
            if type(model).__module__.startswith(("sktrain.features", "sktrain.labels"))
            else X,
            Y,
        )
    return model


def test_numbers_that_are_none_are_refused_everywhere():
    """More than 300 pairs of a parameter and a value, found by introspection."""
    cases, accepted = bad_values(), []
    assert len(cases) > 300
    for name, parameter, value in cases:
        cls = public_estimators()[name]
        given = {
            one.name: NEEDED[one.name]
            for one in signature(cls).parameters.values()
            if one.default is Parameter.empty and one.name in NEEDED
        }
        try:
            exercised(cls(**{**given, parameter: value}))
        except (ValueError, TypeError) as error:
            if parameter not in str(error):
                accepted.append((name, parameter, value, f"not named: {error}"))
        else:
            accepted.append((name, parameter, value, "accepted"))
    assert not accepted, accepted[:20]


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

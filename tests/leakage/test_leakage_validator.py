"""Repair, price, screens and audits of things that cannot be audited."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import CombinatorialPurgedCV, EnhancedWalkForwardCV, LeakageValidator
from sktrain.exceptions import InvalidSplitError, LeakageError, NotEnoughDataError
from sktrain.leakage._target_leaks import strength

V = LeakageValidator(max_times=400)
CV = EnhancedWalkForwardCV(3, horizon=4, ensure_regime_coverage=False, min_samples_per_fold=10)


def table(n=400, horizon=4, seed=0):
    """A random walk, its slow averages and overlapping labels: nothing to find, much to
    remember."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=n + horizon))
    X = pd.DataFrame(
        {
            f"x{k}": pd.Series(walk[:n]).rolling(k, min_periods=1).mean().to_numpy()
            for k in (1, 10, 30)
        },
        pd.date_range("2020", periods=n),
    )
    y = pd.Series((walk[horizon:] > walk[:-horizon]).astype(int), X.index)
    y.attrs["label_horizon"] = horizon
    return X, y


LEAKY = [
    HistGradientBoostingClassifier(),
    RandomForestClassifier(oob_score=True),
    CalibratedClassifierCV(LogisticRegression()),
    StackingClassifier(
        [("forest", RandomForestClassifier(5, oob_score=True, random_state=0))],
        LogisticRegression(),
        cv=3,
    ),
    GridSearchCV(
        make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(), cv=2)),
        {"standardscaler__with_mean": [True]},
        cv=KFold(3),
    ),
]


@pytest.mark.parametrize("estimator", LEAKY, ids=lambda e: type(e).__name__)
def test_repaired_estimators_pass_fit_and_leave_the_given_one_alone(estimator):
    before = str(clone(estimator).get_params(deep=True))
    fixed = V.repair(estimator, CV)
    assert V.inspect(fixed).status == "PASS", V.inspect(fixed).summary()
    assert str(clone(estimator).get_params(deep=True)) == before
    assert not V.inspect(estimator).passed
    X, y = table()
    assert set(fixed.fit(X, y).predict(X)) <= {0, 1}


def test_inner_folds_after_repair_are_purged():
    fixed = V.repair(StackingClassifier([("a", LogisticRegression())], cv=5), CV)
    assert isinstance(fixed.cv, CombinatorialPurgedCV)
    assert (fixed.cv.n_blocks, fixed.cv.n_test_blocks, fixed.cv.horizon) == (3, 1, 4)


def test_a_leaking_cv_repairs_nothing():
    with pytest.raises(LeakageError, match="leaks itself"):
        V.repair(LogisticRegression(), KFold(3, shuffle=True))


def test_inspect_takes_instances():
    with pytest.raises(TypeError, match="pass LogisticRegression"):
        V.inspect(LogisticRegression)


def test_price_of_overlap():
    """On noise a forest looks wise under shuffled folds and is a coin under purged ones."""
    X, y = table(1200, horizon=20)
    tag = V.price_tag(RandomForestClassifier(30, oob_score=True, random_state=0), X, y, n_splits=4)
    scores = tag.table["score"]
    assert list(tag.table.index) == [
        "its own inner validation", "shuffled KFold", "TimeSeriesSplit", "purged walk-forward",
        "combinatorial purged", "nested, purged inside",
    ]
    assert scores["shuffled KFold"] > 0.75
    assert scores["its own inner validation"] > 0.75
    assert abs(scores["purged walk-forward"] - 0.5) < 0.15
    assert tag.sentence.startswith(f"Your {max(scores.iloc[:2]):.2f}")
    assert tag["worth"]["purged walk-forward"] == 0
    with pytest.raises(NotEnoughDataError, match="too few"):
        V.price_tag(LogisticRegression(), X.iloc[:30], y.iloc[:30])


def test_strength_is_the_area_under_the_curve():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 500)
    x = rng.normal(size=500) + 0.3 * y
    assert strength(x, y) == pytest.approx(roc_auc_score(y, x))
    assert strength(-x, y) == pytest.approx(roc_auc_score(y, x))


class Unclonable(ClassifierMixin, BaseEstimator):
    def __init__(self, a=1):
        self.a = [a]

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))


class Fails(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        raise RuntimeError("no such device")

    def predict(self, X):
        return np.zeros(len(X))


class NoFolds:
    def split(self, X, y=None, groups=None):
        return iter(())

    def get_n_splits(self, *a):
        return 0


@pytest.mark.parametrize(
    ("estimator", "cv", "code"),
    [
        (Unclonable(), CV, "not_clonable"),
        (Fails(), CV, "could_not_run"),
        (LogisticRegression(), NoFolds(), "no_folds"),
        (LogisticRegression(), [(np.arange(10), np.arange(1000, 1010))], "invalid_split"),
        (LogisticRegression(), EnhancedWalkForwardCV(50), "invalid_split"),
        (object(), CV, "not_an_estimator"),
    ],
)
def test_what_cannot_be_audited_never_passes(estimator, cv, code):
    report = V.audit(estimator, *table(), cv)
    assert not report.passed
    assert report.status in ("INCONCLUSIVE", "NOT_CHECKED")
    assert code in report.codes("error")


def test_rows_without_time_are_inconclusive():
    X, y = table()
    report = V.audit(LogisticRegression(), X.to_numpy(), y.reset_index(drop=True), CV)
    assert report.status == "INCONCLUSIVE"
    assert "no_time" in report.codes("warning")


def test_audit_refuses_what_does_not_fit_together():
    X, y = table()
    with pytest.raises(InvalidSplitError, match="400 rows but y has 399"):
        V.audit(LogisticRegression(), X, y.iloc[1:], CV)
    with pytest.raises(InvalidSplitError, match="needs the labels"):
        V.audit(LogisticRegression(), X, None, CV)


def test_audit_changes_nothing():
    X, y = table()
    kept, labels, state = X.copy(), y.copy(), np.random.get_state()[1].copy()  # noqa: NPY002
    model = make_pipeline(StandardScaler(), LogisticRegression())
    report = V.audit(model, X, y, CV)
    assert report.status == "PASS", report.summary()
    pd.testing.assert_frame_equal(X, kept)
    pd.testing.assert_series_equal(y, labels)
    assert not hasattr(model[0], "mean_")
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert V.audit(model, X, y, CV) == report


def test_rotated_labels_are_found_through_shuffled_folds_only():
    X, y = table(900, horizon=20)
    forest = RandomForestClassifier(20, random_state=0)
    assert V.check_shuffled_labels(forest, X, y, KFold(4, shuffle=True, random_state=0)).codes(
        "error"
    ) == ["shuffled_labels"]
    assert V.check_shuffled_labels(
        forest,
        X,
        y,
        EnhancedWalkForwardCV(4, ensure_regime_coverage=False, min_samples_per_fold=10),
    ).passed


def _holdout(X, y):
    return train_test_split(X, y, random_state=0)


def _ordered_holdout(X, y):
    return train_test_split(X, y, shuffle=False)


class HelperSplits(ClassifierMixin, BaseEstimator):
    """Splits in a function outside of the class."""

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(*_holdout(X, y)[::2])
        return self


class HelperKeepsOrder(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(*_ordered_holdout(X, y)[::2])
        return self


def test_functions_an_estimator_calls_are_read_too():
    assert V.inspect(HelperSplits()).codes("error") == ["inner_split"]
    assert V.inspect(HelperKeepsOrder()).status == "PASS"


def test_a_profiler_of_the_caller_is_left_alone():
    def profile(frame, event, arg):
        return None

    sys.setprofile(profile)
    try:
        V.audit(LogisticRegression(), *table(), CV)
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)


def test_label_leakage_keys_and_bad_input():
    report = V.check_label_leakage(pd.Series([np.nan, 0.0, 1.0, 2.0, np.nan]), 1, horizon=1)
    assert report["passed"]
    assert report["warnings"] == []
    assert not V.check_label_leakage(pd.Series([0.0, np.nan, 1.0, 2.0, np.nan]), 1, horizon=1)[
        "passed"
    ]
    with pytest.raises(ValueError, match="warmup_length"):
        V.check_label_leakage(pd.Series([1.0]), -1)
    with pytest.raises(ValueError, match="empty"):
        V.check_label_leakage([], 0)


def test_feature_leakage_needs_the_same_columns():
    X, _ = table()
    with pytest.raises(ValueError, match="different columns"):
        V.check_feature_leakage(X, X.rename(columns={"x1": "z"}))
    assert V.check_feature_leakage(X.iloc[:200], X.iloc[:0]).status == "NOT_CHECKED"


def test_bad_parameters_are_refused():
    with pytest.raises(ValueError, match="max_times"):
        LeakageValidator(max_times=True).inspect(LogisticRegression())

"""What stands around a search: any number of folds, callbacks, edited functions, rows without
labels, seeds, starting points."""

import re

from helpers import Counting
from hypothesis import example, given, settings, strategies as st
from hypothesis.extra.numpy import arrays
import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, RepeatedKFold, ShuffleSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier
import torch

from sktrain import CombinatorialPurgedCV, EnhancedWalkForwardCV, OptunaSearchCV, TemporalSplitter
from sktrain.exceptions import SktrainError, StudyMismatchError

X, Y = make_classification(240, n_features=5, flip_y=0.2, random_state=0)


def search(**changes):
    settings = {"n_trials": 4, "random_state": 0, "cv": 3}
    space = changes.pop("space", {"C": (0.01, 10.0, "log")})
    return OptunaSearchCV(
        changes.pop("estimator", LogisticRegression()), space, **{**settings, **changes}
    )


def scores(fitted):
    return fitted.cv_results_["mean_test_score"].tolist()


@pytest.mark.parametrize(
    ("cv", "n_folds"),
    [
        (TemporalSplitter(horizon=1, embargo_bars=0), 1),
        (ShuffleSplit(2, random_state=0), 2),
        (
            EnhancedWalkForwardCV(
                3, horizon=1, embargo_bars=0, min_samples_per_fold=20, ensure_regime_coverage=False
            ),
            3,
        ),
        (RepeatedKFold(n_splits=5, n_repeats=5, random_state=0), 25),
        (CombinatorialPurgedCV(8, 2, horizon=1, embargo_bars=0), 28),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else type(value).__name__,
)
@pytest.mark.parametrize("n_trials", [1, 3])
def test_any_number_of_folds_has_a_report(cv, n_folds, n_trials):
    found = search(cv=cv, n_trials=n_trials).fit(X, Y)
    report = found.overfit_report_
    assert (report.n_folds, found.predict(X).shape) == (n_folds, Y.shape)
    assert (report.verdict == "cannot tell") == bool(report.reason) == (n_folds < 3)
    assert np.isnan(report.pbo) == (n_folds < 4 or n_trials == 1)
    assert report.reason in report.summary()


def test_joined_folds_give_the_overfitting_probability_of_their_blocks():
    """32 folds are 16 pairs of neighbours: the same number as of the 16 pair means, counted here by
    every half."""
    from itertools import combinations

    from sktrain.search._overfit import assess

    rng = np.random.default_rng(0)
    matrix = 0.5 + rng.normal(0, 0.02, (32, 4)) + np.linspace(0, 0.01, 4)
    pairs = matrix.reshape(16, 2, 4).mean(axis=1) - 0.5
    below = []
    for half in combinations(range(16), 8):
        inside = pairs[list(half)].mean(axis=0)
        outside = pairs[[block for block in range(16) if block not in half]].mean(axis=0)
        rank = (outside < outside[inside.argmax()]).sum() + 1
        below.append(rank / 5 < 0.5)
    assert assess(matrix, np.full(32, 0.5), 0.1).pbo == pytest.approx(np.mean(below), abs=1e-12)


@given(
    arrays(
        float,
        st.tuples(st.integers(1, 25), st.integers(1, 4)),
        elements=st.sampled_from([0.3, 0.5, 0.6]),
    )
)
# only the fold left out differs
@example(np.array([[0.5, 0.4], [0.3, 0.3], [0.5, 0.5], [0.5, 0.5], [0.4, 0.4]]))
@settings(max_examples=150, deadline=None)
def test_a_report_never_raises_whatever_ties(matrix):
    """Few folds of few rows tie often; the report says what it cannot say."""
    from sktrain.search._overfit import assess

    report = assess(matrix, np.full(len(matrix), 0.5), 0.25)
    even = matrix[len(matrix) % 2 :] if len(matrix) <= 16 else matrix
    alike = matrix.shape[1] < 2 or (even == even[:, :1]).all()
    assert np.isnan(report.pbo) == (len(even) < 4 or alike or len(matrix) < 3)
    assert report.summary()


class Recorder:
    """A callback of scikit-learn that counts tasks, and is handed on to what stands inside."""

    max_propagation_depth = None
    tasks = ()

    def setup(self, estimator, context):
        type(self).tasks = []

    def on_fit_task_begin(self, estimator, context):
        # a part's own first task
        merged = (
            context.source_estimator_name is not None and context.estimator_name != "OptunaSearchCV"
        )
        names = (
            (context.source_estimator_name, context.source_task_name)
            if merged
            else (context.estimator_name, context.task_name)
        )
        type(self).tasks.append(names)

    def on_fit_task_end(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass


@pytest.mark.parametrize("around", ["itself", "pipeline", "grid"])
def test_callbacks_of_scikit_learn_see_every_fold(around):
    pytest.importorskip("sklearn.callback")
    inner = search(cv=2, n_trials=3, pruner=False)
    outer = {
        "itself": inner,
        "pipeline": make_pipeline(StandardScaler(), inner),
        "grid": GridSearchCV(inner, {"n_trials": [3]}, cv=2),
    }[around]
    outer.set_callbacks(Recorder()).fit(X, Y)
    own = [task for name, task in Recorder.tasks if name == "OptunaSearchCV"]
    times = 3 if around == "grid" else 1  # two outer folds and the refit
    counts = {task: own.count(task) for task in set(own)}
    assert counts == {
        "fit": times,
        "search": times,
        "candidate-split-evaluation": 6 * times,
        "refit-with-best-params": times,
    }


def test_without_callbacks_nothing_is_sent_along():
    found = search(n_trials=1).fit(X, Y)
    assert not hasattr(found, "_callback_fit_ctx")


def made(constant):
    """A space, a score and a transformation that differ in one constant of their closure."""
    return (
        lambda trial: {"C": constant * trial.suggest_float("C", 0.01, 1)},
        lambda estimator, X, y: constant * estimator.score(X, y),
        lambda X: X * constant,
    )


@pytest.mark.parametrize("part", ["space", "scoring", "transformer", "choice", "kept on"])
def test_an_edited_function_is_another_study(tmp_path, part):
    def of(constant):
        space, score, feature = made(constant)
        changes = {
            "space": {"space": space},
            "scoring": {"scoring": score},
            "transformer": {
                "estimator": make_pipeline(FunctionTransformer(feature), LogisticRegression()),
                "space": {"logisticregression__C": (0.1, 1.0)},
            },
            "choice": {
                "estimator": make_pipeline(FunctionTransformer(), LogisticRegression()),
                "space": {"functiontransformer__func": [None, feature]},
            },
            "kept on": {},
        }[part]
        return search(storage=tmp_path / "s.db", **changes)

    first = of(1).fit(X, Y)
    if part == "kept on":
        assert scores(of(2).set_params(n_trials=6).fit(X, Y))[:4] == scores(first)
        return
    assert scores(of(1).fit(X, Y)) == scores(first)
    with pytest.raises(StudyMismatchError, match=r" was .*, is "):
        of(2).fit(X, Y)


def test_parameters_of_a_stored_trial_are_the_ones_that_were_scored(tmp_path):
    """A space may read what no digest sees: a file. The plain parameters were stored; others are
    held to their text."""
    path = tmp_path / "weight.txt"

    def space(trial):
        return {"C": trial.suggest_float("C", 0.01, 1) * float(path.read_text())}

    path.write_text("1")
    before = search(space=space, storage=tmp_path / "s.db").fit(X, Y)
    path.write_text("1000")
    after = search(space=space, storage=tmp_path / "s.db").fit(X, Y)
    assert after.cv_results_["params"] == before.cv_results_["params"]

    def objects(trial):
        return {
            "max_features": int(path.read_text()),
            "criterion": trial.suggest_categorical("c", ["gini"]),
            "class_weight": {0: float(path.read_text())},
        }

    path.write_text("1")
    forest = {"estimator": DecisionTreeClassifier(), "space": objects, "storage": tmp_path / "t.db"}
    search(**forest).fit(X, Y)
    path.write_text("2")
    with pytest.raises(StudyMismatchError, match="was stored with the parameters"):
        search(**forest).fit(X, Y)


def test_rows_without_a_label_are_in_no_fold_and_not_in_the_refit():
    days = pd.bdate_range("2015", periods=240)
    rows, labels = (
        pd.DataFrame(X, days, list("abcde")),
        pd.Series(Y.astype(float), days).mask(np.arange(240) < 20),
    )
    weight = np.arange(1.0, 241.0)
    cv = EnhancedWalkForwardCV(
        2, horizon=1, embargo_bars=0, min_samples_per_fold=20, ensure_regime_coverage=False
    )
    found = search(cv=cv).fit(rows, labels, sample_weight=weight)
    by_hand = LogisticRegression(**found.best_params_).fit(
        rows[20:], labels[20:], sample_weight=weight[20:]
    )
    np.testing.assert_array_equal(found.best_estimator_.coef_, by_hand.coef_)
    assert found.predict(rows).shape == (240,)


def test_a_named_study_has_a_nested_estimate(tmp_path):
    found = search(study_name="mine", storage=tmp_path / "s.db").fit(X, Y)
    outer = found.nested_estimate(X, Y, cv=KFold(2))
    np.testing.assert_array_equal(outer, cross_validate(search(), X, Y, cv=KFold(2))["test_score"])
    assert found.study_name == "mine"
    with pytest.raises(StudyMismatchError, match="leave study_name=None"):
        cross_validate(found, X, Y, cv=KFold(2), error_score="raise")


class Fragile(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        if self.C > 1:
            raise ValueError("too large")
        return super().fit(X, y)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("pruner", [None, False])
def test_error_score_is_shown_but_never_wins(pruner):
    found = search(
        estimator=Fragile(),
        space={"C": [0.1, 2.0]},
        error_score=0.0, scoring="neg_log_loss", n_trials=8, pruner=pruner,
    ).fit(X, Y)
    results = found.cv_results_
    failed = results["state"] == "failed"
    assert failed.any()
    assert not failed.all()
    assert found.best_params_ == {"C": 0.1}
    assert (results["split0_test_score"][failed] == 0).all()
    assert results["rank_test_score"][failed].min() > results["rank_test_score"][~failed].max()

    def scorer(estimator, X, y):
        if estimator.C > 1:
            raise ValueError("cannot score this")
        return -1.0

    found = search(
        space={"C": [0.1, 2.0]}, error_score=0.0, scoring=scorer, n_trials=8, pruner=pruner
    ).fit(X, Y)
    assert found.best_params_ == {"C": 0.1}


@pytest.mark.parametrize("scoring", ["neg_log_loss", "roc_auc_ovr", ["accuracy", "neg_log_loss"]])
@pytest.mark.parametrize("where", ["training", "test"])
def test_a_class_missing_from_a_fold_is_named_before_the_trials(scoring, where):
    y = np.repeat(["up", "down", "flat"], 80)
    order = np.random.default_rng(0).permutation(240)
    y = y[order]
    flat = np.flatnonzero(y == "flat")
    others = np.flatnonzero(y != "flat")
    without, rest = others[:80], np.setdiff1d(np.arange(240), others[:80])
    fine = (np.arange(120), np.arange(120, 240))
    bad = (without, rest) if where == "training" else (rest, without)
    Counting.fits = 0
    refit = {"refit": "neg_log_loss"} if isinstance(scoring, list) else {}
    with pytest.raises(SktrainError, match=rf"Fold 1 of cv has no {where} row of class 'flat'"):
        search(estimator=Counting(), cv=[fine, bad], scoring=scoring, **refit).fit(X, y)
    assert Counting.fits == 0
    assert len(flat) == 80
    search(cv=[fine, bad], scoring="balanced_accuracy").fit(X, y)  # a scorer that bears it


def test_one_class_in_a_training_fold_is_named_before_the_trials():
    ups = np.flatnonzero(Y == 1)
    cv = [(np.arange(120), np.arange(120, 240)), (ups[:60], np.setdiff1d(np.arange(240), ups[:60]))]
    Counting.fits = 0
    with pytest.raises(
        SktrainError,
        match=r"Fold 1 of cv trains on the one class .*1.* \(60 rows\), and Counting cannot",
    ):
        search(estimator=Counting(), cv=cv).fit(X, Y)
    assert Counting.fits == 1
    assert np.isfinite(
        scores(
            search(estimator=DecisionTreeClassifier(), space={"max_depth": [1]}, cv=cv).fit(X, Y)
        )
    ).all()


def test_of_several_dicts_each_trial_takes_one(tmp_path):
    space = [
        {"solver": ["liblinear"], "C": (0.1, 1.0)},
        {"solver": ["lbfgs"], "C": (10.0, 20.0), "fit_intercept": [False]},
    ]
    found = search(space=space, n_trials=12, storage=tmp_path / "s.db", pruner=False).fit(X, Y)
    for params in found.cv_results_["params"]:
        one = params["solver"] == "liblinear"
        assert set(params) == ({"solver", "C"} if one else {"solver", "C", "fit_intercept"})
        assert (
            (0.1 <= params["C"] <= 1)
            if one
            else (10 <= params["C"] <= 20 and params["fit_intercept"] is False)
        )
    assert {params["solver"] for params in found.cv_results_["params"]} == {"liblinear", "lbfgs"}
    again = search(space=space, n_trials=12, storage=tmp_path / "s.db", pruner=False).fit(X, Y)
    assert again.cv_results_["params"] == found.cv_results_["params"]
    with pytest.raises(SktrainError, match="must hold dicts"):
        search(space=[{"C": (0.1, 1.0)}, 3]).fit(X, Y)
    with pytest.raises(SktrainError, match="nothing to search"):
        search(space=[{}]).fit(X, Y)


@pytest.mark.parametrize("numbers", [range(1, 4), range(2, 9, 3), range(9, 1, -4)])
def test_a_range_holds_its_numbers(numbers):
    found = search(
        estimator=DecisionTreeClassifier(), space={"max_depth": numbers}, n_trials=24, pruner=False
    ).fit(X, Y)
    assert {params["max_depth"] for params in found.cv_results_["params"]} == set(numbers)
    with pytest.raises(SktrainError, match="range is empty"):
        search(space={"C": range(0)}).fit(X, Y)


def test_a_search_starts_from_the_parameters_it_is_given(tmp_path):
    space = {
        "C": (0.01, 10.0, "log"),
        "solver": ["lbfgs", "liblinear"],
        "class_weight": [None, {0: 2.0}],
    }
    given = [{"C": 3.0, "class_weight": {0: 2.0}}, {"solver": "liblinear"}]
    for path in (None, tmp_path / "s.db"):
        found = search(space=space, enqueue=given, storage=path, n_trials=6, pruner=False).fit(X, Y)
        for expected, params in zip(given, found.cv_results_["params"]):
            assert expected.items() <= params.items()
    more = search(
        space=space, enqueue=given, storage=tmp_path / "s.db", n_trials=8, pruner=False
    ).fit(X, Y)
    assert scores(more)[:6] == scores(found)
    with pytest.raises(StudyMismatchError, match="enqueue"):
        search(space=space, storage=tmp_path / "s.db", n_trials=6, pruner=False).fit(X, Y)
    own = search(space=space, enqueue=True).fit(X, Y)
    assert own.cv_results_["params"][0] == {"C": 1.0, "solver": "lbfgs", "class_weight": None}


@pytest.mark.filterwarnings("ignore:Fixed parameter")
def test_starting_points_of_other_spaces():
    found = search(
        space=[{"C": (0.1, 1.0)}, {"C": (5.0, 9.0), "solver": ["liblinear"]}], enqueue=[{"C": 6.0}]
    ).fit(X, Y)
    assert found.cv_results_["params"][0] == {"C": 6.0, "solver": "liblinear"}

    def space(trial):
        return {"C": 10 ** trial.suggest_float("power", -2, 2)}

    assert search(space=space, enqueue=[{"power": 1.0}]).fit(X, Y).cv_results_["params"][0] == {
        "C": 10.0
    }
    for wrong in ({"C": 1.0}, {"power": 9.0}):
        with pytest.raises(SktrainError, match="is nothing that the function"):
            search(space=space, enqueue=[wrong]).fit(X, Y)
    with pytest.raises(SktrainError, match="enqueue=True needs"):
        search(space=space, enqueue=True).fit(X, Y)


@pytest.mark.parametrize(
    ("enqueue", "message"),
    [
        ([{"C": 50.0}], r"enqueue[0] cannot be tried: C=50.0 is not in FloatDistribution"),
        (
            [{"C": 1.0}, {"c": 1.0}],
            "enqueue[1] cannot be tried: 'c' is not searched (searched: 'C')",
        ),
        ([{"C": "big"}], "C='big' is not in"),
        ([3], "list of non-empty dicts"),
    ],
)
def test_starting_points_outside_the_space_are_refused_before_any_fit(enqueue, message):
    Counting.fits = 0
    with pytest.raises(SktrainError, match=re.escape(message)):
        search(estimator=Counting(), enqueue=enqueue).fit(X, Y)
    assert Counting.fits == 0


@pytest.mark.parametrize("rv", ["poisson", "norm"])
def test_starting_points_of_scipy_distributions(rv):
    from scipy import stats

    from sktrain.search._spaces import Space

    value, frozen = (4, stats.poisson(6)) if rv == "poisson" else (1.25, stats.norm(0, 2))
    space = Space({"p": frozen})
    (sampled,) = space.opening([{"p": value}], None)
    study = optuna.create_study()
    study.enqueue_trial(sampled)
    assert space.params(study.ask(space.distributions))["p"] == pytest.approx(value)


class Unseeded(ClassifierMixin, BaseEstimator):
    """Draws from the global generators of torch and numpy, as a part without a random_state
    does."""

    network = torch.nn.Module  # a worker that opens this has torch loaded, as of every net

    def __init__(self, a=0):
        self.a = a

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.drawn_ = [float(torch.rand(1)), float(np.random.rand())]  # noqa: NPY002
        self.turned_ = sum(self.drawn_) > 1
        return self

    def predict(self, X):
        return self.classes_[((X[:, 0] > 0) ^ self.turned_).astype(int)]


def test_parts_that_cannot_be_seeded_draw_from_seeded_global_generators():
    before = torch.get_rng_state()
    one, two, other = (
        search(estimator=Unseeded(), space={"a": (0, 9)}, n_jobs=n, random_state=seed).fit(X, Y)
        for n, seed in [(1, 0), (2, 0), (1, 1)]
    )
    assert scores(one) == scores(two)
    assert one.best_estimator_.drawn_ == two.best_estimator_.drawn_
    assert one.best_estimator_.drawn_ != other.best_estimator_.drawn_
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_rule():
    """None takes a seed of (search, trial, fold); an int of the user's own stays, in every fit."""
    forest = {
        "estimator": RandomForestClassifier(5),
        "space": {"max_depth": [2]},
        "n_trials": 2,
        "pruner": False,
    }
    first, second = scores(search(**forest).fit(X, Y))
    assert first != second
    fixed = RandomForestClassifier(5, random_state=3)
    first, second = scores(search(**{**forest, "estimator": fixed}).fit(X, Y))
    assert first == second

"""OptunaSearchCV held to GridSearchCV's contract, to plain cross-validation, and to one result for
any number of workers."""

import pickle
import re
from types import SimpleNamespace
import warnings

import numpy as np
import optuna
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    TimeSeriesSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sktrain.exceptions import SktrainError
from sktrain.search import OptunaSearchCV
from sktrain.search._evaluate import DEAD
from sktrain.search._loop import nothing_finite

X, Y = make_classification(240, n_features=8, flip_y=0.2, random_state=0)
SPACE = {"C": (1e-5, 1e3, "log"), "solver": ["lbfgs", "newton-cg"]}


def search(**changes):
    settings = {"n_trials": 12, "random_state": 0, "cv": 5}
    return OptunaSearchCV(
        changes.pop("estimator", LogisticRegression()),
        changes.pop("space", SPACE),
        **{**settings, **changes},
    )


@pytest.fixture(scope="module")
def fitted():
    return search(pruner=False).fit(X, Y)


def comparable(results):
    """What must not depend on who computed it."""
    out = {}
    for name, column in results.items():
        if "time" not in name and name != "duration":
            out[name] = [repr(value) for value in column]
    return out


def test_columns_are_those_of_sklearn_and_three_more(fitted):
    theirs = (
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0], "solver": ["lbfgs"]})
        .fit(X, Y)
        .cv_results_
    )
    mine = fitted.cv_results_
    assert list(mine)[: len(theirs)] == list(theirs)
    assert list(mine)[len(theirs) :] == ["state", "duration", "pruned_fold"]
    for name in theirs:
        assert type(mine[name]) is type(theirs[name]), name
        assert getattr(mine[name], "dtype", None) == getattr(theirs[name], "dtype", None), name


def test_scores_are_those_of_plain_cross_validation(fitted):
    for params, mean in zip(fitted.cv_results_["params"], fitted.cv_results_["mean_test_score"]):
        assert mean == cross_val_score(LogisticRegression(**params), X, Y, cv=5).mean()
    assert fitted.best_score_ == fitted.cv_results_["mean_test_score"].max()
    assert fitted.best_params_ == fitted.cv_results_["params"][fitted.best_index_]


def test_attributes_and_methods_of_grid_search(fitted):
    grid = GridSearchCV(LogisticRegression(), {"C": [0.1]}).fit(X, Y)
    missing = {
        name for name in dir(grid) if not name.startswith("_") and name != "param_grid"
    } - set(dir(fitted))
    assert not missing
    assert fitted.score(X, Y) == fitted.best_estimator_.score(X, Y)
    np.testing.assert_array_equal(fitted.predict_proba(X), fitted.best_estimator_.predict_proba(X))
    assert fitted.n_features_in_ == 8
    assert list(fitted.classes_) == [0, 1]
    assert "OptunaSearchCV" in fitted._repr_html_()


def test_pickle_and_clone(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert len(again.study_.trials) == 12
    assert clone(fitted).get_params()["param_distributions"] == SPACE


def test_study_has_the_trials_in_the_order_of_the_rows(fitted):
    values = [trial.value for trial in fitted.study_.trials]
    np.testing.assert_array_equal(values, fitted.cv_results_["mean_test_score"])
    assert fitted.study_.best_trial.number == fitted.best_index_


@pytest.mark.parametrize(
    "pruner",
    [
        None,
        False,
        optuna.pruners.MedianPruner(n_startup_trials=3),
        optuna.pruners.HyperbandPruner(max_resource=5),
    ],
)
def test_two_workers_find_what_one_finds(pruner):
    one = search(pruner=pruner, n_jobs=1).fit(X, Y)
    two = search(pruner=pruner, n_jobs=2).fit(X, Y)
    assert comparable(one.cv_results_) == comparable(two.cv_results_)
    assert one.overfit_report_ == two.overfit_report_


@pytest.mark.slow
def test_a_dask_cluster_finds_what_one_worker_finds():
    distributed = pytest.importorskip("distributed")
    from joblib import parallel_config

    one = search().fit(X, Y)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        parallel_config(backend="dask"),
    ):
        there = search(n_jobs=-1).fit(X, Y)
    assert comparable(one.cv_results_) == comparable(there.cv_results_)


def test_seeds_reach_every_random_state_and_nothing_else():
    trees = [
        search(
            estimator=DecisionTreeClassifier(max_features=2),
            space={"max_depth": (1, 5)},
            random_state=seed,
        ).fit(X, Y)
        for seed in (3, 3, 4)
    ]
    assert comparable(trees[0].cv_results_) == comparable(trees[1].cv_results_)
    assert comparable(trees[0].cv_results_) != comparable(trees[2].cv_results_)
    np.testing.assert_array_equal(trees[0].predict_proba(X), trees[1].predict_proba(X))
    fixed = search(
        estimator=DecisionTreeClassifier(random_state=7), space={"max_depth": (1, 5)}
    ).fit(X, Y)
    assert fixed.best_estimator_.random_state == 7


def test_global_generators_are_left_alone():
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.RandomState(5).rand(3)
    search(n_trials=2).fit(X, Y)
    np.testing.assert_array_equal(np.random.rand(3), expected)  # noqa: NPY002


@pytest.mark.parametrize(
    "sampler",
    [
        optuna.samplers.RandomSampler(),
        optuna.samplers.TPESampler(seed=1),
        optuna.samplers.QMCSampler(),
    ],
)
def test_any_sampler_and_it_is_not_touched(sampler):
    state = pickle.dumps(sampler._rng._rng) if hasattr(sampler, "_rng") else None
    one, two = (
        search(space={"C": (0.01, 10.0)}, sampler=sampler, n_trials=6).fit(X, Y) for _ in range(2)
    )
    assert comparable(one.cv_results_) == comparable(two.cv_results_)
    assert len({params["C"] for params in one.cv_results_["params"]}) == 6
    if state is not None:
        assert pickle.dumps(sampler._rng._rng) == state


def test_a_seeded_sampler_seeds_the_search():
    a, b = (
        search(sampler=optuna.samplers.TPESampler(seed=1), random_state=None).fit(X, Y)
        for _ in range(2)
    )
    assert comparable(a.cv_results_) == comparable(b.cv_results_)


def test_grid_sampler_ends_when_the_grid_does():
    grid = optuna.samplers.GridSampler({"C": [0.1, 1.0, 10.0]})
    found = search(space={"C": [0.1, 1.0, 10.0]}, sampler=grid, n_trials=50).fit(X, Y)
    assert {params["C"] for params in found.cv_results_["params"]} == {0.1, 1.0, 10.0}
    assert len(found.cv_results_["params"]) < 10


def test_multimetric_refit_by_name_and_by_function():
    by_name = search(
        scoring=["accuracy", "neg_log_loss"], refit="neg_log_loss", return_train_score=True
    ).fit(X, Y)
    assert by_name.best_index_ == by_name.cv_results_["rank_test_neg_log_loss"].argmin()
    assert by_name.study_.best_trial.value == by_name.best_score_
    assert {"mean_train_accuracy", "split0_test_neg_log_loss"} <= set(by_name.cv_results_)
    assert set(by_name.scorer_) == {"accuracy", "neg_log_loss"}
    by_function = search(
        scoring={"a": "accuracy", "l": "neg_log_loss"},
        refit=lambda results: int(np.nanargmin(results["mean_test_a"])),
    ).fit(X, Y)
    assert by_function.best_index_ == np.nanargmin(by_function.cv_results_["mean_test_a"])
    assert not hasattr(by_function, "best_score_")
    unfitted = search(scoring=["accuracy", "neg_log_loss"], refit=False).fit(X, Y)
    assert not hasattr(unfitted, "best_estimator_")


def test_a_scorer_that_returns_a_dict():
    def both(estimator, X, y):
        return {"plain": estimator.score(X, y), "minus": -estimator.score(X, y)}

    found = search(scoring=both, refit="minus").fit(X, Y)
    assert found.best_score_ == np.nanmax(found.cv_results_["mean_test_minus"])


def test_metadata_is_routed_to_splitter_fit_and_score():
    class Recording(KFold):
        seen = None

        def split(self, X, y=None, groups=None, label_end_times=None):
            type(self).seen = label_end_times
            return super().split(X, y)

    weight = np.random.default_rng(0).random(len(X))
    with config_context(enable_metadata_routing=True):
        cv = Recording(4).set_split_request(label_end_times=True)
        model = LogisticRegression().set_fit_request(sample_weight=True)
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        found = search(estimator=model, cv=cv, scoring=scorer, pruner=False, n_trials=2).fit(
            X, Y, sample_weight=weight, label_end_times=np.arange(len(X))
        )
        theirs = cross_validate(
            clone(model).set_params(**found.cv_results_["params"][0]),
            X,
            Y,
            cv=KFold(4),
            scoring=scorer,
            params={"sample_weight": weight},
        )
    assert Recording.seen is not None
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"][0], theirs["test_score"].mean()
    )


def test_groups_without_routing():
    from sklearn.model_selection import GroupKFold

    found = search(cv=GroupKFold(3), n_trials=2).fit(X, Y, groups=np.arange(len(X)) % 7)
    assert found.n_splits_ == 3


class Fragile(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        if self.C > 1:
            raise ValueError("C is too large for me")
        return super().fit(X, y)


def test_failed_trials_have_a_state_and_never_win():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = search(estimator=Fragile(), space={"C": [0.1, 0.5, 2.0, 3.0]}).fit(X, Y)
    failed = found.cv_results_["state"] == "failed"
    assert 0 < failed.sum() < 12
    assert all(params["C"] > 1 for params, bad in zip(found.cv_results_["params"], failed) if bad)
    assert np.isnan(found.cv_results_["mean_test_score"][failed]).all()
    assert found.best_params_["C"] < 1
    assert any(
        issubclass(warning.category, FitFailedWarning) and "too large" in str(warning.message)
        for warning in caught
    )
    zero = search(estimator=Fragile(), space={"C": [0.1, 2.0]}, error_score=0.0).fit(X, Y)
    assert np.nanmin(zero.cv_results_["mean_test_score"]) == 0
    with pytest.raises(ValueError, match="too large for me"):
        search(estimator=Fragile(), space={"C": [2.0, 3.0]}, error_score="raise").fit(X, Y)


def test_when_every_trial_fails_the_first_cause_is_shown():
    with pytest.raises(SktrainError, match="All the 6 fits failed.+first in fold 0") as told:
        search(estimator=Fragile(), space={"C": (2.0, 3.0)}, n_trials=2, cv=3).fit(X, Y)
    text = str(told.value)
    assert re.search(r"trial 0, \{'C': \d\.\d+\}: ValueError: .*too large for me", text)
    assert "Traceback" not in text
    assert len(text.splitlines()) == 1
    assert isinstance(told.value.__cause__, ValueError)
    assert "too large for me" in str(told.value.__cause__)


class FailsOnLongFolds(LogisticRegression):
    def fit(self, X, y):
        if len(X) > 70:
            raise RuntimeError(f"C={self.C} is\n  not for long folds")
        return super().fit(X, y)


def test_causes_of_failed_fits_are_told_once_each():
    """Folds that cannot be fitted leave no trial with a score, though others could be."""
    with (
        warnings.catch_warnings(record=True) as caught,
        pytest.raises(SktrainError, match="None of 2 trials.+ on every fold: 2 of 4 fits") as told,
    ):
        search(
            estimator=FailsOnLongFolds(), space={"C": [0.5, 2.0]}, n_trials=2,
            cv=TimeSeriesSplit(2, test_size=30), pruner=False,
        ).fit(X[:120], Y[:120])  # fmt: skip
    assert [str(told.value).count(f"RuntimeError: C={c} is") for c in (0.5, 2.0)] == [1, 1]
    assert "1 fit failed with the following error, the first in fold 1 of trial 1" in str(told.value)
    assert isinstance(told.value.__cause__, RuntimeError)
    assert not [one for one in caught if issubclass(one.category, FitFailedWarning)]


@pytest.mark.filterwarnings("ignore:Scoring failed")
@pytest.mark.parametrize("scoring", ["one", {"a": "accuracy"}])
def test_when_the_scorer_raises_its_error_is_told(scoring):
    def bad(estimator, X, y):
        raise KeyError("no such column")

    several = isinstance(scoring, dict)
    failing = search(
        scoring={**scoring, "b": bad} if several else bad, refit="b" if several else True,
        n_trials=1,
    )  # fmt: skip
    told = "gave a finite score.+Scoring raised KeyError: 'no such column'"
    with pytest.raises(SktrainError, match=told) as refused:
        failing.fit(X, Y)
    assert isinstance(refused.value.__cause__, KeyError)


def test_when_the_scorer_never_gives_a_number():
    with pytest.raises(SktrainError, match="None of 12 trials gave a finite score"):
        search(scoring=lambda estimator, X, y: float("nan")).fit(X, Y)


def test_regression_pipeline_and_random_search_agree():
    A, b = make_regression(120, 5, noise=20.0, random_state=0)
    model = make_pipeline(StandardScaler(), Ridge())
    mine = search(estimator=model, space={"ridge__alpha": (1e-3, 1e3, "log")}, n_trials=20).fit(
        A, b
    )
    theirs = RandomizedSearchCV(
        model, {"ridge__alpha": np.logspace(-3, 3, 200)}, n_iter=20, random_state=0
    ).fit(A, b)
    assert mine.best_score_ >= theirs.best_score_ - 1e-3


def test_timeout_finishes_at_least_one_trial():
    found = search(n_trials=None, timeout=1e-6).fit(X, Y)
    assert 1 <= len(found.cv_results_["params"]) < 4


def test_callbacks_see_every_trial_and_may_stop_the_search():
    seen = []

    def stop_after_seven(study, trial):
        seen.append(trial.number)
        if trial.number == 6:
            study.stop()

    found = search(n_trials=30, callbacks=[stop_after_seven]).fit(X, Y)
    assert seen == list(range(8))  # to the end of its batch
    assert len(found.cv_results_["params"]) == 8


def test_more_trials_begin_with_the_same_ones():
    few, many = (search(n_trials=n).fit(X, Y) for n in (7, 13))
    assert [repr(p) for p in few.cv_results_["params"]] == [
        repr(p) for p in many.cv_results_["params"][:7]
    ]


class Interrupting(LogisticRegression):
    fits = 0

    def fit(self, X, y):
        type(self).fits += 1
        if type(self).fits == 30:
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_ctrl_c_keeps_what_is_finished_and_refits_the_best():
    Interrupting.fits = 0
    with pytest.warns(UserWarning, match="interrupted: 4 trials"):
        found = search(estimator=Interrupting(), pruner=False).fit(X, Y)
    assert len(found.cv_results_["params"]) == 4
    assert found.predict(X).shape == Y.shape


def test_ctrl_c_in_the_first_batch_is_passed_on():
    Interrupting.fits = 20
    with pytest.raises(KeyboardInterrupt):
        search(estimator=Interrupting()).fit(X, Y)


class Suicidal(LogisticRegression):
    def fit(self, X, y):
        import os
        import signal

        if self.C > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


def test_a_dead_worker_fails_its_trial_and_the_search_goes_on():
    with pytest.warns(FitFailedWarning, match="worker process died"):
        found = search(
            estimator=Suicidal(), space={"C": [0.1, 0.2, 2.0]}, n_jobs=2, n_trials=6, cv=3
        ).fit(X, Y)
    dead = np.array([params["C"] > 1 for params in found.cv_results_["params"]])
    assert dead.any()
    assert list(found.cv_results_["state"] == "failed") == list(dead)


def test_define_by_run_space():
    def space(trial):
        penalty = trial.suggest_categorical("kind", ["weak", "strong"])
        return {
            "C": trial.suggest_float("weak_C", 1, 100)
            if penalty == "weak"
            else trial.suggest_float("strong_C", 1e-3, 1)
        }

    found = search(space=space).fit(X, Y)
    assert list(found.cv_results_["params"][0]) == ["C"]
    assert {"kind"} <= set(found.study_.trials[0].params)


def test_inner_search_of_a_nested_cross_validation():
    scores = cross_val_score(search(n_trials=3), X, Y, cv=TimeSeriesSplit(3))
    assert np.isfinite(scores).all()
    found = search(n_trials=3).fit(X, Y)
    outer = found.nested_estimate(X, Y, cv=TimeSeriesSplit(3))
    np.testing.assert_array_equal(outer, scores)
    assert found.overfit_report_.nested_scores == tuple(scores)
    assert "nested" in found.overfit_report_.summary()


def test_quiet_unless_asked(capsys):
    search(n_trials=2).fit(X, Y)
    assert capsys.readouterr() == ("", "")
    search(n_trials=2, verbose=1).fit(X, Y)
    assert capsys.readouterr().out.count("trial ") == 2
    search(n_trials=2, progress_bar=True).fit(X, Y)
    assert "best" in capsys.readouterr().out


BAD = {
    "n_trials": ({"n_trials": 0}, "n_trials"),
    "fractional n_trials": ({"n_trials": 3.0}, "n_trials"),
    "no budget": ({"n_trials": None}, "would never end"),
    "empty space": ({"space": {}}, "nothing to search"),
    "crossed": ({"space": {"C": (2.0, 1.0)}}, "'C'.*low must be below high"),
    "equal": ({"space": {"C": (1.0, 1.0)}}, "low must be below high"),
    "log of zero": ({"space": {"C": (0.0, 1.0, "log")}}, "log scale needs low > 0"),
    "odd tuple": ({"space": {"C": (0.0, 1.0, "lin")}}, "'C'.*log"),
    "no numbers": ({"space": {"solver": ("lbfgs", "sag")}}, "write choices as a list"),
    "empty list": ({"space": {"C": []}}, "'C'.*empty"),
    "unknown parameter": ({"space": {"c": (0.1, 1.0)}}, "no parameter 'c'.*nearest.*'C'"),
    "unknown scorer": ({"scoring": "acuracy"}, "scoring"),
    "unknown refit": ({"scoring": ["accuracy", "f1"], "refit": "acc"}, "refit"),
    "unknown single refit": ({"scoring": "accuracy", "refit": "f1"}, "refit='f1' names no scorer"),
    "pruner": ({"pruner": True}, "pruner"),
    "no pruner": ({"pruner": "median"}, "pruner"),
    "one fold": (
        {"cv": [(np.arange(100), np.arange(100, 200))], "pruner": optuna.pruners.MedianPruner()},
        "1 fold",
    ),
    "no folder": ({"storage": "/nonexistent/folder/study.db"}, "cannot be written"),
    "folder": ({"storage": "/"}, "it is a folder"),
    "callback": ({"callbacks": [3]}, "callbacks"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_any_fit(case):
    changes, message = BAD[case]
    Interrupting.fits = 100
    with pytest.raises(ValueError, match=f"(?s){message}"):
        search(estimator=Interrupting(), **changes).fit(X, Y)
    assert Interrupting.fits == 100


def test_a_fit_that_killed_its_worker_is_not_repeated_for_the_error():
    folds = [{"fit_error": DEAD, "test_scores": np.nan}]
    with pytest.raises(SktrainError, match="All the 1 fits failed.+worker process died") as told:
        nothing_finite([SimpleNamespace(slot=0, params={"C": 2.0}, folds=folds)], runner=None)
    assert told.value.__cause__ is None

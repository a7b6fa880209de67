"""Spaces, pruning, the report and the optimizer, each against an answer worked out another way."""

import math

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
import pytest
from scipy import stats
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit, cross_val_score

from sktrain import BayesianHyperparameterOptimizer
from sktrain._statistics import expected_maximum
from sktrain.exceptions import SktrainError
from sktrain.search import FoldPruner, HyperparameterSearchSpace, OptunaSearchCV
from sktrain.search._overfit import assess
from sktrain.search._spaces import Space


@pytest.mark.parametrize(
    ("spelling", "distribution"),
    [
        ((0.1, 2.0), FloatDistribution(0.1, 2.0)),
        ((1, 5), IntDistribution(1, 5)),
        ((1, 5.0), FloatDistribution(1.0, 5.0)),
        ((1e-3, 1.0, "log"), FloatDistribution(1e-3, 1.0, log=True)),
        ((1, 64, "log"), IntDistribution(1, 64, log=True)),
        (["a", None, 3], CategoricalDistribution(["a", None, 3])),
        (IntDistribution(2, 8, step=2), IntDistribution(2, 8, step=2)),
        (stats.uniform(1, 3), FloatDistribution(1.0, 4.0)),
        (stats.loguniform(1e-3, 1.0), FloatDistribution(1e-3, 1.0, log=True)),
        (stats.randint(2, 9), IntDistribution(2, 8)),
    ],
)
def test_spellings(spelling, distribution):
    assert Space({"p": spelling}).distributions == {"p": distribution}


@pytest.mark.parametrize(
    "rv", [stats.norm(3, 2), stats.expon(scale=4), stats.poisson(6), stats.truncnorm(-1, 2)]
)
def test_other_scipy_distributions_are_sampled_through_their_quantiles(rv):
    space = Space({"p": rv})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.params(study.ask(space.distributions))["p"] for _ in range(400)]
    assert (
        stats.kstest(drawn, rv.cdf).pvalue > 0.001
        if hasattr(rv.dist, "pdf")
        else abs(np.mean(drawn) - rv.mean()) < 0.5
    )
    assert all(isinstance(value, int) for value in drawn) == hasattr(rv.dist, "pmf")


@pytest.mark.parametrize("n", [4, 8])
def test_the_opening_covers_every_range_more_evenly_than_chance(n):
    from sktrain.search._study import default_sampler

    space = {
        "a": FloatDistribution(0.0, 1.0),
        "b": FloatDistribution(1e-4, 1.0, log=True),
        "c": IntDistribution(1, 4),
        "d": CategoricalDistribution("xy"),
    }
    gaps = []
    for seed in range(20):
        study = optuna.create_study(sampler=default_sampler(seed))
        drawn = [study.ask(space).params for _ in range(n)]
        a, b = (
            sorted(row["a"] for row in drawn),
            sorted(1 + math.log10(row["b"]) / 4 for row in drawn),
        )
        gaps += [np.diff([0, *a, 1]).max(), np.diff([0, *b, 1]).max()]
        assert {row["d"] for row in drawn} == {"x", "y"}
        assert all(row["c"] in (1, 2, 3, 4) for row in drawn)
    chance = np.diff(
        np.sort(np.random.default_rng(0).random((500, n)), axis=1), prepend=0, append=1, axis=1
    ).max(axis=1)
    assert np.mean(gaps) < 0.8 * chance.mean()


def test_search_space_names_and_bounds():
    plain = HyperparameterSearchSpace().to_distributions()
    assert plain == {
        "lr": FloatDistribution(1e-5, 1e-2, log=True),
        "callbacks__weight_decay__base": FloatDistribution(1e-5, 1e-3, log=True),
        "module__dropout": FloatDistribution(0.1, 0.5),
        "batch_size": IntDistribution(16, 128, log=True),
        "module__hidden_size": IntDistribution(32, 512, log=True),
        "module__n_layers": IntDistribution(1, 4),
    }
    assert set(HyperparameterSearchSpace(dropout=None).to_distributions("net")) == {
        f"net__{name}" for name in plain
    } - {"net__module__dropout"}
    assert HyperparameterSearchSpace(hidden_dim=[32, 64]).distributions()[
        "hidden_dim"
    ] == CategoricalDistribution([32, 64])
    with pytest.raises(SktrainError, match="learning_rate.*low must be below high"):
        HyperparameterSearchSpace(learning_rate=(1e-2, 1e-4))


def test_search_space_drives_a_real_net_in_a_pipeline():
    from sklearn.pipeline import make_pipeline

    from sktrain.nets import MLPNetClassifier

    X, y = make_classification(120, n_features=5, random_state=0)
    space = HyperparameterSearchSpace(hidden_dim=(4, 8), num_layers=(1, 2))
    search = OptunaSearchCV(
        make_pipeline(MLPNetClassifier(max_epochs=2)),
        space,
        n_trials=2,
        cv=TimeSeriesSplit(2),
        random_state=0,
    )
    search.fit(X.astype(np.float32), y)
    net = search.best_estimator_[-1]
    assert net.lr == search.best_params_["mlpnetclassifier__lr"]
    assert isinstance(search.best_params_["mlpnetclassifier__module__hidden_size"], int)
    again = OptunaSearchCV(
        make_pipeline(MLPNetClassifier(max_epochs=2)),
        space,
        n_trials=2,
        cv=TimeSeriesSplit(2),
        random_state=0,
        n_jobs=2,
    )
    again.fit(X.astype(np.float32), y)
    np.testing.assert_array_equal(
        again.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"]
    )


def test_epochs_of_a_net_are_watched():
    from sktrain.nets import MLPNetClassifier

    X, y = make_classification(600, n_features=5, class_sep=2.0, random_state=0)
    X = X.astype(np.float32)
    space = {"lr": [1e-7, 1e-2]}
    settings = {"n_trials": 12, "cv": TimeSeriesSplit(2), "random_state": 0, "pruner": False}
    net = MLPNetClassifier(max_epochs=6)
    plain = OptunaSearchCV(net, space, **settings).fit(X, y)
    watched = OptunaSearchCV(
        net,
        space,
        epoch_pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
        **settings,
    ).fit(X, y)
    assert (plain.cv_results_["state"] == "complete").all()
    pruned = watched.cv_results_["state"] == "pruned"
    assert np.isnan(watched.cv_results_["mean_test_score"][pruned]).all()
    slow = np.array([params["lr"] == 1e-7 for params in watched.cv_results_["params"]])
    assert slow[4:].any()
    assert pruned[4:][slow[4:]].all()
    assert not pruned[:4].any()
    assert watched.best_params_ == {"lr": 1e-2}
    assert not any(
        "epoch_pruning" in str(name) for name, _ in watched.best_estimator_.callbacks or []
    )
    with pytest.raises(SktrainError, match="epoch_pruner"):
        OptunaSearchCV(
            LogisticRegression(), {"C": (0.1, 1.0)}, epoch_pruner=optuna.pruners.MedianPruner()
        ).fit(X, y)


def test_optimizer_finds_a_known_optimum_either_way():
    def bowl(params):
        return -((math.log10(params["learning_rate"]) + 3) ** 2) - (params["num_layers"] - 2) ** 2

    space = HyperparameterSearchSpace(
        weight_decay=None, dropout=None, batch_size=None, hidden_dim=None
    )
    up = BayesianHyperparameterOptimizer(search_space=space, n_trials=40, random_state=0)
    best = up.optimize(bowl, direction="maximize")
    assert abs(math.log10(best["learning_rate"]) + 3) < 0.5
    assert best["num_layers"] == 2
    assert len(up.study_.trials) == 40
    down = BayesianHyperparameterOptimizer(
        search_space=space, n_trials=40, random_state=0
    ).optimize(lambda params: -bowl(params), "minimize")
    assert down == best


def test_optimizer_objective_may_talk_to_the_trial():
    def objective(params):
        params.report(1.0, 0)
        return params.suggest_float("own", 0, 1)

    optimizer = BayesianHyperparameterOptimizer({"x": (0, 3)}, n_trials=3, random_state=0)
    assert set(optimizer.optimize(objective)) == {"x"}
    assert all(trial.intermediate_values == {0: 1.0} for trial in optimizer.study_.trials)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_trials": 0}, "n_trials"),
        ({"n_trials": 2.0}, "n_trials"),
        ({"search_space": {}}, "nothing to search"),
    ],
)
def test_optimizer_refuses(changes, message):
    with pytest.raises(SktrainError, match=message):
        BayesianHyperparameterOptimizer(**{"search_space": {"x": (0.0, 1.0)}, **changes}).optimize(
            lambda params: 0.0
        )
    with pytest.raises(SktrainError, match="direction"):
        BayesianHyperparameterOptimizer({"x": (0.0, 1.0)}).optimize(
            lambda params: 0.0, direction="up"
        )
    with pytest.raises(SktrainError, match="finite"):
        BayesianHyperparameterOptimizer({"x": (0.0, 1.0)}, n_trials=2).optimize(
            lambda params: float("nan")
        )


def study_of(rows):
    study = optuna.create_study(direction="maximize")
    for row in rows:
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                value=float(np.mean(row)),
                intermediate_values=dict(enumerate(row)),
            )
        )
    return study


def verdict(study, scores):
    trial = create_trial(state=TrialState.RUNNING, intermediate_values=dict(enumerate(scores)))
    return FoldPruner().prune(study, trial)


def test_bound_of_the_pruner_against_simulation():
    """The chance of overtaking, drawn instead of computed: many trials whose remaining leads follow
    the stated model."""
    rng = np.random.default_rng(0)
    rows = 0.7 + rng.normal(0, 0.01, (6, 5))
    rows[2] += 0.02
    study = study_of(rows)
    leads = rows[2] - np.delete(rows, 2, axis=0)
    freedom = 5 * 4
    spread = np.sqrt(((leads - leads.mean(axis=1, keepdims=True)) ** 2).sum() / freedom)
    for k in (1, 2, 3):
        for lag in (0.5, 1.0, 1.5, 2.0, 3.0, 5.0):
            own = rows[2][:k] - lag * spread
            total = k * lag * spread
            rest = 5 - k
            left = (
                rng.standard_t(freedom, 200_000) * spread * np.sqrt(rest + rest**2 / k)
                - rest * total / k
            )
            chance = np.mean(left > total)
            if not 0.04 < chance < 0.06:
                assert verdict(study, own) == (chance < 0.05), (k, lag, chance)


def test_pruner_spares_the_good_the_new_and_the_unknown():
    rows = 0.7 + np.random.default_rng(0).normal(0, 0.01, (8, 5))
    study = study_of(rows)
    assert verdict(study, [0.3])
    assert not verdict(study, [rows.max()])
    assert not verdict(study, [float("nan")])
    assert not verdict(study_of(rows[:3]), [0.3])
    assert not verdict(study_of([]), [0.3])


def test_pruned_trials_have_nan_and_the_last_rank_and_do_not_win():
    X, y = make_classification(300, flip_y=0.1, random_state=0)
    space = {"C": (1e-9, 1e3, "log")}
    full = OptunaSearchCV(
        LogisticRegression(),
        space,
        n_trials=30,
        cv=TimeSeriesSplit(6),
        random_state=0,
        scoring="neg_log_loss",
        pruner=False,
    ).fit(X, y)
    found = OptunaSearchCV(
        LogisticRegression(),
        space,
        n_trials=30,
        cv=TimeSeriesSplit(6),
        random_state=0,
        scoring="neg_log_loss",
    ).fit(X, y)
    results = found.cv_results_
    pruned = results["state"] == "pruned"
    assert pruned.sum() >= 3
    assert found.best_score_ > full.best_score_ - 0.003
    for row in np.flatnonzero(pruned):
        ran = [np.isfinite(results[f"split{fold}_test_score"][row]) for fold in range(6)]
        last = results["pruned_fold"][row]
        assert ran == [fold <= last for fold in range(6)]
        assert np.isnan(results["mean_test_score"][row])
        assert results["rank_test_score"][row] == results["rank_test_score"].max()
        params = results["params"][row]
        plain = cross_val_score(
            LogisticRegression(**params), X, y, cv=TimeSeriesSplit(6), scoring="neg_log_loss"
        )
        assert plain.mean() < found.best_score_
        np.testing.assert_array_equal(
            [results[f"split{fold}_test_score"][row] for fold in range(last + 1)], plain[: last + 1]
        )
    assert not np.ma.is_masked(results["pruned_fold"][pruned])
    assert results["pruned_fold"].mask[~pruned].all()
    assert all(
        trial.state == TrialState.PRUNED for trial, gone in zip(found.study_.trials, pruned) if gone
    )


def test_a_refit_function_that_picks_a_pruned_trial_is_refused():
    X, y = make_classification(300, flip_y=0.1, random_state=0)
    with pytest.raises(SktrainError, match="is pruned and has no mean"):
        OptunaSearchCV(
            LogisticRegression(),
            {"C": (1e-9, 1e3, "log")},
            n_trials=30,
            cv=TimeSeriesSplit(6),
            random_state=0,
            scoring="neg_log_loss",
            refit=lambda results: int(np.argmax(results["mean_test_score"])),
        ).fit(X, y)


def test_report_by_hand():
    scores = np.array([[0.60, 0.50], [0.62, 0.50], [0.61, 0.50], [0.63, 0.50]])
    report = assess(scores, np.full(4, 0.5), 0.25, n_trials=9)
    lead = scores[:, 0] - 0.5
    error = lead.std(ddof=1) * math.sqrt(1 / 4 + 0.25)
    one = stats.t(3).sf(lead.mean() / error)
    assert report.p_value == pytest.approx(1 - (1 - one) ** report.n_effective)
    assert (report.n_trials, report.n_complete, report.n_folds) == (9, 2, 4)
    assert report.best_score == pytest.approx(0.615)
    assert report.deflated_score == pytest.approx(
        0.615 - error * expected_maximum(report.n_effective, 3)
    )
    assert report.verdict == "edge"
    assert report.loss_probability == 0
    assert "verdict" in report.summary()
    assert assess(scores, None, 0.25).verdict == "cannot tell"
    assert assess(scores[:2], np.full(2, 0.5), 0.25).verdict == "cannot tell"


@pytest.mark.parametrize("noise", ["independent", "shared"])
def test_level_of_the_verdict_on_score_matrices_without_an_edge(noise):
    rng = np.random.default_rng(1)
    calls = 0
    for _ in range(400):
        scores = 0.5 + rng.normal(0, 0.03, (5, 25))
        if noise == "shared":
            scores = 0.5 + rng.normal(0, 0.03, (5, 1)) + rng.normal(0, 0.005, (5, 25))
        calls += assess(scores, np.full(5, 0.5), 0.25).has_edge
    assert calls <= 20  # 5 %


def test_report_baseline_is_the_dummy_of_every_fold():
    X, y = make_classification(200, weights=[0.7], random_state=0)
    found = OptunaSearchCV(
        LogisticRegression(),
        {"C": (0.1, 1.0)},
        n_trials=3, cv=4, random_state=0, scoring="neg_log_loss",
    ).fit(X, y)
    plain = cross_val_score(DummyClassifier(), X, y, cv=4, scoring="neg_log_loss")
    assert found.overfit_report_.baseline_score == pytest.approx(plain.mean())
    assert found.overfit_report_.verdict == "edge"

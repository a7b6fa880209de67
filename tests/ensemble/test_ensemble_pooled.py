"""The pool's weights are the best convex ones on rows its members did not see, and it holds
whatever classifies."""

from itertools import product
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import sktrain as st
from sktrain.datasets import make_market
from sktrain.ensemble._weights import pool_weights
from sktrain.exceptions import SktrainError, SktrainWarning

SMALL = {"max_epochs": 2, "module__hidden_size": 4, "module__n_layers": 1, "random_state": 0}


def linear(C=0.1):
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=500))


class Says(ClassifierMixin, BaseEstimator):
    """Says the first columns of X are its probabilities; notes the rows and metadata of every
    fit."""

    def __init__(self, columns=(0, 1, 2), log=None):
        self.columns = columns
        self.log = log

    def fit(self, X, y, sample_weight=None, label_end_times=None):
        self.classes_ = np.unique(y)
        if self.log is not None:
            self.log.append(
                {
                    "n": len(X),
                    "index": getattr(X, "index", None),
                    "attrs": getattr(y, "attrs", {}),
                    "ends": label_end_times,
                    "weight": sample_weight,
                }
            )
        return self

    def predict_proba(self, X):
        p = np.abs(np.asarray(X)[:, list(self.columns)]) + 1e-9
        return p / p.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def __deepcopy__(self, memo):
        return Says(self.columns, self.log)

    def __sklearn_clone__(self):
        return Says(self.columns, self.log)


@pytest.fixture(scope="module")
def market():
    made = make_market(900, signal=0.7, horizon=3, random_state=0)
    X = st.BarFeatures(windows=(5, 10)).fit_transform(made.bars).fillna(0)
    return X, made.y, made.probabilities


def random_said(seed, n=300, members=3):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.beta(2, 2, size=(n, members)), np.full(n, 1 / 3)]), rng.random(
        n
    ) + 0.5


@pytest.mark.parametrize("seed", range(5))
def test_before_shrinking_the_weights_are_the_optimum_on_the_simplex(seed):
    """Against scipy's SLSQP; with so many rows nothing is shrunk."""
    said, weight = random_said(seed)
    found = pool_weights(said, weight, 1e9)
    w = weight / weight.sum()

    def loss(v):
        return -w @ np.log(said @ v)

    bounds, whole = [(0, 1)] * 4, {"type": "eq", "fun": lambda v: v.sum() - 1}
    best = minimize(
        loss,
        np.full(4, 0.25),
        method="SLSQP",
        bounds=bounds,
        constraints=[whole],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert loss(found) <= best.fun + 1e-8
    np.testing.assert_allclose(found, best.x, atol=2e-3)


def test_weights_by_brute_force():
    said, weight = random_said(11, members=2)
    grid = [
        (a / 50, b / 50, 1 - (a + b) / 50) for a, b in product(range(51), repeat=2) if a + b <= 50
    ]
    loss = [-(weight @ np.log(said @ np.array(v) + 1e-300)) for v in grid]
    np.testing.assert_allclose(
        pool_weights(said, weight, 1e9), grid[int(np.argmin(loss))], atol=0.03
    )


def test_shrinking_by_hand():
    """One member that says .75 of every class, the prior says .5: it gains n log 1.5, chance a
    quarter."""
    said = np.tile([0.75, 0.5], (10, 1))
    gain = 10 * np.log(1.5)
    np.testing.assert_allclose(
        pool_weights(said, np.ones(10), 10.0)[0], gain / (gain + 0.25), atol=1e-3
    )
    np.testing.assert_allclose(
        pool_weights(said, np.ones(10), 2.0)[0], gain / 5 / (gain / 5 + 0.25), atol=1e-3
    )
    # a member worse than the prior gets nothing
    assert pool_weights(said[:, ::-1], np.ones(10), 10.0)[1] > 0.99
    np.testing.assert_array_equal(pool_weights(said, np.ones(10), 0.0), [0, 1])


def test_a_member_that_says_zero_costs_nothing_but_its_weight():
    said = np.array([[0.0, 0.5]] + [[0.9, 0.5]] * 99)
    found = pool_weights(said, np.ones(100), 1e6)
    assert np.isfinite(np.log(said @ found)).all()
    assert 0 < found[1] < 0.1


def test_the_probabilities_are_the_weighted_mean(market):
    X, y, _ = market
    pool = st.PooledClassifier([("linear", linear()), ("bayes", GaussianNB())]).fit(X, y)
    assert pool.weights_.shape == (3,)
    assert pool.weights_.sum() == pytest.approx(1)
    assert (pool.weights_ >= 0).all()
    parts = [
        pool.named_estimators_["linear"].predict_proba(X),
        pool.named_estimators_["bayes"].predict_proba(X),
        pool.prior_[None],
    ]
    expected = sum(w * p for w, p in zip(pool.weights_, parts))
    np.testing.assert_allclose(pool.predict_proba(X), expected)
    np.testing.assert_array_equal(pool.predict(X), pool.classes_[expected.argmax(axis=1)])
    assert list(pool.named_weights_) == ["linear", "bayes", "prior"]
    counts = np.bincount(y) + 1
    np.testing.assert_allclose(pool.prior_, counts / counts.sum())


def test_weights_are_learned_after_the_members_on_the_purged_last_block(market):
    X, y, _ = market
    log = []
    pool = st.PooledClassifier(
        [("says", Says(log=log)), ("linear", linear())], valid_fraction=0.25
    ).fit(X, y)
    first, last = log
    n_valid = round(0.25 * 900)
    assert last["n"] == 900
    # labels look three bars ahead: three more rows are purged
    assert first["n"] == 900 - n_valid - 3
    assert first["index"].equals(X.index[: 900 - n_valid - 3])
    assert first["attrs"] == {"label_horizon": 3}
    train, valid = pool.validation_.train, pool.validation_.valid
    np.testing.assert_array_equal(valid, np.arange(900 - n_valid, 900))
    member = linear().fit(X.iloc[train], y.iloc[train])
    counts = np.bincount(y.iloc[train]) + 1
    said = [
        Says().fit(X, y).predict_proba(X),
        member.predict_proba(X),
        np.tile(counts / counts.sum(), (900, 1)),
    ]
    came = np.column_stack([p[valid, y.iloc[valid]] for p in said])
    np.testing.assert_allclose(
        pool.weights_, pool_weights(came, np.ones(n_valid), n_valid / 3), atol=1e-9
    )
    assert pool.validation_.share == pytest.approx(1 / 3)


def test_without_refit_the_members_never_see_the_last_block(market):
    X, y, _ = market
    log = []
    pool = st.PooledClassifier([("says", Says(log=log))], refit=False).fit(X, y)
    assert [entry["n"] for entry in log] == [900 - 180 - 3]
    assert pool.estimators_[0].classes_.tolist() == [0, 1, 2]


def test_the_truth_gets_the_weight_and_noise_gets_none(market):
    X, y, truth = market
    X = pd.DataFrame(
        np.column_stack([truth, np.random.default_rng(0).dirichlet([1, 1, 1], 900)]), index=X.index
    )
    pool = st.PooledClassifier([("truth", Says()), ("noise", Says((3, 4, 5)))]).fit(X, y)
    assert pool.named_weights_["truth"] > 0.8
    assert pool.named_weights_["noise"] < 0.1


def test_where_nothing_can_be_found_the_prior_gets_the_weight():
    """Overfitted members cost the pool next to nothing, in the mean over five markets."""
    lost, kept = [], []
    for seed in range(5):
        made = make_market(2400, signal=0, random_state=seed)
        X = st.BarFeatures(windows=(5, 10)).fit_transform(made.bars).fillna(0)
        members = [("linear", linear(10)), ("forest", RandomForestClassifier(10, random_state=0))]
        pool = st.PooledClassifier(members).fit(X.iloc[:1600], made.y.iloc[:1600])
        later = made.y.iloc[1601:]
        alone = np.tile(pool.prior_, (len(later), 1))
        lost.append(log_loss(later, pool.predict_proba(X.iloc[1601:])) - log_loss(later, alone))
        kept.append(pool.named_weights_["prior"])
    assert np.mean(lost) < 0.003
    assert np.mean(kept) > 0.8


def test_a_member_does_not_know_a_class():
    """A class that a member's own resampling lost counts as impossible for it, not for the pool."""

    class Blind(GaussianNB):
        def fit(self, X, y):
            keep = np.asarray(y) != "b"
            return super().fit(X[keep], np.asarray(y)[keep])

    rng = np.random.default_rng(0)
    y = np.array(list("abc"))[rng.integers(3, size=400)]
    X = rng.normal(size=(400, 2))
    pool = st.PooledClassifier([("blind", Blind()), ("linear", linear())], horizon=0).fit(X, y)
    proba = pool.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (proba[:, 1] > 0).all()
    assert set(pool.classes_) == set("abc")


def test_too_few_rows_count_members_and_prior_alike_and_say_so(market):
    X, y, _ = market
    with pytest.warns(
        SktrainWarning,
        match=r"no rows to learn weights on \(20% of 60 rows are fewer than 20\): its 2 members",
    ):
        pool = st.PooledClassifier([("a", linear()), ("b", GaussianNB())], refit=False).fit(
            X[:60], y[:60]
        )
    np.testing.assert_allclose(pool.weights_, 1 / 3)
    assert pool.validation_.valid is None


def test_parameters_of_members_are_reached_as_in_a_vote(market):
    X, y, _ = market
    pool = st.PooledClassifier([("a", LogisticRegression()), ("b", GaussianNB())])
    assert pool.get_params()["a__C"] == 1.0
    pool.set_params(a__C=0.5, b="drop").fit(X, y)
    assert pool.named_estimators_["a"].C == 0.5
    assert list(pool.named_weights_) == ["a", "prior"]
    assert clone(pool).get_params()["a__C"] == 0.5
    assert "LogisticRegression" in pool._repr_html_()


@pytest.mark.parametrize(
    ("estimators", "words"),
    [
        ([("prior", GaussianNB())], '"prior" is taken'),
        ([("svc", LinearSVC())], "'svc' is a LinearSVC, which has no predict_proba"),
        ([], "estimators"),
        ([("a", "drop")], "dropped"),
        ([("a", st.BarFeatures())], "should be a classifier"),
    ],
)
def test_members_that_cannot_be_pooled_are_refused(market, estimators, words):
    X, y, _ = market
    with pytest.raises(ValueError, match=words):
        st.PooledClassifier(estimators).fit(X, y)


@pytest.mark.parametrize(
    "params",
    [
        {"valid_fraction": 1.0},
        {"valid_fraction": True},
        {"horizon": -1},
        {"refit": 1.5},
        {"n_jobs": 0},
    ],
)
def test_bad_parameters_are_refused_by_name(market, params):
    X, y, _ = market
    with pytest.raises(ValueError, match=next(iter(params))):
        st.PooledClassifier([("a", GaussianNB())], **params).fit(X, y)


def test_a_fit_that_fails_leaves_the_pool_as_it_was(market):
    X, y, _ = market
    pool = st.PooledClassifier([("a", GaussianNB())]).fit(X, y)
    before = pool.predict_proba(X)
    with pytest.raises(ValueError, match="NaN"):
        pool.fit(X.replace(0, np.nan), y)
    np.testing.assert_array_equal(pool.predict_proba(X), before)
    with pytest.raises(NotFittedError):
        st.PooledClassifier([("a", GaussianNB())]).predict(X)


@pytest.mark.filterwarnings("error::sktrain.exceptions.UnknownHorizonWarning")
def test_the_farthest_horizon_of_the_members_purges():
    """The 4 rows before the block have labels that end in it."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    nets = [
        (str(h), st.MLPNetClassifier(max_epochs=1, random_state=0, horizon=h)) for h in (4, 2)
    ]
    block = st.PooledClassifier(nets).fit(X, y).validation_
    assert block.valid.min() - block.train.max() == 5


def test_a_horizon_shorter_than_what_labels_say_is_refused(market):
    X, y, _ = market
    with pytest.raises(SktrainError, match="horizon=1 bars is shorter"):
        st.PooledClassifier([("a", GaussianNB())], horizon=1).fit(X, y)


# ---------------------------------------------------------------- metadata


def told(n):
    times = pd.bdate_range("2020", periods=n)
    return {
        "sample_weight": np.linspace(0.5, 1.5, n),
        "label_end_times": times[np.minimum(np.arange(n) + 20, n - 1)],
        "times": times,
    }


@pytest.mark.parametrize("routing", [False, True])
def test_metadata_reaches_the_members_that_take_it_and_the_pool(market, routing):
    X, y = market[0].to_numpy(), market[1].to_numpy()
    log, known = [], told(900)
    says, other = Says(log=log), GaussianNB()
    with config_context(enable_metadata_routing=routing):
        if routing:
            says.set_fit_request(sample_weight=True, label_end_times=True)
            other.set_fit_request(sample_weight=True)
            Says.__sklearn_clone__, kept = (lambda self: self), Says.__sklearn_clone__
        try:
            pool = st.PooledClassifier([("says", says), ("other", other)]).fit(X, y, **known)
        finally:
            if routing:
                Says.__sklearn_clone__ = kept
    assert pool.validation_.n_purged == 20
    train = pool.validation_.train
    first, last = log
    np.testing.assert_array_equal(first["weight"], known["sample_weight"][train])
    assert first["ends"].equals(known["label_end_times"][train])
    np.testing.assert_array_equal(last["weight"], known["sample_weight"])
    shares = np.bincount(y, known["sample_weight"]) + 1
    np.testing.assert_allclose(pool.prior_, shares / shares.sum())


def test_what_no_member_takes_or_requests_is_refused(market):
    X, y, _ = market
    pool = st.PooledClassifier([("a", GaussianNB())])
    with pytest.raises(SktrainError, match="GaussianNB takes no colour in fit"):
        pool.fit(X, y, colour=np.ones(900))
    with config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            pool.fit(X, y, sample_weight=np.ones(900))
        with pytest.raises(TypeError, match="colour"):
            pool.fit(X, y, colour=np.ones(900))


def test_a_cross_validation_routes_to_the_pool(market):
    X, y = market[0].to_numpy(), market[1].to_numpy()
    known = told(900)
    cv = st.TemporalSplitter(embargo_bars=0)
    with config_context(enable_metadata_routing=True):
        net = st.MLPNetClassifier(**SMALL).set_fit_request(label_end_times=True, times=True)
        pool = st.PooledClassifier([("net", net), ("linear", linear())])
        scores = cross_val_score(
            pool, X, y, cv=cv,
            params={"label_end_times": known["label_end_times"], "times": known["times"]},
            error_score="raise",
        )
    assert np.isfinite(scores).all()


# ---------------------------------------------------------------- composed


@pytest.fixture(scope="module")
def deep():
    """A pool of nets and a linear model on windows of a panel's bars."""
    made = make_market(260, 2, signal=0.7, random_state=1)
    nets = [("gru", st.GRUClassifier(**SMALL)), ("mlp", st.MLPNetClassifier(**SMALL))]
    steps = [
        ("features", st.BarFeatures(windows=(5,))),
        ("window", st.SlidingWindow(4)),
        ("pool", st.PooledClassifier(nets)),
    ]
    return Pipeline(steps).fit(made.bars, made.y), made


def test_a_panel_is_cut_between_times(deep):
    model, made = deep
    block = model[-1].validation_
    times = made.bars.index.get_level_values("time")
    assert len(block.valid) == 2 * 52
    assert times[block.train].max() < times[block.valid].min()


def test_it_is_saved_dumped_and_opened_elsewhere(deep, tmp_path):
    model, made = deep
    expected = model.predict_proba(made.bars[-20:])
    joblib.dump((model, made.bars[-20:]), tmp_path / "model.joblib")
    st.save(model, tmp_path / "model.sktrain")
    np.testing.assert_allclose(
        st.load(tmp_path / "model.sktrain").predict_proba(made.bars[-20:]), expected, atol=1e-6
    )
    code = (
        "import joblib, sys, numpy as np, sktrain; f = sys.argv[1]; model, X = joblib.load(f + "
        "'/model.joblib');"
        "two = sktrain.load(f + '/model.sktrain'); "
        "np.testing.assert_allclose(two.predict_proba(X), model.predict_proba(X), atol=1e-6);"
        "print(two[-1].weights_.tolist() == model[-1].weights_.tolist())"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert run.stdout.strip() == "True", run.stderr


def test_it_is_pruned_quantized_and_exported(deep, tmp_path):
    pytest.importorskip("onnxruntime")
    import onnxruntime

    model, made = deep
    pool = model[-1]
    X = np.asarray(model[:-1].transform(made.bars[-30:]), dtype=np.float32)
    before = pool.predict_proba(X)
    small = st.ModelQuantizer().quantize_model(model, made.bars[-60:])
    assert np.abs(small.predict_proba(made.bars[-30:]) - before).max() < 0.05
    path = st.export_onnx(model, tmp_path / "pool.onnx")
    (said,) = onnxruntime.InferenceSession(str(path)).run(None, {"X": X})
    np.testing.assert_allclose(said, before, atol=1e-5)
    with pytest.raises(SktrainError, match="cannot be exported"):
        st.export_onnx(
            st.PooledClassifier([("net", st.MLPNetClassifier(**SMALL)), ("linear", linear())]).fit(
                X[:, -1], [0, 1] * 15
            ),
            path,
        )


def test_nets_in_a_pool_with_other_models_are_pruned_by_their_rows(market):
    X, y, _ = market
    pool = st.PooledClassifier(
        [("net", st.MLPNetClassifier(**{**SMALL, "module__hidden_size": 16})), ("linear", linear())]
    )
    small = st.CompressedClassifier(pool, sparsity=0.5, fine_tune_epochs=1).fit(X, y)
    assert small.sparsity_ == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(small.predict_proba(X).sum(axis=1), 1, atol=1e-6)
    assert small.model_.named_estimators_["linear"] is not None


def test_seeds(market):
    X, y, _ = market
    members = [
        ("forest", RandomForestClassifier(5)),
        ("net", st.MLPNetClassifier(**{**SMALL, "random_state": None})),
    ]
    one, same, other = (
        st.PooledClassifier(members, random_state=seed).fit(X, y).predict_proba(X)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3
    assert members[0][1].random_state is None


def test_members_fitted_by_two_are_those_fitted_by_one(market):
    X, y, _ = market
    pool = st.PooledClassifier([("a", linear()), ("b", RandomForestClassifier(5, random_state=0))])
    np.testing.assert_array_equal(
        clone(pool).set_params(n_jobs=2).fit(X, y).predict_proba(X), pool.fit(X, y).predict_proba(X)
    )


def test_it_is_searched_and_audited(market):
    X, y, _ = market
    pool = st.PooledClassifier([("a", linear()), ("b", GaussianNB())])
    cv = st.EnhancedWalkForwardCV(2, embargo_bars=0, ensure_regime_coverage=False)
    search = st.OptunaSearchCV(
        pool,
        {"a__logisticregression__C": (1e-3, 1.0, "log")},
        n_trials=2, cv=cv, scoring="neg_log_loss", random_state=0,
    ).fit(X, y)
    assert np.isfinite(search.best_score_)
    made = make_market(600, signal=0.5, horizon=2, random_state=3)
    model = make_pipeline(
        st.BarFeatures(windows=(5,)),
        st.PooledClassifier([("a", make_pipeline(StandardScaler(), st.MLPNetClassifier(**SMALL)))]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = st.LeakageValidator(budget="quick", verbose=0).audit(model, made.bars, made.y, cv)
    assert report.status in ("PASS", "INCONCLUSIVE"), report.summary()

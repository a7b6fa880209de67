"""The meta-estimator (scikit-learn's checks are in test_common): the limit on the score,
fine-tuning, files that open without torch."""

import copy
import pickle
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
import torch

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    CompressedClassifier,
    EnhancedWalkForwardCV,
    GRUClassifier,
    MLPNetClassifier,
    ModelPruner,
    OptunaSearchCV,
    SlidingWindow,
    load,
    save,
)
from sktrain.compression import (
    CompressionReport,
    QuantizedClassifier,
    UnavailableEstimator,
    compress_model,
)
from sktrain.compression._fine_tuning import fine_tune
from sktrain.exceptions import SktrainError, SktrainWarning, TrainingDivergedError

SMALL = {"max_epochs": 20, "lr": 0.02, "random_state": 0, "module__hidden_size": 32}
NO_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "skorch", "onnx"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import joblib, numpy as np, sktrain
X, expected = np.load(sys.argv[1]), np.load(sys.argv[2])
for model in (joblib.load(sys.argv[3]), sktrain.load(sys.argv[4])):
    assert np.array_equal(model.predict_proba(X), expected)
    joblib.dump(model, sys.argv[3])
    try:
        model.estimator.fit(X, X)
    except ImportError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def fitted(windows):
    X, y = windows
    return CompressedClassifier(
        GRUClassifier(max_epochs=3, random_state=0), sparsity=0.6, fine_tune_epochs=4
    ).fit(X, y)


def test_what_it_says_is_what_it_did(fitted):
    assert isinstance(fitted.model_, QuantizedClassifier)
    assert fitted.model_.n_zeros_ / fitted.model_.n_weights_ >= 0.59
    assert (fitted.sparsity_, fitted.bits_) == (pytest.approx(0.6, abs=0.01), 8)
    report = fitted.report_
    assert report["n_rows"] == 90
    assert report["after"]["size_bytes"] < 0.5 * report["before"]["size_bytes"]
    for name in (
        "latency_ms", "latency_256_ms", "balanced_accuracy", "log_loss", "calibration_error",
    ):
        assert np.isfinite([report["before"][name], report["after"][name]]).all()
    assert 0 <= report["agreement"] <= 1
    assert set(report) == set(report.to_dict()) == set(CompressionReport.__dataclass_fields__)
    assert "times smaller" in report.summary()


def test_calibration_error_against_a_loop():
    from sktrain.compression._report import _calibration_error

    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 500)
    y = np.array(["a", "b", "c"])[rng.integers(0, 3, 500)]
    total = 0.0
    for k in range(10):
        inside = [i for i in range(500) if k / 10 <= p[i].max() < (k + 1) / 10]
        if inside:
            hits = np.mean([np.array(["a", "b", "c"])[p[i].argmax()] == y[i] for i in inside])
            total += len(inside) / 500 * abs(hits - np.mean([p[i].max() for i in inside]))
    assert _calibration_error(y, p, np.array(["a", "b", "c"])) == pytest.approx(total)


def test_fine_tuning_keeps_the_schedule_and_the_mask_and_leaves_nothing_behind(windows):
    X, y = windows
    net = GRUClassifier(max_epochs=3, random_state=0, callbacks__clip__max_norm=2.0).fit(
        X[:300], y[:300]
    )
    before, params, state = len(net.history_), net.get_params(deep=False), torch.get_rng_state()
    seen = []

    class Watched(torch.optim.Adam):
        def zero_grad(self, set_to_none=True):
            weights = [w for name, w in net.module_.named_parameters() if w.ndim > 1]
            seen.append(sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights))
            super().zero_grad(set_to_none)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "Adam", Watched)
        reached = fine_tune(net, X[:300], target=0.8, epochs=8)
    per_epoch = seen[:: len(seen) // 8]
    np.testing.assert_allclose(
        per_epoch, [0.4625, 0.7, 0.7875, 0.8, 0.8, 0.8, 0.8, 0.8], atol=0.002
    )
    assert np.ptp(seen[-12:]) == 0
    assert reached == pytest.approx(seen[-1])
    assert len(net.history_) == before
    assert net.get_params(deep=False) == params
    assert torch.equal(torch.get_rng_state(), state)
    copy.deepcopy(net)
    pickle.dumps(net)


def test_fine_tuning_wants_no_labels_and_brings_the_answers_back(kind, smooth_nets, smooth_windows):
    X = smooth_windows[0]
    net = smooth_nets[kind]
    at_once, slow = copy.deepcopy(net), copy.deepcopy(net)
    ModelPruner(0.8).prune_model(at_once)
    assert fine_tune(slow, X[:300], target=0.8, epochs=10) == pytest.approx(0.8, abs=0.01)
    apart = [
        np.abs(one.predict_proba(X[300:]) - net.predict_proba(X[300:])).mean()
        for one in (slow, at_once)
    ]
    assert apart[0] < 0.5 * apart[1]


def test_fine_tuning_repeats_bit_for_bit_and_keeps_zeros_it_finds(windows):
    X, y = windows
    net = MLPNetClassifier(max_epochs=3, random_state=0).fit(X[:300], y[:300])
    ModelPruner(0.7).prune_model(net)
    found = []
    for _ in range(2):
        one = copy.deepcopy(net)
        assert fine_tune(one, X[:300], target=0.2, epochs=2) == pytest.approx(0.7, abs=0.01)
        found.append(one.predict_proba(X))
    np.testing.assert_array_equal(*found)
    # nothing was lost, so there is nothing to learn
    assert np.abs(found[0] - net.predict_proba(X)).max() < 1e-3


def test_whole_units_can_go_and_the_answers_come_back(windows):
    """Fine-tuning takes back about half of what pruning changed; how much differs by seed (.33 to
    .66), so four are asked."""
    X, y = windows
    left = []
    for seed in range(4):
        net = GRUClassifier(max_epochs=20, lr=0.02, random_state=seed, module__hidden_size=32).fit(
            X[:400], y[:400]
        )
        raw = copy.deepcopy(net)
        ModelPruner(0.5, structured=True).prune_model(raw)
        model = CompressedClassifier(
            clone(net), sparsity=0.5, fine_tune_epochs=20, structured=True, bits=None
        ).fit(X[:400], y[:400])
        assert model.model_.module_.hidden_size == raw.module_.hidden_size < 32
        assert model.sparsity_ == pytest.approx(0.5, abs=0.05)
        expected = net.predict_proba(X[400:])
        changed = [np.abs(one.predict_proba(X[400:]) - expected).mean() for one in (model, raw)]
        left.append(changed[0] / changed[1])
    assert np.mean(left) < 0.5
    assert max(left) < 0.75


def test_a_rate_that_diverges_is_an_error(windows):
    X, y = windows
    net = MLPNetClassifier(max_epochs=1, random_state=0).fit(X[:300], y[:300])
    net.lr = 1e30
    with pytest.raises(TrainingDivergedError, match="lower lr=1e"):
        fine_tune(net, X[:300], target=0.5, epochs=3)


def test_the_mildest_that_is_needed_is_taken_and_said(windows, monkeypatch):
    X, y = windows
    model = CompressedClassifier(
        MLPNetClassifier(**SMALL), sparsity=0.8, max_score_drop=0.05, validation=0.2
    )
    drops = {0.8: 0.3, 0.6: 0.2, 0.4: 0.04, 0.2: 0.0}
    real = CompressedClassifier._compressed
    current = {}

    def watched(self, model, level, *rest):
        current["level"] = level
        return real(self, model, level, *rest)

    monkeypatch.setattr(CompressedClassifier, "_compressed", watched)
    monkeypatch.setattr(
        "sklearn.metrics.get_scorer",
        lambda name: (
            lambda model, X, y: 0.7 - (drops[round(current["level"][0], 6)] if current else 0)
        ),
    )
    with pytest.warns(
        SktrainWarning,
        match=r"sparsity=0.8, bits=8 lowers balanced_accuracy by 0.3000 .* sparsity=0.4, bits=8 is used",
    ):
        model.fit(X, y)
    assert model.sparsity_ == pytest.approx(0.4, abs=0.01)


def test_nothing_holds_gives_float_weights(windows, monkeypatch):
    X, y = windows
    scores = iter([0.9] + [0.1] * 9)
    monkeypatch.setattr("sklearn.metrics.get_scorer", lambda name: lambda model, X, y: next(scores))
    with pytest.warns(SktrainWarning, match="bits=None is used"):
        model = CompressedClassifier(MLPNetClassifier(**SMALL), max_score_drop=0.0).fit(X, y)
    assert (model.sparsity_, model.bits_) == (0.0, None)
    assert isinstance(model.model_, MLPNetClassifier)
    assert model.report_["agreement"] == 1.0


def test_a_generous_limit_changes_nothing(windows):
    X, y = windows
    with warnings.catch_warnings():
        warnings.simplefilter("error", SktrainWarning)
        held = CompressedClassifier(
            MLPNetClassifier(**SMALL, horizon=1), max_score_drop=1.0, horizon=1
        ).fit(X, y)
        free = CompressedClassifier(MLPNetClassifier(**SMALL, horizon=1), horizon=1).fit(X, y)
    np.testing.assert_array_equal(held.predict_proba(X), free.predict_proba(X))


def test_sparsity_can_be_searched(windows):
    """The search finds what scoring each candidate by hand finds."""
    X, y = windows
    model = CompressedClassifier(MLPNetClassifier(**{**SMALL, "lr": 0.02}))
    search = GridSearchCV(model, {"sparsity": [0.0, 0.5, 0.95]}, cv=2).fit(X, y)
    by_hand = [
        cross_val_score(clone(model).set_params(sparsity=share), X, y, cv=2).mean()
        for share in (0.0, 0.5, 0.95)
    ]
    assert len(set(by_hand)) > 1
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand)
    assert search.best_index_ == int(np.argmax(by_hand))


def test_sparsity_is_tuned_on_bars_under_walk_forward(sp500):
    bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.01).fit_resample(sp500.iloc[:900])
    net = MLPNetClassifier(max_epochs=2, random_state=0, module__hidden_size=16)
    model = CompressedClassifier(
        Pipeline(
            [
                ("features", BarFeatures(windows=(5, 10))),
                ("window", SlidingWindow(lookback=4)),
                ("net", net),
            ]
        )
    )
    cv = EnhancedWalkForwardCV(n_splits=2, ensure_regime_coverage=False)
    search = OptunaSearchCV(
        model, {"sparsity": (0.0, 0.9), "bits": [4, 8]}, n_trials=3, cv=cv, random_state=0
    ).fit(bars, y)
    assert 0 <= search.best_params_["sparsity"] <= 0.9
    assert search.best_estimator_.sparsity_ == pytest.approx(
        search.best_params_["sparsity"], abs=0.02
    )
    assert search.best_estimator_.bits_ == search.best_params_["bits"]
    assert np.isfinite(search.predict_proba(bars.iloc[-50:])).all()


def test_pipelines_votes_and_weights_are_followed():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 3))
    y = np.where(X[:, 0] > 0, "b", "a")
    vote = VotingClassifier(
        [
            ("one", MLPNetClassifier(**SMALL)),
            ("two", MLPNetClassifier(**{**SMALL, "random_state": 1})),
        ],
        voting="soft",
    )
    pipe = Pipeline([("window", SlidingWindow(lookback=2)), ("net", vote)])
    model = CompressedClassifier(pipe, fine_tune_epochs=2).fit(X, y)
    assert model.score(X, y) > 0.8
    assert all(isinstance(one, QuantizedClassifier) for one in model.model_[-1].estimators_)
    weight = rng.random(240)
    weighted = CompressedClassifier(Pipeline([("net", MLPNetClassifier(**SMALL))])).fit(
        X, y, sample_weight=weight
    )
    plain = CompressedClassifier(MLPNetClassifier(**SMALL)).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(weighted.predict_proba(X), plain.predict_proba(X))


def test_without_torch_both_files_open_and_predict(fitted, windows, tmp_path):
    X = windows[0]
    joblib.dump(fitted, tmp_path / "m.joblib")
    save(fitted, tmp_path / "m.sktrain", probe=X[:8])
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "p.npy", fitted.predict_proba(X))
    files = [str(tmp_path / name) for name in ("X.npy", "p.npy", "m.joblib", "m.sktrain")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NO_TORCH, *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("needs torch") == 2
    opened = load(tmp_path / "m.sktrain")
    assert opened.report_ == fitted.report_
    assert opened.estimator.get_params(deep=False) == fitted.estimator.get_params(deep=False)
    # written last by the process without torch, from the .sktrain file
    again = joblib.load(tmp_path / "m.joblib")
    assert isinstance(again.estimator, UnavailableEstimator)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


LIGHT = """
import sys, joblib, numpy as np, sktrain
model = (joblib.load if sys.argv[2].endswith("joblib") else sktrain.load)(sys.argv[2])
first = model.predict_proba(np.load(sys.argv[1]))
print(sorted({"torch", "skorch"} & set(sys.modules)), type(model.estimator).__name__, sorted({"torch", "skorch"} & set(sys.modules)))
again = joblib.load(joblib.dump(model, sys.argv[2] + "2")[0])
assert np.array_equal(again.predict_proba(np.load(sys.argv[1])), first)
assert repr(again) == repr(model)
"""


@pytest.mark.parametrize("name", ["m.joblib", "m.sktrain"])
def test_with_torch_installed_predicting_does_not_import_it(name, fitted, windows, tmp_path):
    path = tmp_path / name
    joblib.dump(fitted, path) if name.endswith("joblib") else save(fitted, path)
    np.save(tmp_path / "X.npy", windows[0][:9])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIGHT, str(tmp_path / "X.npy"), str(path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[] GRUClassifier ['skorch', 'torch']"


def test_a_recipe_left_for_later_is_the_recipe(fitted, tmp_path):
    opened = load(save(fitted, tmp_path / "m.sktrain"))
    assert "estimator" not in vars(opened)
    assert repr(clone(opened)) == repr(clone(fitted))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = opened.nonsense
    bare = CompressedClassifier.__new__(CompressedClassifier)
    assert not hasattr(bare, "estimator")


@pytest.mark.parametrize(
    "params",
    [
        {"sparsity": 1.0},
        {"sparsity": True},
        {"bits": 2},
        {"fine_tune_epochs": -1},
        {"max_score_drop": -0.1},
        {"validation": 0},
        {"scope": "x"},
    ],
    ids=str,
)
def test_bad_parameters_are_named(params, windows):
    with pytest.raises(ValueError, match=next(iter(params))):
        CompressedClassifier(MLPNetClassifier(**SMALL), **params).fit(*windows)


def test_estimators_without_nets_or_ways_to_them_are_refused(windows):
    X, y = windows
    flat = X[:, -1]
    with pytest.raises(SktrainError, match="no neural net"):
        CompressedClassifier(LogisticRegression()).fit(flat, y)
    stack = StackingClassifier([("net", MLPNetClassifier(**SMALL))], LogisticRegression(), cv=2)
    with pytest.raises(
        SktrainError, match="Rows cannot be followed to the nets inside a StackingClassifier"
    ):
        CompressedClassifier(stack, fine_tune_epochs=1).fit(flat, y)
    model = CompressedClassifier(stack).fit(flat, y)
    assert "NetClassifier" not in str(model.model_.estimators_)


def test_compress_model_leaves_its_argument_alone(nets, windows):
    X, y = windows
    net = nets["LSTMClassifier"]
    before = pickle.dumps(net.module_.state_dict())
    for sparsity, bits in ((0.0, None), (0.5, None), (0.0, 8), (0.7, 8)):
        small, report = compress_model(net, sparsity=sparsity, bits=bits, X=X[300:], y=y[300:])
        assert type(report) is dict
        assert report["sparsity"] == pytest.approx(sparsity, abs=0.01)
        assert report["bits"] == bits
        assert report["after"]["size_bytes"] <= report["before"]["size_bytes"] * 1.001
        assert isinstance(small, QuantizedClassifier if bits else type(net))
    assert pickle.dumps(net.module_.state_dict()) == before
    for bad in (1.0, -0.1, True, None):
        with pytest.raises(SktrainError, match="sparsity"):
            compress_model(net, sparsity=bad, X=X, y=y)
    with pytest.raises(SktrainError, match="bits"):
        compress_model(net, bits=3, X=X, y=y)
    with pytest.raises(SktrainError, match="fine_tune_epochs=2 needs rows"):
        compress_model(net, fine_tune_epochs=2, X=X, y=y)
    loose, rough = compress_model(net, sparsity=0.7, X=X[300:], y=y[300:])
    tuned, close = compress_model(
        net, sparsity=0.7, X=X[300:], y=y[300:], calibration=X[:300], fine_tune_epochs=4
    )
    assert close["mean_change"] < rough["mean_change"]
    clone(net)


@pytest.mark.filterwarnings("error::sktrain.exceptions.UnknownHorizonWarning")
def test_the_horizon_of_the_net_purges_the_block_that_measures():
    """Rows 170 to 199 measure; labels of the 4 rows before them end inside."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    small = CompressedClassifier(MLPNetClassifier(max_epochs=1, random_state=0, horizon=4))
    train, valid = small.fit(X, y)._block(X, y, {})
    assert (train.max(), valid.min()) == (165, 170)


@pytest.mark.filterwarnings("error::sktrain.exceptions.UnknownHorizonWarning")
def test_nets_inside_are_told_the_horizon():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    net = make_pipeline(StandardScaler(), MLPNetClassifier(max_epochs=1, random_state=0))
    told = make_pipeline(
        StandardScaler(), MLPNetClassifier(max_epochs=1, random_state=0, horizon=4)
    )
    one = CompressedClassifier(net, horizon=4).fit(X, y)
    two = CompressedClassifier(told).fit(X, y)
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert net[-1].horizon is None
    short = CompressedClassifier(told, horizon=5).fit(X, y)  # what a net was told stays its own
    assert short.estimator[-1].horizon == 4

"""The meta-estimator (scikit-learn's checks are in test_common): the limit on the score, fine-tuning under the mask, files that open without torch."""

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
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sktrain import CompressedClassifier, GRUClassifier, MLPNetClassifier, SlidingWindow, load, save
from sktrain.compression import CompressionReport, QuantizedClassifier, UnavailableEstimator, compress_model
from sktrain.compression._fine_tuning import GradualPruning, fine_tune
from sktrain.exceptions import SktrainError, SktrainWarning

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
    return CompressedClassifier(GRUClassifier(max_epochs=3, random_state=0), sparsity=0.6, fine_tune_epochs=4).fit(X, y)


def test_what_it_says_is_what_it_did(fitted):
    assert isinstance(fitted.model_, QuantizedClassifier)
    assert fitted.model_.n_zeros_ / fitted.model_.n_weights_ >= 0.59
    assert (fitted.sparsity_, fitted.bits_) == (pytest.approx(0.6, abs=0.01), 8)
    report = fitted.report_
    assert report["n_rows"] == 90
    assert report["after"]["size_bytes"] < 0.5 * report["before"]["size_bytes"]
    for name in ("latency_ms", "latency_256_ms", "balanced_accuracy", "log_loss", "calibration_error"):
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


def test_fine_tuning_keeps_the_mask_and_leaves_nothing_behind(windows):
    X, y = windows
    net = GRUClassifier(max_epochs=3, random_state=0, callbacks__clip__max_norm=2.0).fit(X[:300], y[:300])
    before, params = len(net.history_), net.get_params(deep=False)
    seen = []

    class Watched(GradualPruning):
        def on_batch_end(self, net, training=False, **kwargs):
            super().on_batch_end(net, training, **kwargs)
            seen.append(sum(int((w == 0).sum()) for w in self.weights_) / sum(w.numel() for w in self.weights_))

    from sktrain.compression import _fine_tuning

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fine_tuning, "GradualPruning", Watched)
        fine_tune(net, X[:300], y[:300], target=0.8, epochs=8)
    assert len(net.history_) == before + 8
    per_epoch = seen[:: len(seen) // 8]
    np.testing.assert_allclose(per_epoch, [0.4625, 0.7, 0.7875, 0.8, 0.8, 0.8, 0.8, 0.8], atol=0.002)
    assert net.get_params(deep=False) == params
    assert not [one for _, one in net.callbacks_ if isinstance(one, GradualPruning)]
    copy.deepcopy(net)
    pickle.dumps(net)


def test_fine_tuning_helps_where_pruning_hurts(windows):
    X, y = windows
    net = MLPNetClassifier(max_epochs=40, lr=0.01, random_state=0, train_split=None).fit(X[:400], y[:400])
    at_once, report = compress_model(net, sparsity=0.9, bits=None, X=X[:400], y=y[:400])
    slow = copy.deepcopy(net)
    fine_tune(slow, X[:400], y[:400], target=0.9, epochs=20)
    after = compress_model(slow, sparsity=0.9, bits=None, X=X[:400], y=y[:400])[1]["after"]
    assert after["log_loss"] < report["after"]["log_loss"]


def test_the_mildest_that_is_needed_is_taken_and_said(windows, monkeypatch):
    X, y = windows
    model = CompressedClassifier(MLPNetClassifier(**SMALL), sparsity=0.8, max_score_drop=0.05, validation=0.2)
    drops = {0.8: 0.3, 0.6: 0.2, 0.4: 0.04, 0.2: 0.0}
    real = CompressedClassifier._compressed
    current = {}

    def watched(self, model, level, *rest):
        current["level"] = level
        return real(self, model, level, *rest)

    from sktrain.compression import _classifier

    monkeypatch.setattr(CompressedClassifier, "_compressed", watched)
    monkeypatch.setattr(_classifier, "get_scorer", lambda name: lambda model, X, y: 0.7 - (drops[round(current["level"][0], 6)] if current else 0))
    with pytest.warns(SktrainWarning, match=r"sparsity=0.8, bits=8 lowers balanced_accuracy by 0.3000 .* sparsity=0.4, bits=8 is used"):
        model.fit(X, y)
    assert model.sparsity_ == pytest.approx(0.4, abs=0.01)


def test_nothing_holds_gives_float_weights(windows, monkeypatch):
    from sktrain.compression import _classifier

    X, y = windows
    scores = iter([0.9] + [0.1] * 9)
    monkeypatch.setattr(_classifier, "get_scorer", lambda name: lambda model, X, y: next(scores))
    with pytest.warns(SktrainWarning, match="bits=None is used"):
        model = CompressedClassifier(MLPNetClassifier(**SMALL), max_score_drop=0.0).fit(X, y)
    assert (model.sparsity_, model.bits_) == (0.0, None)
    assert isinstance(model.model_, MLPNetClassifier)
    assert model.report_["agreement"] == 1.0


def test_a_generous_limit_changes_nothing(windows):
    X, y = windows
    with warnings.catch_warnings():
        warnings.simplefilter("error", SktrainWarning)
        held = CompressedClassifier(MLPNetClassifier(**SMALL, horizon=1), max_score_drop=1.0, horizon=1).fit(X, y)
        free = CompressedClassifier(MLPNetClassifier(**SMALL, horizon=1), horizon=1).fit(X, y)
    np.testing.assert_array_equal(held.predict_proba(X), free.predict_proba(X))


def test_sparsity_can_be_searched(windows):
    X, y = windows
    search = GridSearchCV(CompressedClassifier(MLPNetClassifier(**SMALL)), {"sparsity": [0.0, 0.95], "estimator__lr": [0.02]}, cv=2).fit(X, y)
    assert search.best_params_["sparsity"] == 0.0


def test_pipelines_votes_and_weights_are_followed():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 3))
    y = np.where(X[:, 0] > 0, "b", "a")
    vote = VotingClassifier([("one", MLPNetClassifier(**SMALL)), ("two", MLPNetClassifier(**{**SMALL, "random_state": 1}))], voting="soft")
    pipe = Pipeline([("window", SlidingWindow(lookback=2)), ("net", vote)])
    model = CompressedClassifier(pipe, fine_tune_epochs=2).fit(X, y)
    assert model.score(X, y) > 0.8
    assert all(isinstance(one, QuantizedClassifier) for one in model.model_[-1].estimators_)
    weight = rng.random(240)
    weighted = CompressedClassifier(Pipeline([("net", MLPNetClassifier(**SMALL))])).fit(X, y, sample_weight=weight)
    plain = CompressedClassifier(MLPNetClassifier(**SMALL)).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(weighted.predict_proba(X), plain.predict_proba(X))


def test_without_torch_both_files_open_and_predict(fitted, windows, tmp_path):
    X = windows[0]
    joblib.dump(fitted, tmp_path / "m.joblib")
    save(fitted, tmp_path / "m.sktrain", probe=X[:8])
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "p.npy", fitted.predict_proba(X))
    files = [str(tmp_path / name) for name in ("X.npy", "p.npy", "m.joblib", "m.sktrain")]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", NO_TORCH, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("needs torch") == 2
    opened = load(tmp_path / "m.sktrain")
    assert opened.report_ == fitted.report_
    assert opened.estimator.get_params(deep=False) == fitted.estimator.get_params(deep=False)
    again = joblib.load(tmp_path / "m.joblib")  # written last by the process without torch, from the .sktrain file
    assert isinstance(again.estimator, UnavailableEstimator)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize(
    "params", [{"sparsity": 1.0}, {"sparsity": True}, {"bits": 4}, {"fine_tune_epochs": -1}, {"max_score_drop": -0.1}, {"validation": 0}, {"scope": "x"}], ids=str
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
    with pytest.raises(SktrainError, match="StackingClassifier cannot be fine-tuned"):
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
        compress_model(net, bits=4, X=X, y=y)
    clone(net)

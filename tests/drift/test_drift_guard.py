"""Incremental training that waits for drift: what is learned, refused, refitted and remembered."""

from contextlib import nullcontext

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import DriftDetector, DriftGuard
from sktrain.exceptions import DriftDetectedError, DriftWarning, SktrainError


def draw(rng, n, *, shift=0.0, flip=False):
    X = rng.normal(size=(n, 3))
    y = ((X[:, 0] - X[:, 1]) * (-1 if flip else 1) + 0.5 * rng.normal(size=n) > 0).astype(int)
    return X + shift, y


def guard(estimator=None, **options):
    return DriftGuard(GaussianNB() if estimator is None else estimator, **options)


def test_without_drift_a_guard_is_plain_partial_fit(rng):
    blocks = [draw(rng, 200) for _ in range(5)]
    model, plain = guard().fit(*blocks[0]), GaussianNB().fit(*blocks[0])
    for X, y in blocks[1:]:
        model.partial_fit(X, y)
        plain.partial_fit(X, y)
    assert model.log_["decision"].tolist() == ["fit"] + ["update"] * 4
    np.testing.assert_allclose(model.predict_proba(blocks[0][0]), plain.predict_proba(blocks[0][0]))
    assert model.log_["n_trained"].tolist() == [200, 400, 600, 800, 1000]


def test_covariate_drift_refits_on_the_block(rng):
    model = guard().fit(*draw(rng, 400))
    X, y = draw(rng, 200, shift=2)
    model.partial_fit(X, y)
    assert model.log_["decision"].iloc[-1] == "refit"
    assert model.log_["covariate"].iloc[-1] == "DRIFT"
    np.testing.assert_allclose(model.predict_proba(X), GaussianNB().fit(X, y).predict_proba(X))
    model.partial_fit(*draw(rng, 100, shift=2))
    assert model.log_["decision"].iloc[-1] == "update"
    model.partial_fit(*draw(rng, 100, shift=2))
    assert model.log_["decision"].iloc[-1] == "refit"
    assert "rows since the drift" in model.log_["reason"].iloc[-1]


def test_concept_drift_is_seen_though_the_features_are_the_same(rng):
    model = guard().fit(*draw(rng, 400))
    for _ in range(3):
        model.partial_fit(*draw(rng, 100))
    model.partial_fit(*draw(rng, 100, flip=True))
    last = model.log_.iloc[-1]
    assert (last["covariate"], last["concept"], last["decision"]) == ("NO_DRIFT", "DRIFT", "refit")
    X, y = draw(rng, 300, flip=True)
    assert model.score(X, y) > 0.8
    blind = guard(watch_performance=False).fit(*draw(rng, 400))
    for flip in (False, False, True):
        blind.partial_fit(*draw(rng, 100, flip=flip))
    assert blind.log_["concept"].unique().tolist() == ["NOT_CHECKED"]


def test_raise_leaves_the_model_as_it_was(rng):
    model = guard(on_drift="raise").fit(*draw(rng, 400))
    X, _ = draw(rng, 50)
    before = model.predict_proba(X)
    with pytest.raises(DriftDetectedError, match="left as it is") as caught:
        model.partial_fit(*draw(rng, 200, shift=3))
    assert caught.value.report.drift_detected
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert model.log_["decision"].tolist() == ["fit", "refuse"]
    model.partial_fit(*draw(rng, 200))
    assert model.log_["decision"].iloc[-1] == "update"


def test_warn_updates_all_the_same(rng):
    model = guard(on_drift="warn").fit(*draw(rng, 400))
    with pytest.warns(DriftWarning, match="updated all the same"):
        model.partial_fit(*draw(rng, 200, shift=3))
    assert model.log_["decision"].iloc[-1] == "update"


@pytest.mark.parametrize("skip", [True, False])
def test_the_scaler_stays_unless_told_otherwise(rng, skip):
    model = guard(
        make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
        skip_scaler_fit=skip,
    )
    X, y = draw(rng, 400)
    model.fit(X, y)
    model.partial_fit(*draw(rng, 200))
    scaler = model.estimator_[0]
    assert int(scaler.n_samples_seen_) == (400 if skip else 600)
    if skip:
        np.testing.assert_allclose(scaler.mean_, X.mean(axis=0))
    model.partial_fit(*draw(rng, 200, shift=3))
    assert model.log_["decision"].iloc[-1] == "refit"
    assert model.estimator_[0].n_samples_seen_ == 200


def test_small_blocks_are_judged_together_with_their_predecessors(rng):
    model = guard().fit(*draw(rng, 400))
    for _ in range(12):
        model.partial_fit(*draw(rng, 10, shift=2))
    assert "refit" in model.log_["decision"].tolist()
    # ten rows of it, and twenty before them, against 380
    assert model.log_["covariate"].iloc[1] == "DRIFT"
    assert model.log_["covariate"].iloc[-1] == "NO_DRIFT"


def test_a_refit_reaches_back_for_missing_classes(rng):
    X, y = draw(rng, 400)
    model = guard().fit(X, y)
    new, outcome = draw(rng, 100, shift=3)
    model.partial_fit(new[outcome == 1], outcome[outcome == 1])
    assert model.log_["decision"].iloc[-1] == "refit"
    assert model.classes_.tolist() == [0, 1]
    assert model.predict_proba(X).shape == (400, 2)


def test_first_block_by_partial_fit_with_all_classes(rng):
    X, y = draw(rng, 100)
    model = guard().partial_fit(X[y == 1], y[y == 1], classes=[0, 1])
    assert model.classes_.tolist() == [0, 1]
    piped = guard(make_pipeline(StandardScaler(), GaussianNB())).partial_fit(
        X[y == 1], y[y == 1], classes=[0, 1]
    )
    assert piped.predict_proba(X).shape == (100, 2)


def test_frames_and_times_in_the_log(rng):
    X, y = draw(rng, 400)
    frame = pd.DataFrame(X, pd.date_range("2020", periods=400), list("abc"))
    model = guard().fit(frame[:200], y[:200]).partial_fit(frame[200:], y[200:])
    assert model.log_["end"].tolist() == [frame.index[199], frame.index[399]]
    assert model.feature_names_in_.tolist() == list("abc")


def test_memory_is_bounded(rng):
    model = guard(window=300).fit(*draw(rng, 1000))
    for _ in range(5):
        model.partial_fit(*draw(rng, 130))
    assert len(model.memory_) <= 1000
    assert model.detector_.reference_.n_rows == len(model.memory_) <= 300
    assert sum(len(y) for y, _ in model.unseen_) < 300 + 130


def test_bad_blocks_change_nothing(rng):
    model = guard().fit(*draw(rng, 200))
    X, y = draw(rng, 50)
    for bad in (
        (X[:, :2], y),
        (X, y[:10]),
        (X[:0], y[:0]),
        (X, np.full(50, 7)),
        (np.where(X > 1, np.inf, X), y),
    ):
        with pytest.raises(ValueError):
            model.partial_fit(*bad)
    assert len(model.log_) == 1
    assert model.estimator_.class_count_.sum() == 200
    with pytest.raises(SktrainError, match=r"classes \[7\] that the model does not know"):
        model.partial_fit(X, np.full(50, 7))


def test_without_partial_fit_there_is_none(rng):
    model = guard(LogisticRegression())
    assert not hasattr(model, "partial_fit")
    with pytest.raises(NotFittedError):
        guard().predict(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="on_drift"):
        guard(on_drift="panic").fit(*draw(rng, 50))


def test_a_detector_of_ones_own_is_cloned(rng):
    detector = DriftDetector(
        mean_shift_threshold=50.0, psi_threshold=50.0, correlation_threshold=0.0
    )
    model = guard(detector=detector, watch_performance=False).fit(*draw(rng, 200))
    model.partial_fit(*draw(rng, 200, shift=5))
    assert model.log_["decision"].iloc[-1] == "update"
    assert not hasattr(detector, "reference_")


def bad_tick(rng, n, place=7, size=1e4):
    X, y = draw(rng, n)
    X[place, 2] = size
    return X, y


@pytest.mark.parametrize("size", [1e4, float(np.finfo(np.float32).max), -1e3])
def test_a_bad_tick_is_neither_learned_nor_remembered(rng, size):
    model, plain = guard().fit(*draw(rng, 1000)), None
    plain = GaussianNB().fit(*model.memory_.all())
    X, y = bad_tick(rng, 100, size=size)
    model.partial_fit(X, y)
    plain.partial_fit(np.delete(X, 7, axis=0), np.delete(y, 7))
    assert model.log_[["decision", "n_outliers", "n_trained"]].iloc[-1].tolist() == [
        "update",
        1,
        1099,
    ]
    assert model.report_["outliers"].index.tolist() == [7]
    np.testing.assert_allclose(model.predict_proba(X[:5]), plain.predict_proba(X[:5]))
    assert np.abs(model.memory_.all()[0]).max() < 10
    assert model.partial_fit(*draw(rng, 100)).log_["decision"].iloc[-1] == "update"


def test_bad_ticks_never_cost_the_model_its_accuracy():
    """Eight seeds of one value of 10,000 standard deviations in 100 rows, for a model that one such
    row ruins."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        first, test, (X, y) = draw(rng, 1000), draw(rng, 2000), bad_tick(rng, 100)
        clean = np.delete(X, 7, axis=0), np.delete(y, 7)
        sgd = SGDClassifier(loss="log_loss", random_state=0)
        model, spared = (
            guard(make_pipeline(StandardScaler(), sgd)).fit(*first).partial_fit(*block)
            for block in ((X, y), clean)
        )
        assert model.log_["decision"].tolist() == spared.log_["decision"].tolist()
        np.testing.assert_array_equal(model.predict_proba(test[0]), spared.predict_proba(test[0]))
        assert model.score(*test) > 0.75  # a spoiled one is below 0.6


def test_when_most_rows_are_far_outside_it_is_drift(rng):
    model = guard().fit(*draw(rng, 400))
    X, y = draw(rng, 100)
    model.partial_fit(1000 * X, y)
    assert model.log_[["decision", "covariate", "n_outliers"]].iloc[-1].tolist() == [
        "refit",
        "DRIFT",
        0,
    ]


def test_a_block_of_nothing_but_bad_ticks_is_skipped(rng):
    model = guard().fit(*draw(rng, 400))
    before = model.estimator_
    model.partial_fit(*bad_tick(rng, 1, place=0))
    assert model.log_[["decision", "n_outliers", "n_trained"]].iloc[-1].tolist() == ["skip", 1, 400]
    assert model.estimator_ is before
    assert len(model.memory_) == 400
    assert model.partial_fit(*draw(rng, 1)).log_["decision"].iloc[-1] == "update"


def test_windows_that_hold_a_bad_tick_are_kept_out(rng):
    from sktrain import SlidingWindow

    class Newest(GaussianNB):
        """Sees the last step of its windows and counts what it learned from."""

        def fit(self, X, y):
            return super().fit(np.asarray(X)[:, -1], y)

        def partial_fit(self, X, y, classes=None):
            self.seen_ = np.asarray(X)
            return super().partial_fit(self.seen_[:, -1], y, classes)

        def predict_proba(self, X):
            return super().predict_proba(np.asarray(X)[:, -1])

        def predict(self, X):
            return super().predict(np.asarray(X)[:, -1])

    X, y = draw(rng, 500)
    X[430, 1] = 1e6
    frame = pd.DataFrame(X, pd.date_range("2020", periods=500), list("abc"))
    model = guard(make_pipeline(SlidingWindow(lookback=5), Newest())).fit(frame[:400], y[:400])
    model.partial_fit(frame[400:], y[400:])
    assert model.log_[["decision", "n_outliers"]].iloc[-1].tolist() == ["update", 5]
    seen = model.estimator_[-1].seen_
    assert seen.shape == (95, 5, 3)
    assert np.nanmax(np.abs(seen)) < 10


class Fails(GaussianNB):
    """Learns a little, spoils itself, then fails as it is told."""

    error = None

    def partial_fit(self, X, y, classes=None):
        super().partial_fit(X[:1], y[:1], classes)
        if type(self).error is not None:
            self.theta_[:] = np.nan
            raise type(self).error
        return super().partial_fit(X[1:], y[1:], classes)

    def fit(self, X, y):
        if type(self).error is not None:
            raise type(self).error
        return super().fit(X, y)


@pytest.mark.parametrize("on_drift", ["refit", "raise", "warn"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("diverged"), MemoryError()])
@pytest.mark.parametrize("shift", [0, 3])
def test_a_failed_update_leaves_the_guard_as_it_was(rng, monkeypatch, on_drift, error, shift):
    import pickle

    model = guard(make_pipeline(StandardScaler(), Fails()), on_drift=on_drift).fit(*draw(rng, 400))
    model.partial_fit(*draw(rng, 100))
    state = pickle.dumps(model)
    block = draw(rng, 100, shift=shift)
    monkeypatch.setattr(Fails, "error", error)
    refused = on_drift == "raise" and shift
    with (
        pytest.raises(DriftDetectedError if refused else type(error)),
        pytest.warns() if on_drift == "warn" and shift else nullcontext(),
    ):
        model.partial_fit(*block)
    if not refused:
        assert pickle.dumps(model) == state
    monkeypatch.setattr(Fails, "error", None)
    again = pickle.loads(state)
    for one in (model, again):
        one.set_params(on_drift="refit").partial_fit(*block)
    np.testing.assert_array_equal(model.predict_proba(block[0]), again.predict_proba(block[0]))


def test_weights_follow_the_rows_that_are_kept(rng):
    first, (X, y) = draw(rng, 400), bad_tick(rng, 100)
    weights, clean = rng.random(500), np.arange(100) != 7
    model = guard(make_pipeline(StandardScaler(), GaussianNB())).fit(
        *first, sample_weight=weights[:400]
    )
    model.partial_fit(X, y, sample_weight=weights[400:])
    spared = guard(make_pipeline(StandardScaler(), GaussianNB())).fit(
        *first, sample_weight=weights[:400]
    )
    spared.partial_fit(X[clean], y[clean], sample_weight=weights[400:][clean])
    np.testing.assert_array_equal(model.predict_proba(first[0]), spared.predict_proba(first[0]))
    np.testing.assert_array_equal(
        *(np.concatenate(list(one.memory_.told(499).values())) for one in (model, spared))
    )


def test_parameters_set_later_count(rng):
    model = guard(
        SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01, random_state=0),
        window=400,
    ).fit(*draw(rng, 400))
    model.set_params(estimator__eta0=1e-9, window=150)
    before = model.estimator_.coef_.copy()
    model.partial_fit(*draw(rng, 100))
    np.testing.assert_allclose(model.estimator_.coef_, before, atol=1e-6)
    assert model.estimator_.eta0 == 1e-9
    assert len(model.memory_) == 150
    model.set_params(
        detector=DriftDetector(
            mean_shift_threshold=50.0, psi_threshold=50.0, correlation_threshold=0.0
        ),
        watch_performance=False,
    )
    assert model.partial_fit(*draw(rng, 100, shift=2)).log_["decision"].iloc[-1] == "update"
    model.set_params(estimator=make_pipeline(StandardScaler(), GaussianNB()))
    with pytest.raises(SktrainError, match="changed since it was fitted"):
        model.partial_fit(*draw(rng, 100, shift=2))
    assert len(model.log_) == 3


def test_a_guard_goes_on_from_its_file(rng, tmp_path):
    from sktrain import load, save

    frame = pd.DataFrame(rng.normal(size=(700, 3)), pd.date_range("2020", periods=700), list("abc"))
    y = (frame["a"] > frame["b"]).astype(int)
    model = guard(
        make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0))
    ).fit(frame[:400], y[:400])
    model.partial_fit(frame[400:500], y[400:500])
    joblib.dump(model, tmp_path / "guard.joblib")
    save(model, tmp_path / "guard.sktrain")
    model.partial_fit(frame[500:600], y[500:600])
    for again in (joblib.load(tmp_path / "guard.joblib"), load(tmp_path / "guard.sktrain")):
        assert again.report_.status == "NO_DRIFT"
        again.partial_fit(frame[500:600], y[500:600])
        np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))
        pd.testing.assert_frame_equal(again.log_, model.log_)


def test_a_guard_of_lazy_windows_goes_on_from_its_file(tmp_path):
    """The file holds the rows that remembered windows stand on, not the whole history, and how
    far labels look ahead."""
    from sktrain import (
        AdaptiveLabeler,
        BarFeatures,
        MLPNetClassifier,
        SlidingWindow,
        load,
        save,
    )
    from sktrain.datasets import load_sp500

    bars, y = AdaptiveLabeler(horizon=3, scaling="sigma").fit_resample(load_sp500().iloc[-2000:])
    windows = SlidingWindow(4).fit_transform(BarFeatures(windows=(5,)).fit_transform(bars))
    net = MLPNetClassifier(max_epochs=1, module__hidden_size=4, module__n_layers=1, random_state=0)
    rows = [np.arange(600, 900), np.arange(900, 1200), np.arange(1200, 1500)]
    model = guard(net, on_drift="warn", watch_performance=False)
    model.fit(windows[rows[0]], y.iloc[rows[0]])
    places = {"joblib": tmp_path / "guard.joblib", "file": tmp_path / "guard.sktrain"}
    joblib.dump(model, places["joblib"])
    save(model, places["file"], optimizer=True)
    opened = {"joblib": joblib.load(places["joblib"]), "file": load(places["file"])}
    model.partial_fit(windows[rows[1]], y.iloc[rows[1]])
    for name, again in opened.items():
        kept, labels = again.memory_.last(2000)
        assert len(kept.base) == 303  # three rows more than windows
        np.testing.assert_array_equal(kept.gather(), windows[rows[0]].gather())
        assert kept.index.equals(y.index[rows[0]])
        assert labels.attrs["label_horizon"] == 3
        assert again.partial_fit(windows[rows[1]], y.iloc[rows[1]]).log_.equals(model.log_), name
        np.testing.assert_allclose(
            again.predict_proba(windows[rows[2]]), model.predict_proba(windows[rows[2]]), atol=1e-6
        )


def test_a_guard_without_partial_fit_still_predicts(rng):
    X, y = draw(rng, 300)
    model = guard(make_pipeline(StandardScaler(), LogisticRegression())).fit(X, y)
    np.testing.assert_array_equal(
        model.predict(X), make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y).predict(X)
    )


@pytest.mark.slow
def test_a_net_survives_a_sentinel_and_a_failure(rng, monkeypatch):
    from sktrain import TransformerClassifier

    X, y = draw(rng, 300)
    model = guard(
        TransformerClassifier(random_state=0, max_epochs=2, verbose=0), on_drift="raise"
    ).fit(X, y)
    block, outcome = bad_tick(rng, 100, size=float(np.finfo(np.float32).max))
    model.partial_fit(block, outcome)
    assert model.log_["n_outliers"].iloc[-1] == 1
    before = model.predict_proba(X)

    def interrupted(self, *args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(TransformerClassifier, "partial_fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(*draw(rng, 100))
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.slow
def test_nets_start_warm(rng):
    from sktrain import MLPNetClassifier

    net = MLPNetClassifier(max_epochs=5, random_state=0, verbose=0)
    X, y = draw(rng, 300)
    model = guard(net).fit(X.astype(np.float32), y)
    weights = [p.detach().clone() for p in model.estimator_.module_.parameters()]
    X, y = draw(rng, 100)
    model.partial_fit(X.astype(np.float32), y)
    assert model.log_["decision"].iloc[-1] == "update"
    moved = [
        float((a - b.detach()).abs().max())
        for a, b in zip(weights, model.estimator_.module_.parameters())
    ]
    assert 0 < max(moved) < 1


@pytest.mark.parametrize(
    "model", [LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())]
)
def test_a_model_that_cannot_update_is_named(rng, model):
    guard = DriftGuard(model)
    assert not hasattr(guard, "partial_fit")
    with pytest.raises(AttributeError, match="because LogisticRegression inside of it has none"):
        guard.partial_fit(rng.normal(size=(10, 2)), np.arange(10) % 2)
    assert hasattr(DriftGuard(SGDClassifier()), "partial_fit")

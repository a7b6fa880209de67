"""Drift of features: effect and p-value together, against brute force and by simulation."""

import json
import pickle

from helpers import autoregressive
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from sktrain import DriftDetector, DriftReport
from sktrain.exceptions import DriftDetectedError, DriftWarning

KEYS = {
    "drift_detected", "psi", "mean_shift", "correlation", "recommendation", "per_feature", "status",
}


@pytest.fixture
def frame(rng):
    return pd.DataFrame(rng.normal(size=(600, 3)), pd.date_range("2020", periods=600), list("abc"))


def alarms(draw, n):
    return np.mean([draw(np.random.default_rng(seed)) for seed in range(n)])


def compared(reference, new):
    return DriftDetector().fit(reference).check(new).drift_detected


@pytest.mark.parametrize("phi", [0.0, 0.98])
def test_false_alarms_stay_rare_where_the_plain_rule_cries(phi):
    """60 draws: 0.08 on average leaves 9 or fewer with probability 0.97."""

    def draw(rng):
        x = autoregressive(rng, phi, 1250, 5)
        return compared(x[:1000], x[1000:])

    assert alarms(draw, 60) <= 9 / 60


@pytest.mark.slow
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("contiguous", [True, False])
def test_family_wise_level(phi, contiguous):
    def draw(rng):
        x = autoregressive(rng, phi, 1250, 5)
        return compared(x[:1000], x[1000:] if contiguous else autoregressive(rng, phi, 250, 5))

    assert alarms(draw, 300) <= 0.08


def test_power(rng):
    def shifted(rng):
        x = autoregressive(rng, 0.5, 1250, 5)
        x[1000:, 0] += 1
        return compared(x[:1000], x[1000:])

    def flipped(rng):
        mix = np.array([[1.0, 0.0], [0.6, 0.8]])
        return compared(
            autoregressive(rng, 0.5, 1000, 2) @ mix.T,
            autoregressive(rng, 0.5, 250, 2) @ (mix * [[1], [1]] * [[1, 1], [-1, 1]]).T,
        )

    assert alarms(shifted, 20) >= 0.9
    assert alarms(flipped, 20) >= 0.9


def test_a_flipped_correlation_is_found_although_no_column_drifted(rng):
    old = rng.normal(size=(1000, 2))
    new = rng.normal(size=(250, 2))
    old[:, 1] = 0.8 * old[:, 0] + 0.6 * old[:, 1]
    new[:, 1] = -0.8 * new[:, 0] + 0.6 * new[:, 1]
    report = DriftDetector().check_drift(reference_features=old, new_features=new)
    assert report["drift_detected"]
    assert report["correlation"] < 0.3
    assert not report.per_feature["drifted"].any()
    assert report.correlation_detail["pair"] == ("x0", "x1")
    assert "correlation of x0 and x1" in report["reason"]


def test_correlation_is_blind_to_monotone_changes_of_a_marginal(rng):
    old, new = rng.normal(size=(500, 2)), rng.normal(size=(500, 2))
    plain = DriftDetector().fit(old).check(new)
    bent = DriftDetector().fit(old).check(np.exp(new))
    assert bent.correlation == pytest.approx(plain.correlation)


def test_random_walks_are_not_compared_by_their_correlation():
    def draw(rng):
        x = np.cumsum(rng.standard_normal((1250, 5)), axis=0)
        return compared(x[:1000], x[1000:])

    assert alarms(draw, 30) <= 3 / 30


def test_effect_and_evidence_are_both_needed(rng):
    old, new = rng.normal(size=(20_000, 1)), rng.normal(0.08, 1, size=(20_000, 1))
    report = DriftDetector().fit(old).check(new)
    assert report.per_feature["p_adjusted"].iloc[0] < 1e-4
    assert not report.drift_detected
    assert report.recommendation == "monitor"
    assert "less than its threshold" in report.reason
    assert DriftDetector(mean_shift_threshold=0.05).fit(old).check(new).drift_detected
    small = DriftDetector().fit(rng.normal(size=(100, 5))).check(rng.normal(size=(30, 5)))
    assert small.psi > 0.1
    assert not small.drift_detected


def test_report_is_a_frozen_mapping(frame):
    report = DriftDetector().fit(frame[:400]).check(frame[400:])
    assert set(report) >= KEYS
    assert all(report[key] is getattr(report, key) for key in report)
    assert len(dict(report)) == len(report)
    with pytest.raises(AttributeError):
        report.psi = 3
    with pytest.raises(KeyError):
        report["nonsense"]
    assert isinstance(report, DriftReport)
    assert report.per_feature.index.tolist() == list("abc")
    assert {
        "psi", "mean_shift", "spread", "ks", "wasserstein", "p_value", "p_adjusted", "drifted",
        "kind",
    } <= set(report.per_feature)
    assert report["psi"] == report.per_feature["psi"].max()
    assert report["mean_shift"] == report.per_feature["mean_shift"].max()
    assert report.end == frame.index[-1]
    assert "recommendation: continue" in report.summary()
    again = json.loads(json.dumps(report.to_dict()))
    assert again["per_feature"]["a"]["psi"] == report.per_feature.loc["a", "psi"]
    assert pickle.loads(pickle.dumps(report)).psi == report.psi
    for shares in report.histograms.values():
        assert shares["reference"].sum() == pytest.approx(1)
        assert len(shares["bins"]) == len(shares["new"])


def test_the_order_of_rows_without_times_is_time_and_sorted_times_are_not_needed(frame):
    detector = DriftDetector().fit(frame[:400])
    shuffled = frame[400:].sample(frac=1, random_state=0)
    a, b = detector.check(frame[400:]), detector.check(shuffled)
    np.testing.assert_allclose(a.per_feature["p_value"], b.per_feature["p_value"])
    assert a.start == b.start
    array = DriftDetector().fit(frame[:400].to_numpy()).check(frame[400:].to_numpy())
    np.testing.assert_allclose(array.per_feature["p_value"], a.per_feature["p_value"])


def test_categories(rng):
    old = pd.DataFrame({"regime": rng.choice(["bear", "bull", "calm"], 1000)})
    new = pd.DataFrame({"regime": rng.choice(["bear", "calm"], 250)})
    report = DriftDetector().fit(old).check(new)
    assert report.drift_detected
    assert report.per_feature.loc["regime", "kind"] == "categorical"
    assert np.isnan(report["mean_shift"])
    same = DriftDetector().fit(old).check(old.sample(250, random_state=1))
    assert not same.drift_detected
    unseen = DriftDetector().fit(old).check(pd.DataFrame({"regime": ["new"] * 250}))
    assert unseen.drift_detected
    assert unseen.histograms["regime"]["bins"][-1] == "never seen"
    typed = DriftDetector().fit(old.astype("category")).check(new.astype("category"))
    assert typed.psi == pytest.approx(report.psi)


def test_missing_values_have_a_bin_and_a_test(rng):
    old, new = rng.normal(size=(1000, 1)), rng.normal(size=(250, 1))
    new[rng.random(250) < 0.3] = np.nan
    report = DriftDetector().fit(old).check(new)
    assert report.drift_detected
    assert report.per_feature["cause"].iloc[0] == "missing"
    gone = DriftDetector().fit(old).check(np.full((250, 1), np.nan))
    assert gone.drift_detected
    assert np.isnan(gone["mean_shift"])


def test_missing_warm_up_rows_are_one_event_not_sixty(rng):
    old, new = rng.normal(size=(1000, 1)), rng.normal(size=(250, 1))
    old[:60] = np.nan
    assert not DriftDetector().fit(old).check(new).drift_detected


def test_constant_columns(rng):
    old = np.full((500, 1), 7.0)
    assert not DriftDetector().fit(old).check(np.full((100, 1), 7.0)).drift_detected
    moved = DriftDetector().fit(old).check(7 + rng.normal(size=(100, 1)))
    assert moved.drift_detected
    assert moved["mean_shift"] == np.inf
    assert moved.per_feature["kind"].iloc[0] == "constant"
    stuck = DriftDetector().fit(rng.normal(size=(500, 1))).check(old[:100])
    assert stuck.drift_detected


def test_tiny_and_empty_new_data_are_inconclusive(frame):
    detector = DriftDetector().fit(frame)
    for n in (0, 1, 29):
        report = detector.check(frame[:n] + 100)
        assert report.status == "INCONCLUSIVE"
        assert not report.drift_detected
        assert report.recommendation == "monitor"
        assert "too few" in report.reason
    assert detector.check(frame[:30] + 100).status == "DRIFT"


def panel(rng, n_times, n_symbols, phi=0.5, start="2020"):
    common = autoregressive(rng, phi, n_times, 2)
    times = pd.date_range(start, periods=n_times, name="time")
    own = {
        f"s{i}": pd.DataFrame(common + 0.2 * rng.standard_normal(common.shape), times, ["a", "b"])
        for i in range(n_symbols)
    }
    return pd.concat(own, names=["symbol"])


def test_symbols_that_move_together_are_no_independent_rows():
    """Twenty copies of one autocorrelated market: judged row by row, the samples would look twenty
    times as long."""

    def draw(rng):
        whole = panel(rng, 625, 20, phi=0.9)
        times = whole.index.get_level_values("time")
        return compared(whole[times < times.unique()[500]], whole[times >= times.unique()[500]])

    assert alarms(draw, 30) <= 4 / 30


def test_a_panel_of_one_symbol_is_that_symbol(rng):
    x = panel(rng, 300, 1)
    flat = x.droplevel("symbol")
    a = DriftDetector().fit(x[:200]).check(x[200:])
    b = DriftDetector().fit(flat[:200]).check(flat[200:])
    np.testing.assert_allclose(a.per_feature["p_value"], b.per_feature["p_value"])
    assert a.correlation_detail["p_value"] == pytest.approx(b.correlation_detail["p_value"])


def test_transform_returns_the_same_object_and_acts_as_told(frame):
    drifted = frame + 3
    detector = DriftDetector().fit(frame)
    assert detector.transform(frame) is frame
    with pytest.warns(DriftWarning, match="Recommendation: retrain"):
        assert detector.transform(drifted) is drifted
    with pytest.raises(DriftDetectedError) as caught:
        detector.set_params(on_drift="raise").transform(drifted)
    assert caught.value.report.drift_detected
    assert pickle.loads(pickle.dumps(caught.value)).report.psi == caught.value.report.psi
    assert detector.set_params(on_drift="ignore").transform(drifted) is drifted
    state = pickle.dumps(detector)
    detector.check(drifted)
    assert pickle.dumps(detector) == state


def test_in_a_pipeline_it_validates_and_never_alters(frame, rng):
    y = (frame["a"] > 0).astype(int)
    model = Pipeline([("drift", DriftDetector()), ("net", LogisticRegression())]).fit(frame, y)
    plain = LogisticRegression().fit(frame, y)
    np.testing.assert_array_equal(model.predict_proba(frame), plain.predict_proba(frame))
    with pytest.warns(DriftWarning):
        model.predict(frame + 3)
    assert model[:-1].get_feature_names_out().tolist() == list("abc")


def test_check_drift_leaves_the_detector_alone(frame):
    detector = DriftDetector(n_bins=5)
    detector.check_drift(reference_features=frame, new_features=frame)
    assert not hasattr(detector, "reference_")
    detector.fit(frame)
    report = detector.check_drift(new_features=frame + 1)
    assert report["drift_detected"]


def test_other_columns_are_shown(frame):
    detector = DriftDetector().fit(frame)
    with pytest.raises(
        ValueError, match="unseen at fit time(.|\n)*- d(.|\n)*yet now missing(.|\n)*- c"
    ):
        detector.check(frame.rename(columns={"c": "d"}))
    with pytest.raises(ValueError, match="differ from column 0 on: 'a' in fit, 'b' now"):
        detector.check(frame[["b", "a", "c"]])
    with pytest.raises(ValueError, match="2 features"):
        detector.check(frame[["a", "b"]].to_numpy())
    with pytest.raises(ValueError, match="'c' was numeric in fit and is categorical now"):
        detector.check(frame.assign(c="x"))


def test_infinities_are_named(frame):
    bad = frame.copy()
    bad.iloc[5, 1] = np.inf
    with pytest.raises(ValueError, match=r"infinity: column 'b' is inf in row 5 \(2020-01-06"):
        DriftDetector().fit(bad)
    with pytest.raises(ValueError, match="infinity: column 'b'"):
        DriftDetector().fit(frame).check(bad)


@pytest.mark.parametrize("X, message", [
    (np.zeros(5), "Expected 2D"),
    (np.zeros((4, 3, 2)), "Expected 2D"),
    (np.zeros((0, 2)), "0 sample"),
    (pd.DataFrame({"t": pd.date_range("2020", periods=3)}), "drifts by nature"),
])
def test_what_is_no_table_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        DriftDetector().fit(X)


@pytest.mark.parametrize(
    "params",
    [
        {"psi_threshold": -0.1},
        {"mean_shift_threshold": np.nan},
        {"correlation_threshold": 1.5},
        {"n_bins": 1},
        {"n_bins": True},
        {"alpha": 0},
        {"alpha": 1.0},
        {"on_drift": "shout"},
        {"min_samples": 3.0},
    ],
)
def test_parameters_out_of_range(params, frame):
    with pytest.raises(ValueError, match=next(iter(params))):
        DriftDetector(**params).fit(frame)


def test_not_fitted(frame):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        DriftDetector().check(frame)


def test_clone_and_pickle(frame):
    detector = DriftDetector(n_bins=7).fit(frame)
    assert clone(detector).n_bins == 7
    again = pickle.loads(pickle.dumps(detector))
    assert again.check(frame[:200]).psi == detector.check(frame[:200]).psi


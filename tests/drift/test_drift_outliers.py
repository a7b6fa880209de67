"""Bad ticks are named and left out; they are not drift."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from sktrain import DriftDetector
from sktrain.drift._outliers import Tail
from sktrain.exceptions import DriftWarning


def frame_of(rng, n, start="2020"):
    return pd.DataFrame(rng.normal(size=(n, 3)), pd.date_range(start, periods=n), list("abc"))


def test_a_bad_tick_is_a_finding_of_its_own(rng):
    detector = DriftDetector().fit(frame_of(rng, 600))
    new = frame_of(rng, 100, "2023")
    clean = detector.check(new.drop(new.index[[7, 50]]))
    new.iloc[7, 1], new.iloc[50, [0, 1]] = 1e4, -1e4
    report = detector.check(new)
    outliers = report["outliers"]
    assert outliers.index.tolist() == new.index[[7, 50]].tolist()
    assert sorted(outliers.columns) == ["a", "b"]
    assert outliers.loc[new.index[7], "b"] == 1e4
    assert np.isnan(outliers.loc[new.index[7], "a"])
    assert report.outlier_rows.tolist() == [7, 50]
    assert (report.status, report.recommendation) == ("NO_DRIFT", "monitor")
    assert "2 rows are far outside and left out" in report.reason
    pd.testing.assert_frame_equal(report.per_feature, clean.per_feature)
    told = json.loads(json.dumps(report.to_dict()))["outliers"]
    assert told == [
        {"row": new.index[7].isoformat(), "b": 1e4},
        {"row": new.index[50].isoformat(), "a": -1e4, "b": -1e4},
    ]


def test_one_bad_tick_in_a_hundred_rows_is_no_drift():
    """The case of a single column, 30 seeds, where the tick used to mean 'retrain' every time."""
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        report = (
            DriftDetector()
            .fit(rng.normal(size=(600, 1)))
            .check(np.r_[rng.normal(size=99), 1e4][:, None])
        )
        assert report.outlier_rows.tolist() == [99]
        found.append(report.drift_detected)
    assert np.mean(found) <= 0.1


def test_drift_beside_a_bad_tick_is_still_drift(rng):
    detector = DriftDetector().fit(frame_of(rng, 600))
    new = frame_of(rng, 200) + [2, 0, 0]
    new.iloc[3, 2] = 1e6
    report = detector.check(new)
    assert report.drifted == ["a"]
    assert report.recommendation == "retrain"
    assert report.outlier_rows.tolist() == [3]


def test_when_most_rows_are_far_outside_it_is_drift(rng):
    detector = DriftDetector().fit(rng.normal(size=(600, 2)))
    report = detector.check(1e6 * rng.normal(size=(200, 2)))
    assert report.drift_detected
    assert len(report.outliers) == 0
    sentinel = detector.check(np.full((200, 2), np.finfo(np.float32).max, dtype=np.float64))
    assert sentinel.drift_detected


def test_a_few_rows_can_be_found_and_not_judged(rng):
    report = DriftDetector().fit(rng.normal(size=(600, 1))).check([[0.0], [1e9]])
    assert report.status == "INCONCLUSIVE"
    assert report.outlier_rows.tolist() == [1]


@pytest.mark.parametrize("draw", [
    lambda rng, n: rng.normal(size=n),
    lambda rng, n: rng.uniform(size=n),
    lambda rng, n: rng.standard_t(3, size=n),
    lambda rng, n: rng.standard_cauchy(size=n),
    lambda rng, n: np.exp(1.5 * rng.normal(size=n)),
    lambda rng, n: (rng.random(n) < 0.02).astype(float),
    lambda rng, n: lfilter([1.0], [1.0, -0.98], rng.normal(size=n)),
])
def test_what_a_column_does_by_itself_is_no_mistake(draw):
    """200 checks of 250 rows: 0.001 expected in each, so 2 or more would be a chance of 0.02."""
    wrong = 0
    for seed in range(200):
        x = draw(np.random.default_rng(seed), 1250)
        tail = Tail.learn(np.sort(x[:1000]))
        if not np.isnan(tail.onset):
            wrong += int((np.abs(x[1000:] - tail.center) > tail.reach(250)).sum())
    assert wrong < 2


def test_the_reach_is_weissmans_quantile():
    """By hand: an exact Pareto tail of index 1/2 on both sides of 0."""
    u = (np.arange(2000) + 0.5) / 2000
    ordered = np.sort(np.concatenate([-(u**-0.5), [0.0], u**-0.5]))
    tail = Tail.learn(ordered)
    assert tail.index == pytest.approx(0.5 * (1 + 1.96 / np.sqrt(200)), rel=0.02)
    assert tail.share == pytest.approx(0.05, rel=0.01)
    exact = 1000.0**0.5 * 10  # deviation that a share of 1e-5 passes: 1e-5 ** -0.5
    assert Tail(tail.center, tail.onset, tail.share, 0.5).reach(100) == pytest.approx(
        exact, rel=0.02
    )


def test_a_column_without_a_tail_rules_nothing_out():
    for values in (np.zeros(100), np.array([1.0]), np.r_[np.zeros(99), 5.0], np.empty(0)):
        assert np.isnan(Tail.learn(np.sort(values)).onset)
    assert not np.isnan(Tail.learn(np.sort(np.r_[np.zeros(960), np.arange(1, 41)])).onset)


def test_a_reference_is_remembered_without_its_own_bad_ticks(rng):
    old, new = rng.normal(size=(600, 1)), rng.normal(size=(200, 1)) + 1
    spoiled = np.insert(old, 300, 1e8, axis=0)
    with pytest.warns(DriftWarning, match="remembered without .* 1 row is far outside"):
        detector = DriftDetector().fit(spoiled)
    assert detector.check(new).mean_shift == pytest.approx(
        DriftDetector().fit(old).check(new).mean_shift
    )


def test_panels_keep_their_times(rng):
    times = pd.date_range("2020", periods=300, name="time")
    x = pd.concat(
        {name: pd.DataFrame(rng.normal(size=(300, 2)), times, ["a", "b"]) for name in "xyz"},
        names=["symbol", "time"],
    )
    old, new = (
        x[x.index.get_level_values(1) < times[200]],
        x[x.index.get_level_values(1) >= times[200]].copy(),
    )
    detector = DriftDetector().fit(old)
    spoiled = new.copy()
    spoiled.iloc[120, 0] = 1e7
    report = detector.check(spoiled)
    assert report.outliers.index.tolist() == [new.index[120]]
    expected = detector.check(new.drop(new.index[120]))
    pd.testing.assert_frame_equal(report.per_feature, expected.per_feature)
    assert report.correlation_detail == expected.correlation_detail


def test_in_a_pipeline_a_bad_row_is_told(rng):
    X = frame_of(rng, 400)
    model = Pipeline([("drift", DriftDetector()), ("net", LogisticRegression())]).fit(X, X["a"] > 0)
    new = frame_of(rng, 60)
    new.iloc[5, 0] = 1e9
    with pytest.warns(DriftWarning, match="1 row is far outside"):
        assert len(model.predict(new)) == 60


def test_the_advice_says_what_a_recommendation_means(rng):
    detector = DriftDetector().fit(rng.normal(size=(600, 2)))
    drifted = detector.check(rng.normal(size=(200, 2)) + 2)
    assert "Expect worse scores" in drifted.advice
    assert "newer rows" in drifted.summary()
    assert "changes nothing" in drifted.to_dict()["advice"]
    assert "can stay" in detector.check(rng.normal(size=(200, 2))).advice
    y = np.tile([0, 1], 300)
    worse = DriftDetector().check_performance(y[:400], y[:400], y[400:], 1 - y[400:])
    assert "no longer holds" in worse.advice

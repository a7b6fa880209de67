"""Checks over time, window by window."""

import numpy as np
import pandas as pd
import pytest

from sktrain import DriftDetector, monitor
from sktrain.datasets import load_sp500
from sktrain.drift import drift_history
from sktrain.exceptions import NotEnoughDataError, SktrainError


@pytest.fixture
def rows():
    x = np.random.default_rng(0).normal(size=(1000, 2))
    x[700:, 0] += 1
    return pd.DataFrame(x, pd.date_range("2020", periods=1000), ["a", "b"])


def test_looks_are_the_checks_of_their_windows(rows):
    reports = list(monitor(rows, every=50, window=100, reference=400))
    ends = list(range(500, 1001, 50))
    assert len(reports) == len(ends)
    detector = DriftDetector().fit(rows[:400])
    for report, end in zip(reports, ends):
        expected = detector.check(rows[end - 100 : end])
        assert report.end == rows.index[end - 1]
        assert report.psi == expected.psi
        assert report.drift_detected == expected.drift_detected
    assert not any(report.drift_detected for report in reports[:4])
    assert all(report.drift_detected for report in reports[-4:])


def test_a_look_knows_nothing_of_later_rows(rows):
    perturbed = rows.copy()
    perturbed.iloc[800:] = 1e6
    clean, other = (
        list(monitor(x, every=100, window=100, reference=400)) for x in (rows, perturbed)
    )
    for a, b in zip(clean[:4], other[:4]):
        pd.testing.assert_frame_equal(a.per_feature, b.per_feature)


def test_a_fitted_detector_keeps_its_reference(rows):
    detector = DriftDetector().fit(rows[:400])
    reference = detector.reference_
    reports = list(detector.monitor(rows[400:], every=100, window=200))
    assert len(reports) == 5
    assert detector.reference_ is reference
    assert reports[0].n_reference == 400


def test_panels_are_cut_between_times(rows):
    panel = pd.concat({"x": rows, "y": rows * 1.1}, names=["symbol", "time"])
    reports = list(monitor(panel, every=200, window=200, reference=400))
    assert [report.n_new for report in reports] == [400, 400, 400]


def test_history_for_a_heat_map(rows):
    table = drift_history(monitor(rows, every=100, window=100, reference=400), "mean_shift")
    assert table.columns.tolist() == ["a", "b"]
    assert table.index[-1] == rows.index[-1]
    assert table["a"].iloc[-1] > 0.5 > table["b"].iloc[-1]


def test_bars_are_watched_by_their_features():
    bars = load_sp500().iloc[:900]
    report = next(iter(monitor(bars, every=100, window=150, reference=600)))
    assert "close" not in report.per_feature.index
    raw = next(iter(monitor(bars, every=100, window=150, reference=600, features=None)))
    assert "close" in raw.per_feature.index


def test_what_does_not_fit_is_refused_at_once(rows):
    with pytest.raises(NotEnoughDataError, match="needs 1100 unique times"):
        monitor(rows, every=10, window=100, reference=1000)
    with pytest.raises(SktrainError, match="every must be an integer"):
        monitor(rows, every=0, window=10)
    with pytest.raises(SktrainError, match="detector must be"):
        monitor(rows, every=1, window=10, detector="psi")

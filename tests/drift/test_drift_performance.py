"""Drift of answers and outcomes: labels, loss and concept are told apart."""

import numpy as np
import pandas as pd
import pytest

from sktrain import DriftDetector
from sktrain.exceptions import SktrainError


def draw(rng, n, *, share=0.5, accuracy=(0.9, 0.9)):
    """Labels of two classes, and predictions that are right as often as said in each class."""
    y = (rng.random(n) < share).astype(int)
    right = rng.random(n) < np.take(accuracy, y)
    return y, np.where(right, y, 1 - y)


def test_nothing_changed(rng):
    report = DriftDetector().check_performance(*draw(rng, 800), *draw(rng, 300))
    assert report.status == "NO_DRIFT"
    assert report.recommendation == "continue"


def test_concept_drift_recommends_retraining(rng):
    report = DriftDetector().check_performance(
        *draw(rng, 800), *draw(rng, 300, accuracy=(0.7, 0.7))
    )
    assert report.recommendation == "retrain"
    assert sorted(report.drifted) == ["concept", "performance"]
    assert report.kind == "performance"


def test_label_drift_is_not_mistaken_for_concept_drift(rng):
    accuracy = (0.95, 0.6)  # class 1 was always hard
    report = DriftDetector().check_performance(
        *draw(rng, 4000, share=0.2, accuracy=accuracy),
        *draw(rng, 1000, share=0.8, accuracy=accuracy),
    )
    assert {"labels", "performance"} <= set(report.drifted)
    assert "concept" not in report.drifted
    assert report.recommendation == "monitor"
    assert "classes changed their shares" in report.reason


def test_label_drift_alone(rng):
    report = DriftDetector().check_performance(
        *draw(rng, 2000, share=0.3), *draw(rng, 500, share=0.7)
    )
    assert report.drifted == ["labels"]
    assert report.recommendation == "monitor"


def test_a_better_model_is_no_drift(rng):
    report = DriftDetector().check_performance(
        *draw(rng, 800, accuracy=(0.6, 0.6)), *draw(rng, 300, accuracy=(0.95, 0.95))
    )
    assert not report.drift_detected


def test_delayed_labels_wait(rng):
    y, predicted = draw(rng, 300)
    late = y.astype(float)
    late[200:] = np.nan
    report = DriftDetector().check_performance(*draw(rng, 800), late, predicted)
    same = DriftDetector().check_performance(
        *draw(np.random.default_rng(1), 800), y[:200], predicted[:200]
    )
    assert report.n_new == same.n_new == 200
    assert report.correlation_detail["n_pending"] == 100
    late[10:] = np.nan
    assert (
        DriftDetector().check_performance(*draw(rng, 800), late, predicted).status
        == "INCONCLUSIVE"
    )


def test_probabilities_use_log_loss(rng):
    y, _ = draw(rng, 500)
    good = np.where((y == 1)[:, None], [0.2, 0.8], [0.8, 0.2])
    report = DriftDetector().check_performance(y[:300], good[:300], y[300:], 1 - good[300:])
    assert report.per_feature.loc["performance", "mean_reference"] == pytest.approx(-np.log(0.8))
    assert report.per_feature.loc["performance", "mean_new"] == pytest.approx(-np.log(0.2))
    assert report.recommendation == "retrain"


def test_odd_labels_and_lengths_are_refused(rng):
    y, predicted = draw(rng, 100)
    with pytest.raises(SktrainError, match="none of the classes"):
        DriftDetector().check_performance(y, predicted, y, predicted, classes=[0, 2])
    with pytest.raises(SktrainError, match="y_new has 100 rows, the predictions have 99"):
        DriftDetector().check_performance(y, predicted, y, predicted[1:])
    with pytest.raises(SktrainError, match="3 columns for 2 classes"):
        DriftDetector().check_performance(y, np.ones((100, 3)) / 3, y, np.ones((100, 3)) / 3)


def test_predictions_moved_is_said_without_calling_them_worse(rng):
    old, new = rng.beta(2, 2, 800), rng.beta(4, 2, 300)
    report = DriftDetector().check_predictions(old, new)
    assert report.kind == "prediction"
    assert report.drift_detected
    assert report.recommendation == "monitor"
    assert not DriftDetector().check_predictions(old, rng.beta(2, 2, 300)).drift_detected
    both = DriftDetector().check_predictions(
        np.column_stack([1 - old, old]), np.column_stack([1 - new, new])
    )
    assert both.psi == report.psi


def test_predicted_labels_are_categories(rng):
    old, new = rng.choice([0, 1, 2], 800), rng.choice([0, 1, 2], 300, p=[0.1, 0.1, 0.8])
    report = DriftDetector().check_predictions(pd.Series(old), new)
    assert report.per_feature["kind"].tolist() == ["categorical"]
    assert report.drift_detected
    three = rng.dirichlet([1, 1, 1], 500)
    assert DriftDetector().check_predictions(
        three[:300], three[300:]
    ).per_feature.index.tolist() == ["class 0", "class 1", "class 2"]

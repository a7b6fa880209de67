"""Fold scores against a plain loop, and the sentence that says what they are worth."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import TimeSeriesSplit

from sktrain import EnhancedWalkForwardCV
from sktrain.evaluation import FoldScores, baselines, classification_scores, fold_scores
from sktrain.exceptions import NotEnoughDataError


@pytest.fixture
def task():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = (X[:, 0] + rng.normal(size=400) > 0).astype(int) + (X[:, 1] > 1)
    return X, y


def test_scores_equal_a_plain_loop(task):
    X, y = task
    cv = TimeSeriesSplit(4)
    found = fold_scores({"linear": LogisticRegression(), "dummy": DummyClassifier()}, X, y, cv)
    for number, (train, test) in enumerate(cv.split(X)):
        model = LogisticRegression().fit(X[train], y[train])
        row = found.table.loc[number]
        assert row["linear_accuracy"] == pytest.approx(model.score(X[test], y[test]))
        assert row["linear_balanced_accuracy"] == pytest.approx(
            balanced_accuracy_score(y[test], model.predict(X[test]))
        )
        assert row["linear_log_loss"] == pytest.approx(
            log_loss(y[test], model.predict_proba(X[test]), labels=[0, 1, 2])
        )
    assert list(found.n_test) == [80] * 4
    assert list(found.n_train) == [80, 160, 240, 320]


def test_two_processes_give_the_same(task):
    X, y = task
    one = fold_scores(baselines(), X, y, TimeSeriesSplit(3))
    two = fold_scores(baselines(), X, y, TimeSeriesSplit(3), n_jobs=2)
    pd.testing.assert_frame_equal(one.table, two.table)


def test_the_splitters_own_summary_stands_before_the_scores(task):
    X, y = task
    found = fold_scores(
        baselines(),
        X,
        y,
        EnhancedWalkForwardCV(
            n_splits=3, horizon=2, ensure_regime_coverage=False, min_samples_per_fold=20
        ),
    )
    assert {"purged", "embargoed", "test_start"} <= set(found.table.columns)
    assert (found.table["purged"] == 2).all()


def test_a_class_unseen_in_training_costs_log_loss_but_no_error():
    X = np.arange(40.0)[:, None]
    y = np.array([0, 1] * 15 + [2] * 10)
    found = fold_scores(
        {"m": LogisticRegression()}, X, y, _Fixed([(np.arange(20), np.arange(20, 40))])
    )
    assert found.table["m_log_loss"].iloc[0] > 10


class _Fixed:
    def __init__(self, folds):
        self.folds = folds

    def split(self, X, y=None, groups=None):
        return iter(self.folds)


def test_balanced_accuracy_counts_present_classes_only():
    scores = classification_scores([0, 0, 2], [[0.9, 0.1, 0], [0.2, 0.8, 0], [0, 0, 1]], [0, 1, 2])
    assert scores["balanced_accuracy"] == pytest.approx(0.75)  # recalls 1/2 and 1
    assert scores["accuracy"] == pytest.approx(2 / 3)


def _table(model, rival):
    rows = {f"model_{m}": model for m in ("accuracy", "balanced_accuracy", "log_loss")} | {
        f"rival_{m}": rival for m in ("accuracy", "balanced_accuracy", "log_loss")
    }
    return FoldScores(
        pd.DataFrame(rows),
        np.array([500] * 5),
        np.array([100] * 5),
        ("model", "rival"),
        np.zeros(5),
    )


def test_no_interval_leaves_what_a_score_can_be():
    """Folds far apart: the t interval of their mean reaches below 0 and above 1."""
    table = _table([0.02, 0.98, 0.02, 0.98, 0.5], [0.4, 0.5, 0.6, 0.5, 0.5])
    low, high = table.interval()
    assert (low, high) == (0.0, 1.0)
    assert "[0.000, 1.000]" in table.verdict()
    assert -1 <= table.difference(table.names[1]).low < table.difference(table.names[1]).high <= 1
    assert table.interval("log_loss").low >= 0


def test_the_verdict_follows_the_interval():
    chance = [0.34, 0.32, 0.33, 0.35, 0.33]
    assert "no edge shown" in _table([0.36, 0.31, 0.35, 0.33, 0.34], chance).verdict()
    assert "better than the baseline" in _table([0.50, 0.51, 0.49, 0.50, 0.52], chance).verdict()
    assert "worse than the baseline" in _table([0.20, 0.21, 0.19, 0.20, 0.22], chance).verdict()
    assert "better" in _table(chance, [0.50, 0.51, 0.49, 0.50, 0.52]).verdict("log_loss")


def test_stopping_leaves_the_half_trained_fold_out(task):
    X, y = task
    done = []
    found = fold_scores(
        baselines(),
        X,
        y,
        TimeSeriesSplit(5),
        on_fold=lambda number, row: done.append(number),
        stop=lambda: len(done) == 3,
    )
    assert len(found.table) == 3
    with pytest.raises(NotEnoughDataError, match="0 of 5"):
        fold_scores(baselines(), X, y, TimeSeriesSplit(5), stop=lambda: True)


def test_no_fold_is_an_error(task):
    X, y = task
    with pytest.raises(NotEnoughDataError, match="no fold"):
        fold_scores(baselines(), X, y, _Fixed([]))


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same(task):
    distributed = pytest.importorskip("distributed")
    import joblib

    X, y = task
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster), joblib.parallel_backend("dask"):
        found = fold_scores(baselines(), X, y, TimeSeriesSplit(3), n_jobs=2)
    pd.testing.assert_frame_equal(
        found.table, fold_scores(baselines(), X, y, TimeSeriesSplit(3)).table
    )

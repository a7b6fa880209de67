"""What docs/peers.md says of peers that are installed for tests, held against those peers
themselves."""

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit

from sktrain import EnhancedWalkForwardCV, GRUClassifier, OptunaSearchCV


def test_time_series_split_knows_no_label_spans_and_takes_a_negative_gap():
    train, test = next(iter(TimeSeriesSplit(3, gap=-3).split(np.zeros(40))))
    assert set(train) & set(test)
    with pytest.raises(ValueError, match="embargo_bars"):
        EnhancedWalkForwardCV(embargo_bars=-3).split(np.zeros((400, 1)))


def test_optuna_integration_search_is_no_classifier_and_takes_one_metric():
    integration = pytest.importorskip("optuna_integration")
    theirs = integration.OptunaSearchCV(LogisticRegression(), {})
    assert not is_classifier(theirs)
    assert is_classifier(OptunaSearchCV(LogisticRegression(), {"C": (0.1, 1.0)}))
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), rng.integers(0, 2, 60)
    import optuna

    many = integration.OptunaSearchCV(
        LogisticRegression(),
        {"C": optuna.distributions.FloatDistribution(0.1, 1)},
        n_trials=2,
        scoring=["accuracy", "roc_auc"],
    )
    with pytest.raises(KeyError, match="test_score"):
        many.fit(X, y)
    ours = OptunaSearchCV(
        LogisticRegression(),
        {"C": (0.1, 1.0)},
        n_trials=2,
        scoring=["accuracy", "roc_auc"],
        refit="accuracy",
    ).fit(X, y)
    assert "mean_test_roc_auc" in ours.cv_results_


def test_skorch_validates_on_the_oldest_rows_by_default():
    from skorch.dataset import Dataset, ValidSplit

    y = np.tile([0, 1], 50)
    _, valid = ValidSplit(5, stratified=True)(Dataset(np.zeros((100, 1), np.float32), y), y)
    assert max(valid.indices) < 30
    net = GRUClassifier(
        max_epochs=1, module__hidden_size=4, horizon=0, valid_fraction=0.3, random_state=0
    )
    net.fit(np.zeros((100, 3, 1)), y)
    assert min(net.validation_.valid) == 70


def test_scikit_learns_boosting_stops_early_on_random_rows():
    """Only the seed differs, and so do the rows it validates on."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 3)), rng.integers(0, 2, 400)
    fits = [
        HistGradientBoostingClassifier(early_stopping=True, max_iter=3, random_state=seed).fit(X, y)
        for seed in (0, 1)
    ]
    assert not np.array_equal(fits[0].validation_score_, fits[1].validation_score_)
    plain = [
        HistGradientBoostingClassifier(early_stopping=False, max_iter=3, random_state=seed)
        .fit(X, y)
        .predict_proba(X)
        for seed in (0, 1)
    ]
    np.testing.assert_array_equal(*plain)
    assert HistGradientBoostingClassifier().early_stopping == "auto"


def test_purgedcv_binds_times_in_its_constructor_so_nested_rows_do_not_fit():
    purgedcv = pytest.importorskip("purgedcv")
    import pandas as pd

    times = pd.Series(pd.date_range("2020", periods=200))
    theirs = purgedcv.WalkForwardSplit(
        3, 20, prediction_times=times, evaluation_times=times.shift(-3).ffill()
    )
    X = pd.DataFrame({"x": np.zeros(200)}, index=pd.DatetimeIndex(times))
    assert len(list(theirs.split(X))) == 3
    inner = X.iloc[:120]
    with pytest.raises(ValueError, match=r".+"):
        list(theirs.split(inner))
    ours = EnhancedWalkForwardCV(
        3, horizon=3, ensure_regime_coverage=False, min_samples_per_fold=10, embargo_bars=0
    )
    assert len(list(ours.split(inner))) == 3

"""Displays hold the numbers they are given, and draw them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import (
    AdaptiveLabeler,
    CompressionDisplay,
    DriftDisplay,
    DriftGuard,
    EnhancedWalkForwardCV,
    LabelDisplay,
    LearningCurveDisplay,
    MLPNetClassifier,
    OptunaSearchCV,
    RegimeDisplay,
    SearchDisplay,
    TemporalSplitter,
    WalkForwardDisplay,
)
from sktrain.plotting._canvas import spans_of

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


def test_spans_of_a_mask_by_a_loop():
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random(20) < 0.5
        positions = {i for first, last in spans_of(mask) for i in range(first, last + 1)}
        assert positions == set(np.flatnonzero(mask))


def test_walk_forward_roles_equal_the_split(sp500):
    bars, y = AdaptiveLabeler().fit_resample(sp500)
    cv = EnhancedWalkForwardCV(n_splits=4, ensure_regime_coverage=False)
    display = WalkForwardDisplay.from_cv(cv, bars, y)
    for role, (train, test) in zip(display.roles, cv.split(bars, y)):
        assert set(np.flatnonzero(role == "train")) == set(train)
        assert set(np.flatnonzero(role == "test")) == set(test)
        gap = np.flatnonzero(role == "gap")
        assert len(gap) == 13  # 3 bars purged, 10 more embargoed
        assert gap[-1] == test[0] - 1
    assert len(display.plot().ax_) == 2


def test_regimes_and_labels_draw_on_given_axes(sp500, us_stocks):
    _, ax = pyplot.subplots()
    display = RegimeDisplay.from_bars(sp500).plot(ax=ax)
    assert display.ax_ is ax
    assert display.regimes.notna().sum() > 4000
    labels = LabelDisplay.from_bars(
        us_stocks, AdaptiveLabeler(scaling="sigma", base_threshold=0.5), symbol="IBM"
    ).plot()
    assert labels.balance.sum() == pytest.approx(1)
    assert len(labels.labels) == len(us_stocks.xs("IBM", level=0))


def test_learning_curves_mark_the_best_epoch():
    curves = {
        "a": pd.DataFrame({"train_loss": [3.0, 2, 1], "valid_loss": [3.0, 1, 2]}, index=[1, 2, 3])
    }
    display = LearningCurveDisplay(curves, {"a": 2}).plot()
    assert len(display.ax_.lines) == 3
    with pytest.raises(ValueError, match="no training history"):
        LearningCurveDisplay.from_estimator(object())


def test_learning_curves_of_a_net_are_those_of_what_holds_it():
    """Searches, guards and tuned thresholds said that they keep no training history."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 2)), rng.integers(0, 2, 120)
    net = MLPNetClassifier(max_epochs=2, module__hidden_size=2, random_state=0, horizon=0)
    cv = TemporalSplitter(embargo_bars=0, horizon=0)
    model = make_pipeline(StandardScaler(), net)
    for held in (
        OptunaSearchCV(model, {"mlpnetclassifier__lr": [1e-3]}, n_trials=1, cv=cv),
        DriftGuard(model, watch_performance=False),
        TunedThresholdClassifierCV(model, cv=cv),
    ):
        held.fit(X, y)
        inside = getattr(held, "best_estimator_", None) or held.estimator_
        pd.testing.assert_frame_equal(
            LearningCurveDisplay.from_estimator(held).curves["net"],
            LearningCurveDisplay.from_estimator(inside).curves["net"],
        )


def test_drift_heat_map_and_bars():
    features = pd.Index(["a", "b"])
    reports = [
        {
            "per_feature": pd.DataFrame(
                {"psi": [0.1 * k, 0.2], "drifted": [False, True]}, index=features
            )
        }
        for k in range(3)
    ]
    many = DriftDisplay.from_reports(reports).plot()
    assert many.psi.shape == (3, 2)
    one = DriftDisplay.from_reports(reports[:1]).plot()
    assert len(one.ax_.patches) == 2
    with pytest.raises(ValueError, match="empty"):
        DriftDisplay.from_reports([])


def test_search_best_so_far_skips_pruned_trials():
    display = SearchDisplay(
        [0.3, np.nan, 0.5, 0.4], ["complete", "pruned", "complete", "complete"], luck=0.45
    ).plot()
    assert display.best.tolist() == [0.3, 0.3, 0.5, 0.5]


def test_compression_reads_both_shapes_of_report():
    one = CompressionDisplay.from_report(
        {"before": {"size_bytes": 100.0}, "after": {"size_bytes": 25.0}}
    )
    two = CompressionDisplay.from_report(
        {"size_bytes_before": 100, "size_bytes_after": 25, "other": 1}
    )
    assert one.ratios.to_dict() == two.ratios.to_dict() == {"size_bytes": 0.25}
    assert len(one.plot().ax_) == 1


def test_compression_is_told_in_units():
    table = pd.DataFrame(
        {"before": [61264.0, 3.1664, 0.4499], "after": [50962.0, 3.267, 0.4431]},
        index=["size_bytes", "latency_256_ms", "accuracy"],
    )
    drawn = CompressionDisplay(table).plot().ax_
    assert [one.get_title(loc="left") for one in drawn] == [
        "size: 59.8 → 49.8 KiB",
        "latency 256: 3.17 → 3.27 ms",
        "accuracy: 0.45 → 0.443",
    ]
    np.testing.assert_allclose(drawn[0].patches[0].get_width(), 50962 / 1024)


@pytest.mark.parametrize("top", [120.0, 130_000.0, 3e7])
def test_prices_are_read_as_prices(top):
    import matplotlib.pyplot as plt

    from sktrain.plotting._market import _draw_price

    figure, ax = plt.subplots()
    _draw_price(
        ax, pd.Series(np.geomspace(top / 30, top, 60), pd.date_range("2024-01-01", periods=60))
    )
    figure.canvas.draw()
    low, high = ax.get_ylim()
    told = [
        (tick.get_position()[1], tick.get_text())
        for tick in ax.get_yticklabels() + ax.get_yticklabels(minor=True)
    ]
    told = [(place, text) for place, text in told if low <= place <= high]
    assert len(told) >= 3
    assert all(float(text.replace(",", "")) == pytest.approx(place) for place, text in told)
    plt.close(figure)

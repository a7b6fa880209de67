"""A run whose nets come together with learned weights, beside a linear model and the prior."""

import numpy as np
import pytest

from sktrain import BarFeatures, EnhancedTrainer, EnhancedTrainingConfig, SlidingWindow, load
from sktrain.datasets import make_market
from sktrain.trainer._models import checkpoints_activations
from sktrain.trainer._pool import LastStep

SMALL = {
    "models": ["mlp"], "pooling": "learned", "lookback": 3, "hidden_size": 4,
    "use_walk_forward": False, "early_stopping_min_epochs": 1, "leakage_audit": False,
    "use_drift_detection": False, "quantize_model": True, "use_mixed_precision": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def market():
    return make_market(1500, signal=0.8, regimes=False, random_state=0).bars


@pytest.fixture(scope="module")
def run(market, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool") / "run"
    config = EnhancedTrainingConfig(**SMALL)
    return folder, EnhancedTrainer(config, folder, market.iloc[:800]).train(epochs=2, verbose=0)


def test_the_newest_step_is_the_row_itself(market):
    X = BarFeatures().fit_transform(market.iloc[:200]).to_numpy()
    windows = SlidingWindow(lookback=4).fit_transform(X)
    for given in (windows, windows[50:], np.asarray(windows)):
        found = LastStep().fit(given).transform(given)
        np.testing.assert_array_equal(found, np.asarray(given)[:, -1, :])


def test_weights_are_learned_and_told(run):
    folder, result = run
    weights = result["pool"]
    assert list(weights) == ["mlp", "linear", "prior"]
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["prior"] < 0.9  # there is a signal
    assert list(result["hyperparameters"]["models"]) == ["mlp"]
    assert "Weights learned on the validation block: mlp" in (folder / "report.html").read_text()


def test_what_switches_came_to_is_told(run):
    folder, result = run
    assert result["decided"] == {
        "mixed_precision": {"mlp": "float32: mixed_precision=False"},
        "gradient_checkpointing": (
            # 128 rows x 3 steps x 4 units x 2 layers x 16 values x 4 bytes = .1875 MiB
            "off: activations of a batch take about 0.188 MiB, not above 64"
        ),
    }
    assert "Precision: mlp float32 (mixed_precision=False)" in (folder / "report.html").read_text()


def test_checkpointing_begins_above_64_mib():
    config = EnhancedTrainingConfig(lookback=64, hidden_size=64, n_layers=2)
    # 128 x 64 x 64 x 2 x 64 bytes = 64 MiB
    assert checkpoints_activations(config, 128) == (
        False, "activations of a batch take about 64 MiB, not above 64",
    )  # fmt: skip
    assert checkpoints_activations(config, 256) == (
        True, "activations of a batch take about 128 MiB, above 64",
    )  # fmt: skip
    off = EnhancedTrainingConfig(use_gradient_checkpointing=False)
    assert checkpoints_activations(off, 4096) == (False, "use_gradient_checkpointing=False")


def test_a_saved_pool_answers_like_its_members_weighed(run, market):
    folder, result = run
    X = market.iloc[800:900]
    for file in ("model.sktrain", "trained.sktrain"):
        model = load(folder / file)
        windows, pool = model[:-1].transform(X), model[-1]
        parts = [one.predict_proba(windows) for one in pool.estimators_]
        parts.append(np.broadcast_to(pool.prior_, parts[0].shape))
        expected = sum(w * part for w, part in zip(result["pool"].values(), parts))
        np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-6)


def test_going_on_trains_the_nets_and_leaves_the_weights(run, market):
    folder, first = run
    before = load(folder / "trained.sktrain")
    config = EnhancedTrainingConfig(**SMALL)
    result = EnhancedTrainer(config, folder, market).train(epochs=2, incremental=True, verbose=0)
    after = load(folder / "trained.sktrain")
    assert result["pool"] == first["pool"]
    assert "weights, linear model and class shares stay" in result["incremental"]["reason"]
    rows = market.iloc[800:900]
    old, new = (model[-1].named_estimators_["linear"] for model in (before, after))
    windows = before[:-1].transform(rows)
    np.testing.assert_array_equal(new.predict_proba(windows), old.predict_proba(windows))
    assert result["epochs_completed"] == 2

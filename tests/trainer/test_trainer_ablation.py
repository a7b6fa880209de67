"""What each switch adds: held to the same folds fitted by hand, with the switch and without it."""

from dataclasses import replace

import numpy as np
import pytest

from sktrain import EnhancedTrainer, EnhancedTrainingConfig
from sktrain.datasets import make_market
from sktrain.evaluation import corrected_mean_interval, fold_scores
from sktrain.exceptions import SktrainError, SktrainWarning
from sktrain.trainer import words
from sktrain.trainer._ablation import switches_on
from sktrain.trainer._models import FitPlan, build_model, with_config_news
from sktrain.trainer._tasks import divide, label_bars, walk_forward_cv

CONFIG = EnhancedTrainingConfig(
    models=["mlp"],
    lookback=5, hidden_size=8, wf_folds=3, wf_min_samples_per_fold=50, ensure_regime_coverage=False,
    early_stopping_min_epochs=1, leakage_audit=False, use_drift_detection=False,
    prune_after_training=False, ablation=True,
)


def test_the_table_is_the_folds_fitted_by_hand(tmp_path):
    bars = make_market(900, random_state=0).bars
    result = EnhancedTrainer(CONFIG, tmp_path, bars).train(epochs=2)
    task = label_bars(bars, CONFIG, 3)
    train, val, _ = divide(task, CONFIG)
    rows = np.sort(np.concatenate([train, val]))
    X, y = task.bars.iloc[rows], task.y.iloc[rows]
    plan = FitPlan(2, 128, 1e-3, 3, CONFIG.val_ratio / (CONFIG.train_ratio + CONFIG.val_ratio))

    def scores(config):
        return fold_scores(build_model(config, plan), X, y, walk_forward_cv(CONFIG))

    whole = scores(CONFIG)
    assert whole.scores().tolist() == [row["score"] for row in result["walk_forward_results"]]
    off = {"focal loss": {"use_focal_loss": False}, "dropout": {"dropout_rate": 0.0}}
    told = {row["switch"]: row for row in result["ablation"]}
    assert list(told) == ["focal loss", "dropout", "weight decay", "gradient clipping"]
    for name, fields in off.items():
        without = scores(replace(CONFIG, **fields))
        gain = corrected_mean_interval(
            whole.scores() - without.scores(), whole.n_train, whole.n_test
        )
        row = told[name]
        assert (row["score"], row["gain"]) == pytest.approx((without.scores().mean(), gain.mean))
        assert (row["low"], row["high"]) == pytest.approx((max(gain.low, -1), min(gain.high, 1)))
    page = (tmp_path / "report.html").read_text()
    assert "What each switch adds" in page
    assert words.percent(told["dropout"]["score"]) in page


def test_news_that_are_not_read_are_told():
    bars = make_market(50, random_state=0).bars
    with pytest.warns(SktrainWarning, match="news='n.csv' is not read: use_pretrained_embeddings"):
        assert with_config_news(bars, replace(CONFIG, news="n.csv")) is bars


def test_only_switches_that_are_on_and_asked_for(tmp_path):
    config = replace(
        CONFIG, use_focal_loss=False, dropout_rate=0.0, gradient_clip_value=None, use_hpo=True
    )
    assert list(switches_on(config)) == ["weight decay", "gradient clipping", "search"]
    told = replace(
        CONFIG, news="n.csv", news_bad_rows="drop", news_dayfirst=True, timezone="Asia/Tokyo",
        use_pretrained_embeddings=True,
    )
    assert switches_on(told)["news"] == replace(CONFIG, ablation=True)
    assert EnhancedTrainingConfig().ablation is False
    with pytest.raises(SktrainError, match="use_walk_forward=True"):
        EnhancedTrainingConfig(ablation=True, use_walk_forward=False)


@pytest.mark.parametrize(
    "low, high, said",
    [
        (0.01, 0.03, "Helps beyond noise: dropout."),
        (-0.03, -0.01, "Hurts beyond noise: dropout."),
        (-0.01, 0.01, "No switch makes"),
    ],
)
def test_what_the_intervals_say(low, high, said):
    cells, sentence = words.ablation_rows(
        [{"switch": "dropout", "score": 0.4, "gain": 0.02, "low": low, "high": high}]
    )
    assert cells[0][:3] == ("dropout", "40.0%", "+2.0%")
    assert sentence.startswith(said)

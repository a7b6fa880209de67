"""A search in several processes: the same trials, and it can be stopped."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sktrain import EnhancedTrainer, EnhancedTrainingConfig
from sktrain.datasets import load_sp500, make_market
from sktrain.exceptions import NotEnoughDataError, SktrainError
from sktrain.trainer._search import inner_cv
from sktrain.trainer._tasks import HALVED, in_words_of

CONFIG = EnhancedTrainingConfig(
    models=["mlp"],
    lookback=5, hidden_size=8, use_walk_forward=False, leakage_audit=False,
    use_drift_detection=False, prune_after_training=False, early_stopping_min_epochs=1,
    use_hpo=True, hpo_n_trials=3, wf_min_samples_per_fold=50,
)
BARS = make_market(900, random_state=0).bars


@pytest.mark.slow
def test_the_same_trials_in_two_processes(tmp_path):
    found = [
        EnhancedTrainer(replace(CONFIG, n_jobs=n_jobs), tmp_path / str(n_jobs), BARS).train(
            epochs=2
        )
        for n_jobs in (1, 2)
    ]
    assert found[0]["search"] == found[1]["search"]
    assert found[0]["test_scores"] == found[1]["test_scores"]


@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_a_search_can_be_stopped_before_its_first_trial_is_done(n_jobs, tmp_path):
    """The flag is up as soon as the search has its file; a thousand trials of a thousand epochs
    would take days."""
    trials = tmp_path / ".sktrain-checkpoints" / "search.db"
    config = replace(CONFIG, n_jobs=n_jobs, hpo_n_trials=1000, early_stopping_min_epochs=500)
    result = EnhancedTrainer(config, tmp_path, BARS).train(epochs=1000, stop_flag=trials.exists)
    assert result["status"] == "stopped"
    assert result["model_path"] is None
    assert not trials.with_suffix(".stop").exists()


def test_no_process_is_none():
    with pytest.raises(SktrainError, match="n_jobs=0"):
        EnhancedTrainingConfig(n_jobs=0)


def test_the_search_divides_what_the_shortest_fold_has():
    """A fold that just holds its least rows can be searched: inner folds need half of them."""
    config = EnhancedTrainingConfig(wf_min_samples_per_fold=100)
    days = pd.date_range("2020-01-01", periods=445, freq="D")
    X, y = pd.DataFrame({"x": np.arange(445.0)}, days), pd.Series(np.arange(445) % 3, days)
    y.attrs["label_horizon"] = 3
    inner = list(inner_cv(config).split(X, y))
    assert len(inner) == 3
    assert min(len(train) for train, _ in inner) >= 50
    with pytest.raises(NotEnoughDataError, match="min_samples_per_fold=50"):
        list(inner_cv(config).split(X.iloc[:200], y.iloc[:200]))
    with pytest.raises(NotEnoughDataError) as refused, in_words_of(HALVED):
        list(inner_cv(config).split(X.iloc[:200], y.iloc[:200]))
    said = str(refused.value)
    assert "half of wf_min_samples_per_fold (50)" in said
    assert "Use more rows, or lower wf_min_samples_per_fold or embargo_bars." in said


def test_too_few_rows_are_told_in_the_words_of_the_config(tmp_path):
    trainer = EnhancedTrainer(model_dir=tmp_path, data=load_sp500().iloc[:380])
    with pytest.raises(NotEnoughDataError) as refused:
        trainer.train(epochs=1)
    said = str(refused.value)
    assert "wf_min_samples_per_fold=100" in said
    assert "fewer wf_folds, or lower wf_min_samples_per_fold or embargo_bars" in said

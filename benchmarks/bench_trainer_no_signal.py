"""What a training with a search reports on markets that have no signal: nested walk-forward scores
against chance."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
import warnings

from _harness import Claim, arguments, report
from joblib import Parallel, delayed
import numpy as np
from scipy import stats

from sktrain import EnhancedTrainer, EnhancedTrainingConfig
from sktrain.datasets import make_market

CHANCE = 1 / 3  # balanced accuracy of guessing among three classes
SETTING = {
    "models": ["mlp"],
    "lookback": 5,
    "hidden_size": 8,
    "wf_folds": 3,
    "wf_min_samples_per_fold": 40,
    "ensure_regime_coverage": False,
    "early_stopping_min_epochs": 1,
    "leakage_audit": False,
    "use_drift_detection": False,
    "prune_after_training": False,
    "use_hpo": True,
    "n_jobs": 1,  # markets run side by side
}


def scores(seed, n_trials, epochs):
    """Mean score over the folds that the result reports, of a training with the search."""
    warnings.simplefilter("ignore")
    bars = make_market(1200, signal=0.0, random_state=seed).bars
    config = EnhancedTrainingConfig(**SETTING, hpo_n_trials=n_trials, training_seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        result = EnhancedTrainer(config, folder, bars).train(epochs=epochs, verbose=0)
    assert "Nested" in result["verdict"]
    return float(np.mean([row["score"] for row in result["walk_forward_results"]])), result[
        "search"
    ]["best_score"]


def main():
    smoke = arguments(__doc__).smoke
    markets, n_trials, epochs = (2, 2, 1) if smoke else (20, 6, 4)
    found = np.array(
        Parallel(n_jobs=2)(delayed(scores)(seed, n_trials, epochs) for seed in range(markets))
    )
    gap = found[:, 0] - CHANCE
    error = gap.std(ddof=1) / np.sqrt(markets)
    reach = stats.t.ppf(0.975, markets - 1) * error
    note = (
        f"mean {found[:, 0].mean():.4f}, {gap.mean():+.4f} [{gap.mean() - reach:+.4f}, "
        f"{gap.mean() + reach:+.4f}] against {CHANCE:.4f}"
    )
    claims = [
        Claim(
            f"reported score beyond chance on {markets} markets without signal, in standard errors",
            gap.mean() / error,
            2.0,
            note=note,
        ),
        Claim(
            "best score inside the search, beyond chance",
            found[:, 1].mean() - CHANCE,
            None,
            note="not reported as the score",
        ),
    ]
    report("trainer_no_signal", claims, smoke=smoke)


if __name__ == "__main__":
    main()

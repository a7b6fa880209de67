"""The full configuration against the base one on ``make_market`` with signal: balanced accuracy on
the test block over ten seeds.

Base: cross-entropy, no schedules, no early stopping, fixed label thresholds. Full: the trainer's
defaults (focal loss, schedules, early stopping, adaptive labels), soft vote off to keep the nets
equal. The interval is a t interval of the paired differences.
"""

import tempfile

from _harness import Claim, arguments, report
import numpy as np
from scipy import stats

from sktrain import EnhancedTrainer, EnhancedTrainingConfig
from sktrain.datasets import make_market

COMMON = {
    "models": ["mlp"],
    "lookback": 10,
    "use_walk_forward": False,
    "leakage_audit": False,
    "use_drift_detection": False,
    "prune_after_training": False,
    "use_gradient_checkpointing": False,
    "label_scaling": "sigma",
    "base_label_threshold": 0.5,
}
BASE = {
    "use_focal_loss": False,
    "dropout_rate": 0.0,
    "weight_decay": 0.0,
    "gradient_clip_value": None,
    "max_gradient_norm": None,
    "adaptive_labels": False,
    "label_scaling": "affine",
    "early_stopping_min_epochs": 500,
    "early_stopping_patience": 500,
}


def score(fields, bars, seed, epochs):
    """Balanced accuracy of the saved model on the test block, against the labels it was trained
    on."""
    config = EnhancedTrainingConfig(**{**COMMON, **fields, "training_seed": seed})
    with tempfile.TemporaryDirectory() as folder:
        result = EnhancedTrainer(config, folder, bars).train(
            epochs=epochs, batch_size=128, horizon=1
        )
    return result["test_scores"]["balanced_accuracy"]


def main():
    smoke = arguments(__doc__).smoke
    seeds, n_bars, epochs = (2, 600, 2) if smoke else (10, 3000, 60)
    gaps, full, base = [], [], []
    for seed in range(seeds):
        bars = make_market(n_bars, signal=0.6, random_state=seed).bars
        typical = float(bars["close"].pct_change().std())
        full.append(score({}, bars, seed, epochs))
        base.append(score({**BASE, "base_label_threshold": 0.5 * typical}, bars, seed, epochs))
        gaps.append(100 * (full[-1] - base[-1]))
    mean, error = float(np.mean(gaps)), float(stats.sem(gaps))
    low, high = stats.t.interval(0.95, len(gaps) - 1, mean, error)
    claims = [
        Claim(
            "full minus base, balanced accuracy", mean, 3.0, ">=", "pts",
            f"95 % interval [{low:+.1f}, {high:+.1f}] over {seeds} seeds",
        ),
        Claim("lower end of the interval", float(low), 0.0, ">=", "pts"),
        Claim("full", float(np.mean(full)), None),
        Claim("base", float(np.mean(base)), None),
    ]
    report("full_against_base", claims, smoke=smoke)


if __name__ == "__main__":
    main()

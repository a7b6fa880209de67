"""What a score is worth: returns, probabilities and fold scores enter, statistics that refuse to be fooled leave."""

from ._folds import FoldScores, baselines, classification_scores, fold_scores
from ._intervals import MeanInterval, corrected_mean_interval, false_discovery_rate
from ._overfitting import BacktestOverfitting, effective_number_of_trials, probability_of_backtest_overfitting
from ._sharpe import (
    SharpeRatio,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
)

__all__ = [
    "BacktestOverfitting",
    "FoldScores",
    "MeanInterval",
    "SharpeRatio",
    "baselines",
    "classification_scores",
    "corrected_mean_interval",
    "deflated_sharpe_ratio",
    "effective_number_of_trials",
    "expected_maximum_sharpe",
    "false_discovery_rate",
    "fold_scores",
    "minimum_track_record_length",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "sharpe_ratio",
]

"""What a score is worth: statistics on returns, probabilities and fold scores."""

from ._calibration import NullCalibration, null_calibration
from ._folds import (
    METRICS,
    FoldScores,
    all_class_probabilities,
    baselines,
    classification_scores,
    fold_scores,
)
from ._intervals import MeanInterval, corrected_mean_interval, false_discovery_rate
from ._null_markets import null_market
from ._overfitting import (
    BacktestOverfitting,
    effective_number_of_trials,
    probability_of_backtest_overfitting,
)
from ._positions import ProfitAndLoss, profit_and_loss, to_positions
from ._predictions import (
    OutOfFoldPredictions,
    RegimeScores,
    per_regime_scores,
    walk_forward_predict,
)
from ._sharpe import (
    SharpeRatio,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
)

__all__ = [
    "METRICS",
    "BacktestOverfitting",
    "FoldScores",
    "MeanInterval",
    "NullCalibration",
    "OutOfFoldPredictions",
    "ProfitAndLoss",
    "RegimeScores",
    "SharpeRatio",
    "all_class_probabilities",
    "baselines",
    "classification_scores",
    "corrected_mean_interval",
    "deflated_sharpe_ratio",
    "effective_number_of_trials",
    "expected_maximum_sharpe",
    "false_discovery_rate",
    "fold_scores",
    "minimum_track_record_length",
    "null_calibration",
    "null_market",
    "per_regime_scores",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "profit_and_loss",
    "sharpe_ratio",
    "to_positions",
    "walk_forward_predict",
]

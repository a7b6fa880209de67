"""Search: honest, resumable and exact tuning of any scikit-learn estimator with Optuna."""

from ._optimizer import BayesianHyperparameterOptimizer
from ._overfit import OverfitReport
from ._pruning import FoldPruner
from ._search import OptunaSearchCV
from ._spaces import HyperparameterSearchSpace

__all__ = [
    "BayesianHyperparameterOptimizer", "FoldPruner", "HyperparameterSearchSpace", "OptunaSearchCV",
    "OverfitReport",
]

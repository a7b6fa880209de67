"""Search: honest, resumable and exact tuning of any scikit-learn estimator with Optuna."""

from ._overfit import OverfitReport
from ._pruning import FoldPruner
from ._search import OptunaSearchCV
from ._spaces import HyperparameterSearchSpace, Space as Space
from ._study import default_sampler as default_sampler, quiet_optuna as quiet_optuna

__all__ = [
    "FoldPruner", "HyperparameterSearchSpace", "OptunaSearchCV", "OverfitReport",
]

"""The whole run in one call: a scored, compressed, saved model and its report."""

from ._config import EnhancedTrainingConfig
from ._trainer import EnhancedTrainer

__all__ = ["EnhancedTrainer", "EnhancedTrainingConfig"]

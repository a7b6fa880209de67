"""The whole run in one call: a config and bars enter; a scored, compressed, saved model and its report leave."""

from ._config import EnhancedTrainingConfig
from ._trainer import EnhancedTrainer

__all__ = ["EnhancedTrainer", "EnhancedTrainingConfig"]

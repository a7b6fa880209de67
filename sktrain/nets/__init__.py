"""Five neural classifiers, their loss, sampler and callbacks."""

from ._batches import ClassWeightedSampler
from ._callbacks import (
    DropoutSchedule,
    GradientClip,
    GradientRegularizer,
    ProgressBar,
    ReduceOnPlateau,
    StopFlag,
    WeightDecaySchedule,
    WeightDecayScheduler,
)
from ._checkpoint import TrainingCheckpoint
from ._classifiers import (
    GRUClassifier,
    LSTMClassifier,
    MLPNetClassifier,
    TCNClassifier,
    TransformerClassifier,
)
from ._early_stopping import EnhancedEarlyStopping
from ._losses import FocalLoss, class_balanced_weights
from ._modules import EnhancedDropout

__all__ = [
    "ClassWeightedSampler",
    "DropoutSchedule",
    "EnhancedDropout",
    "EnhancedEarlyStopping",
    "FocalLoss",
    "GRUClassifier",
    "GradientClip",
    "GradientRegularizer",
    "LSTMClassifier",
    "MLPNetClassifier",
    "ProgressBar",
    "ReduceOnPlateau",
    "StopFlag",
    "TCNClassifier",
    "TrainingCheckpoint",
    "TransformerClassifier",
    "WeightDecaySchedule",
    "WeightDecayScheduler",
    "class_balanced_weights",
]

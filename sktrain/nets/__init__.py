"""Five neural classifiers, their loss, sampler and callbacks."""

from .._optional import collector_paused

with collector_paused():
    import skorch as _skorch  # noqa: F401  # and torch with it, before the modules that use them

from ._batches import ClassWeightedSampler
from ._callbacks import (
    DropoutSchedule,
    GradientClip,
    ProgressBar,
    ReduceOnPlateau,
    StopFlag,
    WeightDecaySchedule,
    check_limit as check_limit,
    check_weight_decay as check_weight_decay,
    clip_gradients as clip_gradients,
    weight_decay_at as weight_decay_at,
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
from ._modules import (
    EnhancedDropout,
    GRUModule as GRUModule,
    LSTMModule as LSTMModule,
    MLPModule as MLPModule,
    TCNModule as TCNModule,
    TransformerModule as TransformerModule,
)
from ._optimizers import make_optimizer as make_optimizer

__all__ = [
    "ClassWeightedSampler",
    "DropoutSchedule",
    "EnhancedDropout",
    "EnhancedEarlyStopping",
    "FocalLoss",
    "GRUClassifier",
    "GradientClip",
    "LSTMClassifier",
    "MLPNetClassifier",
    "ProgressBar",
    "ReduceOnPlateau",
    "StopFlag",
    "TCNClassifier",
    "TrainingCheckpoint",
    "TransformerClassifier",
    "WeightDecaySchedule",
    "class_balanced_weights",
]

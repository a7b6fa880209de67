"""Labelers: what happened after each bar, when it was known, and how much each label is worth."""

from ._adaptive import AdaptiveLabeler
from ._barriers import TripleBarrierLabeler
from ._sampler import LabelSampler
from ._uniqueness import average_uniqueness, sequential_bootstrap, time_decay_weights

__all__ = [
    "AdaptiveLabeler",
    "LabelSampler",
    "TripleBarrierLabeler",
    "average_uniqueness",
    "sequential_bootstrap",
    "time_decay_weights",
]

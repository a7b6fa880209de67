"""Labelers: what happened after each bar, when it was known, and how much each label is worth."""

from ._adaptive import AdaptiveLabeler

__all__ = ["AdaptiveLabeler"]

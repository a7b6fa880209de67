"""Several classifiers as one: a pool whose weights are learned on later rows than its members."""

from ._pooled import PooledClassifier

__all__ = ["PooledClassifier"]

"""Several classifiers as one: a pool whose weights are learned on later rows than its members."""

from ._pooled import PooledClassifier
from ._recipe import make_recipe

__all__ = ["PooledClassifier", "make_recipe"]

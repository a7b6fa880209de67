"""The rows a guarded model was trained on, newest last, forgotten block by block beyond a limit."""

import numpy as np
import pandas as pd
from sklearn.utils import _safe_indexing

__all__ = ["Memory", "join", "newest_step", "stack"]


def join(parts):
    """Put blocks of rows behind one another; frames stay frames."""
    parts = [part for part in parts if part is not None and len(part)]
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, (pd.DataFrame, pd.Series)) for part in parts):
        return pd.concat(parts)
    return np.concatenate([np.asarray(part) for part in parts])


def newest_step(X):
    """Rows of two dimensions: of windows, the newest step (the steps before it are the newest of earlier rows)."""
    if getattr(X, "ndim", 2) == 3:
        return np.asarray(X[np.arange(len(X))])[:, -1, :]
    return X


def stack(codes_and_probabilities):
    """Outcomes and predictions of several blocks."""
    return [np.concatenate(parts) for parts in zip(*codes_and_probabilities)]


class Memory:
    """Blocks of (X, y), newest last, of at most ``limit`` rows altogether.

    The newest block is always kept whole; of the oldest one, the newest rows that still fit.
    """

    def __init__(self, limit):
        self.limit = limit
        self.blocks = []

    def __len__(self):
        return sum(len(y) for _, y in self.blocks)

    def copy(self):
        """Another memory of the same blocks."""
        other = Memory(self.limit)
        other.blocks = list(self.blocks)
        return other

    def add(self, X, y):
        """Remember a block and forget what no longer fits."""
        self.blocks.append((X, y))
        while len(self) > self.limit and len(self.blocks) > 1:
            spare = len(self) - self.limit
            oldest, outcome = self.blocks.pop(0)
            if len(outcome) > spare:
                rows = np.arange(spare, len(outcome))
                self.blocks.insert(0, (_safe_indexing(oldest, rows), _safe_indexing(outcome, rows)))

    def last(self, n):
        """The newest n rows (X, y), or all there are."""
        X, y = self.all()
        rows = np.arange(max(len(y) - n, 0), len(y))
        return (X, y) if len(rows) == len(y) else (_safe_indexing(X, rows), _safe_indexing(y, rows))

    def all(self):
        """All rows (X, y)."""
        return join([X for X, _ in self.blocks]), join([y for _, y in self.blocks])

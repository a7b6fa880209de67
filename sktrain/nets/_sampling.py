"""Labels enter, row numbers leave in which every class is drawn equally often. Knows nothing about time: only for training rows."""

import numpy as np
import torch
from torch.utils.data import Sampler

from .._validation import check_count
from ..exceptions import SktrainError

__all__ = ["ClassWeightedSampler"]


class ClassWeightedSampler(Sampler):
    """Draws rows with probability 1 / (rows of their class), so that classes are balanced on average.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Label of each row, of any kind.
    num_samples : int, optional
        Rows per pass; default n.
    replacement : bool, default=True
        Whether a row may be drawn twice in one pass. Without it, ``num_samples`` must be at most n, and a pass of all n rows is
        a plain shuffle with rare classes first.
    generator : torch.Generator, optional
        Where to draw from; default torch's global generator.

    Raises
    ------
    SktrainError
        No labels, a missing label, more samples than rows without replacement.

    Examples
    --------
    >>> import torch
    >>> from sktrain import ClassWeightedSampler
    >>> sampler = ClassWeightedSampler([0] * 90 + [1] * 10, num_samples=1000, generator=torch.Generator().manual_seed(0))
    >>> 400 < sum(row >= 90 for row in sampler) < 600
    True
    """

    def __init__(self, labels, num_samples=None, replacement=True, generator=None):
        labels = np.asarray(labels.detach().cpu() if isinstance(labels, torch.Tensor) else labels)
        if labels.ndim != 1 or not len(labels):
            raise SktrainError(f"labels must be 1-D and not empty, got shape {labels.shape}.")
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            raise SktrainError(f"labels: row {int(np.argmax(np.isnan(labels)))} is missing (NaN). Drop rows without a label.")
        if not isinstance(replacement, (bool, np.bool_)):
            raise SktrainError(f"replacement must be True or False, got {replacement!r}.")
        self.num_samples = len(labels) if num_samples is None else check_count("num_samples", num_samples)
        if not replacement and self.num_samples > len(labels):
            raise SktrainError(f"num_samples={self.num_samples} without replacement exceeds the {len(labels)} rows.")
        _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self.weights = torch.from_numpy(1.0 / counts[codes.reshape(-1)])
        self.replacement, self.generator = bool(replacement), generator
        self._steps = torch.cumsum(self.weights, 0) if replacement else None

    def draw(self):
        """One pass as a tensor of row numbers."""
        if not self.replacement:  # keys u^(1/w), largest first (Efraimidis & Spirakis 2006): no limit on the number of rows
            keys = torch.rand(len(self.weights), dtype=torch.float64, generator=self.generator).log() / self.weights
            return keys.argsort(descending=True)[: self.num_samples]
        at = torch.rand(self.num_samples, dtype=torch.float64, generator=self.generator) * self._steps[-1]
        return torch.searchsorted(self._steps, at, right=True).clamp_max_(len(self.weights) - 1)

    def __iter__(self):
        return iter(self.draw().tolist())

    def __len__(self):
        return self.num_samples

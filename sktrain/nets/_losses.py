"""Focal loss, and class weights. Independent of time."""

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
import torch
from torch import nn
from torch.nn import functional as F

from .._validation import check_number
from ..exceptions import SktrainError

__all__ = ["FocalLoss", "class_balanced_weights"]


def class_balanced_weights(counts: ArrayLike, beta: float = 0.999) -> np.ndarray:
    """Class-balanced weights (1 - beta) / (1 - beta^n) of Cui et al. 2019, "Class-balanced loss
    based on effective number of samples".

    Parameters
    ----------
    counts : array-like of shape (n_classes,)
        Rows (or summed sample weights) per class, positive.
    beta : float, default=0.999
        0 weighs all classes alike, towards 1 by the inverse frequency.

    Returns
    -------
    ndarray of shape (n_classes,)
        Weight of each class.

    Examples
    --------
    >>> class_balanced_weights([10, 1000]).round(6)
    array([0.100451, 0.001582])
    """
    counts = np.asarray(counts, dtype=np.float64)
    if not (np.isfinite(counts).all() and (counts > 0).all()):
        raise SktrainError(f"class counts must be positive, got {counts.tolist()}.")
    check_number("beta", beta, 0, 1, closed="left")
    return (1 - beta) / (1 - beta**counts)


def _focal(logits, target, gamma):
    """-(1 - p)^gamma log p per row."""
    loss = F.cross_entropy(logits, target, reduction="none")  # -log p
    if gamma == 0:
        return loss
    miss = -torch.expm1(-loss)  # 1 - p, exact near p = 1
    if gamma < 1:  # has no slope at 0
        miss = miss.clamp_min(torch.finfo(miss.dtype).tiny)
    return loss * miss.pow(gamma)


class FocalLoss(nn.Module):
    """Focal loss for any number of classes (Lin et al. 2017, "Focal loss for dense object
    detection").

    The loss of a row with probability p for its true class is ``-alpha (1 - p)^gamma log p``. With
    ``alpha=None, gamma=0`` it is cross-entropy in value and gradient.

    Parameters
    ----------
    alpha : float, array-like of shape (n_classes,), "balanced", "effective" or None, default=0.25
        A number scales the loss; an array weighs the classes. ``"balanced"`` is n / (n_classes n_c)
        from the training labels, ``"effective"`` the class-balanced weights of Cui et al. 2019,
        scaled to sum to n_classes; both need :meth:`fit`, which the nets call on their training
        rows.
    gamma : float, default=2.0
        How strongly rows that are already right are ignored; >= 0.
    beta : float, default=0.999
        For ``alpha="effective"``.
    reduction : {"mean", "sum", "none"}, default="mean"
        The mean is over the rows of the batch, or, with sample weights, over their sum.

    Raises
    ------
    SktrainError
        Negative gamma, alpha of the wrong length, a class without rows.

    Examples
    --------
    >>> import torch
    >>> from sktrain import FocalLoss
    >>> loss = FocalLoss(alpha=None, gamma=2.0)
    >>> round(float(loss(torch.tensor([[0.9, 0.1]]).log(), torch.tensor([0]))), 6)
    0.001054
    """

    class_weight: torch.Tensor | None

    def __init__(
        self,
        alpha: float | ArrayLike | None = 0.25,
        gamma: float = 2.0,
        *,
        beta: float = 0.999,
        reduction: Literal["mean", "sum", "none"] = "mean",
    ) -> None:
        super().__init__()
        check_number("gamma", gamma, 0)
        check_number("beta", beta, 0, 1, closed="left")
        if not isinstance(reduction, str) or reduction not in ("mean", "sum", "none"):
            raise SktrainError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}.")
        self.alpha, self.gamma, self.beta, self.reduction = alpha, float(gamma), beta, reduction
        weights = self._check_alpha(alpha)
        self.register_buffer(
            "class_weight", None if weights is None else torch.tensor(weights, dtype=torch.float32)
        )

    @staticmethod
    def _check_alpha(alpha):
        if alpha is None or (isinstance(alpha, str) and alpha in ("balanced", "effective")):
            return None
        if isinstance(alpha, str):
            raise SktrainError(
                f"alpha must be a number, an array, 'balanced', 'effective' or None, got {alpha!r}."
            )
        try:
            values = np.asarray(alpha, dtype=np.float64)
        except (TypeError, ValueError):
            values = np.full(1, np.nan)
        if (
            values.ndim > 1
            or not np.isfinite(values).all()
            or (values < 0).any()
            or not values.any()
        ):
            raise SktrainError(
                f"alpha must be positive: a number, or one number per class, got {alpha!r}."
            )
        return values

    def fit(
        self,
        target: ArrayLike,
        n_classes: int | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn the class weights that ``alpha`` asks for from the training labels.

        Parameters
        ----------
        target : array-like of int, shape (n,)
            Class codes 0 .. n_classes - 1.
        n_classes : int, optional
            Default the largest code + 1.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows in the counts; default 1.

        Returns
        -------
        self
            The loss.
        """
        target = np.asarray(target)
        n_classes = int(target.max()) + 1 if n_classes is None else n_classes
        counts = np.bincount(target, weights=sample_weight, minlength=n_classes).astype(np.float64)
        if isinstance(self.alpha, str) and not (counts > 0).all():
            raise SktrainError(
                f"alpha={self.alpha!r} needs rows of every class; class code "
                f"{int(np.argmin(counts))} has none."
            )
        return self.fit_counts(counts)

    def fit_counts(self, counts: ArrayLike) -> Self:
        """Learn the class weights from the rows (or summed weights) of each class; a class without
        any weighs 1 until it has some.

        Parameters
        ----------
        counts : array-like of shape (n_classes,)
            Rows, or summed weights, per class.

        Returns
        -------
        self
            The loss.
        """
        counts = np.asarray(counts, dtype=np.float64)
        if (
            self.class_weight is not None
            and self.class_weight.ndim
            and len(self.class_weight) != len(counts)
        ):
            raise SktrainError(
                f"alpha has {len(self.class_weight)} values for {len(counts)} classes."
            )
        if isinstance(self.alpha, str):
            seen, weights = counts > 0, np.ones(len(counts))
            if self.alpha == "balanced":
                weights[seen] = counts.sum() / (seen.sum() * counts[seen])
            else:
                weights[seen] = class_balanced_weights(counts[seen], self.beta)
                weights[seen] *= seen.sum() / weights[seen].sum()
            self.class_weight = torch.tensor(weights, dtype=torch.float32).to(self._device())
        return self

    def _device(self):
        return "cpu" if self.class_weight is None else self.class_weight.device

    def forward(self, logits, target, sample_weight=None):
        """Loss of ``logits`` (n, n_classes) for class codes ``target`` (n,)."""
        if logits.ndim != 2 or target.shape != logits.shape[:1]:
            raise SktrainError(
                f"FocalLoss takes logits (n, n_classes) and n class codes, got shapes "
                f"{tuple(logits.shape)} and {tuple(target.shape)}."
            )
        if isinstance(self.alpha, str) and self.class_weight is None:
            raise SktrainError(
                f"alpha={self.alpha!r} learns from the training labels: call fit(labels) first."
            )
        weight = self.class_weight
        if weight is not None:
            if weight.ndim and len(weight) != logits.shape[1]:
                raise SktrainError(f"alpha has {len(weight)} values for {logits.shape[1]} classes.")
            weight = weight.to(device=logits.device, dtype=logits.dtype)
            weight = weight[target] if weight.ndim else weight
        loss = _focal(logits, target, self.gamma)
        loss = loss if weight is None else loss * weight
        return reduce_loss(loss, sample_weight, self.reduction)

    def extra_repr(self):
        return f"alpha={self.alpha!r}, gamma={self.gamma}"


def reduce_loss(loss, sample_weight=None, reduction="mean"):
    """Mean over rows, or over Σ w with sample weights."""
    if sample_weight is not None:
        loss = loss * sample_weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return (
        loss.mean()
        if sample_weight is None
        else loss.sum() / sample_weight.sum().clamp_min(torch.finfo(loss.dtype).tiny)
    )

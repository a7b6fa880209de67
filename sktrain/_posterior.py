"""From class scores to class probabilities: the inverse of the focal loss in closed form, then one
temperature and one weight toward the training prior, learned on validation rows by log loss.

Quantized nets, which open without torch, use it too: nothing here imports torch. Tensors of torch
are taken all the same, and stay on their device. :mod:`sktrain.compression` writes the same
formulas as ONNX operators.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["Posterior", "focal_log_posterior"]

_FLATTEST, _STEEPEST = 0.1, 4.0
"""Bounds of 1 / temperature. At 1/10 a net without signal loses a hundredth of what its own scores
lose, about .0005 nats, and still ranks rows; above 4 a float32 graph no longer agrees to 5e-6."""
# of the odds of all other classes together: near float64's least normal number, 2e-308
_TINY = 1e-300
_DOUBT = 3.0
"""Nats of log likelihood that chance gains on the validation rows where there is nothing to gain:
half a nat for one free number (Wilks 1938), the rest for the best epoch, which the same rows chose.

Of .5, 1, 1.5, 2, 3 and 4.5 the least under which a net loses no more than .003 nats to the prior by
one standard error, on every kind of development market without signal (``benchmarks/
bench_probabilities.py --doubts``: 12 markets each; where labels overlap five times, .0058, .0035,
.0025, .0019 +- .0014, .0013 +- .0010 and .0008 nats). With signal it costs little: .0230 nats are
gained under it, .0236 at most; a weak signal gains most under it."""


def focal_log_posterior(scores, gamma):
    """Logarithm of the class probabilities that minimise the expected focal loss at ``scores``.

    The focal loss is not proper: its minimiser v is not the posterior η. Setting the derivative of
    the expected loss to a constant gives η_k ∝ h(v_k), h(v) = v / ((1 - v)^γ - γ (1 - v)^(γ-1) v
    log v) (Charoenphakdee et al. 2021, "On focal loss for class-posterior probability estimation",
    theorem 11). Here log h(v) = log v - γ log(1 - v) - log(1 + γ r), with r = -v log v / (1 - v) in
    [0, 1], which neither overflows nor cancels. h rises strictly, so the order of the classes
    stays.

    Parameters
    ----------
    scores : ndarray of float64, shape (n, n_classes)
        Logits of a softmax.
    gamma : float
        Of the loss; at 0 the posterior is the softmax.

    Returns
    -------
    ndarray of float64, shape (n, n_classes)
        Up to a constant of each row, which a softmax takes away.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.log([[0.76, 0.24]])
    >>> focal = np.exp(focal_log_posterior(scores, gamma=2.0))
    >>> (focal / focal.sum()).round(3).tolist()
    [[0.957, 0.043]]
    """
    return _log_posterior(*_operations(scores), gamma)


def _log_posterior(xp, scores, gamma):
    z = scores - xp.highest(scores, axis=1, keepdims=True)
    if gamma == 0:
        return z
    odds = xp.exp(z)  # to the best class
    # unlike 1 - v, no subtraction
    others = xp.at_least(odds @ xp.array(_off_diagonal(z.shape[1])), _TINY)
    log_v = z - xp.log1p(xp.lowest(others, axis=1, keepdims=True))
    return log_v - gamma * xp.log(others) - xp.log1p(-gamma * log_v * odds / others)


@lru_cache(maxsize=8)
def _off_diagonal(size):
    return 1.0 - np.eye(size)


_NUMPY = SimpleNamespace(
    exp=np.exp, log=np.log, log1p=np.log1p, at_least=np.maximum, array=np.asarray,
    highest=np.maximum.reduce, lowest=np.minimum.reduce, total=np.add.reduce,
)  # fmt: skip


def _operations(scores: Any) -> tuple[Any, Any]:
    """NumPy's operations and float64 scores; torch's for a tensor, on its device."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(scores, torch.Tensor):
        return _NUMPY, np.asarray(scores, dtype=np.float64)
    return _operations_of_torch(torch, scores.device), scores.double()


def _operations_of_torch(torch, device):
    return SimpleNamespace(
        exp=torch.exp, log=torch.log, log1p=torch.log1p, at_least=torch.clamp_min,
        array=lambda values: torch.from_numpy(values).to(device),
        highest=torch.amax, lowest=torch.amin, total=torch.sum,
    )  # fmt: skip


def _log_softmax(scores):
    scores = scores - scores.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Posterior:
    """How a net's class scores become probabilities.

    With L the log posterior of :func:`focal_log_posterior` and π the training prior, ``log q ∝ L /
    temperature + prior_weight log π`` (temperature: Guo et al. 2017, "On calibration of modern
    neural networks"). (1, 0) is the posterior as it is; a large temperature with the weight 1 is
    the prior.

    Attributes
    ----------
    gamma : float
        Of the focal loss; 0 for losses whose minimiser is the posterior.
    temperature : float
        Above 1 the net was too sure of itself, below 1 not sure enough.
    prior_weight : float
        Weight of the logarithm of the training prior, in [0, 1].
    prior : ndarray of float64, shape (n_classes,), or None
        Shares of the classes in the training rows, as weighted in training; None where nothing was
        calibrated.
    n_rows : float
        Validation rows they were learned from, overlapping labels counted once; 0 where nothing was
        calibrated.
    """

    gamma: float = 0.0
    temperature: float = 1.0
    prior_weight: float = 0.0
    prior: np.ndarray | None = None
    n_rows: float = 0.0

    def probabilities(self, scores):
        """Class probabilities of ``scores``: float64, both of shape (n, n_classes)."""
        xp, scores = _operations(scores)
        log_q = _log_posterior(xp, scores, self.gamma)
        if self.prior is not None:
            log_q = log_q / self.temperature + xp.array(self.prior_weight * np.log(self.prior))
        q = xp.exp(log_q - xp.highest(log_q, axis=1, keepdims=True))
        return q / xp.total(q, axis=1, keepdims=True)

    def calibrated(self, scores, codes, prior, n_trained, *, weight=None, share=1.0):
        """The same with temperature and weight of the prior learned from validation rows.

        The slope 1 / temperature minimises the log loss of the rows, the labels softened as Platt
        (1999) does for few rows. As it falls from 1 to 0, the weight of the prior rises: from the
        posterior as it is to the prior. Left free, the weight follows how often the classes
        happened to come in the block, and log loss and calibration on later rows of the bundled
        markets get worse. Each step (from the prior, or from an earlier calibration, to the
        posterior; from there to steeper slopes) is shortened by G / (G + 3), where G is what it
        gains in nats over all rows: where these cannot tell the net from its prior, the prior has
        the word, and few rows do not undo what many have taught.

        The prior itself counts as far as the training rows tell it from equal shares: E / (E +
        (n_classes - 1) / 2), E their log likelihood ratio. A prior of 52 to 48 known from few rows
        does not outvote a weak signal.

        Parameters
        ----------
        scores : ndarray of shape (n, n_classes)
        codes : ndarray of int, shape (n,)
        prior : ndarray of shape (n_classes,)
            Positive shares.
        n_trained : float
            Training rows the shares are known from.
        weight : ndarray of shape (n,), optional
        share : float, default=1.0
            Independent rows per row: labels that overlap in time say the same thing several times.

        Returns
        -------
        Posterior
        """
        weight = np.ones(len(codes)) if weight is None else np.asarray(weight, dtype=np.float64)
        n_rows = share * weight.sum() ** 2 / np.square(weight).sum()
        n_classes, log_prior = len(prior), np.log(prior)
        known = max(share * n_trained * (np.log(n_classes) + prior @ log_prior), 0.0)
        trust = known / (known + (n_classes - 1) / 2)
        evidence = _log_softmax(focal_log_posterior(scores, self.gamma))
        soft = 1 / (n_rows + 1)
        target = soft * prior + (1 - soft) * np.eye(n_classes)[codes]

        def loss(slope):
            log_q = _log_softmax(slope * evidence + trust * max(1 - slope, 0.0) * log_prior)
            return -float(weight @ (target * log_q).sum(axis=1)) / weight.sum()

        def step(start, end):
            gain = n_rows * max(loss(start) - loss(end), 0.0)
            return gain / (gain + _DOUBT) * (end - start)

        start = 0.0 if self.prior is None else 1 / self.temperature
        best = _least(loss, 0.0, 1.0)
        if loss(1.0) <= loss(best):
            best = _least(loss, 1.0, _STEEPEST)
        slope = start + (
            step(start, 1.0) + step(1.0, best) if start < 1 < best else step(start, best)
        )
        slope = float(np.clip(slope, _FLATTEST, _STEEPEST))
        level = float(trust * max(1 - slope, 0.0))
        return replace(
            self, temperature=1 / slope, prior_weight=level, prior=prior, n_rows=float(n_rows)
        )


def _least(function, low, high):
    """Where a function of one number is least between two bounds."""
    from scipy.optimize import minimize_scalar

    return float(minimize_scalar(function, bounds=(low, high), method="bounded").x)

"""Pruning: the weights a network needs least are set to zero; rows, where given, show which.

Only matrices are pruned (weights of linear, convolutional and recurrent layers), never biases,
norms or positions. The zeros stand in the weights themselves: nothing is left that would hinder
copying, pickling or further training.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions

from .._validation import Number, check_number
from ..exceptions import SktrainError
from ._places import is_net, nets_in, nets_with_rows

__all__ = ["ModelPruner", "cubic_sparsity"]


def cubic_sparsity(progress: float, target: float, initial: float = 0.0) -> float:
    """Sparsity at a share of the way: fast at first, when many weights are spare, slow at the end.

    Parameters
    ----------
    progress : float
        0 at the beginning of pruning, 1 at its end; beyond, the ends hold.
    target, initial : float
        Sparsity at the end and at the beginning.

    Returns
    -------
    float
        ``target + (initial - target) (1 - progress)³`` (Zhu & Gupta 2017, equation 1).

    Examples
    --------
    >>> [round(cubic_sparsity(t, 0.8), 4) for t in (0, 0.25, 0.5, 0.75, 1)]
    [0.0, 0.4625, 0.7, 0.7875, 0.8]
    """
    rest = 1 - min(max(progress, 0.0), 1.0)
    return target + (initial - target) * rest**3


class ModelPruner(BaseEstimator):
    """Magnitude pruning with a guard for layers that would suffer, or, where rows are given,
    pruning by what the model answers on them.

    Without rows the smallest weights go. With rows, in each layer those go whose loss changes its
    outputs least, and the others take over what they can by least squares (Hassibi & Stork 1993);
    how many, is decided by trying: each layer is pruned alone at a few sparsities, and the layers
    that move the model's answers least give most. Rows keep a model's answers far better; it takes
    seconds and no training.

    Parameters
    ----------
    target_sparsity : float, default=0.5
        Share of the prunable weights to set to zero, in [0, 1).
    scope : {"global", "layer"}, default="global"
        Whether the weights that matter least in the whole network go, or the same share of each
        layer.
    sensitivity : float, default=0.1
        The guard of global pruning, in [0, 1]: how much more of its signal a layer may lose than if
        every layer lost the same share of weights; what it is spared, others bear. Signal lost is 1
        − cos of the angle between the layer's outputs before and after, for inputs that are white
        noise: ``1 - |W pruned| / |W|``. 0 comes close to ``scope="layer"``, 1 switches the guard
        off.
    structured : bool, default=False
        Take whole hidden units out of the five nets, which become narrower and faster, in place of
        single weights. The target is the share of matrix weights that go with them; ``scope``,
        ``sensitivity`` and rows play no part. Train on afterwards, or fine-tune as
        :class:`CompressedClassifier` does: units do more than weights.

    Attributes
    ----------
    layers_ : list of LayerSparsity
        What became of each weight in the last call; empty when structured.

    Examples
    --------
    >>> import torch
    >>> from sktrain import ModelPruner
    >>> network = torch.nn.Sequential(
    ...     torch.nn.Linear(20, 30), torch.nn.ReLU(), torch.nn.Linear(30, 3)
    ... )
    >>> round(ModelPruner().prune_model(network, target_sparsity=0.6), 2)
    0.6
    """

    _parameter_constraints = {
        "target_sparsity": [Number(0, 1, closed="left")],
        "scope": [StrOptions({"global", "layer"})],
        "sensitivity": [Number(0, 1)],
        "structured": ["boolean"],
    }

    def __init__(
        self,
        target_sparsity: float = 0.5,
        scope: Literal["global", "layer"] = "global",
        sensitivity: float = 0.1,
        *,
        structured: bool = False,
    ) -> None:
        self.target_sparsity = target_sparsity
        self.scope = scope
        self.sensitivity = sensitivity
        self.structured = structured

    def prune_model(
        self,
        model: Any,
        target_sparsity: float | None = None,
        X: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Prune in place.

        Parameters
        ----------
        model : torch Module, net, Pipeline or ensemble
            Nets must be fitted; each net of an ensemble is pruned by itself.
        target_sparsity : float, optional
            In place of the parameter.
        X : as the model takes it, optional
            Rows to keep the answers on, without labels: training rows, some hundred or more, up to
            4,096 of which are looked at. A bare Module takes an array of shape (n, steps,
            features).
        sample_weight : array-like of shape (n,), optional
            How much each row of ``X`` counts.

        Returns
        -------
        float
            Sparsity reached: zeros among the prunable weights.

        Raises
        ------
        SktrainError
            A target outside [0, 1), nothing to prune, rows that cannot be followed to the nets.
        NotFittedError
            A net that was not fitted.
        """
        target = self.target_sparsity if target_sparsity is None else target_sparsity
        check_number("target_sparsity", target, 0, 1, closed="left")
        self._validate_params()
        if self.structured:
            from ._structured import narrow

            self.layers_: list[LayerSparsity] = []
            return narrow(model, target)
        networks = networks_in(model, X, sample_weight)
        weights = [bake(network) for network, _ in networks]
        if not any(weights):
            raise SktrainError(f"{type(model).__name__} has no weight matrix that could be pruned.")
        seen = [rows_seen(network, windows) for network, windows in networks]
        self.layers_ = []
        for (network, _), named, rows in zip(networks, weights, seen):
            prune_weights(named, target, self.scope, self.sensitivity, *rows)
            self.layers_ += [
                LayerSparsity(type(network).__name__, name, w.numel(), int((w == 0).sum()))
                for name, w in named.items()
            ]
        return sum(layer.n_zeros for layer in self.layers_) / sum(
            layer.n_weights for layer in self.layers_
        )


@dataclass(frozen=True)
class LayerSparsity:
    """One weight after pruning."""

    network: str
    name: str
    n_weights: int
    n_zeros: int

    @property
    def sparsity(self):
        """Share of zeros."""
        return self.n_zeros / self.n_weights


def networks_in(model, X=None, sample_weight=None):
    """The torch networks of a model of any kind, each with batches of the windows that reach it
    (None without rows)."""
    import torch

    if isinstance(model, torch.nn.Module) and not is_net(model):
        found = [(model, model, X)]
    elif X is None:
        found = [(net.module_, net, None) for net in nets_in(model)]
    else:
        found = [(net.module_, net, rows) for net, rows in nets_with_rows(model, X)]
    if X is None:
        return [(network, None) for network, _, _ in found]
    from ._calibration import windows_of

    return [(network, windows_of(owner, rows, sample_weight)) for network, owner, rows in found]


def rows_seen(network, windows):
    """What :func:`prune_weights` learns from rows: what reaches each weight, and a function that
    asks the network for its answers."""
    if windows is None:
        return None, None
    from ._calibration import answers, layer_inputs

    return layer_inputs(network, windows), partial(answers, network, windows)


def bake(network):
    """Prunable weights by name; masks that torch's own pruning left are multiplied in and removed
    first."""
    import torch
    from torch.nn.utils import prune

    for module in network.modules():
        for name in [
            key.removesuffix("_mask")
            for key in dict(module.named_buffers(recurse=False))
            if key.endswith("_mask")
        ]:
            if f"{name}_orig" in dict(module.named_parameters(recurse=False)):
                prune.remove(module, name)
    found = {}
    for prefix, module in network.named_modules():
        if not isinstance(module, torch.nn.Embedding):
            for name, weight in module.named_parameters(recurse=False):
                if weight.ndim >= 2 and "weight" in name:
                    found[f"{prefix}.{name}".lstrip(".")] = weight
    return found


def prune_weights(named, target, scope="global", sensitivity=0.1, inputs=None, answer=None):
    """Prune weights in place and return for each a boolean mask, true where it stays.

    Parameters
    ----------
    named : dict of str to Parameter
    target, scope, sensitivity
        As of :class:`ModelPruner`.
    inputs : dict of str to Tensor, optional
        Second moments of what reaches each weight.
    answer : callable, optional
        Scores and weights of some rows, as the network that holds the weights now gives them.
    """
    from ._calibration import keep_mask, refit

    inputs, kept = inputs or {}, []
    counts = _even_counts(named, target)
    if scope == "global":
        sizes = [
            np.sort(weight.detach().abs().flatten().cpu().double().numpy())
            for weight in named.values()
        ]
        caps = [_cap(size, count, sensitivity) for size, count in zip(sizes, counts)]
        if answer is None:
            offers = [size[:cap] for size, cap in zip(sizes, caps)]
        else:
            before, _ = answer()
            layers = zip(named.items(), counts, caps)
            offers = [
                _effects(weight, (count, cap), inputs.get(name), answer, before)
                for (name, weight), count, cap in layers
            ]
        counts = _cheapest(offers, int(round(target * sum(map(len, sizes)))))
    for (name, weight), count in zip(named.items(), counts):
        kept.append(keep_mask(weight, int(count), inputs.get(name)))
        refit(weight, kept[-1], inputs.get(name))
    return kept


def _even_counts(named, target):
    return [int(round(target * weight.numel())) for weight in named.values()]


def _cheapest(offers, wanted):
    """How many weights each layer gives; ``offers`` are the prices of theirs, rising, for as many
    as it may give."""
    owner = np.repeat(np.arange(len(offers)), [len(offer) for offer in offers])
    chosen = np.argsort(np.concatenate(offers), kind="stable")[:wanted]
    return np.bincount(owner[chosen], minlength=len(offers))


def _effects(weight, marks, inputs, answer, before):
    """Prices of the weights of one layer, rising: by how much the answers (squared) move for each
    one more that goes.

    The layer is pruned alone at half of the first mark and at each mark, and put back. Between them
    the change is spread over the weights as what each costs the layer; no more are offered than the
    last mark.
    """
    from ._calibration import keep_mask, refit, saliency

    counts = np.unique([marks[0] // 2, *marks])
    counts = counts[counts > 0]
    held, moved = weight.detach().clone(), []
    for count in counts.tolist():
        try:
            refit(weight, keep_mask(weight, count, inputs), inputs)
            scores, share = answer()
        finally:
            weight.data.copy_(held)
        moved.append(float((scores - before).square().sum(1) @ share))
    cost = np.sort(saliency(weight, inputs).numpy())[: marks[-1]]
    edges = np.r_[0, counts]
    costs = np.add.reduceat(cost, edges[:-1]) if len(counts) else np.zeros(0)
    steps = np.diff(np.maximum.accumulate(np.r_[0.0, moved]))
    rates = np.divide(steps, costs, out=np.zeros_like(steps), where=costs > 0)
    return np.maximum.accumulate(cost * np.repeat(rates, np.diff(edges)))


def _cap(ranked, even, sensitivity):
    """Most weights a layer may give, of which ``ranked`` are the sizes, rising."""
    energy = np.cumsum(ranked**2)
    if not len(energy) or energy[-1] == 0:
        return len(ranked)
    lost = 1 - np.sqrt(np.clip(1 - np.r_[0.0, energy] / energy[-1], 0, None))
    return max(int(np.searchsorted(lost, lost[even] + sensitivity, side="right")) - 1, even)

"""What the layers of a trained network receive on given rows.

With it, weights are pruned, refitted and rounded so that every layer answers as it did before.
Labels play no part; rows know time only by the order of their steps.

The measure is E|W x - W' x|² over the inputs x of a layer, which needs no more of them than the
second moments H = E x xᵀ. A weight costs least where w² / [H⁻¹]ⱼⱼ is smallest, and what the others
have to take over is a problem of least squares (Hassibi & Stork 1993, "Second order derivatives for
network pruning"; by layer: Frantar & Alistarh 2022, "Optimal brain compression").
"""

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight
import torch
from torch import nn
from torch.nn import functional as F

from ..exceptions import SktrainError

__all__ = ["answers", "keep_mask", "layer_inputs", "refit", "round_rows", "saliency", "windows_of"]

# rows that are looked at, a judgment: they hold any mean to 1/64 of its spread; more are thinned
# evenly
_ROWS = 4096
_INPUTS = 16_384  # inputs of a layer that are enough to know their moments: 1/128 of the spread
# inputs of a layer beyond which only their sizes are known, not their moments: 128 MiB of float64
# at 4096 squared
_WIDEST = 4096
# of the mean moment, added to the diagonal, a judgment: pulls refitted weights towards the old
# ones
_RIDGE = 0.01
_BATCH = 256  # rows of a forward pass, a judgment: small in memory
# rows on which the effect of one layer on the answers is measured, a judgment: to 1/32 of its
# spread
_TRIALS = 1024


def windows_of(model, X, weight=None):
    """What a net is shown: pairs of a batch of windows (rows, steps, features) and the rows'
    weights (None: all alike).

    Rows are thinned evenly; a bare Module takes a 3-D array.
    """
    if isinstance(model, nn.Module):
        values = np.asarray(X)
        take, n = (lambda some: torch.tensor(values[some.numpy()])), len(values)
        kind = next(model.parameters())
    else:
        rows = model.read_rows(X, reset=False)
        take, n = rows.gather, len(rows)
        kind = next(model.module_.parameters())
    weight = (
        None
        if weight is None
        else torch.tensor(
            _check_sample_weight(
                weight, np.empty((n, 1)), dtype=np.float64, ensure_non_negative=True
            )
        )
    )
    picked = torch.linspace(0, n - 1, min(n, _ROWS)).round().long()
    batches = (
        (take(some).to(device=kind.device, dtype=kind.dtype), some) for some in picked.split(_BATCH)
    )
    return [(batch, None if weight is None else weight[some]) for batch, some in batches]


def layer_inputs(network, windows):
    """Second moments of what reaches each weight of linear, convolutional and recurrent layers.

    Parameters
    ----------
    network : Module
    windows : list of (Tensor, Tensor or None)
        Batches it is shown and the weights of their rows.

    Returns
    -------
    dict of str to float64 Tensor
        By name of the weight, (inputs, inputs); (inputs,), the diagonal alone, for very wide
        layers. Layers of other kinds, or that were not called, are missing.

    Raises
    ------
    SktrainError
        Rows so extreme that what a layer receives overflows.
    """
    found, generator, n_rows, weight = (
        dict[str, Any](),
        torch.Generator().manual_seed(0),
        sum(len(batch) for batch, _ in windows),
        None,
    )

    def watch(prefix):
        def see(layer, inputs, output):
            for name, X in _received(layer, inputs[0].detach(), output):
                moments = _moments(X, weight, n_rows, generator)
                name = f"{prefix}.{name}".lstrip(".")
                found[name] = found[name] + moments if name in found else moments

        return see

    hooks = [
        layer.register_forward_hook(watch(prefix))
        for prefix, layer in network.named_modules()
        if _is_watched(layer)
    ]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()
            for batch, weight in windows:  # noqa: B007 - the hooks read the weights
                network(batch)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    for name, moments in found.items():
        if not torch.isfinite(moments).all():
            raise SktrainError(
                f"The rows to calibrate on are so extreme that what reaches {name} overflows. "
                "Leave out rows with extreme values."
            )
    return found


def answers(network, windows):
    """Scores of some of the rows and the weight of each: float64 Tensors (rows, scores) and
    (rows,), the weights' sum 1.

    What all scores of a row share changes no probability and is taken off.

    Raises
    ------
    SktrainError
        A network that returns no tensor (nor a tuple that begins with one).
    """
    every = -(-sum(len(batch) for batch, _ in windows) // _TRIALS)
    training, scores, weights = network.training, [], []
    try:
        with torch.no_grad():
            network.eval()
            for batch, weight in windows[::every]:
                found = network(batch)
                found = found[0] if isinstance(found, (tuple, list)) else found
                if not isinstance(found, torch.Tensor):
                    raise SktrainError(
                        f"{type(network).__name__} returns {type(found).__name__}, in which no "
                        "scores are known. Let it return a tensor, or leave out the rows."
                    )
                found = found.flatten(1).cpu().double()
                scores.append(found - found.mean(1, keepdim=True) if found.shape[1] > 1 else found)
                weights.append(
                    torch.ones(len(batch), dtype=torch.float64) if weight is None else weight
                )
    finally:
        network.train(training)
    joined = torch.cat(weights)
    return torch.cat(scores), joined / (joined.sum() or 1.0)


def _is_watched(layer):
    if isinstance(layer, nn.Conv1d):
        return (
            layer.groups == 1
            and layer.padding_mode == "zeros"
            and not isinstance(layer.padding, str)
        )
    if isinstance(layer, (nn.GRU, nn.LSTM)):
        return (
            layer.num_layers == 1
            and layer.batch_first
            and not layer.bidirectional
            and not layer.proj_size
        )
    return isinstance(layer, nn.Linear)


def _received(layer, X, output):
    """Name of each weight and its inputs (rows, places, inputs)."""
    if isinstance(layer, nn.Linear):
        yield "weight", X.reshape(len(X), -1, X.shape[-1])
    elif isinstance(layer, nn.Conv1d):
        yield "weight", _patches(layer, X)
    else:
        yield "weight_ih_l0", X
        states = output[0].detach()
        yield "weight_hh_l0", F.pad(states[:, :-1], (0, 0, 1, 0))  # the state before each step


def _patches(layer, X):
    """What a convolution multiplies, a row per place, in the order of its flattened weight."""
    (size,), (gap,), (stride,), (sides,) = (
        layer.kernel_size, layer.dilation, layer.stride, layer.padding,
    )
    X = F.pad(X, (sides, sides))
    return X.unfold(2, (size - 1) * gap + 1, stride)[..., ::gap].transpose(1, 2).flatten(2)


def _moments(X, weight, n_rows, generator):
    """Σ w x xᵀ over a share of the inputs."""
    places = X.shape[1]
    share = min(1.0, _INPUTS / (n_rows * places))
    X = X.flatten(0, 1).cpu().double()
    weight = torch.ones(1, 1) if weight is None else weight.repeat_interleave(places)[:, None]
    if share < 1:
        some = torch.randperm(len(X), generator=generator)[: math.ceil(share * len(X))]
        X, weight = X[some], weight[some] if len(weight) > 1 else weight
    return (X * X * weight).sum(0) if X.shape[1] > _WIDEST else (X * weight).T @ X


def _factor(moments):
    """Cholesky factor of the moments and a ridge."""
    ridge = _RIDGE * float(moments.diagonal().mean())
    return torch.linalg.cholesky(
        moments + (ridge or 1.0) * torch.eye(len(moments), dtype=torch.float64)
    )


def _rows(weight):
    return weight.detach().cpu().double().flatten(1)


def saliency(weight, moments=None):
    """What leaving out each weight alone costs, flattened; without ``moments``, its square."""
    cost = _rows(weight).square()
    if moments is not None and moments.ndim == 1:
        # Sun et al. 2023, "A simple and effective pruning approach for large language models"
        cost = cost * moments
    elif moments is not None:
        cost = cost / torch.cholesky_inverse(_factor(moments)).diagonal()
    return cost.flatten()


def keep_mask(weight, count, moments=None):
    """True where a weight stays, of its shape: ``count`` go, those that cost least (without
    ``moments``, the smallest)."""
    keep = torch.ones(weight.numel(), dtype=torch.bool)
    keep[saliency(weight, moments).argsort(stable=True)[:count]] = False
    return keep.reshape(weight.shape).to(weight.device)


def refit(weight, keep, moments=None):
    """Zero what does not stay, in place; what stays takes over what it can."""
    if moments is None or moments.ndim == 1:
        # multiplying would leave negative zeros, which do not pack
        weight.data.masked_fill_(~keep, 0.0)
        return
    factor, rows, held = _factor(moments), _rows(weight), keep.cpu().flatten(1)
    total, inverse = factor @ factor.T, torch.cholesky_inverse(factor)
    wanted = rows @ total
    for row, stays, want in zip(rows, held, wanted):
        kept, gone = stays.nonzero().squeeze(1), (~stays).nonzero().squeeze(1)
        if len(gone) < len(kept):
            row -= inverse[:, gone] @ torch.linalg.solve(inverse[gone][:, gone], row[gone])
        elif len(kept):
            row[kept] = torch.cholesky_solve(
                want[kept, None], torch.linalg.cholesky(total[kept][:, kept])
            ).squeeze(1)
        row[gone] = 0.0
    weight.data.copy_(rows.reshape(weight.shape).to(weight.dtype))


def round_rows(rows, largest, group, moments):
    """Whole numbers and scales for the rows of a weight; what rounding one weight costs, those
    after it make up for.

    Zeros stay zero. Column by column: Frantar et al. 2023, "GPTQ: accurate post-training
    quantization for generative pre-trained transformers".

    Parameters
    ----------
    rows : ndarray of shape (outputs, inputs)
    largest : int
        Largest whole number.
    group : int
        Inputs that share a scale, in order.
    moments : Tensor of shape (inputs, inputs)

    Returns
    -------
    codes : int8 ndarray, as ``rows``
    scales : float32 ndarray of shape (outputs, groups)
    """
    rest = torch.tensor(rows, dtype=torch.float64)
    held, codes, scales = rest != 0, torch.zeros_like(rest), []
    pull = torch.linalg.cholesky(torch.cholesky_inverse(_factor(moments)), upper=True)
    for place in range(rest.shape[1]):
        if place % group == 0:
            size = rest[:, place : place + group].abs().amax(1) / largest
            scales.append(torch.where(size > 0, size, 1.0).float())
            scale = scales[-1].double()
        codes[:, place] = (rest[:, place] / scale).round().clamp(-largest, largest) * held[:, place]
        off = (rest[:, place] - codes[:, place] * scale) / pull[place, place]
        rest[:, place + 1 :] -= off[:, None] * pull[place, place + 1 :]
    return codes.to(torch.int8).numpy(), torch.stack(scales, 1).numpy()

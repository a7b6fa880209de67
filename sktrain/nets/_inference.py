"""Rows to class scores to probabilities, in batches, so that a row's answer never depends on the
rows it is asked with.

Networks answer in float32, as they are, save for rows that float32 cannot hold and networks that
few rows trained in float64.
"""

import copy
from dataclasses import replace
from typing import Any
import weakref

import numpy as np
from numpy.typing import ArrayLike
import torch

from .._devices import find_device, has_float64, is_card
from .._posterior import Posterior
from ._batches import PREDICT_ROWS, BatchLoader, on_device, rows_at_once
from ._exact import exact_on
from ._losses import FocalLoss
from ._modules import GRUModule, LSTMModule, MLPModule, TCNModule, TransformerModule
from ._parts import NetParts

__all__ = ["Inference", "double_of"]

_FAR = 16.0
"""Standard deviations. A score of float32 is off by its inputs times 6e-8 a product, so up to here
probabilities agree with those of float64 to 1e-6; rows with a value beyond it are answered in
float64."""

_MANY = 10_000
"""Rows from which on scores become probabilities on the card: the twenty small operations take it
about .2 ms, and a core about 1 ms for every 10,000 rows."""

_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
_OURS = (GRUModule, LSTMModule, MLPModule, TCNModule, TransformerModule)
# of networks; these stay as they are
_doubles: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_statistics: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # of layers on a card, read


def double_of(network):
    """``network`` with float64 weights. Made once for each of the five networks, after that its
    weights are only read again."""
    with torch.inference_mode(False), torch.no_grad():
        return _double_of(network)


def _double_of(network):
    if type(network) not in _OURS:
        return _in_float64(network)
    weights = [*network.parameters(), *network.buffers()]
    marks = [(weight.shape, weight.device) for weight in weights]
    found = _doubles.get(network)
    if found is None or found[0] != marks:
        made = _in_float64(network)
        _doubles[network] = found = (marks, made, [*made.parameters(), *made.buffers()])
    for mine, theirs in zip(found[2], weights):
        mine.copy_(theirs.to(mine.device))
    return found[1]


def _in_float64(network):
    place = next(network.parameters()).device
    return copy.deepcopy(network).to(_home(place)).double().eval()


def _home(place):
    """Where float64 is computed for what is at ``place``."""
    return place if has_float64(place) else torch.device("cpu")


class Inference(NetParts):
    """Mixin: class scores and class probabilities of a fitted net, and what the validation rows say
    about these."""

    def forward_iter(self, X: ArrayLike, training: bool = False, device: str = "cpu") -> Any:
        """Class scores, batch by batch.

        What the loss was trained on, before they become probabilities.

        Parameters
        ----------
        X : array-like, DataFrame or WindowedArray of length n
            As in :meth:`fit`.
        training : bool, default=False
            Whether the network is in training mode (dropout is active).
        device : str, default="cpu"
            Where the scores are put.

        Yields
        ------
        Tensor of shape (n_batch, n_classes)
            Class scores.
        """
        if "module_" not in vars(self):
            self.check_is_fitted()
        near = None if training else self._near_rows(X)
        if near is not None:
            scores = self._near_scores(near)
            found = scores.to(device)
            yield found.clone() if found is scores else found
        else:
            yield from self._by_batches(X, training, device)

    def _by_batches(self, X, training, device):
        """Class scores, batch by batch, on ``device``."""
        place = self._place()
        exact = self.full_batch_ and not training
        batches, scaled, close = self._batches_of(X, place, exact or training)
        module = double_of(self.module_) if exact else self.module_
        if module.training != training:
            module.train(training)
        whole = _of_scaled(module) if scaled else module
        for values in batches:
            values = values.to(_home(place) if exact else place)
            with exact_on(place), torch.enable_grad() if training else _no_gradients(module):
                if exact or training or close:
                    scores = whole(values.double() if exact else values)
                else:
                    scores = _scores(module, values, scaled)
            yield (scores if training else scores.clone()).to(device)

    def _batches_of(self, X, place, as_they_are):
        """Windows in batches; whether they are standardized already, and whether it is known that
        none holds a value too far out for float32.

        Where windows overlap, every step is moved, standardized and looked at once."""
        rows = self.read_rows(X, reset=False)
        rows = rows if rows.y is None else rows.with_targets(None)
        if self.iterator_valid is not BatchLoader or self._get_params_for("iterator_valid"):
            return (X for X, _ in self.get_iterator(rows)), rows.missing is not None, False
        n_gathered = len(rows) * rows.lookback
        if len(rows.base) <= n_gathered:
            (rows,) = on_device(place, rows)
        shared = len(rows.base) < n_gathered or is_card(rows.device)
        if rows.missing is None and not as_they_are and shared:
            once = self._standardized(rows)
            if once.base.abs().max() <= _FAR:
                return _windows(once), True, True
        return _windows(rows), rows.missing is not None, False

    def _standardized(self, rows):
        """Rows of standardized steps, where they lie."""
        layer = self.module_.standardize
        once = rows.scaled(layer.mean.to(rows.device), layer.scale.to(rows.device))
        if rows.dense:
            once.base, once.dense = once.base[:-1], True
        return once

    def _near_rows(self, X):
        """One batch of an array that needs no more than a look at its sizes and its largest value,
        standardized; None for all else, which :meth:`read_rows` reads or refuses. To read costs
        more than the answer of a small network."""
        if type(X) is not np.ndarray or X.ndim != 3 or X.dtype not in _FLOATS:
            return None
        found = vars(self)
        if X.shape[1:] != (found.get("lookback_"), found.get("step_features_")) or self.full_batch_:
            return None
        if not 0 < len(X) <= PREDICT_ROWS or self.iterator_valid is not BatchLoader:
            return None
        if self._get_params_for("iterator_valid"):
            return None
        mean, scale = _read(self.module_.standardize)
        with np.errstate(all="ignore"):
            Z = X.astype(np.float32)
            Z -= mean
            Z *= scale
            largest = np.maximum.reduce(np.abs(Z), axis=None)
        return torch.from_numpy(Z) if largest <= _FAR else None  # of a missing value it is NaN

    def _near_scores(self, near):
        """Class scores of one batch from :meth:`_near_rows`, where the network lies."""
        network, place = self.module_, self._place()
        if network.training:
            network.eval()
        with exact_on(place), _no_gradients(network):
            return network.logits(near.to(place))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable label of each row.

        Parameters
        ----------
        X : array-like, DataFrame or WindowedArray of length n
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        # first, for it says when the net is not fitted
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Class probabilities.

        The posterior at the net's class scores: the focal loss is inverted in closed form, then
        ``calibration`` applies (``posterior_``). Class weights and class sampling stay in, as
        scikit-learn's ``class_weight`` does: the probabilities then speak of classes that are as
        frequent as their weights make them.

        Parameters
        ----------
        X : array-like, DataFrame or WindowedArray of length n
            As in :meth:`fit`.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Columns as in ``classes_``; rows sum to 1. A row alone, or among any others, gets the
            same numbers to 1e-6 (on a CUDA device to 1e-5): networks answer in float32. Rows with a
            value beyond 16 standard deviations are answered in float64, and so is a net that was
            trained on few rows in float64 (to 1e-12).
        """
        if not self.__sklearn_is_fitted__():
            self.check_is_fitted()
        found = self._posterior().probabilities(self._all_scores(X))
        return found.cpu().numpy() if isinstance(found, torch.Tensor) else found

    def _posterior(self):
        return vars(self).get("posterior_", _SOFTMAX)

    def _all_scores(self, X):
        """Class scores in float64: of many rows on a card a tensor there, else an array."""
        near = self._near_rows(X)
        if near is not None:  # no batches to wait for
            return self._near_scores(near).cpu().numpy().astype(np.float64)
        place = find_device(self.device)
        many = is_card(place) and hasattr(X, "__len__") and len(X) > _MANY
        scores = list(self._by_batches(X, False, place if many else "cpu"))
        if many:
            return torch.cat(scores).double()
        parts = [one.numpy() for one in scores]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return whole.astype(np.float64, copy=False)

    def _start_posterior(self, again):
        """Probabilities while training: the loss inverted; an update keeps the calibration of the
        training before."""
        gamma = self.criterion_.gamma if isinstance(self.criterion_, FocalLoss) else 0.0
        self.posterior_ = replace(self._posterior(), gamma=gamma) if again else Posterior(gamma)

    def _calibrate(self, job):
        """Learn ``posterior_`` from the validation rows of a training that has ended."""
        if self.calibration is None:
            self.posterior_ = Posterior(self.posterior_.gamma)
            return
        if job.valid is None:
            return
        counts = np.bincount(
            job.train.y.numpy(), _numbers(job.train.weight), minlength=len(self.classes_)
        )
        factor = self._class_factors(counts)
        prior = counts * factor
        if not (prior > 0).all():  # a class that training has not seen, or that weighs nothing
            return
        codes = job.valid.y.numpy()
        weight = (
            factor[codes]
            if job.valid.weight is None
            else factor[codes] * _numbers(job.valid.weight)
        )
        if weight.any():
            scores = self._all_scores(job.valid)
            scores = scores.cpu().numpy() if isinstance(scores, torch.Tensor) else scores
            self.posterior_ = self.posterior_.calibrated(
                scores,
                codes,
                prior / prior.sum(),
                counts.sum(),
                weight=weight,
                share=job.block.share,
            )

    def _class_factors(self, counts):
        """How much more than its rows each class weighed in training."""
        factor = np.ones(len(counts))
        weight = getattr(
            self.criterion_,
            "class_weight" if isinstance(self.criterion_, FocalLoss) else "weight",
            None,
        )
        if isinstance(weight, torch.Tensor) and weight.ndim == 1 and len(weight) == len(counts):
            factor = factor * _numbers(weight)
        return factor / np.maximum(counts, 1e-300) if self.class_sampling == "weighted" else factor


_SOFTMAX = Posterior()


def _windows(rows):
    """Batches of windows; those of a plain array are views of it."""
    size = rows_at_once(rows)
    if rows.dense:
        return rows.base.view(len(rows), rows.lookback, -1).split(size)
    return (rows.gather(some) for some in torch.arange(len(rows), device=rows.device).split(size))


def _read(layer):
    """Mean and scale of a standardizing layer; those on a card are read from it once."""
    # not by attribute: torch looks for it 1 us longer, and a small network answers in 50
    mean, scale = tensors = layer._buffers["mean"], layer._buffers["scale"]
    if mean.is_cpu:
        return mean.numpy(), scale.numpy()
    marks = [(one.data_ptr(), one._version) for one in tensors]
    found = _statistics.get(layer)
    if found is None or found[0] != marks:
        _statistics[layer] = found = (marks, tuple(one.cpu().numpy() for one in tensors))
    return found[1]


def _numbers(tensor):
    return None if tensor is None else tensor.detach().cpu().numpy().astype(np.float64)


def _no_gradients(module):
    """Inference mode saves a recurrent network a third of its time. A network of the user's own may
    keep tensors for later calls, which that mode would forbid to train with."""
    return torch.inference_mode() if type(module) in _OURS else torch.no_grad()


def _scores(module, values, scaled):
    """Float32 scores, float64 ones for rows with values too far out."""
    Z = values if scaled else module.standardize(values)
    scores = _of_scaled(module)(Z)
    if not Z.abs().max() <= _FAR:
        far = ~(Z.abs().flatten(1).amax(1) <= _FAR)
        home = _home(values.device)
        exact, some = double_of(module), values[far].to(home).double()
        scores = scores.to(home).double()
        scores[far.to(home)] = (_of_scaled(exact) if scaled else exact)(some)
    return scores


def _of_scaled(module):
    """What training calls on rows that are standardized already."""
    return getattr(module, "logits", module)

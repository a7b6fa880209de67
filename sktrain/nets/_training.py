"""The loop of epochs.

Validation rows are only ever looked at, never trained on; what stops training is decided by
callbacks through ``request_stop``.
"""

from collections.abc import Iterable
import math
import time
from typing import Any, Self

import numpy as np
import torch

from .._devices import find_device, has_float64, is_card
from ..exceptions import SktrainError
from ._amp import MixedPrecision
from ._batches import BatchLoader, ClassWeightedSampler, WindowRows, apart, on_device, rows_at_once
from ._callbacks import ProgressBar
from ._captured import steps_for
from ._checkpoint import TrainingCheckpoint
from ._components import check_criterion, check_order, names_of, scores_for, told_by_name
from ._hooks import Hooks
from ._losses import FocalLoss, reduce_loss
from ._modules import EnhancedDropout

__all__ = ["TrainingLoop"]

_PASSING = (
    "_hooks", "_named", "_logits", "_device", "_generator", "_batch_hooks", "grad_norm_", "batch_",
    "_steps", "_n_epochs",
)  # fmt: skip
_CPU = torch.device("cpu")
_FULL_BATCH = 128  # rows, one default batch: so few are trained in full batches of float64


class TrainingLoop(Hooks, MixedPrecision):
    """Mixin: prepares a training, runs it, and predicts in batches."""

    def _begin(self, job, *, again, update=False):
        """Take over what the job learned, make or adjust the components, scale the rows."""
        if not again:
            self._learn(job)
        vars(self).pop("changed_", None)
        self.validation_ = job.block
        if not again or job.block.horizon is not None:
            self.label_horizon_ = job.block.horizon
        self.stop_reason_, self.n_epochs_ = None, 0
        self._device = torch.device(self.device)
        size = len(job.train) if self.batch_size == -1 else self.batch_size
        small = (
            len(job.train) <= min(size, _FULL_BATCH)
            and has_float64(self._device)
            and self.mixed_precision in ("auto", False)
        )
        self.full_batch_ = bool(small and not again and self.class_sampling is None)
        vars(self)["_hooks"] = {}
        statistics = self._statistics(job) if not again else None
        if again:
            self._initialize_callbacks()
            self._refresh()
        else:
            self.initialize()
            self._set_statistics(statistics)
        self._built()
        check_criterion(self)
        self._start_precision(self.full_batch_, len(job.train))
        if self.full_batch_:
            self.module_.double()
            self.criterion_.double() if isinstance(self.criterion_, torch.nn.Module) else None
        if is_card(self._device):
            # a copy's weights lie apart, which cuDNN mends at every call
            for layer in self.module_.modules():
                if isinstance(layer, torch.nn.RNNBase):
                    layer.flatten_parameters()
        self.module_.gradient_checkpointing = self.gradient_checkpointing
        self._count_classes(job, update)
        self._start_posterior(again)
        self._named = list(self.get_all_learnable_params())
        self._logits = self._forward()
        self._scale(job)

    def _count_classes(self, job, update):
        """Class weights follow all rows trained on so far, not the newest block alone."""
        before = vars(self).get("class_count_")
        self.class_count_ = job.counts if before is None or not update else before + job.counts
        if isinstance(self.criterion_, FocalLoss):
            self.criterion_.fit_counts(self.class_count_)
            self.criterion_.to(self._device)

    def _forward(self):
        logits = getattr(self.module_, "logits", self.module_)
        if not self.compile:
            return logits
        for layer in self.module_.modules():
            if isinstance(layer, EnhancedDropout):
                layer._hold(self._device)  # a number that changes would be compiled anew each epoch
        return torch.compile(logits, **self.get_params_for("compile"))

    def _learn(self, job):
        self.lookback_, self.step_features_ = job.learned["sizes"]
        if "n_features_in_" in job.learned:
            self.n_features_in_ = job.learned["n_features_in_"]
            names = job.learned.get("names")
            vars(self).pop("feature_names_in_", None) if names is None else vars(self).update(
                feature_names_in_=names
            )
        self.classes_inferred_ = job.classes

    def _statistics(self, job):
        """Mean and 1 / standard deviation of every feature over the steps of the training rows."""
        rows = job.train
        base, weight = (
            rows.base.numpy(),
            rows.coverage(None if rows.weight is None else rows.weight.numpy().astype(np.float64)),
        )
        total, mean, square = (
            np.zeros(base.shape[1]),
            np.zeros(base.shape[1]),
            np.zeros(base.shape[1]),
        )
        for values, w in _blocks(base, weight):
            seen = ~np.isnan(values)
            total += w @ seen
            mean += w @ np.where(seen, values, 0.0)
        if not (total > 0).all():
            column = int(np.argmin(total > 0))
            names: Any = vars(self).get("feature_names_in_")
            known = names is not None and len(names) == len(total)
            name = f"{names[column]!r}" if known else f"{column}"
            raise SktrainError(
                f"Column {name} was never observed in the training rows: every value is missing. "
                "Drop the column."
            )
        mean /= total
        for values, w in _blocks(base, weight):
            square += w @ np.nan_to_num(values - mean, nan=0.0) ** 2
        deviation = np.sqrt(square / total)
        # float32 has a relative resolution of 1.2e-7: less is rounding of one value
        constant = deviation <= 1e-7 * np.maximum(np.abs(mean), 1e-30)
        return mean, np.where(constant, 1.0, 1.0 / np.where(constant, 1.0, deviation))

    def _set_statistics(self, statistics):
        layer: Any = getattr(self.module_, "standardize", None)
        if self.standardize and layer is not None:
            if isinstance(self.standardize, tuple):
                statistics = self._given_statistics(layer)
            layer.mean.copy_(torch.as_tensor(statistics[0], dtype=layer.mean.dtype))
            layer.scale.copy_(torch.as_tensor(statistics[1], dtype=layer.scale.dtype))

    def _given_statistics(self, layer):
        """Mean and 1 / standard deviation that the caller gave, one number per feature."""
        assert isinstance(self.standardize, tuple)
        given = [np.asarray(part, dtype=np.float64) for part in self.standardize]
        size = (layer.mean.numel(),)
        if (
            len(given) != 2
            or any(part.shape != size or not np.isfinite(part).all() for part in given)
            or (given[1] <= 0).any()
        ):
            raise SktrainError(
                f"standardize as a tuple is (mean, 1 / standard deviation), {size[0]} finite "
                "numbers each, the second all above 0."
            )
        return given

    def _scale(self, job):
        """Standardize every step once, in place of once per window and epoch."""
        layer: Any = getattr(self.module_, "standardize", None)
        dtype = torch.float64 if self.full_batch_ else torch.float32
        for name in ("train", "valid", "old"):
            rows = getattr(job, name)
            if rows is None:
                continue
            if name == "valid" and rows.base is getattr(job, "raw_", None):
                scaled, shared = job.train, rows
                rows = type(rows)(
                    scaled.base, shared.ends, shared.firsts, shared.lookback, y=shared.y,
                    weight=shared.weight, missing=scaled.missing,
                )
            else:
                job.raw_ = rows.base
                rows = rows.scaled(layer.mean.cpu(), layer.scale.cpu(), dtype)
            if rows.weight is not None:
                rows.weight = rows.weight.to(dtype)
            setattr(job, name, rows)

    def _end(self, job):
        """Callbacks end; the network is left in float32, ready to predict."""
        self.notify("on_train_end", X=job.train, y=job.train.y)
        self.module_.gradient_checkpointing = False
        if self.full_batch_:
            self._to_single()
        self.module_.eval()
        self._one_batch()
        self._end_precision()

    def _tidy(self):
        """Give back everything that only training needed."""
        if is_card(self._device):
            self.optimizer_.zero_grad()  # gradients of a captured step hold on to its memory
        for layer in self.module_.modules():
            if isinstance(layer, EnhancedDropout):
                layer._hold(None)
        for name in _PASSING:
            vars(self).pop(name, None)

    def _keeps_best(self):
        return any(
            getattr(callback, "best_weights_", None) is not None for _, callback in self.callbacks_
        )

    def _close_progress(self):
        for _, callback in self.callbacks_:
            if isinstance(callback, ProgressBar):
                callback.close()

    def _drop_unfinished_epoch(self):
        if len(self.history_) and "dur" not in self.history_[-1]:
            self.history_.pop()

    def _to_single(self):
        self.module_.float()
        if isinstance(self.criterion_, torch.nn.Module):
            self.criterion_.float()
        for state in self.optimizer_.state.values():
            for name, value in state.items():
                if isinstance(value, torch.Tensor) and value.dtype == torch.float64:
                    state[name] = value.float()

    def get_iterator(
        self, dataset: Any, training: bool = False, params: dict | None = None
    ) -> Iterable:
        """Batches of a dataset.

        Parameters
        ----------
        dataset : WindowRows or other torch dataset
            Rows.
        training : bool, default=False
            Whether to shuffle or sample as training does.
        params : dict, optional
            Of the iterator; default those set as ``iterator_train__`` or ``iterator_valid__``.

        Returns
        -------
        iterable of (inputs, codes)
            Batches.
        """
        if params is None:
            params = self.get_params_for("iterator_train" if training else "iterator_valid")
        if training:
            if "batch_sampler" not in params:
                params.setdefault("batch_size", self.batch_size)
        else:
            params.setdefault("batch_size", rows_at_once(dataset))
            check_order(params)
        if params.get("batch_size") == -1:
            params["batch_size"] = len(dataset)
        on_card = is_card(getattr(dataset, "device", _CPU))
        params.setdefault("pin_memory", find_device(self.device).type == "cuda" and not on_card)
        name = "iterator_train" if training else "iterator_valid"
        with told_by_name(self, name):
            return getattr(self, name)(dataset, **params)

    def _resident(self, train, valid):
        """Rows where the net trains: on a card, if they fit, windows are gathered there."""
        loaders = (self.iterator_train, self.iterator_valid)
        workers = self._get_params_for("iterator_train").get("num_workers")
        if any(one is not BatchLoader for one in loaders) or workers:
            return train, valid
        return on_device(self._device, train, valid)

    def _training_iterator(self, rows, generator):
        """Batches in the order the net draws, unless the caller's parameters say otherwise."""
        params = self.get_params_for("iterator_train")
        if not {"shuffle", "sampler", "batch_sampler"} & params.keys():
            if self.class_sampling == "weighted":
                params["sampler"] = ClassWeightedSampler(rows.y, generator=generator)
            else:
                params["shuffle"] = not self.full_batch_
        if "generator" in (names_of(self.iterator_train) or {}):
            params.setdefault("generator", generator)
        return self.get_iterator(rows, training=True, params=params)

    def fit_loop(
        self,
        X: WindowRows,
        y: object = None,
        epochs: int | None = None,
        *,
        valid: WindowRows | None = None,
        seed: int = 0,
        **fit_params: Any,
    ) -> Self:
        """Train epoch by epoch on scaled rows.

        Parameters
        ----------
        X : WindowRows
            Scaled rows.
        y : object, optional
            Ignored: the rows carry their codes.
        epochs : int, optional
            Default ``max_epochs``.
        valid : WindowRows, optional
            Scaled rows to validate on.
        seed : int, default=0
            Of the order of the batches.
        **fit_params : dict
            Ignored; skorch passes them.

        Returns
        -------
        self
            The net.
        """
        self._generator = torch.Generator().manual_seed(seed)
        train, watched = self._resident(X, valid)
        train_batches = self._training_iterator(train, self._generator)
        valid_batches = None if watched is None else self.get_iterator(watched)
        datasets = {"dataset_train": X, "dataset_valid": valid}
        self._batch_hooks = self._hears("on_batch_begin") or self._hears("on_batch_end")
        checkpoints = [
            callback for _, callback in self.callbacks_ if isinstance(callback, TrainingCheckpoint)
        ]
        done = max([callback.restore(self, X, valid) for callback in checkpoints], default=0)
        self._n_epochs = n_epochs = epochs or self.max_epochs
        self._steps, self.training_path_ = steps_for(self, train_batches)
        for epoch in range(done, n_epochs):
            if self.stop_reason_:  # resumed after its end
                break
            began = time.perf_counter()
            self.epoch_ = epoch
            self._one_batch()
            self.notify("on_epoch_begin", **datasets)
            if not self._train_epoch(train_batches):
                break
            if valid_batches is not None:
                self._watch(valid_batches)
            self._record_best()
            self.history_.record("dur", time.perf_counter() - began)
            self.notify("on_epoch_end", **datasets)
            self.n_epochs_ = epoch + 1
            for checkpoint in checkpoints:
                checkpoint.save(self, last=bool(self.stop_reason_) or epoch + 1 == n_epochs)
        self.stop_reason_ = self.stop_reason_ or "max_epochs"
        return self

    def _one_batch(self):
        """One batch of a past epoch is enough to look at, and to name files after."""
        for row in self.history_[-1:]:
            row["batches"] = row["batches"][-1:]

    def _train_epoch(self, batches):
        """One pass; False when training was asked to stop before its end."""
        self._set_training(True)
        if self._steps is not None:
            self._record("train", *self._steps.epoch())
            return True
        losses, sizes, hooks = [], [], self._batch_hooks
        for i, batch in enumerate(batches):
            self.batch_ = i
            if hooks:
                self.notify("on_batch_begin", batch=batch, training=True)
            step = self.train_step(batch)
            losses.append(step["loss"])
            sizes.append(len(batch[1]))
            if hooks:
                self._record_batch("train", losses[-1], sizes[-1])
                self.notify("on_batch_end", batch=batch, training=True, **step)
                if self.stop_reason_ and i + 1 < len(batches):
                    return False
        self._record("train", torch.stack(losses).cpu().double().tolist(), sizes)
        return True

    def _watch(self, batches):
        """Loss and accuracy on the validation rows."""
        self._set_training(False)
        losses, sizes, right = [], [], []
        hooks = self._batch_hooks
        for batch in batches:
            if hooks:
                self.notify("on_batch_begin", batch=batch, training=False)
            step = self.validation_step(batch)
            losses.append(step["loss"])
            sizes.append(len(batch[1]))
            right.append((step["y_pred"].argmax(1) == self._to_device(batch[1])).sum())
            if hooks:
                self._record_batch("valid", losses[-1], sizes[-1])
                self.notify("on_batch_end", batch=batch, training=False, **step)
        self._record("valid", torch.stack(losses).cpu().double().tolist(), sizes)
        self.history_.record("valid_acc", float(torch.stack(right).sum()) / sum(sizes))

    def validation_step(self, batch: tuple, **fit_params: Any) -> dict:
        """Loss and class scores of one batch, without gradients.

        Parameters
        ----------
        batch : tuple of (inputs, codes)
            One batch of the validation iterator; weighted rows come as a dict with ``X`` and
            ``sample_weight``.
        **fit_params : dict
            Ignored; skorch passes them.

        Returns
        -------
        dict
            ``loss`` and ``y_pred`` (class scores), as skorch's.
        """
        Xi, yi = batch
        Xi, weight = apart(Xi)
        with torch.no_grad():
            logits = self._logits(self._to_device(Xi))
            loss = self._loss(
                logits, self._to_device(yi), None if weight is None else self._to_device(weight)
            )
        return {"loss": loss, "y_pred": logits}

    def _record(self, prefix, values, sizes):
        """The epoch's mean loss; without callbacks that follow batches, its batches are written
        here, all at once."""
        if not self._batch_hooks or (prefix == "train" and self._steps is not None):
            rows = (
                {f"{prefix}_loss": loss, f"{prefix}_batch_size": size}
                for loss, size in zip(values, sizes)
            )
            self.history_[-1]["batches"].extend(rows)
        self.history_.record(f"{prefix}_loss", float(np.average(values, weights=sizes)))
        self.history_.record(f"{prefix}_batch_count", len(values))
        if prefix == "train" and not math.isfinite(sum(values)):
            for batch, loss in enumerate(values):
                self._check_loss(loss, batch)

    def _loss(self, logits, target, weight):
        criterion, logits = self.criterion_, scores_for(self.criterion_, logits)
        if weight is None:
            return criterion(logits, target)
        if isinstance(criterion, FocalLoss):
            return criterion(logits, target, weight)
        return reduce_loss(self._row_loss(logits, target, adapted=True), weight)

    def _row_loss(self, logits, target, adapted=False):
        """Loss of each row."""
        criterion = self.criterion_
        logits = logits if adapted else scores_for(criterion, logits)
        if not hasattr(criterion, "reduction"):
            raise SktrainError(
                f"{type(criterion).__name__} has no `reduction`, so the loss of a row is unknown; "
                "use FocalLoss or a torch criterion."
            )
        reduction, criterion.reduction = criterion.reduction, "none"
        try:
            return criterion(logits, target)
        finally:
            criterion.reduction = reduction


def _blocks(base, weight, size=65_536):
    """Blocks of steps that some training row sees, in float64."""
    for low in range(0, len(base), size):
        w = weight[low : low + size]
        if w.any():
            values = base[low : low + size]
            seen = w > 0
            yield values[seen].astype(np.float64), w[seen]

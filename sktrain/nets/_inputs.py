"""Input of the nets: checked rows, codes and weights, the last of them held back for validation."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)
from skorch.dataset import Dataset
import torch
from torch.utils.data import Dataset as TorchDataset, Subset, TensorDataset

from .._last_block import ValidationBlock, last_block
from .._step_rows import (
    is_windows,
    read_array,
    read_windows,
    refuse_infinite,
    refuse_other_names,
    refuse_width,
)
from .._validation import labelled_mask, refuse_no_numbers, row_weights
from ..exceptions import SktrainError
from ._batches import WindowRows
from ._parts import NetParts

__all__ = ["InputReader", "TrainingJob"]


@dataclass
class TrainingJob:
    """Everything one call of ``fit`` trains on; nothing of the net has changed yet."""

    train: WindowRows
    valid: WindowRows | None
    classes: np.ndarray
    block: ValidationBlock
    learned: dict = field(default_factory=dict)
    seen: WindowRows | None = None  # every row of the call, for the net to remember
    counts: np.ndarray | None = None  # summed weight of each class among the rows trained on
    old: WindowRows | None = None  # earlier rows that validate an update
    n_new: int = 0


class InputReader(NetParts):
    """Mixin: reads X and y in every form the nets accept."""

    @staticmethod
    def is_rows(X: object) -> bool:
        """Whether X is a dataset of ours, whose labels are codes already.

        Parameters
        ----------
        X : object
            Input of the net.

        Returns
        -------
        bool
            True for :class:`WindowRows`, also for a torch ``Subset`` of them.
        """
        return isinstance(_unwrap(X, only_see=True), WindowRows)

    def read_rows(self, X: ArrayLike, *, reset: bool) -> WindowRows:
        """Check X and return it as :class:`WindowRows`.

        Parameters
        ----------
        X : array-like, DataFrame or WindowedArray of length n
            As in :meth:`fit`.
        reset : bool
            Whether to learn the sizes of X; else they are held to what was learned.

        Returns
        -------
        WindowRows
            The rows as the network takes them.
        """
        if not reset and "lookback_" not in vars(self):
            self.check_is_fitted()
        if self.is_rows(X):
            return _unwrap(X)
        if isinstance(X, TorchDataset):
            return self.read_rows(unpack_dataset(X)[0], reset=reset)
        if is_windows(X):
            return self._read_windows(X, reset)
        if isinstance(X, torch.Tensor):
            X = X.detach().cpu().numpy()
        if getattr(X, "ndim", 2) == 3:
            return self._read_array(X, reset)
        return self._read_table(X, reset)

    def _read_windows(self, X, reset):
        base, low, names = read_windows(X)
        ends, firsts = np.asarray(X.ends), np.asarray(X.firsts)
        self._learn_sizes(reset, X.lookback, base.shape[1], base.shape[1], names)
        return WindowRows.from_windows(base, ends - low, np.maximum(firsts - low, 0), X.lookback)

    def _read_array(self, X, reset):
        X = read_array(X)
        steps, features = X.shape[1:]
        self._learn_sizes(reset, steps, features, features, None)
        return WindowRows.from_array(X)

    def _read_table(self, X, reset):
        names = list(X.columns) if hasattr(X, "columns") else None
        flat = (
            not reset
            and vars(self).get("n_features_in_") == self.step_features_
            and self.lookback_ > 1
        )
        if flat:  # fitted on windows, asked about flattened ones
            X = check_array(
                X, dtype=[np.float64, np.float32], ensure_all_finite=False, input_name="X"
            )
            refuse_width(self, X.shape[1], self.lookback_ * self.step_features_)
        else:
            refuse_no_numbers(X)
            X = validate_data(
                self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=False
            )
        lookback = (self.lookback or 1) if reset else self.lookback_
        if X.shape[1] % lookback:
            raise SktrainError(
                f"lookback={lookback} does not divide the {X.shape[1]} columns of X: flattened "
                "rows hold lookback x features values."
            )
        refuse_infinite(X, names, "row")
        features = X.shape[1] // lookback
        if reset:
            self._pending["sizes"] = (lookback, features)
        return WindowRows.from_array(X.reshape(len(X), lookback, features))

    def _learn_sizes(self, reset, lookback, features, n_features_in, names):
        strings = names is not None and all(isinstance(name, str) for name in names)
        if reset:
            if self.lookback not in (None, lookback):
                raise SktrainError(f"X has {lookback} steps per row, but lookback={self.lookback}.")
            self._pending["sizes"] = (lookback, features)
            self._pending["n_features_in_"] = n_features_in
            self._pending["names"] = np.asarray(names, dtype=object) if strings else None
            return
        if (lookback, features) != (self.lookback_, self.step_features_):
            refuse_width(self, features, self.step_features_)
            raise SktrainError(
                f"X has {lookback} steps per row, but {type(self).__name__} was fitted on "
                f"{self.lookback_}."
            )
        refuse_other_names(vars(self).get("feature_names_in_"), names)

    def _training_job(
        self, X, y, sample_weight, known, X_val=None, y_val=None, *, again, classes=None,
        partial=False,
    ):
        """Check everything ``fit`` is given before anything of the net changes."""
        self._validate_params()
        if isinstance(X, TorchDataset) and not self.is_rows(X):
            X, inner = unpack_dataset(X)
            y = inner if y is None else y
        self.__dict__["_pending"] = {}
        try:
            rows = self.read_rows(X, reset=not again)
            classes = self._known_classes(classes, again)
            codes, classes = _encode(X, y, classes, type(self).__name__)
            weight = None
            if sample_weight is not None:
                weight = row_weights(sample_weight, X, y, ensure_non_negative=True)
                if not weight.any():
                    raise SktrainError("sample_weight is zero for every row.")
            if again and "sizes" not in self._pending:
                self._pending["sizes"] = (self.lookback_, self.step_features_)
            job = self._split(
                rows, codes, classes, weight, X, y, known, X_val, y_val, again and partial
            )
            job.learned = dict(self._pending)
            counted = (
                None if job.train.weight is None else job.train.weight.numpy().astype(np.float64)
            )
            job.counts = np.bincount(job.train.y.numpy(), counted, minlength=len(classes)).astype(
                np.float64
            )
            return job
        finally:
            del self.__dict__["_pending"]

    def _known_classes(self, classes, again):
        if classes is not None:
            classes = np.unique(column_or_1d(classes))
            if again and not np.array_equal(classes, self.classes_):
                raise SktrainError(
                    f"classes={classes.tolist()} differ from those of the first call, "
                    f"{self.classes_.tolist()}."
                )
        return self.classes_ if again else classes

    def _split(self, rows, codes, classes, weight, X, y, known, X_val, y_val, update):
        y_all = torch.from_numpy(codes)
        rows = rows.with_targets(
            y_all, None if weight is None else torch.from_numpy(weight).float()
        )
        job = self._parts(rows, classes, codes, X, y, known, X_val, y_val, update)
        job.seen = rows
        return job

    def _parts(self, rows, classes, codes, X, y, known, X_val, y_val, update):
        everything = np.arange(len(rows))
        if (X_val is None) != (y_val is None):
            raise SktrainError("X_val and y_val belong together: give both or neither.")
        if X_val is not None:
            valid = self._read_validation(X_val, y_val, classes)
            return TrainingJob(
                rows,
                valid,
                classes,
                ValidationBlock(everything, np.arange(len(valid)), reason="X_val, y_val"),
            )
        if update and not callable(self.train_split):
            return self._update_job(rows, classes, codes, X, y, known)
        if self.train_split is None:
            return TrainingJob(
                rows, None, classes, ValidationBlock(everything, None, reason="train_split=None")
            )
        if callable(self.train_split):
            train, valid = self.train_split(rows, codes)
            train, valid = _unwrap(train), None if valid is None else self._adopt(valid, classes)
            return TrainingJob(
                train,
                valid,
                classes,
                ValidationBlock(
                    np.arange(len(train)), None if valid is None else np.arange(len(valid))
                ),
            )
        block = last_block(
            X, y, codes, fraction=self.valid_fraction, horizon=self.horizon,
            caller=type(self).__name__,
            **known,
        )
        if block.valid is None:
            return TrainingJob(rows, None, classes, block)
        return TrainingJob(rows.take(block.train), rows.take(block.valid), classes, block)

    def _read_validation(self, X, y, classes):
        held = {name: vars(self).get(name) for name in ("lookback_", "step_features_")}
        vars(self)["lookback_"], vars(self)["step_features_"] = self._pending["sizes"]
        try:
            rows = self.read_rows(X, reset=False)
        finally:
            for name, value in held.items():
                vars(self).pop(name) if value is None else vars(self).update({name: value})
        codes, _ = _encode(X, y, classes, type(self).__name__)
        return rows.with_targets(torch.from_numpy(codes))

    def _adopt(self, data, classes):
        """A validation set a splitter brought along, as skorch's ``predefined_split`` does."""
        if self.is_rows(data):
            return _unwrap(data)
        if isinstance(data, Subset):
            data = Dataset(*unpack_dataset(data))
        if not hasattr(data, "X") or not hasattr(data, "y"):
            raise SktrainError(
                f"train_split returned a {type(data).__name__}; it must return parts of the rows "
                "it was given, or a skorch Dataset."
            )
        return self._read_validation(data.X, data.y, classes)


def _unwrap(data, only_see=False):
    if isinstance(data, Subset):
        inner = _unwrap(data.dataset, only_see)
        return inner if only_see else inner.take(np.asarray(data.indices, dtype=np.int64))
    return data


def unpack_dataset(data):
    """X and y (None when there are none) of a torch Dataset that holds them as arrays.

    Raises
    ------
    SktrainError
        A Dataset that only hands out single items; asked for an array, NumPy would read it for
        ever.
    """
    if isinstance(data, Subset):
        X, y = unpack_dataset(data.dataset)
        rows = np.asarray(data.indices, dtype=np.int64)
        return X[rows], None if y is None else y[rows]
    if isinstance(data, TensorDataset) and 1 <= len(data.tensors) <= 2:
        arrays = [tensor.detach().cpu().numpy() for tensor in data.tensors]
        return arrays[0], (arrays[1] if len(arrays) == 2 else None)
    if isinstance(data, Dataset):
        return data.X, data.y
    raise SktrainError(
        f"X is a {type(data).__name__}, a torch Dataset that hands out single items. Give X and y "
        "as arrays, or a TensorDataset."
    )


def _encode(X, y, classes, name):
    """Codes of the labels, and the classes in order."""
    if y is None:
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None")
    values = column_or_1d(np.asarray(y), warn=True)
    check_consistent_length(X, values)
    missing = ~labelled_mask(values, len(values))
    if missing.any():
        raise SktrainError(
            f"y contains NaN in row {int(np.argmax(missing))} ({int(missing.sum())} such rows). "
            "Drop rows without a label."
        )
    if values.dtype.kind in "mM":
        raise SktrainError(
            f"y holds times ({values.dtype}), not classes. Pass the labels of the rows."
        )
    check_classification_targets(values)
    if classes is None:
        classes, codes = np.unique(values, return_inverse=True)
        codes = codes.reshape(-1)
    else:
        codes = np.searchsorted(classes, values).clip(max=len(classes) - 1)
        unknown = classes[codes] != values
        if unknown.any():
            raise SktrainError(
                f"y holds the label {values[unknown].tolist()[0]!r}, which is not among the "
                f"classes {classes.tolist()}."
            )
    if len(classes) < 2:
        raise SktrainError(
            f"{name} needs at least 2 classes; all {len(values)} rows have the one class "
            f"{classes.tolist()[0]!r}."
        )
    return codes.astype(np.int64), classes

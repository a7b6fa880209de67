"""Two models and rows to try them on enter, figures before and after leave: size, time of a prediction, scores, agreement, calibration.

The rows should come after everything the models were trained on, as a validation block does.
"""

from collections.abc import Mapping
import copy
from dataclasses import dataclass
from io import BytesIO
import statistics
import time

import joblib
import numpy as np
from sklearn.pipeline import Pipeline

from .._validation import Number
from ..evaluation import classification_scores
from ..exceptions import SktrainError
from ._places import copy_with, nets_in
from ._pruner import ModelPruner
from ._quantizer import ModelQuantizer

__all__ = ["CompressionReport", "compress_model", "measure", "prepared"]


@dataclass(frozen=True)
class CompressionReport(Mapping):
    """Before and after; also a mapping of its fields.

    Attributes
    ----------
    before, after : dict
        ``size_bytes`` (compressed joblib of what predicting needs, the optimizer left out), ``latency_ms`` (one row, prepared),
        ``latency_256_ms``, ``accuracy``, ``balanced_accuracy``, ``log_loss``, ``calibration_error`` (expected, 10 equal bins).
    agreement : float
        Share of rows with the same prediction.
    max_change, mean_change : float
        Of a probability.
    sparsity : float
        Reached, of the prunable weights.
    bits : int or None
        Of the weights; None means float32.
    n_rows : int
        Rows measured on.
    """

    before: dict
    after: dict
    agreement: float
    max_change: float
    mean_change: float
    sparsity: float
    bits: int | None
    n_rows: int

    def __getitem__(self, name):
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self):
        return iter(self.__dataclass_fields__)

    def __len__(self):
        return len(self.__dataclass_fields__)

    def to_dict(self):
        """Plain numbers."""
        return dict(self)

    def summary(self):
        """A few lines."""
        old, new = self.before, self.after
        kind = "float weights" if self.bits is None else f"{self.bits}-bit weights"
        return (
            f"{kind}, sparsity {self.sparsity:.0%}: {old['size_bytes'] / new['size_bytes']:.1f} times smaller "
            f"({old['size_bytes'] / 1024:,.0f} -> {new['size_bytes'] / 1024:,.0f} KiB), "
            f"{old['latency_ms'] / new['latency_ms']:.1f} times faster ({old['latency_ms']:.2f} -> {new['latency_ms']:.2f} ms a row)\n"
            f"same prediction for {self.agreement:.1%} of {self.n_rows} rows; probabilities move by {self.max_change:.4f} at most\n"
            f"balanced accuracy {old['balanced_accuracy']:.4f} -> {new['balanced_accuracy']:.4f}, "
            f"log loss {old['log_loss']:.4f} -> {new['log_loss']:.4f}"
        )


def compress_model(model, *, sparsity=0.5, bits=8, X, y, scope="global", sensitivity=0.1):
    """Prune and quantize a copy of a fitted model, and measure both on rows it was not trained on.

    Parameters
    ----------
    model : net, Pipeline or ensemble
        Fitted; it stays as it is.
    sparsity : float, default=0.5
        Target of :class:`ModelPruner`; 0 means no pruning.
    bits : 8 or None, default=8
        None means no quantization.
    X, y : as the model takes them
        Rows to measure on.
    scope, sensitivity
        As of :class:`ModelPruner`.

    Returns
    -------
    model : of the same kind
        Pruned and quantized.
    report : dict
        The fields of :class:`CompressionReport`.
    """
    if not Number(0, 1, closed="left").is_satisfied_by(sparsity):
        raise SktrainError(f"sparsity must lie in [0, 1), got {sparsity!r}.")
    nets_in(model)
    small, reached = compressed_copy(model, sparsity, bits, scope=scope, sensitivity=sensitivity)
    return small, measure(model, small, X, y, sparsity=reached, bits=bits).to_dict()


def compressed_copy(model, sparsity, bits, **options):
    """A pruned and quantized copy, and the sparsity reached."""
    small, reached = copy_with(model, copy.deepcopy), 0.0
    if sparsity:
        reached = ModelPruner(sparsity, **options).prune_model(small)
    if bits is not None:
        small = ModelQuantizer(bits).quantize_model(small)
    return small, reached


def measure(before, after, X, y, *, sparsity=0.0, bits=None):
    """Compare two fitted models on the same rows.

    Returns
    -------
    CompressionReport
    """
    figures, probabilities = [], []
    for model in (before, after):
        last, rows = prepared(model, X)
        found = np.asarray(last.predict_proba(rows))
        probabilities.append(found)
        figures.append({"size_bytes": size_of(model), **_latencies(last, rows), **_scores(y, found, model.classes_)})
    change = np.abs(probabilities[0] - probabilities[1])
    same = probabilities[0].argmax(axis=1) == probabilities[1].argmax(axis=1)
    return CompressionReport(
        *figures, float(same.mean()), float(change.max()), float(change.mean()), float(sparsity), bits, len(same)
    )


def prepared(model, X):
    """The last step of a pipeline, and what the steps before it make of ``X``."""
    while isinstance(model, Pipeline):  # imblearn's is one too; its samplers let rows pass
        for _, step in model.steps[:-1]:
            X = step.transform(X) if hasattr(step, "transform") else X
        model = model.steps[-1][1]
    return model, X


def size_of(model):
    """Bytes of a compressed joblib file of what predicting needs."""
    buffer = BytesIO()
    joblib.dump(copy_with(model, _without_optimizer), buffer, compress=3)
    return buffer.tell()


def _without_optimizer(net):
    net = copy.copy(net)
    vars(net).pop("optimizer_", None)
    return net


def _latencies(model, rows):
    return {"latency_ms": _milliseconds(model, rows[-1:]), "latency_256_ms": _milliseconds(model, rows[-256:], repeat=3)}


def _milliseconds(model, rows, repeat=11):
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        model.predict_proba(rows)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[1:])


def _scores(y, probabilities, classes):
    found = classification_scores(y, probabilities, classes)
    return {**found, "calibration_error": _calibration_error(np.asarray(y), probabilities, classes)}


def _calibration_error(y, probabilities, classes, bins=10):
    """Expected calibration error of the predicted label (Naeini, Cooper & Hauskrecht 2015)."""
    confidence = probabilities.max(axis=1)
    right = np.asarray(classes)[probabilities.argmax(axis=1)] == y
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(bin_of, right - confidence, bins)
    return float(np.abs(gap).sum() / len(y))

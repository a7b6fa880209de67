"""Figures before and after compression: size, latency, scores, agreement, calibration.

The rows should come after everything the models were trained on, as a validation block does.
"""

from collections.abc import Mapping
import copy
from dataclasses import dataclass
from io import BytesIO
import statistics
import time
from typing import Any, Literal

import joblib
import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_count, check_number
from ..exceptions import SktrainError
from ._places import copy_with, nets_in, rows_can_be_followed, through_steps

__all__ = ["CompressionReport", "compress_model", "compressed_copy", "measure"]


@dataclass(frozen=True)
class CompressionReport(Mapping):
    """Before and after; also a mapping of its fields.

    Attributes
    ----------
    before, after : dict
        ``size_bytes`` (compressed joblib of what predicting needs, the optimizer left out),
        ``latency_ms`` (one row, prepared), ``latency_256_ms``, ``accuracy``, ``balanced_accuracy``,
        ``log_loss``, ``calibration_error`` (expected, 10 equal bins).
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
    activations : str or None
        "int8" where activations are rounded; None means floats.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import MLPNetClassifier
    >>> from sktrain.compression import CompressionReport, compress_model
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> net = MLPNetClassifier(max_epochs=3, horizon=0, random_state=0).fit(X[:200], X[:200, 0] > 0)
    >>> report = CompressionReport(**compress_model(net, X=X[200:], y=X[200:, 0] > 0)[1])
    >>> report.n_rows, report.after["size_bytes"] < report.before["size_bytes"]
    (100, True)
    """

    before: dict
    after: dict
    agreement: float
    max_change: float
    mean_change: float
    sparsity: float
    bits: int | None
    n_rows: int
    activations: Literal["int8"] | None = None

    def __getitem__(self, name):
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self):
        return iter(self.__dataclass_fields__)

    def __len__(self):
        return len(self.__dataclass_fields__)

    def to_dict(self) -> dict:
        """The report as plain numbers, ready for JSON.

        Returns
        -------
        dict
            One entry per field.
        """
        return dict(self)

    def summary(self) -> str:
        """Size, speed, agreement and scores, before and after.

        Returns
        -------
        str
            A few lines.
        """
        old, new = self.before, self.after
        kind = "float weights" if self.bits is None else f"{self.bits}-bit weights"
        kind += f", {self.activations} activations" if self.activations else ""
        return (
            f"{kind}, sparsity {self.sparsity:.0%}: {old['size_bytes'] / new['size_bytes']:.1f} "
            "times smaller "
            f"({old['size_bytes'] / 1024:,.0f} -> {new['size_bytes'] / 1024:,.0f} KiB), "
            f"{old['latency_ms'] / new['latency_ms']:.1f} times faster ({old['latency_ms']:.2f} "
            f"-> {new['latency_ms']:.2f} ms a row)\n"
            f"same prediction for {self.agreement:.1%} of {self.n_rows} rows; probabilities move "
            f"by {self.max_change:.4f} at most\n"
            f"balanced accuracy {old['balanced_accuracy']:.4f} -> {new['balanced_accuracy']:.4f}, "
            f"log loss {old['log_loss']:.4f} -> {new['log_loss']:.4f}"
        )


def compress_model(
    model: Any,
    *,
    sparsity: float = 0.5,
    bits: int | None = 8,
    X: ArrayLike,
    y: ArrayLike,
    calibration: ArrayLike | None = None,
    fine_tune_epochs: int = 0,
    scope: Literal["layer", "global"] = "global",
    sensitivity: float = 0.1,
    structured: bool = False,
    activations: Literal["int8"] | None = None,
) -> tuple:
    """Prune and quantize a copy of a fitted model, and measure both on rows it was not trained on.

    Parameters
    ----------
    model : net, Pipeline or ensemble
        Fitted; it stays as it is.
    sparsity : float, default=0.5
        Target of :class:`ModelPruner`; 0 means no pruning.
    bits : 8, 4 or None, default=8
        None means no quantization.
    X, y : as the model takes them
        Rows to measure on.
    calibration : as the model takes it, optional
        Other rows, without labels, to keep the answers on while pruning and rounding: training
        rows. Worth giving; see :class:`ModelPruner`.
    fine_tune_epochs : int, default=0
        Epochs of training on the model's own answers to ``calibration`` while the sparsity rises.
    scope, sensitivity, structured
        As of :class:`ModelPruner`.
    activations : {None, "int8"}, default=None
        As of :class:`ModelQuantizer`; "int8" needs ``bits=8``.

    Returns
    -------
    model : of the same kind
        Pruned and quantized.
    report : dict
        The fields of :class:`CompressionReport`.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import MLPNetClassifier
    >>> from sktrain.compression import compress_model
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> net = MLPNetClassifier(max_epochs=3, horizon=0, random_state=0).fit(X[:200], X[:200, 0] > 0)
    >>> small, report = compress_model(
    ...     net, sparsity=0.5, X=X[200:], y=X[200:, 0] > 0, calibration=X[:200]
    ... )
    >>> round(report["sparsity"], 2), report["agreement"] > 0.9
    (0.5, True)
    """
    check_number("sparsity", sparsity, 0, 1, closed="left")
    if check_count("fine_tune_epochs", fine_tune_epochs, minimum=0) and calibration is None:
        raise SktrainError(
            f"fine_tune_epochs={fine_tune_epochs} needs rows to train on: give calibration=, the "
            "training rows."
        )
    nets_in(model)
    options = {"scope": scope, "sensitivity": sensitivity, "structured": structured}
    quantize = quantizer(bits, activations)
    small, reached = compressed_copy(
        model, sparsity, quantize, calibration, fine_tune_epochs, **options
    )
    quality = measure(model, small, X, y, sparsity=reached, quantize=quantize)
    return small, quality.to_dict()


def quantizer(bits, activations=None):
    """The quantizer of a level, or None for float weights, which know no rounded activations."""
    from ._quantizer import ModelQuantizer

    if bits is None:
        if activations is not None:
            raise SktrainError(f"activations={activations!r} needs bits=8, got bits=None.")
        return None
    made = ModelQuantizer(bits, activations=activations)
    made._check()
    return made


def compressed_copy(model, sparsity, quantize, X=None, epochs=0, sample_weight=None, **options):
    """A copy, pruned and quantized by ``quantize`` (None: not), and the sparsity reached.

    ``X`` are rows to keep the answers on, where they can be followed to the nets.
    """
    from ._pruner import ModelPruner

    small, reached = copy_with(model, copy.deepcopy), 0.0
    if not epochs and not rows_can_be_followed(small):
        X = None
    if sparsity and epochs:
        from ._fine_tuning import fine_tune

        reached = fine_tune(
            small, X, target=sparsity, epochs=epochs, sample_weight=sample_weight, **options
        )
    elif sparsity:
        reached = ModelPruner(sparsity, **options).prune_model(
            small, X=X, sample_weight=sample_weight
        )
    if quantize is not None:
        small = quantize.quantize_model(small, X, sample_weight=sample_weight)
    return small, reached


def measure(before, after, X, y, *, sparsity=0.0, quantize=None):
    """Compare two fitted models on the same rows.

    Returns
    -------
    CompressionReport
    """
    figures, probabilities = list[dict[str, float]](), []
    for model in (before, after):
        last, rows = through_steps(model, X)
        found = np.asarray(last.predict_proba(rows))
        probabilities.append(found)
        figures.append(
            {
                "size_bytes": size_of(model),
                **_latencies(last, rows),
                **_scores(y, found, model.classes_),
            }
        )
    change = np.abs(probabilities[0] - probabilities[1])
    same = probabilities[0].argmax(axis=1) == probabilities[1].argmax(axis=1)
    bits, activations = (None, None) if quantize is None else (quantize.bits, quantize.activations)
    return CompressionReport(
        before=figures[0],
        after=figures[1],
        agreement=float(same.mean()),
        max_change=float(change.max()),
        mean_change=float(change.mean()),
        sparsity=float(sparsity),
        bits=bits,
        n_rows=len(same),
        activations=activations,
    )


def size_of(model):
    """Bytes of a compressed joblib file of what predicting needs."""
    buffer = BytesIO()
    joblib.dump(copy_with(model, _without_optimizer), buffer, compress=3)
    return buffer.tell()


def _without_optimizer(net):
    net = copy.copy(net)
    for name in ("optimizer_", "replay_"):  # what only training on needs
        vars(net).pop(name, None)
    return net


def _latencies(model, rows):
    return {
        "latency_ms": _milliseconds(model, rows[-1:]),
        "latency_256_ms": _milliseconds(model, rows[-256:], repeat=3),
    }


def _milliseconds(model, rows, repeat=11):
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        model.predict_proba(rows)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[1:])


def _scores(y, probabilities, classes):
    from ..evaluation import classification_scores

    found = classification_scores(y, probabilities, classes)
    return {**found, "calibration_error": _calibration_error(np.asarray(y), probabilities, classes)}


def _calibration_error(y, probabilities, classes):
    """Expected calibration error of the predicted label (Naeini, Cooper & Hauskrecht 2015)."""
    confidence = probabilities.max(axis=1)
    right = np.asarray(classes)[probabilities.argmax(axis=1)] == y
    bin_of = np.minimum((confidence * 10).astype(int), 9)  # ten bins
    gap = np.bincount(bin_of, right - confidence)
    return float(np.abs(gap).sum() / len(y))

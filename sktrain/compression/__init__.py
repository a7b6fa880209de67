"""Small, fast models: pruned, with eight-bit weights, with figures of what it cost.

Names are loaded on first use: a process that only serves a quantized model imports what predicts,
and nothing that trains.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._classifier import CompressedClassifier, UnavailableEstimator
    from ._export import export_onnx
    from ._pruner import ModelPruner, cubic_sparsity
    from ._quantized import QuantizedClassifier
    from ._quantizer import ModelQuantizer
    from ._report import CompressionReport, compress_model

_HOME = {
    "CompressedClassifier": "_classifier",
    "CompressionReport": "_report",
    "ModelPruner": "_pruner",
    "ModelQuantizer": "_quantizer",
    "QuantizedClassifier": "_quantized",
    "UnavailableEstimator": "_classifier",
    "compress_model": "_report",
    "cubic_sparsity": "_pruner",
    "export_onnx": "_export",
}

__all__ = [
    "CompressedClassifier",
    "CompressionReport",
    "ModelPruner",
    "ModelQuantizer",
    "QuantizedClassifier",
    "UnavailableEstimator",
    "compress_model",
    "cubic_sparsity",
    "export_onnx",
]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__():
    return sorted({*globals(), *__all__})

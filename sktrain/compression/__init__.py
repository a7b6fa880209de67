"""Small, fast models: fitted models enter, the same models pruned and with eight-bit weights leave, with figures of what it cost."""

from ._classifier import CompressedClassifier, UnavailableEstimator
from ._graph import export_onnx
from ._pruner import ModelPruner, cubic_sparsity
from ._quantized import QuantizedClassifier
from ._quantizer import ModelQuantizer
from ._report import CompressionReport, compress_model

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

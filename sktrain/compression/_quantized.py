"""Prediction from a graph and eight-bit weights through ONNX Runtime, without torch.

Weights are stored as whole numbers with one scale per output channel. They become floats once, when
the model is opened, or stay whole numbers and meet activations that are rounded by scales of each
row. What is computed for a row never depends on the other rows of the call. Rows know time as the
nets' rows do.
"""

import math
import os
from typing import Any, NoReturn, Self
import zlib

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from .._optional import require
from .._posterior import Posterior
from .._validation import Count
from ..exceptions import CorruptFileError, SktrainError
from ._posterior import add_posterior
from ._rows import batches
from ._wire import activations, field, read_graph, varint

__all__ = ["QuantizedClassifier"]

# Bytes that rows predicted at once may take, measured on nets of 1 M weights (20 steps): 256 rows
# of an MLP are a tenth faster at once than by 32.
_AT_ONCE = 2**23
# rows at once, measured likewise: 256 rows by 16 take a TCN 7 % longer than by 32, a Transformer up
# to 15 % less, an LSTM and a GRU as long, and a serving process 4 to 9 MiB less; by 8 an LSTM that
# rounds activations takes a fifth longer; with more than 256 nothing is won
_FEWEST, _MOST = 16, 256
# share of zeros above which a bitmap is worth its bit per weight: 1/8 for codes of a byte, and a
# margin
_SPARSE = 0.15
_LIMIT = 2**31  # elements of an array, beyond the bytes that a file may have (persistence._file)
_LARGEST_GRAPH = 2**28  # bytes, a judgment; weights are not in it
_RATIO = 20  # bytes of a graph per compressed byte: the largest seen is 3
_MOST_THREADS = 256  # a judgment: more than a machine's cores are an attack
_SOFTMAX = Posterior()
_LEARNED = (
    "classes_", "feature_names_in_", "lookback_", "n_features_in_", "step_features_", "network_",
    "posterior_", "activations_",
)  # fmt: skip


class QuantizedClassifier(ClassifierMixin, BaseEstimator):
    """A fitted net with eight-bit weights. :class:`ModelQuantizer` makes it; it cannot be trained.

    Pickles and files hold the packed weights only; without torch they open and predict.

    Parameters
    ----------
    n_threads : int, default=1
        Threads of one prediction. One is fastest for single rows and for servers that run many
        workers.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels in the order of the columns of ``predict_proba``.
    n_features_in_ : int
        As of the net it was made from.
    lookback_, step_features_ : int
        Steps per row and features per step.
    posterior_ : Posterior
        How scores become probabilities, as in the net it was made from; a bare Module has none, and
        its scores go through a softmax.
    network_ : str
        Name of the classifier it was made from.
    activations_ : str
        "int8" where activations are rounded; otherwise it is missing.
    n_weights_, n_zeros_ : int
        Weights stored in eight bits, and how many of them are zero.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import GRUClassifier, ModelQuantizer
    >>> X = np.random.default_rng(0).normal(size=(60, 5, 2))
    >>> net = GRUClassifier(max_epochs=2, random_state=0).fit(X, X[:, -1, 0] > 0)
    >>> small = ModelQuantizer().quantize_model(net)
    >>> bool(abs(small.predict_proba(X) - net.predict_proba(X)).max() < 0.02)
    True
    """

    _parameter_constraints = {"n_threads": [Count(1)]}

    def __init__(self, n_threads: int = 1) -> None:
        self.n_threads = n_threads

    @classmethod
    def _from_parts(cls, graph, codes, learned, n_threads=1):
        """From a graph without its eight-bit weights, these weights by name, and what the net had
        learned."""
        made = cls(n_threads)
        graph = zlib.compress(graph, 9)
        made.__setstate__(
            {
                "n_threads": n_threads,
                "graph": graph,
                "weights": {name: pack(value) for name, value in codes.items()},
                **learned,
            }
        )
        return made

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_is_fitted__(self):
        return "_session" in vars(self)

    def fit(self, X: object, y: object = None) -> NoReturn:
        """Not possible: eight-bit weights cannot be trained.

        Parameters
        ----------
        X, y : object
            Not used.

        Raises
        ------
        SktrainError
            Always.
        """
        raise SktrainError(
            "A QuantizedClassifier cannot be trained. Train the net it was made from, then "
            "quantize it again with ModelQuantizer."
        )

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Class probabilities.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, steps, features), DataFrame or WindowedArray
            As the net it was made from takes it.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Columns as in ``classes_``; rows sum to 1.
        """
        # asked first: the check takes as long as a small network's answer
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)
        parts = [self._session.run(None, {"X": batch})[0] for batch in batches(self, X, self._rows)]
        scores = np.concatenate(parts).astype(np.float64)
        return getattr(self, "posterior_", _SOFTMAX).probabilities(scores)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable label of each row.

        Parameters
        ----------
        X : array-like, DataFrame or WindowedArray of length n
            Rows as the net took them.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def set_params(self, **params: Any) -> Self:
        """Set parameters; a fitted model takes ``n_threads`` up at once.

        Parameters
        ----------
        **params : dict
            Parameters by name.

        Returns
        -------
        self
            The classifier.
        """
        super().set_params(**params)
        if params and self.__sklearn_is_fitted__():
            self._open()
        return self

    def to_onnx(self) -> bytes:
        """The whole model as an ONNX file.

        Returns
        -------
        bytes
            Eight-bit weights and their scales included; a softmax of its scores is
            ``predict_proba``.
        """
        check_is_fitted(self)
        made = _with_weights(
            self._graph, {name: unpack(packed) for name, packed in self._weights.items()}
        )
        if not hasattr(self, "posterior_"):
            return made
        onnx = require("onnx", extra="deploy", caller="to_onnx")
        return add_posterior(
            onnx.load_from_string(made), self.posterior_, "scores"
        ).SerializeToString()

    def __getstate__(self):
        state = {name: vars(self)[name] for name in ("n_threads", *_LEARNED) if name in vars(self)}
        if self.__sklearn_is_fitted__():
            state.update(graph=self._graph, weights=self._weights)
        if "posterior_" in state:
            state["posterior_"] = dict(vars(self.posterior_))
        return state

    def __setstate__(self, state):
        known = {name: state[name] for name in ("n_threads", *_LEARNED) if name in state}
        self.__dict__.update(known)
        # files of earlier versions hold none and go on saying what they said
        if isinstance(state.get("posterior_"), dict):
            self.posterior_ = Posterior(**state["posterior_"])
        if "graph" in state:
            self._graph, self._weights = state["graph"], state["weights"]
            self._open()

    @staticmethod
    def _inflates(state):
        """Bytes that a state takes once it is open; refuses graphs that a network never has."""
        if "graph" not in state:
            return 0
        n_threads = state["n_threads"]
        if not Count(1, _MOST_THREADS).is_satisfied_by(n_threads):
            raise CorruptFileError(f"a quantized model has n_threads={n_threads!r}.")
        shape = state["lookback_"], state["step_features_"]
        if not all(Count(1, _LIMIT).is_satisfied_by(size) for size in shape):
            raise CorruptFileError(f"a quantized model has windows of the shape {shape!r}.")
        graph, shapes = _inflate_graph(state["graph"]), _shapes(state["weights"])
        weights = 5 * sum(map(_size, shapes.values()))  # as whole numbers, and as floats
        return len(graph) + weights + activations(read_graph(graph), shape, shapes)

    def _open(self):
        """Make the session; the weights become floats here."""
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(), type(self).__name__
        )
        codes = {name: unpack(packed) for name, packed in self._weights.items()}
        self.n_weights_ = int(sum(value.size for value in codes.values()))
        self.n_zeros_ = int(sum(value.size - np.count_nonzero(value) for value in codes.values()))
        session = _session(_with_weights(self._graph, codes), self.n_threads)
        self._rows = _rows_at_once(self._graph, self._weights, self.lookback_, self.step_features_)
        self._session = session


def _rows_at_once(graph, weights, *shape):
    """Rows to predict together; what is said of a row does not depend on it."""
    graph = _inflate_graph(graph)
    try:
        of_row = activations(read_graph(graph), shape, _shapes(weights), of_row=True)
    except CorruptFileError:  # of a network of one's own, whose sizes cannot be told beforehand
        return _FEWEST
    return min(max(_AT_ONCE // max(of_row, 1), _FEWEST), _MOST)


def _shapes(weights):
    return {name: packed["shape"] for name, packed in weights.items()}


def _session(model, n_threads):
    runtime = require("onnxruntime", extra="deploy", caller="QuantizedClassifier")
    options = runtime.SessionOptions()
    threads = min(n_threads, os.cpu_count() or 1)
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    # no other file is read
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", os.path.join(os.devnull, "none")
    )
    try:
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions have no common base
        raise CorruptFileError(
            f"ONNX Runtime {runtime.__version__} cannot open the model: {error}"
        ) from error


def _with_weights(graph, codes):
    """Append weights to a compressed serialized model: protocol buffers merge what is written one
    after the other (field 7 graph, 5 initializer)."""
    return _inflate_graph(graph) + b"".join(
        field(7, field(5, _tensor(name, value))) for name, value in codes.items()
    )


def _inflate_graph(data):
    engine = zlib.decompressobj()
    try:
        graph = engine.decompress(data, min(_LARGEST_GRAPH, 2**20 + _RATIO * len(data)))
    except zlib.error as error:
        raise CorruptFileError(f"the graph of a quantized model is damaged: {error}.") from error
    if not engine.eof:
        raise CorruptFileError(
            "the graph of a quantized model is truncated or larger than a graph may be."
        )
    return graph


def _tensor(name, value):
    dims = b"".join(b"\x08" + varint(size) for size in value.shape)  # field 1
    return dims + b"\x10\x03" + field(8, name.encode()) + field(9, value.tobytes())  # field 2: INT8


def pack(codes):
    """``codes`` (int8, any shape) as a dict of plain values."""
    flat = np.ascontiguousarray(codes, dtype=np.int8).reshape(-1)
    held = flat != 0
    sparse = bool(flat.size) and 1 - held.mean() > _SPARSE
    mask = _squeeze(np.packbits(held).tobytes()) if sparse else b""
    return {
        "shape": list(codes.shape),
        "mask": mask,
        "values": _squeeze((flat[held] if sparse else flat).tobytes()),
    }


def unpack(packed):
    """The int8 array that :func:`pack` was given."""
    shape = tuple(packed["shape"])
    size = _size(shape)
    if not packed["mask"]:
        return np.frombuffer(_inflate(packed["values"], size), dtype=np.int8).reshape(shape)
    held = np.unpackbits(
        np.frombuffer(_inflate(packed["mask"], (size + 7) // 8), dtype=np.uint8), count=size
    ).astype(bool)
    flat = np.zeros(size, dtype=np.int8)
    flat[held] = np.frombuffer(_inflate(packed["values"], int(held.sum())), dtype=np.int8)
    return flat.reshape(shape)


def _size(shape):
    if any(type(length) is not int or length < 0 for length in shape) or math.prod(shape) > _LIMIT:
        raise CorruptFileError(f"a packed weight has the shape {shape!r}.")
    return math.prod(shape)


def _squeeze(data):
    # weights repeat no words, only frequent values
    engine = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    return engine.compress(data) + engine.flush()


def _inflate(data, expected):
    engine = zlib.decompressobj()
    out = engine.decompress(data, expected + 1)
    if len(out) != expected or not engine.eof:
        raise CorruptFileError(
            f"a packed weight does not hold the {expected} bytes its shape asks for."
        )
    return out

"""The five classifiers. All they know of time is in ``_base``."""

from ._base import NetClassifier
from ._modules import GRUModule, LSTMModule, MLPModule, TCNModule, TransformerModule

__all__ = [
    "GRUClassifier", "LSTMClassifier", "MLPNetClassifier", "TCNClassifier", "TransformerClassifier",
]

_EXAMPLE = """

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import {name}
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 5, 2))                      # 300 rows, 5 steps, 2 features
    >>> y = np.where(X[:, -1, 0] > 0, "up", "down")
    >>> net = {name}(max_epochs=30, lr=0.01, random_state=0).fit(X, y)
    >>> net.classes_.tolist(), net.predict_proba(X[:2]).shape
    (['down', 'up'], (2, 2))
    >>> net.score(X, y) > 0.9
    True
    """


def _documented(own):
    """Complete a class's docstring with what all five share."""
    shared = NetClassifier.__doc__ or "\n"  # python -OO drops it

    def complete(cls):
        cls.__doc__ = (
            own.rstrip()
            + "\n"
            + shared.split("\n", 1)[1].rstrip()
            + _EXAMPLE.format(name=cls.__name__)
        )
        return cls

    return complete


@_documented(
    """Gated recurrent units over the steps of each row.

    Network parameters: ``module__hidden_size=32``, ``module__n_layers=1``,
    ``module__dropout=0.1`` (between layers and before the output).
    """
)
class GRUClassifier(NetClassifier):
    _network = GRUModule


@_documented(
    """Long short-term memory over the steps of each row.

    Network parameters: ``module__hidden_size=32``, ``module__n_layers=1``, ``module__dropout=0.1``.
    """
)
class LSTMClassifier(NetClassifier):
    _network = LSTMModule


@_documented(
    """Causal dilated convolutions over the steps of each row.

    Network parameters: ``module__hidden_size=32``, ``module__n_layers=4`` (61 steps back),
    ``module__dropout=0.1``, ``module__kernel_size=3``.
    """
)
class TCNClassifier(NetClassifier):
    _network = TCNModule


@_documented(
    """Pre-norm transformer with a causal mask over the steps of each row.

    Network parameters: ``module__hidden_size=32`` (a multiple of ``module__n_heads=4``),
    ``module__n_layers=2``, ``module__dropout=0.1``, ``module__positions="learned"`` or
    ``"sinusoidal"``.
    """
)
class TransformerClassifier(NetClassifier):
    _network = TransformerModule


@_documented(
    """Fully connected layers over all steps of each row at once.

    Network parameters: ``module__hidden_size=64``, ``module__n_layers=2``, ``module__dropout=0.3``.
    """
)
class MLPNetClassifier(NetClassifier):
    _network = MLPModule

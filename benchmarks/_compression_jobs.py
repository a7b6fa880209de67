"""The job that the benchmarks of compression share: nets of at least a million weights, trained on
the bundled S&P 500 bars until the last block of their training rows gets no better, and asked about
the years that follow."""

import copy
from functools import cache
import warnings

import numpy as np

LOOKBACK, WARM_UP, SHARE, HORIZON = 20, 100, 0.7, 3
NETS = {
    "gru": ("GRUClassifier", {"module__hidden_size": 576}),
    "lstm": ("LSTMClassifier", {"module__hidden_size": 500}),
    "tcn": ("TCNClassifier", {"module__hidden_size": 224}),
    "transformer": ("TransformerClassifier", {"module__hidden_size": 256}),
    "mlp": ("MLPNetClassifier", {"module__hidden_size": 800}),
}
# the best epochs are the first few
STOPPING = {"callbacks__early_stopping__min_epochs": 6, "callbacks__early_stopping__patience": 6}


@cache
def rows(train=None):
    """Training windows and labels, and later ones to test on; three bars between them are purged.
    ``train`` limits the former."""
    from sktrain import AdaptiveLabeler, BarFeatures, SlidingWindow
    from sktrain.datasets import load_sp500

    bars, y = AdaptiveLabeler(horizon=HORIZON, base_threshold=0.01).fit_resample(load_sp500())
    windows = SlidingWindow(lookback=LOOKBACK).fit_transform(BarFeatures().fit_transform(bars))
    y, cut = np.asarray(y), int(SHARE * len(bars))
    first = WARM_UP if train is None else cut - train
    return windows[first:cut], y[first:cut], windows[cut + HORIZON :], y[cut + HORIZON :]


def trained(kind, seed=0, *, train=None, **params):
    """A fitted net; default parameters but for its size and less patience."""
    import sktrain

    name, sizes = NETS[kind]
    X, y, _, _ = rows(train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(sktrain, name)(
            **{"random_state": seed, "horizon": HORIZON, **STOPPING, **sizes, **params}
        ).fit(X, y)


def n_weights(net):
    """Weights of a net."""
    return sum(p.numel() for p in net.module_.parameters())


def pruned(net, sparsity, X=None):
    """A pruned copy."""
    from sktrain import ModelPruner

    net = copy.deepcopy(net)
    ModelPruner(sparsity).prune_model(net, X=X)
    return net

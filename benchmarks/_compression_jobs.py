"""The models that the benchmarks of compression share: nets of at least a million weights, trained briefly on the bundled bars."""

from functools import cache
import warnings

import numpy as np

LOOKBACK, TRAIN, TEST = 20, 300, 600
NETS = {
    "gru": ("GRUClassifier", {"module__hidden_size": 576}),
    "lstm": ("LSTMClassifier", {"module__hidden_size": 500}),
    "tcn": ("TCNClassifier", {"module__hidden_size": 224}),
    "transformer": ("TransformerClassifier", {"module__hidden_size": 256}),
    "mlp": ("MLPNetClassifier", {"module__hidden_size": 800}),
}


@cache
def rows(train=TRAIN):
    """Training windows and labels, and later ones to test on."""
    from sktrain import AdaptiveLabeler, BarFeatures, SlidingWindow
    from sktrain.datasets import load_sp500

    bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.01).fit_resample(load_sp500())
    windows = SlidingWindow(lookback=LOOKBACK).fit_transform(BarFeatures().fit_transform(bars))
    first, cut = 100, 100 + train  # after the warm-up; three bars are purged
    later = slice(cut + 3, cut + 3 + TEST)
    y = np.asarray(y)
    return windows[first:cut], y[first:cut], windows[later], y[later]


def trained(kind, seed=0, epochs=3, train=TRAIN, **params):
    """A fitted net."""
    import sktrain

    name, sizes = NETS[kind]
    X, y, _, _ = rows(train)
    given = {"max_epochs": epochs, "lr": 5e-4, "batch_size": 64, "random_state": seed, "train_split": None, **sizes, **params}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(sktrain, name)(**given).fit(X, y)


def n_weights(net):
    """Weights of a net."""
    return sum(p.numel() for p in net.module_.parameters())

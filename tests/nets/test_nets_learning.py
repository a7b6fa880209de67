"""What plain torch learns with the same settings, the nets learn: a class decided long before the
last step."""

import numpy as np
import pytest
from skorch.callbacks import Callback

import sktrain

NAMES = (
    "MLPNetClassifier", "GRUClassifier", "LSTMClassifier", "TCNClassifier", "TransformerClassifier",
)
SEEDS, STEPS = 10, 24


def pulses(n, seed):
    """A pulse 18 to 20 steps before the end, up or down; all else is noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    X = rng.normal(size=(n, STEPS, 3)) / 2
    X[np.arange(n), STEPS - rng.integers(18, 21, n), 0] += np.where(y, 2.0, -2.0)
    return X.astype(np.float32), y


class Enough(Callback):
    """Ends training once the point is made, to spare time."""

    def on_epoch_end(self, net, **kwargs):
        if net.history[-1]["valid_acc"] >= 0.97:
            net.request_stop("stop_flag")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_class_decided_long_before_the_end_is_learned(name):
    T, t = pulses(1000, seed=1000)
    reached = []
    for seed in range(SEEDS):
        net = getattr(sktrain, name)(
            max_epochs=40, lr=0.003, batch_size=64, horizon=0,
            callbacks=[("enough", Enough())],
            random_state=seed,
        )
        reached.append(net.fit(*pulses(2400, seed)).score(T, t))
        missed = sum(score < 0.95 for score in reached)
        if missed > 1:
            break
    assert missed <= 1, reached

"""Five small fitted nets with unusual labels, and rows they were not trained on."""

import numpy as np
import pytest

KINDS = (
    "MLPNetClassifier", "GRUClassifier", "LSTMClassifier", "TCNClassifier", "TransformerClassifier",
)


@pytest.fixture(scope="session")
def windows():
    """600 rows of 12 steps and 4 features; labels are decided by the last two steps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 12, 4))
    y = np.where(X[:, -1, 0] > 0.4, "up", np.where(X[:, -2, 1] < -0.4, "down", "flat"))
    return X, y


@pytest.fixture(scope="session")
def smooth_windows():
    """800 rows of 12 steps and 4 features that move slowly and together, as those of markets do."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(811, 3)) @ rng.normal(size=(3, 4)) + 0.2 * rng.normal(size=(811, 4))
    for t in range(1, len(steps)):
        steps[t] += 0.9 * steps[t - 1]
    X = np.lib.stride_tricks.sliding_window_view(steps, 12, axis=0).transpose(0, 2, 1)
    return X, np.where(X[:, -1, 0] > 1, "up", np.where(X[:, -2, 1] < -1, "down", "flat"))


@pytest.fixture(scope="session")
def nets(windows):
    """Each kind of net, trained for a few epochs on 300 rows."""
    return trained(windows)


@pytest.fixture(scope="session")
def smooth_nets(smooth_windows):
    """The same, wider, on 300 rows that move slowly."""
    return trained(smooth_windows, hidden_size=64)


@pytest.fixture(scope="session")
def smooth_trios(smooth_windows, smooth_nets):
    """Three of each: what rounding costs a single net is mostly chance."""
    return [smooth_nets, *(trained(smooth_windows, hidden_size=64, seed=seed) for seed in (1, 2))]


def trained(rows, hidden_size=32, seed=0):
    """A fitted net of each kind."""
    import sktrain

    X, y = rows
    made = {}
    for kind in KINDS:
        net = getattr(sktrain, kind)(
            max_epochs=4, lr=0.01, random_state=seed, module__hidden_size=hidden_size,
            module__n_layers=2,
        )
        made[kind] = net.fit(X[:300], y[:300])
    return made


@pytest.fixture(scope="session")
def quantized(nets):
    """The same nets with eight-bit weights."""
    from sktrain import ModelQuantizer

    return {kind: ModelQuantizer().quantize_model(net) for kind, net in nets.items()}


@pytest.fixture(params=KINDS)
def kind(request):
    """Name of a net."""
    return request.param

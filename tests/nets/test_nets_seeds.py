"""A seed decides a training: in threads, in fresh processes, inside a deterministic context; the
caller's generators stay."""

import copy
import pickle
import random
import subprocess
import sys

from joblib import Parallel, delayed
import numpy as np
import pytest
from sklearn.base import clone
import torch

import sktrain
from sktrain import DeterministicTrainingConfig, GRUClassifier, LSTMClassifier, MLPNetClassifier
from sktrain.nets._modules import GRUModule, LSTMModule

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4, 2)).astype(np.float32)
Y = (X[:, -1, 0] > 0).astype(int)


def trained(seed):
    return MLPNetClassifier(max_epochs=4, random_state=seed).fit(X, Y).predict_proba(X)


def states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


def test_seeds_hold_in_threads_and_the_callers_generators_stay():
    before = states()
    alone = [trained(seed) for seed in range(4)]
    together = Parallel(n_jobs=4, backend="threading")(
        delayed(trained)(seed) for seed in [*range(4), *range(4)]
    )
    for seed, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[seed % 4])
    assert states() == before


def test_a_deterministic_context_reaches_nets_without_a_seed():
    def twice():
        with DeterministicTrainingConfig(enabled=True, seed=42):
            return trained(None), trained(None)

    first, second = twice()
    again = twice()
    np.testing.assert_array_equal(first, again[0])
    np.testing.assert_array_equal(second, again[1])
    assert abs(first - second).max() > 0
    with DeterministicTrainingConfig(enabled=True, seed=42):
        with DeterministicTrainingConfig(enabled=True, seed=1):
            other = trained(None)
        # the inner context leaves the outer where it was
        np.testing.assert_array_equal(trained(None), first)
    assert abs(other - first).max() > 0
    assert abs(trained(None) - trained(None)).max() > 0


@pytest.mark.slow
def test_a_deterministic_context_agrees_between_fresh_processes():
    code = """
import hashlib, numpy as np
from sktrain import DeterministicTrainingConfig, GRUClassifier
X = np.random.default_rng(0).normal(size=(200, 4, 2))
with DeterministicTrainingConfig(enabled=True, seed=42):
    p = GRUClassifier(max_epochs=2).fit(X, X[:, -1, 0] > 0).predict_proba(X)
print(hashlib.sha256(p.tobytes()).hexdigest())
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 65


@pytest.mark.parametrize("module", [GRUModule, LSTMModule])
def test_recurrent_networks_start_as_keras_lets_them(module):
    torch.manual_seed(0)
    for layer in module(5, 3, 2, hidden_size=8, n_layers=2).layers:
        recurrent, size = layer.weight_hh_l0.detach(), 8
        torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(size), atol=1e-5, rtol=0)
        limit = np.sqrt(6 / sum(layer.weight_ih_l0.shape))
        assert 0.8 * limit < layer.weight_ih_l0.abs().max() <= limit
        bias = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().split(size)
        assert [float(gate.mean()) for gate in bias] == (
            [0, 1, 0, 0] if module is LSTMModule else [0, 0, 0]
        )
        assert all(float(gate.std()) == 0 for gate in bias)


def test_recurrent_nets_repeat():
    for Net in (GRUClassifier, LSTMClassifier):
        found = [Net(max_epochs=2, random_state=3).fit(X, Y).predict_proba(X) for _ in range(2)]
        np.testing.assert_array_equal(*found)


def test_saving_opening_and_predicting_leave_the_callers_generators(tmp_path):
    net = MLPNetClassifier(max_epochs=2, random_state=0).fit(X, Y)
    before = states()
    expected = net.predict_proba(X)
    sktrain.save(net, tmp_path / "net.sktrain")
    opened = sktrain.load(tmp_path / "net.sktrain")
    np.testing.assert_array_equal(opened.predict_proba(X), expected)
    opened.partial_fit(X[:100], Y[:100])
    for other in (pickle.loads(pickle.dumps(opened)), clone(opened).fit(X, Y), copy.deepcopy(net)):
        other.predict(X)
    assert states() == before


def test_updates_in_threads_are_those_of_one_thread():
    nets = [MLPNetClassifier(max_epochs=3, random_state=s).fit(X[:200], Y[:200]) for s in (0, 1)]

    def updated(net):
        return copy.deepcopy(net).partial_fit(X[200:], Y[200:]).predict_proba(X)

    alone = [updated(net) for net in nets]
    together = Parallel(n_jobs=4, backend="threading")(delayed(updated)(net) for net in nets * 2)
    for k, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[k % 2])


@pytest.mark.slow
def test_seeds_hold_on_workers_of_dask_with_threads():
    distributed = pytest.importorskip("distributed")
    before = states()
    alone = [trained(seed) for seed in range(3)]
    options = {
        "processes": False,
        "n_workers": 1,
        "threads_per_worker": 2,
        "dashboard_address": None,
    }
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        together = client.gather(client.map(trained, [0, 1, 2, 0, 1, 2], pure=False))
    for k, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[k % 3])
    assert states()[1:] == before[1:]  # Dask itself draws from Python's generator

"""How many weights each layer gives, against sorting by hand where layers are added, and against
every split of a small network."""

import copy

import numpy as np
import pytest
import torch

from sktrain import ModelPruner
from sktrain.compression._calibration import answers, keep_mask, layer_inputs, refit
from sktrain.compression._pruner import bake, prune_weights, rows_seen
from sktrain.exceptions import SktrainError


class Sum(torch.nn.Module):
    """Two layers side by side, one heard thirty times better."""

    def __init__(self, n=200):
        super().__init__()
        self.loud, self.quiet = torch.nn.Linear(n, 1), torch.nn.Linear(n, 1)

    def forward(self, X):
        return 3.0 * self.loud(X[:, -1]) + 0.1 * self.quiet(X[:, -1])


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 9), torch.nn.Linear(9, 3)
        self.second.weight.data *= 4

    def forward(self, X):
        return self.second(torch.tanh(self.first(X[:, -1])))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Small()


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(300, 1, 8)).astype(np.float32)


def zeros(network):
    return {name: int((weight == 0).sum()) for name, weight in bake(network).items()}


def moved(network, reference, rows):
    """Mean squared change of the scores, what they share taken off."""
    with torch.no_grad():
        change = (network(torch.from_numpy(rows)) - reference(torch.from_numpy(rows))).double()
    return float((change - change.mean(1, keepdim=True)).square().sum(1).mean())


@pytest.mark.parametrize("target", [0.2, 0.5, 0.7])
def test_with_inputs_alike_and_apart_the_weights_that_are_heard_least_go(target):
    torch.manual_seed(1)
    network = Sum()
    heard = (
        torch.cat([3.0 * network.loud.weight.detach(), 0.1 * network.quiet.weight.detach()])
        .abs()
        .numpy()
    )
    wanted = int(round(target * heard.size))
    expected = heard.ravel() > np.sort(heard.ravel())[wanted - 1]
    ModelPruner(target, sensitivity=1.0).prune_model(
        network, X=np.eye(200, dtype=np.float32)[:, None]
    )
    found = torch.cat([network.loud.weight, network.quiet.weight]).detach().numpy().ravel() != 0
    assert np.array_equal(found, expected)


def test_the_split_is_near_the_best_of_all(network, rows):
    wanted, best = int(round(0.5 * (72 + 27))), np.inf
    windows = [(torch.from_numpy(rows), None)]
    moments = layer_inputs(network, windows)
    for first in range(wanted - 27, wanted + 1):
        other = copy.deepcopy(network)
        for (name, weight), count in zip(bake(other).items(), (first, wanted - first)):
            refit(weight, keep_mask(weight, count, moments[name]), moments[name])
        best = min(best, moved(other, network, rows))
    measured, by_size = copy.deepcopy(network), copy.deepcopy(network)
    prune_weights(bake(measured), 0.5, "global", 1.0, *rows_seen(measured, windows))
    prune_weights(bake(by_size), 0.5, "global", 1.0, moments)
    assert sum(zeros(measured).values()) == sum(zeros(by_size).values()) == wanted
    assert moved(measured, network, rows) <= 1.25 * best
    assert moved(measured, network, rows) < 0.8 * moved(by_size, network, rows)


def test_a_strict_guard_leaves_every_layer_its_even_share(network, rows):
    even = copy.deepcopy(network)
    ModelPruner(0.4, sensitivity=0.0).prune_model(network, X=rows)
    ModelPruner(0.4, scope="layer").prune_model(even, X=rows)
    assert zeros(network) == zeros(even)


def test_trying_leaves_no_trace(network, rows):
    before = copy.deepcopy(network.state_dict())
    assert ModelPruner(0.0).prune_model(network, X=rows) == 0.0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_failure_while_trying_puts_the_layer_back(network, rows):
    windows = [(torch.from_numpy(rows), None)]
    before, calls = copy.deepcopy(network.state_dict()), []

    def answer():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return answers(network, windows)

    with pytest.raises(KeyboardInterrupt):
        prune_weights(bake(network), 0.5, "global", 0.1, layer_inputs(network, windows), answer)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_rows_that_do_not_count_have_no_say(network, rows):
    loud = np.concatenate([rows, 100 * rows[:, :, ::-1]])
    other = copy.deepcopy(network)
    ModelPruner(0.6).prune_model(network, X=rows)
    ModelPruner(0.6).prune_model(other, X=loud, sample_weight=np.repeat([1.0, 0.0], len(rows)))
    assert zeros(network) == zeros(other)
    assert torch.allclose(network.first.weight, other.first.weight, atol=1e-6)


def test_answers_are_centred_and_weighted(network, rows):
    windows = [
        (torch.from_numpy(part), torch.full((len(part),), weight))
        for part, weight in ((rows[:100], 1.0), (rows[100:], 3.0))
    ]
    scores, share = answers(network, windows)
    with torch.no_grad():
        plain = network(torch.from_numpy(rows)).double()
    assert torch.allclose(scores, plain - plain.mean(1, keepdim=True))
    assert np.allclose(share, np.repeat([1 / 700, 3 / 700], [100, 200]))
    assert network.training


def test_a_network_without_scores_is_named_and_stays_as_it_was(network, rows):
    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network

        def forward(self, X):
            return {"scores": self.inner(X)}

    before = copy.deepcopy(network.state_dict())
    with pytest.raises(SktrainError, match="Named returns dict"):
        ModelPruner().prune_model(Named(), X=rows)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

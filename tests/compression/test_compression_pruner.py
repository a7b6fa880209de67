"""Pruning against a sorted list, the cubic schedule's printed values, the guard, and what must
survive: copies, pickles, training."""

import copy
import pickle

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
import torch
from torch.nn.utils import prune

from sktrain import FocalLoss, MLPNetClassifier, ModelPruner, SlidingWindow
from sktrain.compression import cubic_sparsity
from sktrain.exceptions import SktrainError


def network(seed=0, sizes=(20, 30, 10, 3)):
    torch.manual_seed(seed)
    layers = [torch.nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])]
    return torch.nn.Sequential(*layers)


def matrices(module):
    return [w.detach().numpy() for w in module.parameters() if w.ndim > 1]


@pytest.mark.parametrize(
    "t, expected", [(-1, 0), (0, 0), (0.25, 0.4625), (0.5, 0.7), (0.75, 0.7875), (1, 0.8), (2, 0.8)]
)
def test_the_cubic_schedule(t, expected):
    assert cubic_sparsity(t, 0.8) == pytest.approx(expected, abs=1e-12)


def test_the_cubic_schedule_from_a_sparse_start():
    assert cubic_sparsity(0.5, 0.8, 0.4) == pytest.approx(0.75)


@given(st.floats(0, 0.99), st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_global_pruning_takes_the_smallest_of_all(target, seed):
    module = network(seed)
    before = np.concatenate([w.ravel() for w in matrices(module)])
    reached = ModelPruner(target, sensitivity=1.0).prune_model(module)
    after = np.concatenate([w.ravel() for w in matrices(module)])
    count = round(target * before.size)
    assert reached == pytest.approx(count / before.size, abs=1e-12)
    gone = after == 0
    assert gone.sum() == count
    np.testing.assert_array_equal(after[~gone], before[~gone])
    if 0 < count < before.size:
        assert np.abs(before[gone]).max() <= np.abs(before[~gone]).min()


def test_layer_pruning_takes_the_same_share_of_each():
    module = network()
    before = [w.copy() for w in matrices(module)]
    assert ModelPruner(0.5, scope="layer").prune_model(module) == pytest.approx(0.5)
    for old, new in zip(before, matrices(module)):
        assert (new == 0).mean() == 0.5
        assert np.abs(old[new == 0]).max() <= np.abs(old[new != 0]).min()


def test_biases_and_norms_are_left_alone_and_zeros_are_positive():
    module = torch.nn.Sequential(
        torch.nn.Linear(9, 9), torch.nn.LayerNorm(9), torch.nn.Embedding(5, 9)
    )
    kept = {name: w.detach().clone() for name, w in module.named_parameters() if name != "0.weight"}
    ModelPruner(0.9).prune_model(module)
    for name, old in kept.items():
        assert torch.equal(dict(module.named_parameters())[name], old)
    weight = module[0].weight.detach().numpy()
    assert not np.signbit(weight[weight == 0]).any()


def test_the_guard_spares_a_layer_of_small_weights_and_the_target_still_holds():
    quiet = network()
    with torch.no_grad():
        quiet[1].weight.mul_(0.01)  # global magnitude alone would wipe this layer out
    blind, guarded = copy.deepcopy(quiet), copy.deepcopy(quiet)
    x = torch.randn(4000, 30)
    assert ModelPruner(0.5, sensitivity=1.0).prune_model(blind) == pytest.approx(0.5, abs=1e-3)
    pruner = ModelPruner(0.5, sensitivity=0.1)
    assert pruner.prune_model(guarded) == pytest.approx(0.5, abs=1e-3)
    assert (blind[1].weight == 0).all()
    assert [layer.name for layer in pruner.layers_] == ["0.weight", "1.weight", "2.weight"]
    assert 0.5 <= pruner.layers_[1].sparsity < 0.8

    def signal_kept(module):
        with torch.no_grad():
            old, new = x @ quiet[1].weight.T, x @ module[1].weight.T
        return float((old * new).sum() / (old.norm() * new.norm()))

    even = copy.deepcopy(quiet)
    ModelPruner(0.5, scope="layer").prune_model(even)
    # the promise, measured on white noise
    assert signal_kept(guarded) > signal_kept(even) - 0.1 - 0.03


def test_no_guard_and_full_guard_are_the_two_ends():
    module = network()
    even, strict = copy.deepcopy(module), copy.deepcopy(module)
    ModelPruner(0.6, scope="layer").prune_model(even)
    ModelPruner(0.6, sensitivity=0.0).prune_model(strict)
    for a, b in zip(matrices(even), matrices(strict)):
        assert abs((a == 0).mean() - (b == 0).mean()) < 0.01


def test_pruning_again_goes_on_from_where_it_was():
    once, twice = network(), network()
    ModelPruner(0.8, scope="layer").prune_model(once)
    ModelPruner(0.4, scope="layer").prune_model(twice)
    ModelPruner(0.8, scope="layer").prune_model(twice)
    for a, b in zip(matrices(once), matrices(twice)):
        np.testing.assert_array_equal(a, b)
    # zeros are not brought back
    assert ModelPruner(0.1, scope="layer").prune_model(twice) == pytest.approx(0.8)


def test_masks_of_torch_are_baked_in_and_nothing_is_left_behind():
    module = network()
    prune.l1_unstructured(module[0], "weight", 0.3)
    reached = ModelPruner(0.5).prune_model(module)
    assert reached == pytest.approx(0.5, abs=1e-3)
    assert not [name for name, _ in module.named_buffers()]
    assert all(type(p) is torch.nn.Parameter and p.requires_grad for p in module.parameters())
    for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        for a, b in zip(matrices(module), matrices(copied)):
            np.testing.assert_array_equal(a, b)


def test_a_pruned_net_copies_clones_pickles_and_trains_on(kind, nets, windows):
    X, y = windows
    net = copy.deepcopy(nets[kind])
    assert ModelPruner().prune_model(net, target_sparsity=0.7) == pytest.approx(0.7, abs=0.01)
    expected = net.predict_proba(X)
    for one in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(one.predict_proba(X), expected)
    clone(net)
    net.partial_fit(X[:100], y[:100])
    assert np.isfinite(net.predict_proba(X)).all()


def test_pipelines_and_ensembles_are_pruned_net_by_net():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    members = [
        (name, MLPNetClassifier(max_epochs=1, random_state=seed)) for seed, name in enumerate("ab")
    ]
    model = Pipeline(
        [("window", SlidingWindow(lookback=3)), ("net", VotingClassifier(members, voting="soft"))]
    ).fit(X, X[:, 0] > 0)
    pruner = ModelPruner(0.6)
    assert pruner.prune_model(model) == pytest.approx(0.6, abs=1e-3)
    assert len(pruner.layers_) == 6
    for net in model[-1].estimators_:
        zeros = sum(int((w == 0).sum()) for w in net.module_.parameters() if w.ndim > 1)
        total = sum(w.numel() for w in net.module_.parameters() if w.ndim > 1)
        assert zeros / total == pytest.approx(0.6, abs=1e-3)


@pytest.mark.parametrize("target", [-0.1, 1, 1.0, 1.5, float("nan"), True, "0.5"])
def test_targets_outside_the_range_are_refused_and_nothing_changes(target):
    module = network()
    before = [w.copy() for w in matrices(module)]
    for call in (
        lambda: ModelPruner().prune_model(module, target_sparsity=target),
        lambda: ModelPruner(target).prune_model(module),
    ):
        with pytest.raises(ValueError, match="target_sparsity"):
            call()
    for a, b in zip(before, matrices(module)):
        np.testing.assert_array_equal(a, b)


def test_what_cannot_be_pruned_is_refused(nets):
    with pytest.raises(NotFittedError):
        ModelPruner().prune_model(clone(nets["GRUClassifier"]))
    with pytest.raises(SktrainError, match="no weight matrix"):
        ModelPruner().prune_model(FocalLoss())
    for params in ({"scope": "row"}, {"sensitivity": 2}, {"sensitivity": True}):
        with pytest.raises(ValueError, match=next(iter(params))):
            ModelPruner(**params).prune_model(network())

"""Narrowed nets against full ones whose weakest units were silenced by hand, widths against a
search that builds every network."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
import torch
from torch.utils.flop_counter import FlopCounterMode

import sktrain
from sktrain import (
    MLPNetClassifier,
    ModelPruner,
    ModelQuantizer,
    SlidingWindow,
    TCNClassifier,
    TransformerClassifier,
)
from sktrain.exceptions import SktrainError
from sktrain.nets._modules import Standardize, TransformerModule

OPTIONS = [
    ("MLPNetClassifier", {}),
    ("GRUClassifier", {}),
    ("LSTMClassifier", {"module__n_layers": 1}),
    ("TCNClassifier", {"module__kernel_size": 2}),
    # as wide as its input: the first skip has no weights
    ("TCNClassifier", {"module__hidden_size": 4}),
    ("TransformerClassifier", {"module__n_heads": 2, "module__positions": "sinusoidal"}),
    ("TransformerClassifier", {}),
]


def fitted(kind, windows, **params):
    X, y = windows
    params = {"module__hidden_size": 24, "module__n_layers": 2, **params}
    return getattr(sktrain, kind)(max_epochs=3, lr=0.01, random_state=0, **params).fit(
        X[:300], y[:300]
    )


def n_weights(module):
    return sum(w.numel() for w in module.parameters() if w.ndim > 1)


def energy(state, name, axis, places):
    return sum(
        float((np.take(state[name].double().numpy(), place, axis) ** 2).sum()) for place in places
    )


def weakest(state, around, size, width):
    """Units with the least energy in the weights around them: (name, axis, how often the units
    stand along it)."""
    strength = [
        sum(
            energy(state, name, axis, [unit + k * size for k in range(times)])
            for name, axis, times in around
        )
        for unit in range(size)
    ]
    return np.argsort(-np.array(strength), kind="stable")[width:]


def stacked_silenced(net, width):
    """MLP, GRU, LSTM: nothing reads the weakest units of a layer any more."""
    net = copy.deepcopy(net)
    module, state = net.module_, net.module_.state_dict()
    size, n_layers = module.hidden_size, len(module.layers)
    gates = {"MLPModule": 1, "GRUModule": 3, "LSTMModule": 4}[type(module).__name__]
    matrix, recurrent = ("weight", []) if gates == 1 else ("weight_ih_l0", ["weight_hh_l0"])
    silent = []
    for i in range(n_layers):
        own = [f"layers.{i}.{name}" for name in [matrix, *recurrent]]
        readers = [
            f"layers.{i + 1}.{matrix}" if i + 1 < n_layers else "head.weight",
            *(f"layers.{i}.{name}" for name in recurrent),
        ]
        gone = weakest(
            state,
            [*((name, 0, gates) for name in own), *((name, 1, 1) for name in readers)],
            size,
            width,
        )
        silent += [(name, gone) for name in readers]
    for name, gone in silent:
        state[name][:, gone] = 0
    return net


def tcn_silenced(net, width):
    """TCN: nothing reads the weakest channels of the stream, nor the weakest inside each block."""
    net = copy.deepcopy(net)
    module, state = net.module_, net.module_.state_dict()
    size, n_blocks = module.hidden_size, len(module.blocks)
    writers = [(f"blocks.{i}.second.weight", 0, 1) for i in range(n_blocks)]
    writers += [("blocks.0.skip.weight", 0, 1)] if "blocks.0.skip.weight" in state else []
    readers = [*(f"blocks.{i}.first.weight" for i in range(1, n_blocks)), "head.weight"]
    gone = weakest(state, [*writers, *((name, 1, 1) for name in readers)], size, width)
    silent = [(name, gone) for name in readers]
    for i in range(n_blocks):
        inside = weakest(
            state,
            [(f"blocks.{i}.first.weight", 0, 1), (f"blocks.{i}.second.weight", 1, 1)],
            size,
            width,
        )
        silent.append((f"blocks.{i}.second.weight", inside))
    for name, gone in silent:
        state[name][:, gone] = 0
    return net


@pytest.mark.parametrize(
    "kind, params", [one for one in OPTIONS if "Transformer" not in one[0]], ids=str
)
@pytest.mark.parametrize("target", [0.3, 0.6])
def test_the_narrow_net_is_the_full_one_with_silent_units(kind, params, target, windows):
    X = windows[0]
    net = fitted(kind, windows, **params)
    full, before = copy.deepcopy(net), net.predict_proba(X)
    ModelPruner(target, structured=True).prune_model(net)
    silenced = tcn_silenced if kind == "TCNClassifier" else stacked_silenced
    np.testing.assert_allclose(
        net.predict_proba(X), silenced(full, net.module_.hidden_size).predict_proba(X), atol=1e-6
    )
    assert np.abs(net.predict_proba(X) - before).max() > 1e-3


def half_empty(positions, seed=0, size=24, n_heads=3):
    """A transformer half of whose channels, dimensions and hidden units, at random places, carry
    nothing; the others have mean zero."""
    torch.manual_seed(seed)
    module = TransformerModule(4, 12, 3, size, 2, 0.0, n_heads, positions).double()
    rng, state, per_head = np.random.default_rng(seed), module.state_dict(), size // n_heads
    dead = rng.permutation(size)[: size // 2]
    alive = np.setdiff1d(np.arange(size), dead)

    def write(name, axis):
        value = state[name].movedim(axis, 0)
        value[dead] = 0
        value[alive] -= value[alive].mean(0)

    for name in (
        "embed",
        *(f"blocks.{i}.{one}" for i in range(2) for one in ("project", "narrow")),
    ):
        write(f"{name}.weight", 0)
        write(f"{name}.bias", 0)
    write("positions", 1)
    for i in range(2):
        in_heads = [
            np.concatenate(
                [
                    rng.permutation(per_head)[: per_head // 2] + head * per_head
                    for head in range(n_heads)
                ]
            )
            for _ in range(2)
        ]
        wide = rng.permutation(2 * size)[:size]
        key_value = np.concatenate([in_heads[0], in_heads[1] + size])
        for name, rows in (("query", in_heads[0]), ("key_value", key_value), ("widen", wide)):
            state[f"blocks.{i}.{name}.weight"][rows] = 0
            state[f"blocks.{i}.{name}.bias"][rows] = 0
            state[f"blocks.{i}.{name}.weight"][:, dead] = 0
        state[f"blocks.{i}.project.weight"][:, in_heads[1]] = 0
        state[f"blocks.{i}.narrow.weight"][:, wide] = 0
    for name in (
        "norm",
        *(f"blocks.{i}.norm_{one}" for i in range(2) for one in ("attention", "mlp")),
    ):
        state[f"{name}.weight"][:] = torch.from_numpy(rng.uniform(0.5, 2, size))
        state[f"{name}.bias"][:] = torch.from_numpy(rng.normal(size=size))
    state["head.weight"][:, dead] = 0
    return module


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_a_transformer_that_uses_half_its_units_is_the_same_without_the_others(positions, windows):
    net = fitted("TransformerClassifier", windows, module__n_heads=3, module__positions=positions)
    net.module_ = full = half_empty(positions).eval()
    target = 1 - n_weights(TransformerModule(4, 12, 3, 12, 2, 0.0, 3, positions)) / n_weights(full)
    ModelPruner(target, structured=True).prune_model(net)
    narrow = net.module_
    assert (narrow.hidden_size, narrow.n_heads, narrow.kind, tuple(narrow.positions.shape)) == (
        12,
        3,
        positions,
        (12, 12),
    )
    for module in (full, narrow):
        for layer in module.modules():
            if isinstance(layer, torch.nn.LayerNorm):
                layer.eps = 1e-30
    X = torch.from_numpy(windows[0][:200])
    with torch.no_grad():
        torch.testing.assert_close(narrow(X), full(X), atol=1e-9, rtol=1e-9)


def test_the_temperature_stays_that_of_the_dimensions_before(windows):
    net = fitted("TransformerClassifier", windows)
    old = net.module_.state_dict()
    ModelPruner(0.5, structured=True).prune_model(net)
    new, width = net.module_.state_dict(), net.module_.hidden_size
    for i in range(2):
        biases = (
            old[f"blocks.{i}.query.bias"].numpy(),
            new[f"blocks.{i}.query.bias"].numpy() * np.sqrt(24 / width),
        )
        for head in range(4):
            before, after = (values.reshape(4, -1)[head] for values in biases)
            places = [int(np.abs(before - value).argmin()) for value in after]
            assert places == sorted(set(places))
            np.testing.assert_allclose(before[places], after, rtol=1e-5)
            wide, thin = (
                state[f"blocks.{i}.key_value.bias"].numpy().reshape(8, -1)[head]
                for state in (old, new)
            )
            np.testing.assert_array_equal(wide[places], thin)


def test_positions_that_are_the_same_at_every_step_save_no_channel(windows):
    net = fitted("TransformerClassifier", windows)
    shifted = copy.deepcopy(net)
    with torch.no_grad():
        shifted.module_.positions += 5 * torch.randn(24, generator=torch.Generator().manual_seed(0))
    for one in (net, shifted):
        ModelPruner(0.5, structured=True).prune_model(one)
    assert torch.equal(net.module_.embed.weight, shifted.module_.embed.weight)


@pytest.mark.parametrize("kind, params", OPTIONS, ids=str)
def test_the_width_is_the_best_there_is(kind, params, windows):
    net = fitted(kind, windows, **params)
    module, full = net.module_, n_weights(net.module_)
    sizes = {}
    options = {
        "n_layers": 2,
        **{
            key.removeprefix("module__"): value
            for key, value in params.items()
            if key != "module__hidden_size"
        },
    }
    for width in range(1, module.hidden_size):
        if width % getattr(module, "n_heads", 1) == 0 and (kind != "TCNClassifier" or width != 4):
            sizes[width] = n_weights(type(module)(4, 12, 3, width, **options))
    sizes[module.hidden_size] = full
    for target in (*np.linspace(0, 0.95, 20).tolist(), 0.96, 0.99):
        one = copy.deepcopy(net)
        reached = ModelPruner(structured=True).prune_model(one, target_sparsity=target)
        best = min(sizes.values(), key=lambda size: abs(size - (1 - target) * full))
        assert reached == pytest.approx(1 - n_weights(one.module_) / full, abs=1e-12)
        assert n_weights(one.module_) == best
        if module.hidden_size == 24 and target <= 0.9:
            assert abs(reached - target) < 0.05 * getattr(module, "n_heads", 1)
        if target == 0:
            assert all(
                torch.equal(a, b)
                for a, b in zip(one.module_.state_dict().values(), module.state_dict().values())
            )


@pytest.mark.parametrize("kind, params", OPTIONS, ids=str)
def test_a_narrow_net_lives_on(kind, params, windows, tmp_path):
    X, y = windows
    net = fitted(kind, windows, **params)
    loaded = sktrain.load(sktrain.save(net, tmp_path / "full.sktrain"))
    state = torch.get_rng_state()
    ModelPruner(0.5, structured=True).prune_model(net)
    assert torch.equal(state, torch.get_rng_state())
    ModelPruner(0.5, structured=True).prune_model(loaded)
    width, expected = net.module_.hidden_size, net.predict_proba(X)
    assert net.get_params()["module__hidden_size"] == width < params.get("module__hidden_size", 24)
    for attribute, name in (
        ("kernel_size", "kernel_size"),
        ("n_heads", "n_heads"),
        ("kind", "positions"),
    ):
        if f"module__{name}" in params:
            assert getattr(net.module_, attribute) == params[f"module__{name}"]
    saved = sktrain.load(sktrain.save(net, tmp_path / "m.sktrain"))
    for one in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), saved, loaded):
        np.testing.assert_allclose(one.predict_proba(X), expected, atol=1e-7)
    assert np.abs(ModelQuantizer().quantize_model(net).predict_proba(X) - expected).max() < 0.03
    for one in (net, saved, loaded):
        assert one.partial_fit(X[:300], y[:300]).module_.hidden_size == width
        assert one.score(X[:300], y[:300]) > 0.4
    assert clone(net).fit(X[:300], y[:300]).module_.hidden_size == width
    assert net.fit(X[:300], y[:300]).module_.hidden_size == width


def test_an_optimizer_holds_the_weights_there_are(windows):
    net = fitted("TCNClassifier", windows)
    ModelPruner(0.5, structured=True).prune_model(net)
    held = {id(weight) for group in net.optimizer_.param_groups for weight in group["params"]}
    assert held == {id(weight) for weight in net.module_.parameters()}


def test_falling_dropout_is_where_it_was(windows):
    net = fitted("TCNClassifier", windows, module__dropout=0.4)
    rates = [layer.current_p for layer in net.module_.modules() if hasattr(layer, "current_p")]
    assert set(rates) != {0.4}
    ModelPruner(0.5, structured=True).prune_model(net)
    assert [
        layer.current_p for layer in net.module_.modules() if hasattr(layer, "current_p")
    ] == rates


@pytest.mark.parametrize("kind", ["MLPNetClassifier", "TCNClassifier", "TransformerClassifier"])
def test_dense_arithmetic_becomes_less(kind, windows):
    net = fitted(kind, windows)

    def work():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net.module_(torch.from_numpy(windows[0][:1]).float())
        return counter.get_total_flops()

    before, parameters = work(), sum(w.numel() for w in net.module_.parameters())
    reached = ModelPruner(0.7, structured=True).prune_model(net)
    assert work() < (1 - reached + 0.15) * before
    assert sum(w.numel() for w in net.module_.parameters()) < (1 - reached + 0.1) * parameters


def test_pipelines_and_votes_are_narrowed_net_by_net():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    members = [
        ("a", TCNClassifier(max_epochs=1, random_state=0)),
        ("b", TransformerClassifier(max_epochs=1, random_state=0)),
    ]
    model = Pipeline(
        [("window", SlidingWindow(lookback=3)), ("net", VotingClassifier(members, voting="soft"))]
    ).fit(X, X[:, 0] > 0)
    before = sum(n_weights(net.module_) for net in model[-1].estimators_)
    pruner = ModelPruner(0.5, structured=True)
    reached = pruner.prune_model(model)
    assert reached == pytest.approx(
        1 - sum(n_weights(net.module_) for net in model[-1].estimators_) / before
    )
    assert abs(reached - 0.5) < 0.08
    assert pruner.layers_ == []
    assert np.isfinite(model.predict_proba(X)).all()


class Own(torch.nn.Module):
    """A network of the user's own."""

    def __init__(self, n_features, n_steps, n_classes):
        super().__init__()
        self.standardize, self.mix = (
            Standardize(n_features),
            torch.nn.Linear(n_features * n_steps, n_classes),
        )

    def forward(self, X):
        return self.mix(self.standardize(X).flatten(1))


def test_what_cannot_be_narrowed_is_named_and_nothing_changes(windows):
    X, y = windows
    pruner = ModelPruner(structured=True)
    members = [
        (name, MLPNetClassifier(module=module, max_epochs=1, random_state=0))
        for name, module in (("a", None), ("b", Own))
    ]
    vote = VotingClassifier(members, voting="soft").fit(X[:300, -1], y[:300])
    known = vote.estimators_[0].module_
    with pytest.raises(SktrainError, match="not Own"):
        pruner.prune_model(vote)
    assert vote.estimators_[0].module_ is known
    with pytest.raises(SktrainError, match="bare Modules"):
        pruner.prune_model(known)
    with pytest.raises(NotFittedError):
        pruner.prune_model(TCNClassifier())
    for target in (1.0, -0.1, True, float("nan")):
        with pytest.raises(SktrainError, match="target_sparsity"):
            pruner.prune_model(vote.estimators_[0], target_sparsity=target)
    narrowest = fitted("TransformerClassifier", windows, module__hidden_size=2, module__n_heads=1)
    # a norm over one channel would leave nothing
    assert pruner.prune_model(narrowest, target_sparsity=0.99) == 0

"""What layers receive against a loop over steps, the choice of weights against brute force,
refitting against least squares on rows."""

import copy

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
import torch

from sktrain import BarFeatures, MLPNetClassifier, ModelPruner, ModelQuantizer, SlidingWindow
from sktrain.compression import _calibration
from sktrain.compression._calibration import keep_mask, layer_inputs, refit, round_rows, windows_of
from sktrain.compression._quantizer import quantize_array
from sktrain.exceptions import SktrainError


def inputs_by_hand(module, X):
    """Every input of every weight in a loop over rows and steps, as rows of arrays."""
    found = {}

    def note(name, x):
        found.setdefault(name, []).append(x.detach().double().numpy().copy())

    with torch.no_grad():
        for window in module.standardize(X):
            HANDS[type(module).__name__](module, window, note)
            note("head.weight", module.encode(window[None])[0])
    return {name: np.stack(rows) for name, rows in found.items()}


def mlp(module, window, note):
    z = window.flatten()
    for i, layer in enumerate(module.layers):
        note(f"layers.{i}.weight", z)
        z = torch.relu(layer(z))


def recurrent(module, window, note):
    for i, layer in enumerate(module.layers):
        states = [torch.zeros(layer.hidden_size)]
        for step in range(len(window)):
            note(f"layers.{i}.weight_ih_l0", window[step])
            note(f"layers.{i}.weight_hh_l0", states[-1])
            states.append(layer(window[None, : step + 1])[0][0, -1])
        window = torch.stack(states[1:])


def convolved(layer, X, gap, steps, note, name):
    """One causal convolution of steps ``gap`` apart, tap by tap; only the answers at ``steps`` are
    of use to anybody."""
    (size,), out = layer.kernel_size, []
    for step in range(X.shape[1]):
        taps = [
            X[:, step - k * gap] if step >= k * gap else torch.zeros(len(X))
            for k in reversed(range(size))
        ]
        patch = torch.stack(taps, 1)
        if step in steps:
            note(f"{name}.weight", patch.flatten())
        out.append((layer.weight.flatten(1) @ patch.flatten()) + layer.bias)
    return torch.stack(out, 1)


def tcn(module, window, note):
    X, n_steps, size = window.T, len(window), module.kernel_size
    reached, wanted = [], {n_steps - 1}
    for i in reversed(range(len(module.blocks))):  # which steps the last one depends on
        inner = {step - tap * 2**i for step in wanted for tap in range(size)} & set(range(n_steps))
        reached.insert(0, (inner, wanted))
        wanted = wanted | {step - tap * 2**i for step in inner for tap in range(size)} & set(
            range(n_steps)
        )
    for i, (block, (inner, outer)) in enumerate(zip(module.blocks, reached)):
        first = torch.relu(convolved(block.first, X, 2**i, inner, note, f"blocks.{i}.first"))
        second = convolved(block.second, first, 2**i, outer, note, f"blocks.{i}.second")
        skip = (
            convolved(block.skip, X, 1, outer, note, f"blocks.{i}.skip")
            if hasattr(block.skip, "weight")
            else X
        )
        X = torch.relu(second + skip)


HANDS = {"MLPModule": mlp, "GRUModule": recurrent, "LSTMModule": recurrent, "TCNModule": tcn}


@pytest.mark.parametrize(
    "kind", ["MLPNetClassifier", "GRUClassifier", "LSTMClassifier", "TCNClassifier"]
)
def test_what_layers_receive_is_what_a_loop_over_steps_finds(kind, nets, windows):
    module, X = nets[kind].module_, torch.from_numpy(windows[0][:7]).float()
    found = layer_inputs(module, [(X[:4], None), (X[4:], None)])
    expected = inputs_by_hand(module, X)
    assert (
        set(found) == set(expected) == {name for name, w in module.named_parameters() if w.ndim > 1}
    )
    for name, rows in expected.items():
        np.testing.assert_allclose(found[name], rows.T @ rows, rtol=1e-4, atol=1e-3)


def test_every_matrix_of_a_transformer_is_seen_and_hooks_are_gone(nets, windows):
    module, X = nets["TransformerClassifier"].module_, torch.from_numpy(windows[0][:7]).float()
    found = layer_inputs(module, [(X, None)])
    assert set(found) == {
        name for name, w in module.named_parameters() if w.ndim > 1 and name != "positions"
    }
    rows = module.standardize(X).flatten(0, 1).double()
    np.testing.assert_allclose(found["embed.weight"], rows.T @ rows, rtol=1e-4, atol=1e-3)
    assert not any(part._forward_hooks for part in module.modules())


def test_many_inputs_are_thinned_to_the_same_moments(windows, monkeypatch):
    X = torch.from_numpy(windows[0]).float()
    layer = torch.nn.Linear(4, 3)
    whole = layer_inputs(layer, [(X, None)])["weight"] / (600 * 12)
    monkeypatch.setattr(_calibration, "_INPUTS", 2000)
    part = layer_inputs(layer, [(part, None) for part in X.split(100)])["weight"]
    assert part.diagonal().sum() == pytest.approx(2000 * 4, rel=0.1)  # standard normal inputs
    np.testing.assert_allclose(part / 2000, whole, atol=0.12)


def test_a_very_wide_layer_is_known_by_sizes_alone(windows, monkeypatch):
    monkeypatch.setattr(_calibration, "_WIDEST", 3)
    X = torch.from_numpy(windows[0][:50]).float()
    found = layer_inputs(torch.nn.Linear(4, 3), [(X, None)])["weight"]
    np.testing.assert_allclose(found, (X**2).sum((0, 1)), rtol=1e-5)
    weight = torch.nn.Parameter(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    keep = keep_mask(weight, 2, torch.tensor([100.0, 0.01, 0.04, 1.0], dtype=torch.float64))
    assert keep.tolist() == [[True, False, False, True]]  # 10, .2, .6, 4
    refit(weight, keep, found)
    assert weight.tolist() == [[1.0, 0.0, 0.0, 4.0]]


def correlated(n_inputs, seed=0, n=200):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_inputs)) @ rng.normal(size=(n_inputs, n_inputs))
    return x, torch.from_numpy(x.T @ x)


def with_ridge(x):
    """Rows whose least squares is that of ``x`` with the ridge: square roots of it added as
    rows."""
    moments = x.T @ x
    return np.vstack([x, np.sqrt(0.01 * np.trace(moments) / len(moments)) * np.eye(len(moments))])


def best_without(w, gone, x):
    """The other weights of one output, by least squares on rows, and the squared change of the
    outputs."""
    kept = np.setdiff1d(np.arange(len(w)), gone)
    new = np.zeros_like(w)
    new[kept] = np.linalg.lstsq(x[:, kept], x @ w, rcond=None)[0]
    return new, float(((x @ (new - w)) ** 2).sum())


@given(st.integers(0, 1000), st.integers(2, 7), st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_weights_go_in_the_order_of_what_each_costs(seed, n_inputs, n_outputs):
    x, moments = correlated(n_inputs, seed)
    weight = torch.from_numpy(np.random.default_rng(seed).normal(size=(n_outputs, n_inputs)))
    rows = with_ridge(x)
    costs = np.array(
        [[best_without(w, [j], rows)[1] for j in range(n_inputs)] for w in weight.numpy()]
    ).ravel()
    for count in range(n_inputs * n_outputs + 1):
        gone = ~keep_mask(weight, count, moments).numpy().ravel()
        assert gone.sum() == count
        assert set(np.flatnonzero(gone)) == set(np.argsort(costs, kind="stable")[:count])


@given(st.integers(0, 1000), st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_what_stays_takes_over_by_least_squares(seed, share):
    x, moments = correlated(8, seed)
    rng = np.random.default_rng(seed)
    weight = torch.nn.Parameter(torch.from_numpy(rng.normal(size=(5, 2, 4))))
    old = weight.detach().numpy().reshape(5, 8).copy()
    keep = torch.from_numpy(rng.random((5, 2, 4)) > share)
    refit(weight, keep, moments)
    new = weight.detach().numpy().reshape(5, 8)
    for before, after, stays in zip(old, new, keep.reshape(5, 8).numpy()):
        np.testing.assert_allclose(
            after, best_without(before, np.flatnonzero(~stays), with_ridge(x))[0], atol=1e-8
        )
        assert not np.signbit(after[~stays]).any()


@pytest.mark.parametrize("bits, largest, group", [(8, 127, 100), (4, 7, 64)])
def test_rounding_makes_up_for_what_it_costs_and_zeros_stay(bits, largest, group):
    x, moments = correlated(100, n=400)
    rows = np.random.default_rng(1).normal(size=(20, 100)).astype(np.float32)
    for zeros, share in ((False, 0.6), (True, 0.8)):  # a pruned weight cannot help the others
        if zeros:
            rows[:, ::3] = 0
        codes, scales = round_rows(rows, largest, group, moments)
        assert codes.dtype == np.int8
        assert np.abs(codes).max() <= largest
        assert not codes[rows == 0].any()
        assert scales.shape == (20, -(-100 // group))
        nearest, plain = quantize_array(rows, 0, bits)
        wide = [np.repeat(one, group, axis=1)[:, :100] for one in (scales, plain)]
        lost = [np.square(x @ (c * s - rows).T).sum() for c, s in zip((codes, nearest), wide)]
        assert lost[0] < share * lost[1]


def test_rounding_by_inputs_that_have_nothing_in_common_is_rounding_to_the_nearest():
    rows = np.random.default_rng(1).normal(size=(6, 130)).astype(np.float32)
    for bits, largest, group in ((8, 127, 130), (4, 7, 64)):
        codes, scales = round_rows(rows, largest, group, torch.eye(130, dtype=torch.float64))
        nearest, plain = quantize_array(rows, 0, bits)
        np.testing.assert_array_equal(codes, nearest)
        np.testing.assert_allclose(scales, plain, rtol=1e-6)


def test_rows_to_keep_the_answers_on_help(kind, smooth_nets, smooth_windows):
    X, net = smooth_windows[0], smooth_nets[kind]
    expected = net.predict_proba(X[300:])
    blind, seeing = copy.deepcopy(net), copy.deepcopy(net)
    reached = [
        ModelPruner(0.6).prune_model(one, X=rows)
        for one, rows in ((blind, None), (seeing, X[:300]))
    ]
    assert reached[0] == pytest.approx(reached[1])
    assert reached[0] == pytest.approx(0.6, abs=0.01)
    apart = [np.abs(one.predict_proba(X[300:]) - expected).mean() for one in (seeing, blind)]
    assert apart[0] < 0.8 * apart[1]


def test_rows_reach_nets_in_pipelines_and_votes_as_they_do_in_predict(sp500):
    bars = sp500.iloc[:400]
    y = np.arange(400) % 2
    members = [
        (name, MLPNetClassifier(max_epochs=1, random_state=seed)) for seed, name in enumerate("ab")
    ]
    inner = Pipeline(
        [("window", SlidingWindow(lookback=3)), ("vote", VotingClassifier(members, voting="soft"))]
    )
    model = Pipeline([("features", BarFeatures()), ("rest", inner)]).fit(bars, y)
    by_hand = SlidingWindow(lookback=3).fit_transform(BarFeatures().fit_transform(bars))
    expected = [copy.deepcopy(net) for net in model[-1][-1].estimators_]
    for net in expected:
        ModelPruner(0.5).prune_model(net, X=by_hand)
    ModelPruner(0.5).prune_model(model, X=bars)
    for net, other in zip(model[-1][-1].estimators_, expected):
        np.testing.assert_allclose(
            net.predict_proba(by_hand), other.predict_proba(by_hand), atol=1e-6
        )


def test_a_bare_module_takes_an_array(nets, windows):
    X = windows[0]
    module = copy.deepcopy(nets["GRUClassifier"].module_)
    net = copy.deepcopy(nets["GRUClassifier"])
    ModelPruner(0.5).prune_model(module, X=X[:300])
    ModelPruner(0.5).prune_model(net, X=X[:300])
    for a, b in zip(module.parameters(), net.module_.parameters()):
        torch.testing.assert_close(a, b)
    one = ModelQuantizer(4).quantize_model(module, X[:300])
    del net.posterior_  # nobody knows what a bare network was trained with
    np.testing.assert_allclose(
        one.predict_proba(X),
        ModelQuantizer(4).quantize_model(net, X[:300]).predict_proba(X),
        atol=1e-6,
    )
    assert module.training is False


def test_rows_that_cannot_be_followed_or_overflow_are_refused(nets, windows):
    X, y = windows
    flat = X[:, -1]
    stack = StackingClassifier(
        [("net", MLPNetClassifier(max_epochs=1, random_state=0))], LogisticRegression(), cv=2
    ).fit(flat, y)
    for call in (
        lambda: ModelPruner().prune_model(stack, X=flat),
        lambda: ModelQuantizer().quantize_model(stack, flat),
    ):
        with pytest.raises(
            SktrainError, match="Rows cannot be followed to the nets inside a StackingClassifier"
        ):
            call()
    net = copy.deepcopy(nets["MLPNetClassifier"])
    before = net.predict_proba(X)
    with pytest.raises(SktrainError, match="what reaches .* overflows"):
        ModelPruner().prune_model(net, X=np.full_like(X[:9], 3e38))
    np.testing.assert_array_equal(net.predict_proba(X), before)
    with pytest.raises(ValueError, match="3 features"):
        ModelPruner().prune_model(net, X=X[:, :, :3])


def test_rows_are_thinned_evenly_to_the_last(nets, windows, monkeypatch):
    monkeypatch.setattr(_calibration, "_ROWS", 50)
    monkeypatch.setattr(_calibration, "_BATCH", 20)
    batches = windows_of(nets["MLPNetClassifier"], windows[0])
    assert [len(one) for one, _ in batches] == [20, 20, 10]
    np.testing.assert_allclose(batches[0][0][0], windows[0][0], rtol=1e-6)
    np.testing.assert_allclose(batches[-1][0][-1], windows[0][-1], rtol=1e-6)


@pytest.mark.parametrize("kind", ["MLPNetClassifier", "GRUClassifier", "TCNClassifier"])
def test_weights_of_rows_count_as_repetitions(kind, smooth_nets, smooth_windows):
    X = smooth_windows[0][:200]
    counts = np.random.default_rng(0).integers(0, 4, 200)
    repeated, weighted = copy.deepcopy(smooth_nets[kind]), copy.deepcopy(smooth_nets[kind])
    ModelPruner(0.5).prune_model(repeated, X=np.repeat(X, counts, axis=0))
    ModelPruner(0.5).prune_model(weighted, X=X, sample_weight=counts)
    for a, b in zip(repeated.module_.parameters(), weighted.module_.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    small = ModelQuantizer(4).quantize_model(repeated, np.repeat(X, counts, axis=0))
    other = ModelQuantizer(4).quantize_model(weighted, X, sample_weight=counts)
    np.testing.assert_allclose(small.predict_proba(X), other.predict_proba(X), atol=1e-3)
    with pytest.raises(ValueError, match="sample_weight"):
        ModelPruner(0.5).prune_model(weighted, X=X, sample_weight=counts[:5])

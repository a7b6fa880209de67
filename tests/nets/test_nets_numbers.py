"""Losses, schedules, clipping and decay against numbers worked by hand and float64 references."""

import math

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sktrain import (
    ClassWeightedSampler,
    EnhancedDropout,
    FocalLoss,
    GradientRegularizer,
    MLPNetClassifier,
    WeightDecayScheduler,
)
from sktrain.exceptions import SktrainError
from sktrain.nets import class_balanced_weights


def reference(logits, y, gamma, alpha):
    """Focal loss by its formula, differentiated by autograd in float64."""
    p = torch.softmax(logits.double(), 1)[torch.arange(len(y)), y]
    return (-alpha * (1 - p) ** gamma * p.log()).mean()


def test_focal_loss_of_one_row():
    logits = torch.tensor([[math.log(0.9), math.log(0.1)]], dtype=torch.float64)
    y = torch.tensor([0])
    assert float(FocalLoss(None, 0)(logits, y)) == pytest.approx(0.1053605, abs=5e-8)
    assert float(FocalLoss(None, 2)(logits, y)) == pytest.approx(0.001053605, abs=5e-10)
    assert float(FocalLoss(0.25, 2)(logits, y)) == pytest.approx(0.25 * 0.001053605, abs=5e-10)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]), st.integers(2, 5))
def test_focal_gradient_equals_the_float64_reference(seed, gamma, n_classes):
    g = torch.Generator().manual_seed(seed)
    logits = (torch.randn(16, n_classes, generator=g, dtype=torch.float64) * 3).requires_grad_()
    y = torch.randint(n_classes, (16,), generator=g)
    alpha = torch.rand(n_classes, generator=g, dtype=torch.float64) + 0.1
    ours = FocalLoss(alpha.numpy(), gamma).double()
    ours.class_weight = alpha  # the buffer is float32 by default
    grad = torch.autograd.grad(ours(logits, y), logits)[0]
    expected = torch.autograd.grad(reference(logits, y, gamma, alpha[y]), logits)[0]
    torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-12)


def test_focal_without_alpha_and_gamma_is_cross_entropy():
    logits = torch.randn(50, 4, requires_grad=True)
    y = torch.randint(4, (50,))
    ours, plain = FocalLoss(None, 0.0)(logits, y), F.cross_entropy(logits, y)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(
        torch.autograd.grad(ours, logits)[0], torch.autograd.grad(plain, logits)[0]
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradient_is_finite_for_certain_rows(gamma):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    loss = FocalLoss(None, gamma)(logits, torch.tensor([0, 0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_sample_weights_average_over_their_sum():
    logits, y, w = (
        torch.randn(6, 3),
        torch.tensor([0, 1, 2, 0, 1, 2]),
        torch.tensor([0.0, 1, 2, 3, 0, 1]),
    )
    rows = FocalLoss(0.25, 2.0, reduction="none")(logits, y)
    torch.testing.assert_close(FocalLoss(0.25, 2.0)(logits, y, w), (rows * w).sum() / w.sum())


def test_class_weights():
    assert class_balanced_weights([10, 1000]) == pytest.approx([0.100451, 0.00158152], rel=1e-5)
    y = np.repeat([0, 1], [30, 10])
    assert FocalLoss("balanced").fit(y).class_weight.tolist() == pytest.approx([40 / 60, 2.0])
    effective = FocalLoss("effective").fit(y).class_weight.numpy()
    assert effective.sum() == pytest.approx(2)
    assert effective[1] / effective[0] == pytest.approx((1 - 0.999**30) / (1 - 0.999**10))


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda: FocalLoss(gamma=-1), "gamma must be a number >= 0, got -1"),
        (lambda: FocalLoss(gamma=float("nan")), "gamma"),
        (lambda: FocalLoss(alpha="even"), "alpha must be"),
        (lambda: FocalLoss(alpha=[0.5, -1]), "alpha must be positive"),
        (
            lambda: FocalLoss(alpha=[0.5, 1])(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)),
            "2 values for 3 classes",
        ),
        (
            lambda: FocalLoss(alpha="balanced")(
                torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
            ),
            "call fit",
        ),
        (lambda: EnhancedDropout(1.0), r"dropout p must be a number in \[0, 1\), got 1.0"),
        (lambda: EnhancedDropout(-0.1), r"\[0, 1\)"),
        (lambda: EnhancedDropout(True), r"\[0, 1\)"),
        (lambda: EnhancedDropout(0.3, "step"), "schedule must be 'linear' or 'cosine', got 'step'"),
        (lambda: WeightDecayScheduler(schedule="step"), "schedule"),
        (lambda: WeightDecayScheduler(base_weight_decay=-1), "base_weight_decay"),
        (lambda: GradientRegularizer(max_norm=0), "max_norm"),
        (lambda: ClassWeightedSampler([]), "labels"),
        (lambda: ClassWeightedSampler([0, 1], num_samples=3, replacement=False), "num_samples=3"),
        (lambda: ClassWeightedSampler([0.0, float("nan")]), "row 1"),
        (lambda: ClassWeightedSampler([0, 1], num_samples=True), "num_samples"),
    ],
)
def test_nonsense_is_refused(build, words):
    with pytest.raises(SktrainError, match=words):
        build()


def test_dropout_schedule():
    layer = EnhancedDropout(p=0.3, schedule="linear", min_p=0.1)
    rates = [layer.set_epoch(epoch, total_epochs=100).current_p for epoch in (0, 50, 100, 150)]
    assert rates == pytest.approx([0.3, 0.2, 0.1, 0.1])
    assert EnhancedDropout(0.3, "cosine", 0.1).set_epoch(
        25, total_epochs=100
    ).current_p == pytest.approx(0.3 - 0.2 * (1 - math.cos(math.pi / 4)) / 2)
    # never rises
    assert EnhancedDropout(0.05, min_p=0.1).set_epoch(9, total_epochs=9).current_p == 0.05
    torch.manual_seed(0)
    kept = EnhancedDropout(0.25)(torch.ones(100_000))
    assert float((kept == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(kept.mean()) == pytest.approx(1, abs=0.02)
    assert torch.equal(EnhancedDropout(0.25).eval()(torch.ones(5)), torch.ones(5))


def test_weight_decay_schedule():
    decay = WeightDecayScheduler(base_weight_decay=1e-4, max_weight_decay=1e-3, schedule="cosine")
    assert [decay.get_weight_decay(e, total_epochs=100) for e in (0, 50, 100)] == pytest.approx(
        [1e-4, 5.5e-4, 1e-3]
    )


def gradients(*values):
    out = []
    for value in values:
        p = torch.nn.Parameter(torch.zeros(len(value)))
        p.grad = torch.tensor(value)
        out.append(p)
    return out


def test_clipping_by_norm_then_value():
    params = gradients([3.0, 4.0])
    assert GradientRegularizer(max_norm=1.0).clip_gradients(params) == pytest.approx(5.0)
    assert params[0].grad.tolist() == pytest.approx([0.6, 0.8])
    params = gradients([3.0], [4.0])
    GradientRegularizer(clip_value=3.5, max_norm=None).clip_gradients(params)
    assert [p.grad.item() for p in params] == [3.0, 3.5]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(0.01, 10), st.floats(0.01, 10))
def test_clipping_equals_torch(seed, clip_value, max_norm):
    g = torch.Generator().manual_seed(seed)
    ours = gradients(*[(torch.randn(5, generator=g) * 4).tolist() for _ in range(3)])
    theirs = gradients(*[p.grad.tolist() for p in ours])
    norm = GradientRegularizer(clip_value, max_norm).clip_gradients(ours)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, max_norm)), rel=1e-5)
    torch.nn.utils.clip_grad_value_(theirs, clip_value)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_decoupled_decay_spares_biases_and_follows_the_schedule():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    seen = []

    class Probe(torch.optim.AdamW):
        def step(self, *args, **kwargs):
            seen.append([group["weight_decay"] for group in self.param_groups])
            return super().step(*args, **kwargs)

    net = MLPNetClassifier(
        max_epochs=5, batch_size=200, optimizer=Probe, train_split=None, random_state=0
    ).fit(X, y)
    assert [one[0] for one in seen] == pytest.approx(
        [1e-4 + 9e-4 * (1 - math.cos(math.pi * e / 4)) / 2 for e in range(5)]
    )
    assert {one[1] for one in seen} == {0.0}
    assert all(p.ndim == 1 for p in net.optimizer_.param_groups[1]["params"])
    fixed = MLPNetClassifier(max_epochs=2, optimizer__weight_decay=0.5, random_state=0).fit(X, y)
    assert fixed.optimizer_.param_groups[0]["weight_decay"] == 0.5


def test_decay_shrinks_weights_by_lr_times_decay():
    weight = torch.nn.Parameter(torch.ones(4, 4))
    weight.grad = torch.zeros(4, 4)
    torch.optim.AdamW([weight], lr=0.1, weight_decay=0.1, fused=True).step()
    assert weight.tolist() == pytest.approx(np.full((4, 4), 0.99))


def test_sampler_balances_classes():
    labels = ["common"] * 900 + ["rare"] * 100
    for replacement in (True, False):
        sampler = ClassWeightedSampler(
            labels,
            num_samples=200,
            replacement=replacement,
            generator=torch.Generator().manual_seed(0),
        )
        rows = np.array(list(sampler))
        assert len(rows) == len(sampler) == 200
        assert 60 <= (rows >= 900).sum() <= 140
        assert replacement or len(set(rows.tolist())) == 200

"""Networks against slow twins: what they leave out is never read, and dropout drops what it
says."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sktrain import EnhancedDropout
from sktrain.nets._gru import GRU
from sktrain.nets._modules import GRUModule, TCNModule, TransformerModule


def dilated(module, Z):
    """The same network with every step worked out: convolutions dilated by 2^i over the whole
    window."""
    X = Z.transpose(1, 2)
    for i, block in enumerate(module.blocks):
        back = ((module.kernel_size - 1) * 2**i, 0)
        first = torch.relu(
            F.conv1d(F.pad(X, back), block.first.weight, block.first.bias, dilation=2**i)
        )
        second = F.conv1d(F.pad(first, back), block.second.weight, block.second.bias, dilation=2**i)
        skip = (
            F.conv1d(X, block.skip.weight, block.skip.bias) if hasattr(block.skip, "weight") else X
        )
        X = torch.relu(second + skip)
    return X[:, :, -1]


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5, 12, 30, 61, 64, 65, 90])
@pytest.mark.parametrize("kernel_size", [2, 3, 4])
@pytest.mark.parametrize("n_layers", [1, 2, 4, 5])
def test_a_tcn_of_halved_steps_is_the_dilated_one(n_steps, kernel_size, n_layers):
    torch.manual_seed(n_steps)
    for width in (8, 5):  # without and with weights in the first skip
        module = TCNModule(5, n_steps, 3, width, n_layers, kernel_size=kernel_size).double().eval()
        Z = torch.randn(4, n_steps, 5, dtype=torch.float64, requires_grad=True)
        got, expected = module.encode(Z), dilated(module, Z)
        torch.testing.assert_close(got, expected)
        gradients = [torch.autograd.grad(one.square().sum(), Z)[0] for one in (got, expected)]
        torch.testing.assert_close(*gradients)


def test_dropout_drops_its_share_and_keeps_the_mean():
    torch.manual_seed(0)
    dropout = EnhancedDropout(p=0.3).train()
    X = torch.ones(400, 500, requires_grad=True)
    Z = dropout(X)
    dropped = (Z == 0).double().mean().item()
    assert abs(dropped - 0.3) < 4 * np.sqrt(0.3 * 0.7 / X.numel())
    # 45,875 of the 65,536 values of 16 bits are kept, and weigh so much that the mean stays
    assert Z[Z != 0].detach().numpy() == pytest.approx(65_536 / 45_875)
    Z.sum().backward()
    torch.testing.assert_close(X.grad, Z.detach())  # the same entries, the same factor
    assert (dropout(X) != Z).any()
    assert dropout.eval()(X) is X


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dropout_keeps_the_precision(dtype):
    assert EnhancedDropout(p=0.5).train()(torch.ones(4, 3, dtype=dtype)).dtype is dtype


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.999])
def test_places_are_dropped_independently(p):
    torch.manual_seed(1)
    kept = (EnhancedDropout(p=p, min_p=0.0).train()(torch.ones(999, 1001)) != 0).double().flatten()
    n = len(kept)
    for apart in (1, 2, 3, 4, 1001):  # four places share a draw
        both = (kept[apart:] * kept[:-apart]).mean().item()
        error = 4 * np.sqrt((1 - p) ** 2 * (1 - (1 - p) ** 2) / n) + 2e-5 * (1 - p)
        assert abs(both - (1 - p) ** 2) < error + 4 * (1 - p) * np.sqrt(p * (1 - p) / n)


def test_the_last_rate_below_one_still_keeps_the_mean():
    torch.manual_seed(2)
    Z = EnhancedDropout(p=1 - 1e-9, min_p=0.0).train()(torch.ones(4_000_000))
    n = (Z != 0).sum().item()  # one value of 65,536: 61 expected
    assert 20 < n < 110
    assert set(Z.unique().tolist()) == {0.0, 65_536.0}


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (4, 1, 3, 2), (1, 6, 2, 3), (9, 7, 4, 5)])
@pytest.mark.parametrize("read", ["states", "last", "both"])
def test_a_gru_learns_as_torchs_own(sizes, read):
    rows, steps, features, size = sizes
    torch.manual_seed(rows)
    ours = GRU(features, size, batch_first=True).double()
    theirs = nn.GRU(features, size, batch_first=True).double()
    theirs.load_state_dict(ours.state_dict())
    X = torch.randn(rows, steps, features, dtype=torch.float64, requires_grad=True)
    by_state = torch.randn(rows, steps, size, dtype=torch.float64) * (read != "last")
    by_last = torch.randn(1, rows, size, dtype=torch.float64)
    found = []
    for layer in (ours, theirs):
        states, last = layer(X)
        assert last.shape == (1, rows, size)
        loss = (states * by_state).sum() if read != "last" else 0.0
        loss = loss + (last * by_last).sum() if read != "states" else loss
        found.append([states, last, *torch.autograd.grad(loss, [X, *layer.parameters()])])
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-11)
    assert torch.equal(ours.eval()(X)[0], theirs(X)[0])  # it predicts by torch's own


def test_a_gru_of_two_layers_learns_alike_with_less_memory():
    torch.manual_seed(3)
    module = GRUModule(4, 9, 3, 6, n_layers=2, dropout=0.0).train()
    X, found = torch.randn(5, 9, 4), []
    for module.gradient_checkpointing in (False, True):
        found.append(torch.autograd.grad(module(X).square().sum(), module.parameters()))
    torch.testing.assert_close(*found, rtol=0, atol=0)


@pytest.mark.parametrize("Module", [GRUModule, TransformerModule])
def test_bfloat16_reaches_no_recurrence_and_no_attention_on_a_cpu(Module, monkeypatch):
    torch.manual_seed(4)
    module, seen = Module(4, 12, 3, 8, dropout=0.0).train(), []
    attend = F.scaled_dot_product_attention

    def watched(query, *args, **kwargs):
        seen.append(query.dtype)
        return attend(query, *args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    X = torch.randn(6, 12, 4)
    with torch.autocast("cpu", torch.bfloat16):
        low, states = module(X), module.encode(X)
    assert low.dtype is torch.bfloat16
    assert set(seen) <= {torch.float32}
    if Module is GRUModule:
        assert torch.equal(states, module.encode(X))
    torch.testing.assert_close(low.float(), module(X), rtol=0.05, atol=0.05)
    low.float().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in module.parameters())

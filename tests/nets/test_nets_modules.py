"""Networks against slow twins: what they leave out is never read, and dropout drops what it says."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sktrain import EnhancedDropout
from sktrain.nets._modules import TCNModule


def dilated(module, Z):
    """The same network with every step worked out: convolutions dilated by 2^i over the whole window."""
    X = Z.transpose(1, 2)
    for i, block in enumerate(module.blocks):
        back = ((module.kernel_size - 1) * 2**i, 0)
        first = torch.relu(F.conv1d(F.pad(X, back), block.first.weight, block.first.bias, dilation=2**i))
        second = F.conv1d(F.pad(first, back), block.second.weight, block.second.bias, dilation=2**i)
        skip = F.conv1d(X, block.skip.weight, block.skip.bias) if hasattr(block.skip, "weight") else X
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
    assert Z[Z != 0].detach().numpy() == pytest.approx(1 / 0.7)
    Z.sum().backward()
    torch.testing.assert_close(X.grad, Z.detach())  # the same entries, the same factor
    assert (dropout(X) != Z).any()
    assert dropout.eval()(X) is X


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dropout_keeps_the_precision(dtype):
    assert EnhancedDropout(p=0.5).train()(torch.ones(4, 3, dtype=dtype)).dtype is dtype

"""Activation memory of a six-layer Transformer with and without gradient checkpointing: what
autograd keeps for the backward pass."""

import time

from _harness import Claim, arguments, report
import torch

from sktrain.nets._modules import TransformerModule


def kept_bytes(module, X):
    """Bytes of distinct tensors saved for the backward pass, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    seen = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = module(X).sum()
    total = sum(seen.values())
    loss.backward()
    return total


def seconds(module, X):
    began = time.perf_counter()
    module(X).sum().backward()
    return time.perf_counter() - began


def main():
    smoke = arguments(__doc__).smoke
    torch.set_num_threads(1)
    torch.manual_seed(0)
    X = torch.randn(16 if smoke else 128, 60, 16)
    module = TransformerModule(16, 60, 3, hidden_size=64, n_layers=6).train()
    plain, slow = kept_bytes(module, X), seconds(module, X)
    module.gradient_checkpointing = True
    saved, slower = kept_bytes(module, X), seconds(module, X)
    # a seventh block shows what one recomputed block adds
    one = TransformerModule(16, 60, 3, hidden_size=64, n_layers=7).train()
    peak = saved + kept_bytes(one, X) - plain
    note = f"{peak / 1e6:.1f} of {plain / 1e6:.1f} MB, the block being recomputed included"
    claims = [
        Claim(
            "activations alive, with over without checkpointing",
            peak / plain,
            0.5, "<=", "", note, smoke=True,
        ),
        Claim("time of a step, with over without", slower / slow, None, "<=", "x"),
    ]
    report("gradient_checkpointing", claims, smoke=smoke)


if __name__ == "__main__":
    main()

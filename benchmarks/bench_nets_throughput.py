"""Training throughput of the nets against a hand-written PyTorch loop and plain skorch on the same work.

Same network, loss, optimizer family, batch size and clipping; the loop shuffles and gathers tensors by index, which is the fastest
way to write it. What the nets do on top (callbacks, schedules, history, checks for NaN) is part of their time.
"""

import argparse
import statistics
import time

from _harness import Claim, report
import numpy as np
from skorch import NeuralNetClassifier
import torch
from torch.nn import functional as F

from sktrain import (
    GRUClassifier,
    LSTMClassifier,
    MLPNetClassifier,
    TCNClassifier,
    TransformerClassifier,
)

EPOCHS = 4


def focal(logits, y, gamma=2.0, alpha=0.25):
    log_p = F.log_softmax(logits, 1).gather(1, y.unsqueeze(1)).squeeze(1)
    return (-alpha * (1 - log_p.exp()) ** gamma * log_p).mean()


def plain_loop(Net, X, y, batch, epochs, device, autocast=None):
    """Seconds per epoch of a careful hand-written loop."""
    torch.manual_seed(0)
    X, y = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    module = Net._network(X.shape[2], X.shape[1], 3).to(device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    module.train()
    times = []
    for _ in range(epochs):
        began = time.perf_counter()
        order = torch.randperm(len(X), device=device)
        total = 0.0
        for rows in order.split(batch):
            optimizer.zero_grad()
            with torch.autocast(device, dtype=autocast, enabled=autocast is not None):
                logits = module(X[rows])
            loss = focal(logits.float(), y[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def ours(Net, X, y, batch, epochs, device, precision=False):
    net = Net(max_epochs=epochs, batch_size=batch, random_state=0, train_split=None, device=device, mixed_precision=precision).fit(X, y)
    return statistics.median(net.history[1:, "dur"])


class _WithSizes:
    """A network made with its sizes, for plain skorch."""

    def __init__(self, Net, shape):
        self.Net, self.shape = Net, shape

    def __call__(self):
        return self.Net._network(self.shape[2], self.shape[1], 3)


def plain_skorch(Net, X, y, batch, epochs, device):
    net = NeuralNetClassifier(
        _WithSizes(Net, X.shape), criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.AdamW, lr=1e-3, max_epochs=epochs, batch_size=batch,
        train_split=None, verbose=0, device=device, iterator_train__shuffle=True,
    ).fit(X, y)
    return statistics.median(net.history[1:, "dur"])


def compare(name, Net, shape, batch, device, pairs, smoke):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=shape).astype(np.float32), rng.integers(0, 3, shape[0])
    loops, skorchs, mine = [], [], []
    for _ in range(pairs):
        mine.append(ours(Net, X, y, batch, EPOCHS, device))
        loops.append(plain_loop(Net, X, y, batch, EPOCHS, device))
        if batch == 64:
            skorchs.append(plain_skorch(Net, X, y, batch, EPOCHS, device))
    ratio = statistics.median(a / b for a, b in zip(loops, mine))
    rate = shape[0] / statistics.median(mine)
    bound = 1.25 if Net is MLPNetClassifier else 1.0
    label = f"{name} batch {batch}, of a hand-written loop"
    claims = [Claim(label, ratio, bound, ">=", "x", f"{rate:,.0f} rows/s")]
    if skorchs:
        of_skorch = statistics.median(a / b for a, b in zip(skorchs, mine))
        bound = None if Net in (GRUClassifier, TCNClassifier) else 1.5
        claims.append(Claim(f"{name} batch {batch}, of plain skorch", of_skorch, bound, ">=", "x"))
    return claims


def precisions(device):
    """The same table in float32, bfloat16 and float16, for CUDA."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(32_768, 60, 16)).astype(np.float32), rng.integers(0, 3, 32_768)
    for Net in (MLPNetClassifier, LSTMClassifier, GRUClassifier, TCNClassifier, TransformerClassifier):
        single = ours(Net, X, y, 512, EPOCHS, device)
        for precision in ("bfloat16", "float16"):
            yield Claim(f"{Net.__name__} {precision}, of float32", single / ours(Net, X, y, 512, EPOCHS, device, precision), unit="x")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    jobs = [
        ("MLP (30 features)", MLPNetClassifier, (6_400, 1, 30)),
        ("LSTM (60 x 16)", LSTMClassifier, (2_048, 60, 16)),
        ("GRU (60 x 16)", GRUClassifier, (2_048, 60, 16)),
        ("TCN (60 x 16)", TCNClassifier, (2_048, 60, 16)),
        ("Transformer (60 x 16)", TransformerClassifier, (1_024, 60, 16)),
    ]
    claims = []
    for name, Net, shape in jobs:
        for batch in (64, 512):
            size = (max(shape[0] // 4, batch), *shape[1:]) if given.smoke else shape
            claims += compare(name, Net, size, batch, given.device, 1 if given.smoke else given.pairs, given.smoke)
    if given.device != "cpu":
        claims += precisions(given.device)
    report("nets_throughput" if given.device == "cpu" else f"nets_throughput_{given.device}", claims, smoke=given.smoke)


if __name__ == "__main__":
    main()

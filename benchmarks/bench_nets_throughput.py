"""Training throughput of the nets against a hand-written PyTorch loop and plain skorch on the same
work.

Same network, loss, optimizer family, batch size and clipping; the loop shuffles and gathers tensors
by index, which is the fastest way to write it. What the nets do on top (callbacks, schedules,
history, checks for NaN) is part of their time. Epochs of all run in turn in one process, and every
ratio is the median over the epochs; on a CPU seconds are those of the process.
"""

import argparse
import statistics
import time

from _harness import Claim, report
import numpy as np
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
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


class HandLoop:
    """A careful hand-written loop, an epoch at a time."""

    def __init__(self, Net, X, y, batch, device, autocast=None):
        torch.manual_seed(0)
        self.X, self.y = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
        self.module = Net._network(X.shape[2], X.shape[1], 3).to(device)
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=1e-3)
        self.batch, self.device, self.autocast = batch, device, autocast
        self.module.train()

    def epoch(self):
        module, optimizer, total = self.module, self.optimizer, 0.0
        order = torch.randperm(len(self.X), device=self.device)
        for rows in order.split(self.batch):
            optimizer.zero_grad()
            with torch.autocast(self.device, self.autocast, enabled=self.autocast is not None):
                logits = module(self.X[rows])
            loss = focal(logits.float(), self.y[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimizer.step()
            total += loss.item()


def plain_loop(Net, X, y, batch, epochs, device, autocast=None):
    """Seconds per epoch of the hand-written loop."""
    loop, times = HandLoop(Net, X, y, batch, device, autocast), []
    for _ in range(epochs):
        began = time.perf_counter()
        loop.epoch()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def ours(Net, X, y, batch, epochs, device, precision=False):
    net = Net(
        max_epochs=epochs, batch_size=batch, random_state=0, train_split=None, device=device,
        mixed_precision=precision,
    ).fit(X, y)
    return statistics.median(net.history[1:, "dur"])


class _WithSizes:
    """A network made with its sizes, for plain skorch."""

    def __init__(self, Net, shape):
        self.Net, self.shape = Net, shape

    def __call__(self):
        return self.Net._network(self.shape[2], self.shape[1], 3)


class PlainSkorch:
    """The same network in skorch as it is, an epoch at a time."""

    def __init__(self, Net, X, y, batch, device):
        self.X, self.y = X, y
        self.net = NeuralNetClassifier(
            _WithSizes(Net, X.shape), criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.AdamW, lr=1e-3, batch_size=batch, train_split=None, verbose=0,
            device=device, iterator_train__shuffle=True,
        ).initialize()  # fmt: skip
        self.net.check_data(X, y)
        self.net.notify("on_train_begin", X=X, y=y)

    def epoch(self):
        self.net.fit_loop(self.X, self.y, epochs=1)


class Beside(Callback):
    """After each epoch of a net, one of every rival: neighbours on the machine slow all alike."""

    passing_ = ("rivals", "times", "began")

    def __init__(self, rivals, clock):
        self.rivals, self.clock = rivals, clock
        self.times = []

    def __deepcopy__(self, memo):
        return self

    def on_train_begin(self, net, **kwargs):
        self.began = self.clock()

    def on_epoch_end(self, net, **kwargs):
        marks = [self.clock()]
        for rival in self.rivals:
            rival.epoch()
            marks.append(self.clock())
        self.times.append([marks[0] - self.began, *np.diff(marks)])
        self.began = self.clock()


def clock_for(device):
    """Seconds of this process on a CPU, which waits for no neighbour; of the wall on a card."""
    if device == "cpu":
        return time.process_time

    def wall():
        torch.cuda.synchronize()
        return time.perf_counter()

    return wall


def compare(name, Net, shape, batch, device, epochs):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=shape).astype(np.float32), rng.integers(0, 3, shape[0])
    rivals = [HandLoop(Net, X, y, batch, device)]
    if batch == 64:
        rivals.append(PlainSkorch(Net, X, y, batch, device))
    beside = Beside(rivals, clock_for(device))
    net = Net(
        max_epochs=epochs, batch_size=batch, random_state=0, train_split=None, device=device,
        callbacks=[("beside", beside)],
    )  # fmt: skip
    net.fit(X, y)
    mine, *others = np.array(beside.times)[1:].T
    bound = 1.25 if Net is MLPNetClassifier else 1.0
    label, note = f"{name} batch {batch}, of", f"{shape[0] / np.median(mine):,.0f} rows/s"
    ratio = float(np.median(others[0] / mine))
    claims = [Claim(f"{label} a hand-written loop", ratio, bound, ">=", "x", note)]
    if others[1:]:
        bound = None if Net in (GRUClassifier, TCNClassifier) else 1.5
        ratio = float(np.median(others[1] / mine))
        claims.append(Claim(f"{label} plain skorch", ratio, bound, ">=", "x"))
    return claims


def precisions(device):
    """The same table in float32, bfloat16 and float16, for CUDA."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(32_768, 60, 16)).astype(np.float32), rng.integers(0, 3, 32_768)
    for Net in (
        MLPNetClassifier, LSTMClassifier, GRUClassifier, TCNClassifier, TransformerClassifier,
    ):
        single = ours(Net, X, y, 512, EPOCHS, device)
        for precision in ("bfloat16", "float16"):
            yield Claim(
                f"{Net.__name__} {precision}, of float32",
                single / ours(Net, X, y, 512, EPOCHS, device, precision),
                unit="x",
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=16)
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
            claims += compare(
                name, Net, size, batch, given.device, 3 if given.smoke else given.epochs
            )
    if given.device != "cpu":
        claims += precisions(given.device)
    report(
        "nets_throughput" if given.device == "cpu" else f"nets_throughput_{given.device}",
        claims,
        smoke=given.smoke,
    )


if __name__ == "__main__":
    main()

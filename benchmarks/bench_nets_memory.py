"""Peak memory of training on lazy windows (200,000 rows, lookback 60, 16 features) against the
materialised windows."""

import multiprocessing

from _harness import Claim, arguments, report
import numpy as np

ROWS, LOOKBACK, FEATURES = 200_000, 60, 16


def high_water():
    """Peak resident memory of this process in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def train(rows, send):
    import torch

    from sktrain import GRUClassifier, MLPNetClassifier, SlidingWindow

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    warm = SlidingWindow(lookback=LOOKBACK).fit_transform(rng.normal(size=(2_000, FEATURES)))
    labels = rng.integers(0, 3, 2_000)
    for Net in (MLPNetClassifier, GRUClassifier):
        Net(max_epochs=1, random_state=0, module__hidden_size=8, batch_size=512).fit(warm, labels)
    base, y = rng.normal(size=(rows, FEATURES)), rng.integers(0, 3, rows)
    before = high_water()
    windows = SlidingWindow(lookback=LOOKBACK).fit_transform(base)
    MLPNetClassifier(max_epochs=1, random_state=0, module__hidden_size=8, batch_size=512).fit(
        windows, y
    )
    send.send(high_water() - before)


def main():
    smoke = arguments(__doc__).smoke
    rows = 20_000 if smoke else ROWS
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=train, args=(rows, send))
    process.start()
    peak = receive.recv()
    process.join()
    materialised = rows * LOOKBACK * FEATURES * 4
    note = f"{peak / 1e6:,.0f} MB of {materialised / 1e6:,.0f} MB"
    report(
        "nets_memory",
        [
            Claim(
                "peak memory of training over materialised float32 windows",
                peak / materialised,
                0.25, "<=", "", note,
            )
        ],
        smoke=smoke,
    )


if __name__ == "__main__":
    main()

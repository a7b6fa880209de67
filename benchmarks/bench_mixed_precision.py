"""Training in bfloat16 autocast against float32 on a CPU with bfloat16 instructions: speed at batch
512, accuracy over seeds.

What ``mixed_precision="auto"`` trains in bfloat16 must be faster by it: twice as fast in a wide
MLP, 1.3 times in the others. A GRU is only reported, for its recurrence and its backward pass are
float32 whatever is asked, and "auto" leaves it so.

An epoch here takes .03 to .5 s, and another process on the machine makes single ones up to twice as
slow. So each side is told by its fastest epoch, and the ratio is the median over pairs of fits in
turn.
"""

import statistics

from _harness import Claim, arguments, report
import numpy as np
import torch

from sktrain import (
    GRUClassifier,
    LSTMClassifier,
    MLPNetClassifier,
    TCNClassifier,
    TransformerClassifier,
)
from sktrain.nets._amp import _native_bfloat16


def epoch_seconds(Net, X, y, precision, epochs, **params):
    net = Net(
        max_epochs=epochs, batch_size=512, random_state=0, train_split=None,
        mixed_precision=precision, **params,
    ).fit(X, y)
    return min(net.history[1:, "dur"])


def speed(name, Net, shape, bound, pairs, **params):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=shape).astype(np.float32), rng.integers(0, 3, shape[0])
    ratios = [
        epoch_seconds(Net, X, y, False, 5, **params)
        / epoch_seconds(Net, X, y, "bfloat16", 5, **params)
        for _ in range(pairs)
    ]
    return Claim(
        f"{name}: bfloat16 speed of float32, batch 512", statistics.median(ratios), bound, ">=", "x"
    )


def accuracy(Net, seeds):
    """Mean difference of test accuracy, in standard errors of the seeds."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4_000, 20)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(size=4_000) > 0).astype(int)
    scores = {}
    for precision in (False, "bfloat16"):
        scores[precision] = np.array(
            [
                Net(max_epochs=15, horizon=0, random_state=seed, mixed_precision=precision)
                .fit(X[:3000], y[:3000])
                .score(X[3000:], y[3000:])
                for seed in range(seeds)
            ]
        )
    gap = scores["bfloat16"] - scores[False]
    noise = max(gap.std(ddof=1) / len(gap) ** 0.5, 1e-3)
    return Claim(
        "accuracy lost by bfloat16, in standard errors",
        -gap.mean() / noise,
        2.0, "<=", "", f"{scores[False].mean():.4f} to {scores['bfloat16'].mean():.4f}",
    )


def main():
    smoke = arguments(__doc__).smoke
    torch.set_num_threads(1)
    native, pairs = _native_bfloat16(), 1 if smoke else 5
    n = 1_024 if smoke else 2_048
    jobs = [
        (
            "MLP (60 x 16, width 512)",
            MLPNetClassifier,
            (n, 60, 16),
            2.0,
            {"module__hidden_size": 512},
        ),
        ("LSTM (60 x 16)", LSTMClassifier, (1_024, 60, 16), 1.3, {"module__hidden_size": 128}),
        ("GRU (60 x 16)", GRUClassifier, (1_024, 60, 16), None, {"module__hidden_size": 128}),
        ("TCN (60 x 16)", TCNClassifier, (1_024, 60, 16), 1.3, {"module__hidden_size": 64}),
        (
            "Transformer (60 x 16)",
            TransformerClassifier,
            (1_024, 60, 16),
            1.3,
            {"module__hidden_size": 128},
        ),
    ]
    if smoke:
        jobs = jobs[:1]
    claims = [
        speed(name, Net, shape, bound if native else None, pairs, **params)
        for name, Net, shape, bound, params in jobs
    ]
    claims.append(accuracy(MLPNetClassifier, 2 if smoke else 5))
    report("mixed_precision", claims, smoke=smoke)


if __name__ == "__main__":
    main()

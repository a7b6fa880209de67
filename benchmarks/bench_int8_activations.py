"""Weights and activations of eight bits: speed of the bare float32 network, and what it costs.

Nets of a million weights, trained on the bundled bars until validation stops them, and asked about
the six years after. The plain alternative is the bare network under ``torch.inference_mode()``; of
float activations the answers, for the quality. Rounding happens row by row, so rows alone, in any
batch and beside a row a thousand times as large have the same probabilities, to the last bit.
"""

from functools import partial
import os
import pickle
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _compression_jobs import NETS, n_weights, rows, trained
from _harness import Claim, arguments, paired, report
from bench_compression import forward
import numpy as np
from sklearn.metrics import balanced_accuracy_score
import torch

from sktrain import ModelQuantizer

SPEEDUP = {"gru": 4.0, "lstm": 4.0}  # one row, of the bare network
ALONE, LOUD = 100, 600  # rows asked one by one, and rows beside a loud one


def quality(kind, net, small):
    """Agreement with the net on later rows."""
    _, _, X, y = rows()
    before, after = net.predict_proba(X), small.predict_proba(X)
    change = np.abs(before - after)
    same = (before.argmax(1) == after.argmax(1)).mean()
    score = [balanced_accuracy_score(y, net.classes_[p.argmax(1)]) for p in (before, after)]
    yield Claim(f"{kind}: agreement", same, 0.99, ">=", note=f"{len(y)} later rows")
    note = f"mean {change.mean():.5f}"
    yield Claim(f"{kind}: largest change of a probability", change.max(), 0.02, note=note)
    points = 100 * abs(score[1] - score[0])
    yield Claim(f"{kind}: |balanced accuracy change|", points, 0.5, unit="pt")


def speed(kind, net, small, repeat):
    """Of the bare network, for one row and for 256."""
    X = np.asarray(rows()[2][:256])
    for batch, bound in ((1, SPEEDUP.get(kind, 1.0)), (256, 1.0)):
        ask = partial(small.predict_proba, X[:batch]), partial(forward, net, X[:batch])
        times = repeat * (20 if batch == 1 else 1)
        ours, plain, ratio = paired(*ask, repeat=times, warmup=3)
        note = f"{1000 * ours:.2f} ms, bare {1000 * plain:.2f} ms, {n_weights(net):,} weights"
        yield Claim(f"{kind}: speed, batch {batch}", 1 / ratio, bound, ">=", "x", note)
    data, began = pickle.dumps(small), time.perf_counter()
    pickle.loads(data)
    took = time.perf_counter() - began
    yield Claim(f"{kind}: seconds to open", took, None, note=f"{len(data) / 1e6:.2f} MB")


def independence(kind, small):
    """What company does to a row."""
    X = np.asarray(rows()[2][:LOUD])
    together = small.predict_proba(X)
    alone = np.concatenate([small.predict_proba(X[i : i + 1]) for i in range(ALONE)])
    loud, others = X.copy(), np.arange(LOUD) != 5
    loud[5] *= 1000
    moved = np.abs(small.predict_proba(loud)[others] - together[others]).max()
    apart = np.abs(alone - together[:ALONE]).max()
    yield Claim(f"{kind}: one row x 1000 moves others by", moved, 0.0, smoke=True)
    yield Claim(f"{kind}: a row alone and among {LOUD}", apart, 0.0, smoke=True)


def main():
    smoke = arguments(__doc__).smoke
    torch.set_num_threads(1)
    limits, claims = {"train": 300, "max_epochs": 1} if smoke else {}, []
    for kind in ("gru",) if smoke else NETS:
        net = trained(kind, **limits)
        small = ModelQuantizer(activations="int8").quantize_model(net)
        claims += quality(kind, net, small)
        claims += speed(kind, net, small, 2 if smoke else 15)
        claims += independence(kind, small)
    report("int8_activations", claims, smoke=smoke)


if __name__ == "__main__":
    main()

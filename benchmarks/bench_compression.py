"""What pruning and quantization give: size of the file, time of a prediction, and rows that do not
disturb each other.

The plain alternative is the trained torch net: its joblib file (weights and what predicting needs,
no optimizer) and its latency, on nets of a million weights. What compression costs is measured in
``bench_compression_quality``.

The bounds of one row (3 times as fast as the net, 1.3 for the LSTM) were asked of a net that copied
itself to float64 at every call; beside today's they are not met, and stay as bounds all the same.
``bench_int8_activations`` holds 4 times as fast as the bare GRU and LSTM.
"""

from functools import partial
from io import BytesIO
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _compression_jobs import NETS, n_weights, pruned, rows, trained
from _harness import Claim, arguments, paired, report
import joblib
import numpy as np
import torch

from sktrain import ModelQuantizer
from sktrain.compression._report import _without_optimizer

SPEEDUP = {"gru": 3.0, "tcn": 3.0, "transformer": 3.0, "lstm": 1.3, "mlp": None}


def size(model):
    """Bytes of a plain joblib file."""
    buffer = BytesIO()
    joblib.dump(_without_optimizer(model) if hasattr(model, "module_") else model, buffer)
    return buffer.tell()


def sizes_and_speed(kind, net, repeat):
    """Files, latencies, and what one loud row does to the others."""
    X_train, _, X, _ = rows()
    X = np.asarray(X[:600])
    quantize = ModelQuantizer().quantize_model
    small, half = quantize(net), pruned(net, 0.5, X_train)
    base = size(net)
    files = [
        ("int8", small, 0.26),
        ("50% pruned + int8", quantize(half), 0.20),
        ("80% pruned + int8", quantize(pruned(net, 0.8)), 0.10),
    ]
    files += [
        ("int4", ModelQuantizer(4).quantize_model(net), None),
        ("50% pruned + int4", ModelQuantizer(4).quantize_model(half), None),
    ]
    for name, model, bound in files:
        yield Claim(
            f"{kind}: file, {name}",
            size(model) / base,
            bound,
            note=f"{base / 1e6:.1f} MB float32, {n_weights(net):,} weights",
        )
    for batch, bound in ((1, SPEEDUP[kind]), (256, 1.0)):
        part = X[:batch]
        answer = partial(small.predict_proba, part)
        ours, plain, ratio = paired(
            answer, partial(net.predict_proba, part), repeat=repeat, warmup=2
        )
        module = paired(answer, partial(forward, net, part), repeat=repeat, warmup=2)[2]
        note = f"{1000 * ours:.2f} ms, net {1000 * plain:.2f} ms"
        yield Claim(f"{kind}: speed, batch {batch}", 1 / ratio, bound, ">=", "x", note)
        yield Claim(
            f"{kind}: speed, batch {batch}, of the bare float32 module", 1 / module, None, ">=", "x"
        )
    loud = X.copy()
    loud[5] *= 1000
    others = np.arange(len(X)) != 5
    change = np.abs(small.predict_proba(loud)[others] - small.predict_proba(X)[others]).max()
    yield Claim(f"{kind}: one row x 1000 moves others by", change, 1e-6, smoke=True)


def forward(net, X):
    """The bare network, as a careful user of torch would serve it."""
    with torch.inference_mode():
        return torch.softmax(net.module_(torch.from_numpy(X).float()), 1)


def main():
    smoke = arguments(__doc__).smoke
    torch.set_num_threads(1)
    claims = []
    for kind in ("gru",) if smoke else NETS:
        claims += sizes_and_speed(kind, trained(kind, max_epochs=1, train=300), 2 if smoke else 15)
    report("compression", claims, smoke=smoke)


if __name__ == "__main__":
    main()

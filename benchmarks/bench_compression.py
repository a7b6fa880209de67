"""What pruning and quantization give and cost, on nets of a million weights trained on the bundled bars.

The plain alternative is the trained torch net: its joblib file (weights and what predicting needs, no optimizer), its latency, its
predictions.
"""

import copy
from functools import partial
from io import BytesIO
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _compression_jobs import NETS, TEST, n_weights, rows, trained
from _harness import Claim, arguments, paired, report
import joblib
import numpy as np
from sklearn.metrics import balanced_accuracy_score
import torch

from sktrain import ModelPruner, ModelQuantizer
from sktrain.compression._fine_tuning import fine_tune
from sktrain.compression._report import _without_optimizer

SPEEDUP = {"gru": 3.0, "tcn": 3.0, "transformer": 3.0, "lstm": 1.3, "mlp": None}
SEEDS = 5


def size(model):
    """Bytes of a plain joblib file."""
    buffer = BytesIO()
    joblib.dump(_without_optimizer(model) if hasattr(model, "module_") else model, buffer)
    return buffer.tell()


def pruned(net, sparsity):
    """A pruned copy."""
    net = copy.deepcopy(net)
    ModelPruner(sparsity).prune_model(net)
    return net


def sizes_and_speed(kind, net, repeat):
    """Files, latencies, and what one loud row does to the others."""
    X = np.asarray(rows()[2])
    quantize = ModelQuantizer().quantize_model
    small = quantize(net)
    base = size(net)
    for name, model, bound in (("int8", small, 0.26), ("50% pruned + int8", quantize(pruned(net, 0.5)), 0.20), ("80% pruned + int8", quantize(pruned(net, 0.8)), 0.10)):
        yield Claim(f"{kind}: file, {name}", size(model) / base, bound, note=f"{base / 1e6:.1f} MB float32, {n_weights(net):,} weights")
    for batch, bound in ((1, SPEEDUP[kind]), (256, 1.0)):
        part = X[:batch]
        answer = partial(small.predict_proba, part)
        ours, plain, ratio = paired(answer, partial(net.predict_proba, part), repeat=repeat, warmup=2)
        module = paired(answer, partial(forward, net, part), repeat=repeat, warmup=2)[2]
        note = f"{1000 * ours:.2f} ms, net {1000 * plain:.2f} ms; bare float32 module {1 / module:.2g} times"
        yield Claim(f"{kind}: speed, batch {batch}", 1 / ratio, bound, ">=", "x", note)
    loud = X.copy()
    loud[5] *= 1000
    others = np.arange(len(X)) != 5
    change = np.abs(small.predict_proba(loud)[others] - small.predict_proba(X)[others]).max()
    yield Claim(f"{kind}: one row x 1000 moves others by", change, 1e-6, smoke=True)


def forward(net, X):
    """The bare network, as a careful user of torch would serve it."""
    with torch.inference_mode():
        return torch.softmax(net.module_(torch.from_numpy(X).float()), 1)


def quality(kind, seeds, epochs):
    """Agreement, change of probabilities and of balanced accuracy over seeds."""
    X_train, y_train, X, y = rows()
    found = {"int8": [], "50% pruned, fine-tuned": []}
    for seed in range(seeds):
        net = trained(kind, seed, epochs)
        slim = copy.deepcopy(net)
        fine_tune(slim, X_train, y_train, target=0.5, epochs=epochs)
        ModelPruner(0.5).prune_model(slim)
        before = net.predict_proba(X)
        for name, model in (("int8", ModelQuantizer().quantize_model(net)), ("50% pruned, fine-tuned", slim)):
            after = model.predict_proba(X)
            same = (before.argmax(1) == after.argmax(1)).mean()
            gain = balanced_accuracy_score(y, net.classes_[after.argmax(1)]) - balanced_accuracy_score(y, net.classes_[before.argmax(1)])
            found[name].append((same, np.abs(before - after).max(), 100 * gain))
    for name, values in found.items():
        same, change, gain = np.array(values).T
        note = f"{seeds} seeds, {TEST} later rows"
        yield Claim(f"{kind}: agreement, {name}", same.mean(), 0.99, ">=", note=f"{note}; worst {same.min():.3f}")
        yield Claim(f"{kind}: largest change of a probability, {name}", change.max(), 0.02, note=note)
        spread = f"mean of {note}; {gain.min():+.2f} to {gain.max():+.2f}"
        yield Claim(f"{kind}: |balanced accuracy change|, {name}", abs(gain.mean()), 0.5, unit="pt", note=spread)


def main():
    smoke = arguments(__doc__).smoke
    torch.set_num_threads(1)
    claims = []
    for kind in ("gru",) if smoke else NETS:
        claims += sizes_and_speed(kind, trained(kind, epochs=1), 2 if smoke else 15)
        if not smoke:
            claims += quality(kind, SEEDS, epochs=2)
    report("compression", claims, smoke=smoke)


if __name__ == "__main__":
    main()

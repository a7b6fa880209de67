"""What pruning and quantization give and cost, on nets of a million weights trained on the bundled bars.

The plain alternative is the trained torch net: its joblib file (weights and what predicting needs, no optimizer), its latency, its
predictions. Quality is measured on the years after the training rows, over seeds; two worker processes of one thread share the seeds.
"""

import copy
from functools import partial
from io import BytesIO
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _compression_jobs import NETS, n_weights, rows, trained
from _harness import Claim, arguments, paired, report
import joblib
import numpy as np
from sklearn.metrics import balanced_accuracy_score
import torch

from sktrain import ModelPruner, ModelQuantizer
from sktrain.compression._fine_tuning import fine_tune
from sktrain.compression._report import _without_optimizer

SPEEDUP = {"gru": 3.0, "tcn": 3.0, "transformer": 3.0, "lstm": 1.3, "mlp": None}
SEEDS, EPOCHS = 5, 6
KEPT = ("int8", "50% pruned, fine-tuned")  # the ways to compress that have a budget
OVERFIT = {"train_split": None, "max_epochs": 10}  # no validation: sure of itself, and wrong


def size(model):
    """Bytes of a plain joblib file."""
    buffer = BytesIO()
    joblib.dump(_without_optimizer(model) if hasattr(model, "module_") else model, buffer)
    return buffer.tell()


def pruned(net, sparsity, X=None):
    """A pruned copy."""
    net = copy.deepcopy(net)
    ModelPruner(sparsity).prune_model(net, X=X)
    return net


def tuned(net, sparsity, X, epochs):
    """A copy pruned step by step while it trains on the net's own answers."""
    net = copy.deepcopy(net)
    fine_tune(net, X, target=sparsity, epochs=epochs)
    return net


def sizes_and_speed(kind, net, repeat):
    """Files, latencies, and what one loud row does to the others."""
    X_train, _, X, _ = rows()
    X = np.asarray(X[:600])
    quantize = ModelQuantizer().quantize_model
    small, half = quantize(net), pruned(net, 0.5, X_train)
    base = size(net)
    files = [("int8", small, 0.26), ("50% pruned + int8", quantize(half), 0.20), ("80% pruned + int8", quantize(pruned(net, 0.8)), 0.10)]
    files += [("int4", ModelQuantizer(4).quantize_model(net), None), ("50% pruned + int4", ModelQuantizer(4).quantize_model(half), None)]
    for name, model, bound in files:
        yield Claim(f"{kind}: file, {name}", size(model) / base, bound, note=f"{base / 1e6:.1f} MB float32, {n_weights(net):,} weights")
    for batch, bound in ((1, SPEEDUP[kind]), (256, 1.0)):
        part = X[:batch]
        answer = partial(small.predict_proba, part)
        ours, plain, ratio = paired(answer, partial(net.predict_proba, part), repeat=repeat, warmup=2)
        module = paired(answer, partial(forward, net, part), repeat=repeat, warmup=2)[2]
        note = f"{1000 * ours:.2f} ms, net {1000 * plain:.2f} ms"
        yield Claim(f"{kind}: speed, batch {batch}", 1 / ratio, bound, ">=", "x", note)
        yield Claim(f"{kind}: speed, batch {batch}, of the bare float32 module", 1 / module, None, ">=", "x")
    loud = X.copy()
    loud[5] *= 1000
    others = np.arange(len(X)) != 5
    change = np.abs(small.predict_proba(loud)[others] - small.predict_proba(X)[others]).max()
    yield Claim(f"{kind}: one row x 1000 moves others by", change, 1e-6, smoke=True)


def forward(net, X):
    """The bare network, as a careful user of torch would serve it."""
    with torch.inference_mode():
        return torch.softmax(net.module_(torch.from_numpy(X).float()), 1)


def quality(kind, seed, epochs, params=None):
    """(agreement, largest and mean change of a probability, gain of balanced accuracy in points) of each way to compress one net."""
    torch.set_num_threads(1)
    X_train, _, X, y = rows()
    net = trained(kind, seed, **(params or {}))
    ways = {
        "int8": lambda: ModelQuantizer().quantize_model(net),
        "int4, rounded on training rows": lambda: ModelQuantizer(4).quantize_model(net, X_train),
        "50% pruned by size alone": lambda: pruned(net, 0.5),
        "50% pruned on training rows": lambda: pruned(net, 0.5, X_train),
        "50% pruned, fine-tuned": lambda: tuned(net, 0.5, X_train, epochs),
    }
    before = net.predict_proba(X)

    def compare(model):
        after = model.predict_proba(X)
        score = [balanced_accuracy_score(y, net.classes_[p.argmax(1)]) for p in (before, after)]
        change = np.abs(before - after)
        return (before.argmax(1) == after.argmax(1)).mean(), change.max(), change.mean(), 100 * (score[1] - score[0])

    return {name: compare(make()) for name, make in ways.items()}


def quality_claims(kind, found, where, budgets=(0.99, 0.02, 0.5)):
    """Claims over the seeds of one kind."""
    for name in found[0]:
        same, largest, mean, gain = np.array([one[name] for one in found]).T
        bounds = budgets if name in KEPT else (None,) * 3
        yield Claim(f"{kind}: agreement, {name}", same.mean(), bounds[0], ">=", note=f"{where}; worst {same.min():.4f}")
        yield Claim(f"{kind}: largest change of a probability, {name}", largest.max(), bounds[1], note=f"{where}; mean change {mean.mean():.5f}")
        spread = f"mean of {where}; {gain.min():+.2f} to {gain.max():+.2f}"
        yield Claim(f"{kind}: |balanced accuracy change|, {name}", np.abs(gain).mean(), bounds[2], unit="pt", note=spread)


def measure_quality(kinds):
    """Claims about answers, by kind: converged nets, and one that was trained past all validation (reported only)."""
    n_later = len(rows()[3])
    jobs = [(kind, seed, None) for kind in kinds for seed in range(SEEDS)] + [(kind, 0, OVERFIT) for kind in kinds]
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(quality)(kind, seed, EPOCHS, params) for kind, seed, params in jobs)
    claims = {}
    for kind in kinds:
        own, past = ([one for job, one in zip(jobs, found) if job[0] == kind and job[2] is params] for params in (None, OVERFIT))
        claims[kind] = list(quality_claims(kind, own, f"{SEEDS} seeds, {n_later} later rows"))
        claims[kind] += quality_claims(f"{kind} without validation", past, f"{n_later} later rows", (None,) * 3)
    return claims


def main():
    smoke = arguments(__doc__).smoke
    torch.set_num_threads(1)
    kinds, claims = ("gru",) if smoke else tuple(NETS), []
    quality_of = {} if smoke else measure_quality(kinds)
    for kind in kinds:
        claims += sizes_and_speed(kind, trained(kind, max_epochs=1, train=300), 2 if smoke else 15)
        claims += quality_of.get(kind, [])
    report("compression", claims, smoke=smoke)


if __name__ == "__main__":
    main()

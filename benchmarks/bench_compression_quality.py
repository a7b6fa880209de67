"""What pruning and quantization cost in quality: nets of a million weights, trained on the bundled
bars until validation stops them, and asked about the six years after, over seeds.

The plain alternative is the trained torch net: agreement with it, the change of its probabilities
and of its balanced accuracy. Two worker processes of one thread share the seeds.
"""

import copy
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _compression_jobs import NETS, pruned, rows, trained
from _harness import Claim, arguments, report
import joblib
import numpy as np
from sklearn.metrics import balanced_accuracy_score
import torch

from sktrain import ModelQuantizer
from sktrain.compression._fine_tuning import fine_tune

SEEDS, EPOCHS = 5, 4
KEPT = ("int8", "50% pruned, fine-tuned")  # the ways to compress that have a budget
OVERFIT = {"train_split": None, "max_epochs": 10}  # no validation: sure of itself, and wrong


def tuned(net, sparsity, X, epochs):
    """A copy pruned step by step while it trains on the net's own answers."""
    net = copy.deepcopy(net)
    fine_tune(net, X, target=sparsity, epochs=epochs)
    return net


def quality(kind, seed, epochs, params):
    """(agreement, largest and mean change of a probability, gain of balanced accuracy in points) of
    each way to compress one net."""
    torch.set_num_threads(1)
    X_train, _, X, y = rows(params.get("train"))
    net = trained(kind, seed, **params)
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
        return (
            (before.argmax(1) == after.argmax(1)).mean(),
            change.max(),
            change.mean(),
            100 * (score[1] - score[0]),
        )

    return {name: compare(make()) for name, make in ways.items()}


def quality_claims(kind, found, where, budgets=(0.99, 0.02, 0.5)):
    """Claims over the seeds of one kind."""
    for name in found[0]:
        same, largest, mean, gain = np.array([one[name] for one in found]).T
        bounds = budgets if name in KEPT else (None,) * 3
        yield Claim(
            f"{kind}: agreement, {name}",
            same.mean(),
            bounds[0],
            ">=",
            note=f"{where}; worst {same.min():.4f}",
        )
        yield Claim(
            f"{kind}: largest change of a probability, {name}",
            largest.max(),
            bounds[1],
            note=f"{where}; mean change {mean.mean():.5f}",
        )
        spread = f"mean of {where}; {gain.min():+.2f} to {gain.max():+.2f}"
        yield Claim(
            f"{kind}: |balanced accuracy change|, {name}",
            np.abs(gain).mean(),
            bounds[2],
            unit="pt",
            note=spread,
        )


def main():
    smoke = arguments(__doc__).smoke
    kinds, seeds = (("mlp",), 1) if smoke else (tuple(NETS), SEEDS)
    limits = {"train": 300, "max_epochs": 1} if smoke else {}
    jobs = [(kind, seed, limits) for kind in kinds for seed in range(seeds)] + [
        (kind, 0, {**OVERFIT, **limits}) for kind in kinds
    ]
    work = (
        joblib.delayed(quality)(kind, seed, 1 if smoke else EPOCHS, params)
        for kind, seed, params in jobs
    )
    found, claims = joblib.Parallel(n_jobs=2)(work), []
    later = f"{len(rows()[3])} later rows"
    for kind in kinds:
        own, past = (
            [
                one
                for job, one in zip(jobs, found)
                if job[0] == kind and ("train_split" in job[2]) is without
            ]
            for without in (False, True)
        )
        claims += quality_claims(kind, own, f"{seeds} seeds, {later}")
        claims += quality_claims(f"{kind} without validation", past, later, (None,) * 3)
    report("compression_quality", claims, smoke=smoke)


if __name__ == "__main__":
    main()

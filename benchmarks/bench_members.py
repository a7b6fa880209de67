"""Eight members of a net against our own eight fits, one after another, on one core.

The members of the fully connected net are trained as one program of batched products; those of the
others one after another, so there the ratio only shows that nothing is lost.
"""

import time

from _harness import Claim, arguments, paired, report
import numpy as np
from sklearn.base import clone
import torch

import sktrain

MEMBERS = 8
OTHERS = ("GRUClassifier", "LSTMClassifier", "TCNClassifier", "TransformerClassifier")


def rows_of(n, steps, features):
    X = np.random.default_rng(0).normal(size=(n, steps, features)).astype(np.float32)
    return X, np.digitize(X[:, -1, 0] + 0.5 * X[:, -1, 1], [-0.4, 0.4])


def ratio(name, X, y, batch, epochs, repeat):
    """How many times faster together than one by one; the seconds of both, and the largest
    difference of a member, trained without dropout, from the net alone."""
    options = {"batch_size": batch, "max_epochs": epochs, "horizon": 0, "mixed_precision": False}
    net = getattr(sktrain, name)(n_members=MEMBERS, random_state=0, **options)
    seeds = net._seeds()

    def one_by_one():
        for seed in seeds:
            clone(net).set_params(n_members=1, random_state=seed).fit(X, y)

    mine, theirs, share = paired(lambda: clone(net).fit(X, y), one_by_one, repeat=repeat)
    still = clone(net).set_params(module__dropout=0.0, max_epochs=1).fit(X, y)
    single = clone(still).set_params(n_members=1, random_state=seeds[-1]).fit(X, y)
    gap = np.abs(still.members_[-1].predict_proba(X) - single.predict_proba(X)).max()
    return 1 / share, mine, theirs, float(gap)


def main():
    options = arguments(__doc__)
    torch.set_num_threads(1)
    began, claims, gaps = time.perf_counter(), [], []
    n, epochs, repeat = (400, 2, 1) if options.smoke else (1536, 5, 3)
    X, y = rows_of(n, 1, 24)
    for batch in (32, 64, 128, 512):
        gain, mine, theirs, gap = ratio("MLPNetClassifier", X, y, batch, epochs, repeat)
        gaps.append(gap)
        bound = 2.0 if batch == 64 else None
        note = f"{n} rows x 24, {mine:.2f} s against {theirs:.2f} s"
        name = f"MLP, batch {batch}: eight members / eight fits"
        claims.append(Claim(name, gain, bound, ">=", unit="x", note=note))
    n, epochs, repeat = (200, 1, 1) if options.smoke else (300, 2, 3)
    X, y = rows_of(n, 20, 8)
    for name in OTHERS:
        gain, mine, theirs, gap = ratio(name, X, y, 64, epochs, repeat)
        gaps.append(gap)
        note = f"{n} rows x 20 x 8, {mine:.2f} s against {theirs:.2f} s"
        short = name.removesuffix("Classifier")
        claims.append(Claim(f"{short}, batch 64: eight / eight", gain, unit="x", note=note))
    claims.append(Claim("a member against the net alone", max(gaps), 1e-5, smoke=True))
    print(f"{time.perf_counter() - began:.0f} s")
    report("members", claims, smoke=options.smoke)


if __name__ == "__main__":
    main()

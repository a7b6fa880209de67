"""predict_proba of one window against the bare float32 network called on a ready tensor.

The five nets at their default sizes on windows of 60 x 16. What the nets do on top of their network
(checks of the array, standardization, the inverse of the loss, calibration) is part of their time;
the network alone is called under ``torch.inference_mode()``. Beside it: how far the probabilities
of a row move when it is asked among others.
"""

import statistics
import time

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

NETS = (MLPNetClassifier, LSTMClassifier, GRUClassifier, TCNClassifier, TransformerClassifier)
SHAPE = (60, 16)


def claims_of(Net, calls, n_rows):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, *SHAPE)), rng.integers(0, 3, 600)
    net = Net(max_epochs=2, horizon=0, random_state=0).fit(X, y)
    bare, ready, row = net.module_.eval(), torch.from_numpy(X[:1]).float(), X[:1]
    mine, plain = [], []
    for _ in range(calls):
        began = time.perf_counter()
        net.predict_proba(row)
        between = time.perf_counter()
        with torch.inference_mode():
            bare(ready)
        mine.append(between - began)
        plain.append(time.perf_counter() - between)
    mine, plain = (1e6 * statistics.median(times[calls // 10 :]) for times in (mine, plain))
    name = Net.__name__.removesuffix("Classifier")
    yield Claim(
        f"{name}: one row, of the bare network", mine / plain, 1.5, "<=", "x",
        f"{mine:.0f} us against {plain:.0f} us",
    )  # fmt: skip
    many = rng.normal(size=(n_rows, *SHAPE))
    together = net.predict_proba(many)
    alone = np.concatenate([net.predict_proba(many[i : i + 1]) for i in range(200)])
    apart = float(np.abs(together[:200] - alone).max())
    yield Claim(
        f"{name}: a row alone and among {n_rows:,}, largest difference", apart, 1e-6, "<=",
        smoke=True,
    )  # fmt: skip


def main():
    smoke = arguments(__doc__).smoke
    torch.set_num_threads(1)
    calls, n_rows = (60, 1500) if smoke else (2000, 5000)
    claims = [claim for Net in NETS for claim in claims_of(Net, calls, n_rows)]
    report("one_row", claims, smoke=smoke)


if __name__ == "__main__":
    main()

"""The table the original printed (memory, speed, accuracy, size per feature), measured on one real
job.

Each configuration trains a GRU on fourteen years of S&P 500 bars in a process of its own: peak
memory of training, rows per second, then balanced accuracy on the six years after them over five
seeds, size of the joblib file and latency of one row. Pruning and rounding see the training rows.
Only reported; no budgets.
"""

import json
import os
from pathlib import Path
import statistics
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _harness import Claim, arguments, mean_interval, report

ADDED = [
    ("base", {}),
    ("+ mixed precision", {"mixed": True}),
    ("+ pruning", {"mixed": True, "sparsity": 0.5}),
    ("+ quantization", {"mixed": True, "sparsity": 0.5, "bits": 8}),
    ("full", {"mixed": True, "sparsity": 0.5, "bits": 8, "full": True}),
]
SEEDS, EPOCHS, HIDDEN = 5, 8, 256


def job(setup):
    """Train, compress and measure; runs in a process of its own."""
    import time
    import warnings

    from _compression_jobs import HORIZON, rows
    import numpy as np
    from sklearn.metrics import balanced_accuracy_score
    import torch

    from sktrain import GRUClassifier
    from sktrain.compression._report import _milliseconds, compressed_copy, quantizer, size_of

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    X, y, X_later, y_later = rows(setup["rows"])
    plain = {"criterion": torch.nn.CrossEntropyLoss, "callbacks": "disable", "train_split": None}
    chosen = (
        {"gradient_checkpointing": True, "criterion__alpha": "balanced"}
        if setup.get("full")
        else plain
    )
    seconds, scores, figures = [], [], {}
    for seed in range(setup["seeds"]):
        net = GRUClassifier(
            max_epochs=setup["epochs"],
            random_state=seed,
            horizon=HORIZON,
            module__hidden_size=HIDDEN,
            mixed_precision="bfloat16" if setup.get("mixed") else False,
            **chosen,
        )
        start = time.process_time()
        net.fit(X, y)
        seconds.append(
            (time.process_time() - start) / len(net.history_) / len(net.validation_.train)
        )
        if not seed:
            figures["memory"] = peak_memory()
        level = setup.get("sparsity", 0.0), quantizer(setup.get("bits"))
        model, _ = compressed_copy(net, *level, X)
        scores.append(balanced_accuracy_score(y_later, model.predict(X_later)))
    figures.update(
        size=size_of(model),
        latency=_milliseconds(model, np.asarray(X_later[:1])),
        seconds=statistics.median(seconds),
        scores=scores,
    )
    return figures


def peak_memory():
    """MiB this process ever held, imports included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main():
    smoke = arguments(__doc__).smoke
    setups = ADDED[:1] + ADDED[-1:] if smoke else ADDED
    found = {}
    for name, setup in setups:
        text = json.dumps(
            {
                **setup,
                "seeds": 1 if smoke else SEEDS,
                "epochs": 1 if smoke else EPOCHS,
                "rows": 300 if smoke else None,
            }
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, "--job", text],
            capture_output=True,
            text=True,
            check=True,
        )
        found[name] = json.loads(done.stdout.splitlines()[-1])
    base, claims = found["base"], []
    for name, row in found.items():
        gains = [100 * (a - b) for a, b in zip(row["scores"], base["scores"])]
        claims += [
            Claim(f"{name}: peak memory of training", row["memory"], unit="MiB"),
            Claim(
                f"{name}: training speed",
                base["seconds"] / row["seconds"],
                unit="x",
                note=f"{1e6 * row['seconds']:.0f} µs of processor time a row and epoch",
            ),
            Claim(
                f"{name}: balanced accuracy", statistics.mean(row["scores"]), note=interval(gains)
            ),
            Claim(f"{name}: model size", row["size"] / 1024, unit="KiB"),
            Claim(f"{name}: latency of one row", row["latency"], unit="ms"),
        ]
    report("original_table", claims, smoke=smoke)


def interval(gains):
    """Mean gain in points with its 95 % interval over seeds (Student's t)."""
    if len(gains) < 2:
        return "one seed"
    mean, half = mean_interval(gains)
    return (
        f"against base {mean:+.2f} points [{mean - half:+.2f}, {mean + half:+.2f}], {len(gains)} "
        "seeds"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        print(json.dumps(job(json.loads(sys.argv[2]))))
    else:
        main()

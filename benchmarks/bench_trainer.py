"""``sktrain train`` with everything but the search on, five US stocks, 20 epochs: wall time, peak memory, and two runs compared."""

import json
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from _harness import Claim, arguments, report
import psutil

STOCKS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]


def train(folder, epochs, extra):
    """One run of the command: seconds, peak resident bytes of the process, its result."""
    command = [sys.executable, "-m", "sktrain", "train", "--stocks", *STOCKS, "--epochs", str(epochs), "--out", str(folder), "--quiet"]
    begin = time.perf_counter()
    child = psutil.Popen([*command, *extra], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak = 0
    while child.poll() is None:
        try:
            peak = max(peak, child.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.1)
    if child.wait():
        sys.exit(child.stderr.read())
    return time.perf_counter() - begin, peak, json.loads((Path(folder) / "result.json").read_text())


def measured(result):
    """What must be equal between two runs."""
    return {name: result[name] for name in ("best_val_loss", "walk_forward_results", "test_scores", "metrics_summary", "drift")}


def main():
    smoke = arguments(__doc__).smoke
    models = ["gru"] if smoke else ["lstm", "gru", "tcn", "transformer"]
    common = ["--deterministic", "--set", "quantize_model=true"]
    small = ["use_walk_forward=false", "leakage_audit=false", "lookback=5", "quantize_model=false"] if smoke else []
    with tempfile.TemporaryDirectory() as folder:
        seconds, peak, first = train(Path(folder) / "a", 1 if smoke else 20, [*common, *small, "--model", *models])
        again = [*common, "wf_folds=2", "early_stopping_min_epochs=1", *small, "--model", *models]
        _, _, second = train(Path(folder) / "b", 1 if smoke else 2, again)
        _, _, third = train(Path(folder) / "c", 1 if smoke else 2, again)
    claims = [
        Claim("sktrain train, four nets, five stocks, 20 epochs", seconds, 300.0, "<=", "s", "deterministic: one thread"),
        Claim("peak memory of the run", peak / 2**30, 1.0, "<=", "GiB"),
        Claim("two deterministic runs that differ (2 epochs, 2 folds)", float(measured(second) != measured(third)), 0.0, "<=", smoke=True),
        Claim("epochs completed", first["epochs_completed"], None),
    ]
    report("trainer", claims, smoke=smoke)


if __name__ == "__main__":
    main()

"""``sktrain train`` with everything but the search on, the original's own call, and a nested search: time, memory, and two runs compared."""

import json
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from _harness import Claim, arguments, report
import psutil

STOCKS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
EVERYTHING = ["--stocks", *STOCKS, "--set", "quantize_model=true"]
SMALL = [
    *("--model", "gru", "--set", "lookback=5", "hidden_size=8", "wf_folds=2", "leakage_audit=false"),
    *("quantize_model=false", "early_stopping_min_epochs=1"),
]  # fmt: skip
_EVERY = 0.25  # seconds between two looks at a run


class Measured:
    """One run of the command.

    Attributes
    ----------
    seconds, cpu : float
        Wall time, and processor time of the process and its workers.
    peak : float
        Most memory held at one time, workers included, in GiB; pages that processes share count once (PSS).
    result : dict
    """

    def __init__(self, folder, flags):
        command = [sys.executable, "-W", "ignore", "-m", "sktrain", "train", "--out", str(folder)]
        begin, self.cpu, self.peak = time.perf_counter(), 0.0, 0.0
        child = psutil.Popen([*command, "--quiet", *flags], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        spent = {}
        while child.poll() is None:
            self._look(child, spent)
            time.sleep(_EVERY)
        self.seconds = time.perf_counter() - begin
        self.cpu = sum(spent.values())
        if child.wait():
            sys.exit(child.stderr.read())
        self.result = json.loads((Path(folder) / "result.json").read_text())

    def _look(self, child, spent):
        held = 0
        try:
            for one in (child, *child.children(recursive=True)):
                held += one.memory_full_info().pss
                times = one.cpu_times()
                spent[one.pid] = times.user + times.system
        except psutil.NoSuchProcess:
            return
        self.peak = max(self.peak, held / 2**30)

    def figures(self):
        """What must be equal between two runs."""
        names = ("best_val_loss", "walk_forward_results", "test_scores", "metrics_summary", "drift")
        return {name: self.result[name] for name in names}

    def stages(self, folder):
        """Seconds by stage, as the report tells them."""
        origin = json.loads((Path(folder) / "evidence.json").read_text())["origin"]
        return {name.removeprefix("seconds, "): value for name, value in origin.items() if name.startswith("seconds")}


def main():
    smoke = arguments(__doc__).smoke
    small = SMALL if smoke else []
    epochs = "1" if smoke else "20"
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / name for name in "abcde"]
        whole = Measured(folders[0], [*EVERYTHING, "--epochs", epochs, *small])
        original = Measured(folders[1], ["--epochs", "1" if smoke else "100", *small])
        hpo = Measured(folders[2], [*EVERYTHING, "--epochs", epochs, "--hpo", "2" if smoke else "30", *small, "--set", f"n_jobs={1 if smoke else 2}"])
        again = [*EVERYTHING, "--deterministic", "--epochs", "1" if smoke else "2", "--set", "wf_folds=2", "early_stopping_min_epochs=1", *small]
        first, second = (Measured(folder, again) for folder in folders[3:])
        stages = whole.stages(folders[0])
    slowest = ", ".join(f"{name} {value:.0f} s" for name, value in sorted(stages.items(), key=lambda one: -one[1])[:3])
    claims = [
        Claim("sktrain train, four nets, five stocks, 20 epochs", whole.seconds, 300.0, "<=", "s", slowest, details=stages),
        Claim("processor time of that run", whole.cpu, None, unit="s"),
        Claim("peak memory of that run", whole.peak, 1.0, "<=", "GiB"),
        Claim("EnhancedTrainer().train(epochs=100), processor time", original.cpu, 180.0, "<=", "s"),
        Claim("the same with a search of 30 trials, nested, n_jobs=2", hpo.seconds / 60, 15.0, "<=", "min", f"processor time {hpo.cpu / 60:.1f} min, peak {hpo.peak:.2f} GiB"),
        Claim("two deterministic runs that differ (2 epochs, 2 folds)", float(first.figures() != second.figures()), 0.0, "<=", smoke=True),
        Claim("epochs completed", whole.result["epochs_completed"], None),
    ]
    report("trainer", claims, smoke=smoke)


if __name__ == "__main__":
    main()

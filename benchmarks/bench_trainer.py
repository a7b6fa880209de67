"""``sktrain train`` with everything on, the original's own call, a nested search, faults.

``--part`` measures a part alone and leaves the figures of the others:

a   four nets on five stocks, 20 epochs, everything but the search: seconds, memory
b   ``EnhancedTrainer().train(epochs=100)``: processor time; two deterministic runs compared
c   the run of part a with a search of 30 trials inside every fold; with ``--keep FOLDER`` a run
    that was cut goes on where it was, and its seconds are added
d   20 markets without signal, searched (``bench_trainer_no_signal.py``)
e   10 interrupts and 10 kills at random moments (``tests/attack/interrupts.py``)
"""

import argparse
from contextlib import nullcontext
import importlib.util
import json
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import time

from _harness import Claim, report
import psutil

HERE = Path(__file__).parent
STOCKS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
EVERYTHING = ["--stocks", *STOCKS, "--set", "quantize_model=true"]
TINY = [
    *("--stocks", "AAPL", "FB", "--model", "mlp", "--epochs", "1", "--hpo", "2", "--deterministic"),
    *("--set", "lookback=5", "hidden_size=8", "wf_folds=2", "early_stopping_min_epochs=1"),
    *("leakage_audit=false", "prune_after_training=false", "n_jobs=1"),
]
_EVERY = 0.5  # seconds between two looks at a run


class Measured:
    """One run of the command.

    Parameters
    ----------
    folder : path
        Of the run. A run that stands there unfinished goes on, and its seconds count.
    flags : list of str

    Attributes
    ----------
    seconds, cpu : float
        Wall time, and processor time of the process and its workers.
    peak : float
        Most memory held at one time, workers included, in GiB; pages that processes share count
        once (PSS).
    result : dict
    """

    def __init__(self, folder, flags):
        self.folder = Path(folder)
        self._spent = self.folder.parent / f"{self.folder.name}.spent.json"
        self.seconds, self.cpu, self.peak = 0.0, 0.0, 0.0
        command = [sys.executable, "-W", "ignore", "-m", "sktrain", "train", "--quiet", *flags]
        command += ["--out", str(folder)]
        if self._spent.exists():
            self.seconds, self.cpu, self.peak = json.loads(self._spent.read_text())
            command.append("--resume")
        self._watch(command)
        self.result = json.loads((self.folder / "result.json").read_text())

    def _watch(self, command):
        begun, times = time.perf_counter(), {}
        seconds, cpu = self.seconds, self.cpu
        child = psutil.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"cut; so far in {self._spent}"))
        try:
            while child.poll() is None:
                self._look(child, times)
                self.seconds = seconds + time.perf_counter() - begun
                self.cpu = cpu + sum(times.values())
                self._spent.write_text(json.dumps([self.seconds, self.cpu, self.peak]))
                time.sleep(_EVERY)
        finally:
            if child.poll() is None:
                child.kill()
        if child.wait():
            sys.exit(child.stderr.read())
        self._spent.unlink()

    def _look(self, child, times):
        held = 0
        try:
            for one in (child, *child.children(recursive=True)):
                held += one.memory_full_info().pss
                spent = one.cpu_times()
                times[one.pid] = spent.user + spent.system
        except psutil.NoSuchProcess:
            return
        self.peak = max(self.peak, held / 2**30)

    def figures(self):
        """What must be equal between two runs."""
        names = ("best_val_loss", "walk_forward_results", "test_scores", "metrics_summary", "drift")
        return {name: self.result[name] for name in names}

    def stages(self):
        """Seconds by stage, as the report tells them."""
        origin = json.loads((self.folder / "evidence.json").read_text())["origin"]
        return {
            name.removeprefix("seconds, "): value
            for name, value in origin.items()
            if name.startswith("seconds")
        }


def everything(place):
    """Part a."""
    whole = Measured(place / "a", [*EVERYTHING, "--epochs", "20"])
    stages = whole.stages()
    slow = sorted(stages.items(), key=lambda one: -one[1])[:3]
    note = ", ".join(f"{name} {value:.0f} s" for name, value in slow)
    name = "sktrain train, four nets, five stocks, 20 epochs"
    return [
        Claim(name, whole.seconds, 300.0, "<=", "s", note, details=stages),
        Claim("processor time of that run", whole.cpu, None, unit="s"),
        Claim("peak memory of that run", whole.peak, 1.0, "<=", "GiB"),
        Claim("epochs completed", whole.result["epochs_completed"], None),
    ]


def original(place):
    """Part b."""
    name = "EnhancedTrainer().train(epochs=100), processor time"
    claim = Claim(name, Measured(place / "b", ["--epochs", "100"]).cpu, 180.0, "<=", "s")
    two = ["--deterministic", "--epochs", "2", "--set", "wf_folds=2", "early_stopping_min_epochs=1"]
    first, second = (Measured(place / name, [*EVERYTHING, *two]) for name in ("b1", "b2"))
    differ = float(first.figures() != second.figures())
    return [claim, Claim("two deterministic runs that differ (2 epochs, 2 folds)", differ, 0.0)]


def searched(place):
    """Part c."""
    run = Measured(place / "c", [*EVERYTHING, "--epochs", "20", "--hpo", "30"])
    note = f"processor time {run.cpu / 60:.1f} min, peak {run.peak:.2f} GiB"
    name = "the same with a search of 30 trials, nested"
    return [Claim(name, run.seconds / 60, 15.0, "<=", "min", note, details=run.stages())]


def no_signal(place):
    """Part d, which keeps its own figures."""
    command = [sys.executable, str(HERE / "bench_trainer_no_signal.py")]
    failed = subprocess.run(command, check=False).returncode
    return [Claim("searches of markets without signal beyond chance", float(bool(failed)), 0.0)]


def faults(place):
    """Part e."""
    file = HERE.parent / "tests" / "attack" / "interrupts.py"
    spec = importlib.util.spec_from_file_location("interrupts", file)
    interrupts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(interrupts)
    wrong = interrupts.count(place, 10)
    return [
        Claim(f"{name} of 10 {what}", float(len(said)), 0.0, note="; ".join(said)[:300])
        for name, what, said in (
            ("interrupts", "that lost a model or ended in a traceback", wrong["interrupts"]),
            ("kills", "after which resume gave another result", wrong["kills"]),
        )
    ]


def smoke(place):
    """Two tiny runs with a search, compared."""
    first, second = (Measured(place / name, TINY) for name in ("s1", "s2"))
    differ = float(first.figures() != second.figures())
    return [
        Claim("two tiny deterministic runs that differ", differ, 0.0, smoke=True),
        Claim("processor time of a tiny run", first.cpu, None, unit="s"),
    ]


PARTS = {"a": everything, "b": original, "c": searched, "d": no_signal, "e": faults}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="two tiny runs; writes no results")
    parser.add_argument("--part", choices=list(PARTS), nargs="+", default=list(PARTS))
    parser.add_argument("--keep", type=Path, help="folder of the runs, to go on in when cut")
    asked = parser.parse_args()
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() if asked.keep is None else nullcontext(asked.keep) as place:
        parts = [smoke] if asked.smoke else [PARTS[name] for name in asked.part]
        claims = [claim for part in parts for claim in part(Path(place))]
    report("trainer", claims, smoke=asked.smoke, merge=set(asked.part) != set(PARTS))


if __name__ == "__main__":
    main()

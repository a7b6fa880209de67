"""Interrupts and kills at random moments of ``sktrain train``, counted: python
tests/attack/interrupts.py [--count 10] [--seed 0].

An interrupted training leaves the old model or a whole new one and prints no traceback. A killed
one, resumed, ends with the model of a training that nobody disturbed. Moments are drawn over the
whole life of the process, imports included.
"""

import argparse
import json
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from sktrain import load

TRAIN = [
    *(
        sys.executable, "-W", "ignore", "-m", "sktrain", "train", "--dataset", "sp500", "--model",
        "mlp", "gru", "--epochs", "8", "--quiet",
    ),
    *(
        "--deterministic", "--set", "lookback=5", "wf_folds=2", "ensure_regime_coverage=false",
        "leakage_audit=false",
    ),
    *("prune_after_training=false", "early_stopping_min_epochs=8"),
]
FIGURES = (
    "best_train_loss", "best_val_loss", "walk_forward_results", "test_scores", "drift",
    "hyperparameters",
)


def train(folder, *more):
    """The running command."""
    command = [*TRAIN, "--out", str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def figures(folder):
    """What must not depend on what happened on the way."""
    result = json.loads((folder / "result.json").read_text())
    return {name: result[name] for name in FIGURES}


def undisturbed(folder):
    """Seconds of a training that nobody disturbs."""
    begun = time.perf_counter()
    child = train(folder)
    _, err = child.communicate()
    assert child.returncode == 0, err
    return time.perf_counter() - begun


def interrupted(folder, moment):
    """What is wrong after an interrupt ``moment`` seconds after the start; None where nothing
    is."""
    child = train(folder, "--seed", "7")
    time.sleep(moment)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=300)
    if "Traceback" in err:
        return f"a traceback: {err}"
    if child.returncode not in (0, 130, -signal.SIGINT):
        return f"exit status {child.returncode}: {err}"
    model, result = load(folder / "model.sktrain"), json.loads((folder / "result.json").read_text())
    if (
        any(not len(net.history_) for net in model[-1].estimators_)
        or result["epochs_completed"] < 1
    ):
        return "an untrained member"
    return None


def killed(folder, moment, expected):
    """What is wrong after a kill and a resumed training."""
    child = train(folder)
    time.sleep(moment)
    child.kill()
    child.communicate()
    child = train(folder, "--resume")
    _, err = child.communicate(timeout=600)
    if child.returncode:
        return f"exit status {child.returncode} after resume: {err}"
    found = figures(folder)
    other = [name for name in FIGURES if found[name] != expected[name]]
    return f"other figures after resume: {', '.join(other)}" if other else None


def count(place, number, seed=0):
    """What was wrong after so many interrupts and so many kills, in folders within ``place``."""
    rng = np.random.default_rng(seed)
    whole = Path(place) / "whole"
    seconds = undisturbed(whole)
    expected = figures(whole)
    print(f"undisturbed: {seconds:.0f} s", flush=True)
    wrong = {"interrupts": [], "kills": []}
    for turn in range(number):
        moment = float(rng.uniform(0, seconds))
        shutil.copytree(whole, Path(place) / f"interrupted-{turn}")
        said = interrupted(Path(place) / f"interrupted-{turn}", moment)
        print(f"interrupt after {moment:5.1f} s: {said or 'fine'}", flush=True)
        wrong["interrupts"] += [said] if said else []
    for turn in range(number):
        moment = float(rng.uniform(0, seconds))
        said = killed(Path(place) / f"killed-{turn}", moment, expected)
        print(f"kill after {moment:5.1f} s, then resume: {said or 'the same result'}", flush=True)
        wrong["kills"] += [said] if said else []
    return wrong


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        wrong = count(place, asked.count, asked.seed)
    lost = sum(map(len, wrong.values()))
    print(f"{lost} of {2 * asked.count} wrong")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

"""What it costs to open a good file: against the version before untrusted files were safe to open,
whose sources come from the history, and against this version with its checks switched off."""

from contextlib import ExitStack
from io import BytesIO
import os
from pathlib import Path
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from unittest import mock
import warnings

import _harness

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "persistence" / "golden"
BEFORE = "b3eaf23852e344622222bbc910243fe8af98dbff"
"""The last commit before the checks; it reads and writes format 1."""

WARM, TIMES = 3, 30  # openings of each file by each version: before they count, and counted
CHECKS = {  # what was added when untrusted files were made safe to open, and what does nothing
    "sktrain.persistence._checks.check_tree_state": lambda arguments, state: None,
    "sktrain.persistence._checks.checked": lambda root: root,
    "sktrain.persistence._file._compare": lambda manifest, estimator, decoder: None,
    "sktrain.persistence._nets._check_sizes": lambda net, weights: None,
    "sktrain.persistence._nets._check_shapes": lambda module, weights: None,
    "sktrain.persistence._probes.replayable": lambda estimator, rows: None,
    "sktrain.persistence._skops._check_archive": lambda archive, size, member, budget: None,
    "sktrain.compression._quantized.QuantizedClassifier._inflates": staticmethod(lambda state: 0),
}
MAKE = """
import sys, warnings; warnings.simplefilter("ignore")
import numpy as np
from sklearn import ensemble, linear_model, neighbors, pipeline, preprocessing
import sktrain
rng = np.random.default_rng(0)
X = rng.normal(size=(300, 20, 10)).astype("f4")
y, flat = (X[:, -1, 0] > 0).astype(int), X[:, -1]
common = {"max_epochs": 1, "random_state": 0, "horizon": 0}
nets = {name: getattr(sktrain, cls)(**common).fit(X, y) for name, cls in {
    "GRU": "GRUClassifier", "LSTM": "LSTMClassifier", "MLP": "MLPNetClassifier",
    "TCN": "TCNClassifier", "Transformer": "TransformerClassifier"}.items()}
large = sktrain.GRUClassifier(module__hidden_size=300, module__n_layers=2, **common).fit(X, y)
made = {**nets, "GRU of a million weights": large,
    "GRU of a million weights, int8": sktrain.ModelQuantizer().quantize_model(large),
    **{f"{name}, int8": sktrain.ModelQuantizer().quantize_model(net) for name, net in nets.items()},
    "forest": ensemble.RandomForestClassifier(50, random_state=0).fit(flat, y),
    "gradient boosting": ensemble.GradientBoostingClassifier(random_state=0).fit(flat, y),
    "histogram boosting": ensemble.HistGradientBoostingClassifier(random_state=0).fit(flat, y),
    "pipeline": pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression()).fit(flat, y),
    "neighbours": neighbors.KNeighborsClassifier().fit(flat, y)}
for name, model in made.items():
    sktrain.save(model, f"{sys.argv[1]}/{name}.sktrain")
"""
OPEN = """
import sys, time, warnings; warnings.simplefilter("ignore")
from sktrain import load
for line in sys.stdin:
    begun = time.process_time()
    load(line.rstrip("\\n"))
    print(time.process_time() - begun, flush=True)
"""


def earlier(folder):
    """Where the sources of the version before the checks are; None without the history."""
    command = ["git", "archive", BEFORE, "sktrain"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True)
    if done.returncode:
        return None
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def environment(sources):
    return {**os.environ, "PYTHONPATH": str(sources), "OMP_NUM_THREADS": "1"}


def made_by(sources, folder):
    """Files that a version writes."""
    folder.mkdir()
    command = [sys.executable, "-W", "ignore", "-c", MAKE, str(folder)]
    subprocess.run(command, env=environment(sources), check=True)
    return sorted(folder.glob("*.sktrain"))


def opener(sources):
    """A process of a version that opens the files it is told and says how long each took."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-W", "ignore", "-c", OPEN]
    return subprocess.Popen(command, env=environment(sources), **pipes)


def seconds(process, path):
    print(path, file=process.stdin, flush=True)
    return float(process.stdout.readline())


def against_before(folder):
    """A claim for each file that both versions read: seconds of the processor, ours over theirs.

    One process of each opens the file in turns, so that whatever else the machine does meets both.
    """
    before = earlier(folder / "sources")
    if before is None:
        return []
    paths = [*sorted(GOLDEN.glob("format1*.sktrain")), *made_by(before, folder / "made")]
    claims = []
    with opener(before) as old, opener(ROOT) as new:
        for path in paths:
            times = {old: [], new: []}
            for turn in range(WARM + TIMES):
                for process in (old, new) if turn % 2 else (new, old):
                    times[process].append(seconds(process, path))
            theirs, ours = (statistics.median(found[WARM:]) for found in times.values())
            note = f"{1e3 * ours:.1f} ms, before {1e3 * theirs:.1f}"
            name = f"{path.stem}, of the version before"
            claims.append(_harness.Claim(name, ours / theirs, unit="x", note=note))
    return claims


def opened(path, checks):
    from sktrain import load

    with ExitStack() as stack:
        for name, nothing in () if checks else CHECKS.items():
            stack.enter_context(mock.patch(name, nothing))
        return load(path)


def against_none(smoke):
    """A claim for each golden file: with the checks over without."""
    claims = []
    for path in sorted(GOLDEN.glob("*.sktrain"))[:: 6 if smoke else 1]:
        times = {True: [], False: []}
        for turn in range(2 + (3 if smoke else 15)):
            for checks, found in times.items():
                begun = time.process_time()
                opened(path, checks)
                found += [time.process_time() - begun] if turn >= 2 else []
        ours, plain = map(statistics.median, times.values())
        note = f"{1e3 * ours:.1f} ms, without {1e3 * plain:.1f}"
        name = f"{path.stem}, of no checks"
        claims.append(_harness.Claim(name, ours / plain, unit="x", note=note))
    return claims


def summed(claims, what, bound=None):
    ratios = [claim.value for claim in claims]
    middle, worst = statistics.median(ratios), max(ratios)
    name = f"opening, of {what}, median of {len(ratios)} files"
    return [
        _harness.Claim(name, middle, bound, unit="x"),
        _harness.Claim(f"opening, of {what}, the worst file", worst, bound, unit="x"),
    ]


def main():
    smoke = _harness.arguments(__doc__).smoke
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        before = [] if smoke else against_before(Path(folder))
    none = against_none(smoke)
    claims = summed(none, "no checks")
    if before:
        claims = summed(before, "the version before", 1.1) + claims
    _harness.report("load", [*claims, *before, *none], smoke=smoke)


if __name__ == "__main__":
    main()

"""A reference remembered by a sketch against one remembered by rows: verdicts, size and time.

The other is the detector of commit 96c936d, which kept up to 20,000 values and 8,192 rows per
column; it is taken from the repository's history and run on the same draws, in turn. One thread.

- Verdicts: 1,000 draws, undrifted at four strengths of dependence and drifted in five ways.
- Size: pickled, 38 columns, at several numbers of rows.
- Time: a check of 1,000,000 x 50 new values against a reference of 20,000 rows.
"""

import io
import json
import os
from pathlib import Path
import pickle
import statistics
import subprocess
import sys
import tarfile
import tempfile

from _harness import Claim, arguments, report
import numpy as np

from sktrain import DriftDetector

ROWS = "96c936d"  # the last commit whose detector remembered rows
HERE = Path(__file__).resolve().parent

VERDICTS = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from _drift_worlds import PHIS, POWER, undrifted
from sktrain import DriftDetector
n, n_power = int(sys.argv[2]), int(sys.argv[3])
def verdicts(draw, n, seed):
    pairs = (draw(np.random.default_rng([seed, turn])) for turn in range(n))
    return [bool(DriftDetector().fit(old).check(new).drift_detected) for old, new in pairs]
out = {f"phi {phi}": verdicts(lambda rng: undrifted(rng, phi), n, 1) for phi in PHIS}
out |= {name: verdicts(draw, n_power, 2) for name, draw in POWER.items()}
print(json.dumps(out))
"""
CHECK = """
import json, sys, time
import numpy as np
from sktrain import DriftDetector
rng = np.random.default_rng(0)
detector = DriftDetector().fit(rng.standard_normal((20_000, 50)))
new = rng.standard_normal((int(sys.argv[1]), 50))
detector.check(new[:1000])
start = time.process_time()
found = detector.check(new)
print(json.dumps([time.process_time() - start, found.drift_detected]))
"""


def ask(package, code, *values):
    """What ``code`` prints as JSON, with the ``sktrain`` found in ``package``."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, values)]
    environment = {**os.environ, **threads, "PYTHONPATH": str(package)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def unpack(commit, folder):
    """The package of an earlier commit."""
    command = ["git", "archive", commit, "sktrain"]
    packed = subprocess.run(command, cwd=HERE.parent, capture_output=True, check=False)
    if packed.returncode:
        sys.exit(f"This benchmark needs commit {commit}: fetch the whole history.")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")


def compared(old, new):
    """Claims on verdicts of the same draws."""
    differ = np.mean([a != b for name in new for a, b in zip(old[name], new[name])])
    n = sum(len(found) for found in new.values())
    claims = [Claim("verdicts that differ", differ, 0.02, note=f"{n} draws")]
    calm = [name for name in new if name.startswith("phi")]
    rates = [np.mean([np.mean(found[name]) for name in calm]) for found in (old, new)]
    gap = abs(rates[1] - rates[0])
    claims.append(Claim("false alarm rate, difference", gap, 0.015, note=f"{rates[0]:.4f} before"))
    for name in new:
        note = f"{np.mean(old[name]):.3f} with rows"
        claims.append(Claim(f"alarms, {name}", float(np.mean(new[name])), note=note))
    return claims


def sizes(rows):
    rng = np.random.default_rng(0)
    claims = []
    for n in rows:
        size = len(pickle.dumps(DriftDetector().fit(rng.standard_normal((n, 38))))) / 1024
        claims.append(Claim(f"size, 38 columns of {n:,} rows", size, 100, unit="KiB", smoke=True))
    return claims


def main():
    options = arguments(__doc__)
    draws = (2, 2) if options.smoke else (125, 100)
    n, repeat = (20_000, 1) if options.smoke else (1_000_000, 3)
    with tempfile.TemporaryDirectory() as folder:
        unpack(ROWS, folder)
        ours = HERE.parent
        claims = compared(*(ask(where, VERDICTS, HERE, *draws) for where in (folder, ours)))
        times = [[ask(where, CHECK, n)[0] for where in (folder, ours)] for _ in range(repeat)]
    before, after = (statistics.median(column) for column in zip(*times))
    ratio = statistics.median(new / old for old, new in times)
    note = f"{after:.2f} s of CPU, {before:.2f} s with rows, {repeat} runs in turn"
    claims.append(Claim(f"check of {n:,} x 50, sketch / rows", ratio, 0.5, note=note))
    claims += sizes((1000, 10_000) if options.smoke else (1000, 10_000, 1_000_000))
    report("drift_sketch", claims, smoke=options.smoke)


if __name__ == "__main__":
    main()

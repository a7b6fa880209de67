"""A drift check of 100,000 x 50 new values against a reference of 1,000,000 x 50, with p-values:
seconds and memory.

One thread. Memory is the peak of a process of its own over the data it holds. ``--peers-python
PATH`` times evidently's default preset on the same data in its own interpreter (it does not install
beside current pandas).
"""

import argparse
import json
import os
import subprocess
import sys

from _harness import Claim, report

SELF = """
import json, resource, sys, time
import numpy as np
from sktrain import DriftDetector
rng = np.random.default_rng(0)
reference, new = rng.standard_normal((int(sys.argv[1]), 50)), rng.standard_normal((int(sys.argv[2]), 50))
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
detector = DriftDetector().fit(reference)
fitted = time.perf_counter()
found = detector.check(new)
end = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"fit": fitted - start, "check": end - fitted, "cpu": time.process_time(), "extra": (peak - base) * 1024 / (reference.nbytes + new.nbytes),
                  "p_values": int(found.per_feature["p_value"].notna().sum()), "alarm": found.drift_detected}))
"""
EVIDENTLY = """
import json, sys, time, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
import evidently
from evidently import Report
from evidently.presets import DataDriftPreset
rng = np.random.default_rng(0)
names = [f"x{i}" for i in range(50)]
reference = pd.DataFrame(rng.standard_normal((int(sys.argv[1]), 50)), columns=names)
new = pd.DataFrame(rng.standard_normal((int(sys.argv[2]), 50)), columns=names)
start = time.perf_counter()
Report([DataDriftPreset()]).run(new, reference).dict()
print(json.dumps({"seconds": time.perf_counter() - start, "version": evidently.__version__}))
"""


LIMIT = 240  # seconds given to the peer


def run(python, code, *sizes, limit=None):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, "-c", code, *map(str, sizes)],
        check=True, capture_output=True, text=True, env=environment, timeout=limit,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description="scale of the drift check")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--peers-python", help="an interpreter with evidently")
    options = parser.parse_args()
    sizes = (20_000, 2_000) if options.smoke else (1_000_000, 100_000)
    ours = run(sys.executable, SELF, *sizes)
    total = ours["fit"] + ours["check"]
    claims = [
        Claim("fit + check", total, 10.0, unit="s", smoke=True),
        Claim("of it check", ours["check"], unit="s"),
        Claim("CPU seconds of the whole process, data generation included", ours["cpu"], unit="s"),
        Claim(
            "peak memory, data included, over the data",
            1 + ours["extra"],
            2.0 if not options.smoke else None,
        ),
        Claim("columns with a p-value", ours["p_values"], 50, ">=", smoke=True),
    ]
    if options.peers_python:
        try:
            spent = run(options.peers_python, EVIDENTLY, *sizes, limit=LIMIT)["seconds"]
            note = f"{spent:.1f} s"
        except subprocess.TimeoutExpired:
            spent, note = LIMIT, f"stopped after {LIMIT} s: at least"
        claims.append(Claim("evidently / ours, wall time", spent / total, 10.0, ">=", note=note))
    report("drift_scale", claims, smoke=options.smoke)


if __name__ == "__main__":
    main()

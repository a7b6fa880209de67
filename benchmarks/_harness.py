"""What every benchmark shares: paired timing, claims with a budget, a table, a JSON file and an
exit status.

A benchmark measures the library and the plain alternative in turn, in one process, and claims a
ratio of medians. ``--smoke`` runs a small version that proves the benchmark still works; only
claims marked ``smoke=True`` can fail it.
"""

import argparse
from dataclasses import asdict, dataclass, field
import json
import os
from pathlib import Path
import platform
import statistics
import subprocess
import sys
import time

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Claim:
    """One figure and the budget it must keep; ``bound`` is None for a figure that is only
    reported."""

    name: str
    value: float
    bound: float | None = None
    better: str = "<="  # "<=" or ">="
    unit: str = ""
    note: str = ""
    smoke: bool = False
    details: dict = field(default_factory=dict)

    @property
    def holds(self):
        if self.bound is None:
            return True
        return self.value <= self.bound if self.better == "<=" else self.value >= self.bound


def arguments(description):
    """Parse ``--smoke``; benchmarks need no other flag."""
    parser = argparse.ArgumentParser(description=(description or "").strip().splitlines()[0])
    parser.add_argument(
        "--smoke", action="store_true", help="a small, quick run that writes no results"
    )
    return parser.parse_args()


def mean_interval(values):
    """Mean of values over seeds, and half of its 95 % interval (Student's t); 0 for one value."""
    from scipy import stats

    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, 0.0
    error = statistics.stdev(values) / len(values) ** 0.5
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * error


def seconds(function, *, repeat=3, warmup=1):
    """Median wall time of ``function()``."""
    return statistics.median(_times([function], repeat, warmup)[0])


def paired(ours, plain, *, repeat=5, warmup=1):
    """Run the two in turn and return (median seconds of ours, of plain, median of the pairwise
    ratios ours / plain)."""
    mine, theirs = _times([ours, plain], repeat, warmup)
    return (
        statistics.median(mine),
        statistics.median(theirs),
        statistics.median(a / b for a, b in zip(mine, theirs)),
    )


def in_turn(*functions, repeat=5, warmup=1):
    """Median seconds of each of several functions that run in turn."""
    return [statistics.median(times) for times in _times(functions, repeat, warmup)]


def _times(functions, repeat, warmup):
    times = [[] for _ in functions]
    for turn in range(warmup + repeat):
        for slot, function in zip(times, functions):
            start = time.perf_counter()
            function()
            if turn >= warmup:
                slot.append(time.perf_counter() - start)
    return times


def machine():
    """What the figures were measured on."""
    import numpy
    import pandas
    import sklearn

    versions = {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "pandas": pandas.__version__,
        "scikit-learn": sklearn.__version__,
    }
    threads = os.cpu_count()
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        versions["torch"] = torch.__version__
        threads = torch.get_num_threads()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=RESULTS.parent
    ).stdout.strip()
    return {
        "cores": os.cpu_count(),
        "threads": threads,
        "processor": platform.machine(),
        "versions": versions,
        "commit": commit,
    }


def report(name, claims, *, smoke=False, merge=False):
    """Print the claims, write ``results/<name>.json`` unless smoking, leave with status 1 when a
    budget is broken; ``merge`` keeps the figures of earlier runs that these do not replace."""
    width = max(len(claim.name) for claim in claims)
    for claim in claims:
        budget = "" if claim.bound is None else f"  {claim.better} {claim.bound:g}"
        judged = claim.smoke or not smoke
        verdict = "" if claim.bound is None else ("  ok" if claim.holds else "  NOT MET")
        verdict = verdict if judged or claim.bound is None else "  (judged at full size)"
        print(
            f"{claim.name:<{width}}  {claim.value:10.4g} {claim.unit:<4}"
            f"{budget}{verdict}  {claim.note}".rstrip()
        )
    if not smoke:
        RESULTS.mkdir(exist_ok=True)
        rows = [{**asdict(claim), "holds": claim.holds} for claim in claims]
        if merge and (RESULTS / f"{name}.json").exists():
            before = json.loads((RESULTS / f"{name}.json").read_text())["claims"]
            measured = {row["name"] for row in rows}
            rows = [row for row in before if row["name"] not in measured] + rows
        text = json.dumps(
            {"benchmark": name, "machine": machine(), "claims": rows}, indent=2, default=float
        )
        (RESULTS / f"{name}.json").write_text(text + "\n")
    broken = [claim.name for claim in claims if not claim.holds and (claim.smoke or not smoke)]
    if broken:
        sys.exit(f"{name}: budget not met: {'; '.join(broken)}")

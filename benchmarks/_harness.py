"""What every benchmark shares: paired timing, claims with a budget, a table, a JSON file and an
exit status.

A benchmark measures the library and the plain alternative in turn, in one process, and claims a
ratio of medians. ``--smoke`` runs a small version that proves the benchmark still works; only
claims marked ``smoke=True`` can fail it. Long ones keep what they finish (:class:`Parts`,
``report(merge=True)``) and stop when their time is up (:class:`Deadline`).
"""

import argparse
import compileall
import contextlib
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
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


def as_installed():
    """Byte-compile sktrain, as pip does when it installs a package.

    Benchmarks of fresh processes call it first. Run from its sources where Python writes no
    bytecode (PYTHONDONTWRITEBYTECODE), sktrain would be compiled anew in each process, beside
    libraries that were compiled when they were installed.
    """
    (sources,) = find_spec("sktrain").submodule_search_locations
    if not compileall.compile_dir(sources, quiet=1):
        sys.exit(f"{sources} cannot be compiled.")


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


def keep(name, claims):
    """Write ``results/<name>.json``, without a verdict."""
    RESULTS.mkdir(exist_ok=True)
    rows = [{**asdict(claim), "holds": claim.holds} for claim in claims]
    found = {"benchmark": name, "machine": machine(), "claims": rows}
    text = json.dumps(found, indent=2, default=float)
    (RESULTS / f"{name}.json").write_text(text + "\n")


def claims_before(name):
    """Claims that earlier runs wrote, by name."""
    path = RESULTS / f"{name}.json"
    rows = json.loads(path.read_text())["claims"] if path.exists() else []
    rows = [{key: value for key, value in row.items() if key != "holds"} for row in rows]
    return {row["name"]: Claim(**row) for row in rows}


class Parts:
    """Finished parts of a long benchmark, a line of JSON each in ``path``.

    A part is written as soon as it is there, so a run that is stopped loses the one in hand and the
    next goes on behind it. A part's key says all that it depends on: what has another key now is
    measured again, and what was measured before stays in the file.
    """

    def __init__(self, path):
        self.path, self._rows = Path(path), {}
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        for line in lines:
            with contextlib.suppress(json.JSONDecodeError):  # the last line of a killed run
                row = json.loads(line)
                self._rows[row["key"]] = row

    def __contains__(self, key):
        return key in self._rows

    def __getitem__(self, key):
        return self._rows[key]

    def add(self, key, row):
        """Write a finished part."""
        self._rows[key] = {"key": key, **row}
        self.path.parent.mkdir(exist_ok=True)
        torn = self.path.exists() and self.path.read_bytes()[-1:] not in (b"\n", b"")
        with self.path.open("a") as file:
            file.write("\n" * torn + json.dumps(self._rows[key], default=float) + "\n")


class Deadline:
    """Whether ``minutes`` have passed since the start; None never ends."""

    def __init__(self, minutes):
        self._end = float("inf") if minutes is None else time.monotonic() + 60 * minutes

    @property
    def over(self):
        return time.monotonic() >= self._end

    @staticmethod
    def option(parser):
        """Add ``--minutes``."""
        parser.add_argument(
            "--minutes", type=float, help="stop behind the part in hand once they have passed"
        )

    def before(self, parts):
        """Those of ``parts`` that begin in time."""
        for part in parts:
            if self.over:
                return
            yield part


def report(name, claims, *, smoke=False, merge=False):
    """Print the claims, write ``results/<name>.json`` unless smoking, leave with status 1 when a
    budget is broken; ``merge`` keeps the figures of earlier runs that these do not replace."""
    width = max((len(claim.name) for claim in claims), default=0)
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
        before = claims_before(name) if merge else {}
        keep(name, [*(before | {claim.name: claim for claim in claims}).values()])
    broken = [claim.name for claim in claims if not claim.holds and (claim.smoke or not smoke)]
    if broken:
        sys.exit(f"{name}: budget not met: {'; '.join(broken)}")

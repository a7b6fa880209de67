"""Mutation testing with cosmic-ray: how many small changes of the code do its tests notice?

    python tests/mutation.py [--rooms spans splits labels persistence] [--sample N]

A copy of the package is changed, never the one in use. The score of each room, and every survivor with its
change, go to ``build/mutation.json``; a survivor is either equivalent, which
``tests/mutation_equivalent.txt`` says with a reason, or wants a test.
"""

import argparse
from contextlib import closing
import json
import os
from pathlib import Path
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile

ROOT = Path(__file__).parents[1]
ROOMS = {  # what is changed, and the tests that should notice
    "spans": (["sktrain/_spans.py"], ["tests/test_spans.py"]),
    "splits": (["sktrain/splits"], ["tests/splits"]),
    "labels": (["sktrain/labels"], ["tests/labels"]),
    "persistence": (["sktrain/persistence", "sktrain/_io.py"], ["tests/persistence", "tests/test_io.py"]),
}
KNOWN = Path(__file__).parent / "mutation_equivalent.txt"
BOUND = 0.95


def config(sources, tests, timeout):
    command = f"{sys.executable} -m pytest -q -x -p no:cacheprovider -W ignore {' '.join(tests)}"
    lines = [
        "[cosmic-ray]",
        f"module-path = {json.dumps(sources)}",
        f"timeout = {timeout}",
        "excluded-modules = []",
        f"test-command = {json.dumps(command)}",
        "[cosmic-ray.distributor]",
        'name = "local"',
    ]
    return "\n".join(lines) + "\n"


def thinned(session, sample, seed):
    """Keep ``sample`` random mutants of a session; returns how many there were."""
    with closing(sqlite3.connect(session)) as database:
        jobs = [job for (job,) in database.execute("SELECT job_id FROM work_items ORDER BY job_id")]
        if sample is not None and sample < len(jobs):
            gone = random.Random(seed).sample(jobs, len(jobs) - sample)
            for table in ("mutation_specs", "work_items"):
                database.executemany(f"DELETE FROM {table} WHERE job_id = ?", [(job,) for job in gone])
            database.commit()
    return len(jobs)


def results(session):
    """(killed, timed out, survivors) of a finished session; a survivor is (file, line, operator).

    A mutant that makes the tests endless counts as killed, and is counted apart, for a machine that
    is busy with something else makes them slow too.
    """
    query = (
        "SELECT s.module_path, s.start_pos_row, s.operator_name, r.test_outcome, r.output FROM mutation_specs s "
        "JOIN work_results r ON s.job_id = r.job_id ORDER BY s.module_path, s.start_pos_row"
    )
    killed, late, survivors = 0, 0, []
    with closing(sqlite3.connect(session)) as database:
        for path, row, operator, outcome, output in database.execute(query):
            if "surviv" in str(outcome).lower():
                survivors.append([str(path), row, operator])
            else:
                killed += 1
                late += str(output).strip() == "timeout"
    return killed, late, survivors


def run(room, sample, seed, timeout):
    """Score one room in a copy of the project."""
    sources, tests = ROOMS[room]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("sktrain", "tests", "benchmarks", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, Path(folder, name))
        Path(folder, "mutation.toml").write_text(config(sources, tests, timeout))
        environment = {**os.environ, "PYTHONPATH": folder, "OMP_NUM_THREADS": "1"}
        cosmic_ray = [sys.executable, "-m", "cosmic_ray.cli"]
        options = {"cwd": folder, "env": environment, "check": True}
        subprocess.run([*cosmic_ray, "init", "mutation.toml", "session.sqlite"], **options)
        subprocess.run([*cosmic_ray, "baseline", "mutation.toml"], **options)  # whole code passes
        total = thinned(Path(folder, "session.sqlite"), sample, seed)
        subprocess.run([*cosmic_ray, "exec", "mutation.toml", "session.sqlite"], **options)
        killed, late, survivors = results(Path(folder, "session.sqlite"))
    known = [line.partition("#")[0].split() for line in KNOWN.read_text().splitlines()]
    open_ones = [one for one in survivors if [str(part) for part in one] not in known]
    tried = killed + len(survivors)
    return {
        "mutants": total,
        "tried": tried,
        "killed": killed,
        "of them by time": late,
        "equivalent": len(survivors) - len(open_ones),
        "score": (killed + len(survivors) - len(open_ones)) / tried if tried else None,
        "survivors": open_ones,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", nargs="+", choices=sorted(ROOMS), default=sorted(ROOMS))
    parser.add_argument("--sample", type=int, help="random mutants per room; default all, which takes hours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for the tests of one mutant")
    given = parser.parse_args()
    target = ROOT / "build" / "mutation.json"
    target.parent.mkdir(exist_ok=True)
    found = json.loads(target.read_text()) if target.exists() else {}
    for room in given.rooms:
        found[room] = run(room, given.sample, given.seed, given.timeout)
        print(room, {key: value for key, value in found[room].items() if key != "survivors"}, flush=True)
        for survivor in found[room]["survivors"]:
            print("  survives:", *survivor)
        target.write_text(json.dumps(found, indent=2) + "\n")
    scores = [one["score"] for one in found.values() if one["score"] is not None]
    return int(min(scores, default=0) < BOUND)


if __name__ == "__main__":
    sys.exit(main())

"""Mutation testing with cosmic-ray's operators: how many small changes of the code do its tests
notice?

    python tests/mutation.py [--parts spans splits labels persistence] [--sample N]

Nothing is forked from a process that ran tests or has threads. What each test takes and reaches is
measured with coverage, each file of tests in an interpreter of its own, and remembered. Mutants are
tried by an interpreter that imports the libraries and collects the tests once: a fork of it gives
living functions the changed code, or imports it where that would not do, and runs the tests that
reach the changed line, quick ones first, until one fails. Every interpreter and every fork has a
limit on its time by the clock, after which it is ended and named. Scores go to
``benchmarks/results/mutation.json``, survivors to ``build/mutation.json``; a survivor is
equivalent, which ``tests/mutation_equivalent.json`` says with a reason, or wants a test.
"""

import argparse
from collections import Counter
from functools import partial
from hashlib import sha256
import json
import math
import os
from pathlib import Path
import random
import subprocess
import sys
import tempfile
import time

from mutant_server import ended
from mutants import ROOT, changed, copied, identity, mutants

PARTS = {  # what is changed, and the tests that should notice
    "spans": (["sktrain/_spans.py"], ["tests/test_spans.py", "tests/splits/test_splits_oracle.py"]),
    "splits": (["sktrain/splits"], ["tests/splits"]),
    "labels": (["sktrain/labels"], ["tests/labels"]),
    "persistence": (
        ["sktrain/persistence", "sktrain/_io.py"],
        ["tests/persistence", "tests/test_io.py"],
    ),
}
LIBRARIES = (  # imported once, before any mutant; onnxruntime starts a thread when it is imported
    "imblearn.over_sampling", "imblearn.pipeline", "numpy", "optuna", "pandas", "pytest",
    "hypothesis", "hypothesis.extra.numpy", "scipy.stats", "skops.io", "skorch.callbacks",
    "sklearn.ensemble", "sklearn.model_selection", "sklearn.neighbors", "sklearn.svm", "torch",
)  # fmt: skip
KNOWN = Path(__file__).parent / "mutation_equivalent.json"
REACHED = ROOT / "build" / "reached.json"
BOUND = 0.95
LEAST = 50  # mutants of a score that is published: its 95 % interval is within 15 points, Wilson
# seconds by the clock, judgments: of one file's tests as they are; between two outcomes
_FILE, _SILENCE = 1500.0, 3000.0
_ALONE = {  # no library starts threads of its own, in any interpreter
    **dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
    ),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MPLBACKEND": "Agg",
    "CI": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def survivors_of(found, every):
    """Mutants among ``every`` that survived an earlier run."""
    wanted = {identity(one) for one in found["survivors"]}
    files = {file for file, _, _ in wanted}

    def is_wanted(mutant):
        source = Path(ROOT, mutant[0]).read_text()
        return (mutant[0], *changed(source, *mutant[1:3])[:2]) in wanted

    return [mutant for mutant in every if mutant[0] in files and is_wanted(mutant)]


def run(part, sample, seed, before=None, tests=None, tell=print, most=math.inf, minutes=math.inf):
    """Score one part in a copy of the project; of an earlier result ``before``, its survivors, held
    to ``tests`` alone. Of a random sample, as many as ``minutes`` allow, in random order."""
    end = time.time() + 60 * minutes
    sources, whole_tests = PARTS[part]
    tests = [*whole_tests, *sources] if tests is None else tests
    every = mutants(sources)
    if before is not None:
        chosen = survivors_of(before, every)
    else:
        size = len(every) if sample is None else min(sample, len(every))
        chosen = random.Random(seed).sample(every, size)
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        copied(folder)
        whole = baseline(part, sources, tests, folder, tell)
        tell(f"{part}: {len(chosen)} of {len(every)} mutants")
        order = {
            "whole": whole, "folder": folder, "tests": tests, "libraries": LIBRARIES,
            "known": sorted(equivalents()), "until": min(end, 2.0**40), "most": min(most, 1e9),
        }  # fmt: skip
        results = tried_all(part, chosen, order, tell)
    counts = Counter(result for result, _, _ in results.values())
    survivors = [
        {"file": chosen[place][0], "line": chosen[place][3], "was": was, "became": became}
        for place, (result, was, became) in sorted(results.items())
        if result == "survived"
    ]
    tried = len(results) - counts["same"] - counts["equivalent"]
    killed = counts["killed"] + counts["late"]
    if before is not None:
        tried, killed = before["tried"] - counts["equivalent"], before["killed"] + killed
        counts["late"] += before["of them by time"]
        counts["equivalent"] += before["equivalent"]
    return {
        "mutants": len(every),
        "tried": tried,
        "killed": killed,
        "of them by time": counts["late"],
        "equivalent": counts["equivalent"],
        "survivors": survivors,
        "seed": seed if before is None else before.get("seed"),
        "most": most if math.isfinite(most) else None,
        "retested": before is not None,
        "fresh": killed if before is None else before.get("fresh", before["killed"]),
    }


def started(order, folder):
    """An interpreter that does what ``order`` says, in a session of its own; its log file."""
    told, log = Path(folder, "order.json"), Path(folder, "server.log")
    told.write_text(json.dumps(order))
    paths = os.pathsep.join((folder, str(Path(folder, "tests")), str(Path(folder, "benchmarks"))))
    with open(log, "w") as output:
        process = subprocess.Popen(
            [sys.executable, str(Path(folder, "tests", "mutant_server.py")), str(told)],
            cwd=folder,
            env={**os.environ, **_ALONE, "PYTHONPATH": paths},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return process, log


def ended_with_children(process, folder):
    """End an interpreter, the fork it waits for, and what either started."""
    if process.poll() is None:
        ended(process.pid)
        process.wait()
        fork = Path(folder, "child")
        if fork.exists():
            ended(int(fork.read_text()))


def baseline(part, sources, tests, folder, tell):
    """{"seconds": what each test takes, "reached": {file: {line: tests}}} of the code as it is.

    What an unchanged file of tests reached of unchanged sources is remembered. Raises when a test
    fails, or a file of tests is not through in time.
    """
    paths = sorted(
        path.relative_to(folder)
        for one in sources
        for path in ([Path(folder, one)] if one.endswith(".py") else Path(folder, one).glob("*.py"))
    )
    files = {path.relative_to(folder) for one in tests for path in _files_of(folder, one)}
    groups = [[str(one)] for one in sorted(files) if one.name.startswith("test_")]
    examples = [str(one) for one in sorted(files) if ">>>" in Path(folder, one).read_text()]
    groups += [[one for one in examples if one.startswith("sktrain/")]] if examples else []
    mark = b"".join(sha256(Path(folder, path).read_bytes()).digest() for path in paths)
    modules = [".".join(path.with_suffix("").parts) for path in paths]
    found = {"seconds": {}, "reached": {}}
    for group in filter(None, groups):
        texts = b"".join(Path(folder, one).read_bytes() for one in group)
        key, kept = sha256(mark + texts).hexdigest(), _remembered()
        if key not in kept:
            order = {
                "mode": "baseline", "tests": group, "modules": modules, "folder": folder,
                "include": [str(Path(folder, path)) for path in paths],
            }  # fmt: skip
            kept[key] = _measured(order, folder)
            REACHED.write_text(json.dumps({**_remembered(), key: kept[key]}))
            tell(f"{part}: {group[0]} measured, {time.strftime('%H:%M:%S')}")
        found["seconds"].update(kept[key]["seconds"])
        for path, lines in kept[key]["reached"].items():
            own = found["reached"].setdefault(path, {})
            for line, names in lines.items():
                own.setdefault(line, []).extend(names)
    return found


def _files_of(folder, test):
    path = Path(folder, test.partition("::")[0])
    return [path] if path.suffix == ".py" else path.glob("*.py")


def _remembered():
    return json.loads(REACHED.read_text()) if REACHED.exists() else {}


def _measured(order, folder):
    out = Path(folder, "reached.json")
    out.unlink(missing_ok=True)
    process, log = started({**order, "out": str(out)}, folder)
    try:
        status = process.wait(_FILE)
    except subprocess.TimeoutExpired:
        status = f"not through after {_FILE:g} s"
    finally:
        ended_with_children(process, folder)
    if status != 0 or not out.exists():
        text = log.read_text(errors="replace")[-3000:]
        raise SystemExit(f"{order['tests']}, before anything is changed: {status}\n{text}")
    return json.loads(out.read_text())


def tried_all(part, chosen, order, tell):
    """{place in ``chosen``: (outcome, was, became)}: first those that living functions can take,
    then those that importing must take, and those that stood still, which may not be their
    fault."""
    counts, results = Counter(), {}

    def told(place, result, was, became):
        results[place] = result, was, became
        counts[result] += 1
        if result == "survived":
            file, line = chosen[place][0], chosen[place][3]
            tell(f"  survives: {file}:{line}\n    - {was}\n    + {became}")
        if sum(counts.values()) % 25 == 0:
            tell(f"  {part}: {dict(counts)}, {time.strftime('%H:%M:%S')}")

    _served({**order, "mode": "swapped"}, list(enumerate(chosen)), told)
    again = [place for place, one in results.items() if one[0] in ("afresh", "stalled")]
    left = [(place, chosen[place]) for place in again]
    if left:  # these were chosen before the time was over
        _served({**order, "mode": "afresh", "until": 2.0**40}, left, told)
    for place, (result, was, became) in results.items():
        if result == "stalled":  # twice: a lock or a wait that the change made
            results[place] = "late", was, became
    return results


def _served(order, left, told):
    """Hand each result of one interpreter to ``told`` as it comes. Raises when it fails, or says
    nothing for longer than any mutant may take."""
    folder = order["folder"]
    out = Path(folder, f"results_{order['mode']}.jsonl")
    out.write_text("")
    process, log = started({**order, "mutants": left, "out": str(out)}, folder)
    read, heard = 0, time.monotonic()
    try:
        while True:
            over = process.poll() is not None  # asked first, so that the last lines are read
            lines = out.read_text().split("\n")[:-1]
            for line in lines[read:]:
                told(*json.loads(line))
            if len(lines) > read:
                read, heard = len(lines), time.monotonic()
            if over:
                break
            if time.monotonic() - heard > _SILENCE:
                place = f"mutant {left[min(read, len(left) - 1)][1]}" if read else "the beginning"
                raise SystemExit(f"nothing was heard for {_SILENCE:g} s, at {place}")
            time.sleep(0.2)
    finally:
        ended_with_children(process, folder)
    if process.returncode != 0:
        text = log.read_text(errors="replace")[-3000:]
        raise SystemExit(f"mutants could not be tried (status {process.returncode}):\n{text}")


def interval(killed, tried):
    """Wilson's 95 % interval of the share killed, in per cent (Wilson 1927, J. Am. Stat. Assoc.
    22)."""
    from scipy.stats import binomtest

    found = binomtest(killed, tried).proportion_ci(method="wilson")
    return 100 * found.low, 100 * found.high


def published(found):
    """Every part's score, of a sample that is large enough, as a claim of the figures."""
    import _harness

    kept = ROOT / "benchmarks" / "results" / "mutation.json"
    before = json.loads(kept.read_text())["claims"] if kept.exists() else []
    found = {part: one for part, one in found.items() if one["tried"] >= min(LEAST, one["mutants"])}
    own = {f"{part}, mutants killed" for part in found}
    claims = [_harness.Claim(**_told(one)) for one in before if one["name"] not in own]
    for part, one in sorted((part, recounted(one)) for part, one in found.items()):
        low, high = interval(one["killed"], one["tried"])
        whole = one["tried"] + one["equivalent"] >= one["mutants"]
        note = (
            f"{one['killed']} of {one['tried']}, {one['equivalent']} more are equivalent; "
            f"{'every mutant' if whole else 'a random sample'} of {one['mutants']}"
            f"{'' if whole else f', 95 % interval {low:.1f} to {high:.1f} %'}"
        )
        if one.get("seed") is not None and not whole:
            note += f"; seed {one['seed']}"
        if one.get("most") is not None:
            note += f"; each was held to {one['most']:g} s of tests at most"
        if one.get("retested") and not whole:
            fresh = f" (before, {one['fresh']} were killed)" if "fresh" in one else ""
            note += (
                f"; survivors of this sample got tests{fresh}, so that a new one may score lower"
            )
        share = 100 * one["killed"] / one["tried"]
        claims.append(
            _harness.Claim(f"{part}, mutants killed", share, 100 * BOUND, ">=", "%", note=note)
        )
    _harness.report("mutation", sorted(claims, key=lambda one: one.name))


def recounted(one):
    """A score without those survivors that were named equivalent since."""
    named = [each for each in one["survivors"] if identity(each) in equivalents()]
    return {
        **one,
        "tried": one["tried"] - len(named),
        "equivalent": one["equivalent"] + len(named),
        "survivors": [each for each in one["survivors"] if each not in named],
    }


def equivalents():
    """Identities of the mutants that change nothing."""
    return {identity(one) for one in json.loads(KNOWN.read_text())}


def _told(claim):
    """A claim as it was published, without what is worked out from it."""
    return {key: value for key, value in claim.items() if key != "holds"}


def parsed():
    """Arguments of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=sorted(PARTS), default=sorted(PARTS))
    parser.add_argument("--sample", type=int, help="random mutants per part; default all: hours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--most",
        type=float,
        default=math.inf,
        help="seconds of tests that a mutant is held to; it survives what takes longer",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="of a sample, try as many mutants as this time allows, in random order",
    )
    parser.add_argument("--again", action="store_true", help="only what survived the last run")
    parser.add_argument("--tests", nargs="+", help="with --again: new tests, instead of the part's")
    parser.add_argument(
        "--publish", action="store_true", help="only publish again, after survivors were named"
    )
    given = parser.parse_args()
    if given.tests and not given.again:
        parser.error("--tests needs --again: a score counts all tests of a part")
    return given


def main():
    given = parsed()
    target = ROOT / "build" / "mutation.json"
    target.parent.mkdir(exist_ok=True)
    for part in () if given.publish else given.parts:
        before = json.loads(target.read_text())[part] if given.again else None
        tell = partial(print, flush=True)
        found = run(
            part, given.sample, given.seed, before, given.tests, tell, given.most, given.minutes
        )
        others = json.loads(target.read_text()) if target.exists() else {}
        target.write_text(json.dumps({**others, part: found}, indent=2) + "\n")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    published(json.loads(target.read_text()))


if __name__ == "__main__":
    main()

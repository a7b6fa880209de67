"""Mutation testing with cosmic-ray's operators: how many small changes of the code do its tests
notice?

    python tests/mutation.py [--parts spans splits labels persistence] [--sample N]

Libraries and package are imported, and tests collected, once. Every mutant is tested in a forked
child that gives living functions the changed code, or imports it where that would not do, and runs
the tests that reach the changed line, quick ones first, until one fails. What each test reaches is
measured with coverage, and remembered. Scores go to ``benchmarks/results/mutation.json``,
survivors to ``build/mutation.json``; a survivor is equivalent, which
``tests/mutation_equivalent.json`` says with a reason, or wants a test.
"""

import argparse
from collections import defaultdict
from functools import partial
from importlib import import_module
import json
import math
import os
from pathlib import Path
import random
import sys
import tempfile
import time

from mutants import ROOT, Collected, Trial, baseline, changed, copied, in_child, mutants, tested

PARTS = {  # what is changed, and the tests that should notice
    "spans": (["sktrain/_spans.py"], ["tests/test_spans.py", "tests/splits/test_splits_oracle.py"]),
    "splits": (["sktrain/splits"], ["tests/splits"]),
    "labels": (["sktrain/labels"], ["tests/labels"]),
    "persistence": (
        ["sktrain/persistence", "sktrain/_io.py"],
        ["tests/persistence", "tests/test_io.py"],
    ),
}
LIBRARIES = (  # imported once, before any mutant
    "imblearn.over_sampling", "imblearn.pipeline", "numpy", "onnxruntime", "optuna", "pandas",
    "pytest", "hypothesis", "hypothesis.extra.numpy", "scipy.stats", "skops.io", "skorch.callbacks",
    "sklearn.ensemble", "sklearn.model_selection", "sklearn.neighbors", "sklearn.svm", "torch",
)  # fmt: skip
KNOWN = Path(__file__).parent / "mutation_equivalent.json"
BOUND = 0.95


def identity(one):
    """What a mutant is told by while lines above it come and go."""
    return one["file"], one["was"], one["became"]


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
    end = time.monotonic() + 60 * minutes
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
        results = tried_all(part, chosen, len(every), folder, sources, tests, most, tell, end)
    counts, survivors = defaultdict(int), []
    for mutant, (result, was, became) in zip(chosen, results):
        counts[result] += 1
        if result == "survived":
            survivors.append({"file": mutant[0], "line": mutant[3], "was": was, "became": became})
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


class Tally:
    """Tells and counts outcomes as they come."""

    def __init__(self, part, folder, tell):
        self.part, self.folder, self.tell = part, folder, tell
        self.known, self.counts = equivalents(), defaultdict(int)

    def outcome(self, trial, mutant, by):
        """(result, was, became); what is known to be equivalent is not tried."""
        was, became, _ = changed(Path(self.folder, mutant[0]).read_text(), *mutant[1:3])
        result = "equivalent"
        if (mutant[0], was, became) not in self.known:
            result, was, became = trial.outcome(mutant, by)
        self.counts[result] += 1
        if result == "survived":
            self.tell(f"  survives: {mutant[0]}:{mutant[3]}\n    - {was}\n    + {became}")
        if sum(self.counts.values()) % 25 == 0:
            self.tell(f"  {self.part}: {dict(self.counts)}, {time.strftime('%H:%M:%S')}")
        return result, was, became


def tried_all(part, chosen, many, folder, sources, tests, most, tell, end):
    """The outcome of each mutant: first those that living functions can take, in a process that
    collected the tests once, then those that importing must take."""
    tally, kept = Tally(part, folder, tell), Path(folder, "results.json")

    def job():
        import coverage

        include = [str(Path(folder, one if one.endswith(".py") else f"{one}/*")) for one in sources]
        measured = coverage.Coverage(data_file=None, include=include)
        measured.start()
        return tested(tests, folder, Collected(lambda session: collected(session, measured)))

    def collected(session, measured):
        whole = baseline(session, measured, folder)
        measured.stop()
        tell(f"{part}: {len(chosen)} of {many} mutants, {len(session.items)} tests")
        trial, found = Trial(whole, folder, most), []
        by = trial.swapped(session)
        for mutant in chosen:
            if time.monotonic() > end:
                break
            found.append(tally.outcome(trial, mutant, by))
        kept.write_text(json.dumps({"whole": whole, "found": found}))

    status, text = in_child(job, folder, 10**6, 10**6)
    if not kept.exists():
        raise SystemExit(f"{part} could not be tried (status {status}):\n{text[-3000:]}")
    done = json.loads(kept.read_text())
    trial, results = Trial(done["whole"], folder, most), done["found"]
    for place, mutant in enumerate(chosen[: len(results)]):
        if results[place][0] == "afresh":
            source = Path(folder, mutant[0]).read_text()
            results[place] = tally.outcome(trial, mutant, trial.afresh)
            Path(folder, mutant[0]).write_text(source)
    return results


def interval(killed, tried):
    """Wilson's 95 % interval of the share killed, in per cent (Wilson 1927, J. Am. Stat. Assoc.
    22)."""
    from scipy.stats import binomtest

    found = binomtest(killed, tried).proportion_ci(method="wilson")
    return 100 * found.low, 100 * found.high


def published(found):
    """Every part's score as a claim of the figures."""
    import _harness

    kept = ROOT / "benchmarks" / "results" / "mutation.json"
    before = json.loads(kept.read_text())["claims"] if kept.exists() else []
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
    out = os.fdopen(os.dup(1), "w")  # a child's own output goes to a file
    for name in () if given.publish else LIBRARIES:
        import_module(name)
    target = ROOT / "build" / "mutation.json"
    target.parent.mkdir(exist_ok=True)
    for part in () if given.publish else given.parts:
        before = json.loads(target.read_text())[part] if given.again else None
        tell = partial(print, file=out, flush=True)
        found = run(
            part, given.sample, given.seed, before, given.tests, tell, given.most, given.minutes
        )
        others = json.loads(target.read_text()) if target.exists() else {}
        target.write_text(json.dumps({**others, part: found}, indent=2) + "\n")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    published(json.loads(target.read_text()))


if __name__ == "__main__":
    main()

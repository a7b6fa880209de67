"""Mutation testing with cosmic-ray's operators: how many small changes of the code do its tests
notice?

    python tests/mutation.py [--parts spans splits labels persistence] [--sample N]

The libraries are imported once; every mutant is tested in a forked child that imports a changed
copy of the package and runs the tests that reach the changed line, quick ones first, until one
fails. What each test reaches is measured with coverage. Scores go to
``benchmarks/results/mutation.json``, survivors to ``build/mutation.json``; a survivor is
equivalent, which ``tests/mutation_equivalent.json`` says with a reason, or wants a test.
"""

import argparse
from collections import defaultdict
from importlib import import_module
import json
import os
from pathlib import Path
import random
import resource
import shutil
import signal
import sys
import tempfile
import time

ROOT = Path(__file__).parents[1]
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
_CPU = 20.0  # seconds of processor time that a mutant's tests may take beyond what they take whole
_SPACE = 16 * 2**30  # bytes of addresses; a changed size may not fill the machine
_WALL = 20  # times as much by the clock: other work on the machine is not the mutant's fault


def mutants(sources):
    """(file, operator, occurrence, first line, last line) of every change, in a fixed order."""
    from cosmic_ray.commands.init import _all_work_items

    paths = sorted(
        path.relative_to(ROOT)
        for source in sources
        for path in ([ROOT / source] if source.endswith(".py") else (ROOT / source).glob("*.py"))
    )
    found = []
    for item in _all_work_items(paths, {}):
        (one,) = item.mutations
        lines = one.start_pos[0], one.end_pos[0]
        found.append((str(one.module_path), one.operator_name, one.occurrence, *lines))
    return found


def changed(source, operator, occurrence):
    """(line as it was, line as it became, whole text) of one mutant of a text."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    text = mutate_code(source, get_operator(operator)(), occurrence)
    pairs = zip(source.splitlines(), text.splitlines())
    was, became = next(((a, b) for a, b in pairs if a != b), ("", ""))
    return was.strip(), became.strip(), text


class _Recorder:
    """A pytest plugin: which lines each test runs, and for how long."""

    def __init__(self, sources):
        import coverage

        folder = os.getcwd()
        kept = [os.path.join(folder, one if one.endswith(".py") else f"{one}/*") for one in sources]
        self.measured = coverage.Coverage(data_file=None, include=kept)
        self.seconds = {}

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_runtest_setup(self, item):
        self.measured.switch_context(item.nodeid)

    def reached(self):
        """{file: {line: tests}}; lines that importing runs have the test ''."""
        data, found = self.measured.get_data(), {}
        for path in data.measured_files():
            lines = data.contexts_by_lineno(path)
            found[os.path.relpath(path)] = {
                line: sorted(tests | {""} if "" in tests else tests)
                for line, tests in ((line, set(tests)) for line, tests in lines.items())
            }
        return found


def in_child(job, folder, cpu, wall):
    """(exit status or None when it was out of time, text it wrote) of ``job()`` in a fork."""
    log = Path(folder, "child.log")
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.setsid()
            os.chdir(folder)
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, 1), os.dup2(handle, 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (_SPACE, _SPACE))
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu) + 1, int(cpu) + 2))
            sys.path[:0] = [folder, str(Path(folder, "tests")), str(Path(folder, "benchmarks"))]
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            os.environ.update(PYTHONPATH=folder, CI="1", OMP_NUM_THREADS="1", MPLBACKEND="Agg")
            status = int(job())
        except BaseException as error:  # the parent reads the status alone
            print(repr(error), file=sys.stderr)
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(status)
    end = time.monotonic() + wall
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None, log.read_text(errors="replace")
        time.sleep(0.02)
    code = os.waitstatus_to_exitcode(status)
    late = -code in (signal.SIGXCPU, signal.SIGKILL)
    return (None if late else code), log.read_text(errors="replace")


def tested(arguments, *plugins):
    import pytest

    plugins_of_ours = ["-p", "pytest_timeout", "-p", "_hypothesis_pytestplugin"]
    options = ["-q", "-x", *plugins_of_ours, "-p", "no:cacheprovider", "--tb=line"]
    options.append("--doctest-modules")
    return pytest.main([*options, *arguments], plugins=list(plugins))


def baseline(sources, tests, folder):
    """What each test reaches and takes, in the code as it is; raises when a test fails."""

    def job():
        recorder = _Recorder(sources)
        recorder.measured.start()
        status = tested(tests, recorder)
        recorder.measured.stop()
        found = {"reached": recorder.reached(), "seconds": recorder.seconds}
        Path("reached.json").write_text(json.dumps(found))
        return status

    status, text = in_child(job, folder, 3600, 7200)
    if status != 0:
        raise SystemExit(f"the tests fail before anything is changed:\n{text[-3000:]}")
    return json.loads(Path(folder, "reached.json").read_text())


def tests_of(mutant, whole):
    """The tests that reach a mutant's lines, quick ones first; those of the file where importing
    does."""
    path, _, _, first, last = mutant
    lines = whole["reached"].get(path, {})
    found = {test for line in range(first, last + 1) for test in lines.get(str(line), ())}
    if "" in found or not found:  # importing runs it, or it goes on a line that is not counted
        found = {test for tests in lines.values() for test in tests}
    return sorted(found - {""}, key=lambda test: (whole["seconds"].get(test, 0.0), test))


def outcome(mutant, whole, folder):
    """("killed" | "late" | "survived" | "same", was, became) of one mutant."""
    path, operator, occurrence, *_ = mutant
    target = Path(folder, path)
    source = target.read_text()
    was, became, text = changed(source, operator, occurrence)
    if text == source:
        return "same", was, became
    chosen = tests_of(mutant, whole)
    if not chosen:
        return "survived", was, became
    takes = sum(whole["seconds"].get(test, 0.0) for test in chosen)
    target.write_text(text)
    try:
        status, _ = in_child(
            lambda: tested(chosen), folder, _CPU + 3 * takes, _WALL * (_CPU + takes)
        )
    finally:
        target.write_text(source)
    result = "late" if status is None else "survived" if status == 0 else "killed"
    return result, was, became


def copied(folder):
    """A copy of the project whose compiled files are checked by content, not by time."""
    from compileall import compile_dir
    from py_compile import PycInvalidationMode

    for name in ("sktrain", "tests", "benchmarks", "pyproject.toml"):
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy2(ROOT / name, Path(folder, name))
    by_content = PycInvalidationMode.CHECKED_HASH
    compile_dir(folder, quiet=2, invalidation_mode=by_content)


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


def run(part, sample, seed, before=None, tests=None, tell=print):
    """Score one part in a copy of the project; of an earlier result ``before``, its survivors, held
    to ``tests`` alone."""
    sources, whole_tests = PARTS[part]
    tests = [*whole_tests, *sources] if tests is None else tests
    every = mutants(sources)
    if before is not None:
        chosen = survivors_of(before, every)
    else:
        size = len(every) if sample is None else min(sample, len(every))
        chosen = random.Random(seed).sample(every, size)
    known = {identity(one) for one in json.loads(KNOWN.read_text())}
    counts, survivors = defaultdict(int), []
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        copied(folder)
        whole = baseline(sources, tests, folder)
        tell(f"{part}: {len(chosen)} of {len(every)} mutants, {len(whole['seconds'])} tests")
        for number, mutant in enumerate(sorted(chosen)):
            result, was, became = outcome(mutant, whole, folder)
            if result == "survived" and (mutant[0], was, became) in known:
                result = "equivalent"
            counts[result] += 1
            if result == "survived":
                survivors.append(
                    {"file": mutant[0], "line": mutant[3], "was": was, "became": became}
                )
                tell(f"  survives: {mutant[0]}:{mutant[3]}\n    - {was}\n    + {became}")
            if number % 50 == 49:
                tell(f"  {part}: {number + 1} tried, {dict(counts)}")
    tried = len(chosen) - counts["same"] - counts["equivalent"]
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
        "retested": before is not None,
    }


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
    for part, one in sorted(found.items()):
        low, high = interval(one["killed"], one["tried"])
        whole = one["tried"] + one["equivalent"] >= one["mutants"]
        note = (
            f"{one['killed']} of {one['tried']}, {one['equivalent']} more are equivalent; "
            f"{'every mutant' if whole else 'a random sample'} of {one['mutants']}"
            f"{'' if whole else f', 95 % interval {low:.1f} to {high:.1f} %'}"
        )
        if one.get("retested") and not whole:
            note += "; survivors of this sample got tests, so that a new sample may score lower"
        share = 100 * one["killed"] / one["tried"]
        claims.append(
            _harness.Claim(f"{part}, mutants killed", share, 100 * BOUND, ">=", "%", note=note)
        )
    _harness.report("mutation", sorted(claims, key=lambda one: one.name))


def _told(claim):
    """A claim as it was published, without what is worked out from it."""
    return {key: value for key, value in claim.items() if key != "holds"}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=sorted(PARTS), default=sorted(PARTS))
    parser.add_argument("--sample", type=int, help="random mutants per part; default all: hours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="only what survived the last run")
    parser.add_argument("--tests", nargs="+", help="with --again: new tests, instead of the part's")
    given = parser.parse_args()
    if given.tests and not given.again:
        parser.error("--tests needs --again: a score counts all tests of a part")
    for name in LIBRARIES:
        import_module(name)
    target = ROOT / "build" / "mutation.json"
    target.parent.mkdir(exist_ok=True)
    for part in given.parts:
        before = json.loads(target.read_text())[part] if given.again else None
        found = run(
            part, given.sample, given.seed, before, given.tests,
            lambda text: print(text, flush=True),
        )
        others = json.loads(target.read_text()) if target.exists() else {}
        target.write_text(json.dumps({**others, part: found}, indent=2) + "\n")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    published(json.loads(target.read_text()))


if __name__ == "__main__":
    main()

"""Mutants, what tests reach, and what tests say of a mutant: the machinery of ``mutation.py``."""

from collections import defaultdict
import gc
from hashlib import sha256
import json
import os
from pathlib import Path
import resource
import shutil
import signal
import sys
import time
from types import CodeType, FunctionType

import pytest

ROOT = Path(__file__).parents[1]
REACHED = ROOT / "build" / "reached.json"
QUICK = 0.1  # seconds of a test that runs before every slower one
_CPU = 5.0  # seconds of processor time that a mutant's tests may take beyond twice what they take
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


class Collected:
    """A pytest plugin: hands what was collected to ``job``, which runs what it likes of it."""

    def __init__(self, job):
        self.job = job

    def pytest_runtestloop(self, session):
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        self.job(session)
        return True


class _Shared:
    """A pytest plugin: what fixtures of several tests reach and take is kept under their name."""

    def __init__(self, measured, seconds):
        self.measured, self.seconds, self.test = measured, seconds, ""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function":
            return (yield)
        name, begun = f"@{fixturedef.argname}", spent()
        self.measured.switch_context(name)
        try:
            return (yield)
        finally:
            took = spent() - begun
            self.seconds[name] = self.seconds.get(name, 0.0) + took
            self.seconds[self.test] = self.seconds.get(self.test, 0.0) - took
            self.measured.switch_context(self.test)


def spent():
    """Seconds of processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def in_child(job, folder, cpu, wall):
    """(exit status or None when it was out of time, text it wrote) of ``job()`` in a fork."""
    log = Path(folder, f"child_of_{os.getpid()}.log")
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
            os.environ["PYTHONDONTWRITEBYTECODE"], sys.dont_write_bytecode = "1", True
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


def tested(arguments, folder, *plugins):
    plugins_of_ours = ["-p", "pytest_timeout", "-p", "_hypothesis_pytestplugin"]
    options = ["-q", "-x", *plugins_of_ours, "-p", "no:cacheprovider", "--tb=line"]
    options += ["--doctest-modules", f"--basetemp={folder}/scratch"]
    return pytest.main([*options, *arguments], plugins=list(plugins))


def held(items, before=lambda item: None, after=lambda item: None):
    """Run tests until one fails: that one, or None."""
    for item, following in zip(items, [*items[1:], None]):
        before(item)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        after(item)
        if item.session.testsfailed:
            return item
    return None


def baseline(session, measured, folder):
    """{"seconds": what each test takes, "reached": {file: {line: tests}}} of the code as it is.

    Lines that importing runs have the test "". What an unchanged file of tests reached of unchanged
    sources is remembered. Raises when a test fails.
    """
    kept = json.loads(REACHED.read_text()) if REACHED.exists() else {}
    files = defaultdict(list)
    for item in session.items:
        files[item.nodeid.partition("::")[0]].append(item)
    sources = sorted(path for one in measured.get_option("run:include") for path in _python(one))
    mark = b"".join(sha256(path.read_bytes()).digest() for path in sources)
    keys = {name: sha256(mark + Path(folder, name).read_bytes()).hexdigest() for name in files}

    def job():
        for name, items in files.items():
            if keys[name] not in kept:
                kept[keys[name]] = reached_by(items, measured)
                if kept[keys[name]] is None:
                    return 1
                Path("reached.json").write_text(json.dumps(kept))
        return 0

    Path(folder, "reached.json").write_text(json.dumps(kept))
    status, text = in_child(job, folder, 3600, 7200)
    others = json.loads(REACHED.read_text()) if REACHED.exists() else {}  # of another run meanwhile
    REACHED.write_text(
        json.dumps({**others, **json.loads(Path(folder, "reached.json").read_text())})
    )
    if status != 0:
        raise SystemExit(f"the tests fail before anything is changed:\n{text[-3000:]}")
    kept = json.loads(REACHED.read_text())
    there = {"", *(item.nodeid for item in session.items)}  # parameters may come from elsewhere
    seconds, reached = {}, defaultdict(lambda: defaultdict(list))
    for found in ({"seconds": {}, "reached": contexts(measured)}, *map(kept.get, keys.values())):
        seconds.update(found["seconds"])
        for path, lines in found["reached"].items():
            for line, tests in lines.items():
                reached[path][str(line)] += [test for test in tests if test in there]
    return {"seconds": seconds, "reached": reached}


def _python(pattern):
    one = Path(pattern)
    return one.parent.glob("*.py") if one.name == "*" else [one]


def contexts(measured):
    """{file: {line: names that were current when it ran}}."""
    data = measured.get_data()
    return {os.path.relpath(path): data.contexts_by_lineno(path) for path in data.measured_files()}


def reached_by(items, measured):
    """{"seconds", "reached"} of the tests of one file; None when one fails."""
    seconds = {}
    shared = _Shared(measured, seconds)

    def before(item):
        shared.test = item.nodeid
        measured.switch_context(item.nodeid)
        seconds[item.nodeid] = seconds.get(item.nodeid, 0.0) - spent()

    def after(item):
        seconds[item.nodeid] += spent()

    manager = items[0].config.pluginmanager
    manager.register(shared)
    failed = held(items, before, after)
    manager.unregister(shared)
    if failed is not None:
        return None
    users = {item.nodeid: {item.nodeid} for item in items}
    for item in items:
        for name in getattr(item, "fixturenames", ()):
            users.setdefault(f"@{name}", set()).add(item.nodeid)
    reached = {
        path: {
            line: sorted(set().union(*(users.get(one, ()) for one in names)))
            for line, names in lines.items()
        }
        for path, lines in contexts(measured).items()
    }
    return {"seconds": seconds, "reached": reached}


def tests_of(mutant, whole):
    """The tests that reach a mutant's lines; those of the file where importing does."""
    path, _, _, first, last = mutant
    lines = whole["reached"].get(path, {})
    found = {test for line in range(first, last + 1) for test in lines.get(str(line), ())}
    if "" in found or not found:  # importing runs it, or it goes on a line that is not counted
        found = {test for tests in lines.values() for test in tests}
    return found - {""}


def ordered(tests, whole, kills, most):
    """As many tests as take ``most`` seconds: quick ones of each file, then slow ones of each, as
    fixtures live as long as a file; files that cost little and killed much come first."""
    cost, groups = whole["seconds"], defaultdict(list)
    for test in tests:
        groups[cost[test] > QUICK, test.partition("::")[0]].append(test)
    price = {
        (slow, file): sum(cost[test] for test in own) / (1 + kills[file])
        for (slow, file), own in groups.items()
    }
    kept, left = [], most
    for slow, file in sorted(groups, key=lambda one: (one[0], price[one], one)):
        for test in sorted(groups[slow, file], key=lambda one: (cost[one], one)):
            left -= cost[test]
            if left >= 0:
                kept.append(test)
    return kept


def replaced(path, before, after, living):
    """Give living functions the code of a changed source; whether that changes all it would.

    It does not where importing runs what was changed: a default, a decorator, the body of a class.
    """
    function = 2  # CO_NEWLOCALS: a function, and no body of a class (inspect's documentation)

    def pairs(old, new):
        own = [[one for one in code.co_consts if isinstance(one, CodeType)] for code in (old, new)]
        plain = [
            [one for one in code.co_consts if not isinstance(one, CodeType)] for code in (old, new)
        ]
        same = old.co_code == new.co_code and old.co_names == new.co_names
        if not same or repr(plain[0]) != repr(plain[1]) or len(own[0]) != len(own[1]):
            raise ValueError("importing differs")
        for one, other in zip(*own):
            if not one.co_flags & function:
                yield from pairs(one, other)
            elif one != other:
                yield one, other

    try:
        swapped = list(pairs(compile(before, path, "exec"), compile(after, path, "exec")))
        for one, other in swapped:
            functions = living.get((path, one.co_qualname, one.co_firstlineno), ())
            if not functions:
                return False
            for each in functions:
                each.__code__ = other
    except ValueError:
        return False
    return bool(swapped)


def living_functions(folder):
    """{(file, name, line): functions} of the copy of the package."""
    found = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename.startswith(folder):
            code = one.__code__
            found[code.co_filename, code.co_qualname, code.co_firstlineno].append(one)
    return found


AFRESH = 71  # exit status of a mutant that wants a new import


class Trial:
    """Tries the mutants of one part.

    Parameters
    ----------
    whole : dict
        As :func:`baseline` gives.
    folder : str
        Copy of the project.
    most : float
        Seconds of tests a mutant is held to.
    """

    def __init__(self, whole, folder, most):
        self.whole, self.folder, self.most = whole, folder, most
        self.kills = defaultdict(int)

    def outcome(self, mutant, by):
        """("killed" | "late" | "survived" | "same" | "afresh", was, became) of one mutant, whose
        tests ``by(path, before, after, chosen)`` runs in a child."""
        path, operator, occurrence, *_ = mutant
        before = Path(self.folder, path).read_text()
        was, became, after = changed(before, operator, occurrence)
        chosen = ordered(tests_of(mutant, self.whole), self.whole, self.kills, self.most)
        if after == before or not chosen:
            return "same" if after == before else "survived", was, became
        takes = sum(self.whole["seconds"][test] for test in chosen)
        fixtures = sum(took for name, took in self.whole["seconds"].items() if name[0] == "@")
        cpu = _CPU + 2 * (takes + fixtures)
        killer = Path(self.folder, "killer")
        killer.unlink(missing_ok=True)
        status, _ = in_child(
            lambda: by(path, before, after, chosen, killer), self.folder, cpu, _WALL * cpu
        )
        if killer.exists():
            self.kills[killer.read_text()] += 1
        if status == AFRESH:
            return "afresh", was, became
        return "late" if status is None else "survived" if status == 0 else "killed", was, became

    def swapped(self, session):
        """How the tests collected in ``session`` are run with other code in living functions.

        Raises when they fail with the code as it is, which is nobody's mutant.
        """
        items = {item.nodeid: item for item in session.items}
        living = living_functions(self.folder)
        costs = self.whole["seconds"]
        every = ordered([one for one in items if one in costs], self.whole, self.kills, self.most)

        def control():
            failed = held([items[test] for test in every])
            print("" if failed is None else failed.nodeid, file=sys.stderr)
            return failed is not None

        status, text = in_child(control, self.folder, 3600, 7200)
        if status != 0:
            raise SystemExit(f"a test fails in another order: {text[-1000:]}")

        def by(path, before, after, chosen, killer):
            if not replaced(str(Path(self.folder, path)), before, after, living):
                return AFRESH
            failed = held([items[test] for test in chosen])
            if failed is not None:
                killer.write_text(failed.nodeid.partition("::")[0])
            return failed is not None

        return by

    def afresh(self, path, _before, after, chosen, _killer):
        """Tests are run after importing a changed file."""
        Path(self.folder, path).write_text(after)
        return tested(chosen, self.folder)


def copied(folder):
    """A copy of the project with its compiled files, which stay as they are: a changed file has
    another time, and what is compiled of it is not kept."""
    for name in ("sktrain", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, Path(folder, name))
    shutil.copy2(ROOT / "pyproject.toml", folder)

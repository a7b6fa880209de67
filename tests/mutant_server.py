"""Tests of the code as it is, or of mutants, in an interpreter that ``mutation.py`` starts afresh:

    python tests/mutant_server.py order.json

A fork takes along the thread that called it and no other; a lock that another thread held stays
locked in the child for ever (POSIX.1-2024, fork). So nothing is forked here unless this process has
one thread: what it imports starts none, and no test has run in it. Every child has limits on
processor time, on time by the clock and on memory, and takes its own children along when it goes.
"""

from collections import defaultdict
from importlib import import_module
import json
import os
from pathlib import Path
import resource
import signal
import sys
import time

from mutants import changed, identity, living_functions, ordered, replaced, tests_of
import pytest

_CPU = 5.0  # seconds of processor time that a mutant's tests may take beyond twice what they take
_WALL = 10  # times as much by the clock: other work on the machine is not the mutant's fault
_CONTROL = 30  # times as much for the code as it is, after which the tests themselves stand still
_SPACE = 16 * 2**30  # bytes of addresses; a changed size may not fill the machine
AFRESH = 71  # exit status of a mutant that wants a new import
OUT_OF_CPU, STALLED = "out of processor time", "stalled"  # instead of an exit status


def threads():
    """Names of this process's threads."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            names.append((task / "comm").read_text().strip())
        except OSError:  # it has ended since
            continue
    return names


def check_one_thread():
    """Refuse to fork beside threads."""
    if len(names := threads()) > 1:
        raise SystemExit(
            f"importing and collecting the tests started threads {names}, so that a fork could "
            "hang. Import what starts them inside the tests that need it."
        )


def in_child(job, folder, cpu, wall):
    """(exit status, OUT_OF_CPU or STALLED; text it wrote) of ``job()`` in a fork."""
    check_one_thread()
    log = Path(folder, "child.log")
    child = os.fork()
    if child == 0:
        _as_child(job, folder, log, cpu)
    Path(folder, "child").write_text(str(child))  # for whoever ends this process
    end, done = time.monotonic() + wall, 0
    while not done and time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0 if done else 0.02)
    ended(child)
    text = log.read_text(errors="replace") if log.exists() else ""
    if not done:
        os.waitpid(child, 0)
        return STALLED, text
    code = os.waitstatus_to_exitcode(status)
    return OUT_OF_CPU if code == -signal.SIGXCPU else code, text


def _as_child(job, folder, log, cpu):
    """Run ``job()`` within limits, and end this process with what it returns."""
    status = 70
    try:
        os.setsid()
        os.chdir(folder)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1), os.dup2(handle, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_SPACE, _SPACE))
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu) + 1, int(cpu) + 2))
        status = int(job())
    except BaseException as error:  # the parent reads the status alone
        print(repr(error), file=sys.stderr)
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)


def ended(leader):
    """Kill a process and everything it started."""
    for kill in (os.killpg, os.kill):  # it may not lead a group yet
        try:
            kill(leader, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


class Collected:
    """A pytest plugin: hands what was collected to ``job``, which runs what it likes of it."""

    def __init__(self, job):
        self.job = job

    def pytest_runtestloop(self, session):
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        self.job(session)
        return True


def tested(arguments, folder, *plugins):
    """pytest's exit status for ``arguments``."""
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


def baseline(order):
    """Write {"seconds": what each test takes, "reached": {file: {line: tests}}} of some files of
    tests, with the code as it is. Lines that importing runs have the test "".
    """
    import coverage

    measured = coverage.Coverage(data_file=None, include=order["include"])
    measured.start()
    for name in order["modules"]:
        import_module(name)
    kept, failed = {}, []

    def job(session):
        kept.update(_reached_by(session.items, measured, failed))

    status = tested(order["tests"], order["folder"], Collected(job))
    if failed or not kept:
        print(f"{failed[0] if failed else 'collecting'} fails before anything is changed")
        return 1
    Path(order["out"]).write_text(json.dumps(kept))
    return 0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else int(status)  # all may be slow


def _reached_by(items, measured, failed):
    seconds = {}
    shared = _Shared(measured, seconds)

    def before(item):
        print("begun:", item.nodeid, flush=True)
        shared.test = item.nodeid
        measured.switch_context(item.nodeid)
        seconds[item.nodeid] = seconds.get(item.nodeid, 0.0) - spent()

    def after(item):
        seconds[item.nodeid] += spent()

    if items:
        items[0].config.pluginmanager.register(shared)
        one = held(items, before, after)
        failed += [] if one is None else [one.nodeid]
    measured.stop()
    users = {"": {""}, **{item.nodeid: {item.nodeid} for item in items}}
    for item in items:
        for name in getattr(item, "fixturenames", ()):
            users.setdefault(f"@{name}", set()).add(item.nodeid)
    data = measured.get_data()
    reached = {
        os.path.relpath(path): {
            line: sorted(set().union(*(users.get(one, ()) for one in names)))
            for line, names in data.contexts_by_lineno(path).items()
        }
        for path in data.measured_files()
    }
    return {"seconds": seconds, "reached": reached}


class Trial:
    """Tries mutants.

    Parameters
    ----------
    order : dict
        ``whole`` (seconds and reached lines of every test), ``folder`` (copy of the project),
        ``most`` (seconds of tests a mutant is held to).
    """

    def __init__(self, order):
        self.whole, self.folder, self.most = order["whole"], order["folder"], order["most"]
        self.kills = defaultdict(int)

    def outcome(self, mutant, by):
        """("killed" | "late" | "stalled" | "survived" | "same" | "afresh", was, became) of one
        mutant, whose tests ``by(path, before, after, chosen, killer)`` runs in a child."""
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
        told = {0: "survived", AFRESH: "afresh", OUT_OF_CPU: "late", STALLED: "stalled"}
        return told.get(status, "killed"), was, became

    def swapped(self, session):
        """How the tests collected in ``session`` are run with other code in living functions.

        Raises when they fail with the code as it is, which is nobody's mutant.
        """
        items = {item.nodeid: item for item in session.items}
        living = living_functions(self.folder)
        costs = self.whole["seconds"]
        every = ordered([one for one in items if one in costs], self.whole, self.kills, self.most)
        takes = _CPU + 2 * sum(max(costs[test], 0) for test in every)

        def control():
            def before(item):
                print("begun:", item.nodeid, flush=True)

            return held([items[test] for test in every], before) is not None

        status, text = in_child(control, self.folder, 10 * takes, _CONTROL * takes)
        if status != 0:
            raise SystemExit(f"unchanged code, tests in another order, ends so: {status}\n{text}")

        def by(path, before, after, chosen, killer):
            if not replaced(str(Path(self.folder, path)), before, after, living):
                return AFRESH
            failed = held([items[test] for test in chosen if test in items])
            if failed is not None:
                killer.write_text(failed.nodeid.partition("::")[0])
            return failed is not None

        return by

    def afresh(self, path, _before, after, chosen, _killer):
        """Tests are run after importing a changed file."""
        Path(self.folder, path).write_text(after)
        return tested(chosen, self.folder)


def serve(order):
    """Append [place, outcome, was, became] of each mutant to a file of lines."""
    for name in order["libraries"]:
        import_module(name)
    trial = Trial(order)
    known = {tuple(one) for one in order["known"]}

    def tried(by):
        with open(order["out"], "a") as out:
            for place, mutant in order["mutants"]:
                if time.time() > order["until"]:
                    break
                source = Path(order["folder"], mutant[0])
                text = source.read_text()
                was, became, _ = changed(text, *mutant[1:3])
                if identity({"file": mutant[0], "was": was, "became": became}) in known:
                    outcome = "equivalent", was, became
                else:
                    outcome = trial.outcome(mutant, by)
                source.write_text(text)
                print(json.dumps([place, *outcome]), file=out, flush=True)

    if order["mode"] == "afresh":
        tried(trial.afresh)
        return 0
    job = Collected(lambda session: tried(trial.swapped(session)))
    return int(tested(order["tests"], order["folder"], job))


def main(path):
    order = json.loads(Path(path).read_text())
    return baseline(order) if order["mode"] == "baseline" else serve(order)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

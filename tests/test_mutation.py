"""The tool that scores tests by mutants: what it says of mutants whose fate is known, and that
nothing it starts can outlast its limits."""

import subprocess
import sys
from textwrap import dedent

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs fork and Linux's list of threads"
)
TINY = """
    STEP = 2

    def counted(n):
        total = 0
        while n > 0:
            n -= 1
            total += STEP
        return total

    def doubled(n):
        return n * 2
"""
TESTS = """
    import tiny

    def test_counted():
        assert tiny.counted(3) == 6

    def test_doubled():
        assert tiny.doubled(0) == 0
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package of one file with its tests, and the tool told of it."""
    import mutants
    import mutation

    (tmp_path / "tests").mkdir()
    (tmp_path / "tiny.py").write_text(dedent(TINY))
    (tmp_path / "tests" / "test_tiny.py").write_text(dedent(TESTS))
    for name in ("mutants.py", "mutant_server.py"):
        (tmp_path / "tests" / name).write_text((mutation.ROOT / "tests" / name).read_text())
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutation, "REACHED", tmp_path / "remembered.json")
    return tmp_path


def outcomes(project, wanted):
    """{changed line: outcome} of the mutants of lines with a text of ``wanted``."""
    import mutants
    import mutation

    text = (project / "tiny.py").read_text()
    chosen = [
        one for one in mutants.mutants(["tiny.py"]) if mutants.changed(text, *one[1:3])[1] in wanted
    ]
    whole = mutation.baseline(
        "tiny", ["tiny.py"], ["tests/test_tiny.py"], str(project), lambda _: None
    )
    order = {
        "whole": whole, "folder": str(project), "tests": ["tests/test_tiny.py"], "known": [],
        "libraries": [], "until": 2.0**40, "most": 1e9,
    }  # fmt: skip
    results = mutation.tried_all("tiny", chosen, order, lambda _: None)
    return {became: result for result, _, became in results.values()}


def test_mutants_of_known_fate(project):
    pytest.importorskip("cosmic_ray")
    pytest.importorskip("coverage")
    found = outcomes(project, {"STEP = 3", "while n > 1:", "return n * 3", "return n + 2"})
    assert found == {
        "STEP = 3": "killed",  # only a new import shows it
        "while n > 1:": "killed",
        "return n * 3": "survived",
        "return n + 2": "killed",
    }


@pytest.mark.slow
def test_a_mutant_that_never_ends_is_ended(project):
    pytest.importorskip("cosmic_ray")
    assert outcomes(project, {"n -= 0"}) == {"n -= 0": "late"}


def test_tests_that_fail_before_anything_is_changed_are_told(project):
    pytest.importorskip("coverage")
    broken = (project / "tests" / "test_tiny.py").read_text() + "    assert tiny.doubled(2) == 5\n"
    (project / "tests" / "test_tiny.py").write_text(broken)
    with pytest.raises(SystemExit, match="test_doubled fails before anything is changed"):
        outcomes(project, set())


@pytest.mark.slow
def test_tests_that_stand_still_before_anything_is_changed_are_ended(project, monkeypatch):
    """A lock that nobody gives back, in the middle of the tests of unchanged code."""
    import mutation

    pytest.importorskip("coverage")
    lock = "\ndef test_lock():\n    import threading\n    one = threading.Lock()\n"
    with open(project / "tests" / "test_tiny.py", "a") as file:
        file.write(lock + "    one.acquire()\n    one.acquire()\n")
    monkeypatch.setattr(mutation, "_FILE", 4.0)
    with pytest.raises(SystemExit, match="not through after 4 s(.|\n)*begun: .*test_lock"):
        outcomes(project, set())


CHILDREN = """
    import os, subprocess, sys, threading, time
    import mutant_server as server

    def deaf():
        subprocess.Popen(["sleep", "60"])
        time.sleep(60)

    def busy():
        while True:
            pass

    print(server.in_child(lambda: 3, ".", 5, 5)[0])
    print(server.in_child(lambda: 1 / 0, ".", 5, 5))
    begun = time.monotonic()
    print(server.in_child(deaf, ".", 5, 0.3)[0], time.monotonic() - begun < 20)
    print(server.in_child(busy, ".", 0, 60)[0])
    threading.Thread(target=time.sleep, args=(0.5,)).start()
    server.in_child(lambda: 0, ".", 5, 5)
"""


def test_a_fork_has_limits_and_no_threads_beside_it(tmp_path):
    from mutants import ROOT

    done = subprocess.run(
        [sys.executable, "-c", dedent(CHILDREN)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "tests"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    said = done.stdout.splitlines()
    assert said[0] == "3"
    assert "70" in said[1]
    assert "ZeroDivisionError" in said[1]
    assert said[2:] == ["stalled True", "out of processor time"], done.stderr
    assert done.returncode == 1
    assert "so that a fork could hang" in done.stderr

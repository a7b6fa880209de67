"""Damaged and hostile model files: none crashes, hangs, grows, draws random numbers or leaves files
behind."""

import os
import sys

from attack.mutate import GOLDEN, RULES, attack, mutated
import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs Linux's limits and /proc"
)


def test_every_rule_makes_another_file():
    made = [mutated(seed) for seed in range(120)]
    assert {rule for _, rule, _ in made} == {rule.__name__ for rule in RULES}
    assert all(data != path.read_bytes() for path, _, data in made)
    assert len(GOLDEN) >= 10


@pytest.mark.timeout(290)
def test_a_hundred_files_do_no_harm():
    became, wrong, most = attack(100, first=0)
    assert not wrong, wrong
    assert became["refused"] > 50
    assert became["opened alike"] > 5  # what predicts alike is left as it was
    assert most["share"] < 1


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_five_thousand_files_do_no_harm():
    became, wrong, most = attack(5000, first=1000)
    print(dict(became), most)
    assert not wrong, wrong
    assert sum(became.values()) == 5000


def test_the_attack_notices_harm(tmp_path):
    """A worker that crashes, hangs or leaves a file is counted: the same harness over a planted
    opener."""
    import subprocess

    source = (
        "import sys, os; sys.path.insert(0, sys.argv[1]); from attack import mutate\n"
        "import sktrain, time\n"
        "def opener(path, **_):\n"
        "    planted['n'] += 1\n"
        "    if planted['n'] == 3: open('litter', 'w')\n"
        "    if planted['n'] == 4: planted['kept'] = bytearray(os.urandom(1)) * (200 * 2**20)\n"
        "    if planted['n'] == 5: raise KeyError('x')\n"
        "    if planted['n'] == 6: time.sleep(20)\n"
        "    raise sktrain.exceptions.CorruptFileError('no')\n"
        "planted = {'n': 0}; mutate.SECONDS = 1; sktrain.load = opener\n"
        "mutate.answers = lambda: {path.name: (None, None) for path in mutate.GOLDEN}\n"
        "mutate.worker(0, 6)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, os.path.dirname(os.path.dirname(__file__))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    results = [line for line in done.stdout.splitlines() if "became" in line]
    assert ["refused" in line for line in results] == [True, True, False, False, False, False], (
        done.stdout,
        done.stderr,
    )
    assert "left files" in results[2]

"""Every planted leak is found, with its code and its place; no clean twin is flagged; the table in
the guide is current."""

from collections import Counter
import importlib.util
from pathlib import Path
import sys

import pytest

HERE = Path(__file__).parent


def _load(path, name):
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


zoo = _load(HERE / "zoo.py", "leakage_zoo_cases")


def test_the_zoo_is_large_and_varied():
    assert len(zoo.LEAKS) >= 40
    assert len(zoo.CLEAN) >= 20
    assert max(Counter(case.name for case in zoo.CASES).values()) == 1
    assert {case.task for case in zoo.LEAKS} == {
        "split", "causality", "warmup", "inspect", "audit", "features", "labels",
    }


@pytest.mark.parametrize("case", zoo.LEAKS, ids=lambda case: case.name)
def test_leak_is_found(case):
    report = case.run()
    assert not report["passed"], report.summary()
    hits = [finding for finding in report.errors if finding.code == case.code]
    assert hits, f"wanted {case.code}: {report.summary()}"
    assert any(case.place.items() <= dict(hit.where).items() for hit in hits), report.summary()
    assert report.status in ("FAIL", "INCONCLUSIVE")


@pytest.mark.parametrize("case", zoo.CLEAN, ids=lambda case: case.name)
def test_clean_twin_is_not_flagged(case):
    report = case.run()
    assert report["passed"], report.summary()
    assert report.status == "PASS", report.summary()


def test_table_in_the_guide_is_current():
    guide = HERE.parents[1] / "docs" / "leakage_zoo.md"
    script = HERE.parents[1] / "benchmarks" / "leakage_zoo.py"
    table = guide.read_text()
    assert all(f"| {case.name} |" in table for case in zoo.CASES), (
        f"run python {script.name} to renew {guide.name}"
    )
    rows = [
        line
        for line in table.splitlines()
        if line.startswith("| ") and not line.startswith(("| case", "| ---"))
    ]
    assert len(rows) == len(zoo.CASES)

"""What long benchmarks keep, so that they can be interrupted."""

import importlib.util
import json
from pathlib import Path
import sys

import numpy as np
import pytest
from scipy.stats import norm

HARNESS = Path(__file__).parent.parent / "benchmarks" / "_harness.py"


@pytest.fixture
def harness(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("bench_harness", HARNESS)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


def test_parts_are_there_at_once_and_a_killed_line_is_not(harness, tmp_path):
    path = tmp_path / "parts.jsonl"
    harness.Parts(path).add("a", {"value": 1})
    with path.open("a") as file:
        file.write('{"key": "b", "val')  # the process died here
    parts = harness.Parts(path)
    assert "a" in parts
    assert "b" not in parts
    parts.add("c", {"value": 3})
    parts.add("a", {"value": 2})
    again = harness.Parts(path)
    assert [again[key]["value"] for key in "ac"] == [2, 3]


def test_a_deadline_lets_parts_begin_until_it_is_over(harness, monkeypatch):
    now = iter([0.0, 59.0, 61.0])
    monkeypatch.setattr(harness.time, "monotonic", lambda: next(now))
    assert list(harness.Deadline(1).before("abc")) == ["a"]
    monkeypatch.undo()
    assert list(harness.Deadline(None).before("abc")) == ["a", "b", "c"]
    assert list(harness.Deadline(0).before("abc")) == []


def test_a_merged_report_replaces_what_it_measured(harness, tmp_path, capsys):
    harness.report("x", [harness.Claim("one", 1.0), harness.Claim("two", 2.0)])
    with pytest.raises(SystemExit, match="two"):
        harness.report("x", [harness.Claim("two", 3.0, 2.5)], merge=True)
    rows = json.loads((tmp_path / "x.json").read_text())["claims"]
    assert [(row["name"], row["value"], row["holds"]) for row in rows] == [
        ("one", 1.0, True), ("two", 3.0, False),
    ]  # fmt: skip
    assert harness.claims_before("x")["two"].bound == 2.5


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.syspath_prepend(str(HARNESS.parent))
    return importlib.import_module("bench_recipe")


def cell(world, seed, model, excess, **more):
    return {"world": world, "seed": seed, "model": model, "excess": excess, "seconds": 1.0,
            "calibration_error": 0.01, "balanced_accuracy": 0.4, "weights": {}, **more}  # fmt: skip


def test_seeds_in_which_nothing_can_be_gained_are_reported_with_the_others(recipe):
    models = ["recipe", "prior", "ridge logistic"]
    rows = [cell("nothing", 100, model, 0.001, possible=1e-5) for model in models]
    rows += [cell("nothing", 101, model, 0.003) for model in models]
    results, lacking = recipe.by_seed(rows, "nothing")
    assert lacking == ["LightGBM", "HistGradientBoosting", "plain LSTM"]
    first = next(recipe.claims_of("nothing", results, lacking, range(100, 120)))
    assert first.value == pytest.approx(0.002)
    assert first.bound is None
    assert "2 of 20 seeds without LightGBM" in first.note
    assert "possible" not in first.details["models"]["recipe"]


def test_a_bound_is_judged_where_every_model_was_measured(recipe):
    name = "NASDAQ, sigma"
    rows = [
        cell(name, 100, model, -0.01 if model == "LightGBM" else 0.0, calibration_noise=0.02)
        for model in recipe.COST
    ]
    results, lacking = recipe.by_seed(rows, name)
    loss, error, _ = recipe.claims_of(name, results, lacking, range(100, 120))
    assert (loss.value, loss.bound, loss.holds) == (pytest.approx(0.01), 0.001, False)
    assert (error.value, error.bound, error.holds) == (pytest.approx(-0.01), 0.0, True)
    assert loss.note == "LightGBM -0.0100; less it +0.0100; 1 of 1 seeds"


def test_a_calibrated_forecast_of_overlapping_labels_stays_in_its_band():
    """Labels are signs and sizes of sums of three returns, so their true shares are known."""
    cells = importlib.import_module("_recipe_cells")
    rng, edge, rows, horizon = np.random.default_rng(0), 0.43, 900, 3
    lower = norm.cdf(-edge)
    proba = np.tile([lower, 1 - 2 * lower, lower], (rows, 1))
    outside = []
    band = cells.calibration_noise(proba, 0, horizon)
    narrow = cells.calibration_noise(proba, 0, 1)  # as if no two labels shared a return
    for _ in range(400):
        returns = rng.normal(size=rows + horizon - 1)
        sums = np.convolve(returns, np.ones(horizon), "valid") / np.sqrt(horizon)
        codes = np.searchsorted([-edge, edge], sums)
        error = cells.calibration_error(proba, np.eye(3)[codes])
        outside.append((error > band, error > narrow))
    alike, alone = np.mean(outside, axis=0)
    assert 0.01 < alike < 0.1 < alone  # 5 of 100 by construction

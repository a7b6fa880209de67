"""Contracts of all modules: bad input is refused by name or answered honestly, rows are
independent, one seed is one result."""

import hashlib
import itertools
import os
import subprocess
import sys
import warnings

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from sktrain import AdaptiveLabeler, BarFeatures, MLPNetClassifier, SlidingWindow
from sktrain.datasets import load_sp500

warnings.simplefilter("ignore")

FIRST, LAST = 300, 420



def fresh():
    bars = load_sp500().iloc[FIRST:LAST].copy()
    bars.attrs = {}
    return bars


def put(column, value):
    def mutate(bars, row):
        if column == "volume" and isinstance(value, float):
            bars["volume"] = bars["volume"].astype(float)
        bars.iloc[row, bars.columns.get_loc(column)] = value
        return bars

    return mutate


def reindexed(change):
    return lambda bars, row: bars.set_axis(change(bars.index, row))


def swapped(index, row):
    order = np.arange(len(index))
    order[[row, (row + 7) % len(index)]] = order[[(row + 7) % len(index), row]]
    return index[order]


MUTATIONS = {
    "nan": put("close", np.nan),
    "inf": put("high", np.inf),
    "minus inf": put("low", -np.inf),
    "huge": put("high", 1e308),
    "zero": put("open", 0.0),
    "negative": put("close", -3.0),
    "crossed": put("high", 1.0),
    "open outside": put("open", 1e6),
    "negative volume": put("volume", -1),
    "nan volume": put("volume", np.nan),
    "constant": lambda bars, row: bars.assign(
        close=bars["low"].min(), open=bars["low"].min(), low=bars["low"].min()
    ),
    "all constant": lambda bars, row: bars.assign(open=9.0, high=9.0, low=9.0, close=9.0, volume=0),
    "jump": lambda bars, row: bars.assign(
        **{
            c: np.where(np.arange(len(bars)) >= row, 3.0, 1.0) * bars[c]
            for c in ("open", "high", "low", "close")
        }
    ),
    "missing column": lambda bars, row: bars.drop(columns="volume"),
    "twice": lambda bars, row: pd.concat([bars, bars["close"]], axis=1),
    "upper case": lambda bars, row: bars.rename(columns=str.upper),
    "numbers as names": lambda bars, row: bars.set_axis(range(5), axis=1),
    "float16": lambda bars, row: bars.astype({"close": np.float16}),
    "float32": lambda bars, row: bars.astype(
        dict.fromkeys(("open", "high", "low", "close"), np.float32)
    ),
    "strings": lambda bars, row: bars.astype({"close": str}),
    "objects": lambda bars, row: bars.astype({"close": object}),
    "complex": lambda bars, row: bars.astype({"close": complex}),
    "repeated": lambda bars, row: bars.iloc[np.sort(np.append(np.arange(len(bars)), row))],
    "descending": lambda bars, row: bars[::-1],
    "swapped": reindexed(swapped),
    "nat": reindexed(lambda index, row: index.where(np.arange(len(index)) != row)),
    "zone": reindexed(lambda index, row: index.tz_localize("UTC")),
    "range": lambda bars, row: bars.reset_index(drop=True),
    "period": lambda bars, row: bars.to_period("D"),
    "text index": reindexed(lambda index, row: index.astype(str)),
    "epoch": reindexed(lambda index, row: pd.DatetimeIndex(index.asi8 // 10**9)),
    "empty": lambda bars, row: bars.iloc[:0],
    "one row": lambda bars, row: bars.iloc[:1],
    "no columns": lambda bars, row: bars[[]],
    "array": lambda bars, row: bars.to_numpy(),
    "list": lambda bars, row: bars.to_numpy().tolist(),
    "none": lambda bars, row: None,
}
NAMED = (
    "row", "column", "Column", "Bars", "bars", "Times", "times", "index", "open", "high", "low",
    "close", "volume", "lack",
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(MUTATIONS)), st.integers(0, LAST - FIRST - 1))
def test_one_fault_is_refused_by_name_or_answered_with_probabilities(name, row):
    fitted_ = _fitted()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bars = MUTATIONS[name](fresh(), row)
        try:
            probabilities = fitted_.predict_proba(bars)
        except (ValueError, TypeError) as error:
            if not any(word in str(error) for word in NAMED):
                pytest.fail(f"{name}: {error}")
            return
    assert probabilities.shape == (len(bars), 3)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


_kept = []


def _fitted():
    if not _kept:
        bars, y = AdaptiveLabeler(base_threshold=0.5, scaling="sigma").fit_resample(
            load_sp500().iloc[:600]
        )
        steps = [
            ("f", BarFeatures(windows=(5, 10))),
            ("w", SlidingWindow(lookback=4)),
            ("net", MLPNetClassifier(max_epochs=1, random_state=0)),
        ]
        _kept.append(Pipeline(steps).fit(bars, y))
    return _kept[0]


@pytest.mark.parametrize(
    "name",
    [
        "nan", "inf", "huge", "zero", "negative", "crossed", "open outside", "negative volume",
        "repeated", "swapped", "nat",
    ],
)
@pytest.mark.parametrize("row", [0, 57, LAST - FIRST - 1])
def test_faults_of_one_row_name_that_row(name, row):
    bars = MUTATIONS[name](fresh(), row)
    with pytest.raises(ValueError) as caught:
        BarFeatures().fit(bars)
    said = [int(word) for word in str(caught.value).replace("(", " ").split() if word.isdigit()]
    near = {row, row + 1, (row + 7) % (LAST - FIRST), (row + 7) % (LAST - FIRST) + 1, row + 8}
    assert near & set(said), f"{name} at {row}: {caught.value}"


def test_a_row_multiplied_changes_no_other_row():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 6, 4)).astype(np.float32), rng.integers(0, 3, 300)
    net = MLPNetClassifier(max_epochs=2, random_state=0).fit(X, y)
    for size in (1, 7, 256):
        clean = net.predict_proba(X[:size])
        for row in {0, size // 2}:
            loud = X[:size].copy()
            loud[row] *= 1000
            others = np.arange(size) != row
            np.testing.assert_allclose(net.predict_proba(loud)[others], clean[others], atol=1e-6)


RUN = """
import hashlib, sys
import numpy as np, random, torch
from joblib import Parallel, delayed
from sklearn.pipeline import Pipeline
from sktrain import AdaptiveLabeler, BarFeatures, GRUClassifier, SlidingWindow
from sktrain.datasets import load_sp500

def work():
    before = (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes())
    bars, y = AdaptiveLabeler(base_threshold=0.5, scaling="sigma").fit_resample(load_sp500().iloc[:400])
    net = GRUClassifier(max_epochs=2, module__hidden_size=8, random_state=0)
    p = Pipeline([("f", BarFeatures()), ("w", SlidingWindow(5)), ("net", net)]).fit(bars, y).predict_proba(bars)
    after = (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes())
    return hashlib.sha256(p.tobytes()).hexdigest() if before == after else "the caller's generators moved"

if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    print(*set(Parallel(n_jobs=int(sys.argv[1]))(delayed(work)() for _ in range(2))))
"""


@pytest.mark.slow
def test_one_seed_is_one_result_over_processes_threads_and_hash_seeds(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    found = set()
    for jobs, threads, hash_seed in itertools.product(("1", "2"), ("1", "2"), ("0", "1", "random")):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(script), jobs, threads],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout.strip())
    assert len(found) == 1, found
    assert len(found.pop()) == hashlib.sha256().digest_size * 2


def test_shuffled_labels_are_worth_nothing():
    """On labels that cannot be predicted, the verdict claims no edge."""
    from sktrain import EnhancedWalkForwardCV, with_label_times
    from sktrain.evaluation import baselines, fold_scores

    bars, y = AdaptiveLabeler(base_threshold=0.5, scaling="sigma").fit_resample(
        load_sp500().iloc[:2500]
    )
    noise = pd.Series(np.random.default_rng(0).permutation(y.to_numpy()), index=y.index)
    noise = with_label_times(noise, like=y)
    model = Pipeline([("f", BarFeatures()), ("logistic", baselines()["logistic"])])
    found = fold_scores(
        {"model": model, "majority": baselines()["majority"]},
        bars,
        noise,
        EnhancedWalkForwardCV(n_splits=5),
    )
    assert "no edge shown" in found.verdict() or "worse" in found.verdict()
    assert isinstance(model[-1][-1], LogisticRegression)

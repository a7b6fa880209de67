"""Folds of the README's pipeline in two workers against one process: the first call of a fresh
process, and the next; by ``cross_val_score`` and by ``fold_scores``.

Every measurement is a process of its own, in turn with the other kind. The first call with workers
contains their start: each imports torch, scikit-learn and pandas and opens the rows, and nothing
else (``sktrain.nets._optimizers`` says what the first optimizer of torch would import besides). Both
sides import sktrain before the clock starts, as a notebook does.

Folds of an expanding walk-forward grow, and ``cross_val_score`` begins them in order, so one worker
has nothing left to do while the other trains the last and longest. What two workers can win at most
in that order follows from the seconds of each fold and stands beside the figure: 5/3 for five folds
that grow by the same amount each. ``fold_scores`` begins with the longest.

What the first call takes at least follows from the same: a worker begins when it has imported
scikit-learn and torch, which one process has behind it when the clock starts. With T seconds of one
process, S of these imports and the most M that the order of folds allows, that is (S + T / M) / T;
for five evenly growing folds, 1.1 can be met from T = 2 S on.
"""

import heapq
import json
import pickle
import statistics
import subprocess
import sys

from _harness import Claim, arguments, as_installed, report

SCRIPT = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sktrain import AdaptiveLabeler, BarFeatures, EnhancedWalkForwardCV, GRUClassifier, SlidingWindow
from sktrain import fold_scores
from sktrain.datasets import load_sp500
import torch

torch.set_num_threads(1)
bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(load_sp500())
by, n_jobs, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
net = GRUClassifier(max_epochs=epochs, random_state=0)
model = Pipeline([("features", BarFeatures()), ("window", SlidingWindow(lookback=30)), ("net", net)])
cv = EnhancedWalkForwardCV(n_splits=5)
times, scores, folds = [], [], []
for _ in range(3):
    start = time.perf_counter()
    if by == "fold_scores":
        found = fold_scores(model, bars, y, cv, n_jobs=n_jobs)
    else:
        found = cross_val_score(model, bars, y, cv=cv, scoring="balanced_accuracy", n_jobs=n_jobs)
    times.append(time.perf_counter() - start)
    scores.append((found if by == "cross_val_score" else found.scores()).tolist())
    folds = [] if by == "cross_val_score" else found.seconds.tolist()
print(json.dumps({
    "first": times[0], "next": min(times[1:]), "scores": scores, "folds": folds,
}))
"""


IMPORTS = """
import time
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sktrain import BarFeatures, GRUClassifier, SlidingWindow
print(time.process_time())
"""


def seconds_of_imports():
    """Processor time in which a fresh process has imported what a worker of the pipeline imports:
    a worker does it while the others do, so it waits that long at least."""
    command = [sys.executable, "-c", IMPORTS]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    return min(float(run.stdout) for run in runs)


def measure(by, n_jobs, epochs):
    command = [sys.executable, "-c", SCRIPT, by, str(n_jobs), str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench_parallel: {done.stderr}")
    return json.loads(done.stdout)


def together(seconds, n_workers=2):
    """Seconds that workers take for jobs which begin in order, each with the first that is free."""
    free = [0.0] * n_workers
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


def compare(by, runs, most, imports):
    """Claims about one way to score folds whose order allows ``most``; ratios are taken run by
    run."""
    cold = statistics.median(two["first"] / one["first"] for one, two in runs)
    warm = statistics.median(one["next"] / two["next"] for one, two in runs)
    first, after = (
        [statistics.median(run[side][name] for run in runs) for side in (0, 1)]
        for name in ("first", "next")
    )
    yield Claim(
        f"{by}, first call: 2 workers / 1 process", cold, 1.1, unit="x",
        note=f"{first[1]:.1f} s / {first[0]:.1f} s; at least "
        f"{imports / first[0] + 1 / most:.2f}: imports of a worker take {imports:.1f} s",
    )
    yield Claim(
        f"{by}, next calls: 1 process / 2 workers", warm, 1.7, ">=", "x",
        note=f"{after[0]:.1f} s / {after[1]:.1f} s; at most {most:.2f} in its order of folds",
    )


def slice_sizes():
    """KiB of 100 rows from the middle of labelled bars, where rows stand on both sides."""
    from sktrain import AdaptiveLabeler
    from sktrain.datasets import load_sp500, make_market

    labeler = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma")
    markets = {
        "the S&P 500": load_sp500(),
        "a panel of 30 symbols": make_market(2000, 30, random_state=0).bars,
    }
    sizes = {}
    for name, market in markets.items():
        bars, _ = labeler.fit_resample(market)
        middle = len(bars) // 2 + 900  # well inside a symbol of the panel
        sizes[name] = len(pickle.dumps(bars.iloc[middle : middle + 100])) / 1024
    return sizes


def main(smoke):
    as_installed()
    epochs, repeat = (1, 1) if smoke else (10, 3)
    ways = ("cross_val_score", "fold_scores")
    runs = {by: [] for by in ways}
    for _ in range(repeat):
        for by in ways:
            runs[by].append((measure(by, 1, epochs), measure(by, 2, epochs)))
    told = [one["scores"] for pairs in runs.values() for pair in pairs for one in pair]
    distinct = {tuple(scores) for calls in told for scores in calls}
    if len(distinct) != 1:
        sys.exit(f"bench_parallel: scores depend on n_jobs or on who asks: {distinct}")
    folds = runs["fold_scores"][0][0]["folds"]  # of one process, in order
    most = {
        "cross_val_score": sum(folds) / together(folds),
        "fold_scores": sum(folds) / together(sorted(folds, reverse=True)),
    }
    imports = seconds_of_imports()
    claims = [claim for by in ways for claim in compare(by, runs[by], most[by], imports)]
    claims += [
        Claim(
            f"pickle of 100 labelled bars of {name}", size, 50, unit="KiB", smoke=True,
            note="with the rows around them and their label times",
        )
        for name, size in slice_sizes().items()
    ]
    report("parallel", claims, smoke=smoke)


if __name__ == "__main__":
    main(arguments(__doc__).smoke)

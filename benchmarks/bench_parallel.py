"""``cross_val_score`` of the README's pipeline with two workers against one process: the first call
of a fresh process, and the next.

Every measurement is a process of its own, in turn with the other kind. The first call with workers
contains their start: each imports torch, scikit-learn and pandas and opens the rows, and nothing
else (``sktrain._optimizers`` says what the first optimizer of torch would import besides). Both
sides import sktrain before the clock starts, as a notebook does. Folds of an expanding walk-forward
grow, so two workers cannot do better than 1.9 times one.
"""

import json
import statistics
import subprocess
import sys

from _harness import Claim, arguments, report

SCRIPT = """
import json, pickle, sys, time, warnings
warnings.simplefilter("ignore")
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sktrain import AdaptiveLabeler, BarFeatures, EnhancedWalkForwardCV, GRUClassifier, SlidingWindow
from sktrain.datasets import load_sp500
import torch

torch.set_num_threads(1)
bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(load_sp500())
net = GRUClassifier(max_epochs=int(sys.argv[2]), random_state=0)
model = Pipeline([("features", BarFeatures()), ("window", SlidingWindow(lookback=30)), ("net", net)])
times, scores = [], []
for _ in range(3):
    start = time.perf_counter()
    folds = cross_val_score(
        model, bars, y, cv=EnhancedWalkForwardCV(n_splits=5), scoring="balanced_accuracy", n_jobs=int(sys.argv[1])
    )
    times.append(time.perf_counter() - start)
    scores.append(folds.tolist())
print(json.dumps([times[0], min(times[1:]), scores[0], scores[-1], len(pickle.dumps(bars.iloc[-100:]))]))
"""


def measure(n_jobs, epochs):
    command = [sys.executable, "-c", SCRIPT, str(n_jobs), str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench_parallel: {done.stderr}")
    return json.loads(done.stdout)


def main(smoke):
    epochs, repeat = (1, 1) if smoke else (10, 3)
    runs = [(measure(1, epochs), measure(2, epochs)) for _ in range(repeat)]
    one, two = runs[0]
    if not one[2] == one[3] == two[2] == two[3]:
        sys.exit(f"bench_parallel: scores depend on n_jobs: {one[2]} and {two[2]}")
    cold = statistics.median(many[0] / single[0] for single, many in runs)
    warm = statistics.median(single[1] / many[1] for single, many in runs)
    note = "{:.1f} s / {:.1f} s"
    report(
        "parallel",
        [
            Claim(
                "first call, 2 workers / 1 process", cold, 1.1, unit="x",
                note=note.format(two[0], one[0]),
            ),
            Claim(
                "next calls, 1 process / 2 workers", warm, 1.7, ">=", "x",
                note.format(one[1], two[1]),
            ),
            Claim(
                "pickle of a slice of 100 bars",
                two[4] / 1024,
                50, unit="KiB", note="with the rows around it", smoke=True,
            ),
        ],
        smoke=smoke,
    )


if __name__ == "__main__":
    main(arguments(__doc__).smoke)

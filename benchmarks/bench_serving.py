"""A serving process in a fresh interpreter: time to open a saved pipeline and answer once, and the
memory it takes.

The plain alternative is the joblib file of the trained torch pipeline, opened by a process that
does the same. Most of opening a quantized pipeline is importing scikit-learn, which imports
``scipy.stats`` for what no prediction needs; what that costs is measured beside it. Most of its
memory is libraries, too: of 234 MiB pandas takes 102, scikit-learn with SciPy 78 and ONNX Runtime
20 before a model is opened. Both sides run from bytecode, as installed packages do: compiling
sktrain in every process takes the torch pipeline 15 MiB more, the quantized one 1.
"""

import os
from pathlib import Path
import statistics
import subprocess
import sys
import tempfile
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _compression_jobs import LOOKBACK, NETS
from _harness import Claim, arguments, as_installed, report
import joblib
from sklearn.pipeline import Pipeline

SERVE = """
import sys, time
import pandas as pd
if sys.argv[3] == "warm":
    import sklearn.pipeline
    import joblib
start = time.perf_counter()
if sys.argv[1].endswith(".sktrain"):
    from sktrain import load
else:
    from joblib import load
model = load(sys.argv[1])
loaded = time.perf_counter()
model.predict_proba(pd.read_pickle(sys.argv[2]))
done = time.perf_counter()
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(loaded - start, done - start, peak / 1024)
"""
STATISTICS = """
import time
import pandas, joblib, scipy.optimize, scipy.sparse.linalg, scipy.spatial
start = time.perf_counter()
import scipy.stats
print(time.perf_counter() - start)
"""


def statistics_alone():
    """Seconds that ``import scipy.stats`` takes where all else that is needed is there."""
    done = subprocess.run(
        [sys.executable, "-c", STATISTICS], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def serve(path, bars, mode):
    """Seconds to load (and import what loading needs), seconds until the first answer, peak MiB of
    the process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SERVE, str(path), str(bars), mode],
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(map(float, done.stdout.split()))


def main():
    smoke = arguments(__doc__).smoke
    as_installed()
    import sktrain
    from sktrain import (
        AdaptiveLabeler,
        BarFeatures,
        ModelPruner,
        ModelQuantizer,
        SlidingWindow,
        save,
    )
    from sktrain.datasets import load_sp500

    name, sizes = NETS["gru"]
    bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.01).fit_resample(load_sp500().iloc[:500])
    net = getattr(sktrain, name)(max_epochs=1, random_state=0, train_split=None, **sizes)
    model = Pipeline(
        [("features", BarFeatures()), ("window", SlidingWindow(lookback=LOOKBACK)), ("net", net)]
    ).fit(bars, y)
    ModelPruner(0.5).prune_model(model)
    small = ModelQuantizer().quantize_model(model)
    whole = ModelQuantizer(activations="int8").quantize_model(model)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        bars.attrs = {}
        bars.iloc[-200:].to_pickle(folder / "bars.pkl")
        joblib.dump(model, folder / "torch.joblib")
        joblib.dump(small, folder / "int8.joblib")
        save(small, folder / "int8.sktrain")
        save(whole, folder / "int8_activations.sktrain")
        files = ("torch.joblib", "int8.joblib", "int8.sktrain", "int8_activations.sktrain")
        runs = {(file, mode): [] for file in files for mode in ("cold", "warm")}
        imported = [statistics_alone() for _ in range(1 if smoke else 6)]
        for turn in range(1 if smoke else 6):
            for file, mode in runs:
                figures = serve(folder / file, folder / "bars.pkl", mode)
                if turn or smoke:
                    runs[file, mode].append(figures)
    claims = [claim for file in files[1:] for claim in compare(file, runs)]
    cost = statistics.median(imported)
    note = "part of every cold load: scikit-learn imports it first"
    claims.append(Claim("import scipy.stats", cost, None, unit="s", note=note))
    report("serving", claims, smoke=smoke)


def compare(file, runs):
    """Claims about one file; ratios are taken run by run."""

    def ratio(mode, what):
        return statistics.median(
            theirs[what] / ours[what]
            for ours, theirs in zip(runs[file, mode], runs["torch.joblib", mode])
        )

    def middle(name, mode, what):
        return statistics.median(one[what] for one in runs[name, mode])

    def note(mode, what, unit):
        return (
            f"{middle(file, mode, what):.2f} {unit}, torch pipeline "
            f"{middle('torch.joblib', mode, what):.2f} {unit}"
        )

    opened = middle(file, "cold", 0)
    bound = 1.0 if file.endswith(".sktrain") else None
    note_of = "pandas imported before, probe rows predicted" if bound else "pandas imported before"
    yield Claim(f"{file}: seconds of a cold load", opened, bound, unit="s", note=note_of)
    yield Claim(f"{file}: cold load", ratio("cold", 0), None, ">=", "x", note("cold", 0, "s"))
    yield Claim(
        f"{file}: cold load and first answer",
        ratio("cold", 1),
        None,
        ">=",
        "x",
        note("cold", 1, "s"),
    )
    yield Claim(
        f"{file}: load where scikit-learn is imported already",
        ratio("warm", 0),
        None,
        ">=",
        "x",
        note("warm", 0, "s"),
    )
    yield Claim(
        f"{file}: peak memory of the process",
        1 / ratio("cold", 2),
        0.5,
        note=note("cold", 2, "MiB"),
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()

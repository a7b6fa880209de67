"""A serving process in a fresh interpreter: time to open a saved pipeline and answer once, and the memory it takes.

The plain alternative is the joblib file of the trained torch pipeline, opened by a process that does the same.
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
from _harness import Claim, arguments, report
import joblib
from sklearn.pipeline import Pipeline

SERVE = """
import sys, time
start = time.perf_counter()
import pandas as pd
ready = time.perf_counter()
if sys.argv[1].endswith(".sktrain"):
    from sktrain import load
else:
    from joblib import load
model = load(sys.argv[1])
bars = pd.read_pickle(sys.argv[2])
model.predict_proba(bars)
done = time.perf_counter()
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(done - ready, done - start, peak / 1024)
"""


def serve(path, bars):
    """Seconds after pandas was imported, seconds in all, peak MiB."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SERVE, str(path), str(bars)], capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


def main():
    smoke = arguments(__doc__).smoke
    import sktrain
    from sktrain import AdaptiveLabeler, BarFeatures, ModelPruner, ModelQuantizer, SlidingWindow, save
    from sktrain.datasets import load_sp500

    name, sizes = NETS["gru"]
    bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.01).fit_resample(load_sp500().iloc[:500])
    net = getattr(sktrain, name)(max_epochs=1, random_state=0, train_split=None, **sizes)
    model = Pipeline([("features", BarFeatures()), ("window", SlidingWindow(lookback=LOOKBACK)), ("net", net)]).fit(bars, y)
    ModelPruner(0.5).prune_model(model)
    small = ModelQuantizer().quantize_model(model)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        bars.attrs = {}
        bars.iloc[-200:].to_pickle(folder / "bars.pkl")
        joblib.dump(model, folder / "torch.joblib")
        joblib.dump(small, folder / "int8.joblib")
        save(small, folder / "int8.sktrain")
        files = ("torch.joblib", "int8.joblib", "int8.sktrain")
        runs = {file: [] for file in files}
        for turn in range(2 if smoke else 6):
            for file in files:
                figures = serve(folder / file, folder / "bars.pkl")
                if turn or smoke:
                    runs[file].append(figures)
    claims = []
    for file in files[1:]:
        pairs = list(zip(runs[file], runs["torch.joblib"]))
        cold = statistics.median(theirs[0] / ours[0] for ours, theirs in pairs)
        whole = statistics.median(theirs[1] / ours[1] for ours, theirs in pairs)
        memory = statistics.median(ours[2] / theirs[2] for ours, theirs in pairs)
        note = f"{pairs[0][0][0]:.2f} s, torch {pairs[0][1][0]:.2f} s: imports, loading and one answer; with pandas' import {whole:.1f} x"
        claims.append(Claim(f"cold start, {file}", cold, 3.0, ">=", "x", note))
        claims.append(Claim(f"peak memory, {file}", memory, 0.5, note=f"{pairs[0][0][2]:.0f} MiB, torch {pairs[0][1][2]:.0f} MiB"))
    report("serving", claims, smoke=smoke)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()

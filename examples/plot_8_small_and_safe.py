"""From a trained net to a small file that opens safely
======================================================

A GRU is trained on S&P 500 bars, made smaller in four ways, and asked about later bars: how much smaller and faster it got, and whether
it still says the same. The strongest version is saved in a file from which no code is ever run, and opened in a fresh process that has
no use for torch.
"""

import os
from pathlib import Path
import subprocess
import sys
import tempfile

import pandas as pd
from sklearn.pipeline import Pipeline

from sktrain import AdaptiveLabeler, BarFeatures, CompressionDisplay, GRUClassifier, SlidingWindow, TemporalSplitter, save
from sktrain.compression import CompressionReport, compress_model
from sktrain.datasets import load_sp500
from sktrain.persistence import read_manifest

bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.01).fit_resample(load_sp500())
train, test = next(TemporalSplitter(evaluate="test").split(bars, y))
net = GRUClassifier(max_epochs=8, module__hidden_size=128, random_state=0)
model = Pipeline([("features", BarFeatures()), ("window", SlidingWindow(lookback=20)), ("net", net)])
model.fit(bars.iloc[train], y.iloc[train])

rows = {"X": bars.iloc[test], "y": y.iloc[test], "calibration": bars.iloc[train]}
ways = {
    "int8": {"sparsity": 0.0, "bits": 8},
    "int4": {"sparsity": 0.0, "bits": 4},
    "half of the weights, int8": {"sparsity": 0.5, "bits": 8},
    "four fifths gone, int4": {"sparsity": 0.8, "bits": 4, "fine_tune_epochs": 4},
}
for name, how in ways.items():
    small, found = compress_model(model, **how, **rows)
    print(f"\n{name}\n{CompressionReport(**found).summary()}")

with tempfile.TemporaryDirectory() as folder:
    path = save(small, Path(folder) / "model.sktrain", scores={"balanced_accuracy": found["after"]["balanced_accuracy"]})
    manifest = read_manifest(path)
    print(f"\n{path.name}: {path.stat().st_size / 1024:.0f} KiB, {len(manifest['members'])} members, classes {list(manifest['classes'])}")
    bars.iloc[test].tail(100).to_pickle(Path(folder) / "bars.pkl")  # as a feed would bring them: enough for the features' memory
    serve = (
        "import sys, pandas as pd; from sktrain import load\n"
        "print(load('model.sktrain').predict_proba(pd.read_pickle('bars.pkl'))[-3:].round(3)); print('torch was imported:', 'torch' in sys.modules)"
    )
    print(subprocess.run([sys.executable, "-W", "ignore", "-c", serve], cwd=folder, capture_output=True, text=True, check=True).stdout)

print(pd.DataFrame({"before": found["before"], "after": found["after"]}).round(4).to_string())
if os.environ.get("SKTRAIN_PLOTS"):
    import matplotlib.pyplot as plt

    CompressionDisplay.from_report(found).plot()
    plt.show()

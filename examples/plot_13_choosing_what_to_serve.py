"""
Choosing what to serve
======================

A GRU is trained on S&P 500 bars and made smaller in several ways. Size, latency and agreement with
the net, on later bars, stand in one table. The choice is saved in a file from which no code is ever
run, and opened in a fresh process that has no use for torch.
"""

from copy import deepcopy
from pathlib import Path
import subprocess
import sys
import tempfile
from time import perf_counter

import numpy as np
import onnxruntime
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    CompressionDisplay,
    GRUClassifier,
    LearningCurveDisplay,
    ModelPruner,
    ModelQuantizer,
    SlidingWindow,
    TemporalSplitter,
    export_onnx,
    save,
)
from sktrain.datasets import load_sp500
from sktrain.persistence import read_manifest

# %%
# A net to make smaller
# ---------------------
# It is trained on everything before the newest 15 % of the bars. With ``replay_rows=0`` its file
# holds no training rows, and sizes can be compared.
bars, y = AdaptiveLabeler(base_threshold=0.5, scaling="sigma").fit_resample(load_sp500())
train, test = next(TemporalSplitter(evaluate="test").split(bars, y))
model = Pipeline(
    [
        ("features", BarFeatures()),
        ("window", SlidingWindow(lookback=20)),
        ("net", GRUClassifier(max_epochs=4, module__hidden_size=64, replay_rows=0, random_state=0)),
    ]
)
model.fit(bars.iloc[train], y.iloc[train])
LearningCurveDisplay.from_estimator(model).plot()

# %%
# Candidates
# ----------
# Pruning and rounding look at training windows, without labels, to keep the answers. A pruned float
# net stays as large as it was; quantized, its zeros are packed.
seen, later = (model[:-1].transform(bars.iloc[rows]) for rows in (train[-1000:], test))
net = model[-1]
pruned = deepcopy(net)
ModelPruner(target_sparsity=0.5).prune_model(pruned, X=seen)
candidates = {
    "float32": net,
    "8 bits": ModelQuantizer(bits=8).quantize_model(net, seen),
    "half pruned, 8 bits": ModelQuantizer(bits=8).quantize_model(pruned, seen),
    "4 bits": ModelQuantizer(bits=4).quantize_model(net, seen),
}

# %%
# Size, latency, agreement
# ------------------------
# The same windows for all, none of them trained on, and one window at a time for the latency. The
# files named ONNX are run by ONNX Runtime alone, without sktrain.
folder = tempfile.TemporaryDirectory()
windows = np.asarray(later, dtype=np.float32)


def runtime(path):
    """What a file says about windows, by ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    return lambda rows: session.run(None, {"X": rows})[0]


def measured(predict, path, repeats=50):
    """Size of a file, and how fast and how like the float net its model answers."""
    proba, times = predict(windows), []
    for _ in range(repeats):
        start = perf_counter()
        predict(windows[:1])
        times.append(perf_counter() - start)
    reference = net.predict_proba(windows)
    return {
        "KiB": path.stat().st_size / 1024,
        "ms a row": 1000 * np.median(times),
        "same class": np.mean(proba.argmax(axis=1) == reference.argmax(axis=1)),
        "largest change": np.abs(proba - reference).max(),
        "log loss": log_loss(y.iloc[test], proba / proba.sum(axis=1, keepdims=True)),
    }


table = {}
for name, candidate in candidates.items():
    path = save(candidate, Path(folder.name, "candidate.sktrain"), probe=windows[:8])
    table[name] = measured(candidate.predict_proba, path)
for name in ("float32", "8 bits"):
    path = export_onnx(candidates[name], Path(folder.name, "candidate.onnx"))
    table[f"{name}, ONNX"] = measured(runtime(path), path)
table = pd.DataFrame(table).T
print(table.round(4).to_string())

# %%
# The choice
# ----------
# The smallest file that gives 99 % of the rows the class that the float net gives them. ONNX files
# hold a network alone, for those who make features and windows elsewhere, so they stand aside.
# Latency is of this machine and this minute; it is shown and decides nothing.
files = table.loc[list(candidates)]
chosen = files["KiB"][files["same class"] >= 0.99].idxmin()
print("chosen:", chosen)
shown = ["KiB", "ms a row", "log loss"]
pair = {"before": table.loc["float32", shown], "after": table.loc[chosen, shown]}
CompressionDisplay(pd.DataFrame(pair)).plot()

# %%
# Served by a fresh process
# -------------------------
# The whole pipeline travels, with the newest bars beside it as a feed would bring them. Opening
# checks every byte and runs nothing that came with the file.
small = Pipeline([*model.steps[:-1], ("net", candidates[chosen])])
scores = {"log_loss": float(pair["after"]["log loss"])}
path = save(small, Path(folder.name, "model.sktrain"), scores=scores)
manifest = read_manifest(path)
print(f"{path.stat().st_size / 1024:.0f} KiB, classes {manifest['classes']}")
bars.iloc[test[-100:]].to_csv(Path(folder.name, "bars.csv"))
code = """
import sys
from sktrain import load
from sktrain.datasets import read_bars
print(load("model.sktrain").predict_proba(read_bars("bars.csv"))[-3:].round(3))
print("torch was imported:", "torch" in sys.modules)
"""
command = [sys.executable, "-c", code]
done = subprocess.run(command, cwd=folder.name, capture_output=True, text=True, check=True)
print(done.stdout)
folder.cleanup()

# sphinx_gallery_thumbnail_number = 2

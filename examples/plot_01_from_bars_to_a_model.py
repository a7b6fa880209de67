"""
From bars to a scored, saved model
==================================

Label the bundled S&P 500 bars, score a small net walk-forward beside two baselines, and save it.
Expect balanced accuracy near 1/3: an honest split finds little in daily index bars, and says so.
"""

from pathlib import Path
import tempfile

from sklearn.pipeline import Pipeline

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    EnhancedWalkForwardCV,
    LearningCurveDisplay,
    MLPNetClassifier,
    RegimeDetector,
    SlidingWindow,
    WalkForwardDisplay,
    load,
    save,
)
from sktrain.datasets import load_sp500
from sktrain.evaluation import baselines, fold_scores

# %%
# Bars and labels
# ---------------
# Down, flat or up three days ahead, where half of a three-day standard deviation is the border. The
# labels know when each of them was known.
labeler = AdaptiveLabeler(base_threshold=0.5, scaling="sigma")
bars, y = labeler.fit_resample(load_sp500())
shares = y.value_counts(normalize=True).sort_index().round(3).tolist()
print(f"{len(bars)} labelled bars; sell, hold, buy: {shares}")

# %%
# Folds
# -----
# Each fold trains on the past and tests on what follows. Rows whose label overlaps the test block
# are purged, and test blocks move until every regime is trained on before it is tested.
cv = EnhancedWalkForwardCV(n_splits=4)
columns = ["test_start", "test_end", "train_size", "test_size", "purged", "unseen_regimes"]
print(cv.summary(bars, y)[columns].to_string())
detector = RegimeDetector(volatility_threshold="auto", trend_threshold="auto")
regimes = detector.fit(bars).transform(bars).iloc[:, 0]
WalkForwardDisplay.from_cv(cv, bars, y, regimes=regimes).plot()

# %%
# A net on windows of features
# ----------------------------
# Features, windows and the net are one pipeline. The rows carry their history, so a fold's first
# windows are full. Every fold is a real fit, beside the majority class and a logistic regression on
# the same features.
model = Pipeline(
    [
        ("features", BarFeatures()),
        ("window", SlidingWindow(lookback=10)),
        ("net", MLPNetClassifier(max_epochs=5, random_state=0)),
    ]
)
scores = fold_scores({"net": model, **baselines(BarFeatures())}, bars, y, cv)
print(scores.summary())
print(scores.verdict())

# %%
# Trained on all rows
# -------------------
# The validation loss is that of the last block of rows, never of a random one.
model.fit(bars, y)
LearningCurveDisplay.from_estimator(model).plot()

# %%
# One file
# --------
# It holds no code, and it predicts raw bars.
with tempfile.TemporaryDirectory() as folder:
    path = save(model, Path(folder) / "model.sktrain", probe=bars.iloc[-80:])
    newest = load(path).predict(load_sp500().iloc[-3:])
    print(f"saved {path.stat().st_size / 1024:.0f} KiB; newest bars: {newest}")

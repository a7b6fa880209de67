"""
From bars to a scored, saved model
==================================

Label the bundled S&P 500 bars, score a small net walk-forward beside two baselines, and save it. Expect balanced accuracy near 1/3:
an honest split finds little in daily index bars, and says so.
"""

from pathlib import Path
import tempfile

from sklearn.pipeline import Pipeline

from sktrain import AdaptiveLabeler, BarFeatures, EnhancedWalkForwardCV, MLPNetClassifier, SlidingWindow, load, save
from sktrain.datasets import load_sp500
from sktrain.evaluation import baselines, fold_scores

bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(load_sp500())
print(f"{len(bars)} labelled bars; sell, hold, buy: {y.value_counts(normalize=True).sort_index().round(3).tolist()}")

# %%
# Features, windows and a net, in one pipeline. The rows carry their history, so a fold's first windows are full.
model = Pipeline([("features", BarFeatures()), ("window", SlidingWindow(lookback=10)), ("net", MLPNetClassifier(max_epochs=5, random_state=0))])
cv = EnhancedWalkForwardCV(n_splits=4)
print(cv.summary(bars, y)[["test_start", "test_end", "train_size", "test_size", "purged", "embargoed", "unseen_regimes"]])

# %%
# A real fit and score per fold, beside the majority class and a logistic regression on the same features.
scores = fold_scores({"net": model, **baselines(BarFeatures())}, bars, y, cv)
print(scores.summary())
print(scores.verdict())

# %%
# One file, no code in it; it predicts raw bars.
with tempfile.TemporaryDirectory() as folder:
    path = save(model.fit(bars, y), Path(folder) / "model.sktrain", probe=bars.iloc[-80:])
    print(f"saved {path.stat().st_size / 1024:.0f} KiB; newest bars: {load(path).predict(load_sp500().iloc[-3:])}")

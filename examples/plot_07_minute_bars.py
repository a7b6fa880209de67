"""
Minute bars, lunch breaks and nights
====================================

Two months of minute bars of a market that closes for lunch and at night. Labels and windows stay
inside of a session: what happens between two days is not a minute, and nobody who trades minutes
holds it.
"""

from pathlib import Path
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    EnhancedWalkForwardCV,
    LearningCurveDisplay,
    MLPNetClassifier,
    SlidingWindow,
    WalkForwardDisplay,
)
from sktrain.datasets import make_market, read_bars
from sktrain.evaluation import baselines, fold_scores

# %%
# A file of minute bars
# ---------------------
# The market is drawn, with a planted signal, so that there is something to find. Mornings are 120
# minutes, afternoons as well, and prices jump over night. The stamps are local and say when a
# minute begins, as many vendors write them.
days, minutes = 40, 240
drawn = make_market(days * minutes, signal=0.6, horizon=15, random_state=0).bars
drawn = drawn.reset_index(drop=True)
jumps = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, days))).repeat(minutes)
calm = (drawn[["open", "high", "low", "close"]] / 100) ** 0.05  # daily moves, a twentieth as large
prices = 100 * calm.mul(jumps, axis=0)
dates = pd.bdate_range("2024-03-04", periods=days)
session = pd.timedelta_range("9h30min", periods=120, freq="min").append(
    pd.timedelta_range("13h", periods=120, freq="min")
)
stamps = pd.DatetimeIndex(np.add.outer(dates.to_numpy(), session.to_numpy()).ravel())

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "minutes.csv")
    prices.assign(volume=drawn["volume"]).set_index(stamps.rename("time")).to_csv(file)
    bars = read_bars(file, timezone="Asia/Shanghai", stamps="open")
print(bars.attrs["reading"])
print("first close of the file, in UTC:", bars.index[0])

# %%
# Labels that stay inside the day
# -------------------------------
# With ``crosses_session=False`` a label ends before the night or does not exist. Lunch is a short
# pause and no end of a session. A label that crosses the night answers another question: it is
# mostly the jump.
inside = AdaptiveLabeler(
    horizon=15, base_threshold=0.5, scaling="sigma", volatility_lookback=60, crosses_session=False
)
across = AdaptiveLabeler(horizon=15, base_threshold=0.5, scaling="sigma", volatility_lookback=60)
rows, y = inside.fit_resample(bars)
everything, _ = across.fit_resample(bars)
print(f"{len(everything)} labels if they may cross the night, {len(rows)} that end on their day")

reach = across.label_end_times(bars)[everything.index]
held = np.log(bars["close"].reindex(reach).to_numpy() / everything["close"].to_numpy())
overnight = reach.to_numpy() - everything.index.to_numpy() > np.timedelta64(4, "h")
print(f"mean absolute move: {np.abs(held[overnight]).mean():.2%} over a night")
print(f"                    {np.abs(held[~overnight]).mean():.2%} within a day")

_, ax = plt.subplots(figsize=(9, 3), layout="constrained")
minute = everything.index.hour * 60 + everything.index.minute - 90
for name, chosen in (("across the night", overnight), ("within the day", ~overnight)):
    ax.scatter(minute[chosen], np.abs(held[chosen]), s=3, label=name)
ax.set(xlabel="minutes since the opening", ylabel="absolute move in 15 bars")
ax.legend(fontsize="small")

# %%
# Folds by the calendar
# ---------------------
# Test blocks of a week and an embargo of one day, both told as lengths of time. Blocks begin after
# a weekend and labels end on their day, so nothing is left to purge.
cv = EnhancedWalkForwardCV(
    3, test_size="7D", embargo="1D", ensure_regime_coverage=False, min_samples_per_fold=500
)
columns = ["test_start", "train_size", "test_size", "purged", "embargoed"]
print(cv.summary(rows, y)[columns].to_string())
WalkForwardDisplay.from_cv(cv, rows, y).plot()

# %%
# A net on windows of one session
# -------------------------------
# Windows at the opening are short: steps before it are missing rather than yesterday's. The time of
# day is a feature.
model = Pipeline(
    [
        ("features", BarFeatures(windows=(5, 15), calendar="intraday")),
        ("window", SlidingWindow(lookback=5, crosses_session=False)),
        ("net", MLPNetClassifier(max_epochs=6, random_state=0)),
    ]
)
majority = baselines(BarFeatures())["majority"]
print(fold_scores({"net": model, "majority": majority}, rows, y, cv).summary())

# %%
# The newest fold's net, epoch by epoch, on the last block of its own training rows.
train, test = list(cv.split(rows, y))[-1]
LearningCurveDisplay.from_estimator(model.fit(rows.iloc[train], y.iloc[train])).plot()

"""
Many paths instead of one
=========================

Walking forward gives one backtest, and one backtest is one draw. Combinatorial purged
cross-validation tests every pair of six blocks and puts the folds together into five complete
histories: the spread between them is what a single number hides.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    CombinatorialPurgedCV,
    EnhancedWalkForwardCV,
    WalkForwardDisplay,
)
from sktrain.datasets import load_sp500
from sktrain.evaluation import profit_and_loss, to_positions, walk_forward_predict

bars, y = AdaptiveLabeler(horizon=5, base_threshold=0.5, scaling="sigma").fit_resample(load_sp500())
model = make_pipeline(
    BarFeatures(windows=(5, 20)), SimpleImputer(), StandardScaler(), LogisticRegression(C=0.01)
)

# %%
# Fifteen folds
# -------------
# Two blocks are tested, four are trained on; rows whose labels reach into a tested block are purged
# on both sides of it.
cv = CombinatorialPurgedCV(n_blocks=6, n_test_blocks=2)
print(f"{cv.get_n_splits()} folds; which fold predicts each block, path by path:")
print(cv.paths())
WalkForwardDisplay.from_cv(cv, bars, y).plot()

# %%
# Five histories
# --------------
# Each fold fits a clone of the whole pipeline. ``path_predictions`` sorts what they said into
# paths.
said = [
    clone(model).fit(bars.iloc[train], y.iloc[train]).predict_proba(bars.iloc[test])
    for train, test in cv.split(bars, y)
]
paths = cv.path_predictions(said, bars, y)
print(f"{paths.shape[0]} paths of {paths.shape[1]} rows and {paths.shape[2]} classes")


def earned(probabilities, prices):
    """What the most likely side earned, after five basis points for each unit of turnover."""
    positions = to_positions(pd.DataFrame(probabilities, prices.index, [0, 1, 2]))
    return profit_and_loss(positions, prices, cost=0.0005)


backtests = [earned(path, bars) for path in paths]
sharpes = np.array([pnl.sharpe(252) for pnl in backtests])
print("Sharpe ratio a year, by path:", sharpes.round(2).tolist())
print(f"mean {sharpes.mean():.2f}, from {sharpes.min():.2f} to {sharpes.max():.2f}")

# %%
# Beside the one path
# -------------------
# Walking forward trades the later years only, from fewer training rows at first. The five paths
# trade the same prices and share most of their training rows, so their spread is no standard error:
# it shows only how much depends on which years were trained on.
walked = walk_forward_predict(model, bars, y, EnhancedWalkForwardCV())
one = earned(walked.probabilities[walked.mask], bars[walked.mask])
print(f"walk-forward from {one.returns.index[0]:%Y}: Sharpe ratio {one.sharpe(252):.2f} a year")

_, ax = plt.subplots(figsize=(9, 4), layout="constrained")
for number, pnl in enumerate(backtests):
    ax.plot(pnl.equity, linewidth=0.8, label=f"path {number}")
ax.plot(one.equity, color="black", label="walk-forward")
ax.set(ylabel="wealth, from 1")
ax.legend(fontsize="small", ncols=2)

# sphinx_gallery_thumbnail_number = 2

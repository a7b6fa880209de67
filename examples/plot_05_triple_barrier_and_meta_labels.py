"""
Triple barrier and meta-labels
==============================

A rule says on which side to trade. The triple barrier says how each trade ended: profit taken, loss
stopped, or time out. A second model learns whether the rule's trade will earn, and its
probability decides which trades are taken.
"""

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import (
    BarFeatures,
    EnhancedWalkForwardCV,
    LabelDisplay,
    TripleBarrierLabeler,
    WalkForwardDisplay,
    average_uniqueness,
)
from sktrain.datasets import load_sp500
from sktrain.evaluation import walk_forward_predict

bars = load_sp500()

# %%
# Barriers in units of volatility
# -------------------------------
# Two daily volatilities above for the profit, one and a half below for the stop, ten days at most.
# The path decides: the first later bar whose high or low touches a barrier, else the sign of the
# return when time is out.
labeler = TripleBarrierLabeler(take_profit=2, stop_loss=1.5, volatility="ewma")
labeler.fit(bars)
print(LabelDisplay.from_bars(bars, labeler).balance.round(3).to_dict())
print(f"bars that touched both barriers decided {labeler.ambiguous_share_:.1%} of the labels")
LabelDisplay.from_bars(bars.iloc[-500:], labeler).plot()

# %%
# A primary rule
# --------------
# Follow the trend: long above the mean close of fifty days, short below. It learns nothing and is
# known at each close, so there is nothing to fit in a fold.
side = np.sign(bars["close"] - bars["close"].rolling(50).mean())
rows, earns = labeler.fit_resample(bars, side=side)
print(f"{len(rows)} trades, of which {earns.mean():.1%} earned")

# %%
# Labels that overlap
# -------------------
# A trade lasts until a barrier ends it, and the next day's trade shares most of those days. Rows
# are weighted by the part of their label that is their own; the splitter purges by the same ends.
ends = labeler.label_end_times(bars, side=side)[rows.index]
weight = average_uniqueness(ends, bars_index=bars.index)
print(f"mean uniqueness {weight.mean():.2f}: {weight.sum():.0f} labels' worth of {len(rows)} rows")
cv = EnhancedWalkForwardCV()
WalkForwardDisplay.from_cv(cv, rows, earns).plot()

# %%
# The secondary model
# -------------------
# Will this trade earn? Its features are a step of its pipeline. The area under the curve is 0.5 for
# a guess.
model = make_pipeline(
    BarFeatures(), SimpleImputer(), StandardScaler(), LogisticRegression(C=0.01, max_iter=500)
)
params = {"logisticregression__sample_weight": weight.to_numpy()}
predictions = walk_forward_predict(model, rows, earns, cv, params=params)
tested = predictions.mask
probability = pd.Series(predictions.probabilities[tested, 1], rows.index[tested])
outcome = earns[tested]
print(f"area under the curve, out of fold: {roc_auc_score(outcome, probability):.3f}")

# %%
# Which trades to take
# --------------------
# The more choosy, the fewer trades. If the model knew something, the share that earned would rise
# from line to line, beyond what few trades do by chance.
print(f"{'trades taken':<16} {'number':>7} {'earned':>7} {'± chance':>9}")
for kept in (1.0, 0.5, 0.25, 0.1):
    chosen = outcome[probability >= probability.quantile(1 - kept)]
    worth = weight[chosen.index].sum()  # overlapping trades are worth fewer independent ones
    error = 1.96 * np.sqrt(outcome.mean() * (1 - outcome.mean()) / worth)
    print(f"best {kept:>4.0%} {len(chosen):>14} {chosen.mean():>7.1%} {error:>9.1%}")

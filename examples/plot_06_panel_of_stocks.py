"""
A panel of stocks
=================

Five stocks that begin in different years are one table, indexed by symbol and time. Labels,
features and purging go stock by stock, folds are cut between times for all stocks at once, and a
pool of two models learns how much each of them is worth.
"""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    EnhancedWalkForwardCV,
    LabelDisplay,
    PooledClassifier,
    WalkForwardDisplay,
)
from sktrain.datasets import load_us_stocks
from sktrain.evaluation import walk_forward_predict

bars = load_us_stocks()
print(bars.groupby(level="symbol").size().to_dict())

# %%
# Labels, stock by stock
# ----------------------
# No label looks from one stock's last bar into the next stock. The threshold is in units of each
# stock's own volatility, so that lively stocks are not always "buy" or "sell".
labeler = AdaptiveLabeler(horizon=5, base_threshold=0.5, scaling="sigma")
rows, y = labeler.fit_resample(bars)
shares = y.groupby(level="symbol").value_counts(normalize=True).unstack()
print(shares.set_axis(["sell", "hold", "buy"], axis=1).round(2).to_string())
LabelDisplay.from_bars(bars.loc[["IBM"]].iloc[-500:], labeler).plot()

# %%
# Folds in time
# -------------
# A day is in the training part for all stocks or for none: on the day a market falls, one stock's
# training row would tell another's test row. The price drawn is the first stock's.
cv = EnhancedWalkForwardCV(n_splits=4, ensure_regime_coverage=False)
for train, test in cv.split(rows, y):
    days = rows.index.get_level_values("time")
    symbols = rows.index.get_level_values("symbol")
    print(
        f"trained to {days[train].max():%Y-%m-%d} on {symbols[train].nunique()} stocks, "
        f"tested from {days[test].min():%Y-%m-%d} on {symbols[test].nunique()}"
    )
WalkForwardDisplay.from_cv(cv, rows, y).plot()

# %%
# A pool of two
# -------------
# The pool's weights are learned on the last block of each fold's training rows. The shares of the
# classes always take part: where nothing is found, they get the weight.
pool = PooledClassifier(
    [
        ("ridge", make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))),
        ("trees", HistGradientBoostingClassifier(max_iter=25, early_stopping=False)),
    ],
    random_state=0,
)
model = make_pipeline(BarFeatures(windows=(5, 20)), SimpleImputer(), pool)
predictions = walk_forward_predict(model, rows, y, cv)
print(predictions.summary())

# %%
# Stock by stock
# --------------
# A guess has a balanced accuracy of 1/3, and saying 1/3 for every class has a log loss of 1.099.
# Five stocks are five chances to look good: the best of them is no result by itself.
tested = predictions.mask
scored = pd.DataFrame(
    predictions.probabilities[tested], index=rows.index[tested], columns=predictions.classes
)
table = {
    symbol: {
        "rows": len(part),
        "balanced accuracy": balanced_accuracy_score(y[part.index], part.idxmax(axis=1)),
        "log loss": log_loss(y[part.index], part),
    }
    for symbol, part in scored.groupby(level="symbol")
}
print(pd.DataFrame(table).T.astype({"rows": int}).round(3).to_string())

# %%
# Fitted on all rows, the weights tell what the newest block said about the two.
weights = model.fit(rows, y)[-1].named_weights_
print({name: round(weight, 3) for name, weight in weights.items()})

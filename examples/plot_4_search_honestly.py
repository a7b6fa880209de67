"""
Search honestly
===============

The same search is run on two markets, one with a planted signal and one without any. Both find a "best" model; the report
says which of the two is worth anything. Then the search is stopped half-way and goes on where it was.
"""

from pathlib import Path
import tempfile

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import BarFeatures, EnhancedWalkForwardCV, OptunaSearchCV
from sktrain.datasets import make_market

# %%
# Two markets
# -----------
# ``signal=0`` has nothing to find. Features are known at the close of each bar; folds are purged by the label's horizon.


def problem(signal):
    market = make_market(1500, signal=signal, random_state=7)
    features = BarFeatures(windows=(5, 20)).fit_transform(market.bars)
    known = features.notna().all(axis=1) & market.y.notna()
    return features[known], market.y[known].astype(int), market.bayes_accuracy


model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
space = {"logisticregression__C": (1e-5, 10.0, "log")}
cv = EnhancedWalkForwardCV(n_splits=6, horizon=1, ensure_regime_coverage=False)

for signal in (0.0, 0.9):
    X, y, bayes = problem(signal)
    search = OptunaSearchCV(model, space, n_trials=20, cv=cv, random_state=0).fit(X, y)
    print(f"--- signal {signal}: the best any model could do is {bayes:.3f}")
    print(search.overfit_report_.summary())

# %%
# What pruning saved
# ------------------

ran = sum(np.isfinite(search.cv_results_[f"split{fold}_test_score"]).sum() for fold in range(6))
print(f"--- fold fits: {ran} of {6 * 20}; states: {dict(zip(*np.unique(search.cv_results_['state'], return_counts=True)))}")

# %%
# Stop and go on
# --------------
# Twelve trials now, twenty in all later: the eight that are missing are the ones an uninterrupted search would have run.

with tempfile.TemporaryDirectory() as folder:
    stored = OptunaSearchCV(model, space, n_trials=12, cv=cv, random_state=0, storage=Path(folder) / "search.db").fit(X, y)
    resumed = stored.set_params(n_trials=20).fit(X, y)
same = resumed.cv_results_["params"] == search.cv_results_["params"]
print(f"--- resumed search has the trials of the uninterrupted one: {same}")

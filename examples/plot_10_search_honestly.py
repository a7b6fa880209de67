"""
Search honestly
===============

The same search is run on two markets, one with a planted signal and one without any. Both find a
"best" model; the report says which of the two is worth anything. Then the search is stopped
half-way and goes on where it was.
"""

from collections import Counter
from pathlib import Path
import tempfile

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import BarFeatures, EnhancedWalkForwardCV, OptunaSearchCV, SearchDisplay
from sktrain.datasets import make_market

# %%
# Two markets
# -----------
# ``signal=0`` has nothing to find. Features are made in every fold, which is purged by the label's
# horizon.
model = make_pipeline(
    BarFeatures(windows=(5, 20)),
    SimpleImputer(),
    StandardScaler(),
    LogisticRegression(max_iter=1000),
)
space = {"logisticregression__C": (1e-5, 10.0, "log")}
cv = EnhancedWalkForwardCV(n_splits=5, ensure_regime_coverage=False)

for signal in (0.0, 0.9):
    market = make_market(1200, signal=signal, random_state=7)
    search = OptunaSearchCV(model, space, n_trials=16, cv=cv, random_state=0)
    search.fit(market.bars, market.y)
    print(f"--- signal {signal}: the best any model could do is {market.bayes_accuracy:.3f}")
    print(search.overfit_report_.summary())
    SearchDisplay.from_estimator(search).plot().ax_.set_title(f"signal {signal}")

# %%
# What pruning saved
# ------------------
# Trials that fall behind are not tried on the remaining folds.
results = search.cv_results_
ran = sum(np.isfinite(results[f"split{fold}_test_score"]).sum() for fold in range(5))
print(f"fold fits: {ran} of {5 * 16}; trials by state: {dict(Counter(results['state']))}")

# %%
# Stop and go on
# --------------
# Ten trials now, sixteen in all later: the six that are missing are the ones an uninterrupted
# search would have run.
with tempfile.TemporaryDirectory() as folder:
    stored = OptunaSearchCV(
        model, space, n_trials=10, cv=cv, random_state=0, storage=Path(folder) / "search.db"
    )
    stored.fit(market.bars, market.y)
    resumed = stored.set_params(n_trials=16).fit(market.bars, market.y)
same = resumed.cv_results_["params"] == results["params"]
print(f"the resumed search has the trials of the uninterrupted one: {same}")

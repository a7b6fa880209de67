"""
The price of leakage
====================

A random walk, slow features, labels that look 20 bars ahead: there is nothing to find. A forest and a booster still report more than
80 % when they grade themselves. The auditor says where that comes from, repairs what it can, and puts the scores side by side.
"""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from sktrain import EnhancedWalkForwardCV, LeakageValidator

HORIZON = 20
rng = np.random.default_rng(0)
walk = np.cumsum(rng.normal(size=1500 + HORIZON))
times = pd.date_range("2015-01-01", periods=1500)
price = pd.Series(walk[:1500], times)
X = pd.DataFrame({"level": price, "fast": price.rolling(10, min_periods=1).mean(), "slow": price.rolling(60, min_periods=1).mean()})
y = pd.Series((walk[HORIZON:] > walk[:-HORIZON]).astype(int), times)
y.attrs["label_horizon"] = HORIZON

validator = LeakageValidator()
models = {
    "forest": RandomForestClassifier(25, oob_score=True, random_state=0),
    "booster": HistGradientBoostingClassifier(max_iter=25, early_stopping=True, scoring="accuracy", random_state=0),
}
for name, model in models.items():
    print(f"--- {name}")
    for finding in validator.inspect(model).findings:
        print(f"{finding.severity}: {finding.message}\n    fix: {finding.fix}")
    print(validator.price_tag(model, X, y, n_splits=4).summary())
    fixed = validator.repair(model, EnhancedWalkForwardCV(horizon=HORIZON))
    print("after repair:", validator.inspect(fixed).status, "\n")

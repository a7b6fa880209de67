"""How often the overfit report sees an edge in markets that have none, and in markets that have
one."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import warnings

from _harness import Claim, arguments, report
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import BarFeatures, EnhancedWalkForwardCV
from sktrain.datasets import make_market
from sktrain.search import OptunaSearchCV


def searched(seed, signal, n_trials):
    market = make_market(1500, signal=signal, random_state=seed)
    features = BarFeatures(windows=(5, 20)).fit_transform(market.bars)
    known = features.notna().all(axis=1) & market.y.notna()
    X, y = features[known], market.y[known].astype(int)
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-3))
    cv = EnhancedWalkForwardCV(n_splits=5, horizon=1, ensure_regime_coverage=False)
    return OptunaSearchCV(
        model,
        {"logisticregression__C": (1e-5, 1.0, "log")},
        n_trials=n_trials, cv=cv, random_state=seed, refit=False,
    ).fit(X, y)


def main():
    smoke = arguments(__doc__).smoke
    warnings.simplefilter("ignore")
    markets, n_trials = (3, 6) if smoke else (50, 12)
    null = [searched(seed, 0.0, n_trials).overfit_report_ for seed in range(markets)]
    real = [searched(seed, 0.5, n_trials).overfit_report_ for seed in range(markets // 10 or 1)]
    lead = np.mean([one.best_score - one.baseline_score for one in null])
    claims = [
        Claim(
            f"edges seen in {markets} markets without one",
            sum(one.has_edge for one in null),
            3,
            note=f"best score leads the majority by {lead:+.4f}",
        ),
        Claim(
            "edges seen in markets with one, share",
            float(np.mean([one.has_edge for one in real])),
            None,
            note=f"{len(real)} markets, signal 0.5",
        ),
        Claim(
            "naive calls on the no-signal markets",
            sum(one.best_score > one.baseline_score for one in null),
            None,
            note="best score above the majority class",
        ),
    ]
    report("search_no_signal", claims, smoke=smoke)


if __name__ == "__main__":
    main()

"""Fold fits that pruning saves on a space with hopeless regions, and what it costs in best score,
against no pruning."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import warnings

from _harness import Claim, arguments, report
import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import BarFeatures
from sktrain.datasets import make_market
from sktrain.search import OptunaSearchCV

SPACE = {
    "sgdclassifier__alpha": (1e-7, 1e3, "log"),
    "sgdclassifier__eta0": (1e-6, 1e2, "log"),
    "sgdclassifier__l1_ratio": (0.0, 1.0),
    "sgdclassifier__learning_rate": ["constant", "invscaling", "optimal"],
    "sgdclassifier__penalty": ["l2", "l1", "elasticnet"],
}


def fold_fits(search):
    return sum(
        np.isfinite(search.cv_results_[f"split{fold}_test_score"]).sum()
        for fold in range(search.n_splits_)
    )


def main():
    smoke = arguments(__doc__).smoke
    warnings.simplefilter("ignore")
    seeds, n_trials, folds = (1, 15, 5) if smoke else (3, 40, 10)
    market = make_market(3000, signal=0.5, random_state=0)
    features = BarFeatures(windows=(5, 10, 20)).fit_transform(market.bars)
    known = features.notna().all(axis=1).to_numpy()
    X, y = features[known].to_numpy(), np.asarray(market.y)[known]
    model = make_pipeline(
        StandardScaler(), SGDClassifier(loss="log_loss", max_iter=10, random_state=0)
    )
    claims = []
    for n_folds in dict.fromkeys((5, folds)):
        saved, lost = [], []
        for seed in range(seeds):
            shared = {
                "n_trials": n_trials,
                "cv": TimeSeriesSplit(n_folds, gap=1),
                "scoring": "accuracy",
                "refit": False,
                "random_state": seed,
            }
            pruned = OptunaSearchCV(model, SPACE, **shared).fit(X, y)
            full = OptunaSearchCV(model, SPACE, pruner=False, **shared).fit(X, y)
            saved.append(1 - fold_fits(pruned) / fold_fits(full))
            lost.append(full.best_score_ - pruned.best_score_)
        spread = f"seeds {min(saved):.0%} to {max(saved):.0%}"
        claims.append(
            Claim(
                f"fold fits saved, {n_folds} folds",
                float(np.mean(saved)),
                0.40,
                ">=",
                note=f"{n_trials} trials, {spread}",
            )
        )
        claims.append(
            Claim(
                f"best score lost, {n_folds} folds",
                float(np.mean(lost)),
                0.003,
                note=f"worst seed {max(lost):+.4f}",
            )
        )
    report("search_pruning", claims, smoke=smoke)


if __name__ == "__main__":
    main()

"""What an audit costs: README's net on the S&P 500, a 10-step pipeline on 20,000 rows, and ten
folds over a million rows.

The net is audited ten times beside a busy loop: every report must equal the first, and all must
pass.
"""

import subprocess
import sys
from time import perf_counter
import warnings

from _harness import Claim, arguments, paired, report, seconds
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    EnhancedWalkForwardCV,
    GRUClassifier,
    LeakageValidator,
    SlidingWindow,
)
from sktrain.datasets import load_sp500, make_market


def ten_steps():
    return make_pipeline(
        BarFeatures(),
        SimpleImputer(),
        VarianceThreshold(),
        RobustScaler(),
        FunctionTransformer(np.tanh),
        StandardScaler(),
        QuantileTransformer(n_quantiles=100),
        SelectKBest(k=20),
        PCA(8),
        LogisticRegression(max_iter=200),
    )


def readme_net():
    net = GRUClassifier(max_epochs=10, random_state=0)
    return Pipeline(
        [("features", BarFeatures()), ("window", SlidingWindow(lookback=30)), ("net", net)]
    )


def audits_of_the_net(n_runs, rows):
    """Seconds of the first audit, whether it passed, and how many reports of ``n_runs`` equal it
    while a neighbour is busy."""
    labeler = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma")
    X, y = labeler.fit_resample(load_sp500().iloc[-rows:])
    cv = EnhancedWalkForwardCV(n_splits=5)
    start = perf_counter()
    first = LeakageValidator(verbose=0).audit(readme_net(), X, y, cv)
    spent = perf_counter() - start
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        alike = 1 + sum(
            LeakageValidator(verbose=0).audit(readme_net(), X, y, cv) == first
            for _ in range(n_runs - 1)
        )
    finally:
        busy.kill()
        busy.wait()
    return spent, first, alike


def brute_force(folds, start, end):
    """The plain alternative: every training row against every tested row, in blocks."""
    hits = 0
    for train, test in folds:
        for low in range(0, len(train), 2000):
            rows = train[low : low + 2000]
            hits += int(
                ((start[rows, None] <= end[test]) & (end[rows, None] >= start[test]))
                .any(axis=1)
                .sum()
            )
    return hits


def main():
    args = arguments(__doc__)
    warnings.simplefilter("ignore")
    validator = LeakageValidator(verbose=0)
    bars = make_market(2000 if args.smoke else 20_010, signal=0.0, random_state=0).bars
    X, y = AdaptiveLabeler(horizon=5, base_threshold=0.5, scaling="sigma").fit_resample(bars)
    cv = EnhancedWalkForwardCV(5, ensure_regime_coverage=False)
    audit = seconds(lambda: validator.audit(ten_steps(), X, y, cv), repeat=1, warmup=0)

    n_runs = 2 if args.smoke else 10
    spent, first, alike = audits_of_the_net(n_runs, 1000 if args.smoke else 10_000)

    n = 20_000 if args.smoke else 1_000_000
    rows = pd.DataFrame(
        np.random.default_rng(0).normal(size=(n, 3)), pd.date_range("2000", periods=n, freq="min")
    )
    labels = pd.Series(np.random.default_rng(1).integers(0, 3, n), rows.index)
    labels.attrs["label_horizon"] = 10
    walk = EnhancedWalkForwardCV(10, ensure_regime_coverage=False)
    split = seconds(
        lambda: validator.check_split(walk, rows, labels), repeat=1 if args.smoke else 3
    )

    small, said = rows.iloc[:6000], labels.iloc[:6000]
    said.attrs["label_horizon"] = 10
    folds = list(walk.split(small, said))
    start = np.arange(6000)
    ours, plain, ratio = paired(
        lambda: validator.check_split(folds, small, said),
        lambda: brute_force(folds, start, start + 10),
        repeat=3,
    )
    claims = [
        Claim(
            "audit of README's GRU pipeline, S&P 500", spent, 60, unit="s",
            note=f"{first.status}, {first['experiments']['fits']} fits",
        ),
        Claim(
            "audits of it that differ or fail, beside a busy loop",
            n_runs - (alike if first.status == "PASS" else 0),
            0,
            smoke=True,
            note=f"of {n_runs}",
        ),
        Claim("audit of 10 steps on 20,000 rows", audit, 30, unit="s"),
        Claim("check_split, 1,000,000 rows x 10 folds", split, 3, unit="s"),
        Claim(
            "check_split over a pairwise loop, 6,000 rows", ratio, 1,
            note=f"{ours:.3f} s against {plain:.3f} s",
        ),
    ]
    report("leakage", claims, smoke=args.smoke)


if __name__ == "__main__":
    main()

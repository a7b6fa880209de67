"""How often the auditor cries wolf: 100 random clean pipelines over markets with nothing to find;
at most 2 may be flagged."""

import warnings

from _harness import Claim, arguments, report
import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    CombinatorialPurgedCV,
    EnhancedWalkForwardCV,
    LeakageValidator,
    TemporalSplitter,
    TripleBarrierLabeler,
)
from sktrain.datasets import make_market


def draw(rng):
    """A random clean pipeline with its market, labels and folds."""
    n = int(rng.integers(600, 1500))
    market = make_market(
        n,
        int(rng.choice([1, 1, 1, 2])),
        signal=0.0,
        regimes=bool(rng.integers(2)),
        random_state=int(rng.integers(1e6)),
    )
    horizon = int(rng.integers(1, 15))
    labelers = [
        AdaptiveLabeler(horizon=horizon, base_threshold=0.5, scaling="sigma"),
        AdaptiveLabeler(horizon=horizon, base_threshold=0.01),
        TripleBarrierLabeler(),
    ]
    bars, y = labelers[rng.integers(3)].fit_resample(market.bars)
    middle = [
        StandardScaler(),
        RobustScaler(),
        QuantileTransformer(n_quantiles=50),
        PCA(4),
        SelectKBest(k=5),
        PolynomialFeatures(1),
    ]
    last = [
        LogisticRegression(max_iter=100),
        DecisionTreeClassifier(max_depth=4, random_state=0),
        GaussianNB(),
        RandomForestClassifier(15, random_state=0),
        HistGradientBoostingClassifier(max_iter=10, early_stopping=False),
    ]
    windows = tuple(sorted(rng.choice([3, 5, 8, 10, 20, 40], 2, replace=False).tolist()))
    chosen = [
        middle[place] for place in rng.choice(len(middle), int(rng.integers(0, 3)), replace=False)
    ]
    steps = [SimpleImputer(), *chosen, last[rng.integers(len(last))]]
    if rng.integers(2):  # bars go in, or features made beforehand
        model, X = make_pipeline(BarFeatures(windows=windows), *steps), bars
    else:
        X = BarFeatures(windows=windows).fit_transform(bars)
        model = make_pipeline(*steps)
    cvs = [
        EnhancedWalkForwardCV(
            n_splits=int(rng.integers(2, 6)), ensure_regime_coverage=False, min_samples_per_fold=30
        ),
        EnhancedWalkForwardCV(
            n_splits=3, window="rolling", ensure_regime_coverage=False, min_samples_per_fold=30
        ),
        CombinatorialPurgedCV(5, 2),
        TemporalSplitter(),
    ]
    return model, X, y, cvs[rng.integers(len(cvs))]


def main():
    args = arguments(__doc__)
    rounds = 3 if args.smoke else 100
    flagged, open_, codes = 0, 0, {}
    for seed in range(rounds):
        model, X, y, cv = draw(np.random.default_rng(seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = LeakageValidator(max_times=500, verbose=0).audit(model, X, y, cv)
        if found.errors:
            flagged += 1
            for code in found.codes("error"):
                codes[code] = codes.get(code, 0) + 1
            print(seed, found.codes("error"), found.errors[0].message)
        open_ += found.status == "INCONCLUSIVE"
    claims = [
        Claim(
            "clean pipelines flagged", flagged, 2, smoke=True, note=f"of {rounds}", details=codes
        ),
        Claim("left inconclusive", open_, note=f"of {rounds}"),
    ]
    report("leakage_false_alarms", claims, smoke=args.smoke)


if __name__ == "__main__":
    main()

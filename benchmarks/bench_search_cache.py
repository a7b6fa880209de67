"""The share of a 20-trial, 5-fold random search over a small net's parameters that goes into
features and windows.

Features and windows depend on none of the searched parameters, so the history handle computes them
once. Every call of the two steps is timed; gathering batches in training counts as training.
"""

import time
import warnings

from _harness import Claim, arguments, report
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import Pipeline

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    EnhancedWalkForwardCV,
    GRUClassifier,
    SlidingWindow,
)
from sktrain.datasets import load_sp500


def timed(cls, spent):
    """Time every fit and transform of a class."""
    for name in ("fit", "transform"):
        original = getattr(cls, name)

        def wrapped(self, *args, _original=original, _name=f"{cls.__name__}.{name}", **kwargs):
            start = time.perf_counter()
            out = _original(self, *args, **kwargs)
            spent[_name] = spent.get(_name, 0.0) + time.perf_counter() - start
            return out

        setattr(cls, name, wrapped)


def main(smoke):
    trials, folds, epochs = (2, 2, 1) if smoke else (20, 5, 2)
    bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(
        load_sp500()
    )
    if smoke:
        bars, y = bars.iloc[-800:], y.iloc[-800:]
    spent = {}
    timed(BarFeatures, spent)
    timed(SlidingWindow, spent)
    net = GRUClassifier(module__hidden_size=8, max_epochs=epochs, batch_size=256, random_state=0)
    model = Pipeline(
        [("features", BarFeatures()), ("window", SlidingWindow(lookback=30)), ("net", net)]
    )
    space = {
        "net__lr": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2],
        "net__module__dropout": [0.0, 0.1, 0.3, 0.5],
    }
    cv = EnhancedWalkForwardCV(n_splits=folds, ensure_regime_coverage=False)
    search = RandomizedSearchCV(
        model, space, n_iter=trials, cv=cv, random_state=0, refit=False, error_score="raise"
    )
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(bars, y)
    total = time.perf_counter() - start
    share = sum(spent.values()) / total
    note = f"{trials} trials x {folds} folds, {epochs} epochs each, {total:.0f} s; " + ", ".join(
        f"{k} {v:.2f} s" for k, v in sorted(spent.items())
    )
    report(
        "bench_search_cache",
        [Claim("features and windows / search time", share, 0.05, note=note)],
        smoke=smoke,
    )


if __name__ == "__main__":
    main(arguments(__doc__).smoke)

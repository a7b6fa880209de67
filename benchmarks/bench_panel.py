"""A market of 5,000 symbols, 2,520 bars each: labels, float32 features, regimes, windows, five
folds and their check, and a model.

12.6 million rows in one process. What stands before the model has a budget of time, all of it one
of memory; the model is a logistic regression that takes one pass over the last fold in
mini-batches. ``--symbols N`` runs a part of the market, whose budget is a part of the time; its
memory is reported only. The plain
alternative is what a panel is usually given to: the same features with one frame per symbol,
through ``groupby.apply``, timed on 50 symbols and extrapolated.
"""

import argparse
import resource
import time

from _harness import Claim, report
import numpy as np
from sklearn.linear_model import SGDClassifier

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    EnhancedWalkForwardCV,
    LeakageValidator,
    RegimeDetector,
    SlidingWindow,
)
from sktrain.datasets import make_market

N_SYMBOLS, N_BARS = 5_000, 2_520
SECONDS, GIBIBYTES = 90, 10
BATCH = 100_000


class Stages:
    """Seconds of each named piece of work, in order."""

    def __init__(self):
        self.seconds = {}

    def run(self, name, work):
        start = time.perf_counter()
        result = work()
        self.seconds[name] = time.perf_counter() - start
        print(f"{name:<10} {self.seconds[name]:7.1f} s  peak {peak():5.2f} GiB", flush=True)
        return result


def peak():
    """Peak memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def train(windows, y, fold):
    """One pass over the rows of a fold in order of batches; accuracy on its test rows."""
    train_rows, test_rows = fold
    model = SGDClassifier(loss="log_loss", random_state=0)
    classes = np.unique(y)
    for start in range(0, len(train_rows), BATCH):
        rows = train_rows[start : start + BATCH]
        # the last step alone: a linear model of all of them is another's benchmark
        X = np.nan_to_num(windows.gather(rows)[:, -1])
        model.partial_fit(X, y[rows], classes=classes)
    right = 0
    for start in range(0, len(test_rows), BATCH):
        rows = test_rows[start : start + BATCH]
        right += int(np.sum(model.predict(np.nan_to_num(windows.gather(rows)[:, -1])) == y[rows]))
    return right / len(test_rows)


def whole(n_symbols, n_bars):
    """All stages; (stages, folds, accuracy, bars)."""
    market = make_market(n_bars, n_symbols, random_state=0).bars
    stages = Stages()
    labeler = AdaptiveLabeler(horizon=5, base_threshold=0.43, scaling="sigma")
    bars, y = stages.run("labels", lambda: labeler.fit_resample(market))
    features = stages.run("features", lambda: BarFeatures(dtype="float32").fit_transform(bars))
    stages.run(
        "regimes",
        lambda: RegimeDetector(volatility_threshold="auto", trend_threshold="auto").fit_transform(
            bars
        ),
    )
    windows = stages.run("windows", lambda: SlidingWindow(lookback=20).fit_transform(features))
    features = None  # a pipeline would not have kept them
    cv = EnhancedWalkForwardCV(n_splits=5, ensure_regime_coverage=False)
    folds = stages.run("folds", lambda: list(cv.split(bars, y)))
    checked = stages.run("check", lambda: LeakageValidator().check_split(cv, bars, y))
    if not checked.passed:
        raise SystemExit(f"bench_panel: {checked}")
    before = sum(stages.seconds.values())
    codes = np.asarray(y)
    accuracy = stages.run("model", lambda: train(windows, codes, folds[-1]))
    return stages, before, accuracy, market


def by_symbol(market, n_symbols):
    """Seconds that features take with one frame per symbol, extrapolated to all symbols."""
    names = market.index.levels[0][:50]
    part = market.loc[names]
    part.attrs = {}
    start = time.perf_counter()
    part.groupby(level=0, group_keys=False).apply(
        lambda bars: BarFeatures(dtype="float32").fit_transform(bars.droplevel(0))
    )
    return (time.perf_counter() - start) * n_symbols / len(names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="20 symbols, no results written")
    parser.add_argument(
        "--symbols", type=int, default=N_SYMBOLS, help="a part of the market, no results written"
    )
    options = parser.parse_args()
    n_symbols, n_bars = (20, 900) if options.smoke else (options.symbols, N_BARS)
    share = n_symbols * n_bars / (N_SYMBOLS * N_BARS)
    stages, before, accuracy, market = whole(n_symbols, n_bars)
    memory = peak()
    rows = f"{n_symbols} symbols x {n_bars} bars"
    full = share == 1
    claims = [Claim(name, seconds, unit="s") for name, seconds in stages.seconds.items()]
    claims += [
        Claim("all before the model", before, SECONDS * share, unit="s", note=rows),
        Claim(
            "peak memory",
            memory,
            GIBIBYTES if full else None,
            unit="GiB",
            note="the market included",
        ),
        Claim(
            "features with a frame per symbol / ours",
            by_symbol(market, n_symbols) / stages.seconds["features"],
            unit="x",
        ),
        Claim("accuracy of the model", accuracy, note="three classes"),
    ]
    report("panel", claims, smoke=not full)


if __name__ == "__main__":
    main()

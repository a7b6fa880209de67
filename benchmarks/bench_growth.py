"""How time and memory grow with rows, columns, classes and symbols: an exponent per kind of work,
fitted over the sizes.

``seconds ~ size ** exponent`` by least squares on logarithms; 1 is linear. Times are processor
times of this process on one thread, the least of several, so a busy machine does not bend them;
memory is the peak that Python and NumPy allocate during the work. The plain alternative is a line:
no exponent in rows above 1.1, from ten thousand to ten million. Small sizes contain what every call
costs whatever its size, so exponents are below 1 rather than above.

``--only splits`` measures a part and puts its figures beside the others in the results, so that the
table can be made in pieces; ``--list`` names the parts, ``--missing`` measures what is not there
yet.
"""

import argparse
import os
import time
import tracemalloc
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _harness import Claim, Deadline, claims_before, keep, report
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    DriftDetector,
    EnhancedWalkForwardCV,
    LeakageValidator,
    MLPNetClassifier,
    RegimeDetector,
    SlidingWindow,
    TripleBarrierLabeler,
    with_history,
)
from sktrain.datasets import make_market

LIMIT, LARGE = 1.1, 1_000_000


def market(n, n_symbols=1):
    bars = make_market(n // n_symbols, n_symbols, random_state=0).bars
    bars.attrs = {}
    return bars


def table(n, n_columns=10):
    """Plain features, indexed by minutes."""
    values = np.random.default_rng(0).normal(size=(n, n_columns)).astype(np.float32)
    times = pd.date_range("2000", periods=n, freq="min")
    return pd.DataFrame(values, times, [f"x{i}" for i in range(n_columns)])


def labelled(n):
    bars = market(n)
    return bars, pd.Series(np.arange(len(bars)) % 3, bars.index, name="label")


def features(n):
    bars = market(n)
    return lambda: BarFeatures().fit_transform(bars)


def regimes(n):
    bars = market(n)
    return lambda: RegimeDetector(
        volatility_threshold="auto", trend_threshold="auto"
    ).fit_transform(bars)


def sigma_labels(n):
    bars = market(n)
    return lambda: AdaptiveLabeler(horizon=5, base_threshold=0.43, scaling="sigma").fit_resample(
        bars
    )


def barrier_labels(n):
    bars = market(n)
    return lambda: TripleBarrierLabeler().fit_resample(bars)


def splits(n, n_folds, **window):
    bars, y = labelled(n)
    cv = EnhancedWalkForwardCV(
        n_splits=n_folds, horizon=1, embargo_bars=1, min_samples_per_fold=2,
        ensure_regime_coverage=False, **window,
    )
    return lambda: sum(len(train) + len(test) for train, test in cv.split(bars, y))


def check(n):
    bars, y = labelled(n)
    cv = EnhancedWalkForwardCV(n_splits=5, horizon=1, ensure_regime_coverage=False)
    return lambda: LeakageValidator().check_split(cv, bars, y)


def audit(n, n_columns=10):
    X = table(n, n_columns)
    y = pd.Series(np.arange(n) % 2, X.index)
    cv = EnhancedWalkForwardCV(n_splits=5, horizon=1, ensure_regime_coverage=False)
    return lambda: LeakageValidator(verbose=0).audit(LogisticRegression(max_iter=20), X, y, cv)


def drift(n, n_columns=10):
    X = table(n, n_columns)
    half = n // 2
    return lambda: DriftDetector(on_drift="ignore").fit(X.iloc[:half]).check(X.iloc[half:])


def windows(n, n_columns=10):
    X = with_history(table(n, n_columns))

    def work():
        found = SlidingWindow(lookback=20).fit_transform(X)
        for start in range(0, n, 4096):
            found.gather(slice(start, start + 4096))

    return work


def epoch(n, n_classes=2, n_columns=10):
    """One epoch of a small network; what a fit costs besides is in it."""
    X = np.random.default_rng(0).normal(size=(n, n_columns)).astype(np.float32)
    y = np.arange(n) % n_classes
    return lambda: MLPNetClassifier(max_epochs=1, horizon=0, random_state=0, train_split=None).fit(
        X, y
    )


def panel(n_symbols, n=500_000):
    return market(n - n % n_symbols, n_symbols)


def panel_features(n_symbols):
    bars = panel(n_symbols)
    return lambda: BarFeatures(windows=(5, 20)).fit_transform(bars)


def panel_labels(n_symbols):
    bars = panel(n_symbols)
    labeler = AdaptiveLabeler(horizon=5, base_threshold=0.43, scaling="sigma")
    return lambda: labeler.fit_resample(bars)


def panel_splits(n_symbols):
    bars = panel(n_symbols)
    y = pd.Series(np.arange(len(bars)) % 3, bars.index, name="label")
    cv = EnhancedWalkForwardCV(
        n_splits=5, horizon=1, embargo_bars=1, min_samples_per_fold=2, ensure_regime_coverage=False
    )
    return lambda: sum(len(train) + len(test) for train, test in cv.split(bars, y))


SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
ROWS = {
    "features": features,
    "regimes": regimes,
    "labels, sigma": sigma_labels,
    "labels, triple barrier": barrier_labels,
    "splits, 5 folds": lambda n: splits(n, 5),
    "splits, 1,000 folds": lambda n: splits(n, 1000, window="rolling"),
    "check of the split": check,
    "audit": audit,
    "drift": drift,
    "windows, all gathered": windows,
    "training, one epoch": epoch,
}
OTHERS = {
    "columns: audit": (lambda k: audit(10_000, k), (10, 50, 500)),
    "columns: drift": (lambda k: drift(10_000, k), (10, 50, 500)),
    "columns: windows": (lambda k: windows(20_000, k), (10, 50, 500)),
    "columns: one epoch": (lambda k: epoch(5_000, n_columns=k), (10, 50, 500)),
    "classes: one epoch": (lambda k: epoch(10_000, n_classes=k), (2, 20, 200)),
    "symbols: features of as many rows": (panel_features, (1, 50, 5_000)),
    "symbols: labels of as many rows": (panel_labels, (1, 50, 5_000)),
    "symbols: splits of as many rows": (panel_splits, (1, 50, 5_000)),
}


def measure(make, sizes, repeat):
    """Processor seconds and peak MiB at every size."""
    found = []
    for size in sizes:
        work = make(size)
        times = repeat if size < LARGE else 1  # what takes long needs no second opinion
        found.append((min(processor(work) for _ in range(times)), peak(work)))
    return np.array(found).T


def processor(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def peak(work):
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 2**20


def exponent(sizes, values):
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-9)), 1)[0])


def every_part():
    return {**{f"rows: {key}": (make, SIZES) for key, make in ROWS.items()}, **OTHERS}


def claims_of(name, make, sizes, smoke):
    """Exponents of time and memory of one part."""
    if smoke:
        sizes = (6_000, 12_000) if name.startswith("rows") else sizes[:2]
    seconds, memory = measure(make, sizes, repeat=1 if smoke else 3)
    limit = LIMIT if name.startswith("rows") else None
    times = ", ".join(f"{value:.3g}" for value in seconds)
    peaks = ", ".join(f"{value:.3g}" for value in memory)
    note = f"{times} s at {', '.join(f'{size:,}' for size in sizes)}"
    yield Claim(f"{name}, time", exponent(sizes, seconds), limit, note=note)
    yield Claim(f"{name}, memory", exponent(sizes, memory), limit, note=f"{peaks} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="small sizes, no results written")
    parser.add_argument("--only", default="", help="the parts whose name holds this")
    parser.add_argument("--missing", action="store_true", help="the parts without a figure")
    Deadline.option(parser)
    parser.add_argument("--list", action="store_true", help="name the parts")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    parts, known = every_part(), {} if options.smoke else claims_before("growth")
    chosen = [name for name in parts if options.only in name]
    if options.missing:
        chosen = [name for name in chosen if f"{name}, time" not in known]
    if options.list:
        print("\n".join(chosen))
        return
    for name in Deadline(options.minutes).before(chosen):
        found = {one.name: one for one in claims_of(name, *parts[name], options.smoke)}
        known.update(found)
        for one in found.values():
            print(f"{one.name}: {one.value:.2f} {one.note}", flush=True)
        if not options.smoke:
            keep("growth", in_order(known, parts))
    report("growth", in_order(known, parts), smoke=options.smoke)


def in_order(known, parts):
    names = [f"{name}, {what}" for name in parts for what in ("time", "memory")]
    return [known[name] for name in names if name in known]


if __name__ == "__main__":
    main()

"""EnhancedWalkForwardCV without regimes on a million rows and ten folds, against purgedcv; and what
the labels' handle costs."""

import pickle
import time

from _harness import Claim, arguments, paired, report, seconds
import numpy as np
import pandas as pd
from purgedcv import WalkForwardSplit

from sktrain import EnhancedWalkForwardCV, with_label_times

HORIZON = 20


def handle_costs(X, ends, n_folds):
    """Time of a split with a handle on y, of one with a horizon on y, their ratio, and bytes a row
    of pickles of y and of half of it."""
    plain = pd.Series(np.random.default_rng(0).integers(0, 3, len(X)), X.index)
    told = with_label_times(plain, end_times=ends)
    plain.attrs["label_horizon"] = HORIZON
    cv = EnhancedWalkForwardCV(n_folds, embargo_bars=0, ensure_regime_coverage=False)
    ratio = paired(
        lambda: consume(cv.split(X, told)), lambda: consume(cv.split(X, plain)), repeat=9
    )[2]
    growth = []
    for part in (told, told.iloc[: len(told) // 2]):
        bare = part.copy()
        bare.attrs = {}
        growth.append((len(pickle.dumps(part)) - len(pickle.dumps(bare))) / len(part))
    return ratio, growth


def consume(folds):
    return sum(len(train) + len(test) for train, test in folds)


def main():
    smoke = arguments(__doc__).smoke
    n, k = (50_000, 10) if smoke else (1_000_000, 10)
    index = pd.date_range("2000", periods=n, freq="min")
    X = pd.DataFrame({"x": np.zeros(n)}, index=index)
    ours = EnhancedWalkForwardCV(k, horizon=HORIZON, embargo_bars=0, ensure_regime_coverage=False)
    times = pd.Series(index)
    ends = pd.Series(index[np.minimum(np.arange(n) + HORIZON, n - 1)])

    def folds(cv):
        return [(len(train), test[0], test[-1]) for train, test in cv.split(X)]

    wall = seconds(lambda: folds(ours), repeat=7)
    begin = time.perf_counter()  # once: it takes a minute
    theirs = folds(WalkForwardSplit(k, n // (k + 1), prediction_times=times, evaluation_times=ends))
    other = time.perf_counter() - begin
    for mine, peer in zip(folds(ours), theirs, strict=True):
        assert mine[1:] == peer[1:]
        # their spans are half-open: a label known at the first tested instant still trains
        assert mine[0] == peer[0] - 1
    panel = pd.DataFrame(
        {"x": np.zeros(n)},
        index=pd.MultiIndex.from_product(
            [list("ABCDE"), index[: n // 5]], names=["symbol", "time"]
        ),
    )
    on_panel = seconds(lambda: consume(ours.split(panel)))
    regimes = np.random.default_rng(0).integers(0, 5, n // 100).repeat(100)
    with_regimes = EnhancedWalkForwardCV(k, horizon=HORIZON)
    covered = seconds(lambda: consume(with_regimes.split(X, groups=regimes)), repeat=1, warmup=0)
    ratio, growth = handle_costs(X, pd.DatetimeIndex(ends), 5)
    claims = [
        Claim(f"EnhancedWalkForwardCV, {n:,} rows x {k} folds", wall, 2.0, "<=", "s", smoke=True),
        Claim(
            "time relative to purgedcv.WalkForwardSplit",
            wall / other,
            1.0, "<=", "x", f"purgedcv: {other:.2f} s, run once",
        ),
        Claim("a panel of five symbols, as many rows", on_panel, None, "<=", "s"),
        Claim("with regime coverage (groups given)", covered, None, "<=", "s"),
        Claim("split by y's handle, relative to y's horizon", ratio, 1.05, "<=", "x"),
        Claim("the handle in a pickle of y", growth[0], 24.0, "<=", "bytes a row", smoke=True),
        Claim(
            "the handle in a pickle of half of y", growth[1], 24.0, "<=", "bytes a row", smoke=True
        ),
    ]
    report("walk_forward", claims, smoke=smoke)


if __name__ == "__main__":
    main()

"""EnhancedWalkForwardCV without regimes on a million rows and ten folds, against purgedcv.WalkForwardSplit on the same folds."""

from _harness import Claim, arguments, paired, report, seconds
import numpy as np
import pandas as pd
from purgedcv import WalkForwardSplit

from sktrain import EnhancedWalkForwardCV

HORIZON = 20


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

    def peer():
        cv = WalkForwardSplit(k, n // (k + 1), prediction_times=times, evaluation_times=ends)
        return consume(cv.split(X))

    mine = [(len(train), test[0], test[-1]) for train, test in ours.split(X)]
    theirs = [(len(train), test[0], test[-1]) for train, test in WalkForwardSplit(k, n // (k + 1), prediction_times=times, evaluation_times=ends).split(X)]
    assert all(abs(a[0] - b[0]) <= 1 and a[1:] == b[1:] for a, b in zip(mine, theirs, strict=True))  # theirs are half-open: one row more
    wall, other, ratio = paired(lambda: consume(ours.split(X)), peer, repeat=3 if smoke else 7)
    panel = pd.DataFrame({"x": np.zeros(n)}, index=pd.MultiIndex.from_product([list("ABCDE"), index[: n // 5]], names=["symbol", "time"]))
    on_panel = seconds(lambda: consume(ours.split(panel)))
    regimes = np.random.default_rng(0).integers(0, 5, n // 100).repeat(100)
    with_regimes = EnhancedWalkForwardCV(k, horizon=HORIZON)
    covered = seconds(lambda: consume(with_regimes.split(X, groups=regimes)), repeat=1, warmup=0)
    claims = [
        Claim(f"EnhancedWalkForwardCV, {n:,} rows x {k} folds", wall, 2.0, "<=", "s", smoke=True),
        Claim("time relative to purgedcv.WalkForwardSplit", ratio, 1.0, "<=", "x", f"purgedcv: {other:.3f} s"),
        Claim("a panel of five symbols, as many rows", on_panel, None, "<=", "s"),
        Claim("with regime coverage (groups given)", covered, None, "<=", "s"),
    ]
    report("walk_forward", claims, smoke=smoke)


if __name__ == "__main__":
    main()

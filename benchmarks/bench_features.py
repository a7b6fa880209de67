"""BarFeatures on a million bars against the same columns from TA-Lib and polars, RegimeDetector
against a loop over rows.

All four run in turn in one process, each as its users would run it: polars with the threads it
takes, TA-Lib with one and without a frame around its arrays. The loop computes each row from its
own window with NumPy; it is timed on a subset of rows and extrapolated to all of them. Peak memory
is what Python and NumPy allocate during the call, the result included.
"""

import tracemalloc

from _feature_peers import with_polars, with_talib
from _harness import Claim, arguments, in_turn, paired, report
import numpy as np
import polars as pl

from sktrain import BarFeatures, RegimeDetector
from sktrain.datasets import make_market

LOOKBACK = 60


def regimes_by_loop(close, rows):
    """The rule of RegimeDetector, one row at a time."""
    steps = np.arange(LOOKBACK)
    out = []
    for t in rows:
        window = close[t - LOOKBACK : t + 1]
        volatility = np.std(window[1:] / window[:-1] - 1, ddof=1)
        trend = np.polyfit(steps, np.log(window[1:]), 1)[0] * (LOOKBACK - 1)
        if volatility > 0.02:
            out.append("high_volatility")
        elif volatility < 0.01:
            out.append("low_volatility")
        else:
            out.append("bull" if trend > 0.05 else "bear" if trend < -0.05 else "sideways")
    return out


def memory(bars, dtype):
    """Peak memory of computing the features, as a multiple of the result."""
    tracemalloc.start()
    out = BarFeatures(dtype=dtype).fit_transform(bars)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / out.to_numpy().nbytes


def check_agreement(ours, talib, table):
    """The same columns: all but one value in a thousand, where running totals have lost the
    digits."""
    for name in ours.columns:
        for peer in (talib[name], table[name].to_numpy()):
            close = np.isclose(peer[200:], ours[name].to_numpy()[200:], rtol=1e-4, atol=1e-6)
            if np.mean(close) < 0.999:
                raise SystemExit(
                    f"bench_features: {name} differs in {np.mean(~close):.2%} of the rows"
                )


def against_peers(bars, n):
    """Claims of BarFeatures against TA-Lib and polars."""
    windows = (5, 10, 20, 60)
    table = pl.from_pandas(bars.reset_index(names="time"))
    half = BarFeatures(dtype="float32")
    check_agreement(
        BarFeatures().fit_transform(bars), with_talib(bars, windows), with_polars(table, windows)
    )
    ours, talib, polars, single = in_turn(
        lambda: BarFeatures().fit_transform(bars),
        lambda: with_talib(bars, windows),
        lambda: with_polars(table, windows),
        lambda: half.fit_transform(bars),
    )
    shape = f"{n} bars, 38 columns"
    return [
        Claim("BarFeatures, all features", ours, 1.0, unit="s", note=shape),
        Claim("BarFeatures / TA-Lib", ours / talib, 2.5, unit="x", note=f"TA-Lib {talib:.2f} s"),
        Claim("BarFeatures / polars", ours / polars, 1.0, unit="x", note=f"polars {polars:.2f} s"),
        Claim("BarFeatures in float32", single, unit="s", note=shape),
        Claim("peak memory / result", memory(bars, "float64"), 2.5, unit="x"),
        Claim("peak memory / result, float32", memory(bars, "float32"), 2.5, unit="x"),
    ]


def main(smoke):
    n, subset = (20_000, 200) if smoke else (1_000_000, 2000)
    bars = make_market(n, random_state=0).bars
    bars.attrs = {}  # no cache: every call computes
    close = bars["close"].to_numpy()
    rows = np.linspace(LOOKBACK, n - 1, subset).astype(int)
    detector = RegimeDetector(LOOKBACK)
    found = detector.fit_transform(bars)["regime"]
    if found.iloc[rows].tolist() != regimes_by_loop(close, rows):
        raise SystemExit("bench_features: the loop and RegimeDetector disagree")
    ours, loop, ratio = paired(
        lambda: detector.fit(bars).transform(bars), lambda: regimes_by_loop(close, rows), repeat=3
    )
    scale = n / subset
    note = f"loop timed on {subset} rows, extrapolated to {n}: {loop * scale:.1f} s"
    report(
        "bench_features",
        [
            *against_peers(bars, n),
            Claim("RegimeDetector", ours, 1.0, unit="s", note=f"{n} bars"),
            Claim("RegimeDetector, loop / ours", scale / ratio, 100.0, ">=", "x", note),
        ],
        smoke=smoke,
    )


if __name__ == "__main__":
    main(arguments(__doc__).smoke)

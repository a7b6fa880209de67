"""BarFeatures and RegimeDetector on a million bars, against the obvious loop over rows.

The loop computes each row from its own window with NumPy. It is timed on a subset of rows and extrapolated to all of them.
"""

from _harness import Claim, arguments, paired, report, seconds
import numpy as np

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
    ours, loop, ratio = paired(lambda: detector.fit(bars).transform(bars), lambda: regimes_by_loop(close, rows), repeat=3)
    scale = n / subset
    features = seconds(lambda: BarFeatures().fit_transform(bars), repeat=3)
    note = f"loop timed on {subset} rows, extrapolated to {n}: {loop * scale:.1f} s"
    report(
        "bench_features",
        [
            Claim("BarFeatures, all features", features, 10.0, unit="s", note=f"{n} bars"),
            Claim("RegimeDetector", ours, 1.0, unit="s", note=f"{n} bars"),
            Claim("RegimeDetector, loop / ours", scale / ratio, 100.0, ">=", "x", note),
        ],
        smoke=smoke,
    )


if __name__ == "__main__":
    main(arguments(__doc__).smoke)

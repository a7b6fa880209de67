"""Triple barriers against a numba loop, uniqueness and the sequential bootstrap, on a million
bars."""

from _harness import Claim, arguments, paired, report, seconds
import numba
import numpy as np
import pandas as pd

from sktrain import TripleBarrierLabeler, average_uniqueness, sequential_bootstrap
from sktrain.labels._touch import first_touch


def make_bars(n):
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)).clip(-20, 20))
    opened = close * np.exp(rng.normal(0, 0.003, n))
    high = np.maximum(opened, close) * (1 + rng.exponential(0.004, n))
    low = np.minimum(opened, close) * (1 - rng.exponential(0.004, n))
    bars = {
        "open": opened,
        "high": high,
        "low": low,
        "close": close,
        "volume": rng.integers(1, 1000, n),
    }
    return pd.DataFrame(bars, index=pd.date_range("2000", periods=n, freq="min"))


@numba.njit
def loop(high, low, upper, lower, holding):
    """The same search as a compiled loop over rows that stops at the first touch."""
    n = len(high)
    end, touch = np.arange(n), np.zeros(n, np.int8)
    for row in range(n - holding):
        end[row] = row + holding
        for bar in range(row + 1, row + holding + 1):
            above, below = high[bar] >= upper[row], low[bar] <= lower[row]
            if above or below:
                end[row] = bar
                touch[row] = 2 if above and below else (1 if above else -1)
                break
    return end, touch


def search(bars, width, holding, repeat):
    """Our search and the loop's in turn: seconds of ours, of the loop's, ratio."""
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    known = np.arange(len(bars)) + holding < len(bars)
    barriers = close * (1 + width), close * (1 - width)
    for mine, theirs in zip(
        first_touch(high, low, *barriers, known, holding),
        loop(high, low, *barriers, holding),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)
    return paired(
        lambda: first_touch(high, low, *barriers, known, holding),
        lambda: loop(high, low, *barriers, holding),
        repeat=repeat,
    )


def main():
    smoke = arguments(__doc__).smoke
    n, repeat = (50_000, 3) if smoke else (1_000_000, 11)
    bars = make_bars(n)
    claims = []
    for width, holding, bound in (
        (0.03, 10, 1.2),
        (0.02, 3, None),
        (0.05, 50, None),
        (0.1, 100, None),
    ):
        ours, theirs, ratio = search(bars, width, holding, repeat)
        note = f"ours {ours * 1e3:.1f} ms, loop {theirs * 1e3:.1f} ms"
        claims.append(
            Claim(
                f"barrier search / numba loop, {width:.0%} within {holding} bars", ratio, bound,
                "<=", "x", note,
            )
        )
    labeler = TripleBarrierLabeler()
    whole = seconds(lambda: labeler.transform(bars))
    claims.insert(
        0,
        Claim(
            f"TripleBarrierLabeler.transform, {n:,} bars", whole, 2.0, "<=", "s",
            "checks of the bars included", smoke=True,
        ),
    )
    scaled = TripleBarrierLabeler(2, 2, 10, volatility="yang_zhang")
    claims.insert(
        1,
        Claim(
            "the same in Yang-Zhang volatilities",
            seconds(lambda: scaled.transform(bars)),
            2.0, "<=", "s", smoke=True,
        ),
    )
    rng = np.random.default_rng(0)
    starts = np.arange(n)
    ends = np.minimum(starts + rng.integers(0, 50, n), n - 1)
    claims.append(
        Claim(
            f"average_uniqueness, {n:,} labels",
            seconds(lambda: average_uniqueness(starts, ends)),
            2.0, "<=", "s", smoke=True,
        )
    )
    first = np.sort(rng.integers(0, n - 100, 500 if smoke else 5_000))
    last = first + rng.integers(1, 100, len(first))
    draw = seconds(lambda: sequential_bootstrap(first, last, random_state=0), repeat=1, warmup=0)
    claims.append(
        Claim(
            f"sequential_bootstrap, {len(first):,} labels on {n:,} bars", draw, 10.0, "<=", "s",
            smoke=True,
        )
    )
    report("barriers", claims, smoke=smoke)


if __name__ == "__main__":
    main()

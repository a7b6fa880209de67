"""AdaptiveLabeler on a million bars: seconds, and the ratio to a loop over rows (the loop's time is
extrapolated from a part)."""

from _harness import Claim, arguments, report, seconds
import numpy as np
import pandas as pd

from sktrain import AdaptiveLabeler


def make_bars(n):
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, n)))
    bars = {
        "open": close,
        "high": close * 1.001,
        "low": close * 0.999,
        "close": close,
        "volume": rng.integers(1, 1000, n),
    }
    return pd.DataFrame(bars, index=pd.date_range("2000", periods=n, freq="min"))


def row_by_row(close, horizon=3, base=0.03, lookback=20):
    """What the docstring says, one row at a time: the loop one writes first, over arrays."""
    returns = np.append(np.nan, close[1:] / close[:-1] - 1)
    labels = np.full(len(close), np.nan)
    for t in range(lookback, len(close) - horizon):
        sigma = np.std(returns[t - lookback + 1 : t + 1], ddof=1)
        threshold = base * (1 + 10 * sigma) / (1 + 5 * sigma)
        outcome = close[t + horizon] / close[t] - 1
        labels[t] = 2 if outcome > threshold else 0 if outcome < -threshold else 1
    return labels


def on_lists(close, horizon=3, base=0.03, lookback=20):
    """The same loop without NumPy's overhead per number, on plain lists of floats."""
    labels = [float("nan")] * len(close)
    for t in range(lookback, len(close) - horizon):
        window = [close[i] / close[i - 1] - 1 for i in range(t - lookback + 1, t + 1)]
        mean = sum(window) / lookback
        sigma = (sum((r - mean) ** 2 for r in window) / (lookback - 1)) ** 0.5
        threshold = base * (1 + 10 * sigma) / (1 + 5 * sigma)
        outcome = close[t + horizon] / close[t] - 1
        labels[t] = 2.0 if outcome > threshold else 0.0 if outcome < -threshold else 1.0
    return labels


def main():
    smoke = arguments(__doc__).smoke
    n, part = (50_000, 5_000) if smoke else (1_000_000, 40_000)
    bars = make_bars(n)
    head = bars["close"].to_numpy()[:part]
    for loop in (row_by_row, on_lists):
        np.testing.assert_array_equal(
            AdaptiveLabeler().transform(bars.iloc[:part]),
            loop(head if loop is row_by_row else head.tolist()),
        )
    ours = seconds(lambda: AdaptiveLabeler().transform(bars), repeat=3 if smoke else 7)
    slow = seconds(lambda: row_by_row(head), repeat=3, warmup=0) * n / part
    lists = seconds(lambda: on_lists(head.tolist()), repeat=3, warmup=0) * n / part
    resample = seconds(lambda: AdaptiveLabeler().fit_resample(bars))
    note = f"{{:.2f}} s, extrapolated from {part:,} rows"
    claims = [
        Claim(
            f"AdaptiveLabeler.transform, {n:,} bars", ours, 1.0, "<=", "s",
            "checks of the bars included", smoke=True,
        ),
        Claim("AdaptiveLabeler.fit_resample, the same bars", resample, None, "<=", "s"),
        Claim(
            "faster than the loop over rows of arrays",
            slow / ours,
            100.0,
            ">=",
            "x",
            note.format(slow),
        ),
        Claim(
            "faster than the loop over rows of plain lists",
            lists / ours,
            None,
            ">=",
            "x",
            note.format(lists),
        ),
    ]
    report("labels", claims, smoke=smoke)


if __name__ == "__main__":
    main()

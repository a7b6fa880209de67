"""NewsAligner: 100,000 articles to 1,000,000 bars, against a loop over bars, with vectors of one
number (arithmetic apart)."""

import time

from _harness import Claim, arguments, report, seconds
import numpy as np
import pandas as pd

from sktrain import NewsAligner, NewsArticle


def loop(times, available, values, n):
    """What one writes first: for every bar, the articles between the bar before it and itself."""
    out = np.zeros((n, 2))
    for i in range(1, n):
        known = (available >= times[i - 1]) & (available < times[i])
        out[i, 1] = known.sum()
        if out[i, 1]:
            out[i, 0] = values[known].mean()
    return out


def main():
    options = arguments(__doc__)
    n_bars, n_articles = (50_000, 5_000) if options.smoke else (1_000_000, 100_000)
    rng = np.random.default_rng(0)
    times = pd.date_range("2015-01-01", periods=n_bars, freq="min")
    available = times[0] + pd.to_timedelta(
        np.sort(rng.integers(0, 60 * n_bars, n_articles)), unit="s"
    )
    articles = [NewsArticle("x", moment) for moment in available]
    vectors = rng.normal(size=(n_articles, 1)).astype(np.float32)
    bars = pd.DataFrame({"close": 1.0}, times)
    aligner = NewsAligner()
    both = seconds(lambda: aligner.fit(articles, vectors).transform(bars), repeat=3)
    alone = seconds(lambda: aligner.transform(bars), repeat=3)
    fading = NewsAligner(half_life="10min", lookback=10).fit(articles, vectors)
    faded = seconds(lambda: fading.transform(bars), repeat=3)
    tried = 500 if options.smoke else 2000
    start = time.perf_counter()
    slow = loop(times.to_numpy(), available.to_numpy(), vectors[:, 0], tried)
    per_bar = (time.perf_counter() - start) / tried
    ours = aligner.transform(bars).to_numpy()
    same = np.abs(ours[1:tried] - slow[1:]).max()
    claims = [
        Claim(
            "align: fit and transform", both, 3.0, unit="s",
            note=f"{n_articles:,} articles to {n_bars:,} bars",
        ),
        Claim(
            "align: speed over a loop per bar",
            per_bar * n_bars / alone,
            100, ">=", unit="x", note=f"loop timed on {tried} bars, scaled",
        ),
        Claim("align: transform with half-life and lookback 10", faded, 3.0, unit="s"),
        Claim("align: largest difference from the loop", same, 1e-6, smoke=True),
    ]
    report("news_align", claims, smoke=options.smoke)


if __name__ == "__main__":
    main()

"""Sequential calibration: how many fits it saves, what level it keeps, and what power it costs against scoring all 99 copies.

500 markets without signal and 200 with a planted one, weak enough to be found in about half of all cases, where
a test has most to lose; copies are exchangeable, so what stopping costs is a mean over orders of the copies. The plain alternative is the same calibration with every copy.
The level is held against a binomial bound: above it, a level of .05 would be refuted at one in a thousand.
"""

from dataclasses import replace

from _harness import Claim, arguments, report
import numpy as np
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin

from sktrain.datasets import make_market
from sktrain.evaluation import null_calibration

SIGNAL = 0.12
N_BARS = 300
N_NULL = 99
ORDERS = 100


class SameSign(ClassifierMixin, BaseEstimator):
    """Answers the direction of the bar, or the opposite, whichever was right more often in fit."""

    fits = 0

    def fit(self, X, y):
        SameSign.fits += 1
        self.classes_ = np.array([-1, 1])
        self.follow_ = 1 if np.mean(_direction(X) * np.asarray(y)) >= 0 else -1
        return self

    def predict(self, X):
        return self.follow_ * _direction(X)


def _direction(rows):
    return np.where(rows["close"].to_numpy() >= rows["open"].to_numpy(), 1, -1)


def labels(bars):
    """The direction of the next bar."""
    close = bars["close"].to_numpy()
    return bars.iloc[:-1], np.where(close[1:] >= close[:-1], 1, -1)


class Halves:
    """One fold: learn from the first half, test on the second. The labels' horizon is one bar."""

    def split(self, X, y=None, groups=None):
        middle = len(X) // 2
        yield np.arange(middle - 1), np.arange(middle, len(X))

    def get_n_splits(self, X=None, y=None, groups=None):
        return 1


def calibrate(seed, signal, stop):
    bars = make_market(N_BARS, signal=signal, random_state=seed).bars
    common = {"labeler": labels, "cv": Halves(), "n_null": N_NULL, "method": "sign", "random_state": seed}
    return null_calibration(SameSign(), bars, **common, stop=stop)


def sequential(whole, stop_count, order):
    """What the sequential calibration makes of the same copies, had they been drawn in another order."""
    nulls = whole.null_scores[order]
    above = np.cumsum(nulls >= whole.score)
    scored = N_NULL if above[-1] < stop_count else int(np.argmax(above >= stop_count)) + 1
    return replace(whole, null_scores=nulls[:scored], n_null=N_NULL, stop_count=stop_count)


def main(smoke):
    n_noise, n_planted = (5, 3) if smoke else (500, 200)
    SameSign.fits = 0
    noise = [calibrate(seed, 0.0, "sequential") for seed in range(n_noise)]
    fits = SameSign.fits / n_noise
    rejected = sum(result.verdict() == "edge" for result in noise)
    bound = stats.binom.ppf(0.999, n_noise, 0.05) / n_noise
    whole = [calibrate(10_000 + seed, SIGNAL, None) for seed in range(n_planted)]
    power = np.mean([result.verdict() == "edge" for result in whole])
    draw = np.random.default_rng(0)
    early = (
        sequential(result, noise[0].stop_count, draw.permutation(N_NULL)) for result in whole for _ in range(ORDERS)
    )
    lost = power - np.mean([result.verdict() == "edge" for result in early])
    ratio = (N_NULL + 1) / fits
    report(
        "null_sequential",
        [
            Claim("fits of all copies / sequential", ratio, 5.0, ">=", "x", f"{n_noise} markets without signal"),
            Claim("copies scored of 99, mean", fits - 1, note="16.4 expected"),
            Claim("share of p <= .05 on noise", rejected / n_noise, bound, note="bound: 99.9 % of Binomial(n, .05)"),
            Claim("power of all 99 copies at .05", power, note=f"{n_planted} markets, signal {SIGNAL}"),
            Claim("power lost by stopping", lost, 0.01, note=f"the same copies in {ORDERS} orders, stopped"),
        ],
        smoke=smoke,
    )


if __name__ == "__main__":
    main(arguments(__doc__).smoke)

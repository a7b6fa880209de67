"""Sequential calibration: how many fits it saves, what level it keeps, and what power it costs
against scoring all 99 copies.

Fits and level are those of 500 markets without signal, a whole calibration each; the level is held
against a binomial bound: above it, a level of .05 would be refuted at one in a thousand. Power is a
property of ranks alone, so it is taken from scores drawn directly: copies from N(0, 1), the
market's own from N(d, 1), with d for edges that a test with endless copies finds in 30, 50 and 80 %
of cases. The plain alternative is the verdict of all 99 copies.
"""

from dataclasses import replace

from _harness import Claim, arguments, report
import numpy as np
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin

from sktrain.datasets import make_market
from sktrain.evaluation import NullCalibration, null_calibration

N_BARS = 300
N_NULL = 99
N_DRAWS = 20_000


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


def calibrate(seed):
    bars = make_market(N_BARS, signal=0.0, random_state=seed).bars
    common = {
        "labeler": labels,
        "cv": Halves(),
        "n_null": N_NULL,
        "method": "sign",
        "random_state": seed,
    }
    return null_calibration(SameSign(), bars, **common, stop="sequential")


def power(found_by_endless, stop_count, n_draws):
    """Share of edges that all copies find, and that the sequential calibration finds in the same
    copies."""
    draw = np.random.default_rng(0)
    shift = stats.norm.ppf(0.95) + stats.norm.ppf(found_by_endless)
    whole, early = 0, 0
    for score in draw.normal(shift, size=n_draws):
        nulls = draw.normal(size=N_NULL)
        above = np.cumsum(nulls >= score)
        scored = N_NULL if above[-1] < stop_count else int(np.argmax(above >= stop_count)) + 1
        result = NullCalibration(score, np.array([score]), nulls, "sign", "draw")
        whole += result.verdict() == "edge"
        early += (
            replace(result, null_scores=nulls[:scored], stop_count=stop_count).verdict() == "edge"
        )
    return whole / n_draws, early / n_draws


def power_claims(stop_count, n_draws):
    for endless in (0.3, 0.5, 0.8):
        whole, early = power(endless, stop_count, n_draws)
        note = f"all 99 copies {whole:.3f}, sequential {early:.3f}; {n_draws} draws"
        yield Claim(
            f"power lost by stopping, edge found {endless:.0%} by endless copies",
            whole - early,
            0.01,
            note=note,
        )


def main(smoke):
    n_noise = 5 if smoke else 500
    SameSign.fits = 0
    noise = [calibrate(seed) for seed in range(n_noise)]
    fits = SameSign.fits / n_noise
    rejected = sum(result.verdict() == "edge" for result in noise)
    bound = stats.binom.ppf(0.999, n_noise, 0.05) / n_noise
    report(
        "null_sequential",
        [
            Claim(
                "fits of all copies / sequential",
                (N_NULL + 1) / fits,
                5.0, ">=", "x", f"{n_noise} markets without signal",
            ),
            Claim("copies scored of 99, mean", fits - 1, note="16.4 expected"),
            Claim(
                "share of p <= .05 on noise",
                rejected / n_noise,
                bound,
                note="bound: 99.9 % of Binomial(n, .05)",
            ),
            *power_claims(noise[0].stop_count, 200 if smoke else N_DRAWS),
        ],
        smoke=smoke,
    )


if __name__ == "__main__":
    main(arguments(__doc__).smoke)

"""Null calibration: p-values are uniform where there is nothing to find, and small where there is.

200 markets without signal (volatility regimes included) and 40 with a planted one, each calibrated
with 19 copies. A p-value can only be k/20, so it is spread evenly within its step before the
Kolmogorov-Smirnov test: exact p-values are then exactly uniform. The plain alternative is the t
test over the folds' scores against chance, on the same markets.
"""

import time

from _harness import Claim, arguments, report
import numpy as np
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import TimeSeriesSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from sktrain import AdaptiveLabeler
from sktrain.datasets import make_market
from sktrain.evaluation import null_calibration

LABELER = AdaptiveLabeler(horizon=1, base_threshold=0.43, scaling="sigma")
SIGNAL = 0.3  # Bayes accuracy about 0.40 where chance is 0.33


class LastBody(TransformerMixin, BaseEstimator):
    """The last candle's body share, and the one before: all that make_market's signal needs."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        opened, high, low, close = (X[name].to_numpy() for name in ("open", "high", "low", "close"))
        body = np.log(close / opened) / np.log(high / low)
        return np.column_stack([body, np.append(0.0, body[:-1])])


MODEL = make_pipeline(LastBody(), GaussianNB())


def calibrate(n_markets, n_bars, n_null, *, signal, method):
    """p-values of the calibration, and of a t test over the folds."""
    ours, plain = [], []
    for seed in range(n_markets):
        bars = make_market(n_bars, signal=signal, random_state=seed).bars
        result = null_calibration(
            MODEL,
            bars,
            labeler=LABELER,
            cv=TimeSeriesSplit(3),
            n_null=n_null,
            method=method,
            random_state=seed,
        )
        ours.append(result.p_value)
        plain.append(stats.ttest_1samp(result.fold_scores, 1 / 3, alternative="greater").pvalue)
    return np.array(ours), np.array(plain)


def main(smoke):
    n_noise, n_planted, n_bars, n_null = (4, 2, 400, 19) if smoke else (200, 40, 400, 19)
    claims = []
    for method in ("block", "sign"):
        start = time.perf_counter()
        p, plain = calibrate(n_noise, n_bars, n_null, signal=0.0, method=method)
        spread = p - np.random.default_rng(0).uniform(size=n_noise) / (n_null + 1)
        note = (
            f"{n_noise} markets without signal, {n_null} copies, "
            f"{time.perf_counter() - start:.0f} s"
        )
        claims.append(
            Claim(
                f"{method}: KS p-value of uniformity",
                stats.kstest(spread, "uniform").pvalue,
                0.01,
                ">=",
                note=note,
            )
        )
        claims.append(
            Claim(
                f"{method}: share of p <= .05 on noise",
                float(np.mean(p <= 0.05)),
                note=f"t test over folds: {np.mean(plain <= 0.05):.3f}",
            )
        )
        power, plain = calibrate(n_planted, 2 * n_bars, n_null, signal=SIGNAL, method=method)
        note = (
            f"{n_planted} markets of {2 * n_bars} bars, signal {SIGNAL}; t test over folds: "
            f"{np.mean(plain <= 0.05):.3f}"
        )
        claims.append(
            Claim(f"{method}: power at .05", float(np.mean(power <= 0.05)), 0.8, ">=", note=note)
        )
    report("null_calibration", claims, smoke=smoke)


if __name__ == "__main__":
    main(arguments(__doc__).smoke)

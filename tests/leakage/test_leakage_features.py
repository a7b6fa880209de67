"""Columns that know the outcome, honest ones that look alike, and the areas the thresholds are
derived from."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from sklearn.linear_model import LogisticRegression

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    EnhancedWalkForwardCV,
    LeakageValidator,
    RegimeDetector,
)
from sktrain.datasets import load_nasdaq, load_sp500, make_market
from sktrain.leakage import _target_leaks

CV = EnhancedWalkForwardCV(3, ensure_regime_coverage=False, min_samples_per_fold=50)


def area(correlation, share=1 / 3):
    """Area under the ROC curve of a normal column for the top ``share`` of a normal outcome, by
    integration."""
    edge, rest = stats.norm.isf(share), np.sqrt(1 - correlation**2)

    def top(x):
        return stats.norm.pdf(x) * stats.norm.sf((edge - correlation * x) / rest) / share

    def other(x):
        above = stats.norm.cdf((edge - correlation * x) / rest)
        return stats.norm.pdf(x) * above / (1 - share)

    return integrate.quad(lambda x: top(x) * integrate.quad(other, -8, x)[0], -8, 8)[0]


@pytest.mark.parametrize(
    ("correlation", "threshold"),
    [(0.26, _target_leaks._STRONG), (0.82, _target_leaks._FIRM), (0.95, _target_leaks._SURE)],
)
def test_thresholds_stand_where_their_derivation_says(correlation, threshold):
    assert area(correlation) == pytest.approx(threshold, abs=0.005)


@pytest.mark.parametrize("horizon", [1, 3, 5, 10])
@pytest.mark.parametrize("load", [load_sp500, load_nasdaq])
def test_sign_of_the_outcome_is_an_error(load, horizon):
    raw = load().iloc[-1500:]
    bars, y = AdaptiveLabeler(horizon=horizon, base_threshold=0.5, scaling="sigma").fit_resample(
        raw
    )
    X = BarFeatures(windows=(5, 20)).fit_transform(bars).dropna()
    X.attrs = {}
    ahead = raw["close"].shift(-horizon) / raw["close"] - 1
    report = LeakageValidator(budget="quick", max_times=300).audit(
        LogisticRegression(), X.assign(sign=np.sign(ahead.loc[X.index])), y.loc[X.index], CV
    )
    assert [one.where["column"] for one in report.errors if one.code == "target_leak"] == [
        "sign"
    ], report.summary()


@pytest.mark.parametrize("seed", range(4))
def test_honest_columns_of_few_values_are_left_alone(seed):
    """Signs of past returns, old labels and regimes, beside fixed thresholds that calm markets
    never cross."""
    raw = make_market(1500, signal=0.5 * (seed % 2), random_state=seed).bars
    bars, y = AdaptiveLabeler(
        horizon=5, base_threshold=0.02, use_volatility_adjustment=False, use_risk_adjustment=False
    ).fit_resample(raw)
    X = pd.DataFrame(
        {
            "past": np.sign(bars["close"].pct_change(5)).fillna(0.0),
            "old": y.shift(5).fillna(1.0),
            "regime": pd.factorize(
                RegimeDetector(lookback=20).fit_transform(bars).iloc[:, 0].astype(str), sort=True
            )[0],
            "calm": (bars["close"].pct_change().rolling(20).std() > 0.01).astype(float),
            "day": bars.index.day_of_week.astype(float),
        },
        bars.index,
    )
    report = LeakageValidator(budget="quick", max_times=300).audit(LogisticRegression(), X, y, CV)
    assert "target_leak" not in report.codes("error"), report.summary()

"""
Is it real?
===========

From bars to a verdict: fold scores with an honest interval, a Sharpe ratio deflated for the models
that were tried, the probability that choosing the best was overfitting, and the whole pipeline on
copies of the same market without signal.

Three questions: stocks ten days ahead, where a score above 1/3 and a positive Sharpe ratio may turn
out to be nothing; stocks one day ahead, where closes near the day's extreme were followed by
reversals (whether one could still have traded at the close that told so is a question no score
answers); and a market in which a signal was planted.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from sktrain import AdaptiveLabeler, BarFeatures, EnhancedWalkForwardCV, WalkForwardDisplay
from sktrain.datasets import load_us_stocks, make_market
from sktrain.evaluation import (
    corrected_mean_interval,
    deflated_sharpe_ratio,
    effective_number_of_trials,
    null_calibration,
    probability_of_backtest_overfitting,
    profit_and_loss,
    to_positions,
    walk_forward_predict,
)

COST = 0.0005  # five basis points for each unit of turnover

# %%
# What is tried
# -------------
# Four candidates, two sets of windows by two strengths of shrinkage, and one splitter for all.


def model(windows, shrinkage):
    """A pipeline from bars to probabilities."""
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    return make_pipeline(BarFeatures(windows=windows), SimpleImputer(), discriminant)


candidates = [
    model(windows, shrinkage) for windows in ((5, 20), (10, 40)) for shrinkage in (0.01, 0.5)
]
cv = EnhancedWalkForwardCV(n_splits=4, ensure_regime_coverage=False)
stocks = load_us_stocks(["AAPL", "IBM", "MSFT"])
WalkForwardDisplay.from_cv(cv, *AdaptiveLabeler(horizon=10).fit_resample(stocks)).plot()

# %%
# How it is judged
# ----------------
# The best of several is luck in part. So its Sharpe ratio is deflated for the number of independent
# trials, choosing itself is judged, and the pipeline runs on copies of the market in which every
# bar's direction is a coin.


def examine(name, bars, horizon):
    """Print what the best candidate is worth; return its calibration and whether it is an edge."""
    labeler = AdaptiveLabeler(horizon=horizon, base_threshold=0.43, scaling="sigma")
    rows, y = labeler.fit_resample(bars)
    earned = []
    for candidate in candidates:
        predictions = walk_forward_predict(candidate, rows, y, cv)
        positions = to_positions(predictions)[predictions.mask]
        earned.append(profit_and_loss(positions, rows[predictions.mask], cost=COST))
    ratios = [pnl.sharpe() for pnl in earned]
    best = int(np.argmax(ratios))
    returns = np.column_stack([pnl.returns for pnl in earned])
    trials, chosen = effective_number_of_trials(returns), ratios[best]
    deflated = deflated_sharpe_ratio(
        chosen,
        chosen.n_obs,
        n_trials=trials,
        trials_variance=np.var(ratios, ddof=1),
        skew=chosen.skew,
        kurtosis=chosen.kurtosis,
    )
    null = null_calibration(
        candidates[best], bars, labeler=labeler, cv=cv, method="sign", n_null=19, random_state=0
    )
    folds = [(len(train), len(test)) for train, test in cv.split(rows, y)]
    interval = corrected_mean_interval(null.fold_scores, *np.transpose(folds))
    real = null.p_value <= 0.05 and deflated >= 0.95
    print(f"{name}\n  best of {len(candidates)}: {earned[best].summary()}")
    print(f"  {chosen.annualised(252).summary()}")
    print(f"  deflated for {trials:.1f} independent trials: {deflated:.3f}")
    print(f"  {probability_of_backtest_overfitting(returns, n_blocks=10).summary()}")
    print(f"  balanced accuracy {interval.summary()}")
    print(f"  {null.summary()}")
    print(f"  verdict: {'an edge, after costs and after luck' if real else 'no edge'}\n")
    return null, real


# %%
# Three questions
# ---------------
# An edge is what both tests grant: a p-value of at most 0.05 against the coin markets, and a
# probability of at least 0.95 that the true Sharpe ratio is above luck's.
questions = {
    "stocks, ten days ahead": (stocks, 10),
    "stocks, one day ahead": (stocks, 1),
    "planted signal": (make_market(1500, signal=0.4, random_state=0).bars, 1),
}
answers = {name: examine(name, *question) for name, question in questions.items()}
for name, (_, real) in answers.items():
    print(f"{name}: {'edge' if real else 'no edge'}")

# %%
# A score means what it means against its own null: the copies of a market need not be centred at
# 1/3.
_, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
for number, (name, (null, _)) in enumerate(answers.items()):
    ax.hist(null.null_scores, alpha=0.4, color=f"C{number}")
    ax.axvline(null.score, color=f"C{number}", label=f"{name}: p = {null.p_value:.2f}")
ax.set(xlabel="balanced accuracy", ylabel="copies without signal")
ax.legend(fontsize="small")

# %%
# How much is found
# -----------------
# A planted signal of growing strength, and the accuracy as a share of the best possible. Without
# signal a guess is the best possible, so that its share is about one, and luck.
strengths, shares = (0.0, 0.3, 0.6, 0.9), []
for signal in strengths:
    market = make_market(1500, signal=signal, random_state=1)
    predictions = walk_forward_predict(candidates[0], market.bars, market.y, cv)
    accuracy = np.mean(predictions.predict() == market.y[predictions.mask])
    shares.append(accuracy / market.probabilities[predictions.mask].max(axis=1).mean())
print(", ".join(f"{share:.0%} at signal {signal:g}" for signal, share in zip(strengths, shares)))

# sphinx_gallery_thumbnail_number = 2

"""
Is it real?
===========

From the bundled stocks to a verdict: fold scores with an honest interval, a Sharpe ratio deflated for the models that were tried, the
probability that choosing the best was overfitting, and the whole pipeline on copies of the same market without signal.

Three questions: the stocks two weeks ahead, where a score above 1/3 and a positive Sharpe ratio turn out to be nothing; the
stocks one day ahead, where closes near the day's extreme were followed by reversals (whether one could still have traded at the
close that told so is a question no score answers); and a market in which a signal was planted. Runs in under a minute.
"""

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from sktrain import AdaptiveLabeler, BarFeatures, EnhancedWalkForwardCV
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
cv = EnhancedWalkForwardCV(n_splits=5, ensure_regime_coverage=False)


def model(windows, shrinkage):
    return make_pipeline(BarFeatures(windows=windows), SimpleImputer(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage))


candidates = [model(windows, shrinkage) for windows in ((5, 20), (5, 10, 20, 60)) for shrinkage in (0.01, 0.5)]


def examine(name, bars, horizon):
    """Print what the best candidate is worth ``horizon`` bars ahead; return its calibration and whether it is an edge."""
    labeler = AdaptiveLabeler(horizon=horizon, base_threshold=0.43, scaling="sigma")
    rows, y = labeler.fit_resample(bars)

    # What each candidate would have earned, out of fold and after costs.
    earned = []
    for candidate in candidates:
        predictions = walk_forward_predict(candidate, rows, y, cv)
        positions = to_positions(predictions)
        earned.append(profit_and_loss(positions[predictions.mask], rows[predictions.mask], cost=COST))
    ratios = [pnl.sharpe() for pnl in earned]
    best = int(np.argmax(ratios))
    returns = np.column_stack([pnl.returns for pnl in earned])
    print(f"\n{name}\n  best of {len(candidates)}: {earned[best].summary()}")

    # The best of several is luck in part: deflate it, and ask whether choosing helped.
    trials = effective_number_of_trials(returns)
    chosen = ratios[best]
    deflated = deflated_sharpe_ratio(
        chosen, chosen.n_obs, n_trials=trials, trials_variance=np.var(ratios, ddof=1), skew=chosen.skew, kurtosis=chosen.kurtosis
    )
    print(f"  {chosen.annualised(252).summary()}")
    print(f"  deflated for {trials:.1f} independent trials: {deflated:.3f} (probability that the true ratio is above luck's)")
    print(f"  {probability_of_backtest_overfitting(returns, n_blocks=10).summary()}")

    # The same pipeline on copies of this market in which every bar's direction is a coin.
    null = null_calibration(candidates[best], bars, labeler=labeler, cv=cv, method="sign", n_null=19, random_state=0)
    folds = [(len(train), len(test)) for train, test in cv.split(rows, y)]
    interval = corrected_mean_interval(null.fold_scores, *np.transpose(folds))
    print(f"  balanced accuracy {interval.summary()}")
    print(f"  {null.summary()}")

    real = null.p_value <= 0.05 and deflated >= 0.95
    print(f"  verdict: {'an edge, after costs and after luck' if real else 'no edge'}")
    return null, real


questions = {
    "stocks, ten days ahead": (load_us_stocks(), 10),
    "stocks, one day ahead": (load_us_stocks(), 1),
    "planted signal": (make_market(2500, signal=0.4, random_state=0).bars, 1),
}
answers = {name: examine(name, *question) for name, question in questions.items()}
print("\n" + "\n".join(f"{name}: {'edge' if real else 'no edge'}" for name, (_, real) in answers.items()))

# %%
# How much of a planted signal is recovered, as a share of the best possible accuracy.
strengths, shares = (0.0, 0.3, 0.6, 0.9), []
for signal in strengths:
    market = make_market(2000, signal=signal, random_state=1)
    predictions = walk_forward_predict(candidates[0], market.bars, market.y, cv)
    accuracy = np.mean(predictions.predict() == market.y[predictions.mask])
    shares.append(accuracy / market.probabilities[predictions.mask].max(axis=1).mean())
print("share of Bayes accuracy: " + ", ".join(f"{share:.0%} at signal {signal:g}" for signal, share in zip(strengths, shares)))

# %%
try:
    import matplotlib.pyplot as plt
except ImportError:  # pictures are optional
    plt = None
if plt is not None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for (name, (null, _)), colour in zip(answers.items(), ("tab:blue", "tab:green", "tab:orange")):
        left.hist(null.null_scores, alpha=0.4, color=colour)
        left.axvline(null.score, color=colour, label=f"{name}: p = {null.p_value:.2f}")
    left.set(xlabel="balanced accuracy", ylabel="copies without signal")
    left.legend(fontsize="small")
    right.plot(strengths, shares, marker="o")
    right.set(xlabel="signal", ylabel="accuracy as a share of Bayes", ylim=(0, 1.05))
    if plt.get_backend().lower() != "agg":
        plt.show()

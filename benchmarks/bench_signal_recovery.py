"""Signal recovery: how much of the best possible accuracy the default pipelines reach, over
strengths of a planted signal.

``make_market`` knows the true class probabilities of every row, so the Bayes accuracy is exact.
Accuracy is measured out of fold on the same rows, pooled over three markets. 100 % of Bayes is the
ceiling: more than that, beyond noise, would be a leak, and fails.
"""

from _harness import RESULTS, Claim, arguments, report
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sktrain import BarFeatures, EnhancedWalkForwardCV
from sktrain.datasets import make_market
from sktrain.evaluation import walk_forward_predict

MODELS = {
    "logistic": make_pipeline(
        BarFeatures(), SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=500)
    ),
    "boosting": make_pipeline(
        BarFeatures(),
        HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=0),
    ),
}
CV = EnhancedWalkForwardCV(n_splits=5, ensure_regime_coverage=False)


def recover(model, signal, n_markets, n_bars):
    """Pooled out-of-fold accuracy, Bayes accuracy and majority accuracy on the same rows, and the
    number of rows."""
    hits, best, rows, most = 0, 0.0, 0, 0.0
    for seed in range(n_markets):
        market = make_market(n_bars, signal=signal, random_state=seed)
        result = walk_forward_predict(model, market.bars, market.y, CV)
        hits += int((result.predict() == market.y[result.mask]).sum())
        known = market.probabilities[result.mask]
        best += float(known.max(axis=1).sum())
        most += float(known.sum(axis=0).max())
        rows += int(result.mask.sum())
    return hits / rows, best / rows, most / rows, rows


def draw(strengths, lines):
    """The share of Bayes over the strength of the signal."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, accuracies in lines.items():
        axes.plot(
            strengths, accuracies, marker="o", label=name, linestyle="-" if name in MODELS else "--"
        )
    axes.set(
        xlabel="signal (correlation of outcome and best forecast)",
        ylabel="accuracy out of fold",
        title="Recovery of a planted signal",
    )
    axes.legend()
    figure.savefig(RESULTS / "signal_recovery.svg")


def main(smoke):
    strengths = (0.0, 0.5) if smoke else (0.0, 0.2, 0.4, 0.6, 0.8)
    n_markets, n_bars = (1, 1200) if smoke else (3, 2500)
    claims, lines = [], {"Bayes": [], **{name: [] for name in MODELS}, "majority": []}
    for signal in strengths:
        for name, model in MODELS.items():
            accuracy, bayes, majority, rows = recover(model, signal, n_markets, n_bars)
            noise = np.sqrt(bayes * (1 - bayes) / rows)
            skill = ""
            if signal:
                share = (accuracy - majority) / (bayes - majority)
                skill = f", {share:.0%} of what is above the majority's {majority:.3f}"
            note = f"accuracy {accuracy:.3f}, Bayes {bayes:.3f}{skill}; {rows} rows"
            claims.append(
                Claim(
                    f"signal {signal:g}: {name}, share of Bayes",
                    accuracy / bayes,
                    1 + 3 * noise / bayes,
                    "<=",
                    note=note,
                    smoke=True,
                )
            )
            lines[name].append(accuracy)
        lines["Bayes"].append(bayes)
        lines["majority"].append(majority)
    if not smoke:
        RESULTS.mkdir(exist_ok=True)
        draw(strengths, lines)
    report("signal_recovery", claims, smoke=smoke)


if __name__ == "__main__":
    with threadpool_limits(1):  # OpenMP threads fight over busy cores
        main(arguments(__doc__).smoke)

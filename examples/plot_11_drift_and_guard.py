"""
Drift that means something, and training that obeys it
======================================================

The plain rule (PSI > 0.1) alarms on autocorrelated rows that did not drift. A detector with error
control does not, finds real drift, and guards incremental training through a regime break.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import lfilter
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import DriftDetector, DriftDisplay, DriftGuard, monitor
from sktrain.datasets import load_sp500


def rows(rng, n, phi=0.9):
    """Three autocorrelated features of unit variance."""
    noise = rng.standard_normal((n, 3))
    noise[1:] *= np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=0)


# %%
# False alarms
# ------------
# No drift at all, forty times over: how often does each rule raise an alarm?
draws = [rows(np.random.default_rng(seed), 1250) for seed in range(40)]
reports = [DriftDetector().fit(x[:1000]).check(x[1000:]) for x in draws]
plain = sum(report.psi > 0.1 for report in reports)
ours = sum(report.drift_detected for report in reports)
print(f"false alarms in 40 draws without drift: PSI > 0.1 {plain}, DriftDetector {ours}")

# %%
# A real shift
# ------------
# One and a half standard deviations in one of three columns.
moved = draws[0].copy()
moved[1000:, 1] += 1.5
report = DriftDetector().fit(moved[:1000]).check(moved[1000:])
print(report.summary())
DriftDisplay.from_reports(report).plot()

# %%
# The S&P 500, year after year
# ----------------------------
# Bars are watched by their features, against the first six years of the file. Volatility comes and
# goes, as in every market. The column that moved most is a change of bookkeeping: until 2005 nearly
# every open in the file is the previous close, so there were no gaps.
bars = load_sp500()
looks = list(monitor(bars, every=250, window=250, reference=1500))
print(f"{len(looks)} looks; drift in {sum(look.drift_detected for look in looks)} of them")
for look in looks:
    print(f"  {look.start:%Y-%m-%d} to {look.end:%Y-%m-%d}: {look.status}, {look.recommendation}")
copied = (bars["open"] == bars["close"].shift()).groupby(bars.index.year).mean()
print(f"opens equal to the previous close: {copied[2004]:.0%} in 2004, {copied[2008]:.0%} in 2008")
history = DriftDisplay.from_reports(looks)
print("largest PSI on average:", history.psi.mean().nlargest(3).round(2).to_dict())
history.plot()

# %%
# Training under a guard
# ----------------------
# A year of weekly blocks. In week 26 the relation between features and outcome turns; the features
# themselves stay as they were. The guard looks at each block before it trains on it.
rng = np.random.default_rng(1)
X = rows(rng, 500 + 52 * 40, phi=0.5)
turned = np.arange(len(X)) >= 500 + 26 * 40
score = np.where(turned, X @ [-1, 1, 0.5], X @ [1, 1, 0])
y = (score + rng.logistic(size=len(X)) > 0).astype(int)


def model():
    return make_pipeline(
        StandardScaler(), SGDClassifier(loss="log_loss", alpha=0.01, random_state=0)
    )


guard, never = DriftGuard(model()).fit(X[:500], y[:500]), model().fit(X[:500], y[:500])
losses = []
for week in np.split(np.arange(500, len(X)), 52):
    losses.append(
        [log_loss(y[week], way.predict_proba(X[week]), labels=[0, 1]) for way in (guard, never)]
    )
    guard.partial_fit(X[week], y[week])
losses = np.array(losses)
for name, weeks in (("before", slice(0, 26)), ("after", slice(26, 52))):
    guarded, left = losses[weeks].mean(axis=0)
    print(f"log loss {name} the turn: guard {guarded:.3f}, never updated {left:.3f}")

# %%
# What the guard decided
# ----------------------
# It keeps a log: which weeks made it start anew, and why. The drift of week 16 is a false alarm,
# since no feature moved; it cost little.
log = guard.log_
columns = ["decision", "covariate", "concept", "n_trained", "reason"]
print(log.loc[log["decision"] == "refit", columns].to_string(max_colwidth=60))

_, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
ax.plot(losses, label=["guard", "never updated"])
ax.axvline(26, color="black", linewidth=0.8, linestyle="--", label="the relation turns")
ax.set(xlabel="week", ylabel="log loss before training on it")
ax.legend(fontsize="small")

# sphinx_gallery_thumbnail_number = 3

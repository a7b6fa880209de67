"""
Drift that means something, and training that obeys it
======================================================

The plain rule (PSI > 0.1) alarms on autocorrelated rows that did not drift. A detector with error control does not, finds real drift, and
guards incremental training through a regime break.
"""

import numpy as np
from scipy.signal import lfilter
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import DriftDetector, DriftGuard, monitor
from sktrain.datasets import load_sp500
from sktrain.drift import drift_history


def rows(rng, n, phi=0.9):
    """Three autocorrelated features of unit variance."""
    noise = rng.standard_normal((n, 3))
    noise[1:] *= np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=0)


# %%
# No drift at all, forty times over: how often does each rule cry wolf?
draws = [rows(np.random.default_rng(seed), 1250) for seed in range(40)]
reports = [DriftDetector().fit(x[:1000]).check(x[1000:]) for x in draws]
print(f"false alarms in 40 draws without drift: PSI > 0.1 {sum(r.psi > 0.1 for r in reports)}, DriftDetector {sum(r.drift_detected for r in reports)}")

# %%
# A shift of one and a half standard deviations in one column.
moved = draws[0].copy()
moved[1000:, 1] += 1.5
print(DriftDetector().fit(moved[:1000]).check(moved[1000:]).summary())

# %%
# The S&P 500, year after year, against its first six years in the file: bars are watched by their features. What is found is no market
# regime but a change of bookkeeping: until 2005 nearly every open in the file is the previous close, so there were no gaps.
bars = load_sp500()
looks = list(monitor(bars, every=250, window=250, reference=1500))
history = drift_history(looks, "psi")
print(f"{len(looks)} looks; drift in {sum(look.drift_detected for look in looks)} of them")
for look in looks:
    print(f"  {look.start:%Y-%m-%d} to {look.end:%Y-%m-%d}: {look.status}, {look.recommendation}: {look.reason}")
copied = (bars["open"] == bars["close"].shift()).groupby(bars.index.year).mean()
print(f"opens that equal the previous close: {copied[2004]:.0%} in 2004, {copied[2008]:.0%} in 2008")
print("columns with the largest PSI on average:", history.mean().nlargest(3).round(2).to_dict())

# %%
# A year of weekly blocks. In week 26 the relation between features and outcome turns; the features themselves stay as they were.
rng = np.random.default_rng(1)
X = rows(rng, 500 + 52 * 40, phi=0.5)
turned = np.arange(len(X)) >= 500 + 26 * 40
y = (np.where(turned, X @ [-1, 1, 0.5], X @ [1, 1, 0]) + rng.logistic(size=len(X)) > 0).astype(int)


def model():
    return make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", alpha=0.01, random_state=0))


guard, never = DriftGuard(model()).fit(X[:500], y[:500]), model().fit(X[:500], y[:500])
losses = []
for week in np.split(np.arange(500, len(X)), 52):
    losses.append([log_loss(y[week], way.predict_proba(X[week]), labels=[0, 1]) for way in (guard, never)])
    guard.partial_fit(X[week], y[week])
losses = np.array(losses)
for name, weeks in (("before", slice(0, 26)), ("after", slice(26, 52))):
    print(f"log loss {name} the turn: guard {losses[weeks, 0].mean():.3f}, never updated {losses[weeks, 1].mean():.3f}")
log = guard.log_
print(log.loc[log["decision"] == "refit", ["decision", "covariate", "concept", "n_trained", "reason"]].to_string(max_colwidth=90))

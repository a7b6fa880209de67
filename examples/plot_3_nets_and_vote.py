"""Four nets and their vote, on the bundled S&P 500 bars
=======================================================

Four deep models are trained on the same windows and soft-voted by scikit-learn's ``VotingClassifier``. Every fit validates on the last
block of its own training rows. The test block is the newest part of the bars, and the baselines stand beside the scores: on daily
index bars nobody should expect much above chance.
"""

import os

from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.pipeline import Pipeline

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    GRUClassifier,
    LSTMClassifier,
    SlidingWindow,
    TCNClassifier,
    TemporalSplitter,
    TransformerClassifier,
)
from sktrain.datasets import load_sp500

HORIZON = 3

bars, y = AdaptiveLabeler(horizon=HORIZON, base_threshold=0.5, scaling="sigma").fit_resample(load_sp500())
bars, y = bars[-2500:], y[-2500:]
train, test = next(TemporalSplitter(evaluate="test").split(bars, y))
print(f"{len(train)} rows to train on, {len(test)} to test on, from {bars.index[test[0]]:%Y-%m-%d}")
print("classes in the test block:", y.iloc[test].value_counts().sort_index().to_dict())

shared = {"max_epochs": 8, "batch_size": 128, "random_state": 0, "module__hidden_size": 16, "horizon": HORIZON}
nets = [
    ("lstm", LSTMClassifier(**shared)),
    ("gru", GRUClassifier(**shared)),
    ("tcn", TCNClassifier(**shared)),
    ("transformer", TransformerClassifier(**shared)),
]
vote = VotingClassifier(nets, voting="soft")  # it passes y on as bare codes, so the horizon is told to each net
model = Pipeline([("features", BarFeatures()), ("window", SlidingWindow(lookback=20)), ("vote", vote)])
model.fit(bars.iloc[train], y.iloc[train])

windows = model[:-1].transform(bars.iloc[test])
majority = DummyClassifier(strategy="prior").fit(bars.iloc[train], y.iloc[train])
scores = {"majority": majority.predict_proba(bars.iloc[test])}
scores |= {name: net.predict_proba(windows) for name, net in vote.named_estimators_.items()}
scores |= {"soft vote": model.predict_proba(bars.iloc[test])}
print(f"{'model':<12} {'balanced accuracy':>18} {'log loss':>9}")
for name, proba in scores.items():
    labels = model.classes_[proba.argmax(axis=1)]
    print(f"{name:<12} {balanced_accuracy_score(y.iloc[test], labels):>18.3f} {log_loss(y.iloc[test], proba):>9.3f}")
for name, net in model[-1].named_estimators_.items():
    print(f"{name}: {net.n_epochs_} epochs, stopped by {net.stop_reason_}; {net.validation_.summary()}")

if os.environ.get("SKTRAIN_PLOTS"):
    import matplotlib.pyplot as plt

    for name, net in model[-1].named_estimators_.items():
        plt.plot(net.history[:, "valid_loss"], label=name)
    plt.xlabel("epoch")
    plt.ylabel("validation loss")
    plt.legend()
    plt.show()

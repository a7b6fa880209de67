"""
Four nets and their vote
========================

Four deep models are trained on the same windows of S&P 500 bars and soft-voted by scikit-learn's
``VotingClassifier``. Every fit validates on the last block of its own training rows. The baseline
stands beside the scores: on daily index bars nobody should expect much above chance.
"""

import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.pipeline import Pipeline

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    GRUClassifier,
    LearningCurveDisplay,
    LSTMClassifier,
    SlidingWindow,
    TCNClassifier,
    TemporalSplitter,
    TransformerClassifier,
    WalkForwardDisplay,
)
from sktrain.datasets import load_sp500

# %%
# One split in time
# -----------------
# The test block is the newest part of the bars; training rows whose label reaches into it are left
# out.
labeler = AdaptiveLabeler(base_threshold=0.5, scaling="sigma")
bars, y = labeler.fit_resample(load_sp500().iloc[-2500:])
splitter = TemporalSplitter(evaluate="test")
train, test = next(splitter.split(bars, y))
print(f"{len(train)} rows to train on, {len(test)} to test on, from {bars.index[test[0]]:%Y-%m-%d}")
print("classes in the test block:", y.iloc[test].value_counts().sort_index().to_dict())
WalkForwardDisplay.from_cv(splitter, bars, y).plot()

# %%
# Four nets, one vote
# -------------------
# Features and windows are made once and shared. When each label is known travels with the rows, so
# each net purges its own validation block although a vote hands it bare codes.
shared = {"max_epochs": 6, "batch_size": 128, "random_state": 0, "module__hidden_size": 16}
vote = VotingClassifier(
    [
        ("lstm", LSTMClassifier(**shared)),
        ("gru", GRUClassifier(**shared)),
        ("tcn", TCNClassifier(**shared)),
        ("transformer", TransformerClassifier(**shared)),
    ],
    voting="soft",
)
model = Pipeline(
    [("features", BarFeatures()), ("window", SlidingWindow(lookback=20)), ("vote", vote)]
)
model.fit(bars.iloc[train], y.iloc[train])
for name, net in vote.named_estimators_.items():
    print(f"{name}: {net.n_epochs_} epochs, stopped by {net.stop_reason_}")
    print(f"    {net.validation_.summary()}")
LearningCurveDisplay.from_estimator(model).plot()

# %%
# Each alone, and together
# ------------------------
# Log loss judges the probabilities, not only the most likely class; the majority class is the one
# to beat.
windows = model[:-1].transform(bars.iloc[test])
majority = DummyClassifier(strategy="prior").fit(bars.iloc[train], y.iloc[train])
said = {"majority": majority.predict_proba(bars.iloc[test])}
said |= {name: net.predict_proba(windows) for name, net in vote.named_estimators_.items()}
said |= {"soft vote": model.predict_proba(bars.iloc[test])}
table = {
    name: {
        "balanced accuracy": balanced_accuracy_score(
            y.iloc[test], model.classes_[proba.argmax(axis=1)]
        ),
        "log loss": log_loss(y.iloc[test], proba),
    }
    for name, proba in said.items()
}
print(pd.DataFrame(table).T.round(3).to_string())

# sphinx_gallery_thumbnail_number = 2

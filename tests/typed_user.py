"""What a user writes, for mypy: a line marked ``refused`` is wrong and must be told with that code;
every other line is right. ``test_typing.py`` reads it; nobody runs it."""

from datetime import timedelta
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

import sktrain
from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    CombinatorialPurgedCV,
    CompressedClassifier,
    DriftDetector,
    DriftGuard,
    EnhancedTrainer,
    EnhancedWalkForwardCV,
    GRUClassifier,
    LeakageValidator,
    NewsArticle,
    OptunaSearchCV,
    PooledClassifier,
    SlidingWindow,
    TripleBarrierLabeler,
    average_uniqueness,
    export_onnx,
    fold_scores,
    load,
    probabilistic_sharpe_ratio,
    save,
    time_decay_weights,
    to_positions,
    walk_forward_predict,
    with_label_times,
)

X = np.zeros((300, 4))
y = np.zeros(300, dtype=int)
bars = pd.DataFrame({"close": [1.0, 2.0]})

# names
misspelt = sktrain.GRUClasifier  # refused: attr-defined
sktrain.splits.EnhancedWalkForwardCV(n_splits=3)

# spans
EnhancedWalkForwardCV(n_splits=5, horizon=3, embargo_bars=timedelta(days=1))
EnhancedWalkForwardCV(horizon="5D", test_size=pd.Timedelta("30D"))
EnhancedWalkForwardCV(horizon=np.timedelta64(5, "D"), embargo=pd.offsets.Day(2))
EnhancedWalkForwardCV(horizon=[3])  # refused: arg-type
EnhancedWalkForwardCV(n_split=5)  # refused: call-arg
CombinatorialPurgedCV(n_blocks="6")  # refused: arg-type
TripleBarrierLabeler(max_holding="2D", session=timedelta(hours=4))
TripleBarrierLabeler(max_holding=2.5)  # refused: arg-type

# rows
net = GRUClassifier(lookback=20, lr=1e-3, random_state=0, calibration=None)
net.fit(X, y).predict_proba(X).sum(axis=1)
net.fit(X.tolist(), y.tolist(), sample_weight=[1.0] * 300).partial_fit(X, pd.Series(y))
net.fit({"close": [1.0]}, y)  # refused: arg-type
net.predict(X).upper()  # refused: attr-defined
SlidingWindow(lookback=20).fit(bars).transform(bars)
BarFeatures(windows=(5, 10), calendar="intraday")
BarFeatures(calendar="weekly")  # refused: arg-type

# named choices
GRUClassifier(calibration="isotonic")  # refused: arg-type
GRUClassifier(mixed_precision="bfloat16", train_split=None, class_sampling="weighted")
GRUClassifier(mixed_precision="float8")  # refused: arg-type
CompressedClassifier(net, bits=8, scope="layer", activations=None)
TripleBarrierLabeler(tie="drop", timeout="hold")
TripleBarrierLabeler(tie="skip")  # refused: arg-type
EnhancedWalkForwardCV(window="sliding")  # refused: arg-type
DriftGuard(net, on_drift="ignore")  # refused: arg-type
CompressedClassifier(net, scope="tensor")  # refused: arg-type

# estimators and splitters
pipe = make_pipeline(BarFeatures(), LogisticRegression())
cv = EnhancedWalkForwardCV(horizon=3)
DriftGuard(pipe, detector=DriftDetector()).fit(X, y).predict(X)
DriftGuard("logistic")  # refused: arg-type
DriftGuard(net, on_drift="refit", detector=LogisticRegression)
walk_forward_predict(net, X, y, cv).summary().upper()
walk_forward_predict(net, X, y, [(np.arange(10), np.arange(10, 20))])
walk_forward_predict(net, X, y, cv=lambda X: [])  # refused: arg-type
fold_scores({"net": net, "line": LogisticRegression()}, X, y, cv)
fold_scores([net], X, y, cv)  # refused: arg-type
LeakageValidator().audit(pipe, X, y, cv).summary().upper()
LeakageValidator().audit(net, X, y, KFold(5))
LeakageValidator().check_causality(lambda X: X, X)
LeakageValidator().check_causality("BarFeatures", X)  # refused: arg-type
OptunaSearchCV(net, {"lr": (1e-4, 1e-2, "log")}, cv=cv, scoring="neg_log_loss", n_trials=3)
OptunaSearchCV(net, {"lr": (1e-4, 1e-2, "log")}, cv="walk forward")  # refused: arg-type
OptunaSearchCV(net, ["lr"])  # refused: list-item
PooledClassifier([("net", net), ("line", LogisticRegression())], valid_fraction=0.2)

# what comes back
split = cv.get_n_splits(X) + 1
first: np.ndarray = next(iter(cv.split(X, y)))[0]
AdaptiveLabeler(horizon=3).fit(bars).transform(bars)
with_label_times(pd.Series(y), end_times=[pd.Timestamp("2024-01-01")])
export_onnx(net, "net.onnx").exists()
save(net, Path("net.sktrain"), probe=None)
load("net.sktrain").predict(X)
NewsArticle("Profit doubles", "2024-03-01").symbols[0].lower()
EnhancedTrainer(data=bars).train(epochs=3, stop_flag=Event())
EnhancedTrainer(data=bars).train(epochs=3, stop_flag=True)  # refused: arg-type
probabilistic_sharpe_ratio(np.mean(X) / np.std(X), 300, benchmark=0)
probabilistic_sharpe_ratio("1.2", 300)  # refused: arg-type
weights = average_uniqueness([0, 1, 2], [1, 2, 3])
time_decay_weights(weights, oldest=0.5).mean() + average_uniqueness(pd.Series(y)).to_numpy().mean()
weights.to_numpy()  # refused: attr-defined
to_positions(walk_forward_predict(net, X, y, cv), sides={0: -1, 1: 1}).to_frame()

"""Write the golden files that are missing: run once per format and per kind of object, then keep the files for ever.

    python tests/persistence/make_golden.py [plain]
"""

from pathlib import Path
import sys

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

FOLDER = Path(__file__).parent / "golden"


def rows():
    """200 rows of 4 features and labels; the same for ever."""
    X = np.sin(np.arange(800.0).reshape(200, 4) ** 1.5)
    return X, np.where(X[:, 0] + X[:, 1] > 0.5, "buy", np.where(X[:, 2] > 0.3, "sell", "hold"))


def models():
    """Name -> fitted model: every kind of object a file may hold."""
    from sktrain import (
        CompressedClassifier,
        GRUClassifier,
        LSTMClassifier,
        ModelPruner,
        ModelQuantizer,
        SlidingWindow,
        TCNClassifier,
        TransformerClassifier,
    )

    X, y = rows()
    small = {"max_epochs": 2, "random_state": 0, "horizon": 0, "module__hidden_size": 8}
    members = [("gru", GRUClassifier(**small)), ("transformer", TransformerClassifier(**small))]
    vote = Pipeline([("window", SlidingWindow(lookback=4)), ("net", VotingClassifier(members, voting="soft"))]).fit(X, y)
    pruned = LSTMClassifier(**{**small, "module__hidden_size": 16}).fit(X, y)
    ModelPruner(0.7).prune_model(pruned)
    tcn = Pipeline([("window", SlidingWindow(lookback=4)), ("net", TCNClassifier(**small))]).fit(X, y)
    wide = GRUClassifier(**{**small, "module__hidden_size": 24, "lookback": 2})
    return {
        "compressed": CompressedClassifier(wide, fine_tune_epochs=1, horizon=0).fit(X, y),
        "int4": ModelQuantizer(4).quantize_model(clone(wide).fit(X, y), X),
        "vote": vote,
        "pruned": pruned,
        "quantized": ModelQuantizer().quantize_model(tcn),
        **plain_models(),
    }


def plain_models():
    """Those without a net."""
    from sktrain import OptunaSearchCV

    X, y = rows()
    search = OptunaSearchCV(LogisticRegression(), {"C": (0.1, 1.0)}, n_trials=3, cv=TimeSeriesSplit(3), random_state=0)
    boosted = [("trees", RandomForestClassifier(3, random_state=0)), ("stages", GradientBoostingClassifier(n_estimators=2, random_state=0))]
    return {
        "scikit_learn": make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y),
        "forest": VotingClassifier([*boosted, ("bins", HistGradientBoostingClassifier(max_iter=2))], voting="soft").fit(X, y),
        "vectors": VotingClassifier([("near", KNeighborsClassifier()), ("svc", SVC(random_state=0))]).fit(X, y),
        "search": search.fit(X, y),
    }


def answers(model):
    """What a golden file is held to: probabilities, or labels where there are none."""
    X = rows()[0][-50:]
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def main():
    from sktrain import save
    from sktrain.persistence._file import FORMAT

    FOLDER.mkdir(exist_ok=True)
    X, _ = rows()
    for name, model in (plain_models() if "plain" in sys.argv else models()).items():
        path = FOLDER / f"format{FORMAT}_{name}.sktrain"
        if path.exists():  # never written again
            continue
        save(model, path, probe=X[-8:], scores={"accuracy": float(model.score(X, rows()[1]))})
        np.save(path.with_suffix(".npy"), answers(model))


if __name__ == "__main__":
    main()

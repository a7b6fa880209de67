"""Write the golden files that are missing: run once per format and per kind of object, then keep the files for ever.

    python tests/persistence/make_golden.py
"""

from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

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
        "scikit_learn": make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y),
    }


def main():
    from sktrain import save
    from sktrain.persistence._file import FORMAT

    FOLDER.mkdir(exist_ok=True)
    X, _ = rows()
    for name, model in models().items():
        path = FOLDER / f"format{FORMAT}_{name}.sktrain"
        if path.exists():  # never written again
            continue
        save(model, path, probe=X[-8:], scores={"accuracy": float(model.score(X, rows()[1]))})
        np.save(path.with_suffix(".npy"), model.predict_proba(X[-50:]))


if __name__ == "__main__":
    main()

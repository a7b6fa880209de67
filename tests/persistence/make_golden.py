"""Write the golden files of the present format: run once per format, then keep the files for ever.

    python tests/persistence/make_golden.py
"""

from pathlib import Path

import numpy as np
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
    return {
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
        if path.exists():
            raise SystemExit(f"{path} exists: a golden file is never written again.")
        save(model, path, probe=X[-8:], scores={"accuracy": float(model.score(X, rows()[1]))})
        np.save(path.with_suffix(".npy"), model.predict_proba(X[-50:]))


if __name__ == "__main__":
    main()

"""Write the golden files that are missing: run once per format and per kind of object, then keep
the files for ever.

python tests/persistence/make_golden.py
"""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
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


SMALL = {"max_epochs": 2, "random_state": 0, "horizon": 0, "module__hidden_size": 8}

LEAN = {**SMALL, "replay_rows": 0}  # without rows for later updates


TINY = {**LEAN, "module__hidden_size": 4}


def table(n=120):
    """Rows of a table with times, and labels; the same for ever."""
    X, y = rows()
    index = pd.date_range("2020-01-01", periods=n, freq="D")
    return pd.DataFrame(X[:n], index, columns=list("abcd")), y[:n]


def few():
    """The first of the rows, for what keeps some of them."""
    X, y = rows()
    return X[:60], y[:60]


def models():
    """Name -> function that makes a fitted model: every kind of object a file may hold."""
    return {**{f"net_{name}": partial(net, name) for name in NETS}, **COMPOSED, **PLAIN}


NETS = {
    "gru": "GRUClassifier",
    "lstm": "LSTMClassifier",
    "mlp": "MLPNetClassifier",
    "tcn": "TCNClassifier",
    "transformer": "TransformerClassifier",
}


def net(name):
    import sktrain

    return getattr(sktrain, NETS[name])(**SMALL).fit(*few())


def compressed():
    from sktrain import CompressedClassifier

    return CompressedClassifier(wide(), fine_tune_epochs=1, horizon=0).fit(*few())


def wide():
    from sktrain import GRUClassifier

    return GRUClassifier(**{**LEAN, "module__hidden_size": 24, "lookback": 2})


def int4():
    from sktrain import ModelQuantizer

    return ModelQuantizer(4).quantize_model(wide().fit(*few()), few()[0])


def pruned():
    from sktrain import LSTMClassifier, ModelPruner

    made = LSTMClassifier(**{**LEAN, "module__hidden_size": 16}).fit(*few())
    ModelPruner(0.7).prune_model(made)
    return made


def windowed(last):
    from sktrain import SlidingWindow

    return Pipeline([("window", SlidingWindow(lookback=4)), ("net", last)]).fit(*few())


def quantized():
    from sktrain import ModelQuantizer, TCNClassifier

    return ModelQuantizer().quantize_model(windowed(TCNClassifier(**LEAN)))


def vote():
    from sktrain import GRUClassifier, TransformerClassifier

    members = [("gru", GRUClassifier(**LEAN)), ("transformer", TransformerClassifier(**LEAN))]
    return windowed(VotingClassifier(members, voting="soft"))


def detector():
    from sktrain import DriftDetector

    return make_pipeline(DriftDetector(on_drift="ignore"), LogisticRegression()).fit(*table())


def guard():
    from sktrain import DriftGuard

    X, y = table(90)
    X = X[["a", "b"]]
    line = SGDClassifier(loss="log_loss", random_state=0)
    made = DriftGuard(make_pipeline(StandardScaler(), line))
    return made.fit(X[:60], y[:60]).partial_fit(X[60:], y[60:])


def resampled():
    from sktrain import MLPNetClassifier
    from sktrain.resample import ResampledClassifier

    return ResampledClassifier(MLPNetClassifier(**LEAN)).fit(*few())


def stacking():
    from sktrain import MLPNetClassifier

    members = [("net", MLPNetClassifier(**LEAN)), ("line", LogisticRegression())]
    return StackingClassifier(members, LogisticRegression(), cv=2).fit(*few())


def search():
    from sktrain import OptunaSearchCV

    options = {"n_trials": 3, "cv": TimeSeriesSplit(3), "random_state": 0}
    return OptunaSearchCV(LogisticRegression(), {"C": (0.1, 1.0)}, **options).fit(*rows())


def pooled():
    from sktrain import MLPNetClassifier
    from sktrain.ensemble import PooledClassifier

    members = [("net", MLPNetClassifier(**LEAN)), ("line", LogisticRegression())]
    return PooledClassifier(members, horizon=0).fit(*few())


def members():
    """A net of two seeds."""
    from sktrain import MLPNetClassifier

    return MLPNetClassifier(**TINY, n_members=2).fit(*few())


def pooled_members():
    """A learned pool, as a trainer makes it, of a net of two seeds beside a linear model."""
    from sktrain import GRUClassifier
    from sktrain.trainer._pool import build_pool

    plan = SimpleNamespace(horizon=0, valid_fraction=0.4)
    return windowed(build_pool([("net", GRUClassifier(**TINY, n_members=2))], plan))


def integers():
    """Eight-bit weights that meet rounded activations."""
    from sktrain import MLPNetClassifier, ModelQuantizer

    sizes = {"module__hidden_size": 64, "module__n_layers": 2}
    net = MLPNetClassifier(**{**LEAN, **sizes}).fit(*few())
    return ModelQuantizer(activations="int8").quantize_model(net, few()[0])


def forest():
    return RandomForestClassifier(2, max_depth=4, random_state=0).fit(*rows())


def stages():
    return GradientBoostingClassifier(n_estimators=1, max_depth=2, random_state=0).fit(*rows())


def bins():
    return HistGradientBoostingClassifier(max_iter=1, max_bins=16, max_leaf_nodes=5).fit(*rows())


def vectors():
    members = [("near", KNeighborsClassifier()), ("svc", SVC(random_state=0))]
    return VotingClassifier(members).fit(*rows())


def scikit_learn():
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(*rows())


COMPOSED = {
    one.__name__: one
    for one in (
        compressed,
        int4,
        pruned,
        quantized,
        vote,
        detector,
        guard,
        resampled,
        stacking,
        pooled,
        members,
        pooled_members,
        integers,
    )
}
PLAIN = {one.__name__: one for one in (bins, forest, scikit_learn, search, stages, vectors)}


def asked(model):
    """The rows that a golden file is held to."""
    names = getattr(model, "feature_names_in_", None)
    return rows()[0][-50:] if names is None else table(200)[0][list(names)][-50:]


def answers(model):
    """What a golden file is held to: probabilities, or labels where there are none."""
    X = asked(model)
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def main():
    from sktrain import save
    from sktrain.persistence._file import FORMAT

    FOLDER.mkdir(exist_ok=True)
    for name, make in models().items():
        path = FOLDER / f"format{FORMAT}_{name}.sktrain"
        if path.exists():  # never written again
            continue
        model = make()
        X, y = asked(model), rows()[1][-50:]
        save(model, path, probe=X[-8:], scores={"accuracy": float(model.score(X, y))})
        np.save(path.with_suffix(".npy"), answers(model))
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()

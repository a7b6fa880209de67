"""Parts inside one another: saved here, opened by another process, they answer to the last bit and
learn on as if they had never left; by joblib alike."""

import os
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pytest
from sklearn.ensemble import StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sktrain as st
from sktrain import load, save
from sktrain.datasets import make_market, make_news
from sktrain.news import NewsFeatures, with_news
from sktrain.resample import ResampledClassifier

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sktrain.exceptions.SktrainWarning"),
]
MARKET = make_market(420, random_state=0)
BARS = with_news(MARKET.bars, make_news(MARKET, random_state=0).articles)
Y = (BARS["close"].shift(-1) > BARS["close"]).astype(int).iloc[:-1]
Y.attrs["label_horizon"] = 1
BARS = BARS.iloc[:-1]
LEARNED, LATER = slice(0, 300), slice(300, 380)
SMALL = {"max_epochs": 2, "random_state": 0, "horizon": 1, "module__hidden_size": 8}


def gru(**params):
    return st.GRUClassifier(**{**SMALL, **params})


def mlp(**params):
    return st.MLPNetClassifier(**{**SMALL, **params})


def windows(last, *first, flatten=False):
    return make_pipeline(*(first or (st.BarFeatures((5, 10)),)), st.SlidingWindow(8, flatten), last)


def rows(last, *first):
    return windows(last, *first, flatten=True)


def linear():
    return make_pipeline(SimpleImputer(), LogisticRegression(C=0.1))


TABLE = {  # name -> () -> an estimator of bars
    "pipeline": lambda: windows(gru()),
    "members": lambda: windows(gru(n_members=2)),
    "members of rows": lambda: rows(mlp(n_members=3)),
    "no early stopping, clipped": lambda: windows(
        gru(callbacks__early_stopping=None, callbacks__clip__max_norm=0.01)
    ),
    "schedules": lambda: windows(
        mlp(
            callbacks=[("plateau", st.ReduceOnPlateau(patience=1)), ("tight", st.GradientClip(0.5))]
        )
    ),
    "pool": lambda: rows(
        st.PooledClassifier([("net", mlp()), ("line", linear())], n_blocks=2, horizon=1)
    ),
    "monotone pool of windows": lambda: windows(
        st.PooledClassifier(
            [("gru", gru()), ("two", mlp(n_members=2))],
            n_blocks=2,
            calibration="isotonic",
            horizon=1,
        )
    ),
    "guard over a pipeline": lambda: st.DriftGuard(windows(mlp())),
    "guard of a linear pipeline": lambda: st.DriftGuard(
        make_pipeline(
            st.BarFeatures((5, 10)),
            StandardScaler(),
            SimpleImputer(),
            SGDClassifier(loss="log_loss", random_state=0),
        )
    ),
    "detector in a pipeline": lambda: windows(
        gru(), st.BarFeatures((5, 10)), st.DriftDetector(on_drift="ignore")
    ),
    "search of a pipeline": lambda: st.OptunaSearchCV(
        windows(mlp()),
        {"mlpnetclassifier__lr": (1e-3, 1e-2, "log"), "slidingwindow__lookback": [4, 8]},
        n_trials=2,
        cv=TimeSeriesSplit(2, gap=1),
        random_state=0,
        scoring="accuracy",
    ),
    "resampled": lambda: windows(ResampledClassifier(mlp(), st.WindowSMOTE(random_state=0))),
    "stacking": lambda: windows(
        StackingClassifier([("gru", gru()), ("mlp", mlp())], linear(), cv=KFold(2))
    ),
    "compressed": lambda: windows(
        st.CompressedClassifier(gru(), fine_tune_epochs=1, horizon=1, random_state=0)
    ),
    "compressed, whole numbers": lambda: windows(
        st.CompressedClassifier(
            gru(module__hidden_size=144), activations="int8", structured=True, horizon=1
        )
    ),
    "news": lambda: windows(
        gru(), NewsFeatures(TfidfVectorizer(max_features=5), features=st.BarFeatures((5, 10)))
    ),
}


def fitted(model):
    return model.fit(BARS[LEARNED], Y[LEARNED])


def answers(model):
    """What it says; then after an update, where it can be updated; then after a fit of all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [model.predict_proba(BARS), model.predict(BARS[LATER])]
        if updated(model):
            found.append(model.predict_proba(BARS))
        found.append(model.fit(BARS, Y).predict_proba(BARS))
    return found


def updated(model):
    """Let it learn later bars, a pipeline's last step in its place; whether it can."""
    last = model[-1] if hasattr(model, "steps") else model
    if not hasattr(last, "partial_fit"):
        return False
    last.partial_fit(BARS[LATER] if last is model else model[:-1].transform(BARS[LATER]), Y[LATER])
    return True


def main(folder):
    """Of every file in ``folder``: open it, and write what it answers."""
    from pathlib import Path

    for path in sorted(Path(folder).iterdir()):
        model = load(path) if path.suffix == ".sktrain" else joblib.load(path)
        np.savez(f"{path}.npz", *answers(model))


def test_opened_by_another_process_it_is_the_same(tmp_path):
    here = {}
    for name, made in TABLE.items():
        model = fitted(made())
        save(model, tmp_path / f"{name}.sktrain", optimizer=True)
        joblib.dump(model, tmp_path / f"{name}.joblib")
        here[name] = model
    code = "import sys; from persistence import test_persistence_composed as m; m.main(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wrong, learned = [], set()
    for name, model in here.items():
        expected = answers(model)
        learned |= {name} if len(expected) == 4 else set()
        for kind in ("sktrain", "joblib"):
            with np.load(tmp_path / f"{name}.{kind}.npz") as got:
                assert len(got.files) == len(expected)
                wrong += [
                    (name, kind, step, float(np.abs(got[one] - own).max()))
                    for step, (one, own) in enumerate(zip(got.files, expected))
                    if not np.array_equal(got[one], own)
                ]
    assert wrong == []
    assert learned >= {
        "pipeline",
        "members",
        "members of rows",
        "schedules",
        "guard over a pipeline",
    }

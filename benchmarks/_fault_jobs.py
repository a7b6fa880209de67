"""Work whose state lives on disk, for ``bench_faults``: what it does, what it writes, what it must
not lose.

Each job runs in a forked child: ``run(folder, tell)`` works, or goes on where it was, and returns
what can be compared; ``tell(value)`` says that something is on the disk for good. ``check(folder,
told, before)`` looks at what a killed child left, raises AssertionError for what is lost, and
returns what is there.
"""

import json
import sqlite3
import warnings

import numpy as np
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline

__all__ = ["Cache", "Calibration", "Save", "Search", "Train"]

X, Y = make_classification(150, n_features=6, flip_y=0.2, random_state=0)


class Save:
    """Two models take turns in one file."""

    name, turns = "save", 24

    def __init__(self):
        from sktrain import MLPNetClassifier

        params = {"max_epochs": 1, "random_state": 0, "horizon": 0}
        self.models = [
            MLPNetClassifier(**params).fit(X, Y),
            make_pipeline(LogisticRegression()).fit(X, Y),
        ]
        self.answers = [model.predict_proba(X) for model in self.models]

    def run(self, folder, tell):
        from sktrain import save

        for turn in range(self.turns):
            save(self.models[turn % 2], folder / "m.sktrain")
            tell(turn)
        return self.turns

    def check(self, folder, told, before):
        path = folder / "m.sktrain"
        assert path.exists() or not told, "the file is gone"
        return self._of(path) if path.exists() else None

    def _of(self, path):
        from sktrain import load

        found = load(path).predict_proba(X)
        allowed = [k for k, answer in enumerate(self.answers) if np.array_equal(answer, found)]
        assert allowed, "the file holds neither model"
        return allowed[0]


class Cache:
    """Vectors of texts, a batch at a time."""

    name, batches, size, width = "cache", 50, 16, 64

    def _batch(self, number):
        from sktrain.news._cache import digest

        keys = [digest(f"{number} {k}") for k in range(self.size)]
        return keys, np.random.default_rng(number).normal(size=(self.size, self.width))

    def _opened(self, folder):
        from sktrain.news._cache import DiskCache

        return DiskCache(folder, "space" * 8, self.width)

    def run(self, folder, tell):
        cache = self._opened(folder)
        for number in range(self.batches):
            keys, vectors = self._batch(number)
            if len(cache.get(keys)) < self.size:
                cache.put(keys, vectors)
                tell(number)
        return len(cache)

    def check(self, folder, told, before):
        cache, kept = self._opened(folder), {*(before or ()), *told}
        for number in kept:
            keys, vectors = self._batch(number)
            found = cache.get(keys)
            rows = [found[key] for key in keys if key in found]
            whole = len(rows) == self.size
            assert whole, "vectors are lost"
            assert np.array_equal(rows, vectors.astype("f4")), "vectors are damaged"
        return sorted(kept)


class Calibration:
    """A null calibration with a journal."""

    name, n_null = "null calibration", 12

    def __init__(self):
        from sktrain import AdaptiveLabeler
        from sktrain.datasets import make_market

        self.bars = make_market(400, random_state=0).bars
        labeler = AdaptiveLabeler(horizon=1, base_threshold=0.43, scaling="sigma")
        self.options = {"labeler": labeler, "cv": TimeSeriesSplit(2), "random_state": 0}

    def run(self, folder, tell):
        from sktrain.evaluation import null_calibration

        done = null_calibration(
            LogisticRegression(),
            self.bars,
            path=folder / "null.json",
            n_null=self.n_null,
            **self.options,
        )
        return [done.p_value, *map(float, done.null_scores)]

    def check(self, folder, told, before):
        path = folder / "null.json"
        kept = json.loads(path.read_text())["nulls"] if path.exists() else {}
        assert (before or {}).items() <= kept.items(), "scores are lost"
        return kept


class Search:
    """A search with a stored study."""

    name, n_trials = "search", 8

    def run(self, folder, tell):
        from sktrain import OptunaSearchCV

        done = OptunaSearchCV(
            LogisticRegression(), {"C": (1e-6, 1e3, "log")}, n_trials=self.n_trials, cv=3,
            random_state=0, storage=folder / "study.db",
        ).fit(X, Y)  # fmt: skip
        columns = {key: column for key, column in done.cv_results_.items() if "time" not in key}
        columns.pop("duration", None)
        return {key: [repr(value) for value in column] for key, column in columns.items()}

    def check(self, folder, told, before):
        kept = stored(folder / "study.db")
        assert (before or {}).items() <= kept.items(), "trials are lost"
        return kept


def stored(path):
    """{trial: its place in the search} of the finished trials of a study; read without Optuna,
    which would make tables."""
    query = (
        "SELECT t.trial_id, a.value_json FROM trials t JOIN trial_user_attributes a "
        "ON a.trial_id = t.trial_id WHERE a.key = 'slot' AND t.state IN ('COMPLETE', 'PRUNED')"
    )
    if not path.exists():
        return {}
    connection = sqlite3.connect(path)
    try:
        return dict(connection.execute(query).fetchall())
    except sqlite3.OperationalError:  # killed before the tables were made
        return {}
    finally:
        connection.close()


class Train:
    """A run in a folder that holds an older one."""

    name = "train"
    fields = {
        "models": ["mlp"],
        "lookback": 3,
        "hidden_size": 4,
        "use_walk_forward": False,
        "leakage_audit": False,
        "prune_after_training": False,
        "early_stopping_min_epochs": 8,
        "early_stopping_max_epochs": 8,
        "early_stopping_patience": 8,
        "deterministic_training": True,
        "use_mixed_precision": False,
        "use_gradient_checkpointing": False,
    }

    def __init__(self):
        from sktrain.datasets import make_market

        self.bars = make_market(400, signal=0.8, random_state=0).bars

    def run(self, folder, tell):
        from sktrain import EnhancedTrainer, EnhancedTrainingConfig

        config = EnhancedTrainingConfig(**self.fields)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            done = EnhancedTrainer(config, folder, self.bars).train(
                epochs=8, resume=True, verbose=0
            )
        return {name: done[name] for name in ("test_scores", "best_val_loss", "epochs_completed")}

    def check(self, folder, told, before):
        from sktrain import load
        from sktrain.trainer._run_folder import find_model, read_result

        had, kept = before or {}, {}
        if (folder / ".sktrain-whole").exists() or (folder / "result.json").exists():
            kept["run"] = read_result(folder)["model_sha256"]
            assert hasattr(load(find_model(folder)), "predict_proba")
        assert "run" in kept or "run" not in had, "a run is lost"
        states = sorted(folder.glob(".sktrain-checkpoints/**/*.ckpt"))
        kept["epochs"] = max((epochs_of(path) for path in states), default=0)
        ended = kept.get("run") != had.get("run")  # a run that ended sweeps its checkpoints
        assert ended or kept["epochs"] >= had.get("epochs", 0), "epochs are lost"
        return kept


def epochs_of(path):
    from sktrain.nets._checkpoint import _read

    return int(_read(path)["epochs"])

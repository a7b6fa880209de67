"""What is saved is all of it: every public estimator, in a fresh process, and what a file does
not hold it names."""

import copy
from functools import partial
import os
import subprocess
import sys
import warnings

from helpers import public_estimators
from imblearn.over_sampling import SMOTE
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
import skorch.callbacks
import torch

import sktrain
from sktrain import (
    DriftDetector,
    DriftGuard,
    EnhancedEarlyStopping,
    EnhancedWalkForwardCV,
    GRUClassifier,
    MLPNetClassifier,
    ModelPruner,
    OptunaSearchCV,
    PooledClassifier,
    ReduceOnPlateau,
    SlidingWindow,
    StopFlag,
    TrainingCheckpoint,
    load,
    save,
)
from sktrain.exceptions import PersistenceError
from sktrain.persistence import read_manifest
from sktrain.resample import ResampledClassifier

pytestmark = pytest.mark.filterwarnings(
    "ignore::sktrain.exceptions.SktrainWarning", "ignore::FutureWarning"
)
SMALL = {"max_epochs": 2, "random_state": 0, "horizon": 0, "module__hidden_size": 8}


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        rng.normal(size=(300, 4)), pd.date_range("2020", periods=300), columns=list("abcd")
    )
    y = pd.Series((X["a"] + rng.normal(size=300) > 0).astype(int), X.index)
    y.attrs["label_horizon"] = 0
    return X, y


def net(**params):
    return MLPNetClassifier(**{**SMALL, **params})


def models():
    """Name -> unfitted model of every kind that holds others."""
    made = {
        "guard": DriftGuard(
            make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0))
        ),
        "guard of a net": DriftGuard(
            Pipeline([("window", SlidingWindow(lookback=3)), ("net", GRUClassifier(**SMALL))])
        ),
        "search": OptunaSearchCV(
            net(),
            {"lr": (1e-3, 1e-2, "log"), "module__hidden_size": [4, 8]},
            n_trials=3,
            cv=TimeSeriesSplit(2),
            random_state=0,
            scoring="f1",
        ),
        "search of a pipeline": OptunaSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression()),
            {"logisticregression__C": (0.1, 1.0)},
            n_trials=2,
            cv=EnhancedWalkForwardCV(
                3, min_samples_per_fold=30, embargo_bars=1, ensure_regime_coverage=False
            ),
            random_state=0,
            scoring=make_scorer(f1_score, average="macro"),
        ),
        "grid": GridSearchCV(net(), {"lr": [1e-3, 1e-2]}, cv=TimeSeriesSplit(2)),
        "resampled": ResampledClassifier(net()),
        "resampled by imblearn": ResampledClassifier(LogisticRegression(), SMOTE(random_state=0)),
        "pooled": PooledClassifier([("net", net()), ("linear", LogisticRegression())]),
        "stacking": StackingClassifier(
            [("net", net()), ("tree", LogisticRegression())],
            final_estimator=LogisticRegression(),
            cv=2,
        ),
        "calibrated": CalibratedClassifierCV(net(), cv=2),
        "detector first": make_pipeline(DriftDetector(on_drift="ignore"), LogisticRegression()),
        "vectors": SVC(),
    }
    return made


def answers(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def test_every_kind_answers_alike_in_a_fresh_process(task, tmp_path):
    X, y = task[0], task[1].to_numpy()
    X.to_pickle(tmp_path / "X.pkl")
    paths = {}
    for name, model in models().items():
        fitted = model.fit(X, y)
        if hasattr(fitted, "partial_fit") and isinstance(fitted, DriftGuard):
            fitted.partial_fit(X.iloc[-60:].set_axis(pd.date_range("2022", periods=60)), y[-60:])
        paths[name] = save(fitted, tmp_path / f"{name}.sktrain"), answers(fitted, X)
        np.save(tmp_path / f"{name}.npy", paths[name][1])
    code = (
        "import sys, pathlib, numpy as np, pandas as pd, sktrain\n"
        "folder = pathlib.Path(sys.argv[1]); X = pd.read_pickle(folder / 'X.pkl')\n"
        "for path in sorted(folder.glob('*.sktrain')):\n"
        "    model = sktrain.load(path); p = model.predict_proba(X) if hasattr(model, "
        "'predict_proba') else model.predict(X)\n"
        "    np.testing.assert_allclose(p, np.load(path.with_suffix('.npy')), atol=1e-6)\n"
        "    print(path.stem, type(model).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(paths) >= 11
    for path, _ in paths.values():  # and once more, from what was opened
        again = save(load(path), tmp_path / "again.sktrain")
        assert load(again) is not None


def test_what_stands_for_a_net_without_torch_is_refused(tmp_path):
    with pytest.raises(PersistenceError, match="cannot hold"):
        save(sktrain.compression.UnavailableEstimator(), tmp_path / "m.sktrain")


@pytest.mark.parametrize("name", sorted(set(public_estimators()) - {"UnavailableEstimator"}))
def test_every_public_estimator_can_be_saved_before_it_is_fitted(name, tmp_path):
    cls = public_estimators()[name]
    needed = {"estimator": LogisticRegression(), "param_distributions": {"C": (0.1, 1.0)}}
    needed["estimators"] = [("linear", LogisticRegression())]
    needed["labeler"] = sktrain.TripleBarrierLabeler()
    from inspect import Parameter, signature

    given = {
        one.name: needed[one.name]
        for one in signature(cls).parameters.values()
        if one.default is Parameter.empty and one.name in needed
    }
    model = cls(**given)
    opened = load(save(model, tmp_path / "m.sktrain"))
    assert type(opened) is cls
    assert repr(clone(opened)) == repr(clone(model))


def test_a_drift_detector_checks_as_before(task, tmp_path):
    X, _ = task
    detector = DriftDetector().fit(X.iloc[:200])
    opened = load(save(detector, tmp_path / "m.sktrain"))
    before, after = detector.check(X.iloc[200:] + 1), opened.check(X.iloc[200:] + 1)
    pd.testing.assert_frame_equal(before.per_feature, after.per_feature)
    assert (before.status, before.reason) == (after.status, after.reason)


def test_a_guard_goes_on_as_before(task, tmp_path):
    X, y = task
    guard = DriftGuard(SGDClassifier(loss="log_loss", random_state=0)).fit(
        X.iloc[:200], y.iloc[:200]
    )
    guard.partial_fit(X.iloc[200:250], y.iloc[200:250])
    opened = load(save(guard, tmp_path / "m.sktrain"))
    pd.testing.assert_frame_equal(opened.log_, guard.log_)
    for one in (guard, opened):
        one.partial_fit(X.iloc[250:] + 3, y.iloc[250:])
    pd.testing.assert_frame_equal(opened.log_, guard.log_)
    np.testing.assert_array_equal(opened.predict_proba(X), guard.predict_proba(X))


def test_a_search_keeps_its_results_and_names_its_storage(task, tmp_path):
    X, y = task
    found = OptunaSearchCV(
        LogisticRegression(),
        {"C": (0.1, 1.0)},
        n_trials=3,
        cv=TimeSeriesSplit(3),
        random_state=0,
        storage=str(tmp_path / "s.db"),
        callbacks=(print,),
    ).fit(X, y)
    path = save(found, tmp_path / "m.sktrain")
    opened = load(path)
    assert opened.best_params_ == found.best_params_
    assert opened.best_score_ == found.best_score_
    pd.testing.assert_frame_equal(pd.DataFrame(opened.cv_results_), pd.DataFrame(found.cv_results_))
    assert repr(opened.overfit_report_) == repr(found.overfit_report_)
    assert opened.storage is None
    assert opened.score(X, y) == found.score(X, y)
    assert {"model.storage", "model.study_", "model.callbacks"} <= set(
        read_manifest(path)["left_out"]
    )
    assert b"s.db" not in path.read_bytes().replace(repr(str(tmp_path / "s.db")).encode(), b"")


CALLBACKS = {
    "none": {"callbacks__early_stopping": None},
    "clip": {"callbacks__clip__max_norm": 0.01},
    "plateau": {"callbacks": [("plateau", ReduceOnPlateau(patience=1))]},
    "own stopping": {
        "callbacks": [("own", EnhancedEarlyStopping(patience=1, min_epochs=1))],
        "callbacks__early_stopping": None,
    },
    "skorch": {
        "callbacks": [
            ("schedule", skorch.callbacks.LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1))
        ]
    },
    "partial": {"optimizer": partial(torch.optim.SGD, momentum=0.9)},
    "weights": {"criterion__alpha": "balanced"},
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_later_fit_is_that_of_the_saved_net(task, tmp_path, name):
    X, y = task
    fitted = net(**CALLBACKS[name]).fit(X, y)
    path = save(fitted, tmp_path / "m.sktrain")
    opened = load(path)
    assert read_manifest(path)["left_out"] == ["model.optimizer_", "model.validation_"]
    assert opened.history_[:, "train_loss"] == fitted.history_[:, "train_loss"]
    assert [one for one, _ in opened.callbacks_] == [one for one, _ in fitted.callbacks_]
    np.testing.assert_array_equal(
        opened.fit(X, y).predict_proba(X), fitted.fit(X, y).predict_proba(X)
    )


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, partial(torch.optim.SGD, momentum=0.9)])
def test_with_its_optimizer_a_net_trains_on_as_if_never_saved(task, tmp_path, optimizer, n_members):
    X, y = task
    fitted = net(max_epochs=4, optimizer=optimizer, n_members=n_members, lr=0.01).fit(X, y)
    path = save(fitted, tmp_path / "m.sktrain", optimizer=True)
    places = ["model", *(f"model['members'][{one}]" for one in range(n_members))]
    left = [f"{place}.validation_" for place in places[: 1 if n_members == 1 else None]]
    assert read_manifest(path)["left_out"] == left
    opened, without = load(path), load(save(fitted, tmp_path / "n.sktrain"))
    expected = fitted.partial_fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(opened.partial_fit(X, y).predict_proba(X), expected)
    assert not np.array_equal(without.partial_fit(X, y).predict_proba(X), expected)


def test_what_belongs_to_a_machine_is_left_out_by_name(task, tmp_path):
    X, y = task
    callbacks = [
        ("keep", TrainingCheckpoint(tmp_path / "c")),
        ("stop", StopFlag(lambda: False)),
        ("plateau", ReduceOnPlateau()),
    ]
    path = save(
        net(callbacks=callbacks, callbacks__keep__every=2).fit(X, y), tmp_path / "m.sktrain"
    )
    assert {"model.callbacks__keep", "model.callbacks__stop"} <= set(
        read_manifest(path)["left_out"]
    )
    opened = load(path)
    assert [name for name, _ in opened.callbacks] == ["plateau"]
    assert opened.fit(X, y).predict(X).shape == (300,)


def test_a_live_pruning_mask_is_refused_and_a_pruned_net_is_not(task, tmp_path):
    X, y = task
    fitted = net().fit(X, y)
    layer = next(one for one in fitted.module_.modules() if isinstance(one, torch.nn.Linear))
    torch.nn.utils.prune.l1_unstructured(layer, "weight", amount=0.5)
    with pytest.raises(PersistenceError, match=r"prune\.remove"):
        save(fitted, tmp_path / "m.sktrain")
    assert os.listdir(tmp_path) == []
    torch.nn.utils.prune.remove(layer, "weight")
    np.testing.assert_array_equal(
        load(save(fitted, tmp_path / "m.sktrain")).predict_proba(X), fitted.predict_proba(X)
    )
    ModelPruner(0.5).prune_model(fitted)
    save(fitted, tmp_path / "m.sktrain")
    layer.register_parameter("more", torch.nn.Parameter(torch.ones(2)))
    with pytest.raises(PersistenceError, match="differs"):
        save(fitted, tmp_path / "m.sktrain")


@pytest.mark.parametrize(
    "bad", [None, 3, "model", {"a": 1}, LogisticRegression, [LogisticRegression()]], ids=repr
)
def test_what_is_no_estimator_is_refused(tmp_path, bad):
    with pytest.raises(PersistenceError, match="estimator"):
        save(bad, tmp_path / "m.sktrain")


@pytest.mark.parametrize(
    "params",
    [
        {"label_horizon": 2.7},
        {"label_horizon": True},
        {"label_horizon": -1},
        {"key": b""},
        {"key": "secret"},
    ],
    ids=repr,
)
def test_odd_arguments_of_save_are_refused(tmp_path, params):
    with pytest.raises(ValueError, match=next(iter(params))):
        save(LogisticRegression().fit([[0], [1]], [0, 1]), tmp_path / "m.sktrain", **params)
    assert os.listdir(tmp_path) == []


def test_what_has_no_state_or_holds_itself_is_refused(tmp_path):
    def refused(model, text):
        with pytest.raises(PersistenceError, match=text):
            save(model, tmp_path / "m.sktrain")
        assert os.listdir(tmp_path) == []

    model = LogisticRegression().fit([[0], [1]], [0, 1])
    with open(os.devnull) as stream:
        for odd in ((one for one in [1]), stream):
            model.odd_ = odd
            refused(model, "cannot be saved: cannot pickle.*Remove that attribute")
    model.odd_ = model
    refused(model, r"model \(LogisticRegression\) contains itself")
    steps = make_pipeline(LogisticRegression().fit([[0], [1]], [0, 1]))
    steps.steps.append(("again", steps))
    refused(steps, r"model \(Pipeline\) contains itself")


def test_generators_in_parameters_go_on_where_they_were(tmp_path):
    drawn = np.random.RandomState(3)
    drawn.normal(size=10)
    model = LogisticRegression(solver="saga", max_iter=5, random_state=copy.deepcopy(drawn))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guard = DriftGuard(net(random_state=np.random.RandomState(5)))
        opened = load(save(guard, tmp_path / "g.sktrain"))
    assert opened.estimator.random_state.randint(10**6) == np.random.RandomState(5).randint(10**6)
    assert load(save(model, tmp_path / "m.sktrain")).random_state.normal() == drawn.normal()

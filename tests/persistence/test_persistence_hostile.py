"""Consistent files made to do harm: every checksum fits, and what is inside would crash, hang, grow
or reach out.

Each is opened in a child process with limits on time, memory and files, in a folder of its own.
"""

from io import BytesIO
import json
import os
import subprocess
import sys
import zipfile
import zlib

import numpy as np
from persistence.test_persistence_file import forge
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from sktrain import (
    GRUClassifier,
    MLPNetClassifier,
    ModelQuantizer,
    load,
    save,
)
from sktrain.ensemble import PooledClassifier
from sktrain.exceptions import CorruptFileError, NotReplayedWarning, PersistenceError
from sktrain.persistence import _checks, _probes, read_manifest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)

CHILD = """
import resource, sys, warnings
import numpy as np, sktrain, skops.io, sklearn.ensemble, sklearn.svm
from sktrain.exceptions import CorruptFileError, PersistenceError
warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30)); resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
for path in sys.argv[1:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        model = sktrain.load(path)
        model.predict(np.zeros((8, 4)))
        print("opened", flush=True)
    except PersistenceError as error:
        print("refused", type(error).__name__, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10, flush=True)
"""


def opened_in_a_child(folder, paths):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, *map(str, paths)],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr[-2000:])
    return [line.split() for line in done.stdout.splitlines()]


def tampered(model, folder, name, change):
    """A file of ``model`` after ``change``, written without the checks that ``save`` makes."""
    change(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_checks, "check_tree_state", lambda *_: None)
        patch.setattr(_checks, "checked", lambda root: root)
        return save(model, folder / f"{name}.sktrain", probe=None)


def nodes(**values):
    """Change fields of the nodes of a tree: field -> (node, value)."""

    def change(tree):
        state = tree.__getstate__()
        state["nodes"] = state["nodes"].copy()
        for field, (place, value) in values.items():
            state["nodes"][field][place] = value
        tree.__setstate__(state)

    return change


TREES = {
    "outside": nodes(left_child=(0, 10**8)),
    "back": nodes(left_child=(0, 0)),
    "itself": nodes(right_child=(1, 1)),
    "before": nodes(left_child=(0, -7)),
    "feature outside": nodes(feature=(0, 10**6)),
    "feature before": nodes(feature=(0, -3)),
    "half a leaf": nodes(right_child=(2, 3)),
    "two parents": nodes(right_child=(0, 1)),
}


def test_trees_that_lead_nowhere_are_refused(tmp_path):
    paths = []
    for kind in (
        DecisionTreeClassifier, RandomForestClassifier, GradientBoostingClassifier, IsolationForest,
    ):
        for name, change in TREES.items():
            small = {} if kind is DecisionTreeClassifier else {"n_estimators": 2}
            model = kind(**small, random_state=0).fit(X, Y)
            tree = (
                model.tree_
                if kind is DecisionTreeClassifier
                else np.ravel(model.estimators_)[0].tree_
            )
            change(tree)
            paths.append(
                tampered(
                    model, tmp_path, f"{kind.__name__}_{name.replace(' ', '_')}", lambda _: None
                )
            )
    found = opened_in_a_child(tmp_path, paths)
    assert [line[:2] for line in found] == [["refused", "CorruptFileError"]] * 4 * len(TREES)


def grown(kind, **params):
    return kind(**params).fit(X, Y)


def put(name, value):
    return lambda model: vars(model).__setitem__(name, value(vars(model)[name]))


def edit(array, place, value):
    array = np.array(array)
    array[place] = value
    return array


OTHERS = {
    "wider tree": (lambda: grown(DecisionTreeClassifier), put("n_features_in_", lambda n: n - 1)),
    "wider forest": (
        lambda: grown(RandomForestClassifier, n_estimators=2),
        put("n_features_in_", lambda n: n - 1),
    ),
    "more stages": (
        lambda: grown(GradientBoostingClassifier, n_estimators=2),
        put("n_trees_per_iteration_", lambda n: n + 1),
    ),
    "start of its own": (
        lambda: grown(GradientBoostingClassifier, n_estimators=2),
        put("init_", lambda _: LogisticRegression().fit(X, Y)),
    ),
    "boosting nodes": (
        lambda: grown(HistGradientBoostingClassifier, max_iter=2),
        lambda m: m._predictors[0][0].nodes["left"].__setitem__(0, 10**8),
    ),
    "boosting features": (
        lambda: grown(HistGradientBoostingClassifier, max_iter=2),
        lambda m: m._predictors[0][0].nodes["feature_idx"].__setitem__(0, 10**6),
    ),
    "boosting cycle": (
        lambda: grown(HistGradientBoostingClassifier, max_iter=2),
        lambda m: m._predictors[0][0].nodes["left"].__setitem__(0, 0),
    ),
    "no predictor nodes": (
        lambda: grown(HistGradientBoostingClassifier, max_iter=2),
        lambda m: setattr(m._predictors[0][0], "nodes", m._predictors[0][0].nodes[:0]),
    ),
    "vectors": (
        lambda: grown(SVC),
        put("support_vectors_", lambda v: np.ascontiguousarray(v[:, :2])),
    ),
    "counts": (lambda: grown(SVC), put("_n_support", lambda n: n + 10**6)),
    "coefficients": (
        lambda: grown(SVC),
        put("_dual_coef_", lambda c: np.ascontiguousarray(c[:, :2])),
    ),
    "intercepts": (lambda: grown(NuSVC), put("_intercept_", lambda c: c[:0])),
    "neighbours": (
        lambda: grown(KNeighborsClassifier),
        put("_fit_X", lambda rows: np.ascontiguousarray(rows[:, :1])),
    ),
    "jobs": (lambda: grown(RandomForestClassifier, n_estimators=2), put("n_jobs", lambda _: 10**9)),
}


def test_other_compiled_structures_are_checked_too(tmp_path):
    paths = [
        tampered(make(), tmp_path, name.replace(" ", "_"), change)
        for name, (make, change) in OTHERS.items()
    ]
    found = opened_in_a_child(tmp_path, paths)
    assert {name: line[0] for name, line in zip(OTHERS, found, strict=True)} == dict.fromkeys(
        OTHERS, "refused"
    )


GOOD = [
    DecisionTreeClassifier(),
    RandomForestClassifier(5),
    GradientBoostingClassifier(n_estimators=3),
    HistGradientBoostingClassifier(max_iter=3),
    IsolationForest(n_estimators=5, max_features=0.5),
    SVC(),
    SVC(kernel="poly"),
    NuSVC(),
    OneClassSVM(),
    KNeighborsClassifier(),
    KNeighborsClassifier(algorithm="brute"),
]


@pytest.mark.parametrize("model", GOOD, ids=lambda model: f"{type(model).__name__}")
def test_good_ones_open_and_answer_alike(tmp_path, model):
    model.fit(X, Y + (X[:, 2] > 0))
    np.testing.assert_array_equal(
        load(save(model, tmp_path / "m.sktrain")).predict(X), model.predict(X)
    )


def rewritten(path, change):
    """A consistent file after ``change(manifest, members)``."""
    with zipfile.ZipFile(path) as file:
        manifest = json.loads(file.read("manifest.json"))
        members = {name: file.read(name) for name in file.namelist() if name != "manifest.json"}
    change(manifest, members)
    manifest.pop("members")
    path.write_bytes(forge(manifest, members))
    return path


def net_state(manifest, name):
    return next(value for key, value in manifest["model"]["state"]["pairs"] if key == name)


def test_a_net_is_no_larger_than_its_weights(tmp_path):
    net = GRUClassifier(max_epochs=1, random_state=0, horizon=0).fit(X, Y)
    asked = [
        ("module__n_layers", 10**6),
        ("module__hidden_size", 30_000),
        ("module__hidden_size", 10**9),
        ("module__dropout", 1e308),
    ]
    paths = []
    for place, pair in enumerate(asked):
        path = save(net, tmp_path / f"{place}.sktrain", probe=None)

        def change(manifest, members, pair=pair):
            net_state(manifest, "params")["pairs"].append(list(pair))

        paths.append(rewritten(path, change))
    found = opened_in_a_child(tmp_path, paths)
    assert [line[0] for line in found] == ["refused"] * len(asked)
    assert max(int(line[2]) for line in found) < 64


def test_a_small_file_is_not_made_large(tmp_path):
    size = 2**28
    mask, values = zlib.compress(bytes(size // 8), 9), zlib.compress(b"", 9)
    sparse = {
        "!": "sparse",
        "dtype": "<f8",
        "shape": [size],
        "scalar": False,
        "mask": "a",
        "values": "b",
    }
    many = {"!": "list", "items": [{**sparse, "shape": [2**21]}] * 20}
    small = zlib.compress(bytes(2**18), 9)
    cases = [
        forge({"model": sparse}, {"a": mask, "b": values}),
        forge({"model": many}, {"a": small, "b": values}),
    ]
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr(
            "schema.json",
            json.dumps({"protocol": 2, "__loader__": "JsonNode", "content": " " * 2**27}),
        )
    cases.append(
        forge({"model": {"!": "sklearn", "member": "a", "number": 0}}, {"a": buffer.getvalue()})
    )
    cases.append(forge({"model": {"!": "list", "items": [[]] * 10**7}}))
    paths = []
    for place, data in enumerate(cases):
        paths.append(tmp_path / f"{place}.sktrain")
        paths[-1].write_bytes(data)
    found = opened_in_a_child(tmp_path, paths)
    assert [line[0] for line in found] == ["refused"] * len(cases)
    assert (
        max(int(line[2]) - (path.stat().st_size * 8 >> 20) for line, path in zip(found, paths)) < 64
    )


def test_the_budget_can_be_given(tmp_path):
    net = MLPNetClassifier(max_epochs=1, random_state=0, horizon=0, module__hidden_size=64).fit(
        X, Y
    )
    path = save(net, tmp_path / "m.sktrain")
    with pytest.raises(CorruptFileError, match="max_bytes"):
        load(path, max_bytes=10_000)
    np.testing.assert_array_equal(load(path, max_bytes=10**8).predict(X), net.predict(X))
    for bad in (0, 2.5, True, "all"):
        with pytest.raises(ValueError, match="max_bytes"):
            load(path, max_bytes=bad)


def test_what_reads_files_or_texts_is_not_replayed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("words in a file")
    model = make_pipeline(CountVectorizer(input="filename"), MultinomialNB()).fit(
        [str(secret)] * 4, [0, 1, 0, 1]
    )
    path = save(model, tmp_path / "m.sktrain", probe=np.array([str(secret)] * 2, dtype=object))
    secret.unlink()
    with pytest.warns(NotReplayedWarning, match="not replayed") as told:
        load(path)
    assert told[0].filename == __file__  # the line that opened the file
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(path, replay=False)


def test_what_reads_files_is_found_wherever_it_hides(tmp_path):
    """Inside an object that is no estimator itself, beside an unfitted recipe."""
    secret = tmp_path / "secret.txt"
    secret.write_text("up down")
    reader = make_pipeline(CountVectorizer(input="filename"), LogisticRegression())
    reader.fit([str(secret)] * 2, [0, 1])
    model = CalibratedClassifierCV(LogisticRegression(), cv=2).fit(X, Y)
    model.calibrated_classifiers_[0].estimator = reader
    path = save(model, tmp_path / "m.sktrain", probe=None)
    assert _probes.replayable(load(path), X[:2]) == "CountVectorizer is not replayed"


MOST = 1024


def parallel(n):
    """Every way of holding a number of processes or threads, fitted with none."""
    line = LogisticRegression().fit(X, Y)
    net = MLPNetClassifier(max_epochs=1, random_state=0, horizon=0).fit(X, Y)
    votes = VotingClassifier([("line", line)], voting="soft").fit(X, Y)
    pool = PooledClassifier([("line", line)], horizon=0).fit(X, Y)
    return {
        "scikit-learn's": RandomForestClassifier(1).fit(X, Y).set_params(n_jobs=n),
        "votes": votes.set_params(n_jobs=n),
        "a pool": pool.set_params(n_jobs=n),
        "a part": make_pipeline(votes.set_params(n_jobs=n)),
        "a quantizer": ModelQuantizer(n_threads=n),
        "a net": net.set_params(iterator_valid__num_workers=n),
    }


@pytest.mark.parametrize("name", parallel(None))
def test_no_file_asks_for_more_processes_than_a_machine_has(tmp_path, name, monkeypatch):
    for n in (MOST, -MOST, None):
        load(save(parallel(n)[name], tmp_path / "m.sktrain", probe=None))
    (tmp_path / "m.sktrain").unlink()
    for n in (MOST + 1, -MOST - 1):
        with pytest.raises(PersistenceError, match=rf"(n_jobs|num_workers|n_threads)=-?{MOST + 1}"):
            save(parallel(n)[name], tmp_path / "m.sktrain", probe=None)
        assert not list(tmp_path.iterdir())
        with monkeypatch.context() as patch:
            patch.setattr(_checks, "_MOST_JOBS", 10**9)
            path = save(parallel(n)[name], tmp_path / "m.sktrain", probe=None)
        with pytest.raises(CorruptFileError, match=str(MOST + 1)):
            load(path)
        path.unlink()


@pytest.mark.parametrize("n_members", [1, 2])
def test_opening_starts_no_workers(tmp_path, n_members, monkeypatch):
    """The rows of a net, or of its members, are handed out by processes where the file says so."""
    net = MLPNetClassifier(max_epochs=1, random_state=0, horizon=0, n_members=n_members).fit(X, Y)
    part = net if n_members == 1 else net.members_[1]
    part.set_params(iterator_valid__num_workers=2)
    with monkeypatch.context() as patch:
        patch.setattr(_probes, "replayable", lambda *_: None)
        path = save(net, tmp_path / "m.sktrain", probe=X[:2])
    started = []
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", started.append)
    with pytest.warns(NotReplayedWarning, match="iterator_valid__num_workers=2"):
        load(path)
    assert not started


def test_a_manifest_that_tells_of_another_model_is_refused(tmp_path):
    named = {
        "class": "sklearn.svm.SVC",
        "classes": {"!": "list", "items": [0, 7]},
        "features": {"!": "list", "items": ["a"]},
    }
    for name, value in named.items():
        path = save(LogisticRegression().fit(X, Y), tmp_path / f"{name}.sktrain")
        rewritten(path, lambda manifest, _, name=name, value=value: manifest.update({name: value}))
        with pytest.raises(CorruptFileError, match="manifest"):
            load(path)


def test_loading_moves_no_generator(tmp_path):
    import random

    import torch

    path = save(
        GRUClassifier(max_epochs=1, random_state=0, horizon=0).fit(X, Y), tmp_path / "m.sktrain"
    )
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    load(path)
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


def test_pipes_and_devices_are_no_model_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", os.devnull):
        for opened in (load, read_manifest):
            with pytest.raises(PersistenceError, match="pipe or a device"):
                opened(path)

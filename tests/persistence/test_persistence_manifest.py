"""What a file tells about its model, and what is said when other versions open it."""

import hashlib
import json
import os
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pandas as pd
from persistence.make_golden import rows
from persistence.test_persistence_file import forge
import pytest
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import sktrain
from sktrain import (
    BarFeatures,
    CompressedClassifier,
    GRUClassifier,
    MLPNetClassifier,
    ModelQuantizer,
    SlidingWindow,
    load,
    save,
)
from sktrain.exceptions import (
    CorruptFileError,
    PersistenceError,
    SktrainWarning,
    VersionDriftWarning,
)
from sktrain.persistence import fingerprint, read_manifest


def logistic():
    X, y = rows()
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(
        pd.DataFrame(X, columns=list("abcd")), y
    )


def edited(path, **changes):
    """The file with other entries in its manifest, and a checksum that fits."""
    with zipfile.ZipFile(path) as file:
        manifest = json.loads(file.read("manifest.json"))
        members = {name: file.read(name) for name in file.namelist() if name != "manifest.json"}
    for name, change in changes.items():
        manifest[name] = {**manifest[name], **change} if isinstance(change, dict) else change
    path.write_bytes(
        forge({name: value for name, value in manifest.items() if name != "members"}, members)
    )
    return path


def test_a_manifest_is_plain_python(tmp_path):
    X, y = rows()
    scores = {
        "accuracy": np.float64(0.5),
        "per fold": np.array([0.25, 0.75]),
        "folds": {"n": np.int64(2), "worst": float("nan")},
    }
    frame = pd.DataFrame(
        X, pd.date_range("2020-01-01", periods=len(X), tz="Europe/Paris"), columns=list("abcd")
    )
    path = save(
        logistic(),
        tmp_path / "m.sktrain",
        scores=scores,
        data=frame.astype({"b": np.float32}),
        label_horizon=5,
    )
    told = read_manifest(path)
    assert json.loads(json.dumps(told["scores"]["per fold"])) == [0.25, 0.75]
    assert type(told["scores"]["accuracy"]) is float
    assert type(told["scores"]["folds"]["n"]) is int
    assert np.isnan(told["scores"]["folds"]["worst"])
    assert told["format"] == 2
    assert told["left_out"] == []
    assert told["class"] == "sklearn.pipeline.Pipeline"
    assert (
        told["parameters"]["steps"]
        == "[('standardscaler', StandardScaler()), ('logisticregression', LogisticRegression(C=0.5))]"
    )
    assert told["classes"] == ["buy", "hold", "sell"]
    assert told["features"] == ["a", "b", "c", "d"]
    assert told["dtypes"] == {"a": "float64", "b": "float32", "c": "float64", "d": "float64"}
    assert told["label_horizon"] == 5
    assert told["data_fingerprint"]["shape"] == [200, 4]
    assert told["data_fingerprint"]["first"] == "2020-01-01T00:00:00+01:00"
    assert told["data_fingerprint"]["last"] == "2020-07-18T00:00:00+02:00"
    assert told["probe"] == {"rows": 8, "of": "model"}
    assert told["signed"] is False
    with zipfile.ZipFile(path) as file:
        assert set(told["members"]) == set(file.namelist()) - {"manifest.json"}
        for name, member in told["members"].items():
            assert member == {
                "size": len(file.read(name)),
                "sha256": hashlib.sha256(file.read(name)).hexdigest(),
            }


def test_what_nobody_said_is_none(tmp_path):
    told = read_manifest(
        save(LogisticRegression().fit([[0], [1]], [0, 1]), tmp_path / "m.sktrain", probe=None)
    )
    for name in ("features", "dtypes", "label_horizon", "data_fingerprint", "probe"):
        assert told[name] is None, name
    assert told["scores"] == {}


def test_versions_name_what_is_needed_and_nothing_else(tmp_path):
    import onnxruntime
    import skorch
    import torch

    X, y = rows()
    core = {"sktrain", "python", "numpy", "pandas", "scikit-learn"}
    net = MLPNetClassifier(max_epochs=1, random_state=0, horizon=0).fit(X, y)
    for model, others in (
        (net, {"torch", "skorch"}),
        (ModelQuantizer().quantize_model(net), {"onnxruntime"}),
        (logistic(), {"skops"}),
    ):
        assert set(read_manifest(save(model, tmp_path / "m.sktrain"))["versions"]) == core | others
    found = read_manifest(save(CompressedClassifier(net).fit(X, y), tmp_path / "m.sktrain"))[
        "versions"
    ]
    assert (found["torch"], found["skorch"], found["onnxruntime"]) == (
        torch.__version__,
        skorch.__version__,
        onnxruntime.__version__,
    )
    assert found["pandas"] == pd.__version__
    assert found["sktrain"] == sktrain.__version__


def test_the_horizon_of_the_labels_is_the_one_the_net_was_given(tmp_path):
    net = MLPNetClassifier(max_epochs=1, horizon=4)
    for model, expected in (
        (net, 4),
        (Pipeline([("window", SlidingWindow(2)), ("net", net)]), 4),
        (VotingClassifier([("a", LogisticRegression()), ("b", net)]), 4),
        (CompressedClassifier(Pipeline([("net", net)])), 4),
        (CompressedClassifier(net, horizon=2), 2),
        (MLPNetClassifier(), None),
        (logistic(), None),
    ):
        assert read_manifest(save(model, tmp_path / "m.sktrain"))["label_horizon"] == expected
    assert read_manifest(save(net, tmp_path / "m.sktrain", label_horizon=7))["label_horizon"] == 7


def test_parameters_hold_no_addresses(tmp_path):
    model = StandardScaler().fit([[0.0], [1.0]])
    model.copy = object()
    assert "0x" in repr(model.copy)
    from sktrain.persistence._facts import parameters_of

    assert parameters_of(model)["copy"] == "<object object>"


def test_a_fingerprint_moves_with_every_value_time_name_and_type():
    frame = pd.DataFrame(
        {"a": [1.0, 2.0], "b": ["x", "y"], "n": [1, 2]}, pd.date_range("2020", periods=2)
    )
    others = [
        frame.replace("y", "z"),
        frame.rename(columns={"a": "c"}),
        frame.astype({"a": "float32"}),
        frame.set_axis(frame.index + pd.Timedelta("1s")),
        frame.iloc[::-1],
        frame.astype({"n": "int32"}),
        frame[["b", "a", "n"]],
        frame.iloc[:1],
        frame["a"],
        frame["a"].to_numpy(),
        frame["a"].to_numpy().astype(np.float32),
        frame["a"].to_numpy()[:, None],
        frame.to_numpy(),
    ]
    marks = [fingerprint(one)["sha256"] for one in [frame, *others]]
    assert len(set(marks)) == len(marks)
    assert fingerprint(frame.copy()) == fingerprint(frame)
    panel = pd.concat({"A": frame, "B": frame}, names=["symbol", "time"])
    assert fingerprint(panel)["last"] == "2020-01-02T00:00:00"
    assert fingerprint([[1, 2]]) == {**fingerprint(np.array([[1, 2]])), "first": None, "last": None}


def test_reading_a_manifest_rebuilds_nothing(tmp_path):
    path = tmp_path / "m.sktrain"
    for tree in (
        {"!": "object", "class": "sktrain.features.BarFeatures", "number": 0, "state": {}},
        {"!": "net", "class": "sktrain.nets.GRUClassifier", "number": 0, "state": None},
        {"!": "value", "name": "torch.nn.NLLLoss"},
        {"!": "sklearn", "member": "a", "number": 0},
        {"!": "dict", "pairs": 3},
        {"!": "array", "member": "gone"},
    ):
        for place in ("scores", "probe"):
            path.write_bytes(forge({place: tree}))
            with pytest.raises(CorruptFileError):
                read_manifest(path)
    path.write_bytes(forge())
    assert read_manifest(path)["probe"] is None


OTHERS = [
    ("scikit-learn", "0.99.0", True),
    ("scikit-learn", "99.0", True),
    ("scikit-learn", "SAME.99", False),
    ("sktrain", "99.0.0", True),
    ("sktrain", "0.0.1", False),
    ("sktrain", "OWNrc1", False),
    ("numpy", "1.0", False),
    ("python", "3.6.0", False),
]


@pytest.mark.parametrize("library, version, warned", OTHERS)
def test_other_versions_are_said(tmp_path, library, version, warned):
    path = save(logistic(), tmp_path / "m.sktrain")
    own = read_manifest(path)["versions"][library]
    version = version.replace("SAME", ".".join(own.split(".")[:2])).replace("OWN", own)
    with zipfile.ZipFile(path) as file:
        model = json.loads(file.read("manifest.json"))["model"]
    assert "_sklearn_version" in model["state"]
    if library == "scikit-learn":
        # scikit-learn would warn of every difference by itself
        model["state"]["_sklearn_version"] = version
    edited(path, versions={library: version}, model=model)
    with pytest.warns(VersionDriftWarning) if warned else warnings.catch_warnings() as caught:
        if not warned:
            warnings.simplefilter("error")
        load(path)
    if warned:
        assert len(caught) == 1
        assert f"{library} {version} -> {own}" in str(caught[0].message)
        assert "predicted as they were" in str(caught[0].message)
        assert caught[0].filename == __file__


def test_without_probe_rows_the_warning_says_so(tmp_path):
    path = edited(
        save(logistic(), tmp_path / "m.sktrain", probe=None), versions={"scikit-learn": "1.0"}
    )
    with pytest.warns(SktrainWarning, match="no probe rows"):
        load(path)


def test_rows_that_were_not_replayed_vouch_for_nothing(tmp_path):
    X, y = rows()
    model = Pipeline([("as it is", FunctionTransformer()), ("line", LogisticRegression())])
    path = edited(save(model.fit(X, y), tmp_path / "m.sktrain"), versions={"scikit-learn": "1.0"})
    with pytest.warns(SktrainWarning) as caught:
        load(path)
    assert [one.category.__name__ for one in caught] == ["NotReplayedWarning", "VersionDriftWarning"]
    assert "check its predictions" in str(caught[1].message)


def test_other_versions_and_other_answers_are_an_error(tmp_path):
    X, y = rows()
    path = save(logistic(), tmp_path / "m.sktrain")
    with zipfile.ZipFile(path) as file:
        tree = json.loads(file.read("manifest.json"))["probe"]
    tree["pairs"][1][1] = {"!": "objects", "shape": [1], "items": [0.5]}
    edited(path, probe=tree, versions={"scikit-learn": "1.0"})
    with pytest.raises(CorruptFileError, match=r"differently here \(scikit-learn 1\.0 -> "):
        load(path)


@pytest.mark.parametrize(
    "versions",
    [
        None,
        3,
        ["x"],
        {"scikit-learn": None},
        {"scikit-learn": ["1"]},
        {"sktrain": ""},
        {"sys": "1"},
    ],
)
def test_odd_versions_are_refused_or_said(tmp_path, versions):
    path = edited(save(logistic(), tmp_path / "m.sktrain"), versions=versions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionDriftWarning)
        try:
            assert load(path).classes_.tolist() == ["buy", "hold", "sell"]
        except PersistenceError:
            assert not isinstance(versions, dict)


SAVED_ANEW = """
import sys, numpy as np
from sklearn.ensemble import RandomForestClassifier
from sktrain import save
X = np.random.default_rng(0).normal(size=(60, 3))
save(RandomForestClassifier(3, random_state=0).fit(X, X[:, 0] > 0), sys.argv[1], scores={"a": 1.0})
"""


def test_equal_scikit_learn_models_give_equal_files_in_every_process(tmp_path):
    files = []
    for seed in ("0", "1"):
        path = tmp_path / f"{seed}.sktrain"
        subprocess.run(
            [sys.executable, "-c", SAVED_ANEW, str(path)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        files.append(path.read_bytes())
    X = np.random.default_rng(0).normal(size=(60, 3))
    save(RandomForestClassifier(3, random_state=0).fit(X, X[:, 0] > 0), path, scores={"a": 1.0})
    assert files[0] == files[1] == path.read_bytes()


def test_everything_but_a_whole_file_is_refused(tmp_path):
    path = save(LogisticRegression().fit([[0], [1]], [0, 1]), tmp_path / "m.sktrain")
    data, rng, refused = path.read_bytes(), np.random.default_rng(1), {"flipped": 0, "truncated": 0}
    for place in rng.choice(len(data), 200, replace=False):
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        for opened in (load, read_manifest):
            with pytest.raises(CorruptFileError):
                opened(path)
        refused["flipped"] += 1
    for length in rng.choice(len(data), 50, replace=False):
        path.write_bytes(data[:length])
        for opened in (load, read_manifest):
            with pytest.raises(CorruptFileError):
                opened(path)
        refused["truncated"] += 1
    assert refused == {"flipped": 200, "truncated": 50}
    path.write_bytes(data)
    assert load(path).predict([[1]]) == [1]


def test_an_unreadable_file_is_named(tmp_path):
    path = save(LogisticRegression().fit([[0], [1]], [0, 1]), tmp_path / "m.sktrain")
    if os.geteuid() == 0:  # root reads everything
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.open", lambda *arguments: os.listdir("/none"))
            with pytest.raises(PersistenceError, match=r"m\.sktrain' cannot be read"):
                load(path)
        return
    path.chmod(0)
    with pytest.raises(PersistenceError, match="cannot be read: Permission denied"):
        load(path)


def test_a_recipe_of_functions_is_still_refused(tmp_path):
    with pytest.raises(PersistenceError, match="joblib"):
        save(
            Pipeline([("f", FunctionTransformer(lambda X: X)), ("net", GRUClassifier())]),
            tmp_path / "m.sktrain",
            data=np.zeros((2, 2)),
        )
    with pytest.raises(PersistenceError):
        save(BarFeatures, tmp_path / "m.sktrain")
    assert os.listdir(tmp_path) == []

"""What compiled code would trust, one edit at a time: each is refused, and the same without the
edit is not."""

import copy
import zipfile

import numpy as np
from persistence.test_persistence_file import forge
import pytest
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
import torch

from sktrain import MLPNetClassifier, load, save
from sktrain._io import sha256
from sktrain.exceptions import CorruptFileError, PersistenceError
from sktrain.persistence import _file
from sktrain.persistence._checks import check_tree_state, checked
from sktrain.persistence._decoder import Decoder
from sktrain.persistence._encoder import Encoder

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 1)


def tree_of(*links, depth, feature=0, n_features=1):
    """Arguments and state of a tree of (left, right) per node; (-1, -1) is a leaf."""
    grown = DecisionTreeClassifier().fit([[0], [1]], [0, 1]).tree_.__getstate__()
    nodes = np.zeros(len(links), dtype=grown["nodes"].dtype)
    nodes["left_child"], nodes["right_child"] = np.transpose(links)
    nodes["feature"] = np.where(nodes["left_child"] == -1, -2, feature)
    state = {"max_depth": depth, "node_count": len(links), "nodes": nodes}
    state["values"] = np.ones((len(links), 1, 2))
    return (n_features, np.array([2]), 1), state


LEAF = (-1, -1)
LATER = [(1, 2), LEAF, (3, 4), LEAF, LEAF]  # two levels, by the right child alone


def test_good_trees_pass():
    check_tree_state(*tree_of(LEAF, depth=0))
    check_tree_state(*tree_of((1, 2), LEAF, LEAF, depth=1))
    check_tree_state(*tree_of(*LATER, depth=2))
    check_tree_state(*tree_of(*LATER, depth=5000))
    check_tree_state(*tree_of((1, 2), LEAF, LEAF, depth=1, feature=3, n_features=4))


BAD = {
    "deeper than it says": tree_of(*LATER, depth=1),
    "deeper than any": tree_of(LEAF, depth=5001),
    "depth below zero": tree_of(LEAF, depth=-1),
    "depth no number": tree_of(LEAF, depth=0.0),
    "feature outside": tree_of((1, 2), LEAF, LEAF, depth=1, feature=1),
    "feature before": tree_of((1, 2), LEAF, LEAF, depth=1, feature=-1),
    "back to the root": tree_of((0, 2), LEAF, LEAF, depth=1),
    "itself": tree_of((1, 2), (1, 2), LEAF, depth=2),
    "child outside": tree_of((1, 3), LEAF, LEAF, depth=1),
    "child before": tree_of((1, -2), LEAF, LEAF, depth=1),
    "two parents": tree_of((1, 1), LEAF, LEAF, depth=1),
    "nobody's child": tree_of((1, 2), LEAF, LEAF, LEAF, depth=1),
    "half a leaf": tree_of((1, 2), LEAF, (-1, 1), depth=1),
    "no nodes": tree_of(LEAF, depth=0),
}
del BAD["no nodes"][1]["nodes"]


@pytest.mark.parametrize("name", BAD)
def test_bad_trees_are_refused(name):
    with pytest.raises((CorruptFileError, KeyError)):
        check_tree_state(*BAD[name])


ARGUMENTS = {
    "no features": (0, np.array([2]), 1),
    "features below zero": (-1, np.array([2]), 1),
    "features beyond counting": (2**31, np.array([2]), 1),
    "half a feature": (1.0, np.array([2]), 1),
    "a list of classes": (1, [2], 1),
    "unsigned classes": (1, np.array([2], dtype="u8"), 1),
    "classes of times": (1, np.array([2], dtype="m8[s]"), 1),
    "classes in a table": (1, np.array([[2]]), 1),
    "fewer classes than outputs": (1, np.array([2]), 2),
    "more classes than outputs": (1, np.array([2, 2]), 1),
    "no classes": (1, np.array([0]), 1),
    "no outputs": (1, np.array([], dtype=int), 0),
    "other classes": (1, np.array([3]), 1),
    "two arguments": (1, np.array([2])),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_bad_arguments_of_trees_are_refused(name):
    _, state = tree_of((1, 2), LEAF, LEAF, depth=1)
    with pytest.raises(CorruptFileError):
        check_tree_state(ARGUMENTS[name], state)


@pytest.mark.parametrize("said", [0, 2, 4])
def test_trees_count_their_nodes(said):
    arguments, state = tree_of((1, 2), LEAF, LEAF, depth=1)
    with pytest.raises(CorruptFileError, match="nodes"):
        check_tree_state(arguments, {**state, "node_count": said})


def test_trees_have_a_value_for_every_node():
    arguments, state = tree_of((1, 2), LEAF, LEAF, depth=1)
    with pytest.raises(CorruptFileError, match="values"):
        check_tree_state(arguments, {**state, "values": state["values"][:2]})


MODELS = {
    "tree": DecisionTreeClassifier(max_depth=3, random_state=0),
    "forest": RandomForestClassifier(2, max_depth=3, random_state=0),
    "bagging": BaggingClassifier(
        DecisionTreeClassifier(max_depth=2), 2, max_features=2, random_state=0
    ),
    "stages": GradientBoostingClassifier(n_estimators=2, max_depth=2),
    "from zero": GradientBoostingClassifier(n_estimators=2, max_depth=2, init="zero"),
    "bins": HistGradientBoostingClassifier(max_iter=2),
    "near": KNeighborsClassifier(),
    "vectors": SVC(),
    "one class": OneClassSVM(),
}


@pytest.fixture(scope="module")
def grown():
    return {
        name: model.fit(X, Y > 0 if name == "from zero" else Y) for name, model in MODELS.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_good_models_pass(grown, name):
    assert checked(grown[name]) is grown[name]


def categories(model, known):
    model._bin_mapper.is_categorical_[2] = 1
    model._bin_mapper.bin_thresholds_[2] = np.array(known)


def nodes(model):
    return model._predictors[0][0].nodes


EDITS = {
    "a column set too many": ("bagging", lambda m: m.estimators_features_.append(np.array([0, 1]))),
    "a column set too few": ("bagging", lambda m: m.estimators_features_.pop()),
    "a wider column set": (
        "bagging",
        lambda m: m.estimators_features_.__setitem__(0, np.arange(3)),
    ),
    "a start of text": ("stages", lambda m: setattr(m, "init_", "one")),
    "a start of a model": ("stages", lambda m: setattr(m, "init_", LogisticRegression().fit(X, Y))),
    "a prior of other classes": ("stages", lambda m: setattr(m.init_, "class_prior_", np.ones(2))),
    "one tree too many": ("stages", lambda m: setattr(m, "n_trees_per_iteration_", 4)),
    "more trees than it says": (
        "stages",
        lambda m: setattr(m, "estimators_", np.hstack([m.estimators_, m.estimators_])),
    ),
    "no number of trees": ("stages", lambda m: delattr(m, "n_trees_per_iteration_")),
    "a start of one column": ("stages", lambda m: setattr(m.init_, "_strategy", "most_frequent")),
    "a start of two outputs": ("stages", lambda m: setattr(m.init_, "n_outputs_", 2)),
    "a prior in a list": (
        "stages",
        lambda m: setattr(m.init_, "class_prior_", m.init_.class_prior_.tolist()),
    ),
    "rows taken for bins": ("bins", lambda m: setattr(m, "_in_fit", True)),
    "no rows": ("near", lambda m: delattr(m, "_fit_X")),
    "a label outside": ("near", lambda m: setattr(m, "_y", m._y + 1)),
    "a label before": ("near", lambda m: setattr(m, "_y", m._y - 1)),
    "a label too few": ("near", lambda m: setattr(m, "_y", m._y[1:])),
    "half a label": ("near", lambda m: setattr(m, "_y", m._y / 2)),
    "labels in a list": ("near", lambda m: setattr(m, "_y", m._y.tolist())),
    "a label of two outputs too few": (
        "near",
        lambda m: (
            setattr(m, "_y", np.c_[m._y, m._y]),
            setattr(m, "classes_", [m.classes_, m.classes_[:2]]),
        ),
    ),
    "more threads than any": ("near", lambda m: setattr(m, "_n_threads", 10**6)),
    "stages in a row": ("stages", lambda m: setattr(m, "estimators_", m.estimators_.ravel())),
    "a column outside": ("bins", lambda m: nodes(m)["feature_idx"].__setitem__(0, 3)),
    "a column before": ("bins", lambda m: nodes(m)["feature_idx"].__setitem__(0, -1)),
    "a bin that leads back": ("bins", lambda m: nodes(m)["left"].__setitem__(0, 0)),
    "a category set outside": (
        "bins",
        lambda m: (
            nodes(m)["is_categorical"].__setitem__(0, 1),
            nodes(m)["bitset_idx"].__setitem__(0, 99),
        ),
    ),
    "a category beyond": ("bins", lambda m: categories(m, [0.0, 256.0])),
    "a category before": ("bins", lambda m: categories(m, [-1.0, 2.0])),
    "bins of fewer columns": ("bins", lambda m: m._bin_mapper.bin_thresholds_.pop()),
    "no nodes": ("bins", lambda m: setattr(m._predictors[0][0], "nodes", nodes(m)[:0])),
    "another width": ("bins", lambda m: setattr(m, "n_features_in_", 4)),
    "categories to encode": ("bins", lambda m: setattr(m, "_preprocessor", LogisticRegression())),
    "rows of another width": ("near", lambda m: setattr(m, "_fit_X", m._fit_X[:, :2])),
    "rows in a row": ("near", lambda m: setattr(m, "_fit_X", m._fit_X.ravel())),
    "leaves of no size": ("near", lambda m: setattr(m, "leaf_size", 0)),
    "leaves of half a row": ("near", lambda m: setattr(m, "leaf_size", 1.5)),
    "a kernel of rows": ("vectors", lambda m: setattr(m, "kernel", "precomputed")),
    "fewer columns": (
        "vectors",
        lambda m: setattr(m, "support_vectors_", m.support_vectors_[:, :2]),
    ),
    "other counts": ("vectors", lambda m: setattr(m, "_n_support", m._n_support + 1)),
    "counts below zero": (
        "vectors",
        lambda m: setattr(m, "_n_support", m._n_support + np.array([-(10**4), 10**4, 0], "i4")),
    ),
    "fewer coefficients": ("vectors", lambda m: setattr(m, "_dual_coef_", m._dual_coef_[:1])),
    "fewer intercepts": ("vectors", lambda m: setattr(m, "_intercept_", m._intercept_[:2])),
    "a list of vectors": (
        "vectors",
        lambda m: setattr(m, "support_vectors_", m.support_vectors_.tolist()),
    ),
    "other probabilities": ("vectors", lambda m: setattr(m, "_probA", np.ones(1))),
    "one class, fewer vectors": ("one class", lambda m: setattr(m, "support_", m.support_[:-1])),
    "more jobs than any": ("forest", lambda m: setattr(m, "n_jobs", 1025)),
    "fewer jobs than any": ("forest", lambda m: setattr(m, "n_jobs", -1025)),
    "half a job": ("forest", lambda m: setattr(m, "n_jobs", 0.5)),
    "a narrower tree": ("tree", lambda m: setattr(m, "n_features_in_", 2)),
    "no width": ("tree", lambda m: delattr(m, "n_features_in_")),
    "a width of nothing": ("near", lambda m: setattr(m, "n_features_in_", 0)),
    "a narrower forest": ("forest", lambda m: setattr(m, "n_features_in_", 2)),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_that_compiled_code_would_trust_is_refused(grown, name):
    which, edit = EDITS[name]
    model = copy.deepcopy(grown[which])
    edit(model)
    with pytest.raises(CorruptFileError):
        checked(model)
    with pytest.raises(CorruptFileError):  # wherever it stands
        checked({"steps": [("last", model)]})


def test_known_categories_are_allowed(grown):
    model = copy.deepcopy(grown["bins"])
    categories(model, [0.0, 255.0])
    checked(model)


def test_the_most_jobs_are_allowed(grown):
    model = copy.deepcopy(grown["forest"])
    for few in (1024, -1024, -1, None):
        model.n_jobs = few
        checked(model)


def test_search_trees_are_grown_anew(grown):
    model = copy.deepcopy(grown["near"])
    model._tree = object()
    np.testing.assert_array_equal(checked(model).predict(X[:5]), grown["near"].predict(X[:5]))


def test_a_tree_of_one_leaf_and_a_start_from_zero_are_saved(tmp_path, grown):
    leaf = DecisionTreeClassifier().fit(X, np.zeros(len(X)))
    for model in (leaf, grown["from zero"], grown["bagging"]):
        opened = load(save(model, tmp_path / "m.sktrain"))
        np.testing.assert_array_equal(opened.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("key", ["__class__", "__dict__", 3, None])
def test_attributes_of_python_are_not_set(key):
    encoder = Encoder()
    from sktrain import TemporalSplitter

    tree = encoder.encode(TemporalSplitter())
    tree["state"] = {key: 1, **tree["state"]}
    with pytest.raises(CorruptFileError, match="attribute"):
        Decoder(encoder.members).decode(tree)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_tensors_of_two_bytes_are_refused(dtype):
    with pytest.raises(PersistenceError, match="Tensor"):
        Encoder().encode(torch.ones(2, dtype=dtype))
    assert Encoder().encode(torch.ones(2, dtype=torch.float32))["!"] == "tensor"
    assert Encoder().encode(torch.ones(2, dtype=torch.int16))["!"] == "tensor"


def test_the_most_members_are_allowed(tmp_path, monkeypatch):
    path = save(LogisticRegression().fit(X, Y), tmp_path / "m.sktrain")
    with zipfile.ZipFile(path) as file:
        count = len(file.namelist())
    monkeypatch.setattr(_file, "_MOST", count)
    load(path)
    monkeypatch.setattr(_file, "_MOST", count - 1)
    with pytest.raises(CorruptFileError, match="members"):
        load(path)


@pytest.mark.parametrize("listed", [["a"], ["a", "b", "c"]])
def test_members_are_those_of_the_manifest(tmp_path, listed):
    members = {"a": b"1", "b": b"2"}
    data = forge(members=dict.fromkeys(listed, b"1"), names=members)
    (tmp_path / "m.sktrain").write_bytes(data)
    with pytest.raises(CorruptFileError, match="not those the manifest lists"):
        load(tmp_path / "m.sktrain")


@pytest.mark.parametrize("off", [-1, 1])
def test_members_are_as_long_as_the_manifest_says(tmp_path, off):
    listing = {"a": {"size": 1 + off, "sha256": sha256(b"1")}}
    (tmp_path / "m.sktrain").write_bytes(forge({"members": listing}, {"a": b"1"}))
    with pytest.raises(CorruptFileError, match="'a' is altered"):
        load(tmp_path / "m.sktrain")


@pytest.mark.parametrize("mark", ["0" * 64, "f" * 64])
def test_members_have_the_checksum_that_the_manifest_says(tmp_path, mark):
    listing = {"a": {"size": 1, "sha256": mark}}
    (tmp_path / "m.sktrain").write_bytes(forge({"members": listing}, {"a": b"1"}))
    with pytest.raises(CorruptFileError, match="'a' is altered"):
        load(tmp_path / "m.sktrain")


def test_nets_of_many_steps_and_parameters_of_zero_open(tmp_path):
    params = {"max_epochs": 1, "random_state": 0, "horizon": 0, "module__hidden_size": 4}
    net = MLPNetClassifier(**params, module__dropout=0).fit(RNG.normal(size=(40, 100, 1)), Y[:40])
    opened = load(save(net, tmp_path / "m.sktrain"))
    assert len(net.module_.state_dict()) < 100
    rows = RNG.normal(size=(5, 100, 1))
    np.testing.assert_array_equal(opened.predict_proba(rows), net.predict_proba(rows))

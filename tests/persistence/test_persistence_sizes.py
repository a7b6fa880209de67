"""Sizes that compiled code trusts, one more and one less of each: both are refused."""

import copy

import numpy as np
from persistence.test_persistence_checks import LEAF, MODELS, X, Y, nodes, tree_of
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sktrain.exceptions import CorruptFileError
from sktrain.persistence._checks import check_tree_state, checked

KINDS = {**MODELS, "clusters": KMeans(2, n_init=1, random_state=0), "two": SVC()}
del KINDS["from zero"], KINDS["one class"]
KINDS["line"] = GradientBoostingClassifier(n_estimators=1, max_depth=1)
TWO = ("two", "line")


@pytest.fixture(scope="module")
def grown():
    return {name: model.fit(X, Y > 0 if name in TWO else Y) for name, model in KINDS.items()}


def refused(model, edit):
    model = copy.deepcopy(model)
    edit(model)
    with pytest.raises(CorruptFileError):
        checked(model)


@pytest.mark.parametrize("name", KINDS)
def test_an_estimator_has_the_width_of_what_it_holds(grown, name):
    checked(grown[name])
    if name == "bagging":  # hands columns of its own choice on
        return
    for width in (2, 4, 0, -3):
        refused(grown[name], lambda model, width=width: setattr(model, "n_features_in_", width))


def put(name, change):
    return lambda model: setattr(model, name, change(getattr(model, name)))


def longer(values):
    return np.concatenate([values, values[-1:]])


def shorter(values):
    return values[:-1]


def more_columns(values):
    return np.concatenate([values, values[:, -1:]], axis=1)


def in_a_cube(values):
    return values[:, :, None]


def sets(change):
    """Sets of categories of the first tree, changed."""
    return lambda model: [
        setattr(model._predictors[0][0], name, change(getattr(model._predictors[0][0], name)))
        for name in ("raw_left_cat_bitsets", "binned_left_cat_bitsets")
    ]


def split_by_set(place):
    def change(model):
        sets(lambda _: np.zeros((2, 8), dtype=np.uint32))(model)
        nodes(model)["is_categorical"][0], nodes(model)["bitset_idx"][0] = 1, place

    return change


def stage(tree):
    return lambda model: model.estimators_.__setitem__((0, 0), tree)


EDITS = [
    ("bins", lambda m: m._bin_mapper.bin_thresholds_.append(np.array([0.0]))),
    ("bins", sets(lambda _: np.zeros((1, 7), dtype=np.uint32))),
    ("bins", sets(lambda _: np.zeros((1, 9), dtype=np.uint32))),
    ("bins", sets(lambda _: np.zeros(8, dtype=np.uint32))),
    ("bins", sets(lambda _: np.zeros((1, 8, 1), dtype=np.uint32))),
    ("bins", split_by_set(2)),
    ("bins", split_by_set(3)),
    ("bins", lambda m: nodes(m)["feature_idx"].__setitem__(0, 4)),
    ("bins", lambda m: setattr(m._predictors[0][0], "nodes", nodes(m).view("u1"))),
    ("near", put("_fit_X", more_columns)),
    ("near", put("_fit_X", in_a_cube)),
    ("near", put("_fit_X", np.ndarray.tolist)),
    ("near", lambda m: setattr(m, "leaf_size", -1)),
    ("near", lambda m: setattr(m, "leaf_size", True)),
    ("clusters", put("cluster_centers_", more_columns)),
    ("clusters", put("cluster_centers_", in_a_cube)),
    ("clusters", put("cluster_centers_", np.ndarray.tolist)),
    ("stages", lambda m: setattr(m, "n_trees_per_iteration_", 2)),
    ("stages", put("estimators_", in_a_cube)),
    ("stages", lambda m: setattr(m.init_, "class_prior_", np.ones(4))),
    ("stages", lambda m: setattr(m.init_, "class_prior_", np.ones((1, 3)))),
    ("stages", lambda m: delattr(m.init_, "class_prior_")),
    ("stages", lambda m: setattr(m, "_loss", None)),
    ("line", lambda m: setattr(m, "_loss", type("Loss", (), {"is_multiclass": True})())),
    ("line", lambda m: setattr(m, "init_", None)),
    ("line", stage(DecisionTreeRegressor(max_depth=1).fit(X, np.c_[Y, Y]))),
    ("line", stage(DecisionTreeClassifier(max_depth=1).fit(X, Y))),
    ("vectors", put("support_vectors_", more_columns)),
    ("vectors", put("support_vectors_", longer)),
    ("vectors", put("support_vectors_", shorter)),
    ("vectors", put("support_", longer)),
    ("vectors", put("_n_support", lambda counts: counts - 1)),
    ("vectors", put("_n_support", longer)),
    ("vectors", put("_n_support", lambda counts: np.array([-1, counts.sum() + 1, 0]))),
    ("vectors", put("_n_support", shorter)),
    ("vectors", put("_dual_coef_", longer)),
    ("vectors", put("_dual_coef_", more_columns)),
    ("vectors", put("_intercept_", shorter)),
    ("vectors", put("_intercept_", lambda one: one[:0])),
    ("two", put("_intercept_", lambda one: one[:0])),
    ("two", lambda m: setattr(m, "kernel", "".join(("pre", "computed")))),  # as read from a file
    *(("tree", lambda m, n=n: setattr(m, "n_features_in_", n)) for n in (3.0, "3", None)),
    ("two", put("_n_support", lambda counts: counts.sum(keepdims=True))),
    *(("vectors", put(name, lambda _, n=n: np.zeros(n))) for name in ("_probA", "_probB")
      for n in (1, 2, 4)),
    *(("forest", lambda m, jobs=jobs: setattr(m, "n_jobs", jobs)) for jobs in (True, 2000, -2000)),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(EDITS)))
def test_what_is_larger_or_smaller_is_refused(grown, place):
    name, edit = EDITS[place]
    refused(grown[name], edit)


ALLOWED = [
    ("line", stage(DecisionTreeRegressor(max_depth=1).fit(X, Y))),
    ("bins", split_by_set(0)),
    ("bins", split_by_set(1)),
    ("vectors", put("_intercept_", longer)),
    ("vectors", put("_n_support", lambda counts: np.array([0, counts.sum(), 0]))),
    ("vectors", put("_probA", lambda _: np.zeros(3))),
    ("vectors", put("_probB", lambda _: np.zeros(0))),
    ("two", put("_probA", lambda _: np.zeros(1))),
    ("near", lambda m: setattr(m, "leaf_size", 1)),
    ("near", lambda m: setattr(m, "_tree", None)),
]


@pytest.mark.parametrize("place", range(len(ALLOWED)))
def test_what_fits_passes(grown, place):
    name, edit = ALLOWED[place]
    model = copy.deepcopy(grown[name])
    edit(model)
    assert checked(model) is model


def test_a_tree_asks_for_features_it_has():
    inner = [(1, 2), LEAF, LEAF]
    for feature in (0, 1):
        check_tree_state(*tree_of(*inner, depth=1, feature=feature, n_features=2))
    for feature in (2, 3, 9, -1, -2):
        with pytest.raises(CorruptFileError, match="feature"):
            check_tree_state(*tree_of(*inner, depth=1, feature=feature, n_features=2))


def test_a_tree_has_three_arguments_and_values_of_their_shape():
    arguments, state = tree_of(LEAF, depth=0)
    for wrong in ((*arguments, 1), arguments[:2]):
        with pytest.raises(CorruptFileError, match="parts"):
            check_tree_state(wrong, state)
    with pytest.raises(CorruptFileError, match="parts"):
        check_tree_state(arguments, list(state))
    for shape in ((1, 1, 1), (1, 1, 3), (1, 2, 2), (2, 1, 2), (1, 2), (1, 1, 2, 1)):
        with pytest.raises(CorruptFileError, match="values"):
            check_tree_state(arguments, {**state, "values": np.ones(shape)})
    for kind in ("f8", "?", "u1", "c16", "m8[s]"):
        with pytest.raises(CorruptFileError, match="classes"):
            check_tree_state(
                (1, np.array([1], dtype=kind), 1), {**state, "values": np.ones((1, 1, 1))}
            )
    several = (1, np.array([2, 3]), 2)
    check_tree_state(several, {**state, "values": np.ones((1, 2, 3))})
    for wrong in ((1, np.array([2, 0]), 2), (1, np.array([3, -1]), 2), (1, np.array([2, 3]), 1)):
        with pytest.raises(CorruptFileError, match="classes"):
            check_tree_state(wrong, {**state, "values": np.ones((1, 2, 3))})


def test_the_root_is_nobodys_child_and_others_have_one_parent():
    good = [(1, 4), (2, 3), LEAF, LEAF, LEAF]
    check_tree_state(*tree_of(*good, depth=2))
    for links in (
        [(1, 4), (2, 2), LEAF, LEAF, LEAF],
        [(1, 4), (2, 3), LEAF, LEAF, LEAF, LEAF],
        [(1, 5), (2, 3), LEAF, LEAF, LEAF],
        [(1, 6), (2, 3), LEAF, LEAF, LEAF],
        [(1, 4), (1, 3), LEAF, LEAF, LEAF],
        [(1, 4), (0, 3), LEAF, LEAF, LEAF],
    ):
        with pytest.raises(CorruptFileError, match="nowhere or back"):
            check_tree_state(*tree_of(*links, depth=2))

"""Structures that scikit-learn's compiled code walks without looking, checked before it does.

A decision tree is an array of nodes that name their children and a feature by number; a number that
leads outside reads memory that is not there, and one that leads back never ends. The arrays of
support vector machines and of nearest neighbours are trusted in the same way.
"""

import numpy as np

from .._validation import Count
from ..exceptions import CorruptFileError
from ._walk import reached

__all__ = ["check_parallel", "check_random_state", "check_tree_state", "checked"]

_DEEPEST = 5000  # levels of a tree, a judgment; grown ones have a few dozen
_MOST_JOBS = 1024  # a judgment: more than a machine's cores are an attack
_PARALLEL = ("n_jobs", "n_threads", "num_workers")  # scikit-learn's, ours and torch's names
# where a generator stands in the words it has drawn: how many there are at most (NumPy's sources,
# mt19937.h and philox.h), which its compiled code does not ask
_POSITIONS = {"MT19937": ("pos", 624), "Philox": ("buffer_pos", 4)}
_ONE_VALUED = ("NuSVR", "OneClassSVM", "SVR")  # support vector machines that do not classify
_CATEGORIES = 256  # scikit-learn's histograms know the categories 0 to 255


def _require(condition, what):
    if not condition:
        raise CorruptFileError(f"{what}: the model is damaged, or made to do harm.")


def check_tree_state(arguments, state):
    """Refuse the state of a decision tree before scikit-learn copies it.

    Parameters
    ----------
    arguments : (n_features, n_classes, n_outputs)
    state : dict with max_depth, node_count, nodes and values
    """
    _require(len(arguments) == 3 and isinstance(state, dict), "a decision tree without its parts")
    n_features, n_classes, n_outputs = arguments
    whole = all(type(value) is int for value in (n_features, n_outputs))
    _require(whole and 0 < n_features < 2**31, f"a decision tree of {n_features!r} features")
    fits = isinstance(n_classes, np.ndarray) and n_classes.dtype.kind == "i" and n_classes.ndim == 1
    fits = fits and len(n_classes) == n_outputs > 0 and n_classes.min() > 0
    _require(fits, "a decision tree with classes that do not fit its outputs")
    nodes, values = state["nodes"], state["values"]
    n_nodes = len(nodes)
    _require(
        state["node_count"] == n_nodes > 0,
        "a decision tree with another number of nodes than it says",
    )
    shape = (n_nodes, n_outputs, int(n_classes.max()))
    _require(np.shape(values) == shape, "a decision tree with values that do not fit its nodes")
    left, right = nodes["left_child"], nodes["right_child"]
    depth = state["max_depth"]
    _require(type(depth) is int and 0 <= depth <= _DEEPEST, f"a decision tree of depth {depth!r}")
    inner = left != -1
    _require((right[~inner] == -1).all(), "a decision tree with half a leaf")
    _check_links(left, right, inner, depth)
    features = nodes["feature"][inner]
    known = (features >= 0).all() and (features < n_features).all()
    _require(known, "a decision tree that asks for a feature it does not have")


def _check_links(left, right, inner, depth):
    """Every node but the root is the child of exactly one node before it, ``depth`` levels down."""
    n_nodes, place = len(left), np.flatnonzero(inner)
    children = np.concatenate([left[place], right[place]]).astype(np.int64)
    ordered = (children > np.tile(place, 2)).all() and (children < n_nodes).all()
    once = len(children) == n_nodes - 1 and len(np.unique(children)) == len(children)
    _require(ordered and once, "a decision tree with nodes that lead nowhere or back")
    level, found = np.array([0]), 0
    while len(level):
        _require(found <= depth, "a decision tree that is deeper than it says")
        level = level[inner[level]]
        level = np.concatenate([left[level], right[level]]).astype(np.int64)
        found += 1


def check_random_state(state):
    """Refuse the state of a random generator that stands outside the words it has drawn.

    Parameters
    ----------
    state : dict
        As ``bit_generator.state`` gives it.
    """
    _require(isinstance(state, dict), "a random generator without a state")
    name, most = _POSITIONS.get(state["bit_generator"], (None, 0))
    place = {**state, **state["state"]}.get(name, 0)
    _require(type(place) is int and 0 <= place <= most, "a random generator that stands nowhere")


def checked(root):
    """``root``, after everything in it that compiled code would trust was looked at."""
    for part in reached(root, lambda one: vars(one).values()):
        value, kind = vars(part), type(part).__name__
        if kind in _BOOSTING and "estimators_" in value:
            _check_boosting(value)
        for name, check in _CHECKS.items():
            if name in value:
                check(value)
        if "_dual_coef_" in value:
            _check_vectors(value, classifies=kind not in _ONE_VALUED)
        check_parallel(value)
    return root


def check_parallel(parameters):
    """Refuse a number of processes or threads that no machine has.

    Parameters
    ----------
    parameters : dict
        By name; those of parts too, such as ``iterator_valid__num_workers``.
    """
    for name, value in parameters.items():
        if str(name).rpartition("__")[2].lstrip("_") in _PARALLEL:
            few = value is None or Count(-_MOST_JOBS, _MOST_JOBS).is_satisfied_by(value)
            _require(few, f"an estimator with {name}={value!r}")


def _width(own):
    width = own.get("n_features_in_")
    _require(type(width) is int and width > 0, f"an estimator of {width!r} features")
    return width


def _check_single_tree(own):
    tree = own["tree_"]
    _require(type(tree).__name__ == "Tree", "a decision tree of another kind")
    _require(tree.n_features == _width(own), "a decision tree of another width than its estimator")


def _check_ensemble(own):
    """Trees of an ensemble read the columns that it hands them."""
    width, chosen = own.get("n_features_in_"), own.get("estimators_features_")
    members = np.ravel(np.array(own["estimators_"], dtype=object)).tolist()
    for place, one in enumerate(members):
        attributes = vars(one) if hasattr(one, "__dict__") else {}
        if "tree_" not in attributes:
            continue
        columns = width
        if chosen is not None:
            _require(len(chosen) == len(members), "an ensemble without the columns of its trees")
            columns = len(np.asarray(chosen[place]))
        has = attributes["tree_"].n_features
        _require(has == columns, "an ensemble whose trees ask for other columns than they get")


def _check_boosting(own):
    """Stages write into one column per tree of an iteration."""
    stages, width = own["estimators_"], own.get("n_trees_per_iteration_")
    fits = isinstance(stages, np.ndarray) and stages.ndim == 2 and stages.shape[1] == width
    _require(fits, "a boosting model with another number of trees than it says")
    for tree in (one.tree_ for one in stages.ravel()):
        single = tree.n_outputs == 1 and tree.max_n_classes == 1
        _require(single, "a boosting model whose trees have more than one value")
        _require(tree.n_features == _width(own), "a boosting model whose trees have another width")
    start, loss = own["init_"], own["_loss"]
    if isinstance(start, str) and start == "zero":
        return
    _require(type(start).__name__.startswith("Dummy"), "a boosting model with a start of its own")
    several = width > 1
    fits = bool(getattr(loss, "is_multiclass", False)) == several
    told = vars(start)
    fits = fits and told.get("n_outputs_") == 1
    if several:  # only this start has a column for each class
        prior = told.get("class_prior_")
        fits = fits and told.get("_strategy") == "prior" and isinstance(prior, np.ndarray)
        fits = fits and prior.shape == (width,)
    _require(fits, "a boosting model whose start has another width than its stages")


def _check_histograms(own):
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    _require(not own.get("_in_fit"), "histograms that take rows for bins")
    mapper = vars(own["_bin_mapper"])
    categorical = np.asarray(mapper["is_categorical_"])
    known = mapper["bin_thresholds_"]
    _require(len(known) == len(categorical), "histograms with bins that do not fit their features")
    for place in np.flatnonzero(categorical):
        values = np.asarray(known[place])
        _require(
            ((values >= 0) & (values < _CATEGORIES)).all(), "histograms with unknown categories"
        )
    for one in (tree for iteration in own["_predictors"] for tree in iteration):
        nodes = one.nodes
        _require(
            nodes.dtype == PREDICTOR_RECORD_DTYPE and len(nodes), "a histogram tree without nodes"
        )
        inner = nodes["is_leaf"] == 0
        _check_links(nodes["left"], nodes["right"], inner, _DEEPEST)
        columns = nodes["feature_idx"][inner]
        fits = ((columns >= 0) & (columns < len(categorical))).all()
        _require(fits, "a histogram tree that asks for a feature it does not have")
        splits = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
        for sets in (one.raw_left_cat_bitsets, one.binned_left_cat_bitsets):
            fits = sets.ndim == 2 and sets.shape[1] == 8 and (splits < len(sets)).all()
            _require(fits, "a histogram tree with unknown categories")
    _require(own.get("_preprocessor") is None, "histograms over categories that are encoded first")
    _require(len(categorical) == _width(own), "histograms of another width than their model")


def _check_neighbours(own):
    """Search trees are grown anew from the rows: quicker than to check that a given one is
    right."""
    from sklearn.neighbors import KDTree

    rows, labels, classes = own["_fit_X"], own.get("_y"), own.get("classes_")
    fits = (
        isinstance(rows, np.ndarray)
        and rows.ndim == 2
        and rows.shape[1] == own.get("n_features_in_")
    )
    _require(fits, "a nearest-neighbours model with rows of another width")
    if classes is not None:  # labels are read by the numbers of rows, and counted by their own
        several = isinstance(classes, list)
        fits = isinstance(labels, np.ndarray) and labels.dtype.kind in "iu"
        fits = fits and labels.shape == ((len(rows), len(classes)) if several else (len(rows),))
        sizes = [len(one) for one in classes] if several else len(classes)
        fits = fits and bool(((labels >= 0) & (labels < sizes)).all())
        _require(fits, "a nearest-neighbours model with labels that do not fit its rows")
    if own.get("_tree") is not None:
        leaf = own.get("leaf_size")
        _require(type(leaf) is int and leaf > 0, f"a search tree with leaf_size={leaf!r}")
        own["_tree"] = KDTree(rows, leaf, metric="euclidean")


def _check_vectors(own, classifies):
    """libsvm reads its arrays by the sizes that others of them have."""
    vectors, counts = own["support_vectors_"], own["_n_support"]
    coefficients, intercept = own["_dual_coef_"], own["_intercept_"]
    _require(
        own.get("kernel") != "precomputed", "a support vector machine with a precomputed kernel"
    )
    arrays = (vectors, counts, coefficients, intercept, own["support_"])
    _require(all(isinstance(one, np.ndarray) for one in arrays), "a sparse support vector machine")
    n_vectors, n_classes = len(own["support_"]), len(counts)
    pairs = n_classes * (n_classes - 1) // 2
    fits = n_classes >= 2 and (counts >= 0).all()
    fits = fits and (not classifies or counts.sum() == n_vectors)  # others leave the counts unread
    fits = fits and vectors.shape == (n_vectors, _width(own))
    fits = fits and coefficients.shape == (n_classes - 1, n_vectors) and len(intercept) >= pairs
    fits = fits and all(len(own[name]) in (0, pairs) for name in ("_probA", "_probB"))
    _require(fits, "a support vector machine with arrays of different sizes")


def _check_columns(name):
    def check(own):
        rows = own[name]
        fits = isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == _width(own)
        _require(fits, f"an estimator whose {name} do not fit its columns")

    return check


_BOOSTING = ("GradientBoostingClassifier", "GradientBoostingRegressor")
_CHECKS = {  # attribute that tells the kind -> what to look at
    "tree_": _check_single_tree,
    "estimators_": _check_ensemble,
    "_predictors": _check_histograms,
    "_fit_X": _check_neighbours,
    "_tree": lambda own: _require("_fit_X" in own, "a nearest-neighbours model without rows"),
    "cluster_centers_": _check_columns("cluster_centers_"),
}

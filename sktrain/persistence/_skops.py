"""scikit-learn's own estimators as archives that skops audits, and back.

Equal estimators give equal bytes: places in memory and times of day do not enter. Opening is
bounded by the size of the archive, and structures that compiled code walks without looking are
checked first.
"""

from io import BytesIO
import json
from typing import Any
import zipfile

from .._optional import require
from ..exceptions import CorruptFileError, PersistenceError
from . import _checks
from ._arrays import Budget, check_whole

__all__ = ["dump", "rebuild"]

_SCHEMA = "schema.json"
# bytes that a part of the schema becomes beside its text, half of what was measured (CPython 3.11,
# skops 0.16), as the limit is half of what opening may take; and how many parts may be met again
_PER_PART, _REPEATED = 250, 10_000
_TRUSTED = frozenset(  # what skops may rebuild beyond its own list: data holders of scikit-learn
    {
        "numpy.dtype",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.impute._iterative.IterativeImputer",
        "sklearn.impute._iterative._ImputerTriplet",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
CONTAINS_ITSELF = "contains itself, or is nested too deeply, and cannot be saved."
_MEMBERS = (".npy", ".bin")  # no archive inside the archive


def dump(value, where):
    """The archive of an estimator that stands at ``where``."""
    skops_io = _skops_io()
    try:
        data = skops_io.dumps(value)
    except RecursionError as error:
        raise PersistenceError(f"{where} ({type(value).__name__}) {CONTAINS_ITSELF}") from error
    except (TypeError, ValueError, AttributeError) as error:  # of what has no state to keep
        raise PersistenceError(
            f"{where} ({type(value).__name__}) cannot be saved: {error}. Remove that attribute "
            "before saving."
        ) from error
    foreign = set(skops_io.get_untrusted_types(data=data)) - _TRUSTED
    if foreign:
        raise PersistenceError(
            f"{where} ({type(value).__name__}) holds {', '.join(sorted(foreign))}, which cannot be "
            "opened safely. Use joblib.dump."
        )
    data = _settled(data)
    try:
        rebuild(data, where, Budget(float("inf")))
    except (CorruptFileError, RecursionError) as error:  # a sparse matrix, trees edited by hand
        raise PersistenceError(
            f"{where} ({type(value).__name__}) cannot be opened safely: {error} Use joblib.dump."
        ) from error
    return data


def rebuild(data, member, budget):
    """The estimator of an archive; ``member`` names it in messages."""
    _skops_io()
    from skops.io._audit import audit_tree, get_tree
    from skops.io._utils import read_schema

    with zipfile.ZipFile(BytesIO(data)) as archive:
        _check_archive(archive, len(data), member, budget)
        schema, context = read_schema(archive)
        _check_schema(schema, archive, member, budget)
        tree = get_tree(schema, context, trusted=sorted(_TRUSTED))
        foreign = tree.get_unsafe_set() - _TRUSTED
        if foreign:
            raise CorruptFileError(
                f"member {member} holds {', '.join(sorted(foreign))}, which is not on the trusted "
                "list."
            )
        audit_tree(tree, trusted=sorted(_TRUSTED))
        for node in _nodes(tree):
            kind = type(node).__name__
            if kind == "TreeNode":
                _checks.check_tree_state(node.args.construct(), node.attrs.construct())
            elif node.class_name == "Tree" and kind != "TypeNode":
                raise CorruptFileError(f"member {member} holds a decision tree without nodes.")
            elif kind == "NdArrayNode" and node.type == "numpy":
                check_whole(node.buffer.getvalue())
                if node.class_name == "void":  # which makes as many bytes as it is told
                    raise CorruptFileError(f"member {member} holds bytes without a type.")
            elif kind == "RandomStateNode":
                _checks.check_random_state(node.content.construct())
            elif kind == "RandomGeneratorNode":
                _checks.check_random_state(node.bit_generator_state.construct())
        return _checks.checked(tree.construct())


def _check_archive(archive, size, member, budget):
    """Stored members only, of known kinds, no larger together than the archive."""
    entries = archive.infolist()
    names = [one.filename for one in entries]
    stored = all(one.compress_type == zipfile.ZIP_STORED for one in entries)
    honest = all(one.file_size == one.compress_size for one in entries)
    if not stored or not honest or len(set(names)) < len(names) or _SCHEMA not in names:
        raise CorruptFileError(f"member {member} is no archive that this library wrote.")
    if sum(one.file_size for one in entries) > size:
        raise CorruptFileError(f"member {member} has parts that overlap.")
    if not all(name.endswith(_MEMBERS) for name in names if name != _SCHEMA):
        raise CorruptFileError(f"member {member} holds an archive or a sparse matrix.")
    budget.spend(size)
    budget.spend_text(archive.read(_SCHEMA))


def _check_schema(schema, archive, member, budget):
    """What is met again and again is counted again and again: a list of two lists of two lists is
    soon longer than any memory, and skops' own audit walks all of it."""
    sizes = {one.filename: one.file_size for one in archive.infolist()}
    known = dict[Any, tuple[int, int]]()

    def weighed(node):
        if isinstance(node, list):
            found = [weighed(item) for item in node]
        elif isinstance(node, dict):
            number = node.get("__id__")
            if number is not None and number in known:
                repeated[0] += known[number][0]
                budget.spend(known[number][1])
                return known[number]
            if number is not None:
                known[number] = (1, 0)  # inside of itself
            found = [weighed(item) for item in node.values()]
            file = node.get("file")
            found.append((1, sizes.get(file, 0) if isinstance(file, str) else 0))
            budget.spend(_PER_PART)
        else:
            return 0, 0
        weight = sum(one for one, _ in found), sum(one for _, one in found)
        if isinstance(node, dict) and number is not None:
            known[number] = weight
        return weight

    repeated = [0]
    n_parts, _ = weighed(schema)
    if repeated[0] > _REPEATED + 4 * (n_parts - repeated[0]):
        raise CorruptFileError(f"member {member} holds itself many times over.")


def _nodes(root):
    """Every node of skops' tree."""
    seen, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, (list, tuple)):
            waiting.extend(node)
        elif hasattr(node, "construct") and id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting.append(getattr(node, "children", None))
            waiting.append(getattr(node, "cached", None))


def _skops_io():
    return require("skops.io", extra="deploy", caller="sktrain.save of scikit-learn estimators")


def _settled(data):
    """The archive with objects numbered, and files named, in the order they are met."""
    numbers, files = dict[Any, int](), dict[str, str]()

    def renamed(node):
        if isinstance(node, list):
            return [renamed(item) for item in node]
        if not isinstance(node, dict):
            return node
        node = dict(node)
        if "__loader__" in node and "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers))
        if node.get("__loader__") and node.get("file") in held:
            suffix = node["file"].rpartition(".")[2]
            node["file"] = files.setdefault(node["file"], f"{len(files)}.{suffix}")
        return {name: renamed(item) for name, item in node.items()}

    out = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        held = set(old.namelist()) - {_SCHEMA}
        schema = renamed(json.loads(old.read(_SCHEMA)))
        members = [(files[name], old.read(name)) for name in files]
        for name, member in [*members, (_SCHEMA, json.dumps(schema).encode())]:
            new.writestr(zipfile.ZipInfo(name), member)
    return out.getvalue()

"""scikit-learn's own estimators as bytes: one enters, an archive that skops audits leaves, and back; no functions that act.

Equal estimators give equal bytes: places in memory and times of day do not enter.
"""

from io import BytesIO
import json
import zipfile

from .._optional import require
from ..exceptions import CorruptFileError, PersistenceError

__all__ = ["dump", "rebuild"]

_SCHEMA = "schema.json"
_TRUSTED = frozenset(  # what skops may rebuild beyond its own list: data holders of scikit-learn, no functions that act
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


def dump(value, where):
    """The archive of an estimator that stands at ``where``."""
    skops_io = _skops_io()
    data = skops_io.dumps(value)
    foreign = set(skops_io.get_untrusted_types(data=data)) - _TRUSTED
    if foreign:
        raise PersistenceError(f"{where} ({type(value).__name__}) holds {', '.join(sorted(foreign))}, which cannot be opened safely. Use joblib.dump.")
    return _settled(data)


def rebuild(data, member):
    """The estimator of an archive; ``member`` names it in messages."""
    skops_io = _skops_io()
    held = set(skops_io.get_untrusted_types(data=data))
    if held - _TRUSTED:
        raise CorruptFileError(f"member {member} holds {', '.join(sorted(held - _TRUSTED))}, which is not on the trusted list.")
    return skops_io.loads(data, trusted=sorted(held))


def _skops_io():
    return require("skops.io", extra="deploy", caller="sktrain.save of scikit-learn estimators")


def _settled(data):
    """The archive with objects numbered, and files named, in the order they are met."""
    numbers, files = {}, {}

    def renamed(node):
        if isinstance(node, list):
            return [renamed(item) for item in node]
        if not isinstance(node, dict):
            return node
        node = dict(node)
        if "__loader__" in node and "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers))
        if node.get("__loader__") and node.get("file") in held:
            node["file"] = files.setdefault(node["file"], f"{len(files)}.{node['file'].rpartition('.')[2]}")
        return {name: renamed(item) for name, item in node.items()}

    out = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        held = set(old.namelist()) - {_SCHEMA}
        schema = renamed(json.loads(old.read(_SCHEMA)))
        for name, member in [*((files[name], old.read(name)) for name in files), (_SCHEMA, json.dumps(schema).encode())]:
            new.writestr(zipfile.ZipInfo(name), member)
    return out.getvalue()

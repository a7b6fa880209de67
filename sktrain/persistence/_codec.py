"""Objects become plain values and named members, and back: a tree that JSON can hold enters and leaves, never code.

What may be rebuilt is fixed here: numbers, text, containers, NumPy arrays, pandas frames and times, classes of the registry (by name,
from their state) and scikit-learn's own estimators (through skops, which audits its types). Everything else is refused when saving,
with its place in the object; a file that names anything else is refused when opening.
"""

from functools import partial
import importlib
import math
import zlib

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from ..exceptions import CorruptFileError, PersistenceError
from . import _nets, _skops

__all__ = ["Decoder", "Encoder", "ValueDecoder"]

_TAG = "!"
_SPARSE = 0.3  # an array with a larger share of zeros is stored as a bitmap and its other values, compressed
_DTYPES = "biufcUSmM"
_LIMIT = 2**31  # bytes one member may decompress to

# Public classes that are rebuilt from their state. Names are looked up here, never imported from the file.
_SKTRAIN = {
    "features": ("BarFeatures", "RegimeDetector", "SlidingWindow"),
    "labels": ("AdaptiveLabeler", "TripleBarrierLabeler"),
    "splits": ("CombinatorialPurgedCV", "EnhancedWalkForwardCV", "TemporalSplitter"),
    "news": ("NewsAligner", "NewsFeatures", "PretrainedNewsEncoder"),
    "resample": ("WindowSMOTE",),
    "drift": ("DriftDetector", "DriftGuard"),
    "drift._compare": ("Correlation", "Reference", "Stretch", "_Numbers"),
    "drift._null": ("Series",),
    "drift._statistics": ("CategoricalReference", "NumericReference"),
    "compression": ("CompressedClassifier", "QuantizedClassifier"),
}
_OTHERS = {
    "sklearn.pipeline": ("FeatureUnion", "Pipeline"),
    "sklearn.ensemble": ("VotingClassifier",),
    "sklearn.frozen": ("FrozenEstimator",),
    "sklearn.preprocessing": ("LabelEncoder",),
    "imblearn.pipeline": ("Pipeline",),
}
REGISTRY = {
    f"{module}.{name}": (module, name)
    for module, names in [*((f"sktrain.{room}", names) for room, names in _SKTRAIN.items()), *_OTHERS.items()]
    for name in names
}
_NEEDS = {"sktrain.compression.QuantizedClassifier": {"onnxruntime"}, "imblearn.pipeline.Pipeline": {"imblearn"}}
_VALUES = {  # classes and functions that stand as parameters
    f"{module}.{name}": (module, name)
    for module, names in {
        "sktrain.nets": ("FocalLoss",),
        "sktrain.nets._batches": ("BatchLoader",),
        "torch.optim": ("Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "SGD"),
        "torch.nn": ("CrossEntropyLoss", "NLLLoss"),
        "torch.utils.data": ("DataLoader",),
    }.items()
    for name in names
}


def _home(thing):
    """The registry name of a class or value, found by identity among modules that are already imported."""
    import sys

    for table in (REGISTRY, _VALUES, _nets.CLASSES):
        for key, (module, name) in table.items():
            if module in sys.modules and getattr(sys.modules[module], name, None) is thing:
                return key
    return None


class Encoder:
    """Turn an object into a tree and members.

    Attributes
    ----------
    members : dict of str to bytes
        Filled by :meth:`encode`.
    needs : set of str
        Libraries that are needed to open them, beside those that every model needs.
    elsewhere : bool
        Whether a net lives on another device than the CPU.
    """

    def __init__(self):
        self.members = {}
        self.needs = set()
        self.elsewhere = False
        self._seen = {}
        self._alive = []

    def encode(self, value, where="model"):
        """The tree of ``value``; ``where`` names its place in messages."""
        if value is None or isinstance(value, (bool, str)) or type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {_TAG: "float", "value": repr(value)}
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(np.asarray(value), where, scalar=isinstance(value, np.generic))
        if isinstance(value, bytes):
            return {_TAG: "bytes", "member": self._member(value, "bin")}
        if isinstance(value, (list, tuple, set, frozenset)):
            items = sorted(value) if isinstance(value, (set, frozenset)) else value
            kind = type(value).__name__ if type(value) in (list, tuple, set, frozenset) else "tuple"
            return {_TAG: kind, "items": [self.encode(item, f"{where}[{place}]") for place, item in enumerate(items)]}
        if isinstance(value, dict):
            return self._dict(value, where)
        return self._pandas(value, where) or self._object(value, where)

    def _dict(self, value, where):
        from sklearn.utils import Bunch

        pairs = [[self.encode(key, f"{where} key"), self.encode(item, f"{where}[{key!r}]")] for key, item in value.items()]
        return {_TAG: "bunch" if isinstance(value, Bunch) else "dict", "pairs": pairs}

    def _member(self, data, suffix):
        name = f"{len(self.members):04d}.{suffix}"
        self.members[name] = data
        return name

    def _array(self, array, where, scalar=False):
        if array.dtype.kind == "O":
            items = [self.encode(item, f"{where}[{place}]") for place, item in enumerate(array.ravel().tolist())]
            return {_TAG: "objects", "shape": list(array.shape), "items": items}
        if array.dtype.kind not in _DTYPES or array.dtype.names:
            raise PersistenceError(f"{where} is an array of dtype {array.dtype}, which cannot be saved.")
        head = {"dtype": array.dtype.str, "shape": list(array.shape), "scalar": scalar}
        flat = np.ascontiguousarray(array).reshape(-1)
        if flat.dtype.kind in "fiu" and flat.size > 256 and (flat == 0).mean() > _SPARSE and not np.signbit(flat[flat == 0]).any():
            held = flat != 0
            mask, kept = zlib.compress(np.packbits(held).tobytes(), 9), zlib.compress(flat[held].tobytes(), 9)
            return {_TAG: "sparse", **head, "mask": self._member(mask, "mask.z"), "values": self._member(kept, "values.z")}
        return {_TAG: "array", **head, "member": self._member(_npy(flat), "npy")}

    def _pandas(self, value, where):
        if value is pd.NaT:
            return {_TAG: "nat"}
        if isinstance(value, pd.Timestamp):
            return {_TAG: "time", "value": value.as_unit("ns").value, "unit": value.unit, "zone": _zone(value.tz)}
        if isinstance(value, pd.Timedelta):
            return {_TAG: "duration", "value": value.as_unit("ns").value, "unit": value.unit}
        if isinstance(value, pd.MultiIndex):
            parts = [self.encode(value.get_level_values(k), where) for k in range(value.nlevels)]
            return {_TAG: "multiindex", "parts": parts, "names": self.encode(list(value.names), where)}
        if isinstance(value, pd.DatetimeIndex):
            stamps = self._array(value.as_unit("ns").asi8, where)
            return {_TAG: "times", "values": stamps, "unit": value.unit, "zone": _zone(value.tz), "name": self.encode(value.name, where)}
        if isinstance(value, pd.Index):
            data = value.to_numpy()
            return {_TAG: "index", "values": self._array(data, where), "name": self.encode(value.name, where)}
        if isinstance(value, pd.Series):
            head = {"index": self.encode(value.index, where), "name": self.encode(value.name, where)}
            return {_TAG: "series", "values": self._column(value, where), **head}
        if isinstance(value, pd.DataFrame):
            columns = [self._column(value.iloc[:, k], f"{where} column {value.columns[k]!r}") for k in range(value.shape[1])]
            return {_TAG: "frame", "names": self.encode(list(value.columns), where), "columns": columns, "index": self.encode(value.index, where)}
        return None

    def _column(self, column, where):
        if isinstance(column.dtype, (np.dtype, pd.StringDtype)):
            return self._array(column.to_numpy(), where)
        raise PersistenceError(f"{where} has dtype {column.dtype}, which cannot be saved.")

    def _object(self, value, where):
        if id(value) in self._seen:
            return {_TAG: "again", "number": self._seen[id(value)]}
        name = _home(type(value))
        if name is not None and name in _nets.CLASSES:
            self.needs |= {"skorch", "torch"}
            self.elsewhere |= not str(value.device).startswith("cpu")
            return self._numbered(value, {_TAG: "net", "class": name, "state": self.encode(_nets.state_of(value, where), where)})
        if name is not None and name in REGISTRY:
            self.needs |= _NEEDS.get(name, set())
            state = value.__getstate__()
            own = {key: self.encode(item, f"{where}.{key}") for key, item in state.items()}
            return self._numbered(value, {_TAG: "object", "class": name, "state": own})
        if isinstance(value, type) or callable(value):
            known = _home(value)
            if known is not None and known in _VALUES:
                return {_TAG: "value", "name": known}
        if isinstance(value, BaseEstimator) and type(value).__module__.split(".")[0] in ("sklearn", "imblearn"):
            return self._numbered(value, {_TAG: "sklearn", "member": self._skops(value, where)})
        raise PersistenceError(
            f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which a .sktrain file cannot hold: only sktrain's and "
            "scikit-learn's own estimators can. Save with joblib.dump instead, and open that file only where you trust it."
        )

    def _numbered(self, value, tree):
        self._seen[id(value)] = tree["number"] = len(self._seen)
        self._alive.append(value)  # ids stay unique while their objects live
        return tree

    def _skops(self, value, where):
        self.needs.add("skops")
        return self._member(_skops.dump(value, where), "skops")


class Decoder:
    """Rebuild an object from a tree and members; refuses every name the registry does not hold."""

    def __init__(self, members):
        self.members = members
        self._known = {}

    def decode(self, tree):
        """The object of ``tree``."""
        if tree is None or isinstance(tree, (bool, str, int, float)):
            return tree
        if not isinstance(tree, dict) or not isinstance(tree.get(_TAG), str):
            raise CorruptFileError("the manifest holds a value without a type.")
        reader = getattr(self, f"_read_{tree[_TAG]}", None)
        if reader is None:
            raise CorruptFileError(f"the manifest holds a value of unknown type {tree[_TAG]!r}.")
        return reader(tree)

    def _data(self, name):
        if name not in self.members:
            raise CorruptFileError(f"member {name!r} is missing.")
        return self.members[name]

    def _read_float(self, tree):
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[tree["value"]]

    def _read_bytes(self, tree):
        return self._data(tree["member"])

    def _read_list(self, tree):
        return [self.decode(item) for item in tree["items"]]

    def _read_tuple(self, tree):
        return tuple(self._read_list(tree))

    def _read_set(self, tree):
        return set(self._read_list(tree))

    def _read_frozenset(self, tree):
        return frozenset(self._read_list(tree))

    def _read_dict(self, tree):
        return {self.decode(key): self.decode(item) for key, item in tree["pairs"]}

    def _read_bunch(self, tree):
        from sklearn.utils import Bunch

        return Bunch(**self._read_dict(tree))

    def _read_objects(self, tree):
        out = np.empty(len(tree["items"]), dtype=object)
        out[:] = [self.decode(item) for item in tree["items"]]
        return out.reshape(_shape(tree))

    def _read_array(self, tree):
        return _restored(_from_npy(self._data(tree["member"])), tree)

    def _read_sparse(self, tree):
        dtype, size = _dtype(tree), math.prod(_shape(tree))
        if size * dtype.itemsize > _LIMIT:
            raise CorruptFileError(f"an array of shape {tree['shape']} is larger than a model may hold.")
        mask = np.frombuffer(_inflate(self._data(tree["mask"]), (size + 7) // 8), dtype=np.uint8)
        held = np.unpackbits(mask, count=size).astype(bool)
        values = np.frombuffer(_inflate(self._data(tree["values"]), int(held.sum()) * dtype.itemsize), dtype=dtype)
        flat = np.zeros(size, dtype=dtype)
        flat[held] = values
        return _restored(flat, tree)

    def _read_nat(self, tree):
        return pd.NaT

    def _read_time(self, tree):
        stamp = pd.Timestamp(tree["value"], unit="ns", tz="UTC").as_unit(tree["unit"])
        return stamp.tz_localize(None) if tree["zone"] is None else stamp.tz_convert(tree["zone"])

    def _read_duration(self, tree):
        return pd.Timedelta(tree["value"], unit="ns").as_unit(tree["unit"])

    def _read_times(self, tree):
        index = pd.DatetimeIndex(pd.to_datetime(self.decode(tree["values"]), unit="ns")).as_unit(tree["unit"])
        index = index if tree["zone"] is None else index.tz_localize("UTC").tz_convert(tree["zone"])
        return index.rename(self.decode(tree["name"]))

    def _read_index(self, tree):
        return pd.Index(self.decode(tree["values"]), name=self.decode(tree["name"]))

    def _read_multiindex(self, tree):
        return pd.MultiIndex.from_arrays([self.decode(part) for part in tree["parts"]], names=self.decode(tree["names"]))

    def _read_series(self, tree):
        return pd.Series(self.decode(tree["values"]), index=self.decode(tree["index"]), name=self.decode(tree["name"]))

    def _read_frame(self, tree):
        names = self.decode(tree["names"])
        frame = pd.DataFrame({place: self.decode(column) for place, column in enumerate(tree["columns"])}, index=self.decode(tree["index"]))
        return frame.set_axis(names, axis=1)

    def _read_value(self, tree):
        return _import(_VALUES, tree["name"])

    def _read_again(self, tree):
        return self._known[tree["number"]]

    def _read_object(self, tree):
        cls = _import(REGISTRY, tree["class"])
        value = cls.__new__(cls)
        self._known[tree["number"]] = value
        parts = dict(tree["state"])
        late = parts.pop(cls._late) if list(parts)[-1:] == [getattr(cls, "_late", None)] else None  # what is last, nothing refers to
        state = {key: self.decode(item) for key, item in parts.items()}
        value.__setstate__(state) if hasattr(value, "__setstate__") else vars(value).update(state)
        if late is not None:
            vars(value)["_opener"] = partial(self.decode, late)
        return value

    def _read_net(self, tree):
        try:
            cls = _import(_nets.CLASSES, tree["class"])
            value = _nets.rebuild(cls, self.decode(tree["state"]))
        except ModuleNotFoundError:
            if ["fitted", False] not in tree["state"]["pairs"]:
                raise
            value = _unavailable()  # an estimator that was only a recipe, beside a model that predicts without torch
        self._known[tree["number"]] = value
        return value

    def _read_sklearn(self, tree):
        value = self._known[tree["number"]] = _skops.rebuild(self._data(tree["member"]), tree["member"])
        return value


class ValueDecoder(Decoder):
    """Rebuild values, and no estimator."""

    def _read_object(self, tree):
        raise CorruptFileError("the manifest holds an object where a value should stand.")

    _read_net = _read_sklearn = _read_value = _read_again = _read_object


def _unavailable():
    from ..compression import UnavailableEstimator

    return UnavailableEstimator()


def _import(table, name):
    if name not in table:
        raise CorruptFileError(f"the file names {name!r}, which is not in the registry of what may be rebuilt.")
    module, attribute = table[name]
    return getattr(importlib.import_module(module), attribute)


def _zone(tz):
    return None if tz is None else str(tz)


def _npy(flat):
    from io import BytesIO

    buffer = BytesIO()
    np.lib.format.write_array(buffer, flat, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _from_npy(data):
    from io import BytesIO

    buffer = BytesIO(data)
    version = np.lib.format.read_magic(buffer)
    if version != (1, 0):
        raise CorruptFileError(f"an array of format {version} is not one this library wrote.")
    shape, _, dtype = np.lib.format.read_array_header_1_0(buffer)
    rest = data[buffer.tell() :]
    if dtype.hasobject or dtype.names or len(shape) != 1 or shape[0] * dtype.itemsize != len(rest):
        raise CorruptFileError("an array's header does not fit its data.")
    return np.frombuffer(rest, dtype=dtype).copy()


def _shape(tree):
    shape = tuple(tree["shape"])
    if len(shape) > 32 or any(type(size) is not int or size < 0 for size in shape):
        raise CorruptFileError(f"an array has the shape {tree['shape']!r}.")
    return shape


def _dtype(tree):
    dtype = np.dtype(str(tree["dtype"]))
    if dtype.kind not in _DTYPES or dtype.names:
        raise CorruptFileError(f"an array has the dtype {tree['dtype']!r}.")
    return dtype


def _restored(flat, tree):
    shape = _shape(tree)
    if flat.dtype != _dtype(tree) or flat.size != math.prod(shape):
        raise CorruptFileError(f"an array holds {flat.size} values of {flat.dtype}, its header says {tree['shape']} of {tree['dtype']}.")
    array = flat.reshape(shape)
    return array[()] if tree["scalar"] else array


def _inflate(data, expected):
    engine = zlib.decompressobj()
    out = engine.decompress(data, expected + 1)
    if len(out) != expected or not engine.eof:
        raise CorruptFileError("a compressed array does not have the length its header says.")
    return out

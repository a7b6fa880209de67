"""An object becomes plain values and named members: a tree that JSON can hold, never code.

What may be held is fixed: numbers, text, containers, NumPy arrays, pandas frames and times, the
classes of the registry by name and state, data holders of this library, and scikit-learn's own
estimators through skops. Everything else is refused, with its place in the object.
"""

from functools import lru_cache, partial
import math
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from ..exceptions import PersistenceError
from . import _checks, _nets, _registry, _skops
from ._arrays import DTYPES, bitmap, to_npy

__all__ = ["SCORERS", "TAG", "Encoder", "defaults"]

TAG = "!"
SCORERS = ("_PassthroughScorer", "_Scorer")
_LEFT = {  # what belongs to a machine or a run: at its default in the file, which says so
    "sktrain.search.OptunaSearchCV": ("study_", "storage"),
}
_SPARED = {  # left out, and said to be, only when a file cannot hold it: no prediction needs it
    "sktrain.search.OptunaSearchCV": (
        "callbacks",
        "cv",
        "epoch_pruner",
        "param_distributions",
        "pruner",
        "refit",
        "sampler",
        "scorer_",
        "scoring",
    ),
    "sklearn.model_selection.GridSearchCV": ("cv", "refit", "scorer_", "scoring"),
    "sklearn.model_selection.RandomizedSearchCV": (
        "cv",
        "param_distributions",
        "refit",
        "scorer_",
        "scoring",
    ),
}
_ABSENT = object()
_NULLABLE: Any = (
    pd.BooleanDtype,
    *(
        getattr(pd, f"{kind}{size}Dtype")
        for kind in ("Int", "UInt", "Float")
        for size in (8, 16, 32, 64)
        if hasattr(pd, f"{kind}{size}Dtype")
    ),
)


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
    left : list of str
        Places in the object that the file does not hold.

    Parameters
    ----------
    optimizer : bool, default=False
        Whether to keep the state of nets' optimizers.
    replay_rows : bool, default=True
        Whether to keep the rows that nets' updates train on again.
    """

    def __init__(self, optimizer=False, replay_rows=True):
        self.members = {}
        self.needs = set()
        self.elsewhere = False
        self.left = []
        self.optimizer = optimizer
        self.replay_rows = replay_rows
        self._seen = {}
        self._alive = []

    def encode(self, value, where="model"):
        """The tree of ``value``; ``where`` names its place in messages."""
        if value is None or isinstance(value, (bool, str)) or type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
        if isinstance(value, np.ma.MaskedArray):
            parts = {
                "values": value.filled(),
                "mask": np.ma.getmaskarray(value),
                "fill": value.fill_value,
            }
            return {
                TAG: "masked",
                **{name: self.encode(part, where) for name, part in parts.items()},
            }
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(np.asarray(value), where, scalar=isinstance(value, np.generic))
        if isinstance(value, bytes):
            return {TAG: "bytes", "member": self._member(value, "bin")}
        if isinstance(value, tuple) and _registry.is_record(type(value)):
            fields: Any = type(value)._fields  # type: ignore[attr-defined]  # of a named tuple
            return self._record(value, dict(zip(fields, value)), where)
        if isinstance(value, (list, tuple, set, frozenset)):
            items = sorted(value) if isinstance(value, (set, frozenset)) else value
            kind = type(value).__name__ if type(value) in (list, tuple, set, frozenset) else "tuple"
            return {
                TAG: kind,
                "items": [
                    self.encode(item, f"{where}[{place}]") for place, item in enumerate(items)
                ],
            }
        if isinstance(value, dict):
            return self._dict(value, where)
        return self._pandas(value, where) or self._object(value, where)

    def _dict(self, value, where):
        from sklearn.utils import Bunch

        pairs = [
            [self.encode(key, f"{where} key"), self.encode(item, f"{where}[{key!r}]")]
            for key, item in value.items()
        ]
        return {TAG: "bunch" if isinstance(value, Bunch) else "dict", "pairs": pairs}

    def _member(self, data, suffix):
        name = f"{len(self.members):04d}.{suffix}"
        self.members[name] = data
        return name

    def _array(self, array, where, scalar=False):
        if array.dtype.kind == "O":
            items = [
                self.encode(item, f"{where}[{place}]")
                for place, item in enumerate(array.ravel().tolist())
            ]
            return {TAG: "objects", "shape": list(array.shape), "items": items}
        if array.dtype.kind not in DTYPES or array.dtype.names:
            raise PersistenceError(
                f"{where} is an array of dtype {array.dtype}, which cannot be saved."
            )
        head = {"dtype": array.dtype.str, "shape": list(array.shape), "scalar": scalar}
        flat = np.ascontiguousarray(array).reshape(-1)
        packed = bitmap(flat)
        if packed is None:
            return {TAG: "array", **head, "member": self._member(to_npy(flat), "npy")}
        mask, kept = packed
        members = {"mask": self._member(mask, "mask.z"), "values": self._member(kept, "values.z")}
        return {TAG: "sparse", **head, **members}

    def _pandas(self, value, where):
        if value is pd.NaT or value is pd.NA:
            return {TAG: "nat" if value is pd.NaT else "na"}
        if isinstance(value, pd.Timestamp):
            stamp = value.as_unit("ns").value
            return {TAG: "time", "value": stamp, "unit": value.unit, "zone": _zone(value.tz)}
        if isinstance(value, pd.Timedelta):
            return {TAG: "duration", "value": value.as_unit("ns").value, "unit": value.unit}
        if isinstance(value, pd.Index):
            return self._index(value, where)
        if isinstance(value, pd.Series):
            index, name = self.encode(value.index, where), self.encode(value.name, where)
            values = self._column(value, where)
            return {TAG: "series", "values": values, "index": index, "name": name}
        if isinstance(value, pd.DataFrame):
            columns = [
                self._column(value.iloc[:, k], f"{where} column {value.columns[k]!r}")
                for k in range(value.shape[1])
            ]
            return {
                TAG: "frame",
                "names": self.encode(list(value.columns), where),
                "columns": columns,
                "index": self.encode(value.index, where),
            }
        return None

    def _index(self, index, where):
        if isinstance(index, pd.MultiIndex):
            parts = [self.encode(index.get_level_values(k), where) for k in range(index.nlevels)]
            return {
                TAG: "multiindex",
                "parts": parts,
                "names": self.encode(list(index.names), where),
            }
        if isinstance(index, pd.DatetimeIndex):
            return {
                TAG: "times",
                "values": self._array(index.as_unit("ns").asi8, where),
                "unit": index.unit,
                "zone": _zone(index.tz),
                "name": self.encode(index.name, where),
            }
        return {
            TAG: "index",
            "values": self._array(index.to_numpy(), where),
            "name": self.encode(index.name, where),
        }

    def _column(self, column, where):
        dtype = column.dtype
        if isinstance(dtype, (np.dtype, pd.StringDtype)):
            return self._array(column.to_numpy(), where)
        if isinstance(dtype, pd.DatetimeTZDtype):
            return {TAG: "column", "values": self.encode(pd.DatetimeIndex(column), where)}
        if isinstance(dtype, pd.CategoricalDtype):
            parts = {"codes": column.cat.codes.to_numpy(), "categories": column.cat.categories}
            told = {name: self.encode(part, where) for name, part in parts.items()}
            return {TAG: "category", **told, "ordered": bool(dtype.ordered)}
        if isinstance(dtype, _NULLABLE):
            mask = column.isna().to_numpy()
            values = column.array.fillna(False if dtype.kind == "b" else 0).to_numpy(
                dtype=dtype.numpy_dtype
            )
            parts = {"values": self._array(values, where), "mask": self._array(mask, where)}
            return {TAG: "nullable", **parts}
        raise PersistenceError(f"{where} has dtype {column.dtype}, which cannot be saved.")

    def _object(self, value, where):
        if id(value) in self._seen:
            return {TAG: "again", "number": self._seen[id(value)]}
        name = _registry.home_of(type(value))
        if name in _nets.CLASSES:
            self.needs |= {"skorch", "torch"}
            self.elsewhere |= not str(value.device).startswith("cpu")
            state = _nets.state_of(value, where, self)
            self._check_opens(value, state["params"], where)
            tree = {TAG: "net", "class": name, "state": self.encode(state, where)}
            return self._numbered(value, tree)
        if name in _registry.OBJECTS:
            return self._registered(value, name, where)
        if isinstance(value, type) or callable(value):
            known = _registry.home_of(value)
            if known in _registry.VALUES:
                return {TAG: "value", "name": known}
        found = self._special(value, where)
        if found is not None:
            return found
        own: Any = type(value)
        if _registry.is_record(own):
            return self._record(value, vars(value), where)
        ours = own.__module__.split(".")[0] in ("sklearn", "imblearn")
        if isinstance(value, BaseEstimator) and ours:
            return self._numbered(value, {TAG: "sklearn", "member": self._skops(value, where)})
        raise PersistenceError(
            f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which a .sktrain "
            "file cannot hold: only sktrain's and scikit-learn's own estimators can. Save with "
            "joblib.dump instead, and open that file only where you trust it."
        )

    def _registered(self, value, name, where):
        """A public estimator or callback, by its state."""
        self.needs |= _registry.NEEDS.get(name, set())
        state = dict(value.__getstate__() or {})  # None of an object without attributes
        if hasattr(value, "on_train_begin"):  # what a callback learned is made anew by the next fit
            passing = getattr(value, "passing_", ())
            gone = [
                key for key, item in state.items() if key.endswith("_") and not self.holds(item)
            ]
            state = {key: item for key, item in state.items() if key not in (*gone, *passing)}
        for key in (*_LEFT.get(name, ()), *_SPARED.get(name, ())):
            if key in state and (key in _LEFT.get(name, ()) or not self.holds(state[key])):
                self._leave(state, key, value, where)
        self._check_opens(value, state, where)
        own = {key: self.encode(item, f"{where}.{key}") for key, item in state.items()}
        return self._numbered(value, {TAG: "object", "class": name, "state": own})

    def _check_opens(self, value, state, where):
        """Refuse to write what :func:`load` would refuse to open."""
        try:
            _checks.check_parallel(state)
            if hasattr(type(value), "_inflates"):
                type(value)._inflates(state)
        except Exception as error:  # a state edited by hand fails in many ways
            raise PersistenceError(
                f"{where} ({type(value).__name__}) cannot be opened safely: {error}"
            ) from error

    def _leave(self, state, key, value, where):
        """A parameter becomes its default, something learned is dropped; the file says so."""
        own: Any = type(value)
        default = defaults(own).get(key, _ABSENT)
        if default is _ABSENT:
            state.pop(key)
            self.left.append(f"{where}.{key}")
        elif state[key] is not default:
            state[key] = default
            self.left.append(f"{where}.{key}")

    def holds(self, value):
        """Whether a file can hold ``value``."""
        try:
            Encoder(self.optimizer, self.replay_rows).encode(value)
        except PersistenceError:
            return False
        return True

    def _record(self, value, state, where):
        own = {key: self.encode(item, f"{where}.{key}") for key, item in state.items()}
        cls = type(value)
        name = f"{cls.__module__}.{cls.__qualname__}"
        return self._numbered(value, {TAG: "record", "class": name, "state": own})

    def _special(self, value, where):
        """Values that have a spelling of their own: slices, partials, generators, tensors, scorers
        and search distributions."""
        kind, module = type(value), type(value).__module__
        if kind is slice:
            ends = [self.encode(end, where) for end in (value.start, value.stop, value.step)]
            return {TAG: "slice", "items": ends}
        if kind is partial:
            parts = {"func": value.func, "args": value.args, "keywords": value.keywords}
            return {
                TAG: "partial",
                **{key: self.encode(part, where) for key, part in parts.items()},
            }
        if kind is np.random.RandomState or kind is np.random.Generator:
            # a RandomState may hold back the second of two normal numbers
            whole = kind is np.random.RandomState
            state = value.get_state(legacy=False) if whole else value.bit_generator.state
            return {TAG: "random", "kind": kind.__name__, "state": self.encode(state, where)}
        if module.partition(".")[0] == "torch" and hasattr(value, "detach"):
            if value.dtype.is_floating_point and value.element_size() == 2:
                return None
            return {TAG: "tensor", "values": self._array(value.detach().cpu().numpy(), where)}
        if module == "sklearn.metrics._scorer" and kind.__name__ in SCORERS:
            state = {key: self.encode(item, where) for key, item in vars(value).items()}
            return self._numbered(value, {TAG: "scorer", "class": kind.__name__, "state": state})
        if module == "optuna.distributions":
            from optuna.distributions import distribution_to_json

            return {TAG: "distribution", "json": distribution_to_json(value)}
        return None

    def _numbered(self, value, tree):
        self._seen[id(value)] = tree["number"] = len(self._seen)
        self._alive.append(value)  # ids stay unique while their objects live
        return tree

    def _skops(self, value, where):
        self.needs.add("skops")
        return self._member(_skops.dump(value, where), "skops")


@lru_cache(maxsize=256)
def defaults(cls):
    """Default values of a class's parameters."""
    from inspect import Parameter, signature

    parameters = signature(cls.__init__).parameters.values()
    return {
        one.name: None if one.default is Parameter.empty else one.default
        for one in parameters
        if one.name != "self"
    }


def _zone(tz):
    return None if tz is None else str(tz)

"""Plain values and named members become an object again, within a budget.

Every name is looked up in the registry; a file that names anything else is refused.
"""

from functools import partial
import math
import re

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from ..exceptions import CorruptFileError, PersistenceError
from . import _checks, _nets, _registry, _skops
from ._arrays import SPARSE, Budget, dtype_of, from_npy, inflate, restored, shape_of
from ._encoder import SCORERS, TAG, defaults

__all__ = ["Decoder", "ValueDecoder"]

_BITS = {
    name: getattr(np.random, name) for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
}
# bytes that a value takes beside its own, half of what it may take at most, as the limit is half of
# the memory that opening may take: an object of text (CPython 3.11: 50 and its place in an array);
# a code and a place in the hash table of a level (pandas 3.0: 34 measured); a number in two lists
_PER_OBJECT, _PER_LEVEL, _PER_PLAIN = 32, 20, 24


class Decoder:
    """Rebuild an object from a tree and members; refuses every name the registry does not hold.

    Parameters
    ----------
    members : dict of str to bytes
    budget : Budget, optional
        What may be inflated; default without limit, for what was just encoded here.
    """

    def __init__(self, members, budget=None):
        self.members = members
        self.budget = Budget(math.inf) if budget is None else budget
        self._known = {}

    def decode(self, tree):
        """The object of ``tree``."""
        if tree is None or isinstance(tree, (bool, str, int, float)):
            return tree
        if not isinstance(tree, dict) or not isinstance(tree.get(TAG), str):
            raise CorruptFileError("the manifest holds a value without a type.")
        reader = getattr(self, f"_read_{tree[TAG]}", None)
        if reader is None:
            raise CorruptFileError(f"the manifest holds a value of unknown type {tree[TAG]!r}.")
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

    def _read_slice(self, tree):
        ends = self._read_list(tree)
        if len(ends) != 3 or any(type(end) is not int and end is not None for end in ends):
            raise CorruptFileError(f"the file holds a slice of {ends!r}, not of whole numbers.")
        return slice(*ends)

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
        return out.reshape(shape_of(tree))

    def _flat(self, tree, n=None):
        """An array of one axis, of ``n`` values where that is known."""
        values = self.decode(tree)
        fits = isinstance(values, np.ndarray) and values.ndim == 1
        if not fits or len(values) != (len(values) if n is None else n):
            raise CorruptFileError("the file holds a column that does not fit its rows.")
        self.budget.spend(_PER_OBJECT * len(values) if values.dtype.kind in "SU" else 0)
        return values

    def _read_masked(self, tree):
        values, mask, fill = (self.decode(tree[name]) for name in ("values", "mask", "fill"))
        if not isinstance(values, np.ndarray) or np.shape(mask) != values.shape:
            raise CorruptFileError("the file holds a masked array without its mask.")
        return np.ma.MaskedArray(values, mask=mask, fill_value=fill)

    def _read_array(self, tree):
        data = self._data(tree["member"])
        self.budget.spend(len(data))
        return restored(from_npy(data, dtype_of(tree), math.prod(shape_of(tree))), tree)

    def _read_sparse(self, tree):
        dtype, size = dtype_of(tree), math.prod(shape_of(tree))
        if dtype.kind not in SPARSE:
            raise CorruptFileError(f"the file holds a sparse array of {tree['dtype']!r}.")
        self.budget.spend(size * (dtype.itemsize + 1))
        packed = inflate(self._data(tree["mask"]), (size + 7) // 8)
        held = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=size).view(bool)
        kept = inflate(self._data(tree["values"]), int(held.sum()) * dtype.itemsize)
        flat = np.zeros(size, dtype=dtype)
        flat[held] = np.frombuffer(kept, dtype=dtype)
        return restored(flat, tree)

    def _read_na(self, tree):
        return pd.NA

    def _read_column(self, tree):
        return pd.Series(self.decode(tree["values"]))

    def _read_category(self, tree):
        codes, categories = self._flat(tree["codes"]), self.decode(tree["categories"])
        return pd.Series(pd.Categorical.from_codes(codes, categories, ordered=tree["ordered"]))

    def _read_nullable(self, tree):
        values, mask = self.decode(tree["values"]), self.decode(tree["mask"])
        made = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
        return pd.Series(made.get(values.dtype.kind, pd.arrays.IntegerArray)(values, mask))

    def _read_nat(self, tree):
        return pd.NaT

    def _read_time(self, tree):
        stamp = pd.Timestamp(tree["value"], unit="ns", tz="UTC").as_unit(tree["unit"])
        zone = _zone_of(tree)
        return stamp.tz_localize(None) if zone is None else stamp.tz_convert(zone)

    def _read_duration(self, tree):
        return pd.Timedelta(tree["value"], unit="ns").as_unit(tree["unit"])

    def _read_times(self, tree):
        values, zone = self._flat(tree["values"]), _zone_of(tree)
        if values.dtype != np.int64:
            raise CorruptFileError(f"the file holds times of {values.dtype}, not of whole numbers.")
        index = pd.DatetimeIndex(values.view("datetime64[ns]")).as_unit(tree["unit"])
        index = index if zone is None else index.tz_localize("UTC").tz_convert(zone)
        return index.rename(self.decode(tree["name"]))

    def _read_index(self, tree):
        return pd.Index(self._flat(tree["values"]), name=self.decode(tree["name"]))

    def _read_multiindex(self, tree):
        parts = [self.decode(part) for part in tree["parts"]]
        if not all(isinstance(part, pd.Index) for part in parts):
            raise CorruptFileError("the file holds an index of several levels without its levels.")
        self.budget.spend(_PER_LEVEL * sum(map(len, parts)))
        return pd.MultiIndex.from_arrays(parts, names=self.decode(tree["names"]))

    def _read_series(self, tree):
        index = self._index(tree)
        values = self._column(tree["values"], len(index))
        return pd.Series(values, index=index, name=self.decode(tree["name"]))

    def _read_frame(self, tree):
        names, index = self.decode(tree["names"]), self._index(tree)
        columns = [self._column(column, len(index)) for column in tree["columns"]]
        return pd.DataFrame(dict(enumerate(columns)), index=index).set_axis(names, axis=1)

    def _index(self, tree):
        index = self.decode(tree["index"])
        if not isinstance(index, pd.Index):
            raise CorruptFileError("the file holds a table without an index.")
        return index

    def _column(self, tree, n):
        """A column of ``n`` rows; one value for all of them would take what no file holds."""
        if isinstance(tree, dict) and tree.get(TAG) in ("array", "objects", "sparse"):
            values = self._flat(tree, n)
            self.budget.spend(values.nbytes)  # pandas copies columns into blocks
            return values
        column = self.decode(tree)
        if not isinstance(column, pd.Series) or len(column) != n:
            raise CorruptFileError("the file holds a column that does not fit its rows.")
        return column.array

    def _read_value(self, tree):
        return _registry.imported(_registry.VALUES, tree["name"])

    def _read_again(self, tree):
        return self._known[tree["number"]]

    def _read_partial(self, tree):
        if not isinstance(tree["func"], dict) or tree["func"].get(TAG) != "value":
            raise CorruptFileError("the file holds a partial of what is not in the registry.")
        func, args, keywords = (self.decode(tree[name]) for name in ("func", "args", "keywords"))
        _checks.check_parallel(keywords)
        return partial(func, *args, **keywords)

    def _read_random(self, tree):
        state = self.decode(tree["state"])
        _checks.check_random_state(state)
        bits = _BITS[state["bit_generator"]](0)
        bits.state = state
        kinds = {"RandomState": np.random.RandomState, "Generator": np.random.Generator}
        made = kinds[tree["kind"]](bits)
        if tree["kind"] == "RandomState":
            made.set_state(state)  # with a normal number it may hold back
        return made

    def _read_tensor(self, tree):
        import torch

        values = self.decode(tree["values"])
        if not isinstance(values, np.ndarray):
            raise CorruptFileError("the file holds a tensor without values.")
        self.budget.spend(values.nbytes)
        return torch.from_numpy(values.copy())

    def _read_scorer(self, tree):
        from sklearn.metrics import _scorer

        if tree["class"] not in SCORERS:
            raise CorruptFileError(f"the file names the scorer {tree['class']!r}.")
        cls = getattr(_scorer, tree["class"])
        value = self._known[tree["number"]] = cls.__new__(cls)
        vars(value).update({key: self.decode(item) for key, item in tree["state"].items()})
        return value

    def _read_distribution(self, tree):
        from optuna.distributions import json_to_distribution

        return json_to_distribution(tree["json"])

    def _read_record(self, tree):
        cls = _registry.record_class(tree["class"])
        state = tree["state"]
        if issubclass(cls, tuple):
            made = cls(**{key: self.decode(item) for key, item in state.items()})
            self._known[tree["number"]] = made
            return made
        value = self._known[tree["number"]] = object.__new__(cls)
        for key, item in state.items():
            object.__setattr__(value, _named(key), self.decode(item))
        return value

    def _read_object(self, tree):
        cls = _registry.imported(_registry.OBJECTS, tree["class"])
        value = cls.__new__(cls)
        self._known[tree["number"]] = value
        parts = dict(tree["state"])
        waits = list(parts)[-1:] == [getattr(cls, "_late", None)]  # what is last, nothing refers to
        late = parts.pop(cls._late) if waits else None
        state = {_named(key): self.decode(item) for key, item in parts.items()}
        waiting = {cls._late} if waits else set()
        later = _later_parameters(cls, state)
        state |= {key: value for key, value in later.items() if key not in waiting}
        _checks.check_parallel(state)
        if hasattr(cls, "_inflates"):
            self.budget.spend(cls._inflates(state))
        if hasattr(value, "__setstate__"):
            value.__setstate__(state)
        else:
            vars(value).update(state)
        if waits:
            vars(value)["_opener"] = partial(self._open_late, late)
        return value

    def _open_late(self, tree):
        try:
            return self.decode(tree)
        except (PersistenceError, MemoryError, ModuleNotFoundError):
            raise
        except Exception as error:  # whatever a hostile tree provokes is the file's fault
            raise CorruptFileError(
                f"a part of the model cannot be rebuilt: {type(error).__name__}: {error}"
            ) from error

    def _read_net(self, tree):
        try:
            cls = _registry.imported(_nets.CLASSES, tree["class"])
            value = _nets.rebuild(cls, self.decode(tree["state"]))
        except ModuleNotFoundError:
            if ["fitted", False] not in tree["state"]["pairs"]:
                raise
            value = _unavailable()  # a mere recipe, beside a model that predicts without torch
        self._known[tree["number"]] = value
        return value

    def _read_sklearn(self, tree):
        data = self._data(tree["member"])
        value = _skops.rebuild(data, tree["member"], self.budget)
        self._known[tree["number"]] = value
        return value


class ValueDecoder(Decoder):
    """Rebuild values, and no estimator."""

    def _read_array(self, tree):
        self.budget.spend(_PER_PLAIN * math.prod(shape_of(tree)))
        return super()._read_array(tree)

    def _read_sparse(self, tree):
        self.budget.spend(_PER_PLAIN * math.prod(shape_of(tree)))
        return super()._read_sparse(tree)

    def _read_object(self, tree):
        raise CorruptFileError("the manifest holds an object where a value should stand.")

    _read_net = _read_sklearn = _read_value = _read_again = _read_object
    _read_record = _read_partial = _read_scorer = _read_tensor = _read_random = _read_object


def _later_parameters(cls, state):
    """Parameters that a class of ours got after the file was written, at their defaults: these do
    what it did before."""
    plain = issubclass(cls, BaseEstimator) and cls.get_params is BaseEstimator.get_params
    if not plain or not cls.__module__.startswith("sktrain."):
        return {}
    names = cls._get_param_names()
    known = defaults(cls).items()
    return {name: value for name, value in known if name in names and name not in state}


def _zone_of(tree):
    """The time zone that a tree names; of those that pandas knows, dateutil's may be any file."""
    zone = tree["zone"]
    if zone is not None and (not isinstance(zone, str) or zone.startswith("dateutil/")):
        raise CorruptFileError(f"the file names the time zone {zone!r}.")
    return zone


def _named(key):
    """The name of an attribute, which may not be one of Python's own."""
    if not isinstance(key, str) or re.fullmatch(r"__\w*__", key):
        raise CorruptFileError(f"the file names the attribute {key!r}.")
    return key


def _unavailable():
    from ..compression import UnavailableEstimator

    return UnavailableEstimator()

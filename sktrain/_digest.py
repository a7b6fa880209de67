"""Say whether two things are the same: one digest of values, rows, estimators and functions.

Equal things have equal digests in every process of the same Python; a changed constant, default,
closure, keyword of a ``partial``, line of code or version of a library gives another digest. Places
in memory, file names, line numbers and docstrings do not enter.
"""

from collections.abc import Mapping
import dis
from functools import partial
import hashlib
from importlib.metadata import PackageNotFoundError, version
import io
import os
import sys
import sysconfig
import types

import numpy as np
import pandas as pd

__all__ = ["digest_of", "library_version"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented))
_BOOKKEEPING = {
    "__dict__",
    "__weakref__",
    "__doc__",
    "__module__",
    "__qualname__",
    "__firstlineno__",
    "__static_attributes__",
}
_GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME"}
# elements of an array hashed at a time: 8 MB of float64, so that a view is never copied whole
_BLOCK = 1 << 20
_INSTALLED = tuple(
    {
        os.path.realpath(path) + os.sep
        for path in map(sysconfig.get_path, ("purelib", "platlib", "stdlib", "platstdlib"))
    }
)


def digest_of(*things: object) -> str:
    """SHA-256 of what ``things`` are, equal in every process.

    Functions count with their code, constants, defaults, closures and the globals they read, as far
    as these are your own; what belongs to an installed library counts by name and version. Classes
    of your own count with their methods and bases, ``functools.partial`` with its arguments,
    estimators with their parameters, other objects with their state. What has no state that can be
    read (an open file, a lock) counts by its class alone.

    Parameters
    ----------
    *things : object
        Numbers, text, containers, arrays, tensors, pandas objects, callables, classes, estimators.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> from functools import partial
    >>> digest_of(partial(round, ndigits=1)) == digest_of(partial(round, ndigits=1))
    True
    >>> digest_of(partial(round, ndigits=1)) == digest_of(partial(round, ndigits=2))
    False
    >>> digest_of(lambda x: x + 1) == digest_of(lambda x: x + 2)
    False
    """
    return _Reader().of(things).hex()


def library_version(name: str) -> str:
    """Version of the installed library that the module ``name`` belongs to; "" when it does not
    say.

    Examples
    --------
    >>> import numpy
    >>> library_version("numpy.linalg") == numpy.__version__
    True
    """
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names:
        return ".".join(map(str, sys.version_info[:3]))
    told = getattr(sys.modules.get(root), "__version__", None)
    if isinstance(told, str):
        return told
    try:
        return version(root)
    except (PackageNotFoundError, ValueError):
        return ""


def _installed(name):
    """Whether the module ``name`` belongs to Python, to sktrain or to an installed library, which
    its version identifies."""
    root = (name or "").partition(".")[0]
    if root == __name__.partition(".")[0] or root in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(root), "__file__", None)
    return file is not None and os.path.realpath(file).startswith(_INSTALLED)


class _Reader:
    """One pass over a graph of objects. Each object is read once; a cycle is a reference to where
    it began."""

    def __init__(self):
        self._known = {}  # id -> digest, or the number of an object that is being read
        self._alive = []  # ids stay unique while their objects live

    def of(self, thing):
        """Digest of ``thing`` as 32 bytes."""
        if isinstance(thing, _PLAIN):
            return _joined(type(thing).__name__, repr(thing))
        known = self._known.get(id(thing))
        if known is not None:
            return known if isinstance(known, bytes) else _joined("cycle", str(known))
        self._known[id(thing)] = len(self._alive)
        self._alive.append(thing)
        digest = self._known[id(thing)] = self._read(thing)
        return digest

    def _read(self, thing):
        for kinds, reader in _READERS:
            if isinstance(thing, kinds):
                return reader(self, thing)
        if hasattr(thing, "state_dict") and hasattr(thing, "named_modules"):
            return self._torch_module(thing)
        if hasattr(thing, "detach") and hasattr(thing, "cpu"):
            return _joined(
                "tensor", str(thing.dtype), str(tuple(thing.shape)), self.of(_values_of(thing))
            )
        if hasattr(thing, "get_params") and not hasattr(thing, "__sklearn_clone__"):
            return _joined("estimator", self.of(type(thing)), self.of(thing.get_params(deep=False)))
        return self._object(thing)

    def many(self, things):
        return [self.of(thing) for thing in things]

    def _sequence(self, things):
        return _joined("sequence", self._kind(things), *self.many(things))

    def _set(self, things):
        return _joined("set", *sorted(self.many(things)))

    def _mapping(self, things):
        return _joined(
            "mapping",
            *sorted(_joined(self.of(key), self.of(value)) for key, value in things.items()),
        )

    def _kind(self, thing):
        kind = type(thing)
        return kind.__name__ if kind in (list, tuple) else self.of(kind)

    def _array(self, array):
        array = np.asanyarray(array)
        head = ("array", array.dtype.str, repr(array.dtype.names), str(array.shape))
        if array.dtype.hasobject:
            return _joined(*head, *self.many(array.ravel().tolist()))
        mark = hashlib.sha256()
        flat = array.ravel() if array.flags.c_contiguous else array.flat
        for low in range(0, array.size, _BLOCK):
            mark.update(np.ascontiguousarray(flat[low : low + _BLOCK]).tobytes())
        return _joined(*head, mark.digest())

    def _frame(self, frame):
        kind, frame = (
            type(frame).__name__,
            frame.to_frame() if isinstance(frame, (pd.Series, pd.Index)) else frame,
        )
        names = self.many(
            [
                list(frame.columns),
                list(frame.index.names),
                list(map(str, frame.dtypes)),
                str(frame.index.dtype),
            ]
        )
        head = (kind, *names, str(frame.shape))
        try:
            return _joined(
                *head, pd.util.hash_pandas_object(frame, index=True).to_numpy().tobytes()
            )
        except TypeError:  # cells that cannot be hashed, such as lists
            return _joined(
                *head, *self.many([frame.index.to_numpy(), frame.to_numpy(dtype=object)])
            )

    def _dtype(self, dtype):
        return _joined("dtype", repr(dtype))

    def _partial(self, thing):
        return _joined("partial", *self.many([thing.func, thing.args, thing.keywords]))

    def _method(self, thing):
        return _joined("method", thing.__name__, self.of(thing.__self__))

    def _module(self, module):
        return _joined("module", module.__name__, library_version(module.__name__))

    def _descriptor(self, thing):
        parts = (
            (thing.fget, thing.fset, thing.fdel)
            if isinstance(thing, property)
            else (thing.__func__,)
        )
        return _joined(type(thing).__name__, *self.many(parts))

    def _function(self, function):
        closure = [_content(cell) for cell in function.__closure__ or ()]
        own = self.many(
            [function.__code__, function.__defaults__, function.__kwdefaults__, closure]
        )
        if _installed(function.__module__):
            named = (
                function.__module__,
                function.__qualname__,
                library_version(function.__module__),
            )
            return _joined("function", *named, *own)
        return _joined("function", *own, *self._globals(function))

    def _globals(self, function):
        """Globals that a function of the user's own reads; of a module of his own, the attributes
        it takes."""
        space = function.__globals__
        names, attributes = _names_read(function.__code__)
        for name in sorted(names & space.keys()):
            value = space[name]
            yield _joined(name, self.of(value))
            if isinstance(value, types.ModuleType) and not _installed(value.__name__):
                yield from (
                    _joined(name, one, self.of(vars(value)[one]))
                    for one in sorted(attributes & vars(value).keys())
                )

    def _code(self, code):
        constants = list(code.co_consts)
        if constants and isinstance(constants[0], str) and _is_docstring(code):
            constants[0] = None
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        return _joined("code", code.co_code, *self.many([constants, names, counts]))

    def _builtin(self, thing):
        owner = getattr(thing, "__self__", None)
        bound = owner is not None and not isinstance(owner, types.ModuleType)
        module = getattr(thing, "__module__", None) or type(thing).__module__
        return _joined(
            "builtin",
            module,
            # numpy 2.0's ufuncs have no qualified name
            getattr(thing, "__qualname__", thing.__name__),
            library_version(module),
            *([self.of(owner)] if bound else []),
        )

    def _class(self, cls):
        name = _joined("class", cls.__qualname__)
        if _installed(cls.__module__):
            return _joined(name, cls.__module__, library_version(cls.__module__))
        own = {
            key: value
            for key, value in vars(cls).items()
            if key not in _BOOKKEEPING and not key.startswith("_abc_")
        }
        return _joined(name, *self.many([list(cls.__bases__), own]))

    def _torch_module(self, module):
        parts = [
            (
                name,
                type(part),
                {k: v for k, v in vars(part).items() if k[0] != "_" and k != "training"},
            )
            for name, part in module.named_modules()
        ]
        return _joined("torch module", *self.many([parts, dict(module.state_dict())]))

    def _object(self, thing):
        """By class and state, as pickling would tell them."""
        wrapped = getattr(thing, "__wrapped__", None)
        if callable(thing) and wrapped is not None:
            return _joined("wrapper", *self.many([type(thing), wrapped]))
        try:
            state = thing.__reduce_ex__(4)
        except Exception:  # in errors of their own; what has no state counts by its class
            return _joined("object", self.of(type(thing)))
        if isinstance(state, str):
            return _joined("object", self.of(type(thing)), state)
        made, arguments, *rest = state
        rest = [
            list(part) if index in (1, 2) and part is not None else part
            for index, part in enumerate(rest)
        ]
        return _joined("object", *self.many([type(thing), made, arguments, *rest]))


def _joined(*parts):
    """Digest of texts and bytes, each with its length, so that no two lists of parts run
    together."""
    mark = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        mark.update(len(data).to_bytes(8, "little") + data)
    return mark.digest()


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return NotImplemented


def _values_of(tensor):
    """The values of a tensor as an array of bytes: NumPy knows no bfloat16."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy() if len(flat) else np.empty(0)


def _is_docstring(code):
    """Whether the first constant of a function is its docstring alone: nothing in the code loads
    it."""
    return not any("CONST" in step.opname and step.arg == 0 for step in dis.get_instructions(code))


def _names_read(code):
    """Names of globals, and of attributes, that a function and those written inside it read."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in _GLOBALS}
    attributes = set(code.co_names) - names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner, more = _names_read(constant)
            names, attributes = names | inner, attributes | more
    return names, attributes


_READERS = (
    ((list, tuple), _Reader._sequence),
    ((set, frozenset), _Reader._set),
    ((Mapping, types.MappingProxyType), _Reader._mapping),
    ((np.ndarray, np.generic), _Reader._array),
    ((pd.DataFrame, pd.Series, pd.Index), _Reader._frame),
    (np.dtype, _Reader._dtype),
    (partial, _Reader._partial),
    (types.MethodType, _Reader._method),
    (types.FunctionType, _Reader._function),
    (types.CodeType, _Reader._code),
    (types.ModuleType, _Reader._module),
    ((property, staticmethod, classmethod), _Reader._descriptor),
    (
        (
            types.BuiltinFunctionType,
            types.MethodDescriptorType,
            types.WrapperDescriptorType,
            np.ufunc,
        ),
        _Reader._builtin,
    ),
    (type, _Reader._class),
    (io.IOBase, lambda reader, thing: _joined("file", type(thing).__name__)),
)

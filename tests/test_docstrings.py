"""Every public name is documented whole: parameters, defaults that are true, what is returned."""

import ast
import dataclasses
import enum
from functools import cache
from importlib import import_module
import inspect
import re

from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate
import pytest

import sktrain

# No docstring; a parameter not described, unknown, or without a description; nothing said about
# what is returned, or no description of it.
CODES = {"GL08", "PR01", "PR02", "PR07", "RT01", "RT03"}

# Called by torch, skorch and scikit-learn, never by a user.
HOOKS = re.compile(r"on_\w+|forward|extra_repr|set_\w+_request")

EXCEPTIONS: dict[tuple[str, str], str] = {}  # (name, code): why


class Name(str):
    """A default that is stated by name, such as a class or ``nan``."""


def _names():
    yield from (f"sktrain.{name}" for name in sktrain.__all__ if name != "__version__")
    for module in sktrain._MODULES:
        public = getattr(import_module(f"sktrain.{module}"), "__all__", ())
        yield from (f"sktrain.{module}.{name}" for name in public if name not in sktrain.__all__)


def _get(name):
    module, _, own = name.rpartition(".")
    return getattr(import_module(module), own)


def _function(found):
    """The function behind a method, property or ``available_if`` descriptor; None for others."""
    found = getattr(found, "__func__", getattr(found, "fget", getattr(found, "fn", found)))
    found = inspect.unwrap(found) if callable(found) else None
    return found if inspect.isfunction(found) else None


def _methods(cls):
    for name in dir(cls):
        function = _function(inspect.getattr_static(cls, name))
        if name.startswith("_") or HOOKS.fullmatch(name) or function is None:
            continue
        if function.__module__.startswith("sktrain"):  # else inherited, and documented there
            yield name, function


@cache
def documented():
    """Public names and the methods of public classes, a method that several inherit once."""
    found = {}
    for name in _names():
        thing = _get(name)
        if not callable(thing):
            continue  # a constant
        found.setdefault(thing, name)
        if inspect.isclass(thing):
            for method, function in _methods(thing):
                found.setdefault(function, f"{name}.{method}")
    return {name: thing for thing, name in found.items()}


def _has_fields(thing):
    """Whether the constructor's parameters are fields (or members), documented as attributes."""
    if dataclasses.is_dataclass(thing):
        return True
    return inspect.isclass(thing) and issubclass(thing, (tuple, enum.Enum))



def _entries(thing, section):
    """(names, type) of each entry of a section."""
    for entry in NumpyDocString(inspect.getdoc(thing) or "")[section]:
        yield [name.strip().lstrip("*") for name in entry.name.split(",")], entry.type


def _fields(thing):
    if dataclasses.is_dataclass(thing):
        return {field.name for field in dataclasses.fields(thing) if field.init}
    return set(getattr(thing, "_fields", ()))


def test_every_public_name_is_documented_whole():
    wrong = []
    for name, thing in documented().items():
        for code, message in validate(name)["errors"]:
            if code in CODES and (name, code) not in EXCEPTIONS:
                if code in ("PR01", "PR02") and _has_fields(thing):
                    continue  # the next test
                wrong.append(f"{name}: {code} {message}")
    assert not wrong, "\n".join(wrong)


def test_every_public_name_has_an_example():
    """Methods are shown by their class's example, errors and warnings by what raises them."""
    public = {name: _get(name) for name in _names()}
    bare = [
        name
        for name, thing in public.items()
        if callable(thing)
        and not (inspect.isclass(thing) and issubclass(thing, BaseException))
        and not NumpyDocString(inspect.getdoc(thing) or "")["Examples"]
    ]
    assert not bare
    assert len(public) > 100


def test_every_field_is_documented():
    wrong = []
    for name, thing in documented().items():
        if inspect.isclass(thing) and _has_fields(thing):
            entries = [*_entries(thing, "Parameters"), *_entries(thing, "Attributes")]
            told = {one for names, _ in entries for one in names}
            wrong += [f"{name}.{field}" for field in sorted(_fields(thing) - told)]
    assert not wrong, "\n".join(wrong)


def _values(text, n):
    """The default that a type text states for each of n names; None when it states none."""
    stated = re.search(r"default\s*[=:]\s*(.+)$", text)
    if stated is None:
        return None
    text = stated[1].replace(" and ", ", ").strip()
    named = re.fullmatch(r"(?!None|True|False)[A-Za-z_][\w.]*", text)
    value = Name(text.split(".")[-1]) if named else ast.literal_eval(text)
    if n > 1 and isinstance(value, tuple) and not text.startswith("("):
        assert len(value) == n, f"{len(value)} defaults for {n} names"
        return list(value)
    return [value] * n


def _same(a, b):
    """Whether a stated default ``a`` is the real one ``b``."""
    if isinstance(a, Name):
        return a == getattr(b, "__name__", repr(b))
    return (type(a) is type(b) or {type(a), type(b)} <= {int, float}) and a == b


def _wrong_defaults(name, thing, section, real):
    for names, kind in _entries(thing, section):
        try:
            stated = _values(kind, len(names))
        except (ValueError, SyntaxError, AssertionError) as error:
            yield f"{name}({', '.join(names)}): {kind!r} cannot be read: {error}"
            continue
        for one, value in zip(names, stated or []):
            if one in real and not _same(value, real[one]):
                yield f"{name}({one}): {value!r} is documented, {real[one]!r} is the default"


def _real_defaults(thing):
    """Default of each parameter that has one; those made by a factory are made."""
    found = {}
    if dataclasses.is_dataclass(thing):
        for field in dataclasses.fields(thing):
            if field.default_factory is not dataclasses.MISSING:
                found[field.name] = field.default_factory()
            elif field.default is not dataclasses.MISSING:
                found[field.name] = field.default
            else:
                found[field.name] = inspect.Parameter.empty
        return found
    try:
        parameters = inspect.signature(thing).parameters.values()
    except ValueError:
        return found
    return {parameter.name: parameter.default for parameter in parameters}


def test_documented_defaults_are_the_defaults():
    wrong = []
    for name, thing in documented().items():
        if inspect.isclass(thing) and issubclass(thing, enum.Enum):
            continue
        real = _real_defaults(thing)
        wrong += _wrong_defaults(name, thing, "Parameters", real)
        if dataclasses.is_dataclass(thing):
            wrong += _wrong_defaults(name, thing, "Attributes", real)
    assert not wrong, "\n".join(wrong)


def test_the_exceptions_are_still_needed():
    for (name, code), why in EXCEPTIONS.items():
        assert why
        assert code in [found for found, _ in validate(name)["errors"]], (name, code)


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("float, default=0.5", 1, [0.5]),
        ("float, default=0.0 and 3.0", 2, [0.0, 3.0]),
        ("float, default=1.0", 2, [1.0, 1.0]),
        ('tuple, default=("a", "b")', 1, [("a", "b")]),
        ("class, default=torch.optim.AdamW", 1, ["AdamW"]),
        ("float, optional", 1, None),
    ],
)
def test_stated_defaults_are_read(text, n, expected):
    assert _values(text, n) == expected


def test_a_wrong_default_is_noticed():
    def scale(x, factor=2):
        """Scale.

        Parameters
        ----------
        x : float
            Number.
        factor : int, default=3
            Factor.
        """

    found = list(_wrong_defaults("scale", scale, "Parameters", _real_defaults(scale)))
    assert found == ["scale(factor): 3 is documented, 2 is the default"]

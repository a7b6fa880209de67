"""What type checkers know of the package: annotated signatures, how few of them say ``Any``, the
names of ``sktrain`` itself, and what mypy accepts and refuses of a user's code."""

import inspect
from pathlib import Path
import re
import subprocess
import sys
import typing

import pytest
from test_docstrings import documented

import sktrain

STUB = Path(sktrain.__file__).with_suffix(".pyi")
USER = Path(__file__).parent / "typed_user.py"
SHARE = 1.0  # of the public signatures are annotated whole. Never lower it.
# Parameters, and returned values, that may be Any: what skorch, a file or a model of any kind tells
# no types of. When this was written 15 of 1100 and 5 of 281 were. Never raise it.
ANY_SHARE = {"parameters": 0.014, "returned values": 0.018}


def _function(thing):
    function = inspect.unwrap(thing.__init__ if inspect.isclass(thing) else thing)
    ours = inspect.isfunction(function) and function.__module__.startswith("sktrain")
    return function if ours else None  # a constructor may be inherited from a library


def _functions():
    found = {name: _function(thing) for name, thing in documented().items()}
    return {name: function for name, function in found.items() if function is not None}


def _is_whole(function):
    signature = inspect.signature(function)
    given = [p for name, p in signature.parameters.items() if name not in ("self", "cls")]
    if any(parameter.annotation is parameter.empty for parameter in given):
        return False
    is_constructor = function.__name__ == "__init__"
    return is_constructor or signature.return_annotation is not signature.empty


def _told(function):
    """Annotations of the parameters (``*args`` and ``**kwargs`` are passed on to others, so they
    may be anything), and of what is returned."""
    signature = inspect.signature(function)
    passed_on = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = {
        name: one.annotation
        for name, one in signature.parameters.items()
        if name not in ("self", "cls") and one.kind not in passed_on
    }
    returned = {} if function.__name__ == "__init__" else {"return": signature.return_annotation}
    return {"parameters": parameters, "returned values": returned}


def test_public_signatures_are_annotated():
    whole = {name: _is_whole(function) for name, function in _functions().items()}
    share = sum(whole.values()) / len(whole)
    bare = "\n".join(sorted(name for name, is_whole in whole.items() if not is_whole))
    print(
        f"{sum(whole.values())} of {len(whole)} public signatures are annotated whole: {share:.3f}"
    )
    assert share >= SHARE, f"only {share:.3f} are annotated whole; these are not:\n{bare}"


@pytest.mark.parametrize("kind", ANY_SHARE)
def test_few_public_types_are_any(kind):
    told = {
        f"{name}: {key}": annotation
        for name, function in _functions().items()
        for key, annotation in _told(function)[kind].items()
    }
    vague = sorted(name for name, annotation in told.items() if annotation is typing.Any)
    print(f"{len(vague)} of {len(told)} {kind} are Any")
    assert len(vague) <= ANY_SHARE[kind] * len(told), "\n".join(vague)


class _Examples:
    def __init__(self, a: int):
        self.a = a

    def bare(self, b) -> int:
        return b

    def no_return(self, b: int):
        return b

    def whole(self, *args: int, c: int = 0) -> int:
        return c


@pytest.mark.parametrize(
    ("name", "expected"),
    [("__init__", True), ("bare", False), ("no_return", False), ("whole", True)],
)
def test_what_counts_as_whole(name, expected):
    assert _is_whole(getattr(_Examples, name)) is expected


def stub():
    """The names of ``sktrain``, which are looked up when they are asked for, as imports that type
    checkers and editors read."""
    modules = "".join(f"    {name} as {name},\n" for name in sorted(sktrain._MODULES))
    title = "Written by ``python tests/test_typing.py``: what type checkers read in place of"
    lines = [f'"""{title} __init__.py."""\n\n', f"from . import (\n{modules})\n"]
    for package in sorted(sktrain._PACKAGES):
        names = sorted(  # classes first, as ruff has it
            sktrain._PACKAGES[package], key=lambda name: (name[0].islower(), name.lower())
        )
        body = "".join(f"    {name} as {name},\n" for name in names)
        body = f"(\n{body})" if len(names) > 1 else body.strip(" ,\n")
        lines.append(f"from .{package} import {body}\n")
    return "".join(lines) + "\n__version__: str\n"


def test_type_checkers_know_the_names_of_the_package():
    advice = f"Run python tests/{Path(__file__).name}."
    assert STUB.read_text() == stub(), advice
    named = set(re.findall(r" as (\w+)", STUB.read_text())) | {"__version__"}
    assert named == {*sktrain.__all__, *sktrain._MODULES}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_mypy_accepts_right_user_code_and_refuses_wrong(tmp_path):
    """Every line of ``typed_user.py`` marked ``refused`` is an error of the kind it names, and
    there is no other."""
    wanted = {
        number: re.search(r"# refused: ([\w-]+)", line)[1]
        for number, line in enumerate(USER.read_text().splitlines(), 1)
        if "# refused" in line
    }
    config = tmp_path / "mypy.ini"
    config.write_text(
        "[mypy]\nignore_missing_imports = True\nfollow_imports = silent\n"
        # what user code here asks of them is not looked at, and they are large
        "[mypy-torch.*,transformers.*,optuna.*,matplotlib.*,onnx.*,rich.*]\n"
        "follow_imports = skip\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", tmp_path / "c"]
    ran = subprocess.run(
        [*command, "--show-error-codes", "--no-error-summary", USER],
        capture_output=True, text=True, cwd=STUB.parent.parent, check=False,
    )  # fmt: skip
    found = {
        int(number): code
        for number, code in re.findall(r":(\d+): error: .*\[([\w-]+)\]$", ran.stdout, flags=re.M)
    }
    assert wanted
    assert found == wanted, ran.stdout + ran.stderr


if __name__ == "__main__":
    STUB.write_text(stub())

"""A postponed module costs nothing until it is used, and then it is the real one, for every thread and for ever after."""

import pickle
import subprocess
import sys
import types

import pytest

from sktrain._optional import postponed, require
from sktrain.exceptions import MissingDependencyError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The name of a fresh package that imports its submodules on demand, as scipy does; one counts its imports in ``sys``."""
    name = f"postponable_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from importlib import import_module\ndef __getattr__(name):\n"
        "    if name not in ('inner', 'broken'):\n        raise AttributeError(name)\n    return import_module(f'{__name__}.{name}')\n"
    )
    (folder / "inner").mkdir()
    (folder / "inner" / "__init__.py").write_text("import sys\nsys.imports_counted += 1\nvalue = 7\nfrom . import leaf\n__all__ = ['leaf']\n")
    (folder / "inner" / "leaf.py").write_text("leaf_value = 8\n")
    (folder / "broken.py").write_text("raise RuntimeError('cannot be imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "imports_counted", 0, raising=False)
    yield name
    for key in [key for key in sys.modules if key.split(".")[0] == name]:
        del sys.modules[key]


def run(package, code):
    scope = {}
    exec(code.replace("PACKAGE", package), scope)
    return scope


def test_an_unused_import_never_happens(package):
    with postponed(f"{package}.inner"):
        run(package, "import PACKAGE.inner\nfrom PACKAGE import inner\nimport PACKAGE.inner as other")
        assert sys.imports_counted == 0
    assert sys.imports_counted == 0
    assert f"{package}.inner" not in sys.modules
    assert "inner" not in vars(sys.modules[package])


@pytest.mark.parametrize(
    "code, answer",
    [
        ("import PACKAGE.inner\nanswer = PACKAGE.inner.value", 7),
        ("from PACKAGE import inner\nanswer = inner.value", 7),
        ("from PACKAGE.inner import value as answer", 7),
        ("import PACKAGE.inner.leaf as leaf\nanswer = leaf.leaf_value", 8),
        ("from PACKAGE.inner.leaf import leaf_value as answer", 8),
        ("from PACKAGE.inner import *\nanswer = leaf.leaf_value", 8),
        ("import PACKAGE.inner\nanswer = 'value' in dir(PACKAGE.inner)", True),
    ],
)
def test_a_use_inside_the_block_gets_the_real_module_once(package, code, answer):
    with postponed(f"{package}.inner"):
        assert run(package, code)["answer"] == answer
        assert type(sys.modules[f"{package}.inner"]) is types.ModuleType
    assert sys.imports_counted == 1
    assert sys.modules[f"{package}.inner"].value == 7
    assert sys.modules[package].inner is sys.modules[f"{package}.inner"]


def test_names_bound_inside_stand_for_the_real_module_afterwards(package):
    with postponed(f"{package}.inner"):
        inner = run(package, "from PACKAGE import inner")["inner"]
    assert sys.imports_counted == 0
    assert inner.value == 7
    real = sys.modules[f"{package}.inner"]
    assert type(real) is types.ModuleType
    real.value = 9
    assert inner.value == 9
    inner.value = 10
    assert real.value == 10
    assert pickle.loads(pickle.dumps(inner)) is real
    with pytest.raises(AttributeError, match="nonsense"):
        _ = inner.nonsense


def test_an_error_leaves_no_stand_in(package):
    with pytest.raises(ZeroDivisionError), postponed(f"{package}.inner"):
        run(package, "import PACKAGE.inner\n1 / 0")
    assert f"{package}.inner" not in sys.modules
    with postponed(f"{package}.broken"):
        broken = run(package, "from PACKAGE import broken")["broken"]
        with pytest.raises(RuntimeError, match="cannot be imported"):
            _ = broken.value
    assert f"{package}.broken" not in sys.modules


def test_a_module_that_is_there_already_is_left_alone(package):
    real = run(package, "from PACKAGE import inner")["inner"]
    with postponed(f"{package}.inner"), postponed(f"{package}.inner"):
        assert sys.modules[f"{package}.inner"] is real
    assert sys.modules[f"{package}.inner"] is real
    with pytest.raises(KeyError), postponed("json"):
        raise KeyError
    assert "json" in sys.modules


def test_blocks_may_be_nested(package):
    with postponed(f"{package}.inner"):
        with postponed(f"{package}.inner"):
            run(package, "import PACKAGE.inner")
        assert sys.imports_counted == 0
    assert f"{package}.inner" not in sys.modules


THREADS = """
import sys, threading, time
from sktrain._optional import postponed
errors, answers, ready = [], [], threading.Barrier(9)

def use(kind):
    try:
        ready.wait()
        if kind == 0:
            import scipy.stats
            answers.append(scipy.stats.norm.cdf(0.0))
        elif kind == 1:
            from scipy import stats
            answers.append(stats.norm.cdf(0.0))
        else:
            from scipy.stats import norm
            answers.append(norm.cdf(0.0))
    except BaseException as error:
        errors.append(repr(error))

threads = [threading.Thread(target=use, args=(k % 3,)) for k in range(8)]
for one in threads:
    one.start()
for _ in range(20):
    with postponed("scipy.stats"):
        if not ready.broken and ready.n_waiting == 8:
            ready.wait()
        time.sleep(0.002)
if any(one.is_alive() for one in threads) and ready.n_waiting == 8:
    ready.wait()
for one in threads:
    one.join(60)
import scipy, scipy.stats
print(errors, len(answers), set(map(float, answers)), type(sys.modules["scipy.stats"]).__name__, scipy.stats is sys.modules["scipy.stats"])
"""


def test_other_threads_get_something_that_works():
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["[]", "8", "{0.5}", "module", "True"], done.stdout + done.stderr


def test_a_missing_library_is_named_with_its_extra():
    with pytest.raises(MissingDependencyError, match=r"Caller needs the package 'no_such_library'.*sktrain\[news\]"):
        require("no_such_library.part", extra="news", caller="Caller")

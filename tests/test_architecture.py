"""Layout: imports point left or down, light packages stay light, modules stay small."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

import sktrain

PACKAGE = Path(sktrain.__file__).parent
SHARED = {
    "_causal",
    "_class_names",
    "_devices",
    "_digest",
    "_history",
    "_io",
    "_json",
    "_last_block",
    "_models",
    "_nearest",
    "_optimizers",
    "_optional",
    "_posterior",
    "_progress",
    "_reading",
    "_results",
    "_rolling",
    "_routing",
    "_sessions",
    "_spans",
    "_statistics",
    "_step_rows",
    "_tail",
    "_typing",
    "_validation",
    "exceptions",
    "reproducibility",
}
PACKAGES = [
    "datasets",
    "features",
    "news",
    "labels",
    "splits",
    "resample",
    "leakage",
    "testing",
    "drift",
    "nets",
    "evaluation",
    "ensemble",
    "search",
    "compat",
    "compression",
    "persistence",
    "plotting",
    "trainer",
    "cli",
    "__main__",
]
HEAVY = {
    "torch", "skorch", "optuna", "transformers", "matplotlib", "onnx", "onnxruntime", "imblearn",
}
LIGHT = SHARED | {
    "compat", "datasets", "features", "labels", "splits", "leakage", "testing", "drift",
    "ensemble", "evaluation", "__init__",
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def package_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_packages(path):
    """(line, package) of every import of sktrain's own modules, wherever it stands in the file."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (
                (node.lineno, a.name.split(".")[1])
                for a in node.names
                if a.name.startswith("sktrain.")
            )
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".") if node.module else []
            if node.level == 0 and parts[:1] == ["sktrain"]:
                yield from (
                    (node.lineno, name) for name in (parts[1:2] or [a.name for a in node.names])
                )
            elif node.level and node.level == depth:
                yield from (
                    (node.lineno, name) for name in (parts[:1] or [a.name for a in node.names])
                )


def test_every_module_has_its_place():
    packages = {package_of(path) for path in MODULES} - {"__init__"}
    assert packages - SHARED <= set(PACKAGES), (
        f"packages without a place in the order: {packages - SHARED - set(PACKAGES)}"
    )
    assert len(MODULES) > 30


def private_imports(path):
    """(line, name) of every private module and name that is imported from another package."""
    here, depth = package_of(path), len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        parts = node.module.split(".")
        if node.level == 0 and parts.pop(0) != "sktrain" or node.level not in (0, depth):
            continue
        package, *inside = [*parts, *(alias.name for alias in node.names)]
        if package in PACKAGES and package != here:
            yield from ((node.lineno, name) for name in inside if name.startswith("_"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_private_name_is_imported_from_another_package(path):
    assert list(private_imports(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_left_or_down(path):
    here = package_of(path)
    if here == "__init__":
        return
    for line, package in imported_packages(path):
        if package == here:
            continue
        if here in SHARED:
            assert package not in PACKAGES, f"{path}:{line}: a shared module imports {package}"
        elif package in PACKAGES:
            assert PACKAGES.index(package) < PACKAGES.index(here), (
                f"{path}:{line}: {here} imports {package}, which is to its right"
            )


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if package_of(p) in LIGHT],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_light_packages_import_heavy_libraries_only_inside_functions(path):
    for node in ast.parse(path.read_text()).body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        heavy = {name.split(".")[0] for name in names} & HEAVY
        assert not heavy, f"{path}:{node.lineno} imports {heavy} at the top"


def test_modules_stay_readable():
    lengths = {path.relative_to(PACKAGE): path.read_text().count("\n") for path in MODULES}
    assert max(lengths.values()) <= 500, max(lengths, key=lengths.get)


@pytest.mark.parametrize(
    "statement",
    [
        "import sktrain",
        "from sktrain import TemporalSplitter",
        "from sktrain.datasets import load_sp500",
    ],
)
def test_light_imports_load_no_heavy_library(statement):
    code = f"import sys; {statement}; print(sorted(set(sys.modules) & {HEAVY!r}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_public_name_can_be_imported():
    assert len(sktrain.__all__) > 50
    for name in sktrain.__all__:
        assert getattr(sktrain, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sktrain.nonsense


def test_public_names_have_docstrings_with_examples_and_state_their_parameters():
    for name in sktrain.__all__:
        thing = getattr(sktrain, name)
        if name != "__version__":
            assert thing.__doc__, name
            assert len(thing.__doc__.strip().splitlines()[0]) > 15, name


def test_nothing_is_left_undone():
    for path in MODULES:
        text = path.read_text()
        for word in ("TODO", "FIXME", "NotImplementedError"):
            assert word not in text, f"{path} holds {word}"

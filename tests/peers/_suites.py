"""Test suites of installed peers, read as they are written, with names of theirs replaced by ours
before any test is made."""

import ast
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
import sys
from types import ModuleType

__all__ = ["pick", "suite"]


@contextmanager
def _replaced(names):
    held = []
    try:
        for path, thing in names.items():
            module, _, name = path.rpartition(".")
            owner = import_module(module)
            held.append((owner, name, getattr(owner, name)))
            setattr(owner, name, thing)
        yield
    finally:
        for owner, name, thing in held:
            setattr(owner, name, thing)


def suite(module, replaced=None, rows=None):
    """A fresh copy of an installed test module.

    Parameters
    ----------
    module : str
        Its dotted name.
    replaced : dict, optional
        Dotted names whose objects are replaced while the module is read.
    rows : dict, optional
        Lists of the module by name, and the rows they hold instead before any test is parametrized
        with them.

    Returns
    -------
    module
    """
    path = Path(find_spec(module).origin)
    copy = ModuleType(f"peers_{path.stem}")
    copy.__file__, copy._rows = str(path), rows
    sys.modules[copy.__name__] = copy  # its classes are pickled by name
    with _replaced(replaced or {}):
        exec(compile(_with_rows(path, rows or {}), str(path), "exec"), vars(copy))
    return copy


def _with_rows(path, rows):
    """The module's tree; after a list is made its rows are exchanged."""
    tree = ast.parse(path.read_text())
    for place, node in reversed(list(enumerate(tree.body))):
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if getattr(target, "id", None) in rows:
            tree.body.insert(place + 1, *ast.parse(f"{target.id}[:] = _rows[{target.id!r}]").body)
    return tree


def pick(module, keep=None):
    """Tests of a copy, to be put among the globals of a test module."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if name.startswith("test_") and (keep is None or keep(name))
    }

"""A missing optional library is named with the extra that brings it; large ones are imported with
the garbage collector as it was, but for the time that takes."""

import gc
import subprocess
import sys
import weakref

import pytest

from sktrain._optional import collector_paused, require
from sktrain.exceptions import MissingDependencyError


def test_a_missing_library_is_named_with_its_extra():
    message = r"Caller needs the package 'no_such_library'.*sktrain\[news\]"
    with pytest.raises(MissingDependencyError, match=message):
        require("no_such_library.part", extra="news", caller="Caller")


def test_what_is_installed_is_imported():
    import json.decoder

    assert require("json.decoder", extra="news", caller="Caller") is json.decoder


def test_what_a_library_of_ours_misses_is_not_blamed_on_it(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library") as caught:
        require("half_there", extra="news", caller="Caller")
    assert not isinstance(caught.value, MissingDependencyError)


NETS = """
import gc, sys
{before}
found = []
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "skorch"):
            found.append((name, gc.isenabled()))
sys.meta_path.insert(0, Finder())
from sktrain.nets import GRUClassifier
print(found, gc.isenabled())
"""
OPENING = """
import gc, sys
found = []
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in ("scipy.stats", "sklearn.linear_model", "torch"):
            found.append((name, gc.isenabled()))
sys.meta_path.insert(0, Finder())
from sktrain import fold_scores, load
print(found, gc.isenabled())
"""


@pytest.mark.parametrize(("before", "after"), [("", True), ("gc.disable()", False)])
def test_nets_leave_the_collector_as_it_was(before, after):
    done = subprocess.run(
        [sys.executable, "-c", NETS.format(before=before)], capture_output=True, text=True
    )
    assert done.stdout.split("\n")[0] == f"[('skorch', False), ('torch', False)] {after}", done


def test_an_import_that_fails_leaves_the_collector_on():
    with pytest.raises(ModuleNotFoundError), collector_paused():
        import no_such_library  # noqa: F401
    assert gc.isenabled()


def test_what_a_file_or_a_worker_needs_is_imported_alone_and_without_collections():
    done = subprocess.run([sys.executable, "-c", OPENING], capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "[('scipy.stats', False)] True", done


def test_what_was_imported_is_old_and_still_collected():
    with collector_paused():
        loop = []
        loop.append(loop)
    young = [id(one) for age in (0, 1) for one in gc.get_objects(generation=age)]
    assert id(loop) not in young
    kept = weakref.WeakSet([_Loop(), _Loop()])
    with collector_paused():
        kept.add(_Loop())
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert not kept


def test_what_somebody_froze_stays_frozen():
    code = """
import gc
from sktrain._optional import collector_paused
gc.freeze()
before = gc.get_freeze_count()
with collector_paused():
    pass
print(before > 0, gc.get_freeze_count() == before, gc.isenabled())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True True True\n", done


class _Loop:
    """Garbage that only a collection finds."""

    def __init__(self):
        self.itself = self

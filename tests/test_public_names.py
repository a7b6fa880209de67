"""The public names and their signatures, frozen: whoever changes one says so in the changelog.

``python tests/test_public_names.py`` writes the list anew. It refuses while a name that was changed
or lost is not mentioned under "Unreleased" in CHANGELOG.md.
"""

import inspect
import json
from pathlib import Path
import re
import sys

import sktrain

FROZEN = Path(__file__).parent / "public_names.json"
CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"


def _signature(thing):
    """Parameters with their kinds and defaults; annotations may improve without notice."""
    try:
        given = inspect.signature(thing)
    except (TypeError, ValueError):  # enumerations, built-in classes
        return None
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in given.parameters.values()]
    text = str(given.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _methods(cls):
    """Own and inherited methods of our classes, without those a library hands down unchanged."""
    found = {}
    for name, value in inspect.getmembers(cls):
        home = getattr(value, "__module__", None) or ""
        if name.startswith("_") or not callable(value) or not home.startswith("sktrain"):
            continue
        found[name] = _signature(value)
    return found


def public_names():
    """{name: signature, or {"init": signature, "methods": {name: signature}}} of every public
    name."""
    found = {}
    packages = ["sktrain", "sktrain.datasets", "sktrain.testing", "sktrain.exceptions"]
    named = [f"sktrain.{name}" for name in sktrain._MODULES]
    packages += [name for name in named if name not in packages]
    for package in packages:
        module = sys.modules.get(package) or __import__(package, fromlist=["__all__"])
        for name in module.__all__:
            value = getattr(module, name)
            if package != "sktrain" and name in sktrain.__all__ and value is getattr(sktrain, name):
                entry = f"sktrain.{name}"
            elif inspect.isclass(value):
                entry = {"init": _signature(value), "methods": _methods(value)}
            else:
                entry = _signature(value) if callable(value) else type(value).__name__
            found[f"{package}.{name}"] = entry
    return found


def _changes(was, now):
    """(names added, names lost or changed), a method as name.method."""

    def flat(names):
        for name, entry in names.items():
            if isinstance(entry, dict):
                yield name, entry["init"]
                yield from ((f"{name}.{m}", text) for m, text in entry["methods"].items())
            else:
                yield name, entry

    was, now = dict(flat(was)), dict(flat(now))
    return sorted(now.keys() - was.keys()), sorted(k for k in was if now.get(k, "lost") != was[k])


def test_public_names_and_signatures_change_only_with_the_changelog():
    added, changed = _changes(json.loads(FROZEN.read_text()), public_names())
    advice = f"Say so in CHANGELOG.md, then run python {Path(__file__).name} in tests/."
    assert not changed, f"lost or changed: {changed}. {advice}"
    assert not added, f"added: {added}. {advice}"


def test_a_lost_name_a_changed_default_and_a_new_method_are_seen():
    was = {
        "a.f": "(x, *, y=1)",
        "a.g": "()",
        "a.C": {"init": "(p=0)", "methods": {"fit": "(self, X)"}},
    }
    now = {
        "a.f": "(x, *, y=2)",
        "a.C": {"init": "(p=0)", "methods": {"fit": "(self, X)", "score": "()"}},
    }
    assert _changes(was, now) == (["a.C.score"], ["a.f", "a.g"])


def main():
    was = json.loads(FROZEN.read_text()) if FROZEN.exists() else {}
    now = public_names()
    unreleased = re.split(r"^## ", CHANGELOG.read_text(), flags=re.M)[1]
    _, changed = _changes(was, now)
    silent = sorted({name for name in changed if name.split(".")[-1] not in unreleased})
    if silent:
        sys.exit(f"CHANGELOG.md (Unreleased) does not mention {silent}")
    FROZEN.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

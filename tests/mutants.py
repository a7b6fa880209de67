"""Mutants: how they are listed, made, given to living functions, and which tests may notice."""

from collections import defaultdict
import compileall
import gc
from pathlib import Path
from py_compile import PycInvalidationMode
import shutil
from types import CodeType, FunctionType

ROOT = Path(__file__).parents[1]
QUICK = 0.1  # seconds of a test that runs before every slower one


def mutants(sources):
    """(file, operator, occurrence, first line, last line) of every change, in a fixed order."""
    from cosmic_ray.commands.init import _all_work_items

    paths = sorted(
        path
        for source in sources
        for path in ([ROOT / source] if source.endswith(".py") else (ROOT / source).glob("*.py"))
    )
    found = []
    for item in _all_work_items(paths, {}):
        (one,) = item.mutations
        lines = one.start_pos[0], one.end_pos[0]
        path = str(Path(one.module_path).relative_to(ROOT))
        found.append((path, one.operator_name, one.occurrence, *lines))
    return found


def changed(source, operator, occurrence):
    """(line as it was, line as it became, whole text) of one mutant of a text."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    text = mutate_code(source, get_operator(operator)(), occurrence)
    pairs = zip(source.splitlines(), text.splitlines())
    was, became = next(((a, b) for a, b in pairs if a != b), ("", ""))
    return was.strip(), became.strip(), text


def identity(one):
    """What a mutant is told by while lines above it come and go."""
    return one["file"], one["was"], one["became"]


def tests_of(mutant, whole):
    """The tests that reach a mutant's lines; those of the file where importing does."""
    path, _, _, first, last = mutant
    lines = whole["reached"].get(path, {})
    found = {test for line in range(first, last + 1) for test in lines.get(str(line), ())}
    if "" in found or not found:  # importing runs it, or it goes on a line that is not counted
        found = {test for tests in lines.values() for test in tests}
    return found - {""}


def ordered(tests, whole, kills, most):
    """As many tests as take ``most`` seconds: quick ones of each file, then slow ones of each, as
    fixtures live as long as a file; files that cost little and killed much come first."""
    cost, groups = whole["seconds"], defaultdict(list)
    for test in tests:
        groups[cost[test] > QUICK, test.partition("::")[0]].append(test)
    price = {
        (slow, file): sum(cost[test] for test in own) / (1 + kills[file])
        for (slow, file), own in groups.items()
    }
    kept, left = [], most
    for slow, file in sorted(groups, key=lambda one: (one[0], price[one], one)):
        for test in sorted(groups[slow, file], key=lambda one: (cost[one], one)):
            left -= cost[test]
            if left >= 0:
                kept.append(test)
    return kept


def replaced(path, before, after, living):
    """Give living functions the code of a changed source; whether that changes all it would.

    It does not where importing runs what was changed: a default, a decorator, the body of a class.
    """
    function = 2  # CO_NEWLOCALS: a function, and no body of a class (inspect's documentation)

    def pairs(old, new):
        own = [[one for one in code.co_consts if isinstance(one, CodeType)] for code in (old, new)]
        plain = [
            [one for one in code.co_consts if not isinstance(one, CodeType)] for code in (old, new)
        ]
        same = old.co_code == new.co_code and old.co_names == new.co_names
        if not same or repr(plain[0]) != repr(plain[1]) or len(own[0]) != len(own[1]):
            raise ValueError("importing differs")
        for one, other in zip(*own):
            if not one.co_flags & function:
                yield from pairs(one, other)
            elif one != other:
                yield one, other

    try:
        swapped = list(pairs(compile(before, path, "exec"), compile(after, path, "exec")))
        for one, other in swapped:
            functions = living.get((path, one.co_qualname, one.co_firstlineno), ())
            if not functions:
                return False
            for each in functions:
                each.__code__ = other
    except ValueError:
        return False
    return bool(swapped)


def living_functions(folder):
    """{(file, name, line): functions} of the copy of the package."""
    found = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename.startswith(folder):
            code = one.__code__
            found[code.co_filename, code.co_qualname, code.co_firstlineno].append(one)
    return found


def copied(folder):
    """A copy of the project. Its compiled files are told by their contents, not by time and size: a
    changed file may have both from the one before."""
    for name in ("sktrain", "tests", "benchmarks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, Path(folder, name), ignore=ignored)
    shutil.copy2(ROOT / "pyproject.toml", folder)
    mode = PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(str(Path(folder, "sktrain")), quiet=2, invalidation_mode=mode)

"""Equal things have equal digests in every process; whatever changes what a thing does changes its
digest."""

from functools import lru_cache, partial, wraps
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
import torch

from sktrain import FocalLoss, GradientClip, GRUClassifier
from sktrain._digest import digest_of, library_version


def defined(source, name="f", **space):
    """What ``source`` defines under ``name``, in a namespace of its own."""
    exec(source, space)
    return space[name]


PAIRS = {  # name -> (source of two things, the same under its name, that differ)
    "constant": ("def f(x): return x * 2", "def f(x): return x * 3"),
    "operator": ("def f(x): return x + 2", "def f(x): return x - 2"),
    "attribute": ("def f(x): return x.min()", "def f(x): return x.max()"),
    "default": ("def f(x, k=1): return x * k", "def f(x, k=2): return x * k"),
    "keyword default": ("def f(x, *, k=1): return x * k", "def f(x, *, k=2): return x * k"),
    "global": ("K = 1\ndef f(x): return x * K", "K = 2\ndef f(x): return x * K"),
    "global array": (
        "import numpy as np\nW = np.ones(3)\ndef f(x): return x * W",
        "import numpy as np\nW = np.zeros(3)\ndef f(x): return x * W",
    ),
    "helper": (
        "def g(x): return x\ndef f(x): return g(x)",
        "def g(x): return -x\ndef f(x): return g(x)",
    ),
    "inner function": (
        "def f(x):\n def g(): return 1\n return g()",
        "def f(x):\n def g(): return 2\n return g()",
    ),
    "inner global": (
        "K = 1\ndef f(x):\n def g(): return K\n return g()",
        "K = 2\ndef f(x):\n def g(): return K\n return g()",
    ),
    "closure": (
        "def h(k): return lambda x: x * k\nf = h(1)",
        "def h(k): return lambda x: x * k\nf = h(2)",
    ),
    "method": ("class f:\n def a(self): return 1", "class f:\n def a(self): return 2"),
    "base class": ("class B: a = 1\nclass f(B): pass", "class B: a = 2\nclass f(B): pass"),
    "property": (
        "class f:\n @property\n def a(self): return 1",
        "class f:\n @property\n def a(self): return 2",
    ),
    "static method": (
        "class f:\n @staticmethod\n def a(): return 1",
        "class f:\n @staticmethod\n def a(): return 2",
    ),
    "state": ("class C: pass\nf = C(); f.a = 1", "class C: pass\nf = C(); f.a = 2"),
    "bound method": (
        "class C:\n def m(self): return self.a\nf = C(); f.a = 1; f = f.m",
        "class C:\n def m(self): return self.a\nf = C(); f.a = 2; f = f.m",
    ),
    "dunder call": (
        "class C:\n def __call__(self): return 1\nf = C()",
        "class C:\n def __call__(self): return 2\nf = C()",
    ),
    "argument names": ("def f(a, b): return a - b", "def f(b, a): return a - b"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_code_edited_under_its_name_is_another_thing(name):
    before, after = PAIRS[name]
    assert digest_of(defined(before, __name__="own")) == digest_of(defined(before, __name__="own"))
    assert digest_of(defined(before, __name__="own")) != digest_of(defined(after, __name__="own"))


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n  'Another text.'\n  return x * 2",
        "\n\n# moved\ndef f(x):\n  return x * 2",
        "def f(x: float) -> float: return x * 2",
    ],
)
def test_docstrings_lines_and_annotations_change_nothing(source):
    assert digest_of(defined("def f(x): return x * 2", __name__="own")) == digest_of(
        defined(source, __name__="own")
    )


def test_a_string_that_is_returned_is_no_docstring():
    first, second = (defined(f"f = lambda: {word!r}", __name__="own") for word in ("up", "down"))
    assert digest_of(first) != digest_of(second)


def test_partial_arguments_and_what_wraps_count():
    digests = {
        digest_of(thing)
        for thing in (
            torch.optim.SGD,
            partial(torch.optim.SGD),
            partial(torch.optim.SGD, momentum=0.9),
            partial(torch.optim.SGD, momentum=0.0),
            partial(torch.optim.SGD, 0.9),
            partial(torch.optim.Adam, momentum=0.9),
        )
    }
    assert len(digests) == 6

    def decorated(k):
        def own(x):
            return x + k

        return [wraps(own)(lambda x: own(x)), lru_cache(own)]

    for first, same, second in zip(decorated(1), decorated(1), decorated(2)):
        assert digest_of(first) == digest_of(same)
        assert digest_of(first) != digest_of(second)


VALUES = [
    None, 0, 1, 1.0, True, "1", b"1",
    (1,),
    [1],
    {1},
    {"a": 1},
    {"a": 2},
    {1: "a"},
    float("nan"),
    [1, [2, 3]],
    [[1, 2], 3],
    np.float32(1),
    np.arange(3),
    np.arange(3.0),
    np.arange(3.0)[::-1],
    np.arange(6).reshape(2, 3),
    np.arange(6).reshape(3, 2),
    np.array(["a", None], dtype=object),
    torch.arange(3),
    torch.arange(3).bool(),
    torch.ones(2, dtype=torch.bfloat16),
    torch.ones(1, 2, dtype=torch.bfloat16),
    pd.Series([1.0, 2.0]),
    pd.Series([1.0, 2.0], index=[1, 2]),
    pd.Series([1.0, 2.0], name="a"),
    pd.DataFrame({"a": [1.0, 2.0]}),
    pd.DataFrame({"b": [1.0, 2.0]}),
    pd.DataFrame({"a": [[1], [2]]}),
    pd.Timestamp("2020"),
    pd.Timestamp("2020", tz="UTC"),
    np.dtype("f4"),
    np.random.RandomState(0),
    np.random.RandomState(1),
    np.random.default_rng(0),
    LogisticRegression(),
    LogisticRegression(C=2.0),
    make_pipeline(StandardScaler(), LogisticRegression()),
    make_pipeline(StandardScaler(), LogisticRegression(C=2.0)),
    GRUClassifier(),
    GRUClassifier(module__hidden_size=3),
    GRUClassifier(optimizer=torch.optim.SGD),
    GradientClip(),
    GradientClip(max_norm=1.0),
    FocalLoss(),
    FocalLoss(gamma=1.0),
    torch.nn.CrossEntropyLoss(),
    torch.nn.CrossEntropyLoss(torch.ones(3)),
    len, np.add, np.mean, max,
    [].append,
    dict,
]


def test_what_differs_has_another_digest_and_a_copy_the_same():
    from copy import deepcopy

    digests = [digest_of(value) for value in VALUES]
    assert len(set(digests)) == len(VALUES)
    assert [digest_of(deepcopy(value)) for value in VALUES] == digests


def test_state_of_training_that_a_module_passes_through_is_no_difference():
    loss = FocalLoss()
    before = digest_of(loss)
    loss.eval()
    assert digest_of(loss) == before


def test_things_that_refer_to_themselves_have_a_digest():
    one, other = [1], [1]
    one.append(one)
    other.append(other)
    assert digest_of(one) == digest_of(other)
    assert digest_of(one) != digest_of([1, [1]])
    recursive = "def f(n): return n and f(n - 1)"
    assert digest_of(defined(recursive, __name__="own")) == digest_of(
        defined(recursive, __name__="own")
    )


def test_what_has_no_state_counts_by_its_class(tmp_path):
    with open(tmp_path / "a", "w") as first, open(tmp_path / "b", "w") as second:
        assert digest_of(first) == digest_of(second)
    assert digest_of(x for x in "a") == digest_of(x for x in "b")


def test_arrays_larger_than_a_block_and_views_are_read_whole():
    big = np.zeros(3_000_000, dtype=np.int8)
    changed = big.copy()
    changed[-1] = 1
    assert digest_of(big) != digest_of(changed)
    table = np.arange(12.0).reshape(3, 4)
    assert digest_of(table.T) == digest_of(table.T.copy())


def test_a_library_of_another_version_is_another_thing(monkeypatch):
    before = (
        digest_of(LogisticRegression),
        digest_of(torch.nn.Linear),
        digest_of(FocalLoss),
        digest_of(np.add),
    )
    for module in ("sklearn", "torch", "sktrain", "numpy"):
        monkeypatch.setattr(f"{module}.__version__", "99.9")
    after = (
        digest_of(LogisticRegression),
        digest_of(torch.nn.Linear),
        digest_of(FocalLoss),
        digest_of(np.add),
    )
    assert all(one != other for one, other in zip(before, after))


def test_versions_are_told():
    assert library_version("torch.nn") == torch.__version__
    assert library_version("json") == ".".join(map(str, sys.version_info[:3]))
    assert library_version("no_such_library") == ""


def test_digests_agree_between_processes():
    code = (
        "from functools import partial\nimport numpy as np, pandas as pd, torch\nfrom sktrain "
        "import GRUClassifier, FocalLoss\n"
        "from sktrain._digest import digest_of\nW = {'a', 'b', 'c', 'd'}\ndef loss(x, k=3): "
        "return x * k + len(W)\n"
        "class Own(FocalLoss):\n def forward(self, a, b): return super().forward(a, b) * 2\n"
        "print(digest_of(loss, Own, Own(), partial(loss, k=2), GRUClassifier(), {'x', 'y', 'z'}, "
        "torch.ones(2), pd.Series([1, 2])))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**__import__("os").environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert len(told.pop().strip()) == 64

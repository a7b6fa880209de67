"""Small consistent files of which opening would make much, read what is not theirs, or crash
compiled code: each is refused within the memory that its size allows."""

import copy
from io import BytesIO
import json
import tracemalloc
import warnings
import zipfile
import zlib

import numpy as np
import pandas as pd
from persistence.test_persistence_file import forge
import pytest
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.tree import DecisionTreeClassifier

from sktrain import load, save
from sktrain.exceptions import CorruptFileError, NotReplayedWarning
from sktrain.persistence import read_manifest
from sktrain.persistence._checks import check_random_state
from sktrain.persistence._decoder import Decoder, ValueDecoder
from sktrain.persistence._encoder import Encoder

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X[:, 0] > 0).astype(int)


def peak(job):
    """Bytes that ``job()``, which has to be refused, takes at most."""
    tracemalloc.start()
    try:
        with pytest.raises(CorruptFileError):
            job()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def within(path, job=load):
    assert peak(lambda: job(path)) <= 64 * 2**20 + 8 * path.stat().st_size


def parts(path):
    """(manifest without its list of members, members) of a file."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    del manifest["members"]
    return manifest, members


def npy(array):
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


# Values of the manifest

N = 3_000_000
ZEROS = {
    "mask.z": zlib.compress(bytes((N + 7) // 8), 9),
    "values.z": zlib.compress(b"", 9),
    "one.npy": npy(np.zeros(1, "i8")),
    "text.npy": npy(np.full(10, "a")),
}


def zeros(dtype, n=N):
    told = {"!": "sparse", "dtype": dtype, "shape": [n], "scalar": False}
    return {**told, "mask": "mask.z", "values": "values.z"}


ROWS = {"!": "index", "values": zeros("|u1"), "name": None}
ONE = {"!": "array", "dtype": "<i8", "shape": [1], "scalar": False, "member": "one.npy"}
LARGE = {
    "one value in many rows": {"!": "series", "values": 1.5, "index": ROWS, "name": None},
    "one value in many rows of many columns": {
        "!": "frame", "names": {"!": "list", "items": list(range(30))}, "columns": [1.5] * 30,
        "index": ROWS,
    },
    "texts that are not there": {"!": "index", "values": zeros("<U1"), "name": None},
    "texts of no length": zeros("|S0"),
    "truth values that are not there": {"!": "index", "values": zeros("|b1"), "name": None},
    "times of floats": {
        "!": "times", "values": zeros("<f2"), "unit": "ns", "zone": None, "name": None,
    },
    "many levels": {
        "!": "multiindex", "parts": [ROWS] * 4, "names": {"!": "list", "items": [None] * 4},
    },
    "a level that is none": {"!": "multiindex", "parts": [ONE], "names": None},
    "rows that are none": {"!": "series", "values": ONE, "index": ONE, "name": None},
    "a column of other rows": {
        "!": "frame", "names": {"!": "list", "items": ["a"]}, "columns": [zeros("|u1")],
        "index": {"!": "index", "values": ONE, "name": None},
    },
    "a mask of another shape": {"!": "masked", "values": zeros("|u1"), "mask": ONE, "fill": 0},
    "a mask of a list": {
        "!": "masked", "values": {"!": "list", "items": [1]}, "mask": ONE, "fill": 0,
    },
    "a tensor of a list": {"!": "tensor", "values": {"!": "list", "items": [1]}},
    "a zone that is a file": {
        "!": "times", "values": ONE, "unit": "ns", "zone": "dateutil//etc/passwd", "name": None,
    },
    "a stamp of a zone that is a file": {
        "!": "time", "value": 0, "unit": "ns", "zone": "dateutil//etc/passwd",
    },
    "a zone that is a number": {"!": "time", "value": 0, "unit": "ns", "zone": 3},
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_values_take_no_more_than_a_file_of_their_size_may(tmp_path, name):
    path = tmp_path / "m.sktrain"
    path.write_bytes(forge({"model": LARGE[name]}, ZEROS))
    within(path)
    path.write_bytes(forge({"scores": LARGE[name]}, ZEROS))
    within(path, read_manifest)


def test_classes_are_compared_as_they_are(tmp_path):
    manifest, members = parts(save(LogisticRegression().fit(X, Y), tmp_path / "m.sktrain"))
    path = tmp_path / "m.sktrain"
    path.write_bytes(forge({**manifest, "classes": zeros("<u1")}, {**members, **ZEROS}))
    within(path)
    path.write_bytes(forge({**manifest, "classes": zeros("<f2")}, {**members, **ZEROS}))
    within(path)


def test_what_becomes_plain_numbers_costs_their_objects():
    decoder = ValueDecoder(ZEROS)
    decoder.decode(zeros("|u1"))
    assert decoder.budget.spent == N * (24 + 2)
    decoder = ValueDecoder(ZEROS)
    decoder.decode(ONE)
    assert decoder.budget.spent == 24 + len(ZEROS["one.npy"])


def test_what_pandas_makes_of_columns_is_counted():
    def spent(tree, members=ZEROS):
        decoder = Decoder(members)
        decoder.decode(tree)
        return decoder.budget.spent

    own = len(ZEROS["one.npy"])
    index = {"!": "index", "values": ONE, "name": None}
    series = {"!": "series", "values": ONE, "index": index, "name": None}
    assert spent(index) == own
    assert spent(series) == 2 * own + 8
    assert spent({"!": "tensor", "values": ONE}) == own + 8
    level = {"!": "multiindex", "parts": [index, index], "names": None}
    assert spent(level) == 2 * own + 2 * 20
    text = {"!": "array", "dtype": "<U1", "shape": [10], "scalar": False, "member": "text.npy"}
    assert spent({"!": "index", "values": text, "name": None}) == len(ZEROS["text.npy"]) + 320


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'"ab",', b"1.5,"])
def test_text_takes_no_more_than_is_counted(unit):
    from sktrain.persistence._arrays import Budget

    text = b"[" + unit * 20_000 + b"0]"
    budget = Budget(float("inf"))
    budget.spend_text(text)
    tracemalloc.start()
    made = json.loads(text)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(made) == 20_001
    assert taken <= 2 * budget.spent


# Archives inside


def schema_edit(path, edit):
    """Rewrite the file with ``edit(attributes, members)`` done to its one archive's schema."""
    manifest, members = parts(path)
    (name,) = (one for one in members if one.endswith(".skops"))
    with zipfile.ZipFile(BytesIO(members[name])) as inner:
        files = {one: inner.read(one) for one in inner.namelist()}
    schema = json.loads(files.pop("schema.json"))
    edit(schema["content"]["content"], files)
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as inner:
        for one, data in {**files, "schema.json": json.dumps(schema).encode()}.items():
            inner.writestr(one, data)
    path.write_bytes(forge(manifest, {**members, name: buffer.getvalue()}))


def listed(items, number=None):
    told = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    return {**told, "content": items, **({} if number is None else {"__id__": number})}


def doubled(attributes, files):
    """A list of two lists of two lists ... of which each stands in the file once."""
    one = listed([], 900)
    for number in range(901, 930):
        one = listed([one, listed([], number - 1)], number)
    attributes["C"] = one


def repeated(attributes, files):
    """A list that holds one array a thousand times."""
    files["many.npy"] = npy(np.arange(20_000.0))
    told = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode"}
    one = {**told, "type": "numpy", "file": "many.npy", "__id__": 900}
    attributes["C"] = listed([one] * 1000)


def archive_for_array(attributes, files):
    buffer = BytesIO()
    np.savez_compressed(buffer, a=np.zeros(10))
    files["coef.npy"] = buffer.getvalue()
    attributes["coef_"]["file"] = "coef.npy"


def header_of_more(attributes, files):
    files["coef.npy"] = npy(np.zeros(10))[:-8]
    attributes["coef_"]["file"] = "coef.npy"


def bytes_by_number(attributes, files):
    files["coef.npy"] = npy(np.array(2**27))
    attributes["coef_"].update({"file": "coef.npy", "__class__": "void"})


def tree_without_parts(attributes, files):
    attributes["C"] = {
        "__class__": "Tree", "__module__": "sklearn.tree._tree", "__loader__": "ObjectNode",
    }  # fmt: skip


@pytest.mark.parametrize(
    "edit, said",
    [
        (doubled, "many times over"),
        (repeated, "more than .* bytes"),
        (archive_for_array, "cannot be rebuilt|array"),
        (header_of_more, "header does not fit"),
        (bytes_by_number, "without a type"),
        (tree_without_parts, "tree without nodes"),
    ],
)
def test_archives_inside_take_no_more_than_is_there(tmp_path, edit, said):
    path = save(LogisticRegression().fit(X, Y), tmp_path / "m.sktrain", probe=None)
    schema_edit(path, lambda attributes, files: None)
    load(path)
    schema_edit(path, edit)
    with pytest.raises(CorruptFileError, match=said):
        load(path)
    within(path)


def test_what_is_shared_a_little_opens(tmp_path):
    path = save(LogisticRegression().fit(X, Y), tmp_path / "m.sktrain", probe=None)

    def shared(attributes, files):
        attributes["C"] = listed([listed([listed([])] * 3, 900)] + [listed([], 900)] * 20)

    schema_edit(path, shared)
    assert load(path).C == [[[], [], []]] * 21


# Random generators


@pytest.mark.parametrize("name, key, most", [("MT19937", "pos", 624), ("Philox", "buffer_pos", 4)])
def test_generators_stand_among_their_words(name, key, most):
    state = getattr(np.random, name)(0).state
    inner = state["state"] if key in state["state"] else state
    for place in (0, most):
        inner[key] = place
        check_random_state(state)
    for place in (-1, most + 1, 2**31 - 1, 0.5, True, None):
        inner[key] = place
        with pytest.raises(CorruptFileError, match="stands nowhere"):
            check_random_state(state)
    with pytest.raises(CorruptFileError, match="without a state"):
        check_random_state((name, [], 0))
    check_random_state(np.random.PCG64(0).state)


def test_generators_outside_their_words_are_refused_wherever_they_stand(tmp_path):
    generator = np.random.RandomState(0)
    made = BaggingClassifier(DecisionTreeClassifier(max_depth=1), 2, random_state=generator)
    manifest, members = parts(save(made.fit(X, Y), tmp_path / "m.sktrain", probe=None))
    text = json.dumps(manifest)
    (pos,) = {pair[1] for pair in _pairs(manifest) if pair[0] == "pos"}
    path = tmp_path / "m.sktrain"
    wrong = text.replace(f'["pos", {pos}]', '["pos", 2000000000]')
    assert wrong != text
    path.write_bytes(forge(json.loads(wrong), members))
    with pytest.raises(CorruptFileError, match="stands nowhere"):
        load(path)

    save(SGDClassifier(random_state=generator).fit(X, Y), path, probe=None)

    def moved(attributes, files):
        content = attributes["random_state"]["content"]["content"]["state"]["content"]
        content["pos"]["content"] = "2000000000"

    schema_edit(path, moved)
    with pytest.raises(CorruptFileError, match="stands nowhere"):
        load(path)


def _pairs(node):
    if isinstance(node, dict):
        yield from node.get("pairs", ())
        node = list(node.values())
    for item in node if isinstance(node, list) else ():
        yield from _pairs(item)


# Nets


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    from sktrain import MLPNetClassifier

    made = MLPNetClassifier(max_epochs=1, batch_size=7, random_state=0).fit(X, Y)
    path = tmp_path_factory.mktemp("net") / "m.sktrain"
    return made, parts(save(made, path))


def told(parts, **changes):
    """The file with other parameters of its net."""
    manifest, members = copy.deepcopy(parts[0]), parts[1]
    pairs = next(pair[1] for pair in manifest["model"]["state"]["pairs"] if pair[0] == "params")
    kept = [pair for pair in pairs["pairs"] if pair[0] not in changes]
    pairs["pairs"] = [*kept, *([name, value] for name, value in changes.items())]
    return forge(manifest, {**members, "scalar.npy": npy(np.array([10**6]))})


LOADER = {"!": "value", "name": "torch.utils.data.DataLoader"}
NUMBER = {"!": "array", "dtype": "<i8", "shape": [], "scalar": True, "member": "scalar.npy"}


def workers(number):
    arguments = {"!": "dict", "pairs": [["num_workers", number]]}
    none = {"!": "tuple", "items": []}
    return {"!": "partial", "func": LOADER, "args": none, "keywords": arguments}


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "meta"},
        {"module": {"!": "value", "name": "torch.nn.CrossEntropyLoss"}},
        {"module__n_layers": NUMBER},
        {"iterator_valid": workers(10**6)},
    ],
    ids=repr,
)
def test_a_net_tells_nothing_that_a_saved_one_does_not(tmp_path, net, changes):
    (tmp_path / "m.sktrain").write_bytes(told(net[1], **changes))
    with pytest.raises(CorruptFileError):
        load(tmp_path / "m.sktrain")


def test_opening_starts_no_workers_of_a_partial(tmp_path, net, monkeypatch):
    import torch.utils.data.dataloader as loaders

    def never(*_, **__):
        raise AssertionError("workers were started")

    monkeypatch.setattr(loaders._MultiProcessingDataLoaderIter, "__init__", never)
    (tmp_path / "m.sktrain").write_bytes(told(net[1], iterator_valid=workers(2)))
    with pytest.warns(NotReplayedWarning, match="iterator_valid"):
        load(tmp_path / "m.sktrain")
    (tmp_path / "m.sktrain").write_bytes(told(net[1], iterator_valid=LOADER))
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotReplayedWarning)
        load(tmp_path / "m.sktrain")


def test_every_parameter_of_a_net_is_kept(tmp_path, net):
    opened = load(save(net[0], tmp_path / "m.sktrain"))
    plain = (int, float, str, type, type(None))
    own = {name: one for name, one in net[0].get_params().items() if isinstance(one, plain)}
    assert len(own) > 20
    assert {name: opened.get_params()[name] for name in own} == own


# What honest files hold


def test_tables_of_every_kind_come_back():
    index = pd.MultiIndex.from_product(
        [["a", "b"], pd.date_range("2024", periods=3, tz="America/New_York")], names=["s", "t"]
    )
    frame = pd.DataFrame(
        {
            "x": np.arange(6.0), "w": list("uvwxyz"), "c": pd.Categorical(list("aabbcc")),
            "n": pd.array([1, None, 3, 4, 5, 6], dtype="Int64"),
            "t": pd.date_range("2024", periods=6, tz="UTC"),
        }
    ).set_axis(index)  # fmt: skip
    encoder = Encoder()
    tree = encoder.encode(frame)
    pd.testing.assert_frame_equal(Decoder(encoder.members).decode(tree), frame, check_freq=False)
    masked = np.ma.MaskedArray([1.0, 2.0], mask=[True, False])
    tree = encoder.encode(masked)
    opened = Decoder(encoder.members).decode(tree)
    np.testing.assert_array_equal(opened.mask, masked.mask)

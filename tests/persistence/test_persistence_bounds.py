"""Limits of a file and of what is read from it: what stands just inside passes, what stands just
outside is refused."""

from io import BytesIO
import json
import math
import struct
import warnings
import zipfile
import zlib

import numpy as np
from persistence.test_persistence_checks import LEAF, tree_of
from persistence.test_persistence_file import forge
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from sktrain import load, save
from sktrain._io import inflate, sha256
from sktrain.exceptions import CorruptFileError, PersistenceError
from sktrain.persistence import _arrays, _facts, _file, _skops, read_manifest
from sktrain.persistence._checks import check_tree_state
from sktrain.persistence._walk import reached

MIB = 1_048_576


def npy(array, version=(1, 0)):
    buffer = BytesIO()
    np.lib.format.write_array(buffer, array, version=version)
    return buffer.getvalue()


def line():
    return LogisticRegression().fit([[0], [1]], [0, 1])


# Arrays


def test_a_budget_is_spent_to_its_last_byte():
    budget = _arrays.Budget(10)
    budget.spend(4)
    budget.spend(6)
    assert budget.spent == 10
    with pytest.raises(CorruptFileError, match="more than 10 bytes"):
        budget.spend(1)


def share(zeros, size=300, dtype="f8"):
    array = np.ones(size, dtype=dtype)
    array[: round(zeros * size)] = 0
    return array


def test_a_bitmap_is_made_of_long_arrays_of_numbers_with_many_zeros():
    for dense in (share(0.3), share(0.0), share(0.9, size=256), share(0.9, dtype="c16"), -share(0)):
        assert _arrays.bitmap(dense) is None
    assert _arrays.bitmap(share(0.9, dtype="?")) is None
    assert _arrays.bitmap(np.r_[share(0.9), -0.0]) is None
    for sparse in (share(0.31), share(1.0), share(0.9, size=257), share(0.5, dtype="u1")):
        mask, kept = _arrays.bitmap(sparse)
        held = np.unpackbits(np.frombuffer(zlib.decompress(mask), "u1"))[: sparse.size]
        np.testing.assert_array_equal(held, sparse != 0)
        assert np.frombuffer(zlib.decompress(kept), sparse.dtype).tolist() == [1] * int(held.sum())


def test_bytes_of_an_array_are_read_whole():
    values = np.arange(4.0)
    for told in ("<f8", "<i4"):  # what the tree tells wrongly, the bytes tell rightly
        got = _arrays.from_npy(npy(values), np.dtype(told), 4)
        np.testing.assert_array_equal(got, values)
        assert got.flags.writeable
    again = _arrays.from_npy(npy(np.arange(3)), np.dtype("<f8"), 4)
    assert again.tolist() == [0, 1, 2]


def nothing():
    """Two texts of no character."""
    buffer = BytesIO()
    told = {"descr": "<U0", "fortran_order": False, "shape": (2,)}
    np.lib.format.write_array_header_1_0(buffer, told)
    return buffer.getvalue()


BYTES = {
    "a value too few": npy(np.arange(4.0))[:-8],
    "a byte too few": npy(np.arange(4.0))[:-1],
    "a value too many": npy(np.arange(4.0)) + bytes(8),
    "a table": npy(np.ones((2, 2))),
    "one value without a shape": npy(np.array(1.0)),
    "fields": npy(np.zeros(2, dtype=[("a", "f8")])),
    "values of no size": nothing(),
    "another format": npy(np.arange(4.0), version=(2, 0)),
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_flat_array_are_refused(name):
    with pytest.raises(CorruptFileError, match="array"):
        _arrays.from_npy(BYTES[name], np.dtype("<f8"), 4)


def test_shapes_and_types_are_checked():
    assert _arrays.shape_of({"shape": [0, 3]}) == (0, 3)
    assert _arrays.shape_of({"shape": [1] * 32}) == (1,) * 32
    for shape in ([1] * 33, [-1], [2, -1], [1.0], [True]):
        with pytest.raises(CorruptFileError, match="shape"):
            _arrays.shape_of({"shape": shape})
    assert _arrays.dtype_of({"dtype": "<M8[ns]"}) == np.dtype("<M8[ns]")
    for dtype in ("|O", "|V8", "f8,f8", "(2,)f8"):
        with pytest.raises(CorruptFileError, match="dtype"):
            _arrays.dtype_of({"dtype": dtype})


def test_an_array_has_the_type_and_number_its_header_says():
    flat, tree = np.arange(6.0), {"shape": [2, 3], "dtype": "<f8", "scalar": False}
    np.testing.assert_array_equal(_arrays.restored(flat, tree), flat.reshape(2, 3))
    one = _arrays.restored(flat[:1], {"shape": [], "dtype": "<f8", "scalar": True})
    assert type(one) is np.float64
    for wrong in (flat.astype("f4"), flat.astype("c16"), flat[:5], np.arange(7.0)):
        with pytest.raises(CorruptFileError, match="holds"):
            _arrays.restored(wrong, tree)


def test_compressed_bytes_have_the_length_that_is_told_and_an_end():
    data = zlib.compress(b"12345")
    assert inflate(data, 5) == b"12345"
    assert inflate(zlib.compress(b""), 0) == b""
    for wrong, told in ((data, 4), (data, 6), (data[:-1], 5), (zlib.compress(bytes(9)), 5)):
        with pytest.raises(CorruptFileError, match="length"):
            inflate(wrong, told)


# Objects inside objects


class Holder:
    def __init__(self, **parts):
        vars(self).update(parts)


def test_everything_inside_is_met_once():
    inner = [Holder(name=str(k)) for k in range(6)]
    cells = np.empty((1, 2), dtype=object)
    cells[0] = inner[3:5]
    root = Holder(
        listed=[inner[0], (inner[1], {inner[2]})], cells=cells, told={"x": inner[5]}, numbers=[1, 2]
    )
    root.itself, root.table = root, np.arange(3.0)
    met = list(reached(root, lambda one: vars(one).values()))
    assert len(met) == len({id(one) for one in met}) == 7
    assert {id(one) for one in met} == {id(one) for one in (root, *inner)}
    assert list(reached([1, "a", None, 2.5, b"", int], lambda one: ())) == []
    assert list(reached(root, lambda one: ())) == [root]


# Trees


@pytest.mark.parametrize("n_features", [1, 2**31 - 1, 0, -1, 2**31])
def test_a_tree_of_one_leaf_has_features_that_can_be_counted(n_features):
    arguments, state = tree_of(LEAF, depth=0, n_features=n_features)
    if 0 < n_features < 2**31:
        check_tree_state(arguments, state)
    else:
        with pytest.raises(CorruptFileError, match="features"):
            check_tree_state(arguments, state)


# The archive inside


def archive(members, compress=zipfile.ZIP_STORED):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def check_archive(data, budget=None, size=None):
    with zipfile.ZipFile(BytesIO(data)) as file:
        size = len(data) if size is None else size
        _skops._check_archive(file, size, "a", budget or _arrays.Budget(math.inf))


def test_an_archive_inside_holds_a_schema_and_arrays():
    schema = {"schema.json": b"{}"}
    good = archive({**schema, "0.npy": b"12", "1.bin": b""})
    budget = _arrays.Budget(math.inf)
    check_archive(good, budget)
    assert budget.spent == len(good) + 3 * 2 + 44  # itself, and the text of an empty schema
    check_archive(good, size=4)  # all that its members hold
    for wrong, said in (
        (archive({"0.npy": b"12"}), "no archive"),
        (archive({**schema, "0.npy": bytes(99)}, zipfile.ZIP_DEFLATED), "no archive"),
        (archive({**schema, "0.npz": b"12"}), "sparse"),
        (archive({**schema, "other.json": b"12"}), "sparse"),
    ):
        with pytest.raises(CorruptFileError, match=said):
            check_archive(wrong)
    with pytest.raises(CorruptFileError, match="overlap"):
        check_archive(good, size=3)
    twice = archive({**schema, "schema.jsom": b"{}"}).replace(b"jsom", b"json")
    with pytest.raises(CorruptFileError, match="no archive"):
        check_archive(twice)


# The file


def parts_of(path):
    """A file's (whole bytes before the mark, entries of its members)."""
    data = path.read_bytes()
    with zipfile.ZipFile(BytesIO(data)) as file:
        return bytearray(data), {one.filename: one for one in file.infolist()}


def marked(data):
    """The bytes with a checksum that fits."""
    return bytes(data[:-64]) + sha256(bytes(data[:-64])).encode()


def test_members_are_stored_on_one_day_and_the_file_ends_in_its_checksum(tmp_path):
    path = save(line(), tmp_path / "m.sktrain")
    data, entries = parts_of(path)
    assert {one.date_time for one in entries.values()} == {(2020, 1, 1, 0, 0, 0)}
    assert {one.compress_type for one in entries.values()} == {zipfile.ZIP_STORED}
    assert next(iter(entries)) == "manifest.json"
    assert marked(data) == bytes(data)


@pytest.mark.parametrize("opened", [load, read_manifest])
@pytest.mark.parametrize(
    "offset, value",
    [(0, b"PK\x03\x05"), (6, None)],
    ids=["mark", "length"],
)
def test_a_damaged_header_of_a_member_is_refused(tmp_path, offset, value, opened):
    path = save(line(), tmp_path / "m.sktrain")
    data, entries = parts_of(path)
    at = entries["manifest.json"].header_offset
    if value is None:  # the name is said to be longer than the file
        at, value = at + 26, struct.pack("<H", 65_535)
    data[at : at + len(value)] = value
    path.write_bytes(marked(data))
    with pytest.raises(CorruptFileError):
        opened(path)


@pytest.mark.parametrize("bit", [0x800, 0x1, 0x8, 0x2000])
def test_flags_of_members_other_than_of_their_names_are_refused(tmp_path, bit):
    path = save(line(), tmp_path / "m.sktrain")
    data, entries = parts_of(path)
    assert {one.flag_bits for one in entries.values()} == {0}
    at = bytes(data).rindex(b"PK\x01\x02")  # in the list of members: 8 bytes from its mark
    data[at + 8 : at + 10] = struct.pack("<H", bit)
    path.write_bytes(marked(data))
    if bit == 0x800:
        assert load(path).predict([[1]]) == [1]
    else:
        with pytest.raises(CorruptFileError):
            load(path)


def test_what_stands_between_a_header_and_its_member_is_passed_over(tmp_path):
    """APPNOTE.TXT 4.3.7: a name, and an extra field."""
    text = json.dumps(
        {"format": 2, "versions": {}, "model": None, "probe": None, "members": {}, "class": "x.y"}
    ).encode()
    entry = zipfile.ZipInfo("manifest.json")
    entry.extra = struct.pack("<HHI", 0xCAFE, 4, 7)
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(entry, text)
        file.comment = b"0" * 64
    (tmp_path / "m.sktrain").write_bytes(marked(buffer.getvalue()))
    assert read_manifest(tmp_path / "m.sktrain")["class"] == "x.y"


def test_formats_are_whole_numbers_that_are_known(tmp_path):
    path = tmp_path / "m.sktrain"
    for known in (1, 2):
        path.write_bytes(forge({"format": known}))
        assert read_manifest(path)["format"] == known
    for other in (0, 3, True, 1.0, 2.0, "2", None):
        path.write_bytes(forge({"format": other}))
        with pytest.raises(PersistenceError, match="Install a newer sktrain"):
            read_manifest(path)


def test_members_have_names_of_their_own(tmp_path):
    data = forge({}, {"aa.bin": b"1"}, names={"aa.bin": b"1", "ab.bin": b"1"})
    (tmp_path / "m.sktrain").write_bytes(marked(data.replace(b"ab.bin", b"aa.bin")))
    with pytest.raises(CorruptFileError, match="3 members, doubled names"):
        read_manifest(tmp_path / "m.sktrain")


@pytest.mark.parametrize("name", ["a/b", "a\\b"])
def test_members_have_no_path(tmp_path, name):
    (tmp_path / "m.sktrain").write_bytes(forge({}, {name: b"x"}))
    with pytest.raises(CorruptFileError, match="path"):
        read_manifest(tmp_path / "m.sktrain")


def test_what_may_be_inflated_is_32_mib_and_four_times_the_file(tmp_path, monkeypatch):
    path, limits = save(line(), tmp_path / "m.sktrain"), []

    class Told(_arrays.Budget):
        def __init__(self, limit):
            limits.append(limit)
            super().__init__(limit)

    monkeypatch.setattr(_file, "Budget", Told)
    load(path)
    read_manifest(path)
    load(path, max_bytes=MIB)
    monkeypatch.setattr(_file, "_FLOOR", 10**12)
    load(path)
    assert limits[:2] == [32 * MIB + 4 * path.stat().st_size] * 2
    assert limits[2:] == [MIB, 2048 * MIB]
    with pytest.raises(CorruptFileError, match="more than 1 bytes"):
        load(path, max_bytes=1)


def test_a_manifest_costs_what_its_text_becomes(tmp_path):
    path = save(line(), tmp_path / "m.sktrain", probe=None)
    with zipfile.ZipFile(path) as file:
        text = file.read("manifest.json")
    budget = _arrays.Budget(math.inf)
    budget.spend_text(text)
    assert _file._unpack(path, None, None)[2].spent == budget.spent
    budget = _arrays.Budget(math.inf)
    budget.spend_text(b'{"a":[1,[]]}')
    assert budget.spent == 3 * 12 + 44 + 24 + 2 * 44 + 24


def test_long_values_are_cut_in_messages(tmp_path):
    for value, shown in (("x" * 58, repr("x" * 58)), ("x" * 59, "'" + "x" * 59 + "...")):
        with pytest.raises(PersistenceError) as caught:
            save(value, tmp_path / "m.sktrain")
        assert f" {shown}. " in str(caught.value)


def test_a_horizon_of_no_bars_is_one(tmp_path):
    for told in (0, 1, np.int64(3)):
        path = save(line(), tmp_path / "m.sktrain", label_horizon=told)
        assert read_manifest(path)["label_horizon"] == told


def test_a_key_signs_and_the_file_says_so(tmp_path):
    path = save(line(), tmp_path / "m.sktrain", key=b"k")
    assert read_manifest(path, key=b"k")["signed"] is True
    with pytest.raises(CorruptFileError, match="is altered or truncated: .* key=") as caught:
        load(path)
    assert "another key" not in str(caught.value)
    with pytest.raises(CorruptFileError, match="another key"):
        load(path, key=b"l")


def rewritten(path, **changes):
    with zipfile.ZipFile(path) as file:
        manifest = json.loads(file.read("manifest.json"))
        members = {name: file.read(name) for name in file.namelist() if name != "manifest.json"}
    del manifest["members"]
    path.write_bytes(forge({**manifest, **changes}, members))
    return path


def test_classes_of_several_outputs_are_compared_one_by_one(tmp_path):
    y = np.array([["a", "x"], ["b", "y"]] * 10)
    forest = RandomForestClassifier(2, random_state=0).fit(np.arange(20.0)[:, None], y)
    path = save(forest, tmp_path / "m.sktrain")
    kept = path.read_bytes()
    assert [one.tolist() for one in load(path).classes_] == [["a", "b"], ["x", "y"]]

    def objects(*items):
        return {"!": "objects", "shape": [len(items)], "items": list(items)}

    for wrong in (
        [objects("a", "b"), objects("x", "z")],
        [objects("a", "c"), objects("x", "y")],
        [objects("a", "b")],
        [objects("a", "b"), objects("x", "y"), objects("x", "y")],
    ):
        path.write_bytes(kept)
        rewritten(path, classes={"!": "list", "items": wrong})
        with pytest.raises(CorruptFileError, match="other classes"):
            load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"class": "sktrain.linear_model.LogisticRegression"},
        {"class": "sklearn.linear_model.LinearRegression"},
        {"class": None},
        {"classes": None},
        {"features": {"!": "list", "items": ["a"]}},
    ],
    ids=repr,
)
def test_a_manifest_tells_of_the_model_inside(tmp_path, changes):
    path = save(line(), tmp_path / "m.sktrain")
    load(rewritten(path, **{"class": "sklearn.elsewhere.LogisticRegression"}))  # it has moved
    with pytest.raises(CorruptFileError, match="the manifest tells of"):
        load(rewritten(path, **changes))


def test_a_file_that_holds_no_estimator_is_refused(tmp_path):
    (tmp_path / "m.sktrain").write_bytes(forge({"model": 3, "class": "builtins.int"}))
    with pytest.raises(CorruptFileError, match="int, which is no estimator"):
        load(tmp_path / "m.sktrain")


# What a file tells


def test_versions_are_compared_by_number_and_telling_ones_told():
    def told(name, old, here):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _facts.tell({name: (old, here)}, "m.sktrain", probed=False)
        assert all(f"({name} {old} -> {here})" in str(one.message) for one in caught)
        return bool(caught)

    for old, here in (("1.8.2", "1.9.1"), ("1.10.0", "1.9.0"), ("2.9.0", "1.9.0"), ("1", "1.0")):
        assert told("scikit-learn", old, here)
    assert not told("scikit-learn", "1.9.0", "1.9.5rc1")
    assert told("sktrain", "0.10.0", "0.9.9")
    assert told("sktrain", "0.9.10", "0.9.9")
    assert not told("sktrain", "0.9.9", "0.10.0")
    assert not told("sktrain", "0.9.9.9", "0.9.9")
    assert not told("numpy", "1.0", "2.0")


def test_what_has_another_version_here_is_found():
    here = _facts.versions(["torch"])
    assert set(here) == {"sktrain", "python", "numpy", "pandas", "scikit-learn", "torch"}
    assert _facts.drift(here) == {}
    assert _facts.drift({**here, "numpy": "0.1", "unknown": "2"}) == {
        "numpy": ("0.1", here["numpy"])
    }


def test_parameters_are_cut_after_a_thousand_characters():
    assert _facts._text("x" * 998) == repr("x" * 998)
    assert _facts._text("x" * 999) == "'" + "x" * 999 + "..."
    assert _facts._text({"b", "a"}) == "['a', 'b']"
    assert _facts.parameters_of(object()) == {}


def test_plain_values_are_of_python():
    told = _facts.plain({np.int64(1): (np.float64(0.5), [np.array([[1, 2]])]), "a": "b"})
    assert told == {1: (0.5, [[[1, 2]]]), "a": "b"}
    assert {type(key) for key in told} == {int, str}
    assert type(told[1]) is tuple
    assert type(told[1][0]) is float

"""What a random sample of mutants showed that no test noticed."""

import math
from pathlib import Path
import re
from types import SimpleNamespace
import zipfile

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sktrain import load, save
from sktrain._io import _TEMPORARY, atomic_write
from sktrain.exceptions import CorruptFileError, PersistenceError
from sktrain.persistence import _arrays, _checks, _facts, _file, _probes, _registry, _skops
from sktrain.persistence._arrays import Budget
from sktrain.persistence._decoder import Decoder
from sktrain.persistence._encoder import TAG, Encoder


def test_a_module_that_a_file_names_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "module_of_a_file.py").write_text("open('imported', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CorruptFileError, match="no data of this library"):
        _registry.record_class("module_of_a_file.Thing")
    assert not (tmp_path / "imported").exists()


def test_the_comment_of_the_archive_is_its_checksum(tmp_path):
    path = save(LogisticRegression().fit([[0], [1]], [0, 1]), tmp_path / "m.sktrain")
    with zipfile.ZipFile(path) as file:
        assert file.comment == path.read_bytes()[-64:]


def test_what_is_no_archive_or_not_there_is_told_as_that(tmp_path):
    path = tmp_path / "m.sktrain"
    with pytest.raises(PersistenceError, match=r"' cannot be read: No such file or directory\.$"):
        load(path)
    path.write_bytes(b"x" * 200)
    with pytest.raises(CorruptFileError, match=r"is not a file that sktrain\.save wrote\."):
        load(path)


def test_parameters_are_those_of_the_whole():
    found = _facts.parameters_of(make_pipeline(LogisticRegression()))
    assert set(found) == {"memory", "steps", "transform_input", "verbose"}


def test_versions_are_told_as_pairs():
    assert _facts.said({}) == "the same versions"
    assert _facts.said({"a": ("1", "2"), "b": ("3", "4")}) == "a 1 -> 2, b 3 -> 4"


@pytest.mark.parametrize("shape", [(2, 5), (2, 2), (3,), (1, 3, 3)])
def test_centres_fit_the_columns(shape):
    own = {"cluster_centers_": np.zeros(shape), "n_features_in_": 3}
    with pytest.raises(CorruptFileError, match="do not fit its columns"):
        _checks._CHECKS["cluster_centers_"](own)


def test_a_tree_is_of_one_kind():
    own = {"tree_": SimpleNamespace(n_features=3), "n_features_in_": 3}
    with pytest.raises(CorruptFileError, match="a decision tree of another kind"):
        _checks._check_single_tree(own)


def test_a_temporary_file_has_the_name_that_is_swept(tmp_path):
    names = []
    atomic_write(tmp_path / "a.txt", lambda file: names.append(file.name))
    found = re.fullmatch(_TEMPORARY, names[0].rpartition("/")[2])
    assert found is not None
    assert found["name"] == "a.txt"


GOLDEN = Path(__file__).parent / "golden"


def encoded(value):
    """A tree and its decoder."""
    encoder = Encoder()
    tree = encoder.encode(value, "value")
    return tree, Decoder(encoder.members)


def test_an_array_of_fewer_values_than_its_tree_tells_is_not_read_as_one():
    short = _arrays.to_npy(np.arange(16.0))[: -8 * 15]  # the header of 16 values before one
    with pytest.raises(CorruptFileError, match="header does not fit"):
        _arrays.from_npy(short, np.dtype("f8"), 16)


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.zeros(3)], ids=["two axes", "longer"])
def test_a_column_has_one_axis_and_a_value_a_row(values):
    tree, decoder = encoded(values)
    with pytest.raises(CorruptFileError, match="a column that does not fit its rows"):
        decoder._flat(tree, 2)


@pytest.mark.parametrize("dtype", ["i4", "u8", "f8", "i2"])
def test_times_are_whole_numbers_of_eight_bytes(dtype):
    tree, decoder = encoded(np.arange(8, dtype=dtype))
    with pytest.raises(CorruptFileError, match="not of whole numbers"):
        decoder._read_times(
            {TAG: "times", "values": tree, "unit": "ns", "zone": None, "name": None}
        )


@pytest.mark.parametrize("dtype", [np.int32, np.float64, np.uint8])
def test_equal_numbers_of_another_type_are_not_the_same_classes(dtype):
    assert _file._equal(np.arange(3), np.arange(3))
    assert not _file._equal(np.arange(3, dtype=dtype), np.arange(3))
    assert not _file._equal(np.arange(3), np.arange(3, dtype=dtype))


@pytest.mark.parametrize("module", ["sklearn.metrics._a", "sklearn.metrics._z", "a"])
def test_a_scorer_is_told_by_its_module_too(module):
    kind = type("_Scorer", (), {"__module__": module})
    with pytest.raises(PersistenceError):
        Encoder().encode(kind(), "value")


def test_a_member_ends_inside_its_file():
    data = _file._HEADER.pack(b"PK\3\4", 0, 10).ljust(60, b"x")  # its bytes begin at 40
    entry = SimpleNamespace(header_offset=0, flag_bits=0, file_size=20, filename="a")
    assert _file._stored(data, entry) == b"x" * 20
    for size in (21, 41, 2**31):
        entry.file_size = size
        with pytest.raises(CorruptFileError, match="damaged header"):
            _file._stored(data, entry)


def test_members_are_of_the_date_of_the_first_files(tmp_path):
    path = save(LogisticRegression().fit([[0], [1]], [0, 1]), tmp_path / "m.sktrain")
    golden = next(GOLDEN.glob("format2_*.sktrain"))
    dates = [{one.date_time for one in zipfile.ZipFile(each).infolist()} for each in (path, golden)]
    assert dates[0] == dates[1]


@pytest.mark.parametrize("width", [0, -1, True, 2.0, None])
def test_an_estimator_has_a_whole_number_of_features(width):
    with pytest.raises(CorruptFileError, match="features"):
        _checks._width({"n_features_in_": width})
    assert _checks._width({"n_features_in_": 1}) == 1


def test_an_ensemble_may_have_many_columns(tmp_path):
    """More than the small numbers that Python keeps one object of."""
    X = np.random.default_rng(0).normal(size=(20, 300))
    forest = RandomForestClassifier(2, random_state=0).fit(X, np.arange(20) % 2)
    opened = load(save(forest, tmp_path / "m.sktrain"))
    np.testing.assert_array_equal(opened.predict_proba(X), forest.predict_proba(X))


def test_nodes_of_a_histogram_tree_are_of_one_type():
    X = np.random.default_rng(0).normal(size=(60, 300))  # more columns than Python's small numbers
    own = vars(HistGradientBoostingClassifier(max_iter=1).fit(X, X[:, 0] > 0))
    _checks._check_histograms(own)
    tree = own["_predictors"][0][0]
    narrow = [(name, "f4" if kind == "<f8" else kind) for name, kind in tree.nodes.dtype.descr]
    tree.nodes = tree.nodes.astype(narrow)
    with pytest.raises(CorruptFileError, match="without nodes"):
        _checks._check_histograms(own)


def test_the_rows_of_a_window_probe_miss_their_first_step():
    part = SimpleNamespace(lookback_=4, step_features_=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_probes, "_input_parts", lambda estimator: [part])
        windows = next(_probes._found(part))
    assert np.argwhere(np.isnan(windows)).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("n_again, fits", [(10_000, True), (29_000, True), (31_000, False)])
def test_parts_may_be_met_again_four_times_each(n_again, fits):
    """10,000 and four for each of 5,000."""
    own = [{"__id__": place} for place in range(5000)]
    again = [{"__id__": place % 5000} for place in range(n_again)]
    archive = SimpleNamespace(infolist=list)
    check = lambda: _skops._check_schema([*own, *again], archive, "m", Budget(math.inf))  # noqa: E731
    if fits:
        check()
    else:
        with pytest.raises(CorruptFileError, match="many times over"):
            check()


@pytest.mark.parametrize("n_members, told", [(20_000, "overlap"), (20_001, "20001 members")])
def test_a_file_has_at_most_so_many_members(n_members, told, monkeypatch):
    class Archive:
        def __init__(self, data):
            self.names = ["manifest.json", *map(str, range(n_members - 1))]

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def infolist(self):
            return [SimpleNamespace(filename=name, file_size=1) for name in self.names]

    monkeypatch.setattr(_file.zipfile, "ZipFile", Archive)
    with pytest.raises(CorruptFileError, match=told):
        _file._read(b"", "m.sktrain", Budget(math.inf))

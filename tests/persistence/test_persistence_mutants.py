"""What a random sample of mutants showed that no test noticed."""

import re
from types import SimpleNamespace
import zipfile

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sktrain import load, save
from sktrain._io import _TEMPORARY, atomic_write
from sktrain.exceptions import CorruptFileError, PersistenceError
from sktrain.persistence import _checks, _facts, _registry


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

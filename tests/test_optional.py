"""A missing optional library is named with the extra that brings it."""

import pytest

from sktrain._optional import require
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

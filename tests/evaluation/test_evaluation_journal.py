"""A journal that was damaged or edited gives its own error, never another p-value."""

import json

import numpy as np
import pytest

from sktrain.evaluation._journal import Journal, _checksum
from sktrain.exceptions import CorruptFileError, StudyMismatchError

BELONGS = {"bars": "0123456789abcdef", "estimator": "feed", "cv": "beef"}


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "null.json"
    with Journal.open(path, BELONGS, 7) as journal:
        journal.set_score([0.51, 0.49])
        for number in range(20):
            journal.add(number, 0.5 + number / 1000)
    return path


def read(path):
    opened = Journal.open(path, BELONGS, 7)
    return opened.fold_scores, opened.nulls


def test_what_was_kept_comes_back(kept):
    assert read(kept) == ([0.51, 0.49], {number: 0.5 + number / 1000 for number in range(20)})


def test_every_flip_and_every_cut_is_noticed(kept, tmp_path):
    data, rng = kept.read_bytes(), np.random.default_rng(0)
    made = [data[:length] for length in range(0, len(data), 7)]
    for place in rng.integers(0, len(data), 300):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        made.append(bytes(flipped))
    for one in made:
        kept.write_bytes(one)
        with pytest.raises((CorruptFileError, StudyMismatchError), match="null.json"):
            read(kept)


EDITS = {
    "a better score": lambda state: state["nulls"].update({"3": 0.1}),
    "a copy less": lambda state: state["nulls"].pop("3"),
    "another fold": lambda state: state["fold_scores"].append(0.9),
    "NaN": lambda state: state["nulls"].update({"3": float("nan")}),
    "infinity": lambda state: state["nulls"].update({"3": float("inf")}),
    "a large number": lambda state: state["nulls"].update({"3": 10**400}),
    "text": lambda state: state["nulls"].update({"3": "0.5"}),
    "truth": lambda state: state["nulls"].update({"3": True}),
    "no number": lambda state: state["nulls"].update({"x": 0.5}),
    "a list of copies": lambda state: state.update(nulls=[0.5]),
    "a seed below zero": lambda state: state.update(entropy=-1),
    "half a seed": lambda state: state.update(entropy=7.0),
    "a number of folds": lambda state: state.update(fold_scores=3),
    "no folds": lambda state: state.update(fold_scores=[]),
    "a copy of many digits": lambda state: state["nulls"].update({"9" * 5000: 0.5}),
    "a copy told twice": lambda state: state["nulls"].update({"03": 0.5}),
    "folds by name": lambda state: state.update(fold_scores={"a": 1}),
    "belonging to nothing": lambda state: state.update(belongs=[]),
    "something more": lambda state: state.update(more=1),
    "something less": lambda state: state.pop("entropy"),
    "another format": lambda state: state.update(format="sktrain null calibration 9"),
}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", EDITS)
def test_edits_are_noticed(kept, name, signed):
    """By the checksum and, where it was made anew, by what no score is."""
    state = json.loads(kept.read_text())
    EDITS[name](state)
    if signed:
        state.pop("sha256")
        state["sha256"] = _checksum(state)
    kept.write_text(json.dumps(state))
    believed = signed and name in ("a better score", "a copy less", "another fold")
    if believed:  # who makes a new checksum is believed, as the README says
        read(kept)
        return
    with pytest.raises(CorruptFileError):
        read(kept)


def test_journals_of_before_the_checksum_are_read(kept):
    state = json.loads(kept.read_text())
    state.pop("sha256")
    kept.write_text(json.dumps({**state, "format": "sktrain null calibration 1"}))
    assert read(kept)[0] == [0.51, 0.49]
    kept.write_text(json.dumps(state))  # a checksum cannot be left out of one that has it
    with pytest.raises(CorruptFileError, match="altered"):
        read(kept)

"""A study that others can write to deletes nothing, hangs nothing and answers what was altered with
its own error."""

import json
import os
from pathlib import Path
import pickle
import platform
import sqlite3

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial
import psutil
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit
import sqlalchemy.exc

from sktrain import OptunaSearchCV
from sktrain.exceptions import SktrainError, StudyMismatchError
from sktrain.search._database import open_storage
from sktrain.search._pickled import check_pickles
from sktrain.search._storage import _lock_file_held

X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.arange(60) % 2


def search(path, n_trials):
    model = OptunaSearchCV(
        LogisticRegression(),
        {"C": (0.01, 9.0)},
        n_trials=n_trials,
        storage=path,
        study_name="s",
        cv=TimeSeriesSplit(2),
        random_state=0,
    )
    return model.fit(X, Y)


def add(path, **params):
    """What somebody else writes into the shared study."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    study = storage.get_study_id_from_name("s")
    storage.create_new_trial(study, create_trial(**params))
    storage.engine.dispose()


OWNERS = {
    "a lock elsewhere": lambda folder: {
        "token": "x",
        "host": platform.node(),
        "pid": 1,
        "lock": str(folder / "precious"),
    },
    "a path as token": lambda folder: {"token": "../precious", "host": platform.node(), "pid": 1},
    "a token of ours": lambda folder: {
        "token": "0" * 32,
        "host": platform.node(),
        "lock": str(folder / "precious"),
    },
    "a host that is no text": lambda folder: {"token": "0" * 32, "host": 3},
    "nobody": lambda folder: None,
    "a word": lambda folder: "me",
}


@pytest.mark.parametrize("owner", OWNERS)
def test_a_claim_from_an_untrusted_storage_touches_no_file(tmp_path, owner):
    folder = tmp_path / "search"
    folder.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("x")
    (tmp_path / ".sktrain-owner-").mkdir()
    whole = search(folder / "whole.db", 4)
    search(folder / "q.db", 2)
    add(
        folder / "q.db",
        state=TrialState.RUNNING,
        user_attrs={"slot": 2, "owner": OWNERS[owner](tmp_path)},
    )
    resumed = search(folder / "q.db", 4)
    assert precious.read_text() == "x"
    assert resumed.cv_results_["params"] == whole.cv_results_["params"]


def outcome(**changes):
    return {
        "state": "complete",
        "folds": [],
        "reports": [],
        "duration": 0.0,
        "memory": None,
        **changes,
    }


ALTERED = {
    "far ahead": {"slot": 99_999_999, "outcome": outcome()},
    "another state": {"slot": 2, "outcome": outcome(folds=None)},
    "half": {"slot": 2, "outcome": {"state": "complete"}},
    "no dict": {"slot": 2, "outcome": {"state": "complete", "folds": 3, "reports": 3}},
}


@pytest.mark.parametrize("name", ALTERED)
@pytest.mark.timeout(60)
def test_an_altered_trial_is_refused_at_once(tmp_path, name):
    search(tmp_path / "q.db", 2)
    distribution = optuna.distributions.FloatDistribution(0.01, 9.0)
    add(
        tmp_path / "q.db",
        state=TrialState.COMPLETE,
        value=1.0,
        params={"C": 1.0},
        distributions={"C": distribution},
        user_attrs=ALTERED[name],
    )
    with pytest.raises(StudyMismatchError, match="altered|not written by"):
        search(tmp_path / "q.db", 4)


@pytest.mark.parametrize("slot", [-1, 1.5, "2", True, None, [1]], ids=repr)
def test_what_is_no_slot_is_no_trial_of_ours(tmp_path, slot):
    search(tmp_path / "q.db", 2)
    add(tmp_path / "q.db", state=TrialState.RUNNING, user_attrs={"slot": slot})
    assert len(search(tmp_path / "q.db", 3).cv_results_["params"]) == 3


@pytest.mark.parametrize(
    "name", ["a?b.db", "a%20b.db", "a{b}.db", "{SCHEMA_VERSION}.db", "a b#c.db", "mode=memory&x.db"]
)
def test_a_path_is_that_file_and_connections_are_closed(tmp_path, name):
    path = tmp_path / name
    search(path, 2)
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert len(search(str(path), 3).cv_results_["params"]) == 3
    assert str(path) not in [one.path for one in psutil.Process().open_files()]


def test_connections_are_closed_when_the_study_is_another(tmp_path):
    path = tmp_path / "q.db"
    search(path, 2)
    for _ in range(3):
        with pytest.raises(StudyMismatchError):
            OptunaSearchCV(
                LogisticRegression(),
                {"C": (0.1, 9.0)},
                storage=path,
                study_name="s",
                cv=TimeSeriesSplit(2),
                random_state=0,
            ).fit(X, Y)
    assert str(path) not in [one.path for one in psutil.Process().open_files()]


def test_a_storage_of_the_users_own_stays_open(tmp_path):
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/q.db")
    search(storage, 2)
    assert storage.get_all_studies()
    storage.engine.dispose()


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
def test_special_files_are_no_storage_and_no_lock(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SktrainError, match="cannot be written"):
        search(tmp_path / "pipe", 2)
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    precious = tmp_path / "precious"
    precious.write_text("x")
    (tmp_path / "away").symlink_to(precious)
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "away", "folder"):
        assert _lock_file_held(tmp_path / name) is False
        assert os.path.lexists(tmp_path / name)
    assert precious.read_text() == "x"


@pytest.mark.skipif(os.name != "posix", reason="needs pipes and links")
@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
@pytest.mark.timeout(60)
def test_a_claim_whose_lock_is_no_file_is_void_at_once(tmp_path, kind):
    search(tmp_path / "q.db", 2)
    lock = tmp_path / f".sktrain-owner-{'0' * 32}"
    {"pipe": os.mkfifo, "link": lambda path: path.symlink_to("x"), "folder": os.mkdir}[kind](lock)
    owner = {"token": "0" * 32, "host": platform.node(), "pid": 1}
    add(
        tmp_path / "q.db", state=TrialState.RUNNING, user_attrs={"slot": 2, "owner": owner}
    )
    assert len(search(tmp_path / "q.db", 3).cv_results_["params"]) == 3
    assert os.path.lexists(lock)


@pytest.mark.parametrize("cut", ["{", '"', "[1,", "\x00"])
def test_a_damaged_value_is_refused_with_our_own_error(tmp_path, cut):
    """What Optuna itself cannot read, its driver or a JSON parser would say in words of their
    own."""
    path = tmp_path / "study.db"
    search(path, 2)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE trial_user_attributes SET value_json = ?", (cut,))
    connection.close()
    with pytest.raises(SktrainError, match="cannot be read"):
        search(path, 2)


DRIVER = sqlalchemy.exc.OperationalError("SELECT", {}, sqlite3.OperationalError("disk I/O error"))


def wrapped():
    error = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = DRIVER
    return error


ERRORS = [wrapped(), DRIVER, OSError(28, "No space left on device")]
CALLS = [
    "get_all_trials", "create_new_trial", "set_trial_user_attr",
    "set_trial_intermediate_value", "set_trial_state_values", "create_new_study",
]


@pytest.mark.parametrize("call, error", list(zip(CALLS, 2 * ERRORS, strict=True)))
def test_a_storage_that_fails_in_any_call_is_told_and_loses_nothing(
    tmp_path, monkeypatch, call, error
):
    """A disk that fills up, in each call of the storage and in each way it is told."""
    path = tmp_path / "study.db"
    whole = search(None, 4)
    search(path, 2)
    real = getattr(optuna.storages._CachedStorage, call)
    said = []

    def failing(self, *args, **kwargs):
        said.append(call)
        if len(said) > 1 or call == "create_new_study":
            raise error
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.storages._CachedStorage, call, failing)
        with pytest.raises(SktrainError, match=r"study.db.*(disk I/O error|No space left)"):
            search(path, 4)
    again = search(path, 4)
    for column in ("mean_test_score", "split0_test_score"):
        np.testing.assert_array_equal(again.cv_results_[column], whole.cv_results_[column])
    assert not list(tmp_path.glob(".sktrain-owner-*"))


EDITS = [
    "UPDATE study_user_attributes SET value_json = NULL",
    "UPDATE study_user_attributes SET value_json = '3'",
    "UPDATE study_user_attributes SET value_json = '['",
    """UPDATE study_user_attributes SET value_json = '{"seed": null, "fingerprint": null}'""",
    "UPDATE trials SET state = 'ODD'",
    "UPDATE trial_values SET value = 'x'",
    "UPDATE trial_params SET param_value = 'x'",
    "UPDATE trial_params SET param_value = 1e308",
    "UPDATE trial_user_attributes SET value_json = replace(hex(zeroblob(3000)), '00', '[')",
]


@pytest.mark.parametrize("edit", EDITS)
def test_a_row_edited_in_the_file_is_refused_with_our_own_error(tmp_path, edit):
    path = tmp_path / "q.db"
    search(str(path), 2)
    with sqlite3.connect(path) as connection:
        assert connection.execute(edit).rowcount > 0
    connection.close()
    with pytest.raises(SktrainError):
        search(str(path), 3)


FORGED = {
    "the score of a fold": ("folds", 0, "test_scores", [1]),
    "scores of a fold": ("folds", 0, "test_scores", {"a": 1.0}),
    "a score too large": ("folds", 0, "test_scores", 10**400),
    "a time": ("folds", 0, "fit_time", {}),
    "an error": ("folds", 0, "fit_error", 3),
    "a report": ("reports", 0, "x"),
    "a duration": ("duration", True),
    "a state": ("state", []),
    "more folds": ("folds", [{"fit_error": None, "test_scores": 0.5}] * 3),
    "a bond": ("fingerprint", "cv", 3),
    "a bond of numbers": ("fingerprint", "cv", "folds", 3),
    "no seed": ("seed", None),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_value_forged_inside_a_record_is_refused(tmp_path, whole_study, name):
    path, (*where, last, value) = tmp_path / "q.db", FORGED[name]
    path.write_bytes(whole_study)
    connection = sqlite3.connect(path)
    table, key = ("study", "sktrain") if "bond" in name or "seed" in name else ("trial", "outcome")
    text = connection.execute(
        f"SELECT value_json FROM {table}_user_attributes WHERE key = ?", (key,)
    ).fetchone()[0]
    record = inner = json.loads(text)
    for each in where:
        inner = inner[each]
    inner[last] = value
    connection.execute(
        f"UPDATE {table}_user_attributes SET value_json = ? WHERE value_json = ?",
        (json.dumps(record), text),
    )
    connection.commit()
    connection.close()
    if name == "a state":  # no outcome, so the trial is run again
        assert len(search(str(path), 2).cv_results_["params"]) == 2
    else:
        with pytest.raises(StudyMismatchError, match="not written by|not made by"):
            search(str(path), 3)


class Owned:
    """Writes a file while it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_of_a_sampler_runs_no_code(tmp_path):
    """Optuna's sampler by CMA-ES opens what a trial holds."""
    path = tmp_path / "q.db"
    search(path, 2)
    made = pickle.dumps({"mean": np.zeros(3), "sigma": np.float64(1.0)}).hex()
    hostile = pickle.dumps(Owned(tmp_path / "owned")).hex()
    for text, cut in ((made, 2), (hostile, 1), (hostile, 2), ("not hexadecimal", 1)):
        size = -(-len(text) // cut)
        attributes = {f"cma:optimizer:{n}": text[n * size : (n + 1) * size] for n in range(cut)}
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM trial_system_attributes")
            connection.executemany(
                "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (1, ?, ?)",
                [(key, json.dumps(value)) for key, value in attributes.items()],
            )
        connection.close()
        if text == made:
            check_pickles(attributes)
        else:
            with pytest.raises(StudyMismatchError, match="a pickle that no sampler wrote"):
                search(path, 3)
    assert not (tmp_path / "owned").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
def test_a_pipe_beside_a_storage_is_refused(tmp_path):
    search(str(tmp_path / "q.db"), 2)
    os.mkfifo(tmp_path / "q.db-journal")
    with pytest.raises(SktrainError, match="pipe"):
        search(str(tmp_path / "q.db"), 3)


ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r"
SLOW = "'" + "a" * 60 + "' GLOB '" + "*a" * 30 + "b'"  # tries every way to spread the stars
COMPUTED = {
    "view": f"DROP TABLE trials; CREATE VIEW Trials AS {ENDLESS}",
    "view of the version": f"DROP TABLE version_info; CREATE VIEW version_info AS {ENDLESS}",
    "trigger": f"CREATE TABLE h(n); CREATE TRIGGER t AFTER INSERT ON trials BEGIN INSERT INTO h "
    f"{ENDLESS}; END",
    "virtual table": "DROP TABLE trial_values; CREATE VIRTUAL TABLE trial_values USING fts5(value)",
    "index": "CREATE INDEX i ON trials(hex(zeroblob(900)))",
    "part of an index": f"CREATE INDEX i ON trials(number) WHERE {SLOW}",
    "generated": f"ALTER TABLE trials ADD COLUMN z INT GENERATED ALWAYS AS ({SLOW})",
    "check": f"DROP TABLE trials; CREATE TABLE trials(trial_id INT, CHECK ({SLOW}))",
    "default": "DROP TABLE trials; CREATE TABLE trials(z DEFAULT (hex(zeroblob(900))))",
}


@pytest.fixture(scope="module")
def whole_study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "q.db"
    search(str(path), 2)
    return path.read_bytes()


@pytest.mark.parametrize("prefix", ["", "sqlite:///"])
@pytest.mark.parametrize("script", COMPUTED.values(), ids=COMPUTED)
def test_what_a_file_would_compute_is_refused_before_it_is_read(
    tmp_path, whole_study, script, prefix
):
    path = tmp_path / "q.db"
    path.write_bytes(whole_study)
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    with pytest.raises(SktrainError, match="was altered: its (view|trigger|table|index)"):
        open_storage(f"{prefix}{path}")


def test_views_of_somebody_else_are_left_alone(tmp_path, whole_study):
    path = tmp_path / "q.db"
    path.write_bytes(whole_study)
    connection = sqlite3.connect(path)
    connection.executescript(f"CREATE VIEW mine AS {ENDLESS}; CREATE TABLE t(x CHECK ({SLOW}))")
    connection.close()
    assert len(search(str(path), 3).cv_results_["params"]) == 3


def page_of(child, size, head=b""):
    """An inner page of a table of which every entry is one and the same page."""
    start = len(head)
    count = (size - start - 12) // 7 - 2  # entries of five bytes, places of two
    entries = b"".join(child.to_bytes(4) + b"\1" for _ in range(count))
    top = size - len(entries)
    places = b"".join((top + 5 * each).to_bytes(2) for each in range(count))
    page = b"\5\0\0" + count.to_bytes(2) + top.to_bytes(2) + b"\0" + child.to_bytes(4) + places
    return head + page + bytes(top - start - len(page)) + entries


@pytest.mark.parametrize("table", ["trials", "trial_params", "sqlite_master"])
def test_a_small_file_of_endless_rows_is_refused(tmp_path, whole_study, table):
    path = tmp_path / "q.db"
    path.write_bytes(whole_study)
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
    root = (found.fetchone() or [1])[0]
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    data = bytearray(whole_study)
    assert data[100] == 5  # the list of the tables takes more than a page
    if root == 1:
        child = int.from_bytes(data[108:112])
    else:
        data += data[(root - 1) * size : root * size]
        child = len(data) // size
    for _ in range(5):
        data += page_of(child, size)
        child = len(data) // size
    data[(root - 1) * size : root * size] = page_of(child, size, data[:100] if root == 1 else b"")
    data[28:32] = (len(data) // size).to_bytes(4)
    path.write_bytes(data)
    with pytest.raises(SktrainError, match=r"damaged|malformed"):
        open_storage(path)


def test_a_journal_that_has_another_file_deleted_is_refused(tmp_path):
    path, other = tmp_path / "q.db", tmp_path / "precious"
    search(str(path), 2)
    other.write_text("precious")
    mark, name = bytes.fromhex("d9d505f920a163d7"), os.fsencode(other)
    numbers = (0, 1, path.stat().st_size // 4096, 512, 4096)
    head = mark + b"".join(number.to_bytes(4) for number in numbers)
    last = (2**30 // 4096 + 1).to_bytes(4) + name + len(name).to_bytes(4) + sum(name).to_bytes(4)
    (tmp_path / "q.db-journal").write_bytes(head.ljust(512, b"\0") + last + mark)
    for storage in (str(path), f"sqlite:///{path}"):
        with pytest.raises(SktrainError, match="names another file"):
            search(storage, 3)
    assert other.read_text() == "precious"

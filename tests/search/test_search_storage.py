"""What a kill, a second worker and another problem do to a stored search."""

import json
import os
from pathlib import Path
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

from helpers import Counting
import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, TimeSeriesSplit, cross_val_score

from sktrain.exceptions import SktrainError, StudyMismatchError
from sktrain.search import OptunaSearchCV

X, Y = make_classification(150, n_features=6, flip_y=0.2, random_state=0)
SPACE = {"C": (1e-6, 1e3, "log"), "l1_ratio": (0.0, 1.0)}

WORKER = """
import sys, time, json
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sktrain.search import OptunaSearchCV

class Slow(LogisticRegression):
    def fit(self, X, y):
        time.sleep(float(sys.argv[3]))
        return super().fit(X, y)

X, y = make_classification(150, n_features=6, flip_y=0.2, random_state=0)
search = OptunaSearchCV(Slow(), {"C": (1e-6, 1e3, "log")}, n_trials=int(sys.argv[2]), random_state=0, cv=4, storage=sys.argv[1] or None)
print("ready", flush=True)
search.fit(X, y)
keep = {k: [repr(v) for v in c] for k, c in search.cv_results_.items() if "time" not in k and k != "duration"}
print(json.dumps(keep))
"""


def start(path, n_trials, pause):
    script = [sys.executable, "-c", WORKER, str(path), str(n_trials), str(pause)]
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process):
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def stored(path):
    """Finished trials of the only study in a file: slot -> (state, parameters)."""
    (summary,) = optuna.get_all_study_summaries(f"sqlite:///{path}")
    trials = optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{path}").trials
    done = [trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")]
    assert len({trial.user_attrs["slot"] for trial in done}) == len(done), "a trial was run twice"
    return {trial.user_attrs["slot"]: (trial.state.name, trial.params) for trial in done}


def begun(path):
    """Whether a study is stored, asked without Optuna, which would make the tables the worker is
    about to make."""
    if not path.exists():
        return False
    connection = sqlite3.connect(path)
    try:
        return bool(connection.execute("SELECT count(*) FROM studies").fetchone()[0])
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()


def kill_and_resume(tmp_path, kills, n_trials, pause, seed):
    expected = finish(start("", n_trials, pause))
    chance = random.Random(seed)
    path, lost, repeated = tmp_path / "study.db", 0, 0
    before = {}
    for _ in range(kills):
        process = start(path, n_trials, pause)
        time.sleep(chance.uniform(0.02, 2.5 * n_trials * 4 * pause / kills))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        after = stored(path) if begun(path) else {}
        lost += sum(after.get(slot) != trial for slot, trial in before.items())
        before = after
    assert finish(start(path, n_trials, pause)) == expected
    states = [
        trial.state.name
        for trial in optuna.load_study(study_name=None, storage=f"sqlite:///{path}").trials
    ]
    assert "RUNNING" not in states
    assert (lost, repeated) == (0, 0)
    assert not list(tmp_path.glob(".sktrain-owner*"))


def test_a_killed_search_ends_like_one_that_was_not(tmp_path):
    kill_and_resume(tmp_path, kills=2, n_trials=14, pause=0.01, seed=1)


@pytest.mark.slow
def test_twenty_kills(tmp_path):
    kill_and_resume(tmp_path, kills=20, n_trials=40, pause=0.03, seed=2)


def test_a_lock_file_goes_when_its_owner_died_before_a_claim_and_stays_while_it_lives(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    dead, living = (
        tmp_path / (".sktrain-owner-" + "d" * 32),
        tmp_path / (".sktrain-owner-" + "a" * 32),
    )
    dead.touch()
    with open(living, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        search(tmp_path / "study.db", n_trials=2).fit(X, Y)
        assert list(tmp_path.glob(".sktrain-owner*")) == [living]
    search(tmp_path / "study.db", n_trials=2).fit(X, Y)
    assert not list(tmp_path.glob(".sktrain-owner*"))


def search(storage, **changes):
    settings = {"n_trials": 6, "random_state": 0, "cv": 4, "storage": storage}
    return OptunaSearchCV(
        changes.pop("estimator", LogisticRegression()),
        changes.pop("space", {"C": (1e-6, 1e3, "log")}),
        **{**settings, **changes},
    )


def outcome(fitted):
    return {
        name: [repr(v) for v in column]
        for name, column in fitted.cv_results_.items()
        if "time" not in name and name != "duration"
    }


def test_n_trials_is_the_total_and_nothing_is_fitted_again(tmp_path):
    path = tmp_path / "study.db"
    Counting.fits = 0
    search(path, estimator=Counting()).fit(X, Y)
    once = Counting.fits
    again = search(path, estimator=Counting()).fit(X, Y)
    assert Counting.fits == once + 1  # the final fit
    assert len(again.cv_results_["params"]) == 6
    longer = search(path, estimator=Counting(), n_trials=9).fit(X, Y)
    assert outcome(longer) == outcome(search(None, estimator=Counting(), n_trials=9).fit(X, Y))
    assert len(search(path, estimator=Counting(), n_trials=2).fit(X, Y).cv_results_["params"]) == 9


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_stored_or_not_the_trials_are_the_same(tmp_path, n_jobs):
    kept = search(str(tmp_path / "study.db"), n_jobs=n_jobs, n_trials=12).fit(X, Y)
    assert outcome(kept) == outcome(search(None, n_trials=12).fit(X, Y))


def test_two_workers_share_the_trials(tmp_path):
    path = tmp_path / "study.db"
    workers = [start(path, 20, 0.02) for _ in range(2)]
    first, second = map(finish, workers)
    assert first == second == finish(start("", 20, 0))
    trials = optuna.load_study(study_name=None, storage=f"sqlite:///{path}").trials
    owners = [trial.user_attrs["owner"]["pid"] for trial in trials if trial.state.name != "FAIL"]
    assert len(owners) == 20
    assert len(set(owners)) == 2


def test_a_live_workers_trial_is_waited_for_and_a_dead_ones_is_taken(tmp_path):
    path = tmp_path / "study.db"
    busy = start(path, 6, 1.0)
    while not begun(path):
        time.sleep(0.05)
    done = []
    other = threading.Thread(target=lambda: done.append(finish(start(path, 6, 0.0))))
    other.start()
    time.sleep(2.5)
    trials = optuna.load_study(study_name=None, storage=f"sqlite:///{path}").trials
    assert not [trial for trial in trials if trial.state.name == "FAIL"]
    os.kill(busy.pid, signal.SIGKILL)
    busy.communicate()
    other.join(60)
    assert done == [finish(start("", 6, 0))]


def test_resumed_seed_is_the_stored_one(tmp_path):
    path = tmp_path / "study.db"
    first = search(path, random_state=None).fit(X, Y)
    longer = search(path, random_state=None, n_trials=8).fit(X, Y)
    assert [repr(p) for p in longer.cv_results_["params"][:6]] == [
        repr(p) for p in first.cv_results_["params"]
    ]


def test_choices_of_any_kind_come_back(tmp_path):
    path = tmp_path / "study.db"
    space = {"class_weight": [None, "balanced", {0: 1.0, 1: 3.0}], "C": np.array([0.1, 1.0])}
    first = search(path, space=space).fit(X, Y)
    again = search(path, space=space).fit(X, Y)
    assert first.cv_results_["params"] == again.cv_results_["params"]
    assert {"class_weight", "C"} == set(first.best_params_)


CHANGES = {
    "data": (lambda: search_with(X=X + 1), "data 'X'"),
    "labels": (lambda: search_with(y=1 - Y), "data 'y'"),
    "folds": (lambda: search_with(cv=KFold(4)), "cv 'splitter'"),
    "estimator": (
        lambda: search_with(estimator=LogisticRegression(max_iter=50)),
        "estimator 'max_iter' was 100, is 50",
    ),
    "space": (
        lambda: search_with(space={"C": (1e-6, 1e2, "log")}),
        "param_distributions 'C' was .*1000.*is .*100",
    ),
    "scoring": (lambda: search_with(scoring="f1"), "scoring was None, is 'f1'"),
    "seed": (lambda: search_with(random_state=1), "random_state"),
    "sampler": (
        lambda: search_with(sampler=optuna.samplers.RandomSampler()),
        "sampler was SpreadTPESampler, is RandomSampler",
    ),
}


def search_with(X=X, y=Y, **changes):
    return lambda path: search(path, study_name="mine", **changes).fit(X, y)


@pytest.mark.parametrize("change", CHANGES)
def test_another_problem_is_refused_and_said(tmp_path, change):
    path = tmp_path / "study.db"
    search_with()(path)
    run, message = CHANGES[change]
    with pytest.raises(StudyMismatchError, match=f"'mine'.*{message}"):
        run()(path)
    search_with()(path)


def test_a_study_of_somebody_else_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    optuna.create_study(storage=url, study_name="theirs").optimize(
        lambda trial: trial.suggest_float("x", 0, 1), n_trials=1
    )
    with pytest.raises(StudyMismatchError, match="not made by OptunaSearchCV"):
        search(url, study_name="theirs").fit(X, Y)


@pytest.mark.parametrize("text", ["x", "not a database, but long enough to be looked at" * 10])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path, text):
    """SQLite takes a file of one byte for an empty one."""
    path = tmp_path / "notes.txt"
    path.write_text(text)
    before = path.read_bytes()
    with pytest.raises(SktrainError, match="no SQLite file, or a damaged one"):
        search(path).fit(X, Y)
    assert path.read_bytes() == before


def test_outer_folds_have_studies_of_their_own(tmp_path):
    path = tmp_path / "study.db"
    scores = cross_val_score(search(path, n_trials=3), X, Y, cv=TimeSeriesSplit(3), n_jobs=2)
    assert len(optuna.get_all_study_summaries(f"sqlite:///{path}")) == 3
    np.testing.assert_array_equal(
        scores, cross_val_score(search(None, n_trials=3), X, Y, cv=TimeSeriesSplit(3))
    )


def test_an_optuna_storage_is_taken_as_it_is():
    storage = optuna.storages.InMemoryStorage()
    kept = search(storage, study_name="mine").fit(X, Y)
    assert outcome(kept) == outcome(search(storage, study_name="mine").fit(X, Y))
    assert len(storage.get_all_trials(storage.get_study_id_from_name("mine"))) == 6


def test_data_fingerprints_hold_across_processes_and_see_every_change():
    from sktrain import with_history
    from sktrain.search._fingerprint import hash_data

    index = pd.date_range("2020", periods=50)
    frame = with_history(pd.DataFrame({"a": np.arange(50.0), "b": 1}, index))
    assert hash_data(frame) == hash_data(with_history(frame.copy()))
    part = frame.iloc[20:]
    assert hash_data(part) != hash_data(frame.iloc[21:])
    other = frame.copy()
    other.iloc[0, 0] = 9.0
    assert hash_data(part) != hash_data(with_history(other).iloc[20:])
    assert hash_data(frame["a"]) != hash_data(frame["a"].rename("c"))
    assert hash_data(np.arange(6)) != hash_data(np.arange(6).reshape(2, 3))
    script = "import numpy as np, pandas as pd; from sktrain.search._fingerprint import hash_data; "
    script += (
        "print(hash_data(pd.DataFrame({'a': ['x', None], 'b': [1.5, np.nan]})), "
        "hash_data(np.arange(5)))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in "12"
    }
    assert len(runs) == 1
    assert Path(sys.executable).exists()

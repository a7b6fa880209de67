"""The folder of a run: nothing of anybody else's is touched, one training at a time, one run at a
time, whole or not at all."""

import json
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from sktrain import EnhancedTrainer, EnhancedTrainingConfig, load, save
from sktrain.datasets import make_market
from sktrain.exceptions import PersistenceError, SktrainError
from sktrain.trainer import _incremental, _run_folder
from sktrain.trainer._run_folder import (
    commit,
    find_model,
    finish,
    load_drift_reference,
    locked,
    prepare_next,
    read_result,
)
from sktrain.trainer.report import write_report

FAST = {
    "models": ["mlp"],
    "lookback": 5,
    "hidden_size": 8,
    "use_walk_forward": False,
    "leakage_audit": False,
    "prune_after_training": False,
    "early_stopping_min_epochs": 1,
}


@pytest.fixture(scope="module")
def bars():
    return make_market(700, random_state=0).bars


@pytest.fixture(scope="module")
def two_runs(bars, tmp_path_factory):
    folders = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp("run")
        EnhancedTrainer(EnhancedTrainingConfig(**FAST, training_seed=seed), folder, bars).train(
            epochs=1
        )
        folders.append(folder)
    return folders


@pytest.fixture
def run(two_runs, tmp_path):
    shutil.copytree(two_runs[0], tmp_path / "run")
    return tmp_path / "run"


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", ["checkpoints/my_model.pt", "notes.txt", ".hidden/a"])
def test_what_is_not_ours_stays(name, bars, tmp_path):
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("precious")
    with pytest.raises(ValueError):
        EnhancedTrainer(EnhancedTrainingConfig(**FAST), tmp_path, tmp_path / "typo.csv").train(
            epochs=1
        )
    assert contents(tmp_path) == {name: b"precious"}
    EnhancedTrainer(EnhancedTrainingConfig(**FAST), tmp_path, bars).train(epochs=1)
    assert mine.read_text() == "precious"


@pytest.mark.parametrize("name", ["model.sktrain", "result.json", "report.html"])
def test_a_file_of_our_name_that_no_run_wrote_is_not_overwritten(name, bars, tmp_path):
    (tmp_path / name).write_text("precious")
    with pytest.raises(PersistenceError, match=f"holds {name}"):
        EnhancedTrainer(EnhancedTrainingConfig(**FAST), tmp_path, bars).train(epochs=1)
    assert contents(tmp_path) == {name: b"precious"}


def test_checkpoints_of_a_stopped_run_survive_a_typo(bars, tmp_path):
    kept = tmp_path / ".sktrain-checkpoints" / "mlp" / "training-1.ckpt"
    kept.parent.mkdir(parents=True)
    kept.write_text("of a killed run")
    with pytest.raises(ValueError):
        EnhancedTrainer(EnhancedTrainingConfig(**FAST), tmp_path, tmp_path / "typo.csv").train(
            epochs=1
        )
    assert kept.read_text() == "of a killed run"


def test_a_folder_made_for_nothing_is_gone(tmp_path):
    with pytest.raises(ValueError):
        EnhancedTrainer(
            EnhancedTrainingConfig(**FAST), tmp_path / "a" / "b", tmp_path / "typo.csv"
        ).train(epochs=1)
    assert not (tmp_path / "a").exists()


def test_a_second_training_is_told_of_the_first(bars, tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(
            PersistenceError, match=rf"process {os.getpid()}, started \d{{4}}-\d\d-\d\dT"
        ),
    ):
        EnhancedTrainer(EnhancedTrainingConfig(**FAST), tmp_path, bars).train(epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_the_model_only_predicts_and_what_training_on_needs_stands_beside_it(run):
    model, trained = (load(run / name) for name in ("model.sktrain", "trained.sktrain"))
    assert "replay_" not in vars(model[-1])
    assert len(trained[-1].replay_["y"]) > 0


def test_no_file_of_a_run_is_a_pickle(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        "model.sktrain", "trained.sktrain", "drift.sktrain", "result.json", "evidence.json",
        "report.html",
    }
    detector, features = load_drift_reference(run)
    assert (
        detector.check(features.transform(make_market(700, random_state=0).bars))["psi"] is not None
    )


@pytest.mark.parametrize(
    "name", ["model.sktrain", "evidence.json", "drift.sktrain", "trained.sktrain"]
)
def test_a_mixture_of_two_runs_is_refused(name, run, two_runs, bars):
    shutil.copy(two_runs[1] / name, run / name)
    asks = {
        "model.sktrain": [EnhancedTrainer.load, write_report, load_drift_reference],
        "evidence.json": [write_report],
        "drift.sktrain": [load_drift_reference],
        "trained.sktrain": [
            lambda folder: EnhancedTrainer(
                EnhancedTrainingConfig(**FAST, training_seed=0), folder, bars
            ).train(incremental=True)
        ],
    }[name]
    if (two_runs[0] / name).read_bytes() == (two_runs[1] / name).read_bytes():
        pytest.skip("both runs wrote the same file")
    for ask in asks:
        with pytest.raises(PersistenceError, match="mixture of two runs"):
            ask(run)


class _Killed(BaseException):
    pass


def test_a_commit_killed_anywhere_leaves_one_whole_run(two_runs, tmp_path, monkeypatch):
    """Every renaming in turn is the last thing the process does; opening the folder again shows the
    old run or the new one."""
    old, new = (contents(folder) for folder in two_runs)
    real, steps = os.replace, 0
    for die_at in range(20):
        folder = tmp_path / str(die_at)
        shutil.copytree(two_runs[0], folder)
        work = prepare_next(folder)
        for name, data in new.items():
            (work / name).write_bytes(data)
        steps = 0

        def replace(source, target, die_at=die_at):
            nonlocal steps
            steps += 1
            if steps > die_at:
                raise _Killed
            real(source, target)

        monkeypatch.setattr(_run_folder.os, "replace", replace)
        died = False
        try:
            commit(folder)
        except _Killed:
            died = True
        monkeypatch.setattr(_run_folder.os, "replace", real)
        finish(folder)
        shutil.rmtree(folder / ".sktrain-next", ignore_errors=True)
        assert contents(folder) == (old if die_at == 0 else new)
        EnhancedTrainer.load(folder)
        if not died:
            break
    assert steps == 1 + len(new)


def test_a_file_of_the_old_run_that_the_new_one_lacks_goes(run, bars):
    EnhancedTrainer(
        EnhancedTrainingConfig(**{**FAST, "use_drift_detection": False}), run, bars
    ).train(epochs=1)
    assert not (run / "drift.sktrain").exists()


def test_a_vote_with_an_untrained_member_is_no_model(run, bars):
    """The stop comes while the first of two nets trains: the second has no epoch, and the old model
    stays."""
    before = contents(run)
    asked = iter([False] * 12)
    config = EnhancedTrainingConfig(**{**FAST, "models": ["mlp", "gru"], "n_jobs": None})
    result = EnhancedTrainer(config, run, bars).train(
        epochs=50, batch_size=64, stop_flag=lambda: next(asked, True)
    )
    assert (result["status"], result["model_path"]) == ("stopped", None)
    assert {
        name: data
        for name, data in contents(run).items()
        if not name.startswith(".sktrain-checkpoints")
    } == before


COMMAND = [
    "-m", "sktrain", "train", "--dataset", "sp500", "--model", "mlp", "--epochs", "30", "--quiet",
    "--set", "lookback=5", "use_walk_forward=false", "leakage_audit=false",
    "prune_after_training=false", "early_stopping_patience=40",
]


@pytest.mark.slow
def test_interrupts_at_any_moment_leave_the_old_or_a_whole_new_model(two_runs, tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "run"
    shutil.copytree(two_runs[0], folder)
    for _ in range(10):
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", *COMMAND, "--out", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(float(rng.uniform(0.1, 12.0)))
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=120)
        assert child.returncode in (0, 130, -signal.SIGINT), err
        assert "Traceback" not in err
        assert load(_run_folder.find_model(folder)).classes_.tolist() == [0, 1, 2]
        result = json.loads((folder / "result.json").read_text())
        assert result["epochs_completed"] >= 1
        assert not (folder / ".sktrain-lock").exists() or child.returncode == -signal.SIGINT


def test_the_process_that_was_killed_holds_no_lock(tmp_path):
    code = (
        "import os, sys; from sktrain.trainer._run_folder import locked\nwith "
        "locked(sys.argv[1]): os.kill(os.getpid(), 9)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (tmp_path / ".sktrain-lock").exists()
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def plant(run, precious, kind, name):
    """Put something in a run folder that would reach out of it, or never end."""
    path = run / name
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "huge":
        with open(path, "wb") as file:
            file.truncate(2**31 + 1)  # a hole: it takes no space on the disk
    else:
        path.symlink_to(precious / kind)


INSIDE = [".sktrain-checkpoints/run.json", ".sktrain-checkpoints/search.db"]
OF_OTHERS = [
    *(("file", name) for name in (".sktrain-lock", *INSIDE, ".sktrain-whole/result.json")),
    *(("nowhere", name) for name in (".sktrain-lock", ".sktrain-next", *INSIDE)),
    *(("mine", f".sktrain-{name}") for name in ("whole", "next", "checkpoints", "lock")),
    *(("pipe", name) for name in (".sktrain-lock", *INSIDE, ".sktrain-whole/result.json")),
    *(("huge", name) for name in ("result.json", "trained.sktrain")),
]


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links and pipes")
@pytest.mark.parametrize("kind, name", OF_OTHERS)
def test_the_folder_of_others_reaches_no_file_outside(kind, name, two_runs, tmp_path, bars):
    run, precious = tmp_path / "run", tmp_path / "precious"
    shutil.copytree(two_runs[0], run)
    shutil.copytree(two_runs[1], precious / "mine")
    (precious / "file").write_text("precious")
    before = contents(precious)
    plant(run, precious, kind, name)
    reads = "whole" in name or name == "result.json"
    for incremental in (False, True):
        if name != "trained.sktrain" or incremental:
            trainer = EnhancedTrainer(EnhancedTrainingConfig(**FAST), run, bars)
            with pytest.raises(PersistenceError):
                trainer.train(epochs=1, incremental=incremental)
    for read in (find_model, read_result, load_drift_reference):
        if reads:
            with pytest.raises(PersistenceError):
                read(run)
        elif name != "trained.sktrain":
            assert read(run) is not None
    assert contents(precious) == before


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_report_replaces_a_link_in_its_folder_and_follows_one_that_was_named(run, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (run / "report.html").unlink()
    (run / "report.html").symlink_to(precious)
    write_report(run)
    assert precious.read_text() == "precious"
    assert "<html" in (run / "report.html").read_text()
    (tmp_path / "asked").symlink_to(precious)
    write_report(run, tmp_path / "asked")
    assert "<html" in precious.read_text()


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_checkpoint_replaces_a_link_in_its_folder(tmp_path):
    from sktrain import MLPNetClassifier, TrainingCheckpoint

    X = np.random.default_rng(0).normal(size=(60, 3))
    keep = TrainingCheckpoint(tmp_path / "a")
    net = MLPNetClassifier(max_epochs=1, callbacks=[("keep", keep)], random_state=0, horizon=0)
    path = dict(net.fit(X, X[:, 0] > 0).callbacks_)["keep"].path_
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    net.fit(X, X[:, 0] > 0)
    assert not (tmp_path / "elsewhere").exists()
    assert path.is_file()
    assert not path.is_symlink()


NESTED: list = []
for _ in range(400):
    NESTED = [NESTED]
MISSING = object()
FORGED = [
    -1, 10**400, float("nan"), 1e308, None, "", "x" * 10_000, "now", "NaT", "0001-01-01", [], {},
    [1, {}], {"a": None}, NESTED, MISSING,
]  # fmt: skip
_TOLD = ("horizon", "label_scaling", "base_label_threshold")
READ_TO_GO_ON = [
    ("config",),
    ("hyperparameters",),
    ("trained_until",),
    ("trained_sha256",),
    ("model_sha256",),
    *(("config", name) for name in _incremental._FIXED),
    *(("hyperparameters", name) for name in _TOLD),
]


def forge(path, where, value):
    """Write one value of a record anew, or leave it out."""
    record = json.loads(path.read_text())
    inner = record
    for name in where[:-1]:
        inner = inner[name]
    before = inner.pop(where[-1])
    if value is not MISSING:
        inner[where[-1]] = value
    path.write_text(json.dumps(record))
    return before


@pytest.mark.parametrize("where", READ_TO_GO_ON, ids="-".join)
def test_a_forged_record_is_not_gone_on_from(where, run):
    config, whole = EnhancedTrainingConfig(**FAST), (run / "result.json").read_text()
    horizon = json.loads(whole)["hyperparameters"]["horizon"]
    assert _incremental.open_earlier(run, config, horizon).last.year > 1990
    for value in FORGED:
        (run / "result.json").write_text(whole)
        before = forge(run / "result.json", where, value)
        same = value == before or (where == ("model_sha256",) and value in (None, MISSING))
        # a field of an earlier version's config may be missing: it has its default
        if same or (value is MISSING and where[0] == "config" and len(where) == 2):
            continue
        if where == ("trained_until",) and value == "0001-01-01":
            continue  # a time, though none of these bars': every bar comes after it
        with pytest.raises(SktrainError, match=re.escape(str(run))) as told:
            _incremental.open_earlier(run, config, horizon)
        assert len(str(told.value)) < 1000, value


@pytest.mark.parametrize("value", FORGED)
def test_a_forged_config_keeps_no_scaling(value, run):
    forge(run / "result.json", ("config",), value)
    with pytest.raises(SktrainError, match="result.json|models was"):
        _incremental.kept_scaling(run, EnhancedTrainingConfig(**FAST))


def put_model(run, name, model):
    """Another model in a run, which its record vouches for."""
    save(model, run / name)
    forge(
        run / "result.json",
        (f"{name.partition('.')[0]}_sha256",),
        _run_folder.hash_of(run / name),
    )


def others(run):
    """Models that no run wrote in these places."""
    trained = load(run / "trained.sktrain")
    linear = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    return [linear, Pipeline([("linear", linear)]), trained[-1], load(run / "drift.sktrain")]


def test_a_model_that_no_run_wrote_is_not_gone_on_from(run, bars):
    config = EnhancedTrainingConfig(**FAST)
    horizon = json.loads((run / "result.json").read_text())["hyperparameters"]["horizon"]
    models = others(run)
    for model in models:
        put_model(run, "trained.sktrain", model)
        for ask in (
            lambda: _incremental.open_earlier(run, config, horizon),
            lambda: _incremental.kept_scaling(run, config),
        ):
            with pytest.raises(PersistenceError, match=r"trained\.sktrain.*in place of"):
                ask()
    for model in models[:3]:
        put_model(run, "drift.sktrain", model)
        with pytest.raises(PersistenceError, match=r"drift\.sktrain.*in place of"):
            load_drift_reference(run)


@pytest.mark.parametrize(
    "name, where, value",
    [
        ("result.json", ("metrics_summary", "test", "model", "log_loss"), 10**400),
        ("result.json", ("hyperparameters", "base_label_threshold"), NESTED),
        ("result.json", ("status",), "x" * 10_000),
        ("evidence.json", ("test",), NESTED),
        ("evidence.json", ("curves",), 10**400),
    ],
    ids=["overflow", "deep", "long", "deep evidence", "number"],
)
def test_a_report_of_a_forged_record_is_refused_by_name(name, where, value, run):
    forge(run / name, where, value)
    with pytest.raises(PersistenceError, match=re.escape(str(run))) as told:
        write_report(run)
    assert len(str(told.value)) < 1000

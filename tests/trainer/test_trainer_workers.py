"""Several processes give the results of one, stop when they are told, and die with the run."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from joblib import Parallel, delayed
import pytest

from sktrain import EnhancedTrainer, EnhancedTrainingConfig
from sktrain.datasets import make_market
from sktrain.exceptions import SktrainError
from sktrain.trainer._workers import asked_to_stop, processes, workers

SMALL = {
    "models": ["mlp", "gru"], "lookback": 3, "hidden_size": 4, "wf_folds": 3,
    "wf_min_samples_per_fold": 50, "ensure_regime_coverage": False, "early_stopping_min_epochs": 1,
    "leakage_audit": False, "use_drift_detection": False, "prune_after_training": False,
}  # fmt: skip
forked = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


def test_the_same_result_in_one_process_and_in_two(tmp_path):
    bars = make_market(700, signal=0.8, random_state=0).bars
    told = []
    for n_jobs in (None, 2):
        config = EnhancedTrainingConfig(**SMALL, n_jobs=n_jobs)
        found = EnhancedTrainer(config, tmp_path / str(n_jobs), bars).train(epochs=2, verbose=0)
        names = ("walk_forward_results", "test_scores", "best_val_loss", "epochs_completed")
        told.append({name: found[name] for name in names})
    assert told[0] == told[1]


def _wait_for_the_word():
    end = time.monotonic() + 30
    while not asked_to_stop() and time.monotonic() < end:
        time.sleep(0.01)
    return os.getpid(), asked_to_stop()


@forked
def test_a_worker_is_told_to_stop(tmp_path):
    asked = iter([False, False, True])
    config, file = EnhancedTrainingConfig(n_jobs=2), tmp_path / "stop"
    with workers(config, file, lambda: next(asked, True)):
        found = Parallel()(delayed(_wait_for_the_word)() for _ in range(2))
    assert {said for _, said in found} == {True}
    assert os.getpid() not in {pid for pid, _ in found}
    assert not file.exists()
    assert not asked_to_stop()


@forked
def test_a_worker_that_dies_is_an_error_in_words(tmp_path):
    config = EnhancedTrainingConfig(n_jobs=2)
    with pytest.raises(SktrainError, match=r"worker process died.*n_jobs=1"):  # noqa: SIM117
        with workers(config, tmp_path / "stop", None):
            Parallel()(delayed(os._exit)(9) for _ in range(2))


@pytest.mark.parametrize(
    ("fields", "count"),
    [({"n_jobs": None}, 1), ({"n_jobs": 64}, 5), ({"n_jobs": 64, "use_walk_forward": False}, 4)],
)
def test_no_more_processes_than_there_is_to_do(fields, count, tmp_path):
    from joblib import effective_n_jobs

    with workers(EnhancedTrainingConfig(**fields), tmp_path / "stop", None):
        assert effective_n_jobs(None) == count


@forked
def test_a_training_inside_a_worker_begins_no_others(tmp_path):
    with workers(EnhancedTrainingConfig(n_jobs=2), tmp_path / "stop", None):
        found = Parallel()(delayed(processes)(EnhancedTrainingConfig()) for _ in range(2))
    assert found == [1, 1]


@forked
def test_workers_die_with_a_run_that_is_killed(tmp_path):
    code = """
import os, sys, time
from joblib import Parallel, delayed
from pathlib import Path
from sktrain import EnhancedTrainingConfig
from sktrain.trainer._workers import workers
def work():
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(60)
with workers(EnhancedTrainingConfig(n_jobs=2), Path(sys.argv[1], "stop"), None):
    Parallel()(delayed(work)() for _ in range(2))
"""
    parent = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)])
    end = time.monotonic() + 120
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert len(pids) == 2
    end = time.monotonic() + 30
    while any(_alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in pids)


def _alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False

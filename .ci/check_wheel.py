"""What an installed sktrain can do: without extras all of the README, and one extra by itself what
it is for.

Run outside the repository with the interpreter of the environment: ``python -I check_wheel.py
README.md`` or ``python -I check_wheel.py --extra parquet``. A part whose extra is missing must say
so by name.
"""

import argparse
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import warnings
import zipfile

import numpy as np

import sktrain
from sktrain.datasets import load_sp500, read_bars
from sktrain.exceptions import MissingDependencyError

FOLDER = Path(tempfile.mkdtemp())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("readme", nargs="?", type=Path)
    parser.add_argument("--extra", choices=sorted(USES))
    asked = parser.parse_args()
    assert "site-packages" in sktrain.__file__, f"not the installed one: {sktrain.__file__}"
    warnings.simplefilter("ignore")
    if asked.extra:
        USES[asked.extra]()
        print(f"sktrain[{asked.extra}] works")
        return
    for name in sktrain.__all__:
        getattr(sktrain, name)
    for block in re.findall(r"^```python\n(.*?)^```", asked.readme.read_text(), re.M | re.S):
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    command_line()
    for extra, use in USES.items():
        says_what_is_missing(extra, use)
    print("the wheel works alone")


def command_line():
    run = [sys.executable, "-I", "-m", "sktrain", "train", "--dataset", "sp500", "--model", "gru"]
    run += ["--epochs", "1", "--set", "wf_folds=2", "--out", str(FOLDER / "run")]
    done = subprocess.run(run, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def says_what_is_missing(extra, use):
    said = None
    try:
        use()
    except ImportError as error:  # MissingDependencyError is one
        said = error
    assert said is not None, f"{extra} works without its packages: is it an extra?"
    named = isinstance(said, MissingDependencyError) and f"sktrain[{extra}]" in str(said)
    assert named or extra in OF_JOBLIB, f"{extra}: {said}, and nobody named the extra"


def small_net():
    bars, y = sktrain.AdaptiveLabeler(horizon=3).fit_resample(load_sp500().iloc[:600])
    X = sktrain.BarFeatures().fit_transform(bars)
    return sktrain.MLPNetClassifier(max_epochs=1, random_state=0).fit(X, y), X, y


def parquet():
    path = FOLDER / "bars.parquet"
    path.write_bytes(b"PAR1" + bytes(64) + b"PAR1")
    opened_or_refused(path)
    load_sp500().to_parquet(path)
    assert read_bars(path).index.equals(load_sp500().index)


def excel():
    path = FOLDER / "bars.xlsx"
    with zipfile.ZipFile(path, "w") as workbook:
        workbook.writestr("[Content_Types].xml", "<Types/>")
        workbook.writestr("xl/workbook.xml", "<workbook/>")
    opened_or_refused(path)
    load_sp500().iloc[:50].to_excel(path)
    assert len(read_bars(path)) == 50


def hdf5():
    path = FOLDER / "bars.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    opened_or_refused(path)
    import h5py

    bars = load_sp500().iloc[:50]
    with h5py.File(path, "w") as file:
        table = bars.reset_index(names="time").assign(
            time=lambda x: x["time"].astype("int64") // 10**9
        )
        file["bars"] = table.astype(float).to_records(index=False)
    assert len(read_bars(path)) == 50


def opened_or_refused(damaged):
    """A damaged file gets as far as the package that would read it."""
    try:
        read_bars(damaged)
    except MissingDependencyError:
        raise
    except sktrain.exceptions.SktrainError:
        return
    raise AssertionError(f"{damaged.name} is damaged and was read")


def plot():
    bars, y = sktrain.AdaptiveLabeler(horizon=3).fit_resample(load_sp500().iloc[:900])
    cv = sktrain.EnhancedWalkForwardCV(3, ensure_regime_coverage=False)
    sktrain.WalkForwardDisplay.from_cv(cv, bars, y).plot()


def deploy():
    net, X, _ = small_net()
    small = sktrain.ModelQuantizer().quantize_model(net)
    path = FOLDER / "small.sktrain"
    sktrain.save(small, path)
    np.testing.assert_array_equal(sktrain.load(path).predict(X), small.predict(X))


def news():
    try:
        sktrain.PretrainedNewsEncoder().fit_transform(
            ["a headline"]
        )  # not downloaded: said by name
    except MissingDependencyError:
        raise
    except sktrain.exceptions.SktrainError:
        pass
    import transformers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "profit", "loss"]
    (FOLDER / "vocab.txt").write_text("\n".join(words) + "\n")
    transformers.BertTokenizer(vocab=str(FOLDER / "vocab.txt")).save_pretrained(FOLDER)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.BertModel(config).save_pretrained(FOLDER)
    vectors = sktrain.PretrainedNewsEncoder(str(FOLDER), embed_dim=None).fit_transform(
        ["profit", "loss"]
    )
    assert np.isfinite(np.asarray(vectors)).all()


def dask():
    from dask.distributed import Client, LocalCluster
    import joblib
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    _, X, y = small_net()
    cv = sktrain.EnhancedWalkForwardCV(2, ensure_regime_coverage=False)
    cluster = LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, Client(cluster), joblib.parallel_config("dask"):
        scores = cross_val_score(LogisticRegression(), X.fillna(0), y, cv=cv, n_jobs=2)
    assert np.isfinite(scores).all()


USES = {use.__name__: use for use in (parquet, excel, hdf5, plot, deploy, news, dask)}
OF_JOBLIB = {"dask"}  # sktrain does not import it: joblib does, when its backend is asked for

if __name__ == "__main__":
    main()

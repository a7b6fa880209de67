"""Saved models open exactly, damage is noticed, and nothing in a file is ever run."""

from io import BytesIO
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    GRUClassifier,
    MLPNetClassifier,
    SlidingWindow,
    load,
    save,
)
from sktrain._io import sha256
from sktrain.exceptions import CorruptFileError, PersistenceError
from sktrain.persistence import read_manifest
from sktrain.persistence._decoder import Decoder
from sktrain.persistence._encoder import Encoder


@pytest.fixture(scope="module")
def task(sp500):
    return AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(
        sp500.iloc[:700]
    )


@pytest.fixture(scope="module")
def fitted(task):
    bars, y = task
    # replayed rows would travel
    plain = {"max_epochs": 1, "horizon": 3, "random_state": 0, "replay_rows": 0}
    nets = [
        ("gru", GRUClassifier(**plain, module__hidden_size=8)),
        ("mlp", MLPNetClassifier(**plain)),
    ]
    steps = [
        ("features", BarFeatures()),
        ("window", SlidingWindow(lookback=5)),
        ("net", VotingClassifier(nets, voting="soft")),
    ]
    return Pipeline(steps).fit(bars, y)


@pytest.fixture(scope="module")
def saved(fitted, task, tmp_path_factory):
    return save(
        fitted,
        tmp_path_factory.mktemp("models") / "model.sktrain",
        probe=task[0].iloc[-70:],
        scores={"balanced_accuracy": 0.36},
    )


def test_a_voting_pipeline_opens_exactly(saved, fitted, task):
    opened = load(saved)
    np.testing.assert_array_equal(opened.predict_proba(task[0]), fitted.predict_proba(task[0]))
    assert opened.classes_.tolist() == [0, 1, 2]


def test_fresh_bars_get_the_same_answer_in_a_fresh_process(saved, fitted, sp500, tmp_path):
    fresh = sp500.iloc[700:720].copy()
    fresh.attrs = {}
    fresh.to_pickle(tmp_path / "bars.pkl")
    code = (
        "import sys, numpy as np, pandas as pd, sktrain\n"
        "p = "
        f"sktrain.load({str(saved)!r}).predict_proba(pd.read_pickle({str(tmp_path / 'bars.pkl')!r}))\n"
        f"np.save({str(tmp_path / 'p.npy')!r}, p)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), fitted.predict_proba(fresh), atol=1e-7)


def test_the_file_holds_no_history_and_is_small(saved, task):
    assert saved.stat().st_size < 400_000
    assert read_manifest(saved)["scores"] == {"balanced_accuracy": 0.36}


def test_equal_models_give_equal_files(fitted, task, saved, tmp_path):
    again = save(
        fitted,
        tmp_path / "again.sktrain",
        probe=task[0].iloc[-70:],
        scores={"balanced_accuracy": 0.36},
    )
    assert again.read_bytes() == saved.read_bytes()


def test_scikit_learn_parts_open_exactly(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 4)), rng.choice(["up", "down"], 200)
    for model in (
        make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
        RandomForestClassifier(5, random_state=0),
    ):
        opened = load(save(model.fit(X, y), tmp_path / "m.sktrain", probe=X[:8]))
        np.testing.assert_array_equal(opened.predict_proba(X), model.predict_proba(X))
        assert opened.classes_.tolist() == ["down", "up"]


VALUES = [
    None,
    True,
    3,
    2**70,
    -0.5,
    float("inf"),
    "text \U0001f40d",
    b"\x00\xff",
    [1, (2, "x"), {"k": {1: 2}}],
    {3, 1},
    np.float32(1.5),
    np.arange(6).reshape(2, 3),
    np.array([], dtype=np.float32),
    np.zeros((40, 40), dtype=np.float32),
    np.array([0.0, -0.0] * 300),
    np.array(["a", None, 3], dtype=object),
    np.array(["2020-01-01"], dtype="datetime64[ns]"),
    pd.Timestamp("2020-01-01 10:00", tz="Europe/Paris"),
    pd.Timedelta("3h"),
    pd.NaT,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_round_trip(value):
    encoder = Encoder()
    tree = json.loads(json.dumps(encoder.encode(value), allow_nan=False))
    back = Decoder(encoder.members).decode(tree)
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert (
            np.array_equal(np.signbit(back), np.signbit(value)) if value.dtype.kind == "f" else True
        )
        np.testing.assert_array_equal(back, value)
    elif value is not pd.NaT:
        assert back == value


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_frames_round_trip(zone, us_stocks):
    index = pd.date_range("2020-03-01", periods=50, freq="h", tz=zone, name="time")
    frame = pd.DataFrame({"a": np.arange(50.0), "b": ["x", "y"] * 25, "c": index}, index=index)
    frame.loc[index[3], "a"] = np.nan
    frame["d"] = pd.Categorical(
        ["up", "down"] * 25, categories=["up", "down", "flat"], ordered=True
    )
    frame["e"] = pd.array([1, None] * 25, dtype="Int64")
    frame["f"] = pd.array([True, None] * 25, dtype="boolean")
    frame["g"] = pd.array([0.5, None] * 25, dtype="Float64")
    encoder = Encoder()
    tree = json.loads(json.dumps(encoder.encode(frame)))
    pd.testing.assert_frame_equal(Decoder(encoder.members).decode(tree), frame, check_freq=False)
    for name in frame:
        back = Decoder(encoder.members).decode(encoder.encode(frame[name]))
        pd.testing.assert_series_equal(back, frame[name], check_freq=False)
    frame["h"] = pd.arrays.SparseArray([0.0, 1.0] * 25)
    with pytest.raises(PersistenceError, match="'h'"):
        Encoder().encode(frame)
    panel = us_stocks.iloc[::200].copy()
    panel.attrs = {}
    encoder = Encoder()
    tree = encoder.encode(panel)
    pd.testing.assert_frame_equal(Decoder(encoder.members).decode(tree), panel)


def test_pruned_arrays_shrink_and_come_back_exactly():
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(128, 128)).astype(np.float32)
    pruned = np.where(rng.random(dense.shape) < 0.8, np.float32(0), dense)
    encoder = Encoder()
    tree = encoder.encode(pruned)
    assert sum(map(len, encoder.members.values())) < 0.3 * pruned.nbytes
    np.testing.assert_array_equal(Decoder(encoder.members).decode(tree), pruned)


def test_what_cannot_be_held_is_named(tmp_path):
    class Own(LogisticRegression):
        pass

    X, y = np.arange(20.0)[:, None], np.arange(20) % 2
    for model, words in [
        (make_pipeline(StandardScaler(), Own()), ["Own", "joblib"]),
        (make_pipeline(FunctionTransformer(lambda X: X), LogisticRegression()), ["steps"]),
        (CalibratedClassifierCV(Own()), ["joblib"]),
    ]:
        with pytest.raises(PersistenceError) as caught:
            save(model.fit(X, y), tmp_path / "m.sktrain")
        for word in words:
            assert word in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_every_flipped_byte_is_noticed(saved, tmp_path):
    data = saved.read_bytes()
    rng = np.random.default_rng(0)
    for place in [
        0,
        1,
        2,
        len(data) - 1,
        len(data) - 64,
        len(data) - 66,
        *rng.integers(0, len(data), 194),
    ]:
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "m.sktrain").write_bytes(broken)
        with pytest.raises(CorruptFileError):
            load(tmp_path / "m.sktrain")


def test_every_truncation_is_noticed(saved, tmp_path):
    data = saved.read_bytes()
    for length in [0, 1, 10, len(data) - 1, *np.random.default_rng(0).integers(0, len(data), 46)]:
        (tmp_path / "m.sktrain").write_bytes(data[:length])
        with pytest.raises(CorruptFileError):
            load(tmp_path / "m.sktrain")


def test_a_signed_file_opens_only_with_its_key(tmp_path):
    model = LogisticRegression().fit([[0], [1]], [0, 1])
    path = save(model, tmp_path / "m.sktrain", key=b"secret")
    assert load(path, key=b"secret").predict([[1]]) == [1]
    for key in (None, b"other"):
        with pytest.raises(CorruptFileError, match="key"):
            load(path, key=key)


def test_no_file_a_folder_and_a_missing_target_folder(tmp_path):
    with pytest.raises(PersistenceError, match="No such file"):
        load(tmp_path / "none.sktrain")
    with pytest.raises(PersistenceError, match="folder"):
        load(tmp_path)
    with pytest.raises(PersistenceError, match="cannot be written"):
        save(LogisticRegression().fit([[0], [1]], [0, 1]), tmp_path / "none" / "m.sktrain")


def forge(manifest=None, members=None, *, compress=zipfile.ZIP_STORED, names=None):
    """A file with a valid checksum and hostile contents."""
    members = members or {}
    listing = {name: {"size": len(data), "sha256": sha256(data)} for name, data in members.items()}
    base = {"format": 1, "versions": {}, "model": None, "probe": None, "members": listing}
    text = json.dumps({**base, **(manifest or {})}).encode()
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in [("manifest.json", text), *(names or members).items()]:
            file.writestr(name, data)
        file.comment = b"0" * 64
    body = buffer.getvalue()[:-64]
    return body + sha256(body).encode()


def test_a_column_transformer_is_saved_whichever_way_its_columns_stand(tmp_path):
    """Neighbouring columns are remembered as slices, others as lists."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 4)), columns=list("abcd"))
    for columns in (["a", "b"], ["a", "d"]):
        chosen = ColumnTransformer(
            [("keep", "passthrough", columns), ("scale", StandardScaler(), ["c"])]
        )
        model = make_pipeline(chosen, LogisticRegression()).fit(X, X["a"] > 0)
        again = load(save(model, tmp_path / "m.sktrain"))
        np.testing.assert_allclose(again.predict_proba(X), model.predict_proba(X))
        assert again[0].output_indices_ == model[0].output_indices_


class Marker:
    """Unpickling this makes a file: proof that code ran."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def hostile(marker):
    """(name, bytes) of at least 30 hostile files."""
    payload = pickle.dumps(Marker(marker))
    obj = np.empty(1, dtype=object)
    obj[0] = Marker(marker)
    buffer = BytesIO()
    np.save(buffer, obj, allow_pickle=True)
    cases = {
        "a pickle": payload,
        "a pickle behind PK": b"PK" + payload,
        "nothing": b"",
        "text": b"hello" * 99,
    }
    for name in (
        "os.system", "builtins.eval", "builtins.exec", "subprocess.Popen", "posix.system",
        "sktrain._io.atomic_write", "sktrain.trainer.EnhancedTrainer",
    ):
        cases[f"value {name}"] = forge({"model": {"!": "value", "name": name}})
        cases[f"object {name}"] = forge(
            {"model": {"!": "object", "class": name, "number": 0, "state": {}}}
        )
        cases[f"net {name}"] = forge(
            {"model": {"!": "net", "class": name, "number": 0, "state": {"!": "dict", "pairs": []}}}
        )
    array = {"!": "array", "dtype": "|O", "shape": [1], "scalar": False, "member": "a"}
    cases["object array"] = forge({"model": array}, {"a": buffer.getvalue()})
    cases["bytes as array"] = forge({"model": {**array, "dtype": "<f8"}}, {"a": payload})
    cases["skops that is a pickle"] = forge(
        {"model": {"!": "sklearn", "member": "a", "number": 0}}, {"a": payload}
    )
    cases["huge array"] = forge(
        {
            "model": {
                "!": "sparse",
                "dtype": "<f8",
                "shape": [2**40],
                "scalar": False,
                "mask": "a",
                "values": "a",
            }
        },
        {"a": b""},
    )
    bomb = __import__("zlib").compress(b"\0" * 10**7, 9)
    cases["zlib bomb"] = forge(
        {
            "model": {
                "!": "sparse",
                "dtype": "<f8",
                "shape": [8],
                "scalar": False,
                "mask": "a",
                "values": "a",
            }
        },
        {"a": bomb},
    )
    cases["path member"] = forge({}, {"../evil": b"x"})
    cases["absolute member"] = forge({}, {"/tmp/evil": b"x"})
    cases["compressed member"] = forge({}, {"a": b"x" * 10**6}, compress=zipfile.ZIP_DEFLATED)
    cases["unlisted member"] = forge({}, {}, names={"b": b"x"})
    cases["missing member"] = forge({"model": {"!": "bytes", "member": "gone"}})
    cases["newer format"] = forge({"format": 3})
    cases["no type"] = forge({"model": {"x": 1}})
    cases["unknown type"] = forge({"model": {"!": "code", "source": "import os"}})
    cases["slice of words"] = forge({"model": {"!": "slice", "items": ["a", None, None]}})
    cases["slice of two"] = forge({"model": {"!": "slice", "items": [0, 1]}})
    cases["private reader"] = forge({"model": {"!": "_data"}})
    deep = None
    for _ in range(450):
        deep = {"!": "list", "items": [deep]}
    cases["deep nesting"] = forge({"model": deep})
    cases["no manifest"] = forge().replace(b"manifest.json", b"manifest.jsox")
    return cases


def test_hostile_files_are_refused_and_run_nothing(tmp_path):
    marker = tmp_path / "marker"
    cases = hostile(marker)
    assert len(cases) >= 30
    for name, data in cases.items():
        path = tmp_path / "h.sktrain"
        path.write_bytes(data)
        try:
            opened = load(path)
        except PersistenceError:
            continue
        pytest.fail(f"{name} opened as {opened!r}")
    assert not marker.exists()


def test_a_skops_member_with_foreign_types_is_refused(tmp_path):
    skops_io = pytest.importorskip("skops.io")
    data = skops_io.dumps(FunctionTransformer(os.system))
    path = tmp_path / "h.sktrain"
    path.write_bytes(forge({"model": {"!": "sklearn", "member": "a", "number": 0}}, {"a": data}))
    with pytest.raises(CorruptFileError, match="trusted"):
        load(path)


def test_a_model_that_predicts_differently_is_refused(tmp_path, monkeypatch):
    from sktrain.persistence import _probes

    X = np.arange(8.0)[:, None]
    real = _probes.predict
    monkeypatch.setattr(_probes, "predict", lambda estimator, rows: real(estimator, rows) + 1e-3)
    path = save(LogisticRegression().fit([[0], [7]], [0, 1]), tmp_path / "m.sktrain", probe=X)
    monkeypatch.undo()
    with pytest.raises(CorruptFileError, match="differently"):
        load(path)


def test_a_newer_format_says_what_to_do(tmp_path):
    path = tmp_path / "m.sktrain"
    path.write_bytes(forge({"format": 3}))
    with pytest.raises(PersistenceError, match="newer sktrain"):
        load(path)

"""Probe rows that save finds by itself: of the right kind, without a trace in the model; and what a
serving process imports."""

import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
from persistence.make_golden import rows
import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    CompressedClassifier,
    GRUClassifier,
    MLPNetClassifier,
    ModelQuantizer,
    RegimeDetector,
    SlidingWindow,
    load,
    save,
)
from sktrain.ensemble import PooledClassifier
from sktrain.exceptions import CorruptFileError
from sktrain.persistence import _probes, read_manifest
from sktrain.persistence._decoder import Decoder

SMALL = {"max_epochs": 1, "random_state": 0, "module__hidden_size": 8}


@pytest.fixture(scope="module")
def task(sp500):
    return AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(
        sp500.iloc[:500]
    )


@pytest.fixture(scope="module")
def on_bars(task):
    return Pipeline(
        [
            ("features", BarFeatures()),
            ("window", SlidingWindow(lookback=5)),
            ("net", GRUClassifier(**SMALL)),
        ]
    ).fit(*task)


def kept(path, name="probe"):
    """The rows and predictions in a file."""
    with zipfile.ZipFile(path) as file:
        manifest = json.loads(file.read("manifest.json"))
        members = {member: file.read(member) for member in file.namelist()}
    return Decoder(members).decode(manifest[name])


def test_bars_remembered_of_training_follow_it_and_need_no_warm_up(on_bars, task, tmp_path):
    path = save(on_bars, tmp_path / "m.sktrain")
    probe = kept(path)
    X = probe["X"]
    assert X.shape == (8, 5)
    assert X.index[0] > task[0].index[-1]
    assert X.index[0] - task[0].index[-1] <= pd.Timedelta("2D")
    assert on_bars[0].transform(X).notna().all(axis=None)  # full context
    assert not np.isnan(on_bars[:-1].transform(X).gather()).any()
    np.testing.assert_array_equal(X.to_numpy(), task[0].iloc[-8:].to_numpy())
    np.testing.assert_allclose(probe["expected"], on_bars.predict_proba(X), atol=1e-12)
    assert read_manifest(path)["dtypes"] == {
        name: str(dtype) for name, dtype in task[0].dtypes.items()
    }


def test_a_panel_is_probed_with_one_symbol(us_stocks, tmp_path):
    bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(
        us_stocks.groupby(level=0).head(200)
    )
    model = Pipeline(
        [
            ("features", BarFeatures()),
            ("window", SlidingWindow(lookback=3)),
            ("net", MLPNetClassifier(**SMALL)),
        ]
    ).fit(bars, y)
    probe = kept(save(model, tmp_path / "m.sktrain"))
    assert probe["X"].index.get_level_values(0).nunique() == 1
    assert len(probe["X"]) == 8
    assert model[0].transform(probe["X"]).notna().all(axis=None)
    load(tmp_path / "m.sktrain")


def test_windows_of_the_nets_size_hold_a_gap(on_bars, tmp_path):
    net = on_bars[-1]
    for model in (net, ModelQuantizer().quantize_model(net)):
        X = kept(save(model, tmp_path / "m.sktrain"))["X"]
        assert X.shape == (8, 5, net.step_features_)
        assert np.isnan(X).sum() == 1
        assert np.isfinite(kept(tmp_path / "m.sktrain")["expected"]).all()


def found(model):
    return read_manifest(model)["probe"]


def test_every_kind_of_model_gets_rows(task, on_bars, tmp_path):
    X, y = rows()
    named = pd.DataFrame(X, columns=list("abcd"))
    windowed = Pipeline([("window", SlidingWindow(lookback=4)), ("net", MLPNetClassifier(**SMALL))])
    votes = VotingClassifier(
        [("a", MLPNetClassifier(**SMALL)), ("b", GRUClassifier(**SMALL))], voting="soft"
    )
    union = FeatureUnion(
        [
            ("bars", BarFeatures()),
            (
                "regime",
                Pipeline(
                    [("find", RegimeDetector()), ("code", OneHotEncoder(sparse_output=False))]
                ),
            ),
        ]
    )
    models = [
        windowed.fit(X, y),
        votes.fit(X, y),
        Pipeline([("window", SlidingWindow(lookback=4)), ("votes", votes)]).fit(X, y),
        CompressedClassifier(MLPNetClassifier(**SMALL)).fit(X, y),
        make_pipeline(StandardScaler(), LinearSVC()).fit(named, y),
        Pipeline([("none", "passthrough"), ("scale", StandardScaler())]).fit(named),
        make_pipeline(SlidingWindow(lookback=9, flatten=True), StandardScaler()).fit(
            named.set_axis(pd.date_range("2020", periods=len(named), freq="h"))
        ),
        Pipeline([("union", union), ("net", MLPNetClassifier(**SMALL))]).fit(*task),
        ModelQuantizer().quantize_model(on_bars),
    ]
    for model in models:
        path = save(model, tmp_path / "m.sktrain")
        assert found(path) == {"rows": 8, "of": "model"}, model
        opened = load(path)
        assert save(opened, tmp_path / "n.sktrain").read_bytes() == path.read_bytes(), model
        if hasattr(model, "feature_names_in_"):
            assert list(kept(path)["X"].columns) == list(model.feature_names_in_), model


@pytest.mark.parametrize("n_members", [1, 2])
def test_a_net_beside_an_estimator_of_tables_is_tried_on_tables(tmp_path, n_members):
    """The net alone is tried on windows; the other member refuses those."""
    X, y = (some[:80] for some in rows())
    members = [
        ("net", MLPNetClassifier(**SMALL, n_members=n_members)),
        ("line", LogisticRegression()),
    ]
    for made in (PooledClassifier(members, horizon=0), VotingClassifier(members, voting="soft")):
        path = save(made.fit(X, y), tmp_path / "m.sktrain")
        assert read_manifest(path)["probe"] == {"rows": 8, "of": "model"}
        np.testing.assert_array_equal(load(path).predict_proba(X), made.predict_proba(X))


def test_where_the_whole_cannot_be_tried_its_last_step_is(tmp_path):
    texts = np.array(["up and up", "down again", "nothing new"] * 10)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [2, 0, 1] * 10)
    path = save(model, tmp_path / "m.sktrain")
    assert found(path) == {"rows": 8, "of": "last step"}
    assert kept(path) is None
    probe = kept(path, "last_step")
    np.testing.assert_array_equal(probe["expected"], model[-1].predict_proba(probe["X"]))
    assert load(path).predict(["up"]).tolist() == [2]
    coded = make_pipeline(OneHotEncoder(), LogisticRegression()).fit([["a"], ["b"]] * 5, [0, 1] * 5)
    assert found(save(coded, tmp_path / "m.sktrain"))["of"] == "last step"


def test_where_nothing_can_be_tried_there_are_no_rows(tmp_path):
    fitted = LogisticRegression().fit([[0], [1]], [0, 1])
    for model in (
        TfidfVectorizer().fit(["a bc", "de"]),
        MLPNetClassifier(),
        CompressedClassifier(MLPNetClassifier()),
        AdaptiveLabeler(),
        OneHotEncoder(sparse_output=True, handle_unknown="ignore").fit([[0.0], [1.0]]),
    ):
        path = save(model, tmp_path / "m.sktrain")
        assert found(path) is None, model
        load(path)
    assert found(save(fitted, tmp_path / "m.sktrain", probe=None)) is None
    assert found(save(fitted, tmp_path / "m.sktrain", probe=[[0.5]])) == {"rows": 1, "of": "model"}


def test_rows_that_are_given_and_cannot_be_predicted_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="features"):
        save(
            LogisticRegression().fit([[0], [1]], [0, 1]),
            tmp_path / "m.sktrain",
            probe=np.zeros((2, 3)),
        )
    assert not (tmp_path / "m.sktrain").exists()


@pytest.mark.parametrize("name", ["probe", "last_step"])
def test_probe_rows_found_decide_whether_a_file_opens(tmp_path, monkeypatch, name):
    X, y = rows()
    model = (
        make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["up", "down"] * 5, [0, 1] * 5)
        if name == "last_step"
        else LogisticRegression().fit(X, y)
    )
    real = _probes.predict
    monkeypatch.setattr(_probes, "predict", lambda estimator, rows: real(estimator, rows) + 3e-5)
    path = save(model, tmp_path / "m.sktrain")
    monkeypatch.undo()
    with pytest.raises(CorruptFileError, match="differently"):
        load(path)


def test_probing_leaves_no_trace(on_bars, tmp_path):
    X, y = rows()
    with_times = [on_bars, ModelQuantizer().quantize_model(on_bars)]
    table = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    for model in (on_bars[-1], table, *with_times):
        if model in with_times:  # pandas remembers in an index what it was first asked for
            save(model, tmp_path / "m.sktrain")
        before, state = pickle.dumps(model), np.random.get_state()[1].tolist()  # noqa: NPY002
        names = sorted(vars(model))
        save(model, tmp_path / "m.sktrain")
        assert pickle.dumps(model) == before
        assert sorted(vars(model)) == names
        assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def test_equal_models_give_equal_files_with_found_rows(task, on_bars, tmp_path):
    files = [save(ModelQuantizer().quantize_model(on_bars), tmp_path / "m.sktrain").read_bytes()]
    for seed in (0, 1):
        other = clone(on_bars).set_params(net__random_state=seed).fit(*task)
        files.append(
            save(ModelQuantizer().quantize_model(other), tmp_path / "m.sktrain").read_bytes()
        )
    assert files[0] == files[1] != files[2]


def test_a_net_on_another_device_is_tried_as_it_will_open(tmp_path):
    X, y = rows()
    net = MLPNetClassifier(**SMALL).fit(X, y)
    expected = kept(save(net, tmp_path / "m.sktrain"))["expected"]
    net.device = "cuda"  # not here: asking this object would fail
    np.testing.assert_array_equal(kept(save(net, tmp_path / "m.sktrain"))["expected"], expected)
    assert load(tmp_path / "m.sktrain").device == "cpu"


SERVE = """
import sys
import numpy as np, pandas as pd
from sktrain import load
model = load(sys.argv[1])
model.predict_proba(pd.read_pickle(sys.argv[2]))
heavy = ("torch", "skorch", "skops", "sklearn.metrics", "sklearn.ensemble")
print([name for name in heavy if name in sys.modules])
"""


def test_a_serving_process_imports_what_predicts_and_nothing_in_vain(on_bars, task, tmp_path):
    path = save(ModelQuantizer().quantize_model(on_bars), tmp_path / "m.sktrain")
    bars = task[0].iloc[-80:].copy()
    bars.attrs = {}
    bars.to_pickle(tmp_path / "bars.pkl")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SERVE, str(path), str(tmp_path / "bars.pkl")],
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["[]"], done.stdout + done.stderr


WITHOUT_TORCH = """
import sys
class Absent:  # as where they are not installed; None in their place would be found by SciPy
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "skorch"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import numpy as np
from sktrain import load
print(load(sys.argv[1]).predict_proba(np.zeros((2, 4))).shape)
heavy = ("skops", "sklearn.metrics", "sklearn.ensemble", "sktrain.evaluation")
print([name for name in heavy if name in sys.modules])
"""


def test_a_compressed_classifier_opens_without_torch_and_imports_nothing_in_vain(tmp_path):
    path = save(
        CompressedClassifier(MLPNetClassifier(**SMALL)).fit(*rows()), tmp_path / "m.sktrain"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_TORCH, str(path)],
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["(2, 3)", "[]"], done.stdout + done.stderr

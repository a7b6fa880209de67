"""Every public estimator and every callback, fitted, saved and opened: a table that none is missing
from, as both are found by introspection."""

import numpy as np
import pandas as pd
from persistence.test_persistence_everything import public_estimators
import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import TimeSeriesSplit
from skorch.callbacks import Callback

import sktrain
from sktrain import NewsArticle, load, nets, save
from sktrain.datasets import make_market
from sktrain.exceptions import CorruptFileError
from sktrain.news import with_news
from sktrain.persistence import read_manifest
from sktrain.resample import ResampledClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sktrain.exceptions.SktrainWarning")
SMALL = {"max_epochs": 2, "random_state": 0, "horizon": 0, "module__hidden_size": 8}
RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.normal(size=(120, 3)), pd.date_range("2020", periods=120), columns=list("abc"))
Y = (X["a"] > 0).astype(int).to_numpy()
BARS = make_market(160, random_state=0).bars
NEWS = [NewsArticle(f"profit {k} rises", BARS.index[k]) for k in range(5, 90, 7)]


def net(cls, **params):
    return getattr(sktrain, cls)(**{**SMALL, **params})


def classified(model):
    """A fitted classifier, and what it says."""
    return model.fit(X, Y), lambda one: one.predict_proba(X)


def transformed(model, rows=BARS):
    return model.fit(rows), lambda one: one.transform(rows)


def labelled(model):
    return model, lambda one: one.fit_resample(BARS)[1]


def split(model):
    groups = np.resize(["up", "down"], len(X))
    return model, lambda one: [part for pair in one.split(X, groups=groups) for part in pair]


def told(model):
    """What is not fitted: its parameters."""
    return model, lambda one: repr(sorted(one.get_params().items()))


def quantized():
    made = sktrain.ModelQuantizer().quantize_model(net("GRUClassifier").fit(X, Y))
    return made, lambda one: one.predict_proba(X)


def aligned():
    vectors = RNG.normal(size=(len(NEWS), 2))
    made = sktrain.NewsAligner(half_life="3D", lookback=9).fit(NEWS, vectors)
    return made, lambda one: one.transform(BARS)


def news():
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    encoder = make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=0))
    return transformed(sktrain.NewsFeatures(encoder), with_news(BARS, NEWS))


def searched():
    search = sktrain.OptunaSearchCV(
        LogisticRegression(), {"C": (0.1, 1.0)}, n_trials=2, cv=TimeSeriesSplit(2), random_state=0
    )
    return classified(search)


def oversampled():
    return sktrain.WindowSMOTE(random_state=0), lambda one: one.fit_resample(X, X["a"] > 0.8)[0]


def labeler():
    return sktrain.TripleBarrierLabeler(max_holding=4)


def guarded():
    guard = sktrain.DriftGuard(SGDClassifier(loss="log_loss", random_state=0)).fit(X[:90], Y[:90])
    return guard.partial_fit(X[90:], Y[90:]), lambda one: one.predict_proba(X)


NETS = ("GRUClassifier", "LSTMClassifier", "MLPNetClassifier", "TCNClassifier")
NETS += ("TransformerClassifier",)
TABLE = {  # name -> () -> (fitted estimator, what it answers)
    **{cls: (lambda cls=cls: classified(net(cls))) for cls in NETS},
    "AdaptiveLabeler": lambda: labelled(sktrain.AdaptiveLabeler(horizon=2)),
    "BarFeatures": lambda: transformed(sktrain.BarFeatures()),
    "CombinatorialPurgedCV": lambda: split(sktrain.CombinatorialPurgedCV(5, 2, horizon=1)),
    "CompressedClassifier": lambda: classified(
        sktrain.CompressedClassifier(net("MLPNetClassifier"), fine_tune_epochs=1, horizon=0)
    ),
    "DeterministicTrainingConfig": lambda: told(
        sktrain.DeterministicTrainingConfig(seed=3, num_threads=2)
    ),
    "DriftDetector": lambda: (
        sktrain.DriftDetector().fit(X[:80]),
        lambda one: one.check(X[80:] + 1).per_feature,
    ),
    "DriftGuard": guarded,
    "EnhancedWalkForwardCV": lambda: split(
        sktrain.EnhancedWalkForwardCV(3, horizon=1, min_samples_per_fold=10)
    ),
    "LabelSampler": lambda: labelled(sktrain.labels.LabelSampler(labeler())),
    "LeakageValidator": lambda: told(sktrain.LeakageValidator(random_state=3)),
    "ModelPruner": lambda: told(sktrain.ModelPruner(0.7)),
    "ModelQuantizer": lambda: told(sktrain.ModelQuantizer(4)),
    "NewsAligner": aligned,
    "NewsFeatures": news,
    "OptunaSearchCV": searched,
    "PooledClassifier": lambda: classified(
        sktrain.PooledClassifier(
            [("net", net("MLPNetClassifier")), ("line", LogisticRegression())], horizon=0
        )
    ),
    "PretrainedNewsEncoder": lambda: told(sktrain.PretrainedNewsEncoder(max_length=16)),
    "QuantizedClassifier": quantized,
    "RegimeDetector": lambda: transformed(sktrain.RegimeDetector()),
    "ResampledClassifier": lambda: classified(ResampledClassifier(LogisticRegression())),
    "SlidingWindow": lambda: transformed(sktrain.SlidingWindow(lookback=4), X),
    "TemporalSplitter": lambda: split(sktrain.TemporalSplitter(0.5, 0.25, 0.25, horizon=1)),
    "TripleBarrierLabeler": lambda: labelled(labeler()),
    "WindowSMOTE": oversampled,
}


def test_no_public_estimator_is_missing_from_the_table():
    stands_for_another = {"UnavailableEstimator"}  # of a net where torch is not installed
    assert set(TABLE) == set(public_estimators()) - stands_for_another


def check_same(one, other):
    if isinstance(one, list):
        assert len(one) == len(other) > 0
        for mine, yours in zip(one, other):
            check_same(mine, yours)
    elif isinstance(one, str):
        assert one == other
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    else:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("name", TABLE)
def test_what_is_opened_answers_as_what_was_saved(name, tmp_path):
    model, ask = TABLE[name]()
    opened = load(save(model, tmp_path / "m.sktrain"))
    assert type(opened) is type(model)
    check_same(ask(opened), ask(model))
    again = load(save(opened, tmp_path / "again.sktrain"))  # a file of what was opened
    check_same(ask(again), ask(model))


CALLBACKS = {  # every public callback, with parameters that are not the defaults; None: not kept
    "DropoutSchedule": {"min_p": 0.05},
    "EnhancedEarlyStopping": {"patience": 2, "min_epochs": 1},
    "GradientClip": {"max_norm": 0.01},
    "ProgressBar": {},
    "ReduceOnPlateau": {"patience": 1, "factor": 0.3},
    "StopFlag": None,
    "TrainingCheckpoint": None,
    "WeightDecaySchedule": {"max": 0.1},
}


def test_no_public_callback_is_missing_from_the_table():
    found = {
        name
        for name in nets.__all__
        if isinstance(getattr(nets, name), type) and issubclass(getattr(nets, name), Callback)
    }
    assert set(CALLBACKS) == found


@pytest.mark.parametrize("several", [1, 2])
@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_survive_with_their_parameters(name, several, tmp_path, capsys):
    cls, params = getattr(nets, name), CALLBACKS[name]
    kept_nowhere = {
        "StopFlag": {"flag": lambda: False},
        "TrainingCheckpoint": {"dirname": tmp_path / "c"},
    }
    given = kept_nowhere[name] if params is None else params
    fitted = net("MLPNetClassifier", callbacks=[("mine", cls(**given))], n_members=several)
    path = save(fitted.fit(X, Y), tmp_path / "m.sktrain")
    opened = load(path)
    np.testing.assert_array_equal(opened.predict_proba(X), fitted.predict_proba(X))
    left = read_manifest(path)["left_out"]
    if params is None:
        assert any(one.endswith("callbacks__mine") for one in left)
        assert opened.fit(X, Y).predict(X).shape == (120,)
        return
    kept = dict(opened.callbacks)["mine"]
    assert {key: getattr(kept, key) for key in params} == params
    assert not any("callbacks" in one for one in left)
    expected = fitted.fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(opened.fit(X, Y).predict_proba(X), expected)


def edited(path, change):
    """A consistent file, its manifest changed."""
    import sys

    sys.path.insert(0, "tests")
    from attack.mutate import packed, parts

    manifest, members = parts(path.read_bytes())
    manifest.pop("members")
    change(manifest["model"])
    path.write_bytes(packed(manifest, members))


def test_a_member_that_stands_many_times_is_refused(tmp_path):
    """A few bytes each, and each would be asked at every prediction."""
    fitted = net("MLPNetClassifier", n_members=2).fit(X, Y)
    path = save(fitted, tmp_path / "m.sktrain")

    def repeat(model):
        pairs = dict(model["state"]["pairs"])
        items = pairs["members"]["items"]
        items += [{"!": "again", "number": items[0]["number"]}] * 5000

    edited(path, repeat)
    with pytest.raises(CorruptFileError, match="one twice"):
        load(path)

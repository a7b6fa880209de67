"""Parts of the format one by one: what a value becomes and comes back as, which names a file may
hold, the state of nets, and which rows are probed."""

import copy
from functools import partial
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import Bunch
import torch

from sktrain import DriftGuard, MLPNetClassifier, SlidingWindow, TemporalSplitter
from sktrain.exceptions import CorruptFileError, PersistenceError
from sktrain.persistence import _facts, _nets, _probes, _registry
from sktrain.persistence._arrays import Budget
from sktrain.persistence._decoder import Decoder, ValueDecoder
from sktrain.persistence._encoder import Encoder, defaults

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)
SMALL = {"max_epochs": 1, "random_state": 0, "horizon": 0, "module__hidden_size": 4}


@pytest.fixture(scope="module")
def net():
    return MLPNetClassifier(**SMALL).fit(X, Y)


def through(value, decoder=Decoder):
    encoder = Encoder()
    return decoder(encoder.members).decode(encoder.encode(value))


def tree_of(value):
    return Encoder().encode(value)


# Values


class Numbers(list):
    pass


@pytest.mark.parametrize(
    "value",
    [
        slice(1, None, 2),
        slice(None),
        frozenset({2, 1}),
        (),
        ((1,), [2]),
        {(1, 2): None, "k": {}},
        Bunch(a=1, b=[2]),
        -math.inf,
        1e308,
        partial(torch.optim.SGD, 0.1, momentum=0.9),
        torch.optim.Adam,
        f1_score,
        pd.NA,
        np.bool_(True),
        np.datetime64("2020-01-01T10", "h"),
        np.array(3.5),
        np.array([[None, "a"], [1, 2.5]], dtype=object),
        pd.Timestamp("2020-01-01").as_unit("s"),
        pd.Timedelta("1h").as_unit("ms"),
        TemporalSplitter,
    ],
    ids=repr,
)
def test_values_come_back_as_they_were(value):
    if value is TemporalSplitter:  # a class that is no parameter
        with pytest.raises(PersistenceError, match="cannot hold"):
            through(value)
        return
    back = through(value)
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert back.shape == value.shape
        assert back.tolist() == value.tolist()
    elif isinstance(value, partial):
        assert (back.func, back.args, back.keywords) == (value.func, value.args, value.keywords)
    elif value is not pd.NA:
        assert back == value
        assert getattr(back, "unit", None) == getattr(value, "unit", None)


def test_lists_of_other_kinds_become_tuples_and_nan_stays():
    assert through(Numbers([1, 2])) == (1, 2)
    assert math.isnan(through(math.nan))
    assert through([[1, [2, {3}]], {"a": (4,)}]) == [[1, [2, {3}]], {"a": (4,)}]


def test_masked_arrays_and_tensors_come_back():
    masked = np.ma.MaskedArray([1.0, 2.0, 3.0], mask=[0, 1, 0], fill_value=-7.0)
    back = through(masked)
    assert back.mask.tolist() == [False, True, False]
    assert (back.compressed().tolist(), back.fill_value) == ([1.0, 3.0], -7.0)
    weight = torch.nn.Parameter(torch.arange(4, dtype=torch.float64).reshape(2, 2))
    assert torch.equal(through(weight), weight.detach())
    assert through(torch.tensor([1, 2], dtype=torch.int16)).dtype == torch.int16


def test_generators_go_on_where_they_were():
    """A RandomState draws normal numbers in pairs, and may hold one of them back."""
    for bits in (np.random.MT19937, np.random.Philox, np.random.PCG64):
        for kind in (np.random.RandomState, np.random.Generator):
            for drawn in (2, 3):
                made = kind(bits(3))
                made.normal(size=drawn)
                back = through(made)
                assert type(back) is kind
                assert back.normal(size=3).tolist() == made.normal(size=3).tolist()
                assert back.uniform() == made.uniform()


def test_generators_of_earlier_files_open():
    """They hold no number that is held back."""
    encoder, made = Encoder(), np.random.RandomState(np.random.MT19937(3))
    state = encoder.encode(np.random.MT19937(3).state)
    tree = {"!": "random", "kind": "RandomState", "state": state}
    assert Decoder(encoder.members).decode(tree).normal() == made.normal()


def test_indexes_keep_names_zones_and_units():
    days = pd.date_range("2020-03-28", periods=3, tz="Europe/Paris")
    times = pd.DatetimeIndex(days.tolist(), name="t")  # of no frequency, which a file does not hold
    for index in (
        times,
        times.tz_localize(None).as_unit("s"),
        pd.Index([3, 1], name=("a", 1)),
        pd.Index(["x", "y"]),
        pd.MultiIndex.from_product([["A", "B"], times], names=["symbol", "t"]),
    ):
        back = through(index)
        pd.testing.assert_index_equal(back, index)
        assert getattr(back, "unit", None) == getattr(index, "unit", None)
    series = pd.Series([1.5, 2.5, 3.5], times, name="s")
    pd.testing.assert_series_equal(through(series), series, check_freq=False)
    small = pd.DataFrame({"u": pd.array([1, None], "UInt8"), "f": pd.array([None, 2.5], "Float32")})
    pd.testing.assert_frame_equal(through(small), small)
    twins = pd.DataFrame([[1, 2.0]], columns=["a", "a"])
    pd.testing.assert_frame_equal(through(twins), twins)


def test_scorers_come_back_and_others_are_refused():
    scorer = make_scorer(f1_score, greater_is_better=False, average="macro")
    back = through(scorer)
    model = LogisticRegression().fit(X, Y)
    assert back(model, X, Y) == scorer(model, X, Y) < 0
    tree = {**tree_of(scorer), "class": "_MultimetricScorer"}
    with pytest.raises(CorruptFileError, match="scorer"):
        Decoder({}).decode(tree)


def test_what_stands_twice_is_one_again():
    inner = TemporalSplitter(0.5, 0.25, 0.25)
    both = through([inner, {"again": inner}, TemporalSplitter(0.5, 0.25, 0.25)])
    assert both[0] is both[1]["again"]
    assert both[0] is not both[2]
    assert repr(both[0]) == repr(inner)


def test_a_place_in_the_object_is_named():
    for value, place in (
        ([1, (2, object())], "model[1][1] is a builtins.object"),
        ({"k": {3: object()}}, "model['k'][3] is"),
        ({object(): 1}, "model key is"),
        (np.array([1, object()], dtype=object), "model[1] is"),
        (np.zeros(2, dtype=[("a", "f8")]), "model is an array of dtype"),
        (pd.DataFrame({"c": pd.arrays.SparseArray([0.0])}), "model column 'c' has dtype"),
        (TemporalSplitter(horizon=object()), "model.horizon is"),
    ):
        with pytest.raises(PersistenceError) as caught:
            tree_of(value)
        assert place in str(caught.value)


def array(shape, n_bytes, member="a"):
    return {"!": "array", "dtype": "<f8", "shape": shape, "scalar": False, "member": member}


def test_what_is_inflated_is_taken_from_the_budget():
    values, zeros = np.arange(1.0, 4.0), np.zeros(1000, dtype="f4")
    encoder = Encoder()
    dense, sparse = encoder.encode(values), encoder.encode(zeros)
    for tree, cost in ((dense, len(encoder.members[dense["member"]])), (sparse, 1000 * (4 + 1))):
        enough, few = Budget(cost), Budget(cost - 1)
        assert Decoder(encoder.members, enough).decode(tree).size in (3, 1000)
        assert enough.spent == cost
        with pytest.raises(CorruptFileError, match="memory"):
            Decoder(encoder.members, few).decode(tree)


BAD = {
    "a list": [1],
    "no type": {"items": []},
    "a type of no text": {"!": 3},
    "unknown": {"!": "complex"},
    "a missing member": {"!": "bytes", "member": "gone"},
    "a slice of truth": {"!": "slice", "items": [True, None, None]},
    "a slice of four": {"!": "slice", "items": [1, 2, 3, 4]},
    "a partial of text": {"!": "partial", "func": "print", "args": None, "keywords": None},
    "a partial of a list": {"!": "partial", "func": {"!": "list", "items": []}},
    "a value elsewhere": {"!": "value", "name": "os.system"},
    "no name": {"!": "value", "name": None},
    "a value as object": {"!": "object", "class": "torch.optim.SGD", "number": 0, "state": {}},
    "a record elsewhere": {"!": "record", "class": "os.stat_result", "number": 0, "state": {}},
    "a record of ours that is none": {
        "!": "record", "class": "sktrain.splits.TemporalSplitter", "number": 0, "state": {},
    },
    "a record that is not there": {
        "!": "record", "class": "sktrain.splits._gone.Thing", "number": 0, "state": {},
    },
    "a record under another room": {
        "!": "record", "class": "sktrain.nets.ValidationBlock", "number": 0, "state": {},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_trees_that_no_value_has_are_refused(name):
    with pytest.raises(CorruptFileError):
        Decoder({}).decode(BAD[name])


def test_a_reader_of_values_rebuilds_no_object(net):
    for value in ({"a": [1, np.arange(2)]}, (b"x", None), pd.Series([1.0])):
        assert repr(through(value, ValueDecoder)) == repr(value)
    for value in (
        TemporalSplitter(), net, LogisticRegression(), torch.ones(2), np.random.RandomState(0),
        torch.optim.SGD, partial(torch.optim.SGD, lr=1), make_scorer(f1_score),
    ):  # fmt: skip
        with pytest.raises(CorruptFileError, match="object where a value"):
            through(value, ValueDecoder)


def test_parameters_of_later_versions_stand_at_their_defaults():
    encoder = Encoder()
    tree = encoder.encode(TemporalSplitter(0.5, 0.25, 0.25))
    del tree["state"]["horizon"]
    back = Decoder(encoder.members).decode(tree)
    assert back.get_params() == TemporalSplitter(0.5, 0.25, 0.25).get_params()
    encoder = Encoder()
    tree = encoder.encode(Pipeline([("a", StandardScaler())]))
    del tree["state"]["memory"]  # another library's: it is not for us to say
    assert not hasattr(Decoder(encoder.members).decode(tree), "memory")


def test_defaults_are_those_of_the_signature():
    class Made:
        def __init__(self, needed, number=3, *, word="x"):
            pass

    assert defaults(Made) == {"needed": None, "number": 3, "word": "x"}


@pytest.mark.parametrize("name", ["_a", "a__b", "__a", "a__", "_", "__"])
def test_names_between_double_underscores_alone_are_pythons(name):
    from sktrain.persistence._decoder import _named

    assert _named(name) == name
    for python in ("__class__", "__a1__", "____"):
        with pytest.raises(CorruptFileError, match="attribute"):
            _named(python)


# Names


def test_names_of_classes_and_values_are_found_and_looked_up():
    assert _registry.home_of(TemporalSplitter) == "sktrain.splits.TemporalSplitter"
    assert _registry.home_of(torch.optim.SGD) == "torch.optim.SGD"
    assert _registry.home_of(MLPNetClassifier) == "sktrain.nets.MLPNetClassifier"
    assert _registry.home_of(f1_score) == "sklearn.metrics.f1_score"
    assert _registry.home_of(LinearRegression) is None
    for table in (_registry.OBJECTS, _registry.VALUES, _nets.CLASSES):
        for key, (module, name) in table.items():
            assert key == f"{module}.{name}" or module == "sktrain.nets"
    found = _registry.imported(_registry.OBJECTS, "sktrain.splits.TemporalSplitter")
    assert found is TemporalSplitter
    with pytest.raises(CorruptFileError, match="does not have"):
        _registry.imported({"x": ("math", "no_such_name")}, "x")
    for name in ("y", 3, None, ["x"]):
        with pytest.raises(CorruptFileError, match="not in the registry"):
            _registry.imported({"x": ("math", "pi")}, name)


def test_records_are_plain_data_of_this_library():
    from sktrain._last_block import ValidationBlock

    assert _registry.is_record(ValidationBlock)
    for other in (TemporalSplitter, dict, SimpleNamespace, Numbers, LogisticRegression):
        assert not _registry.is_record(other)

    def made(module, bases=(), **parts):
        return type("Made", bases, {"__module__": module, **parts})

    assert _registry.is_record(made("sktrain.splits._times"))
    assert _registry.is_record(made("sktrain.splits"))
    assert not _registry.is_record(made("sktrain.splits.times"))
    assert not _registry.is_record(made("sktrain.persistence._file"))
    assert not _registry.is_record(made("other.sktrain.splits"))
    for name in ("fit", "get_params", "forward", "__reduce__", "__del__"):
        assert not _registry.is_record(made("sktrain.splits", **{name: None}))
    assert not _registry.is_record(made("sktrain.splits", (dict,)))
    assert not _registry.is_record(made("sktrain.splits", (BaseEstimator,)))
    block = ValidationBlock(np.arange(3), None, 2, "few rows")
    back = through(block)
    assert (back.train.tolist(), back.valid, back.n_purged, back.reason) == (
        [0, 1, 2], None, 2, "few rows",
    )  # fmt: skip


# Nets


def state(net, encoder=None):
    return _nets.state_of(net, "model", encoder or Encoder())


def test_a_net_is_its_parameters_and_what_it_learned(net):
    encoder = Encoder()
    told = state(net, encoder)
    assert told["fitted"] is True
    assert "device" not in told["params"]
    assert "validation_" not in told["learned"]
    assert {"n_features_in_", "classes_inferred_", "lookback_"} <= set(told["learned"])
    assert set(told["weights"]) == set(net.module_.state_dict())
    assert [row["epoch"] for row in told["history"]] == [1]
    assert not any("batches" in row for row in told["history"])
    assert "optimizer" not in told
    assert sorted(encoder.left) == ["model.optimizer_", "model.validation_"]
    kept = state(net, Encoder(optimizer=True))["optimizer"]
    assert kept.keys() == net.optimizer_.state_dict().keys()
    unfitted = state(MLPNetClassifier(**SMALL))
    assert unfitted.keys() == {"params", "fitted"}
    assert unfitted["fitted"] is False


def test_a_network_of_its_own_is_refused():
    with pytest.raises(PersistenceError, match="network of its own"):
        state(MLPNetClassifier(module=torch.nn.Linear))


def test_a_net_is_rebuilt_without_its_first_weights(net):
    told = state(net)
    opened = _nets.rebuild(MLPNetClassifier, told)
    np.testing.assert_array_equal(opened.predict_proba(X), net.predict_proba(X))
    assert opened.initialized_
    assert not opened.module_.training
    assert len(opened.history_) == 1
    for change, said in (
        ({"learned": {**told["learned"], "_private_": 1}}, "names that none has"),
        ({"learned": {**told["learned"], "fit": 1}}, "names that none has"),
        ({"learned": {**told["learned"], 3: 1}}, "names that none has"),
        ({"weights": dict(list(told["weights"].items())[1:])}, "do not fit"),
        ({"members": []}, "has none"),
        ({"members": "ab"}, "has none"),
        ({"members": [net, net]}, "one twice"),
    ):
        with pytest.raises(CorruptFileError, match=said):
            _nets.rebuild(MLPNetClassifier, {**told, **change})
    other = {**told["learned"], "module_": "another"}  # made anew, whatever a file says
    assert _nets.rebuild(MLPNetClassifier, {**told, "learned": other}).module_ != "another"


def test_members_of_a_net_take_the_same_rows(net):
    told, other = state(net), copy.deepcopy(net)
    told["params"] = {**told["params"], "n_members": 2}
    opened = _nets.rebuild(MLPNetClassifier, {**told, "members": [net, other]})
    np.testing.assert_allclose(opened.predict_proba(X), net.predict_proba(X), atol=1e-6)
    for name, value in (
        ("lookback_", 99), ("step_features_", 99), ("classes_inferred_", np.array([0, 5])),
    ):  # fmt: skip
        other = copy.deepcopy(net)
        setattr(other, name, value)
        with pytest.raises(CorruptFileError, match="different rows"):
            _nets.rebuild(MLPNetClassifier, {**told, "members": [net, other]})
    for foreign in (MLPNetClassifier(**SMALL), LogisticRegression(), object()):
        with pytest.raises(CorruptFileError, match="no such net"):
            _nets.rebuild(MLPNetClassifier, {**told, "members": [net, foreign]})
    three = [net, copy.deepcopy(net), copy.deepcopy(net)]
    with pytest.raises(CorruptFileError, match="holds 3"):
        _nets.rebuild(MLPNetClassifier, {**told, "members": three})


def test_sizes_of_a_net_are_those_its_weights_can_have():
    def check(**sizes):
        made = SimpleNamespace(get_params_for=lambda prefix: sizes)
        _nets._check_sizes(made, {"a": np.zeros((2, 3)), "b": np.zeros(4)})

    check(hidden_size=65_536 + 10, n_layers=2, dropout=0.0, bias=True, word="x")
    check(hidden_size=0, n_layers=0)
    for sizes in (
        {"hidden_size": 65_536 + 11}, {"hidden_size": -1}, {"n_layers": 3}, {"n_layers": -1},
        {"dropout": math.nan}, {"dropout": math.inf},
    ):  # fmt: skip
        with pytest.raises(CorruptFileError, match="a net has"):
            check(**sizes)


def test_double_precision_is_kept(net):
    double = copy.deepcopy(net)
    double.module_.double()
    opened = _nets.rebuild(MLPNetClassifier, state(double))
    kinds = {name: value.dtype for name, value in opened.module_.state_dict().items()}
    assert kinds == {name: value.dtype for name, value in double.module_.state_dict().items()}
    single = _nets.rebuild(MLPNetClassifier, state(net))
    assert next(single.module_.parameters()).dtype == torch.float32


def test_weights_of_classes_come_back_with_the_loss():
    from sktrain import FocalLoss

    told = {"class_weight": np.array([0.5, 2.0], dtype="f4")}
    loss = FocalLoss(alpha="balanced")
    _nets._put_loss(loss, told)
    assert loss.class_weight.tolist() == [0.5, 2.0]
    _nets._put_loss(loss, {"class_weight": np.array([1.0, 2.0, 3.0])})
    assert loss.class_weight.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(RuntimeError, match="Unexpected"):
        _nets._put_loss(loss, {**told, "other": np.ones(1)})


# Horizons


def test_a_horizon_is_found_wherever_it_was_told():
    told = MLPNetClassifier(horizon=4)
    bare = LogisticRegression()
    searched = GridSearchCV(bare, {})
    searched.best_estimator_ = told
    grown = SimpleNamespace(estimators_=[bare, told], estimators=None)
    for model, expected in (
        (told, 4),
        (SimpleNamespace(horizon=0), 0),
        (SimpleNamespace(horizon=pd.Timedelta("2h")), "0 days 02:00:00"),
        (SimpleNamespace(label_horizon_=7), 7),
        (SimpleNamespace(label_horizon_=7, estimator=told), 7),
        (Pipeline([("a", told), ("b", bare)]), None),
        (Pipeline([("a", bare), ("b", told)]), 4),
        (Pipeline([("a", "passthrough"), ("b", "passthrough")]), None),
        (searched, 4),
        (grown, 4),
        (SimpleNamespace(estimator_=told, estimator=MLPNetClassifier(horizon=9)), 4),
        (VotingClassifier([("a", "drop"), ("b", told)]), 4),
        (SimpleNamespace(estimators=[None, ("b", None)]), None),
    ):
        found = _facts.horizon_of(model)
        if isinstance(expected, str):
            assert pd.Timedelta(found) == pd.Timedelta(expected)
        else:
            assert found == expected


def test_types_are_of_the_first_rows_that_have_any():
    frame = pd.DataFrame({"a": [1.0], 2: [1]})
    assert _facts.dtypes_of(None, frame, X) == {"a": "float64", "2": "int64"}
    assert _facts.dtypes_of(X, frame) == "float64"
    assert _facts.dtypes_of([[1]], frame["a"]) == "float64"
    assert _facts.dtypes_of(None, [1]) is None


# Probe rows


def test_few_rows_of_bounded_estimators_are_replayed(monkeypatch):
    model = LogisticRegression().fit(X, Y)
    assert _probes.replayable(model, np.zeros((4096, 3))) is None
    assert "too many" in _probes.replayable(model, np.zeros((4097, 1)))
    assert _probes.replayable(model, np.zeros((1024, 1024))) is None
    assert "too many" in _probes.replayable(model, np.zeros((1024, 1025)))
    assert "too many" in _probes.replayable(model, [[1.0]])
    scaled = Pipeline([("scale", FunctionTransformer()), ("line", model)])
    assert _probes.replayable(scaled, X) == "FunctionTransformer is not replayed"


@pytest.mark.parametrize("size", [10_001, -10_001, 1e300, [1, 10_001]])
def test_estimators_of_great_sizes_are_not_replayed(net, size):
    for model, name in ((SlidingWindow(), "lookback"), (net, "lookback_"), (net, "lookback")):
        model = copy.deepcopy(model)
        setattr(model, name, size)
        assert f"{name}={size!r}" in _probes.replayable(model, X)


@pytest.mark.parametrize("size", [10_000, -10_000, [1, 10_000], "20_000", None])
def test_estimators_of_allowed_sizes_are_replayed(net, size):
    window = SlidingWindow()
    window.lookback = size
    assert _probes.replayable(window, X) is None
    seeded = copy.deepcopy(net)
    seeded.random_state, seeded.max_epochs, seeded.n_rows_ = 2**40, 10**6, 10**9
    assert _probes.replayable(seeded, X) is None


def test_recipes_that_do_not_predict_do_not_count():
    reader = FunctionTransformer()
    guard = DriftGuard(reader)
    guard.estimator_ = LogisticRegression().fit(X, Y)
    assert _probes.replayable(guard, X) is None
    guard.estimator_ = make_pipeline(FunctionTransformer(), LogisticRegression())
    assert "FunctionTransformer" in _probes.replayable(guard, X)
    voted = VotingClassifier([("a", LogisticRegression())]).fit(X, Y)
    voted.estimators = [("a", reader)]
    assert _probes.replayable(voted, X) is None
    frozen = FrozenEstimator(reader)
    frozen.estimator_ = None
    assert "FunctionTransformer" in _probes.replayable(frozen, X)


def test_predictions_are_alike_within_a_hundred_thousandth():
    one = np.array([0.0, 0.5, 1000.0])
    assert _probes.same(one, one + [0.9e-5, 1.4e-5, 0.9e-2])
    for off in ([1.1e-5, 0, 0], [0, 1.6e-5, 0], [0, 0, 1.1e-2]):
        assert not _probes.same(one + off, one)
    assert _probes.same(np.array([np.nan]), np.array([np.nan]))
    assert not _probes.same(one[:2], one)
    assert not _probes.same(one[None], one)
    assert _probes.same(np.array(["a", "b"]), np.array(["a", "b"]))
    assert not _probes.same(np.array(["a", "b"]), np.array(["a", "c"]))


def test_probabilities_come_before_labels_and_labels_before_transformed_rows():
    line = LinearRegression().fit(X, Y)
    model = LogisticRegression().fit(X, Y)
    scale = StandardScaler().fit(X)
    np.testing.assert_array_equal(_probes.predict(model, X), model.predict_proba(X))
    np.testing.assert_array_equal(_probes.predict(line, X), line.predict(X))
    np.testing.assert_array_equal(_probes.predict(scale, X), scale.transform(X))


def remembering(tail, lookback=100, **others):
    return SimpleNamespace(tail_=tail, lookback_=lookback, **others)


def test_bars_of_training_are_probed_at_the_times_that_follow():
    times = pd.date_range("2020-01-01", periods=20, freq="h", name="time")
    bars = pd.DataFrame({"a": np.arange(20.0), "b": 1.0}, times)
    rows = _probes.remembered(remembering(bars))
    assert rows["a"].tolist() == list(range(12, 20))
    assert list(rows.index) == list(pd.date_range("2020-01-01 20:00", periods=8, freq="h"))
    assert rows.index.name == "time"
    early = _probes.remembered(remembering(bars, lookback=10))  # later bars were not trained on
    assert early["a"].tolist() == list(range(2, 10))
    assert early.index[0] == times[10]
    two = _probes.remembered(remembering(bars, lookback=1))
    assert two["a"].tolist() == [0, 1]
    panel = pd.concat({"A": bars + 100, "B": bars}, names=["symbol", "time"])
    found = _probes.remembered(remembering(panel))
    assert found["a"].tolist() == list(range(12, 20))
    assert found.index.names == ["symbol", "time"]
    assert set(found.index.get_level_values(0)) == {"B"}
    assert list(found.index.get_level_values(1)) == list(rows.index)
    for nothing in (
        None, bars.to_numpy(), bars[[]], bars.iloc[:1], bars.reset_index(drop=True),
    ):  # fmt: skip
        assert _probes.remembered(remembering(nothing)) is None


def test_bars_get_the_names_that_fit_saw():
    times = pd.date_range("2020-01-01", periods=9)
    unnamed = pd.DataFrame(np.ones((9, 2)), times)
    found = _probes.remembered(remembering(unnamed, feature_names_in_=np.array(["x", "y"])))
    assert list(found.columns) == ["x", "y"]
    for names in ((), np.array(["x"])):
        kept = _probes.remembered(remembering(unnamed, feature_names_in_=names))
        assert list(kept.columns) == [0, 1]
    named = unnamed.set_axis(["p", "q"], axis=1)
    kept = _probes.remembered(remembering(named, feature_names_in_=np.array(["x", "y"])))
    assert list(kept.columns) == ["p", "q"]
    wide, narrow = remembering(named), remembering(named[["p"]])
    for parts in ([wide, narrow], [narrow, wide]):
        union = SimpleNamespace(transformer_list=[(str(k), part) for k, part in enumerate(parts)])
        assert list(_probes.remembered(union).columns) == ["p", "q"]


def test_rows_are_tried_of_the_width_that_was_seen():
    forest = RandomForestClassifier(2, random_state=0).fit(X, np.where(Y, "a", "b"))
    found = _probes.tried(forest)
    assert found["X"].shape == (8, 3)
    np.testing.assert_array_equal(found["expected"], forest.predict_proba(found["X"]))
    again = _probes.tried(forest)
    np.testing.assert_array_equal(again["X"], found["X"])

    class Says:
        n_features_in_ = 2

        def __init__(self, answer):
            self.answer = answer

        def predict(self, rows):
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    for good in (["a"] * 8, [True] * 8, [1] * 8, [[0.5, 0.5]] * 8):
        assert _probes.tried(Says(np.array(good))) is not None
    assert _probes.tried(Says(np.array(["a"] * 8, dtype=object))) is not None
    for bad in (np.array(["a", 1] * 4, dtype=object), np.ones(7), np.array(1.0), ValueError("x")):
        assert _probes.tried(Says(bad)) is None
    assert _probes.tried(object()) is None


def test_the_step_that_answers_and_the_steps_that_rows_enter():
    first, last = StandardScaler().fit(X), LogisticRegression()
    pipe = Pipeline([("none", "passthrough"), ("first", first), ("last", last)])
    nested = Pipeline([("inner", pipe), ("more", FrozenEstimator(Pipeline([("last", last)])))])
    assert _probes.last_step(pipe) is last
    assert _probes.last_step(nested) is last
    assert _probes.last_step(last) is last
    assert _probes._input_parts(nested) == [first]
    assert _probes._input_parts(FeatureUnion([("a", pipe), ("b", last)])) == [first, last]
    assert _probes._input_parts(None) == _probes._input_parts("drop") == []
    assert _probes._input_parts(Pipeline([("none", "passthrough")])) == []

"""Values one by one: what each becomes in a file and comes back as, and which names a file may hold."""

from functools import partial
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
import torch

from sktrain import CompressedClassifier, MLPNetClassifier, TemporalSplitter, load, save
from sktrain.exceptions import CorruptFileError, PersistenceError
from sktrain.persistence import _nets, _registry, read_manifest
from sktrain.persistence._arrays import Budget
from sktrain.persistence._decoder import Decoder, ValueDecoder
from sktrain.persistence._encoder import Encoder, defaults

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


def through(value, decoder=Decoder):
    encoder = Encoder()
    return decoder(encoder.members).decode(encoder.encode(value))


def tree_of(value):
    return Encoder().encode(value)


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
    ids=lambda value: getattr(value, "__name__", repr(value)),
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
    "a record under another package": {
        "!": "record", "class": "sktrain.nets.ValidationBlock", "number": 0, "state": {},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_trees_that_no_value_has_are_refused(name):
    with pytest.raises(CorruptFileError):
        Decoder({}).decode(BAD[name])


def test_a_reader_of_values_rebuilds_no_object():
    for value in ({"a": [1, np.arange(2)]}, (b"x", None), pd.Series([1.0])):
        assert repr(through(value, ValueDecoder)) == repr(value)
    for value in (
        TemporalSplitter(), MLPNetClassifier(), LogisticRegression(), torch.ones(2), np.random.RandomState(0),
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


class Alike:
    """Says of everything that it is the same."""

    def __eq__(self, other):
        return True

    __hash__ = None


def test_what_is_left_out_is_told_by_identity(tmp_path):
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=Alike())
    path = save(search, tmp_path / "m.sktrain")
    assert "model.cv" in read_manifest(path)["left_out"]
    assert load(path).cv is None
    kept = save(GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=3), tmp_path / "n.sktrain")
    assert read_manifest(kept)["left_out"] == []
    assert load(kept).cv == 3


def test_a_recipe_waits_until_it_is_asked_for(tmp_path):
    path = save(CompressedClassifier(MLPNetClassifier(lr=0.5)), tmp_path / "m.sktrain")
    opened = load(path)
    assert "estimator" not in vars(opened)
    assert opened.estimator.lr == 0.5
    assert vars(opened)["estimator"] is opened.estimator
    with pytest.raises(CorruptFileError, match="cannot be rebuilt: KeyError"):
        Decoder({})._open_late({"!": "value"})
    with pytest.raises(CorruptFileError, match="not in the registry"):
        Decoder({})._open_late({"!": "value", "name": "os.system"})

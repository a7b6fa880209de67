"""Splitters inside scikit-learn: cross-validation, nesting, routing, parameters, errors before the
first fold."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    check_cv,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)

from sktrain import (
    AdaptiveLabeler,
    CombinatorialPurgedCV,
    EnhancedWalkForwardCV,
    RegimeDetector,
    TemporalSplitter,
)
from sktrain.exceptions import (
    InvalidSplitError,
    NotEnoughDataError,
    RegimeCoverageWarning,
    UnknownHorizonWarning,
)

PLAIN = {"ensure_regime_coverage": False, "min_samples_per_fold": 5, "embargo_bars": 2}
ALL = [
    TemporalSplitter(embargo_bars=2),
    EnhancedWalkForwardCV(3, **PLAIN),
    CombinatorialPurgedCV(4, 2, embargo_bars=2),
]


def name_of(cv):
    return type(cv).__name__


class Recorder(DummyClassifier):
    """Remembers the times it was fitted on and asked about."""

    seen = []

    def fit(self, X, y, sample_weight=None):
        self.times_ = X.index
        return super().fit(X, y)

    def predict(self, X):
        Recorder.seen.append((self.times_, X.index))
        return super().predict(X)


def far_apart(train, test, all_times, bars):
    """Whether at least ``bars`` unique times lie between the last training and the first tested
    time."""
    axis = all_times.unique().sort_values()
    return axis.get_loc(test.min()) - axis.get_loc(train.max()) >= bars


@pytest.fixture(scope="module")
def labelled(sp500):
    X, y = AdaptiveLabeler(horizon=5, base_threshold=0.5, scaling="sigma").fit_resample(
        sp500.iloc[:900]
    )
    return X, y


@pytest.mark.parametrize("cv", ALL, ids=name_of)
def test_scikit_learn_takes_them(cv, labelled):
    X, y = labelled
    assert check_cv(cv) is cv
    scores = cross_validate(DummyClassifier(), X, y, cv=cv, n_jobs=2)["test_score"]
    assert len(scores) == cv.get_n_splits() == len(list(cv.split(X, y)))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("cv", ALL, ids=name_of)
def test_they_are_objects_of_scikit_learn(cv, labelled):
    X, y = labelled
    before = pickle.dumps(cv)
    for again in (clone(cv), pickle.loads(before), cv.set_params(**cv.get_params())):
        for (a, b), (c, d) in zip(cv.split(X, y), again.split(X, y), strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)
    assert pickle.dumps(cv) == before, "split must leave the splitter untouched"
    assert "embargo_bars=2" in repr(cv)


def test_nested_search_through_attrs(labelled):
    """Inside an outer training fold, the inner splitter still knows the horizon: pandas carries
    it."""
    X, y = labelled
    Recorder.seen.clear()
    inner = EnhancedWalkForwardCV(2, **PLAIN)
    search = GridSearchCV(
        Recorder(), {"strategy": ["prior", "most_frequent"]}, cv=inner, refit=False
    )
    outer = list(EnhancedWalkForwardCV(3, **PLAIN).split(X, y))
    for train, _ in outer:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            search.fit(X.iloc[train], y.iloc[train])
    assert len(Recorder.seen) == 3 * 2 * 2
    for train, test in Recorder.seen:
        assert far_apart(train, test, X.index, 5 + 2)


@pytest.mark.parametrize("declare", [True, False])
def test_routing_carries_end_times_through_nested_search(labelled, declare):
    X, y = labelled
    y = pd.Series(y.to_numpy(), y.index)  # forgets the horizon
    ends = pd.Series(X.index[np.minimum(np.arange(len(X)) + 40, len(X) - 1)], index=X.index)
    inner, outer = EnhancedWalkForwardCV(2, **PLAIN), EnhancedWalkForwardCV(3, **PLAIN)
    Recorder.seen.clear()
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("error")
        if declare:
            inner.set_split_request(label_end_times=True)
            outer.set_split_request(label_end_times=True)
        search = GridSearchCV(Recorder(), {"strategy": ["prior", "uniform"]}, cv=inner)
        cross_validate(search, X, y, cv=outer, params={"label_end_times": ends})
    assert len(Recorder.seen) == 3 * (2 * 2 + 1)
    for train, test in Recorder.seen:
        assert far_apart(train, test, X.index, 40)


def test_groups_are_regimes(labelled):
    X, y = labelled
    groups = np.where(np.arange(len(X)) % 50 == 0, "rare", "usual")
    cv = EnhancedWalkForwardCV(3, min_samples_per_fold=5)
    routed = cross_val_score(DummyClassifier(), X, y, cv=cv, groups=groups)
    with sklearn.config_context(enable_metadata_routing=True):
        np.testing.assert_array_equal(
            cross_val_score(DummyClassifier(), X, y, cv=cv, params={"groups": groups}), routed
        )
    assert {"train_rows_rare", "test_rows_usual", "unseen_regimes", "missing_regimes"} <= set(
        cv.summary(X, y, groups=groups).columns
    )


def test_cross_val_predict_over_walk_forward_says_it_is_no_partition(labelled):
    X, y = labelled
    with pytest.raises(ValueError, match="partition"):
        cross_val_predict(DummyClassifier(), X, y, cv=EnhancedWalkForwardCV(3, **PLAIN))


@pytest.mark.parametrize("cv", ALL, ids=name_of)
def test_arrays_are_in_order_of_time(cv, labelled):
    X, y = labelled
    for (a, b), (c, d) in zip(
        cv.split(X, y),
        clone(cv).set_params(horizon=5).split(X.to_numpy(), y.to_numpy()),
        strict=True,
    ):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    ends = np.minimum(np.arange(len(X)) + 5, len(X) + 4)
    folds = cv.split(X.to_numpy(), y.to_numpy(), label_end_times=ends)
    assert all(len(train) for train, _ in folds)


@pytest.mark.parametrize("cv", ALL, ids=name_of)
def test_the_order_of_precedence(cv):
    """End times go before what y says; a longer horizon of the constructor purges more, a shorter
    one is refused."""
    X = pd.DataFrame({"x": range(200)}, pd.date_range("2020", periods=200))
    y = pd.Series(0, X.index)
    y.attrs["label_horizon"] = 9
    ends = X.index[np.minimum(np.arange(200) + 2, 199)]

    def gap(cv, **kwargs):
        train, test = next(iter(cv.split(X, y, **kwargs)))
        return len(X) - len(train) - len(test)

    assert gap(cv, label_end_times=ends) < gap(cv) < gap(clone(cv).set_params(horizon=12))
    assert gap(clone(cv).set_params(horizon=9)) == gap(cv)
    assert gap(clone(cv).set_params(horizon=5), label_end_times=ends) == gap(
        cv, label_end_times=ends
    )
    with pytest.raises(
        InvalidSplitError, match="horizon=5 bars is shorter than what y says, 9 bars"
    ):
        clone(cv).set_params(horizon=5).split(X, y)


@pytest.mark.parametrize("cv", ALL, ids=name_of)
def test_an_unknown_horizon_is_said(cv):
    with pytest.warns(UnknownHorizonWarning, match=name_of(cv)):
        cv.split(np.zeros((100, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(cv).set_params(horizon=0).split(np.zeros((100, 1)))


@pytest.mark.parametrize("cv", ALL, ids=name_of)
@pytest.mark.parametrize("name", ["horizon", "embargo_bars"])
@pytest.mark.parametrize("value", [-1, 2.0, True, np.nan, "3"])
def test_counts_are_counts(cv, name, value):
    with pytest.raises(ValueError, match=name):
        clone(cv).set_params(**{name: value}).split(np.zeros((100, 1)))


@pytest.mark.parametrize(
    "cv, name",
    [
        *[(EnhancedWalkForwardCV(n), "n_splits") for n in (0, -1, 3.0, True, None)],
        *[(EnhancedWalkForwardCV(test_size=n), "test_size") for n in (0, -1, 3.0, True)],
        *[(EnhancedWalkForwardCV(max_train_size=n), "max_train_size") for n in (0, 3.0, True)],
        *[
            (EnhancedWalkForwardCV(min_samples_per_fold=n), "min_samples_per_fold")
            for n in (0, 3.0, True)
        ],
        (EnhancedWalkForwardCV(window="sliding"), "window"),
        (EnhancedWalkForwardCV(ensure_regime_coverage=1), "ensure_regime_coverage"),
        (EnhancedWalkForwardCV(regime_detector="auto"), "regime_detector"),
        *[(CombinatorialPurgedCV(n), "n_blocks") for n in (0, 1, 3.0, True)],
        *[(CombinatorialPurgedCV(6, n), "n_test_blocks") for n in (0, 2.0, True, 6, 7)],
        (CombinatorialPurgedCV(40, 20), "137,846,528,820 folds"),
        *[
            (TemporalSplitter(r, 0.15, 0.15), "train_ratio")
            for r in (0, 1, -0.1, 0.8, np.nan, True, "0.7")
        ],
        (TemporalSplitter(0.7, 0.3, 0.3), "must be 1"),
        (TemporalSplitter(evaluate="train"), "evaluate"),
        (TemporalSplitter(0.7, 0.3, 0, evaluate="test"), "test_ratio > 0"),
    ],
)
def test_parameters_are_checked_in_the_call(cv, name):
    with pytest.raises(ValueError, match=name):
        cv.split(np.zeros((2000, 1)))


@pytest.mark.parametrize("n", [30, 110, 599, 700])
@pytest.mark.parametrize(
    "options", [{}, {"test_size": 100}, {"window": "rolling"}, {"embargo_bars": 0}]
)
def test_folds_that_cannot_be_filled_say_what_is_needed(n, options):
    cv = EnhancedWalkForwardCV(5, horizon=4, ensure_regime_coverage=False, **options)
    try:
        cv.split(np.zeros((n, 1)))
    except NotEnoughDataError as error:
        needed = int(str(error).split("folds need ")[1].split(" ")[0])
        assert needed > n
        cv.split(np.zeros((needed, 1)))
        with pytest.raises(NotEnoughDataError):
            cv.split(np.zeros((needed - 1, 1)))


@pytest.mark.parametrize("cv", ALL, ids=name_of)
@pytest.mark.parametrize(
    "X, y, kwargs, error, message",
    [
        (np.zeros((0, 1)), None, {}, NotEnoughDataError, "no rows"),
        (np.zeros((3, 1)), None, {}, NotEnoughDataError, "unique"),
        (np.zeros((100, 1)), np.zeros(99), {}, InvalidSplitError, "100 rows but y has 99"),
        (
            np.zeros((100, 1)),
            np.full(100, np.nan),
            {},
            NotEnoughDataError,
            "none of the 100 rows has a label",
        ),
        (
            np.zeros((100, 1)),
            None,
            {"label_end_times": np.arange(99)},
            InvalidSplitError,
            "99 values for 100 rows",
        ),
        (
            np.zeros((100, 1)),
            None,
            {"label_end_times": np.arange(100) - 1},
            ValueError,
            "row 0 ends before it starts",
        ),
        (
            np.zeros((100, 1)),
            None,
            {"label_end_times": np.arange(100.0)},
            InvalidSplitError,
            "integer row positions",
        ),
    ],
)
def test_rows_and_labels_are_checked_in_the_call(cv, X, y, kwargs, error, message):
    with pytest.raises(error, match=message):
        clone(cv).set_params(horizon=0).split(X, y, **kwargs)


@pytest.mark.parametrize("cv", ALL, ids=name_of)
def test_a_horizon_longer_than_the_data(cv):
    with pytest.raises(NotEnoughDataError, match="horizon=100 is longer than the data"):
        clone(cv).set_params(horizon=100).split(np.zeros((100, 1)))


@pytest.mark.parametrize("cv", ALL, ids=name_of)
def test_other_indexes_are_refused(cv):
    index = pd.date_range("2020", periods=100)
    X = pd.DataFrame({"x": 0.0}, index=index)
    with pytest.raises(InvalidSplitError, match="row 0 is 2020-01-01 00:00:00 in X and 2020-01-02"):
        cv.split(X, pd.Series(0, index + pd.Timedelta("1D")))
    with pytest.raises(InvalidSplitError, match="label_end_times"):
        cv.split(X, label_end_times=pd.Series(index, index=index[::-1]))
    with pytest.raises(ValueError, match="to_datetime"):
        cv.split(X.set_axis(index.astype(str)))


def test_three_way_needs_three_shares():
    with pytest.raises(InvalidSplitError, match="val_ratio > 0"):
        TemporalSplitter(0.8, 0, 0.2).three_way(np.zeros((100, 1)))
    ((train, test),) = TemporalSplitter(
        0.8, 0, 0.2, evaluate="test", horizon=0, embargo_bars=0
    ).split(np.zeros((100, 1)))
    assert (len(train), len(test)) == (80, 20)


def test_regimes_come_from_bars_or_not_at_all(labelled):
    X, y = labelled
    cv = EnhancedWalkForwardCV(3, min_samples_per_fold=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list(cv.split(X, y))
    detector = RegimeDetector().fit(X)
    groups = detector.transform(X).iloc[:, 0]
    for (a, b), (c, d) in zip(found, cv.split(X, y, groups=groups), strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    shuffled = X.sample(frac=1, random_state=0)
    for (_, b), (_, d) in zip(found, cv.split(shuffled, y[shuffled.index]), strict=True):
        assert set(X.index[b]) == set(shuffled.index[d])
    with pytest.warns(RegimeCoverageWarning, match="groups=regimes"):
        plain = list(cv.split(X[["close"]], y))
    sizes = {len(test) for _, test in plain}
    assert len(sizes) == 1


def test_shuffled_bars_without_a_history_have_the_same_regimes(us_stocks):
    X, y = AdaptiveLabeler().fit_resample(us_stocks)
    cv = EnhancedWalkForwardCV(4)
    X.attrs.clear()
    mixed = X.sample(frac=1, random_state=1)
    for (_, b), (_, d) in zip(cv.split(X, y), cv.split(mixed, y[mixed.index]), strict=True):
        assert set(X.index[b]) == set(mixed.index[d])


def test_a_detector_of_ones_own(labelled):
    X, y = labelled

    class Halves(RegimeDetector):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return pd.DataFrame({"regime": np.arange(len(X)) // 450}, index=X.index)

    detector = Halves()
    facts = EnhancedWalkForwardCV(3, min_samples_per_fold=5, regime_detector=detector).summary(X, y)
    assert {"train_rows_0", "test_rows_1"} <= set(facts.columns)
    assert not hasattr(detector, "lookback_")


@pytest.mark.parametrize("bars", ["sp500", "us_stocks"])
def test_moved_boundaries_cover_no_less(bars, request):
    """On bundled data, no more unseen or missing regimes than equal folds; on the index fewer."""
    X, y = AdaptiveLabeler(base_threshold=0.5, scaling="sigma").fit_resample(
        request.getfixturevalue(bars)
    )
    moved, equal = (
        EnhancedWalkForwardCV(ensure_regime_coverage=on).summary(X, y) for on in (True, False)
    )
    for name in ("unseen_regimes", "missing_regimes"):
        assert moved[name].sum() <= equal[name].sum()
    if bars == "sp500":
        assert moved["missing_regimes"].sum() < equal["missing_regimes"].sum()
    size = equal["test_times"].iloc[0]
    assert moved["test_times"].between(np.ceil(size / 2), np.floor(1.5 * size)).all()
    assert moved["test_end"].iloc[-1] == equal["test_end"].iloc[-1]
    assert moved["test_start"].iloc[0] == equal["test_start"].iloc[0]


def test_summary_tells_what_the_folds_hold(us_stocks):
    X, y = AdaptiveLabeler(horizon=4).fit_resample(us_stocks)
    cv = EnhancedWalkForwardCV(4, horizon=4)
    groups = np.where(X.index.get_level_values(1).year % 2, "odd", "even")
    facts = cv.summary(X, y, groups=groups)
    times = X.index.get_level_values(1)
    for row, (train, test) in zip(facts.itertuples(), cv.split(X, y, groups=groups), strict=True):
        assert (row.train_start, row.train_end) == (times[train].min(), times[train].max())
        assert (row.test_start, row.test_end) == (times[test].min(), times[test].max())
        assert (row.train_size, row.test_size) == (len(train), len(test))
        assert (row.train_times, row.test_times) == (times[train].nunique(), times[test].nunique())
        assert row.train_size + row.purged + row.embargoed == (times < row.test_start).sum()
        assert row.train_rows_odd == (groups[train] == "odd").sum()
        assert row.test_rows_even == (groups[test] == "even").sum()
        for label in (0, 1, 2):
            assert getattr(row, f"train_share_{label}") == pytest.approx(
                (y.iloc[train] == label).mean()
            )
            assert getattr(row, f"test_share_{label}") == pytest.approx(
                (y.iloc[test] == label).mean()
            )
    assert len(TemporalSplitter().summary(X, y)) == 1
    assert len(CombinatorialPurgedCV().summary(X, y)) == 15


def test_summary_of_rows_without_times():
    facts = EnhancedWalkForwardCV(2, horizon=1, **PLAIN).summary(np.zeros((60, 2)))
    assert facts["test_start"].tolist() == [20, 40]
    assert facts["test_end"].tolist() == [39, 59]


def test_times_keep_their_zone():
    X = pd.DataFrame({"x": 0.0}, index=pd.date_range("2020", periods=60, tz="Asia/Tokyo"))
    facts = EnhancedWalkForwardCV(2, horizon=1, **PLAIN).summary(X)
    assert facts["test_start"].iloc[0] == X.index[20]
    assert str(facts["test_start"].iloc[0].tz) == "Asia/Tokyo"


def test_generate_folds_gives_frames(sp500):
    cv = EnhancedWalkForwardCV(n_splits=5)
    folds = cv.generate_folds(sp500, horizon=3)
    assert len(folds) == 5
    for train, test in folds:
        assert isinstance(train, pd.DataFrame)
        assert far_apart(train.index, test.index, sp500.index, 3 + 10)
        assert test.attrs["history"] is sp500.attrs["history"]
    assert folds[-1][1].index[-1] == sp500.index[-1]
    with pytest.raises(ValueError, match="horizon"):
        cv.generate_folds(sp500, horizon=0.5)


def test_rolling_windows_keep_their_length():
    X = np.zeros((1000, 1))
    cv = EnhancedWalkForwardCV(4, window="rolling", horizon=3, ensure_regime_coverage=False)
    lengths = {len(train) for train, _ in cv.split(X)}
    assert lengths == {200 - 3 - 10}
    limited = cv.set_params(max_train_size=120)
    assert {len(train) for train, _ in limited.split(X)} == {120}
    assert [train[-1] + 14 for train, _ in limited.split(X)] == [
        test[0] for _, test in limited.split(X)
    ]


@pytest.mark.parametrize("n, k, splits, paths", [(6, 2, 15, 5), (10, 2, 45, 9), (5, 2, 10, 4)])
def test_how_many_combinations_and_paths(n, k, splits, paths):
    cv = CombinatorialPurgedCV(n, k)
    table = cv.paths()
    assert cv.get_n_splits() == splits
    assert cv.get_n_paths() == paths
    assert table.shape == (paths, n)
    tested = [
        test
        for _, test in CombinatorialPurgedCV(n, k, horizon=0, embargo_bars=0).split(
            np.zeros((n, 1))
        )
    ]
    for path in table:
        assert all(block in tested[fold] for block, fold in enumerate(path))
    # each prediction used once
    assert len({(block, fold) for path in table for block, fold in enumerate(path)}) == paths * n


def test_paths_put_predictions_where_they_belong(labelled):
    X, y = labelled
    y = y.astype(float).copy()
    y.iloc[[5, 300, 700]] = np.nan
    cv = CombinatorialPurgedCV(6, 2)
    folds = list(cv.split(X, y))
    told = cv.path_predictions(
        [np.column_stack([np.full(len(test), fold), test]) for fold, (_, test) in enumerate(folds)],
        X,
        y,
    )
    assert told.shape == (5, len(X), 2)
    known = y.notna().to_numpy()
    assert np.isnan(told[:, ~known]).all()
    assert (told[:, known, 1] == np.flatnonzero(known)).all()
    blocks = np.array_split(np.arange(len(X)), 6)
    for path, told_by in zip(told, cv.paths(), strict=True):
        for block, fold in zip(blocks, told_by, strict=True):
            assert set(path[block][known[block], 0]) == {fold}
    words = cv.path_predictions([np.full(len(test), "buy") for _, test in folds], X, y)
    assert words[0, 5] is None
    assert words[0, 6] == "buy"


def test_paths_score_a_model(labelled):
    X, y = labelled
    cv = CombinatorialPurgedCV(5, 2)
    features = pd.DataFrame({"r": X["close"].pct_change().fillna(0)}, index=X.index)
    found = [
        LogisticRegression().fit(features.iloc[a], y.iloc[a]).predict(features.iloc[b])
        for a, b in cv.split(features, y)
    ]
    assert cv.path_predictions(found, features, y).shape == (4, len(X))


def test_wrong_predictions_are_named(labelled):
    X, y = labelled
    cv = CombinatorialPurgedCV(4, 1)
    parts = [np.zeros(len(test)) for _, test in cv.split(X, y)]
    with pytest.raises(InvalidSplitError, match="got 3 for 4 folds"):
        cv.path_predictions(parts[:3], X, y)
    with pytest.raises(InvalidSplitError, match="predictions of fold 2"):
        cv.path_predictions([*parts[:2], parts[2][:-1], parts[3]], X, y)


def test_a_fold_that_purging_empties_is_said_in_the_call():
    with pytest.raises(NotEnoughDataError, match="Fold 0 has no training rows"):
        CombinatorialPurgedCV(3, 1, horizon=20, embargo_bars=20).split(np.zeros((30, 1)))
    with pytest.raises(NotEnoughDataError, match=r"block stays empty.*unique times are needed"):
        TemporalSplitter(horizon=10).split(np.zeros((25, 1)))


def test_advice_names_the_test_size_only_where_one_was_given():
    few, size = np.zeros((60, 1)), "a shorter test_size than 10"
    for test_size, told in ((None, False), (10, True)):
        cv = EnhancedWalkForwardCV(3, test_size=test_size, **{**PLAIN, "embargo_bars": 50})
        with pytest.raises(NotEnoughDataError, match="Use more rows, fewer n_splits") as caught:
            cv.set_params(horizon=1).split(few)
        assert (size in str(caught.value)) is told
        assert ("embargo_bars" in str(caught.value)) is not told


@pytest.mark.parametrize("horizon", [-1, 2.5, True, "-1D"])
def test_folds_of_bars_refuse_a_horizon_that_looks_back(horizon, sp500):
    with pytest.raises(ValueError, match=r"^horizon must be"):
        EnhancedWalkForwardCV(3, **PLAIN).generate_folds(sp500.iloc[:90], horizon)


def test_too_many_groups_are_no_regimes():
    with pytest.raises(InvalidSplitError, match="2,000 different values"):
        EnhancedWalkForwardCV(2, horizon=0).split(np.zeros((2000, 1)), groups=np.arange(2000))
    with pytest.raises(InvalidSplitError, match="groups has 3 values"):
        EnhancedWalkForwardCV(2, horizon=0).split(np.zeros((2000, 1)), groups=[1, 2, 3])


@pytest.mark.parametrize("coverage", [True, False])
def test_groups_of_another_length_are_refused_with_and_without_coverage(coverage):
    cv = EnhancedWalkForwardCV(
        2, horizon=0, embargo_bars=0, min_samples_per_fold=5, ensure_regime_coverage=coverage
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InvalidSplitError, match="groups has 3 values for 200 rows"):
            cv.split(np.zeros((200, 1)), groups=[1, 2, 3])


def test_regimes_are_groups_as_the_detector_gives_them(labelled):
    X, y = labelled
    cv = EnhancedWalkForwardCV(3, min_samples_per_fold=20)
    regimes = RegimeDetector(lookback=20).fit_transform(X)
    found, expected = (
        cv.summary(X, y, groups=groups) for groups in (regimes, regimes.iloc[:, 0])
    )
    pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(InvalidSplitError, match="one regime for each row, got shape"):
        cv.split(X, y, groups=np.zeros((len(X), 2)))
    with pytest.raises(InvalidSplitError, match="X and groups have different indexes"):
        cv.split(X, y, groups=regimes.iloc[::-1, 0])


def test_groups_that_name_symbols_are_told_from_regimes():
    index = pd.MultiIndex.from_product(
        [["A", "B", "C"], pd.bdate_range("2020", periods=120)], names=["symbol", "time"]
    )
    X = pd.DataFrame({"x": np.zeros(360)}, index)
    cv = EnhancedWalkForwardCV(2, horizon=0, embargo_bars=0, min_samples_per_fold=5)
    with pytest.warns(
        RegimeCoverageWarning,
        match="groups change 0 times within 3 symbols, as if they named the symbols",
    ):
        cv.split(X, groups=index.get_level_values(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cv.split(X, groups=index.get_level_values(1).month % 2)
        cv.split(X, groups=np.zeros(360))


@pytest.mark.parametrize("cv", ALL, ids=name_of)
def test_groups_that_are_ignored_are_named(cv):
    X, groups = np.zeros((120, 1)), np.arange(120) % 2
    with pytest.warns(UserWarning, match=f"The groups parameter is ignored by {name_of(cv)}"):
        clone(cv).set_params(horizon=0).split(X, groups=groups)

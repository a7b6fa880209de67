"""Label time inside everything that may hold a splitter or a net: no span that trains meets one
that is tested."""

from collections import defaultdict
from inspect import signature
import warnings

from imblearn.over_sampling import ADASYN, SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_selection import RFECV, SequentialFeatureSelector
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    CombinatorialPurgedCV,
    CompressedClassifier,
    EnhancedWalkForwardCV,
    MLPNetClassifier,
    OptunaSearchCV,
    SlidingWindow,
    WindowSMOTE,
)
from sktrain._validation import label_spans
from sktrain.datasets import load_us_stocks
from sktrain.exceptions import ResamplingWarning, UnknownHorizonWarning
from sktrain.persistence import read_manifest, save

HORIZON = 6
PLAIN = {"embargo_bars": 2, "min_samples_per_fold": 20, "ensure_regime_coverage": False}


@pytest.fixture(scope="module")
def rows():
    """A panel of three stocks as features, their labels, and the end of every label."""
    bars = load_us_stocks()
    names = bars.index.get_level_values(0).unique()[:3]
    X, y = AdaptiveLabeler(HORIZON, 0.5, scaling="sigma").fit_resample(
        bars.loc[names].groupby(level=0).head(400)
    )
    features = BarFeatures(windows=(5,)).fit(X).transform(X).fillna(0.0).iloc[:, :6]
    features.attrs.pop("history")
    return features, y, pd.DatetimeIndex(label_spans(features, y)[0].end)


@pytest.fixture
def net():
    return MLPNetClassifier(max_epochs=1, module__hidden_size=4, random_state=0, verbose=0)


def clean(X, y, ends, train, test, embargo=0):
    """No pair of spans meets, and ``embargo`` unique times stand between them; by a loop over the
    tested block."""
    times = X.index.get_level_values(-1)
    first, latest = times[test].min(), ends[test].max()
    axis = np.unique(times)
    for row in train:
        before = times[row] < first
        between = (
            ((axis > ends[row]) & (axis < first))
            if before
            else ((axis > latest) & (axis < times[row]))
        )
        assert ends[row] < first if before else times[row] > latest
        assert between.sum() >= embargo


class Keeper(ClassifierMixin, BaseEstimator):
    """Remembers, by the first feature, the rows it was trained and asked on."""

    seen = defaultdict(list)
    coef_ = np.ones((1, 6))

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.rows_ = np.asarray(X)[:, 0]
        self.coef_ = np.ones((1, np.shape(X)[1]))
        return self

    def predict(self, X):
        self.seen["folds"].append((self.rows_, np.asarray(X)[:, 0]))
        return np.full(len(X), self.classes_[0])

    def predict_proba(self, X):
        self.predict(X)
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


@pytest.fixture
def numbered(rows):
    X, y, ends = rows
    Keeper.seen.clear()
    return X.assign(**{X.columns[0]: np.arange(len(X), dtype=float)}), y, ends


STRIPPING = {
    "RFECV": lambda cv: RFECV(Keeper(), cv=cv, min_features_to_select=5),
    "SequentialFeatureSelector": lambda cv: SequentialFeatureSelector(
        Keeper(), cv=cv, n_features_to_select=1
    ),
    "GridSearchCV": lambda cv: GridSearchCV(Keeper(), {}, cv=cv),
}


@pytest.mark.parametrize("name", STRIPPING)
def test_estimators_that_strip_the_index_split_by_routed_times(name, numbered):
    X, y, ends = numbered
    cv = EnhancedWalkForwardCV(3, **PLAIN)
    order = np.random.default_rng(0).permutation(len(X))
    X, y, ends = X.iloc[order], y.iloc[order], ends[order]
    X[X.columns[0]] = np.arange(len(X), dtype=float)
    with sklearn.config_context(enable_metadata_routing=True):
        STRIPPING[name](cv).fit(X, y.to_numpy(), times=X.index, label_end_times=ends)
    folds = [
        (a, b)
        for a, b in Keeper.seen["folds"]
        if len(b) < len(X) and (np.diff(a) > 0).all() and a.max() > len(a) - 1
    ]
    assert folds
    for train, test in folds:
        if np.equal(np.mod(train, 1), 0).all() and len(np.unique(train)) == len(train):
            clean(X, y, ends, train.astype(int), test.astype(int), embargo=2)


def test_logistic_regression_cv_splits_by_routed_times(rows):
    """Its scores equal those of the same folds given as index pairs."""
    X, y, ends = rows
    cv = EnhancedWalkForwardCV(3, **PLAIN)
    pairs = list(cv.split(X, y))
    options = {"Cs": [0.1, 1.0], "max_iter": 300}
    # scikit-learn 1.8 and newer
    if "use_legacy_attributes" in signature(LogisticRegressionCV).parameters:
        options |= {"l1_ratios": (0,), "use_legacy_attributes": False}
    with sklearn.config_context(enable_metadata_routing=True):
        routed = LogisticRegressionCV(cv=cv, **options).fit(
            X, y.to_numpy(), times=X.index, label_end_times=ends
        )
    fixed = LogisticRegressionCV(cv=pairs, **options).fit(X, y.to_numpy())
    for one, other in zip(_per_class(routed.scores_), _per_class(fixed.scores_), strict=True):
        np.testing.assert_allclose(one, other)


def _per_class(scores):
    """Arrays of scores; scikit-learn before 1.8 keeps them in a dict by class."""
    return list(scores.values()) if isinstance(scores, dict) else [scores]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_nested_validation_purges_inside_and_outside(rows, n_jobs):
    X, y, ends = rows
    cv = EnhancedWalkForwardCV(2, **PLAIN)
    inner = EnhancedWalkForwardCV(2, **{**PLAIN, "min_samples_per_fold": 10})
    for train, test in cv.split(X, y):
        clean(X, y, ends, train, test, embargo=2)
        for sub, held in inner.split(X.iloc[train], y.iloc[train]):
            clean(X.iloc[train], y.iloc[train], ends[train], sub, held, embargo=2)
    search = GridSearchCV(
        DummyClassifier(), {"strategy": ["prior", "stratified"]}, cv=inner, n_jobs=n_jobs
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnknownHorizonWarning)
        cross_validate(search, X, y, cv=cv, n_jobs=n_jobs, error_score="raise")


def validated(net, X, y, ends):
    """The net's own validation block is purged by what the labels say."""
    block = net.validation_
    assert block.valid is not None
    clean(X, y, ends, block.train, block.valid)
    times = X.index.get_level_values(-1)
    expected = [
        row
        for row in range(len(X))
        if row not in set(block.valid) and ends[row] < times[block.valid].min()
    ]
    assert sorted(block.train) == expected  # nothing more is purged either


WRAPPED = {
    "alone": (lambda net: net, lambda fitted: [fitted]),
    "vote": (
        lambda net: VotingClassifier([("net", net), ("other", DummyClassifier())], voting="soft"),
        lambda fitted: fitted.estimators_[:1],
    ),
    "stacking": (
        lambda net: StackingClassifier(
            [("net", net)], cv=CombinatorialPurgedCV(4, 1), final_estimator=LogisticRegression()
        ),
        lambda fitted: fitted.estimators_,
    ),
    "one against the rest": (
        lambda net: OneVsRestClassifier(net),
        lambda fitted: fitted.estimators_,
    ),
    "pipeline": (lambda net: make_pipeline("passthrough", net), lambda fitted: [fitted[-1]]),
    "search": (
        lambda net: OptunaSearchCV(
            net,
            {"lr": [0.01, 0.02]},
            n_trials=2,
            cv=EnhancedWalkForwardCV(2, **PLAIN),
            random_state=0,
        ),
        lambda fitted: [fitted.best_estimator_],
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_nets_are_told_whatever_holds_them(name, rows, net):
    X, y, ends = rows
    wrap, nets = WRAPPED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnknownHorizonWarning)
        fitted = wrap(net).fit(X, y)
    for part in nets(fitted):
        validated(part, X, y, ends)


def test_a_net_that_is_told_nothing_says_so(rows, net):
    X, y, _ = rows
    with pytest.warns(UnknownHorizonWarning, match="not purged"):
        BaggingClassifier(net, n_estimators=1, random_state=0).fit(X, y)  # hands an array on
    with pytest.warns(UnknownHorizonWarning, match="not purged"):
        net.fit(X.to_numpy(), y.to_numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.set_params(horizon=0).fit(X.to_numpy(), y.to_numpy())


def test_routed_times_reach_a_net(rows, net):
    X, y, ends = rows
    net.fit(X.to_numpy(), y.to_numpy(), times=X.index, label_end_times=ends)
    validated(net, X, y, ends)


def test_compression_purges_by_what_the_labels_say(rows, net):
    X, y, ends = rows
    model = CompressedClassifier(net, sparsity=0.3, bits=8, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnknownHorizonWarning)
        model.fit(X, y)
        cross_val_score(model, X, y, cv=EnhancedWalkForwardCV(2, **PLAIN), error_score="raise")


@pytest.mark.parametrize(
    "sampler",
    [SMOTE(random_state=0), RandomOverSampler(random_state=0), ADASYN(random_state=0)],
    ids=lambda s: type(s).__name__,
)
@pytest.mark.parametrize("horizon", [None, HORIZON])
def test_no_net_validates_on_synthetic_rows_in_silence(sampler, horizon, rows, net):
    X, y, _ = rows
    X, y = X.loc[X.index.levels[0][0]], y.loc[y.index.levels[0][0]]
    rare = (y == 2) & (np.arange(len(y)) % 3 == 0)
    y = rare.astype(int)
    with pytest.warns(ResamplingWarning, match="WindowSMOTE"):
        model = make_imblearn_pipeline(sampler, net.set_params(horizon=horizon)).fit(X, y)
    assert model[-1].validation_.valid is None


@pytest.mark.parametrize("lazy", [True, False])
def test_window_smote_keeps_times_and_validates_on_real_rows(lazy, rows, net):
    X, y, _ = rows
    X, y = X.loc[X.index.levels[0][0]], y.loc[y.index.levels[0][0]]
    ends = pd.DatetimeIndex(label_spans(X, y)[0].end)
    sampler = WindowSMOTE(random_state=0)
    steps = ([SlidingWindow(4)] if lazy else []) + [sampler, net]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnknownHorizonWarning)
        model = make_imblearn_pipeline(*steps).fit(X, y)
    block, made = model[-1].validation_, model[-2].synthetic_
    assert block.valid is not None
    assert not made[block.valid].any()
    origin = np.cumsum(~made) - 1  # a synthetic row follows the row it stands for
    assert (ends[origin[block.train]] < X.index[origin[block.valid]].min()).all()
    assert made[block.train].any()


def test_a_saved_net_says_what_its_labels_looked_ahead(tmp_path, rows, net):
    X, y, _ = rows
    for model in (net, make_pipeline("passthrough", net), VotingClassifier([("net", net)])):
        save(model.fit(X, y), tmp_path / "model.sktrain", probe=None)
        assert read_manifest(tmp_path / "model.sktrain")["label_horizon"] == HORIZON


def test_no_future_of_a_symbol_that_trades_rarely(rows):
    """Labels at the end of a delisted symbol are known when its last bar is, however many days that
    takes."""
    bars = load_us_stocks()
    names = bars.index.get_level_values(0).unique()[:2]
    often, rarely = (bars.xs(name, level=0).iloc[:300] for name in names)
    panel = pd.concat({"A": often, "B": rarely.iloc[:200:5]}, names=["symbol", "time"])
    X, y = AdaptiveLabeler(HORIZON, 0.01).fit_resample(panel)
    ends = pd.DatetimeIndex(label_spans(X, y)[0].end)
    for train, test in EnhancedWalkForwardCV(3, **PLAIN).split(X, y):
        clean(X, y, ends, train, test, embargo=2)
    bare = X.copy()
    bare.attrs = {}
    assert (pd.DatetimeIndex(label_spans(bare, y)[0].end) == ends).all()

"""Rows that a resampler made: never tested, trained on only beside both of their parents, and no
bars that a horizon could count. The folds of the rows before resampling are the oracle."""

import pickle
import warnings

from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import _safe_indexing

import sktrain as st
from sktrain._validation import resampled_rows
from sktrain.exceptions import ResamplingWarning, UnknownHorizonWarning
from sktrain.resample import ResampledClassifier
from sktrain.testing import make_bars

HORIZON = 6
CVS = {
    "walk-forward": lambda **span: st.EnhancedWalkForwardCV(
        3, min_samples_per_fold=20, ensure_regime_coverage=False, embargo_bars=2, **span
    ),
    "combinatorial": lambda **span: st.CombinatorialPurgedCV(5, 2, embargo_bars=2, **span),
    "temporal": lambda **span: st.TemporalSplitter(embargo_bars=2, **span),
}
every_cv = pytest.mark.parametrize("cv", CVS.values(), ids=CVS)


def table(n=400, seed=0):
    """Features without any signal, and labels of which one is rare."""
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2018", periods=n + HORIZON)
    X = pd.DataFrame(rng.normal(size=(n, 3)), days[:n], list("abc"))
    y = pd.Series((rng.random(n) < 0.15).astype(int), days[:n])
    return X, st.with_label_times(y, end_times=days[HORIZON:])


def panel():
    X, y = table()
    rows = pd.MultiIndex.from_arrays([np.arange(len(X)) % 2, X.index], names=["symbol", "time"])
    ends = y.index + pd.Timedelta("10D")
    return X.set_axis(rows), st.with_label_times(y.set_axis(rows), end_times=ends)


def arrays():
    X, y = table()
    return X.to_numpy(), y.to_numpy()


def numbered():
    X, y = table()
    return X.reset_index(drop=True), y.set_axis(pd.RangeIndex(len(y))).rename("y")


KINDS = {"frame": table, "panel": panel, "arrays": arrays, "numbered": numbered}
SAMPLERS = {"WindowSMOTE": lambda X, y: st.WindowSMOTE(random_state=0).fit_resample(X, y)}
SAMPLERS["apply_smote"] = lambda X, y: st.apply_smote(X, y, random_state=0)


def made_from(X, Xr):
    """For every resampled row the row of ``X`` that it equals; -1 where it was made."""
    places = {row.tobytes(): place for place, row in enumerate(np.asarray(X, dtype=np.float64))}
    return np.array([places.get(row.tobytes(), -1) for row in np.asarray(Xr, dtype=np.float64)])


@every_cv
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_folds_are_those_of_the_rows_before_resampling(kind, sampler, cv):
    kind, sampler = KINDS[kind], SAMPLERS[sampler]
    if sampler is SAMPLERS["apply_smote"] and kind in (table, panel):
        kind = numbered  # its frames have a fresh index, and no times to find label ends by
    X, y = kind()
    cv = cv() if kind in (table, panel) else cv(horizon=HORIZON)
    Xr, yr = sampler(X, y)
    real = made_from(X, Xr)
    n_made = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a made row is no symbol without a name
        folds = list(cv.split(Xr, yr))
    for (train, test), (train_of_real, test_of_real) in zip(folds, cv.split(X, y), strict=True):
        assert (real[test] >= 0).all()
        assert sorted(real[test]) == test_of_real.tolist()
        assert sorted(real[train][real[train] >= 0]) == train_of_real.tolist()
        n_made += (real[train] < 0).sum()
    assert n_made > 100  # what may train does


@every_cv
def test_a_made_row_trains_beside_both_of_its_parents(cv):
    X, y = table()
    smote = st.WindowSMOTE(random_state=0)
    Xr, yr = smote.fit_resample(X, y)
    parents = dict(zip(np.flatnonzero(smote.synthetic_), smote.parents_))
    for train, _ in cv().split(Xr, yr):
        here = set(smote.origin_[train[~smote.synthetic_[train]]])
        made = train[smote.synthetic_[train]]
        assert all(here.issuperset(parents[row]) for row in made)
        if isinstance(cv(), st.CombinatorialPurgedCV):  # and every such row does
            kept = {row for row, pair in parents.items() if here.issuperset(pair)}
            assert kept == set(made)


@every_cv
@pytest.mark.parametrize("kind", [table, numbered])
def test_folds_inside_of_folds_know_them_too(kind, cv):
    X, y = kind()
    span = {} if kind is table else {"horizon": HORIZON}
    Xr, yr = st.WindowSMOTE(random_state=0).fit_resample(X, y)
    real = made_from(X, Xr)
    outer = next(iter(CVS["walk-forward"](**span).set_params(n_splits=1).split(Xr, yr)))[0]
    inner = pickle.loads(pickle.dumps(yr.iloc[outer]))
    n_made = 0
    for train, test in cv(**span).split(Xr.iloc[outer], inner):
        assert (real[outer[test]] >= 0).all()
        n_made += (real[outer[train]] < 0).sum()
    assert n_made > 0 or isinstance(cv(), st.CombinatorialPurgedCV)


def test_rows_that_hide_which_were_made_are_said():
    X, y = table()
    Xr, yr = st.WindowSMOTE(random_state=0).fit_resample(X, y)
    order = np.random.default_rng(0).permutation(len(Xr))
    with pytest.warns(ResamplingWarning, match="can no longer be told"):
        list(CVS["walk-forward"]().split(Xr.iloc[order], yr.iloc[order]))


@pytest.mark.parametrize("kind", [table, arrays])
@pytest.mark.parametrize("sampler", [st.WindowSMOTE, RandomOverSampler])
@pytest.mark.parametrize("cv", [CVS["walk-forward"], CVS["combinatorial"]])
def test_noise_scores_as_noise_behind_a_resampler(kind, sampler, cv):
    X, y = kind()
    folds = cv() if kind is table else cv(horizon=HORIZON)
    search = GridSearchCV(
        KNeighborsClassifier(), {"n_neighbors": [1]}, cv=folds, scoring="balanced_accuracy"
    )
    found = ResampledClassifier(search, sampler(random_state=0)).fit(X, y).estimator_
    assert abs(found.best_score_ - 0.5) < 0.08  # .62 to 1.0 where made rows are tested
    if sampler is st.WindowSMOTE:
        again = make_pipeline(sampler(random_state=0), search).fit(X, y)[-1]
        assert again.best_score_ == found.best_score_
        before = sampler(random_state=0).fit_resample(X, y)
        if kind is table:
            scores = cross_val_score(search.estimator, *before, cv=folds)
            assert scores.mean() < y.value_counts(normalize=True).max() + 0.05


def test_a_net_behind_arrays_validates_on_bars_not_on_made_rows():
    X, y = arrays()
    net = st.MLPNetClassifier(max_epochs=1, horizon=HORIZON, random_state=0)
    for model in (
        ResampledClassifier(net, st.WindowSMOTE(random_state=0)),
        make_pipeline(st.WindowSMOTE(random_state=0), net),
    ):
        model.fit(X, y)
        if isinstance(model, ResampledClassifier):
            sampler, fitted = model.sampler_, model.estimator_
        else:
            sampler, fitted = model
        block = fitted.validation_
        assert not sampler.synthetic_[block.valid].any()
        gap = sampler.origin_[block.valid].min() - sampler.origin_[block.train].max()
        assert gap == HORIZON + 1


def test_marked_labels_travel():
    _, y = st.WindowSMOTE(random_state=0).fit_resample(*arrays())
    opened = pickle.loads(pickle.dumps(y))
    assert opened.attrs["synthetic"] == y.attrs["synthetic"]
    np.testing.assert_array_equal(opened.attrs["synthetic"].parents, y.attrs["synthetic"].parents)


@pytest.mark.parametrize("kind", [numbered, arrays])
def test_folds_of_labels_keep_the_mark(kind):
    """Rows of a fold know which of them were made, and from which of its rows."""
    smote = st.WindowSMOTE(random_state=0)
    _, y = smote.fit_resample(*kind())
    whole, rows, part = resampled_rows(y), np.arange(len(y)), y
    for seed in range(2):  # a fold, and a fold of its rows
        kept = np.sort(np.random.default_rng(seed).choice(len(rows), len(rows) // 2, replace=False))
        rows, part = rows[kept], pickle.loads(pickle.dumps(_safe_indexing(part, kept)))
        found, place = resampled_rows(part), {row: at for at, row in enumerate(rows)}
        parents = [[place.get(parent, -1) for parent in whole.parents[row]] for row in rows]
        assert found.synthetic.tolist() == smote.synthetic_[rows].tolist()
        assert found.parents.tolist() == parents
        assert found.origin.tolist() == whole.origin[rows].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_the_validator_refuses_folds_that_test_made_rows(kind):
    X, y = KINDS[kind]()
    smote = st.WindowSMOTE(random_state=0)
    Xr, yr = smote.fit_resample(X, y)
    report = st.LeakageValidator().check_split(KFold(3), Xr, yr)
    found = {finding.code: finding for finding in report.findings}["resampled_rows"]
    folds = list(KFold(3).split(Xr))
    here = [set(smote.origin_[train[~smote.synthetic_[train]]]) for train, _ in folds]
    parents = dict(zip(np.flatnonzero(smote.synthetic_), smote.parents_))
    lone = sum(
        not known.issuperset(parents[row])
        for known, (train, _) in zip(here, folds)
        for row in train[smote.synthetic_[train]]
    )
    assert found.evidence["tested"] == smote.synthetic_.sum()
    assert found.evidence["trained_without_parents"] == lone
    assert report.checks["duplicates"] == "FAIL"
    own = CVS["walk-forward"](**({} if kind in ("frame", "panel") else {"horizon": HORIZON}))
    assert st.LeakageValidator().check_split(own, Xr, yr).status != "FAIL"


def test_a_compressed_net_behind_a_resampler_of_arrays_knows_the_rows():
    """Label ends are positions of rows before resampling, at any depth."""
    X, y = arrays()
    ends = np.arange(len(y)) + HORIZON
    net = st.MLPNetClassifier(max_epochs=1, random_state=0)
    small = st.CompressedClassifier(net, max_score_drop=1.0)
    model = ResampledClassifier(small, st.WindowSMOTE(random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnknownHorizonWarning)
        fitted = model.fit(X, y, label_end_times=ends)
        again = model.set_params(estimator__horizon=HORIZON).fit(X, y)
    np.testing.assert_array_equal(fitted.predict_proba(X), again.predict_proba(X))


@pytest.mark.parametrize("search", [False, True])
def test_features_of_made_bars_are_refused_by_name(search):
    bars, y = st.AdaptiveLabeler(horizon=3).fit_resample(make_bars(400, random_state=0))
    y = st.with_label_times(y.where(y != 2, 0), like=y)
    model = make_pipeline(st.BarFeatures(windows=(5,)), KNeighborsClassifier())
    if search:
        folds = CVS["walk-forward"]()
        model = GridSearchCV(model, {"kneighborsclassifier__n_neighbors": [1]}, cv=folds)
    with pytest.raises(ValueError, match="was made by a resampler .* Resample after the features"):
        ResampledClassifier(model, st.WindowSMOTE(random_state=0)).fit(bars, y)

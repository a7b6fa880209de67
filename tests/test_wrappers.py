"""What a wrapper answers to input that what it wraps cannot take: one sentence that names it, never
an obscure error from inside; and a step that drops the index costs a pipeline nothing but the
index.
"""

from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array, csr_matrix
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sktrain as st
from sktrain.datasets import load_sp500
from sktrain.ensemble import PooledClassifier
from sktrain.exceptions import ResamplingWarning, SktrainError
from sktrain.resample import ResampledClassifier

HORIZON = 3


def net(**changes):
    small = {"max_epochs": 1, "module__hidden_size": 4, "module__n_layers": 1, "batch_size": 64}
    return st.MLPNetClassifier(**{"random_state": 0, **small, **changes})


def folds(n=2):
    return st.EnhancedWalkForwardCV(n, min_samples_per_fold=20, ensure_regime_coverage=False)


def search(estimator, **changes):
    settings = {"n_trials": 2, "cv": folds(), "random_state": 0, **changes}
    return st.OptunaSearchCV(estimator, {"lr": [1e-3, 1e-2]}, **settings)


WRAPPERS = {
    "OptunaSearchCV": lambda **seed: search(net(**seed)),
    "CompressedClassifier": lambda **seed: st.CompressedClassifier(net(**seed), sparsity=0.3),
    "DriftGuard": lambda **seed: st.DriftGuard(net(**seed), on_drift="warn"),
    "ResampledClassifier": lambda **seed: ResampledClassifier(net(**seed), st.WindowSMOTE()),
    "PooledClassifier": lambda **seed: PooledClassifier([("a", net(**seed)), ("b", net(lr=0.01))]),
    "WindowSMOTE": lambda **seed: Pipeline([("s", st.WindowSMOTE()), ("net", net(**seed))]),
}
every_wrapper = pytest.mark.parametrize("name", WRAPPERS)


@pytest.fixture(scope="module")
def table():
    X = np.random.default_rng(0).normal(size=(160, 4))
    return X, (X[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def market():
    labeler = st.AdaptiveLabeler(horizon=HORIZON, base_threshold=0.5, scaling="sigma")
    bars, y = labeler.fit_resample(load_sp500().iloc[-300:])
    return st.BarFeatures(windows=(5,)).fit_transform(bars), y


def with_text(X):
    return np.where(np.arange(X.size).reshape(X.shape) == 5, "abc", X.astype(object))


def with_times(X):
    times = pd.date_range("2020", periods=len(X))
    return pd.DataFrame(X, columns=list("abcd")).assign(when=times)


BAD = {
    "sparse matrix": (lambda X, y: (csr_matrix(X), y), "Sparse data was passed"),
    "sparse array": (lambda X, y: (csr_array(X), y), "Sparse data was passed"),
    "no labels": (lambda X, y: (X, None), "requires y to be passed, but the target y is None"),
    "one class": (lambda X, y: (X, np.zeros_like(y)), "one class 0"),
    "text": (lambda X, y: (with_text(X), y), "could not convert string to float: 'abc'"),
    "times as a column": (lambda X, y: (with_times(X), y), "column 'when'"),
    "too few labels": (lambda X, y: (X, y[1:]), "inconsistent numbers of samples"),
    "two columns of labels": (lambda X, y: (X, np.c_[y, y]), "1d array|multioutput|single output"),
}


@every_wrapper
@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("ignore::sktrain.exceptions.UnknownHorizonWarning")
def test_input_that_the_inside_cannot_take_is_named_in_the_first_line(name, kind, table):
    spoil, words = BAD[kind]
    with pytest.raises((ValueError, TypeError)) as caught:
        WRAPPERS[name]().fit(*spoil(*table))
    first = str(caught.value).lstrip().splitlines()[0]
    assert pd.Series([first]).str.contains(words).all(), first


@pytest.mark.parametrize("name", [name for name in WRAPPERS if name != "WindowSMOTE"])
def test_weights_in_another_order_are_refused(name, market):
    X, y = market
    weights = pd.Series(1.0, y.index)
    wrapper = WRAPPERS[name]()
    with pytest.raises(ValueError, match="X and sample_weight have different indexes: row 0 is"):
        wrapper.fit(X, y, sample_weight=weights[::-1])
    if name != "OptunaSearchCV":  # weights without times have no order of their own
        wrapper.fit(X, y, sample_weight=weights.reset_index(drop=True))


@every_wrapper
def test_one_class_in_a_fold_is_named(name, table):
    X, y = table
    y = np.repeat([0, 1], [120, 40])  # the first training block has zeros only
    model, cv = WRAPPERS[name](), folds().set_params(horizon=0)
    if name == "OptunaSearchCV":
        with pytest.raises(
            SktrainError, match=r"Fold 0 of cv trains on the one class 0 \(\d+ rows"
        ):
            model.set_params(cv=cv).fit(X, y)
        return
    with pytest.raises(SktrainError, match="the one class 0"):
        cross_val_score(model, X, y, cv=cv, error_score="raise")


@pytest.mark.filterwarnings("ignore::sktrain.exceptions.UnknownHorizonWarning")
def test_an_infinite_score_never_wins_and_is_named(table):
    for value in (np.inf, -np.inf):
        with pytest.raises(
            SktrainError, match=r"None of 2 trials gave a finite score.+Fold scores"
        ):
            search(net(), scoring=lambda estimator, X, y, value=value: value).fit(*table)


def test_a_score_that_is_undefined_on_the_last_block_is_named(market):
    X, y = market
    last = np.arange(len(y)) >= len(y) - 60
    y = st.with_label_times(y.mask(last & (y == 1), 0).astype(int), like=y)
    model = st.CompressedClassifier(net(), max_score_drop=0.1, scoring="roc_auc_ovr")
    with pytest.raises(
        SktrainError, match=r"scoring='roc_auc_ovr' is nan on the last block.+Number of classes"
    ):
        model.fit(X, y)


@every_wrapper
@pytest.mark.filterwarnings("ignore::sktrain.exceptions.UnknownHorizonWarning")
def test_a_seed_reaches_what_has_none(name, table):
    """Two fits with one seed agree to the last bit, another seed gives other weights."""
    X, y = table
    y = np.where(np.arange(len(y)) < 40, 0, y)  # unequal classes, so that a resampler has work

    def answers(seed):
        model = WRAPPERS[name](random_state=None)
        if name == "OptunaSearchCV" or "random_state" in model.get_params(deep=False):
            model.set_params(random_state=seed)
        else:  # nothing of its own is random: every part has its seed
            own = [key for key in model.get_params() if key.endswith("__random_state")]
            model.set_params(**dict.fromkeys(own, seed))
        return model.fit(X, y).predict_proba(X)

    np.testing.assert_array_equal(answers(1), answers(1))
    assert (answers(1) != answers(2)).any()


DROPS = {
    "array": np.asarray,
    "count of rows": lambda X: X.reset_index(drop=True),
    "numbers of rows": lambda X: X.set_axis(np.arange(len(X)) + 1000),
}


def inner_net(model):
    last = model[-1]
    for name in ("best_estimator_", "estimator_"):
        last = getattr(last, name, last)
    return last


def steps_of(name, drop):
    wrapper = WRAPPERS[name]()
    last = wrapper.steps if name == "WindowSMOTE" else [("model", wrapper)]
    return Pipeline([("drop", FunctionTransformer(drop)), *last])


@every_wrapper
@pytest.mark.parametrize("how", DROPS)
@pytest.mark.filterwarnings("error::sktrain.exceptions.SktrainWarning")
def test_a_step_that_drops_the_index_loses_neither_times_nor_label_ends(name, how, market):
    X, y = market
    kept, dropped = (
        steps_of(name, step).set_params(**SEEDS.get(name, {})).fit(X, y)
        for step in (None, DROPS[how])
    )
    if name not in ("CompressedClassifier", "PooledClassifier"):  # which hold no one net
        blocks = [inner_net(model).validation_ for model in (kept, dropped)]
        np.testing.assert_array_equal(blocks[0].valid, blocks[1].valid)
        np.testing.assert_array_equal(blocks[0].train, blocks[1].train)
        assert blocks[1].n_purged >= HORIZON
    np.testing.assert_allclose(dropped.predict_proba(X), kept.predict_proba(X), atol=1e-6)


SEEDS = {
    "ResampledClassifier": {"model__random_state": 0},
    "WindowSMOTE": {"s__random_state": 0},
}


def test_folds_of_rows_without_index_are_purged_by_the_labels(market):
    """Rows whose index was put aside before they were split; y still knows."""
    X, y = market
    for rows in (X.reset_index(drop=True), X.to_numpy()):
        for model in (net(), make_pipeline(FunctionTransformer(), net())):
            scores = cross_val_score(model, rows, y, cv=folds(), error_score="raise")
            assert np.isfinite(scores).all()
        assert search(net()).fit(rows, y).best_estimator_.validation_.n_purged >= HORIZON
        for mine, own in zip(folds().split(rows, y), folds().split(X, y), strict=True):
            np.testing.assert_array_equal(mine[0], own[0])
    shuffled = X.reset_index(drop=True).sample(frac=1, random_state=0)
    with pytest.raises(SktrainError, match=r"X has lost its times.+X\.set_axis\(y\.index\)"):
        net().fit(shuffled, y)
    np.testing.assert_array_equal(  # labels in the same order are right beside them
        net(lookback=1).fit(shuffled, y.iloc[shuffled.index]).predict(X),
        net(lookback=1).fit(X.iloc[shuffled.index], y.iloc[shuffled.index]).predict(X),
    )


def test_an_audit_sees_through_a_step_that_drops_the_index(market):
    X, y = market
    audit = st.LeakageValidator(budget="quick", verbose=0)
    for drop in DROPS.values():
        report = audit.audit(
            Pipeline([("drop", FunctionTransformer(drop)), ("n", net())]), X, y, folds()
        )
        assert report.status in ("PASS", "INCONCLUSIVE"), report.summary()


def test_words_of_an_index_are_no_count_of_rows(market):
    X, y = market
    with pytest.raises(SktrainError, match="X has lost its times"):
        net().fit(X.set_axis([f"row {place}" for place in range(len(X))]), y)
    with pytest.raises(SktrainError, match=r"y has lost its times.+y\.set_axis\(X\.index\)"):
        net().fit(X, y.reset_index(drop=True))
    with pytest.raises(SktrainError, match=r"Align y with y\.loc\[X\.index\]"):
        net().fit(X.set_axis(X.index + pd.Timedelta("1D")), y)


@pytest.mark.parametrize("estimator", [net(), LogisticRegression()], ids=["net", "logistic"])
@pytest.mark.filterwarnings("error::sktrain.exceptions.UnknownHorizonWarning")
def test_a_search_that_is_told_label_ends_purges_its_folds_without_routing(estimator):
    X = np.random.default_rng(0).normal(size=(400, 3))
    y = (X[:, 0] > 0).astype(int)
    ends = np.minimum(np.arange(len(y)) + 8, len(y) - 1)
    space = {"C": [1.0, 2.0]} if isinstance(estimator, LogisticRegression) else {"lr": [1e-3, 1e-2]}
    seen = []

    class Noted(st.EnhancedWalkForwardCV):
        def split(self, X, y=None, groups=None, *, label_end_times=None, times=None):
            told = {"label_end_times": label_end_times, "times": times}
            for train, test in super().split(X, y, groups, **told):
                seen.append(test[0] - train[-1])
                yield train, test

    settings = {"ensure_regime_coverage": False, "min_samples_per_fold": 20}
    cv = Noted(2, **settings)
    found = st.OptunaSearchCV(estimator, space, n_trials=2, cv=cv, random_state=0)
    found.fit(X, y, label_end_times=ends)
    assert len(seen) == 2
    assert min(seen) > 8
    seen.clear()
    found.nested_estimate(X, y, label_end_times=ends)  # outer folds and the inner ones of each
    assert len(seen) == 6
    assert min(seen) > 8
    last = make_pipeline(FunctionTransformer(), net())
    found = st.OptunaSearchCV(last, {"mlpnetclassifier__lr": [1e-3]}, n_trials=1, cv=cv)
    found.fit(X, y, label_end_times=ends)
    assert found.best_estimator_[-1].validation_.n_purged >= 7


def test_folds_that_are_not_told_say_how_to_tell_them(table):
    X, y = table
    ends = {"label_end_times": np.minimum(np.arange(len(y)) + 8, len(y) - 1)}
    words = r"set_config\(enable_metadata_routing=True\).+with_label_times"
    with pytest.warns(UserWarning, match=words):
        cross_val_score(net(), X, y, cv=folds(), params=ends)
    with config_context(enable_metadata_routing=True):
        told = net().set_fit_request(label_end_times=True)
        assert len(cross_val_score(told, X, y, cv=folds(), params=ends, error_score="raise")) == 2


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), st.WindowSMOTE(random_state=0)])
def test_metadata_behind_a_sampler_says_what_takes_it_along(sampler, table):
    X, y = table
    y = np.where(np.arange(len(y)) < 40, 0, y)
    when = pd.bdate_range("2020", periods=len(y))
    model = Pipeline([("s", sampler), ("n", net())])
    for metadata in ({"n__times": when}, {"n__label_end_times": np.arange(len(y))}):
        with pytest.raises(SktrainError, match=r"use ResampledClassifier\(estimator, WindowSMOTE"):
            model.fit(X, y, **metadata)
    taken = ResampledClassifier(net(), st.WindowSMOTE(random_state=0))
    taken.fit(X, y, times=when, label_end_times=when)
    assert taken.estimator_.validation_.valid is not None


def test_a_guard_refuses_a_block_without_labels(table):
    X, y = table
    guard = st.DriftGuard(net(horizon=0)).fit(X[:100], y[:100])
    before = guard.log_
    with pytest.raises(ValueError, match="DriftGuard requires y to be passed, but the target y is"):
        guard.partial_fit(X[100:], None)
    pd.testing.assert_frame_equal(guard.log_, before)


def test_rows_that_smote_appended_are_not_validated_on(market):
    """Of three classes two get rows, of which the last ones need not be many."""
    X, y = market
    counts = y.value_counts()
    first, last = sorted(counts.index)[0], sorted(counts.index)[-1]
    wanted = {first: counts[first] + 70, last: counts[last] + 5}
    values = np.nan_to_num(X)
    for strategy in ("auto", wanted):
        rows, labels = SMOTE(sampling_strategy=strategy, random_state=0).fit_resample(values, y)
        with pytest.warns(ResamplingWarning, match="MLPNetClassifier validates on nothing"):
            fitted = net().fit(rows, labels)
        assert fitted.validation_.valid is None


def test_words_among_features_are_refused_by_column_and_row(table):
    """They were "could not convert string to float", without a column."""
    X, y = table
    words = np.array(["1.5"] * len(X), dtype=object)
    words[7] = "tech"
    for column in (words, pd.Categorical(words), pd.array(words, dtype="string")):
        frame = pd.DataFrame(np.asarray(X)).assign(sector=column)
        for fits in (net().fit, st.WindowSMOTE().fit_resample, st.apply_smote):
            with pytest.raises(SktrainError, match="column 'sector', row 7: 'tech'.+OneHotEncoder"):
                fits(frame, y)

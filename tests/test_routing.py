"""Metadata on its way through meta-estimators, with scikit-learn's routing on and off, down to what
a net is told."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import TimeSeriesSplit, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sktrain import (
    CompressedClassifier,
    DriftGuard,
    MLPNetClassifier,
    TemporalSplitter,
    WalkForwardDisplay,
    fold_scores,
    walk_forward_predict,
)
from sktrain._routing import metadata_rows
from sktrain.exceptions import InvalidSplitError, SktrainError
from sktrain.resample import ResampledClassifier

N = 300
RNG = np.random.default_rng(0)
TIMES = pd.bdate_range("2020", periods=N)
X = RNG.normal(size=(N, 3))
Y = (X[:, 0] + RNG.normal(size=N) > 0).astype(int)
TOLD = {
    "sample_weight": RNG.random(N) + 0.1,
    "label_end_times": TIMES[np.minimum(np.arange(N) + 20, N - 1)],
    "times": TIMES,
}


class Noting(MLPNetClassifier):
    """A net that notes what its fits are told."""

    heard = []

    def fit(self, X, y, sample_weight=None, *, label_end_times=None, times=None):
        type(self).heard.append(
            {
                "sample_weight": sample_weight,
                "label_end_times": label_end_times,
                "times": times,
                "rows": np.asarray(X),
            }
        )
        return super().fit(X, y, sample_weight, label_end_times=label_end_times, times=times)


def net():
    Noting.heard = []
    return Noting(max_epochs=1, module__hidden_size=4, module__n_layers=1, random_state=0)


WRAPPERS = {
    "compressed": CompressedClassifier,
    "compressed pipeline": lambda inner: CompressedClassifier(
        Pipeline([("same", FunctionTransformer()), ("net", inner)])
    ),
    "guard": DriftGuard,
    "guarded pipeline": lambda inner: DriftGuard(
        Pipeline([("same", FunctionTransformer()), ("net", inner)])
    ),
    "resampled": lambda inner: ResampledClassifier(inner, random_state=0),
}


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_net_inside_hears_what_its_wrapper_is_told(name, routing):
    with config_context(enable_metadata_routing=routing):
        inner = net()
        if routing:
            inner.set_fit_request(sample_weight=True, label_end_times=True, times=True)
        model = WRAPPERS[name](inner).fit(X, Y, **TOLD)
    (heard,) = Noting.heard
    if name == "resampled":
        origin = model.sampler_.origin_
        assert heard["label_end_times"].equals(TOLD["label_end_times"][origin])
        assert heard["times"].equals(TIMES[origin])
        return
    np.testing.assert_array_equal(heard["sample_weight"], TOLD["sample_weight"])
    assert heard["label_end_times"].equals(TOLD["label_end_times"])
    assert heard["times"].equals(TIMES)
    plain = Noting(max_epochs=1, module__hidden_size=4, module__n_layers=1, random_state=0).fit(
        X, Y, **TOLD
    )
    assert plain.validation_.n_purged >= 20


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_nobody_requests_is_scikit_learns_error(name):
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(UnsetMetadataPassedError, match="sample_weight"),
    ):
        WRAPPERS[name](net()).fit(X, Y, sample_weight=TOLD["sample_weight"])


class Plain(ClassifierMixin, BaseEstimator):
    """Takes no metadata."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.repeat(self.classes_[:1], len(X))

    def predict_proba(self, X):
        return np.tile([1.0, 0.0], (len(X), 1))


@pytest.mark.parametrize("wrapper", [CompressedClassifier, DriftGuard, ResampledClassifier])
def test_without_routing_what_is_not_taken_is_refused(wrapper):
    with pytest.raises(SktrainError, match="Plain takes no label_end_times in fit"):
        wrapper(Plain()).fit(X, Y, label_end_times=TOLD["label_end_times"])
    # a vote hands nothing on without routing
    with pytest.raises((ValueError, TypeError), match="enable_metadata_routing|label_end_times"):
        wrapper(VotingClassifier([("a", net())], voting="soft")).fit(
            X, Y, label_end_times=TOLD["label_end_times"]
        )


def test_a_cross_validation_routes_through_a_compressed_net():
    with config_context(enable_metadata_routing=True):
        inner = net().set_fit_request(label_end_times=True, times=True)
        cv = TemporalSplitter(embargo_bars=0)
        params = {"label_end_times": TOLD["label_end_times"], "times": TIMES}
        cross_validate(CompressedClassifier(inner), X, Y, cv=cv, params=params, error_score="raise")
    ((train, _),) = TemporalSplitter(embargo_bars=0).split(X, Y, **params)
    (heard,) = Noting.heard
    assert heard["times"].equals(TIMES[train])


def test_metadata_is_remembered_with_the_rows_of_a_guard():
    class Weighted(SGDClassifier):
        heard = []

        def fit(self, X, y, sample_weight=None):
            type(self).heard.append(("fit", sample_weight))
            return super().fit(X, y, sample_weight=sample_weight)

        def partial_fit(self, X, y, classes=None, sample_weight=None):
            type(self).heard.append(("partial_fit", sample_weight))
            return super().partial_fit(X, y, classes=classes, sample_weight=sample_weight)

    drifted = X + 5 * (np.arange(N) >= 200)[:, None]
    weight = TOLD["sample_weight"]
    guard = DriftGuard(
        Weighted(loss="log_loss", random_state=0), refit_rows=150, watch_performance=False
    ).fit(drifted[:100], Y[:100], sample_weight=weight[:100])
    guard.partial_fit(drifted[100:200], Y[100:200], sample_weight=weight[100:200])
    guard.partial_fit(drifted[200:], Y[200:], sample_weight=weight[200:])
    assert guard.log_["decision"].tolist() == ["fit", "update", "refit"]
    kinds = [kind for kind, _ in Weighted.heard]
    assert kinds[:2] == ["fit", "partial_fit"]
    last = Weighted.heard[-1]
    assert last[0] == "fit"
    np.testing.assert_array_equal(last[1], weight[150:])


@pytest.mark.parametrize("steps", [False, True])
def test_a_guard_routes_partial_fit(steps):
    with config_context(enable_metadata_routing=True):
        inner = (
            SGDClassifier(loss="log_loss", random_state=0)
            .set_fit_request(sample_weight=True)
            .set_partial_fit_request(sample_weight=True)
        )
        model = Pipeline([("scale", StandardScaler()), ("sgd", inner)]) if steps else inner
        weight = np.where(Y[:200] == 1, 1.0, 1e-6)
        guards = [
            DriftGuard(model, on_drift="warn", watch_performance=False).fit(X[:100], Y[:100])
            for _ in range(2)
        ]
        with_weight = guards[0].partial_fit(X[100:200], Y[100:200], sample_weight=weight[100:])
        without = guards[1].partial_fit(X[100:200], Y[100:200])
    assert (
        with_weight.predict_proba(X[200:])[:, 1].mean()
        > without.predict_proba(X[200:])[:, 1].mean()
    )


def test_rows_of_metadata():
    rows = np.array([3, 1])
    cut = metadata_rows(
        {"a": TIMES, "b": np.arange(N), "c": "whole", "d": pd.Series(np.arange(N), TIMES)}, rows, N
    )
    assert cut["a"].equals(TIMES[rows])
    assert cut["b"].tolist() == [3, 1]
    assert cut["c"] == "whole"
    assert cut["d"].tolist() == [3, 1]


def test_a_compressed_classifier_can_be_seeded():
    def weights(**seeds):
        model = CompressedClassifier(
            MLPNetClassifier(
                max_epochs=1, module__hidden_size=4, module__n_layers=1, **seeds.pop("inner", {})
            ),
            **seeds,
        )
        return model.fit(X, Y).predict_proba(X)

    np.testing.assert_array_equal(weights(random_state=1), weights(random_state=1))
    assert (weights(random_state=1) != weights(random_state=2)).any()
    np.testing.assert_array_equal(
        weights(random_state=1, inner={"random_state": 7}),
        weights(random_state=2, inner={"random_state": 7}),
    )
    np.testing.assert_array_equal(
        CompressedClassifier(random_state=3).fit(X, Y).predict_proba(X),
        CompressedClassifier(random_state=3).fit(X, Y).predict_proba(X),
    )


@pytest.mark.parametrize("use", [fold_scores, walk_forward_predict, WalkForwardDisplay.from_cv])
def test_folds_are_a_splitter_or_pairs_and_nothing_else(use):
    """A list of folds or a number ended in "has no attribute 'split'"."""
    rows = pd.DataFrame(X, TIMES)
    arguments = (rows, Y)
    model = SGDClassifier("log_loss", random_state=0)
    first = () if use == WalkForwardDisplay.from_cv else (model,)

    def used(cv, **told):
        return use(*first, *arguments, cv=cv, **told) if first else use(cv, *arguments, **told)

    splitter = TimeSeriesSplit(2, test_size=50)
    one, other = used(splitter), used(iter(list(splitter.split(X))))
    for name in ("roles", "table", "proba"):
        if hasattr(one, name):
            assert str(getattr(one, name)) == str(getattr(other, name))
    for cv, said in (
        (3, r"EnhancedWalkForwardCV\(n_splits=3\)"),
        ("walk", "got 'walk'"),
    ):
        with pytest.raises(InvalidSplitError, match=said):
            used(cv)
    with pytest.raises(InvalidSplitError, match="label_end_times cannot reach folds that were cut"):
        used(list(splitter.split(X)), label_end_times=TOLD["label_end_times"])

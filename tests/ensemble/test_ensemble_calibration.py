"""Weights learned on several blocks of a walk forward, and monotone curves judged on blocks that
they were not learned on."""

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB

import sktrain as st
from sktrain.datasets import make_market
from sktrain.ensemble._calibration import HeldBack, apply_curves, learn_curves
from sktrain.ensemble._weights import pool_weights
from sktrain.exceptions import SktrainError, SktrainWarning, UnknownHorizonWarning


class Says(ClassifierMixin, BaseEstimator):
    """Says the columns of X are its probabilities."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.asarray(X)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


@pytest.fixture(scope="module")
def market():
    made = make_market(900, signal=0.7, horizon=3, random_state=0)
    X = st.BarFeatures(windows=(5, 10)).fit_transform(made.bars).fillna(0)
    return X, made.y, made.probabilities


def members():
    return [("linear", LogisticRegression(max_iter=500)), ("bayes", GaussianNB())]


def timid(n, rng):
    """Said and came: twice as far from a half as said is true."""
    said = rng.uniform(0.3, 0.7, n)
    came = (rng.random(n) < 2 * said - 0.5).astype(int)
    return np.column_stack([1 - said, said]), came


def test_weights_come_from_all_blocks_each_after_its_members(market):
    """By hand: blocks of a fifth, three rows purged before each, priors of the rows before."""
    X, y, _ = market
    pool = st.PooledClassifier(members(), n_blocks=3).fit(X, y)
    assert pool.n_blocks_ == 3
    n, said, sizes, end = 900, [], [], 900
    for fraction in (0.2, 0.2 / 0.8, 0.2 / 0.6):
        start = end - round(fraction * end)
        train, valid = slice(0, start - 3), slice(start, end)
        counts = np.bincount(y.iloc[train]) + 1
        proba = [one.fit(X.iloc[train], y.iloc[train]).predict_proba(X.iloc[valid])
                 for _, one in members()]  # fmt: skip
        proba.append(np.tile(counts / counts.sum(), (end - start, 1)))
        came = y.iloc[valid].to_numpy()
        said.append(np.column_stack([p[np.arange(len(came)), came] for p in proba]))
        sizes.append(end - start)
        end = start - 3
    assert abs(sizes[-1] - sizes[0]) <= 3
    said = np.concatenate(said)
    expected = pool_weights(said, np.ones(len(said)), len(said) / 3)
    np.testing.assert_allclose(pool.weights_, expected, atol=1e-6)
    np.testing.assert_array_equal(pool.validation_.valid, np.arange(n - 180, n))


def test_the_future_of_a_block_does_not_reach_its_members(market):
    """Members of the last block never see it, with several blocks too."""
    X, y, _ = market
    altered = y.copy()
    altered.iloc[720:] = 2 - altered.iloc[720:]
    ours, theirs = (
        st.PooledClassifier(members(), n_blocks=2, refit=False).fit(X, labels)
        for labels in (y, altered)
    )
    for one, other in zip(ours.estimators_, theirs.estimators_):
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    assert not np.allclose(ours.weights_, theirs.weights_)


@pytest.mark.parametrize("seed", range(3))
def test_the_share_has_the_least_log_loss_on_blocks_the_curves_did_not_see(seed):
    """Against a grid, with curves of scikit-learn's isotonic regression worked out here."""
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(seed)
    blocks = [timid(150, rng) for _ in range(3)]
    held = [HeldBack(p, c, np.ones(150), 1e9) for p, c in blocks]  # so many rows: not moved to 0
    _, share = learn_curves(held)

    def moved(place):
        others = [one for other, one in enumerate(blocks) if other != place]
        p, came = (np.concatenate(part) for part in zip(*others))
        fits = [IsotonicRegression(out_of_bounds="clip").fit(p[:, k], came == k) for k in (0, 1)]
        mine = np.column_stack([fit.predict(blocks[place][0][:, k]) for k, fit in enumerate(fits)])
        return (mine + 1e-12) / (mine + 1e-12).sum(axis=1, keepdims=True)

    moved = [moved(place) for place in range(3)]

    def loss(s):
        rows = np.arange(150)
        return -np.mean([np.log((1 - s) * p[rows, c] + s * q[rows, c] + 1e-300)
                         for (p, c), q in zip(blocks, moved)])  # fmt: skip

    grid = np.linspace(0, 1, 101)
    assert share == pytest.approx(grid[np.argmin([loss(s) for s in grid])], abs=0.011)


def test_what_is_timid_is_sharpened_and_what_is_right_is_left():
    rng = np.random.default_rng(0)
    curves, share = learn_curves([HeldBack(*timid(2000, rng), np.ones(2000), 2000.0)] * 1 + [
        HeldBack(*timid(2000, rng), np.ones(2000), 2000.0)])  # fmt: skip
    said, _ = timid(5000, rng)
    found = apply_curves(said, curves, share)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.abs(found[:, 1] - (2 * said[:, 1] - 0.5)).mean() < 0.03
    assert np.abs(said[:, 1] - (2 * said[:, 1] - 0.5)).mean() > 0.09

    def right(n):
        p = rng.uniform(0.3, 0.7, n)
        return HeldBack(np.column_stack([1 - p, p]), (rng.random(n) < p) * 1, np.ones(n), float(n))

    shares = [learn_curves([right(300), right(300), right(300)])[1] for _ in range(10)]
    assert np.mean(shares) < 0.2


def test_a_pool_of_a_timid_member_is_mended(market):
    X, y, truth = market
    flat = pd.DataFrame(0.4 * truth.to_numpy() + 0.2, index=X.index)
    how = {"n_blocks": 3, "calibration": "isotonic"}
    plain = st.PooledClassifier([("timid", Says())], n_blocks=3).fit(flat[:600], y[:600])
    pool = st.PooledClassifier([("timid", Says())], **how).fit(flat[:600], y[:600])
    np.testing.assert_array_equal(pool.weights_, plain.weights_)
    assert plain.calibration_curves_ is None
    assert plain.calibration_share_ == 0
    assert pool.calibration_share_ > 0.5
    later, p = y[603:], pool.predict_proba(flat[603:])
    assert log_loss(later, p) < log_loss(later, plain.predict_proba(flat[603:])) - 0.05
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(
        p, apply_curves(plain.predict_proba(flat[603:]), pool.calibration_curves_,
                        pool.calibration_share_))  # fmt: skip
    np.testing.assert_array_equal(pool.predict(flat[603:]), pool.classes_[p.argmax(axis=1)])


def test_rows_without_weight_are_as_if_they_were_not_there(market):
    """In the curves; the weights count rows of the same weight as before."""
    rng = np.random.default_rng(1)
    (p, c), (q, d) = timid(200, rng), timid(200, rng)
    weight = (np.arange(200) < 120).astype(float)
    with_zeros = learn_curves([HeldBack(p, c, weight, 120.0), HeldBack(q, d, np.ones(200), 200.0)])
    without = learn_curves(
        [HeldBack(p[:120], c[:120], np.ones(120), 120.0), HeldBack(q, d, np.ones(200), 200.0)]
    )
    rows = np.linspace(0.3, 0.7, 9)
    rows = np.column_stack([1 - rows, rows])
    np.testing.assert_allclose(
        apply_curves(rows, *with_zeros), apply_curves(rows, *without), atol=1e-6
    )


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"n_blocks": 0}, "n_blocks"),
        ({"n_blocks": 5}, "5 blocks of valid_fraction=0.2 leave no rows"),
        ({"calibration": "isotonic"}, "needs n_blocks >= 2"),
        ({"calibration": "platt", "n_blocks": 2}, "calibration"),
    ],
)
def test_bad_parameters_are_refused_and_change_nothing(market, params, words):
    X, y, _ = market
    pool = st.PooledClassifier(members(), **params)
    with pytest.raises(ValueError, match=words):
        pool.fit(X, y)
    assert not hasattr(pool, "weights_")


def test_too_few_rows_make_fewer_blocks_and_one_is_not_calibrated(market):
    X, y, _ = market
    X, y = X.to_numpy(), y.to_numpy()
    pool = st.PooledClassifier(members(), n_blocks=3, horizon=3)
    # a fifth of 120 rows are 24, then a quarter of 93 are 23, and a third of 67 are 22 of them
    assert pool.fit(X[:120], np.arange(120) % 3).n_blocks_ == 3
    # 40 % of 60 rows are 24; of the 33 before them, two thirds would leave 8 rows to train on
    how = {"n_blocks": 2, "calibration": "isotonic", "valid_fraction": 0.4, "horizon": 3}
    with pytest.warns(SktrainWarning, match="not calibrated: the rows make up one block"):
        small = st.PooledClassifier(members(), **how).fit(X[:60], np.arange(60) % 3)
    assert small.n_blocks_ == 1
    assert small.calibration_curves_ is None
    assert small.calibration_share_ == 0


def test_an_unknown_horizon_is_said_once(market):
    X, y, _ = market
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        st.PooledClassifier(members(), n_blocks=3).fit(X.to_numpy(), y.to_numpy())
    said = [one for one in caught if issubclass(one.category, UnknownHorizonWarning)]
    assert len(said) == 1
    assert said[0].filename == __file__


def test_it_is_cloned_saved_validated_and_refuses_onnx(market, tmp_path):
    X, y, _ = market
    net = st.MLPNetClassifier(max_epochs=2, module__hidden_size=4, random_state=0)
    how = {"n_blocks": 2, "calibration": "isotonic"}
    pool = st.PooledClassifier([("net", net), *members()], **how).fit(X, y)
    expected = pool.predict_proba(X[-20:])
    again = st.load(st.save(pool, tmp_path / "pool.sktrain"))
    np.testing.assert_allclose(again.predict_proba(X[-20:]), expected, atol=1e-6)
    joblib.dump(pool, tmp_path / "pool.joblib")
    np.testing.assert_array_equal(
        joblib.load(tmp_path / "pool.joblib").predict_proba(X[-20:]), expected
    )
    assert clone(pool).get_params()["calibration"] == "isotonic"
    cv = st.EnhancedWalkForwardCV(3, embargo_bars=0, ensure_regime_coverage=False)
    one, two = (
        cross_val_score(st.PooledClassifier(members(), **how), X, y, cv=cv, n_jobs=jobs,
                        scoring="neg_log_loss")
        for jobs in (1, 2)
    )  # fmt: skip
    np.testing.assert_array_equal(one, two)
    only = st.PooledClassifier([("net", net)], **how).fit(X, y)
    only.calibration_share_ = 0.5
    with pytest.raises(SktrainError, match="calibration='isotonic' cannot be exported"):
        st.export_onnx(only, tmp_path / "pool.onnx")

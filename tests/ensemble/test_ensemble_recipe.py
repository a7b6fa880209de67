"""The recipe is a pool on bars, and finds what is planted in different ways."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss

import sktrain as st
from sktrain.datasets import make_market


def quick(**params):
    recipe = st.make_recipe(lookback=5, random_state=0, **params)
    return recipe.set_params(mlp__net__max_epochs=2, mlp_window__net__max_epochs=2)


@pytest.fixture(scope="module")
def fitted():
    market = make_market(1200, signal=0.7, horizon=2, random_state=0)
    return quick().fit(market.bars[:900], market.y[:900]), market


def test_it_finds_a_linear_signal(fitted):
    pool, market = fitted
    later, p = market.y[902:], pool.predict_proba(market.bars[902:])
    alone, best = (
        log_loss(later, q)
        for q in (np.tile(pool.prior_, (len(later), 1)), market.probabilities[902:])
    )
    assert (alone - log_loss(later, p)) / (alone - best) > 0.6
    assert pool.named_weights_["prior"] < 0.2


def test_members_on_features_are_those_on_bars(fitted):
    pool, market = fitted
    X = st.BarFeatures().fit_transform(market.bars)
    other = quick(features="passthrough").fit(X[:900], market.y[:900])
    np.testing.assert_allclose(
        other.predict_proba(X[902:]), pool.predict_proba(market.bars[902:]), atol=1e-6
    )


def test_it_is_cloned_saved_and_takes_parameters_of_members(fitted, tmp_path):
    pool, market = fitted
    rows = market.bars[-30:]
    again = st.load(st.save(pool, tmp_path / "recipe.sktrain"))
    np.testing.assert_allclose(again.predict_proba(rows), pool.predict_proba(rows), atol=1e-6)
    copy = clone(pool).set_params(weeks="drop", linear_weak__linear__C=1.0, candles="drop")
    copy.set_params(returns="drop", sparse__select__k=2)
    assert list(dict(copy.fit(market.bars[:300], market.y[:300]).named_weights_)) == [
        "linear_weak", "linear_middle", "linear_strong", "sparse", "sparse_window", "interactions",
        "mlp", "mlp_window", "prior",
    ]  # fmt: skip
    assert copy.named_estimators_["sparse"]["linear"].n_features_in_ == 2


def test_the_sparse_member_keeps_the_features_with_the_largest_ratio_of_variances(fitted):
    pool, market = fitted
    sparse = pool.named_estimators_["sparse"]
    X, y = st.BarFeatures().fit_transform(market.bars)[:900], market.y[:900].to_numpy()
    X = X.fillna(X.mean())
    groups = [X[y == label] for label in np.unique(y)]
    between = sum(len(g) * (g.mean() - X.mean()) ** 2 for g in groups) / (len(groups) - 1)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (len(X) - len(groups))
    kept = sparse["vary"].get_support(indices=True)[sparse["select"].get_support(indices=True)]
    assert set(X.columns[kept]) == set((between / within).nlargest(3).index)


def test_interactions_find_a_sign_that_flips_with_volatility():
    market = make_market(3000, signal=0.7, pattern="regime", random_state=0)
    X = st.BarFeatures().fit_transform(market.bars).fillna(0)
    members = st.make_recipe("passthrough").named_estimators
    later, best = market.y[2000:], market.probabilities[2000:]

    def lost(name):
        model = clone(members[name]).fit(X[:2000], market.y[:2000])
        return log_loss(later, model.predict_proba(X[2000:])) - log_loss(later, best)

    assert lost("interactions") < 0.5 * lost("sparse")


def test_a_fold_sees_the_features_of_the_whole_history(fitted):
    pool, market = fitted
    one = pool.predict_proba(market.bars[1000:1010])
    np.testing.assert_allclose(one, pool.predict_proba(market.bars[902:])[98:108], atol=1e-9)


def test_candles_that_features_do_not_have_are_named():
    market = make_market(300, random_state=0)
    recipe = st.make_recipe(st.BarFeatures(windows=(8, 16)))
    with pytest.raises(ValueError, match="range_volatility_5"):
        recipe.fit(market.bars, market.y)

"""Out-of-fold predictions against a loop, regimes against hand counts, positions and their earnings
against a slow ledger."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import TimeSeriesSplit, cross_val_predict

from sktrain.evaluation import (
    per_regime_scores,
    profit_and_loss,
    to_positions,
    walk_forward_predict,
)
from sktrain.exceptions import InvalidBarsError, InvalidSplitError, NotEnoughDataError, SktrainError
from sktrain.splits import CombinatorialPurgedCV, EnhancedWalkForwardCV


def rows(n=300, seed=0):
    rng = np.random.default_rng(seed)
    index = pd.bdate_range("2020", periods=n)
    X = pd.DataFrame(rng.normal(size=(n, 3)), index, list("abc"))
    y = pd.Series(((X["a"] + rng.normal(size=n)) > 0.3).astype(int) + (X["b"] > 1), index)
    return X, y


def test_against_a_loop():
    X, y = rows()
    cv = TimeSeriesSplit(4)
    result = walk_forward_predict(LogisticRegression(), X, y, cv)
    expected = np.full((len(X), 3), np.nan)
    for train, test in cv.split(X):
        expected[test] = (
            LogisticRegression().fit(X.iloc[train], y.iloc[train]).predict_proba(X.iloc[test])
        )
    np.testing.assert_array_equal(result.probabilities, expected)
    np.testing.assert_array_equal(result.mask, ~np.isnan(expected[:, 0]))
    assert result.predict().tolist() == expected[result.mask].argmax(axis=1).tolist()
    probabilities, mask = result
    assert probabilities is result.probabilities
    assert mask is result.mask
    assert result.frame().index.equals(X.index)


def test_same_for_any_n_jobs():
    X, y = rows()
    one = walk_forward_predict(LogisticRegression(), X, y, TimeSeriesSplit(4), n_jobs=1)
    two = walk_forward_predict(LogisticRegression(), X, y, TimeSeriesSplit(4), n_jobs=2)
    np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_every_row_once_equals_cross_val_predict():
    X, y = rows()
    folds = [
        (np.r_[0:100, 200:300], np.arange(100, 200)),
        (np.arange(100, 300), np.arange(100)),
        (np.arange(200), np.arange(200, 300)),
    ]
    ours = walk_forward_predict(LogisticRegression(), X, y, folds)
    np.testing.assert_allclose(
        ours.probabilities,
        cross_val_predict(LogisticRegression(), X, y, cv=folds, method="predict_proba"),
    )
    assert ours.mask.all()


def test_rows_tested_twice_are_averaged():
    X, y = rows()
    cv = CombinatorialPurgedCV(n_blocks=4, n_test_blocks=2, horizon=1, embargo_bars=0)
    result = walk_forward_predict(LogisticRegression(), X, y, cv)
    expected = np.zeros((len(X), 3))
    for train, test in cv.split(X, y):
        expected[test] += (
            LogisticRegression().fit(X.iloc[train], y.iloc[train]).predict_proba(X.iloc[test])
        )
    np.testing.assert_allclose(result.probabilities, expected / 3)
    assert set(result.n_tests) == {3}


def test_label_end_times_reach_the_splitter():
    X, y = rows()
    ends = pd.Series(X.index, X.index).shift(-20).fillna(X.index[-1])
    seen = []

    class Spy(EnhancedWalkForwardCV):
        def split(self, X, y=None, groups=None, label_end_times=None):
            for train, test in super().split(X, y, groups, label_end_times):
                seen.append(ends.iloc[train].max() < X.index[test].min())
                yield train, test

    cv = Spy(n_splits=2, min_samples_per_fold=20, embargo_bars=0, ensure_regime_coverage=False)
    walk_forward_predict(DummyClassifier(), X, y, cv, label_end_times=ends)
    assert seen == [True, True]
    with pytest.raises(InvalidSplitError, match="takes no label_end_times"):
        walk_forward_predict(DummyClassifier(), X, y, TimeSeriesSplit(3), label_end_times=ends)
    with pytest.raises(InvalidSplitError, match="cut already"):
        walk_forward_predict(
            DummyClassifier(), X, y, [(np.arange(9), np.arange(9, 20))], label_end_times=ends
        )


def test_fit_parameters_are_cut_to_the_fold():
    X, y = rows()
    weight = np.random.default_rng(1).uniform(size=len(X))
    result = walk_forward_predict(
        LogisticRegression(), X, y, TimeSeriesSplit(3), params={"sample_weight": weight}
    )
    train, test = next(iter(TimeSeriesSplit(3).split(X)))
    expected = (
        LogisticRegression()
        .fit(X.iloc[train], y.iloc[train], sample_weight=weight[train])
        .predict_proba(X.iloc[test])
    )
    np.testing.assert_array_equal(result.probabilities[test], expected)


def test_a_class_unseen_in_training_has_probability_zero():
    X, y = rows()
    y = y.clip(upper=1)
    y.iloc[200:] = 7
    result = walk_forward_predict(
        LogisticRegression(), X, y, [(np.arange(150), np.arange(150, 300))]
    )
    assert result.classes.tolist() == [0, 1, 7]
    assert (result.probabilities[150:, 2] == 0).all()
    np.testing.assert_allclose(result.probabilities[150:].sum(axis=1), 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda X, y: walk_forward_predict(LogisticRegression(), X, y[:-1], TimeSeriesSplit(3)),
            "300 rows but y has 299",
        ),
        (lambda X, y: walk_forward_predict(LogisticRegression(), X, y, 5), "EnhancedWalkForwardCV"),
        (lambda X, y: walk_forward_predict(LogisticRegression(), X, y, []), "no fold"),
        (
            lambda X, y: walk_forward_predict(RidgeClassifier(), X, y, TimeSeriesSplit(3)),
            "predict_proba",
        ),
    ],
)
def test_refused_requests(call, message):
    with pytest.raises(SktrainError, match=message):
        call(*rows())


def test_regimes_by_hand():
    y = [0, 0, 1, 1, 0, 1, 1, 1, 0, np.nan]
    guess = [0, 1, 1, 1, 0, 0, 1, 1, np.nan, 1]
    regimes = ["bull"] * 4 + ["bear"] * 4 + ["bear", None]
    result = per_regime_scores(y, guess, regimes)
    assert result.table["n_rows"].to_dict() == {"bull": 4, "bear": 4}
    assert result.table.loc["bull", "score"] == pytest.approx((1 / 2 + 1) / 2)
    assert result.table.loc["bear", "score"] == pytest.approx((1 + 2 / 3) / 2)
    assert result.table.loc["bear", "majority"] == pytest.approx(3 / 4)
    assert result.overall == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert per_regime_scores(y, guess, regimes, metric="accuracy").overall == pytest.approx(6 / 8)
    assert "bear" in result.summary()


def test_regimes_of_out_of_fold_predictions():
    X, y = rows()
    result = walk_forward_predict(LogisticRegression(), X, y, TimeSeriesSplit(3))
    regimes = pd.DataFrame({"regime": np.where(np.arange(300) < 200, "bull", None)}, X.index)
    scores = per_regime_scores(y, result, regimes)
    assert scores.table["n_rows"].sum() == result.mask.sum()
    assert set(scores.table.index) == {"bull", "unknown"}
    for bad, message in ((regimes[:-1], "299"), (regimes.assign(b=1), "one column")):
        with pytest.raises(SktrainError, match=message):
            per_regime_scores(y, result, bad)
    with pytest.raises(SktrainError, match="metric"):
        per_regime_scores(y, result, regimes, metric="f1")
    with pytest.raises(SktrainError, match="one label for each of 300"):
        per_regime_scores(y, [1, 2], regimes)
    with pytest.raises(NotEnoughDataError, match="both"):
        per_regime_scores(y, np.full(300, np.nan), regimes)


def test_what_stands_in_another_order_is_refused():
    X, y = rows()
    told = walk_forward_predict(LogisticRegression(), X, y, TimeSeriesSplit(4))
    regimes = pd.Series("bull", y.index)
    per_regime_scores(y, told, regimes)
    for first, second in ((y, regimes[::-1]), (y.to_numpy(), regimes[::-1]), (y[::-1], regimes)):
        with pytest.raises(InvalidSplitError, match="y and .* have different indexes: row 0"):
            per_regime_scores(first, told, second)
    weights = pd.Series(1.0, y.index)
    for names in ({"groups": weights[::-1]}, {"params": {"sample_weight": weights[::-1]}}):
        with pytest.raises(InvalidSplitError, match="X and .* have different indexes"):
            walk_forward_predict(LogisticRegression(), X, y, TimeSeriesSplit(4), **names)
    with pytest.raises(SktrainError, match="to_positions"):
        profit_and_loss(told, np.arange(1.0, 301))


def test_positions_of_probabilities():
    table = [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.2, 0.6, 0.2], [np.nan] * 3]
    assert to_positions(table).tolist() == [1, -1, 0, 0]
    assert to_positions(table, threshold=0.6).tolist() == [1, 0, 0, 0]
    assert to_positions(table, mode="expected") == pytest.approx([0.6, -0.3, 0, 0])
    assert to_positions(table, mode="expected", threshold=0.5) == pytest.approx([0.6, 0, 0, 0])
    assert to_positions(np.array(table)[:, [2, 1, 0]], sides=[1, 0, -1]).tolist() == [1, -1, 0, 0]
    frame = pd.DataFrame(table, pd.date_range("2020", periods=4), [-1, 0, 1])
    assert to_positions(frame).index.equals(frame.index)
    # long only
    assert to_positions(frame, sides={-1: 0.0, 0: 0.0, 1: 1.0}).tolist() == [1, 0, 0, 0]


def test_positions_of_labels():
    assert to_positions([0, 1, 2, 2]).tolist() == [-1, 0, 1, 1]
    assert to_positions([2, 1, 1]).tolist() == [1, 0, 0]  # nobody sold: the labels are still 0 1 2
    assert to_positions([-1, 1, np.nan]).tolist() == [-1, 1, 0]
    assert to_positions(["down", "up"], sides={"down": -1, "up": 1}).tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: to_positions([0, 1, 0]), "not known which side"),
        (lambda: to_positions(["a", "b"]), "not known which side"),
        (lambda: to_positions(pd.DataFrame([[0.5, 0.5]], columns=[0, 1])), "not known which side"),
        (lambda: to_positions([[0.25] * 4]), "not known which side"),
        (lambda: to_positions([[0.5, 0.2]]), "sum to 1"),
        (lambda: to_positions([[0.5, 0.5]], mode="best"), "mode"),
        (lambda: to_positions([[0.5, 0.5]], threshold=2), "threshold"),
        (lambda: to_positions([0, 1, 2], mode="expected"), "no probabilities"),
        (lambda: to_positions([[0.5, 0.5]], sides=[-2, 1]), "sides"),
        (lambda: to_positions([[0.5, 0.5]], sides=[1]), "sides"),
        (lambda: to_positions(["a", "b"], sides={"a": 1}), "lacks the class 'b'"),
        (lambda: profit_and_loss([1, 1], [100, 101, 102]), "each of 3 prices"),
        (lambda: profit_and_loss([1, 1, 1, 1], [100, 101, 102]), "each of 3 prices"),
        (lambda: profit_and_loss([1, np.nan, 1], [100, 101, 102]), "row 1"),
        (lambda: profit_and_loss([1, 1], [100, -1]), "positive"),
        (lambda: profit_and_loss([1], [100]), "at least 2 closes"),
        (lambda: profit_and_loss([1, 1], [100, 101], cost=-0.1), "cost"),
        (lambda: profit_and_loss([1, 1], [[100, 101]]), "one series"),
        (
            lambda: profit_and_loss(pd.Series([1, 1], [0, 1]), pd.Series([100, 101], [1, 0])),
            "different indexes",
        ),
    ],
)
def test_refused_positions(call, message):
    with pytest.raises(SktrainError, match=message):
        call()


def test_prices_out_of_order_are_refused():
    with pytest.raises(InvalidBarsError, match="increase"):
        profit_and_loss(
            [1, 1], pd.Series([100.0, 101.0], pd.to_datetime(["2020-01-02", "2020-01-01"]))
        )


def slow_ledger(positions, close, cost):
    before, earned = 0.0, []
    for t in range(len(close) - 1):
        earned.append(
            positions[t] * (close[t + 1] / close[t] - 1) - cost * abs(positions[t] - before)
        )
        before = positions[t]
    return earned


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(-2, 2), st.floats(1, 1000)), min_size=2, max_size=40),
    st.floats(0, 0.05),
)
def test_earnings_against_a_ledger(pairs, cost):
    positions, close = map(np.array, zip(*pairs))
    result = profit_and_loss(positions, close, cost=cost)
    np.testing.assert_allclose(
        result.returns, slow_ledger(positions, close, cost), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(result.gross - result.costs, result.returns)


def test_a_position_never_earns_its_own_bar():
    close = np.array([100.0, 100, 200, 200])
    # known only after the jump
    assert profit_and_loss([0, 0, 1, 1], close).returns.tolist() == [0, 0, 0]
    assert profit_and_loss([0, 1, 0, 0], close).returns.tolist() == [0, 1, 0]  # known before it
    changed = close.copy()
    changed[-1] = 50
    np.testing.assert_array_equal(
        profit_and_loss([1, 1, 1, 1], changed).returns[:2],
        profit_and_loss([1, 1, 1, 1], close).returns[:2],
    )


def test_panel_is_the_mean_of_its_instruments():
    index = pd.MultiIndex.from_product(
        [["A", "B"], pd.bdate_range("2020", periods=5)], names=["symbol", "time"]
    )[:-1]
    rng = np.random.default_rng(0)
    close, positions = (
        pd.Series(rng.uniform(90, 110, 9), index),
        pd.Series(rng.choice([-1.0, 0, 1], 9), index),
    )
    result = profit_and_loss(positions, close, cost=0.01)
    one, two = (
        slow_ledger(positions.loc[name].to_numpy(), close.loc[name].to_numpy(), 0.01)
        for name in "AB"
    )
    np.testing.assert_allclose(
        result.returns.to_numpy(), [*np.mean([one[:3], two], axis=0), one[3]]
    )
    assert result.returns.index.equals(pd.bdate_range("2020", periods=5)[1:])


def test_what_a_ledger_tells():
    days = pd.bdate_range("2020", periods=4, name="time")
    result = profit_and_loss(
        pd.Series([1.0, 1.0, -1.0, 0.0], days), pd.Series([100.0, 110, 99, 99], days), cost=0.001
    )
    assert result.returns.index.equals(days[1:])
    assert result.equity.iloc[-1] == pytest.approx(1.099 * 0.9 * 0.998)
    assert result.max_drawdown == pytest.approx(1 - 0.9 * 0.998)
    assert result.turnover == pytest.approx(1.0)
    assert result.exposure == 1.0
    assert result.sharpe() == pytest.approx(result.returns.mean() / result.returns.std())
    assert "turnover" in result.summary()

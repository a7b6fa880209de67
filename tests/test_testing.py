"""The public checks pass what is honest and name what is not."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, TimeSeriesSplit
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    CombinatorialPurgedCV,
    EnhancedWalkForwardCV,
    RegimeDetector,
    TemporalSplitter,
)
from sktrain.testing import (
    check_causal,
    check_splitter,
    leakage_checks,
    make_bars,
    parametrize_with_leakage_checks,
)

OURS = [
    TemporalSplitter(),
    TemporalSplitter(evaluate="test", embargo_bars=0),
    EnhancedWalkForwardCV(n_splits=3, ensure_regime_coverage=False, min_samples_per_fold=20),
    EnhancedWalkForwardCV(
        n_splits=3, window="rolling", ensure_regime_coverage=False, min_samples_per_fold=20
    ),
    CombinatorialPurgedCV(n_blocks=5, n_test_blocks=2),
    CombinatorialPurgedCV(n_blocks=5, n_test_blocks=1, embargo_bars=0),
    BarFeatures(windows=(5, 20)),
    RegimeDetector(lookback=20),
    AdaptiveLabeler(horizon=3),
    StandardScaler(),
]


@parametrize_with_leakage_checks(OURS)
def test_ours(estimator, check):
    check(estimator)


def test_every_object_is_checked():
    counts = [len(leakage_checks(estimator)) for estimator in OURS]
    assert counts == [4] * 6 + [2] * 4


@pytest.mark.parametrize(
    "cv",
    [KFold(5), KFold(5, shuffle=True, random_state=0), TimeSeriesSplit(5), KFold(5, shuffle=True)],
    ids=repr,
)
def test_careless_splitters_are_refused(cv):
    with pytest.raises(AssertionError):
        check_splitter(cv)


class _Reverse:
    """Trains on what comes after the test."""

    embargo_bars = 0

    def get_n_splits(self, X=None, y=None):
        return 1

    def split(self, X, y=None):
        n = len(X)
        yield np.arange(n // 2, n - 50), np.arange(n // 4)


class _Writes(_Reverse):
    def split(self, X, y=None):
        self.seen = len(X)
        return super().split(X, y)


class _Miscounts(TemporalSplitter):
    def get_n_splits(self, X=None, y=None, groups=None, label_end_times=None):
        return 2


class _Boasts(EnhancedWalkForwardCV):
    """Declares an embargo that it does not keep."""

    def split(self, X, y=None, groups=None, label_end_times=None):
        honest = EnhancedWalkForwardCV(
            self.n_splits, ensure_regime_coverage=False, embargo_bars=0, min_samples_per_fold=20
        )
        return honest.split(X, y)


@pytest.mark.parametrize(
    ("cv", "said"),
    [
        (_Reverse(), "later than those it tests"),
        (_Writes(), "changed"),
        (_Miscounts(), "declares 2 folds"),
        (_Boasts(3), "embargo bars it declares"),
    ],
    ids=["reverse", "writes", "miscounts", "boasts"],
)
def test_broken_splitters_are_named(cv, said):
    with pytest.raises(AssertionError, match=said):
        check_splitter(cv)


def test_given_rows_and_end_times_are_used():
    bars = make_bars(300)
    ends = bars.index[np.minimum(np.arange(300) + 7, 299)]
    cv = EnhancedWalkForwardCV(3, ensure_regime_coverage=False, min_samples_per_fold=20)
    check_splitter(cv, bars, pd.Series(np.arange(300) % 2, bars.index), label_end_times=ends)


LEAKS = {
    "shift": lambda X: X.shift(-1),
    "centered": lambda X: X.rolling(5, center=True).mean(),
    "full sample": lambda X: (X - X.mean()) / X.std(),
    "rank": lambda X: X.rank(pct=True),
    "gradient": lambda X: np.gradient(X.to_numpy(), axis=0),
}


@pytest.mark.parametrize("name", LEAKS)
def test_look_ahead_is_named(name):
    with pytest.raises(AssertionError, match="column .* changes at row"):
        check_causal(FunctionTransformer(LEAKS[name]), make_bars(300))


def test_labels_are_held_to_their_horizon():
    def labels(bars, horizon, said):
        y = np.sign(bars["close"].shift(-horizon) / bars["close"] - 1)
        y.attrs["label_horizon"] = said
        return y

    bars = make_bars(300)
    check_causal(lambda X: labels(X, 5, 5), bars)
    with pytest.raises(AssertionError, match="changes at row"):
        check_causal(lambda X: labels(X, 6, 5), bars)
    with pytest.raises(AssertionError, match="before its outcome is known"):
        check_causal(lambda X: labels(X, 5, 5).fillna(1), bars)


def test_dropped_rows_are_no_pass():
    with pytest.raises(AssertionError, match="rows for"):
        check_causal(FunctionTransformer(lambda X: X.to_numpy()[10:]), make_bars(300))


def test_made_up_bars_are_valid():
    from sktrain._validation import check_bars

    for bars in (make_bars(100), make_bars(100, 3)):
        assert check_bars(bars) is bars
    assert make_bars(100, 3).groupby(level=0).size().tolist() == [100, 63, 26]


def test_nothing_to_check_is_an_error():
    with pytest.raises(TypeError, match="neither a splitter nor a transformer"):
        leakage_checks(3)
    with pytest.raises(ValueError, match="nothing to check"):
        parametrize_with_leakage_checks([])


def test_a_step_that_learns_from_labels_on_a_panel_is_causal():
    """Cut off, a panel loses rows in the middle: labels must be cut with them."""
    from sklearn.feature_selection import SelectKBest

    panel = make_bars(300, 3)
    labels = np.random.default_rng(0).integers(0, 2, len(panel))
    check_causal(SelectKBest(k=2), panel, labels)

"""The zoo: planted leaks and their clean twins, each with what must be found and where.

A case says what is asked (``task``), of what (``subject``), on which rows, and which code and place
an honest auditor names. The test runs every case; ``benchmarks/leakage_zoo.py`` writes the table of
the user guide from the same list, with two peers beside it.
"""

from dataclasses import dataclass, field
from functools import cache

from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imb_pipeline
import numpy as np
import pandas as pd
from scipy.signal import savgol_filter
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_selection import RFECV, SelectKBest, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
    TunedThresholdClassifierCV,
    train_test_split,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)
from skorch import NeuralNetClassifier
import torch

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    CombinatorialPurgedCV,
    EnhancedWalkForwardCV,
    GRUClassifier,
    RegimeDetector,
    SlidingWindow,
    TemporalSplitter,
    TripleBarrierLabeler,
)
from sktrain.datasets import load_sp500, load_us_stocks
from sktrain.leakage import LeakageValidator

__all__ = ["CASES", "Case"]

HORIZON = 5
WALK = EnhancedWalkForwardCV(n_splits=3, ensure_regime_coverage=False, min_samples_per_fold=50)
FIXED = EnhancedWalkForwardCV(
    n_splits=3, ensure_regime_coverage=False, min_samples_per_fold=50, horizon=HORIZON
)


@dataclass(frozen=True)
class Case:
    """One case: ``code`` is None for a clean twin; ``place`` must be part of the finding's
    ``where``."""

    name: str
    task: str  # "split", "causality", "warmup", "inspect", "audit", "features" or "labels"
    make: object  # () -> arguments of the check
    code: str | None = None
    place: dict = field(default_factory=dict)

    @property
    def leak(self):
        return self.code is not None

    def run(self):
        """The report on this case."""
        validator = LeakageValidator(max_times=600)
        method = {
            "split": "check_split",
            "features": "check_feature_leakage",
            "labels": "check_label_leakage",
        }.get(self.task)
        method = method or {"causality": "check_causality", "warmup": "check_warmup"}.get(
            self.task, self.task
        )
        arguments = self.make()
        keywords = arguments.pop() if isinstance(arguments[-1], dict) else {}
        return getattr(validator, method)(*arguments, **keywords)


@cache
def market(n=1200):
    """Labelled S&P 500 bars: (bars, y)."""
    labeler = AdaptiveLabeler(horizon=HORIZON, base_threshold=0.5, scaling="sigma")
    return labeler.fit_resample(load_sp500().iloc[-n:])


@cache
def panel():
    bars = load_us_stocks()
    bars = bars[bars.index.get_level_values(1) >= "2010"]
    return AdaptiveLabeler(horizon=HORIZON, base_threshold=0.5, scaling="sigma").fit_resample(bars)


@cache
def features():
    """A plain table of causal features, without a history: (X, y)."""
    bars, y = market()
    X = BarFeatures(windows=(5, 20)).fit_transform(bars).dropna()
    X.attrs = {}
    return X, y.loc[X.index]


def two_classes():
    X, y = features()
    binary = (y == 2).astype(int)
    binary.attrs = dict(y.attrs)
    return X, binary


def said_horizon(y, bars):
    """Labels without a handle that say only how many bars they look ahead."""
    out = y.copy()
    out.attrs = {"label_horizon": bars}
    return out


def keep_attrs(y, **attrs):
    y = y.copy()
    y.attrs.update(attrs)
    return y


# -- transformers and functions --------------------------------------------------------------------


def column(function):
    return FunctionTransformer(lambda bars: function(bars["close"]).to_frame("x"))


class BatchNormalizer(TransformerMixin, BaseEstimator):
    """Scales by the rows of the call."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        values = np.asarray(X, dtype=float)
        return (values - values.mean(axis=0)) / values.std(axis=0)


class HistoryPeeker(BatchNormalizer):
    """Learns its mean from the whole history behind the handle."""

    def fit(self, X, y=None):
        self.mean_ = X.attrs["history"].frame["close"].mean()
        return self

    def transform(self, X):
        return X[["close"]] / self.mean_


class HandleAhead(BatchNormalizer):
    """Reads tomorrow's close out of the handle."""

    def transform(self, X):
        return X.attrs["history"].frame["close"].shift(-1).reindex(X.index).to_frame()


class Joined(TransformerMixin, BaseEstimator):
    """Looks values up in a frame it was given."""

    def __init__(self, table=None):
        self.table = table

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return self.table["close"].rolling(3, center=True).mean().reindex(X.index).to_frame()


class PastScaler(BatchNormalizer):
    """Scales by the rows of fit."""

    def fit(self, X, y=None):
        self.mean_, self.std_ = X.mean(), X.std()
        return self

    def transform(self, X):
        return (X - self.mean_) / self.std_


class DropsRows(BatchNormalizer):
    def transform(self, X):
        return np.asarray(X)[5:]


class InnerHoldout(ClassifierMixin, BaseEstimator):
    """Chooses C on a random part of its training rows."""

    def fit(self, X, y):
        a, b, ya, yb = train_test_split(X, y, random_state=0)
        models = [LogisticRegression(C=c, max_iter=200).fit(a, ya) for c in (0.1, 1.0)]
        self.model_ = max(models, key=lambda model: model.score(b, yb))
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)


class BatchVoter(ClassifierMixin, BaseEstimator):
    """Calls the upper half of each batch a buy."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.direction_ = np.corrcoef(np.asarray(X)[:, 0], y)[0, 1]
        return self

    def predict(self, X):
        score = np.asarray(X)[:, 0] * self.direction_
        return np.where(score > np.median(score), self.classes_[-1], self.classes_[0])


class Balanced:
    """Folds cut so that all hold as many positive labels: the cut looks at every label."""

    def get_n_splits(self, X=None, y=None, groups=None):
        return 3

    def split(self, X, y=None, groups=None):
        share = np.cumsum(np.asarray(y) == 2) / (np.asarray(y) == 2).sum()
        edges = np.searchsorted(share, [0.25, 0.5, 0.75, 1.0])
        for low, high in zip(edges, edges[1:]):
            yield np.arange(max(low - 20, 1)), np.arange(low, high)


class PlainWalk(Balanced):
    """The same with cuts by the calendar."""

    def split(self, X, y=None, groups=None):
        n = len(X)
        for low in (n // 4, n // 2, 3 * n // 4):
            yield np.arange(low - 20), np.arange(low, low + n // 4)


def bars_with(function):
    return lambda: [column(function), market()[0]]


def apply_to_bars(function):
    return lambda: [function, market()[0]]


def fft_low_pass(bars):
    spectrum = np.fft.rfft(bars["close"].to_numpy())
    spectrum[30:] = 0
    return np.fft.irfft(spectrum, len(bars))


def end_point_labels(horizon, said, fill=None):
    def labels(bars):
        ahead = np.sign(bars["close"].shift(-horizon) / bars["close"] - 1)
        ahead = ahead if fill is None else ahead.fillna(fill)
        ahead.attrs["label_horizon"] = said
        return ahead

    return labels


# -- tables that were prepared outside -------------------------------------------------------------


def audited(change=None, estimator=None, data=features, cv=WALK):
    def make():
        X, y = data()
        X = X.copy()
        out = X if change is None else change(X, y)
        X, y = out if isinstance(out, tuple) else (out, y)
        return [LogisticRegression(max_iter=200) if estimator is None else estimator(), X, y, cv]

    return make


def transformed(transformer):
    return audited(lambda X, y: pd.DataFrame(transformer.fit_transform(X), X.index, X.columns))


def with_column(function):
    return audited(lambda X, y: X.assign(extra=function(X, y)).fillna(0.0))


def close_of(X):
    return market()[0]["close"].loc[X.index]


def target_encoded(X, y):
    shops = pd.Series(np.random.default_rng(0).integers(0, 120, len(X)), X.index)
    return (y == 2).astype(float).groupby(shops).transform("mean")


def oversampled(sampler):
    def change(X, y):
        new, labels = sampler.fit_resample(X, y)
        order = np.random.default_rng(0).permutation(len(new))
        return new.to_numpy()[order], keep_attrs(
            pd.Series(np.asarray(labels)[order]), label_horizon=HORIZON
        )

    return change


def halves(change=None):
    def make():
        X, y = features()
        X = X if change is None else change(X)
        cut = int(0.7 * len(X))
        return [X.iloc[:cut], X.iloc[cut + HORIZON :] if change is None else X.iloc[cut:]]

    return make


def mean_filled(X):
    holes = X.mask(np.random.default_rng(0).random(X.shape) < 0.05)
    return holes.fillna(holes.mean())


def bars_pipeline(*steps):
    return lambda: make_pipeline(BarFeatures(windows=(5, 20)), SimpleImputer(), *steps)


def split(cv, data=market, **keywords):
    def make():
        X, y = data()
        return [cv() if callable(cv) else cv, X, y, keywords]

    return make


def own_pairs(cut_to_test, embargo=0):
    """One fold with a chosen distance between train and test."""

    def make():
        X, y = market()
        return [[(np.arange(600 - cut_to_test), np.arange(600, 800))], X, y, {}]

    return make


def grid(**space):
    return GridSearchCV(RandomForestClassifier(), space, cv=FIXED)


L = LogisticRegression
LEAKS = [
    # folds
    Case("shuffled KFold", "split", split(KFold(5, shuffle=True, random_state=0)), "overlap"),
    Case("KFold in blocks", "split", split(KFold(5)), "order"),
    Case("StratifiedKFold", "split", split(StratifiedKFold(5)), "selection"),
    Case("ShuffleSplit", "split", split(ShuffleSplit(3, random_state=0)), "order"),
    Case("TimeSeriesSplit without a gap", "split", split(TimeSeriesSplit(4)), "overlap"),
    Case(
        "TimeSeriesSplit with a negative gap",
        "split",
        split(TimeSeriesSplit(4, gap=-3)),
        "shared_rows",
    ),
    Case(
        "purge one bar too short",
        "split",
        own_pairs(HORIZON - 1),
        "overlap",
        {"fold": 0, "row": 595},
    ),
    Case(
        "trains on the future only",
        "split",
        lambda: [[(np.arange(700, 900), np.arange(300))], *market()],
        "order",
        {"fold": 0, "row": 700},
    ),
    Case(
        "folds by symbol",
        "split",
        lambda: [
            list(GroupKFold(3).split(*panel(), groups=panel()[0].index.get_level_values(0))),
            *panel(),
        ],
        "shared_time",
    ),
    Case(
        "embargo asked for and not kept",
        "split",
        split(lambda: _boasting()),
        "embargo",
        {"parameter": "embargo_bars"},
    ),
    Case("folds cut by all labels", "split", split(Balanced()), "selection", {"fold": 0}),
    Case(
        "groups on both sides",
        "split",
        lambda: [WALK, *market(), {"groups": np.arange(len(market()[0])) % 50}],
        "shared_group",
    ),
    # look-ahead in transformers
    Case(
        "shift(-1)",
        "causality",
        bars_with(lambda c: c.shift(-1)),
        "look_ahead",
        {"column": "x", "input": "close"},
    ),
    Case(
        "centred rolling mean",
        "causality",
        bars_with(lambda c: c.rolling(9, center=True).mean()),
        "look_ahead",
        {"column": "x"},
    ),
    Case(
        "warm-up filled backwards",
        "causality",
        bars_with(lambda c: c.rolling(20).mean().bfill()),
        "look_ahead",
        {"row": 0},
    ),
    Case(
        "gaps filled backwards", "causality", apply_to_bars(lambda bars: bars.bfill()), "look_ahead"
    ),
    Case(
        "gaps interpolated",
        "causality",
        apply_to_bars(lambda bars: bars.interpolate()),
        "look_ahead",
    ),
    Case(
        "np.gradient",
        "causality",
        apply_to_bars(lambda bars: np.gradient(bars["close"].to_numpy())),
        "look_ahead",
    ),
    Case("low-pass by FFT", "causality", apply_to_bars(fft_low_pass), "look_ahead", {"row": 0}),
    Case(
        "Savitzky-Golay",
        "causality",
        apply_to_bars(lambda bars: savgol_filter(bars["close"], 11, 2)),
        "look_ahead",
    ),
    Case("rank over the sample", "causality", bars_with(lambda c: c.rank(pct=True)), "look_ahead"),
    Case(
        "z-score over the sample",
        "causality",
        bars_with(lambda c: (c - c.mean()) / c.std()),
        "look_ahead",
        {"row": 0},
    ),
    Case(
        "drawdown from the final peak", "causality", bars_with(lambda c: c / c.max()), "look_ahead"
    ),
    Case(
        "weekly bars stamped at week start",
        "causality",
        apply_to_bars(lambda b: b.resample("W-MON", label="left", closed="left").last()),
        "look_ahead",
    ),
    Case(
        "next close on big days only",
        "causality",
        bars_with(lambda c: c.where(c.pct_change().abs() < 0.015, c.shift(-1))),
        "look_ahead",
    ),
    Case(
        "statistics of the batch",
        "causality",
        lambda: [BatchNormalizer(), market()[0]],
        "look_ahead",
        {"step": "BatchNormalizer"},
    ),
    Case(
        "fit reads the whole history",
        "causality",
        lambda: [HistoryPeeker(), market()[0]],
        "look_ahead",
        {"step": "HistoryPeeker"},
    ),
    Case(
        "transform reads the handle ahead",
        "causality",
        lambda: [HandleAhead(), market()[0]],
        "look_ahead",
        {"column": "close"},
    ),
    Case(
        "joins a frame that looks ahead",
        "causality",
        lambda: [Joined(market()[0][["close"]]), market()[0]],
        "look_ahead",
        {"step": "Joined"},
    ),
    Case(
        "one leaky step of three",
        "causality",
        lambda: [make_pipeline(PastScaler(), column_of_first(), StandardScaler()), market()[0]],
        "look_ahead",
        {"step": "functiontransformer"},
    ),
    Case(
        "exponential mean",
        "warmup",
        bars_with(lambda c: c.ewm(span=20).mean()),
        "infinite_memory",
        {"column": "x"},
    ),
    Case(
        "cumulative sum",
        "warmup",
        bars_with(lambda c: c.cumsum()),
        "infinite_memory",
        {"column": "x"},
    ),
    # labels
    Case(
        "labels reach further than they say",
        "causality",
        apply_to_bars(end_point_labels(10, 5)),
        "label_horizon",
    ),
    Case(
        "unknown labels called hold",
        "causality",
        apply_to_bars(end_point_labels(5, 5, fill=0)),
        "premature_label",
    ),
    Case(
        "last labels filled with hold",
        "labels",
        lambda: [AdaptiveLabeler(horizon=5).fit(market()[0]).transform(market()[0]).fillna(1.0), 0],
        "known_tail",
    ),
    Case(
        "labels missing in the middle",
        "labels",
        lambda: [_holes(), 25],
        "unknown_label",
        {"row": 300},
    ),
    Case(
        "declared horizon too short",
        "audit",
        audited(lambda X, y: (X, said_horizon(y, 1)), bars_pipeline(L(max_iter=200)), market),
        "label_horizon",
    ),
    # inside the estimator
    Case(
        "boosting stops early",
        "inspect",
        lambda: [
            make_pipeline(StandardScaler(), HistGradientBoostingClassifier(early_stopping=True))
        ],
        "random_early_stopping",
        {
            "step": "histgradientboostingclassifier",
            "parameter": "histgradientboostingclassifier__early_stopping",
        },
    ),
    Case(
        "boosting by default",
        "inspect",
        lambda: [HistGradientBoostingClassifier()],
        "random_early_stopping",
        {"parameter": "early_stopping"},
    ),
    Case(
        "n_iter_no_change",
        "inspect",
        lambda: [GradientBoostingClassifier(n_iter_no_change=5)],
        "random_early_stopping",
        {"parameter": "n_iter_no_change"},
    ),
    Case(
        "multilayer perceptron stops early",
        "inspect",
        lambda: [MLPClassifier(early_stopping=True)],
        "random_early_stopping",
        {"parameter": "early_stopping"},
    ),
    Case(
        "SGD stops early",
        "inspect",
        lambda: [SGDClassifier(early_stopping=True)],
        "random_early_stopping",
        {"parameter": "early_stopping"},
    ),
    Case(
        "out-of-bag score of a forest",
        "inspect",
        lambda: [make_pipeline(PCA(2), RandomForestClassifier(oob_score=True))],
        "oob_score",
        {"step": "randomforestclassifier"},
    ),
    Case(
        "out-of-bag score of bagging",
        "inspect",
        lambda: [BaggingClassifier(L(), oob_score=True)],
        "oob_score",
        {"parameter": "oob_score"},
    ),
    Case(
        "calibration with its default cv",
        "inspect",
        lambda: [CalibratedClassifierCV(L())],
        "inner_cv",
        {"parameter": "cv"},
    ),
    Case(
        "stacking with five folds",
        "inspect",
        lambda: [StackingClassifier([("a", L())], cv=5)],
        "inner_cv",
        {"parameter": "cv"},
    ),
    Case(
        "threshold on a random part",
        "inspect",
        lambda: [TunedThresholdClassifierCV(L(), cv=0.3)],
        "inner_cv",
        {"parameter": "cv"},
    ),
    Case("RFECV by default", "inspect", lambda: [RFECV(L())], "inner_cv", {"parameter": "cv"}),
    Case(
        "sequential selection by default",
        "inspect",
        lambda: [make_pipeline(SequentialFeatureSelector(L()), L())],
        "inner_cv",
        {"step": "sequentialfeatureselector"},
    ),
    Case(
        "LogisticRegressionCV",
        "inspect",
        lambda: [LogisticRegressionCV()],
        "inner_cv",
        {"parameter": "cv"},
    ),
    Case(
        "leave-one-out of ridge",
        "inspect",
        lambda: [RidgeClassifierCV()],
        "inner_cv",
        {"parameter": "cv"},
    ),
    Case(
        "grid search with shuffled folds",
        "inspect",
        lambda: [GridSearchCV(L(), {"C": [1]}, cv=KFold(3, shuffle=True))],
        "inner_cv",
        {"parameter": "cv"},
    ),
    Case(
        "random search with ShuffleSplit",
        "inspect",
        lambda: [RandomizedSearchCV(L(), {"C": [1]}, cv=ShuffleSplit(3))],
        "inner_cv",
        {"parameter": "cv"},
    ),
    Case(
        "a grid that switches oob on",
        "inspect",
        lambda: [grid(oob_score=[False, True])],
        "inner_split_in_grid",
        {"parameter": "param_grid"},
    ),
    Case(
        "shuffling target encoder",
        "inspect",
        lambda: [make_pipeline(TargetEncoder(), L())],
        "shuffled_encoder",
        {"step": "targetencoder"},
    ),
    Case(
        "skorch's own validation split",
        "inspect",
        lambda: [NeuralNetClassifier(torch.nn.Linear)],
        "skorch_valid_split",
        {"parameter": "train_split"},
    ),
    Case(
        "SMOTE before an inner search",
        "inspect",
        lambda: [make_imb_pipeline(SMOTE(), GridSearchCV(L(), {"C": [1]}, cv=FIXED))],
        "resampling_before_cv",
        {"parameter": "smote"},
    ),
    Case(
        "own code calls train_test_split",
        "inspect",
        lambda: [make_pipeline(StandardScaler(), InnerHoldout())],
        "inner_split",
        {"step": "innerholdout"},
    ),
    Case(
        "a scaler frozen after all rows",
        "inspect",
        lambda: [make_pipeline(FrozenEstimator(StandardScaler().fit(features()[0])), L())],
        "prefitted",
        {"step": "frozenestimator"},
    ),
    # what was done before the pipeline
    Case(
        "scaled on all rows",
        "audit",
        transformed(StandardScaler()),
        "fitted_on_all_rows",
        {"column": "return_1"},
    ),
    Case("ranges of all rows", "audit", transformed(MinMaxScaler()), "fitted_on_all_rows"),
    Case(
        "ranks of all rows", "audit", audited(lambda X, y: X.rank(pct=True)), "fitted_on_all_rows"
    ),
    Case(
        "quantiles of all rows",
        "audit",
        transformed(QuantileTransformer(n_quantiles=1000, output_distribution="normal")),
        "fitted_on_all_rows",
    ),
    Case(
        "bins of all rows",
        "audit",
        transformed(KBinsDiscretizer(8, encode="ordinal", quantile_method="averaged_inverted_cdf")),
        "fitted_on_all_rows",
    ),
    Case(
        "filled with the mean of all rows",
        "audit",
        audited(lambda X, y: mean_filled(X)),
        "fitted_on_all_rows",
    ),
    Case(
        "train and val scaled together",
        "features",
        halves(lambda X: (X - X.mean()) / X.std()),
        "fitted_on_all_rows",
        {"column": "return_1"},
    ),
    Case(
        "rows shared by train and val",
        "features",
        lambda: [features()[0].iloc[:700], features()[0].iloc[650:]],
        "shared_rows",
    ),
    Case(
        "the label as a feature",
        "audit",
        with_column(lambda X, y: y),
        "target_leak",
        {"column": "extra"},
    ),
    Case(
        "a label not yet known as a feature",
        "audit",
        with_column(lambda X, y: y.shift(2)),
        "target_leak",
        {"column": "extra"},
    ),
    Case(
        "the outcome's return as a feature",
        "audit",
        with_column(lambda X, y: close_of(X).shift(-HORIZON) / close_of(X) - 1),
        "target_leak",
        {"column": "extra"},
    ),
    Case(
        "a centred mean beside the bars",
        "audit",
        audited(
            lambda X, y: (
                market()[0]
                .assign(extra=market()[0]["close"].rolling(5, center=True).mean())
                .bfill()
                .ffill()
                .loc[X.index]
                .pipe(_plain)
            )
        ),
        "look_ahead_column",
        {"column": "extra"},
    ),
    Case(
        "targets encoded on all rows",
        "audit",
        with_column(target_encoded),
        "target_encoded_on_all_rows",
        {"column": "extra"},
    ),
    Case(
        "SMOTE before the folds",
        "audit",
        audited(oversampled(SMOTE(random_state=0)), data=two_classes),
        "synthetic_rows",
    ),
    Case(
        "copies before the folds",
        "audit",
        audited(oversampled(RandomOverSampler(random_state=0)), data=two_classes),
        "duplicate_rows",
    ),
    Case(
        "predictions that rank the batch", "audit", audited(estimator=BatchVoter), "row_dependence"
    ),
    Case(
        "a leaky step in a pipeline",
        "audit",
        audited(
            estimator=lambda: make_pipeline(
                BarFeatures(windows=(5, 20)), SimpleImputer(), BatchNormalizer(), L()
            ),
            data=market,
        ),
        "look_ahead",
        {"step": "batchnormalizer"},
    ),
    Case(
        "a transformer that drops rows",
        "audit",
        audited(estimator=lambda: make_pipeline(DropsRows(), L())),
        "rows_dropped",
    ),
]

CLEAN = [
    Case("purged walk-forward", "split", split(WALK)),
    Case(
        "rolling walk-forward",
        "split",
        split(
            EnhancedWalkForwardCV(
                3, window="rolling", ensure_regime_coverage=False, min_samples_per_fold=50
            )
        ),
    ),
    Case("combinatorial purged folds", "split", split(CombinatorialPurgedCV(5, 2))),
    Case("one ordered split", "split", split(TemporalSplitter())),
    Case("TimeSeriesSplit with a gap", "split", split(TimeSeriesSplit(4, gap=HORIZON))),
    Case("purge of exactly the horizon", "split", own_pairs(HORIZON)),
    Case("walk-forward on a panel", "split", split(WALK, panel)),
    Case("folds cut by the calendar", "split", split(PlainWalk())),
    Case("past returns", "causality", bars_with(lambda c: c.pct_change())),
    Case("rolling mean", "causality", bars_with(lambda c: c.rolling(9).mean())),
    Case("gaps filled forwards", "causality", apply_to_bars(lambda bars: bars.ffill())),
    Case("expanding rank", "causality", bars_with(lambda c: c.expanding(20).rank(pct=True))),
    Case("drawdown from the peak so far", "causality", bars_with(lambda c: c / c.cummax())),
    Case(
        "weekly bars stamped at week end",
        "causality",
        apply_to_bars(lambda b: b.resample("W-FRI").last()),
    ),
    Case("a scaler learned in fit", "causality", lambda: [PastScaler(), market()[0]]),
    Case(
        "quantiles learned in fit",
        "causality",
        lambda: [QuantileTransformer(n_quantiles=100), market()[0]],
    ),
    Case("BarFeatures", "causality", lambda: [BarFeatures(), market()[0]]),
    Case("RegimeDetector", "causality", lambda: [RegimeDetector(lookback=20), market()[0]]),
    Case(
        "windows of features",
        "causality",
        lambda: [make_pipeline(BarFeatures(windows=(5,)), SlidingWindow(lookback=5)), market()[0]],
    ),
    Case("rolling mean, any history", "warmup", bars_with(lambda c: c.rolling(20).mean())),
    Case("end-point labels", "causality", apply_to_bars(end_point_labels(5, 5))),
    Case("AdaptiveLabeler", "causality", lambda: [AdaptiveLabeler(horizon=3), market()[0]]),
    Case("TripleBarrierLabeler", "causality", lambda: [TripleBarrierLabeler(), market()[0]]),
    Case(
        "labels unknown at the end",
        "labels",
        lambda: [AdaptiveLabeler(horizon=5).fit(market()[0]).transform(market()[0]), 25],
    ),
    Case(
        "boosting without early stopping",
        "inspect",
        lambda: [HistGradientBoostingClassifier(early_stopping=False)],
    ),
    Case("a forest", "inspect", lambda: [RandomForestClassifier()]),
    Case("calibration, purged", "inspect", lambda: [CalibratedClassifierCV(L(), cv=FIXED)]),
    Case(
        "stacking, purged",
        "inspect",
        lambda: [StackingClassifier([("a", L())], cv=CombinatorialPurgedCV(5, 1, horizon=HORIZON))],
    ),
    Case("grid search, purged", "inspect", lambda: [grid(max_depth=[2, 3])]),
    Case(
        "SMOTE inside the search",
        "inspect",
        lambda: [
            GridSearchCV(make_imb_pipeline(SMOTE(), L()), {"logisticregression__C": [1]}, cv=FIXED)
        ],
    ),
    Case("GRUClassifier", "inspect", lambda: [GRUClassifier()]),
    Case(
        "features and logistic regression",
        "audit",
        audited(
            estimator=lambda: make_pipeline(StandardScaler(), SelectKBest(k=5), L(max_iter=200))
        ),
    ),
    Case(
        "bars to forest",
        "audit",
        audited(
            estimator=bars_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)),
            data=market,
        ),
    ),
    Case(
        "scaled inside, SMOTE inside",
        "audit",
        audited(
            estimator=lambda: make_imb_pipeline(
                StandardScaler(), SMOTE(random_state=0), L(max_iter=200)
            )
        ),
    ),
    Case("an old label as a feature", "audit", with_column(lambda X, y: y.shift(HORIZON))),
    Case(
        "combinatorial audit of a panel",
        "audit",
        audited(
            estimator=bars_pipeline(L(max_iter=200)), data=panel, cv=CombinatorialPurgedCV(4, 1)
        ),
    ),
    Case("train, gap, val", "features", halves()),
]
CASES = LEAKS + CLEAN


def column_of_first():
    return FunctionTransformer(lambda X: np.asarray(X) / np.abs(np.asarray(X)).max(axis=0))


class _Boaster(EnhancedWalkForwardCV):
    def split(self, X, y=None, groups=None, label_end_times=None):
        return EnhancedWalkForwardCV(
            self.n_splits, ensure_regime_coverage=False, embargo_bars=2
        ).split(X, y)


def _boasting():
    return _Boaster(3, embargo_bars=20)


def _holes():
    y = AdaptiveLabeler(horizon=5).fit(market()[0]).transform(market()[0])
    y.iloc[300:310] = np.nan
    return y


def _plain(frame):
    frame = frame.copy()
    frame.attrs = {}
    return frame

"""Audits of what people have: nets, votes, searches, samplers, several outputs; verdicts that no
clock can change."""

import ast
from pathlib import Path
import time

from imblearn.ensemble import BalancedBaggingClassifier
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline as ImbPipeline
from imblearn.under_sampling import RandomUnderSampler, TomekLinks
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, RandomForestRegressor, VotingClassifier
from sklearn.feature_selection import RFECV, SequentialFeatureSelector
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNetCV,
    LassoCV,
    LassoLarsCV,
    LogisticRegression,
    LogisticRegressionCV,
    RidgeClassifierCV,
)
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import sktrain
from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    CompressedClassifier,
    EnhancedWalkForwardCV,
    GRUClassifier,
    LeakageValidator,
    MLPNetClassifier,
    OptunaSearchCV,
    SlidingWindow,
    TrainingCheckpoint,
    WindowSMOTE,
)
from sktrain.datasets import load_sp500, load_us_stocks, make_market
from sktrain.leakage import _inner_cv
from sktrain.testing import make_bars

WALK = EnhancedWalkForwardCV(3, ensure_regime_coverage=False, min_samples_per_fold=50)
INNER = EnhancedWalkForwardCV(2, horizon=3, ensure_regime_coverage=False, min_samples_per_fold=20)
QUICK = LeakageValidator(budget="quick", verbose=0, max_times=500)


@pytest.fixture(scope="module")
def market():
    return AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(
        load_sp500().iloc[-640:]
    )


@pytest.fixture(scope="module")
def table(market):
    X = BarFeatures(windows=(5, 20)).fit_transform(market[0]).dropna()
    X.attrs = {}
    return X.iloc[:, :8], market[1].loc[X.index]


def gru(**parameters):
    return GRUClassifier(max_epochs=30, module__hidden_size=4, random_state=0, **parameters)


def piped(last, lookback=5):
    return Pipeline(
        [
            ("features", BarFeatures(windows=(5, 10))),
            ("window", SlidingWindow(lookback=lookback)),
            ("net", last),
        ]
    )


@pytest.mark.parametrize(
    "model",
    [
        piped(gru()),
        pytest.param(
            piped(VotingClassifier([("a", gru()), ("b", gru(lr=0.01))], voting="soft")),
            marks=pytest.mark.slow,
        ),
        pytest.param(piped(CompressedClassifier(gru(), sparsity=0.3)), marks=pytest.mark.slow),
        ImbPipeline(
            [*piped(gru()).steps[:2], ("smote", WindowSMOTE(random_state=0)), ("net", gru())]
        ),
    ],
    ids=["net", "vote", "compressed", "sampler"],
)
def test_nets_are_audited_as_they_are(market, model):
    before = {
        name: value
        for name, value in model.get_params(deep=True).items()
        if isinstance(value, (int, float, str))
    }
    report = QUICK.audit(model, *market, WALK)
    assert report.status == "PASS", report.summary()
    assert report["checks"]["rotated labels"] == report["checks"]["predictions"] == "PASS"
    after = model.get_params(deep=True)
    assert all(after[name] == value for name, value in before.items())


class Naps(LogisticRegression):
    """Fits as slowly as it is told."""

    nap = 0.0

    def fit(self, X, y, sample_weight=None):
        time.sleep(self.nap)
        return super().fit(X, y)


def test_a_slow_fit_changes_nothing(market, monkeypatch):
    model = make_pipeline(BarFeatures(windows=(5,)), SimpleImputer(), Naps(max_iter=200))
    fast = QUICK.audit(model, *market, WALK)
    monkeypatch.setattr(Naps, "nap", 0.1)
    assert QUICK.audit(model, *market, WALK) == fast
    assert "rotated labels" in fast["checks"]


def test_no_module_of_the_package_reads_a_clock():
    for path in Path(sktrain.leakage.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not {"time", "datetime", "timeit"} & set(names), path


def test_budgets_are_fixed_numbers_and_reported(table):
    fits = [
        LeakageValidator(budget=name, verbose=0).audit(
            LogisticRegression(max_iter=300), *table, WALK
        )["experiments"]["fits"]
        for name in ("quick", "standard", "thorough")
    ]
    assert fits == [1 + 2 * 2, 1 + 3 * 3, 1 + 5 * 3], (
        "one fit for predictions, then rotations times folds; three folds are all there are"
    )
    with pytest.raises(ValueError, match="budget"):
        LeakageValidator(budget="huge").inspect(LogisticRegression())


def test_rotated_labels_that_cannot_be_scored_stay_in_the_checks(table):
    X, y = table

    class Fussy(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            if len(X) < 200:
                raise ValueError("too few rows for me")
            return super().fit(X, y)

    report = QUICK.audit(Fussy(max_iter=300), X, y, WALK)
    assert report["checks"]["rotated labels"] == "INCONCLUSIVE"
    assert report.status == "INCONCLUSIVE"


def test_regressors_are_held_to_rotated_labels():
    n, reach = 1500, 15
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=n + reach))
    X = pd.DataFrame(
        {"slow": pd.Series(walk[:n]).rolling(30, min_periods=1).mean().to_numpy(), "now": walk[:n]},
        pd.date_range("2020", periods=n),
    )
    X["age"] = np.arange(n)
    y = pd.Series(walk[reach:] - walk[:n], X.index)
    y.attrs["label_horizon"] = reach
    forest = RandomForestRegressor(20, random_state=0)
    assert QUICK.check_shuffled_labels(forest, X, y, KFold(4, shuffle=True, random_state=0)).codes(
        "error"
    ) == ["shuffled_labels"]
    assert QUICK.check_shuffled_labels(forest, X, y, WALK).status == "PASS"


def test_the_users_files_are_left_alone(market, table, tmp_path):
    X, y = table
    search = OptunaSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
        {"logisticregression__C": (0.1, 1.0)},
        n_trials=2,
        cv=INNER,
        storage=str(tmp_path / "study.db"),
        random_state=0,
    )
    assert QUICK.audit(search, X, y, WALK)["checks"]["predictions"] == "PASS"
    net = MLPNetClassifier(
        max_epochs=3,
        callbacks=[("checkpoint", TrainingCheckpoint(tmp_path / "steps"))],
        random_state=0,
    )
    assert QUICK.audit(net, X, y, WALK)["checks"]["rotated labels"] == "PASS"
    assert list(tmp_path.iterdir()) == []


# -- look-ahead in a few rows ----------------------------------------------------------------------


def peeking(case, share):
    """A transformer that looks ahead in a share of the rows, with the bars it is tried on."""
    bars = make_market(700, signal=0.0, random_state=case).bars
    chosen = pd.Series(np.random.default_rng(case).random(len(bars)) < share, bars.index)
    ahead = (1, 1, 2, 5)[case % 4]

    def column(rows):
        close = rows["close"]
        honest = (
            close.pct_change(),
            close.rolling(20).mean() / close,
            close.ewm(span=10).mean() / close,
        )[case % 3]
        return honest.where(~chosen.reindex(rows.index), close.shift(-ahead) / close - 1).to_frame(
            "x"
        )

    return FunctionTransformer(column), bars


@pytest.mark.parametrize(
    ("share", "least"), [(0.01, 10), pytest.param(0.03, 12, marks=pytest.mark.slow)]
)
def test_a_peek_in_a_few_rows_is_found(share, least):
    found = [
        "look_ahead" in LeakageValidator().check_causality(*peeking(case, share)).codes("error")
        for case in range(12)
    ]
    assert sum(found) >= least
    assert not any(
        LeakageValidator(budget="quick").check_causality(*peeking(case, 0.0)).errors
        for case in range(3)
    )


def test_a_filled_warmup_is_told_from_a_fault_and_named(market):
    bars, y = market
    model = make_pipeline(
        BarFeatures(windows=(5, 40)), SimpleImputer(), LogisticRegression(max_iter=300)
    )
    notes = [
        one for one in QUICK.audit(model, bars, y, WALK).findings if one.code.startswith("warmup")
    ]
    assert [(one.code, one.severity, one.where["step"]) for one in notes] == [
        ("warmup_filled", "info", "simpleimputer")
    ]
    assert (
        notes[0].where["column"] in BarFeatures(windows=(5, 40)).fit(bars).get_feature_names_out()
    )
    early = FunctionTransformer(
        lambda rows: rows["close"].rolling(40, min_periods=1).mean().to_frame("mean_40")
    )
    assert QUICK.check_warmup(make_pipeline(early, SimpleImputer()), bars).codes() == [
        "warmup_not_missing"
    ]


# -- several outputs, fitted searches --------------------------------------------------------------


@pytest.mark.parametrize("kind", ["frame", "array"])
def test_several_outputs_are_a_finding(table, kind):
    X, y = table
    both = pd.DataFrame({"a": y, "b": (y == 1).astype(int)})
    both.attrs["label_horizon"] = 3
    report = QUICK.audit(
        MultiOutputClassifier(LogisticRegression(max_iter=300)),
        X,
        both if kind == "frame" else both.to_numpy(),
        EnhancedWalkForwardCV(3, horizon=3, ensure_regime_coverage=False, min_samples_per_fold=50),
    )
    assert report.status == "INCONCLUSIVE"
    assert report.passed
    assert [one.severity for one in report.findings if one.code == "multi_output"] == ["info"]
    assert report["checks"]["predictions"] == "PASS"
    one = QUICK.audit(
        LogisticRegression(max_iter=300),
        X,
        both[["a"]].set_axis(["a"], axis=1),
        EnhancedWalkForwardCV(3, horizon=3, ensure_regime_coverage=False, min_samples_per_fold=50),
    )
    assert one.status == "PASS", one.summary()


def test_a_fitted_search_is_priced(table):
    X, y = table
    search = GridSearchCV(
        DecisionTreeClassifier(random_state=0), {"max_depth": [1, 3, 8]}, cv=INNER
    )
    assert QUICK.audit(search, X, y, WALK).status == "PASS"
    search.fit(X, y)
    finding = next(
        one
        for one in LeakageValidator(verbose=0).audit(search, X, y, WALK).errors
        if one.code == "tuned_outside_folds"
    )
    nested = cross_val_score(search, X, y, cv=WALK).mean()
    assert finding.evidence["nested"] == pytest.approx(nested)
    assert finding.evidence["price"] == pytest.approx(search.best_score_ - nested)
    elsewhere = QUICK.audit(search.fit(X.iloc[:400], y.iloc[:400]), X, y, WALK)
    assert elsewhere.status == "INCONCLUSIVE"
    assert "fitted_search" in elsewhere.codes("warning")


# -- what strips the index, what spoils a net's validation -----------------------------------------


class Notes(TimeSeriesSplit):
    """Writes down what it is handed."""

    seen = []

    def split(self, X, y=None, groups=None):
        self.seen.append(type(X))
        return super().split(X, y, groups)


@pytest.mark.parametrize(
    "make",
    [
        lambda cv: RFECV(LogisticRegression(), cv=cv),
        lambda cv: SequentialFeatureSelector(LogisticRegression(), cv=cv, n_features_to_select=1),
        lambda cv: LogisticRegressionCV(cv=cv, Cs=[1.0]),
        lambda cv: RidgeClassifierCV(cv=cv),
        lambda cv: LassoCV(cv=cv),
        lambda cv: ElasticNetCV(cv=cv),
        lambda cv: LassoLarsCV(cv=cv),
        lambda cv: GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=cv),
    ],
)
def test_the_table_of_what_strips_the_index_is_that_of_scikit_learn(make):
    X = pd.DataFrame(
        np.random.default_rng(0).normal(size=(120, 3)), pd.date_range("2020", periods=120)
    )
    y = pd.Series(np.arange(120) % 2, X.index)
    Notes.seen = []
    model = make(Notes(3)).fit(X, y)
    assert ({np.ndarray} == set(Notes.seen)) == (type(model).__name__ in _inner_cv.STRIPPED)


def test_what_strips_the_index_passes_only_where_order_is_enough(table):
    X, y = table
    selector = RFECV(LogisticRegression(max_iter=300), cv=INNER, step=4)
    report = QUICK.audit(make_pipeline(selector, LogisticRegression(max_iter=300)), X, y, WALK)
    assert report.status == "PASS", report.summary()
    assert "index_stripped" in report.codes("warning")
    blind = EnhancedWalkForwardCV(2, ensure_regime_coverage=False, min_samples_per_fold=20)
    for report in (
        QUICK.inspect(RFECV(LogisticRegression(), cv=blind)),
        QUICK.audit(RFECV(LogisticRegression(max_iter=300), cv=blind, step=4), X, y, WALK),
    ):
        assert report.status != "PASS"
    bars = load_us_stocks()
    bars = bars[bars.index.get_level_values(1) >= "2011-06"]
    panel, labels = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(
        bars
    )
    features = panel[["close", "volume"]].groupby(level=0).pct_change().fillna(0.0)
    features.attrs = {}
    report = QUICK.audit(selector, features, labels, WALK)
    assert report.status != "PASS"
    assert any(
        one.code == "index_stripped" and one.status == "INCONCLUSIVE" for one in report.findings
    )


@pytest.mark.parametrize(
    ("sampler", "before", "spoilt"),
    [
        (SMOTE(), SimpleImputer(), True),
        (SMOTE(), SimpleImputer().set_output(transform="pandas"), True),
        (RandomOverSampler(), SimpleImputer(), True),
        (RandomUnderSampler(), SimpleImputer(), True),
        (RandomUnderSampler(), SimpleImputer().set_output(transform="pandas"), False),
        (TomekLinks(), SimpleImputer(), False),
        (WindowSMOTE(), SimpleImputer(), False),
    ],
)
def test_samplers_are_judged_by_what_the_net_validates_on(sampler, before, spoilt):
    model = ImbPipeline(
        [
            ("features", BarFeatures()),
            ("fill", before),
            ("sampler", sampler),
            ("net", MLPNetClassifier()),
        ]
    )
    report = QUICK.inspect(model)
    assert ("resampled_validation" in report.codes("error")) == spoilt
    fixed = QUICK.repair(model, EnhancedWalkForwardCV(horizon=3))
    assert QUICK.inspect(fixed).status == "PASS"
    assert (fixed[-1].train_split is None) == spoilt


class SaysRows(MLPNetClassifier):
    """A net that keeps the rows it trains and validates on, by their first column."""

    def fit(self, X, y=None, sample_weight=None, **params):
        super().fit(X, y, sample_weight=sample_weight, **params)
        block, first = self.validation_, np.asarray(X)[:, 0]
        valid = [] if block.valid is None else first[block.valid]
        self.shared_ = np.isin(valid, first[block.train]).sum()
        return self


@pytest.mark.parametrize(
    ("bag", "inside", "leaks"),
    [
        (BaggingClassifier, lambda net: net, False),
        (BaggingClassifier, lambda net: make_pipeline(StandardScaler(), net), True),
        (BalancedBaggingClassifier, lambda net: net, False),
    ],
)
@pytest.mark.filterwarnings("ignore::sktrain.exceptions.ResamplingWarning")
@pytest.mark.filterwarnings("ignore::sktrain.exceptions.UnknownHorizonWarning")
def test_bags_are_judged_by_what_the_net_inside_validates_on(bag, inside, leaks):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 3)), rng.integers(0, 2, 300)
    net = SaysRows(max_epochs=1, module__hidden_size=2, random_state=0, horizon=0)
    model = bag(inside(net), n_estimators=1, random_state=0)
    fitted = clone(model).fit(X, y).estimators_[0]
    fitted = fitted[-1] if hasattr(fitted, "steps") else fitted
    assert (fitted.shared_ > 0) == leaks
    report = QUICK.inspect(make_pipeline(SimpleImputer(), model))
    assert ("bagged_validation" in report.codes("error")) == leaks
    assert QUICK.inspect(QUICK.repair(model, EnhancedWalkForwardCV(horizon=3))).status == "PASS"


def test_a_search_inside_a_bag_is_refused():
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=EnhancedWalkForwardCV(horizon=3))
    for bag in (BaggingClassifier, BalancedBaggingClassifier):
        report = QUICK.inspect(bag(search))
        assert report.codes("error") == ["bagged_validation"]
        assert "copies stand on both sides" in report.summary()


def test_rows_of_an_audit_remember_the_bars_before_them():
    """Features that are known from the first row on in a fold are so in every experiment: a step
    that refuses missing values is audited whole, however long the history before its rows."""
    bars = make_bars(1500, random_state=3)
    X, y = AdaptiveLabeler(horizon=2, scaling="sigma", base_threshold=0.5).fit_resample(bars)
    X, y = X.iloc[200:], y.iloc[200:]  # more rows than one experiment takes, 200 bars before them
    model = make_pipeline(BarFeatures(), PCA(3), LogisticRegression())
    cv = EnhancedWalkForwardCV(n_splits=2, ensure_regime_coverage=False)
    assert np.isfinite(cross_val_score(model, X, y, cv=cv)).all()
    report = LeakageValidator(budget="quick", max_times=800).audit(model, X, y, cv)
    assert report.status == "PASS", report
    assert {"causality", "warmup", "predictions"} <= set(report.checks)


class FilledBackwards(TransformerMixin, BaseEstimator):
    """A mean of 20 bars that reads its rows' history, missing values filled from later rows."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        bars = X.attrs["history"].frame["close"]
        return bars.pct_change().rolling(20).mean().bfill().reindex(X.index).to_frame()


@pytest.mark.parametrize("most", [400, 5000])
def test_a_warmup_filled_from_later_rows_is_found_behind_a_history(most):
    """The first rows start cold in one experiment, also where bars before them are known."""
    bars = make_bars(900, random_state=4).iloc[100:]
    report = LeakageValidator(max_times=most).check_causality(FilledBackwards(), bars)
    assert [finding.code for finding in report.findings] == ["look_ahead"], report

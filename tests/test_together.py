"""Any two parts of sktrain in one pipeline: a cell for every part and everything a pipeline is put
through, generated from lists.

A part is exchanged for another in one base pipeline (labels, features, a resampler or a check, a
classifier, folds), and by default each part meets every column. Folds stand in the base pipeline as
those of a search around it. Every two parts, in the columns where they meet (of the costly ones,
that of their turn), and the product of features, middles and classifiers are marked slow. A cell
that is meant to fail stands in ``REFUSED`` with the words the user gets and the reason.
"""

from functools import cache
import json
import subprocess
import sys
import warnings

from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline
import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

import sktrain as st
from sktrain.datasets import load_sp500, make_market, make_news
from sktrain.ensemble import PooledClassifier
from sktrain.evaluation import null_calibration
from sktrain.news import NewsFeatures, with_news
from sktrain.resample import ResampledClassifier

N_ROWS = 300
SMALL = {
    "max_epochs": 1,
    "module__hidden_size": 4,
    "module__n_layers": 1,
    "random_state": 0,
    "batch_size": 64,
}


def net(name, **changes):
    return getattr(st, name)(**{**SMALL, **changes})


LABELERS = {
    "adaptive": lambda: st.AdaptiveLabeler(horizon=2, base_threshold=0.5, scaling="sigma"),
    "barriers": lambda: st.TripleBarrierLabeler(max_holding=3),
}
SOURCES = {
    "bars": lambda: [("features", st.BarFeatures(windows=(5,)))],
    "windows": lambda: [
        ("features", st.BarFeatures(windows=(5,))),
        ("window", st.SlidingWindow(3)),
    ],
    "flat windows": lambda: [
        ("features", st.BarFeatures(windows=(5,))),
        ("window", st.SlidingWindow(3, flatten=True)),
    ],
    "news": lambda: [
        (
            "features",
            NewsFeatures(
                make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=0)),
                features=st.BarFeatures(windows=(5,)),
            ),
        )
    ],
}
MIDDLES = {
    "nothing": list,
    "drift": lambda: [("drift", st.DriftDetector(on_drift="ignore"))],
    "WindowSMOTE": lambda: [("sampler", st.WindowSMOTE(random_state=0))],
    "SMOTE": lambda: [("sampler", SMOTE(random_state=0))],
    "RandomOverSampler": lambda: [("sampler", RandomOverSampler(random_state=0))],
}
CLASSIFIERS = {
    "logistic": lambda: make_pipeline(SimpleImputer(), LogisticRegression(C=1e-3, max_iter=2000)),
    "boosting": lambda: HistGradientBoostingClassifier(
        max_iter=2, max_leaf_nodes=4, early_stopping=False, random_state=0
    ),
    "mlp": lambda: net("MLPNetClassifier"),
    "gru": lambda: net("GRUClassifier"),
    "lstm": lambda: net("LSTMClassifier"),
    "tcn": lambda: net("TCNClassifier"),
    "transformer": lambda: net("TransformerClassifier", module__hidden_size=8),
    "vote": lambda: VotingClassifier(
        [("a", net("MLPNetClassifier")), ("b", net("MLPNetClassifier", random_state=1))],
        voting="soft",
    ),
    "pooled": lambda: PooledClassifier(
        [("a", net("MLPNetClassifier")), ("b", net("GRUClassifier"))]
    ),
    "calibrated": lambda: CalibratedClassifierCV(
        net("MLPNetClassifier"), cv=st.TemporalSplitter(embargo_bars=0, horizon=3), ensemble=True
    ),
    "compressed": lambda: st.CompressedClassifier(net("MLPNetClassifier"), sparsity=0.3),
    "guard": lambda: st.DriftGuard(net("MLPNetClassifier"), on_drift="warn"),
    "resampled": lambda: ResampledClassifier(net("MLPNetClassifier"), random_state=0),
}
FOLDS = {
    "one split": lambda: st.TemporalSplitter(embargo_bars=1),
    "one fold": lambda: walk_forward(1),
    "two folds": lambda: walk_forward(2),
    "five folds": lambda: walk_forward(5),
    "blocks": lambda: st.CombinatorialPurgedCV(4, 1, embargo_bars=1),
    "28 folds": lambda: st.CombinatorialPurgedCV(8, 2, embargo_bars=1),
}
BASE = {
    "labels": "adaptive",
    "features": "bars",
    "middle": "nothing",
    "classifier": "logistic",
    "folds": "two folds",
}
KINDS = {
    "labels": LABELERS,
    "features": SOURCES,
    "middle": MIDDLES,
    "classifier": CLASSIFIERS,
    "folds": FOLDS,
}


def walk_forward(n):
    return st.EnhancedWalkForwardCV(
        n, embargo_bars=1, min_samples_per_fold=20, ensure_regime_coverage=False
    )


def cell(kind, part, column=None):
    """The base pipeline with one part exchanged; a net where windows or updates ask for one."""
    learns = column is learns_on and kind != "classifier"
    net_needed = learns or (kind, part) == ("features", "windows")
    return {**BASE, **({"classifier": "mlp"} if net_needed else {}), kind: part}


@cache
def bars_of(news):
    bars = load_sp500()
    if not news:
        return bars.iloc[-N_ROWS - 40 :]
    market = make_market(N_ROWS + 40, random_state=0)
    return with_news(market.bars, make_news(market, random_state=0).articles)


@cache
def rows_of(labels, news):
    return LABELERS[labels]().fit_resample(bars_of(news))


class Case:
    """One pipeline and its rows; fitted once."""

    def __init__(self, parts):
        self.parts = parts
        self.X, self.y = rows_of(parts["labels"], parts["features"] == "news")
        self.X, self.y = self.X.iloc[-N_ROWS:], self.y.iloc[-N_ROWS:]
        steps = [
            *SOURCES[parts["features"]](),
            *MIDDLES[parts["middle"]](),
            ("model", CLASSIFIERS[parts["classifier"]]()),
        ]
        self.pipeline, self.cv = Pipeline(steps), FOLDS[parts["folds"]]()
        self.searched = parts["folds"] != BASE["folds"]
        self.estimator = self.search() if self.searched else self.pipeline

    def search(self):
        settings = {"n_trials": 2, "cv": self.cv, "random_state": 0, "error_score": "raise"}
        return st.OptunaSearchCV(self.pipeline, a_parameter(self), **settings)

    @property
    def _key(self):
        return tuple(sorted(self.parts.items()))

    @property
    def fitted(self):
        return _fitted(self._key)

    @property
    def scores(self):
        return _scores(self._key)


@cache
def _fitted(parts):
    case = Case(dict(parts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(case.estimator).fit(case.X, case.y)


@cache
def _scores(parts):
    case = Case(dict(parts))
    return cross_val_score(case.pipeline, case.X, case.y, cv=case.cv, error_score="raise")


def fits_and_predicts(case):
    proba = case.fitted.predict_proba(case.X[-20:])
    assert proba.shape == (20, len(case.fitted.classes_))
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(
        case.fitted.predict(case.X[-20:]), case.fitted.classes_[proba.argmax(axis=1)]
    )


def is_cloned(case):
    again = clone(case.fitted)
    assert repr(again) == repr(case.estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(
            again.fit(case.X, case.y).predict_proba(case.X[-5:]),
            case.fitted.predict_proba(case.X[-5:]),
            atol=1e-6,
        )


def is_shown(case):
    shown = case.fitted._repr_html_()
    assert "<style>" in shown
    for part in (*case.pipeline, *([case.cv] if case.searched else [])):
        assert type(part).__name__ in repr(case.fitted)
        assert type(part).__name__ in shown


def is_dumped_by_joblib(case, tmp_path):
    joblib.dump(case.fitted, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(
        again.predict_proba(case.X[-5:]), case.fitted.predict_proba(case.X[-5:])
    )


def is_saved(case, tmp_path):
    again = st.load(st.save(case.fitted, tmp_path / "model.sktrain"))
    np.testing.assert_allclose(
        again.predict_proba(case.X[-5:]), case.fitted.predict_proba(case.X[-5:]), atol=1e-6
    )


def speaks_pandas(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = clone(case.estimator)
        (model.estimator if case.searched else model).set_output(transform="pandas")
        model.fit(case.X, case.y)
    np.testing.assert_allclose(
        model.predict_proba(case.X[-5:]), case.fitted.predict_proba(case.X[-5:]), atol=1e-6
    )


def learns_on(case):
    """partial_fit of a pipeline goes through a guard around it; what cannot learn says so."""
    guard = st.DriftGuard(case.pipeline, on_drift="warn", watch_performance=False)
    if not hasattr(case.pipeline[-1], "partial_fit"):
        with pytest.raises(AttributeError) as refused:
            guard.partial_fit(case.X, case.y)
        lacking = type(case.pipeline[-1]).__name__
        assert f"no partial_fit, because {lacking} inside" in str(refused.value)
        assert case.parts["classifier"] in LEARN_ONCE
        return
    guard.fit(case.X[:200], case.y[:200]).partial_fit(case.X[200:], case.y[200:])
    assert guard.log_["decision"].tolist() == ["fit", "update"]
    assert np.isfinite(guard.predict_proba(case.X[-5:])).all()


def is_cross_validated(case):
    assert np.isfinite(case.scores).all()
    assert len(case.scores) == case.cv.get_n_splits(case.X, case.y)


def is_cross_validated_by_two(case):
    settings = {"cv": case.cv, "error_score": "raise", "n_jobs": 2}
    np.testing.assert_allclose(
        cross_val_score(case.pipeline, case.X, case.y, **settings), case.scores
    )


def a_parameter(case):
    name, values = {
        "logistic": ("model__logisticregression__C", [1e-4, 1e-2]),
        "boosting": ("model__max_leaf_nodes", [3, 5]),
        "vote": ("model__weights", [[1, 2], [2, 1]]),
        "pooled": ("model__valid_fraction", [0.2, 0.3]),
        "calibrated": ("model__estimator__lr", [1e-3, 1e-2]),
        "compressed": ("model__sparsity", [0.2, 0.4]),
        "guard": ("model__estimator__lr", [1e-3, 1e-2]),
        "resampled": ("model__estimator__lr", [1e-3, 1e-2]),
    }.get(case.parts["classifier"], ("model__lr", [1e-3, 1e-2]))
    return {name: values}


def is_searched(case):
    search = case.fitted if case.searched else case.search().fit(case.X, case.y)
    assert np.isfinite(search.best_score_)
    assert search.overfit_report_.n_folds == case.cv.get_n_splits(case.X, case.y)


def is_grid_searched(case):
    search = GridSearchCV(case.pipeline, a_parameter(case), cv=case.cv, error_score="raise").fit(
        case.X, case.y
    )
    assert np.isfinite(search.best_score_)


def is_audited(case):
    report = st.LeakageValidator(budget="quick", verbose=0).audit(
        case.pipeline, case.X, case.y, case.cv
    )
    if words_for(case.parts, is_audited) and report.status == "INCONCLUSIVE":
        raise RuntimeError(report.summary())  # an audit tells what could not be run, and goes on
    met = (case.parts["middle"], case.parts["classifier"])
    errors = {one.code for one in report.findings if one.severity == "error"}
    assert errors <= {
        code for code, samplers, models in FOUND if met[0] in samplers and met[1] in models
    }, report.summary()


def is_calibrated_on_noise(case):
    bars = bars_of(case.parts["features"] == "news")
    found = null_calibration(
        case.pipeline,
        bars,
        labeler=LABELERS[case.parts["labels"]](),
        cv=case.cv, n_null=1, random_state=0, verbose=0,
    )
    assert found.p_value in (0.5, 1.0)


CHEAP = [
    fits_and_predicts, is_cloned, is_shown, is_dumped_by_joblib, is_saved, speaks_pandas, learns_on,
    is_cross_validated,
]
COSTLY = [
    is_cross_validated_by_two, is_searched, is_grid_searched, is_audited, is_calibrated_on_noise,
]

# What does not go together, the words the user gets, and why.
TABLES_ONLY = {"logistic", "boosting"}
LEARN_ONCE = {"logistic", "boosting", "vote", "pooled", "calibrated", "compressed", "resampled"}
REFUSED = [
    (
        {"features": {"windows"}, "middle": {"drift"}},
        "check windows before they are cut",
        "a detector watches features, before SlidingWindow",
    ),
    (
        {"features": {"windows"}, "middle": {"SMOTE", "RandomOverSampler"}},
        "dim 3",
        "imbalanced-learn mixes rows of tables: WindowSMOTE",
    ),
    (
        {"features": {"windows"}, "classifier": TABLES_ONLY},
        "dim 3",
        "scikit-learn's models take no windows: flatten=True",
    ),
    (
        {"labels": {"barriers"}, "middle": {"SMOTE"}, "column": {"is_calibrated_on_noise"}},
        "contains NaN",
        ("the first bars of a copy are labelled before they have all features, and SMOTE takes no "
        "gaps"),
    ),
]
# What the audit rightly finds: rows made up, and then validated on or split.
FOUND = [
    ("resampled_validation", {"SMOTE", "RandomOverSampler"}, set(CLASSIFIERS) - TABLES_ONLY),
    ("resampling_before_cv", {"WindowSMOTE", "SMOTE", "RandomOverSampler"}, {"calibrated"}),
]


def words_for(parts, column=fits_and_predicts):
    """What is said to parts that do not go together; None where they do."""
    names = {**parts, "column": column.__name__}
    if column is learns_on and parts["classifier"] in LEARN_ONCE:
        return None  # says so before it looks at the rows
    return next(
        (
            words
            for met, words, _ in REFUSED
            if all(names[kind] in those for kind, those in met.items())
        ),
        None,
    )


def put_through(parts, column, tmp_path):
    case, refused = Case(parts), words_for(parts, column)
    arguments = (case, tmp_path) if column in (is_dumped_by_joblib, is_saved) else (case,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if refused is None:
            column(*arguments)
            return
        with pytest.raises(Exception, match=refused):
            column(*arguments)


PARTS = [(kind, part) for kind, table in KINDS.items() for part in table]
COLUMNS = [*CHEAP, *COSTLY]
every_column = pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.__name__)


@pytest.mark.parametrize(("kind", "part"), PARTS)
@every_column
def test_every_part_meets_every_column(kind, part, column, tmp_path):
    put_through(cell(kind, part, column), column, tmp_path)


def pairs():
    """Every two parts of different kinds, the others those of the base."""
    kinds = list(KINDS)
    for place, first in enumerate(kinds):
        for second in kinds[place + 1 :]:
            for one in KINDS[first]:
                for two in KINDS[second]:
                    met = {first: one, second: two}
                    yield {
                        **BASE,
                        **({"classifier": "mlp"} if "windows" in (one, two) else {}),
                        **met,
                    }


def named(parts):
    return "-".join(parts[kind] for kind in KINDS if parts[kind] != BASE[kind]) or "base"


PAIRS = list({named(parts): parts for parts in pairs()}.values())


@pytest.mark.parametrize(
    "parts", [parts for parts in PAIRS if parts["folds"] == BASE["folds"]], ids=named
)
def test_any_two_parts_fit_and_predict(parts, tmp_path):
    put_through(parts, fits_and_predicts, tmp_path)


def columns_of_pairs():
    """What is not alone a part's own business (clone, repr), and of the costly columns that of the
    pair's turn."""
    scored = [is_cross_validated, *COSTLY]
    for place, parts in enumerate(PAIRS):
        if parts["folds"] == BASE["folds"]:
            kept = [is_dumped_by_joblib, is_saved, speaks_pandas, learns_on, is_cross_validated]
            columns = [*kept, COSTLY[place % len(COSTLY)]]
        else:
            columns = [scored[place % len(scored)]]
        for column in columns:
            yield pytest.param(parts, column, id=f"{named(parts)}-{column.__name__}")


@pytest.mark.slow
@pytest.mark.parametrize(("parts", "column"), list(columns_of_pairs()))
def test_any_two_parts_in_every_column(parts, column, tmp_path):
    put_through(parts, column, tmp_path)


IN_ANOTHER_PROCESS = """
import json, sys
import joblib, numpy as np
import sktrain
folder = sys.argv[1]
rows = joblib.load(folder + "/rows.joblib")
said = {}
for name, X in rows.items():
    one = joblib.load(f"{folder}/{name}.joblib").predict_proba(X)
    two = sktrain.load(f"{folder}/{name}.sktrain").predict_proba(X)
    said[name] = [one.tolist(), two.tolist()]
print(json.dumps(said))
"""


def test_models_open_in_a_fresh_process(tmp_path):
    """One model per part, by joblib and by our own format, in one process."""
    cells = {f"{kind}-{part}".replace(" ", "-"): cell(kind, part) for kind, part in PARTS}
    cases = {name: Case(parts) for name, parts in cells.items()}
    joblib.dump({name: case.X[-5:] for name, case in cases.items()}, tmp_path / "rows.joblib")
    for name, case in cases.items():
        joblib.dump(case.fitted, tmp_path / f"{name}.joblib")
        st.save(case.fitted, tmp_path / f"{name}.sktrain")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_ANOTHER_PROCESS, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout.splitlines()[-1])
    assert set(said) == set(cases)
    for name, case in cases.items():
        expected = case.fitted.predict_proba(case.X[-5:])
        for answer in said[name]:
            np.testing.assert_allclose(answer, expected, atol=1e-6, err_msg=name)


def test_a_labeler_stands_in_a_pipeline_as_the_sampler_it_is():
    bars = bars_of(False).iloc[-200:]
    for make in LABELERS.values():
        steps = [
            ("label", make().as_sampler()),
            *SOURCES["bars"](),
            ("model", CLASSIFIERS["mlp"]()),
        ]
        model = Pipeline(steps).fit(bars)
        rows, y = make().fit_resample(bars)
        by_hand = Pipeline(steps[1:]).fit(rows, y)
        np.testing.assert_array_equal(model.predict_proba(bars), by_hand.predict_proba(bars))
        assert (
            clone(model).set_params(label__labeler=make()).get_params()["label__labeler"]
            is not None
        )


def test_refusals_have_reasons_and_meet_something():
    for met, words, reason in REFUSED:
        assert words
        assert reason
        parts = {kind: those for kind, those in met.items() if kind != "column"}
        assert any(all(pair[kind] in those for kind, those in parts.items()) for pair in PAIRS)


@pytest.mark.slow
@pytest.mark.parametrize("features", SOURCES)
@pytest.mark.parametrize("middle", MIDDLES)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_the_product_of_features_middles_and_classifiers(features, middle, classifier, tmp_path):
    put_through(
        {**BASE, "features": features, "middle": middle, "classifier": classifier},
        fits_and_predicts,
        tmp_path,
    )

"""Pretrained parts that know the tested years are named, with the share of rows."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sktrain import EnhancedWalkForwardCV, LeakageValidator


class Pretrained(TransformerMixin, BaseEstimator):
    """Passes rows on; its model was trained on everything before ``cutoff``."""

    def __init__(self, cutoff=None):
        self.cutoff = cutoff

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X

    def knowledge_overlap(self, times):
        return (
            float("nan")
            if self.cutoff is None
            else float((times < pd.Timestamp(self.cutoff)).mean())
        )


def audit(cutoff):
    rng = np.random.default_rng(0)
    index = pd.date_range("2020-01-01", periods=600)
    X = pd.DataFrame(rng.normal(size=(600, 2)), index=index, columns=["a", "b"])
    y = pd.Series(rng.integers(0, 2, 600), index=index)
    cv = EnhancedWalkForwardCV(3, horizon=1, ensure_regime_coverage=False)
    tested = index[np.unique(np.concatenate([test for _, test in cv.split(X, y)]))]
    report = LeakageValidator(horizon=1, verbose=0).audit(
        make_pipeline(Pretrained(cutoff), LogisticRegression()), X, y, cv
    )
    return [one for one in report.findings if one.code == "model_knowledge"], tested


def test_the_share_of_tested_rows_is_reported():
    found, tested = audit(cutoff="2021-01-01")
    assert len(found) == 1
    assert found[0].severity == "warning"
    assert found[0].where["step"] == "pretrained"
    assert found[0].evidence["share"] == float((tested < "2021-01-01").mean())


def test_an_old_or_silent_model_is_no_finding():
    assert audit(cutoff="2019-01-01")[0] == []
    assert audit(cutoff=None)[0] == []

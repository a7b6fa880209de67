"""scikit-learn's tests of metadata routing, run on the four meta-estimators."""

import numpy as np
from peers import _suites
from peers._shims import SearchOfAlpha, TrainedOnly
from sklearn.base import BaseEstimator

from sktrain import DriftGuard
from sktrain.resample import ResampledClassifier

MODULE = "sklearn.tests.test_metaestimators_metadata_routing"
theirs = _suites.suite(MODULE)


class Untouched(BaseEstimator):
    """A sampler that adds and drops nothing, so that metadata arrives as it was given."""

    def fit_resample(self, X, y):
        self.sample_indices_ = np.arange(len(y))
        return X, y


OURS = [
    {
        "metaestimator": SearchOfAlpha,
        "estimator_name": "estimator",
        "estimator": "classifier",
        "X": theirs.X,
        "y": theirs.y,
        "estimator_routing_methods": ["fit"],
        "preserves_metadata": "subset",
        "scorer_name": "scoring",
        "scorer_routing_methods": ["fit", "score"],
        "cv_name": "cv",
        "cv_routing_methods": ["fit"],
    },
    {
        "metaestimator": TrainedOnly,
        "estimator_name": "estimator",
        "estimator": "classifier",
        "X": theirs.X,
        "y": theirs.y,
        "estimator_routing_methods": ["fit"],
    },
    {
        "metaestimator": DriftGuard,
        "estimator_name": "estimator",
        "estimator": "classifier",
        "init_args": {"watch_performance": False},
        "X": theirs.X,
        "y": theirs.y,
        "estimator_routing_methods": ["fit", "partial_fit"],
        "method_args": {"partial_fit": {"classes": theirs.classes}},
        "method_mapping": {"partial_fit": ["fit", "partial_fit"]},
    },
    {
        "metaestimator": ResampledClassifier,
        "estimator_name": "estimator",
        "estimator": "classifier",
        "init_args": {"sampler": Untouched()},
        "X": theirs.X,
        "y": theirs.y,
        "estimator_routing_methods": ["fit"],
    },
]
theirs = _suites.suite(MODULE, rows={"METAESTIMATORS": OURS})
globals().update(
    _suites.pick(theirs, keep=lambda name: "unsupported" not in name and "registry" not in name)
)


def test_enough_was_read():
    assert len(_suites.pick(theirs)) >= 8

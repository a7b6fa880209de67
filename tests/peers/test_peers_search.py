"""scikit-learn's tests of its searches, run on OptunaSearchCV in the clothes of GridSearchCV and
RandomizedSearchCV."""

from peers import _suites
from peers._shims import GridShim, RandomShim

theirs = _suites.suite(
    "sklearn.model_selection.tests.test_search",
    {
        "sklearn.model_selection.GridSearchCV": GridShim,
        "sklearn.model_selection.RandomizedSearchCV": RandomShim,
    },
)
globals().update(_suites.pick(theirs))


def test_enough_was_read():
    assert len(_suites.pick(theirs)) > 80

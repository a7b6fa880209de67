"""scikit-learn's own checks, on the search of a classifier and of a regressor; none is skipped or excused."""

from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktrain.search import OptunaSearchCV

SEARCHES = [
    OptunaSearchCV(LogisticRegression(), {"C": (0.1, 1.0)}, n_trials=2, cv=3, random_state=0),
    OptunaSearchCV(Ridge(), {"alpha": (0.1, 1.0)}, n_trials=2, cv=3, random_state=0),
]


@parametrize_with_checks(SEARCHES)
def test_sklearn_checks(estimator, check):
    check(estimator)

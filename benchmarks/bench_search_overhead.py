"""What a trial costs beyond its fits, against RandomizedSearchCV on the same estimator, folds and
number of trials."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from _harness import Claim, arguments, paired, report
import numpy as np
from scipy.stats import loguniform, uniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import RandomizedSearchCV

from sktrain.search import OptunaSearchCV


class Nothing(ClassifierMixin, BaseEstimator):
    """Fits in no time, so that only the search is left to measure."""

    def __init__(self, a=1.0, b=1.0, c=1.0, d=1.0):
        self.a, self.b, self.c, self.d = a, b, c, d

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return -abs(np.log10(self.a)) - (self.b - 0.3) ** 2 + len(X) * 0.0


def main():
    smoke = arguments(__doc__).smoke
    n_trials = 10 if smoke else 100
    X, y = np.zeros((200, 3)), np.arange(200) % 2
    ranges = {"a": (1e-3, 1e3, "log"), "b": (0.0, 1.0), "c": (0.0, 1.0), "d": (1e-3, 1e3, "log")}
    priors = {
        "a": loguniform(1e-3, 1e3),
        "b": uniform(),
        "c": uniform(),
        "d": loguniform(1e-3, 1e3),
    }
    ours, plain, ratio = paired(
        lambda: OptunaSearchCV(
            Nothing(), ranges, n_trials=n_trials, pruner=False, random_state=0
        ).fit(X, y),
        lambda: RandomizedSearchCV(Nothing(), priors, n_iter=n_trials, random_state=0).fit(X, y),
        repeat=2 if smoke else 5,
    )
    note = (
        f"{1e3 * ours / n_trials:.1f} ms a trial against {1e3 * plain / n_trials:.1f} ms; 5 "
        f"folds, 4 parameters, {n_trials} trials, ratio {ratio:.1f}"
    )
    report(
        "search_overhead",
        [
            Claim(
                "overhead a trial over RandomizedSearchCV",
                1e3 * (ours - plain) / n_trials,
                20.0,
                unit="ms",
                note=note,
            )
        ],
        smoke=smoke,
    )


if __name__ == "__main__":
    main()

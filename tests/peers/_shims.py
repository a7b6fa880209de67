"""OptunaSearchCV in the clothes of scikit-learn's searches."""

import numpy as np
from sklearn.model_selection import ParameterGrid, ParameterSampler

from sktrain import CompressedClassifier, OptunaSearchCV

__all__ = ["GridShim", "RandomShim", "SearchOfAlpha", "TrainedOnly"]


def _start_from(search, space, points):
    """Make ``points`` the trials of a search: all of them starting points, and no others."""
    dicts = [space] if isinstance(space, dict) else space
    search.param_distributions = [
        # a tuple is a range here
        {
            name: list(values) if isinstance(values, tuple) else values
            for name, values in part.items()
        }
        for part in dicts
    ]
    search.n_trials, search.enqueue = len(points), points


def _own_columns_out(search):
    """The table without the three columns it has beyond scikit-learn's."""
    for name in ("state", "duration", "pruned_fold"):
        del search.cv_results_[name]
    return search


class GridShim(OptunaSearchCV):
    """GridSearchCV's signature: every point of the grid is a starting point, and there are no other
    trials."""

    _parameter_constraints = {**OptunaSearchCV._parameter_constraints, "param_grid": [dict, list]}

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
            pruner=False,
            random_state=0,
        )
        self.param_grid = param_grid

    def fit(self, X, y=None, **params):
        _start_from(self, self.param_grid, list(ParameterGrid(self.param_grid)))
        return _own_columns_out(super().fit(X, y, **params))


class RandomShim(OptunaSearchCV):
    """RandomizedSearchCV's signature: the points it would draw are the trials."""

    _parameter_constraints = {
        **OptunaSearchCV._parameter_constraints,
        "n_iter": OptunaSearchCV._parameter_constraints["n_trials"],
    }

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=10,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        random_state=None,
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator,
            param_distributions,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
            pruner=False,
            random_state=random_state,
        )
        self.n_iter = n_iter

    def fit(self, X, y=None, **params):
        held = self.param_distributions
        _start_from(
            self, held, list(ParameterSampler(held, self.n_iter, random_state=self.random_state))
        )
        try:
            return _own_columns_out(super().fit(X, y, **params))
        finally:
            self.param_distributions = held


class SearchOfAlpha(OptunaSearchCV):
    """The search with a space of its own, two trials long."""

    def __init__(self, estimator, scoring=None, cv=None):
        super().__init__(
            estimator,
            {"alpha": [0.1, 0.2]},
            n_trials=2, scoring=scoring, cv=cv, pruner=False, random_state=0,
        )


class TrainedOnly(CompressedClassifier):
    """CompressedClassifier up to the trained model: the classifiers of these tests hold no network
    to compress."""

    def __init__(self, estimator=None):
        super().__init__(estimator)

    def _finish(self, model, X, y, known, routed, sample_weight, seed):
        self.model_, self.classes_ = model, model.classes_

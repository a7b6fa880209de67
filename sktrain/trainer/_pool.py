"""The pool of a run: its nets beside a linear model and the class shares, with learned weights."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from ..ensemble import PooledClassifier
from ..features import WindowedArray

__all__ = ["LastStep", "build_pool", "weights_of"]

_STRENGTH = 0.01  # Inverse strength of the ridge, the middle one of ``make_recipe``'s three.


class LastStep(TransformerMixin, BaseEstimator):
    """The newest step of every window, as a row: from (n, steps, features) to (n, features)."""

    def fit(self, X: Any, y: Any = None) -> "LastStep":
        """Keep the number of features; nothing is learned."""
        self.n_features_in_ = X.shape[-1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The last steps of ``X``, a view's without gathering its windows."""
        check_is_fitted(self)
        return X.base[X.ends] if isinstance(X, WindowedArray) else np.asarray(X)[:, -1]


def build_pool(members: list, plan: Any) -> PooledClassifier:
    """The members and a linear model, unfitted; weights are learned on the validation block.

    Parameters
    ----------
    members : list of (str, classifier)
        On windows.
    plan : FitPlan
    """
    steps = [
        ("last", LastStep()),
        ("impute", SimpleImputer(keep_empty_features=True)),
        ("scale", StandardScaler()),
        ("linear", LogisticRegression(C=_STRENGTH, max_iter=500)),
    ]
    return PooledClassifier(
        [*members, ("linear", Pipeline(steps))],
        valid_fraction=plan.valid_fraction,
        horizon=plan.horizon,
    )


def weights_of(model: Any) -> dict | None:
    """The learned weights of a fitted model by member; None where none were learned."""
    return getattr(model[-1], "named_weights_", None)

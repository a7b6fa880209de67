"""ResampledClassifier: trained on resampled rows, with probabilities of the rows as they are."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import check_is_fitted

from .._models import class_labels, take_input_names
from .._routing import metadata_rows, routed_params
from .._typing import Estimator, RandomState, Sampler
from .._validation import mark_synthetic, row_weights
from ..exceptions import SktrainError
from ..reproducibility import draw_seed, seed_parts
from ._window_smote import WindowSMOTE

__all__ = ["ResampledClassifier", "correct_prior"]


def correct_prior(proba: ArrayLike, prior: ArrayLike, resampled_prior: ArrayLike) -> np.ndarray:
    """Undo what resampling did to probabilities: p_c · π_c / π'_c, normalised (Elkan 2001, "The
    foundations of cost-sensitive learning").

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
        Probabilities of a model trained on resampled rows.
    prior, resampled_prior : array-like of shape (n_classes,)
        Shares of the classes before and after resampling.

    Returns
    -------
    ndarray of shape (n, n_classes)
        Corrected probabilities; rows sum to 1.

    Examples
    --------
    >>> correct_prior([[0.5, 0.5]], [0.9, 0.1], [0.5, 0.5]).round(3).tolist()
    [[0.9, 0.1]]
    """
    proba = np.asarray(proba, dtype=np.float64)
    shares = [np.asarray(share, dtype=np.float64) for share in (prior, resampled_prior)]
    for name, share in zip(("prior", "resampled_prior"), shares):
        if (
            proba.ndim != 2
            or share.shape != proba.shape[1:]
            or not (share > 0).all()
            or abs(share.sum() - 1) > 1e-6
        ):
            raise SktrainError(
                f"{name} must hold one positive share per class, summing to 1; got "
                f"{share.tolist()} for proba of shape {proba.shape}."
            )
    weighted = proba * (shares[0] / shares[1])
    return weighted / weighted.sum(axis=1, keepdims=True)


class ResampledClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier trained on resampled rows, whose probabilities speak of the rows as they were.

    Metadata follows the rows: a synthetic row has the label end and the time of the row it stands
    for and the mixed weight of its parents. Of samplers other than :class:`WindowSMOTE`, those that
    say which rows they took (``sample_indices_``, as imblearn's RandomOverSampler and
    under-samplers) keep index, times and handles of the rows, in order of time.

    Parameters
    ----------
    estimator : classifier
        What to train; cloned.
    sampler : sampler with ``fit_resample``, optional
        Default ``WindowSMOTE()``.
    correct_prior : bool, default=True
        Whether probabilities are corrected for the shares the classes had before.
    random_state : int, RandomState or None, default=None
        Seeds every ``random_state`` left None in the estimator and in the sampler; what has a seed
        keeps it.

    Attributes
    ----------
    estimator_, sampler_ : the fitted parts
    classes_ : ndarray
    prior_, resampled_prior_ : ndarray of shape (n_classes,)
    n_features_in_, feature_names_in_
        As of the estimator.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sktrain.resample import ResampledClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = np.repeat([0, 1], [180, 20])
    >>> model = ResampledClassifier(LogisticRegression()).fit(X, y)
    >>> bool(abs(model.predict_proba(X)[:, 1].mean() - 0.1) < 0.05)
    True
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"])],
        "sampler": [HasMethods("fit_resample"), None],
        "correct_prior": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Estimator,
        sampler: Sampler | None = None,
        *,
        correct_prior: bool = True,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.sampler = sampler
        self.correct_prior = correct_prior
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        tags.input_tags.sparse = False
        return tags

    def get_metadata_routing(self) -> MetadataRouter:
        """Which metadata ``fit`` passes on to the estimator.

        Returns
        -------
        MetadataRouter
            What the classifier's ``fit`` requests is routed to it.
        """
        return MetadataRouter(owner=self).add(
            estimator=self.estimator, method_mapping=MethodMapping().add(caller="fit", callee="fit")
        )

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        label_end_times: ArrayLike | None = None,
        times: pd.Index | None = None,
        **params: Any,
    ) -> "ResampledClassifier":
        """Resample the rows and fit a clone of the estimator on them.

        Parameters
        ----------
        X, y : array-like or DataFrame of length n, array-like of shape (n,)
            Training rows, in order of time, and labels.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.
        label_end_times : array-like of shape (n,), optional
            When each label is known.
        times : DatetimeIndex or MultiIndex (symbol, time) of length n, optional
            When the rows are, where their index was taken away.
        **params : dict
            More metadata for the estimator; what has one value per row follows the rows.

        Returns
        -------
        self
            The fitted classifier.

        Raises
        ------
        SktrainError
            Metadata that the estimator does not take, or that cannot follow because the sampler
            does not say whence its rows are.
        """
        self._validate_params()
        y = class_labels(y, type(self).__name__)
        if issparse(X):
            raise TypeError(
                f"Sparse data was passed for X, but {type(self).__name__} takes dense rows only. "
                "Use X.toarray()."
            )
        if sample_weight is not None:
            sample_weight = row_weights(sample_weight, X, y)
        known = {"label_end_times": label_end_times, "times": times}
        routed = routed_params(
            self, self.estimator, "fit", {"sample_weight": sample_weight, **known, **params}
        )
        sampler, estimator = (
            WindowSMOTE() if self.sampler is None else clone(self.sampler),
            clone(self.estimator),
        )
        if self.random_state is not None:
            seed = draw_seed(self.random_state)
            seed_parts(sampler, [seed, 0]), seed_parts(estimator, [seed, 1])
        told = (
            {name: value for name, value in known.items() if value is not None}
            if isinstance(sampler, WindowSMOTE)
            else {}
        )
        X_all, y_all = sampler.fit_resample(X, y, **told)
        X_all, y_all, routed = _followed(sampler, X, y, X_all, y_all, routed)
        self.sampler_, self.estimator_ = sampler, estimator.fit(X_all, y_all, **routed)
        self.classes_ = self.estimator_.classes_
        self.prior_, self.resampled_prior_ = (
            np.mean(np.asarray(labels)[:, None] == self.classes_, axis=0) for labels in (y, y_all)
        )
        take_input_names(self, [self.estimator_])
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Class probabilities, corrected for resampling when asked.

        Parameters
        ----------
        X : array-like or DataFrame of length n
            Rows as in ``fit``.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns as in ``classes_``.
        """
        check_is_fitted(self)
        proba = self.estimator_.predict_proba(X)
        return (
            correct_prior(proba, self.prior_, self.resampled_prior_)
            if self.correct_prior
            else proba
        )

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable label of each row.

        Parameters
        ----------
        X : array-like or DataFrame of length n
            Rows as in ``fit``.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _followed(sampler, X, y, X_all, y_all, routed):
    """Resampled rows with the index and the metadata of the rows they stand for, where the sampler
    tells which those are."""
    if isinstance(sampler, WindowSMOTE):
        return X_all, y_all, _mixed(sampler, metadata_rows(routed, sampler.origin_, len(y)), routed)
    taken = getattr(sampler, "sample_indices_", None)
    if taken is None or len(taken) != len(y_all):
        if routed:
            raise SktrainError(
                f"{type(sampler).__name__} does not say which rows its rows were made from, so "
                f"{', '.join(routed)} cannot follow them. "
                "Use WindowSMOTE, or a sampler with sample_indices_."
            )
        return X_all, y_all, routed
    taken = np.sort(np.asarray(taken), kind="stable")
    X_all, y_all = _safe_indexing(X, taken), _safe_indexing(y, taken)
    first = np.searchsorted(taken, taken)  # where the row itself stands, before its copies
    index = getattr(X, "index", None)
    distinct = not isinstance(index, pd.Index) or index.is_unique
    X_all, y_all = (
        mark_synthetic(part, np.column_stack([first, first]), taken, distinct=distinct)
        for part in (X_all, y_all)
    )
    return X_all, y_all, metadata_rows(routed, taken, len(y))


def _mixed(sampler, followed, given):
    """Weights of synthetic rows lie between those of their parents, as the rows do."""
    for name in followed:
        if name.split("__")[-1] == "sample_weight":
            weight = np.asarray(given[name], dtype=np.float64)
            pairs = weight[sampler.parents_]
            mixed = np.array(followed[name], dtype=np.float64)
            mixed[sampler.synthetic_] = pairs[:, 0] + sampler.shares_ * (pairs[:, 1] - pairs[:, 0])
            followed[name] = mixed
    return followed

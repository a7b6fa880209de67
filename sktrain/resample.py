"""Training rows of unequal classes enter, balanced ones leave: for training folds only, never before a split.

A synthetic row mixes two rows of one class, so it is known when the later of the two is. Windows are mixed whole, step by step, and
stand behind their later parent: a cut in time never puts a child before the cut and a parent after it.
"""

import warnings

from imblearn.base import BaseSampler
from imblearn.utils import check_sampling_strategy
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d

from ._validation import Count, check_count, mark_synthetic
from .exceptions import NotEnoughDataError, ResamplingWarning, SktrainError

__all__ = ["ResampledClassifier", "WindowSMOTE", "apply_smote", "correct_prior"]


def apply_smote(X, y, k_neighbors=5, sampling_strategy="auto", *, random_state=None):
    """Add synthetic rows to the rare classes (SMOTE: Chawla et al. 2002).

    Each synthetic row lies on the line between a row and one of its ``k_neighbors`` nearest neighbours of the same class. Real rows
    come first, as they were; synthetic rows follow.

    Parameters
    ----------
    X : array-like of shape (n, n_features) or (n, steps, n_features), DataFrame or WindowedArray
        NaN is allowed: it counts as the mean when distances are taken, and stays missing in rows mixed from it.
    y : array-like of shape (n,)
        Labels of any kind.
    k_neighbors : int, default=5
        Neighbours to mix with; a class with fewer rows uses what it has, with a ``ResamplingWarning``.
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn; "auto" brings every class to the size of the largest.
    random_state : int, RandomState or None

    Returns
    -------
    X_resampled, y_resampled
        Arrays, or a DataFrame and Series with a fresh index for those. A WindowedArray becomes a 3-D array; :class:`WindowSMOTE`
        keeps it lazy.

    Raises
    ------
    NotEnoughDataError
        A class to be enlarged has fewer than 2 rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import apply_smote
    >>> X = np.arange(20.0).reshape(10, 2)
    >>> y = np.array(["rare"] * 3 + ["common"] * 7)
    >>> X_all, y_all = apply_smote(X, y, k_neighbors=2, random_state=0)
    >>> X_all.shape, int((y_all == "rare").sum())
    ((14, 2), 7)
    """
    values = _values(X)
    labels = _labels(values, y)
    parents = _parents(values, labels, k_neighbors, sampling_strategy, random_state)
    X_all = np.concatenate([values, _mix(values, parents)])
    y_all = np.concatenate([labels, labels[parents.first]])
    if isinstance(X, pd.DataFrame):
        X_all = pd.DataFrame(X_all, columns=X.columns)
    if isinstance(y, pd.Series):
        y_all = pd.Series(y_all, name=y.name)
        y_all.attrs.update({key: value for key, value in y.attrs.items() if key == "label_horizon"})
    return X_all, y_all


class _Parents:
    """For every synthetic row its two parents and how far it lies from the first towards the second."""

    def __init__(self, first, second, share):
        self.first, self.second, self.share = first, second, share

    def __len__(self):
        return len(self.first)


def _values(X):
    values = np.asarray(X)
    values = check_array(values, allow_nd=True, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan", input_name="X")
    if values.ndim not in (2, 3):
        raise SktrainError(f"X must be 2-D or 3-D, got shape {values.shape}.")
    return values


def _labels(values, y):
    if y is None:
        raise SktrainError("Resampling needs labels: y is None.")
    labels = column_or_1d(np.asarray(y))
    check_consistent_length(values, labels)
    if pd.isna(labels).any():
        raise SktrainError(f"y contains NaN in row {int(np.argmax(pd.isna(labels)))}. Drop rows without a label.")
    check_classification_targets(labels)
    if len(np.unique(labels)) < 2:
        raise SktrainError(f"Resampling needs at least 2 classes; y has the one class {labels[0]!r}.")
    return labels


def _parents(values, labels, k_neighbors, sampling_strategy, random_state):
    k_neighbors = check_count("k_neighbors", k_neighbors)
    wanted = check_sampling_strategy(sampling_strategy, labels, "over-sampling")
    rng = check_random_state(random_state)
    flat = values.reshape(len(values), -1)
    made = [_of_class(flat, np.flatnonzero(labels == name), name, n, k_neighbors, rng) for name, n in wanted.items() if n]
    if not made:
        return _Parents(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))
    return _Parents(*map(np.concatenate, zip(*made)))


def _of_class(flat, rows, name, n, k_neighbors, rng):
    if len(rows) < 2:
        raise NotEnoughDataError(f"SMOTE mixes pairs of rows, but class {name!r} has only {len(rows)} row. Collect more, or leave the class out of sampling_strategy.")
    k = min(k_neighbors, len(rows) - 1)
    if k < k_neighbors:
        warnings.warn(f"class {name!r} has {len(rows)} rows, so k_neighbors={k_neighbors} was lowered to {k}.", ResamplingWarning, stacklevel=4)
    own = flat[rows]
    missing = np.isnan(own)
    if missing.any():
        seen = np.maximum((~missing).sum(axis=0), 1)
        own = np.where(missing, np.where(missing, 0.0, own).sum(axis=0) / seen, own)
    near = NearestNeighbors(n_neighbors=k + 1).fit(own).kneighbors(own, return_distance=False)
    near = _without_self(near)
    pick = rng.randint(0, near.size, size=n)
    return rows[pick // k], rows[near[pick // k, pick % k]], rng.uniform(size=n)


def _without_self(near):
    """Neighbours other than the row itself, which need not come first among equals."""
    own = np.arange(len(near))[:, None]
    itself = near == own
    itself[:, -1] |= ~itself.any(axis=1)  # more equals than neighbours: drop the farthest
    return near[~itself].reshape(len(near), -1)


def _mix(values, parents):
    share = parents.share.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype)
    first = values[parents.first]
    return first + share * (values[parents.second] - first)


class WindowSMOTE(BaseSampler):
    """SMOTE for windows: whole windows are mixed, in order of time, and nothing but synthetic windows is copied.

    Stands in an imbalanced-learn ``Pipeline`` between ``SlidingWindow`` and a net. Every synthetic window directly follows its later
    parent and carries that parent's time, so a net's own validation on the last block holds no training row's child. When the
    windows are lazy, so is the result.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn.
    k_neighbors : int, default=5
        Neighbours to mix with.
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    sampling_strategy_ : dict
        Synthetic rows per class.
    parents_ : ndarray of intp, shape (n_synthetic, 2)
        The two rows each synthetic row was mixed from.
    synthetic_ : ndarray of bool, shape (n_resampled,)
        Which rows of the result are synthetic.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import WindowSMOTE
    >>> X = np.random.default_rng(0).normal(size=(40, 5, 2))
    >>> y = np.repeat([0, 1], [30, 10])
    >>> windows, labels = WindowSMOTE(random_state=0).fit_resample(X, y)
    >>> windows.shape, np.bincount(labels).tolist()
    ((60, 5, 2), [30, 30])
    """

    _sampling_type = "over-sampling"
    _parameter_constraints = {
        "sampling_strategy": [str, float, dict, callable],
        "k_neighbors": [Count(1)],
        "random_state": ["random_state"],
    }

    def __init__(self, sampling_strategy="auto", *, k_neighbors=5, random_state=None):
        super().__init__(sampling_strategy=sampling_strategy)
        self.k_neighbors = k_neighbors
        self.random_state = random_state

    def fit(self, X, y, **params):
        """Check the rows and count what would be added."""
        self._validate_params()
        self.sampling_strategy_ = check_sampling_strategy(self.sampling_strategy, _labels(_values(X), y), "over-sampling")
        return self

    def fit_resample(self, X, y, **params):
        """Add synthetic windows.

        Parameters
        ----------
        X : WindowedArray or array-like of shape (n, steps, n_features) or (n, n_features)
            In order of time.
        y : array-like of shape (n,)

        Returns
        -------
        X_resampled : WindowedArray or ndarray
        y_resampled : ndarray, or Series for a Series (its ``label_horizon`` is kept)
        """
        self._validate_params()
        values = _values(X)
        labels = _labels(values, y)
        self.sampling_strategy_ = check_sampling_strategy(self.sampling_strategy, labels, "over-sampling")
        parents = _parents(values, labels, self.k_neighbors, self.sampling_strategy, self.random_state)
        rank = _ranks(X, len(values))
        later = np.where(rank[parents.first] >= rank[parents.second], parents.first, parents.second)
        order = np.argsort(np.concatenate([rank, rank[later]]), kind="stable")
        self.parents_ = np.column_stack([parents.first, parents.second])
        self.synthetic_ = order >= len(values)
        origin = np.concatenate([np.arange(len(values)), later])[order]
        y_all = np.concatenate([labels, labels[parents.first]])[order]
        rows, targets = self._rows(X, values, parents, order, origin), self._targets(y, y_all, origin)
        for part in (rows, targets):
            if hasattr(part, "attrs"):
                mark_synthetic(part, self.synthetic_)
        return rows, targets

    def _fit_resample(self, X, y, **params):
        return self.fit_resample(X, y, **params)

    def _rows(self, X, values, parents, order, origin):
        made = _mix(values, parents)
        if not all(hasattr(X, name) for name in ("base", "ends", "firsts", "lookback")):
            rows = np.concatenate([values, made])[order]
            if not isinstance(X, pd.DataFrame):
                return rows
            frame = pd.DataFrame(rows, columns=X.columns, index=X.index[origin])
            frame.attrs = {key: value for key, value in X.attrs.items() if key != "history"}  # mixed rows have no past
            return frame
        n_steps = len(X.base)
        starts = n_steps + X.lookback * np.arange(len(parents))
        base = np.concatenate([X.base, made.reshape(-1, X.base.shape[1])])
        ends = np.concatenate([X.ends, starts + X.lookback - 1])[order]
        firsts = np.concatenate([X.firsts, starts])[order]
        index = None if X.index is None else X.index[origin]
        return type(X)(base, ends, firsts, X.lookback, index=index, columns=X.columns, attrs=X.attrs)

    @staticmethod
    def _targets(y, y_all, origin):
        if not isinstance(y, pd.Series):
            return y_all
        out = pd.Series(y_all, index=y.index[origin], name=y.name)
        out.attrs = dict(y.attrs)  # a row stands at the time of the row it came from, and is known when that is
        return out

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.input_tags.sparse = False
        return tags


def _ranks(X, n):
    """Order of the rows in time."""
    index = getattr(X, "index", None)
    if isinstance(index, pd.MultiIndex):
        index = index.get_level_values(-1)
    return index.asi8 if isinstance(index, pd.DatetimeIndex) else np.arange(n)


def correct_prior(proba, prior, resampled_prior):
    """Undo what resampling did to probabilities: p_c · π_c / π'_c, normalised (Elkan 2001, "The foundations of cost-sensitive learning").

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
        Probabilities of a model trained on resampled rows.
    prior, resampled_prior : array-like of shape (n_classes,)
        Shares of the classes before and after resampling.

    Returns
    -------
    ndarray of shape (n, n_classes)

    Examples
    --------
    >>> correct_prior([[0.5, 0.5]], [0.9, 0.1], [0.5, 0.5]).round(3).tolist()
    [[0.9, 0.1]]
    """
    proba = np.asarray(proba, dtype=np.float64)
    shares = [np.asarray(share, dtype=np.float64) for share in (prior, resampled_prior)]
    for name, share in zip(("prior", "resampled_prior"), shares):
        if proba.ndim != 2 or share.shape != proba.shape[1:] or not (share > 0).all() or abs(share.sum() - 1) > 1e-6:
            raise SktrainError(f"{name} must hold one positive share per class, summing to 1; got {share.tolist()} for proba of shape {proba.shape}.")
    weighted = proba * (shares[0] / shares[1])
    return weighted / weighted.sum(axis=1, keepdims=True)


class ResampledClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier trained on resampled rows, whose probabilities speak of the rows as they were.

    Parameters
    ----------
    estimator : classifier
    sampler : sampler with ``fit_resample``, optional
        Default ``WindowSMOTE()``.
    correct_prior : bool, default=True
        Whether probabilities are corrected for the shares the classes had before.

    Attributes
    ----------
    estimator_, sampler_ : the fitted parts
    classes_ : ndarray
    prior_, resampled_prior_ : ndarray of shape (n_classes,)

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

    _parameter_constraints = {"estimator": "no_validation", "sampler": "no_validation", "correct_prior": ["boolean"]}

    def __init__(self, estimator, sampler=None, *, correct_prior=True):
        self.estimator = estimator
        self.sampler = sampler
        self.correct_prior = correct_prior

    def __sklearn_tags__(self):
        from sklearn.utils import get_tags

        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        tags.input_tags.sparse = False
        return tags

    def fit(self, X, y, **fit_params):
        """Resample the rows and fit a clone of the estimator on them."""
        self._validate_params()
        self.sampler_ = WindowSMOTE() if self.sampler is None else clone(self.sampler)
        X_all, y_all = self.sampler_.fit_resample(X, y)
        self.estimator_ = clone(self.estimator).fit(X_all, y_all, **fit_params)
        self.classes_ = self.estimator_.classes_
        self.prior_, self.resampled_prior_ = (np.mean(np.asarray(labels)[:, None] == self.classes_, axis=0) for labels in (y, y_all))
        return self

    def predict_proba(self, X):
        """Class probabilities, corrected when asked: ndarray of shape (n, n_classes)."""
        check_is_fitted(self)
        proba = self.estimator_.predict_proba(X)
        return correct_prior(proba, self.prior_, self.resampled_prior_) if self.correct_prior else proba

    def predict(self, X):
        """The most probable label of each row."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

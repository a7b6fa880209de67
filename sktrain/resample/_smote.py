"""SMOTE on arrays of rows or windows: which pairs of one class are mixed, and how far.

Windows are mixed whole, step by step; NaN stays missing in what is mixed from it.
"""

from collections.abc import Callable
import warnings

from imblearn.utils import check_sampling_strategy, check_target_type
import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from .._typing import RandomState
from .._validation import Number, check_count, labelled_mask, mark_synthetic, refuse_no_numbers
from ..exceptions import NotEnoughDataError, ResamplingWarning, SktrainError

__all__ = ["apply_smote", "checked_rows", "mixed_rows", "parents_of"]


def apply_smote(
    X: ArrayLike,
    y: ArrayLike,
    k_neighbors: int = 5,
    sampling_strategy: str | float | dict | Callable = "auto",
    *,
    random_state: RandomState = None,
) -> tuple[np.ndarray | pd.DataFrame, np.ndarray | pd.Series]:
    """Add synthetic rows to the rare classes (SMOTE: Chawla et al. 2002).

    Each synthetic row lies on the line between a row and one of its ``k_neighbors`` nearest
    neighbours of the same class. Real rows come first, as they were; synthetic rows follow.

    Parameters
    ----------
    X : array-like of shape (n, n_features) or (n, steps, n_features), DataFrame or WindowedArray
        NaN is allowed: it counts as the mean when distances are taken, and stays missing in rows
        mixed from it.
    y : array-like of shape (n,)
        Labels of any kind.
    k_neighbors : int, default=5
        Neighbours to mix with; a class with fewer rows uses what it has, with a
        ``ResamplingWarning``.
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn; "auto" brings every class to the size of the largest.
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    X_resampled, y_resampled
        Arrays, or a DataFrame and Series with a fresh index for those. A WindowedArray becomes a
        3-D array; :class:`WindowSMOTE` keeps it lazy.

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
    refuse_no_numbers(X)
    values, labels = checked_rows(
        X if isinstance(X, pd.DataFrame) else np.asarray(X), y, "apply_smote"
    )
    parents = parents_of(values, labels, k_neighbors, sampling_strategy, random_state)
    X_all = np.concatenate([values, mixed_rows(values, parents)])
    y_all = np.concatenate([labels, labels[parents.first]])
    both = np.column_stack([parents.first, parents.second])
    origin = np.concatenate([np.arange(len(labels)), both.max(axis=1)])
    lines = np.concatenate([np.column_stack([np.arange(len(labels))] * 2), both])
    if isinstance(X, pd.DataFrame):
        X_all = pd.DataFrame(X_all, columns=X.columns)
    if isinstance(y, pd.Series):
        y_all = pd.Series(y_all, name=y.name)
        y_all.attrs.update({key: value for key, value in y.attrs.items() if key == "label_horizon"})
    return mark_synthetic(X_all, lines, origin), mark_synthetic(y_all, lines, origin)


class Parents:
    """For every synthetic row its two parents and how far it lies from the first towards the
    second."""

    def __init__(self, first, second, share):
        self.first, self.second, self.share = first, second, share

    def __len__(self):
        return len(self.first)


def checked_rows(values, y, name):
    """Rows as an array of 2 or 3 dimensions and labels as a vector; what cannot be resampled is
    refused."""
    values = check_array(
        values,
        allow_nd=True,
        dtype=[np.float64, np.float32],
        ensure_all_finite="allow-nan", ensure_min_features=0, estimator=name, input_name="X",
    )
    if values.ndim not in (2, 3):
        raise SktrainError(f"X must be 2-D or 3-D, got shape {values.shape}.")
    if y is None:
        raise ValueError(
            f"{name} requires y to be passed, but the target y is None. Resampling needs labels."
        )
    labels = np.asarray(y)
    check_consistent_length(values, labels)
    missing = ~labelled_mask(labels, len(values))
    if missing.any():
        raise SktrainError(
            f"y contains NaN in row {int(np.argmax(missing))}. Drop rows without a label."
        )
    labels, _ = check_target_type(labels, indicate_one_vs_all=True)
    labels = column_or_1d(labels)
    check_classification_targets(labels)
    if len(np.unique(labels)) < 2:
        raise SktrainError(
            f"Resampling needs at least 2 classes; y has the one class {plain(labels[0])!r}."
        )
    return values, labels


def plain(label):
    return label.item() if isinstance(label, np.generic) else label


def _check_strategy(strategy):
    """Refuse what imblearn takes for none of its kinds, or for a share."""
    share = Number(0, closed="neither").is_satisfied_by(strategy)
    if not (share or isinstance(strategy, (str, dict)) or callable(strategy)):
        raise SktrainError(
            "sampling_strategy must be a name, a share, a dict of rows per class or a callable, "
            f"got {strategy!r}."
        )


def parents_of(values, labels, k_neighbors, sampling_strategy, random_state):
    k_neighbors = check_count("k_neighbors", k_neighbors)
    _check_strategy(sampling_strategy)
    wanted = check_sampling_strategy(sampling_strategy, labels, "over-sampling")
    rng = check_random_state(random_state)
    flat = values.reshape(len(values), -1)
    made = [
        _of_class(flat, np.flatnonzero(labels == name), name, n, k_neighbors, rng)
        for name, n in wanted.items()
        if n
    ]
    if not made:
        return Parents(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))
    return Parents(*map(np.concatenate, zip(*made)))


def _of_class(flat, rows, name, n, k_neighbors, rng):
    if len(rows) < 2:
        raise NotEnoughDataError(
            f"SMOTE mixes pairs of rows, but class {plain(name)!r} has only {len(rows)} row. "
            "Collect more, or leave the class out of sampling_strategy."
        )
    k = min(k_neighbors, len(rows) - 1)
    if k < k_neighbors:
        warnings.warn(
            f"class {plain(name)!r} has {len(rows)} rows, so k_neighbors={k_neighbors} was "
            f"lowered to {k}.",
            ResamplingWarning,
            stacklevel=4,
        )
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


def mixed_rows(values, parents):
    share = parents.share.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype)
    first = values[parents.first]
    return first + share * (values[parents.second] - first)

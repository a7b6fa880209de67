"""WindowSMOTE: synthetic windows in order of time, each with its time and label end.

A synthetic row mixes two rows of one class, so it is known when the later of the two is, and stands
there: a cut in time never puts a child before the cut and a parent after it.
"""

from collections.abc import Callable

from imblearn.base import BaseSampler
from imblearn.utils import check_sampling_strategy
import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.preprocessing import label_binarize
from sklearn.utils.validation import validate_data

from .._step_rows import is_windows
from .._typing import RandomState
from .._validation import Count, label_spans, mark_synthetic, refuse_no_numbers
from ._smote import checked_rows, mixed_rows, parents_of

__all__ = ["WindowSMOTE"]


class WindowSMOTE(BaseSampler):
    """SMOTE for windows: whole windows are mixed, in order of time, and nothing but synthetic
    windows is copied.

    Stands in an imbalanced-learn ``Pipeline`` between ``SlidingWindow`` and a net. Every synthetic
    window directly follows its later parent and carries that parent's time, so a net's own
    validation on the last block holds no training row's child. When the windows are lazy, so is the
    result.

    Parameters
    ----------
    sampling_strategy : str, float, dict or callable, default="auto"
        As in imbalanced-learn.
    k_neighbors : int, default=5
        Neighbours to mix with.
    random_state : int, RandomState or None, default=None
        Seed.

    Attributes
    ----------
    sampling_strategy_ : dict
        Synthetic rows per class.
    parents_ : ndarray of intp, shape (n_synthetic, 2)
        The two rows each synthetic row was mixed from, in the order of the result.
    shares_ : ndarray, shape (n_synthetic,)
        How far each synthetic row lies from its first parent towards its second, in [0, 1).
    origin_ : ndarray of intp, shape (n_resampled,)
        The row each row of the result stands for: itself, of a synthetic one the parent whose label
        is known later.
    synthetic_ : ndarray of bool, shape (n_resampled,)
        Which rows of the result are synthetic.
    n_features_in_ : int
        Columns of 2-D rows; features per step of windows.
    feature_names_in_ : ndarray of str
        Names of the columns, where X has them.

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

    def __init__(
        self,
        sampling_strategy: str | float | dict | Callable = "auto",
        *,
        k_neighbors: int = 5,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.k_neighbors = k_neighbors
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "WindowSMOTE":
        """Check the rows and count what would be added.

        Parameters
        ----------
        X, y : array-like, as in :meth:`fit_resample`
            Rows and labels.

        Returns
        -------
        self
            The sampler.
        """
        self._read(X, y)
        return self

    def _read(self, X, y):
        self._validate_params()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. "
                "Resampling needs labels."
            )
        if is_windows(X) or getattr(X, "ndim", 2) == 3:
            values, n_features = (
                np.asarray(X),
                X.shape[-1] if hasattr(X, "shape") else np.shape(X)[-1],
            )
            names = getattr(X, "columns", None)
            self.n_features_in_ = int(n_features)
            self.__dict__.pop("feature_names_in_", None)
            if names is not None and all(isinstance(name, str) for name in names):
                self.feature_names_in_ = np.asarray(names, dtype=object)
        else:
            refuse_no_numbers(X)
            values = validate_data(
                self,
                _dense(X),
                dtype=[np.float64, np.float32],
                ensure_all_finite="allow-nan",
                ensure_min_samples=2,
            )
        values, labels = checked_rows(values, y, type(self).__name__)
        self.sampling_strategy_ = check_sampling_strategy(
            self.sampling_strategy, labels, self._sampling_type
        )
        return values, labels

    def fit_resample(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        label_end_times: ArrayLike | None = None,
        times: pd.Index | None = None,
    ) -> tuple:
        """Add synthetic windows.

        Parameters
        ----------
        X : WindowedArray, DataFrame or array-like
            Of shape (n, steps, n_features) or (n, n_features).
            Arrays in order of time.
        y : array-like of shape (n,), a column, or one column per class
            Labels of any kind.
        label_end_times : array-like of shape (n,), optional
            When each label is known; default what y or X says.
        times : DatetimeIndex or MultiIndex (symbol, time) of length n, optional
            When the rows are, where their index was taken away.

        Returns
        -------
        X_resampled, y_resampled
            Of the kinds of X and y, in order of time. Rows that carry times keep them, and the
            handles that say when labels are known. A mark on both (lists and arrays of X cannot
            carry it) says which rows are synthetic, so that nothing validates on them, and which
            row of ``X`` each stands for, so that a horizon counts those.
        """
        values, labels = self._read(X, y)
        parents = parents_of(
            values, labels, self.k_neighbors, self.sampling_strategy, self.random_state
        )
        spans, axis = label_spans(
            X if hasattr(X, "index") else values,
            y,
            label_end_times=label_end_times,
            times=times,
            caller=type(self).__name__,
            strict=False,
            warn=False,
        )
        # place of each row in the order in which labels are known
        known = np.lexsort((axis.times, spans.end)).argsort()
        later = np.where(
            known[parents.first] >= known[parents.second], parents.first, parents.second
        )
        origin = np.concatenate([np.arange(len(values)), later])
        order = np.argsort(axis.times[origin], kind="stable")
        self.origin_, self.synthetic_ = origin[order], order >= len(values)
        made = order[self.synthetic_] - len(values)
        self.parents_, self.shares_ = (
            np.column_stack([parents.first, parents.second])[made],
            parents.share[made],
        )
        y_all = np.concatenate([labels, labels[parents.first]])[order]
        rows = self._rows(X, values, parents, order)
        targets = self._targets(y, y_all)
        distinct = axis.index is None or axis.index.is_unique
        places = self._places_of_parents(order)
        rows, targets = (
            mark_synthetic(part, places, self.origin_, distinct=distinct)
            for part in (rows, targets)
        )
        return rows, targets

    def _places_of_parents(self, order):
        """Where the parents of every row stand in the result; a real row is its own parent."""
        place = np.empty(len(order), dtype=np.intp)
        place[order] = np.arange(len(order))
        parents = np.column_stack([np.arange(len(order))] * 2)
        parents[self.synthetic_] = place[self.parents_]
        return parents

    def _fit_resample(self, X, y, **params):
        return self.fit_resample(X, y, **params)

    def _rows(self, X, values, parents, order):
        made = mixed_rows(values, parents)
        if not is_windows(X):
            rows = np.concatenate([values, made])[order]
            if not isinstance(X, pd.DataFrame):
                return rows.tolist() if isinstance(X, list) else rows
            kinds = (
                {
                    name: kind
                    for name, kind in X.dtypes.items()
                    if isinstance(kind, pd.SparseDtype) or kind.kind == "f"
                }
                if X.columns.is_unique
                else {}
            )
            frame = pd.DataFrame(rows, columns=X.columns, index=self._index(X)).astype(kinds)
            # mixed rows have no past
            frame.attrs = {key: value for key, value in X.attrs.items() if key != "history"}
            return frame
        n_steps = len(X.base)
        starts = n_steps + X.lookback * np.arange(len(parents))
        base = np.concatenate([X.base, made.reshape(-1, X.base.shape[1])])
        ends = np.concatenate([X.ends, starts + X.lookback - 1])[order]
        firsts = np.concatenate([X.firsts, starts])[order]
        index = None if X.index is None else X.index[self.origin_]
        return type(X)(
            base, ends, firsts, X.lookback, index=index, columns=X.columns, attrs=X.attrs
        )

    def _index(self, rows):
        """Rows keep their times, and several rows may share one; a mere count of rows is made
        anew."""
        timed = isinstance(rows.index, (pd.DatetimeIndex, pd.PeriodIndex, pd.MultiIndex))
        return rows.index[self.origin_] if timed else pd.RangeIndex(len(self.origin_))

    def _targets(self, y, y_all):
        if getattr(y, "ndim", 1) == 2 and y.shape[1] > 1:
            y_all = label_binarize(y_all, classes=np.unique(y_all))
        if isinstance(y, (pd.Series, pd.DataFrame)):
            index = self._index(y)
            out = (
                pd.Series(y_all, index, name=y.name, dtype=y.dtype)
                if y.ndim == 1
                else pd.DataFrame(y_all, index, y.columns)
            )
            out.attrs = dict(y.attrs)  # a row is known when the row it stands for is
            return out
        return y_all.tolist() if isinstance(y, list) else y_all

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.input_tags.sparse = False
        return tags


def _dense(X):
    """A table whose columns pandas stores sparsely, with its values written out; other rows as they
    are."""
    if not isinstance(X, pd.DataFrame) or not any(
        isinstance(kind, pd.SparseDtype) for kind in X.dtypes
    ):
        return X
    return pd.DataFrame(
        {place: X.iloc[:, place].to_numpy() for place in range(X.shape[1])}, X.index
    ).set_axis(X.columns, axis=1)

"""Windows of the last ``lookback`` rows, as a lazy view that scikit-learn can index."""

from typing import Literal, Self
import warnings

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._history import (
    get_history,
    prepend_tail,
    recall,
    remember_tail,
    segment_starts,
    usual_pauses,
)
from .._validation import (
    LABEL_TIMES,
    SESSION,
    Count,
    check_order,
    check_pause,
    refuse_infinite_column,
    session_starts,
    time_axis,
)
from ..exceptions import ColdStartWarning, SktrainError
from ._windowed_array import WindowedArray

__all__ = ["SlidingWindow", "WindowedArray"]

_ROWS_AT_ONCE = 1024  # turned from columns into rows in one go, a judgment: they fit in the cache


class SlidingWindow(  # type: ignore[call-arg]  # scikit-learn reads the keyword, untyped
    TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Give every row the window of the last ``lookback`` rows, its own included.

    Parameters
    ----------
    lookback : int, default=60
        Rows per window.
    flatten : bool, default=False
        Whether to return 2-D rows of ``lookback * n_features`` values, oldest step first, instead
        of a lazy view. This copies every window.
    crosses_session : bool, default=True
        Whether a window may reach from one trading session of intraday bars into the one before.
        With False the steps before the first bar of the row's session are missing, as at the front
        of a symbol.
    session : Timedelta or str, default="4h"
        The shortest pause that ends a session; read only when ``crosses_session`` is False.

    Attributes
    ----------
    lookback_ : int
        Rows a window looks back on, its own included.
    n_features_in_, feature_names_in_
        Seen in ``fit``.

    Notes
    -----
    Context comes from the history handle of ``X`` when it carries one (rows in any order then),
    else from the rows remembered in ``fit`` when ``X`` follows them directly. Steps without context
    are NaN at the front. For arrays, and frames not indexed by time, row order is time and nothing
    is remembered between calls.

    Examples
    --------
    >>> from sktrain import BarFeatures, SlidingWindow
    >>> from sktrain.datasets import load_sp500
    >>> features = BarFeatures().fit_transform(load_sp500())
    >>> windows = SlidingWindow(lookback=30).fit_transform(features)
    >>> windows.shape, windows[-100:].shape
    ((5031, 30, 38), (100, 30, 38))
    """

    _parameter_constraints: dict = {
        "lookback": [Count(1)],
        "flatten": ["boolean"],
        "crosses_session": ["boolean"],
        "session": [str, pd.Timedelta],
    }

    def __init__(
        self,
        lookback: int = 60,
        flatten: bool = False,
        crosses_session: bool = True,
        session: object = SESSION,
    ):
        self.lookback = lookback
        self.flatten = flatten
        self.crosses_session = crosses_session
        self.session = session

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Remember the columns and the last rows.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n, n_features)
            Numeric; NaN is allowed, infinities are not.
        y : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        self
            The fitted transformer.
        """
        self._validate_params()
        base, rows, index, _ = self._context(X, reset=True)
        if not self.crosses_session:
            session_starts(_timed(index), self.session)  # refuses bars without sessions
        self.lookback_ = int(self.lookback)
        self.tail_, self.first_seen_ = None, {None: base[rows[0]].copy()}
        self.pauses_ = None
        if _has_time(index):
            frame = pd.DataFrame(base, index=index, copy=False)
            self.tail_, self.first_seen_ = remember_tail(frame, self.lookback_, rows=rows)
            self.pauses_ = usual_pauses(frame, rows)
        return self

    def transform(self, X: ArrayLike) -> WindowedArray | np.ndarray | pd.DataFrame:
        """Give every row of ``X`` its window.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n, n_features)
            With a history handle rows may come in any order; else in order of time.

        Returns
        -------
        WindowedArray, shape (n, lookback, n_features)
            With ``flatten=True`` an ndarray, or for a DataFrame a DataFrame, of shape (n, lookback
            * n_features).
        """
        check_is_fitted(self)
        base, rows, index, fresh = self._context(X, reset=False)
        if fresh and self.lookback_ > 1:
            base, rows, index = self._with_tail(base, rows, index)
        starts = self._starts(X, index, fresh)
        firsts = starts[np.searchsorted(starts, rows, side="right") - 1]
        own = X.index if isinstance(X, pd.DataFrame) else None
        names = tuple(X.columns) if isinstance(X, pd.DataFrame) else None
        held = {} if own is None else getattr(X, "attrs", {})
        attrs = {key: held[key] for key in (LABEL_TIMES,) if key in held}
        windows = WindowedArray(
            base, rows, firsts, self.lookback_, index=own, columns=names, attrs=attrs
        )
        return windows if not self.flatten else self._flat(windows)

    def _flat(self, windows):
        values = windows.gather().reshape(len(windows), -1)
        if windows.index is None:
            return values
        flat = pd.DataFrame(values, index=windows.index, columns=self.get_feature_names_out())
        flat.attrs = dict(windows.attrs)
        return flat

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the flattened columns, ``<feature>_t-<steps back>``, oldest step first; of the
        features when not flattened.

        Parameters
        ----------
        input_features : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        ndarray of str
            Names, in the order of the columns.
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)])
        if not self.flatten:
            return np.asarray(names, dtype=object)
        return np.asarray(
            [f"{name}_t-{back}" for back in range(self.lookback_ - 1, -1, -1) for name in names],
            dtype=object,
        )

    def set_output(
        self, *, transform: Literal["default", "pandas", "polars"] | None = None
    ) -> Self:
        """Accepted, without effect, so that pipelines can set their output.

        Windows have no 2-D frame form, and flattened frames stay frames.

        Parameters
        ----------
        transform : object, optional
            Ignored.

        Returns
        -------
        self
            The transformer.
        """
        return self

    def _context(self, X, *, reset):
        """Rows to cut windows from, the places of X's rows among them, their index (None for
        arrays), and whether nothing is remembered."""
        if not isinstance(X, pd.DataFrame):
            values = validate_data(
                self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan"
            )
            return values, np.arange(len(values)), None, True
        _refuse_words(X)
        values = validate_data(
            self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=False
        )
        # names the column, and looks at one at a time: scikit-learn's check copies the table
        _refuse_infinities(X)
        timed = _has_time(X.index)
        context = recall(X, caller="SlidingWindow", lookback=int(self.lookback)) if timed else None
        if context is None:
            if timed:
                check_order(time_axis(X))
            return np.ascontiguousarray(values), np.arange(len(values)), X.index, True
        names, dtype = list(X.columns), values.dtype
        base = context.history.cached(
            ("windows", tuple(names), dtype.str), lambda frame: _contiguous(frame, dtype, names)
        )
        return base, context.rows, context.frame.index, False

    def _starts(self, X, index, fresh):
        """Places where a symbol begins, or one of its sessions: no window reaches before them."""
        if self.crosses_session:
            return segment_starts(index)

        def compute(frame):
            return np.flatnonzero(session_starts(frame.index, self.session, check=False))

        if fresh:
            return compute(pd.DataFrame(index=_timed(index)))
        pause = check_pause(self.session)
        return get_history(X).cached(("session starts", pause.value), compute)

    def _with_tail(self, base, rows, index):
        if not _has_time(index):
            same = self.first_seen_.get(None)
            if (
                self.tail_ is not None
                or same is None
                or not np.array_equal(same, base[0], equal_nan=True)
            ):
                warnings.warn(
                    "SlidingWindow knows no rows before an array, or a table without times such "
                    "as a polars one: the first windows are partly missing. Let the step before "
                    "give pandas frames, pass more past rows, or a frame from with_history.",
                    ColdStartWarning,
                    stacklevel=3,
                )
            return base, rows, index
        context = prepend_tail(
            pd.DataFrame(base, index=index, copy=False),
            self.tail_,
            caller="SlidingWindow",
            first_seen=self.first_seen_,
            pause=None if self.crosses_session else check_pause(self.session),
            usual=getattr(self, "pauses_", None),  # models of before 0.2 have none
        )
        return _contiguous(context.frame, base.dtype), context.rows, context.frame.index


def _has_time(index):
    return isinstance(index, (pd.DatetimeIndex, pd.MultiIndex))


def _timed(index):
    """The index, refused when it tells no time: then no session can be found."""
    if not _has_time(index):
        raise SktrainError(
            "crosses_session=False needs rows indexed by time, or by (symbol, time): sessions are "
            "found from the stamps."
        )
    return index


def _contiguous(frame, dtype, names=None):
    """Values row by row; the frame's own memory where it is laid out like that already."""
    if names is not None and names != list(frame.columns):
        frame = frame[names]
    plain = all(isinstance(kind, np.dtype) for kind in frame.dtypes)
    values = frame.to_numpy(dtype=dtype) if plain else frame.to_numpy(dtype=dtype, na_value=np.nan)
    if values.flags.c_contiguous:
        return values
    out = np.empty(values.shape, dtype=dtype)
    for start in range(0, len(out), _ROWS_AT_ONCE):
        out[start : start + _ROWS_AT_ONCE] = values[start : start + _ROWS_AT_ONCE]
    return out


def _refuse_words(X):
    for name, dtype in X.dtypes.items():
        if not (pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)):
            raise SktrainError(
                f"SlidingWindow needs numbers, but column {name!r} has dtype {dtype}. Encode it "
                "first, or drop it."
            )


def _refuse_infinities(X):
    for name in X.columns[X.columns.isin(X.select_dtypes("float").columns)]:
        column = X[name]
        values = (
            column.to_numpy()
            if isinstance(column.dtype, np.dtype)
            else column.to_numpy(np.float64, na_value=np.nan)
        )
        refuse_infinite_column(values, name, X.index)

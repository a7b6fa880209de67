"""One ordered split, purged and embargoed."""

from dataclasses import replace
import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import StrOptions

from .._spans import cut_blocks
from .._typing import Span
from .._validation import Number, renamed
from ..exceptions import InvalidSplitError, NotEnoughDataError
from ._base import OTHER_CALLS, OTHER_NAMES, Fold, Plan, SpanSplitter

__all__ = ["TemporalSplitter"]

_ROUNDING = 1e-9  # 0.7 of 10 times is 7, whatever floating point says


class TemporalSplitter(SpanSplitter):
    """Train on the oldest unique times, validate on the next, test on the last.

    Training rows whose label is not known before the first validated row, with ``embargo_bars``
    unique times between them, are left out; validation rows are cut against the test block in the
    same way.

    Parameters
    ----------
    train_ratio, val_ratio, test_ratio : float, default=0.7, 0.15, 0.15
        Shares of the unique times; they must sum to 1.
    embargo_bars : int, Timedelta or str, default=10
        Unique times left out between the last training label and the first tested row, exactly so
        many; or the time such as ``"5D"`` by which the label must have been known.
    horizon : int, Timedelta or str, optional
        Bars, or the time such as ``"5D"``, a label looks ahead, for labels that do not say so
        themselves.
    evaluate : {"val", "test"}, default="val"
        What ``split`` hands out: (train, validation), or (everything before the test block, test).
    embargo : int, Timedelta or str, optional
        Another name of ``embargo_bars``.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import TemporalSplitter
    >>> train, val, test = TemporalSplitter(horizon=3, embargo_bars=0).three_way(np.zeros((100, 1)))
    >>> train[-1], val[0], val[-1], test[0], test[-1]
    (np.int64(66), np.int64(70), np.int64(81), np.int64(85), np.int64(99))
    """

    _parameter_constraints = {
        "train_ratio": [Number(0, 1, closed="neither")],
        "val_ratio": [Number(0, 1, closed="left")],
        "test_ratio": [Number(0, 1, closed="left")],
        **SpanSplitter._span_constraints,
        "evaluate": [StrOptions({"val", "test"})],
    }

    @renamed(
        n_splits="it makes one split; EnhancedWalkForwardCV and CombinatorialPurgedCV make several",
        train_size="it is called train_ratio",
        test_size="it is called test_ratio",
        **OTHER_NAMES,
    )
    def __init__(
        self,
        train_ratio: float = 0.7,
        val_ratio: float = 0.15,
        test_ratio: float = 0.15,
        embargo_bars: Span = 10,
        horizon: Span | None = None,
        evaluate: Literal["val", "test"] = "val",
        embargo: Span | None = None,
    ) -> None:
        self.train_ratio = train_ratio
        self.val_ratio = val_ratio
        self.test_ratio = test_ratio
        self.embargo_bars = embargo_bars
        self.horizon = horizon
        self.evaluate = evaluate
        self.embargo = embargo

    def _n_folds(self):
        return 1

    @renamed(**OTHER_CALLS)
    def three_way(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        label_end_times: ArrayLike | None = None,
        times: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row numbers of the three blocks.

        Parameters
        ----------
        X : DataFrame or array-like of length n
            Indexed by time or (symbol, time); else the row order is the order of time.
        y : array-like of length n, optional
            Labels; rows where it is NaN are in no block.
        label_end_times, times : array-like of length n, optional
            As for ``split``.

        Returns
        -------
        train, val, test : ndarrays of intp
            Ascending; training purged and embargoed against validation, validation against test.

        Raises
        ------
        InvalidSplitError
            When the ratios do not sum to 1, or validation or test has no share.
        NotEnoughDataError
            When a block stays empty.
        """
        self._validate_params()
        if not self.val_ratio or not self.test_ratio:
            raise InvalidSplitError(
                f"three_way needs val_ratio > 0 and test_ratio > 0, got {self.val_ratio!r} and "
                f"{self.test_ratio!r}."
            )
        rows = self._read(X, y, {"label_end_times": label_end_times, "times": times})
        ((train, val),) = self._cut(rows, "val")
        ((_, test),) = self._cut(rows, "test")
        return train, val, test

    def _read(self, X, y, given):
        total = self.train_ratio + self.val_ratio + self.test_ratio
        if not math.isclose(total, 1, abs_tol=1e-9):
            raise InvalidSplitError(
                f"train_ratio + val_ratio + test_ratio must be 1, got {self.train_ratio} + "
                f"{self.val_ratio} + {self.test_ratio} = {total:g}."
            )
        return super()._read(X, y, given)

    def _plan(self, X, y, groups, given):
        self._validate_params()
        if not (self.val_ratio if self.evaluate == "val" else self.test_ratio):
            raise InvalidSplitError(
                f"evaluate={self.evaluate!r} needs {self.evaluate}_ratio > 0, got "
                f"{getattr(self, self.evaluate + '_ratio')!r}."
            )
        return self._cut(self._read(X, y, given), self.evaluate)

    def _cut(self, rows, evaluate):
        n = len(rows.spans.axis)
        first_val = math.floor(n * self.train_ratio + _ROUNDING)
        first_test = (
            math.floor(n * (self.train_ratio + self.val_ratio) + _ROUNDING)
            if self.test_ratio
            else n
        )
        if evaluate == "test":
            plan = Plan(rows, (Fold(((first_test, n - 1),), high=first_test),), self._embargo)
        else:
            if first_test < n:
                rows = self._cut_validation(rows, first_val, first_test, n)
            plan = Plan(
                rows, (Fold(((first_val, first_test - 1),), high=first_val),), self._embargo
            )
        train, test = next(iter(plan))
        for rows_left, name in (
            (train, "training"),
            (test, "validation" if evaluate == "val" else "test"),
        ):
            if not len(rows_left):
                raise NotEnoughDataError(self._too_short(rows, name, n))
        return plan

    def _cut_validation(self, rows, first_val, first_test, n):
        """The rows, without the validation labels that reach into the test block or come too near
        to it."""
        inside = (rows.spans.codes >= first_val) & (rows.spans.codes < first_test)
        cut = cut_blocks(
            rows.spans,
            [(first_test, n - 1)],
            rows.known & inside,
            rows.tested,
            embargo=self._embargo,
        )
        return replace(rows, known=rows.known & (cut.train | ~inside))

    def _too_short(self, rows, name, n):
        lost = rows.reach + rows.times_within(self._embargo)
        shares = [ratio for ratio in (self.train_ratio, self.val_ratio, self.test_ratio) if ratio]
        return (
            f"The {name} block stays empty: {n} unique times leave nothing after purging labels "
            f"and an embargo of {self._embargo}. "
            f"About {math.ceil((lost + 1) / min(shares))} unique times are needed; or shorten the "
            "embargo or the horizon."
        )

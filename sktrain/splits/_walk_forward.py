"""Walk-forward cross-validation: folds that train on the past and test on what follows.

Test folds are adjacent, in order of time, and end at the last labelled time. With regime coverage
on, the boundaries between them move so that test regimes were seen in training and as many regimes
as possible are tested.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.utils._param_validation import HasMethods, StrOptions

from .._typing import Span, Transformer
from .._validation import BarsOrTime, Count, as_span, check_beside, renamed
from ..exceptions import InvalidSplitError, NotEnoughDataError
from ._base import (
    OTHER_CALLS,
    OTHER_NAMES,
    Fold,
    Plan,
    SpanSplitter,
    fold_facts,
    read_rows,
)
from ._coverage import check_groups, cover, find_regimes, regime_facts

__all__ = ["EnhancedWalkForwardCV"]


class EnhancedWalkForwardCV(SpanSplitter):
    """Train on the past, test on the next block, walk forward; purged, embargoed, and aware of
    regimes.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds.
    window : {"expanding", "rolling"}, default="expanding"
        Whether the training window keeps its start, or moves with the fold and keeps its length.
    test_size : int, Timedelta or str, optional
        Unique times per test fold; default ``labelled times // (n_splits + 1)``. A length of time
        such as ``"90D"`` cuts folds of the calendar, counted back from the last labelled time, and
        their boundaries do not move for regimes.
    max_train_size : int, Timedelta or str, optional
        Longest training window in unique times, or in time, counted back from its last row after
        purge and embargo. Default: no limit when expanding, the first fold's window (in unique
        times) when rolling.
    min_samples_per_fold : int, default=100
        Unique times with labels that every training window and every test fold must hold, after
        purge and embargo.
    horizon : int, Timedelta or str, optional
        Bars, or the time such as ``"5D"``, a label looks ahead, for labels that do not say so
        themselves.
    embargo_bars : int, Timedelta or str, default=10
        Unique times left out between the last training label and the first tested row, exactly so
        many; or the time such as ``"5D"`` by which the label must have been known.
    ensure_regime_coverage : bool, default=True
        Move the boundaries between test folds, each within half and one and a half of the equal
        size, to minimise in this order: (fold, regime) pairs tested but never trained on; pairs not
        tested; deviation from equal sizes.
    regime_detector : transformer, optional
        Learns regimes from X's bar columns, one column of labels; default ``RegimeDetector()``.
        Ignored when ``groups`` are given.
    embargo : int, Timedelta or str, optional
        Another name of ``embargo_bars``.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import EnhancedWalkForwardCV
    >>> cv = EnhancedWalkForwardCV(
    ...     3, min_samples_per_fold=10, horizon=2, embargo_bars=5, ensure_regime_coverage=False
    ... )
    >>> [(len(train), f"{test[0]}-{test[-1]}") for train, test in cv.split(np.zeros((80, 1)))]
    [(13, '20-39'), (33, '40-59'), (53, '60-79')]
    """

    __metadata_request__split = {"groups": True, "label_end_times": True, "times": True}

    _parameter_constraints = {
        "n_splits": [Count(1)],
        "window": [StrOptions({"expanding", "rolling"})],
        "test_size": [BarsOrTime(1), None],
        "max_train_size": [BarsOrTime(1), None],
        "min_samples_per_fold": [Count(1)],
        **SpanSplitter._span_constraints,
        "ensure_regime_coverage": ["boolean"],
        "regime_detector": [HasMethods(["fit", "transform"]), None],
    }

    @renamed(
        n_folds="it is called n_splits",
        train_size="it is called max_train_size",
        expand_train="it is called window, 'expanding' or 'rolling'",
        **OTHER_NAMES,
    )
    def __init__(
        self,
        n_splits: int = 5,
        *,
        window: Literal["expanding", "rolling"] = "expanding",
        test_size: Span | None = None,
        max_train_size: Span | None = None,
        min_samples_per_fold: int = 100,
        horizon: Span | None = None,
        embargo_bars: Span = 10,
        ensure_regime_coverage: bool = True,
        regime_detector: Transformer | None = None,
        embargo: Span | None = None,
    ) -> None:
        self.n_splits = n_splits
        self.window = window
        self.test_size = test_size
        self.max_train_size = max_train_size
        self.min_samples_per_fold = min_samples_per_fold
        self.horizon = horizon
        self.embargo_bars = embargo_bars
        self.ensure_regime_coverage = ensure_regime_coverage
        self.regime_detector = regime_detector
        self.embargo = embargo

    def _n_folds(self):
        self._validate_params()
        return self.n_splits

    @renamed(
        df="the bars come first, as bars",
        n_folds="tell the constructor n_splits",
        feature_lookback=OTHER_CALLS["feature_lookback"],
    )
    def generate_folds(self, bars: pd.DataFrame, horizon: Span = 3) -> list:
        """Cut bars into frames, fold by fold.

        Parameters
        ----------
        bars : DataFrame
            Bars indexed by time or (symbol, time).
        horizon : int, Timedelta or str, default=3
            Bars, or the time, that the labels to be made from them look ahead.

        Returns
        -------
        list of (DataFrame, DataFrame)
            Training and test rows of each fold.
        """
        horizon = as_span("horizon", horizon, minimum=0)
        self._validate_params()
        rows = read_rows(bars, None, horizon, {}, type(self).__name__)
        plan, _ = self._plan_rows(rows, bars, None)
        return [(bars.iloc[train], bars.iloc[test]) for train, test in plan]

    @renamed(**OTHER_CALLS)
    def summary(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        label_end_times: ArrayLike | None = None,
        times: ArrayLike | None = None,
    ) -> pd.DataFrame:
        """What each fold holds, regimes included.

        Parameters
        ----------
        X, y, groups, label_end_times, times
            As for ``split``.

        Returns
        -------
        DataFrame, one row per fold
            ``train_start``, ``train_end``, ``test_start``, ``test_end`` (times of the first and
            last row), ``train_size``, ``test_size``, ``purged``, ``embargoed`` (rows),
            ``train_times``, ``test_times`` (unique times), for up to 20 classes
            ``train_share_<class>`` and ``test_share_<class>``; and, where regimes are known,
            ``train_rows_<regime>``, ``test_rows_<regime>``, ``unseen_regimes`` (tested, never
            trained on) and ``missing_regimes`` (not tested). Regimes are counted whether or not
            coverage moves the boundaries.
        """
        plan, regimes = self._plan_with_regimes(
            X, y, groups, {"label_end_times": label_end_times, "times": times}
        )
        if regimes is None and not self.ensure_regime_coverage:
            regimes = find_regimes(X, groups, self.regime_detector, None)
        facts = [
            fold_facts(plan, fold, y) | regime_facts(plan, fold, regimes) for fold in plan.folds
        ]
        return pd.DataFrame(facts, index=pd.RangeIndex(len(facts), name="fold"))

    def _groups_ignored(self):
        return (
            ""
            if self.ensure_regime_coverage
            else f"{type(self).__name__} with ensure_regime_coverage=False"
        )

    def _plan(self, X, y, groups, given):
        return self._plan_with_regimes(X, y, groups, given)[0]

    def _plan_with_regimes(self, X, y, groups, given):
        self._validate_params()
        rows = self._read(X, y, given)
        check_groups(groups, rows.axis)
        check_beside(X, {"groups": groups}, y)
        return self._plan_rows(rows, X, groups)

    @property
    def _limit(self):
        return (
            None if self.max_train_size is None else as_span("max_train_size", self.max_train_size)
        )

    @property
    def _size(self):
        return None if self.test_size is None else as_span("test_size", self.test_size)

    def _plan_rows(self, rows, X, groups):
        if isinstance(self._limit, int) and self._limit < self.min_samples_per_fold:
            raise InvalidSplitError(
                f"max_train_size={self.max_train_size} is below "
                f"min_samples_per_fold={self.min_samples_per_fold}."
            )
        edges = (
            self._calendar_edges(rows)
            if isinstance(self._size, pd.Timedelta)
            else self._equal_edges(rows)
        )
        limit, plan = self._fill(rows, edges)
        if not self.ensure_regime_coverage or isinstance(self._size, pd.Timedelta):
            return plan, None
        regimes = find_regimes(X, groups, self.regime_detector, type(self).__name__)
        if regimes is None or self.n_splits == 1:
            return plan, regimes
        moved = cover(
            rows, regimes, edges, embargo=self._embargo, limit=limit,
            minimum=self.min_samples_per_fold,
        )
        if (moved == edges).all():
            return plan, regimes
        try:
            return self._fill(rows, moved)[1], regimes
        # a limited window over patchy labels can fall below the minimum where equal folds do not
        except NotEnoughDataError:
            return plan, regimes

    def _equal_edges(self, rows):
        """Axis positions where the test folds begin, and where the last one ends."""
        n, k, least = rows.last + 1, self.n_splits, self.min_samples_per_fold
        if k >= n:
            raise NotEnoughDataError(
                f"{k:,} folds need more than {k:,} unique times, got {n:,} up to the last label. "
                "Use fewer n_splits."
            )
        size = n // (k + 1) if self._size is None else self._size
        if self._size is not None and size < least:
            raise InvalidSplitError(f"test_size={size} is below min_samples_per_fold={least}.")
        if self._size is not None and n - size * k < 1:
            raise NotEnoughDataError(
                f"test_size={size} leaves nothing to train on: {k} folds need "
                f"{self._least_times(rows)} unique times with "
                f"min_samples_per_fold={least}, got {n} up to the last label. Use a smaller "
                "test_size, fewer n_splits or more rows."
            )
        edges = n - size * np.arange(k, -1, -1)
        tested = np.diff(rows.labels_until[edges])
        if (tested < least).any():
            what = f"a test fold holds {tested.min()} labelled unique times"
            raise NotEnoughDataError(self._too_short(rows, what))
        return edges

    def _calendar_edges(self, rows):
        """As ``_equal_edges``, for folds that cover ``test_size`` of the calendar each, up to the
        last labelled time."""
        axis, least = rows.spans.axis, self.min_samples_per_fold
        if self.n_splits > rows.last:
            raise NotEnoughDataError(
                f"{self.n_splits:,} folds need as many unique times, got {rows.last + 1:,}. Use "
                "fewer n_splits."
            )
        starts = axis[rows.last] - self._size.as_unit("ns").value * np.arange(self.n_splits, -1, -1)
        edges = np.searchsorted(axis, starts, side="right")
        tested = np.diff(rows.labels_until[edges])
        if (tested < least).any():
            fold = int(np.argmax(tested < least))
            raise NotEnoughDataError(
                f"test_size={self.test_size!r}: test fold {fold} from "
                f"{rows.timestamp(edges[fold])} holds {tested[fold]} labelled unique times, but "
                f"min_samples_per_fold={least}. Use a longer test_size, fewer n_splits, or lower "
                "min_samples_per_fold."
            )
        return edges

    def _window_start(self, rows, last, limit):
        """First position of a training window that ends at position ``last``."""
        if isinstance(limit, pd.Timedelta):
            axis = rows.spans.axis
            return int(np.searchsorted(axis, axis[last] - limit.as_unit("ns").value, side="right"))
        return max(0, last - limit + 1)

    def _fill(self, rows, edges):
        """The plan for given edges, checked, and the length limit of its training windows (None for
        no limit)."""
        limit, folds = self._limit, list[Fold]()
        for first, end in zip(edges[:-1].tolist(), edges[1:].tolist()):
            fold = Fold(((first, end - 1),), high=first)
            # when expanding, later folds keep what the first one keeps
            if limit is not None or not folds:
                plan = Plan(rows, (fold,), self._embargo)
                last = plan.last_training_time(fold)
                if self.window == "rolling" and limit is None and last is not None:
                    limit = last + 1
                if limit is not None and last is not None:
                    fold = Fold(fold.blocks, self._window_start(rows, last, limit), first)
                n_times = len(plan.training_times(fold))
                if n_times < self.min_samples_per_fold:
                    what = (
                        f"fold {len(folds)} trains on {n_times} labelled unique times after purge "
                        "and embargo"
                    )
                    raise NotEnoughDataError(self._too_short(rows, what))
            folds.append(fold)
        return limit, Plan(rows, tuple(folds), self._embargo)

    def _too_short(self, rows, what):
        got = rows.last + 1
        need = 0 if isinstance(self._size, pd.Timedelta) else self._least_times(rows)
        advice = "Use more rows, fewer n_splits, or lower min_samples_per_fold or embargo_bars."
        if self.test_size is not None:
            advice = (
                f"Use more rows, fewer n_splits, a shorter test_size than {self.test_size!r}, or "
                "lower min_samples_per_fold."
            )
        if need > got:
            facts = (
                f"{self.n_splits} folds need {need} unique times, got {got} up to the last label."
            )
        else:
            facts = (
                f"Of {got} unique times up to the last label, {rows.labels_until[got]} have a "
                "label."
            )
        return (
            f"{what[0].upper()}{what[1:]}, but min_samples_per_fold={self.min_samples_per_fold}. "
            f"{facts} {advice}"
        )

    def _least_times(self, rows):
        """The next number of unique times that fills every fold, if each has a label."""
        k, least = self.n_splits, self.min_samples_per_fold
        # unique times before a test fold that cannot train
        lost = rows.reach + rows.times_within(self._embargo)
        if self._size is not None:
            return k * self._size + least + lost
        n = max((k + 1) * least, rows.last + 1)
        # what stands before the first of k equal folds
        while n - k * (n // (k + 1)) - lost < least:
            n += 1
        return n

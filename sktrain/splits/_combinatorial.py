"""Combinatorial purged cross-validation: C(n, k) purged folds and their paths.

Unique times are cut into ``n_blocks`` blocks in order; every choice of ``n_test_blocks`` of them is
tested once, trained on what the label spans allow of all others, earlier and later (Lopez de Prado
2018, ch. 12). Every block is tested in several folds; a path takes each block from one of them, so
several complete histories of out-of-fold predictions can be told apart.
"""

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from .._typing import Span
from .._validation import Count, renamed
from ..exceptions import InvalidSplitError, NotEnoughDataError
from ._base import OTHER_CALLS, OTHER_NAMES, Fold, Plan, SpanSplitter

__all__ = ["CombinatorialPurgedCV"]

_MOST_SPLITS = 100_000  # a judgment: more fits than anybody waits for


class CombinatorialPurgedCV(SpanSplitter):
    """Test every combination of blocks of time, purged and embargoed on both sides.

    Parameters
    ----------
    n_blocks : int, default=6
        Blocks of (nearly) equal numbers of unique times, up to the last labelled one.
    n_test_blocks : int, default=2
        Blocks tested together in one fold; fewer than ``n_blocks``.
    horizon : int, Timedelta or str, optional
        Bars, or the time such as ``"5D"``, a label looks ahead, for labels that do not say so
        themselves.
    embargo_bars : int, Timedelta or str, default=10
        Unique times left out between training labels and tested rows, on both sides of a block,
        exactly so many; or the time such as ``"5D"`` by which labels must have been known.
    embargo : int, Timedelta or str, optional
        Another name of ``embargo_bars``.

    Examples
    --------
    >>> from sktrain import CombinatorialPurgedCV
    >>> cv = CombinatorialPurgedCV(n_blocks=6, n_test_blocks=2)
    >>> cv.get_n_splits(), cv.get_n_paths()
    (15, 5)
    >>> cv.paths()[0]
    array([0, 0, 1, 2, 3, 4])
    """

    _parameter_constraints = {
        "n_blocks": [Count(2)],
        "n_test_blocks": [Count(1)],
        **SpanSplitter._span_constraints,
    }

    @renamed(
        **dict.fromkeys(["n_folds", "n_groups", "n_splits"], "it is called n_blocks"),
        **dict.fromkeys(["n_test_folds", "n_test_groups"], "it is called n_test_blocks"),
        **OTHER_NAMES,
    )
    def __init__(
        self,
        n_blocks: int = 6,
        n_test_blocks: int = 2,
        horizon: Span | None = None,
        embargo_bars: Span = 10,
        embargo: Span | None = None,
    ) -> None:
        self.n_blocks = n_blocks
        self.n_test_blocks = n_test_blocks
        self.horizon = horizon
        self.embargo_bars = embargo_bars
        self.embargo = embargo

    def _n_folds(self):
        self._check()
        return comb(self.n_blocks, self.n_test_blocks)

    def get_n_paths(self) -> int:
        """Number of complete paths, C(n_blocks - 1, n_test_blocks - 1).

        Returns
        -------
        int
            Paths.
        """
        self._check()
        return comb(self.n_blocks - 1, self.n_test_blocks - 1)

    @renamed(**OTHER_CALLS)
    def paths(
        self,
        X: object = None,
        y: object = None,
        groups: object = None,
        label_end_times: object = None,
        times: object = None,
    ) -> np.ndarray:
        """Which fold tells each block of each path.

        Path p takes block b from the p-th fold, in the order of ``split``, that tests b.

        Parameters
        ----------
        X, y, groups, label_end_times, times : ignored
            The paths follow from the two numbers of blocks alone.

        Returns
        -------
        ndarray of int, shape (n_paths, n_blocks)
            Fold numbers, counted from 0.
        """
        self._check()
        tests: list[list[int]] = [[] for _ in range(self.n_blocks)]
        for fold, chosen in enumerate(self._combinations()):
            for block in chosen:
                tests[block].append(fold)
        return np.array(tests).T

    def path_predictions(
        self,
        predictions: Sequence[ArrayLike],
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        label_end_times: ArrayLike | None = None,
        times: ArrayLike | None = None,
    ) -> np.ndarray:
        """Put the out-of-fold predictions of all folds together into complete paths.

        Parameters
        ----------
        predictions : sequence of n_splits array-likes
            What each fold's estimator said about its test rows, in the order of ``split``: shape
            (n_test,) or (n_test, k).
        X, y, label_end_times, times
            As given to ``split``.

        Returns
        -------
        ndarray of float, shape (n_paths, n) or (n_paths, n, k)
            NaN for rows that no fold tests (rows without a label). Labels that are no numbers give
            an array of objects with None there.

        Raises
        ------
        InvalidSplitError
            When a fold's predictions have the wrong length, or their number is not ``n_splits``.
        """
        plan = self._plan(X, y, None, {"label_end_times": label_end_times, "times": times})
        values = [np.asarray(part) for part in predictions]
        tests = [plan.test(fold) for fold in plan.folds]
        self._check_predictions(values, tests)
        block_of = self._block_of(plan.rows)
        numeric = all(part.dtype.kind in "fiub" for part in values)
        shape = (self.get_n_paths(), len(block_of), *values[0].shape[1:])
        told = np.full(shape, np.nan) if numeric else np.full(shape, None, dtype=object)
        for path, folds in enumerate(self.paths()):
            for block, fold in enumerate(folds):
                mine = block_of[tests[fold]] == block
                told[path, tests[fold][mine]] = values[fold][mine]
        return told

    def _check(self):
        self._validate_params()
        if self.n_test_blocks >= self.n_blocks:
            raise InvalidSplitError(
                f"n_test_blocks must be below n_blocks, got {self.n_test_blocks} of "
                f"{self.n_blocks}: nothing is left to train on."
            )
        folds = comb(self.n_blocks, self.n_test_blocks)
        if folds > _MOST_SPLITS:
            raise InvalidSplitError(
                f"n_blocks={self.n_blocks} and n_test_blocks={self.n_test_blocks} give {folds:,} "
                f"folds, more than {_MOST_SPLITS:,}. Lower one of them."
            )

    def _check_predictions(self, values, tests):
        if len(values) != len(tests):
            raise InvalidSplitError(
                f"predictions must hold one array per fold: got {len(values)} for {len(tests)} "
                "folds."
            )
        for number, (part, test) in enumerate(zip(values, tests)):
            if part.ndim == 0 or len(part) != len(test) or part.shape[1:] != values[0].shape[1:]:
                raise InvalidSplitError(
                    f"predictions of fold {number} have shape {part.shape}, but the fold tests "
                    f"{len(test)} rows."
                )

    def _combinations(self):
        return combinations(range(self.n_blocks), self.n_test_blocks)

    def _bounds(self, rows):
        """Closed ranges of axis positions of all blocks."""
        sizes = np.full(self.n_blocks, (rows.last + 1) // self.n_blocks)
        sizes[: (rows.last + 1) % self.n_blocks] += 1
        ends = np.cumsum(sizes)
        return [(int(end - size), int(end - 1)) for end, size in zip(ends, sizes)]

    def _block_of(self, rows):
        """Block number of every row; rows after the last labelled time count to the last block."""
        starts = [first for first, _ in self._bounds(rows)]
        return np.searchsorted(starts, rows.spans.codes, side="right") - 1

    def _plan(self, X, y, groups, given):
        self._check()
        rows = self._read(X, y, given)
        if rows.last + 1 < self.n_blocks:
            raise NotEnoughDataError(
                f"n_blocks={self.n_blocks} needs at least {self.n_blocks} unique labelled times, "
                f"got {rows.last + 1}."
            )
        bounds = self._bounds(rows)
        plan = Plan(
            rows,
            tuple(Fold(tuple(bounds[b] for b in chosen)) for chosen in self._combinations()),
            self._embargo,
        )
        for number, fold in enumerate(plan.folds):
            if not len(plan.test(fold)) or not plan.cut(fold).train.any():
                what = "test" if not len(plan.test(fold)) else "training"
                raise NotEnoughDataError(
                    f"Fold {number} has no {what} rows: {rows.last + 1} unique times in "
                    f"{self.n_blocks} blocks leave nothing after purging labels "
                    f"and an embargo of {self._embargo}. Use more rows, fewer blocks, or a "
                    "shorter embargo."
                )
        return plan

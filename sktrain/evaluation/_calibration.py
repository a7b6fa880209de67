"""Is a score real? The whole pipeline on the user's bars and on copies without signal.

The pipeline is treated alike on both, so whatever it gets from class balance, overlapping labels,
volatility or a leak in the code is in the null scores too: only what depends on the order of the
market is left.
"""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
import math
import os
from typing import Any, Literal
import warnings

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed

from .._progress import progress_bar
from .._typing import Estimator, LabelSource, Splitter
from .._validation import check_bars, check_count, check_number, horizon_in_bars
from ..exceptions import DataQualityWarning, SktrainError
from ._folds import balanced_accuracy, fit_fold
from ._journal import Journal, fingerprint
from ._null_markets import METHODS, null_market
from ._predictions import splits_of, takes_end_times

__all__ = ["NullCalibration", "null_calibration"]



@dataclass(frozen=True, eq=False)
class NullCalibration:
    """A score and what the same pipeline scores where there is nothing to find.

    Attributes
    ----------
    score : float
        Mean over the folds, on the bars as they are.
    fold_scores : ndarray of shape (n_folds,)
        Score of each fold, on the bars as they are.
    null_scores : ndarray of shape (n_null,)
        Mean over the folds, on each copy without signal.
    method : {"block", "sign", "phase"}
        How the copies were drawn.
    metric : str
        Name of what is scored.
    n_null : int or None
        Copies asked for, where fewer may have been scored: see ``n_scored``.
    alpha : float
        Level of the verdict.
    stop_count : int or None
        Null scores at or above the score after which no further copy was scored; None when all
        were.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain.evaluation import NullCalibration
    >>> found = NullCalibration(
    ...     score=0.41, fold_scores=np.array([0.40, 0.42]), null_scores=np.linspace(0.30, 0.42, 99),
    ...     method="block", metric="balanced_accuracy",
    ... )
    >>> found.p_value  # nine of 99 copies without signal score as much
    0.1
    """

    score: float
    fold_scores: np.ndarray
    null_scores: np.ndarray
    method: Literal["block", "sign", "phase"]
    metric: str
    n_null: int | None = None
    alpha: float = 0.05
    stop_count: int | None = None

    @property
    def n_scored(self) -> int:
        """Copies that decided: ``n_null``, or fewer where ``stop="sequential"`` stopped."""
        return len(self.null_scores)

    @property
    def p_value(self) -> float:
        """The share of markets without signal that score as high: exact whether stopped or not.

        With g of n null scores at or above the score it is (g + 1) / (n + 1). Stopped at the h-th
        of them, it is h / n: the rank of the score among the first n - 1 copies, the only one that
        the last copy left open (Besag & Clifford 1991, "Sequential Monte Carlo p-values", section
        2).
        """
        above = int(np.sum(self.null_scores >= self.score))
        if above == self.stop_count:
            return above / self.n_scored
        return (above + 1) / (self.n_scored + 1)

    @property
    def false_discovery_rate(self) -> float:
        """Least chance that calling this score an edge is a false discovery, if edge and none were
        equally likely before.

        1 / (1 − 1 / (e p log p)) for p < 1/e, else one half: the bound of Sellke, Bayarri & Berger
        (2001), "Calibration of p Values for Testing Precise Null Hypotheses". For several
        pipelines, see :func:`false_discovery_rate`.
        """
        p = self.p_value
        return 0.5 if p >= 1 / math.e else 1 / (1 - 1 / (math.e * p * math.log(p)))

    @property
    def excess(self) -> float:
        """Score minus the mean null score: what the order of the market is worth.

        Where ``stop="sequential"`` stopped, the mean is of the copies up to the last high one, and
        a little too high for it.
        """
        return self.score - float(self.null_scores.mean())

    def verdict(self, alpha: float | None = None) -> str:
        """Whether the score stands out from what the pipeline scores without signal.

        Parameters
        ----------
        alpha : float, optional
            Level in (0, 1); default that of the call.

        Returns
        -------
        {"edge", "no edge"}
            ``"edge"`` when the p-value is at most ``alpha``.
        """
        return "edge" if self.p_value <= (self.alpha if alpha is None else alpha) else "no edge"

    def summary(self) -> str:
        """The score, its null, the p-value and the false discovery rate, in one paragraph.

        Returns
        -------
        str
            One paragraph.
        """
        nulls = self.null_scores
        scored = (
            f"{len(nulls)}"
            if self.n_null in (None, len(nulls))
            else f"the first {len(nulls)} of {self.n_null}"
        )
        return (
            f"{self.metric} {self.score:.4f} against {nulls.mean():.4f} (95th percentile "
            f"{np.quantile(nulls, 0.95):.4f}) on {scored} copies "
            f"without signal ({self.method}): p = {self.p_value:.3g}, {self.verdict()}; "
            "at even odds beforehand, a discovery would be false in at least "
            f"{self.false_discovery_rate:.0%} of cases"
        )


def null_calibration(
    estimator: Estimator,
    bars: pd.DataFrame,
    *,
    labeler: LabelSource | Callable[..., Any],
    cv: Splitter | None = None,
    scoring: str | Callable | None = None,
    n_null: int = 99,
    stop: Literal["sequential"] | None = None,
    alpha: float = 0.05,
    method: Literal["block", "sign", "phase"] = "block",
    block_length: int | None = None,
    random_state: int | np.random.RandomState | np.random.Generator | None = None,
    n_jobs: int | None = None,
    path: str | os.PathLike | None = None,
    verbose: int = 0,
) -> NullCalibration:
    """Run the whole pipeline on ``bars`` and on ``n_null`` copies of them without signal.

    Parameters
    ----------
    estimator : classifier
        A pipeline from bars to classes, cloned for every fit. Where a ``random_state`` inside is
        None, it is set from ``random_state``, so that results repeat.
    bars : DataFrame of bars
        One instrument or a panel.
    labeler : object with ``fit_resample(bars) -> (rows, y)``, or such a function
        Label end times (``labeler.label_end_times(bars)``) are handed to the splitter where both
        know them.
    cv : splitter, optional
        Default ``EnhancedWalkForwardCV(n_splits=5, ensure_regime_coverage=False)``.
    scoring : str or callable, optional
        Default balanced accuracy, whose chance level does not move with the class balance of a
        copy.
    n_null : int, default=99
        Copies; the smallest possible p-value is 1 / (n_null + 1).
    stop : {"sequential"} or None, default=None
        ``"sequential"`` scores no further copy once as many scored at or above the score as settle
        that there is no edge: 0.8 ``alpha`` (n_null + 1), rounded, 4 for the defaults. The p-value
        is exact (see :attr:`NullCalibration.p_value`), and the same for any ``n_jobs``. On a market
        without signal 16 copies of 99 are scored in the mean, which are 5.8 times fewer fits; a
        real edge is scored against all. None scores every copy, so that ``null_scores`` show the
        whole null.
    alpha : float, default=0.05
        Level of the verdict, in (0, 1).
    method : {"block", "sign", "phase"}, default="block"
        How copies are drawn, and so what the score is held against, see :func:`null_market`:
        ``"block"`` shuffles bars within blocks and keeps slow trends, ``"sign"`` draws every
        direction at random, ``"phase"`` keeps linear autocorrelation.
    block_length : int, optional
        Bars in a block, at least twice the labels' horizon. Default: 20, or four times the horizon
        if that is more.
    random_state : int, RandomState, Generator or None, default=None
        Seed; copy i depends on the seed and on i only.
    n_jobs : int, optional
        Copies scored at once, through joblib; the same result for any value.
    path : path-like, optional
        File that keeps finished scores: an interrupted call goes on where it stopped, a larger
        ``n_null`` adds to what is there. It is written atomically and belongs to one estimator,
        market, labeler, splitter and seed.
    verbose : int, default=0
        0 is silent; 1 shows progress.

    Returns
    -------
    NullCalibration
        The score, the null scores and the p-value.

    Notes
    -----
    Why 0.8: stopped at the h-th high copy, p is at most ``alpha`` only after h / ``alpha`` copies,
    so the test is that of the first h / ``alpha`` - 1 copies, 79 of 99. If all copies would find an
    edge in half of all cases, these find it in 0.4 percentage points fewer, the most there is for a
    normal score; 0.6 would lose 1.1.

    Raises
    ------
    SktrainError
        When a score is not a finite number, or a copy cannot be scored (the copy is named).
    StudyMismatchError
        When ``path`` holds the scores of something else; the message says of what.

    Examples
    --------
    >>> from sklearn.impute import SimpleImputer
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn.pipeline import make_pipeline
    >>> from sktrain import AdaptiveLabeler, BarFeatures
    >>> from sktrain.datasets import make_market
    >>> from sktrain.evaluation import null_calibration
    >>> bars = make_market(1500, signal=0.8, random_state=0).bars
    >>> model = make_pipeline(BarFeatures(windows=(5,)), SimpleImputer(), GaussianNB())
    >>> labeler = AdaptiveLabeler(horizon=1, base_threshold=0.43, scaling="sigma")
    >>> null_calibration(model, bars, labeler=labeler, n_null=19, random_state=0).p_value
    0.05
    """
    count = check_count("n_null", n_null)
    checked = check_bars(bars, warn=False)
    _check_request(estimator, labeler, method)
    check_number("alpha", alpha, 0, 1, closed="neither")
    stop_count = _stop_count(stop, alpha, count)
    task = _Task(estimator, labeler, _default_cv(cv), scoring, method, 0)
    task = replace(task, block_length=_block_length(block_length, task.label(checked)[1], method))
    journal = Journal.open(
        path, fingerprint(checked, task) if path is not None else None, _entropy(random_state)
    )
    task = task.seeded(journal.entropy)
    if journal.fold_scores is None:
        journal.set_score(task.score(checked))
    folds = np.array(journal.fold_scores)
    copies = _Copies(journal, float(folds.mean()), count, stop_count)
    with journal, _progress(count, verbose) as advance:
        advance(sum(number < count for number in journal.nulls))
        plain = checked.copy(deep=False)
        # a copy gets a history of its own; workers need not be sent this one
        plain.attrs.pop("history", None)
        jobs = (delayed(task.score_null)(plain, journal.entropy, i) for i in copies.missing())
        # in flight: no more than work at once, for what was begun when the verdict fell is in vain
        ahead = {} if stop_count is None else {"pre_dispatch": "n_jobs", "batch_size": 1}
        for number, value in Parallel(n_jobs=n_jobs, return_as="generator_unordered", **ahead)(
            jobs
        ):
            copies.add(number, value)
            advance(1)
    nulls = np.array([journal.nulls[i] for i in range(copies.decided)])
    return NullCalibration(
        copies.score, folds, nulls, method, task.metric, count, alpha, stop_count
    )


def _stop_count(stop, alpha, count):
    """Null scores at or above the score that end a sequential calibration; None for a whole one."""
    if stop is None:
        return None
    if stop != "sequential":
        raise SktrainError(f"stop must be 'sequential' or None, got {stop!r}.")
    return max(1, round(0.8 * alpha * (count + 1)))  # 0.8: see the notes of null_calibration


class _Copies:
    """Which copies are still to score, and how many decide: in order of number, whoever ends
    first."""

    def __init__(self, journal, score, count, stop_count):
        self.score, self.decided = score, 0
        self._journal, self._count, self._stop_count = journal, count, stop_count
        self._above = 0
        self._advance()

    def add(self, number, value):
        self._journal.add(number, value)
        self._advance()

    def missing(self):
        """Numbers of the copies to score, until the verdict is settled."""
        for number in range(self._count):
            if self._above == self._stop_count:
                return
            if number not in self._journal.nulls:
                yield number

    def _advance(self):
        nulls = self._journal.nulls
        while (
            self.decided < self._count and self.decided in nulls and self._above != self._stop_count
        ):
            self._above += nulls[self.decided] >= self.score
            self.decided += 1


def _check_request(estimator, labeler, method):
    if method not in METHODS:
        raise SktrainError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")
    if (
        not hasattr(estimator, "fit")
        or not hasattr(estimator, "get_params")
        or isinstance(estimator, type)
    ):
        raise SktrainError(f"estimator must be a scikit-learn classifier, got {estimator!r}.")
    if not (hasattr(labeler, "fit_resample") or callable(labeler)) or isinstance(labeler, type):
        raise SktrainError(
            "labeler must have fit_resample(bars) -> (rows, y), or be such a function; got "
            f"{labeler!r}."
        )


def _default_cv(cv):
    if cv is not None:
        return cv
    from ..splits import EnhancedWalkForwardCV

    return EnhancedWalkForwardCV(n_splits=5, ensure_regime_coverage=False)


def _block_length(block_length, y, method):
    horizon = horizon_in_bars(y) or 0
    if block_length is None:
        return max(20, 4 * horizon)
    length = check_count("block_length", block_length, minimum=2)
    if method == "block" and length < 2 * horizon:
        raise SktrainError(
            f"block_length={length} is less than twice the labels' horizon of {horizon} bars: the "
            f"copies would keep the outcomes. Pass at least {2 * horizon}, or method='sign'."
        )
    return length


def _entropy(random_state):
    if random_state is None:
        return None
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    return check_count("random_state", random_state, minimum=0)


@dataclass(frozen=True)
class _Task:
    """The pipeline from bars to a score, picklable."""

    estimator: Any
    labeler: Any
    cv: Any
    scoring: Any
    method: Literal["block", "sign", "phase"]
    block_length: int

    @property
    def metric(self):
        if self.scoring is None:
            return "balanced accuracy"
        return (
            self.scoring.replace("_", " ")
            if isinstance(self.scoring, str)
            else getattr(self.scoring, "__name__", "score")
        )

    def seeded(self, entropy):
        """The same task with every ``random_state`` of the estimator that is None set from the
        seed."""
        open_seeds = [
            name
            for name, value in sorted(self.estimator.get_params().items())
            if name.split("__")[-1] == "random_state" and value is None
        ]
        seeds = np.random.SeedSequence(entropy).generate_state(len(open_seeds) + 1) >> 1
        return replace(
            self,
            estimator=clone(self.estimator).set_params(
                **{name: int(seed) for name, seed in zip(open_seeds, seeds)}
            ),
        )

    def label(self, bars):
        """Labelled rows, labels, and the labeler that made them."""
        labeler = clone(self.labeler) if hasattr(self.labeler, "get_params") else self.labeler
        rows, y = labeler.fit_resample(bars) if hasattr(labeler, "fit_resample") else labeler(bars)
        return rows, y, labeler

    def score(self, bars):
        """Score of every fold."""
        rows, y, labeler = self.label(bars)
        ends = None
        if (
            hasattr(labeler, "label_end_times")
            and hasattr(self.cv, "split")
            and takes_end_times(self.cv)
        ):
            ends = labeler.label_end_times(bars)
            ends = ends.loc[rows.index] if hasattr(ends, "loc") else None
        scorer = (
            _balanced_accuracy_scorer
            if self.scoring is None
            else check_scoring(self.estimator, scoring=self.scoring)
        )
        scores = []
        for train, test in splits_of(self.cv, rows, y, label_end_times=ends):
            fitted = fit_fold(self.estimator, rows, y, train)
            scores.append(
                float(scorer(fitted, _safe_indexing(rows, test), _safe_indexing(y, test)))
            )
        if not np.isfinite(scores).all():
            raise SktrainError(
                f"The {self.metric} of fold {int(np.argmin(np.isfinite(scores)))} is not a finite "
                f"number: {scores!r}."
            )
        return scores

    def score_null(self, bars, entropy, number):
        """(number, mean score) of one copy, which depends on the seed and the number alone."""
        seed = np.random.SeedSequence(entropy, spawn_key=(number,))
        copy = null_market(bars, self.method, block_length=self.block_length, random_state=seed)
        try:
            with warnings.catch_warnings():
                # the bars themselves have said it
                warnings.simplefilter("ignore", DataQualityWarning)
                return number, float(np.mean(self.score(copy)))
        except ValueError as error:
            raise SktrainError(
                f"Copy {number} without signal ({self.method}) could not be scored: {error}"
            ) from error


def _balanced_accuracy_scorer(fitted, rows, y):
    return balanced_accuracy(np.asarray(y), fitted.predict(rows))


@contextmanager
def _progress(total, verbose):
    """A function that advances a progress bar; silent for ``verbose=0``."""
    if not check_count("verbose", verbose, minimum=0):
        yield lambda steps: None
        return
    with progress_bar() as bar:
        task = bar.add_task("null copies", total=total)
        yield lambda steps: bar.advance(task, steps)

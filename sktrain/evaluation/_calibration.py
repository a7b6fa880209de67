"""Is a score real? The whole pipeline, labels to folds, on the user's bars and on copies of them without signal.

Bars enter, a score, the scores of the copies and a p-value leave. The pipeline is treated alike on both, so whatever it gets from
class balance, overlapping labels, volatility or a leak in the code is in the null scores too: only what depends on the
order of the market is left.
"""

from contextlib import contextmanager
from dataclasses import dataclass, replace
import math
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed

from .._validation import check_bars, check_count, horizon_in_bars
from ..exceptions import DataQualityWarning, SktrainError
from ._journal import Journal, fingerprint
from ._null_markets import METHODS, null_market
from ._predictions import balanced_accuracy, splits_of, takes_end_times

__all__ = ["NullCalibration", "null_calibration"]


@dataclass(frozen=True, eq=False)
class NullCalibration:
    """A score and what the same pipeline scores where there is nothing to find.

    Attributes
    ----------
    score : float
        Mean over the folds, on the bars as they are.
    fold_scores : ndarray of shape (n_folds,)
    null_scores : ndarray of shape (n_null,)
        Mean over the folds, on each copy without signal.
    method : {"block", "sign", "phase"}
        How the copies were drawn.
    metric : str
        Name of what is scored.
    """

    score: float
    fold_scores: np.ndarray
    null_scores: np.ndarray
    method: str
    metric: str

    @property
    def p_value(self):
        """(1 + number of null scores at or above the score) / (n_null + 1)."""
        return (1 + int(np.sum(self.null_scores >= self.score))) / (len(self.null_scores) + 1)

    @property
    def false_discovery_rate(self):
        """Least chance that calling this score an edge is a false discovery, if edge and none were equally likely before.

        1 / (1 − 1 / (e p log p)) for p < 1/e, else one half: the bound of Sellke, Bayarri & Berger (2001), "Calibration of p
        Values for Testing Precise Null Hypotheses". For several pipelines, see :func:`false_discovery_rate`.
        """
        p = self.p_value
        return 0.5 if p >= 1 / math.e else 1 / (1 - 1 / (math.e * p * math.log(p)))

    @property
    def excess(self):
        """Score minus the mean null score: what the order of the market is worth."""
        return self.score - float(self.null_scores.mean())

    def verdict(self, alpha=0.05):
        """``"edge"`` when the p-value is at most ``alpha``, else ``"no edge"``."""
        return "edge" if self.p_value <= alpha else "no edge"

    def summary(self):
        """The score, its null, the p-value and the false discovery rate, in one paragraph."""
        nulls = self.null_scores
        return (
            f"{self.metric} {self.score:.4f} against {nulls.mean():.4f} (95th percentile {np.quantile(nulls, 0.95):.4f}) on {len(nulls)} copies "
            f"without signal ({self.method}): p = {self.p_value:.3g}, {self.verdict()}; "
            f"at even odds beforehand, a discovery would be false in at least {self.false_discovery_rate:.0%} of cases"
        )


def null_calibration(
    estimator,
    bars,
    *,
    labeler,
    cv=None,
    scoring=None,
    n_null=99,
    method="block",
    block_length=None,
    random_state=None,
    n_jobs=None,
    path=None,
    verbose=0,
):
    """Run the whole pipeline on ``bars`` and on ``n_null`` copies of them without signal.

    Parameters
    ----------
    estimator : classifier
        A pipeline from bars to classes, cloned for every fit. Where a ``random_state`` inside is None, it is set from
        ``random_state``, so that results repeat.
    bars : DataFrame of bars
        One instrument or a panel.
    labeler : object with ``fit_resample(bars) -> (rows, y)``, or such a function
        Label end times (``labeler.label_end_times(bars)``) are handed to the splitter where both know them.
    cv : splitter, optional
        Default ``EnhancedWalkForwardCV(n_splits=5, ensure_regime_coverage=False)``.
    scoring : str or callable, optional
        Default balanced accuracy, whose chance level does not move with the class balance of a copy.
    n_null : int, default=99
        Copies; the smallest possible p-value is 1 / (n_null + 1).
    method : {"block", "sign", "phase"}, default="block"
        How copies are drawn, and so what the score is held against, see :func:`null_market`: ``"block"`` shuffles bars within
        blocks and keeps slow trends, ``"sign"`` throws a coin for every direction, ``"phase"`` keeps linear autocorrelation.
    block_length : int, optional
        Bars in a block, at least twice the labels' horizon. Default: 20, or four times the horizon if that is more.
    random_state : int, RandomState, Generator or None, default=None
        Seed; copy i depends on the seed and on i only.
    n_jobs : int, optional
        Copies scored at once, through joblib; the same result for any value.
    path : path-like, optional
        File that keeps finished scores: an interrupted call goes on where it stopped, a larger ``n_null`` adds to what is
        there. It is written atomically and belongs to one estimator, market, labeler, splitter and seed.
    verbose : int, default=0
        0 is silent; 1 shows progress.

    Returns
    -------
    NullCalibration

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
    task = _Task(estimator, labeler, _default_cv(cv), scoring, method, 0)
    task = replace(task, block_length=_block_length(block_length, task.label(checked)[1], method))
    journal = Journal.open(path, fingerprint(checked, task) if path is not None else None, _entropy(random_state))
    task = task.seeded(journal.entropy)
    if journal.fold_scores is None:
        journal.set_score(task.score(checked))
    with journal, _progress(count, verbose) as advance:
        missing = [i for i in range(count) if i not in journal.nulls]
        advance(count - len(missing))
        plain = checked.copy(deep=False)
        plain.attrs.pop("history", None)  # a copy gets a history of its own; workers need not be sent this one
        jobs = (delayed(task.score_null)(plain, journal.entropy, i) for i in missing)
        for number, value in Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs):
            journal.add(number, value)
            advance(1)
    nulls = np.array([journal.nulls[i] for i in range(count)])
    folds = np.array(journal.fold_scores)
    return NullCalibration(float(folds.mean()), folds, nulls, method, task.metric)


def _check_request(estimator, labeler, method):
    if method not in METHODS:
        raise SktrainError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params") or isinstance(estimator, type):
        raise SktrainError(f"estimator must be a scikit-learn classifier, got {estimator!r}.")
    if not (hasattr(labeler, "fit_resample") or callable(labeler)) or isinstance(labeler, type):
        raise SktrainError(f"labeler must have fit_resample(bars) -> (rows, y), or be such a function; got {labeler!r}.")


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
            f"block_length={length} is less than twice the labels' horizon of {horizon} bars: the copies would keep the outcomes. "
            f"Pass at least {2 * horizon}, or method='sign'."
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

    estimator: object
    labeler: object
    cv: object
    scoring: object
    method: str
    block_length: int

    @property
    def metric(self):
        if self.scoring is None:
            return "balanced accuracy"
        return self.scoring.replace("_", " ") if isinstance(self.scoring, str) else getattr(self.scoring, "__name__", "score")

    def seeded(self, entropy):
        """The same task with every ``random_state`` of the estimator that is None set from the seed."""
        open_seeds = [name for name, value in sorted(self.estimator.get_params().items()) if name.split("__")[-1] == "random_state" and value is None]
        seeds = np.random.SeedSequence(entropy).generate_state(len(open_seeds) + 1) >> 1
        return replace(self, estimator=clone(self.estimator).set_params(**{name: int(seed) for name, seed in zip(open_seeds, seeds)}))

    def label(self, bars):
        """Labelled rows, labels, and the labeler that made them."""
        labeler = clone(self.labeler) if hasattr(self.labeler, "get_params") else self.labeler
        rows, y = labeler.fit_resample(bars) if hasattr(labeler, "fit_resample") else labeler(bars)
        return rows, y, labeler

    def score(self, bars):
        """Score of every fold."""
        rows, y, labeler = self.label(bars)
        ends = None
        if hasattr(labeler, "label_end_times") and hasattr(self.cv, "split") and takes_end_times(self.cv):
            ends = labeler.label_end_times(bars)
            ends = ends.loc[rows.index] if hasattr(ends, "loc") else None
        scorer = _balanced_accuracy_scorer if self.scoring is None else check_scoring(self.estimator, scoring=self.scoring)
        scores = []
        for train, test in splits_of(self.cv, rows, y, label_end_times=ends):
            fitted = clone(self.estimator).fit(_safe_indexing(rows, train), _safe_indexing(y, train))
            scores.append(float(scorer(fitted, _safe_indexing(rows, test), _safe_indexing(y, test))))
        if not np.isfinite(scores).all():
            raise SktrainError(f"The {self.metric} of fold {int(np.argmin(np.isfinite(scores)))} is not a finite number: {scores!r}.")
        return scores

    def score_null(self, bars, entropy, number):
        """(number, mean score) of one copy, which depends on the seed and the number alone."""
        seed = np.random.SeedSequence(entropy, spawn_key=(number,))
        copy = null_market(bars, self.method, block_length=self.block_length, random_state=seed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataQualityWarning)  # the bars themselves have said it
                return number, float(np.mean(self.score(copy)))
        except ValueError as error:
            raise SktrainError(f"Copy {number} without signal ({self.method}) could not be scored: {error}") from error


def _balanced_accuracy_scorer(fitted, rows, y):
    return balanced_accuracy(np.asarray(y), fitted.predict(rows))


@contextmanager
def _progress(total, verbose):
    """A function that advances a progress bar; silent for ``verbose=0``."""
    if not check_count("verbose", verbose, minimum=0):
        yield lambda steps: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("null copies", total=total)
        yield lambda steps: bar.advance(task, steps)

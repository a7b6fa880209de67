"""The auditor: an estimator, rows, labels and folds enter; one report on every place where the future could come in leaves.

It composes the checks of this room and computes nothing itself but the order in which to ask. Rows carry time in their index;
without one their order is time, and the report says so.
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from .._history import get_history
from .._validation import Count, labelled_mask
from ..exceptions import InvalidSplitError
from ._behaviour import audit_predictions, audit_steps, check_shuffled_labels
from ._causality import check_causality, check_warmup, reason
from ._features import all_rows_statistics, check_feature_leakage, future_of_bars, target_leaks
from ._inspect import inspect_estimator
from ._labels import check_label_leakage, label_reach
from ._poison import take
from ._price_tag import price_tag
from ._repair import repair
from ._report import FAIL, INCONCLUSIVE, NOT_CHECKED, PASS, Finding, LeakageReport, merge
from ._rows import known_to_pretrained, numeric_table, synthetic_rows
from ._splits import check_split, index_pairs, known_spans

__all__ = ["LeakageValidator"]


class LeakageValidator(BaseEstimator):
    """Find the ways in which test rows reach a model before their time, say what they cost, and repair them.

    Every check returns a :class:`LeakageReport`. Causality is tested by experiment: the future is destroyed and what was said
    about the past must not move. Nothing given is changed.

    Parameters
    ----------
    embargo_bars : int, optional
        Bars a split must keep between training labels and tested rows; default what the splitter itself declares.
    horizon : int, optional
        Bars the labels look ahead, for labels that do not say so themselves.
    max_times : int, default=2000
        Most unique times used for experiments that fit the estimator, counted from the end.
    random_state : int, default=0
        Seed of the poison.
    verbose : int, default=1
        Whether ``audit`` shows its progress; it does so only where standard error is a terminal.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sktrain import LeakageValidator
    >>> report = LeakageValidator().inspect(RandomForestClassifier(oob_score=True))
    >>> report["passed"], report.findings[0].code
    (False, 'oob_score')
    """

    _parameter_constraints = {
        "embargo_bars": [Count(0), None],
        "horizon": [Count(0), None],
        "max_times": [Count(100)],
        "random_state": [Count(0)],
        "verbose": [Count(0), "boolean"],
    }

    def __init__(self, embargo_bars=None, horizon=None, max_times=2000, random_state=0, verbose=1):
        self.embargo_bars = embargo_bars
        self.horizon = horizon
        self.max_times = max_times
        self.random_state = random_state
        self.verbose = verbose

    # -- the parts ------------------------------------------------------------------------------------------------------------

    def check_split(self, cv, X, y=None, label_end_times=None, *, groups=None):
        """Hold folds to time: order, overlap of label spans, embargo, shared times, copies across the cut, selection by later labels.

        Parameters
        ----------
        cv : splitter, int, or iterable of (train, test) index pairs
        X : DataFrame or array-like of length n
            Indexed by time or (symbol, time); else the row order is time.
        y : array-like of length n, optional
            Labels; ``y.attrs["label_horizon"]`` says how far they look ahead.
        label_end_times : array-like of length n, optional
            Time at which each label was known.
        groups : array-like of length n, optional
            Groups that may not stand on both sides of a fold.

        Returns
        -------
        LeakageReport
            Codes ``shared_rows shared_time overlap order embargo duplicate_rows selection shared_group`` and what could not be
            checked. Training rows after tested ones are an error when nothing separates them, and a note when they are purged
            and embargoed, as in combinatorial designs; plain folds over overlapping labels fail for the overlap.

        Raises
        ------
        InvalidSplitError
            When lengths differ, or an index is no row of X.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.model_selection import KFold
        >>> from sktrain import LeakageValidator
        >>> LeakageValidator(horizon=3).check_split(KFold(5), np.zeros((100, 2))).codes("error")
        ['overlap', 'order']
        """
        self._validate_params()
        rng = np.random.default_rng(self.random_state)
        return check_split(cv, X, y, label_end_times, groups=groups, horizon=self.horizon, embargo_bars=self.embargo_bars, rng=rng)

    def check_causality(self, transformer, bars, y=None, *, horizon=None):
        """Destroy the future and see whether the past moves.

        The transformer is fitted on the rows before a cut and applied to the true rows and to rows whose future was replaced by
        noise, shuffled, or cut off (the history handle alike), at several cuts.

        Parameters
        ----------
        transformer : transformer, pipeline, labeler, encoder, classifier, or function of rows
        bars : DataFrame, Series, ndarray or list
        y : array-like, optional
            For transformers that learn from labels, and for classifiers.
        horizon : int, optional
            Bars the output may look ahead; labelers say it themselves.

        Returns
        -------
        LeakageReport
            A ``look_ahead`` finding names the step, the output column, the first row that changed and the input column it came
            through; ``label_horizon`` and ``premature_label`` are for labels.

        Examples
        --------
        >>> import numpy as np, pandas as pd
        >>> from sktrain import LeakageValidator
        >>> bars = pd.DataFrame({"close": np.arange(1.0, 201.0)}, pd.date_range("2020", periods=200))
        >>> LeakageValidator().check_causality(lambda X: X.shift(-1), bars).codes()
        ['look_ahead']
        """
        self._validate_params()
        return check_causality(transformer, bars, y, horizon=horizon, seed=self.random_state)

    def check_warmup(self, transformer, bars, y=None):
        """Give ever less history and see whether the last value moves: recursive features differ live and in history.

        Parameters
        ----------
        transformer : transformer, pipeline or function of rows
        bars : DataFrame, Series or ndarray
        y : array-like, optional

        Returns
        -------
        LeakageReport
            ``infinite_memory`` (error) or ``warmup_not_missing`` (warning).

        Examples
        --------
        >>> import numpy as np, pandas as pd
        >>> from sktrain import LeakageValidator
        >>> bars = pd.DataFrame({"close": np.random.default_rng(0).normal(size=600)}, pd.date_range("2020", periods=600))
        >>> LeakageValidator().check_warmup(lambda X: X.ewm(span=20).mean(), bars).codes()
        ['infinite_memory']
        """
        self._validate_params()
        return check_warmup(transformer, bars, y, seed=self.random_state)

    def inspect(self, estimator):
        """Walk every parameter for splits that ignore time: early stopping, out-of-bag scores, inner cv, encoders, nets, samplers.

        Parameters
        ----------
        estimator : estimator
            Not fitted, not changed.

        Returns
        -------
        LeakageReport
        """
        self._validate_params()
        return inspect_estimator(estimator, horizon=self.horizon)

    def repair(self, estimator, cv):
        """A clone in which every leak ``inspect`` finds is replaced by its ordered, purged form.

        Parameters
        ----------
        estimator : estimator
        cv : splitter
            Ordered and purged, for the inner splits. Give it a ``horizon`` (or set the validator's): meta-estimators pass no
            label spans on. Cross-fitting steps (stacking, target encoding) need every row tested once: they get
            ``CombinatorialPurgedCV`` with the same horizon and embargo.

        Returns
        -------
        estimator
            Unfitted; ``inspect`` passes it. Where no parameter takes a splitter (early stopping of boosting and of
            scikit-learn's nets, out-of-bag scores), the inner validation is switched off.

        Raises
        ------
        LeakageError
            When no parameter can repair it, or ``cv`` leaks itself.

        Examples
        --------
        >>> from sklearn.calibration import CalibratedClassifierCV
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sktrain import EnhancedWalkForwardCV, LeakageValidator
        >>> LeakageValidator().repair(CalibratedClassifierCV(LogisticRegression()), EnhancedWalkForwardCV(horizon=3)).cv.horizon
        3
        """
        self._validate_params()
        return repair(estimator, cv, horizon=self.horizon)

    def check_feature_leakage(self, train, val, y_train=None, y_val=None):
        """Screen training and validation features for figures no honest column shows.

        Statistics that are round over both sets together (fitted on all rows), copies and made-up rows, order, and, with
        labels, columns that alone predict too well for their causal lag; which columns tell the sets apart.

        Parameters
        ----------
        train, val : DataFrame or 2-D array
            Same columns, rows in order of time.
        y_train, y_val : array-like, optional

        Returns
        -------
        LeakageReport
        """
        self._validate_params()
        return check_feature_leakage(train, val, y_train, y_val)

    def check_label_leakage(self, labels, warmup_length=0, *, horizon=None, bars=None):
        """Check that labels are unknown exactly where they must be, and reach no further than they say.

        Parameters
        ----------
        labels : Series or array-like
            NaN where unknown.
        warmup_length : int, default=0
            Rows at the start of each symbol that may be unknown.
        horizon : int, optional
            Bars labels look ahead; default ``labels.attrs["label_horizon"]``, then the validator's.
        bars : DataFrame, optional
            With ``close``: the true reach of the labels is measured against it.

        Returns
        -------
        LeakageReport
        """
        self._validate_params()
        horizon = self.horizon if horizon is None and "label_horizon" not in getattr(labels, "attrs", {}) else horizon
        return check_label_leakage(labels, warmup_length, horizon=horizon, bars=bars)

    def check_shuffled_labels(self, estimator, X, y, cv, label_end_times=None):
        """Score the estimator on labels that were rotated in time: whatever it then finds came through the folds.

        Parameters
        ----------
        estimator : classifier
        X, y, cv, label_end_times
            As in ``audit``.

        Returns
        -------
        LeakageReport
        """
        self._validate_params()
        return check_shuffled_labels(estimator, X, y, cv, label_end_times, seed=self.random_state)

    def price_tag(self, estimator, X, y, *, label_end_times=None, cv=None, scoring=None, n_splits=5):
        """The score under shuffled, ordered, purged, combinatorial and nested validation, in one table.

        Parameters
        ----------
        estimator : classifier or regressor
        X, y : rows and labels in order of time
        label_end_times : array-like, optional
        cv : splitter, optional
            In place of the purged walk-forward.
        scoring : str or callable, optional
            Default the estimator's own score.
        n_splits : int, default=5

        Returns
        -------
        PriceTag
            ``table``, ``sentence``, ``summary()``.
        """
        self._validate_params()
        if label_end_times is None and self.horizon is not None and "label_horizon" not in getattr(y, "attrs", {}):
            y = pd.Series(y).copy() if not isinstance(y, pd.Series) else y.copy()
            y.attrs["label_horizon"] = self.horizon
        return price_tag(estimator, X, y, label_end_times=label_end_times, cv=cv, scoring=scoring, n_splits=n_splits, embargo_bars=self.embargo_bars, random_state=self.random_state)

    # -- the whole ------------------------------------------------------------------------------------------------------------

    def audit(self, estimator, X, y, cv, label_end_times=None):
        """Make every check that applies.

        Parameters
        ----------
        estimator : estimator or pipeline
            Not changed.
        X : DataFrame or array-like of length n
            Bars or features, indexed by time or (symbol, time).
        y : array-like of length n
            Labels.
        cv : splitter, int, or iterable of index pairs
        label_end_times : array-like of length n, optional
            Time at which each label was known.

        Returns
        -------
        LeakageReport
            ``status`` FAIL when a leak was found, INCONCLUSIVE when something could not be checked, else PASS.

        Raises
        ------
        InvalidSplitError
            When X, y and label_end_times have different lengths or indexes.
        """
        self._validate_params()
        n = X.shape[0] if hasattr(X, "shape") else len(X)
        for name, other in (("y", y), ("label_end_times", label_end_times)):
            if other is not None and len(other) != n:
                raise InvalidSplitError(f"X has {n} rows but {name} has {len(other)}.")
        if y is None:
            raise InvalidSplitError("audit needs the labels y; without them use check_split and check_causality.")
        if isinstance(cv, (list, tuple)) or (hasattr(cv, "__iter__") and not hasattr(cv, "split")):
            cv = list(cv)
        spans, source = known_spans(X, y, label_end_times, cv, self.horizon)
        reach = int((np.searchsorted(spans.axis, spans.end, side="right") - 1 - spans.codes).max()) if source and n else None
        task = _Task(self, estimator, X, y, cv, label_end_times, reach, source)
        return merge(*self._run(task))

    def _run(self, task):
        steps = {
            "folds": task.folds,
            "inner splits": task.inner,
            "rows and columns": task.columns,
            "labels": task.labels,
            "causality of steps": task.steps,
            "predictions": task.predictions,
        }
        return [step() for step in _progress(steps, self.verbose)]


def _progress(steps, verbose):
    """The steps, with a bar on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not verbose or not console.is_terminal:
        yield from steps.values()
        return
    with Progress(console=console, transient=True) as bar:
        row = bar.add_task("audit", total=len(steps))
        for name, step in steps.items():
            bar.update(row, description=f"audit: {name}")
            yield step
            bar.advance(row)


class _Task:
    """One audit: what was given, and the answers later steps need from earlier ones."""

    def __init__(self, validator, estimator, X, y, cv, label_end_times, reach, source):
        self.validator, self.estimator = validator, estimator
        self.X, self.y, self.cv, self.ends = X, y, cv, label_end_times
        self.reach, self.source = reach, source
        self.train_rows, self.test_rows, self.inspected = None, None, None

    def folds(self):
        report = self._folds()
        if isinstance(getattr(self.X, "index", None), (pd.DatetimeIndex, pd.MultiIndex, pd.PeriodIndex)):
            return report
        finding = Finding(
            "no_time", "warning", "X carries no time: the order of rows was taken for the order of time.",
            {"parameter": "X"}, {"type": type(self.X).__name__}, "X.index = pd.to_datetime(times)", INCONCLUSIVE,
        )  # fmt: skip
        return merge(report, LeakageReport([finding], {"time": INCONCLUSIVE}))

    def _folds(self):
        try:
            report = self.validator.check_split(self.cv, self.X, self.y, self.ends)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pairs = [(np.asarray(train), np.asarray(test)) for train, test in index_pairs(self.cv, self.X, self.y, None, self.ends)]
                self.train_rows, self.test_rows = [train for train, _ in pairs], [test for _, test in pairs]
        except Exception as error:  # any failure of the user's splitter is reported, none is a pass
            finding = Finding("invalid_split", "error", f"The folds could not be made: {reason(error)}", {"parameter": "cv"}, status=INCONCLUSIVE)
            return LeakageReport([finding], {"folds": INCONCLUSIVE})
        return report

    def inner(self):
        most = max((len(train) for train in self.train_rows or []), default=None)
        if not hasattr(self.estimator, "get_params") or isinstance(self.estimator, type):
            finding = Finding("not_an_estimator", "error", f"{self.estimator!r} is not an estimator: nothing could be inspected.", status=INCONCLUSIVE)
            return LeakageReport([finding], {"inner splits": INCONCLUSIVE})
        self.inspected = inspect_estimator(self.estimator, n_rows=most, horizon=self.reach)
        known = known_to_pretrained(self.estimator, self.X, self.test_rows)
        return merge(self.inspected, LeakageReport(known, {})) if known else self.inspected

    def _cloned(self):
        try:
            clone(self.estimator)
        except Exception as error:  # reported, not a pass
            return Finding("not_clonable", "error", f"The estimator cannot be cloned, so no fold can refit it: {reason(error)}", {"step": type(self.estimator).__name__}, status=INCONCLUSIVE)
        return None

    def columns(self):
        table, names = numeric_table(self.X)
        if not names:
            return LeakageReport([], {"columns": NOT_CHECKED if isinstance(self.X, (pd.DataFrame, np.ndarray)) else PASS})
        findings = [] if _is_bars(self.X) else synthetic_rows(self.X, self.y)
        train = self.train_rows[0] if self.train_rows else np.arange(int(0.6 * len(table)))
        findings += all_rows_statistics(table, train, names)
        if not findings:
            findings += self._statistics_of_history(train, names)
        panel = isinstance(getattr(self.X, "index", None), pd.MultiIndex)
        timed = isinstance(getattr(self.X, "index", None), pd.DatetimeIndex)
        findings += target_leaks(table, names, self.y, reach=max(self.reach or 1, 1), ordered=timed and not panel)
        close = self._close()
        own = [place for place, name in enumerate(names) if str(name).lower() not in ("open", "high", "low", "close", "volume")]
        if close is not None and own:
            findings += future_of_bars(table[:, own], [names[place] for place in own], close)
        return LeakageReport(findings, {"columns": FAIL if any(f.severity == "error" for f in findings) else PASS})

    def _statistics_of_history(self, train, names):
        """Rows a labeler dropped are missing from X but not from its handle."""
        history = get_history(self.X)
        if history is None or len(history.frame) == len(self.X) or list(history.frame.columns) != list(self.X.columns):
            return []
        places = history.locate(self.X.index[train])
        return [] if places is None else all_rows_statistics(numeric_table(history.frame)[0], places, names)

    def _close(self):
        if not isinstance(self.X, pd.DataFrame) or isinstance(self.X.index, pd.MultiIndex) or not self.X.index.is_monotonic_increasing:
            return None
        name = next((name for name in self.X.columns if str(name).lower() == "close"), None)
        if name is None or not pd.api.types.is_numeric_dtype(self.X[name]):
            return None
        close = self.X[name].to_numpy(np.float64)
        return close if np.isfinite(close).all() and (close > 0).all() else None

    def labels(self):
        known = labelled_mask(self.y, len(self.y))
        findings, checks = [], {}
        if not known.all():
            rows = np.flatnonzero(~known)
            findings.append(Finding("unknown_label", "info", f"{len(rows)} rows have no label; folds must leave them out.", {"row": int(rows[0])}, {"rows": len(rows)}))
        if self._close() is not None and known.sum() > 200:
            spans = known_spans(self.X, self.y, self.ends, self.cv, self.validator.horizon)[0]
            ends = np.searchsorted(spans.axis, spans.end, side="right") - 1 if self.source else None
            found, status = label_reach(self.X, pd.Series(np.asarray(self.y), self.X.index), self.reach, ends)
            findings += found
            checks["reach of labels"] = status
        return LeakageReport(findings, checks)

    def steps(self):
        broken = self._cloned()
        if broken is not None:
            return LeakageReport([broken], {"causality": INCONCLUSIVE})
        return audit_steps(self.estimator, *self._labelled(), most_times=self.validator.max_times, seed=self.validator.random_state)

    def predictions(self):
        if self._cloned() is not None:
            return LeakageReport([], {"predictions": NOT_CHECKED})
        X, y = self._labelled()
        return audit_predictions(self.estimator, X, y, self.cv, self.ends, self.inspected, most_times=self.validator.max_times, seed=self.validator.random_state, horizon=self.reach)

    def _labelled(self):
        known = np.flatnonzero(labelled_mask(self.y, len(self.y)))
        if len(known) == len(self.y):
            return self.X, self.y
        return take(self.X, known), take(self.y, known)


def _is_bars(X):
    return isinstance(X, pd.DataFrame) and {"open", "high", "low", "close"} <= {str(name).lower() for name in X.columns}

"""The leakage validator: one report on every place where future information could come in.

It composes the checks of this package and computes nothing itself but the order in which to ask.
Rows carry time in their index; without one their order is time, and the report says so.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import _num_samples

from .._typing import CrossValidator, Estimator, Splitter, Step
from .._validation import BarsOrTime, Count
from ..exceptions import InvalidSplitError
from ._audit import Audit
from ._budget import BUDGETS, counted
from ._causality import check_causality
from ._features import check_feature_leakage
from ._inspect import inspect_estimator
from ._labels import check_label_leakage
from ._price_tag import PriceTag, price_tag
from ._repair import repair
from ._report import LeakageReport
from ._rotation import check_shuffled_labels
from ._rows import one_output
from ._splits import check_split, known_spans
from ._warmup import check_warmup

__all__ = ["LeakageValidator"]


class LeakageValidator(BaseEstimator):
    """Find the ways in which test rows reach a model before their time, say what they cost, and
    repair them.

    Every check returns a :class:`LeakageReport`. Causality is tested by experiment: the future is
    destroyed and what was said about the past must not move. Nothing given is changed.

    Parameters
    ----------
    embargo_bars : int, optional
        Bars a split must keep between training labels and tested rows; default what the splitter
        itself declares.
    horizon : int, optional
        Bars the labels look ahead, for labels that do not say so themselves.
    max_times : int, default=2000
        Most unique times used for experiments on the transforming steps, counted from the end.
    random_state : int, default=0
        Seed of the perturbations.
    verbose : int, default=1
        Whether ``audit`` shows its progress; it does so only where standard error is a terminal.
    budget : {"quick", "standard", "thorough"}, default="standard"
        How many experiments are made; a fixed number each, reported in ``report["experiments"]``.
        No clock decides anything. "quick" makes 2 cuts, 12 sweeps and 2 x 2 fits on rotated labels,
        "standard" 4, 48 and 3 x 3, "thorough" 6, 200 and 5 x 5. A peek on 1 % of 700 rows is missed
        by "standard" once in 2,000 cases, by "quick" in one of four.

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
        "horizon": [BarsOrTime(0), None],
        "max_times": [Count(100)],
        "random_state": [Count(0)],
        "verbose": [Count(0), "boolean"],
        "budget": [StrOptions(set(BUDGETS))],
    }

    def __init__(
        self,
        embargo_bars: int | None = None,
        horizon: int | None = None,
        max_times: int = 2000,
        random_state: int = 0,
        verbose: int = 1,
        budget: Literal["quick", "standard", "thorough"] = "standard",
    ) -> None:
        self.embargo_bars = embargo_bars
        self.horizon = horizon
        self.max_times = max_times
        self.random_state = random_state
        self.verbose = verbose
        self.budget = budget

    # -- the parts ---------------------------------------------------------------------------------

    def check_split(
        self, cv: CrossValidator, X: ArrayLike, y: ArrayLike | None = None,
        label_end_times: ArrayLike | None = None, *, groups: ArrayLike | None = None,
    ) -> LeakageReport:
        """Check folds against time.

        Order, overlap of label spans, embargo, shared times, duplicates on both sides of a split,
        and rows selected by labels known later.

        Parameters
        ----------
        cv : splitter, int, or iterable of (train, test) index pairs
            Folds to check.
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
            Codes ``shared_rows shared_time overlap order embargo duplicate_rows selection
            shared_group`` and what could not be checked. Training rows after tested ones are an
            error when nothing separates them, and a note when they are purged and embargoed, as in
            combinatorial designs; plain folds over overlapping labels fail for the overlap.

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
        return check_split(
            cv,
            X,
            one_output(y),
            label_end_times, groups=groups, horizon=self.horizon, embargo_bars=self.embargo_bars,
            rng=rng,
        )

    def check_causality(
        self, transformer: Step, bars: ArrayLike, y: ArrayLike | None = None, *,
        horizon: int | None = None,
    ) -> LeakageReport:
        """Perturb the future and see whether the past moves.

        The transformer is fitted on the rows before a cut and applied to the true rows and to rows
        whose future was replaced by noise, shuffled, or cut off (the history handle alike), at
        several cuts.

        Parameters
        ----------
        transformer : transformer, pipeline, labeler, encoder, classifier, or function of rows
            Cloned before it is fitted.
        bars : DataFrame, Series, ndarray or list
            Rows in order of time.
        y : array-like, optional
            For transformers that learn from labels, and for classifiers.
        horizon : int, optional
            Bars the output may look ahead; labelers say it themselves.

        Returns
        -------
        LeakageReport
            A ``look_ahead`` finding names the step, the output column, the first row that changed
            and the input column it came through; ``label_horizon`` and ``premature_label`` are for
            labels.

        Examples
        --------
        >>> import numpy as np, pandas as pd
        >>> from sktrain import LeakageValidator
        >>> bars = pd.DataFrame(
        ...     {"close": np.arange(1.0, 201.0)}, pd.date_range("2020", periods=200)
        ... )
        >>> LeakageValidator().check_causality(lambda X: X.shift(-1), bars).codes()
        ['look_ahead']
        """
        self._validate_params()
        return self._counted(
            lambda: check_causality(
                transformer, bars, y, horizon=horizon, seed=self.random_state, budget=self._budget
            )
        )

    def check_warmup(
        self, transformer: Step, bars: pd.DataFrame | pd.Series | np.ndarray,
        y: ArrayLike | None = None,
    ) -> LeakageReport:
        """Shorten the history and see whether the last value moves.

        Recursive features differ between live use and a long history.

        Parameters
        ----------
        transformer : transformer, pipeline or function of rows
            Cloned before it is fitted.
        bars : DataFrame, Series or ndarray
            Rows in order of time.
        y : array-like, optional
            For transformers that learn from labels.

        Returns
        -------
        LeakageReport
            ``infinite_memory`` (error) or ``warmup_not_missing`` (warning).

        Examples
        --------
        >>> import numpy as np, pandas as pd
        >>> from sktrain import LeakageValidator
        >>> bars = pd.DataFrame(
        ...     {"close": np.random.default_rng(0).normal(size=600)},
        ...     pd.date_range("2020", periods=600),
        ... )
        >>> LeakageValidator().check_warmup(lambda X: X.ewm(span=20).mean(), bars).codes()
        ['infinite_memory']
        """
        self._validate_params()
        return check_warmup(transformer, bars, y, seed=self.random_state)

    def inspect(self, estimator: Estimator) -> LeakageReport:
        """Find parameters whose splits ignore time.

        Early stopping, out-of-bag scores, inner cross-validation, encoders, nets and samplers.

        Parameters
        ----------
        estimator : estimator
            Not fitted, not changed.

        Returns
        -------
        LeakageReport
            One finding per parameter, with its fix.
        """
        self._validate_params()
        return inspect_estimator(estimator, horizon=self.horizon)

    def repair(self, estimator: Estimator, cv: Splitter) -> Any:
        """A clone in which every leak ``inspect`` finds is replaced by its ordered, purged form.

        Parameters
        ----------
        estimator : estimator
            Not changed.
        cv : splitter
            Ordered and purged, for the inner splits. Give it a ``horizon`` (or set the
            validator's): meta-estimators pass no label spans on. Cross-fitting steps (stacking,
            target encoding) need every row tested once: they get ``CombinatorialPurgedCV`` with the
            same horizon and embargo.

        Returns
        -------
        estimator
            Unfitted; ``inspect`` passes it. Where no parameter takes a splitter (early stopping of
            boosting and of scikit-learn's nets, out-of-bag scores), the inner validation is
            switched off.

        Raises
        ------
        LeakageError
            When no parameter can repair it, or ``cv`` leaks itself.

        Examples
        --------
        >>> from sklearn.calibration import CalibratedClassifierCV
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sktrain import EnhancedWalkForwardCV, LeakageValidator
        >>> LeakageValidator().repair(
        ...     CalibratedClassifierCV(LogisticRegression()), EnhancedWalkForwardCV(horizon=3)
        ... ).cv.horizon
        3
        """
        self._validate_params()
        return repair(estimator, cv, horizon=self.horizon)

    def check_feature_leakage(
        self, train: ArrayLike, val: ArrayLike, y_train: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> LeakageReport:
        """Screen training and validation features for figures no honest column shows.

        Statistics that are round over both sets together (fitted on all rows), copies and made-up
        rows, order, and, with labels, columns that alone predict too well for their causal lag;
        which columns tell the sets apart.

        Parameters
        ----------
        train, val : DataFrame or 2-D array
            Same columns, rows in order of time.
        y_train, y_val : array-like, optional
            Labels of the rows.

        Returns
        -------
        LeakageReport
            Findings name columns.
        """
        self._validate_params()
        return check_feature_leakage(train, val, y_train, y_val)

    def check_label_leakage(
        self, labels: pd.Series | ArrayLike, warmup_length: int = 0, *, horizon: int | None = None,
        bars: pd.DataFrame | None = None,
    ) -> LeakageReport:
        """Check that labels are unknown where they must be, and reach no further than they say.

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
            Findings name rows.
        """
        self._validate_params()
        horizon = (
            self.horizon
            if horizon is None and "label_horizon" not in getattr(labels, "attrs", {})
            else horizon
        )
        return check_label_leakage(labels, warmup_length, horizon=horizon, bars=bars)

    def check_shuffled_labels(
        self, estimator: Estimator, X: ArrayLike, y: ArrayLike, cv: CrossValidator,
        label_end_times: ArrayLike | None = None,
    ) -> LeakageReport:
        """Score the estimator on labels that were rotated in time.

        Whatever it then finds came through the folds.

        Parameters
        ----------
        estimator : classifier
            Cloned for every fit.
        X, y, cv, label_end_times
            As in ``audit``.

        Returns
        -------
        LeakageReport
            A finding when the score beats chance.
        """
        self._validate_params()
        return self._counted(
            lambda: check_shuffled_labels(
                estimator, X, y, cv, label_end_times, reach=self.horizon, seed=self.random_state,
                budget=self._budget,
            )
        )

    @property
    def _budget(self):
        return BUDGETS[self.budget]

    def _counted(self, check):
        """A report that says how many experiments it rests on."""
        with counted() as counts:
            report = check()
        return replace(report, experiments={"budget": self.budget, **counts})

    def price_tag(
        self, estimator: Estimator, X: ArrayLike, y: ArrayLike, *,
        label_end_times: ArrayLike | None = None, cv: Splitter | None = None,
        scoring: str | Callable | None = None, n_splits: int = 5,
    ) -> PriceTag:
        """The score under shuffled, ordered, purged, combinatorial and nested validation.

        Parameters
        ----------
        estimator : classifier or regressor
            Cloned for every fit.
        X, y : array-like or DataFrame of length n, array-like of shape (n,)
            Rows as the estimator takes them.
        label_end_times : array-like of shape (n,), optional
            When each label was known.
        cv : splitter, optional
            In place of the purged walk-forward.
        scoring : str or callable, optional
            Default the estimator's own score.
        n_splits : int, default=5
            Folds of every way of validating.

        Returns
        -------
        PriceTag
            ``table``, ``sentence``, ``summary()``.
        """
        self._validate_params()
        if (
            label_end_times is None
            and self.horizon is not None
            and "label_horizon" not in getattr(y, "attrs", {})
        ):
            labels = y.copy() if isinstance(y, pd.Series) else pd.Series(y).copy()
            labels.attrs["label_horizon"] = self.horizon
            y = labels
        return price_tag(
            estimator, X, y, label_end_times=label_end_times, cv=cv, scoring=scoring,
            n_splits=n_splits, embargo_bars=self.embargo_bars, random_state=self.random_state,
        )

    # -- the whole ---------------------------------------------------------------------------------

    def audit(
        self, estimator: Estimator, X: ArrayLike, y: ArrayLike, cv: CrossValidator,
        label_end_times: ArrayLike | None = None,
    ) -> LeakageReport:
        """Make every check that applies.

        Parameters
        ----------
        estimator : estimator or pipeline
            Not changed.
        X : DataFrame or array-like of length n
            Bars or features, indexed by time or (symbol, time).
        y : array-like of length n
            Labels. Of several outputs the folds, the columns and the predictions are audited, the
            labels themselves are not: the report says ``multi_output`` and is INCONCLUSIVE.
        cv : splitter, int, or iterable of index pairs
            Folds to check.
        label_end_times : array-like of length n, optional
            Time at which each label was known.

        Returns
        -------
        LeakageReport
            ``status`` FAIL when a leak was found, INCONCLUSIVE when something could not be checked,
            else PASS. A search that was fitted before and has seen these rows is
            ``tuned_outside_folds``, with the price of its own score.

        Raises
        ------
        InvalidSplitError
            When X, y and label_end_times have different lengths or indexes.
        """
        self._validate_params()
        n = _num_samples(X)
        for name, other in (("y", y), ("label_end_times", label_end_times)):
            if other is not None and _num_samples(other) != n:
                raise InvalidSplitError(f"X has {n} rows but {name} has {_num_samples(other)}.")
        if y is None:
            raise InvalidSplitError(
                "audit needs the labels y; without them use check_split and check_causality."
            )
        if isinstance(cv, (list, tuple)) or (hasattr(cv, "__iter__") and not hasattr(cv, "split")):
            cv = list(cv)
        outputs = y
        y = one_output(y)
        spans, source = known_spans(X, y, label_end_times, cv, self.horizon)
        reach = (
            int((np.searchsorted(spans.axis, spans.end, side="right") - 1 - spans.codes).max())
            if source and n
            else None
        )
        several = outputs if np.ndim(outputs) == 2 and np.shape(outputs)[1] > 1 else None
        return self._counted(
            Audit(self, estimator, X, y, cv, label_end_times, reach, source, several).run
        )

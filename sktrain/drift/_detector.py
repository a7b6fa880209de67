"""Says whether new rows still look like the rows a model was trained on; both in order of time, the
new ones the later.

``fit`` takes the reference, ``check`` and ``transform`` new rows; rows are never changed.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, Self
import warnings

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .._typing import RowsT, Transformer
from .._validation import Count, Number
from ..exceptions import DriftDetectedError, DriftWarning, SktrainError
from ._compare import compare_columns, compare_correlations, gather
from ._frames import as_before, read_sample
from ._outliers import describe_outliers, far_outside, outlier_rows, outlier_table
from ._reference import Reference
from ._report import DriftReport, Recommendation, Status, decide, recommend

__all__ = ["DriftDetector"]


class DriftDetector(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Detect drift with error control: an effect must be large *and* surprising for rows that
    depend on each other.

    The effects are the population stability index over quantile bins of the reference, the shift of
    the mean in reference standard deviations, and the largest change of a correlation. The evidence
    is a p-value per column that holds its level for autocorrelated, small and uneven samples, and
    one for the correlations, adjusted together after Benjamini and Hochberg (1995). A column drifts
    when one of its effects passes its threshold and that effect's adjusted p-value passes
    ``alpha``.

    Parameters
    ----------
    psi_threshold : float, default=0.1
        Population stability index above which a column may drift.
    mean_shift_threshold : float, default=0.15
        Shift of a mean, in reference standard deviations, above which a column may drift.
    correlation_threshold : float, default=0.85
        Similarity of the correlation matrices, ``1 - (largest change of a pair) / 2``, below which
        they may have drifted.
    n_bins : int, default=10
        Quantile bins of a numeric column; missing values have a bin of their own.
    alpha : float, default=0.05
        False alarms tolerated over all columns of one check.
    on_drift : {"warn", "raise", "ignore"}, default="warn"
        What ``transform`` does on drift: a ``DriftWarning``, a ``DriftDetectedError``, or nothing
        (and no check).
    min_samples : int, default=30
        With fewer times than this on either side, a report says INCONCLUSIVE.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        When the reference had string column names.
    reference_ : object
        A sketch of the reference: quantiles, bins, moments of its order, correlations. No rows;
        with 38 columns less than 100 KiB, however many rows there were.

    See Also
    --------
    DriftGuard : Incremental training that obeys a detector.
    monitor : Checks over a rolling window of history.

    Notes
    -----
    Columns of strings, categories or objects are compared by the shares of their values; numbers by
    quantile bins. For a panel, indexed by (symbol, time), the rows of one time count as one
    observation of the market. For arrays, the order of the rows is the order of time. Infinities
    are refused, NaN is legal. Values are compared within the coarser of the two storages'
    resolution: a column that comes back as float32 has not drifted.

    Rows far outside of the reference (a bad tick) are reported as ``outliers`` and left out of all
    else, unless most rows are.

    Every check spends ``alpha`` anew: a monitor that looks fifty times will now and then be wrong.

    References
    ----------
    Neyman (1937), "Smooth test for goodness of fit"; Kendall (1954), "Note on bias in the
    estimation of autocorrelation"; Corsi (2009), "A simple approximate long-memory model of
    realized volatility"; Benjamini & Hochberg (1995), "Controlling the false discovery rate"; Good
    (1953), "The population frequencies of species"; Hill (1975), "A simple general approach to
    inference about the tail of a distribution"; Weissman (1978), "Estimation of parameters and
    large quantiles".

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import DriftDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = DriftDetector().fit(rng.normal(size=(1000, 2)))
    >>> detector.check(rng.normal(size=(250, 2)))["drift_detected"]
    False
    >>> report = detector.check(rng.normal([0, 1], size=(250, 2)))
    >>> report["recommendation"], report.drifted
    ('retrain', ['x1'])
    """

    _parameter_constraints = {
        "psi_threshold": [Number(0)],
        "mean_shift_threshold": [Number(0)],
        "correlation_threshold": [Number(0, 1)],
        "n_bins": [Count(2, 1000)],
        "alpha": [Number(0, 1, closed="neither")],
        "on_drift": [StrOptions({"warn", "raise", "ignore"})],
        "min_samples": [Count(8)],
    }

    def __init__(
        self, psi_threshold: float = 0.1, mean_shift_threshold: float = 0.15,
        correlation_threshold: float = 0.85, n_bins: int = 10, alpha: float = 0.05,
        on_drift: Literal["warn", "raise", "ignore"] = "warn", min_samples: int = 30,
    ) -> None:
        self.psi_threshold = psi_threshold
        self.mean_shift_threshold = mean_shift_threshold
        self.correlation_threshold = correlation_threshold
        self.n_bins = n_bins
        self.alpha = alpha
        self.on_drift = on_drift
        self.min_samples = min_samples

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Remember the reference.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n, n_features)
            The rows a model is trained on, in order of time.
        y : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        self
            The fitted detector.

        Raises
        ------
        SktrainError
            For infinities, columns of times, no rows.

        Warns
        -----
        DriftWarning
            When rows of the reference are far outside of the others; they are not remembered.
        """
        self._validate_params()
        sample = read_sample(X)
        if not sample.n_rows:
            raise SktrainError(
                f"Found array with 0 sample(s) (shape=(0, {len(sample.names)})) while a minimum "
                "of 1 is required."
            )
        validate_data(self, X, skip_check_array=True)
        reference = Reference.learn(sample, self.n_bins)
        far, clean = self._without_outliers(reference, sample)
        if far:
            told = describe_outliers(outlier_table(X, sample, far))
            warnings.warn(
                f"The reference is remembered without what is no part of it: {told}.",
                DriftWarning,
                stacklevel=2,
            )
            reference = Reference.learn(clean, self.n_bins)
        self.reference_ = reference
        return self

    def fit_transform(self, X: RowsT, y: object = None) -> RowsT | np.ndarray:
        """Remember the reference and return it; rows are not checked against themselves.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n, n_features)
            The reference, in order of time.
        y : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        X
            The same object; a list becomes an array.
        """
        self.fit(X, y)
        return X if hasattr(X, "shape") else np.asarray(X)

    def check(self, X: ArrayLike) -> DriftReport:
        """Compare new rows with the reference.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n, n_features)
            New rows, the same columns in the same order.

        Returns
        -------
        DriftReport
            Verdict, effects and p-values of every column.

        Raises
        ------
        SktrainError
            For other columns (the message shows the difference), or other kinds of them, and
            infinities.

        Examples
        --------
        >>> import numpy as np
        >>> from sktrain import DriftDetector
        >>> DriftDetector().fit(np.arange(100.0)[:, None]).check([[1.0]]).status
        'INCONCLUSIVE'
        """
        check_is_fitted(self)
        self._validate_params()
        sample = self._read(X)
        far, clean = self._without_outliers(self.reference_, sample)
        judged = min(clean.n_times, self.reference_.n_times) >= self.min_samples
        columns = self.reference_.columns_for(clean)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            new = gather(self.reference_, clean, columns)
            table, histograms = compare_columns(self.reference_, clean, columns, new, judged=judged)
            correlation = compare_correlations(
                self.reference_, new, table["n_effective"].to_numpy(), judged=judged
            )
        return self._report(X, sample, far, table, histograms, correlation, judged)

    def check_drift(
        self, reference_features: ArrayLike | None = None, new_features: ArrayLike | None = None
    ) -> DriftReport:
        """Fit a copy on ``reference_features`` and check ``new_features``: the original system's
        call.

        Parameters
        ----------
        reference_features : array-like, optional
            The reference; default the one of ``fit``.
        new_features : array-like
            New rows.

        Returns
        -------
        DriftReport
            As of :meth:`check`.

        Examples
        --------
        >>> import numpy as np
        >>> from sktrain import DriftDetector
        >>> x = np.random.default_rng(0).normal(size=(500, 3))
        >>> found = DriftDetector().check_drift(reference_features=x, new_features=x[:200] + 1)
        >>> found["drift_detected"]
        True
        """
        if new_features is None:
            raise SktrainError(
                "check_drift needs new_features: the rows to compare with the reference."
            )
        if reference_features is None:
            return self.check(new_features)
        return self._copy().fit(reference_features).check(new_features)

    def check_predictions(self, reference: ArrayLike, new: ArrayLike) -> DriftReport:
        """Compare what a model predicts now with what it predicted before: prediction drift.

        Parameters
        ----------
        reference, new : array-like, shape (n,) or (n, n_classes)
            Probabilities, decision values or predicted labels, in order of time. No labels are
            needed, so it can be had at once; it says that answers changed, not that they became
            worse.

        Returns
        -------
        DriftReport
            Of kind "prediction".

        Examples
        --------
        >>> import numpy as np
        >>> from sktrain import DriftDetector
        >>> p = np.random.default_rng(0).beta(2, 2, size=900)
        >>> DriftDetector().check_predictions(p[:600], p[600:] ** 2).reason
        'the predictions moved: prediction'
        """
        from ._performance import check_predictions

        return check_predictions(self._copy(), reference, new)

    def check_performance(
        self, y_reference: ArrayLike, predicted_reference: ArrayLike, y_new: ArrayLike,
        predicted_new: ArrayLike, *, classes: ArrayLike | None = None,
    ) -> DriftReport:
        """Compare a model's losses now with its losses before, as far as outcomes are known.

        See :func:`sktrain.drift.check_performance`.

        Parameters
        ----------
        y_reference, y_new : array-like of shape (n,)
            True labels in order of time; missing where they are not known yet.
        predicted_reference, predicted_new : array-like of shape (n,) or (n, n_classes)
            Predicted labels or probabilities of the same rows, out of sample on both sides.
        classes : array-like, optional
            Order of the columns of the probabilities; default the sorted labels of both sides.

        Returns
        -------
        DriftReport
            Of kind "performance".
        """
        from ._performance import check_performance

        return check_performance(
            self._copy(), y_reference, predicted_reference, y_new, predicted_new, classes=classes
        )

    def monitor(
        self, X: ArrayLike, *, every: int, window: int,
        features: Literal["auto"] | Transformer | Callable[..., Any] | None = "auto",
        reference: int | None = None,
    ) -> Iterator:
        """Check a rolling window of history; see :func:`sktrain.monitor`.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n, n_features)
            Features or bars, in order of time.
        every : int
            Unique times between two checks.
        window : int
            Unique times per check.
        features : "auto", None, a transformer or a callable, default="auto"
            What turns ``X`` into the columns to check; ``"auto"`` computes ``BarFeatures`` of bars.
        reference : int, optional
            Unique times at the start that are the reference, for a detector that is not fitted.

        Returns
        -------
        iterator of DriftReport
            One per check, oldest first.
        """
        from ._monitor import monitor

        return monitor(
            X, every=every, window=window, reference=reference, detector=self, features=features
        )

    def transform(self, X: RowsT) -> RowsT | np.ndarray:
        """Check ``X`` as ``on_drift`` says and return it: the same object, unless it was a list.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n, n_features)
            New rows, the columns of the reference.

        Returns
        -------
        X
            The rows, unchanged.

        Raises
        ------
        DriftDetectedError
            On drift with ``on_drift="raise"``; it carries the report.
        """
        check_is_fitted(self)
        if self.on_drift == "ignore":
            self._read(X)
        else:
            report = self.check(X)
            if len(report.outliers):
                warnings.warn(
                    "Not all rows are what a model should see: "
                    f"{describe_outliers(report.outliers)}.",
                    DriftWarning,
                    stacklevel=2,
                )
            if report.drift_detected:
                message = (
                    f"The rows drifted from the reference: {report.reason}. Recommendation: "
                    f"{report.recommendation}."
                )
                if self.on_drift == "raise":
                    raise DriftDetectedError(message, report)
                warnings.warn(message, DriftWarning, stacklevel=2)
        return X if hasattr(X, "shape") else np.asarray(X)

    def _copy(self):
        return type(self)(**self.get_params())

    def _read(self, X):
        """The sample of new rows, after a look at its columns."""
        known, given = list(getattr(self, "feature_names_in_", ())), list(getattr(X, "columns", ()))
        if known != given and set(known) == set(given):
            place = next(i for i, (a, b) in enumerate(zip(known, given)) if a != b)
            raise SktrainError(
                "The feature names should match those that were passed during fit.\n"
                "Feature names must be in the same order as they were in fit.\n"
                f"They differ from column {place} on: {known[place]!r} in fit, {given[place]!r} "
                "now. Reorder with X[detector.feature_names_in_]."
            )
        sample = read_sample(X)
        validate_data(self, X, skip_check_array=True, reset=False)
        return as_before(
            sample,
            [old.kind if old.n_missing < old.n_rows else None for old in self.reference_.columns],
        )

    def _without_outliers(self, reference, sample):
        """Rows far outside per column, and the sample without them; of most rows, that is drift:
        none is left out."""
        far = far_outside(reference.tails, sample)
        rows = np.zeros(sample.n_rows, dtype=bool)
        for found in far.values():
            rows[found] = True
        enough = min(sample.n_times, reference.n_times) >= self.min_samples
        if enough and 2 * rows.sum() > sample.n_rows:
            return {}, sample
        return far, sample.take(~rows) if far else sample

    def _report(self, X, sample, far, table, histograms, correlation, judged):
        """Decide, and gather everything."""
        table, detail = decide(table, correlation, self._thresholds())
        detected = bool(table["drifted"].any() or detail["drifted"])
        status: Status = "INCONCLUSIVE" if not judged else "DRIFT" if detected else "NO_DRIFT"
        outliers = outlier_table(X, sample, far)
        few = min(sample.n_times, self.reference_.n_times)
        recommendation: Recommendation = "monitor"
        reason = f"{few} rows in time are too few to say, {self.min_samples} are needed"
        if judged:
            recommendation, reason = recommend(table, detail, self._thresholds())
        if len(outliers):
            recommendation = "monitor" if recommendation == "continue" else recommendation
            reason = f"{describe_outliers(outliers)}; the others: {reason}"
        return DriftReport(
            drift_detected=detected,
            status=status,
            psi=_largest(table["psi"]),
            mean_shift=_largest(table["mean_shift"]),
            correlation=detail["similarity"],
            recommendation=recommendation,
            reason=reason,
            kind="covariate",
            per_feature=table,
            correlation_detail=detail,
            n_reference=self.reference_.n_rows,
            n_new=sample.n_rows,
            start=sample.start,
            end=sample.end,
            thresholds=self._thresholds(),
            histograms=histograms,
            outliers=outliers,
            outlier_rows=outlier_rows(far),
        )

    def __getstate__(self):
        state = super().__getstate__()
        return (
            state | {"reference_": state["reference_"].state()} if "reference_" in state else state
        )

    def __setstate__(self, state):
        if isinstance(state.get("reference_"), dict):
            state = state | {"reference_": Reference.from_state(state["reference_"])}
        super().__setstate__(state)

    def _thresholds(self):
        return {
            "psi": self.psi_threshold,
            "mean_shift": self.mean_shift_threshold,
            "correlation": self.correlation_threshold,
            "alpha": self.alpha,
        }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def _largest(values):
    known = values[~values.isna()]
    return float(known.max()) if len(known) else float("nan")

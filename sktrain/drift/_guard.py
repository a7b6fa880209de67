"""Incremental training that is safe: a block of labelled rows enters, is compared with what the model learned, and then trains it, or not.

Blocks come in order of time, each later than the ones before it.
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._routing import routed_params
from .._validation import Count
from ..exceptions import DriftDetectedError, DriftWarning, SktrainError
from ._detector import DriftDetector
from ._performance import check_performance
from ._training import Memory, can_update, features_of, join, stack, start, update

__all__ = ["DriftGuard"]

_LOG = ["n_rows", "start", "end", "decision", "covariate", "concept", "n_trained", "reason"]


def _delegates(method):
    def check(self):
        inner = getattr(self, "estimator_", self.estimator)
        return hasattr(inner, method)

    return check


def _rows(values):
    """Lists and the like as arrays; frames, arrays and windows as they are; None stays, for the estimator to refuse."""
    return values if values is None or (hasattr(values, "shape") and hasattr(values, "__len__")) else np.asarray(values)


def _updated_part(estimator):
    """What learns on an update: the estimator, of a Pipeline its last step."""
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def _updates(self):
    if not can_update(self.estimator):
        raise AttributeError(f"{type(self.estimator).__name__} has no partial_fit (of a Pipeline, the last step needs one).")
    return True


class DriftGuard(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Make ``partial_fit`` safe: check every new block against what the model was trained on, then update, refit or refuse.

    Two questions are asked of a block before the model learns from it. Do its features look like those the model was trained
    on (covariate drift)? And does the model, which has not seen it, do worse on it than on earlier blocks it had not seen, beyond
    what other shares of the classes explain (concept drift)?

    Parameters
    ----------
    estimator : classifier
        Anything with ``partial_fit``: incremental scikit-learn models, sktrain's nets (which start warm), and pipelines whose
        last step has it.
    detector : DriftDetector, optional
        Default ``DriftDetector(alpha=0.01)``, stricter than a single check because every block is one; it is cloned.
    on_drift : {"refit", "raise", "warn"}, default="refit"
        On drift, refit a clone on the newest rows, and again whenever the rows since then have doubled, until ``window`` of
        them are there; or leave the model as it is and raise ``DriftDetectedError``; or warn and update.
    window : int, default=2000
        Rows remembered: the reference of the next check, and what a refit may use.
    refit_rows : int, optional
        Newest rows a refit uses. Default: the rows that were found to have drifted (the block, at least ``check_rows``);
        more where they lack a class.
    check_rows : int, optional
        Newest rows compared with the ones before; a smaller block is joined by its predecessors. Default the detector's
        ``min_samples``.
    skip_scaler_fit : bool, default=True
        Keep the fitted transformers of a Pipeline on updates, so that old and new rows are scaled alike; False lets those
        with ``partial_fit`` learn too. A refit always fits all steps.
    watch_performance : bool, default=True
        Whether to look for concept drift; without it the labels of a block are only trained on.

    Attributes
    ----------
    estimator_ : classifier
        The model in use.
    detector_ : DriftDetector
        Fitted on the remembered rows.
    classes_ : ndarray
    log_ : DataFrame
        One row per block: ``n_rows``, ``start``, ``end``, ``decision`` (fit, update, refit or refuse), ``covariate`` and ``concept``
        (status of the two checks), ``n_trained`` (rows since the last fit from scratch) and ``reason``.
    report_ : DriftReport or None
        The covariate check of the last block.

    See Also
    --------
    DriftDetector : The checks.

    Notes
    -----
    In a Pipeline what is watched is the last table before the final step: features, not prices. Pass labels when they are known;
    a guard needs no prediction of its own to be stored, it makes them when the labels arrive, with the model of that moment.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import SGDClassifier
    >>> from sktrain import DriftGuard
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(900, 3))
    >>> X[500:] += 2
    >>> y = (X[:, 0] > X[:, 1]).astype(int)
    >>> guard = DriftGuard(SGDClassifier(loss="log_loss", random_state=0)).fit(X[:300], y[:300])
    >>> for block in np.split(np.arange(300, 900), 3):
    ...     guard = guard.partial_fit(X[block], y[block])
    >>> guard.log_["decision"].tolist()  # the second refit: rows since the drift have doubled
    ['fit', 'update', 'refit', 'refit']
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"])],
        "detector": [DriftDetector, None],
        "on_drift": [StrOptions({"refit", "raise", "warn"})],
        "window": [Count(2)],
        "refit_rows": [Count(2), None],
        "check_rows": [Count(2), None],
        "skip_scaler_fit": ["boolean"],
        "watch_performance": ["boolean"],
    }

    def __init__(
        self,
        estimator,
        detector=None,
        on_drift="refit",
        *,
        window=2000,
        refit_rows=None,
        check_rows=None,
        skip_scaler_fit=True,
        watch_performance=True,
    ):
        self.estimator = estimator
        self.detector = detector
        self.on_drift = on_drift
        self.window = window
        self.refit_rows = refit_rows
        self.check_rows = check_rows
        self.skip_scaler_fit = skip_scaler_fit
        self.watch_performance = watch_performance

    def get_metadata_routing(self) -> MetadataRouter:
        """``fit`` passes on what the estimator's ``fit`` requests, ``partial_fit`` what either of its methods does: it may refit."""
        mapping = MethodMapping().add(caller="fit", callee="fit")
        mapping.add(caller="partial_fit", callee="fit")
        router = MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)
        return router.add(
            updated=_updated_part(self.estimator), method_mapping=MethodMapping().add(caller="partial_fit", callee="partial_fit")
        )

    def fit(self, X, y, sample_weight=None, **params):
        """Train from scratch and forget everything before.

        Parameters
        ----------
        X : array-like or DataFrame, shape (n, n_features)
            Rows in order of time.
        y : array-like (n,)
        sample_weight : array-like (n,), optional
        **params : dict
            More metadata, one value per row, for the estimator (``label_end_times``, ``times``): by scikit-learn's metadata
            routing where that is on, else to its ``fit`` (of a Pipeline, the last step's).

        Returns
        -------
        self
        """
        self._validate_params()
        return self._begin(X, y, None, "fit", {"sample_weight": sample_weight, **params})

    def _begin(self, X, y, classes, caller, given):
        X, y = _rows(X), _rows(y)
        told = routed_params(self, self.estimator, caller, given, callee="fit")
        fitted = start(self.estimator, X, y, classes, told)
        memory = Memory(self.window)
        memory.add(X, y, told)
        detector = self._fresh_detector().fit(features_of(fitted, memory.last(self.window)[0]))
        self.estimator_, self.memory_, self.detector_ = fitted, memory, detector
        self.classes_ = fitted.classes_
        self.n_trained_, self.unseen_, self.entries_, self.report_, self.refit_at_ = len(y), [], [], None, None
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))
        self._write(X, y, "fit", None, None, "first rows")
        return self

    @available_if(_updates)
    def partial_fit(self, X, y, classes=None, sample_weight=None, **params):
        """Check a block, then learn from it as ``on_drift`` says.

        Parameters
        ----------
        X : array-like or DataFrame, shape (n, n_features)
            Rows later than all before.
        y : array-like (n,)
        classes : array-like, optional
            All classes there will be; needed in the first call when that block lacks one.
        sample_weight : array-like (n,), optional
        **params : dict
            More metadata, one value per row, as in :meth:`fit`. It is remembered with the rows: a refit that reaches back into
            blocks that came without it does without it.

        Returns
        -------
        self

        Raises
        ------
        DriftDetectedError
            On drift with ``on_drift="raise"``; the model and its reference are as before, the refusal is in ``log_``.
        """
        self._validate_params()
        given = {"sample_weight": sample_weight, **params}
        if not hasattr(self, "estimator_"):
            return self._begin(X, y, classes, "partial_fit", given)
        told = routed_params(self, self.estimator, "partial_fit", given, callee="fit")
        extra = routed_params(self, _updated_part(self.estimator), "partial_fit", given, part="updated")
        X, y = _rows(X), _rows(y)
        self._check_block(X, y)
        answers = self._predictions(X, y)
        covariate, concept = self._covariate(X), self._concept(answers)
        reasons = [report.reason for report in (covariate, concept) if report is not None and report.recommendation == "retrain"]
        self.report_ = covariate
        if reasons and self.on_drift != "warn":
            return self._obey(X, y, told, covariate, concept, "; ".join(reasons))
        if reasons:
            warnings.warn(f"The block drifted: {'; '.join(reasons)}. The model was updated all the same.", DriftWarning, stacklevel=2)
        decision, why = self._learn(X, y, told, extra)
        if answers is not None:
            self.unseen_ = self._trim([*self.unseen_, answers])
        self._renew_reference()
        self._write(X, y, decision, covariate, concept, "; ".join(reasons) or why or (covariate if concept is None else concept).reason)
        return self

    def _learn(self, X, y, told, extra):
        """Update; or refit when the rows since a drift have doubled, for what was learned from a handful is best forgotten."""
        memory = self.memory_.copy()
        memory.add(X, y, told)
        due = self.refit_at_ is not None and len(memory) >= min(self.refit_at_, self.window)
        if due:
            self.estimator_ = self._train(*memory.all(), memory.told(len(memory)))
            self.refit_at_ = None if len(memory) >= self.window else 2 * len(memory)
        else:
            update(self.estimator_, X, y, self.classes_, extra, skip_scaler_fit=self.skip_scaler_fit)
        self.memory_ = memory
        self.n_trained_ += len(y)
        return ("refit", f"{len(memory)} rows since the drift, twice as many as in the last fit") if due else ("update", "")

    def _train(self, X, y, told):
        return start(self.estimator, X, y, None if set(y) == set(self.classes_) else self.classes_, told)

    def _obey(self, X, y, told, covariate, concept, reason):
        if self.on_drift == "raise":
            self._write(X, y, "refuse", covariate, concept, reason)
            drifted = covariate if covariate.drift_detected else concept
            raise DriftDetectedError(f"The block drifted, so the model was left as it is: {reason}.", drifted)
        memory = self.memory_.copy()
        memory.add(X, y, told)
        rows, outcomes = self._refit_rows(memory, len(y))
        told = memory.told(len(outcomes))
        self.estimator_ = self._train(rows, outcomes, told)
        self.refit_at_ = 2 * len(outcomes)
        self.memory_ = Memory(self.window)
        self.memory_.add(rows, outcomes, told)
        self.n_trained_, self.unseen_ = len(outcomes), []
        self._renew_reference()
        self._write(X, y, "refit", covariate, concept, reason)
        return self

    def _refit_rows(self, memory, n_block):
        """The newest rows, as many as drifted; more while a class is missing that earlier rows have."""
        n = max(n_block, self._check_rows()) if self.refit_rows is None else self.refit_rows
        rows, outcomes = memory.last(n)
        while len(outcomes) < len(memory) and set(outcomes) != set(self.classes_):
            n *= 2
            rows, outcomes = memory.last(n)
        return rows, outcomes

    def _check_rows(self):
        return self.detector_.min_samples if self.check_rows is None else self.check_rows

    def _fresh_detector(self):
        return DriftDetector(alpha=0.01) if self.detector is None else clone(self.detector)

    def _renew_reference(self):
        X, _ = self.memory_.all()
        self.detector_ = self._fresh_detector().fit(features_of(self.estimator_, X))

    def _check_block(self, X, y):
        if len(y) == 0 or len(y) != X.shape[0]:
            raise SktrainError(f"A block needs as many labels as rows, and at least one; got {len(y)} labels for X of shape {np.shape(X)}.")
        new = sorted(set(np.asarray(y).tolist()) - set(np.asarray(self.classes_).tolist()), key=str)
        if new:
            raise SktrainError(f"The block holds classes {new} that the model does not know ({list(self.classes_)}). Fit anew.")
        self.estimator_.predict(_safe_indexing(X, np.arange(1)))  # refuses other columns before anything is touched

    def _covariate(self, X):
        """Compare the block, joined by its predecessors when it is small, with the rows before."""
        detector, needed = self.detector_, self._check_rows()
        recent = features_of(self.estimator_, X)
        if len(recent) < needed < len(self.memory_):
            rows = features_of(self.estimator_, join([self.memory_.all()[0], X]))
            cut = len(rows) - needed
            before, recent = (_safe_indexing(rows, part) for part in (np.arange(cut), np.arange(cut, len(rows))))
            detector = self._fresh_detector().fit(before)
        return detector.check(recent)

    def _predictions(self, X, y):
        if not self.watch_performance:
            return None
        if hasattr(self.estimator_, "predict_proba"):
            return np.asarray(y), np.asarray(self.estimator_.predict_proba(X))
        return np.asarray(y), np.asarray(self.estimator_.predict(X))

    def _trim(self, answers):
        while len(answers) > 1 and sum(len(y) for y, _ in answers[1:]) >= self.window:
            answers = answers[1:]
        return answers

    def _concept(self, answers):
        """Compare the losses on the newest unseen rows with those on unseen rows before."""
        if answers is None or not self.unseen_:
            return None
        y, predicted = stack([*self.unseen_, answers])
        n = max(len(answers[0]), self._check_rows())
        if len(y) <= n:
            return None
        return check_performance(self.detector_, y[:-n], predicted[:-n], y[-n:], predicted[-n:], classes=self.classes_)

    def _write(self, X, y, decision, covariate, concept, reason):
        index = getattr(X, "index", None)
        times = index.get_level_values(-1) if isinstance(index, (pd.DatetimeIndex, pd.MultiIndex)) else None
        status = ["NOT_CHECKED" if report is None else report.status for report in (covariate, concept)]
        span = (None, None) if times is None else (times.min(), times.max())
        self.entries_.append(dict(zip(_LOG, (len(y), *span, decision, *status, self.n_trained_, reason))))

    @property
    def log_(self):
        """What was decided about every block, as a DataFrame."""
        check_is_fitted(self, "entries_")
        return pd.DataFrame(self.entries_, columns=_LOG)

    def predict(self, X):
        """Classes of the rows of ``X``, by the model in use."""
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @available_if(_delegates("predict_proba"))
    def predict_proba(self, X):
        """Probabilities of the classes, by the model in use."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_delegates("decision_function"))
    def decision_function(self, X):
        """Decision values of the model in use."""
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.input_tags.sparse = False
        tags.classifier_tags = inner.classifier_tags or tags.classifier_tags
        return tags

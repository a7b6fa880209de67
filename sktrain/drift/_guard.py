"""Incremental training with a drift check before every update.

A block of labelled rows is compared with what the model was trained on, and then trains it or not.
Blocks come in order of time, each later than the ones before it.
"""

from copy import deepcopy
from types import MethodType
from typing import Any, Literal, Self
import warnings

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._routing import routed_params
from .._typing import Estimator
from .._validation import Count, check_beside
from ..exceptions import DriftDetectedError, DriftWarning
from ._block import LOG, Block, as_rows
from ._block_checks import BlockChecks
from ._detector import DriftDetector
from ._report import DriftReport
from ._training import (
    Memory,
    can_update,
    features_of,
    follow_parameters,
    last_step,
    parameter_digests,
    start,
    update,
)

__all__ = ["DriftGuard"]


def _delegates(method):
    def check(self):
        inner = getattr(self, "estimator_", self.estimator)
        return hasattr(inner, method)

    return check


class _Update:
    """A method that a guard has where the model it holds can update; else what lacks it is said,
    which scikit-learn's ``available_if`` keeps to the cause of an error without it."""

    def __init__(self, method):
        self._method = method

    def __get__(self, guard, owner=None):
        if guard is None:
            return self._method
        if not can_update(guard.estimator):
            lacking = type(last_step(guard.estimator)).__name__
            raise AttributeError(
                f"DriftGuard has no partial_fit, because {lacking} inside of it has none: it "
                "learns from all rows at once. Guard a model that updates (a net, SGDClassifier), "
                "such as the best_estimator_ of a search, or fit the guard again."
            )
        return MethodType(self._method, guard)


class DriftGuard(BlockChecks, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Make ``partial_fit`` safe: check every new block against what the model was trained on, then
    update, refit or refuse.

    Two questions are asked of a block before the model learns from it. Do its features look like
    those the model was trained on (covariate drift)? And does the model, which has not seen it, do
    worse on it than on earlier blocks it had not seen, beyond what other shares of the classes
    explain (concept drift)?

    Parameters
    ----------
    estimator : classifier
        Anything with ``partial_fit``: incremental scikit-learn models, sktrain's nets (which start
        warm), and pipelines whose last step has it.
    detector : DriftDetector, optional
        Default ``DriftDetector(alpha=0.01)``, stricter than a single check because every block is
        one; it is cloned.
    on_drift : {"refit", "raise", "warn"}, default="refit"
        On drift, refit a clone on the newest rows, and again whenever the rows since then have
        doubled, until ``window`` of them are there; or leave the model as it is and raise
        ``DriftDetectedError``; or warn and update.
    window : int, default=2000
        Rows remembered: the reference of the next check, and what a refit may use.
    refit_rows : int, optional
        Newest rows a refit uses. Default: the rows that were found to have drifted (the block, at
        least ``check_rows``); more where they lack a class.
    check_rows : int, optional
        Newest rows compared with the ones before; a smaller block is joined by its predecessors.
        Default the detector's ``min_samples``.
    skip_scaler_fit : bool, default=True
        Keep the fitted transformers of a Pipeline on updates, so that old and new rows are scaled
        alike; False lets those with ``partial_fit`` learn too. A refit always fits all steps.
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
        One row per block: ``n_rows``, ``start``, ``end``, ``decision`` (fit, update, refit, refuse,
        or skip when no row was fit to learn from), ``covariate`` and ``concept`` (status of the two
        checks), ``n_trained`` (rows since the last fit from scratch), ``n_outliers`` (rows kept out
        because they are far outside) and ``reason``.
    report_ : DriftReport or None
        The covariate check of the last block.

    See Also
    --------
    DriftDetector : The checks.

    Notes
    -----
    In a Pipeline what is watched is the last table before the final step: features, not prices.
    Pass labels when they are known; a guard needs no prediction of its own to be stored, it makes
    them when the labels arrive, with the model of that moment.

    Rows far outside of anything seen (``report_["outliers"]``: a bad tick, a feed's number for
    "missing"), and windows that hold such a row, are neither trained on nor remembered, and no
    drift is concluded from them, unless most rows are like that.

    A block is learned by a copy, and the copy takes the model's place when all went well: after an
    update that fails or is interrupted, the guard is what it was. Parameters set after ``fit``
    count from the next block on.

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
        estimator: Estimator,
        detector: DriftDetector | None = None,
        on_drift: Literal["refit", "raise", "warn"] = "refit",
        *,
        window: int = 2000,
        refit_rows: int | None = None,
        check_rows: int | None = None,
        skip_scaler_fit: bool = True,
        watch_performance: bool = True,
    ) -> None:
        self.estimator = estimator
        self.detector = detector
        self.on_drift = on_drift
        self.window = window
        self.refit_rows = refit_rows
        self.check_rows = check_rows
        self.skip_scaler_fit = skip_scaler_fit
        self.watch_performance = watch_performance

    def get_metadata_routing(self) -> MetadataRouter:
        """Which metadata is passed on to the estimator.

        ``fit`` passes on what the estimator's ``fit`` requests, ``partial_fit`` what either of its
        methods does: it may refit.

        Returns
        -------
        MetadataRouter
            Routes of ``fit`` and ``partial_fit``.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        mapping.add(caller="partial_fit", callee="fit")
        updates = MethodMapping().add(caller="partial_fit", callee="partial_fit")
        router = MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)
        return router.add(updated=last_step(self.estimator), method_mapping=updates)

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any
    ) -> Self:
        """Train from scratch and forget everything before.

        Parameters
        ----------
        X : array-like or DataFrame, shape (n, n_features)
            Rows in order of time.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.
        **params : dict
            More metadata, one value per row, for the estimator (``label_end_times``, ``times``): by
            scikit-learn's metadata routing where that is on, else to its ``fit`` (of a Pipeline,
            the last step's).

        Returns
        -------
        self
            The fitted guard.
        """
        self._validate_params()
        return self._begin(X, y, None, "fit", {"sample_weight": sample_weight, **params})

    def _begin(self, X, y, classes, caller, given):
        check_beside(X, given, y)
        X, y = as_rows(X), as_rows(y)
        told = routed_params(self, self.estimator, caller, given, callee="fit")
        digests = parameter_digests(self.estimator)
        fitted = start(self.estimator, X, y, classes, told)
        memory = Memory(self.window)
        memory.add(X, y, told)
        state = {
            "estimator_": fitted,
            "digests_": digests,
            "memory_": memory,
            "detector_": self._fresh_detector().fit(
                features_of(fitted, memory.last(self.window)[0])
            ),
            "classes_": fitted.classes_,
            "n_trained_": len(y),
            "unseen_": [],
            "refit_at_": None,
            "report_": None,
            "entries_": [],
        }
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                state[name] = getattr(fitted, name)
        return self._become(state, Block(X, y, told).entry("fit", len(y), "first rows"))

    def _become(self, state, entry):
        """Take over a new state all at once, and log how it came about."""
        before = state.get("entries_", getattr(self, "entries_", []))
        self.__dict__.update(state, entries_=[*before, entry])
        return self

    @_Update
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None, **params: Any,
    ) -> Self:
        """Check a block, then learn from it as ``on_drift`` says.

        Parameters
        ----------
        X : array-like or DataFrame, shape (n, n_features)
            Rows later than all before.
        y : array-like of shape (n,)
            Labels.
        classes : array-like, optional
            All classes there will be; needed in the first call when that block lacks one.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.
        **params : dict
            More metadata, one value per row, as in :meth:`fit`. It is remembered with the rows: a
            refit that reaches back into blocks that came without it does without it.

        Returns
        -------
        self
            The guard, updated or not; ``log_`` says which.

        Raises
        ------
        DriftDetectedError
            On drift with ``on_drift="raise"``; the model and its reference are as before, the
            refusal is in ``log_``.
        """
        self._validate_params()
        given = {"sample_weight": sample_weight, **params}
        if not hasattr(self, "estimator_"):
            return self._begin(X, y, classes, "partial_fit", given)
        check_beside(X, given, y)
        told = routed_params(self, self.estimator, "partial_fit", given, callee="fit")
        part = last_step(self.estimator)
        extra = routed_params(self, part, "partial_fit", given, part="updated")
        block = Block(as_rows(X), as_rows(y), told, extra)
        self._check_block(block.X, block.y)
        self._examine(block)
        assert block.kept is not None  # judged
        assert block.covariate is not None
        if not block.kept.any():
            entry = block.entry("skip", self.n_trained_, block.covariate.reason)
            return self._become({"report_": block.covariate}, entry)
        if block.drift and self.on_drift == "raise":
            self._refuse(block)
        if block.drift and self.on_drift == "warn":
            message = f"The block drifted: {block.drift}. The model was updated all the same."
            warnings.warn(message, DriftWarning, stacklevel=2)
        learn = self._refit if block.drift and self.on_drift == "refit" else self._learn
        decision, why, state = learn(block)
        state["detector_"] = self._reference_of(state["estimator_"], state["memory_"])
        state["report_"] = block.covariate
        reason = block.drift or why or block.calm
        return self._become(state, block.entry(decision, state["n_trained_"], reason))

    def _examine(self, block):
        """Ask both questions of a block, and say which of its rows to keep."""
        block.covariate, block.kept = self._covariate(block.X)
        if block.kept.any():
            block.answers = self._predictions(block)
            block.concept = self._concept(block.answers)

    def _refuse(self, block):
        entry = block.entry("refuse", self.n_trained_, block.drift)
        self._become({"report_": block.covariate}, entry)
        found = block.covariate if block.covariate.drift_detected else block.concept
        message = f"The block drifted, so the model was left as it is: {block.drift}."
        raise DriftDetectedError(message, found)

    def _memory_with(self, block) -> Memory:
        return self.memory_.with_block(block.X, block.y, block.told, block.kept, self.window)

    def _learn(self, block):
        """Update; or refit when the rows since a drift have doubled, for what was learned from a
        handful is best forgotten."""
        memory, n = self._memory_with(block), int(block.kept.sum())
        state = {"memory_": memory, "n_trained_": self.n_trained_ + n}
        if block.answers is not None:
            state["unseen_"] = self._trim([*self.unseen_, block.answers])
        if self.refit_at_ is not None and len(memory) >= min(self.refit_at_, self.window):
            state |= self._train(*memory.all(), memory.told(len(memory)))
            state["refit_at_"] = None if len(memory) >= self.window else 2 * len(memory)
            why = f"{len(memory)} rows since the drift, twice as many as in the last fit"
            return "refit", why, state
        copy = follow_parameters(deepcopy(self.estimator_), self.estimator, self.digests_)
        skip = self.skip_scaler_fit
        update(
            copy,
            block.X,
            block.y,
            self.classes_,
            block.extra,
            skip_scaler_fit=skip,
            kept=block.kept,
        )
        digests = parameter_digests(self.estimator)
        return "update", "", state | {"estimator_": copy, "digests_": digests}

    def _train(self, X, y, told):
        digests = parameter_digests(self.estimator)
        classes = None if set(y) == set(self.classes_) else self.classes_
        fitted = start(self.estimator, X, y, classes, told)
        return {"estimator_": fitted, "digests_": digests}

    def _refit(self, block):
        """Train from scratch on the rows that drifted."""
        memory = self._memory_with(block)
        rows, outcomes = self._refit_rows(memory, int(block.kept.sum()))
        n, told = len(outcomes), memory.told(len(outcomes))
        recent = Memory(self.window, [(rows, outcomes)], [told])
        state = {"memory_": recent, "n_trained_": n, "unseen_": [], "refit_at_": 2 * n}
        return "refit", "", state | self._train(rows, outcomes, told)

    def _refit_rows(self, memory, n_block):
        """The newest rows, as many as drifted; more while a class is missing that earlier rows
        have."""
        n = max(n_block, self._check_rows()) if self.refit_rows is None else self.refit_rows
        rows, outcomes = memory.last(n)
        while len(outcomes) < len(memory) and set(outcomes) != set(self.classes_):
            n *= 2
            rows, outcomes = memory.last(n)
        return rows, outcomes

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "memory_" in state:
            state["memory_"] = state["memory_"].state()
        if state.get("report_") is not None:
            state["report_"] = dict(state["report_"])
        return state

    def __setstate__(self, state):
        state = dict(state)
        if isinstance(state.get("memory_"), dict):
            state["memory_"] = Memory.of(state["memory_"])
        if isinstance(state.get("report_"), dict):
            state["report_"] = DriftReport(**state["report_"])
        super().__setstate__(state)

    @property
    def log_(self) -> pd.DataFrame:
        """What was decided about every block, as a DataFrame."""
        check_is_fitted(self, "entries_")
        return pd.DataFrame(self.entries_, columns=LOG)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable label of each row, by the model in use.

        Parameters
        ----------
        X : array-like or DataFrame, shape (n, n_features)
            Rows as in ``fit``.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @available_if(_delegates("predict_proba"))
    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Class probabilities, by the model in use.

        Parameters
        ----------
        X : array-like or DataFrame, shape (n, n_features)
            Rows as in ``fit``.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns as in ``classes_``.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_delegates("decision_function"))
    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Decision values, by the model in use.

        Parameters
        ----------
        X : array-like or DataFrame, shape (n, n_features)
            Rows as in ``fit``.

        Returns
        -------
        ndarray of shape (n,) or (n, n_classes)
            As of the estimator.
        """
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.input_tags.sparse = False
        tags.classifier_tags = inner.classifier_tags or tags.classifier_tags
        return tags

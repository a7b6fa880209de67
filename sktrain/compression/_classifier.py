"""An estimator that trains a net, prunes it, fine-tunes it and quantizes it.

What compression costs is measured on the last block of unique times, purged of rows whose label
reaches into it.
"""

from functools import partial
import pickle
from typing import Any, Literal, NoReturn, Self
import warnings

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Options, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import check_is_fitted

from .._last_block import last_block
from .._models import class_labels, horizon_inside, tell_horizon
from .._routing import metadata_rows, routed_params
from .._typing import Estimator, RandomState, Span
from .._validation import BarsOrTime, Count, Number
from ..exceptions import MissingDependencyError, SktrainError, SktrainWarning
from ..reproducibility import draw_seed, seed_parts
from ._places import nets_in
from ._report import CompressionReport, compressed_copy, measure, quantizer

__all__ = ["CompressedClassifier"]

# shares of the sparsity asked for, strongest first: even steps, a judgment
_MILDER = (1.0, 0.75, 0.5, 0.25, 0.0)


class CompressedClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Train a net, prune it, quantize it.

    Which weights go and how the others are rounded is decided on the training rows before the last
    block, where these can be followed to the nets: through Pipelines, VotingClassifiers and
    PooledClassifiers. Inside other meta-estimators the size of a weight decides.

    Parameters
    ----------
    estimator : net, Pipeline, VotingClassifier or PooledClassifier of nets, optional
        What to train; default ``MLPNetClassifier()``.
    sparsity : float, default=0.5
        Share of the weights to prune, in [0, 1); 0 prunes none.
    bits : 8, 4 or None, default=8
        Bits per weight; None keeps floats, and torch.
    fine_tune_epochs : int, default=0
        Epochs of training while the sparsity rises by the cubic schedule (Zhu & Gupta 2017); 0
        prunes at once. What is trained on are the float net's own answers, not the labels, so the
        small net says what the large one said.
    max_score_drop : float, optional
        How far the score on the last block may fall. When it falls further, the strongest milder
        compression that holds is taken (three quarters, half, a quarter of the sparsity, none; then
        float weights), and a warning says so. The level is chosen with a model that never saw the
        block; then the model is trained again on all rows.
    validation : float, default=0.15
        Share of unique times in the last block.
    scoring : str, default="balanced_accuracy"
        What ``max_score_drop`` is measured in; larger is better.
    activations : {None, "int8"}, default=None
        As of :class:`ModelQuantizer`; "int8" needs ``bits=8``.
    scope, sensitivity, structured
        As of :class:`ModelPruner`.
    horizon : int, Timedelta or str, optional
        What a label looks ahead, for the purge, in bars or time; nets inside that were told none
        are told this. Default what a sktrain labeler wrote on ``y``, else that of the nets inside.
    random_state : int, RandomState or None, default=None
        Seeds every ``random_state`` left None inside the estimator, the default net's included;
        what has a seed keeps it.

    Attributes
    ----------
    model_ : fitted estimator
        The compressed model; the float one is not kept.
    report_ : CompressionReport
        Before and after, measured on the last block (``n_rows`` rows; all rows where the block
        would be too small). Nets hold these rows back for early stopping and do not train on them
        by default.
    sparsity_, bits_ : float, int or None
        What was done in the end.
    classes_, n_features_in_, feature_names_in_
        As of the estimator.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import CompressedClassifier, GRUClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 5, 2))
    >>> model = CompressedClassifier(GRUClassifier(max_epochs=5, random_state=0), sparsity=0.3).fit(
    ...     X, X[:, -1, 0] > 0
    ... )
    >>> model.report_["after"]["size_bytes"] < model.report_["before"]["size_bytes"]
    True
    """

    _late = "estimator"  # what a file may leave unopened until it is asked for
    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "sparsity": [Number(0, 1, closed="left")],
        "bits": [Options(int, {4, 8}), None],
        "fine_tune_epochs": [Count(0)],
        "max_score_drop": [Number(0), None],
        "validation": [Number(0, 1, closed="neither")],
        "scoring": [str],
        "activations": [StrOptions({"int8"}), None],
        "scope": [StrOptions({"global", "layer"})],
        "sensitivity": [Number(0, 1)],
        "structured": ["boolean"],
        "horizon": [BarsOrTime(0), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Estimator | None = None,
        sparsity: float = 0.5,
        bits: int | None = 8,
        fine_tune_epochs: int = 0,
        max_score_drop: float | None = None,
        *,
        validation: float = 0.15,
        scoring: str = "balanced_accuracy",
        activations: Literal["int8"] | None = None,
        scope: Literal["layer", "global"] = "global",
        sensitivity: float = 0.1,
        structured: bool = False,
        horizon: Span | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.sparsity = sparsity
        self.bits = bits
        self.fine_tune_epochs = fine_tune_epochs
        self.max_score_drop = max_score_drop
        self.validation = validation
        self.scoring = scoring
        self.activations = activations
        self.scope = scope
        self.sensitivity = sensitivity
        self.structured = structured
        self.horizon = horizon
        self.random_state = random_state

    def __getattr__(self, name):
        """The recipe of a model from a file is opened when it is asked for: predicting has no use
        for it, nor for torch."""
        opener = vars(self).get("_opener") if name == "estimator" else None
        if opener is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.estimator = opener()
        self.__dict__.pop("_opener", None)
        return self.estimator

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = (vars(self).get("model_") or self._estimator()).__sklearn_tags__()
        tags.input_tags, tags.classifier_tags = inner.input_tags, inner.classifier_tags
        return tags

    def _estimator(self):
        if self.estimator is not None:
            return self.estimator
        from ..nets import MLPNetClassifier

        return MLPNetClassifier()

    def get_metadata_routing(self) -> MetadataRouter:
        """Which metadata ``fit`` passes on to the wrapped estimator.

        Returns
        -------
        MetadataRouter
            What the estimator's ``fit`` requests is routed to it.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return MetadataRouter(owner=self).add(estimator=self._estimator(), method_mapping=mapping)

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        label_end_times: ArrayLike | None = None,
        times: pd.Index | None = None,
        **params: Any,
    ) -> Self:
        """Train, then compress.

        Parameters
        ----------
        X, y : array-like or DataFrame of length n, array-like of shape (n,)
            Training rows and labels.
        sample_weight : array-like of shape (n,), optional
            Weighs the rows in training and in pruning.
        label_end_times : array-like of shape (n,), optional
            When each label was known; more exact than a horizon.
        times : DatetimeIndex or MultiIndex (symbol, time) of length n, optional
            When the rows are, where their index was taken away.
        **params : dict
            More metadata for the estimator. All of it is passed on: by scikit-learn's metadata
            routing where that is on, else to the estimator's ``fit`` (of a pipeline, the last
            step's).

        Returns
        -------
        self
            With ``model_`` and ``report_``.

        Raises
        ------
        SktrainError
            An estimator without nets; metadata it does not take; rows that cannot be followed to a
            net that is to be fine-tuned; a score that is not finite on the last block where
            ``max_score_drop`` needs it.
        """
        self._validate_params()
        quantizer(self.bits, self.activations)  # refuses what does not go together
        X = X if hasattr(X, "shape") else np.asarray(X)
        y = class_labels(y, type(self).__name__)
        known = {
            name: value
            for name, value in (("label_end_times", label_end_times), ("times", times))
            if value is not None
        }
        routed = routed_params(
            self, self._estimator(), "fit", {"sample_weight": sample_weight, **known, **params}
        )
        seed = None if self.random_state is None else draw_seed(self.random_state)
        self._finish(self._trained(X, y, routed, seed), X, y, known, routed, sample_weight, seed)
        return self

    def _finish(self, model, X, y, known, routed, sample_weight, seed):
        """Compress the trained model, measure what that costs, and keep the small one."""
        nets_in(model)
        level = (self.sparsity, self.bits)
        train, valid = self._block(X, y, known)
        if self.max_score_drop is not None and len(valid) < len(train) + len(valid):
            level = self._level_that_holds(X, y, sample_weight, routed, seed, train, valid)
        small, reached = self._compressed(
            model, level, _safe_indexing(X, train), _weights_of(sample_weight, train)
        )
        seen = _safe_indexing(X, valid), np.asarray(y)[valid]
        report = measure(model, small, *seen, sparsity=reached, quantize=self._quantizer(level[1]))
        self.model_, self.report_, self.sparsity_, self.bits_ = small, report, reached, level[1]
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))
        self.classes_ = model.classes_

    def _trained(self, X, y, routed, seed):
        model = tell_horizon(clone(self._estimator()), self.horizon)
        if seed is not None:
            seed_parts(model, seed)
        return model.fit(X, y, **routed)

    def _block(self, X, y, known):
        """Row numbers before the last block, purged, and in it; everything twice where it would be
        too small."""
        _, codes = np.unique(np.asarray(y), return_inverse=True)
        settings = {
            "fraction": self.validation,
            "horizon": horizon_inside(self._estimator()) if self.horizon is None else self.horizon,
            "caller": type(self).__name__,
        }
        block = last_block(X, y, codes.reshape(-1), **settings, **known)
        everything = np.arange(len(codes))
        return (everything, everything) if block.valid is None else (block.train, block.valid)

    def _level_that_holds(self, X, y, sample_weight, routed, seed, train, valid):
        """The strongest compression whose score on the block falls by no more than is allowed."""
        from sklearn.metrics import get_scorer

        weight = _weights_of(sample_weight, train)
        X_train, y_train, scorer = (
            _safe_indexing(X, train),
            _safe_indexing(y, train),
            get_scorer(self.scoring),
        )
        X_valid, y_valid = _safe_indexing(X, valid), np.asarray(y)[valid]
        model = self._trained(X_train, y_train, metadata_rows(routed, train, len(y)), seed)
        best = self._defined(scorer, model, X_valid, y_valid)
        drops = []
        for level in _ladder(self.sparsity, self.bits):
            small, _ = self._compressed(model, level, X_train, weight)
            drops.append(best - scorer(small, X_valid, y_valid))
            if drops[-1] <= self.max_score_drop:
                break
        else:
            level = (0.0, None)
        if level != (self.sparsity, self.bits):
            warnings.warn(
                f"sparsity={self.sparsity}, bits={self.bits} lowers {self.scoring} by "
                f"{drops[0]:.4f} on the last block, more than "
                f"max_score_drop={self.max_score_drop}; sparsity={level[0]:g}, bits={level[1]} is "
                "used instead.",
                SktrainWarning,
                stacklevel=3,
            )
        return level

    def _defined(self, scorer, model, X, y):
        """The score of the float model; one that is not finite is refused, for nothing can be held
        to it."""
        best, why = np.nan, ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what scikit-learn would say of it is said below
            try:
                best = scorer(model, X, y)
            except ValueError as error:
                why = f": {error}"
        if not np.isfinite(best):
            raise SktrainError(
                f"scoring={self.scoring!r} is {best} on the last block ({len(y)} rows of the "
                "classes "
                f"{np.unique(y).tolist()}), so max_score_drop={self.max_score_drop} cannot be "
                f"held to it. Use another scoring or a larger validation{why}"
            )
        return best

    def _quantizer(self, bits):
        return quantizer(bits, self.activations if bits else None)

    def _compressed(self, model, level, X, sample_weight):
        options = {name: getattr(self, name) for name in ("scope", "sensitivity", "structured")}
        sparsity, quantize = level[0], self._quantizer(level[1])
        return compressed_copy(
            model, sparsity, quantize, X, self.fine_tune_epochs, sample_weight, **options
        )

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Class probabilities of the compressed model.

        Parameters
        ----------
        X : array-like or DataFrame of length n
            Rows as the estimator takes them.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns as in ``classes_``.
        """
        check_is_fitted(self, "model_")
        return self.model_.predict_proba(X)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable label of each row.

        Parameters
        ----------
        X : array-like or DataFrame of length n
            Rows as the estimator takes them.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        check_is_fitted(self, "model_")
        return self.model_.predict(X)

    def __getstate__(self):
        estimator = self.estimator
        state = {
            name: value for name, value in super().__getstate__().items() if name != "estimator"
        }
        if "report_" in state:
            state["report_"] = state["report_"].to_dict()
        return {**state, "estimator": estimator}  # last, so that a file may leave it for later

    def __setstate__(self, state):
        if "report_" in state:
            state = {**state, "report_": CompressionReport(**state["report_"])}
        for name in ("random_state", "activations"):  # files written before there were these
            if name not in state:
                state = {**state, name: None}
        super().__setstate__(state)

    def __reduce_ex__(self, protocol):
        """Pickle the unfitted estimator apart, so that a compressed model opens where torch is not
        installed."""
        state = self.__getstate__()
        return _opened, (type(self), state, pickle.dumps(state.pop("estimator"), protocol))


def _opened(cls, state, estimator):
    made = cls.__new__(cls)
    made.__setstate__(state)
    vars(made)["_opener"] = partial(_unpickled, estimator)
    return made


def _unpickled(estimator):
    try:
        return pickle.loads(estimator)  # no more trust than the pickle this stood in
    except ModuleNotFoundError:
        return UnavailableEstimator(estimator)


def _ladder(sparsity, bits):
    """Levels to try, strongest first; the last resort, float weights unpruned, is not among
    them."""
    levels = dict.fromkeys((sparsity * share, bits) for share in _MILDER)
    return [level for level in levels if level != (0.0, None)]


def _weights_of(sample_weight, rows):
    return None if sample_weight is None else np.asarray(sample_weight)[rows]


class UnavailableEstimator(BaseEstimator):
    """What is left of an unfitted estimator that cannot be opened here.

    Parameters
    ----------
    content : bytes or None
        The estimator as it was written, kept so that the model can be saved again.

    Examples
    --------
    >>> from sktrain.compression import UnavailableEstimator
    >>> UnavailableEstimator().fit([[0.0]], [0])
    Traceback (most recent call last):
    sktrain.exceptions.MissingDependencyError: This estimator needs torch and skorch, ...
    """

    def __init__(self, content: bytes | None = None) -> None:
        self.content = content

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> NoReturn:
        """Raise: what trained this estimator is not installed.

        Parameters
        ----------
        X, y : object
            Not used.

        Raises
        ------
        MissingDependencyError
            Always; the message says what to install.
        """
        raise MissingDependencyError(
            "This estimator needs torch and skorch, which are not installed. Install them to "
            "train it: pip install torch skorch"
        )

    predict_proba = fit

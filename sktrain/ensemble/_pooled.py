"""PooledClassifier: averages the probabilities of classifiers with learned weights.

Weights are learned where stacking in order of time can learn them: on the last block of rows,
purged of labels that reach into it, which the members did not see.
"""

from numbers import Integral
from typing import Any, Literal
import warnings

from joblib import Parallel, delayed
import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.base import ClassifierMixin, clone
from sklearn.ensemble._base import _BaseHeterogeneousEnsemble
from sklearn.utils import Bunch, _safe_indexing
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils._repr_html.estimator import _VisualBlock
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._last_block import last_blocks
from .._models import (
    all_class_probabilities,
    class_labels,
    horizon_inside,
    take_input_names,
)
from .._routing import metadata_rows, routed_params
from .._typing import RandomState, Span
from .._validation import BarsOrTime, Count, Number, row_weights
from ..exceptions import SktrainError, SktrainWarning
from ..reproducibility import draw_seed, seed_parts
from ._calibration import HeldBack, apply_curves, learn_curves
from ._weights import pool_weights

__all__ = ["PooledClassifier"]

_PRIOR = "prior"


class PooledClassifier(ClassifierMixin, _BaseHeterogeneousEnsemble):
    """A weighted average of classifiers' probabilities, the weights learned in order of time.

    A linear opinion pool (Stone 1961) with the weights that minimise the log loss on the last block
    of rows, as stacking and the super learner (van der Laan, Polley & Hubbard 2007) choose them on
    held-out folds. Members are fitted on the rows before the block, without those whose label is
    not known when it begins; then, with the weights fixed, on all rows. The class shares of the
    training rows are always a member: where nothing can be found, they get the weight.

    Parameters
    ----------
    estimators : list of (str, classifier)
        Members with ``predict_proba``. ``"drop"`` in place of one leaves it out. The name
        ``"prior"`` is taken.
    valid_fraction : float in (0, 1), default=0.2
        Share of the unique times, the last ones, that the weights are learned on.
    horizon : int, Timedelta or str, optional
        Bars, or the time such as ``"5D"``, a label looks ahead, for labels that do not say so
        themselves; default the horizon of the members.
    n_blocks : int, default=1
        Blocks that the weights are learned on, each as long as the last one and before the next, as
        in a walk forward; members are fitted before each of them. More rows tell more about the
        weights and take more fits. Where the rows do not allow so many there are fewer.
    calibration : "isotonic" or None, default=None
        Whether the pool's probabilities are recalibrated by monotone curves, learned on the blocks
        (at least two) and followed as far as they lessen the log loss of blocks that they were not
        learned on. A mixture of calibrated forecasts is itself too timid (Ranjan & Gneiting 2010).
    refit : bool, default=True
        Whether members are fitted once more, on all rows. Without, those stay that the weights were
        learned for, which never saw the last block.
    n_jobs : int, optional
        Members fitted at the same time, through joblib.
    random_state : int, RandomState or None, default=None
        Seeds every ``random_state`` left None in the members; what has a seed keeps it.

    Attributes
    ----------
    estimators_ : list of classifier
        Fitted members, without those dropped.
    names_ : list of str
        Their names.
    named_estimators_ : Bunch
        Members by name.
    weights_ : ndarray of shape (n_members + 1,)
        Weight of each member of ``estimators_``; the last is the prior's. They sum to 1.
    named_weights_ : dict
        Weights by name.
    prior_ : ndarray of shape (n_classes,)
        Shares of the classes among all rows, as weighted; each class is counted once more, so that
        none is impossible (Laplace).
    validation_ : ValidationBlock
        The last rows that weights were learned on; ``validation_.valid`` is None where that was not
        possible: then members and prior count alike, and a warning says why.
    n_blocks_ : int
        Blocks that weights were learned on.
    calibration_curves_ : list of (ndarray, ndarray) or None
        Of each class the probabilities of the pool and what the curve makes of them; None without
        calibration.
    calibration_share_ : float
        How far the curves are followed, from 0 (not at all) to 1.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_, feature_names_in_
        As of the members.

    See Also
    --------
    sklearn.ensemble.VotingClassifier : Weights are given, not learned.
    sklearn.ensemble.StackingClassifier : Learns them on folds in which the future predicts the
        past.

    Notes
    -----
    On the block the prior is the one of the rows before it. Labels that overlap in time count as
    the independent rows they are worth: as one in so many as the median label lasts bars.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sktrain import BarFeatures, MLPNetClassifier, PooledClassifier
    >>> from sktrain.datasets import make_market
    >>> market = make_market(600, signal=0.8, random_state=0)
    >>> X = BarFeatures().fit_transform(market.bars).fillna(0)
    >>> linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    >>> net = MLPNetClassifier(max_epochs=5, random_state=0)
    >>> pool = PooledClassifier([("linear", linear), ("net", net)]).fit(X, market.y)
    >>> list(pool.named_weights_), bool(pool.named_weights_["prior"] < 0.2)
    (['linear', 'net', 'prior'], True)
    """

    __metadata_request__fit = {"sample_weight": UNUSED, "label_end_times": True, "times": True}

    _parameter_constraints: dict = {
        "estimators": [list, tuple],
        "valid_fraction": [Number(0, 1, closed="neither")],
        "horizon": [BarsOrTime(0), None],
        "n_blocks": [Count(1)],
        "calibration": [StrOptions({"isotonic"}), None],
        "refit": ["boolean"],
        "n_jobs": [Count(1), Interval(Integral, None, -1, closed="right"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimators: list,
        *,
        valid_fraction: float = 0.2,
        horizon: Span | None = None,
        n_blocks: int = 1,
        calibration: Literal["isotonic"] | None = None,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(estimators=estimators)
        self.valid_fraction = valid_fraction
        self.horizon = horizon
        self.n_blocks = n_blocks
        self.calibration = calibration
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state

    def get_metadata_routing(self) -> MetadataRouter:
        """Which metadata is passed on to the members.

        Returns
        -------
        MetadataRouter
            What each member's ``fit`` requests is routed to it; end times and times are also used
            here.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        for name, member in self.estimators:
            mapping = MethodMapping().add(caller="fit", callee="fit")
            router.add(**{name: member}, method_mapping=mapping)
        return router

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        label_end_times: ArrayLike | None = None,
        times: pd.Index | None = None,
        **params: Any,
    ) -> "PooledClassifier":
        """Fit the members before the last block, learn the weights on it, fit the members on all.

        Parameters
        ----------
        X : DataFrame, WindowedArray or array-like of length n
            Rows as the members take them. Without times in its index, row order is the order of
            time.
        y : array-like of shape (n,)
            Labels of any kind.
        sample_weight : array-like of shape (n,), optional
            Weighs the rows in every member, in the prior and in what the weights are learned from.
        label_end_times : array-like of shape (n,), optional
            When each label is known; also passed to members that take it.
        times : DatetimeIndex or MultiIndex (symbol, time) of length n, optional
            When the rows are, where their index was taken away; also passed to members that take
            it.
        **params : dict
            More metadata, for members that request it (scikit-learn's routing), else for every
            member.

        Returns
        -------
        self
            The fitted classifier.

        Raises
        ------
        SktrainError
            A member without ``predict_proba``, metadata that a member does not take, blocks that
            are longer together than the rows, or a calibration on one block.

        Warns
        -----
        SktrainWarning
            There is no block to learn weights on, or only one where two were to calibrate.
        """
        self._validate_params()
        self._check_blocks()
        y = class_labels(y, type(self).__name__)
        X = X if hasattr(X, "shape") else np.asarray(X)
        check_consistent_length(X, y)
        members = self._members()
        weight = None
        if sample_weight is not None:
            weight = row_weights(sample_weight, X, y)
        known = {"label_end_times": label_end_times, "times": times}
        given = {"sample_weight": weight, **known, **params}
        routed = [
            routed_params(self, member, "fit", given, part=name, offered=tuple(known))
            for name, member in members.items()
        ]
        classes, codes = np.unique(np.asarray(y), return_inverse=True)
        codes = codes.reshape(-1)
        weight = np.ones(len(codes)) if weight is None else weight
        blocks = last_blocks(
            X,
            y,
            codes,
            self.n_blocks,
            fraction=self.valid_fraction,
            horizon=horizon_inside(*members.values()) if self.horizon is None else self.horizon,
            caller=type(self).__name__,
            stacklevel=4,
            **known,
        )
        learned, fitted = self._learn(X, y, codes, weight, members, routed, blocks)
        if self.refit or fitted is None:
            fitted = self._fitted(X, y, members, routed)
        take_input_names(self, fitted)
        self.names_, self.estimators_, self.classes_ = list(members), fitted, classes
        self.prior_, self.validation_ = _shares(codes, weight, len(classes)), blocks[0]
        self.weights_, self.calibration_curves_, self.calibration_share_ = learned
        self.n_blocks_ = len(blocks) if blocks[0].valid is not None else 0
        return self

    def _check_blocks(self):
        """Whether the blocks leave rows to train on, and suffice to calibrate."""
        if self.n_blocks * self.valid_fraction >= 1:
            raise SktrainError(
                f"{self.n_blocks} blocks of valid_fraction={self.valid_fraction} leave no rows to "
                "train on. Lower n_blocks or valid_fraction."
            )
        if self.calibration is not None and self.n_blocks < 2:
            raise SktrainError(
                f"calibration={self.calibration!r} needs n_blocks >= 2, for curves are judged on "
                f"blocks that they were not learned on; got n_blocks={self.n_blocks}."
            )

    def _members(self):
        """Members that are not dropped, by name, seeded where the pool has a seed."""
        self._validate_estimators()
        members = {name: member for name, member in self.estimators if member != "drop"}
        if _PRIOR in members:
            raise SktrainError(
                'estimators: the name "prior" is taken by the class shares. Use another.'
            )
        for name, member in members.items():
            if not hasattr(member, "predict_proba"):
                raise SktrainError(
                    f"estimators: {name!r} is a {type(member).__name__}, which has no "
                    "predict_proba. Wrap it in CalibratedClassifierCV, or leave it out."
                )
        if self.random_state is None:
            return members
        seed = draw_seed(self.random_state)
        return {
            name: seed_parts(clone(member), [seed, place])
            for place, (name, member) in enumerate(members.items())
        }

    def _fitted(self, X, y, members, routed):
        return Parallel(n_jobs=self.n_jobs)(
            delayed(_fit)(clone(member), X, y, params)
            for member, params in zip(members.values(), routed)
        )

    def _learn(self, X, y, codes, weight, members, routed, blocks):
        """Weights of members and prior, curves and their share; and the members of the last
        block."""
        if blocks[0].valid is None:
            warnings.warn(
                f"PooledClassifier has no rows to learn weights on ({blocks[0].reason}): its "
                f"{len(members)} members and the prior count alike.",
                SktrainWarning,
                stacklevel=3,
            )
            return (np.full(len(members) + 1, 1 / (len(members) + 1)), None, 0.0), None
        said, fitted = [], None
        for block in blocks:
            before = self._before(X, y, members, routed, block, len(codes))
            said.append(self._said(before, X, y, codes, weight, block))
            fitted = before if fitted is None else fitted
        came = [proba[np.arange(len(rows)), :, rows] for proba, rows, *_ in said]
        w = np.concatenate([one.weight for one in said])
        n_rows = sum(one.n_rows for one in said)
        weights = pool_weights(np.concatenate(came), w if w.any() else w + 1, n_rows)
        return (weights, *self._calibrated(said, weights)), fitted

    def _before(self, X, y, members, routed, block, n):
        """Members fitted on the rows before a block."""
        rows = block.train
        routed = [metadata_rows(params, rows, n) for params in routed]
        return self._fitted(_safe_indexing(X, rows), _safe_indexing(y, rows), members, routed)

    def _said(self, fitted, X, y, codes, weight, block):
        """What members and prior say of a block: (n, members + 1, classes)."""
        train, valid = block.train, block.valid
        classes, held = np.unique(np.asarray(y)), _safe_indexing(X, valid)
        prior = _shares(codes[train], weight[train], len(classes))
        proba = [all_class_probabilities(one, held, classes) for one in fitted]
        proba.append(np.tile(prior, (len(valid), 1)))
        w = weight[valid]
        n_rows = block.share * w.sum() ** 2 / np.square(w).sum() if w.any() else 0.0
        return HeldBack(np.stack(proba, axis=1), codes[valid], w, n_rows)

    def _calibrated(self, said, weights):
        """Curves and their share, or None and 0."""
        if self.calibration is None:
            return None, 0.0
        pooled = [
            HeldBack((one.proba * weights[:, None]).sum(axis=1), *one[1:])
            for one in said
            if one.weight.any()
        ]
        if len(pooled) < 2:
            warnings.warn(
                "PooledClassifier is not calibrated: the rows make up one block, and curves are "
                "judged on blocks that they were not learned on.",
                SktrainWarning,
                stacklevel=4,
            )
            return None, 0.0
        return learn_curves(pooled)

    @property
    def named_estimators_(self) -> Bunch:
        """Fitted members by name."""
        return Bunch(**dict(zip(self.names_, self.estimators_)))

    @property
    def named_weights_(self) -> dict:
        """Weight of each member and of the prior by name."""
        return dict(zip([*self.names_, _PRIOR], self.weights_.tolist()))

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Class probabilities.

        Parameters
        ----------
        X : DataFrame, WindowedArray or array-like of length n
            Rows as the members take them.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns as in ``classes_``; rows sum to 1.
        """
        check_is_fitted(self)
        X = X if hasattr(X, "shape") else np.asarray(X)
        total = self.weights_[-1] * self.prior_
        for weight, member in zip(self.weights_, self.estimators_):
            total = total + weight * all_class_probabilities(member, X, self.classes_)
        if getattr(self, "calibration_curves_", None) is None:  # also of older files
            return total
        return apply_curves(total, self.calibration_curves_, self.calibration_share_)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable label of each row.

        Parameters
        ----------
        X : array-like or DataFrame of length n
            Rows as in ``fit``.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def _sk_visual_block_(self):
        names, members = zip(*self.estimators)
        return _VisualBlock("parallel", members, names=names)


def _fit(member, X, y, params):
    return member.fit(X, y, **params)


def _shares(codes, weight, n_classes):
    counts = np.bincount(codes, weight, minlength=n_classes) + 1
    return counts / counts.sum()

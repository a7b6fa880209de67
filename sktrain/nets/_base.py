"""What the five nets share, as a skorch classifier that scikit-learn accepts whole.

Time matters in one place: the rows held back for early stopping are the last ones, purged of those
whose label reaches into them. Standardization is learned on the training rows alone.
"""

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, Literal, Self
import warnings

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import ClassifierTags
from sklearn.utils._param_validation import Options
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
import torch

from .._typing import RandomState, Span
from .._validation import BarsOrTime, Count, Number
from ..exceptions import SktrainError, TrainingDivergedError
from ..reproducibility import alone, draw_seed, rng_scope
from ._batches import BatchLoader
from ._callbacks import DropoutSchedule, GradientClip, ProgressBar, WeightDecaySchedule
from ._device import Placed
from ._early_stopping import EnhancedEarlyStopping
from ._inference import Inference
from ._inputs import InputReader
from ._losses import FocalLoss
from ._members import Members
from ._params import NetParams
from ._training import TrainingLoop
from ._updates import Updating

__all__ = ["NetClassifier"]


class NetClassifier(
    Members, NetParams, InputReader, Updating, Inference, TrainingLoop, Placed, NeuralNetClassifier
):
    """Base of the neural classifiers.

    A ``skorch.NeuralNetClassifier``: skorch's parameter names, callbacks and history hold. Rows are
    2-D (one step, or ``lookback`` steps when flattened), 3-D (n, steps, features) or a
    ``WindowedArray``; NaN is accepted as missing and becomes the feature's mean. Probabilities are
    posteriors: the focal loss is inverted (:meth:`predict_proba`). A row's probabilities never
    depend on the other rows of the call. ``fit`` draws from generators of its own and leaves the
    caller's untouched. Rows that all fit one batch of at most 128 are trained in full batches in
    float64, without the default dropout: sample weights then count exactly as repetitions.

    Parameters
    ----------
    module : Module class, optional
        Default the class's own network. Another one is called with ``n_features, n_steps,
        n_classes`` and the ``module__`` parameters.
    criterion : Module class or instance, default=FocalLoss
        Called with logits and class codes; parameters as ``criterion__alpha``,
        ``criterion__gamma``.
    optimizer : Optimizer class, default=torch.optim.AdamW
        Fused where torch has it. Biases and norm weights do not decay.
    lr : float, default=1e-3
        Learning rate.
    max_epochs : int, default=100
        Epochs at most; early stopping usually ends sooner.
    batch_size : int, default=128
        Rows per step; -1 means all.
    train_split : "last", None or callable, default="last"
        Validation for early stopping: the last block of unique times, purged by the label horizon;
        none where it would have fewer than 20 rows, hold a class of its own, or cost half of the
        rows. A callable is called like skorch's, with rows and codes.
    valid_fraction : float, default=0.15
        Share of unique times in the last block.
    horizon : int, Timedelta or str, optional
        Bars a label looks ahead; default what a sktrain labeler wrote on ``y``.
    callbacks : list of callbacks or (name, callback), optional
        In addition to ``clip``, ``dropout``, ``weight_decay`` and ``early_stopping``; switch one
        off with ``callbacks__clip=None``.
    class_sampling : None or "weighted", default=None
        Draw the rows of an epoch so that classes are balanced.
    lookback : int, optional
        Steps in a 2-D row, oldest first; default one.
    standardize : bool or tuple of two arrays, default=True
        Standardize per feature inside the network, by the mean and standard deviation of the
        training rows, or by the two arrays given: means, and 1 / standard deviations, one number
        per feature.
    mixed_precision : "auto", bool, "bfloat16" or "float16", default="auto"
        Autocast; weights stay float32. "auto" uses it on CPUs that multiply bfloat16, from batches
        of 256 and for networks that gain (docs/nets.md), and on CUDA from 2e9 products a batch.
    gradient_checkpointing : bool, default=False
        Recompute layers in the backward pass instead of storing what is inside them.
    calibration : "temperature" or None, default="temperature"
        Learn one temperature and one weight toward the training prior from the validation block, by
        log loss (``posterior_``); nothing is learned where there is no block. Where the block
        cannot tell the net from its prior, probabilities come close to the prior; the order of rows
        by probability stays.
    random_state : int, RandomState or None, default=None
        An int makes the fit repeatable bit for bit on one class of machine.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last one.
    update_epochs : int, default=5
        Passes of a ``partial_fit`` of a fitted net.
    replay_rows : int, default=500
        Rows kept with the net, a uniform sample of all it has seen, for ``partial_fit`` to train on
        again; 0 keeps none. They are training rows in float32, at most 4 x steps x features bytes
        each (500 windows of 30 x 38: 2.3 MB; .55 MB where they overlap, as steps of windows are
        stored once), and stand in every pickle and file of the net; ``set_params(replay_rows=0)``
        drops them.
    iterator_train, iterator_valid : DataLoader-like class, default=BatchLoader
        Parameters as ``iterator_train__num_workers``.
    device : str, default="cpu"
        Where to train and predict; "auto" is the first CUDA card, else the CPU. A fitted net
        follows it: ``set_params(device=...)`` moves the network at the next call.
    compile : bool, default=False
        Compile the network's forward pass for training.
    n_members : int, default=1
        Nets that differ by their seed alone and answer with the mean of their posteriors. Each is
        trained, stopped early and calibrated by itself, and stands in ``members_`` with the
        attributes of a training; its seed follows from ``random_state``. The members of an
        ``MLPNetClassifier`` are trained as one program, several times faster than one by one.
    verbose : int, default=0
        1 shows a progress bar.
    **kwargs
        Parameters of the components: ``module__``, ``criterion__``, ``optimizer__``,
        ``callbacks__<name>__``, ``iterator_train__``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted, of the type given.
    n_features_in_ : int
        Columns of 2-D rows; features per step of 3-D rows and windows.
    lookback_ : int
        Steps per row.
    module_ : Module
        The trained network: windows in, logits out.
    history_ : list of dict
        One row per epoch: ``train_loss``, ``valid_loss``, ``valid_acc``, ``dur`` ...
    posterior_ : Posterior
        How class scores become probabilities: gamma of the focal loss, temperature, weight of the
        prior.
    class_count_ : ndarray of shape (n_classes,)
        Summed weight of the rows trained on, by class; what ``criterion__alpha="balanced"`` weighs
        by.
    replay_ : dict of ndarray
        The rows kept for updates: ``steps`` (k, features) float32 as given, NaN where missing, each
        stored once; ``windows`` (m, lookback) places in ``steps`` of each row's own; ``y`` (m,)
        int64 class codes, ``weight`` (m,) float32, and ``key`` (m,) float64, the random number by
        which each was chosen.
    update_ : UpdateReport
        What the last ``partial_fit`` of the fitted net did: whether it was accepted, by which rows,
        and why.
    label_horizon_ : int, str or None
        What the labels of ``fit`` were said to look ahead: bars, or a length of time; None when
        nothing said it.
    validation_ : ValidationBlock
        Which rows were validated on, or why none.
    stop_reason_ : str
        "max_epochs", "patience", "overfit", "diverged", "stop_flag" or "interrupted".
    n_skipped_steps_ : int
        Steps left out because their gradients were not finite.
    training_path_ : str
        "captured" where a card replayed its training step as a CUDA graph, else "plain: " and why.
    precision_ : str
        "float32", "bfloat16", "float16", or "float64" for a few rows.
    precision_reason_ : str
        Why, such as "batches of 64 rows are below 256".
    members_ : list of net
        With ``n_members`` above 1, the fitted members; ``history_`` then holds means over those in
        training, and what belongs to one network (``module_``, ``posterior_``, ``replay_``,
        ``update_``, ``stop_reason_`` ...) is theirs. A ``StopFlag`` or Ctrl-C may leave fewer than
        ``n_members``.
    """

    _network: Any = None
    _parameter_constraints = {
        "lr": [Number(0, closed="neither")],
        "max_epochs": [Count(1)],
        "batch_size": [Count(1), Options(int, {-1})],
        "valid_fraction": [Number(0, 1, closed="neither")],
        "horizon": [BarsOrTime(0), None],
        "lookback": [Count(1), None],
        "standardize": ["boolean", tuple],
        "gradient_checkpointing": ["boolean"],
        "warm_start": ["boolean"],
        "update_epochs": [Count(1)],
        "replay_rows": [Count(0)],
        "compile": ["boolean"],
        "n_members": [Count(1)],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        module: type[torch.nn.Module] | None = None,
        *,
        criterion: type[torch.nn.Module] | torch.nn.Module = FocalLoss,
        optimizer: type[torch.optim.Optimizer] = torch.optim.AdamW,
        lr: float = 1e-3,
        max_epochs: int = 100,
        batch_size: int = 128,
        train_split: Literal["last"] | Callable[..., Any] | None = "last",
        valid_fraction: float = 0.15,
        horizon: Span | None = None,
        callbacks: list | None = None,
        class_sampling: Literal["weighted"] | None = None,
        lookback: int | None = None,
        standardize: bool | tuple = True,
        mixed_precision: bool | Literal["auto", "bfloat16", "float16"] = "auto",
        gradient_checkpointing: bool = False,
        calibration: Literal["temperature"] | None = "temperature",
        random_state: RandomState = None,
        warm_start: bool = False,
        update_epochs: int = 5,
        replay_rows: int = 500,
        iterator_train: Callable[..., Any] = BatchLoader,
        iterator_valid: Callable[..., Any] = BatchLoader,
        device: str = "cpu",
        compile: bool = False,
        n_members: int = 1,
        verbose: int = 0,
        **kwargs: Any,
    ) -> None:
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.train_split = train_split
        self.valid_fraction = valid_fraction
        self.horizon = horizon
        self.callbacks = callbacks
        self.class_sampling = class_sampling
        self.lookback = lookback
        self.standardize = standardize
        self.mixed_precision = mixed_precision
        self.gradient_checkpointing = gradient_checkpointing
        self.calibration = calibration
        self.random_state = random_state
        self.warm_start = warm_start
        self.update_epochs = update_epochs
        self.replay_rows = replay_rows
        self.iterator_train = iterator_train
        self.iterator_valid = iterator_valid
        self.device = device
        self.compile = compile
        self.n_members = n_members
        self.verbose = verbose
        self._components = kwargs

    @property
    def _default_callbacks(self):
        defaults = [
            ("clip", GradientClip()),
            ("dropout", DropoutSchedule()),
            ("weight_decay", WeightDecaySchedule()),
            ("early_stopping", EnhancedEarlyStopping()),
        ]
        return [*defaults, ("progress", ProgressBar())] if self.verbose else defaults

    def __sklearn_tags__(self):
        tags = BaseEstimator.__sklearn_tags__(self)
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags

    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *,
        label_end_times: ArrayLike | None = None, times: pd.Index | None = None,
        X_val: ArrayLike | None = None, y_val: ArrayLike | None = None,
    ) -> Self:
        """Train from new weights (from the present ones with ``warm_start``).

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, steps, features), DataFrame or WindowedArray
            NaN is missing; infinities are refused.
        y : array-like of shape (n,)
            Labels of any kind, at least two classes. What they (else the rows) carry about label
            times purges the validation block.
        sample_weight : array-like of shape (n,), optional
            The loss of a batch is Σ w·loss / Σ w.
        label_end_times : array-like of shape (n,), optional
            When each label was known; goes before what y says.
        times : DatetimeIndex or MultiIndex (symbol, time) of length n, optional
            When the rows are, where an estimator took their index away.
        X_val, y_val : like X and y, optional
            Rows to validate on, in place of the last block.

        Returns
        -------
        self
            The fitted net.

        Raises
        ------
        SktrainError
            Infinities (the column is named), a column never observed, one class, a lookback that
            does not divide the columns.
        TrainingDivergedError
            The loss became NaN or infinite before any epoch was worth keeping. Later the best
            weights are kept, with a ``ConvergenceWarning`` and ``stop_reason_`` "diverged".
        KeyboardInterrupt
            Passed on after Ctrl-C; the net keeps the best weights so far and stays usable. A net
            that was fitted before and has not finished one new epoch stays as it was.

        Notes
        -----
        A call that fails, at once or after hours of training, leaves the net as it was before.
        """
        known = {"label_end_times": label_end_times, "times": times}
        if self.n_members != 1:
            more = {"sample_weight": sample_weight, "X_val": X_val, "y_val": y_val}
            return self._fit_members(X, y, {**known, **more})
        again = self.warm_start and self.initialized_
        with self._unchanged_by_errors():
            self.__dict__.pop("members_", None)
            job = self._training_job(X, y, sample_weight, known, X_val, y_val, again=again)
            interrupted = self._train(job, again=again)
        return self._unless(interrupted)

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike | None = None, classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None, *, label_end_times: ArrayLike | None = None,
        times: pd.Index | None = None,
    ) -> Self:
        """Update the net with a block of newer rows; the first call of an unfitted net is a
        ``fit``.

        An update takes ``update_epochs`` passes, from the present weights, over the rows of the
        block and as many earlier ones, drawn from ``replay_``. The newest rows of the block are
        held back (``valid_fraction`` of its times, at least 30 % and 20 rows), purged like those of
        ``fit``: the epoch that does best on them is the candidate. It replaces the present weights
        only if it does not lose there. When the loss rises by more than one standard error of the
        paired difference it is refused, when it falls by as much accepted; between the two it must
        not lose on earlier rows set apart from the replay. A block of fewer than 40 rows (or
        ``train_split=None``) is trained on whole, and the earlier rows alone decide. ``update_``
        says what happened. A refused update leaves weights, optimizer and history as they were; its
        rows are remembered all the same, the held-back ones too, and may be replayed later.

        Standardization and calibration stay as ``fit`` learned them. Class weights
        (``criterion__alpha="balanced"``) follow the running counts of all rows trained on.
        Parameters set since count: a changed loss or optimizer is made anew around the present
        weights, ``lr`` applies to all parameter groups without a rate of their own; a changed
        network (``module``, ``lookback``, ``standardize``) is refused. ``max_epochs`` bounds
        ``fit`` alone.

        Parameters
        ----------
        X, y, sample_weight, label_end_times, times : as in :meth:`fit`
            Rows later than those of earlier calls.
        classes : array-like, optional
            All labels that will ever come; needed in the first call when ``y`` does not hold them
            all.

        Returns
        -------
        self
            The net, updated or not; ``update_`` says which.

        Raises
        ------
        SktrainError
            As in :meth:`fit`; also a label that is not among ``classes_``, or a network changed
            after ``fit``.
        TrainingDivergedError
            The loss became NaN or infinite; the net is as it was before the call.
        KeyboardInterrupt
            Passed on after Ctrl-C; the epochs done until then are judged like a whole update.
        """
        self._refuse_another_network()
        known = {"label_end_times": label_end_times, "times": times}
        if self.n_members != 1:
            return self._update_members(X, y, classes, {"sample_weight": sample_weight, **known})
        again = self.initialized_
        with self._unchanged_by_errors():
            job = self._training_job(
                X, y, sample_weight, known, again=again, classes=classes, partial=True
            )
            interrupted = self._train(job, again=again, update=again)
        return self._unless(interrupted)

    def _unless(self, interrupted):
        if interrupted is not None:
            raise interrupted
        return self

    def _train(self, job, *, again, update=False):
        number = getattr(self, "n_fits_", 0) + 1 if again else 0
        seed = draw_seed(self.random_state, number)
        with alone(), rng_scope(seed), self._on_device():
            self.n_fits_ = number
            return self._run(job, seed, again=again, update=update)

    def _run(self, job, seed, *, again, update):
        """Train; a Ctrl-C that leaves something worth keeping is returned, to be raised later."""
        fitted, rng, interrupted = self.__sklearn_is_fitted__(), np.random.default_rng(seed), None
        before = self._set_aside(again)
        if update:
            self._add_earlier(job, rng)
        self._begin(job, again=again, update=update)
        try:
            self.notify("on_train_begin", X=job.train, y=job.train.y)
            epochs = self.update_epochs if update else None
            self.fit_loop(job.train, valid=job.valid, seed=seed, epochs=epochs)
        except KeyboardInterrupt as error:
            if fitted and not self.n_epochs_:
                raise
            interrupted = error
            self.request_stop("interrupted")
        except TrainingDivergedError as error:
            if update or not self._keeps_best():
                raise
            told = f"{error} The weights of the best epoch before are kept."
            warnings.warn(told, ConvergenceWarning, stacklevel=4)
            self.request_stop("diverged")
        finally:
            self._close_progress()
        self._drop_unfinished_epoch()
        self._end(job)
        if not update:
            self._calibrate(job)
        elif not self._accepts(job, before):
            self.__dict__.update(before)
        self._remember(job.seen, rng, again=update)
        self._tidy()
        return interrupted

    @contextmanager
    def _unchanged_by_errors(self):
        """What fails, at once or after it began, leaves the net as it was."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    @property
    def classes_(self) -> np.ndarray:
        """Labels in sorted order, ndarray of shape (n_classes,); only after ``fit``."""
        if "classes_inferred_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no classes_ before fit.")
        return self.classes_inferred_

    def check_is_fitted(
        self, attributes: str | list[str] | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Raise unless the net holds trained weights.

        Parameters
        ----------
        attributes : str or list of str, optional
            As for scikit-learn's ``check_is_fitted``.
        *args, **kwargs : object
            Ignored; skorch passes them.

        Raises
        ------
        NotFittedError
            Before ``fit``, and after its network was changed.
        """
        if vars(self).get("changed_"):
            raise NotFittedError(self._another_network())
        check_is_fitted(self, attributes)

    def __sklearn_is_fitted__(self):
        return bool(self.initialized_ and ("module_" in vars(self) or self._several()))

    def initialize(self) -> Self:
        """Make network, loss, optimizer and callbacks anew, for the sizes seen in ``fit``.

        Returns
        -------
        self
            The net.

        Raises
        ------
        SktrainError
            Before ``fit``, which learns the sizes.
        """
        if "lookback_" not in vars(self):
            told = "learns its sizes from data: call fit instead of initialize."
            raise SktrainError(f"{type(self).__name__} {told}")
        return super().initialize()


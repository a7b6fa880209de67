"""Rows with labels enter, a fitted classifier leaves: what the five nets share, as a skorch classifier scikit-learn accepts whole.

Time matters in one place: the rows held back for early stopping are the last ones, purged of those whose label reaches into them.
Standardization is learned on the training rows alone.
"""

from contextlib import contextmanager

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import ClassifierTags
from sklearn.utils._param_validation import Options
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNetClassifier
import torch

from .._validation import BarsOrTime, Count, Number
from ..exceptions import SktrainError
from ..reproducibility import draw_seed, rng_scope
from ._batches import BatchLoader
from ._callbacks import DropoutSchedule, GradientClip, ProgressBar, WeightDecaySchedule
from ._early_stopping import EnhancedEarlyStopping
from ._inputs import InputReader
from ._losses import FocalLoss
from ._params import NetParams
from ._training import TrainingLoop

__all__ = ["NetClassifier"]


class NetClassifier(NetParams, InputReader, TrainingLoop, NeuralNetClassifier):
    """Base of the neural classifiers.

    A ``skorch.NeuralNetClassifier``: skorch's parameter names, callbacks and history hold. Rows are 2-D (one step, or ``lookback``
    steps when flattened), 3-D (n, steps, features) or a ``WindowedArray``; NaN is accepted as missing and becomes the feature's
    mean. A row's probabilities never depend on the other rows of the call. ``fit`` draws from generators of its own and leaves the
    caller's untouched. Rows that all fit one batch of at most 128 are trained in full batches in float64, without the default
    dropout: sample weights then count exactly as repetitions.

    Parameters
    ----------
    module : Module class, optional
        Default the class's own network. Another one is called with ``n_features, n_steps, n_classes`` and the ``module__`` parameters.
    criterion : Module class or instance, default=FocalLoss
        Called with logits and class codes; parameters as ``criterion__alpha``, ``criterion__gamma``.
    optimizer : Optimizer class, default=torch.optim.AdamW
        Fused where torch has it. Biases and norm weights do not decay.
    lr : float, default=1e-3
        Learning rate.
    max_epochs : int, default=100
        Epochs at most; early stopping usually ends sooner.
    batch_size : int, default=128
        Rows per step; -1 means all.
    train_split : "last", None or callable, default="last"
        Validation for early stopping: the last block of unique times, purged by the label horizon; none where it would have fewer
        than 20 rows, hold a class of its own, or cost half of the rows. A callable is called like skorch's, with rows and codes.
    valid_fraction : float, default=0.15
        Share of unique times in the last block.
    horizon : int, Timedelta or str, optional
        Bars a label looks ahead; default what a sktrain labeler wrote on ``y``.
    callbacks : list of callbacks or (name, callback), optional
        In addition to ``clip``, ``dropout``, ``weight_decay`` and ``early_stopping``; switch one off with ``callbacks__clip=None``.
    class_sampling : None or "weighted", default=None
        Draw the rows of an epoch so that classes are balanced.
    lookback : int, optional
        Steps in a 2-D row, oldest first; default one.
    standardize : bool, default=True
        Standardize per feature inside the network, by the mean and standard deviation of the training rows.
    mixed_precision : "auto", bool, "bfloat16" or "float16", default="auto"
        Autocast; weights stay float32. "auto" uses it on CUDA, and on CPUs that multiply bfloat16 for batches of 256 and more.
    gradient_checkpointing : bool, default=False
        Recompute layers in the backward pass instead of storing what is inside them.
    random_state : int, RandomState or None, default=None
        An int makes the fit repeatable bit for bit on one class of machine.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last one.
    iterator_train, iterator_valid : DataLoader-like class, default=BatchLoader
        Parameters as ``iterator_train__num_workers``.
    device : str, default="cpu"
        Where to train and predict.
    compile : bool, default=False
        Compile the network's forward pass for training.
    verbose : int, default=0
        1 shows a progress bar.
    **kwargs
        Parameters of the components: ``module__``, ``criterion__``, ``optimizer__``, ``callbacks__<name>__``, ``iterator_train__``.

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
    validation_ : ValidationBlock
        Which rows were validated on, or why none.
    stop_reason_ : str
        "max_epochs", "patience", "overfit", "diverged", "stop_flag" or "interrupted".
    n_skipped_steps_ : int
        Steps left out because their gradients were not finite.
    precision_ : str
        "float32", "bfloat16", "float16", or "float64" for a few rows.
    """

    _network = None
    _parameter_constraints = {
        "lr": [Number(0, closed="neither")],
        "max_epochs": [Count(1)],
        "batch_size": [Count(1), Options(int, {-1})],
        "valid_fraction": [Number(0, 1, closed="neither")],
        "horizon": [BarsOrTime(0), None],
        "lookback": [Count(1), None],
        "standardize": ["boolean"],
        "gradient_checkpointing": ["boolean"],
        "warm_start": ["boolean"],
        "compile": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        module=None,
        *,
        criterion=FocalLoss,
        optimizer=torch.optim.AdamW,
        lr=1e-3,
        max_epochs=100,
        batch_size=128,
        train_split="last",
        valid_fraction=0.15,
        horizon=None,
        callbacks=None,
        class_sampling=None,
        lookback=None,
        standardize=True,
        mixed_precision="auto",
        gradient_checkpointing=False,
        random_state=None,
        warm_start=False,
        iterator_train=BatchLoader,
        iterator_valid=BatchLoader,
        device="cpu",
        compile=False,
        verbose=0,
        **kwargs,
    ):
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
        self.random_state = random_state
        self.warm_start = warm_start
        self.iterator_train = iterator_train
        self.iterator_valid = iterator_valid
        self.device = device
        self.compile = compile
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

    def fit(self, X, y, sample_weight=None, *, label_end_times=None, times=None, X_val=None, y_val=None):
        """Train from new weights (from the present ones with ``warm_start``).

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, steps, features), DataFrame or WindowedArray
            NaN is missing; infinities are refused.
        y : array-like of shape (n,)
            Labels of any kind, at least two classes. What they (else the rows) carry about label times purges the validation
            block.
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

        Raises
        ------
        SktrainError
            Infinities (the column is named), a column never observed, one class, a lookback that does not divide the columns.
        TrainingDivergedError
            The loss became NaN or infinite.
        KeyboardInterrupt
            Passed on after Ctrl-C; the net keeps the best weights so far and stays usable.
        """
        again = self.warm_start and self.initialized_
        with self._unchanged_by_errors():
            known = {"label_end_times": label_end_times, "times": times}
            job = self._training_job(X, y, sample_weight, known, X_val, y_val, again=again)
        return self._train(job, again=again)

    def partial_fit(self, X, y, classes=None, sample_weight=None, *, label_end_times=None, times=None):
        """Train on from the present weights, ``max_epochs`` more epochs at most.

        Parameters
        ----------
        X, y, sample_weight, label_end_times, times : as in :meth:`fit`
        classes : array-like, optional
            All labels that will ever come; needed in the first call when ``y`` does not hold them all.

        Returns
        -------
        self
        """
        again = self.initialized_
        with self._unchanged_by_errors():
            known = {"label_end_times": label_end_times, "times": times}
            job = self._training_job(X, y, sample_weight, known, again=again, classes=classes, partial=True)
        return self._train(job, again=again)

    def _train(self, job, *, again):
        number = getattr(self, "n_fits_", 0) + 1 if again else 0
        seed = draw_seed(self.random_state, number)
        with rng_scope(seed):
            with self._unchanged_by_errors():
                self.n_fits_ = number
                self._begin(job, again=again)
                self.notify("on_train_begin", X=job.train, y=job.train.y)
            try:
                self.fit_loop(job.train, valid=job.valid, seed=seed)
            except KeyboardInterrupt:
                self.request_stop("interrupted")
                raise
            except BaseException:
                self._forget()
                raise
            finally:
                self._end(job)
        return self

    @contextmanager
    def _unchanged_by_errors(self):
        """What fails at the door leaves a fitted net as it was."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def request_stop(self, reason):
        """Ask for training to end after the current batch or epoch; the reason becomes ``stop_reason_``."""
        self.stop_reason_ = reason

    def predict_proba(self, X):
        """Class probabilities.

        Parameters
        ----------
        X : as in :meth:`fit`

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Columns as in ``classes_``; rows sum to 1.
        """
        self.check_is_fitted()
        X = self.read_rows(X, reset=False)
        return torch.cat([torch.softmax(scores.double(), 1) for scores in self.forward_iter(X)]).numpy()

    def predict(self, X):
        """The most probable label of each row: ndarray of shape (n,)."""
        coded = self.is_rows(X)
        codes = self.predict_proba(X).argmax(axis=1)
        return codes if coded else self.classes_[codes]

    @property
    def classes_(self):
        if "classes_inferred_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no classes_ before fit.")
        return self.classes_inferred_

    def check_is_fitted(self, attributes=None, *args, **kwargs):
        """Raise NotFittedError unless the net holds trained weights."""
        if vars(self).get("changed_"):
            raise NotFittedError(
                f"{vars(self)['changed_']} was changed after fit, so the trained weights of this {type(self).__name__} no longer belong to it. Call fit again."
            )
        check_is_fitted(self, attributes)

    def __sklearn_is_fitted__(self):
        return bool(self.initialized_ and "module_" in vars(self))

    def _forget(self):
        """No longer fitted: what there was is spoilt."""
        for name in ("module_", "criterion_", "optimizer_"):
            vars(self).pop(name, None)
        self.initialized_ = False

    def initialize(self):
        """Make network, loss, optimizer and callbacks anew, for the sizes seen in ``fit``."""
        if "lookback_" not in vars(self):
            raise SktrainError(f"{type(self).__name__} learns its sizes from data: call fit instead of initialize.")
        return super().initialize()


"""Every switch of a training run: a plain record, checked, written as JSON or TOML.

Python and the command line read their defaults here. Where they differ from the original
trainer's, docs/migration.md says why.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
import json
import os
from pathlib import Path
import tomllib
from typing import Literal, Self

import pandas as pd
from sklearn.utils._param_validation import validate_parameter_constraints

from .._devices import check_device_name
from .._nearest import did_you_mean
from .._validation import Number
from ..exceptions import SktrainError
from ._config_fields import CONSTRAINTS, DEFAULTS, MODELS, NEWS_OPTIONS, THRESHOLDS
from ._config_text import (
    from_toml_value,
    parse,
    to_toml_value,
    unknown_field,
    write_text,
)

__all__ = ["DEFAULTS", "EnhancedTrainingConfig"]


@dataclass
class EnhancedTrainingConfig:
    """What an :class:`EnhancedTrainer` does, field by field.

    The first fields carry the names and defaults of the original trainer; the last block is new.

    Attributes
    ----------
    train_ratio, val_ratio, test_ratio : float, default=0.7, 0.15, 0.15
        Shares of the unique times; they sum to 1.
    embargo_bars : int, default=10
        Unique times kept free before every validated or tested block.
    dropout_rate, dropout_schedule : float, "linear" or "cosine", default=0.3, "linear"
        Dropout at the first epoch and how it falls.
    weight_decay, weight_decay_schedule : float, "linear" or "cosine", default=1e-4, "cosine"
        Decoupled weight decay at the first epoch and how it rises (to ten times as much).
    gradient_clip_value, max_gradient_norm : float or None, default=1.0, 5.0
        Bounds of each gradient entry and of their joint norm.
    use_focal_loss, focal_loss_gamma, focal_loss_alpha : default=True, 2.0, 0.25
        Focal loss, or cross-entropy.
    use_smote, smote_k_neighbors : default=False, 5
        Oversampling of whole windows, inside the training rows only.
    adaptive_labels, base_label_threshold, volatility_adjusted_labels : default=True, None, True
        Thresholds that follow volatility, or fixed ones. None takes the default of
        ``label_scaling``: 0.5 standard deviations with ``"sigma"``, the original's 0.03 with
        ``"affine"``.
    use_walk_forward, wf_folds : default=True, 5
        A real fit and score per fold.
    wf_min_samples_per_fold, ensure_regime_coverage : default=100, True
        Fewest times a fold trains on, half of it inside a search; whether folds train on the
        regimes they are tested in.
    use_drift_detection, drift_psi_threshold, drift_mean_shift_threshold : default=True, 0.1, 0.15
        A reference kept with the model, and a check of the test block against it.
    use_gradient_checkpointing, use_mixed_precision : bool, default=True, True
        Where they pay, by rules on sizes: less memory where a batch's activations would take more
        than 64 MiB; bfloat16 where the processor multiplies it, batches have 256 rows or more and
        the network gains. ``result["decided"]`` says what they came to, and why.
    prune_after_training, quantize_model, quantization_bits : default=True, False, 8
        Compression of the saved model, on its training rows; 8 or 4 bits.
    use_hpo, hpo_n_trials, hpo_direction : default=False, 30, "maximize"
        Search before training: ``"maximize"`` balanced accuracy or ``"minimize"`` log loss.
    use_pretrained_embeddings, embedding_model : default=False, "bert-base-chinese"
        News embeddings beside the bar features; needs ``news``.
    deterministic_training, training_seed : default=False, 42
        One seed, one result.
    early_stopping_patience, early_stopping_min_epochs : int, default=15, 20
        Epochs without a better validation loss after which training ends, and the fewest it takes.
    early_stopping_max_epochs : int, default=500
        The most epochs, beside those of ``train``.
    batch_size : int or None, default=None
        Overrides ``train(batch_size=...)`` when set.
    models : tuple of {"lstm", "gru", "tcn", "transformer", "mlp"}
        Nets to train, all but the last by default; more than one vote with their mean probability.
    pooling : {"mean", "learned"}, default="mean"
        How ``models`` come together: their mean probability, or a :class:`PooledClassifier` that
        has a linear model and the class shares beside them and learns the weights on the
        validation block; its members are fitted twice, before the block and on all rows. A run that
        goes on from it trains the nets on; weights, linear model and shares stay.
    label_scaling : {"affine", "sigma"} or None, default=None
        How thresholds follow volatility; with ``"sigma"`` the base threshold counts standard
        deviations. None is ``"sigma"``, and ``"affine"``, the original's rule, where a threshold
        is given or the thresholds do not follow volatility.
    lookback, hidden_size, n_layers : int, default=30, 32, None
        Bars in a window; width and depth of the nets (None: each net's own depth).
    pruning_sparsity : float, default=0.5
        Share of weights pruned when ``prune_after_training``.
    embedding_dim : int or None, default=16
        Columns an embedding is reduced to (PCA fitted on training news); None keeps the model's
        width.
    news : path or None, default=None
        CSV, JSONL or Parquet file of articles.
    news_columns, news_timezone, news_dayfirst : dict or list, str, bool or None, default=None
        As ``news_bad_rows``.
    news_encoding, news_symbol : str or None, default=None
        As ``news_bad_rows``.
    news_bad_rows : {"refuse", "drop"}, default="refuse"
        How ``news`` is read: the keywords of :func:`sktrain.news.read_news`, and the command line's
        flags of these names.
    timezone : str or None, default=None
        Zone of bars and of articles whose times carry none, such as ``"America/New_York"``.
        Without it, times with a zone never meet times without one: that is refused.
    session_close : str or None, default=None
        For daily bars stamped with their date: the hour of ``timezone`` at which the day is
        decided, such as ``"16:00"``. Without it the stamp is the decision time, and news of the
        same day is not used.
    session : str or None, default=None
        For intraday bars: the shortest pause that ends a trading session. None is ``"4h"``: longer
        than every lunch break of the large exchanges (90 minutes at most), shorter than every
        night.
    crosses_session : bool or None, default=None
        Whether labels, volatilities and windows of intraday bars may reach from one session into
        another. None is False where the bars are intraday and have sessions.
    leakage_audit : bool, default=True
        Audit the splits and the pipeline before training.
    skip_scaler_fit : bool, default=False
        Keep the scaling of the inputs that an earlier run in the same folder learned, also in a
        plain ``train``; else it is learned from the rows trained on.
    ablation : bool, default=False
        Score the model without each of its switches too, on the same walk-forward folds: focal
        loss, oversampling, dropout, weight decay, gradient clipping, news and search, those that
        are on. As many walk-forward validations again as there are such switches.
    n_jobs : int or None, default=-1
        Processes that fit nets, folds and trials at the same time, as in scikit-learn: None is 1,
        -1 all cores, or all cards where nets train on them. No more are begun than there is to do
        at once. On Linux each takes some 100 MiB (without a card), elsewhere some 400. The result
        is the same for any number. In a worker process -1 is 1.
    device : str, default="auto"
        Where nets and the encoder of news compute: ``"auto"`` is a CUDA card where there is one,
        else the CPU; or ``"cpu"``, ``"cuda"``, ``"cuda:1"``. The result and the report say which it
        was. Workers of ``n_jobs`` are spread over several cards, ``"cuda:1"`` apart.

    Raises
    ------
    InvalidParameterError
        A value outside its range, naming the field.
    SktrainError
        An unknown field, with the nearest valid name; ratios that do not sum to 1; fields that
        contradict each other.

    Examples
    --------
    >>> from sktrain import EnhancedTrainingConfig
    >>> config = EnhancedTrainingConfig(models=["gru"], use_hpo=False)
    >>> EnhancedTrainingConfig.from_json(config.to_json()) == config
    True
    """

    train_ratio: float = 0.7
    val_ratio: float = 0.15
    test_ratio: float = 0.15
    embargo_bars: int = 10
    dropout_rate: float = 0.3
    dropout_schedule: Literal["linear", "cosine"] = "linear"
    weight_decay: float = 1e-4
    weight_decay_schedule: Literal["linear", "cosine"] = "cosine"
    gradient_clip_value: float | None = 1.0
    max_gradient_norm: float | None = 5.0
    use_focal_loss: bool = True
    focal_loss_gamma: float = 2.0
    focal_loss_alpha: float | Literal["balanced", "effective"] | list | tuple | None = 0.25
    use_smote: bool = False
    smote_k_neighbors: int = 5
    adaptive_labels: bool = True
    base_label_threshold: float | None = None
    volatility_adjusted_labels: bool = True
    use_walk_forward: bool = True
    wf_folds: int = 5
    wf_min_samples_per_fold: int = 100
    ensure_regime_coverage: bool = True
    use_drift_detection: bool = True
    drift_psi_threshold: float = 0.1
    drift_mean_shift_threshold: float = 0.15
    use_gradient_checkpointing: bool = True
    use_mixed_precision: bool = True
    prune_after_training: bool = True
    quantize_model: bool = False
    quantization_bits: Literal[4, 8] = 8
    use_hpo: bool = False
    hpo_n_trials: int = 30
    hpo_direction: Literal["maximize", "minimize"] = "maximize"
    use_pretrained_embeddings: bool = False
    embedding_model: str = "bert-base-chinese"
    deterministic_training: bool = False
    training_seed: int = 42
    early_stopping_patience: int = 15
    early_stopping_min_epochs: int = 20
    early_stopping_max_epochs: int = 500
    batch_size: int | None = None
    models: tuple = ("lstm", "gru", "tcn", "transformer")
    pooling: Literal["mean", "learned"] = "mean"
    label_scaling: Literal["affine", "sigma"] | None = None
    lookback: int = 30
    hidden_size: int = 32
    n_layers: int | None = None
    pruning_sparsity: float = 0.5
    embedding_dim: int | None = 16
    news: str | None = None
    news_columns: dict | list | None = None
    news_timezone: str | None = None
    news_dayfirst: bool | None = None
    news_encoding: str | None = None
    news_symbol: str | None = None
    news_bad_rows: Literal["refuse", "drop"] = "refuse"
    timezone: str | None = None
    session_close: str | None = None
    session: str | None = None
    crosses_session: bool | None = None
    leakage_audit: bool = True
    skip_scaler_fit: bool = False
    ablation: bool = False
    n_jobs: int | None = -1
    device: str = "auto"

    def __post_init__(self):
        if isinstance(self.models, str):
            self.models = tuple(name.strip() for name in self.models.split(","))
        elif isinstance(self.models, list):
            self.models = tuple(self.models)
        if isinstance(self.news, Path):
            self.news = str(self.news)
        self.validate()

    def validate(self) -> None:
        """Check every field again, as ``train`` does; a config may be changed after it was made."""
        unknown = sorted(set(vars(self)) - set(CONSTRAINTS))
        if unknown:
            raise SktrainError(unknown_field(unknown[0], CONSTRAINTS))
        validate_parameter_constraints(CONSTRAINTS, vars(self), caller_name=type(self).__name__)
        total = self.train_ratio + self.val_ratio + self.test_ratio
        if abs(total - 1) > 1e-9:
            raise SktrainError(
                f"train_ratio, val_ratio and test_ratio must sum to 1, got {self.train_ratio} + "
                f"{self.val_ratio} + {self.test_ratio} = {total:g}."
            )
        if self.n_jobs == 0:
            raise SktrainError("n_jobs=0 fits nothing: a number of processes, -1 for all cores, or "
                               "None.")
        check_device_name(self.device)
        self._check_models()
        self._check_loss()
        self._check_threshold()
        self._check_times()
        if self.early_stopping_min_epochs > self.early_stopping_max_epochs:
            raise SktrainError(
                f"early_stopping_min_epochs={self.early_stopping_min_epochs} is larger than "
                f"early_stopping_max_epochs={self.early_stopping_max_epochs}."
            )
        if self.use_pretrained_embeddings and self.news is None:
            raise SktrainError(
                "use_pretrained_embeddings=True needs articles: set news to a CSV, JSONL or "
                "Parquet file."
            )
        if self.news is None and self.news_options:
            raise SktrainError(
                f"news_{next(iter(self.news_options))} says how a file of news is read: set news, "
                "or leave it out."
            )
        if self.ablation and not self.use_walk_forward:
            raise SktrainError(
                "ablation=True compares on walk-forward folds: set use_walk_forward=True, or leave "
                "it out."
            )

    @property
    def news_options(self) -> dict:
        """What ``read_news`` is told beside the path, where it is not the default."""
        told = {name: getattr(self, f"news_{name}") for name in NEWS_OPTIONS}
        return {name: one for name, one in told.items() if one not in (None, "refuse")}

    def _check_loss(self):
        alpha = self.focal_loss_alpha
        if isinstance(alpha, (list, tuple)):
            weight = Number(0, closed="neither")
            if not alpha or not all(weight.is_satisfied_by(one) for one in alpha):
                raise SktrainError(
                    f"focal_loss_alpha={alpha!r} must hold one positive number for each class."
                )

    def _check_models(self):
        if not self.models:
            raise SktrainError(f"models is empty; choose from {', '.join(MODELS)}.")
        for name in self.models:
            if name not in MODELS:
                raise SktrainError(
                    f"models holds {name!r}; choose from {', '.join(MODELS)}."
                    f"{did_you_mean(name, MODELS)}"
                )
        if len(set(self.models)) < len(self.models):
            raise SktrainError(f"models names a net twice: {list(self.models)}.")

    @property
    def labels_scaling(self) -> str:
        """``label_scaling``, or what None stands for."""
        if not (self.adaptive_labels and self.volatility_adjusted_labels):
            return "affine"  # a fixed threshold is a return
        return self.label_scaling or ("sigma" if self.base_label_threshold is None else "affine")

    @property
    def labels_threshold(self) -> float:
        """``base_label_threshold``, or the default of the scaling in use."""
        default = THRESHOLDS[self.labels_scaling][0]
        return default if self.base_label_threshold is None else self.base_label_threshold

    def _check_threshold(self):
        scaling, value = self.labels_scaling, self.labels_threshold
        if self.label_scaling == "sigma" and scaling == "affine":
            raise SktrainError(
                "label_scaling='sigma' measures thresholds in volatility, but adaptive_labels or "
                "volatility_adjusted_labels is False. Leave label_scaling out for fixed thresholds."
            )
        _, largest, what = THRESHOLDS[scaling]
        if value > largest:
            other = (
                "; for standard deviations, set label_scaling='sigma'"
                if scaling == "affine"
                else ""
            )
            raise SktrainError(
                f"base_label_threshold={value:g} is {what} with label_scaling={scaling!r} and "
                f"cannot be meant: at most {largest:g}{other}."
            )

    def _check_times(self):
        if self.timezone is not None or self.session_close is not None:
            from ..news import NewsAligner, NewsArticle

            if not self.use_pretrained_embeddings:
                name = "timezone" if self.timezone is not None else "session_close"
                raise SktrainError(
                    f"{name} says when news meet bars: set use_pretrained_embeddings=True and "
                    "news, or leave it out."
                )
            NewsAligner(timezone=self.timezone, session_close=self.session_close).fit(
                [NewsArticle("", "2000-01-01")]
            )
        if self.session is not None:
            try:
                pause = pd.Timedelta(self.session)
            except ValueError:
                pause = pd.NaT
            if not pause > pd.Timedelta(0):
                raise SktrainError(
                    f"session={self.session!r} is no time span; write the shortest pause that ends "
                    "a session, like '4h'."
                )

    def to_dict(self) -> dict:
        """The fields as a plain dict, ready for JSON.

        Returns
        -------
        dict
            One entry per field.
        """
        return {**asdict(self), "models": list(self.models)}

    @classmethod
    def from_dict(cls, values: Mapping) -> Self:
        """Build from a mapping.

        Parameters
        ----------
        values : mapping
            Values by field; fields left out keep their defaults.

        Returns
        -------
        EnhancedTrainingConfig
            Checked; an unknown field is refused with the nearest valid name.
        """
        return cls(**values)

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """The fields as JSON text.

        Parameters
        ----------
        path : path, optional
            File to write as well.

        Returns
        -------
        str
            JSON.
        """
        return write_text(json.dumps(self.to_dict(), indent=2) + "\n", path)

    @classmethod
    def from_json(cls, source: str | os.PathLike) -> Self:
        """Read JSON text or a file.

        Parameters
        ----------
        source : str or path
            JSON text or a file.

        Returns
        -------
        EnhancedTrainingConfig
            Checked.
        """
        return cls.from_dict(parse(source, json.loads, "JSON"))

    def to_toml(self, path: str | os.PathLike | None = None) -> str:
        """The fields as TOML text; None, which TOML lacks, is written ``"none"``.

        Parameters
        ----------
        path : path, optional
            File to write as well.

        Returns
        -------
        str
            TOML.
        """
        lines = [
            f"{name} = {to_toml_value(value)}" for name, value in self.to_dict().items()
        ]
        return write_text("\n".join(lines) + "\n", path)

    @classmethod
    def from_toml(cls, source: str | os.PathLike) -> Self:
        """Read TOML text or a file; fields left out keep their defaults, ``"none"`` means None.

        Parameters
        ----------
        source : str or path
            TOML text or a file.

        Returns
        -------
        EnhancedTrainingConfig
            Checked.
        """
        values = parse(source, tomllib.loads, "TOML")
        return cls.from_dict(
            {name: from_toml_value(value) for name, value in values.items()}
        )


def _named(init: Callable[..., None]) -> Callable[..., None]:
    """Let an unknown keyword be answered with the nearest valid field."""
    names = {field.name for field in fields(EnhancedTrainingConfig)}

    def __init__(self, *args, **kwargs):
        for name in kwargs:
            if name not in names:
                raise SktrainError(unknown_field(name, CONSTRAINTS))
        init(self, *args, **kwargs)

    vars(__init__)["__wrapped__"] = init
    return __init__


_init = _named(EnhancedTrainingConfig.__init__)
EnhancedTrainingConfig.__init__ = _init  # type: ignore[method-assign]  # which calls the first

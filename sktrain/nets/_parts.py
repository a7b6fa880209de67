"""What the mixins of a net find on the whole net, declared for type checkers: nothing is set here.

What skorch defines is Any, for skorch tells no types.
"""

from typing import Any, Literal

import pandas as pd
import torch

from .._typing import RandomState

__all__ = ["NetParts"]


class NetParts:
    """Attributes and methods of :class:`NetClassifier` that its mixins use of each other."""

    # parameters
    lr: float
    max_epochs: int
    batch_size: int
    train_split: Any
    valid_fraction: float
    horizon: int | str | pd.Timedelta | None
    class_sampling: Literal["weighted"] | None
    lookback: int | None
    standardize: bool | tuple
    mixed_precision: bool | Literal["auto", "bfloat16", "float16"]
    gradient_checkpointing: bool
    calibration: Literal["temperature"] | None
    random_state: RandomState
    warm_start: bool
    replay_rows: int
    iterator_train: Any
    iterator_valid: Any
    device: Any
    compile: bool
    n_members: int
    cuda_dependent_attributes_: Any  # names, of skorch

    # what was learned
    module_: Any
    criterion_: Any
    optimizer_: Any
    callbacks_: Any
    history_: Any
    initialized_: bool
    classes_: Any  # an array, which the net reads from what it inferred
    lookback_: int
    step_features_: int
    stop_reason_: str | None
    full_batch_: bool

    # while it trains
    epoch_: int
    batch_: int
    _device: torch.device
    _named: Any
    _logits: Any
    _pending: dict[str, Any]

    # methods of the mixins
    read_rows: Any
    _built: Any
    _class_scores: Any
    _hears: Any
    _loss: Any
    _place: Any
    _refresh: Any
    _row_loss: Any
    _start_posterior: Any
    _to_device: Any
    _unchanged_by_errors: Any
    _unless: Any
    _update_job: Any

    # of skorch and scikit-learn
    __sklearn_is_fitted__: Any
    _get_params_for: Any
    _initialize_callbacks: Any
    _set_training: Any
    _validate_params: Any
    check_is_fitted: Any
    get_all_learnable_params: Any
    get_iterator: Any
    get_params: Any
    get_params_for: Any
    get_params_for_optimizer: Any
    initialize: Any
    notify: Any

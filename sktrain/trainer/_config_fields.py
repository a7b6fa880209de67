"""What each field of a configuration may be, and defaults that have no field."""

from numbers import Integral
from pathlib import Path
from typing import Any

from sklearn.utils._param_validation import Options, StrOptions

from .._validation import Count, Number

#: What ``read_news`` may be told of a file; a config's field is ``news_`` and the name.
NEWS_OPTIONS = ("columns", "timezone", "dayfirst", "encoding", "symbol", "bad_rows")
MODELS = ("lstm", "gru", "tcn", "transformer", "mlp")

#: Defaults of ``EnhancedTrainer.train`` and of ``sktrain train``.
DEFAULTS: dict[str, Any] = {"epochs": 100, "batch_size": 128, "learning_rate": 1e-3, "horizon": 3}

#: Base threshold of each scaling when none is given, and the largest that can be meant: a return
#: of 30 % within a few bars is no threshold between "hold" and "buy" but a typing error, as are
#: ten standard deviations.
THRESHOLDS = {
    "affine": (0.03, 0.3, "a return"),
    "sigma": (0.5, 10.0, "a number of standard deviations"),
}

_SHARE = [Number(0, 1, closed="left")]  # all of it would leave nothing
CONSTRAINTS = {
    "train_ratio": [Number(0, 1, closed="neither")],
    "val_ratio": [Number(0, 1, closed="neither")],
    "test_ratio": [Number(0, 1, closed="neither")],
    "embargo_bars": [Count(0)],
    "dropout_rate": _SHARE,
    "dropout_schedule": [StrOptions({"linear", "cosine"})],
    "weight_decay": [Number(0)],
    "weight_decay_schedule": [StrOptions({"linear", "cosine"})],
    "gradient_clip_value": [Number(0, closed="neither"), None],
    "max_gradient_norm": [Number(0, closed="neither"), None],
    "use_focal_loss": ["boolean"],
    "focal_loss_gamma": [Number(0)],
    "focal_loss_alpha": [
        Number(0, closed="neither"),
        StrOptions({"balanced", "effective"}),
        list,
        tuple,
        None,
    ],
    "use_smote": ["boolean"],
    "smote_k_neighbors": [Count(1)],
    "adaptive_labels": ["boolean"],
    "base_label_threshold": [Number(0, closed="neither"), None],
    "volatility_adjusted_labels": ["boolean"],
    "label_scaling": [StrOptions({"affine", "sigma"}), None],
    "session": [str, None],
    "crosses_session": ["boolean", None],
    "use_walk_forward": ["boolean"],
    "wf_folds": [Count(2)],
    "wf_min_samples_per_fold": [Count(1)],
    "ensure_regime_coverage": ["boolean"],
    "use_drift_detection": ["boolean"],
    "drift_psi_threshold": [Number(0, closed="neither")],
    "drift_mean_shift_threshold": [Number(0, closed="neither")],
    "use_gradient_checkpointing": ["boolean"],
    "use_mixed_precision": ["boolean"],
    "prune_after_training": ["boolean"],
    "pruning_sparsity": _SHARE,
    "quantize_model": ["boolean"],
    "quantization_bits": [Options(int, {4, 8})],
    "use_hpo": ["boolean"],
    "hpo_n_trials": [Count(1)],
    "hpo_direction": [StrOptions({"maximize", "minimize"})],
    "use_pretrained_embeddings": ["boolean"],
    "embedding_model": [str],
    "embedding_dim": [Count(1), None],
    "news": [str, Path, None],
    "news_columns": [dict, list, None],
    "news_timezone": [str, None],
    "news_dayfirst": ["boolean", None],
    "news_encoding": [str, None],
    "news_symbol": [str, None],
    "news_bad_rows": [StrOptions({"refuse", "drop"})],
    "timezone": [str, None],
    "session_close": [str, None],
    "deterministic_training": ["boolean"],
    "training_seed": [Count(0, 2**32 - 1)],
    "early_stopping_patience": [Count(1)],
    "early_stopping_min_epochs": [Count(0)],
    "early_stopping_max_epochs": [Count(1)],
    "batch_size": [Count(1), None],
    "models": [list, tuple],
    "pooling": [StrOptions({"mean", "learned"})],
    "lookback": [Count(1)],
    "hidden_size": [Count(1)],
    "n_layers": [Count(1), None],
    "leakage_audit": ["boolean"],
    "skip_scaler_fit": ["boolean"],
    "ablation": ["boolean"],
    "n_jobs": [Integral, None],
    "device": [str],
}

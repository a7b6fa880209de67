"""The config: original defaults, checks, round trips."""

import dataclasses
from pathlib import Path

from hypothesis import given, settings, strategies as st
import pytest

from sktrain import EnhancedTrainingConfig
from sktrain.exceptions import SktrainError
from sktrain.trainer._config_fields import CONSTRAINTS

ORIGINAL = {
    "train_ratio": 0.7,
    "val_ratio": 0.15,
    "test_ratio": 0.15,
    "embargo_bars": 10,
    "dropout_rate": 0.3,
    "dropout_schedule": "linear",
    "weight_decay": 1e-4,
    "weight_decay_schedule": "cosine",
    "gradient_clip_value": 1.0,
    "max_gradient_norm": 5.0,
    "use_focal_loss": True,
    "focal_loss_gamma": 2.0,
    "focal_loss_alpha": 0.25,
    "use_smote": False,
    "smote_k_neighbors": 5,
    "adaptive_labels": True,
    "base_label_threshold": 0.03,
    "volatility_adjusted_labels": True,
    "use_walk_forward": True,
    "wf_folds": 5,
    "wf_min_samples_per_fold": 100,
    "ensure_regime_coverage": True,
    "use_drift_detection": True,
    "drift_psi_threshold": 0.1,
    "drift_mean_shift_threshold": 0.15,
    "use_gradient_checkpointing": True,
    "use_mixed_precision": True,
    "prune_after_training": True,
    "quantize_model": False,
    "quantization_bits": 8,
    "use_hpo": False,
    "hpo_n_trials": 30,
    "hpo_direction": "maximize",
    "use_pretrained_embeddings": False,
    "embedding_model": "bert-base-chinese",
    "deterministic_training": False,
    "training_seed": 42,
    "early_stopping_patience": 15,
    "early_stopping_min_epochs": 20,
    "early_stopping_max_epochs": 500,
    "batch_size": None,
}


def test_original_fields_keep_their_defaults():
    """All but one: thresholds of 3 % make nine labels of ten "hold", so the threshold follows the
    scaling (docs/migration.md)."""
    config = EnhancedTrainingConfig()
    ours = {name: getattr(config, name) for name in ORIGINAL}
    assert ours == {**ORIGINAL, "base_label_threshold": None}
    assert (config.labels_scaling, config.labels_threshold) == ("sigma", 0.5)
    affine = EnhancedTrainingConfig(label_scaling="affine")
    assert affine.labels_threshold == ORIGINAL["base_label_threshold"]


@pytest.mark.parametrize(
    ("fields", "scaling", "threshold"),
    [
        ({}, "sigma", 0.5),
        ({"label_scaling": "sigma"}, "sigma", 0.5),
        ({"label_scaling": "affine"}, "affine", 0.03),
        # the original's: a threshold alone is a return
        ({"base_label_threshold": 0.02}, "affine", 0.02),
        ({"base_label_threshold": 1.5, "label_scaling": "sigma"}, "sigma", 1.5),
        ({"adaptive_labels": False}, "affine", 0.03),
        ({"volatility_adjusted_labels": False}, "affine", 0.03),
    ],
)
def test_a_scaling_without_a_threshold_takes_its_own(fields, scaling, threshold):
    config = EnhancedTrainingConfig(**fields)
    assert (config.labels_scaling, config.labels_threshold) == (scaling, threshold)


def test_every_field_is_checked_and_documented():
    names = {field.name for field in dataclasses.fields(EnhancedTrainingConfig)}
    assert names == set(CONSTRAINTS)
    for name in names:
        assert name in EnhancedTrainingConfig.__doc__


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"train_ratio": 0.8}, ["train_ratio", "sum to 1", "1.1"]),
        ({"embargo_bars": True}, ["embargo_bars", "True"]),
        ({"embargo_bars": -1}, ["embargo_bars", "-1"]),
        ({"wf_folds": 3.0}, ["wf_folds", "3.0"]),
        ({"hpo_direction": "maximise"}, ["hpo_direction", "maximise", "maximize"]),
        ({"dropout_rate": 1.0}, ["dropout_rate", "1.0"]),
        ({"focal_loss_gamma": float("nan")}, ["focal_loss_gamma", "nan"]),
        ({"models": ["gru", "lstn"]}, ["lstn", "lstm"]),
        ({"models": []}, ["models", "empty"]),
        ({"models": ["gru", "gru"]}, ["twice"]),
        ({"dropot_rate": 0.1}, ["dropot_rate", "dropout_rate"]),
        ({"use_pretrained_embeddings": True}, ["news"]),
        (
            {"early_stopping_min_epochs": 30, "early_stopping_max_epochs": 10},
            ["early_stopping_min_epochs", "30", "10"],
        ),
        ({"use_smote": "yes"}, ["use_smote", "yes"]),
        ({"quantization_bits": 3}, ["quantization_bits", "3"]),
        ({"base_label_threshold": 0.5}, ["0.5", "a return", "label_scaling='sigma'"]),
        ({"label_scaling": "sigma", "base_label_threshold": 11}, ["11", "standard deviations"]),
        (
            {"label_scaling": "sigma", "adaptive_labels": False},
            ["label_scaling", "adaptive_labels"],
        ),
        ({"timezone": "America/New_York"}, ["timezone", "news"]),
        (
            {"use_pretrained_embeddings": True, "news": "n.csv", "timezone": "Mars/Base"},
            ["timezone", "Mars/Base"],
        ),
        (
            {"use_pretrained_embeddings": True, "news": "n.csv", "session_close": "4pm"},
            ["session_close", "4pm"],
        ),
        ({"session": "lunch"}, ["session", "lunch", "4h"]),
        ({"session": "-1h"}, ["session", "-1h"]),
    ],
)
def test_bad_fields_are_named(fields, words):
    with pytest.raises(ValueError) as caught:
        EnhancedTrainingConfig(**fields)
    for word in words:
        assert word in str(caught.value)


def test_a_config_changed_later_is_checked_again():
    config = EnhancedTrainingConfig()
    config.wf_folds = 1
    with pytest.raises(ValueError, match="wf_folds"):
        config.validate()
    config = EnhancedTrainingConfig()
    config.wf_fold = 4
    with pytest.raises(SktrainError, match="wf_folds"):
        config.validate()


@settings(max_examples=30, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "embargo_bars": st.integers(0, 50),
            "dropout_rate": st.floats(0, 0.9),
            "gradient_clip_value": st.none() | st.floats(0.1, 9),
            "batch_size": st.none() | st.integers(1, 512),
            "models": st.lists(st.sampled_from(["lstm", "gru", "mlp"]), min_size=1, unique=True),
            "focal_loss_alpha": st.none() | st.just("balanced") | st.floats(0.1, 1),
        },
    )
)
def test_json_and_toml_round_trip(fields):
    config = EnhancedTrainingConfig(**fields)
    assert EnhancedTrainingConfig.from_json(config.to_json()) == config
    assert EnhancedTrainingConfig.from_toml(config.to_toml()) == config


def test_files_round_trip_and_bad_files_are_refused(tmp_path):
    config = EnhancedTrainingConfig(wf_folds=3)
    config.to_json(tmp_path / "c.json")
    config.to_toml(tmp_path / "c.toml")
    assert EnhancedTrainingConfig.from_json(tmp_path / "c.json") == config
    assert EnhancedTrainingConfig.from_toml(str(tmp_path / "c.toml")) == config
    with pytest.raises(SktrainError, match="does not exist"):
        EnhancedTrainingConfig.from_json(Path(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SktrainError, match="not valid JSON"):
        EnhancedTrainingConfig.from_json(tmp_path / "bad.json")

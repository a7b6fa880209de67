"""Balanced classes by resampling: for training folds only, never before a split."""

from ._classifier import ResampledClassifier, correct_prior
from ._smote import apply_smote
from ._window_smote import WindowSMOTE

__all__ = ["ResampledClassifier", "WindowSMOTE", "apply_smote", "correct_prior"]

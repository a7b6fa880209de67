"""sktrain: leakage-safe training of classifiers on market bars and news, as scikit-learn objects.

Every public name is here and is loaded on first use, so ``import sktrain`` costs little and loads
no torch, optuna, transformers or matplotlib.
"""

from importlib import import_module
import sys

from ._optional import collector_paused as _collector_paused

__version__ = "0.1.0"

_PACKAGES = {
    "_history": ("with_history",),
    "_validation": ("with_label_times",),
    "compat": (
        "BayesianHyperparameterOptimizer", "GradientRegularizer", "WeightDecayScheduler",
    ),
    "compression": ("CompressedClassifier", "ModelPruner", "ModelQuantizer", "export_onnx"),
    "datasets": ("read_bars",),
    "drift": ("DriftDetector", "DriftGuard", "DriftReport", "monitor"),
    "ensemble": ("PooledClassifier", "make_recipe"),
    "evaluation": (
        "corrected_mean_interval", "deflated_sharpe_ratio", "effective_number_of_trials",
        "expected_maximum_sharpe", "false_discovery_rate", "fold_scores",
        "minimum_track_record_length", "null_calibration", "null_market", "per_regime_scores",
        "probabilistic_sharpe_ratio", "probability_of_backtest_overfitting", "profit_and_loss",
        "sharpe_ratio", "to_positions", "walk_forward_predict",
    ),
    "features": ("BarFeatures", "MarketRegime", "RegimeDetector", "SlidingWindow", "WindowedArray"),
    "labels": (
        "AdaptiveLabeler", "TripleBarrierLabeler", "average_uniqueness", "sequential_bootstrap",
        "time_decay_weights",
    ),
    "leakage": ("LeakageReport", "LeakageValidator"),
    "nets": (
        "ClassWeightedSampler", "DropoutSchedule", "EnhancedDropout", "EnhancedEarlyStopping",
        "FocalLoss", "GRUClassifier", "GradientClip", "LSTMClassifier", "MLPNetClassifier",
        "ReduceOnPlateau", "StopFlag", "TCNClassifier", "TrainingCheckpoint",
        "TransformerClassifier", "WeightDecaySchedule",
    ),
    "news": (
        "NewsAligner", "NewsArticle", "NewsFeatures", "PretrainedNewsEncoder", "read_news",
        "with_news",
    ),
    "persistence": ("load", "save"),
    "plotting": (
        "CompressionDisplay", "DriftDisplay", "LabelDisplay", "LearningCurveDisplay",
        "RegimeDisplay", "SearchDisplay", "WalkForwardDisplay",
    ),
    "reproducibility": ("DeterministicTrainingConfig",),
    "resample": ("WindowSMOTE", "apply_smote"),
    "search": ("HyperparameterSearchSpace", "OptunaSearchCV"),
    "splits": ("CombinatorialPurgedCV", "EnhancedWalkForwardCV", "TemporalSplitter"),
    "trainer": ("EnhancedTrainer", "EnhancedTrainingConfig"),
}
_RENAMED = {"EnhancedWalkForwardValidator": "EnhancedWalkForwardCV"}  # original name: name here
_DEFINED_IN = {name: package for package, names in _PACKAGES.items() for name in names}
_MODULES = (
    "exceptions",
    "testing",
    *(package for package in _PACKAGES if not package.startswith("_")),
)

__all__ = sorted([*_DEFINED_IN, "__version__"])


def __getattr__(name):
    if name in _DEFINED_IN:
        value = getattr(_imported(_DEFINED_IN[name]), name)
    elif name in _MODULES:
        value = _imported(name)
    elif name in _RENAMED:
        message = f"sktrain has no {name}; it is called {_RENAMED[name]}."
        asked_by = sys._getframe(1).f_globals.get("__name__")
        if asked_by == "importlib._bootstrap":  # of an AttributeError's text an import says nothing
            raise ImportError(message, name=name)
        raise AttributeError(message)
    else:
        raise AttributeError(f"module 'sktrain' has no attribute {name!r}")
    globals()[name] = value
    return value


def _imported(name):
    """A module of sktrain, and the libraries it stands on."""
    with _collector_paused():
        return import_module(f"sktrain.{name}")


def __dir__():
    return sorted({*globals(), *__all__, *_MODULES})

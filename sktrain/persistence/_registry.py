"""What a file may name: classes that are rebuilt from their state, and classes and functions that
stand as parameters.

Names are looked up here and never imported from the file. A name that is not here, or no data
holder of this library, is refused when saving and when opening.
"""

from functools import lru_cache
import importlib
import re
import sys

from ..exceptions import CorruptFileError
from . import _nets

__all__ = ["NEEDS", "OBJECTS", "RECORDS", "VALUES", "home_of", "imported", "is_record"]


def _table(names):
    return {
        f"{package}.{name}": (package, name) for package, listed in names.items() for name in listed
    }


OBJECTS = _table(
    {
        "sktrain.features": ("BarFeatures", "RegimeDetector", "SlidingWindow"),
        "sktrain.labels": ("AdaptiveLabeler", "LabelSampler", "TripleBarrierLabeler"),
        "sktrain.splits": ("CombinatorialPurgedCV", "EnhancedWalkForwardCV", "TemporalSplitter"),
        "sktrain.news": ("NewsAligner", "NewsFeatures", "PretrainedNewsEncoder"),
        "sktrain.resample": ("ResampledClassifier", "WindowSMOTE"),
        "sktrain.drift": ("DriftDetector", "DriftGuard"),
        "sktrain.leakage": ("LeakageValidator",),
        "sktrain.search": ("HyperparameterSearchSpace", "OptunaSearchCV"),
        "sktrain.ensemble": ("PooledClassifier",),
        "sktrain.trainer._pool": ("LastStep",),
        "sktrain.compression": (
            "CompressedClassifier",
            "ModelPruner",
            "ModelQuantizer",
            "QuantizedClassifier",
        ),
        "sktrain.reproducibility": ("DeterministicTrainingConfig",),
        "sktrain.nets": (
            "DropoutSchedule",
            "EnhancedEarlyStopping",
            "GradientClip",
            "ProgressBar",
            "ReduceOnPlateau",
            "WeightDecaySchedule",
        ),
        "sktrain.nets._callbacks": ("ProgressBar", "ReduceOnPlateau"),
        "skorch.callbacks": (
            "EarlyStopping",
            "EpochTimer",
            "GradientNormClipping",
            "LRScheduler",
            "PrintLog",
        ),
        "sklearn.calibration": ("CalibratedClassifierCV", "_CalibratedClassifier"),
        "sklearn.compose": ("ColumnTransformer", "TransformedTargetRegressor"),
        "sklearn.ensemble": (
            "AdaBoostClassifier",
            "BaggingClassifier",
            "StackingClassifier",
            "VotingClassifier",
        ),
        "sklearn.feature_selection": ("RFE", "RFECV", "SelectFromModel"),
        "sklearn.frozen": ("FrozenEstimator",),
        "sklearn.model_selection": (
            "FixedThresholdClassifier",
            "GridSearchCV",
            "GroupKFold",
            "KFold",
            "RandomizedSearchCV",
            "StratifiedKFold",
            "TimeSeriesSplit",
            "TunedThresholdClassifierCV",
        ),
        "sklearn.multiclass": ("OneVsOneClassifier", "OneVsRestClassifier"),
        "sklearn.pipeline": ("FeatureUnion", "Pipeline"),
        "sklearn.preprocessing": ("LabelEncoder",),
        "imblearn.over_sampling": (
            "ADASYN",
            "BorderlineSMOTE",
            "RandomOverSampler",
            "SMOTE",
            "SMOTEN",
            "SMOTENC",
            "SVMSMOTE",
        ),
        "imblearn.pipeline": ("Pipeline",),
        "imblearn.under_sampling": ("RandomUnderSampler", "TomekLinks"),
    }
)
NEEDS = {
    "sktrain.compression.QuantizedClassifier": {"onnxruntime"},
    **{name: {"imblearn"} for name in OBJECTS if name.startswith("imblearn.")},
}
VALUES = _table(
    {
        "sktrain.nets": ("FocalLoss",),
        "sktrain.nets._batches": ("BatchLoader",),
        "torch.optim": (
            "Adadelta",
            "Adagrad",
            "Adam",
            "AdamW",
            "Adamax",
            "NAdam",
            "RAdam",
            "RMSprop",
            "SGD",
        ),
        "torch.optim.lr_scheduler": (
            "CosineAnnealingLR",
            "ExponentialLR",
            "MultiStepLR",
            "OneCycleLR",
            "ReduceLROnPlateau",
            "StepLR",
        ),
        "torch.nn": ("CrossEntropyLoss", "MultiMarginLoss", "NLLLoss"),
        "torch.utils.data": ("DataLoader",),
        "sklearn.metrics": (
            "accuracy_score",
            "average_precision_score",
            "balanced_accuracy_score",
            "brier_score_loss",
            "cohen_kappa_score",
            "d2_log_loss_score",
            "f1_score",
            "fbeta_score",
            "jaccard_score",
            "log_loss",
            "matthews_corrcoef",
            "precision_score",
            "recall_score",
            "roc_auc_score",
            "top_k_accuracy_score",
        ),
    }
)
RECORDS = re.compile(
    r"sktrain\.(_last_block|drift|evaluation|features|labels|nets|search|splits)(\._\w+)?"
)
_ESTIMATORS_ARE = ("fit", "get_params", "forward", "__reduce__", "__del__")


def home_of(thing):
    """The name of a class or value that a file may hold, else None.

    It is found by identity, among modules that are already imported.
    """
    for table in (OBJECTS, VALUES, _nets.CLASSES):
        for key, (module, name) in table.items():
            if getattr(sys.modules.get(module), name, None) is thing:
                return key
    return None


def imported(table, name):
    """What ``name`` stands for in ``table``.

    Raises
    ------
    CorruptFileError
        When it is not there.
    """
    if not isinstance(name, str) or name not in table:
        raise CorruptFileError(
            f"the file names {name!r}, which is not in the registry of what may be rebuilt."
        )
    module, attribute = table[name]
    value = getattr(importlib.import_module(module), attribute, None)
    if value is None:
        raise CorruptFileError(f"the file names {name!r}, which this sktrain does not have.")
    return value


@lru_cache(maxsize=256)
def is_record(cls):
    """Whether ``cls`` is a data holder of this library: a plain class that acts on nothing when it
    is made, copied or forgotten."""
    own = [one for one in cls.__mro__ if one.__module__.startswith("sktrain.")]
    plain = all(
        one in (object, tuple) or one.__module__ in _HARMLESS
        for one in cls.__mro__
        if one not in own
    )
    acts = any(name in vars(one) for one in own for name in _ESTIMATORS_ARE)
    return bool(RECORDS.fullmatch(cls.__module__)) and plain and not acts


_HARMLESS = ("collections.abc", "typing", "abc")


def record_class(name):
    """The data holder of this library that ``name`` stands for."""
    module, _, attribute = str(name).rpartition(".")
    if not RECORDS.fullmatch(module) or not attribute.isidentifier():
        raise CorruptFileError(f"the file names {name!r}, which is no data of this library.")
    try:
        cls = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError:
        cls = None
    if not isinstance(cls, type) or cls.__module__ != module or not is_record(cls):
        raise CorruptFileError(f"the file names {name!r}, which is no data of this library.")
    return cls

"""Written by ``python tests/test_typing.py``: what type checkers read in place of __init__.py."""

from . import (
    compat as compat,
    compression as compression,
    datasets as datasets,
    drift as drift,
    ensemble as ensemble,
    evaluation as evaluation,
    exceptions as exceptions,
    features as features,
    labels as labels,
    leakage as leakage,
    nets as nets,
    news as news,
    persistence as persistence,
    plotting as plotting,
    reproducibility as reproducibility,
    resample as resample,
    search as search,
    splits as splits,
    testing as testing,
    trainer as trainer,
)
from ._history import with_history as with_history
from ._validation import with_label_times as with_label_times
from .compat import (
    BayesianHyperparameterOptimizer as BayesianHyperparameterOptimizer,
    GradientRegularizer as GradientRegularizer,
    WeightDecayScheduler as WeightDecayScheduler,
)
from .compression import (
    CompressedClassifier as CompressedClassifier,
    ModelPruner as ModelPruner,
    ModelQuantizer as ModelQuantizer,
    export_onnx as export_onnx,
)
from .datasets import read_bars as read_bars
from .drift import (
    DriftDetector as DriftDetector,
    DriftGuard as DriftGuard,
    DriftReport as DriftReport,
    monitor as monitor,
)
from .ensemble import (
    PooledClassifier as PooledClassifier,
    make_recipe as make_recipe,
)
from .evaluation import (
    corrected_mean_interval as corrected_mean_interval,
    deflated_sharpe_ratio as deflated_sharpe_ratio,
    effective_number_of_trials as effective_number_of_trials,
    expected_maximum_sharpe as expected_maximum_sharpe,
    false_discovery_rate as false_discovery_rate,
    fold_scores as fold_scores,
    minimum_track_record_length as minimum_track_record_length,
    null_calibration as null_calibration,
    null_market as null_market,
    per_regime_scores as per_regime_scores,
    probabilistic_sharpe_ratio as probabilistic_sharpe_ratio,
    probability_of_backtest_overfitting as probability_of_backtest_overfitting,
    profit_and_loss as profit_and_loss,
    sharpe_ratio as sharpe_ratio,
    to_positions as to_positions,
    walk_forward_predict as walk_forward_predict,
)
from .features import (
    BarFeatures as BarFeatures,
    MarketRegime as MarketRegime,
    RegimeDetector as RegimeDetector,
    SlidingWindow as SlidingWindow,
    WindowedArray as WindowedArray,
)
from .labels import (
    AdaptiveLabeler as AdaptiveLabeler,
    TripleBarrierLabeler as TripleBarrierLabeler,
    average_uniqueness as average_uniqueness,
    sequential_bootstrap as sequential_bootstrap,
    time_decay_weights as time_decay_weights,
)
from .leakage import (
    LeakageReport as LeakageReport,
    LeakageValidator as LeakageValidator,
)
from .nets import (
    ClassWeightedSampler as ClassWeightedSampler,
    DropoutSchedule as DropoutSchedule,
    EnhancedDropout as EnhancedDropout,
    EnhancedEarlyStopping as EnhancedEarlyStopping,
    FocalLoss as FocalLoss,
    GradientClip as GradientClip,
    GRUClassifier as GRUClassifier,
    LSTMClassifier as LSTMClassifier,
    MLPNetClassifier as MLPNetClassifier,
    ReduceOnPlateau as ReduceOnPlateau,
    StopFlag as StopFlag,
    TCNClassifier as TCNClassifier,
    TrainingCheckpoint as TrainingCheckpoint,
    TransformerClassifier as TransformerClassifier,
    WeightDecaySchedule as WeightDecaySchedule,
)
from .news import (
    NewsAligner as NewsAligner,
    NewsArticle as NewsArticle,
    NewsFeatures as NewsFeatures,
    PretrainedNewsEncoder as PretrainedNewsEncoder,
    read_news as read_news,
    with_news as with_news,
)
from .persistence import (
    load as load,
    save as save,
)
from .plotting import (
    CompressionDisplay as CompressionDisplay,
    DriftDisplay as DriftDisplay,
    LabelDisplay as LabelDisplay,
    LearningCurveDisplay as LearningCurveDisplay,
    RegimeDisplay as RegimeDisplay,
    SearchDisplay as SearchDisplay,
    WalkForwardDisplay as WalkForwardDisplay,
)
from .reproducibility import DeterministicTrainingConfig as DeterministicTrainingConfig
from .resample import (
    WindowSMOTE as WindowSMOTE,
    apply_smote as apply_smote,
)
from .search import (
    HyperparameterSearchSpace as HyperparameterSearchSpace,
    OptunaSearchCV as OptunaSearchCV,
)
from .splits import (
    CombinatorialPurgedCV as CombinatorialPurgedCV,
    EnhancedWalkForwardCV as EnhancedWalkForwardCV,
    TemporalSplitter as TemporalSplitter,
)
from .trainer import (
    EnhancedTrainer as EnhancedTrainer,
    EnhancedTrainingConfig as EnhancedTrainingConfig,
)

__version__: str

"""The whole run in one call: a scored, compressed, saved model and its report."""

from ._config import DEFAULTS as DEFAULTS, EnhancedTrainingConfig
from ._models import audit_pipeline as audit_pipeline
from ._results import searched as searched
from ._run_folder import (
    find_model as find_model,
    load_drift_reference as load_drift_reference,
)
from ._search import (
    build_search as build_search,
    given_parameters as given_parameters,
    search_plan as search_plan,
)
from ._sources import open_source as open_source
from ._tasks import HALVED as HALVED, in_words_of as in_words_of, label_bars as label_bars
from ._trainer import EnhancedTrainer
from ._verdicts import next_steps as next_steps

__all__ = ["EnhancedTrainer", "EnhancedTrainingConfig"]

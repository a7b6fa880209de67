"""What each switch of a run adds: the run's model with one switch off at a time, on the run's own
walk-forward folds."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..evaluation import corrected_mean_interval, fold_scores
from ..exceptions import NotEnoughDataError
from ._config import EnhancedTrainingConfig
from ._config_fields import NEWS_OPTIONS
from ._search import fold_model
from ._tasks import walk_forward_cv

__all__ = ["Ablated", "ablate", "switches_on"]

#: what is told of, whether it is on, and the fields that turn it off
_OFF: dict[str, tuple[Callable, dict]] = {
    "focal loss": (lambda config: config.use_focal_loss, {"use_focal_loss": False}),
    "oversampling": (lambda config: config.use_smote, {"use_smote": False}),
    "dropout": (lambda config: config.dropout_rate > 0, {"dropout_rate": 0.0}),
    "weight decay": (lambda config: config.weight_decay > 0, {"weight_decay": 0.0}),
    "gradient clipping": (
        lambda config: (config.gradient_clip_value or config.max_gradient_norm) is not None,
        {"gradient_clip_value": None, "max_gradient_norm": None},
    ),
    "learned weights": (lambda config: config.pooling == "learned", {"pooling": "mean"}),
    "news": (
        lambda config: config.use_pretrained_embeddings,
        {
            **dict.fromkeys(("news", "timezone", "session_close")),
            **dict.fromkeys(f"news_{name}" for name in NEWS_OPTIONS),
            "news_bad_rows": "refuse",
            "use_pretrained_embeddings": False,
        },
    ),
    "search": (lambda config: config.use_hpo, {"use_hpo": False}),
}


@dataclass(frozen=True)
class Ablated:
    """The run's model without one of its switches.

    Attributes
    ----------
    switch : str
        What was turned off.
    score : float
        Mean balanced accuracy over the folds without it.
    gain, low, high : float
        Mean of the fold-wise difference, with the switch minus without it, and its corrected 95 %
        interval.
    """

    switch: str
    score: float
    gain: float
    low: float
    high: float


def switches_on(config: EnhancedTrainingConfig) -> dict[str, EnhancedTrainingConfig]:
    """The config without each of its switches that are on, by what was turned off.

    What changes the question and not the answer stays: labels, folds, blocks. So does what touches
    no fold: pruning and quantization, which are measured where they are done.
    """
    return {
        name: replace(config, **fields)
        for name, (is_on, fields) in _OFF.items()
        if is_on(config)
    }


def ablate(run, folds) -> list[Ablated]:
    """Fit and score the model without each switch on the folds of the run.

    Parameters
    ----------
    run : Run
    folds : FoldScores
        Of the whole model, on the same folds.

    Returns
    -------
    list of Ablated
        Fewer when the run was asked to stop.
    """
    X, y = run.rows("train", "val")
    cv, whole, rows = walk_forward_cv(run.config), folds.scores(), []
    configs = switches_on(run.config)
    with run.reporter.stage("ablation", total=len(configs) * run.config.wf_folds) as advance:
        for name, config in configs.items():
            model = fold_model(run, config)
            try:
                found = fold_scores(
                    model, X, y, cv, on_fold=lambda number, row: advance(), stop=run.stopped
                )
            except NotEnoughDataError:
                if run.stopped():
                    break
                raise
            if run.stopped():
                break
            rows.append(_compared(name, whole, found))
    return rows


def _compared(name, whole, found):
    without = found.scores()
    gain = corrected_mean_interval(whole - without, n_train=found.n_train, n_test=found.n_test)
    return Ablated(
        name,
        float(np.mean(without)),
        gain.mean,
        max(gain.low, -1.0),
        min(gain.high, 1.0),
    )

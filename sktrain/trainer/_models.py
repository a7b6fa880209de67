"""Pipelines of a config: names of nets enter, unfitted scikit-learn estimators on bars leave. Every config field lands here by name."""

from dataclasses import dataclass, replace

from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline

from ..features import BarFeatures, SlidingWindow

__all__ = ["FitPlan", "audit_pipeline", "build_model", "build_net", "build_search", "feature_steps", "nets_of", "with_config_news"]

NETS = {
    "lstm": "LSTMClassifier",
    "gru": "GRUClassifier",
    "tcn": "TCNClassifier",
    "transformer": "TransformerClassifier",
    "mlp": "MLPNetClassifier",
}


@dataclass(frozen=True)
class FitPlan:
    """What ``train`` decides beside the config.

    Attributes
    ----------
    epochs, batch_size, learning_rate : int, int, float
    horizon : int
        Bars a label looks ahead; nets purge their validation block by it.
    valid_fraction : float
        Share of the unique times a net validates on: the last block.
    stop : callable or None
        Asked after every batch whether to stop.
    checkpoints : path or None
        Folder of training checkpoints.
    params : tuple of (str, object)
        Found by a search: net parameters by name.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    horizon: int
    valid_fraction: float
    stop: object = None
    checkpoints: object = None
    params: tuple = ()


def build_net(name, config, plan):
    """One net with every field of the config in its place."""
    from .. import nets
    from ..nets import FocalLoss, StopFlag, TrainingCheckpoint

    params = {
        "max_epochs": min(plan.epochs, config.early_stopping_max_epochs),
        "batch_size": plan.batch_size if config.batch_size is None else config.batch_size,
        "lr": plan.learning_rate,
        "random_state": config.training_seed,
        "valid_fraction": plan.valid_fraction,
        "horizon": plan.horizon,
        "mixed_precision": "auto" if config.use_mixed_precision else False,
        "gradient_checkpointing": config.use_gradient_checkpointing,
        "module__hidden_size": config.hidden_size,
        "module__dropout": config.dropout_rate,
        "callbacks__dropout__schedule": config.dropout_schedule,
        "callbacks__dropout__min_p": min(0.1, config.dropout_rate),
        "callbacks__weight_decay__base": config.weight_decay,
        "callbacks__weight_decay__max": 10 * config.weight_decay,
        "callbacks__weight_decay__schedule": config.weight_decay_schedule,
        "callbacks__clip__clip_value": config.gradient_clip_value,
        "callbacks__clip__max_norm": config.max_gradient_norm,
        "callbacks__early_stopping__patience": config.early_stopping_patience,
        "callbacks__early_stopping__min_epochs": config.early_stopping_min_epochs,
        "callbacks__early_stopping__max_epochs": config.early_stopping_max_epochs,
    }
    if config.use_focal_loss:
        params |= {"criterion": FocalLoss, "criterion__alpha": config.focal_loss_alpha, "criterion__gamma": config.focal_loss_gamma}
    else:
        params |= {"criterion": FocalLoss, "criterion__alpha": None, "criterion__gamma": 0.0}  # which is cross-entropy
    if config.n_layers is not None:
        params["module__n_layers"] = config.n_layers
    extra = []
    if plan.stop is not None:
        extra.append(("stop", StopFlag(plan.stop)))
    if plan.checkpoints is not None:
        extra.append(("checkpoint", TrainingCheckpoint(plan.checkpoints / name)))
    if extra:
        params["callbacks"] = extra
    return getattr(nets, NETS[name])(**{**params, **dict(plan.params)})


def feature_steps(config):
    """Steps from bars to windows, shared by every net."""
    return [("features", _features(config)), ("window", SlidingWindow(lookback=config.lookback))]


def _features(config):
    """Features of the bars, beside those of the news that the bars carry where the config asks for them."""
    if not config.use_pretrained_embeddings:
        return BarFeatures()
    from ..news import NewsAligner, NewsFeatures, PretrainedNewsEncoder

    encoder = PretrainedNewsEncoder(config.embedding_model, embed_dim=config.embedding_dim)
    return NewsFeatures(encoder, NewsAligner(timezone="UTC"), features=BarFeatures())  # bars without a zone are read as UTC


def with_config_news(bars, config):
    """The bars, carrying the articles of ``config.news`` where the config asks for news."""
    if not config.use_pretrained_embeddings or "news" in bars.attrs:
        return bars
    from ..news import read_news, with_news

    return with_news(bars, read_news(config.news))


def build_model(config, plan, names=None):
    """The whole model on raw bars: features, windows, optional oversampling, one net or the soft vote of several."""
    names = config.models if names is None else names
    nets = [(name, _resampled(build_net(name, config, plan), config)) for name in names]
    last = nets[0][1] if len(nets) == 1 else VotingClassifier(nets, voting="soft")
    return Pipeline([*feature_steps(config), ("net", last)])


def _resampled(net, config):
    """The net behind an oversampler that sees its training rows only."""
    if not config.use_smote:
        return net
    from imblearn.pipeline import Pipeline as SamplingPipeline

    from ..resample import WindowSMOTE

    smote = WindowSMOTE(k_neighbors=config.smote_k_neighbors, random_state=config.training_seed)
    return SamplingPipeline([("smote", smote), ("net", net)])


def nets_of(model):
    """The fitted nets of a model by name, looking through votes and samplers."""
    last = model[-1]
    found = dict(getattr(last, "named_estimators_", {})) or {"net": last}
    return {name: getattr(one, "steps", [(None, one)])[-1][1] for name, one in found.items()}


def audit_pipeline(config):
    """What the leakage audit looks at: the transformers of the run before a quick linear model."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    steps = [feature_steps(config)[0], ("impute", SimpleImputer(keep_empty_features=True)), ("scale", StandardScaler())]
    return Pipeline([*steps, ("linear", LogisticRegression(max_iter=1000))])


def build_search(config, *, epochs, batch_size, learning_rate, n_folds=3, storage=None, timeout=None, refit=True, progress=False, stop=None, horizon=None):
    """A search over the first net: learning rate 1e-5..1e-2, weight decay 1e-5..1e-3, dropout 0.1..0.5, batch size 16..128."""
    from ..search import HyperparameterSearchSpace, OptunaSearchCV
    from ._tasks import walk_forward_cv

    plan = FitPlan(epochs, batch_size, learning_rate, horizon, valid_fraction=config.val_ratio / (config.train_ratio + config.val_ratio), stop=stop)
    config = replace(config, batch_size=None)
    space = HyperparameterSearchSpace(hidden_dim=None, num_layers=None).to_distributions("net__net" if config.use_smote else "net")
    return OptunaSearchCV(
        build_model(config, plan, config.models[:1]),
        space,
        n_trials=config.hpo_n_trials,
        timeout=timeout,
        storage=storage,
        scoring="balanced_accuracy" if config.hpo_direction == "maximize" else "neg_log_loss",
        cv=walk_forward_cv(config, n_splits=n_folds, coverage=False),
        refit=refit,
        random_state=config.training_seed,
        error_score=float("nan"),
        progress_bar=progress,
    )

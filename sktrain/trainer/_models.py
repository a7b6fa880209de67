"""From a config to unfitted scikit-learn estimators on bars. Every config field lands here, or in
_tasks, by name."""

from dataclasses import dataclass
import warnings

from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline

from .._models import voters
from .._validation import SESSION
from ..exceptions import SktrainWarning
from ..features import BarFeatures, SlidingWindow
from ._config_fields import NEWS_OPTIONS
from ._pool import build_pool

__all__ = [
    "FitPlan",
    "audit_pipeline",
    "build_model",
    "build_net",
    "checkpoints_activations",
    "feature_steps",
    "nets_of",
    "with_config_news",
]

NETS = {
    "lstm": "LSTMClassifier",
    "gru": "GRUClassifier",
    "tcn": "TCNClassifier",
    "transformer": "TransformerClassifier",
    "mlp": "MLPNetClassifier",
}
#: Activations of one batch from which recomputing them is worth its time: below, they are a small
#: part of what the process holds anyway (torch alone takes some 250 MiB), and recomputing costs a
#: third to a half of the speed.
_WORTH_RECOMPUTING = 64 * 2**20
#: float32 values kept per hidden unit, step and layer: four gates and their products, there and
#: back
_ACTIVATIONS_PER_UNIT = 16


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
    checkpoint_every : int
        Epochs between two checkpoints; the last epoch is always kept.
    params : tuple of (str, object)
        Found by a search: net parameters by name.
    watch : callable or None
        Called as ``watch(text)`` after every epoch.
    scaling : tuple of (str, (mean, scale)), or ()
        Statistics of an earlier run that nets keep, by net.
    intraday : bool
        Whether the bars are intraday: then features tell the time of day.
    crosses_session : bool
        Whether windows reach from one trading session into the one before; what the labels do.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    horizon: int
    valid_fraction: float
    stop: object = None
    checkpoints: object = None
    checkpoint_every: int = 1
    params: tuple = ()
    watch: object = None
    scaling: tuple = ()
    intraday: bool = False
    crosses_session: bool = True

    def rows_per_step(self, config):
        """Batch size before a search: the config's own comes first."""
        return self.batch_size if config.batch_size is None else config.batch_size


def build_net(name, config, plan):
    """One net with every field of the config in its place.

    Parameters
    ----------
    name : {"lstm", "gru", "tcn", "transformer", "mlp"}
    config : EnhancedTrainingConfig
    plan : FitPlan

    Returns
    -------
    NetClassifier
    """
    from .. import nets

    params = {
        **_training_params(config, plan),
        **_schedule_params(config),
        **_loss_params(config),
    }
    if config.n_layers is not None:
        params["module__n_layers"] = config.n_layers
    kept = dict(plan.scaling).get(name)
    if kept is not None:
        params["standardize"] = kept
    extra = _callbacks(name, plan)
    if extra:
        params["callbacks"] = extra
    return getattr(nets, NETS[name])(**{**params, **dict(plan.params)})


def _training_params(config, plan):
    batch_size = plan.rows_per_step(config)
    return {
        "max_epochs": min(plan.epochs, config.early_stopping_max_epochs),
        "batch_size": batch_size,
        "lr": plan.learning_rate,
        "random_state": config.training_seed,
        "device": config.device,
        "valid_fraction": plan.valid_fraction,
        "horizon": plan.horizon,
        "mixed_precision": "auto" if config.use_mixed_precision else False,
        "gradient_checkpointing": checkpoints_activations(config, batch_size)[0],
        "module__hidden_size": config.hidden_size,
        "module__dropout": config.dropout_rate,
    }


def checkpoints_activations(config, batch_size):
    """Whether layers are recomputed in the backward pass: asked for, and worth it for batches of
    this size; and why."""
    if not config.use_gradient_checkpointing:
        return False, "use_gradient_checkpointing=False"
    units = batch_size * config.lookback * config.hidden_size * (config.n_layers or 2)
    size = 4 * _ACTIVATIONS_PER_UNIT * units
    pays = size > _WORTH_RECOMPUTING
    side = "above" if pays else "not above"
    mib = f"{size / 2**20:.3g} MiB, {side} {_WORTH_RECOMPUTING // 2**20}"
    return pays, f"activations of a batch take about {mib}"


def _schedule_params(config):
    return {
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


def _loss_params(config):
    from ..nets import FocalLoss

    alpha, gamma = (
        (config.focal_loss_alpha, config.focal_loss_gamma) if config.use_focal_loss else (None, 0.0)
    )
    return {
        "criterion": FocalLoss,
        "criterion__alpha": alpha,
        "criterion__gamma": gamma,
    }  # None and 0 are cross-entropy


def _callbacks(name, plan):
    from ..nets import TrainingCheckpoint
    from ._progress import EpochWatch, RunStop

    extra = []
    if plan.watch is not None:
        extra.append(("watch", EpochWatch(plan.watch, name)))
    if plan.stop is not None:
        extra.append(("stop", RunStop(plan.stop)))
    if plan.checkpoints is not None:
        extra.append(
            ("checkpoint", TrainingCheckpoint(plan.checkpoints / name, every=plan.checkpoint_every))
        )
    return extra


def feature_steps(config, plan=None):
    """Steps from bars to windows, shared by every net."""
    features = BarFeatures(calendar="intraday" if plan is not None and plan.intraday else True)
    window = SlidingWindow(
        lookback=config.lookback,
        crosses_session=plan is None or plan.crosses_session,
        session=config.session or SESSION,
    )
    return [("features", _with_news(features, config)), ("window", window)]


def _with_news(features, config):
    """Features of the bars, beside those of the news that the bars carry where the config asks for
    them."""
    if not config.use_pretrained_embeddings:
        return features
    from ..news import NewsFeatures, PretrainedNewsEncoder

    encoder = PretrainedNewsEncoder(
        config.embedding_model, embed_dim=config.embedding_dim, device=config.device
    )
    return NewsFeatures(encoder, _aligner(config), features=features)


def _aligner(config):
    from ..news import NewsAligner

    return NewsAligner(timezone=config.timezone, session_close=config.session_close)


def with_config_news(bars, config):
    """The bars, carrying the articles of ``config.news`` where the config asks for news.

    Raises
    ------
    SktrainError
        When bars and articles tell time on different clocks, before anything is trained.
    """
    if not config.use_pretrained_embeddings:
        if config.news is not None:
            warnings.warn(
                f"news={config.news!r} is not read: use_pretrained_embeddings is False.",
                SktrainWarning,
                stacklevel=2,
            )
        return bars
    from .._reading import spoken
    from ..news import read_news, with_news

    if "news" not in bars.attrs:
        with spoken({name: f"news_{name}" for name in NEWS_OPTIONS}):
            articles = read_news(config.news, **config.news_options)
        bars = with_news(bars, articles)
    _aligner(config).fit(bars.attrs["news"].articles).n_known(bars)  # refuses what cannot be joined
    return bars


def build_model(config, plan, names=None):
    """The whole model on raw bars: features, windows, optional oversampling, one net or the soft
    vote of several."""
    names = config.models if names is None else names
    nets = [(name, _resampled(build_net(name, config, plan), config)) for name in names]
    if config.pooling == "learned":
        last = build_pool(nets, plan)
    else:
        last = nets[0][1] if len(nets) == 1 else VotingClassifier(nets, voting="soft")
    return Pipeline([*feature_steps(config, plan), ("net", last)])


def _resampled(net, config):
    """The net behind an oversampler that sees its training rows only."""
    if not config.use_smote:
        return net
    from imblearn.pipeline import Pipeline as SamplingPipeline

    return SamplingPipeline([("smote", oversampler(config)), ("net", net)])


def oversampler(config):
    """The oversampler of a config."""
    from ..resample import WindowSMOTE

    return WindowSMOTE(k_neighbors=config.smote_k_neighbors, random_state=config.training_seed)


def nets_of(model, names):
    """The fitted nets of a model by name, looking through votes and samplers; ``names`` names a
    single one."""
    return {name: one for name, one in voters(model, names[0]).items() if name in NETS}


def audit_pipeline(config):
    """What the leakage audit looks at: the transformers of the run before a quick linear model."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    steps = [
        feature_steps(config, None)[0],
        ("impute", SimpleImputer(keep_empty_features=True)),
        ("scale", StandardScaler()),
    ]
    return Pipeline([*steps, ("linear", LogisticRegression(max_iter=1000))])

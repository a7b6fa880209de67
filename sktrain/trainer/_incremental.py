"""Go on from an earlier model: what may be continued is trained on with the new arguments, what
may not is refused by name.

Only bars after the last one the earlier model was trained on are used, and only when they have not
drifted from its bars; else the model is trained anew on all of them, and that is said.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ..exceptions import NotEnoughDataError, PersistenceError, SktrainError
from ._config import EnhancedTrainingConfig
from ._models import NETS, build_net, nets_of, oversampler
from ._run_folder import (
    DRIFT,
    RESULT,
    TRAINED,
    hash_of,
    instance,
    load_detector,
    read_result,
    refusing_others,
    said,
)
from ._tasks import divide

__all__ = ["Earlier", "continue_training", "kept_scaling", "may_continue", "open_earlier"]

#: Fields that shape the network, its inputs or what its answers mean: weights cannot be carried
#: from one value to another.
_FIXED = (
    "models",
    "pooling",
    "lookback",
    "hidden_size",
    "n_layers",
    "use_pretrained_embeddings",
    "embedding_model",
    "embedding_dim",
    "timezone",
    "session_close",
    "session",
    "crosses_session",
    "adaptive_labels",
    "volatility_adjusted_labels",
)


@dataclass(frozen=True)
class Earlier:
    """The model an incremental run goes on from.

    Attributes
    ----------
    model : Pipeline
        In float, as it was before compression.
    last : Timestamp
        Last bar it was trained on.
    result : dict
        What its run returned.
    """

    model: object
    last: pd.Timestamp
    result: dict


def open_earlier(folder, config, horizon):
    """The model in ``folder``, refused when the arguments ask for another one.

    Raises
    ------
    PersistenceError
        No earlier run there, a mixture of two, or one that was changed.
    SktrainError
        Arguments that a continued model cannot take, by name.
    """
    from ..persistence import load

    file = folder / TRAINED
    if not file.is_file():
        raise PersistenceError(
            f"incremental=True, but {str(folder)!r} holds no earlier model. Train once without it "
            "first."
        )
    result = read_result(folder)
    if result.get("trained_sha256") != hash_of(file):
        raise PersistenceError(
            f"{str(folder)!r} is a mixture of two runs: {TRAINED} is not of the run result.json "
            "tells of. Train again."
        )
    with refusing_others(folder / RESULT):
        _refuse_others(folder, result, config, horizon)
        last = _moment(result["trained_until"])
    model = load(file)
    with refusing_others(file):
        _checked_nets(model, config.models)
    return Earlier(model, last, result)


def _moment(text):
    """The time that a run wrote down; of what is written otherwise, a ValueError or TypeError."""
    datetime.fromisoformat(instance(text, str))  # pandas also knows "now", and that "NaT" is a time
    return pd.Timestamp(text)


def _checked_nets(model, names):
    """The fitted nets of a pipeline; another set of nets than ``names`` is a TypeError."""
    nets = nets_of(instance(model, Pipeline), names)
    kinds = {name: type(net).__name__ for name, net in nets.items()}
    if kinds != {name: NETS[name] for name in names}:
        raise TypeError(f"{kinds} in place of the nets {list(names)}")
    return nets


def _refuse_others(folder, result, config, horizon):
    before = {**EnhancedTrainingConfig().to_dict(), **result["config"]}  # of an older version
    now = config.to_dict()
    changed = [
        (name, before.get(name), now[name]) for name in _FIXED if before.get(name) != now[name]
    ]
    trained = result["hyperparameters"]
    for name, value in (
        ("horizon", horizon),
        ("label_scaling", config.labels_scaling),
        ("base_label_threshold", config.labels_threshold),
    ):
        if trained.get(name) != value:
            changed.append((name, trained.get(name), value))
    if changed:
        told = "; ".join(f"{name} was {said(old)}, now {said(new)}" for name, old, new in changed)
        raise SktrainError(
            f"incremental=True goes on with the model in {str(folder)!r} as it is, but {told}. Ask "
            "for the same, or train without incremental."
        )


def new_rows(run, earlier):
    """The labelled rows after those the earlier model was trained on."""
    times = run.task.bars.index.get_level_values(-1)
    last = earlier.last
    if (last.tzinfo is None) != (times.tz is None):
        raise SktrainError(
            f"The earlier model was trained until {last}; the bars' times are "
            f"{'naive' if times.tz is None else 'zone-aware'}. Give bars on the same clock."
        )
    fresh = np.flatnonzero(times > last)
    if not len(fresh):
        raise NotEnoughDataError(
            f"incremental=True, but no labelled bar comes after {last}, the last the model was "
            "trained on."
        )
    return replace(run.task, bars=run.task.bars.iloc[fresh], y=run.task.y.iloc[fresh])


def may_continue(run, earlier):
    """Narrow the run to the new rows and check them for drift.

    Parameters
    ----------
    run : Run
        Its ``task`` and ``blocks`` become those of the new rows, unless these drifted.
    earlier : Earlier

    Returns
    -------
    dict
        ``mode`` "continued" or "retrained", and the ``reason``.
    """
    fresh = new_rows(run, earlier)
    count = len(fresh.bars)
    reason = f"{count} new rows; drift was not checked"
    if run.config.use_drift_detection and (run.folder / DRIFT).is_file():
        detector = load_detector(run.folder, earlier.result)
        detector.set_params(
            psi_threshold=run.config.drift_psi_threshold,
            mean_shift_threshold=run.config.drift_mean_shift_threshold,
        )
        found = detector.check(earlier.model[0].transform(fresh.bars))
        if found["drift_detected"]:
            return {
                "mode": "retrained",
                "reason": f"the new bars drifted: {found['recommendation']}",
            }
        reason = f"{count} new rows without drift"
    run.task, run.blocks = fresh, divide(fresh, run.config)
    if run.config.pooling == "learned":
        reason += "; the pool's weights, linear model and class shares stay"
    return {"mode": "continued", "reason": reason, "from": str(earlier.last)}


def continue_training(run, earlier):
    """Train every net of the earlier model on, with the arguments of this run.

    Returns
    -------
    model : Pipeline
        The earlier model, trained on.
    before : dict
        Epochs each net had behind it.
    """
    config, model = run.config, earlier.model
    X, y = run.rows("train", "val")
    windows = model[:-1].transform(X)
    learned_from = None if config.skip_scaler_fit else model[:-1].transform(run.rows("train")[0])
    nets = nets_of(model, config.models)
    before = {name: len(net.history_ or ()) for name, net in nets.items()}
    rows, labels = (
        oversampler(config).fit_resample(windows, y) if config.use_smote else (windows, y)
    )
    for name, net in nets.items():
        if run.stopped():
            break
        adopt(net, build_net(name, config, run.plan))
        old = scaling_of(net)
        if learned_from is not None:
            set_scaling(net, *scaling_of_rows(learned_from))
        net.partial_fit(rows, labels)
        if len(net.history_) == before[name]:  # refused, or stopped at once: the net is as it was
            set_scaling(net, *old)
    return model, before


def scaling_in_words(config, epochs):
    """What became of the scaling: nets whose update was refused keep theirs."""
    moved = [name for name, count in epochs.items() if count]
    if config.skip_scaler_fit or not moved:
        return "scaling kept"
    only = "" if len(moved) == len(epochs) else f" in {', '.join(moved)}"
    return f"scaling learned from the new rows{only}"


def what_was_accepted(nets):
    """One line per net that was updated: whether the update stays, and why."""
    told = {name: getattr(net, "update_", None) for name, net in nets.items()}
    return {name: update.summary() for name, update in told.items() if update is not None}


def adopt(net, wanted):
    """Give a trained net every parameter of another that does not shape its network."""
    params = {
        name: value
        for name, value in wanted.get_params(deep=False).items()
        if name not in ("module__hidden_size", "module__n_layers", "standardize")
    }
    net.module__dropout = dropout = params.pop("module__dropout")
    params["update_epochs"] = params["max_epochs"]
    net.set_params(**{name: value for name, value in params.items() if name != "module"})
    from ..nets import EnhancedDropout

    for layer in net.module_.modules():
        if isinstance(layer, EnhancedDropout):
            layer.p = dropout


def scaling_of_rows(windows):
    """Mean and 1 / standard deviation of every feature over all steps, missing ones left out."""
    values = np.asarray(windows, dtype=np.float64)
    values = values.reshape(-1, values.shape[-1])
    mean, deviation = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    # as the nets do
    constant = deviation <= 1e-7 * np.maximum(np.abs(mean), 1e-30)
    return mean, np.where(constant, 1.0, 1.0 / np.where(constant, 1.0, deviation))


def scaling_of(net):
    """Mean and 1 / standard deviation by which a trained net standardizes its inputs."""
    layer = net.module_.standardize
    return tuple(part.detach().cpu().numpy().copy() for part in (layer.mean, layer.scale))


def set_scaling(net, mean, scale):
    """Standardize the inputs of a trained net by other statistics."""
    import torch

    layer = net.module_.standardize
    layer.mean.copy_(torch.from_numpy(mean))
    layer.scale.copy_(torch.from_numpy(scale))


def kept_scaling(folder, config):
    """Statistics of the nets of the earlier run in ``folder``, for a plain run with
    ``skip_scaler_fit``.

    Returns
    -------
    tuple of (str, (mean, scale))
        By net.
    """
    from ..persistence import load

    file = folder / TRAINED
    if not file.is_file():
        raise SktrainError(
            f"skip_scaler_fit=True keeps the scaling of an earlier run, but {str(folder)!r} holds "
            "none. Train once without it first."
        )
    fields = ("models", "use_pretrained_embeddings", "embedding_dim")
    with refusing_others(folder / RESULT):
        before, now = instance(read_result(folder)["config"], dict), config.to_dict()
        for name in fields:
            if before.get(name) != now[name]:
                raise SktrainError(
                    f"skip_scaler_fit=True keeps the scaling of the run in {str(folder)!r}, but "
                    f"{name} was {said(before.get(name))}, now {now[name]!r}."
                )
    model = load(file)
    with refusing_others(file):
        found = _checked_nets(model, config.models)
        return tuple((name, scaling_of(net)) for name, net in found.items())

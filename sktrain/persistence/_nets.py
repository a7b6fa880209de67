"""Nets as plain values: a fitted net enters, its parameters, sizes and weights as arrays leave, and back; nothing is pickled."""

import numpy as np

from .._posterior import Posterior
from ..exceptions import PersistenceError

__all__ = ["CLASSES", "rebuild", "state_of"]

CLASSES = {
    f"sktrain.nets.{name}": ("sktrain.nets", name)
    for name in ("GRUClassifier", "LSTMClassifier", "MLPNetClassifier", "TCNClassifier", "TransformerClassifier")
}
_LEARNED = (
    "classes_inferred_",
    "lookback_",
    "step_features_",
    "n_features_in_",
    "feature_names_in_",
    "stop_reason_",
    "precision_",
    "full_batch_",
    "n_fits_",
    "n_skipped_steps_",
    "class_count_",
    "replay_",
)
_RUNTIME = ("callbacks", "device", "compile", "verbose")  # what belongs to training or to the machine, not to the model


def state_of(net, where):
    """Parameters, learned values, history and weights of a net."""
    params = {key: value for key, value in net.get_params(deep=False).items() if key not in _RUNTIME and not key.startswith("callbacks__")}
    if params.get("module") is not None:
        raise PersistenceError(f"{where} has a network of its own (module={params['module']!r}), which a .sktrain file cannot rebuild. Use joblib.dump.")
    params = {key: value for key, value in params.items() if not (callable(value) and key == "train_split")}
    state = {"params": params, "fitted": net.__sklearn_is_fitted__()}
    if state["fitted"]:
        state["learned"] = {name: vars(net)[name] for name in _LEARNED if name in vars(net)}
        if "posterior_" in vars(net):
            state["posterior"] = dict(vars(net.posterior_))
        state["history"] = [{key: value for key, value in row.items() if key != "batches"} for row in net.history_ or []]
        state["weights"] = {name: _array(value) for name, value in net.module_.state_dict().items()}
    return state


def _array(tensor):
    return tensor.detach().cpu().numpy()


def rebuild(cls, state):
    """A net that predicts as the saved one did; to train it on, its optimizer starts anew."""
    import torch

    net = cls(**state["params"])
    if not state["fitted"]:
        return net
    vars(net).update(state["learned"])
    if "posterior" in state:  # earlier files hold none: their nets go on saying what they said
        net.posterior_ = Posterior(**state["posterior"])
    net.initialize_module()
    weights = {name: torch.from_numpy(np.array(value)) for name, value in state["weights"].items()}
    if any(value.dtype == torch.float64 for value in weights.values()):
        net.module_.double()
    net.module_.load_state_dict(weights, strict=True)
    net.module_.eval()
    net.initialize_history()
    for row in state["history"]:
        net.history_.new_epoch()
        for key, value in row.items():
            net.history_.record(key, value)
    net.initialized_ = True
    return net

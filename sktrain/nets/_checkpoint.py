"""The state of a training enters after an epoch, a file leaves from which the next fit goes on as if nothing had happened.

A file is bound to the rows, their order and the parameters of one training; another training uses another file. It holds tensors and
plain values only, and nothing in it is executed when it is read.
"""

import hashlib
import io
from pathlib import Path

import numpy as np
from skorch.callbacks import Callback
import torch

from .._io import atomic_write, sha256
from .._validation import check_count
from ..exceptions import CorruptFileError
from ..reproducibility import rng_states, set_rng_states

__all__ = ["TrainingCheckpoint"]

_MAGIC = b"sktrain-training-1\n"
_PASSING = ("stop_flag", "interrupted")  # reasons after which training may go on
_SILENT = ("verbose", "device")  # parameters that change no weight


class TrainingCheckpoint(Callback):
    """Saves the whole state of training, so that a killed ``fit`` goes on where it was and ends with the same weights.

    Weights, optimizer, gradient scaler, callbacks, history and the states of all random generators are written to one file per
    training, whole or not at all. The next ``fit`` with the same rows and parameters resumes; a finished one returns at once.

    Parameters
    ----------
    dirname : path
        Folder for the files; made when missing.
    every : int, default=1
        Epochs between two saves; the last epoch is always saved.

    Attributes
    ----------
    path_ : Path
        The file of this training.
    resumed_epochs_ : int
        Epochs that did not have to be trained again.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import MLPNetClassifier, TrainingCheckpoint
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> y = X[:, 0] > 0
    >>> net = MLPNetClassifier(max_epochs=4, callbacks=[("checkpoint", TrainingCheckpoint(getfixture("tmp_path")))], random_state=0)
    >>> dict(net.fit(X, y).callbacks_)["checkpoint"].resumed_epochs_
    0
    >>> dict(net.fit(X, y).callbacks_)["checkpoint"].resumed_epochs_
    4
    """

    def __init__(self, dirname, every=1):
        self.dirname = dirname
        self.every = every

    def on_train_begin(self, net, **kwargs):
        check_count("callbacks__checkpoint__every", self.every)
        Path(self.dirname).mkdir(parents=True, exist_ok=True)

    def save(self, net):
        """Write the state after ``net.n_epochs_`` epochs."""
        done = net.n_epochs_
        if done % self.every and not net.stop_reason_ and done < net.max_epochs:
            return
        buffer = io.BytesIO()
        torch.save(_state(net), buffer)
        body = buffer.getvalue()
        atomic_write(self.path_, _MAGIC + sha256(body).encode() + b"\n" + body)

    def restore(self, net, train, valid):
        """Put a saved state of this training into ``net``; returns the epochs already done."""
        self.path_ = Path(self.dirname) / f"training-{_fingerprint(net, train, valid)[:20]}.ckpt"
        self.resumed_epochs_ = 0
        if self.path_.exists():
            self.resumed_epochs_ = _put(net, _read(self.path_))
        return self.resumed_epochs_


def _read(path):
    data = path.read_bytes()
    digest, _, body = data.removeprefix(_MAGIC).partition(b"\n")
    if not data.startswith(_MAGIC) or sha256(body).encode() != digest:
        raise CorruptFileError(f"{path} is damaged or no training checkpoint. Delete it to train from the start.")
    return torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")


def _state(net):
    states = rng_states()
    kind, keys, *rest = states["numpy"]
    states["numpy"] = (kind, keys.tolist(), *rest)
    scaler = net._scaler
    return {
        "epochs": net.n_epochs_,
        "stop_reason": None if net.stop_reason_ in _PASSING else net.stop_reason_,
        "module": net.module_.state_dict(),
        "criterion": net.criterion_.state_dict() if isinstance(net.criterion_, torch.nn.Module) else {},
        "optimizer": net.optimizer_.state_dict(),
        "scaler": {} if scaler is None else scaler.state_dict(),
        "callbacks": {name: _callback_state(cb) for name, cb in net.callbacks_},
        "history": [{**row, "batches": []} for row in net.history_],
        "skipped": net.n_skipped_steps_,
        "order": net._generator.get_state(),
        "rng": states,
    }


def _callback_state(callback):
    if isinstance(callback, TrainingCheckpoint):
        return {}
    passing = getattr(callback, "passing_", ())
    return {name: value for name, value in vars(callback).items() if name.endswith("_") and name not in passing}


def _put(net, state):
    net.module_.load_state_dict(state["module"])
    if isinstance(net.criterion_, torch.nn.Module):
        net.criterion_.load_state_dict(state["criterion"])
    net.optimizer_.load_state_dict(state["optimizer"])
    if net._scaler is not None:
        net._scaler.load_state_dict(state["scaler"])
    for name, callback in net.callbacks_:
        vars(callback).update(state["callbacks"].get(name, {}))
    net.history_.clear()
    net.history_.extend(state["history"])
    net.n_skipped_steps_, net.n_epochs_, net.stop_reason_ = state["skipped"], state["epochs"], state["stop_reason"]
    kind, keys, *rest = state["rng"]["numpy"]
    set_rng_states({**state["rng"], "numpy": (kind, np.asarray(keys, dtype=np.uint32), *rest)})
    net._generator.set_state(state["order"])
    return state["epochs"]


def _fingerprint(net, train, valid):
    """What decides the weights: class, parameters, rows in their order."""
    mark = hashlib.sha256(type(net).__qualname__.encode())
    params = {name: value for name, value in net.get_params(deep=False).items() if name not in _SILENT}
    mark.update(repr([(name, _describe(params[name])) for name in sorted(params)]).encode())
    for rows in (train, valid):
        for tensor in () if rows is None else (rows.base, rows.ends, rows.firsts, rows.y, rows.weight):
            mark.update(b"-" if tensor is None else memoryview(tensor.contiguous().numpy()).cast("B"))
    return mark.hexdigest()


def _describe(value):
    if isinstance(value, Callback):
        passing = ("dirname", "every") if isinstance(value, TrainingCheckpoint) else getattr(value, "passing_", ())
        params = value.get_params(deep=False)
        return type(value).__qualname__, [(name, _describe(params[name])) for name in sorted(params) if name not in passing]
    if isinstance(value, (list, tuple)):
        return [_describe(item) for item in value]
    if isinstance(value, dict):
        return [(key, _describe(item)) for key, item in sorted(value.items())]
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return np.asarray(value).tolist()
    if isinstance(value, torch.nn.Module):
        return repr(value), [(name, _describe(item)) for name, item in value.state_dict().items()]
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return repr(value)

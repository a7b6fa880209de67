"""Checkpoints of a training, from which the next fit goes on as if it had not stopped.

A file belongs to one training: its rows in their order, its parameters, the code of its functions
and classes, the versions of the libraries. Another training uses another file. A file holds tensors
and plain values only, and nothing in it is executed when it is read.
"""

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from skorch.callbacks import Callback
import torch

from .._digest import digest_of, library_version
from .._io import atomic_write, read_file, sha256
from .._validation import check_count
from ..exceptions import CorruptFileError
from ..reproducibility import rng_states, set_rng_states

__all__ = ["TrainingCheckpoint"]

_MAGIC = b"sktrain-training-1\n"
_PASSING = ("stop_flag", "interrupted")  # reasons after which training may go on
_SILENT = ("verbose", "device")  # parameters that change no weight
_LIBRARIES = ("sys", "numpy", "torch", "skorch", "sktrain")  # "sys" has the version of Python


class TrainingCheckpoint(Callback):
    """Saves the whole state of training, so that a killed ``fit`` goes on where it was and ends
    with the same weights.

    Weights, optimizer, gradient scaler, callbacks, history and the states of all random generators
    are written to one file per training, whole or not at all. The next ``fit`` of the same training
    resumes; a finished one returns at once. The same training means the same rows, parameters,
    arguments of a ``functools.partial``, code of your own losses, networks and callbacks (with the
    globals and closures they read), and versions of Python, NumPy, torch, skorch and sktrain.

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
    >>> keep = TrainingCheckpoint(getfixture("tmp_path"))
    >>> net = MLPNetClassifier(max_epochs=4, callbacks=[("checkpoint", keep)], random_state=0)
    >>> dict(net.fit(X, y).callbacks_)["checkpoint"].resumed_epochs_
    0
    >>> dict(net.fit(X, y).callbacks_)["checkpoint"].resumed_epochs_
    4
    """

    def __init__(self, dirname: str | os.PathLike, every: int = 1) -> None:
        self.dirname = dirname
        self.every = every

    def on_train_begin(self, net, **kwargs):
        check_count("callbacks__checkpoint__every", self.every)
        Path(self.dirname).mkdir(parents=True, exist_ok=True)

    def save(self, net: Any, *, last: bool) -> None:
        """Write the state of a training, where it is due.

        Parameters
        ----------
        net : net
            In training, after ``n_epochs_`` epochs.
        last : bool
            Whether no other epoch follows: then it is always written.
        """
        if net.n_epochs_ % self.every and not last:
            return
        buffer = io.BytesIO()
        torch.save(_state(net), buffer)
        body = buffer.getvalue()
        atomic_write(self.path_, _MAGIC + sha256(body).encode() + b"\n" + body, follow=False)

    def restore(self, net: Any, train: Any, valid: Any) -> int:
        """Put a saved state of this training into ``net``.

        Parameters
        ----------
        net : net
            Initialized, at the start of training.
        train, valid : WindowRows or None
            Rows to train on and to validate on: they, with the net, identify the training.

        Returns
        -------
        int
            Epochs already done; 0 without a saved state.
        """
        self.path_ = Path(self.dirname) / f"training-{_fingerprint(net, train, valid)[:20]}.ckpt"
        self.resumed_epochs_ = 0
        if self.path_.exists():
            state = _read(self.path_)
            try:
                _check(net, state)
                self.resumed_epochs_ = _put(net, state)
            except Exception as error:  # whatever a damaged file provokes is the file's fault
                raise _damaged(self.path_) from error
        return self.resumed_epochs_


def _read(path):
    try:
        data = read_file(path)
    except OSError as error:  # a pipe, a device or a folder
        raise _damaged(path) from error
    digest, _, body = data.removeprefix(_MAGIC).partition(b"\n")
    if not data.startswith(_MAGIC) or sha256(body).encode() != digest:
        raise _damaged(path)
    try:
        return torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
    except Exception as error:  # torch names no errors of its own for damage
        raise _damaged(path) from error


def _damaged(path: Path) -> CorruptFileError:
    return CorruptFileError(
        f"{path} is damaged or no training checkpoint. Delete it to train from the start."
    )


def _state(net):
    states = rng_states()
    kind, keys, *rest = states["numpy"]
    states["numpy"] = (kind, keys.tolist(), *rest)
    scaler = net._scaler
    return {
        "epochs": net.n_epochs_,
        "stop_reason": None if net.stop_reason_ in _PASSING else net.stop_reason_,
        "module": net.module_.state_dict(),
        "criterion": net.criterion_.state_dict()
        if isinstance(net.criterion_, torch.nn.Module)
        else {},
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
    return {
        name: value
        for name, value in vars(callback).items()
        if name.endswith("_") and name not in passing
    }


def _check(net, state):
    """Raise where a state could not be of this training, before anything of the net is changed."""
    epochs, history, skipped = state["epochs"], state["history"], state["skipped"]
    sound = (
        type(epochs) is int
        and type(skipped) is int
        and 0 <= epochs <= len(history)  # of an update, what was learned before too
        and skipped >= 0
        and isinstance(state["stop_reason"], (str, type(None)))
        and all(type(row) is dict and type(row["batches"]) is list for row in history)
        and [row["epoch"] for row in history] == list(range(1, len(history) + 1))
    )
    own = net.optimizer_.param_groups
    groups = state["optimizer"]["param_groups"]
    sound = sound and len(own) == len(groups) and all(map(_alike, own, groups))
    shapes = {name: value.shape for name, value in net.module_.state_dict().items()}
    for values in state["callbacks"].values():
        for kept in values.values():  # weights that a callback puts back at the end
            if isinstance(kept, dict) and kept.keys() & shapes.keys():
                sound = sound and {name: one.shape for name, one in kept.items()} == shapes
    parameters = [one for group in own for one in group["params"]]
    for place, values in state["optimizer"]["state"].items():
        tensors = [one for one in values.values() if isinstance(one, torch.Tensor)]
        shape = parameters[place].shape
        sound = sound and all(one.shape in (shape, torch.Size([])) for one in tensors)
        sound = sound and len(tensors) == len(values)
    if not sound:
        raise ValueError("what it holds is of no such training")


def _alike(own, group):
    """Whether settings of an optimizer are of the kinds this one has."""
    return own.keys() == group.keys() and all(
        type(own[name]) is type(group[name])
        or (isinstance(own[name], (int, float)) and isinstance(group[name], (int, float)))
        for name in own
    )


def _put(net, state):
    net.module_.load_state_dict(state["module"])
    if isinstance(net.criterion_, torch.nn.Module):
        net.criterion_.load_state_dict(state["criterion"])
    net.optimizer_.load_state_dict(state["optimizer"])
    if net._scaler is not None:
        net._scaler.load_state_dict(state["scaler"])
    for name, callback in net.callbacks_:
        kept = state["callbacks"].get(name, {})
        vars(callback).update({key: value for key, value in kept.items() if key.endswith("_")})
    net.history_.clear()
    net.history_.extend(state["history"])
    net.n_skipped_steps_, net.n_epochs_, net.stop_reason_ = (
        state["skipped"],
        state["epochs"],
        state["stop_reason"],
    )
    kind, keys, *rest = state["rng"]["numpy"]
    set_rng_states({**state["rng"], "numpy": (kind, np.asarray(keys, dtype=np.uint32), *rest)})
    net._generator.set_state(state["order"])
    return state["epochs"]


def _fingerprint(net: Any, train: Any, valid: Any) -> str:
    """What decides the weights: classes and functions with their code, parameters, rows in their
    order, versions; of a net that trains on, the weights and optimizer it starts from."""
    params = net.get_params(deep=False)
    told = {name: _describe(value) for name, value in params.items() if name not in _SILENT}
    before = [net.module_, net.optimizer_.state_dict()] if net.n_fits_ else []
    versions = [library_version(name) for name in _LIBRARIES]
    mark = hashlib.sha256(digest_of(type(net), told, before, versions).encode())
    for rows in (train, valid):
        tensors = () if rows is None else (rows.base, rows.ends, rows.firsts, rows.y, rows.weight)
        for tensor in tensors:
            mark.update(
                b"-" if tensor is None else memoryview(tensor.contiguous().numpy()).cast("B")
            )
    return mark.hexdigest()


def _describe(value: Any) -> Any:
    """Callbacks by class and those of their parameters that reach the weights; the rest as it
    is."""
    if isinstance(value, Callback):
        silent = (
            ("dirname", "every")
            if isinstance(value, TrainingCheckpoint)
            else getattr(value, "passing_", ())
        )
        params = value.get_params(deep=False)
        return type(value), {
            name: _describe(item) for name, item in params.items() if name not in silent
        }
    if isinstance(value, (list, tuple)):
        return [_describe(item) for item in value]
    return value

"""A training killed at any moment ends, resumed, with the weights of an uninterrupted one."""

import copy
from functools import partial
import hashlib
import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from sktrain import GRUClassifier, MLPNetClassifier, TrainingCheckpoint
from sktrain.exceptions import CorruptFileError

SCRIPT = """
import sys, hashlib, numpy as np, torch
torch.set_num_threads(1)
from sktrain import GRUClassifier, TrainingCheckpoint
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 6, 3)); y = rng.integers(0, 3, 400)
callbacks = [("checkpoint", TrainingCheckpoint(sys.argv[1]))] if len(sys.argv) > 1 else []
net = GRUClassifier(random_state=0, max_epochs=25, module__dropout=0.2, class_sampling="weighted", callbacks=callbacks).fit(X, y)
state = b"".join(value.cpu().numpy().tobytes() for value in net.module_.state_dict().values())
print(hashlib.sha256(state).hexdigest(), net.stop_reason_, net.n_epochs_, [round(v, 12) for v in net.history[:, "train_loss"]][-1])
"""


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def digest(net):
    return hashlib.sha256(
        b"".join(value.cpu().numpy().tobytes() for value in net.module_.state_dict().values())
    ).hexdigest()


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 4, 3)), rng.integers(0, 3, 300)


class Killed(Exception):
    pass


@pytest.mark.parametrize("every, epoch", [(1, 1), (1, 7), (3, 7)])
def test_resumed_training_equals_uninterrupted(rows, tmp_path, every, epoch, monkeypatch):
    params = {"random_state": 1, "max_epochs": 12, "module__dropout": 0.3, "batch_size": 64}
    whole = GRUClassifier(**params).fit(*rows)
    net = GRUClassifier(**params, callbacks=[("keep", TrainingCheckpoint(tmp_path, every=every))])
    step = GRUClassifier.train_step

    def dying(self, batch, **kwargs):
        if self.epoch_ == epoch:
            raise Killed
        return step(self, batch, **kwargs)

    monkeypatch.setattr(GRUClassifier, "train_step", dying)
    with pytest.raises(Killed):
        net.fit(*rows)
    monkeypatch.setattr(GRUClassifier, "train_step", step)
    again = net.fit(*rows)
    assert dict(again.callbacks_)["keep"].resumed_epochs_ == epoch // every * every > 0
    assert digest(again) == digest(whole)
    assert again.history[:, "valid_loss"] == whole.history[:, "valid_loss"]
    assert (again.stop_reason_, again.n_epochs_) == (whole.stop_reason_, whole.n_epochs_)


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_the_last_epoch_of_an_update_is_saved_however_rarely_epochs_are(rows, tmp_path, every):
    X, y = rows
    keep = ("keep", TrainingCheckpoint(tmp_path, every=every))
    net = MLPNetClassifier(random_state=0, max_epochs=20, update_epochs=5, callbacks=[keep])
    net.fit(X, y)
    before = copy.deepcopy(net)
    net.partial_fit(X[::-1], y)
    again = before.partial_fit(X[::-1], y)
    assert dict(net.callbacks_)["keep"].resumed_epochs_ == 0
    assert dict(again.callbacks_)["keep"].resumed_epochs_ == 5
    assert digest(again) == digest(net)


def test_other_rows_or_parameters_do_not_resume(rows, tmp_path):
    X, y = rows
    net = MLPNetClassifier(
        random_state=0, max_epochs=3, callbacks=[("keep", TrainingCheckpoint(tmp_path))]
    ).fit(X, y)
    for other, data in ((net.set_params(lr=0.01), X), (net, X + 1)):
        assert dict(other.fit(data, y).callbacks_)["keep"].resumed_epochs_ == 0
    assert len(list(tmp_path.glob("*.ckpt"))) == 3
    assert dict(net.fit(X + 1, y).callbacks_)["keep"].resumed_epochs_ == 3


def test_a_damaged_file_is_refused(rows, tmp_path):
    X, y = rows
    net = MLPNetClassifier(
        random_state=0, max_epochs=2, callbacks=[("keep", TrainingCheckpoint(tmp_path))]
    ).fit(X, y)
    path = dict(net.callbacks_)["keep"].path_
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match=r"damaged.*Delete it"):
        net.fit(X, y)
    path.unlink()
    (path.mkdir if os.name != "posix" else lambda: os.mkfifo(path))()  # one would wait for ever
    with pytest.raises(CorruptFileError, match=r"damaged.*Delete it"):
        net.fit(X, y)


def folder_resumes(rows, folder, first, second):
    """Epochs that a second net of the same folder does not train."""
    fits = [
        MLPNetClassifier(
            random_state=0, max_epochs=2, callbacks=[("keep", TrainingCheckpoint(folder))], **params
        ).fit(*rows)
        for params in (first, second)
    ]
    return dict(fits[1].callbacks_)["keep"].resumed_epochs_


def loss_of(source):
    """A loss with the code of ``source``, always under the same name."""
    space = {"torch": torch, "__name__": "own"}
    exec(
        "class Loss(torch.nn.CrossEntropyLoss):\n def forward(self, logits, target):\n  return "
        f"{source}",
        space,
    )
    return space["Loss"]


def scaled(factor):
    """A function that differs in its closure alone."""

    def optimizer(params, lr):
        return torch.optim.SGD(params, lr=lr * factor)

    return optimizer


PLAIN, DOUBLE = (
    "super(type(self), self).forward(logits, target)",
    "2 * super(type(self), self).forward(logits, target)",
)


@pytest.mark.parametrize(
    "first, second, same",
    [
        (
            {"optimizer": partial(torch.optim.SGD, momentum=0.9)},
            {"optimizer": partial(torch.optim.SGD, momentum=0.9)},
            True,
        ),
        (
            {"optimizer": partial(torch.optim.SGD, momentum=0.9)},
            {"optimizer": partial(torch.optim.SGD, momentum=0.0)},
            False,
        ),
        ({"criterion": loss_of(PLAIN)}, {"criterion": loss_of(PLAIN)}, True),
        ({"criterion": loss_of(PLAIN)}, {"criterion": loss_of(DOUBLE)}, False),
        ({"optimizer": scaled(1)}, {"optimizer": scaled(1)}, True),
        ({"optimizer": scaled(1)}, {"optimizer": scaled(2)}, False),
        ({"verbose": 0}, {"verbose": 1}, True),
        ({}, {"callbacks__clip__max_norm": 1.0}, False),
    ],
    ids=[
        "partial", "other partial", "loss", "edited loss", "closure", "other closure", "verbose",
        "callback",
    ],
)
def test_a_file_belongs_to_one_training(rows, tmp_path, first, second, same):
    assert folder_resumes(rows, tmp_path, first, second) == (2 if same else 0)


@pytest.mark.parametrize("library", ["torch", "numpy", "skorch", "sktrain"])
def test_another_version_of_a_library_is_another_training(rows, tmp_path, monkeypatch, library):
    net = MLPNetClassifier(
        random_state=0, max_epochs=2, callbacks=[("keep", TrainingCheckpoint(tmp_path))]
    ).fit(*rows)
    monkeypatch.setattr(f"{library}.__version__", "99.9")
    assert dict(net.fit(*rows).callbacks_)["keep"].resumed_epochs_ == 0


def test_training_on_with_the_same_rows_is_no_finished_training(rows, tmp_path):
    whole = MLPNetClassifier(random_state=0, max_epochs=2).fit(*rows).partial_fit(*rows)
    kept = (
        MLPNetClassifier(
            random_state=0, max_epochs=2, callbacks=[("keep", TrainingCheckpoint(tmp_path))]
        )
        .fit(*rows)
        .partial_fit(*rows)
    )
    assert digest(kept) == digest(whole)


@pytest.mark.parametrize(
    "body", [b"no archive", {"epochs": 2}, {"epochs": 2, "module": {"weight": torch.ones(3)}}]
)
def test_a_checkpoint_of_another_kind_is_refused(rows, tmp_path, body):
    net = MLPNetClassifier(
        random_state=0, max_epochs=2, callbacks=[("keep", TrainingCheckpoint(tmp_path))]
    ).fit(*rows)
    if isinstance(body, dict):
        buffer = io.BytesIO()
        torch.save(body, buffer)
        body = buffer.getvalue()
    dict(net.callbacks_)["keep"].path_.write_bytes(
        b"sktrain-training-1\n" + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    )
    with pytest.raises(CorruptFileError, match="Delete it"):
        net.fit(*rows)


def kill_and_resume(folder, delays):
    expected = run()
    kills = 0
    for delay in delays:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        started = time.monotonic()
        while not list(folder.glob("*.ckpt")) and time.monotonic() - started < 60:
            time.sleep(0.01)
        time.sleep(delay)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        process.stdout.close()
    assert run(folder) == expected
    return kills


@pytest.mark.slow
def test_kills_at_random_moments(tmp_path):
    rng = np.random.default_rng(0)
    kills = 0
    for i in range(3):
        folder = tmp_path / str(i)
        folder.mkdir()
        kills += kill_and_resume(folder, rng.uniform(0, 0.3, 2))
    assert kills >= 3


def replaced(state, where, value):
    """A copy of nested records with one of them replaced."""
    if not where:
        return value
    name, *rest = where
    copied = list(state) if isinstance(state, list) else dict(state)
    copied[name] = replaced(state[name], rest, value)
    return copied


FORGED = [
    *((("epochs",), value) for value in ({}, -1, 1.0, True, 10**9)),
    *((("skipped",), value) for value in ([], -1)),
    *((("stop_reason",), value) for value in (torch.zeros(2), 3)),
    *((("history",), value) for value in ([], [{}], [{"epoch": 1, "batches": []}] * 9)),
    *((("history", 0), value) for value in (torch.zeros(0), {"epoch": 2, "batches": []})),
    *((("optimizer", "param_groups", 0), value) for value in (torch.zeros(0), {})),
    *((("optimizer", "param_groups", 0, "betas"), value) for value in (3, "x")),
    *((("optimizer", "param_groups", 0, "amsgrad"), value) for value in ([], None)),
    *((("optimizer", "state", 0, "exp_avg"), value) for value in (torch.zeros(1), "x")),
    *((("rng",), value) for value in ({}, torch.zeros(1))),
    *((("order",), value) for value in (None, torch.zeros(1))),
    *((("module",), value) for value in ({}, torch.zeros(1))),
    (("callbacks", "early_stopping", "best_weights_"), {"head.weight": torch.zeros(1)}),
    ((), torch.zeros(1)),
    ((), [1]),
]


@pytest.mark.parametrize("where, value", FORGED)
def test_a_state_that_is_of_no_such_training_is_refused_by_name(where, value, tmp_path):
    """Written with a right checksum, as whoever made the file could."""
    X = np.random.default_rng(0).normal(size=(60, 3))

    def net():
        keep = ("keep", TrainingCheckpoint(tmp_path))
        return MLPNetClassifier(max_epochs=2, callbacks=[keep], random_state=0, horizon=0)

    path = dict(net().fit(X, X[:, 0] > 0).callbacks_)["keep"].path_
    magic, _, body = path.read_bytes().split(b"\n", 2)
    state = torch.load(io.BytesIO(body), weights_only=True)
    buffer = io.BytesIO()
    torch.save(replaced(state, where, value), buffer)
    forged = hashlib.sha256(buffer.getvalue()).hexdigest().encode()
    path.write_bytes(b"\n".join((magic, forged, buffer.getvalue())))
    with pytest.raises(CorruptFileError, match="Delete it to train from the start"):
        net().fit(X, X[:, 0] > 0)

"""Optimizers without the compiler do what torch's own do, to the last bit."""

import copy
from functools import wraps
import pickle
import subprocess
import sys

import pytest
import torch

from sktrain.nets._optimizers import class_of, make_optimizer

KINDS = {
    "AdamW": {"weight_decay": 0.1},
    "Adam": {"amsgrad": True},
    "SGD": {"momentum": 0.9, "nesterov": True},
    "RMSprop": {"centered": True},
    "NAdam": {},
    "Adagrad": {},
    "Adafactor": {},
}


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def train(module, optimizer, n_steps=5):
    X = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(n_steps):
        optimizer.zero_grad()
        module(X).square().mean().backward()
        optimizer.step()
    return [weight.detach().clone() for weight in module.parameters()]


def pair(kind, **params):
    """Network and optimizer of ours, and of torch."""
    ours, plain = network(), network()
    kind = getattr(torch.optim, kind)
    yield ours, make_optimizer(kind, ours.parameters(), lr=0.01, **params)
    yield plain, kind(plain.parameters(), lr=0.01, **params)


def same(ones, others):
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_torchs(kind):
    ours, plain = (train(*one) for one in pair(kind, **KINDS[kind]))
    assert same(ours, plain)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_torchs(kind):
    (module, optimizer), (plain, torchs) = pair(kind, **KINDS[kind])
    train(module, optimizer), train(plain, torchs)
    assert repr(optimizer.state_dict()) == repr(torchs.state_dict())
    for group in torchs.param_groups:
        group["lr"] = 0.5
    optimizer.load_state_dict(copy.deepcopy(torchs.state_dict()))
    assert same(train(module, optimizer), train(plain, torchs))


def test_groups_are_added():
    module = network()
    optimizer = make_optimizer(torch.optim.SGD, [{"params": module[0].weight}], lr=0.01)
    optimizer.add_param_group({"params": [module[2].weight], "lr": 0.5})
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.5]
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [module[2].weight]})


def test_it_is_of_torchs_class():
    (_, optimizer), (_, torchs) = pair("AdamW")
    assert isinstance(optimizer, torch.optim.AdamW)
    assert repr(optimizer) == repr(torchs)
    assert class_of(optimizer) is class_of(torchs) is torch.optim.AdamW


@pytest.mark.parametrize("again", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_copies_and_pickles_go_on(again):
    both, (plain, torchs) = pair("AdamW")
    train(*both), train(plain, torchs)
    module, optimizer = again(both)
    assert type(optimizer) is type(both[1])
    expected = train(plain, torchs)
    assert same(train(module, optimizer), expected)
    assert same(train(*both), expected)


def scaled_steps(module, optimizer):
    """What hooks were told, and the rate at the end."""
    told, scaler = [], torch.amp.GradScaler("cpu", init_scale=1024.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.1)
    optimizer.register_step_pre_hook(lambda one, args, kwargs: told.append(type(one).__name__))
    optimizer.register_step_post_hook(lambda *_: told.append("after"))
    for _ in range(5):
        optimizer.zero_grad()
        scaler.scale(module(torch.ones(2, 4)).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
    return told, optimizer.param_groups[0]["lr"]


def test_schedules_hooks_and_scalers_are_heard():
    ours, plain = pair("AdamW", fused=True)
    told, rate = scaled_steps(*ours)
    assert told == ["AdamW", "after"] * 5
    assert (told, rate) == scaled_steps(*plain)
    assert same(ours[0].parameters(), plain[0].parameters())


def test_a_closure_is_evaluated_with_gradients():
    for module, optimizer in pair("SGD"):
        def closure(module=module, optimizer=optimizer):
            optimizer.zero_grad()
            loss = module(torch.ones(2, 4)).square().mean()
            loss.backward()
            return loss

        assert optimizer.step(closure).item() > optimizer.step(closure).item()


def test_steps_are_recorded_only_if_asked():
    weight = torch.ones(3, requires_grad=True)
    inner = weight.clone()
    optimizer = make_optimizer(torch.optim.SGD, [inner], lr=0.5, differentiable=True)
    inner.grad = torch.ones(3)
    optimizer.step()
    assert torch.autograd.grad(inner.sum(), weight)[0].tolist() == [1.0] * 3
    weight.grad = torch.ones(3)
    make_optimizer(torch.optim.SGD, [weight], lr=0.5).step()  # autograd refuses this, if it records
    assert weight.grad_fn is None
    assert weight.tolist() == [0.5] * 3


def test_other_optimizers_are_called_as_they_are():
    class Mine(torch.optim.SGD):
        def step(self, closure=None):
            raise ArithmeticError

    def made(params, lr):
        return torch.optim.SGD(params, lr=lr)

    assert type(make_optimizer(Mine, network().parameters(), lr=0.1)) is Mine
    assert type(make_optimizer(made, network().parameters(), lr=0.1)) is torch.optim.SGD


def test_wrappers_of_others_stay(monkeypatch):
    from sktrain.nets import _optimizers

    counted = []

    def counting(function):
        @wraps(function)
        def counter(*args, **kwargs):
            counted.append(function.__name__)
            return function(*args, **kwargs)

        return counter

    kind = torch.optim.Rprop
    _optimizers._derived.cache_clear()
    monkeypatch.setattr(kind, "step", counting(kind.step))
    monkeypatch.setattr(kind, "zero_grad", counting(kind.zero_grad))
    module = network()
    train(module, make_optimizer(kind, module.parameters()), 1)
    assert sorted(counted) == ["step", "zero_grad"]
    _optimizers._derived.cache_clear()


TRAINING = """
import sys, warnings
import numpy as np
sys.modules["torch_geometric"] = None  # skorch imports it where it is, and it imports the compiler
import sktrain
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(200, 5, 3))
y = X[:, -1, 0] > 0
for kind in ("GRU", "LSTM", "TCN", "Transformer", "MLPNet"):
    net = getattr(sktrain, kind + "Classifier")(max_epochs=1, random_state=0)
    net.fit(X, y).partial_fit(X, y).predict_proba(X)
sktrain.MLPNetClassifier(max_epochs=1, n_members=2, random_state=0).fit(X, y)
heavy = {"torch._dynamo", "torch._inductor", "sympy"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


def test_training_imports_no_compiler():
    done = subprocess.run([sys.executable, "-c", TRAINING], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

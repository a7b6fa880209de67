"""Optimizers of torch that import no compiler.

torch wraps the methods of its optimizers for the case that ``torch.compile`` meets them, and the
wrappers import ``torch._dynamo`` when they are first called: 820 modules and, in every process that
trains, as long as ``import torch``. Nothing here compiles an optimizer. The functions inside the
wrappers (``__wrapped__``, which :func:`functools.wraps` leaves) do the same work without them, in a
class derived from torch's, which stays as it is.
"""

from functools import cache, wraps
from typing import Any

__all__ = ["class_of", "make_optimizer"]

_METHODS = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
_WRAPPERS = ("torch._compile", "torch.optim.optimizer")  # where torch defines them


def make_optimizer(kind: Any, *args: Any, **params: Any) -> Any:
    """``kind(*args, **params)``, without the compiler where ``kind`` is an optimizer of torch.

    Parameters
    ----------
    kind : type or callable
        What makes the optimizer. A class that is not torch's own is called as it is: it may
        override what would be unwrapped here.
    *args, **params : object
        What it takes.

    Returns
    -------
    torch.optim.Optimizer
        An instance of ``kind``.
    """
    if isinstance(kind, type) and kind.__module__.startswith("torch.optim."):
        kind = _derived(kind)
    return kind(*args, **params)


def class_of(optimizer: Any) -> type:
    """The class that an optimizer was asked for by.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        From :func:`make_optimizer` or any other.

    Returns
    -------
    type
        Torch's own class, where the optimizer's is derived from it here.
    """
    kind = type(optimizer)
    return vars(kind).get("_derived_from", kind)


@cache
def _derived(kind):
    """``kind`` with the methods that torch's wrappers hold."""
    methods = {name: _unwrapped(getattr(kind, name)) for name in _METHODS}
    methods["step"] = _without_gradients(_unwrapped(kind.step))
    methods["__reduce__"] = lambda self: (_empty, (kind,), self.__getstate__())
    told = {"__doc__": kind.__doc__, "__module__": kind.__module__, "_derived_from": kind}
    return type(kind.__name__, (kind,), {**told, **methods})


def _empty(kind):
    """What pickles and copies begin with."""
    made = _derived(kind)
    return made.__new__(made)


def _unwrapped(function):
    """What torch's wrappers for the compiler hold; a wrapper of anybody else stays."""
    while hasattr(function, "__wrapped__") and function.__globals__["__name__"] in _WRAPPERS:
        function = function.__wrapped__
    return function


def _without_gradients(function):
    """A step as torch takes it: recorded by autograd only if ``differentiable`` asks for that."""
    import torch

    @wraps(function)
    def step(self, *args, **kwargs):
        with torch.set_grad_enabled(self.defaults.get("differentiable", False)):
            return function(self, *args, **kwargs)

    return step

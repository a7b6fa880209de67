"""Samplers in a pipeline that spoil the block a net validates on.

A net of sktrain holds back the last block of times, or of rows where they carry no time. Whether
that block is still the newest part of the market is tried on made-up rows whose first column says
when each row, or the parents of a made-up row, stood.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from ._experiments import quiet

__all__ = ["samplers_before_nets", "validates_last"]

_ROWS = 1000  # made up for the experiment: 200 of the rare class, a judgment
_RARE = 5  # every fifth row is of the rare class, a judgment
# share of the rows within which neighbours in time stand: 5 of a class of every fifth row lie
# within 5 %
_NEIGHBOURS = 0.1
# share of the held-back rows that may stand so far before the block: rounding at its edge, not a
# leak
_SPOILT = 0.05


def samplers_before_nets(params):
    """(name, sampler, path to the net, net, what happens) for every sampler that spoils a net's
    validation."""
    steps = [
        step
        for step in params.get("steps") or []
        if isinstance(step, (list, tuple)) and len(step) == 2
    ]
    for number, (name, step) in enumerate(steps):
        if _samples(step):
            net: Any = next(
                ((later, item) for later, item in steps[number + 1 :] if _net(item) is not None),
                None,
            )
            why = None if net is None else _spoils(step, _net(net[1]), timed=_timed(steps[:number]))
            if why:
                yield name, step, [net[0]], _net(net[1]), why
    sampler, estimator = params.get("sampler"), params.get("estimator")
    if _samples(sampler) and _net(estimator) is not None:
        why = _spoils(sampler, _net(estimator), timed=True)
        if why:
            yield "sampler", sampler, ["estimator"], _net(estimator), why


def _samples(step):
    return hasattr(step, "fit_resample") and not type(step).__module__.startswith("sktrain.labels")


def _net(item):
    """The net that holds back its last rows, also within a vote or a compressed model; None when
    there is none."""
    if not hasattr(item, "get_params") or isinstance(item, type):
        return None
    own = [item, *item.get_params(deep=True).values()]
    return next((one for one in own if validates_last(one)), None)


def validates_last(item: Any) -> bool:
    """Whether an estimator is a net that holds back the last of its rows."""
    return getattr(item, "train_split", None) == "last" and hasattr(item, "valid_fraction")


def _timed(steps):
    """Whether the rows still carry their times when they reach the sampler."""
    for _, step in steps:
        if step in (None, "passthrough") or type(step).__module__.startswith("sktrain."):
            continue
        config = getattr(step, "_sklearn_output_config", {})
        if config.get("transform") not in ("pandas", "polars"):
            return False
    return True


def _spoils(sampler, net, *, timed):
    """What a sampler does to the last block, as the end of a sentence; None when the block stays
    what it should be."""
    rng = np.random.default_rng(0)
    when = np.arange(_ROWS, dtype=float)
    values = np.column_stack([when, *rng.normal(0, 0.1, (2, _ROWS))])
    index = pd.date_range("2000", periods=_ROWS)
    y = (np.arange(_ROWS) % _RARE == 0).astype(int)
    X, labels = (pd.DataFrame(values, index), pd.Series(y, index)) if timed else (values, y)
    with quiet():
        sampler = clone(sampler)
        if "random_state" in sampler.get_params(deep=False):
            sampler.set_params(random_state=0)
        if isinstance(sampler.get_params(deep=False).get("sampling_strategy"), dict):
            sampler.set_params(
                sampling_strategy="auto"
            )  # it names the classes of other labels; the places are the same
        rows = sampler.fit_resample(X, labels)[0]
    own = getattr(rows, "index", None)
    times = own.asi8 if isinstance(own, pd.DatetimeIndex) else np.arange(len(rows))
    unique = np.unique(times)
    first = unique[len(unique) - max(1, round(net.valid_fraction * len(unique)))]
    stood = np.asarray(rows)[times >= first, 0]
    early = stood < (1 - net.valid_fraction - _NEIGHBOURS) * _ROWS
    if early.mean() <= _SPOILT:
        return None
    return f"puts rows made from the training period there ({early.mean():.0%} of them)"

"""Search spaces: suggestions for what a user writes for each parameter. No data, no time.

Every spelling becomes an Optuna distribution plus a way back from the stored value to the
parameter, so that a study kept in a database holds only numbers and text, whatever objects the user
searches over.
"""

from dataclasses import dataclass, fields
import difflib
from numbers import Integral, Real
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sklearn.base import clone

from .._validation import Number
from ..exceptions import SktrainError, StudyMismatchError
from ._fingerprint import plain_name, readable

__all__ = ["OTHER_NAMES", "HyperparameterSearchSpace", "Space"]

# scikit-learn's, scikit-optimize's and Optuna's names for what a search takes
OTHER_NAMES = {
    "n_iter": "it is called n_trials",
    "param_grid": "it is called param_distributions",
    "search_space": "it is called param_distributions",
    "search_spaces": "it is called param_distributions",
    "study": "it makes its own, which storage= and study_name= keep",
}

_PLAIN = (type(None), bool, int, float, str)
# quantiles of an unbounded scipy distribution stay this far from 0 and 1: six deviations of a
# normal
_EDGE = 1e-9


def _refuse(name, value, why):
    raise SktrainError(f"param_distributions[{name!r}] = {value!r}: {why}")


@dataclass(frozen=True)
class _Dimension:
    """One parameter: the distribution Optuna samples from and the value each sample stands for."""

    distribution: Any  # of Optuna
    choices: dict | None = None  # label -> object
    quantile: Any = None  # frozen scipy distribution read at the sampled probability

    def decode(self, sampled):
        """The parameter a sampled value stands for."""
        if self.choices is not None:
            return self.choices[sampled]
        if self.quantile is not None:
            value = self.quantile.ppf(sampled)
            return int(value) if hasattr(self.quantile.dist, "pmf") else float(value)
        return sampled

    def encode(self, value: Any):
        """The sampled value that stands for a parameter; ValueError when there is none."""
        if self.choices is not None:
            for label, choice in self.choices.items():
                if choice is value or _same(choice, value):
                    return label
            raise ValueError(value)
        if self.quantile is not None:
            sampled = float(
                np.clip(self.quantile.cdf(value), self.distribution.low, self.distribution.high)
            )
            if not np.isclose(self.decode(sampled), value):
                raise ValueError(value)
            return sampled
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices[int(self.distribution.to_internal_repr(value))]
        whole = isinstance(self.distribution, IntDistribution)
        fits = isinstance(value, Integral if whole else Real)
        if not fits or isinstance(value, (bool, np.bool_)):
            raise ValueError(value)
        value = int(value) if whole else float(value)
        if not self.distribution._contains(value):
            raise ValueError(value)
        return value

    def __str__(self):
        if self.choices is not None:
            return f"one of {[readable(choice) for choice in self.choices.values()]}"
        if self.quantile is not None:
            return f"scipy {self.quantile.dist.name}{self.quantile.args}{self.quantile.kwds}"
        return str(self.distribution)


def _same(one, other):
    """Equality that arrays and odd objects cannot break."""
    try:
        return type(one) is type(other) and bool(one == other)
    except (ValueError, TypeError):
        return False


def _bounds(name, value):
    log = len(value) == 3
    if log and value[2] != "log":
        _refuse(
            name, value, 'a tuple is (low, high) or (low, high, "log"); write choices as a list.'
        )
    low, high = value[:2]
    if not all(Number().is_satisfied_by(end) for end in (low, high)):
        _refuse(name, value, "low and high must be finite numbers; write choices as a list.")
    if low >= high:
        _refuse(name, value, f"low must be below high, got low={low!r} and high={high!r}.")
    if log and low <= 0:
        _refuse(name, value, f"a log scale needs low > 0, got {low!r}.")
    if isinstance(low, Integral) and isinstance(high, Integral):
        return _Dimension(IntDistribution(int(low), int(high), log=log))
    return _Dimension(FloatDistribution(float(low), float(high), log=log))


def _choices(name, value):
    choices = list(value)
    if not choices:
        _refuse(name, value, "the list of choices is empty.")
    if all(type(choice) in _PLAIN for choice in choices):
        return _Dimension(CategoricalDistribution(choices))
    labels = [plain_name(choice)[:80] for choice in choices]
    if len(set(labels)) < len(labels):
        labels = [f"{position}: {label}" for position, label in enumerate(labels)]
    return _Dimension(CategoricalDistribution(labels), choices=dict(zip(labels, choices)))


def _from_scipy(name, value):
    family = getattr(getattr(value, "dist", None), "name", None)
    if family is None or not hasattr(value, "ppf"):
        _refuse(
            name,
            value,
            "give an Optuna distribution, (low, high), (low, high, 'log'), a list, or a frozen "
            "scipy distribution.",
        )
    low, high = (float(end) for end in value.support())
    if family == "uniform":
        return _Dimension(FloatDistribution(low, high))
    if family in ("loguniform", "reciprocal") and low > 0:
        return _Dimension(FloatDistribution(low, high, log=True))
    if family == "randint":
        return _Dimension(IntDistribution(int(low), int(high)))
    edges = [0.0 if np.isfinite(low) else _EDGE, 1.0 if np.isfinite(high) else 1 - _EDGE]
    return _Dimension(FloatDistribution(edges[0], edges[1]), quantile=value)


def _dimension(name, value):
    if not isinstance(name, str):
        _refuse(name, value, "parameter names must be strings.")
    if isinstance(value, BaseDistribution):
        return _Dimension(value)
    if isinstance(value, range):
        if not len(value):
            _refuse(name, value, "the range is empty.")
        return _Dimension(IntDistribution(min(value), max(value), step=abs(value.step)))
    if isinstance(value, tuple) and len(value) in (2, 3):
        return _bounds(name, value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return _choices(name, value)
    return _from_scipy(name, value)


class Space:
    """The one form of all spellings of a search space.

    Parameters
    ----------
    spec : dict, list of dict, HyperparameterSearchSpace or callable
        ``{parameter: distribution}``; several of those, of which each trial takes one; or a
        define-by-run function ``trial -> {parameter: value}``.
    estimator : estimator, optional
        Needed to read a ``HyperparameterSearchSpace``: the last step of a pipeline is taken to be
        the net.

    Raises
    ------
    SktrainError
        Naming the parameter whose range makes no sense.
    """

    def __init__(self, spec, estimator=None):
        if isinstance(spec, HyperparameterSearchSpace):
            steps = getattr(estimator, "steps", None)
            spec = spec.to_distributions(steps[-1][0] if steps else None)
        self.function = None if isinstance(spec, (dict, list, tuple)) else spec
        self.branches = [] if self.function else _branches(spec)
        # what a trial always has; of several dicts, it is known once one is chosen
        self.distributions = {}
        if len(self.branches) == 1:
            self.distributions = {
                key: dimension.distribution for key, (_, dimension) in self.branches[0].items()
            }

    def params(self, trial):
        """The estimator's parameters of ``trial``, asked or stored."""
        if self.function is None:
            branch = self.branches[
                trial._suggest(_WHICH, self._which()) if len(self.branches) > 1 else 0
            ]
            return {
                name: dimension.decode(trial._suggest(key, dimension.distribution))
                for key, (name, dimension) in branch.items()
            }
        params = self.function(trial)
        if not isinstance(params, dict) or not params:
            raise SktrainError(
                "The function given as param_distributions must return a non-empty dict of "
                f"parameters, got {params!r}."
            )
        return params

    def _which(self):
        return CategoricalDistribution(range(len(self.branches)))

    def opening(self, enqueue, estimator):
        """What the first trials sample, under the study's names.

        Parameters
        ----------
        enqueue : None, True or list of dict
            Parameters to start from; True stands for the estimator's own values.
        estimator : estimator

        Returns
        -------
        list of dict
        """
        if enqueue is None or enqueue is False:
            return []
        if enqueue is True:
            if self.function is not None:
                raise SktrainError(
                    "enqueue=True needs a param_distributions that names its parameters; of a "
                    "function, give enqueue=[{...}]."
                )
            own = estimator.get_params(deep=True)
            return [
                self._encoded(
                    "enqueue=True",
                    {name: own[name] for name, _ in self.branches[0].values() if name in own},
                )
            ]
        bad = [entry for entry in enqueue if not isinstance(entry, dict) or not entry]
        if bad:
            raise SktrainError(
                f"enqueue must be True or a list of non-empty dicts of parameters, got {bad[0]!r} "
                "in it."
            )
        return [
            self._encoded(f"enqueue[{position}]", entry) for position, entry in enumerate(enqueue)
        ]

    def _encoded(self, what, entry):
        if self.function is not None:
            # the names and values the function asks for; held to its ranges when it does
            return dict(entry)
        reasons = []
        for number, branch in enumerate(self.branches):
            keys = {name: (key, dimension) for key, (name, dimension) in branch.items()}
            reason = next(
                (
                    _why_not(name, value, keys)
                    for name, value in entry.items()
                    if _why_not(name, value, keys)
                ),
                None,
            )
            if reason is None:
                sampled = {
                    keys[name][0]: keys[name][1].encode(value) for name, value in entry.items()
                }
                return sampled if len(self.branches) == 1 else {_WHICH: number, **sampled}
            reasons.append(reason)
        raise SktrainError(f"{what} cannot be tried: {'; '.join(dict.fromkeys(reasons))}.")

    def describe(self):
        """Readable text per parameter, equal for equal spaces."""
        if self.function is not None:
            return {"function": readable(self.function)}
        if len(self.branches) == 1:
            return {
                name: str(dimension)
                for name, dimension in sorted(self.branches[0].values(), key=lambda item: item[0])
            }
        return {
            f"{number}: {name}": str(dimension)
            for number, branch in enumerate(self.branches)
            for name, dimension in branch.values()
        }

    def stored(self, params):
        """Parameters as a storage keeps them: plain values themselves, of other objects their
        text."""
        return {
            name: {"value": value} if type(value) in _PLAIN else {"text": readable(value)}
            for name, value in params.items()
        }

    def restored(self, trial, kept):
        """The parameters of a stored trial; a definition that makes others of its sample is
        refused."""
        if kept is not None and all("value" in entry for entry in kept.values()):
            return {name: entry["value"] for name, entry in kept.items()}
        params = self.params(trial)
        if kept is not None and self.stored(params) != kept:
            raise StudyMismatchError(
                f"Trial {trial.user_attrs.get('slot')} was stored with the parameters {kept}, of "
                "which param_distributions now makes "
                f"{self.stored(params)}. Undo the change, or use another study_name or storage."
            )
        return params


_WHICH = "which dict"  # the study's name for the choice among several dicts


def _branches(spec):
    """Per dict of the space: name in the study -> (parameter, dimension)."""
    dicts = [spec] if isinstance(spec, dict) else list(spec)
    bad = [part for part in dicts if not isinstance(part, dict)]
    if bad:
        raise SktrainError(
            f"param_distributions must hold dicts of parameters, got {bad[0]!r} among them."
        )
    if not dicts or not all(dicts):
        raise SktrainError(
            "param_distributions is empty: there is nothing to search. Name at least one parameter."
        )
    branches, seen = [], dict[str, Any]()
    for number, part in enumerate(dicts):
        branch = {}
        for name, value in part.items():
            dimension = _dimension(name, value)
            # one name in the study means one range
            shared = str(seen.setdefault(name, dimension)) == str(dimension)
            branch[name if shared else f"{name} (dict {number})"] = (name, dimension)
        branches.append(branch)
    return branches


def _why_not(name, value, keys):
    """Why ``name=value`` is no point of a dict of the space; None when it is one."""
    if name not in keys:
        return f"{name!r} is not searched (searched: {', '.join(map(repr, keys))})"
    try:
        keys[name][1].encode(value)
    except (ValueError, TypeError):
        return f"{name}={value!r} is not in {keys[name][1]}"
    return None


def check_params(estimator, params):
    """Refuse parameters that ``estimator`` does not have, and show the nearest that it has."""
    try:
        clone(estimator).set_params(**clone(params, safe=False))
    except (ValueError, TypeError, AttributeError) as error:
        known = list(estimator.get_params(deep=True))
        unknown = [name for name in params if name not in known]
        near = {name: difflib.get_close_matches(name, known, n=3, cutoff=0.4) for name in unknown}
        hint = "; ".join(
            f"{name!r} (nearest: {', '.join(map(repr, close)) or 'none'})"
            for name, close in near.items()
        )
        raise SktrainError(
            f"{type(estimator).__name__} has no parameter {hint}. {error}"
        ) from error


@dataclass(frozen=True)
class HyperparameterSearchSpace:
    """The usual ranges for a neural classifier, by their plain names.

    Each field is a range ``(low, high)``, a list of choices, or None to leave the parameter alone.
    Ranges of whole numbers give whole numbers. Learning rate, weight decay and the sizes are
    searched on a log scale.

    Parameters
    ----------
    learning_rate : tuple, default=(1e-5, 1e-2)
        ``lr`` of the net.
    weight_decay : tuple, default=(1e-5, 1e-3)
        Base of the net's ``weight_decay`` callback.
    dropout : tuple, default=(0.1, 0.5)
        ``module__dropout``.
    batch_size : tuple, default=(16, 128)
        ``batch_size``, in rows.
    hidden_dim : tuple, default=(32, 512)
        ``module__hidden_size``, in units.
    num_layers : tuple, default=(1, 4)
        ``module__n_layers``.

    Examples
    --------
    >>> from sktrain.search import HyperparameterSearchSpace
    >>> space = HyperparameterSearchSpace(batch_size=(16, 64), hidden_dim=None, num_layers=None)
    >>> list(space.to_distributions("net"))
    ['net__lr', 'net__callbacks__weight_decay__base', 'net__module__dropout', 'net__batch_size']
    """

    learning_rate: tuple | list | None = (1e-5, 1e-2)
    weight_decay: tuple | list | None = (1e-5, 1e-3)
    dropout: tuple | list | None = (0.1, 0.5)
    batch_size: tuple | list | None = (16, 128)
    hidden_dim: tuple | list | None = (32, 512)
    num_layers: tuple | list | None = (1, 4)

    def __post_init__(self):
        self.distributions()

    def distributions(self) -> dict:
        """Optuna distributions under the fields' own names; ranges that make no sense are refused.

        Returns
        -------
        dict of str to optuna.distributions.BaseDistribution
            One per field.
        """
        out = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                scaled = (
                    isinstance(value, tuple)
                    and len(value) == 2
                    and field.name not in ("dropout", "num_layers")
                )
                out[field.name] = _dimension(
                    field.name, (*value, "log") if scaled else value
                ).distribution
        if not out:
            raise SktrainError(
                "HyperparameterSearchSpace: every field is None, so there is nothing to search."
            )
        return out

    def to_distributions(self, net_step_name: str | None = None) -> dict:
        """Distributions under the parameter names of a net, for ``OptunaSearchCV``.

        Parameters
        ----------
        net_step_name : str, optional
            The net's step in a pipeline; None when the net itself is searched.

        Returns
        -------
        dict of str to optuna.distributions.BaseDistribution
            One per parameter.
        """
        prefix = f"{net_step_name}__" if net_step_name else ""
        return {
            prefix + _NET_PARAMETERS[name]: distribution
            for name, distribution in self.distributions().items()
        }


_NET_PARAMETERS = {
    "learning_rate": "lr",
    "weight_decay": "callbacks__weight_decay__base",
    "dropout": "module__dropout",
    "batch_size": "batch_size",
    "hidden_dim": "module__hidden_size",
    "num_layers": "module__n_layers",
}

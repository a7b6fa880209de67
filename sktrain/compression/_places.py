"""The nets inside a fitted model, in pipelines, ensembles and meta-estimators.

With the rows that reach each, where rows are given; and copies of the model with other nets in
their place.
"""

import copy
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from .._models import last_step
from ..exceptions import SktrainError

__all__ = [
    "copy_with",
    "is_net",
    "members_of",
    "nets_in",
    "nets_with_rows",
    "rows_can_be_followed",
    "through_steps",
]


def is_net(value):
    """Whether ``value`` is one of the neural classifiers; one of several members is a vote."""
    return _is_classifier(value) and not members_of(value)


def _is_classifier(value):
    import sys

    base = sys.modules.get("sktrain.nets._base")  # a net cannot exist before its module is imported
    return base is not None and isinstance(value, base.NetClassifier)


def members_of(value):
    """The fitted members of a net that has several, else none."""
    return vars(value).get("members_", []) if _is_classifier(value) else []


def nets_in(model):
    """Fitted nets of ``model``, each once, in order.

    Raises
    ------
    SktrainError
        There is none, or one is not fitted.
    """
    found, seen = [], set()

    def visit(value):
        if id(value) in seen:
            return
        seen.add(id(value))
        if is_net(value):
            found.append(value)
        else:
            for part in _parts(value):
                visit(part)

    visit(model)
    fitted = [net for net in found if net.__sklearn_is_fitted__()]
    if not found:
        raise SktrainError(
            f"{type(model).__name__} holds no neural net; only sktrain's nets, and pipelines and "
            "ensembles of them, can be compressed."
        )
    if not fitted:
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(
            f"This {type(found[0]).__name__} is not fitted yet. Call fit before compressing it."
        )
    return fitted


def _parts(value):
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, dict):
        return value.values()
    if _is_classifier(value):
        return members_of(value)
    return vars(value).values() if isinstance(value, BaseEstimator) else ()


def through_steps(model, X):
    """The last step of a pipeline (of a pipeline's last pipeline), and what the steps before it
    make of ``X``."""
    while isinstance(model, Pipeline):  # imblearn's is one too; its samplers let rows pass
        for _, step in model.steps[:-1]:
            X = step.transform(X) if hasattr(step, "transform") else X
        model = model.steps[-1][1]
    return model, X


def rows_can_be_followed(model):
    """Whether it is plain what each net of a model is given: nets, pipelines that end in them,
    votes and pools of them, whatever else votes."""
    model = last_step(model)
    if is_vote(model):
        return all(map(rows_can_be_followed, voting_nets(model)))
    return is_net(model)


def is_vote(model):
    """Whether a model averages what its members say of the same rows."""
    from sklearn.ensemble import VotingClassifier

    from ..ensemble import PooledClassifier

    return isinstance(model, (VotingClassifier, PooledClassifier)) or bool(members_of(model))


def voting_nets(model):
    """Fitted members of a vote that hold nets."""
    members = members_of(model) or model.estimators_
    return [member for member in members if _holds_net(member)]


def _holds_net(value):
    return is_net(value) or any(map(_holds_net, _parts(value)))


def nets_with_rows(model, X):
    """Pairs of a fitted net of ``model`` and the rows that reach it, each net once.

    Raises
    ------
    SktrainError
        A meta-estimator inside which rows cannot be followed.
    """
    nets_in(model)
    if not rows_can_be_followed(model):
        raise SktrainError(
            f"Rows cannot be followed to the nets inside a {type(model).__name__}: only through "
            "nets, Pipelines, VotingClassifiers and PooledClassifiers."
        )
    found: dict[int, Any] = {}

    def visit(one, rows):
        one, rows = through_steps(one, rows)
        if is_net(one):
            found.setdefault(id(one), (one, rows))
        else:
            for member in voting_nets(one):
                visit(member, rows)

    visit(model, X)
    return list(found.values())


def copy_with(model, replace, together=None):
    """A copy of ``model`` in which ``replace(net)`` stands in place of every net; everything else
    is shared with the original.

    The same net at two places is replaced once. Containers that hold no net are not copied. A net
    of several members is one of their copies, or what ``together(net)`` makes of it.
    """
    made: dict[int, Any] = {}

    def visit(value):
        parts: Any
        if id(value) in made:
            return made[id(value)]
        if is_net(value):
            new = replace(value)
        elif members_of(value):
            new = together(value) if together else _with_members(value, visit)
        elif isinstance(value, (list, tuple)):
            parts = [visit(part) for part in value]
            changed = any(a is not b for a, b in zip(parts, value))
            new = type(value)(parts) if changed and type(value) in (list, tuple) else value
        elif isinstance(value, dict):
            parts = {key: visit(part) for key, part in value.items()}
            new = (
                _filled(value, parts)
                if any(parts[key] is not value[key] for key in value)
                else value
            )
        elif isinstance(value, BaseEstimator):
            parts = {key: visit(part) for key, part in vars(value).items()}
            new = value
            if any(parts[key] is not part for key, part in vars(value).items()):
                new = copy.copy(value)
                vars(new).update(parts)
        else:
            return value
        made[id(value)] = new
        return new

    return visit(model)


def _with_members(net, visit):
    new = object.__new__(type(net))  # copy.copy would pickle the networks
    vars(new).update(vars(net), members_=[visit(member) for member in members_of(net)])
    return new


def _filled(old, parts):
    new = copy.copy(old)  # keeps Bunch and OrderedDict what they are
    new.update(parts)
    return new

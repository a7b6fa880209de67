"""A fitted model enters, the nets inside it are found, in pipelines, ensembles and meta-estimators; a copy with others in their place leaves."""

import copy

from sklearn.base import BaseEstimator

from ..exceptions import SktrainError

__all__ = ["copy_with", "is_net", "nets_in"]


def is_net(value):
    """Whether ``value`` is one of the neural classifiers."""
    import sys

    base = sys.modules.get("sktrain.nets._base")  # a net cannot exist before its module is imported
    return base is not None and isinstance(value, base.NetClassifier)


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
        raise SktrainError(f"{type(model).__name__} holds no neural net; only sktrain's nets, and pipelines and ensembles of them, can be compressed.")
    if not fitted:
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(f"This {type(found[0]).__name__} is not fitted yet. Call fit before compressing it.")
    return fitted


def _parts(value):
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, dict):
        return value.values()
    return vars(value).values() if isinstance(value, BaseEstimator) else ()


def copy_with(model, replace):
    """A copy of ``model`` in which ``replace(net)`` stands in place of every net; everything else is shared with the original.

    The same net at two places is replaced once. Containers that hold no net are not copied.
    """
    made = {}

    def visit(value):
        if id(value) in made:
            return made[id(value)]
        if is_net(value):
            new = replace(value)
        elif isinstance(value, (list, tuple)):
            parts = [visit(part) for part in value]
            changed = any(a is not b for a, b in zip(parts, value))
            new = type(value)(parts) if changed and type(value) in (list, tuple) else value
        elif isinstance(value, dict):
            parts = {key: visit(part) for key, part in value.items()}
            new = _filled(value, parts) if any(parts[key] is not value[key] for key in value) else value
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


def _filled(old, parts):
    new = copy.copy(old)  # keeps Bunch and OrderedDict what they are
    new.update(parts)
    return new

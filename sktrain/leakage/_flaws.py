"""What is wrong with a parameter, and where it stands in an estimator."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ._report import Finding

__all__ = ["Flaw", "flaw", "nodes", "set_to"]


@dataclass(frozen=True)
class Flaw:
    """A finding together with the object that carries it, so that it can be repaired."""

    finding: Finding
    owner: object
    parameter: str
    kind: str


def nodes(estimator):
    """Every estimator-like object inside an estimator, as (path, object); the path is what
    ``set_params`` would take."""
    seen, found = set(), []

    def visit(path, item, depth):
        if (
            depth > 8
            or id(item) in seen
            or item is None
            or isinstance(item, (str, bytes, int, float, bool, np.ndarray, pd.DataFrame, pd.Series))
        ):
            return
        if isinstance(item, dict):
            for key, value in item.items():
                visit([*path, str(key)], value, depth + 1)
        elif isinstance(item, (list, tuple)):
            if len(item) <= 200:
                for place, value in enumerate(item):
                    named = (
                        isinstance(value, (list, tuple))
                        and len(value) > 1
                        and isinstance(value[0], str)
                    )
                    visit(
                        [*path, value[0]] if named else [*path, str(place)],
                        value[1] if named else value,
                        depth + 1,
                    )
        elif hasattr(item, "get_params") and not isinstance(item, type):
            seen.add(id(item))
            found.append((path, item))
            for name, value in item.get_params(deep=False).items():
                visit(
                    path
                    if name in ("steps", "transformers", "estimators", "transformer_list")
                    else [*path, name],
                    value,
                    depth + 1,
                )
        elif type(item).__name__ == "ValidSplit":
            seen.add(id(item))
            found.append((path, item))

    visit([], estimator, 0)
    return found


def _place(path, owner, parameter):
    full = "__".join([*path, parameter] if parameter else path)
    return {
        "step": path[0] if path else type(owner).__name__,
        "parameter": full,
        "estimator": type(owner).__name__,
    }


def set_to(path, owner, parameter, value):
    """The call that mends a parameter."""
    name = "__".join([*path, parameter])
    return f"estimator.set_params({name}={value})"


def flaw(
    path, owner, parameter, code, message, fix, *, kind=None, severity="error", status=None,
    **evidence,
):
    """A finding on a parameter, with the object that carries it."""
    finding = Finding(
        code, severity, message, _place(path, owner, parameter), evidence, fix, status
    )
    return Flaw(finding, owner, parameter, kind or code)

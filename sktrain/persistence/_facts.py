"""What a file tells about its model, as plain values that JSON can hold.

Nothing here is needed to open a file; versions are compared when it is opened.
"""

from importlib import import_module
import os
import platform
import re
import sys
import warnings

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd

from .._io import sha256
from .._validation import as_span, shown_span
from ..exceptions import VersionDriftWarning

__all__ = [
    "drift",
    "dtypes_of",
    "fingerprint",
    "horizon_of",
    "parameters_of",
    "plain",
    "said",
    "tell",
    "versions",
]

_LONGEST = 1000  # characters of a parameter in a manifest, a judgment
_CORE = {"numpy": "numpy", "pandas": "pandas", "scikit-learn": "sklearn"}
_PARTS = ("imblearn", "onnxruntime", "skops", "skorch", "torch")


def versions(parts=()):
    """Versions of what every model needs, and of those ``parts`` that it needs besides."""
    from .. import __version__

    modules = {**_CORE, **{name: name for name in _PARTS if name in parts}}
    return {
        "sktrain": __version__,
        "python": platform.python_version(),
        **{name: import_module(module).__version__ for name, module in modules.items()},
    }


def drift(written_with):
    """What has another version here, of what is imported: {name: (version in the file, version
    here)}."""
    here = versions([name for name in written_with if sys.modules.get(name) is not None])
    return {
        name: (str(old), here[name])
        for name, old in written_with.items()
        if name in here and here[name] != old
    }


def said(changed):
    """Versions that changed, in words."""
    return (
        ", ".join(f"{name} {old} -> {here}" for name, (old, here) in changed.items())
        or "the same versions"
    )


def tell(changed, path, *, probed):
    """Warn of what ``changed`` between writing and opening a file, as far as its user should hear
    of it: another minor version of scikit-learn, a newer sktrain."""
    rules = {
        "scikit-learn": lambda old, here: old[:2] != here[:2],
        "sktrain": lambda old, here: old > here,
    }
    told = {
        name: pair
        for name, pair in changed.items()
        if name in rules and rules[name](*map(_numbers, pair))
    }
    if told:
        says = (
            "Its probe rows are predicted as they were."
            if probed
            else "It has no probe rows to compare: check its predictions."
        )
        warnings.warn(
            f"{os.fspath(path)!r} was written with other versions ({said(told)}). {says}",
            VersionDriftWarning,
            stacklevel=3,
        )


def _numbers(version):
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:3])


def parameters_of(estimator):
    """Parameters as texts, without places in memory."""
    params = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    return {str(name): _text(value) for name, value in params.items()}


def _text(value):
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=repr)
    text = re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def dtypes_of(*sources):
    """Types of the columns of the first of ``sources`` that has any; one type for an array; None
    when there are no rows."""
    for rows in sources:
        if hasattr(rows, "dtypes"):
            return (
                {str(name): str(dtype) for name, dtype in rows.dtypes.items()}
                if hasattr(rows, "columns")
                else str(rows.dtypes)
            )
        if hasattr(rows, "dtype"):
            return str(rows.dtype)
    return None


def horizon_of(estimator):
    """What a label looks ahead (bars, or a length of time as text), as the last step or a part of
    it was told; else None."""
    own = getattr(estimator, "horizon", None)
    if own is not None:
        return shown_span(as_span("horizon", own, minimum=0))
    learned = getattr(estimator, "label_horizon_", None)
    if learned is not None:
        return learned
    parts = [step for _, step in getattr(estimator, "steps", ())[-1:]]
    members = getattr(estimator, "estimators_", None)
    parts += members if isinstance(members, list) else []
    names = ("best_estimator_", "estimator_", "estimator")
    parts += [getattr(estimator, name) for name in names if hasattr(estimator, name)]
    listed = getattr(estimator, "estimators", None) or ()
    parts += [part[1] for part in listed if isinstance(part, tuple)]
    said = (horizon_of(part) for part in parts if part is not None and not isinstance(part, str))
    return next((found for found in said if found is not None), None)


def fingerprint(data: pd.DataFrame | pd.Series | ArrayLike) -> dict:
    """What identifies rows: to be compared with ``read_manifest(path)["data_fingerprint"]``.

    Parameters
    ----------
    data : DataFrame, Series or array-like
        Rows.

    Returns
    -------
    dict
        ``sha256`` of values, index, column names and types; ``shape``; ``first`` and ``last`` time
        in ISO form, None without times.

    Examples
    --------
    >>> from sktrain.persistence import fingerprint
    >>> fingerprint([[1.0, 2.0]])["shape"]
    [1, 2]
    """
    first = last = None
    if isinstance(data, (pd.DataFrame, pd.Series)):
        frame = data.to_frame() if isinstance(data, pd.Series) else data
        content = repr([(str(name), str(dtype)) for name, dtype in frame.dtypes.items()]).encode()
        content += pd.util.hash_pandas_object(frame, index=True).to_numpy().tobytes()
        times = data.index.get_level_values(-1)
        if isinstance(times, pd.DatetimeIndex) and times.notna().any():
            first, last = times.min().isoformat(), times.max().isoformat()
    else:
        data = np.asarray(data)
        if data.dtype.kind == "O":
            return fingerprint(pd.DataFrame(data))
        content = f"{data.dtype.str} {data.shape}".encode() + np.ascontiguousarray(data).tobytes()
    return {"sha256": sha256(content), "shape": list(data.shape), "first": first, "last": last}


def plain(value):
    """Python's own numbers, lists and dicts of what may hold NumPy's."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return value.item() if isinstance(value, np.generic) else value

"""What several test modules need: estimators to list, to count and to strip, series to draw."""

from importlib import import_module
from inspect import isclass
import pkgutil
import warnings

import numpy as np
from scipy.signal import lfilter
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

import sktrain
from sktrain.exceptions import DataQualityWarning


def public_estimators():
    """Every estimator that a public module of sktrain offers, by name."""
    modules = [
        sktrain,
        *(
            import_module(found.name)
            for found in pkgutil.walk_packages(sktrain.__path__, "sktrain.")
            if "._" not in found.name
        ),
    ]
    things = {
        name: getattr(module, name) for module in modules for name in getattr(module, "__all__", ())
    }
    return {
        name: thing
        for name, thing in sorted(things.items())
        if isclass(thing) and issubclass(thing, BaseEstimator)
    }


def bare(frame):
    """The same rows without a handle."""
    frame = frame.copy()
    frame.attrs = {}
    return frame


def autoregressive(rng, phi, n, m):
    """n rows of m independent AR(1) series of variance 1."""
    noise = rng.standard_normal((n, m))
    noise[1:] *= np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=0)


def quietly(read, path, **options):
    """``read(path, ...)`` without warnings about the quality of the data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return read(path, **options)


class Counting(LogisticRegression):
    """Counts its fits in the class."""

    fits = 0

    def fit(self, X, y):
        type(self).fits += 1
        return super().fit(X, y)

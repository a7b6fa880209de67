"""Draws of features with and without drift, shared by the drift benchmarks: (reference, new) arrays
of dependent rows."""

import numpy as np
from scipy.signal import lfilter

N_REFERENCE, N_NEW, N_FEATURES = 1000, 250, 5
PHIS = (0.0, 0.5, 0.9, 0.98)


def autoregressive(rng, phi, n, m, correlation=None):
    """Rows of m stationary AR(1) series with unit variance, independent or with the given
    correlation matrix."""
    noise = rng.standard_normal((n, m))
    if correlation is not None:
        noise = noise @ np.linalg.cholesky(correlation).T
    noise[1:] *= np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=0)


def undrifted(rng, phi, n_features=N_FEATURES):
    """One series cut in two: the new rows follow the reference."""
    rows = autoregressive(rng, phi, N_REFERENCE + N_NEW, n_features)
    return rows[:N_REFERENCE], rows[N_REFERENCE:]


def mean_shift(size, phi):
    def draw(rng):
        reference, new = undrifted(rng, phi)
        new[:, 0] += size
        return reference, new

    return draw


def variance_doubled(rng, phi=0.5):
    reference, new = undrifted(rng, phi)
    new[:, 0] *= np.sqrt(2)
    return reference, new


def correlation_flipped(rng, phi=0.5, rho=0.6):
    """Two of the columns change the sign of their correlation; every marginal stays as it was."""
    matrix = np.eye(N_FEATURES)
    matrix[0, 1] = matrix[1, 0] = rho
    reference = autoregressive(rng, phi, N_REFERENCE, N_FEATURES, matrix)
    matrix[0, 1] = matrix[1, 0] = -rho
    return reference, autoregressive(rng, phi, N_NEW, N_FEATURES, matrix)


def category_vanished(rng):
    """A column of four regimes that last 2 to 3 rows; the second (a quarter of the rows) is
    gone."""
    import pandas as pd

    def regimes(n, names):
        switch = rng.random(n) < 0.5
        switch[0] = True
        drawn = rng.choice(names, size=n)
        return drawn[np.maximum.accumulate(np.where(switch, np.arange(n), 0))]

    reference, new = (
        pd.DataFrame(autoregressive(rng, 0.5, n, 4), columns=list("abcd"))
        for n in (N_REFERENCE, N_NEW)
    )
    reference["regime"] = regimes(N_REFERENCE, ["bear", "bull", "calm", "wild"])
    new["regime"] = regimes(N_NEW, ["bear", "calm", "wild"])
    return reference, new


POWER = {
    "mean + 1 sd, phi 0.5": mean_shift(1.0, 0.5),
    "mean + 1.5 sd, phi 0.9": mean_shift(1.5, 0.9),
    "variance doubled, phi 0.5": variance_doubled,
    "correlation flipped, equal marginals": correlation_flipped,
    "a category vanished": category_vanished,
}
